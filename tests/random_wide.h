/* Random workloads of every feature: those of random_workload.h, and then policies, orders, block
 * reserves, partial-prefill limits, pipeline stages, prefix caches, routers, kinds of replicas. */
#ifndef RUB_TESTS_RANDOM_WIDE_H
#define RUB_TESTS_RANDOM_WIDE_H

#include "random_workload.h"

#include <stdlib.h>

typedef struct wide_workload {
    workload base;
    rub_perf perf[3];
    rub_serve_group group[3];
} wide_workload;

/* Sessions of a few tenants: a turn's prompt repeats the whole session so far; new sessions share a
 * tenant's system prompt. Hashes are (session, block) beyond the shared part, so they chain. */
static inline void random_hashes(rub_rng *rng, rub_trace *t, int32_t block) {
    size_t most = 0;
    for (size_t i = 0; i < t->n_req; i++)
        most += (size_t)((t->input_tok[i] + t->output_tok[i]) / block + 1);
    t->hashes.block_tok = block;
    t->hashes.at = calloc(t->n_req + 1, sizeof *t->hashes.at);
    t->hashes.hash = calloc(most + 1, sizeof *t->hashes.hash);
    size_t n = 0;
    bool answers = rub_rng_uniform(rng) < 0.5;
    for (size_t i = 0; i < t->n_req; i++) {
        int64_t tok = t->input_tok[i] + (answers ? t->output_tok[i] : 0);
        uint64_t session = (uint64_t)t->session[i], tenant = session % 3;
        for (int64_t b = 0; b < tok / block; b++)
            t->hashes.hash[n++] = b < (int64_t)tenant ? tenant << 40 | (uint64_t)b
                                                      : (session + 7) << 20 | (uint64_t)b;
        t->hashes.at[i + 1] = n;
    }
}

static inline void random_columns(rub_rng *rng, rub_trace *t) {
    t->priority = calloc(t->n_req, sizeof *t->priority);
    t->session = calloc(t->n_req, sizeof *t->session);
    t->adapter = calloc(t->n_req, sizeof *t->adapter);
    int64_t sessions = between(rng, 1, 12);
    for (size_t i = 0; i < t->n_req; i++) {
        t->priority[i] = (int32_t)between(rng, -1, 2);
        t->session[i] = (int32_t)between(rng, 0, sessions);
        t->adapter[i] = (int32_t)between(rng, 0, 5);
    }
}

static inline void random_vllm(rub_rng *rng, rub_serve_def *d) {
    d->reserve = (rub_reserve)between(rng, 0, 2);
    if (rub_rng_uniform(rng) < 0.2) {
        d->whole_prefill = true;
        d->max_batch_tok += 600;
        return;
    }
    if (rub_rng_uniform(rng) < 0.5)
        d->long_prefill_tok = between(rng, 1, 200);
    if (rub_rng_uniform(rng) < 0.3)
        d->max_partial = (int32_t)between(rng, 1, 3);
    if (d->long_prefill_tok > 0 && rub_rng_uniform(rng) < 0.4)
        d->max_long_partial = (int32_t)between(rng, 1, 2);
}

static inline void random_speculation(rub_rng *rng, rub_serve_def *d) {
    if (rub_rng_uniform(rng) < 0.4)
        d->max_loras = (int32_t)between(rng, 1, 3);
    if (rub_rng_uniform(rng) < 0.6)
        return;
    d->spec_draft = (int32_t)between(rng, 1, 5);
    d->spec_accept = rub_rng_uniform(rng);
    d->spec_draft_s = rub_rng_uniform(rng) < 0.5 ? 0.0 : 0.001;
    if (d->max_batch_tok < (int64_t)d->max_seqs * (1 + d->spec_draft))
        d->max_batch_tok = (int64_t)d->max_seqs * (1 + d->spec_draft);
}

static inline void random_groups(rub_rng *rng, wide_workload *w) {
    rub_serve_def *d = &w->base.def;
    int32_t n = 0;
    d->n_group = (int32_t)between(rng, 1, 3);
    for (int32_t g = 0; g < d->n_group; g++) {
        w->perf[g] = w->base.perf;
        w->perf[g].linear.a_s *= (double)between(rng, 1, 3);
        w->group[g] = (rub_serve_group){.n_replica = (int32_t)between(rng, 1, 2),
                                        .perf = &w->perf[g],
                                        .kv_blocks = d->kv_blocks + between(rng, 0, 50),
                                        .max_seqs = (int32_t)between(rng, 1, d->max_seqs),
                                        .weight = 0.5 * (double)between(rng, 1, 6)};
        n += w->group[g].n_replica;
    }
    d->n_replica = n;
    d->group = w->group;
}

/* Call as random_wide(seed, &w): group points into w. */
static inline void random_wide(uint64_t seed, wide_workload *w) {
    rub_rng rng = rub_rng_make(seed, 78);
    w->base = random_workload(seed);
    rub_serve_def *d = &w->base.def;
    rub_trace *t = &w->base.trace;
    random_columns(&rng, t);
    d->policy = rub_rng_uniform(&rng) < 0.4 ? RUB_POLICY_VLLM : (rub_policy)between(&rng, 0, 4);
    d->max_batch_tok = d->policy == RUB_POLICY_VLLM_V0 && d->max_batch_tok < 1200
                           ? 1200
                           : d->max_batch_tok; /* every prompt and answer fits */
    d->order = rub_rng_uniform(&rng) < 0.5 ? RUB_ORDER_FCFS : (rub_order)between(&rng, 0, 2);
    d->predict_sigma = rub_rng_uniform(&rng) < 0.5 ? 0.0 : 0.7;
    d->pp = rub_rng_uniform(&rng) < 0.7 ? 1 : (int32_t)between(&rng, 2, 5);
    if (d->policy == RUB_POLICY_VLLM && rub_rng_uniform(&rng) < 0.7)
        random_vllm(&rng, d);
    if (d->policy == RUB_POLICY_VLLM && rub_rng_uniform(&rng) < 0.4)
        random_speculation(&rng, d);
    rub_rng rare = rub_rng_make(seed, 80);
    if (rub_rng_uniform(&rare) < 0.3)
        d->host_s = rub_rng_uniform(&rare) < 0.5 ? 0.0078125 / 4 : 0.02 * rub_rng_uniform(&rare);
    if (d->policy == RUB_POLICY_VLLM && d->spec_draft == 0 && rub_rng_uniform(&rare) < 0.4) {
        d->async = (rub_async)between(&rare, 1, 2);
        d->pp = 1;
    } else if (rub_rng_uniform(&rare) < 0.25) {
        d->attention_dp = (int32_t)between(&rare, 2, 4);
        d->rank_router = (rub_rank_router)between(&rare, 0, 3);
        d->pp = 1;
    }
    if (d->policy == RUB_POLICY_VLLM && rub_rng_uniform(&rare) < 0.25)
        d->batch_reserve_frac = 0.8 * rub_rng_uniform(&rare);
    d->router = (rub_router)between(&rng, 0, RUB_ROUTER_SLO);
    d->affinity_slack = 1.0 + rub_rng_uniform(&rng);
    d->slo_ttft_s = rub_rng_uniform(&rng) < 0.5 ? 0.05 : 0.0;
    d->slo_tpot_s = rub_rng_uniform(&rng) < 0.5 ? 0.008 : 0.0;
    if (d->policy == RUB_POLICY_VLLM && rub_rng_uniform(&rng) < 0.6) {
        d->prefix_cache = true;
        random_hashes(&rng, t, d->block_size_tok * (int32_t)between(&rng, 1, 4));
    }
    if (d->prefix_cache && d->max_loras == 0 && rub_rng_uniform(&rare) < 0.5) {
        d->offload_blocks = between(&rare, 1, 2 * d->kv_blocks);
        d->offload_tok_per_s = rub_rng_uniform(&rare) < 0.3 ? 128000.0 / 7 : 200000.0;
    }
    if (d->router == RUB_ROUTER_PREFIX && !d->prefix_cache)
        d->router = RUB_ROUTER_POWER_OF_TWO;
    if (rub_rng_uniform(&rng) < 0.3)
        random_groups(&rng, w);
}

#endif
