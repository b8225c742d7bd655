/* The job-level scheduler: events are submissions, ends, and steps of inference's plan.
 *
 * Backfill is EASY (Lifka 1995; Feitelson and Weil 1998): the first job that waits has a reservation at
 * the earliest time at which running jobs will have freed enough; others may start before it if they
 * will have ended by then, or fit beside it. Run times are known. The reservation does not look at
 * steps to come. */
#include "rubato/jobs.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PREEMPTIONS 100000

typedef struct running {
    double end_s;
    size_t job;
} running;

typedef struct state {
    const rub_job *job;
    const rub_jobs_def *def;
    rub_job_result *result;
    rub_jobs_totals *totals;
    size_t n, next; /* next: to be submitted */
    size_t *queue;  /* by priority, then submission (n_queue) */
    size_t n_queue;
    running *run; /* by end (n_run) */
    size_t n_run;
    double *done_s;  /* work that stands in checkpoints (n) */
    double *start_s; /* of the present run (n) */
    int64_t capacity, used;
    double now_s;
} state;

const char *rub_stage_name(rub_stage stage) {
    static const char *const name[] = {"pre-training", "post-training", "evaluation", "inference"};
    return name[stage];
}

rub_jobs_def rub_jobs_default(void) {
    return (rub_jobs_def){.n_accel = 8,
                          .backfill = true,
                          .backfill_depth = 1000,
                          .checkpoint_every_s = 1800.0,
                          .restart_s = 300.0};
}

/* ---- the plan ---- */

/* Start of the period. Steps are always compared as base + from_s, so that none is missed. */
static double base_of(const rub_jobs_def *d, double at_s) {
    double base = d->period_s > 0 ? floor(at_s / d->period_s) * d->period_s : 0.0;
    return base > at_s ? base - d->period_s : base;
}

static int64_t inference_at(const rub_jobs_def *d, double at_s) {
    int64_t n = 0;
    double base = base_of(d, at_s);
    for (int32_t k = 0; k < d->n_step && base + d->step[k].from_s <= at_s; k++)
        n = d->step[k].n_accel;
    return n;
}

/* The next time at which the plan steps. */
static double next_step(const rub_jobs_def *d, double at_s) {
    double base = base_of(d, at_s);
    for (int32_t k = 0; k < d->n_step; k++)
        if (base + d->step[k].from_s > at_s)
            return base + d->step[k].from_s;
    return d->period_s > 0 && d->n_step > 0 ? base + d->period_s : HUGE_VAL;
}

/* ---- runs ---- */

static double stretch(const rub_jobs_def *d) {
    return 1.0 + d->checkpoint_s / d->checkpoint_every_s;
}

static double overhead(const state *s, size_t j) {
    return s->result[j].n_preempt > 0 ? s->def->restart_s : 0.0;
}

/* How long job j would run from now on. */
static double wall(const state *s, size_t j) {
    return overhead(s, j) + (s->job[j].work_s - s->done_s[j]) * stretch(s->def);
}

static void start(state *s, size_t at) {
    size_t j = s->queue[at], k = s->n_run++;
    double end_s = s->now_s + wall(s, j);
    memmove(s->queue + at, s->queue + at + 1, (s->n_queue - at - 1) * sizeof *s->queue);
    s->n_queue--;
    for (; k > 0 && s->run[k - 1].end_s > end_s; k--)
        s->run[k] = s->run[k - 1];
    s->run[k] = (running){end_s, j};
    s->start_s[j] = s->now_s;
    if (isnan(s->result[j].start_s))
        s->result[j].start_s = s->now_s;
    s->used += s->job[j].n_accel;
}

static void leave(state *s, size_t k) {
    s->used -= s->job[s->run[k].job].n_accel;
    memmove(s->run + k, s->run + k + 1, (s->n_run - k - 1) * sizeof *s->run);
    s->n_run--;
}

/* What a run that ends at `at_s` leaves behind: work until `done_s`, the rest overhead and loss. */
static void book(state *s, size_t j, double at_s, double done_s) {
    double gang = (double)s->job[j].n_accel, length = at_s - s->start_s[j];
    double ran = fmax(length - overhead(s, j), 0.0) / stretch(s->def);
    double kept = done_s - s->done_s[j], lost = ran - kept;
    lost = lost > 1e-9 * length ? lost : 0.0; /* else rounding */
    rub_stage stage = s->job[j].stage;
    s->totals->work_s[stage] += gang * kept;
    s->totals->lost_s[stage] += gang * lost;
    s->totals->overhead_s[stage] += gang * (length - kept - lost);
    s->result[j].lost_s += lost;
    s->done_s[j] = done_s;
}

static void finish(state *s) {
    size_t j = s->run[0].job;
    book(s, j, s->now_s, s->job[j].work_s);
    s->result[j].end_s = s->totals->end_s = s->now_s;
    leave(s, 0);
}

static void enqueue(state *s, size_t j) {
    size_t k = s->n_queue++;
    for (; k > 0; k--) {
        size_t other = s->queue[k - 1];
        if (s->job[other].priority < s->job[j].priority ||
            (s->job[other].priority == s->job[j].priority && other < j))
            break;
        s->queue[k] = other;
    }
    s->queue[k] = j;
}

/* ---- preemption ---- */

/* The least urgent; of those the one that started last; of those the last submitted. */
static size_t victim(const state *s) {
    size_t worst = 0;
    for (size_t k = 1; k < s->n_run; k++) {
        size_t a = s->run[k].job, b = s->run[worst].job;
        int32_t x = s->job[a].priority, y = s->job[b].priority;
        double u = s->start_s[a], v = s->start_s[b];
        if (x > y || (x == y && (u > v || (u == v && a > b))))
            worst = k;
    }
    return worst;
}

static rub_status preempt(state *s, rub_error *err) {
    size_t k = victim(s), j = s->run[k].job;
    double every = s->def->checkpoint_every_s;
    double ran = fmax(s->now_s - s->start_s[j] - overhead(s, j), 0.0) / stretch(s->def);
    double done = s->done_s[j] + ran;
    double saved = s->def->notice ? done : fmax(floor(done / every + 1e-9) * every, s->done_s[j]);
    book(s, j, s->now_s, fmin(saved, done));
    s->result[j].n_preempt++;
    s->totals->n_preempt++;
    leave(s, k);
    enqueue(s, j);
    if (s->result[j].n_preempt > MOST_PREEMPTIONS)
        return rub_error_set(err, RUB_INVALID,
                             "job %zu was preempted %d times and never ends: expected checkpoints "
                             "more often than inference takes accelerators",
                             j + 1, MOST_PREEMPTIONS);
    return RUB_OK;
}

/* ---- starting ---- */

/* When the first job of the queue can start, and how many are to spare then. */
static double reservation(const state *s, int64_t *spare) {
    int64_t need = s->job[s->queue[0]].n_accel, free = s->capacity - s->used;
    for (size_t k = 0; k < s->n_run; k++) {
        free += s->job[s->run[k].job].n_accel;
        /* all that end at the same time free theirs together */
        bool more = k + 1 < s->n_run && s->run[k + 1].end_s == s->run[k].end_s;
        if (free >= need && !more) {
            *spare = free - need;
            return s->run[k].end_s;
        }
    }
    *spare = 0; /* it waits for inference to leave some */
    return HUGE_VAL;
}

static void backfill(state *s) {
    int64_t spare = 0;
    double shadow_s = reservation(s, &spare);
    for (size_t at = 1, looked = 0; at < s->n_queue && (int32_t)looked < s->def->backfill_depth;
         looked++) {
        size_t j = s->queue[at];
        int64_t need = s->job[j].n_accel;
        bool in_time = s->now_s + wall(s, j) <= shadow_s;
        if (need > s->capacity - s->used || (!in_time && need > spare)) {
            at++;
            continue;
        }
        spare -= in_time ? 0 : need;
        start(s, at);
    }
}

static void schedule(state *s) {
    while (s->n_queue > 0 && s->job[s->queue[0]].n_accel <= s->capacity - s->used)
        start(s, 0);
    if (s->n_queue > 1 && s->def->backfill && s->capacity > s->used)
        backfill(s);
}

/* ---- the clock ---- */

static rub_status run(state *s, rub_error *err) {
    double before_s = 0.0;
    while (s->next < s->n || s->n_queue > 0 || s->n_run > 0) {
        double next_s = s->next < s->n ? s->job[s->next].submit_s : HUGE_VAL;
        next_s = s->n_run > 0 ? fmin(next_s, s->run[0].end_s) : next_s;
        next_s = fmin(next_s, next_step(s->def, s->now_s));
        if (isinf(next_s))
            break; /* inference leaves too few for what waits, for ever */
        s->totals->work_s[RUB_STAGE_INFERENCE] +=
            (next_s - before_s) * (double)(s->def->n_accel - s->capacity);
        s->now_s = before_s = next_s;
        while (s->n_run > 0 && s->run[0].end_s <= s->now_s)
            finish(s);
        for (; s->next < s->n && s->job[s->next].submit_s <= s->now_s; s->next++)
            if (!s->result[s->next].rejected)
                enqueue(s, s->next);
        s->capacity = s->def->n_accel - inference_at(s->def, s->now_s);
        while (s->used > s->capacity)
            RUB_TRY(preempt(s, err));
        schedule(s);
    }
    s->totals->estate_s = before_s * (double)s->def->n_accel;
    return RUB_OK;
}

static rub_status check(const rub_job *job, size_t n, const rub_jobs_def *d, rub_error *err) {
    if (d->n_accel < 1 || !(d->checkpoint_every_s > 0) || !(d->checkpoint_s >= 0) ||
        !(d->restart_s >= 0) || !(d->period_s >= 0) || d->backfill_depth < 0 ||
        !isfinite(d->checkpoint_every_s + d->checkpoint_s + d->restart_s + d->period_s))
        return rub_error_set(err, RUB_INVALID,
                             "estate: expected an accelerator or more, a time between checkpoints "
                             "above 0, and other times of 0 or more");
    for (int32_t k = 0; k < d->n_step; k++)
        if (d->step[k].n_accel < 0 || d->step[k].n_accel > d->n_accel ||
            (k == 0 ? d->step[0].from_s != 0 : !(d->step[k].from_s > d->step[k - 1].from_s)) ||
            (d->period_s > 0 && d->step[k].from_s >= d->period_s))
            return rub_error_set(
                err, RUB_INVALID,
                "inference's step %d: %lld accelerators from %g s on, expected 0 to "
                "%lld, times that rise from 0 and stay below the period",
                k + 1, (long long)d->step[k].n_accel, d->step[k].from_s, (long long)d->n_accel);
    for (size_t j = 0; j < n; j++)
        if (!(job[j].submit_s >= 0) || !(job[j].work_s > 0) || !isfinite(job[j].work_s) ||
            job[j].n_accel < 1 || job[j].stage >= RUB_STAGE_INFERENCE ||
            !isfinite(job[j].submit_s) || (j > 0 && job[j].submit_s < job[j - 1].submit_s))
            return rub_error_set(
                err, RUB_INVALID,
                "job %zu: expected times of 0 or more in order of submission, work "
                "and an accelerator or more",
                j + 1);
    return RUB_OK;
}

static void sum_up(state *s) {
    rub_jobs_totals *t = s->totals;
    int64_t n_started[RUB_N_STAGE] = {0};
    t->idle_s = t->estate_s;
    for (int k = 0; k < RUB_N_STAGE; k++)
        t->idle_s -= t->work_s[k] + t->overhead_s[k] + t->lost_s[k];
    for (size_t j = 0; j < s->n; j++) {
        rub_stage stage = s->job[j].stage;
        double wait_s = s->result[j].start_s - s->job[j].submit_s;
        t->n_job[stage]++;
        t->n_rejected += s->result[j].rejected;
        t->n_unfinished += !s->result[j].rejected && isnan(s->result[j].end_s);
        if (isnan(wait_s))
            continue;
        n_started[stage]++;
        t->wait_s[stage] += wait_s;
        t->wait_most_s[stage] = fmax(t->wait_most_s[stage], wait_s);
    }
    for (int k = 0; k < RUB_N_STAGE; k++)
        t->wait_s[k] = n_started[k] > 0 ? t->wait_s[k] / (double)n_started[k] : 0.0;
}

static void state_clear(state *s) {
    free(s->queue);
    free(s->run);
    free(s->done_s);
    free(s->start_s);
}

rub_status rub_jobs_run(const rub_job *job, size_t n, const rub_jobs_def *def,
                        rub_job_result *result, rub_jobs_totals *totals, rub_error *err) {
    RUB_TRY(check(job, n, def, err));
    int64_t least = def->n_step > 0 ? def->step[0].n_accel : 0;
    for (int32_t k = 1; k < def->n_step; k++)
        least = def->step[k].n_accel < least ? def->step[k].n_accel : least;
    *totals = (rub_jobs_totals){0};
    for (size_t j = 0; j < n; j++)
        result[j] = (rub_job_result){
            .start_s = NAN, .end_s = NAN, .rejected = job[j].n_accel > def->n_accel - least};
    state s = {.job = job,
               .def = def,
               .result = result,
               .totals = totals,
               .n = n,
               .queue = RUB_NEW(size_t, n + 1),
               .run = RUB_NEW(running, n + 1),
               .done_s = RUB_NEW(double, n + 1),
               .start_s = RUB_NEW(double, n + 1),
               .capacity = def->n_accel - inference_at(def, 0.0)};
    rub_status status = s.queue && s.run && s.done_s && s.start_s
                            ? run(&s, err)
                            : rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu jobs", n);
    if (status == RUB_OK)
        sum_up(&s);
    state_clear(&s);
    return status;
}
