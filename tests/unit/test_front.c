/* The front end's parts that no .mind file can show: tokens, the forms of a diagnostic, memory. */
#include "diag.h"
#include "lex.h"
#include "mind.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- an allocator that counts, and fails when told ---- */

static long n_allocs, n_live, fail_at; /* fail_at: 0 never, else the n-th from its setting */
static size_t n_bytes;                 /* of all allocations together */

static void *counting_alloc(size_t size) {
    n_allocs++;
    if (fail_at && --fail_at == 0) return NULL;
    n_live++;
    n_bytes += size;
    return malloc(size);
}

static void counting_release(void *ptr) {
    n_live--;
    free(ptr);
}

static int set_up(void **state) {
    (void)state;
    mb_allocator = (struct mb_allocator){counting_alloc, counting_release};
    n_allocs = n_live = fail_at = 0;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    mb_allocator = (struct mb_allocator){malloc, free};
    return n_live != 0;
}

/* ---- tokens ---- */

struct lexed {
    struct mb_arena arena;
    struct mb_names names;
    struct mb_diags diags;
    struct mb_lexer lexer;
    struct mb_token token;
};

static struct mb_token lex_one(struct lexed *l, const char *text) {
    struct mb_mind_source source = {.file = "t", .text = text, .len = strlen(text)};
    memset(l, 0, sizeof *l);
    assert_true(mb_names_init(&l->names));
    mb_diags_begin(&l->diags, &l->arena, &source);
    mb_lex_begin(&l->lexer, text, (uint32_t)strlen(text), &l->names, &l->arena, &l->diags);
    mb_lex_next(&l->lexer, &l->token);
    return l->token;
}

static void free_lexed(struct lexed *l) {
    mb_names_free(&l->names);
    mb_arena_free(&l->arena);
}

static void test_integers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
        uint32_t end;
        uint32_t n_errors;
    } cases[] = {
        {"0", 0, 1, 0},
        {"12", 12, 2, 0},
        {"1_000_000", 1000000, 9, 0},
        {"0x1F", 31, 4, 0},
        {"0XfF_fF", 65535, 7, 0},
        {"0o17", 15, 4, 0},
        {"0b101", 5, 5, 0},
        {"18446744073709551615", UINT64_MAX, 20, 0},
        {"18446744073709551616", 0, 20, 1},
        {"5usize", 5, 6, 0},
        {"7i64", 7, 4, 0},
        {"7i65", 7, 4, 1},
        {"1_", 1, 2, 1},
        {"0x", 0, 2, 1},
        {"1..2", 1, 1, 0},
        {"1.max", 1, 1, 0},
        {"2.*x", 2, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lexed l;
        struct mb_token t = lex_one(&l, cases[i].text);
        assert_int_equal(t.kind, MB_TOK_INT);
        if (!cases[i].n_errors) assert_true(t.value.integer == cases[i].value);
        assert_int_equal(t.end, cases[i].end);
        assert_int_equal(l.diags.n_errors, cases[i].n_errors);
        free_lexed(&l);
    }
}

/* Every decimal must read as the C library reads it, whichever way the lexer takes. */
static void test_floats(void **state) {
    (void)state;
    static const char *const cases[] = {"1.5",
                                        "0.1",
                                        "1.5e-3",
                                        "1e-7",
                                        "1E+5",
                                        "3.141592653589793",
                                        "123456789012345678901234567890.0",
                                        "0.000000000000000000000000000000000000000000001",
                                        "1e22",
                                        "1e23",
                                        "9007199254740993.0",
                                        "2.2250738585072014e-308",
                                        "4.9e-324",
                                        "1.7976931348623157e308",
                                        "8.41e21",
                                        "9214843084008499e-22"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lexed l;
        struct mb_token t = lex_one(&l, cases[i]);
        assert_int_equal(t.kind, MB_TOK_FLOAT);
        assert_int_equal(t.end, strlen(cases[i]));
        double expected = strtod(cases[i], NULL);
        assert_memory_equal(&t.value.number, &expected, sizeof expected);
        assert_int_equal(l.diags.n_errors, 0);
        free_lexed(&l);
    }
    struct lexed l;
    assert_true(fabs(lex_one(&l, "1_0.2_5e1_0").value.number - 10.25e10) < 1.0);
    free_lexed(&l);
}

static void test_strings(void **state) {
    (void)state;
    static const struct {
        const char *text, *value;
        uint32_t n_errors;
    } cases[] = {
        {"\"plain\"", "plain", 0},
        {"\"\"", "", 0},
        {"\"a\\n\\t\\r\\\\\\\"\\'b\"", "a\n\t\r\\\"'b", 0},
        {"\"\\u{e4}\\u{20AC}\\u{1F600}\"", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 0},
        {"\"\xc3\xa4\"", "\xc3\xa4", 0},
        {"\"\\u{d800}\"", NULL, 1},
        {"\"\\u{110000}\"", NULL, 1},
        {"\"\\q\"", NULL, 1},
        {"\"open", NULL, 1},
        {"\"open\\", NULL, 1},
        {"\"\xff\"", NULL, 1},
        {"\"\xc0\x80\"", NULL, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct lexed l;
        struct mb_token t = lex_one(&l, cases[i].text);
        assert_int_equal(t.kind, MB_TOK_TEXT);
        assert_int_equal(l.diags.n_errors, cases[i].n_errors);
        if (cases[i].value) {
            assert_int_equal(t.value.text.len, strlen(cases[i].value));
            assert_memory_equal(t.value.text.data, cases[i].value, t.value.text.len);
        }
        free_lexed(&l);
    }
    struct lexed l;
    assert_true(lex_one(&l, "'\xe2\x82\xac'").value.integer == 0x20AC);
    free_lexed(&l);
    assert_true(lex_one(&l, "'\\n'").value.integer == '\n');
    free_lexed(&l);
}

/* Every spelling of tokens.def and keywords.def is one token of its kind. */
static void test_every_token(void **state) {
    (void)state;
    for (uint8_t kind = MB_TOK_LPAREN; kind < MB_TOK_COUNT; kind++) {
        struct lexed l;
        const char *text = mb_token_kind_text(kind);
        struct mb_token t = lex_one(&l, text);
        assert_int_equal(t.kind, kind);
        assert_int_equal(t.end, strlen(text));
        mb_lex_next(&l.lexer, &l.token);
        assert_int_equal(l.token.kind, MB_TOK_END);
        free_lexed(&l);
    }
}

/* ---- diagnostics ---- */

static char *print(const struct mb_diag *d, enum mb_diag_format format, bool color) {
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    mb_diag_print(d, format, color, out);
    fclose(out);
    return text;
}

static void expect_print(const struct mb_diag *d, enum mb_diag_format format, bool color,
                         const char *expected) {
    char *text = print(d, format, color);
    assert_string_equal(text, expected);
    free(text);
}

static void test_diagnostic_forms(void **state) {
    (void)state;
    const char *notes[] = {"spec code E3001"};
    struct mb_diag d = {.severity = MB_ERROR,
                        .phase = "type-check",
                        .code = "E2101",
                        .spec_code = "E3001",
                        .message = "cannot broadcast \"a\"\\\x01",
                        .file = "model.mind",
                        .line = 3,
                        .column = 2,
                        .length = 5,
                        .source_line = "\tp + q\x1b",
                        .source_line_len = 7,
                        .notes = notes,
                        .n_notes = 1,
                        .help = "try"};
    expect_print(&d, MB_DIAG_HUMAN, false,
                 "error[type-check][E2101]: cannot broadcast \"a\"\\\x01\n"
                 "  --> model.mind:3:2\n"
                 "   | \tp + q\xEF\xBF\xBD\n"
                 "   | \t^^^^^\n"
                 "note: spec code E3001\n"
                 "help: try\n");
    expect_print(&d, MB_DIAG_SHORT, false,
                 "error[type-check][E2101]: cannot broadcast \"a\"\\\x01 (model.mind:3:2)\n");
    expect_print(&d, MB_DIAG_JSON, false,
                 "{\"phase\":\"type-check\",\"code\":\"E2101\",\"spec_code\":\"E3001\","
                 "\"severity\":\"error\",\"message\":\"cannot broadcast \\\"a\\\"\\\\\\u0001\","
                 "\"span\":{\"file\":\"model.mind\",\"line\":3,\"column\":2,\"length\":5},"
                 "\"notes\":[\"spec code E3001\"],\"help\":\"try\"}\n");
    d.line = 0;
    d.n_notes = 0;
    d.help = d.spec_code = NULL;
    d.message = "\xff";
    d.severity = MB_WARNING;
    expect_print(&d, MB_DIAG_JSON, false,
                 "{\"phase\":\"type-check\",\"code\":\"E2101\",\"spec_code\":null,"
                 "\"severity\":\"warning\",\"message\":\"\\ufffd\",\"span\":null,\"notes\":[],"
                 "\"help\":null}\n");
    expect_print(&d, MB_DIAG_HUMAN, true,
                 "\x1b[1;33mwarning[type-check][E2101]\x1b[0m: \x1b[1m\xff\x1b[0m\n");
}

static void test_long_lines_are_cut(void **state) {
    (void)state;
    char line[5000];
    memset(line, 'x', sizeof line);
    struct mb_diag d = {.phase = "parse",
                        .code = "E1001",
                        .message = "m",
                        .file = "f",
                        .line = 1,
                        .column = 3000,
                        .length = 1000,
                        .source_line = line,
                        .source_line_len = sizeof line};
    char *text = print(&d, MB_DIAG_HUMAN, false);
    assert_true(strlen(text) < 500);
    assert_non_null(strchr(text, '^'));
    free(text);
    d.column = 5001; /* just after the line */
    text = print(&d, MB_DIAG_HUMAN, false);
    assert_non_null(strchr(text, '^'));
    free(text);
}

static void test_edit_distance(void **state) {
    (void)state;
    assert_int_equal(mb_edit_distance("relu", 4, "relu", 4, 3), 0);
    assert_int_equal(mb_edit_distance("rleu", 4, "relu", 4, 3), 1);
    assert_int_equal(mb_edit_distance("sofmax", 6, "softmax", 7, 3), 1);
    assert_int_equal(mb_edit_distance("", 0, "abc", 3, 3), 3);
    assert_int_equal(mb_edit_distance("kitten", 6, "sitting", 7, 3), 3);
    assert_int_equal(mb_edit_distance("abcdef", 6, "uvwxyz", 6, 2), 3);
}

/* ---- compiles ---- */

static const char mlp[] = "const batch: i64 = 4;\n"
                          "fn layer(x: tensor<f32[b, i]>, w: tensor<f32[i, o]>, c: tensor<f32[o]>)"
                          " -> tensor<f32[b, o]> { relu(x @ w + c) }\n"
                          "pub fn main(x: tensor<f32[batch, 8]>, w: tensor<f32[8, 6]>,"
                          " b: tensor<f32[6]>) { let t = (layer(x, w, b), \"s\\n\", [1.0, 2.0])\n"
                          " return softmax(t.0, 1) * 2.0 + sum(t.2) }\n";
static const char wrong[] = "fn main(x: tensor<f32[2]>) { let a = relux(x) + b\n undefined }\n";

static enum mb_status compile(struct mb_mind *mind, const char *text, size_t len,
                              struct mb_err *err) {
    const struct mb_program *program = NULL;
    struct mb_mind_source source = {.file = "t.mind", .text = text, .len = len};
    return mb_mind_compile(mind, &source, &program, err);
}

static void test_second_compile_allocates_nothing(void **state) {
    (void)state;
    struct mb_mind *mind = NULL;
    struct mb_err err;
    assert_int_equal(mb_mind_open(&mind, &err), MB_OK);
    mb_mind_time_phases(mind, true);
    assert_int_equal(compile(mind, mlp, strlen(mlp), &err), MB_OK);
    assert_int_equal(compile(mind, wrong, strlen(wrong), &err), MB_E_PROGRAM);
    long before = n_allocs;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(compile(mind, mlp, strlen(mlp), &err), MB_OK);
        assert_int_equal(compile(mind, wrong, strlen(wrong), &err), MB_E_PROGRAM);
    }
    assert_int_equal(n_allocs, before);
    const struct mb_mind_phases *phases = mb_mind_phases(mind);
    assert_true(phases->parse_ns > 0 && phases->check_ns > 0);
    mb_mind_close(mind);
}

/* Fails allocation 1, 2, 3, ... until all goes well; large enough that every table must grow. */
static void test_every_failing_allocation(void **state) {
    (void)state;
    enum { FUNCTIONS = 400 };
    char *text = malloc(FUNCTIONS * 160 + 4096), *end = text;
    bool done = false;
    assert_non_null(text);
    for (int i = 0; i < FUNCTIONS; i++)
        end += sprintf(end, "fn name_%d(x: tensor<f32[s%d]>) { let v%d = x + %d.0 v%d }\n", i, i, i,
                       i, i);
    end += sprintf(end, "pub fn main(x: tensor<f32[3]>) { let y = x\n");
    for (int i = 0; i < FUNCTIONS; i++) end += sprintf(end, "let y%d = name_%d(y)\n", i, i);
    end += sprintf(end, "(y0 + y1 + y2, y) }\n");
    for (long n = 1; !done; n++) {
        struct mb_mind *mind = NULL;
        struct mb_err err;
        fail_at = n;
        enum mb_status st = mb_mind_open(&mind, &err);
        if (st == MB_OK) st = compile(mind, text, (size_t)(end - text), &err);
        done = fail_at != 0;
        fail_at = 0;
        assert_int_equal(st, done ? MB_OK : MB_E_NOMEM);
        if (mind) { /* and the context still works */
            assert_int_equal(compile(mind, mlp, strlen(mlp), &err), MB_OK);
            mb_mind_close(mind);
        }
        assert_int_equal(n_live, 0);
    }
    free(text);
}

/* "same" puts the smaller half first; the IR text does not show it. */
static void test_same_padding(void **state) {
    (void)state;
    static const char text[] = "fn f(x: tensor<f32[1, 1, 8, 7]>, w: tensor<f32[1, 1, 3, 4]>) {"
                               " conv2d(x, w, [2, 1], \"same\", \"NCHW\") }";
    struct mb_mind *mind = NULL;
    struct mb_err err;
    const struct mb_program *program = NULL;
    struct mb_mind_source source = {.file = "t.mind", .text = text, .len = strlen(text)};
    assert_int_equal(mb_mind_open(&mind, &err), MB_OK);
    assert_int_equal(mb_mind_compile(mind, &source, &program, &err), MB_OK);
    const struct mb_attr_conv *conv = &program->nodes[2].attr.conv;
    assert_int_equal(conv->pad_before[0], 0); /* ceil(8 / 2) = 4 rows: (4 - 1) * 2 + 3 - 8 = 1 */
    assert_int_equal(conv->pad_after[0], 1);
    assert_int_equal(conv->pad_before[1], 1); /* 7 columns: 6 + 4 - 7 = 3 */
    assert_int_equal(conv->pad_after[1], 2);
    mb_mind_close(mind);
}

/* ---- sizes ---- */

static char *repeat(const char *piece, size_t times, size_t *len) {
    size_t n = strlen(piece);
    char *text = malloc(n * times + 1);
    assert_non_null(text);
    for (size_t i = 0; i < times; i++) memcpy(text + i * n, piece, n);
    *len = n * times;
    return text;
}

static void test_huge_inputs_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *piece;
        size_t times;
    } cases[] = {
        {"(", 100000},           {"[", 100000},    {"-", 100000},          {"fn f() {", 100000},
        {"if a {", 100000},      {"a{b:", 100000}, {"let a: (", 1},        {"tensor<", 100000},
        {"abcdefghij", 1000000}, {"/*", 100000},   {"x.", 100000},         {"\xff", 100000},
        {"1", 1000000},          {"a(", 100000},   {"module m {", 100000}, {"let a: diff ", 100000},
        {"'", 100000},           {"\"", 100001},   {"@", 100000},          {"fn f<", 100000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mb_mind *mind = NULL;
        struct mb_err err;
        size_t len, n;
        char *text = repeat(cases[i].piece, cases[i].times, &len);
        n_bytes = 0;
        assert_int_equal(mb_mind_open(&mind, &err), MB_OK);
        assert_int_equal(compile(mind, text, len, &err), MB_E_PROGRAM);
        /* linear in the input: what tables grow through, at most, of a node for each byte */
        if (n_bytes > (1 << 20) + 256 * len)
            fail_msg("%zu bytes of `%s` take %zu", len, cases[i].piece, n_bytes);
        const struct mb_diag *diags = mb_mind_diags(mind, &n);
        assert_true(n >= 1);
        for (size_t k = 0; k < n; k++) free(print(&diags[k], MB_DIAG_HUMAN, false));
        mb_mind_close(mind);
        free(text);
    }
}

/* A program of many statements and one of a long chain of operators are ordinary programs. */
static void test_long_programs_compile(void **state) {
    (void)state;
    struct mb_mind *mind = NULL;
    struct mb_err err;
    size_t len;
    char *text = repeat("let a: Tensor[f32,(2,)] = 1\n", 50000, &len);
    assert_int_equal(mb_mind_open(&mind, &err), MB_OK);
    assert_int_equal(compile(mind, text, len, &err), MB_OK);
    free(text);
    text = repeat("1.0 +", 50000, &len);
    text[len - 1] = ' ';
    assert_int_equal(compile(mind, text, len, &err), MB_OK);
    free(text);
    mb_mind_close(mind);
}

static void test_no_text_at_all(void **state) {
    (void)state;
    struct mb_mind *mind = NULL;
    struct mb_err err;
    assert_int_equal(mb_mind_open(&mind, &err), MB_OK);
    assert_int_equal(compile(mind, "", 0, &err), MB_E_PROGRAM);
    assert_non_null(strstr(err.text, "nothing to compile"));
    mb_mind_close(mind);
    mb_mind_close(NULL);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_integers),
        TEST(test_floats),
        TEST(test_strings),
        TEST(test_every_token),
        TEST(test_diagnostic_forms),
        TEST(test_long_lines_are_cut),
        TEST(test_edit_distance),
        TEST(test_second_compile_allocates_nothing),
        TEST(test_every_failing_allocation),
        TEST(test_same_padding),
        TEST(test_huge_inputs_are_refused),
        TEST(test_long_programs_compile),
        TEST(test_no_text_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
