/* Fast engine of every feature: a replica's life, its list, completions, time. */
#include "serve/wide.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void destroy(rub_replica *s) {
    if (!s)
        return;
    rub_queue_clear(&s->waiting);
    rub_cache_clear(&s->cache);
    rub_cache_clear(&s->host);
    free(s->fetching);
    for (int32_t f = 0; f < RUB_MAX_PP; f++) {
        free(s->flight[f].seat);
        free(s->flight[f].id);
    }
    free(s->seat);
    free(s->free_seat);
    free(s->list);
    free(s->growth);
    free(s->passed);
    free(s->parked);
    free(s);
}

bool rub_wide_init_cache(rub_replica *s) {
    s->caching = s->run->def->prefix_cache;
    if (!s->caching)
        return true;
    s->cache_blocks = s->run->trace->hashes.block_tok / s->run->def->block_size_tok;
    return rub_cache_init(&s->cache, s->run->def->kv_blocks / s->cache_blocks + 1) == RUB_OK;
}

static rub_replica *create(const rub_run *run) {
    rub_replica *s = RUB_NEW(rub_replica, 1);
    int32_t n = run->def->max_seqs;
    if (!s)
        return NULL;
    s->run = run;
    s->waiting.rank = run->rank;
    s->seat = RUB_NEW(rub_seat, n);
    s->free_seat = RUB_NEW(int32_t, n);
    s->list = RUB_NEW(int32_t, n);
    s->growth = RUB_NEW(int64_t, run->def->block_size_tok);
    bool ok = s->seat && s->free_seat && s->list && s->growth && rub_wide_init_cache(s) &&
              rub_wide_init_host(s);
    s->depth = rub_depth(run->def);
    for (int32_t f = 0; f < s->depth; f++) {
        ok = (s->flight[f].seat = RUB_NEW(int32_t, n)) && ok;
        ok = (!rub_wide_is_async(s) || (s->flight[f].id = RUB_NEW(int32_t, n))) && ok;
    }
    if (!ok) {
        destroy(s);
        return NULL;
    }
    s->free_blocks = run->def->kv_blocks;
    for (int32_t i = 0; i < n; i++)
        s->free_seat[i] = n - 1 - i;
    s->n_free_seat = n;
    return s;
}

static rub_status arrive(rub_replica *s, int32_t id) {
    double at_s = s->run->times->arrival_s[id];
    s->now_s = s->now_s < at_s ? at_s : s->now_s;
    s->stuck = false;
    return rub_queue_push(
        &s->waiting,
        (rub_waiter){.id = id, .prefill = s->run->trace->input_tok[id], .last_s = NAN});
}

/* ---- the running list ------------------------------------------------------------------------ */

bool rub_wide_fits(const rub_replica *s, int64_t blocks, int64_t kept) {
    return rub_wide_available(s) - blocks >= kept;
}

static void join(rub_replica *s, int32_t i, int64_t take) {
    rub_flight *f = rub_wide_forming(s);
    s->seat[i].take = take;
    f->seat[f->n++] = i;
}

int32_t rub_wide_seat(rub_replica *s, int64_t kv_tok, int64_t shared) {
    rub_waiter w = rub_queue_pop(&s->waiting);
    const rub_trace *t = s->run->trace;
    int32_t i = s->free_seat[--s->n_free_seat];
    rub_seat *seat = &s->seat[i];
    *seat = (rub_seat){.id = w.id,
                       .prefill = w.prefill,
                       .total = (int64_t)t->input_tok[w.id] + t->output_tok[w.id],
                       .turn = s->n_turn++,
                       .last_s = w.last_s};
    for (; seat->shared < shared; seat->shared++)
        rub_cache_hold(&s->cache, t->hashes.hash[t->hashes.at[w.id] + (size_t)seat->shared]);
    seat->done = shared > 0 ? shared * t->hashes.block_tok : 0;
    rub_wide_cover(s, seat, kv_tok);
    s->n_held++;
    return i;
}

static void note_schedule(rub_replica *s, const rub_seat *seat) {
    double *scheduled = &s->run->times->scheduled_s[seat->id];
    if (isnan(*scheduled)) {
        *scheduled = s->now_s;
        s->run->times->cached_tok[seat->id] = (int32_t)seat->done;
    }
}

void rub_wide_admit(rub_replica *s, int64_t take, int64_t kv_tok, int64_t shared) {
    int32_t i = rub_wide_seat(s, kv_tok, shared);
    rub_wide_share(s, &s->seat[i], s->seat[i].done + take);
    note_schedule(s, &s->seat[i]);
    join(s, i, take);
}

void rub_wide_admit_fetching(rub_replica *s, int64_t kv_tok, int64_t shared, int64_t fetched) {
    const rub_serve_def *d = s->run->def;
    int64_t tok = fetched * s->run->trace->hashes.block_tok;
    rub_wide_touch_host(s, rub_queue_first(&s->waiting)->id, shared, fetched);
    int32_t i = rub_wide_seat(s, kv_tok, shared);
    rub_seat *seat = &s->seat[i];
    seat->done += tok;
    note_schedule(s, seat);
    double from_s = s->now_s > s->fetch_free_s ? s->now_s : s->fetch_free_s;
    seat->ready_s = s->fetch_free_s = from_s + (double)tok / d->offload_tok_per_s;
    s->fetching[s->n_fetching++] = i;
    s->totals.fetched_tok += tok;
}

void rub_wide_leave_list(rub_replica *s) {
    int32_t n = 0;
    for (int32_t at = 0; at < s->n_list; at++)
        if (s->seat[s->list[at]].take == 0)
            s->list[n++] = s->list[at];
    s->n_list = n;
}

void rub_wide_drop_seat(rub_replica *s, int32_t i) {
    rub_wide_release(s, &s->seat[i]);
    s->seat[i].id = -1;
    s->free_seat[s->n_free_seat++] = i;
    s->n_held--;
}

rub_status rub_wide_send_back(rub_replica *s, int32_t at) {
    int32_t i = s->list[at];
    rub_seat *seat = &s->seat[i];
    bool whole = s->run->def->policy == RUB_POLICY_VLLM && !seat->prefilled;
    rub_waiter w = {.id = seat->id,
                    .prefill = whole ? seat->prefill : (int32_t)seat->done,
                    .last_s = seat->last_s,
                    .unseen = seat->unseen > 0};
    memmove(s->list + at, s->list + at + 1, (size_t)(s->n_list - at - 1) * sizeof *s->list);
    s->n_list--;
    s->run->times->restarts[w.id]++;
    s->totals.n_restart++;
    rub_wide_drop_seat(s, i);
    return rub_queue_push_front(&s->waiting, w);
}

/* ---- completing a batch ---------------------------------------------------------------------- */

/* Most requests of a batch had their last token at one time: their gaps are counted together. */
static void flush_gaps(rub_replica *s) {
    if (s->n_gap > 0)
        rub_histogram_add(&s->totals.itl, s->now_s - s->gap_from_s, s->n_gap);
    s->n_gap = 0;
}

void rub_wide_token(rub_replica *s, int32_t id, double *last_s) {
    if (isnan(*last_s)) {
        double *first = &s->run->times->first_token_s[id];
        if (isnan(*first))
            *first = s->now_s;
    } else {
        if (*last_s != s->gap_from_s)
            flush_gaps(s);
        s->gap_from_s = *last_s;
        s->n_gap++;
    }
    *last_s = s->now_s;
}

void rub_wide_ends(rub_replica *s, int32_t id) {
    s->run->times->finish_s[id] = s->now_s;
    rub_closed_ended(s->run->closed, s->now_s);
    if (s->run->outbox)
        s->run->outbox->n_finished++;
}

static void finish(rub_replica *s, int32_t i) {
    rub_wide_ends(s, s->seat[i].id);
    rub_wide_drop_seat(s, i);
}

/* The batch has been processed: true when the request's answer is complete. */
static bool progress(rub_replica *s, rub_seat *seat) {
    bool decoded = seat->prefilled;
    seat->done += seat->take;
    seat->take = 0;
    if (!seat->prefilled && seat->done == seat->prefill) {
        seat->prefilled = decoded = true;
        seat->done++;
    }
    if (decoded)
        rub_wide_token(s, seat->id, &seat->last_s);
    return seat->done == seat->total;
}

/* Back into the list: in order of admission for vllm, whose list never changes order; at its end
 * for the others. */
void rub_wide_enlist(rub_replica *s, int32_t i) {
    int32_t at = s->n_list++;
    if (s->run->def->policy == RUB_POLICY_VLLM)
        for (; at > 0 && s->seat[s->list[at - 1]].turn > s->seat[i].turn; at--)
            s->list[at] = s->list[at - 1];
    s->list[at] = i;
}

/* static: the batch stays together until its longest answer is complete. */
static void complete_static(rub_replica *s, rub_flight *f) {
    bool all_over = true;
    for (int32_t b = 0; b < f->n; b++) {
        rub_seat *seat = &s->seat[f->seat[b]];
        if (seat->over)
            seat->take = 0;
        else
            seat->over = progress(s, seat);
        all_over = all_over && seat->over;
    }
    for (int32_t b = 0; b < f->n; b++)
        if (all_over)
            finish(s, f->seat[b]);
        else
            rub_wide_enlist(s, f->seat[b]);
}

static rub_status complete(rub_replica *s) {
    rub_flight *f = &s->flight[s->first_flight];
    s->now_s = f->end_s;
    s->totals.end_s = s->now_s;
    s->stuck = s->held_back = false;
    if (rub_wide_is_async(s))
        rub_wide_deliver(s, f);
    else if (s->run->def->policy == RUB_POLICY_STATIC)
        complete_static(s, f);
    else
        for (int32_t b = 0; b < f->n; b++) {
            if (progress(s, &s->seat[f->seat[b]]))
                finish(s, f->seat[b]);
            else if (s->run->hands_over && s->seat[f->seat[b]].prefilled)
                RUB_TRY(rub_wide_hand_over(s, f->seat[b]));
            else
                rub_wide_enlist(s, f->seat[b]);
        }
    flush_gaps(s);
    f->n = 0;
    s->first_flight = s->first_flight + 1 == s->depth ? 0 : s->first_flight + 1;
    s->n_flight--;
    return RUB_OK;
}

/* ---- starting one ---------------------------------------------------------------------------- */

static rub_batch aggregates(const rub_replica *s, const rub_flight *f, int64_t *prefill_tok) {
    rub_batch b = {0};
    const int64_t decode_tok = rub_decode_tok(s->run->def);
    for (int32_t k = 0; k < f->n; k++) {
        const rub_seat *r = &s->seat[f->seat[k]];
        if (r->prefilled) {
            b.n_tokens += decode_tok;
            b.n_decode++;
            b.kv_decode += r->done;
        } else {
            b.n_tokens += r->take;
            *prefill_tok += r->take;
            b.n_prefill++;
            b.prefill_work2 += r->take * (2 * r->done + r->take);
            b.prefill_kv += r->done;
        }
    }
    return b;
}

static void book(rub_replica *s, const rub_batch *b, int64_t prefill_tok, double duration) {
    int64_t used = s->run->def->kv_blocks - rub_wide_available(s);
    s->totals.n_iteration++;
    s->totals.busy_s += duration;
    s->totals.kv_block_s += duration * (double)used;
    s->totals.prefill_tok += prefill_tok;
    s->totals.decode_tok += b->n_decode;
    if (used > s->totals.kv_most_blocks)
        s->totals.kv_most_blocks = used;
}

/* A batch enters the first stage after the scheduler's time or when it is free. */
static void through_stages(rub_replica *s, rub_flight *f, double duration) {
    double at_s = s->now_s + s->run->def->host_s;
    f->from_s = at_s > s->stage_free_s[0] ? at_s : s->stage_free_s[0];
    for (int32_t p = 0; p < s->run->def->pp; p++) {
        at_s = (at_s > s->stage_free_s[p] ? at_s : s->stage_free_s[p]) + duration;
        s->stage_free_s[p] = at_s;
    }
    f->to_s = f->end_s = at_s;
}

/* The scheduler works on the batch to come, and sees what has ended meanwhile when it is done. */
static void keep_host_busy(rub_replica *s) {
    rub_flight *running = &s->flight[s->first_flight];
    s->host_free_s = s->now_s + s->run->def->host_s;
    if (s->n_flight > 0 && running->end_s < s->host_free_s)
        running->end_s = s->host_free_s;
    rub_wide_commit(s);
}

/* Forms a batch; stuck when there is nothing to do. */
static rub_status form(rub_replica *s) {
    rub_flight *f = rub_wide_forming(s);
    rub_wide_fetched(s);
    int64_t before = s->totals.n_restart;
    RUB_TRY(rub_wide_form(s));
    /* the only one running sent itself back: admit it now */
    if (f->n == 0 && s->n_flight == 0 && s->totals.n_restart > before)
        RUB_TRY(rub_wide_form(s));
    s->stuck = f->n == 0;
    s->held_back = rub_wide_is_async(s) && s->n_flight > 0 && s->totals.n_restart > before;
    if (s->stuck)
        return RUB_OK;
    s->formed_prefill_tok = 0;
    s->formed = aggregates(s, f, &s->formed_prefill_tok);
    s->formed_s = rub_perf_duration(s->run->perf, &s->formed);
    if (s->formed.n_decode > 0 && s->run->def->spec_draft > 0)
        s->formed_s += s->run->def->spec_draft * s->run->def->spec_draft_s;
    return RUB_OK;
}

/* The batch that was formed takes so long. */
static rub_status launch(rub_replica *s, double duration) {
    through_stages(s, rub_wide_forming(s), duration);
    book(s, &s->formed, s->formed_prefill_tok, duration);
    if (rub_wide_is_async(s))
        keep_host_busy(s);
    s->n_flight++;
    return RUB_OK;
}

static rub_status start(rub_replica *s) {
    RUB_TRY(form(s));
    return s->stuck ? RUB_OK : launch(s, s->formed_s);
}

static rub_status form_at(rub_replica *s, double at_s, double *duration_s) {
    s->now_s = s->now_s < at_s ? at_s : s->now_s;
    RUB_TRY(form(s));
    *duration_s = s->stuck ? 0.0 : s->formed_s;
    return RUB_OK;
}

/* Whether a batch could be formed now or as soon as the scheduler is free. */
static bool may_form(const rub_replica *s) {
    return s->n_flight < s->depth && !s->stuck && !s->held_back;
}

/* Forms batches at now_s while stages and the scheduler are free. */
static rub_status fill(rub_replica *s) {
    while (may_form(s) && s->host_free_s <= s->now_s)
        RUB_TRY(start(s));
    return RUB_OK;
}

/* When a batch can be formed that could not be now; HUGE_VAL: only when something happens. */
static double wake(const rub_replica *s) {
    if (may_form(s))
        return s->host_free_s > s->now_s ? s->host_free_s : HUGE_VAL;
    return s->stuck && s->n_flight < s->depth && !s->held_back ? rub_wide_ready_s(s) : HUGE_VAL;
}

static double end_of_flight(const rub_replica *s) {
    return s->n_flight > 0 ? s->flight[s->first_flight].end_s : HUGE_VAL;
}

static rub_status advance(rub_replica *s, double until_s) {
    for (;;) {
        if (s->now_s < until_s) {
            if (s->n_flight == 0 && !s->stuck)
                rub_wide_stretch(s, fmin(until_s, rub_wide_ready_s(s)));
            if (s->now_s < until_s)
                RUB_TRY(fill(s));
        }
        double end_s = end_of_flight(s);
        double wake_s = wake(s);
        if (wake_s < end_s && wake_s <= until_s) {
            s->now_s = wake_s > s->now_s ? wake_s : s->now_s;
            s->stuck = false;
            continue;
        }
        if (end_s > until_s || s->n_flight == 0)
            return RUB_OK;
        RUB_TRY(complete(s));
        if (rub_closed_pauses(s->run->closed))
            return RUB_OK;
    }
}

static rub_status next_end(rub_replica *s, double *end_s) {
    RUB_TRY(fill(s));
    *end_s = fmin(end_of_flight(s), wake(s));
    return RUB_OK;
}

/* ---- what others see ------------------------------------------------------------------------- */

static double due(const rub_replica *s) {
    double end_s = end_of_flight(s);
    if (!may_form(s))
        return fmin(end_s, wake(s));
    double form_s = s->host_free_s > s->now_s ? s->host_free_s : nextafter(s->now_s, HUGE_VAL);
    return form_s < end_s ? form_s : end_s;
}

static void look_at(const rub_seat *r, rub_replica_view *v) {
    if (r->prefilled) {
        v->n_decode++;
        v->kv_decode += r->done;
    } else
        v->prefill_tok += r->prefill - r->done - r->take;
}

static void view(const rub_replica *s, rub_replica_view *out) {
    rub_replica_view v = {.n_waiting = rub_queue_n(&s->waiting),
                          .n_outstanding = rub_queue_n(&s->waiting) + s->n_held,
                          .waiting_tok = s->waiting.tok,
                          .prefill_tok = s->waiting.tok,
                          .used_blocks = s->run->def->kv_blocks - rub_wide_available(s)};
    for (int32_t at = 0; at < s->n_list; at++)
        look_at(&s->seat[s->list[at]], &v);
    for (int32_t k = 0; k < s->n_flight && !rub_wide_is_async(s); k++) {
        const rub_flight *f = &s->flight[(s->first_flight + k) % s->depth];
        for (int32_t b = 0; b < f->n; b++)
            look_at(&s->seat[f->seat[b]], &v);
    }
    for (int32_t k = 0; k < s->n_fetching; k++)
        look_at(&s->seat[s->fetching[k]], &v);
    if (s->n_flight > 0)
        v.end_s = s->flight[s->first_flight].end_s;
    *out = v;
}

static int64_t cached(const rub_replica *s, int32_t id) {
    int64_t n_idle;
    return rub_wide_match(s, id, s->run->trace->input_tok[id], &n_idle);
}

static void totals(const rub_replica *s, rub_serve_totals *into) {
    rub_totals_add(&s->totals, s->run->def->kv_blocks - rub_wide_available(s), into);
}

const rub_replica_kind rub_replica_wide = {.create = create,
                                           .free = destroy,
                                           .arrive = arrive,
                                           .advance = advance,
                                           .next_end = next_end,
                                           .due = due,
                                           .view = view,
                                           .cached = cached,
                                           .totals = totals,
                                           .form = form_at,
                                           .launch = launch,
                                           .complete = complete,
                                           .wake = wake,
                                           .join = rub_wide_join,
                                           .arrived = rub_wide_arrived,
                                           .release = rub_wide_unpark,
                                           .fail = rub_wide_fail};
