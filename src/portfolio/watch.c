#include "portfolio/watch.h"

#include "base/ranks.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void rub_watch_start(rub_watch *w, const rub_progress *progress, double limit_s) {
    w->progress = progress;
    w->started_s = now_s();
    w->limit_s = limit_s;
    w->bound = HUGE_VAL;
    w->value = -HUGE_VAL;
    atomic_store(&w->state, RUB_WATCH_GO);
}

double rub_watch_spent_s(const rub_watch *w) { return now_s() - w->started_s; }

static bool tell(const rub_watch *w, double spent_s) {
    char extra[96];
    if (isfinite(w->bound) && isfinite(w->value))
        snprintf(extra, sizeof extra, "bound $%.4gB, plan $%.4gB, gap %.2f %%", w->bound / 1e9,
                 w->value / 1e9, 100 * fmax(0.0, w->bound - w->value) / fmax(1.0, fabs(w->value)));
    else
        snprintf(extra, sizeof extra, "first plan");
    double total = isfinite(w->limit_s) ? w->limit_s : spent_s + 1.0;
    return rub_progress_report(w->progress, "planning", fmin(spent_s, 0.999 * total), total, extra);
}

bool rub_watch_go(rub_watch *w, bool caller) {
    if (!w)
        return true;
    if (atomic_load_explicit(&w->state, memory_order_relaxed) != RUB_WATCH_GO)
        return false;
    int expected = RUB_WATCH_GO;
    double spent = rub_watch_spent_s(w);
    if (caller && !tell(w, spent))
        atomic_compare_exchange_strong(&w->state, &expected, RUB_WATCH_STOPPED);
    else if (spent >= w->limit_s)
        atomic_compare_exchange_strong(&w->state, &expected, RUB_WATCH_TIME);
    return atomic_load_explicit(&w->state, memory_order_relaxed) == RUB_WATCH_GO;
}

bool rub_watch_agree(rub_watch *w, const rub_ranks *ranks) {
    if (!w || rub_ranks_n(ranks) == 1)
        return rub_watch_go(w, true);
    rub_watch_go(w, true);
    for (int32_t r = 0; r < ranks->n; r++) {
        int state = atomic_load(&w->state);
        rub_ranks_share(ranks, &state, sizeof state, r);
        if (state != RUB_WATCH_GO)
            atomic_store(&w->state, state);
    }
    return atomic_load(&w->state) == RUB_WATCH_GO;
}
