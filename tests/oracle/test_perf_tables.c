/* The compiled evaluator against the sum over operators, on random batches of many deployments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "rubato/perf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static rub_catalog *catalog;

static int load(void **state) {
    (void)state;
    return rub_catalog_load(&catalog, NULL) == RUB_OK ? 0 : 1;
}

static int unload(void **state) {
    (void)state;
    rub_catalog_free(catalog);
    return 0;
}

static int64_t log_uniform(rub_rng *rng, double most) {
    return (int64_t)exp(rub_rng_uniform(rng) * log(most));
}

static rub_batch random_batch(rub_rng *rng) {
    rub_batch b = {0};
    if (rub_rng_below(rng, 5) > 0) {
        b.n_decode = log_uniform(rng, 2000.0);
        b.kv_decode = b.n_decode * log_uniform(rng, 200000.0);
    }
    if (b.n_decode == 0 || rub_rng_below(rng, 2)) {
        b.n_prefill = 1 + (int64_t)rub_rng_below(rng, 8);
        for (int64_t i = 0; i < b.n_prefill; i++) {
            int64_t chunk = log_uniform(rng, 20000.0);
            int64_t done = rub_rng_below(rng, 2) ? log_uniform(rng, 100000.0) : 0;
            b.n_tokens += chunk;
            b.prefill_work2 += chunk * (2 * done + chunk);
            b.prefill_kv += done;
        }
    }
    b.n_tokens += b.n_decode;
    return b;
}

/* The deployment of model i on accelerator k with a tp that divides its heads; false: none. */
static bool deployment(int32_t i, int32_t k, int32_t tp, rub_deployment *out) {
    *out = rub_deployment_default(&catalog->model[i], &catalog->accelerator[k]);
    out->tp = tp;
    rub_deployment resolved;
    return rub_deployment_resolve(out, &resolved, NULL) == RUB_OK;
}

static void tables_agree_with_operators(void **state) {
    (void)state;
    rub_rng rng = rub_rng_make(7, 0);
    double worst = 0.0;
    int n = 0;
    for (int32_t i = 0; i < catalog->n_model; i++)
        for (int32_t tp = 1; tp <= 8; tp *= 8) {
            rub_deployment d;
            int32_t k = (int32_t)rub_rng_below(&rng, (uint64_t)catalog->n_accelerator);
            if (!deployment(i, k, tp, &d))
                continue;
            rub_perf perf;
            rub_calibration *calibration = NULL;
            assert_int_equal(rub_calibration_shipped(d.accel, &calibration, NULL), RUB_OK);
            d.calibration = calibration; /* read once, not for each batch */
            assert_int_equal(rub_perf_compile(&d, &perf, NULL), RUB_OK);
            for (int j = 0; j < 150; j++) {
                rub_batch b = random_batch(&rng);
                rub_perf_split split;
                assert_int_equal(rub_perf_operators(&d, &b, &split, NULL), RUB_OK);
                double off = fabs(rub_perf_duration(&perf, &b) / split.total_s - 1.0);
                if (!(off <= 1e-3))
                    fail_msg("%s on %d %s: %g off at %lld tokens", d.model->name, tp, d.accel->name,
                             off, (long long)b.n_tokens);
                worst = off > worst ? off : worst;
                n++;
            }
            rub_perf_clear(&perf);
            rub_calibration_free(calibration);
        }
    assert_true(n > 5000);
    print_message("# %d batches, largest difference %.3g\n", n, worst);
}

/* By the roofline more of anything never takes less time. Measured operators sometimes do (another
 * kernel, a fuller wave); twice as much takes a hundredth less at most. */
static void durations_never_fall(void **state) {
    (void)state;
    rub_rng rng = rub_rng_make(8, 0);
    for (int32_t i = 0; i < catalog->n_model; i++) {
        rub_deployment d;
        rub_perf perf;
        if (!deployment(i, 3, 1, &d))
            continue;
        d.level = RUB_LEVEL_ROOFLINE;
        assert_int_equal(rub_perf_compile(&d, &perf, NULL), RUB_OK);
        for (int j = 0; j < 300; j++) {
            rub_batch b = random_batch(&rng), more = b;
            int64_t context = log_uniform(&rng, 10000.0);
            switch (j % 3) {
            case 0: /* one more decode */
                more.n_decode++;
                more.n_tokens++;
                more.kv_decode += context;
                break;
            case 1: /* longer contexts */
                more.kv_decode += more.n_decode * context;
                break;
            default: /* one more prompt */
                more.n_prefill++;
                more.n_tokens += context;
                more.prefill_work2 += context * context;
            }
            double before = rub_perf_duration(&perf, &b), after = rub_perf_duration(&perf, &more);
            if (!(after >= before * (1.0 - 1e-12)))
                fail_msg("%s: %.12g then %.12g s (case %d)", d.model->name, before, after, j % 3);
        }
        rub_perf_clear(&perf);
    }
}

static void twice_the_work_never_takes_less(void **state) {
    (void)state;
    rub_rng rng = rub_rng_make(10, 0);
    for (int32_t i = 0; i < catalog->n_model; i++) {
        rub_deployment d;
        rub_perf perf;
        if (!deployment(i, (int32_t)rub_rng_below(&rng, 10), 1, &d))
            continue;
        assert_int_equal(rub_perf_compile(&d, &perf, NULL), RUB_OK);
        for (int j = 0; j < 300; j++) {
            rub_batch b = random_batch(&rng);
            rub_batch more = {2 * b.n_tokens,  2 * b.n_decode,      2 * b.kv_decode,
                              2 * b.n_prefill, 2 * b.prefill_work2, 2 * b.prefill_kv};
            double before = rub_perf_duration(&perf, &b), after = rub_perf_duration(&perf, &more);
            if (!(after >= 0.99 * before))
                fail_msg("%s on %s: %.12g then %.12g s", d.model->name, d.accel->name, before,
                         after);
        }
        rub_perf_clear(&perf);
    }
}

static void compiling_twice_gives_the_same_bits(void **state) {
    (void)state;
    rub_rng rng = rub_rng_make(9, 0);
    rub_deployment d;
    rub_perf a, b;
    assert_true(deployment(0, 2, 1, &d));
    assert_int_equal(rub_perf_compile(&d, &a, NULL), RUB_OK);
    assert_int_equal(rub_perf_compile(&d, &b, NULL), RUB_OK);
    for (int j = 0; j < 1000; j++) {
        rub_batch batch = random_batch(&rng);
        double x = rub_perf_duration(&a, &batch), y = rub_perf_duration(&b, &batch);
        assert_memory_equal(&x, &y, sizeof x);
        assert_true(isfinite(x) && x > 0.0);
    }
    rub_perf_clear(&a);
    rub_perf_clear(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_agree_with_operators),
        cmocka_unit_test(durations_never_fall),
        cmocka_unit_test(twice_the_work_never_takes_less),
        cmocka_unit_test(compiling_twice_gives_the_same_bits),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
