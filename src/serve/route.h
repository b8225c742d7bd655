/* Routers: which replica a request goes to. Static ones look at the request only, so their choices
 * can be made for the whole trace beforehand; the others look at the replicas. */
#ifndef RUB_SERVE_ROUTE_H
#define RUB_SERVE_ROUTE_H

#include "serve/replica.h"

/* The kinds of replicas of a fleet: without groups one, and every weight is 1. */
typedef struct rub_kinds {
    const rub_run *base;
    int32_t n;    /* 0: all alike */
    rub_run *run; /* (n) */
    rub_serve_def *def;
    double *weight; /* (n) */
    uint16_t *of;   /* kind of each replica (n_replica) */
} rub_kinds;

rub_status rub_kinds_init(rub_kinds *kinds, const rub_run *base);
void rub_kinds_clear(rub_kinds *kinds);

static inline const rub_run *rub_kinds_run(const rub_kinds *k, size_t r) {
    return k->n ? &k->run[k->of[r]] : k->base;
}

static inline double rub_kinds_weight(const rub_kinds *k, size_t r) {
    return k->n ? k->weight[k->of[r]] : 1.0;
}

static inline bool rub_router_is_static(rub_router router) {
    return router == RUB_ROUTER_ROUND_ROBIN || router == RUB_ROUTER_RANDOM ||
           router == RUB_ROUTER_SESSION;
}

/* State of a static router. */
typedef struct rub_static_router {
    const rub_kinds *kinds;
    size_t n, turn;
    double *sum;  /* weighted random: sums of weights up to each replica (n) */
    double *due;  /* weighted round-robin: (requests so far + 1) / weight (n) */
    size_t *heap; /* replicas by (due, index) */
} rub_static_router;

rub_status rub_static_router_init(rub_static_router *router, const rub_kinds *kinds);
void rub_static_router_clear(rub_static_router *router);
size_t rub_static_route(rub_static_router *router, size_t i);

/* Load of a replica as the run's router counts it, requests or tokens, and how it compares it, lower
 * is better: (load + 1) / weight. */
int64_t rub_route_load(const rub_fleet *fleet, size_t r);
double rub_route_weighed(const rub_fleet *fleet, size_t r, int64_t load);

/* How many replicas the router may choose, and the nth (from 0) of them. */
size_t rub_fleet_count(const rub_fleet *fleet);
size_t rub_fleet_nth(const rub_fleet *fleet, size_t nth);

/* The replica for request i at at_s (SIZE_MAX: none is up), by looking at those that the router looks at. */
size_t rub_route_look(const rub_fleet *fleet, size_t i, double at_s);

/* As rub_route_look, for any router; turn: of round-robin. Kinds of replicas get no weights from
 * the routers that do not look. */
size_t rub_route_among(const rub_fleet *fleet, size_t i, double at_s, size_t *turn);
uint64_t rub_route_session_hash(const rub_run *run, size_t i, size_t r);

/* power-of-two: the two (or one and the same) that are looked at. */
void rub_route_pair(const rub_run *run, size_t i, size_t n, size_t pair[2]);

/* Makes the replicas: f->n, kind and kinds are set, replica has room. On errors (RUB_NO_MEMORY)
 * those made stand there. */
rub_status rub_fleet_make(rub_fleet *fleet);

/* Runs an open loop in which the router looks at the replicas (fleet.c). */
rub_status rub_fleet_feed(const rub_fleet *fleet, const rub_progress *progress);

#endif
