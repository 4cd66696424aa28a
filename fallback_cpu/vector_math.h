/* exp, log, tanh and their like on f32, written without branches and calls, so that the compiler
 * makes vectors of the loops around them, for any instruction set.
 *
 * Errors, against the exact value, in units of the last place of the result (tests/unit measures
 * them over all exponents): exp and log 1, tanh 1.5, sigmoid 2.5, Phi 8 and in its far tail 40.
 * Infinities, NaN and denormals give what the C library gives, but sigmoid is 0 below -88.73, where
 * exp(-a) overflows, as PyTorch's is.
 *
 * The polynomials are minimax fits of our own, of relative error, by Lawson's iteration. */
#ifndef MB_VECTOR_MATH_H
#define MB_VECTOR_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t mb_bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float mb_float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x = n * ln 2 + r with |r| <= ln 2 / 2: 2^n * exp(r). n comes out of the low bits of a sum with a
 * large number. 2^n is made of two factors, so that n = 128 is reached and overflow rounds. */
static inline float mb_expf(float x) {
    const float magic = 12582912.0f; /* 1.5 * 2^23 */
    float in = x < -104.0f ? -104.0f : x;
    in = in > 89.0f ? 89.0f : in;
    const float shifted = in * 1.44269504f + magic;
    const float n = shifted - magic;
    const float r = (in - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.3814467e-3f;
    p = p * r + 8.3687808e-3f;
    p = p * r + 4.1668393e-2f;
    p = p * r + 1.6666520e-1f;
    p = p * r + 4.9999994e-1f;
    p = p * (r * r) + r + 1.0f;
    const int32_t k = (int32_t)(mb_bits_of(shifted) - mb_bits_of(magic));
    const int32_t half = k >> 1;
    return p * mb_float_of((uint32_t)(half + 127) << 23) *
           mb_float_of((uint32_t)(k - half + 127) << 23);
}

/* x = 2^e * (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)): e * ln 2 + log(1 + f). A denormal x is made
 * normal first, by 2^25. */
static inline float mb_logf(float x) {
    const uint32_t root_half = 0x3f3504f3;
    const float least_normal = 1.17549435e-38f, scale = 33554432.0f;
    const uint32_t bits = mb_bits_of(x < least_normal ? x * scale : x);
    const int32_t e = (int32_t)(bits - root_half) >> 23;
    const float f = mb_float_of(bits - ((uint32_t)e << 23)) - 1.0f;
    const float n = (float)e - (x < least_normal ? 25.0f : 0.0f);
    float p = -7.6344930e-2f;
    p = p * f + 1.2761575e-1f;
    p = p * f - 1.3160183e-1f;
    p = p * f + 1.4201759e-1f;
    p = p * f - 1.6623357e-1f;
    p = p * f + 2.0001227e-1f;
    p = p * f - 2.5000820e-1f;
    p = p * f + 3.3333331e-1f;
    const float y =
        ((p * f * (f * f) + n * -2.12194440e-4f) - 0.5f * (f * f)) + f + n * 0.693359375f;
    const float special = x == 0.0f ? -INFINITY : x < 0.0f ? NAN : x; /* and inf, NaN themselves */
    return x > 0.0f && x < INFINITY ? y : special;
}

static inline float mb_sigmoidf(float x) { return 1.0f / (1.0f + mb_expf(-x)); }

/* A polynomial about zero, 1 - 2 / (exp(2|x|) + 1) elsewhere. */
static inline float mb_tanhf(float x) {
    const float a = fabsf(x), x2 = x * x;
    float p = -5.7049873e-3f;
    p = p * x2 + 2.0639088e-2f;
    p = p * x2 - 5.3739715e-2f;
    p = p * x2 + 1.3331442e-1f;
    p = p * x2 - 3.3333281e-1f;
    const float small = p * x2 * a + a, large = 1.0f - 2.0f / (mb_expf(2.0f * a) + 1.0f);
    return copysignf(a < 0.625f ? small : large, x);
}

/* The normal distribution's Phi(x) = erfc(-x / sqrt 2) / 2, exp(-a^2) times a polynomial in
 * 1 / (1 + 0.4 a) for a = |x| / sqrt 2. */
static inline float mb_normal_cdff(float x) {
    const float a = fabsf(x) * 0.70710678f, t = 1.0f / (1.0f + 0.4f * a);
    float p = 4.0267732e-2f;
    p = p * t - 1.3547219e-1f;
    p = p * t + 7.3844342e-2f;
    p = p * t + 9.9727154e-2f;
    p = p * t + 7.1509920e-2f;
    p = p * t + 1.9696237e-1f;
    p = p * t + 2.0095874e-1f;
    p = p * t + 2.2657569e-1f;
    p = p * t + 2.2562630e-1f;
    const float tail = 0.5f * p * t * mb_expf(-0.5f * (x * x));
    return x < 0.0f ? tail : 1.0f - tail;
}

#endif
