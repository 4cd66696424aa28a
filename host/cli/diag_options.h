/* How the compiler's diagnostics are shown: the options that check, compile and run share. */
#ifndef MB_DIAG_OPTIONS_H
#define MB_DIAG_OPTIONS_H

#include "mind.h"

#include <stdbool.h>
#include <stdio.h>

enum { MB_OPT_DIAG_FORMAT = 4096, MB_OPT_COLOR }; /* apart from every command's own */

// clang-format off
#define MB_DIAG_LONG_OPTIONS                                            \
    {"diagnostic-format", required_argument, NULL, MB_OPT_DIAG_FORMAT}, \
    {"color", required_argument, NULL, MB_OPT_COLOR}
// clang-format on

#define MB_DIAG_OPTIONS_HELP                                                                       \
    "      --diagnostic-format F   errors and warnings of a program: human, short or json, one\n"  \
    "                              object a line (human)\n"                                        \
    "      --color WHEN            auto (a terminal, and NO_COLOR is not set), always or never\n"

struct mb_diag_options { /* all zero: as without options */
    enum mb_diag_format format;
    enum mb_color { MB_COLOR_AUTO, MB_COLOR_ALWAYS, MB_COLOR_NEVER } color;
};

/* Takes one of MB_DIAG_LONG_OPTIONS, whose number getopt_long gave. False when it is none of them,
 * or after an error on stderr; `command` is its name. */
bool mb_diag_options_take(int option, const char *value, const char *command,
                          struct mb_diag_options *options);

/* Whether to colour what goes to `stream`. */
bool mb_diag_options_color(const struct mb_diag_options *options, FILE *stream);

/* Every diagnostic of the last compile or check, to stderr; warnings only unless quiet. */
void mb_print_diags(const struct mb_mind *mind, const struct mb_diag_options *options, bool quiet);

#endif
