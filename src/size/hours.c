/* Hours: the smallest fleet at each rate of a day or a week. */
#include "size/size.h"

#include "base/array.h"
#include "base/tasks.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MOST_LEVELS 48

/* One rate that is simulated. */
typedef struct level {
    double rate_per_s;
    rub_size_hour hour;
    rub_status status;
    rub_error error;
} level;

typedef struct crew {
    const rub_size_trial *trial;
    const rub_power *power; /* of a replica */
    const rub_size_def *def;
    const rub_size_load *load;
    const rub_progress *progress;
    level *level;
    int32_t n_level;
    atomic_int done;
    atomic_bool stop;
    atomic_flag telling;
} crew;

static bool tell(void *ctx, const char *what, double done, double total, const char *extra) {
    crew *w = ctx;
    (void)what, (void)done, (void)total, (void)extra;
    if (!atomic_flag_test_and_set(&w->telling)) {
        if (!rub_progress_report(w->progress, "hours", atomic_load(&w->done), w->n_level, NULL))
            atomic_store(&w->stop, true);
        atomic_flag_clear(&w->telling);
    }
    return !atomic_load(&w->stop);
}

static int by_value(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* The distinct rates, or levels in equal ratios up to the largest; how many. */
static int32_t levels_of(double *sorted, size_t n, double out[MOST_LEVELS]) {
    int32_t k = 0;
    qsort(sorted, n, sizeof *sorted, by_value);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || sorted[i] != sorted[i - 1]) {
            if (k < MOST_LEVELS)
                out[k] = sorted[i];
            k++;
        }
    if (k <= MOST_LEVELS)
        return k;
    double step = log(sorted[n - 1] / sorted[0]) / (MOST_LEVELS - 1);
    for (k = 0; k < MOST_LEVELS - 1; k++)
        out[k] = sorted[0] * exp(step * k);
    out[MOST_LEVELS - 1] = sorted[n - 1];
    return MOST_LEVELS;
}

static rub_status size_level(const crew *w, rub_size_bench *b, level *l) {
    rub_size_job job = {.def = w->def, .load = *w->load};
    rub_size_trial t = *w->trial;
    rub_size_verdict v;
    int32_t n;
    job.rate_per_s = l->rate_per_s * (1.0 + w->def->headroom_frac);
    t.work_s = rub_size_work_s(&job.load, &t);
    t.c.bound_replicas = rub_size_bound_replicas(&job, &t);
    RUB_TRY(rub_size_smallest_fleet(&job, &t, b, INT32_MAX, &n, &v, &l->error));
    l->hour = (rub_size_hour){.rate_per_s = l->rate_per_s};
    if (n == 0)
        return RUB_OK;
    l->hour.replicas = n + w->def->spare;
    l->hour.busy_frac = v.busy_frac;
    l->hour.watts = l->hour.replicas * rub_power_at(w->power, v.busy_frac * n / l->hour.replicas);
    return RUB_OK;
}

static void work(void *ctx, int32_t i, int32_t thread) {
    crew *w = ctx;
    level *l = &w->level[i];
    rub_progress progress = {.report = tell, .ctx = w};
    rub_size_bench b = {0};
    (void)thread;
    if (atomic_load(&w->stop))
        return;
    l->status = rub_size_bench_init(&b, w->load, &l->error);
    b.progress = &progress;
    if (l->status == RUB_OK)
        l->status = size_level(w, &b, l);
    rub_size_bench_clear(&b);
    atomic_fetch_add(&w->done, 1);
    tell(w, NULL, 0.0, 0.0, NULL);
}

static rub_status run(crew *w, rub_error *err) {
    rub_parallel_for(w->n_level, w->def->n_thread, work, w);
    if (atomic_load(&w->stop))
        return rub_error_set(err, RUB_INTERRUPTED, "stopped");
    for (int32_t k = 0; k < w->n_level; k++)
        if (w->level[k].status != RUB_OK) {
            if (err)
                *err = w->level[k].error;
            return w->level[k].status;
        }
    return RUB_OK;
}

static void hand_out(const crew *w, const double *rate_per_s, size_t n, rub_size_hour *out) {
    for (size_t h = 0; h < n; h++) {
        int32_t k = 0;
        while (k + 1 < w->n_level && w->level[k].rate_per_s < rate_per_s[h] * (1 - 1e-12))
            k++;
        out[h] = w->level[k].hour;
        out[h].rate_per_s = rate_per_s[h];
    }
}

static rub_status solve(crew *w, const double *rate_per_s, size_t n, rub_size_hour *out,
                        rub_error *err) {
    double rate[MOST_LEVELS], *sorted = RUB_NEW(double, n);
    w->level = RUB_NEW(level, MOST_LEVELS);
    rub_status status = sorted && w->level
                            ? RUB_OK
                            : rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu hours", n);
    if (status == RUB_OK) {
        memcpy(sorted, rate_per_s, n * sizeof *sorted);
        w->n_level = levels_of(sorted, n, rate);
        for (int32_t k = 0; k < w->n_level; k++)
            w->level[k].rate_per_s = rate[k];
        status = run(w, err);
    }
    if (status == RUB_OK)
        hand_out(w, rate_per_s, n, out);
    free(sorted);
    free(w->level);
    return status;
}

rub_status rub_size_hours_trial(const rub_size_trial *trial, const rub_power *power,
                                const rub_trace *trace, const rub_size_def *def,
                                const double *rate_per_s, size_t n, const rub_progress *progress,
                                rub_size_hour *out, rub_error *err) {
    rub_size_load load;
    rub_size_def own = *def;
    crew w = {.trial = trial,
              .power = power,
              .def = &own,
              .progress = progress,
              .telling = ATOMIC_FLAG_INIT};
    own.exhaustive = false;
    for (size_t h = 0; h < n; h++)
        if (!(rate_per_s[h] > 0 && isfinite(rate_per_s[h])))
            return rub_error_set(err, RUB_INVALID, "hour %zu: rate %g, expected over 0", h,
                                 rate_per_s[h]);
    if (n == 0 || trace->n_req < 2)
        return rub_error_set(err, RUB_INVALID, "%zu hours and %zu requests, expected 1 and 2", n,
                             trace->n_req);
    RUB_TRY(rub_size_load_init(&load, trace, def, (int64_t)rub_size_n_judged(trace, def), err));
    w.load = &load;
    rub_status status = solve(&w, rate_per_s, n, out, err);
    rub_size_load_clear(&load);
    return status;
}

rub_status rub_size_hours(const rub_trace *trace, const rub_size_def *def,
                          const rub_size_candidate *c, const double *rate_per_s, size_t n,
                          const rub_progress *progress, rub_size_hour *out, rub_error *err) {
    rub_power power = rub_power_of(&c->deployment);
    rub_size_trial t = {.c = *c, .gpus = c->tp * c->pp * c->attention_dp};
    RUB_TRY(rub_memory_plan(&c->deployment, &t.memory, err));
    RUB_TRY(rub_perf_compile(&c->deployment, &t.perf, err));
    rub_status status =
        rub_size_hours_trial(&t, &power, trace, def, rate_per_s, n, progress, out, err);
    rub_perf_clear(&t.perf);
    return status;
}
