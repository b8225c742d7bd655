/* First prices: blocks and market answer each other in turns. Blocks choose at the market's prices, the
 * market clears at the average of what they chose so far (the conditional-gradient method of Frank and
 * Wolfe 1956 on the market's worth; steps 2 / (k + 2)). Far from the optimum that gets near in a few
 * rounds, where subgradient steps would take many; the limits that no market knows (budgets, supply) are
 * left to the multipliers. */
#include "portfolio/first_prices.h"

#include "base/array.h"
#include "base/tasks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64 }; /* nodes of one task */

typedef struct play {
    const rub_problem *p;
    rub_dual *dual;
    int32_t n_thread;
    rub_market **market;     /* by thread */
    double *mean, *now;      /* (n_node, n_cap) */
    rub_market_basis *basis; /* (n_node) */
    double *best;            /* unit and grid prices of the least bound */
    rub_prices *prices;
    rub_watch *watch; /* NULL in the first round */
} play;

static void clear_nodes(void *ctx, int32_t chunk, int32_t thread) {
    play *v = ctx;
    const rub_problem *p = v->p;
    size_t pools = (size_t)rub_market_n_cap(p), r = (size_t)p->n_region;
    if (!rub_watch_go(v->watch, thread == 0))
        return;
    for (int32_t n = chunk * CHUNK; n < p->n_node && n < (chunk + 1) * CHUNK; n++) {
        double *unit = v->prices->unit + (size_t)n * (r + 1),
               *grid = v->prices->grid + (size_t)n * r;
        rub_market_reclear(v->market[thread], n, v->mean + (size_t)n * pools, &v->basis[n], unit);
        rub_market_grid_prices(v->market[thread], n, grid);
        for (size_t i = 0; i <= r; i++)
            unit[i] *= v->prices->weight[n];
        for (size_t i = 0; i < r; i++)
            grid[i] *= v->prices->weight[n];
    }
}

static void keep(play *v, bool store) {
    size_t n = (size_t)v->p->n_node, r = (size_t)v->p->n_region;
    double *unit = v->best, *grid = v->best + n * (r + 1);
    if (store) {
        memcpy(unit, v->prices->unit, n * (r + 1) * sizeof *unit);
        memcpy(grid, v->prices->grid, n * r * sizeof *grid);
    } else {
        memcpy(v->prices->unit, unit, n * (r + 1) * sizeof *unit);
        memcpy(v->prices->grid, grid, n * r * sizeof *grid);
    }
}

static void run(play *v, int32_t rounds, rub_watch *watch, double *bound) {
    size_t all = (size_t)v->p->n_node * (size_t)rub_market_n_cap(v->p);
    for (int32_t k = 1; k <= rounds; k++) {
        v->watch = k == 1 ? NULL : watch;
        rub_dual_watch(v->dual, v->watch);
        rub_parallel_for((v->p->n_node + CHUNK - 1) / CHUNK, v->n_thread, clear_nodes, v);
        double here = rub_dual_bound(v->dual, v->prices);
        if (!isfinite(here))
            break;
        if (k == 1 || here < *bound) {
            *bound = here;
            keep(v, true);
        }
        rub_dual_caps(v->dual, v->now);
        for (size_t i = 0; i < all; i++)
            v->mean[i] += 2.0 / (k + 2) * (v->now[i] - v->mean[i]);
    }
    keep(v, false);
    rub_dual_watch(v->dual, watch);
}

rub_status rub_first_prices(const rub_problem *p, rub_dual *dual, int32_t n_thread,
                            const double *cap, int32_t rounds, rub_prices *prices, double *bound,
                            rub_watch *watch, rub_error *err) {
    size_t all = (size_t)p->n_node * (size_t)rub_market_n_cap(p);
    play v = {.p = p, .dual = dual, .n_thread = rub_thread_count(n_thread), .prices = prices};
    v.market = RUB_NEW(rub_market *, v.n_thread);
    v.mean = RUB_NEW(double, all);
    v.now = RUB_NEW(double, all);
    v.basis = RUB_NEW(rub_market_basis, p->n_node);
    v.best = RUB_NEW(double, (size_t)p->n_node *(size_t)(2 * p->n_region + 1));
    rub_status status = v.market && v.mean && v.now && v.basis && v.best
                            ? RUB_OK
                            : rub_error_set(err, RUB_NO_MEMORY, "out of memory for prices");
    for (int32_t i = 0; status == RUB_OK && i < v.n_thread; i++)
        status = rub_market_create(p, &v.market[i], err);
    if (status == RUB_OK) {
        memcpy(v.mean, cap, all * sizeof *cap);
        run(&v, rounds, watch, bound);
    }
    for (int32_t i = 0; v.market && i < v.n_thread; i++)
        rub_market_free(v.market[i]);
    free(v.market);
    free(v.mean);
    free(v.now);
    free(v.basis);
    free(v.best);
    return status;
}
