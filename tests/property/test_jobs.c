/* The job scheduler against one that goes second by second and looks at everything each time, on
 * thousands of small estates; and scenes worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "rubato/jobs.h"

#define MOST 14

/* ---- the oracle: all times are whole seconds, checkpoints cost nothing to write ---- */

typedef struct oracle {
    int64_t done[MOST], ran[MOST]; /* seconds of work in checkpoints; of the present run */
    int64_t began[MOST];           /* present run; -1: not running */
    bool here[MOST], over[MOST];
    rub_job_result result[MOST];
} oracle;

static int64_t held(const rub_jobs_def *d, int64_t t) {
    int64_t n = 0;
    t = d->period_s > 0 ? t % (int64_t)d->period_s : t;
    for (int32_t k = 0; k < d->n_step; k++)
        n = (int64_t)d->step[k].from_s <= t ? d->step[k].n_accel : n;
    return n;
}

static int64_t restart_of(const oracle *o, const rub_jobs_def *d, size_t j) {
    return o->result[j].n_preempt > 0 ? (int64_t)d->restart_s : 0;
}

/* Seconds that job j would still take if it ran from now on. */
static int64_t to_go(const oracle *o, const rub_job *job, const rub_jobs_def *d, size_t j) {
    return restart_of(o, d, j) + (int64_t)job[j].work_s - o->done[j] - o->ran[j];
}

static int64_t busy(const oracle *o, const rub_job *job, size_t n) {
    int64_t sum = 0;
    for (size_t j = 0; j < n; j++)
        sum += o->began[j] >= 0 ? job[j].n_accel : 0;
    return sum;
}

static bool before(const rub_job *job, size_t a, size_t b) {
    return job[a].priority != job[b].priority ? job[a].priority < job[b].priority : a < b;
}

/* The k-th that waits; n: there is none. */
static size_t waiting(const oracle *o, const rub_job *job, size_t n, size_t k) {
    for (size_t j = 0; j < n; j++) {
        size_t ahead = 0;
        if (!o->here[j] || o->over[j] || o->began[j] >= 0)
            continue;
        for (size_t i = 0; i < n; i++)
            ahead += i != j && o->here[i] && !o->over[i] && o->began[i] < 0 && before(job, i, j);
        if (ahead == k)
            return j;
    }
    return n;
}

static void go(oracle *o, size_t j, int64_t t) {
    o->began[j] = t;
    o->ran[j] = 0;
    if (isnan(o->result[j].start_s))
        o->result[j].start_s = (double)t;
}

static void take_back(oracle *o, const rub_job *job, size_t n, const rub_jobs_def *d,
                      int64_t room) {
    while (busy(o, job, n) > room) {
        size_t w = n;
        for (size_t j = 0; j < n; j++)
            if (o->began[j] >= 0 &&
                (w == n || job[j].priority > job[w].priority ||
                 (job[j].priority == job[w].priority &&
                  (o->began[j] > o->began[w] || (o->began[j] == o->began[w] && j > w)))))
                w = j;
        int64_t net = o->ran[w] - restart_of(o, d, w), every = (int64_t)d->checkpoint_every_s;
        int64_t all = o->done[w] + (net > 0 ? net : 0),
                kept = d->notice ? all : all / every * every;
        kept = kept > o->done[w] ? kept : o->done[w];
        o->result[w].lost_s += (double)(all - kept);
        o->done[w] = kept;
        o->result[w].n_preempt++;
        o->began[w] = -1;
        o->ran[w] = 0;
    }
}

/* When the first that waits could start if nothing else did, by letting the running ones run on. */
static int64_t promise(const oracle *o, const rub_job *job, size_t n, const rub_jobs_def *d,
                       int64_t room, size_t head, int64_t *spare) {
    for (int64_t ahead = 0; ahead < 60; ahead++) { /* all that runs has ended by then */
        int64_t free = room;
        for (size_t j = 0; j < n; j++)
            free -= o->began[j] >= 0 && to_go(o, job, d, j) > ahead ? job[j].n_accel : 0;
        if (free >= job[head].n_accel) {
            *spare = free - job[head].n_accel;
            return ahead;
        }
    }
    *spare = 0;
    return INT64_MAX;
}

static void fill(oracle *o, const rub_job *job, size_t n, const rub_jobs_def *d, int64_t t,
                 int64_t room) {
    size_t head;
    while ((head = waiting(o, job, n, 0)) < n && job[head].n_accel <= room - busy(o, job, n))
        go(o, head, t);
    if (head == n || !d->backfill)
        return;
    int64_t spare, wait = promise(o, job, n, d, room, head, &spare);
    for (size_t k = 1; waiting(o, job, n, k) < n;) {
        size_t j = waiting(o, job, n, k);
        bool in_time = to_go(o, job, d, j) <= wait, fits = job[j].n_accel <= room - busy(o, job, n);
        if (fits && (in_time || job[j].n_accel <= spare)) {
            spare -= in_time ? 0 : job[j].n_accel;
            go(o, j, t);
        } else
            k++;
    }
}

static void tick_by_tick(const rub_job *job, size_t n, const rub_jobs_def *d, oracle *o) {
    size_t left = n;
    memset(o, 0, sizeof *o);
    for (size_t j = 0; j < n; j++) {
        o->began[j] = -1;
        o->result[j].start_s = o->result[j].end_s = NAN;
        int64_t most = 0;
        for (int64_t t = 0; t < 400; t++)
            most = d->n_accel - held(d, t) > most ? d->n_accel - held(d, t) : most;
        o->result[j].rejected = o->over[j] = job[j].n_accel > most;
        left -= o->over[j];
    }
    for (int64_t t = 0; t < 4000 && left > 0; t++) {
        int64_t room = d->n_accel - held(d, t);
        for (size_t j = 0; j < n; j++)
            if (o->began[j] >= 0 && to_go(o, job, d, j) == 0) {
                o->result[j].end_s = (double)t;
                o->over[j] = true;
                o->began[j] = -1;
                left--;
            }
        for (size_t j = 0; j < n; j++)
            o->here[j] = job[j].submit_s <= (double)t;
        take_back(o, job, n, d, room);
        fill(o, job, n, d, t, room);
        for (size_t j = 0; j < n; j++)
            o->ran[j] += o->began[j] >= 0;
    }
}

/* ---- random estates ---- */

static int64_t between(rub_rng *rng, int64_t low, int64_t high) {
    return low + (int64_t)rub_rng_below(rng, (uint64_t)(high - low + 1));
}

static struct { int64_t preempted, waited, rejected, unfinished, restarted; } seen;

static void compare(uint64_t seed) {
    rub_rng rng = rub_rng_make(seed, 90);
    rub_job job[MOST];
    rub_jobs_step step[3];
    size_t n = (size_t)between(&rng, 1, MOST);
    rub_jobs_def d = rub_jobs_default();
    d.n_accel = between(&rng, 2, 12);
    d.n_step = (int32_t)between(&rng, 0, 3);
    d.step = step;
    for (int32_t k = 0; k < d.n_step; k++)
        step[k] = (rub_jobs_step){k ? step[k - 1].from_s + (double)between(&rng, 1, 40) : 0,
                                  between(&rng, 0, d.n_accel)};
    d.period_s = d.n_step > 0 && rub_rng_uniform(&rng) < 0.5
                     ? step[d.n_step - 1].from_s + (double)between(&rng, 1, 40)
                     : 0;
    d.backfill = rub_rng_uniform(&rng) < 0.8;
    d.notice = rub_rng_uniform(&rng) < 0.5;
    d.checkpoint_every_s = (double)between(&rng, 1, 9);
    d.restart_s = (double)between(&rng, 0, 4);
    double t = 0;
    for (size_t j = 0; j < n; j++) {
        t += (double)between(&rng, 0, 8);
        job[j] = (rub_job){.submit_s = t,
                           .work_s = (double)between(&rng, 1, d.period_s > 0 ? 12 : 50),
                           .n_accel = between(&rng, 1, d.n_accel),
                           .stage = (rub_stage)between(&rng, 0, 2),
                           .priority = (int32_t)between(&rng, 0, 1)};
    }
    oracle *o = calloc(1, sizeof *o);
    rub_job_result result[MOST];
    rub_jobs_totals totals;
    rub_error err = {0};
    rub_status status = rub_jobs_run(job, n, &d, result, &totals, &err);
    if (status == RUB_OK) { /* else one is preempted for ever */
        tick_by_tick(job, n, &d, o);
        double sum = totals.idle_s;
        for (size_t j = 0; j < n; j++) {
            const rub_job_result *a = &result[j], *b = &o->result[j];
            if (memcmp(&a->start_s, &b->start_s, sizeof a->start_s) ||
                memcmp(&a->end_s, &b->end_s, sizeof a->end_s) || a->n_preempt != b->n_preempt ||
                a->lost_s != b->lost_s || a->rejected != b->rejected)
                fail_msg("estate %llu, job %zu: %g to %g, %d preemptions; expected %g to %g, %d",
                         (unsigned long long)seed, j, a->start_s, a->end_s, a->n_preempt,
                         b->start_s, b->end_s, b->n_preempt);
            seen.preempted += a->n_preempt;
            seen.waited += a->start_s > job[j].submit_s;
            seen.rejected += a->rejected;
            seen.unfinished += isnan(a->end_s) && !a->rejected;
        }
        for (int k = 0; k < RUB_N_STAGE; k++)
            sum += totals.work_s[k] + totals.overhead_s[k] + totals.lost_s[k];
        assert_true(fabs(sum - totals.estate_s) < 1e-6 && totals.idle_s > -1e-6);
    } else {
        assert_int_equal(status, RUB_INVALID);
        seen.restarted++;
    }
    free(o);
}

static void as_second_by_second(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++)
        compare(seed);
    print_message(
        "# %lld preemptions, %lld waited, %lld rejected, %lld unfinished, %lld for ever\n",
        (long long)seen.preempted, (long long)seen.waited, (long long)seen.rejected,
        (long long)seen.unfinished, (long long)seen.restarted);
    assert_true(seen.preempted > 1000 && seen.waited > 1000 && seen.rejected > 300);
}

/* ---- by hand ---- */

/* 4 accelerators. Job 0 takes 3 for 10 s; job 1 wants 4 and is promised them at 10. Job 2 (1 for 12 s)
 * would make it wait, job 3 (1 for 8 s) ends by then: it goes at once, job 2 after job 1. */
static void easy_backfill(void **state) {
    (void)state;
    rub_job job[] = {{0, 10, 3, RUB_STAGE_PRETRAINING, 0},
                     {0, 5, 4, RUB_STAGE_POSTTRAINING, 0},
                     {0, 12, 1, RUB_STAGE_EVALUATION, 0},
                     {1, 8, 1, RUB_STAGE_EVALUATION, 0}};
    rub_job_result r[4];
    rub_jobs_totals t;
    rub_jobs_def d = rub_jobs_default();
    d.n_accel = 4;
    assert_int_equal(rub_jobs_run(job, 4, &d, r, &t, NULL), RUB_OK);
    assert_true(r[0].end_s == 10 && r[1].start_s == 10 && r[3].start_s == 1 && r[2].start_s == 15);
    /* 30 + 20 + 12 + 8 of 27 s times 4 */
    assert_true(t.end_s == 27 && t.estate_s == 108 && t.idle_s == 38);
    d.backfill = false;
    assert_int_equal(rub_jobs_run(job, 4, &d, r, &t, NULL), RUB_OK);
    assert_true(r[3].start_s == 15 && r[2].start_s == 15);
}

/* 4 accelerators, inference holds 1 at night (0 to 10) and 3 by day (10 to 20), again and again. Job 0
 * takes 3 for 15 s, with a checkpoint every 4 s of work and 1 s to restart: it runs to 10, has 8 s in
 * checkpoints, loses 2, runs again from 20, the 7 s that are left after 1 s: to 28. Job 1 (1, 5 s) waits
 * from 2 to 10, when job 0 leaves. With notice nothing is lost: 5 s after 1 s, to 26. */
static void inference_takes_back(void **state) {
    (void)state;
    rub_jobs_step step[] = {{0, 1}, {10, 3}};
    rub_job job[] = {{0, 15, 3, RUB_STAGE_PRETRAINING, 0}, {2, 5, 1, RUB_STAGE_EVALUATION, 0}};
    rub_job_result r[2];
    rub_jobs_totals t;
    rub_jobs_def d = rub_jobs_default();
    d.n_accel = 4;
    d.step = step;
    d.n_step = 2;
    d.period_s = 20;
    d.checkpoint_every_s = 4;
    d.restart_s = 1;
    assert_int_equal(rub_jobs_run(job, 2, &d, r, &t, NULL), RUB_OK);
    assert_true(r[0].end_s == 28 && r[0].lost_s == 2 && r[0].n_preempt == 1);
    assert_true(r[1].start_s == 10 && r[1].end_s == 15);
    /* inference: 10 + 30 + 8; pre-training 45 of work, 3 of restart, 6 lost; evaluation 5; 112 in all */
    assert_true(t.work_s[RUB_STAGE_INFERENCE] == 48 && t.work_s[RUB_STAGE_PRETRAINING] == 45);
    assert_true(t.overhead_s[RUB_STAGE_PRETRAINING] == 3 && t.lost_s[RUB_STAGE_PRETRAINING] == 6);
    assert_true(t.estate_s == 112 && t.idle_s == 5);
    d.notice = true;
    assert_int_equal(rub_jobs_run(job, 2, &d, r, &t, NULL), RUB_OK);
    assert_true(r[0].end_s == 26 && r[0].lost_s == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_second_by_second),
                                       cmocka_unit_test(easy_backfill),
                                       cmocka_unit_test(inference_takes_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
