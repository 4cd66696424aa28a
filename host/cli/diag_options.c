#include "diag_options.h"

#include "cli.h"

#include <string.h>

static const char *const formats[] = {"human", "short", "json"};
static const char *const colors[] = {"auto", "always", "never"};
enum { N_EACH = 3 };

/* The index of `value` in `names`, or -1. */
static int index_of(const char *value, const char *const names[N_EACH]) {
    for (int i = 0; i < N_EACH; i++)
        if (strcmp(value, names[i]) == 0) return i;
    return -1;
}

static bool take_one(const char *value, const char *command, const char *option,
                     const char *const names[N_EACH], int *index) {
    *index = index_of(value, names);
    if (*index < 0)
        mb_cli_error(MB_EXIT_USAGE, "%s: --%s %s: use %s, %s or %s", command, option, value,
                     names[0], names[1], names[2]);
    return *index >= 0;
}

bool mb_diag_options_take(int option, const char *value, const char *command,
                          struct mb_diag_options *options) {
    int index;
    switch (option) {
    case MB_OPT_DIAG_FORMAT:
        if (!take_one(value, command, "diagnostic-format", formats, &index)) return false;
        options->format = (enum mb_diag_format)index;
        return true;
    case MB_OPT_COLOR:
        if (!take_one(value, command, "color", colors, &index)) return false;
        options->color = (enum mb_color)index;
        return true;
    default: return false;
    }
}

bool mb_diag_options_color(const struct mb_diag_options *options, FILE *stream) {
    if (options->color == MB_COLOR_AUTO) return mb_cli_color(stream);
    return options->color == MB_COLOR_ALWAYS;
}

void mb_print_diags(const struct mb_mind *mind, const struct mb_diag_options *options, bool quiet) {
    size_t n;
    const struct mb_diag *diags = mb_mind_diags(mind, &n);
    const bool color = mb_diag_options_color(options, stderr);
    for (size_t i = 0; i < n; i++)
        if (diags[i].severity == MB_ERROR || !quiet)
            mb_diag_print(&diags[i], options->format, color, stderr);
}
