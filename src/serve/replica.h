/* What both engines share: the run that a replica belongs to, and the replica's interface.
 *
 * A replica stands at an iteration boundary (time now_s) or is in an iteration that ends at end_s.
 * advance(until) completes every iteration that ends by `until` and starts every one that would
 * start before it; an iteration that would start at `until` itself is left for later, so that
 * arrivals at that time are seen by it. */
#ifndef RUB_SERVE_REPLICA_H
#define RUB_SERVE_REPLICA_H

#include "rubato/serve.h"
#include "serve/closed.h"

/* The run: inputs shared by all replicas, and where results go. */
typedef struct rub_run {
    const rub_trace *trace;
    const rub_perf *perf;
    const rub_serve_def *def;
    rub_serve_times *times;
    int64_t watermark;  /* blocks kept free at admission */
    rub_closed *closed; /* NULL: open loop */
} rub_run;

typedef struct rub_replica rub_replica;

typedef struct rub_replica_kind {
    rub_replica *(*create)(const rub_run *run);
    void (*free)(rub_replica *replica);
    rub_status (*arrive)(rub_replica *replica, int32_t id); /* after advance(its arrival time) */
    /* pauses earlier when the run's closed loop asks for it */
    rub_status (*advance)(rub_replica *replica, double until_s);
    /* forms the iteration that starts now if none is in progress; its end, or HUGE_VAL: no work */
    rub_status (*next_end)(rub_replica *replica, double *end_s);
    int64_t (*n_waiting)(const rub_replica *replica);
    int64_t (*n_outstanding)(const rub_replica *replica);
    void (*totals)(const rub_replica *replica, rub_serve_totals *into); /* adds its own */
} rub_replica_kind;

extern const rub_replica_kind rub_replica_naive, rub_replica_fast;

/* All replicas of a run, for those that see them together. */
typedef struct rub_fleet {
    const rub_run *run;
    const rub_replica_kind *kind;
    rub_replica **replica;
    size_t n;
} rub_fleet;

/* The replica that request i goes to, as they stand; turn counts requests that were
 * not rejected. */
size_t rub_fleet_route(const rub_fleet *fleet, size_t i, size_t turn);

/* Runs a closed loop (closed.c). Errors: RUB_INTERRUPTED, RUB_NO_MEMORY. */
rub_status rub_closed_run(const rub_fleet *fleet, const rub_progress *progress);

/* Adds one replica's totals. */
void rub_totals_add(const rub_serve_totals *own, int64_t blocks_left, rub_serve_totals *into);

static inline int64_t rub_blocks(int64_t tokens, int64_t block_size) {
    return (tokens + block_size - 1) / block_size;
}

#endif
