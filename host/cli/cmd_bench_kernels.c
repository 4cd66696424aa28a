/* mindbench bench-kernels: each kernel of a device on a table of shapes, against what the device
 * can do at best. */
#include "blas_peer.h"
#include "cli.h"
#include "device_option.h"
#include "executors.h"
#include "machine.h"
#include "outfile.h"
#include "report.h"
#include "report_kernels.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

static const char help[] =
    "Usage: mindbench bench-kernels [OPTIONS]\n\n"
    "Measures what the device can do at best: read bandwidth by the size of the working set, rate "
    "of\n"
    "multiply-adds and, on CUDA, time from one empty kernel to the next. Then times each kernel "
    "that\n"
    "the device has on each shape that it supports, checks its output against an FP64 reference, "
    "and\n"
    "says how near to the best it comes. On a CPU, OpenBLAS's cblas_sgemm has rows of its own "
    "where "
    "it is\n"
    "installed.\n\n"
    "  -d, --device DEVICE    auto, cpu or cuda[:N] (auto: CUDA where it is to be had)\n"
    "      --kernel NAME      this one alone; on a CPU, mindbench list kernels names them\n"
    "      --shapes PART      those of results/shapes/shapes.csv with PART in their text, such as\n"
    "                         conv2d or \"ResNet-50 conv4\"; all: every one (a few that stand for "
    "the\n"
    "                         others, marked in the table)\n"
    "      --threads N        of a CPU's kernels (all usable cores)\n"
    "      --seed N           of weights and inputs (42)\n"
    "      --json FILE, --csv FILE   every number; stdout is a FILE too\n"
    "  -h, --help\n\n";

static const char help_end[] =
    "MINDBENCH_ISA=scalar|avx2|avx512 caps the instruction set, of a CPU's ceilings too.\n"
    "Exit status: 0 done, 3 a kernel's output was wrong, 4 usage or environment, or a kernel "
    "failed.\n";

struct options {
    struct mb_device_option device;
    const char *kernel, *shapes, *json, *csv;
    int64_t threads, seed;
};

enum option_id { OPT_KERNEL = 256, OPT_SHAPES, OPT_THREADS, OPT_SEED, OPT_JSON, OPT_CSV };

static const struct option long_options[] = {
    {"device", required_argument, NULL, 'd'},
    {"kernel", required_argument, NULL, OPT_KERNEL},
    {"shapes", required_argument, NULL, OPT_SHAPES},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"seed", required_argument, NULL, OPT_SEED},
    {"json", required_argument, NULL, OPT_JSON},
    {"csv", required_argument, NULL, OPT_CSV},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static bool bad_value(const char *option, const char *value, const char *wanted) {
    mb_cli_error(MB_EXIT_USAGE, "bench-kernels: --%s %s: %s", option, value, wanted);
    return false;
}

static bool take_option(int option, char *value, struct options *o) {
    switch (option) {
    case 'd': return mb_device_option_parse(value, "bench-kernels", &o->device);
    case OPT_KERNEL: o->kernel = value; return true;
    case OPT_SHAPES: o->shapes = value; return true;
    case OPT_JSON: o->json = value; return true;
    case OPT_CSV: o->csv = value; return true;
    case OPT_THREADS:
        return mb_cli_integer(value, 1, 4096, &o->threads) ||
               bad_value("threads", value, "not a whole number from 1 to 4096");
    case OPT_SEED:
        return mb_cli_integer(value, 0, INT64_MAX, &o->seed) ||
               bad_value("seed", value, "not a whole number of at least 0");
    default: return false;
    }
}

/* Returns an exit status, or -1 to go on. */
static int parse(int argc, char **argv, struct options *o) {
    int option;
    *o = (struct options){.device = {"auto", 0}, .seed = 42};
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":d:h", long_options, NULL)) != -1) {
        if (option == 'h') {
            printf("%s%s\n%s", help, mb_report_kernels_share, help_end);
            return MB_EXIT_OK;
        }
        if (option == '?' || option == ':') return mb_cli_bad_option(argc, argv, option);
        if (!take_option(option, optarg, o)) return MB_EXIT_USAGE;
    }
    if (optind < argc)
        return mb_cli_error(MB_EXIT_USAGE,
                            "bench-kernels: no argument %s; --kernel and --shapes choose what is "
                            "measured",
                            argv[optind]);
    return -1;
}

static bool is_stdout(const char *name) { return name && strcmp(name, "stdout") == 0; }

/* ---- outputs ---- */

static enum mb_status write_json(const struct mb_kernel_bench *bench,
                                 const struct mb_kernel_bench_config *config, FILE *out,
                                 struct mb_err *err) {
    json_t *json;
    const enum mb_status st = mb_report_kernels_json(bench, config, &json, err);
    if (st != MB_OK) return st;
    /* a failed stream is the commit's to report: it knows why */
    const bool made = mb_report_print_json(json, out) || ferror(out);
    json_decref(json);
    return made ? MB_OK : mb_fail(err, MB_E_NOMEM, "no memory for the JSON text");
}

static bool write_file(const struct mb_kernel_bench *bench,
                       const struct mb_kernel_bench_config *config, const char *name,
                       bool is_json) {
    struct mb_outfile *file = NULL;
    struct mb_err err;
    enum mb_status st = MB_OK;
    if (!name) return true;
    MB_TRY(mb_outfile_open(name, &file, &err));
    if (is_json)
        MB_TRY(write_json(bench, config, mb_outfile_stream(file), &err));
    else
        mb_report_kernels_csv(bench, mb_outfile_stream(file));
    st = mb_outfile_commit(file, &err);
    file = NULL;
out:
    mb_outfile_discard(file);
    if (st != MB_OK) mb_cli_error(MB_EXIT_USAGE, "%s", err.text);
    return st == MB_OK;
}

/* As soon as it is measured: some take seconds. */
static void on_row(void *out, const struct mb_kernel_time *row) {
    mb_report_kernels_row(row, out);
    fflush(out);
}

/* The first row that went wrong decides, a wrong output before all others. */
static int judge(const struct mb_kernel_bench *bench) {
    int status = MB_EXIT_OK;
    for (size_t i = 0; i < bench->n_rows; i++) {
        const struct mb_kernel_time *row = &bench->rows[i];
        if (row->status == MB_OK) continue;
        mb_cli_error(MB_EXIT_INVALID, "bench-kernels: %s: %s: %s%s", row->kernel, row->shape.label,
                     row->status == MB_E_NUMERIC ? "wrong output: " : "", row->reason);
        if (row->status == MB_E_NUMERIC || status == MB_EXIT_OK)
            status = mb_cli_exit_of(row->status);
    }
    return status;
}

/* ---- the command ---- */

static int run(const struct options *o) {
    struct mb_err err;
    struct mb_machine machine;
    struct mb_kernel_bench bench = {0};
    struct mb_kernel_bench_config config = {
        .shapes = o->shapes,
        .seed = (uint64_t)o->seed,
        .on_row = on_row,
        .on_row_arg = is_stdout(o->json) || is_stdout(o->csv) ? stderr : stdout};
    FILE *out = config.on_row_arg;
    const char *reason;
    int status;
    if (mb_machine_read(NULL, &machine, &err) != MB_OK ||
        !mb_isa_cap_from_environment(&config.open.isa_cap, &err))
        return mb_cli_error(MB_EXIT_USAGE, "bench-kernels: %s", err.text);
    config.open.n_threads = o->threads ? (int)o->threads : mb_machine_default_threads(&machine);
    config.open.executor = "mind";
    config.open.precision = MB_FP32;
    status = mb_device_option_choose(&o->device, "bench-kernels", &config.open, &reason);
    if (status >= 0) return status;
    if ((o->json && !mb_cli_writable(o->json)) || (o->csv && !mb_cli_writable(o->csv)))
        return MB_EXIT_USAGE;
    if (reason) fprintf(stderr, "Warn: %s\n", reason);
    config.open.kernel = o->kernel;
    if (!o->kernel && strcmp(config.open.device, "cpu") == 0) config.peer = mb_blas_peer();
    enum mb_status st = mb_executor_backend(
        mb_executor_find(config.open.executor, config.open.device), &config.backend, &err);
    if (st == MB_OK) st = mb_kernel_bench_open(&config, &bench, &err);
    if (st == MB_OK) {
        mb_report_kernels_head(&bench, &config.open, out);
        fflush(out);
        st = mb_kernel_bench_run(&config, &bench, &err);
    }
    if (st != MB_OK) {
        mb_kernel_bench_close(&bench);
        return mb_cli_error(mb_cli_exit_of(st), "bench-kernels: %s", err.text);
    }
    status = judge(&bench);
    if (!mb_report_kernels_foot(&bench, out) || fflush(out) != 0)
        status = mb_cli_error(MB_EXIT_USAGE, "bench-kernels: cannot write the table: %s",
                              strerror(errno));
    if (!write_file(&bench, &config, o->json, true) || !write_file(&bench, &config, o->csv, false))
        status = MB_EXIT_USAGE;
    mb_kernel_bench_close(&bench);
    return status;
}

int mb_cmd_bench_kernels(int argc, char **argv) {
    struct options o;
    const int status = parse(argc, argv, &o);
    return status >= 0 ? status : run(&o);
}
