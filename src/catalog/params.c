/* Parameters and KV bytes of a model, layer by layer. Closed forms from the shapes of the weights;
 * checked to 1 % against the makers' figures in tests/unit/test_config.c. */
#include "rubato/catalog.h"

/* Gated delta net (Qwen3-Next): projections to q, k, v and the output gate z, two scalars a value
 * head, a short convolution, decay and its bias, a norm, the output projection. */
static double linear_params(const rub_attention *a, double hidden) {
    double keys = (double)a->key_heads * a->key_dim, values = (double)a->value_heads * a->value_dim;
    double in = hidden * (2.0 * keys + 2.0 * values + 2.0 * a->value_heads);
    double conv = (2.0 * keys + values) * a->conv_kernel;
    return in + conv + 2.0 * a->value_heads + a->value_dim + values * hidden;
}

static double mla_params(const rub_attention *a, double hidden) {
    double q = (double)a->heads * a->head_dim;
    double query = a->q_lora > 0 ? hidden * a->q_lora + a->q_lora + a->q_lora * q : hidden * q;
    double kv = hidden * (a->kv_lora + a->qk_rope) + a->kv_lora +
                (double)a->kv_lora * a->heads * (a->qk_nope + a->v_head_dim);
    double out = (double)a->heads * a->v_head_dim * hidden;
    double index_in = a->q_lora > 0 ? a->q_lora : hidden;
    double index = a->index_heads > 0
                       ? index_in * a->index_heads * a->index_dim +
                             hidden * (a->index_dim + a->index_heads) + 2.0 * a->index_dim
                       : 0.0;
    return query + kv + out + index;
}

static double gqa_params(const rub_attention *a, double hidden) {
    double q = (double)a->heads * a->head_dim, k = (double)a->kv_heads * a->head_dim;
    double v = a->k_is_v ? 0.0 : (double)a->kv_heads * a->v_head_dim;
    double o = (double)a->heads * a->v_head_dim;
    double total = hidden * (q * (a->output_gate ? 2.0 : 1.0) + k + v) + o * hidden;
    if (a->qkv_bias)
        total += q + k + v;
    if (a->o_bias)
        total += hidden;
    if (a->sinks)
        total += a->heads;
    return total + a->qk_norm_params;
}

static double attention_params(const rub_attention *a, double hidden) {
    switch (a->kind) {
    case RUB_ATTENTION_MLA:
        return mla_params(a, hidden);
    case RUB_ATTENTION_LINEAR:
        return linear_params(a, hidden);
    default:
        return gqa_params(a, hidden);
    }
}

static double ffn_params(double hidden, double inter, int32_t n_matrix, bool bias) {
    return n_matrix * hidden * inter + (bias ? (n_matrix - 1) * inter + hidden : 0.0);
}

rub_layer_params rub_layer_params_of(const rub_model *model, const rub_layer_group *group) {
    const rub_ffn *f = &group->ffn;
    double hidden = model->hidden;
    rub_layer_params p = {.attention = attention_params(&group->attention, hidden),
                          .norm = group->n_norm * hidden};
    bool dense_bias = f->bias && f->n_expert == 0;
    if (f->inter > 0)
        p.ffn =
            ffn_params(hidden, f->inter, f->n_matrix, dense_bias) + (f->shared_gate ? hidden : 0.0);
    if (f->n_expert > 0) {
        p.router = hidden * f->n_expert + (f->router_bias || f->bias ? f->n_expert : 0);
        p.expert = ffn_params(hidden, f->expert_inter, f->n_matrix, f->bias);
    }
    return p;
}

double rub_attention_kv_values(const rub_attention *a) {
    if (a->kind == RUB_ATTENTION_LINEAR)
        return 0.0;
    if (a->kind == RUB_ATTENTION_MLA)
        return a->kv_lora + a->qk_rope;
    return (double)a->kv_heads * (a->head_dim + a->v_head_dim);
}

double rub_attention_index_bytes(const rub_attention *a) {
    return a->index_heads > 0 ? a->index_dim + 4.0 : 0.0;
}

double rub_attention_state_bytes(const rub_attention *a) {
    if (a->kind != RUB_ATTENTION_LINEAR)
        return 0.0;
    double keys = (double)a->key_heads * a->key_dim, values = (double)a->value_heads * a->value_dim;
    return 4.0 * values * a->key_dim + 2.0 * (2.0 * keys + values) * (a->conv_kernel - 1);
}

rub_model_counts rub_model_count(const rub_model *model) {
    rub_model_counts c = {.embedding_params = (double)model->vocab * model->hidden};
    c.head_params = model->tied_embeddings ? 0.0 : c.embedding_params;
    double common = model->hidden; /* final norm */
    double routed = 0.0, routed_active = 0.0;
    for (int32_t i = 0; i < model->n_group; i++) {
        const rub_layer_group *g = &model->group[i];
        rub_layer_params p = rub_layer_params_of(model, g);
        double kv =
            2.0 * rub_attention_kv_values(&g->attention) + rub_attention_index_bytes(&g->attention);
        common += g->n_layer * (p.attention + p.ffn + p.router + p.norm);
        routed += g->n_layer * p.expert * g->ffn.n_expert;
        routed_active += g->n_layer * p.expert * g->ffn.n_active;
        c.kv_bytes_per_tok += g->n_layer * kv;
        c.kv_bytes_per_tok_windowed += g->attention.window_tok > 0 ? 0.0 : g->n_layer * kv;
        c.state_bytes_per_seq += g->n_layer * rub_attention_state_bytes(&g->attention);
    }
    c.params = common + routed + c.embedding_params + c.head_params;
    /* the head is a matrix product whether tied or not */
    c.active_no_embedding =
        common + routed_active + (model->tied_embeddings ? c.embedding_params : c.head_params);
    bool add = model->active_counts_embedding && !model->tied_embeddings;
    c.active_params = c.active_no_embedding + (add ? c.embedding_params : 0.0);
    return c;
}
