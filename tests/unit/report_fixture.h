/* A finished result, made by hand: every kind of row that a writer meets. Nothing of it was ever
 * measured. Three workloads: one with everything in order, one whose PyTorch side is missing, one
 * from a file with a long name whose mind side gives wrong outputs. */
#ifndef MB_REPORT_FIXTURE_H
#define MB_REPORT_FIXTURE_H

#include "cold_start.h"
#include "report.h"

#include <math.h>
#include <string.h>

enum { FIXTURE_SAMPLES = 6 };

struct fixture {
    struct mb_result result;
    struct mb_benchmark_result benchmarks[3];
    struct mb_executor_result executors[3][4];
    struct mb_comparison comparisons[2][3];
    double samples[3][4][FIXTURE_SAMPLES];
};

static const size_t fixture_blocks[] = {0, 2, 4, FIXTURE_SAMPLES};
static const size_t fixture_processes_of_blocks[] = {0, 1, 1};
static struct mb_block_state fixture_states[] = {{0, 160.1e6, 10e6, 2450, 51.5, 0, 3},
                                                 {170e6, 160.2e6, 0, 2450, 52, 1, 0},
                                                 {340e6, NAN, NAN, NAN, NAN, -1, -1}};
static double fixture_warmup[] = {95e6, 82e6, 80e6};
static struct mb_process fixture_processes[] = {{fixture_warmup, 3, 1}, {fixture_warmup, 2, 2}};
static char fixture_arg0[] = "/somewhere/build/mindbench", fixture_arg1[] = "run";
static char *fixture_argv[] = {fixture_arg0, fixture_arg1, NULL};

static void fixture_measured(struct mb_executor_result *e, double *samples, const char *name,
                             double p50_ns) {
    for (int i = 0; i < FIXTURE_SAMPLES; i++) samples[i] = p50_ns + 10 * i;
    *e = (struct mb_executor_result){
        .name = name,
        .device = "cpu",
        .measured = true,
        .valid = true,
        .info = {.precision = MB_FP32, .math_mode = "fp32, avx2+fma", .library = "mindbench 0.1.0"},
        .phases = {.parse = 21300,
                   .check = 8450,
                   .lower = 12800,
                   .open = (double)NAN,
                   .plan = 350000,
                   .tune = 0,
                   .pack = 1250000,
                   .first_inference = 152000},
        .samples_ns = samples,
        .n_samples = FIXTURE_SAMPLES,
        .first_of_block = fixture_blocks,
        .n_blocks = 3,
        .process_of_block = fixture_processes_of_blocks,
        .block_states = fixture_states,
        .processes = fixture_processes,
        .n_processes = 2,
        .drift = -0.0125,
        .timer_disagreement = 0.00025,
        .control = {.ratio = {1.001, 0.996, 1.006}, .verdict = MB_SAME, .detectable = 0.0075},
        .latency_ns = {FIXTURE_SAMPLES, p50_ns * 1.01, p50_ns * 0.02, p50_ns * 0.98, p50_ns * 1.2,
                       p50_ns, p50_ns * 1.1, p50_ns * 1.15, p50_ns * 0.995, p50_ns * 1.005},
        .rel_l2_error = 1.2e-7,
        .max_abs_error = 3.4e-6,
        .max_rel_error = 5.6e-7,
        .plan_text = "one step",
        .roofline = {(double)NAN, (double)NAN, false},
        .roofline_share = (double)NAN,
    };
    e->energy_per_run_mj = (double)NAN;
    e->energy_reason = "no executor names a GPU";
    for (int k = 0; k < MB_N_DEVICE_SERIES; k++)
        e->device_time[k] = (struct mb_device_time){.reason = "it has no clock but the host's",
                                                    .summary_ns = {.p50 = (double)NAN}};
    if (!strncmp(name, "torch", 5)) {
        strcpy(e->info.library, "libtorch 2.11.0");
        strcpy(e->info.math_mode, "fp32, oneDNN/MKL avx2");
        e->phases.open = 1.31e9;
        e->phases.tune = 6.7e8;
        e->phases.parse = e->phases.check = e->phases.lower = (double)NAN;
    }
}

static void fixture_unmeasured(struct mb_executor_result *e, const char *name, const char *reason) {
    *e = (struct mb_executor_result){.name = name,
                                     .device = "cpu",
                                     .reason = reason,
                                     .control = {.reason = reason},
                                     .energy_per_run_mj = (double)NAN,
                                     .energy_reason = reason};
    for (int k = 0; k < MB_N_DEVICE_SERIES; k++) e->device_time[k].reason = reason;
}

/* What a GPU adds to a row: all kinds of device time, two reads of its state, energy. */
static void fixture_on_gpu(struct mb_executor_result *e) {
    static double samples[] = {2500, 2510, 2520};
    static struct mb_nvml_state states[] = {{1980, 3201, 412.5, 48, 2e9, 0},
                                            {1500, 3201, 700, 84, 2.1e9, MB_NVML_SW_THERMAL}};
    for (int k = 0; k < MB_N_DEVICE_SERIES; k++)
        e->device_time[k] = (struct mb_device_time){
            .n_runs = k ? 1 : 400,
            .samples_ns = samples,
            .n_samples = 3,
            .summary_ns = {3, 2510, 10, 2500, 2520, 2510 + 1000.0 * k, 2519, 2520, 2500, 2520}};
    e->gpu_states = states;
    e->n_gpu_states = 2;
    e->throttled = "software thermal slowdown, SM clock from 1500 to 1980 MHz";
    e->energy_per_run_mj = 1.25;
    e->energy_reason = NULL;
}

static struct mb_comparison fixture_ratio(const char *a, const char *b, double value, double low,
                                          double high, enum mb_verdict verdict) {
    return (struct mb_comparison){.a = a,
                                  .b = b,
                                  .speedup = {value, low, high},
                                  .throughput_ratio = {value + 0.01, low - 0.01, high + 0.02},
                                  .detectable = 0.0105,
                                  .verdict = verdict};
}

/* Three kinds of rows: in order, ended early and without a total, never started. */
static struct mb_cold_starts *fixture_starts(void) {
    static double steps[2][3][MB_N_START_STEPS], outputs[2][3][MB_FIRST_RUNS], peak[3], loaded[3];
    static struct mb_start_row rows[] = {
        {.name = "mind (first start)",
         .executor = "mind",
         .state = MB_START_FIRST,
         .remembers = "tuning cache",
         .n = 3},
        {.name = "torch-jit",
         .executor = "torch-jit",
         .reason = "worker killed by signal 11 (SIGSEGV)",
         .n = 2,
         .total_reason = "fewer than 3 cold starts make no interval"},
        {.name = "torch-aoti (first start)",
         .executor = "torch-aoti",
         .state = MB_START_FIRST,
         .in_python = true,
         .reason = "no C++ compiler",
         .total_reason = "no C++ compiler"},
    };
    static struct mb_start_pair pairs[] = {
        {.a = &rows[0],
         .b = &rows[1],
         .even = {.kind = MB_EVEN_FROM_RUN, .runs = {901, 850, 123456}}},
        {.a = &rows[0], .b = &rows[2], .reason = "no C++ compiler"},
    };
    static struct mb_cold_starts starts = {20, rows, 3, pairs, 2};
    for (size_t r = 0; r < 2; r++) {
        for (size_t i = 0; i < 3; i++) {
            for (int k = 0; k < MB_N_START_STEPS; k++)
                steps[r][i][k] = k == MB_STEP_compile ? (double)NAN : 1000.0 * (1 + k) + (double)i;
            for (int k = 0; k < MB_FIRST_RUNS; k++)
                outputs[r][i][k] = 1e6 * (double)(r + 1) + 1000 * k;
            peak[i] = 9.0 * (1 << 20);
            loaded[i] = 11.5 * (1 << 20);
        }
        rows[r].steps_ns = steps[r];
        rows[r].outputs_ns = outputs[r];
        rows[r].peak_bytes = peak;
        rows[r].loaded_bytes = loaded;
    }
    for (size_t t = 0; t < MB_N_TOTALS; t++) {
        const double total = 1e6 + 1000 * mb_total_runs[t];
        rows[0].total_ns[t] = (struct mb_interval){total, total * 0.99, total * 1.01};
        pairs[0].even.ratio[t] = (struct mb_interval){2, 1.9, 2.1};
    }
    return &starts;
}

/* `f` outlives every use of f->result. */
static void fixture_make(struct fixture *f) {
    static const char *const no_torch = "the libtorch plugin is not built; run scripts/setup";
    memset(f, 0, sizeof *f);

    fixture_measured(&f->executors[0][0], f->samples[0][0], "mind", 80.0e6);
    fixture_measured(&f->executors[0][1], f->samples[0][1], "torch-eager", 88.4e6);
    fixture_measured(&f->executors[0][2], f->samples[0][2], "torch-jit", 79.2e6);
    fixture_unmeasured(&f->executors[0][3], "torch-aoti",
                       "this PyTorch installation cannot import its compiler; install torch with "
                       "its dependencies");
    static struct mb_operation operations[] = {
        {"f32_gemv__avx2", "matmul (1,4096)x(4096,4096)", 77e6, 67141632, 33554432},
        {"relu", "relu: tensor<f32[1,4096]>", 2e6, 32768, 4096}};
    f->executors[0][0].info.flops = 33554432;
    f->executors[0][0].roofline = (struct mb_roofline){60e6, 25.5, false};
    f->executors[0][0].roofline_share = 0.75;
    f->executors[0][0].operations = operations;
    f->executors[0][0].n_operations = 2;
    f->executors[0][1].operations_reason = "it has no steps that it can time one by one";
    f->comparisons[0][0] = fixture_ratio("mind", "torch-eager", 1.105, 1.0949, 1.1151, MB_FAST);
    f->comparisons[0][1] = fixture_ratio("mind", "torch-jit", 0.99, 0.96, 1.021, MB_AMBIGUOUS);
    f->comparisons[0][2] = fixture_ratio("torch-jit", "torch-eager", 1.116, 1.1, 1.13, MB_FAST);
    f->benchmarks[0] = (struct mb_benchmark_result){
        .name = "large_matmul_4096",
        .batch = 1,
        .flops = 33554432,
        .bytes = 67141632,
        .params_text = "x: tensor<f32[1, 4096]> input, w: tensor<f32[4096, 4096]> weight",
        .executors = f->executors[0],
        .n_executors = 4,
        .comparisons = f->comparisons[0],
        .n_comparisons = 3,
        .against_eager = 0,
        .against_fastest = 1,
        .cold_starts = fixture_starts(),
        .gpu_reason = "no executor names a GPU",
        .n_other_processes = -1,
        .floor_ns = 20e6,
        .ended_by = "samples",
        .n_controls = 3,
    };

    fixture_measured(&f->executors[1][0], f->samples[1][0], "mind", 1.2e6);
    fixture_measured(&f->executors[1][1], f->samples[1][1], "mind-scalar", 999.96e3 * 40);
    fixture_unmeasured(&f->executors[1][2], "torch-eager", no_torch);
    f->benchmarks[1] = (struct mb_benchmark_result){
        .name = "mlp_batch32",
        .batch = 32,
        .flops = 34242560,
        .bytes = 2244648,
        .params_text = "x: tensor<f32[32, 784]> input",
        .executors = f->executors[1],
        .n_executors = 3,
        .against_eager = -1,
        .against_fastest = -1,
        .floor_ns = (double)NAN,
        .floor_reason = "no ceiling was measured",
    };

    fixture_measured(&f->executors[2][0], f->samples[2][0], "mind", 850);
    f->executors[2][0].valid = false;
    f->executors[2][0].invalid_reason =
        "output 0 differs from the reference: rel L2 3.0e-01, allowed 1.0e-05";
    f->executors[2][0].rel_l2_error = 0.3;
    fixture_measured(&f->executors[2][1], f->samples[2][1], "torch-eager", 5230);
    f->comparisons[1][0] = (struct mb_comparison){.a = "mind",
                                                  .b = "torch-eager",
                                                  .withheld = true,
                                                  .reason = "a side is INVALID",
                                                  .speedup = {NAN, NAN, NAN}};
    f->benchmarks[2] = (struct mb_benchmark_result){
        .name = "a_model_file_with_a_very_long_name_indeed",
        .file = "models/a_model_file_with_a_very_long_name_indeed.mind",
        .batch = 8,
        .flops = 1000,
        .bytes = (double)NAN,
        .params_text = "x: tensor<f32[8]> input",
        .executors = f->executors[2],
        .n_executors = 2,
        .comparisons = f->comparisons[1],
        .n_comparisons = 1,
        .against_eager = 0,
        .against_fastest = 0,
        .floor_ns = (double)NAN,
        .floor_reason = "no ceiling was measured",
    };

    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 4; k++)
            f->executors[i][k].throughput =
                (double)f->benchmarks[i].batch / (f->executors[i][k].latency_ns.mean * 1e-9);

    f->result = (struct mb_result){
        .has_ceilings = true,
        .ceilings = {.read = {{65536, 300.5}, {134217728, 20.25}},
                     .n_read = 2,
                     .fma_gflops = 200.5,
                     .launch_ns = (double)NAN,
                     .graph_node_ns = (double)NAN},
        .argc = 2,
        .argv = fixture_argv,
        .seed = 42,
        .statistics = {10000, 3, 0.95, 0.02, 0, 0},
        .n_threads = 2,
        .precision = MB_FP32,
        .tolerance_rel_l2 = 1e-5,
        .tolerance_max_rel = 1e-4,
        .device = "cpu",
        .device_reason = "no CUDA plugin beside the program",
        .started_unix_s = 1700000000,
        .benchmarks = f->benchmarks,
        .n_benchmarks = 3,
        .invalid_reason = "a_model_file_with_a_very_long_name_indeed: mind gives wrong outputs",
    };
}

#endif
