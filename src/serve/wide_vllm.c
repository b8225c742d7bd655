/* Fast engine of every feature: vLLM's V1 scheduler. Running requests in order of admission, then
 * waiting ones, while the token budget lasts (docs/serve.md). */
#include "serve/wide.h"

#include "base/array.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Tokens of a prefill that has `left` to go, in an iteration that has `budget` left. */
static int64_t chunk(const rub_serve_def *d, int64_t left, int64_t budget) {
    int64_t most = d->long_prefill_tok > 0 ? least(left, d->long_prefill_tok) : left;
    return least(most, budget);
}

/* Who is sent back when list[at] lacks a block: the last; by priority the least urgent, even where
 * it already is in this batch. */
static int32_t victim(const rub_replica *s) {
    int32_t worst = s->n_list - 1;
    if (s->run->def->order != RUB_ORDER_PRIORITY)
        return worst;
    for (int32_t at = s->n_list - 2; at >= 0; at--) {
        int32_t a = s->seat[s->list[at]].id, b = s->seat[s->list[worst]].id;
        int64_t x = s->run->rank[a], y = s->run->rank[b];
        if (x > y || (x == y && a > b))
            worst = at;
    }
    return worst;
}

static void unschedule(rub_replica *s, int32_t i) {
    rub_flight *f = rub_wide_forming(s);
    int32_t b = 0;
    while (f->seat[b] != i)
        b++;
    for (f->n--; b < f->n; b++)
        f->seat[b] = f->seat[b + 1];
}

/* What a scheduled request takes of the budget. */
static int64_t cost(const rub_replica *s, const rub_seat *r) {
    return r->prefilled ? rub_decode_tok(s->run->def) : r->take;
}

typedef struct forming {
    int64_t budget;
    bool evicted;
} forming;

/* Blocks for list[*at] to hold kv_tok; others are sent back for it. False when it was sent back
 * itself; *at follows when requests before it leave. */
static rub_status make_room(rub_replica *s, int32_t *at, int64_t kv_tok, forming *x, bool *stays) {
    int32_t self = s->list[*at];
    *stays = true;
    while (!rub_wide_cover(s, &s->seat[self], kv_tok)) {
        int32_t out = victim(s), i = s->list[out];
        x->evicted = true;
        if (s->seat[i].take > 0) {
            x->budget += cost(s, &s->seat[i]);
            unschedule(s, i);
        }
        *at -= out < *at;
        *stays = i != self;
        RUB_TRY(rub_wide_send_back(s, out));
        if (!*stays)
            break;
    }
    return RUB_OK;
}

static rub_status run_those_running(rub_replica *s, forming *x) {
    const rub_serve_def *d = s->run->def;
    for (int32_t at = 0; at < s->n_list && x->budget > 0; at++) {
        int32_t i = s->list[at];
        const rub_seat *r = &s->seat[i];
        if (r->spent)
            continue;
        int64_t take = r->prefilled ? rub_decode_gain(s->run, r->id, r->done, r->total)
                                    : chunk(d, r->prefill - r->done, x->budget);
        int64_t kv_tok = r->prefilled ? r->done : r->done + take;
        int64_t room_tok = r->prefilled ? least(r->done + d->spec_draft, r->total) : kv_tok;
        bool stays;
        if (r->prefilled && x->budget < rub_decode_tok(d))
            break;
        RUB_TRY(make_room(s, &at, room_tok, x, &stays));
        if (!stays)
            break;
        rub_wide_schedule(s, at, take);
        rub_wide_share(s, &s->seat[i], kv_tok - r->unseen); /* a token in flight has no hash yet */
        x->budget -= cost(s, &s->seat[i]);
    }
    return RUB_OK;
}

/* ---- admission ------------------------------------------------------------------------------- */

/* Prefills of requests that hold blocks which this iteration leaves unfinished; over `longer` tokens
 * only. */
static int64_t n_partial(const rub_replica *s, int64_t longer) {
    int64_t n = 0;
    for (int32_t at = 0; at < s->n_list; at++) {
        const rub_seat *r = &s->seat[s->list[at]];
        n += !r->prefilled && r->done + r->take < r->prefill && r->prefill > longer;
    }
    int32_t first = rub_wide_is_async(s) ? s->n_flight : 0; /* those in flight stand in the list */
    for (int32_t k = first; k <= s->n_flight && k < s->depth; k++) {
        const rub_flight *f = &s->flight[(s->first_flight + k) % s->depth];
        for (int32_t b = 0; b < f->n; b++) {
            const rub_seat *r = &s->seat[f->seat[b]];
            n += !r->prefilled && r->done + r->take < r->prefill && r->prefill > longer;
        }
    }
    return n;
}

static int32_t adapter_of(const rub_replica *s, int32_t id) { return s->run->trace->adapter[id]; }

/* Whether request id's adapter is in the iteration, or may join those that are. */
static bool adapter_fits(const rub_replica *s, int32_t id) {
    int32_t mine = adapter_of(s, id), n = 0;
    const rub_flight *f = &s->flight[(s->first_flight + s->n_flight) % s->depth];
    for (int32_t b = 0; b < f->n; b++) {
        int32_t other = adapter_of(s, s->seat[f->seat[b]].id), c = 0;
        if (other == mine)
            return true;
        while (c < b && adapter_of(s, s->seat[f->seat[c]].id) != other)
            c++;
        n += other != 0 && c == b; /* seen for the first time */
    }
    return mine == 0 || n < s->run->def->max_loras;
}

typedef enum verdict { ADMITTED, PASSED_OVER, STOP, OUT_OF_MEMORY } verdict;

/* Whether a request that wants so many blocks leaves others the share that batch must leave. */
static bool leaves_room(const rub_replica *s, int32_t id, int64_t fresh) {
    const rub_serve_def *d = s->run->def;
    if (!rub_is_batch(s->run, id))
        return true;
    int64_t seats = (int64_t)((1.0 - d->batch_reserve_frac) * (double)d->max_seqs);
    int64_t kept = (int64_t)(d->batch_reserve_frac * (double)d->kv_blocks);
    return s->n_held < seats && rub_wide_fits(s, fresh, kept);
}

/* Its KV comes over a link: blocks and a seat are enough, it takes no tokens now. */
static verdict admit_pulling(rub_replica *s, int64_t prefill) {
    if (!rub_wide_fits(s, rub_blocks(prefill, s->run->def->block_size_tok), 0))
        return STOP;
    return rub_wide_admit_pulling(s) == RUB_OK ? ADMITTED : OUT_OF_MEMORY;
}

/* A part of its prefix comes from host memory: it takes no tokens now, and runs when that is there. */
static verdict admit_fetching(rub_replica *s, const rub_waiter *w, int64_t shared, int64_t n_idle,
                              int64_t fetched) {
    const rub_serve_def *d = s->run->def;
    int64_t base = (shared + fetched) * s->run->trace->hashes.block_tok;
    int64_t taken = d->reserve == RUB_RESERVE_PROMPT ? w->prefill : base;
    int64_t wanted = d->reserve == RUB_RESERVE_CHUNK ? base : w->prefill;
    int64_t held = (shared - n_idle) * s->cache_blocks;
    if (!leaves_room(s, w->id, rub_blocks(wanted, d->block_size_tok) - held))
        return PASSED_OVER;
    if (!rub_wide_fits(s, rub_blocks(wanted, d->block_size_tok) - held, 0))
        return STOP;
    rub_wide_admit_fetching(s, taken, shared, fetched);
    return ADMITTED;
}

static verdict admit_head(rub_replica *s, forming *x) {
    const rub_serve_def *d = s->run->def;
    const rub_waiter w = *rub_queue_first(&s->waiting);
    if (w.pull)
        return admit_pulling(s, w.prefill);
    int64_t n_idle, shared = rub_wide_match(s, w.id, w.prefill, &n_idle);
    int64_t base = shared > 0 ? shared * s->run->trace->hashes.block_tok : 0;
    int64_t fetched = s->host.cap > 0 ? rub_wide_match_host(s, w.id, w.prefill, shared) : 0;
    if (fetched > 0)
        return admit_fetching(s, &w, shared, n_idle, fetched);
    int64_t take = chunk(d, w.prefill - base, x->budget);
    bool partial = base + take < w.prefill;
    if (d->max_loras > 0 && !adapter_fits(s, w.id))
        return PASSED_OVER;
    if (d->max_long_partial > 0 && w.prefill > d->long_prefill_tok &&
        n_partial(s, d->long_prefill_tok) >= d->max_long_partial)
        return PASSED_OVER;
    if (d->whole_prefill && partial)
        return STOP;
    if (d->max_partial > 0 && partial && n_partial(s, 0) >= d->max_partial)
        return STOP;
    int64_t taken = d->reserve == RUB_RESERVE_PROMPT ? w.prefill : base + take;
    int64_t wanted = d->reserve == RUB_RESERVE_CHUNK ? base + take : w.prefill;
    int64_t held = (shared - n_idle) * s->cache_blocks; /* by others too: they cost nothing */
    if (!leaves_room(s, w.id, rub_blocks(wanted, d->block_size_tok) - held))
        return PASSED_OVER;
    if (!rub_wide_fits(s, rub_blocks(wanted, d->block_size_tok) - held, 0))
        return STOP;
    rub_wide_admit(s, take, taken, shared);
    x->budget -= take;
    return ADMITTED;
}

/* Those passed over go back to where they were. */
static rub_status put_back(rub_replica *s) {
    while (s->n_passed > 0)
        RUB_TRY(rub_queue_push_front(&s->waiting, s->passed[--s->n_passed]));
    return RUB_OK;
}

static rub_status admit(rub_replica *s, forming *x) {
    while (rub_queue_n(&s->waiting) > 0 && s->n_held < s->run->def->max_seqs && x->budget > 0) {
        verdict v = admit_head(s, x);
        if (v == OUT_OF_MEMORY)
            return RUB_NO_MEMORY;
        if (v == STOP)
            break;
        if (v == PASSED_OVER)
            RUB_TRY(
                RUB_ARRAY_PUSH(s->passed, s->n_passed, s->passed_cap, rub_queue_pop(&s->waiting)));
    }
    return put_back(s);
}

rub_status rub_wide_form_vllm(rub_replica *s) {
    forming x = {.budget = s->run->def->max_batch_tok};
    RUB_TRY(run_those_running(s, &x));
    rub_wide_leave_list(s);
    return x.evicted ? RUB_OK : admit(s, &x);
}
