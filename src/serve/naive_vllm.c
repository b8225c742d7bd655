/* Naive engine: vLLM's V1 scheduler (docs/serve.md). The running list keeps its order; what is
 * scheduled is marked by its tokens and moved into the batch at the end. */
#include "serve/naive.h"

#include "base/array.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* What is scheduled costs: a prefill its tokens, a decode its own and the drafts. */
static int64_t scheduled_tok(const rub_replica *s, const rub_list *l) {
    int64_t sum = 0;
    for (size_t i = 0; i < l->n; i++)
        sum += l->item[i]->take == 0   ? 0
               : l->item[i]->prefilled ? rub_decode_tok(s->run->def)
                                       : l->item[i]->take;
    return sum;
}

static int64_t budget(const rub_replica *s) {
    return s->run->def->max_batch_tok - scheduled_tok(s, &s->running) -
           scheduled_tok(s, &s->batch[s->n_batch]);
}

static int64_t chunk(const rub_replica *s, int64_t left) {
    int64_t most = s->run->def->long_prefill_tok;
    return least(most > 0 ? least(left, most) : left, budget(s));
}

/* The most recently admitted; by priority the least urgent, the later one among equals. */
static size_t victim(const rub_replica *s) {
    size_t worst = s->running.n - 1;
    for (size_t at = 0; s->run->def->order == RUB_ORDER_PRIORITY && at < s->running.n; at++) {
        int32_t a = s->running.item[at]->id, b = s->running.item[worst]->id;
        int64_t x = s->run->rank[a], y = s->run->rank[b];
        worst = x > y || (x == y && a > b) ? at : worst;
    }
    return worst;
}

/* Gives each running request its tokens; *evicted when one had to go. */
static rub_status run_those_running(rub_replica *s, bool *evicted) {
    for (size_t at = 0; at < s->running.n && budget(s) > 0; at++) {
        rub_request *r = s->running.item[at];
        if (r->spent)
            continue;
        int64_t take = r->prefilled ? rub_decode_gain(s->run, r->id, r->done, r->total)
                                    : chunk(s, r->prefill - r->done);
        int64_t kv_tok = r->prefilled ? r->done : r->done + take;
        int64_t room_tok =
            r->prefilled ? least(r->done + s->run->def->spec_draft, r->total) : kv_tok;
        if (r->prefilled && budget(s) < rub_decode_tok(s->run->def))
            break;
        while (!rub_naive_cover(s, r, room_tok)) {
            size_t out = victim(s);
            rub_request *gone = rub_list_take(&s->running, out);
            gone->take = 0;
            *evicted = true;
            at -= out < at;
            RUB_TRY(rub_naive_restart(s, gone));
            if (gone == r)
                return RUB_OK;
        }
        r->take = take;
        RUB_TRY(rub_naive_share(s, r, kv_tok - r->unseen)); /* tokens in flight have no hash yet */
    }
    return RUB_OK;
}

static rub_status move_to_batch(rub_replica *s) {
    for (size_t at = 0; at < s->running.n;) {
        if (s->running.item[at]->take > 0) {
            rub_request *r = rub_list_take(&s->running, at);
            RUB_TRY(rub_naive_schedule(s, r, r->take));
        } else
            at++;
    }
    return RUB_OK;
}

static int64_t partial_in(const rub_list *l, int64_t longer) {
    int64_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        n += !l->item[i]->prefilled && l->item[i]->done + l->item[i]->take < l->item[i]->prefill &&
             l->item[i]->prefill > longer;
    return n;
}

/* Prompts of more than `longer` tokens that are left unfinished by what is scheduled. */
static int64_t n_partial(rub_replica *s, int64_t longer) {
    int64_t n = partial_in(&s->running, longer) + partial_in(rub_naive_forming(s), longer);
    for (size_t k = 0; k < s->n_batch; k++)
        n += partial_in(&s->batch[k], longer);
    return n;
}

/* Adapters in the batch, and whether id's is one of them or needs none. */
static bool adapter_fits(rub_replica *s, int32_t id) {
    const int32_t *adapter = s->run->trace->adapter;
    const rub_list *batch = rub_naive_forming(s);
    int32_t n = 0;
    for (size_t i = 0; i < batch->n; i++) {
        bool first = adapter[batch->item[i]->id] != 0;
        for (size_t j = 0; j < i; j++)
            first = first && adapter[batch->item[j]->id] != adapter[batch->item[i]->id];
        n += first;
        if (adapter[batch->item[i]->id] == adapter[id])
            return true;
    }
    return adapter[id] == 0 || n < s->run->def->max_loras;
}

/* Batch requests leave a share of seats and blocks free. */
static bool leaves_room(rub_replica *s, const rub_request *r, int64_t fresh) {
    const rub_serve_def *d = s->run->def;
    double f = d->batch_reserve_frac;
    return !rub_is_batch(s->run, r->id) ||
           (rub_naive_held(s) + 1 <= (int64_t)((1.0 - f) * (double)d->max_seqs) &&
            rub_naive_available(s) - fresh >= (int64_t)(f * (double)d->kv_blocks));
}

static rub_status admit(rub_replica *s) {
    const rub_serve_def *d = s->run->def;
    size_t at = 0;
    while (at < s->waiting.n && rub_naive_held(s) < d->max_seqs && budget(s) > 0) {
        rub_request *r = s->waiting.item[at];
        if (r->pull) {
            if (rub_naive_available(s) < rub_blocks(r->prefill, d->block_size_tok))
                break;
            RUB_TRY(rub_naive_admit_pulling(s, at));
            continue;
        }
        int64_t n_idle, shared = rub_naive_match(s, r->id, r->prefill, &n_idle);
        int64_t fetched = rub_naive_match_host(s, r->id, r->prefill, shared);
        int64_t base = (shared + fetched) * s->run->trace->hashes.block_tok;
        int64_t per = d->prefix_cache ? s->run->trace->hashes.block_tok / d->block_size_tok : 0;
        if (fetched > 0) {
            int64_t wanted = d->reserve == RUB_RESERVE_CHUNK ? base : r->prefill;
            int64_t taken = d->reserve == RUB_RESERVE_PROMPT ? r->prefill : base;
            int64_t fresh = rub_blocks(wanted, d->block_size_tok) - shared * per + n_idle * per;
            if (!leaves_room(s, r, fresh)) {
                at++;
                continue;
            }
            if (rub_naive_available(s) < fresh)
                break;
            RUB_TRY(rub_naive_admit_fetching(s, at, taken, shared, fetched));
            continue;
        }
        int64_t kv_tok = base + chunk(s, r->prefill - base);
        bool partial = kv_tok < r->prefill;
        if (d->max_loras > 0 && !adapter_fits(s, r->id)) {
            at++;
            continue;
        }
        if (d->max_long_partial > 0 && r->prefill > d->long_prefill_tok &&
            n_partial(s, d->long_prefill_tok) >= d->max_long_partial) {
            at++;
            continue;
        }
        if (partial &&
            (d->whole_prefill || (d->max_partial > 0 && n_partial(s, 0) >= d->max_partial)))
            break;
        int64_t taken = d->reserve == RUB_RESERVE_PROMPT ? r->prefill : kv_tok;
        int64_t wanted = d->reserve == RUB_RESERVE_CHUNK ? kv_tok : r->prefill;
        int64_t fresh = rub_blocks(wanted, d->block_size_tok) - shared * per;
        if (!leaves_room(s, r, fresh + n_idle * per)) {
            at++;
            continue;
        }
        if (rub_naive_available(s) - n_idle * per < fresh)
            break;
        RUB_TRY(rub_naive_admit(s, at, kv_tok - base, taken, shared));
    }
    return RUB_OK;
}

rub_status rub_naive_form_vllm(rub_replica *s) {
    bool evicted = false;
    RUB_TRY(run_those_running(s, &evicted));
    RUB_TRY(move_to_batch(s));
    return evicted ? RUB_OK : admit(s);
}
