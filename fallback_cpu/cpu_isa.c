#include "cpu_isa.h"

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* What the compiler's start-up code found out, the registers that the operating system saves
 * included: asking the processor again takes microseconds in a virtual machine. */
enum mb_isa mb_cpu_isa(void) {
    if (!__builtin_cpu_supports("fma") || !__builtin_cpu_supports("avx2")) return MB_ISA_SCALAR;
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    return avx512 ? MB_ISA_AVX512 : MB_ISA_AVX2;
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
