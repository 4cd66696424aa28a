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

/* As the executors have them, in the node's dtype. */
static void constant(const struct mb_ref_args *args) {
    for (size_t i = 0; i < args->count; i++) {
        double element; /* room for any dtype */
        mb_program_constant(args->node, (int64_t)i, (int64_t)i + 1, &element);
        args->y[i] = mb_reference_element(args->node->type.dtype, &element, 0);
    }
}

void mb_ref_RANGE(const struct mb_ref_args *args) { constant(args); }
void mb_ref_EYE(const struct mb_ref_args *args) { constant(args); }
void mb_ref_UNIFORM(const struct mb_ref_args *args) { constant(args); }
void mb_ref_NORMAL(const struct mb_ref_args *args) { constant(args); }

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
static double remainder_of_integers(double a, double b) { return b == 0 ? 0 : fmod(a, b); }
static double larger(double a, double b) { return isnan(a) || a > b ? a : b; }
static double smaller(double a, double b) { return isnan(a) || a < b ? a : b; }

void mb_ref_ADD(const struct mb_ref_args *args) { binary(args, add); }
void mb_ref_SUB(const struct mb_ref_args *args) { binary(args, sub); }
void mb_ref_MUL(const struct mb_ref_args *args) { binary(args, mul); }
void mb_ref_MAX(const struct mb_ref_args *args) { binary(args, larger); }
void mb_ref_MIN(const struct mb_ref_args *args) { binary(args, smaller); }

/* Integers raise the flag where the divisor is zero. */
static void quotient(const struct mb_ref_args *args, double (*of_floats)(double, double),
                     double (*of_integers)(double, double)) {
    if (args->node->type.dtype == MB_F32 || args->node->type.dtype == MB_F64) {
        binary(args, of_floats);
        return;
    }
    size_t divisors = 1;
    for (int32_t i = 0; i < args->types[1]->shape.rank; i++)
        divisors *= (size_t)args->types[1]->shape.dim[i];
    for (size_t i = 0; i < divisors; i++)
        if (args->operands[1][i] == 0) *args->divided_by_zero = true;
    binary(args, of_integers);
}

void mb_ref_DIV(const struct mb_ref_args *args) { quotient(args, divide, divide_integers); }
void mb_ref_MOD(const struct mb_ref_args *args) { quotient(args, fmod, remainder_of_integers); }
void mb_ref_POW(const struct mb_ref_args *args) { binary(args, pow); }

static double lt(double a, double b) { return a < b; }
static double le(double a, double b) { return a <= b; }
static double gt(double a, double b) { return a > b; }
static double ge(double a, double b) { return a >= b; }
static double eq(double a, double b) { return a == b; }
static double ne(double a, double b) { return a != b; }
static double both(double a, double b) { return a != 0 && b != 0; }
static double either(double a, double b) { return a != 0 || b != 0; }

void mb_ref_LT(const struct mb_ref_args *args) { binary(args, lt); }
void mb_ref_LE(const struct mb_ref_args *args) { binary(args, le); }
void mb_ref_GT(const struct mb_ref_args *args) { binary(args, gt); }
void mb_ref_GE(const struct mb_ref_args *args) { binary(args, ge); }
void mb_ref_EQ(const struct mb_ref_args *args) { binary(args, eq); }
void mb_ref_NE(const struct mb_ref_args *args) { binary(args, ne); }
void mb_ref_AND(const struct mb_ref_args *args) { binary(args, both); }
void mb_ref_OR(const struct mb_ref_args *args) { binary(args, either); }

void mb_ref_SELECT(const struct mb_ref_args *args) {
    const struct mb_shape *y = &args->node->type.shape;
#pragma omp parallel for
    for (size_t i = 0; i < args->count; i++) {
        const size_t at = mb_ref_broadcast_index(y, &args->types[0]->shape, i);
        const int from = args->operands[0][at] != 0 ? 1 : 2;
        args->y[i] = args->operands[from][mb_ref_broadcast_index(y, &args->types[from]->shape, i)];
    }
}

/* ---- one operand ---- */

static void unary(const struct mb_ref_args *args, double (*f)(double)) {
#pragma omp parallel for
    for (size_t i = 0; i < args->count; i++) args->y[i] = f(args->operands[0][i]);
}

static double neg(double a) { return -a; }
static double relu(double a) { return isnan(a) || a > 0 ? a : 0; }
static double sigmoid(double a) { return 1 / (1 + exp(-a)); }
static double not_of(double a) { return a == 0; }
static double gelu(double a) { return a * 0.5 * erfc(-a * 0.70710678118654752440); }

void mb_ref_NEG(const struct mb_ref_args *args) { unary(args, neg); }
void mb_ref_ABS(const struct mb_ref_args *args) { unary(args, fabs); }
void mb_ref_RELU(const struct mb_ref_args *args) { unary(args, relu); }
void mb_ref_SIGMOID(const struct mb_ref_args *args) { unary(args, sigmoid); }
void mb_ref_TANH(const struct mb_ref_args *args) { unary(args, tanh); }
void mb_ref_EXP(const struct mb_ref_args *args) { unary(args, exp); }
void mb_ref_LOG(const struct mb_ref_args *args) { unary(args, log); }
void mb_ref_SQRT(const struct mb_ref_args *args) { unary(args, sqrt); }
void mb_ref_LOG2(const struct mb_ref_args *args) { unary(args, log2); }
void mb_ref_LOG10(const struct mb_ref_args *args) { unary(args, log10); }
void mb_ref_SIN(const struct mb_ref_args *args) { unary(args, sin); }
void mb_ref_COS(const struct mb_ref_args *args) { unary(args, cos); }
void mb_ref_FLOOR(const struct mb_ref_args *args) { unary(args, floor); }
void mb_ref_CEIL(const struct mb_ref_args *args) { unary(args, ceil); }
void mb_ref_ROUND(const struct mb_ref_args *args) { unary(args, rint); } /* to nearest even */
void mb_ref_NOT(const struct mb_ref_args *args) { unary(args, not_of); }

/* A number as an integer of 2^bits values around 0: toward zero, then wrapped if it was an integer
 * and the nearest that fits if not. */
static double to_integer(double a, double bits, bool wraps) {
    const double half = exp2(bits - 1);
    a = isnan(a) ? 0 : trunc(a);
    if (wraps) return a - floor((a + half) / (2 * half)) * (2 * half);
    return a < -half ? -half : a > half - 1 ? half - 1 : a;
}

void mb_ref_CAST(const struct mb_ref_args *args) {
    const enum mb_dtype from = args->types[0]->dtype, to = args->node->type.dtype;
    const bool wraps = from == MB_I64 && to == MB_I32;
    const double *x = args->operands[0];
    for (size_t i = 0; i < args->count; i++) switch (to) {
        case MB_F32:
        case MB_F64: args->y[i] = x[i]; break;
        case MB_I32: args->y[i] = to_integer(x[i], 32, wraps); break;
        case MB_I64: args->y[i] = to_integer(x[i], 64, wraps); break;
        case MB_BOOL: args->y[i] = x[i] != 0; break;
        }
}

void mb_ref_GELU(const struct mb_ref_args *args) { unary(args, gelu); }
