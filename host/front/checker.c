/* The walk: names, expressions, calls and statements; see checker.h. */
#include "checker.h"
#include "vec.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_DEPTH = 600,           /* of calls and expressions together, for the C stack */
    MAX_CALL_DEPTH = 100,      /* of inlined calls */
    MAX_SEARCHED_NAMES = 5000, /* for "did you mean" */
};

static struct mb_value check_block_value(struct mb_check *c, const struct mb_ast_block *block);

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
bool mb_check_spend(struct mb_check *c, uint64_t n, struct mb_ast_span at) {
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

struct mb_value mb_check_refuse(struct mb_check *c, struct mb_ast_span at, const char *code,
                                const char *what) {
    mb_check_error(c, at, code, NULL, "%s", what);
    return mb_bad();
}

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

struct mb_value mb_check_unknown(struct mb_check *c, struct mb_ast_span at, uint32_t name,
                                 bool callable) {
    struct mb_diag_record *r =
        callable
            ? mb_check_error(c, at, "E2003", NULL, "unknown function `%.*s`", MB_NAME_TEXT(c, name))
            : mb_check_error(c, at, "E2002", "E2002", "unknown identifier `%.*s`",
                             MB_NAME_TEXT(c, name));
    uint32_t near = r == &c->diags->spare ? MB_NO_NAME : nearest_name(c, name, callable);
    if (near != MB_NO_NAME)
        mb_diags_help(c->diags, r, "did you mean `%.*s`?", MB_NAME_TEXT(c, near));
    return mb_bad();
}

/* ---- names ---- */

struct mb_ast_item *mb_check_item(const struct mb_check *c, uint32_t name) {
    const struct mb_name *n = &c->names->list[name];
    return n->item_epoch == c->names->epoch ? n->item : NULL;
}

/* The visible binding of a name, or NULL. Valid until the next mb_check_bind. */
struct mb_local *mb_check_local(const struct mb_check *c, uint32_t name) {
    uint32_t i = c->names->list[name].binding;
    return i != MB_NO_INDEX && i >= c->frame->first_local ? &c->locals[i] : NULL;
}

void mb_check_bind(struct mb_check *c, uint32_t name, struct mb_value value, bool is_symbol) {
    struct mb_local *locals = mb_vec_room(c->locals, &c->local_cap, c->n_locals,
                                          (uint64_t)c->n_locals + 1, sizeof *locals);
    if (!locals) {
        c->failed = c->stop = true;
        return;
    }
    c->locals = locals;
    struct mb_name *n = &c->names->list[name];
    c->locals[c->n_locals] = (struct mb_local){name, n->binding, is_symbol, value};
    n->binding = c->n_locals++;
}

void mb_check_unbind(struct mb_check *c, uint32_t n_locals) {
    while (c->n_locals > n_locals) {
        const struct mb_local *l = &c->locals[--c->n_locals];
        c->names->list[l->name].binding = l->outer;
    }
}

/* ---- values ---- */

const char *mb_value_kind_text(struct mb_value v) {
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

/* ---- literals and lists ---- */

static struct mb_value check_int_literal(const struct mb_ast_expr *e) {
    struct mb_value v = mb_int_value((int64_t)e->u.integer);
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
    if (!mb_check_spend(c, list->u.call.n_args, list->at)) return false;
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
        else if (v.kind != MB_VALUE_BAD && !mb_is_scalar(v))
            v = mb_no_operator(c, MB_TOK_LBRACKET, v, e->at);
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
        if (!mb_store_scalar(c, elements.values[i], type.dtype, data, i, e->at)) return mb_bad();
    union mb_attr attr = {.dense = {data}};
    return mb_emit(c, MB_OP_DENSE, NULL, &attr, &type, e->at);
}

static struct mb_value check_tuple(struct mb_check *c, const struct mb_ast_expr *e,
                                   const enum mb_dtype *dtype) {
    if (e->u.call.n_args == 0) return (struct mb_value){.kind = MB_VALUE_NONE};
    if (e->u.call.n_args > MB_MAX_TUPLE)
        return mb_check_refuse(c, e->at, "E2620", "this tuple has more than 64 elements");
    struct mb_tuple *t = mb_tuple_new(c, e->u.call.n_args);
    uint32_t i = 0;
    if (!t) return mb_bad();
    for (const struct mb_ast_expr *a = e->u.call.args; a; a = a->next)
        if (!mb_tuple_put(c, t, i++, mb_check_expr(c, a, dtype), a->at)) return mb_bad();
    return (struct mb_value){.kind = MB_VALUE_TUPLE, .u.tuple = t};
}

static struct mb_value check_struct(struct mb_check *c, const struct mb_ast_expr *e) {
    const struct mb_ast_item *item = mb_check_item(c, e->u.call.name);
    if (!item || item->kind != MB_ITEM_STRUCT) {
        mb_check_error(c, e->at, "E2002", "E2002", "unknown struct `%.*s`",
                       MB_NAME_TEXT(c, e->u.call.name));
        return mb_bad();
    }
    if (item->n_params > MB_MAX_TUPLE)
        return mb_check_outside(c, e->at, "E2001", "a struct of more than %d fields", MB_MAX_TUPLE);
    struct mb_tuple *t = mb_tuple_new(c, item->n_params);
    uint32_t filled = 0;
    if (!t) return mb_bad();
    t->type = item;
    for (const struct mb_ast_expr *a = e->u.call.args; a; a = a->next) {
        const struct mb_ast_param *field = item->params;
        uint32_t i = 0;
        for (; field && field->name != a->label; field = field->next) i++;
        if (!field) {
            mb_check_error(c, a->at, "E2002", NULL, "struct `%.*s` has no field `%.*s`",
                           MB_NAME_TEXT(c, item->name), MB_NAME_TEXT(c, a->label));
            return mb_bad();
        }
        filled += t->item[i].kind == MB_VALUE_NONE;
        struct mb_value v =
            mb_conform(c, mb_check_expr(c, a, NULL), field->type, MB_FOR_LET, a->at);
        if (!mb_tuple_put(c, t, i, v, a->at)) return mb_bad();
    }
    if (filled != item->n_params) {
        mb_check_error(c, e->at, "E2005", "E2007",
                       "struct `%.*s` has %" PRIu32 " fields, not %" PRIu32,
                       MB_NAME_TEXT(c, item->name), item->n_params, filled);
        return mb_bad();
    }
    return (struct mb_value){.kind = MB_VALUE_STRUCT, .u.tuple = t};
}

/* ---- names and fields ---- */

/* A const's value, evaluated once when it is a scalar. */
struct mb_value mb_const_value(struct mb_check *c, struct mb_ast_item *item) {
    if (item->known) return *item->known;
    if (item->is_busy) {
        mb_check_error(c, item->name_at, "E2001", NULL, "const `%.*s` depends on itself",
                       MB_NAME_TEXT(c, item->name));
        return mb_bad();
    }
    for (size_t i = 0; i < c->source->n_bindings; i++)
        if (c->bound_names[i] == item->name) return mb_int_value(c->source->bindings[i].extent);
    struct mb_frame frame = {
        .caller = c->frame, .call = {MB_NOWHERE, MB_NOWHERE}, .first_local = c->n_locals};
    struct mb_frame *caller = c->frame;
    item->is_busy = true;
    c->frame = &frame;
    struct mb_value v = mb_check_expr(c, item->value, NULL);
    if (item->type) v = mb_conform(c, v, item->type, MB_FOR_LET, item->value->at);
    c->frame = caller;
    item->is_busy = false;
    if (mb_is_scalar(v) && (item->known = mb_arena_alloc(c->arena, sizeof v))) *item->known = v;
    return v;
}

static struct mb_value check_name(struct mb_check *c, const struct mb_ast_expr *e) {
    uint32_t name = e->u.call.name;
    const struct mb_local *local = mb_check_local(c, name);
    if (local) return local->value;
    struct mb_ast_item *item = mb_check_item(c, name);
    if (item && item->kind == MB_ITEM_CONST) return mb_const_value(c, item);
    if ((item && item->kind == MB_ITEM_FN) || name - MB_NAME_FIRST_BUILTIN < mb_builtin_count())
        return mb_check_outside(c, e->at, "E2001",
                                "a function as a value is outside the inference subset");
    return mb_check_unknown(c, e->at, name, false);
}

/* True when an expression is a path of names that no value begins: `tensor`, `std.math`. */
static bool is_namespace(const struct mb_check *c, const struct mb_ast_expr *e) {
    while (e->kind == MB_EXPR_FIELD) e = e->u.call.base;
    if (e->kind != MB_EXPR_NAME || mb_check_local(c, e->u.call.name)) return false;
    const struct mb_ast_item *item = mb_check_item(c, e->u.call.name);
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
    for (int32_t i = 0; i < rank && i < MB_MAX_RANK; i++)
        attr.perm.perm[i] = (int8_t)(rank - 1 - i);
    if (rank > 2) {
        struct mb_diag_record *r = mb_check_warning(c, e->at, "shape::transpose_rank",
                                                    "`.T` of rank %d reverses all axes", rank);
        mb_diags_help(c->diags, r, "write transpose(x, [..]) with the order meant");
    }
    return mb_emit(c, MB_OP_TRANSPOSE, &x, &attr, NULL, e->at);
}

static struct mb_value check_field(struct mb_check *c, const struct mb_ast_expr *e) {
    if (is_namespace(c, e->u.call.base)) {
        struct mb_ast_item *item = mb_check_item(c, e->u.call.name);
        if (item && item->kind == MB_ITEM_CONST) return mb_const_value(c, item);
        return mb_check_outside(c, e->at, "E2001", "`%.*s` is outside the inference subset",
                                MB_NAME_TEXT(c, e->u.call.name));
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
    mb_check_error(c, e->at, "E2002", "E2002", "%s has no field `%.*s`", mb_value_kind_text(v),
                   MB_NAME_TEXT(c, e->u.call.name));
    return mb_bad();
}

static struct mb_value check_item(struct mb_check *c, const struct mb_ast_expr *e) {
    struct mb_value v = mb_check_expr(c, e->u.call.base, NULL);
    if (v.kind == MB_VALUE_BAD) return v;
    if (v.kind == MB_VALUE_TUPLE && e->u.call.n_args < v.u.tuple->n)
        return v.u.tuple->item[e->u.call.n_args];
    mb_check_error(c, e->at, "E2620", NULL, "%s has no element %" PRIu32, mb_value_kind_text(v),
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
                       MB_NAME_TEXT(c, callee), n_params);
        return false;
    }
    *named = true;
    *next = found;
    if (found < n_params) return true;
    mb_check_error(c, a->at, "E2005", "E2007", "`%.*s` has no parameter `%.*s`",
                   MB_NAME_TEXT(c, callee), MB_NAME_TEXT(c, a->label));
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
    const struct mb_builtin_signature *s = &mb_builtin_signatures[call.builtin];
    uint32_t next = 0;
    bool named = false;
    if (receiver) call.arg[next++] = receiver;
    for (const struct mb_ast_expr *a = e->u.call.args; a; a = a->next, next++) {
        uint32_t found = a->label == MB_NO_NAME ? MB_NO_INDEX : builtin_param(s, a->label);
        if (a->label == MB_NO_NAME && named && mb_builtin_fills_gaps(call.builtin)) {
            named = false;
            for (next = 0; next < s->n_params && call.arg[next];) next++;
        }
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
                           MB_NAME_TEXT(c, name), MB_NAME_TEXT(c, s->names[i][0]));
            return mb_bad();
        }
    return mb_builtin_lower(c, &call);
}

/* Binds the symbols of one tensor's dimensions to the extents of the argument. */
static bool bind_tensor_symbols(struct mb_check *c, const struct mb_ast_type *t,
                                const struct mb_type *actual, struct mb_ast_span at) {
    int32_t i = 0;
    if (t->kind != MB_TYPE_TENSOR || (int32_t)t->n_dims != actual->shape.rank) return true;
    for (const struct mb_ast_dim *d = t->dims; d; d = d->next, i++) {
        int64_t extent, other = actual->shape.dim[i];
        enum mb_extent_kind kind = mb_dim_extent(c, d, &extent);
        if (kind == MB_EXTENT_BAD) return false;
        if (kind == MB_EXTENT_FREE) {
            mb_check_bind(c, d->name, mb_extent_value(other), true);
        } else if (kind == MB_EXTENT_SYMBOL && !mb_extents_agree(extent, other)) {
            char a[64], b[64];
            struct mb_shape first = {1, {extent}}, second = {1, {other}};
            mb_check_error(c, at, "shape::symbolic_conflict", NULL,
                           "dimension `%.*s` is %s in one argument and %s in another",
                           MB_NAME_TEXT(c, d->name), mb_shape_text(a, sizeof a, &first, c->symbols),
                           mb_shape_text(b, sizeof b, &second, c->symbols));
            return false;
        }
    }
    return true;
}

/* The same for each tensor of an argument. */
static bool bind_symbols(struct mb_check *c, const struct mb_ast_type *t, struct mb_value v,
                         struct mb_ast_span at) {
    struct mb_part parts[MB_MAX_TUPLE];
    const struct mb_ast_item *item;
    if (!(t = mb_resolve_alias(c, t))) return false;
    if (v.kind == MB_VALUE_TENSOR) {
        struct mb_type actual = c->nodes[v.u.node].type;
        return bind_tensor_symbols(c, t, &actual, at);
    }
    if (v.kind != MB_VALUE_TUPLE && v.kind != MB_VALUE_STRUCT) return true;
    /* what does not fit is reported where the argument is brought to its type */
    if (mb_type_parts(c, t, parts, &item) != v.u.tuple->n || v.u.tuple->type != item) return true;
    if (!mb_check_spend(c, v.u.tuple->n, at)) return false;
    for (uint32_t i = 0; i < v.u.tuple->n; i++)
        if (!bind_symbols(c, parts[i].type, v.u.tuple->item[i], at)) return false;
    return true;
}

/* The declared parameter type decides what a bracket list becomes. */
static const enum mb_dtype *param_dtype(struct mb_check *c, const struct mb_ast_type *t,
                                        enum mb_dtype *room) {
    if (!(t = mb_resolve_alias(c, t)) || t->kind != MB_TYPE_TENSOR) return NULL;
    return mb_check_dtype(c, t->name, room) ? room : NULL;
}

struct mb_value mb_check_body(struct mb_check *c, const struct mb_ast_item *fn) {
    const struct mb_type *want = c->want;
    struct mb_type declared;
    const struct mb_ast_dim *free_dim;
    const struct mb_ast_type *t = fn->type ? mb_resolve_alias(c, fn->type) : NULL;
    enum mb_dtype dtype;
    c->want = NULL;
    if (t && t->kind == MB_TYPE_TENSOR && mb_check_dtype(c, t->name, &dtype)) {
        if (!mb_tensor_type(c, t, false, &declared, &free_dim)) return mb_bad();
        c->want = &declared;
    }
    c->frame->result_at = fn->type ? fn->type->at : fn->name_at;
    struct mb_value v = check_block_value(c, fn->body);
    if (c->frame->returned) v = c->frame->result;
    c->want = want;
    if (!fn->type || c->stop) return v;
    return mb_conform(c, v, fn->type, MB_FOR_RESULT, c->frame->result_at);
}

static bool may_call(struct mb_check *c, const struct mb_ast_item *fn, struct mb_ast_span at) {
    unsigned depth = 0;
    for (const struct mb_frame *f = c->frame; f; f = f->caller, depth++)
        if (f->fn == fn) {
            mb_check_outside(c, at, "E2001",
                             "`%.*s` calls itself: recursion is outside the "
                             "inference subset",
                             MB_NAME_TEXT(c, fn->name));
            return false;
        }
    if (depth >= MAX_CALL_DEPTH) {
        mb_check_outside(c, at, "E2001", "calls nest more than %d deep", MAX_CALL_DEPTH);
        return false;
    }
    if (fn->is_generic) {
        mb_check_outside(c, at, "E2001",
                         "`%.*s` has type parameters, which are outside the inference subset",
                         MB_NAME_TEXT(c, fn->name));
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
        if (found < fn->n_params && !mb_check_spend(c, found, a->at)) return mb_bad();
        if (!place_argument(c, a, fn->n_params, &next, &named, found, fn->name)) return mb_bad();
        given -= args[next] != NULL;
        args[next] = a;
    }
    if (given != fn->n_params) {
        mb_check_error(c, e->at, "E2005", "E2007",
                       "`%.*s` takes %" PRIu32 " arguments, not %" PRIu32,
                       MB_NAME_TEXT(c, fn->name), fn->n_params, given);
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
    for (const struct mb_ast_param *q = fn->params; q && sound; q = q->next, i++)
        sound = bind_symbols(c, q->type, values[i], args[i]->at);
    i = 0;
    for (const struct mb_ast_param *q = fn->params; q && sound; q = q->next, i++) {
        values[i] = mb_conform(c, values[i], q->type, MB_FOR_ARGUMENT, args[i]->at);
        sound = values[i].kind != MB_VALUE_BAD;
    }
    i = 0;
    for (const struct mb_ast_param *q = fn->params; q && sound; q = q->next, i++)
        mb_check_bind(c, q->name, values[i], false);
    struct mb_value v = sound && !c->stop ? mb_check_body(c, fn) : mb_bad();
    mb_check_unbind(c, frame.first_local);
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
            mb_check_error(c, callee->at, "E2012", NULL, "%s cannot be called",
                           mb_value_kind_text(v));
        return mb_bad();
    }
    uint32_t name = callee->u.call.name;
    const struct mb_ast_item *item = in_tensor ? NULL : mb_check_item(c, name);
    if (item && item->kind == MB_ITEM_FN) return call_fn(c, e, receiver, item);
    if (name - MB_NAME_FIRST_BUILTIN < mb_builtin_count())
        return call_builtin(c, e, receiver, name);
    bool is_value = callee->kind == MB_EXPR_NAME && mb_check_local(c, name);
    if (is_value || (item && item->kind != MB_ITEM_IMPORT)) {
        mb_check_error(c, callee->at, "E2012", NULL, "`%.*s` is no function",
                       MB_NAME_TEXT(c, name));
        return mb_bad();
    }
    if (receiver && mb_check_expr(c, receiver, NULL).kind == MB_VALUE_BAD) return mb_bad();
    return mb_check_unknown(c, callee->at, name, true);
}

/* `tensor.zeros[f32, (2, 3)]` is a call in brackets. */
static struct mb_value check_index(struct mb_check *c, const struct mb_ast_expr *e) {
    const struct mb_ast_expr *base = e->u.call.base;
    if (base->kind == MB_EXPR_FIELD && is_tensor_namespace(c, base->u.call.base) &&
        mb_builtin_takes_brackets(base->u.call.name - MB_NAME_FIRST_BUILTIN))
        return call_builtin(c, e, NULL, base->u.call.name);
    return mb_check_subscripts(c, e);
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
                       "a condition must be a bool, not %s", mb_value_kind_text(v));
        return mb_bad();
    }
    if (v.u.integer) return check_block_value(c, e->u.branch.then);
    if (e->u.branch.otherwise) return check_block_value(c, e->u.branch.otherwise);
    return (struct mb_value){.kind = MB_VALUE_NONE};
}

static struct mb_value check_nested(struct mb_check *c, const struct mb_ast_expr *e,
                                    const enum mb_dtype *dtype) {
    switch ((enum mb_ast_expr_kind)e->kind) {
    case MB_EXPR_UNARY: return mb_check_unary(c, e, dtype);
    case MB_EXPR_BINARY: return mb_check_binary(c, e, dtype);
    case MB_EXPR_CAST: return mb_check_cast(c, e);
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
    case MB_EXPR_BOOL: return mb_bool_value(e->u.truth);
    case MB_EXPR_TEXT: v.kind = MB_VALUE_TEXT; return v;
    default: break;
    }
    if (!mb_check_spend(c, 1, e->at)) return v;
    c->depth++;
    v = check_nested(c, e, dtype);
    c->depth--;
    return v;
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
                       mb_value_kind_text(v));
    return false;
}

/* ---- statements ---- */

/* What mb_conform makes of a value, when the declared type (NULL: no tensor) has no symbols and is
 * at hand: no work at all, or the constant. */
static struct mb_value conform_let(struct mb_check *c, struct mb_value v,
                                   const struct mb_ast_stmt *s, const struct mb_type *declared) {
    const struct mb_ast_span at = s->value ? s->value->at : s->at;
    if (declared && mb_shape_is_concrete(&declared->shape)) {
        if (mb_is_scalar(v)) return mb_emit_fill(c, v, declared, at);
        if (v.kind == MB_VALUE_TENSOR && mb_type_equal(&c->nodes[v.u.node].type, declared))
            return v;
    }
    return mb_conform(c, v, s->type, MB_FOR_LET, at);
}

static void check_let(struct mb_check *c, const struct mb_ast_stmt *s) {
    const struct mb_type *want = c->want;
    struct mb_type declared;
    const struct mb_ast_dim *free_dim;
    const struct mb_ast_type *t = s->type ? mb_resolve_alias(c, s->type) : NULL;
    struct mb_value v = mb_bad();
    enum mb_dtype dtype;
    bool is_tensor = false;
    c->want = NULL;
    if (!s->value) {
        mb_check_outside(c, s->at, "E2001",
                         "a `let` without a value is outside the inference subset");
    } else if (t && t->kind == MB_TYPE_TENSOR && mb_check_dtype(c, t->name, &dtype)) {
        is_tensor = mb_tensor_type(c, t, true, &declared, &free_dim);
        if (is_tensor) {
            c->want = &declared;
            v = mb_check_expr(c, s->value, &declared.dtype);
        }
    } else if (!s->type || t) {
        v = mb_check_expr(c, s->value, NULL);
    }
    c->want = want;
    if (s->type) v = conform_let(c, v, s, is_tensor ? &declared : NULL);
    if (v.kind == MB_VALUE_NONE) v = mb_check_refuse(c, s->at, "E2001", "this value is nothing");
    if (!s->is_tuple) {
        mb_check_bind(c, s->names->name, v, false);
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
            mb_check_bind(c, q->name, v.kind == MB_VALUE_BAD ? v : v.u.tuple->item[i], false);
}

static struct mb_value check_assign(struct mb_check *c, const struct mb_ast_stmt *s) {
    if (s->target->kind != MB_EXPR_NAME)
        return mb_check_outside(c, s->target->at, "E2001",
                                "assignment to a part of a value is outside the inference subset");
    uint32_t name = s->target->u.call.name;
    struct mb_local *local = mb_check_local(c, name);
    if (!local) {
        mb_check_error(c, s->target->at, "E2009", NULL, "`%.*s` is assigned and was never declared",
                       MB_NAME_TEXT(c, name));
        return mb_bad();
    }
    struct mb_value before = local->value;
    enum mb_dtype room;
    struct mb_value v = mb_check_expr(c, s->value, mb_dtype_of(c, before, &room));
    if (s->op != MB_TOK_ASSIGN) v = mb_binary(c, s->op, before, v, s->target, s->value);
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
        if (!mb_check_spend(c, 1, s->at)) return;
        mb_check_bind(c, s->names->name, mb_int_value(i), false);
        mb_check_block(c, s->body, NULL);
        mb_check_unbind(c, n_locals);
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
                       mb_value_kind_text(v));
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
void mb_check_block(struct mb_check *c, const struct mb_ast_block *block, struct mb_value *last) {
    for (const struct mb_ast_stmt *s = block->first; s; s = s->next) {
        if (!mb_check_spend(c, 1, s->at)) return;
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
    mb_check_block(c, block, &v);
    mb_check_unbind(c, n_locals);
    return v;
}
