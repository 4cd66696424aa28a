/* The reference against small answers worked out by hand, identities, and a second implementation
 * in another style: each output element from its definition, indices spelled out. */
#include "program_builder.h"
#include "reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Runs a program of one output on this data; room for `count` doubles. */
static void run(struct pb *pb, const void *const *params, double *out) {
    struct mb_err err = {0};
    double *outputs[] = {out};
    if (mb_reference_run(pb_done(pb), params, outputs, &err) != MB_OK) fail_msg("%s", err.text);
}

static void expect(const double *got, const double *expected, int count) {
    for (int i = 0; i < count; i++)
        if (!(fabs(got[i] - expected[i]) <= 1e-15 * (1 + fabs(expected[i]))) &&
            !(isnan(got[i]) && isnan(expected[i])) && got[i] != expected[i])
            fail_msg("[%d] is %.17g, expected %.17g", i, got[i], expected[i]);
}

static const double inf = HUGE_VAL, nan_value = (double)NAN;

/* ---- by hand ---- */

static void unary_by_hand(void **state) {
    (void)state;
    static const float x[] = {-2.0f, 0.0f, 0.5f, HUGE_VALF, -HUGE_VALF, NAN};
    static const struct {
        enum mb_op op;
        double y[6];
    } cases[] = {
        {MB_OP_NEG, {2, 0, -0.5, -HUGE_VAL, HUGE_VAL, (double)NAN}},
        {MB_OP_ABS, {2, 0, 0.5, HUGE_VAL, HUGE_VAL, (double)NAN}},
        {MB_OP_RELU, {0, 0, 0.5, HUGE_VAL, 0, (double)NAN}},
        {MB_OP_SIGMOID, {0.11920292202211755, 0.5, 0.62245933120185459, 1, 0, (double)NAN}},
        {MB_OP_TANH, {-0.96402758007581690, 0, 0.46211715726000973, 1, -1, (double)NAN}},
        {MB_OP_EXP, {0.13533528323661270, 1, 1.6487212707001282, HUGE_VAL, 0, (double)NAN}},
        {MB_OP_LOG,
         {(double)NAN, -HUGE_VAL, -0.69314718055994531, HUGE_VAL, (double)NAN, (double)NAN}},
        {MB_OP_SQRT, {(double)NAN, 0, 0.70710678118654757, HUGE_VAL, (double)NAN, (double)NAN}},
        {MB_OP_LOG2, {(double)NAN, -HUGE_VAL, -1, HUGE_VAL, (double)NAN, (double)NAN}},
        {MB_OP_LOG10,
         {(double)NAN, -HUGE_VAL, -0.30102999566398120, HUGE_VAL, (double)NAN, (double)NAN}},
        {MB_OP_SIN,
         {-0.90929742682568171, 0, 0.47942553860420301, (double)NAN, (double)NAN, (double)NAN}},
        {MB_OP_COS,
         {-0.41614683654714241, 1, 0.87758256189037276, (double)NAN, (double)NAN, (double)NAN}},
        {MB_OP_FLOOR, {-2, 0, 0, HUGE_VAL, -HUGE_VAL, (double)NAN}},
        {MB_OP_CEIL, {-2, 0, 1, HUGE_VAL, -HUGE_VAL, (double)NAN}},
        {MB_OP_ROUND, {-2, 0, 0, HUGE_VAL, -HUGE_VAL, (double)NAN}}, /* 0.5: to even */
        /* -2 * 0.022750131948179, 0.5 * 0.691462461274013; -inf * 0 is NaN */
        {MB_OP_GELU,
         {-0.045500263896358417, 0, 0.34573123063700656, HUGE_VAL, (double)NAN, (double)NAN}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pb pb;
        double y[6];
        pb_init(&pb);
        uint32_t a = pb_param(&pb, MB_INPUT, pb_f32(1, 6, 0, 0, 0));
        pb_output(&pb, pb_unary(&pb, cases[i].op, a));
        run(&pb, (const void *[]){x}, y);
        expect(y, cases[i].y, 6);
    }
}

static void binary_by_hand(void **state) {
    (void)state;
    static const double x[] = {6, -7, 0, 1}, z[] = {4, 2, 0, NAN};
    const struct {
        enum mb_op op;
        double y[4];
    } cases[] = {
        {MB_OP_ADD, {10, -5, 0, nan_value}},
        {MB_OP_SUB, {2, -9, 0, nan_value}},
        {MB_OP_MUL, {24, -14, 0, nan_value}},
        {MB_OP_DIV, {1.5, -3.5, nan_value, nan_value}},
        {MB_OP_MAX, {6, 2, 0, nan_value}},
        {MB_OP_MIN, {4, -7, 0, nan_value}},
        {MB_OP_POW, {1296, 49, 1, 1}},
        {MB_OP_MOD, {2, -1, nan_value, nan_value}},
        {MB_OP_LT, {0, 1, 0, 0}},
        {MB_OP_LE, {0, 1, 1, 0}},
        {MB_OP_GT, {1, 0, 0, 0}},
        {MB_OP_GE, {1, 0, 1, 0}},
        {MB_OP_EQ, {0, 0, 1, 0}},
        {MB_OP_NE, {1, 1, 0, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int swapped = 0; swapped < 2; swapped++) {
            struct pb pb;
            double y[4];
            pb_init(&pb);
            uint32_t a = pb_param(&pb, MB_INPUT, pb_type(MB_F64, 1, 4, 0, 0, 0));
            uint32_t b = pb_param(&pb, MB_INPUT, pb_type(MB_F64, 1, 4, 0, 0, 0));
            const bool commutes = cases[i].op == MB_OP_ADD || cases[i].op == MB_OP_MUL ||
                                  cases[i].op == MB_OP_MAX || cases[i].op == MB_OP_MIN;
            if (swapped && !commutes) continue;
            pb_output(&pb, swapped ? pb_binary(&pb, cases[i].op, b, a)
                                   : pb_binary(&pb, cases[i].op, a, b));
            run(&pb, (const void *[]){x, z}, y);
            expect(y, cases[i].y, 4);
        }
}

static void broadcast_by_hand(void **state) {
    (void)state;
    static const float column[] = {10, 20}, row[] = {1, 2, 3};
    static const double expected[] = {11, 12, 13, 21, 22, 23};
    struct pb pb;
    double y[6];
    pb_init(&pb);
    uint32_t a = pb_param(&pb, MB_INPUT, pb_f32(2, 2, 1, 0, 0));
    uint32_t b = pb_param(&pb, MB_INPUT, pb_f32(1, 3, 0, 0, 0));
    pb_output(&pb, pb_binary(&pb, MB_OP_ADD, a, b));
    run(&pb, (const void *[]){column, row}, y);
    expect(y, expected, 6);
}

static void integers_by_hand(void **state) {
    (void)state;
    static const int32_t a[] = {7, -7, 7, -7}, b[] = {2, 2, -2, -2}, zero[] = {1, 1, 0, 1};
    static const double quotients[] = {3, -3, -3, 3};
    struct pb pb;
    double y[4];
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_type(MB_I32, 1, 4, 0, 0, 0));
    uint32_t z = pb_param(&pb, MB_INPUT, pb_type(MB_I32, 1, 4, 0, 0, 0));
    pb_output(&pb, pb_binary(&pb, MB_OP_DIV, x, z));
    run(&pb, (const void *[]){a, b}, y);
    expect(y, quotients, 4);
    struct mb_err err;
    double *outputs[] = {y};
    assert_int_equal(mb_reference_run(pb_done(&pb), (const void *[]){a, zero}, outputs, &err),
                     MB_E_NUMERIC);
}

static void truth_by_hand(void **state) {
    (void)state;
    static const uint8_t a[] = {0, 0, 1, 1}, b[] = {0, 1, 0, 1};
    static const float x[] = {1, 2, NAN, 4};
    static const struct {
        enum mb_op op;
        double y[4];
    } cases[] = {{MB_OP_AND, {0, 0, 0, 1}},
                 {MB_OP_OR, {0, 1, 1, 1}},
                 {MB_OP_EQ, {1, 0, 0, 1}},
                 {MB_OP_NE, {0, 1, 1, 0}}};
    struct pb pb;
    double y[8];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pb_init(&pb);
        const uint32_t p = pb_param(&pb, MB_INPUT, pb_type(MB_BOOL, 1, 4, 0, 0, 0));
        const uint32_t q = pb_param(&pb, MB_INPUT, pb_type(MB_BOOL, 1, 4, 0, 0, 0));
        pb_output(&pb, pb_binary(&pb, cases[i].op, p, q));
        run(&pb, (const void *[]){a, b}, y);
        expect(y, cases[i].y, 4);
    }
    pb_init(&pb);
    uint32_t p = pb_param(&pb, MB_INPUT, pb_type(MB_BOOL, 1, 4, 0, 0, 0));
    pb_output(&pb, pb_unary(&pb, MB_OP_NOT, p));
    run(&pb, (const void *[]){a}, y);
    expect(y, (double[]){1, 1, 0, 0}, 4);
    pb_init(&pb); /* (2,1) ? (4) : () */
    p = pb_param(&pb, MB_INPUT, pb_type(MB_BOOL, 2, 2, 1, 0, 0));
    const uint32_t q = pb_param(&pb, MB_INPUT, pb_f32(1, 4, 0, 0, 0));
    pb_output(&pb, pb_ternary(&pb, MB_OP_SELECT, p, q, pb_fill(&pb, pb_f32(0, 0, 0, 0, 0), 9)));
    run(&pb, (const void *[]){b, x}, y);
    expect(y, (double[]){9, 9, 9, 9, 1, 2, nan_value, 4}, 8);
}

static void casts_by_hand(void **state) {
    (void)state;
    static const double x[] = {-2.9, 2.9, 3e9, -HUGE_VAL, 1e300, (double)NAN, 0.5, -0.0};
    static const int64_t wide[] = {((int64_t)1 << 32) + 7, -((int64_t)1 << 31) - 1, 0, -5};
    static const double expected[][8] = {
        [MB_F64] = {-2.9, 2.9, 3e9, -HUGE_VAL, 1e300, (double)NAN, 0.5, 0},
        [MB_F32] = {-2.9, 2.9, 3e9, -HUGE_VAL, 1e300, (double)NAN, 0.5, 0},
        [MB_I32] = {-2, 2, INT32_MAX, INT32_MIN, INT32_MAX, 0, 0, 0},
        [MB_I64] = {-2, 2, 3e9, -0x1p63, 0x1p63, 0, 0, 0},
        [MB_BOOL] = {1, 1, 1, 1, 1, 1, 1, 0},
    };
    struct pb pb;
    double y[8];
    for (int to = MB_F32; to <= MB_BOOL; to++) {
        pb_init(&pb);
        const uint32_t a = pb_param(&pb, MB_INPUT, pb_type(MB_F64, 1, 8, 0, 0, 0));
        pb_output(&pb, pb_cast(&pb, a, (enum mb_dtype)to));
        run(&pb, (const void *[]){x}, y);
        expect(y, expected[to], 8);
    }
    pb_init(&pb);
    const uint32_t a = pb_param(&pb, MB_INPUT, pb_type(MB_I64, 1, 4, 0, 0, 0));
    pb_output(&pb, pb_cast(&pb, a, MB_I32));
    run(&pb, (const void *[]){wide}, y);
    expect(y, (double[]){7, INT32_MAX, 0, -5}, 4);
}

static void argmax_by_hand(void **state) {
    (void)state;
    static const float x[] = {1, 5, 5, -1, NAN, 7, NAN, 0};
    struct pb pb;
    double y[4];
    pb_init(&pb);
    uint32_t a = pb_param(&pb, MB_INPUT, pb_f32(2, 2, 4, 0, 0));
    pb_output(&pb, pb_node(&pb, MB_OP_ARGMAX, a, 0, (union mb_attr){.axis = {1}}));
    run(&pb, (const void *[]){x}, y);
    expect(y, (double[]){1, 0}, 2); /* the first of equals; NaN is the largest */
    pb_init(&pb);
    a = pb_param(&pb, MB_INPUT, pb_f32(2, 2, 4, 0, 0));
    pb_output(&pb, pb_node(&pb, MB_OP_ARGMAX, a, 0, (union mb_attr){.axis = {0}}));
    run(&pb, (const void *[]){x}, y);
    expect(y, (double[]){1, 1, 1, 1}, 4);
}

/* Parts of 0..23 as (2,3,4): an element's value says where it came from. */
static void parts_by_hand(void **state) {
    (void)state;
    double x[24], y[48];
    static const int32_t two[] = {2, 0}, beyond[] = {0, 3};
    for (int i = 0; i < 24; i++) x[i] = i;
    const struct mb_type cube = pb_type(MB_F64, 3, 2, 3, 4, 0);
    static const struct {
        enum mb_op op;
        union mb_attr attr;
        int count;
        double y[12];
    } cases[] = {
        {MB_OP_SLICE,
         {.slice = {0, 1, 1, 1}},
         12,
         {12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}},
        {MB_OP_SLICE, {.slice = {1, 2, -2, 2}}, 12, {8, 9, 10, 11, 0, 1, 2, 3, 20, 21, 22, 23}},
        {MB_OP_SLICE, {.slice = {2, 3, -3, 2}}, 12, {3, 0, 7, 4, 11, 8, 15, 12, 19, 16, 23, 20}},
        {MB_OP_GATHER, {.gather = {1, 0}}, 12, {8, 9, 10, 11, 0, 1, 2, 3, 20, 21, 22, 23}},
        {MB_OP_GATHER, {.gather = {2, 0}}, 12, {2, 0, 6, 4, 10, 8, 14, 12, 18, 16, 22, 20}},
        {MB_OP_GATHER, {.gather = {1, 1}}, 8, {8, 9, 10, 11, 12, 13, 14, 15}}, /* one per row */
        {MB_OP_CONCAT, {.axis = {2}}, 8, {0, 1, 2, 3, 0, 1, 2, 3}},
        {MB_OP_CONCAT, {.axis = {0}}, 4, {0, 1, 2, 3}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pb pb;
        pb_init(&pb);
        const uint32_t a = pb_param(&pb, MB_INPUT, cube);
        const uint32_t k = pb_param(&pb, MB_INPUT, pb_type(MB_I32, 1, 2, 0, 0, 0));
        const bool gathers = cases[i].op == MB_OP_GATHER;
        pb_output(&pb, pb_node(&pb, cases[i].op, a, gathers ? k : a, cases[i].attr));
        run(&pb, (const void *[]){x, two}, y);
        expect(y, cases[i].y, cases[i].count);
        if (!gathers || cases[i].attr.gather.axis != 1) continue;
        struct mb_err err;
        double *outputs[] = {y};
        assert_int_equal(mb_reference_run(pb_done(&pb), (const void *[]){x, beyond}, outputs, &err),
                         MB_E_NUMERIC);
        assert_non_null(strstr(err.text, "E6001"));
    }
}

static void computed_by_hand(void **state) {
    (void)state;
    struct pb pb;
    static double y[20000];
    pb_init(&pb);
    pb_output(&pb, pb_computed(&pb, MB_OP_EYE, pb_type(MB_I32, 2, 2, 3, 0, 0),
                               (union mb_attr){.fill = {0}}));
    run(&pb, NULL, y);
    expect(y, (double[]){1, 0, 0, 0, 1, 0}, 6);
    pb_init(&pb);
    pb_output(&pb, pb_computed(&pb, MB_OP_RANGE, pb_type(MB_F64, 1, 4, 0, 0, 0),
                               (union mb_attr){.range = {1, 0.25, 2}}));
    run(&pb, NULL, y);
    expect(y, (double[]){1, 1.25, 1.5, 2}, 4);   /* the last one is what was said */
    for (int normal = 0; normal < 2; normal++) { /* moments of 20000 values */
        pb_init(&pb);
        pb_output(&pb, pb_computed(&pb, normal ? MB_OP_NORMAL : MB_OP_UNIFORM,
                                   pb_type(MB_F64, 1, 20000, 0, 0, 0),
                                   (union mb_attr){.random = {3, 2, 1, 1}}));
        run(&pb, NULL, y);
        double mean = 0, variance = 0;
        for (int i = 0; i < 20000; i++) mean += y[i] / 20000;
        for (int i = 0; i < 20000; i++) variance += (y[i] - mean) * (y[i] - mean) / 20000;
        assert_true(fabs(mean - (normal ? 3 : 4)) < 0.06);
        assert_true(fabs(variance - (normal ? 4 : 1.0 / 3)) < (normal ? 0.16 : 0.01));
    }
}

static void constants_are_rounded(void **state) {
    (void)state;
    static const int64_t dense[] = {-3, 4000000000};
    struct pb pb;
    double y[2];
    pb_init(&pb);
    pb_output(&pb, pb_fill(&pb, pb_f32(1, 2, 0, 0, 0), 0.1));
    run(&pb, NULL, y);
    expect(y, (double[]){(double)0.1f, (double)0.1f}, 2);
    pb_init(&pb);
    pb_output(&pb, pb_dense(&pb, pb_type(MB_I64, 1, 2, 0, 0, 0), dense));
    run(&pb, NULL, y);
    expect(y, (double[]){-3, 4e9}, 2);
}

static void matmul_by_hand(void **state) {
    (void)state;
    static const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 0, -1, 2, 1, 1};
    struct pb pb;
    double y[4];
    pb_init(&pb); /* (2,3) by (3,2) */
    uint32_t x = pb_param(&pb, MB_INPUT, pb_f32(2, 2, 3, 0, 0));
    uint32_t w = pb_param(&pb, MB_WEIGHT, pb_f32(2, 3, 2, 0, 0));
    pb_output(&pb, pb_binary(&pb, MB_OP_MATMUL, x, w));
    run(&pb, (const void *[]){a, b}, y);
    expect(y, (double[]){2, 7, 5, 16}, 4);
    pb_init(&pb); /* (3) by (3) */
    x = pb_param(&pb, MB_INPUT, pb_f32(1, 3, 0, 0, 0));
    w = pb_param(&pb, MB_INPUT, pb_f32(1, 3, 0, 0, 0));
    pb_output(&pb, pb_binary(&pb, MB_OP_MATMUL, x, w));
    run(&pb, (const void *[]){a, b}, y);
    expect(y, (double[]){-2}, 1);
}

static void conv2d_by_hand(void **state) {
    (void)state;
    /* 1 2 3
     * 4 5 6 with the 2x2 filter 1 2 / 3 4, padded by one row above and one column to the left */
    static const float x[] = {1, 2, 3, 4, 5, 6}, w[] = {1, 2, 3, 4};
    for (int layout = MB_NCHW; layout <= MB_NHWC; layout++) {
        struct pb pb;
        double y[6];
        const bool nchw = layout == MB_NCHW;
        const union mb_attr attr = {.conv = {.layout = (enum mb_layout)layout,
                                             .padding = MB_PAD_CUSTOM,
                                             .stride = {1, 1},
                                             .pad_before = {1, 1}}};
        pb_init(&pb);
        uint32_t image =
            pb_param(&pb, MB_INPUT, nchw ? pb_f32(4, 1, 1, 2, 3) : pb_f32(4, 1, 2, 3, 1));
        uint32_t filter =
            pb_param(&pb, MB_WEIGHT, nchw ? pb_f32(4, 1, 1, 2, 2) : pb_f32(4, 2, 2, 1, 1));
        pb_output(&pb, pb_node(&pb, MB_OP_CONV2D, image, filter, attr));
        run(&pb, (const void *[]){x, w}, y);
        expect(y, (double[]){4, 11, 18, 18, 37, 47}, 6);
    }
}

static void pools_by_hand(void **state) {
    (void)state;
    static const float x[] = {1, 2, 3, 4, 5, 6, 7, 8, NAN};
    struct pb pb;
    double y[4];
    pb_init(&pb);
    uint32_t image = pb_param(&pb, MB_INPUT, pb_f32(4, 1, 1, 3, 3));
    pb_output(&pb, pb_pool(&pb, MB_OP_MAXPOOL2D, image, MB_NCHW, 2, 1));
    run(&pb, (const void *[]){x}, y);
    expect(y, (double[]){5, 6, 8, nan_value}, 4);
    pb_init(&pb);
    image = pb_param(&pb, MB_INPUT, pb_f32(4, 1, 1, 3, 3));
    pb_output(&pb, pb_pool(&pb, MB_OP_AVGPOOL2D, image, MB_NCHW, 2, 1));
    run(&pb, (const void *[]){x}, y);
    expect(y, (double[]){3, 4, 6, nan_value}, 4);
}

static void axes_by_hand(void **state) {
    (void)state;
    static const float x[] = {1, 2, 3, 4, 5, 6};
    static const struct {
        enum mb_op op;
        union mb_attr attr;
        double y[6];
        int count;
    } cases[] = {
        {MB_OP_SUM, {.reduce = {1, false}}, {5, 7, 9}, 3},
        {MB_OP_SUM, {.reduce = {2, true}}, {6, 15}, 2},
        {MB_OP_SUM, {.reduce = {3, false}}, {21}, 1},
        {MB_OP_MEAN, {.reduce = {2, false}}, {2, 5}, 2},
        {MB_OP_PROD, {.reduce = {1, false}}, {4, 10, 18}, 3},
        {MB_OP_PROD, {.reduce = {3, true}}, {720}, 1},
        {MB_OP_REDUCE_MAX, {.reduce = {2, false}}, {3, 6}, 2},
        {MB_OP_REDUCE_MIN, {.reduce = {1, true}}, {1, 2, 3}, 3},
        {MB_OP_LOG_SOFTMAX,
         {.axis = {1}},
         {-2.4076059644443801, -1.4076059644443802, -0.40760596444438024, -2.4076059644443801,
          -1.4076059644443802, -0.40760596444438024},
         6},
        {MB_OP_TRANSPOSE, {.perm = {{1, 0}}}, {1, 4, 2, 5, 3, 6}, 6},
        {MB_OP_SOFTMAX,
         {.axis = {1}},
         {0.090030573170380462, 0.24472847105479767, 0.66524095577482190, 0.090030573170380462,
          0.24472847105479767, 0.66524095577482190},
         6},
        {MB_OP_SOFTMAX,
         {.axis = {0}},
         {0.047425873177566781, 0.047425873177566781, 0.047425873177566781, 0.95257412682243325,
          0.95257412682243325, 0.95257412682243325},
         6},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pb pb;
        double y[6];
        pb_init(&pb);
        uint32_t a = pb_param(&pb, MB_INPUT, pb_f32(2, 2, 3, 0, 0));
        pb_output(&pb, pb_node(&pb, cases[i].op, a, 0, cases[i].attr));
        run(&pb, (const void *[]){x}, y);
        expect(y, cases[i].y, cases[i].count);
    }
}

static void extremes(void **state) {
    (void)state;
    static const double x[] = {1000, 1001, -HUGE_VAL};
    struct pb pb;
    double y[3];
    pb_init(&pb);
    uint32_t a = pb_param(&pb, MB_INPUT, pb_type(MB_F64, 1, 3, 0, 0, 0));
    pb_output(&pb, pb_node(&pb, MB_OP_SOFTMAX, a, 0, (union mb_attr){.axis = {0}}));
    run(&pb, (const void *[]){x}, y);
    expect(y, (double[]){0.26894142136999512, 0.73105857863000488, 0}, 3);
    assert_true(y[2] == 0 && y[0] < inf);
}

/* ---- a second implementation ---- */

/* Element of a row-major tensor of rank 4. */
static double at4(const struct mb_shape *s, const double *x, int64_t a, int64_t b, int64_t c,
                  int64_t d) {
    return x[((a * s->dim[1] + b) * s->dim[2] + c) * s->dim[3] + d];
}

static void **data_of(struct pb *pb) { return pb_data(pb_done(pb), 20); }

/* Batched product with broadcast leading axes: (5,1,3,4) by (2,4,6) is (5,2,3,6). */
static void matmul_by_definition(void **state) {
    (void)state;
    struct pb pb;
    double y[5 * 2 * 3 * 6];
    pb_init(&pb);
    uint32_t a = pb_param(&pb, MB_INPUT, pb_type(MB_F64, 4, 5, 1, 3, 4));
    uint32_t b = pb_param(&pb, MB_INPUT, pb_type(MB_F64, 3, 2, 4, 6, 0));
    pb_output(&pb, pb_binary(&pb, MB_OP_MATMUL, a, b));
    void **data = data_of(&pb);
    run(&pb, (const void *const *)data, y);
    const double *x = data[0], *w = data[1];
    for (int i = 0; i < 5 * 2 * 3 * 6; i++) {
        const int j = i % 6, m = i / 6 % 3, inner = i / 18 % 2, outer = i / 36;
        double dot = 0;
        for (int k = 3; k >= 0; k--) dot += x[(outer * 3 + m) * 4 + k] * w[(inner * 4 + k) * 6 + j];
        if (fabs(dot - y[i]) > 1e-14) fail_msg("[%d] is %.17g, expected %.17g", i, y[i], dot);
    }
    pb_data_free(&pb.program, data);
}

/* Strided, padded convolution, gathered output by output; NHWC must equal NCHW transposed. */
static void conv2d_by_definition(void **state) {
    (void)state;
    struct pb pb;
    enum { N = 2, C = 3, H = 7, W = 6, K = 4, R = 3, S = 2, P = 4, Q = 4 };
    static double y[2][N * K * P * Q];
    pb_init(&pb);
    uint32_t x = pb_param(&pb, MB_INPUT, pb_type(MB_F64, 4, N, C, H, W));
    uint32_t w = pb_param(&pb, MB_WEIGHT, pb_type(MB_F64, 4, K, C, R, S));
    pb_output(&pb, pb_conv(&pb, x, w, MB_NCHW, 2, 1));
    void **data = data_of(&pb);
    run(&pb, (const void *const *)data, y[0]);
    const struct mb_shape xs = pb.params[0].type.shape, ws = pb.params[1].type.shape;
    for (int i = 0; i < N * K * P * Q; i++) {
        const int ox = i % Q, oy = i / Q % P, k = i / Q / P % K, n = i / Q / P / K;
        double sum = 0;
        for (int t = 0; t < C * R * S; t++) {
            const int s = t % S, r = t / S % R, c = t / S / R;
            const int iy = 2 * oy + r - 1, ix = 2 * ox + s - 1;
            if (iy >= 0 && iy < H && ix >= 0 && ix < W)
                sum += at4(&xs, data[0], n, c, iy, ix) * at4(&ws, data[1], k, c, r, s);
        }
        if (fabs(sum - y[0][i]) > 1e-14) fail_msg("[%d] is %.17g, expected %.17g", i, y[0][i], sum);
    }

    union mb_attr to_nhwc = {.perm = {{0, 2, 3, 1}}}, to_hwio = {.perm = {{2, 3, 1, 0}}};
    union mb_attr to_nchw = {.perm = {{0, 3, 1, 2}}};
    pb_init(&pb);
    x = pb_param(&pb, MB_INPUT, pb_type(MB_F64, 4, N, C, H, W));
    w = pb_param(&pb, MB_WEIGHT, pb_type(MB_F64, 4, K, C, R, S));
    uint32_t image = pb_node(&pb, MB_OP_TRANSPOSE, x, 0, to_nhwc);
    uint32_t filter = pb_node(&pb, MB_OP_TRANSPOSE, w, 0, to_hwio);
    uint32_t out = pb_conv(&pb, image, filter, MB_NHWC, 2, 1);
    pb_output(&pb, pb_node(&pb, MB_OP_TRANSPOSE, out, 0, to_nchw));
    run(&pb, (const void *const *)data, y[1]);
    expect(y[1], y[0], N * K * P * Q);
    pb_data_free(&pb.program, data);
}

/* ---- identities ---- */

/* The largest |value| of a program's only output. */
static double largest(struct pb *pb, size_t count) {
    void **data = data_of(pb);
    double *y = malloc(count * sizeof *y), max = 0;
    assert_non_null(y);
    run(pb, (const void *const *)data, y);
    for (size_t i = 0; i < count; i++) max = fabs(y[i]) > max ? fabs(y[i]) : max;
    free(y);
    pb_data_free(&pb->program, data);
    return max;
}

static void identities(void **state) {
    (void)state;
    struct pb pb;
    const struct mb_type square = pb_type(MB_F64, 2, 9, 9, 0, 0);
    double ones[81] = {0};
    for (int i = 0; i < 9; i++) ones[i * 10] = 1;

    pb_init(&pb); /* A I = A */
    uint32_t a = pb_param(&pb, MB_INPUT, square);
    uint32_t ai = pb_binary(&pb, MB_OP_MATMUL, a, pb_dense(&pb, square, ones));
    pb_output(&pb, pb_binary(&pb, MB_OP_SUB, ai, a));
    assert_true(largest(&pb, 81) == 0);

    pb_init(&pb); /* (A B)^T = B^T A^T */
    const union mb_attr swap = {.perm = {{1, 0}}};
    a = pb_param(&pb, MB_INPUT, square);
    uint32_t b = pb_param(&pb, MB_INPUT, square);
    uint32_t left = pb_node(&pb, MB_OP_TRANSPOSE, pb_binary(&pb, MB_OP_MATMUL, a, b), 0, swap);
    uint32_t at = pb_node(&pb, MB_OP_TRANSPOSE, a, 0, swap);
    uint32_t bt = pb_node(&pb, MB_OP_TRANSPOSE, b, 0, swap);
    pb_output(&pb, pb_binary(&pb, MB_OP_SUB, left, pb_binary(&pb, MB_OP_MATMUL, bt, at)));
    assert_true(largest(&pb, 81) < 1e-14);

    pb_init(&pb); /* softmax sums to 1 and does not see a shift */
    a = pb_param(&pb, MB_INPUT, square);
    uint32_t shifted =
        pb_binary(&pb, MB_OP_ADD, a, pb_fill(&pb, pb_type(MB_F64, 0, 0, 0, 0, 0), 5));
    uint32_t s = pb_node(&pb, MB_OP_SOFTMAX, a, 0, (union mb_attr){.axis = {0}});
    uint32_t t = pb_node(&pb, MB_OP_SOFTMAX, shifted, 0, (union mb_attr){.axis = {0}});
    pb_output(&pb, pb_binary(&pb, MB_OP_SUB, s, t));
    assert_true(largest(&pb, 81) < 1e-15);

    pb_init(&pb); /* 1x1 convolution is a product along channels */
    a = pb_param(&pb, MB_INPUT, pb_type(MB_F64, 4, 2, 3, 4, 5));
    b = pb_param(&pb, MB_WEIGHT, pb_type(MB_F64, 4, 1, 1, 5, 6));
    uint32_t conv = pb_conv(&pb, a, b, MB_NHWC, 1, 0);
    uint32_t product =
        pb_binary(&pb, MB_OP_MATMUL, a, pb_reshape(&pb, b, pb_type(MB_F64, 2, 5, 6, 0, 0)));
    pb_output(&pb, pb_binary(&pb, MB_OP_SUB, conv, product));
    assert_true(largest(&pb, 144) < 1e-15);
}

/* Sums in index order: the same bits whatever the threads. */
static void threads_change_nothing(void **state) {
    (void)state;
    struct pb pb;
    static double y[2][37 * 1100];
    pb_init(&pb);
    uint32_t a = pb_param(&pb, MB_INPUT, pb_f32(2, 37, 129, 0, 0));
    uint32_t b = pb_param(&pb, MB_WEIGHT, pb_f32(2, 129, 1100, 0, 0));
    pb_output(&pb, pb_binary(&pb, MB_OP_MATMUL, a, b));
    void **data = data_of(&pb);
    run(&pb, (const void *const *)data, y[0]);
    const float *x = data[0], *w = data[1];
    for (int i = 0; i < 37 * 1100; i++) {
        double sum = 0;
        for (int k = 0; k < 129; k++)
            sum += (double)x[i / 1100 * 129 + k] * (double)w[k * 1100 + i % 1100];
        y[1][i] = sum;
    }
    assert_memory_equal(y[0], y[1], sizeof y[0]);
    pb_data_free(&pb.program, data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary_by_hand),
        cmocka_unit_test(binary_by_hand),
        cmocka_unit_test(broadcast_by_hand),
        cmocka_unit_test(integers_by_hand),
        cmocka_unit_test(truth_by_hand),
        cmocka_unit_test(casts_by_hand),
        cmocka_unit_test(argmax_by_hand),
        cmocka_unit_test(parts_by_hand),
        cmocka_unit_test(computed_by_hand),
        cmocka_unit_test(constants_are_rounded),
        cmocka_unit_test(matmul_by_hand),
        cmocka_unit_test(conv2d_by_hand),
        cmocka_unit_test(pools_by_hand),
        cmocka_unit_test(axes_by_hand),
        cmocka_unit_test(extremes),
        cmocka_unit_test(matmul_by_definition),
        cmocka_unit_test(conv2d_by_definition),
        cmocka_unit_test(identities),
        cmocka_unit_test(threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
