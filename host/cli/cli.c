#include "cli.h"

#include "diag.h"
#include "outfile.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int mb_cli_error(enum mb_exit status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("mindbench: error: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return (int)status;
}

enum mb_exit mb_cli_exit_of(enum mb_status status) {
    switch (status) {
    case MB_OK: return MB_EXIT_OK;
    case MB_E_PROGRAM: return MB_EXIT_REJECTED;
    case MB_E_NUMERIC:
    case MB_E_TIMEOUT:
    case MB_E_CRASHED:
    case MB_E_INTERRUPTED: return MB_EXIT_INVALID;
    case MB_E_INVALID:
    case MB_E_UNSUPPORTED:
    case MB_E_NOMEM:
    case MB_E_DEVICE:
    case MB_E_IO: return MB_EXIT_USAGE;
    }
    return MB_EXIT_USAGE;
}

int mb_cli_bad_option(int argc, char **argv, int option) {
    /* optopt is the short option, 0 for an unknown long one, or the value of a known long one */
    const char *at = optind > 1 && optind <= argc ? argv[optind - 1] : "";
    if (option == ':')
        return mb_cli_error(MB_EXIT_USAGE, "%s: %s needs a value; see mindbench %s --help", argv[0],
                            at, argv[0]);
    if (optopt > 0 && optopt < 256 && at[0] == '-' && at[1] != '-')
        return mb_cli_error(MB_EXIT_USAGE, "%s: no option -%c; see mindbench %s --help", argv[0],
                            optopt, argv[0]);
    return mb_cli_error(MB_EXIT_USAGE,
                        "%s: no option %s, or not with such a value; see mindbench "
                        "%s --help",
                        argv[0], at, argv[0]);
}

bool mb_cli_integer(const char *text, int64_t low, int64_t high, int64_t *out) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno || value < low || value > high) return false;
    *out = value;
    return true;
}

bool mb_cli_number(const char *text, double low, double high, double *out) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < low || value > high) return false;
    *out = value;
    return true;
}

const char *mb_cli_nearest(const char *text, const char *const *names, size_t n) {
    const char *nearest = NULL;
    unsigned best = (unsigned)strlen(text) / 3 + 1;
    for (size_t i = 0; i < n; i++) {
        const unsigned d = mb_edit_distance(text, strlen(text), names[i], strlen(names[i]), best);
        if (d <= best) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}

bool mb_cli_writable(const char *name) {
    struct mb_outfile *file;
    struct mb_err err;
    struct stat info;
    /* opening a pipe only to close it again would tell its reader that all is said */
    if (stat(name, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) return true;
    if (mb_outfile_open(name, &file, &err) != MB_OK) {
        mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
        return false;
    }
    mb_outfile_discard(file);
    return true;
}

bool mb_cli_color(FILE *stream) {
    const char *no_color = getenv("NO_COLOR");
    return isatty(fileno(stream)) && !(no_color && *no_color);
}
