/* mindbench: compiles MIND tensor programs, runs them, and races them against libtorch. This file
 * only finds the command; each is a file in host/cli/. */
#include "cheats.h"
#include "cli.h"
#include "machine.h"
#include "worker.h"

#include <locale.h>
#include <string.h>

struct command {
    const char *name, *arguments, *what;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
#define COMMAND(id, name, arguments, what) {name, arguments, what, mb_cmd_##id},
    MB_COMMANDS(COMMAND)
#undef COMMAND
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *out) {
    fputs(
        "Usage: mindbench COMMAND [ARGUMENTS]\n\n"
        "Compiles tensor programs written in MIND, runs them, runs the same program with the\n"
        "same weights and inputs through libtorch, checks both, and compares them.\n\nCommands:\n",
        out);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-13s %s\n", commands[i].name, commands[i].what);
    fputs("\nmindbench COMMAND --help tells the arguments; mindbench --version the version.\n",
          out);
}

int main(int argc, char **argv) {
    const char *names[N_COMMANDS];
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, MB_WORKER_COMMAND) == 0) {
        if (argc > 2 && strcmp(argv[2], MB_WORKER_SELFTEST) == 0) mb_cheats_admit();
        return mb_worker_serve();
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(argc > 1 ? stdout : stderr);
        return argc > 1 ? MB_EXIT_OK : MB_EXIT_USAGE;
    }
    if (strcmp(name, "--version") == 0) {
        printf("mindbench %s\n", mb_build()->version);
        return MB_EXIT_OK;
    }
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            /* For the tables' sign; numbers stay as in C. `check` prints none, and reading the
             * locale would be a tenth of its time. */
            if (commands[i].run != mb_cmd_check) setlocale(LC_CTYPE, "");
            return commands[i].run(argc - 1, argv + 1);
        }
        names[i] = commands[i].name;
    }
    const char *nearest = mb_cli_nearest(name, names, N_COMMANDS);
    if (nearest)
        return mb_cli_error(MB_EXIT_USAGE, "no command %s; did you mean %s?", name, nearest);
    return mb_cli_error(MB_EXIT_USAGE, "no command %s; see mindbench --help", name);
}
