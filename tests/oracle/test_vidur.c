/* The engines against another simulator: Vidur's per-request times on the Azure conversation trace
 * with the linear perf model (../shared/reference/vidur/README.md), to 1e-6 s, restarts equal. */
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

#include "base/file.h"
#include "rubato/serve.h"

#define SHARED RUB_ROOT "/../shared"

typedef struct reference {
    const char *file;
    rub_policy policy;
    double time_scale;
    int64_t kv_blocks;
    int32_t n_replica, pp;
} reference;

static const reference references[] = {
    {"sarathi_conv_1x", RUB_POLICY_SARATHI, 1.0, 20000, 1, 1},
    {"vllm_conv_1x", RUB_POLICY_VLLM_V0, 1.0, 20000, 1, 1},
    {"sarathi_conv_tight", RUB_POLICY_SARATHI, 0.8, 2600, 1, 1},
    {"vllm_conv_tight", RUB_POLICY_VLLM_V0, 0.8, 2600, 1, 1},
    {"sarathi_conv_rr4", RUB_POLICY_SARATHI, 0.25, 20000, 4, 1},
    {"sarathi_conv_pp2", RUB_POLICY_SARATHI, 0.7, 6000, 1, 2},
};

/* Compares row by row; columns: id, arrived, prefill, decode, scheduled, first token, end, restarts. */
static void compare(const reference *ref, const rub_serve_times *t) {
    char path[256], row[256];
    rub_file file = {0};
    snprintf(path, sizeof path, SHARED "/reference/vidur/%s.csv.gz", ref->file);
    assert_int_equal(rub_file_open(path, &file, NULL), RUB_OK);
    const char *p = memchr(file.data, '\n', file.n), *end = file.data + file.n;
    size_t n = 0;
    for (p++; p < end; n++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t length = (size_t)((stop ? stop : end) - p);
        double v[8];
        assert_true(length < sizeof row && n < t->n_req);
        memcpy(row, p, length);
        row[length] = '\0';
        assert_int_equal(sscanf(row, "%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf", &v[0], &v[1], &v[2], &v[3],
                                &v[4], &v[5], &v[6], &v[7]),
                         8);
        if (fabs(v[4] - t->scheduled_s[n]) > 1e-6 || fabs(v[5] - t->first_token_s[n]) > 1e-6 ||
            fabs(v[6] - t->finish_s[n]) > 1e-6 || (int)v[7] != t->restarts[n])
            fail_msg("%s, request %zu: %.9f %.9f %.9f %d, Vidur %s", ref->file, n,
                     t->scheduled_s[n], t->first_token_s[n], t->finish_s[n], t->restarts[n], row);
        p += length + 1;
    }
    assert_int_equal(n, t->n_req);
    rub_file_close(&file);
}

static void one(const reference *ref, rub_engine engine) {
    rub_trace trace = {0};
    rub_trace_read_def read = rub_trace_read_default();
    rub_serve_def def = rub_serve_default();
    rub_perf perf = {.kind = RUB_PERF_LINEAR, .linear = {6e-3, 2.2e-5, 8.2e-8, 3.4e-9}};
    rub_serve_times times = {0};
    rub_serve_totals *totals = malloc(sizeof *totals);
    read.time_scale = ref->time_scale;
    assert_int_equal(
        rub_trace_read(SHARED "/data/traces/azure_2023_conv.csv.gz", &read, &trace, NULL, NULL),
        RUB_OK);
    assert_int_equal(trace.n_req, 19366);
    def.policy = ref->policy;
    def.engine = engine;
    def.max_batch_tok = 16384;
    def.kv_blocks = ref->kv_blocks;
    def.n_replica = ref->n_replica;
    def.pp = ref->pp;
    assert_int_equal(rub_serve_times_init(&times, trace.n_req, NULL), RUB_OK);
    assert_int_equal(rub_serve_run(&trace, &perf, &def, NULL, &times, totals, NULL), RUB_OK);
    compare(ref, &times);
    rub_serve_times_clear(&times);
    rub_trace_clear(&trace);
    free(totals);
}

static void run(void **state, size_t i) {
    (void)state;
    if (access(SHARED "/reference/vidur/README.md", R_OK) != 0) {
        print_message("skipped: no ../shared\n");
        skip();
    }
    one(&references[i], RUB_ENGINE_FAST);
    one(&references[i], RUB_ENGINE_NAIVE);
    one(&references[i], RUB_ENGINE_WIDE);
}

static void sarathi(void **state) { run(state, 0); }
static void vllm_v0(void **state) { run(state, 1); }
static void sarathi_tight_memory(void **state) { run(state, 2); }
static void vllm_v0_tight_memory(void **state) { run(state, 3); }
static void sarathi_four_replicas(void **state) { run(state, 4); }
static void sarathi_two_pipeline_stages(void **state) { run(state, 5); }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sarathi),
        cmocka_unit_test(vllm_v0),
        cmocka_unit_test(sarathi_tight_memory),
        cmocka_unit_test(vllm_v0_tight_memory),
        cmocka_unit_test(sarathi_four_replicas),
        cmocka_unit_test(sarathi_two_pipeline_stages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
