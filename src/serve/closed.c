/* Closed loop: the heap of sends, and the run. */
#include "serve/closed.h"

#include "base/array.h"
#include "serve/replica.h"

#include <math.h>
#include <stdlib.h>

rub_status rub_closed_init(rub_closed *closed, int32_t concurrency, double think_s) {
    *closed = (rub_closed){.think_s = think_s, .send_s = RUB_NEW(double, concurrency)};
    return closed->send_s ? RUB_OK : RUB_NO_MEMORY;
}

void rub_closed_clear(rub_closed *closed) {
    free(closed->send_s);
    *closed = (rub_closed){0};
}

void rub_closed_push(rub_closed *c, double send_s) {
    int32_t i = c->n++;
    for (int32_t up; i > 0 && send_s < c->send_s[up = (i - 1) / 2]; i = up)
        c->send_s[i] = c->send_s[up];
    c->send_s[i] = send_s;
}

double rub_closed_pop(rub_closed *c) {
    double first = c->send_s[0], last = c->send_s[--c->n];
    int32_t i = 0;
    for (int32_t down; (down = 2 * i + 1) < c->n; i = down) {
        if (down + 1 < c->n && c->send_s[down + 1] < c->send_s[down])
            down++;
        if (!(c->send_s[down] < last))
            break;
        c->send_s[i] = c->send_s[down];
    }
    c->send_s[i] = last;
    return first;
}

/* ---- the run -------------------------------------------------------------------------------- */

static rub_status advance_all(const rub_fleet *f, double until_s) {
    for (size_t r = 0; r < f->n; r++)
        RUB_TRY(f->kind->advance(f->replica[r], until_s));
    return RUB_OK;
}

/* Runs on to the next time at which a request ends; *idle when there is nothing left to do. One
 * replica runs freely and stops there by itself. Several go from one end of an iteration to the
 * next, because what ends in one of them may be sent to another at once. */
static rub_status to_next_end(const rub_fleet *f, rub_closed *closed, bool *idle) {
    *idle = false;
    if (f->n == 1) {
        closed->pause = true;
        rub_status status = f->kind->advance(f->replica[0], HUGE_VAL);
        closed->pause = false;
        *idle = closed->n == 0;
        return status;
    }
    while (closed->n == 0) {
        double next_s = HUGE_VAL;
        for (size_t r = 0; r < f->n; r++) {
            double end_s = HUGE_VAL;
            RUB_TRY(f->kind->next_end(f->replica[r], &end_s));
            next_s = end_s < next_s ? end_s : next_s;
        }
        if (isinf(next_s)) {
            *idle = true;
            return RUB_OK;
        }
        RUB_TRY(advance_all(f, next_s));
    }
    return RUB_OK;
}

/* Sends request i at a time that every replica has been advanced to. */
static rub_status send(const rub_fleet *f, rub_closed *closed, size_t i, double at_s) {
    f->run->times->arrival_s[i] = at_s;
    if (f->run->times->restarts[i] < 0) { /* rejected: an answer at once */
        rub_closed_ended(closed, at_s);
        return RUB_OK;
    }
    return f->kind->arrive(f->replica[rub_fleet_route(f, i, at_s)], (int32_t)i);
}

rub_status rub_closed_run(const rub_fleet *f, const rub_progress *progress) {
    const rub_run *run = f->run;
    rub_closed *closed = run->closed;
    size_t n_req = run->trace->n_req;
    for (int32_t c = 0; c < run->def->concurrency; c++)
        rub_closed_push(closed, 0.0);
    for (size_t i = 0; i < n_req; i++) {
        bool idle = false;
        if ((i & 0xfff) == 0xfff &&
            !rub_progress_report(progress, "simulating", (double)i, (double)n_req, NULL))
            return RUB_INTERRUPTED;
        if (closed->n == 0)
            RUB_TRY(to_next_end(f, closed, &idle));
        if (idle || closed->n == 0)
            return RUB_INTERNAL;
        /* ends before that time may bring sends before it only from think times of zero, and those
         * were waited for above */
        RUB_TRY(advance_all(f, closed->send_s[0]));
        double at_s = rub_closed_pop(closed);
        RUB_TRY(send(f, closed, i, at_s));
    }
    closed->n = 0; /* clients that have nothing left to send */
    return advance_all(f, HUGE_VAL);
}
