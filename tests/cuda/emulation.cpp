#include "emulation.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <stdio.h>
#include <vector>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace {

enum { WARP = 32, MOST_THREADS = 1024, MOST_SHARED = 48 * 1024, PAGE = 4096 };
constexpr size_t stack_bytes = 256 * 1024;

enum waiting { RUNS, AT_BLOCK_BARRIER, AT_WARP_BARRIER, AT_EXCHANGE, ENDED };

struct fiber {
    ucontext_t context;
    waiting state;
    unsigned n_exchanges;
};

/* Two sets of values: a lane may give the next one before the others have taken this one. */
struct warp {
    uint64_t bits[2][WARP];
};

struct machine {
    ucontext_t scheduler;
    std::vector<fiber> fibers;
    std::vector<warp> warps;
    unsigned char *stacks, *shared_end;
    unsigned char *shared;
    unsigned current;
    mb_emulation_body *body;
    const void *arguments;
    bool backwards;
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
    gpu.current = index;
    threadIdx.x = index % blockDim.x;
    threadIdx.y = index / blockDim.x % blockDim.y;
    threadIdx.z = index / blockDim.x / blockDim.y;
}

void fiber_main() {
    gpu.body(gpu.arguments);
    gpu.fibers[gpu.current].state = ENDED;
    swapcontext(&gpu.fibers[gpu.current].context, &gpu.scheduler);
}

void wait_at(waiting what) {
    fiber *self = &gpu.fibers[gpu.current];
    self->state = what;
    swapcontext(&self->context, &gpu.scheduler);
}

void *map(size_t bytes) {
    void *at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? nullptr : at;
}

bool machine_ready() {
    if (gpu.stacks) return true;
    auto *shared = static_cast<unsigned char *>(map(MOST_SHARED + PAGE));
    auto *stacks = static_cast<unsigned char *>(map(MOST_THREADS * stack_bytes));
    if (!shared || !stacks) return false;
    if (mprotect(shared + MOST_SHARED, PAGE, PROT_NONE)) return false;
    gpu.shared_end = shared + MOST_SHARED;
    gpu.stacks = stacks;
    gpu.fibers.resize(MOST_THREADS);
    gpu.warps.resize(MOST_THREADS / WARP);
    return true;
}

/* Lets the threads [begin, end) go on when all of them wait at the same place. */
bool release(unsigned begin, unsigned end, bool warps_too) {
    const waiting first = gpu.fibers[begin].state;
    if (first == RUNS || first == ENDED || (first == AT_BLOCK_BARRIER) == warps_too) return false;
    for (unsigned i = begin; i < end; i++)
        if (gpu.fibers[i].state != first) return false;
    for (unsigned i = begin; i < end; i++) gpu.fibers[i].state = RUNS;
    return true;
}

bool all_ended() {
    for (unsigned i = 0; i < n_threads(); i++)
        if (gpu.fibers[i].state != ENDED) return false;
    return true;
}

/* Runs a warp as far as it comes without the other warps: to a block barrier or the end. */
void run_warp(unsigned begin) {
    do {
        for (unsigned i = 0; i < WARP; i++) {
            const unsigned at = begin + (gpu.backwards ? WARP - 1 - i : i);
            if (gpu.fibers[at].state != RUNS) continue;
            set_thread(at);
            swapcontext(&gpu.scheduler, &gpu.fibers[at].context);
        }
    } while (release(begin, begin + WARP, true));
}

void run_block(size_t shared_bytes) {
    const unsigned count = n_threads();
    gpu.shared = gpu.shared_end - shared_bytes;
    memset(gpu.shared, 0xff, shared_bytes);
    for (unsigned i = 0; i < count; i++) {
        fiber *f = &gpu.fibers[i];
        getcontext(&f->context);
        f->context.uc_stack.ss_sp = gpu.stacks + i * stack_bytes;
        f->context.uc_stack.ss_size = stack_bytes;
        f->context.uc_link = nullptr;
        makecontext(&f->context, fiber_main, 0);
        f->state = RUNS;
        f->n_exchanges = 0;
    }
    do
        for (unsigned at = 0; at < count && !gpu.error[0]; at += WARP)
            run_warp(gpu.backwards ? count - WARP - at : at);
    while (!gpu.error[0] && release(0, count, false));
    if (!gpu.error[0] && !all_ended()) fail("threads wait for others that do not come");
}

bool fits_a_gpu(dim3 grid, dim3 block, size_t shared_bytes) {
    const size_t threads = static_cast<size_t>(block.x) * block.y * block.z;
    return threads >= 1 && threads <= MOST_THREADS && threads % WARP == 0 && grid.x >= 1 &&
           grid.x <= INT32_MAX && grid.y >= 1 && grid.y <= 65535 && grid.z >= 1 &&
           grid.z <= 65535 && shared_bytes <= MOST_SHARED && shared_bytes % 16 == 0;
}

} // namespace

extern "C" const char *mb_emulation_error() {
    const char *error = gpu.unread_error;
    gpu.unread_error = nullptr;
    return error;
}

cudaError_t mb_emulation_launch(mb_emulation_body *body, const void *context, dim3 grid, dim3 block,
                                size_t shared_bytes) {
    if (!machine_ready()) return cudaErrorMemoryAllocation;
    gpu.error[0] = '\0';
    gridDim = grid, blockDim = block;
    gpu.body = body, gpu.arguments = context;
    gpu.backwards = !gpu.backwards;
    if (!fits_a_gpu(grid, block, shared_bytes)) fail("no GPU takes this grid");
    const uint64_t n_blocks = static_cast<uint64_t>(grid.x) * grid.y * grid.z;
    for (uint64_t i = 0; i < n_blocks && !gpu.error[0]; i++) {
        const uint64_t at = gpu.backwards ? n_blocks - 1 - i : i;
        blockIdx.x = static_cast<unsigned>(at % grid.x);
        blockIdx.y = static_cast<unsigned>(at / grid.x % grid.y);
        blockIdx.z = static_cast<unsigned>(at / grid.x / grid.y);
        run_block(shared_bytes);
    }
    if (!gpu.error[0]) return cudaSuccess;
    gpu.unread_error = gpu.error;
    return cudaErrorLaunchFailure;
}

void mb_emulation_block_barrier() { wait_at(AT_BLOCK_BARRIER); }
void mb_emulation_warp_barrier() { wait_at(AT_WARP_BARRIER); }

int mb_emulation_lane() { return static_cast<int>(gpu.current % WARP); }

uint64_t mb_emulation_exchange(uint64_t bits, int from) {
    const unsigned self = gpu.current;
    const unsigned parity = gpu.fibers[self].n_exchanges++ & 1;
    warp *lanes = &gpu.warps[self / WARP];
    lanes->bits[parity][self % WARP] = bits;
    wait_at(AT_EXCHANGE);
    return lanes->bits[parity][from];
}

void *mb_emulation_shared() { return gpu.shared; }

void mb_emulation_check_aligned(const void *address, size_t bytes) {
    if (reinterpret_cast<uintptr_t>(address) % bytes) fail("misaligned vector");
}

/* What launchers call of the runtime. */
extern "C" cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind,
                                       cudaStream_t) {
    memcpy(to, from, bytes);
    return cudaSuccess;
}
