/* Precisions: names, bytes. Scales: mxfp4 one 8-bit scale for 32 values (OCP MX 1.0, 2023-09);
 * nvfp4 one for 16; int4 a 16-bit scale for 32 (as Kimi-K2.5's published configuration). */
#include "rubato/catalog.h"

#include "base/array.h"

#include <strings.h>

static const struct {
    const char *name;
    double bytes;
} table[] = {
    [RUB_PRECISION_AUTO] = {"auto", 0.0},
    [RUB_BF16] = {"bf16", 2.0},
    [RUB_FP8] = {"fp8", 1.0},
    [RUB_INT8] = {"int8", 1.0},
    [RUB_MXFP4] = {"mxfp4", 0.53125},
    [RUB_NVFP4] = {"nvfp4", 0.5625},
    [RUB_INT4] = {"int4", 0.5625},
};

static const struct {
    const char *name;
    rub_precision precision;
} aliases[] = {
    {"bfloat16", RUB_BF16},     {"fp16", RUB_BF16},    {"float16", RUB_BF16}, {"half", RUB_BF16},
    {"fp8_block", RUB_FP8},     {"fp8_e4m3", RUB_FP8}, {"float8", RUB_FP8},   {"fp4", RUB_NVFP4},
    {"w4a16", RUB_INT4},        {"awq", RUB_INT4},     {"gptq", RUB_INT4},    {"w8a8", RUB_INT8},
    {"w4a16_mxfp4", RUB_MXFP4},
};

const char *rub_precision_name(rub_precision precision) {
    return (size_t)precision < RUB_LEN(table) ? table[precision].name : "?";
}

double rub_precision_bytes(rub_precision precision) {
    return (size_t)precision < RUB_LEN(table) ? table[precision].bytes : 0.0;
}

rub_status rub_precision_parse(const char *text, rub_precision *out, rub_error *err) {
    for (size_t i = 0; i < RUB_LEN(table); i++)
        if (strcasecmp(text, table[i].name) == 0) {
            *out = (rub_precision)i;
            return RUB_OK;
        }
    for (size_t i = 0; i < RUB_LEN(aliases); i++)
        if (strcasecmp(text, aliases[i].name) == 0) {
            *out = aliases[i].precision;
            return RUB_OK;
        }
    return rub_error_set(err, RUB_NOT_FOUND,
                         "precision '%.40s' is not known, expected bf16, fp8, int8, mxfp4, nvfp4, "
                         "int4 or auto",
                         text);
}
