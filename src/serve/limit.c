/* The gateway's rate limits: a token bucket for each tenant, of prompt and answer tokens (as providers'
 * limits of tokens a minute count a request's prompt and the most that it may generate up front). A
 * bucket is known by its level at its last request, so a request costs O(1). */
#include "serve/replica.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

typedef struct bucket {
    const rub_serve_limit *limit; /* NULL: none */
    double level_tok, at_s;
} bucket;

static bucket *buckets(const rub_trace *t, const rub_serve_def *d) {
    int32_t last = 0;
    for (size_t i = 0; t->tenant && i < t->n_req; i++)
        last = t->tenant[i] > last ? t->tenant[i] : last;
    bucket *b = RUB_NEW(bucket, (size_t)last + 1);
    for (int32_t k = 0; b && k <= last; k++) {
        for (int32_t l = 0; l < d->n_limit; l++)
            if (d->limit[l].tenant == k || (d->limit[l].tenant < 0 && !b[k].limit))
                b[k].limit = &d->limit[l];
        b[k].level_tok = b[k].limit ? b[k].limit->burst_tok : 0.0;
    }
    return b;
}

static double pass(bucket *b, double at_s, double tok) {
    if (!b->limit)
        return at_s;
    if (tok > b->limit->burst_tok)
        return NAN;
    double from_s = fmax(at_s, b->at_s); /* behind the tenant's request before it */
    double level =
        fmin(b->limit->burst_tok, b->level_tok + (from_s - b->at_s) * b->limit->tok_per_s);
    if (level < tok && !b->limit->delays)
        return NAN;
    b->at_s = from_s + (level < tok ? (tok - level) / b->limit->tok_per_s : 0.0);
    b->level_tok = level < tok ? 0.0 : level - tok;
    return b->at_s;
}

rub_status rub_limit_all(const rub_trace *t, const rub_serve_def *d, double *sent_s) {
    bucket *b = buckets(t, d);
    if (!b)
        return RUB_NO_MEMORY;
    for (size_t i = 0; i < t->n_req; i++)
        sent_s[i] = pass(&b[t->tenant ? t->tenant[i] : 0], t->arrival_s[i],
                         (double)t->input_tok[i] + t->output_tok[i]);
    free(b);
    return RUB_OK;
}
