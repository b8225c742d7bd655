/* Hits of the prefix cache by tenant. */
#include "rubato/serve.h"

#include "base/array.h"

rub_status rub_serve_hits(const rub_trace *trace, const rub_serve_times *times, rub_hits **out,
                          int32_t *n, rub_error *err) {
    int32_t last = 0;
    for (size_t i = 0; trace->tenant && i < trace->n_req; i++)
        last = trace->tenant[i] > last ? trace->tenant[i] : last;
    rub_hits *hits = RUB_NEW(rub_hits, (size_t)last + 1);
    if (!hits)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %d tenants", last);
    for (size_t i = 0; i < trace->n_req; i++) {
        rub_hits *h = &hits[trace->tenant ? trace->tenant[i] : 0];
        if (times->restarts[i] < 0)
            continue;
        h->n_req++;
        h->input_tok += trace->input_tok[i];
        h->cached_tok += times->cached_tok[i];
    }
    *out = hits;
    *n = last + 1;
    return RUB_OK;
}
