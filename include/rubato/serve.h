/* Serve: the serving simulator. A trace on a fleet of replicas behind a router; per-request times
 * out. Two engines with one answer: naive (the oracle, a reader can check it line by line) and
 * fast. */
#ifndef RUBATO_SERVE_H
#define RUBATO_SERVE_H

#include "rubato/perf.h"
#include "rubato/trace.h"

typedef enum rub_policy { RUB_POLICY_VLLM, RUB_POLICY_SARATHI, RUB_POLICY_VLLM_V0 } rub_policy;

typedef enum rub_router {
    RUB_ROUTER_ROUND_ROBIN,
    RUB_ROUTER_LEAST_WAITING,     /* shortest waiting queue, ties to the lowest index */
    RUB_ROUTER_LEAST_OUTSTANDING, /* fewest unfinished requests, ties to the lowest index */
    RUB_ROUTER_RANDOM,
} rub_router;

typedef enum rub_engine { RUB_ENGINE_FAST, RUB_ENGINE_NAIVE } rub_engine;

/* Settings of a run; start from rub_serve_default(). */
typedef struct rub_serve_def {
    rub_policy policy;
    rub_router router;
    rub_engine engine;
    int32_t n_replica;
    int32_t max_seqs;       /* requests that may hold KV blocks in one replica */
    int64_t chunk_tok;      /* sarathi: tokens an iteration is filled up to by prefill chunks */
    int64_t max_batch_tok;  /* vllm: token budget; vllm-v0: padded cost limit */
    int64_t kv_blocks;      /* KV blocks in one replica */
    int32_t block_size_tok; /* tokens in a block */
    double watermark_frac;  /* blocks kept free at admission: int(watermark_frac * kv_blocks) */
    uint64_t seed;          /* random router */
} rub_serve_def;

rub_serve_def rub_serve_default(void);

/* Per-request results in the trace's order (n_req each). NaN where it never happened. */
typedef struct rub_serve_times {
    size_t n_req;
    double *scheduled_s;   /* start of the first iteration that it took part in [s] */
    double *first_token_s; /* end of the iteration that gave its first token [s] */
    double *finish_s;      /* end of the iteration that gave its last token [s] */
    int32_t *restarts;     /* preemptions by recompute */
} rub_serve_times;

#endif
