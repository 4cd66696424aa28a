/* The table of operations on their own, from ops.def: the shape rule says which element types. */
#include "operations.cuh"

namespace {

enum types { NONE, FLOATS, NUMBERS, ANY };

/* By shape rule. */
enum {
    types_given = ANY,
    types_broadcast = NUMBERS,
    types_same = NUMBERS,
    types_same_float = FLOATS,
    types_matmul = FLOATS,
    types_conv2d = FLOATS,
    types_pool2d = FLOATS,
    types_reduce = NUMBERS,
    types_reduce_float = FLOATS,
    types_along_axis = FLOATS,
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
    case ANY: return true;
    case NONE: break;
    }
    return false;
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
