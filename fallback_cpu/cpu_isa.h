/* What instruction sets this processor and operating system can run. */
#ifndef MB_CPU_ISA_H
#define MB_CPU_ISA_H

#include "backend.h"

/* The best one, from CPUID and XGETBV (the system must save the registers too). Asked once. */
enum mb_isa mb_cpu_isa(void);

/* The processor's own name of its model, from CPUID; "" where it has none. */
enum { MB_CPU_NAME_SIZE = 49 };
void mb_cpu_name(char name[MB_CPU_NAME_SIZE]);

/* "scalar", "avx2", "avx512": as in kernels.def, executor names and MINDBENCH_ISA. Static. */
const char *mb_isa_name(enum mb_isa isa);

#endif
