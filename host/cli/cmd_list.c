/* mindbench list: workloads, executors, kernels and devices. */
#include "cli.h"
#include "executors.h"
#include "kernel.h"
#include "workloads.h"

#include <errno.h>
#include <string.h>

static const char help[] = "Usage: mindbench list [workloads|executors|kernels|devices]...\n\n"
                           "Without arguments: all of them.\n";

static void list_workloads(void) {
    for (size_t i = 0; i < mb_n_workloads; i++)
        printf("  %-20s %s\n", mb_workloads[i].name, mb_workloads[i].summary);
}

/* Plugins are not loaded here, only looked for. */
static void list_executors(void) {
    struct mb_err err;
    printf("  %-14s %-5s %s\n", "reference", "cpu", "scalar FP64, the oracle; never timed");
    for (size_t i = 0; i < mb_n_executor_entries; i++) {
        const struct mb_executor_entry *e = &mb_executor_entries[i];
        const struct mb_backend *backend;
        struct mb_open_config config = {
            .executor = e->name, .device = e->device, .n_threads = 1, .isa_cap = MB_ISA_BEST};
        enum mb_status st = mb_executor_present(e, &err);
        if (st == MB_OK && e->kind == MB_LINKED_IN &&
            (st = mb_executor_backend(e, &backend, &err)) == MB_OK)
            st = backend->probe(&config, &err);
        printf(
            "  %-14s %-5s %s%s%s\n", e->name, e->device, e->summary,
            st == MB_OK ? "" : "\n                       not here: ", st == MB_OK ? "" : err.text);
    }
}

static void list_kernels(void) {
    static const char *const isas[] = {"scalar", "avx2", "avx512"};
    static const char *const kinds[] = {"matmul", "conv2d"};
    for (size_t i = 0; i < mb_cpu_n_kernels; i++)
        printf("  %-32s %-7s %s\n", mb_cpu_kernels[i]->name, isas[mb_cpu_kernels[i]->isa],
               kinds[mb_cpu_kernels[i]->kind]);
}

static void list_devices(void) {
    struct mb_err err;
    const struct mb_executor_entry *cuda = mb_executor_find("mind", "cuda");
    const struct mb_backend *backend;
    struct mb_open_config config = {.executor = cuda->name, .device = cuda->device, .n_threads = 1};
    enum mb_status st = mb_executor_backend(cuda, &backend, &err);
    if (st == MB_OK) st = backend->probe(&config, &err);
    puts("  cpu");
    printf("  cuda%s%s\n", st == MB_OK ? "" : ": not here: ", st == MB_OK ? "" : err.text);
}

static const struct {
    const char *name;
    void (*print)(void);
} sections[] = {
    {"workloads", list_workloads},
    {"executors", list_executors},
    {"kernels", list_kernels},
    {"devices", list_devices},
};
enum { N_SECTIONS = sizeof sections / sizeof *sections };

int mb_cmd_list(int argc, char **argv) {
    bool wanted[N_SECTIONS] = {false};
    for (int i = 1; i < argc; i++) {
        size_t k = 0;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return MB_EXIT_OK;
        }
        while (k < N_SECTIONS && strcmp(argv[i], sections[k].name) != 0) k++;
        if (k == N_SECTIONS)
            return mb_cli_error(MB_EXIT_USAGE,
                                "list: no list of %s; use workloads, executors, kernels or devices",
                                argv[i]);
        wanted[k] = true;
    }
    for (size_t k = 0; k < N_SECTIONS; k++) {
        if (argc > 1 && !wanted[k]) continue;
        printf("%s:\n", sections[k].name);
        sections[k].print();
    }
    if (fflush(stdout) != 0)
        return mb_cli_error(MB_EXIT_USAGE, "list: cannot write: %s", strerror(errno));
    return MB_EXIT_OK;
}
