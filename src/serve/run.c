/* Run: arrivals go through the router to the replicas, in order of time.
 *
 * Static routers (round-robin, random) do not look at the replicas, so each replica runs on its
 * own, in parallel if wanted. The others see every replica as it stands at the arrival: all
 * iterations that end by then are complete, none that starts then is formed. */
#include "serve/replica.h"

#include "base/array.h"
#include "base/rng.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

rub_serve_def rub_serve_default(void) {
    return (rub_serve_def){.policy = RUB_POLICY_VLLM,
                           .router = RUB_ROUTER_ROUND_ROBIN,
                           .engine = RUB_ENGINE_FAST,
                           .n_replica = 1,
                           .max_seqs = 256,
                           .chunk_tok = 512,
                           .max_batch_tok = 8192,
                           .kv_blocks = 20000,
                           .block_size_tok = 16,
                           .watermark_frac = 0.01,
                           .n_thread = 1};
}

rub_status rub_serve_times_init(rub_serve_times *times, size_t n_req, rub_error *err) {
    rub_serve_times t = {.n_req = n_req,
                         .arrival_s = RUB_NEW(double, n_req),
                         .scheduled_s = RUB_NEW(double, n_req),
                         .first_token_s = RUB_NEW(double, n_req),
                         .finish_s = RUB_NEW(double, n_req),
                         .restarts = RUB_NEW(int32_t, n_req)};
    if (!t.arrival_s || !t.scheduled_s || !t.first_token_s || !t.finish_s || !t.restarts) {
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
    *t = (rub_serve_times){0};
}

static rub_status check(const rub_serve_def *d, rub_error *err) {
    struct {
        const char *name;
        int64_t value, least, most;
    } const range[] = {{"replicas", d->n_replica, 1, 1000000},
                       {"max-seqs", d->max_seqs, 1, 1 << 20},
                       {"chunk", d->chunk_tok, 1, 1 << 30},
                       {"max-batch-tokens", d->max_batch_tok, 1, (int64_t)1 << 40},
                       {"kv-blocks", d->kv_blocks, 1, (int64_t)1 << 40},
                       {"block-size", d->block_size_tok, 1, 1 << 16},
                       {"max-concurrency", d->concurrency, 0, 1 << 24}};
    for (size_t i = 0; i < RUB_LEN(range); i++)
        if (range[i].value < range[i].least || range[i].value > range[i].most)
            return rub_error_set(err, RUB_INVALID, "%s is %lld, expected %lld to %lld",
                                 range[i].name, (long long)range[i].value,
                                 (long long)range[i].least, (long long)range[i].most);
    if (d->policy == RUB_POLICY_VLLM && d->max_batch_tok < d->max_seqs)
        return rub_error_set(
            err, RUB_INVALID,
            "max-batch-tokens is %lld, expected at least max-seqs (%d), as vLLM wants it",
            (long long)d->max_batch_tok, d->max_seqs);
    if (!(d->think_s >= 0 && d->think_s < 1e9))
        return rub_error_set(err, RUB_INVALID, "think time is %g s, expected 0 or more",
                             d->think_s);
    if (!(d->watermark_frac >= 0 && d->watermark_frac < 1))
        return rub_error_set(err, RUB_INVALID, "watermark is %g, expected 0 to 1",
                             d->watermark_frac);
    return RUB_OK;
}

/* A request that could never run to its end alone is rejected on arrival. */
static bool possible(const rub_run *run, size_t i) {
    const rub_serve_def *d = run->def;
    int64_t total = (int64_t)run->trace->input_tok[i] + run->trace->output_tok[i];
    int64_t kept = run->watermark > 1 ? run->watermark : 1;
    if (rub_blocks(total, d->block_size_tok) + kept > d->kv_blocks)
        return false;
    /* v0 prefills whole prompts, after preemption with what was generated */
    return d->policy != RUB_POLICY_VLLM_V0 || total <= d->max_batch_tok;
}

static size_t static_choice(const rub_run *run, size_t i, size_t turn) {
    uint64_t n = (uint64_t)run->def->n_replica;
    if (run->def->router == RUB_ROUTER_ROUND_ROBIN)
        return turn % n;
    rub_rng rng = rub_rng_make(run->def->seed, i);
    return (size_t)rub_rng_below(&rng, n);
}

static bool is_static(const rub_serve_def *def) {
    return def->router == RUB_ROUTER_ROUND_ROBIN || def->router == RUB_ROUTER_RANDOM;
}

static const rub_replica_kind *kind_of(const rub_run *run) {
    return run->def->engine == RUB_ENGINE_NAIVE ? &rub_replica_naive : &rub_replica_fast;
}

/* ---- static routers ------------------------------------------------------------------------- */

typedef struct lane {
    const rub_run *run;
    const uint32_t *target; /* replica of each request; UINT32_MAX: rejected. NULL: one replica */
    atomic_int next;
    atomic_int status;
    atomic_bool stop;
    rub_serve_totals *totals;     /* one a replica */
    const rub_progress *progress; /* reported by one thread only */
} lane;

static rub_status run_one(lane *l, uint32_t r, const rub_progress *progress) {
    const rub_replica_kind *kind = kind_of(l->run);
    rub_replica *replica = kind->create(l->run);
    const rub_trace *t = l->run->trace;
    rub_status status = replica ? RUB_OK : RUB_NO_MEMORY;
    for (size_t i = 0; i < t->n_req && status == RUB_OK; i++) {
        if ((i & 0xffff) == 0xffff) {
            if (!rub_progress_report(progress, "simulating", (double)i, (double)t->n_req, NULL))
                atomic_store(&l->stop, true);
            if (atomic_load(&l->stop))
                status = RUB_INTERRUPTED;
        }
        if (l->target ? l->target[i] != r : l->run->times->restarts[i] < 0)
            continue;
        status = kind->advance(replica, t->arrival_s[i]);
        if (status == RUB_OK)
            status = kind->arrive(replica, (int32_t)i);
    }
    if (status == RUB_OK)
        status = kind->advance(replica, HUGE_VAL);
    if (status == RUB_OK)
        kind->totals(replica, &l->totals[r]);
    if (replica)
        kind->free(replica);
    return status;
}

static void *work(void *arg) {
    lane *l = arg;
    for (;;) {
        int r = atomic_fetch_add(&l->next, 1);
        if (r >= l->run->def->n_replica || atomic_load(&l->status) != RUB_OK)
            return NULL;
        rub_status status = run_one(l, (uint32_t)r, NULL);
        if (status != RUB_OK)
            atomic_store(&l->status, (int)status);
    }
}

static int32_t threads_for(const rub_serve_def *def) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int32_t n = def->n_thread > 0 ? def->n_thread : (int32_t)(cores > 0 ? cores : 1);
    return n < def->n_replica ? n : def->n_replica;
}

static rub_status run_lanes(lane *l, const rub_progress *progress) {
    int32_t n = threads_for(l->run->def);
    if (l->run->def->n_replica == 1)
        return run_one(l, 0, progress);
    pthread_t thread[64];
    int32_t started = 0;
    for (; started < n - 1 && started < 64; started++)
        if (pthread_create(&thread[started], NULL, work, l) != 0)
            break;
    work(l);
    for (int32_t i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    return (rub_status)atomic_load(&l->status);
}

static rub_status run_static(const rub_run *run, const rub_progress *progress,
                             rub_serve_totals *totals) {
    size_t n = run->trace->n_req, turn = 0, n_replica = (size_t)run->def->n_replica;
    lane l = {.run = run, .totals = RUB_NEW(rub_serve_totals, n_replica)};
    uint32_t *target = n_replica > 1 ? RUB_NEW(uint32_t, n) : NULL;
    rub_status status = l.totals && (target || n_replica == 1) ? RUB_OK : RUB_NO_MEMORY;
    if (status == RUB_OK && target)
        for (size_t i = 0; i < n; i++)
            target[i] =
                run->times->restarts[i] < 0 ? UINT32_MAX : (uint32_t)static_choice(run, i, turn++);
    l.target = target;
    if (status == RUB_OK)
        status = run_lanes(&l, progress);
    for (size_t r = 0; status == RUB_OK && r < n_replica; r++)
        rub_totals_add(&l.totals[r], l.totals[r].blocks_left, totals);
    free(target);
    free(l.totals);
    return status;
}

/* ---- routers that look at the replicas ------------------------------------------------------ */

static size_t least_loaded(const rub_fleet *f) {
    size_t best = 0;
    int64_t least = INT64_MAX;
    bool waiting = f->run->def->router == RUB_ROUTER_LEAST_WAITING;
    for (size_t r = 0; r < f->n; r++) {
        int64_t load =
            waiting ? f->kind->n_waiting(f->replica[r]) : f->kind->n_outstanding(f->replica[r]);
        if (load < least) {
            least = load;
            best = r;
        }
    }
    return best;
}

size_t rub_fleet_route(const rub_fleet *f, size_t i, size_t turn) {
    return is_static(f->run->def) ? static_choice(f->run, i, turn) : least_loaded(f);
}

static rub_status feed(const rub_fleet *f, const rub_progress *progress) {
    const rub_trace *t = f->run->trace;
    for (size_t i = 0; i < t->n_req; i++) {
        if ((i & 0xffff) == 0xffff &&
            !rub_progress_report(progress, "simulating", (double)i, (double)t->n_req, NULL))
            return RUB_INTERRUPTED;
        if (f->run->times->restarts[i] < 0)
            continue;
        for (size_t r = 0; r < f->n; r++)
            RUB_TRY(f->kind->advance(f->replica[r], t->arrival_s[i]));
        RUB_TRY(f->kind->arrive(f->replica[least_loaded(f)], (int32_t)i));
    }
    for (size_t r = 0; r < f->n; r++)
        RUB_TRY(f->kind->advance(f->replica[r], HUGE_VAL));
    return RUB_OK;
}

/* Replicas that are seen together: by a router that looks at them, or by a closed loop. */
static rub_status run_together(const rub_run *run, const rub_progress *progress,
                               rub_serve_totals *totals) {
    rub_fleet f = {.run = run, .kind = kind_of(run), .n = (size_t)run->def->n_replica};
    f.replica = RUB_NEW(rub_replica *, f.n);
    rub_status status = f.replica ? RUB_OK : RUB_NO_MEMORY;
    for (size_t r = 0; status == RUB_OK && r < f.n; r++)
        if (!(f.replica[r] = f.kind->create(run)))
            status = RUB_NO_MEMORY;
    if (status == RUB_OK)
        status = run->closed ? rub_closed_run(&f, progress) : feed(&f, progress);
    for (size_t r = 0; f.replica && r < f.n; r++) {
        if (status == RUB_OK)
            f.kind->totals(f.replica[r], totals);
        if (f.replica[r])
            f.kind->free(f.replica[r]);
    }
    free(f.replica);
    return status;
}

void rub_totals_add(const rub_serve_totals *own, int64_t blocks_left, rub_serve_totals *into) {
    into->n_iteration += own->n_iteration;
    into->n_restart += own->n_restart;
    into->prefill_tok += own->prefill_tok;
    into->decode_tok += own->decode_tok;
    into->busy_s += own->busy_s;
    into->kv_block_s += own->kv_block_s;
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

rub_status rub_serve_run(const rub_trace *trace, const rub_perf *perf, const rub_serve_def *def,
                         const rub_progress *progress, rub_serve_times *times,
                         rub_serve_totals *totals, rub_error *err) {
    RUB_TRY(check(def, err));
    if (trace->n_req > INT32_MAX || times->n_req != trace->n_req)
        return rub_error_set(err, RUB_INVALID,
                             "trace has %zu requests, expected at most %d and as many times",
                             trace->n_req, INT32_MAX);
    rub_closed closed = {0};
    rub_run run = {.trace = trace,
                   .perf = perf,
                   .def = def,
                   .times = times,
                   .watermark = (int64_t)(def->watermark_frac * (double)def->kv_blocks)};
    rub_status status = RUB_OK;
    if (def->concurrency > 0) {
        status = rub_closed_init(&closed, def->concurrency, def->think_s);
        run.closed = &closed;
    }
    memset(totals, 0, sizeof *totals);
    for (size_t i = 0; i < trace->n_req; i++) {
        times->scheduled_s[i] = times->first_token_s[i] = times->finish_s[i] = NAN;
        times->arrival_s[i] = trace->arrival_s[i];
        times->restarts[i] = possible(&run, i) ? 0 : -1;
        totals->n_rejected += times->restarts[i] < 0;
    }
    if (status == RUB_OK)
        status = is_static(def) && !run.closed ? run_static(&run, progress, totals)
                                               : run_together(&run, progress, totals);
    rub_closed_clear(&closed);
    return status == RUB_OK ? RUB_OK : rub_error_set(err, status, "%s", rub_status_text(status));
}
