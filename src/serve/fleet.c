/* Open loop behind a router that looks at the replicas. All see every iteration complete that ends
 * by the arrival, and none formed that starts at it.
 *
 * The naive engine advances every replica to every arrival and looks at all of them. Otherwise a
 * tree tells whose state next changes as the router sees it, so an arrival touches only those where
 * something has happened. For least-waiting, least-outstanding and least-KV a second one has the
 * least loaded, and a request that goes to a replica at work is handed over when that is next
 * touched: what it adds to the load is known. A replica that is touched is seldom in the cache, so
 * the ones that are next are fetched ahead. Power-of-two advances only the two that it looks at. */
#include "serve/contest.h"
#include "serve/route.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* What an event of a replica touches first. */
#define LEAD_BYTES 768

/* One piece of memory for all, in large pages where the system has them: a fleet's replicas are
 * touched in no order. */
static void *memory_for(size_t bytes) {
    const size_t large = (size_t)2 << 20;
    size_t all = (bytes + large - 1) / large * large;
    void *memory = aligned_alloc(large, all);
    if (!memory)
        return NULL;
    madvise(memory, all, MADV_HUGEPAGE); /* a hint: without them it is slower, not wrong */
    memset(memory, 0, bytes);
    return memory;
}

static size_t bytes_of(const rub_fleet *f, size_t r) {
    return f->kind->bytes(rub_kinds_run(f->kinds, r));
}

rub_status rub_fleet_make(rub_fleet *f) {
    size_t sum = 0, at = 0;
    for (size_t r = 0; f->kind->bytes && r < f->n; r++)
        sum += bytes_of(f, r);
    if (sum > 0 && !(f->memory = memory_for(sum)))
        return RUB_NO_MEMORY;
    for (size_t r = 0; r < f->n; r++) {
        const rub_run *run = rub_kinds_run(f->kinds, r);
        f->replica[r] =
            f->memory ? f->kind->place(run, (char *)f->memory + at) : f->kind->create(run);
        if (!f->replica[r])
            return RUB_NO_MEMORY;
        if (f->memory) {
            at += bytes_of(f, r);
            f->lead_bytes = bytes_of(f, r) < LEAD_BYTES ? bytes_of(f, r) : LEAD_BYTES;
        }
    }
    return RUB_OK;
}

/* Requests that went to a replica and are not handed over yet, in order of arrival. */
#define MOST_PENDING 7
typedef struct pending {
    int32_t n, id[MOST_PENDING];
} pending;

typedef struct watch {
    const rub_fleet *f;
    double (*due)(const rub_replica *replica); /* until then the router sees no change */
    rub_contest next;                          /* by due; power-of-two looks at its leaves only */
    /* the three routers that choose the least loaded */
    rub_contest least; /* by weighed load */
    int64_t *load;     /* requests or tokens (n) */
    pending *pending;  /* (n) */
    uint8_t *fetched;  /* how far it has been fetched ahead (n) */
} watch;

static bool chooses_least(rub_router router) {
    return router == RUB_ROUTER_LEAST_WAITING || router == RUB_ROUTER_LEAST_OUTSTANDING ||
           router == RUB_ROUTER_LEAST_KV;
}

static void watch_clear(watch *w) {
    rub_contest_clear(&w->next);
    rub_contest_clear(&w->least);
    free(w->load);
    free(w->pending);
    free(w->fetched);
}

static void set_load(watch *w, size_t r, int64_t load) {
    w->load[r] = load;
    rub_contest_set(&w->least, r, rub_route_weighed(w->f, r, load));
}

static rub_status least_init(watch *w) {
    size_t n = w->f->n;
    w->load = RUB_NEW(int64_t, n);
    w->fetched = RUB_NEW(uint8_t, n);
    if (!w->load || !w->fetched)
        return RUB_NO_MEMORY;
    /* only the plain engine goes on to due() whatever arrives while it works */
    if (w->f->kind->earliest_end && !(w->pending = RUB_NEW(pending, n)))
        return RUB_NO_MEMORY;
    RUB_TRY(rub_contest_init(&w->least, n));
    for (size_t r = 0; r < n; r++)
        set_load(w, r, rub_route_load(w->f, r));
    return RUB_OK;
}

static rub_status watch_init(watch *w, const rub_fleet *f) {
    bool requests = f->how == RUB_ROUTER_LEAST_OUTSTANDING || f->how == RUB_ROUTER_POWER_OF_TWO;
    *w = (watch){.f = f, .due = f->kind->due};
    if (requests && f->kind->earliest_end)
        w->due = f->kind->earliest_end;
    rub_status status = rub_contest_init(&w->next, f->n);
    if (status == RUB_OK && chooses_least(f->how))
        status = least_init(w);
    if (status != RUB_OK)
        watch_clear(w);
    return status;
}

static void look_again(watch *w, size_t r) {
    rub_contest_set(&w->next, r, w->due(w->f->replica[r]));
    if (w->load)
        set_load(w, r, rub_route_load(w->f, r));
}

/* Hands over what came before until_s, in its time, and goes on to it. */
static rub_status bring(watch *w, size_t r, double until_s) {
    const rub_fleet *f = w->f;
    if (w->pending) {
        pending *p = &w->pending[r];
        for (int32_t k = 0; k < p->n; k++) {
            RUB_TRY(f->kind->advance(f->replica[r], f->run->trace->arrival_s[p->id[k]]));
            RUB_TRY(f->kind->arrive(f->replica[r], p->id[k]));
        }
        p->n = 0;
    }
    if (w->fetched)
        w->fetched[r] = 0;
    RUB_TRY(f->kind->advance(f->replica[r], until_s));
    look_again(w, r);
    return RUB_OK;
}

/* The winners of so many parts of the fleet are fetched ahead. */
#define N_AHEAD 8

/* A step further each time that a replica is seen among the next ones: what is read to know the
 * next address has come by then. */
static void fetch(watch *w, size_t r) {
    const char *p = (const char *)w->f->replica[r];
    uint8_t step = w->fetched[r];
    if (step == RUB_FETCH_STEPS)
        return;
    w->fetched[r]++;
    if (step > 0)
        w->f->kind->fetch(w->f->replica[r], step);
    else
        for (size_t at = 0; at < w->f->lead_bytes; at += 64)
            __builtin_prefetch(p + at, 1, 2);
}

static void fetch_ahead(watch *w) {
    const int64_t never = rub_rank_of(HUGE_VAL);
    if (!w->pending || w->next.n_leaf < N_AHEAD)
        return;
    for (uint32_t i = 0; i < N_AHEAD; i++)
        if (w->next.node[N_AHEAD + i].rank < never)
            fetch(w, (size_t)w->next.node[N_AHEAD + i].replica);
}

static rub_status choose(watch *w, size_t i, double at_s, size_t *out) {
    if (w->f->how == RUB_ROUTER_POWER_OF_TWO) {
        size_t pair[2];
        rub_route_pair(w->f->run, i, w->f->n, pair);
        for (int k = 0; k < 2; k++)
            if (rub_contest_key(&w->next, pair[k]) <= at_s)
                RUB_TRY(bring(w, pair[k], at_s));
    } else
        while (rub_contest_first_key(&w->next) <= at_s) {
            RUB_TRY(bring(w, rub_contest_first(&w->next), at_s));
            fetch_ahead(w);
        }
    *out = w->load ? rub_contest_first(&w->least) : rub_route_look(w->f, i, at_s);
    return RUB_OK;
}

/* Request i adds to replica r's load now, and is handed over later. False: it must be now. */
static bool put_off(watch *w, size_t r, size_t i) {
    const rub_run *run = rub_kinds_run(w->f->kinds, r);
    const rub_trace *t = run->trace;
    pending *p = &w->pending[r];
    if (p->n == MOST_PENDING || isinf(rub_contest_key(&w->next, r)))
        return false;
    p->id[p->n++] = (int32_t)i;
    set_load(w, r, w->load[r] + (w->f->how == RUB_ROUTER_LEAST_KV ? t->input_tok[i] : 1));
    if (w->due != w->f->kind->due && rub_run_bounded(run)) {
        double end_s = t->arrival_s[i] + t->output_tok[i] * run->perf->linear.a_s * RUB_SHORT_OF;
        if (end_s < rub_contest_key(&w->next, r))
            rub_contest_set(&w->next, r, end_s);
    }
    return true;
}

static rub_status hand_over(watch *w, size_t r, size_t i) {
    const rub_fleet *f = w->f;
    if (w->pending && put_off(w, r, i))
        return RUB_OK;
    RUB_TRY(bring(w, r, f->run->trace->arrival_s[i]));
    RUB_TRY(f->kind->arrive(f->replica[r], (int32_t)i));
    look_again(w, r);
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
        RUB_TRY(hand_over(w, r, i));
    }
    for (size_t r = 0; w->pending && t->n_req > 0 && r < f->n; r++)
        RUB_TRY(bring(w, r, t->arrival_s[t->n_req - 1]));
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
