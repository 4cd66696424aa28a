#include "executors.h"

#include "backend_cpu.h"
#include "script.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define GET_TORCH "run scripts/setup, which installs libtorch, and build again"
#define GET_PEERS "run scripts/setup peers"
#define GET_CUDA  "install the CUDA Toolkit and build again"

#define TUNING   "tuning cache"
#define INDUCTOR "Inductor cache"
#define PACKAGE  "package and Inductor cache", "torch_aoti_builder"

// clang-format off
const struct mb_executor_entry mb_executor_entries[] = {
    {"mind",         "cpu",  "cpu",   MB_LINKED_IN, mb_backend_cpu, "the product: the best kernels this CPU can run", NULL, TUNING, NULL},
    {"mind-avx512",  "cpu",  "cpu",   MB_LINKED_IN, mb_backend_cpu, "AVX-512 kernels only", NULL, TUNING, NULL},
    {"mind-avx2",    "cpu",  "cpu",   MB_LINKED_IN, mb_backend_cpu, "AVX2 and FMA kernels only", NULL, TUNING, NULL},
    {"mind-scalar",  "cpu",  "cpu",   MB_LINKED_IN, mb_backend_cpu, "plain C, any x86-64", NULL, TUNING, NULL},
    {"torch-eager",  "cpu",  "torch", MB_PLUGIN, NULL, "ATen calls as eager PyTorch makes them, inference mode", GET_TORCH, NULL, NULL},
    {"torch-jit",    "cpu",  "torch", MB_PLUGIN, NULL, "TorchScript, frozen and optimised for inference", GET_TORCH, NULL, NULL},
    {"torch-aoti",   "cpu",  "torch", MB_PLUGIN, NULL, "AOTInductor package, compiled by the installed PyTorch", GET_TORCH, PACKAGE},
    {"torch-aoti-max-autotune", "cpu", "torch", MB_PLUGIN, NULL, "the same, kernels chosen by measurement", GET_TORCH, PACKAGE},
    {"torch-compile", "cpu", "torch_compile_peer", MB_SCRIPT, NULL, "torch.compile, called from Python", GET_PEERS, INDUCTOR, NULL},
    {"torch-compile-max-autotune", "cpu", "torch_compile_peer", MB_SCRIPT, NULL, "the same, kernels chosen by measurement", GET_PEERS, INDUCTOR, NULL},
    {"torch-compile-reduce-overhead", "cpu", "torch_compile_peer", MB_SCRIPT, NULL, "the same, with CUDA graphs: not on a CPU", GET_PEERS, INDUCTOR, NULL},
    {"onnxruntime",  "cpu",  "onnxruntime_peer", MB_SCRIPT, NULL, "ONNX Runtime's CPU provider, from Python", GET_PEERS, NULL, NULL},
    {"openvino",     "cpu",  "openvino_peer",    MB_SCRIPT, NULL, "OpenVINO's CPU plugin, from Python", GET_PEERS, NULL, NULL},
    {"mind",         "cuda", "cuda",  MB_PLUGIN, NULL, "the product: the fastest measured plan on the GPU", GET_CUDA, TUNING, NULL},
    {"mind-kernels", "cuda", "cuda",  MB_PLUGIN, NULL, "kernels of ours only", GET_CUDA, TUNING, NULL},
    {"mind-vendor",  "cuda", "cuda",  MB_PLUGIN, NULL, "cuBLASLt and cuDNN only, their fastest algorithms", GET_CUDA, TUNING, NULL},
    {"torch-eager",  "cuda", "torch", MB_PLUGIN, NULL, "ATen calls as eager PyTorch makes them, inference mode", GET_TORCH, NULL, NULL},
    {"torch-jit",    "cuda", "torch", MB_PLUGIN, NULL, "TorchScript, frozen and optimised for inference", GET_TORCH, NULL, NULL},
    {"torch-graph",  "cuda", "torch", MB_PLUGIN, NULL, "torch-jit's work recorded and replayed as one CUDA graph", GET_TORCH, NULL, NULL},
    {"torch-defaults", "cuda", "torch", MB_PLUGIN, NULL, "torch-eager with PyTorch's own settings: TF32 in cuDNN's convolutions", GET_TORCH, NULL, NULL},
};
// clang-format on
const size_t mb_n_executor_entries = sizeof mb_executor_entries / sizeof *mb_executor_entries;

static const struct mb_executor_entry *admitted;
static size_t n_admitted;

void mb_executors_admit(const struct mb_executor_entry *entries, size_t n) {
    admitted = entries;
    n_admitted = n;
}

static const struct mb_executor_entry *find_in(const struct mb_executor_entry *entries, size_t n,
                                               const char *name, const char *device) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(entries[i].name, name) == 0 && strcmp(entries[i].device, device) == 0)
            return &entries[i];
    return NULL;
}

const struct mb_executor_entry *mb_executor_find(const char *name, const char *device) {
    const struct mb_executor_entry *e =
        find_in(mb_executor_entries, mb_n_executor_entries, name, device);
    return e ? e : find_in(admitted, n_admitted, name, device);
}

bool mb_executor_is_admitted(const struct mb_executor_entry *entry) {
    return find_in(admitted, n_admitted, entry->name, entry->device) == entry;
}

size_t mb_executor_number(const struct mb_executor_entry *entry) {
    return mb_executor_is_admitted(entry) ? mb_n_executor_entries + (size_t)(entry - admitted)
                                          : (size_t)(entry - mb_executor_entries);
}

static bool plugin_path(const struct mb_executor_entry *entry, char path[PATH_MAX]) {
    return mb_beside_program(path, "libmindbench_", entry->backend, ".so");
}

static bool script_path(const char *module, char path[PATH_MAX]) {
    return mb_beside_program(path, "peers/", module, ".py");
}

char **mb_executor_command(const struct mb_executor_entry *entry) {
    struct command {
        char *argv[4];
        char python[PATH_MAX], script[PATH_MAX];
    } *command = malloc(sizeof *command);
    if (!command || entry->kind != MB_SCRIPT || !script_path("worker", command->script)) {
        free(command);
        return NULL;
    }
    mb_script_python(command->python);
    command->argv[0] = command->python;
    command->argv[1] = command->script;
    command->argv[2] = (char *)(uintptr_t)entry->backend;
    command->argv[3] = NULL;
    return command->argv;
}

enum mb_status mb_executor_present(const struct mb_executor_entry *entry, struct mb_err *err) {
    char path[PATH_MAX];
    if (entry->kind == MB_LINKED_IN) return MB_OK;
    if (entry->kind == MB_SCRIPT && script_path("worker", path) &&
        script_path(entry->backend, path))
        return MB_OK;
    if (entry->kind == MB_SCRIPT)
        return mb_fail(err, MB_E_UNSUPPORTED, "peers/%s.py is not beside the program; build again",
                       entry->backend);
    if (plugin_path(entry, path)) return MB_OK;
    return mb_fail(err, MB_E_UNSUPPORTED, "libmindbench_%s.so is not beside the program; %s",
                   entry->backend, entry->get_it);
}

enum mb_status mb_executor_backend(const struct mb_executor_entry *entry,
                                   const struct mb_backend **out, struct mb_err *err) {
    const struct mb_backend *backend = NULL;
    if (entry->kind == MB_SCRIPT)
        return mb_fail(err, MB_E_INVALID, "%s: a script has no backend", entry->name);
    if (entry->kind == MB_LINKED_IN) {
        backend = entry->builtin();
    } else {
        char path[PATH_MAX];
        enum mb_status st = mb_executor_present(entry, err);
        if (st != MB_OK) return st;
        plugin_path(entry, path);
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!library)
            return mb_fail(err, MB_E_UNSUPPORTED, "libmindbench_%s.so does not load: %s",
                           entry->backend, dlerror());
        const struct mb_backend *(*get)(void);
        /* ISO C has no conversion from an object to a function pointer; POSIX gives this one. */
        *(void **)&get = dlsym(library, MB_BACKEND_SYMBOL);
        if (!get)
            return mb_fail(err, MB_E_UNSUPPORTED, "libmindbench_%s.so exports no %s",
                           entry->backend, MB_BACKEND_SYMBOL);
        backend = get();
    }
    if (backend->abi != MB_BACKEND_ABI)
        return mb_fail(
            err, MB_E_UNSUPPORTED,
            "backend %s has interface version %d, this program needs %d; build both again",
            entry->backend, backend->abi, MB_BACKEND_ABI);
    *out = backend;
    return MB_OK;
}

bool mb_isa_cap_from_environment(enum mb_isa *cap, struct mb_err *err) {
    static const char *const names[] = {"scalar", "avx2", "avx512"};
    const char *value = getenv("MINDBENCH_ISA");
    *cap = MB_ISA_BEST;
    if (!value || !*value) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(value, names[i]) == 0) {
            *cap = (enum mb_isa)i;
            return true;
        }
    mb_fail(err, MB_E_INVALID,
            "MINDBENCH_ISA=%s: not an instruction set; use scalar, avx2 or avx512", value);
    return false;
}
