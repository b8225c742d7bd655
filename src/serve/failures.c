/* Failures: units of neighbouring replicas (one, those of a node, of a rack) break and are
 * repaired; a replica is up when none of the units over it is broken. Its requests go elsewhere
 * with all that they had to be prefilled again, none is lost. */
#include "serve/world.h"

#include "base/array.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

/* Each unit has a random stream of its own. */
static double draw(rub_world *w, int64_t what, bool failure) {
    const rub_serve_failure *x = &w->def->failure[what / w->def->n_replica];
    double e = rub_rng_exponential(&w->luck[what]);
    if (!failure)
        return e * x->repair_s;
    /* Weibull of that mean: scale * e^(1/shape), scale = mean / gamma(1 + 1/shape) */
    return x->shape == 1.0 ? e * x->mtbf_s
                           : pow(e, 1.0 / x->shape) * x->mtbf_s / tgamma(1.0 + 1.0 / x->shape);
}

rub_status rub_failures_init(rub_world *w) {
    int64_t n = w->def->n_replica, n_unit = n * w->def->n_failure;
    w->luck = RUB_NEW(rub_rng, n_unit);
    if (!w->luck)
        return RUB_NO_MEMORY;
    for (int64_t what = 0; what < n_unit; what++)
        w->luck[what] = rub_rng_make(w->def->seed ^ 0xfa11u, (uint64_t)what);
    for (int64_t level = 0; level < w->def->n_failure; level++) {
        int64_t size = w->def->failure[level].n_replica;
        for (int64_t unit = 0; unit * size < n; unit++) {
            int64_t what = level * n + unit;
            RUB_TRY(rub_events_add(&w->events, draw(w, what, true), RUB_EVENT_FAIL, what));
        }
    }
    return RUB_OK;
}

static void range(const rub_world *w, int64_t what, size_t *from, size_t *to) {
    size_t n = w->fleet->n, size = (size_t)w->def->failure[what / w->def->n_replica].n_replica;
    *from = (size_t)(what % w->def->n_replica) * size;
    *to = *from + size < n ? *from + size : n;
}

static int by_id(const void *a, const void *b) {
    int32_t x = ((const rub_traveller *)a)->id, y = ((const rub_traveller *)b)->id;
    return (x > y) - (x < y);
}

/* Its requests travel; they are sent when all of the unit is down. */
static rub_status breaks(rub_world *w, size_t r, rub_travellers *out) {
    w->up[r] = false;
    if (w->broken[r]++ > 0)
        return RUB_OK;
    w->since_s[r + w->fleet->n] = w->now_s;
    w->totals->n_failure++;
    RUB_TRY(w->fleet->kind->fail(w->fleet->replica[r], w->now_s, out));
    rub_world_touch(w, r);
    return RUB_OK;
}

static rub_status send_all(rub_world *w, rub_travellers *out) {
    qsort(out->one, out->n, sizeof *out->one, by_id);
    for (size_t k = 0; k < out->n; k++) {
        w->fleet->run->times->restarts[out->one[k].id]++;
        w->totals->n_retry++;
        RUB_TRY(rub_world_send(w, out->one[k]));
    }
    return RUB_OK;
}

rub_status rub_failures_fail(rub_world *w, int64_t what) {
    size_t from, to;
    rub_travellers out = {0};
    rub_status status = RUB_OK;
    range(w, what, &from, &to);
    for (size_t r = from; r < to && status == RUB_OK; r++)
        status = breaks(w, r, &out);
    if (status == RUB_OK && out.n > 0)
        status = send_all(w, &out);
    free(out.one);
    RUB_TRY(status);
    return rub_events_add(&w->events, w->now_s + draw(w, what, false), RUB_EVENT_REPAIR, what);
}

rub_status rub_failures_repair(rub_world *w, int64_t what) {
    size_t from, to;
    range(w, what, &from, &to);
    for (size_t r = from; r < to; r++) {
        if (--w->broken[r] > 0)
            continue;
        w->totals->down_s += w->now_s - w->since_s[r + w->fleet->n];
        RUB_TRY(rub_world_is_up(w, r));
    }
    return rub_events_add(&w->events, w->now_s + draw(w, what, true), RUB_EVENT_FAIL, what);
}
