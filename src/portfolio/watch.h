/* Watch: may the work go on? Asked from inside loops, on any thread; once it may not it never may again. */
#ifndef RUB_PORTFOLIO_WATCH_H
#define RUB_PORTFOLIO_WATCH_H

#include "rubato/base.h"

#include <stdatomic.h>

typedef enum rub_watch_state { RUB_WATCH_GO, RUB_WATCH_TIME, RUB_WATCH_STOPPED } rub_watch_state;

typedef struct rub_watch {
    const rub_progress *progress; /* asked, and told the best so far, on the caller's thread only */
    double started_s, limit_s;    /* limit HUGE_VAL: none */
    double bound, value;          /* best so far, for the line */
    _Atomic int state;
} rub_watch;

void rub_watch_start(rub_watch *watch, const rub_progress *progress, double limit_s);
double rub_watch_spent_s(const rub_watch *watch);

/* false: time is up or the user wants the best so far. NULL: always true. caller: this is the thread that
 * called the solver (0 of rub_parallel_for). */
bool rub_watch_go(rub_watch *watch, bool caller);

/* The same answer on every rank: false where any may not go on. All ranks must ask. */
bool rub_watch_agree(rub_watch *watch, const rub_ranks *ranks);

#endif
