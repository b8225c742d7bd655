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

rub_validate_def rub_validate_default(void) {
    return (rub_validate_def){.n_thread = 0, .requests_per_client = 10, .seed = 1};
}

typedef struct batch {
    rub_silicon *silicon;
    const rub_catalog *catalog;
    const rub_validate_def *def;
    const int32_t *twin;
    const rub_silicon_cache *cache;
    const rub_progress *progress;
    atomic_int done, stop, status;
} batch;

/* Means over all requests from the first on that counts, as the benchmark reports them. */
static rub_status means(const rub_trace *trace, const rub_serve_times *t, size_t first,
                        double request_s, rub_silicon_row *row, rub_error *err) {
    double ttft = 0.0, tpot = 0.0;
    size_t n = 0;
    for (size_t i = first; i < trace->n_req; i++) {
        if (isnan(t->finish_s[i]))
            continue;
        ttft += t->first_token_s[i] - t->arrival_s[i];
        if (trace->output_tok[i] > 1)
            tpot += (t->finish_s[i] - t->first_token_s[i]) / (trace->output_tok[i] - 1);
        n++;
    }
    if (first + n < trace->n_req)
        return rub_error_set(err, RUB_INVALID, "requests do not fit in the KV cache");
    row->ttft_predicted_s = ttft / (double)n + request_s;
    row->tpot_predicted_s = tpot / (double)n;
    return RUB_OK;
}

/* An iteration in which every client decodes [s]. */
static double step_s(const rub_perf *perf, const rub_silicon_row *row) {
    double context = rub_silicon_mean_frac(row) * (row->input_tok + 0.5 * row->output_tok);
    rub_batch b = {.n_tokens = row->concurrency,
                   .n_decode = row->concurrency,
                   .kv_decode = (int64_t)(row->concurrency * context)};
    return rub_perf_duration(perf, &b);
}

rub_status rub_silicon_simulate(const rub_silicon_job *job, const rub_perf *perf,
                                const rub_validate_def *def, rub_silicon_row *row, rub_error *err) {
    rub_trace trace = {0};
    rub_serve_times times = {0};
    rub_serve_totals *totals = RUB_NEW(rub_serve_totals, 1);
    size_t n = (size_t)row->concurrency * (size_t)def->requests_per_client;
    rub_serve_def serve = job->serve;
    serve.concurrency = row->concurrency;
    if (serve.spec_draft > 0) /* a layer more for each draft */
        serve.spec_draft_s = step_s(perf, row) / job->deployment.model->n_layer;
    rub_status status = totals ? RUB_OK : RUB_NO_MEMORY;
    if (status == RUB_OK)
        status = rub_trace_make_uniform(n, row->input_tok, row->output_tok, row->recipe.least_frac,
                                        def->seed, &trace, err);
    bool steady = row->recipe.steady && def->requests_per_client > 1; /* else none would count */
    size_t first = status == RUB_OK && steady ? (size_t)row->concurrency : 0;
    for (size_t i = 0; i < first; i++) /* out of step: first answers end evenly spread */
        trace.output_tok[i] =
            1 + (int32_t)((double)i / (double)first * (double)trace.output_tok[i]);
    if (status == RUB_OK)
        status = rub_serve_times_init(&times, n, err);
    if (status == RUB_OK)
        status = rub_serve_run(&trace, perf, &serve, NULL, &times, totals, err);
    if (status == RUB_OK)
        status = means(&trace, &times, first, job->request_s, row, err);
    rub_serve_times_clear(&times);
    rub_trace_clear(&trace);
    free(totals);
    return status;
}

/* Requests whose first token is held back by whole iterations (batches queued ahead, results a step
 * behind, polls) are neither in a batch nor with their client: so many fewer are simulated. As a time that
 * clients stay away they would bunch, because iterations are short just when none of them prefills. */
static rub_status held_back(rub_silicon_job *job, const rub_perf *perf, const rub_validate_def *def,
                            rub_silicon_row *row, rub_error *err) {
    rub_silicon_row part = *row, more = *row;
    job->serve.think_s = job->request_s;
    RUB_TRY(rub_silicon_simulate(job, perf, def, &more, err));
    double output = rub_silicon_mean_frac(row) * row->output_tok;
    double answer_s = more.ttft_predicted_s + output * more.tpot_predicted_s;
    double wait_s = job->wait_steps * more.tpot_predicted_s;
    double in = fmax(1.0, row->concurrency * answer_s / (answer_s + wait_s));
    int32_t least = (int32_t)in;
    double share = in - least; /* of least + 1 clients, the rest of least */
    if (least + 1 < row->concurrency) {
        more.concurrency = least + 1;
        RUB_TRY(rub_silicon_simulate(job, perf, def, &more, err));
    }
    part.concurrency = least;
    if (least < row->concurrency)
        RUB_TRY(rub_silicon_simulate(job, perf, def, &part, err));
    else
        part = more;
    row->tpot_predicted_s = share * more.tpot_predicted_s + (1.0 - share) * part.tpot_predicted_s;
    row->ttft_predicted_s = share * more.ttft_predicted_s + (1.0 - share) * part.ttft_predicted_s +
                            job->wait_steps * row->tpot_predicted_s;
    return RUB_OK;
}

/* One pool, driven by as many clients as the benchmark had. */
static rub_status one_pool(rub_silicon_row *row, const rub_perf *perf, const rub_catalog *catalog,
                           const rub_validate_def *def, rub_error *err) {
    rub_silicon_job job;
    RUB_TRY(rub_silicon_deploy(row, &row->pool, catalog, def, &job, err));
    if (!perf->tables)
        return rub_error_set(err, RUB_INTERNAL, "no durations for this layout");
    return held_back(&job, perf, def, row, err);
}

rub_status rub_silicon_predict_row(rub_silicon *silicon, size_t i, const rub_silicon_cache *cache,
                                   const rub_catalog *catalog, const rub_validate_def *def) {
    rub_silicon_row *row = &silicon->row[i];
    rub_error err = {0};
    row->ttft_predicted_s = row->tpot_predicted_s = NAN;
    row->reason[0] = '\0';
    const rub_perf *pool = &cache->entry[cache->pool[i]].perf;
    rub_status status = row->disagg ? rub_silicon_disagg(row, &cache->entry[cache->prefill[i]].perf,
                                                         pool, catalog, def, &err)
                                    : one_pool(row, pool, catalog, def, &err);
    if (status != RUB_OK)
        snprintf(row->reason, sizeof row->reason, "%.95s", err.message);
    return status == RUB_NO_MEMORY ? status : RUB_OK;
}

static bool same_pool(const rub_silicon_pool *a, const rub_silicon_pool *b) {
    return a->workers == b->workers && a->tp == b->tp && a->dp == b->dp && a->ep == b->ep;
}

static bool alike(const rub_silicon_row *a, const rub_silicon_row *b) {
    return a->concurrency == b->concurrency && a->input_tok == b->input_tok &&
           a->output_tok == b->output_tok && a->disagg == b->disagg &&
           a->draft_tok == b->draft_tok && rub_silicon_same_recipe(&a->recipe, &b->recipe) &&
           same_pool(&a->pool, &b->pool) && same_pool(&a->prefill, &b->prefill) &&
           strcmp(a->engine, b->engine) == 0 && strcmp(a->model, b->model) == 0 &&
           strcmp(a->system, b->system) == 0 && strcmp(a->precision, b->precision) == 0 &&
           strcmp(a->quant, b->quant) == 0;
}

void rub_silicon_twins(const rub_silicon *s, int32_t *twin) {
    for (size_t i = 0; i < s->n_row; i++) {
        size_t j = 0;
        while (j < i && !(twin[j] == (int32_t)j && alike(&s->row[j], &s->row[i])))
            j++;
        twin[i] = (int32_t)j;
    }
}

void rub_silicon_copy_prediction(rub_silicon_row *to, const rub_silicon_row *from) {
    to->ttft_predicted_s = from->ttft_predicted_s;
    to->tpot_predicted_s = from->tpot_predicted_s;
    memcpy(to->reason, from->reason, sizeof to->reason);
}

static void predict_one(void *ctx, int32_t index, int32_t thread) {
    batch *b = ctx;
    if (b->twin[index] != index || atomic_load(&b->stop))
        return;
    if (rub_silicon_predict_row(b->silicon, (size_t)index, b->cache, b->catalog, b->def) != RUB_OK)
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
    rub_silicon_cache cache = {0};
    int32_t *twin = RUB_NEW(int32_t, silicon->n_row + 1);
    if (!twin)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    rub_silicon_twins(silicon, twin);
    if (rub_silicon_cache_init(&cache, silicon, twin, NULL, true) != RUB_OK) {
        free(twin);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    }
    rub_silicon_cache_compile(&cache, catalog, def, NULL);
    b.twin = twin;
    b.cache = &cache;
    rub_parallel_for((int32_t)silicon->n_row, rub_thread_count(def->n_thread), predict_one, &b);
    for (size_t i = 0; i < silicon->n_row; i++)
        if (twin[i] != (int32_t)i)
            rub_silicon_copy_prediction(&silicon->row[i], &silicon->row[twin[i]]);
    free(twin);
    rub_silicon_cache_clear(&cache);
    if (atomic_load(&b.stop))
        return rub_error_set(err, RUB_INTERRUPTED, "interrupted");
    if (atomic_load(&b.status))
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    return RUB_OK;
}
