/* Resample: another trace that might have been seen, by the moving blocks bootstrap (Kuensch, 1989,
 * Annals of Statistics 17:1217). Blocks keep what neighbours have in common: bursts, hours, users. */
#include "size/size.h"

#include "base/array.h"
#include "base/rng.h"

/* Time from the request before; the first one's is the mean. */
static double gap_of(const rub_trace *t, size_t i) {
    return i > 0 ? t->arrival_s[i] - t->arrival_s[i - 1]
                 : t->arrival_s[t->n_req - 1] / (double)(t->n_req - 1);
}

rub_status rub_size_resample(const rub_trace *trace, int32_t n_block, uint64_t seed, uint64_t draw,
                             rub_trace *out, rub_error *err) {
    size_t n = trace->n_req;
    if (n < 2 || n_block < 1)
        return rub_error_set(err, RUB_INVALID,
                             "resampling %zu requests in %d blocks, expected 2 and 1 or more", n,
                             n_block);
    RUB_TRY(rub_trace_init(out, n, err));
    rub_rng rng = rub_rng_make(seed, draw);
    size_t length = (n + (size_t)n_block - 1) / (size_t)n_block, from = 0;
    double now_s = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (i % length == 0)
            from = (size_t)rub_rng_below(&rng, n);
        size_t k = (from + i % length) % n;
        now_s += i > 0 ? gap_of(trace, k) : 0.0;
        out->arrival_s[i] = now_s;
        out->input_tok[i] = trace->input_tok[k];
        out->output_tok[i] = trace->output_tok[k];
    }
    return RUB_OK;
}
