/* The compiled evaluator. What depends on one count alone (tokens: products, experts, collectives,
 * norms; sampled positions: logits) is one table of linear pieces: exact below 2^BITS, then 2^BITS
 * pieces in each doubling. Attention with a curve is one table over requests and their mean length for
 * decodes, two for prompts (by length of the equal prompt; by new tokens, with a window); attention
 * without one stays a closed form of the other aggregates. Only where an operator bends within a
 * piece does the result differ from the sum. */
#include "perf/calibration.h"
#include "perf/cut.h"
#include "perf/ops.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An axis: points 0, 1, ... 2^bits, then 2^bits to each doubling up to 2^top. */
#define POINTS(bits, top) (((top) - (bits) + 1) * (1 << (bits)) + 1)

enum {
    TOKEN_BITS = 7,
    TOKEN_TOP = 22,
    SEQ_BITS = 6,
    SEQ_TOP = 14,
    REQUEST_BITS = 4,
    DECODE_TOP = 11,
    PREFILL_TOP = 8,
    LENGTH_BITS = 4,
    LENGTH_TOP = 21,
    N_TOKEN = POINTS(TOKEN_BITS, TOKEN_TOP),
    N_SEQ = POINTS(SEQ_BITS, SEQ_TOP),
    N_DECODE = POINTS(REQUEST_BITS, DECODE_TOP),
    N_PREFILL = POINTS(REQUEST_BITS, PREFILL_TOP),
    N_LENGTH = POINTS(LENGTH_BITS, LENGTH_TOP),
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
    double attention_dp;
    bool has_all_tokens, has_decode, has_prefill, has_window;
    int n_decode_term, n_prefill_term;
    decode_term decode_term[MAX_TERMS];
    double decode_fixed_s, decode_per_req_s;
    prefill_term prefill_term[MAX_TERMS];
    double prefill_fixed_s;
    double engine_s, engine_per_req_s;
    double tokens_s[N_TOKEN];     /* [s] of the busiest group's tokens */
    double all_tokens_s[N_TOKEN]; /* [s] of all tokens; zeros without attention data parallel */
    double seq_s[N_SEQ];          /* [s] of sampled positions */
    float *decode_s;  /* [s] (requests N_DECODE, mean context N_LENGTH); NULL: closed forms only */
    float *prefill_s; /* [s] (prompts N_PREFILL, length of the equal prompt N_LENGTH) */
    float *window_s;  /* [s] (prompts N_PREFILL, new tokens N_LENGTH) */
};

/* ---- axes ------------------------------------------------------------------------------------ */

static double point(int i, int bits) {
    int n = 1 << bits;
    if (i < n)
        return i;
    return (double)((uint64_t)(n + i % n) << (i / n - 1));
}

typedef struct spot {
    int i;
    double frac; /* above 1 beyond the last point: the last slope holds */
} spot;

/* x >= 0. Above 2^bits the piece and the place within are the exponent and mantissa of x. */
static inline spot locate(double x, int bits, int n) {
    if (x < (double)(1 << bits)) {
        int i = (int)x;
        return (spot){i, x - i};
    }
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    int octave = (int)(u >> 52) - 1023 - bits;
    int i = ((octave + 1) << bits) + (int)((u >> (52 - bits)) & ((1u << bits) - 1));
    if (i > n - 2) {
        double low = point(n - 2, bits), high = point(n - 1, bits);
        return (spot){n - 2, (x - low) / (high - low)};
    }
    uint64_t rest = u & (((uint64_t)1 << (52 - bits)) - 1);
    return (spot){i, (double)rest * (1.0 / (double)((uint64_t)1 << (52 - bits)))};
}

static inline double line(const double *value, double x, int bits, int n) {
    spot s = locate(x, bits, n);
    return value[s.i] + s.frac * (value[s.i + 1] - value[s.i]);
}

static inline double sheet(const float *value, double requests, int n_requests, double length) {
    spot r = locate(requests, REQUEST_BITS, n_requests), l = locate(length, LENGTH_BITS, N_LENGTH);
    const float *low = value + (size_t)r.i * N_LENGTH + l.i, *high = low + N_LENGTH;
    double a = (double)low[0] + l.frac * ((double)low[1] - (double)low[0]);
    double b = (double)high[0] + l.frac * ((double)high[1] - (double)high[0]);
    return a + r.frac * (b - a);
}

/* As rub_load_of, without its divisions where each group is the whole. */
static inline rub_load load_of(const rub_batch *b, double dp) {
    if (dp > 1.0)
        return rub_load_of(b, dp);
    double n_decode = (double)b->n_decode, n_prefill = (double)b->n_prefill;
    double tokens = (double)b->n_tokens, n_seq = n_decode + n_prefill;
    return (rub_load){.tokens = tokens,
                      .n_decode = n_decode,
                      .kv_decode = (double)b->kv_decode,
                      .n_prefill = n_prefill,
                      .prefill_tok = tokens - n_decode,
                      .pairs = 0.5 * (double)b->prefill_work2,
                      .prefill_kv = (double)b->prefill_kv,
                      .n_seq = n_seq,
                      .all_tokens = tokens,
                      .all_n_seq = n_seq};
}

/* ---- evaluation ------------------------------------------------------------------------------ */

static inline double decode_duration(const rub_perf_tables *t, const rub_load *l) {
    double context = l->kv_decode + l->n_decode;
    double s = t->decode_fixed_s + l->n_decode * t->decode_per_req_s;
    for (int i = 0; i < t->n_decode_term; i++) {
        double limit = l->n_decode * t->decode_term[i].window_tok;
        double seen = limit > 0.0 && limit < context ? limit : context;
        s += seen * t->decode_term[i].per_tok_s;
    }
    if (t->has_decode)
        s += sheet(t->decode_s, l->n_decode, N_DECODE, context / l->n_decode);
    return s;
}

static inline double prefill_duration(const rub_perf_tables *t, const rub_load *l) {
    double s = t->prefill_fixed_s;
    for (int i = 0; i < t->n_prefill_term; i++) {
        const prefill_term *p = &t->prefill_term[i];
        double pairs = l->pairs, old = l->prefill_kv;
        if (p->window_tok > 0.0) {
            double most = l->prefill_tok * p->window_tok, kept = l->n_prefill * p->window_tok;
            pairs = pairs < most ? pairs : most;
            old = old < kept ? old : kept;
        }
        double compute = pairs * p->per_pair_s, memory = (old + l->prefill_tok) * p->per_kv_s;
        s += (compute > memory ? compute : memory) + old * p->per_old_s;
    }
    if (t->has_prefill) {
        double length = sqrt(2.0 * l->pairs / l->n_prefill);
        s += sheet(t->prefill_s, l->n_prefill, N_PREFILL, length > 1.0 ? length : 1.0);
    }
    if (t->has_window) {
        double length = l->prefill_tok / l->n_prefill;
        s += sheet(t->window_s, l->n_prefill, N_PREFILL, length > 1.0 ? length : 1.0);
    }
    return s;
}

double rub_perf_tables_duration(const rub_perf_tables *t, const rub_batch *b) {
    rub_load l = load_of(b, t->attention_dp);
    double s = t->engine_s + l.all_n_seq * t->engine_per_req_s;
    s += line(t->tokens_s, l.tokens, TOKEN_BITS, N_TOKEN);
    if (t->has_all_tokens)
        s += line(t->all_tokens_s, l.all_tokens, TOKEN_BITS, N_TOKEN);
    s += line(t->seq_s, l.n_seq, SEQ_BITS, N_SEQ);
    if (l.n_decode > 0.0)
        s += decode_duration(t, &l);
    if (l.n_prefill > 0.0)
        s += prefill_duration(t, &l);
    return s;
}

/* ---- compiling ------------------------------------------------------------------------------- */

/* Padded as rub_op_on_units does. */
static double padded(const rub_cut *cut, double u) {
    double best = rub_cut_seconds(cut, u, 1.0);
    for (double more = 2.0 * u; more <= RUB_PAD_UNITS; more *= 2.0) {
        double s = rub_cut_seconds(cut, more, 1.0);
        best = s < best ? s : best;
    }
    return best;
}

static bool add_line(const rub_op *op, double *value, int bits, int n) {
    rub_cut cut = {0};
    if (op->curve && !rub_cut_make(op, &cut))
        return false;
    for (int i = 1; i < n; i++) {
        double u = point(i, bits);
        value[i] += op->curve ? padded(&cut, u) : rub_op_on_units(op, u);
    }
    rub_cut_clear(&cut);
    return true;
}

/* Row 0 (no request) repeats row 1, column 0 (no length) column 1: neither is asked for. */
static bool add_sheet(const rub_op *op, float *value, int n_requests) {
    rub_cut_place column[N_LENGTH];
    rub_cut cut = {0};
    if (!rub_cut_make(op, &cut))
        return false;
    for (int i = 0; i < N_LENGTH; i++)
        column[i] = rub_cut_find(cut.x, cut.nx, point(i, LENGTH_BITS));
    for (int r = 0; r < n_requests; r++) {
        double n = point(r, REQUEST_BITS) > 1.0 ? point(r, REQUEST_BITS) : 1.0;
        rub_cut_place row = rub_cut_find(cut.y, cut.ny, n);
        rub_cut_place twice = rub_cut_find(cut.y, cut.ny, 2.0 * n);
        for (int i = 0; i < N_LENGTH; i++) {
            double a = rub_cut_at(&cut, &column[i], &row), b = rub_cut_at(&cut, &column[i], &twice);
            value[(size_t)r * N_LENGTH + i] += (float)(a < b ? a : b);
        }
    }
    rub_cut_clear(&cut);
    return true;
}

/* Operators that differ in their number of calls only become one. */
static void merge_equal(rub_op_list *list) {
    int kept = 0;
    for (int k = 0; k < list->n; k++) {
        rub_op *op = &list->op[k];
        int i = 0;
        for (; i < kept; i++) {
            const rub_op *o = &list->op[i];
            if (op->curve && o->curve == op->curve && o->kind == op->kind &&
                o->scale == op->scale && o->all_tokens == op->all_tokens &&
                o->unit_bytes == op->unit_bytes && o->window_tok == op->window_tok &&
                o->per_req_s == op->per_req_s &&
                memcmp(&o->shape, &op->shape, sizeof o->shape) == 0)
                break;
        }
        if (i < kept)
            list->op[i].n += op->n;
        else
            list->op[kept++] = *op;
    }
    list->n = kept;
}

static void add_decode(rub_perf_tables *t, const rub_op *op) {
    double per_tok = op->n * (op->compute_s > op->stream_s ? op->compute_s : op->stream_s);
    t->decode_fixed_s += op->n * op->overhead_s;
    t->decode_per_req_s += op->n * op->per_req_s;
    int i = 0;
    while (i < t->n_decode_term && t->decode_term[i].window_tok != op->window_tok)
        i++;
    if (i == t->n_decode_term)
        t->decode_term[t->n_decode_term++] = (decode_term){.window_tok = op->window_tok};
    t->decode_term[i].per_tok_s += per_tok;
}

/* Terms with the same window and the same balance of arithmetic and traffic are one. */
static void add_prefill(rub_perf_tables *t, const rub_op *op) {
    t->prefill_fixed_s += op->n * op->overhead_s;
    int i = 0;
    for (; i < t->n_prefill_term; i++) {
        const prefill_term *p = &t->prefill_term[i];
        double a = p->per_pair_s * op->stream_s, b = p->per_kv_s * op->compute_s;
        double gap = a > b ? a - b : b - a;
        if (p->window_tok == op->window_tok && gap <= 1e-12 * (a + b))
            break;
    }
    if (i == t->n_prefill_term)
        t->prefill_term[t->n_prefill_term++] = (prefill_term){.window_tok = op->window_tok};
    t->prefill_term[i].per_pair_s += op->n * op->compute_s;
    t->prefill_term[i].per_kv_s += op->n * op->stream_s;
    t->prefill_term[i].per_old_s += op->n * op->per_req_s;
}

/* What is left of an operator beside its curve: earlier chunks projected up again. */
static rub_op rest_of(const rub_op *op) {
    rub_op rest = *op;
    rest.curve = NULL;
    rest.compute_s = rest.stream_s = rest.overhead_s = 0.0;
    if (op->kind == RUB_OP_DECODE)
        rest.per_req_s = 0.0;
    return rest;
}

static bool add_requests(rub_perf_tables *t, const rub_op *op) {
    bool decode = op->kind == RUB_OP_DECODE, window = op->window_tok > 0.0;
    if (!op->curve) {
        decode ? add_decode(t, op) : add_prefill(t, op);
        return true;
    }
    if (decode) {
        t->has_decode = true;
        return add_sheet(op, t->decode_s, N_DECODE);
    }
    rub_op rest = rest_of(op);
    if (rest.per_req_s > 0.0)
        add_prefill(t, &rest);
    t->has_window |= window;
    t->has_prefill |= !window;
    return add_sheet(op, window ? t->window_s : t->prefill_s, N_PREFILL);
}

/* false: out of memory. */
static bool add_op(rub_perf_tables *t, const rub_op *op) {
    bool all = t->attention_dp > 1.0 && (op->all_tokens || op->kind == RUB_OP_EXPERTS);
    switch (op->kind) {
    case RUB_OP_TOKENS:
    case RUB_OP_EXPERTS:
        t->has_all_tokens |= all;
        return add_line(op, all ? t->all_tokens_s : t->tokens_s, TOKEN_BITS, N_TOKEN);
    case RUB_OP_SAMPLED:
        return add_line(op, t->seq_s, SEQ_BITS, N_SEQ);
    case RUB_OP_DECODE:
    case RUB_OP_PREFILL:
        return add_requests(t, op);
    default:
        t->engine_s += op->overhead_s;
        t->engine_per_req_s += op->per_req_s;
        return true;
    }
}

static bool compile(rub_op_list *list, rub_perf_tables *t) {
    bool ok = true;
    merge_equal(list);
    t->attention_dp = list->attention_dp;
    for (int k = 0; k < list->n && ok; k++)
        ok = add_op(t, &list->op[k]);
    return ok;
}

static void tables_free(rub_perf_tables *t) {
    if (t) {
        free(t->decode_s);
        free(t->prefill_s);
        free(t->window_s);
    }
    free(t);
}

static rub_perf_tables *tables_new(const rub_op_list *list) {
    rub_perf_tables *t = RUB_NEW(rub_perf_tables, 1);
    size_t decode = 0, prefill = 0;
    for (int k = 0; k < list->n; k++)
        if (list->op[k].curve) {
            decode |= list->op[k].kind == RUB_OP_DECODE;
            prefill |= list->op[k].kind == RUB_OP_PREFILL;
        }
    if (!t)
        return NULL;
    t->decode_s = RUB_NEW(float, decode *N_DECODE *N_LENGTH);
    t->prefill_s = RUB_NEW(float, prefill *N_PREFILL *N_LENGTH);
    t->window_s = RUB_NEW(float, prefill *N_PREFILL *N_LENGTH);
    if (t->decode_s && t->prefill_s && t->window_s)
        return t;
    tables_free(t);
    return NULL;
}

/* ---- deployments ----------------------------------------------------------------------------- */

typedef struct opened {
    rub_calibration *shipped; /* owned; NULL when the deployment brings its own or none */
    rub_op_list *list;
} opened;

static void close_operators(opened *o) {
    free(o->list);
    rub_calibration_free(o->shipped);
}

static rub_status open_operators(const rub_deployment *deployment, opened *out, rub_error *err) {
    rub_deployment resolved;
    opened o = {0};
    RUB_TRY(rub_deployment_resolve(deployment, &resolved, err));
    if (resolved.level == RUB_LEVEL_ROOFLINE) {
        resolved.calibration = NULL;
    } else if (!resolved.calibration) {
        RUB_TRY(rub_calibration_shipped(resolved.accel, &o.shipped, err));
        resolved.calibration = o.shipped;
    }
    if (resolved.level == RUB_LEVEL_CALIBRATED && resolved.calibration->carried) {
        close_operators(&o);
        return rub_error_set(err, RUB_NOT_FOUND, "no calibration ships for %s",
                             resolved.accel->name);
    }
    o.list = RUB_NEW(rub_op_list, 1);
    if (!o.list) {
        close_operators(&o);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    }
    rub_ops_build(&resolved, o.list);
    *out = o;
    return RUB_OK;
}

rub_status rub_perf_compile(const rub_deployment *deployment, rub_perf *out, rub_error *err) {
    opened o;
    RUB_TRY(open_operators(deployment, &o, err));
    rub_perf_tables *tables = tables_new(o.list);
    if (tables && !compile(o.list, tables)) {
        tables_free(tables);
        tables = NULL;
    }
    close_operators(&o);
    if (!tables)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    *out = (rub_perf){.kind = RUB_PERF_COMPILED, .tables = tables};
    return RUB_OK;
}

void rub_perf_clear(rub_perf *perf) {
    tables_free((rub_perf_tables *)(uintptr_t)perf->tables);
    *perf = (rub_perf){0};
}

/* One operator. In table mode it is what lies between the table's points, as when compiled. */
static double seconds_of(const rub_op *op, const rub_load *load) {
    rub_op with = *op;
    rub_cut cut = {0};
    if (op->curve && op->curve->n_near && rub_cut_make(op, &cut))
        with.cut = &cut;
    double s = rub_op_seconds(&with, load);
    rub_cut_clear(&cut);
    return s;
}

rub_status rub_perf_operators(const rub_deployment *deployment, const rub_batch *batch,
                              rub_perf_split *out, rub_error *err) {
    opened o;
    RUB_TRY(open_operators(deployment, &o, err));
    rub_perf_split split = {0};
    double *const part[] = {
        [RUB_CLASS_GEMM] = &split.gemm_s,     [RUB_CLASS_ATTENTION] = &split.attention_s,
        [RUB_CLASS_MOE] = &split.moe_s,       [RUB_CLASS_COLLECTIVE] = &split.collective_s,
        [RUB_CLASS_HEAD] = &split.head_s,     [RUB_CLASS_SMALL] = &split.small_s,
        [RUB_CLASS_ENGINE] = &split.engine_s,
    };
    rub_load load = rub_load_of(batch, o.list->attention_dp);
    for (int i = 0; i < o.list->n; i++) {
        double s = seconds_of(&o.list->op[i], &load);
        *part[o.list->op[i].class] += s;
        split.total_s += s;
    }
    close_operators(&o);
    *out = split;
    return RUB_OK;
}
