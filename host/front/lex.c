#include "lex.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rare beside words, integers and single characters, and kept out of their way. */
#define RARE __attribute__((noinline, cold))

/* What a byte can be part of. ALONE: punctuation that is a token whatever follows. */
enum { WORD_BYTE = 1, DIGIT_BYTE = 2, BLANK_BYTE = 4, BREAK_BYTE = 8, ALONE_BYTE = 16 };

#define W WORD_BYTE
#define D (WORD_BYTE | DIGIT_BYTE)
#define B BLANK_BYTE
#define N (BLANK_BYTE | BREAK_BYTE)
#define A ALONE_BYTE
// clang-format off
static const uint8_t byte_class[256] = {
    ['('] = A, [')'] = A, ['['] = A, [']'] = A, ['{'] = A, ['}'] = A, [','] = A, [';'] = A, ['?'] = A, ['#'] = A, ['@'] = A, ['~'] = A,
    ['\t'] = B, [' '] = B, ['\v'] = B, ['\f'] = B, ['\n'] = N, ['\r'] = N,
    ['0'] = D, ['1'] = D, ['2'] = D, ['3'] = D, ['4'] = D, ['5'] = D, ['6'] = D, ['7'] = D, ['8'] = D, ['9'] = D,
    ['_'] = W,
    ['a'] = W, ['b'] = W, ['c'] = W, ['d'] = W, ['e'] = W, ['f'] = W, ['g'] = W, ['h'] = W, ['i'] = W, ['j'] = W,
    ['k'] = W, ['l'] = W, ['m'] = W, ['n'] = W, ['o'] = W, ['p'] = W, ['q'] = W, ['r'] = W, ['s'] = W, ['t'] = W,
    ['u'] = W, ['v'] = W, ['w'] = W, ['x'] = W, ['y'] = W, ['z'] = W,
    ['A'] = W, ['B'] = W, ['C'] = W, ['D'] = W, ['E'] = W, ['F'] = W, ['G'] = W, ['H'] = W, ['I'] = W, ['J'] = W,
    ['K'] = W, ['L'] = W, ['M'] = W, ['N'] = W, ['O'] = W, ['P'] = W, ['Q'] = W, ['R'] = W, ['S'] = W, ['T'] = W,
    ['U'] = W, ['V'] = W, ['W'] = W, ['X'] = W, ['Y'] = W, ['Z'] = W,
};
static const uint8_t alone_kind[128] = {
    ['('] = MB_TOK_LPAREN, [')'] = MB_TOK_RPAREN, ['['] = MB_TOK_LBRACKET, [']'] = MB_TOK_RBRACKET,
    ['{'] = MB_TOK_LBRACE, ['}'] = MB_TOK_RBRACE, [','] = MB_TOK_COMMA, [';'] = MB_TOK_SEMICOLON,
    ['?'] = MB_TOK_QUESTION, ['#'] = MB_TOK_HASH, ['@'] = MB_TOK_AT, ['~'] = MB_TOK_TILDE,
};
// clang-format on
#undef W
#undef D
#undef B
#undef N
#undef A

static bool is(char c, unsigned classes) { return byte_class[(unsigned char)c] & classes; }

static const char *const kind_texts[] = {
#define TOKEN(id, text) text,
#include "tokens.def"
#define KEYWORD(word, id) word,
#include "keywords.def"
};

const char *mb_token_kind_text(uint8_t kind) { return kind_texts[kind]; }

void mb_lex_begin(struct mb_lexer *lx, const char *text, uint32_t len, struct mb_names *names,
                  struct mb_arena *arena, struct mb_diags *diags) {
    *lx =
        (struct mb_lexer){.text = text, .len = len, .names = names, .arena = arena, .diags = diags};
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) lx->at = 3;
}

RARE static void complain(struct mb_lexer *lx, const char *spec_code, uint32_t pos, uint32_t end,
                          const char *what) {
    mb_diags_add(lx->diags, MB_ERROR, "parse", "E1001", spec_code, pos, end, "%s", what);
}

/* Length of the UTF-8 sequence at `at`, whose first byte is not ASCII; 0 when it is none. */
static uint32_t utf8_at(const struct mb_lexer *lx, uint32_t at, uint32_t *code_point) {
    const unsigned char *s = (const unsigned char *)lx->text + at;
    uint32_t left = lx->len - at, n, value, least;
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        n = 2, value = s[0] & 0x1Fu, least = 0x80;
    else if ((s[0] & 0xF0) == 0xE0)
        n = 3, value = s[0] & 0x0Fu, least = 0x800;
    else if (s[0] >= 0xF0 && s[0] <= 0xF4)
        n = 4, value = s[0] & 0x07u, least = 0x10000;
    else
        return 0;
    if (left < n) return 0;
    for (uint32_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0;
        value = value << 6 | (s[i] & 0x3Fu);
    }
    if (value < least || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return 0;
    *code_point = value;
    return n;
}

/* Passes one byte or character inside a comment or string. */
static void pass_character(struct mb_lexer *lx) {
    uint32_t code_point, n = 1;
    if ((unsigned char)lx->text[lx->at] >= 0x80) {
        n = utf8_at(lx, lx->at, &code_point);
        if (n == 0) {
            complain(lx, "E1001", lx->at, lx->at + 1, "invalid UTF-8");
            n = 1;
        }
    } else if (lx->text[lx->at] == '\0') {
        complain(lx, "E1001", lx->at, lx->at + 1, "NUL byte in the source");
    }
    lx->at += n;
}

static void skip_line_comment(struct mb_lexer *lx) {
    for (;;) {
        const char *text = lx->text;
        uint32_t at = lx->at, len = lx->len;
        while (at < len && (unsigned char)(text[at] - ' ') < 0x60) at++; /* plain ASCII */
        lx->at = at;
        if (at >= len || text[at] == '\n' || text[at] == '\r') return;
        pass_character(lx);
    }
}

/* Nestable; true when it held a line break. */
static bool skip_block_comment(struct mb_lexer *lx) {
    uint32_t start = lx->at, depth = 0;
    bool broke = false;
    while (lx->at < lx->len) {
        char c = lx->text[lx->at], next = lx->at + 1 < lx->len ? lx->text[lx->at + 1] : '\0';
        if (c == '/' && next == '*') {
            depth++;
            lx->at += 2;
        } else if (c == '*' && next == '/') {
            lx->at += 2;
            if (--depth == 0) return broke;
        } else {
            broke |= c == '\n' || c == '\r';
            pass_character(lx);
        }
    }
    complain(lx, "E1006", start, start + 2, "this block comment is never closed");
    return broke;
}

/* A comment at lx->at, where a `/` stands; false when there is none. `broke` is set when a line
 * break was in it. */
RARE static bool skip_comment(struct mb_lexer *lx, bool *broke) {
    const char next = lx->at + 1 < lx->len ? lx->text[lx->at + 1] : '\0';
    if (next == '/')
        skip_line_comment(lx);
    else if (next == '*')
        *broke |= skip_block_comment(lx);
    else
        return false;
    return true;
}

/* Blanks, line breaks and comments from `at` on; returns where they end. `broke` is set when a line
 * break was among them. */
static inline uint32_t skip_space(struct mb_lexer *lx, uint32_t at, bool *broke) {
    const char *text = lx->text;
    const uint32_t len = lx->len;
    for (;;) {
        unsigned seen = 0;
        for (; at < len; at++) {
            const unsigned class = byte_class[(unsigned char)text[at]];
            if (!(class & BLANK_BYTE)) break;
            seen |= class;
        }
        *broke |= (seen & BREAK_BYTE) != 0;
        if (at == len || text[at] != '/') return at;
        lx->at = at;
        if (!skip_comment(lx, broke)) return at;
        at = lx->at;
    }
}

/* A word at `at`; returns its end. */
static inline uint32_t lex_word(struct mb_lexer *lx, uint32_t at, struct mb_token *t) {
    const char *text = lx->text;
    const uint32_t start = at, len = lx->len;
    do at++;
    while (at < len && is(text[at], WORD_BYTE));
    t->value.name = mb_names_intern(lx->names, text + start, at - start);
    t->kind = mb_name_is_keyword(t->value.name) ? (uint8_t)(MB_TOK_FN + t->value.name)
                                                : (uint8_t)MB_TOK_NAME;
    return at;
}

_Static_assert((int)MB_NAME_FN == 0, "a keyword's name number plus MB_TOK_FN is its token kind");

static unsigned digit_value(char c) {
    if (c >= '0' && c <= '9') return (unsigned)(c - '0');
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 99;
}

/* Digits and underscores in `base`; the underscores only between digits. */
static void lex_digits(struct mb_lexer *lx, struct mb_token *t, unsigned base) {
    uint32_t start = lx->at;
    uint64_t value = 0;
    bool too_large = false, gap = true;
    for (; lx->at < lx->len; lx->at++) {
        char c = lx->text[lx->at];
        if (c == '_') {
            if (gap) break;
            gap = lx->at + 1 >= lx->len || digit_value(lx->text[lx->at + 1]) >= base;
            if (gap && lx->at + 1 < lx->len && lx->text[lx->at + 1] == '_') gap = false;
            continue;
        }
        unsigned digit = digit_value(c);
        if (digit >= base) break;
        gap = false;
        too_large |= __builtin_mul_overflow(value, (uint64_t)base, &value);
        too_large |= __builtin_add_overflow(value, (uint64_t)digit, &value);
    }
    if (lx->at == start || lx->text[lx->at - 1] == '_')
        complain(lx, NULL, t->pos, lx->at, "bad number: `_` stands between digits only");
    else if (too_large)
        complain(lx, NULL, t->pos, lx->at, "integer overflow: the literal does not fit 64 bits");
    t->value.integer = value;
}

/* The value of the decimal number between `pos` and `end`. Up to 2^53 times a power of ten that is
 * exact, one operation rounds correctly; the rest is the C library's. */
static double decimal_value(struct mb_lexer *lx, uint32_t pos, uint32_t end) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    uint64_t mantissa = 0;
    int exponent = 0, written = 0;
    bool fraction = false, exact = true, negative = false;
    uint32_t i = pos;
    for (; i < end && (lx->text[i] | 0x20) != 'e'; i++) {
        char c = lx->text[i];
        if (c == '.') fraction = true;
        if (c == '.' || c == '_') continue;
        if (mantissa > (1ull << 53) / 10 - 1) exact = false;
        if (!exact) break;
        mantissa = mantissa * 10 + (uint64_t)(c - '0');
        exponent -= fraction;
    }
    if (exact && i < end) {
        i++;
        if (lx->text[i] == '+' || lx->text[i] == '-') negative = lx->text[i++] == '-';
        for (; i < end && written < 10000; i++)
            if (lx->text[i] != '_') written = written * 10 + (lx->text[i] - '0');
        exponent += negative ? -written : written;
    }
    if (exact && exponent >= 0 && exponent <= 22) return (double)mantissa * powers[exponent];
    if (exact && exponent < 0 && exponent >= -22) return (double)mantissa / powers[-exponent];
    char *copy = mb_arena_alloc(lx->arena, (size_t)(end - pos) + 1), *c = copy;
    if (!copy) return 0.0;
    for (i = pos; i < end; i++)
        if (lx->text[i] != '_') *c++ = lx->text[i];
    *c = '\0';
    return strtod(copy, NULL);
}

/* A decimal integer without underscores, fraction or suffix, as nearly all are; returns its end, or
 * `at` when it is something else. */
static inline uint32_t lex_plain_integer(const struct mb_lexer *lx, uint32_t at,
                                         struct mb_token *t) {
    enum { MAX_DIGITS = 19 }; /* as many fit 64 bits */
    const char *text = lx->text;
    const uint32_t start = at, len = lx->len;
    const uint32_t stop = len - at > MAX_DIGITS ? at + MAX_DIGITS : len;
    uint64_t value = 0;
    for (; at < stop && is(text[at], DIGIT_BYTE); at++)
        value = value * 10 + (uint64_t)(text[at] - '0');
    if (at < len && (is(text[at], WORD_BYTE) || text[at] == '.')) return start;
    t->kind = MB_TOK_INT;
    t->value.integer = value;
    return at;
}

/* number = digits [ "." digits ] [ ("e"|"E") ["+"|"-"] digits ] [ suffix ] | "0x" ... */
RARE static void lex_number(struct mb_lexer *lx, struct mb_token *t) {
    const char *s = lx->text;
    unsigned base = 10;
    t->kind = MB_TOK_INT;
    if (s[lx->at] == '0' && lx->at + 1 < lx->len) {
        char x = (char)(s[lx->at + 1] | 0x20);
        base = x == 'x' ? 16 : x == 'o' ? 8 : x == 'b' ? 2 : 10;
        if (base != 10) lx->at += 2;
    }
    if (base == 10 && lx->last == MB_TOK_DOT) { /* `.0.1` is an element of an element */
        lex_digits(lx, t, base);
        return;
    }
    uint32_t digits = lx->at;
    uint32_t at = digits;
    while (base == 10 && at < lx->len && (is(s[at], DIGIT_BYTE) || s[at] == '_')) at++;
    bool has_fraction = base == 10 && at + 1 < lx->len && s[at] == '.' && is(s[at + 1], DIGIT_BYTE);
    if (has_fraction)
        for (at++; at < lx->len && (is(s[at], DIGIT_BYTE) || s[at] == '_');) at++;
    bool has_exponent = false;
    if (base == 10 && at < lx->len && (s[at] | 0x20) == 'e') {
        uint32_t sign = at + 1 < lx->len && (s[at + 1] == '+' || s[at + 1] == '-');
        if (at + 1 + sign < lx->len && is(s[at + 1 + sign], DIGIT_BYTE)) {
            has_exponent = true;
            for (at += 1 + sign; at < lx->len && (is(s[at], DIGIT_BYTE) || s[at] == '_');) at++;
        }
    }
    if (has_fraction || has_exponent) {
        t->kind = MB_TOK_FLOAT;
        t->value.number = decimal_value(lx, digits, at);
        lx->at = at;
        if (!isfinite(t->value.number)) {
            complain(lx, NULL, t->pos, at, "number out of range");
            t->value.number = 0.0;
        }
    } else {
        lex_digits(lx, t, base);
    }
    if (lx->at >= lx->len || !is(s[lx->at], WORD_BYTE)) return;
    struct mb_token suffix;
    lx->at = lex_word(lx, lx->at, &suffix);
    uint32_t name = suffix.value.name;
    bool known =
        name == MB_NAME_I32 || name == MB_NAME_I64 || (name >= MB_NAME_U8 && name <= MB_NAME_ISIZE);
    if (t->kind == MB_TOK_INT && known)
        t->suffix = (uint16_t)name;
    else
        complain(lx, NULL, t->pos, lx->at, "bad number: unknown suffix");
}

/* What stands after a backslash, at lx->at; passes it. */
static uint32_t lex_escape(struct mb_lexer *lx) {
    uint32_t start = lx->at - 1, value = 0;
    char c = lx->at < lx->len ? lx->text[lx->at++] : '\0';
    switch (c) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case '0': return '\0';
    case '\\':
    case '"':
    case '\'': return (unsigned char)c;
    case 'u':
        if (lx->at < lx->len && lx->text[lx->at] == '{') {
            uint32_t digits = 0;
            for (lx->at++; lx->at < lx->len && digit_value(lx->text[lx->at]) < 16 && digits < 7;
                 lx->at++, digits++)
                value = value << 4 | digit_value(lx->text[lx->at]);
            if (digits && lx->at < lx->len && lx->text[lx->at] == '}' && value <= 0x10FFFF &&
                !(value >= 0xD800 && value <= 0xDFFF)) {
                lx->at++;
                return value;
            }
        }
        break;
    default: break;
    }
    complain(lx, "E1004", start, lx->at, "unknown escape sequence");
    return '?';
}

static char *put_utf8(char *out, uint32_t c) {
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    } else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    }
    return out;
}

/* Replaces the escapes of the string whose inside is [from, to); it only gets shorter. */
static void decode_text(struct mb_lexer *lx, struct mb_token *t, uint32_t from, uint32_t to) {
    char *copy = mb_arena_alloc(lx->arena, to - from), *out = copy;
    if (!copy) return;
    struct mb_lexer inside = *lx;
    inside.len = to;
    for (inside.at = from; inside.at < to;) {
        char c = lx->text[inside.at++];
        if (c == '\\')
            out = put_utf8(out, lex_escape(&inside));
        else
            *out++ = c;
    }
    t->value.text.data = copy;
    t->value.text.len = (uint32_t)(out - copy);
}

static void lex_text(struct mb_lexer *lx, struct mb_token *t) {
    bool escaped = false;
    uint32_t from = ++lx->at;
    t->kind = MB_TOK_TEXT;
    while (lx->at < lx->len && lx->text[lx->at] != '"') {
        if (lx->text[lx->at] == '\\' && lx->at + 1 < lx->len) {
            escaped = true;
            lx->at++;
        }
        pass_character(lx);
    }
    t->value.text.data = lx->text + from;
    t->value.text.len = lx->at - from;
    if (escaped) decode_text(lx, t, from, lx->at);
    if (lx->at < lx->len)
        lx->at++;
    else
        complain(lx, NULL, t->pos, t->pos + 1, "this string is never closed");
}

static void lex_character(struct mb_lexer *lx, struct mb_token *t) {
    uint32_t code_point = 0, n = 1, inside = ++lx->at;
    t->kind = MB_TOK_CHAR;
    if (lx->at < lx->len && lx->text[lx->at] == '\\') {
        lx->at++;
        code_point = lex_escape(lx);
    } else if (lx->at < lx->len && lx->text[lx->at] != '\'' && lx->text[lx->at] != '\n' &&
               lx->text[lx->at] != '\0') {
        if ((unsigned char)lx->text[lx->at] >= 0x80)
            n = utf8_at(lx, lx->at, &code_point);
        else
            code_point = (unsigned char)lx->text[lx->at];
        lx->at += n;
    }
    t->value.integer = code_point;
    if (lx->at > inside && lx->at < lx->len && lx->text[lx->at] == '\'') {
        lx->at++;
        return;
    }
    uint32_t close = lx->at; /* go on after the quote that was meant to end it */
    while (close < lx->len && lx->text[close] != '\'' && lx->text[close] != '\n') close++;
    if (close < lx->len && lx->text[close] == '\'') lx->at = close + 1;
    complain(lx, NULL, t->pos, lx->at, "bad character literal");
}

/* Kind and length of the punctuation at `s` that may be longer than a byte, and of which `n` bytes
 * may be read; 0 when it is none. */
static uint32_t punctuation(const char *s, uint32_t n, uint8_t *kind) {
    char a = s[0], b = n > 1 ? s[1] : '\0', c = n > 2 ? s[2] : '\0';
#define IS(id, length) return *kind = MB_TOK_##id, length
    switch (a) {
    case ':':
        if (b == ':') IS(COLONS, 2);
        if (b == '=') IS(ASSIGN, 2);
        IS(COLON, 1);
    case '.':
        if (b == '.') IS(DOTS, 2);
        if (b == '*') IS(DOT_STAR, 2);
        if (b == '/' && c != '/' && c != '*') IS(DOT_SLASH, 2);
        if (b == '+') IS(DOT_PLUS, 2);
        if (b == '-') IS(DOT_MINUS, 2);
        IS(DOT, 1);
    case '=':
        if (b == '=') IS(EQ, 2);
        if (b == '>') IS(FAT_ARROW, 2);
        IS(ASSIGN, 1);
    case '!':
        if (b == '=') IS(NE, 2);
        IS(NOT, 1);
    case '<':
        if (b == '<' && c == '=') IS(SHL_ASSIGN, 3);
        if (b == '<') IS(SHL, 2);
        if (b == '=') IS(LE, 2);
        IS(LT, 1);
    case '>':
        if (b == '>' && c == '=') IS(SHR_ASSIGN, 3);
        if (b == '>') IS(SHR, 2);
        if (b == '=') IS(GE, 2);
        IS(GT, 1);
    case '+':
        if (b == '=') IS(PLUS_ASSIGN, 2);
        IS(PLUS, 1);
    case '-':
        if (b == '>') IS(ARROW, 2);
        if (b == '=') IS(MINUS_ASSIGN, 2);
        IS(MINUS, 1);
    case '*':
        if (b == '=') IS(STAR_ASSIGN, 2);
        IS(STAR, 1);
    case '/':
        if (b == '=') IS(SLASH_ASSIGN, 2);
        IS(SLASH, 1);
    case '%':
        if (b == '=') IS(PERCENT_ASSIGN, 2);
        IS(PERCENT, 1);
    case '&':
        if (b == '&') IS(AND_AND, 2);
        if (b == '=') IS(AND_ASSIGN, 2);
        IS(AND, 1);
    case '|':
        if (b == '|') IS(OR_OR, 2);
        if (b == '=') IS(OR_ASSIGN, 2);
        IS(OR, 1);
    case '^':
        if (b == '=') IS(XOR_ASSIGN, 2);
        IS(XOR, 1);
    default: return 0;
    }
#undef IS
}

/* Reports the bytes from here on that begin no token, as one, and passes them. */
RARE static void skip_strange(struct mb_lexer *lx) {
    uint32_t start = lx->at, code_point = 0;
    unsigned char c = (unsigned char)lx->text[start];
    uint32_t n = c >= 0x80 ? utf8_at(lx, start, &code_point) : 1;
    if (n == 0) {
        do lx->at++;
        while (lx->at < lx->len && (unsigned char)lx->text[lx->at] >= 0x80 &&
               utf8_at(lx, lx->at, &code_point) == 0);
        complain(lx, "E1001", start, lx->at, "invalid UTF-8");
        return;
    }
    lx->at += n;
    if (c >= 0x80)
        mb_diags_add(lx->diags, MB_ERROR, "parse", "E1001", NULL, start, lx->at,
                     "unexpected character U+%04X; names are ASCII", code_point);
    else if (c == '\0')
        complain(lx, "E1001", start, lx->at, "NUL byte in the source");
    else
        mb_diags_add(lx->diags, MB_ERROR, "parse", "E1001", NULL, start, lx->at,
                     c > 0x20 && c < 0x7F ? "unexpected character `%c`"
                                          : "unexpected control character 0x%02X",
                     c);
    for (; lx->at < lx->len; lx->at += n) { /* more of the same kind are the same mistake */
        c = (unsigned char)lx->text[lx->at];
        n = c >= 0x80 ? utf8_at(lx, lx->at, &code_point) : c == (unsigned char)lx->text[start];
        if (n == 0) break;
    }
}

/* A token at lx->at that begins with neither a word's byte nor punctuation that stands alone; false
 * when none begins there. */
RARE static bool lex_quoted(struct mb_lexer *lx, struct mb_token *t) {
    const char c = lx->text[lx->at];
    if (c == '"')
        lex_text(lx, t);
    else if (c == '\'')
        lex_character(lx, t);
    return c == '"' || c == '\'';
}

void mb_lex_next(struct mb_lexer *lx, struct mb_token *t) {
    const char *text = lx->text;
    bool broke = false;
    uint32_t at = skip_space(lx, lx->at, &broke);
    t->suffix = 0;
    for (;;) {
        t->pos = at;
        if (at >= lx->len) {
            t->kind = MB_TOK_END;
            break;
        }
        const unsigned char c = (unsigned char)text[at];
        const unsigned class = byte_class[c];
        if (class & ALONE_BYTE) {
            t->kind = alone_kind[c];
            at++;
            break;
        }
        if ((class & (WORD_BYTE | DIGIT_BYTE)) == WORD_BYTE) {
            at = lex_word(lx, at, t);
            break;
        }
        lx->at = at;
        if (class & DIGIT_BYTE) {
            at = lex_plain_integer(lx, at, t);
            if (at > lx->at) break;
            lex_number(lx, t);
            at = lx->at;
            break;
        }
        const uint32_t n = punctuation(text + at, lx->len - at, &t->kind);
        if (n) {
            at += n;
            break;
        }
        if (lex_quoted(lx, t)) {
            at = lx->at;
            break;
        }
        skip_strange(lx);
        at = skip_space(lx, lx->at, &broke);
    }
    t->after_break = broke;
    t->end = at;
    lx->at = at;
    lx->last = t->kind;
}
