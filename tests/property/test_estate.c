/* What stands before fleets: rate limits against their definition, several models against fleets run
 * one by one, batch beside interactive requests; and scenes worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../random_wide.h"
#include "serve/replica.h"

/* ---- rate limits ----
 *
 * A bucket of `burst` tokens refilled at `rate` lets a request go at time r just when, for each request k
 * of the tenant sent before it, what was sent from k on, itself included, is at most burst + rate *
 * (r - time of k), and when it is at most `burst` itself. O(n^2), from the definition of an arrival curve. */
static double earliest(const rub_trace *t, const rub_serve_limit *l, const double *sent, size_t i) {
    double tok = (double)t->input_tok[i] + t->output_tok[i], at = t->arrival_s[i], sum = tok;
    if (tok > l->burst_tok)
        return NAN;
    for (size_t k = i; k-- > 0;) {
        if (t->tenant[k] != t->tenant[i] || isnan(sent[k]))
            continue;
        at = fmax(at, sent[k]);
        sum += (double)t->input_tok[k] + t->output_tok[k];
        at = fmax(at, sent[k] + (sum - l->burst_tok) / l->tok_per_s);
    }
    return at;
}

static rub_serve_limit random_limit(rub_rng *rng, int32_t tenant) {
    return (rub_serve_limit){.tenant = tenant,
                             .tok_per_s = (double)between(rng, 20, 4000),
                             .burst_tok = (double)between(rng, 50, 1500),
                             .delays = rub_rng_uniform(rng) < 0.5};
}

static void limits_are_token_buckets(void **state) {
    (void)state;
    size_t n_late = 0, n_refused = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        wide_workload w;
        rub_rng rng = rub_rng_make(seed, 81);
        memset(&w, 0, sizeof w);
        random_wide(seed, &w);
        rub_trace *t = &w.base.trace;
        double *sent = calloc(t->n_req, sizeof *sent), *due = calloc(t->n_req, sizeof *due);
        t->tenant = calloc(t->n_req, sizeof *t->tenant);
        for (size_t i = 0; i < t->n_req; i++)
            t->tenant[i] = (int32_t)between(&rng, 0, 2);
        rub_serve_limit limit[] = {random_limit(&rng, 1), random_limit(&rng, -1)};
        w.base.def.limit = limit;
        w.base.def.n_limit = 2;
        assert_int_equal(rub_limit_all(t, &w.base.def, sent), RUB_OK);
        for (size_t i = 0; i < t->n_req; i++) {
            const rub_serve_limit *l = &limit[t->tenant[i] == 1 ? 0 : 1];
            due[i] = earliest(t, l, sent, i);
            bool late = due[i] > t->arrival_s[i] + 1e-9;
            if (isnan(sent[i])) /* too large, or it would have been late */
                assert_true(isnan(due[i]) || (!l->delays && due[i] > t->arrival_s[i] - 1e-9));
            else
                assert_true(fabs(sent[i] - due[i]) < 1e-6 && (l->delays || !late));
            n_late += late && l->delays;
            n_refused += isnan(sent[i]);
        }
        free(sent);
        free(due);
        rub_trace_clear(t);
    }
    assert_true(n_late > 1000 && n_refused > 1000);
}

/* ---- several models ---- */

typedef struct outcome {
    rub_serve_times times;
    rub_serve_totals totals;
} outcome;

static void run(const workload *w, outcome *out) {
    rub_error err = {0};
    assert_int_equal(rub_serve_times_init(&out->times, w->trace.n_req, NULL), RUB_OK);
    if (rub_serve_run(&w->trace, &w->perf, &w->def, NULL, &out->times, &out->totals, &err) !=
        RUB_OK)
        fail_msg("%s", err.message);
}

/* Model m's requests alone, on its group alone. */
static void alone(const workload *w, int32_t m, const outcome *whole) {
    size_t *index = calloc(w->trace.n_req, sizeof *index), n = 0;
    workload own = *w;
    outcome *o = calloc(1, sizeof *o);
    for (size_t i = 0; i < w->trace.n_req; i++)
        if (w->trace.model[i] == m)
            index[n++] = i;
    assert_int_equal(rub_trace_subset(&w->trace, index, n, &own.trace, NULL), RUB_OK);
    own.def.by_model = false;
    own.def.group = w->def.group + m;
    own.def.n_group = 1;
    own.def.n_replica = w->def.group[m].n_replica;
    own.def.seed += (uint64_t)m;
    if (n > 0)
        run(&own, o);
    for (size_t k = 0; k < n; k++) {
        assert_memory_equal(&o->times.finish_s[k], &whole->times.finish_s[index[k]],
                            sizeof(double));
        assert_memory_equal(&o->times.first_token_s[k], &whole->times.first_token_s[index[k]],
                            sizeof(double));
    }
    rub_serve_times_clear(&o->times);
    rub_trace_clear(&own.trace);
    free(index);
    free(o);
}

static void models_are_fleets_of_their_own(void **state) {
    (void)state;
    int n = 0;
    for (uint64_t seed = 1; n < 150; seed++) {
        wide_workload w;
        rub_rng rng = rub_rng_make(seed, 82);
        memset(&w, 0, sizeof w);
        random_wide(seed, &w);
        workload *b = &w.base;
        if (b->def.concurrency == 0 && b->def.n_group > 1) {
            outcome *o = calloc(2, sizeof *o);
            b->trace.model = calloc(b->trace.n_req, sizeof *b->trace.model);
            for (size_t i = 0; i < b->trace.n_req; i++)
                b->trace.model[i] = (int32_t)between(&rng, 0, b->def.n_group - 1);
            for (int32_t g = 0; g < b->def.n_group; g++)
                w.group[g].model = g;
            b->def.by_model = true;
            b->def.engine = RUB_ENGINE_NAIVE;
            run(b, &o[0]);
            b->def.engine = RUB_ENGINE_FAST;
            run(b, &o[1]);
            assert_memory_equal(o[0].times.finish_s, o[1].times.finish_s,
                                b->trace.n_req * sizeof(double));
            assert_int_equal(o[0].totals.n_iteration, o[1].totals.n_iteration);
            for (int32_t m = 0; m < b->def.n_group; m++)
                alone(b, m, &o[1]);
            rub_serve_times_clear(&o[0].times);
            rub_serve_times_clear(&o[1].times);
            free(o);
            n++;
        }
        rub_trace_clear(&b->trace);
    }
}

/* ---- by hand: every iteration takes 1 s, a KV block holds a token ---- */

static workload scene(size_t n, const double (*request)[3]) {
    workload w = {.def = rub_serve_default()};
    assert_int_equal(rub_trace_init(&w.trace, n, NULL), RUB_OK);
    for (size_t i = 0; i < n; i++) {
        w.trace.arrival_s[i] = request[i][0];
        w.trace.input_tok[i] = (int32_t)request[i][1];
        w.trace.output_tok[i] = (int32_t)request[i][2];
    }
    w.perf = (rub_perf){.kind = RUB_PERF_LINEAR, .linear = {1, 0, 0, 0}};
    w.def.block_size_tok = 1;
    w.def.kv_blocks = 100;
    w.def.max_seqs = 4;
    w.def.max_batch_tok = 50;
    return w;
}

static void ends(workload *w, const double *finish_s, int64_t n_limited, int64_t n_delayed) {
    static const rub_engine engine[] = {RUB_ENGINE_NAIVE, RUB_ENGINE_FAST};
    for (int e = 0; e < 2; e++) {
        outcome *o = calloc(1, sizeof *o);
        w->def.engine = engine[e];
        run(w, o);
        for (size_t i = 0; i < w->trace.n_req; i++)
            if (o->times.finish_s[i] != finish_s[i] &&
                !(isnan(finish_s[i]) && isnan(o->times.finish_s[i])))
                fail_msg("engine %d, request %zu ends at %g, expected %g", e, i,
                         o->times.finish_s[i], finish_s[i]);
        assert_true(o->totals.n_limited == n_limited && o->totals.n_delayed == n_delayed);
        rub_serve_times_clear(&o->times);
        free(o);
    }
}

/* A bucket of 10 tokens, 2 a second; requests of 6 tokens (5 + 1). The first takes 6 of 10; the second
 * finds 4 at 0 and is rejected, or waits for 2 more until 1. The third, of 12 tokens, never fits. The
 * fourth comes at 2: it finds min(10, 4 + 4) = 8 after a rejection; after a delay the bucket was empty at
 * 1, holds 2 at 2, and 6 at 4. Each takes one iteration. */
static void a_bucket_by_hand(void **state) {
    (void)state;
    workload w = scene(4, (const double[][3]){{0, 5, 1}, {0, 5, 1}, {0, 11, 1}, {2, 5, 1}});
    rub_serve_limit limit = {.tenant = -1, .tok_per_s = 2, .burst_tok = 10};
    w.def.limit = &limit;
    w.def.n_limit = 1;
    ends(&w, (const double[]){1, NAN, NAN, 3}, 2, 0);
    limit.delays = true;
    ends(&w, (const double[]){1, 2, NAN, 5}, 1, 2);
    rub_trace_clear(&w.trace);
}

/* Four seats, half of them kept from batch. Batch requests 0, 1, 2 (priority 1, 5 iterations each): two
 * run, to 5. Request 3 comes at 0.5 and overtakes request 2: it runs from 1 to 2. Request 2 waits for a
 * batch seat until 5 and ends at 10: one deadline of 6 s missed in three. Without the rule all run to 5,
 * and request 3 to 2 as the fourth. */
static void batch_fills_the_slack(void **state) {
    (void)state;
    workload w = scene(4, (const double[][3]){{0, 1, 5}, {0, 1, 5}, {0, 1, 5}, {0.5, 1, 1}});
    w.trace.priority = calloc(4, sizeof *w.trace.priority);
    w.trace.priority[0] = w.trace.priority[1] = w.trace.priority[2] = 1;
    ends(&w, (const double[]){5, 5, 5, 2}, 0, 0);
    w.def.batch_reserve_frac = 0.5;
    ends(&w, (const double[]){5, 5, 10, 2}, 0, 0);
    outcome *o = calloc(1, sizeof *o);
    run(&w, o);
    rub_class_measures m;
    rub_serve_targets targets = {.ttft_s = 1.5};
    assert_int_equal(rub_serve_measure_classes(&w.trace, &o->times, &targets, 6, 0, 100, &m, NULL),
                     RUB_OK);
    assert_true(m.interactive.n_req == 1 && m.interactive.n_good == 1 &&
                m.interactive.ttft.max == 1.5);
    assert_true(m.batch.n_req == 3 && m.batch.n_finished == 3 && m.batch.n_good == 2);
    rub_serve_times_clear(&o->times);
    free(o);
    rub_trace_clear(&w.trace);
}

/* Tenants and models are names, not indices: the largest numbers cost no more than 0 and 1. */
static void any_numbers_will_do(void **state) {
    (void)state;
    workload w = scene(3, (const double[][3]){{0, 5, 1}, {0, 5, 1}, {0, 5, 1}});
    const rub_serve_limit limit[] = {{.tenant = INT32_MAX, .tok_per_s = 2, .burst_tok = 10},
                                     {.tenant = -1, .tok_per_s = 2, .burst_tok = 5}};
    const int32_t number[] = {INT32_MAX, 7, INT32_MAX};
    rub_serve_group group[] = {{1, &w.perf, 100, 4, 1.0, INT32_MAX},
                               {1, &w.perf, 100, 4, 1.0, 7},
                               {1, &w.perf, 100, 4, 1.0, 8}};
    w.trace.tenant = calloc(3, sizeof *w.trace.tenant);
    w.trace.model = calloc(3, sizeof *w.trace.model);
    memcpy(w.trace.tenant, number, sizeof number);
    memcpy(w.trace.model, number, sizeof number);
    w.def.limit = limit;
    w.def.n_limit = 2;
    ends(&w, (const double[]){1, NAN, NAN}, 2, 0);
    w.def.n_limit = 0;
    w.def.group = group;
    w.def.n_group = w.def.n_replica = 3;
    w.def.by_model = true;
    ends(&w, (const double[]){1, 1, 1}, 0, 0);
    w.def.n_group = w.def.n_replica = 1;
    outcome *o = calloc(1, sizeof *o);
    rub_error err = {0};
    assert_int_equal(rub_serve_times_init(&o->times, 3, NULL), RUB_OK);
    assert_int_equal(rub_serve_run(&w.trace, &w.perf, &w.def, NULL, &o->times, &o->totals, &err),
                     RUB_INVALID);
    assert_string_equal(err.message, "model 7 has 1 requests, but no group of replicas");
    rub_serve_times_clear(&o->times);
    free(o);
    rub_trace_clear(&w.trace);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_token_buckets),
        cmocka_unit_test(models_are_fleets_of_their_own),
        cmocka_unit_test(a_bucket_by_hand),
        cmocka_unit_test(batch_fills_the_slack),
        cmocka_unit_test(any_numbers_will_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
