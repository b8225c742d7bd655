#include "perf/choose.h"

#include "perf/ops.h"

#include <stdio.h>
#include <string.h>

/* An engine's own kernels first; those of the other library where they were not measured, or only with
 * the host launching them one by one. SGLang was not measured: it shares most kernels with vLLM
 * (FlashAttention, FlashInfer, DeepGEMM, CUTLASS). */
static const char *library_of(rub_backend backend, int i) {
    bool trtllm = backend == RUB_BACKEND_TRTLLM;
    return (i == 0) == trtllm ? "trtllm" : "vllm";
}

/* The first that is there: by variant, then by library. */
static const rub_curve *first(const rub_deployment *d, rub_family family,
                              const char *const *variant) {
    for (; *variant; variant++)
        for (int i = 0; i < 2; i++) {
            const rub_curve *c = rub_calibration_find(d->calibration, library_of(d->backend, i),
                                                      family, *variant, false);
            if (c)
                return c;
        }
    return NULL;
}

/* What is published in 8 bits has scales for blocks of 128 x 128 (DeepSeek, Qwen3, MiniMax, GLM); what
 * an engine quantises has one for each tensor or row. */
static bool in_blocks(const rub_deployment *d) { return d->model->weights == RUB_FP8; }

static const char *const *formats(const rub_deployment *d, rub_precision weights, bool experts) {
    static const char *const bf16[] = {"bf16", NULL}, *const fp8[] = {"fp8", "fp8_block", NULL},
                             *const blocks[] = {"fp8_block", "fp8", NULL},
                             *const int8[] = {"int8", NULL}, *const nvfp4[] = {"nvfp4", NULL},
                             *const int4[] = {"int4_wo", NULL},
                             *const mxfp4[] = {"w4a16_mxfp4", "w4a8_mxfp4_mxfp8", NULL},
                             *const mxfp4_8[] = {"w4a8_mxfp4_mxfp8", "w4a16_mxfp4", NULL},
                             *const none[] = {NULL};
    switch (weights) {
    case RUB_BF16:
        return bf16;
    case RUB_FP8:
        return in_blocks(d) ? blocks : fp8;
    case RUB_INT8:
        return int8;
    case RUB_NVFP4:
        return d->activations == RUB_NVFP4 ? nvfp4 : none;
    case RUB_INT4:
        return int4;
    case RUB_MXFP4: /* activations in 8 bits where there is 4-bit arithmetic (Blackwell) */
        return !experts ? none : d->accel->fp4_flops > 0.0 ? mxfp4_8 : mxfp4;
    default:
        return none;
    }
}

const rub_curve *rub_choose_gemm(const rub_deployment *d, rub_precision weights) {
    return first(d, RUB_FAMILY_GEMM, formats(d, weights, false));
}

const rub_curve *rub_choose_experts(const rub_deployment *d) {
    return first(d, RUB_FAMILY_MOE, formats(d, rub_precision_of_experts(d), true));
}

const rub_curve *rub_choose_attention(const rub_deployment *d, bool decode) {
    static const char *const bf16[] = {"bf16/bf16", NULL},
                             *const fp8[] = {"bf16/fp8", "fp8/fp8", NULL},
                             *const fp8_trtllm[] = {"fp8/fp8", "bf16/fp8", NULL};
    const char *const *variant = d->kv_cache == RUB_BF16            ? bf16
                                 : d->backend == RUB_BACKEND_TRTLLM ? fp8_trtllm
                                                                    : fp8;
    return first(d, decode ? RUB_FAMILY_DECODE : RUB_FAMILY_PREFILL, variant);
}

const rub_curve *rub_choose_mla(const rub_deployment *d, bool decode) {
    const char *const *format = formats(d, rub_precision_of_linear(d), false);
    rub_family family = decode ? RUB_FAMILY_MLA_DECODE : RUB_FAMILY_MLA_PREFILL;
    for (; *format; format++) {
        char own[32], other[32];
        const char *const variant[] = {own, other, NULL};
        bool fp8 = d->kv_cache != RUB_BF16;
        snprintf(own, sizeof own, "%s/%s", *format, fp8 ? "fp8" : "bf16");
        snprintf(other, sizeof other, "%s/%s", *format, fp8 ? "bf16" : "fp8");
        const rub_curve *c = first(d, family, variant);
        if (c)
            return c;
    }
    return NULL;
}

const rub_curve *rub_choose_collective(const rub_deployment *d, rub_family family) {
    static const char *const custom[] = {"custom", NULL};
    const rub_curve *c = family == RUB_FAMILY_ALL_REDUCE ? first(d, family, custom) : NULL;
    return c ? c : rub_calibration_find(d->calibration, "nccl", family, "nccl", false);
}

const rub_curve *rub_choose_other(const rub_deployment *d, const rub_curve *curve) {
    const char *library = strcmp(curve->library, "vllm") == 0 ? "trtllm" : "vllm";
    return rub_calibration_find(d->calibration, library, curve->family, curve->variant, false);
}

rub_peaks rub_choose_peaks(const rub_deployment *d) {
    bool own = d->calibration && !d->calibration->carried;
    return own ? d->calibration->peaks : rub_peaks_of(d->accel);
}
