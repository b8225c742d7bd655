/* Run: arrivals go through the router to the replicas, in order of time.
 *
 * Static routers (round-robin, random) do not look at the replicas, so each replica runs on its
 * own, in parallel if wanted. The others see every replica as it stands at the arrival: all
 * iterations that end by then are complete, none that starts then is formed. */
#include "serve/route.h"
#include "serve/world.h"

#include "base/array.h"
#include "base/rng.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

rub_status rub_serve_times_init(rub_serve_times *times, size_t n_req, rub_error *err) {
    rub_serve_times t = {.n_req = n_req,
                         .arrival_s = RUB_NEW(double, n_req),
                         .scheduled_s = RUB_NEW(double, n_req),
                         .first_token_s = RUB_NEW(double, n_req),
                         .finish_s = RUB_NEW(double, n_req),
                         .restarts = RUB_NEW(int32_t, n_req),
                         .cached_tok = RUB_NEW(int32_t, n_req)};
    if (!t.arrival_s || !t.scheduled_s || !t.first_token_s || !t.finish_s || !t.restarts ||
        !t.cached_tok) {
        rub_serve_times_clear(&t);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu requests", n_req);
    }
    *times = t;
    return RUB_OK;
}

void rub_serve_times_clear(rub_serve_times *t) {
    free(t->arrival_s);
    free(t->scheduled_s);
    free(t->first_token_s);
    free(t->finish_s);
    free(t->restarts);
    free(t->cached_tok);
    *t = (rub_serve_times){0};
}

static bool possible(const rub_kinds *k, size_t i) {
    const rub_serve_def *d = k->base->def;
    if (d->disagg) { /* only the prompt stands in the prefill pool */
        int64_t prompt = rub_blocks(k->base->trace->input_tok[i], d->block_size_tok);
        return rub_run_fits(&k->run[1], i) && prompt <= k->def[0].kv_blocks &&
               rub_batch_fits(&k->run[0], i, prompt);
    }
    bool all = k->n > 0 || rub_run_fits(k->base, i);
    for (int32_t g = 0; g < k->n; g++)
        all = all && rub_run_fits(&k->run[g], i);
    return all;
}

/* ---- static routers ------------------------------------------------------------------------- */

typedef struct lane {
    const rub_run *run;
    const rub_kinds *kinds;
    const int32_t *order; /* requests by replica, in order of arrival; NULL: one replica */
    const size_t *from;   /* replica r's are order[from[r]] to order[from[r + 1]] (n_replica + 1) */
    atomic_int next;
    atomic_int status;
    atomic_bool stop;
    struct lane_sums *sums; /* one a replica */
} lane;

/* Sums whose last bits hang on the order in which they are added: kept by replica. Counts, bins and
 * maxima are kept by thread. */
typedef struct lane_sums {
    double busy_s, kv_block_s, gap_s, lockstep_s;
} lane_sums;

/* A thread of a lane. */
typedef struct lane_thread {
    lane *lane;
    const rub_progress *progress; /* of the one that reports; else NULL */
    rub_serve_totals totals;
} lane_thread;

/* A replica being run in a lane, and how far it is; progress is reported by one thread only. */
typedef struct lane_place {
    lane *lane;
    const rub_progress *progress;
    size_t replica, n; /* n requests that it gets */
} lane_place;

/* Replicas follow each other in the thread that reports, so what it has done is the share of them
 * and of the present one's requests that have ended. */
static bool lane_goes_on(void *ctx, int64_t left) {
    const lane_place *p = ctx;
    double all = (double)p->lane->run->trace->n_req, n = p->n > 0 ? (double)p->n : 1.0;
    double share = ((double)p->replica + 1.0 - (double)left / n) / p->lane->run->def->n_replica;
    if (p->progress && !rub_progress_report(p->progress, "simulating", share * all, all, NULL))
        atomic_store(&p->lane->stop, true);
    return !atomic_load(&p->lane->stop);
}

/* Before the `at`-th request that the replica gets: reports now and then; false asks to stop. */
static bool look(lane_place *p, const rub_replica_kind *kind, const rub_replica *replica,
                 size_t at) {
    rub_replica_view v;
    kind->view(replica, &v);
    return lane_goes_on(p, (int64_t)(p->n - at) + v.n_outstanding);
}

/* The replica's requests, in order of arrival. */
static rub_status feed(lane_place *p, rub_replica *replica) {
    const rub_run *run = p->lane->run;
    const rub_replica_kind *kind = rub_run_kind(run);
    const int32_t *order = p->lane->order ? p->lane->order + p->lane->from[p->replica] : NULL;
    const double *arrival_s = run->trace->arrival_s;
    for (size_t at = 0; at < p->n; at++) {
        size_t i = order ? (size_t)order[at] : at;
        if (run->times->restarts[i] < 0)
            continue;
        if ((at & RUB_LOOK_EVERY) == RUB_LOOK_EVERY && !look(p, kind, replica, at))
            return RUB_INTERRUPTED;
        if (!order && !rub_watch(run, i))
            return RUB_INTERRUPTED;
        RUB_TRY(kind->advance(replica, arrival_s[i]));
        RUB_TRY(kind->arrive(replica, (int32_t)i));
    }
    return RUB_OK;
}

static void keep_totals(lane_thread *thread, const rub_replica_kind *kind,
                        const rub_replica *replica, size_t r) {
    rub_serve_totals *t = &thread->totals;
    t->busy_s = t->kv_block_s = t->itl.sum_s = t->lockstep_s = 0.0;
    kind->totals(replica, t);
    thread->lane->sums[r] = (lane_sums){t->busy_s, t->kv_block_s, t->itl.sum_s, t->lockstep_s};
}

static rub_status run_one(lane_thread *thread, size_t r) {
    lane *l = thread->lane;
    const rub_replica_kind *kind = rub_run_kind(l->run);
    const rub_trace *t = l->run->trace;
    rub_replica *replica = kind->create(rub_kinds_run(l->kinds, r));
    rub_status status = replica ? RUB_OK : RUB_NO_MEMORY;
    lane_place p = {l, thread->progress, r, l->order ? l->from[r + 1] - l->from[r] : t->n_req};
    if (status == RUB_OK)
        status = feed(&p, replica);
    if (status == RUB_OK && t->n_req > 0)
        status = rub_replica_drain(kind, replica, t->arrival_s[t->n_req - 1], lane_goes_on, &p);
    if (status == RUB_OK)
        keep_totals(thread, kind, replica, r);
    if (replica)
        kind->free(replica);
    return status;
}

/* Replicas one after the other; the calling thread reports. */
static void work(lane_thread *thread) {
    lane *l = thread->lane;
    for (;;) {
        int r = atomic_fetch_add(&l->next, 1), n = l->run->def->n_replica;
        if (r >= n || atomic_load(&l->status) != RUB_OK)
            return;
        lane_place start = {l, thread->progress, (size_t)r, 1};
        rub_status status = lane_goes_on(&start, 1) ? run_one(thread, (size_t)r) : RUB_INTERRUPTED;
        const rub_serve_def *def = l->run->def;
        if (status == RUB_OK && def->watch && l->order &&
            !def->watch(def->watch_ctx, l->run->trace->n_req, -HUGE_VAL))
            status = RUB_INTERRUPTED;
        if (status != RUB_OK)
            atomic_store(&l->status, (int)status);
    }
}

static void *help(void *arg) {
    work(arg);
    return NULL;
}

#define MOST_THREADS 64

static int32_t threads_for(const rub_serve_def *def) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int32_t n = def->n_thread > 0 ? def->n_thread : (int32_t)(cores > 0 ? cores : 1);
    return n < def->n_replica ? n : def->n_replica;
}

static rub_status run_lanes(lane *l, const rub_progress *progress, rub_serve_totals *totals) {
    int32_t n = threads_for(l->run->def), started = 1;
    n = n < MOST_THREADS ? n : MOST_THREADS;
    pthread_t id[MOST_THREADS];
    lane_thread *thread = RUB_NEW(lane_thread, n);
    if (!thread)
        return RUB_NO_MEMORY;
    for (int32_t i = 0; i < n; i++)
        thread[i].lane = l;
    thread[0].progress = progress;
    for (; started < n; started++)
        if (pthread_create(&id[started], NULL, help, &thread[started]) != 0)
            break;
    if (l->order)
        work(&thread[0]);
    else
        atomic_store(&l->status, (int)run_one(&thread[0], 0));
    for (int32_t i = 1; i < started; i++)
        pthread_join(id[i], NULL);
    for (int32_t i = 0; i < n; i++)
        rub_totals_add(&thread[i].totals, thread[i].totals.blocks_left, totals);
    free(thread);
    return (rub_status)atomic_load(&l->status);
}

/* The requests of each replica, by counting: from must hold n_replica + 2. */
static rub_status deal(const rub_kinds *kinds, int32_t *order, size_t *from) {
    size_t n = kinds->base->trace->n_req, n_replica = (size_t)kinds->base->def->n_replica;
    const int32_t *restarts = kinds->base->times->restarts;
    rub_static_router router = {0};
    uint32_t *target = RUB_NEW(uint32_t, n);
    rub_status status = target ? rub_static_router_init(&router, kinds) : RUB_NO_MEMORY;
    for (size_t i = 0; i < n && status == RUB_OK; i++)
        if (restarts[i] >= 0)
            from[(target[i] = (uint32_t)rub_static_route(&router, i)) + 2]++;
    for (size_t r = 2; r < n_replica + 2; r++)
        from[r] += from[r - 1];
    for (size_t i = 0; i < n && status == RUB_OK; i++)
        if (restarts[i] >= 0)
            order[from[target[i] + 1]++] = (int32_t)i;
    rub_static_router_clear(&router);
    free(target);
    return status;
}

static rub_status run_static(const rub_run *run, const rub_kinds *kinds,
                             const rub_progress *progress, rub_serve_totals *totals) {
    size_t n = run->trace->n_req, n_replica = (size_t)run->def->n_replica;
    lane l = {.run = run, .kinds = kinds, .sums = RUB_NEW(lane_sums, n_replica)};
    int32_t *order = n_replica > 1 ? RUB_NEW(int32_t, n) : NULL;
    size_t *from = RUB_NEW(size_t, n_replica + 2);
    rub_status status = l.sums && from && (order || n_replica == 1) ? RUB_OK : RUB_NO_MEMORY;
    if (status == RUB_OK && order)
        status = deal(kinds, order, from);
    l.order = order;
    l.from = from;
    if (status == RUB_OK)
        status = run_lanes(&l, progress, totals);
    totals->busy_s = totals->kv_block_s = totals->itl.sum_s = totals->lockstep_s = 0.0;
    for (size_t r = 0; status == RUB_OK && r < n_replica; r++) {
        totals->busy_s += l.sums[r].busy_s;
        totals->kv_block_s += l.sums[r].kv_block_s;
        totals->itl.sum_s += l.sums[r].gap_s;
        totals->lockstep_s += l.sums[r].lockstep_s;
    }
    free(order);
    free(from);
    free(l.sums);
    return status;
}

/* ---- replicas that are seen together: by a router that looks at them, or by a closed loop ----- */

size_t rub_fleet_route(const rub_fleet *f, size_t i, double at_s) {
    return f->router ? rub_static_route(f->router, i) : rub_route_look(f, i, at_s);
}

static rub_status run_together(const rub_run *run, const rub_kinds *kinds,
                               const rub_progress *progress, rub_serve_totals *totals) {
    rub_fleet f = {.run = run,
                   .kinds = kinds,
                   .kind = rub_run_kind(run),
                   .n = (size_t)run->def->n_replica,
                   .how = run->def->router,
                   .to = (size_t)run->def->n_replica};
    rub_static_router router = {0};
    f.replica = RUB_NEW(rub_replica *, f.n);
    rub_status status = f.replica ? rub_static_router_init(&router, kinds) : RUB_NO_MEMORY;
    if (rub_router_is_static(run->def->router))
        f.router = &router;
    if (status == RUB_OK)
        status = rub_fleet_make(&f);
    if (status == RUB_OK)
        status = run->outbox   ? rub_world_run(&f, run->outbox, progress, totals)
                 : run->closed ? rub_closed_run(&f, progress)
                               : rub_fleet_feed(&f, progress);
    for (size_t r = 0; f.replica && r < f.n; r++) {
        if (status == RUB_OK)
            f.kind->totals(f.replica[r], totals);
        if (status == RUB_OK && run->def->disagg && r + 1 == (size_t)run->def->disagg->n_prefill)
            totals->prefill_busy_s = totals->busy_s;
        if (f.replica[r])
            f.kind->free(f.replica[r]);
    }
    rub_static_router_clear(&router);
    free(f.replica);
    free(f.memory);
    return status;
}

void rub_totals_add(const rub_serve_totals *own, int64_t blocks_left, rub_serve_totals *into) {
    into->n_iteration += own->n_iteration;
    into->n_restart += own->n_restart;
    into->prefill_tok += own->prefill_tok;
    into->decode_tok += own->decode_tok;
    into->busy_s += own->busy_s;
    into->kv_block_s += own->kv_block_s;
    into->fetched_tok += own->fetched_tok;
    into->lockstep_s += own->lockstep_s;
    into->blocks_left += blocks_left;
    into->end_s = fmax(into->end_s, own->end_s);
    if (own->kv_most_blocks > into->kv_most_blocks)
        into->kv_most_blocks = own->kv_most_blocks;
    for (size_t i = 0; i < RUB_HISTOGRAM_N; i++)
        into->itl.count[i] += own->itl.count[i];
    into->itl.n += own->itl.n;
    into->itl.sum_s += own->itl.sum_s;
    into->itl.max_s = fmax(into->itl.max_s, own->itl.max_s);
}

/* By what requests wait; NULL when they wait as they come. */
static rub_status rank_all(const rub_run *run, int64_t **out) {
    const rub_serve_def *d = run->def;
    const rub_trace *t = run->trace;
    if (d->order == RUB_ORDER_FCFS)
        return RUB_OK;
    int64_t *rank = RUB_NEW(int64_t, t->n_req);
    if (!rank)
        return RUB_NO_MEMORY;
    for (size_t i = 0; i < t->n_req; i++) {
        rub_rng rng = rub_rng_make(d->seed, i + ((uint64_t)1 << 40));
        double error = d->predict_sigma > 0 ? exp(d->predict_sigma * rub_rng_normal(&rng)) : 1.0;
        rank[i] = d->order == RUB_ORDER_PRIORITY
                      ? t->priority[i]
                      : t->input_tok[i] + llrint(fmin(error * t->output_tok[i], 1e15));
    }
    *out = rank;
    return RUB_OK;
}

static void reset(const rub_kinds *kinds, rub_serve_times *times, rub_serve_totals *totals) {
    memset(totals, 0, sizeof *totals);
    for (size_t i = 0; i < times->n_req; i++) {
        times->scheduled_s[i] = times->first_token_s[i] = times->finish_s[i] = NAN;
        times->arrival_s[i] = kinds->base->trace->arrival_s[i];
        times->cached_tok[i] = 0;
        times->restarts[i] = possible(kinds, i) ? 0 : -1;
        totals->n_rejected += times->restarts[i] < 0;
    }
}

static int32_t longest(const rub_trace *t) {
    int64_t most = 1;
    for (size_t i = 0; i < t->n_req; i++) {
        int64_t tok = (int64_t)t->input_tok[i] + t->output_tok[i];
        most = tok > most ? tok : most;
    }
    return most < INT32_MAX ? (int32_t)most : INT32_MAX;
}

rub_status rub_run_fleet(const rub_trace *trace, const rub_perf *perf, const rub_serve_def *def,
                         const rub_progress *progress, rub_serve_times *times,
                         rub_serve_totals *totals, rub_error *err) {
    RUB_TRY(rub_serve_check(def, trace, err));
    if (trace->n_req > INT32_MAX || times->n_req != trace->n_req)
        return rub_error_set(err, RUB_INVALID,
                             "trace has %zu requests, expected at most %d and as many times",
                             trace->n_req, INT32_MAX);
    int64_t *rank = NULL;
    rub_outbox outbox = {0};
    rub_closed closed = {0};
    rub_kinds kinds = {0};
    rub_run run = {.trace = trace,
                   .perf = perf,
                   .def = def,
                   .times = times,
                   .watermark = (int64_t)(def->watermark_frac * (double)def->kv_blocks)};
    rub_status status = rank_all(&run, &rank);
    run.rank = rank;
    bool together = !rub_router_is_static(def->router) || def->concurrency > 0;
    if (together) {
        run.longest_tok = longest(trace);
        run.gap_count = totals->itl.count;
    }
    if (status == RUB_OK && def->concurrency > 0) {
        status = rub_closed_init(&closed, def->concurrency, def->think_s);
        run.closed = &closed;
    }
    if (rub_serve_is_world(def))
        run.outbox = &outbox;
    if (status == RUB_OK)
        status = rub_kinds_init(&kinds, &run);
    if (status == RUB_OK) {
        reset(&kinds, times, totals);
        status = rub_router_is_static(def->router) && !run.closed && !run.outbox
                     ? run_static(&run, &kinds, progress, totals)
                     : run_together(&run, &kinds, progress, totals);
    }
    rub_kinds_clear(&kinds);
    rub_closed_clear(&closed);
    free(outbox.note);
    free(rank);
    return status == RUB_OK ? RUB_OK : rub_error_set(err, status, "%s", rub_status_text(status));
}
