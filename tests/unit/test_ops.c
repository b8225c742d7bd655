/* Roofline by hand: a tiny model on an accelerator of round figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "perf/ops.h"

#include <math.h>
#include <string.h>

/* 1e14 FLOP/s, 1e12 B/s, no 8-bit arithmetic */
static const rub_accelerator accel = {.name = "round",
                                      .bf16_flops = 1e14,
                                      .mem_bytes = 1e11,
                                      .mem_bytes_per_s = 1e12,
                                      .scaleup_bytes_per_s = 2e11,
                                      .scaleup_domain = 8,
                                      .node_size = 8};

static rub_model tiny(void) {
    rub_model m = {.name = "tiny",
                   .n_layer = 2,
                   .hidden = 512,
                   .vocab = 1000,
                   .context_tok = 8192,
                   .weights = RUB_BF16,
                   .n_group = 1};
    m.group[0] = (rub_layer_group){
        .n_layer = 2,
        .n_norm = 2,
        .attention = {.heads = 8, .kv_heads = 2, .head_dim = 64, .v_head_dim = 64},
        .ffn = {.inter = 2048, .n_matrix = 3}};
    return m;
}

static const rub_op *find(const rub_op_list *list, const char *name) {
    for (int i = 0; i < list->n; i++)
        if (strcmp(list->op[i].name, name) == 0)
            return &list->op[i];
    fail_msg("no operator '%s'", name);
    return NULL;
}

static void near_to(double found, double expected) {
    if (!(fabs(found - expected) <= 1e-9 * fabs(expected)))
        fail_msg("found %.12g, expected %.12g", found, expected);
}

/* Operators as they are, without what a serving engine makes of them. */
static const rub_engine_constants plain = {
    .gemm = 1.0, .attention = 1.0, .moe = 1.0, .collective = 1.0, .small = 1.0};

static rub_op_list build(rub_model *m, int32_t tp) {
    static rub_op_list list;
    rub_deployment d = rub_deployment_default(m, &accel), r;
    d.tp = tp;
    d.level = RUB_LEVEL_ROOFLINE;
    d.constants = &plain;
    assert_int_equal(rub_deployment_resolve(&d, &r, NULL), RUB_OK);
    rub_ops_build(&r, &list);
    return list;
}

static double on_batch(const rub_op *op, const rub_batch *batch) {
    rub_load load = rub_load_of(batch, 1.0);
    return rub_op_seconds(op, &load);
}

static void gemm_is_the_larger_of_two_lines(void **state) {
    (void)state;
    rub_model m = tiny();
    rub_op_list list = build(&m, 1);
    const rub_op *down = find(&list, "down projection");
    rub_efficiency e = rub_efficiency_gemm(RUB_BF16, false);
    /* 1 token: 2048 x 512 weights of 2 bytes, 2048 values in and 512 out */
    double bytes = 2048.0 * 512 * 2 + (2048 + 512) * 2;
    near_to(rub_op_on_units(down, 1), 2 * (bytes / (1e12 * e.memory) + e.overhead_s));
    double flops = 2.0 * 2048 * 512 * 4096;
    near_to(rub_op_on_units(down, 4096), 2 * (flops / (1e14 * e.compute) + e.overhead_s));
    assert_true(rub_op_on_units(down, 0) == 0.0);
}

static void tp_splits_heads_and_keeps_a_kv_head(void **state) {
    (void)state;
    rub_model m = tiny();
    rub_op_list one = build(&m, 1);
    double whole = find(&one, "qkv projection")->compute_s;
    rub_op_list eight = build(&m, 8);
    double part = find(&eight, "qkv projection")->compute_s;
    /* 8 + 2 + 2 heads against 1 + 1 + 1 */
    near_to(part / whole, 3.0 / 12.0);
    double kv = find(&one, "decode attention")->stream_s;
    near_to(find(&eight, "decode attention")->stream_s / kv, 0.5);
    assert_non_null(find(&eight, "all-reduce after FFN"));
}

static void attention_follows_the_aggregates(void **state) {
    (void)state;
    rub_model m = tiny();
    rub_op_list list = build(&m, 1);
    rub_efficiency d = rub_efficiency_decode(), p = rub_efficiency_prefill();
    rub_batch decode = {.n_tokens = 10, .n_decode = 10, .kv_decode = 9990};
    double kv_bytes = 10000.0 * 2 * 2 * 64 * 2;
    near_to(on_batch(find(&list, "decode attention"), &decode),
            2 * (kv_bytes / (1e12 * d.memory) + d.overhead_s));
    /* a chunk of 1000 after 500: 1000 * (500 + 500) token pairs, 4 flops a pair and channel */
    rub_batch prefill = {
        .n_tokens = 1000, .n_prefill = 1, .prefill_work2 = 1000 * 2000, .prefill_kv = 500};
    near_to(on_batch(find(&list, "prefill attention"), &prefill),
            2 * (1e6 * 4 * 8 * 64 / (1e14 * p.compute) + p.overhead_s));
    assert_true(on_batch(find(&list, "prefill attention"), &decode) == 0.0);
    /* with a window of 100 each decode looks at 100 */
    m.group[0].attention.window_tok = 100;
    list = build(&m, 1);
    near_to(on_batch(find(&list, "decode attention"), &decode),
            2 * (kv_bytes / 10 / (1e12 * d.memory) + d.overhead_s));
}

static void experts_touched_follow_the_batch(void **state) {
    (void)state;
    rub_model m = tiny();
    m.group[0].ffn = (rub_ffn){.n_expert = 4, .n_active = 1, .expert_inter = 1024, .n_matrix = 3};
    rub_op_list list = build(&m, 1);
    const rub_op *op = find(&list, "routed experts");
    rub_efficiency e = rub_efficiency_gemm(RUB_BF16, true);
    double expert = 3.0 * 512 * 1024 * 2, row = 4.0 * 512;
    for (int n = 1; n <= 2; n++) { /* 1 token: one expert; 2 tokens: 4 * (1 - 0.75^2) = 1.75 */
        double touched = 4 * (1 - pow(0.75, n));
        double s = (touched * expert + n * row) / (1e12 * e.memory);
        near_to(rub_op_on_units(op, n), 2 * (s + e.overhead_s));
    }
}

static void layouts_are_checked(void **state) {
    (void)state;
    rub_model m = tiny();
    rub_error err = {0};
    rub_deployment d = rub_deployment_default(&m, &accel), r;
    d.tp = 3;
    assert_int_equal(rub_deployment_resolve(&d, &r, &err), RUB_INVALID);
    assert_string_equal(err.message, "tp 3 does not divide the 8 attention heads of tiny");
    d.tp = 1;
    d.weights = RUB_FP8;
    assert_int_equal(rub_deployment_resolve(&d, &r, &err), RUB_UNSUPPORTED);
    d.weights = RUB_PRECISION_AUTO;
    d.pp = 2;
    assert_int_equal(rub_deployment_resolve(&d, &r, &err), RUB_UNSUPPORTED);
    d.pp = 1;
    d.kv_cache = RUB_INT4;
    assert_int_equal(rub_deployment_resolve(&d, &r, &err), RUB_UNSUPPORTED);
    d.kv_cache = RUB_PRECISION_AUTO;
    d.max_seqs = 0;
    assert_int_equal(rub_deployment_resolve(&d, &r, &err), RUB_INVALID);
    assert_string_equal(err.message, "max_seqs is 0, expected 1 to 1000000");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_is_the_larger_of_two_lines),
        cmocka_unit_test(tp_splits_heads_and_keeps_a_kv_head),
        cmocka_unit_test(attention_follows_the_aggregates),
        cmocka_unit_test(experts_touched_follow_the_batch),
        cmocka_unit_test(layouts_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
