/* Random workloads of runs in which replicas depend on each other or come and go. */
#ifndef RUB_TESTS_RANDOM_WORLD_H
#define RUB_TESTS_RANDOM_WORLD_H

#include "random_wide.h"

typedef struct world_workload {
    wide_workload wide;
    rub_perf decode_perf;
    rub_serve_disagg disagg;
    rub_scale_step step[3];
} world_workload;

static inline void random_disagg(rub_rng *rng, world_workload *w) {
    rub_serve_def *d = &w->wide.base.def;
    w->decode_perf = w->wide.base.perf;
    w->decode_perf.linear.a_s *= 0.5;
    w->disagg = (rub_serve_disagg){
        .n_prefill = (int32_t)between(rng, 1, 3),
        .n_decode = (int32_t)between(rng, 1, 3),
        .decode_perf = rub_rng_uniform(rng) < 0.5 ? &w->decode_perf : NULL,
        .decode_kv_blocks = rub_rng_uniform(rng) < 0.5 ? d->kv_blocks + between(rng, 0, 20) : 0,
        .decode_max_seqs = rub_rng_uniform(rng) < 0.5 ? (int32_t)between(rng, 1, d->max_seqs) : 0,
        .decode_router = RUB_ROUTER_LEAST_OUTSTANDING,
        .kv_bytes_per_tok = (double)between(rng, 0, 3) * 1e5,
        .link_bytes_per_s = rub_rng_uniform(rng) < 0.5 ? 1e8 : 1e9,
        .link_latency_s = rub_rng_uniform(rng) < 0.5 ? 0.0 : 0.002};
    if (rub_rng_uniform(rng) < 0.5)
        w->disagg.decode_router = RUB_ROUTER_LEAST_KV;
    d->policy = RUB_POLICY_VLLM;
    d->pp = 1;
    d->async = RUB_ASYNC_NONE;
    d->n_group = 0;
    d->n_replica = w->disagg.n_prefill + w->disagg.n_decode;
    d->disagg = &w->disagg;
}

static inline void random_failures(rub_rng *rng, rub_serve_def *d) {
    d->n_failure = (int32_t)between(rng, 1, 3);
    for (int32_t k = 0; k < d->n_failure; k++)
        d->failure[k] = (rub_serve_failure){.n_replica = (int32_t)between(rng, 1, 3),
                                            .mtbf_s = 1.0 + 20.0 * rub_rng_uniform(rng),
                                            .shape = rub_rng_uniform(rng) < 0.5 ? 1.0 : 1.7,
                                            .repair_s = 0.05 + rub_rng_uniform(rng)};
}

static inline void random_scale(rub_rng *rng, world_workload *w) {
    rub_serve_def *d = &w->wide.base.def;
    if (d->n_group == 0)
        d->n_replica = (int32_t)between(rng, 1, 6);
    rub_serve_scale c = {.scaler = (rub_scaler)between(rng, 1, 5),
                         .least = (int32_t)between(rng, 0, 1),
                         .most = d->n_replica,
                         .target = (double)between(rng, 1, 6),
                         .ttft_s = 0.05 + 0.2 * rub_rng_uniform(rng),
                         .interval_s = 0.02 + 0.5 * rub_rng_uniform(rng),
                         .startup_s = rub_rng_uniform(rng) < 0.3 ? 0.0 : rub_rng_uniform(rng),
                         .hold_s = rub_rng_uniform(rng) < 0.3 ? 0.0 : rub_rng_uniform(rng),
                         .step = w->step,
                         .n_step = 3};
    for (int k = 0; k < 3; k++)
        w->step[k] = (rub_scale_step){0.7 * k, (int32_t)between(rng, 0, d->n_replica)};
    c.start = (int32_t)between(rng, c.least, c.most);
    if (c.scaler == RUB_SCALE_SLO)
        c.target = 0.3 + 0.6 * rub_rng_uniform(rng);
    d->scale = c;
}

/* Call as random_world(seed, &w): pointers go into w. */
static inline void random_world(uint64_t seed, world_workload *w) {
    rub_rng rng = rub_rng_make(seed, 79);
    random_wide(seed, &w->wide);
    rub_serve_def *d = &w->wide.base.def;
    double u = rub_rng_uniform(&rng);
    if (u < 0.4) {
        random_disagg(&rng, w);
        return;
    }
    if (u < 0.8)
        random_failures(&rng, d);
    if (u > 0.6)
        random_scale(&rng, w);
}

#endif
