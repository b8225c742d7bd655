/* rubato validate: measured deployments against their predictions. */
#include "cli/commands.h"

#include "base/array.h"
#include "base/file.h"
#include "base/text.h"
#include "rubato/validate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct validate_settings {
    const char *rows;
    int64_t threads, requests_per_client, seed, folds;
    bool fit, json;
} validate_settings;

static void defaults(void *settings) {
    rub_validate_def d = rub_validate_default();
    *(validate_settings *)settings = (validate_settings){
        .requests_per_client = d.requests_per_client, .seed = (int64_t)d.seed, .folds = 10};
}

/* ---- groups ---------------------------------------------------------------------------------- */

enum { N_GROUPING = 5, MAX_GROUP = 128 };
static const char *const groupings[N_GROUPING] = {"system", "model", "engine", "precision",
                                                  "speculation"};
static const char *const drafts[] = {"none", "drafts", "not told"};

static const char *key_of(const rub_silicon_row *row, int grouping) {
    const char *key[N_GROUPING] = {row->system, row->model, row->engine, row->precision,
                                   drafts[row->drafts]};
    return *key[grouping] ? key[grouping] : "as published";
}

typedef struct selection {
    bool disagg;
    int grouping; /* -1: all */
    const char *key;
} selection;

static bool selected(const rub_silicon_row *row, const void *ctx) {
    const selection *s = ctx;
    return row->disagg == s->disagg &&
           (s->grouping < 0 || strcmp(key_of(row, s->grouping), s->key) == 0);
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Distinct keys of a grouping over the rows of a mode, sorted. */
static int keys_of(const rub_silicon *s, bool disagg, int grouping, const char *key[MAX_GROUP]) {
    int n = 0;
    for (size_t i = 0; i < s->n_row; i++) {
        const char *k = key_of(&s->row[i], grouping);
        int j = 0;
        while (j < n && strcmp(key[j], k) != 0)
            j++;
        if (s->row[i].disagg == disagg && j == n && n < MAX_GROUP)
            key[n++] = k;
    }
    qsort(key, (size_t)n, sizeof *key, by_text);
    return n;
}

/* Reasons why rows were not modelled, with counts, most frequent first. */
typedef struct reason {
    const char *text;
    size_t n;
} reason;

static int by_count(const void *a, const void *b) {
    const reason *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n) - (x->n > y->n) : strcmp(x->text, y->text);
}

static int reasons_of(const rub_silicon *s, reason out[MAX_GROUP]) {
    int n = 0;
    for (size_t i = 0; i < s->n_row; i++) {
        const char *why = s->row[i].reason;
        int j = 0;
        if (!*why)
            continue;
        while (j < n && strcmp(out[j].text, why) != 0)
            j++;
        if (j == n && n < MAX_GROUP)
            out[n++] = (reason){why, 0};
        if (j < n)
            out[j].n++;
    }
    qsort(out, (size_t)n, sizeof *out, by_count);
    return n;
}

/* ---- output ---------------------------------------------------------------------------------- */

static json_t *real(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static rub_status add_scores(const rub_silicon *s, const selection *sel, json_t *to,
                             rub_error *err) {
    rub_score score[RUB_N_METRIC];
    rub_status status = rub_silicon_score(s, selected, sel, score, err);
    for (int m = 0; status == RUB_OK && m < RUB_N_METRIC; m++) {
        json_t *o = json_object();
        json_object_set_new(o, "n", json_integer((json_int_t)score[m].n));
        json_object_set_new(o, "median_ape", real(score[m].median_ape));
        json_object_set_new(o, "mean_ape", real(score[m].mean_ape));
        json_object_set_new(o, "p90_ape", real(score[m].p90_ape));
        json_object_set_new(o, "bias", real(score[m].bias));
        json_object_set_new(o, "rank_correlation", real(score[m].rank_correlation));
        json_object_set_new(o, "ordered_frac", real(score[m].ordered_frac));
        json_object_set_new(to, rub_metric_names[m], o);
    }
    return status;
}

static rub_status add_mode(const rub_silicon *s, bool disagg, json_t *d, rub_error *err) {
    json_t *mode = json_object(), *groups = json_object();
    rub_status status = add_scores(s, &(selection){disagg, -1, NULL}, mode, err);
    for (int g = 0; g < N_GROUPING; g++) {
        const char *key[MAX_GROUP];
        json_t *grouping = json_object();
        int n = keys_of(s, disagg, g, key);
        for (int k = 0; status == RUB_OK && k < n; k++) {
            json_t *group = json_object();
            status = add_scores(s, &(selection){disagg, g, key[k]}, group, err);
            json_object_set_new(grouping, key[k], group);
        }
        json_object_set_new(groups, groupings[g], grouping);
    }
    json_object_set_new(mode, "groups", groups);
    json_object_set_new(d, disagg ? "disagg" : "agg", mode);
    return status;
}

/* Name and value of each constant, for both forms. */
typedef struct named {
    const char *name;
    double value;
} named;

enum { N_CONSTANT = 12 };

static void constants_of(const rub_engine_constants *c, named out[N_CONSTANT]) {
    const named all[N_CONSTANT] = {{"step_s", c->step_s},         {"per_seq_s", c->per_seq_s},
                                   {"prefill_s", c->prefill_s},   {"token_s", c->token_s},
                                   {"request_s", c->request_s},   {"wait_steps", c->wait_steps},
                                   {"poll_frac", c->poll_frac},   {"gemm", c->gemm},
                                   {"attention", c->attention},   {"moe", c->moe},
                                   {"collective", c->collective}, {"small", c->small}};
    memcpy(out, all, sizeof all);
}

static void add_constants(const rub_engine_constants *fitted, json_t *d) {
    json_t *engines = json_object();
    for (int e = 0; fitted && e <= RUB_BACKEND_TRTLLM; e++) {
        named c[N_CONSTANT];
        json_t *o = json_object();
        constants_of(&fitted[e], c);
        for (int i = 0; i < N_CONSTANT; i++)
            json_object_set_new(o, c[i].name, json_real(c[i].value));
        json_object_set_new(engines, rub_backend_name((rub_backend)e), o);
    }
    json_object_set_new(d, "constants", engines);
}

static void print_constants(const rub_engine_constants *fitted) {
    printf("\nconstants fitted on all rows; the errors above are of rows whose pair of model and "
           "system was left out\n");
    for (int e = 0; e <= RUB_BACKEND_TRTLLM; e++) {
        named c[N_CONSTANT];
        constants_of(&fitted[e], c);
        printf("  %s:", rub_backend_name((rub_backend)e));
        for (int i = 0; i < N_CONSTANT; i++)
            printf(" %s %.4g", c[i].name, c[i].value);
        printf("\n");
    }
}

static int print_json(const rub_silicon *s, const char *path, const rub_engine_constants *fitted) {
    reason why[MAX_GROUP];
    rub_error err = {0};
    json_t *d = json_object(), *left = json_array();
    rub_status status = add_mode(s, false, d, &err);
    if (status == RUB_OK)
        status = add_mode(s, true, d, &err);
    size_t n_left = 0;
    for (int i = 0, n = reasons_of(s, why); i < n; i++) {
        json_array_append_new(
            left, json_pack("{s:s,s:I}", "reason", why[i].text, "n", (json_int_t)why[i].n));
        n_left += why[i].n;
    }
    if (fitted)
        add_constants(fitted, d);
    json_object_set_new(d, "rows", json_integer((json_int_t)s->n_row));
    json_object_set_new(d, "modelled", json_integer((json_int_t)(s->n_row - n_left)));
    json_object_set_new(d, "not_modelled", left);
    json_object_set_new(d, "provenance",
                        json_pack("{s:s,s:s}", "rubato", rub_version(), "table", path));
    if (status == RUB_OK)
        return rub_command_print_json(d);
    json_decref(d);
    return rub_command_fail(&err);
}

static rub_status print_line(const rub_silicon *s, const char *name, const selection *sel,
                             rub_error *err) {
    rub_score c[RUB_N_METRIC];
    rub_status status = rub_silicon_score(s, selected, sel, c, err);
    if (status != RUB_OK || c[0].n == 0)
        return status;
    printf("  %-28.28s %5zu", name, c[0].n);
    for (int m = 0; m < RUB_N_METRIC; m++)
        printf(" |%6.1f%6.1f%6.1f %+6.1f %5.2f", 100 * c[m].median_ape, 100 * c[m].mean_ape,
               100 * c[m].p90_ape, 100 * c[m].bias, c[m].rank_correlation);
    printf(" | %5.1f\n", 100 * c[RUB_METRIC_THROUGHPUT].ordered_frac);
    return RUB_OK;
}

static rub_status print_mode(const rub_silicon *s, bool disagg, rub_error *err) {
    printf("%s\n  %-28s %5s | %-30s | %-30s | %-30s | pairs\n",
           disagg ? "\nprefill and decode apart (disaggregated)" : "one pool (aggregated)", "", "",
           "TPOT", "TTFT", "throughput per accelerator");
    printf("  %-28s %5s", "errors in %", "rows");
    for (int m = 0; m < RUB_N_METRIC; m++)
        printf(" |%6s%6s%6s %6s %5s", "p50", "mean", "p90", "bias", "rank");
    printf(" | right\n");
    rub_status status = print_line(s, "all", &(selection){disagg, -1, NULL}, err);
    for (int g = 0; g < N_GROUPING; g++) {
        const char *key[MAX_GROUP];
        int n = keys_of(s, disagg, g, key);
        for (int k = 0; status == RUB_OK && k < n; k++)
            status = print_line(s, key[k], &(selection){disagg, g, key[k]}, err);
    }
    return status;
}

static int print_text(const rub_silicon *s, const rub_engine_constants *fitted) {
    rub_error err = {0};
    reason why[MAX_GROUP];
    rub_status status = print_mode(s, false, &err);
    if (status == RUB_OK)
        status = print_mode(s, true, &err);
    int n = reasons_of(s, why);
    if (n > 0)
        printf("\nnot modelled:\n");
    for (int i = 0; i < n; i++)
        printf("  %5zu %s\n", why[i].n, why[i].text);
    if (fitted)
        print_constants(fitted);
    return status == RUB_OK ? 0 : rub_command_fail(&err);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void quoted(rub_text *t, const char *text) {
    rub_text_add(t, "\"");
    for (; *text; text++)
        rub_text_add(t, *text == '"' ? "\"\"" : "%c", *text);
    rub_text_add(t, "\"");
}

static void value(rub_text *t, double x) {
    if (isnan(x))
        rub_text_add(t, ",");
    else
        rub_text_add(t, ",%.6g", x);
}

static rub_status write_rows(const rub_silicon *s, const char *path, rub_error *err) {
    rub_text t = {0};
    rub_text_add(&t,
                 "id,mode,engine,model,system,precision,isl,osl,concurrency,accelerators,tp,dp,ep");
    rub_text_add(&t, ",ttft_measured_ms,ttft_predicted_ms,tpot_measured_ms,tpot_predicted_ms");
    rub_text_add(&t, ",throughput_measured,throughput_predicted,reason,speculation,draft_tok");
    rub_text_add(&t, ",workers,prefill_workers,prefill_tp,prefill_dp,prefill_ep\n");
    for (size_t i = 0; i < s->n_row; i++) {
        const rub_silicon_row *r = &s->row[i];
        rub_text_add(&t, "%s,%s,%s,%s,%s,%s,%d,%d,%d,%d,%d,%d,%d", r->id,
                     r->disagg ? "disagg" : "agg", r->engine, r->model, r->system, r->precision,
                     r->input_tok, r->output_tok, r->concurrency, rub_silicon_accelerators(r),
                     r->pool.tp, r->pool.dp, r->pool.ep);
        value(&t, 1e3 * r->ttft_s);
        value(&t, 1e3 * r->ttft_predicted_s);
        value(&t, 1e3 * r->tpot_s);
        value(&t, 1e3 * r->tpot_predicted_s);
        value(&t, rub_silicon_measured(r, RUB_METRIC_THROUGHPUT));
        value(&t, rub_silicon_predicted(r, RUB_METRIC_THROUGHPUT));
        rub_text_add(&t, ",");
        quoted(&t, r->reason);
        const rub_silicon_pool *p = &r->prefill;
        rub_text_add(&t, ",%s,%d,%d,%d,%d,%d,%d\n", drafts[r->drafts], r->draft_tok,
                     r->pool.workers, p->workers, p->tp, p->dp, p->ep);
    }
    rub_status status = t.failed ? rub_error_set(err, RUB_NO_MEMORY, "out of memory")
                                 : rub_file_write(path, t.data, t.n, err);
    rub_text_clear(&t);
    return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args;
    const validate_settings *s = settings;
    rub_validate_def def = rub_validate_default();
    def.n_thread = (int32_t)s->threads;
    def.requests_per_client = (int32_t)s->requests_per_client;
    def.seed = (uint64_t)s->seed;
    rub_engine_constants fitted[RUB_BACKEND_TRTLLM + 1];
    rub_catalog *catalog = NULL;
    rub_silicon silicon = {0};
    rub_error err = {0};
    rub_progress progress = rub_command_progress();
    rub_status status = rub_catalog_load(&catalog, &err);
    if (status == RUB_OK)
        status = rub_silicon_read(args[0], &silicon, &err);
    if (status == RUB_OK)
        status = s->fit ? rub_silicon_fit(&silicon, catalog, &def, (int32_t)s->folds, &progress,
                                          fitted, &err)
                        : rub_silicon_predict(&silicon, catalog, &def, &progress, &err);
    if (status == RUB_OK && s->rows)
        status = write_rows(&silicon, s->rows, &err);
    int rc = status != RUB_OK ? rub_command_fail(&err)
             : s->json        ? print_json(&silicon, args[0], s->fit ? fitted : NULL)
                              : print_text(&silicon, s->fit ? fitted : NULL);
    rub_silicon_clear(&silicon);
    rub_catalog_free(catalog);
    return rc;
}

#define OPTION(name, kind, field, meta, help, min, max)                                            \
    { name, RUB_OPTION_##kind, offsetof(validate_settings, field), meta, help, min, max, NULL }

static const rub_option options[] = {
    OPTION("rows", STRING, rows, "FILE", "write each row's measured and predicted values as CSV", 0,
           0),
    OPTION("requests-per-client", INT, requests_per_client, "N",
           "length of each simulated run (10, as the benchmark)", 1, 1000),
    OPTION("fit", FLAG, fit, NULL,
           "fit the engines' constants on the aggregated rows and report errors on pairs of model "
           "and system that were left out",
           0, 0),
    OPTION("folds", INT, folds, "N", "with --fit: folds that pairs are dealt out to (10)", 2, 1000),
    OPTION("threads", INT, threads, "N", "threads; 0 = all cores; results are the same", 0, 1024),
    OPTION("seed", INT, seed, "N", "seed of the requests' lengths (1)", 0, 9e15),
    RUB_OPTION_JSON(validate_settings),
    {0}};

const rub_command rub_cmd_validate = {
    .name = "validate",
    .summary = "predict measured deployments and report how far off the predictions are",
    .arguments = "FILE",
    .min_args = 1,
    .max_args = 1,
    .description =
        "FILE is a table of measured deployments (columns of ai-dynamo/aiconfigurator's "
        "silicon_sample.csv: id, backend, model_path, system, precision, mode, isl, osl, layout, "
        "concurrency, silicon_ttft_ms, silicon_tpot_ms); .gz is read directly. Each row is "
        "simulated as a closed loop with its concurrency, and TPOT, TTFT and output tokens per "
        "second and accelerator are compared with what was measured.\n\n"
        "Errors are shares of the measured value, in % as text and as fractions with --json; bias "
        "is the median of predicted / measured - 1; rank is Spearman's correlation; pairs right "
        "is the share of pairs of deployments of the same model and lengths whose order in "
        "throughput per accelerator is predicted. Rows that cannot be modelled are counted with "
        "the reason.",
    .examples = "  rubato validate silicon.csv.gz --rows predicted.csv",
    .options = options,
    .settings_size = sizeof(validate_settings),
    .defaults = defaults,
    .run = run};
