/* rubato simulate: a trace on a fleet. */
#include "cli/commands.h"
#include "cli/simulate.h"

#include "base/array.h"
#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* "0.25", "250ms", "2 s" -> seconds */
rub_status rub_simulation_seconds(const char *option, const char *text, double *out,
                                  rub_error *err) {
    char *end;
    if (!text)
        return RUB_OK;
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

/* Where requests come from: a trace; or lengths given, in a closed loop. */
static rub_status check_load(const simulate_settings *s, rub_error *err) {
    bool lengths = s->input_len > 0 || s->output_len > 0;
    if (s->trace && lengths)
        return rub_error_set(err, RUB_INVALID,
                             "--trace and --random-input-len are both given, expected one of them");
    if (lengths && !(s->input_len > 0 && s->output_len > 0))
        return rub_error_set(err, RUB_INVALID,
                             "expected both --random-input-len and --random-output-len");
    if (!s->trace && !lengths)
        return rub_error_set(err, RUB_INVALID,
                             "--trace is absent, expected a trace file, or --max-concurrency with "
                             "--random-input-len and --random-output-len");
    if (s->max_concurrency == 0 && (lengths || s->num_prompts > 0 || s->think_s > 0))
        return rub_error_set(err, RUB_INVALID,
                             "--max-concurrency is absent, expected it with given lengths, "
                             "--num-prompts or --think");
    return RUB_OK;
}

/* The benchmark's habit: ten requests for each client. */
static rub_status read_requests(const simulate_settings *s, const rub_progress *progress,
                                simulation *sim, rub_error *err) {
    int64_t n = s->num_prompts > 0 ? s->num_prompts : 10 * s->max_concurrency;
    if (!s->trace)
        return rub_trace_make_uniform((size_t)n, (int32_t)s->input_len, (int32_t)s->output_len,
                                      s->range_ratio, (uint64_t)s->seed, &sim->trace, err);
    rub_trace_read_def read = {.columns = s->columns,
                               .time_scale = s->time_scale,
                               .skip_bad = s->skip_bad,
                               .hash = s->json,
                               .progress = progress};
    RUB_TRY(rub_trace_read(s->trace, &read, &sim->trace, &sim->report, err));
    if (s->num_prompts > 0 && (size_t)s->num_prompts < sim->trace.n_req)
        sim->trace.n_req = (size_t)s->num_prompts;
    return RUB_OK;
}

static rub_status define(const simulate_settings *s, simulation *sim, rub_error *err) {
    rub_status status = rub_simulation_seconds("ttft", s->ttft, &sim->targets.ttft_s, err);
    if (status == RUB_OK)
        status = rub_simulation_seconds("tpot", s->tpot, &sim->targets.tpot_s, err);
    if (status == RUB_OK)
        status = rub_simulation_seconds("e2e", s->e2e, &sim->targets.e2e_s, err);
    if (status == RUB_OK)
        status = rub_simulation_define(s, sim, err);
    if (status == RUB_OK)
        status = rub_simulation_define_world(s, sim, err);
    return status;
}

static rub_status simulate(const simulate_settings *s, simulation *sim, rub_error *err) {
    rub_progress progress = rub_command_progress();
    rub_status status = check_load(s, err);
    if (status == RUB_OK)
        status = define(s, sim, err);
    if (status == RUB_OK && s->requests)
        status = rub_file_can_write(s->requests, err);
    if (status == RUB_OK)
        status = read_requests(s, &progress, sim, err);
    if (status == RUB_OK)
        status = rub_serve_times_init(&sim->times, sim->trace.n_req, err);
    if (status == RUB_OK)
        status = rub_serve_run(&sim->trace, &sim->perf, &sim->def, &progress, &sim->times,
                               &sim->totals, err);
    rub_command_progress_end();
    if (status != RUB_OK)
        return status;
    bool closed = s->max_concurrency > 0; /* rates over the whole run, as benchmarks state them */
    double last = closed ? sim->totals.end_s : sim->times.arrival_s[sim->trace.n_req - 1];
    double from = s->warmup > 0 ? s->warmup : 0.0;
    if (from > last)
        return rub_error_set(err, RUB_INVALID,
                             "--warmup is %g s, expected less than the trace's span (%g s)", from,
                             last);
    if (sim->def.prefix_cache)
        RUB_TRY(rub_serve_hits(&sim->trace, &sim->times, &sim->hits, &sim->n_hits, err));
    if (sim->trace.priority)
        RUB_TRY(rub_serve_measure_classes(&sim->trace, &sim->times, &sim->targets, sim->deadline_s,
                                          from, last, &sim->classes, err));
    return rub_serve_measure(&sim->trace, &sim->times, &sim->targets, from, last, &sim->measures,
                             err);
}

static int run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args, (void)args;
    const simulate_settings *s = settings;
    simulation *sim = calloc(1, sizeof *sim);
    rub_error err = {0};
    rub_status status = sim ? RUB_OK : rub_error_set(&err, RUB_NO_MEMORY, "out of memory");
    if (status == RUB_OK)
        status = s->stream > 0 ? define(s, sim, &err) : simulate(s, sim, &err);
    if (status == RUB_OK && s->requests && s->stream == 0)
        status = rub_simulation_write_requests(sim, s->requests, &err);
    if (status == RUB_OK && s->timeline && s->stream == 0)
        status = rub_simulation_write_timeline(s, sim, &err);
    if (status == RUB_OK && s->events && s->stream == 0)
        status = rub_simulation_write_events(s, sim, &err);
    int rc = 0;
    if (status != RUB_OK)
        rc = rub_command_fail(&err);
    else if (s->stream > 0)
        rc = rub_simulation_stream(s, sim);
    else if (s->json)
        rc = rub_simulation_print_json(s, sim);
    else
        rub_simulation_print_text(s, sim);
    if (sim) {
        rub_simulation_undeploy(sim);
        rub_trace_clear(&sim->trace);
        rub_serve_times_clear(&sim->times);
        free(sim->hits);
    }
    free(sim);
    return rc;
}

const rub_command rub_cmd_simulate = {
    .name = "simulate",
    .summary = "serve a trace on a fleet: latencies, goodput, utilisation, energy, cost",
    .arguments = "",
    .description =
        "Simulates every iteration of every replica and prints quantiles of TTFT, TPOT, ITL and "
        "E2E, goodput against "
        "targets, utilisation and KV occupancy; with a model also power and cost. Latencies are "
        "over all requests that "
        "arrive in the window (from 0 or --warmup to the last arrival; a closed loop: the whole "
        "run); a "
        "request that can never fit is rejected and counts as one that "
        "misses every target. Rates are told twice: offered (what arrived in the window) and "
        "served "
        "(what was done in it); a fleet that does not keep up is told.\n\n"
        "The CSV of --requests has "
        "id,arrival_s,input_tok,output_tok,scheduled_s,first_token_s,finish_s,restarts in "
        "arrival order, times counted from the first arrival; a rejected request has empty times "
        "and -1 restarts.",
    .examples = "  rubato simulate --trace azure_2023_conv.csv.gz --model llama-3.1-70b "
                "--accelerator h100 --tp 4 --weights fp8 "
                "--replicas 2 --ttft 1s --tpot 60ms\n"
                "  rubato simulate --trace conv.csv --perf linear:6e-3,2.2e-5,8.2e-8,3.4e-9 "
                "--policy sarathi --chunk 512 "
                "--kv-blocks 20000 --requests out.csv --json\n"
                "  rubato simulate --max-concurrency 64 --random-input-len 1024 "
                "--random-output-len 1024 --model llama-3.1-8b --accelerator h100",
    .options = rub_simulate_options,
    .settings_size = sizeof(simulate_settings),
    .defaults = rub_simulate_defaults,
    .run = run};
