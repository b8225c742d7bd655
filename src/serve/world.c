/* The world's clock: which event is next, who has to be brought there, and in which order. */
#include "serve/world.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

/* ---- events ---- */

static bool before(rub_event a, rub_event b) {
    if (a.at_s != b.at_s)
        return a.at_s < b.at_s;
    return a.kind != b.kind ? a.kind < b.kind : a.number < b.number;
}

rub_status rub_events_add(rub_events *e, double at_s, rub_event_kind kind, int64_t what) {
    if (rub_array_reserve((void **)&e->heap, &e->cap, e->n + 1, sizeof *e->heap) != RUB_OK)
        return RUB_NO_MEMORY;
    rub_event x = {at_s, kind, what, e->n_made++};
    size_t i = e->n++;
    for (size_t up; i > 0 && before(x, e->heap[up = (i - 1) / 2]); i = up)
        e->heap[i] = e->heap[up];
    e->heap[i] = x;
    return RUB_OK;
}

rub_event rub_events_take(rub_events *e) {
    rub_event first = e->heap[0], last = e->heap[--e->n];
    size_t i = 0;
    for (size_t down; (down = 2 * i + 1) < e->n; i = down) {
        if (down + 1 < e->n && before(e->heap[down + 1], e->heap[down]))
            down++;
        if (!before(e->heap[down], last))
            break;
        e->heap[i] = e->heap[down];
    }
    e->heap[i] = last;
    return first;
}

/* ---- who has anything to do ---- */

static bool sooner(const rub_world *w, size_t a, size_t b) {
    return w->due[a] < w->due[b] || (w->due[a] == w->due[b] && a < b);
}

static void put(rub_world *w, size_t at, size_t r) {
    w->heap[at] = r;
    w->place[r] = at;
}

static void set_due(rub_world *w, size_t r, double due) {
    size_t i = w->place[r];
    w->due[r] = due;
    for (size_t up; i > 0 && sooner(w, r, w->heap[up = (i - 1) / 2]); i = up)
        put(w, i, w->heap[up]);
    for (size_t down; (down = 2 * i + 1) < w->fleet->n; i = down) {
        if (down + 1 < w->fleet->n && sooner(w, w->heap[down + 1], w->heap[down]))
            down++;
        if (!sooner(w, w->heap[down], r))
            break;
        put(w, i, w->heap[down]);
    }
    put(w, i, r);
}

void rub_world_touch(rub_world *w, size_t r) {
    if (!w->heap)
        return;
    if (!w->coupled)
        set_due(w, r, w->fleet->kind->due(w->fleet->replica[r]));
    else if (!w->is_touched[r]) {
        w->is_touched[r] = true;
        w->touched[w->n_touched++] = r;
    }
}

/* Completes the iterations that end by now_s. */
static rub_status bring_all(rub_world *w) {
    const rub_fleet *f = w->fleet;
    for (size_t r = 0; !w->heap && r < f->n; r++)
        RUB_TRY(f->kind->advance(f->replica[r], w->now_s));
    while (w->heap && w->due[w->heap[0]] <= w->now_s) {
        size_t r = w->heap[0];
        RUB_TRY(f->kind->advance(f->replica[r], w->now_s));
        set_due(w, r, w->coupled ? HUGE_VAL : f->kind->due(f->replica[r]));
        if (w->coupled)
            rub_world_touch(w, r);
    }
    return RUB_OK;
}

static int ascending(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* Forms what starts now; *end_s: the next end of an iteration. */
static rub_status form_all(rub_world *w, double *end_s) {
    const rub_fleet *f = w->fleet;
    double next = HUGE_VAL;
    for (size_t r = 0; !w->heap && r < f->n; r++) {
        double end = HUGE_VAL;
        RUB_TRY(f->kind->next_end(f->replica[r], &end));
        next = end < next ? end : next;
    }
    if (w->heap) {
        qsort(w->touched, w->n_touched, sizeof *w->touched, ascending);
        for (size_t k = 0; k < w->n_touched; k++) {
            double end = HUGE_VAL;
            RUB_TRY(f->kind->next_end(f->replica[w->touched[k]], &end));
            set_due(w, w->touched[k], end);
            w->is_touched[w->touched[k]] = false;
        }
        w->n_touched = 0;
        next = w->due[w->heap[0]];
    }
    *end_s = next;
    return RUB_OK;
}

/* ---- requests ---- */

rub_status rub_world_send(rub_world *w, rub_traveller t) {
    size_t r = rub_route_among(&w->pool[0], (size_t)t.id, w->now_s, &w->turn);
    if (r == SIZE_MAX) {
        RUB_TRY(RUB_ARRAY_PUSH(w->held.one, w->held.n, w->held.cap, t));
        return rub_scale_from_zero(w);
    }
    if (w->at_prefill)
        w->at_prefill[t.id] = (uint32_t)r;
    RUB_TRY(w->fleet->kind->join(w->fleet->replica[r], t, w->now_s));
    rub_world_touch(w, r);
    return RUB_OK;
}

rub_status rub_world_send_held(rub_world *w) {
    rub_travellers held = w->held;
    rub_status status = RUB_OK;
    w->held = (rub_travellers){0};
    for (size_t k = 0; k < held.n && status == RUB_OK; k++)
        status = rub_world_send(w, held.one[k]);
    free(held.one);
    return status;
}

rub_status rub_world_is_up(rub_world *w, size_t r) {
    w->up[r] = w->life[r] == RUB_LIFE_UP && w->broken[r] == 0;
    return w->up[r] ? rub_world_send_held(w) : RUB_OK;
}

static double next_arrival(rub_world *w) {
    const rub_run *run = w->fleet->run;
    if (w->next >= run->trace->n_req)
        return HUGE_VAL;
    if (!run->closed)
        return run->trace->arrival_s[w->next];
    return run->closed->n > 0 ? run->closed->send_s[0] : HUGE_VAL;
}

/* Requests that arrive now. */
static rub_status arrivals(rub_world *w) {
    const rub_run *run = w->fleet->run;
    while (next_arrival(w) <= w->now_s) {
        size_t i = w->next++;
        if (run->closed)
            run->times->arrival_s[i] = rub_closed_pop(run->closed);
        if ((i & 0xfff) == 0xfff && !rub_run_report(w->progress, w->now_s, i, run->trace->n_req))
            return RUB_INTERRUPTED;
        if (run->times->restarts[i] < 0) {
            rub_closed_ended(run->closed, w->now_s);
            continue;
        }
        w->scaler.n_arrived++;
        RUB_TRY(rub_world_send(
            w,
            (rub_traveller){.id = (int32_t)i, .prefill = run->trace->input_tok[i], .last_s = NAN}));
    }
    return RUB_OK;
}

/* ---- the clock ---- */

static rub_status deal_with(rub_world *w, rub_event e) {
    switch (e.kind) {
    case RUB_EVENT_KV:
        return rub_disagg_arrived(w, (int32_t)e.what);
    case RUB_EVENT_REPAIR:
        return rub_failures_repair(w, e.what);
    case RUB_EVENT_FAIL:
        return rub_failures_fail(w, e.what);
    case RUB_EVENT_STARTED:
        return rub_scale_started(w, (size_t)e.what);
    case RUB_EVENT_TICK:
        return rub_scale_tick(w);
    }
    return RUB_INTERNAL;
}

/* All that happens at now_s; *end_s: the next end of an iteration where that is an event. */
static rub_status step(rub_world *w, double *end_s) {
    RUB_TRY(bring_all(w));
    RUB_TRY(rub_disagg_transfers(w));
    while (w->events.n > 0 && w->events.heap[0].at_s <= w->now_s)
        RUB_TRY(deal_with(w, rub_events_take(&w->events)));
    RUB_TRY(rub_disagg_notes(w));
    RUB_TRY(arrivals(w));
    rub_scale_settle(w);
    *end_s = HUGE_VAL;
    if (w->coupled)
        RUB_TRY(form_all(w, end_s));
    return rub_disagg_notes(w);
}

static rub_status run(rub_world *w) {
    double end_s = HUGE_VAL;
    while (w->outbox->n_finished < w->n_end) {
        double next = fmin(fmin(next_arrival(w), end_s), rub_disagg_next(w));
        if (w->events.n > 0)
            next = fmin(next, w->events.heap[0].at_s);
        if (isinf(next)) { /* nothing from outside: the replicas run on */
            if (w->coupled || w->held.n > 0)
                return RUB_INTERNAL;
            w->now_s = next;
            return bring_all(w);
        }
        w->now_s = next;
        RUB_TRY(step(w, &end_s));
    }
    return RUB_OK;
}

static void world_clear(rub_world *w) {
    rub_disagg_clear(w);
    free(w->luck);
    free(w->events.heap);
    free(w->up);
    free(w->life);
    free(w->broken);
    free(w->since_s);
    free(w->held.one);
    free(w->due);
    free(w->heap);
    free(w->place);
    free(w->touched);
    free(w->is_touched);
}

static bool init_heap(rub_world *w, size_t n) {
    w->due = RUB_NEW(double, n);
    w->heap = RUB_NEW(size_t, n);
    w->place = RUB_NEW(size_t, n);
    w->touched = RUB_NEW(size_t, n);
    w->is_touched = RUB_NEW(bool, n);
    if (!w->due || !w->heap || !w->place || !w->touched || !w->is_touched)
        return false;
    for (size_t r = 0; r < n; r++) {
        w->due[r] = HUGE_VAL;
        put(w, r, r);
    }
    return true;
}

static rub_status world_init(rub_world *w) {
    const rub_run *run = w->fleet->run;
    size_t n = w->fleet->n;
    w->up = RUB_NEW(bool, n);
    w->life = RUB_NEW(rub_life, n);
    w->broken = RUB_NEW(int32_t, n);
    w->since_s = RUB_NEW(double, 2 * n);
    bool ok = w->up && w->life && w->broken && w->since_s;
    if (!ok || (w->fleet->kind->due && !init_heap(w, n)))
        return RUB_NO_MEMORY;
    for (size_t r = 0; r < n; r++)
        w->up[r] = true;
    w->fleet->up = w->up;
    w->pool[0] = *w->fleet;
    w->n_pool = 1;
    w->coupled = w->def->disagg || run->closed;
    for (size_t i = 0; i < run->trace->n_req; i++)
        w->n_end += run->times->restarts[i] >= 0;
    for (int32_t c = 0; run->closed && c < w->def->concurrency; c++)
        rub_closed_push(run->closed, 0.0);
    RUB_TRY(rub_disagg_init(w));
    RUB_TRY(rub_failures_init(w));
    return rub_scale_init(w);
}

rub_status rub_world_run(rub_fleet *fleet, rub_outbox *outbox, const rub_progress *progress,
                         rub_serve_totals *totals) {
    rub_world w = {.fleet = fleet,
                   .def = fleet->run->def,
                   .outbox = outbox,
                   .progress = progress,
                   .totals = totals};
    rub_status status = world_init(&w);
    if (status == RUB_OK)
        status = run(&w);
    if (status == RUB_OK)
        rub_scale_end(&w);
    world_clear(&w);
    return status;
}
