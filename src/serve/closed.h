/* Closed loop: a fixed number of clients, each of which sends its next request think_s after its
 * last one ended. Requests are taken from the trace in order, whoever sends them, as serving
 * benchmarks with a cap on concurrency do; the trace's arrival times are not looked at.
 *
 * A run in a closed loop keeps the times of sends to come in a heap. Replicas report every request
 * that ends (rub_closed_ended) and, when asked to pause, stop at the end of that iteration, so that
 * what is sent at that time is seen by the next one. */
#ifndef RUB_SERVE_CLOSED_H
#define RUB_SERVE_CLOSED_H

#include "rubato/base.h"

typedef struct rub_closed {
    double think_s;
    double *send_s; /* binary heap, earliest first (concurrency) */
    int32_t n;
    bool pause; /* replicas stop at the boundary after a request has ended */
} rub_closed;

/* Room for as many sends as there are clients; each has at most one to come. */
rub_status rub_closed_init(rub_closed *closed, int32_t concurrency, double think_s);
void rub_closed_clear(rub_closed *closed);

void rub_closed_push(rub_closed *closed, double send_s);
double rub_closed_pop(rub_closed *closed); /* n > 0 */

static inline void rub_closed_ended(rub_closed *closed, double now_s) {
    if (closed)
        rub_closed_push(closed, now_s + closed->think_s);
}

static inline bool rub_closed_pauses(const rub_closed *closed) {
    return closed && closed->pause && closed->n > 0;
}

#endif
