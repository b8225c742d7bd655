/* rubato forecast SERIES.csv: what was read, the forecast by step or quarter, the back-test. */
#include "cli/forecast.h"

#include "base/array.h"
#include "base/text.h"
#include "base/units.h"
#include "rubato/forecast.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#define SHORT 24 /* steps of a horizon that are shown one by one */

typedef struct view {
    const rub_series *s;
    const rub_forecast *f;
    bool by_quarter;
    bool cut; /* the horizon is as long as the series, not the 8 quarters of the default */
} view;

static double steps_in_quarter(const rub_series *s) {
    return s->step == RUB_STEP_QUARTER ? 1.0 : s->step == RUB_STEP_MONTH ? 3.0 : 91.31 / s->length;
}

/* Without an order: 8 quarters, but no further ahead than the series reaches back. */
static int32_t horizon(const rub_series *s, const forecast_settings *set, bool *cut) {
    if (set->steps > 0)
        return (int32_t)set->steps;
    double quarters = set->quarters > 0 ? (double)set->quarters : 8.0;
    double h = s->step == RUB_STEP_INDEX ? quarters : ceil(steps_in_quarter(s) * quarters);
    *cut = set->quarters == 0 && h > s->n;
    return *cut ? s->n : (int32_t)fmin(h, 100000.0);
}

static bool by_quarter(const rub_series *s, const forecast_settings *set, int32_t h) {
    if (s->step == RUB_STEP_INDEX || set->by == 1)
        return false;
    return set->by == 2 || (set->steps == 0 && h > SHORT && h > steps_in_quarter(s));
}

/* Middle of step i of the forecast, days since 1970. */
static double middle_of(const rub_series *s, int32_t i) {
    return s->first_day + s->length * (s->n + i) + 0.5 * s->length;
}

/* Quarters since year 0, or since the series' end where it has no calendar. */
static int32_t quarter_of(const rub_series *s, int32_t i) {
    int year, month, day;
    if (!s->calendar)
        return (int32_t)(i / steps_in_quarter(s));
    rub_series_date(middle_of(s, i), &year, &month, &day);
    return 4 * year + (month - 1) / 3;
}

static void quarter_name(const rub_series *s, int32_t quarter, char *buf, size_t size) {
    if (s->calendar)
        rub_quarter_text(quarter, buf, size);
    else
        snprintf(buf, size, "+%d", quarter + 1);
}

/* A step by its beginning, as its file would write it; by its distance without a calendar. */
static void step_name(const rub_series *s, int32_t i, char *buf, size_t size) {
    int year, month, day;
    double at = s->first_day + s->length * (s->n + i);
    if (s->step == RUB_STEP_INDEX)
        snprintf(buf, size, "%.10g", at);
    else if (!s->calendar)
        snprintf(buf, size, "+%d", i + 1);
    else if (s->step == RUB_STEP_QUARTER)
        rub_quarter_text(quarter_of(s, i), buf, size);
    else if (s->step == RUB_STEP_MONTH) {
        rub_series_date(middle_of(s, i), &year, &month, &day);
        snprintf(buf, size, "%04d-%02d", year, month);
    } else {
        double minutes = round(at * 1440); /* hours are not whole in a day's fractions */
        rub_series_date(floor(minutes / 1440), &year, &month, &day);
        int of_day = (int)(minutes - 1440 * floor(minutes / 1440));
        if (s->step == RUB_STEP_HOUR)
            snprintf(buf, size, "%04d-%02d-%02d %02d:%02d", year, month, day, of_day / 60,
                     of_day % 60);
        else
            snprintf(buf, size, "%04d-%02d-%02d", year, month, day);
    }
}

static json_t *row(const view *v, int32_t first, int32_t n) {
    const rub_forecast *f = v->f;
    const double *all[] = {f->p10, f->p50, f->p90, f->mean};
    double sum[4] = {0};
    char name[48];
    for (int32_t i = first; i < first + n; i++)
        for (int k = 0; k < 4; k++)
            sum[k] += all[k][i] / n;
    if (v->by_quarter)
        quarter_name(v->s, quarter_of(v->s, first), name, sizeof name);
    else
        step_name(v->s, first, name, sizeof name);
    return json_pack("{s:s,s:i,s:b,s:f,s:f,s:f,s:f}", v->by_quarter ? "quarter" : "step", name,
                     "steps", n, "tested", first + n <= f->h_tested, "p10", sum[0], "p50", sum[1],
                     "p90", sum[2], "mean", sum[3]);
}

static json_t *rows_of(const view *v) {
    json_t *rows = json_array();
    for (int32_t i = 0, n; i < v->f->h; i += n) {
        for (n = 1;
             v->by_quarter && i + n < v->f->h && quarter_of(v->s, i + n) == quarter_of(v->s, i);)
            n++;
        json_array_append_new(rows, row(v, i, n));
    }
    return rows;
}

static json_t *real_or_null(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *backtest(const rub_forecast *f) {
    json_t *methods = json_array();
    for (int k = 0; k <= RUB_N_FORECAST; k++)
        json_array_append_new(
            methods,
            json_pack("{s:s,s:f,s:f,s:o,s:f}", "method", rub_forecast_method_text(k), "mase",
                      f->score[k].mase, "smape", f->score[k].smape, "to_seasonal_naive",
                      real_or_null(f->score[k].to_naive), "weight", f->score[k].weight));
    return json_pack("{s:i,s:i,s:o,s:o}", "origins", f->n_origin, "steps", f->h_tested, "methods",
                     methods, "coverage_p10_p90", real_or_null(f->coverage_80));
}

static json_t *document(const char *path, const view *v) {
    const rub_series *s = v->s;
    json_t *d = json_object();
    json_object_set_new(d, "file", json_string(path));
    json_object_set_new(d, "time_column", json_string(s->time_name));
    json_object_set_new(d, "value_column", json_string(s->value_name));
    json_object_set_new(d, "times",
                        json_string(s->clock                    ? s->clock
                                    : s->step == RUB_STEP_INDEX ? "index"
                                    : s->calendar               ? "dates"
                                                                : "counted from 0"));
    json_object_set_new(d, "values", json_integer(s->n));
    json_object_set_new(d, "step", json_string(rub_step_text(s->step)));
    json_object_set_new(d, "season", json_integer(s->season));
    json_object_set_new(d, "filled", json_integer(s->n_filled));
    json_object_set_new(d, "merged", json_integer(s->n_merged));
    json_object_set_new(d, "horizon_steps", json_integer(v->f->h));
    json_object_set_new(d, v->by_quarter ? "quarters" : "forecast", rows_of(v));
    json_object_set_new(d, "backtest", backtest(v->f));
    return d;
}

/* ---- text ----------------------------------------------------------------------------------- */

/* A plain index whose name says that it counts time. */
static const char *unit_hint(const rub_series *s) {
    static const char *const names[][2] = {{"second", "s"},   {"minute", "min"}, {"hour", "h"},
                                           {"day", "day"},    {"t_s", "s"},      {"ms", "ms"},
                                           {"timestamp", "s"}};
    for (size_t i = 0; s->step == RUB_STEP_INDEX && i < RUB_LEN(names); i++)
        if (!strncasecmp(s->time_name, names[i][0], strlen(names[i][0])))
            return names[i][1];
    return NULL;
}

static void what_was_read(const char *path, const view *v) {
    const rub_series *s = v->s;
    const char *hint = unit_hint(s);
    printf("%s: '%s' over '%s'%s%s%s, %d values, step %s", path, s->value_name, s->time_name,
           s->clock ? " (" : "", s->clock ? s->clock : "", s->clock ? ")" : "", s->n,
           rub_step_text(s->step));
    if (s->step == RUB_STEP_INDEX)
        printf(" of %.6g, no season", s->length);
    else if (s->season > 1)
        printf(", season of %d steps", s->season);
    else
        printf(", no season (it takes two cycles and two steps)");
    printf("\n");
    if (hint)
        printf("  '%s' is taken for a plain index; --unit %s would count it as time and look for a "
               "season\n",
               s->time_name, hint);
    if (v->cut)
        printf(
            "  %d steps ahead, as many as there are values; --quarters or --steps ask for more\n",
            v->f->h);
}

static void forecast_rows(const view *v) {
    bool beyond = false;
    size_t i;
    json_t *r, *rows = rows_of(v);
    const char *key = v->by_quarter ? "quarter" : "step";
    char head[48], number[32];
    snprintf(head, sizeof head, "%s", v->by_quarter ? "quarter" : rub_step_text(v->s->step));
    printf("\n  %-16s %18s %18s %18s %18s\n", head, "p10", "p50", "p90", "point");
    json_array_foreach(rows, i, r) {
        bool tested = json_is_true(json_object_get(r, "tested"));
        static const char *const shown[] = {"p10", "p50", "p90", "mean"};
        printf("  %-16s", json_string_value(json_object_get(r, key)));
        for (size_t q = 0; q < RUB_LEN(shown); q++)
            printf(" %18s",
                   rub_text_exact(json_real_value(json_object_get(r, shown[q])), 5, number));
        printf("%s\n", tested ? "" : " *");
        beyond = beyond || !tested;
    }
    json_decref(rows);
    if (v->by_quarter)
        printf("  means over the steps of a quarter; point: the combination, before quantiles\n");
    if (beyond)
        printf("  * further ahead than the %d steps that the back-test could try: extrapolated\n",
               v->f->h_tested);
}

static void scores(const rub_forecast *f) {
    printf("\nback-test over %d origins, up to %d steps ahead, on values not seen:\n  %-15s %8s "
           "%8s %20s "
           "%8s\n",
           f->n_origin, f->h_tested, "method", "MASE", "sMAPE", "of seasonal naive", "weight");
    for (int k = 0; k <= RUB_N_FORECAST; k++) {
        const rub_forecast_score *c = &f->score[k];
        printf("  %-15s %8.3f %6.1f %% ", rub_forecast_method_text(k), c->mase, 100 * c->smape);
        if (isfinite(c->to_naive))
            printf("%18.0f %%", 100 * c->to_naive);
        else
            printf("%20s", "-");
        printf(" %8.2f\n", c->weight);
    }
    if (f->score[RUB_N_FORECAST].to_naive > 1.0)
        printf(
            "  the combination is no better than repeating the last cycle: take its quantiles as "
            "width, not as a trend\n");
    printf("p10 to p90 held %.0f %% of the values left out (80 %% wanted)\n", 100 * f->coverage_80);
}

static void print_text(const char *path, const view *v) {
    what_was_read(path, v);
    forecast_rows(v);
    if (v->s->n_filled || v->s->n_merged)
        printf("\nnoticed: %d of %d steps had no value and took the one before; %d values shared a "
               "step "
               "with another\n",
               v->s->n_filled, v->s->n, v->s->n_merged);
    scores(v->f);
}

int forecast_series(const char *path, const forecast_settings *set) {
    /* auto, index, then days in each unit */
    static const double unit_days[] = {0.0,           0.0,           1.0 / 86400e9,
                                       1.0 / 86400e6, 1.0 / 86400e3, 1.0 / 86400,
                                       1.0 / 1440,    1.0 / 24,      1.0};
    rub_series series = {0};
    rub_forecast f = {0};
    rub_error err = {0};
    rub_series_read_def def = {.time_column = set->time,
                               .value_column = set->value,
                               .where = set->where.values,
                               .n_where = set->where.n,
                               .unit_days = unit_days[set->unit],
                               .index = set->unit == 1,
                               .step = (rub_step_kind)set->step,
                               .sum = set->sum};
    view v = {.s = &series, .f = &f};
    rub_status status = rub_series_read(path, &def, &series, &err);
    if (status == RUB_OK)
        status = rub_forecast_make(&series, horizon(&series, set, &v.cut), &f, &err);
    int rc = 0;
    if (status != RUB_OK)
        rc = rub_command_fail(&err);
    else {
        v.by_quarter = by_quarter(&series, set, f.h);
        if (set->json)
            rc = rub_command_print_json(document(path, &v));
        else
            print_text(path, &v);
    }
    rub_forecast_clear(&f);
    rub_series_clear(&series);
    return rc;
}
