/* Interned names: every word of a source as a small integer, so that the later stages compare and
 * look up by index and never by text.
 *
 * The fixed names (keywords, words with a meaning, built-in functions and their parameters) are
 * there from the start and keep their numbers; a source's own names follow and are forgotten by
 * mb_names_reset in time proportional to their count. */
#ifndef MB_NAMES_H
#define MB_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#define MB_NO_NAME  UINT32_MAX
#define MB_NO_INDEX UINT32_MAX

/* Numbers of the fixed names: first the keywords in the order of keywords.def, then these words,
 * then the built-ins in the order of builtins.def. */
enum mb_fixed_name {
#define KEYWORD(word, id) MB_NAME_##id,
#define WORD(word, id)    MB_NAME_##id,
#include "keywords.def"
    MB_NAME_FIRST_BUILTIN
};

struct mb_name {
    const char *text; /* not terminated; static or in the source */
    void *item;       /* struct mb_ast_item: the top-level item of this name */
    uint32_t len;
    uint32_t slot;       /* where the table has it, and its hash */
    uint32_t item_epoch; /* `item` counts only when this is the table's epoch */
    uint32_t binding;    /* innermost local binding of this name, or MB_NO_INDEX */
};

struct mb_name_slot { /* open addressing */
    uint32_t hash;
    uint32_t name; /* number + 1; 0 is free */
};

struct mb_names {
    struct mb_name *list;
    struct mb_name_slot *slots;
    uint32_t count, cap, n_fixed, n_slots, epoch;
    bool failed; /* memory ran out; sticky until the reset */
};

/* `names` is all zero. Puts in the fixed names (fixed_names.h); false when memory is out. */
bool mb_names_init(struct mb_names *names);
void mb_names_free(struct mb_names *names);

/* Forgets all names that are not fixed. */
void mb_names_reset(struct mb_names *names);

/* The number of the `len` >= 1 bytes at `text`, which must stay valid. When memory is out, `failed`
 * is set and 0 returned. */
uint32_t mb_names_intern(struct mb_names *names, const char *text, uint32_t len);

/* The number of a text that is known already, else MB_NO_NAME. */
uint32_t mb_names_find(const struct mb_names *names, const char *text, uint32_t len);

static inline bool mb_name_is_keyword(uint32_t name) { return name < MB_NAME_TENSOR; }

#endif
