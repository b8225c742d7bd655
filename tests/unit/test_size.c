/* Size: targets as they are written, fleets counted by hand, largest rates of a server whose queue
 * can be worked out on paper. */
#include "size/size.h"

#include "base/array.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void targets_are_read(void **state) {
    (void)state;
    rub_size_targets t = {0};
    rub_error err = {0};
    char text[32];
    assert_int_equal(rub_size_target_parse("ttft:p95=2s", &t, &err), RUB_OK);
    assert_int_equal(rub_size_target_parse("ITL:p99.9=120 ms", &t, &err), RUB_OK);
    assert_int_equal(rub_size_target_parse("e2e:max=1.5 min", &t, &err), RUB_OK);
    assert_int_equal(rub_size_target_parse("tpot:p50=0.04", &t, &err), RUB_OK);
    assert_int_equal(t.n, 4);
    assert_int_equal(t.target[0].measure, RUB_SIZE_TTFT);
    assert_true(fabs(t.target[0].quantile - 0.95) < 1e-12);
    assert_true(fabs(t.target[1].quantile - 0.999) < 1e-12);
    assert_true(fabs(t.target[1].limit_s - 0.12) < 1e-12);
    assert_true(t.target[2].quantile == 1.0 && t.target[2].limit_s == 90.0);
    assert_string_equal(rub_size_target_text(&t.target[1], text, sizeof text), "ITL p99.9");
    assert_string_equal(rub_size_target_text(&t.target[2], text, sizeof text), "E2E max");
    assert_int_equal(rub_size_target_parse("goodput:95%=ttft<500ms,tpot<0.1s", &t, &err), RUB_OK);
    assert_true(t.goodput_frac == 0.95 && t.good.ttft_s == 0.5 && t.good.tpot_s == 0.1);
    static const char *const wrong[] = {"ttft",
                                        "ttft:p95",
                                        "ttft:p0=1s",
                                        "ttft:p101=1s",
                                        "ttft:95=1s",
                                        "tpft:p95=1s",
                                        "ttft:p95=-1s",
                                        "ttft:p95=1h",
                                        "ttft:p95=1s x",
                                        "goodput:95%=",
                                        "goodput:0%=ttft<1s",
                                        "goodput:95=ttft<1s",
                                        "goodput:95%=itl<1s",
                                        "goodput:95%=ttft=1s",
                                        ""};
    for (size_t i = 0; i < RUB_LEN(wrong); i++) {
        rub_size_targets before = t;
        assert_int_equal(rub_size_target_parse(wrong[i], &t, &err), RUB_INVALID);
        assert_memory_equal(&before, &t, sizeof t);
    }
}

static void accelerators_are_counted(void **state) {
    (void)state;
    rub_accelerator a = {.node_size = 8};
    rub_size_trial t = {.gpus = 2, .c.accel = &a};
    rub_size_def def = rub_size_default();
    assert_int_equal(rub_size_accelerators(&def, &t, 3), 6);
    def.spare = 2; /* 3 that work and 2 that may fail */
    assert_int_equal(rub_size_accelerators(&def, &t, 3), 10);
    def.whole_nodes = true; /* 10 need two servers of 8 */
    assert_int_equal(rub_size_accelerators(&def, &t, 3), 16);
    def.spare = 1;
    assert_int_equal(rub_size_accelerators(&def, &t, 3), 8);
}

/* ---- a server on paper ----------------------------------------------------------------------- */

static const rub_accelerator one_of_eight = {.node_size = 8};

/* Requests of one token arrive evenly; an iteration takes 0.1 s whatever is in it, and takes one. */
typedef struct paper {
    rub_size_job job;
    rub_size_def def;
    rub_size_trial trial;
    rub_size_bench bench;
    rub_trace trace;
} paper;

static void paper_open(paper *p, size_t n, int32_t output_tok) {
    *p = (paper){.def = rub_size_default()};
    assert_int_equal(rub_trace_init(&p->trace, n, NULL), RUB_OK);
    for (size_t i = 0; i < n; i++) {
        p->trace.arrival_s[i] = (double)i;
        p->trace.input_tok[i] = 10;
        p->trace.output_tok[i] = output_tok;
    }
    p->trial.perf = (rub_perf){.kind = RUB_PERF_LINEAR, .linear = {.a_s = 0.1}};
    p->trial.c.accel = &one_of_eight;
    p->trial.gpus = 1;
    p->trial.c.pp = 1;
    p->trial.c.max_seqs = 1;
    p->trial.c.max_batch_tok = 1000;
    p->trial.memory.kv_blocks = 1000;
    p->trial.c.deployment.block_size_tok = 16;
    p->trial.c.bound_replicas = 1;
}

static void paper_load(paper *p) {
    p->job.def = &p->def;
    assert_int_equal(rub_size_load_init(&p->job.load, &p->trace, &p->def, 0, NULL), RUB_OK);
    assert_int_equal(rub_size_load_init(&p->job.short_load, &p->trace, &p->def, 0, NULL), RUB_OK);
    assert_int_equal(rub_size_bench_init(&p->bench, &p->job.load, NULL), RUB_OK);
}

static void paper_close(paper *p) {
    rub_size_load_clear(&p->job.load);
    rub_size_load_clear(&p->job.short_load);
    rub_size_bench_clear(&p->bench);
    rub_trace_clear(&p->trace);
}

/* One request each 0.1 s: 10 requests/s are held; at 10.04 (the next step of the grid) request i
 * waits 0.0004 i seconds, 0.08 s at the end of 200, so that a limit of 0.15 s is missed. */
static void largest_rate_by_hand(void **state) {
    (void)state;
    paper p;
    double rate;
    rub_size_verdict v;
    paper_open(&p, 200, 1);
    assert_int_equal(rub_size_target_add(&p.def.targets, RUB_SIZE_TTFT, 1.0, 0.15, NULL), RUB_OK);
    paper_load(&p);
    static const double guess[] = {0.0, 0.1, 9.9, 300.0};
    for (size_t i = 0; i < RUB_LEN(guess); i++) {
        assert_int_equal(rub_size_largest_rate(&p.job, &p.job.short_load, &p.trial, &p.bench, 1,
                                               0.0, guess[i], &rate, &v, NULL),
                         RUB_OK);
        assert_true(fabs(rate - exp2(425.0 / 128.0)) < 1e-9); /* 9.99 */
        assert_true(fabs(v.ttft.p99 - 0.1) < 1e-9 && v.holds);
    }
    assert_int_equal(rub_size_largest_rate(&p.job, &p.job.short_load, &p.trial, &p.bench, 1, 10.03,
                                           0.0, &rate, &v, NULL),
                     RUB_OK);
    assert_true(rate == 0.0 && !v.holds);
    /* twice the speed: twice the rate, and the limit is twice as far off */
    p.def.speed_frac = 2.0;
    assert_int_equal(rub_size_largest_rate(&p.job, &p.job.short_load, &p.trial, &p.bench, 1, 0.0,
                                           0.0, &rate, &v, NULL),
                     RUB_OK);
    assert_true(rate >= exp2((425.0 + 128.0) / 128.0) - 1e-9 && rate < 20.3);
    assert_true(v.ttft.p50 > 0.0499 && v.ttft.p50 < 0.12); /* 0.05 s, and a queue */
    paper_close(&p);
}

/* A rate of 25/s on servers that do 10/s: three hold it, two do not. With no target at all the
 * backlog alone tells: two servers end the 200 requests of 8 s at 10 s, a queue of 2 s where 1.4 s
 * are allowed. */
static void smallest_fleet_by_hand(void **state) {
    (void)state;
    for (int with_target = 0; with_target < 2; with_target++) {
        paper p;
        rub_size_verdict v;
        int32_t n;
        paper_open(&p, 200, 1);
        if (with_target)
            rub_size_target_add(&p.def.targets, RUB_SIZE_TTFT, 0.9, 0.12, NULL);
        paper_load(&p);
        p.job.rate_per_s = 25.0;
        assert_int_equal(
            rub_size_smallest_fleet(&p.job, &p.trial, &p.bench, INT32_MAX, &n, &v, NULL), RUB_OK);
        assert_int_equal(n, 3);
        assert_true(fabs(v.busy_frac - 25.0 / 30.0) < 0.02);
        assert_int_equal(rub_size_smallest_fleet(&p.job, &p.trial, &p.bench, 2, &n, &v, NULL),
                         RUB_OK);
        assert_int_equal(n, 0);
        assert_int_equal(p.trial.c.fate, RUB_SIZE_BEATEN);
        paper_close(&p);
    }
}

/* Ten tokens take 0.1 s for the first and 0.9 s for the rest: with a limit of 80 ms on TPOT no
 * number of servers helps, and the reason says so. */
static void hopeless_is_called_that(void **state) {
    (void)state;
    paper p;
    rub_size_verdict v;
    int32_t n;
    paper_open(&p, 200, 10);
    rub_size_target_add(&p.def.targets, RUB_SIZE_TPOT, 0.5, 0.08, NULL);
    paper_load(&p);
    p.job.rate_per_s = 1.0;
    assert_int_equal(rub_size_smallest_fleet(&p.job, &p.trial, &p.bench, INT32_MAX, &n, &v, NULL),
                     RUB_OK);
    assert_int_equal(n, 0);
    assert_int_equal(p.trial.c.fate, RUB_SIZE_MISSES);
    assert_non_null(strstr(p.trial.c.reason, "with each request alone, TPOT p50 is over 80 ms"));
    paper_close(&p);
}

/* Nine in ten requests have one token (0.1 s), each tenth has ten (1 s): shares within 0.5 s. */
static void goodput_by_hand(void **state) {
    (void)state;
    paper p;
    rub_size_verdict v;
    paper_open(&p, 200, 1);
    for (size_t i = 5; i < 200; i += 10)
        p.trace.output_tok[i] = 10;
    assert_int_equal(rub_size_target_parse("goodput:90%=e2e<500ms", &p.def.targets, NULL), RUB_OK);
    paper_load(&p);
    assert_int_equal(rub_size_simulate(&p.job, &p.job.load, &p.trial, &p.bench, 1, 0.5, &v, NULL),
                     RUB_OK);
    assert_true(v.holds && fabs(v.value_s - 0.9) < 1e-12 && fabs(v.stress - 1.0) < 1e-9);
    p.def.targets.goodput_frac = 0.91;
    assert_int_equal(rub_size_simulate(&p.job, &p.job.load, &p.trial, &p.bench, 1, 0.5, &v, NULL),
                     RUB_OK);
    assert_false(v.holds);
    paper_close(&p);
}

/* The work of a load on the paper server: 0.1 s an iteration; 200 requests of 10 tokens, one at a
 * time, are 2,000 iterations of which the bound must see the 1,800 decodes. */
static void bound_by_hand(void **state) {
    (void)state;
    paper p;
    paper_open(&p, 200, 10);
    paper_load(&p);
    double work = rub_size_work_s(&p.job.load, &p.trial);
    assert_true(fabs(work - 180.0) < 1e-6);
    p.trial.c.max_seqs = 4; /* four at a time: 450 iterations at least */
    assert_true(fabs(rub_size_work_s(&p.job.load, &p.trial) - 45.0) < 1e-6);
    p.trial.perf.linear = (rub_perf_linear){.a_s = 0.1, .b_s = 0.001, .c_s = 1e-5};
    /* + 200 * (10 + 9) tokens at 1 ms, + reads of 11 .. 19 tokens, 135 a request, at 10 us */
    double with = 45.0 + 3.8 + 200 * 135 * 1e-5;
    assert_true(fabs(rub_size_work_s(&p.job.load, &p.trial) - with) < 0.02 * with);
    assert_true(rub_size_work_s(&p.job.load, &p.trial) <= with + 1e-9);
    paper_close(&p);
}

/* Each form of a deployment that uses every flag; the YAML forms by their lines. */
static void launch_in_every_form(void **state) {
    (void)state;
    rub_model model = {.weights = RUB_BF16};
    rub_accelerator accel = {.name = "H200-SXM", .node_size = 8};
    rub_size_candidate c = {.accel = &accel, .tp = 2, .pp = 1, .ep = 8, .attention_dp = 4};
    c.deployment = (rub_deployment){.model = &model,
                                    .weights = RUB_FP8,
                                    .kv_cache = RUB_FP8,
                                    .gpu_memory_utilization = 0.9,
                                    .block_size_tok = 16};
    c.max_batch_tok = 8192;
    c.max_seqs = 128;
    c.replicas = 3;
    char *text;
    assert_int_equal(rub_size_launch(&c, "org/Some.Model", RUB_SIZE_VLLM, &text, NULL), RUB_OK);
    assert_string_equal(text,
                        "vllm serve org/Some.Model --tensor-parallel-size 2 --data-parallel-size 4 "
                        "--enable-expert-parallel --max-num-batched-tokens 8192 --max-num-seqs 128 "
                        "--gpu-memory-utilization 0.90 --block-size 16 --quantization fp8 "
                        "--kv-cache-dtype fp8\n");
    free(text);
    assert_int_equal(rub_size_launch(&c, "org/Some.Model", RUB_SIZE_SGLANG, &text, NULL), RUB_OK);
    assert_string_equal(text, "python3 -m sglang.launch_server --model-path org/Some.Model --tp 8 "
                              "--dp 4 --enable-dp-attention --ep 8 --chunked-prefill-size 8192 "
                              "--max-running-requests 128 --mem-fraction-static 0.90 "
                              "--quantization fp8 --kv-cache-dtype fp8_e4m3\n");
    free(text);
    assert_int_equal(rub_size_launch(&c, "org/Some.Model", RUB_SIZE_KUBERNETES, &text, NULL),
                     RUB_OK);
    static const char *const lines[] = {
        "\n  name: some-model\n",
        "\n  replicas: 3\n",
        "\n            - --tensor-parallel-size\n            - \"2\"\n",
        "\n            - --enable-expert-parallel\n            - --max-num-batched-tokens\n",
        "\n            - --kv-cache-dtype\n            - fp8\n          ports:\n",
        "\n              nvidia.com/gpu: 8\n"};
    for (size_t i = 0; i < RUB_LEN(lines); i++)
        if (!strstr(text, lines[i]))
            fail_msg("no '%s' in\n%s", lines[i], text);
    free(text);
    model.weights = RUB_FP8; /* published so: nothing to quantise */
    assert_int_equal(rub_size_launch(&c, "m", RUB_SIZE_HELM, &text, NULL), RUB_OK);
    assert_non_null(strstr(text, "      replicaCount: 3\n      requestGPU: 8\n"));
    assert_null(strstr(text, "quantization"));
    free(text);
}

/* Needs 1 to 10, each in one hour of ten. Reserved at 1, on demand at 2.5: the k-th is needed in
 * (11 - k) of 10 hours, worth it while that is over 0.4, so up to the 6th (0.5), not the 7th (0.4 is
 * as dear). Cost: 6 + 2.5 * (1 + 2 + 3 + 4) / 10 = 8.5. */
static void newsvendor_by_hand(void **state) {
    (void)state;
    int32_t need[10];
    for (int32_t h = 0; h < 10; h++)
        need[h] = 10 - h;
    rub_size_prices p = {.reserved_usd = 1.0, .on_demand_usd = 2.5};
    rub_size_commitment c;
    assert_int_equal(rub_size_commit(need, 10, &p, &c, NULL), RUB_OK);
    assert_int_equal(c.reserved, 6);
    assert_true(fabs(c.usd_per_h - 8.5) < 1e-12 && fabs(c.mean - 5.5) < 1e-12);
    assert_true(fabs(c.all_reserved_usd_per_h - 10) < 1e-12);
    assert_true(fabs(c.all_on_demand_usd_per_h - 13.75) < 1e-12);
    p.on_demand_usd = 0.9; /* never worth it */
    assert_int_equal(rub_size_commit(need, 10, &p, &c, NULL), RUB_OK);
    assert_int_equal(c.reserved, 0);
    /* hours that need 4 or 2, half of an hour's need may be spot at 0.5: 2 reserved leave 2 for spot
     * in the hours of 4 (2 + 1 = 3) and none in those of 2; 3 would cost 3.5 and 3 */
    for (int h = 0; h < 10; h++)
        need[h] = h < 5 ? 4 : 2;
    p = (rub_size_prices){1.0, 2.5, 0.5, 0.5};
    assert_int_equal(rub_size_commit(need, 10, &p, &c, NULL), RUB_OK);
    assert_int_equal(c.reserved, 2);
    assert_true(fabs(c.usd_per_h - (0.5 * 3.0 + 0.5 * 2.0)) < 1e-12);
    assert_int_equal(rub_size_commit(need, 0, &p, &c, NULL), RUB_INVALID);
}

/* A need that is uniform on 0..999: the closed form is the quantile at 1 - reserved / on demand. */
static void newsvendor_closed_form(void **state) {
    (void)state;
    enum { N = 1000 };
    static int32_t need[N];
    for (int32_t h = 0; h < N; h++)
        need[h] = (h * 617) % N;
    for (int k = 1; k < 10; k++) {
        rub_size_prices p = {.reserved_usd = 0.1 * k, .on_demand_usd = 1.0};
        rub_size_commitment c;
        assert_int_equal(rub_size_commit(need, N, &p, &c, NULL), RUB_OK);
        assert_true(abs(c.reserved - (N - 100 * k)) <= 1);
    }
}

/* ---- hours ----------------------------------------------------------------------------------- */

/* Servers of 10 requests/s: ceil(rate / 10) of them, wherever the rate is not near a multiple. With
 * more than 48 rates an hour may get what the next of 48 levels needs, never less than its own. */
static void hours_by_hand(void **state) {
    (void)state;
    enum { FEW = 5, MANY = 200 };
    static const double rate[FEW] = {5, 26, 13, 57, 26};
    static const int32_t need[FEW] = {1, 3, 2, 6, 3};
    rub_size_hour few[FEW], one[FEW], many[MANY];
    double rates[MANY];
    const rub_power power = {.idle_w = 100, .peak_w = 100};
    paper p;
    paper_open(&p, 600, 1);
    rub_size_target_add(&p.def.targets, RUB_SIZE_TTFT, 0.9, 0.12, NULL);
    assert_int_equal(
        rub_size_hours_trial(&p.trial, &power, &p.trace, &p.def, rate, FEW, NULL, few, NULL),
        RUB_OK);
    for (int h = 0; h < FEW; h++) {
        assert_int_equal(few[h].replicas, need[h]);
        assert_true(few[h].rate_per_s == rate[h]);
        assert_true(fabs(few[h].watts - 100 * need[h]) < 1e-9);
        assert_true(fabs(few[h].busy_frac - rate[h] / 10 / need[h]) < 0.03);
    }
    p.def.n_thread = 1;
    p.def.spare = 2;
    assert_int_equal(
        rub_size_hours_trial(&p.trial, &power, &p.trace, &p.def, rate, FEW, NULL, one, NULL),
        RUB_OK);
    for (int h = 0; h < FEW; h++)
        assert_int_equal(one[h].replicas, need[h] + 2);
    p.def.spare = 0;
    for (int h = 0; h < MANY; h++)
        rates[h] = 4.0 + 0.37 * ((h * 61) % MANY);
    assert_int_equal(
        rub_size_hours_trial(&p.trial, &power, &p.trace, &p.def, rates, MANY, NULL, many, NULL),
        RUB_OK);
    double step = pow((4.0 + 0.37 * (MANY - 1)) / 4.0, 1.0 / 47.0);
    for (int h = 0; h < MANY; h++) {
        /* a queue within the limit lets a server do a little over 10 */
        assert_true(many[h].replicas >= (int32_t)ceil(rates[h] / 10.3));
        assert_true(many[h].replicas <= (int32_t)ceil(rates[h] * step / 9.9));
    }
    rates[7] = 0.0;
    assert_int_equal(
        rub_size_hours_trial(&p.trial, &power, &p.trace, &p.def, rates, MANY, NULL, many, NULL),
        RUB_INVALID);
    rub_trace_clear(&p.trace);
}

static rub_status read_profile(const char *text, double **out, size_t *n, rub_error *err) {
    static const char path[] = "test_size_profile.tmp.csv";
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    rub_status status = rub_size_profile_read(path, out, n, err);
    remove(path);
    return status;
}

static void profiles_are_read(void **state) {
    (void)state;
    double *rate;
    size_t n;
    rub_error err = {0};
    assert_int_equal(read_profile("t_s,req_per_s\n0,5\n1800,7\n3599,6\n3600,2\n", &rate, &n, &err),
                     RUB_OK);
    assert_true(n == 2 && rate[0] == 7 && rate[1] == 2); /* the busiest row of an hour */
    free(rate);
    assert_int_equal(read_profile("hour,note,req_per_s\n0,a,5\n1,b,7.5\n", &rate, &n, &err),
                     RUB_OK);
    assert_true(n == 2 && rate[0] == 5 && rate[1] == 7.5);
    free(rate);
    static const char *const wrong[] = {"hour,rate\n0,5\n",           "hour,req_per_s\n0,5\n2,5\n",
                                        "hour,req_per_s\n1,5\n",      "hour,req_per_s\n0,x\n",
                                        "hour,req_per_s\n0,-1\n",     "hour,req_per_s\n0,0\n",
                                        "hour,req_per_s\n0,5\n0,5\n", "hour,req_per_s\n"};
    for (size_t i = 0; i < RUB_LEN(wrong); i++) {
        assert_int_not_equal(read_profile(wrong[i], &rate, &n, &err), RUB_OK);
        assert_true(rate == NULL && n == 0 && strstr(err.message, "expected") != NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hours_by_hand),           cmocka_unit_test(profiles_are_read),
        cmocka_unit_test(targets_are_read),        cmocka_unit_test(accelerators_are_counted),
        cmocka_unit_test(largest_rate_by_hand),    cmocka_unit_test(smallest_fleet_by_hand),
        cmocka_unit_test(hopeless_is_called_that), cmocka_unit_test(goodput_by_hand),
        cmocka_unit_test(bound_by_hand),           cmocka_unit_test(launch_in_every_form),
        cmocka_unit_test(newsvendor_by_hand),      cmocka_unit_test(newsvendor_closed_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
