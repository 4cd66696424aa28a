/* The writers of host/report against a hand-made result. The tables are compared with the texts in
 * tests/data/report; MB_UPDATE_GOLDEN=1 rewrites those (then read the difference). */
#include "report_fixture.h"
#include "report_view.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct fixture fixture;

static int setup(void **state) {
    (void)state;
    fixture_make(&fixture);
    return 0;
}

static const struct mb_machine machine = {
    .platform = "Linux-6.1.0-x86_64-with-glibc2.36",
    .cpu = "A Processor",
    .n_cores = 2,
    .n_threads = 4,
    .n_online_threads = 4,
    .n_packages = 1,
    .n_numa_nodes = -1,
    .l1d_bytes = 32768,
    .l2_bytes = 524288,
    .l3_bytes = -1,
    .memory_bytes = 8589934592,
    .memory_free_bytes = -1,
    .cpu_quota = NAN,
    .load_1min = 0.25,
    .load_5min = NAN,
    .turbo = -1,
    .virtualized = 1,
};

/* ---- numbers ---- */

static void expect_time(double ns, const char *want) {
    char buf[32];
    assert_string_equal(mb_view_time(buf, sizeof buf, ns), want);
}

static void units_fit_the_value(void **state) {
    (void)state;
    expect_time(0, "0.00 ns");
    expect_time(0.5, "0.500 ns");
    expect_time(1, "1.00 ns");
    expect_time(99.994, "99.99 ns");
    expect_time(99.996, "100.0 ns");
    expect_time(999.94, "999.9 ns");
    expect_time(999.96, "1.00 us");
    expect_time(1.2e6, "1.20 ms");
    expect_time(80e6, "80.00 ms");
    expect_time(999.96e6, "1.00 s");
    expect_time(12345e9, "12345 s");
    expect_time(NAN, "-");
    expect_time(INFINITY, "-");
}

static void short_times_fit_seven_characters(void **state) {
    static const double times[] = {0,     0.04,  9.994, 9.996, 99.94,
                                   99.96, 999.4, 999.6, 21300, 9.9996e8};
    static const char *const want[] = {"0.00 ns", "0.04 ns", "9.99 ns", "10.0 ns", "99.9 ns",
                                       "100 ns",  "999 ns",  "1.00 us", "21.3 us", "1.00 s"};
    char buf[32];
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        assert_string_equal(mb_view_time_short(buf, sizeof buf, times[i]), want[i]);
    assert_string_equal(mb_view_time_short(buf, sizeof buf, NAN), "-");
}

static void rates_and_ratios_read_as_the_seed_prints_them(void **state) {
    char buf[64];
    struct mb_interval r = {1.07, 1.05, 1.09};
    (void)state;
    assert_string_equal(mb_view_rate(buf, sizeof buf, 12.5), "12.5 samples/sec");
    assert_string_equal(mb_view_rate(buf, sizeof buf, 26667), "26.7K samples/sec");
    assert_string_equal(mb_view_rate(buf, sizeof buf, 1.5e6), "1.5M samples/sec");
    assert_string_equal(mb_view_rate(buf, sizeof buf, 999.96), "1.0K samples/sec");
    assert_string_equal(mb_view_rate(buf, sizeof buf, INFINITY), "-");
    assert_string_equal(mb_view_ratio(buf, sizeof buf, &r, "x"), "1.07x [1.05, 1.09]");
    r = (struct mb_interval){12.34, 12.27, 12.41};
    assert_string_equal(mb_view_ratio(buf, sizeof buf, &r, "x"), "12.3x [12.3, 12.4]");
    r = (struct mb_interval){123.4, 122.1, 124.9};
    assert_string_equal(mb_view_ratio(buf, sizeof buf, &r, "x"), "123x [122, 125]");
    r = (struct mb_interval){1.6, 0.0512, 206.32};
    assert_string_equal(mb_view_ratio(buf, sizeof buf, &r, "x"), "1.60x [0.051, 206]");
    r = (struct mb_interval){0.0123, 0.0119, 0.0128};
    assert_string_equal(mb_view_ratio(buf, sizeof buf, &r, "x"), "0.012x [0.012, 0.013]");
}

static void a_table_has_one_unit_that_keeps_five_digits(void **state) {
    (void)state;
    assert_string_equal(mb_view_unit(850, 5230).name, "ns");
    assert_string_equal(mb_view_unit(850, 99999.6).name, "us");
    assert_string_equal(mb_view_unit(1.2e6, 40e6).name, "ms");
    assert_string_equal(mb_view_unit(2e9, 3e14).name, "s");
}

/* ---- tables ---- */

/* What was last written to memory(); the caller of the writer frees it. */
static char *written;
static size_t written_size;

static FILE *memory(void) {
    FILE *out = open_memstream(&written, &written_size);
    assert_non_null(out);
    return out;
}

static char *tables(int columns, bool color) {
    FILE *out = memory();
    assert_true(mb_report_tables(&fixture.result, out, columns, color));
    assert_int_equal(fclose(out), 0);
    return written;
}

static void expect_golden(const char *name, const char *got) {
    char path[1024], *want = NULL;
    size_t capacity = 0;
    snprintf(path, sizeof path, "%s/%s", MB_TEST_DATA, name);
    if (getenv("MB_UPDATE_GOLDEN")) {
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        fputs(got, out);
        assert_int_equal(fclose(out), 0);
    }
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    assert_true(getdelim(&want, &capacity, '\0', in) > 0);
    fclose(in);
    assert_string_equal(got, want);
    free(want);
}

static void expect_width(const char *text, int columns) {
    int width = 0;
    for (; *text; text++) {
        if (*text == '\n') {
            assert_true(width <= columns);
            assert_int_not_equal(text[-1], ' ');
            width = 0;
        } else if (((unsigned char)*text & 0xc0) != 0x80) {
            width++;
        }
    }
    assert_int_equal(width, 0);
}

static void tables_at_80_columns(void **state) {
    (void)state;
    char *text = tables(80, false), *narrower = tables(20, false);
    expect_width(text, 80);
    assert_string_equal(text, narrower);
    expect_golden("tables_80.txt", text);
    free(narrower);
    free(text);
}

static void tables_at_120_columns(void **state) {
    (void)state;
    char *text = tables(120, false);
    expect_width(text, 120);
    expect_golden("tables_120.txt", text);
    free(text);
}

static void every_width_is_kept(void **state) {
    (void)state;
    for (int columns = 80; columns < 200; columns++) {
        char *text = tables(columns, false);
        expect_width(text, columns);
        free(text);
    }
}

static void the_locale_decides_the_sign(void **state) {
    (void)state;
    assert_non_null(setlocale(LC_CTYPE, "C"));
    char *text = tables(80, false);
    assert_null(strstr(text, "\u00d7"));
    assert_non_null(strstr(text, "1.10x [1.09, 1.12]"));
    free(text);
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    text = tables(80, false);
    assert_non_null(strstr(text, "1.10\u00d7 [1.09, 1.12]"));
    free(text);
}

/* Colors change no letter and no column. */
static void color_adds_only_escapes(void **state) {
    (void)state;
    char *plain = tables(80, false), *color = tables(80, true), *to = color;
    assert_non_null(strstr(color, "\033[31mINVALID"));
    assert_non_null(strstr(color, "\033[32mFAST"));
    for (const char *from = color; *from;) {
        if (*from == '\033')
            from = strchr(from, 'm') + 1;
        else
            *to++ = *from++;
    }
    *to = '\0';
    assert_string_equal(color, plain);
    free(plain);
    free(color);
}

static void names_cannot_move_the_cursor(void **state) {
    (void)state;
    fixture.benchmarks[0].name = "evil\033[2J\nname";
    char *text = tables(80, false);
    assert_null(strchr(text, '\033'));
    assert_non_null(strstr(text, "evil?[2J?name"));
    free(text);
}

static void a_write_error_is_told(void **state) {
    (void)state;
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    setvbuf(full, NULL, _IONBF, 0);
    assert_false(mb_report_tables(&fixture.result, full, 80, false));
    fclose(full);
}

/* ---- JSON ---- */

static json_t *reread(void) {
    json_t *json = NULL;
    struct mb_err err = {MB_OK, ""};
    json_error_t json_err;
    assert_int_equal(mb_report_json(&fixture.result, &machine, &json, &err), MB_OK);
    FILE *out = memory();
    assert_true(mb_report_print_json(json, out));
    assert_int_equal(fclose(out), 0);
    json_t *back = json_loads(written, JSON_REJECT_DUPLICATES, &json_err);
    assert_non_null(back);
    free(written);
    json_decref(json);
    return back;
}

static json_t *at(json_t *json, const char *first, ...) {
    va_list args;
    va_start(args, first);
    for (const char *key = first; key; key = va_arg(args, const char *)) {
        json = json_object_get(json, key);
        if (!json) fail_msg("no key %s", key);
    }
    va_end(args);
    return json;
}
#define AT(...) at(__VA_ARGS__, (const char *)NULL)

static void expect_number(json_t *json, double want) {
    assert_true(json_is_number(json));
    assert_true(fabs(json_number_value(json) - want) <= 1e-12 * fabs(want));
}

static void json_keeps_the_seeds_keys(void **state) {
    (void)state;
    json_t *json = reread(), *mm = AT(json, "benchmarks", "large_matmul_4096");
    expect_number(AT(mm, "mind", "latency_mean_us"), 80800);
    expect_number(AT(mm, "mind", "latency_stdev_us"), 1600);
    expect_number(AT(mm, "mind", "latency_min_us"), 78400);
    expect_number(AT(mm, "mind", "latency_max_us"), 96000);
    expect_number(AT(mm, "mind", "throughput_samples_per_sec"), 1 / 80.8e-3);
    expect_number(AT(mm, "mind", "batch_size"), 1);
    expect_number(AT(mm, "pytorch", "latency_mean_us"), 88.4e3 * 1.01);
    expect_number(AT(mm, "latency_speedup"), 1.105);
    expect_number(AT(mm, "throughput_advantage"), 1.115);
    assert_string_equal(json_string_value(AT(json, "system_info", "platform")), machine.platform);
    assert_string_equal(json_string_value(AT(json, "system_info", "pytorch_version")), "2.11.0");
    assert_string_equal(json_string_value(AT(json, "system_info", "cpu")), "A Processor");
    assert_true(json_is_false(AT(json, "system_info", "cuda_available")));
    assert_true(json_is_null(AT(json, "system_info", "cuda_version")));
    assert_true(json_is_null(AT(json, "system_info", "gpu")));
    json_decref(json);
}

/* A race that names another executor first has comparisons, but none of MIND. */
static void a_race_without_mind_has_no_headline_ratio(void **state) {
    (void)state;
    fixture.executors[0][0].name = fixture.comparisons[0][0].a = "mind-avx2";
    fixture.comparisons[0][1].a = "mind-avx2";
    fixture.result.n_benchmarks = 1;
    char *text = tables(80, false);
    assert_null(strstr(text, "1.10\u00d7"));
    assert_non_null(strstr(text, "Average Latency Speedup: not measured: "));
    free(text);
    json_t *json = reread(), *mm = AT(json, "benchmarks", "large_matmul_4096");
    assert_true(json_is_null(AT(mm, "latency_speedup")));
    assert_true(json_is_null(AT(mm, "fastest_pytorch")));
    json_decref(json);
}

static void json_holds_raw_samples_and_blocks(void **state) {
    (void)state;
    json_t *json = reread();
    json_t *mind = AT(json, "benchmarks", "large_matmul_4096", "executors", "mind");
    json_t *samples = AT(mind, "samples_us"), *starts = AT(mind, "block_starts");
    assert_int_equal(json_array_size(samples), FIXTURE_SAMPLES);
    for (size_t i = 0; i < FIXTURE_SAMPLES; i++) {
        json_t *sample = json_array_get(samples, i);
        /* Whole nanoseconds come back exactly. */
        assert_true(round(json_real_value(sample) * 1e3) == 80e6 + 10 * (double)i);
        expect_number(sample, (80e6 + 10 * (double)i) / 1e3);
    }
    assert_int_equal(json_array_size(starts), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(json_integer_value(json_array_get(starts, i)), fixture_blocks[i]);
    expect_number(AT(mind, "phases_us", "pack"), 1250);
    assert_int_equal(json_integer_value(json_array_get(AT(mind, "block_processes"), 2)), 1);
    json_t *first = json_array_get(AT(mind, "block_states"), 0);
    expect_number(AT(first, "second_timer_us"), 160.1e3);
    assert_true(json_is_null(AT(json_array_get(AT(mind, "block_states"), 2), "migrations")));
    json_t *process = json_array_get(AT(mind, "processes"), 0);
    assert_int_equal(json_integer_value(AT(process, "steady_from")), 1);
    expect_number(json_array_get(AT(process, "warmup_us"), 1), 82e3);
    expect_number(AT(mind, "aa", "ci_high"), 1.006);
    expect_number(AT(json, "statistics", "min_effect"), 0.02);
    expect_number(AT(json, "benchmarks", "large_matmul_4096", "floor_us"), 20e3);
    assert_true(json_is_null(AT(mind, "phases_us", "open")));
    json_decref(json);
}

static void json_tells_what_was_not_measured_and_what_is_wrong(void **state) {
    (void)state;
    json_t *json = reread();
    json_t *mlp = AT(json, "benchmarks", "mlp_batch32");
    json_t *bad = AT(json, "benchmarks", "a_model_file_with_a_very_long_name_indeed");
    json_t *eager = AT(mlp, "executors", "torch-eager");
    assert_string_equal(json_string_value(AT(eager, "status")), "not_measured");
    assert_non_null(strstr(json_string_value(AT(eager, "reason")), "run scripts/setup"));
    assert_true(json_is_null(AT(eager, "latency_p50_us")));
    assert_true(json_is_null(AT(eager, "result_validity")));
    assert_int_equal(json_array_size(AT(eager, "samples_us")), 0);
    assert_true(json_is_null(AT(mlp, "pytorch", "latency_mean_us")));
    assert_true(json_is_null(AT(mlp, "latency_speedup")));
    assert_string_equal(json_string_value(AT(bad, "executors", "mind", "result_validity")),
                        "INVALID");
    assert_non_null(
        strstr(json_string_value(AT(bad, "executors", "mind", "result_invalid_reason")), "rel L2"));
    assert_true(json_is_null(AT(bad, "bytes")));
    json_t *comparison = json_array_get(AT(bad, "comparisons"), 0);
    assert_true(json_is_null(AT(comparison, "speedup")));
    assert_string_equal(json_string_value(AT(comparison, "withheld_reason")), "a side is INVALID");
    assert_string_equal(json_string_value(AT(json, "result_validity")), "INVALID");
    json_decref(json);
}

static void json_tells_the_run_and_no_path(void **state) {
    (void)state;
    json_t *json = reread();
    assert_string_equal(json_string_value(AT(json, "date")), "2023-11-14T22:13:20Z");
    assert_string_equal(json_string_value(json_array_get(AT(json, "argv"), 0)), "mindbench");
    assert_string_equal(json_string_value(AT(json, "mindbench", "version")), mb_build()->version);
    assert_int_equal(json_integer_value(AT(json, "seed")), 42);
    json_decref(json);

    fixture.result.seed = UINT64_MAX;
    json = reread();
    assert_string_equal(json_string_value(AT(json, "seed")), "18446744073709551615");
    json_decref(json);
}

static void json_survives_names_that_are_not_utf8(void **state) {
    (void)state;
    fixture.benchmarks[1].name = "caf\xe9";
    json_t *json = reread();
    assert_non_null(AT(json, "benchmarks", "caf?"));
    json_decref(json);
}

static void json_refuses_two_benchmarks_of_one_name(void **state) {
    (void)state;
    json_t *json = NULL;
    struct mb_err err = {MB_OK, ""};
    fixture.benchmarks[1].name = fixture.benchmarks[0].name;
    assert_int_equal(mb_report_json(&fixture.result, &machine, &json, &err), MB_E_INVALID);
    assert_non_null(strstr(err.text, "large_matmul_4096"));
    assert_null(json);
}

static size_t allocations_left;
static void *failing_malloc(size_t size) {
    if (!allocations_left) return NULL;
    allocations_left--;
    return malloc(size);
}

static void json_reports_memory_running_out(void **state) {
    (void)state;
    json_t *json = NULL;
    enum mb_status st = MB_E_NOMEM;
    size_t n;
    json_set_alloc_funcs(failing_malloc, free);
    for (n = 0; st != MB_OK && n < 100000; n += 1 + n / 100) { /* there are thousands */
        struct mb_err err = {MB_OK, ""};
        allocations_left = n;
        st = mb_report_json(&fixture.result, &machine, &json, &err);
        if (st != MB_OK) {
            assert_int_equal(st, MB_E_NOMEM);
            assert_null(json);
        }
    }
    assert_int_equal(st, MB_OK);
    assert_true(n > 100);
    json_decref(json);
    json_set_alloc_funcs(malloc, free);
}

/* What test_report_schema.py checks against results/schema.json. */
static void json_is_left_for_the_schema_check(void **state) {
    (void)state;
    fixture_on_gpu(&fixture.executors[0][0]);
    json_t *json = reread();
    FILE *out = fopen("report_fixture.json", "w");
    assert_non_null(out);
    assert_true(mb_report_print_json(json, out));
    assert_int_equal(fclose(out), 0);
    json_decref(json);
}

/* ---- rows ---- */

static char *rows(bool (*writer)(const struct mb_result *, FILE *)) {
    FILE *out = memory();
    assert_true(writer(&fixture.result, out));
    assert_int_equal(fclose(out), 0);
    return written;
}

static size_t count_char(const char *text, char c, const char *end) {
    size_t n = 0;
    for (; text < end; text++) n += *text == c;
    return n;
}

static void csv_has_one_row_per_executor(void **state) {
    (void)state;
    char *text = rows(mb_report_csv);
    assert_int_equal(count_char(text, '\n', text + strlen(text)), 1 + 4 + 3 + 2);
    /* Rows without quotes have as many fields as the header. */
    size_t fields = count_char(text, ',', strchr(text, '\n'));
    const char *row = strstr(text, "mlp_batch32,torch-eager,cpu,not_measured,,");
    assert_non_null(row);
    assert_int_equal(count_char(row, ',', strchr(row, '\n')), fields);
    assert_non_null(
        strstr(text, "\nlarge_matmul_4096,mind,cpu,measured,VALID,,1,6,80000,79600,80400,"));
    assert_non_null(strstr(
        text, ",1.105,1.0949,1.1151,FAST,\"fp32, avx2+fma\",mindbench 0.1.0,warm,false,,\n"));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    free(text);
}

static void csv_quotes_what_needs_it(void **state) {
    (void)state;
    fixture.executors[1][2].reason = "say \"no\", twice";
    char *text = rows(mb_report_csv);
    assert_non_null(strstr(text, ",not_measured,,\"say \"\"no\"\", twice\",32,0,"));
    free(text);
}

static void md_rows_have_all_cells(void **state) {
    (void)state;
    fixture.executors[1][2].reason = "a|b";
    char *text = rows(mb_report_md);
    size_t n = 0;
    assert_non_null(strstr(text, "not measured: a\\|b |"));
    for (const char *line = text; *line; line = strchr(line, '\n') + 1, n++) {
        const char *end = strchr(line, '\n');
        size_t bars = count_char(line, '|', end) - count_char(line, '\\', end);
        assert_int_equal(bars, 12);
    }
    assert_int_equal(n, 2 + 4 + 3 + 2);
    assert_non_null(strstr(text, "| 1.10x [1.09, 1.12] | FAST | VALID |"));
    assert_non_null(strstr(text, "| INVALID: output 0 differs"));
    free(text);
}

/* ---- what a GPU adds ---- */

static void has(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("no \"%s\" in\n%s", part, text);
}

static void device_time_has_a_table_of_its_own(void **state) {
    (void)state;
    fixture.result.device = "cuda";
    fixture_on_gpu(&fixture.executors[0][0]);
    fixture.benchmarks[0].gpu_reason = NULL;
    fixture.benchmarks[0].n_other_processes = 2;
    fixture.executors[0][1].device_time[MB_DEVICE_batch].reason = "gate timed out";
    char *text = tables(120, false);
    has(text, "large_matmul_4096, by the device's own clock (median in us of a run");
    has(text,
        "\nmind         2.51 [2.50, 2.52]    3.51 [2.50, 2.52]    4.51 [2.50, 2.52]    1.25 mJ a "
        "run\n");
    has(text, "  most seen between blocks: 1980 MHz, 700 W, 84 C\n");
    has(text, "  throttled: software thermal slowdown, SM clock from 1500 to 1980 MHz\n");
    has(text, "\ntorch-eager  not measured         not measured         not measured         not "
              "measured\n");
    has(text, "  batch: not measured: gate timed out\n");
    has(text, "  isolated: not measured: it has no clock but the host's\n");
    has(text, "  energy: not measured: no executor names a GPU\n");
    has(text, "\n2 other processes computed on the GPU meanwhile\n");
    free(text);
    fixture.benchmarks[0].gpu_reason = "no NVML";
    text = tables(80, false);
    has(text, "Clocks, power, throttling and energy: not measured: no NVML\n");
    free(text);
    text = rows(mb_report_md);
    has(text, "| VALID; throttled: software thermal slowdown, SM clock from 1500 to 1980 MHz |\n");
    free(text);
    text = rows(mb_report_csv);
    has(text,
        "mindbench 0.1.0,warm,false,2.51,\"software thermal slowdown, SM clock from 1500 to 1980 "
        "MHz\"\n");
    free(text);
}

/* A cold benchmark's device time is that of single runs from cold caches, and its ratio has an
 * average of its own. */
static void cold_and_warm_stay_apart(void **state) {
    (void)state;
    fixture_on_gpu(&fixture.executors[0][0]);
    fixture.benchmarks[1] = fixture.benchmarks[0];
    fixture.benchmarks[1].name = "large_matmul_4096[cache=cold]";
    fixture.benchmarks[1].cold = true;
    char *text = tables(120, false);
    has(text, "Average Latency Speedup: 1.10");
    has(text, "(geometric mean of 1 of 2)\n");
    has(text, "Average Latency Speedup, cold caches: 1.10");
    has(text, "(geometric mean of 1 of 1)\n");
    free(text);
    json_t *json = reread();
    json_t *warm = AT(json, "benchmarks", "large_matmul_4096");
    json_t *cold = AT(json, "benchmarks", "large_matmul_4096[cache=cold]");
    assert_string_equal(json_string_value(AT(warm, "cache")), "warm");
    assert_string_equal(json_string_value(AT(cold, "cache")), "cold");
    expect_number(AT(warm, "executors", "mind", "device_time_p50_us"), 2.51);
    expect_number(AT(cold, "executors", "mind", "device_time_p50_us"), 4.51);
    json_decref(json);
}

/* An executor that was interrupted before its first sample. */
static void a_row_without_samples_has_dashes(void **state) {
    (void)state;
    struct mb_executor_result *e = &fixture.executors[0][0];
    const double none = (double)NAN;
    e->valid = false;
    e->invalid_reason = "interrupted";
    e->n_samples = e->n_blocks = 0;
    e->first_of_block = NULL;
    e->process_of_block = NULL;
    e->control.reason = "no block was measured";
    e->rel_l2_error = e->max_abs_error = e->max_rel_error = none;
    e->latency_ns = (struct mb_summary){0, none, none, none, none, none, none, none, none, none};
    char *text = tables(80, false);
    assert_null(strstr(text, "nan"));
    assert_non_null(strstr(text, "INVALID: interrupted"));
    free(text);
    text = rows(mb_report_md);
    assert_null(strstr(text, "nan"));
    free(text);
    text = rows(mb_report_csv);
    assert_null(strstr(text, "nan"));
    assert_non_null(strstr(text, "large_matmul_4096,mind,cpu,failed,INVALID,interrupted,1,0,,,"));
    free(text);
    json_t *json = reread();
    json_t *mind = AT(json, "benchmarks", "large_matmul_4096", "executors", "mind");
    assert_string_equal(json_string_value(AT(mind, "status")), "failed");
    assert_true(json_is_null(AT(mind, "latency_p50_us")));
    assert_int_equal(json_array_size(AT(mind, "block_starts")), 0);
    json_decref(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_fit_the_value),
        cmocka_unit_test(short_times_fit_seven_characters),
        cmocka_unit_test(rates_and_ratios_read_as_the_seed_prints_them),
        cmocka_unit_test(a_table_has_one_unit_that_keeps_five_digits),
        cmocka_unit_test_setup(tables_at_80_columns, setup),
        cmocka_unit_test_setup(tables_at_120_columns, setup),
        cmocka_unit_test_setup(every_width_is_kept, setup),
        cmocka_unit_test_setup(the_locale_decides_the_sign, setup),
        cmocka_unit_test_setup(color_adds_only_escapes, setup),
        cmocka_unit_test_setup(names_cannot_move_the_cursor, setup),
        cmocka_unit_test_setup(a_write_error_is_told, setup),
        cmocka_unit_test_setup(json_keeps_the_seeds_keys, setup),
        cmocka_unit_test_setup(a_race_without_mind_has_no_headline_ratio, setup),
        cmocka_unit_test_setup(json_holds_raw_samples_and_blocks, setup),
        cmocka_unit_test_setup(json_tells_what_was_not_measured_and_what_is_wrong, setup),
        cmocka_unit_test_setup(json_tells_the_run_and_no_path, setup),
        cmocka_unit_test_setup(json_survives_names_that_are_not_utf8, setup),
        cmocka_unit_test_setup(json_refuses_two_benchmarks_of_one_name, setup),
        cmocka_unit_test_setup(json_reports_memory_running_out, setup),
        cmocka_unit_test_setup(json_is_left_for_the_schema_check, setup),
        cmocka_unit_test_setup(device_time_has_a_table_of_its_own, setup),
        cmocka_unit_test_setup(cold_and_warm_stay_apart, setup),
        cmocka_unit_test_setup(csv_has_one_row_per_executor, setup),
        cmocka_unit_test_setup(csv_quotes_what_needs_it, setup),
        cmocka_unit_test_setup(a_row_without_samples_has_dashes, setup),
        cmocka_unit_test_setup(md_rows_have_all_cells, setup),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
