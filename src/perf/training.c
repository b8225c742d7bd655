/* Training: time of a step, utilisation, what failures cost.
 *
 * A step is m micro-batches through pp stages of layers that tp accelerators share, on dp copies.
 * One layer and micro-batch takes its products, attention and streaming work (three times the
 * forward pass: forward, gradients of inputs, gradients of weights) and what communication is not
 * hidden behind them. The pipeline's bubble is (pp - 1) / (v * m) for v interleaved stages a device
 * (Narayanan et al., arXiv 2104.04473). Failures: checkpoints at Young's and Daly's interval
 * (Daly 2006, doi 10.1016/j.future.2004.11.016, first order). Constants are below, each with its
 * source; docs/training.md compares with published runs. */
#include "perf/ops.h"

#include "base/array.h"

#include <math.h>

/* Shares of the peak that large products sustain in training. bf16: 0.75 in single operators (as
 * efficiency.c, measured) times 0.80 for clocks under sustained load and shapes cut by tp (H100
 * falls to about 1.4 of 1.75 GHz at 700 W; assumed). fp8 in blocks: 0.50 and 0.25 for routed experts
 * (upper end of 0.15 to 0.30, efficiency.c), times the same. */
#define SUSTAINED 0.80
#define BF16_EFFICIENCY (0.75 * SUSTAINED)
#define FP8_EFFICIENCY (0.50 * SUSTAINED)
#define EXPERT_BF16_EFFICIENCY (0.55 * SUSTAINED)
#define EXPERT_FP8_EFFICIENCY (0.30 * SUSTAINED)

/* FlashAttention-2 and -3 on H100 (arXiv 2407.08608, figures 5 and 6): 0.5 to 0.7 of peak forward,
 * 0.4 to 0.55 backward at long causal sequences; backward is 2.5 of 3.5 parts. */
#define ATTENTION_EFFICIENCY 0.45

/* Ring collectives over NVLink on large messages (efficiency.c), and over the network. */
#define LINK_EFFICIENCY 0.75
#define NETWORK_EFFICIENCY 0.70

/* Dispatch and combine hidden behind compute take 20 of 132 multiprocessors (DeepSeek-V3, arXiv
 * 2412.19437, section 3.2.2). A token goes to at most four servers there. */
#define EXCHANGE_SHARE (20.0 / 132.0)
#define MAX_SERVERS 4.0

/* Streaming work of a layer forward, in reads and writes of hidden-size vectors and of FFN-size
 * ones; bandwidth share as efficiency.c. */
#define HIDDEN_PASSES 10.0
#define FFN_PASSES 3.0
#define STREAM_EFFICIENCY 0.60

/* bf16 weights, fp32 master weights and two moments: what a checkpoint holds [bytes/parameter]. */
#define STATE_BYTES 14.0

rub_training_def rub_training_default(const rub_model *model, const rub_accelerator *accel) {
    return (rub_training_def){
        .model = model,
        .accel = accel,
        .n_accelerator = accel ? accel->node_size : 8,
        .tp = 1,
        .pp = 1,
        .cp = 1,
        .ep = 1,
        .sequence_tok = 8192,
        .batch_tok = 1 << 22,
        .micro_batch = 1,
        .precision = RUB_BF16,
        .tokens = 1e12,
        .network_bytes_per_s = 50e9, /* 400 Gbit/s for each accelerator (Llama 3, section 3.3.1) */
        .storage_bytes_per_s = 2e12, /* sustained (Llama 3, section 3.3.1) */
        .failures_per_accel_h = 419.0 / (54.0 * 24.0 * 16384.0), /* Llama 3, section 3.3.4 */
        .restart_s = 600.0, /* detection, start, loading, warm-up; assumed */
        .pue = 1.15,        /* as rub_ownership_default */
    };
}

static rub_status check(const rub_training_def *d, rub_error *err) {
    if (!d->model || !d->accel)
        return rub_error_set(err, RUB_INVALID, "training expected a model and an accelerator");
    int64_t group = (int64_t)d->tp * d->pp * d->cp;
    if (d->tp < 1 || d->pp < 1 || d->cp < 1 || d->ep < 1 || d->n_accelerator < 1 ||
        d->n_accelerator % group != 0)
        return rub_error_set(err, RUB_INVALID,
                             "%lld accelerators, expected a multiple of tp * pp * cp = %lld",
                             (long long)d->n_accelerator, (long long)group);
    if (d->tp > d->accel->scaleup_domain)
        return rub_error_set(err, RUB_INVALID, "tp is %d, expected at most the %d of %s", d->tp,
                             d->accel->scaleup_domain, d->accel->name);
    if (d->pp > d->model->n_layer)
        return rub_error_set(err, RUB_INVALID, "pp is %d, expected at most the %d layers", d->pp,
                             d->model->n_layer);
    int64_t micro_tok = d->sequence_tok * d->micro_batch * (d->n_accelerator / group);
    if (d->sequence_tok < 1 || d->micro_batch < 1 || d->batch_tok < micro_tok)
        return rub_error_set(err, RUB_INVALID,
                             "a step has %lld tokens, expected at least %lld: one micro-batch for "
                             "each of %lld copies",
                             (long long)d->batch_tok, (long long)micro_tok,
                             (long long)(d->n_accelerator / group));
    if (d->precision != RUB_BF16 && !(d->precision == RUB_FP8 && d->accel->fp8_flops > 0.0))
        return rub_error_set(err, RUB_UNSUPPORTED, "training in %s on %s, expected bf16 or fp8",
                             rub_precision_name(d->precision), d->accel->name);
    if (!(d->tokens > 0.0 && d->network_bytes_per_s > 0.0 && d->storage_bytes_per_s > 0.0 &&
          d->failures_per_accel_h >= 0.0 && d->restart_s >= 0.0 && d->pue >= 1.0))
        return rub_error_set(err, RUB_INVALID,
                             "tokens, network and storage rates expected above 0, failures and "
                             "restart 0 or more, PUE 1 or more");
    return RUB_OK;
}

/* Forward work of one token in one layer of a group, before tp divides it. */
typedef struct layer_work {
    double dense_flops, expert_flops, attention_flops, stream_bytes, exchange_bytes;
} layer_work;

/* Causal attention looks at half the sequence in the mean, at most at its window. */
static double attention_flops(const rub_attention *a, double sequence_tok) {
    double context = 0.5 * sequence_tok;
    if (a->kind == RUB_ATTENTION_LINEAR)
        return 8.0 * a->value_heads * (double)a->value_dim * a->key_dim;
    if (a->window_tok > 0)
        context = fmin(context, a->window_tok);
    if (a->index_topk > 0)
        context = fmin(context, a->index_topk);
    return 2.0 * a->heads * ((double)a->head_dim + a->v_head_dim) * context;
}

static layer_work work_of(const rub_training_def *d, const rub_layer_group *g) {
    const rub_ffn *f = &g->ffn;
    rub_layer_params p = rub_layer_params_of(d->model, g);
    double h = d->model->hidden, active = f->n_expert > 0 ? f->n_active : 0.0;
    layer_work w = {.dense_flops = 2.0 * (p.attention + p.ffn + p.router),
                    .expert_flops = 2.0 * p.expert * active,
                    .attention_flops = attention_flops(&g->attention, (double)d->sequence_tok)};
    double inter = f->inter + active * f->expert_inter;
    w.stream_bytes = 2.0 * (HIDDEN_PASSES * h + FFN_PASSES * inter + 2.0 * active * h);
    if (f->n_expert > 0 && d->ep > 1) {
        /* 8 bits out, 16 bits back where products are fp8 (arXiv 2412.19437, section 3.3.3) */
        double bytes = (d->precision == RUB_FP8 ? 1.0 : 2.0) + 2.0;
        double servers = fmin(active, fmin(MAX_SERVERS, ceil((double)d->ep / d->accel->node_size)));
        w.exchange_bytes = d->ep > d->accel->node_size ? servers * h * bytes : active * h * bytes;
    }
    return w;
}

static double flops_rate(const rub_training_def *d, bool experts) {
    if (d->precision == RUB_FP8)
        return d->accel->fp8_flops * (experts ? EXPERT_FP8_EFFICIENCY : FP8_EFFICIENCY);
    return d->accel->bf16_flops * (experts ? EXPERT_BF16_EFFICIENCY : BF16_EFFICIENCY);
}

static double head_flops(const rub_model *m) { return 2.0 * m->hidden * (double)m->vocab; }

/* Seconds of all layers (and the head) for one token, on one of tp accelerators, forward and
 * backward: three times forward, attention 3.5 times (it is computed again). */
static void add_group(const rub_training_def *d, const rub_layer_group *g, rub_training *t) {
    const rub_accelerator *a = d->accel;
    layer_work w = work_of(d, g);
    double n = g->n_layer, tp = d->tp, h = d->model->hidden;
    double again = 3.0 + d->recompute_frac;
    t->product_s += n * again *
                    (w.dense_flops / flops_rate(d, false) + w.expert_flops / flops_rate(d, true)) /
                    tp;
    t->attention_s += n * (3.5 + d->recompute_frac) * w.attention_flops /
                      (a->bf16_flops * ATTENTION_EFFICIENCY * tp);
    t->stream_s += n * again * w.stream_bytes / (a->mem_bytes_per_s * STREAM_EFFICIENCY * tp);
    /* sequence parallel: four gathers or scatters of the tokens forward, as many backward */
    if (d->tp > 1)
        t->tensor_s +=
            n * 8.0 * 2.0 * h * (tp - 1.0) / tp / (a->scaleup_bytes_per_s * LINK_EFFICIENCY);
    bool network = d->ep > a->node_size;
    double link = network ? d->network_bytes_per_s * NETWORK_EFFICIENCY
                          : a->scaleup_bytes_per_s * LINK_EFFICIENCY;
    t->exchange_s += n * 2.0 * w.exchange_bytes / link / tp;
    /* keys and values of the whole sequence gathered, their gradients scattered */
    if (d->cp > 1)
        t->context_s += n * 2.0 * 2.0 * rub_attention_kv_values(&g->attention) * (d->cp - 1) / tp /
                        (d->network_bytes_per_s * NETWORK_EFFICIENCY);
}

/* Model FLOPs of one token, forward and backward (6 N and attention). */
static double model_flops(const rub_training_def *d) {
    double flops = 3.0 * head_flops(d->model);
    for (int32_t i = 0; i < d->model->n_group; i++) {
        layer_work w = work_of(d, &d->model->group[i]);
        flops +=
            3.0 * d->model->group[i].n_layer * (w.dense_flops + w.expert_flops + w.attention_flops);
    }
    return flops;
}

/* Gathering weights and scattering gradients over the copies, less what the first forward and the
 * last backward pass hide. */
static double data_parallel_s(const rub_training_def *d, double copies, double pass_s) {
    double held = rub_model_count(d->model).params / ((double)d->tp * d->pp);
    if (copies <= 1.0)
        return 0.0;
    if (d->ep > 1) /* experts are spread already; what remains is divided likewise */
        held /= fmin(copies, d->ep);
    double rate = d->network_bytes_per_s * NETWORK_EFFICIENCY, share = (copies - 1.0) / copies;
    double gather = 2.0 * held * share / rate, scatter = 4.0 * held * share / rate;
    return fmax(0.0, gather - pass_s / 3.0) + fmax(0.0, scatter - pass_s * 2.0 / 3.0);
}

/* Reads and writes of the optimiser's state, spread over all accelerators. */
static double optimiser_s(const rub_training_def *d) {
    double bytes = 2.0 * (STATE_BYTES + 4.0) * rub_model_count(d->model).params;
    return bytes / ((double)d->n_accelerator * d->accel->mem_bytes_per_s * STREAM_EFFICIENCY);
}

static void step_time(const rub_training_def *d, rub_training *t) {
    double copies = (double)d->n_accelerator / ((double)d->tp * d->pp * d->cp);
    double micro_tok = (double)d->sequence_tok * d->micro_batch / d->cp;
    for (int32_t i = 0; i < d->model->n_group; i++)
        add_group(d, &d->model->group[i], t);
    t->product_s += 3.0 * head_flops(d->model) / (d->accel->bf16_flops * BF16_EFFICIENCY) / d->tp;
    double compute = t->product_s + t->attention_s + t->stream_s;
    double tax = t->exchange_s > 0.0 ? 1.0 / (1.0 - EXCHANGE_SHARE) : 1.0;
    double hidden = fmax(compute * tax, t->exchange_s);
    t->exchange_s = hidden - compute; /* what it costs */
    double token_s = hidden + t->tensor_s + t->context_s;
    t->n_micro = (double)d->batch_tok / ((double)d->sequence_tok * d->micro_batch * copies);
    double scale = t->n_micro * micro_tok / d->pp; /* tokens of a step through one stage's share */
    double layers = (double)d->model->n_layer / d->pp;
    t->virtual_stages = d->virtual_stages > 0 ? d->virtual_stages : fmax(1.0, floor(layers + 0.5));
    double busy = token_s * scale;
    t->bubble_s = busy * (d->pp - 1.0) / (t->virtual_stages * t->n_micro);
    t->data_s = data_parallel_s(d, copies, token_s * micro_tok / d->pp);
    t->optimiser_s = optimiser_s(d);
    double *const part[] = {&t->product_s, &t->attention_s, &t->stream_s,
                            &t->tensor_s,  &t->exchange_s,  &t->context_s};
    for (size_t i = 0; i < RUB_LEN(part); i++)
        *part[i] *= scale;
    t->step_s = busy + t->bubble_s + t->data_s + t->optimiser_s;
}

/* Young and Daly: a checkpoint every sqrt(2 * cost * time between failures). */
static void goodput(const rub_training_def *d, rub_training *t) {
    double params = rub_model_count(d->model).params;
    t->checkpoint_s = STATE_BYTES * params / d->storage_bytes_per_s;
    double rate = d->failures_per_accel_h / 3600.0 * (double)d->n_accelerator;
    t->goodput_frac = 1.0;
    t->interval_s = INFINITY;
    if (rate <= 0.0)
        return;
    t->failure_s = 1.0 / rate;
    t->interval_s = sqrt(2.0 * t->checkpoint_s * t->failure_s);
    double lost =
        t->checkpoint_s / t->interval_s + (0.5 * t->interval_s + d->restart_s) / t->failure_s;
    t->goodput_frac = 1.0 / (1.0 + lost);
}

rub_status rub_training_of(const rub_training_def *def, rub_training *out, rub_error *err) {
    RUB_TRY(check(def, err));
    rub_training t = {0};
    step_time(def, &t);
    goodput(def, &t);
    double n = (double)def->n_accelerator, flops = model_flops(def);
    t.model_flops = flops * (double)def->batch_tok;
    t.flops_per_s = t.model_flops / (t.step_s * n);
    t.mfu_frac = t.flops_per_s / def->accel->bf16_flops;
    t.tok_per_s = (double)def->batch_tok / t.step_s;
    t.n_step = def->tokens / (double)def->batch_tok;
    t.wall_s = t.n_step * t.step_s / t.goodput_frac;
    t.accelerator_hours = n * t.wall_s / 3600.0;
    t.accelerator_months = t.accelerator_hours / 730.0;
    rub_deployment one = {.accel = def->accel, .tp = 1, .pp = 1, .attention_dp = 1};
    rub_power power = rub_power_of(&one);
    t.it_w = n * rub_power_at(&power, t.goodput_frac);
    t.energy_wh = t.it_w * def->pue * t.wall_s / 3600.0;
    *out = t;
    return RUB_OK;
}
