/* A deployment as a list of operators, each with its roofline terms already in seconds. The sum
 * over the list is rub_perf_operators; the tables of rub_perf_compile tabulate the same list. */
#ifndef RUB_PERF_OPS_H
#define RUB_PERF_OPS_H

#include "perf/form.h"
#include "rubato/perf.h"

typedef enum rub_op_kind {
    RUB_OP_TOKENS,  /* works on all tokens of the iteration */
    RUB_OP_EXPERTS, /* the same, and reads the experts that the tokens touch */
    RUB_OP_SAMPLED, /* works on the positions that give a token: decodes + prefills */
    RUB_OP_DECODE,  /* attention of decode requests over their context */
    RUB_OP_PREFILL, /* attention of prefill chunks */
    RUB_OP_ENGINE,  /* what the engine does between forward passes */
} rub_op_kind;

typedef enum rub_op_class {
    RUB_CLASS_GEMM,
    RUB_CLASS_ATTENTION,
    RUB_CLASS_MOE,
    RUB_CLASS_COLLECTIVE,
    RUB_CLASS_HEAD,
    RUB_CLASS_SMALL,
    RUB_CLASS_ENGINE,
} rub_op_class;

/* Seconds of one call on u units = max(u * compute_s, fixed_s * experts + u * stream_s) +
 * overhead_s, efficiencies included. Units: tokens, sampled positions, context tokens (decode).
 * Prefill: max(work * compute_s, KV tokens * stream_s), work = token pairs.
 * With a curve: scale * what the curve says for shape, of which the batch sets m, tokens, bytes, or
 * batch and lengths; the figures in seconds are not used then. */
typedef struct rub_op {
    const char *name;
    rub_op_kind kind;
    rub_op_class class;
    double n;          /* calls in one iteration: layers */
    double compute_s;  /* arithmetic for one unit */
    double stream_s;   /* memory or link traffic for one unit */
    double fixed_s;    /* weights, read once; EXPERTS: of one expert */
    double overhead_s; /* launch and latency of a call */
    double per_req_s;  /* DECODE: for each request; PREFILL: for each KV token already processed */
    bool all_tokens;   /* TOKENS with attention data parallel: those of all groups */
    double window_tok; /* DECODE, PREFILL: context is cut to this; 0 = all of it */
    double n_expert;   /* EXPERTS: experts held by one accelerator */
    double hit_frac;   /* EXPERTS: probability that a token goes to a given expert */
    const rub_curve *curve; /* of the calibration; NULL: roofline */
    rub_peaks peaks;        /* that the curve's base is computed with */
    rub_shape shape;
    double scale;
    const struct rub_cut *cut; /* table mode: interpolated between the table's points only */
    double unit_bytes;         /* collectives with a curve: message bytes for one unit */
} rub_op;

enum { RUB_PAD_UNITS = 64 }; /* padding is looked for up to so many tokens */

enum { RUB_MAX_OPS = 24 * RUB_MODEL_MAX_GROUPS + 8 + 3 }; /* the last three are the engine's */

/* What one accelerator's share of an iteration is. Attention data parallel: requests are spread over
 * the groups of tp accelerators; decodes evenly, prompts as evenly as whole prompts can be, so that the
 * busiest group counts. */
typedef struct rub_load {
    double tokens, n_decode, kv_decode, n_prefill, prefill_tok, pairs,
        prefill_kv;               /* of the busiest group */
    double n_seq;                 /* sampled positions of it */
    double all_tokens, all_n_seq; /* of the iteration */
} rub_load;

typedef struct rub_op_list {
    int n;
    int32_t attention_dp;
    rub_op op[RUB_MAX_OPS];
} rub_op_list;

/* Fills the list from a resolved deployment. */
void rub_ops_build(const rub_deployment *resolved, rub_op_list *out);

rub_load rub_load_of(const rub_batch *batch, double attention_dp);

/* Seconds of one operator in an iteration of this load, all its calls. */
double rub_op_seconds(const rub_op *op, const rub_load *load);

/* DECODE and PREFILL with a curve: requests and the length of each. A prompt of n new tokens after p
 * others counts as one of sqrt(n * (n + 2 p)) without others, which has as many token pairs; with a
 * window, as its n tokens. */
double rub_op_on_requests(const rub_op *op, double n_req, double length);
/* What a curve is asked for. */
rub_shape rub_op_shape_on_units(const rub_op *op, double u);
rub_shape rub_op_shape_on_requests(const rub_op *op, double n_req, double length);
double rub_op_prompt_length(const rub_op *op, const rub_load *load);

/* TOKENS, EXPERTS on u tokens and SAMPLED on u positions; u >= 0 need not be whole. */
double rub_op_on_units(const rub_op *op, double u);

/* Roofline parameters of one kind of operator (efficiency.c). */
typedef struct rub_efficiency {
    double compute, memory; /* shares of peak and of bandwidth that are reached */
    double overhead_s;
} rub_efficiency;

/* Matrix product with weights of a precision, dense or experts. */
rub_efficiency rub_efficiency_gemm(rub_precision weights, bool experts);
rub_efficiency rub_efficiency_prefill(void);
rub_efficiency rub_efficiency_decode(void);
rub_efficiency rub_efficiency_small(void);
rub_efficiency rub_efficiency_scan(void); /* linear attention */

/* How unevenly tokens choose experts, as rub_shape.skew counts it. */
double rub_expert_skew(void);

/* All-reduce of bytes over tp accelerators: latency_s + bytes * s_per_byte. */
void rub_all_reduce(const rub_accelerator *accel, int32_t tp, double *latency_s,
                    double *s_per_byte);

/* Scales the operators and adds what the engine adds (engine.c). */
void rub_engine_apply(const rub_deployment *resolved, rub_op_list *list);

/* Peak that a product with these weights runs at [FLOP/s]: activations decide. */
double rub_peak_flops(const rub_accelerator *accel, rub_precision weights,
                      rub_precision activations);

/* Values and bytes of one accelerator's share. */
int32_t rub_kv_heads_local(const rub_attention *attention, int32_t tp); /* never under one */
double rub_kv_bytes_local(const rub_deployment *resolved, const rub_attention *attention);

/* Precision of a kind of weights: routed experts, other linear layers. */
rub_precision rub_precision_of_experts(const rub_deployment *resolved);
rub_precision rub_precision_of_linear(const rub_deployment *resolved);

#endif
