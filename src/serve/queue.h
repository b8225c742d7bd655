/* Waiting requests of a replica in the order of the run: as they come (a ring; a preempted one goes
 * to the head) or by rank (a binary heap). */
#ifndef RUB_SERVE_QUEUE_H
#define RUB_SERVE_QUEUE_H

#include "serve/waiting.h"

typedef struct rub_queue {
    const int64_t *rank; /* of each request, or NULL: as they come */
    rub_waiting fifo;
    rub_waiter *heap;
    size_t n_heap, cap;
    int64_t tok; /* to prefill, all of them */
} rub_queue;

void rub_queue_clear(rub_queue *queue);

rub_status rub_queue_push(rub_queue *queue, rub_waiter one);       /* arrives */
rub_status rub_queue_push_front(rub_queue *queue, rub_waiter one); /* comes back */
rub_waiter rub_queue_pop(rub_queue *queue);

rub_waiter *rub_queue_find(rub_queue *queue, int32_t id); /* present; O(n) */
void rub_queue_drop(rub_queue *queue, int32_t id);        /* present; O(n) */

static inline int64_t rub_queue_n(const rub_queue *q) {
    return q->rank ? (int64_t)q->n_heap : q->fifo.n;
}

static inline const rub_waiter *rub_queue_first(const rub_queue *q) {
    return q->rank ? q->heap : rub_waiting_first(&q->fifo);
}

#endif
