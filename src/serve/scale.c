/* Autoscaler: how many replicas there should be, starting and stopping them, and what that costs.
 *
 * More are started at once, and take requests startup_s later; those that drain are taken back
 * first. Fewer are kept only when fewer would have been enough at every decision for hold_s; the
 * last ones drain: they get no more requests and stop when they are empty. */
#include "serve/world.h"

#include "base/array.h"

#include <math.h>

static bool scaling(const rub_world *w) { return w->def->scale.scaler != RUB_SCALE_NONE; }

rub_status rub_scale_init(rub_world *w) {
    w->scaler = (rub_autoscaler){.low_since_s = NAN, .rate_per_s = NAN};
    if (!scaling(w))
        return RUB_OK;
    for (size_t r = (size_t)w->def->scale.start; r < w->fleet->n; r++) {
        w->life[r] = RUB_LIFE_OFF;
        w->up[r] = false;
    }
    return rub_events_add(&w->events, w->def->scale.interval_s, RUB_EVENT_TICK, 0);
}

/* ---- starting and stopping ---- */

static void stop(rub_world *w, size_t r) {
    w->life[r] = RUB_LIFE_OFF;
    w->up[r] = false;
    w->totals->up_s += w->now_s - w->since_s[r];
    w->totals->n_stop++;
}

static rub_status start_one(rub_world *w) {
    size_t n = w->fleet->n;
    for (size_t r = 0; r < n; r++)
        if (w->life[r] == RUB_LIFE_DRAINING) {
            w->life[r] = RUB_LIFE_UP;
            return rub_world_is_up(w, r);
        }
    for (size_t r = 0; r < n; r++)
        if (w->life[r] == RUB_LIFE_OFF) {
            w->life[r] = RUB_LIFE_STARTING;
            w->since_s[r] = w->now_s;
            w->totals->n_start++;
            return rub_events_add(&w->events, w->now_s + w->def->scale.startup_s, RUB_EVENT_STARTED,
                                  (int64_t)r);
        }
    return RUB_OK;
}

rub_status rub_scale_started(rub_world *w, size_t r) {
    w->life[r] = RUB_LIFE_UP;
    return rub_world_is_up(w, r);
}

static void drain_last(rub_world *w) {
    for (size_t r = w->fleet->n; r-- > 0;)
        if (w->life[r] == RUB_LIFE_UP) {
            w->life[r] = RUB_LIFE_DRAINING;
            w->up[r] = false;
            return;
        }
}

void rub_scale_settle(rub_world *w) {
    for (size_t r = 0; scaling(w) && r < w->fleet->n; r++) {
        rub_replica_view v;
        if (w->life[r] != RUB_LIFE_DRAINING)
            continue;
        w->fleet->kind->view(w->fleet->replica[r], &v);
        if (v.n_outstanding == 0)
            stop(w, r);
    }
}

rub_status rub_scale_from_zero(rub_world *w) {
    if (!scaling(w))
        return RUB_OK;
    for (size_t r = 0; r < w->fleet->n; r++)
        if (w->life[r] == RUB_LIFE_STARTING || w->life[r] == RUB_LIFE_UP)
            return RUB_OK; /* on its way, or being repaired */
    return start_one(w);
}

void rub_scale_end(rub_world *w) {
    double end_s = 0.0;
    const rub_serve_times *t = w->fleet->run->times;
    for (size_t i = 0; i < t->n_req; i++)
        end_s = fmax(end_s, isnan(t->finish_s[i]) ? 0.0 : t->finish_s[i]);
    for (size_t r = 0; r < w->fleet->n; r++) {
        if (w->life[r] != RUB_LIFE_OFF)
            w->totals->up_s += fmax(end_s - w->since_s[r], 0.0);
        if (w->broken[r] > 0)
            w->totals->down_s += fmax(end_s - w->since_s[r + w->fleet->n], 0.0);
    }
    for (int32_t r = 0; w->link && r < w->def->disagg->n_prefill; r++)
        w->totals->link_busy_s += w->link[r].busy_s;
}

/* ---- how many ---- */

typedef struct state {
    int32_t active; /* up and starting */
    int64_t outstanding, waiting, with_requests;
} state;

static state look(const rub_world *w) {
    state s = {.outstanding = (int64_t)w->held.n, .waiting = (int64_t)w->held.n};
    for (size_t r = 0; r < w->fleet->n; r++) {
        rub_replica_view v;
        if (w->life[r] == RUB_LIFE_OFF)
            continue;
        s.active += w->life[r] == RUB_LIFE_UP || w->life[r] == RUB_LIFE_STARTING;
        w->fleet->kind->view(w->fleet->replica[r], &v);
        s.outstanding += v.n_outstanding;
        s.waiting += v.n_waiting;
        s.with_requests += v.n_outstanding > 0;
    }
    return s;
}

static int32_t ceiling(double x) { return x < 1e6 ? (int32_t)ceil(x) : 1000000; }

/* Share of the first tokens since the last decision that came in time; requests that already wait
 * for longer than the target count as late. 1 when there were none. */
static double in_time(rub_world *w) {
    const rub_serve_times *t = w->fleet->run->times;
    double target = w->def->scale.ttft_s;
    size_t n = 0, good = 0;
    for (size_t i = w->scaler.oldest; i < w->next; i++) {
        double first = t->first_token_s[i];
        bool came = first <= w->now_s;
        if (t->restarts[i] < 0 || (came && first <= w->scaler.last_s))
            continue;
        double waited = (came ? first : w->now_s) - t->arrival_s[i];
        n += came || waited > target;
        good += came && waited <= target;
    }
    while (w->scaler.oldest < w->next &&
           (t->restarts[w->scaler.oldest] < 0 || t->first_token_s[w->scaler.oldest] <= w->now_s))
        w->scaler.oldest++;
    return n > 0 ? (double)good / (double)n : 1.0;
}

static int32_t by_slo(rub_world *w, const state *s) {
    double share = in_time(w), target = w->def->scale.target;
    if (share < target)
        return s->active + (s->active / 4 > 1 ? s->active / 4 : 1);
    /* well above it, and nobody waits: one fewer may do */
    return share >= 0.5 * (1.0 + target) && s->waiting == 0 ? s->active - 1 : s->active;
}

static int32_t by_schedule(const rub_world *w) {
    const rub_serve_scale *c = &w->def->scale;
    int32_t n = c->start;
    for (int32_t k = 0; k < c->n_step && c->step[k].from_s <= w->now_s + c->startup_s; k++)
        n = c->step[k].n_replica;
    return n;
}

/* Requests/s when a replica started now would be ready, by the trend of the last two intervals. */
static int32_t by_prediction(rub_world *w) {
    const rub_serve_scale *c = &w->def->scale;
    double rate = (double)w->scaler.n_arrived / c->interval_s, before = w->scaler.rate_per_s;
    double ahead = (c->startup_s + c->interval_s) / c->interval_s;
    double expected = isnan(before) ? rate : rate + (rate - before) * ahead;
    w->scaler.rate_per_s = rate;
    return ceiling(fmax(expected, 0.0) / c->target);
}

static int32_t wanted(rub_world *w, const state *s) {
    const rub_serve_scale *c = &w->def->scale;
    int32_t n = s->active;
    switch (c->scaler) {
    case RUB_SCALE_UTILISATION:
        n = ceiling((double)s->outstanding / c->target);
        break;
    case RUB_SCALE_QUEUE: /* those that work are kept, what waits needs more */
        n = ceiling((double)s->waiting / c->target);
        n = n > s->with_requests ? n : (int32_t)s->with_requests;
        break;
    case RUB_SCALE_SLO:
        n = by_slo(w, s);
        break;
    case RUB_SCALE_SCHEDULE:
        n = by_schedule(w);
        break;
    case RUB_SCALE_PREDICTIVE:
        n = by_prediction(w);
        break;
    case RUB_SCALE_NONE:
        break;
    }
    return n < c->least ? c->least : n > c->most ? c->most : n;
}

/* How many may go now: as few are kept as were enough all the time. */
static int32_t surplus(rub_world *w, int32_t active, int32_t n) {
    rub_autoscaler *a = &w->scaler;
    if (n >= active) {
        a->low_since_s = NAN;
        return 0;
    }
    if (isnan(a->low_since_s)) {
        a->low_since_s = w->now_s;
        a->wanted_since = n;
    }
    a->wanted_since = n > a->wanted_since ? n : a->wanted_since;
    return w->now_s - a->low_since_s >= w->def->scale.hold_s ? active - a->wanted_since : 0;
}

rub_status rub_scale_tick(rub_world *w) {
    state s = look(w);
    int32_t n = wanted(w, &s);
    for (int32_t k = surplus(w, s.active, n); k > 0; k--)
        drain_last(w);
    for (int32_t k = s.active; k < n; k++)
        RUB_TRY(start_one(w));
    if (w->held.n > 0)
        RUB_TRY(rub_scale_from_zero(w));
    w->scaler.n_arrived = 0;
    w->scaler.last_s = w->now_s;
    return rub_events_add(&w->events, w->now_s + w->def->scale.interval_s, RUB_EVENT_TICK, 0);
}
