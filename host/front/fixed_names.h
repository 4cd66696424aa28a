/* The names that every source starts with (keywords, words with a meaning, built-in functions and
 * their parameters) as constants: the build makes them (host/generator/make_fixed_names.c) from
 * keywords.def and builtins.def, so that opening a compiler hashes and reads nothing. */
#ifndef MB_FIXED_NAMES_H
#define MB_FIXED_NAMES_H

#include <stdint.h>

enum {
    MB_FIXED_SLOTS = 512, /* of the table that they are placed in; a power of two, and twice what
                             they and the names of a small program are */
    MB_MAX_BUILTIN_PARAMS = 7,
    MB_MAX_PARAM_NAMES = 3
};

struct mb_placed_name {
    uint32_t hash;
    uint16_t text; /* where in mb_fixed_texts */
    uint8_t len;
    uint16_t slot;
};

struct mb_builtin_signature {
    uint16_t n_params, n_required;
    uint16_t names[MB_MAX_BUILTIN_PARAMS][MB_MAX_PARAM_NAMES]; /* 0, a keyword: none */
};

extern const struct mb_placed_name mb_fixed_names[]; /* by number (names.h) */
extern const uint32_t mb_n_fixed_names;
extern const char mb_fixed_texts[];
extern const struct mb_builtin_signature mb_builtin_signatures[]; /* as in builtins.def */

#endif
