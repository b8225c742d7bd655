/* Candidates: the layouts that are tried, those that cannot fit told why. */
#include "size/size.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Token budgets tried: a small one keeps iterations short (TPOT), a large one prefills fast (TTFT);
 * vLLM's own defaults are 2,048 (offline on small memory) and 8,192 (serving on 80 GB and more). */
static const rub_size_choices default_budget = {2, {2048, 8192}};
static const rub_size_choices default_seqs = {1, {256}};
static const rub_size_choices default_tp = {4, {1, 2, 4, 8}};
static const rub_size_choices one = {1, {1}};

#define MAX_KIND 8

static bool has_precision(const rub_accelerator *a, rub_precision p) {
    switch (p) {
    case RUB_FP8:
        return a->fp8_flops > 0;
    case RUB_MXFP4:
    case RUB_NVFP4:
        return a->fp4_flops > 0;
    default:
        return true;
    }
}

/* "bf16,fp8" to precisions. */
static rub_status parse_kinds(const char *text, rub_precision out[MAX_KIND], int *n,
                              rub_error *err) {
    *n = 0;
    while (*text) {
        char name[24];
        size_t length = strcspn(text, ",");
        if (*n == MAX_KIND || length >= sizeof name)
            return rub_error_set(err, RUB_INVALID, "precisions: found '%.60s', expected at most %d",
                                 text, MAX_KIND);
        snprintf(name, sizeof name, "%.*s", (int)length, text);
        RUB_TRY(rub_precision_parse(name, &out[(*n)++], err));
        text += length + (text[length] == ',');
    }
    return RUB_OK;
}

/* As published, and fp8 where the accelerator has it and the model is published wider. */
static int own_kinds(const rub_model *model, const rub_accelerator *a,
                     rub_precision out[MAX_KIND]) {
    int n = 0;
    out[n++] = model->weights == RUB_PRECISION_AUTO ? RUB_BF16 : model->weights;
    if (out[0] == RUB_BF16 && has_precision(a, RUB_FP8))
        out[n++] = RUB_FP8;
    return n;
}

static void describe(const rub_deployment *d, rub_size_candidate *out) {
    *out = (rub_size_candidate){.accel = d->accel,
                                .deployment = *d,
                                .tp = d->tp,
                                .pp = d->pp,
                                .ep = d->ep,
                                .attention_dp = d->attention_dp,
                                .max_seqs = d->max_seqs,
                                .max_batch_tok = d->max_batch_tok};
    snprintf(out->weights, sizeof out->weights, "%s", rub_precision_name(d->weights));
    snprintf(out->kv_cache, sizeof out->kv_cache, "%s", rub_precision_name(d->kv_cache));
}

static rub_status add(rub_size_job *job, const rub_deployment *d, rub_error *err) {
    rub_size_trial t = {0};
    rub_error why = {0};
    rub_deployment resolved;
    rub_status status = rub_deployment_resolve(d, &resolved, &why);
    if (status == RUB_OK)
        status = rub_memory_plan(&resolved, &t.memory, &why);
    else
        resolved = *d;
    if (status == RUB_NO_MEMORY)
        return rub_error_set(err, status, "%s", why.message);
    describe(&resolved, &t.c);
    t.gpus = d->tp * d->pp * d->attention_dp;
    t.c.index = (int32_t)job->n_trial;
    t.c.group = job->n_group;
    t.c.kv_blocks = t.memory.kv_blocks;
    t.c.fits = status == RUB_OK && t.memory.fits;
    t.c.fate = t.c.fits ? RUB_SIZE_SERVES : RUB_SIZE_NO_FIT;
    if (!t.c.fits)
        snprintf(t.c.reason, sizeof t.c.reason, "%.399s",
                 status == RUB_OK ? t.memory.text : why.message);
    return RUB_ARRAY_PUSH(job->trial, job->n_trial, job->trial_cap, t) == RUB_OK
               ? RUB_OK
               : rub_error_set(err, RUB_NO_MEMORY, "out of memory for candidates");
}

static const rub_size_choices *choices(const rub_size_choices *given,
                                       const rub_size_choices *normal) {
    return given->n > 0 ? given : normal;
}

static bool has_experts(const rub_model *m) {
    for (int32_t i = 0; i < m->n_group; i++)
        if (m->group[i].ffn.n_expert > 0)
            return true;
    return false;
}

/* Limits of the engine for one layout. */
static rub_status add_limits(rub_size_job *job, rub_deployment d, rub_error *err) {
    const rub_size_choices *budget = choices(&job->def->max_batch_tok, &default_budget);
    const rub_size_choices *seqs = choices(&job->def->max_seqs, &default_seqs);
    for (int32_t b = 0; b < budget->n; b++)
        for (int32_t s = 0; s < seqs->n; s++) {
            d.max_batch_tok = budget->value[b];
            d.max_seqs = (int32_t)seqs->value[s];
            if (job->def->policy == RUB_POLICY_VLLM && d.max_batch_tok < d.max_seqs)
                continue; /* vLLM refuses it */
            RUB_TRY(add(job, &d, err));
        }
    return RUB_OK;
}

/* Expert parallelism over all accelerators of the replica, beside tensor parallel experts. */
static rub_status add_experts(rub_size_job *job, rub_deployment d, rub_error *err) {
    rub_size_choices all = {2, {1, d.tp * d.attention_dp}};
    all.n = has_experts(job->model) && d.tp * d.attention_dp > 1 ? 2 : 1;
    const rub_size_choices *ep = choices(&job->def->ep, &all);
    for (int32_t e = 0; e < ep->n; e++) {
        d.ep = (int32_t)ep->value[e];
        RUB_TRY(add_limits(job, d, err));
    }
    return RUB_OK;
}

static rub_status add_layouts(rub_size_job *job, rub_deployment d, rub_error *err) {
    const rub_accelerator *a = d.accel;
    int32_t most = a->scaleup_domain > a->node_size ? a->scaleup_domain : a->node_size;
    const rub_size_choices *tp = choices(&job->def->tp, &default_tp);
    const rub_size_choices *pp = choices(&job->def->pp, &one);
    const rub_size_choices *dp = choices(&job->def->attention_dp, &one);
    for (int32_t p = 0; p < pp->n; p++)
        for (int32_t t = 0; t < tp->n; t++)
            for (int32_t k = 0; k < dp->n; k++) {
                d.pp = (int32_t)pp->value[p];
                d.tp = (int32_t)tp->value[t];
                d.attention_dp = (int32_t)dp->value[k];
                if (job->def->tp.n == 0 && d.tp > most)
                    continue; /* the default list stops at the fast link's end */
                RUB_TRY(add_experts(job, d, err));
            }
    return RUB_OK;
}

rub_status rub_size_enumerate(rub_size_job *job, rub_error *err) {
    rub_precision wanted[MAX_KIND], kv[MAX_KIND] = {RUB_PRECISION_AUTO};
    int n_wanted = 0, n_kv = 1;
    if (job->def->weights)
        RUB_TRY(parse_kinds(job->def->weights, wanted, &n_wanted, err));
    if (job->def->kv_cache)
        RUB_TRY(parse_kinds(job->def->kv_cache, kv, &n_kv, err));
    for (int32_t a = 0; a < job->def->n_accel; a++) {
        rub_precision own[MAX_KIND];
        int n = n_wanted > 0 ? n_wanted : own_kinds(job->model, job->def->accel[a], own);
        for (int k = 0; k < n; k++, job->n_group++)
            for (int v = 0; v < n_kv; v++) {
                rub_deployment d = rub_deployment_default(job->model, job->def->accel[a]);
                d.weights = n_wanted > 0 ? wanted[k] : own[k];
                d.kv_cache = kv[v];
                RUB_TRY(add_layouts(job, d, err));
            }
    }
    return RUB_OK;
}
