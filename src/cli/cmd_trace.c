/* rubato trace info. */
#include "cli/commands.h"
#include "cli/trace.h"

#include "base/text.h"

#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

void trace_add_stats(json_t *d, const rub_trace_stats *s) {
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
    trace_add_stats(d, s);
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
    char a[32], b[32], c[32];
    printf("%s: %s\n  %zu requests over %.1f s, %s requests/s, %s input and %s output "
           "tokens/s\n",
           path, rub_trace_format_text(r->format), s->n_req, s->span_s,
           rub_text_exact(s->rate_per_s, 4, a), rub_text_exact(s->input_tok_per_s, 4, b),
           rub_text_exact(s->output_tok_per_s, 4, c));
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
    rub_progress progress = rub_command_progress();
    rub_trace_read_def def = {.columns = s->columns,
                              .time_scale = s->time_scale,
                              .skip_bad = s->skip_bad,
                              .progress = &progress};
    rub_trace trace = {0};
    rub_trace_report report = {0};
    rub_trace_stats stats;
    rub_error err = {0};
    if (rub_trace_read(args[0], &def, &trace, &report, &err) != RUB_OK)
        return rub_command_fail(&err);
    rub_command_progress_end();
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
