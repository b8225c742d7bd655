/* Candidates: the layouts that are tried, those that cannot fit told why. */
#include "size/size.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Token budgets tried: a small one keeps iterations short (TPOT), a large one prefills fast (TTFT);
 * vLLM's own defaults are 2,048 (offline on small memory) and 8,192 (serving on 80 GB and more). */
static const int64_t budget_tok[] = {2048, 8192};
#define MAX_SEQS 256

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

/* As published, and fp8 where the accelerator has it and the model is published wider. */
static int precisions(const rub_model *model, const rub_accelerator *a, const rub_precision *wanted,
                      rub_precision out[2]) {
    int n = 0;
    if (wanted) {
        out[n++] = *wanted;
        return n;
    }
    out[n++] = model->weights == RUB_PRECISION_AUTO ? RUB_BF16 : model->weights;
    if (out[0] == RUB_BF16 && has_precision(a, RUB_FP8))
        out[n++] = RUB_FP8;
    return n;
}

static void describe(const rub_deployment *d, rub_size_candidate *out) {
    *out = (rub_size_candidate){
        .accel = d->accel, .tp = d->tp, .max_seqs = d->max_seqs, .max_batch_tok = d->max_batch_tok};
    snprintf(out->weights, sizeof out->weights, "%s", rub_precision_name(d->weights));
    snprintf(out->kv_cache, sizeof out->kv_cache, "%s", rub_precision_name(d->kv_cache));
}

static rub_status add(rub_size_job *job, rub_deployment d, rub_error *err) {
    rub_size_trial t = {0};
    rub_error why = {0};
    rub_deployment resolved;
    rub_status status = rub_deployment_resolve(&d, &resolved, &why);
    if (status == RUB_OK) {
        t.deployment = resolved;
        status = rub_memory_plan(&resolved, &t.memory, &why);
    } else
        t.deployment = d;
    if (status == RUB_NO_MEMORY)
        return rub_error_set(err, status, "%s", why.message);
    describe(&t.deployment, &t.candidate);
    t.candidate.fits = status == RUB_OK && t.memory.fits;
    if (!t.candidate.fits)
        snprintf(t.candidate.reason, sizeof t.candidate.reason, "%.399s",
                 status == RUB_OK ? t.memory.text : why.message);
    return RUB_ARRAY_PUSH(job->trial, job->n_trial, job->trial_cap, t) == RUB_OK
               ? RUB_OK
               : rub_error_set(err, RUB_NO_MEMORY, "out of memory for candidates");
}

rub_status rub_size_enumerate(rub_size_job *job, rub_error *err) {
    rub_precision wanted, kv = RUB_PRECISION_AUTO;
    if (job->def->weights)
        RUB_TRY(rub_precision_parse(job->def->weights, &wanted, err));
    if (job->def->kv_cache)
        RUB_TRY(rub_precision_parse(job->def->kv_cache, &kv, err));
    for (int32_t a = 0; a < job->def->n_accel; a++) {
        const rub_accelerator *accel = job->def->accel[a];
        rub_precision kinds[2];
        int n = precisions(job->model, accel, job->def->weights ? &wanted : NULL, kinds);
        int32_t most = accel->node_size > 8 ? 8 : accel->node_size;
        most = accel->scaleup_domain >= 8 ? 8 : most;
        for (int k = 0; k < n; k++)
            for (int32_t tp = 1; tp <= most; tp *= 2)
                for (size_t b = 0; b < RUB_LEN(budget_tok); b++) {
                    rub_deployment d = rub_deployment_default(job->model, accel);
                    d.tp = tp;
                    d.weights = kinds[k];
                    d.kv_cache = kv;
                    d.max_batch_tok = budget_tok[b];
                    d.max_seqs = MAX_SEQS;
                    RUB_TRY(add(job, d, err));
                }
    }
    return RUB_OK;
}
