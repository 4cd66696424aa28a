/* The parent's side of worker processes. */
#include "worker.h"

#include "clock.h"
#include "process_facts.h"
#include "wire.h"
#include "worker_environment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_FREE_FD = 16 };

struct mb_worker {
    pid_t pid; /* 0 once reaped */
    int socket, cancel_fd;
    struct mb_shared outputs;
    struct mb_trace_log *trace; /* or NULL */
    struct mb_wire wire;
    char end[160]; /* how the process ended, once it has */
    uint64_t n_settled;
    double counter; /* ticks of the last block */
    struct mb_block_account account;
};

/* ---- process ---- */

static enum mb_status spawn(struct mb_worker *w, const struct mb_executor_entry *executor,
                            int child_socket, int params_fd, int trace_fd, char **env,
                            struct mb_err *err) {
    char selftest[] = MB_WORKER_SELFTEST;
    char *own[] = {(char[]){"mindbench"}, (char[]){MB_WORKER_COMMAND},
                   mb_executor_is_admitted(executor) ? selftest : NULL, NULL};
    char **script = executor->kind == MB_SCRIPT ? mb_executor_command(executor) : NULL;
    char **argv = script ? script : own;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    if (executor->kind == MB_SCRIPT && !script)
        return mb_fail(err, MB_E_NOMEM, "no memory for a worker, or its script is gone");
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGTERM);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, child_socket, MB_FD_SOCKET);
    if (params_fd >= 0) posix_spawn_file_actions_adddup2(&actions, params_fd, MB_FD_PARAMS);
    if (w->outputs.fd >= 0)
        posix_spawn_file_actions_adddup2(&actions, w->outputs.fd, MB_FD_OUTPUTS);
    if (trace_fd >= 0) posix_spawn_file_actions_adddup2(&actions, trace_fd, MB_FD_TRACE);
    /* a group of its own: Ctrl-C reaches the parent alone, which ends the workers in good order */
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    int failure = script ? posix_spawnp(&w->pid, argv[0], &actions, &attributes, argv, env)
                         : posix_spawn(&w->pid, "/proc/self/exe", &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    free(script);
    if (failure == 0) return MB_OK;
    w->pid = 0;
    return mb_fail(err, MB_E_DEVICE, "cannot start a worker process: %s", strerror(failure));
}

int64_t mb_worker_patience(int64_t deadline_ns, double expected_ns) {
    const int64_t now = mb_clock_ns(), half = (deadline_ns - now) / 2;
    const double enough_ns = 10e9 + 20 * expected_ns;
    return now + (enough_ns < (double)half ? (int64_t)enough_ns : half); /* false for NaN */
}

static const char *signal_text(int number) {
    const char *name = sigabbrev_np(number);
    return name ? name : "unknown";
}

/* Ends the process if need be and notes how it ended. */
static void reap(struct mb_worker *w, const char *why_killed) {
    int status = 0;
    if (!w->pid) return;
    if (why_killed) kill(w->pid, SIGKILL);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) {
    }
    mb_trace_log_mark(w->trace, MB_TRACE_CLOSE, (int32_t)w->pid, "", "", 0);
    w->pid = 0;
    if (why_killed)
        snprintf(w->end, sizeof w->end, "worker ended: %s", why_killed);
    else if (WIFSIGNALED(status))
        snprintf(w->end, sizeof w->end, "worker killed by signal %d (SIG%s)", WTERMSIG(status),
                 signal_text(WTERMSIG(status)));
    else
        snprintf(w->end, sizeof w->end, "worker exited with status %d", WEXITSTATUS(status));
}

/* Sends the payload in w->wire and waits for the reply, whose payload replaces it. */
static enum mb_status ask(struct mb_worker *w, enum mb_message message, int64_t deadline_ns,
                          struct mb_err *err) {
    enum mb_message reply;
    enum mb_status answer = MB_OK;
    if (!w->pid) return mb_fail(err, MB_E_CRASHED, "%s", w->end);
    enum mb_status st = mb_wire_send(w->socket, message, MB_OK, &w->wire, err);
    if (st == MB_OK)
        st = mb_wire_receive(w->socket, deadline_ns, w->cancel_fd, &reply, &answer, &w->wire, err);
    if (st == MB_E_CRASHED) {
        reap(w, NULL);
        return mb_fail(err, st, "%s", w->end);
    }
    if (st == MB_E_TIMEOUT) {
        reap(w, "no answer within the time limit");
        return mb_fail(err, st, "%s", w->end);
    }
    if (st != MB_OK) return st;
    if (answer != MB_OK) return mb_fail(err, answer, "%s", mb_wire_get_text(&w->wire, NULL));
    return MB_OK;
}

static void put_open_config(struct mb_wire *wire, const struct mb_executor_entry *executor,
                            const struct mb_open_config *open) {
    const char *kernel = open->kernel ? open->kernel : "";
    mb_wire_put_text(wire, executor->name, strlen(executor->name));
    mb_wire_put_text(wire, executor->device, strlen(executor->device));
    mb_wire_put_u64(wire, (uint64_t)open->device_index);
    mb_wire_put_u64(wire, (uint64_t)open->n_threads);
    mb_wire_put_u64(wire, (uint64_t)open->precision);
    mb_wire_put_u64(wire, (uint64_t)open->isa_cap);
    const char *package = open->package ? open->package : "";
    mb_wire_put_text(wire, kernel, strlen(kernel));
    mb_wire_put_text(wire, package, strlen(package));
    mb_wire_put_u64(wire, open->plain_start);
}

static void put_config(struct mb_wire *wire, const struct mb_worker_config *c) {
    const struct mb_mind_source *s = &c->source;
    mb_wire_clear(wire);
    mb_wire_put_text(wire, c->benchmark, strlen(c->benchmark));
    put_open_config(wire, c->executor, &c->open);
    mb_wire_put_u64(wire, c->trace != NULL);
    mb_wire_put_u64(wire, c->cold);
    mb_wire_put_u64(wire, c->transfers);
    mb_wire_put_text(wire, s->file, strlen(s->file));
    mb_wire_put_text(wire, s->text, s->len);
    mb_wire_put_u64(wire, s->seed);
    mb_wire_put_u64(wire, s->strict);
    mb_wire_put_u64(wire, s->lenient);
    mb_wire_put_u64(wire, s->entry != NULL);
    if (s->entry) mb_wire_put_text(wire, s->entry, strlen(s->entry));
    mb_wire_put_u64(wire, s->n_bindings);
    for (size_t i = 0; i < s->n_bindings; i++) {
        mb_wire_put_text(wire, s->bindings[i].name, strlen(s->bindings[i].name));
        mb_wire_put_u64(wire, (uint64_t)s->bindings[i].extent);
    }
}

/* What a script is told instead (scripts/peers/worker.py): it reads the program as the IR text, and
 * answers with the phases that it is given the names of. */
static void put_script_config(struct mb_wire *wire, const struct mb_worker_config *c) {
    static const char phases[] =
#define PHASE(name, meaning) #name " "
        MB_PHASES(PHASE)
#undef PHASE
        ;
    char *ir = NULL;
    size_t ir_len = 0;
    FILE *out = open_memstream(&ir, &ir_len);
    mb_wire_clear(wire);
    if (!out || !mb_program_print(c->program, out)) wire->bad = true;
    if (out && fclose(out) != 0) wire->bad = true;
    mb_wire_put_text(wire, c->executor->name, strlen(c->executor->name));
    mb_wire_put_u64(wire, (uint64_t)c->open.n_threads);
    mb_wire_put_u64(wire, (uint64_t)c->open.precision);
    mb_wire_put_u64(wire, (uint64_t)c->open.isa_cap);
    mb_wire_put_u64(wire, c->cold);
    mb_wire_put_u64(wire, c->transfers);
    mb_wire_put_text(wire, phases, sizeof phases - 1);
    mb_wire_put_text(wire, ir ? ir : "", ir_len);
    for (uint32_t i = 0; i < c->program->n_params; i++)
        mb_wire_put_u64(wire, c->program->params[i].role == MB_WEIGHT);
    free(ir);
}

static void note_script(const struct mb_worker *w, const char *name) {
    char note[160];
    snprintf(note, sizeof note, "phases of %s: its process is a script, which tells none", name);
    mb_trace_log_mark(w->trace, MB_TRACE_NOTE, (int32_t)w->pid, note, "", 0);
}

static enum mb_status get_prepared(struct mb_worker *w, struct mb_arena *arena,
                                   struct mb_executor_result *result, struct mb_err *err) {
    size_t len;
#define PHASE(name, meaning) result->phases.name = mb_wire_get_f64(&w->wire);
    MB_PHASES(PHASE)
#undef PHASE
    result->info.precision = (enum mb_precision)mb_wire_get_u64(&w->wire);
    snprintf(result->info.math_mode, sizeof result->info.math_mode, "%s",
             mb_wire_get_text(&w->wire, NULL));
    snprintf(result->info.library, sizeof result->info.library, "%s",
             mb_wire_get_text(&w->wire, NULL));
    snprintf(result->info.device_uuid, sizeof result->info.device_uuid, "%s",
             mb_wire_get_text(&w->wire, NULL));
    result->info.flops = mb_wire_get_f64(&w->wire);
    const char *plan = mb_wire_get_text(&w->wire, &len);
    result->plan_text = mb_arena_strndup(arena, plan, len);
    result->start.entered_ns = mb_wire_get_f64(&w->wire);
    result->start.first_output_ns = mb_wire_get_f64(&w->wire);
    result->start.library_ns = mb_wire_get_f64(&w->wire);
    result->start.compile_ns = mb_wire_get_f64(&w->wire);
    result->start.harness_ns = mb_wire_get_f64(&w->wire);
    result->start.peak_bytes = mb_process_peak_bytes(w->pid);
    result->start.loaded_bytes = mb_process_loaded_bytes(w->pid);
    if (w->wire.bad || !result->plan_text) return mb_fail(err, MB_E_NOMEM, "no memory for a reply");
    return MB_OK;
}

/* A copy above the numbers that the child gets, so that no dup2 overwrites a source of a later one;
 * -1 for -1. */
static enum mb_status lift(int fd, int *out, struct mb_err *err) {
    *out = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    return fd < 0 || *out >= 0 ? MB_OK : mb_fail(err, MB_E_NOMEM, "no descriptors for a worker");
}

static void close_if_open(int fd) {
    if (fd >= 0) close(fd);
}

/* The process and the socket to it. Of the child's end the child alone has a copy then, so that its
 * death ends the stream. */
static enum mb_status connect_worker(struct mb_worker *w, const struct mb_executor_entry *executor,
                                     enum mb_isa cap, const char *cache_folder, int params,
                                     double *spawned_ns, struct mb_err *err) {
    enum mb_status st = MB_OK;
    int pair[2] = {-1, -1}, child_socket = -1, params_fd = -1, trace_fd = -1, outputs_fd = -1;
    char **env = mb_worker_environment(cap, cache_folder);
    if (!env || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        st = mb_fail(err, MB_E_DEVICE, "cannot make a socket pair: %s", strerror(errno));
        goto out;
    }
    w->socket = pair[0];
    MB_TRY(lift(pair[1], &child_socket, err));
    MB_TRY(lift(params, &params_fd, err));
    MB_TRY(lift(w->trace ? mb_trace_log_fd(w->trace) : -1, &trace_fd, err));
    MB_TRY(lift(w->outputs.fd, &outputs_fd, err));
    close_if_open(w->outputs.fd);
    w->outputs.fd = outputs_fd;
    *spawned_ns = (double)mb_clock_ns();
    st = spawn(w, executor, child_socket, params_fd, trace_fd, env, err);
out:
    mb_worker_environment_free(env);
    close_if_open(pair[1]);
    close_if_open(child_socket);
    close_if_open(params_fd);
    close_if_open(trace_fd);
    return st;
}

static struct mb_worker *new_worker(int cancel_fd, struct mb_trace_log *trace, struct mb_err *err) {
    struct mb_worker *w = calloc(1, sizeof *w);
    if (!w) {
        mb_fail(err, MB_E_NOMEM, "no memory for a worker");
        return NULL;
    }
    w->socket = -1;
    w->outputs.fd = -1;
    w->cancel_fd = cancel_fd;
    w->trace = trace;
    return w;
}

enum mb_status mb_worker_start(const struct mb_worker_config *config, int64_t deadline_ns,
                               struct mb_arena *arena, struct mb_executor_result *result,
                               struct mb_worker **out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_worker *w = new_worker(config->cancel_fd, config->trace, err);
    if (!w) return MB_E_NOMEM;
    MB_TRY(mb_shared_outputs(config->program, -1, &w->outputs, err));
    if (config->executor->kind == MB_SCRIPT)
        put_script_config(&w->wire, config);
    else
        put_config(&w->wire, config);
    MB_TRY(connect_worker(w, config->executor, config->open.isa_cap, config->cache_folder,
                          config->params->fd, &result->start.spawned_ns, err));
    if (config->executor->kind == MB_SCRIPT) note_script(w, config->executor->name);
    MB_TRY(ask(w, MB_MSG_PREPARE, deadline_ns, err));
    MB_TRY(get_prepared(w, arena, result, err));
    *out = w;
    w = NULL;
out:
    mb_worker_stop(w);
    return st;
}

static void get_ceilings(struct mb_wire *wire, struct mb_ceilings *out) {
    out->n_read = mb_wire_get_u64(wire);
    for (size_t i = 0; i < MB_CEILING_SIZES; i++) {
        out->read[i].bytes = mb_wire_get_u64(wire);
        out->read[i].read_gbps = mb_wire_get_f64(wire);
    }
    out->fma_gflops = mb_wire_get_f64(wire);
    out->launch_ns = mb_wire_get_f64(wire);
    out->graph_node_ns = mb_wire_get_f64(wire);
}

enum mb_status mb_worker_ceilings(const struct mb_executor_entry *executor,
                                  const struct mb_open_config *open, int64_t deadline_ns,
                                  int cancel_fd, struct mb_ceilings *out, struct mb_err *err) {
    enum mb_status st = MB_OK;
    struct mb_ceilings found;
    double spawned_ns;
    struct mb_worker *w = new_worker(cancel_fd, NULL, err);
    if (!w) return MB_E_NOMEM;
    MB_TRY(connect_worker(w, executor, open->isa_cap, NULL, -1, &spawned_ns, err));
    put_open_config(&w->wire, executor, open);
    MB_TRY(ask(w, MB_MSG_CEILINGS, deadline_ns, err));
    get_ceilings(&w->wire, &found);
    if (w->wire.bad || found.n_read < 1 || found.n_read > MB_CEILING_SIZES) {
        st = mb_fail(err, MB_E_CRASHED, "worker sent a short reply");
        goto out;
    }
    *out = found;
out:
    mb_worker_stop(w);
    return st;
}

static void get_operation(struct mb_wire *wire, struct mb_operation *out) {
    snprintf(out->kernel, sizeof out->kernel, "%s", mb_wire_get_text(wire, NULL));
    snprintf(out->what, sizeof out->what, "%s", mb_wire_get_text(wire, NULL));
    out->ns = mb_wire_get_f64(wire);
    out->bytes = mb_wire_get_f64(wire);
    out->flops = mb_wire_get_f64(wire);
}

enum mb_status mb_worker_operations(struct mb_worker *w, uint32_t n_runs, int64_t deadline_ns,
                                    struct mb_operation *out, size_t room, size_t *n,
                                    struct mb_err *err) {
    mb_wire_clear(&w->wire);
    mb_wire_put_u64(&w->wire, n_runs);
    mb_wire_put_u64(&w->wire, room);
    enum mb_status st = ask(w, MB_MSG_OPERATIONS, deadline_ns, err);
    if (st != MB_OK) return st;
    const size_t n_sent = mb_wire_get_u64(&w->wire);
    for (size_t i = 0; i < n_sent && i < room; i++) get_operation(&w->wire, &out[i]);
    if (w->wire.bad || n_sent > room)
        return mb_fail(err, MB_E_CRASHED, "worker sent a short reply");
    *n = n_sent;
    return MB_OK;
}

static enum mb_status get_samples(struct mb_worker *w, uint32_t n, double *samples_ns,
                                  struct mb_err *err) {
    for (uint32_t i = 0; i < n; i++) samples_ns[i] = mb_wire_get_f64(&w->wire);
    return w->wire.bad ? mb_fail(err, MB_E_CRASHED, "worker sent a short reply") : MB_OK;
}

static struct mb_block_account get_account(struct mb_wire *wire) {
    struct mb_block_account a = {0};
    a.settle_ns = mb_wire_get_f64(wire);
    a.around_ns = mb_wire_get_f64(wire);
    a.evict_ns = mb_wire_get_f64(wire);
    a.other_ns = mb_wire_get_f64(wire);
    a.n_settle = mb_wire_get_u64(wire);
    a.guarded = mb_wire_get_u64(wire);
    a.fault = (enum mb_guard_fault)mb_wire_get_u64(wire);
    a.fault_run = mb_wire_get_u64(wire);
    return a;
}

enum mb_status mb_worker_run(struct mb_worker *w, const struct mb_block *block, int64_t deadline_ns,
                             double *samples_ns, struct mb_err *err) {
    mb_wire_clear(&w->wire);
    mb_wire_put_u64(&w->wire, (uint64_t)block->purpose);
    mb_wire_put_u64(&w->wire, block->settle_runs);
    mb_wire_put_u64(&w->wire, (uint64_t)block->settle_ns);
    mb_wire_put_u64(&w->wire, block->n_samples);
    mb_wire_put_u64(&w->wire, block->new_inputs);
    const int64_t begin_ns = mb_clock_ns();
    enum mb_status st = ask(w, MB_MSG_RUN, deadline_ns, err);
    const double wall_ns = (double)(mb_clock_ns() - begin_ns);
    if (st != MB_OK) return st;
    w->n_settled = mb_wire_get_u64(&w->wire);
    w->counter = mb_wire_get_f64(&w->wire);
    w->account = get_account(&w->wire);
    w->account.wall_ns = wall_ns;
    return get_samples(w, block->n_samples, samples_ns, err);
}

uint64_t mb_worker_n_settled(const struct mb_worker *w) { return w->n_settled; }

const struct mb_block_account *mb_worker_account(const struct mb_worker *w) { return &w->account; }

double mb_worker_counter(const struct mb_worker *w) { return w->counter; }

pid_t mb_worker_pid(const struct mb_worker *w) { return w->pid; }

enum mb_status mb_worker_device_time(struct mb_worker *w, uint32_t n_samples, uint32_t n_runs,
                                     bool evicted, int64_t deadline_ns, double *samples_ns,
                                     struct mb_err *err) {
    mb_wire_clear(&w->wire);
    mb_wire_put_u64(&w->wire, n_samples);
    mb_wire_put_u64(&w->wire, n_runs);
    mb_wire_put_u64(&w->wire, evicted);
    enum mb_status st = ask(w, MB_MSG_DEVICE_TIME, deadline_ns, err);
    return st == MB_OK ? get_samples(w, n_samples, samples_ns, err) : st;
}

bool mb_worker_alive(const struct mb_worker *w) { return w->pid != 0; }

void *const *mb_worker_outputs(const struct mb_worker *w) { return w->outputs.data; }

/* Whether a thread is running or wants to: "R" behind the name in its line of /proc. */
static bool thread_runs(int tasks, const char *thread) {
    char path[64], line[512];
    snprintf(path, sizeof path, "%.20s/stat", thread);
    const int fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const ssize_t len = read(fd, line, sizeof line - 1);
    close(fd);
    line[len > 0 ? len : 0] = '\0';
    const char *name_end = strrchr(line, ')'); /* the name may hold anything */
    return name_end && name_end[1] == ' ' && name_end[2] == 'R';
}

static bool any_thread_runs(pid_t pid) {
    char path[64];
    bool runs = false;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (!tasks) return false;
    for (struct dirent *d; !runs && (d = readdir(tasks));)
        runs = d->d_name[0] != '.' && thread_runs(dirfd(tasks), d->d_name);
    closedir(tasks);
    return runs;
}

/* The threads' states and not the process's time: the kernel adds a running thread's time to that
 * only at timer ticks, so that it stands still for up to 4 ms while a thread spins. */
bool mb_worker_wait_parked(const struct mb_worker *w) {
    const struct timespec pause = {.tv_nsec = 200000};
    const int64_t limit = mb_clock_ns() + 100000000;
    for (; w->pid && any_thread_runs(w->pid); nanosleep(&pause, NULL))
        if (mb_clock_ns() >= limit) return false;
    return true;
}

void mb_worker_stop(struct mb_worker *w) {
    if (!w) return;
    if (w->pid) {
        const int64_t grace_ns = 2000000000;
        /* the reply to QUIT is the end of the stream */
        if (mb_wire_send(w->socket, MB_MSG_QUIT, MB_OK, NULL, NULL) == MB_OK &&
            mb_wire_wait_end(w->socket, mb_clock_ns() + grace_ns))
            reap(w, NULL);
        else
            reap(w, "it did not quit");
    }
    if (w->socket >= 0) close(w->socket);
    mb_shared_close(&w->outputs);
    mb_wire_free(&w->wire);
    free(w);
}
