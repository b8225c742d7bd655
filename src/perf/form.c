#include "perf/form.h"

#include "perf/near.h"

#include "base/array.h"

#include <math.h>
#include <string.h>

/* ---- names ----------------------------------------------------------------------------------- */

static const char *const family_names[RUB_N_FAMILY] = {
    "gemm", "prefill",    "decode",     "mla_prefill",    "mla_decode",
    "moe",  "all_reduce", "all_gather", "reduce_scatter", "all_to_all"};

const char *rub_family_name(rub_family family) {
    return family < RUB_N_FAMILY ? family_names[family] : "unknown";
}

rub_family rub_family_parse(const char *text) {
    int i = 0;
    while (i < RUB_N_FAMILY && strcmp(text, family_names[i]) != 0)
        i++;
    return (rub_family)i;
}

const char *const *rub_family_features(rub_family family) {
    static const char *const gemm[] = {"m", "n", "k", NULL};
    static const char *const attention[] = {"length",         "batch",    "heads",     "group",
                                            "batch_heads",    "head_dim", "in_window", "kv_heads",
                                            "batch_kv_heads", NULL};
    static const char *const mla[] = {"length", "batch", "heads", NULL};
    static const char *const moe[] = {"tokens", "hit_frac", "expert_size", "local_experts", "ep",
                                      "skew",   "width",    "hidden",      "top_k",         NULL};
    static const char *const collective[] = {"bytes", "gpus", NULL};
    switch (family) {
    case RUB_FAMILY_GEMM:
        return gemm;
    case RUB_FAMILY_PREFILL:
    case RUB_FAMILY_DECODE:
        return attention;
    case RUB_FAMILY_MLA_PREFILL:
    case RUB_FAMILY_MLA_DECODE:
        return mla;
    case RUB_FAMILY_MOE:
        return moe;
    default:
        return collective;
    }
}

/* ---- grids ----------------------------------------------------------------------------------- */

/* Knots of each family's grids; features by their index in rub_family_features. Chosen on H100 and
 * B200: where errors on left-out shapes stopped falling (docs/perf.md). */
typedef struct grid_def {
    rub_family family;
    int n_axis;
    rub_axis axis[RUB_MAX_AXES];
} grid_def;

#define AXIS(feature, ...)                                                                         \
    {                                                                                              \
        feature, sizeof((double[]){__VA_ARGS__}) / sizeof(double), { __VA_ARGS__ }                 \
    }
#define LENGTHS AXIS(0, 0, 2, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14)
#define CONTEXTS AXIS(0, 0, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15, 17)

static const grid_def grid_defs[] = {
    {RUB_FAMILY_GEMM,
     3,
     {AXIS(0, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
      AXIS(1, 5, 7, 9, 10, 11, 12, 13, 14, 15, 16), AXIS(2, 5, 7, 9, 10, 11, 12, 13, 14, 15, 16)}},

    /* blocks of work: requests times heads, or times KV heads for decodes */
    {RUB_FAMILY_PREFILL,
     3,
     {LENGTHS, AXIS(4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14), AXIS(3, 0, 2, 6.6)}},
    {RUB_FAMILY_PREFILL, 3, {AXIS(3, 0, 1, 2, 3, 4, 6.6), AXIS(0, 0, 7, 10, 14), AXIS(1, 0, 4, 8)}},
    {RUB_FAMILY_PREFILL,
     3,
     {AXIS(5, 64, 128, 192, 256, 512), AXIS(0, 0, 4, 6, 7, 8, 9, 10, 11, 12, 14),
      AXIS(4, 0, 3, 5, 7, 9, 11, 14)}},
    {RUB_FAMILY_PREFILL,
     3,
     {AXIS(6, 0, 1, 2, 3, 4, 5, 6, 7), AXIS(5, 64, 128, 256, 512), AXIS(4, 0, 3, 5, 7, 9, 11, 14)}},

    {RUB_FAMILY_DECODE,
     3,
     {CONTEXTS, AXIS(8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14), AXIS(3, 0, 1, 3, 6.6)}},
    {RUB_FAMILY_DECODE,
     3,
     {AXIS(3, 0, 1, 2, 3, 4, 5, 5.4, 6.6), AXIS(0, 0, 6, 8, 10, 12, 14, 17),
      AXIS(8, 0, 2, 4, 6, 8, 10, 14)}},
    {RUB_FAMILY_DECODE,
     3,
     {AXIS(5, 64, 128, 192, 256, 512), AXIS(0, 0, 6, 8, 10, 12, 14, 17),
      AXIS(8, 0, 2, 4, 6, 8, 10, 14)}},
    {RUB_FAMILY_DECODE,
     3,
     {AXIS(6, 0, 1, 2, 3, 4, 5, 6, 7), AXIS(5, 64, 128, 256, 512), AXIS(8, 0, 2, 4, 6, 8, 11, 14)}},
    {RUB_FAMILY_DECODE,
     3,
     {AXIS(6, 0, 1, 2, 3, 4, 6, 7), AXIS(3, 0, 1, 3, 5, 6.6), AXIS(8, 0, 2, 4, 6, 8, 11, 14)}},

    {RUB_FAMILY_MLA_PREFILL,
     3,
     {AXIS(0, 0, 4, 6, 8, 9, 10, 11, 12, 13, 15), AXIS(1, 0, 1, 2, 3, 4, 6, 8),
      AXIS(2, 0, 2, 3, 4, 5, 6, 7)}},
    {RUB_FAMILY_MLA_DECODE,
     3,
     {AXIS(0, 0, 6, 8, 10, 11, 12, 13, 14, 15, 17), AXIS(1, 0, 2, 3, 4, 5, 6, 7, 8, 10),
      AXIS(2, 0, 2, 3, 4, 5, 6, 7)}},

    {RUB_FAMILY_MOE,
     3,
     {AXIS(0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14), AXIS(1, -8, -6, -5, -4, -2),
      AXIS(2, 18, 20, 21, 22, 23, 24, 26)}},
    {RUB_FAMILY_MOE,
     3,
     {AXIS(3, 0, 2, 3, 4, 5, 6, 7, 8, 9), AXIS(0, 0, 4, 7, 10, 14), AXIS(2, 18, 21, 24, 26)}},
    {RUB_FAMILY_MOE,
     3,
     {AXIS(4, 0, 1, 2, 3, 4, 5, 6, 8), AXIS(0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14),
      AXIS(5, 0, 1, 2)}},
    {RUB_FAMILY_MOE,
     3,
     {AXIS(6, 6, 7, 8, 9, 10, 11, 12, 14), AXIS(0, 0, 2, 4, 6, 8, 10, 12, 14),
      AXIS(7, 10, 11, 12, 13)}},
    {RUB_FAMILY_MOE,
     3,
     {AXIS(8, 0, 1, 2, 3, 4.5), AXIS(0, 0, 2, 4, 6, 8, 10, 12, 14), AXIS(3, 0, 2, 4, 6, 8)}},

    {RUB_FAMILY_ALL_REDUCE,
     2,
     {AXIS(0, 8, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 28, 30), AXIS(1, 1, 2, 3)}},
};

void rub_family_grids(rub_family family, rub_curve *out) {
    rub_family like = family > RUB_FAMILY_ALL_REDUCE ? RUB_FAMILY_ALL_REDUCE : family;
    out->n_grid = out->n_value = 0;
    for (size_t i = 0; i < RUB_LEN(grid_defs); i++) {
        if (grid_defs[i].family != like)
            continue;
        rub_grid *g = &out->grid[out->n_grid++];
        g->n_axis = grid_defs[i].n_axis;
        memcpy(g->axis, grid_defs[i].axis, sizeof g->axis);
        g->first = out->n_value;
        g->n = 1;
        for (int a = 0; a < g->n_axis; a++)
            g->n *= g->axis[a].n;
        out->n_value += g->n;
    }
}

int rub_grid_mix(const rub_grid *grid, const double *feature, int *index, double *weight) {
    int n = 1;
    index[0] = grid->first;
    weight[0] = 1.0;
    for (int a = 0, stride = grid->n; a < grid->n_axis; a++) {
        const rub_axis *axis = &grid->axis[a];
        double x = feature[axis->feature];
        stride /= axis->n;
        int i = 0;
        while (i < axis->n - 2 && x >= axis->knot[i + 1])
            i++;
        double f = (x - axis->knot[i]) / (axis->knot[i + 1] - axis->knot[i]);
        f = f < 0.0 ? 0.0 : f > 1.0 ? 1.0 : f; /* flat beyond the ends */
        for (int j = 0; j < n; j++) {
            index[n + j] = index[j] + (i + 1) * stride;
            index[j] += i * stride;
            weight[n + j] = weight[j] * f;
            weight[j] *= 1.0 - f;
        }
        n *= 2;
    }
    return n;
}

double rub_curve_log_ratio(const rub_curve *curve, const double *feature) {
    int index[1 << RUB_MAX_AXES];
    double weight[1 << RUB_MAX_AXES], sum = 0.0;
    if (curve->n_near)
        return rub_near_log_ratio(curve, feature);
    for (int g = 0; g < curve->n_grid; g++) {
        int n = rub_grid_mix(&curve->grid[g], feature, index, weight);
        for (int i = 0; i < n; i++)
            sum += weight[i] * (double)curve->value[index[i]];
    }
    return sum;
}

void rub_curve_round(rub_curve *curve) {
    for (int k = 0; k < curve->n_grid; k++) {
        rub_grid *g = &curve->grid[k];
        float *v = curve->value + g->first, low = v[0], high = v[0];
        for (int i = 1; i < g->n; i++) {
            low = v[i] < low ? v[i] : low;
            high = v[i] > high ? v[i] : high;
        }
        /* six decimals, as files hold them */
        g->offset = floor((double)low * 1e6) * 1e-6;
        g->step = ceil(((double)high - g->offset) / (RUB_CODES - 1) * 1e6) * 1e-6;
        for (int i = 0; i < g->n && g->step > 0.0; i++)
            v[i] = (float)(g->offset + g->step * round(((double)v[i] - g->offset) / g->step));
    }
}

/* ---- features -------------------------------------------------------------------------------- */

static double log2_of(double x) { return x > 1e-9 ? log2(x) : log2(1e-9); }

/* How far a length reaches beyond the window: 0 no window, 1 half of it, 2 all of it, then one
 * more for each doubling, to 7. */
static double in_window(double length, double window) {
    if (window <= 0.0)
        return 0.0;
    double x = log2_of(length / window);
    return 2.0 + (x < -1.0 ? -1.0 : x > 5.0 ? 5.0 : x);
}

void rub_shape_features(rub_family family, const rub_shape *s, double *f) {
    double length =
        family == RUB_FAMILY_DECODE || family == RUB_FAMILY_MLA_DECODE ? s->context : s->query;
    switch (family) {
    case RUB_FAMILY_GEMM:
        f[0] = log2_of(s->m);
        f[1] = log2_of(s->n);
        f[2] = log2_of(s->k);
        return;
    case RUB_FAMILY_PREFILL:
    case RUB_FAMILY_DECODE:
        f[0] = log2_of(length);
        f[1] = log2_of(s->batch);
        f[2] = log2_of(s->heads);
        f[3] = log2_of(s->heads / s->kv_heads);
        f[4] = f[1] + f[2];
        f[5] = s->head_dim;
        f[6] = in_window(length, s->window);
        f[7] = log2_of(s->kv_heads);
        f[8] = f[1] + f[7];
        return;
    case RUB_FAMILY_MLA_PREFILL:
    case RUB_FAMILY_MLA_DECODE:
        f[0] = log2_of(length);
        f[1] = log2_of(s->batch);
        f[2] = log2_of(s->heads);
        return;
    case RUB_FAMILY_MOE:
        f[0] = log2_of(s->tokens);
        f[1] = log2_of(s->n_active / s->n_expert);
        f[2] = log2_of(s->hidden * s->inter);
        f[3] = log2_of(s->n_expert / s->ep);
        f[4] = log2_of(s->ep);
        f[5] = s->skew;
        f[6] = log2_of(s->inter / s->tp);
        f[7] = log2_of(s->hidden);
        f[8] = log2_of(s->n_active);
        return;
    default:
        f[0] = log2_of(s->bytes);
        f[1] = log2_of(s->gpus);
    }
}

/* ---- base ------------------------------------------------------------------------------------ */

/* Bytes of weights and of activations, and which peak, by the variant's first word. */
typedef struct precision_of {
    const char *name;
    double weight_bytes, activation_bytes;
    enum { BF16, FP8, INT8, FP4 } peak;
} precision_of;

static const precision_of precisions[] = {
    {"bf16", 2.0, 2.0, BF16},
    {"fp8", 1.0, 1.0, FP8},
    {"fp8_block", 1.0, 1.0, FP8},
    {"nvfp4", 0.5625, 0.5625, FP4},
    {"int8", 1.0, 1.0, INT8},
    {"int8_wo", 1.0, 2.0, BF16},
    {"int4_wo", 0.5625, 2.0, BF16},
    {"w4a16_mxfp4", 0.53125, 2.0, BF16},
    {"w4a8_mxfp4_mxfp8", 0.53125, 1.0, FP8},
};

void rub_curve_prepare(rub_curve *curve) {
    const char *slash = strchr(curve->variant, '/');
    size_t n = strcspn(curve->variant, "/");
    curve->format = 0;
    curve->kv_is_fp8 = slash && strncmp(slash, "/fp8", 4) == 0;
    for (size_t i = 0; i < RUB_LEN(precisions); i++)
        if (strlen(precisions[i].name) == n && strncmp(precisions[i].name, curve->variant, n) == 0)
            curve->format = (int)i;
}

/* A peak that is not there falls back to twice bf16 (fp4: twice fp8), as the formats do on paper. */
static double peak(const rub_peaks *p, const precision_of *of) {
    double fp8 = p->fp8_flops > 0.0 ? p->fp8_flops : p->bf16_flops;
    switch (of->peak) {
    case FP8:
        return fp8;
    case INT8:
        return p->int8_flops > 0.0 ? p->int8_flops : p->bf16_flops;
    case FP4:
        return p->fp4_flops > 0.0 ? p->fp4_flops : fp8;
    default:
        return p->bf16_flops;
    }
}

/* (a^4 + b^4)^(1/4): no kink where one bound takes over from the other. */
static double smooth_max(double a, double b) {
    double x = a * a, y = b * b;
    return sqrt(sqrt(x * x + y * y));
}

static double kv_bytes(const rub_curve *c) { return c->kv_is_fp8 ? 1.0 : 2.0; }

static double gemm_base(const precision_of *p, const rub_peaks *peaks, const rub_shape *s) {
    double bytes =
        s->n * s->k * p->weight_bytes + s->m * s->k * p->activation_bytes + s->m * s->n * 2.0;
    return smooth_max(2.0 * s->m * s->n * s->k / peak(peaks, p), bytes / peaks->mem_bytes_per_s) /
           0.75;
}

static double prefill_base(const rub_curve *c, const precision_of *p, const rub_peaks *peaks,
                           const rub_shape *s) {
    double tokens = s->batch * s->query;
    double bytes = tokens * s->head_dim * (4.0 * s->heads + 2.0 * s->kv_heads * kv_bytes(c));
    return smooth_max(4.0 * s->heads * s->head_dim * s->pairs / peak(peaks, p),
                      bytes / peaks->mem_bytes_per_s) /
           0.6;
}

/* A measurement that repeats one call finds keys and values in the second-level cache when they fit;
 * in a model the other layers drive them out. Share of the DRAM's time that a read takes. */
static double uncached(const rub_curve *c, const rub_shape *s, double bytes) {
    if (s->cold || c->cache_bytes <= 0.0)
        return 1.0;
    double x = bytes / c->cache_bytes, x2 = x * x, x4 = x2 * x2;
    return 1.0 - (1.0 - 1.0 / c->cache_gain) / (1.0 + x4 * x4);
}

static double decode_base(const rub_curve *c, const precision_of *p, const rub_peaks *peaks,
                          const rub_shape *s) {
    double seen = s->window > 0.0 && s->window < s->context ? s->window : s->context;
    double kept = s->batch * s->head_dim * seen * 2.0 * s->kv_heads * kv_bytes(c);
    double bytes = kept * uncached(c, s, kept) + s->batch * s->head_dim * 4.0 * s->heads;
    return smooth_max(4.0 * s->heads * s->head_dim * s->batch * seen / peak(peaks, p),
                      bytes / peaks->mem_bytes_per_s) /
           0.8;
}

/* The projections at the variant's precision, attention itself in 16 bits. */
static double mla_base(const rub_curve *c, const precision_of *p, const rub_peaks *peaks,
                       const rub_shape *s) {
    bool decode = c->family == RUB_FAMILY_MLA_DECODE;
    double tokens = decode ? s->batch : s->batch * s->query;
    double pairs = decode ? s->batch * s->context : s->pairs;
    double flops_s =
        tokens * s->token_flops / peak(peaks, p) + pairs * s->pair_flops / peaks->bf16_flops;
    double cached = decode ? pairs : tokens;
    double bytes = s->weights * p->weight_bytes + cached * s->kv_values * kv_bytes(c);
    return smooth_max(flops_s, bytes / peaks->mem_bytes_per_s) / 0.7;
}

static double moe_base(const precision_of *p, const rub_peaks *peaks, const rub_shape *s) {
    double local = s->n_expert / s->ep, inter = s->inter / s->tp;
    double hit = local * (1.0 - pow(1.0 - s->n_active / s->n_expert, s->tokens));
    double calls = s->tokens * s->n_active / s->ep, params = s->n_matrix * s->hidden * inter;
    double bytes = hit * params * p->weight_bytes + calls * 4.0 * s->hidden;
    return smooth_max(2.0 * calls * params / (0.5 * peak(peaks, p)),
                      bytes / (0.8 * peaks->mem_bytes_per_s));
}

/* Share of the message that crosses an accelerator's link: reduce and gather, or one of them. */
static double collective_base(rub_family family, const rub_peaks *peaks, const rub_shape *s) {
    double share = (family == RUB_FAMILY_ALL_REDUCE ? 2.0 : 1.0) * (s->gpus - 1.0) / s->gpus;
    return s->bytes * share / (0.75 * peaks->link_bytes_per_s);
}

double rub_curve_base(const rub_curve *c, const rub_peaks *peaks, const rub_shape *s) {
    const precision_of *p = &precisions[c->format];
    switch (c->family) {
    case RUB_FAMILY_GEMM:
        return c->floor_s + gemm_base(p, peaks, s);
    case RUB_FAMILY_PREFILL:
        return c->floor_s + prefill_base(c, p, peaks, s);
    case RUB_FAMILY_DECODE:
        return c->floor_s + decode_base(c, p, peaks, s);
    case RUB_FAMILY_MLA_PREFILL:
    case RUB_FAMILY_MLA_DECODE:
        return c->floor_s + mla_base(c, p, peaks, s);
    case RUB_FAMILY_MOE:
        return c->floor_s + moe_base(p, peaks, s);
    default:
        return c->floor_s + collective_base(c->family, peaks, s);
    }
}

double rub_curve_seconds(const rub_curve *c, const rub_peaks *peaks, const rub_shape *shape) {
    double feature[RUB_MAX_FEATURES];
    rub_shape_features(c->family, shape, feature);
    return rub_curve_base(c, peaks, shape) * exp(rub_curve_log_ratio(c, feature));
}

rub_peaks rub_peaks_of(const rub_accelerator *a) {
    return (rub_peaks){a->bf16_flops, a->fp8_flops,       a->int8_flops,
                       a->fp4_flops,  a->mem_bytes_per_s, a->scaleup_bytes_per_s};
}
