/* Kinds of replicas: each group is a run of its own durations, blocks and seats. */
#include "serve/route.h"

#include "base/array.h"

#include <stdlib.h>

/* The two pools of a disaggregated fleet as kinds. */
static void pools(const rub_run *base, rub_serve_group pool[2]) {
    const rub_serve_def *d = base->def;
    const rub_serve_disagg *x = d->disagg;
    pool[0] = (rub_serve_group){
        x->n_prefill, x->prefill_perf, x->prefill_kv_blocks, x->prefill_max_seqs, 1.0, 0};
    pool[1] = (rub_serve_group){
        x->n_decode, x->decode_perf, x->decode_kv_blocks, x->decode_max_seqs, 1.0, 0};
    for (int k = 0; k < 2; k++) {
        pool[k].perf = pool[k].perf ? pool[k].perf : base->perf;
        pool[k].kv_blocks = pool[k].kv_blocks > 0 ? pool[k].kv_blocks : d->kv_blocks;
        pool[k].max_seqs = pool[k].max_seqs > 0 ? pool[k].max_seqs : d->max_seqs;
    }
}

static void fill(rub_kinds *k, const rub_serve_group *group) {
    size_t r = 0;
    for (int32_t g = 0; g < k->n; g++) {
        k->def[g] = *k->base->def;
        k->def[g].kv_blocks = group[g].kv_blocks;
        k->def[g].max_seqs = group[g].max_seqs;
        k->run[g] = *k->base;
        k->run[g].def = &k->def[g];
        k->run[g].perf = group[g].perf;
        k->run[g].watermark = (int64_t)(k->def[g].watermark_frac * (double)group[g].kv_blocks);
        k->weight[g] = group[g].weight;
        for (int32_t c = 0; c < group[g].n_replica; c++)
            k->of[r++] = (uint16_t)g;
    }
}

rub_status rub_kinds_init(rub_kinds *k, const rub_run *base) {
    const rub_serve_def *d = base->def;
    rub_serve_group pool[2];
    *k = (rub_kinds){.base = base, .n = d->disagg ? 2 : d->n_group};
    if (k->n == 0)
        return RUB_OK;
    k->run = RUB_NEW(rub_run, k->n);
    k->def = RUB_NEW(rub_serve_def, k->n);
    k->weight = RUB_NEW(double, k->n);
    k->of = RUB_NEW(uint16_t, d->n_replica);
    if (!k->run || !k->def || !k->of || !k->weight || k->n > UINT16_MAX) {
        rub_kinds_clear(k);
        return RUB_NO_MEMORY;
    }
    if (d->disagg)
        pools(base, pool);
    fill(k, d->disagg ? pool : d->group);
    if (d->disagg) {
        k->run[0].hands_over = true;
        k->def[1].prefix_cache = false;
        k->def[1].offload_blocks = 0;
    }
    return RUB_OK;
}

void rub_kinds_clear(rub_kinds *k) {
    free(k->run);
    free(k->def);
    free(k->of);
    free(k->weight);
    *k = (rub_kinds){0};
}
