/* Operators of one forward pass under tensor parallelism, as vLLM splits them: columns of QKV and
 * of gate and up projections, rows of the output and down projections with an all-reduce each;
 * MLA's low-rank down projections and the router are replicated; the vocabulary is split. */
#include "perf/ops.h"

#include "perf/choose.h"
#include "perf/cut.h"

#include <math.h>

typedef struct builder {
    const rub_deployment *d;
    const rub_model *m;
    const rub_accelerator *a;
    double tp;
    double width; /* accelerators that share the experts: tp * attention_dp */
    rub_op_list *list;
    double n_layer; /* of the group being built */
    rub_peaks peaks;
} builder;

static void add(builder *b, rub_op op) {
    op.n = b->n_layer;
    op.scale = 1.0;
    op.peaks = b->peaks;
    if (b->list->n < RUB_MAX_OPS - 3)
        b->list->op[b->list->n++] = op;
}

static double larger(double x, double y) { return x > y ? x : y; }
static double smaller(double x, double y) { return x < y ? x : y; }

/* m x k by k x n in a precision; activations in and out in 16 bits (8 or 4 bits in when quantised).
 */
static void add_gemm(builder *b, const char *name, rub_op_kind kind, rub_op_class class, double n,
                     double k, rub_precision weights) {
    rub_efficiency e = rub_efficiency_gemm(weights, false);
    rub_precision activations = weights == RUB_BF16 ? RUB_BF16 : b->d->activations;
    double bandwidth = b->a->mem_bytes_per_s * e.memory;
    double in = rub_precision_bytes(activations);
    add(b, (rub_op){.name = name,
                    .kind = kind,
                    .class = class,
                    .compute_s =
                        2.0 * n * k / (rub_peak_flops(b->a, weights, activations) * e.compute),
                    .stream_s = (k * in + n * 2.0) / bandwidth,
                    .fixed_s = n * k * rub_precision_bytes(weights) / bandwidth,
                    .overhead_s = e.overhead_s,
                    .curve = rub_choose_gemm(b->d, weights),
                    .shape = {.n = n, .k = k}});
}

static void add_linear(builder *b, const char *name, double n, double k) {
    add_gemm(b, name, RUB_OP_TOKENS, RUB_CLASS_GEMM, n, k, rub_precision_of_linear(b->d));
}

/* Streaming work: bytes for each token and a number of launches. */
static void add_small(builder *b, const char *name, rub_op_class class, double bytes_per_tok,
                      double launches) {
    rub_efficiency e = rub_efficiency_small();
    add(b, (rub_op){.name = name,
                    .kind = RUB_OP_TOKENS,
                    .class = class,
                    .stream_s = bytes_per_tok / (b->a->mem_bytes_per_s * e.memory),
                    .overhead_s = launches * e.overhead_s});
}

static void add_in_domain(builder *b, rub_op op, rub_family family, double gpus,
                          double bytes_per_unit) {
    double latency = 0.0, per_byte = 0.0, share = family == RUB_FAMILY_ALL_REDUCE ? 1.0 : 0.5;
    rub_all_reduce(b->a, (int32_t)gpus, &latency, &per_byte);
    op.stream_s = share * bytes_per_unit * per_byte;
    op.overhead_s = latency;
    op.curve = rub_choose_collective(b->d, family);
    op.shape = (rub_shape){.gpus = gpus};
    op.unit_bytes = bytes_per_unit;
    if (gpus > 1.0)
        add(b, op);
}

/* Over several domains: inside each of them as above, and a ring between them in which every accelerator
 * carries its own part of the bytes through its own port. 0.7 of the port and 15 us a step are assumed
 * (not measured). */
static void add_collective(builder *b, const char *name, rub_op_kind kind, rub_family family,
                           double gpus, double bytes_per_unit, bool all_tokens) {
    double inside = smaller(gpus, b->a->scaleup_domain), domains = gpus / inside;
    rub_op op = {
        .name = name, .kind = kind, .class = RUB_CLASS_COLLECTIVE, .all_tokens = all_tokens};
    add_in_domain(b, op, family, inside, bytes_per_unit);
    if (domains <= 1.0)
        return;
    double rounds = family == RUB_FAMILY_ALL_REDUCE ? 2.0 : 1.0;
    op.stream_s = rounds * (domains - 1.0) / domains * bytes_per_unit / inside /
                  (0.7 * b->d->network_bytes_per_s);
    op.overhead_s = rounds * (domains - 1.0) * 15e-6;
    add(b, op);
}

static void add_all_reduce(builder *b, const char *name, double bytes_per_tok) {
    add_collective(b, name, RUB_OP_TOKENS, RUB_FAMILY_ALL_REDUCE, b->tp, bytes_per_tok, false);
}

/* All-gather before the experts and reduce-scatter after them over all accelerators. Spread more widely
 * than a token has experts, it goes to those only (all-to-all). */
static void add_exchange(builder *b, const rub_ffn *f, double bytes_per_tok) {
    bytes_per_tok *= smaller(1.0, (double)f->n_active / b->d->ep);
    add_collective(b, "gather to experts", RUB_OP_TOKENS, RUB_FAMILY_ALL_GATHER, b->width,
                   bytes_per_tok, true);
    add_collective(b, "scatter from experts", RUB_OP_TOKENS, RUB_FAMILY_REDUCE_SCATTER, b->width,
                   bytes_per_tok, true);
}

/* Attention proper over the KV cache. pair_flops: for one query token and one context token, all
 * local heads; kv_bytes: of one context token. */
static void add_attention(builder *b, double decode_pair_flops, double prefill_pair_flops,
                          double kv_bytes, double window, double prefix_s,
                          const rub_attention *measured) {
    rub_efficiency p = rub_efficiency_prefill(), e = rub_efficiency_decode();
    rub_shape shape = {.window = window};
    if (measured) {
        shape.heads = measured->heads / b->tp;
        shape.kv_heads = rub_kv_heads_local(measured, b->d->tp);
        shape.head_dim = 0.5 * (measured->head_dim + measured->v_head_dim);
    }
    add(b, (rub_op){.name = "decode attention",
                    .kind = RUB_OP_DECODE,
                    .class = RUB_CLASS_ATTENTION,
                    .compute_s = decode_pair_flops / (b->a->bf16_flops * e.compute),
                    .stream_s = kv_bytes / (b->a->mem_bytes_per_s * e.memory),
                    .overhead_s = e.overhead_s,
                    .window_tok = window,
                    .curve = measured ? rub_choose_attention(b->d, true) : NULL,
                    .shape = shape});
    add(b, (rub_op){.name = "prefill attention",
                    .kind = RUB_OP_PREFILL,
                    .class = RUB_CLASS_ATTENTION,
                    .compute_s = prefill_pair_flops / (b->a->bf16_flops * p.compute),
                    .stream_s = kv_bytes / (b->a->mem_bytes_per_s * p.memory),
                    .overhead_s = p.overhead_s,
                    .per_req_s = prefix_s,
                    .window_tok = window,
                    .curve = measured ? rub_choose_attention(b->d, false) : NULL,
                    .shape = shape});
}

static void build_gqa(builder *b, const rub_attention *a) {
    double heads = a->heads / b->tp, kv = rub_kv_heads_local(a, b->d->tp), h = b->m->hidden;
    double q = heads * a->head_dim * (a->output_gate ? 2.0 : 1.0);
    double k_and_v = kv * (a->head_dim + (a->k_is_v ? 0 : a->v_head_dim));
    double pair = 2.0 * heads * (a->head_dim + a->v_head_dim);
    add_linear(b, "qkv projection", q + k_and_v, h);
    add_small(b, "rope and KV write", RUB_CLASS_SMALL, 4.0 * (q + k_and_v), 2.0);
    add_attention(b, pair, pair, rub_kv_bytes_local(b->d, a), a->window_tok, 0.0, a);
    add_linear(b, "output projection", h, heads * a->v_head_dim);
}

/* The block as it was measured: projections, norms, rope and KV write included. Chunks after others
 * project the keys and values of those up again. */
static void add_mla_blocks(builder *b, const rub_attention *a, double window, double up_s) {
    double heads = a->heads / b->tp, h = b->m->hidden, qk = a->qk_nope + a->qk_rope;
    double q_in = a->q_lora > 0 ? a->q_lora : h;
    rub_shape shape = {.heads = heads, .kv_values = rub_attention_kv_values(a), .window = window};
    shape.weights = h * (a->q_lora + a->kv_lora + a->qk_rope) + q_in * heads * qk +
                    a->kv_lora * heads * (a->qk_nope + a->v_head_dim) + heads * a->v_head_dim * h;
    shape.token_flops = 2.0 * shape.weights;
    for (int decode = 0; decode < 2; decode++) {
        shape.pair_flops =
            2.0 * heads * (decode ? 2.0 * a->kv_lora + a->qk_rope : qk + a->v_head_dim);
        add(b, (rub_op){.name = decode ? "decode, whole block" : "prefill, whole block",
                        .kind = decode ? RUB_OP_DECODE : RUB_OP_PREFILL,
                        .class = RUB_CLASS_ATTENTION,
                        .per_req_s = decode ? 0.0 : up_s,
                        .window_tok = window,
                        .curve = rub_choose_mla(b->d, decode),
                        .shape = shape});
    }
}

/* Decode works on the latent (the absorbed form of arXiv 2405.04434), prefill on keys and values
 * that are projected up from it, those of earlier chunks again. */
static void build_mla(builder *b, const rub_attention *a) {
    double heads = a->heads / b->tp, h = b->m->hidden;
    double q = heads * a->head_dim, up = heads * (a->qk_nope + a->v_head_dim);
    rub_efficiency e = rub_efficiency_gemm(rub_precision_of_linear(b->d), false);
    double up_s = 2.0 * up * a->kv_lora / (b->a->bf16_flops * e.compute);
    double window = a->index_heads > 0 ? a->index_topk : a->window_tok;
    bool whole = rub_choose_mla(b->d, true) && rub_choose_mla(b->d, false);
    if (whole) {
        add_mla_blocks(b, a, window, up_s);
    } else {
        add_linear(b, "down projections", a->q_lora + a->kv_lora + a->qk_rope, h);
        add_linear(b, "query projection", q, a->q_lora > 0 ? a->q_lora : h);
        add_linear(b, "latent up projection", up, a->kv_lora);
        add_small(b, "rope and KV write", RUB_CLASS_SMALL, 4.0 * (q + a->kv_lora + a->qk_rope),
                  2.0);
        add_attention(b, 2.0 * heads * (2.0 * a->kv_lora + a->qk_rope),
                      2.0 * heads * (a->head_dim + a->v_head_dim),
                      rub_precision_bytes(b->d->kv_cache) * rub_attention_kv_values(a), window,
                      up_s, NULL);
    }
    if (a->index_heads > 0) { /* the sparse indexer looks at everything, in 8 bits */
        double pair = 2.0 * a->index_heads * a->index_dim;
        add_linear(b, "indexer projections", (double)a->index_heads * a->index_dim + a->index_dim,
                   a->q_lora);
        add_attention(b, 0.5 * pair, 0.5 * pair, rub_attention_index_bytes(a), 0.0, 0.0, NULL);
        /* rotation, norm and quantising of queries and keys, weights, choice of the best: some ten
         * kernels, of which the last takes as long as several; not measured, assumed */
        add_small(b, "indexer's small kernels", RUB_CLASS_ATTENTION,
                  8.0 * ((double)a->index_heads + 1.0) * a->index_dim, 16.0);
    }
    if (!whole)
        add_linear(b, "output projection", h, heads * a->v_head_dim);
}

static void build_linear_attention(builder *b, const rub_attention *a) {
    double keys = a->key_heads / b->tp * a->key_dim, values = a->value_heads / b->tp * a->value_dim;
    double h = b->m->hidden, state = rub_attention_state_bytes(a) / b->tp;
    rub_efficiency e = rub_efficiency_scan();
    add_linear(b, "input projections", 2.0 * keys + 2.0 * values + 2.0 * a->value_heads / b->tp, h);
    add_small(b, "convolution and gates", RUB_CLASS_SMALL, 8.0 * (2.0 * keys + 2.0 * values), 4.0);
    /* state update, decay, read: about 8 flops for each entry of the state and token */
    add(b, (rub_op){.name = "delta rule",
                    .kind = RUB_OP_TOKENS,
                    .class = RUB_CLASS_ATTENTION,
                    .compute_s = 8.0 * values * a->key_dim / (b->a->bf16_flops * e.compute),
                    .overhead_s = e.overhead_s});
    add(b, (rub_op){.name = "state",
                    .kind = RUB_OP_DECODE,
                    .class = RUB_CLASS_ATTENTION,
                    .per_req_s = 2.0 * state / (b->a->mem_bytes_per_s * e.memory)});
    add_linear(b, "output projection", h, values);
}

static void build_experts(builder *b, const rub_ffn *f) {
    rub_precision weights = rub_precision_of_experts(b->d);
    rub_precision activations = b->d->activations;
    rub_efficiency e = rub_efficiency_gemm(weights, true);
    double h = b->m->hidden, bandwidth = b->a->mem_bytes_per_s * e.memory;
    double inter = f->expert_inter / (b->width / b->d->ep); /* local width of a local expert */
    double params = f->n_matrix * h * inter, calls = (double)f->n_active / b->d->ep;
    add_gemm(b, "router", RUB_OP_TOKENS, RUB_CLASS_MOE, f->n_expert, h, RUB_BF16);
    add(b, (rub_op){.name = "routed experts",
                    .kind = RUB_OP_EXPERTS,
                    .class = RUB_CLASS_MOE,
                    .compute_s = calls * 2.0 * params /
                                 (rub_peak_flops(b->a, weights, activations) * e.compute),
                    .stream_s = calls * 4.0 * h / bandwidth,
                    .fixed_s = params * rub_precision_bytes(weights) / bandwidth,
                    .overhead_s = e.overhead_s,
                    .n_expert = (double)f->n_expert / b->d->ep,
                    .hit_frac = (double)f->n_active / f->n_expert,
                    .curve = rub_choose_experts(b->d),
                    .shape = {.hidden = h,
                              .inter = f->expert_inter,
                              .n_active = f->n_active,
                              .n_expert = f->n_expert,
                              .tp = b->width / b->d->ep,
                              .ep = b->d->ep,
                              .skew = rub_expert_skew(),
                              .n_matrix = f->n_matrix}});
}

static void build_ffn(builder *b, const rub_ffn *f) {
    double h = b->m->hidden, inter = f->inter / b->tp;
    if (f->inter > 0) {
        add_linear(b, "gate and up projection", (f->n_matrix - 1) * inter, h);
        add_small(b, "activation", RUB_CLASS_SMALL, 2.0 * f->n_matrix * inter, 1.0);
        add_linear(b, "down projection", h, inter);
    }
    if (f->n_expert > 0)
        build_experts(b, f);
}

static void build_group(builder *b, const rub_layer_group *g) {
    b->n_layer = g->n_layer;
    double h = b->m->hidden;
    /* each norm reads and writes the residual and its output in 16 bits */
    add_small(b, "norms and residuals", RUB_CLASS_SMALL, g->n_norm * 8.0 * h, g->n_norm);
    if (g->attention.kind == RUB_ATTENTION_MLA)
        build_mla(b, &g->attention);
    else if (g->attention.kind == RUB_ATTENTION_LINEAR)
        build_linear_attention(b, &g->attention);
    else
        build_gqa(b, &g->attention);
    add_all_reduce(b, "all-reduce after attention", 2.0 * h);
    build_ffn(b, &g->ffn);
    if (b->d->attention_dp > 1 &&
        g->ffn.n_expert > 0) /* tokens gathered to the experts and scattered back */
        add_exchange(b, &g->ffn, 2.0 * h);
    else
        add_all_reduce(b, "all-reduce after FFN", 2.0 * h);
}

/* Engines try the kernels that they have and keep the fastest for a shape: of the libraries that were
 * measured, the one that is faster over the batches that matter. */
static void take_faster(const rub_deployment *d, rub_op *op) {
    if (!op->curve || (op->kind != RUB_OP_TOKENS && op->kind != RUB_OP_EXPERTS) ||
        op->class == RUB_CLASS_COLLECTIVE)
        return;
    rub_op other = *op;
    other.curve = rub_choose_other(d, op->curve);
    if (!other.curve)
        return;
    double gain = 0.0;
    for (double u = 4.0; u < 5000.0; u *= 4.0)
        gain += log(rub_op_on_units(op, u) / rub_op_on_units(&other, u));
    if (gain > 0.0)
        *op = other;
}

void rub_ops_build(const rub_deployment *d, rub_op_list *out) {
    builder b = {.d = d,
                 .m = d->model,
                 .a = d->accel,
                 .tp = d->tp,
                 .width = (double)d->tp * d->attention_dp,
                 .list = out,
                 .n_layer = 1.0,
                 .peaks = rub_choose_peaks(d)};
    double h = d->model->hidden, vocab = (double)d->model->vocab / d->tp;
    out->n = 0;
    out->attention_dp = d->attention_dp;
    add_small(&b, "embedding and final norm", RUB_CLASS_HEAD, 12.0 * h, 3.0);
    add_all_reduce(&b, "all-reduce after embedding", 2.0 * h);
    for (int32_t i = 0; i < d->model->n_group; i++)
        build_group(&b, &d->model->group[i]);
    b.n_layer = 1.0;
    add_gemm(&b, "logits", RUB_OP_SAMPLED, RUB_CLASS_HEAD, vocab, h, RUB_BF16);
    add_collective(&b, "all-gather of logits", RUB_OP_SAMPLED, RUB_FAMILY_ALL_GATHER, d->tp,
                   2.0 * (double)d->model->vocab, false);
    for (int i = 0; i < out->n; i++)
        take_faster(d, &out->op[i]);
    rub_engine_apply(d, out);
}

/* ---- seconds --------------------------------------------------------------------------------- */

rub_load rub_load_of(const rub_batch *batch, double dp) {
    double n_prefill = (double)batch->n_prefill, n_decode = (double)batch->n_decode;
    double prefill_tok = (double)(batch->n_tokens - batch->n_decode);
    /* of the prompts the busiest group has at least one */
    double part = n_prefill >= dp ? 1.0 / dp : n_prefill > 0.0 ? 1.0 / n_prefill : 0.0;
    rub_load l = {.n_decode = n_decode > 0.0 ? larger(n_decode / dp, 1.0) : 0.0,
                  .n_prefill = n_prefill * part,
                  .prefill_tok = prefill_tok * part,
                  .pairs = 0.5 * (double)batch->prefill_work2 * part,
                  .prefill_kv = (double)batch->prefill_kv * part,
                  .all_tokens = (double)batch->n_tokens,
                  .all_n_seq = n_decode + n_prefill};
    if (n_decode > 0.0) /* each of them with the mean context */
        l.kv_decode = (double)batch->kv_decode * (l.n_decode / n_decode);
    l.tokens = l.n_decode + l.prefill_tok;
    l.n_seq = l.n_decode + l.n_prefill;
    return l;
}

rub_shape rub_op_shape_on_units(const rub_op *op, double u) {
    rub_shape s = op->shape;
    s.m = s.tokens = larger(u, 1.0);
    s.bytes = s.m * op->unit_bytes;
    return s;
}

static double curve_once(const rub_op *op, double u) {
    if (op->cut)
        return rub_cut_seconds(op->cut, u, 1.0);
    rub_shape s = rub_op_shape_on_units(op, u);
    return op->n * op->scale * rub_curve_seconds(op->curve, &op->peaks, &s);
}

/* Where the kernel for a larger batch is the faster one an engine pads to it, as graphs of decodes do. */
static double curve_on_units(const rub_op *op, double u) {
    double best = curve_once(op, u);
    for (double more = 2.0 * u; more <= RUB_PAD_UNITS; more *= 2.0)
        best = smaller(best, curve_once(op, more));
    return best;
}

double rub_op_on_units(const rub_op *op, double u) {
    if (u <= 0.0)
        return 0.0;
    if (op->curve)
        return curve_on_units(op, u);
    double reads = op->fixed_s;
    if (op->kind == RUB_OP_EXPERTS) /* expected distinct experts of a balanced router */
        reads *= op->n_expert * (1.0 - pow(1.0 - op->hit_frac, u));
    return op->n * (larger(u * op->compute_s, reads + u * op->stream_s) + op->overhead_s);
}

/* Context of the decode requests, the token itself included. With a window each request looks at no
 * more than that; the aggregates know only the mean, so a batch of unequal contexts is overrated.
 */
static double decode_seconds(const rub_op *op, double n_decode, double kv) {
    if (n_decode <= 0.0)
        return 0.0;
    double context = kv + n_decode;
    if (op->curve)
        return rub_op_on_requests(op, n_decode, context / n_decode);
    if (op->window_tok > 0.0)
        context = smaller(context, op->window_tok * n_decode);
    return op->n * (context * larger(op->compute_s, op->stream_s) + n_decode * op->per_req_s +
                    op->overhead_s);
}

static double prefill_seconds(const rub_op *op, const rub_load *l) {
    if (l->n_prefill <= 0.0)
        return 0.0;
    double pairs = l->pairs, old = l->prefill_kv;
    if (op->window_tok > 0.0) {
        pairs = smaller(pairs, l->prefill_tok * op->window_tok);
        old = smaller(old, l->n_prefill * op->window_tok);
    }
    if (op->curve)
        return rub_op_on_requests(op, l->n_prefill, rub_op_prompt_length(op, l)) +
               op->n * old * op->per_req_s;
    return op->n * (larger(pairs * op->compute_s, (old + l->prefill_tok) * op->stream_s) +
                    old * op->per_req_s + op->overhead_s);
}

double rub_op_prompt_length(const rub_op *op, const rub_load *l) {
    if (op->window_tok > 0.0)
        return larger(l->prefill_tok / l->n_prefill, 1.0);
    return larger(sqrt(2.0 * l->pairs / l->n_prefill), 1.0);
}

rub_shape rub_op_shape_on_requests(const rub_op *op, double n_req, double length) {
    rub_shape s = op->shape;
    double seen = s.window > 0.0 ? smaller(length, s.window) : length;
    s.batch = larger(n_req, 1.0);
    s.cold = true;
    s.query = op->kind == RUB_OP_DECODE ? 1.0 : length;
    s.context = length;
    s.pairs = s.batch * (length * seen - 0.5 * seen * seen);
    if (op->curve->family == RUB_FAMILY_MLA_DECODE) /* a sparse index: no more than it picks */
        s.context = seen;
    return s;
}

static double curve_for_requests(const rub_op *op, double n_req, double length) {
    if (op->cut)
        return rub_cut_seconds(op->cut, length, n_req);
    rub_shape s = rub_op_shape_on_requests(op, n_req, length);
    return op->n * op->scale * rub_curve_seconds(op->curve, &op->peaks, &s);
}

double rub_op_on_requests(const rub_op *op, double n_req, double length) {
    return smaller(curve_for_requests(op, n_req, length),
                   curve_for_requests(op, 2.0 * n_req, length));
}

double rub_op_seconds(const rub_op *op, const rub_load *l) {
    switch (op->kind) {
    case RUB_OP_TOKENS:
        return rub_op_on_units(op, op->all_tokens ? l->all_tokens : l->tokens);
    case RUB_OP_EXPERTS:
        return rub_op_on_units(op, l->all_tokens);
    case RUB_OP_SAMPLED:
        return rub_op_on_units(op, l->n_seq);
    case RUB_OP_DECODE:
        return decode_seconds(op, l->n_decode, l->kv_decode);
    case RUB_OP_PREFILL:
        return prefill_seconds(op, l);
    default:
        return op->n * (op->overhead_s + l->all_n_seq * op->per_req_s);
    }
}
