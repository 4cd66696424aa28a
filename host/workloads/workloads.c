#include "workloads.h"

#include <string.h>

/* Made by CMake from the .mind files: `static const char text_NAME[]`, NUL-terminated. */
#include "workload_texts.h"

#define WORKLOAD(name, summary)                                                                    \
    { #name, summary, text_##name, sizeof text_##name - 1 }

const struct mb_workload mb_workloads[] = {
    WORKLOAD(large_matmul_4096, "x @ W: (1, 4096) times 4096 x 4096"),
    WORKLOAD(mlp_batch32, "784 -> 512 -> 256 -> 10 perceptron, batch 32"),
    WORKLOAD(conv2d_inference, "two convolutions with pooling and a classifier, (8, 3, 64, 64)"),
};
const size_t mb_n_workloads = sizeof mb_workloads / sizeof *mb_workloads;

const struct mb_workload *mb_workload_find(const char *name) {
    for (size_t i = 0; i < mb_n_workloads; i++)
        if (strcmp(mb_workloads[i].name, name) == 0) return &mb_workloads[i];
    return NULL;
}
