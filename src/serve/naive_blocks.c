/* Naive engine: KV blocks and the prefix cache, by counting and looking through lists. */
#include "serve/naive.h"

#include "base/array.h"

#include <string.h>

static int64_t cache_blocks(const rub_replica *s) {
    return s->run->def->prefix_cache ? s->run->trace->hashes.block_tok / s->run->def->block_size_tok
                                     : 0;
}

static int64_t free_blocks(const rub_replica *s) {
    return s->run->def->kv_blocks - s->blocks_used - (int64_t)s->n_cached * cache_blocks(s);
}

int64_t rub_naive_available(const rub_replica *s) {
    int64_t n = free_blocks(s);
    for (size_t i = 0; i < s->n_cached; i++)
        n += s->cached[i].refs == 0 ? cache_blocks(s) : 0;
    return n;
}

int64_t rub_naive_used(const rub_replica *s) {
    return s->run->def->kv_blocks - rub_naive_available(s);
}

static void remove_cached(rub_replica *s, size_t i) {
    memmove(s->cached + i, s->cached + i + 1, (s->n_cached - i - 1) * sizeof *s->cached);
    s->n_cached--;
}

static void evict_oldest(rub_replica *s) {
    size_t i = 0;
    while (s->cached[i].refs > 0)
        i++;
    rub_naive_keep(s, s->cached[i].hash);
    remove_cached(s, i);
}

bool rub_naive_cover(rub_replica *s, rub_request *r, int64_t kv_tok) {
    int64_t need =
        rub_blocks(kv_tok, s->run->def->block_size_tok) - r->blocks - r->shared * cache_blocks(s);
    if (need <= 0)
        return true;
    if (rub_naive_available(s) < need)
        return false;
    while (free_blocks(s) < need)
        evict_oldest(s);
    r->blocks += need;
    s->blocks_used += need;
    return true;
}

static const uint64_t *chain_of(const rub_replica *s, int32_t id, int64_t *n) {
    const rub_trace_hashes *h = &s->run->trace->hashes;
    *n = (int64_t)(h->at[id + 1] - h->at[id]);
    return h->hash + h->at[id];
}

static size_t find(const rub_replica *s, uint64_t hash) {
    size_t i = 0;
    while (i < s->n_cached && s->cached[i].hash != hash)
        i++;
    return i;
}

rub_status rub_naive_share(rub_replica *s, rub_request *r, int64_t kv_tok) {
    int64_t n;
    if (!s->run->def->prefix_cache)
        return RUB_OK;
    const uint64_t *chain = chain_of(s, r->id, &n);
    while (r->shared < n && (r->shared + 1) * s->run->trace->hashes.block_tok <= kv_tok) {
        uint64_t hash = chain[r->shared++];
        size_t i = find(s, hash);
        r->blocks -= cache_blocks(s);
        s->blocks_used -= cache_blocks(s);
        if (i < s->n_cached)
            s->cached[i].refs++;
        else
            RUB_TRY(RUB_ARRAY_PUSH(s->cached, s->n_cached, s->cached_cap,
                                   ((rub_cached){.hash = hash, .refs = 1})));
    }
    return RUB_OK;
}

int64_t rub_naive_match(const rub_replica *s, int32_t id, int64_t prefill, int64_t *n_idle) {
    int64_t n, i = 0;
    *n_idle = 0;
    if (!s->run->def->prefix_cache)
        return 0;
    const uint64_t *chain = chain_of(s, id, &n);
    for (; i < n && (i + 1) * s->run->trace->hashes.block_tok < prefill; i++) {
        size_t at = find(s, chain[i]);
        if (at == s->n_cached)
            break;
        *n_idle += s->cached[at].refs == 0;
    }
    return i;
}

void rub_naive_hold(rub_replica *s, rub_request *r, int64_t n) {
    int64_t n_chain;
    if (n == 0)
        return;
    const uint64_t *chain = chain_of(s, r->id, &n_chain);
    for (; r->shared < n; r->shared++)
        s->cached[find(s, chain[r->shared])].refs++;
}

/* Its last block first; what nobody holds any more is the newest of those. */
void rub_naive_release(rub_replica *s, rub_request *r) {
    int64_t n;
    s->blocks_used -= r->blocks;
    r->blocks = 0;
    if (r->shared == 0)
        return;
    const uint64_t *chain = chain_of(s, r->id, &n);
    while (r->shared > 0) {
        size_t i = find(s, chain[--r->shared]);
        rub_cached one = s->cached[i];
        one.refs--;
        remove_cached(s, i);
        s->cached[s->n_cached++] = one;
    }
}
