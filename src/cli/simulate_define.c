/* Settings of rubato simulate to the definition of a run. */
#include "cli/simulate.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* "linear:a,b,c,d" */
static rub_status parse_perf(const char *text, rub_perf *out, rub_error *err) {
    rub_perf_linear l;
    int n = 0;
    if (sscanf(text, "linear:%lf,%lf,%lf,%lf%n", &l.a_s, &l.b_s, &l.c_s, &l.d_s, &n) != 4 ||
        text[n])
        return rub_error_set(
            err, RUB_INVALID,
            "--perf: found '%.80s', expected linear:A,B,C,D (seconds, s/token, s/token, s/token^2)",
            text);
    if (!(l.a_s >= 0 && l.b_s >= 0 && l.c_s >= 0 && l.d_s >= 0 && l.a_s + l.b_s > 0) ||
        !isfinite(l.a_s + l.b_s + l.c_s + l.d_s))
        return rub_error_set(
            err, RUB_INVALID,
            "--perf: found '%.80s', expected coefficients of 0 or more, A + B above 0", text);
    *out = (rub_perf){.kind = RUB_PERF_LINEAR, .linear = l};
    return RUB_OK;
}

static void describe(const simulate_settings *s, simulation *sim) {
    rub_serve_def d = rub_serve_default();
    d.policy = (rub_policy)s->policy;
    d.router = (rub_router)s->router;
    d.engine = (rub_engine)s->engine;
    d.n_replica = (int32_t)s->replicas;
    d.max_seqs = (int32_t)s->max_seqs;
    d.chunk_tok = s->chunk;
    d.max_batch_tok = s->max_batch_tokens;
    d.kv_blocks = s->kv_blocks;
    d.block_size_tok = (int32_t)s->block_size;
    d.watermark_frac = s->watermark;
    d.concurrency = (int32_t)s->max_concurrency;
    d.think_s = s->think_s;
    d.order = (rub_order)s->order;
    d.predict_sigma = s->predict_error;
    d.reserve = (rub_reserve)s->reserve;
    d.long_prefill_tok = s->long_prefill;
    d.async = (rub_async)s->async;
    d.host_s = s->host_s;
    d.attention_dp = (int32_t)s->attention_dp;
    d.rank_router = (rub_rank_router)s->rank_router;
    d.whole_prefill = s->whole_prefill;
    d.max_partial = (int32_t)s->max_partial;
    d.max_long_partial = (int32_t)s->max_long_partial;
    d.pp = (int32_t)s->pp;
    d.spec_draft = (int32_t)s->spec_draft;
    d.spec_accept = s->spec_accept;
    d.spec_draft_s = s->spec_draft_s;
    d.max_loras = (int32_t)s->max_loras;
    d.prefix_cache = s->prefix_cache;
    d.affinity_slack = s->affinity_slack;
    d.slo_ttft_s = sim->targets.ttft_s;
    d.slo_tpot_s = sim->targets.tpot_s;
    d.seed = (uint64_t)s->seed;
    d.n_thread = (int32_t)s->threads;
    sim->def = d;
}

/* "COUNT:SPEED[:BLOCKS[:MODEL]]" */
static rub_status group(const char *text, simulation *sim, int32_t g, rub_error *err) {
    int count = 0, n = 0, model = -1;
    double speed = 0.0;
    long long blocks = sim->def.kv_blocks;
    int found = sscanf(text, "%d:%lf%n:%lld%n:%d%n", &count, &speed, &n, &blocks, &n, &model, &n);
    if (found < 2 || text[n] || (found > 3 && model < 0) || count < 1 || count > 1000000 ||
        !(speed > 0 && speed < 1e6) || blocks < 1)
        return rub_error_set(
            err, RUB_INVALID,
            "--group: found '%.60s', expected COUNT:SPEED[:BLOCKS[:MODEL]] such as "
            "4:0.5",
            text);
    rub_perf p = sim->perf;
    p.linear = (rub_perf_linear){p.linear.a_s / speed, p.linear.b_s / speed, p.linear.c_s / speed,
                                 p.linear.d_s / speed};
    sim->group_perf[g] = p;
    sim->group[g] = (rub_serve_group){.n_replica = count,
                                      .perf = &sim->group_perf[g],
                                      .kv_blocks = blocks,
                                      .max_seqs = sim->def.max_seqs,
                                      .weight = speed,
                                      .model = model < 0 ? 0 : model};
    sim->def.by_model = sim->def.by_model || model >= 0;
    sim->def.n_replica += count;
    return RUB_OK;
}

static rub_status group_all(const simulate_settings *s, simulation *sim, rub_error *err) {
    if (s->groups.n > SIMULATE_MAX_GROUP)
        return rub_error_set(err, RUB_INVALID, "--group: found %zu, expected at most %d",
                             s->groups.n, SIMULATE_MAX_GROUP);
    sim->def.n_replica = 0;
    for (size_t g = 0; g < s->groups.n; g++)
        RUB_TRY(group(s->groups.values[g], sim, (int32_t)g, err));
    sim->def.group = sim->group;
    sim->def.n_group = (int32_t)s->groups.n;
    return RUB_OK;
}

rub_status rub_simulation_define(const simulate_settings *s, simulation *sim, rub_error *err) {
    describe(s, sim);
    /* vLLM V1 serves online with a budget of 8,192 tokens on large accelerators; Vidur's v0 pads up
     * to 16,384 */
    if (sim->def.max_batch_tok == 0)
        sim->def.max_batch_tok = s->policy == RUB_POLICY_VLLM_V0 ? 16384 : 8192;
    if (sim->def.policy == RUB_POLICY_VLLM && s->max_batch_tokens == 0 &&
        sim->def.max_batch_tok < sim->def.max_seqs)
        sim->def.max_batch_tok = sim->def.max_seqs;
    if (s->perf && s->model && strncmp(s->perf, "linear:", 7) == 0)
        return rub_error_set(err, RUB_INVALID,
                             "--perf %.80s and --model are both given, expected one of them",
                             s->perf);
    if (!s->perf && !s->model)
        return rub_error_set(err, RUB_INVALID,
                             "expected --model and --accelerator, or --perf linear:A,B,C,D");
    if (s->perf && !s->model) {
        if (sim->def.kv_blocks == 0)
            sim->def.kv_blocks = rub_serve_default().kv_blocks;
        RUB_TRY(parse_perf(s->perf, &sim->perf, err));
        return s->groups.n > 0 ? group_all(s, sim, err) : RUB_OK;
    }
    if (s->pp > 1 || s->groups.n > 0)
        return rub_error_set(
            err, RUB_UNSUPPORTED,
            "--pp and --group are given with --model, expected --perf beside them");
    return rub_simulation_deploy(s, sim, err);
}
