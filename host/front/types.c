/* Declared types: what their dimensions stand for, and values brought to them. */
#include "checker.h"

#include <inttypes.h>
#include <math.h>

#define MAX_EXTENT ((int64_t)1 << 40)

const struct mb_ast_type *mb_resolve_alias(struct mb_check *c, const struct mb_ast_type *t) {
    for (int hops = 0; t->kind == MB_TYPE_NAME; hops++) {
        const struct mb_ast_item *item = mb_check_item(c, t->name);
        if (!item || item->kind != MB_ITEM_ALIAS || !item->type) break;
        if (hops == 32) {
            mb_check_error(c, t->at, "E2001", NULL, "type alias `%.*s` depends on itself",
                           MB_NAME_TEXT(c, t->name));
            return NULL;
        }
        t = item->type;
    }
    return t;
}

uint32_t mb_type_parts(const struct mb_check *c, const struct mb_ast_type *t,
                       struct mb_part parts[], const struct mb_ast_item **item) {
    enum mb_dtype dtype;
    uint32_t n = 0;
    *item = NULL;
    if (t->kind == MB_TYPE_TUPLE) {
        for (const struct mb_ast_type *i = t->items; i; i = i->next, n++)
            if (n < MB_MAX_TUPLE) parts[n] = (struct mb_part){i, MB_NO_NAME, i->at};
        return n;
    }
    if (t->kind != MB_TYPE_NAME || mb_check_dtype(c, t->name, &dtype)) return MB_NO_INDEX;
    const struct mb_ast_item *named = mb_check_item(c, t->name);
    if (!named || named->kind != MB_ITEM_STRUCT) return MB_NO_INDEX;
    *item = named;
    for (const struct mb_ast_param *f = named->params; f; f = f->next, n++)
        if (n < MB_MAX_TUPLE) parts[n] = (struct mb_part){f->type, f->name, f->at};
    return n;
}

enum mb_extent_kind mb_named_extent(struct mb_check *c, const struct mb_ast_dim *d, int64_t *out) {
    struct mb_ast_item *item = mb_check_item(c, d->name);
    const struct mb_local *local = mb_check_local(c, d->name);
    struct mb_value v;
    if (local && (local->value.kind == MB_VALUE_INT || local->value.kind == MB_VALUE_DIM)) {
        *out = local->value.u.integer;
        return local->is_symbol ? MB_EXTENT_SYMBOL : MB_EXTENT_KNOWN;
    }
    if (!item || item->kind != MB_ITEM_CONST) return MB_EXTENT_FREE;
    v = mb_const_value(c, item);
    if (v.kind == MB_VALUE_INT) {
        *out = v.u.integer;
        return MB_EXTENT_KNOWN;
    }
    if (v.kind != MB_VALUE_BAD)
        mb_check_error(c, d->at, "E2001", NULL, "dimension `%.*s` is %s, not an integer",
                       MB_NAME_TEXT(c, d->name), mb_value_kind_text(v));
    return MB_EXTENT_BAD;
}

bool mb_check_extent(struct mb_check *c, int64_t extent, struct mb_ast_span at) {
    if (extent >= 1 && extent <= MAX_EXTENT) return true;
    mb_check_error(c, at, "E2102", extent == 0 ? "E3006" : NULL,
                   extent < 1 ? "dimension %" PRId64 " is not positive"
                              : "dimension %" PRId64 " is too large",
                   extent);
    return false;
}

/* One dimension; a free name becomes MB_DIM_UNKNOWN. */
enum mb_extent_kind mb_dim_extent(struct mb_check *c, const struct mb_ast_dim *d, int64_t *out) {
    enum mb_extent_kind kind = MB_EXTENT_KNOWN;
    *out = d->extent > (uint64_t)INT64_MAX ? INT64_MAX : (int64_t)d->extent;
    if (d->name != MB_NO_NAME) kind = mb_named_extent(c, d, out);
    if (kind == MB_EXTENT_FREE) *out = MB_DIM_UNKNOWN;
    if (kind == MB_EXTENT_KNOWN && !mb_check_extent(c, *out, d->at)) return MB_EXTENT_BAD;
    return kind;
}

static bool element_type(struct mb_check *c, const struct mb_ast_type *t, enum mb_dtype *dtype) {
    if (mb_check_dtype(c, t->name, dtype)) return true;
    mb_check_outside(c, t->at, "E2001", "element type `%.*s` is not supported",
                     MB_NAME_TEXT(c, t->name));
    return false;
}

/* A tensor or scalar type. `wildcards`: a symbol agrees with every extent, as an annotation has it.
 * `free_dim` gets the first dimension whose name nothing binds. False when reported. */
bool mb_tensor_type(struct mb_check *c, const struct mb_ast_type *t, bool wildcards,
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
        enum mb_extent_kind kind = mb_dim_extent(c, d, &extent);
        if (kind == MB_EXTENT_BAD) return false;
        if (kind == MB_EXTENT_FREE && !*free_dim) *free_dim = d;
        if (kind == MB_EXTENT_SYMBOL && wildcards) extent = MB_DIM_UNKNOWN;
        out->shape.dim[out->shape.rank++] = extent;
    }
    return true;
}

/* Compares a declared type with a value's; `what` names the value. `wildcards`: only extents that
 * are known on both sides are compared. */
static bool types_agree(struct mb_check *c, const struct mb_type *declared,
                        const struct mb_type *actual, bool wildcards, const char *what,
                        struct mb_ast_span at) {
    char a[160], b[160];
    const char *code = NULL, *spec_code = NULL;
    if (declared->dtype != actual->dtype) {
        code = "shape::dtype_mismatch";
        spec_code = "E2004";
    } else if (declared->shape.rank != actual->shape.rank) {
        code = "shape::rank_mismatch";
        spec_code = "E3002";
    } else {
        for (int32_t i = 0; i < declared->shape.rank; i++) {
            int64_t a_dim = declared->shape.dim[i], b_dim = actual->shape.dim[i];
            if (mb_extents_agree(a_dim, b_dim) || (wildcards && (a_dim < 0 || b_dim < 0))) continue;
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
        mb_check_error(c, at, code, "E2001", "%s is not of the declared type %s",
                       mb_value_kind_text(v), mb_dtype_name(dtype));
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

static const struct {
    const char *what, *class_code;
} purposes[] = {{"the value", "E2015"}, {"the argument", "E2001"}, {"the result", "E2010"}};

struct mb_tuple *mb_tuple_new(struct mb_check *c, uint32_t n) {
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
bool mb_tuple_put(struct mb_check *c, struct mb_tuple *t, uint32_t i, struct mb_value v,
                  struct mb_ast_span at) {
    t->item[i] = v;
    if (v.kind != MB_VALUE_TUPLE && v.kind != MB_VALUE_STRUCT) return true;
    if (t->depth <= v.u.tuple->depth) t->depth = v.u.tuple->depth + 1;
    if (t->depth <= MB_MAX_TUPLE_DEPTH) return true;
    mb_check_error(c, at, "E2620", NULL, "tuples nest more than %d deep", MB_MAX_TUPLE_DEPTH);
    return false;
}

static struct mb_value conform_tuple(struct mb_check *c, struct mb_value v,
                                     const struct mb_ast_type *t, enum mb_purpose mb_purpose,
                                     struct mb_ast_span at) {
    uint32_t n = 0, k = 0;
    for (const struct mb_ast_type *i = t->items; i; i = i->next) n++;
    if (n == 0 && v.kind == MB_VALUE_NONE) return v;
    if (v.kind != MB_VALUE_TUPLE) {
        mb_check_error(c, at, purposes[mb_purpose].class_code, NULL,
                       "%s is declared a tuple and is %s", purposes[mb_purpose].what,
                       mb_value_kind_text(v));
        return mb_bad();
    }
    if (!mb_check_spend(c, n, at)) return mb_bad();
    if (v.u.tuple->n != n) {
        mb_check_error(c, at, "E2620", NULL,
                       "%s is declared with %" PRIu32 " elements and has %" PRIu32,
                       purposes[mb_purpose].what, n, v.u.tuple->n);
        return mb_bad();
    }
    struct mb_tuple *copy = mb_tuple_new(c, n);
    if (!copy) return mb_bad();
    for (const struct mb_ast_type *i = t->items; i; i = i->next, k++) {
        struct mb_value element = mb_conform(c, v.u.tuple->item[k], i, mb_purpose, at);
        if (!mb_tuple_put(c, copy, k, element, at)) return mb_bad();
    }
    return (struct mb_value){.kind = MB_VALUE_TUPLE, .u.tuple = copy};
}

/* A value as one of a declared type. */
struct mb_value mb_conform(struct mb_check *c, struct mb_value v, const struct mb_ast_type *t,
                           enum mb_purpose mb_purpose, struct mb_ast_span at) {
    struct mb_type type;
    const struct mb_ast_dim *free_dim;
    const char *class_code = purposes[mb_purpose].class_code, *what = purposes[mb_purpose].what;
    const bool fills = mb_purpose == MB_FOR_LET;
    if (v.kind == MB_VALUE_BAD || !(t = mb_resolve_alias(c, t))) return mb_bad();
    if (t->kind == MB_TYPE_NAME && t->name >= MB_NAME_U8 && t->name <= MB_NAME_ISIZE &&
        (v.kind == MB_VALUE_INT || v.kind == MB_VALUE_DIM))
        return v;
    if (t->kind == MB_TYPE_NAME && t->name == MB_NAME_UNIT_TYPE && v.kind == MB_VALUE_NONE)
        return v;
    const struct mb_ast_item *item =
        t->kind == MB_TYPE_NAME && !mb_check_dtype(c, t->name, &type.dtype)
            ? mb_check_item(c, t->name)
            : NULL;
    if (item && item->kind == MB_ITEM_STRUCT) {
        if (v.kind == MB_VALUE_STRUCT && v.u.tuple->type == item) return v;
        mb_check_error(c, at, class_code, NULL, "%s is declared `%.*s` and is %s", what,
                       MB_NAME_TEXT(c, t->name), mb_value_kind_text(v));
        return mb_bad();
    }
    if (t->kind == MB_TYPE_TUPLE) return conform_tuple(c, v, t, mb_purpose, at);
    if (t->kind == MB_TYPE_OTHER)
        return mb_check_outside(c, t->at, "E2001", "this type is outside the inference subset");
    if (!mb_tensor_type(c, t, fills && v.kind == MB_VALUE_TENSOR, &type, &free_dim))
        return mb_bad();
    if (v.kind == MB_VALUE_TENSOR) {
        struct mb_type actual = c->nodes[v.u.node].type;
        if (!fills && actual.dtype == MB_BOOL && (type.dtype == MB_I32 || type.dtype == MB_I64)) {
            mb_check_warning(c, at, "shape::bool_to_int", "%s is declared %s and is bool: 0 and 1",
                             what, mb_dtype_name(type.dtype));
            v = mb_emit_cast(c, v.u.node, type.dtype, at);
            if (v.kind != MB_VALUE_TENSOR) return v;
            actual = c->nodes[v.u.node].type;
        }
        return types_agree(c, &type, &actual, fills, what, at) ? v : mb_bad();
    }
    if (!mb_is_scalar(v)) {
        mb_check_error(c, at, class_code, NULL, "%s is declared a tensor and is %s", what,
                       mb_value_kind_text(v));
        return mb_bad();
    }
    if (t->kind == MB_TYPE_NAME) return convert_scalar(c, v, type.dtype, class_code, at);
    if (type.shape.rank && !fills) {
        char text[160];
        mb_check_error(c, at, class_code, NULL, "%s is declared %s and is a scalar", what,
                       mb_type_text(text, sizeof text, &type, c->symbols));
        return mb_bad();
    }
    if (free_dim) return mb_check_unknown(c, free_dim->at, free_dim->name, false);
    return mb_emit_fill(c, v, &type, at);
}

/* `e as T`: scalars that are known now are converted now; of a tensor's type only the element type
 * counts. */
struct mb_value mb_check_cast(struct mb_check *c, const struct mb_ast_expr *e) {
    struct mb_value v = mb_check_expr(c, e->u.of.lhs, NULL);
    const struct mb_ast_type *t = mb_resolve_alias(c, e->u.of.type);
    struct mb_type type;
    const struct mb_ast_dim *free_dim;
    if (v.kind == MB_VALUE_BAD || !t) return mb_bad();
    if (t->kind != MB_TYPE_NAME && t->kind != MB_TYPE_TENSOR)
        return mb_check_outside(c, t->at, "E2001", "this type is outside the inference subset");
    if (t->kind == MB_TYPE_NAME && t->name >= MB_NAME_U8 && t->name <= MB_NAME_ISIZE &&
        (v.kind == MB_VALUE_INT || v.kind == MB_VALUE_DIM))
        return v;
    if (!mb_tensor_type(c, t, true, &type, &free_dim)) return mb_bad();
    if (v.kind == MB_VALUE_TENSOR) return mb_emit_cast(c, v.u.node, type.dtype, e->at);
    if (!mb_is_scalar(v)) return mb_no_operator(c, MB_TOK_AS, v, e->at);
    bool to_float = type.dtype == MB_F32 || type.dtype == MB_F64;
    if (v.kind == MB_VALUE_FLOAT && !to_float) {
        if (!(fabs(v.u.number) < 9.2e18))
            return mb_check_refuse(c, e->at, "E2001", "the number does not fit an integer");
        v = mb_int_value((int64_t)v.u.number);
    }
    if (v.kind == MB_VALUE_BOOL && type.dtype != MB_BOOL) v = mb_int_value(v.u.integer);
    return convert_scalar(c, v, type.dtype, "E2001", e->at);
}
