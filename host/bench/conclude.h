/* What samples come to: statistics, comparisons and verdicts of one benchmark. Functions of the
 * samples, the blocks and the seed alone, so that whoever reads a result file can form them again
 * and compare (`mindbench verify`). */
#ifndef MB_CONCLUDE_H
#define MB_CONCLUDE_H

#include "result.h"
#include "status.h"

/* Forms anew all that follows from what was measured: the summaries of each row, what held its
 * clocks back, and the comparisons with the indices of the headlines. What stood there before is
 * replaced; a reason that is already given stays. MB_E_NOMEM. */
enum mb_status mb_conclude(struct mb_benchmark_result *benchmark, uint64_t seed,
                           struct mb_arena *arena, struct mb_err *err);

/* Executor a against b by their paired blocks. */
struct mb_comparison mb_compare_executors(const struct mb_executor_result *a,
                                          const struct mb_executor_result *b, uint64_t seed,
                                          struct mb_arena *arena);

/* Whether all that was measured is valid, with the first reason why not. `cut`: why the run ended
 * early, NULL when it did not. */
void mb_conclude_result(struct mb_result *result, const char *cut);

#endif
