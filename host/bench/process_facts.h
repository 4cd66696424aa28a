/* What /proc says of a process's memory. */
#ifndef MB_PROCESS_FACTS_H
#define MB_PROCESS_FACTS_H

#include <sys/types.h>

/* The most memory that it had in use at once, in bytes: VmHWM, pages shared with others among it.
 * NaN where /proc does not say. */
double mb_process_peak_bytes(pid_t pid);

/* Bytes of all files that it has mapped, each once and with its whole size: the program, its
 * libraries, data. Memory without a name on disk is none. NaN where /proc does not say. */
double mb_process_loaded_bytes(pid_t pid);

#endif
