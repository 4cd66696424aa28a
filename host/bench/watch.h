/* The state of the machine and of a worker process, from /proc and /sys: read between blocks, never
 * while something is timed. */
#ifndef MB_WATCH_H
#define MB_WATCH_H

#include "result.h"

#include <sys/types.h>

struct mb_watch {
    double steal_ns;                      /* since boot; NaN: not told */
    int64_t migrations, context_switches; /* of all threads of the process; -1: not told */
};

struct mb_watch mb_watch_read(pid_t pid);

/* Of a process's main thread so far, NaN where not told: the time it ran, to which the kernel adds
 * when the thread is put to sleep, and at clock ticks; and the time it could have run but waited
 * for a processor. */
struct mb_watch_thread {
    double cpu_ns, waited_ns;
};
struct mb_watch_thread mb_watch_thread(pid_t pid);

/* What became of `before` in the process since: fills steal_ns, migrations, context_switches,
 * cpu_mhz and temperature_c. */
void mb_watch_since(const struct mb_watch *before, pid_t pid, struct mb_block_state *out);

/* ---- the texts of the kernel, for tests ---- */

/* Field "steal" of the line "cpu" of /proc/stat, in ticks; -1: none. */
int64_t mb_watch_steal_ticks(const char *stat);

/* The number behind `key` and a colon, where a line begins with it; -1: none. */
int64_t mb_watch_number(const char *text, const char *key);

#endif
