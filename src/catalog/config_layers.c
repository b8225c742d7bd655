/* Attention, FFN and which layer has which: a configuration's layers as a few groups of equal ones.
 *
 * Rules by model_type follow the modelling code of transformers 5 (read from memory, checked by the
 * parameter counts in tests/unit/test_config.c). */
#include "catalog/config.h"

#include "base/array.h"

#include <string.h>

enum { FULL, SLIDING, CHUNKED, LINEAR, N_KIND };

/* What layers are made of before they are sorted into groups. */
typedef struct parts {
    rub_attention attention[N_KIND];
    rub_ffn dense, moe;
    int32_t window, chunk, full_every; /* full_every N: each Nth layer looks at everything */
    int32_t n_norm;
} parts;

static bool is_type(const rub_model *m, const char *prefix) {
    return strncmp(m->type, prefix, strlen(prefix)) == 0;
}

static rub_status read_mla(const config *c, rub_attention *a) {
    RUB_TRY(rub_config_i32(c, "kv_lora_rank", 1 << 16, 0, &a->kv_lora));
    if (a->kv_lora == 0)
        return RUB_OK;
    a->kind = RUB_ATTENTION_MLA;
    RUB_TRY(rub_config_i32(c, "q_lora_rank", 1 << 16, 0, &a->q_lora));
    RUB_TRY(rub_config_i32(c, "qk_nope_head_dim", 1 << 14, RUB_REQUIRED, &a->qk_nope));
    RUB_TRY(rub_config_i32(c, "qk_rope_head_dim", 1 << 14, RUB_REQUIRED, &a->qk_rope));
    RUB_TRY(rub_config_i32(c, "v_head_dim", 1 << 14, RUB_REQUIRED, &a->v_head_dim));
    a->head_dim = a->qk_nope + a->qk_rope;
    RUB_TRY(rub_config_i32(c, "index_n_heads", 4096, 0, &a->index_heads));
    RUB_TRY(rub_config_i32(c, "index_head_dim", 1 << 14, 0, &a->index_dim));
    return rub_config_i32(c, "index_topk", 1 << 24, 0, &a->index_topk);
}

static int32_t qk_norm(const rub_model *m, const rub_attention *a, bool asked) {
    if (is_type(m, "qwen3") || is_type(m, "gemma3") || is_type(m, "gemma4"))
        return 2 * a->head_dim; /* one vector for all heads */
    if (asked && (is_type(m, "minimax") || is_type(m, "cohere")))
        return (a->heads + a->kv_heads) * a->head_dim;
    return 0;
}

static rub_status read_attention(const config *c, const rub_model *m, rub_attention *a) {
    RUB_TRY(rub_config_i32(c, "num_attention_heads|n_head|n_heads", 8192, RUB_REQUIRED, &a->heads));
    RUB_TRY(rub_config_i32(c, "num_key_value_heads|num_kv_heads|n_head_kv", 8192, a->heads,
                           &a->kv_heads));
    if (a->kv_heads < 1 || a->heads % a->kv_heads != 0)
        return rub_config_fail(c, RUB_INVALID, "num_key_value_heads",
                               "%d key-value heads for %d heads, expected a divisor", a->kv_heads,
                               a->heads);
    bool even = m->hidden % a->heads == 0;
    RUB_TRY(rub_config_i32(c, "head_dim", 1 << 14, even ? m->hidden / a->heads : 0, &a->head_dim));
    RUB_TRY(read_mla(c, a));
    if (a->head_dim < 1)
        return rub_config_fail(c, RUB_INVALID, "head_dim",
                               "hidden size %d over %d heads is no whole head size, expected "
                               "'head_dim'",
                               m->hidden, a->heads);
    if (a->kind == RUB_ATTENTION_GQA)
        a->v_head_dim = a->head_dim;
    bool bias = false, norm = false, gate = false;
    RUB_TRY(rub_config_bool(c, "attention_bias", false, &bias));
    RUB_TRY(rub_config_bool(c, "use_qk_norm", false, &norm));
    RUB_TRY(rub_config_bool(c, "attn_output_gate", false, &gate));
    a->qkv_bias = bias || is_type(m, "qwen2");
    a->o_bias = bias;
    a->output_gate = gate;
    a->sinks = is_type(m, "gpt_oss");
    a->qk_norm_params = a->kind == RUB_ATTENTION_GQA ? qk_norm(m, a, norm) : 0;
    return RUB_OK;
}

/* Gemma 4's full layers have their own head size and key-value heads, and values from the key
 * projection. */
static rub_status read_global_attention(const config *c, const rub_model *m, rub_attention *a) {
    RUB_TRY(rub_config_i32(c, "global_head_dim", 1 << 14, a->head_dim, &a->head_dim));
    RUB_TRY(rub_config_i32(c, "num_global_key_value_heads", 8192, a->kv_heads, &a->kv_heads));
    if (a->head_dim < 1 || a->kv_heads < 1 || a->heads % a->kv_heads != 0)
        return rub_config_fail(c, RUB_INVALID, "num_global_key_value_heads",
                               "%d key-value heads of size %d for %d heads, expected a divisor",
                               a->kv_heads, a->head_dim, a->heads);
    if (a->kind == RUB_ATTENTION_GQA) {
        a->v_head_dim = a->head_dim;
        a->qk_norm_params =
            a->qk_norm_params && is_type(m, "gemma") ? 2 * a->head_dim : a->qk_norm_params;
    }
    return rub_config_bool(c, "attention_k_eq_v", false, &a->k_is_v);
}

static rub_status read_linear_attention(const config *c, rub_attention *a) {
    *a = (rub_attention){.kind = RUB_ATTENTION_LINEAR};
    RUB_TRY(rub_config_i32(c, "linear_num_key_heads", 8192, RUB_REQUIRED, &a->key_heads));
    RUB_TRY(rub_config_i32(c, "linear_num_value_heads", 8192, RUB_REQUIRED, &a->value_heads));
    RUB_TRY(rub_config_i32(c, "linear_key_head_dim", 1 << 14, RUB_REQUIRED, &a->key_dim));
    RUB_TRY(rub_config_i32(c, "linear_value_head_dim", 1 << 14, RUB_REQUIRED, &a->value_dim));
    RUB_TRY(rub_config_i32(c, "linear_conv_kernel_dim", 1024, 4, &a->conv_kernel));
    a->heads = a->value_heads;
    a->kv_heads = a->key_heads;
    a->head_dim = a->key_dim;
    a->v_head_dim = a->value_dim;
    return RUB_OK;
}

static rub_status read_experts(const config *c, const rub_model *m, parts *p) {
    rub_ffn *f = &p->moe;
    RUB_TRY(rub_config_i32(c, "num_local_experts|n_routed_experts|num_experts|moe_num_experts",
                           1 << 16, 0, &f->n_expert));
    if (f->n_expert == 0)
        return RUB_OK;
    RUB_TRY(rub_config_i32(c, "num_experts_per_tok|experts_per_token|top_k_experts|moe_topk",
                           1 << 16, RUB_REQUIRED, &f->n_active));
    if (f->n_active > f->n_expert)
        return rub_config_fail(c, RUB_INVALID, "num_experts_per_tok",
                               "%d experts per token of %d experts, expected no more", f->n_active,
                               f->n_expert);
    int64_t dense = p->dense.inter > 0 ? p->dense.inter : RUB_REQUIRED;
    RUB_TRY(rub_config_i32(c, "moe_intermediate_size|expert_ffn_hidden_size", 1 << 22, dense,
                           &f->expert_inter));
    if (f->expert_inter < 1)
        return rub_config_fail(c, RUB_INVALID, "moe_intermediate_size", "experts of no width");
    int32_t n_shared = 0;
    RUB_TRY(rub_config_i32(c, "n_shared_experts|num_shared_experts", 1024, 0, &n_shared));
    int64_t shared = (int64_t)n_shared * f->expert_inter;
    bool both = false; /* Gemma 4: dense part and experts side by side in each layer */
    RUB_TRY(rub_config_bool(c, "enable_moe_block", false, &both));
    if (both || is_type(m, "llama4"))
        shared = p->dense.inter; /* Llama 4: one shared expert as wide as a routed one */
    RUB_TRY(rub_config_i32(c, "shared_expert_intermediate_size|shared_intermediate_size", 1 << 24,
                           shared < 1 << 24 ? shared : 1 << 24, &f->inter));
    f->n_matrix = p->dense.n_matrix;
    f->bias = is_type(m, "gpt_oss");
    f->shared_gate = f->inter > 0 && is_type(m, "qwen");
    bool routing_bias = false;
    RUB_TRY(rub_config_bool(c, "use_routing_bias", false, &routing_bias));
    f->router_bias =
        routing_bias || is_type(m, "deepseek_v3") || is_type(m, "kimi") || is_type(m, "glm");
    /* Llama 4's layers without experts have their own width */
    return rub_config_i32(c, "intermediate_size_mlp", 1 << 24, p->dense.inter, &p->dense.inter);
}

static rub_status read_ffn(const config *c, const rub_model *m, parts *p) {
    static const char *const plain[] = {"gpt2", "opt", "phi", "gpt_neox", "starcoder2", "falcon"};
    p->dense.n_matrix = 3;
    for (size_t i = 0; i < RUB_LEN(plain); i++)
        if (strcmp(m->type, plain[i]) == 0)
            p->dense.n_matrix = 2;
    bool has_experts = false;
    char found[RUB_KEY_MAX];
    has_experts = rub_config_get(c, "moe_intermediate_size|expert_ffn_hidden_size", found) != NULL;
    RUB_TRY(rub_config_i32(c, "intermediate_size|ffn_dim|n_inner|ffn_hidden_size", 1 << 24,
                           has_experts ? 0 : RUB_REQUIRED, &p->dense.inter));
    RUB_TRY(rub_config_bool(c, "mlp_bias", false, &p->dense.bias));
    return read_experts(c, m, p);
}

static rub_status read_windows(const config *c, const rub_model *m, parts *p) {
    bool used = true;
    RUB_TRY(rub_config_bool(c, "use_sliding_window", true, &used));
    RUB_TRY(rub_config_i32(c, "sliding_window", 1 << 30, 0, &p->window));
    if (!used)
        p->window = 0;
    RUB_TRY(rub_config_i32(c, "attention_chunk_size", 1 << 30, 0, &p->chunk));
    int32_t pattern = 0;
    if (is_type(m, "gemma2"))
        pattern = 2;
    if (is_type(m, "gemma3"))
        pattern = 6;
    if (is_type(m, "cohere2") || is_type(m, "llama4"))
        pattern = 4;
    return rub_config_i32(c,
                          "sliding_window_pattern|_sliding_window_pattern|full_attention_interval|"
                          "no_rope_layer_interval",
                          2000, pattern, &p->full_every);
}

static rub_status read_parts(const config *c, const rub_model *m, parts *p) {
    RUB_TRY(read_attention(c, m, &p->attention[SLIDING]));
    p->attention[FULL] = p->attention[CHUNKED] = p->attention[SLIDING];
    RUB_TRY(read_global_attention(c, m, &p->attention[FULL]));
    RUB_TRY(read_windows(c, m, p));
    p->attention[SLIDING].window_tok = p->window;
    p->attention[CHUNKED].window_tok = p->chunk;
    p->n_norm = is_type(m, "gemma") ? 4 : is_type(m, "cohere") ? 1 : 2;
    char found[RUB_KEY_MAX];
    if (rub_config_get(c, "linear_num_value_heads", found))
        RUB_TRY(read_linear_attention(c, &p->attention[LINEAR]));
    return read_ffn(c, m, p);
}

static int kind_named(const char *name) {
    static const struct {
        const char *name;
        int kind;
    } names[] = {{"full_attention", FULL},     {"attention", FULL},
                 {"global_attention", FULL},   {"sliding_attention", SLIDING},
                 {"local_attention", SLIDING}, {"chunked_attention", CHUNKED},
                 {"linear_attention", LINEAR}, {"deepseek_sparse_attention", FULL}};
    for (size_t i = 0; name && i < RUB_LEN(names); i++)
        if (strcmp(name, names[i].name) == 0)
            return names[i].kind;
    return -1;
}

static rub_status attention_kind(const config *c, const parts *p, const json_t *types, int32_t i,
                                 int *out) {
    int kind = FULL;
    bool every = p->full_every > 0 && (i + 1) % p->full_every == 0;
    bool has_linear = p->attention[LINEAR].value_heads > 0;
    if (types) {
        const char *name = json_string_value(json_array_get(types, (size_t)i));
        kind = kind_named(name);
        if (kind < 0)
            return rub_config_fail(c, RUB_UNSUPPORTED, "layer_types",
                                   "layer type '%.40s' is not known, expected full_attention, "
                                   "sliding_attention, chunked_attention or linear_attention",
                                   name ? name : "?");
    } else if (!every) {
        kind = has_linear ? LINEAR : p->chunk > 0 ? CHUNKED : p->window > 0 ? SLIDING : FULL;
    }
    if (kind == LINEAR && !has_linear)
        return rub_config_fail(c, RUB_INVALID, "layer_types",
                               "linear attention without 'linear_num_value_heads'");
    if ((kind == SLIDING && p->window == 0) || (kind == CHUNKED && p->chunk == 0))
        kind = FULL; /* the window is switched off */
    *out = kind;
    return RUB_OK;
}

/* Which layers have experts. */
typedef struct expert_rule {
    int32_t first, every, offset; /* layers >= first with (i + offset) % every == 0 */
    const json_t *freq;           /* moe_layer_freq as a list of 0 and 1 */
    const json_t *dense_only;     /* mlp_only_layers */
} expert_rule;

static rub_status read_expert_rule(const config *c, expert_rule *r) {
    char found[RUB_KEY_MAX];
    *r = (expert_rule){.every = 1};
    RUB_TRY(rub_config_i32(c, "first_k_dense_replace", 2000, 0, &r->first));
    r->dense_only = rub_config_get(c, "mlp_only_layers", found);
    const json_t *freq = rub_config_get(c, "moe_layer_freq", found);
    if (json_is_array(freq)) {
        r->freq = freq;
        return RUB_OK;
    }
    int32_t step = 1;
    RUB_TRY(rub_config_i32(c, "interleave_moe_layer_step|decoder_sparse_step", 2000, 1, &step));
    if (step > 1)
        r->offset = 1; /* counted from the end of each stretch of `step` layers */
    r->every = step;
    if (step <= 1)
        RUB_TRY(rub_config_i32(c, "moe_layer_freq", 2000, 1, &r->every));
    if (r->every < 1)
        r->every = 1;
    return RUB_OK;
}

static bool has_experts(const expert_rule *r, int32_t i) {
    if (r->freq)
        return json_integer_value(json_array_get(r->freq, (size_t)i)) != 0;
    size_t j;
    json_t *item;
    json_array_foreach(r->dense_only, j, item) {
        if (json_is_integer(item) && json_integer_value(item) == i)
            return false;
    }
    return i >= r->first && (i + r->offset) % r->every == 0;
}

rub_status rub_config_layers(const config *c, rub_model *m) {
    parts p = {0};
    expert_rule rule;
    RUB_TRY(read_parts(c, m, &p));
    RUB_TRY(read_expert_rule(c, &rule));
    char found[RUB_KEY_MAX];
    const json_t *types = rub_config_get(c, "layer_types", found);
    if (types && (!json_is_array(types) || json_array_size(types) < (size_t)m->n_layer))
        return rub_config_fail(c, RUB_INVALID, "layer_types",
                               "%zu layer types for %d layers, expected one each",
                               json_array_size(types), m->n_layer);
    int32_t count[N_KIND][2] = {{0}};
    for (int32_t i = 0; i < m->n_layer; i++) {
        int kind = FULL;
        RUB_TRY(attention_kind(c, &p, types, i, &kind));
        bool moe = p.moe.n_expert > 0 && has_experts(&rule, i);
        if (!moe && p.dense.inter < 1)
            return rub_config_fail(c, RUB_INVALID, NULL,
                                   "layer %d has no experts and 'intermediate_size' is missing", i);
        count[kind][moe]++;
    }
    for (int kind = 0; kind < N_KIND; kind++)
        for (int moe = 0; moe < 2; moe++)
            if (count[kind][moe] > 0)
                m->group[m->n_group++] = (rub_layer_group){.n_layer = count[kind][moe],
                                                           .n_norm = p.n_norm,
                                                           .attention = p.attention[kind],
                                                           .ffn = moe ? p.moe : p.dense};
    return RUB_OK;
}
