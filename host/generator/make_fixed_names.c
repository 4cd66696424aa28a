/* Writes fixed_names.c, the constants of fixed_names.h: make_fixed_names FILE. Runs in the build.
 */
#include "fixed_names.h"
#include "name_hash.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_NAMES = MB_FIXED_SLOTS / 2, MAX_TEXT = 4096 };

static const char *const words[] = {
#define KEYWORD(word, id) word,
#define WORD(word, id)    word,
#include "keywords.def"
#define BUILTIN(name, lowering, op, signature) #name,
#include "builtins.def"
};

static const char *const signatures[] = {
#define BUILTIN(name, lowering, op, signature) signature,
#include "builtins.def"
};

enum {
    N_WORDS = sizeof words / sizeof *words,
    N_BUILTINS = sizeof signatures / sizeof *signatures
};

static struct mb_placed_name names[MAX_NAMES];
static uint32_t n_names;
static char texts[MAX_TEXT];
static uint32_t n_text;
static bool taken[MB_FIXED_SLOTS];

_Noreturn static void stop(const char *why) {
    fprintf(stderr, "make_fixed_names: %s\n", why);
    exit(1);
}

static uint32_t number_of(const char *text, uint32_t len) {
    for (uint32_t i = 0; i < n_names; i++)
        if (names[i].len == len && memcmp(texts + names[i].text, text, len) == 0) return i;
    if (n_names == MAX_NAMES) stop("too many names: raise MB_FIXED_SLOTS");
    if (len > UINT8_MAX || n_text + len > MAX_TEXT) stop("too much text: raise MAX_TEXT");
    const uint32_t hash = mb_name_hash(text, len);
    uint32_t slot = hash % MB_FIXED_SLOTS;
    while (taken[slot]) slot = (slot + 1) % MB_FIXED_SLOTS;
    taken[slot] = true;
    names[n_names] = (struct mb_placed_name){hash, (uint16_t)n_text, (uint8_t)len, (uint16_t)slot};
    memcpy(texts + n_text, text, len);
    n_text += len;
    return n_names++;
}

/* signature = { name { "|" name } [ "?" ] " " } */
static struct mb_builtin_signature read_signature(const char *text) {
    struct mb_builtin_signature s = {0};
    for (int k = 0; *text;) {
        const uint32_t len = (uint32_t)strcspn(text, "|? ");
        if (len && (s.n_params == MB_MAX_BUILTIN_PARAMS || k == MB_MAX_PARAM_NAMES))
            stop("a signature is too long: raise MB_MAX_BUILTIN_PARAMS or MB_MAX_PARAM_NAMES");
        if (len) s.names[s.n_params][k++] = (uint16_t)number_of(text, len);
        text += len;
        const bool optional = *text == '?', ends = optional || *text == ' ' || *text == '\0';
        if (len && ends) {
            if (!optional) s.n_required = (uint16_t)(s.n_params + 1);
            s.n_params++;
            k = 0;
        }
        if (*text) text++;
    }
    return s;
}

static void write_signature(FILE *out, const struct mb_builtin_signature *s) {
    fprintf(out, "    {%u, %u, {", s->n_params, s->n_required);
    for (int i = 0; i < MB_MAX_BUILTIN_PARAMS; i++) {
        fputs("{", out);
        for (int k = 0; k < MB_MAX_PARAM_NAMES; k++) fprintf(out, "%u,", s->names[i][k]);
        fputs("},", out);
    }
    fputs("}},\n", out);
}

int main(int argc, char **argv) {
    FILE *out = argc == 2 ? fopen(argv[1], "w") : NULL;
    if (!out) stop("usage: make_fixed_names FILE, which it must be able to write");
    for (uint32_t i = 0; i < N_WORDS; i++)
        if (number_of(words[i], (uint32_t)strlen(words[i])) != i) stop("a word is there twice");
    fputs("#include \"fixed_names.h\"\n\n"
          "const struct mb_builtin_signature mb_builtin_signatures[] = {\n",
          out);
    for (uint32_t i = 0; i < N_BUILTINS; i++) {
        const struct mb_builtin_signature s = read_signature(signatures[i]);
        write_signature(out, &s);
    }
    fputs("};\n\nconst struct mb_placed_name mb_fixed_names[] = {\n", out);
    for (uint32_t i = 0; i < n_names; i++)
        fprintf(out, "    {%uu, %u, %u, %u},\n", names[i].hash, names[i].text, names[i].len,
                names[i].slot);
    fprintf(
        out,
        "};\n\nconst uint32_t mb_n_fixed_names = %u;\nconst char mb_fixed_texts[] = \"%.*s\";\n",
        n_names, (int)n_text, texts);
    if (fclose(out) != 0) stop("cannot write");
    return 0;
}
