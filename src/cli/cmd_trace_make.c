/* rubato trace make. */
#include "cli/commands.h"
#include "cli/trace.h"

#include "base/array.h"
#include "base/file.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct make_settings {
    const char *clients;
    double from_time;
    const char *preset, *arrivals, *modulate, *on_off, *input, *output, *from, *columns, *out;
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

/* "0=29,0.5=1020,1=14050" */
static bool parse_quantiles(const char *text, rub_lengths *out) {
    rub_lengths l = {.max_tok = RUB_TRACE_MAX_TOK};
    for (;; text++) {
        int n = 0, k = l.n_quantile;
        if (k == RUB_TRACE_MAX_QUANTILE ||
            sscanf(text, "%lf=%lf%n", &l.prob[k], &l.tok[k], &n) != 2 || n == 0)
            return false;
        l.n_quantile++;
        text += n;
        if (!*text)
            break;
        if (*text != ',')
            return false;
    }
    *out = l;
    return true; /* rub_trace_make tells what does not rise */
}

/* "lognormal:MU,SIGMA[,MAX]", "mixture:WEIGHT,MU,SIGMA/...[/MAX]", "quantiles:P=TOK,..." or
 * "fixed:N" */
static rub_status parse_lengths(const char *option, const char *text, rub_lengths *out,
                                rub_error *err) {
    double mu = 0.0, sigma = 0.0, most = 131072;
    int n = 0;
    if (!strncmp(text, "mixture:", 8) && parse_mixture(text + 8, out))
        return RUB_OK;
    if (!strncmp(text, "quantiles:", 10) && parse_quantiles(text + 10, out))
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
                             "SIGMA < 10), mixture:WEIGHT,MU,SIGMA/...[/MAX] of up to 4 parts, "
                             "quantiles:0=TOK,P=TOK,...,1=TOK of up to %d points, or "
                             "fixed:N; at most %d tokens",
                             option, text, RUB_TRACE_MAX_QUANTILE, RUB_TRACE_MAX_TOK);
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

/* "SD,TAU_S[/SD,TAU_S...]" or "none" */
static bool parse_factors(const char *text, rub_modulation *m) {
    m->n = 0;
    if (!strcmp(text, "none"))
        return true;
    while (m->n < RUB_TRACE_MAX_FACTOR) {
        int n = 0;
        if (sscanf(text, "%lf,%lf%n", &m->sd[m->n], &m->tau_s[m->n], &n) != 2 || n == 0)
            return false;
        m->n++;
        if (text[n] != '/')
            return !text[n];
        text += n + 1;
    }
    return false;
}

/* "ON_S,OFF_S" or "none" */
static bool parse_gate(const char *text, rub_modulation *m) {
    int n = 0;
    m->on_s = m->off_s = 0.0;
    return !strcmp(text, "none") || (sscanf(text, "%lf,%lf%n", &m->on_s, &m->off_s, &n) == 2 &&
                                     n > 0 && !text[n] && m->on_s > 0);
}

static rub_status parse_modulation(const make_settings *s, rub_modulation *m, rub_error *err) {
    if (s->modulate && !parse_factors(s->modulate, m))
        return rub_error_set(err, RUB_INVALID,
                             "--modulate: found '%.60s', expected none, or up to %d of SD,TAU_S "
                             "with '/' between them",
                             s->modulate, RUB_TRACE_MAX_FACTOR);
    if (s->on_off && !parse_gate(s->on_off, m))
        return rub_error_set(err, RUB_INVALID,
                             "--on-off: found '%.60s', expected none, or ON_S,OFF_S", s->on_off);
    return RUB_OK;
}

static rub_status define(const make_settings *s, rub_trace *empirical, rub_trace_make_def *def,
                         rub_error *err) {
    *def = rub_trace_make_default();
    if (s->preset)
        RUB_TRY(rub_trace_preset(s->preset, def, err));
    if (s->arrivals) {
        RUB_TRY(parse_arrivals(s->arrivals, def, err));
        def->modulation = (rub_modulation){0}; /* the preset's belongs to its arrivals */
    }
    RUB_TRY(parse_modulation(s, &def->modulation, err));
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
    else if (trace->tenant)
        rub_text_add(&text, ",tenant");
    if (trace->hashes.at)
        rub_text_add(&text, ",hash_ids_%d", trace->hashes.block_tok);
    rub_text_add(&text, "\n");
    for (size_t i = 0; i < trace->n_req; i++) {
        rub_text_add(&text, "%.9f,%d,%d", trace->arrival_s[i], trace->input_tok[i],
                     trace->output_tok[i]);
        if (trace->session)
            add_session(&text, trace, i);
        else if (trace->tenant)
            rub_text_add(&text, ",%d", trace->tenant[i]);
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
    if (s->clients) {
        rub_client_mix mix = {.prefix = s->clients,
                              .from_s = s->from_time,
                              .rate_per_s = s->rate > 0 ? s->rate : 0.0,
                              .n_req = def->n_req,
                              .duration_s = def->duration_s,
                              .seed = def->seed};
        if (has_sessions(s) || s->preset || s->from)
            return rub_error_set(
                err, RUB_INVALID,
                "--clients is given with --preset, --from or sessions, expected it "
                "alone: it brings arrivals and lengths");
        return rub_trace_clients(&mix, out, err);
    }
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

static int made_json(const make_settings *s, const rub_trace_stats *stats) {
    json_t *d = json_object();
    json_object_set_new(d, "file", json_string(s->out));
    json_object_set_new(d, "requests", json_integer((json_int_t)stats->n_req));
    json_object_set_new(d, "seed", json_integer(s->seed));
    trace_add_stats(d, stats);
    if (s->preset) {
        json_object_set_new(d, "preset", json_string(s->preset));
        json_object_set_new(d, "preset_fit", json_string(rub_trace_preset_note(s->preset)));
    }
    return rub_command_print_json(d);
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
        rc = made_json(s, &stats);
    rub_trace_clear(&trace);
    rub_trace_clear(&empirical);
    return rc;
}

static const rub_option make_options[] = {
    {"preset", RUB_OPTION_STRING, offsetof(make_settings, preset), "NAME",
     "arrivals and lengths fitted to a public trace: azure-conv, azure-code (none)", 0, 0, NULL},
    {"clients", RUB_OPTION_STRING, offsetof(make_settings, clients), "PREFIX",
     "a sum of clients from ServeGen's files PREFIX_clients.csv, PREFIX_rate_10min.csv, "
     "PREFIX_input_tokens_pmf.csv, PREFIX_output_tokens_pmf.csv (or .gz); clients become tenants",
     0, 0, NULL},
    {"from-time", RUB_OPTION_DOUBLE, offsetof(make_settings, from_time), "SECONDS",
     "clients: where in the rate's curve to begin (0)", 0, 1e12, NULL},
    {"rate", RUB_OPTION_DOUBLE, offsetof(make_settings, rate), "R",
     "mean arrival rate [requests/s] (1, or the preset's)", 1e-9, 1e9, NULL},
    {"requests", RUB_OPTION_INT, offsetof(make_settings, requests), "N",
     "how many requests (1000 when no duration is given)", 1, 4e9, NULL},
    {"duration", RUB_OPTION_DOUBLE, offsetof(make_settings, duration), "SECONDS",
     "stop after so long", 1e-9, 1e12, NULL},
    {"arrivals", RUB_OPTION_STRING, offsetof(make_settings, arrivals), "KIND",
     "poisson, gamma:CV, diurnal:SHARE[,DAY_S] (rate * (1 + SHARE * sin)), or "
     "hyper:WEIGHT@MEAN,... (mixture of up to 5 exponentials, means relative to 1) (poisson, or "
     "the "
     "preset's; given with a preset it also takes the preset's modulation away)",
     0, 0, NULL},
    {"modulate", RUB_OPTION_STRING, offsetof(make_settings, modulate), "SD,TAU_S/...",
     "slow changes of the rate: up to 3 factors exp(x), x Gaussian with standard deviation SD and "
     "correlation exp(-t / TAU_S) [s]; 'none' takes the preset's away (none, or the preset's)",
     0, 0, NULL},
    {"on-off", RUB_OPTION_STRING, offsetof(make_settings, on_off), "ON_S,OFF_S",
     "stop and go: requests come in stretches of ON_S seconds with OFF_S seconds between them, "
     "both "
     "exponential; 'none' takes the preset's away (none, or the preset's)",
     0, 0, NULL},
    {"input", RUB_OPTION_STRING, offsetof(make_settings, input), "KIND",
     "prompts [tokens]: lognormal:MU,SIGMA[,MAX] (of the natural logarithm), "
     "mixture:WEIGHT,MU,SIGMA/...[/MAX], quantiles:0=TOK,P=TOK,...,1=TOK (straight between them), "
     "or "
     "fixed:N (lognormal:6.9,1.0,32768, or the preset's)",
     0, 0, NULL},
    {"output", RUB_OPTION_STRING, offsetof(make_settings, output), "KIND",
     "the same for answers (lognormal:4.9,0.9,8192, or the preset's)", 0, 0, NULL},
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
        "the prefix cache and the affinity routers use.\n\n"
        "A preset has the arrivals, their slow changes and the lengths of a public trace (Azure's "
        "of 2023: azure-conv, 5.53 requests/s; azure-code, 2.57). At another --rate the changes "
        "keep "
        "their seconds: twice the users, the same waves. Variance over mean of counts in 1, 10, 60 "
        "s "
        "is 4, 7, 6 % off (azure-conv) and 5, 8, 6 % (azure-code) on average over traces of an "
        "hour, "
        "one of which strays by a quarter to a third at 60 s; quantiles of lengths up to p99.9 are "
        "1 to "
        "6 % off. --json gives the "
        "whole note as preset_fit; docs/trace.md says more. Prompts and answers are drawn "
        "independently.\n\n"
        "The mean rate over the trace is the one asked for, whatever the modulation.",
    .examples =
        "  rubato trace make --preset azure-conv --rate 20 --duration 600 --out day.csv\n"
        "  rubato trace make --arrivals gamma:3 --rate 5 --input fixed:1000 --output "
        "lognormal:5,0.8 --seed 7\n"
        "  rubato trace make --rate 20 --modulate 0.3,600/0.2,5 --on-off 60,20 --duration 3600 "
        "--out waves.csv\n"
        "  rubato trace make --preset azure-conv --rate 20 --duration 600 --turns 4 "
        "--tenants 8 --system-prompt 800 --out sessions.csv",
    .options = make_options,
    .settings_size = sizeof(make_settings),
    .defaults = make_defaults,
    .run = make_run};
