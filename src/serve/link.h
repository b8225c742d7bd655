/* Links: transfers that share a bandwidth equally (processor sharing), first started first served
 * among those that end together.
 *
 * A link keeps virtual time, the bytes that each of its transfers has moved so far: a transfer of b
 * bytes that starts at virtual time v ends at v + b whatever joins or leaves meanwhile, so the next
 * end is the least of a heap and nothing is updated one by one. */
#ifndef RUB_SERVE_LINK_H
#define RUB_SERVE_LINK_H

#include "rubato/base.h"

typedef struct rub_transfer {
    double end_bytes; /* in virtual time */
    int64_t number;   /* in order of starts */
    int32_t id;
} rub_transfer;

typedef struct rub_link {
    double bytes_per_s;
    double now_s, moved_bytes; /* virtual time moved_bytes at now_s */
    rub_transfer *heap;
    size_t n, cap;
    int64_t n_started;
    double busy_s;
} rub_link;

void rub_link_clear(rub_link *link);

/* A transfer starts at at_s, not before the last call's time. Errors: RUB_NO_MEMORY. */
rub_status rub_link_start(rub_link *link, int32_t id, double bytes, double at_s);

double rub_link_next_end(const rub_link *link); /* HUGE_VAL: none */

/* Takes the next one off, at the time that rub_link_next_end told. */
int32_t rub_link_end(rub_link *link);

#endif
