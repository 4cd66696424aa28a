/* The CPU's choice of kernels: a wrong estimate loses against the measurement, one kernel alone is
 * honoured, and what cannot be measured is chosen by estimate. */
#include "backend_cpu.h"
#include "choose_kernel.h"
#include "cpu_isa.h"
#include "program_builder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const union mb_step_desc step = {
    .matmul = {.batch = 1, .m = 24, .n = 96, .k = 128, .has_bias = true}};

static double tiny(const union mb_step_desc *desc, int n_threads) {
    (void)desc, (void)n_threads;
    return 1;
}
static double small(const union mb_step_desc *desc, int n_threads) {
    (void)desc, (void)n_threads;
    return 3;
}

static const struct mb_cpu_kernel *find(const char *name) {
    for (size_t i = 0; i < mb_cpu_n_kernels; i++)
        if (strcmp(mb_cpu_kernels[i]->name, name) == 0) return mb_cpu_kernels[i];
    fail_msg("no kernel %s", name);
    return NULL;
}

/* Runs the real one many times: slower than it whatever else the machine does. */
static void run_many_times(const union mb_step_desc *desc, const struct mb_kernel_args *args,
                           const struct mb_thread *thread) {
    for (int i = 0; i < 40; i++) find("f32_matmul__scalar")->run(desc, args, thread);
}

static struct mb_kernel_choice choose(const struct mb_cpu_kernel *const *kernels, size_t n,
                                      const union mb_step_desc *desc, int n_threads,
                                      struct mb_tuning **tuning) {
    struct mb_kernel_choice choice;
    struct mb_team *team = NULL;
    assert_int_equal(mb_tuning_open("test", NULL, tuning, NULL), MB_OK);
    assert_int_equal(mb_team_new(n_threads, &team, NULL), MB_OK);
    const struct mb_cpu_chooser chooser = {
        .kernels = kernels, .n_kernels = n, .team = team, .isa = mb_cpu_isa(), .tuning = *tuning};
    assert_int_equal(mb_cpu_choose(&chooser, MB_STEP_MATMUL, desc, &choice, NULL), MB_OK);
    mb_team_free(team);
    return choice;
}

static void wrong_estimates_lose(void **state) {
    (void)state;
    struct mb_cpu_kernel quick = *find("f32_matmul__scalar"), slow = quick;
    const struct mb_cpu_kernel *const kernels[] = {&slow, &quick};
    quick.name = "quick";
    quick.cost = small;
    slow.name = "slow";
    slow.cost = tiny;
    slow.run = run_many_times;
    for (int threads = 1; threads <= 3; threads++) {
        struct mb_tuning *tuning;
        const struct mb_kernel_choice choice = choose(kernels, 2, &step, threads, &tuning);
        assert_true(choice.measured);
        assert_string_equal(choice.name, "quick");
        assert_string_equal(choice.runner_up, "slow");
        assert_true(choice.runner_up_ns > choice.cost_ns);
        assert_int_equal(choice.packed_bytes, quick.packed_bytes(&step, threads));
        assert_true(mb_tuning_spent_ns(tuning) > 0);
        mb_tuning_close(tuning);
    }
}

static void large_operands_are_not_measured(void **state) {
    (void)state;
    struct mb_cpu_kernel quick = *find("f32_matmul__scalar"), slow = quick;
    const struct mb_cpu_kernel *const kernels[] = {&quick, &slow};
    const union mb_step_desc large = {.matmul = {.batch = 1, .m = 2, .n = 8192, .k = 8192}};
    struct mb_tuning *tuning;
    quick.name = "quick";
    quick.cost = small;
    slow.name = "slow";
    slow.cost = tiny;
    const struct mb_kernel_choice choice = choose(kernels, 2, &large, 2, &tuning);
    assert_string_equal(choice.name, "slow");
    assert_false(choice.measured);
    mb_tuning_close(tuning);
}

/* ---- one kernel alone, through the backend ---- */

static enum mb_status plan_with(const char *kernel, const char *executor,
                                const struct mb_program *p, char *text, size_t size,
                                struct mb_err *err) {
    const struct mb_backend *be = mb_backend_cpu();
    const struct mb_open_config config = {.executor = executor,
                                          .device = "cpu",
                                          .n_threads = 2,
                                          .isa_cap = MB_ISA_BEST,
                                          .kernel = kernel};
    struct mb_ctx *ctx = NULL;
    struct mb_exec_info info = {.tuning_ns = -1};
    enum mb_status st = be->open(&config, &ctx, err);
    if (st == MB_OK) st = be->plan(ctx, p, err);
    if (st == MB_OK) {
        be->plan_text(ctx, text, size);
        assert_int_equal(be->info(ctx, &info, err), MB_OK);
        if (kernel) assert_true(info.tuning_ns == 0);
    }
    be->close(ctx);
    return st;
}

static void one_kernel_alone(void **state) {
    (void)state;
    char text[1024];
    struct mb_err err;
    struct pb pb;
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(2, 8, 64, 0, 0));
    uint32_t w = pb_param(&pb, MB_WEIGHT, pb_f32(2, 64, 40, 0, 0));
    pb_output(&pb, pb_binary(&pb, MB_OP_MATMUL, x, w));
    const struct mb_program *p = pb_done(&pb);
    for (size_t i = 0; i < mb_cpu_n_kernels; i++) {
        const struct mb_cpu_kernel *kernel = mb_cpu_kernels[i];
        const union mb_step_desc desc = {.matmul = {.batch = 1, .m = 8, .n = 40, .k = 64}};
        const enum mb_status st = plan_with(kernel->name, "mind", p, text, sizeof text, &err);
        if (kernel->isa <= mb_cpu_isa() && kernel->kind == MB_STEP_MATMUL &&
            kernel->supports(&desc, 2)) {
            assert_int_equal(st, MB_OK);
            if (!strstr(text, kernel->name)) fail_msg("no %s in %s", kernel->name, text);
        } else {
            assert_int_equal(st, MB_E_UNSUPPORTED);
            if (strncmp(err.text, kernel->name, strlen(kernel->name)) != 0)
                fail_msg("%s", err.text);
        }
    }
    assert_int_equal(plan_with("f32_gemm__avx3", "mind", p, text, sizeof text, &err), MB_E_INVALID);
    assert_non_null(strstr(err.text, "f32_gemm__avx3"));
    if (mb_cpu_isa() >= MB_ISA_AVX2)
        assert_int_equal(plan_with("f32_gemm__avx2", "mind-scalar", p, text, sizeof text, &err),
                         MB_E_UNSUPPORTED);
}

/* ---- ceilings ---- */

static void ceilings_are_measured(void **state) {
    (void)state;
    const struct mb_backend *be = mb_backend_cpu();
    for (int threads = 1; threads <= 2; threads++)
        for (int isa = MB_ISA_SCALAR; isa <= (int)mb_cpu_isa(); isa++) {
            const struct mb_open_config config = {.executor = "mind",
                                                  .device = "cpu",
                                                  .n_threads = threads,
                                                  .isa_cap = (enum mb_isa)isa};
            struct mb_ctx *ctx = NULL;
            struct mb_ceilings c;
            assert_int_equal(be->open(&config, &ctx, NULL), MB_OK);
            assert_int_equal(be->ceilings(ctx, &c, NULL), MB_OK);
            be->close(ctx);
            assert_true(c.n_read >= 2 && c.n_read <= MB_CEILING_SIZES);
            assert_int_equal(c.read[0].bytes, threads * 32 << 10);
            for (size_t i = 0; i < c.n_read; i++) {
                assert_true(i == 0 || c.read[i].bytes >= 2 * c.read[i - 1].bytes);
                /* of any processor yet to be built: a loop that reads nothing is far above */
                assert_true(c.read[i].read_gbps > 0.01 && c.read[i].read_gbps < 3000.0 * threads);
            }
            assert_true(c.fma_gflops > 0.1 && c.fma_gflops < 1000.0 * threads);
            assert_true(isnan(c.launch_ns) && isnan(c.graph_node_ns));
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_estimates_lose),
        cmocka_unit_test(large_operands_are_not_measured),
        cmocka_unit_test(one_kernel_alone),
        cmocka_unit_test(ceilings_are_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
