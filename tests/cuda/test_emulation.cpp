/* What the emulation promises to notice, by kernels that do each of it once, and by the same
 * kernels done right. Those that touch hidden memory run in a process of their own, which dies. */
#include "launch.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdio.h>

namespace {

enum { THREADS = 64, PAGE = 4096 };

const mb_gpu_properties hopper = {90, 4, 227 * 1024, 1980000, size_t{50} << 20, 4800};
const mb_gpu_properties turing = {75, 4, 64 * 1024, 1980000, size_t{50} << 20, 4800};

float *x, *y; /* a page each */

enum fault {
    NONE,
    READS_EARLY,
    WRITES_EARLY,
    COPIES_EARLY,
    LEAVES_EARLY,    /* some threads, without waiting for the kernel before */
    READS_COPY,      /* before it is waited for */
    REPAIRS_COPY,    /* the same, and puts right what is NaN */
    STORES_FIRST,    /* to a block that may not have begun */
    STORES_LATE,     /* to a block that may have ended */
    DOES_NOT_ARRIVE, /* at the cluster's barrier */
    N_FAULTS
};
const char *const names[N_FAULTS] = {
    "none",         "reads early",    "writes early", "copies early", "leaves early",
    "reads a copy", "repairs a copy", "stores first", "stores late",  "does not arrive"};

/* y[i] = x[i] + x[i of the block before it in its cluster of two]. */
void chained(fault what) {
    float *own = mb_shared(), *others = own + THREADS;
    const unsigned at = threadIdx.x, rank = blockIdx.x % 2;
    const float *from = x + blockIdx.x * THREADS + at;
    if (what == LEAVES_EARLY && at == 3) return;
    if (what == READS_EARLY) own[at] = *from;
    if (what == WRITES_EARLY) y[at] = 0;
    if (what == COPIES_EARLY) mb_copy4_async(own + at, from, true);
    mb_wait_for_previous();
    mb_copy4_async(own + at, from, true);
    mb_copy_commit();
    if (what != READS_COPY && what != REPAIRS_COPY) mb_copy_wait<0>();
    if (what == REPAIRS_COPY && isnan(own[at])) own[at] = *from;
    __syncthreads();
    if (what != STORES_FIRST) {
        mb_cluster_arrive();
        mb_cluster_wait();
    }
    const float4 values = mb_load4(own + at / 4 * 4);
    mb_cluster_store4(others + at / 4 * 4, rank ^ 1, values);
    if (what != DOES_NOT_ARRIVE || at > 0) mb_cluster_arrive();
    mb_cluster_wait();
    y[blockIdx.x * THREADS + at] = own[at] + others[at];
    if (what == STORES_LATE && rank == 0) mb_cluster_store4(others + at / 4 * 4, 1, values);
}

void idle() {}

cudaError_t launch(fault what, const mb_gpu_properties *gpu, bool packed_in_run) {
    const mb_launch_shape shape = {dim3(4), dim3(THREADS), 2 * THREADS * sizeof(float), 2};
    mb_emulation_hide(x, PAGE, false);
    mb_emulation_hide(y, PAGE, false);
    const cudaError_t error = mb_launch_in_chain(gpu, packed_in_run, chained, shape, nullptr, what);
    mb_emulation_hide_nothing();
    return error;
}

bool right() {
    for (unsigned i = 0; i < 4 * THREADS; i++)
        if (y[i] != x[i] + x[i ^ THREADS]) return false;
    return true;
}

/* Whether the launch faults, fails or computes something else. */
bool noticed(fault what) {
    const pid_t child = fork();
    if (child == 0) {
        bool seen = false;
        for (int turn = 0; turn < 4; turn++)
            if (launch(what, &hopper, false) != cudaSuccess || !right()) seen = true;
        _exit(seen ? 1 : 0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return false;
    return WIFSIGNALED(status) ? WTERMSIG(status) == SIGSEGV : WEXITSTATUS(status) == 1;
}

int failures;

void expect(bool holds, const char *what, const char *which) {
    if (holds) return;
    failures++;
    fprintf(stderr, "FAILED %s: %s\n", what, which);
}

float *page() {
    void *at = mmap(nullptr, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? nullptr : static_cast<float *>(at);
}

} // namespace

int main() {
    x = page(), y = page();
    if (!x || !y) return 1;
    for (int i = 0; i < PAGE / 4; i++) x[i] = static_cast<float>(i * i % 97);
    for (int what = READS_EARLY; what < N_FAULTS; what++)
        expect(noticed(static_cast<fault>(what)), "noticed", names[what]);
    expect(!noticed(NONE), "taken for a fault", names[NONE]);
    const mb_launch_shape one = {dim3(1), dim3(THREADS), 0, 1};
    expect(mb_launch_in_chain(&hopper, false, idle, one, nullptr) != cudaSuccess, "noticed",
           "never waits");
    mb_emulation_error();
    /* A plain launch finds all before it ended. */
    expect(launch(READS_EARLY, &hopper, true) == cudaSuccess && right(), "plain", "packed in run");
    expect(launch(NONE, &turing, false) == cudaErrorInvalidConfiguration, "refused", "clusters");
    return failures ? 1 : 0;
}
