/* Static routers: round-robin, random, session. */
#include "serve/route.h"

#include "base/array.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

/* Weighted round-robin: the replica that is due first, when replica r's next request is due at
 * (its requests + 1) / weight. A heap of replicas by (due, index). */
static bool sooner(const rub_static_router *s, size_t a, size_t b) {
    return s->due[a] < s->due[b] || (s->due[a] == s->due[b] && a < b);
}

static void sift_down(rub_static_router *s, size_t i) {
    size_t r = s->heap[i];
    for (size_t down; (down = 2 * i + 1) < s->n; i = down) {
        if (down + 1 < s->n && sooner(s, s->heap[down + 1], s->heap[down]))
            down++;
        if (!sooner(s, s->heap[down], r))
            break;
        s->heap[i] = s->heap[down];
    }
    s->heap[i] = r;
}

rub_status rub_static_router_init(rub_static_router *s, const rub_kinds *kinds) {
    double sum = 0.0;
    *s = (rub_static_router){.kinds = kinds, .n = (size_t)kinds->base->def->n_replica};
    if (kinds->n == 0)
        return RUB_OK;
    s->sum = RUB_NEW(double, s->n);
    s->due = RUB_NEW(double, s->n);
    s->heap = RUB_NEW(size_t, s->n);
    if (!s->sum || !s->due || !s->heap) {
        rub_static_router_clear(s);
        return RUB_NO_MEMORY;
    }
    for (size_t r = 0; r < s->n; r++) {
        s->sum[r] = sum += rub_kinds_weight(kinds, r);
        s->due[r] = 1.0 / rub_kinds_weight(kinds, r);
        s->heap[r] = r;
    }
    for (size_t i = s->n / 2 + 1; i-- > 0;)
        sift_down(s, i);
    return RUB_OK;
}

void rub_static_router_clear(rub_static_router *s) {
    free(s->sum);
    free(s->due);
    free(s->heap);
    *s = (rub_static_router){0};
}

static size_t round_robin(rub_static_router *s) {
    if (s->kinds->n == 0)
        return s->turn++ % s->n;
    size_t r = s->heap[0];
    s->due[r] += 1.0 / rub_kinds_weight(s->kinds, r);
    sift_down(s, 0);
    return r;
}

static size_t random_one(const rub_static_router *s, size_t i) {
    rub_rng rng = rub_rng_make(s->kinds->base->def->seed, i);
    if (s->kinds->n == 0)
        return (size_t)rub_rng_below(&rng, s->n);
    double u = rub_rng_uniform(&rng) * s->sum[s->n - 1];
    size_t low = 0, high = s->n - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->sum[middle] > u)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint64_t rub_route_session_hash(const rub_run *run, size_t i, size_t r) {
    uint64_t id = (uint64_t)(uint32_t)run->trace->session[i];
    uint64_t x = (id << 32 | r) + run->def->seed * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Rendezvous hashing (Thaler and Ravishankar 1998), weighted as in Schindelhauer and Schomaker
 * 2005: the session's replica is the one of greatest -weight / ln(u), u its hash in (0, 1]; when a
 * replica leaves, only its own sessions move. */
static size_t session(const rub_static_router *s, size_t i) {
    size_t best = 0;
    double most = -1.0;
    for (size_t r = 0; r < s->n; r++) {
        uint64_t x = rub_route_session_hash(s->kinds->base, i, r);
        double u = ((double)(x >> 11) + 0.5) * 0x1p-53;
        double score = s->kinds->n ? rub_kinds_weight(s->kinds, r) / -log(u) : u;
        if (score > most) {
            most = score;
            best = r;
        }
    }
    return best;
}

size_t rub_static_route(rub_static_router *s, size_t i) {
    switch (s->kinds->base->def->router) {
    case RUB_ROUTER_ROUND_ROBIN:
        return round_robin(s);
    case RUB_ROUTER_SESSION:
        return session(s, i);
    default:
        return random_one(s, i);
    }
}
