/* The loops behind the CPU's ceilings: as much reading, and as much arithmetic, as an instruction
 * set can do. ceiling_loops.c is compiled once for each. */
#ifndef MB_CEILING_LOOPS_H
#define MB_CEILING_LOOPS_H

#include <stddef.h>
#include <stdint.h>

enum { MB_READ_STREAMS = 8, MB_READ_QUANTUM = 64 /* bytes of each stream */ };

struct mb_ceiling_loops {
    /* Reads MB_READ_STREAMS streams, one behind the other from `p` on, `floats` each, a multiple of
     * MB_READ_QUANTUM / 4. The sum of all, so that every load counts. */
    float (*read)(const float *p, size_t floats);

    /* `rounds` times fma_flops operations: multiply-adds on independent accumulators, a product and
     * a sum each where the instruction set has no fused ones. */
    float (*fma)(int64_t rounds);
    int fma_flops;
};

extern const struct mb_ceiling_loops mb_ceiling_loops_scalar, mb_ceiling_loops_avx2,
    mb_ceiling_loops_avx512;

#endif
