#include "launch.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <stdio.h>
#include <vector>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace {

enum {
    WARP = 32,
    MOST_THREADS = 1024,
    MOST_CLUSTER = 8,
    MOST_SHARED = 227 * 1024,
    SHARED_PAGES = 57, /* that hold it */
    PAGE = 4096,
    NAN_BYTES = 0xff,
    FINITE_BYTES = 0x50 /* 1.4e10: what is made of two of them is finite, too */
};
constexpr size_t stack_bytes = 128 * 1024;

enum waiting {
    RUNS,
    AT_BLOCK_BARRIER,
    AT_WARP_BARRIER,
    AT_EXCHANGE,
    AT_CLUSTER_BARRIER,
    AT_PREVIOUS,
    ENDED
};

/* A copy to shared memory on its way. */
struct copy {
    float *to;
    float values[4];
    unsigned count, group;
};

/* Begins as a ucontext, and goes on by jumps, which spare the system calls of swapcontext. */
struct fiber {
    ucontext_t context;
    jmp_buf here;
    bool has_begun;
    waiting state;
    unsigned n_exchanges;
    bool has_waited, has_arrived; /* for the kernel before; at the cluster's barrier */
    unsigned group;               /* of copies, that is open */
    std::vector<copy> copies;
};

/* Two sets of values: a lane may give the next one before the others have taken this one. */
struct warp {
    uint64_t bits[2][WARP];
    mb_emulation_fragments fragments[2][WARP];
};

struct block {
    uint3 index;
    unsigned char *shared_end, *shared;
    bool ended;
};

struct hidden {
    unsigned char *begin;
    size_t bytes;
    int protection;
};

/* Of the cluster that runs, which is one block where a kernel has none. */
struct machine {
    jmp_buf scheduler;
    std::vector<fiber> fibers;
    std::vector<warp> warps;
    block blocks[MOST_CLUSTER];
    unsigned n_blocks, n_fibers;
    bool has_met; /* at the cluster's barrier: all blocks have begun */
    unsigned char *stacks;
    unsigned current;
    mb_emulation_body *body;
    const void *arguments;
    size_t shared_bytes;
    bool backwards, in_chain;
    unsigned n_launches;
    int garbage; /* each byte of memory that holds nothing */
    std::vector<hidden> hidden_memory;
    char error[160];
    const char *unread_error;
} gpu;

void fail(const char *what) {
    if (gpu.error[0]) return;
    snprintf(gpu.error, sizeof gpu.error, "%s: block (%u,%u,%u), thread (%u,%u,%u)", what,
             blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
}

unsigned n_threads() { return blockDim.x * blockDim.y * blockDim.z; }

void set_thread(unsigned index) {
    const unsigned thread = index % n_threads();
    gpu.current = index;
    blockIdx = gpu.blocks[index / n_threads()].index;
    threadIdx.x = thread % blockDim.x;
    threadIdx.y = thread / blockDim.x % blockDim.y;
    threadIdx.z = thread / blockDim.x / blockDim.y;
}

fiber *self() { return &gpu.fibers[gpu.current]; }

void fiber_main() {
    gpu.body(gpu.arguments);
    if (gpu.in_chain && !self()->has_waited) fail("ends without waiting for the kernel before");
    self()->state = ENDED;
    _longjmp(gpu.scheduler, 1);
}

void wait_at(waiting what) {
    self()->state = what;
    if (_setjmp(self()->here) == 0) _longjmp(gpu.scheduler, 1);
}

/* Runs a thread until it waits or ends. */
void resume(fiber *f) {
    if (_setjmp(gpu.scheduler) != 0) return;
    if (f->has_begun) _longjmp(f->here, 1);
    f->has_begun = true;
    setcontext(&f->context);
}

void *map(size_t bytes) {
    void *at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? nullptr : at;
}

bool machine_ready() {
    if (gpu.stacks) return true;
    for (block &b : gpu.blocks) {
        auto *shared = static_cast<unsigned char *>(map((SHARED_PAGES + 1) * PAGE));
        if (!shared || mprotect(shared + SHARED_PAGES * PAGE, PAGE, PROT_NONE)) return false;
        b.shared_end = shared + SHARED_PAGES * PAGE;
    }
    auto *stacks = static_cast<unsigned char *>(map(MOST_CLUSTER * MOST_THREADS * stack_bytes));
    if (!stacks) return false;
    gpu.stacks = stacks;
    gpu.fibers.resize(MOST_CLUSTER * MOST_THREADS);
    gpu.warps.resize(MOST_CLUSTER * MOST_THREADS / WARP);
    return true;
}

/* Before and after the wait for the kernel before. */
void protect_hidden(bool hide) {
    if (!gpu.in_chain) return;
    for (const hidden &h : gpu.hidden_memory)
        mprotect(h.begin, h.bytes, hide ? h.protection : PROT_READ | PROT_WRITE);
}

/* Lets the threads [begin, end) go on when all of them wait at this place. */
bool release(unsigned begin, unsigned end, waiting place) {
    for (unsigned i = begin; i < end; i++)
        if (gpu.fibers[i].state != place) return false;
    for (unsigned i = begin; i < end; i++) gpu.fibers[i].state = RUNS;
    return true;
}

bool all_ended(unsigned begin, unsigned end) {
    for (unsigned i = begin; i < end; i++)
        if (gpu.fibers[i].state != ENDED) return false;
    return true;
}

/* Runs a warp as far as it comes without the other warps: to a barrier of more or the end. */
void run_warp(unsigned begin) {
    do {
        for (unsigned i = 0; i < WARP; i++) {
            const unsigned at = begin + (gpu.backwards ? WARP - 1 - i : i);
            if (gpu.fibers[at].state != RUNS) continue;
            set_thread(at);
            resume(&gpu.fibers[at]);
        }
    } while (release(begin, begin + WARP, AT_WARP_BARRIER) ||
             release(begin, begin + WARP, AT_EXCHANGE));
}

/* Runs a block as far as it comes without the others of its cluster. What it leaves in shared
 * memory at its end is nobody's. */
void run_block(unsigned number) {
    const unsigned count = n_threads(), begin = number * count;
    do
        for (unsigned at = 0; at < count && !gpu.error[0]; at += WARP)
            run_warp(begin + (gpu.backwards ? count - WARP - at : at));
    while (!gpu.error[0] && release(begin, begin + count, AT_BLOCK_BARRIER));
    gpu.blocks[number].ended = all_ended(begin, begin + count);
    if (gpu.blocks[number].ended) memset(gpu.blocks[number].shared, gpu.garbage, gpu.shared_bytes);
}

void begin_thread(unsigned index) {
    fiber *f = &gpu.fibers[index];
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = gpu.stacks + index * stack_bytes;
    f->context.uc_stack.ss_size = stack_bytes;
    f->context.uc_link = nullptr;
    makecontext(&f->context, fiber_main, 0);
    f->state = RUNS;
    f->n_exchanges = f->group = 0;
    f->has_begun = f->has_waited = f->has_arrived = false;
    f->copies.clear();
}

void run_cluster() {
    for (unsigned i = 0; i < gpu.n_blocks; i++) {
        block *b = &gpu.blocks[i];
        b->shared = b->shared_end - gpu.shared_bytes;
        b->ended = false;
        memset(b->shared, gpu.garbage, gpu.shared_bytes);
    }
    gpu.n_fibers = gpu.n_blocks * n_threads();
    gpu.has_met = false;
    for (unsigned i = 0; i < gpu.n_fibers; i++) begin_thread(i);
    protect_hidden(true);
    bool goes_on;
    do {
        for (unsigned i = 0; i < gpu.n_blocks; i++)
            run_block(gpu.backwards ? gpu.n_blocks - 1 - i : i);
        const bool meets = release(0, gpu.n_fibers, AT_CLUSTER_BARRIER);
        const bool waited = release(0, gpu.n_fibers, AT_PREVIOUS);
        if (meets) gpu.has_met = true;
        if (waited) protect_hidden(false);
        goes_on = meets || waited;
    } while (!gpu.error[0] && goes_on);
    protect_hidden(false);
    if (!gpu.error[0] && !all_ended(0, gpu.n_fibers))
        fail("threads wait for others that do not come");
}

bool fits_a_gpu(const mb_launch_shape *shape, size_t most_shared) {
    const dim3 grid = shape->grid, block = shape->block;
    const size_t threads = static_cast<size_t>(block.x) * block.y * block.z;
    return threads >= 1 && threads <= MOST_THREADS && threads % WARP == 0 && grid.x >= 1 &&
           grid.x <= INT32_MAX && grid.y >= 1 && grid.y <= 65535 && grid.z >= 1 &&
           grid.z <= 65535 && shape->shared_bytes <= most_shared &&
           shape->shared_bytes <= MOST_SHARED && shape->shared_bytes % 16 == 0 &&
           shape->cluster >= 1 && shape->cluster <= MOST_CLUSTER && grid.x % shape->cluster == 0;
}

} // namespace

extern "C" const char *mb_emulation_error() {
    const char *error = gpu.unread_error;
    gpu.unread_error = nullptr;
    return error;
}

void mb_emulation_hide(const void *memory, size_t bytes, bool readable) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(memory) / PAGE * PAGE;
    const uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + bytes + PAGE - 1) / PAGE * PAGE;
    if (bytes)
        gpu.hidden_memory.push_back({reinterpret_cast<unsigned char *>(begin), end - begin,
                                     readable ? PROT_READ : PROT_NONE});
}

void mb_emulation_hide_nothing() { gpu.hidden_memory.clear(); }

cudaError_t mb_emulation_launch(mb_emulation_body *body, const void *context,
                                const struct mb_launch_shape *shape, size_t most_shared,
                                bool in_chain) {
    if (!machine_ready()) return cudaErrorMemoryAllocation;
    gpu.error[0] = '\0';
    gridDim = shape->grid, blockDim = shape->block;
    gpu.body = body, gpu.arguments = context;
    gpu.shared_bytes = shape->shared_bytes, gpu.n_blocks = shape->cluster;
    gpu.in_chain = in_chain;
    gpu.backwards = !gpu.backwards;
    gpu.garbage = gpu.n_launches++ / 2 % 2 ? FINITE_BYTES : NAN_BYTES;
    if (!fits_a_gpu(shape, most_shared)) fail("no GPU takes this grid");
    const dim3 grid = shape->grid;
    const uint64_t n_clusters =
        static_cast<uint64_t>(grid.x) * grid.y * grid.z / (shape->cluster ? shape->cluster : 1);
    for (uint64_t i = 0; i < n_clusters && !gpu.error[0]; i++) {
        const uint64_t first = (gpu.backwards ? n_clusters - 1 - i : i) * shape->cluster;
        for (unsigned rank = 0; rank < shape->cluster; rank++) {
            const uint64_t at = first + rank;
            gpu.blocks[rank].index = {static_cast<unsigned>(at % grid.x),
                                      static_cast<unsigned>(at / grid.x % grid.y),
                                      static_cast<unsigned>(at / grid.x / grid.y)};
        }
        run_cluster();
    }
    if (!gpu.error[0]) return cudaSuccess;
    gpu.unread_error = gpu.error;
    return cudaErrorLaunchFailure;
}

void mb_emulation_block_barrier() { wait_at(AT_BLOCK_BARRIER); }
void mb_emulation_warp_barrier() { wait_at(AT_WARP_BARRIER); }

int mb_emulation_lane() { return static_cast<int>(gpu.current % WARP); }

uint64_t mb_emulation_exchange(uint64_t bits, int from) {
    const unsigned parity = self()->n_exchanges++ & 1;
    warp *lanes = &gpu.warps[gpu.current / WARP];
    lanes->bits[parity][gpu.current % WARP] = bits;
    wait_at(AT_EXCHANGE);
    return lanes->bits[parity][from];
}

static double tf32_of(float v) {
    return static_cast<double>(__uint_as_float(__float_as_uint(v) & ~0x1fffu));
}

static float truncated(double v) {
    const float nearest = static_cast<float>(v);
    return fabs(static_cast<double>(nearest)) > fabs(v) && isfinite(v) ? nextafterf(nearest, 0)
                                                                       : nearest;
}

void mb_emulation_mma_3xtf32(float (&sum)[4], const mb_emulation_fragments &own) {
    const unsigned parity = self()->n_exchanges++ & 1, lane = gpu.current % WARP;
    mb_emulation_fragments *lanes = gpu.warps[gpu.current / WARP].fragments[parity];
    lanes[lane] = own;
    wait_at(AT_EXCHANGE);
    for (unsigned product = 0; product < 3; product++)
        for (unsigned i = 0; i < 4; i++) {
            double value = static_cast<double>(sum[i]);
            for (unsigned k = 0; k < 8; k++) {
                const mb_emulation_fragments &of_a = lanes[lane / 4 * 4 + k % 4];
                const mb_emulation_fragments &of_b = lanes[(lane % 4 * 2 + i % 2) * 4 + k % 4];
                const float *a = product == 0 ? of_a.a_low : of_a.a_high;
                const float *b = product == 1 ? of_b.b_low : of_b.b_high;
                value += tf32_of(a[k / 4 * 2 + i / 2]) * tf32_of(b[k / 4]);
            }
            sum[i] = truncated(value);
        }
}

void mb_emulation_wait_for_previous() {
    if (!gpu.in_chain || self()->has_waited) return;
    self()->has_waited = true;
    wait_at(AT_PREVIOUS);
}

void mb_emulation_copy(float *to, const float *from, size_t bytes, size_t size) {
    copy c = {to, {0, 0, 0, 0}, static_cast<unsigned>(size / sizeof *to), self()->group};
    memcpy(c.values, from, bytes);
    memset(to, gpu.garbage, size);
    self()->copies.push_back(c);
}

void mb_emulation_copy_commit() { self()->group++; }

void mb_emulation_copy_wait(unsigned excepted) {
    std::vector<copy> *copies = &self()->copies;
    size_t n_kept = 0;
    for (const copy &c : *copies) {
        if (c.group + excepted >= self()->group)
            (*copies)[n_kept++] = c;
        else
            memcpy(c.to, c.values, c.count * sizeof *c.to);
    }
    copies->resize(n_kept);
}

void mb_emulation_cluster_arrive() {
    if (self()->has_arrived) fail("arrives twice at the cluster's barrier");
    self()->has_arrived = true;
}

void mb_emulation_cluster_wait() {
    if (!self()->has_arrived) fail("waits at the cluster's barrier without arriving");
    wait_at(AT_CLUSTER_BARRIER);
    self()->has_arrived = false;
}

float *mb_emulation_cluster_address(float *own, unsigned rank) {
    const block *from = &gpu.blocks[gpu.current / n_threads()];
    if (rank >= gpu.n_blocks || !gpu.has_met || gpu.blocks[rank].ended) {
        fail("uses shared memory of a block that is not there");
        return own;
    }
    return reinterpret_cast<float *>(gpu.blocks[rank].shared +
                                     (reinterpret_cast<unsigned char *>(own) - from->shared));
}

void *mb_emulation_shared() { return gpu.blocks[gpu.current / n_threads()].shared; }

void mb_emulation_check_aligned(const void *address, size_t bytes) {
    if (reinterpret_cast<uintptr_t>(address) % bytes) fail("misaligned vector");
}

/* What launchers call of the runtime. */
extern "C" cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind,
                                       cudaStream_t) {
    memcpy(to, from, bytes);
    return cudaSuccess;
}
