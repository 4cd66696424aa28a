/* The documented generator behind every made-up weight and input.
 *
 * Value i of stream s under seed S comes from splitmix64 of the counter: bits(S, s, i) =
 * mix(mix(S) ^ s + i * 0x9e3779b97f4a7c15), where mix is the finaliser of splitmix64 (Steele, Lea
 * and Flood, "Fast splittable pseudorandom number generators", 2014). Any value can be computed
 * without the ones before it, so the order of generation does not matter. */
#ifndef MB_RANDOM_H
#define MB_RANDOM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 64 uniform bits. */
uint64_t mb_random_bits(uint64_t seed, uint64_t stream, uint64_t index);

/* Uniform integer in [0, bound), bound >= 1 and small against 2^32. */
uint32_t mb_random_below(uint64_t seed, uint64_t stream, uint64_t index, uint32_t bound);

/* Two independent standard normal values: the Box-Muller transform of the bits at `index` (even)
 * and index + 1. */
void mb_random_normal_pair(uint64_t seed, uint64_t stream, uint64_t index, double pair[2]);

/* A stream number from a name (FNV-1a), so that a tensor's values depend on its name alone. */
uint64_t mb_random_stream(const char *name);

#ifdef __cplusplus
}
#endif

#endif
