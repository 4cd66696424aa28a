/* libopenblas.so.0 for tests: right, or off by one in one element where MB_FAKE is "wrong". */
#include <stdlib.h>
#include <string.h>

void openblas_set_num_threads(int n_threads);
void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                 const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);

static int threads;

void openblas_set_num_threads(int n_threads) { threads = n_threads; }

void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                 const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc) {
    const char *how = getenv("MB_FAKE");
    if (order != 101 || transpose_a != 111 || transpose_b != 111 || threads < 1) return;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int l = 0; l < k; l++) sum += (double)a[i * lda + l] * (double)b[l * ldb + j];
            c[i * ldc + j] = (float)((double)alpha * sum + (double)(beta * c[i * ldc + j]));
        }
    if (how && strcmp(how, "wrong") == 0) c[0] += 1;
}
