/* Commit: how many replicas to reserve when the need changes by the hour.
 *
 * A reserved replica is paid in every hour, another only in the hours that need it. The k-th is worth
 * reserving when the share of hours that need k or more is over reserved / other price: the
 * newsvendor's critical ratio on the distribution of the need (Arrow, Harris, Marschak, 1951). What
 * is not reserved is rented on demand, a share of the whole need as spot where that is cheaper. */
#include "size/size.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Cost of an hour that needs so many, with so many reserved. */
static double hour_usd(const rub_size_prices *p, int32_t need, int32_t reserved) {
    double above = need > reserved ? need - reserved : 0.0;
    double spot =
        p->spot_usd > 0 && p->spot_usd < p->on_demand_usd ? fmin(above, p->spot_share * need) : 0.0;
    return p->reserved_usd * reserved + p->spot_usd * spot + p->on_demand_usd * (above - spot);
}

static double mean_usd(const rub_size_prices *p, const int32_t *need, size_t n, int32_t reserved) {
    double sum = 0.0;
    for (size_t h = 0; h < n; h++)
        sum += hour_usd(p, need[h], reserved);
    return sum / (double)n;
}

rub_status rub_size_commit(const int32_t *need, size_t n, const rub_size_prices *prices,
                           rub_size_commitment *out, rub_error *err) {
    if (n == 0 || !(prices->reserved_usd >= 0) || !(prices->on_demand_usd > 0) ||
        !(prices->spot_share >= 0 && prices->spot_share <= 1))
        return rub_error_set(err, RUB_INVALID,
                             "commitment: found %zu hours, prices %g reserved and %g on demand, "
                             "expected an hour and prices over 0",
                             n, prices->reserved_usd, prices->on_demand_usd);
    int32_t *sorted = RUB_NEW(int32_t, n);
    if (!sorted)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu hours", n);
    rub_size_commitment c = {.usd_per_h = HUGE_VAL};
    for (size_t h = 0; h < n; h++) {
        sorted[h] = need[h];
        c.mean += (double)need[h] / (double)n;
    }
    qsort(sorted, n, sizeof *sorted, by_value);
    c.least = sorted[0];
    c.most = sorted[n - 1];
    /* cost is piecewise linear between the needs that occur: one of them, or none, is the best */
    for (size_t h = 0; h <= n; h++) {
        int32_t level = h == 0 ? 0 : sorted[h - 1];
        double usd = mean_usd(prices, need, n, level);
        if (usd < c.usd_per_h) {
            c.usd_per_h = usd;
            c.reserved = level;
        }
    }
    c.all_reserved_usd_per_h = mean_usd(prices, need, n, c.most);
    c.all_on_demand_usd_per_h = prices->on_demand_usd * c.mean;
    free(sorted);
    *out = c;
    return RUB_OK;
}
