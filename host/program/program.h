/* A program: a tensor computation in static single assignment form, typed and shape-resolved.
 *
 * The front end makes it, every executor takes it, and it is all that an executor knows of the
 * model: no tensor data, no device, no source text. Nodes are in topological order (an operand's
 * index is below its user's). A program and all it points to live in the arena it was built in and
 * are immutable once built; it may be read from any number of threads. */
#ifndef MB_PROGRAM_H
#define MB_PROGRAM_H

#include "arena.h"
#include "status.h"
#include "tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mb_op {
#define OP(id, text, operands, attributes, shape_rule, flops, meaning) MB_OP_##id,
#include "ops.def"
    MB_OP_COUNT
};

/* Which member of union mb_attr is in use. */
enum mb_attr_kind {
    MB_ATTR_NONE,
    MB_ATTR_PARAM,
    MB_ATTR_FILL,
    MB_ATTR_DENSE,
    MB_ATTR_CONV,
    MB_ATTR_POOL,
    MB_ATTR_REDUCE,
    MB_ATTR_AXIS,
    MB_ATTR_SHAPE,
    MB_ATTR_PERM,
    MB_ATTR_DTYPE,
    MB_ATTR_SLICE,
    MB_ATTR_GATHER,
    MB_ATTR_RANGE,
    MB_ATTR_RANDOM,
};

/* Axis order of images and filters. */
enum mb_layout {
    MB_NCHW, /* image (N, C, H, W), filter (K, C, R, S), "OIHW" */
    MB_NHWC, /* image (N, H, W, C), filter (R, S, C, K), "HWIO" */
};

enum mb_padding_kind { MB_PAD_VALID, MB_PAD_SAME, MB_PAD_CUSTOM }; /* how it was written */

union mb_attr {
    struct mb_attr_param {
        uint32_t index; /* into mb_program.params */
    } param;
    struct mb_attr_fill {
        double value;
    } fill;
    struct mb_attr_dense {
        const void *data; /* row-major, the node's dtype; in the arena */
    } dense;
    struct mb_attr_conv {
        enum mb_layout layout;
        enum mb_padding_kind padding;
        int32_t stride[2];                   /* vertical, horizontal; >= 1 */
        int32_t pad_before[2], pad_after[2]; /* rows/columns of zeros, resolved whatever the kind */
    } conv;
    struct mb_attr_pool {
        enum mb_layout layout;
        int32_t kernel[2], stride[2]; /* vertical, horizontal; >= 1; no padding, extents floor */
    } pool;
    struct mb_attr_reduce {
        uint32_t axes; /* bit i: axis i; never 0 for rank > 0 */
        bool keepdims;
    } reduce;
    struct mb_attr_axis {
        int32_t axis; /* 0..rank-1 */
    } axis;
    struct mb_attr_shape {
        struct mb_shape shape;
    } shape;
    struct mb_attr_perm {
        int8_t perm[MB_MAX_RANK];
    } perm;
    struct mb_attr_dtype {
        enum mb_dtype dtype;
    } dtype;
    struct mb_attr_slice {
        int32_t axis;
        int64_t start, step; /* start is an index of the operand; step may be negative */
        int64_t extent;      /* >= 1, of the result */
    } slice;
    struct mb_attr_gather {
        int32_t axis;
        int32_t batch; /* 0..axis: leading axes that both operands share */
    } gather;
    struct mb_attr_range {
        double start, step, last;
    } range;
    struct mb_attr_random {
        double low, scale;
        uint64_t seed, stream;
    } random;
};

enum { MB_MAX_OPERANDS = 3 };

struct mb_node {
    enum mb_op op;
    uint32_t n_operands;
    uint32_t operand[MB_MAX_OPERANDS]; /* node indices */
    uint32_t id;         /* the number printed as %id; ascending, gaps where values were removed */
    struct mb_type type; /* of the result */
    union mb_attr attr;
};

/* What a parameter is for. Every executor may pack, fold or transform weights ahead of time; inputs
 * change from run to run. The rule, made by the front end and printed by the program: the first of
 * the entry function's parameters that is a tensor itself (where there is none: the first tensor in
 * a struct or tuple) is an input, and so is every tensor whose leading dimension is written with
 * the same name as that one's; all others are weights. */
enum mb_role { MB_INPUT, MB_WEIGHT };

/* A tensor of the entry function's parameters: a parameter itself, or a part of a struct or tuple.
 */
struct mb_param {
    const char *name; /* "x"; of a part with the way to it: "net.fc1.w", "pair.0" */
    struct mb_type type;
    enum mb_role role;
    uint32_t node;
};

struct mb_program {
    const char *name; /* entry function, or "main" for a script */
    const struct mb_node *nodes;
    uint32_t n_nodes;
    uint32_t next_id;              /* for the closing line of the IR text */
    const struct mb_param *params; /* in declaration order, parts in theirs */
    uint32_t n_params;
    const uint32_t *outputs; /* node indices, in the order of the returned values and their parts */
    uint32_t n_outputs;
};

/* ---- the table of operations ---- */

struct mb_op_info {
    const char *name; /* as the IR text and the messages spell it: "matmul", "maxpool2d" */
    uint32_t n_operands;
    enum mb_attr_kind attr;
    const char *meaning;
};
const struct mb_op_info *mb_op_info(enum mb_op op);

/* Why a shape rule refused: mindc's code ("E2101"), the specification's ("E3001" or NULL), and one
 * sentence without position. Codes and text follow the MIND language's own. */
struct mb_shape_error {
    const char *code, *spec_code;
    char text[256];
};

/* The result type of `op` on operands of these types. The same rules serve the front end, where
 * dimensions may be symbols (see tensor.h; `symbols` names them and may be NULL), and the checker.
 * `given` is the result type for operations whose shape rule is "given", else ignored.
 * False fills `error`. `type` may alias no operand. */
bool mb_op_infer(enum mb_op op, const struct mb_type *const *operands, const union mb_attr *attr,
                 const struct mb_type *given, const char *const *symbols, struct mb_type *type,
                 struct mb_shape_error *error);

/* Broadcast of two shapes, in `out`, which aliases neither; false when they do not agree. */
bool mb_shape_broadcast(const struct mb_shape *a, const struct mb_shape *b, struct mb_shape *out);

/* Output extent of a window of `window` cells moved by `stride` over before + extent + after cells:
 * floor((extent + before + after - window) / stride) + 1, or 0 when the window does not fit. */
int64_t mb_window_extent(int64_t extent, int32_t before, int32_t after, int64_t window,
                         int32_t stride);

/* ---- whole programs ---- */

/* The verifier: every rule above and every node's type recomputed from its operands, all dimensions
 * positive and concrete. MB_E_PROGRAM with the first violation. It is cheap and always on. */
enum mb_status mb_program_check(const struct mb_program *program, struct mb_err *err);

/* Elements begin..end-1 (row-major) of RANGE, EYE, UNIFORM or NORMAL, in the node's dtype, to
 * y[0..]. The only place that computes them: every executor has the same bytes. */
void mb_program_constant(const struct mb_node *node, int64_t begin, int64_t end, void *y);

/* Arithmetic of one node and of the program, a multiply-add counted as two, by the direct
 * algorithm. Comparisons and transcendental functions count one each. */
double mb_node_flops(const struct mb_program *program, uint32_t node);
double mb_program_flops(const struct mb_program *program);

/* Bytes any implementation must move: each parameter read once and each output written once. */
double mb_program_bytes(const struct mb_program *program);

/* The least that a run of the program takes, of what is not known to be avoidable: bytes of the
 * parameters that wholly go into an output, and arithmetic of the matrix products and convolutions
 * on the inputs' side by the cheapest algorithms known (Strassen's, Winograd's F(6x6)). What only a
 * part of may be read (slices, gathers), what can be computed ahead, and what is there twice are
 * left out: too little is no error, too much would be. Zero without memory. */
struct mb_least {
    double bytes, flops;
};
struct mb_least mb_program_least(const struct mb_program *program);

/* The IR text in mindc's form (`compile --emit ir`). False on a write error. What differs, since
 * this program is of inlined calls with known shapes: parameters are `input` lines; scalars that
 * are known have no id until a tensor needs them, and then are const.f32, const.i32 and const.bool
 * beside mindc's const.i64 and const.f64; only the results are outputs, after all values;
 * expand_dims, squeeze and flatten are reshape, dot is matmul, an index is slice and reshape;
 * defaults are written out (perm, strides), and conv2d and pooling say their layout. */
bool mb_program_print(const struct mb_program *program, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
