/* rubato size: the cheapest fleets that meet latency targets for a trace. */
#include "cli/commands.h"
#include "cli/size.h"

#include "base/array.h"
#include "base/file.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const target_name[] = {"ttft:p50", "ttft:p90", "ttft:p99", "tpot:p50",
                                          "tpot:p90", "tpot:p99", "e2e:p99"};
static const char *const objectives[] = {"cost", "accelerators", "power", "per-token", NULL};
static const char *const routers[] = {"round-robin", "least-waiting", "least-outstanding", "random",
                                      NULL};
static const char *const policies[] = {"vllm", "sarathi", "vllm-v0", NULL};

static const char *const price_kinds[] = {
    "auto", "rental_on_demand", "rental_1y", "rental_3y", "tco_hyperscaler", "tco_neocloud", NULL};

const char *size_price_kind(const size_settings *s) {
    return s->price_kind > 0 ? price_kinds[s->price_kind] : NULL;
}

static void defaults(void *settings) {
    *(size_settings *)settings = (size_settings){.time_scale = 1.0,
                                                 .show = 12,
                                                 .router = RUB_ROUTER_LEAST_OUTSTANDING,
                                                 .requests = 20000,
                                                 .draws = 24,
                                                 .level = 80,
                                                 .model_error = -1,
                                                 .price_error = -1,
                                                 .startup_s = 300,
                                                 .carbon_g = 480,
                                                 .spot_share = 30,
                                                 .pue = 1.2};
}

/* ---- reading of options ---------------------------------------------------------------------- */

static rub_status read_targets(const size_settings *s, rub_size_targets *out, rub_error *err) {
    char text[128];
    for (size_t i = 0; i < RUB_LEN(target_name); i++)
        if (s->target[i]) {
            snprintf(text, sizeof text, "%s=%.100s", target_name[i], s->target[i]);
            RUB_TRY(rub_size_target_parse(text, out, err));
        }
    for (size_t i = 0; i < s->targets.n; i++)
        RUB_TRY(rub_size_target_parse(s->targets.values[i], out, err));
    if (s->goodput) {
        snprintf(text, sizeof text, "goodput:%.100s", s->goodput);
        RUB_TRY(rub_size_target_parse(text, out, err));
    }
    return RUB_OK;
}

/* "1,2,4" */
static rub_status read_choices(const char *option, const char *text, rub_size_choices *out,
                               rub_error *err) {
    const char *at = text;
    while (at && *at) {
        char *end;
        long long x = strtoll(at, &end, 10);
        if (end == at || x < 1 || x > 1000000000 || (*end && *end != ',') ||
            out->n == (int32_t)RUB_LEN(out->value))
            return rub_error_set(
                err, RUB_INVALID,
                "--%s: found '%.60s', expected at most %zu whole numbers parted by "
                "commas, such as 1,2,4",
                option, text, RUB_LEN(out->value));
        out->value[out->n++] = x;
        at = end + (*end == ',');
    }
    return RUB_OK;
}

static rub_status read_lists(const size_settings *s, rub_size_def *def, rub_error *err) {
    RUB_TRY(read_choices("tp", s->tp, &def->tp, err));
    RUB_TRY(read_choices("pp", s->pp, &def->pp, err));
    RUB_TRY(read_choices("ep", s->ep, &def->ep, err));
    RUB_TRY(read_choices("attention-dp", s->attention_dp, &def->attention_dp, err));
    RUB_TRY(read_choices("max-batch-tokens", s->budget, &def->max_batch_tok, err));
    return read_choices("max-seqs", s->seqs, &def->max_seqs, err);
}

static rub_status pick_accelerators(const size_settings *s, size_work *w, rub_error *err) {
    size_t n = s->accelerators.n ? s->accelerators.n : (size_t)w->catalog->n_accelerator;
    w->accel = RUB_NEW(const rub_accelerator *, n);
    w->stock = RUB_NEW(int32_t, n);
    w->usd_per_h = RUB_NEW(double, n);
    w->priced = RUB_NEW(bool, n);
    if (!w->accel || !w->stock || !w->usd_per_h || !w->priced)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        w->stock[i] = -1;
        w->usd_per_h[i] = -1.0;
        if (s->accelerators.n)
            RUB_TRY(
                rub_catalog_accelerator(w->catalog, s->accelerators.values[i], &w->accel[i], err));
        else
            w->accel[i] = &w->catalog->accelerator[i];
        const rub_price *price = size_price_of(w->accel[i], size_price_kind(s));
        if (s->price_kind > 0)
            w->usd_per_h[i] = price ? price->usd : 0.0;
    }
    w->def.accel = w->accel;
    w->def.n_accel = (int32_t)n;
    w->def.stock = w->stock;
    w->def.usd_per_h = w->usd_per_h;
    return RUB_OK;
}

/* "h100=16": an accelerator that is tried, and a number of 0 or more. */
static rub_status read_pair(const size_work *w, const char *option, const char *text,
                            int32_t *index, double *value, rub_error *err) {
    const char *equals = strchr(text, '=');
    const rub_accelerator *accel;
    char name[64], *end = NULL;
    double x = equals ? strtod(equals + 1, &end) : -1.0;
    if (!equals || end == equals + 1 || *end || !(x >= 0 && x < 1e9))
        return rub_error_set(err, RUB_INVALID,
                             "--%s: found '%.60s', expected ACCELERATOR=NUMBER such as h100=16",
                             option, text);
    snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
    RUB_TRY(rub_catalog_accelerator(w->catalog, name, &accel, err));
    for (int32_t a = 0; a < w->def.n_accel; a++)
        if (w->accel[a] == accel) {
            *index = a;
            *value = x;
            return RUB_OK;
        }
    return rub_error_set(err, RUB_INVALID, "--%s: %s is not among the accelerators tried", option,
                         accel->name);
}

static rub_status read_estate(const size_settings *s, size_work *w, rub_error *err) {
    int32_t a = 0;
    double x = 0.0;
    for (size_t i = 0; i < s->stock.n; i++) {
        RUB_TRY(read_pair(w, "stock", s->stock.values[i], &a, &x, err));
        w->stock[a] = (int32_t)x;
    }
    for (size_t i = 0; i < s->price.n; i++) {
        RUB_TRY(read_pair(w, "price", s->price.values[i], &a, &x, err));
        w->usd_per_h[a] = x;
        w->priced[a] = true;
    }
    return RUB_OK;
}

static const char *const forms[] = {"vllm", "sglang", "kubernetes", "helm", NULL};

/* What is asked of the fleets that were found. */
static rub_status follow_up(const size_settings *s, size_work *w, const rub_progress *progress,
                            rub_error *err) {
    if (w->result.n == 0 || !w->result.candidate[0].leads)
        return RUB_OK;
    if (s->draws > 0)
        RUB_TRY(size_sure(s, w, progress, err));
    if (s->profile)
        RUB_TRY(size_hours(s, w, progress, err));
    if (s->answers)
        RUB_TRY(size_answers(w, progress, err));
    if (s->svg)
        RUB_TRY(size_write_svg(w, s->svg, err));
    const char *model = s->model_path ? s->model_path : w->model.name;
    for (int f = 0; s->launch && forms[f]; f++)
        if (!strcmp(forms[f], s->launch))
            return rub_size_launch(&w->result.candidate[0], model, (rub_size_form)f, &w->launch,
                                   err);
    return RUB_OK;
}

static rub_status check_follow_up(const size_settings *s, rub_error *err) {
    bool known = !s->launch;
    for (int f = 0; !known && forms[f]; f++)
        known = !strcmp(forms[f], s->launch);
    if (!known)
        return rub_error_set(err, RUB_INVALID,
                             "--launch: found '%.40s', expected one of vllm, sglang, kubernetes, "
                             "helm",
                             s->launch);
    return s->svg ? rub_file_can_write(s->svg, err) : RUB_OK;
}

static rub_status prepare(const size_settings *s, size_work *w, const rub_progress *progress,
                          rub_error *err) {
    rub_trace_read_def read = {
        .columns = s->columns, .time_scale = s->time_scale, .hash = true, .progress = progress};
    w->def = rub_size_default();
    if (!s->trace || !s->model)
        return rub_error_set(err, RUB_INVALID, "--trace and --model are needed");
    RUB_TRY(check_follow_up(s, err));
    if (s->profile)
        RUB_TRY(rub_size_profile_read(s->profile, &w->hour_rate, &w->n_hour, err));
    RUB_TRY(read_targets(s, &w->def.targets, err));
    RUB_TRY(read_lists(s, &w->def, err));
    w->def.objective = (rub_size_objective)s->objective;
    w->def.router = (rub_router)s->router;
    w->def.policy = (rub_policy)s->policy;
    w->def.chunk_tok = s->chunk;
    w->def.weights = s->weights;
    w->def.kv_cache = s->kv_dtype;
    w->def.rate_per_s = s->rate;
    w->def.headroom_frac = s->headroom / 100.0;
    w->def.spare = (int32_t)s->spare;
    w->def.whole_nodes = s->whole_nodes;
    w->def.exhaustive = s->exhaustive;
    w->def.max_requests = s->requests;
    w->def.n_thread = (int32_t)s->threads;
    RUB_TRY(rub_trace_read(s->trace, &read, &w->trace, &w->report, err));
    RUB_TRY(rub_catalog_load(&w->catalog, err));
    RUB_TRY(rub_catalog_model_find(w->catalog, s->model, &w->model, err));
    RUB_TRY(pick_accelerators(s, w, err));
    return read_estate(s, w, err);
}

static void clear(size_work *w) {
    free(w->launch);
    size_clear_hours(w);
    rub_size_result_clear(&w->result);
    rub_trace_clear(&w->trace);
    free(w->accel);
    free(w->stock);
    free(w->usd_per_h);
    free(w->priced);
    rub_catalog_free(w->catalog);
    free(w);
}

static int run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args, (void)args;
    const size_settings *s = settings;
    size_work *w = calloc(1, sizeof *w);
    rub_error err = {0};
    rub_progress progress = rub_command_progress();
    if (!w) {
        rub_error_set(&err, RUB_NO_MEMORY, "out of memory");
        return rub_command_fail(&err);
    }
    rub_status status = prepare(s, w, &progress, &err);
    if (status == RUB_OK)
        status = rub_size_search(&w->model, &w->trace, &w->def, &progress, &w->result, &err);
    if (status == RUB_OK)
        status = follow_up(s, w, &progress, &err);
    rub_command_progress_end();
    int rc = status != RUB_OK ? rub_command_fail(&err)
             : s->json        ? size_print_json(s, w)
                              : size_print_text(s, w);
    clear(w);
    return rc;
}

#define FIELD(name) offsetof(size_settings, name)
#define TARGET(i, name, what)                                                                      \
    { name, RUB_OPTION_STRING, FIELD(target) + (i) * sizeof(char *), "TIME", what, 0, 0, NULL }
#define LIST(name, field, what)                                                                    \
    { name, RUB_OPTION_STRING, FIELD(field), "N,N", what, 0, 0, NULL }

static const rub_option options[] = {
    {"trace", RUB_OPTION_STRING, FIELD(trace), "FILE", "the trace to serve", 0, 0, NULL},
    {"columns", RUB_OPTION_STRING, FIELD(columns), "MAP", "columns of a CSV of another shape", 0, 0,
     NULL},
    {"time-scale", RUB_OPTION_DOUBLE, FIELD(time_scale), "X", "multiply arrival times by X", 1e-9,
     1e9, NULL},
    {"rate", RUB_OPTION_DOUBLE, FIELD(rate), "R",
     "size for R requests/s (the trace's own mean rate)", 1e-6, 1e9, NULL},
    {"requests", RUB_OPTION_INT, FIELD(requests), "N",
     "simulate the trace's first N requests (20000)", 100, 1e8, NULL},
    {"model", RUB_OPTION_STRING, FIELD(model), "NAME",
     "model of the catalog, or a path to its config.json", 0, 0, NULL},
    {"accelerator", RUB_OPTION_LIST, FIELD(accelerators), "NAME",
     "try this accelerator; may be given several times (all of the catalog)", 0, 0, NULL},
    {"weights", RUB_OPTION_STRING, FIELD(weights), "KIND,KIND",
     "precisions of weights (as published, and fp8 where the accelerator has it)", 0, 0, NULL},
    {"kv-dtype", RUB_OPTION_STRING, FIELD(kv_dtype), "KIND,KIND",
     "precisions of the KV cache (bf16)", 0, 0, NULL},
    LIST("tp", tp, "tensor parallel sizes to try (1,2,4,8)"),
    LIST("pp", pp, "pipeline stages to try (1)"),
    LIST("ep", ep, "expert parallel sizes to try (1 and the whole replica)"),
    LIST("attention-dp", attention_dp, "data-parallel attention groups to try (1)"),
    LIST("max-batch-tokens", budget, "token budgets of an iteration to try (2048,8192)"),
    LIST("max-seqs", seqs, "limits on requests of an iteration to try (256)"),
    {"policy", RUB_OPTION_CHOICE, FIELD(policy), "NAME", "batching policy: vllm, sarathi, vllm-v0",
     0, 0, policies},
    {"chunk", RUB_OPTION_INT, FIELD(chunk), "N", "sarathi: tokens of an iteration (the budget)", 0,
     1 << 30, NULL},
    {"router", RUB_OPTION_CHOICE, FIELD(router), "NAME",
     "round-robin, least-waiting, least-outstanding, random (least-outstanding)", 0, 0, routers},
    TARGET(0, "ttft-p50", "target on the median time to first token, e.g. 300ms"),
    TARGET(1, "ttft-p90", "target on its 90th percentile"),
    TARGET(2, "ttft-p99", "target on its 99th percentile"),
    TARGET(3, "tpot-p50", "target on the median time per output token, e.g. 40ms"),
    TARGET(4, "tpot-p90", "target on its 90th percentile"),
    TARGET(5, "tpot-p99", "target on its 99th percentile"),
    TARGET(6, "e2e-p99", "target on the 99th percentile of end-to-end time"),
    {"target", RUB_OPTION_LIST, FIELD(targets), "TARGET",
     "any quantile of ttft, tpot, itl, e2e, as ttft:p95=2s or itl:max=1s; several times", 0, 0,
     NULL},
    {"goodput", RUB_OPTION_STRING, FIELD(goodput), "SHARE",
     "share of requests that meet limits of their own, as 99%=ttft<2s,tpot<80ms", 0, 0, NULL},
    {"objective", RUB_OPTION_CHOICE, FIELD(objective), "NAME",
     "least cost, accelerators, power (of the fleet), or per-token (of full replicas)", 0, 0,
     objectives},
    {"stock", RUB_OPTION_LIST, FIELD(stock), "NAME=N", "of this accelerator there are only N", 0, 0,
     NULL},
    {"price", RUB_OPTION_LIST, FIELD(price), "NAME=USD",
     "price of one for an hour [USD] (the catalog's); several times", 0, 0, NULL},
    {"price-kind", RUB_OPTION_CHOICE, FIELD(price_kind), NULL,
     "which of the catalog's prices, the newest of its kind (auto: rental_3y, else the newest "
     "rental, else ownership; the output says which)",
     0, 0, price_kinds},
    {"headroom", RUB_OPTION_DOUBLE, FIELD(headroom), "PERCENT", "leave room for growth", 0, 1000,
     NULL},
    {"spare", RUB_OPTION_INT, FIELD(spare), "K", "replicas that may be lost (0)", 0, 1000, NULL},
    {"whole-nodes", RUB_OPTION_FLAG, FIELD(whole_nodes), NULL, "count whole servers", 0, 0, NULL},
    {"exhaustive", RUB_OPTION_FLAG, FIELD(exhaustive), NULL,
     "simulate every candidate to the end: no bounds, no early stop", 0, 0, NULL},
    {"answers", RUB_OPTION_FLAG, FIELD(answers), NULL,
     "also: other rates, outputs, speeds and limits; the price at which each accelerator wins", 0,
     0, NULL},
    {"draws", RUB_OPTION_INT, FIELD(draws), "N",
     "how sure: other speeds, requests and prices that the best is tried on; 0: none (24)", 0,
     10000, NULL},
    {"level", RUB_OPTION_DOUBLE, FIELD(level), "PERCENT", "share of draws within a band (80)", 1,
     99, NULL},
    {"sure", RUB_OPTION_FLAG, FIELD(sure), NULL,
     "also: what each cause does alone, confidence limits of the largest rate", 0, 0, NULL},
    {"model-error", RUB_OPTION_DOUBLE, FIELD(model_error), "PERCENT",
     "one standard deviation of the predicted speed (as measured deployments show)", 0, 200, NULL},
    {"price-error", RUB_OPTION_DOUBLE, FIELD(price_error), "PERCENT",
     "of the price (as the catalog's dated prices show; 0 with --price)", 0, 200, NULL},
    {"profile", RUB_OPTION_STRING, FIELD(profile), "FILE",
     "also size each hour of a CSV of t_s,req_per_s or hour,req_per_s, and what to reserve", 0, 0,
     NULL},
    {"on-demand-price", RUB_OPTION_DOUBLE, FIELD(on_demand_usd), "USD",
     "of an accelerator-hour on demand (the catalog's newest)", 0, 1e6, NULL},
    {"spot-price", RUB_OPTION_DOUBLE, FIELD(spot_usd), "USD", "of one on spot; 0: none (0)", 0, 1e6,
     NULL},
    {"spot-share", RUB_OPTION_DOUBLE, FIELD(spot_share), "PERCENT",
     "of an hour's need that may be spot (30)", 0, 100, NULL},
    {"startup", RUB_OPTION_DOUBLE, FIELD(startup_s), "SECONDS",
     "a replica starts so long before the hour that needs it (300, assumed)", 0, 3600, NULL},
    {"carbon", RUB_OPTION_DOUBLE, FIELD(carbon_g), "GRAMS",
     "CO2 of a kWh in that region (480, assumed: about the world's mean)", 0, 10000, NULL},
    {"pue", RUB_OPTION_DOUBLE, FIELD(pue), "X", "power of the site over IT power (1.2, assumed)", 1,
     10, NULL},
    {"launch", RUB_OPTION_STRING, FIELD(launch), "FORM",
     "how the best is started: vllm, sglang, kubernetes, helm", 0, 0, NULL},
    {"model-path", RUB_OPTION_STRING, FIELD(model_path), "NAME",
     "the model's name or path in what --launch prints (the catalog's name)", 0, 0, NULL},
    {"svg", RUB_OPTION_STRING, FIELD(svg), "FILE", "cost against latency as a picture", 0, 0, NULL},
    {"show", RUB_OPTION_INT, FIELD(show), "N", "fleets to print (12)", 1, 10000, NULL},
    {"threads", RUB_OPTION_INT, FIELD(threads), "N", "threads; 0 = all cores; results are the same",
     0, 1024, NULL},
    RUB_OPTION_JSON(size_settings),
    {0}};

const rub_command rub_cmd_size = {
    .name = "size",
    .summary = "the cheapest fleets that meet latency targets for a trace",
    .arguments = "",
    .description =
        "Tries every layout (accelerator, precision, parallelism, limits) of a model and finds the "
        "smallest fleet of each accelerator that serves the trace at the rate within the targets, "
        "by simulation of the same requests behind a router: the first tenth of the time is "
        "warm-up, a request that does not finish misses every target, a fleet that does not keep "
        "up fails. Bounds on memory and throughput leave out what cannot win; each layout that "
        "loses is listed with its reason.\n\n"
        "Exit status 1 when no fleet meets the targets.",
    .examples = "  rubato size --trace azure_2023_conv.csv.gz --model llama-3.1-70b --ttft-p99 2s "
                "--tpot-p99 80ms\n"
                "  rubato size --trace conv.csv --model llama-3.1-8b --accelerator h100 "
                "--accelerator l40s --rate 200 --json\n"
                "  rubato size --trace conv.csv --model gpt-oss-120b --target itl:p99.9=200ms "
                "--objective power --stock h100=16\n",
    .options = options,
    .settings_size = sizeof(size_settings),
    .defaults = defaults,
    .run = run};
