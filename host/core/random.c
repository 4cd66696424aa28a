#include "random.h"

#include <math.h>

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t mb_random_bits(uint64_t seed, uint64_t stream, uint64_t index) {
    return mix((mix(seed) ^ stream) + index * 0x9e3779b97f4a7c15u);
}

uint32_t mb_random_below(uint64_t seed, uint64_t stream, uint64_t index, uint32_t bound) {
    return (uint32_t)((mb_random_bits(seed, stream, index) >> 32) * bound >> 32);
}

void mb_random_normal_pair(uint64_t seed, uint64_t stream, uint64_t index, double pair[2]) {
    const double two_pi = 6.283185307179586476925;
    /* in (0, 1), so that the logarithm is finite */
    double u = ((double)(mb_random_bits(seed, stream, index) >> 11) + 0.5) * 0x1p-53;
    double v = (double)(mb_random_bits(seed, stream, index + 1) >> 11) * 0x1p-53;
    double radius = sqrt(-2 * log(u));
    pair[0] = radius * cos(two_pi * v);
    pair[1] = radius * sin(two_pi * v);
}

uint64_t mb_random_stream(const char *name) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash;
}
