/* What the engines share: the run that a replica belongs to, and the replica's interface.
 *
 * A replica stands at an iteration boundary (time now_s) or is in an iteration that ends at end_s.
 * advance(until) completes every iteration that ends by `until` and starts every one that would
 * start before it; an iteration that would start at `until` itself is left for later, so that
 * arrivals at that time are seen by it. */
#ifndef RUB_SERVE_REPLICA_H
#define RUB_SERVE_REPLICA_H

#include "rubato/serve.h"
#include "serve/closed.h"

/* A request on its way to another replica, with what it brings along. */
typedef struct rub_traveller {
    int32_t id;
    int32_t prefill; /* tokens to prefill where it goes */
    double last_s;   /* time of its last token; NaN before the first */
    bool pull;       /* prefilled: its KV comes over a link once it is admitted */
} rub_traveller;

typedef struct rub_travellers {
    rub_traveller *one;
    size_t n, cap;
} rub_travellers;

typedef enum rub_note_kind {
    RUB_NOTE_PREFILLED, /* handed over: its blocks wait for release() */
    RUB_NOTE_ADMITTED,  /* has blocks for the KV that it is to pull; then arrived() */
} rub_note_kind;

typedef struct rub_note {
    rub_note_kind kind;
    int32_t id;
} rub_note;

/* What replicas tell a run in which they depend on each other. */
typedef struct rub_outbox {
    rub_note *note;
    size_t n, cap;
    size_t n_finished; /* requests */
} rub_outbox;

/* The run: inputs shared by all replicas of one kind, and where results go. */
typedef struct rub_run {
    const rub_trace *trace;
    const rub_perf *perf;
    const rub_serve_def *def;
    rub_serve_times *times;
    int64_t watermark; /* blocks kept free at admission */
    const int64_t
        *rank; /* requests wait by (rank, index), lowest first; NULL: as they come (n_req) */
    rub_closed *closed;  /* NULL: open loop */
    rub_outbox *outbox;  /* NULL: replicas do not depend on each other */
    bool hands_over;     /* a prefill pool: requests leave with their first token */
    int32_t longest_tok; /* input and output of the longest request; 0: not told */
    uint64_t *gap_count; /* plain engine: bins that its replicas share, or NULL: each its own */
} rub_run;

typedef struct rub_replica rub_replica;

/* What a router sees of a replica. What the iteration in progress processes counts as processed. */
typedef struct rub_replica_view {
    int64_t n_waiting, n_outstanding;
    int64_t n_decode, kv_decode; /* running decodes and their tokens processed */
    int64_t prefill_tok;         /* left to prefill, of waiting and running requests */
    int64_t waiting_tok;         /* to prefill, of waiting requests */
    int64_t used_blocks;         /* held by requests */
    double end_s;                /* of the iteration in progress; 0 when there is none */
} rub_replica_view;

#define RUB_FETCH_STEPS 4

typedef struct rub_replica_kind {
    rub_replica *(*create)(const rub_run *run);
    void (*free)(rub_replica *replica);
    /* as create, in so much zeroed memory, at a cache line, that the caller gives and frees after
     * free(); NULL: create only */
    size_t (*bytes)(const rub_run *run);
    rub_replica *(*place)(const rub_run *run, void *memory);
    rub_status (*arrive)(rub_replica *replica, int32_t id); /* after advance(its arrival time) */
    /* pauses earlier when the run's closed loop asks for it */
    rub_status (*advance)(rub_replica *replica, double until_s);
    /* forms the iteration that starts now if none is in progress; its end, or HUGE_VAL: no work */
    rub_status (*next_end)(rub_replica *replica, double *end_s);
    /* advance() to any time before this changes nothing; HUGE_VAL: never. NULL: not told */
    double (*due)(const rub_replica *replica);
    /* no request ends before this, whatever arrives later; due() at least. NULL: not told */
    double (*earliest_end)(const rub_replica *replica);
    /* into the cache what comes next, steps 1 to RUB_FETCH_STEPS - 1; with earliest_end */
    void (*fetch)(const rub_replica *replica, int step);
    void (*view)(const rub_replica *replica, rub_replica_view *out);
    /* leading blocks of request id's chain that are in the prefix cache; NULL: there is none */
    int64_t (*cached)(const rub_replica *replica, int32_t id);
    void (*totals)(const rub_replica *replica, rub_serve_totals *into); /* adds its own */
    /* the following are NULL in the plain fast engine, which serves no run that needs them */
    /* lock-step: forms the batch of at_s, *duration_s 0 when there is none; it takes step_s; is
     * through */
    rub_status (*form)(rub_replica *replica, double at_s, double *duration_s);
    rub_status (*launch)(rub_replica *replica, double step_s);
    rub_status (*complete)(rub_replica *replica);
    double (*wake)(const rub_replica *replica); /* something can be formed then; HUGE_VAL */
    rub_status (*join)(rub_replica *replica, rub_traveller traveller, double at_s); /* waits */
    void (*arrived)(rub_replica *replica, int32_t id, double at_s); /* its KV: it may decode */
    void (*release)(rub_replica *replica, int32_t id, double at_s); /* blocks handed over */
    /* loses everything; its requests, each with all that it had to prefill again, are added */
    rub_status (*fail)(rub_replica *replica, double at_s, rub_travellers *out);
} rub_replica_kind;

extern const rub_replica_kind rub_lockstep_naive,
    rub_lockstep_wide; /* engines of several (lockstep.c) */
extern const rub_replica_kind rub_replica_naive, rub_replica_fast, rub_replica_wide;

/* All replicas of a run, for those that see them together. */
typedef struct rub_fleet {
    const rub_run *run;
    const rub_replica_kind *kind;
    rub_replica **replica;
    size_t n;
    size_t lead_bytes; /* of a replica's memory that every event touches */
    void *memory;      /* of all of them, or NULL: each has its own */
    const struct rub_kinds *kinds;
    struct rub_static_router *router; /* NULL: the router looks at the replicas */
    rub_router how;                   /* of routers that look */
    size_t from, to;                  /* replicas that it looks at: from to to - 1, */
    const bool *up;                   /* where this is true; NULL: all */
} rub_fleet;

static inline bool rub_fleet_has(const rub_fleet *f, size_t r) { return !f->up || f->up[r]; }

/* The replica for request i at at_s, a time that all have been advanced to. */
size_t rub_fleet_route(const rub_fleet *fleet, size_t i, double at_s);

/* Requests between two looks at progress: less than 0.1 s of any engine. */
#define RUB_LOOK_EVERY 0xfff

/* After the last arrival, at from_s: works the replica's queue off in steps, so that it can be watched
 * and stopped like the rest. goes_on is asked with the requests that are left. Errors:
 * RUB_INTERRUPTED. */
rub_status rub_replica_drain(const rub_replica_kind *kind, rub_replica *replica, double from_s,
                             bool (*goes_on)(void *ctx, int64_t left), void *ctx);

/* Runs a closed loop (closed.c). Errors: RUB_INTERRUPTED, RUB_NO_MEMORY. */
rub_status rub_closed_run(const rub_fleet *fleet, const rub_progress *progress);

/* One fleet of one model without a gateway (run.c). Errors: as rub_serve_run. */
rub_status rub_run_fleet(const rub_trace *trace, const rub_perf *perf, const rub_serve_def *def,
                         const rub_progress *progress, rub_serve_times *times,
                         rub_serve_totals *totals, rub_error *err);

/* Passes the gateway: when request i is sent on (NaN: rejected), by the limits in def. Errors:
 * RUB_NO_MEMORY. */
rub_status rub_limit_all(const rub_trace *trace, const rub_serve_def *def, double *sent_s);

/* Whether request id is batch, which leaves room for the others. */
static inline bool rub_is_batch(const rub_run *run, int32_t id) {
    return run->def->batch_reserve_frac > 0 && run->trace->priority && run->trace->priority[id] > 0;
}

/* Adds one replica's totals. */
void rub_totals_add(const rub_serve_totals *own, int64_t blocks_left, rub_serve_totals *into);

/* Before request i is fed: false when the caller's watch ends the run. */
static inline bool rub_watch(const rub_run *run, size_t i) {
    const rub_serve_def *d = run->def;
    if (!d->watch || i == 0 || i % (size_t)d->watch_every_req != 0)
        return true;
    return d->watch(d->watch_ctx, i, run->trace->arrival_s[i - 1]);
}

static inline int64_t rub_blocks(int64_t tokens, int64_t block_size) {
    return (tokens + block_size - 1) / block_size;
}

/* Whether the plain fast engine does all that is asked for. */
bool rub_serve_is_plain(const rub_serve_def *def);

/* Whether replicas depend on each other or come and go (world.h). */
bool rub_serve_is_world(const rub_serve_def *def);

/* Progress with the simulated time; false asks to stop. */
bool rub_run_report(const rub_progress *progress, double at_s, size_t done, size_t total);

/* Whether the least that an iteration can take follows from the linear form: no term is negative. */
static inline bool rub_run_bounded(const rub_run *run) {
    const rub_perf_linear *l = &run->perf->linear;
    return run->perf->kind == RUB_PERF_LINEAR && l->a_s > 0 && l->b_s >= 0 && l->c_s >= 0 &&
           l->d_s >= 0;
}

/* Bounds on sums of durations stay this much below what rounding can make of the sums. */
#define RUB_SHORT_OF (1.0 - 1e-6)

/* Whether request i could run alone in one replica; otherwise it is rejected on arrival. */
bool rub_run_fits(const rub_run *run, size_t i);

/* Whether request i, if it is batch, may have a seat and so many blocks. */
bool rub_batch_fits(const rub_run *run, size_t i, int64_t blocks);

/* The engine that the settings ask for or need. */
const rub_replica_kind *rub_run_kind(const rub_run *run);

/* Errors: RUB_INVALID with what is wrong. */
rub_status rub_serve_check(const rub_serve_def *def, const rub_trace *trace, rub_error *err);

/* ---- rules that both engines of every feature follow ----------------------------------------- */

/* Requests of one iteration: with pipeline stages each batch in flight takes its share of the cap
 * (sarathi, vllm-v0: Vidur); vllm has no such limit. */
static inline int64_t rub_micro(const rub_serve_def *d) {
    int64_t micro = d->max_seqs / d->pp;
    return d->policy == RUB_POLICY_VLLM || micro < 1 ? d->max_seqs : micro;
}

/* Blocks of a whole request, prompt and answer: what orca and static reserve. */
static inline int64_t rub_whole_blocks(const rub_run *run, int32_t id) {
    return rub_blocks((int64_t)run->trace->input_tok[id] + run->trace->output_tok[id],
                      run->def->block_size_tok);
}

/* Tokens that a decode costs of the budget and of the iteration: its own and the drafts. */
static inline int64_t rub_decode_tok(const rub_serve_def *d) { return 1 + d->spec_draft; }

/* Tokens that request id gains in the decode step at `done` of `total`: the leading drafts that are
 * right, and one. Depends on the request and its place only, not on what else runs. */
int64_t rub_decode_gain(const rub_run *run, int32_t id, int64_t done, int64_t total);

#define RUB_MAX_PP 64

/* Batches that may be in flight: one in each pipeline stage; with asynchronous scheduling one that
 * runs and one that comes after it. */
static inline int32_t rub_depth(const rub_serve_def *d) {
    return d->async == RUB_ASYNC_NONE ? d->pp : 2;
}

#endif
