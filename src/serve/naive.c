/* Naive engine: the test oracle. Lists of requests, one loop for each rule of docs/serve.md, no
 * sums that are kept from one iteration to the next. */
#include "serve/replica.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct request {
    int32_t id, prefill; /* tokens to prefill */
    int64_t total;       /* input + output */
    int64_t done;        /* tokens processed */
    bool prefilled;
    int64_t blocks;
    double last_s; /* time of its last token */
    int64_t take;  /* tokens in the present batch */
} request;

typedef struct list {
    request **item;
    size_t n, cap;
} list;

struct rub_replica {
    const rub_run *run;
    list waiting, running, batch;
    int64_t blocks_used;
    double now_s, end_s;
    bool busy;
    rub_serve_totals totals;
};

static rub_status insert(list *l, size_t at, request *r) {
    if (rub_array_reserve((void **)&l->item, &l->cap, l->n + 1, sizeof *l->item) != RUB_OK)
        return RUB_NO_MEMORY;
    memmove(l->item + at + 1, l->item + at, (l->n - at) * sizeof *l->item);
    l->item[at] = r;
    l->n++;
    return RUB_OK;
}

static rub_status append(list *l, request *r) { return insert(l, l->n, r); }

static request *take_at(list *l, size_t at) {
    request *r = l->item[at];
    memmove(l->item + at, l->item + at + 1, (l->n - at - 1) * sizeof *l->item);
    l->n--;
    return r;
}

static rub_replica *create(const rub_run *run) {
    rub_replica *s = RUB_NEW(rub_replica, 1);
    if (s)
        s->run = run;
    return s;
}

static void destroy(rub_replica *s) {
    list *all[] = {&s->waiting, &s->running, &s->batch};
    for (int k = 0; k < 3; k++) {
        for (size_t i = 0; i < all[k]->n; i++)
            free(all[k]->item[i]);
        free(all[k]->item);
    }
    free(s);
}

static rub_status arrive(rub_replica *s, int32_t id) {
    const rub_trace *t = s->run->trace;
    request *r = RUB_NEW(request, 1);
    if (!r)
        return RUB_NO_MEMORY;
    *r = (request){.id = id,
                   .prefill = t->input_tok[id],
                   .total = (int64_t)t->input_tok[id] + t->output_tok[id],
                   .last_s = NAN};
    if (!s->busy && s->now_s < s->run->times->arrival_s[id])
        s->now_s = s->run->times->arrival_s[id];
    return append(&s->waiting, r);
}

static int64_t free_blocks(const rub_replica *s) { return s->run->def->kv_blocks - s->blocks_used; }

/* Whether a decode can go on: Vidur's policies want a free block even where none is taken. */
static bool may_decode(const rub_replica *s, const request *r) {
    bool grows = r->done > r->blocks * s->run->def->block_size_tok;
    return free_blocks(s) >= 1 || (s->run->def->policy == RUB_POLICY_VLLM && !grows);
}

static void grow(rub_replica *s, request *r) {
    if (r->done > r->blocks * s->run->def->block_size_tok) {
        r->blocks++;
        s->blocks_used++;
    }
}

/* Recompute: everything processed is prefilled again. vLLM keeps an unfinished prefill's length. */
static rub_status restart(rub_replica *s, request *r) {
    bool whole = s->run->def->policy == RUB_POLICY_VLLM && !r->prefilled;
    s->blocks_used -= r->blocks;
    r->prefill = whole ? r->prefill : (int32_t)r->done;
    r->done = 0;
    r->prefilled = false;
    r->blocks = 0;
    s->run->times->restarts[r->id]++;
    s->totals.n_restart++;
    return insert(&s->waiting, 0, r);
}

static bool fits(const rub_replica *s, const request *r) {
    int64_t need = rub_blocks(r->prefill, s->run->def->block_size_tok);
    int64_t kept = s->run->def->policy == RUB_POLICY_VLLM ? 0 : s->run->watermark;
    return free_blocks(s) - need >= kept;
}

static rub_status schedule(rub_replica *s, request *r, int64_t tokens) {
    double *first = &s->run->times->scheduled_s[r->id];
    *first = isnan(*first) ? s->now_s : *first;
    r->take = tokens;
    return append(&s->batch, r);
}

static rub_status admit(rub_replica *s, int64_t tokens) {
    request *r = take_at(&s->waiting, 0);
    r->blocks = rub_blocks(r->prefill, s->run->def->block_size_tok);
    s->blocks_used += r->blocks;
    return schedule(s, r, tokens);
}

/* Takes one running request of the list's head into the batch as a decode; while it cannot go on,
 * the last of the list is sent back, and itself when none is left. */
static rub_status decode_or_evict(rub_replica *s, request *r, bool *evicted) {
    while (!may_decode(s, r)) {
        *evicted = true;
        if (s->running.n == 0)
            return restart(s, r);
        RUB_TRY(restart(s, take_at(&s->running, s->running.n - 1)));
    }
    grow(s, r);
    return schedule(s, r, 1);
}

static int64_t batch_tokens(const rub_replica *s) {
    int64_t sum = 0;
    for (size_t i = 0; i < s->batch.n; i++)
        sum += s->batch.item[i]->take;
    return sum;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* New requests from the queue's head while sequences, blocks and tokens last. */
static rub_status admit_up_to(rub_replica *s, int64_t limit_tok, size_t held) {
    while (s->waiting.n > 0 && held < (size_t)s->run->def->max_seqs &&
           fits(s, s->waiting.item[0])) {
        int64_t tokens = least(s->waiting.item[0]->prefill, limit_tok - batch_tokens(s));
        if (tokens <= 0)
            break;
        RUB_TRY(admit(s, tokens));
        held++;
    }
    return RUB_OK;
}

static rub_status form_sarathi(rub_replica *s) {
    list prefills = {0}, skipped = {0};
    bool evicted = false;
    rub_status status = RUB_OK;
    while (status == RUB_OK && s->running.n > 0) {
        request *r = take_at(&s->running, 0);
        status = r->prefilled ? decode_or_evict(s, r, &evicted) : append(&prefills, r);
    }
    for (size_t i = 0; status == RUB_OK && i < prefills.n; i++) {
        request *r = prefills.item[i];
        int64_t tokens = least(r->prefill - r->done, s->run->def->chunk_tok - batch_tokens(s));
        status = tokens > 0 ? schedule(s, r, tokens) : append(&skipped, r);
    }
    for (size_t i = 0; status == RUB_OK && i < skipped.n; i++)
        status = append(&s->running, skipped.item[i]);
    if (status == RUB_OK)
        status = admit_up_to(s, s->run->def->chunk_tok, s->batch.n + s->running.n);
    free(prefills.item);
    free(skipped.item);
    return status;
}

static rub_status form_vllm(rub_replica *s) {
    bool evicted = false;
    while (s->running.n > 0) {
        request *r = take_at(&s->running, 0);
        if (r->prefilled)
            RUB_TRY(decode_or_evict(s, r, &evicted));
        else
            RUB_TRY(schedule(
                s, r, least(r->prefill - r->done, s->run->def->max_batch_tok - batch_tokens(s))));
    }
    return evicted ? RUB_OK : admit_up_to(s, s->run->def->max_batch_tok, s->batch.n);
}

static rub_status form_vllm_v0(rub_replica *s) {
    int64_t longest = 0;
    while (s->waiting.n > 0 && fits(s, s->waiting.item[0])) {
        int64_t most =
            s->waiting.item[0]->prefill > longest ? s->waiting.item[0]->prefill : longest;
        if (((int64_t)s->batch.n + 1) * most > s->run->def->max_batch_tok ||
            s->running.n + s->batch.n >= (size_t)s->run->def->max_seqs)
            break;
        longest = most;
        RUB_TRY(admit(s, s->waiting.item[0]->prefill));
    }
    bool evicted = false;
    while (longest == 0 && s->running.n > 0)
        RUB_TRY(decode_or_evict(s, take_at(&s->running, 0), &evicted));
    return RUB_OK;
}

static rub_batch aggregates(const rub_replica *s) {
    rub_batch b = {0};
    for (size_t i = 0; i < s->batch.n; i++) {
        const request *r = s->batch.item[i];
        b.n_tokens += r->take;
        if (r->prefilled) {
            b.n_decode++;
            b.kv_decode += r->done;
        } else {
            b.n_prefill++;
            b.prefill_work2 += r->take * (2 * r->done + r->take);
            b.prefill_kv += r->done;
        }
    }
    return b;
}

/* Forms a batch and starts it; *formed is false when there is nothing to do. */
static rub_status start(rub_replica *s, bool *formed) {
    switch (s->run->def->policy) {
    case RUB_POLICY_VLLM:
        RUB_TRY(form_vllm(s));
        break;
    case RUB_POLICY_SARATHI:
        RUB_TRY(form_sarathi(s));
        break;
    case RUB_POLICY_VLLM_V0:
        RUB_TRY(form_vllm_v0(s));
        break;
    }
    *formed = s->batch.n > 0;
    if (!*formed)
        return RUB_OK;
    rub_batch b = aggregates(s);
    double duration = rub_perf_duration(s->run->perf, &b);
    s->busy = true;
    s->end_s = s->now_s + duration;
    s->totals.n_iteration++;
    s->totals.busy_s += duration;
    s->totals.kv_block_s += duration * (double)s->blocks_used;
    s->totals.prefill_tok += b.n_tokens - b.n_decode;
    s->totals.decode_tok += b.n_decode;
    if (s->blocks_used > s->totals.kv_most_blocks)
        s->totals.kv_most_blocks = s->blocks_used;
    return RUB_OK;
}

static void token(rub_replica *s, request *r) {
    double *first = &s->run->times->first_token_s[r->id];
    if (isnan(*first))
        *first = s->now_s;
    if (!isnan(r->last_s))
        rub_histogram_add(&s->totals.itl, s->now_s - r->last_s, 1);
    r->last_s = s->now_s;
}

static rub_status complete(rub_replica *s) {
    s->busy = false;
    s->now_s = s->end_s;
    s->totals.end_s = s->now_s;
    for (size_t i = 0; i < s->batch.n; i++) {
        request *r = s->batch.item[i];
        bool decoded = r->prefilled;
        r->done += r->take;
        if (!r->prefilled && r->done == r->prefill) {
            r->prefilled = true;
            r->done++;
            decoded = true;
        }
        if (decoded)
            token(s, r);
        if (r->done == r->total) {
            s->run->times->finish_s[r->id] = s->now_s;
            rub_closed_ended(s->run->closed, s->now_s);
            s->blocks_used -= r->blocks;
            free(r);
        } else
            RUB_TRY(append(&s->running, r));
    }
    s->batch.n = 0;
    return RUB_OK;
}

static rub_status advance(rub_replica *s, double until_s) {
    for (;;) {
        bool formed = false;
        if (s->busy) {
            if (s->end_s > until_s)
                return RUB_OK;
            RUB_TRY(complete(s));
            if (rub_closed_pauses(s->run->closed))
                return RUB_OK;
        }
        if (s->now_s >= until_s)
            return RUB_OK;
        RUB_TRY(start(s, &formed));
        if (!formed && s->waiting.n > 0) /* the only one running sent itself back: admit it now */
            RUB_TRY(start(s, &formed));
        if (!formed)
            return RUB_OK;
    }
}

static rub_status next_end(rub_replica *s, double *end_s) {
    bool formed = s->busy;
    if (!formed)
        RUB_TRY(start(s, &formed));
    if (!formed && s->waiting.n > 0)
        RUB_TRY(start(s, &formed));
    *end_s = formed ? s->end_s : HUGE_VAL;
    return RUB_OK;
}

static int64_t n_waiting(const rub_replica *s) { return (int64_t)s->waiting.n; }

static int64_t n_outstanding(const rub_replica *s) {
    return (int64_t)(s->waiting.n + s->running.n + s->batch.n);
}

static void totals(const rub_replica *s, rub_serve_totals *into) {
    rub_totals_add(&s->totals, s->blocks_used, into);
}

const rub_replica_kind rub_replica_naive = {create,   destroy,   arrive,        advance,
                                            next_end, n_waiting, n_outstanding, totals};
