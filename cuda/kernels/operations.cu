/* The table of operations on their own, from ops.def: the shape rule says which element types. */
#include "operations.cuh"

namespace {

enum types { NONE, FLOATS, NUMBERS, BOOLS, ANY };

/* Of the first operand, by shape rule. */
enum {
    types_given = ANY,
    types_broadcast = NUMBERS,
    types_broadcast_float = FLOATS,
    types_compare = NUMBERS,
    types_equal = ANY,
    types_logical = BOOLS,
    types_logical_not = BOOLS,
    types_select = BOOLS,
    types_cast = ANY,
    types_same = NUMBERS,
    types_same_float = FLOATS,
    types_matmul = FLOATS,
    types_conv2d = FLOATS,
    types_pool2d = FLOATS,
    types_reduce = NUMBERS,
    types_reduce_float = FLOATS,
    types_along_axis = FLOATS,
    types_argmax = NUMBERS,
    types_slice = ANY,
    types_concat = ANY,
    types_gather = ANY,
    types_reshape = ANY,
    types_transpose = ANY
};

types types_of(enum mb_op op) {
    static const int of_op[] = {
#define OP(id, text, operands, attributes, shape_rule, flops, meaning) types_##shape_rule,
#include "ops.def"
    };
    return op == MB_OP_PARAM || op == MB_OP_DENSE ? NONE : static_cast<types>(of_op[op]);
}

} // namespace

bool mb_cuda_has_operation(enum mb_op op, enum mb_dtype dtype) {
    switch (types_of(op)) {
    case FLOATS: return dtype == MB_F32 || dtype == MB_F64;
    case NUMBERS: return dtype != MB_BOOL;
    case BOOLS: return dtype == MB_BOOL;
    case ANY: return true;
    case NONE: break;
    }
    return false;
}

size_t mb_cuda_operation_scratch(const struct mb_node *node, const struct mb_type *const *types) {
    return mb_op_info(node->op)->attr == MB_ATTR_REDUCE ? mb_cuda_reduce_scratch(node, types[0])
                                                        : 0;
}

cudaError_t mb_cuda_run_PARAM(const struct mb_cuda_operation_args *, cudaStream_t) {
    return cudaErrorNotSupported;
}
cudaError_t mb_cuda_run_DENSE(const struct mb_cuda_operation_args *, cudaStream_t) {
    return cudaErrorNotSupported;
}

cudaError_t mb_cuda_operation(const struct mb_cuda_operation_args *args, cudaStream_t stream) {
    static cudaError_t (*const run[])(const struct mb_cuda_operation_args *, cudaStream_t) = {
#define OP(id, text, operands, attributes, shape_rule, flops, meaning) mb_cuda_run_##id,
#include "ops.def"
    };
    return run[args->node->op](args, stream);
}
