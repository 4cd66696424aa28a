#include "report_kernels.h"

#include "machine.h"
#include "report_value.h"

#include <math.h>

const char mb_report_kernels_share[] =
    "share: time at the roofline / measured time. The roofline's time is the larger of the bytes\n"
    "that any kernel must move (inputs, weights and outputs once) at the read ceiling of that\n"
    "working set, and the arithmetic of the kernel's own algorithm at the multiply-add ceiling.\n"
    "Winograd's algorithms count with their fewer multiplications, without the transforms; a\n"
    "library's count as direct, so that its share may be above 100 %, as may that of a kernel on\n"
    "tensor cores. Time: of the device's clock where it has one, else of the host's.\n";

static const char *status_of(const struct mb_kernel_time *row) {
    return row->status == MB_OK ? "ok" : row->status == MB_E_NUMERIC ? "INVALID" : "failed";
}

static const char *bound_of(const struct mb_kernel_time *row) {
    return isnan(row->limit.ns) ? NULL : row->limit.is_compute ? "compute" : "memory";
}

/* ---- for people ---- */

static void print_size(size_t bytes, FILE *out) {
    if (bytes >= (size_t)1 << 20)
        fprintf(out, "%9.4g MiB", (double)bytes / (1 << 20));
    else
        fprintf(out, "%9.4g KiB", (double)bytes / (1 << 10));
}

static void print_ceilings(const struct mb_kernel_bench *bench, FILE *out) {
    const struct mb_ceilings *c = &bench->ceilings;
    if (!bench->has_ceilings) {
        fprintf(out, "  not measured: %s\n", bench->ceilings_reason);
        return;
    }
    for (size_t i = 0; i < c->n_read; i++) {
        fputs("  read ", out);
        print_size(c->read[i].bytes, out);
        fprintf(out, " %10.1f GB/s\n", c->read[i].read_gbps);
    }
    fprintf(out, "  f32 multiply-adds  %10.1f GFLOP/s\n", c->fma_gflops);
    if (!isnan(c->launch_ns))
        fprintf(out, "  an empty kernel    %10.2f us after the one before\n", c->launch_ns / 1e3);
    if (!isnan(c->graph_node_ns))
        fprintf(out, "  an empty node      %10.2f us after the one before, in a graph\n",
                c->graph_node_ns / 1e3);
}

bool mb_report_kernels_head(const struct mb_kernel_bench *bench, const struct mb_open_config *open,
                            FILE *out) {
    fprintf(out, "Ceilings of %s", open->device);
    if (bench->info.device_uuid[0])
        fprintf(out, ":%d, %s", open->device_index, bench->info.device_uuid);
    else
        fprintf(out, ", %d thread%s", open->n_threads, open->n_threads == 1 ? "" : "s");
    fprintf(out, ", %s:\n", bench->info.math_mode);
    print_ceilings(bench, out);
    fprintf(out, "\n%s\n", mb_report_kernels_share);
    fprintf(out, "%-32s  %-38s %10s %10s %15s %6s %-7s %7s\n", "Kernel", "Shape", "host us",
            "device us", "rate        ", "share", "bound", "rel L2");
    return !ferror(out);
}

static void print_number(FILE *out, int width, double value) {
    if (isfinite(value))
        fprintf(out, " %*.*f", width, value < 1000 ? 2 : 1, value);
    else
        fprintf(out, " %*s", width, "-");
}

bool mb_report_kernels_row(const struct mb_kernel_time *row, FILE *out) {
    fprintf(out, "%-32s  %-38s", row->kernel, row->shape.label);
    if (row->status != MB_OK) {
        fprintf(out, " %s: %s\n", status_of(row), row->reason);
        return !ferror(out);
    }
    const bool by_bytes = !isnan(row->limit.ns) && !row->limit.is_compute;
    print_number(out, 10, row->host_ns / 1e3);
    print_number(out, 10, row->device_ns / 1e3);
    fprintf(out, " %7.1f %-7s", (by_bytes ? row->bytes : row->flops) / row->time_ns,
            by_bytes ? "GB/s" : "GFLOP/s");
    if (isnan(row->share))
        fprintf(out, " %6s %-7s", "-", "-");
    else
        fprintf(out, " %4.0f %% %-7s", 100 * row->share, bound_of(row));
    fprintf(out, " %7.1e\n", row->rel_l2);
    return !ferror(out);
}

bool mb_report_kernels_foot(const struct mb_kernel_bench *bench, FILE *out) {
    size_t n_wrong = 0, n_failed = 0;
    for (size_t i = 0; i < bench->n_rows; i++) {
        n_wrong += bench->rows[i].status == MB_E_NUMERIC;
        n_failed += bench->rows[i].status != MB_OK && bench->rows[i].status != MB_E_NUMERIC;
    }
    fprintf(out,
            "\n%zu rows: %zu kernels, %zu shapes; %zu INVALID, %zu failed; no row: %zu pairs that "
            "the kernel does not\nsupport, %zu kernels that cannot run here\n",
            bench->n_rows, bench->n_kernels, bench->n_shapes, n_wrong, n_failed,
            bench->n_unsupported, bench->n_not_here);
    if (bench->peer_reason[0]) fprintf(out, "not measured: %s\n", bench->peer_reason);
    return !ferror(out);
}

/* ---- for programs ---- */

/* COLUMN(name, value) of a row */
#define NUMBERS(COLUMN)                                                                            \
    COLUMN(time_us, row->time_ns / 1e3)                                                            \
    COLUMN(host_us, row->host_ns / 1e3)                                                            \
    COLUMN(host_min_us, row->host_ns_min / 1e3)                                                    \
    COLUMN(host_p95_us, row->host_ns_p95 / 1e3)                                                    \
    COLUMN(device_us, row->device_ns / 1e3)                                                        \
    COLUMN(flops, row->flops)                                                                      \
    COLUMN(bytes, row->bytes)                                                                      \
    COLUMN(gflops, row->flops / row->time_ns)                                                      \
    COLUMN(gbps, row->bytes / row->time_ns)                                                        \
    COLUMN(limit_us, row->limit.ns / 1e3)                                                          \
    COLUMN(limit_read_gbps, row->limit.read_gbps)                                                  \
    COLUMN(share, row->share)                                                                      \
    COLUMN(rel_l2_error, row->rel_l2)                                                              \
    COLUMN(max_rel_error, row->max_rel)

/* TEXT(name, value) of a row; NULL or empty where there is nothing to say */
#define TEXTS(COLUMN)                                                                              \
    COLUMN(kernel, row->kernel)                                                                    \
    COLUMN(operation, mb_op_info(row->shape.op)->name)                                             \
    COLUMN(shape, row->shape.label)                                                                \
    COLUMN(from, row->shape.from)                                                                  \
    COLUMN(status, status_of(row))                                                                 \
    COLUMN(reason, row->reason)                                                                    \
    COLUMN(device_reason, row->device_reason)                                                      \
    COLUMN(bound, bound_of(row))

bool mb_report_kernels_csv(const struct mb_kernel_bench *bench, FILE *out) {
#define COLUMN(name, value) #name ","
    fputs(TEXTS(COLUMN) "runs", out);
#undef COLUMN
#define COLUMN(name, value) "," #name
    fputs(NUMBERS(COLUMN) "\n", out);
#undef COLUMN
    for (size_t i = 0; i < bench->n_rows; i++) {
        const struct mb_kernel_time *row = &bench->rows[i];
#define COLUMN(name, value) mb_csv_text(out, value), putc(',', out);
        TEXTS(COLUMN)
#undef COLUMN
        fprintf(out, "%u", row->n_runs);
#define COLUMN(name, value) mb_csv_number(out, true, value);
        NUMBERS(COLUMN)
#undef COLUMN
        putc('\n', out);
    }
    return !ferror(out);
}

/* Takes the value; false when it or the memory for it is missing. */
static bool put(json_t *object, const char *key, json_t *value) {
    return json_object_set_new(object, key, value) == 0;
}

static json_t *text(const char *value) {
    return value && *value ? json_string(value) : json_null();
}

static json_t *json_of_row(const struct mb_kernel_time *row) {
    json_t *o = json_object();
    bool ok = o != NULL;
#define COLUMN(name, value) ok = put(o, #name, text(value)) && ok;
    TEXTS(COLUMN)
#undef COLUMN
    ok = put(o, "runs", json_integer(row->n_runs)) && ok;
#define COLUMN(name, value) ok = put(o, #name, mb_json_number(value)) && ok;
    NUMBERS(COLUMN)
#undef COLUMN
    if (ok) return o;
    json_decref(o);
    return NULL;
}

static json_t *json_of_ceilings(const struct mb_kernel_bench *bench) {
    const struct mb_ceilings *c = &bench->ceilings;
    if (!bench->has_ceilings) return json_null();
    json_t *read = json_array();
    for (size_t i = 0; i < c->n_read; i++)
        if (json_array_append_new(read,
                                  json_pack("{s:I, s:o}", "bytes", (json_int_t)c->read[i].bytes,
                                            "gbps", mb_json_number(c->read[i].read_gbps))) != 0) {
            json_decref(read);
            return NULL;
        }
    return json_pack("{s:o, s:o, s:o, s:o}", "read", read, "fma_gflops",
                     mb_json_number(c->fma_gflops), "launch_us", mb_json_number(c->launch_ns / 1e3),
                     "graph_node_us", mb_json_number(c->graph_node_ns / 1e3));
}

enum mb_status mb_report_kernels_json(const struct mb_kernel_bench *bench,
                                      const struct mb_kernel_bench_config *config, json_t **out,
                                      struct mb_err *err) {
    struct mb_machine machine;
    const struct mb_build *build = mb_build();
    const struct mb_open_config *open = &config->open;
    const enum mb_status st = mb_machine_read(NULL, &machine, err);
    if (st != MB_OK) return st;
    json_t *rows = json_array();
    for (size_t i = 0; rows && i < bench->n_rows; i++)
        if (json_array_append_new(rows, json_of_row(&bench->rows[i])) != 0) {
            json_decref(rows);
            rows = NULL;
        }
    json_t *o = json_pack(
        "{s:s, s:i, s:{s:s, s:s, s:b, s:s, s:s}, s:{s:o, s:o}, s:s, s:s, s:s, s:i, s:I, s:o, s:o, "
        "s:o, s:I, s:I, s:o}",
        "format", MB_KERNELS_FORMAT, "format_version", 1, "mindbench", "version", build->version,
        "git_sha", build->git_sha, "git_is_dirty", (int)build->git_is_dirty, "compiler",
        build->compiler, "flags", build->flags, "machine", "cpu", text(machine.cpu), "gpu",
        text(machine.gpu), "device", open->device, "math_mode", bench->info.math_mode, "library",
        bench->info.library, "threads", open->n_threads, "seed", (json_int_t)config->seed,
        "ceilings", json_of_ceilings(bench), "ceilings_reason", text(bench->ceilings_reason),
        "rows", rows, "unsupported", (json_int_t)bench->n_unsupported, "kernels_not_here",
        (json_int_t)bench->n_not_here, "peer_reason", text(bench->peer_reason));
    if (!o) return mb_fail(err, MB_E_NOMEM, "no memory for the JSON text");
    *out = o;
    return MB_OK;
}
