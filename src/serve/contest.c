#include "serve/contest.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

rub_status rub_contest_init(rub_contest *c, size_t n) {
    *c = (rub_contest){.n_leaf = 1};
    while (c->n_leaf < n)
        c->n_leaf *= 2;
    c->node = RUB_NEW(rub_entry, 2 * (size_t)c->n_leaf);
    if (!c->node)
        return RUB_NO_MEMORY;
    for (uint32_t i = 2 * c->n_leaf; i-- > 1;)
        c->node[i] =
            i >= c->n_leaf ? (rub_entry){rub_rank_of(HUGE_VAL), i - c->n_leaf} : c->node[2 * i];
    return RUB_OK;
}

void rub_contest_clear(rub_contest *c) {
    free(c->node);
    *c = (rub_contest){0};
}
