/* Random serving workloads for differential tests: small traces, tight memory, every policy. */
#ifndef RUB_TESTS_RANDOM_WORKLOAD_H
#define RUB_TESTS_RANDOM_WORKLOAD_H

#include "base/rng.h"
#include "rubato/serve.h"

typedef struct workload {
    rub_trace trace;
    rub_perf perf;
    rub_serve_def def;
} workload;

static inline int64_t between(rub_rng *rng, int64_t low, int64_t high) {
    return low + (int64_t)rub_rng_below(rng, (uint64_t)(high - low + 1));
}

/* Times on a coarse grid so that arrivals coincide with each other and with iterations' ends. */
static inline workload random_workload(uint64_t seed) {
    rub_rng rng = rub_rng_make(seed, 77);
    workload w = {.def = rub_serve_default()};
    size_t n = (size_t)between(&rng, 1, 120);
    bool grid = rub_rng_uniform(&rng) < 0.3, one_token = rub_rng_uniform(&rng) < 0.2;
    int64_t longest_in = between(&rng, 1, 400), longest_out = one_token ? 3 : between(&rng, 1, 200);
    double gap_s = rub_rng_uniform(&rng) * 0.08;
    if (rub_trace_init(&w.trace, n, NULL) != RUB_OK)
        return w;
    for (size_t i = 0; i < n; i++) {
        double step = rub_rng_exponential(&rng) * gap_s;
        step = grid ? (double)between(&rng, 0, 3) * 0.0078125 : step;
        w.trace.arrival_s[i] = i ? w.trace.arrival_s[i - 1] + step : 0.0;
        w.trace.input_tok[i] = (int32_t)between(&rng, 1, longest_in);
        w.trace.output_tok[i] = (int32_t)between(&rng, 1, longest_out);
    }
    w.perf = (rub_perf){.kind = RUB_PERF_LINEAR, .linear = {6e-3, 2.2e-5, 8.2e-8, 3.4e-9}};
    if (grid)
        w.perf.linear = (rub_perf_linear){0.0078125, 0, 0, 0};
    static const int32_t block[] = {1, 4, 16, 7};
    w.def.policy = (rub_policy)between(&rng, 0, 2);
    w.def.router = (rub_router)between(&rng, 0, 3);
    w.def.n_replica = (int32_t)between(&rng, 1, 4);
    w.def.block_size_tok = block[between(&rng, 0, 3)];
    w.def.max_seqs = (int32_t)between(&rng, 1, 40);
    w.def.chunk_tok = between(&rng, 1, 256);
    w.def.max_batch_tok = w.def.max_seqs + between(&rng, 0, 600);
    if (w.def.policy == RUB_POLICY_VLLM_V0)
        w.def.max_batch_tok += longest_in + longest_out;
    w.def.watermark_frac = rub_rng_uniform(&rng) < 0.5 ? 0.01 : 0.0;
    int64_t least = (longest_in + longest_out) / w.def.block_size_tok + 3;
    w.def.kv_blocks = between(&rng, least, rub_rng_uniform(&rng) < 0.7 ? 2 * least : 40 * least);
    w.def.seed = seed;
    if (seed % 3 == 0) { /* a closed loop */
        w.def.concurrency = (int32_t)between(&rng, 1, 60);
        w.def.think_s = rub_rng_uniform(&rng) < 0.5 ? 0.0 : rub_rng_uniform(&rng) * 0.5;
        w.def.think_s = grid ? 0.0078125 * (double)between(&rng, 0, 5) : w.def.think_s;
    }
    return w;
}

#endif
