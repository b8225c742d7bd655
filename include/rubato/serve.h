/* Serve: the serving simulator. A trace on a fleet of replicas behind a router; per-request times
 * out. Two engines with one answer: naive (the oracle, a reader can check it line by line against
 * docs/serve.md) and fast (O(1) work an iteration and a request). */
#ifndef RUBATO_SERVE_H
#define RUBATO_SERVE_H

#include "rubato/perf.h"
#include "rubato/trace.h"

/* How a replica forms its iterations; docs/serve.md says what each does. */
typedef enum rub_policy {
    RUB_POLICY_VLLM,
    RUB_POLICY_SARATHI,
    RUB_POLICY_VLLM_V0,
    RUB_POLICY_ORCA,   /* iteration-level batching, the whole request's blocks reserved */
    RUB_POLICY_STATIC, /* a batch is admitted, runs to its longest answer, and ends as a whole */
} rub_policy;

/* In which order requests wait; ties by arrival. */
typedef enum rub_order {
    RUB_ORDER_FCFS,     /* first come first served; a preempted one goes to the head */
    RUB_ORDER_PRIORITY, /* trace->priority, lowest first; vllm preempts the highest first */
    RUB_ORDER_SJF,      /* fewest tokens first: input + predicted output */
} rub_order;

/* vllm: which blocks an admission needs and takes. */
typedef enum rub_reserve {
    RUB_RESERVE_PROMPT, /* takes the whole prompt's */
    RUB_RESERVE_CHECK,  /* wants the whole prompt's free, takes the first chunk's */
    RUB_RESERVE_CHUNK,  /* wants and takes the first chunk's */
} rub_reserve;

/* vllm: whether the next iteration is scheduled while one runs (asynchronous scheduling). */
typedef enum rub_async {
    RUB_ASYNC_NONE,   /* no: the scheduler's time comes between iterations */
    RUB_ASYNC_LENGTH, /* yes; a request's end is known before (it ends by its length) */
    RUB_ASYNC_STOP,   /* yes; its end is seen in its last token: one decode more is in vain */
} rub_async;

typedef enum rub_router {
    RUB_ROUTER_ROUND_ROBIN,
    RUB_ROUTER_LEAST_WAITING,     /* shortest waiting queue, ties to the lowest index */
    RUB_ROUTER_LEAST_OUTSTANDING, /* fewest unfinished requests, ties to the lowest index */
    RUB_ROUTER_RANDOM,            /* by (seed, request), the same in every run */
    RUB_ROUTER_LEAST_KV,          /* fewest tokens of KV in use and prompts waiting */
    RUB_ROUTER_POWER_OF_TWO,      /* the less loaded of two random ones, by (seed, request) */
    RUB_ROUTER_SESSION,           /* a session's requests to one replica (rendezvous hashing) */
    RUB_ROUTER_PREFIX,            /* longest cached prefix, unless too loaded (affinity_slack) */
    RUB_ROUTER_SLO,               /* earliest predicted first token among those within targets */
} rub_router;

/* Which rank of an attention-DP engine a request goes to; ties to the lowest. */
typedef enum rub_rank_router {
    RUB_RANK_WAITING,       /* least 4 * waiting + running: vLLM's */
    RUB_RANK_ROUND_ROBIN,   /* SGLang's default */
    RUB_RANK_LEAST_REQUEST, /* fewest unfinished ones: SGLang's shortest queue */
    RUB_RANK_LEAST_TOKEN,   /* fewest tokens, processed and to be prefilled */
} rub_rank_router;

typedef enum rub_engine {
    RUB_ENGINE_FAST,  /* by itself the plain or the wide one, whichever the settings need */
    RUB_ENGINE_NAIVE, /* the oracle */
    RUB_ENGINE_WIDE,  /* the fast engine of every feature, also where the plain one would do */
} rub_engine;

/* Some replicas of a fleet of several kinds. */
typedef struct rub_serve_group {
    int32_t n_replica;
    const rub_perf *perf; /* borrowed */
    int64_t kv_blocks;
    int32_t max_seqs;
    double weight; /* its share of the load beside 1 of others; > 0 */
    int32_t model; /* by_model: whose requests it serves */
} rub_serve_group;

/* Disaggregated serving: one pool prefills, another decodes; a request's KV goes over a link. */
typedef struct rub_serve_disagg {
    int32_t n_prefill, n_decode;                 /* replicas of each pool; their sum is n_replica */
    const rub_perf *prefill_perf, *decode_perf;  /* borrowed; NULL: the run's */
    int64_t prefill_kv_blocks, decode_kv_blocks; /* 0: the definition's */
    int32_t prefill_max_seqs, decode_max_seqs;   /* 0: the definition's */
    rub_router decode_router;                    /* one that looks at the replicas */
    double kv_bytes_per_tok;                     /* a prompt token's KV */
    double link_bytes_per_s; /* out of each prefill replica, shared by its transfers */
    double link_latency_s;
} rub_serve_disagg;

/* A tenant's rate limit, a token bucket at the gateway: a request takes its prompt and answer out of it. */
typedef struct rub_serve_limit {
    int32_t tenant;   /* -1: each tenant that has none of its own */
    double tok_per_s; /* refill */
    double burst_tok; /* what it holds, at first too */
    bool delays;      /* waits, first come first served by tenant, until there is enough; else it is
                          rejected. More than the bucket holds is always rejected */
} rub_serve_limit;

/* What fails together, and how often. */
typedef struct rub_serve_failure {
    int32_t n_replica; /* neighbours that fail together: 1 replica, those of a node, of a rack */
    double mtbf_s;     /* mean time from repair to failure [s] */
    double shape;      /* Weibull shape of it; 1: exponential */
    double repair_s;   /* mean time to repair, exponential [s] */
} rub_serve_failure;

#define RUB_MAX_FAILURE 3

/* How an autoscaler decides how many replicas there should be. */
typedef enum rub_scaler {
    RUB_SCALE_NONE,
    RUB_SCALE_UTILISATION, /* unfinished requests a replica near `target` */
    RUB_SCALE_QUEUE,       /* waiting requests a replica near `target` */
    RUB_SCALE_SLO,         /* share of first tokens within ttft_s near `target` */
    RUB_SCALE_SCHEDULE,    /* from a table by time */
    RUB_SCALE_PREDICTIVE,  /* requests/s expected when a start would be done / `target` */
} rub_scaler;

typedef struct rub_scale_step {
    double from_s;
    int32_t n_replica;
} rub_scale_step;

typedef struct rub_serve_scale {
    rub_scaler scaler;
    int32_t least, most,
        start; /* replicas: fewest (0: scale to zero), most (n_replica), at first */
    double target;
    double ttft_s;     /* slo */
    double interval_s; /* between decisions */
    double startup_s;  /* from the decision to the first request: image, weights */
    double hold_s;     /* fewer replicas must have been enough for so long before any is stopped */
    const rub_scale_step *step; /* schedule (n_step), by time */
    int32_t n_step;
} rub_serve_scale;

/* Settings of a run; start from rub_serve_default(). */
typedef struct rub_serve_def {
    rub_policy policy;
    rub_router router;
    rub_engine engine;
    int32_t n_replica;
    int32_t max_seqs;  /* requests that may hold KV blocks in one replica */
    int64_t chunk_tok; /* sarathi: tokens that prefill chunks fill an iteration up to */
    int64_t
        max_batch_tok; /* vllm: token budget (>= max_seqs); vllm-v0: limit of the padded batch */
    int64_t kv_blocks; /* KV blocks in one replica */
    int32_t block_size_tok; /* tokens in a block */
    double
        watermark_frac; /* sarathi, vllm-v0: int(frac * kv_blocks) blocks kept free at admission */
    /* Closed loop: so many clients, each of which sends its next request think_s after its last one
     * ended; requests in the trace's order, its arrival times are not looked at. 0 = open loop. */
    int32_t concurrency;
    double think_s;
    /* Open loop: asked before every watch_every_req-th request, n_arrived before it, what happened
     * until now_s standing in times; static routers with several replicas: after each replica, with
     * all n_arrived and now_s -infinity. false stops the run (RUB_INTERRUPTED). NULL: not asked. */
    bool (*watch)(void *ctx, size_t n_arrived, double now_s);
    void *watch_ctx;
    int32_t watch_every_req;
    /* scheduling */
    rub_order order;
    double predict_sigma;     /* sjf: predicted output = output * exp(sigma * normal) */
    rub_reserve reserve;      /* vllm */
    int64_t long_prefill_tok; /* vllm: most tokens of one prompt in an iteration; 0: the budget */
    rub_async async;          /* vllm */
    double host_s; /* the scheduler's time before each iteration, not in perf's durations [s] */
    bool whole_prefill;       /* vllm: prompts are not cut (no chunked prefill) */
    int32_t max_partial;      /* vllm: unfinished prefills at once; 0: any */
    int32_t max_long_partial; /* vllm: of prompts over long_prefill_tok; others overtake; 0: any */
    int32_t pp;               /* pipeline stages; perf gives the time of one */
    /* Attention-DP: so many ranks in one replica, each with queue, seats (max_seqs) and KV blocks of its
     * own, in lock-step: an iteration of all lasts as long as the slowest rank's. */
    int32_t attention_dp;
    rub_rank_router rank_router;
    /* vllm: speculative decoding. A step drafts spec_draft tokens for each decode and keeps the
     * leading ones that are right, each with probability spec_accept, and one more. 0: none */
    int32_t spec_draft;
    double spec_accept;
    double spec_draft_s; /* time of drafting one token, all decodes of a step together [s] */
    int32_t max_loras;   /* vllm: adapters in one iteration (trace->adapter); 0: any */
    bool prefix_cache;   /* vllm: prompts' blocks by trace->hashes */
    /* prefix cache: what is evicted goes to host memory of so many KV blocks in each replica, and is
     * fetched from there, one request after the other, at so many tokens/s. 0: no host memory */
    int64_t offload_blocks;
    double offload_tok_per_s;
    /* routing */
    double affinity_slack; /* prefix: outstanding may exceed the least by this factor, and by 8 */
    double slo_ttft_s, slo_tpot_s;  /* slo: targets [s]; 0 = none */
    const rub_serve_disagg *disagg; /* NULL: every replica prefills and decodes */
    rub_serve_failure failure[RUB_MAX_FAILURE];
    int32_t n_failure;
    rub_serve_scale scale;
    /* vllm: requests of priority above 0 are admitted only where they leave so large a share of seats
     * and of KV blocks free for the others; those behind them overtake. 0: as all */
    double batch_reserve_frac;
    const rub_serve_limit *limit; /* open loop (n_limit) */
    int32_t n_limit;
    bool by_model;                /* groups serve requests of their model only (trace->model) */
    const rub_serve_group *group; /* kinds of replicas, or NULL: all alike (n_group) */
    int32_t n_group;              /* with groups, n_replica is their sum */
    uint64_t seed;                /* random routers, predictions */
    int32_t n_thread; /* static routers: replicas in parallel; results do not depend on it */
} rub_serve_def;

rub_serve_def rub_serve_default(void);

/* Per-request results in the trace's order (n_req each). NaN where it never happened: a request
 * that can never fit (blocks, or vllm-v0's padded limit) is rejected and stays NaN. */
typedef struct rub_serve_times {
    size_t n_req;
    double *arrival_s;     /* the trace's; in a closed loop the time at which it was sent [s] */
    double *scheduled_s;   /* start of the first iteration that it took part in [s] */
    double *first_token_s; /* end of the iteration that gave its first token [s] */
    double *finish_s;      /* end of the iteration that gave its last token [s] */
    int32_t *restarts;     /* preemptions by recompute; -1: rejected, too large or by a limit */
    int32_t *cached_tok;   /* prompt tokens found in the prefix cache at first admission */
} rub_serve_times;

rub_status rub_serve_times_init(rub_serve_times *times, size_t n_req, rub_error *err);
void rub_serve_times_clear(rub_serve_times *times);

/* Log-linear histogram of times: 64 bins an octave, so a quantile is within 1.1 %. */
#define RUB_HISTOGRAM_N 4096
typedef struct rub_histogram {
    uint64_t count[RUB_HISTOGRAM_N];
    uint64_t n;
    double sum_s, max_s;
} rub_histogram;

/* Totals over all replicas. */
typedef struct rub_serve_totals {
    int64_t n_iteration;
    int64_t n_restart, n_rejected;
    int64_t n_limited, n_delayed; /* by rate limits: of n_rejected; sent later than they came */
    int64_t prefill_tok;          /* processed by prefill, recomputation included */
    int64_t decode_tok;           /* processed by decode */
    double busy_s;                /* time in iterations, summed over replicas */
    double kv_block_s;            /* blocks in use * time in iterations, summed over replicas */
    int64_t kv_most_blocks;       /* most in use in any replica at once */
    double end_s;                 /* end of the last iteration */
    int64_t fetched_tok;          /* from host memory */
    double lockstep_s; /* attention-DP: of busy_s, ranks' mean time waiting for the slowest one */
    /* disaggregated: */
    double prefill_busy_s; /* of busy_s, in the prefill pool */
    double link_busy_s;    /* summed over links */
    double transfer_bytes;
    /* failures, autoscaler: */
    double up_s;   /* replicas' time from their start to their stop, starting and broken included */
    double down_s; /* of it, broken */
    int64_t n_failure, n_retry; /* of replicas; requests that had to go elsewhere */
    int64_t n_start, n_stop;    /* of replicas, by the autoscaler */
    int64_t blocks_left;        /* blocks not given back at the end: 0 unless something is wrong */
    rub_histogram itl;          /* times between tokens of one request */
} rub_serve_totals;

/* Runs a trace. times must hold trace->n_req; totals may not be NULL. Errors: RUB_INVALID
 * (settings), RUB_NO_MEMORY, RUB_INTERRUPTED. Thread safe. Cost: about 0.1 us a request and 5 ns an
 * iteration. */
rub_status rub_serve_run(const rub_trace *trace, const rub_perf *perf, const rub_serve_def *def,
                         const rub_progress *progress, rub_serve_times *times,
                         rub_serve_totals *totals, rub_error *err);

/* Targets on single requests [s]; 0 = none. */
typedef struct rub_serve_targets {
    double ttft_s, tpot_s, e2e_s;
} rub_serve_targets;

/* ---- loads that are never held ------------------------------------------------------------- */

/* Results of a streamed run. */
typedef struct rub_stream_result {
    int64_t n_req, n_good;         /* n_good: finished and met all targets */
    rub_histogram ttft, tpot, e2e; /* [s]; tpot of requests of two tokens or more */
    double input_tok, output_tok;
    double last_arrival_s;
    uint64_t
        hash; /* of every request's times, in order within each replica: equal runs, equal hash */
    rub_serve_totals totals;
} rub_stream_result;

/* Requests are made as they arrive and forgotten when they have ended, so memory does not grow with
 * their number. Each replica gets an equal part of load->n_req at an equal part of the rate, as a
 * stream of its own: what a router that draws at random makes of Poisson arrivals. Several
 * threads; results do not depend on how many. Errors: RUB_INVALID (settings; orders other than
 * fcfs, prefix cache, closed loops, groups, worlds; more than RUB_STREAM_MAX_OPEN requests
 * unfinished in one replica), RUB_NO_MEMORY, RUB_INTERRUPTED. Cost: about 0.3 us a request. */
#define RUB_STREAM_MAX_OPEN 65536
rub_status rub_serve_stream(const rub_trace_make_def *load, const rub_perf *perf,
                            const rub_serve_def *def, const rub_serve_targets *targets,
                            const rub_progress *progress, rub_stream_result *out, rub_error *err);

/* ---- measures ------------------------------------------------------------------------------ */

typedef struct rub_quantiles {
    double p50, p90, p95, p99, p999, max, mean; /* NaN when there is nothing to measure */
} rub_quantiles;

/* Measures over the requests that arrived in [from_s, to_s]; a request that never finished counts
 * as one that misses every target. Rates are offered (what arrived in the window, over its length)
 * and served (what was done in the window, over its length, whenever it arrived): requests that
 * ended in it, prompts of first tokens in it, tokens of answers delivered in it, evenly between a
 * request's first and last one. */
typedef struct rub_measures {
    double from_s, to_s;
    size_t n_req, n_finished, n_good; /* n_good: finished and met all targets */
    rub_quantiles ttft, tpot, e2e;    /* [s]; tpot over requests of two tokens or more */
    rub_quantiles waiting;            /* scheduled - arrival [s] */
    double request_per_s, input_tok_per_s, output_tok_per_s; /* offered */
    double served_per_s, served_input_tok_per_s, served_output_tok_per_s;
    double goodput_per_s; /* arrived in the window and good / its length */
    size_t n_unfinished;  /* arrived by to_s and not ended by then, rejected ones left out */
    size_t n_waiting;     /* of them, not yet scheduled: the queue */
    double drain_s;       /* from to_s to the last end of any request; 0: none ended later */
    double taken_up_s;    /* from to_s until the last of that queue was scheduled; 0: no queue */
    bool keeps_up;        /* rub_serve_measure says by which margin */
} rub_measures;

/* The fleet keeps up when the queue that stands at to_s is taken up within a twentieth of the window
 * and the wait that targets grant (TTFT's or E2E's limit; 1 s when there is none), as rub_size_search
 * judges; and when the rest of the work does not take more than a fifth of the window and a minute
 * while taking more than twice as long as a request took at first (mean E2E of the window's first
 * tenth): a fleet that takes in everything and slows down. */
#define RUB_SERVE_BACKLOG_FRAC 0.05

rub_status rub_serve_measure(const rub_trace *trace, const rub_serve_times *times,
                             const rub_serve_targets *targets, double from_s, double to_s,
                             rub_measures *out, rub_error *err);

/* Interactive requests (priority 0 or below, or none) and batch (above 0), each as rub_serve_measure has
 * them; a batch request is good when it ended within deadline_s of its arrival (0: ended). Errors: as
 * there. */
typedef struct rub_class_measures {
    rub_measures interactive, batch;
} rub_class_measures;

rub_status rub_serve_measure_classes(const rub_trace *trace, const rub_serve_times *times,
                                     const rub_serve_targets *targets, double deadline_s,
                                     double from_s, double to_s, rub_class_measures *out,
                                     rub_error *err);

/* The fleet at times 0, step_s, 2 step_s, ... up to the last end (n each). A preempted request counts
 * as what it was when it was preempted; KV tokens and rates are linear between a request's times. */
typedef struct rub_timeline {
    size_t n;
    double step_s;
    double *arrival_per_s;                   /* arrivals in the step that begins there / step_s */
    double *waiting, *prefilling, *decoding; /* requests */
    double *kv_tok;                          /* tokens of those that run */
    double *output_tok_per_s;                /* of those that decode */
} rub_timeline;

/* Errors: RUB_INVALID (step), RUB_NO_MEMORY. Cost: O(requests + steps). */
rub_status rub_serve_timeline(const rub_trace *trace, const rub_serve_times *times, double step_s,
                              rub_timeline *out, rub_error *err);
void rub_timeline_clear(rub_timeline *timeline);

/* A tenant's prompt tokens, and those found in the prefix cache. */
typedef struct rub_hits {
    int64_t n_req, input_tok, cached_tok;
} rub_hits;

/* By tenant, over requests that were scheduled; *out is malloc'ed (*n: tenants; one when the trace
 * has none). Errors: RUB_NO_MEMORY. */
rub_status rub_serve_hits(const rub_trace *trace, const rub_serve_times *times, rub_hits **out,
                          int32_t *n, rub_error *err);

static inline double rub_hit_rate(const rub_hits *hits) {
    return hits->input_tok > 0 ? (double)hits->cached_tok / (double)hits->input_tok : 0.0;
}

/* Quantiles of the histogram [s]. */
rub_quantiles rub_histogram_quantiles(const rub_histogram *histogram);
double rub_histogram_quantile(const rub_histogram *histogram, double quantile);
void rub_histogram_add(rub_histogram *histogram, double s, uint64_t n);

#endif
