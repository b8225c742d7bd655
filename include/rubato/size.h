/* Size: the cheapest fleet that meets latency targets for a trace, over accelerators, layouts,
 * precisions and limits, by simulation.
 *
 * A fleet is n replicas of one deployment behind a router. It holds a rate when every target is met
 * over the requests of the window (the first tenth of the time is warm-up; a request that never
 * finishes misses every target) and it keeps up: the queue that stands at the last arrival is taken
 * up in a twentieth of the time and the wait that targets grant (1 s when they say nothing), and its
 * work ends in the time that they grant the longest answer beyond. Every fleet is judged on the same requests,
 * with arrival times scaled to the rate: common random numbers. docs/size.md has the whole story. */
#ifndef RUBATO_SIZE_H
#define RUBATO_SIZE_H

#include "rubato/catalog.h"
#include "rubato/perf.h"
#include "rubato/serve.h"
#include "rubato/trace.h"

/* ---- targets ------------------------------------------------------------------------------- */

typedef enum rub_size_measure {
    RUB_SIZE_TTFT, /* time to first token */
    RUB_SIZE_TPOT, /* mean time per output token after the first, of requests with two or more */
    RUB_SIZE_ITL,  /* each gap between two tokens of a request (whole run, within 1.1 %) */
    RUB_SIZE_E2E,  /* end to end */
} rub_size_measure;

/* A limit on a quantile. */
typedef struct rub_size_target {
    rub_size_measure measure;
    double quantile; /* over 0, up to 1 (the largest value) */
    double limit_s;
} rub_size_target;

#define RUB_SIZE_MAX_TARGET 12

typedef struct rub_size_targets {
    int32_t n;
    rub_size_target target[RUB_SIZE_MAX_TARGET];
    double goodput_frac;    /* share of requests that must meet all of `good`; 0 = no such target */
    rub_serve_targets good; /* limits on single requests */
} rub_size_targets;

/* Adds a target; limit_s <= 0 adds none. Errors: RUB_INVALID (too many). */
rub_status rub_size_target_add(rub_size_targets *targets, rub_size_measure measure, double quantile,
                               double limit_s, rub_error *err);

/* Adds one written as "ttft:p95=2s", "itl:p99.9=120ms", "e2e:max=1 min", or a limit on single
 * requests as "goodput:99%=ttft<2s,tpot<80ms". Errors: RUB_INVALID. */
rub_status rub_size_target_parse(const char *text, rub_size_targets *into, rub_error *err);

/* "TTFT p99" into buf. */
char *rub_size_target_text(const rub_size_target *target, char *buf, size_t size);

/* ---- the search ---------------------------------------------------------------------------- */

typedef enum rub_size_objective {
    RUB_SIZE_COST,         /* USD per hour */
    RUB_SIZE_ACCELERATORS, /* accelerators */
    RUB_SIZE_POWER,        /* planned IT power */
    RUB_SIZE_PER_TOKEN,    /* USD per million tokens of replicas driven to their largest rate */
} rub_size_objective;

/* Values to try of one setting; n 0: the default ones. */
typedef struct rub_size_choices {
    int32_t n;
    int64_t value[8];
} rub_size_choices;

typedef struct rub_size_def {
    rub_size_targets targets;
    rub_size_objective objective;
    const rub_accelerator *const *accel; /* accelerators to try (n_accel) */
    int32_t n_accel;
    const int32_t *stock; /* of each there are so many; < 0: no limit (n_accel); NULL: no limits */
    const double *usd_per_h; /* price of one; < 0: the catalog's (n_accel); NULL: the catalog's */
    const char *weights;     /* precisions of weights, parted by commas; NULL: as published, and fp8
                                where the accelerator has it and the model is wider */
    const char *kv_cache;    /* of the KV cache; NULL: bf16 */
    rub_size_choices tp, pp; /* NULL: 1, 2, 4, 8 within a node; 1 */
    rub_size_choices ep;     /* 1, and all of the replica for models with experts */
    rub_size_choices attention_dp;            /* 1 */
    rub_size_choices max_batch_tok, max_seqs; /* 2048, 8192; 256 */
    rub_policy policy;
    int64_t chunk_tok; /* sarathi's */
    rub_router router;
    double rate_per_s;     /* requests/s to serve; 0 = the trace's own mean rate */
    double headroom_frac;  /* growth to leave room for: the fleet holds rate * (1 + headroom) */
    int32_t spare;         /* replicas that may be lost: k of N + k */
    int32_t rate_replicas; /* largest rates are found for so many replicas behind the router, which
                              share bursts, and told for one of them; 1 */
    bool whole_nodes;      /* accelerators come in whole servers */
    double speed_frac;     /* accelerators do everything so many times as fast; 1 */
    double output_scale;   /* output lengths are multiplied by it; 1 */
    double target_scale;   /* limits are multiplied by it; 1 */
    int64_t max_requests;  /* of the trace that are simulated, from its start */
    bool exhaustive;       /* no pruning and no stopping early: every candidate to the end */
    double pue;
    int32_t n_thread; /* 0 = all cores; results do not depend on it */
    uint64_t seed;
} rub_size_def;

rub_size_def rub_size_default(void);

typedef enum rub_size_fate {
    RUB_SIZE_SERVES,  /* its smallest fleet is known */
    RUB_SIZE_NO_FIT,  /* memory, or a layout that cannot be */
    RUB_SIZE_MISSES,  /* misses the targets even when each request is alone */
    RUB_SIZE_STOCK,   /* needs more accelerators than there are */
    RUB_SIZE_BOUNDED, /* no fleet better than the best of its group has the throughput */
    RUB_SIZE_BEATEN,  /* the largest fleet that would beat the best of its group misses targets */
} rub_size_fate;

/* One deployment tried. Groups are the candidates of one accelerator and precision of weights; the
 * best of each group (leads) has all figures, the others those that were needed to rule them out. */
typedef struct rub_size_candidate {
    const rub_accelerator *accel;
    rub_deployment deployment; /* resolved; borrows model and accelerator */
    int32_t index, group;      /* in the order of enumeration */
    int32_t tp, pp, ep, attention_dp;
    char weights[16], kv_cache[16];
    int32_t max_seqs;
    int64_t max_batch_tok;
    int64_t kv_blocks;
    rub_size_fate fate;
    bool leads, fits; /* best of its group; fits in memory */
    char reason[400]; /* why it is not the best; "" for the best of all */
    /* the smallest fleet for the rate */
    int32_t replicas;     /* spare ones included */
    int32_t accelerators; /* replicas * tp * pp, up to whole nodes when asked */
    double usd_per_h, mw; /* of the fleet; mw: planned IT power */
    double stress;        /* largest of value / limit over the targets */
    double ttft_p50_s, ttft_p99_s, tpot_p50_s, tpot_p99_s, e2e_p99_s; /* the fleet at the rate */
    double busy_frac;
    double watts; /* mean IT power of the fleet */
    /* one working replica: its share of the rate; in rub_size_rates its share of the largest rate
     * that rate_replicas hold */
    double rate_per_s;       /* [requests/s]; 0 = none */
    double tok_per_s;        /* input + output tokens/s at that rate */
    double replica_watts;    /* IT power at that load */
    double tok_per_s_per_mw; /* per MW of IT power as planned (all-in kW per accelerator) */
    double usd_per_mtok;     /* of input + output tokens; spares included */
    int32_t bound_replicas;  /* no fleet of fewer has the throughput; 0 = no bound known */
    bool frontier;           /* no other fleet is both cheaper and faster (cost, p99 TPOT) */
} rub_size_candidate;

typedef struct rub_size_result {
    int32_t n, n_group;
    rub_size_candidate *candidate;   /* leaders that serve, best first; then the others (n) */
    double rate_per_s;               /* that fleets were sized for, headroom included */
    double tok_per_s;                /* tokens/s at that rate */
    double from_s, to_s;             /* window of the simulated trace at its own rate [s] */
    int64_t n_req;                   /* requests simulated in each run */
    int64_t n_simulation, n_request; /* runs; requests in them, those not reached included */
    int64_t n_stopped;               /* runs that stopped early */
    int32_t n_fate[6];               /* candidates by fate */
} rub_size_result;

/* Finds the smallest fleet of every group and the best of all. Outcome 'none serves': no candidate
 * has fate RUB_SIZE_SERVES. Errors: RUB_INVALID, RUB_NOT_FOUND (precision), RUB_INTERRUPTED.
 * Cost: about 5 ms a candidate for 20,000 requests. */
rub_status rub_size_search(const rub_model *model, const rub_trace *trace, const rub_size_def *def,
                           const rub_progress *progress, rub_size_result *out, rub_error *err);
void rub_size_result_clear(rub_size_result *result);

/* The same, for replicas driven to their largest rate: the best of a group is the one with the
 * largest rate per accelerator. Fleets are not sized. Judged on the first 3,000 requests, or 750 a
 * replica (rate_replicas). */
rub_status rub_size_rates(const rub_model *model, const rub_trace *trace, const rub_size_def *def,
                          const rub_progress *progress, rub_size_result *out, rub_error *err);

/* ---- answers ------------------------------------------------------------------------------- */

/* The search under other conditions: factors on the rate, on output lengths, on the speed of all
 * accelerators, on every limit. */
typedef struct rub_size_variant {
    const char *what; /* the caller's name for it */
    double rate, output, speed, targets;
    bool met;
    rub_size_candidate best; /* when met */
} rub_size_variant;

/* Fills met and best of n variants, over the accelerators and layouts (and the double tp) of the
 * four best leaders of a result of the same definition. Errors: as rub_size_search. */
rub_status rub_size_vary(const rub_model *model, const rub_trace *trace, const rub_size_def *def,
                         const rub_size_result *result, const rub_progress *progress,
                         rub_size_variant *variant, int32_t n, rub_error *err);

/* USD per accelerator-hour under which a fleet costs less than the best; NaN when unknown. */
double rub_size_price_to_win(const rub_size_candidate *best, const rub_size_candidate *c);

/* ---- how sure ------------------------------------------------------------------------------ */

/* A distribution as quantiles, linear between them and flat outside. */
#define RUB_SIZE_MAX_SPREAD 40
typedef struct rub_size_spread {
    int32_t n;                                                     /* 0: 1 for sure */
    double share[RUB_SIZE_MAX_SPREAD], value[RUB_SIZE_MAX_SPREAD]; /* both never fall (n) */
    char source[256];
} rub_size_spread;

double rub_size_spread_at(const rub_size_spread *spread, double share);

/* How many times as fast as predicted measured deployments ran (data/errors.yaml): of that
 * accelerator; else, calibration carried from another, what that was worth where it could be
 * checked. Errors: RUB_NO_MEMORY. */
rub_status rub_size_speed_spread(const rub_accelerator *accel, rub_size_spread *out,
                                 rub_error *err);

/* Prices of one accelerator over the catalog's default: its committed ones (rentals of one and three
 * years, cost of ownership) of the last 24 months, equally likely. With a single one, those of all
 * accelerators pooled, each beside its own default. */
void rub_size_price_spread(const rub_catalog *catalog, const rub_accelerator *accel,
                           rub_size_spread *out);

/* A trace of as many requests, made of n_block stretches of this one (a row of neighbours, from a
 * random place, wrapping around): the moving blocks bootstrap (Kuensch, 1989). Times between
 * arrivals go with their requests. */
rub_status rub_size_resample(const rub_trace *trace, int32_t n_block, uint64_t seed, uint64_t draw,
                             rub_trace *out, rub_error *err);

typedef enum rub_size_cause {
    RUB_SIZE_BY_ALL,
    RUB_SIZE_BY_SPEED, /* the perf model's error alone */
    RUB_SIZE_BY_TRACE, /* the trace as a sample alone */
    RUB_SIZE_BY_PRICE,
    RUB_SIZE_N_CAUSE
} rub_size_cause;

typedef struct rub_size_sure_def {
    double level;                 /* share of draws within a band: 0.8 */
    int32_t n_draw;               /* 24 */
    int32_t n_block;              /* stretches of a resampled trace: 20 */
    bool causes;                  /* also what each cause does alone */
    bool rates;                   /* also the largest rate that the fleet holds */
    const rub_size_spread *speed; /* never NULL */
    const rub_size_spread *price;
} rub_size_sure_def;

/* Order statistics of the draws: (1 - level) / 2, half, (1 + level) / 2. Infinite: no fleet meets the
 * targets there. */
typedef struct rub_size_band {
    double low, middle, high;
} rub_size_band;

typedef struct rub_size_sure {
    int32_t n_draw, n_none; /* draws; those in which no fleet of this deployment serves */
    double holds_frac;      /* share of draws in which the proposed number of replicas is enough */
    double enough;          /* replicas that are enough in a share `level` of draws; or infinite */
    rub_size_band replicas[RUB_SIZE_N_CAUSE]; /* spares included; price changes none */
    rub_size_band accelerators, mw;           /* by all causes */
    rub_size_band usd_per_h[RUB_SIZE_N_CAUSE];
    rub_size_band rate_per_s; /* largest rate that the proposed fleet holds, spares not working */
    int64_t n_simulation;
} rub_size_sure;

/* How sure the fleet of a candidate that serves is. Each draw has a speed, a resampled trace and a
 * price, speeds and prices stratified; the smallest fleet of the same deployment is found for it.
 * When the rate is the trace's own, it is that of the resampled trace. Errors: RUB_INVALID,
 * RUB_NO_MEMORY, RUB_INTERRUPTED. Cost: n_draw times 3 to 10 simulations, 2 (causes) or 3 times more.
 * Results do not depend on threads. */
rub_status rub_size_sure_of(const rub_trace *trace, const rub_size_def *def,
                            const rub_size_candidate *candidate, const rub_size_sure_def *sure,
                            const rub_progress *progress, rub_size_sure *out, rub_error *err);

/* ---- hours --------------------------------------------------------------------------------- */

typedef struct rub_size_hour {
    double rate_per_s; /* that it is sized for, headroom not included */
    int32_t replicas;  /* spares included; 0: no fleet of this deployment serves */
    double busy_frac;  /* of those that work */
    double watts;      /* mean IT power of the replicas */
} rub_size_hour;

/* The smallest fleet of a candidate's deployment for each of n rates [requests/s, over 0], by
 * simulation of the trace at that rate. Of more than 48 distinct rates each is sized at the next of 48
 * levels in equal ratios, so never for less. Errors: RUB_INVALID, RUB_NO_MEMORY, RUB_INTERRUPTED.
 * Cost: a few simulations a level. Results do not depend on threads. */
rub_status rub_size_hours(const rub_trace *trace, const rub_size_def *def,
                          const rub_size_candidate *candidate, const double *rate_per_s, size_t n,
                          const rub_progress *progress, rub_size_hour *out, rub_error *err);

/* Requests/s of each hour in a CSV of t_s,req_per_s or hour,req_per_s (any further columns are left
 * alone): an hour's rate is that of its busiest row; *out is malloc'ed (*n). Times go up from 0, each
 * hour has a row. Errors: RUB_IO, RUB_PARSE, RUB_INVALID with line and column. */
rub_status rub_size_profile_read(const char *path, double **out, size_t *n, rub_error *err);

/* ---- commitment ---------------------------------------------------------------------------- */

/* USD per replica-hour; spot at most a share of an hour's need (it may be taken away). */
typedef struct rub_size_prices {
    double reserved_usd, on_demand_usd;
    double spot_usd; /* 0: none */
    double spot_share;
} rub_size_prices;

typedef struct rub_size_commitment {
    int32_t least, most; /* replicas that an hour needs */
    double mean;
    int32_t reserved; /* the level of least mean cost; the lowest of equals */
    double usd_per_h; /* mean, at that level */
    double all_reserved_usd_per_h, all_on_demand_usd_per_h;
} rub_size_commitment;

/* The level to reserve for the replicas that each of n hours needs. Errors: RUB_INVALID,
 * RUB_NO_MEMORY. Cost: n^2 additions. */
rub_status rub_size_commit(const int32_t *need, size_t n, const rub_size_prices *prices,
                           rub_size_commitment *out, rub_error *err);

typedef enum rub_size_form {
    RUB_SIZE_VLLM,
    RUB_SIZE_SGLANG,
    RUB_SIZE_KUBERNETES, /* a Deployment of vLLM */
    RUB_SIZE_HELM,       /* values for the vLLM production stack */
} rub_size_form;

/* How a candidate is started, for the model under that name or path; malloc'ed text, ends with a
 * newline. Flags as documented on 2026-11-24, not run. Errors: RUB_NO_MEMORY. */
rub_status rub_size_launch(const rub_size_candidate *candidate, const char *model,
                           rub_size_form form, char **out, rub_error *err);

#endif
