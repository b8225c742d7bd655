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

rub_status rub_ranks_agree(const rub_ranks *ranks, rub_status status, rub_error *err) {
    int32_t n = rub_ranks_n(ranks);
    for (int32_t r = 0; n > 1 && r < n; r++) {
        rub_status one = status;
        rub_ranks_share(ranks, &one, sizeof one, r);
        if (one == RUB_OK)
            continue;
        rub_error told = err ? *err : (rub_error){0};
        rub_ranks_share(ranks, &told, sizeof told, r);
        if (err)
            *err = told;
        return one;
    }
    return status;
}
