/* Reference: values from outside, and operations on one element at a time. */
#include "ref.h"
#include "reference.h"

#include <math.h>

double mb_reference_element(enum mb_dtype dtype, const void *data, size_t index) {
    switch (dtype) {
    case MB_F32: return (double)((const float *)data)[index];
    case MB_F64: return ((const double *)data)[index];
    case MB_I32: return (double)((const int32_t *)data)[index];
    case MB_I64: return (double)((const int64_t *)data)[index];
    case MB_BOOL: return (double)((const uint8_t *)data)[index];
    }
    return (double)NAN;
}

void mb_ref_PARAM(const struct mb_ref_args *args) {
    for (size_t i = 0; i < args->count; i++)
        args->y[i] = mb_reference_element(args->node->type.dtype, args->param, i);
}

void mb_ref_DENSE(const struct mb_ref_args *args) {
    for (size_t i = 0; i < args->count; i++)
        args->y[i] = mb_reference_element(args->node->type.dtype, args->node->attr.dense.data, i);
}

void mb_ref_FILL(const struct mb_ref_args *args) {
    double value = args->node->attr.fill.value;
    switch (args->node->type.dtype) {
    case MB_F32: value = (double)(float)value; break;
    case MB_F64: break;
    case MB_I32:
    case MB_I64: value = trunc(value); break;
    case MB_BOOL: value = value != 0; break;
    }
    for (size_t i = 0; i < args->count; i++) args->y[i] = value;
}

/* ---- two operands ---- */

size_t mb_ref_broadcast_index(const struct mb_shape *y, const struct mb_shape *a, size_t index) {
    size_t at = 0, stride = 1;
    for (int32_t i = 1; i <= a->rank; i++) {
        const size_t extent = (size_t)y->dim[y->rank - i];
        if (a->dim[a->rank - i] != 1) at += index % extent * stride;
        stride *= (size_t)a->dim[a->rank - i];
        index /= extent;
    }
    return at;
}

static void binary(const struct mb_ref_args *args, double (*f)(double, double)) {
    const struct mb_shape *shape = &args->node->type.shape;
#pragma omp parallel for
    for (size_t i = 0; i < args->count; i++)
        args->y[i] = f(args->operands[0][mb_ref_broadcast_index(shape, &args->types[0]->shape, i)],
                       args->operands[1][mb_ref_broadcast_index(shape, &args->types[1]->shape, i)]);
}

static double add(double a, double b) { return a + b; }
static double sub(double a, double b) { return a - b; }
static double mul(double a, double b) { return a * b; }
static double divide(double a, double b) { return a / b; }
static double divide_integers(double a, double b) { return b == 0 ? 0 : trunc(a / b); }
static double larger(double a, double b) { return isnan(a) || a > b ? a : b; }
static double smaller(double a, double b) { return isnan(a) || a < b ? a : b; }

void mb_ref_ADD(const struct mb_ref_args *args) { binary(args, add); }
void mb_ref_SUB(const struct mb_ref_args *args) { binary(args, sub); }
void mb_ref_MUL(const struct mb_ref_args *args) { binary(args, mul); }
void mb_ref_MAX(const struct mb_ref_args *args) { binary(args, larger); }
void mb_ref_MIN(const struct mb_ref_args *args) { binary(args, smaller); }

void mb_ref_DIV(const struct mb_ref_args *args) {
    if (args->node->type.dtype == MB_F32 || args->node->type.dtype == MB_F64) {
        binary(args, divide);
        return;
    }
    size_t divisors = 1;
    for (int32_t i = 0; i < args->types[1]->shape.rank; i++)
        divisors *= (size_t)args->types[1]->shape.dim[i];
    for (size_t i = 0; i < divisors; i++)
        if (args->operands[1][i] == 0) *args->divided_by_zero = true;
    binary(args, divide_integers);
}

/* ---- one operand ---- */

static void unary(const struct mb_ref_args *args, double (*f)(double)) {
#pragma omp parallel for
    for (size_t i = 0; i < args->count; i++) args->y[i] = f(args->operands[0][i]);
}

static double neg(double a) { return -a; }
static double relu(double a) { return isnan(a) || a > 0 ? a : 0; }
static double sigmoid(double a) { return 1 / (1 + exp(-a)); }
static double gelu(double a) { return a * 0.5 * erfc(-a * 0.70710678118654752440); }

void mb_ref_NEG(const struct mb_ref_args *args) { unary(args, neg); }
void mb_ref_ABS(const struct mb_ref_args *args) { unary(args, fabs); }
void mb_ref_RELU(const struct mb_ref_args *args) { unary(args, relu); }
void mb_ref_SIGMOID(const struct mb_ref_args *args) { unary(args, sigmoid); }
void mb_ref_TANH(const struct mb_ref_args *args) { unary(args, tanh); }
void mb_ref_EXP(const struct mb_ref_args *args) { unary(args, exp); }
void mb_ref_LOG(const struct mb_ref_args *args) { unary(args, log); }
void mb_ref_SQRT(const struct mb_ref_args *args) { unary(args, sqrt); }
void mb_ref_GELU(const struct mb_ref_args *args) { unary(args, gelu); }
