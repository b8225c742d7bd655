/* ns (CPU time) per call of the compiled evaluator, on batches as a loaded replica sees them. */
#include "base/rng.h"
#include "rubato/perf.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N_BATCH = 4096, ROUNDS = 500, REPEATS = 7 };

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void fill(rub_batch *batch, int n) {
    rub_rng rng = rub_rng_make(1, 0);
    for (int i = 0; i < n; i++) {
        int64_t n_decode = 1 + (int64_t)rub_rng_below(&rng, 256);
        int64_t chunk = i % 8 ? 0 : 1 + (int64_t)rub_rng_below(&rng, 4096);
        batch[i] = (rub_batch){.n_tokens = n_decode + chunk,
                               .n_decode = n_decode,
                               .kv_decode = n_decode * (int64_t)rub_rng_below(&rng, 8000),
                               .n_prefill = chunk > 0,
                               .prefill_work2 = chunk * chunk};
    }
}

static void scene(const rub_catalog *catalog, const char *model_name, const char *accel_name,
                  int32_t tp, const rub_batch *batch) {
    const rub_model *model = NULL;
    const rub_accelerator *accel = NULL;
    rub_perf perf;
    if (rub_catalog_model(catalog, model_name, &model, NULL) != RUB_OK ||
        rub_catalog_accelerator(catalog, accel_name, &accel, NULL) != RUB_OK)
        return;
    rub_deployment d = rub_deployment_default(model, accel);
    d.tp = tp;
    double start = now_s();
    if (rub_perf_compile(&d, &perf, NULL) != RUB_OK)
        return;
    double compile_s = now_s() - start, ns[REPEATS], sum = 0.0;
    for (int r = 0; r < REPEATS; r++) {
        start = now_s();
        for (int k = 0; k < ROUNDS; k++)
            for (int i = 0; i < N_BATCH; i++)
                sum += rub_perf_duration(&perf, &batch[i]);
        ns[r] = (now_s() - start) * 1e9 / ((double)ROUNDS * N_BATCH);
    }
    qsort(ns, REPEATS, sizeof *ns, by_value);
    printf("perf_duration %-18s %-9s tp%d  min %6.2f ns  median %6.2f ns  compile %.3f ms  (sum "
           "%.6g)\n",
           model->name, accel->name, tp, ns[0], ns[REPEATS / 2], compile_s * 1e3, sum);
    rub_perf_clear(&perf);
}

int main(void) {
    static rub_batch batch[N_BATCH];
    rub_catalog *catalog = NULL;
    if (rub_catalog_load(&catalog, NULL) != RUB_OK)
        return 1;
    fill(batch, N_BATCH);
    scene(catalog, "llama-70b", "h100", 4, batch);
    scene(catalog, "deepseek-v3", "h200", 8, batch);
    scene(catalog, "gpt-oss-120b", "b200", 1, batch);
    scene(catalog, "glm-5", "b300", 8, batch);
    scene(catalog, "llama-4-maverick", "b200", 8, batch);
    rub_catalog_free(catalog);
    return 0;
}
