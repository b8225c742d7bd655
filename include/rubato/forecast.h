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
/* The same for paths first .. first + n_path - 1 of the seed's sequence: parts that fit memory. */
rub_status rub_process_simulate_from(const rub_study *study, int32_t first, int32_t n_path,
                                     uint64_t seed, rub_paths *out, rub_error *err);
void rub_paths_clear(rub_paths *paths);

/* What the yearly season makes of a load in calendar quarter q. */
double rub_process_season(double amplitude, int32_t q);

/* ---- demand series ------------------------------------------------------------------------- */

typedef enum rub_step_kind {
    RUB_STEP_INDEX,
    RUB_STEP_HOUR,
    RUB_STEP_DAY,
    RUB_STEP_WEEK,
    RUB_STEP_MONTH,
    RUB_STEP_QUARTER
} rub_step_kind;

const char *rub_step_text(rub_step_kind step);

/* Equally spaced values; gaps of the file are filled by the value before and counted; several values
 * of one step are averaged or added up. */
typedef struct rub_series {
    int32_t n, season;  /* season: steps in a cycle (24, 7, 52, 12, 4; 1 = none) */
    rub_step_kind step; /* told from the median distance of the dates */
    double first_day;   /* of the first value, days since 1970; index: the first index */
    double length;      /* of a step [days]; index: distance of two values */
    bool calendar;      /* first_day is a date: false for an index, and for numbers before 1980 */
    const char
        *clock; /* what numbers were taken for: "epoch seconds", ...; NULL: dates, an index */
    char time_name[64], value_name[64]; /* of the columns; "column 1" without a header */
    int32_t n_filled;                   /* steps without a value */
    int32_t n_merged;                   /* values that joined another in its step */
    double *value;                      /* (n) */
} rub_series;

/* How to read; zero is a file of two columns with dates. */
typedef struct rub_series_read_def {
    const char *time_column, *value_column; /* names; NULL: the first, the second */
    const char *const *where;               /* "COLUMN=VALUE": only rows that say so (n_where) */
    size_t n_where;
    /* Numbers in the time column count so many days from 1970 on; 0: told by their size (seconds,
     * milliseconds, microseconds or nanoseconds of 1990 to 2100; 20240305 is a date), else an index */
    double unit_days;
    bool index;         /* numbers are an index whatever their size */
    rub_step_kind step; /* of dates; RUB_STEP_INDEX: from their median distance */
    bool sum;           /* values of one step are added up instead of averaged */
} rub_series_read_def;

/* Civil date of a day since 1970. */
void rub_series_date(double day, int *year, int *month, int *day_of_month);

/* Reads a CSV. Times: 2024-03-05[ hh:mm], 2024/03/05, 2024-03, 2024-Q3, 2024Q3, or plain numbers, in any order. A first
 * line that holds a time and a value is no header. def may be NULL. Errors with line and column. */
rub_status rub_series_read(const char *path, const rub_series_read_def *def, rub_series *out,
                           rub_error *err);
rub_status rub_series_read_memory(const char *name, const char *bytes, size_t n,
                                  const rub_series_read_def *def, rub_series *out, rub_error *err);
void rub_series_clear(rub_series *series);

enum { RUB_METHOD_SNAIVE, RUB_METHOD_DAMPED, RUB_METHOD_GROWTH, RUB_N_FORECAST };
const char *rub_forecast_method_text(int method);

/* Point forecast of one method for h steps after the n values given. Values may be of any sign;
 * the growth curve needs positive ones (else it repeats the last). */
rub_status rub_forecast_point(int method, const double *value, int32_t n, int32_t season, int32_t h,
                              double *out);

/* How a method, or their combination (last), did on origins that it had not seen. */
typedef struct rub_forecast_score {
    double mase,
        smape; /* mean absolute scaled error (by the seasonal naive in sample), symmetric MAPE */
    double
        to_naive; /* mean absolute error over the seasonal naive's on the same values; NaN: that is 0 */
    double weight; /* in the combination */
} rub_forecast_score;

typedef struct rub_forecast {
    int32_t h;                      /* steps ahead */
    double *p10, *p50, *p90, *mean; /* by step (h) */
    rub_forecast_score score[RUB_N_FORECAST + 1];
    int32_t n_origin;   /* of the back-test */
    int32_t h_tested;   /* steps ahead that it tried; beyond, quantiles are extrapolated */
    double coverage_80; /* share of left-out values inside p10..p90 of the other origins */
} rub_forecast;

/* Combination of the methods, weighted by a rolling back-test; quantiles from its errors by distance.
 * Errors: RUB_INVALID (fewer than 8 values, h out of range). */
rub_status rub_forecast_make(const rub_series *series, int32_t h, rub_forecast *out,
                             rub_error *err);
void rub_forecast_clear(rub_forecast *forecast);

#endif
