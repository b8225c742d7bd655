/* rubato trace info, rubato trace make */
#include "cli/commands.h"

#include "base/array.h"
#include "base/file.h"
#include "base/text.h"
#include "rubato/trace.h"

#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- trace info ----------------------------------------------------------------------------- */

typedef struct info_settings {
    const char *columns;
    double time_scale;
    bool skip_bad, json;
} info_settings;

static void info_defaults(void *settings) { ((info_settings *)settings)->time_scale = 1.0; }

static json_t *real_or_null(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *quantiles_json(const rub_trace_quantiles *q) {
    return json_pack("{s:f,s:f,s:f,s:f,s:f}", "p50", q->p50, "p90", q->p90, "p99", q->p99, "max",
                     q->max, "mean", q->mean);
}

static int info_json(const char *path, const rub_trace_report *r, const rub_trace_stats *s) {
    json_t *issues = json_array(), *rate = json_array(), *d = json_object();
    for (size_t i = 0; i < r->n_issue; i++)
        json_array_append_new(issues, json_pack("{s:I,s:s}", "line", (json_int_t)r->issue[i].line,
                                                "text", r->issue[i].text));
    for (int b = 0; b < RUB_TRACE_N_BIN; b++)
        json_array_append_new(rate, json_real(s->rate_bin[b]));
    json_object_set_new(d, "file", json_string(path));
    json_object_set_new(d, "format", json_string(rub_trace_format_text(r->format)));
    json_object_set_new(d, "requests", json_integer((json_int_t)s->n_req));
    json_object_set_new(d, "rows", json_integer((json_int_t)r->n_row));
    json_object_set_new(d, "bad_rows", json_integer((json_int_t)r->n_bad));
    json_object_set_new(d, "empty_rows", json_integer((json_int_t)r->n_empty));
    json_object_set_new(d, "out_of_order", json_integer((json_int_t)r->n_out_of_order));
    json_object_set_new(d, "span_s", json_real(s->span_s));
    json_object_set_new(d, "rate_per_s", json_real(s->rate_per_s));
    json_object_set_new(d, "input_tok", quantiles_json(&s->input));
    json_object_set_new(d, "output_tok", quantiles_json(&s->output));
    json_object_set_new(d, "input_tok_per_s", json_real(s->input_tok_per_s));
    json_object_set_new(d, "output_tok_per_s", json_real(s->output_tok_per_s));
    json_object_set_new(d, "arrival_cv", real_or_null(s->arrival_cv));
    json_object_set_new(d, "dispersion_1s", real_or_null(s->dispersion_1s));
    json_object_set_new(d, "dispersion_10s", real_or_null(s->dispersion_10s));
    json_object_set_new(d, "dispersion_60s", real_or_null(s->dispersion_60s));
    json_object_set_new(d, "peak_to_mean", json_real(s->peak_to_mean));
    json_object_set_new(d, "bin_s", json_real(s->bin_s));
    json_object_set_new(d, "rate_over_time", rate);
    json_object_set_new(d, "issues", issues);
    return rub_command_print_json(d);
}

static bool is_utf8(void) { return !strcmp(nl_langinfo(CODESET), "UTF-8"); }

/* A bar of n eighths of a cell. */
static void bar(double cells) {
    static const char *const part[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int eighths = (int)lrint(cells * 8);
    for (; eighths >= 8; eighths -= 8)
        fputs(is_utf8() ? "█" : "#", stdout);
    if (is_utf8())
        fputs(part[eighths], stdout);
}

static void histogram(const char *title, const size_t log2_bin[26], size_t n) {
    size_t most = 1;
    int first = 25, last = 0;
    for (int k = 0; k < 26; k++)
        if (log2_bin[k]) {
            most = log2_bin[k] > most ? log2_bin[k] : most;
            first = k < first ? k : first;
            last = k;
        }
    printf("\n%s\n", title);
    for (int k = first; k <= last; k++) {
        printf("  %8d - %-8d %5.1f %% ", 1 << k, (1 << (k + 1)) - 1,
               100.0 * (double)log2_bin[k] / (double)n);
        bar(40.0 * (double)log2_bin[k] / (double)most);
        printf("\n");
    }
}

static void rate_line(const rub_trace_stats *s) {
    static const char *const level[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double most = s->peak_to_mean * (double)s->n_req / (s->span_s > 0 ? s->span_s : 1.0);
    printf("\nrequests/s over time (%d bins of %.4g s, peak %.4g)\n  ", RUB_TRACE_N_BIN, s->bin_s,
           most);
    for (int b = 0; b < RUB_TRACE_N_BIN; b++) {
        int k = most > 0 ? (int)(7.999 * s->rate_bin[b] / most) : 0;
        if (is_utf8())
            fputs(level[k], stdout);
        else
            fputc(" .:-=+*#"[k], stdout);
    }
    printf("\n");
}

static void quantile_row(const char *name, const rub_trace_quantiles *q) {
    printf("  %-14s %9.1f %9.1f %9.1f %9.0f %9.1f\n", name, q->p50, q->p90, q->p99, q->max,
           q->mean);
}

static void info_text(const char *path, const rub_trace_report *r, const rub_trace_stats *s) {
    printf("%s: %s\n  %zu requests over %.1f s, %.4g requests/s, %.4g input and %.4g output "
           "tokens/s\n",
           path, rub_trace_format_text(r->format), s->n_req, s->span_s, s->rate_per_s,
           s->input_tok_per_s, s->output_tok_per_s);
    printf("\n  %-14s %9s %9s %9s %9s %9s\n", "tokens", "p50", "p90", "p99", "max", "mean");
    quantile_row("input", &s->input);
    quantile_row("output", &s->output);
    printf("\nburstiness: CV of times between arrivals %.2f (Poisson 1); variance/mean of counts "
           "in 1 s "
           "%.3g, 10 s %.3g, 60 s %.3g; peak/mean %.3g\n",
           s->arrival_cv, s->dispersion_1s, s->dispersion_10s, s->dispersion_60s, s->peak_to_mean);
    rate_line(s);
    histogram("input tokens", s->input_log2, s->n_req);
    histogram("output tokens", s->output_log2, s->n_req);
    if (r->n_bad || r->n_empty || r->n_out_of_order)
        printf("\nnoticed: %zu broken rows left out, %zu rows of zero tokens left out, %zu out of "
               "order\n",
               r->n_bad, r->n_empty, r->n_out_of_order);
    for (size_t i = 0; i < r->n_issue; i++)
        printf("  %s:%lld: %s\n", path, (long long)r->issue[i].line, r->issue[i].text);
}

static int info_run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args;
    const info_settings *s = settings;
    rub_trace_read_def def = {
        .columns = s->columns, .time_scale = s->time_scale, .skip_bad = s->skip_bad};
    rub_trace trace = {0};
    rub_trace_report report = {0};
    rub_trace_stats stats;
    rub_error err = {0};
    if (rub_trace_read(args[0], &def, &trace, &report, &err) != RUB_OK)
        return rub_command_fail(&err);
    rub_status status = rub_trace_stats_of(&trace, &stats, &err);
    int rc = 0;
    if (status != RUB_OK)
        rc = rub_command_fail(&err);
    else if (s->json)
        rc = info_json(args[0], &report, &stats);
    else
        info_text(args[0], &report, &stats);
    rub_trace_clear(&trace);
    return rc;
}

static const rub_option info_options[] = {
    {"columns", RUB_OPTION_STRING, offsetof(info_settings, columns), "MAP",
     "columns of a CSV of another shape: arrival=NAME,input=NAME,output=NAME[,unit=s|ms|us|ns]", 0,
     0, NULL},
    {"time-scale", RUB_OPTION_DOUBLE, offsetof(info_settings, time_scale), "X",
     "multiply arrival times by X (0.5 doubles the rate)", 1e-9, 1e9, NULL},
    {"skip-bad", RUB_OPTION_FLAG, offsetof(info_settings, skip_bad), NULL,
     "leave broken rows out and count them instead of stopping at the first", 0, 0, NULL},
    RUB_OPTION_JSON(info_settings),
    {0}};

const rub_command rub_cmd_trace_info = {
    .name = "trace info",
    .summary = "what a trace holds: requests, rates, lengths, burstiness, what is wrong with it",
    .arguments = "FILE",
    .min_args = 1,
    .max_args = 1,
    .description = "Reads a request trace and describes it. Known formats are told by their first "
                   "line: Azure LLM trace CSV, "
                   "BurstGPT CSV, Mooncake JSONL, Vidur's CSV, Rubato's own; any other CSV by "
                   "--columns. Files ending in .gz are "
                   "read directly. Rows of zero tokens (failed requests) are left out and counted; "
                   "rows out of order are sorted "
                   "and counted; a broken row stops the command with its line and column unless "
                   "--skip-bad is given.",
    .examples = "  rubato trace info azure_2023_conv.csv.gz\n"
                "  rubato trace info log.csv --columns "
                "arrival=ts,input=prompt,output=completion,unit=ms --json",
    .options = info_options,
    .settings_size = sizeof(info_settings),
    .defaults = info_defaults,
    .run = info_run};

/* ---- trace make ----------------------------------------------------------------------------- */

typedef struct make_settings {
    const char *preset, *arrivals, *input, *output, *from, *columns, *out;
    double rate, duration, turns, think_s, batch;
    int64_t requests, seed, tenants, system_prompt, max_context, hash_block;
    bool json;
} make_settings;

static void make_defaults(void *settings) {
    *(make_settings *)settings = (make_settings){.turns = 1.0,
                                                 .think_s = 30.0,
                                                 .tenants = 1,
                                                 .max_context = 131072,
                                                 .hash_block = 16,
                                                 .seed = 1};
}

/* "WEIGHT,MU,SIGMA" parts with '/' between them, up to four, then "/MAX" if wanted. Weights are
 * shares of any sum. */
static bool parse_mixture(const char *text, rub_lengths *out) {
    rub_lengths l = {.max_tok = 131072};
    double sum = 0.0, most;
    while (l.n < 4) {
        int n = 0, k = l.n;
        if (sscanf(text, "%lf,%lf,%lf%n", &l.weight[k], &l.mu[k], &l.sigma[k], &n) != 3 ||
            !(l.weight[k] > 0 && l.weight[k] < 1e6) || !(fabs(l.mu[k]) < 20) ||
            !(l.sigma[k] >= 0 && l.sigma[k] < 10))
            break;
        sum += l.weight[l.n++];
        text += n;
        if (*text != '/')
            break;
        text++;
    }
    int n = 0;
    if (l.n > 0 && sscanf(text, "%lf%n", &most, &n) == 1) {
        if (!(most >= 1 && most <= RUB_TRACE_MAX_TOK))
            return false;
        l.max_tok = (int32_t)most;
        text += n;
    }
    if (l.n == 0 || *text || text[-1] == '/')
        return false;
    for (int k = 0; k < l.n; k++)
        l.weight[k] /= sum;
    *out = l;
    return true;
}

/* "lognormal:MU,SIGMA[,MAX]", "mixture:WEIGHT,MU,SIGMA/...[/MAX]" or "fixed:N" */
static rub_status parse_lengths(const char *option, const char *text, rub_lengths *out,
                                rub_error *err) {
    double mu = 0.0, sigma = 0.0, most = 131072;
    int n = 0;
    if (!strncmp(text, "mixture:", 8) && parse_mixture(text + 8, out))
        return RUB_OK;
    bool ok = sscanf(text, "lognormal:%lf,%lf%n,%lf%n", &mu, &sigma, &n, &most, &n) >= 2;
    if (!ok && sscanf(text, "fixed:%lf%n", &mu, &n) == 1 && mu >= 1 && mu <= RUB_TRACE_MAX_TOK) {
        ok = true;
        most = mu;
        mu = log(mu);
    }
    if (!ok || text[n] || !(fabs(mu) < 20) || !(sigma >= 0 && sigma < 10) ||
        !(most >= 1 && most <= RUB_TRACE_MAX_TOK))
        return rub_error_set(err, RUB_INVALID,
                             "--%s: found '%.60s', expected lognormal:MU,SIGMA[,MAX] (|MU| < 20, "
                             "SIGMA < 10), mixture:WEIGHT,MU,SIGMA/...[/MAX] of up to 4 parts, or "
                             "fixed:N; at most %d tokens",
                             option, text, RUB_TRACE_MAX_TOK);
    *out = (rub_lengths){
        .n = 1, .weight = {1.0}, .mu = {mu}, .sigma = {sigma}, .max_tok = (int32_t)most};
    return RUB_OK;
}

/* "hyper:WEIGHT@MEAN,...", means in units of the mean time between arrivals. */
static bool parse_phases(const char *text, rub_phases *out) {
    int n = 0;
    *out = (rub_phases){0};
    if (strncmp(text, "hyper:", 6) != 0)
        return false;
    for (text += 6; out->n < RUB_TRACE_MAX_PHASE; text += n + 1) {
        if (sscanf(text, "%lf@%lf%n", &out->weight[out->n], &out->mean[out->n], &n) != 2)
            return false;
        out->n++;
        if (!text[n])
            return true;
        if (text[n] != ',')
            return false;
    }
    return false;
}

/* "poisson", "gamma:CV", "diurnal:SHARE[,DAY_S]", "hyper:WEIGHT@MEAN,..." */
static rub_status parse_arrivals(const char *text, rub_trace_make_def *def, rub_error *err) {
    int n = 0;
    if (!strcmp(text, "poisson"))
        def->arrivals = RUB_ARRIVALS_POISSON;
    else if (sscanf(text, "gamma:%lf%n", &def->cv, &n) == 1 && !text[n])
        def->arrivals = RUB_ARRIVALS_GAMMA;
    else if (n = 0,
             sscanf(text, "diurnal:%lf%n,%lf%n", &def->diurnal_frac, &n, &def->day_s, &n) >= 1 &&
                 !text[n])
        def->arrivals = RUB_ARRIVALS_DIURNAL;
    else if (parse_phases(text, &def->phases))
        def->arrivals = RUB_ARRIVALS_HYPER;
    else
        return rub_error_set(err, RUB_INVALID,
                             "--arrivals: found '%.60s', expected poisson, gamma:CV, "
                             "diurnal:SHARE[,DAY_S] or hyper:WEIGHT@MEAN,...",
                             text);
    return RUB_OK;
}

static rub_status define(const make_settings *s, rub_trace *empirical, rub_trace_make_def *def,
                         rub_error *err) {
    *def = rub_trace_make_default();
    if (s->preset)
        RUB_TRY(rub_trace_preset(s->preset, def, err));
    if (s->arrivals)
        RUB_TRY(parse_arrivals(s->arrivals, def, err));
    if (s->input)
        RUB_TRY(parse_lengths("input", s->input, &def->input, err));
    if (s->output)
        RUB_TRY(parse_lengths("output", s->output, &def->output, err));
    if (s->from) {
        rub_trace_read_def read = rub_trace_read_default();
        read.columns = s->columns;
        RUB_TRY(rub_trace_read(s->from, &read, empirical, NULL, err));
        def->empirical = empirical;
    }
    def->rate_per_s = s->rate > 0 ? s->rate : def->rate_per_s;
    def->duration_s = s->duration;
    def->n_req = s->requests > 0 ? (size_t)s->requests : s->duration > 0 ? 0 : def->n_req;
    def->seed = (uint64_t)s->seed;
    return RUB_OK;
}

/* Columns that a trace of sessions has beside the plain ones. */
static void add_session(rub_text *text, const rub_trace *t, size_t i) {
    rub_text_add(text, ",%d,%d,%d", t->priority[i], t->session[i], t->tenant[i]);
    if (!t->hashes.at)
        return;
    for (size_t k = t->hashes.at[i]; k < t->hashes.at[i + 1]; k++)
        rub_text_add(text, "%c%llu", k == t->hashes.at[i] ? ',' : ' ',
                     (unsigned long long)t->hashes.hash[k]);
    if (t->hashes.at[i] == t->hashes.at[i + 1])
        rub_text_add(text, ",");
}

static rub_status write_csv(const rub_trace *trace, const char *path, rub_error *err) {
    rub_text text = {0};
    rub_text_add(&text, "arrival_s,input_tok,output_tok");
    if (trace->session)
        rub_text_add(&text, ",priority,session,tenant");
    if (trace->hashes.at)
        rub_text_add(&text, ",hash_ids_%d", trace->hashes.block_tok);
    rub_text_add(&text, "\n");
    for (size_t i = 0; i < trace->n_req; i++) {
        rub_text_add(&text, "%.9f,%d,%d", trace->arrival_s[i], trace->input_tok[i],
                     trace->output_tok[i]);
        if (trace->session)
            add_session(&text, trace, i);
        rub_text_add(&text, "\n");
    }
    rub_status status = RUB_OK;
    if (text.failed)
        status =
            rub_error_set(err, RUB_NO_MEMORY, "out of memory while writing %zu rows", trace->n_req);
    else if (path)
        status = rub_file_write(path, text.data, text.n, err);
    else
        fwrite(text.data, 1, text.n, stdout); /* main tells when it fails */
    rub_text_clear(&text);
    return status;
}

/* Whether any option of sessions was given. */
static bool has_sessions(const make_settings *s) {
    return s->turns > 1.0 || s->tenants > 1 || s->system_prompt > 0 || s->batch > 0;
}

/* Requests come at the rate asked for when sessions start at rate / turns; as many sessions as
 * requests are more than enough. */
static rub_status make(const make_settings *s, rub_trace_make_def *def, rub_trace *out,
                       rub_error *err) {
    if (!has_sessions(s))
        return rub_trace_make(def, out, err);
    rub_sessions sessions = {.turns = s->turns,
                             .think_s = s->think_s,
                             .n_tenant = (int32_t)s->tenants,
                             .system_tok = (int32_t)s->system_prompt,
                             .max_tok = (int32_t)s->max_context,
                             .batch_frac = s->batch,
                             .hash_block_tok = (int32_t)s->hash_block,
                             .seed = def->seed};
    rub_trace starts = {0};
    def->rate_per_s /= s->turns;
    rub_status status = rub_trace_make(def, &starts, err);
    if (status == RUB_OK)
        status = rub_trace_converse(&starts, &sessions, def->n_req, out, err);
    rub_trace_clear(&starts);
    return status;
}

static int make_run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args, (void)args;
    const make_settings *s = settings;
    rub_trace trace = {0}, empirical = {0};
    rub_trace_make_def def;
    rub_trace_stats stats;
    rub_error err = {0};
    int rc = 0;
    rub_status status = define(s, &empirical, &def, &err);
    if (status == RUB_OK && s->json && !s->out)
        status = rub_error_set(&err, RUB_INVALID,
                               "--json describes what was made: give --out FILE for the trace");
    if (status == RUB_OK && s->out)
        status = rub_file_can_write(s->out, &err);
    if (status == RUB_OK)
        status = make(s, &def, &trace, &err);
    if (status == RUB_OK)
        status = write_csv(&trace, s->out, &err);
    if (status == RUB_OK && s->json)
        status = rub_trace_stats_of(&trace, &stats, &err);
    if (status != RUB_OK)
        rc = rub_command_fail(&err);
    else if (s->json)
        rc = rub_command_print_json(json_pack("{s:s,s:I,s:I,s:f,s:s*}", "file", s->out, "requests",
                                              (json_int_t)stats.n_req, "seed", (json_int_t)s->seed,
                                              "rate_per_s", stats.rate_per_s, "preset", s->preset));
    rub_trace_clear(&trace);
    rub_trace_clear(&empirical);
    return rc;
}

static const rub_option make_options[] = {
    {"preset", RUB_OPTION_STRING, offsetof(make_settings, preset), "NAME",
     "arrivals and lengths fitted to a public trace: azure-conv, azure-code", 0, 0, NULL},
    {"rate", RUB_OPTION_DOUBLE, offsetof(make_settings, rate), "R",
     "mean arrival rate [requests/s]", 1e-9, 1e9, NULL},
    {"requests", RUB_OPTION_INT, offsetof(make_settings, requests), "N",
     "how many requests (1000 when no duration is given)", 1, 4e9, NULL},
    {"duration", RUB_OPTION_DOUBLE, offsetof(make_settings, duration), "SECONDS",
     "stop after so long", 1e-9, 1e12, NULL},
    {"arrivals", RUB_OPTION_STRING, offsetof(make_settings, arrivals), "KIND",
     "poisson, gamma:CV, diurnal:SHARE[,DAY_S] (rate * (1 + SHARE * sin)), or "
     "hyper:WEIGHT@MEAN,... (mixture of up to 5 exponentials, means relative to 1)",
     0, 0, NULL},
    {"input", RUB_OPTION_STRING, offsetof(make_settings, input), "KIND",
     "prompts [tokens]: lognormal:MU,SIGMA[,MAX] (of the natural logarithm), "
     "mixture:WEIGHT,MU,SIGMA/...[/MAX], or fixed:N",
     0, 0, NULL},
    {"output", RUB_OPTION_STRING, offsetof(make_settings, output), "KIND", "the same for answers",
     0, 0, NULL},
    {"from", RUB_OPTION_STRING, offsetof(make_settings, from), "FILE",
     "draw lengths from the rows of this trace", 0, 0, NULL},
    {"columns", RUB_OPTION_STRING, offsetof(make_settings, columns), "MAP",
     "its columns, as in 'rubato trace info'", 0, 0, NULL},
    {"turns", RUB_OPTION_DOUBLE, offsetof(make_settings, turns), "MEAN",
     "sessions of so many turns on average (geometric); each prompt repeats the session so far (1)",
     1, 1e6, NULL},
    {"think", RUB_OPTION_DOUBLE, offsetof(make_settings, think_s), "SECONDS",
     "sessions: mean time from one turn's arrival to the next (30)", 0, 1e9, NULL},
    {"tenants", RUB_OPTION_INT, offsetof(make_settings, tenants), "N",
     "sessions: so many tenants, the k-th with weight 1/k (1)", 1, 1 << 20, NULL},
    {"system-prompt", RUB_OPTION_INT, offsetof(make_settings, system_prompt), "TOKENS",
     "sessions: each tenant's system prompt, shared by all its prompts (0)", 0, RUB_TRACE_MAX_TOK,
     NULL},
    {"max-context", RUB_OPTION_INT, offsetof(make_settings, max_context), "TOKENS",
     "sessions: end before prompt and answer exceed this (131072)", 2, RUB_TRACE_MAX_TOK, NULL},
    {"batch", RUB_OPTION_DOUBLE, offsetof(make_settings, batch), "SHARE",
     "sessions: share that is batch work, priority 1 instead of 0 (0)", 0, 1, NULL},
    {"hash-block", RUB_OPTION_INT, offsetof(make_settings, hash_block), "TOKENS",
     "sessions: hashes of blocks of so many tokens; 0 = none (16)", 0, 1 << 20, NULL},
    {"seed", RUB_OPTION_INT, offsetof(make_settings, seed), "N",
     "seed (1): the same seed gives the same bytes", 0, 9e15, NULL},
    {"out", RUB_OPTION_STRING, offsetof(make_settings, out), "FILE",
     "write here, whole or not at all (standard output)", 0, 0, NULL},
    RUB_OPTION_JSON(make_settings),
    {0}};

const rub_command rub_cmd_trace_make = {
    .name = "trace make",
    .summary = "generate a seeded synthetic trace",
    .arguments = "",
    .description =
        "Writes a trace as CSV (arrival_s,input_tok,output_tok). With --turns, --tenants, "
        "--system-prompt or --batch requests are turns of sessions, and the CSV also has "
        "priority, session, tenant and hashes of the token blocks (hash_ids_N), which "
        "the prefix cache and the affinity routers use. The presets are "
        "mixtures fitted to the public "
        "Azure traces of 2023; docs/trace.md states the fit's error.",
    .examples = "  rubato trace make --preset azure-conv --rate 20 --duration 600 --out day.csv\n"
                "  rubato trace make --arrivals gamma:3 --rate 5 --input fixed:1000 --output "
                "lognormal:5,0.8 --seed 7\n"
                "  rubato trace make --preset azure-conv --rate 20 --duration 600 --turns 4 "
                "--tenants 8 --system-prompt 800 --out sessions.csv",
    .options = make_options,
    .settings_size = sizeof(make_settings),
    .defaults = make_defaults,
    .run = make_run};
