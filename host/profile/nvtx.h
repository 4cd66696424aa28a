/* NVTX ranges: what a worker process is doing, named on the time line of a profiler, and in the
 * trace that --trace writes.
 *
 * Each program has a domain of its own, "mindbench.<program>", so a row of its own in Nsight. In it
 * ranges nest: the program, "<program>/<executor>", "<program>/<executor>/<phase>". All messages
 * are registered strings, since by default nsys starts a capture on no others. A phase has a
 * category of its number + 1 and carries, as its payload, the number of runs it was opened for; a
 * warm-up that goes on for a given time may make more. The colour is the executor's.
 *
 * Without a profiler or a trace an open costs one look at the environment and everything else a
 * test of a pointer; even so a range lies around a block of runs, never around one. Built without
 * NVTX's header, profilers see nothing. */
#ifndef MB_NVTX_H
#define MB_NVTX_H

#include "trace_log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PHASE(name, text) */
#define MB_NVTX_PHASES(PHASE)                                                                      \
    PHASE(COMPILE, "compile")                                                                      \
    PHASE(OPEN, "open")                                                                            \
    PHASE(PLAN, "plan")                                                                            \
    PHASE(LOAD, "load")                                                                            \
    PHASE(FIRST_RUN, "first run")                                                                  \
    PHASE(CHECK, "check")                                                                          \
    PHASE(WARM_UP, "warm-up")                                                                      \
    PHASE(MEASURE, "measure")                                                                      \
    PHASE(PROFILE, "profile")

enum mb_nvtx_phase {
#define PHASE(name, text) MB_NVTX_##name,
    MB_NVTX_PHASES(PHASE)
#undef PHASE
        MB_NVTX_N_PHASES
};

/* "first run": the category's name. */
const char *mb_nvtx_phase_text(enum mb_nvtx_phase phase);

/* Whether profilers can see ranges of this build at all. */
extern const bool mb_nvtx_built;

struct mb_nvtx;

/* Opens the ranges of the program and the executor. `colour` tells executors apart: any number,
 * the same one for the same executor. `log`, unless NULL, gets the phases too, and is borrowed.
 * NULL when nobody wants to know or memory is short; every function here takes NULL and does
 * nothing. For one thread. */
struct mb_nvtx *mb_nvtx_open(const char *program, const char *executor, size_t colour,
                             struct mb_trace_log *log);
void mb_nvtx_close(struct mb_nvtx *nvtx); /* closes whatever range is still open */

/* Opens a phase's range, after closing the one that is open. MB_NVTX_PROFILE's message is "profile"
 * alone: the one name that a profiler's filter can know for every program and executor. */
void mb_nvtx_begin(struct mb_nvtx *nvtx, enum mb_nvtx_phase phase, uint64_t n_runs);
void mb_nvtx_end(struct mb_nvtx *nvtx); /* nothing when no phase is open */

#endif
