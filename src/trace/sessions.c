/* Sessions: single requests become conversations whose prompts repeat what was said before. */
#include "rubato/trace.h"

#include "base/array.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

rub_sessions rub_sessions_default(void) {
    return (rub_sessions){.turns = 1.0,
                          .think_s = 30.0,
                          .n_tenant = 1,
                          .max_tok = 131072,
                          .hash_block_tok = 16,
                          .seed = 1};
}

static rub_status check(const rub_sessions *d, rub_error *err) {
    if (!(d->turns >= 1.0 && d->turns <= 1e6) || !(d->think_s >= 0 && d->think_s < 1e9))
        return rub_error_set(err, RUB_INVALID,
                             "sessions have %g turns and %g s between them, expected 1 or more "
                             "turns and 0 s or more",
                             d->turns, d->think_s);
    if (d->n_tenant < 1 || d->n_tenant > 1 << 20 || d->system_tok < 0 ||
        d->system_tok >= d->max_tok || d->max_tok > RUB_TRACE_MAX_TOK)
        return rub_error_set(
            err, RUB_INVALID,
            "sessions have %d tenants, system prompts of %d and at most %d tokens: "
            "expected 1 tenant or more, and longer sessions than system prompts",
            d->n_tenant, d->system_tok, d->max_tok);
    if (!(d->batch_frac >= 0 && d->batch_frac <= 1) || d->hash_block_tok < 0 ||
        d->hash_block_tok > 1 << 20)
        return rub_error_set(err, RUB_INVALID,
                             "batch share is %g and hash block %d tokens, expected 0 to 1 and 0 to "
                             "%d",
                             d->batch_frac, d->hash_block_tok, 1 << 20);
    return RUB_OK;
}

typedef struct turn {
    double arrival_s;
    int32_t input, output, session, tenant, priority;
} turn;

typedef struct turns {
    turn *data;
    size_t n, cap;
} turns;

/* Harmonic weights: tenant k with 1 / (k + 1), as names and words are often spread (Zipf). */
static int32_t tenant(const rub_sessions *d, double all, rub_rng *rng) {
    double u = rub_rng_uniform(rng) * all;
    int32_t k = 0;
    for (; k + 1 < d->n_tenant && u >= 1.0 / (k + 1); k++)
        u -= 1.0 / (k + 1);
    return k;
}

/* All turns of the session that request i starts; each session has a random stream of its own. */
static rub_status talk(const rub_trace *t, const rub_sessions *d, size_t i, double all,
                       turns *out) {
    rub_rng rng = rub_rng_make(d->seed ^ 0x5e55105u, i);
    turn x = {.arrival_s = t->arrival_s[i],
              .session = (int32_t)i,
              .tenant = tenant(d, all, &rng),
              .priority = rub_rng_uniform(&rng) < d->batch_frac};
    int64_t said = d->system_tok;
    for (size_t row = i;;) {
        int64_t input = said + t->input_tok[row], total = input + t->output_tok[row];
        if (total > d->max_tok && row == i && input < d->max_tok)
            total = d->max_tok; /* a first turn is cut, a later one does not happen */
        if (total > d->max_tok)
            return RUB_OK;
        x.input = (int32_t)input;
        x.output = (int32_t)(total - input);
        RUB_TRY(RUB_ARRAY_PUSH(out->data, out->n, out->cap, x));
        said = total;
        if (rub_rng_uniform(&rng) * d->turns < 1.0)
            return RUB_OK;
        x.arrival_s += rub_rng_exponential(&rng) * d->think_s;
        row = (size_t)rub_rng_below(&rng, t->n_req);
    }
}

static int earlier(const void *a, const void *b) {
    const turn *x = a, *y = b;
    if (x->arrival_s != y->arrival_s)
        return x->arrival_s < y->arrival_s ? -1 : 1;
    if (x->session != y->session)
        return (x->session > y->session) - (x->session < y->session);
    return (x->input > y->input) - (x->input < y->input); /* turns of one session grow */
}

/* Blocks that lie in the system prompt are the tenant's, the others the session's own. */
static rub_status hash(const turns *all, const rub_sessions *d, rub_trace *t) {
    size_t n = 0;
    t->hashes.block_tok = d->hash_block_tok;
    for (size_t i = 0; i < t->n_req; i++)
        n += (size_t)((all->data[i].input + all->data[i].output) / d->hash_block_tok);
    t->hashes.at = RUB_NEW(size_t, t->n_req + 1);
    t->hashes.hash = RUB_NEW(uint64_t, n);
    if (!t->hashes.at || !t->hashes.hash)
        return RUB_NO_MEMORY;
    n = 0;
    for (size_t i = 0; i < t->n_req; i++) {
        const turn *x = &all->data[i];
        int64_t blocks = (x->input + x->output) / d->hash_block_tok;
        for (int64_t b = 0; b < blocks; b++) {
            bool common = (b + 1) * d->hash_block_tok <= d->system_tok;
            uint64_t owner = common ? (uint64_t)1 << 36 | (uint64_t)(uint32_t)x->tenant
                                    : (uint64_t)(uint32_t)x->session;
            t->hashes.hash[n++] = owner << 24 | (uint64_t)b;
        }
        t->hashes.at[i + 1] = n;
    }
    return RUB_OK;
}

static rub_status settle(const turns *all, const rub_sessions *d, size_t n_req, rub_trace *t) {
    size_t n = n_req > 0 && n_req < all->n ? n_req : all->n;
    if (rub_trace_init(t, n, NULL) != RUB_OK)
        return RUB_NO_MEMORY;
    t->priority = RUB_NEW(int32_t, n);
    t->session = RUB_NEW(int32_t, n);
    t->tenant = RUB_NEW(int32_t, n);
    if (!t->priority || !t->session || !t->tenant)
        return RUB_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        const turn *x = &all->data[i];
        t->arrival_s[i] = x->arrival_s;
        t->input_tok[i] = x->input;
        t->output_tok[i] = x->output;
        t->priority[i] = x->priority;
        t->session[i] = x->session;
        t->tenant[i] = x->tenant;
    }
    return d->hash_block_tok > 0 ? hash(all, d, t) : RUB_OK;
}

rub_status rub_trace_converse(const rub_trace *starts, const rub_sessions *def, size_t n_req,
                              rub_trace *out, rub_error *err) {
    RUB_TRY(check(def, err));
    turns all = {0};
    rub_trace t = {0};
    rub_status status = RUB_OK;
    double weight = 0.0;
    for (int32_t k = 0; k < def->n_tenant; k++)
        weight += 1.0 / (k + 1);
    for (size_t i = 0; i < starts->n_req && status == RUB_OK; i++)
        status = talk(starts, def, i, weight, &all);
    if (status == RUB_OK && all.n == 0)
        status = rub_error_set(err, RUB_INVALID,
                               "no prompt of these fits in %d tokens with its system prompt",
                               def->max_tok);
    if (status == RUB_OK) {
        qsort(all.data, all.n, sizeof *all.data, earlier);
        status = settle(&all, def, n_req, &t);
    }
    free(all.data);
    if (status == RUB_OK) {
        *out = t;
        return RUB_OK;
    }
    rub_trace_clear(&t);
    return status == RUB_INVALID
               ? status
               : rub_error_set(err, status, "out of memory for the turns of sessions");
}
