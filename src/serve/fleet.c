/* Open loop behind a router that looks at the replicas. All see every iteration complete that ends
 * by the arrival, and none formed that starts at it.
 *
 * The naive engine advances every replica to every arrival and looks at all of them. Otherwise a
 * heap tells whose iteration ends next, so an arrival touches only those where something has
 * happened; a winner tree holds the least loaded, so a choice is O(log replicas) a changed replica;
 * power-of-two advances only the two that it looks at. */
#include "serve/route.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

typedef struct watch {
    const rub_fleet *f;
    double *due;   /* advance(replica, t) changes nothing while t < due (n) */
    size_t *heap;  /* replicas by due (n) */
    size_t *place; /* in the heap (n) */
    double *load;  /* (n); NULL: no winner tree */
    size_t *tree;  /* winner of each node; leaves from n_leaf on (2 * n_leaf) */
    size_t n_leaf;
} watch;

static void watch_clear(watch *w) {
    free(w->due);
    free(w->heap);
    free(w->place);
    free(w->load);
    free(w->tree);
}

static size_t better(const watch *w, size_t a, size_t b) {
    if (a >= w->f->n || b >= w->f->n)
        return a < b ? a : b;
    return w->load[b] < w->load[a] || (w->load[b] == w->load[a] && b < a) ? b : a;
}

static void weigh(watch *w, size_t r) {
    double load = rub_route_load(w->f, r);
    if (load == w->load[r])
        return;
    w->load[r] = load;
    for (size_t i = (w->n_leaf + r) / 2; i > 0; i /= 2)
        w->tree[i] = better(w, w->tree[2 * i], w->tree[2 * i + 1]);
}

static void put(watch *w, size_t at, size_t r) {
    w->heap[at] = r;
    w->place[r] = at;
}

static void reorder(watch *w, size_t r) {
    size_t i = w->place[r];
    for (size_t up; i > 0 && w->due[r] < w->due[w->heap[up = (i - 1) / 2]]; i = up)
        put(w, i, w->heap[up]);
    for (size_t down; (down = 2 * i + 1) < w->f->n; i = down) {
        if (down + 1 < w->f->n && w->due[w->heap[down + 1]] < w->due[w->heap[down]])
            down++;
        if (!(w->due[w->heap[down]] < w->due[r]))
            break;
        put(w, i, w->heap[down]);
    }
    put(w, i, r);
}

static void look_again(watch *w, size_t r) {
    w->due[r] = w->f->kind->due(w->f->replica[r]);
    if (w->heap)
        reorder(w, r);
    if (w->load)
        weigh(w, r);
}

static rub_status watch_init(watch *w, const rub_fleet *f) {
    rub_router router = f->run->def->router;
    bool pair = router == RUB_ROUTER_POWER_OF_TWO;
    bool least = router == RUB_ROUTER_LEAST_WAITING || router == RUB_ROUTER_LEAST_OUTSTANDING ||
                 router == RUB_ROUTER_LEAST_KV;
    *w = (watch){.f = f, .n_leaf = 1};
    w->due = RUB_NEW(double, f->n);
    if (!pair) {
        w->heap = RUB_NEW(size_t, f->n);
        w->place = RUB_NEW(size_t, f->n);
    }
    while (w->n_leaf < f->n)
        w->n_leaf *= 2;
    if (least) {
        w->load = RUB_NEW(double, f->n);
        w->tree = RUB_NEW(size_t, 2 * w->n_leaf);
    }
    if (!w->due || (!pair && (!w->heap || !w->place)) || (least && (!w->load || !w->tree))) {
        watch_clear(w);
        return RUB_NO_MEMORY;
    }
    for (size_t r = 0; r < f->n; r++) {
        w->due[r] = HUGE_VAL;
        if (w->heap)
            put(w, r, r);
        if (w->load)
            w->load[r] = rub_route_load(f, r);
    }
    for (size_t i = 2 * w->n_leaf; least && i-- > 1;)
        w->tree[i] = i >= w->n_leaf ? i - w->n_leaf : better(w, w->tree[2 * i], w->tree[2 * i + 1]);
    return RUB_OK;
}

static rub_status bring(watch *w, size_t r, double until_s) {
    RUB_TRY(w->f->kind->advance(w->f->replica[r], until_s));
    look_again(w, r);
    return RUB_OK;
}

static rub_status choose(watch *w, size_t i, double at_s, size_t *out) {
    if (!w->heap) {
        size_t pair[2];
        rub_route_pair(w->f->run, i, w->f->n, pair);
        for (int k = 0; k < 2; k++)
            if (w->due[pair[k]] <= at_s)
                RUB_TRY(bring(w, pair[k], at_s));
    } else
        while (w->due[w->heap[0]] <= at_s)
            RUB_TRY(bring(w, w->heap[0], at_s));
    *out = w->load ? w->tree[1] : rub_route_look(w->f, i, at_s);
    return RUB_OK;
}

static rub_status feed_watched(watch *w, const rub_progress *progress) {
    const rub_fleet *f = w->f;
    const rub_trace *t = f->run->trace;
    for (size_t i = 0; i < t->n_req; i++) {
        size_t r = 0;
        if ((i & RUB_LOOK_EVERY) == RUB_LOOK_EVERY &&
            !rub_run_report(progress, t->arrival_s[i], i, t->n_req))
            return RUB_INTERRUPTED;
        if (!rub_watch(f->run, i))
            return RUB_INTERRUPTED;
        if (f->run->times->restarts[i] < 0)
            continue;
        RUB_TRY(choose(w, i, t->arrival_s[i], &r));
        RUB_TRY(f->kind->arrive(f->replica[r], (int32_t)i));
        look_again(w, r);
    }
    return RUB_OK;
}

static rub_status feed_naively(const rub_fleet *f, const rub_progress *progress) {
    const rub_trace *t = f->run->trace;
    for (size_t i = 0; i < t->n_req; i++) {
        if ((i & RUB_LOOK_EVERY) == RUB_LOOK_EVERY &&
            !rub_run_report(progress, t->arrival_s[i], i, t->n_req))
            return RUB_INTERRUPTED;
        if (f->run->times->restarts[i] < 0)
            continue;
        for (size_t r = 0; r < f->n; r++)
            RUB_TRY(f->kind->advance(f->replica[r], t->arrival_s[i]));
        size_t r = rub_route_look(f, i, t->arrival_s[i]);
        RUB_TRY(f->kind->arrive(f->replica[r], (int32_t)i));
    }
    return RUB_OK;
}

/* Queues that are left at the end: the replicas that are done with count as nothing more to do. */
static bool goes_on(void *ctx, int64_t left) {
    (void)left;
    return rub_progress_report(ctx, "working queues off", 0.0, 1.0, NULL);
}

rub_status rub_fleet_feed(const rub_fleet *f, const rub_progress *progress) {
    rub_status status;
    if (f->kind->due) {
        watch w;
        RUB_TRY(watch_init(&w, f));
        status = feed_watched(&w, progress);
        watch_clear(&w);
    } else
        status = feed_naively(f, progress);
    const rub_trace *t = f->run->trace;
    for (size_t r = 0; status == RUB_OK && t->n_req > 0 && r < f->n; r++)
        status = rub_replica_drain(f->kind, f->replica[r], t->arrival_s[t->n_req - 1], goes_on,
                                   (void *)(uintptr_t)progress);
    return status;
}
