/* Fast engine of every feature: host memory behind the prefix cache. What the cache evicts is kept
 * there, least recently used out first; a request whose prefix goes on there gets its seat and blocks,
 * and runs when the prefix has been fetched, one request after the other (as vLLM's
 * OffloadingConnector loads beside the iterations). */
#include "serve/wide.h"

#include "base/array.h"

#include <stdlib.h>
#include <string.h>

bool rub_wide_init_host(rub_replica *s) {
    const rub_serve_def *d = s->run->def;
    if (!s->caching || d->offload_blocks < s->cache_blocks)
        return true;
    if (!s->fetching && !(s->fetching = RUB_NEW(int32_t, d->max_seqs)))
        return false;
    return rub_cache_init(&s->host, d->offload_blocks / s->cache_blocks) == RUB_OK;
}

int64_t rub_wide_match_host(const rub_replica *s, int32_t id, int64_t prefill, int64_t from) {
    const rub_trace_hashes *h = &s->run->trace->hashes;
    int64_t n = (int64_t)(h->at[id + 1] - h->at[id]), most = (prefill - 1) / h->block_tok, idle;
    n = n < most ? n : most;
    return n > from ? rub_cache_match(&s->host, h->hash + h->at[id] + from, n - from, &idle) : 0;
}

void rub_wide_fetched(rub_replica *s) {
    int32_t n = 0;
    for (; n < s->n_fetching && s->seat[s->fetching[n]].ready_s <= s->now_s; n++) {
        rub_seat *seat = &s->seat[s->fetching[n]];
        rub_wide_share(s, seat, seat->done);
        rub_wide_enlist(s, s->fetching[n]);
    }
    if (n == 0)
        return;
    s->n_fetching -= n;
    memmove(s->fetching, s->fetching + n, (size_t)s->n_fetching * sizeof *s->fetching);
}

/* What is fetched has been used; its first block becomes the newest. */
void rub_wide_touch_host(rub_replica *s, int32_t id, int64_t from, int64_t n) {
    const rub_trace_hashes *h = &s->run->trace->hashes;
    for (int64_t k = from + n; k-- > from;)
        rub_cache_keep(&s->host, h->hash[h->at[id] + (size_t)k]);
}
