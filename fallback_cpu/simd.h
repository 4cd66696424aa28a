/* Vectors of f32 for kernels: one source serves every instruction set.
 *
 * Each file in kernels/ is compiled once per instruction set, with one of MB_SIMD_SCALAR (no
 * vectors: only MB_KERNEL), MB_SIMD_AVX2 and MB_SIMD_AVX512 defined, and includes this header and
 * no other that holds intrinsics. All of a kernel file is static but its one MB_KERNEL: a shared
 * function could be linked in from the file with the widest instructions.
 *
 * MB_SIMD_EMULATED comes with MB_SIMD_AVX512: the same code by SIMDe on any AVX2 machine (tests).
 *
 *   VF        a vector, VW its width in floats, VF_REGS how many registers hold one
 *   loads and stores need no alignment; *_part touch `count` floats, 0 <= count <= VW, no more */
#ifndef MB_SIMD_H
#define MB_SIMD_H

#include "kernel.h"

#include <math.h>

#if defined(MB_SIMD_SCALAR)
#define MB_SIMD_ISA    MB_ISA_SCALAR
#define MB_SIMD_SUFFIX scalar
#elif defined(MB_SIMD_AVX2)
#define MB_SIMD_ISA    MB_ISA_AVX2
#define MB_SIMD_SUFFIX avx2
#elif defined(MB_SIMD_EMULATED)
#define MB_SIMD_ISA    MB_ISA_AVX512
#define MB_SIMD_SUFFIX avx512_emulated
#elif defined(MB_SIMD_AVX512)
#define MB_SIMD_ISA    MB_ISA_AVX512
#define MB_SIMD_SUFFIX avx512
#else
#error "kernels are compiled with one of MB_SIMD_SCALAR, MB_SIMD_AVX2 and MB_SIMD_AVX512"
#endif

/* Opens the definition of the file's kernel: MB_KERNEL(f32_gemm) = {MB_KERNEL_HEAD(f32_gemm), ...};
 * the head is its name and instruction set. */
#define MB_KERNEL_SYMBOL_(stem, suffix) mb_cpu_##stem##__##suffix
#define MB_KERNEL_SYMBOL(stem, suffix)  MB_KERNEL_SYMBOL_(stem, suffix)
#define MB_KERNEL_TEXT_(token)          #token
#define MB_KERNEL_TEXT(token)           MB_KERNEL_TEXT_(token)
#define MB_KERNEL(stem)                                                                            \
    extern const struct mb_cpu_kernel MB_KERNEL_SYMBOL(stem, MB_SIMD_SUFFIX);                      \
    const struct mb_cpu_kernel MB_KERNEL_SYMBOL(stem, MB_SIMD_SUFFIX)
#define MB_KERNEL_HEAD(stem) .name = #stem "__" MB_KERNEL_TEXT(MB_SIMD_SUFFIX), .isa = MB_SIMD_ISA

#define MB_INLINE static inline __attribute__((always_inline, unused))

/* A loop that needs all registers: inside of a large function it would share them. */
#define MB_OUTLINE static __attribute__((noinline, unused))

/* Before a loop of constant length: unroll it completely, so that arrays of vectors indexed by its
 * counter live in registers. */
#if defined(__clang__)
#define MB_UNROLL      _Pragma("clang loop unroll(full)")
#define MB_UNROLL_BY_4 _Pragma("clang loop unroll_count(4)")
#else
#define MB_UNROLL      _Pragma("GCC unroll 64")
#define MB_UNROLL_BY_4 _Pragma("GCC unroll 4")
#endif

#if defined(MB_SIMD_AVX2)

#include <immintrin.h>

typedef __m256 VF;
#define VW      8
#define VF_REGS 16

MB_INLINE VF vf_zero(void) { return _mm256_setzero_ps(); }
MB_INLINE VF vf_set1(float x) { return _mm256_set1_ps(x); }
MB_INLINE VF vf_load(const float *p) { return _mm256_loadu_ps(p); }
MB_INLINE void vf_store(float *p, VF a) { _mm256_storeu_ps(p, a); }
MB_INLINE VF vf_add(VF a, VF b) { return _mm256_add_ps(a, b); }
MB_INLINE VF vf_sub(VF a, VF b) { return _mm256_sub_ps(a, b); }
MB_INLINE VF vf_mul(VF a, VF b) { return _mm256_mul_ps(a, b); }
/* a * b + c and c - a * b, rounded once. */
MB_INLINE VF vf_fma(VF a, VF b, VF c) { return _mm256_fmadd_ps(a, b, c); }
MB_INLINE VF vf_fnma(VF a, VF b, VF c) { return _mm256_fnmadd_ps(a, b, c); }
/* Within each 128 bits: a0 b0 a1 b1, a2 b2 a3 b3, and any two of a beside any two of b. */
MB_INLINE VF vf_unpack_low(VF a, VF b) { return _mm256_unpacklo_ps(a, b); }
MB_INLINE VF vf_unpack_high(VF a, VF b) { return _mm256_unpackhi_ps(a, b); }

#define vf_shuffle(a, b, control) _mm256_shuffle_ps(a, b, control)

/* The larger one; NaN if either is NaN (VMAXPS alone gives its second operand then). */
MB_INLINE VF vf_max(VF a, VF b) {
    return _mm256_blendv_ps(_mm256_max_ps(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}

/* The largest of four; NaN if one of them is NaN. */
MB_INLINE VF vf_max4(VF a, VF b, VF c, VF d) {
    const VF unordered =
        _mm256_or_ps(_mm256_cmp_ps(a, b, _CMP_UNORD_Q), _mm256_cmp_ps(c, d, _CMP_UNORD_Q));
    return _mm256_or_ps(_mm256_max_ps(_mm256_max_ps(a, b), _mm256_max_ps(c, d)), unordered);
}

/* a > low ? a : low, NaN stays NaN: VMAXPS gives its second operand when one is NaN. */
MB_INLINE VF vf_at_least(VF low, VF a) { return _mm256_max_ps(low, a); }
MB_INLINE VF vf_relu(VF a) { return vf_at_least(vf_zero(), a); }

MB_INLINE __m256i vf_mask_(int64_t count) {
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(ones + 8 - count));
}

/* Lanes from `count` on are zero. */
MB_INLINE VF vf_load_part(const float *p, int64_t count) {
    return _mm256_maskload_ps(p, vf_mask_(count));
}
MB_INLINE void vf_store_part(float *p, VF a, int64_t count) {
    _mm256_maskstore_ps(p, vf_mask_(count), a);
}

/* Sum of all lanes. */
MB_INLINE float vf_sum(VF a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

#elif defined(MB_SIMD_AVX512)

#if defined(MB_SIMD_EMULATED)
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>
#include <string.h>
#else
#include <immintrin.h>
#endif

typedef __m512 VF;
#define VW      16
#define VF_REGS 32

MB_INLINE VF vf_zero(void) { return _mm512_setzero_ps(); }
MB_INLINE VF vf_set1(float x) { return _mm512_set1_ps(x); }
MB_INLINE VF vf_load(const float *p) { return _mm512_loadu_ps(p); }
MB_INLINE void vf_store(float *p, VF a) { _mm512_storeu_ps(p, a); }
MB_INLINE VF vf_add(VF a, VF b) { return _mm512_add_ps(a, b); }
MB_INLINE VF vf_sub(VF a, VF b) { return _mm512_sub_ps(a, b); }
MB_INLINE VF vf_mul(VF a, VF b) { return _mm512_mul_ps(a, b); }
MB_INLINE VF vf_fma(VF a, VF b, VF c) { return _mm512_fmadd_ps(a, b, c); }
MB_INLINE VF vf_fnma(VF a, VF b, VF c) { return _mm512_fnmadd_ps(a, b, c); }
MB_INLINE VF vf_unpack_low(VF a, VF b) { return _mm512_unpacklo_ps(a, b); }
MB_INLINE VF vf_unpack_high(VF a, VF b) { return _mm512_unpackhi_ps(a, b); }

#define vf_shuffle(a, b, control) _mm512_shuffle_ps(a, b, control)

MB_INLINE VF vf_max(VF a, VF b) {
    return _mm512_mask_mov_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}

MB_INLINE VF vf_max4(VF a, VF b, VF c, VF d) {
    const __mmask16 unordered =
        _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q) | _mm512_cmp_ps_mask(c, d, _CMP_UNORD_Q);
    const VF max = _mm512_max_ps(_mm512_max_ps(a, b), _mm512_max_ps(c, d));
    return _mm512_mask_mov_ps(max, unordered, _mm512_set1_ps(NAN));
}

MB_INLINE VF vf_at_least(VF low, VF a) { return _mm512_max_ps(low, a); }
MB_INLINE VF vf_relu(VF a) { return vf_at_least(vf_zero(), a); }

#if defined(MB_SIMD_EMULATED)
/* SIMDe's masked loads and stores touch the whole vector, which may end in an unmapped page. */
MB_INLINE VF vf_load_part(const float *p, int64_t count) {
    float lane[VW] = {0};
    if (count > 0) memcpy(lane, p, (size_t)count * sizeof *p);
    return vf_load(lane);
}
MB_INLINE void vf_store_part(float *p, VF a, int64_t count) {
    float lane[VW];
    vf_store(lane, a);
    if (count > 0) memcpy(p, lane, (size_t)count * sizeof *p);
}
/* It has no reduction. */
MB_INLINE float vf_sum(VF a) {
    float lane[VW];
    vf_store(lane, a);
    for (int half = VW / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}
#else
MB_INLINE VF vf_load_part(const float *p, int64_t count) {
    return _mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
}
MB_INLINE void vf_store_part(float *p, VF a, int64_t count) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), a);
}
MB_INLINE float vf_sum(VF a) { return _mm512_reduce_add_ps(a); }
#endif

#endif

#if !defined(MB_SIMD_SCALAR)
/* to[j][i] = from[i][j]: of at most 8 x 8 elements, reads `rows` rows of `columns` elements (rows
 * beyond are zero; rows <= 0 is fine) and writes `columns` rows of `to_rows` elements. Touches
 * nothing else; counts above 8 stand for 8. */
MB_INLINE void mb_transpose_8x8(const float *from, int64_t from_stride, int64_t rows,
                                int64_t columns, float *to, int64_t to_stride, int64_t to_rows) {
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const bool whole = rows >= 8 && columns >= 8;
    __m256 a[8], b[8];
    if (whole) {
        MB_UNROLL
        for (int i = 0; i < 8; i++) a[i] = _mm256_loadu_ps(from + i * from_stride);
    } else {
        const __m256i mask = _mm256_loadu_si256(
            (const __m256i *)(const void *)(ones + 8 - (columns < 8 ? columns : 8)));
        MB_UNROLL
        for (int i = 0; i < 8; i++)
            a[i] =
                i < rows ? _mm256_maskload_ps(from + i * from_stride, mask) : _mm256_setzero_ps();
    }
    MB_UNROLL
    for (int i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    MB_UNROLL
    for (int i = 0; i < 8; i += 4) {
        a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
        a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
        a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
        a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
    MB_UNROLL
    for (int i = 0; i < 4; i++) {
        b[i] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x20);
        b[i + 4] = _mm256_permute2f128_ps(a[i], a[i + 4], 0x31);
    }
    if (columns >= 8 && to_rows >= 8) {
        MB_UNROLL
        for (int i = 0; i < 8; i++) _mm256_storeu_ps(to + i * to_stride, b[i]);
    } else {
        const __m256i mask = _mm256_loadu_si256(
            (const __m256i *)(const void *)(ones + 8 - (to_rows < 8 ? to_rows : 8)));
        MB_UNROLL
        for (int i = 0; i < 8; i++)
            if (i < columns) _mm256_maskstore_ps(to + i * to_stride, mask, b[i]);
    }
}

/* Of the 4 VW floats at p every 4th, from p[k] on, to to[k]: lane 4 i + j has that of number
 * VW / 4 * j + i. */
MB_INLINE void vf_deinterleave4(const float *p, VF to[4]) {
    const VF a = vf_load(p), b = vf_load(p + VW), c = vf_load(p + 2 * VW), d = vf_load(p + 3 * VW);
    const VF ab = vf_unpack_low(a, b), cd = vf_unpack_low(c, d);
    const VF ab_high = vf_unpack_high(a, b), cd_high = vf_unpack_high(c, d);
    to[0] = vf_shuffle(ab, cd, 0x44);
    to[1] = vf_shuffle(ab, cd, 0xee);
    to[2] = vf_shuffle(ab_high, cd_high, 0x44);
    to[3] = vf_shuffle(ab_high, cd_high, 0xee);
}

/* A value loaded once: the compiler may not load it again for each of its uses. */
MB_INLINE VF vf_in_register(VF a) {
#if !defined(MB_SIMD_EMULATED)
    __asm__("" : "+v"(a));
#endif
    return a;
}

/* What was stored before is loaded after: the compiler may not keep it in registers instead, at the
 * cost of those that the loop in between needs. */
MB_INLINE void mb_forget(void) { __asm__ volatile("" ::: "memory"); }

/* Asks for the cache line at p, which need not be mapped. */
MB_INLINE void mb_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }
#endif

#endif
