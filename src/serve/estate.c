/* What stands before fleets: the gateway's rate limits, and several models, each with replicas of its
 * own. Neither depends on what the fleets do, so the requests are sorted out first and each fleet runs
 * as if it were alone; results go back to where the requests stand in the trace. */
#include "serve/replica.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

typedef struct part {
    size_t *index; /* its requests in the whole trace (n) */
    size_t n;
    rub_trace trace;
    rub_serve_times times;
    rub_serve_totals *totals;
} part;

static void part_clear(part *p) {
    free(p->index);
    free(p->totals);
    rub_trace_clear(&p->trace);
    rub_serve_times_clear(&p->times);
}

/* index is filled. */
static rub_status part_init(part *p, const rub_trace *whole, rub_error *err) {
    RUB_TRY(rub_trace_subset(whole, p->index, p->n, &p->trace, err));
    RUB_TRY(rub_serve_times_init(&p->times, p->n, err));
    p->totals = RUB_NEW(rub_serve_totals, 1);
    return p->totals ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
}

static void add_totals(const rub_serve_totals *own, rub_serve_totals *into) {
    rub_totals_add(own, own->blocks_left, into);
    into->n_rejected += own->n_rejected;
    into->prefill_busy_s += own->prefill_busy_s;
    into->link_busy_s += own->link_busy_s;
    into->transfer_bytes += own->transfer_bytes;
    into->up_s += own->up_s;
    into->down_s += own->down_s;
    into->n_failure += own->n_failure;
    into->n_retry += own->n_retry;
    into->n_start += own->n_start;
    into->n_stop += own->n_stop;
}

/* The part's results, where its requests stand in the whole; arrivals stay those of the whole. */
static void put_back(const part *p, const rub_trace *whole, rub_serve_times *times,
                     rub_serve_totals *totals) {
    for (size_t k = 0; k < p->n; k++) {
        size_t i = p->index[k];
        times->arrival_s[i] = whole->arrival_s[i];
        times->scheduled_s[i] = p->times.scheduled_s[k];
        times->first_token_s[i] = p->times.first_token_s[k];
        times->finish_s[i] = p->times.finish_s[k];
        times->restarts[i] = p->times.restarts[k];
        times->cached_tok[i] = p->times.cached_tok[k];
    }
    add_totals(p->totals, totals);
}

static void reject_all(const rub_trace *whole, rub_serve_times *times, rub_serve_totals *totals) {
    *totals = (rub_serve_totals){0};
    for (size_t i = 0; i < times->n_req; i++) {
        times->arrival_s[i] = whole->arrival_s[i];
        times->scheduled_s[i] = times->first_token_s[i] = times->finish_s[i] = NAN;
        times->restarts[i] = -1;
        times->cached_tok[i] = 0;
    }
}

/* ---- several models ---- */

static size_t groups_of(const rub_serve_def *d, int32_t model, rub_serve_group *out) {
    size_t n = 0;
    for (int32_t g = 0; g < d->n_group; g++)
        if (d->group[g].model == model)
            out[n++] = d->group[g];
    return n;
}

/* The smallest number of a group's model above `after`; -1: there is none. Models may have any numbers. */
static int32_t next_model(const rub_serve_def *d, int32_t after) {
    int32_t next = -1;
    for (int32_t g = 0; g < d->n_group; g++)
        if (d->group[g].model > after && (next < 0 || d->group[g].model < next))
            next = d->group[g].model;
    return next;
}

static rub_status check_models(const rub_trace *trace, const rub_serve_def *d, rub_error *err) {
    for (size_t i = 0; i < trace->n_req; i++) {
        int32_t model = trace->model[i], g = 0;
        size_t n = 0;
        while (g < d->n_group && d->group[g].model != model)
            g++;
        if (g < d->n_group)
            continue;
        for (size_t k = 0; k < trace->n_req; k++)
            n += trace->model[k] == model;
        return rub_error_set(err, RUB_INVALID,
                             "model %d has %zu requests, but no group of replicas", model, n);
    }
    return RUB_OK;
}

static rub_status run_model(const rub_trace *trace, const rub_perf *perf, rub_serve_def def,
                            const rub_progress *progress, part *p, rub_error *err) {
    def.by_model = false;
    def.n_replica = 0;
    for (int32_t g = 0; g < def.n_group; g++)
        def.n_replica += def.group[g].n_replica;
    RUB_TRY(part_init(p, trace, err));
    return rub_run_fleet(&p->trace, perf, &def, progress, &p->times, p->totals, err);
}

static rub_status run_models(const rub_trace *trace, const rub_perf *perf, const rub_serve_def *def,
                             const rub_progress *progress, rub_serve_times *times,
                             rub_serve_totals *totals, rub_error *err) {
    rub_status status = check_models(trace, def, err);
    if (status != RUB_OK)
        return status;
    rub_serve_group *group = RUB_NEW(rub_serve_group, def->n_group);
    if (!group)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    for (int32_t m = next_model(def, -1); m >= 0 && status == RUB_OK; m = next_model(def, m)) {
        rub_serve_def own = *def;
        part p = {.index = RUB_NEW(size_t, trace->n_req)};
        for (size_t i = 0; p.index && i < trace->n_req; i++)
            if (trace->model[i] == m)
                p.index[p.n++] = i;
        own.group = group;
        own.n_group = (int32_t)groups_of(def, m, group);
        own.seed = def->seed + (uint64_t)m; /* fleets fail each by themselves */
        if (!p.index)
            status = rub_error_set(err, RUB_NO_MEMORY, "out of memory");
        else if (p.n > 0)
            status = run_model(trace, perf, own, progress, &p, err);
        if (status == RUB_OK && p.n > 0)
            put_back(&p, trace, times, totals);
        part_clear(&p);
    }
    free(group);
    return status;
}

static rub_status run_estate(const rub_trace *trace, const rub_perf *perf, const rub_serve_def *def,
                             const rub_progress *progress, rub_serve_times *times,
                             rub_serve_totals *totals, rub_error *err) {
    if (!def->by_model)
        return rub_run_fleet(trace, perf, def, progress, times, totals, err);
    reject_all(trace, times, totals);
    return run_models(trace, perf, def, progress, times, totals, err);
}

/* ---- the gateway ---- */

typedef struct sending {
    double at_s;
    size_t i;
} sending;

static int by_time(const void *a, const void *b) {
    const sending *x = a, *y = b;
    if (x->at_s != y->at_s)
        return x->at_s < y->at_s ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

/* Those that pass, in the order in which they are sent on. */
static rub_status let_pass(const rub_trace *trace, const rub_serve_def *def, part *p,
                           rub_serve_totals *totals, sending *out, rub_error *err) {
    double *sent_s = RUB_NEW(double, trace->n_req);
    p->index = RUB_NEW(size_t, trace->n_req);
    rub_status status = sent_s && p->index ? rub_limit_all(trace, def, sent_s) : RUB_NO_MEMORY;
    for (size_t i = 0; status == RUB_OK && i < trace->n_req; i++) {
        if (!isnan(sent_s[i]))
            out[p->n++] = (sending){sent_s[i], i};
        totals->n_limited += isnan(sent_s[i]);
        totals->n_delayed += sent_s[i] > trace->arrival_s[i];
    }
    free(sent_s);
    if (status != RUB_OK)
        return rub_error_set(err, status, "out of memory for %zu requests", trace->n_req);
    totals->n_rejected += totals->n_limited;
    qsort(out, p->n, sizeof *out, by_time);
    for (size_t k = 0; k < p->n; k++)
        p->index[k] = out[k].i;
    RUB_TRY(part_init(p, trace, err));
    for (size_t k = 0; k < p->n; k++)
        p->trace.arrival_s[k] = out[k].at_s;
    return RUB_OK;
}

rub_status rub_serve_run(const rub_trace *trace, const rub_perf *perf, const rub_serve_def *def,
                         const rub_progress *progress, rub_serve_times *times,
                         rub_serve_totals *totals, rub_error *err) {
    RUB_TRY(rub_serve_check(def, trace, err));
    if (def->n_limit == 0)
        return run_estate(trace, perf, def, progress, times, totals, err);
    rub_serve_def own = *def;
    part p = {0};
    sending *order = RUB_NEW(sending, trace->n_req);
    rub_status status = order ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    own.n_limit = 0;
    reject_all(trace, times, totals);
    if (status == RUB_OK)
        status = let_pass(trace, def, &p, totals, order, err);
    if (status == RUB_OK && p.n > 0)
        status = run_estate(&p.trace, perf, &own, progress, &p.times, p.totals, err);
    if (status == RUB_OK && p.n > 0)
        put_back(&p, trace, times, totals);
    part_clear(&p);
    free(order);
    return status;
}
