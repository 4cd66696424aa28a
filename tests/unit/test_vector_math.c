/* The vectorised functions against the C library's double ones, over the whole range of f32. */
#include "vector_math.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double normal_cdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }

static const struct function {
    const char *name;
    float (*of)(float);
    double (*exact)(double);
    double ulps;  /* largest error in units of the last place */
    double floor; /* below, only to be below twice this as well */
} functions[] = {
    {"exp", mb_expf, exp, 1.1, 0},
    {"log", mb_logf, log, 1, 0},
    {"tanh", mb_tanhf, tanh, 1.5, 0},
    {"sigmoid", mb_sigmoidf, sigmoid, 2.5, 1.2e-38},
    {"Phi", mb_normal_cdff, normal_cdf, 8, 1e-4},
    {"Phi's tail", mb_normal_cdff, normal_cdf, 40, 1e-20},
};

static int check(const struct function *f, float x) {
    const double exact = f->exact((double)x);
    const float y = f->of(x), rounded = (float)exact;
    double error = 0;
    if (isnan(rounded) || isinf(rounded))
        error = isnan(rounded) ? (isnan(y) ? 0 : INFINITY) : y == rounded ? 0 : INFINITY;
    else if (fabs(exact) < f->floor)
        error = fabs((double)y) <= 2 * f->floor ? 0 : INFINITY;
    else if (exact == 0)
        error = y == 0 ? 0 : INFINITY;
    else
        error = fabs((double)y - exact) / fmax(ldexp(1, ilogb(exact) - 23), 0x1p-149);
    if (error <= f->ulps) return 0;
    fprintf(stderr, "%s(%.9g) = %.9g, not %.9g: %.1f ulp\n", f->name, (double)x, (double)y, exact,
            error);
    return 1;
}

static void errors_are_as_the_header_says(void **state) {
    (void)state;
    static const float special[] = {0.0f,  -0.0f,   INFINITY,   -INFINITY, NAN,      1.0f,
                                    -1.0f, 88.722f, 88.722839f, 88.73f,    -87.336f, -104.0f,
                                    90.0f, 1e30f,   -1e30f,     0.625f,    -0.625f};
    int wrong = 0;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        for (size_t k = 0; k < sizeof special / sizeof *special; k++)
            wrong += check(&functions[i], special[k]);
        for (uint64_t bits = 0; bits < (uint64_t)1 << 32; bits += 10007) {
            const float x = mb_float_of((uint32_t)bits);
            if (wrong < 20) wrong += check(&functions[i], x);
        }
    }
    assert_int_equal(wrong, 0);
}

static void zeros_keep_their_sign(void **state) {
    (void)state;
    assert_true(signbit(mb_tanhf(-0.0f)));
    assert_false(signbit(mb_tanhf(0.0f)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_as_the_header_says),
        cmocka_unit_test(zeros_keep_their_sign),
    };
    return cmocka_run_group_tests_name("vector_math", tests, NULL, NULL);
}
