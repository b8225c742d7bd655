/* rubato forecast: a demand series to quantiles by quarter, or a study's process to a scenario tree. */
#include "cli/commands.h"

#include "rubato/portfolio.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct forecast_settings {
    const char *time, *value;
    rub_option_values where;
    int unit;
    bool sum;
    int64_t quarters, steps, seed;
    bool json;
} forecast_settings;

static void defaults(void *settings) {
    *(forecast_settings *)settings = (forecast_settings){.quarters = 8, .seed = -1};
}

static bool ends_with(const char *path, const char *end) {
    size_t n = strlen(path), k = strlen(end);
    return n >= k && !strcmp(path + n - k, end);
}

/* ---- a series ------------------------------------------------------------------------------- */

static int32_t steps_in(const rub_series *s, const forecast_settings *set) {
    static const double in_quarter[] = {1, 2191.5, 91.31, 13.04, 3, 1};
    if (set->steps > 0)
        return (int32_t)set->steps;
    return (int32_t)ceil(in_quarter[s->step] * (double)set->quarters);
}

/* Calendar quarter that step i of the forecast falls in; an index has none. */
static int32_t quarter_of(const rub_series *s, int32_t i) {
    static const double days[] = {1, 1.0 / 24, 1, 7, 30.44, 91.31};
    double day = s->first_day + days[s->step] * (s->n + i) + 0.5 * days[s->step];
    int32_t year = 1970 + (int32_t)floor(day / 365.2425);
    double within = day - floor((year - 1970) * 365.2425);
    int32_t q = (int32_t)(within / 91.31);
    return year * 4 + (q < 0 ? 0 : q > 3 ? 3 : q);
}

/* Means over the steps of each quarter; of each step for an index. */
static json_t *by_quarter(const rub_series *s, const rub_forecast *f) {
    json_t *rows = json_array();
    for (int32_t i = 0; i < f->h;) {
        char name[24];
        double sum[4] = {0}, n = 0;
        int32_t q = s->step == RUB_STEP_INDEX ? i : quarter_of(s, i);
        for (; i < f->h && (s->step == RUB_STEP_INDEX ? i : quarter_of(s, i)) == q; i++, n++) {
            const double *all[] = {f->p10, f->p50, f->p90, f->mean};
            for (int k = 0; k < 4; k++)
                sum[k] += all[k][i];
        }
        if (s->step == RUB_STEP_INDEX)
            snprintf(name, sizeof name, "+%d", q + 1);
        else
            rub_quarter_text(q, name, sizeof name);
        json_array_append_new(rows, json_pack("{s:s,s:i,s:f,s:f,s:f,s:f}", "quarter", name, "steps",
                                              (int)n, "p10", sum[0] / n, "p50", sum[1] / n, "p90",
                                              sum[2] / n, "mean", sum[3] / n));
    }
    return rows;
}

static json_t *series_document(const char *path, const rub_series *s, const rub_forecast *f) {
    json_t *methods = json_array(), *d = json_object();
    for (int k = 0; k <= RUB_N_FORECAST; k++)
        json_array_append_new(methods,
                              json_pack("{s:s,s:f,s:f,s:f}", "method", rub_forecast_method_text(k),
                                        "mase", f->score[k].mase, "smape", f->score[k].smape,
                                        "weight", f->score[k].weight));
    json_object_set_new(d, "file", json_string(path));
    json_object_set_new(d, "values", json_integer(s->n));
    json_object_set_new(d, "step", json_string(rub_step_text(s->step)));
    json_object_set_new(d, "season", json_integer(s->season));
    json_object_set_new(d, "filled", json_integer(s->n_filled));
    json_object_set_new(d, "merged", json_integer(s->n_merged));
    json_object_set_new(d, "horizon_steps", json_integer(f->h));
    json_object_set_new(d, "quarters", by_quarter(s, f));
    json_object_set_new(
        d, "backtest",
        json_pack("{s:i,s:o,s:o}", "origins", f->n_origin, "methods", methods, "coverage_p10_p90",
                  isfinite(f->coverage_80) ? json_real(f->coverage_80) : json_null()));
    return d;
}

static void series_text(const json_t *d) {
    size_t i;
    json_t *row;
    printf("%s: %lld values, step %s, season %lld\n\n  %-9s %12s %12s %12s %12s\n",
           json_string_value(json_object_get(d, "file")),
           (long long)json_integer_value(json_object_get(d, "values")),
           json_string_value(json_object_get(d, "step")),
           (long long)json_integer_value(json_object_get(d, "season")), "quarter", "p10", "p50",
           "p90", "mean");
    json_array_foreach(json_object_get(d, "quarters"), i, row) printf(
        "  %-9s %12.5g %12.5g %12.5g %12.5g\n", json_string_value(json_object_get(row, "quarter")),
        json_real_value(json_object_get(row, "p10")), json_real_value(json_object_get(row, "p50")),
        json_real_value(json_object_get(row, "p90")),
        json_real_value(json_object_get(row, "mean")));
    json_int_t filled = json_integer_value(json_object_get(d, "filled"));
    json_int_t merged = json_integer_value(json_object_get(d, "merged"));
    if (filled || merged)
        printf("\nnoticed: %lld steps without a value took the one before, %lld values shared a "
               "step with another\n",
               (long long)filled, (long long)merged);
    json_t *test = json_object_get(d, "backtest");
    printf("\nback-test over %lld origins, on values not seen:\n  %-15s %8s %8s %8s\n",
           (long long)json_integer_value(json_object_get(test, "origins")), "method", "MASE",
           "sMAPE", "weight");
    json_array_foreach(json_object_get(test, "methods"), i, row)
        printf("  %-15s %8.3f %6.1f %% %8.2f\n", json_string_value(json_object_get(row, "method")),
               json_real_value(json_object_get(row, "mase")),
               100 * json_real_value(json_object_get(row, "smape")),
               json_real_value(json_object_get(row, "weight")));
    printf("p10 to p90 held %.0f %% of the values left out (80 %% wanted)\n",
           100 * json_number_value(json_object_get(test, "coverage_p10_p90")));
}

static int run_series(const char *path, const forecast_settings *s) {
    rub_series series = {0};
    rub_forecast f = {0};
    rub_error err = {0};
    static const double unit_days[] = {0.0, 1.0 / 86400, 1.0 / 1440, 1.0 / 24, 1.0};
    rub_series_read_def def = {.time_column = s->time,
                               .value_column = s->value,
                               .where = s->where.values,
                               .n_where = s->where.n,
                               .unit_days = unit_days[s->unit],
                               .sum = s->sum};
    rub_status status = rub_series_read(path, &def, &series, &err);
    if (status == RUB_OK)
        status = rub_forecast_make(&series, steps_in(&series, s), &f, &err);
    int rc = status == RUB_OK ? 0 : rub_command_fail(&err);
    if (status == RUB_OK) {
        json_t *d = series_document(path, &series, &f);
        if (s->json)
            rc = rub_command_print_json(json_incref(d));
        else
            series_text(d);
        json_decref(d);
    }
    rub_forecast_clear(&f);
    rub_series_clear(&series);
    return rc;
}

/* ---- a study -------------------------------------------------------------------------------- */

typedef struct weighted {
    double value, weight;
} weighted;

static int ascending(const void *a, const void *b) {
    double x = ((const weighted *)a)->value, y = ((const weighted *)b)->value;
    return (x > y) - (x < y);
}

static double tree_quantile(const rub_tree *tree, int32_t t, int32_t column, double q,
                            weighted *scratch) {
    size_t n = 0;
    double sum = 0.0;
    for (int32_t k = 0; k < tree->n_node; k++)
        if (tree->quarter[k] == t)
            scratch[n++] = (weighted){
                tree->feature[(size_t)k * (size_t)tree->n_feature + (size_t)column], tree->prob[k]};
    qsort(scratch, n, sizeof *scratch, ascending);
    for (size_t i = 0; i < n; i++) {
        sum += scratch[i].weight;
        if (sum >= q - 1e-12)
            return scratch[i].value;
    }
    return n ? scratch[n - 1].value : NAN;
}

static double tree_mean(const rub_tree *tree, int32_t t, int32_t column) {
    double sum = 0.0;
    for (int32_t k = 0; k < tree->n_node; k++)
        if (tree->quarter[k] == t)
            sum +=
                tree->prob[k] * tree->feature[(size_t)k * (size_t)tree->n_feature + (size_t)column];
    return sum;
}

static json_t *study_document(const rub_study *study, const rub_tree *tree,
                              const rub_tree_loss *loss, weighted *scratch) {
    json_t *d = json_object(), *demands = json_array();
    rub_features f = rub_features_of(study);
    for (int32_t i = 0; i < study->n_demand; i++) {
        json_t *rows = json_array();
        for (int32_t t = 0; t < tree->n_quarter; t++) {
            char quarter[16];
            int32_t c = f.demand + i;
            rub_quarter_text(study->start_q + t, quarter, sizeof quarter);
            json_array_append_new(rows, json_pack("{s:s,s:f,s:f,s:f,s:f}", "quarter", quarter,
                                                  "p10", tree_quantile(tree, t, c, 0.1, scratch),
                                                  "p50", tree_quantile(tree, t, c, 0.5, scratch),
                                                  "p90", tree_quantile(tree, t, c, 0.9, scratch),
                                                  "mean", tree_mean(tree, t, c)));
        }
        json_array_append_new(demands,
                              json_pack("{s:s,s:s,s:o}", "demand", study->demand[i].name, "unit",
                                        study->demand[i].load_class == RUB_TRAINING
                                            ? "accelerator-equivalents"
                                            : "tok/s",
                                        "quarters", rows));
    }
    json_object_set_new(d, "study", json_string(study->name));
    json_object_set_new(d, "tree",
                        json_pack("{s:i,s:i,s:i,s:f,s:f,s:f}", "nodes", tree->n_node, "leaves",
                                  tree->n_leaf, "paths",
                                  study->tree.n_node ? 0 : study->process.n_path, "distance",
                                  loss->distance_frac, "mean_error", loss->mean_error_frac,
                                  "talks_error", loss->talks_error));
    json_object_set_new(d, "demands", demands);
    return d;
}

static void study_text(const json_t *d) {
    const json_t *tree = json_object_get(d, "tree");
    size_t i, t;
    json_t *demand, *row;
    printf(
        "%s: %lld nodes, %lld leaves from %lld paths; a path is %.0f %% from its node on average\n",
        json_string_value(json_object_get(d, "study")),
        (long long)json_integer_value(json_object_get(tree, "nodes")),
        (long long)json_integer_value(json_object_get(tree, "leaves")),
        (long long)json_integer_value(json_object_get(tree, "paths")),
        100 * json_real_value(json_object_get(tree, "distance")));
    json_array_foreach(json_object_get(d, "demands"), i, demand) {
        printf("\n%s [%s]\n  %-9s %12s %12s %12s %12s\n",
               json_string_value(json_object_get(demand, "demand")),
               json_string_value(json_object_get(demand, "unit")), "quarter", "p10", "p50", "p90",
               "mean");
        json_array_foreach(json_object_get(demand, "quarters"), t, row)
            printf("  %-9s %12.5g %12.5g %12.5g %12.5g\n",
                   json_string_value(json_object_get(row, "quarter")),
                   json_real_value(json_object_get(row, "p10")),
                   json_real_value(json_object_get(row, "p50")),
                   json_real_value(json_object_get(row, "p90")),
                   json_real_value(json_object_get(row, "mean")));
    }
}

static int run_study(const char *path, const forecast_settings *s) {
    rub_study *study = NULL;
    rub_paths paths = {0};
    rub_tree tree = {0};
    rub_tree_loss loss = {0};
    rub_error err = {0};
    weighted *scratch = NULL;
    rub_status status = rub_study_read(path, NULL, 0, &study, &err);
    if (status == RUB_OK && s->seed >= 0)
        study->seed = (uint64_t)s->seed;
    if (status == RUB_OK && study->tree.n_node == 0)
        status = rub_process_simulate(study, study->process.n_path, study->seed, &paths, &err);
    if (status == RUB_OK)
        status = rub_tree_reduce(study, study->tree.n_node ? NULL : &paths, &tree, &loss, &err);
    if (status == RUB_OK && !(scratch = calloc((size_t)tree.n_node, sizeof *scratch)))
        status = rub_error_set(&err, RUB_NO_MEMORY, "out of memory");
    int rc = status == RUB_OK ? 0 : rub_command_fail(&err);
    if (status == RUB_OK) {
        json_t *d = study_document(study, &tree, &loss, scratch);
        if (s->json)
            rc = rub_command_print_json(json_incref(d));
        else
            study_text(d);
        json_decref(d);
    }
    free(scratch);
    rub_tree_clear(&tree);
    rub_paths_clear(&paths);
    rub_study_free(study);
    return rc;
}

static int run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args;
    bool study = ends_with(args[0], ".yaml") || ends_with(args[0], ".yml");
    return study ? run_study(args[0], settings) : run_series(args[0], settings);
}

static const char *const units[] = {"index", "s", "min", "h", "day", NULL};

static const rub_option options[] = {
    {"time", RUB_OPTION_STRING, offsetof(forecast_settings, time), "COLUMN",
     "column of times in a series (the first)", 0, 0, NULL},
    {"value", RUB_OPTION_STRING, offsetof(forecast_settings, value), "COLUMN",
     "column of values (the second)", 0, 0, NULL},
    {"where", RUB_OPTION_LIST, offsetof(forecast_settings, where), "COLUMN=VALUE",
     "only rows that say so; may be given several times", 0, 0, NULL},
    {"unit", RUB_OPTION_CHOICE, offsetof(forecast_settings, unit), NULL,
     "numbers in the time column: a plain index, or time from 1970 on in this unit (index)", 0, 0,
     units},
    {"sum", RUB_OPTION_FLAG, offsetof(forecast_settings, sum), NULL,
     "add up the values of one step (counts) instead of averaging them (rates)", 0, 0, NULL},
    {"quarters", RUB_OPTION_INT, offsetof(forecast_settings, quarters), "N",
     "quarters ahead (8); steps for a plain index", 1, 60, NULL},
    {"steps", RUB_OPTION_INT, offsetof(forecast_settings, steps), "N",
     "steps of the series ahead, instead of quarters", 1, 100000, NULL},
    {"seed", RUB_OPTION_INT, offsetof(forecast_settings, seed), "N",
     "seed of a study's paths (the study's)", 0, 9e15, NULL},
    RUB_OPTION_JSON(forecast_settings),
    {0}};

const rub_command rub_cmd_forecast = {
    .name = "forecast",
    .summary = "a demand series to quantiles by quarter, or a study's process to a scenario tree",
    .arguments = "SERIES.csv | STUDY.yaml",
    .min_args = 1,
    .max_args = 1,
    .description = "A series (CSV of time and value, hourly to quarterly) is forecast by seasonal "
                   "naive, damped trend with season and a "
                   "growth curve, combined by a rolling back-test; quantiles come from the "
                   "combination's own errors at each distance, and "
                   "the share that they would have held is stated.\n\n"
                   "A study's demand process is simulated and reduced to its scenario tree; the "
                   "fan of every demand is printed.",
    .examples = "  rubato forecast tokens_daily.csv --quarters 4\n  rubato forecast "
                "examples/hyperscaler-2025.yaml --json",
    .options = options,
    .settings_size = sizeof(forecast_settings),
    .defaults = defaults,
    .run = run};
