/* Fast engine of every feature: KV blocks and the prefix cache. */
#include "serve/wide.h"

static const uint64_t *chain_of(const rub_replica *s, int32_t id, int64_t *n) {
    const rub_trace_hashes *h = &s->run->trace->hashes;
    *n = (int64_t)(h->at[id + 1] - h->at[id]);
    return h->hash + h->at[id];
}

/* There are `n` blocks to be had: those of the cache that nobody holds go first come first gone. */
static void make_free(rub_replica *s, int64_t n) {
    while (s->free_blocks < n) {
        uint64_t hash = rub_cache_evict(&s->cache);
        if (s->host.cap > 0)
            rub_cache_keep(&s->host, hash);
        s->free_blocks += s->cache_blocks;
    }
}

bool rub_wide_cover_more(rub_replica *s, rub_seat *seat, int64_t kv_tok) {
    int64_t need = rub_blocks(kv_tok, s->run->def->block_size_tok) - seat->blocks -
                   seat->shared * s->cache_blocks;
    if (rub_wide_available(s) < need)
        return false;
    make_free(s, need);
    s->free_blocks -= need;
    seat->blocks += need;
    return true;
}

void rub_wide_share(rub_replica *s, rub_seat *seat, int64_t kv_tok) {
    if (!s->caching)
        return;
    int64_t n, full = kv_tok / s->run->trace->hashes.block_tok;
    const uint64_t *chain = chain_of(s, seat->id, &n);
    for (full = full < n ? full : n; seat->shared < full; seat->shared++) {
        uint64_t hash = chain[seat->shared];
        seat->blocks -= s->cache_blocks;
        if (rub_cache_has(&s->cache, hash)) { /* somebody else was first: one copy is enough */
            rub_cache_hold(&s->cache, hash);
            s->free_blocks += s->cache_blocks;
        } else
            rub_cache_insert(&s->cache, hash);
    }
}

int64_t rub_wide_match(const rub_replica *s, int32_t id, int64_t prefill, int64_t *n_idle) {
    *n_idle = 0;
    if (!s->caching)
        return 0;
    int64_t n, most = (prefill - 1) / s->run->trace->hashes.block_tok;
    const uint64_t *chain = chain_of(s, id, &n);
    return rub_cache_match(&s->cache, chain, n < most ? n : most, n_idle);
}

void rub_wide_release(rub_replica *s, rub_seat *seat) {
    s->free_blocks += seat->blocks;
    seat->blocks = 0;
    if (seat->shared > 0) {
        int64_t n;
        const uint64_t *chain = chain_of(s, seat->id, &n);
        while (seat->shared > 0)
            rub_cache_release(&s->cache, chain[--seat->shared]);
    }
}
