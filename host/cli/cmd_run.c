/* mindbench run: compile, race, print the tables, write the results. */
#include "cli.h"
#include "clock.h"
#include "conclude.h"
#include "interrupt.h"
#include "precision_plan.h"
#include "report_plan.h"
#include "run_options.h"
#include "run_outputs.h"
#include "runner.h"
#include "schedule.h"
#include "terminal.h"
#include "workloads.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_TARGETS = 256 };

struct plan {
    const char *device, *device_reason;
    struct mb_target targets[MAX_TARGETS];
    size_t n_targets;
    const char *executors[MB_RUN_MAX_EXECUTORS];
    size_t n_executors;
    struct mb_open_config open;
};

/* ---- what to run, where, with what ---- */

/* What the user should know before the numbers come: the device that was taken, and each plugin
 * that is missing, once. */
static void print_warnings(const struct mb_run_options *o, const struct plan *p) {
    const char *missing = "";
    struct mb_err err;
    if (o->quiet) return;
    if (p->device_reason) fprintf(stderr, "Warn: %s\n", p->device_reason);
    for (size_t i = 0; i < p->n_executors; i++) {
        const struct mb_executor_entry *e = mb_executor_find(p->executors[i], p->device);
        if (strcmp(missing, e->backend) == 0 || mb_executor_present(e, &err) == MB_OK) continue;
        fprintf(stderr, "Warn: %s is not measured: %s\n", e->name, err.text);
        missing = e->backend;
    }
}

static int choose_executors(const struct mb_run_options *o, struct plan *p) {
    for (size_t i = 0; o->all_executors && i < mb_n_executor_entries; i++)
        if (strcmp(mb_executor_entries[i].device, p->device) == 0)
            p->executors[p->n_executors++] = mb_executor_entries[i].name;
    for (size_t i = 0; !o->all_executors && i < o->n_executors; i++) {
        const struct mb_executor_entry *e = mb_executor_find(o->executors[i], p->device);
        if (!e && strcmp(o->executors[i], "reference") == 0)
            return mb_cli_error(MB_EXIT_USAGE,
                                "run: reference is the FP64 oracle that every output "
                                "is checked against; it is never timed");
        if (!e)
            return mb_cli_error(MB_EXIT_USAGE,
                                "run: no executor %s on %s; mindbench list executors names them",
                                o->executors[i], p->device);
        p->executors[p->n_executors++] = e->name;
    }
    return -1;
}

static int open_targets(const struct mb_run_options *o, struct plan *p) {
    struct mb_err err;
    size_t n_named = o->n_arguments ? o->n_arguments : mb_n_workloads;
    size_t n_batches = o->n_batches ? o->n_batches : 1;
    if (n_named > MAX_TARGETS / n_batches)
        return mb_cli_error(MB_EXIT_USAGE, "run: more than %d programs at once", MAX_TARGETS);
    for (size_t i = 0; i < n_named; i++) {
        const char *name = o->n_arguments ? o->arguments[i] : mb_workloads[i].name;
        for (size_t b = 0; b < n_batches; b++) {
            const struct mb_target_options options = {.entry = o->entry,
                                                      .bindings = &o->bindings,
                                                      .batch = o->n_batches ? o->batches[b] : 0,
                                                      .seed = (uint64_t)o->seed,
                                                      .strict = o->strict,
                                                      .lenient = o->lenient,
                                                      .quiet = o->quiet || b,
                                                      .diags = o->diags};
            struct mb_target *t = &p->targets[p->n_targets];
            int status = mb_target_open(name, &options, t);
            if (status != MB_EXIT_OK) return status;
            p->n_targets++;
            if (mb_given_read(&o->given, t->program, NULL, &err) != MB_OK)
                return mb_cli_error(MB_EXIT_USAGE, "run: %s: %s", t->name, err.text);
            for (size_t k = 0; k + 1 < p->n_targets; k++)
                if (strcmp(p->targets[k].name, t->name) == 0)
                    return mb_cli_error(MB_EXIT_USAGE,
                                        "run: two programs are called %s; rename a "
                                        "file or run them apart",
                                        t->name);
        }
    }
    return -1;
}

/* ---- the run ---- */

static enum mb_status put_given(const void *arg, const struct mb_program *program,
                                void *const *params, struct mb_err *err) {
    return mb_given_read(arg, program, params, err);
}

static void on_progress(void *arg, const char *benchmark, const char *what, double share_done) {
    (void)arg;
    mb_terminal_progress(benchmark, what, share_done);
}

/* A result's name says what sets it apart from the same program measured in the ordinary way, so
 * that neither a reader nor a comparison of two files takes one for the other. NULL without memory.
 */
static const char *benchmark_name(const struct mb_target *t, bool cold, bool transfers,
                                  struct mb_arena *arena) {
    static const char cache[] = "[cache=cold]", moved[] = "[transfers=included]";
    const size_t size = strlen(t->name) + sizeof cache + sizeof moved;
    char *name = mb_arena_calloc(arena, size, 1);
    if (name) snprintf(name, size, "%s%s%s", t->name, cold ? cache : "", transfers ? moved : "");
    return name;
}

static int race_all(const struct mb_run_options *o, struct plan *p, int cancel_fd,
                    struct mb_trace_log *trace, struct mb_result *result) {
    struct mb_err err;
    enum mb_status st = MB_OK;
    const bool progress = o->progress && !o->quiet && isatty(STDERR_FILENO);
    const int64_t deadline_ns = mb_clock_ns() + (int64_t)(o->timeout_s * 1e9);
    const size_t n_states = (size_t)o->warm + o->cold;
    result->benchmarks =
        mb_arena_calloc(&result->arena, p->n_targets * n_states, sizeof *result->benchmarks);
    if (!result->benchmarks) return mb_cli_error(MB_EXIT_USAGE, "run: no memory for results");
    for (size_t i = 0; i < p->n_targets * n_states && st == MB_OK; i++) {
        const struct mb_target *t = &p->targets[i / n_states];
        const bool cold = i % n_states == (size_t)o->warm;
        const char *name = benchmark_name(t, cold, o->transfers, &result->arena);
        if (!name) return mb_cli_error(MB_EXIT_USAGE, "run: no memory for results");
        const struct mb_race_config config = {.name = name,
                                              .file = t->file,
                                              .source = t->source,
                                              .program = t->program,
                                              .device = p->device,
                                              .executors = p->executors,
                                              .n_executors = p->n_executors,
                                              .open = p->open,
                                              .overwrite = put_given,
                                              .overwrite_arg = &o->given,
                                              .given = o->given.n_inputs || o->given.weights_path,
                                              .seed = (uint64_t)o->seed,
                                              .n_samples = (uint32_t)o->samples,
                                              .n_warmup = (uint32_t)o->warmup,
                                              .n_restarts = (uint32_t)o->restarts,
                                              .cold = cold,
                                              .transfers = o->transfers,
                                              .ceilings = !o->no_roofline && !o->plan,
                                              .profile_ops = o->profile_ops,
                                              .profile = o->profile,
                                              .n_cold_starts = cold ? 0 : (uint32_t)o->cold_starts,
                                              .compile_only = o->compile_only,
                                              .trace = trace,
                                              .duration_s = o->duration_s,
                                              .max_noise = o->plan ? MB_PILOT_NOISE : o->max_noise,
                                              .deadline_ns = deadline_ns,
                                              .cancel_fd = cancel_fd,
                                              .progress = progress ? on_progress : NULL};
        struct mb_benchmark_result *bench = &result->benchmarks[result->n_benchmarks];
        const int64_t begin_ns = mb_clock_ns();
        st = mb_race(&config, result, bench, &err);
        if (progress) mb_terminal_progress_clear();
        if (o->plan && (st == MB_OK || st == MB_E_TIMEOUT || st == MB_E_INTERRUPTED))
            mb_report_plan(bench, (double)(mb_clock_ns() - begin_ns) / 1e9, stdout);
        if (st == MB_OK || st == MB_E_TIMEOUT || st == MB_E_INTERRUPTED)
            result->n_benchmarks++;
        else
            return mb_cli_error(mb_cli_exit_of(st), "%s: %s", name, err.text);
    }
    mb_conclude_result(result, st == MB_E_TIMEOUT       ? "cut short by --timeout"
                               : st == MB_E_INTERRUPTED ? "interrupted"
                                                        : NULL);
    return -1;
}

/* One thread for each core that this process may use; fewer when a cgroup grants less time. */
static int run(const struct mb_run_options *o, struct plan *p, int argc, char **argv) {
    struct mb_machine machine;
    struct mb_err err;
    int status;
    if (mb_machine_read(NULL, &machine, &err) != MB_OK)
        return mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
    p->open.precision = MB_FP32; /* which every device can, so that it is the device that answers */
    if (!mb_isa_cap_from_environment(&p->open.isa_cap, &err))
        return mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
    p->open.n_threads = o->threads ? (int)o->threads : mb_machine_default_threads(&machine);
    if ((status = mb_device_option_choose(&o->device, "run", &p->open, &p->device_reason)) >= 0)
        return status;
    p->device = p->open.device;
    if (o->precision != MB_FP32 && strcmp(p->device, "cpu") == 0)
        return mb_cli_error(MB_EXIT_USAGE, "run: --precision tf32: not on a CPU; every executor "
                                           "there computes in fp32");
    p->open.precision = o->precision;
    if ((status = choose_executors(o, p)) >= 0) return status;
    if ((status = open_targets(o, p)) >= 0) return status;
    if ((status = mb_run_check_writable(o)) >= 0) return status;
    print_warnings(o, p);
    struct mb_trace_log *trace = NULL;
    if (o->trace && mb_trace_log_new(&trace, &err) != MB_OK)
        return mb_cli_error(MB_EXIT_USAGE, "run: %s", err.text);

    int cancel_fd = mb_interrupt_install();
    struct mb_result result = {
        .argc = argc,
        .argv = argv,
        .seed = (uint64_t)o->seed,
        .statistics = {MB_RESAMPLES, o->restarts ? (uint32_t)o->restarts : MB_SCHEDULE_STARTS,
                       MB_CONFIDENCE, o->min_effect, o->max_noise, o->duration_s},
        .n_threads = p->open.n_threads,
        .precision = p->open.precision,
        .tolerance_rel_l2 = MB_TOLERANCE_REL_L2,
        .tolerance_max_rel = MB_TOLERANCE_MAX_REL,
        .device = p->device,
        .device_reason = p->device_reason,
        .started_unix_s = (int64_t)time(NULL)};
    if (o->no_roofline) result.ceilings_reason = "--no-roofline";
    mb_arena_init(&result.arena);
    status = race_all(o, p, cancel_fd, trace, &result);
    if (status < 0) {
        bool written = true;
        if (o->profile)
            mb_run_print_profiled(o, &result);
        else if (!o->plan)
            written = mb_run_write(o, &result);
        if (trace) written = mb_run_write_trace(o, trace) && written;
        if (mb_interrupt_signal())
            status = MB_EXIT_SIGNAL + mb_interrupt_signal();
        else if (!written)
            status = MB_EXIT_USAGE;
        else
            status = mb_baseline_judge(&o->baseline, &result,
                                       result.valid ? MB_EXIT_OK : MB_EXIT_INVALID,
                                       o->quiet ? NULL : mb_run_console(o));
    }
    mb_trace_log_close(trace);
    mb_arena_free(&result.arena);
    return status;
}

/* argv as it was typed, for the result: parsing cuts lists and reorders arguments. The program is
 * named without its folder. */
static char **recorded_arguments(int argc, char **argv) {
    char **copy = calloc((size_t)argc + 2, sizeof *copy);
    if (!copy || !(copy[0] = strdup("mindbench"))) return copy;
    for (int i = 0; i < argc; i++)
        if (!(copy[i + 1] = strdup(argv[i]))) break;
    return copy;
}

int mb_cmd_run(int argc, char **argv) {
    struct mb_run_options options;
    static struct plan plan; /* large */
    char **recorded = recorded_arguments(argc, argv);
    struct mb_err err;
    int status = mb_run_options_parse(argc, argv, &options);
    if (status < 0 && (!recorded || !recorded[argc]))
        status = mb_cli_error(MB_EXIT_USAGE, "run: no memory for the arguments");
    if (status < 0 && mb_given_open(&options.given, &err) != MB_OK)
        status = mb_cli_error(MB_EXIT_USAGE, "run: --weights: %s", err.text);
    if (status < 0 && !mb_baseline_open(&options.baseline)) status = MB_EXIT_USAGE;
    if (status < 0) status = run(&options, &plan, argc + 1, recorded);
    mb_baseline_close(&options.baseline);
    mb_given_close(&options.given);
    for (size_t i = 0; i < plan.n_targets; i++) mb_target_close(&plan.targets[i]);
    for (size_t i = 0; recorded && recorded[i]; i++) free(recorded[i]);
    free(recorded);
    return status;
}
