/* Training against published runs, closed forms and bad input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "rubato/perf.h"

static rub_catalog *catalog;

static int open_catalog(void **state) {
    (void)state;
    return rub_catalog_load(&catalog, NULL) == RUB_OK ? 0 : -1;
}

static int close_catalog(void **state) {
    (void)state;
    rub_catalog_free(catalog);
    return 0;
}

static rub_training_def define(const char *model, const char *accel, int64_t n) {
    const rub_model *m = NULL;
    const rub_accelerator *a = NULL;
    assert_int_equal(rub_catalog_model(catalog, model, &m, NULL), RUB_OK);
    assert_int_equal(rub_catalog_accelerator(catalog, accel, &a, NULL), RUB_OK);
    rub_training_def d = rub_training_default(m, a);
    d.n_accelerator = n;
    return d;
}

static void within(const char *what, double found, double expected, double most) {
    print_message("# %s: %.4g, published %.4g (%+.1f %%)\n", what, found, expected,
                  100.0 * (found / expected - 1.0));
    if (!(fabs(found / expected - 1.0) <= most))
        fail_msg("%s: found %g, expected %g within %g", what, found, expected, most);
}

/* The Llama 3 paper (arXiv 2407.21783), table 4. */
static void llama_3_reaches_its_published_mfu(void **state) {
    (void)state;
    static const struct {
        int64_t n, sequence;
        int32_t cp;
        double mfu;
    } stage[] = {{8192, 8192, 1, 0.43}, {16384, 8192, 1, 0.41}, {16384, 131072, 16, 0.38}};
    for (int i = 0; i < 3; i++) {
        rub_training_def d = define("llama-3.1-405b", "h100", stage[i].n);
        rub_training t;
        d.tp = 8;
        d.pp = 16;
        d.cp = stage[i].cp;
        d.sequence_tok = stage[i].sequence;
        d.batch_tok = 16 << 20;
        d.tokens = 15.6e12;
        assert_int_equal(rub_training_of(&d, &t, NULL), RUB_OK);
        within("Llama 3 405B, MFU", t.mfu_frac, stage[i].mfu, 0.10);
        /* "higher than 90 % effective training time" (section 3.3.4) */
        assert_true(t.goodput_frac > 0.90 && t.goodput_frac < 1.0);
    }
}

/* DeepSeek-V3 (arXiv 2412.19437, table 1): 2.664 M H800 hours for 14.8 T tokens. Its pipeline is
 * fed from both ends, which halves the bubble, as two interleaved stages do. */
static void deepseek_v3_takes_its_published_hours(void **state) {
    (void)state;
    rub_training_def d = define("deepseek-v3", "h800", 2048);
    rub_training t;
    d.pp = 16;
    d.ep = 64;
    d.virtual_stages = 2;
    d.sequence_tok = 4096;
    d.batch_tok = 15360 * 4096;
    d.tokens = 14.8e12;
    d.precision = RUB_FP8;
    assert_int_equal(rub_training_of(&d, &t, NULL), RUB_OK);
    within("DeepSeek-V3, H800 hours", t.accelerator_hours, 2.664e6, 0.10);
}

static void parts_add_up_and_failures_cost(void **state) {
    (void)state;
    rub_training_def d = define("llama-3.1-70b", "h100", 512);
    rub_training t, u;
    d.tp = 8;
    d.pp = 4;
    d.recompute_frac = 0.5;
    assert_int_equal(rub_training_of(&d, &t, NULL), RUB_OK);
    double sum = t.product_s + t.attention_s + t.stream_s + t.tensor_s + t.exchange_s +
                 t.context_s + t.data_s + t.bubble_s + t.optimiser_s;
    assert_true(fabs(sum / t.step_s - 1.0) < 1e-12);
    /* Young's interval is where the cost of checkpoints and of lost work is least */
    double cost = t.checkpoint_s / t.interval_s + 0.5 * t.interval_s / t.failure_s;
    for (double x = 0.5; x < 2.0; x += 0.25)
        assert_true(t.checkpoint_s / (x * t.interval_s) + 0.5 * x * t.interval_s / t.failure_s >=
                    cost * (1.0 - 1e-12));
    d.failures_per_accel_h = 0.0;
    assert_int_equal(rub_training_of(&d, &u, NULL), RUB_OK);
    assert_true(u.goodput_frac == 1.0 && isinf(u.interval_s) && u.wall_s < t.wall_s);
    assert_true(u.step_s == t.step_s);
    /* 6 N and attention: 70.6 B less the embedding's 1.05 B, causal attention 6 s h L */
    double expected = 6.0 * (70.6e9 - 1.05e9) + 6.0 * 8192.0 * 8192.0 * 80.0;
    within("FLOPs a token", t.model_flops / (double)d.batch_tok, expected, 0.01);
}

static void layouts_that_cannot_be_are_refused(void **state) {
    (void)state;
    rub_error err;
    rub_training t;
    rub_training_def good = define("llama-3.1-70b", "h100", 64), d = good;
    d.tp = 3;
    assert_int_equal(rub_training_of(&d, &t, &err), RUB_INVALID);
    d = good;
    d.tp = 16;
    assert_int_equal(rub_training_of(&d, &t, &err), RUB_INVALID);
    d = good;
    d.batch_tok = 8192;
    assert_int_equal(rub_training_of(&d, &t, &err), RUB_INVALID);
    d = good;
    d.precision = RUB_NVFP4;
    assert_int_equal(rub_training_of(&d, &t, &err), RUB_UNSUPPORTED);
    d = define("llama-3.1-8b", "a100", 8);
    d.precision = RUB_FP8; /* none on A100 */
    assert_int_equal(rub_training_of(&d, &t, &err), RUB_UNSUPPORTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(llama_3_reaches_its_published_mfu),
                                       cmocka_unit_test(deepseek_v3_takes_its_published_hours),
                                       cmocka_unit_test(parts_add_up_and_failures_cost),
                                       cmocka_unit_test(layouts_that_cannot_be_are_refused)};
    return cmocka_run_group_tests(tests, open_catalog, close_catalog);
}
