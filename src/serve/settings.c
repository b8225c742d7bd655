/* Settings of a run: defaults, ranges, what they need. */
#include "serve/replica.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>

rub_serve_def rub_serve_default(void) {
    return (rub_serve_def){.policy = RUB_POLICY_VLLM,
                           .router = RUB_ROUTER_ROUND_ROBIN,
                           .engine = RUB_ENGINE_FAST,
                           .n_replica = 1,
                           .max_seqs = 256,
                           .chunk_tok = 512,
                           .max_batch_tok = 8192,
                           .kv_blocks = 20000,
                           .block_size_tok = 16,
                           .watermark_frac = 0.01,
                           .pp = 1,
                           .attention_dp = 1,
                           .affinity_slack = 1.5,
                           .n_thread = 1};
}

bool rub_serve_is_plain(const rub_serve_def *d) {
    return d->policy <= RUB_POLICY_VLLM_V0 && d->order == RUB_ORDER_FCFS &&
           d->reserve == RUB_RESERVE_PROMPT && d->long_prefill_tok == 0 && !d->whole_prefill &&
           d->max_partial == 0 && d->max_long_partial == 0 && d->pp == 1 && !d->prefix_cache &&
           d->spec_draft == 0 && d->max_loras == 0 && d->async == RUB_ASYNC_NONE &&
           d->host_s == 0 && d->attention_dp == 1 && d->batch_reserve_frac == 0 &&
           !rub_serve_is_world(d);
}

bool rub_serve_is_world(const rub_serve_def *d) {
    return d->disagg || d->n_failure > 0 || d->scale.scaler != RUB_SCALE_NONE;
}

static bool positive(double x) { return x > 0 && isfinite(x); }

static rub_status check_disagg(const rub_serve_def *d, rub_error *err) {
    const rub_serve_disagg *x = d->disagg;
    if (!x)
        return RUB_OK;
    if (x->n_prefill < 1 || x->n_decode < 1 || x->n_prefill + x->n_decode != d->n_replica)
        return rub_error_set(err, RUB_INVALID,
                             "pools have %d and %d replicas, expected 1 or more each and %d in all",
                             x->n_prefill, x->n_decode, d->n_replica);
    if (!(x->kv_bytes_per_tok >= 0) || !positive(x->link_bytes_per_s) ||
        !(x->link_latency_s >= 0) || !isfinite(x->kv_bytes_per_tok + x->link_latency_s))
        return rub_error_set(err, RUB_INVALID,
                             "link has %g bytes/s, %g s latency, %g bytes a token: expected a "
                             "bandwidth above 0 and the others 0 or more",
                             x->link_bytes_per_s, x->link_latency_s, x->kv_bytes_per_tok);
    if (d->policy != RUB_POLICY_VLLM || d->pp != 1 || d->n_group > 0 || d->n_failure > 0 ||
        d->scale.scaler != RUB_SCALE_NONE)
        return rub_error_set(err, RUB_UNSUPPORTED,
                             "disaggregated pools want policy vllm, one pipeline stage, no groups, "
                             "failures or autoscaler");
    if (x->prefill_kv_blocks < 0 || x->decode_kv_blocks < 0 || x->prefill_max_seqs < 0 ||
        x->decode_max_seqs < 0 || x->prefill_max_seqs > d->max_batch_tok ||
        x->decode_max_seqs > d->max_batch_tok)
        return rub_error_set(err, RUB_INVALID,
                             "pools: expected blocks and seats of 0 (as the fleet's) or more, and "
                             "at most as many seats as max-batch-tokens");
    return RUB_OK;
}

static rub_status check_world(const rub_serve_def *d, rub_error *err) {
    const rub_serve_scale *c = &d->scale;
    for (int32_t k = 0; k < d->n_failure; k++) {
        const rub_serve_failure *x = &d->failure[k];
        if (x->n_replica < 1 || !positive(x->mtbf_s) || !positive(x->repair_s) ||
            !(x->shape >= 0.1 && x->shape <= 100))
            return rub_error_set(err, RUB_INVALID,
                                 "failures: %d replicas, %g s between, %g s repair, shape %g: "
                                 "expected 1 or more, times above 0, shape 0.1 to 100",
                                 x->n_replica, x->mtbf_s, x->repair_s, x->shape);
    }
    if (c->scaler == RUB_SCALE_NONE)
        return RUB_OK;
    if (c->least < 0 || c->most < 1 || c->most > d->n_replica || c->least > c->most ||
        c->start < c->least || c->start > c->most)
        return rub_error_set(err, RUB_INVALID,
                             "autoscaler keeps %d to %d replicas and starts with %d, expected "
                             "0 <= least <= start <= most <= %d",
                             c->least, c->most, c->start, d->n_replica);
    bool wants_target = c->scaler != RUB_SCALE_SCHEDULE;
    if (!positive(c->interval_s) || !(c->startup_s >= 0) || !(c->hold_s >= 0) ||
        (wants_target && !positive(c->target)) ||
        (c->scaler == RUB_SCALE_SLO && !(positive(c->ttft_s) && c->target <= 1)))
        return rub_error_set(err, RUB_INVALID,
                             "autoscaler: interval %g s, start-up %g s, hold %g s, target %g, TTFT "
                             "%g s: expected times of 0 or more, interval and target above 0",
                             c->interval_s, c->startup_s, c->hold_s, c->target, c->ttft_s);
    return RUB_OK;
}

bool rub_batch_fits(const rub_run *run, size_t i, int64_t blocks) {
    const rub_serve_def *d = run->def;
    if (!rub_is_batch(run, (int32_t)i))
        return true;
    return (int64_t)((1.0 - d->batch_reserve_frac) * (double)d->max_seqs) >= 1 &&
           blocks <= d->kv_blocks - (int64_t)(d->batch_reserve_frac * (double)d->kv_blocks);
}

/* A request that could never run to its end alone is rejected on arrival; in a fleet of several
 * kinds it must fit into each. */
bool rub_run_fits(const rub_run *run, size_t i) {
    const rub_serve_def *d = run->def;
    int64_t total = (int64_t)run->trace->input_tok[i] + run->trace->output_tok[i];
    int64_t kept = run->watermark > 1 ? run->watermark : 1;
    /* its blocks and those kept are at most all, without a division */
    if (total > (d->kv_blocks - kept) * d->block_size_tok)
        return false;
    if (rub_is_batch(run, (int32_t)i) &&
        !rub_batch_fits(run, i, rub_blocks(total, d->block_size_tok) + kept))
        return false;
    /* where prompts are not cut they must fit whole, after preemption with what was generated */
    bool whole = d->policy == RUB_POLICY_VLLM_V0 || d->whole_prefill;
    return !whole || total <= d->max_batch_tok;
}

const rub_replica_kind *rub_run_kind(const rub_run *run) {
    if (run->def->attention_dp > 1)
        return run->def->engine == RUB_ENGINE_NAIVE ? &rub_lockstep_naive : &rub_lockstep_wide;
    if (run->def->engine == RUB_ENGINE_NAIVE)
        return &rub_replica_naive;
    bool plain = run->def->engine == RUB_ENGINE_FAST && rub_serve_is_plain(run->def);
    return plain ? &rub_replica_fast : &rub_replica_wide;
}

rub_status rub_replica_drain(const rub_replica_kind *kind, rub_replica *replica, double from_s,
                             bool (*goes_on)(void *ctx, int64_t left), void *ctx) {
    double until_s = from_s, end_s;
    rub_replica_view v;
    for (kind->view(replica, &v); v.n_outstanding > 0; kind->view(replica, &v)) {
        RUB_TRY(kind->next_end(replica, &end_s));
        if (isinf(end_s))
            return RUB_INTERNAL; /* waits and can never run: possible() lets no such one in */
        until_s = fmax(until_s + 64.0, end_s); /* a minute, at least an iteration */
        RUB_TRY(kind->advance(replica, until_s));
        if (!goes_on(ctx, v.n_outstanding))
            return RUB_INTERRUPTED;
    }
    return RUB_OK;
}

bool rub_run_report(const rub_progress *progress, double at_s, size_t done, size_t total) {
    char text[48];
    snprintf(text, sizeof text, "simulated %.4g h", at_s / 3600);
    return rub_progress_report(progress, "simulating", (double)done, (double)total, text);
}

static rub_status check_ranges(const rub_serve_def *d, rub_error *err) {
    struct {
        const char *name;
        int64_t value, least, most;
    } const range[] = {{"replicas", d->n_replica, 1, 1000000},
                       {"max-seqs", d->max_seqs, 1, 1 << 20},
                       {"chunk", d->chunk_tok, 1, 1 << 30},
                       {"max-batch-tokens", d->max_batch_tok, 1, (int64_t)1 << 40},
                       {"kv-blocks", d->kv_blocks, 1, (int64_t)1 << 40},
                       {"block-size", d->block_size_tok, 1, 1 << 16},
                       {"max-concurrency", d->concurrency, 0, 1 << 24},
                       {"long-prefill", d->long_prefill_tok, 0, (int64_t)1 << 40},
                       {"max-partial-prefills", d->max_partial, 0, 1 << 20},
                       {"max-long-partial-prefills", d->max_long_partial, 0, 1 << 20},
                       {"spec-draft", d->spec_draft, 0, 64},
                       {"max-loras", d->max_loras, 0, 1 << 20},
                       {"attention-dp", d->attention_dp, 1, 1024},
                       {"offload blocks", d->offload_blocks, 0, (int64_t)1 << 40},
                       {"pp", d->pp, 1, RUB_MAX_PP}};
    for (size_t i = 0; i < RUB_LEN(range); i++)
        if (range[i].value < range[i].least || range[i].value > range[i].most)
            return rub_error_set(err, RUB_INVALID, "%s is %lld, expected %lld to %lld",
                                 range[i].name, (long long)range[i].value,
                                 (long long)range[i].least, (long long)range[i].most);
    if (!(d->think_s >= 0 && d->think_s < 1e9))
        return rub_error_set(err, RUB_INVALID, "think time is %g s, expected 0 or more",
                             d->think_s);
    if (!(d->host_s >= 0 && d->host_s < 1e6))
        return rub_error_set(err, RUB_INVALID, "scheduler's time is %g s, expected 0 or more",
                             d->host_s);
    if (!(d->watermark_frac >= 0 && d->watermark_frac < 1))
        return rub_error_set(err, RUB_INVALID, "watermark is %g, expected 0 to 1",
                             d->watermark_frac);
    if (!(d->predict_sigma >= 0 && d->predict_sigma <= 10))
        return rub_error_set(err, RUB_INVALID, "prediction error is %g, expected 0 to 10",
                             d->predict_sigma);
    if (!(d->affinity_slack >= 1 && isfinite(d->affinity_slack)))
        return rub_error_set(err, RUB_INVALID, "affinity slack is %g, expected 1 or more",
                             d->affinity_slack);
    return RUB_OK;
}

static rub_status check_policy(const rub_serve_def *d, rub_error *err) {
    bool extra = d->long_prefill_tok > 0 || d->whole_prefill || d->max_partial > 0 ||
                 d->max_long_partial > 0 || d->reserve != RUB_RESERVE_PROMPT || d->prefix_cache ||
                 d->spec_draft > 0 || d->max_loras > 0;
    if (d->policy == RUB_POLICY_VLLM && d->max_batch_tok < d->max_seqs)
        return rub_error_set(
            err, RUB_INVALID,
            "max-batch-tokens is %lld, expected at least max-seqs (%d), as vLLM wants it",
            (long long)d->max_batch_tok, d->max_seqs);
    if (d->policy != RUB_POLICY_VLLM && extra)
        return rub_error_set(
            err, RUB_INVALID,
            "long-prefill, partial-prefill limits, whole prefills, block reserves, "
            "speculation, adapters and the prefix cache belong to policy vllm, found another");
    if (d->spec_draft > 0 && (!(d->spec_accept >= 0 && d->spec_accept <= 1) ||
                              !(d->spec_draft_s >= 0) || !isfinite(d->spec_draft_s) ||
                              d->max_batch_tok < (int64_t)d->max_seqs * (1 + d->spec_draft)))
        return rub_error_set(err, RUB_INVALID,
                             "speculation: acceptance %g, drafting %g s, max-batch-tokens %lld: "
                             "expected 0 to 1, 0 s or more, and max-seqs * (1 + spec-draft) tokens",
                             d->spec_accept, d->spec_draft_s, (long long)d->max_batch_tok);
    if (d->async != RUB_ASYNC_NONE &&
        (d->policy != RUB_POLICY_VLLM || d->pp > 1 || d->spec_draft > 0 || d->disagg))
        return rub_error_set(err, RUB_UNSUPPORTED,
                             "asynchronous scheduling wants policy vllm, one pipeline stage, no "
                             "speculation and no disaggregated pools");
    if (d->offload_blocks > 0 && (!d->prefix_cache || !(d->offload_tok_per_s > 0) ||
                                  !isfinite(d->offload_tok_per_s) || d->max_loras > 0))
        return rub_error_set(
            err, RUB_INVALID,
            "KV offload: %g tokens/s: expected the prefix cache, a rate above 0, and "
            "no limit of adapters",
            d->offload_tok_per_s);
    if (d->attention_dp > 1 && (d->pp > 1 || d->async != RUB_ASYNC_NONE))
        return rub_error_set(
            err, RUB_UNSUPPORTED,
            "attention-dp wants one pipeline stage and no asynchronous scheduling");
    if (d->whole_prefill && (d->long_prefill_tok > 0 || d->max_partial > 0))
        return rub_error_set(err, RUB_INVALID,
                             "whole prefills are never partial: expected no long-prefill and no "
                             "max-partial-prefills beside them");
    if (d->max_long_partial > 0 && d->long_prefill_tok == 0)
        return rub_error_set(err, RUB_INVALID,
                             "max-long-partial-prefills needs long-prefill to say what is long");
    return RUB_OK;
}

static rub_status check_groups(const rub_serve_def *d, rub_error *err) {
    int64_t n = 0;
    for (int32_t g = 0; g < d->n_group; g++) {
        const rub_serve_group *x = &d->group[g];
        if (x->n_replica < 1 || x->kv_blocks < 1 || x->max_seqs < 1 || x->max_seqs > 1 << 20 ||
            !x->perf || !(x->weight > 0 && isfinite(x->weight)))
            return rub_error_set(err, RUB_INVALID,
                                 "group %d: expected replicas, KV blocks, seats and a weight "
                                 "above 0, and its durations",
                                 g + 1);
        if (d->policy == RUB_POLICY_VLLM && d->max_batch_tok < x->max_seqs)
            return rub_error_set(err, RUB_INVALID,
                                 "group %d: max-batch-tokens is %lld, expected at least its "
                                 "max-seqs (%d)",
                                 g + 1, (long long)d->max_batch_tok, x->max_seqs);
        n += x->n_replica;
    }
    if (d->n_group > 0 && n != d->n_replica)
        return rub_error_set(err, RUB_INVALID, "groups have %lld replicas, the fleet %d",
                             (long long)n, d->n_replica);
    return RUB_OK;
}

static rub_status check_estate(const rub_serve_def *d, const rub_trace *t, rub_error *err) {
    for (int32_t k = 0; k < d->n_limit; k++)
        if (!positive(d->limit[k].tok_per_s) || !positive(d->limit[k].burst_tok))
            return rub_error_set(err, RUB_INVALID,
                                 "rate limit %d: %g tokens/s, %g at once, expected more than 0",
                                 k + 1, d->limit[k].tok_per_s, d->limit[k].burst_tok);
    if (d->n_limit > 0 && d->concurrency > 0)
        return rub_error_set(err, RUB_UNSUPPORTED, "rate limits want an open loop");
    if (!(d->batch_reserve_frac >= 0 && d->batch_reserve_frac < 1) ||
        (d->batch_reserve_frac > 0 && d->policy != RUB_POLICY_VLLM))
        return rub_error_set(err, RUB_INVALID,
                             "batch leaves a share of %g free, expected 0 to 1 and policy vllm",
                             d->batch_reserve_frac);
    if (d->batch_reserve_frac > 0 && !t->priority)
        return rub_error_set(err, RUB_INVALID, "batch reserve: the trace has no priorities");
    if (!d->by_model)
        return RUB_OK;
    if (!t->model)
        return rub_error_set(err, RUB_INVALID, "several models: the trace has no column model_id");
    if (d->n_group == 0 || d->disagg || d->concurrency > 0 || d->scale.scaler != RUB_SCALE_NONE)
        return rub_error_set(
            err, RUB_UNSUPPORTED,
            "several models want groups of replicas, an open loop, no pools and no "
            "autoscaler");
    return RUB_OK;
}

/* What the trace must bring along. */
static rub_status check_trace(const rub_serve_def *d, const rub_trace *t, rub_error *err) {
    RUB_TRY(check_estate(d, t, err));
    if (d->order == RUB_ORDER_PRIORITY && !t->priority)
        return rub_error_set(err, RUB_INVALID, "order priority: the trace has no priorities");
    if (d->max_loras > 0 && !t->adapter)
        return rub_error_set(err, RUB_INVALID, "max-loras: the trace has no adapters");
    if (d->router == RUB_ROUTER_SESSION && !t->session)
        return rub_error_set(err, RUB_INVALID, "router session: the trace has no sessions");
    if (d->router == RUB_ROUTER_PREFIX && !d->prefix_cache)
        return rub_error_set(err, RUB_INVALID, "router prefix needs the prefix cache");
    if (!d->prefix_cache)
        return RUB_OK;
    if (t->hashes.block_tok < 1)
        return rub_error_set(err, RUB_INVALID,
                             "prefix cache: the trace has no hashes of token blocks");
    if (t->hashes.block_tok % d->block_size_tok != 0)
        return rub_error_set(err, RUB_INVALID,
                             "prefix cache: the trace hashes blocks of %d tokens, expected a "
                             "multiple of the KV block (%d)",
                             t->hashes.block_tok, d->block_size_tok);
    return RUB_OK;
}

rub_status rub_serve_check(const rub_serve_def *d, const rub_trace *t, rub_error *err) {
    RUB_TRY(check_ranges(d, err));
    RUB_TRY(check_policy(d, err));
    RUB_TRY(check_groups(d, err));
    RUB_TRY(check_disagg(d, err));
    RUB_TRY(check_world(d, err));
    return check_trace(d, t, err);
}
