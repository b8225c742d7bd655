#include "base/ranks.h"

#include "base/tasks.h"

int32_t rub_ranks_owner(const rub_ranks *ranks, int32_t n, int32_t task) {
    int32_t rank = 0;
    while (rank + 1 < rub_ranks_n(ranks) && task >= rub_ranks_first(ranks, n, rank + 1))
        rank++;
    return rank;
}

typedef struct share {
    void (*task)(void *, int32_t, int32_t);
    void *ctx;
    int32_t first;
} share;

static void run(void *ctx, int32_t index, int32_t thread) {
    const share *s = ctx;
    s->task(s->ctx, s->first + index, thread);
}

void rub_ranks_for(const rub_ranks *ranks, int32_t n, int32_t n_thread,
                   void (*task)(void *, int32_t, int32_t), void *ctx) {
    int32_t rank = rub_ranks_rank(ranks), first = rub_ranks_first(ranks, n, rank);
    share s = {task, ctx, first};
    rub_parallel_for(rub_ranks_first(ranks, n, rank + 1) - first, n_thread, run, &s);
}

void rub_ranks_gather(const rub_ranks *ranks, void *items, size_t n_item, size_t item_bytes) {
    if (rub_ranks_n(ranks) > 1)
        ranks->gather(ranks->ctx, items, n_item, item_bytes);
}

void rub_ranks_share(const rub_ranks *ranks, void *bytes, size_t n_byte, int32_t from) {
    if (rub_ranks_n(ranks) > 1)
        ranks->share(ranks->ctx, bytes, n_byte, from);
}

#define MOST_RANKS 4096

rub_status rub_ranks_agree(const rub_ranks *ranks, rub_status status, rub_error *err) {
    rub_status all[MOST_RANKS] = {RUB_OK};
    int32_t n = rub_ranks_n(ranks);
    if (n == 1)
        return status;
    all[rub_ranks_rank(ranks)] = status;
    rub_ranks_gather(ranks, all, (size_t)n, sizeof *all);
    for (int32_t r = 0; r < n; r++)
        if (all[r] != RUB_OK) {
            rub_error told = err ? *err : (rub_error){0};
            rub_ranks_share(ranks, &told, sizeof told, r);
            if (err)
                *err = told;
            return all[r];
        }
    return RUB_OK;
}
