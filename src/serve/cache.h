/* Prefix cache of one replica: token blocks by chained hash, with reference counts; blocks that no
 * request holds stay until room is needed, least recently released first.
 *
 * A cached block (a trace's hash block) takes `size` KV blocks. Requests hold the leading blocks of
 * their chain; they release the last one first, so a block is never evicted before those that
 * continue it. */
#ifndef RUB_SERVE_CACHE_H
#define RUB_SERVE_CACHE_H

#include "rubato/base.h"

typedef struct rub_cache_entry {
    uint64_t hash;
    int32_t refs;          /* requests that hold it */
    int32_t before, after; /* list of those held by nobody, oldest first; -1 ends */
} rub_cache_entry;

typedef struct rub_cache {
    rub_cache_entry *entry; /* (cap) */
    int32_t *free_entry;    /* stack */
    int32_t *bucket;        /* open addressing: entry + 1; 0: empty (n_bucket, a power of two) */
    int32_t n_free, cap, n_bucket;
    int32_t oldest, newest; /* held by nobody */
    int64_t n_idle, n;      /* held by nobody; all */
} rub_cache;

/* Room for `cap` blocks. Errors: RUB_NO_MEMORY. */
rub_status rub_cache_init(rub_cache *cache, int64_t cap);
void rub_cache_clear(rub_cache *cache);

/* How many leading hashes of chain[0..n) are in the cache, and how many of those nobody holds. */
int64_t rub_cache_match(const rub_cache *cache, const uint64_t *chain, int64_t n, int64_t *n_idle);

void rub_cache_hold(rub_cache *cache, uint64_t hash);    /* present */
void rub_cache_release(rub_cache *cache, uint64_t hash); /* present and held */
bool rub_cache_has(const rub_cache *cache, uint64_t hash);
void rub_cache_insert(rub_cache *cache, uint64_t hash); /* absent, n < cap; held once */
uint64_t
rub_cache_evict(rub_cache *cache); /* the oldest held by nobody, which there is; its hash */

/* As a cache of blocks that nobody holds (host memory): makes it the newest, and the oldest goes when
 * there is no room. */
void rub_cache_keep(rub_cache *cache, uint64_t hash);

#endif
