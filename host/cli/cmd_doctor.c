/* mindbench doctor: what this machine has, what is missing and how to get it, and what would
 * disturb a measurement. */
#include "cli.h"
#include "executors.h"
#include "machine.h"

#include <errno.h>
#include <string.h>

static const char help[] = "Usage: mindbench doctor\n\n"
                           "Prints the machine and the build, what is missing and how to get it, "
                           "and what would disturb a\n"
                           "measurement now. Exit status 0 whatever it finds.\n";

static void print_build(void) {
    const struct mb_build *b = mb_build();
    printf("build:\n  version     %s (%.12s%s)\n  compiler    %s, %s, %s\n", b->version, b->git_sha,
           b->git_is_dirty ? ", with local changes" : "", b->compiler, b->type, b->flags);
}

static void print_executors(void) {
    struct mb_err err;
    puts("executors:");
    for (size_t i = 0; i < mb_n_executor_entries; i++) {
        const struct mb_executor_entry *e = &mb_executor_entries[i];
        const struct mb_backend *backend;
        struct mb_open_config config = {
            .executor = e->name, .device = e->device, .n_threads = 1, .isa_cap = MB_ISA_BEST};
        const char *good = "ready";
        enum mb_status st;
        if (e->kind == MB_SCRIPT) { /* importing its packages takes seconds; a run does */
            good = "ready if Python has its packages; scripts/setup peers installs them";
            st = mb_executor_present(e, &err);
        } else if ((st = mb_executor_backend(e, &backend, &err)) == MB_OK) {
            st = backend->probe(&config, &err);
        }
        printf("  %-14s %-5s %s\n", e->name, e->device, st == MB_OK ? good : err.text);
    }
}

static void print_warnings(const struct mb_machine *machine) {
    struct mb_machine_warning warnings[MB_MACHINE_MAX_WARNINGS];
    size_t n = mb_machine_warnings(machine, warnings, MB_MACHINE_MAX_WARNINGS);
    puts("would disturb a measurement:");
    for (size_t i = 0; i < n; i++) printf("  %s\n", warnings[i].text);
    if (n == 0) puts("  nothing seen");
}

int mb_cmd_doctor(int argc, char **argv) {
    struct mb_machine machine;
    struct mb_err err;
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return MB_EXIT_OK;
    }
    if (argc > 1)
        return mb_cli_error(MB_EXIT_USAGE, "doctor: no argument %s; it takes none", argv[1]);
    if (mb_machine_read(NULL, &machine, &err) != MB_OK)
        return mb_cli_error(MB_EXIT_USAGE, "doctor: %s", err.text);
    puts("machine:");
    mb_machine_print(&machine, stdout);
    print_build();
    print_executors();
    print_warnings(&machine);
    if (fflush(stdout) != 0)
        return mb_cli_error(MB_EXIT_USAGE, "doctor: cannot write: %s", strerror(errno));
    return MB_EXIT_OK;
}
