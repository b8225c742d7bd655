/* rubato size: the cheapest fleets that meet latency targets for a trace. */
#include "cli/commands.h"

#include "base/array.h"
#include "base/text.h"
#include "rubato/size.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct size_settings {
    const char *trace, *columns, *model, *weights, *kv_dtype;
    rub_option_values accelerators;
    const char *target[7];
    double rate, time_scale;
    int64_t show, threads;
    bool json;
} size_settings;

static const char *const target_name[] = {"ttft-p50", "ttft-p90", "ttft-p99", "tpot-p50",
                                          "tpot-p90", "tpot-p99", "e2e-p99"};

static void defaults(void *settings) {
    *(size_settings *)settings = (size_settings){.time_scale = 1.0, .show = 12};
}

/* "0.25", "250ms", "2 s" */
static rub_status seconds(const char *option, const char *text, double *out, rub_error *err) {
    char *end;
    double x = strtod(text, &end);
    while (*end == ' ')
        end++;
    double unit = !*end || !strcmp(end, "s") ? 1.0 : !strcmp(end, "ms") ? 1e-3 : 0.0;
    if (end == text || unit == 0.0 || !(x > 0) || !isfinite(x))
        return rub_error_set(err, RUB_INVALID,
                             "--%s: found '%.40s', expected a time such as 250ms or 0.25", option,
                             text);
    *out = x * unit;
    return RUB_OK;
}

typedef struct work {
    rub_catalog *catalog;
    rub_model model;
    rub_trace trace;
    rub_trace_report report;
    const rub_accelerator **accel;
    rub_size_def def;
    rub_size_result result;
} work;

static rub_status pick_accelerators(const size_settings *s, work *w, rub_error *err) {
    size_t n = s->accelerators.n ? s->accelerators.n : (size_t)w->catalog->n_accelerator;
    w->accel = RUB_NEW(const rub_accelerator *, n);
    if (!w->accel)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        if (s->accelerators.n)
            RUB_TRY(
                rub_catalog_accelerator(w->catalog, s->accelerators.values[i], &w->accel[i], err));
        else
            w->accel[i] = &w->catalog->accelerator[i];
    }
    w->def.accel = w->accel;
    w->def.n_accel = (int32_t)n;
    return RUB_OK;
}

static rub_status search(const size_settings *s, work *w, rub_error *err) {
    rub_trace_read_def read = {.columns = s->columns, .time_scale = s->time_scale, .hash = true};
    rub_progress progress = rub_command_progress();
    w->def = rub_size_default();
    double *target = &w->def.targets.ttft_p50_s;
    if (!s->trace || !s->model)
        return rub_error_set(err, RUB_INVALID, "--trace and --model are needed");
    for (size_t i = 0; i < RUB_LEN(target_name); i++)
        if (s->target[i])
            RUB_TRY(seconds(target_name[i], s->target[i], &target[i], err));
    w->def.weights = s->weights;
    w->def.kv_cache = s->kv_dtype;
    w->def.rate_per_s = s->rate;
    w->def.n_thread = (int32_t)s->threads;
    RUB_TRY(rub_trace_read(s->trace, &read, &w->trace, &w->report, err));
    RUB_TRY(rub_catalog_load(&w->catalog, err));
    RUB_TRY(rub_catalog_model_find(w->catalog, s->model, &w->model, err));
    RUB_TRY(pick_accelerators(s, w, err));
    return rub_size_search(&w->model, &w->trace, &w->def, &progress, &w->result, err);
}

static json_t *candidate_json(const rub_size_candidate *c) {
    json_t *o = json_object();
    json_object_set_new(o, "accelerator", json_string(c->accel->name));
    json_object_set_new(o, "tp", json_integer(c->tp));
    json_object_set_new(o, "weights", json_string(c->weights));
    json_object_set_new(o, "kv_cache", json_string(c->kv_cache));
    json_object_set_new(o, "max_seqs", json_integer(c->max_seqs));
    json_object_set_new(o, "max_batch_tok", json_integer(c->max_batch_tok));
    json_object_set_new(o, "fits", json_boolean(c->fits));
    json_object_set_new(o, "meets", json_boolean(c->rate_per_s > 0));
    if (c->reason[0])
        json_object_set_new(o, "reason", json_string(c->reason));
    if (!(c->rate_per_s > 0))
        return o;
    json_object_set_new(o, "replica_rate_per_s", json_real(c->rate_per_s));
    json_object_set_new(o, "replica_tok_per_s", json_real(c->tok_per_s));
    json_object_set_new(o, "replicas", json_integer(c->replicas));
    json_object_set_new(o, "accelerators", json_integer(c->accelerators));
    json_object_set_new(o, "usd_per_h", json_real(c->usd_per_h));
    json_object_set_new(o, "usd_per_mtok", json_real(c->usd_per_mtok));
    json_object_set_new(o, "mw", json_real(c->mw));
    json_object_set_new(o, "replica_watts", json_real(c->watts));
    json_object_set_new(o, "tok_per_s_per_mw", json_real(c->tok_per_s_per_mw));
    json_object_set_new(o, "ttft_p99_s", json_real(c->ttft_p99_s));
    json_object_set_new(o, "tpot_p99_s", json_real(c->tpot_p99_s));
    json_object_set_new(o, "frontier", json_boolean(c->frontier));
    return o;
}

static int print_json(const size_settings *s, const work *w) {
    char hash[24];
    json_t *d = json_object(), *all = json_array();
    for (int32_t i = 0; i < w->result.n; i++)
        json_array_append_new(all, candidate_json(&w->result.candidate[i]));
    bool meets = w->result.n > 0 && w->result.candidate[0].rate_per_s > 0;
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)w->report.hash);
    json_object_set_new(d, "outcome", json_string(meets ? "met" : "no fleet meets the targets"));
    if (meets)
        json_object_set_new(d, "best", candidate_json(&w->result.candidate[0]));
    json_object_set_new(d, "candidates", all);
    json_object_set_new(d, "simulations", json_integer(w->result.n_simulation));
    json_object_set_new(d, "provenance",
                        json_pack("{s:s,s:s,s:s,s:s,s:s}", "rubato", rub_version(), "trace",
                                  s->trace, "trace_fnv1a64", hash, "model", w->model.name, "perf",
                                  "roofline of the catalog (calculated, not calibrated)"));
    int rc = rub_command_print_json(d);
    return rc ? rc : meets ? 0 : 1;
}

static void row(const rub_size_candidate *c) {
    printf("%c %-14s %3d  %-6s %6lld  %8.3g %6d %7d %10.2f %8.3f %8.3f %8.0f %8.1f\n",
           c->frontier ? '*' : ' ', c->accel->name, c->tp, c->weights, (long long)c->max_batch_tok,
           c->rate_per_s, c->replicas, c->accelerators, c->usd_per_h, c->usd_per_mtok, c->mw,
           1e3 * c->ttft_p99_s, 1e3 * c->tpot_p99_s);
}

static void print_misses(const rub_size_result *r) {
    int shown = 0;
    for (int32_t i = 0; i < r->n && shown < 6; i++)
        if (!(r->candidate[i].rate_per_s > 0)) {
            const rub_size_candidate *c = &r->candidate[i];
            if (shown++ == 0)
                printf("\nnot possible, for instance:\n");
            printf("  %s x %d, %s: %s\n", c->accel->name, c->tp, c->weights, c->reason);
        }
}

static int print_text(const size_settings *s, const work *w) {
    const rub_size_result *r = &w->result;
    int32_t met = 0;
    while (met < r->n && r->candidate[met].rate_per_s > 0)
        met++;
    printf("%s for %s: %d layouts tried, %lld simulations, %d meet the targets\n", w->model.name,
           s->trace, r->n, (long long)r->n_simulation, met);
    if (met) {
        printf("\n  %-14s %3s  %-6s %6s  %8s %6s %7s %10s %8s %8s %8s %8s\n", "accelerator", "tp",
               "weight", "budget", "req/s", "repl.", "accel.", "$/h", "$/Mtok", "MW", "TTFT p99",
               "TPOT p99");
        for (int32_t i = 0; i < met && i < (int32_t)s->show; i++)
            row(&r->candidate[i]);
        printf("  * on the frontier of cost against TPOT; req/s is one replica's within the "
               "targets; times in ms\n");
        const rub_size_candidate *b = &r->candidate[0];
        printf("\ncheapest: %d replicas of %d x %s (%s), $%.2f an hour, %.4g MW of IT power\n",
               b->replicas, b->tp, b->accel->name, b->weights, b->usd_per_h, b->mw);
    } else
        printf("\nno fleet meets the targets\n");
    print_misses(r);
    return met ? 0 : 1;
}

static int run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args, (void)args;
    const size_settings *s = settings;
    work *w = calloc(1, sizeof *w);
    rub_error err = {0};
    rub_status status =
        w ? search(s, w, &err) : rub_error_set(&err, RUB_NO_MEMORY, "out of memory");
    rub_command_progress_end();
    int rc = status != RUB_OK ? rub_command_fail(&err)
             : s->json        ? print_json(s, w)
                              : print_text(s, w);
    if (w) {
        rub_size_result_clear(&w->result);
        rub_trace_clear(&w->trace);
        free(w->accel);
        rub_catalog_free(w->catalog);
    }
    free(w);
    return rc;
}

#define TARGET(i, what)                                                                            \
    {                                                                                              \
        target_names_##i, RUB_OPTION_STRING,                                                       \
            offsetof(size_settings, target) + (i) * sizeof(char *), "TIME", what, 0, 0, NULL       \
    }
#define target_names_0 "ttft-p50"
#define target_names_1 "ttft-p90"
#define target_names_2 "ttft-p99"
#define target_names_3 "tpot-p50"
#define target_names_4 "tpot-p90"
#define target_names_5 "tpot-p99"
#define target_names_6 "e2e-p99"

static const rub_option options[] = {
    {"trace", RUB_OPTION_STRING, offsetof(size_settings, trace), "FILE", "the trace to serve", 0, 0,
     NULL},
    {"columns", RUB_OPTION_STRING, offsetof(size_settings, columns), "MAP",
     "columns of a CSV of another shape", 0, 0, NULL},
    {"time-scale", RUB_OPTION_DOUBLE, offsetof(size_settings, time_scale), "X",
     "multiply arrival times by X", 1e-9, 1e9, NULL},
    {"rate", RUB_OPTION_DOUBLE, offsetof(size_settings, rate), "R",
     "size for R requests/s (the trace's own mean rate)", 1e-6, 1e9, NULL},
    {"model", RUB_OPTION_STRING, offsetof(size_settings, model), "NAME",
     "model of the catalog, or a path to its config.json", 0, 0, NULL},
    {"accelerator", RUB_OPTION_LIST, offsetof(size_settings, accelerators), "NAME",
     "try this accelerator; may be given several times (all of the catalog)", 0, 0, NULL},
    {"weights", RUB_OPTION_STRING, offsetof(size_settings, weights), "KIND",
     "precision of weights (as published, and fp8 where the accelerator has it)", 0, 0, NULL},
    {"kv-dtype", RUB_OPTION_STRING, offsetof(size_settings, kv_dtype), "KIND",
     "precision of the KV cache (bf16)", 0, 0, NULL},
    TARGET(0, "target on the median time to first token, e.g. 300ms"),
    TARGET(1, "target on its 90th percentile"),
    TARGET(2, "target on its 99th percentile"),
    TARGET(3, "target on the median time per output token, e.g. 40ms"),
    TARGET(4, "target on its 90th percentile"),
    TARGET(5, "target on its 99th percentile"),
    TARGET(6, "target on the 99th percentile of end-to-end time"),
    {"show", RUB_OPTION_INT, offsetof(size_settings, show), "N", "fleets to print (12)", 1, 10000,
     NULL},
    {"threads", RUB_OPTION_INT, offsetof(size_settings, threads), "N",
     "threads; 0 = all cores; results are the same", 0, 1024, NULL},
    RUB_OPTION_JSON(size_settings),
    {0}};

const rub_command rub_cmd_size = {
    .name = "size",
    .summary = "the cheapest fleets that meet latency targets for a trace",
    .arguments = "",
    .description = "Tries every layout (accelerator, tensor parallel, precision, token budget) of "
                   "a model, finds the largest rate that one "
                   "replica holds within the targets by simulating the trace's first 3,000 "
                   "requests at scaled rates (the first tenth is "
                   "warm-up, unfinished requests miss, a replica that does not keep up fails), and "
                   "prints fleets, cheapest first, with the "
                   "frontier of cost against time per output token. Exit status 1 when no fleet "
                   "meets the targets.",
    .examples = "  rubato size --trace azure_2023_conv.csv.gz --model llama-3.1-70b --ttft-p99 2s "
                "--tpot-p99 80ms\n"
                "  rubato size --trace conv.csv --model llama-3.1-8b --accelerator h100 "
                "--accelerator l40s --rate 200 --json",
    .options = options,
    .settings_size = sizeof(size_settings),
    .defaults = defaults,
    .run = run};
