#include "ceiling_loops.h"

#include "simd.h"

#include <string.h>

#if defined(MB_SIMD_SCALAR)
/* What the compiler makes of plain C on any x86-64: SSE2. */
typedef float VF __attribute__((vector_size(16)));
#define VW 4
MB_INLINE VF vf_set1(float x) { return (VF){x, x, x, x}; }
MB_INLINE VF vf_zero(void) { return vf_set1(0); }
MB_INLINE VF vf_add(VF a, VF b) { return a + b; }
MB_INLINE VF vf_fma(VF a, VF b, VF c) { return a * b + c; }
MB_INLINE VF vf_load(const float *p) {
    VF a;
    memcpy(&a, p, sizeof a);
    return a;
}
MB_INLINE void vf_store(float *p, VF a) { memcpy(p, &a, sizeof a); }
#endif

/* Latency of 4 clocks on two ports needs 8; 12 and two operands fit the smallest register file. */
enum { ACCUMULATORS = 12 };

MB_INLINE float sum_of(const VF *a, int count) {
    float lanes[VW], sum = 0;
    VF all = vf_zero();
    for (int i = 0; i < count; i++) all = vf_add(all, a[i]);
    vf_store(lanes, all);
    for (int i = 0; i < VW; i++) sum += lanes[i];
    return sum;
}

static float read_streams(const float *p, size_t floats) {
    VF sums[MB_READ_STREAMS];
    MB_UNROLL
    for (int s = 0; s < MB_READ_STREAMS; s++) sums[s] = vf_zero();
    for (size_t i = 0; i < floats; i += VW) {
        MB_UNROLL
        for (int s = 0; s < MB_READ_STREAMS; s++)
            sums[s] = vf_add(sums[s], vf_load(p + (size_t)s * floats + i));
    }
    return sum_of(sums, MB_READ_STREAMS);
}

/* x = 0.5 x + 0.5 stays near 1. */
static float fma_rounds(int64_t rounds) {
    VF a[ACCUMULATORS];
    VF half = vf_set1(0.5f);
    __asm__ volatile("" : "+x"(half)); /* a value that the compiler does not know */
    MB_UNROLL
    for (int i = 0; i < ACCUMULATORS; i++) a[i] = vf_set1((float)i);
    for (int64_t r = 0; r < rounds; r++) {
        MB_UNROLL
        for (int i = 0; i < ACCUMULATORS; i++) a[i] = vf_fma(a[i], half, half);
    }
    return sum_of(a, ACCUMULATORS);
}

#define LOOPS_SYMBOL_(suffix) mb_ceiling_loops_##suffix
#define LOOPS_SYMBOL(suffix)  LOOPS_SYMBOL_(suffix)
const struct mb_ceiling_loops LOOPS_SYMBOL(MB_SIMD_SUFFIX) = {
    .read = read_streams, .fma = fma_rounds, .fma_flops = 2 * ACCUMULATORS * VW};
