/* Fast engine: a replica's making, its queue, and what others see of it. */
#include "serve/fast.h"

#include "base/array.h"

#include <stdlib.h>
#include <string.h>

/* Room for so many admissions a seat before the places of those that left are closed up. */
#define ORDER_FACTOR 3

/* Requests that wait before more room is taken for them: a power of two. */
#define FIRST_ROOM 64

static void destroy(rub_replica *s) {
    if (!s)
        return;
    if (s->line.ring != s->line.first_ring)
        free(s->line.ring);
    free(s->line.back);
    free(s->fresh);
    free(s->own_count);
    free(s->memory);
}

/* A replica's memory is one piece, what an event touches first: far fewer pages and lines for a
 * fleet whose replicas are seldom in the cache. */
static void *piece(char *memory, size_t *at, size_t n, size_t size) {
    void *p = memory ? memory + *at : NULL;
    *at += (n * size + 63) / 64 * 64;
    return p;
}

static int32_t order_cap(const rub_run *run) {
    int32_t n = run->def->max_seqs;
    return ORDER_FACTOR * (n < INT32_MAX / ORDER_FACTOR ? n : INT32_MAX / ORDER_FACTOR);
}

/* Lays out a replica; memory NULL: only its size. */
static size_t lay_out(const rub_run *run, char *memory) {
    size_t at = 0, n = (size_t)run->def->max_seqs, size = (size_t)run->def->block_size_tok;
    rub_replica none, *s = piece(memory, &at, 1, sizeof *s);
    s = s ? s : &none;
    s->marked = piece(memory, &at, RUB_CALENDAR / 64, sizeof *s->marked);
    s->growth = piece(memory, &at, size + RUB_ROUND, sizeof *s->growth);
    s->line.ring = s->line.first_ring = piece(memory, &at, FIRST_ROOM, sizeof *s->line.ring);
    s->ending = piece(memory, &at, n, sizeof *s->ending);
    s->order = piece(memory, &at, (size_t)order_cap(run), sizeof *s->order);
    s->bucket = piece(memory, &at, RUB_CALENDAR, sizeof *s->bucket);
    s->slot = piece(memory, &at, n, sizeof *s->slot);
    return at;
}

static size_t bytes(const rub_run *run) { return lay_out(run, NULL); }

static void set(rub_replica *s, const rub_run *run) {
    const rub_serve_def *d = run->def;
    int32_t size = d->block_size_tok;
    s->run = run;
    s->closed = run->closed;
    s->linear = run->perf->linear;
    s->input_tok = run->trace->input_tok;
    s->output_tok = run->trace->output_tok;
    s->scheduled_s = run->times->scheduled_s;
    s->first_token_s = run->times->first_token_s;
    s->finish_s = run->times->finish_s;
    s->kv_blocks = s->free_blocks = d->kv_blocks;
    s->max_seqs = d->max_seqs;
    s->block_size = size;
    s->shift = size & (size - 1) ? -1 : __builtin_ctz((unsigned)size);
    s->limit_tok = d->policy == RUB_POLICY_SARATHI ? d->chunk_tok : d->max_batch_tok;
    /* Vidur's policies want a free block at every decode, taken or not, hence one to spare */
    s->spare = d->policy == RUB_POLICY_VLLM ? 0 : 1;
    s->kept = d->policy == RUB_POLICY_VLLM ? 0 : run->watermark;
    s->cur = -1;
    s->order_cap = order_cap(run);
    s->line.room = FIRST_ROOM;
    for (int32_t i = 0; i < d->max_seqs; i++)
        s->slot[i].after = i + 1 < d->max_seqs ? i + 1 : -1;
    rub_fast_choose(s);
}

/* memory: bytes(run) of zeros, at a cache line. */
static rub_replica *place(const rub_run *run, void *memory) {
    rub_replica *s = memory;
    lay_out(run, memory);
    set(s, run);
    s->own_count = run->gap_count ? NULL : RUB_NEW(uint64_t, RUB_HISTOGRAM_N);
    s->gap_count = run->gap_count ? run->gap_count : s->own_count;
    return s->gap_count ? s : NULL;
}

static rub_replica *create(const rub_run *run) {
    size_t n = bytes(run);
    void *memory = aligned_alloc(64, n);
    if (!memory)
        return NULL;
    memset(memory, 0, n);
    rub_replica *s = place(run, memory);
    if (s)
        s->memory = memory;
    else
        free(memory);
    return s;
}

/* ---- waiting ---------------------------------------------------------------------------------- */

rub_status rub_line_grow(rub_line *l) {
    uint32_t room = l->room * 2;
    int32_t *ring = room > 0 ? RUB_NEW(int32_t, room) : NULL;
    if (!ring)
        return RUB_NO_MEMORY;
    for (uint32_t i = 0; i < l->n; i++)
        ring[i] = l->ring[(l->head + i) & (l->room - 1)];
    if (l->ring != l->first_ring)
        free(l->ring);
    l->ring = ring;
    l->room = room;
    l->head = 0;
    return RUB_OK;
}

rub_status rub_line_push_back(rub_line *l, rub_waiter one) {
    l->tok += one.prefill;
    return RUB_ARRAY_PUSH(l->back, l->n_back, l->back_cap, one);
}

static rub_status arrive(rub_replica *s, int32_t id) {
    double at_s = s->run->times->arrival_s[id];
    if (!s->busy && s->now_s < at_s) {
        if (s->n_running == 0 && rub_line_n(&s->line) == 0) { /* it was idle until now */
            s->totals.busy_s += s->now_s - s->totals.busy_from_s;
            s->totals.busy_from_s = at_s;
        }
        s->now_s = at_s;
    }
    if (!s->shut)
        s->left = 0;
    return rub_line_push(&s->line, id, s->input_tok[id]);
}

/* Closes up the places of requests that have left. */
void rub_fast_compact(rub_replica *s) {
    int32_t n = 0;
    for (int32_t p = 0; p < s->n_order; p++)
        if (s->order[p] >= 0) {
            s->slot[s->order[p]].place = n;
            s->order[n++] = s->order[p];
        }
    s->n_order = n;
}

/* ---- what others see -------------------------------------------------------------------------- */

static rub_status next_end(rub_replica *s, double *end_s) {
    bool formed = s->busy;
    if (!formed)
        RUB_TRY(s->start(s, &formed));
    *end_s = formed ? s->end_s : HUGE_VAL;
    return RUB_OK;
}

double rub_fast_due(const rub_replica *s) {
    if (s->busy)
        return s->end_s;
    return rub_line_n(&s->line) > 0 || s->n_running > 0 ? nextafter(s->now_s, HUGE_VAL) : HUGE_VAL;
}

/* Step 1: where the next admission and completion are; 2: the request that ends; 3: its times. */
static void fetch(const rub_replica *s, int step) {
    uint32_t b = (uint32_t)s->k & (RUB_CALENDAR - 1);
    if (step == 1) {
        __builtin_prefetch(&s->bucket[b], 1);
        __builtin_prefetch(&s->slot[s->free_slot < 0 ? 0 : s->free_slot], 1);
        __builtin_prefetch(&s->order[s->n_order < s->order_cap ? s->n_order : 0], 1);
        return;
    }
    if (!(s->marked[b >> 6] >> (b & 63) & 1))
        return;
    const rub_slot *slot = &s->slot[s->bucket[b]];
    if (step == 2) {
        __builtin_prefetch(slot, 1);
        return;
    }
    __builtin_prefetch(&s->order[slot->place], 1);
    __builtin_prefetch(&s->finish_s[slot->id], 1);
    __builtin_prefetch(&s->first_token_s[slot->id], 0);
}

static void view(const rub_replica *s, rub_replica_view *out) {
    rub_replica_view v = {.n_waiting = rub_line_n(&s->line),
                          .n_outstanding = rub_line_n(&s->line) + s->n_running,
                          .n_decode = s->n_decode,
                          .kv_decode = s->kv_decode,
                          .waiting_tok = s->line.tok,
                          .prefill_tok = s->line.tok,
                          .used_blocks = s->kv_blocks - s->free_blocks,
                          .end_s = s->busy ? s->end_s : 0.0};
    if (s->cur >= 0)
        v.prefill_tok += s->slot[s->cur].prefill - (int64_t)s->slot[s->cur].base;
    *out = v;
}

static rub_status advance(rub_replica *s, double until_s) { return s->advance(s, until_s); }

static void totals(const rub_replica *s, rub_serve_totals *into) {
    const rub_fast_totals *t = &s->totals;
    rub_serve_totals own = {.n_iteration = t->n_undecoded + s->k,
                            .n_restart = t->n_restart,
                            .prefill_tok = t->prefill_tok,
                            .decode_tok = t->decode_tok,
                            .busy_s = t->busy_s +
                                      (s->end_s > t->busy_from_s ? s->end_s - t->busy_from_s : 0.0),
                            .kv_block_s = t->kv_block_s,
                            .kv_most_blocks = t->kv_most_blocks,
                            .end_s = s->end_s,
                            .itl = {.n = (uint64_t)(t->decode_tok + t->n_late),
                                    .sum_s = t->gap_sum_s,
                                    .max_s = t->gap_max_s}};
    if (s->own_count)
        memcpy(own.itl.count, s->own_count, sizeof own.itl.count);
    rub_totals_add(&own, s->kv_blocks - s->free_blocks, into);
}

const rub_replica_kind rub_replica_fast = {.create = create,
                                           .free = destroy,
                                           .bytes = bytes,
                                           .place = place,
                                           .arrive = arrive,
                                           .advance = advance,
                                           .next_end = next_end,
                                           .due = rub_fast_due,
                                           .earliest_end = rub_fast_earliest_end,
                                           .fetch = fetch,
                                           .view = view,
                                           .totals = totals};
