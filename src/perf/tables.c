/* The compiled evaluator. What depends on the number of tokens alone (products, experts,
 * collectives, norms) is one table: exact below 64 tokens, then 64 linear pieces in each doubling
 * (9 KB in all, to stay in the first-level cache). Only where an operator turns from memory to
 * compute bound, or where the experts touched curve, does a piece differ from the sum. Attention
 * and what counts requests stay closed forms of the other aggregates. */
#include "perf/ops.h"

#include "base/array.h"

#include <stdlib.h>
#include <string.h>

enum {
    STEP_BITS = 7,
    STEPS = 1 << STEP_BITS,
    TOP_BIT = 22, /* the table ends at 4 M tokens; beyond, its last slope holds */
    N_VALUE = STEPS * (TOP_BIT - STEP_BITS + 1) + 1,
    MAX_TERMS = 2 * RUB_MODEL_MAX_GROUPS,
};

/* min(context, window * requests) * per_tok_s; window 0 = no limit */
typedef struct decode_term {
    double per_tok_s, window_tok;
} decode_term;

typedef struct prefill_term {
    double per_pair_s, per_kv_s, per_old_s, window_tok;
} prefill_term;

struct rub_perf_tables {
    int n_decode_term, n_prefill_term;
    decode_term decode[MAX_TERMS];
    double decode_fixed_s, decode_per_req_s;
    prefill_term prefill[MAX_TERMS];
    double prefill_fixed_s;
    /* logits: the larger of arithmetic and weights + traffic */
    double head_compute_s, head_fixed_s, head_stream_s;
    double seq_fixed_s, seq_per_req_s; /* once any position is sampled */
    double engine_s, engine_per_req_s;
    double tokens_s[N_VALUE]; /* [s] at the table's points (N_VALUE) */
};

static double point(int i) {
    if (i < STEPS)
        return i;
    int octave = i / STEPS - 1;
    return (double)((uint64_t)(STEPS + i % STEPS) << octave);
}

static double on_tokens(const double *value, int64_t n) {
    if (n < STEPS)
        return value[n > 0 ? n : 0];
    int shift = 63 - __builtin_clzll((uint64_t)n) - STEP_BITS;
    if (shift >= TOP_BIT - STEP_BITS) {
        double last = value[N_VALUE - 1], step = (double)(1 << (TOP_BIT - 1 - STEP_BITS));
        double top = (double)(1 << TOP_BIT);
        return last + ((double)n - top) * (last - value[N_VALUE - 2]) / step;
    }
    int64_t i = STEPS * (int64_t)(shift + 1) + (n >> shift) - STEPS;
    int64_t rest = n & (((int64_t)1 << shift) - 1);
    double frac = (double)rest / (double)((int64_t)1 << shift);
    return value[i] + frac * (value[i + 1] - value[i]);
}

double rub_perf_tables_duration(const rub_perf_tables *t, const rub_batch *b) {
    double n_decode = (double)b->n_decode, n_prefill = (double)b->n_prefill;
    double n_seq = n_decode + n_prefill;
    double s = t->engine_s + n_seq * t->engine_per_req_s + on_tokens(t->tokens_s, b->n_tokens);
    if (n_seq > 0.0) {
        double compute = n_seq * t->head_compute_s;
        double memory = t->head_fixed_s + n_seq * t->head_stream_s;
        s += (compute > memory ? compute : memory) + t->seq_fixed_s + n_seq * t->seq_per_req_s;
    }
    if (n_decode > 0.0) {
        double context = (double)b->kv_decode + n_decode;
        s += t->decode_fixed_s + n_decode * t->decode_per_req_s;
        for (int i = 0; i < t->n_decode_term; i++) {
            double limit = n_decode * t->decode[i].window_tok;
            double seen = limit > 0.0 && limit < context ? limit : context;
            s += seen * t->decode[i].per_tok_s;
        }
    }
    if (n_prefill > 0.0) {
        double n_tok = (double)(b->n_tokens - b->n_decode);
        s += t->prefill_fixed_s;
        for (int i = 0; i < t->n_prefill_term; i++) {
            const prefill_term *p = &t->prefill[i];
            double pairs = 0.5 * (double)b->prefill_work2, old = (double)b->prefill_kv;
            if (p->window_tok > 0.0) {
                double most = n_tok * p->window_tok, kept = n_prefill * p->window_tok;
                pairs = pairs < most ? pairs : most;
                old = old < kept ? old : kept;
            }
            double compute = pairs * p->per_pair_s, memory = (old + n_tok) * p->per_kv_s;
            s += (compute > memory ? compute : memory) + old * p->per_old_s;
        }
    }
    return s;
}

static void add_decode(rub_perf_tables *t, const rub_op *op) {
    double per_tok = op->n * (op->compute_s > op->stream_s ? op->compute_s : op->stream_s);
    t->decode_fixed_s += op->n * op->overhead_s;
    t->decode_per_req_s += op->n * op->per_req_s;
    int i = 0;
    while (i < t->n_decode_term && t->decode[i].window_tok != op->window_tok)
        i++;
    if (i == t->n_decode_term)
        t->decode[t->n_decode_term++] = (decode_term){.window_tok = op->window_tok};
    t->decode[i].per_tok_s += per_tok;
}

/* Terms with the same window and the same balance of arithmetic and traffic are one. */
static void add_prefill(rub_perf_tables *t, const rub_op *op) {
    t->prefill_fixed_s += op->n * op->overhead_s;
    int i = 0;
    for (; i < t->n_prefill_term; i++) {
        const prefill_term *p = &t->prefill[i];
        double a = p->per_pair_s * op->stream_s, b = p->per_kv_s * op->compute_s;
        double gap = a > b ? a - b : b - a;
        if (p->window_tok == op->window_tok && gap <= 1e-12 * (a + b))
            break;
    }
    if (i == t->n_prefill_term)
        t->prefill[t->n_prefill_term++] = (prefill_term){.window_tok = op->window_tok};
    t->prefill[i].per_pair_s += op->n * op->compute_s;
    t->prefill[i].per_kv_s += op->n * op->stream_s;
    t->prefill[i].per_old_s += op->n * op->per_req_s;
}

static void add_sampled(rub_perf_tables *t, const rub_op *op) {
    t->seq_fixed_s += op->n * op->overhead_s;
    if (op->fixed_s > 0.0) { /* the one product */
        t->head_compute_s = op->n * op->compute_s;
        t->head_fixed_s = op->n * op->fixed_s;
        t->head_stream_s = op->n * op->stream_s;
    } else {
        t->seq_per_req_s += op->n * op->stream_s;
    }
}

static void compile(const rub_op_list *list, rub_perf_tables *t) {
    for (int k = 0; k < list->n; k++) {
        const rub_op *op = &list->op[k];
        switch (op->kind) {
        case RUB_OP_TOKENS:
        case RUB_OP_EXPERTS:
            for (int i = 0; i < N_VALUE; i++)
                t->tokens_s[i] += rub_op_on_units(op, point(i));
            break;
        case RUB_OP_SAMPLED:
            add_sampled(t, op);
            break;
        case RUB_OP_DECODE:
            add_decode(t, op);
            break;
        case RUB_OP_PREFILL:
            add_prefill(t, op);
            break;
        case RUB_OP_ENGINE:
            t->engine_s += op->overhead_s;
            t->engine_per_req_s += op->per_req_s;
            break;
        }
    }
}

static rub_status operators_of(const rub_deployment *deployment, rub_op_list **out,
                               rub_error *err) {
    rub_deployment resolved;
    RUB_TRY(rub_deployment_resolve(deployment, &resolved, err));
    rub_op_list *list = RUB_NEW(rub_op_list, 1);
    if (!list)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    rub_ops_build(&resolved, list);
    *out = list;
    return RUB_OK;
}

rub_status rub_perf_compile(const rub_deployment *deployment, rub_perf *out, rub_error *err) {
    rub_op_list *list = NULL;
    RUB_TRY(operators_of(deployment, &list, err));
    rub_perf_tables *tables = RUB_NEW(rub_perf_tables, 1);
    if (tables)
        compile(list, tables);
    free(list);
    if (!tables)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    *out = (rub_perf){.kind = RUB_PERF_COMPILED, .tables = tables};
    return RUB_OK;
}

void rub_perf_clear(rub_perf *perf) {
    free((void *)(uintptr_t)perf->tables);
    *perf = (rub_perf){0};
}

rub_status rub_perf_operators(const rub_deployment *deployment, const rub_batch *batch,
                              rub_perf_split *out, rub_error *err) {
    rub_op_list *list = NULL;
    RUB_TRY(operators_of(deployment, &list, err));
    rub_perf_split split = {0};
    double *const part[] = {
        [RUB_CLASS_GEMM] = &split.gemm_s,     [RUB_CLASS_ATTENTION] = &split.attention_s,
        [RUB_CLASS_MOE] = &split.moe_s,       [RUB_CLASS_COLLECTIVE] = &split.collective_s,
        [RUB_CLASS_HEAD] = &split.head_s,     [RUB_CLASS_SMALL] = &split.small_s,
        [RUB_CLASS_ENGINE] = &split.engine_s,
    };
    for (int i = 0; i < list->n; i++) {
        double s = rub_op_seconds(&list->op[i], batch);
        *part[list->op[i].class] += s;
        split.total_s += s;
    }
    free(list);
    *out = split;
    return RUB_OK;
}
