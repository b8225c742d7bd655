/* Scenes of what engines do beyond one batch at a time, worked out by hand: asynchronous scheduling,
 * ranks in lock-step, host memory behind the prefix cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "../scenes.h"

/* 0.25 s of scheduling before each iteration. One after the other: 3 tokens at 1.25, 2.5, 3.75, and
 * request 1, which comes at 1.5, is in the third iteration with its only token. Asynchronously:
 * batches are scheduled at 0, 0.25 (the queue holds two), 1.25 and 2.25, when the one before the last
 * is through, and run from 0.25 without a gap to 1.25, 2.25, 3.25, 4.25: request 1 came after the third
 * was scheduled, so it is in the fourth, half a second later than otherwise. By stop token request 0 is
 * in the fourth too, in vain, and request 1 in a fifth. */
static void scheduling_ahead(void **state) {
    (void)state;
    scene s = make(2, (const double[][3]){{0, 1, 3}, {1.5, 1, 1}});
    s.def.host_s = 0.25;
    ends(&s, (const double[]){3.75, 3.75});
    s.def.async = RUB_ASYNC_LENGTH;
    ends(&s, (const double[]){3.25, 4.25});
    assert_true(s.totals->n_iteration == 4 && s.totals->decode_tok == 2 && s.totals->busy_s == 4);
    assert_true(s.times.first_token_s[0] == 1.25 && s.times.scheduled_s[1] == 2.25);
    s.def.async = RUB_ASYNC_STOP;
    ends(&s, (const double[]){3.25, 4.25});
    assert_true(s.totals->n_iteration == 5 && s.totals->decode_tok == 4);
    clear(&s);
}

/* Scheduling takes 2 s, an iteration 1 s: batches are scheduled to 2, 4, 6 and run to 3, 5, 7; the
 * scheduler sees the first token when it is free again, at 4, the second at 6. */
static void slow_scheduler(void **state) {
    (void)state;
    scene s = make(1, (const double[][3]){{0, 1, 3}});
    s.def.host_s = 2;
    s.def.async = RUB_ASYNC_LENGTH;
    ends(&s, (const double[]){7});
    assert_true(s.times.first_token_s[0] == 4);
    clear(&s);
}

/* 7 blocks of one token. Requests 0 and 1 (2 tokens each) take 2 blocks each in the first batch
 * [0, 1], 3 in the second [1, 2] (scheduled at 0); for the third, scheduled at 1, request 0 gets a 4th
 * (7 of 7), request 1 none: it is preempted with 4 tokens, its second token still in flight, and gets it
 * at 2. Request 0 ends with its third token at 3, known at 1, so nothing is scheduled for it at 2:
 * request 1 needs 4 blocks where 3 are free. At 3 it is prefilled, alone, and has its third token at 4
 * and its fourth at 5. */
static void preempted_in_flight(void **state) {
    (void)state;
    scene s = make(2, (const double[][3]){{0, 2, 3}, {0, 2, 4}});
    s.def.kv_blocks = 7;
    s.def.async = RUB_ASYNC_LENGTH;
    ends(&s, (const double[]){3, 5});
    assert_int_equal(s.times.restarts[1], 1);
    assert_int_equal(s.totals->prefill_tok, 8);
    clear(&s);
}

/* Two ranks; n tokens take 0.5 + n / 4 s. Request 0 (2 tokens) goes to rank 0, request 1 (6) to rank 1:
 * 1 s and 2 s, so both first tokens come at 2. Request 2 comes at 1, when both ranks run one request, and
 * goes to rank 0, where it waits for 2 although rank 0 was done at 1: its prompt and request 0's decode
 * take 1 s, to 3, while rank 1 runs a dummy. Rank 0 waited 1 s of the first 2, rank 1 all of the last one:
 * 1 s on average of 3. Alone each of requests 0 and 2 would have been faster. By turns request 2 goes to
 * rank 0 as well; of three ranks to the third, so request 0 ends at 2.75. */
static void lock_step(void **state) {
    (void)state;
    scene s = make(3, (const double[][3]){{0, 2, 2}, {0, 6, 1}, {1, 1, 1}});
    s.perf.linear = (rub_perf_linear){0.5, 0.25, 0, 0};
    s.def.attention_dp = 2;
    ends(&s, (const double[]){3, 2, 3});
    assert_true(s.times.first_token_s[0] == 2 && s.times.scheduled_s[2] == 2);
    assert_true(s.totals->busy_s == 3 && s.totals->lockstep_s == 1 && s.totals->n_iteration == 2);
    s.def.rank_router = RUB_RANK_ROUND_ROBIN;
    ends(&s, (const double[]){3, 2, 3});
    s.def.attention_dp = 3;
    ends(&s, (const double[]){2.75, 2, 2.75});
    s.def.attention_dp = 2; /* one seat a rank: request 2 waits for the next iteration, to 3.5 */
    s.def.max_seqs = 1;
    ends(&s, (const double[]){2.75, 2, 3.5});
    clear(&s);
}

/* 4 blocks of 4 tokens; prompts of 9 tokens (3 blocks) with chains a = (1, 2) and b = (5, 6). a fills the
 * cache with 1 and 2; b needs 3 blocks where 2 are free, so block 2, the oldest, goes to host memory.
 * When a comes again at 40, block 1 is in the cache and block 2 on the host: 4 tokens at 2 tokens/s until
 * 42, while b's block 6 makes room and goes there; then the last token, to 43. b finds 5 and fetches 6:
 * 60 to 62, 63. Without host memory both take one iteration, having found 4 tokens. One block
 * of it is enough: 6 pushes 2 out when 2 is on its way. */
static void host_memory(void **state) {
    (void)state;
    static const uint64_t chain[] = {1, 2, 5, 6, 1, 2, 5, 6};
    static const size_t at[] = {0, 2, 4, 6, 8};
    scene s = make(4, (const double[][3]){{0, 9, 1}, {20, 9, 1}, {40, 9, 1}, {60, 9, 1}});
    s.def.block_size_tok = 4;
    s.def.kv_blocks = 4;
    s.def.max_seqs = 1;
    s.def.prefix_cache = true;
    s.trace.hashes =
        (rub_trace_hashes){.block_tok = 4, .at = malloc(sizeof at), .hash = malloc(sizeof chain)};
    memcpy(s.trace.hashes.at, at, sizeof at);
    memcpy(s.trace.hashes.hash, chain, sizeof chain);
    ends(&s, (const double[]){1, 21, 41, 61});
    assert_true(s.times.cached_tok[2] == 4 && s.times.cached_tok[3] == 4);
    s.def.offload_tok_per_s = 2;
    for (s.def.offload_blocks = 1; s.def.offload_blocks <= 2; s.def.offload_blocks++) {
        ends(&s, (const double[]){1, 21, 43, 63});
        assert_true(s.times.cached_tok[2] == 8 && s.times.cached_tok[3] == 8);
        assert_int_equal(s.totals->fetched_tok, 8);
    }
    clear(&s);
}

/* One replica of two ranks prefills, one of two ranks decodes; n tokens take 0.5 + n / 4 s; KV takes no
 * time. Requests 0 (2 tokens) and 1 (6) are prefilled together on a rank each, to 2 s, the slower one's
 * time, and go to a rank each of the other replica. Both decode twice, 0.75 s an iteration: to 3.5. Request
 * 2 (2 tokens) comes at 1, waits for 2, is prefilled to 3 while the other rank runs a dummy, and decodes
 * from the boundary at 3.5 on: to 4.25, 5. */
static void lock_step_in_pools(void **state) {
    (void)state;
    scene s = make(3, (const double[][3]){{0, 2, 3}, {0, 6, 3}, {1, 2, 3}});
    rub_serve_disagg d = {.n_prefill = 1,
                          .n_decode = 1,
                          .decode_router = RUB_ROUTER_LEAST_OUTSTANDING,
                          .link_bytes_per_s = 1};
    s.perf.linear = (rub_perf_linear){0.5, 0.25, 0, 0};
    s.def.attention_dp = 2;
    s.def.disagg = &d;
    s.def.n_replica = 2;
    ends(&s, (const double[]){3.5, 3.5, 5});
    assert_true(s.times.first_token_s[0] == 2 && s.times.first_token_s[2] == 3);
    clear(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scheduling_ahead),    cmocka_unit_test(slow_scheduler),
        cmocka_unit_test(preempted_in_flight), cmocka_unit_test(lock_step),
        cmocka_unit_test(host_memory),         cmocka_unit_test(lock_step_in_pools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
