/* The CPU backend: executors mind, mind-avx512, mind-avx2 and mind-scalar.
 *
 * `mind` uses the best kernels of the processor, the others no more than their instruction set;
 * open_config.isa_cap limits all of them further. `reference` is listed and never runs here: it is
 * no contestant, the harness calls mb_reference_run (reference.h) to check the others. */
#ifndef MB_BACKEND_CPU_H
#define MB_BACKEND_CPU_H

#include "backend.h"

const struct mb_backend *mb_backend_cpu(void);

#endif
