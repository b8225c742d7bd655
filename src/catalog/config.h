/* Inside of the config.json reader: typed access to a JSON object whose errors know their place in
 * the text, and the parts that fill a rub_model. */
#ifndef RUB_CATALOG_CONFIG_H
#define RUB_CATALOG_CONFIG_H

#include "rubato/catalog.h"

#include <jansson.h>

/* The configuration being read. keys are looked up in text first, then in top. */
typedef struct config {
    const char *file;
    const char *bytes; /* text of the file, for places; NULL when it came from the catalog */
    size_t n;
    int64_t line; /* place of errors when bytes is NULL */
    const json_t *top;
    const json_t *text; /* text_config of a multimodal model, else top */
    rub_error *err;
} config;

/* An integer with its allowed range. fallback is used when the key is absent or null; RUB_REQUIRED
 * makes that an error. keys: alternatives, most common first, parted by '|'. */
#define RUB_REQUIRED INT64_MIN
rub_status rub_config_int(const config *c, const char *keys, int64_t min, int64_t max,
                          int64_t fallback, int64_t *out);
rub_status rub_config_i32(const config *c, const char *keys, int32_t max, int64_t fallback,
                          int32_t *out); /* min 0 */
rub_status rub_config_bool(const config *c, const char *key, bool fallback, bool *out);

/* Text of a key or fallback; wrong kinds count as absent. */
const char *rub_config_text(const config *c, const char *key, const char *fallback);

/* The value of one of the keys, or NULL when absent or null. found: the key that was there. */
#define RUB_KEY_MAX 64
const json_t *rub_config_get(const config *c, const char *keys, char found[RUB_KEY_MAX]);

/* Fails at the place of key (or at the start of the text when it is not there). */
rub_status rub_config_fail(const config *c, rub_status code, const char *key, const char *format,
                           ...) __attribute__((format(printf, 4, 5)));

/* Line and column of a member's key in JSON text that is known to be well-formed. parent NULL: any
 * member of the top object. false when it is not there. */
bool rub_json_place(const char *bytes, size_t n, const char *parent, const char *key, int64_t *line,
                    int64_t *column);

/* Fills out from c (text and top set). */
rub_status rub_config_model(const config *c, rub_model *out);

/* attention, FFN and groups of layers; config_layers.c */
rub_status rub_config_layers(const config *c, rub_model *out);

/* quantization_config -> weights, experts_only; config_quant.c */
rub_status rub_config_quantization(const config *c, rub_model *out);

#endif
