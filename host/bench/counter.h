/* A second timer: the processor's own counter, read by an instruction (RDTSC, CNTVCT_EL0), so that
 * nothing in a process can put another clock in its place. Its rate is found out by whoever wants
 * nanoseconds, against a clock of their own. */
#ifndef MB_COUNTER_H
#define MB_COUNTER_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

static inline bool mb_counter_there(void) {
#if defined(__x86_64__) || defined(__aarch64__)
    return true;
#else
    return false;
#endif
}

static inline uint64_t mb_counter(void) {
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return 0;
#endif
}

#endif
