/* Disaggregated deployments: a rate-matched model of prefill and decode pools.
 *
 * The prefill pool is simulated as a closed loop whose clients are away for as long as the transfer
 * of the cache and the answer take. The decode pool is the mean batch that Little's law puts on
 * each worker. The two are iterated until the time of an answer agrees with the batch. */
#include "validate/validate.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { N_ROUND = 6, MAX_WORKERS = 512 };

/* Between pools: one network port for each accelerator, 400 Gbit/s (the servers of the benchmark;
 * InfiniBand NDR), at 0.7 of it, and a handshake. Assumed. */
#define LINK_BYTES_PER_S (50e9 * 0.7)
#define LINK_LATENCY_S 5e-3

typedef struct pools {
    rub_silicon_job prefill, decode;
    const rub_perf *prefill_perf, *decode_perf;
    double transfer_s;
    double input, output; /* mean tokens */
    int32_t draft_tok;
} pools;

static double kv_bytes(const rub_silicon_job *job) {
    rub_model_counts c = rub_model_count(job->deployment.model);
    return c.kv_bytes_per_tok * 0.5 * rub_precision_bytes(job->deployment.kv_cache);
}

static rub_status open_pools(const rub_silicon_row *row, const rub_catalog *catalog,
                             const rub_validate_def *def, pools *out, rub_error *err) {
    double frac = rub_silicon_mean_frac(row);
    pools p = {.input = frac * row->input_tok,
               .output = frac * row->output_tok,
               .draft_tok = row->draft_tok};
    RUB_TRY(rub_silicon_deploy(row, &row->prefill, catalog, def, &p.prefill, err));
    RUB_TRY(rub_silicon_deploy(row, &row->pool, catalog, def, &p.decode, err));
    double links = row->prefill.tp;
    p.transfer_s = LINK_LATENCY_S + p.input * kv_bytes(&p.prefill) / (links * LINK_BYTES_PER_S);
    *out = p;
    return RUB_OK;
}

/* One token of each of n requests on a worker [s]. With drafts a step gives several: all of them are
 * looked at at once, and each was made by a layer of its own. */
static double decode_s(const pools *p, double n) {
    int64_t whole = (int64_t)fmax(1.0, ceil(n));
    double drafts = p->draft_tok;
    rub_batch b = {.n_tokens = whole * (1 + p->draft_tok),
                   .n_decode = whole,
                   .kv_decode = (int64_t)((double)whole * (p->input + 0.5 * p->output))};
    double making = 1.0 + drafts / p->decode.deployment.model->n_layer;
    return rub_perf_duration(p->decode_perf, &b) * making /
           rub_silicon_tokens_per_step(p->draft_tok);
}

/* Requests that the cache of one decode worker holds. */
static double most_on_worker(const pools *p) {
    double tokens = (double)p->decode.serve.kv_blocks * p->decode.serve.block_size_tok;
    return fmax(1.0, floor(tokens / (p->input + p->output)));
}

/* As many prefill workers as keep up with the decode pool, where the table does not tell. */
static int32_t workers_for(const pools *p, double request_per_s) {
    rub_batch b = {.n_tokens = (int64_t)p->input,
                   .n_prefill = 1,
                   .prefill_work2 = (int64_t)(p->input * p->input)};
    double n = ceil(request_per_s * rub_perf_duration(p->prefill_perf, &b) / 0.8);
    return (int32_t)fmin(fmax(1.0, n), MAX_WORKERS);
}

/* Mean TTFT of the prefill pool when clients are away for away_s between requests. */
static rub_status prefill_pool(const pools *p, const rub_silicon_row *row,
                               const rub_validate_def *def, int32_t workers, double away_s,
                               double *ttft_s, rub_error *err) {
    rub_silicon_row first = *row;
    rub_silicon_job job = p->prefill;
    first.output_tok = 1;
    job.serve.n_replica = workers;
    job.serve.router = RUB_ROUTER_LEAST_OUTSTANDING;
    job.serve.think_s = job.request_s + away_s;
    RUB_TRY(rub_silicon_simulate(&job, p->prefill_perf, def, &first, err));
    *ttft_s = first.ttft_predicted_s;
    return RUB_OK;
}

static rub_status balance(const pools *p, const rub_validate_def *def, rub_silicon_row *row,
                          rub_error *err) {
    double decoders = row->pool.workers > 0 ? row->pool.workers : 1;
    double n = row->concurrency / decoders, ttft_s = 0.0, tpot_s = decode_s(p, n);
    double most = most_on_worker(p), away_s = 0.0;
    for (int round = 0; round < N_ROUND; round++) {
        away_s = p->transfer_s + p->output * tpot_s;
        double request_per_s = row->concurrency / (away_s + ttft_s);
        int32_t workers =
            row->prefill.workers > 0 ? row->prefill.workers : workers_for(p, request_per_s);
        RUB_TRY(prefill_pool(p, row, def, workers, away_s, &ttft_s, err));
        double next = row->concurrency / (away_s + ttft_s) * p->output * tpot_s / decoders;
        n = 0.5 * (n + fmin(most, next));
        tpot_s = decode_s(p, n);
    }
    /* what neither decodes nor prefills waits for room in the decode pool's cache */
    double cycle_s = row->concurrency * p->output * tpot_s / (most * decoders);
    row->ttft_predicted_s = fmax(ttft_s, cycle_s - away_s);
    row->tpot_predicted_s = tpot_s;
    return RUB_OK;
}

rub_status rub_silicon_disagg(rub_silicon_row *row, const rub_perf *prefill, const rub_perf *decode,
                              const rub_catalog *catalog, const rub_validate_def *def,
                              rub_error *err) {
    pools p;
    RUB_TRY(open_pools(row, catalog, def, &p, err));
    if (!prefill->tables || !decode->tables)
        return rub_error_set(err, RUB_INTERNAL, "no durations for this layout");
    p.prefill_perf = prefill;
    p.decode_perf = decode;
    return balance(&p, def, row, err);
}
