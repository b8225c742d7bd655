/* Naive engine: a replica's life: arrivals, starting and completing iterations, time. */
#include "serve/naive.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

rub_status rub_list_insert(rub_list *l, size_t at, rub_request *r) {
    if (rub_array_reserve((void **)&l->item, &l->cap, l->n + 1, sizeof *l->item) != RUB_OK)
        return RUB_NO_MEMORY;
    memmove(l->item + at + 1, l->item + at, (l->n - at) * sizeof *l->item);
    l->item[at] = r;
    l->n++;
    return RUB_OK;
}

rub_status rub_list_append(rub_list *l, rub_request *r) { return rub_list_insert(l, l->n, r); }

rub_request *rub_list_take(rub_list *l, size_t at) {
    rub_request *r = l->item[at];
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

static void clear(rub_list *l) {
    for (size_t i = 0; i < l->n; i++)
        free(l->item[i]);
    free(l->item);
}

static void destroy(rub_replica *s) {
    clear(&s->waiting);
    clear(&s->running);
    clear(&s->parked);
    clear(&s->pulling);
    clear(&s->fetching);
    free(s->host);
    for (size_t k = 0; k < RUB_MAX_PP; k++)
        clear(&s->batch[k]);
    free(s->sent[0].id);
    free(s->sent[1].id);
    free(s->cached);
    free(s);
}

/* The place of a request in the queue: by rank if the run has one; else at the end, or at the head
 * when it comes back. */
rub_status rub_naive_wait(rub_replica *s, rub_request *r, bool again) {
    const int64_t *rank = s->run->rank;
    size_t at = again ? 0 : s->waiting.n;
    if (rank)
        for (at = 0; at < s->waiting.n; at++) {
            int32_t other = s->waiting.item[at]->id;
            if (rank[r->id] < rank[other] || (rank[r->id] == rank[other] && r->id < other))
                break;
        }
    return rub_list_insert(&s->waiting, at, r);
}

static rub_status arrive(rub_replica *s, int32_t id) {
    const rub_trace *t = s->run->trace;
    rub_request *r = RUB_NEW(rub_request, 1);
    if (!r)
        return RUB_NO_MEMORY;
    *r = (rub_request){.id = id,
                       .prefill = t->input_tok[id],
                       .total = (int64_t)t->input_tok[id] + t->output_tok[id],
                       .last_s = NAN};
    s->now_s = fmax(s->now_s, s->run->times->arrival_s[id]);
    s->stuck = false;
    return rub_naive_wait(s, r, false);
}

/* Recompute: everything processed is prefilled again. vLLM keeps an unfinished prefill's length. */
rub_status rub_naive_restart(rub_replica *s, rub_request *r) {
    bool whole = s->run->def->policy == RUB_POLICY_VLLM && !r->prefilled;
    rub_naive_release(s, r);
    r->prefill = whole ? r->prefill : (int32_t)r->done;
    r->done = 0;
    r->prefilled = r->spent = false;
    s->run->times->restarts[r->id]++;
    s->totals.n_restart++;
    return rub_naive_wait(s, r, true);
}

rub_list *rub_naive_forming(rub_replica *s) { return &s->batch[s->n_batch]; }

rub_status rub_naive_schedule(rub_replica *s, rub_request *r, int64_t tokens) {
    double *first = &s->run->times->scheduled_s[r->id];
    if (isnan(*first)) {
        *first = s->now_s;
        s->run->times->cached_tok[r->id] = (int32_t)r->done;
    }
    r->take = tokens;
    return rub_list_append(rub_naive_forming(s), r);
}

rub_status rub_naive_admit(rub_replica *s, size_t at, int64_t tokens, int64_t kv_tok,
                           int64_t shared) {
    rub_request *r = rub_list_take(&s->waiting, at);
    rub_naive_hold(s, r, shared);
    r->done = shared * s->run->trace->hashes.block_tok;
    r->turn = s->n_turn++;
    rub_naive_cover(s, r, kv_tok);
    RUB_TRY(rub_naive_share(s, r, r->done + tokens));
    return rub_naive_schedule(s, r, tokens);
}

int64_t rub_naive_held(const rub_replica *s) {
    size_t n = s->running.n + s->pulling.n + s->fetching.n;
    for (size_t k = 0; k < RUB_MAX_PP; k++)
        n += s->batch[k].n;
    return (int64_t)n;
}

int64_t rub_naive_tokens(const rub_list *batch) {
    int64_t sum = 0;
    for (size_t i = 0; i < batch->n; i++)
        sum += batch->item[i]->take;
    return sum;
}

/* ---- starting ------------------------------------------------------------------------------- */

static rub_batch aggregates(const rub_replica *s, const rub_list *batch, int64_t *prefill_tok) {
    rub_batch b = {0};
    for (size_t i = 0; i < batch->n; i++) {
        const rub_request *r = batch->item[i];
        b.n_tokens += r->prefilled ? rub_decode_tok(s->run->def) : r->take;
        *prefill_tok += r->prefilled ? 0 : r->take;
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

/* Stages are first in first out; each is busy for the batch's duration. */
static double through_stages(rub_replica *s, double duration) {
    double at_s = s->now_s + s->run->def->host_s; /* when it is scheduled */
    s->batch_from_s[s->n_batch] = fmax(at_s, s->stage_free_s[0]);
    for (int32_t p = 0; p < s->run->def->pp; p++)
        s->stage_free_s[p] = at_s = fmax(at_s, s->stage_free_s[p]) + duration;
    return at_s;
}

/* Forms a batch; stuck when there is nothing to do. */
static rub_status form(rub_replica *s) {
    int64_t restarts = s->totals.n_restart;
    RUB_TRY(rub_naive_fetched(s));
    RUB_TRY(rub_naive_form(s));
    /* the only one running sent itself back: admit it now */
    if (rub_naive_forming(s)->n == 0 && s->n_batch == 0 && s->totals.n_restart > restarts)
        RUB_TRY(rub_naive_form(s));
    bool async = s->run->def->async != RUB_ASYNC_NONE;
    s->stuck = rub_naive_forming(s)->n == 0;
    s->held_back = async && s->n_batch > 0 && s->totals.n_restart > restarts;
    if (s->stuck)
        return RUB_OK;
    s->formed_prefill_tok = 0;
    s->formed = aggregates(s, rub_naive_forming(s), &s->formed_prefill_tok);
    s->formed_s = rub_perf_duration(s->run->perf, &s->formed);
    if (s->formed.n_decode > 0 && s->run->def->spec_draft > 0)
        s->formed_s += s->run->def->spec_draft * s->run->def->spec_draft_s;
    return RUB_OK;
}

/* The batch that was formed takes so long. */
static rub_status launch(rub_replica *s, double duration) {
    s->batch_to_s[s->n_batch] = s->batch_end_s[s->n_batch] = through_stages(s, duration);
    s->totals.n_iteration++;
    s->totals.busy_s += duration;
    s->totals.kv_block_s += duration * (double)rub_naive_used(s);
    s->totals.prefill_tok += s->formed_prefill_tok;
    s->totals.decode_tok += s->formed.n_decode;
    if (rub_naive_used(s) > s->totals.kv_most_blocks)
        s->totals.kv_most_blocks = rub_naive_used(s);
    if (s->run->def->async != RUB_ASYNC_NONE) {
        s->host_free_s = s->now_s + s->run->def->host_s;
        if (s->n_batch > 0) /* the scheduler is busy until then, and sees the end only after it */
            s->batch_end_s[0] = fmax(s->batch_end_s[0], s->host_free_s);
        RUB_TRY(rub_naive_commit(s));
    }
    s->n_batch++;
    return RUB_OK;
}

static rub_status start(rub_replica *s) {
    RUB_TRY(form(s));
    return s->stuck ? RUB_OK : launch(s, s->formed_s);
}

static rub_status form_at(rub_replica *s, double at_s, double *duration_s) {
    s->now_s = fmax(s->now_s, at_s);
    RUB_TRY(form(s));
    *duration_s = s->stuck ? 0.0 : s->formed_s;
    return RUB_OK;
}

/* ---- completing ----------------------------------------------------------------------------- */

void rub_naive_token(rub_replica *s, rub_request *r) {
    double *first = &s->run->times->first_token_s[r->id];
    if (isnan(*first))
        *first = s->now_s;
    if (!isnan(r->last_s))
        rub_histogram_add(&s->totals.itl, s->now_s - r->last_s, 1);
    r->last_s = s->now_s;
}

void rub_naive_finish(rub_replica *s, rub_request *r) {
    s->run->times->finish_s[r->id] = s->now_s;
    rub_closed_ended(s->run->closed, s->now_s);
    if (s->run->outbox)
        s->run->outbox->n_finished++;
    rub_naive_release(s, r);
    free(r);
}

/* Its tokens of the batch are processed. */
static void progress(rub_replica *s, rub_request *r) {
    bool decoded = r->prefilled;
    r->done += r->take;
    if (!r->prefilled && r->done == r->prefill) {
        r->prefilled = true;
        r->done++;
        decoded = true;
    }
    if (decoded)
        rub_naive_token(s, r);
    r->over = r->done == r->total;
}

/* vllm keeps the list in order of admission, the others append. */
rub_status rub_naive_enlist(rub_replica *s, rub_request *r) {
    size_t at = s->running.n;
    while (s->run->def->policy == RUB_POLICY_VLLM && at > 0 &&
           s->running.item[at - 1]->turn > r->turn)
        at--;
    return rub_list_insert(&s->running, at, r);
}

static rub_status complete(rub_replica *s) {
    rub_list done = s->batch[0];
    bool all_over = true;
    s->now_s = s->totals.end_s = s->batch_end_s[0];
    s->stuck = s->held_back = false;
    s->n_batch--;
    memmove(s->batch, s->batch + 1, (RUB_MAX_PP - 1) * sizeof *s->batch);
    memmove(s->batch_end_s, s->batch_end_s + 1, (RUB_MAX_PP - 1) * sizeof *s->batch_end_s);
    memmove(s->batch_from_s, s->batch_from_s + 1, (RUB_MAX_PP - 1) * sizeof *s->batch_from_s);
    memmove(s->batch_to_s, s->batch_to_s + 1, (RUB_MAX_PP - 1) * sizeof *s->batch_to_s);
    s->batch[RUB_MAX_PP - 1] = (rub_list){0};
    rub_naive_deliver(s);
    for (size_t i = 0; i < done.n; i++) {
        if (!done.item[i]->over)
            progress(s, done.item[i]);
        done.item[i]->take = 0;
        all_over = all_over && done.item[i]->over;
    }
    rub_status status = RUB_OK;
    for (size_t i = 0; i < done.n; i++) {
        /* static: complete answers wait for the longest of the batch */
        bool ends = s->run->def->policy == RUB_POLICY_STATIC ? all_over : done.item[i]->over;
        if (ends)
            rub_naive_finish(s, done.item[i]);
        else if (status == RUB_OK && s->run->hands_over && done.item[i]->prefilled)
            status = rub_naive_hand_over(s, done.item[i]);
        else if (status == RUB_OK)
            status = rub_naive_enlist(s, done.item[i]);
    }
    free(done.item);
    return status;
}

/* ---- time ----------------------------------------------------------------------------------- */

static bool may_form(const rub_replica *s) {
    return s->n_batch < (size_t)rub_depth(s->run->def) && !s->stuck && !s->held_back;
}

static rub_status fill(rub_replica *s) {
    while (may_form(s) && s->host_free_s <= s->now_s)
        RUB_TRY(start(s));
    return RUB_OK;
}

/* When a batch can be formed that could not be now: the scheduler is free, or a prefix has come. */
static double wake(const rub_replica *s) {
    bool room = s->n_batch < (size_t)rub_depth(s->run->def) && !s->held_back;
    if (room && s->stuck && s->fetching.n > 0)
        return s->fetching.item[0]->ready_s;
    return may_form(s) && s->host_free_s > s->now_s ? s->host_free_s : HUGE_VAL;
}

static double next_event(const rub_replica *s) {
    return fmin(s->n_batch > 0 ? s->batch_end_s[0] : HUGE_VAL, wake(s));
}

static rub_status advance(rub_replica *s, double until_s) {
    for (;;) {
        if (s->now_s < until_s)
            RUB_TRY(fill(s));
        double next_s = next_event(s);
        if (next_s > until_s || isinf(next_s))
            return RUB_OK;
        if (s->n_batch == 0 || next_s < s->batch_end_s[0]) {
            s->now_s = fmax(s->now_s, next_s);
            s->stuck = false;
            continue;
        }
        RUB_TRY(complete(s));
        if (rub_closed_pauses(s->run->closed))
            return RUB_OK;
    }
}

static rub_status next_end(rub_replica *s, double *end_s) {
    RUB_TRY(fill(s));
    *end_s = next_event(s);
    return RUB_OK;
}

static void look_at(const rub_list *l, rub_replica_view *v) {
    for (size_t i = 0; i < l->n; i++) {
        const rub_request *r = l->item[i];
        v->n_decode += r->prefilled;
        v->kv_decode += r->prefilled ? r->done : 0;
        v->prefill_tok += r->prefilled ? 0 : r->prefill - r->done - r->take;
    }
}

static void view(const rub_replica *s, rub_replica_view *out) {
    rub_replica_view v = {.n_waiting = (int64_t)s->waiting.n,
                          .n_outstanding = (int64_t)s->waiting.n + rub_naive_held(s),
                          .used_blocks = rub_naive_used(s),
                          .end_s = s->n_batch > 0 ? s->batch_end_s[0] : 0.0};
    for (size_t i = 0; i < s->waiting.n; i++)
        v.waiting_tok += s->waiting.item[i]->prefill;
    v.prefill_tok = v.waiting_tok;
    look_at(&s->running, &v);
    look_at(&s->fetching, &v);
    for (size_t k = 0; k < s->n_batch; k++)
        look_at(&s->batch[k], &v);
    *out = v;
}

static int64_t cached(const rub_replica *s, int32_t id) {
    int64_t n_idle;
    return rub_naive_match(s, id, s->run->trace->input_tok[id], &n_idle);
}

static void totals(const rub_replica *s, rub_serve_totals *into) {
    rub_totals_add(&s->totals, rub_naive_used(s), into);
}

const rub_replica_kind rub_replica_naive = {.create = create,
                                            .free = destroy,
                                            .arrive = arrive,
                                            .advance = advance,
                                            .next_end = next_end,
                                            .view = view,
                                            .cached = cached,
                                            .totals = totals,
                                            .form = form_at,
                                            .launch = launch,
                                            .complete = complete,
                                            .wake = wake,
                                            .join = rub_naive_join,
                                            .arrived = rub_naive_arrived,
                                            .release = rub_naive_unpark,
                                            .fail = rub_naive_fail};
