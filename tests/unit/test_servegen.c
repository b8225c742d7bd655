/* Client mixes: rates, bursts, the curve over time and lengths come out as they were put in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rubato/trace.h"

#define SHARED RUB_ROOT "/../shared/data/traces/servegen_"

static void put(const char *folder, const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/x_%s.csv", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Two clients of 2 and 1 requests/s, Poisson, under a load that is three times as high in every second
 * ten minutes: 19,200 s hold 57,600 requests, two thirds of client 0, a quarter in the low half, a quarter
 * of 0 tokens, which become 1. Each within five standard deviations. */
static void a_mix_by_hand(void **state) {
    (void)state;
    char folder[] = "/tmp/rubato-servegen-XXXXXX", prefix[64];
    assert_non_null(mkdtemp(folder));
    put(folder, "clients", "client,rate,cv,max\n0,2,1,9\n1,1,1,9\n");
    put(folder, "rate_10min", "t_s,req_per_s\n0,1.5\n600,4.5\n");
    put(folder, "input_tokens_pmf", "value,prob\n7,1\n");
    put(folder, "output_tokens_pmf", "value,prob\n0,0.25\n30,0.75\n");
    snprintf(prefix, sizeof prefix, "%s/x", folder);
    rub_client_mix def = {.prefix = prefix, .duration_s = 19200, .seed = 7};
    rub_trace t, again;
    assert_int_equal(rub_trace_clients(&def, &t, NULL), RUB_OK);
    double n = (double)t.n_req, first = 0, low = 0, one = 0;
    for (size_t i = 0; i < t.n_req; i++) {
        first += t.tenant[i] == 0;
        low += fmod(t.arrival_s[i], 1200) < 600;
        one += t.output_tok[i] == 1;
        assert_true(t.input_tok[i] == 7 && (t.output_tok[i] == 1 || t.output_tok[i] == 30));
    }
    assert_true(fabs(n - 57600) < 5 * sqrt(57600));
    assert_true(fabs(first - 2 * n / 3) < 5 * sqrt(n * 2 / 9));
    assert_true(fabs(low - n / 4) < 5 * sqrt(n * 3 / 16));
    assert_true(fabs(one - n / 4) < 5 * sqrt(n * 3 / 16));
    assert_int_equal(rub_trace_clients(&def, &again, NULL), RUB_OK);
    assert_int_equal(again.n_req, t.n_req);
    assert_memory_equal(again.arrival_s, t.arrival_s, t.n_req * sizeof *t.arrival_s);
    rub_trace_clear(&again);
    def = (rub_client_mix){
        .prefix = prefix, .n_req = 500, .rate_per_s = 30, .from_s = 600, .seed = 7};
    assert_int_equal(rub_trace_clients(&def, &again, NULL), RUB_OK);
    assert_int_equal(again.n_req, 500); /* at 45 a second */
    assert_true(fabs(again.arrival_s[499] - 499.0 / 45) < 3);
    rub_trace_clear(&again);
    rub_trace_clear(&t);
    static const char *const name[] = {"clients", "rate_10min", "input_tokens_pmf",
                                       "output_tokens_pmf"};
    for (int k = 0; k < 4; k++) {
        char path[256];
        snprintf(path, sizeof path, "%s/x_%s.csv", folder, name[k]);
        unlink(path);
    }
    rmdir(folder);
}

/* Three hours of ServeGen's DeepSeek-R1 load from its fourth hour on: the curve's mean rate there, and
 * the mean lengths of its distributions; bursty, as its clients are. */
static void deepseek_r1(void **state) {
    (void)state;
    if (access(SHARED "reason_deepseek-r1_clients.csv", R_OK) != 0) {
        print_message("skipped: no ../shared\n");
        skip();
    }
    rub_client_mix def = {.prefix = SHARED "reason_deepseek-r1",
                          .from_s = 3 * 3600,
                          .duration_s = 3 * 3600,
                          .seed = 3};
    rub_trace t;
    rub_trace_stats stats;
    rub_error err = {0};
    if (rub_trace_clients(&def, &t, &err) != RUB_OK)
        fail_msg("%s", err.message);
    assert_int_equal(rub_trace_stats_of(&t, &stats, NULL), RUB_OK);
    print_message("# %zu requests, %.2f a second; %.0f and %.0f tokens on average; CV %.2f\n",
                  t.n_req, stats.rate_per_s, stats.input.mean, stats.output.mean, stats.arrival_cv);
    assert_true(fabs(stats.input.mean / 1595.6 - 1) < 0.03);
    assert_true(fabs(stats.output.mean / 1689.7 - 1) < 0.03);
    assert_true(fabs((double)t.n_req / 10800 / 20.0755 - 1) < 0.02); /* mean of the 18 rates */
    assert_true(stats.dispersion_1s > 1.2);
    rub_trace_clear(&t);
}

static void broken_files(void **state) {
    (void)state;
    rub_trace t;
    rub_error err = {0};
    rub_client_mix def = {.prefix = "/nowhere/x", .n_req = 1};
    assert_int_equal(rub_trace_clients(&def, &t, &err), RUB_IO);
    def.n_req = 0;
    assert_int_equal(rub_trace_clients(&def, &t, &err), RUB_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_mix_by_hand),
                                       cmocka_unit_test(deepseek_r1),
                                       cmocka_unit_test(broken_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
