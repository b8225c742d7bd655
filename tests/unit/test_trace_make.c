/* Generators: the same definition gives the same trace; presets are as near to the Azure traces as
 * their notes say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rubato/trace.h"

static rub_trace_stats stats_of(const rub_trace_make_def *def) {
    rub_trace t = {0};
    rub_trace_stats s = {0};
    assert_int_equal(rub_trace_make(def, &t, NULL), RUB_OK);
    assert_int_equal(rub_trace_stats_of(&t, &s, NULL), RUB_OK);
    rub_trace_clear(&t);
    return s;
}

static void same_seed_same_trace(void **state) {
    (void)state;
    rub_trace_make_def def = rub_trace_make_default();
    rub_trace a = {0}, b = {0}, c = {0};
    assert_int_equal(rub_trace_make(&def, &a, NULL), RUB_OK);
    assert_int_equal(rub_trace_make(&def, &b, NULL), RUB_OK);
    def.seed++;
    assert_int_equal(rub_trace_make(&def, &c, NULL), RUB_OK);
    assert_memory_equal(a.arrival_s, b.arrival_s, a.n_req * sizeof(double));
    assert_memory_equal(a.input_tok, b.input_tok, a.n_req * sizeof(int32_t));
    assert_true(memcmp(a.arrival_s, c.arrival_s, a.n_req * sizeof(double)) != 0);
    rub_trace_clear(&a);
    rub_trace_clear(&b);
    rub_trace_clear(&c);
}

static void arrivals_have_the_rate_and_cv_asked_for(void **state) {
    (void)state;
    rub_trace_make_def def = rub_trace_make_default();
    def.n_req = 200000;
    def.rate_per_s = 7.0;
    rub_trace_stats s = stats_of(&def);
    assert_true(fabs(s.rate_per_s / 7.0 - 1.0) < 0.02 && fabs(s.arrival_cv - 1.0) < 0.02);
    def.arrivals = RUB_ARRIVALS_GAMMA;
    def.cv = 3.0;
    s = stats_of(&def);
    assert_true(fabs(s.rate_per_s / 7.0 - 1.0) < 0.04 && fabs(s.arrival_cv / 3.0 - 1.0) < 0.05);
    def.arrivals = RUB_ARRIVALS_DIURNAL;
    def.diurnal_frac = 0.8;
    def.day_s = 3600.0;
    def.n_req = 0;
    def.duration_s = 36000.0;
    s = stats_of(&def);
    assert_true(fabs(s.rate_per_s / 7.0 - 1.0) < 0.02);
    assert_true(s.peak_to_mean > 1.5 && s.peak_to_mean < 2.0); /* 1 + 0.8, less a bin's width */
}

static void near(double found, double wanted, double percent, const char *what) {
    if (fabs(found / wanted - 1.0) > percent / 100.0)
        fail_msg("%s: %g, the trace has %g, the note allows %g %%", what, found, wanted, percent);
}

/* Quantiles of the traces: ../shared/data/traces/README.md; limits: the presets' notes. */
static void presets_are_as_near_as_their_notes_say(void **state) {
    (void)state;
    rub_trace_make_def def = rub_trace_make_default();
    assert_int_equal(rub_trace_preset("azure-conv", &def, NULL), RUB_OK);
    def.n_req = 300000;
    rub_trace_stats s = stats_of(&def);
    near(s.input.p50, 1020, 3, "conv input p50");
    near(s.input.p90, 2734.5, 4, "conv input p90");
    near(s.input.p99, 4142, 3, "conv input p99");
    near(s.input.mean, 1154.7, 4, "conv input mean");
    near(s.output.p50, 129, 3, "conv output p50");
    near(s.output.p90, 424, 3, "conv output p90");
    near(s.output.p99, 601, 5, "conv output p99");
    near(s.output.mean, 211.1, 2, "conv output mean");
    near(s.rate_per_s, 5.53, 2, "conv rate");
    near(s.arrival_cv, 1.09, 2, "conv CV");
    assert_int_equal(rub_trace_preset("azure-code", &def, NULL), RUB_OK);
    s = stats_of(&def);
    near(s.input.p50, 1469, 3, "code input p50");
    near(s.input.p90, 5187.6, 8, "code input p90");
    near(s.input.p99, 7436, 2, "code input p99");
    near(s.input.mean, 2047.8, 2, "code input mean");
    near(s.output.p50, 13, 4, "code output p50");
    near(s.output.p90, 55, 11, "code output p90");
    near(s.output.p99, 251.5, 21, "code output p99");
    near(s.output.mean, 27.9, 7, "code output mean");
    near(s.rate_per_s, 2.57, 2, "code rate");
    near(s.arrival_cv, 13.15, 9, "code CV");
    near(s.dispersion_1s, 13.2, 30, "code dispersion in 1 s");
    near(s.dispersion_10s, 71.6, 30, "code dispersion in 10 s");
}

static void unknown_preset_names_the_known(void **state) {
    (void)state;
    rub_trace_make_def def = rub_trace_make_default();
    rub_error err = {0};
    assert_int_equal(rub_trace_preset("azure", &def, &err), RUB_NOT_FOUND);
    assert_string_equal(err.message,
                        "found preset 'azure', expected one of azure-conv, azure-code");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_trace),
        cmocka_unit_test(arrivals_have_the_rate_and_cv_asked_for),
        cmocka_unit_test(presets_are_as_near_as_their_notes_say),
        cmocka_unit_test(unknown_preset_names_the_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
