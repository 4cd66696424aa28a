/* Expressions, statements, functions and types: see check.h. */
#include "check.h"

#include "vec.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_DEPTH = 600,      /* of calls and expressions together, for the C stack */
    MAX_CALL_DEPTH = 100, /* of inlined calls */
    MAX_TUPLE = 64,       /* elements of a tuple and fields of a struct */
    MAX_TUPLE_DEPTH = 8,
    MAX_OUTPUTS = 1024,
    MAX_SEARCHED_NAMES = 5000, /* for "did you mean" */
};
#define MAX_EXTENT ((int64_t)1 << 40)

static struct mb_value check_block_value(struct mb_check *c, const struct mb_ast_block *block);
static void check_block(struct mb_check *c, const struct mb_ast_block *block,
                        struct mb_value *last);

/* ---- diagnostics ---- */

/* The source position that led here: each inlined call. */
static void note_calls(struct mb_check *c, struct mb_diag_record *r) {
    if (r == &c->diags->spare) return;
    uint32_t shown = 0;
    for (const struct mb_frame *f = c->frame; f && f->caller && f->fn && shown < 2; f = f->caller) {
        uint32_t line, column;
        const struct mb_name *name = &c->names->list[f->fn->name];
        if (f->call.pos == MB_NOWHERE) continue;
        mb_diags_locate(c->diags, f->call.pos, &line, &column);
        mb_diags_note(c->diags, r, "in `%.*s`, called at %.200s:%" PRIu32 ":%" PRIu32,
                      mb_diags_clip(name->len), name->text, c->diags->file, line, column);
        shown++;
    }
}

__attribute__((format(printf, 7, 0))) static struct mb_diag_record *
report(struct mb_check *c, enum mb_severity severity, const char *phase, struct mb_ast_span at,
       const char *code, const char *spec_code, const char *format, va_list args) {
    char text[600];
    vsnprintf(text, sizeof text, format, args);
    struct mb_diag_record *r =
        mb_diags_add(c->diags, severity, phase, code, spec_code, at.pos, at.end, "%s", text);
    note_calls(c, r);
    return r;
}

struct mb_diag_record *mb_check_error(struct mb_check *c, struct mb_ast_span at, const char *code,
                                      const char *spec_code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct mb_diag_record *r = report(c, MB_ERROR, "type-check", at, code, spec_code, format, args);
    va_end(args);
    return r;
}

struct mb_diag_record *mb_check_warning(struct mb_check *c, struct mb_ast_span at, const char *code,
                                        const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct mb_diag_record *r = report(c, MB_WARNING, "type-check", at, code, NULL, format, args);
    va_end(args);
    return r;
}

struct mb_value mb_check_outside(struct mb_check *c, struct mb_ast_span at, const char *code,
                                 const char *format, ...) {
    bool reached = !c->every_function || (c->frame && c->frame->caller);
    bool autodiff = strcmp(code, "E4003") == 0;
    va_list args;
    va_start(args, format);
    report(c, reached ? MB_ERROR : MB_WARNING, autodiff ? "autodiff" : "type-check", at, code,
           autodiff ? "E5001" : NULL, format, args);
    va_end(args);
    return mb_bad();
}

/* Charges the work of `n` evaluations; false when the program is too large or nests too deeply. */
static bool spend(struct mb_check *c, uint64_t n, struct mb_ast_span at) {
    if (c->stop) return false;
    if (n < c->budget && c->depth < MAX_DEPTH) {
        c->budget -= n;
        return true;
    }
    c->stop = true;
    if (c->depth < MAX_DEPTH)
        mb_check_error(c, at, "E2001", NULL,
                       "the program is too large once calls are inlined and loops unrolled");
    else
        mb_check_error(c, at, "E2001", NULL, "calls and expressions nest more than %d deep",
                       MAX_DEPTH);
    return false;
}

static struct mb_value type_error(struct mb_check *c, struct mb_ast_span at, const char *code,
                                  const char *what) {
    mb_check_error(c, at, code, NULL, "%s", what);
    return mb_bad();
}

/* printf arguments for "%.*s" of a name */
#define NAME(c, n) mb_diags_clip((c)->names->list[n].len), (c)->names->list[n].text

/* The known name nearest to `name`, or MB_NO_NAME. `callable`: functions and built-ins, else
 * locals, constants and symbols. */
static uint32_t nearest_name(const struct mb_check *c, uint32_t name, bool callable) {
    const struct mb_name *wrong = &c->names->list[name];
    unsigned best = wrong->len <= 3 ? 1 : wrong->len <= 6 ? 2 : 3;
    uint32_t found = MB_NO_NAME;
    if (c->names->count > MAX_SEARCHED_NAMES) return found;
    for (uint32_t i = 0; i < c->names->count; i++) {
        const struct mb_name *n = &c->names->list[i];
        const struct mb_ast_item *item = n->item_epoch == c->names->epoch ? n->item : NULL;
        bool builtin = i - MB_NAME_FIRST_BUILTIN < mb_builtin_count();
        bool function = builtin || (item && item->kind == MB_ITEM_FN);
        bool value = n->binding != MB_NO_INDEX || (item && item->kind == MB_ITEM_CONST);
        if (i == name || !(callable ? function : value)) continue;
        unsigned d = mb_edit_distance(wrong->text, wrong->len, n->text, n->len, best);
        if (d >= 1 && d <= best) {
            best = d - 1;
            found = i;
            if (best == 0) break;
        }
    }
    return found;
}

static struct mb_value unknown_name(struct mb_check *c, struct mb_ast_span at, uint32_t name,
                                    bool callable) {
    struct mb_diag_record *r =
        callable
            ? mb_check_error(c, at, "E2003", NULL, "unknown function `%.*s`", NAME(c, name))
            : mb_check_error(c, at, "E2002", "E2002", "unknown identifier `%.*s`", NAME(c, name));
    uint32_t near = r == &c->diags->spare ? MB_NO_NAME : nearest_name(c, name, callable);
    if (near != MB_NO_NAME) mb_diags_help(c->diags, r, "did you mean `%.*s`?", NAME(c, near));
    return mb_bad();
}

/* ---- names ---- */

static struct mb_ast_item *find_item(const struct mb_check *c, uint32_t name) {
    const struct mb_name *n = &c->names->list[name];
    return n->item_epoch == c->names->epoch ? n->item : NULL;
}

/* The visible binding of a name, or NULL. Valid until the next bind. */
static struct mb_local *find_local(const struct mb_check *c, uint32_t name) {
    uint32_t i = c->names->list[name].binding;
    return i != MB_NO_INDEX && i >= c->frame->first_local ? &c->locals[i] : NULL;
}

static void bind(struct mb_check *c, uint32_t name, struct mb_value value, bool is_symbol) {
    if (!mb_vec_reserve((void **)&c->locals, &c->local_cap, c->n_locals, (uint64_t)c->n_locals + 1,
                        sizeof *c->locals)) {
        c->failed = c->stop = true;
        return;
    }
    struct mb_name *n = &c->names->list[name];
    c->locals[c->n_locals] = (struct mb_local){name, n->binding, is_symbol, value};
    n->binding = c->n_locals++;
}

static void unbind_to(struct mb_check *c, uint32_t n_locals) {
    while (c->n_locals > n_locals) {
        const struct mb_local *l = &c->locals[--c->n_locals];
        c->names->list[l->name].binding = l->outer;
    }
}

/* ---- values ---- */

static struct mb_value int_value(int64_t i) {
    return (struct mb_value){.kind = MB_VALUE_INT, .u.integer = i};
}

static struct mb_value extent_value(int64_t extent) {
    return (struct mb_value){.kind = extent < 0 ? MB_VALUE_DIM : MB_VALUE_INT, .u.integer = extent};
}

static bool is_number(struct mb_value v) {
    return v.kind == MB_VALUE_INT || v.kind == MB_VALUE_FLOAT || v.kind == MB_VALUE_DIM;
}

static bool is_scalar(struct mb_value v) { return is_number(v) || v.kind == MB_VALUE_BOOL; }

static const char *kind_text(struct mb_value v) {
    switch (v.kind) {
    case MB_VALUE_NONE: return "nothing";
    case MB_VALUE_TENSOR: return "a tensor";
    case MB_VALUE_INT:
    case MB_VALUE_DIM: return "an integer";
    case MB_VALUE_FLOAT: return "a number";
    case MB_VALUE_BOOL: return "a bool";
    case MB_VALUE_TEXT: return "a string";
    case MB_VALUE_TUPLE: return "a tuple";
    case MB_VALUE_STRUCT: return "a struct";
    default: return "an unknown value";
    }
}

static enum mb_dtype natural_dtype(struct mb_value v) {
    if (v.has_dtype) return (enum mb_dtype)v.dtype;
    if (v.kind == MB_VALUE_FLOAT) return MB_F32;
    if (v.kind == MB_VALUE_BOOL) return MB_BOOL;
    return v.u.integer >= INT32_MIN && v.u.integer <= INT32_MAX ? MB_I32 : MB_I64;
}

bool mb_check_dtype(const struct mb_check *c, uint32_t name, enum mb_dtype *dtype) {
    static const char *const texts[] = {"f32", "f64", "i32", "i64", "bool"};
    if (name >= MB_NAME_F32 && name <= MB_NAME_BOOL) {
        *dtype = (enum mb_dtype)(name - MB_NAME_F32);
        return true;
    }
    const struct mb_name *n = &c->names->list[name];
    for (int i = 0; i < 5; i++)
        if (n->len == strlen(texts[i]) && strncasecmp(n->text, texts[i], n->len) == 0) {
            *dtype = (enum mb_dtype)i;
            return true;
        }
    return false;
}

_Static_assert((int)MB_F32 == 0 && (int)MB_BOOL == MB_NAME_BOOL - MB_NAME_F32,
               "the words f32 .. bool stand in the order of enum mb_dtype");

/* ---- nodes ---- */

static bool reserve_node(struct mb_check *c) {
    if (c->n_nodes < c->node_cap && c->n_nodes < c->tag_cap) return true;
    if (mb_vec_reserve((void **)&c->nodes, &c->node_cap, c->n_nodes, (uint64_t)c->n_nodes + 1,
                       sizeof *c->nodes) &&
        mb_vec_reserve((void **)&c->tags, &c->tag_cap, c->n_nodes, (uint64_t)c->n_nodes + 1,
                       sizeof *c->tags))
        return true;
    c->failed = c->stop = true;
    return false;
}

/* The message of a shape rule, with the code that the written form of the operation has. */
static struct mb_value refuse(struct mb_check *c, struct mb_ast_span at,
                              const struct mb_shape_error *why) {
    const char *code = why->code;
    bool dotted = c->spelling >= MB_TOK_DOT_STAR && c->spelling <= MB_TOK_DOT_MINUS;
    if (c->spelling == MB_TOK_AT && strcmp(code, "E2103") == 0) code = "shape::matmul_mismatch";
    if (dotted && strcmp(code, "E2101") == 0) code = "shape::broadcast_mismatch";
    mb_check_error(c, at, code, why->spec_code, "%s", why->text);
    return mb_bad();
}

struct mb_value mb_emit(struct mb_check *c, enum mb_op op, const uint32_t *operands,
                        const union mb_attr *attr, const struct mb_type *given,
                        struct mb_ast_span at) {
    struct mb_shape_error why = {.code = NULL};
    const struct mb_type *types[2] = {NULL, NULL};
    size_t bytes;
    if (!reserve_node(c)) return mb_bad();
    struct mb_node *n = &c->nodes[c->n_nodes];
    n->op = op;
    n->n_operands = mb_op_info(op)->n_operands;
    n->id = c->n_nodes;
    uint8_t tag = MB_TAG_NONE;
    for (uint32_t k = 0; k < n->n_operands; k++) {
        n->operand[k] = operands[k];
        types[k] = &c->nodes[operands[k]].type;
        if (c->tags[operands[k]] != MB_TAG_NONE) tag = c->tags[operands[k]];
    }
    if (attr) n->attr = *attr;
    if (!mb_op_infer(op, types, &n->attr, given, c->symbols, &n->type, &why))
        return refuse(c, at, &why);
    if (mb_shape_is_concrete(&n->type.shape) && !mb_type_bytes(&n->type, &bytes)) {
        char text[160];
        mb_check_error(c, at, "E2102", NULL, "%s: the result %s is too large", mb_op_info(op)->name,
                       mb_type_text(text, sizeof text, &n->type, NULL));
        return mb_bad();
    }
    /* add and mul print their operands by ascending id, as the MIND compiler orders them */
    if ((op == MB_OP_ADD || op == MB_OP_MUL) && n->operand[0] > n->operand[1]) {
        uint32_t first = n->operand[0];
        n->operand[0] = n->operand[1];
        n->operand[1] = first;
    }
    bool keeps_tag = mb_op_info(op)->attr == MB_ATTR_NONE && op != MB_OP_MATMUL;
    if (op == MB_OP_CONV2D)
        tag = attr->conv.layout == MB_NCHW ? MB_TAG_NCHW : MB_TAG_NHWC;
    else if (op == MB_OP_MAXPOOL2D || op == MB_OP_AVGPOOL2D)
        tag = attr->pool.layout == MB_NCHW ? MB_TAG_NCHW : MB_TAG_NHWC;
    else if (!keeps_tag)
        tag = MB_TAG_NONE;
    c->tags[c->n_nodes] = tag;
    return (struct mb_value){.kind = MB_VALUE_TENSOR, .u.node = c->n_nodes++};
}

/* Stores a scalar as one element of `dtype`; reported when it has no such value. */
static bool store_scalar(struct mb_check *c, struct mb_value v, enum mb_dtype dtype, void *out,
                         size_t index, struct mb_ast_span at) {
    bool to_float = dtype == MB_F32 || dtype == MB_F64;
    bool fits = v.kind == MB_VALUE_BOOL    ? dtype == MB_BOOL
                : v.kind == MB_VALUE_FLOAT ? to_float
                                           : is_number(v) && dtype != MB_BOOL;
    if (!fits) {
        mb_check_error(c, at, "E2001", "E2004", "%s is no value of element type %s", kind_text(v),
                       mb_dtype_name(dtype));
        return false;
    }
    int64_t i = v.kind == MB_VALUE_DIM ? 1 : v.u.integer;
    double number = v.kind == MB_VALUE_FLOAT ? v.u.number : (double)i;
    if (dtype == MB_I32 && (i < INT32_MIN || i > INT32_MAX)) {
        mb_check_error(c, at, "E2004", NULL, "integer %" PRId64 " does not fit i32", i);
        return false;
    }
    if (dtype == MB_F32 && isfinite(number) && fabs(number) > (double)3.4028235677973366e38) {
        mb_check_error(c, at, "E2004", NULL, "%g does not fit f32", number);
        return false;
    }
    switch (dtype) {
    case MB_F32: ((float *)out)[index] = (float)number; break;
    case MB_F64: ((double *)out)[index] = number; break;
    case MB_I32: ((int32_t *)out)[index] = (int32_t)i; break;
    case MB_I64: ((int64_t *)out)[index] = i; break;
    case MB_BOOL: ((uint8_t *)out)[index] = (uint8_t)(i != 0); break;
    }
    return true;
}

struct mb_value mb_emit_fill(struct mb_check *c, struct mb_value v, const struct mb_type *type,
                             struct mb_ast_span at) {
    union {
        float f32;
        double f64;
        int32_t i32;
        int64_t i64;
        uint8_t truth;
    } element;
    union mb_attr attr = {.fill = {0.0}};
    if (!store_scalar(c, v, type->dtype, &element, 0, at)) return mb_bad();
    switch (type->dtype) {
    case MB_F32: attr.fill.value = (double)element.f32; break;
    case MB_F64: attr.fill.value = element.f64; break;
    case MB_I32: attr.fill.value = element.i32; break;
    case MB_BOOL: attr.fill.value = element.truth; break;
    case MB_I64:
        attr.fill.value = (double)element.i64;
        if (element.i64 > (int64_t)1 << 53 || element.i64 < -((int64_t)1 << 53)) {
            mb_check_error(c, at, "E2004", NULL,
                           "integer %" PRId64 " is too large for a constant tensor", element.i64);
            return mb_bad();
        }
        break;
    }
    return mb_emit(c, MB_OP_FILL, NULL, &attr, type, at);
}

bool mb_value_tensor(struct mb_check *c, struct mb_value v, struct mb_ast_span at,
                     const enum mb_dtype *dtype, uint32_t *node) {
    if (is_scalar(v)) {
        struct mb_type type = {dtype ? *dtype : natural_dtype(v), {.rank = 0}};
        v = mb_emit_fill(c, v, &type, at);
    }
    if (v.kind == MB_VALUE_TENSOR) {
        *node = v.u.node;
        return true;
    }
    if (v.kind != MB_VALUE_BAD)
        mb_check_error(c, at, "E2001", NULL, "expected a tensor, not %s", kind_text(v));
    return false;
}

bool mb_check_tensor(struct mb_check *c, const struct mb_ast_expr *e, const enum mb_dtype *dtype,
                     uint32_t *node) {
    return mb_value_tensor(c, mb_check_expr(c, e, dtype), e->at, dtype, node);
}

bool mb_check_int(struct mb_check *c, const struct mb_ast_expr *e, const char *what, int64_t *out) {
    struct mb_value v = mb_check_expr(c, e, NULL);
    if (v.kind == MB_VALUE_INT) {
        *out = v.u.integer;
        return true;
    }
    if (v.kind == MB_VALUE_TENSOR)
        mb_check_error(c, e->at, "E2001", NULL, "%s must be known at compile time", what);
    else if (v.kind != MB_VALUE_BAD && v.kind != MB_VALUE_DIM) /* an extent will be known then */
        mb_check_error(c, e->at, "E2001", NULL, "%s must be an integer, not %s", what,
                       kind_text(v));
    return false;
}

struct mb_value mb_emit_binary(struct mb_check *c, enum mb_op op, uint32_t a, uint32_t b,
                               struct mb_ast_span at) {
    bool a_is_image = c->nodes[a].type.shape.rank == 4;
    uint32_t image = a_is_image ? a : b, bias = a_is_image ? b : a;
    const struct mb_shape *wide = &c->nodes[image].type.shape, *flat = &c->nodes[bias].type.shape;
    struct mb_shape ignored;
    if (op != MB_OP_MATMUL && c->tags[image] == MB_TAG_NCHW && wide->rank == 4 && flat->rank == 1 &&
        flat->dim[0] == wide->dim[1] && !mb_shape_broadcast(wide, flat, &ignored)) {
        char text[96];
        union mb_attr attr = {.shape = {{4, {1, flat->dim[0], 1, 1}}}};
        struct mb_diag_record *r = mb_check_warning(
            c, at, "shape::channel_bias", "a rank-1 operand is added along the channels of %s",
            mb_shape_text(text, sizeof text, wide, c->symbols));
        mb_diags_help(c->diags, r, "write reshape(.., [1, C, 1, 1]) to say so");
        struct mb_value v = mb_emit(c, MB_OP_RESHAPE, &bias, &attr, NULL, at);
        if (v.kind != MB_VALUE_TENSOR) return v;
        if (a_is_image)
            b = v.u.node;
        else
            a = v.u.node;
    }
    return mb_emit(c, op, (uint32_t[]){a, b}, NULL, NULL, at);
}

/* ---- operators ---- */

static enum mb_op tensor_op(uint8_t op) {
    switch (op) {
    case MB_TOK_PLUS:
    case MB_TOK_DOT_PLUS: return MB_OP_ADD;
    case MB_TOK_MINUS:
    case MB_TOK_DOT_MINUS: return MB_OP_SUB;
    case MB_TOK_STAR:
    case MB_TOK_DOT_STAR: return MB_OP_MUL;
    case MB_TOK_SLASH:
    case MB_TOK_DOT_SLASH: return MB_OP_DIV;
    case MB_TOK_AT: return MB_OP_MATMUL;
    default: return MB_OP_COUNT;
    }
}

static struct mb_value bool_value(bool truth) {
    return (struct mb_value){.kind = MB_VALUE_BOOL, .u.integer = truth};
}

static struct mb_value no_operator(struct mb_check *c, uint8_t op, struct mb_value v,
                                   struct mb_ast_span at) {
    mb_check_error(c, at, "E2001", "E2004", "`%s` is not defined for %s", mb_token_kind_text(op),
                   kind_text(v));
    return mb_bad();
}

static struct mb_value fold_ints(struct mb_check *c, uint8_t op, int64_t a, int64_t b,
                                 struct mb_ast_span at) {
    int64_t r = 0;
    bool overflow = false;
    switch (op) {
    case MB_TOK_PLUS: overflow = __builtin_add_overflow(a, b, &r); break;
    case MB_TOK_MINUS: overflow = __builtin_sub_overflow(a, b, &r); break;
    case MB_TOK_STAR: overflow = __builtin_mul_overflow(a, b, &r); break;
    case MB_TOK_SLASH:
    case MB_TOK_PERCENT:
        if (b == 0) return type_error(c, at, "E2001", "division by zero");
        overflow = b == -1 && a == INT64_MIN;
        if (!overflow) r = op == MB_TOK_SLASH ? a / b : a % b;
        break;
    case MB_TOK_AND: r = a & b; break;
    case MB_TOK_OR: r = a | b; break;
    case MB_TOK_XOR: r = a ^ b; break;
    case MB_TOK_SHL:
    case MB_TOK_SHR:
        if (b < 0 || b > 63) return type_error(c, at, "E2001", "shift outside 0..63");
        r = op == MB_TOK_SHL ? (int64_t)((uint64_t)a << b) : a >> b;
        break;
    case MB_TOK_EQ: return bool_value(a == b);
    case MB_TOK_NE: return bool_value(a != b);
    case MB_TOK_LT: return bool_value(a < b);
    case MB_TOK_LE: return bool_value(a <= b);
    case MB_TOK_GT: return bool_value(a > b);
    case MB_TOK_GE: return bool_value(a >= b);
    default: return no_operator(c, op, int_value(a), at);
    }
    if (overflow) return type_error(c, at, "E2001", "integer overflow");
    return int_value(r);
}

static struct mb_value fold_floats(struct mb_check *c, uint8_t op, double a, double b,
                                   struct mb_ast_span at) {
    struct mb_value r = {.kind = MB_VALUE_FLOAT};
    switch (op) {
    case MB_TOK_PLUS: r.u.number = a + b; break;
    case MB_TOK_MINUS: r.u.number = a - b; break;
    case MB_TOK_STAR: r.u.number = a * b; break;
    case MB_TOK_SLASH: r.u.number = a / b; break;
    case MB_TOK_PERCENT: r.u.number = fmod(a, b); break;
    case MB_TOK_EQ: return bool_value(a == b);
    case MB_TOK_NE: return bool_value(a != b);
    case MB_TOK_LT: return bool_value(a < b);
    case MB_TOK_LE: return bool_value(a <= b);
    case MB_TOK_GT: return bool_value(a > b);
    case MB_TOK_GE: return bool_value(a >= b);
    default: r.u.number = 0.0; return no_operator(c, op, r, at);
    }
    return r;
}

static struct mb_value fold_bools(struct mb_check *c, uint8_t op, bool a, bool b,
                                  struct mb_ast_span at) {
    switch (op) {
    case MB_TOK_AND_AND:
    case MB_TOK_AND: return bool_value(a && b);
    case MB_TOK_OR_OR:
    case MB_TOK_OR: return bool_value(a || b);
    case MB_TOK_XOR:
    case MB_TOK_NE: return bool_value(a != b);
    case MB_TOK_EQ: return bool_value(a == b);
    default: return no_operator(c, op, bool_value(a), at);
    }
}

/* Dotted operators on scalars are the plain ones. */
static uint8_t plain_operator(uint8_t op) {
    switch (op) {
    case MB_TOK_DOT_PLUS: return MB_TOK_PLUS;
    case MB_TOK_DOT_MINUS: return MB_TOK_MINUS;
    case MB_TOK_DOT_STAR: return MB_TOK_STAR;
    case MB_TOK_DOT_SLASH: return MB_TOK_SLASH;
    default: return op;
    }
}

static struct mb_value fold(struct mb_check *c, uint8_t op, struct mb_value a, struct mb_value b,
                            struct mb_ast_span at) {
    struct mb_value r;
    op = plain_operator(op);
    if (a.kind == MB_VALUE_BOOL && b.kind == MB_VALUE_BOOL) {
        r = fold_bools(c, op, a.u.integer, b.u.integer, at);
    } else if (a.kind == MB_VALUE_FLOAT && b.kind == MB_VALUE_FLOAT) {
        r = fold_floats(c, op, a.u.number, b.u.number, at);
    } else if (a.kind == MB_VALUE_INT && b.kind == MB_VALUE_INT) {
        r = fold_ints(c, op, a.u.integer, b.u.integer, at);
    } else if (a.kind == MB_VALUE_BOOL || b.kind == MB_VALUE_BOOL) {
        return no_operator(c, op, a.kind == MB_VALUE_BOOL ? b : a, at);
    } else if (a.kind == MB_VALUE_FLOAT || b.kind == MB_VALUE_FLOAT) {
        return type_error(c, at, "E2013", "an integer and a floating-point scalar do not mix");
    } else { /* an extent that is not bound yet */
        bool compares = op >= MB_TOK_EQ && op <= MB_TOK_GE;
        return compares ? mb_bad() : extent_value(MB_DIM_UNKNOWN);
    }
    if (a.has_dtype || b.has_dtype) {
        r.has_dtype = r.kind == a.kind;
        r.dtype = a.has_dtype ? a.dtype : b.dtype;
    }
    return r;
}

/* lhs op rhs, whose values are at hand. */
static struct mb_value binary(struct mb_check *c, uint8_t op, struct mb_value a, struct mb_value b,
                              const struct mb_ast_expr *lhs, const struct mb_ast_expr *rhs) {
    struct mb_ast_span at = {lhs->at.pos, rhs->at.end};
    if (a.kind == MB_VALUE_BAD || b.kind == MB_VALUE_BAD) return mb_bad();
    if (is_scalar(a) && is_scalar(b)) return fold(c, op, a, b, at);
    if (a.kind != MB_VALUE_TENSOR && !is_scalar(a)) return no_operator(c, op, a, at);
    if (b.kind != MB_VALUE_TENSOR && !is_scalar(b)) return no_operator(c, op, b, at);
    enum mb_op node_op = tensor_op(op);
    if (node_op == MB_OP_COUNT)
        return mb_check_outside(c, at, "E2001", "`%s` on tensors is outside the inference subset",
                                mb_token_kind_text(op));
    enum mb_dtype dtype = c->nodes[a.kind == MB_VALUE_TENSOR ? a.u.node : b.u.node].type.dtype;
    uint32_t x, y;
    if (!mb_value_tensor(c, a, lhs->at, &dtype, &x) || !mb_value_tensor(c, b, rhs->at, &dtype, &y))
        return mb_bad();
    c->spelling = op;
    struct mb_value v = mb_emit_binary(c, node_op, x, y, at);
    c->spelling = MB_TOK_END;
    return v;
}

/* The element type of a tensor, for a bracket list beside it. */
static const enum mb_dtype *dtype_of(const struct mb_check *c, struct mb_value v,
                                     enum mb_dtype *room) {
    if (v.kind != MB_VALUE_TENSOR) return NULL;
    *room = c->nodes[v.u.node].type.dtype;
    return room;
}

static struct mb_value apply(struct mb_check *c, const struct mb_ast_expr *e, struct mb_value lhs) {
    enum mb_dtype room;
    struct mb_value rhs = mb_check_expr(c, e->u.of.rhs, dtype_of(c, lhs, &room));
    return binary(c, e->op, lhs, rhs, e->u.of.lhs, e->u.of.rhs);
}

/* A chain of operators leans left and may be long: it is walked down once and computed upwards. */
static struct mb_value check_binary(struct mb_check *c, const struct mb_ast_expr *e,
                                    const enum mb_dtype *dtype) {
    const struct mb_ast_expr *deepest = e->u.of.lhs;
    uint32_t n = 1;
    for (; deepest->kind == MB_EXPR_BINARY; deepest = deepest->u.of.lhs) n++;
    struct mb_value v;
    enum mb_dtype room;
    if (n == 1) {
        if (deepest->kind != MB_EXPR_LIST || e->u.of.rhs->kind == MB_EXPR_LIST)
            return apply(c, e, mb_check_expr(c, deepest, dtype));
        struct mb_value rhs = mb_check_expr(c, e->u.of.rhs, dtype);
        v = mb_check_expr(c, deepest, dtype_of(c, rhs, &room));
        return binary(c, e->op, v, rhs, deepest, e->u.of.rhs);
    }
    const struct mb_ast_expr **chain = mb_arena_alloc(c->arena, n * sizeof(void *));
    if (!chain) {
        c->failed = c->stop = true;
        return mb_bad();
    }
    for (uint32_t i = n; i; e = e->u.of.lhs) chain[--i] = e;
    v = mb_check_expr(c, deepest, dtype);
    for (uint32_t i = 0; i < n && !c->stop; i++) v = apply(c, chain[i], v);
    return v;
}

static struct mb_value check_unary(struct mb_check *c, const struct mb_ast_expr *e,
                                   const enum mb_dtype *dtype) {
    struct mb_value v = mb_check_expr(c, e->u.of.lhs, dtype);
    if (v.kind == MB_VALUE_BAD) return v;
    if (e->op == MB_TOK_NOT && v.kind == MB_VALUE_BOOL) {
        v.u.integer = !v.u.integer;
        return v;
    }
    if (e->op == MB_TOK_TILDE && v.kind == MB_VALUE_INT) {
        v.u.integer = ~v.u.integer;
        return v;
    }
    if (e->op == MB_TOK_MINUS) {
        if (v.kind == MB_VALUE_TENSOR) return mb_emit(c, MB_OP_NEG, &v.u.node, NULL, NULL, e->at);
        if (v.kind == MB_VALUE_DIM) return extent_value(MB_DIM_UNKNOWN);
        if (v.kind == MB_VALUE_FLOAT) {
            v.u.number = -v.u.number;
            return v;
        }
        if (v.kind == MB_VALUE_INT) {
            v.u.integer = (int64_t)(0 - (uint64_t)v.u.integer);
            return v;
        }
    } else if (v.kind == MB_VALUE_TENSOR) {
        return mb_check_outside(c, e->at, "E2001",
                                "`%s` on tensors is outside the inference subset",
                                mb_token_kind_text(e->op));
    }
    return no_operator(c, e->op, v, e->at);
}

/* ---- types ---- */

static const struct mb_ast_type *resolve_alias(struct mb_check *c, const struct mb_ast_type *t) {
    for (int hops = 0; t->kind == MB_TYPE_NAME; hops++) {
        const struct mb_ast_item *item = find_item(c, t->name);
        if (!item || item->kind != MB_ITEM_ALIAS || !item->type) break;
        if (hops == 32) {
            mb_check_error(c, t->at, "E2001", NULL, "type alias `%.*s` depends on itself",
                           NAME(c, t->name));
            return NULL;
        }
        t = item->type;
    }
    return t;
}

static struct mb_value const_value(struct mb_check *c, struct mb_ast_item *item);

/* What a dimension's name stands for. */
enum extent_kind { EXTENT_BAD, EXTENT_KNOWN, EXTENT_SYMBOL, EXTENT_FREE /* bound by nothing */ };

static enum extent_kind named_extent(struct mb_check *c, const struct mb_ast_dim *d, int64_t *out) {
    struct mb_ast_item *item = find_item(c, d->name);
    const struct mb_local *local = find_local(c, d->name);
    struct mb_value v;
    if (local && (local->value.kind == MB_VALUE_INT || local->value.kind == MB_VALUE_DIM)) {
        *out = local->value.u.integer;
        return local->is_symbol ? EXTENT_SYMBOL : EXTENT_KNOWN;
    }
    if (!item || item->kind != MB_ITEM_CONST) return EXTENT_FREE;
    v = const_value(c, item);
    if (v.kind == MB_VALUE_INT) {
        *out = v.u.integer;
        return EXTENT_KNOWN;
    }
    if (v.kind != MB_VALUE_BAD)
        mb_check_error(c, d->at, "E2001", NULL, "dimension `%.*s` is %s, not an integer",
                       NAME(c, d->name), kind_text(v));
    return EXTENT_BAD;
}

static bool check_extent(struct mb_check *c, int64_t extent, struct mb_ast_span at) {
    if (extent >= 1 && extent <= MAX_EXTENT) return true;
    mb_check_error(c, at, "E2102", extent == 0 ? "E3006" : NULL,
                   extent < 1 ? "dimension %" PRId64 " is not positive"
                              : "dimension %" PRId64 " is too large",
                   extent);
    return false;
}

/* One dimension; a free name becomes MB_DIM_UNKNOWN. */
static enum extent_kind dim_extent(struct mb_check *c, const struct mb_ast_dim *d, int64_t *out) {
    enum extent_kind kind = EXTENT_KNOWN;
    *out = d->extent > (uint64_t)INT64_MAX ? INT64_MAX : (int64_t)d->extent;
    if (d->name != MB_NO_NAME) kind = named_extent(c, d, out);
    if (kind == EXTENT_FREE) *out = MB_DIM_UNKNOWN;
    if (kind == EXTENT_KNOWN && !check_extent(c, *out, d->at)) return EXTENT_BAD;
    return kind;
}

static bool element_type(struct mb_check *c, const struct mb_ast_type *t, enum mb_dtype *dtype) {
    if (mb_check_dtype(c, t->name, dtype)) return true;
    mb_check_outside(c, t->at, "E2001", "element type `%.*s` is not supported", NAME(c, t->name));
    return false;
}

/* A tensor or scalar type. `wildcards`: a symbol agrees with every extent, as an annotation has it.
 * `free_dim` gets the first dimension whose name nothing binds. False when reported. */
static bool tensor_type(struct mb_check *c, const struct mb_ast_type *t, bool wildcards,
                        struct mb_type *out, const struct mb_ast_dim **free_dim) {
    out->shape.rank = 0;
    *free_dim = NULL;
    if (!element_type(c, t, &out->dtype)) return false;
    if (t->kind == MB_TYPE_NAME) return true;
    if (t->n_dims > MB_MAX_RANK) {
        mb_check_error(c, t->at, "E2102", "E3002", "rank %" PRIu32 " is more than %d", t->n_dims,
                       MB_MAX_RANK);
        return false;
    }
    for (const struct mb_ast_dim *d = t->dims; d; d = d->next) {
        int64_t extent;
        enum extent_kind kind = dim_extent(c, d, &extent);
        if (kind == EXTENT_BAD) return false;
        if (kind == EXTENT_FREE && !*free_dim) *free_dim = d;
        if (kind == EXTENT_SYMBOL && wildcards) extent = MB_DIM_UNKNOWN;
        out->shape.dim[out->shape.rank++] = extent;
    }
    return true;
}

static bool extents_agree(int64_t a, int64_t b) {
    return a == b || a == MB_DIM_UNKNOWN || b == MB_DIM_UNKNOWN;
}

/* Compares a declared type with a value's; `what` names the value. */
static bool types_agree(struct mb_check *c, const struct mb_type *declared,
                        const struct mb_type *actual, const char *what, struct mb_ast_span at) {
    char a[160], b[160];
    const char *code = NULL, *spec_code = NULL;
    if (declared->dtype != actual->dtype) {
        code = "shape::dtype_mismatch";
        spec_code = "E2004";
    } else if (declared->shape.rank != actual->shape.rank) {
        code = "shape::rank_mismatch";
        spec_code = "E3002";
    } else {
        for (int32_t i = 0; i < declared->shape.rank; i++)
            if (!extents_agree(declared->shape.dim[i], actual->shape.dim[i])) {
                code = "shape::dim_mismatch";
                spec_code = "E3003";
            }
    }
    if (!code) return true;
    mb_check_error(c, at, code, spec_code, "%s is declared %s and is %s", what,
                   mb_type_text(a, sizeof a, declared, c->symbols),
                   mb_type_text(b, sizeof b, actual, c->symbols));
    return false;
}

/* A scalar that is known now, as a value of a declared scalar type. */
static struct mb_value convert_scalar(struct mb_check *c, struct mb_value v, enum mb_dtype dtype,
                                      const char *code, struct mb_ast_span at) {
    bool to_float = dtype == MB_F32 || dtype == MB_F64;
    bool fits = v.kind == MB_VALUE_BOOL    ? dtype == MB_BOOL
                : v.kind == MB_VALUE_FLOAT ? to_float
                                           : dtype != MB_BOOL;
    if (!fits) {
        mb_check_error(c, at, code, "E2001", "%s is not of the declared type %s", kind_text(v),
                       mb_dtype_name(dtype));
        return mb_bad();
    }
    if (dtype == MB_I32 && v.kind == MB_VALUE_INT &&
        (v.u.integer < INT32_MIN || v.u.integer > INT32_MAX)) {
        mb_check_error(c, at, "E2004", NULL, "integer %" PRId64 " does not fit i32", v.u.integer);
        return mb_bad();
    }
    if (to_float && v.kind == MB_VALUE_INT)
        v = (struct mb_value){.kind = MB_VALUE_FLOAT, .u.number = (double)v.u.integer};
    v.has_dtype = true;
    v.dtype = (uint8_t)dtype;
    return v;
}

/* What a declared type is for: a `let`, const or field, which a scalar may fill and whose symbols
 * agree with everything; an argument; a result. */
enum purpose { FOR_LET, FOR_ARGUMENT, FOR_RESULT };

static const struct {
    const char *what, *class_code;
} purposes[] = {{"the value", "E2015"}, {"the argument", "E2001"}, {"the result", "E2010"}};

static struct mb_tuple *new_tuple(struct mb_check *c, uint32_t n) {
    struct mb_tuple *t = mb_arena_calloc(c->arena, 1, sizeof *t + n * sizeof *t->item);
    if (!t) {
        c->failed = c->stop = true;
        return NULL;
    }
    t->n = n;
    t->depth = 1;
    return t;
}

/* Puts one element; false when it nests too deeply, which is reported. */
static bool put_element(struct mb_check *c, struct mb_tuple *t, uint32_t i, struct mb_value v,
                        struct mb_ast_span at) {
    t->item[i] = v;
    if (v.kind != MB_VALUE_TUPLE && v.kind != MB_VALUE_STRUCT) return true;
    if (t->depth <= v.u.tuple->depth) t->depth = v.u.tuple->depth + 1;
    if (t->depth <= MAX_TUPLE_DEPTH) return true;
    mb_check_error(c, at, "E2620", NULL, "tuples nest more than %d deep", MAX_TUPLE_DEPTH);
    return false;
}

static struct mb_value conform(struct mb_check *c, struct mb_value v, const struct mb_ast_type *t,
                               enum purpose purpose, struct mb_ast_span at);

static struct mb_value conform_tuple(struct mb_check *c, struct mb_value v,
                                     const struct mb_ast_type *t, enum purpose purpose,
                                     struct mb_ast_span at) {
    uint32_t n = 0, k = 0;
    for (const struct mb_ast_type *i = t->items; i; i = i->next) n++;
    if (n == 0 && v.kind == MB_VALUE_NONE) return v;
    if (v.kind != MB_VALUE_TUPLE) {
        mb_check_error(c, at, purposes[purpose].class_code, NULL,
                       "%s is declared a tuple and is %s", purposes[purpose].what, kind_text(v));
        return mb_bad();
    }
    if (v.u.tuple->n != n) {
        mb_check_error(c, at, "E2620", NULL,
                       "%s is declared with %" PRIu32 " elements and has %" PRIu32,
                       purposes[purpose].what, n, v.u.tuple->n);
        return mb_bad();
    }
    struct mb_tuple *copy = new_tuple(c, n);
    if (!copy) return mb_bad();
    for (const struct mb_ast_type *i = t->items; i; i = i->next, k++) {
        struct mb_value element = conform(c, v.u.tuple->item[k], i, purpose, at);
        if (!put_element(c, copy, k, element, at)) return mb_bad();
    }
    return (struct mb_value){.kind = MB_VALUE_TUPLE, .u.tuple = copy};
}

/* A value as one of a declared type. */
static struct mb_value conform(struct mb_check *c, struct mb_value v, const struct mb_ast_type *t,
                               enum purpose purpose, struct mb_ast_span at) {
    struct mb_type type, exact;
    const struct mb_ast_dim *free_dim;
    const char *class_code = purposes[purpose].class_code, *what = purposes[purpose].what;
    const bool fills = purpose == FOR_LET;
    if (v.kind == MB_VALUE_BAD || !(t = resolve_alias(c, t))) return mb_bad();
    if (t->kind == MB_TYPE_NAME && t->name >= MB_NAME_U8 && t->name <= MB_NAME_ISIZE &&
        (v.kind == MB_VALUE_INT || v.kind == MB_VALUE_DIM))
        return v;
    if (t->kind == MB_TYPE_NAME && t->name == MB_NAME_UNIT_TYPE && v.kind == MB_VALUE_NONE)
        return v;
    const struct mb_ast_item *item =
        t->kind == MB_TYPE_NAME && !mb_check_dtype(c, t->name, &type.dtype) ? find_item(c, t->name)
                                                                            : NULL;
    if (item && item->kind == MB_ITEM_STRUCT) {
        if (v.kind == MB_VALUE_STRUCT && v.u.tuple->type == item) return v;
        mb_check_error(c, at, class_code, NULL, "%s is declared `%.*s` and is %s", what,
                       NAME(c, t->name), kind_text(v));
        return mb_bad();
    }
    if (t->kind == MB_TYPE_TUPLE) return conform_tuple(c, v, t, purpose, at);
    if (t->kind == MB_TYPE_OTHER)
        return mb_check_outside(c, t->at, "E2001", "this type is outside the inference subset");
    if (!tensor_type(c, t, fills, &type, &free_dim)) return mb_bad();
    if (v.kind == MB_VALUE_TENSOR) {
        struct mb_type actual = c->nodes[v.u.node].type;
        return types_agree(c, &type, &actual, what, at) ? v : mb_bad();
    }
    if (!is_scalar(v)) {
        mb_check_error(c, at, class_code, NULL, "%s is declared a tensor and is %s", what,
                       kind_text(v));
        return mb_bad();
    }
    if (t->kind == MB_TYPE_NAME) return convert_scalar(c, v, type.dtype, class_code, at);
    if (type.shape.rank && !fills) {
        char text[160];
        mb_check_error(c, at, class_code, NULL, "%s is declared %s and is a scalar", what,
                       mb_type_text(text, sizeof text, &type, c->symbols));
        return mb_bad();
    }
    if (!tensor_type(c, t, false, &exact, &free_dim)) return mb_bad();
    if (free_dim) return unknown_name(c, free_dim->at, free_dim->name, false);
    return mb_emit_fill(c, v, &exact, at);
}

/* `e as T`: between scalars that are known now; a tensor may only be cast to what it is. */
static struct mb_value check_cast(struct mb_check *c, const struct mb_ast_expr *e) {
    struct mb_value v = mb_check_expr(c, e->u.of.lhs, NULL);
    const struct mb_ast_type *t = resolve_alias(c, e->u.of.type);
    struct mb_type type;
    const struct mb_ast_dim *free_dim;
    if (v.kind == MB_VALUE_BAD || !t) return mb_bad();
    if (t->kind != MB_TYPE_NAME && t->kind != MB_TYPE_TENSOR)
        return mb_check_outside(c, t->at, "E2001", "this type is outside the inference subset");
    if (t->kind == MB_TYPE_NAME && t->name >= MB_NAME_U8 && t->name <= MB_NAME_ISIZE &&
        (v.kind == MB_VALUE_INT || v.kind == MB_VALUE_DIM))
        return v;
    if (!tensor_type(c, t, true, &type, &free_dim)) return mb_bad();
    if (v.kind == MB_VALUE_TENSOR) {
        if (c->nodes[v.u.node].type.dtype == type.dtype) return v;
        return mb_check_outside(c, e->at, "E2001",
                                "a cast of tensors is outside the inference subset");
    }
    if (!is_scalar(v)) return no_operator(c, MB_TOK_AS, v, e->at);
    bool to_float = type.dtype == MB_F32 || type.dtype == MB_F64;
    if (v.kind == MB_VALUE_FLOAT && !to_float) {
        if (!(fabs(v.u.number) < 9.2e18))
            return type_error(c, e->at, "E2001", "the number does not fit an integer");
        v = int_value((int64_t)v.u.number);
    }
    if (v.kind == MB_VALUE_BOOL && type.dtype != MB_BOOL) v = int_value(v.u.integer);
    return convert_scalar(c, v, type.dtype, "E2001", e->at);
}

/* ---- literals and lists ---- */

static struct mb_value check_int_literal(const struct mb_ast_expr *e) {
    struct mb_value v = int_value((int64_t)e->u.integer);
    if (e->suffix == MB_NAME_I32 || e->suffix == MB_NAME_I64) {
        v.has_dtype = true;
        v.dtype = e->suffix == MB_NAME_I32 ? MB_I32 : MB_I64;
    }
    return v;
}

/* The shape of nested bracket lists; the elements of a level must agree. */
static bool list_shape(struct mb_check *c, const struct mb_ast_expr *list, struct mb_shape *shape) {
    shape->rank = 0;
    for (const struct mb_ast_expr *e = list; e && e->kind == MB_EXPR_LIST; e = e->u.call.args) {
        if (e->u.call.n_args == 0 || shape->rank == MB_MAX_RANK) {
            mb_check_error(c, e->at, "E2102", "E3006",
                           e->u.call.n_args ? "this list is nested more than %d deep"
                                            : "an empty list is no tensor (rank is 1..%d)",
                           MB_MAX_RANK);
            return false;
        }
        shape->dim[shape->rank++] = e->u.call.n_args;
    }
    return true;
}

struct elements {
    struct mb_value *values;
    size_t n;
    bool any_float, any_bool;
};

static bool gather_elements(struct mb_check *c, const struct mb_ast_expr *list,
                            const struct mb_shape *shape, int32_t level, struct elements *out) {
    if ((int64_t)list->u.call.n_args != shape->dim[level]) {
        mb_check_error(c, list->at, "E2102", "E3010",
                       "the rows of this list differ: %" PRIu32 " elements instead of %" PRId64,
                       list->u.call.n_args, shape->dim[level]);
        return false;
    }
    if (!spend(c, list->u.call.n_args, list->at)) return false;
    for (const struct mb_ast_expr *e = list->u.call.args; e; e = e->next) {
        if ((e->kind == MB_EXPR_LIST) != (level + 1 < shape->rank)) {
            mb_check_error(c, e->at, "E2102", "E3010", "the rows of this list differ in rank");
            return false;
        }
        if (e->kind == MB_EXPR_LIST) {
            if (!gather_elements(c, e, shape, level + 1, out)) return false;
            continue;
        }
        struct mb_value v = mb_check_expr(c, e, NULL);
        if (v.kind == MB_VALUE_TENSOR)
            v = mb_check_outside(c, e->at, "E2001",
                                 "a list of values computed at run time is outside the inference "
                                 "subset");
        else if (v.kind != MB_VALUE_BAD && !is_scalar(v))
            v = no_operator(c, MB_TOK_LBRACKET, v, e->at);
        if (v.kind == MB_VALUE_BAD) return false;
        out->any_float |= v.kind == MB_VALUE_FLOAT;
        out->any_bool |= v.kind == MB_VALUE_BOOL;
        out->values[out->n++] = v;
    }
    return true;
}

/* A list outside a call's shape and axis arguments is a constant tensor. */
static struct mb_value check_list(struct mb_check *c, const struct mb_ast_expr *e,
                                  const enum mb_dtype *dtype) {
    struct mb_type type;
    struct elements elements = {NULL, 0, false, false};
    size_t count;
    /* no more elements than the source has bytes: a longer product means rows that differ */
    if (!list_shape(c, e, &type.shape)) return mb_bad();
    if (!mb_shape_count(&type.shape, &count) || count > c->source->len) count = c->source->len;
    elements.values = mb_arena_calloc(c->arena, count, sizeof *elements.values);
    if (!elements.values) {
        c->failed = c->stop = true;
        return mb_bad();
    }
    if (!gather_elements(c, e, &type.shape, 0, &elements)) return mb_bad();
    type.dtype = dtype                ? *dtype
                 : elements.any_float ? MB_F32
                 : elements.any_bool  ? MB_BOOL
                                      : MB_I32;
    void *data = mb_arena_calloc(c->arena, elements.n, mb_dtype_size(type.dtype));
    if (!data) {
        c->failed = c->stop = true;
        return mb_bad();
    }
    for (size_t i = 0; i < elements.n; i++)
        if (!store_scalar(c, elements.values[i], type.dtype, data, i, e->at)) return mb_bad();
    union mb_attr attr = {.dense = {data}};
    return mb_emit(c, MB_OP_DENSE, NULL, &attr, &type, e->at);
}

static struct mb_value check_tuple(struct mb_check *c, const struct mb_ast_expr *e,
                                   const enum mb_dtype *dtype) {
    if (e->u.call.n_args == 0) return (struct mb_value){.kind = MB_VALUE_NONE};
    if (e->u.call.n_args > MAX_TUPLE)
        return type_error(c, e->at, "E2620", "this tuple has more than 64 elements");
    struct mb_tuple *t = new_tuple(c, e->u.call.n_args);
    uint32_t i = 0;
    if (!t) return mb_bad();
    for (const struct mb_ast_expr *a = e->u.call.args; a; a = a->next)
        if (!put_element(c, t, i++, mb_check_expr(c, a, dtype), a->at)) return mb_bad();
    return (struct mb_value){.kind = MB_VALUE_TUPLE, .u.tuple = t};
}

static struct mb_value check_struct(struct mb_check *c, const struct mb_ast_expr *e) {
    const struct mb_ast_item *item = find_item(c, e->u.call.name);
    if (!item || item->kind != MB_ITEM_STRUCT) {
        mb_check_error(c, e->at, "E2002", "E2002", "unknown struct `%.*s`",
                       NAME(c, e->u.call.name));
        return mb_bad();
    }
    if (item->n_params > MAX_TUPLE)
        return mb_check_outside(c, e->at, "E2001", "a struct of more than %d fields", MAX_TUPLE);
    struct mb_tuple *t = new_tuple(c, item->n_params);
    uint32_t filled = 0;
    if (!t) return mb_bad();
    t->type = item;
    for (const struct mb_ast_expr *a = e->u.call.args; a; a = a->next) {
        const struct mb_ast_param *field = item->params;
        uint32_t i = 0;
        for (; field && field->name != a->label; field = field->next) i++;
        if (!field) {
            mb_check_error(c, a->at, "E2002", NULL, "struct `%.*s` has no field `%.*s`",
                           NAME(c, item->name), NAME(c, a->label));
            return mb_bad();
        }
        filled += t->item[i].kind == MB_VALUE_NONE;
        struct mb_value v = conform(c, mb_check_expr(c, a, NULL), field->type, FOR_LET, a->at);
        if (!put_element(c, t, i, v, a->at)) return mb_bad();
    }
    if (filled != item->n_params) {
        mb_check_error(c, e->at, "E2005", "E2007",
                       "struct `%.*s` has %" PRIu32 " fields, not %" PRIu32, NAME(c, item->name),
                       item->n_params, filled);
        return mb_bad();
    }
    return (struct mb_value){.kind = MB_VALUE_STRUCT, .u.tuple = t};
}

/* ---- names and fields ---- */

/* A const's value, evaluated once when it is a scalar. */
static struct mb_value const_value(struct mb_check *c, struct mb_ast_item *item) {
    if (item->known) return *item->known;
    if (item->is_busy) {
        mb_check_error(c, item->name_at, "E2001", NULL, "const `%.*s` depends on itself",
                       NAME(c, item->name));
        return mb_bad();
    }
    for (size_t i = 0; i < c->source->n_bindings; i++)
        if (c->bound_names[i] == item->name) return int_value(c->source->bindings[i].extent);
    struct mb_frame frame = {
        .caller = c->frame, .call = {MB_NOWHERE, MB_NOWHERE}, .first_local = c->n_locals};
    struct mb_frame *caller = c->frame;
    item->is_busy = true;
    c->frame = &frame;
    struct mb_value v = mb_check_expr(c, item->value, NULL);
    if (item->type) v = conform(c, v, item->type, FOR_LET, item->value->at);
    c->frame = caller;
    item->is_busy = false;
    if (is_scalar(v) && (item->known = mb_arena_alloc(c->arena, sizeof v))) *item->known = v;
    return v;
}

static struct mb_value check_name(struct mb_check *c, const struct mb_ast_expr *e) {
    uint32_t name = e->u.call.name;
    const struct mb_local *local = find_local(c, name);
    if (local) return local->value;
    struct mb_ast_item *item = find_item(c, name);
    if (item && item->kind == MB_ITEM_CONST) return const_value(c, item);
    if ((item && item->kind == MB_ITEM_FN) || name - MB_NAME_FIRST_BUILTIN < mb_builtin_count())
        return mb_check_outside(c, e->at, "E2001",
                                "a function as a value is outside the inference subset");
    return unknown_name(c, e->at, name, false);
}

/* True when an expression is a path of names that no value begins: `tensor`, `std.math`. */
static bool is_namespace(const struct mb_check *c, const struct mb_ast_expr *e) {
    while (e->kind == MB_EXPR_FIELD) e = e->u.call.base;
    if (e->kind != MB_EXPR_NAME || find_local(c, e->u.call.name)) return false;
    const struct mb_ast_item *item = find_item(c, e->u.call.name);
    return e->u.call.name == MB_NAME_TENSOR || e->u.call.name == MB_NAME_STD ||
           (item && item->kind != MB_ITEM_CONST);
}

static bool is_tensor_namespace(const struct mb_check *c, const struct mb_ast_expr *e) {
    return is_namespace(c, e) && e->u.call.name == MB_NAME_TENSOR;
}

/* `x.T` reverses all axes. */
static struct mb_value transpose_postfix(struct mb_check *c, const struct mb_ast_expr *e,
                                         uint32_t x) {
    int32_t rank = c->nodes[x].type.shape.rank;
    union mb_attr attr = {.perm = {{0}}};
    for (int32_t i = 0; i < rank; i++) attr.perm.perm[i] = (int8_t)(rank - 1 - i);
    if (rank > 2) {
        struct mb_diag_record *r = mb_check_warning(c, e->at, "shape::transpose_rank",
                                                    "`.T` of rank %d reverses all axes", rank);
        mb_diags_help(c->diags, r, "write transpose(x, [..]) with the order meant");
    }
    return mb_emit(c, MB_OP_TRANSPOSE, &x, &attr, NULL, e->at);
}

static struct mb_value check_field(struct mb_check *c, const struct mb_ast_expr *e) {
    if (is_namespace(c, e->u.call.base)) {
        struct mb_ast_item *item = find_item(c, e->u.call.name);
        if (item && item->kind == MB_ITEM_CONST) return const_value(c, item);
        return mb_check_outside(c, e->at, "E2001", "`%.*s` is outside the inference subset",
                                NAME(c, e->u.call.name));
    }
    struct mb_value v = mb_check_expr(c, e->u.call.base, NULL);
    if (v.kind == MB_VALUE_BAD) return v;
    if (v.kind == MB_VALUE_TENSOR && e->u.call.name == MB_NAME_T)
        return transpose_postfix(c, e, v.u.node);
    if (v.kind == MB_VALUE_STRUCT) {
        uint32_t i = 0;
        for (const struct mb_ast_param *f = v.u.tuple->type->params; f; f = f->next, i++)
            if (f->name == e->u.call.name) return v.u.tuple->item[i];
    }
    mb_check_error(c, e->at, "E2002", "E2002", "%s has no field `%.*s`", kind_text(v),
                   NAME(c, e->u.call.name));
    return mb_bad();
}

static struct mb_value check_item(struct mb_check *c, const struct mb_ast_expr *e) {
    struct mb_value v = mb_check_expr(c, e->u.call.base, NULL);
    if (v.kind == MB_VALUE_BAD) return v;
    if (v.kind == MB_VALUE_TUPLE && e->u.call.n_args < v.u.tuple->n)
        return v.u.tuple->item[e->u.call.n_args];
    mb_check_error(c, e->at, "E2620", NULL, "%s has no element %" PRIu32, kind_text(v),
                   e->u.call.n_args);
    return mb_bad();
}

/* ---- calls ---- */

/* One argument's place among named parameters. */
static bool place_argument(struct mb_check *c, const struct mb_ast_expr *a, uint32_t n_params,
                           uint32_t *next, bool *named, uint32_t found, uint32_t callee) {
    if (a->label == MB_NO_NAME) {
        if (*named) {
            mb_check_error(c, a->at, "E2005", "E2007", "a positional argument follows a named one");
            return false;
        }
        if (*next < n_params) return true;
        mb_check_error(c, a->at, "E2005", "E2007", "`%.*s` takes %" PRIu32 " arguments",
                       NAME(c, callee), n_params);
        return false;
    }
    *named = true;
    *next = found;
    if (found < n_params) return true;
    mb_check_error(c, a->at, "E2005", "E2007", "`%.*s` has no parameter `%.*s`", NAME(c, callee),
                   NAME(c, a->label));
    return false;
}

static uint32_t builtin_param(const struct mb_builtin_signature *s, uint32_t label) {
    for (uint32_t i = 0; i < s->n_params; i++)
        for (int k = 0; k < MB_MAX_PARAM_NAMES; k++)
            if (s->names[i][k] == label) return i;
    return MB_NO_INDEX;
}

static struct mb_value call_builtin(struct mb_check *c, const struct mb_ast_expr *e,
                                    const struct mb_ast_expr *receiver, uint32_t name) {
    struct mb_call call = {.expr = e, .builtin = name - MB_NAME_FIRST_BUILTIN};
    const struct mb_builtin_signature *s = &c->builtins[call.builtin];
    uint32_t next = 0;
    bool named = false;
    if (receiver) call.arg[next++] = receiver;
    for (const struct mb_ast_expr *a = e->u.call.args; a; a = a->next, next++) {
        uint32_t found = a->label == MB_NO_NAME ? MB_NO_INDEX : builtin_param(s, a->label);
        if (!place_argument(c, a, s->n_params, &next, &named, found, name)) return mb_bad();
        if (call.arg[next]) {
            mb_check_error(c, a->at, "E2005", "E2007", "this argument is given twice");
            return mb_bad();
        }
        call.arg[next] = a;
    }
    for (uint32_t i = 0; i < s->n_required; i++)
        if (!call.arg[i]) {
            mb_check_error(c, e->at, "E2005", "E2007", "`%.*s` needs its argument `%.*s`",
                           NAME(c, name), NAME(c, s->names[i][0]));
            return mb_bad();
        }
    return mb_builtin_lower(c, &call);
}

/* Binds the symbols of one parameter's dimensions to the extents of the argument. */
static bool bind_symbols(struct mb_check *c, const struct mb_ast_type *t,
                         const struct mb_type *actual, struct mb_ast_span at) {
    int32_t i = 0;
    if (t->kind != MB_TYPE_TENSOR || (int32_t)t->n_dims != actual->shape.rank) return true;
    for (const struct mb_ast_dim *d = t->dims; d; d = d->next, i++) {
        int64_t extent, other = actual->shape.dim[i];
        enum extent_kind kind = dim_extent(c, d, &extent);
        if (kind == EXTENT_BAD) return false;
        if (kind == EXTENT_FREE) {
            bind(c, d->name, extent_value(other), true);
        } else if (kind == EXTENT_SYMBOL && !extents_agree(extent, other)) {
            char a[64], b[64];
            struct mb_shape first = {1, {extent}}, second = {1, {other}};
            mb_check_error(c, at, "shape::symbolic_conflict", NULL,
                           "dimension `%.*s` is %s in one argument and %s in another",
                           NAME(c, d->name), mb_shape_text(a, sizeof a, &first, c->symbols),
                           mb_shape_text(b, sizeof b, &second, c->symbols));
            return false;
        }
    }
    return true;
}

/* The declared parameter type decides what a bracket list becomes. */
static const enum mb_dtype *param_dtype(struct mb_check *c, const struct mb_ast_type *t,
                                        enum mb_dtype *room) {
    if (!(t = resolve_alias(c, t)) || t->kind != MB_TYPE_TENSOR) return NULL;
    return mb_check_dtype(c, t->name, room) ? room : NULL;
}

static struct mb_value run_body(struct mb_check *c, const struct mb_ast_item *fn) {
    const struct mb_type *want = c->want;
    struct mb_type declared;
    const struct mb_ast_dim *free_dim;
    const struct mb_ast_type *t = fn->type ? resolve_alias(c, fn->type) : NULL;
    enum mb_dtype dtype;
    c->want = NULL;
    if (t && t->kind == MB_TYPE_TENSOR && mb_check_dtype(c, t->name, &dtype)) {
        if (!tensor_type(c, t, false, &declared, &free_dim)) return mb_bad();
        c->want = &declared;
    }
    c->frame->result_at = fn->type ? fn->type->at : fn->name_at;
    struct mb_value v = check_block_value(c, fn->body);
    if (c->frame->returned) v = c->frame->result;
    c->want = want;
    if (!fn->type || c->stop) return v;
    return conform(c, v, fn->type, FOR_RESULT, c->frame->result_at);
}

static bool may_call(struct mb_check *c, const struct mb_ast_item *fn, struct mb_ast_span at) {
    unsigned depth = 0;
    for (const struct mb_frame *f = c->frame; f; f = f->caller, depth++)
        if (f->fn == fn) {
            mb_check_outside(c, at, "E2001",
                             "`%.*s` calls itself: recursion is outside the "
                             "inference subset",
                             NAME(c, fn->name));
            return false;
        }
    if (depth >= MAX_CALL_DEPTH) {
        mb_check_outside(c, at, "E2001", "calls nest more than %d deep", MAX_CALL_DEPTH);
        return false;
    }
    if (fn->is_generic) {
        mb_check_outside(c, at, "E2001",
                         "`%.*s` has type parameters, which are outside the inference subset",
                         NAME(c, fn->name));
        return false;
    }
    return fn->body != NULL;
}

static uint32_t fn_param(const struct mb_ast_item *fn, uint32_t label) {
    uint32_t i = 0;
    for (const struct mb_ast_param *q = fn->params; q; q = q->next, i++)
        if (q->name == label) return i;
    return MB_NO_INDEX;
}

/* A call of a user function is its body, with the parameters bound to the arguments. */
static struct mb_value call_fn(struct mb_check *c, const struct mb_ast_expr *e,
                               const struct mb_ast_expr *receiver, const struct mb_ast_item *fn) {
    if (!may_call(c, fn, e->at)) return mb_bad();
    const struct mb_ast_expr **args = mb_arena_calloc(c->arena, fn->n_params, sizeof *args);
    struct mb_value *values = mb_arena_calloc(c->arena, fn->n_params, sizeof *values);
    if (!args || !values) {
        c->failed = c->stop = true;
        return mb_bad();
    }
    uint32_t next = 0, given = 0;
    bool named = false, sound = true;
    if (receiver && fn->n_params) {
        args[next++] = receiver;
        given++;
    }
    for (const struct mb_ast_expr *a = e->u.call.args; a; a = a->next, next++, given++) {
        uint32_t found = a->label == MB_NO_NAME ? MB_NO_INDEX : fn_param(fn, a->label);
        if (found < fn->n_params && !spend(c, found, a->at)) return mb_bad();
        if (!place_argument(c, a, fn->n_params, &next, &named, found, fn->name)) return mb_bad();
        given -= args[next] != NULL;
        args[next] = a;
    }
    if (given != fn->n_params) {
        mb_check_error(c, e->at, "E2005", "E2007",
                       "`%.*s` takes %" PRIu32 " arguments, not %" PRIu32, NAME(c, fn->name),
                       fn->n_params, given);
        return mb_bad();
    }
    uint32_t i = 0;
    for (const struct mb_ast_param *q = fn->params; q; q = q->next, i++) {
        enum mb_dtype room;
        values[i] = mb_check_expr(c, args[i], param_dtype(c, q->type, &room));
        sound &= values[i].kind != MB_VALUE_BAD;
    }
    if (!sound || c->stop) return mb_bad();

    struct mb_frame frame = {
        .caller = c->frame, .fn = fn, .call = e->at, .first_local = c->n_locals};
    struct mb_frame *caller = c->frame;
    c->frame = &frame;
    i = 0;
    for (const struct mb_ast_param *q = fn->params; q && sound; q = q->next, i++) {
        const struct mb_ast_type *t = resolve_alias(c, q->type);
        sound = t != NULL;
        if (sound && values[i].kind == MB_VALUE_TENSOR) {
            struct mb_type actual = c->nodes[values[i].u.node].type;
            sound = bind_symbols(c, t, &actual, args[i]->at);
        }
    }
    i = 0;
    for (const struct mb_ast_param *q = fn->params; q && sound; q = q->next, i++) {
        values[i] = conform(c, values[i], q->type, FOR_ARGUMENT, args[i]->at);
        sound = values[i].kind != MB_VALUE_BAD;
    }
    i = 0;
    for (const struct mb_ast_param *q = fn->params; q && sound; q = q->next, i++)
        bind(c, q->name, values[i], false);
    struct mb_value v = sound && !c->stop ? run_body(c, fn) : mb_bad();
    unbind_to(c, frame.first_local);
    c->frame = caller;
    return v;
}

static struct mb_value check_call(struct mb_check *c, const struct mb_ast_expr *e) {
    const struct mb_ast_expr *callee = e->u.call.base, *receiver = NULL;
    bool in_tensor = false;
    if (callee->kind == MB_EXPR_FIELD) {
        in_tensor = is_tensor_namespace(c, callee->u.call.base);
        if (!is_namespace(c, callee->u.call.base)) receiver = callee->u.call.base;
    } else if (callee->kind != MB_EXPR_NAME) {
        struct mb_value v = mb_check_expr(c, callee, NULL);
        if (v.kind != MB_VALUE_BAD)
            mb_check_error(c, callee->at, "E2012", NULL, "%s cannot be called", kind_text(v));
        return mb_bad();
    }
    uint32_t name = callee->u.call.name;
    const struct mb_ast_item *item = in_tensor ? NULL : find_item(c, name);
    if (item && item->kind == MB_ITEM_FN) return call_fn(c, e, receiver, item);
    if (name - MB_NAME_FIRST_BUILTIN < mb_builtin_count())
        return call_builtin(c, e, receiver, name);
    bool is_value = callee->kind == MB_EXPR_NAME && find_local(c, name);
    if (is_value || (item && item->kind != MB_ITEM_IMPORT)) {
        mb_check_error(c, callee->at, "E2012", NULL, "`%.*s` is no function", NAME(c, name));
        return mb_bad();
    }
    if (receiver && mb_check_expr(c, receiver, NULL).kind == MB_VALUE_BAD) return mb_bad();
    return unknown_name(c, callee->at, name, true);
}

/* `tensor.zeros[f32, (2, 3)]` is a call in brackets; indexing is outside the subset. */
static struct mb_value check_index(struct mb_check *c, const struct mb_ast_expr *e) {
    const struct mb_ast_expr *base = e->u.call.base;
    if (base->kind == MB_EXPR_FIELD && is_tensor_namespace(c, base->u.call.base) &&
        mb_builtin_takes_brackets(base->u.call.name - MB_NAME_FIRST_BUILTIN))
        return call_builtin(c, e, NULL, base->u.call.name);
    return mb_check_outside(c, e->at, "E2001", "indexing is outside the inference subset");
}

/* ---- expressions ---- */

static struct mb_value check_if(struct mb_check *c, const struct mb_ast_expr *e) {
    struct mb_value v = mb_check_expr(c, e->u.branch.condition, NULL);
    if (v.kind == MB_VALUE_BAD) return v;
    if (v.kind == MB_VALUE_TENSOR)
        return mb_check_outside(c, e->u.branch.condition->at, "E2001",
                                "a condition computed at run time is outside the inference subset");
    if (v.kind != MB_VALUE_BOOL) {
        mb_check_error(c, e->u.branch.condition->at, "E2011", NULL,
                       "a condition must be a bool, not %s", kind_text(v));
        return mb_bad();
    }
    if (v.u.integer) return check_block_value(c, e->u.branch.then);
    if (e->u.branch.otherwise) return check_block_value(c, e->u.branch.otherwise);
    return (struct mb_value){.kind = MB_VALUE_NONE};
}

static struct mb_value check_nested(struct mb_check *c, const struct mb_ast_expr *e,
                                    const enum mb_dtype *dtype) {
    switch ((enum mb_ast_expr_kind)e->kind) {
    case MB_EXPR_UNARY: return check_unary(c, e, dtype);
    case MB_EXPR_BINARY: return check_binary(c, e, dtype);
    case MB_EXPR_CAST: return check_cast(c, e);
    case MB_EXPR_CALL: return check_call(c, e);
    case MB_EXPR_FIELD: return check_field(c, e);
    case MB_EXPR_ITEM: return check_item(c, e);
    case MB_EXPR_INDEX: return check_index(c, e);
    case MB_EXPR_LIST: return check_list(c, e, dtype);
    case MB_EXPR_TUPLE: return check_tuple(c, e, dtype);
    case MB_EXPR_STRUCT: return check_struct(c, e);
    case MB_EXPR_IF: return check_if(c, e);
    default:
        return mb_check_outside(c, e->at, "E2001",
                                "this expression is outside the inference subset");
    }
}

struct mb_value mb_check_expr(struct mb_check *c, const struct mb_ast_expr *e,
                              const enum mb_dtype *dtype) {
    struct mb_value v = {.kind = MB_VALUE_BAD};
    switch ((enum mb_ast_expr_kind)e->kind) {
    case MB_EXPR_NAME: return check_name(c, e);
    case MB_EXPR_INT: return check_int_literal(e);
    case MB_EXPR_FLOAT:
        v.kind = MB_VALUE_FLOAT;
        v.u.number = e->u.number;
        return v;
    case MB_EXPR_BOOL: return bool_value(e->u.truth);
    case MB_EXPR_TEXT: v.kind = MB_VALUE_TEXT; return v;
    default: break;
    }
    if (!spend(c, 1, e->at)) return v;
    c->depth++;
    v = check_nested(c, e, dtype);
    c->depth--;
    return v;
}

/* ---- statements ---- */

static void check_let(struct mb_check *c, const struct mb_ast_stmt *s) {
    const struct mb_type *want = c->want;
    struct mb_type declared;
    const struct mb_ast_dim *free_dim;
    const struct mb_ast_type *t = s->type ? resolve_alias(c, s->type) : NULL;
    struct mb_value v = mb_bad();
    enum mb_dtype dtype;
    c->want = NULL;
    if (!s->value) {
        mb_check_outside(c, s->at, "E2001",
                         "a `let` without a value is outside the inference subset");
    } else if (t && t->kind == MB_TYPE_TENSOR && mb_check_dtype(c, t->name, &dtype)) {
        if (tensor_type(c, t, true, &declared, &free_dim)) {
            c->want = &declared;
            v = mb_check_expr(c, s->value, &declared.dtype);
        }
    } else if (!s->type || t) {
        v = mb_check_expr(c, s->value, NULL);
    }
    c->want = want;
    if (s->type) v = conform(c, v, s->type, FOR_LET, s->value ? s->value->at : s->at);
    if (v.kind == MB_VALUE_NONE) v = type_error(c, s->at, "E2001", "this value is nothing");
    if (!s->is_tuple) {
        bind(c, s->names->name, v, false);
        return;
    }
    uint32_t n = 0, i = 0;
    for (const struct mb_ast_name *q = s->names; q; q = q->next) n++;
    if (v.kind != MB_VALUE_BAD && (v.kind != MB_VALUE_TUPLE || v.u.tuple->n != n)) {
        mb_check_error(c, s->at, "E2620", NULL,
                       v.kind == MB_VALUE_TUPLE ? "%" PRIu32 " names for a tuple of another size"
                                                : "%" PRIu32 " names for a value that is no tuple",
                       n);
        v = mb_bad();
    }
    for (const struct mb_ast_name *q = s->names; q; q = q->next, i++)
        if (q->name != MB_NAME_UNDERSCORE)
            bind(c, q->name, v.kind == MB_VALUE_BAD ? v : v.u.tuple->item[i], false);
}

static struct mb_value check_assign(struct mb_check *c, const struct mb_ast_stmt *s) {
    if (s->target->kind != MB_EXPR_NAME)
        return mb_check_outside(c, s->target->at, "E2001",
                                "assignment to a part of a value is outside the inference subset");
    uint32_t name = s->target->u.call.name;
    struct mb_local *local = find_local(c, name);
    if (!local) {
        mb_check_error(c, s->target->at, "E2009", NULL, "`%.*s` is assigned and was never declared",
                       NAME(c, name));
        return mb_bad();
    }
    struct mb_value before = local->value;
    enum mb_dtype room;
    struct mb_value v = mb_check_expr(c, s->value, dtype_of(c, before, &room));
    if (s->op != MB_TOK_ASSIGN) v = binary(c, s->op, before, v, s->target, s->value);
    c->locals[c->names->list[name].binding].value = v;
    return v;
}

/* A loop whose bounds are known is its body so many times. */
static void check_for(struct mb_check *c, const struct mb_ast_stmt *s) {
    int64_t from, to;
    if (!s->value) {
        mb_check_outside(c, s->at, "E2001",
                         "a loop over a collection is outside the inference subset");
        return;
    }
    if (!mb_check_int(c, s->target, "a loop's bound", &from) ||
        !mb_check_int(c, s->value, "a loop's bound", &to))
        return;
    for (int64_t i = from; i < to && !c->stop && !c->frame->returned; i++) {
        uint32_t n_locals = c->n_locals;
        if (!spend(c, 1, s->at)) return;
        bind(c, s->names->name, int_value(i), false);
        check_block(c, s->body, NULL);
        unbind_to(c, n_locals);
    }
}

static void check_print(struct mb_check *c, const struct mb_ast_stmt *s) {
    for (const struct mb_ast_expr *a = s->args; a; a = a->next) mb_check_expr(c, a, NULL);
    if (s->args)
        mb_check_warning(c, s->at, "host::print", "`print` has no effect in a measured program");
}

static void check_assert(struct mb_check *c, const struct mb_ast_stmt *s) {
    struct mb_value v = mb_check_expr(c, s->args, NULL);
    if (v.kind == MB_VALUE_BOOL) {
        if (!v.u.integer) mb_check_error(c, s->at, "E2001", NULL, "this assertion does not hold");
    } else if (v.kind == MB_VALUE_TENSOR) {
        mb_check_outside(c, s->at, "E2001",
                         "an assertion on run-time values is outside the inference subset");
    } else if (v.kind != MB_VALUE_BAD) {
        mb_check_error(c, s->args->at, "E2011", NULL, "a condition must be a bool, not %s",
                       kind_text(v));
    }
}

/* One statement; its value, when it has one. */
static struct mb_value check_stmt(struct mb_check *c, const struct mb_ast_stmt *s) {
    struct mb_value none = {.kind = MB_VALUE_NONE};
    switch ((enum mb_ast_stmt_kind)s->kind) {
    case MB_STMT_LET:
        check_let(c, s);
        return s->is_tuple || c->n_locals == 0 ? none : c->locals[c->n_locals - 1].value;
    case MB_STMT_ASSIGN: return check_assign(c, s);
    case MB_STMT_EXPR: return mb_check_expr(c, s->value, NULL);
    case MB_STMT_RETURN: {
        struct mb_value v = s->value ? mb_check_expr(c, s->value, NULL) : none;
        c->frame->returned = true;
        c->frame->result = v;
        c->frame->result_at = s->value ? s->value->at : s->at;
        return v;
    }
    case MB_STMT_FOR: check_for(c, s); return none;
    case MB_STMT_PRINT: check_print(c, s); return none;
    case MB_STMT_ASSERT: check_assert(c, s); return none;
    case MB_STMT_WHILE:
    case MB_STMT_JUMP:
    case MB_STMT_OTHER: break;
    }
    mb_check_outside(c, s->at, "E2001", "this statement is outside the inference subset");
    return none;
}

/* Runs statements up to the first `return`; `last` (may be NULL) gets the value of the last one
 * that can be the result. */
static void check_block(struct mb_check *c, const struct mb_ast_block *block,
                        struct mb_value *last) {
    for (const struct mb_ast_stmt *s = block->first; s; s = s->next) {
        if (!spend(c, 1, s->at)) return;
        c->depth++;
        struct mb_value v = check_stmt(c, s);
        c->depth--;
        if (c->frame->returned) return;
        if (!last || (s->kind != MB_STMT_EXPR && c->frame->fn)) continue;
        *last = v;
        c->frame->result_at = s->at;
    }
}

/* A block's own names end with it. */
static struct mb_value check_block_value(struct mb_check *c, const struct mb_ast_block *block) {
    struct mb_value v = {.kind = MB_VALUE_NONE};
    uint32_t n_locals = c->n_locals;
    check_block(c, block, &v);
    unbind_to(c, n_locals);
    return v;
}

/* ---- entries ---- */

/* Gives a free dimension of the entry's signature its extent: from --bind, or as a symbol. */
static void bind_entry_symbol(struct mb_check *c, const struct mb_ast_dim *d) {
    for (size_t i = 0; i < c->source->n_bindings; i++)
        if (c->bound_names[i] == d->name) {
            int64_t extent = c->source->bindings[i].extent;
            if (!check_extent(c, extent, d->at)) extent = MB_DIM_UNKNOWN;
            bind(c, d->name, extent_value(extent), true);
            return;
        }
    if (!c->symbolic) {
        struct mb_diag_record *r = mb_check_error(
            c, d->at, "E2001", NULL, "dimension `%.*s` is not bound", NAME(c, d->name));
        mb_diags_help(c->diags, r, "--bind %.*s=N", NAME(c, d->name));
        bind(c, d->name, extent_value(MB_DIM_UNKNOWN), true);
        return;
    }
    const struct mb_name *n = &c->names->list[d->name];
    char *text = mb_arena_strndup(c->arena, n->text, n->len);
    if (!text || !mb_vec_reserve((void **)&c->symbols, &c->symbol_cap, c->n_symbols,
                                 (uint64_t)c->n_symbols + 1, sizeof *c->symbols)) {
        c->failed = c->stop = true;
        return;
    }
    bind(c, d->name, extent_value(-1 - (int64_t)c->n_symbols), true);
    c->symbols[c->n_symbols++] = text;
}

static uint32_t leading_name(const struct mb_ast_type *t) {
    return t->kind == MB_TYPE_TENSOR && t->dims ? t->dims->name : MB_NO_NAME;
}

/* The entry's parameters become the program's. */
static bool bind_entry_params(struct mb_check *c, const struct mb_ast_item *fn) {
    uint32_t batch = MB_NO_NAME;
    bool sound = true;
    c->n_params = 0;
    c->params = mb_arena_calloc(c->arena, fn->n_params, sizeof *c->params);
    if (!c->params) {
        c->failed = c->stop = true;
        return false;
    }
    for (const struct mb_ast_param *q = fn->params; q; q = q->next) {
        const struct mb_ast_type *t = resolve_alias(c, q->type);
        if (!t) return false;
        if (t->kind != MB_TYPE_TENSOR) continue;
        for (const struct mb_ast_dim *d = t->dims; d; d = d->next) {
            int64_t extent;
            if (d->name != MB_NO_NAME && named_extent(c, d, &extent) == EXTENT_FREE)
                bind_entry_symbol(c, d);
        }
    }
    uint32_t first_param = c->n_locals;
    for (const struct mb_ast_param *q = fn->params; q && !c->stop; q = q->next) {
        const struct mb_ast_type *t = resolve_alias(c, q->type);
        struct mb_type type;
        const struct mb_ast_dim *free_dim;
        struct mb_value v = mb_bad();
        struct mb_param *p = &c->params[c->n_params];
        bool struct_like = t->kind == MB_TYPE_TUPLE || t->kind == MB_TYPE_OTHER ||
                           (t->kind == MB_TYPE_NAME && find_item(c, t->name));
        if (c->n_params == 0) batch = leading_name(t);
        if (struct_like) {
            mb_check_outside(c, q->at, "E2001",
                             "a parameter of this type is outside the inference subset");
        } else if (tensor_type(c, t, false, &type, &free_dim)) {
            const struct mb_name *n = &c->names->list[q->name];
            union mb_attr attr = {.param = {c->n_params}};
            v = mb_emit(c, MB_OP_PARAM, NULL, &attr, &type, q->at);
            p->name = mb_arena_strndup(c->arena, n->text, n->len);
            p->type = type;
            p->node = v.u.node;
            p->role = c->n_params == 0 || (batch != MB_NO_NAME && leading_name(t) == batch)
                          ? MB_INPUT
                          : MB_WEIGHT;
            if (!p->name) c->failed = c->stop = true;
        }
        uint32_t same = c->names->list[q->name].binding;
        if (same != MB_NO_INDEX && same >= first_param) {
            mb_check_error(c, q->at, "E2001", NULL, "parameter `%.*s` is declared twice",
                           NAME(c, q->name));
            sound = false;
        }
        sound &= v.kind == MB_VALUE_TENSOR;
        c->n_params++;
        bind(c, q->name, v, false);
    }
    return sound && !c->stop;
}

/* A binding must name something, or the run is not what its caller believes. */
static void check_bindings(struct mb_check *c, const struct mb_ast_item *fn) {
    for (size_t i = 0; i < c->source->n_bindings; i++) {
        uint32_t name = c->bound_names[i];
        const struct mb_ast_item *item = name == MB_NO_NAME ? NULL : find_item(c, name);
        const struct mb_local *local = name == MB_NO_NAME ? NULL : find_local(c, name);
        if ((item && item->kind == MB_ITEM_CONST) || (local && local->is_symbol) || !fn) continue;
        char known[256] = "";
        size_t len = 0;
        for (uint32_t k = c->frame->first_local; k < c->n_locals && len < sizeof known; k++)
            if (c->locals[k].is_symbol)
                len += (size_t)snprintf(known + len, sizeof known - len, "%s%.*s", len ? ", " : "",
                                        NAME(c, c->locals[k].name));
        for (const struct mb_ast_item *it = c->file->items; it && len < sizeof known; it = it->next)
            if (it->kind == MB_ITEM_CONST)
                len += (size_t)snprintf(known + len, sizeof known - len, "%s%.*s", len ? ", " : "",
                                        NAME(c, it->name));
        struct mb_diag_record *r = mb_check_error(
            c, (struct mb_ast_span){MB_NOWHERE, MB_NOWHERE}, "E2002", NULL,
            "--bind %.48s: no dimension or const of that name", c->source->bindings[i].name);
        if (known[0])
            mb_diags_help(c->diags, r, "known names: %s", known);
        else
            mb_diags_help(c->diags, r, "the program has no name to bind");
    }
}

/* The program's outputs are the result's tensors, in order. False when reported. */
static bool collect_outputs(struct mb_check *c, struct mb_value v, struct mb_ast_span at) {
    if (v.kind == MB_VALUE_TUPLE) {
        for (uint32_t i = 0; i < v.u.tuple->n; i++)
            if (!collect_outputs(c, v.u.tuple->item[i], at)) return false;
        return true;
    }
    if (v.kind == MB_VALUE_STRUCT) {
        mb_check_outside(c, at, "E2001", "a struct as the program's result is outside the subset");
        return false;
    }
    uint32_t node;
    if (c->n_outputs == MAX_OUTPUTS) {
        mb_check_error(c, at, "E2620", NULL, "more than %d results", MAX_OUTPUTS);
        return false;
    }
    if (v.kind == MB_VALUE_NONE) {
        if (!c->symbolic) mb_check_error(c, at, "E2010", NULL, "the entry returns nothing");
        return false;
    }
    if (!mb_value_tensor(c, v, at, NULL, &node)) return false;
    if (!mb_vec_reserve((void **)&c->outputs, &c->output_cap, c->n_outputs,
                        (uint64_t)c->n_outputs + 1, sizeof *c->outputs)) {
        c->failed = c->stop = true;
        return false;
    }
    c->outputs[c->n_outputs++] = node;
    return true;
}

static void begin_entry(struct mb_check *c, struct mb_frame *frame) {
    c->frame = frame;
    c->n_nodes = c->n_symbols = c->n_params = c->n_outputs = 0;
    c->depth = 0;
    c->want = NULL;
    c->spelling = MB_TOK_END;
}

static void end_entry(struct mb_check *c) {
    unbind_to(c, 0);
    c->frame = NULL;
}

static void run_function(struct mb_check *c, const struct mb_ast_item *fn) {
    struct mb_frame frame = {.fn = fn, .call = {MB_NOWHERE, MB_NOWHERE}};
    begin_entry(c, &frame);
    if (fn->is_generic) {
        mb_check_outside(c, fn->name_at, "E2001",
                         "`%.*s` has type parameters, which are outside the inference subset",
                         NAME(c, fn->name));
    } else if (bind_entry_params(c, fn)) {
        check_bindings(c, fn);
        struct mb_value v = run_body(c, fn);
        if (!c->stop) collect_outputs(c, v, fn->name_at);
    }
    end_entry(c);
}

/* Top-level names stay bound in the script's own frame only: functions do not see them. */
static void run_script(struct mb_check *c) {
    struct mb_frame frame = {.call = {MB_NOWHERE, MB_NOWHERE}};
    struct mb_value v = {.kind = MB_VALUE_NONE};
    begin_entry(c, &frame);
    check_bindings(c, NULL);
    check_block(c, &c->file->script, &v);
    if (frame.returned) v = frame.result;
    if (!c->stop) collect_outputs(c, v, c->file->script.at);
    end_entry(c);
}

static void register_items(struct mb_check *c) {
    for (struct mb_ast_item *item = c->file->items; item; item = item->next) {
        struct mb_name *n = &c->names->list[item->name];
        const struct mb_ast_item *old = find_item(c, item->name);
        if (old && (item->kind == MB_ITEM_IMPORT || old->kind != MB_ITEM_IMPORT)) {
            if (item->kind != MB_ITEM_IMPORT)
                mb_check_error(c, item->name_at, "E2001", NULL, "`%.*s` is defined twice",
                               NAME(c, item->name));
            continue;
        }
        n->item = item;
        n->item_epoch = c->names->epoch;
        if (item->kind != MB_ITEM_FN) continue;
        if (n->len == 4 && memcmp(n->text, "sqrt", 4) == 0)
            mb_check_error(c, item->name_at, "E2031", NULL, "`sqrt` may not be redefined");
        if (n->len >= 7 && memcmp(n->text, "__mind_", 7) == 0)
            mb_check_error(c, item->name_at, "E2023", NULL, "names in `__mind_` are reserved");
    }
}

static const struct mb_ast_item *named_entry(struct mb_check *c) {
    const char *text = c->source->entry;
    size_t len = strlen(text);
    struct mb_ast_span nowhere = {MB_NOWHERE, MB_NOWHERE};
    uint32_t name = len < UINT32_MAX ? mb_names_find(c->names, text, (uint32_t)len) : MB_NO_NAME;
    const struct mb_ast_item *item = name == MB_NO_NAME ? NULL : find_item(c, name);
    if (item && item->kind == MB_ITEM_FN) return item;
    struct mb_diag_record *r = mb_check_error(
        c, nowhere, "E2002", "E2002", "no function `%.*s` to compile", mb_diags_clip(len), text);
    const struct mb_ast_item *near = NULL;
    unsigned best = 3;
    for (item = c->file->items; item && best; item = item->next) {
        const struct mb_name *n = &c->names->list[item->name];
        unsigned d = item->kind == MB_ITEM_FN ? mb_edit_distance(text, len, n->text, n->len, best)
                                              : best + 1;
        if (d > best) continue;
        near = item;
        best = d - (d > 0);
    }
    if (near) mb_diags_help(c->diags, r, "did you mean `%.*s`?", NAME(c, near->name));
    return NULL;
}

/* The only `pub fn`, else the only `fn`, else `main`; NULL: none can be chosen. */
static const struct mb_ast_item *default_entry(const struct mb_check *c) {
    const struct mb_ast_item *pub = NULL, *any = NULL, *main_fn = NULL;
    uint32_t n_pub = 0, n_any = 0;
    for (const struct mb_ast_item *item = c->file->items; item; item = item->next) {
        if (item->kind != MB_ITEM_FN) continue;
        any = item;
        n_any++;
        if (item->is_pub) {
            pub = item;
            n_pub++;
        }
        if (item->name == MB_NAME_MAIN) main_fn = item;
    }
    return n_pub == 1 ? pub : n_any == 1 ? any : main_fn;
}

static void refuse_to_choose(struct mb_check *c) {
    struct mb_ast_span nowhere = {MB_NOWHERE, MB_NOWHERE};
    char known[256] = "";
    size_t len = 0;
    for (const struct mb_ast_item *it = c->file->items; it && len < sizeof known; it = it->next)
        if (it->kind == MB_ITEM_FN)
            len += (size_t)snprintf(known + len, sizeof known - len, "%s%.*s", len ? ", " : "",
                                    NAME(c, it->name));
    struct mb_diag_record *r =
        mb_check_error(c, nowhere, "E2002", NULL,
                       len ? "several functions and no `main`: no entry to compile"
                           : "no function and no statement: nothing to compile");
    if (len) mb_diags_help(c->diags, r, "--entry NAME, one of: %s", known);
}

void mb_check_run(struct mb_check *c, uint32_t *entry) {
    *entry = MB_NAME_MAIN;
    c->every_function = false;
    register_items(c);
    if (c->diags->n_errors) return;
    const struct mb_ast_item *fn = NULL;
    if (c->source->entry) {
        fn = named_entry(c);
        if (!fn) return;
    } else if (c->file->script.first) {
        run_script(c);
        return;
    } else {
        fn = default_entry(c);
    }
    if (fn) {
        *entry = fn->name;
        run_function(c, fn);
    } else if (!c->symbolic) {
        refuse_to_choose(c);
    } else {
        c->every_function = true;
        for (fn = c->file->items; fn && !c->stop; fn = fn->next)
            if (fn->kind == MB_ITEM_FN) run_function(c, fn);
    }
}
