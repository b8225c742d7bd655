/* config.json: whatever the bytes, a model with sane counts or an error with a message. */
#include "rubato/catalog.h"

#include "replay.h"

#include <math.h>

static void check(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "fuzz_config: %s\n", what);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    rub_model model = {.n_layer = -7};
    rub_error err = {0};
    rub_status status = rub_model_read_memory("fuzz.json", (const char *)data, n, &model, &err);
    if (status != RUB_OK) {
        check(err.code == status && err.message[0] && err.line > 0, "an error without a place");
        check(model.n_layer == -7, "output touched on failure");
        return 0;
    }
    rub_model_counts counts = rub_model_count(&model);
    check(isfinite(counts.params) && counts.params > 0.0, "parameters");
    check(counts.active_params <= counts.params * (1 + 1e-9), "more active than all");
    check(counts.kv_bytes_per_tok >= 0.0, "KV bytes");
    int32_t n_layer = 0;
    for (int32_t i = 0; i < model.n_group; i++)
        n_layer += model.group[i].n_layer;
    check(n_layer == model.n_layer, "layers of groups do not add up");
    return 0;
}

#ifndef RUB_LIBFUZZER
int main(void) {
    static const char *const seeds[] = {
        "{\"model_type\": \"llama\", \"num_hidden_layers\": 32, \"hidden_size\": 4096,\n"
        "\"num_attention_heads\": 32, \"num_key_value_heads\": 8, \"intermediate_size\": 14336,\n"
        "\"vocab_size\": 128256, \"max_position_embeddings\": 131072}",
        "{\"model_type\": \"deepseek_v3\", \"num_hidden_layers\": 4, \"hidden_size\": 512,\n"
        "\"num_attention_heads\": 8, \"kv_lora_rank\": 64, \"q_lora_rank\": 96,\n"
        "\"qk_nope_head_dim\": 32, \"qk_rope_head_dim\": 16, \"v_head_dim\": 32,\n"
        "\"n_routed_experts\": 16, \"num_experts_per_tok\": 2, \"moe_intermediate_size\": 128,\n"
        "\"n_shared_experts\": 1, \"first_k_dense_replace\": 1, \"moe_layer_freq\": 1,\n"
        "\"intermediate_size\": 1024, \"vocab_size\": 1000, \"max_position_embeddings\": 4096,\n"
        "\"quantization_config\": {\"quant_method\": \"fp8\", \"ignore\": [\"lm_head\"]}}",
        "{\"text_config\": {\"model_type\": \"qwen3_5_moe_text\", \"num_hidden_layers\": 4,\n"
        "\"layer_types\": [\"linear_attention\", \"full_attention\", \"sliding_attention\",\n"
        "\"chunked_attention\"], \"sliding_window\": 128, \"attention_chunk_size\": 64,\n"
        "\"hidden_size\": 64, \"num_attention_heads\": 4, \"num_key_value_heads\": 2,\n"
        "\"head_dim\": 16, \"linear_num_key_heads\": 2, \"linear_num_value_heads\": 4,\n"
        "\"linear_key_head_dim\": 8, \"linear_value_head_dim\": 8, \"num_experts\": 4,\n"
        "\"num_experts_per_tok\": 2, \"moe_intermediate_size\": 32, \"vocab_size\": 100,\n"
        "\"mlp_only_layers\": [1], \"intermediate_size\": 64,\n"
        "\"max_position_embeddings\": 1024}}"};
    return replay(seeds, sizeof seeds / sizeof *seeds);
}
#endif
