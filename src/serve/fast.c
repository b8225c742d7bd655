/* Fast engine: a replica's time: start, complete, and the tight loop of decode-only iterations. */
#include "serve/fast.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void destroy(rub_replica *s) {
    if (!s)
        return;
    rub_waiting_clear(&s->waiting);
    free(s->slot);
    free(s->free_slot);
    free(s->growth);
    free(s->calendar);
    free(s->ending);
    free(s->fresh);
    free(s);
}

static rub_replica *create(const rub_run *run) {
    rub_replica *s = RUB_NEW(rub_replica, 1);
    int32_t n = run->def->max_seqs;
    if (!s)
        return NULL;
    s->run = run;
    s->slot = RUB_NEW(rub_slot, n);
    s->free_slot = RUB_NEW(int32_t, n);
    s->growth = RUB_NEW(int64_t, run->def->block_size_tok);
    s->calendar = RUB_NEW(int32_t, RUB_CALENDAR);
    s->ending = RUB_NEW(int32_t, n);
    if (!s->slot || !s->free_slot || !s->growth || !s->calendar || !s->ending) {
        destroy(s);
        return NULL;
    }
    s->free_blocks = run->def->kv_blocks;
    s->first = s->last = s->cur = -1;
    for (int32_t i = 0; i < n; i++)
        s->free_slot[i] = n - 1 - i;
    s->n_free_slot = n;
    memset(s->calendar, 0xff, RUB_CALENDAR * sizeof *s->calendar);
    return s;
}

static rub_status arrive(rub_replica *s, int32_t id) {
    const rub_trace *t = s->run->trace;
    if (!s->busy && s->now_s < s->run->times->arrival_s[id])
        s->now_s = s->run->times->arrival_s[id];
    return rub_waiting_push(&s->waiting, (rub_waiter){id, t->input_tok[id], NAN});
}

/* ---- the running list, sums and calendar ---------------------------------------------------- */

int32_t rub_fast_admit(rub_replica *s) {
    rub_waiter w = *rub_waiting_first(&s->waiting);
    rub_waiting_pop(&s->waiting);
    int32_t i = s->free_slot[--s->n_free_slot];
    s->slot[i] = (rub_slot){
        .id = w.id, .prefill = w.prefill, .last_s = w.last_s, .before = s->last, .after = -1};
    if (s->last >= 0)
        s->slot[s->last].after = i;
    else
        s->first = i;
    s->last = i;
    s->n_running++;
    s->free_blocks -= rub_blocks(w.prefill, s->run->def->block_size_tok);
    double *scheduled = &s->run->times->scheduled_s[w.id];
    if (isnan(*scheduled))
        *scheduled = s->now_s;
    return i;
}

void rub_fast_unlink(rub_replica *s, int32_t i) {
    rub_slot *slot = &s->slot[i];
    if (slot->before >= 0)
        s->slot[slot->before].after = slot->after;
    else
        s->first = slot->after;
    if (slot->after >= 0)
        s->slot[slot->after].before = slot->before;
    else
        s->last = slot->before;
    s->free_slot[s->n_free_slot++] = i;
    s->n_running--;
}

/* k mod block size at which a request takes its next block. */
static int64_t residue(const rub_replica *s, const rub_slot *slot) {
    int64_t r = (1 - slot->base) % s->run->def->block_size_tok;
    return r < 0 ? r + s->run->def->block_size_tok : r;
}

static void join_decodes(rub_replica *s, int32_t i, int64_t remaining) {
    rub_slot *slot = &s->slot[i];
    int64_t processed = (int64_t)slot->prefill + 1;
    slot->base = processed - s->k;
    slot->last_k = s->k + remaining - 1;
    s->n_decode++;
    s->kv_decode += processed;
    s->growth[residue(s, slot)]++;
    int32_t *bucket = &s->calendar[slot->last_k & (RUB_CALENDAR - 1)];
    slot->cal_before = -1;
    slot->cal_after = *bucket;
    if (*bucket >= 0)
        s->slot[*bucket].cal_before = i;
    *bucket = i;
}

void rub_fast_leave_decodes(rub_replica *s, int32_t i) {
    rub_slot *slot = &s->slot[i];
    s->n_decode--;
    s->kv_decode -= slot->base + s->k;
    s->growth[residue(s, slot)]--;
    if (slot->cal_before >= 0)
        s->slot[slot->cal_before].cal_after = slot->cal_after;
    else
        s->calendar[slot->last_k & (RUB_CALENDAR - 1)] = slot->cal_after;
    if (slot->cal_after >= 0)
        s->slot[slot->cal_after].cal_before = slot->cal_before;
}

/* ---- completing an iteration ---------------------------------------------------------------- */

static int64_t total_tok(const rub_replica *s, const rub_slot *slot) {
    const rub_trace *t = s->run->trace;
    return (int64_t)t->input_tok[slot->id] + t->output_tok[slot->id];
}

static void finish(rub_replica *s, int32_t i, int64_t blocks) {
    s->run->times->finish_s[s->slot[i].id] = s->now_s;
    rub_closed_ended(s->run->closed, s->now_s);
    s->free_blocks += blocks;
    rub_fast_unlink(s, i);
}

/* Completions of decode iteration k (already counted up). */
static void finish_decodes(rub_replica *s) {
    int64_t ended = s->k - 1;
    for (int32_t i = s->calendar[ended & (RUB_CALENDAR - 1)], after; i >= 0; i = after) {
        rub_slot *slot = &s->slot[i];
        after = slot->cal_after;
        if (slot->last_k != ended)
            continue; /* a later round of the ring */
        int64_t total = total_tok(s, slot);
        rub_fast_leave_decodes(s, i);
        finish(s, i, rub_blocks(total - 1, s->run->def->block_size_tok));
    }
}

/* Times between tokens: with vllm and sarathi every decode's last token came at the iteration's
 * start; with v0 prefill-only iterations may lie between. */
static void count_gaps(rub_replica *s, double started_s) {
    if (s->run->def->policy != RUB_POLICY_VLLM_V0) {
        rub_histogram_add(&s->totals.itl, s->now_s - started_s, (uint64_t)s->n_decode);
        return;
    }
    if (s->n_old > 0)
        rub_histogram_add(&s->totals.itl, s->now_s - s->last_decode_s, (uint64_t)s->n_old);
    for (size_t f = 0; f < s->n_fresh; f++)
        if (s->fresh[f].n > 0)
            rub_histogram_add(&s->totals.itl, s->now_s - s->fresh[f].last_s,
                              (uint64_t)s->fresh[f].n);
    s->n_fresh = 0;
    s->last_decode_s = s->now_s;
}

static void end_decodes(rub_replica *s, double started_s) {
    count_gaps(s, started_s);
    s->kv_decode += s->n_decode;
    s->k++;
    finish_decodes(s);
    s->n_old = s->n_decode;
}

/* The prefill of a slot has ended: its first token, then decoding or the end. */
static rub_status end_prefill(rub_replica *s, int32_t i, int64_t *n_joined) {
    rub_slot *slot = &s->slot[i];
    double *first = &s->run->times->first_token_s[slot->id];
    if (isnan(*first))
        *first = s->now_s;
    if (!isnan(slot->last_s))
        rub_histogram_add(&s->totals.itl, s->now_s - slot->last_s, 1);
    int64_t remaining = total_tok(s, slot) - slot->prefill - 1;
    if (remaining == 0)
        finish(s, i, rub_blocks(slot->prefill, s->run->def->block_size_tok));
    else {
        join_decodes(s, i, remaining);
        ++*n_joined;
    }
    return RUB_OK;
}

static rub_status complete(rub_replica *s) {
    double started_s = s->now_s;
    int64_t n_joined = 0;
    s->busy = false;
    s->now_s = s->end_s;
    s->totals.end_s = s->now_s;
    if (s->decodes_run)
        end_decodes(s, started_s);
    for (int32_t e = 0; e < s->n_ending; e++)
        RUB_TRY(end_prefill(s, s->ending[e], &n_joined));
    s->n_ending = 0;
    if (n_joined > 0 && s->run->def->policy == RUB_POLICY_VLLM_V0)
        return RUB_ARRAY_PUSH(s->fresh, s->n_fresh, s->fresh_cap,
                              ((rub_fresh){s->now_s, n_joined}));
    return RUB_OK;
}

/* ---- time ----------------------------------------------------------------------------------- */

static void book(rub_replica *s, const rub_batch *batch, double duration) {
    int64_t used = s->run->def->kv_blocks - s->free_blocks;
    s->totals.n_iteration++;
    s->totals.busy_s += duration;
    s->totals.kv_block_s += duration * (double)used;
    s->totals.prefill_tok += batch->n_tokens - batch->n_decode;
    s->totals.decode_tok += batch->n_decode;
    if (used > s->totals.kv_most_blocks)
        s->totals.kv_most_blocks = used;
}

/* Decode-only iterations from now on, as long as nothing but decoding can happen: no request ends,
 * blocks suffice, every iteration ends by `until`. Sums are kept in registers. */
static void stretch(rub_replica *s, double until_s) {
    const int64_t n = s->n_decode, size = s->run->def->block_size_tok;
    const bool v0 = s->run->def->policy == RUB_POLICY_VLLM_V0;
    const int64_t spare = s->run->def->policy == RUB_POLICY_VLLM ? 0 : 1;
    int64_t k = s->k, kv = s->kv_decode, free_now = s->free_blocks, turns = 0;
    int64_t phase = k % size, total = s->run->def->kv_blocks;
    double now = s->now_s, busy = s->totals.busy_s, block_s = s->totals.kv_block_s;
    rub_batch batch = {.n_tokens = n, .n_decode = n};
    rub_histogram *itl = &s->totals.itl;
    if (v0 && (s->n_fresh > 0 || s->n_old != n || s->last_decode_s != now))
        return; /* the first decode iteration after prefills has gaps of several lengths */
    while (s->calendar[k & (RUB_CALENDAR - 1)] < 0 && free_now >= s->growth[phase] + spare) {
        batch.kv_decode = kv;
        double duration = rub_perf_duration(s->run->perf, &batch), end = now + duration;
        if (end > until_s)
            break;
        free_now -= s->growth[phase];
        rub_histogram_add(itl, end - now, (uint64_t)n);
        busy += duration;
        block_s += duration * (double)(total - free_now);
        now = end;
        kv += n;
        k++;
        turns++;
        phase = phase + 1 == size ? 0 : phase + 1;
        if (now >= until_s)
            break;
    }
    if (turns == 0)
        return;
    s->k = k;
    s->kv_decode = kv;
    s->free_blocks = free_now;
    s->now_s = s->totals.end_s = s->last_decode_s = now;
    s->totals.busy_s = busy;
    s->totals.kv_block_s = block_s;
    s->totals.n_iteration += turns;
    s->totals.decode_tok += turns * n;
    if (total - free_now > s->totals.kv_most_blocks)
        s->totals.kv_most_blocks = total - free_now;
}

/* Nothing can be admitted before a decode ends: nobody waits, or the head does not fit now (blocks
 * only get fewer while decodes go on), or there is no seat. */
static bool only_decodes(const rub_replica *s) {
    const rub_serve_def *def = s->run->def;
    if (s->cur >= 0 || s->n_decode == 0)
        return false;
    if (s->waiting.n == 0 || s->n_running >= def->max_seqs)
        return true;
    int64_t kept = def->policy == RUB_POLICY_VLLM ? 0 : s->run->watermark;
    return s->free_blocks -
               rub_blocks(rub_waiting_first(&s->waiting)->prefill, def->block_size_tok) <
           kept;
}

static rub_status start(rub_replica *s, bool *formed) {
    rub_batch batch = {0};
    RUB_TRY(rub_fast_form(s, &batch));
    if (batch.n_tokens == 0 && s->waiting.n > 0) /* the only one running sent itself back */
        RUB_TRY(rub_fast_form(s, &batch));
    *formed = batch.n_tokens > 0;
    if (!*formed)
        return RUB_OK;
    double duration = rub_perf_duration(s->run->perf, &batch);
    s->busy = true;
    s->end_s = s->now_s + duration;
    book(s, &batch, duration);
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
        if (only_decodes(s)) {
            stretch(s, until_s);
            if (s->now_s >= until_s)
                return RUB_OK;
        }
        RUB_TRY(start(s, &formed));
        if (!formed)
            return RUB_OK;
    }
}

static rub_status next_end(rub_replica *s, double *end_s) {
    bool formed = s->busy;
    if (!formed)
        RUB_TRY(start(s, &formed));
    *end_s = formed ? s->end_s : HUGE_VAL;
    return RUB_OK;
}

static int64_t n_waiting(const rub_replica *s) { return s->waiting.n; }

static int64_t n_outstanding(const rub_replica *s) { return s->waiting.n + s->n_running; }

static void totals(const rub_replica *s, rub_serve_totals *into) {
    rub_totals_add(&s->totals, s->run->def->kv_blocks - s->free_blocks, into);
}

const rub_replica_kind rub_replica_fast = {create,   destroy,   arrive,        advance,
                                           next_end, n_waiting, n_outstanding, totals};
