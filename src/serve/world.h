/* Runs in which replicas depend on each other or come and go: disaggregated pools, failures,
 * autoscaling.
 *
 * Time goes from event to event. At each: iterations that end by it are completed; what ended,
 * failed, arrived or was decided is dealt with in a fixed order; requests arrive; and where pools
 * are coupled, iterations that start now are formed, so that the next event is known. The naive
 * engine advances and forms every replica at every event; otherwise a heap tells which ones have
 * anything to do. */
#ifndef RUB_SERVE_WORLD_H
#define RUB_SERVE_WORLD_H

#include "base/rng.h"
#include "serve/link.h"
#include "serve/route.h"

typedef enum rub_event_kind {                   /* at one time, in this order */
                              RUB_EVENT_KV,     /* a request's KV has arrived: what = request */
                              RUB_EVENT_REPAIR, /* what = level * n_replica + unit */
                              RUB_EVENT_FAIL,
                              RUB_EVENT_STARTED, /* what = replica */
                              RUB_EVENT_TICK,
} rub_event_kind;

typedef struct rub_event {
    double at_s;
    rub_event_kind kind;
    int64_t what;
    int64_t number; /* in order of making */
} rub_event;

typedef struct rub_events {
    rub_event *heap;
    size_t n, cap;
    int64_t n_made;
} rub_events;

rub_status rub_events_add(rub_events *events, double at_s, rub_event_kind kind, int64_t what);
rub_event rub_events_take(rub_events *events); /* n > 0 */

typedef enum rub_life { RUB_LIFE_UP, RUB_LIFE_STARTING, RUB_LIFE_DRAINING, RUB_LIFE_OFF } rub_life;

typedef struct rub_autoscaler {
    double low_since_s; /* fewer replicas would have been enough since then; NaN: they would not */
    int32_t wanted_since; /* the most that were wanted in that time */
    size_t n_arrived;     /* since the last decision */
    double rate_per_s;    /* before the last decision; NaN: there was none */
    double last_s;        /* time of the last decision */
    size_t oldest;        /* no request before it is without its first token */
} rub_autoscaler;

typedef struct rub_world {
    rub_fleet *fleet;  /* its whole */
    rub_fleet pool[2]; /* where requests arrive; disaggregated: where they decode */
    int32_t n_pool;
    const rub_serve_def *def;
    rub_outbox *outbox;
    const rub_progress *progress;
    rub_serve_totals *totals;
    bool coupled; /* ends of iterations are events */
    double now_s;

    rub_events events;
    rub_link *link;                   /* of each prefill replica (n_prefill) */
    uint32_t *at_prefill, *at_decode; /* disaggregated: replicas of each request (n_req) */

    bool *up;            /* takes requests (n) */
    rub_life *life;      /* (n) */
    rub_rng *luck;       /* of each level's units (n_failure * n) */
    int32_t *broken;     /* units over it that are broken (n) */
    double *since_s;     /* start of its present life, then of its present breakdown (2 * n) */
    rub_travellers held; /* requests that found no replica */
    rub_autoscaler scaler;
    size_t turn; /* round-robin */

    double *due; /* fast: as rub_replica_kind.due (n) */
    size_t *heap, *place;
    size_t *touched; /* replicas where something happened now */
    size_t n_touched;
    bool *is_touched;

    size_t next;  /* request to arrive */
    size_t n_end; /* requests that will end */
} rub_world;

rub_status rub_world_run(rub_fleet *fleet, rub_outbox *outbox, const rub_progress *progress,
                         rub_serve_totals *totals);

/* A request goes to a replica of the first pool, or is held until there is one. */
rub_status rub_world_send(rub_world *w, rub_traveller traveller);
rub_status rub_world_send_held(rub_world *w);
void rub_world_touch(rub_world *w, size_t r);
rub_status rub_world_is_up(rub_world *w, size_t r); /* takes requests again */

/* disagg.c */
rub_status rub_disagg_init(rub_world *w);
void rub_disagg_clear(rub_world *w);
double rub_disagg_next(const rub_world *w);              /* next end of a transfer */
rub_status rub_disagg_transfers(rub_world *w);           /* that end now */
rub_status rub_disagg_notes(rub_world *w);               /* what replicas told */
rub_status rub_disagg_arrived(rub_world *w, int32_t id); /* its KV has */

/* failures.c */
rub_status rub_failures_init(rub_world *w);
rub_status rub_failures_fail(rub_world *w, int64_t what);
rub_status rub_failures_repair(rub_world *w, int64_t what);

/* scale.c */
rub_status rub_scale_init(rub_world *w);
rub_status rub_scale_tick(rub_world *w);
rub_status rub_scale_started(rub_world *w, size_t r);
rub_status rub_scale_from_zero(rub_world *w); /* a request found nobody */
void rub_scale_settle(rub_world *w);          /* draining replicas that are empty stop */
void rub_scale_end(rub_world *w);             /* books the time of all */

#endif
