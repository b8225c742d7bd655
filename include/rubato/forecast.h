/* Forecast: demand series to quantiles, and a study's demand process to simulated paths. */
#ifndef RUBATO_FORECAST_H
#define RUBATO_FORECAST_H

#include "rubato/study.h"

/* What a path knows in each quarter, as columns in this order. Counts come from the study.
 *   demand[n_demand]          load [tokens/s or accelerator-equivalents], partner's leaving
 * included price[n_generation]       accelerator price factor, shocks only (trend is the study's)
 *   available[n_generation]   1 when it may be ordered
 *   yield                     inference tokens/s per MW relative to the start (trend and shocks)
 *   rent                      rental price factor
 *   depth                     rental and sublet depth factor
 *   grid[n_region]            grid limit factor
 *   left[n_partner]           share of the partner's load that has gone
 *   rofr[n_partner]           1 when the right of first refusal is exercised this quarter
 *   talks[n_site]             1 when the site's talks closed (from close_q on), else 0
 *   regime                    index of the regime */
typedef struct rub_features {
    int32_t demand, price, available, yield, rent, depth, grid, left, rofr, talks, regime;
    int32_t n; /* columns in all */
} rub_features;

rub_features rub_features_of(const rub_study *study);

/* Simulated futures. value[(path * n_quarter + quarter) * n_feature + column]. */
typedef struct rub_paths {
    int32_t n_path, n_quarter, n_feature;
    double *value;
} rub_paths;

/* Simulates n_path futures of the study's process from seed; path i depends on (seed, i) only, so
 * any number of threads gives the same bytes. Cost O(n_path * n_quarter * n_feature). */
rub_status rub_process_simulate(const rub_study *study, int32_t n_path, uint64_t seed,
                                rub_paths *out, rub_error *err);
void rub_paths_clear(rub_paths *paths);

#endif
