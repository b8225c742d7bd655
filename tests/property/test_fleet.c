/* Routers that choose the least loaded of many replicas: the fast engine, which touches only replicas
 * whose load may have changed and hands requests over late, chooses as the naive one, which looks at
 * all of them. And the tree by which it chooses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../random_workload.h"
#include "serve/contest.h"

static void run(const workload *w, rub_engine engine, rub_serve_times *times) {
    rub_serve_def def = w->def;
    rub_serve_totals *totals = malloc(sizeof *totals);
    rub_error err = {0};
    def.engine = engine;
    assert_int_equal(rub_serve_times_init(times, w->trace.n_req, NULL), RUB_OK);
    if (rub_serve_run(&w->trace, &w->perf, &def, NULL, times, totals, &err) != RUB_OK)
        fail_msg("%s", err.message);
    assert_int_equal(totals->blocks_left, 0);
    free(totals);
}

/* Small loads on up to 60 replicas, so that ties, idle replicas and full ones all come about; long
 * stretches without ends where answers are long. */
static void compare(uint64_t seed) {
    static const rub_router routers[] = {RUB_ROUTER_LEAST_WAITING, RUB_ROUTER_LEAST_OUTSTANDING,
                                         RUB_ROUTER_LEAST_KV, RUB_ROUTER_POWER_OF_TWO};
    workload w = random_workload(seed);
    rub_rng rng = rub_rng_make(seed, 78);
    rub_serve_times a = {0}, b = {0};
    w.def.concurrency = 0;
    w.def.router = routers[seed % 4];
    w.def.n_replica = (int32_t)between(&rng, 2, 60);
    if (seed % 3 == 0) /* many at once: more than are kept for later */
        for (size_t i = 0; i < w.trace.n_req; i++)
            w.trace.arrival_s[i] *= 0.01;
    run(&w, RUB_ENGINE_NAIVE, &a);
    run(&w, RUB_ENGINE_FAST, &b);
    size_t bytes = w.trace.n_req * sizeof(double);
    if (memcmp(a.finish_s, b.finish_s, bytes) || memcmp(a.first_token_s, b.first_token_s, bytes) ||
        memcmp(a.scheduled_s, b.scheduled_s, bytes) ||
        memcmp(a.restarts, b.restarts, w.trace.n_req * sizeof(int32_t)))
        fail_msg("engines differ on workload %llu (policy %d, router %d, %d replicas)",
                 (unsigned long long)seed, (int)w.def.policy, (int)w.def.router, w.def.n_replica);
    rub_serve_times_clear(&a);
    rub_serve_times_clear(&b);
    rub_trace_clear(&w.trace);
}

static void engines_agree_on_fleets(void **state) {
    (void)state;
    const char *tier = getenv("RUB_TEST_LONG");
    uint64_t n = tier && *tier == '1' ? 50000 : 1500;
    for (uint64_t seed = 1; seed <= n; seed++)
        compare(seed);
}

/* Against a walk over all keys; keys from few values of both signs, so that ties are frequent. */
static void the_lowest_wins(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 2, 3, 8, 37, 200};
    rub_rng rng = rub_rng_make(5, 0);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t n = sizes[s];
        rub_contest c;
        double key[200];
        assert_int_equal(rub_contest_init(&c, n), RUB_OK);
        for (size_t r = 0; r < n; r++)
            key[r] = HUGE_VAL;
        for (int turn = 0; turn < 4000; turn++) {
            size_t r = (size_t)rub_rng_below(&rng, n), best = 0;
            int64_t x = between(&rng, -6, 12);
            key[r] = x > 10 ? HUGE_VAL : 0.25 * (double)x;
            rub_contest_set(&c, r, key[r]);
            for (size_t k = 1; k < n; k++)
                best = key[k] < key[best] ? k : best;
            assert_int_equal(rub_contest_first(&c), best);
            assert_true(rub_contest_first_key(&c) == key[best]);
            assert_true(rub_contest_key(&c, r) == key[r]);
        }
        rub_contest_clear(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(engines_agree_on_fleets),
                                       cmocka_unit_test(the_lowest_wins)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
