/* The gateway's rate limits: a token bucket for each tenant, of prompt and answer tokens (as providers'
 * limits of tokens a minute count a request's prompt and the most that it may generate up front). A
 * bucket is known by its level at its last request, so a request costs no more than finding its bucket:
 * tenants may have any numbers, so they stand sorted. */
#include "serve/replica.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

typedef struct bucket {
    int32_t tenant;
    const rub_serve_limit *limit; /* NULL: none */
    double level_tok, at_s;
} bucket;

static int32_t tenant_of(const rub_trace *t, size_t i) { return t->tenant ? t->tenant[i] : 0; }

static int by_number(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* A bucket for each tenant of the trace, by rising number. */
static bucket *buckets(const rub_trace *t, const rub_serve_def *d, size_t *n) {
    int32_t *tenant = RUB_NEW(int32_t, t->n_req);
    bucket *b = RUB_NEW(bucket, t->n_req);
    *n = 0;
    for (size_t i = 0; tenant && i < t->n_req; i++)
        tenant[i] = tenant_of(t, i);
    if (tenant)
        qsort(tenant, t->n_req, sizeof *tenant, by_number);
    for (size_t i = 0; tenant && b && i < t->n_req; i++) {
        if (i > 0 && tenant[i] == tenant[i - 1])
            continue;
        bucket *one = &b[(*n)++];
        one->tenant = tenant[i];
        for (int32_t l = 0; l < d->n_limit; l++)
            if (d->limit[l].tenant == one->tenant || (d->limit[l].tenant < 0 && !one->limit))
                one->limit = &d->limit[l];
        one->level_tok = one->limit ? one->limit->burst_tok : 0.0;
    }
    if (!tenant) {
        free(b);
        b = NULL;
    }
    free(tenant);
    return b;
}

static int by_tenant(const void *a, const void *b) {
    const bucket *x = a, *y = b;
    return (x->tenant > y->tenant) - (x->tenant < y->tenant);
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
    size_t n;
    bucket *b = buckets(t, d, &n);
    if (!b)
        return RUB_NO_MEMORY;
    for (size_t i = 0; i < t->n_req; i++) {
        bucket key = {.tenant = tenant_of(t, i)};
        sent_s[i] = pass(bsearch(&key, b, n, sizeof *b, by_tenant), t->arrival_s[i],
                         (double)t->input_tok[i] + t->output_tok[i]);
    }
    free(b);
    return RUB_OK;
}
