#include "cpu_isa.h"

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Register state that the operating system saves: SSE and AVX; AVX-512 adds the mask registers and
 * the two halves of the ZMM file. */
enum { XCR0_AVX = 0x06, XCR0_AVX512 = 0xe6 };

static uint32_t xcr0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool has(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

static enum mb_isa detect(void) {
    uint32_t eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) ||
        !has(ecx, (uint32_t)bit_FMA | (uint32_t)bit_OSXSAVE | (uint32_t)bit_AVX))
        return MB_ISA_SCALAR;
    uint32_t saved = xcr0();
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !has(ebx, (uint32_t)bit_AVX2) ||
        !has(saved, XCR0_AVX))
        return MB_ISA_SCALAR;
    uint32_t avx512 = (uint32_t)bit_AVX512F | (uint32_t)bit_AVX512DQ | (uint32_t)bit_AVX512BW |
                      (uint32_t)bit_AVX512VL;
    return has(ebx, avx512) && has(saved, XCR0_AVX512) ? MB_ISA_AVX512 : MB_ISA_AVX2;
}

enum mb_isa mb_cpu_isa(void) {
    static enum { UNKNOWN, KNOWN } state;
    static enum mb_isa isa;
    if (state == UNKNOWN) {
        isa = detect();
        state = KNOWN;
    }
    return isa;
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
