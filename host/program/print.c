/* The IR text, in the form that MIND's own compiler prints. */
#include "program.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static const struct mb_op_info ops[] = {
#define OP(id, text, operands, attributes, shape_rule, flops, meaning)                             \
    [MB_OP_##id] = {text, operands, MB_ATTR_##attributes, meaning},
#include "ops.def"
};

const struct mb_op_info *mb_op_info(enum mb_op op) { return &ops[op]; }

/* The shortest decimal that reads back as the same value; integral values keep ".0". */
static void print_number(double value, bool is_f32, FILE *out) {
    char text[40];
    if (!isfinite(value)) {
        fputs(isnan(value) ? "nan" : value < 0 ? "-inf" : "inf", out);
        return;
    }
    for (int digits = is_f32 ? 6 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (is_f32 ? (float)back == (float)value : back == value) break;
    }
    fputs(text, out);
    bool integral = true;
    for (const char *c = text; *c; c++)
        if (*c == '.' || *c == 'e') integral = false;
    if (integral) fputs(".0", out);
}

static void print_dims(const struct mb_shape *shape, FILE *out) {
    fputc('[', out);
    for (int32_t i = 0; i < shape->rank; i++)
        fprintf(out, "%s\"%" PRId64 "\"", i ? ", " : "", shape->dim[i]);
    fputc(']', out);
}

static void print_typed_dims(const struct mb_node *n, FILE *out) {
    for (const char *c = mb_dtype_name(n->type.dtype); *c; c++)
        fputc(toupper((unsigned char)*c), out);
    fputc(' ', out);
    print_dims(&n->type.shape, out);
}

static void print_named(const char *name, double value, const struct mb_node *n, FILE *out) {
    fputs(name, out);
    print_number(value, n->type.dtype == MB_F32, out);
}

/* A constant of rank 0: `const.i64 7`, `const.f32 3.5`, `const.bool true`. */
static void print_scalar(const struct mb_node *n, FILE *out) {
    const double value = n->attr.fill.value;
    const bool is_float = n->type.dtype == MB_F32 || n->type.dtype == MB_F64;
    fprintf(out, "  %%%u = const.%s ", n->id, mb_dtype_name(n->type.dtype));
    if (is_float)
        print_number(value, n->type.dtype == MB_F32, out);
    else if (n->type.dtype == MB_BOOL)
        fputs(value != 0 ? "true" : "false", out);
    else
        fprintf(out, "%.0f", value);
    fputc('\n', out);
}

static void print_elements(const struct mb_node *n, FILE *out) {
    size_t count = 0;
    const void *data = n->attr.dense.data;
    mb_shape_count(&n->type.shape, &count);
    fputs(" [", out);
    for (size_t i = 0; i < count; i++) {
        if (i) fputs(", ", out);
        switch (n->type.dtype) {
        case MB_F32: print_number((double)((const float *)data)[i], true, out); break;
        case MB_F64: print_number(((const double *)data)[i], false, out); break;
        case MB_I32: fprintf(out, "%" PRId32, ((const int32_t *)data)[i]); break;
        case MB_I64: fprintf(out, "%" PRId64, ((const int64_t *)data)[i]); break;
        case MB_BOOL: fputs(((const uint8_t *)data)[i] ? "true" : "false", out); break;
        }
    }
    fputc(']', out);
}

static const char *layout_name(enum mb_layout layout) {
    return layout == MB_NCHW ? "nchw" : "nhwc";
}

static void print_conv(const struct mb_attr_conv *at, FILE *out) {
    static const char *const names[] = {"valid", "same", "custom"};
    fprintf(out, " strides=(%d, %d) padding=%s", at->stride[0], at->stride[1], names[at->padding]);
    if (at->padding == MB_PAD_CUSTOM)
        fprintf(out, "((%d, %d), (%d, %d))", at->pad_before[0], at->pad_after[0], at->pad_before[1],
                at->pad_after[1]);
    fprintf(out, " layout=%s", layout_name(at->layout));
}

static void print_axes(uint32_t axes, int32_t rank, FILE *out) {
    bool all = axes == (rank ? (1u << rank) - 1 : 0), first = true;
    fputs(" axes=[", out);
    for (int32_t i = 0; i < rank && !all; i++)
        if (axes >> i & 1) {
            fprintf(out, "%s%d", first ? "" : ", ", i);
            first = false;
        }
    fputc(']', out);
}

static void print_node(const struct mb_program *p, const struct mb_node *n, FILE *out) {
    char type[160];
    const union mb_attr *at = &n->attr;
    if (n->op == MB_OP_FILL && n->type.shape.rank == 0) {
        print_scalar(n, out);
        return;
    }
    fprintf(out, "  %%%u = %s", n->id, mb_op_info(n->op)->name);
    for (uint32_t k = 0; k < n->n_operands; k++) {
        /* mindc separates the operands of conv2d by a space, names gather's second one, and has a
         * comma between all others */
        const char *between = n->op == MB_OP_CONV2D   ? " "
                              : n->op == MB_OP_GATHER ? " indices="
                                                      : ", ";
        fputs(k ? between : " ", out);
        fprintf(out, "%%%u", p->nodes[n->operand[k]].id);
    }
    switch (mb_op_info(n->op)->attr) {
    case MB_ATTR_NONE:
        if (n->n_operands) break;
        fputc(' ', out);
        print_typed_dims(n, out);
        break;
    case MB_ATTR_PARAM:
        fprintf(out, " %s : %s", p->params[at->param.index].name,
                mb_type_text(type, sizeof type, &n->type, NULL));
        break;
    case MB_ATTR_FILL:
        fputc(' ', out);
        print_typed_dims(n, out);
        fputs(" fill=Some(", out);
        print_number(at->fill.value, n->type.dtype == MB_F32, out);
        fputc(')', out);
        break;
    case MB_ATTR_DENSE:
        fputc(' ', out);
        print_typed_dims(n, out);
        print_elements(n, out);
        break;
    case MB_ATTR_CONV: print_conv(&at->conv, out); break;
    case MB_ATTR_POOL:
        fprintf(out, " kernel=(%d, %d) strides=(%d, %d) layout=%s", at->pool.kernel[0],
                at->pool.kernel[1], at->pool.stride[0], at->pool.stride[1],
                layout_name(at->pool.layout));
        break;
    case MB_ATTR_REDUCE:
        print_axes(at->reduce.axes, p->nodes[n->operand[0]].type.shape.rank, out);
        fprintf(out, " keepdims=%s", at->reduce.keepdims ? "true" : "false");
        break;
    case MB_ATTR_AXIS: fprintf(out, " axis=%d", at->axis.axis); break;
    case MB_ATTR_SHAPE:
        fputc(' ', out);
        print_dims(&n->type.shape, out);
        break;
    case MB_ATTR_DTYPE: fprintf(out, " dtype=%s", mb_dtype_name(at->dtype.dtype)); break;
    case MB_ATTR_SLICE:
        fprintf(out, " axis=%d start=%" PRId64 " step=%" PRId64 " extent=%" PRId64, at->slice.axis,
                at->slice.start, at->slice.step, at->slice.extent);
        break;
    case MB_ATTR_GATHER:
        fprintf(out, " axis=%d", at->gather.axis);
        if (at->gather.batch) fprintf(out, " batch=%d", at->gather.batch);
        break;
    case MB_ATTR_RANGE:
        fputc(' ', out);
        print_typed_dims(n, out);
        print_named(" start=", at->range.start, n, out);
        print_named(" step=", at->range.step, n, out);
        break;
    case MB_ATTR_RANDOM:
        fputc(' ', out);
        print_typed_dims(n, out);
        print_named(n->op == MB_OP_NORMAL ? " mean=" : " low=", at->random.low, n, out);
        print_named(n->op == MB_OP_NORMAL ? " stddev=" : " scale=", at->random.scale, n, out);
        fprintf(out, " seed=%" PRIu64 " stream=%" PRIu64, at->random.seed, at->random.stream);
        break;
    case MB_ATTR_PERM:
        fputs(" perm=[", out);
        for (int32_t i = 0; i < n->type.shape.rank; i++)
            fprintf(out, "%s%d", i ? ", " : "", at->perm.perm[i]);
        fputc(']', out);
        break;
    }
    fputc('\n', out);
}

bool mb_program_print(const struct mb_program *p, FILE *out) {
    fputs("module {\n", out);
    for (uint32_t i = 0; i < p->n_nodes; i++) print_node(p, &p->nodes[i], out);
    for (uint32_t i = 0; i < p->n_outputs; i++)
        fprintf(out, "  output %%%u\n", p->nodes[p->outputs[i]].id);
    fprintf(out, "}  // next_id = %u\n\n", p->next_id);
    return !ferror(out);
}
