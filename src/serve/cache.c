/* Prefix cache: a hash table with linear probing and backward-shift deletion, and a linked list. */
#include "serve/cache.h"

#include "base/array.h"

#include <stdlib.h>

rub_status rub_cache_init(rub_cache *c, int64_t cap) {
    if (cap < 1 || cap > (1 << 29))
        return RUB_NO_MEMORY;
    *c = (rub_cache){.cap = (int32_t)cap, .n_bucket = 8, .oldest = -1, .newest = -1};
    while (c->n_bucket < 2 * cap)
        c->n_bucket *= 2;
    c->entry = RUB_NEW(rub_cache_entry, cap);
    c->free_entry = RUB_NEW(int32_t, cap);
    c->bucket = RUB_NEW(int32_t, c->n_bucket);
    if (!c->entry || !c->free_entry || !c->bucket) {
        rub_cache_clear(c);
        return RUB_NO_MEMORY;
    }
    for (int32_t i = 0; i < c->cap; i++)
        c->free_entry[i] = c->cap - 1 - i;
    c->n_free = c->cap;
    return RUB_OK;
}

void rub_cache_clear(rub_cache *c) {
    free(c->entry);
    free(c->free_entry);
    free(c->bucket);
    *c = (rub_cache){0};
}

/* SplitMix64's finaliser: traces number their hashes from 0. */
static int32_t home_of(const rub_cache *c, uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (int32_t)((x ^ (x >> 31)) & (uint64_t)(c->n_bucket - 1));
}

/* The bucket of a hash, or the empty one where it would go. */
static int32_t find(const rub_cache *c, uint64_t hash) {
    int32_t b = home_of(c, hash);
    while (c->bucket[b] && c->entry[c->bucket[b] - 1].hash != hash)
        b = (b + 1) & (c->n_bucket - 1);
    return b;
}

bool rub_cache_has(const rub_cache *c, uint64_t hash) { return c->bucket[find(c, hash)] != 0; }

int64_t rub_cache_match(const rub_cache *c, const uint64_t *chain, int64_t n, int64_t *n_idle) {
    int64_t i = 0;
    *n_idle = 0;
    for (; i < n; i++) {
        int32_t e = c->bucket[find(c, chain[i])];
        if (!e)
            break;
        *n_idle += c->entry[e - 1].refs == 0;
    }
    return i;
}

static void unlink_idle(rub_cache *c, int32_t e) {
    rub_cache_entry *x = &c->entry[e];
    if (x->before >= 0)
        c->entry[x->before].after = x->after;
    else
        c->oldest = x->after;
    if (x->after >= 0)
        c->entry[x->after].before = x->before;
    else
        c->newest = x->before;
    c->n_idle--;
}

void rub_cache_hold(rub_cache *c, uint64_t hash) {
    int32_t e = c->bucket[find(c, hash)] - 1;
    if (c->entry[e].refs++ == 0)
        unlink_idle(c, e);
}

void rub_cache_release(rub_cache *c, uint64_t hash) {
    int32_t e = c->bucket[find(c, hash)] - 1;
    rub_cache_entry *x = &c->entry[e];
    if (--x->refs > 0)
        return;
    x->before = c->newest;
    x->after = -1;
    if (c->newest >= 0)
        c->entry[c->newest].after = e;
    else
        c->oldest = e;
    c->newest = e;
    c->n_idle++;
}

void rub_cache_insert(rub_cache *c, uint64_t hash) {
    int32_t e = c->free_entry[--c->n_free];
    c->bucket[find(c, hash)] = e + 1;
    c->entry[e] = (rub_cache_entry){.hash = hash, .refs = 1, .before = -1, .after = -1};
    c->n++;
}

/* Closes the gap that a removed bucket leaves in its run (Knuth, TAOCP 3, 6.4, algorithm R). */
static void close_gap(rub_cache *c, int32_t gap) {
    int32_t mask = c->n_bucket - 1;
    for (int32_t b = (gap + 1) & mask; c->bucket[b]; b = (b + 1) & mask) {
        int32_t home = home_of(c, c->entry[c->bucket[b] - 1].hash);
        if (((b - home) & mask) >= ((b - gap) & mask)) {
            c->bucket[gap] = c->bucket[b];
            gap = b;
        }
    }
    c->bucket[gap] = 0;
}

uint64_t rub_cache_evict(rub_cache *c) {
    int32_t e = c->oldest;
    uint64_t hash = c->entry[e].hash;
    unlink_idle(c, e);
    close_gap(c, find(c, c->entry[e].hash));
    c->free_entry[c->n_free++] = e;
    c->n--;
    return hash;
}

void rub_cache_keep(rub_cache *c, uint64_t hash) {
    if (rub_cache_has(c, hash))
        rub_cache_hold(c, hash);
    else {
        if (c->n_free == 0)
            rub_cache_evict(c);
        rub_cache_insert(c, hash);
    }
    rub_cache_release(c, hash);
}
