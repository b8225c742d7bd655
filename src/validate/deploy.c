/* Rows to deployments: names, precisions, layout, and how each engine was set in the benchmark. */
#include "validate/validate.h"

#include "base/array.h"

#include <math.h>
#include <string.h>

/* One port of 400 Gbit/s for each accelerator between servers, as the benchmark's have. */
#define NETWORK_BYTES_PER_S 50e9

static rub_status precision_of(const rub_silicon_row *row, const rub_model *model,
                               rub_precision *out, rub_error *err) {
    const char *name = row->quant;
    if (!*name)
        name = *row->precision ? row->precision : "auto";
    if (strcmp(name, "int4_wo") == 0)
        name = "int4";
    RUB_TRY(rub_precision_parse(name, out, err));
    if (model->weights == RUB_MXFP4)
        *out = RUB_MXFP4; /* published so; the table calls it nvfp4 */
    return RUB_OK;
}

/* Where no recipe tells: the cache is in 8 bits on Blackwell, and with TensorRT-LLM wherever weights
 * have 8 bits or fewer; that the deepest batches fit says the same. */
static rub_precision kv_precision(const rub_silicon_row *row, const rub_deployment *d) {
    if (row->recipe.kv_cache != RUB_PRECISION_AUTO)
        return row->recipe.kv_cache;
    bool blackwell = d->accel->fp4_flops > 0.0 && d->accel->fp8_flops > 0.0;
    bool low = d->backend == RUB_BACKEND_TRTLLM && rub_precision_bytes(d->weights) <= 1.0;
    return low || blackwell ? RUB_FP8 : RUB_BF16;
}

/* Engines were given 0.9 of the memory, more where the weights and one request ask for it: every row
 * did run. */
static rub_status plan_memory(const rub_silicon_row *row, rub_deployment *d, rub_memory *out,
                              rub_error *err) {
    static const double share[] = {0.90, 0.95, 0.99};
    int64_t longest = (int64_t)row->input_tok + row->output_tok;
    for (size_t i = 0; i < RUB_LEN(share); i++) {
        d->gpu_memory_utilization = share[i];
        RUB_TRY(rub_memory_plan(d, out, err));
        if (out->fits && out->kv_tokens >= longest)
            return RUB_OK;
        d->max_batch_tok = d->max_batch_tok > 2048 ? 2048 : d->max_batch_tok;
    }
    if (out->fits)
        return RUB_OK;
    return rub_error_set(err, RUB_INVALID, "does not fit in memory");
}

/* vLLM: prompts fill the budget beside the answers. SGLang: prompts before answers. TensorRT-LLM:
 * in-flight batching, whole prompts join the answers' iterations. */
static rub_serve_def serving(const rub_silicon_row *row, const rub_silicon_pool *pool,
                             rub_backend backend) {
    rub_serve_def s = rub_serve_default();
    s.concurrency = row->concurrency;
    s.max_seqs = row->concurrency;
    s.max_batch_tok = row->recipe.budget_tok * pool->dp; /* each group has its own budget */
    s.whole_prefill = row->recipe.whole_prompts;
    if (backend == RUB_BACKEND_SGLANG)
        s.policy = RUB_POLICY_VLLM_V0;
    int64_t longest = (int64_t)row->input_tok + row->output_tok;
    if ((s.policy == RUB_POLICY_VLLM_V0 || s.whole_prefill) && s.max_batch_tok < longest)
        s.max_batch_tok = longest;
    if (s.max_batch_tok < s.max_seqs)
        s.max_batch_tok = s.max_seqs;
    return s;
}

/* Iterations that a new prompt is held back on purpose, in the mean, at lambda arrivals an
 * iteration. Waiting for company: the first of a group waits until the time or the tokens are
 * reached, those that come meanwhile for what is left. Waiting for one prompt in every group of
 * accelerators: as long as the others take to come. */
static double held_steps(const rub_silicon_row *row) {
    double frac = rub_silicon_mean_frac(row), wait = 0.0;
    double lambda = row->concurrency / (frac * row->output_tok);
    const rub_silicon_recipe *r = &row->recipe;
    if (r->hold_steps > 0) {
        double enough = r->hold_tok / (frac * row->input_tok) / lambda;
        double t = fmin(r->hold_steps, enough);
        wait += (t + 0.5 * lambda * t * t) / (1.0 + lambda * t);
    }
    if (r->balance_steps > 0)
        wait += 0.5 * fmin(r->balance_steps, (row->pool.dp - 1) / lambda);
    return wait;
}

/* With drafts every engine is the one policy of the simulator that knows them; each draft comes from
 * one layer more. */
static void speculate(const rub_silicon_row *row, rub_serve_def *s) {
    if (row->disagg || row->draft_tok <= 0)
        return;
    s->policy = RUB_POLICY_VLLM;
    s->whole_prefill = true;
    s->spec_draft = row->draft_tok;
    s->spec_accept = RUB_DRAFT_ACCEPTANCE;
    int64_t longest = (int64_t)row->input_tok + row->output_tok;
    int64_t least = (int64_t)s->max_seqs * (1 + s->spec_draft) + longest;
    if (s->max_batch_tok < least)
        s->max_batch_tok = least;
}

/* TensorRT-LLM admits what fits with its whole answer, SGLang keeps room for most of it; vLLM admits
 * what fits now and sends requests back later. */
static void limit_seqs(const rub_silicon_row *row, rub_backend backend, rub_serve_def *s) {
    double request = rub_silicon_mean_frac(row) * ((double)row->input_tok + row->output_tok);
    double fit = (double)s->kv_blocks * s->block_size_tok / request;
    if (backend != RUB_BACKEND_VLLM && fit < s->max_seqs)
        s->max_seqs = fit > 1.0 ? (int32_t)fit : 1;
}

static rub_status names(const rub_silicon_row *row, const rub_catalog *catalog,
                        const rub_model **model, const rub_accelerator **accel,
                        rub_backend *backend, rub_error *err) {
    RUB_TRY(rub_backend_parse(row->engine, backend, err));
    RUB_TRY(rub_catalog_model(catalog, row->model, model, err));
    return rub_catalog_accelerator(catalog, row->system, accel, err);
}

/* Where the table notes a tp that heads cannot be split into, each accelerator has its own requests'
 * attention and the experts are spread over all (wide expert parallelism). */
static rub_silicon_pool grouped(const rub_silicon_pool *pool, const rub_model *model) {
    rub_silicon_pool own = *pool;
    if (model->n_group > 0 && model->group[0].attention.heads % own.tp != 0) {
        own.ep = own.dp = own.tp * own.dp;
        own.tp = 1;
    }
    return own;
}

rub_status rub_silicon_deploy(const rub_silicon_row *row, const rub_silicon_pool *pool,
                              const rub_catalog *catalog, const rub_validate_def *def,
                              rub_silicon_job *out, rub_error *err) {
    const rub_model *model = NULL;
    const rub_accelerator *accel = NULL;
    rub_backend backend = RUB_BACKEND_VLLM;
    RUB_TRY(names(row, catalog, &model, &accel, &backend, err));
    if (!row->disagg && pool->tp > 8 && pool->ep == 1 && pool->dp == 1)
        return rub_error_set(err, RUB_INVALID,
                             "tp above 8 in one pool: the size of several pools, not a layout");
    if (row->concurrency < 1)
        return rub_error_set(err, RUB_INVALID, "no concurrency given");
    rub_silicon_pool own = grouped(pool, model);
    pool = &own;
    rub_deployment d = rub_deployment_default(model, accel);
    d.backend = backend;
    d.tp = pool->tp;
    d.attention_dp = pool->dp;
    d.ep = pool->ep;
    d.network_bytes_per_s = NETWORK_BYTES_PER_S;
    d.constants = def->constants ? &def->constants[backend] : NULL;
    RUB_TRY(precision_of(row, model, &d.weights, err));
    d.kv_cache = kv_precision(row, &d);
    rub_silicon_job job = {.serve = serving(row, pool, backend)};
    d.max_seqs = (row->concurrency + pool->dp - 1) / pool->dp;
    d.max_batch_tok = (job.serve.max_batch_tok + pool->dp - 1) / pool->dp;
    RUB_TRY(rub_deployment_resolve(&d, &job.deployment, err));
    rub_memory memory;
    RUB_TRY(plan_memory(row, &job.deployment, &memory, err));
    job.serve.kv_blocks = memory.kv_blocks * pool->dp;
    limit_seqs(row, backend, &job.serve);
    speculate(row, &job.serve);
    rub_engine_constants c = d.constants ? *d.constants : rub_engine_constants_of(backend);
    job.request_s = c.request_s;
    job.wait_steps = c.wait_steps + c.poll_frac * row->recipe.poll_steps + held_steps(row);
    *out = job;
    return RUB_OK;
}
