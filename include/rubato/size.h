/* Size: the cheapest fleets that meet latency targets for a trace. */
#ifndef RUBATO_SIZE_H
#define RUBATO_SIZE_H

#include "rubato/catalog.h"
#include "rubato/perf.h"
#include "rubato/serve.h"
#include "rubato/trace.h"

/* Latency targets on quantiles [s]; 0 = none. */
typedef struct rub_size_targets {
    double ttft_p50_s, ttft_p90_s, ttft_p99_s;
    double tpot_p50_s, tpot_p90_s, tpot_p99_s;
    double e2e_p99_s;
} rub_size_targets;

typedef struct rub_size_def {
    rub_size_targets targets;
    const rub_accelerator *const *accel; /* accelerators to try (n_accel) */
    int32_t n_accel;
    const char *weights;  /* precision of weights, or NULL: every one the accelerator has */
    const char *kv_cache; /* NULL: bf16 */
    double rate_per_s;    /* requests/s to serve; 0 = the trace's own mean rate */
    double pue;
    int32_t n_thread; /* 0 = all cores; results do not depend on it */
    uint64_t seed;
} rub_size_def;

rub_size_def rub_size_default(void);

/* One deployment tried: a replica's layout and limits, and the largest rate that it holds. */
typedef struct rub_size_candidate {
    const rub_accelerator *accel;
    int32_t tp;
    char weights[16], kv_cache[16];
    int32_t max_seqs;
    int64_t max_batch_tok;
    bool fits;               /* in memory */
    char reason[400];        /* why it does not fit or cannot meet the targets; "" when it can */
    double rate_per_s;       /* largest rate of one replica within the targets [requests/s] */
    double tok_per_s;        /* input + output tokens/s at that rate */
    double watts;            /* IT power of one replica at that load */
    double tok_per_s_per_mw; /* per MW of IT power as planned (all-in kW per accelerator) */
    double usd_per_mtok;     /* at the catalog's hourly price */
    double ttft_p99_s, tpot_p99_s; /* at that rate */
    int32_t replicas;              /* for def's rate */
    int32_t accelerators;          /* replicas * tp */
    double usd_per_h, mw;          /* of the fleet */
    bool frontier; /* no other candidate is both cheaper and faster (cost, p99 TPOT) */
} rub_size_candidate;

typedef struct rub_size_result {
    int32_t n;
    rub_size_candidate *candidate;   /* cheapest first; those that cannot serve last (n) */
    int64_t n_simulation, n_request; /* work done */
} rub_size_result;

/* Enumerates layouts of one model over the accelerators, finds each one's largest rate by bisection
 * on simulated time-scaled traces. Outcome 'none meets the targets': every rate_per_s is 0. */
rub_status rub_size_search(const rub_model *model, const rub_trace *trace, const rub_size_def *def,
                           const rub_progress *progress, rub_size_result *out, rub_error *err);
void rub_size_result_clear(rub_size_result *result);

#endif
