/* Kinds of replicas: each group is a run of its own durations, blocks and seats. */
#include "serve/route.h"

#include "base/array.h"

#include <stdlib.h>

rub_status rub_kinds_init(rub_kinds *k, const rub_run *base) {
    const rub_serve_def *d = base->def;
    *k = (rub_kinds){.base = base, .n = d->n_group};
    if (d->n_group == 0)
        return RUB_OK;
    k->run = RUB_NEW(rub_run, d->n_group);
    k->def = RUB_NEW(rub_serve_def, d->n_group);
    k->of = RUB_NEW(uint16_t, d->n_replica);
    if (!k->run || !k->def || !k->of || d->n_group > UINT16_MAX) {
        rub_kinds_clear(k);
        return RUB_NO_MEMORY;
    }
    size_t r = 0;
    for (int32_t g = 0; g < d->n_group; g++) {
        k->def[g] = *d;
        k->def[g].kv_blocks = d->group[g].kv_blocks;
        k->def[g].max_seqs = d->group[g].max_seqs;
        k->run[g] = *base;
        k->run[g].def = &k->def[g];
        k->run[g].perf = d->group[g].perf;
        k->run[g].watermark = (int64_t)(d->watermark_frac * (double)d->group[g].kv_blocks);
        for (int32_t c = 0; c < d->group[g].n_replica; c++)
            k->of[r++] = (uint16_t)g;
    }
    return RUB_OK;
}

void rub_kinds_clear(rub_kinds *k) {
    free(k->run);
    free(k->def);
    free(k->of);
    *k = (rub_kinds){0};
}
