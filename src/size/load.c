/* Load: the requests that every candidate is judged on, and the buffers to run them. */
#include "size/size.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double or_any(double limit_s) { return limit_s > 0 ? limit_s : HUGE_VAL; }

/* ttft + tpot * (output - 1) for the longest output, or an end-to-end limit. */
static double granted(int32_t longest, const rub_size_targets *t) {
    double ttft = or_any(t->good.ttft_s), tpot = or_any(t->good.tpot_s);
    double e2e = or_any(t->good.e2e_s);
    for (int32_t i = 0; i < t->n; i++) {
        double *limit = t->target[i].measure == RUB_SIZE_TTFT   ? &ttft
                        : t->target[i].measure == RUB_SIZE_TPOT ? &tpot
                        : t->target[i].measure == RUB_SIZE_E2E  ? &e2e
                                                                : NULL;
        if (limit)
            *limit = isinf(*limit) ? t->target[i].limit_s : fmax(*limit, t->target[i].limit_s);
    }
    double longest_s = longest > 1 ? ttft + tpot * (longest - 1) : ttft;
    return isinf(longest_s) ? e2e : isinf(e2e) ? longest_s : fmax(longest_s, e2e);
}

static double patience(const rub_size_targets *t) {
    double most = fmax(t->good.ttft_s, t->good.e2e_s);
    for (int32_t i = 0; i < t->n; i++)
        if (t->target[i].measure == RUB_SIZE_TTFT || t->target[i].measure == RUB_SIZE_E2E)
            most = fmax(most, t->target[i].limit_s);
    return most > 0 ? most : 1.0;
}

static rub_status copy(rub_size_load *load, const rub_trace *trace, double output_scale) {
    size_t n = load->unit.n_req;
    double span = trace->arrival_s[n - 1];
    load->own_rate_per_s = span > 0 ? ((double)n - 1) / span : 1.0;
    for (size_t i = 0; i < n; i++) {
        double out = rint(trace->output_tok[i] * output_scale);
        load->unit.arrival_s[i] = trace->arrival_s[i] * load->own_rate_per_s;
        load->unit.input_tok[i] = trace->input_tok[i];
        load->unit.output_tok[i] = (int32_t)fmin(fmax(out, 1.0), RUB_TRACE_MAX_TOK);
        load->input_tok += trace->input_tok[i];
        load->output_tok += load->unit.output_tok[i];
    }
    load->input_tok /= (double)n;
    load->output_tok /= (double)n;
    return RUB_OK;
}

rub_status rub_size_load_init(rub_size_load *out, const rub_trace *trace, const rub_size_def *def,
                              int64_t most, rub_error *err) {
    rub_size_load load = {0};
    size_t n = most > 0 && (size_t)most < trace->n_req ? (size_t)most : trace->n_req;
    RUB_TRY(rub_trace_init(&load.unit, n, err));
    copy(&load, trace, def->output_scale);
    int32_t longest = 1;
    for (size_t i = 0; i < n; i++)
        longest = load.unit.output_tok[i] > longest ? load.unit.output_tok[i] : longest;
    load.patience_s = patience(&def->targets) * def->target_scale;
    load.granted_s = granted(longest, &def->targets) * def->target_scale;
    *out = load;
    return RUB_OK;
}

void rub_size_load_clear(rub_size_load *load) {
    rub_trace_clear(&load->unit);
    *load = (rub_size_load){0};
}

rub_status rub_size_bench_init(rub_size_bench *out, const rub_size_load *load, rub_error *err) {
    rub_size_bench b = {0};
    size_t n = load->unit.n_req;
    rub_status status = rub_trace_init(&b.trace, n, err);
    if (status == RUB_OK)
        status = rub_serve_times_init(&b.times, n, err);
    if (status == RUB_OK) {
        memcpy(b.trace.input_tok, load->unit.input_tok, n * sizeof(int32_t));
        memcpy(b.trace.output_tok, load->unit.output_tok, n * sizeof(int32_t));
        b.totals = RUB_NEW(rub_serve_totals, 1);
        b.value = RUB_NEW(double, n);
        if (!b.totals || !b.value)
            status = rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu requests", n);
    }
    if (status != RUB_OK) {
        rub_size_bench_clear(&b);
        return status;
    }
    *out = b;
    return RUB_OK;
}

void rub_size_bench_clear(rub_size_bench *b) {
    rub_trace_clear(&b->trace);
    rub_serve_times_clear(&b->times);
    free(b->totals);
    free(b->value);
    *b = (rub_size_bench){0};
}
