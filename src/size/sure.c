/* Sure: what the answer would have been with other speeds, other requests, other prices.
 *
 * Each draw takes a speed from the measured errors of the perf model, a resampled trace, and a price;
 * the smallest fleet is found for it as for the answer itself. Speeds and prices are stratified (one
 * in each of n_draw equal shares, in random order), which leaves less to chance than plain draws. */
#include "size/size.h"

#include "base/array.h"
#include "base/rng.h"
#include "base/tasks.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_SPEED 1 /* random streams; traces take those from STREAM_TRACE on */
#define STREAM_PRICE 2
#define STREAM_TRACE 16

/* One fleet that was found. */
typedef struct draw {
    int32_t replicas; /* that work; 0: none serves */
    int32_t accelerators;
    double rate_per_s; /* largest that the proposed fleet holds */
    int64_t n_simulation;
    rub_status status;
    rub_error error;
} draw;

typedef struct study {
    const rub_size_def *def;
    const rub_size_sure_def *sure;
    const rub_progress *progress;
    rub_trace trace;   /* its judged part, borrowed */
    double own_factor; /* the whole trace's rate over that of the judged part */
    rub_size_trial trial;
    int32_t working;                   /* replicas proposed, without spares */
    double *speed_share, *price_share; /* (n_draw) */
    draw *draw;                        /* (causes that are simulated * n_draw) */
    double *value;                     /* scratch (n_draw) */
    atomic_int done;
    atomic_bool stop;
    atomic_flag telling;
    int32_t n_task;
} study;

static bool tell(void *ctx, const char *what, double done, double total, const char *extra) {
    study *s = ctx;
    (void)what, (void)done, (void)total, (void)extra;
    if (!atomic_flag_test_and_set(&s->telling)) {
        if (!rub_progress_report(s->progress, "how sure", atomic_load(&s->done), s->n_task, NULL))
            atomic_store(&s->stop, true);
        atomic_flag_clear(&s->telling);
    }
    return !atomic_load(&s->stop);
}

/* The middle of each of n equal shares, in random order. */
static void stratify(double *share, int32_t n, uint64_t seed, uint64_t stream) {
    rub_rng rng = rub_rng_make(seed, stream);
    for (int32_t k = 0; k < n; k++)
        share[k] = (k + 0.5) / n;
    for (int32_t k = n - 1; k > 0; k--) {
        int32_t other = (int32_t)rub_rng_below(&rng, (uint64_t)k + 1);
        double swap = share[k];
        share[k] = share[other];
        share[other] = swap;
    }
}

/* ---- one draw -------------------------------------------------------------------------------- */

static rub_status hunt(const study *s, const rub_size_job *job, rub_size_bench *b, bool rates,
                       draw *d) {
    rub_size_trial t = s->trial;
    rub_size_verdict v;
    t.work_s = rub_size_work_s(&job->load, &t);
    t.c.bound_replicas = rub_size_bound_replicas(job, &t);
    RUB_TRY(rub_size_smallest_fleet(job, &t, b, INT32_MAX, &d->replicas, &v, &d->error));
    if (d->replicas > 0)
        d->accelerators = rub_size_accelerators(job->def, &t, d->replicas);
    if (!rates)
        return RUB_OK;
    double guess = d->replicas > 0 ? job->rate_per_s * s->working / d->replicas : 0.0;
    return rub_size_largest_rate(job, &job->load, &t, b, s->working, 0.0, guess, &d->rate_per_s, &v,
                                 &d->error);
}

static rub_status simulate(const study *s, const rub_trace *trace, const rub_size_def *def,
                           const rub_progress *progress, bool rates, draw *d) {
    rub_size_job job = {.def = def};
    rub_size_bench b = {0};
    double rate = def->rate_per_s > 0 ? def->rate_per_s : s->own_factor * rub_size_own_rate(trace);
    job.rate_per_s = rate * (1.0 + def->headroom_frac);
    RUB_TRY(rub_size_load_init(&job.load, trace, def, 0, &d->error));
    rub_status status = rub_size_bench_init(&b, &job.load, &d->error);
    b.progress = progress;
    if (status == RUB_OK)
        status = hunt(s, &job, &b, rates, d);
    d->n_simulation = b.n_simulation;
    rub_size_bench_clear(&b);
    rub_size_load_clear(&job.load);
    return status;
}

static void work(void *ctx, int32_t i, int32_t thread) {
    study *s = ctx;
    int32_t cause = i / s->sure->n_draw, k = i % s->sure->n_draw;
    rub_progress progress = {.report = tell, .ctx = s};
    rub_size_def def = *s->def;
    draw *d = &s->draw[i];
    (void)thread;
    if (atomic_load(&s->stop))
        return;
    def.exhaustive = false;
    if (cause != RUB_SIZE_BY_TRACE)
        def.speed_frac *= rub_size_spread_at(s->sure->speed, s->speed_share[k]);
    rub_trace other = {0};
    bool resampled = cause != RUB_SIZE_BY_SPEED;
    if (resampled)
        d->status = rub_size_resample(&s->trace, s->sure->n_block, def.seed,
                                      STREAM_TRACE + (uint64_t)k, &other, &d->error);
    if (d->status == RUB_OK)
        d->status = simulate(s, resampled ? &other : &s->trace, &def, &progress,
                             s->sure->rates && cause == RUB_SIZE_BY_ALL, d);
    rub_trace_clear(&other);
    atomic_fetch_add(&s->done, 1);
    tell(s, NULL, 0.0, 0.0, NULL);
}

/* ---- bands ----------------------------------------------------------------------------------- */

static int by_value(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* Smallest of n sorted values with at least a share at or under it. */
static double at_share(const double *value, int32_t n, double share) {
    int32_t k = (int32_t)ceil(share * n - 1e-9) - 1;
    return value[k < 0 ? 0 : k < n ? k : n - 1];
}

static rub_size_band band(study *s) {
    int32_t n = s->sure->n_draw;
    qsort(s->value, (size_t)n, sizeof *s->value, by_value);
    return (rub_size_band){at_share(s->value, n, 0.5 * (1.0 - s->sure->level)),
                           at_share(s->value, n, 0.5),
                           at_share(s->value, n, 0.5 * (1.0 + s->sure->level))};
}

static rub_size_band replicas_by(study *s, int32_t cause) {
    const draw *d = &s->draw[cause * s->sure->n_draw];
    for (int32_t k = 0; k < s->sure->n_draw; k++)
        s->value[k] = d[k].replicas > 0 ? d[k].replicas + s->def->spare : HUGE_VAL;
    return band(s);
}

/* Accelerators, or what a factor makes of them. */
static rub_size_band accelerators_by(study *s, int32_t cause, double factor, bool priced) {
    const draw *d = &s->draw[cause * s->sure->n_draw];
    for (int32_t k = 0; k < s->sure->n_draw; k++) {
        double price = priced ? rub_size_spread_at(s->sure->price, s->price_share[k]) : 1.0;
        s->value[k] = d[k].replicas > 0 ? d[k].accelerators * factor * price : HUGE_VAL;
    }
    return band(s);
}

static void summarise_causes(study *s, const rub_size_candidate *c, double usd,
                             rub_size_sure *out) {
    for (int32_t cause = RUB_SIZE_BY_SPEED; cause <= RUB_SIZE_BY_TRACE; cause++) {
        out->replicas[cause] = replicas_by(s, cause);
        out->usd_per_h[cause] = accelerators_by(s, cause, usd, false);
    }
    out->replicas[RUB_SIZE_BY_PRICE] = (rub_size_band){c->replicas, c->replicas, c->replicas};
    for (int32_t k = 0; k < s->sure->n_draw; k++)
        s->value[k] = c->accelerators * usd * rub_size_spread_at(s->sure->price, s->price_share[k]);
    out->usd_per_h[RUB_SIZE_BY_PRICE] = band(s);
}

static void summarise(study *s, const rub_size_candidate *c, rub_size_sure *out) {
    double usd = rub_size_price_of(s->def, c->accel);
    int32_t n = s->sure->n_draw;
    *out = (rub_size_sure){.n_draw = n};
    for (int32_t k = 0; k < n; k++) {
        out->n_none += s->draw[k].replicas == 0;
        out->holds_frac +=
            s->draw[k].replicas > 0 && s->draw[k].replicas <= s->working ? 1.0 / n : 0.0;
    }
    for (int32_t i = 0; i < s->n_task; i++)
        out->n_simulation += s->draw[i].n_simulation;
    out->replicas[RUB_SIZE_BY_ALL] = replicas_by(s, RUB_SIZE_BY_ALL);
    out->enough = at_share(s->value, n, s->sure->level);
    out->accelerators = accelerators_by(s, RUB_SIZE_BY_ALL, 1.0, false);
    out->mw = accelerators_by(s, RUB_SIZE_BY_ALL, c->accel->allin_w / 1e6, false);
    out->usd_per_h[RUB_SIZE_BY_ALL] = accelerators_by(s, RUB_SIZE_BY_ALL, usd, true);
    if (s->sure->causes)
        summarise_causes(s, c, usd, out);
    for (int32_t k = 0; k < n && s->sure->rates; k++)
        s->value[k] = s->draw[k].rate_per_s;
    if (s->sure->rates)
        out->rate_per_s = band(s);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static rub_status check(const rub_size_sure_def *d, const rub_size_candidate *c, rub_error *err) {
    if (c->fate != RUB_SIZE_SERVES || c->replicas < 1)
        return rub_error_set(err, RUB_INVALID, "how sure: the candidate has no fleet");
    if (d->n_draw < 1 || d->n_draw > 100000 || d->n_block < 1 || !(d->level > 0 && d->level < 1))
        return rub_error_set(err, RUB_INVALID,
                             "how sure: found %d draws, %d blocks, level %g, expected 1 or more "
                             "and a level between 0 and 1",
                             d->n_draw, d->n_block, d->level);
    return RUB_OK;
}

static rub_status run(study *s, rub_error *err) {
    int32_t n = s->sure->n_draw;
    s->n_task = n * (s->sure->causes ? 3 : 1); /* all, speed, trace: in the causes' order */
    s->draw = RUB_NEW(draw, s->n_task);
    s->value = RUB_NEW(double, n);
    s->speed_share = RUB_NEW(double, n);
    s->price_share = RUB_NEW(double, n);
    if (!s->draw || !s->value || !s->speed_share || !s->price_share)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %d draws", n);
    stratify(s->speed_share, n, s->def->seed, STREAM_SPEED);
    stratify(s->price_share, n, s->def->seed, STREAM_PRICE);
    rub_parallel_for(s->n_task, s->def->n_thread, work, s);
    if (atomic_load(&s->stop))
        return rub_error_set(err, RUB_INTERRUPTED, "stopped");
    for (int32_t i = 0; i < s->n_task; i++)
        if (s->draw[i].status != RUB_OK) {
            if (err)
                *err = s->draw[i].error;
            return s->draw[i].status;
        }
    return RUB_OK;
}

rub_status rub_size_sure_trial(const rub_size_trial *trial, const rub_trace *trace,
                               const rub_size_def *def, const rub_size_sure_def *sure,
                               const rub_progress *progress, rub_size_sure *out, rub_error *err) {
    study s = {.def = def,
               .sure = sure,
               .progress = progress,
               .trace = *trace,
               .trial = *trial,
               .working = trial->c.replicas - def->spare,
               .telling = ATOMIC_FLAG_INIT};
    RUB_TRY(check(sure, &trial->c, err));
    s.trace.n_req = rub_size_n_judged(trace, def);
    s.own_factor = rub_size_own_rate(trace) / rub_size_own_rate(&s.trace);
    rub_status status = run(&s, err);
    if (status == RUB_OK)
        summarise(&s, &trial->c, out);
    free(s.draw);
    free(s.value);
    free(s.speed_share);
    free(s.price_share);
    return status;
}

rub_status rub_size_sure_of(const rub_trace *trace, const rub_size_def *def,
                            const rub_size_candidate *candidate, const rub_size_sure_def *sure,
                            const rub_progress *progress, rub_size_sure *out, rub_error *err) {
    rub_size_trial t = {.c = *candidate,
                        .gpus = candidate->tp * candidate->pp * candidate->attention_dp};
    RUB_TRY(check(sure, candidate, err));
    RUB_TRY(rub_memory_plan(&candidate->deployment, &t.memory, err));
    RUB_TRY(rub_perf_compile(&candidate->deployment, &t.perf, err));
    rub_status status = rub_size_sure_trial(&t, trace, def, sure, progress, out, err);
    rub_perf_clear(&t.perf);
    return status;
}
