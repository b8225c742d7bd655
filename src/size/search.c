/* Search: every candidate's largest rate, in parallel; then fleets for the rate asked for, cheapest
 * first, and the frontier of cost against time per output token. */
#include "size/size.h"

#include "base/array.h"
#include "base/tasks.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

rub_size_def rub_size_default(void) { return (rub_size_def){.pue = 1.2, .seed = 1}; }

void rub_size_result_clear(rub_size_result *result) {
    free(result->candidate);
    *result = (rub_size_result){0};
}

typedef struct progress_of {
    rub_size_job *job;
    const rub_progress *progress;
    atomic_int done;
    atomic_bool stop;
} progress_of;

static void measure(void *ctx, int32_t i, int32_t thread) {
    progress_of *p = ctx;
    rub_size_trial *trial = &p->job->trial[i];
    if (atomic_load(&p->stop))
        return;
    if (trial->candidate.fits)
        rub_size_measure(p->job, trial);
    int done = atomic_fetch_add(&p->done, 1) + 1;
    if (thread == 0 &&
        !rub_progress_report(p->progress, "sizing", done, (double)p->job->n_trial, NULL))
        atomic_store(&p->stop, true);
}

static void fleet(rub_size_candidate *c, double rate_per_s) {
    if (!(c->rate_per_s > 0))
        return;
    c->replicas = (int32_t)ceil(rate_per_s / c->rate_per_s - 1e-9);
    c->replicas = c->replicas < 1 ? 1 : c->replicas;
    c->accelerators = c->replicas * c->tp;
    c->usd_per_h = c->accelerators * c->accel->usd_per_h;
    c->mw = c->accelerators * c->accel->allin_w / 1e6;
}

/* Those that serve first; cheapest first (unpriced last); then fewer accelerators, then name order.
 */
static int cheapest_first(const void *a, const void *b) {
    const rub_size_candidate *x = a, *y = b;
    if ((x->rate_per_s > 0) != (y->rate_per_s > 0))
        return x->rate_per_s > 0 ? -1 : 1;
    double cx = x->usd_per_h > 0 ? x->usd_per_h : HUGE_VAL,
           cy = y->usd_per_h > 0 ? y->usd_per_h : HUGE_VAL;
    if (cx != cy)
        return cx < cy ? -1 : 1;
    if (x->accelerators != y->accelerators)
        return x->accelerators - y->accelerators;
    if (x->tp != y->tp)
        return x->tp - y->tp;
    return (x->max_batch_tok > y->max_batch_tok) - (x->max_batch_tok < y->max_batch_tok);
}

static void mark_frontier(rub_size_result *r) {
    double fastest = HUGE_VAL;
    for (int32_t i = 0; i < r->n && r->candidate[i].rate_per_s > 0; i++)
        if (r->candidate[i].tpot_p99_s < fastest * (1 - 1e-9)) {
            fastest = r->candidate[i].tpot_p99_s;
            r->candidate[i].frontier = true;
        }
}

static rub_status collect(rub_size_job *job, rub_size_result *out, rub_error *err) {
    rub_size_result r = {.n = (int32_t)job->n_trial,
                         .candidate = RUB_NEW(rub_size_candidate, job->n_trial)};
    size_t n = job->trace->n_req;
    double span = job->trace->arrival_s[n - 1], own = span > 0 ? ((double)n - 1) / span : 1.0;
    double rate = job->def->rate_per_s > 0 ? job->def->rate_per_s : own;
    rub_status status = r.candidate ? RUB_OK : RUB_NO_MEMORY;
    for (size_t i = 0; i < job->n_trial && status == RUB_OK; i++) {
        status = job->trial[i].status;
        r.n_simulation += job->trial[i].n_simulation;
        r.n_request += job->trial[i].n_request;
        fleet(&job->trial[i].candidate, rate);
        r.candidate[i] = job->trial[i].candidate;
    }
    if (status != RUB_OK) {
        rub_size_result_clear(&r);
        return rub_error_set(err, status, "%s", rub_status_text(status));
    }
    qsort(r.candidate, (size_t)r.n, sizeof *r.candidate, cheapest_first);
    mark_frontier(&r);
    *out = r;
    return RUB_OK;
}

rub_status rub_size_search(const rub_model *model, const rub_trace *trace, const rub_size_def *def,
                           const rub_progress *progress, rub_size_result *out, rub_error *err) {
    rub_size_job job = {.model = model, .trace = trace, .def = def};
    if (trace->n_req < 2)
        return rub_error_set(err, RUB_INVALID, "trace has %zu requests, expected 2 or more",
                             trace->n_req);
    rub_status status = rub_size_enumerate(&job, err);
    progress_of p = {.job = &job, .progress = progress};
    if (status == RUB_OK)
        rub_parallel_for((int32_t)job.n_trial, def->n_thread, measure, &p);
    if (status == RUB_OK && atomic_load(&p.stop))
        status = rub_error_set(err, RUB_INTERRUPTED, "stopped");
    if (status == RUB_OK)
        status = collect(&job, out, err);
    free(job.trial);
    return status;
}
