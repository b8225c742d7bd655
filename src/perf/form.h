/* Compact forms of measured operator times. A curve is one family of operators in one variant
 * (precision, library): seconds = base(shape) * exp(sum over its grids of g(features of the shape)).
 *
 * base is the roofline: a smooth maximum of arithmetic and traffic at fixed shares of the peaks, plus a
 * floor (launch and latency). Each grid is a table over two to four features, most of them
 * logarithms of dimensions, interpolated linearly: what tiles, waves, small m, splits over KV length
 * and switches of kernels do to the roofline. The peaks come from outside, so that a curve measured on
 * one accelerator can be carried to another. */
#ifndef RUB_PERF_FORM_H
#define RUB_PERF_FORM_H

#include "rubato/catalog.h"

typedef enum rub_family {
    RUB_FAMILY_GEMM,
    RUB_FAMILY_PREFILL,     /* attention of a batch of equal prompts, GQA */
    RUB_FAMILY_DECODE,      /* attention of a batch of equal contexts, GQA */
    RUB_FAMILY_MLA_PREFILL, /* the whole latent attention block, projections included */
    RUB_FAMILY_MLA_DECODE,
    RUB_FAMILY_MOE, /* routed experts of one layer: permutation, both products, activation, sum */
    RUB_FAMILY_ALL_REDUCE,
    RUB_FAMILY_ALL_GATHER,
    RUB_FAMILY_REDUCE_SCATTER,
    RUB_FAMILY_ALL_TO_ALL,
    RUB_N_FAMILY
} rub_family;

/* Dimensions of one call on one accelerator; each family reads its own. */
typedef struct rub_shape {
    double m, n, k; /* GEMM: tokens, columns, rows of the weights */
    /* attention: requests, new tokens of each, heads here, KV heads here; context: DECODE tokens that
     * each request looks at, itself included; window 0 = all */
    double batch, query, context, heads, kv_heads, head_dim, window;
    double
        pairs; /* PREFILL, MLA_PREFILL: (query, context) token pairs of the batch, within the window */
    double pair_flops, token_flops, weights,
        kv_values; /* MLA: per pair and per token [FLOP], block's
                                                           parameters, cached values of a token */
    /* MOE: tokens of all ranks; expert width before tp; skew 0 balanced, 1 and 2 power laws */
    double tokens, hidden, inter, n_active, n_expert, tp, ep, skew, n_matrix;
    double bytes, gpus; /* collectives: whole message */
    bool cold;          /* DECODE: keys and values come from memory whatever their size */
} rub_shape;

/* Peaks that a base is computed with [FLOP/s, B/s]. */
typedef struct rub_peaks {
    double bf16_flops, fp8_flops, int8_flops, fp4_flops, mem_bytes_per_s, link_bytes_per_s;
} rub_peaks;

rub_peaks rub_peaks_of(const rub_accelerator *accel);

enum {
    RUB_MAX_AXES = 4,
    RUB_MAX_KNOTS = 20,
    RUB_MAX_GRIDS = 5,
    RUB_MAX_CURVE_VALUES = 4000,
    RUB_MAX_FEATURES = 10,
    RUB_FEATURE_IN_WINDOW = 6, /* of PREFILL and DECODE */
    RUB_CODES = 92, /* printable characters without quote and backslash: one a value in files */
};

typedef struct rub_axis {
    int feature; /* index into rub_family_features */
    int n;
    double knot[RUB_MAX_KNOTS]; /* ascending */
} rub_axis;

typedef struct rub_grid {
    int n_axis;
    rub_axis axis[RUB_MAX_AXES];
    int first, n;        /* values[first .. first + n) of the curve, last axis fastest */
    double offset, step; /* each value is offset + step * code, code 0 .. RUB_CODES - 1 */
} rub_grid;

/* How well a curve predicts rows that it was not fitted on. */
typedef struct rub_curve_error {
    int64_t n_fitted, n_left_out, n_group_left_out;
    double median, p90,
        bias; /* of |predicted / measured - 1|; bias: median of predicted / measured - 1 */
} rub_curve_error;

typedef struct rub_curve {
    rub_family family;
    char library[16]; /* "vllm", "trtllm", "nccl": whose kernels ran */
    char variant[32]; /* "bf16", "fp8_block", "fp8/bf16" (arithmetic / KV cache), "custom" */
    double floor_s;
    /* DECODE: keys and values of up to cache_bytes were read cache_gain times faster; 0: no sign of it */
    double cache_bytes, cache_gain;
    int n_grid, n_value;
    rub_grid grid[RUB_MAX_GRIDS];
    size_t n_near;                      /* table mode: rows of the table instead of grids */
    float *near_feature, *near_ratio;   /* (n_near, features), (n_near); owned */
    float *value;                       /* log of measured / base (n_value), owned */
    double domain[RUB_MAX_FEATURES][2]; /* smallest and largest of each feature that was measured */
    rub_curve_error error;
    char source[96]; /* table's file name */
    int format;      /* of the variant, found by rub_curve_prepare */
    bool kv_is_fp8;  /* cached values take one byte */
    char note[96];   /* why compositions do not use it; "" when they do */
} rub_curve;

const char *rub_family_name(rub_family family);            /* "gemm" */
rub_family rub_family_parse(const char *text);             /* RUB_N_FAMILY when not known */
const char *const *rub_family_features(rub_family family); /* NULL-terminated names */

/* The grids that a family is fitted with; n_value is set. */
void rub_family_grids(rub_family family, rub_curve *out);

void rub_shape_features(rub_family family, const rub_shape *shape, double *out);

/* [s]; curve gives family, variant and floor. */
double rub_curve_base(const rub_curve *curve, const rub_peaks *peaks, const rub_shape *shape);
double rub_curve_seconds(const rub_curve *curve, const rub_peaks *peaks, const rub_shape *shape);

/* Indexes and weights of the values that a grid mixes at these features; returns how many (1 <<
 * n_axis). */
int rub_grid_mix(const rub_grid *grid, const double *feature, int *index, double *weight);

/* To be called once family and variant are set. */
void rub_curve_prepare(rub_curve *curve);

/* Rounds a curve's values to the codes that files hold; sets each grid's offset and step. */
void rub_curve_round(rub_curve *curve);

/* Sum of the grids at these features. */
double rub_curve_log_ratio(const rub_curve *curve, const double *feature);

#endif
