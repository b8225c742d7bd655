/* Traces: who asked for how many tokens, when. Columns, readers, generators, statistics.
 *
 * A rub_trace is plain columns in arrival order; every reader and generator fills one, and the
 * serving simulator only reads it. */
#ifndef RUBATO_TRACE_H
#define RUBATO_TRACE_H

#include "rubato/base.h"

/* Requests in arrival order. Times count from the first request (arrival_s[0] == 0). */
typedef struct rub_trace {
    size_t n_req;
    double *arrival_s;   /* arrival time [s], non-decreasing (n_req) */
    int32_t *input_tok;  /* prompt length [tokens], >= 1 (n_req) */
    int32_t *output_tok; /* generated length [tokens], >= 1 (n_req) */
} rub_trace;

/* Allocates columns of n_req. Errors: RUB_NO_MEMORY. */
rub_status rub_trace_init(rub_trace *trace, size_t n_req, rub_error *err);
void rub_trace_clear(rub_trace *trace);

#endif
