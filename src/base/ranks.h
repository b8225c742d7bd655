/* Ranks: tasks shared out over the processes of a job (rubato/base.h); all of it is a call on its own
 * when ranks is NULL or of one. Only the rank's owner thread may call. */
#ifndef RUB_BASE_RANKS_H
#define RUB_BASE_RANKS_H

#include "rubato/base.h"

static inline int32_t rub_ranks_n(const rub_ranks *ranks) { return ranks ? ranks->n : 1; }
static inline int32_t rub_ranks_rank(const rub_ranks *ranks) { return ranks ? ranks->rank : 0; }

/* First of n tasks that a rank does; those of rank end where those of rank + 1 begin. */
static inline int32_t rub_ranks_first(const rub_ranks *ranks, int32_t n, int32_t rank) {
    return (int32_t)((int64_t)n * rank / rub_ranks_n(ranks));
}

/* Which rank does a task. */
int32_t rub_ranks_owner(const rub_ranks *ranks, int32_t n, int32_t task);

static inline bool rub_ranks_mine(const rub_ranks *ranks, int32_t n, int32_t task) {
    return rub_ranks_owner(ranks, n, task) == rub_ranks_rank(ranks);
}

/* This rank's share of 0..n-1, on threads; as rub_parallel_for. Results are to be gathered after. */
void rub_ranks_for(const rub_ranks *ranks, int32_t n, int32_t n_thread,
                   void (*task)(void *ctx, int32_t index, int32_t thread), void *ctx);

void rub_ranks_gather(const rub_ranks *ranks, void *items, size_t n_item, size_t item_bytes);
void rub_ranks_share(const rub_ranks *ranks, void *bytes, size_t n_byte, int32_t from);

/* Status of the first rank that failed, with its error; the same on every rank. */
rub_status rub_ranks_agree(const rub_ranks *ranks, rub_status status, rub_error *err);

#endif
