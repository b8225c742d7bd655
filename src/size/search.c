/* Search: the groups in parallel, each on its own thread's buffers; then the leaders, best first.
 * What a group finds depends on nothing outside it, so results do not depend on threads. */
#include "size/size.h"

#include "base/array.h"
#include "base/tasks.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_FLEET 20000 /* requests that fleets are judged on */
#define MOST_SHORT 3000  /* and the largest rate of a few replicas */
#define SHORT_EACH 750   /* or so many a replica, lest the time be too short to see a queue grow */

rub_size_def rub_size_default(void) {
    return (rub_size_def){.router = RUB_ROUTER_LEAST_OUTSTANDING,
                          .rate_replicas = 1,
                          .speed_frac = 1.0,
                          .output_scale = 1.0,
                          .target_scale = 1.0,
                          .max_requests = MOST_FLEET,
                          .pue = 1.2,
                          .seed = 1};
}

void rub_size_result_clear(rub_size_result *result) {
    free(result->candidate);
    *result = (rub_size_result){0};
}

/* ---- groups in parallel ---------------------------------------------------------------------- */

typedef struct crew {
    rub_size_job *job;
    const rub_progress *progress;
    rub_status *status;  /* (n_group) */
    rub_error *error;    /* (n_group) */
    int64_t (*count)[3]; /* simulations, requests, stopped (n_group) */
    atomic_int done;
    atomic_bool stop;
    atomic_flag telling; /* one thread at a time reports */
} crew;

/* Progress as the simulations of every thread see it: false once the caller wants to stop. */
static bool tell(void *ctx, const char *what, double done, double total, const char *extra) {
    crew *w = ctx;
    (void)what, (void)done, (void)total, (void)extra;
    if (!atomic_flag_test_and_set(&w->telling)) {
        if (!rub_progress_report(w->progress, "sizing", atomic_load(&w->done), w->job->n_group,
                                 NULL))
            atomic_store(&w->stop, true);
        atomic_flag_clear(&w->telling);
    }
    return !atomic_load(&w->stop);
}

static void work(void *ctx, int32_t g, int32_t thread) {
    crew *w = ctx;
    rub_progress progress = {.report = tell, .ctx = w};
    rub_size_bench b = {0};
    (void)thread;
    if (atomic_load(&w->stop))
        return;
    w->status[g] = rub_size_bench_init(&b, &w->job->load, &w->error[g]);
    b.progress = &progress;
    if (w->status[g] == RUB_OK)
        w->status[g] = rub_size_group(w->job, g, &b, &w->error[g]);
    w->count[g][0] = b.n_simulation;
    w->count[g][1] = b.n_request;
    w->count[g][2] = b.n_stopped;
    rub_size_bench_clear(&b);
    atomic_fetch_add(&w->done, 1);
    tell(w, NULL, 0.0, 0.0, NULL);
}

static rub_status run_groups(rub_size_job *job, const rub_progress *progress, rub_size_result *r,
                             rub_error *err) {
    size_t n = (size_t)job->n_group;
    crew w = {.job = job, .progress = progress, .telling = ATOMIC_FLAG_INIT};
    w.status = RUB_NEW(rub_status, n);
    w.error = RUB_NEW(rub_error, n);
    w.count = rub_calloc(n, sizeof *w.count);
    rub_status status = w.status && w.error && w.count
                            ? RUB_OK
                            : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    if (status == RUB_OK)
        rub_parallel_for(job->n_group, job->def->n_thread, work, &w);
    for (size_t g = 0; g < n && status == RUB_OK; g++) {
        r->n_simulation += w.count[g][0];
        r->n_request += w.count[g][1];
        r->n_stopped += w.count[g][2];
        if ((status = w.status[g]) != RUB_OK && err)
            *err = w.error[g];
    }
    if (status == RUB_OK && atomic_load(&w.stop))
        status = rub_error_set(err, RUB_INTERRUPTED, "stopped");
    free(w.status);
    free(w.error);
    free(w.count);
    return status;
}

/* ---- results --------------------------------------------------------------------------------- */

typedef struct ranked {
    double value[3]; /* what counts, in this order */
    const rub_size_candidate *c;
} ranked;

static double or_last(double x) { return x > 0 ? x : HUGE_VAL; }

static ranked rank(const rub_size_job *job, const rub_size_candidate *c) {
    ranked r = {.c = c};
    int32_t gpus = c->tp * c->pp * c->attention_dp;
    if (!c->leads)
        r.value[0] = HUGE_VAL;
    else if (job->def->objective == RUB_SIZE_POWER)
        r.value[0] = job->by_rate ? 1.0 / c->tok_per_s_per_mw : c->mw;
    else if (job->def->objective == RUB_SIZE_ACCELERATORS)
        r.value[0] = job->by_rate ? gpus / c->rate_per_s : c->accelerators;
    else
        r.value[0] = job->by_rate ? or_last(c->usd_per_mtok) : or_last(c->usd_per_h);
    r.value[1] =
        c->leads ? (job->by_rate ? -c->tok_per_s_per_mw : c->accelerators) : 1 + (int)c->fate;
    r.value[2] = c->leads ? c->stress : (double)c->accelerators;
    return r;
}

static int by_rank(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->c->leads != y->c->leads)
        return x->c->leads ? -1 : 1;
    for (int k = 0; k < 3; k++)
        if (x->value[k] != y->value[k])
            return x->value[k] < y->value[k] ? -1 : 1;
    return x->c->index - y->c->index;
}

static const char *unit_of(rub_size_objective objective) {
    return objective == RUB_SIZE_ACCELERATORS ? "accelerators"
           : objective == RUB_SIZE_POWER      ? "MW"
           : objective == RUB_SIZE_PER_TOKEN  ? "USD per million tokens"
                                              : "USD an hour";
}

/* Leaders of groups that are not the best of all: how much more they take. */
static void compare(const rub_size_job *job, rub_size_result *r) {
    double best = r->n > 0 && r->candidate[0].leads ? rank(job, &r->candidate[0]).value[0] : 0.0;
    for (int32_t i = 1; i < r->n && r->candidate[i].leads; i++) {
        rub_size_candidate *c = &r->candidate[i];
        double own = rank(job, c).value[0];
        if (isinf(own))
            snprintf(c->reason, sizeof c->reason, "no price is known for %s", c->accel->name);
        else if (own == best)
            snprintf(c->reason, sizeof c->reason, "as good by %s; %s", unit_of(job->def->objective),
                     c->accelerators > r->candidate[0].accelerators ? "more accelerators"
                                                                    : "nearer to its limits");
        else
            snprintf(c->reason, sizeof c->reason, "%.3g times the best in %s", own / best,
                     unit_of(job->def->objective));
    }
}

static void mark_frontier(rub_size_result *r) {
    for (int32_t i = 0; i < r->n && r->candidate[i].leads; i++) {
        rub_size_candidate *c = &r->candidate[i];
        c->frontier = c->usd_per_h > 0;
        for (int32_t k = 0; k < r->n && r->candidate[k].leads && c->frontier; k++) {
            const rub_size_candidate *o = &r->candidate[k];
            bool no_worse =
                o->usd_per_h > 0 && o->usd_per_h <= c->usd_per_h && o->tpot_p99_s <= c->tpot_p99_s;
            if (no_worse && (o->usd_per_h < c->usd_per_h || o->tpot_p99_s < c->tpot_p99_s))
                c->frontier = false;
        }
    }
}

static rub_status collect(rub_size_job *job, rub_size_result *r, rub_error *err) {
    size_t n = job->n_trial;
    ranked *order = RUB_NEW(ranked, n);
    r->candidate = RUB_NEW(rub_size_candidate, n);
    if (!order || !r->candidate) {
        free(order);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for results");
    }
    for (size_t i = 0; i < n; i++) {
        order[i] = rank(job, &job->trial[i].c);
        r->n_fate[job->trial[i].c.fate]++;
    }
    qsort(order, n, sizeof *order, by_rank);
    for (size_t i = 0; i < n; i++)
        r->candidate[i] = *order[i].c;
    free(order);
    r->n = (int32_t)n;
    r->n_group = job->n_group;
    const rub_size_load *load = job->rates_only ? &job->short_load : &job->load;
    size_t n_req = load->unit.n_req;
    r->rate_per_s = job->rate_per_s;
    r->tok_per_s = job->rate_per_s * (load->input_tok + load->output_tok);
    r->to_s = load->unit.arrival_s[n_req - 1] / load->own_rate_per_s;
    r->from_s = RUB_SIZE_WARMUP_FRAC * r->to_s;
    r->n_req = (int64_t)n_req;
    compare(job, r);
    if (!job->rates_only)
        mark_frontier(r);
    return RUB_OK;
}

static rub_status check(const rub_trace *trace, const rub_size_def *def, rub_error *err) {
    if (trace->n_req < 2)
        return rub_error_set(err, RUB_INVALID, "trace has %zu requests, expected 2 or more",
                             trace->n_req);
    if (!(def->speed_frac > 0 && def->output_scale > 0 && def->target_scale > 0))
        return rub_error_set(err, RUB_INVALID,
                             "speed, output and target scales are %g, %g, %g, expected over 0",
                             def->speed_frac, def->output_scale, def->target_scale);
    if (!(def->headroom_frac >= 0) || def->spare < 0)
        return rub_error_set(err, RUB_INVALID, "headroom is %g, spare %d, expected 0 or more",
                             def->headroom_frac, def->spare);
    if (def->rate_replicas < 1 || def->rate_replicas > RUB_SIZE_MOST_SIMULATED)
        return rub_error_set(err, RUB_INVALID, "largest rates of %d replicas, expected 1 to %d",
                             def->rate_replicas, RUB_SIZE_MOST_SIMULATED);
    return RUB_OK;
}

size_t rub_size_n_judged(const rub_trace *trace, const rub_size_def *def) {
    size_t most = (size_t)(def->max_requests > 0 ? def->max_requests : MOST_FLEET);
    return most < trace->n_req ? most : trace->n_req;
}

double rub_size_own_rate(const rub_trace *trace) {
    double span = trace->arrival_s[trace->n_req - 1];
    return span > 0 ? ((double)trace->n_req - 1) / span : 1.0;
}

static rub_status search(const rub_model *model, const rub_trace *trace, const rub_size_def *def,
                         bool rates_only, const rub_progress *progress, rub_size_result *out,
                         rub_error *err) {
    rub_size_job job = {.model = model,
                        .def = def,
                        .rates_only = rates_only,
                        .by_rate = rates_only || def->objective == RUB_SIZE_PER_TOKEN};
    rub_size_result r = {0};
    RUB_TRY(check(trace, def, err));
    int64_t brief =
        def->rate_replicas * SHORT_EACH > MOST_SHORT ? def->rate_replicas * SHORT_EACH : MOST_SHORT;
    int64_t most = rates_only ? brief : (int64_t)rub_size_n_judged(trace, def);
    rub_status status = rub_size_load_init(&job.load, trace, def, most, err);
    if (status == RUB_OK)
        status = rub_size_load_init(&job.short_load, trace, def, most < brief ? most : brief, err);
    double rate = def->rate_per_s > 0 ? def->rate_per_s : rub_size_own_rate(trace);
    job.rate_per_s = rate * (1.0 + def->headroom_frac);
    if (status == RUB_OK)
        status = rub_size_enumerate(&job, err);
    if (status == RUB_OK)
        status = run_groups(&job, progress, &r, err);
    if (status == RUB_OK)
        status = collect(&job, &r, err);
    if (status == RUB_OK)
        *out = r;
    else
        rub_size_result_clear(&r);
    rub_size_load_clear(&job.load);
    rub_size_load_clear(&job.short_load);
    free(job.trial);
    return status;
}

rub_status rub_size_search(const rub_model *model, const rub_trace *trace, const rub_size_def *def,
                           const rub_progress *progress, rub_size_result *out, rub_error *err) {
    return search(model, trace, def, false, progress, out, err);
}

rub_status rub_size_rates(const rub_model *model, const rub_trace *trace, const rub_size_def *def,
                          const rub_progress *progress, rub_size_result *out, rub_error *err) {
    return search(model, trace, def, true, progress, out, err);
}
