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
#include <unistd.h>

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

/* What a note states: [0] the trace's, [1] the most percent that the fit may be off. */
enum {
    RATE,
    CV,
    D1,
    D10,
    D60,
    I50,
    I90,
    I99,
    I999,
    IMEAN,
    IMAX,
    O50,
    O90,
    O99,
    O999,
    OMEAN,
    OMAX,
    N
};

static const char *const names[N] = {
    "rate",        "CV",         "dispersion 1 s", "dispersion 10 s", "dispersion 60 s",
    "input p50",   "input p90",  "input p99",      "input p99.9",     "input mean",
    "input max",   "output p50", "output p90",     "output p99",      "output p99.9",
    "output mean", "output max"};

static int by_size(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static double p999(const int32_t *tok, size_t n) {
    int32_t *sorted = malloc(n * sizeof *sorted);
    assert_non_null(sorted);
    memcpy(sorted, tok, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_size);
    double at = 0.999 * (double)(n - 1), low = floor(at);
    double value =
        sorted[(size_t)low] + (at - low) * (sorted[(size_t)low + 1] - sorted[(size_t)low]);
    free(sorted);
    return value;
}

static void measure(const rub_trace *t, double out[N]) {
    rub_trace_stats s;
    assert_int_equal(rub_trace_stats_of(t, &s, NULL), RUB_OK);
    const double all[N] = {s.rate_per_s,     s.arrival_cv,     s.dispersion_1s,
                           s.dispersion_10s, s.dispersion_60s, s.input.p50,
                           s.input.p90,      s.input.p99,      p999(t->input_tok, t->n_req),
                           s.input.mean,     s.input.max,      s.output.p50,
                           s.output.p90,     s.output.p99,     p999(t->output_tok, t->n_req),
                           s.output.mean,    s.output.max};
    memcpy(out, all, sizeof all);
}

/* The real trace has what the table says, where it is there. */
static void compare_real(const char *path, const double table[N][2]) {
    rub_trace_read_def def = rub_trace_read_default();
    rub_trace t = {0};
    double found[N];
    if (access(path, R_OK) != 0) {
        print_message("skipped: no ../shared\n");
        return;
    }
    assert_int_equal(rub_trace_read(path, &def, &t, NULL, NULL), RUB_OK);
    measure(&t, found);
    for (int k = 0; k < N; k++)
        near(found[k], table[k][0], 0.1, names[k]);
    rub_trace_clear(&t);
}

/* Mean over traces as long as the real one: windows of a minute are few in an hour, so that one
 * trace says little. */
static void compare_preset(const char *preset, size_t n_req, const double table[N][2]) {
    enum { SEEDS = 48 };
    double mean[N] = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        rub_trace_make_def def = rub_trace_make_default();
        rub_trace t = {0};
        double found[N];
        assert_int_equal(rub_trace_preset(preset, &def, NULL), RUB_OK);
        def.n_req = n_req;
        def.seed = seed;
        assert_int_equal(rub_trace_make(&def, &t, NULL), RUB_OK);
        measure(&t, found);
        for (int k = 0; k < N; k++)
            mean[k] += found[k] / SEEDS;
        rub_trace_clear(&t);
    }
    for (int k = 0; k < N; k++)
        near(mean[k], table[k][0], table[k][1], names[k]);
}

static void presets_are_as_near_as_their_notes_say(void **state) {
    (void)state;
    static const double conv[N][2] = {
        {5.5302, 1}, {1.0942, 2}, {1.385, 4},   {3.857, 7},  {16.13, 6}, {1020, 1},
        {2734.5, 2}, {4142, 2},   {6179.15, 3}, {1154.7, 1}, {14050, 8}, {129, 1},
        {424, 1},    {601, 3},    {954, 2},     {211.13, 1}, {1000, 1}};
    static const double code[N][2] = {
        {2.5664, 2}, {13.151, 4}, {13.186, 5},  {71.64, 8},  {163.96, 6}, {1469, 1},
        {5187.6, 1}, {7436, 1},   {7437, 1},    {2047.8, 1}, {7437, 1},   {13, 1},
        {55, 2},     {251.46, 4}, {825.274, 6}, {27.88, 4},  {1899, 12}};
    compare_real(RUB_ROOT "/../shared/data/traces/azure_2023_conv.csv.gz", conv);
    compare_real(RUB_ROOT "/../shared/data/traces/azure_2023_code.csv.gz", code);
    compare_preset("azure-conv", 19366, conv);
    compare_preset("azure-code", 8819, code);
}

/* A factor of standard deviation sd and time constant tau over Poisson arrivals of rate r: counts in
 * windows w have variance over mean 1 + 2 r / w * sum over both times of (exp(sd^2 exp(-t / tau)) -
 * 1), by integration over the window; here in windows much shorter and about as long as tau. A gate
 * adds off / on in short windows. */
static double expected_dispersion(double sd, double tau, double gate, double decay, double rate,
                                  double w) {
    double sum = 0.0;
    enum { STEPS = 20000 };
    for (int i = 0; i < STEPS; i++) {
        double t = w * (i + 0.5) / STEPS;
        sum += (1 - t / w) * (exp(sd * sd * exp(-t / tau)) * (1 + gate * exp(-t / decay)) - 1);
    }
    return 1 + 2 * rate * sum * w / STEPS;
}

static void modulated_counts_are_as_dispersed_as_theory_says(void **state) {
    (void)state;
    static const struct {
        double sd, tau_s, on_s, off_s;
    } cases[] = {{0.5, 20, 0, 0}, {1.0, 5, 0, 0}, {0, 0, 10, 30}, {0.4, 10, 8, 4}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        rub_trace_make_def def = rub_trace_make_default();
        def.rate_per_s = 10.0;
        def.n_req = 1000000;
        def.modulation = (rub_modulation){.n = cases[c].sd > 0,
                                          .sd = {cases[c].sd},
                                          .tau_s = {cases[c].tau_s},
                                          .on_s = cases[c].on_s,
                                          .off_s = cases[c].off_s};
        double on = cases[c].on_s, off = cases[c].off_s;
        double gate = on > 0 ? off / on : 0.0, decay = on > 0 ? on * off / (on + off) : 1.0;
        double tau = cases[c].tau_s > 0 ? cases[c].tau_s : 1.0;
        rub_trace_stats s = stats_of(&def);
        near(s.rate_per_s, 10.0, 0.5, "rate");
        near(s.dispersion_1s, expected_dispersion(cases[c].sd, tau, gate, decay, 10, 1), 5, "1 s");
        near(s.dispersion_10s, expected_dispersion(cases[c].sd, tau, gate, decay, 10, 10), 6,
             "10 s");
        near(s.dispersion_60s, expected_dispersion(cases[c].sd, tau, gate, decay, 10, 60), 8,
             "60 s");
    }
}

/* However short the trace, its mean rate is the one asked for, up to the arrivals' own chance. */
static void a_short_modulated_trace_has_the_rate_asked_for(void **state) {
    (void)state;
    double worst = 0.0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        rub_trace_make_def def = rub_trace_make_default();
        assert_int_equal(rub_trace_preset("azure-conv", &def, NULL), RUB_OK);
        def.seed = seed;
        def.rate_per_s = 20.0;
        def.n_req = 0;
        def.duration_s = 120.0;
        rub_trace t = {0};
        assert_int_equal(rub_trace_make(&def, &t, NULL), RUB_OK);
        worst = fmax(worst, fabs((double)t.n_req / 2400.0 - 1.0));
        assert_true(t.arrival_s[t.n_req - 1] <= 120.0);
        rub_trace_clear(&t);
    }
    assert_true(worst < 0.08); /* four standard deviations of 2,400 arrivals */
}

static void quantiles_of_lengths_are_those_given(void **state) {
    (void)state;
    rub_trace_make_def def = rub_trace_make_default();
    def.n_req = 400000;
    def.input = (rub_lengths){
        .n_quantile = 4, .prob = {0, 0.5, 0.9, 1}, .tok = {100, 200, 1000, 1000}, .max_tok = 5000};
    rub_trace_stats s = stats_of(&def);
    near(s.input.p50, 200, 1, "p50");
    near(s.input.p90, 1000, 1, "p90");
    near(s.input.mean, 0.5 * 150 + 0.4 * 600 + 0.1 * 1000, 1, "mean");
    assert_true(s.input.max == 1000);
    def.input.tok[1] = 1001;
    rub_trace t = {0};
    assert_int_equal(rub_trace_make(&def, &t, NULL), RUB_INVALID);
    def.input.tok[1] = 200;
    def.modulation = (rub_modulation){.n = 1, .sd = {0.5}, .tau_s = {1e-4}};
    assert_int_equal(rub_trace_make(&def, &t, NULL), RUB_INVALID);
    def.modulation = (rub_modulation){.on_s = 5, .off_s = 0};
    assert_int_equal(rub_trace_make(&def, &t, NULL), RUB_INVALID);
}

/* The same bytes from every compiler and machine (docs/decisions/001): FNV-1a of times in ns and
 * lengths, seen with gcc and clang. */
static void presets_are_the_same_everywhere(void **state) {
    (void)state;
    static const uint64_t golden[] = {0x59fa34ef24129959u, 0xd2bb6d5e3aba4b07u};
    for (int p = 0; p < 2; p++) {
        rub_trace_make_def def = rub_trace_make_default();
        assert_int_equal(rub_trace_preset(rub_trace_presets[p], &def, NULL), RUB_OK);
        def.n_req = 5000;
        rub_trace t = {0};
        assert_int_equal(rub_trace_make(&def, &t, NULL), RUB_OK);
        uint64_t hash = 0xcbf29ce484222325u;
        for (size_t i = 0; i < t.n_req; i++) {
            int64_t part[] = {llrint(t.arrival_s[i] * 1e9), t.input_tok[i], t.output_tok[i]};
            for (int k = 0; k < 3; k++)
                hash = (hash ^ (uint64_t)part[k]) * 0x100000001b3u;
        }
        if (hash != golden[p])
            fail_msg("%s: 0x%016llx", rub_trace_presets[p], (unsigned long long)hash);
        rub_trace_clear(&t);
    }
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
        cmocka_unit_test(modulated_counts_are_as_dispersed_as_theory_says),
        cmocka_unit_test(a_short_modulated_trace_has_the_rate_asked_for),
        cmocka_unit_test(quantiles_of_lengths_are_those_given),
        cmocka_unit_test(presets_are_the_same_everywhere),
        cmocka_unit_test(unknown_preset_names_the_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
