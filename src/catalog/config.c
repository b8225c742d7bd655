/* Hugging Face config.json -> rub_model. Keys as transformers 4.x and 5.x write them, checked with
 * the configurations of the models named in docs/catalog.md. Anything that would make the counts
 * wrong without notice (state-space layers, encoders, per-layer embeddings) is refused by name. */
#include "catalog/config.h"

#include "base/array.h"
#include "base/file.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* Keys of architectures that this reader would count wrongly. */
static rub_status refuse_unknown_kinds(const config *c, const char *type) {
    static const char *const keys[] = {
        "hybrid_override_pattern", "layers_block_type", "block_configs", "attn_type_list",
        "compress_ratios",         "ssm_cfg",           "state_size"};
    static const char *const types[] = {"mamba", "nemotron_h", "jamba", "t5",   "bert",
                                        "bart",  "whisper",    "rwkv",  "clip", "falcon_h1"};
    bool encoder = false;
    RUB_TRY(rub_config_bool(c, "is_encoder_decoder", false, &encoder));
    if (encoder)
        return rub_config_fail(c, RUB_UNSUPPORTED, "is_encoder_decoder",
                               "an encoder-decoder model, expected a decoder");
    char found[RUB_KEY_MAX];
    for (size_t i = 0; i < RUB_LEN(keys); i++)
        if (rub_config_get(c, keys[i], found))
            return rub_config_fail(c, RUB_UNSUPPORTED, keys[i],
                                   "layers of mixed kinds described by '%s' are not supported",
                                   keys[i]);
    for (size_t i = 0; i < RUB_LEN(types); i++)
        if (strstr(type, types[i]))
            return rub_config_fail(c, RUB_UNSUPPORTED, "model_type",
                                   "model_type '%.40s' is not supported, expected a decoder of "
                                   "attention layers",
                                   type);
    int64_t per_layer = 0;
    RUB_TRY(rub_config_int(c, "hidden_size_per_layer_input", 0, 1 << 20, 0, &per_layer));
    if (per_layer > 0)
        return rub_config_fail(c, RUB_UNSUPPORTED, "hidden_size_per_layer_input",
                               "embeddings for each layer are not supported");
    return RUB_OK;
}

static bool starts_with(const char *s, const char *prefix) {
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Whether transformers ties input and output embeddings when the key is not written. */
static bool ties_by_default(const char *type) {
    return starts_with(type, "gemma") || starts_with(type, "cohere") || starts_with(type, "gpt2");
}

/* Makers who leave the input embedding (a lookup) out of the active count they publish: gpt-oss
 * says so in its card; DeepSeek's 37 B, Kimi's 32 B and GLM-5's 40 B are met only without it.
 * Mixtral's 12.9 B, Qwen3's 3.3 B and Llama 4's 17 B are met only with it. */
static bool counts_embedding(const char *type) {
    return !(starts_with(type, "gpt_oss") || starts_with(type, "deepseek") ||
             starts_with(type, "kimi") || starts_with(type, "glm"));
}

rub_status rub_config_model(const config *c, rub_model *out) {
    rub_model m = {0};
    const char *type = rub_config_text(c, "model_type", "");
    RUB_TRY(refuse_unknown_kinds(c, type));
    snprintf(m.type, sizeof m.type, "%s", type);
    RUB_TRY(rub_config_i32(c, "num_hidden_layers|n_layer|n_layers|num_layers", 2000, RUB_REQUIRED,
                           &m.n_layer));
    RUB_TRY(rub_config_i32(c, "hidden_size|n_embd|d_model", 1 << 18, RUB_REQUIRED, &m.hidden));
    RUB_TRY(rub_config_int(c, "vocab_size", 1, 100000000, RUB_REQUIRED, &m.vocab));
    RUB_TRY(rub_config_int(
        c, "max_position_embeddings|n_positions|seq_length|max_seq_len|model_max_length", 1,
        (int64_t)1 << 40, RUB_REQUIRED, &m.context_tok));
    RUB_TRY(rub_config_i32(c, "num_nextn_predict_layers|mtp_num_hidden_layers|num_mtp_modules", 64,
                           0, &m.n_mtp_layer));
    RUB_TRY(rub_config_bool(c, "tie_word_embeddings", ties_by_default(type), &m.tied_embeddings));
    m.text_part_only = c->text != c->top;
    m.active_counts_embedding = counts_embedding(type);
    RUB_TRY(rub_config_layers(c, &m));
    RUB_TRY(rub_config_quantization(c, &m));
    *out = m;
    return RUB_OK;
}

/* "x/Qwen3-32B.json" -> "Qwen3-32B"; "x/Qwen3-32B/config.json" -> "Qwen3-32B". */
static void name_of_path(const char *path, char *buf, size_t size) {
    const char *end = path + strlen(path), *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    if (strcmp(base, "config.json") == 0 && base - path > 1) {
        end = base - 1;
        for (base = end; base > path && base[-1] != '/';)
            base--;
    } else if (end - base > 5 && strcmp(end - 5, ".json") == 0) {
        end -= 5;
    }
    snprintf(buf, size, "%.*s", (int)(end - base), base);
}

rub_status rub_model_read_memory(const char *name, const char *bytes, size_t n, rub_model *out,
                                 rub_error *err) {
    json_error_t at;
    json_t *top = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &at);
    if (!top)
        return rub_error_at(err, RUB_PARSE, name, at.line > 0 ? at.line : 1,
                            at.column > 0 ? at.column : 1, "%s", at.text);
    config c = {.file = name, .bytes = bytes, .n = n, .top = top, .text = top, .err = err};
    rub_model m = {0};
    rub_status status = RUB_OK;
    if (!json_is_object(top)) {
        status =
            rub_error_at(err, RUB_INVALID, name, 1, 1, "not an object, expected a config.json");
    } else {
        const json_t *text = json_object_get(top, "text_config");
        if (json_is_object(text) && !json_object_get(top, "hidden_size"))
            c.text = text;
        status = rub_config_model(&c, &m);
    }
    json_decref(top);
    if (status != RUB_OK)
        return status;
    name_of_path(name, m.name, sizeof m.name);
    snprintf(m.source, sizeof m.source, "%s", name);
    snprintf(m.status, sizeof m.status, "read");
    *out = m;
    return RUB_OK;
}

rub_status rub_model_read(const char *path, rub_model *out, rub_error *err) {
    rub_file file;
    RUB_TRY(rub_file_open(path, &file, err));
    rub_status status = rub_model_read_memory(path, file.data, file.n, out, err);
    rub_file_close(&file);
    return status;
}
