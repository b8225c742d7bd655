/* Fleet: the smallest number of replicas that hold the rate, and the best candidate of a group. */
#include "size/size.h"

#include "base/array.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_REPLICAS (1 << 20)
#define MOST_ACCELERATORS (1 << 24)
#define RUNS_BEFORE_ALONE 3

int32_t rub_size_accelerators(const rub_size_def *def, const rub_size_trial *trial, int32_t n) {
    int64_t used = ((int64_t)n + def->spare) * trial->gpus, node = trial->c.accel->node_size;
    if (def->whole_nodes && node > 1)
        used = (used + node - 1) / node * node;
    return used < INT32_MAX ? (int32_t)used : INT32_MAX;
}

int32_t rub_size_stock(const rub_size_job *job, const rub_size_trial *trial) {
    for (int32_t a = 0; job->def->stock && a < job->def->n_accel; a++)
        if (job->def->accel[a] == trial->c.accel && job->def->stock[a] >= 0)
            return job->def->stock[a];
    return INT32_MAX;
}

/* Most working replicas in at most so many accelerators. */
static int32_t replicas_within(const rub_size_def *def, const rub_size_trial *t, int32_t most) {
    most = most < MOST_ACCELERATORS ? most : MOST_ACCELERATORS;
    int32_t low = 0, high = most / t->gpus + 1;
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (rub_size_accelerators(def, t, middle) <= most)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static int print_limit(char *text, size_t size, const rub_size_target *t, double limit_s) {
    char name[32];
    rub_size_target_text(t, name, sizeof name);
    return limit_s < 1 ? snprintf(text, size, "%s is over %.3g ms", name, 1e3 * limit_s)
                       : snprintf(text, size, "%s is over %.3g s", name, limit_s);
}

static int print_value(char *text, size_t size, const rub_size_target *t, double value_s,
                       double limit_s) {
    char name[32];
    rub_size_target_text(t, name, sizeof name);
    if (isinf(value_s))
        return snprintf(text, size, "%s: requests never finish", name);
    if (limit_s < 1)
        return snprintf(text, size, "%s is %.3g ms, the limit %.3g ms", name, 1e3 * value_s,
                        1e3 * limit_s);
    return snprintf(text, size, "%s is %.3g s, the limit %.3g s", name, value_s, limit_s);
}

void rub_size_explain(const rub_size_job *job, rub_size_candidate *c, const rub_size_verdict *v,
                      const char *format, ...) {
    const rub_size_targets *t = &job->def->targets;
    char begin[160], why[200] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(begin, sizeof begin, format, args);
    va_end(args);
    if (v->n_rejected > 0)
        snprintf(why, sizeof why, "%lld requests can never fit in its KV cache",
                 (long long)v->n_rejected);
    else if (v->stopped)
        print_limit(why, sizeof why, &t->target[v->worst],
                    t->target[v->worst].limit_s * job->def->target_scale);
    else if (v->stress > 1.0 && v->worst == t->n)
        snprintf(why, sizeof why, "%.4g %% of requests meet the limits, wanted %.4g %%",
                 100.0 * v->value_s, 100.0 * t->goodput_frac);
    else if (v->stress > 1.0 && v->worst >= 0)
        print_value(why, sizeof why, &t->target[v->worst], v->value_s,
                    t->target[v->worst].limit_s * job->def->target_scale);
    else
        snprintf(why, sizeof why, "it cannot keep up with the arrivals");
    snprintf(c->reason, sizeof c->reason, "%s%s", begin, why);
}

/* A search over numbers of replicas: low is known to miss (or to lack the throughput). */
typedef struct hunt {
    const rub_size_job *job;
    rub_size_trial *trial;
    rub_size_bench *bench;
    rub_size_verdict verdict; /* of the last run */
    rub_size_verdict held;    /* of the last run that held: the answer's */
    rub_status status;
    rub_error *err;
} hunt;

static bool holds(hunt *h, int32_t n) {
    h->status = rub_size_simulate(h->job, &h->job->load, h->trial, h->bench, n, h->job->rate_per_s,
                                  &h->verdict, h->err);
    if (h->status == RUB_OK && h->verdict.holds)
        h->held = h->verdict;
    return h->status == RUB_OK && h->verdict.holds;
}

static int32_t halve(hunt *h, int32_t low, int32_t high) {
    while (h->status == RUB_OK && high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (holds(h, middle))
            high = middle;
        else
            low = middle;
    }
    return high;
}

/* Each request alone: if targets are missed then, no number of replicas helps. */
static bool alone(hunt *h) {
    h->status =
        rub_size_simulate(h->job, &h->job->load, h->trial, h->bench, 1, 0.0, &h->verdict, h->err);
    return h->status == RUB_OK && h->verdict.stress <= 1.0 && h->verdict.n_rejected == 0;
}

/* From the bound upwards, until one holds. After a few that do not, or the last, it is asked whether
 * any number would: that run has no crowds, so it is long. */
static int32_t gallop(hunt *h, int32_t bound, int32_t most) {
    int32_t low = bound - 1, n = bound, step = 1 + bound / 8;
    for (int32_t tried = 1; h->status == RUB_OK; tried++) {
        n = n < most ? n : most;
        if (holds(h, n))
            return halve(h, low, n);
        bool ask = tried == RUNS_BEFORE_ALONE || (n == most && tried < RUNS_BEFORE_ALONE);
        rub_size_verdict crowded = h->verdict;
        if (h->status == RUB_OK && ask && !alone(h)) {
            h->trial->c.fate = RUB_SIZE_MISSES;
            return 0;
        }
        if (n == most) {
            h->verdict = crowded; /* says what they lack */
            return 0;
        }
        low = n;
        n = n > most - step ? most : n + step;
        step *= 2;
    }
    return 0;
}

static void give_up(hunt *h, int32_t n, int32_t most, bool limited) {
    rub_size_candidate *c = &h->trial->c;
    if (c->fate == RUB_SIZE_MISSES)
        rub_size_explain(h->job, c, &h->verdict, "with each request alone, ");
    else if (limited) {
        c->fate = RUB_SIZE_BEATEN;
        rub_size_explain(h->job, c, &h->verdict, "with %d replicas on %d accelerators ", n, most);
    } else {
        c->fate = RUB_SIZE_STOCK;
        rub_size_explain(h->job, c, &h->verdict, "with %d replicas, all that there is room for, ",
                         n);
    }
}

rub_status rub_size_smallest_fleet(const rub_size_job *job, rub_size_trial *trial,
                                   rub_size_bench *bench, int32_t most, int32_t *replicas,
                                   rub_size_verdict *at, rub_error *err) {
    hunt h = {.job = job, .trial = trial, .bench = bench, .err = err};
    int32_t stock = rub_size_stock(job, trial);
    bool limited = most < stock;
    int32_t bound = trial->c.bound_replicas;
    int32_t n_most = replicas_within(job->def, trial, limited ? most : stock);
    n_most = n_most < MOST_REPLICAS ? n_most : MOST_REPLICAS;
    *replicas = 0;
    if (n_most < bound) {
        trial->c.fate = limited ? RUB_SIZE_BOUNDED : RUB_SIZE_STOCK;
        snprintf(trial->c.reason, sizeof trial->c.reason,
                 "throughput alone needs %d accelerators, %s %d",
                 rub_size_accelerators(job->def, trial, bound),
                 limited ? "to be better it may have" : "there are", limited ? most : stock);
        return RUB_OK;
    }
    int32_t n = limited ? (holds(&h, n_most) ? halve(&h, bound - 1, n_most) : 0)
                        : gallop(&h, bound, n_most);
    if (h.status != RUB_OK)
        return h.status;
    if (n == 0)
        give_up(&h, n_most, limited ? most : stock, limited);
    *replicas = n;
    *at = n > 0 ? h.held : h.verdict;
    return RUB_OK;
}
