/* Runs one .mind file that says in its own comments what must come of it:
 *
 *     // bind: batch=4          bindings, any number
 *     // entry: NAME            the function to compile; else chosen as mindbench does
 *     // mode: check            diagnostics only, symbols may stay unbound; else compile
 *     // option: strict         or lenient
 *     // source: PATH           compile that file, relative to this one, instead of this one
 *     // error: CODE L:C [text] the diagnostics, all of them in order; `-` for L:C: no position,
 *                                `?`: some position, which hangs on the length of the file;
 *                                CODE/SPEC where the specification's code is another;
 *     // warning: CODE L:C [text]   the text must occur in the message, a note or the help
 *     // ir: LINE               the IR text, all lines in order, leading blanks aside
 *     // input: NAME / weight: NAME   the role of a parameter
 *
 * Without `error:` the program must be accepted. Usage: lang_runner FILE */
#include "mind.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINES = 256, MAX_BINDINGS = 8 };

struct text {
    char *data;
    size_t len;
};

struct expectation {
    const char *entry, *source;
    bool check, strict, lenient;
    struct mb_mind_binding bindings[MAX_BINDINGS];
    size_t n_bindings;
    char *diags[MAX_LINES], *ir[MAX_LINES], *roles[MAX_LINES];
    size_t n_diags, n_ir, n_roles;
};

static int n_failures;

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    n_failures++;
}

static bool read_file(const char *path, struct text *out) {
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    size_t cap = 1 << 16;
    out->data = malloc(cap);
    out->len = 0;
    for (size_t n; (n = fread(out->data + out->len, 1, cap - out->len, f)) > 0;) {
        out->len += n;
        if (out->len == cap) out->data = realloc(out->data, cap *= 2);
    }
    fclose(f);
    return true;
}

/* The rest of `line` after "// KEY: ", or NULL. */
static char *value_of(char *line, const char *key) {
    size_t len = strlen(key);
    line += strspn(line, " ");
    if (strncmp(line, "// ", 3) != 0 || strncmp(line + 3, key, len) != 0) return NULL;
    line += 3 + len;
    return line[0] == ':' && line[1] == ' ' ? line + 2 : NULL;
}

static void read_expectation(char *text, struct expectation *e) {
    char *save = NULL, *value;
    for (char *line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save)) {
        char *diag = strstr(line, "// error: ");
        if (!diag) diag = strstr(line, "// warning: ");
        if (diag && e->n_diags < MAX_LINES) e->diags[e->n_diags++] = diag + 3;
        if ((value = value_of(line, "entry"))) e->entry = value;
        if ((value = value_of(line, "source"))) e->source = value;
        if ((value = value_of(line, "option"))) {
            e->strict |= strcmp(value, "strict") == 0;
            e->lenient |= strcmp(value, "lenient") == 0;
        }
        if ((value = value_of(line, "mode"))) e->check = strcmp(value, "check") == 0;
        if ((value = value_of(line, "ir")) && e->n_ir < MAX_LINES) e->ir[e->n_ir++] = value;
        if ((value_of(line, "input") || value_of(line, "weight")) && e->n_roles < MAX_LINES)
            e->roles[e->n_roles++] = line + 3;
        if ((value = value_of(line, "bind")) && e->n_bindings < MAX_BINDINGS) {
            char *equals = strchr(value, '=');
            if (!equals) continue;
            *equals = '\0';
            e->bindings[e->n_bindings++] =
                (struct mb_mind_binding){value, strtoll(equals + 1, NULL, 10)};
        }
    }
}

static void show(const struct mb_diag *d) { mb_diag_print(d, MB_DIAG_HUMAN, false, stderr); }

static bool says(const struct mb_diag *d, const char *text) {
    if (strstr(d->message, text) || (d->help && strstr(d->help, text))) return true;
    for (size_t i = 0; i < d->n_notes; i++)
        if (strstr(d->notes[i], text)) return true;
    return false;
}

/* expected: "error: E2101/E3001 3:1 text" */
static void compare_diag(const struct mb_diag *d, const char *expected) {
    char start[160], place[32] = "-";
    const bool spec = d->spec_code && strcmp(d->spec_code, d->code) != 0;
    size_t len = (size_t)snprintf(start, sizeof start, "%s: %s%s%s ",
                                  d->severity == MB_ERROR ? "error" : "warning", d->code,
                                  spec ? "/" : "", spec ? d->spec_code : "");
    if (d->line && strncmp(expected, start, len) == 0 && expected[len] == '?')
        snprintf(place, sizeof place, "?");
    else if (d->line)
        snprintf(place, sizeof place, "%u:%u", d->line, d->column);
    snprintf(start + len, sizeof start - len, "%s", place);
    len = strlen(start);
    bool same =
        strncmp(expected, start, len) == 0 && (expected[len] == '\0' || expected[len] == ' ');
    if (!same || (expected[len] && !says(d, expected + len + 1))) {
        fail("expected %s\ngot      %s", expected, start);
        show(d);
    }
}

static void compare_diags(const struct mb_mind *mind, const struct expectation *e) {
    size_t n;
    const struct mb_diag *diags = mb_mind_diags(mind, &n);
    for (size_t i = 0; i < n && i < e->n_diags; i++) compare_diag(&diags[i], e->diags[i]);
    for (size_t i = n; i < e->n_diags; i++) fail("expected %s\ngot nothing", e->diags[i]);
    for (size_t i = e->n_diags; i < n; i++) {
        fail("not expected:");
        show(&diags[i]);
    }
}

static void compare_ir(const struct mb_program *program, const struct expectation *e) {
    char *text = NULL, *save = NULL;
    size_t len = 0, i = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out) {
        fail("no memory");
        return;
    }
    mb_program_print(program, out);
    fclose(out);
    char *copy = strdup(text);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), i++) {
        line += strspn(line, " ");
        if (i >= e->n_ir || strcmp(line, e->ir[i]) != 0) {
            fail("IR line %zu: expected %s\n            got      %s\n%s", i + 1,
                 i < e->n_ir ? e->ir[i] : "nothing", line, copy);
            break;
        }
    }
    if (i < e->n_ir && n_failures == 0) fail("IR: expected another line: %s", e->ir[i]);
    free(copy);
    free(text);
}

static void compare_roles(const struct mb_program *program, const struct expectation *e) {
    for (size_t i = 0; i < e->n_roles; i++) {
        char role[160];
        bool found = false;
        for (uint32_t k = 0; k < program->n_params; k++) {
            const struct mb_param *p = &program->params[k];
            snprintf(role, sizeof role, "%s: %s", p->role == MB_INPUT ? "input" : "weight",
                     p->name);
            found |= strcmp(role, e->roles[i]) == 0;
        }
        if (!found) fail("expected %s", e->roles[i]);
    }
}

int main(int argc, char **argv) {
    static struct expectation e;
    struct text text = {NULL, 0}, other = {NULL, 0};
    struct mb_mind *mind = NULL;
    const struct mb_program *program = NULL;
    struct mb_err err = {MB_OK, ""};
    char path[4096];
    if (argc != 2 || !read_file(argv[1], &text)) {
        fprintf(stderr, "usage: lang_runner FILE\n");
        return 2;
    }
    char *comments = calloc(text.len + 1, 1);
    memcpy(comments, text.data, text.len);
    for (size_t i = 0; i < text.len; i++) /* a test may hold NUL bytes */
        if (comments[i] == '\0') comments[i] = '?';
    read_expectation(comments, &e);
    struct mb_mind_source source = {.file = "test.mind",
                                    .text = text.data,
                                    .len = text.len,
                                    .entry = e.entry,
                                    .bindings = e.bindings,
                                    .n_bindings = e.n_bindings,
                                    .strict = e.strict,
                                    .lenient = e.lenient};
    if (e.source) {
        const char *slash = strrchr(argv[1], '/');
        snprintf(path, sizeof path, "%.*s%s", slash ? (int)(slash + 1 - argv[1]) : 0, argv[1],
                 e.source);
        if (!read_file(path, &other)) {
            fprintf(stderr, "cannot read %s\n", path);
            return 2;
        }
        source.text = other.data;
        source.len = other.len;
    }
    bool rejected = false;
    for (size_t i = 0; i < e.n_diags; i++) rejected |= strncmp(e.diags[i], "error", 5) == 0;
    if (mb_mind_open(&mind, &err) != MB_OK) return 2;
    for (int round = 0; round < 2 && n_failures == 0; round++) { /* a used context is as good */
        enum mb_status st = e.check ? mb_mind_check(mind, &source, &err)
                                    : mb_mind_compile(mind, &source, &program, &err);
        compare_diags(mind, &e);
        if (st != (rejected ? MB_E_PROGRAM : MB_OK))
            fail("status %s: %s", mb_status_name(st), err.text);
        if (st == MB_OK && !e.check) {
            if (e.n_ir) compare_ir(program, &e);
            compare_roles(program, &e);
        } else if (e.n_ir) {
            fail("expected IR, got none");
        }
    }
    mb_mind_close(mind);
    free(comments);
    free(text.data);
    free(other.data);
    return n_failures != 0;
}
