/* The two engines give the same times to the last bit, and keep what must be kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../random_workload.h"

#define N_WORKLOAD 3000

/* Closed loop: never more requests in flight than clients, and each one after the first of them is
 * sent a think time after another ended. */
static void check_closed(const workload *w, const rub_serve_times *t) {
    size_t n = w->trace.n_req, clients = (size_t)w->def.concurrency;
    for (size_t i = 0; i < n; i++) {
        size_t in_flight = 0;
        bool follows = i < clients;
        for (size_t j = 0; j < i; j++) {
            bool rejected = t->restarts[j] < 0;
            double end_s = rejected ? t->arrival_s[j] : t->finish_s[j];
            in_flight += end_s > t->arrival_s[i];
            follows |= end_s + w->def.think_s == t->arrival_s[i];
        }
        assert_true(in_flight < clients);
        assert_true(follows);
        assert_true(i == 0 || t->arrival_s[i] >= t->arrival_s[i - 1]);
    }
}

/* How many preemptions the workloads of each policy and router had. */
static int64_t restarts[3][4];

static void compare(uint64_t seed) {
    workload w = random_workload(seed);
    rub_serve_times a = {0}, b = {0};
    rub_serve_totals *ta = malloc(sizeof *ta), *tb = malloc(sizeof *tb);
    rub_error err = {0};
    assert_int_equal(rub_serve_times_init(&a, w.trace.n_req, NULL), RUB_OK);
    assert_int_equal(rub_serve_times_init(&b, w.trace.n_req, NULL), RUB_OK);
    w.def.engine = RUB_ENGINE_NAIVE;
    assert_int_equal(rub_serve_run(&w.trace, &w.perf, &w.def, NULL, &a, ta, &err), RUB_OK);
    w.def.engine = RUB_ENGINE_FAST;
    assert_int_equal(rub_serve_run(&w.trace, &w.perf, &w.def, NULL, &b, tb, &err), RUB_OK);
    size_t bytes = w.trace.n_req * sizeof(double);
    assert_memory_equal(a.arrival_s, b.arrival_s, bytes);
    if (memcmp(a.finish_s, b.finish_s, bytes) || memcmp(a.first_token_s, b.first_token_s, bytes) ||
        memcmp(a.scheduled_s, b.scheduled_s, bytes) ||
        memcmp(a.restarts, b.restarts, w.trace.n_req * sizeof(int32_t)))
        fail_msg("engines differ on workload %llu (policy %d, router %d)", (unsigned long long)seed,
                 (int)w.def.policy, (int)w.def.router);
    assert_int_equal(ta->n_iteration, tb->n_iteration);
    assert_int_equal(ta->prefill_tok, tb->prefill_tok);
    assert_int_equal(ta->decode_tok, tb->decode_tok);
    assert_int_equal(ta->kv_most_blocks, tb->kv_most_blocks);
    assert_int_equal(ta->itl.n, tb->itl.n);
    assert_memory_equal(ta->itl.count, tb->itl.count, sizeof ta->itl.count);
    /* conservation: every request ends once or is rejected; blocks return; time goes on */
    assert_int_equal(tb->blocks_left, 0);
    int64_t tokens = 0;
    for (size_t i = 0; i < w.trace.n_req; i++) {
        if (b.restarts[i] < 0) {
            assert_true(isnan(b.finish_s[i]));
            continue;
        }
        assert_true(b.scheduled_s[i] >= b.arrival_s[i]);
        assert_true(b.first_token_s[i] > b.scheduled_s[i]);
        assert_true(b.finish_s[i] >= b.first_token_s[i]);
        tokens += w.trace.output_tok[i] - 1;
    }
    /* every token but the first of each has one gap before it; Vidur's policies restart an unfinished
     * prefill with only the part that was done as its prompt, and the rest of it counts as answer */
    if (w.def.policy == RUB_POLICY_VLLM)
        assert_int_equal(tb->itl.n, tokens);
    else
        assert_true(tb->itl.n >= (uint64_t)tokens);
    if (w.def.concurrency > 0)
        check_closed(&w, &b);
    assert_int_equal(ta->n_restart, tb->n_restart);
    restarts[w.def.policy][w.def.router] += tb->n_restart;
    rub_serve_times_clear(&a);
    rub_serve_times_clear(&b);
    rub_trace_clear(&w.trace);
    free(ta);
    free(tb);
}

/* 3,000 workloads; 100,000 in the long tier. Preemption, the slow path of the fast engine, must have
 * been walked often by every policy behind every router: about 250 workloads each. */
static void engines_agree_on_random_workloads(void **state) {
    (void)state;
    const char *tier = getenv("RUB_TEST_LONG");
    uint64_t n = tier && *tier == '1' ? 100000 : N_WORKLOAD;
    for (uint64_t seed = 1; seed <= n; seed++)
        compare(seed);
    for (int p = 0; p < 3; p++)
        for (int r = 0; r < 4; r++) {
            print_message("# policy %d, router %d: %lld preemptions\n", p, r,
                          (long long)restarts[p][r]);
            assert_true(restarts[p][r] > 100);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(engines_agree_on_random_workloads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
