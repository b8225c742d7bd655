/* rubato simulate --stream: a load that is made as it arrives and never held. */
#include "cli/simulate.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static rub_status load_of(const simulate_settings *s, rub_trace_make_def *load, rub_error *err) {
    *load = rub_trace_make_default();
    RUB_TRY(rub_trace_preset(s->preset ? s->preset : "azure-conv", load, err));
    load->arrivals = s->diurnal > 0 ? RUB_ARRIVALS_DIURNAL : RUB_ARRIVALS_POISSON;
    load->diurnal_frac = s->diurnal;
    load->modulation = (rub_modulation){0};
    load->n_req = (size_t)s->stream;
    load->seed = (uint64_t)s->seed;
    if (s->rate > 0)
        load->rate_per_s = s->rate;
    return RUB_OK;
}

static rub_status check(const simulate_settings *s, rub_error *err) {
    if (s->trace || s->requests || s->timeline || s->events || s->max_concurrency > 0)
        return rub_error_set(err, RUB_INVALID,
                             "--stream is given with --trace, --requests, --timeline, "
                             "--chrome-trace or --max-concurrency, "
                             "expected it alone: its requests are not held");
    return RUB_OK;
}

/* null: of a load that comes all at once, or of which nothing was served. */
static json_t *real(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *quantiles(const rub_histogram *h) {
    rub_quantiles q = rub_histogram_quantiles(h);
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "p50", real(q.p50), "p90", real(q.p90), "p95",
                     real(q.p95), "p99", real(q.p99), "p99.9", real(q.p999), "max", real(q.max),
                     "mean", real(q.mean));
}

/* Falls behind: the last requests end late (as rub_measures.keeps_up has it), and of the requests
 * one in a hundred waited for half of that or more, so that it is no long answer that took the time. */
static bool keeps_up(const simulation *sim, const rub_stream_result *r) {
    double drain_s = r->totals.end_s - r->last_arrival_s;
    double patience = fmax(sim->targets.ttft_s, sim->targets.e2e_s);
    return drain_s <=
               RUB_SERVE_BACKLOG_FRAC * r->last_arrival_s + (patience > 0 ? patience : 1.0) ||
           rub_histogram_quantile(&r->ttft, 0.99) < 0.5 * drain_s;
}

/* Requests/s until the last one has ended. */
static double served_per_s(const rub_stream_result *r) {
    return (double)(r->n_req - r->totals.n_rejected) / r->totals.end_s;
}

static int print_json(const simulation *sim, const rub_stream_result *r, double busy) {
    char hash[24];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)r->hash);
    json_t *d = json_pack("{s:I,s:I,s:I,s:I,s:f,s:f,s:o}", "requests", (json_int_t)r->n_req, "good",
                          (json_int_t)r->n_good, "rejected", (json_int_t)r->totals.n_rejected,
                          "iterations", (json_int_t)r->totals.n_iteration, "end_s", r->totals.end_s,
                          "last_arrival_s", r->last_arrival_s, "utilisation", real(busy));
    json_object_set_new(d, "ttft_s", quantiles(&r->ttft));
    json_object_set_new(d, "tpot_s", quantiles(&r->tpot));
    json_object_set_new(d, "e2e_s", quantiles(&r->e2e));
    json_object_set_new(d, "itl_s", quantiles(&r->totals.itl));
    json_object_set_new(d, "offered_rps", real((double)r->n_req / r->last_arrival_s));
    json_object_set_new(d, "served_rps", real(served_per_s(r)));
    json_object_set_new(d, "drain_s", json_real(r->totals.end_s - r->last_arrival_s));
    json_object_set_new(d, "keeps_up", json_boolean(keeps_up(sim, r)));
    json_object_set_new(d, "replicas", json_integer(sim->def.n_replica));
    json_object_set_new(d, "hash", json_string(hash));
    return rub_command_print_json(d);
}

static void row(const char *name, const rub_histogram *h) {
    rub_quantiles q = rub_histogram_quantiles(h);
    double v[] = {q.p50, q.p90, q.p95, q.p99, q.p999, q.max, q.mean};
    printf("  %-10s", name);
    for (int i = 0; i < 7; i++)
        printf(" %10.4g", 1e3 * v[i]);
    printf("\n");
}

static void print_text(const simulation *sim, const rub_stream_result *r, double busy,
                       double cpu_s) {
    printf("%lld streamed requests on %d replica%s, %s; results within 1.1 %%\n\n",
           (long long)r->n_req, sim->def.n_replica, sim->def.n_replica == 1 ? "" : "s",
           rub_policy_names[sim->def.policy]);
    printf("  %-10s %10s %10s %10s %10s %10s %10s %10s\n", "[ms]", "p50", "p90", "p95", "p99",
           "p99.9", "max", "mean");
    row("TTFT", &r->ttft);
    row("TPOT", &r->tpot);
    row("ITL", &r->totals.itl);
    row("E2E", &r->e2e);
    printf(
        "\n%.1f %% of requests met their targets; offered %.4g requests/s, %.4g input and %.4g "
        "output tokens/s over %.4g s; served %.4g requests/s until the last one ended at %.4g s\n",
        100.0 * (double)r->n_good / (double)r->n_req, (double)r->n_req / r->last_arrival_s,
        r->input_tok / r->last_arrival_s, r->output_tok / r->last_arrival_s, r->last_arrival_s,
        served_per_s(r), r->totals.end_s);
    if (!keeps_up(sim, r))
        printf("THE FLEET DOES NOT KEEP UP: the last request ended %.4g s after the last arrival\n",
               r->totals.end_s - r->last_arrival_s);
    printf("busy %.1f %%; %lld iterations, %lld preemptions, %lld rejected; hash %016llx\n",
           100 * busy, (long long)r->totals.n_iteration, (long long)r->totals.n_restart,
           (long long)r->totals.n_rejected, (unsigned long long)r->hash);
    if (isatty(STDERR_FILENO)) /* differs from run to run, so it is no part of the output */
        fprintf(stderr, "%.3g s of CPU time: %.3g requests/s, %.3g iterations/s on a core\n", cpu_s,
                (double)r->n_req / cpu_s, (double)r->totals.n_iteration / cpu_s);
}

int rub_simulation_stream(const simulate_settings *s, simulation *sim) {
    rub_trace_make_def load;
    rub_error err = {0};
    rub_progress progress = rub_command_progress();
    rub_stream_result *r = calloc(1, sizeof *r);
    rub_status status =
        r ? check(s, &err) : rub_error_set(&err, RUB_NO_MEMORY, "out of memory for results");
    if (status == RUB_OK)
        status = load_of(s, &load, &err);
    clock_t from = clock();
    if (status == RUB_OK)
        status = rub_serve_stream(&load, &sim->perf, &sim->def, &sim->targets, &progress, r, &err);
    double cpu_s = (double)(clock() - from) / CLOCKS_PER_SEC;
    int rc = 0;
    if (status != RUB_OK)
        rc = rub_command_fail(&err);
    else {
        double busy = r->totals.busy_s / (r->totals.end_s * sim->def.n_replica);
        if (s->json)
            rc = print_json(sim, r, busy);
        else
            print_text(sim, r, busy, cpu_s);
    }
    free(r);
    return rc;
}
