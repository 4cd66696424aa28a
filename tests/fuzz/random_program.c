#include "random_program.h"

#include "random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double eps = 1.2e-7; /* of f32 */
static const double function =
    2e-6; /* relative error of an f32 function of our kernels, generously */
static const double largest = 2e4, largest_error = 0.02;
static const size_t most_elements = 4096;

static uint32_t draw(struct rp_program *p, uint32_t bound) {
    return mb_random_below(p->seed, 1, p->n_drawn++, bound);
}

static int64_t draw_extent(struct rp_program *p) {
    static const uint8_t extents[] = {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33};
    return extents[draw(p, sizeof extents)];
}

static double size_of(struct rp_bounds b) { return fmax(fabs(b.low), fabs(b.high)); }

/* ---- bounds of each operation ---- */

static struct rp_bounds within(double low, double high, double error) {
    return (struct rp_bounds){low, high, error};
}

/* Of a function that does not fall, with its steepest slope in the interval. */
static struct rp_bounds rising(struct rp_bounds a, double (*f)(double), double slope) {
    const double low = f(a.low), high = f(a.high);
    return within(low, high, slope * a.error + function * (1 + fmax(fabs(low), fabs(high))));
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static struct rp_bounds sums(struct rp_bounds term, double n) {
    const double m = size_of(term) * n;
    return within(-m, m, n * term.error + 64 * eps * m);
}

static struct rp_bounds product(struct rp_bounds a, struct rp_bounds b) {
    const double m = size_of(a) * size_of(b);
    const double corners[] = {a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high};
    double low = corners[0], high = corners[0];
    for (int i = 1; i < 4; i++) low = fmin(low, corners[i]), high = fmax(high, corners[i]);
    return within(low, high,
                  size_of(a) * b.error + size_of(b) * a.error + a.error * b.error + eps * m);
}

static bool is_float(enum mb_dtype dtype) { return dtype == MB_F32 || dtype == MB_F64; }

static double reduced_count(const struct mb_type *x, uint32_t axes) {
    double n = 1;
    for (int32_t i = 0; i < x->shape.rank; i++)
        if (axes >> i & 1) n *= (double)x->shape.dim[i];
    return n;
}

static const struct rp_bounds impossible = {0, HUGE_VAL, HUGE_VAL};

static struct rp_bounds bounds_of_reduction(const struct mb_node *n, const struct mb_type *x,
                                            struct rp_bounds a) {
    const double count = reduced_count(x, n->attr.reduce.axes);
    if (n->op == MB_OP_SUM)
        return is_float(x->dtype) ? sums(a, count)
                                  : within(-size_of(a) * count, size_of(a) * count, 0);
    if (n->op == MB_OP_MEAN) return within(a.low, a.high, a.error + 64 * eps * size_of(a));
    if (n->op != MB_OP_PROD) return a;
    const double m = pow(fmax(size_of(a), 1), count);
    if (m > largest) return impossible;
    return within(-m, m, is_float(x->dtype) ? count * m * (a.error + eps) : 0);
}

static struct rp_bounds bounds_of_unary(enum mb_op op, struct rp_bounds a) {
    const bool exact = a.error == 0;
    switch (op) {
    case MB_OP_NEG: return within(-a.high, -a.low, a.error);
    case MB_OP_ABS: return within(0, size_of(a), a.error);
    case MB_OP_RELU: return within(fmax(a.low, 0), fmax(a.high, 0), a.error);
    case MB_OP_SIGMOID: return rising(a, sigmoid, 0.25);
    case MB_OP_TANH: return rising(a, tanh, 1);
    case MB_OP_EXP: return a.high < 8 ? rising(a, exp, 1.1 * exp(a.high)) : impossible;
    case MB_OP_LOG:
    case MB_OP_LOG2:
    case MB_OP_LOG10:
        if (!(a.low - a.error > 0.05)) return impossible;
        return rising(a, op == MB_OP_LOG ? log : op == MB_OP_LOG2 ? log2 : log10, 1.6 / a.low);
    case MB_OP_SQRT:
        return a.low - a.error > 0.05 ? rising(a, sqrt, 0.6 / sqrt(a.low)) : impossible;
    case MB_OP_SIN:
    case MB_OP_COS: return size_of(a) < 100 ? within(-1, 1, a.error + 10 * function) : impossible;
    case MB_OP_GELU:
        return within(fmin(a.low, 0) < 0 ? -0.2 : 0, fmax(a.high, 0),
                      1.2 * a.error + function * (1 + size_of(a)));
    case MB_OP_FLOOR:
    case MB_OP_CEIL:
    case MB_OP_ROUND: return exact ? within(a.low - 1, a.high + 1, 0) : impossible;
    case MB_OP_NOT: return within(0, 1, 0);
    default: return impossible;
    }
}

static struct rp_bounds bounds_of_binary(enum mb_op op, struct rp_bounds a, struct rp_bounds b,
                                         bool floats) {
    const bool exact = a.error == 0 && b.error == 0;
    const double rounding = floats ? eps : 0;
    switch (op) {
    case MB_OP_ADD:
    case MB_OP_SUB: {
        const double low = op == MB_OP_ADD ? a.low + b.low : a.low - b.high;
        const double high = op == MB_OP_ADD ? a.high + b.high : a.high - b.low;
        return within(low, high, a.error + b.error + rounding * (size_of(a) + size_of(b)));
    }
    case MB_OP_MUL: {
        struct rp_bounds y = product(a, b);
        if (!floats) y.error = 0;
        return y;
    }
    case MB_OP_DIV: {
        const double least = b.low - b.error;
        if (!(least > 0.2)) return impossible;
        const double m = size_of(a) / least;
        return within(-m, m, floats ? (a.error + m * b.error) / least + 2 * eps * m : 0);
    }
    case MB_OP_MAX: return within(fmax(a.low, b.low), fmax(a.high, b.high), fmax(a.error, b.error));
    case MB_OP_MIN: return within(fmin(a.low, b.low), fmin(a.high, b.high), fmax(a.error, b.error));
    case MB_OP_POW: {
        if (!(a.low - a.error > 0.2) || size_of(b) > 3) return impossible;
        const double m = fmax(pow(a.low, -3), pow(fmax(a.high, 1), 3));
        return within(0, m,
                      m * (3 * a.error / (a.low - a.error) +
                           b.error * (2 + fabs(log(fmax(a.high, 1)))) + 20 * function));
    }
    case MB_OP_MOD: /* of floats it jumps where the quotient is rounded */
        return !floats && b.low >= 1 ? within(-size_of(a), size_of(a), 0) : impossible;
    default: return exact ? within(0, 1, 0) : impossible; /* comparisons and logic */
    }
}

static double terms_of(const struct mb_node *n, const struct mb_type *const *types) {
    if (n->op == MB_OP_MATMUL) return (double)types[0]->shape.dim[types[0]->shape.rank - 1];
    const int64_t *w = types[1]->shape.dim;
    return n->attr.conv.layout == MB_NCHW ? (double)(w[1] * w[2] * w[3])
                                          : (double)(w[0] * w[1] * w[2]);
}

/* Error and extent of a node's elements; `error` infinite where they cannot be told. */
static struct rp_bounds bounds_of(const struct rp_program *p, const struct mb_node *n,
                                  const struct mb_type *const *types) {
    struct rp_bounds x[MB_MAX_OPERANDS] = {{0, 0, 0}};
    for (uint32_t k = 0; k < n->n_operands; k++) x[k] = p->bounds[n->operand[k]];
    switch (n->op) {
    case MB_OP_MATMUL: return sums(product(x[0], x[1]), terms_of(n, types));
    case MB_OP_CONV2D: { /* Winograd's transforms cost some more digits */
        struct rp_bounds y = sums(product(x[0], x[1]), terms_of(n, types));
        y.error *= 4;
        return y;
    }
    case MB_OP_SUM:
    case MB_OP_MEAN:
    case MB_OP_REDUCE_MAX:
    case MB_OP_REDUCE_MIN:
    case MB_OP_PROD: return bounds_of_reduction(n, types[0], x[0]);
    case MB_OP_AVGPOOL2D: return within(x[0].low, x[0].high, x[0].error + 64 * eps * size_of(x[0]));
    case MB_OP_ARGMAX: return x[0].error == 0 ? within(0, 64, 0) : impossible;
    case MB_OP_SOFTMAX: return within(0, 1, 2 * x[0].error + 10 * function);
    case MB_OP_LOG_SOFTMAX: {
        const double m = 2 * size_of(x[0]) + 10;
        return within(-m, 0, 2 * x[0].error + function * (10 + m));
    }
    case MB_OP_CAST: {
        const bool to_float = is_float(n->attr.dtype.dtype), from_float = is_float(types[0]->dtype);
        if (!to_float && from_float && x[0].error > 0) return impossible;
        if (!to_float) return within(fmin(x[0].low, 0), fmax(x[0].high, 1), 0);
        if (types[0]->dtype == MB_F64 && n->attr.dtype.dtype == MB_F32)
            x[0].error += eps * size_of(x[0]);
        return x[0];
    }
    case MB_OP_SELECT:
        return within(fmin(x[1].low, x[2].low), fmax(x[1].high, x[2].high),
                      fmax(x[1].error, x[2].error));
    case MB_OP_CONCAT:
        return within(fmin(x[0].low, x[1].low), fmax(x[0].high, x[1].high),
                      fmax(x[0].error, x[1].error));
    case MB_OP_MAXPOOL2D:
    case MB_OP_RESHAPE:
    case MB_OP_SLICE:
    case MB_OP_GATHER:
    case MB_OP_TRANSPOSE: return x[0];
    default: break;
    }
    if (n->n_operands == 1) return bounds_of_unary(n->op, x[0]);
    return bounds_of_binary(n->op, x[0], x[1], is_float(types[0]->dtype));
}

/* ---- adding nodes ---- */

static uint32_t add(struct rp_program *p, const struct mb_node *node, struct rp_bounds bounds) {
    const uint32_t i = p->program.n_nodes++;
    p->nodes[i] = *node;
    p->nodes[i].id = i;
    p->bounds[i] = bounds;
    return i;
}

static uint32_t add_param(struct rp_program *p, struct mb_type type) {
    static char names[RP_MAX_PARAMS][8];
    const uint32_t index = p->program.n_params++;
    const struct mb_node node = {.op = MB_OP_PARAM, .type = type, .attr = {.param = {index}}};
    const bool is_int = type.dtype == MB_I32 || type.dtype == MB_I64;
    snprintf(names[index], sizeof names[index], "p%u", index % 1000);
    p->params[index] = (struct mb_param){
        names[index], type, index && draw(p, 3) ? MB_WEIGHT : MB_INPUT, p->program.n_nodes};
    return add(p, &node, within(is_int ? 1 : type.dtype == MB_BOOL ? 0 : -1, is_int ? 9 : 1, 0));
}

static enum mb_dtype draw_dtype(struct rp_program *p) {
    static const uint8_t dtypes[] = {MB_F32, MB_F32, MB_F32, MB_F32,
                                     MB_F64, MB_I32, MB_I64, MB_BOOL};
    return (enum mb_dtype)dtypes[draw(p, sizeof dtypes)];
}

static struct mb_type draw_type(struct rp_program *p, enum mb_dtype dtype) {
    struct mb_type type = {dtype, {.rank = (int32_t)draw(p, 5)}};
    size_t count = 1;
    for (int32_t i = 0; i < type.shape.rank; i++) {
        type.shape.dim[i] = draw_extent(p);
        if (count * (size_t)type.shape.dim[i] > most_elements) type.shape.dim[i] = 1;
        count *= (size_t)type.shape.dim[i];
    }
    return type;
}

/* Adds the operation to these operands when the shape rules and the bounds allow it. */
static bool try_node(struct rp_program *p, struct mb_node *n, const struct mb_type *given) {
    const struct mb_type *types[MB_MAX_OPERANDS] = {NULL};
    struct mb_shape_error why;
    size_t count;
    n->n_operands = mb_op_info(n->op)->n_operands;
    for (uint32_t k = 0; k < n->n_operands; k++) types[k] = &p->nodes[n->operand[k]].type;
    if (!mb_op_infer(n->op, types, &n->attr, given, NULL, &n->type, &why)) return false;
    for (int32_t i = 0; i < n->type.shape.rank; i++)
        if (n->type.shape.dim[i] < 1) return false;
    if (!mb_shape_count(&n->type.shape, &count) || count > most_elements) return false;
    const struct rp_bounds b = bounds_of(p, n, types);
    if (!(size_of(b) <= largest && b.error <= largest_error)) return false;
    add(p, n, b);
    return true;
}

/* ---- attributes ---- */

static void draw_constant(struct rp_program *p, enum mb_op op) {
    struct mb_node n = {.op = op};
    struct rp_bounds b = within(-1, 1, 0);
    n.type = draw_type(p, op == MB_OP_DENSE ? MB_I32 : MB_F32);
    size_t count = 0;
    mb_shape_count(&n.type.shape, &count);
    switch (op) {
    case MB_OP_FILL: n.attr.fill.value = (double)draw(p, 9) / 4 - 1; break;
    case MB_OP_RANGE: {
        const double last = 0.25 * (double)(count - 1) - 1;
        n.attr.range = (struct mb_attr_range){-1, 0.25, last};
        b = within(-1, fmax(last, -1), 0);
        break;
    }
    case MB_OP_EYE: b = within(0, 1, 0); break;
    case MB_OP_DENSE: {
        int32_t *data = (int32_t *)p->dense[p->program.n_nodes];
        n.type.shape = (struct mb_shape){1, {1 + draw(p, RP_DENSE)}};
        for (int64_t i = 0; i < n.type.shape.dim[0]; i++) data[i] = (int32_t)draw(p, 9);
        n.attr.dense.data = data;
        b = within(0, 8, 0);
        break;
    }
    default:
        n.attr.random = (struct mb_attr_random){-1, 2, p->seed, 1 + draw(p, 9)};
        if (op == MB_OP_NORMAL)
            n.attr.random.low = 0, n.attr.random.scale = 0.2, b = within(-2, 2, 0);
        break;
    }
    if (op == MB_OP_EYE && n.type.shape.rank < 2) return;
    add(p, &n, b);
}

static void draw_attr(struct rp_program *p, struct mb_node *n) {
    const struct mb_shape *x = &p->nodes[n->operand[0]].type.shape;
    const int32_t rank = x->rank > 0 ? x->rank : 1;
    switch (mb_op_info(n->op)->attr) {
    case MB_ATTR_CONV:
        n->attr.conv = (struct mb_attr_conv){.layout = draw(p, 3) ? MB_NCHW : MB_NHWC,
                                             .padding = MB_PAD_CUSTOM};
        for (int i = 0; i < 2; i++) {
            n->attr.conv.stride[i] = 1 + (int32_t)(draw(p, 3) == 0);
            n->attr.conv.pad_before[i] = n->attr.conv.pad_after[i] = (int32_t)draw(p, 2);
        }
        break;
    case MB_ATTR_POOL:
        n->attr.pool.layout = draw(p, 3) ? MB_NCHW : MB_NHWC;
        for (int i = 0; i < 2; i++) {
            n->attr.pool.kernel[i] = 1 + (int32_t)draw(p, 3);
            n->attr.pool.stride[i] = 1 + (int32_t)draw(p, 3);
        }
        break;
    case MB_ATTR_REDUCE:
        n->attr.reduce.axes = x->rank ? 1 + draw(p, (1u << x->rank) - 1) : 0;
        n->attr.reduce.keepdims = draw(p, 2);
        break;
    case MB_ATTR_AXIS: n->attr.axis.axis = (int32_t)draw(p, (uint32_t)rank); break;
    case MB_ATTR_SHAPE: { /* two neighbours as one, or an axis of 1 more */
        struct mb_shape *y = &n->attr.shape.shape;
        *y = *x;
        const int32_t at = (int32_t)draw(p, (uint32_t)rank);
        if (at + 1 < x->rank) {
            y->dim[at] *= y->dim[at + 1];
            for (int32_t i = at + 1; i + 1 < x->rank; i++) y->dim[i] = y->dim[i + 1];
            y->rank--;
        } else if (x->rank < 5) {
            y->dim[y->rank++] = 1;
        }
        break;
    }
    case MB_ATTR_PERM:
        for (int32_t i = 0; i < x->rank; i++) n->attr.perm.perm[i] = (int8_t)i;
        for (int32_t i = x->rank - 1; i > 0; i--) {
            const uint32_t k = draw(p, (uint32_t)i + 1);
            const int8_t kept = n->attr.perm.perm[i];
            n->attr.perm.perm[i] = n->attr.perm.perm[k];
            n->attr.perm.perm[k] = kept;
        }
        break;
    case MB_ATTR_DTYPE: n->attr.dtype.dtype = (enum mb_dtype)draw(p, 5); break;
    case MB_ATTR_SLICE: {
        struct mb_attr_slice *s = &n->attr.slice;
        s->axis = (int32_t)draw(p, (uint32_t)rank);
        const int64_t dim = x->rank ? x->dim[s->axis] : 1;
        s->start = (int64_t)draw(p, (uint32_t)dim);
        s->step = draw(p, 2) ? 1 + (int64_t)draw(p, 3) : -1 - (int64_t)draw(p, 2);
        s->extent = s->step > 0 ? (dim - 1 - s->start) / s->step + 1 : s->start / -s->step + 1;
        break;
    }
    case MB_ATTR_GATHER: n->attr.gather.axis = (int32_t)draw(p, (uint32_t)rank); break;
    default: break;
    }
}

/* A new second operand that fits the first: a matrix, filters, a bias. */
static void fit_operand(struct rp_program *p, struct mb_node *n) {
    const struct mb_type *x = &p->nodes[n->operand[0]].type;
    struct mb_type w = {x->dtype, {.rank = 0}};
    if (p->program.n_nodes + 2 >= RP_MAX_NODES) return;
    if (n->op == MB_OP_MATMUL && x->shape.rank >= 1) {
        w.shape = (struct mb_shape){2, {x->shape.dim[x->shape.rank - 1], draw_extent(p)}};
    } else if (n->op == MB_OP_CONV2D && x->shape.rank == 4) {
        const int64_t r = 1 + 2 * (int64_t)draw(p, 2), k = draw_extent(p);
        if (n->attr.conv.layout == MB_NCHW)
            w.shape = (struct mb_shape){4, {k, x->shape.dim[1], r, r}};
        else
            w.shape = (struct mb_shape){4, {r, r, x->shape.dim[3], k}};
    } else if (n->op == MB_OP_ADD && x->shape.rank >= 2) {
        w.shape = (struct mb_shape){1, {x->shape.dim[x->shape.rank - 1]}};
        if (x->shape.rank == 4 && draw(p, 2))
            w.shape = (struct mb_shape){4, {1, x->shape.dim[1], 1, 1}};
    } else {
        return;
    }
    n->operand[1] = add_param(p, w);
}

/* Gather's indices stay within the axis: of a DENSE of 0..8, an axis of 9 or more. */
static bool indices_fit(const struct rp_program *p, const struct mb_node *n) {
    if (n->op != MB_OP_GATHER) return true;
    const struct mb_shape *x = &p->nodes[n->operand[0]].type.shape;
    const struct rp_bounds *i = &p->bounds[n->operand[1]];
    return n->attr.gather.axis < x->rank && i->low >= 0 &&
           i->high < (double)x->dim[n->attr.gather.axis];
}

static void draw_operation(struct rp_program *p) {
    const enum mb_op op = (enum mb_op)(MB_OP_ADD + draw(p, MB_OP_COUNT - MB_OP_ADD));
    for (int tries = 0; tries < 24 && p->program.n_nodes < RP_MAX_NODES; tries++) {
        struct mb_node n = {.op = op};
        /* the newest value half of the time: long chains, which are what is fused */
        for (uint32_t k = 0; k < mb_op_info(op)->n_operands; k++)
            n.operand[k] = draw(p, 2) ? p->program.n_nodes - 1 : draw(p, p->program.n_nodes);
        draw_attr(p, &n);
        if (tries >= 12 || op == MB_OP_MATMUL || op == MB_OP_CONV2D) fit_operand(p, &n);
        if (indices_fit(p, &n) && p->program.n_nodes < RP_MAX_NODES && try_node(p, &n, NULL)) break;
    }
    /* what executors fuse behind a product */
    if ((op == MB_OP_MATMUL || op == MB_OP_CONV2D) && p->program.n_nodes + 4 < RP_MAX_NODES) {
        struct mb_node bias = {.op = MB_OP_ADD, .operand = {p->program.n_nodes - 1}};
        if (draw(p, 2)) {
            fit_operand(p, &bias);
            try_node(p, &bias, NULL);
        }
        struct mb_node relu = {.op = MB_OP_RELU, .operand = {p->program.n_nodes - 1}};
        if (draw(p, 2)) try_node(p, &relu, NULL);
    }
}

void rp_make(struct rp_program *p, uint64_t seed) {
    struct mb_err err;
    memset(p, 0, sizeof *p);
    p->seed = seed;
    p->program.name = "main";
    p->program.nodes = p->nodes;
    p->program.params = p->params;
    p->program.outputs = p->outputs;
    add_param(p, draw_type(p, MB_F32));
    struct mb_type image = {MB_F32,
                            {4, {1 + draw(p, 2), 1 + draw(p, 8), 4 + draw(p, 8), 4 + draw(p, 8)}}};
    add_param(p, image);
    add_param(p, draw_type(p, draw_dtype(p)));
    const uint32_t wanted = 6 + draw(p, RP_MAX_NODES - 14);
    for (int i = 0; i < 200 && p->program.n_nodes < wanted; i++) {
        const uint32_t what = draw(p, 12);
        if (what == 0)
            draw_constant(p, (enum mb_op)(MB_OP_FILL + draw(p, MB_OP_ADD - MB_OP_FILL)));
        else if (what == 1)
            add_param(p, draw_type(p, draw_dtype(p)));
        else
            draw_operation(p);
    }
    p->program.next_id = p->program.n_nodes;
    p->outputs[p->program.n_outputs++] = p->program.n_nodes - 1;
    while (p->program.n_outputs < RP_MAX_OUTPUTS && draw(p, 2))
        p->outputs[p->program.n_outputs++] = draw(p, p->program.n_nodes);
    if (mb_program_check(&p->program, &err) != MB_OK) {
        fprintf(stderr, "seed %llu: not a valid program: %s\n", (unsigned long long)seed, err.text);
        exit(2);
    }
}

void rp_fill_param(const struct rp_program *p, uint32_t param, void *out) {
    const struct mb_type *type = &p->params[param].type;
    size_t count = 0;
    mb_shape_count(&type->shape, &count);
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = mb_random_below(p->seed, 2 + param, i, 1u << 20);
        const double unit = (double)bits / (1 << 19) - 1;
        switch (type->dtype) {
        case MB_F32: ((float *)out)[i] = (float)unit; break;
        case MB_F64: ((double *)out)[i] = unit; break;
        case MB_I32: ((int32_t *)out)[i] = 1 + (int32_t)(bits % 9); break;
        case MB_I64: ((int64_t *)out)[i] = 1 + bits % 9; break;
        case MB_BOOL: ((uint8_t *)out)[i] = (uint8_t)(bits & 1); break;
        }
    }
}
