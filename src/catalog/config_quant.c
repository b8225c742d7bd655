/* quantization_config of a configuration: which precision the published weights have, and whether
 * it covers all linear layers or the routed experts only. */
#include "catalog/config.h"

#include "base/array.h"

#include <string.h>

static const char *text_of(const json_t *object, const char *key) {
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

static int64_t bits_of(const json_t *q) {
    const json_t *bits = json_object_get(q, "bits");
    if (!json_is_integer(bits))
        bits = json_object_get(q, "num_bits");
    return json_is_integer(bits) ? json_integer_value(bits) : 0;
}

/* Names among the modules that stay as they are: attention there means experts only. */
static bool leaves_attention(const json_t *q) {
    static const char *const lists[] = {"modules_to_not_convert", "ignore", "exclude_modules"};
    for (size_t i = 0; i < RUB_LEN(lists); i++) {
        size_t j;
        json_t *item;
        json_array_foreach(json_object_get(q, lists[i]), j, item) {
            const char *s = json_string_value(item);
            /* patterns over all layers, not single layers that are left out by number */
            if (s && strstr(s, "attn") && (strchr(s, '*') || strstr(s, "re:")))
                return true;
        }
    }
    return json_is_true(json_object_get(q, "experts_only"));
}

static rub_precision by_bits(int64_t bits, bool is_float) {
    if (bits == 4)
        return is_float ? RUB_NVFP4 : RUB_INT4;
    if (bits == 8)
        return is_float ? RUB_FP8 : RUB_INT8;
    return RUB_PRECISION_AUTO;
}

static rub_precision compressed_tensors(const json_t *q) {
    const char *group;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json_object_get(q, "config_groups"), group, value) {
        const json_t *weights = json_object_get(value, "weights");
        return by_bits(bits_of(weights), strcmp(text_of(weights, "type"), "float") == 0);
    }
    return by_bits(bits_of(q), false);
}

static rub_precision precision_of(const json_t *q, const char *method) {
    if (strcmp(method, "fp8") == 0 || strcmp(method, "fbgemm_fp8") == 0)
        return RUB_FP8;
    if (strcmp(method, "mxfp4") == 0)
        return RUB_MXFP4;
    if (strcmp(method, "awq") == 0 || strcmp(method, "gptq") == 0)
        return by_bits(bits_of(q) ? bits_of(q) : 4, false);
    if (strcmp(method, "compressed-tensors") == 0)
        return compressed_tensors(q);
    if (strcmp(method, "modelopt") == 0 || strcmp(method, "modelopt_fp4") == 0)
        return strstr(text_of(q, "quant_algo"), "FP8") ? RUB_FP8 : RUB_NVFP4;
    if (strcmp(method, "bitsandbytes") == 0)
        return json_is_true(json_object_get(q, "load_in_8bit")) ? RUB_INT8 : RUB_INT4;
    return RUB_PRECISION_AUTO;
}

rub_status rub_config_quantization(const config *c, rub_model *out) {
    char found[RUB_KEY_MAX];
    const json_t *q = rub_config_get(c, "quantization_config", found);
    out->weights = RUB_BF16;
    if (!q)
        return RUB_OK;
    const char *method = text_of(q, "quant_method");
    rub_precision precision = precision_of(q, method);
    if (precision == RUB_PRECISION_AUTO)
        return rub_config_fail(c, RUB_UNSUPPORTED, "quantization_config",
                               "quant_method '%.40s' is not known, expected fp8, mxfp4, awq, gptq, "
                               "compressed-tensors, modelopt, fbgemm_fp8 or bitsandbytes",
                               method);
    out->weights = precision;
    out->experts_only = leaves_attention(q);
    return RUB_OK;
}
