/* Memory of one accelerator of a replica, as vLLM budgets it: utilisation * capacity, less weights,
 * less the peak of activations, less what the engine keeps; the rest is KV blocks. */
#include "perf/ops.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { REQUEST_TOK = 4096 }; /* typical request, for figures that depend on its length */

/* CUDA context, graphs for decode batches, communicators: vLLM's start-up log reports 0.5 to 1.5
 * GiB of graphs and 0.5 to 1 GiB outside the allocator on 80 GB cards (from memory; assumed). */
static double reserve_bytes(const rub_deployment *d) {
    return 1.5 * 1073741824.0 + (d->tp > 1 ? 0.5 * 1073741824.0 : 0.0);
}

/* What one accelerator holds of an attention's projections: columns and rows are split, MLA's down
 * projections and the indexer are replicated, and KV heads are copied when there are fewer than tp.
 */
static double attention_local(const rub_deployment *d, const rub_attention *a, double params) {
    double h = d->model->hidden, tp = d->tp;
    if (a->kind == RUB_ATTENTION_MLA) {
        double whole = h * (a->q_lora + a->kv_lora + a->qk_rope);
        if (a->index_heads > 0)
            whole += (double)a->q_lora * a->index_heads * a->index_dim +
                     h * (a->index_dim + a->index_heads);
        return whole + (params - whole) / tp;
    }
    if (a->kind == RUB_ATTENTION_LINEAR)
        return params / tp;
    double per_head = h * (a->head_dim + (a->k_is_v ? 0.0 : a->v_head_dim));
    double kv = a->kv_heads * per_head;
    return (params - kv) / tp + rub_kv_heads_local(a, d->tp) * per_head;
}

static double weights_bytes(const rub_deployment *d) {
    const rub_model *m = d->model;
    double linear = rub_precision_bytes(rub_precision_of_linear(d));
    double expert = rub_precision_bytes(rub_precision_of_experts(d));
    double tp = d->tp, width = tp * d->attention_dp, bytes = 2.0 * m->hidden;
    for (int32_t i = 0; i < m->n_group; i++) {
        const rub_layer_group *g = &m->group[i];
        rub_layer_params p = rub_layer_params_of(m, g);
        double held = ceil((double)g->ffn.n_expert /
                           d->ep); /* experts here, each 1/(tp * attention_dp / ep) wide */
        bytes += g->n_layer *
                 (attention_local(d, &g->attention, p.attention) * linear + p.ffn / tp * linear +
                  2.0 * (p.router + p.norm) + held * p.expert / (width / d->ep) * expert);
    }
    double vocab = ceil((double)m->vocab / tp) * m->hidden * 2.0;
    return bytes + vocab * (m->tied_embeddings ? 1.0 : 2.0);
}

/* Peak of the largest iteration: residual, normed input, QKV or the widest FFN part in 16 bits,
 * plus logits of all requests in 16 and 32 bits for sampling. */
static double activation_bytes(const rub_deployment *d) {
    const rub_model *m = d->model;
    double widest = 0.0;
    for (int32_t i = 0; i < m->n_group; i++) {
        const rub_attention *a = &m->group[i].attention;
        const rub_ffn *f = &m->group[i].ffn;
        double qkv = (a->heads * (double)a->head_dim + 2.0 * a->kv_heads * a->head_dim) / d->tp;
        double dense = 1.5 * (f->n_matrix - 1) * (double)f->inter / d->tp;
        double routed = (double)f->n_active *
                        (1.5 * (f->n_matrix - 1) * (double)f->expert_inter / d->tp + m->hidden);
        widest = fmax(widest, fmax(qkv, fmax(dense, routed)));
    }
    double tokens = (double)d->max_batch_tok * 2.0 * (3.0 * m->hidden + widest);
    double logits = (double)d->max_seqs * (double)m->vocab * (2.0 + 4.0);
    return fmax(tokens, logits);
}

static double state_bytes_per_seq(const rub_deployment *d) {
    return rub_model_count(d->model).state_bytes_per_seq / d->tp;
}

/* KV of one request of n tokens: growing layers and windows. */
static double kv_of_request(const rub_memory *m, double windows_tok, double n_tok) {
    double full = windows_tok > 0.0 ? fmin(n_tok / windows_tok, 1.0) : 0.0;
    return n_tok * m->kv_bytes_per_tok + full * m->kv_fixed_bytes_per_seq;
}

/* KV bytes: of each further token, and of full windows. Returns the longest window. */
static double kv_rates(const rub_deployment *d, rub_memory *out) {
    double longest = 0.0;
    for (int32_t i = 0; i < d->model->n_group; i++) {
        const rub_layer_group *g = &d->model->group[i];
        double bytes = g->n_layer * rub_kv_bytes_local(d, &g->attention);
        double window = g->attention.window_tok;
        if (window > 0.0) {
            out->kv_fixed_bytes_per_seq += bytes * window;
            longest = fmax(longest, window);
        } else {
            out->kv_bytes_per_tok += bytes;
        }
    }
    return longest;
}

/* A block's bytes. Layers with a window keep no more than that of a request, so that what a token
 * costs falls with the context: it is taken at requests of 4,096 tokens. */
static double block_bytes(const rub_deployment *d) {
    double bytes = 0.0;
    for (int32_t i = 0; i < d->model->n_group; i++) {
        const rub_layer_group *g = &d->model->group[i];
        double window = g->attention.window_tok;
        double kept = window > 0.0 && window < REQUEST_TOK ? window / REQUEST_TOK : 1.0;
        bytes += kept * g->n_layer * rub_kv_bytes_local(d, &g->attention);
    }
    return bytes * d->block_size_tok;
}

static void count_capacity(const rub_deployment *d, double longest_window, rub_memory *m) {
    double block = block_bytes(d), context = (double)d->model->context_tok;
    double blocks = block > 0.0 ? m->kv_bytes / block : 0.0;
    m->kv_blocks = blocks < 1e12 ? (int64_t)blocks : (int64_t)1e12;
    m->kv_tokens = m->kv_blocks * d->block_size_tok;
    double over = m->kv_bytes - m->kv_fixed_bytes_per_seq;
    double longest = m->kv_bytes_per_tok > 0.0 ? over / m->kv_bytes_per_tok : context;
    if (longest < longest_window)
        longest = (double)m->kv_tokens;
    m->max_context_tok = (int64_t)fmax(0.0, fmin(longest, context));
    m->max_batch_4k = m->kv_tokens / REQUEST_TOK;
}

static rub_memory plan(const rub_deployment *d) {
    rub_memory m = {.capacity_bytes = d->accel->mem_bytes};
    m.budget_bytes = d->gpu_memory_utilization * m.capacity_bytes;
    m.weights_bytes = weights_bytes(d);
    m.activation_bytes = activation_bytes(d);
    m.reserve_bytes = reserve_bytes(d);
    m.state_bytes = state_bytes_per_seq(d) * d->max_seqs;
    double longest_window = kv_rates(d, &m);
    double used = m.weights_bytes + m.activation_bytes + m.reserve_bytes + m.state_bytes;
    double least = kv_of_request(&m, longest_window, fmin(2048.0, (double)d->model->context_tok));
    double left = m.budget_bytes - used;
    m.fits = left >= least;
    m.missing_bytes = m.fits ? 0.0 : least - left;
    m.kv_bytes = fmax(0.0, left);
    count_capacity(d, longest_window, &m);
    return m;
}

/* The first change that fits: more accelerators at this precision, then lower precisions. */
static void suggest(const rub_deployment *d, char *buf, size_t size) {
    static const rub_precision weights[] = {RUB_PRECISION_AUTO, RUB_FP8, RUB_NVFP4, RUB_INT4};
    char part[2][80] = {"", ""};
    int n = 0;
    for (size_t w = 0; w < RUB_LEN(weights) && n < 2; w++) {
        rub_precision p = weights[w] == RUB_PRECISION_AUTO ? d->weights : weights[w];
        if (w > 0 && rub_precision_bytes(p) >= rub_precision_bytes(d->weights))
            continue;
        for (int32_t tp = w > 0 ? d->tp : d->tp * 2; tp <= d->accel->scaleup_domain; tp *= 2) {
            rub_deployment other = *d, resolved;
            other.tp = tp;
            other.ep = d->ep > 1 ? tp : 1;
            other.weights = p;
            other.activations = RUB_PRECISION_AUTO;
            if (rub_deployment_resolve(&other, &resolved, NULL) != RUB_OK || !plan(&resolved).fits)
                continue;
            snprintf(part[n++], sizeof part[0], "%s weights on %d", rub_precision_name(p), tp);
            break;
        }
    }
    if (n == 0)
        snprintf(buf, size, "no precision and tp within one domain of %d %s would fit",
                 d->accel->scaleup_domain, d->accel->name);
    else
        snprintf(buf, size, "would fit: %s%s%s", part[0], n > 1 ? ", " : "", part[1]);
}

static void describe(const rub_deployment *d, rub_memory *m) {
    double gb = 1e-9;
    if (m->fits) {
        snprintf(
            m->text, sizeof m->text,
            "%s in %s fits on %d %s: %.1f GB of weights and %.1f GB for KV on each of %.1f GB; "
            "%lld blocks of %d tokens, longest context %lld tokens, %lld requests of 4,096 "
            "tokens at once",
            d->model->name, rub_precision_name(d->weights), d->tp, d->accel->name,
            m->weights_bytes * gb, m->kv_bytes * gb, m->capacity_bytes * gb,
            (long long)m->kv_blocks, d->block_size_tok, (long long)m->max_context_tok,
            (long long)m->max_batch_4k);
        return;
    }
    char other[192];
    suggest(d, other, sizeof other);
    snprintf(
        m->text, sizeof m->text,
        "%s in %s does not fit on %d %s: %.1f GB missing on each (weights %.1f GB, activations "
        "%.1f GB, reserve %.1f GB, of %.1f GB usable at %.2f of %.1f GB); %s",
        d->model->name, rub_precision_name(d->weights), d->tp, d->accel->name,
        m->missing_bytes * gb, m->weights_bytes * gb, m->activation_bytes * gb,
        m->reserve_bytes * gb, m->budget_bytes * gb, d->gpu_memory_utilization,
        m->capacity_bytes * gb, other);
}

rub_status rub_memory_plan(const rub_deployment *deployment, rub_memory *out, rub_error *err) {
    rub_deployment d;
    RUB_TRY(rub_deployment_resolve(deployment, &d, err));
    rub_memory m = plan(&d);
    describe(&d, &m);
    *out = m;
    return RUB_OK;
}
