/* Deployments: defaults, what AUTO means, which layouts are allowed. */
#include "perf/ops.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

/* vLLM: gpu_memory_utilization 0.92 (docs.vllm.ai, stable, `vllm serve`, read 2026-11-23; 0.9 until
 * 2025), blocks of 16 tokens, 8,192 tokens and 256 requests an iteration (1,024 requests on large
 * accelerators in newer versions; 256 keeps the plan valid for all). */
rub_deployment rub_deployment_default(const rub_model *model, const rub_accelerator *accel) {
    return (rub_deployment){.model = model,
                            .accel = accel,
                            .tp = 1,
                            .pp = 1,
                            .ep = 1,
                            .attention_dp = 1,
                            .gpu_memory_utilization = 0.92,
                            .block_size_tok = 16,
                            .max_batch_tok = 8192,
                            .max_seqs = 256};
}

static const char *const backend_names[] = {"vllm", "sglang", "trtllm"};

const char *rub_backend_name(rub_backend backend) {
    return (size_t)backend < RUB_LEN(backend_names) ? backend_names[backend] : "unknown";
}

rub_status rub_backend_parse(const char *text, rub_backend *out, rub_error *err) {
    if (strcasecmp(text, "tensorrt-llm") == 0 || strcasecmp(text, "trt-llm") == 0)
        text = "trtllm";
    for (size_t i = 0; i < RUB_LEN(backend_names); i++)
        if (strcasecmp(text, backend_names[i]) == 0) {
            *out = (rub_backend)i;
            return RUB_OK;
        }
    return rub_error_set(err, RUB_NOT_FOUND, "engine '%.40s', expected vllm, sglang or trtllm",
                         text);
}

static bool is_weight_only(rub_precision weights) {
    return weights == RUB_INT4 || weights == RUB_MXFP4;
}

/* 8 bits need their own arithmetic; 4 bits can be widened on the way in on any accelerator. */
static bool has_arithmetic(const rub_accelerator *a, rub_precision p) {
    if (p == RUB_FP8)
        return a->fp8_flops > 0.0;
    if (p == RUB_INT8)
        return a->int8_flops > 0.0;
    return true;
}

static rub_precision auto_weights(const rub_deployment *d) {
    rub_precision own = d->model->weights == RUB_PRECISION_AUTO ? RUB_BF16 : d->model->weights;
    return has_arithmetic(d->accel, own) ? own : RUB_BF16;
}

static rub_precision auto_activations(const rub_accelerator *a, rub_precision weights) {
    if (weights == RUB_FP8 || weights == RUB_INT8)
        return weights;
    if (weights == RUB_NVFP4)
        return a->fp4_flops > 0.0 ? RUB_NVFP4 : RUB_BF16;
    if (weights == RUB_MXFP4 && a->fp4_flops > 0.0)
        return RUB_FP8; /* mxfp4 weights with mxfp8 activations on Blackwell and CDNA 4 */
    return RUB_BF16;
}

static rub_status check_range(const char *what, double value, double min, double max,
                              rub_error *err) {
    if (value >= min && value <= max)
        return RUB_OK;
    return rub_error_set(err, RUB_INVALID, "%s is %.12g, expected %.12g to %.12g", what, value, min,
                         max);
}

static rub_status check_layout(const rub_deployment *d, rub_error *err) {
    RUB_TRY(check_range("tp", d->tp, 1, 1024, err));
    if (d->pp != 1)
        return rub_error_set(err, RUB_UNSUPPORTED, "pp is %d, expected 1", d->pp);
    RUB_TRY(check_range("attention_dp", d->attention_dp, 1, 1024, err));
    int32_t width = d->tp * d->attention_dp;
    if (d->ep < 1 || width % d->ep != 0)
        return rub_error_set(err, RUB_INVALID, "ep is %d, expected a divisor of %s %d", d->ep,
                             d->attention_dp > 1 ? "tp * attention_dp" : "tp", width);
    for (int32_t i = 0; i < d->model->n_group; i++) {
        const rub_attention *a = &d->model->group[i].attention;
        if (a->heads % d->tp != 0)
            return rub_error_set(err, RUB_INVALID,
                                 "tp %d does not divide the %d attention heads of %.60s", d->tp,
                                 a->heads, d->model->name);
    }
    if (width > d->accel->scaleup_domain && !(d->network_bytes_per_s > 0.0))
        return rub_error_set(err, RUB_INVALID,
                             "%s is %d, expected at most the %d accelerators that %s joins by its "
                             "fast link",
                             d->attention_dp > 1 ? "tp * attention_dp" : "tp", width,
                             d->accel->scaleup_domain, d->accel->name);
    return RUB_OK;
}

rub_status rub_deployment_resolve(const rub_deployment *deployment, rub_deployment *out,
                                  rub_error *err) {
    rub_deployment d = *deployment;
    if (!d.model || !d.accel)
        return rub_error_set(err, RUB_INVALID, "a deployment expected a model and an accelerator");
    RUB_TRY(check_layout(&d, err));
    RUB_TRY(check_range("gpu_memory_utilization", d.gpu_memory_utilization, 0.01, 1.0, err));
    RUB_TRY(check_range("block_size_tok", d.block_size_tok, 1, 65536, err));
    RUB_TRY(check_range("max_batch_tok", (double)d.max_batch_tok, 1, 1e9, err));
    RUB_TRY(check_range("max_seqs", d.max_seqs, 1, 1e6, err));
    if (d.weights == RUB_PRECISION_AUTO)
        d.weights = auto_weights(&d);
    if (!has_arithmetic(d.accel, d.weights))
        return rub_error_set(err, RUB_UNSUPPORTED,
                             "%s has no %s arithmetic, expected another "
                             "precision of weights",
                             d.accel->name, rub_precision_name(d.weights));
    if (d.activations == RUB_PRECISION_AUTO)
        d.activations = auto_activations(d.accel, d.weights);
    if (d.kv_cache == RUB_PRECISION_AUTO)
        d.kv_cache = RUB_BF16;
    if (d.kv_cache != RUB_BF16 && d.kv_cache != RUB_FP8 && d.kv_cache != RUB_INT8)
        return rub_error_set(err, RUB_UNSUPPORTED, "KV cache in %s, expected bf16, fp8 or int8",
                             rub_precision_name(d.kv_cache));
    *out = d;
    return RUB_OK;
}

double rub_peak_flops(const rub_accelerator *accel, rub_precision weights,
                      rub_precision activations) {
    if (activations == RUB_FP8 && accel->fp8_flops > 0.0)
        return accel->fp8_flops;
    if (activations == RUB_INT8 && accel->int8_flops > 0.0)
        return accel->int8_flops;
    if (activations == RUB_NVFP4 && weights == RUB_NVFP4 && accel->fp4_flops > 0.0)
        return accel->fp4_flops;
    return accel->bf16_flops;
}

rub_precision rub_precision_of_experts(const rub_deployment *d) { return d->weights; }

/* What is published as experts-only stays so; mxfp4 and int4 on a model with experts as well. */
rub_precision rub_precision_of_linear(const rub_deployment *d) {
    bool has_experts = false;
    for (int32_t i = 0; i < d->model->n_group; i++)
        has_experts |= d->model->group[i].ffn.n_expert > 0;
    bool own = d->model->experts_only && d->weights == d->model->weights;
    return has_experts && (own || is_weight_only(d->weights)) ? RUB_BF16 : d->weights;
}

int32_t rub_kv_heads_local(const rub_attention *a, int32_t tp) {
    return a->kv_heads > tp ? (a->kv_heads + tp - 1) / tp : 1;
}

double rub_kv_bytes_local(const rub_deployment *d, const rub_attention *a) {
    double bytes = rub_precision_bytes(d->kv_cache);
    if (a->kind == RUB_ATTENTION_LINEAR)
        return 0.0;
    if (a->kind == RUB_ATTENTION_MLA)
        return bytes * rub_attention_kv_values(a) + rub_attention_index_bytes(a);
    return bytes * rub_kv_heads_local(a, d->tp) * (a->head_dim + a->v_head_dim);
}
