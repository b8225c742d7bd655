/* Loads that are never held: a ring of requests a replica, filled by a generator and emptied into
 * histograms. The engines see it as a trace whose index wraps around. */
#include "serve/replica.h"

#include "base/array.h"
#include "base/tasks.h"
#include "serve/histogram.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MASK (RUB_STREAM_MAX_OPEN - 1)

/* What is kept of each replica, to be added in their order whatever thread served them. */
typedef struct part {
    double ttft_sum_s, ttft_max_s, tpot_sum_s, tpot_max_s, e2e_sum_s, e2e_max_s;
    double input_tok, output_tok, last_arrival_s;
    double busy_s, kv_block_s, end_s, itl_sum_s, itl_max_s;
    int64_t n_good;
    uint64_t hash;
} part;

/* One thread's: the ring, and counts, which may be added in any order. */
typedef struct lane {
    rub_trace trace;
    rub_serve_times times;
    rub_stream_result counts;
    rub_serve_totals own;
} lane;

typedef struct stream {
    const rub_trace_make_def *load;
    const rub_perf *perf;
    const rub_serve_def *def;
    const rub_serve_targets *targets;
    const rub_progress *progress;
    lane *lane; /* (n_thread) */
    part *part; /* (n_replica) */
    atomic_int status;
    atomic_int n_done;
} stream;

static void count(rub_histogram *h, double s, double *sum_s, double *max_s) {
    h->count[rub_histogram_bin(s)]++;
    h->n++;
    *sum_s += s;
    *max_s = s > *max_s ? s : *max_s;
}

static uint64_t mix(uint64_t hash, double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    hash = (hash ^ bits) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 29);
}

/* A request that has ended leaves the ring; false when it has not. */
static bool take_out(lane *l, size_t k, const rub_serve_targets *g, part *p) {
    const rub_serve_times *t = &l->times;
    if (t->restarts[k] < 0) {
        l->counts.totals.n_rejected++;
        return true;
    }
    if (isnan(t->finish_s[k]))
        return false;
    int32_t n = l->trace.output_tok[k];
    double ttft = t->first_token_s[k] - t->arrival_s[k];
    double e2e = t->finish_s[k] - t->arrival_s[k];
    double tpot = n > 1 ? (t->finish_s[k] - t->first_token_s[k]) / (n - 1) : 0.0;
    count(&l->counts.ttft, ttft, &p->ttft_sum_s, &p->ttft_max_s);
    count(&l->counts.e2e, e2e, &p->e2e_sum_s, &p->e2e_max_s);
    if (n > 1)
        count(&l->counts.tpot, tpot, &p->tpot_sum_s, &p->tpot_max_s);
    p->n_good += (g->ttft_s <= 0 || ttft <= g->ttft_s) && (g->tpot_s <= 0 || tpot <= g->tpot_s) &&
                 (g->e2e_s <= 0 || e2e <= g->e2e_s);
    p->hash = mix(mix(mix(p->hash, t->scheduled_s[k]), t->first_token_s[k]), t->finish_s[k]);
    return true;
}

static void put_in(lane *l, size_t k, const rub_run *run, rub_trace_source *source, part *p) {
    rub_serve_times *t = &l->times;
    rub_trace_source_next(source, &l->trace.arrival_s[k], &l->trace.input_tok[k],
                          &l->trace.output_tok[k]);
    t->arrival_s[k] = l->trace.arrival_s[k];
    t->scheduled_s[k] = t->first_token_s[k] = t->finish_s[k] = NAN;
    t->restarts[k] = rub_run_fits(run, k) ? 0 : -1;
    p->last_arrival_s = t->arrival_s[k];
    p->input_tok += l->trace.input_tok[k];
    p->output_tok += l->trace.output_tok[k];
}

static rub_status feed(stream *s, lane *l, const rub_run *run, rub_replica *replica,
                       rub_trace_source *source, part *p) {
    const rub_replica_kind *kind = rub_run_kind(run);
    size_t n = source->def->n_req;
    for (size_t i = 0; i < n; i++) {
        size_t k = i & MASK;
        if ((i & 0xffff) == 0xffff && atomic_load(&s->status) != RUB_OK)
            return RUB_OK;
        RUB_TRY(kind->advance(replica, source->next_s));
        if (i > MASK && !take_out(l, k, s->targets, p))
            return RUB_INVALID; /* too many are unfinished */
        put_in(l, k, run, source, p);
        if (l->times.restarts[k] >= 0)
            RUB_TRY(kind->arrive(replica, (int32_t)k));
    }
    RUB_TRY(kind->advance(replica, HUGE_VAL));
    for (size_t i = n > MASK ? n - MASK - 1 : 0; i < n; i++)
        if (!take_out(l, i & MASK, s->targets, p))
            return RUB_INTERNAL;
    return RUB_OK;
}

/* Scalars go to the part, counts to the thread's. */
static void keep(lane *l, part *p) {
    rub_serve_totals *all = &l->counts.totals;
    const rub_serve_totals *own = &l->own;
    p->busy_s = own->busy_s;
    p->kv_block_s = own->kv_block_s;
    p->end_s = own->end_s;
    p->itl_sum_s = own->itl.sum_s;
    p->itl_max_s = own->itl.max_s;
    rub_totals_add(own, own->blocks_left, all);
}

static rub_status serve(stream *s, lane *l, int32_t r) {
    int32_t n = s->def->n_replica;
    rub_trace_make_def load = *s->load;
    rub_trace_source source;
    rub_run run = {.trace = &l->trace,
                   .perf = s->perf,
                   .def = s->def,
                   .times = &l->times,
                   .gap_count = l->counts.totals.itl.count,
                   .watermark = (int64_t)(s->def->watermark_frac * (double)s->def->kv_blocks)};
    load.n_req = s->load->n_req / (size_t)n + ((size_t)r < s->load->n_req % (size_t)n);
    load.rate_per_s = s->load->rate_per_s / n;
    load.seed = s->load->seed + ((uint64_t)(uint32_t)r + 1) * 0x9e3779b97f4a7c15u;
    if (load.n_req == 0)
        return RUB_OK;
    RUB_TRY(rub_trace_source_init(&source, &load, NULL));
    rub_replica *replica = rub_run_kind(&run)->create(&run);
    if (!replica)
        return RUB_NO_MEMORY;
    memset(&l->own, 0, sizeof l->own);
    rub_status status = feed(s, l, &run, replica, &source, &s->part[r]);
    if (status == RUB_OK)
        rub_run_kind(&run)->totals(replica, &l->own);
    rub_run_kind(&run)->free(replica);
    keep(l, &s->part[r]);
    return status;
}

static void task(void *ctx, int32_t r, int32_t thread) {
    stream *s = ctx;
    if (atomic_load(&s->status) != RUB_OK)
        return;
    rub_status status = serve(s, &s->lane[thread], r);
    int done = atomic_fetch_add(&s->n_done, 1) + 1;
    if (status == RUB_OK && thread == 0 &&
        !rub_progress_report(s->progress, "simulating replicas", done, s->def->n_replica, NULL))
        status = RUB_INTERRUPTED;
    if (status != RUB_OK)
        atomic_store(&s->status, (int)status);
}

static void merge(rub_histogram *into, const rub_histogram *h) {
    for (size_t i = 0; i < RUB_HISTOGRAM_N; i++)
        into->count[i] += h->count[i];
    into->n += h->n;
}

static void add(double sum_s, double max_s, rub_histogram *h) {
    h->sum_s += sum_s;
    h->max_s = fmax(h->max_s, max_s);
}

static void gather(const stream *s, int32_t n_thread, rub_stream_result *out) {
    rub_serve_totals *t = &out->totals;
    for (int32_t k = 0; k < n_thread; k++) {
        const rub_stream_result *c = &s->lane[k].counts;
        merge(&out->ttft, &c->ttft);
        merge(&out->tpot, &c->tpot);
        merge(&out->e2e, &c->e2e);
        rub_totals_add(&c->totals, c->totals.blocks_left, t);
        t->n_rejected += c->totals.n_rejected;
    }
    t->busy_s = t->kv_block_s = t->itl.sum_s = 0.0; /* sums of parts, in the order of replicas */
    for (int32_t r = 0; r < s->def->n_replica; r++) {
        const part *p = &s->part[r];
        add(p->ttft_sum_s, p->ttft_max_s, &out->ttft);
        add(p->tpot_sum_s, p->tpot_max_s, &out->tpot);
        add(p->e2e_sum_s, p->e2e_max_s, &out->e2e);
        add(p->itl_sum_s, p->itl_max_s, &t->itl);
        t->busy_s += p->busy_s;
        t->kv_block_s += p->kv_block_s;
        out->n_good += p->n_good;
        out->input_tok += p->input_tok;
        out->output_tok += p->output_tok;
        out->last_arrival_s = fmax(out->last_arrival_s, p->last_arrival_s);
        out->hash = (out->hash ^ p->hash) * 0x9e3779b97f4a7c15u;
    }
    out->n_req = (int64_t)s->load->n_req;
}

static rub_status check(const rub_trace_make_def *load, const rub_serve_def *d, rub_error *err) {
    rub_trace none = {0};
    rub_trace_source source;
    if (d->order != RUB_ORDER_FCFS || d->prefix_cache || d->concurrency > 0 || d->n_group > 0 ||
        rub_serve_is_world(d) || d->n_limit > 0 || load->n_req == 0)
        return rub_error_set(err, RUB_INVALID,
                             "a streamed load wants a number of requests, order fcfs, an open "
                             "loop, replicas all alike and always there, no rate limits, and no "
                             "prefix cache");
    RUB_TRY(rub_serve_check(d, &none, err));
    return rub_trace_source_init(&source, load, err);
}

rub_status rub_serve_stream(const rub_trace_make_def *load, const rub_perf *perf,
                            const rub_serve_def *def, const rub_serve_targets *targets,
                            const rub_progress *progress, rub_stream_result *out, rub_error *err) {
    RUB_TRY(check(load, def, err));
    int32_t n_thread = rub_thread_count(def->n_thread);
    n_thread = n_thread < def->n_replica ? n_thread : def->n_replica;
    stream s = {.load = load,
                .perf = perf,
                .def = def,
                .targets = targets,
                .progress = progress,
                .lane = RUB_NEW(lane, n_thread),
                .part = RUB_NEW(part, def->n_replica)};
    rub_status status = s.lane && s.part ? RUB_OK : RUB_NO_MEMORY;
    for (int32_t k = 0; k < n_thread && status == RUB_OK; k++) {
        status = rub_trace_init(&s.lane[k].trace, RUB_STREAM_MAX_OPEN, NULL);
        if (status == RUB_OK)
            status = rub_serve_times_init(&s.lane[k].times, RUB_STREAM_MAX_OPEN, NULL);
    }
    if (status == RUB_OK) {
        rub_parallel_for(def->n_replica, n_thread, task, &s);
        status = (rub_status)atomic_load(&s.status);
    }
    if (status == RUB_OK) {
        memset(out, 0, sizeof *out);
        gather(&s, n_thread, out);
    }
    for (int32_t k = 0; s.lane && k < n_thread; k++) {
        rub_trace_clear(&s.lane[k].trace);
        rub_serve_times_clear(&s.lane[k].times);
    }
    free(s.lane);
    free(s.part);
    if (status == RUB_INVALID)
        return rub_error_set(err, status,
                             "more than %d requests are unfinished in one replica: the load is too "
                             "high for a streamed run",
                             RUB_STREAM_MAX_OPEN);
    return status == RUB_OK ? RUB_OK : rub_error_set(err, status, "%s", rub_status_text(status));
}
