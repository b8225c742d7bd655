/* rubato forecast: a demand series to quantiles by quarter, or a study's process to a scenario tree. */
#include "cli/commands.h"
#include "cli/forecast.h"

#include "base/array.h"
#include "base/text.h"

#include "rubato/portfolio.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void defaults(void *settings) {
    *(forecast_settings *)settings = (forecast_settings){.seed = -1};
}

static bool ends_with(const char *path, const char *end) {
    size_t n = strlen(path), k = strlen(end);
    return n >= k && !strcmp(path + n - k, end);
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
        printf("\n%s [%s]\n  %-9s %18s %18s %18s %18s\n",
               json_string_value(json_object_get(demand, "demand")),
               json_string_value(json_object_get(demand, "unit")), "quarter", "p10", "p50", "p90",
               "mean");
        json_array_foreach(json_object_get(demand, "quarters"), t, row) {
            static const char *const shown[] = {"p10", "p50", "p90", "mean"};
            char number[32];
            printf("  %-9s", json_string_value(json_object_get(row, "quarter")));
            for (size_t q = 0; q < RUB_LEN(shown); q++)
                printf(" %18s",
                       rub_text_exact(json_real_value(json_object_get(row, shown[q])), 5, number));
            printf("\n");
        }
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
    return study ? run_study(args[0], settings) : forecast_series(args[0], settings);
}

static const char *const units[] = {"auto", "index", "ns", "us",  "ms",
                                    "s",    "min",   "h",  "day", NULL};
static const char *const steps[] = {"auto", "hour", "day", "week", "month", "quarter", NULL};
static const char *const rows[] = {"auto", "step", "quarter", NULL};

static const rub_option options[] = {
    {"time", RUB_OPTION_STRING, offsetof(forecast_settings, time), "COLUMN",
     "column of times in a series, by its name (the first)", 0, 0, NULL},
    {"value", RUB_OPTION_STRING, offsetof(forecast_settings, value), "COLUMN",
     "column of values, by its name (the second)", 0, 0, NULL},
    {"where", RUB_OPTION_LIST, offsetof(forecast_settings, where), "COLUMN=VALUE",
     "only rows that say so; may be given several times", 0, 0, NULL},
    {"unit", RUB_OPTION_CHOICE, offsetof(forecast_settings, unit), NULL,
     "numbers in the time column: a plain index, or time from 1970 on in this unit (auto: dates "
     "such "
     "as 20240305 and epoch s, ms, us or ns by their size, else an index)",
     0, 0, units},
    {"step", RUB_OPTION_CHOICE, offsetof(forecast_settings, step), NULL,
     "step of the series; closer values are averaged, or added with --sum (auto: the median "
     "distance "
     "of its times)",
     0, 0, steps},
    {"sum", RUB_OPTION_FLAG, offsetof(forecast_settings, sum), NULL,
     "add up the values of one step (counts) instead of averaging them (rates)", 0, 0, NULL},
    {"quarters", RUB_OPTION_INT, offsetof(forecast_settings, quarters), "N",
     "horizon in quarters (8, but no longer than the series itself; 8 steps for an index)", 1, 60,
     NULL},
    {"steps", RUB_OPTION_INT, offsetof(forecast_settings, steps), "N",
     "horizon in steps of the series, instead of quarters", 1, 100000, NULL},
    {"by", RUB_OPTION_CHOICE, offsetof(forecast_settings, by), NULL,
     "a row for each step or each calendar quarter (auto: steps with --steps and for horizons "
     "under "
     "a quarter or 24 steps)",
     0, 0, rows},
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
    .description =
        "A series (CSV of time and value, hourly to quarterly) is forecast by seasonal "
        "naive, damped trend with season and a "
        "growth curve, combined by a rolling back-test; quantiles come from the "
        "combination's own errors at each distance, and "
        "the share that they would have held is stated. Errors of the back-test stand "
        "beside the seasonal naive's, the yardstick: a method over 100 % of it is worth "
        "less than repeating the last cycle. A quarter's row is the mean over its steps. Which "
        "column, step, season and horizon were taken is printed.\n\n"
        "A study's demand process is simulated and reduced to its scenario tree; the "
        "fan of every demand is printed.",
    .examples =
        "  rubato forecast tokens_daily.csv --quarters 4\n"
        "  rubato forecast usage.csv --value output_tokens --where region=eu --step day --sum "
        "--steps 14\n"
        "  rubato forecast "
        "examples/hyperscaler-2025.yaml --json",
    .options = options,
    .settings_size = sizeof(forecast_settings),
    .defaults = defaults,
    .run = run};
