/* The checker: walks what the entry reaches, types it and emits the program's nodes as it goes;
 * calls of user functions are inlined. Private to the front end.
 *
 * Scalars that are known at compile time stay values and become nodes only where a tensor is
 * wanted, in that tensor's element type. */
#ifndef MB_CHECKER_H
#define MB_CHECKER_H

#include "ast.h"
#include "fixed_names.h"
#include "program.h"

#include <stdbool.h>
#include <stdint.h>

enum mb_value_kind {
    MB_VALUE_NONE,   /* unit: a call without result */
    MB_VALUE_BAD,    /* an error was reported, or nothing can be known before symbols are bound */
    MB_VALUE_TENSOR, /* node */
    MB_VALUE_INT,
    MB_VALUE_DIM, /* integer: an extent that is a symbol or unknown; see tensor.h */
    MB_VALUE_FLOAT,
    MB_VALUE_BOOL, /* integer */
    MB_VALUE_TEXT,
    MB_VALUE_TUPLE,
    MB_VALUE_STRUCT, /* a tuple of the fields in their declared order */
};

struct mb_value {
    uint8_t kind;
    bool has_dtype; /* a scalar whose type was written */
    uint8_t dtype;
    union {
        uint32_t node;
        int64_t integer;
        double number;
        struct mb_tuple *tuple;
    } u;
};

struct mb_tuple {
    const struct mb_ast_item *type; /* of a struct */
    uint32_t n;
    uint32_t depth; /* of nested tuples, this one included */
    struct mb_value item[];
};

struct mb_local {
    uint32_t name;
    uint32_t outer; /* the binding of the same name that this one hides, or MB_NO_INDEX */
    bool is_symbol; /* a dimension's name, from the signature */
    struct mb_value value;
};

/* What is known of a node beside its type. */
enum mb_tag { MB_TAG_NONE, MB_TAG_NCHW, MB_TAG_NHWC };

struct mb_frame {
    struct mb_frame *caller;
    const struct mb_ast_item *fn; /* NULL: the script, or a const */
    struct mb_ast_span call;      /* where it was called; in the caller */
    uint32_t first_local;         /* bindings below belong to callers and are not visible */
    bool returned;
    struct mb_value result;
    struct mb_ast_span result_at; /* of the expression that is the result */
};

/* Lives as long as the compiler context. */
struct mb_check {
    struct mb_names *names;
    struct mb_diags *diags;
    struct mb_arena *arena;
    const struct mb_ast_file *file;
    const struct mb_mind_source *source;
    const uint32_t
        *bound_names;    /* name numbers of source->bindings; MB_NO_NAME: not in the source */
    bool symbolic;       /* dimensions may stay symbols: check, not compile */
    bool every_function; /* no entry: what is outside the subset is a warning unless reached */
    bool failed;         /* memory ran out */
    bool stop;           /* the program grew too large; already reported */
    unsigned depth;
    uint32_t n_random; /* random constants without a seed of their own, so far */
    uint64_t budget;   /* expressions that may still be evaluated, so that inlining ends */
    struct mb_frame *frame;
    const struct mb_type *want; /* declared type of the statement's value, or NULL */
    uint8_t spelling;           /* token kind of the operator being lowered, or MB_TOK_END */
    const char *hint;           /* help for what the node being made may be refused for, or NULL */

    struct mb_node *nodes;
    uint8_t *tags;
    uint32_t n_nodes, node_cap, tag_cap;
    struct mb_local *locals;
    uint32_t n_locals, local_cap;
    const char **symbols; /* names of the symbols of the function being checked */
    uint32_t n_symbols, symbol_cap;
    struct mb_param *params;
    uint32_t n_params;
    uint32_t *outputs; /* nodes */
    uint32_t n_outputs, output_cap;
};

/* ---- values ---- */

static inline struct mb_value mb_bad(void) { return (struct mb_value){.kind = MB_VALUE_BAD}; }

static inline struct mb_value mb_int_value(int64_t i) {
    return (struct mb_value){.kind = MB_VALUE_INT, .u.integer = i};
}

static inline struct mb_value mb_bool_value(bool truth) {
    return (struct mb_value){.kind = MB_VALUE_BOOL, .u.integer = truth};
}

static inline struct mb_value mb_extent_value(int64_t extent) {
    return (struct mb_value){.kind = extent < 0 ? MB_VALUE_DIM : MB_VALUE_INT, .u.integer = extent};
}

static inline bool mb_is_number(struct mb_value v) {
    return v.kind == MB_VALUE_INT || v.kind == MB_VALUE_FLOAT || v.kind == MB_VALUE_DIM;
}

static inline bool mb_is_scalar(struct mb_value v) {
    return mb_is_number(v) || v.kind == MB_VALUE_BOOL;
}

static inline bool mb_extents_agree(int64_t a, int64_t b) {
    return a == b || a == MB_DIM_UNKNOWN || b == MB_DIM_UNKNOWN;
}

/* "a tensor", "an integer", ...: for messages. Static storage. */
const char *mb_value_kind_text(struct mb_value v);

/* ---- checker.c: diagnostics, names, the walk ---- */

/* Reports an error; the value to return for it is mb_bad(). */
__attribute__((format(printf, 5, 6))) struct mb_diag_record *
mb_check_error(struct mb_check *c, struct mb_ast_span at, const char *code, const char *spec_code,
               const char *format, ...);
__attribute__((format(printf, 4, 5))) struct mb_diag_record *
mb_check_warning(struct mb_check *c, struct mb_ast_span at, const char *code, const char *format,
                 ...);
/* Sound MIND that is outside the inference subset. */
__attribute__((format(printf, 4, 5))) struct mb_value mb_check_outside(struct mb_check *c,
                                                                       struct mb_ast_span at,
                                                                       const char *code,
                                                                       const char *format, ...);
/* An error that needs no arguments. */
struct mb_value mb_check_refuse(struct mb_check *c, struct mb_ast_span at, const char *code,
                                const char *what);
/* E2002, or for a function E2003, with "did you mean". */
struct mb_value mb_check_unknown(struct mb_check *c, struct mb_ast_span at, uint32_t name,
                                 bool callable);

/* printf arguments for "%.*s" of a name */
#define MB_NAME_TEXT(c, n) mb_diags_clip((c)->names->list[n].len), (c)->names->list[n].text

/* Charges the work of `n` evaluations; false when the program is too large or nests too deeply,
 * which has then been reported. */
bool mb_check_spend(struct mb_check *c, uint64_t n, struct mb_ast_span at);

/* The top-level item of a name, or NULL. */
struct mb_ast_item *mb_check_item(const struct mb_check *c, uint32_t name);

/* The visible local binding of a name, or NULL. Valid until the next mb_check_bind. */
struct mb_local *mb_check_local(const struct mb_check *c, uint32_t name);
void mb_check_bind(struct mb_check *c, uint32_t name, struct mb_value value, bool is_symbol);
void mb_check_unbind(struct mb_check *c, uint32_t n_locals);

/* The element type that a name stands for, in any case; false: none that is supported. */
bool mb_check_dtype(const struct mb_check *c, uint32_t name, enum mb_dtype *dtype);

/* A const's value, evaluated once when it is a scalar. */
struct mb_value mb_const_value(struct mb_check *c, struct mb_ast_item *item);

/* `dtype` is the element type that a bracket list takes on, or NULL. */
struct mb_value mb_check_expr(struct mb_check *c, const struct mb_ast_expr *e,
                              const enum mb_dtype *dtype);

/* A constant integer; false when it is none, which has been reported, or an extent that is not
 * bound yet. */
bool mb_check_int(struct mb_check *c, const struct mb_ast_expr *e, const char *what, int64_t *out);

/* Runs statements up to the first `return`; `last` (may be NULL) gets the value of the last one
 * that can be the result. */
void mb_check_block(struct mb_check *c, const struct mb_ast_block *block, struct mb_value *last);

/* Runs the body of the current frame's function; its result, brought to the declared type. */
struct mb_value mb_check_body(struct mb_check *c, const struct mb_ast_item *fn);

/* ---- operators.c ---- */

/* lhs op rhs, whose values are at hand. */
struct mb_value mb_binary(struct mb_check *c, uint8_t op, struct mb_value a, struct mb_value b,
                          const struct mb_ast_expr *lhs, const struct mb_ast_expr *rhs);
struct mb_value mb_check_binary(struct mb_check *c, const struct mb_ast_expr *e,
                                const enum mb_dtype *dtype);
struct mb_value mb_check_unary(struct mb_check *c, const struct mb_ast_expr *e,
                               const enum mb_dtype *dtype);

/* The element type of a tensor, in `room`, for a bracket list beside it; else NULL. */
const enum mb_dtype *mb_dtype_of(const struct mb_check *c, struct mb_value v, enum mb_dtype *room);

/* Reports that an operator is not defined for such a value. */
struct mb_value mb_no_operator(struct mb_check *c, uint8_t op, struct mb_value v,
                               struct mb_ast_span at);

/* ---- types.c ---- */

enum {
    MB_MAX_TUPLE = 64,      /* elements of a tuple and fields of a struct */
    MB_MAX_TUPLE_DEPTH = 8, /* of both within each other */
};

/* What a dimension's name stands for. */
enum mb_extent_kind {
    MB_EXTENT_BAD, /* reported */
    MB_EXTENT_KNOWN,
    MB_EXTENT_SYMBOL,
    MB_EXTENT_FREE, /* bound by nothing */
};

/* What a declared type is for: a `let`, const or field, which a scalar may fill and whose symbols
 * agree with everything; an argument; a result. */
enum mb_purpose { MB_FOR_LET, MB_FOR_ARGUMENT, MB_FOR_RESULT };

/* The type behind aliases; NULL when they go round in a circle, which is reported. */
const struct mb_ast_type *mb_resolve_alias(struct mb_check *c, const struct mb_ast_type *t);

/* A tuple's or struct's element. */
struct mb_part {
    const struct mb_ast_type *type;
    uint32_t name; /* of the field, or MB_NO_NAME */
    struct mb_ast_span at;
};

/* What a type that is no alias is made of, in the declared order, and how many that are; the struct
 * goes to `item`, NULL for a tuple. MB_NO_INDEX: it is neither. More than MB_MAX_TUPLE are counted
 * and not written. */
uint32_t mb_type_parts(const struct mb_check *c, const struct mb_ast_type *t,
                       struct mb_part parts[], const struct mb_ast_item **item);

/* The extent of a dimension that is a name; `out` is written for KNOWN and SYMBOL. */
enum mb_extent_kind mb_named_extent(struct mb_check *c, const struct mb_ast_dim *d, int64_t *out);

/* The extent of any dimension; MB_DIM_UNKNOWN for a free name. */
enum mb_extent_kind mb_dim_extent(struct mb_check *c, const struct mb_ast_dim *d, int64_t *out);

/* 1 <= extent and not absurdly large; reported when not. */
bool mb_check_extent(struct mb_check *c, int64_t extent, struct mb_ast_span at);

/* A tensor or scalar type. `wildcards`: a symbol agrees with every extent, as an annotation has it.
 * `free_dim` gets the first dimension whose name nothing binds. False when reported. */
bool mb_tensor_type(struct mb_check *c, const struct mb_ast_type *t, bool wildcards,
                    struct mb_type *out, const struct mb_ast_dim **free_dim);

/* A value as one of a declared type. */
struct mb_value mb_conform(struct mb_check *c, struct mb_value v, const struct mb_ast_type *t,
                           enum mb_purpose purpose, struct mb_ast_span at);

struct mb_value mb_check_cast(struct mb_check *c, const struct mb_ast_expr *e);

/* A tuple of `n` elements, all nothing; NULL when memory is out. */
struct mb_tuple *mb_tuple_new(struct mb_check *c, uint32_t n);

/* Puts one element; false when it nests too deeply, which is reported. */
bool mb_tuple_put(struct mb_check *c, struct mb_tuple *t, uint32_t i, struct mb_value v,
                  struct mb_ast_span at);

/* ---- emit.c ---- */

/* Adds a node, its type inferred. `attr` and `given` as in mb_op_infer; what the shape rule refuses
 * is reported at `at`. */
struct mb_value mb_emit(struct mb_check *c, enum mb_op op, const uint32_t *operands,
                        const union mb_attr *attr, const struct mb_type *given,
                        struct mb_ast_span at);

struct mb_value mb_emit_reshape(struct mb_check *c, uint32_t x, const struct mb_shape *shape,
                                struct mb_ast_span at);

/* The same tensor when it has that element type already. */
struct mb_value mb_emit_cast(struct mb_check *c, uint32_t x, enum mb_dtype dtype,
                             struct mb_ast_span at);

/* `op` on two tensors, with the channel bias rule. */
struct mb_value mb_emit_binary(struct mb_check *c, enum mb_op op, uint32_t a, uint32_t b,
                               struct mb_ast_span at);

/* A constant tensor, every element `v`, which is a scalar; reported when it has no such value. */
struct mb_value mb_emit_fill(struct mb_check *c, struct mb_value v, const struct mb_type *type,
                             struct mb_ast_span at);

/* Stores a scalar as one element of `dtype`; reported when it has no such value. */
bool mb_store_scalar(struct mb_check *c, struct mb_value v, enum mb_dtype dtype, void *out,
                     size_t index, struct mb_ast_span at);

/* A value or expression as a tensor, scalars as rank-0 constants of `dtype` (NULL: i32 or f32).
 * False when it was reported that it is none. */
bool mb_value_tensor(struct mb_check *c, struct mb_value v, struct mb_ast_span at,
                     const enum mb_dtype *dtype, uint32_t *node);
bool mb_check_tensor(struct mb_check *c, const struct mb_ast_expr *e, const enum mb_dtype *dtype,
                     uint32_t *node);

/* ---- builtins.c ---- */

struct mb_call { /* of a built-in, its arguments matched to its parameters */
    const struct mb_ast_expr *expr;
    uint32_t builtin;
    const struct mb_ast_expr *arg[MB_MAX_BUILTIN_PARAMS]; /* NULL: left out */
};

uint32_t mb_builtin_count(void);
bool mb_builtin_fills_gaps(uint32_t builtin); /* gather: a positional argument may follow `axis=` */
bool mb_builtin_takes_brackets(uint32_t builtin); /* zeros and ones; false for no built-in */
struct mb_value mb_builtin_lower(struct mb_check *c, const struct mb_call *call);

/* ---- indexing.c ---- */

struct mb_value mb_emit_slice(struct mb_check *c, uint32_t x, const struct mb_attr_slice *slice,
                              struct mb_ast_span at);
/* Element `i` of an axis, which goes. `code` is that of an index out of range. */
struct mb_value mb_emit_take_one(struct mb_check *c, uint32_t x, int32_t axis, int64_t i,
                                 const char *code, struct mb_ast_span at);
/* start..end of an axis by `step`, out of range with `code`. */
struct mb_value mb_emit_span(struct mb_check *c, uint32_t x, int32_t axis, int64_t start,
                             int64_t end, int64_t step, const char *code, struct mb_ast_span at);
struct mb_value mb_emit_gather(struct mb_check *c, uint32_t x, uint32_t indices, int32_t axis,
                               int32_t batch, struct mb_ast_span at);

/* x[i, a..b, ..]: an integer drops its axis, a range cuts it, a tensor of integers gathers. */
struct mb_value mb_check_subscripts(struct mb_check *c, const struct mb_ast_expr *e);

struct mb_value mb_lower_concat(struct mb_check *c, const struct mb_call *call);
struct mb_value mb_lower_stack(struct mb_check *c, const struct mb_call *call);

/* ---- entries.c ---- */

/* Chooses the entry, checks it and fills nodes, params and outputs; for mb_mind_check (`symbolic`)
 * every function when none can be chosen. `entry` gets the name number of the entry. */
void mb_check_run(struct mb_check *c, uint32_t *entry);

#endif
