/* Compiled durations, one for each layout: rows that differ in lengths and clients share them. */
#include "validate/validate.h"

#include "base/array.h"
#include "base/tasks.h"

#include <stdlib.h>
#include <string.h>

static bool same_pool(const rub_silicon_pool *a, const rub_silicon_pool *b) {
    return a->tp == b->tp && a->dp == b->dp && a->ep == b->ep;
}

static bool same_names(const rub_silicon_row *a, const rub_silicon_row *b) {
    return strcmp(a->engine, b->engine) == 0 && strcmp(a->model, b->model) == 0 &&
           strcmp(a->system, b->system) == 0 && strcmp(a->precision, b->precision) == 0 &&
           strcmp(a->quant, b->quant) == 0 && a->recipe.kv_cache == b->recipe.kv_cache &&
           a->recipe.budget_tok == b->recipe.budget_tok;
}

static int32_t find_or_add(rub_silicon_cache *c, const rub_silicon_row *row,
                           const rub_silicon_pool *pool, int32_t fold) {
    for (int32_t i = 0; i < c->n; i++)
        if (c->entry[i].fold == fold && same_pool(c->entry[i].pool, pool) &&
            same_names(c->entry[i].row, row))
            return i;
    c->entry[c->n] = (rub_silicon_entry){.row = row, .pool = pool, .fold = fold};
    return c->n++;
}

rub_status rub_silicon_cache_init(rub_silicon_cache *cache, const rub_silicon *silicon,
                                  const int32_t *twin, const int32_t *fold, bool disagg) {
    size_t n = silicon->n_row;
    rub_silicon_cache c = {.pool = RUB_NEW(int32_t, n + 1),
                           .prefill = RUB_NEW(int32_t, n + 1),
                           .entry = RUB_NEW(rub_silicon_entry, 2 * n + 1)};
    if (!c.pool || !c.prefill || !c.entry) {
        rub_silicon_cache_clear(&c);
        return RUB_NO_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        const rub_silicon_row *row = &silicon->row[i];
        int32_t own = fold ? fold[i] : 0;
        c.pool[i] = c.prefill[i] = -1;
        if (twin[i] != (int32_t)i || (row->disagg && !disagg))
            continue;
        c.pool[i] = find_or_add(&c, row, &row->pool, own);
        if (row->disagg)
            c.prefill[i] = find_or_add(&c, row, &row->prefill, own);
    }
    *cache = c;
    return RUB_OK;
}

void rub_silicon_cache_clear(rub_silicon_cache *c) {
    for (int32_t i = 0; i < c->n; i++)
        rub_perf_clear(&c->entry[i].perf);
    free(c->pool);
    free(c->prefill);
    free(c->entry);
    *c = (rub_silicon_cache){0};
}

typedef struct work {
    rub_silicon_cache *cache;
    const rub_catalog *catalog;
    const rub_validate_def *def;
    const rub_engine_constants (*constants)[RUB_BACKEND_TRTLLM + 1];
} work;

/* A row that cannot be deployed has no durations; it says why when it is predicted. One client, so
 * that memory is no reason here that others with the layout do not have. */
static void compile(void *ctx, int32_t i, int32_t thread) {
    (void)thread;
    work *w = ctx;
    rub_silicon_entry *e = &w->cache->entry[i];
    rub_validate_def def = *w->def;
    rub_silicon_job job;
    rub_silicon_row row = *e->row;
    row.concurrency = row.pool.dp;
    if (w->constants)
        def.constants = w->constants[e->fold];
    rub_perf_clear(&e->perf);
    if (rub_silicon_deploy(&row, e->pool, w->catalog, &def, &job, NULL) == RUB_OK)
        (void)rub_perf_compile(&job.deployment, &e->perf, NULL);
}

void rub_silicon_cache_compile(rub_silicon_cache *cache, const rub_catalog *catalog,
                               const rub_validate_def *def,
                               const rub_engine_constants (*constants)[RUB_BACKEND_TRTLLM + 1]) {
    work w = {cache, catalog, def, constants};
    rub_parallel_for(cache->n, rub_thread_count(def->n_thread), compile, &w);
}
