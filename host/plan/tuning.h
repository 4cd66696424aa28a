/* The choice of a kernel by measurement, for every device, and the memory of it.
 *
 *     mb_tuning_open -> mb_tuning_choose for each step -> mb_tuning_save ... -> mb_tuning_close
 *
 * What was measured is kept in the file `tuning` in $XDG_CACHE_HOME/mindbench, or else in
 * ~/.cache/mindbench, and asked before anything is measured again. An entry counts for the same
 * device text, the same build of the program or plugin that asks, the same step and the same set of
 * candidates. The file is replaced whole, so that readers and writers in several processes see one
 * state or another, never a part; of two that save at once one may forget what the other measured.
 * A file that is anything else than what was written counts as none and is replaced. Where there is
 * no folder to write to, or the program carries no build id, nothing is remembered, and that is no
 * error. */
#ifndef MB_TUNING_H
#define MB_TUNING_H

#include "plan.h"
#include "status.h"
#include "step.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mb_tuning;

struct mb_candidate {
    const void *kernel; /* the device's own */
    const char *name;   /* other than every other candidate's; outlives the choice */
    double cost_ns;     /* estimated: candidates far above the cheapest are not measured */
};

/* Runs candidates[candidate] on the step once, or in a short batch, on stand-in data, and gives the
 * time of one run. The first call for a candidate may prepare it (its time is not the choice's);
 * calls for several candidates take turns. MB_E_UNSUPPORTED: it cannot do this step, which is
 * remembered; any other failure leaves the candidate out this time. */
typedef enum mb_status (*mb_measure)(void *self, size_t candidate, double *ns, struct mb_err *err);

/* For tests: zero means the usual. */
struct mb_tuning_options {
    const char *folder;        /* of the file, in place of the user's; created */
    int64_t (*clock_ns)(void); /* monotonic */
    double step_limit_ns;      /* time that one step may take: 100 ms */
};

/* device: what times depend on apart from the step: the device's name, instruction set or compute
 * capability, threads, versions of the libraries that candidates call. Copied, like options->folder
 * (options: NULL is fine). */
enum mb_status mb_tuning_open(const char *device, const struct mb_tuning_options *options,
                              struct mb_tuning **out, struct mb_err *err);
void mb_tuning_close(struct mb_tuning *tuning); /* saves nothing; NULL is fine */

/* The fastest of n >= 1 candidates for the step. Those whose estimate is more than 4 times the
 * cheapest are dropped. One left is taken as it is; of several the cache or the measurement says
 * which: each runs once to warm up, then all take turns, those that are clearly slower drop out,
 * and the median decides. After step_limit_ns no further run begins, except for what it takes to
 * have measured one candidate. measure NULL: by estimates.
 *
 * Fills everything of `out` but its sizes. Its texts are valid until mb_tuning_close, and its names
 * are the candidates'. When every candidate fails, the status and text of the cheapest one's
 * failure. */
enum mb_status mb_tuning_choose(struct mb_tuning *tuning, enum mb_step_kind kind,
                                const union mb_step_desc *desc,
                                const struct mb_candidate *candidates, size_t n, mb_measure measure,
                                void *self, struct mb_kernel_choice *out, struct mb_err *err);

/* Writes what was measured since the last save to the cache; a failure to do so is no error. */
void mb_tuning_save(struct mb_tuning *tuning);

/* Wall time spent in measuring so far. */
double mb_tuning_spent_ns(const struct mb_tuning *tuning);

#ifdef __cplusplus
}
#endif
#endif
