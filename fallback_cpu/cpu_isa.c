#include "cpu_isa.h"

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/platform/x86.h>

enum { EBX = 1, ECX = 2 };

/* What the C library found out when the process started, the registers that the operating system
 * saves included; asking the processor again takes microseconds in a virtual machine. */
static bool has(unsigned leaf, int word, uint32_t bits) {
    return (__x86_get_cpuid_feature_leaf(leaf)->active_array[word] & bits) == bits;
}

enum mb_isa mb_cpu_isa(void) {
    static const uint32_t avx512 = (uint32_t)bit_AVX512F | (uint32_t)bit_AVX512DQ |
                                   (uint32_t)bit_AVX512BW | (uint32_t)bit_AVX512VL;
    if (!has(CPUID_INDEX_1, ECX, bit_FMA) || !has(CPUID_INDEX_7, EBX, bit_AVX2))
        return MB_ISA_SCALAR;
    return has(CPUID_INDEX_7, EBX, avx512) ? MB_ISA_AVX512 : MB_ISA_AVX2;
}

void mb_cpu_name(char name[MB_CPU_NAME_SIZE]) {
    uint32_t words[12] = {0};
    for (uint32_t i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                         &words[4 * i + 3]))
            break;
    memcpy(name, words, sizeof words);
    name[MB_CPU_NAME_SIZE - 1] = '\0';
}

const char *mb_isa_name(enum mb_isa isa) {
    static const char *const names[] = {"scalar", "avx2", "avx512"};
    return names[isa];
}
