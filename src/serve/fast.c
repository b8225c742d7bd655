/* Fast engine: a replica's time: start, complete, and the tight loop of decode-only iterations. */
#include "serve/fast.h"

#include "base/array.h"
#include "serve/histogram.h"

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
    int32_t size = run->def->block_size_tok;
    s->shift = size & (size - 1) ? -1 : __builtin_ctz((unsigned)size);
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
    return rub_waiting_push(&s->waiting,
                            (rub_waiter){.id = id, .prefill = t->input_tok[id], .last_s = NAN});
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
    s->free_blocks -= rub_fast_blocks(s, w.prefill);
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
    return rub_fast_phase(s, 1 - slot->base);
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
        finish(s, i, rub_fast_blocks(s, total - 1));
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
        finish(s, i, rub_fast_blocks(s, slot->prefill));
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

/* What a stretch keeps in registers; everything else stands still while it lasts. */
typedef struct run_of_decodes {
    double now_s, busy_s, block_s, gap_sum_s, gap_max_s;
    int64_t k, kv, free_blocks, turns, phase;
    size_t bin;      /* of the histogram of gaps; gaps change slowly, so it seldom moves */
    uint64_t in_bin; /* gaps of that bin not yet counted */
} run_of_decodes;

static run_of_decodes pick_up(const rub_replica *s) {
    return (run_of_decodes){.now_s = s->now_s,
                            .busy_s = s->totals.busy_s,
                            .block_s = s->totals.kv_block_s,
                            .gap_sum_s = s->totals.itl.sum_s,
                            .gap_max_s = s->totals.itl.max_s,
                            .k = s->k,
                            .kv = s->kv_decode,
                            .free_blocks = s->free_blocks,
                            .phase = rub_fast_phase(s, s->k)};
}

static void put_down(rub_replica *s, const run_of_decodes *r) {
    int64_t used = s->run->def->kv_blocks - r->free_blocks, n = s->n_decode;
    s->now_s = s->totals.end_s = s->last_decode_s = r->now_s;
    s->k = r->k;
    s->kv_decode = r->kv;
    s->free_blocks = r->free_blocks;
    s->totals.busy_s = r->busy_s;
    s->totals.kv_block_s = r->block_s;
    s->totals.n_iteration += r->turns;
    s->totals.decode_tok += r->turns * n;
    s->totals.itl.count[r->bin] += r->in_bin;
    s->totals.itl.n += (uint64_t)(r->turns * n);
    s->totals.itl.sum_s = r->gap_sum_s;
    s->totals.itl.max_s = r->gap_max_s;
    if (used > s->totals.kv_most_blocks)
        s->totals.kv_most_blocks = used;
}

/* One iteration that ended at `end_s` joins the run. */
static inline void turn(rub_replica *s, run_of_decodes *r, double duration, double end_s) {
    const int64_t n = s->n_decode;
    double gap = end_s - r->now_s;
    size_t bin = rub_histogram_bin(gap);
    if (bin != r->bin) {
        s->totals.itl.count[r->bin] += r->in_bin;
        r->bin = bin;
        r->in_bin = 0;
    }
    r->in_bin += (uint64_t)n;
    r->gap_sum_s += gap * (double)n;
    r->gap_max_s = gap > r->gap_max_s ? gap : r->gap_max_s;
    r->free_blocks -= s->growth[r->phase];
    r->busy_s += duration;
    r->block_s += duration * (double)(s->run->def->kv_blocks - r->free_blocks);
    r->now_s = end_s;
    r->kv += n;
    r->k++;
    r->turns++;
    r->phase = r->phase + 1 == s->run->def->block_size_tok ? 0 : r->phase + 1;
}

/* Decode-only iterations from now on, as long as nothing but decoding can happen: no request ends,
 * blocks suffice, every iteration ends by `until`. The one that goes on at `until` is left in
 * progress. True when requests ended: what may come next must be looked at again. */
static bool stretch(rub_replica *s, double until_s) {
    const int64_t n = s->n_decode, spare = s->run->def->policy == RUB_POLICY_VLLM ? 0 : 1;
    const bool linear = s->run->perf->kind == RUB_PERF_LINEAR;
    const rub_perf_linear *l = &s->run->perf->linear;
    /* the linear form's sum from the left: prefill work is 0, so its last term adds nothing */
    const double first_terms = l->a_s + l->b_s * (double)n;
    run_of_decodes r = pick_up(s);
    rub_batch batch = {.n_tokens = n, .n_decode = n};
    bool ending = false;
    double duration = 0.0, end = 0.0;
    while (!ending && r.now_s < until_s && r.free_blocks >= s->growth[r.phase] + spare) {
        batch.kv_decode = r.kv;
        duration = linear ? first_terms + l->c_s * (double)r.kv
                          : rub_perf_tables_duration(s->run->perf->tables, &batch);
        end = r.now_s + duration;
        if (end > until_s)
            break;
        ending = s->calendar[r.k & (RUB_CALENDAR - 1)] >= 0;
        turn(s, &r, duration, end);
    }
    if (r.turns > 0)
        put_down(s, &r);
    if (ending) {
        finish_decodes(s);
        s->n_old = s->n_decode;
    } else if (end > until_s) {
        s->free_blocks -= s->growth[r.phase];
        s->decodes_run = s->busy = true;
        s->end_s = end;
        book(s, &batch, duration);
    }
    return ending;
}

/* Nothing can be admitted before a decode ends: nobody waits, or the head does not fit now (blocks
 * only get fewer while decodes go on), or there is no seat. */
static bool only_decodes(const rub_replica *s) {
    const rub_serve_def *def = s->run->def;
    if (s->cur >= 0 || s->n_decode == 0)
        return false;
    /* v0: the first decode iteration after prefills has gaps of several lengths */
    if (def->policy == RUB_POLICY_VLLM_V0 &&
        (s->n_fresh > 0 || s->n_old != s->n_decode || s->last_decode_s != s->now_s))
        return false;
    if (s->waiting.n == 0 || s->n_running >= def->max_seqs)
        return true;
    int64_t kept = def->policy == RUB_POLICY_VLLM ? 0 : s->run->watermark;
    return s->free_blocks - rub_fast_blocks(s, rub_waiting_first(&s->waiting)->prefill) < kept;
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
        while (only_decodes(s) && stretch(s, until_s))
            if (rub_closed_pauses(s->run->closed))
                return RUB_OK;
        if (s->busy || s->now_s >= until_s)
            return RUB_OK;
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

static double due(const rub_replica *s) {
    if (s->busy)
        return s->end_s;
    return s->waiting.n > 0 || s->n_running > 0 ? nextafter(s->now_s, HUGE_VAL) : HUGE_VAL;
}

static void view(const rub_replica *s, rub_replica_view *out) {
    rub_replica_view v = {.n_waiting = s->waiting.n,
                          .n_outstanding = s->waiting.n + s->n_running,
                          .n_decode = s->n_decode,
                          .kv_decode = s->kv_decode,
                          .waiting_tok = s->waiting.tok,
                          .prefill_tok = s->waiting.tok,
                          .used_blocks = s->run->def->kv_blocks - s->free_blocks,
                          .end_s = s->busy ? s->end_s : 0.0};
    if (s->cur >= 0)
        v.prefill_tok += s->slot[s->cur].prefill - s->slot[s->cur].base;
    *out = v;
}

static void totals(const rub_replica *s, rub_serve_totals *into) {
    rub_totals_add(&s->totals, s->run->def->kv_blocks - s->free_blocks, into);
}

const rub_replica_kind rub_replica_fast = {.create = create,
                                           .free = destroy,
                                           .arrive = arrive,
                                           .advance = advance,
                                           .next_end = next_end,
                                           .due = due,
                                           .view = view,
                                           .totals = totals};
