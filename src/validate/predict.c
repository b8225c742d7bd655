/* Predictions: each row's deployment is compiled (once for all rows that share it) and driven by a
 * closed loop, as the benchmark did. */
#include "validate/validate.h"

#include "base/array.h"
#include "base/tasks.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The benchmark's client: lengths uniform in [0.8, 1] of the nominal ones. */
#define LEAST_LENGTH 0.8

rub_validate_def rub_validate_default(void) {
    return (rub_validate_def){.n_thread = 0, .requests_per_client = 10, .seed = 1};
}

typedef struct batch {
    rub_silicon *silicon;
    const rub_catalog *catalog;
    const rub_validate_def *def;
    const rub_progress *progress;
    atomic_int done, stop, status;
} batch;

/* Means over all requests, as the benchmark reports them. */
static rub_status means(const rub_trace *trace, const rub_serve_times *t, double request_s,
                        rub_silicon_row *row, rub_error *err) {
    double ttft = 0.0, tpot = 0.0;
    size_t n = 0;
    for (size_t i = 0; i < trace->n_req; i++) {
        if (isnan(t->finish_s[i]))
            continue;
        ttft += t->first_token_s[i] - t->arrival_s[i];
        if (trace->output_tok[i] > 1)
            tpot += (t->finish_s[i] - t->first_token_s[i]) / (trace->output_tok[i] - 1);
        n++;
    }
    if (n < trace->n_req)
        return rub_error_set(err, RUB_INVALID, "requests do not fit in the KV cache");
    row->ttft_predicted_s = ttft / (double)n + request_s;
    row->tpot_predicted_s = tpot / (double)n;
    return RUB_OK;
}

rub_status rub_silicon_simulate(const rub_silicon_job *job, const rub_perf *perf,
                                const rub_validate_def *def, rub_silicon_row *row, rub_error *err) {
    rub_trace trace = {0};
    rub_serve_times times = {0};
    rub_serve_totals *totals = RUB_NEW(rub_serve_totals, 1);
    size_t n = (size_t)row->concurrency * (size_t)def->requests_per_client;
    rub_status status = totals ? RUB_OK : RUB_NO_MEMORY;
    if (status == RUB_OK)
        status = rub_trace_make_uniform(n, row->input_tok, row->output_tok, LEAST_LENGTH, def->seed,
                                        &trace, err);
    if (status == RUB_OK)
        status = rub_serve_times_init(&times, n, err);
    if (status == RUB_OK)
        status = rub_serve_run(&trace, perf, &job->serve, NULL, &times, totals, err);
    if (status == RUB_OK)
        status = means(&trace, &times, job->request_s, row, err);
    rub_serve_times_clear(&times);
    rub_trace_clear(&trace);
    free(totals);
    return status;
}

/* One pool: compiled, then driven by as many clients as the benchmark had. */
static rub_status one_pool(rub_silicon_row *row, const rub_catalog *catalog,
                           const rub_validate_def *def, rub_error *err) {
    rub_silicon_job job;
    rub_perf perf;
    RUB_TRY(rub_silicon_deploy(row, &row->pool, catalog, def, &job, err));
    RUB_TRY(rub_perf_compile(&job.deployment, &perf, err));
    job.serve.think_s = job.request_s;
    rub_status status = rub_silicon_simulate(&job, &perf, def, row, err);
    rub_perf_clear(&perf);
    return status;
}

rub_status rub_silicon_predict_row(rub_silicon_row *row, const rub_catalog *catalog,
                                   const rub_validate_def *def) {
    rub_error err = {0};
    row->ttft_predicted_s = row->tpot_predicted_s = NAN;
    row->reason[0] = '\0';
    rub_status status = row->disagg ? rub_silicon_disagg(row, catalog, def, &err)
                                    : one_pool(row, catalog, def, &err);
    if (status != RUB_OK)
        snprintf(row->reason, sizeof row->reason, "%.95s", err.message);
    return status == RUB_NO_MEMORY ? status : RUB_OK;
}

static void predict_one(void *ctx, int32_t index, int32_t thread) {
    batch *b = ctx;
    if (atomic_load(&b->stop))
        return;
    if (rub_silicon_predict_row(&b->silicon->row[index], b->catalog, b->def) != RUB_OK)
        atomic_store(&b->status, (int)RUB_NO_MEMORY);
    int done = atomic_fetch_add(&b->done, 1) + 1;
    if (thread == 0 && !rub_progress_report(b->progress, "validating", (double)done,
                                            (double)b->silicon->n_row, NULL))
        atomic_store(&b->stop, 1);
}

rub_status rub_silicon_predict(rub_silicon *silicon, const rub_catalog *catalog,
                               const rub_validate_def *def, const rub_progress *progress,
                               rub_error *err) {
    batch b = {.silicon = silicon, .catalog = catalog, .def = def, .progress = progress};
    if (def->requests_per_client < 1)
        return rub_error_set(err, RUB_INVALID, "requests per client are %d, expected 1 or more",
                             def->requests_per_client);
    rub_parallel_for((int32_t)silicon->n_row, rub_thread_count(def->n_thread), predict_one, &b);
    if (atomic_load(&b.stop))
        return rub_error_set(err, RUB_INTERRUPTED, "interrupted");
    if (atomic_load(&b.status))
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    return RUB_OK;
}
