/* Size: the search against trying everything, the throughput bound against runs, runs that stop
 * early against runs to the end, one thread against many. */
#include "size/size.h"

#include "base/array.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static rub_catalog *catalog;

static int load_catalog(void **state) {
    (void)state;
    return rub_catalog_load(&catalog, NULL) == RUB_OK ? 0 : 1;
}

static int free_catalog(void **state) {
    (void)state;
    rub_catalog_free(catalog);
    return 0;
}

static void make_trace(uint64_t seed, size_t n, rub_trace *out) {
    rub_trace_make_def def = rub_trace_make_default();
    assert_int_equal(rub_trace_preset(seed % 2 ? "azure-conv" : "azure-code", &def, NULL), RUB_OK);
    def.n_req = n;
    def.seed = seed;
    assert_int_equal(rub_trace_make(&def, out, NULL), RUB_OK);
}

typedef struct space {
    rub_model model;
    const rub_accelerator *accel[3];
    rub_trace trace;
    rub_size_def def;
} space;

static const char *const models[] = {"llama-3.1-8b", "llama-3.1-70b", "gpt-oss-120b", "qwen3-30b"};
static const char *const kinds[] = {"h100", "l40s", "b200", "mi300x", "a100-80gb", "h200"};

static void make_space(uint64_t seed, space *s) {
    rub_rng rng = rub_rng_make(seed, 7);
    *s = (space){.def = rub_size_default()};
    make_trace(2 * seed + 1, 1500, &s->trace);
    assert_int_equal(
        rub_catalog_model_find(catalog, models[rub_rng_below(&rng, 4)], &s->model, NULL), RUB_OK);
    for (int k = 0; k < 3; k++) {
        const char *name = kinds[(seed + 2 * (uint64_t)k) % RUB_LEN(kinds)];
        assert_int_equal(rub_catalog_accelerator(catalog, name, &s->accel[k], NULL), RUB_OK);
    }
    s->def.accel = s->accel;
    s->def.n_accel = 3;
    s->def.tp = (rub_size_choices){3, {1, 2, 4}};
    s->def.max_seqs = (rub_size_choices){2, {32, 256}};
    s->def.rate_per_s = exp(rub_rng_uniform(&rng) * 4.0);
    s->def.objective = (rub_size_objective)rub_rng_below(&rng, 3);
    s->def.spare = (int32_t)rub_rng_below(&rng, 2);
    s->def.router =
        rub_rng_below(&rng, 4) ? RUB_ROUTER_LEAST_OUTSTANDING : RUB_ROUTER_LEAST_WAITING;
    rub_size_targets *t = &s->def.targets;
    double loose = 0.5 + 2.0 * rub_rng_uniform(&rng);
    if (rub_rng_below(&rng, 4))
        rub_size_target_add(t, RUB_SIZE_TTFT, 0.9 + 0.09 * rub_rng_uniform(&rng), loose, NULL);
    if (rub_rng_below(&rng, 4))
        rub_size_target_add(t, RUB_SIZE_TPOT, 0.9 + 0.09 * rub_rng_uniform(&rng), 0.08 * loose,
                            NULL);
    if (!rub_rng_below(&rng, 3))
        rub_size_target_add(t, RUB_SIZE_E2E, 0.9, 30 * loose, NULL);
    if (!rub_rng_below(&rng, 4))
        rub_size_target_parse("goodput:90%=ttft<1s,tpot<100ms", t, NULL);
}

static const rub_size_candidate *by_index(const rub_size_result *r, int32_t index) {
    for (int32_t i = 0; i < r->n; i++)
        if (r->candidate[i].index == index)
            return &r->candidate[i];
    return NULL;
}

typedef struct tally {
    int served, pruned, worse;
} tally;

static const rub_size_candidate *leader_of(const rub_size_result *r, int32_t group) {
    for (int32_t i = 0; i < r->n; i++)
        if (r->candidate[i].group == group && r->candidate[i].leads)
            return &r->candidate[i];
    return NULL;
}

/* One candidate of the run that tried everything against the search's. */
static void compare(const rub_size_def *def, const rub_size_candidate *truth,
                    const rub_size_candidate *c, const rub_size_candidate *leader, tally *t) {
    if (truth->fate != RUB_SIZE_SERVES)
        return;
    assert_non_null(leader);
    t->served += truth->leads;
    t->worse += truth->leads && leader->accelerators > truth->accelerators;
    assert_true(truth->replicas - def->spare >= c->bound_replicas);
    if (c->fate == RUB_SIZE_BOUNDED || c->fate == RUB_SIZE_BEATEN) {
        t->pruned++;
        t->worse += !truth->leads && truth->accelerators < leader->accelerators;
    }
}

/* Every group's best fleet is as small as trying everything finds, and what was left out is no
 * better. Halving takes it that more replicas never hurt, which fails within noise for fleets of
 * hundreds near a limit: in the long tier one group in a hundred may come out larger. */
static void the_same_as_trying_everything(void **state) {
    (void)state;
    tally t = {0};
    bool is_long = getenv("RUB_TEST_LONG") != NULL;
    for (uint64_t seed = 1; seed <= (is_long ? 120 : 8); seed++) {
        space s;
        rub_size_result fast, all;
        make_space(seed, &s);
        assert_int_equal(rub_size_search(&s.model, &s.trace, &s.def, NULL, &fast, NULL), RUB_OK);
        s.def.exhaustive = true;
        assert_int_equal(rub_size_search(&s.model, &s.trace, &s.def, NULL, &all, NULL), RUB_OK);
        assert_int_equal(fast.n, all.n);
        for (int32_t i = 0; i < all.n; i++)
            compare(&s.def, &all.candidate[i], by_index(&fast, all.candidate[i].index),
                    leader_of(&fast, all.candidate[i].group), &t);
        if (all.candidate[0].leads && !is_long) {
            assert_true(fast.candidate[0].usd_per_h == all.candidate[0].usd_per_h);
            assert_ptr_equal(fast.candidate[0].accel, all.candidate[0].accel);
        }
        rub_size_result_clear(&fast);
        rub_size_result_clear(&all);
        rub_trace_clear(&s.trace);
    }
    print_message("%d groups, %d candidates left out, %d better than the search's\n", t.served,
                  t.pruned, t.worse);
    assert_true(t.served > 25 && t.pruned > 100);
    assert_true(t.worse <= (is_long ? t.served / 100 : 0));
}

/* The bound is under the time that replicas are seen to be busy, and a run that stops early is one
 * that misses when it goes to its end. */
static void bounds_and_stops_are_true(void **state) {
    (void)state;
    int stopped = 0, held = 0;
    double tightest = 0.0;
    for (uint64_t seed = 1; seed <= 16; seed++) {
        space s;
        rub_rng rng = rub_rng_make(seed, 8);
        make_space(seed, &s);
        rub_size_job job = {.model = &s.model, .def = &s.def};
        rub_size_bench b;
        assert_int_equal(rub_size_load_init(&job.load, &s.trace, &s.def, 0, NULL), RUB_OK);
        assert_int_equal(rub_size_bench_init(&b, &job.load, NULL), RUB_OK);
        assert_int_equal(rub_size_enumerate(&job, NULL), RUB_OK);
        for (int k = 0; k < 12; k++) {
            rub_size_trial *t = &job.trial[rub_rng_below(&rng, job.n_trial)];
            rub_size_verdict early, full;
            if (!t->c.fits || t->perf.tables)
                continue;
            assert_int_equal(rub_perf_compile(&t->c.deployment, &t->perf, NULL), RUB_OK);
            int32_t n = 1 + (int32_t)rub_rng_below(&rng, 4);
            s.def.router = k % 2 ? RUB_ROUTER_ROUND_ROBIN : RUB_ROUTER_LEAST_OUTSTANDING;
            double rate = n * exp(rub_rng_uniform(&rng) * 5.0 - 1.0);
            s.def.exhaustive = false;
            assert_int_equal(rub_size_simulate(&job, &job.load, t, &b, n, rate, &early, NULL),
                             RUB_OK);
            s.def.exhaustive = true;
            assert_int_equal(rub_size_simulate(&job, &job.load, t, &b, n, rate, &full, NULL),
                             RUB_OK);
            assert_int_equal(early.holds, full.holds);
            stopped += early.stopped;
            held += full.holds;
            double work = rub_size_work_s(&job.load, t);
            if (full.n_rejected == 0) {
                assert_true(work <= b.totals->busy_s);
                tightest = fmax(tightest, work / b.totals->busy_s);
            }
        }
        for (size_t i = 0; i < job.n_trial; i++)
            rub_perf_clear(&job.trial[i].perf);
        free(job.trial);
        rub_size_bench_clear(&b);
        rub_size_load_clear(&job.load);
        rub_trace_clear(&s.trace);
    }
    print_message("%d runs held, %d stopped early; bound up to %.2f of the busy time\n", held,
                  stopped, tightest);
    assert_true(stopped > 20 && held > 20 && tightest > 0.7);
}

/* Field by field: bytes between the fields are nobody's. */
static void assert_same_candidate(const rub_size_candidate *a, const rub_size_candidate *b) {
    const double x[] = {
        a->usd_per_h,  a->mw,         a->stress,        a->ttft_p50_s,       a->ttft_p99_s,
        a->tpot_p50_s, a->tpot_p99_s, a->e2e_p99_s,     a->busy_frac,        a->watts,
        a->rate_per_s, a->tok_per_s,  a->replica_watts, a->tok_per_s_per_mw, a->usd_per_mtok};
    const double y[] = {
        b->usd_per_h,  b->mw,         b->stress,        b->ttft_p50_s,       b->ttft_p99_s,
        b->tpot_p50_s, b->tpot_p99_s, b->e2e_p99_s,     b->busy_frac,        b->watts,
        b->rate_per_s, b->tok_per_s,  b->replica_watts, b->tok_per_s_per_mw, b->usd_per_mtok};
    assert_memory_equal(x, y, sizeof x);
    assert_ptr_equal(a->accel, b->accel);
    assert_int_equal(a->index, b->index);
    assert_int_equal(a->group, b->group);
    assert_int_equal(a->kv_blocks, b->kv_blocks);
    assert_int_equal(a->fate, b->fate);
    assert_int_equal(a->leads, b->leads);
    assert_int_equal(a->fits, b->fits);
    assert_int_equal(a->replicas, b->replicas);
    assert_int_equal(a->accelerators, b->accelerators);
    assert_int_equal(a->bound_replicas, b->bound_replicas);
    assert_int_equal(a->frontier, b->frontier);
    assert_string_equal(a->reason, b->reason);
}

static void threads_change_nothing(void **state) {
    (void)state;
    space s;
    rub_size_result one, many;
    make_space(3, &s);
    s.def.n_thread = 1;
    assert_int_equal(rub_size_search(&s.model, &s.trace, &s.def, NULL, &one, NULL), RUB_OK);
    s.def.n_thread = 8;
    assert_int_equal(rub_size_search(&s.model, &s.trace, &s.def, NULL, &many, NULL), RUB_OK);
    assert_int_equal(one.n, many.n);
    for (int32_t i = 0; i < one.n; i++)
        assert_same_candidate(&one.candidate[i], &many.candidate[i]);
    assert_int_equal(one.n_simulation, many.n_simulation);
    rub_size_result_clear(&one);
    rub_size_result_clear(&many);
    rub_trace_clear(&s.trace);
}

/* The best of a group by rate is the best that trying everything finds. */
static void rates_too(void **state) {
    (void)state;
    for (uint64_t seed = 21; seed <= 22; seed++) {
        space s;
        rub_size_result fast, all;
        make_space(seed, &s);
        s.def.objective = RUB_SIZE_POWER;
        s.def.rate_replicas = seed == 22 ? 4 : 1;
        assert_int_equal(rub_size_rates(&s.model, &s.trace, &s.def, NULL, &fast, NULL), RUB_OK);
        s.def.exhaustive = true;
        assert_int_equal(rub_size_rates(&s.model, &s.trace, &s.def, NULL, &all, NULL), RUB_OK);
        for (int32_t i = 0; i < all.n && all.candidate[i].leads; i++) {
            assert_true(fast.candidate[i].leads);
            assert_true(fast.candidate[i].rate_per_s == all.candidate[i].rate_per_s);
            assert_int_equal(fast.candidate[i].index, all.candidate[i].index);
        }
        rub_size_result_clear(&fast);
        rub_size_result_clear(&all);
        rub_trace_clear(&s.trace);
    }
}

/* On a trace of bursts (azure-code) replicas behind a router share them: each of sixteen holds several
 * times what one holds alone, and sixteen are a fleet that holds sixteen times that. */
static void many_share_bursts(void **state) {
    (void)state;
    space s;
    rub_size_result alone, shared, fleet;
    make_space(1, &s);
    rub_trace_clear(&s.trace);
    make_trace(2, 12000, &s.trace);
    s.def = rub_size_default();
    assert_int_equal(rub_catalog_model_find(catalog, "llama-3.1-70b", &s.model, NULL), RUB_OK);
    assert_int_equal(rub_catalog_accelerator(catalog, "h200", &s.accel[0], NULL), RUB_OK);
    s.def.accel = s.accel;
    s.def.n_accel = 1;
    s.def.tp = (rub_size_choices){1, {2}};
    s.def.max_batch_tok = (rub_size_choices){1, {8192}};
    s.def.weights = "fp8";
    rub_size_target_add(&s.def.targets, RUB_SIZE_TTFT, 0.99, 2.0, NULL);
    rub_size_target_add(&s.def.targets, RUB_SIZE_TPOT, 0.99, 0.08, NULL);
    assert_int_equal(rub_size_rates(&s.model, &s.trace, &s.def, NULL, &alone, NULL), RUB_OK);
    s.def.rate_replicas = 16;
    assert_int_equal(rub_size_rates(&s.model, &s.trace, &s.def, NULL, &shared, NULL), RUB_OK);
    double rate = shared.candidate[0].rate_per_s;
    print_message("a replica alone %.3g requests/s, each of 16 %.3g\n",
                  alone.candidate[0].rate_per_s, rate);
    assert_true(rate > 5 * alone.candidate[0].rate_per_s);
    s.def.rate_per_s = 16 * rate;
    s.def.max_requests = 12000;
    assert_int_equal(rub_size_search(&s.model, &s.trace, &s.def, NULL, &fleet, NULL), RUB_OK);
    assert_int_equal(fleet.candidate[0].replicas, 16);
    rub_size_result_clear(&alone);
    s.def.rate_replicas = 17;
    assert_int_equal(rub_size_rates(&s.model, &s.trace, &s.def, NULL, &alone, NULL), RUB_INVALID);
    rub_size_result_clear(&shared);
    rub_size_result_clear(&fleet);
    rub_trace_clear(&s.trace);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_as_trying_everything),
        cmocka_unit_test(bounds_and_stops_are_true),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(rates_too),
        cmocka_unit_test(many_share_bursts),
    };
    return cmocka_run_group_tests(tests, load_catalog, free_catalog);
}
