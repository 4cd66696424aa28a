/* What samples come to: statistics, comparisons and verdicts of one benchmark. Functions of the
 * samples, the blocks and the seed alone, so that whoever reads a result file can form them again
 * and compare (`mindbench verify`). */
#ifndef MB_CONCLUDE_H
#define MB_CONCLUDE_H

#include "result.h"
#include "status.h"

/* How far apart the two timers of a block may be, as a share, and what both clocks cost a run. The
 * first is the worker's CLOCK_MONOTONIC, which a library in its process could put its own in place
 * of; the second an instruction that reads the processor's counter, which none can, scaled by the
 * harness's own clock over the whole race (counter.h). */
#define MB_TIMERS_AGREE    0.01
#define MB_TIMERS_AGREE_NS 1000

/* Forms anew all that follows from what was measured: of each row the summaries, what held its
 * clocks back, steadiness, timers and A/A control, which may make it INVALID; the comparisons with
 * the indices of the headlines; the number of false alarms. What stood there before is
 * replaced; a reason that is already given stays. MB_E_NOMEM. */
enum mb_status mb_conclude(struct mb_benchmark_result *benchmark, uint64_t seed,
                           const struct mb_statistics *settings, struct mb_arena *arena,
                           struct mb_err *err);

/* Latency of what was measured so far, at least one sample; n is 0 without memory. */
struct mb_summary mb_latency_summary(const struct mb_executor_result *e, uint64_t seed);

/* Executor a against b by their paired blocks. */
struct mb_comparison mb_compare_executors(const struct mb_executor_result *a,
                                          const struct mb_executor_result *b, uint64_t seed,
                                          const struct mb_statistics *settings,
                                          struct mb_arena *arena);

/* Whether all that was measured is valid, with the first reason why not. `cut`: why the run ended
 * early, NULL when it did not. */
void mb_conclude_result(struct mb_result *result, const char *cut);

#endif
