/* Fast engine's replica: O(1) work an iteration and O(1) amortised a request.
 *
 *  - Every running decode takes part in every decode iteration, so a replica counts those (k) and a
 *    request that starts decoding at k with m tokens to go ends at k + m - 1: a calendar ring keyed
 *    by k holds the completions, and no request is looked at in between.
 *  - A request's processed tokens are base + k. It takes a block when (base + k - 1) is a multiple
 * of the block size, so counts by residue of k say how many blocks an iteration takes.
 *  - At most one running request has an unfinished prefill (`cur`): one that was cut by the token
 *    budget leaves no room for another to be admitted.
 *  - Sums (decodes, their processed tokens, blocks) are updated, never recomputed; all are
 * integers.
 *  - Running requests stand in a list by admission, which only preemption reads: when blocks run
 *    short, the iteration is formed by walking it (fast_evict.c), exactly as the naive engine does.
 */
#ifndef RUB_SERVE_FAST_H
#define RUB_SERVE_FAST_H

#include "serve/replica.h"
#include "serve/waiting.h"

#define RUB_CALENDAR                                                                               \
    4096 /* buckets of the ring; a completion further off stays for later rounds                   \
          */

/* One running request; slots are reused. Kept small: max_seqs of them stay in cache. */
typedef struct rub_slot {
    int32_t id;
    int32_t prefill;       /* tokens to prefill */
    int64_t base;          /* decode: tokens processed = base + k; prefill: tokens processed */
    int64_t last_k;        /* decode: k of its last iteration */
    double last_s;         /* time of its last token before this prefill; NaN if none */
    int32_t before, after; /* running list by admission; -1 ends */
    int32_t cal_before, cal_after; /* its calendar bucket */
} rub_slot;

/* v0: decodes whose last token is of one time, because prefill-only iterations came between. */
typedef struct rub_fresh {
    double last_s;
    int64_t n;
} rub_fresh;

struct rub_replica {
    const rub_run *run;
    rub_waiting waiting;
    double now_s, end_s;
    bool busy;

    int64_t k;         /* decode iterations so far */
    int64_t n_decode;  /* running decodes */
    int64_t kv_decode; /* their processed tokens, at k */
    int64_t free_blocks;
    int64_t n_running;   /* decodes + the unfinished prefill + those that finish prefill now */
    int32_t first, last; /* running list */
    int32_t cur;         /* slot of the unfinished prefill, -1: none */
    bool cur_in_front;   /* sarathi: it was skipped, so it stands before the decodes in the list */

    rub_slot *slot;     /* (max_seqs) */
    int32_t *free_slot; /* stack (max_seqs) */
    int32_t n_free_slot;
    int64_t *growth;   /* decodes that take a block when k mod block size is r (block_size) */
    int32_t shift;     /* block size = 1 << shift, or -1: divide */
    int32_t *calendar; /* first slot of each bucket, -1: none (RUB_CALENDAR) */

    /* the iteration in progress */
    bool decodes_run;
    int32_t *ending; /* slots whose prefill ends with it, in batch order (max_seqs) */
    int32_t n_ending;

    rub_fresh *fresh; /* v0: (n_fresh) */
    size_t n_fresh, fresh_cap;
    double last_decode_s; /* v0: end of the last decode iteration */
    int64_t n_old;        /* v0: decodes whose last token is of last_decode_s */
    rub_serve_totals totals;
};

/* rub_blocks(tokens, block size) and x mod block size (x of either sign), without a division where
 * the block size is a power of two: a division costs as much as a whole iteration of a stretch. */
static inline int64_t rub_fast_blocks(const rub_replica *s, int64_t tokens) {
    int64_t size = s->run->def->block_size_tok;
    return s->shift >= 0 ? (tokens + size - 1) >> s->shift : rub_blocks(tokens, size);
}

static inline int64_t rub_fast_phase(const rub_replica *s, int64_t x) {
    int64_t size = s->run->def->block_size_tok;
    if (s->shift >= 0)
        return x & (size - 1);
    int64_t r = x % size;
    return r < 0 ? r + size : r;
}

/* Joins the batch: a waiting request is admitted with its blocks; returns its slot. */
int32_t rub_fast_admit(rub_replica *s);
void rub_fast_unlink(rub_replica *s, int32_t slot);
void rub_fast_leave_decodes(rub_replica *s, int32_t slot); /* out of sums, growth and calendar */

/* Decodes for the coming iteration when blocks may run short: takes blocks one by one in list order
 * and sends the last back where there is none. *evicted tells that at least one was sent back. */
rub_status rub_fast_decodes_tight(rub_replica *s, bool *evicted);

/* Forms the coming iteration; *batch has no tokens when there is nothing to do. */
rub_status rub_fast_form(rub_replica *s, rub_batch *batch);

#endif
