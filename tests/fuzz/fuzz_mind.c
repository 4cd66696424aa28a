/* Source text to program, in every mode of the front end: no input may crash it, give a program
 * that its own verifier refuses, or come out differently the second time. */
#include "mind.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
    if (!condition) abort();
}

struct outcome {
    char *text;
    size_t len;
};

/* Everything that one call says: status, diagnostics in each form, IR. */
static struct outcome say(const struct mb_mind *mind, enum mb_status st,
                          const struct mb_program *program) {
    struct outcome o = {NULL, 0};
    FILE *out = open_memstream(&o.text, &o.len);
    size_t n;
    const struct mb_diag *diags = mb_mind_diags(mind, &n);
    bool any_error = false;
    require(out != NULL);
    fprintf(out, "%d\n", (int)st);
    for (size_t i = 0; i < n; i++) {
        mb_diag_print(&diags[i], MB_DIAG_HUMAN, i % 2 == 0, out);
        mb_diag_print(&diags[i], MB_DIAG_SHORT, false, out);
        mb_diag_print(&diags[i], MB_DIAG_JSON, false, out);
        any_error |= diags[i].severity == MB_ERROR;
        require(strcmp(diags[i].code, "E3001") != 0);
    }
    require(any_error == (st == MB_E_PROGRAM));
    if (program) mb_program_print(program, out);
    fclose(out);
    return o;
}

static struct outcome compile(struct mb_mind *mind, const struct mb_mind_source *source) {
    const struct mb_program *program = NULL;
    struct mb_err err;
    enum mb_status st = mb_mind_compile(mind, source, &program, &err);
    require((st == MB_OK) == (program != NULL));
    return say(mind, st, program);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct mb_mind_binding bindings[] = {{"n", 2}, {"batch", 3}};
    static struct mb_mind *mind;
    static FILE *null;
    struct mb_err err;
    if (!mind) {
        require(mb_mind_open(&mind, &err) == MB_OK);
        null = fopen("/dev/null", "w");
        require(null != NULL);
    }
    char *text = malloc(size ? size : 1); /* exactly as long, so that a read past it is seen */
    require(text != NULL);
    memcpy(text, data, size);
    struct mb_mind_source source = {.file = "fuzz.mind", .text = text, .len = size};

    struct outcome first = compile(mind, &source), second = compile(mind, &source);
    require(first.len == second.len && memcmp(first.text, second.text, first.len) == 0);
    free(first.text);
    free(second.text);
    free(say(mind, mb_mind_check(mind, &source, &err), NULL).text);
    mb_mind_print_tokens(mind, &source, null, &err);
    mb_mind_print_ast(mind, &source, null, &err);
    source.bindings = bindings;
    for (source.n_bindings = 1; source.n_bindings <= 2; source.n_bindings++)
        free(compile(mind, &source).text);
    source.n_bindings = 2;
    source.lenient = true;
    free(compile(mind, &source).text);
    source.lenient = false;
    source.strict = true;
    source.entry = "main";
    free(say(mind, mb_mind_check(mind, &source, &err), NULL).text);
    free(text);
    return 0;
}
