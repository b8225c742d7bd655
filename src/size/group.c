/* Group: the best candidate of one accelerator and precision, by branch and bound.
 *
 * Fleets of one accelerator differ in cost and planned power only by their number of accelerators,
 * so the fewest is the best for every objective. Candidates are taken in the order of their
 * throughput bound; each must then hold the rate within the accelerators of the best so far, which
 * one simulation tells. Of those that need as many accelerators, the first few by throughput are
 * compared by stress (value / limit); the rest must need fewer to be looked at. */
#include "size/size.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_TIES 3

double rub_size_price_of(const rub_size_def *def, const rub_accelerator *accel) {
    for (int32_t a = 0; def->usd_per_h && a < def->n_accel; a++)
        if (def->accel[a] == accel && def->usd_per_h[a] >= 0)
            return def->usd_per_h[a];
    return accel->usd_per_h;
}

static void record_fleet(const rub_size_job *job, rub_size_trial *t, int32_t n,
                         const rub_size_verdict *v) {
    rub_size_candidate *c = &t->c;
    rub_power power = rub_power_of(&c->deployment);
    c->fate = RUB_SIZE_SERVES;
    c->replicas = n + job->def->spare;
    c->accelerators = rub_size_accelerators(job->def, t, n);
    c->usd_per_h = c->accelerators * rub_size_price_of(job->def, c->accel);
    c->mw = c->accelerators * c->accel->allin_w / 1e6;
    c->stress = v->stress;
    c->ttft_p50_s = v->ttft.p50;
    c->ttft_p99_s = v->ttft.p99;
    c->tpot_p50_s = v->tpot.p50;
    c->tpot_p99_s = v->tpot.p99;
    c->e2e_p99_s = v->e2e.p99;
    c->busy_frac = v->busy_frac * n / c->replicas;
    c->watts = c->replicas * rub_power_at(&power, c->busy_frac);
    c->rate_per_s = job->rate_per_s / n;
    c->tok_per_s = c->rate_per_s * (job->load.input_tok + job->load.output_tok);
    c->replica_watts = rub_power_at(&power, v->busy_frac);
    c->tok_per_s_per_mw = c->mw > 0 ? c->tok_per_s * n / c->mw : 0.0;
    c->usd_per_mtok = c->usd_per_h / 3600.0 / (c->tok_per_s * n) * 1e6;
}

static void record_rate(const rub_size_job *job, rub_size_trial *t, double rate_per_s,
                        const rub_size_verdict *v) {
    rub_size_candidate *c = &t->c;
    const rub_size_load *load = &job->short_load;
    rub_power power = rub_power_of(&c->deployment);
    c->rate_per_s = rate_per_s;
    c->tok_per_s = rate_per_s * (load->input_tok + load->output_tok);
    c->replica_watts = rub_power_at(&power, v->busy_frac);
    c->tok_per_s_per_mw = power.planned_w > 0 ? c->tok_per_s / power.planned_w * 1e6 : 0.0;
    double usd_per_s = t->gpus * rub_size_price_of(job->def, c->accel) / 3600.0;
    c->usd_per_mtok = c->tok_per_s > 0 ? usd_per_s / c->tok_per_s * 1e6 : 0.0;
    if (job->by_rate)
        c->fate = RUB_SIZE_SERVES;
    if (!job->rates_only)
        return;
    c->stress = v->stress;
    c->ttft_p50_s = v->ttft.p50;
    c->ttft_p99_s = v->ttft.p99;
    c->tpot_p50_s = v->tpot.p50;
    c->tpot_p99_s = v->tpot.p99;
    c->e2e_p99_s = v->e2e.p99;
    c->busy_frac = v->busy_frac;
}

/* The trial's fleet within the best's accelerators, or within fewer once enough others have been
 * found to need as many; *better when it replaces the best. */
static rub_status try_fleet(const rub_size_job *job, rub_size_trial *t, const rub_size_trial *best,
                            rub_size_bench *b, int *ties, bool *better, rub_error *err) {
    rub_size_verdict v;
    int32_t n;
    int32_t most = !best || job->def->exhaustive ? INT32_MAX
                   : *ties > 0                   ? best->c.accelerators
                                                 : best->c.accelerators - 1;
    *better = false;
    RUB_TRY(rub_size_smallest_fleet(job, t, b, most, &n, &v, err));
    if (n == 0)
        return RUB_OK;
    record_fleet(job, t, n, &v);
    *ties -= best && t->c.accelerators == best->c.accelerators;
    *better = !best || t->c.accelerators < best->c.accelerators ||
              (t->c.accelerators == best->c.accelerators && t->c.stress < best->c.stress);
    return RUB_OK;
}

static rub_status try_rate(const rub_size_job *job, rub_size_trial *t, const rub_size_trial *best,
                           rub_size_bench *b, bool *better, rub_error *err) {
    rub_size_verdict v;
    int32_t n = job->def->rate_replicas;
    double rate, per_gpu = best ? best->c.rate_per_s / best->gpus : 0.0;
    double least = job->def->exhaustive ? 0.0 : per_gpu * t->gpus * n * exp2(1.0 / 128.0);
    /* the trial's own, so that its answer does not hang on what was tried before */
    double guess = t->work_s > 0 ? 0.7 * n * (double)job->short_load.unit.n_req / t->work_s : 0.0;
    RUB_TRY(rub_size_largest_rate(job, &job->short_load, t, b, n, least, guess, &rate, &v, err));
    rate /= n;
    *better = rate > 0 && rate / t->gpus > per_gpu;
    if (rate > 0)
        record_rate(job, t, rate, &v);
    else {
        t->c.fate = least > 0 ? RUB_SIZE_BEATEN : RUB_SIZE_MISSES;
        rub_size_explain(job, &t->c, &v,
                         least > 0 ? "at %.3g requests/s " : "even at %.3g requests/s ",
                         (least > 0 ? least : exp2(-8)) / n);
    }
    return RUB_OK;
}

typedef struct queued {
    double promise[2]; /* fewest accelerators, then their time for the whole load */
    int32_t index;
} queued;

/* What the throughput bound says, per accelerator: the order in which candidates are taken. */
static queued promise(const rub_size_job *job, int32_t index) {
    const rub_size_trial *t = &job->trial[index];
    double fewest = rub_size_accelerators(job->def, t, t->c.bound_replicas);
    return (queued){{job->by_rate ? 0.0 : fewest, t->work_s * t->gpus}, index};
}

static int by_promise(const void *a, const void *b) {
    const queued *x = a, *y = b;
    for (int k = 0; k < 2; k++)
        if (x->promise[k] != y->promise[k])
            return x->promise[k] < y->promise[k] ? -1 : 1;
    return x->index - y->index;
}

static void lose(const rub_size_job *job, rub_size_trial *loser, const rub_size_trial *winner) {
    rub_size_candidate *c = &loser->c;
    if (job->by_rate)
        snprintf(c->reason, sizeof c->reason, "%.3g requests/s an accelerator, %.3g with tp %d",
                 c->rate_per_s / loser->gpus, winner->c.rate_per_s / winner->gpus, winner->c.tp);
    else if (c->accelerators == winner->c.accelerators)
        snprintf(c->reason, sizeof c->reason,
                 "as many accelerators, nearer to its limits (%.0f %% of them, against %.0f %%)",
                 100 * c->stress, 100 * winner->c.stress);
    else
        snprintf(c->reason, sizeof c->reason, "%d accelerators, %d are enough with tp %d",
                 c->accelerators, winner->c.accelerators, winner->c.tp);
}

/* Durations do not depend on the engine's limits: neighbours that differ in these share them. */
static rub_status compile(rub_size_trial *t, const rub_size_trial *last, rub_error *err) {
    const rub_size_candidate *a = &t->c, *b = last ? &last->c : a;
    if (last && a->tp == b->tp && a->pp == b->pp && a->ep == b->ep &&
        a->attention_dp == b->attention_dp && !strcmp(a->kv_cache, b->kv_cache)) {
        t->perf = last->perf;
        return RUB_OK;
    }
    RUB_TRY(rub_perf_compile(&t->c.deployment, &t->perf, err));
    t->owns_perf = true;
    return RUB_OK;
}

/* Bounds of the group's candidates, and the order in which they are taken. */
static rub_status line_up(const rub_size_job *job, int32_t group, queued *line, size_t *n,
                          rub_error *err) {
    const rub_size_trial *last = NULL;
    for (size_t i = 0; i < job->n_trial; i++) {
        rub_size_trial *t = &job->trial[i];
        if (t->c.group != group || !t->c.fits)
            continue;
        RUB_TRY(compile(t, last, err));
        last = t;
        t->work_s = rub_size_work_s(job->by_rate ? &job->short_load : &job->load, t);
        t->c.bound_replicas = job->by_rate ? 1 : rub_size_bound_replicas(job, t);
        line[(*n)++] = promise(job, (int32_t)i);
    }
    qsort(line, *n, sizeof *line, by_promise);
    return RUB_OK;
}

static rub_status run(const rub_size_job *job, const queued *line, size_t n, rub_size_bench *b,
                      rub_size_trial **best, rub_error *err) {
    int ties = MOST_TIES;
    for (size_t k = 0; k < n; k++) {
        rub_size_trial *t = &job->trial[line[k].index];
        bool better = false;
        RUB_TRY(job->by_rate ? try_rate(job, t, *best, b, &better, err)
                             : try_fleet(job, t, *best, b, &ties, &better, err));
        if (better)
            *best = t;
    }
    for (size_t k = 0; k < n; k++) {
        rub_size_trial *t = &job->trial[line[k].index];
        if (t != *best && t->c.fate == RUB_SIZE_SERVES)
            lose(job, t, *best);
    }
    return RUB_OK;
}

/* The leader's fleet, when it was chosen by its rate. */
static rub_status fleet_of_leader(const rub_size_job *job, rub_size_trial *t, rub_size_bench *b,
                                  rub_error *err) {
    rub_size_verdict v;
    int32_t n;
    RUB_TRY(rub_size_smallest_fleet(job, t, b, INT32_MAX, &n, &v, err));
    if (n > 0)
        record_fleet(job, t, n, &v);
    t->c.leads = n > 0;
    return RUB_OK;
}

static void forget(const rub_size_job *job, int32_t group) {
    for (size_t i = 0; i < job->n_trial; i++) {
        rub_size_trial *t = &job->trial[i];
        if (t->c.group == group && t->owns_perf)
            rub_perf_clear(&t->perf);
    }
}

rub_status rub_size_group(const rub_size_job *job, int32_t group, rub_size_bench *b,
                          rub_error *err) {
    rub_size_trial *best = NULL;
    size_t n = 0;
    queued *line = RUB_NEW(queued, job->n_trial);
    rub_status status =
        line ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory for candidates");
    if (status == RUB_OK)
        status = line_up(job, group, line, &n, err);
    if (status == RUB_OK)
        status = run(job, line, n, b, &best, err);
    if (status == RUB_OK && best) {
        best->c.leads = true;
        if (job->by_rate && !job->rates_only)
            status = fleet_of_leader(job, best, b, err);
    }
    forget(job, group);
    free(line);
    return status;
}
