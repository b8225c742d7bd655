/* Fast engine's replica: O(1) work an iteration and O(1) amortised a request.
 *
 *  - Every running decode takes part in every decode iteration, so a replica counts those (k) and a
 *    request that starts decoding at k with m tokens to go ends at k + m - 1: a calendar ring keyed
 *    by k holds the completions, a bit for each bucket tells the next one, and no request is looked
 *    at in between.
 *  - A request takes a block when its processed tokens less one are a multiple of the block size,
 *    so counts by residue of k say how many blocks an iteration takes.
 *  - At most one running request has an unfinished prefill (`cur`): one that was cut by the token
 *    budget leaves no room for another to be admitted.
 *  - Sums (decodes, their processed tokens, blocks) are updated, never recomputed; all are
 *    integers.
 *  - An iteration that is formed tells how many more just like it must follow (`left`): the same
 *    decodes, and a full chunk of the same prefill or none. Those are run in a loop of a few
 *    additions (fast_time.c).
 *  - Running requests stand in an array by admission, which only preemption reads: when blocks run
 *    short, the iteration is formed by walking it (fast_evict.c), exactly as the naive engine does.
 *
 * What every iteration does is written to be inlined into one function for each policy and perf
 * model. */
#ifndef RUB_SERVE_FAST_H
#define RUB_SERVE_FAST_H

#include "serve/histogram.h"
#include "serve/replica.h"
#include "serve/waiting.h"

#include <math.h>

#define RUB_FLAT static inline __attribute__((always_inline))

/* Buckets of the calendar; a completion further off stays for later rounds. */
#define RUB_CALENDAR 1024

/* Iterations in one round of the loop of those that are all alike. */
#define RUB_ROUND 16

/* One running request; slots are reused. Half a cache line. Counts that grow without end are kept
 * modulo 2^32: a request's length is less. */
typedef struct rub_slot {
    double last_s; /* time of its last token before this prefill; NaN before the first */
    int32_t id;
    int32_t prefill; /* tokens to prefill */
    uint32_t base;   /* decode: tokens processed = base + k; prefill: tokens processed */
    uint32_t last_k; /* decode: k of its last iteration */
    int32_t after;   /* next of its calendar bucket, or of the free slots; -1 ends */
    int32_t place;   /* in the array by admission */
} rub_slot;

/* v0: decodes whose last token is of one time, because prefill-only iterations came between. */
typedef struct rub_fresh {
    double last_s;
    int64_t n;
} rub_fresh;

/* Requests that wait: those sent back, last one first, then the others as they came (a ring). */
typedef struct rub_line {
    int32_t *ring, *first_ring; /* the first one stands in the replica's memory */
    uint32_t head, n, room;
    rub_waiter *back;
    size_t n_back, back_cap;
    int64_t tok; /* to prefill, all of them */
} rub_line;

/* Counted by request where that can be: tokens when they are sure to be processed, times between
 * tokens by their sum from the first token to the end. */
typedef struct rub_fast_totals {
    int64_t n_undecoded; /* iterations without decodes; the others are k */
    int64_t n_restart, prefill_tok, decode_tok, kv_most_blocks;
    int64_t n_late; /* first tokens after a restart that had tokens before: gaps beside decodes' */
    double busy_s;  /* before busy_from_s */
    double busy_from_s;
    double kv_block_s;
    double gap_sum_s, gap_max_s;
} rub_fast_totals;

struct rub_replica {
    double now_s, end_s; /* the present iteration's start, or the boundary; its end */
    bool busy;
    bool decodes_run;   /* the present iteration has decodes */
    bool cur_in_front;  /* sarathi: it was skipped, so it stands before the decodes in the list */
    bool shut;          /* nothing that arrives can join before `left` is over */
    int32_t shift;      /* block size = 1 << shift, or -1: divide */
    int32_t cur;        /* slot of the unfinished prefill, -1: none */
    int32_t n_ending;   /* prefills that end with the present iteration */
    int64_t left, take; /* iterations just like it that follow; tokens of `cur` in each */
    int64_t k;          /* decode iterations so far */
    int64_t phase;      /* k mod block size */
    int64_t n_decode;   /* running decodes */
    int64_t kv_decode;  /* their processed tokens, at k */
    int64_t free_blocks;
    int64_t n_running; /* decodes + the unfinished prefill + those that finish prefill now */
    int32_t free_slot, n_order; /* first of the free slots */
    int32_t *growth;  /* decodes that take a block when k mod block size is r; goes round for
                           RUB_ROUND more (block_size + RUB_ROUND) */
    int32_t *ending;  /* their slots, in batch order (max_seqs) */
    rub_slot *slot;   /* (max_seqs) */
    int32_t *order;   /* slots by admission; -1: has left (order_cap) */
    uint64_t *marked; /* bits: buckets that are not empty (RUB_CALENDAR / 64) */
    int32_t *bucket;  /* first slot; holds only where marked (RUB_CALENDAR) */
    rub_line line;
    rub_fast_totals totals;

    /* what stands still */
    rub_perf_linear linear;
    int64_t max_seqs, block_size, limit_tok, kv_blocks;
    int64_t kept, spare; /* blocks: free after an admission; free beyond what decodes take */
    const int32_t *input_tok, *output_tok;
    double *scheduled_s, *first_token_s, *finish_s;
    uint64_t *gap_count; /* histogram's bins: the run's or its own (RUB_HISTOGRAM_N) */
    uint64_t *own_count;
    int32_t order_cap;
    void *memory; /* of all of the above, if it is its own */
    const rub_run *run;
    rub_closed *closed;
    rub_status (*advance)(rub_replica *, double); /* of its policy and perf model */
    rub_status (*start)(rub_replica *, bool *);

    rub_fresh *fresh; /* v0: (n_fresh) */
    size_t n_fresh, fresh_cap;
    double last_decode_s; /* v0: end of the last decode iteration */
    int64_t n_old;        /* v0: decodes whose last token is of last_decode_s */
};

/* ---- blocks: without a division where the block size is a power of two ------------------------ */

RUB_FLAT int64_t rub_fast_blocks(const rub_replica *s, int64_t tokens) {
    int64_t x = tokens + s->block_size - 1;
    return s->shift >= 0 ? x >> s->shift : x / s->block_size;
}

/* k mod block size at which a request with so many processed tokens at k takes its next block. */
RUB_FLAT int64_t rub_fast_residue(const rub_replica *s, int64_t processed) {
    if (s->shift >= 0)
        return (s->phase + 1 - processed) & (s->block_size - 1);
    int64_t r = s->phase - (processed - 1) % s->block_size;
    return r < 0 ? r + s->block_size : r;
}

RUB_FLAT int64_t rub_fast_processed(const rub_replica *s, const rub_slot *slot) {
    return (int64_t)(uint32_t)(slot->base + (uint32_t)s->k);
}

RUB_FLAT int64_t rub_fast_next_phase(const rub_replica *s, int64_t by) {
    int64_t phase = s->phase + by;
    return s->shift >= 0 ? phase & (s->block_size - 1) : phase % s->block_size;
}

RUB_FLAT void rub_fast_grow(rub_replica *s, int64_t residue, int32_t by) {
    s->growth[residue] += by;
    for (int64_t r = residue + s->block_size; r < s->block_size + RUB_ROUND; r += s->block_size)
        s->growth[r] += by;
}

/* ---- waiting ---------------------------------------------------------------------------------- */

rub_status rub_line_grow(rub_line *line);
rub_status rub_line_push_back(rub_line *line, rub_waiter one); /* sent back: to the head */

RUB_FLAT int64_t rub_line_n(const rub_line *l) { return (int64_t)l->n + (int64_t)l->n_back; }

RUB_FLAT rub_status rub_line_push(rub_line *l, int32_t id, int32_t prefill) {
    if (l->n == l->room && rub_line_grow(l) != RUB_OK)
        return RUB_NO_MEMORY;
    l->tok += prefill;
    l->ring[(l->head + l->n++) & (l->room - 1)] = id;
    return RUB_OK;
}

/* Tokens that the first one has to prefill. */
RUB_FLAT int64_t rub_line_prefill(const rub_replica *s) {
    const rub_line *l = &s->line;
    return l->n_back > 0 ? l->back[l->n_back - 1].prefill : s->input_tok[l->ring[l->head]];
}

/* ---- requests come and go --------------------------------------------------------------------- */

void rub_fast_compact(rub_replica *s);

RUB_FLAT void rub_fast_leave(rub_replica *s, int32_t i) {
    s->order[s->slot[i].place] = -1;
    s->slot[i].after = s->free_slot;
    s->free_slot = i;
    s->n_running--;
}

/* The first one that waits joins the batch with its blocks; returns its slot. */
RUB_FLAT int32_t rub_fast_admit(rub_replica *s, int64_t prefill) {
    rub_line *l = &s->line;
    int32_t i = s->free_slot;
    rub_slot *slot = &s->slot[i];
    s->free_slot = slot->after;
    if (s->n_order == s->order_cap)
        rub_fast_compact(s);
    if (__builtin_expect(l->n_back > 0, 0)) {
        const rub_waiter *w = &l->back[--l->n_back];
        slot->id = w->id;
        slot->last_s = w->last_s;
    } else {
        slot->id = l->ring[l->head];
        l->head = (l->head + 1) & (l->room - 1);
        l->n--;
        slot->last_s = NAN;
        s->scheduled_s[slot->id] = s->now_s;
    }
    l->tok -= prefill;
    slot->prefill = (int32_t)prefill;
    slot->base = 0;
    slot->place = s->n_order;
    s->order[s->n_order++] = i;
    s->n_running++;
    s->free_blocks -= rub_fast_blocks(s, prefill);
    return i;
}

/* A prefill has ended, at the boundary: the request decodes `remaining` > 0 times. */
RUB_FLAT void rub_fast_join_decodes(rub_replica *s, int32_t i, int64_t remaining) {
    rub_slot *slot = &s->slot[i];
    int64_t processed = (int64_t)slot->prefill + 1;
    slot->base = (uint32_t)processed - (uint32_t)s->k;
    slot->last_k = (uint32_t)(s->k + remaining - 1);
    s->n_decode++;
    s->kv_decode += processed;
    s->totals.decode_tok += remaining;
    rub_fast_grow(s, rub_fast_residue(s, processed), 1);
    uint32_t b = slot->last_k & (RUB_CALENDAR - 1);
    uint64_t bit = (uint64_t)1 << (b & 63);
    slot->after = s->marked[b >> 6] & bit ? s->bucket[b] : -1;
    s->marked[b >> 6] |= bit;
    s->bucket[b] = i;
}

/* Blocks in use are most before some are given back. */
RUB_FLAT void rub_fast_peak(rub_replica *s) {
    int64_t used = s->kv_blocks - s->free_blocks;
    if (used > s->totals.kv_most_blocks)
        s->totals.kv_most_blocks = used;
}

RUB_FLAT void rub_fast_finish(rub_replica *s, int32_t i, int64_t blocks) {
    int32_t id = s->slot[i].id;
    s->finish_s[id] = s->now_s;
    s->totals.gap_sum_s += s->now_s - s->first_token_s[id];
    rub_fast_peak(s);
    rub_closed_ended(s->closed, s->now_s);
    s->free_blocks += blocks;
    rub_fast_leave(s, i);
}

RUB_FLAT void rub_fast_out_of_sums(rub_replica *s, int64_t processed) {
    s->n_decode--;
    s->kv_decode -= processed;
    rub_fast_grow(s, rub_fast_residue(s, processed), -1);
}

/* Completions of decode iteration k - 1. */
RUB_FLAT void rub_fast_finish_decodes(rub_replica *s) {
    uint32_t ended = (uint32_t)s->k - 1, b = ended & (RUB_CALENDAR - 1);
    uint64_t bit = (uint64_t)1 << (b & 63);
    if (!(s->marked[b >> 6] & bit))
        return;
    int32_t later = -1, after;
    for (int32_t i = s->bucket[b]; i >= 0; i = after) {
        rub_slot *slot = &s->slot[i];
        after = slot->after;
        if (slot->last_k != ended) { /* a later round of the ring */
            slot->after = later;
            later = i;
            continue;
        }
        int64_t processed = rub_fast_processed(s, slot);
        rub_fast_out_of_sums(s, processed);
        rub_fast_finish(s, i, rub_fast_blocks(s, processed - 1));
    }
    s->bucket[b] = later;
    if (later < 0)
        s->marked[b >> 6] &= ~bit;
}

/* Decode iterations after the one at k before a marked bucket ends; RUB_CALENDAR when none is
 * marked. 0: the one at k ends requests. */
RUB_FLAT int64_t rub_fast_until_marked(const rub_replica *s) {
    uint32_t b = (uint32_t)s->k & (RUB_CALENDAR - 1), at = b >> 6, shift = b & 63;
    uint64_t word = s->marked[at] >> shift;
    if (word)
        return __builtin_ctzll(word);
    for (uint32_t w = 1; w <= RUB_CALENDAR / 64; w++) {
        word = s->marked[(at + w) & (RUB_CALENDAR / 64 - 1)];
        if (word)
            return (int64_t)(64 * w - shift) + __builtin_ctzll(word);
    }
    return RUB_CALENDAR;
}

RUB_FLAT void rub_fast_count_gap(rub_replica *s, double gap_s, uint64_t n) {
    s->gap_count[rub_histogram_bin(gap_s)] += n;
    s->totals.gap_max_s = gap_s > s->totals.gap_max_s ? gap_s : s->totals.gap_max_s;
}

/* Decodes for the coming iteration when blocks may run short: takes blocks one by one in list order
 * and sends the last back where there is none. *evicted tells that at least one was sent back. */
rub_status rub_fast_decodes_tight(rub_replica *s, bool *evicted);

/* No request ends before this (fast_ahead.c). */
double rub_fast_earliest_end(const rub_replica *s);
double rub_fast_due(const rub_replica *s);

/* Sets advance and start of the replica's policy and perf model (fast_time.c). */
void rub_fast_choose(rub_replica *s);

#endif
