/* test_kernels NAME: every shape of the kernel's kind against FP64 loops. Exit status 0 passed, 1
 * failed, 77 skipped because neither this processor nor an emulation runs it.
 * Without a name: every row of kernels.def. */
#include "kernel_tester.h"

#include <stdio.h>
#include <string.h>

enum { PASSED = 0, FAILED = 1, SKIPPED = 77 };

static const struct kt_conv2d_scale conv2d_scale = {{1, 2, 3, 5}, KT_N_FILLS, 1600, 4000000};

static int test_kernel(const struct mb_cpu_kernel *row) {
    const struct mb_cpu_kernel *kernel = kt_runnable(row);
    if (!kernel) {
        printf("%s: skipped: this processor cannot run it and it was built without SIMDe\n",
               row->name);
        return SKIPPED;
    }
    kt_counts = (struct kt_counts){0, 0, 0};
    switch (kernel->kind) {
    case MB_STEP_MATMUL: kt_matmul_cases(kernel); break;
    case MB_STEP_CONV2D: kt_conv2d_cases(kernel, &conv2d_scale); break;
    }
    printf("%s: %ld cases, %ld unsupported, %ld failed\n", kernel->name, kt_counts.run,
           kt_counts.unsupported, kt_counts.failed);
    return kt_counts.failed || kt_counts.run == 0 ? FAILED : PASSED;
}

int main(int argc, char **argv) {
    int worst = PASSED;
    bool found = false;
    for (size_t i = 0; i < mb_cpu_n_kernels; i++) {
        if (argc > 1 && strcmp(mb_cpu_kernels[i]->name, argv[1]) != 0) continue;
        found = true;
        int result = test_kernel(mb_cpu_kernels[i]);
        if (result == FAILED || (result == SKIPPED && argc > 1)) worst = result;
    }
    if (!found) fprintf(stderr, "no kernel is called %s\n", argc > 1 ? argv[1] : "anything");
    return found ? worst : FAILED;
}
