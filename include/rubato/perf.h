/* Perf: how long one iteration (one forward pass of one replica) takes, what fits in memory, what
 * it draws and costs.
 *
 * Everything a duration depends on is an integer aggregate of the batch (rub_batch), so that an
 * engine that updates sums and one that recomputes them agree to the last bit. */
#ifndef RUBATO_PERF_H
#define RUBATO_PERF_H

#include "rubato/base.h"

/* Aggregates of one iteration's batch. */
typedef struct rub_batch {
    int64_t n_tokens;  /* tokens processed: prefill chunks + one for each decode */
    int64_t n_decode;  /* decode requests */
    int64_t kv_decode; /* sum over decode requests of tokens already processed */
    int64_t n_prefill; /* prefill requests */
    /* Twice the prefill work: sum over prefill chunks of chunk * (2 * processed + chunk); the half
     * of it is the sum of chunk * (processed + chunk / 2) of design page serving. */
    int64_t prefill_work2;
    int64_t prefill_kv; /* sum over prefill requests of tokens already processed */
} rub_batch;

typedef enum rub_perf_kind {
    RUB_PERF_LINEAR,   /* t = a + b*n_tokens + c*kv_decode + d*prefill_work */
    RUB_PERF_COMPILED, /* piecewise-linear tables over the aggregates, from a deployment */
} rub_perf_kind;

/* Four coefficients; seconds, s/token, s/token, s/token^2. */
typedef struct rub_perf_linear {
    double a_s, b_s, c_s, d_s;
} rub_perf_linear;

typedef struct rub_perf_tables rub_perf_tables; /* owned by the compiled model */

/* An evaluator: immutable once made, safe to share between threads. */
typedef struct rub_perf {
    rub_perf_kind kind;
    rub_perf_linear linear;
    const rub_perf_tables *tables; /* RUB_PERF_COMPILED */
} rub_perf;

/* Duration of a compiled deployment's iteration [s]. */
double rub_perf_tables_duration(const rub_perf_tables *tables, const rub_batch *batch);

/* Duration of one iteration [s]. The linear form is evaluated in this order, always. */
static inline double rub_perf_duration(const rub_perf *perf, const rub_batch *batch) {
    if (perf->kind == RUB_PERF_LINEAR) {
        const rub_perf_linear *l = &perf->linear;
        return l->a_s + l->b_s * (double)batch->n_tokens + l->c_s * (double)batch->kv_decode +
               l->d_s * ((double)batch->prefill_work2 * 0.5);
    }
    return rub_perf_tables_duration(perf->tables, batch);
}

#endif
