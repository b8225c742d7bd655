/* Simulate: n replicas of a candidate at a rate, stopped as soon as it is lost.
 *
 * Speed is a change of unit: accelerators s times as fast on arrivals at rate r are the accelerators
 * as they are on arrivals at r / s with every limit s times as long; so nothing in the perf model
 * moves. */
#include "size/size.h"

#include "base/array.h"

#include <math.h>
#include <string.h>

#define GAP_S 1e5 /* between requests that are alone: longer than any request takes */

typedef struct watch {
    const rub_size_job *job;
    rub_size_bench *bench;
    double from_s, scale;
    int32_t lost; /* target; -1: none so far */
} watch;

static bool look(void *ctx, size_t n_arrived, double now_s) {
    watch *w = ctx;
    if (!rub_progress_report(w->bench->progress, "sizing", 0.0, 0.0, NULL))
        return false;
    w->lost = rub_size_lost(&w->job->def->targets, w->scale, &w->bench->trace, &w->bench->times,
                            w->from_s, n_arrived, now_s);
    return w->lost < 0;
}

static rub_serve_def settings(const rub_size_job *job, const rub_size_trial *t, int32_t n) {
    rub_serve_def def = rub_serve_default();
    def.policy = job->def->policy;
    def.router = n > 1 ? job->def->router : RUB_ROUTER_ROUND_ROBIN;
    def.n_replica = n;
    def.max_seqs = t->c.max_seqs;
    def.max_batch_tok = t->c.max_batch_tok;
    def.chunk_tok = job->def->chunk_tok > 0 ? job->def->chunk_tok : t->c.max_batch_tok;
    def.kv_blocks = t->memory.kv_blocks;
    def.block_size_tok = t->c.deployment.block_size_tok;
    def.pp = t->c.pp;
    def.seed = job->def->seed;
    return def;
}

rub_status rub_size_simulate(const rub_size_job *job, const rub_size_load *load,
                             const rub_size_trial *trial, rub_size_bench *b, int32_t n,
                             double rate_per_s, rub_size_verdict *out, rub_error *err) {
    size_t n_req = load->unit.n_req;
    int32_t n_sim = n < RUB_SIZE_MOST_SIMULATED ? n : RUB_SIZE_MOST_SIMULATED;
    double speed = job->def->speed_frac, rate = rate_per_s * n_sim / n / speed;
    for (size_t i = 0; i < n_req; i++)
        b->trace.arrival_s[i] = rate_per_s > 0 ? load->unit.arrival_s[i] / rate : (double)i * GAP_S;
    b->trace.n_req = b->times.n_req = n_req;
    double last = b->trace.arrival_s[n_req - 1];
    watch w = {.job = job,
               .bench = b,
               .from_s = RUB_SIZE_WARMUP_FRAC * last,
               .scale = job->def->target_scale * speed,
               .lost = -1};
    rub_serve_def def = settings(job, trial, n_sim);
    def.watch = job->def->exhaustive ? NULL : look;
    def.watch_ctx = &w;
    def.watch_every_req = (int32_t)(n_req / 24 > 64 ? n_req / 24 : 64);
    rub_status status =
        rub_serve_run(&b->trace, &trial->perf, &def, b->progress, &b->times, b->totals, err);
    b->n_simulation++;
    b->n_request += (int64_t)n_req;
    if (status == RUB_INTERRUPTED && w.lost >= 0) {
        b->n_stopped++;
        *out = (rub_size_verdict){.stopped = true, .worst = w.lost, .stress = HUGE_VAL};
        return RUB_OK;
    }
    RUB_TRY(status);
    rub_size_judge(&job->def->targets, job->def->target_scale, b, w.from_s, last, load, speed, out);
    out->busy_frac = b->totals->end_s > 0 ? b->totals->busy_s / b->totals->end_s / n_sim : 0.0;
    return RUB_OK;
}
