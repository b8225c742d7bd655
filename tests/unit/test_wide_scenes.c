/* Scenes of the serving simulator whose answers are worked out by hand, in both engines. Unless
 * said, every iteration takes 1 s and a KV block holds one token. */
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

#include "../scenes.h"
#include "serve/route.h"

#define SHARED RUB_ROOT "/../shared"

/* One seat. Request 0 runs from 0 to 3; of the two that wait the shorter one goes first: 3 to 5,
 * then 5 to 10. By priority the more urgent one, whatever its length: 3 to 8, then 8 to 10. */
static void shortest_job_and_priority(void **state) {
    (void)state;
    scene s = make(3, (const double[][3]){{0, 1, 3}, {0.5, 1, 5}, {0.5, 1, 2}});
    s.def.max_seqs = 1;
    s.def.order = RUB_ORDER_SJF;
    ends(&s, (const double[]){3, 10, 5});
    s.trace.priority = calloc(3, sizeof *s.trace.priority);
    s.trace.priority[2] = 1;
    s.def.order = RUB_ORDER_PRIORITY;
    ends(&s, (const double[]){3, 8, 10});
    clear(&s);
}

/* 13 blocks. At t = 6 request 0 has 8 tokens, request 1 has 7, and 13 blocks are taken. First come
 * first served sends back request 1, the last: 0 goes on to 10; at 7 nothing fits, 1 needs 7 blocks
 * and gets them at 10: prefill to 11, its last token (8 = 2 + 6). By priority request 0 is the less
 * urgent: it sends itself back, 1 ends at 7, and 0 prefills its 8 tokens from 7 to 8 and takes 3
 * more iterations. */
static void who_is_preempted(void **state) {
    (void)state;
    scene s = make(2, (const double[][3]){{0, 2, 10}, {0.5, 2, 6}});
    s.def.kv_blocks = 13;
    ends(&s, (const double[]){10, 11});
    assert_int_equal(s.times.restarts[1], 1);
    s.trace.priority = calloc(2, sizeof *s.trace.priority);
    s.trace.priority[0] = 5;
    s.def.order = RUB_ORDER_PRIORITY;
    ends(&s, (const double[]){11, 7});
    assert_int_equal(s.times.restarts[0], 1);
    assert_true(s.times.first_token_s[0] == 1);
    clear(&s);
}

/* Budget 8. Cut by the budget alone: 7 of request 0 and 1 of request 1, then its other token. With
 * at most 3 of one prompt: 3 + 2, so request 1 ends at 1, request 0 takes 3 + 3 + 1. Prompts whole:
 * as the first, but request 1 does not start before 1. */
static void prefill_chunks(void **state) {
    (void)state;
    scene s = make(2, (const double[][3]){{0, 7, 1}, {0, 2, 1}});
    s.def.max_batch_tok = 8;
    ends(&s, (const double[]){1, 2});
    assert_true(s.times.scheduled_s[1] == 0);
    s.def.long_prefill_tok = 3;
    ends(&s, (const double[]){3, 1});
    s.def.long_prefill_tok = 0;
    s.def.whole_prefill = true;
    s.def.kv_blocks = 50;
    ends(&s, (const double[]){1, 2});
    assert_true(s.times.scheduled_s[1] == 1);
    clear(&s);
}

/* One long prompt at a time: request 1 is passed over while request 0 is unfinished (to 3), request
 * 2 overtakes it and ends at 1; in the iteration that finishes request 0, [2, 3], request 1 takes
 * its first 3 tokens and then 3 more. With one unfinished prefill of any length the queue stops at
 * request 1 until [2, 3], and request 2, whole, goes with it. */
static void partial_prefill_limits(void **state) {
    (void)state;
    scene s = make(3, (const double[][3]){{0, 7, 1}, {0, 6, 1}, {0, 1, 1}});
    s.def.max_batch_tok = 8;
    s.def.long_prefill_tok = 3;
    s.def.max_long_partial = 1;
    ends(&s, (const double[]){3, 4, 1});
    s.def.max_long_partial = 0;
    s.def.max_partial = 1;
    ends(&s, (const double[]){3, 4, 3});
    clear(&s);
}

/* 11 blocks, budget 4, prompts of 6. Taking or checking whole prompts: request 1 (6 blocks) has no
 * room beside request 0 (6 or 7), which ends at 3; then 4 + 2 tokens to 5. First chunks only:
 * request 1 gets 2 tokens in [1, 2], then 3 more would need 5 blocks where 4 are free: it sends
 * itself back and starts over at 3, to 5 all the same. */
static void block_reserves(void **state) {
    (void)state;
    scene s = make(2, (const double[][3]){{0, 6, 2}, {0, 6, 1}});
    s.def.kv_blocks = 11;
    s.def.max_batch_tok = 4;
    for (int reserve = RUB_RESERVE_PROMPT; reserve <= RUB_RESERVE_CHUNK; reserve++) {
        s.def.reserve = (rub_reserve)reserve;
        ends(&s, (const double[]){3, 5});
        assert_int_equal(s.times.restarts[1], reserve == RUB_RESERVE_CHUNK);
    }
    clear(&s);
}

/* orca: 20 blocks, and 12 + 10 tokens reserved whole do not fit together: 0 to 10, 10 to 18.
 * static, two seats: requests 0 and 1 end together with the longer one at 5, though request 1 has
 * all its tokens at 2; request 2 waits for the batch's end. */
static void orca_and_static(void **state) {
    (void)state;
    scene s = make(2, (const double[][3]){{0, 2, 10}, {0, 2, 8}});
    s.def.policy = RUB_POLICY_ORCA;
    s.def.kv_blocks = 20;
    ends(&s, (const double[]){10, 18});
    clear(&s);
    s = make(3, (const double[][3]){{0, 3, 5}, {0, 3, 2}, {0.5, 3, 1}});
    s.def.policy = RUB_POLICY_STATIC;
    s.def.max_seqs = 2;
    ends(&s, (const double[]){5, 5, 6});
    assert_true(s.times.first_token_s[1] == 1);
    clear(&s);
}

/* Two stages of 1 s, one request in each batch: the first leaves the second stage at 2, the other
 * a stage behind it at 3; their second tokens at 4 and 5. */
static void two_stages(void **state) {
    (void)state;
    scene s = make(2, (const double[][3]){{0, 1, 2}, {0, 1, 2}});
    s.def.policy = RUB_POLICY_SARATHI;
    s.def.max_seqs = 2;
    s.def.pp = 2;
    ends(&s, (const double[]){4, 5});
    clear(&s);
}

/* A second a token, blocks of 4. Request 0 computes 8 tokens. Request 1 finds both blocks and
 * computes 1; request 2's prompt ends with the second block, and one token at least must be
 * computed, so it finds one block and computes 4. */
static void prefix_hits(void **state) {
    (void)state;
    scene s = make(3, (const double[][3]){{0, 8, 1}, {10, 9, 1}, {20, 8, 1}});
    s.perf.linear = (rub_perf_linear){0, 1, 0, 0};
    s.def.block_size_tok = 4;
    s.def.prefix_cache = true;
    s.trace.hashes = (rub_trace_hashes){
        .block_tok = 4, .at = calloc(4, sizeof(size_t)), .hash = calloc(6, sizeof(uint64_t))};
    for (size_t i = 0; i < 6; i++)
        s.trace.hashes.hash[i] = 40 + i % 2;
    for (size_t i = 0; i < 4; i++)
        s.trace.hashes.at[i] = 2 * i;
    ends(&s, (const double[]){8, 11, 24});
    assert_int_equal(s.times.cached_tok[0], 0);
    assert_int_equal(s.times.cached_tok[1], 8);
    assert_int_equal(s.times.cached_tok[2], 4);
    clear(&s);
}

/* 3 blocks of 4 tokens, 2 of them the most that one request takes. Chains a = (1, 2), b = (3): a, b
 * fill the cache; a second b is found; then c = (5, 6) needs two: a's blocks are the oldest, its
 * second one first, so b is still there afterwards and a's first is not. */
static void least_recently_used(void **state) {
    (void)state;
    static const uint64_t chain[] = {1, 2, 3, 3, 5, 6, 3, 1, 2};
    static const size_t at[] = {0, 2, 3, 4, 6, 7, 9};
    scene s = make(6, (const double[][3]){
                          {0, 8, 1}, {20, 5, 1}, {40, 5, 1}, {60, 8, 1}, {80, 5, 1}, {100, 8, 1}});
    s.def.block_size_tok = 4;
    s.def.kv_blocks = 4;
    s.def.max_seqs = 1;
    s.def.prefix_cache = true;
    s.trace.hashes =
        (rub_trace_hashes){.block_tok = 4, .at = malloc(sizeof at), .hash = malloc(sizeof chain)};
    memcpy(s.trace.hashes.at, at, sizeof at);
    memcpy(s.trace.hashes.hash, chain, sizeof chain);
    ends(&s, (const double[]){1, 21, 41, 61, 81, 101});
    static const int32_t cached[] = {0, 0, 4, 0, 4, 0};
    assert_memory_equal(s.times.cached_tok, cached, sizeof cached);
    clear(&s);
}

/* With room for everything, first come first served on one replica, a request finds exactly the
 * leading blocks of its prompt that came in an earlier prompt: Mooncake's conversation trace. */
static void mooncake_hits(void **state) {
    (void)state;
    rub_trace t = {0};
    rub_trace_read_def read = rub_trace_read_default();
    if (access(SHARED "/data/traces/mooncake_conversation.jsonl.gz", R_OK) != 0) {
        print_message("skipped: no ../shared\n");
        skip();
    }
    assert_int_equal(
        rub_trace_read(SHARED "/data/traces/mooncake_conversation.jsonl.gz", &read, &t, NULL, NULL),
        RUB_OK);
    scene s = make(1, (const double[][3]){{0, 1, 1}});
    rub_serve_times_clear(&s.times);
    rub_trace_clear(&s.trace);
    s.trace = t;
    assert_int_equal(rub_serve_times_init(&s.times, t.n_req, NULL), RUB_OK);
    s.perf.linear = (rub_perf_linear){1e-3, 1e-6, 0, 0};
    s.def.block_size_tok = 16;
    s.def.kv_blocks = 20000000;
    s.def.max_seqs = 4096;
    s.def.max_batch_tok = 16384;
    s.def.prefix_cache = true;
    play(&s, RUB_ENGINE_FAST);
    uint64_t most = 0;
    for (size_t k = 0; k < t.hashes.at[t.n_req]; k++)
        most = t.hashes.hash[k] > most ? t.hashes.hash[k] : most;
    bool *seen = calloc(most + 1, 1);
    int64_t hits = 0, input = 0;
    for (size_t i = 0; i < t.n_req; i++) {
        int64_t found = 0, all = (t.input_tok[i] - 1) / 512;
        const uint64_t *chain = t.hashes.hash + t.hashes.at[i];
        while (found < all && seen[chain[found]])
            found++;
        assert_int_equal(s.times.cached_tok[i], 512 * found);
        for (int64_t b = 0; b < t.input_tok[i] / 512; b++)
            seen[chain[b]] = true;
        hits += 512 * found;
        input += t.input_tok[i];
    }
    print_message("# Mooncake conversation: %.1f %% of prompt tokens found with unlimited memory\n",
                  100.0 * (double)hits / (double)input);
    assert_true(hits > input / 4);
    free(seen);
    clear(&s);
}

/* Weights 2 and 1: due at 1/2, 1 | 1, 1 | 3/2, 1 | 3/2, 2 ... ties to the lowest. */
static void weighted_round_robin(void **state) {
    (void)state;
    scene s = make(1, (const double[][3]){{0, 1, 1}});
    rub_serve_group group[] = {{1, &s.perf, 100, 4, 2.0, 0}, {1, &s.perf, 100, 4, 1.0, 0}};
    s.def.group = group;
    s.def.n_group = s.def.n_replica = 2;
    rub_run run = {.trace = &s.trace, .perf = &s.perf, .def = &s.def};
    rub_kinds kinds;
    rub_static_router router;
    assert_int_equal(rub_kinds_init(&kinds, &run), RUB_OK);
    assert_int_equal(rub_static_router_init(&router, &kinds), RUB_OK);
    static const size_t expected[] = {0, 0, 1, 0, 0, 1};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(rub_static_route(&router, i), expected[i]);
    rub_static_router_clear(&router);
    /* random: two thirds go to the first, within four standard deviations of 30,000 draws */
    s.def.router = RUB_ROUTER_RANDOM;
    assert_int_equal(rub_static_router_init(&router, &kinds), RUB_OK);
    double first = 0;
    for (size_t i = 0; i < 30000; i++)
        first += rub_static_route(&router, i) == 0;
    assert_true(fabs(first - 20000.0) < 4 * sqrt(30000 * (2.0 / 9)));
    rub_static_router_clear(&router);
    rub_kinds_clear(&kinds);
    clear(&s);
}

/* A session stays with its replica; when one of 10 replicas leaves, only its sessions move. */
static void sessions_stay(void **state) {
    (void)state;
    scene s = make(1, (const double[][3]){{0, 1, 1}});
    s.def.router = RUB_ROUTER_SESSION;
    s.trace.session = calloc(1, sizeof *s.trace.session);
    rub_run run = {.trace = &s.trace, .perf = &s.perf, .def = &s.def};
    rub_kinds kinds;
    rub_static_router router;
    int32_t on_last = 0;
    assert_int_equal(rub_kinds_init(&kinds, &run), RUB_OK);
    for (int32_t id = 0; id < 2000; id++) {
        s.trace.session[0] = id;
        size_t at[2];
        for (int k = 0; k < 2; k++) {
            s.def.n_replica = 10 - k;
            assert_int_equal(rub_static_router_init(&router, &kinds), RUB_OK);
            at[k] = rub_static_route(&router, 0);
        }
        on_last += at[0] == 9;
        assert_true(at[0] == at[1] || at[0] == 9);
    }
    assert_true(on_last > 140 && on_last < 260); /* 200, standard deviation 13 */
    clear(&s);
}

/* Request 0: prefilled in [0, 1], decoded to 3; request 1 waits from 0.5 for the iteration that
 * starts at 1 and is prefilled in it; both hold blocks at 1.5, and request 1 has half of its 4
 * tokens, request 0 6 and a quarter of its 2 more. */
static void timeline_by_hand(void **state) {
    (void)state;
    scene s = make(2, (const double[][3]){{0, 5, 3}, {0.5, 4, 1}});
    rub_timeline t;
    ends(&s, (const double[]){3, 2});
    assert_int_equal(rub_serve_timeline(&s.trace, &s.times, 0.5, &t, NULL), RUB_OK);
    assert_int_equal(t.n, 7);
    static const double waiting[] = {0, 1, 0, 0, 0, 0, 0}, prefilling[] = {1, 1, 1, 1, 0, 0, 0},
                        decoding[] = {0, 0, 1, 1, 1, 1, 0}, kv[] = {0, 2.5, 6, 8.5, 7, 7.5, 0},
                        rate[] = {0, 0, 1, 1, 1, 1, 0};
    for (size_t k = 0; k < 7; k++) {
        assert_true(t.waiting[k] == waiting[k] && t.prefilling[k] == prefilling[k]);
        assert_true(t.decoding[k] == decoding[k] && fabs(t.kv_tok[k] - kv[k]) < 1e-9);
        assert_true(fabs(t.output_tok_per_s[k] - rate[k]) < 1e-9);
    }
    assert_true(t.arrival_per_s[0] == 2 && t.arrival_per_s[1] == 2);
    rub_timeline_clear(&t);
    clear(&s);
}

/* Two replicas, the second half as fast (2 s an iteration). Request 0 (10 prompt tokens) goes to
 * the first. least-kv: the second holds less. slo: the first will be free at 1 and give a first
 * token at 2 (1.5 s after the arrival at 0.5), the second at 2.5, so the first. */
static void looking_routers(void **state) {
    (void)state;
    scene s = make(2, (const double[][3]){{0, 10, 5}, {0.5, 5, 1}});
    rub_perf slow = {.kind = RUB_PERF_LINEAR, .linear = {2, 0, 0, 0}};
    rub_serve_group group[] = {{1, &s.perf, 100, 4, 1.0, 0}, {1, &slow, 100, 4, 1.0, 0}};
    s.def.group = group;
    s.def.n_group = s.def.n_replica = 2;
    s.def.router = RUB_ROUTER_LEAST_KV;
    ends(&s, (const double[]){5, 2.5});
    s.def.router = RUB_ROUTER_SLO;
    ends(&s, (const double[]){5, 2});
    s.def.router = RUB_ROUTER_POWER_OF_TWO; /* of two both are looked at: the idle one */
    ends(&s, (const double[]){5, 2.5});
    clear(&s);
}

/* One replica prefills, one decodes; a byte a token, 2 bytes/s, 0.5 s latency. Request 0 (4 tokens)
 * and request 1 (2) are prefilled together in [0, 1] and pull at once: 1 byte/s each, so request 1's
 * 2 bytes are through at 3; the 2 that request 0 has left go at 2 bytes/s to 4. They may decode at
 * 3.5 and 4.5 and take two iterations each: to 5.5, and to 6.5. Request 2 has one token only. */
static void pools_share_a_link(void **state) {
    (void)state;
    scene s = make(3, (const double[][3]){{0, 4, 3}, {0, 2, 3}, {0, 9, 1}});
    rub_serve_disagg d = {.n_prefill = 1,
                          .n_decode = 1,
                          .decode_router = RUB_ROUTER_LEAST_OUTSTANDING,
                          .kv_bytes_per_tok = 1,
                          .link_bytes_per_s = 2,
                          .link_latency_s = 0.5};
    s.def.disagg = &d;
    s.def.n_replica = 2;
    ends(&s, (const double[]){6.5, 5.5, 1});
    assert_true(s.times.first_token_s[0] == 1 && s.totals->transfer_bytes == 6);
    assert_true(s.totals->link_busy_s == 3); /* 1 to 4 */
    /* one seat in the decode pool: request 1 pulls when request 0 has ended. Alone, 0 pulls from 1
     * to 3, decodes from 3.5 to 5.5; then 1 pulls 1 s to 6.5 and decodes from 7 to 9 */
    d.decode_max_seqs = 1;
    ends(&s, (const double[]){5.5, 9, 1});
    clear(&s);
}

/* No replica at first: request 0 starts one, which is ready 5 s later. Then one request a replica is
 * wanted: at the decision at 30 three are unfinished, so two more start and are ready at 35; those
 * that wait stay where they are, but request 4 finds an idle replica. */
static void replicas_start(void **state) {
    (void)state;
    scene s = make(
        5, (const double[][3]){{10.25, 1, 1}, {21, 1, 40}, {21, 1, 40}, {21, 1, 2}, {36, 1, 1}});
    s.def.n_replica = 3;
    s.def.max_seqs = 1;
    s.def.router = RUB_ROUTER_LEAST_OUTSTANDING;
    s.def.scale = (rub_serve_scale){.scaler = RUB_SCALE_UTILISATION,
                                    .most = 3,
                                    .target = 1,
                                    .interval_s = 30,
                                    .startup_s = 5,
                                    .hold_s = 1000};
    ends(&s, (const double[]){16.25, 61, 101, 103, 37});
    assert_int_equal(s.totals->n_start, 3);
    /* from 10.25, 30 and 30 to the last end at 103 */
    assert_true(fabs(s.totals->up_s - (92.75 + 73 + 73)) < 1e-9);
    clear(&s);
}

/* Mean time between failures 10 s, repair 1 s, for 100,000 s: 9,091 failures, a renewal process of
 * mean 11 s; within five standard deviations for exponential times and for Weibull ones of the same
 * mean. Down 1/11 of the time. */
static void failures_come_as_often_as_said(void **state) {
    (void)state;
    scene s = make(2, (const double[][3]){{0, 1, 1}, {100000, 1, 1}});
    for (int k = 0; k < 2; k++) {
        double shape = k ? 2.0 : 1.0, cv2 = k ? 4.0 / M_PI - 1.0 : 1.0; /* of one life */
        s.def.n_failure = 1;
        s.def.failure[0] = (rub_serve_failure){1, 10, shape, 1};
        play(&s, RUB_ENGINE_FAST);
        double n = 100000.0 / 11, sd = sqrt(n * (100 * cv2 + 1) / 121);
        assert_true(fabs((double)s.totals->n_failure - n) < 5 * sd);
        assert_true(fabs(s.totals->down_s / 100000 - 1.0 / 11) < 0.005);
    }
    clear(&s);
}

/* Two drafts a step, always right: a first token at 1, then 3 tokens a step of 1 s and 2 * 0.1 s of
 * drafting: 6 more at 3.4. Never right: one a step, 6 steps of 1.2 s. With 0.7 of three a step gains
 * (1 - 0.7^4) / 0.3 = 2.533 tokens on average: 20,000 in 7,896 steps, within 2 %. */
static void speculation(void **state) {
    (void)state;
    scene s = make(1, (const double[][3]){{0, 1, 7}});
    s.def.spec_draft = 2;
    s.def.spec_draft_s = 0.1;
    s.def.spec_accept = 1;
    ends(&s, (const double[]){1 + 1.2 + 1.2});
    s.def.spec_accept = 0;
    play(&s, RUB_ENGINE_FAST);
    assert_true(fabs(s.times.finish_s[0] - 8.2) < 1e-9);
    s.trace.output_tok[0] = 20001;
    s.def.kv_blocks = 30000;
    s.def.spec_draft = 3;
    s.def.spec_accept = 0.7;
    play(&s, RUB_ENGINE_FAST);
    assert_true(fabs((double)s.totals->n_iteration / 7896 - 1) < 0.02);
    clear(&s);
}

/* One adapter at a time: request 1 (adapter 2) is passed over while request 0 (adapter 1) runs, to
 * 3; request 2 (adapter 1) and request 3 (none) join at once. */
static void adapters(void **state) {
    (void)state;
    scene s = make(4, (const double[][3]){{0, 1, 3}, {0, 1, 1}, {0, 1, 1}, {0, 1, 1}});
    s.def.max_loras = 1;
    s.trace.adapter = calloc(4, sizeof *s.trace.adapter);
    s.trace.adapter[0] = s.trace.adapter[2] = 1;
    s.trace.adapter[1] = 2;
    ends(&s, (const double[]){3, 4, 1, 1});
    clear(&s);
}

static void what_does_not_go_together(void **state) {
    (void)state;
    scene s = make(1, (const double[][3]){{0, 1, 1}});
    rub_error err = {0};
    s.def.prefix_cache = true;
    assert_int_equal(rub_serve_run(&s.trace, &s.perf, &s.def, NULL, &s.times, s.totals, &err),
                     RUB_INVALID);
    assert_non_null(strstr(err.message, "no hashes"));
    s.def.prefix_cache = false;
    s.def.policy = RUB_POLICY_SARATHI;
    s.def.long_prefill_tok = 5;
    assert_int_equal(rub_serve_run(&s.trace, &s.perf, &s.def, NULL, &s.times, s.totals, &err),
                     RUB_INVALID);
    s.def.long_prefill_tok = 0;
    s.def.router = RUB_ROUTER_SESSION;
    assert_int_equal(rub_serve_run(&s.trace, &s.perf, &s.def, NULL, &s.times, s.totals, &err),
                     RUB_INVALID);
    clear(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shortest_job_and_priority),
        cmocka_unit_test(who_is_preempted),
        cmocka_unit_test(prefill_chunks),
        cmocka_unit_test(partial_prefill_limits),
        cmocka_unit_test(block_reserves),
        cmocka_unit_test(orca_and_static),
        cmocka_unit_test(two_stages),
        cmocka_unit_test(prefix_hits),
        cmocka_unit_test(least_recently_used),
        cmocka_unit_test(mooncake_hits),
        cmocka_unit_test(weighted_round_robin),
        cmocka_unit_test(sessions_stay),
        cmocka_unit_test(looking_routers),
        cmocka_unit_test(timeline_by_hand),
        cmocka_unit_test(pools_share_a_link),
        cmocka_unit_test(replicas_start),
        cmocka_unit_test(failures_come_as_often_as_said),
        cmocka_unit_test(speculation),
        cmocka_unit_test(adapters),
        cmocka_unit_test(what_does_not_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
