/* Attention-DP: several ranks in one replica, in lock-step. Each rank schedules for itself, with its
 * own queue, seats and KV; the expert layers exchange tokens between all ranks, so that an iteration
 * of all lasts as long as the slowest rank's, and a rank with nothing to do runs a dummy batch of one
 * token (vLLM: DPEngineCoreProc.run_busy_loop, execute_dummy_batch). Batches of all ranks begin and
 * end together; a request that comes in between waits for the next ones, on whatever rank.
 *
 * The ranks are replicas of either engine, driven batch by batch. */
#include "serve/replica.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

struct rub_replica {
    const rub_run *run;
    const rub_replica_kind *kind; /* of the ranks */
    rub_replica **rank;           /* (n) */
    double *took_s;               /* own duration of the batch in progress; 0: a dummy (n) */
    uint16_t *rank_of;            /* with pools: each request's (n_req); NULL */
    int32_t n;
    double now_s, from_s, end_s, step_s; /* end_s, step_s: of the iteration in progress */
    bool running, stuck;
    size_t turn; /* round-robin */
    int64_t n_iteration;
    double busy_s, waited_s; /* waited_s: summed over ranks */
    double last_end_s;
    rub_serve_totals *sum; /* of the ranks, for totals: 33 kB, and totals cannot fail */
};

static void destroy(rub_replica *s) {
    if (!s)
        return;
    for (int32_t r = 0; s->rank && r < s->n; r++)
        if (s->rank[r])
            s->kind->free(s->rank[r]);
    free(s->rank);
    free(s->took_s);
    free(s->rank_of);
    free(s->sum);
    free(s);
}

static rub_replica *create(const rub_run *run) {
    rub_replica *s = RUB_NEW(rub_replica, 1);
    if (!s)
        return NULL;
    s->run = run;
    s->n = run->def->attention_dp;
    s->kind = run->def->engine == RUB_ENGINE_NAIVE ? &rub_replica_naive : &rub_replica_wide;
    s->rank = RUB_NEW(rub_replica *, s->n);
    s->took_s = RUB_NEW(double, s->n);
    s->sum = RUB_NEW(rub_serve_totals, 1);
    bool ok = s->rank && s->took_s && s->sum;
    if (run->def->disagg)
        ok = (s->rank_of = RUB_NEW(uint16_t, run->trace->n_req)) && ok;
    for (int32_t r = 0; ok && r < s->n; r++)
        ok = (s->rank[r] = s->kind->create(run));
    if (ok)
        return s;
    destroy(s);
    return NULL;
}

/* ---- which rank ------------------------------------------------------------------------------ */

static int64_t load(const rub_replica *s, int32_t r) {
    rub_replica_view v;
    s->kind->view(s->rank[r], &v);
    switch (s->run->def->rank_router) {
    case RUB_RANK_LEAST_REQUEST:
        return v.n_outstanding;
    case RUB_RANK_LEAST_TOKEN:
        return v.kv_decode + v.prefill_tok;
    default: /* vLLM: DPLBAsyncMPClient.get_core_engine_for_request */
        return 3 * v.n_waiting + v.n_outstanding;
    }
}

static int32_t least_loaded(const rub_replica *s) {
    int32_t best = 0;
    int64_t least = load(s, 0);
    for (int32_t r = 1; r < s->n; r++) {
        int64_t l = load(s, r);
        if (l < least) {
            least = l;
            best = r;
        }
    }
    return best;
}

static rub_replica *choose(rub_replica *s, int32_t id) {
    bool in_turn = s->run->def->rank_router == RUB_RANK_ROUND_ROBIN;
    int32_t best = in_turn ? (int32_t)(s->turn++ % (size_t)s->n) : least_loaded(s);
    if (s->rank_of)
        s->rank_of[id] = (uint16_t)best;
    return s->rank[best];
}

static void wake(rub_replica *s, double at_s) {
    s->now_s = fmax(s->now_s, at_s);
    s->stuck = false;
}

static rub_status arrive(rub_replica *s, int32_t id) {
    wake(s, s->run->times->arrival_s[id]);
    return s->kind->arrive(choose(s, id), id);
}

static rub_status join(rub_replica *s, rub_traveller t, double at_s) {
    wake(s, at_s);
    return s->kind->join(choose(s, t.id), t, at_s);
}

static void arrived(rub_replica *s, int32_t id, double at_s) {
    wake(s, at_s);
    s->kind->arrived(s->rank[s->rank_of[id]], id, at_s);
}

static void release(rub_replica *s, int32_t id, double at_s) {
    wake(s, at_s);
    s->kind->release(s->rank[s->rank_of[id]], id, at_s);
}

/* ---- iterations ------------------------------------------------------------------------------ */

static double dummy_s(const rub_replica *s) {
    rub_batch one = {.n_tokens = 1, .n_decode = 1, .kv_decode = 1};
    return rub_perf_duration(s->run->perf, &one);
}

static rub_status start(rub_replica *s) {
    double longest = 0.0;
    bool idle = false;
    for (int32_t r = 0; r < s->n; r++) {
        RUB_TRY(s->kind->form(s->rank[r], s->now_s, &s->took_s[r]));
        longest = fmax(longest, s->took_s[r]);
        idle = idle || s->took_s[r] == 0.0;
    }
    s->stuck = longest == 0.0;
    if (s->stuck)
        return RUB_OK;
    s->step_s = idle ? fmax(longest, dummy_s(s)) : longest;
    for (int32_t r = 0; r < s->n; r++) {
        if (s->took_s[r] > 0.0)
            RUB_TRY(s->kind->launch(s->rank[r], s->step_s));
        s->waited_s += s->step_s - s->took_s[r];
    }
    s->from_s = s->now_s + s->run->def->host_s;
    s->end_s = s->from_s + s->step_s; /* as each of them has it */
    s->busy_s += s->step_s;
    s->n_iteration++;
    s->running = true;
    return RUB_OK;
}

static rub_status complete(rub_replica *s) {
    s->now_s = s->last_end_s = s->end_s;
    s->running = s->stuck = false;
    for (int32_t r = 0; r < s->n; r++)
        if (s->took_s[r] > 0.0)
            RUB_TRY(s->kind->complete(s->rank[r]));
    return RUB_OK;
}

/* A prefix has come from host memory to a rank while none had anything to run. */
static double wake_s(const rub_replica *s) {
    double first = HUGE_VAL;
    for (int32_t r = 0; !s->running && s->stuck && r < s->n; r++)
        first = fmin(first, s->kind->wake(s->rank[r]));
    return first;
}

static rub_status fill(rub_replica *s) { return s->running || s->stuck ? RUB_OK : start(s); }

static rub_status advance(rub_replica *s, double until_s) {
    for (;;) {
        if (s->now_s < until_s)
            RUB_TRY(fill(s));
        double wakes_s = wake_s(s);
        if (!isinf(wakes_s) && wakes_s <= until_s) {
            wake(s, wakes_s);
            continue;
        }
        if (!s->running || s->end_s > until_s)
            return RUB_OK;
        RUB_TRY(complete(s));
        if (rub_closed_pauses(s->run->closed))
            return RUB_OK;
    }
}

static rub_status next_end(rub_replica *s, double *end_s) {
    RUB_TRY(fill(s));
    *end_s = s->running ? s->end_s : wake_s(s);
    return RUB_OK;
}

static double due(const rub_replica *s) {
    return s->running ? s->end_s : s->stuck ? wake_s(s) : nextafter(s->now_s, HUGE_VAL);
}

static rub_status lose_all(rub_replica *s, double at_s, rub_travellers *out) {
    if (s->running) { /* cut short */
        double from_s = fmax(s->from_s, at_s);
        s->busy_s -= s->end_s - from_s;
        for (int32_t r = 0; r < s->n; r++)
            s->waited_s -= s->end_s - fmin(fmax(s->from_s + s->took_s[r], from_s), s->end_s);
    }
    for (int32_t r = 0; r < s->n; r++)
        RUB_TRY(s->kind->fail(s->rank[r], at_s, out));
    s->running = false;
    wake(s, at_s);
    return RUB_OK;
}

/* ---- what others see ------------------------------------------------------------------------- */

static void view(const rub_replica *s, rub_replica_view *out) {
    rub_replica_view sum = {.end_s = s->running ? s->end_s : 0.0};
    for (int32_t r = 0; r < s->n; r++) {
        rub_replica_view v;
        s->kind->view(s->rank[r], &v);
        sum.n_waiting += v.n_waiting;
        sum.n_outstanding += v.n_outstanding;
        sum.n_decode += v.n_decode;
        sum.kv_decode += v.kv_decode;
        sum.prefill_tok += v.prefill_tok;
        sum.waiting_tok += v.waiting_tok;
        sum.used_blocks += v.used_blocks;
    }
    *out = sum;
}

static int64_t cached(const rub_replica *s, int32_t id) {
    int64_t most = 0;
    for (int32_t r = 0; r < s->n; r++) {
        int64_t n = s->kind->cached(s->rank[r], id);
        most = n > most ? n : most;
    }
    return most;
}

/* Iterations and time once, not by rank; blocks in use as a rank's mean. */
static void totals(const rub_replica *s, rub_serve_totals *into) {
    rub_serve_totals *sum = s->sum;
    *sum = (rub_serve_totals){0};
    for (int32_t r = 0; r < s->n; r++)
        s->kind->totals(s->rank[r], sum);
    sum->n_iteration = s->n_iteration;
    sum->busy_s = s->busy_s;
    sum->kv_block_s /= s->n;
    sum->lockstep_s = s->waited_s / s->n;
    sum->end_s = s->last_end_s;
    rub_totals_add(sum, sum->blocks_left, into);
}

/* As a replica of the naive engine: nobody is told when anything is due. */
const rub_replica_kind rub_lockstep_naive = {.create = create,
                                             .free = destroy,
                                             .arrive = arrive,
                                             .advance = advance,
                                             .next_end = next_end,
                                             .view = view,
                                             .cached = cached,
                                             .totals = totals,
                                             .join = join,
                                             .arrived = arrived,
                                             .release = release,
                                             .fail = lose_all};

const rub_replica_kind rub_lockstep_wide = {.create = create,
                                            .free = destroy,
                                            .arrive = arrive,
                                            .advance = advance,
                                            .next_end = next_end,
                                            .due = due,
                                            .view = view,
                                            .cached = cached,
                                            .totals = totals,
                                            .join = join,
                                            .arrived = arrived,
                                            .release = release,
                                            .fail = lose_all};
