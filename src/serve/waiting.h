/* Waiting: a replica's queue, first come first served, with preempted requests put back at its
 * head. A ring of entries whose room is a power of two. */
#ifndef RUB_SERVE_WAITING_H
#define RUB_SERVE_WAITING_H

#include "rubato/base.h"

typedef struct rub_waiter {
    int32_t id;
    int32_t prefill; /* tokens to prefill: the input, or all that was processed before preemption */
    double last_s;   /* time of its last token; NaN before the first */
    bool pull;       /* prefilled elsewhere: its KV comes over a link once it is admitted */
    bool unseen;     /* asynchronous scheduling: its newest token is still in flight */
} rub_waiter;

typedef struct rub_waiting {
    rub_waiter *ring;
    uint32_t head, n, room;
    int64_t tok; /* to prefill, all of them */
} rub_waiting;

rub_status rub_waiting_grow(rub_waiting *waiting);
void rub_waiting_clear(rub_waiting *waiting);

static inline rub_status rub_waiting_push(rub_waiting *w, rub_waiter one) {
    if (w->n == w->room && rub_waiting_grow(w) != RUB_OK)
        return RUB_NO_MEMORY;
    w->tok += one.prefill;
    w->ring[(w->head + w->n++) & (w->room - 1)] = one;
    return RUB_OK;
}

static inline rub_status rub_waiting_push_front(rub_waiting *w, rub_waiter one) {
    if (w->n == w->room && rub_waiting_grow(w) != RUB_OK)
        return RUB_NO_MEMORY;
    w->head = (w->head - 1) & (w->room - 1);
    w->ring[w->head] = one;
    w->tok += one.prefill;
    w->n++;
    return RUB_OK;
}

static inline const rub_waiter *rub_waiting_first(const rub_waiting *w) {
    return &w->ring[w->head];
}

static inline void rub_waiting_pop(rub_waiting *w) {
    w->tok -= w->ring[w->head].prefill;
    w->head = (w->head + 1) & (w->room - 1);
    w->n--;
}

#endif
