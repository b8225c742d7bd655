/* Naive engine: host memory behind the prefix cache (docs/serve.md). */
#include "serve/naive.h"

#include "base/array.h"

#include <math.h>
#include <string.h>

static size_t find(const rub_replica *s, uint64_t hash) {
    size_t i = 0;
    while (i < s->n_host && s->host[i] != hash)
        i++;
    return i;
}

static void remove_at(rub_replica *s, size_t i) {
    memmove(s->host + i, s->host + i + 1, (s->n_host - i - 1) * sizeof *s->host);
    s->n_host--;
}

void rub_naive_keep(rub_replica *s, uint64_t hash) {
    const rub_serve_def *d = s->run->def;
    int64_t room = d->offload_blocks / (s->run->trace->hashes.block_tok / d->block_size_tok);
    size_t at = find(s, hash);
    if (room == 0)
        return;
    if (at < s->n_host)
        remove_at(s, at);
    else if ((int64_t)s->n_host == room)
        remove_at(s, 0);
    if (rub_array_reserve((void **)&s->host, &s->host_cap, s->n_host + 1, sizeof *s->host) ==
        RUB_OK)
        s->host[s->n_host++] = hash;
}

int64_t rub_naive_match_host(const rub_replica *s, int32_t id, int64_t prefill, int64_t from) {
    const rub_trace_hashes *h = &s->run->trace->hashes;
    int64_t n = 0;
    if (!s->run->def->prefix_cache)
        return 0;
    while (h->at[id] + (size_t)(from + n) < h->at[id + 1] &&
           (from + n + 1) * h->block_tok < prefill &&
           find(s, h->hash[h->at[id] + (size_t)(from + n)]) < s->n_host)
        n++;
    return n;
}

rub_status rub_naive_admit_fetching(rub_replica *s, size_t at, int64_t kv_tok, int64_t shared,
                                    int64_t fetched) {
    const rub_trace_hashes *h = &s->run->trace->hashes;
    rub_request *r = rub_list_take(&s->waiting, at);
    double *first = &s->run->times->scheduled_s[r->id];
    for (int64_t k = shared + fetched; k-- > shared;)
        rub_naive_keep(s, h->hash[h->at[r->id] + (size_t)k]);
    rub_naive_hold(s, r, shared);
    r->done = (shared + fetched) * h->block_tok;
    r->turn = s->n_turn++;
    rub_naive_cover(s, r, kv_tok);
    if (isnan(*first)) {
        *first = s->now_s;
        s->run->times->cached_tok[r->id] = (int32_t)r->done;
    }
    double tok = (double)(fetched * h->block_tok);
    r->ready_s = fmax(s->now_s, s->fetch_free_s) + tok / s->run->def->offload_tok_per_s;
    s->fetch_free_s = r->ready_s;
    s->totals.fetched_tok += fetched * h->block_tok;
    return rub_list_append(&s->fetching, r);
}

rub_status rub_naive_fetched(rub_replica *s) {
    while (s->fetching.n > 0 && s->fetching.item[0]->ready_s <= s->now_s) {
        rub_request *r = rub_list_take(&s->fetching, 0);
        RUB_TRY(rub_naive_share(s, r, r->done));
        RUB_TRY(rub_naive_enlist(s, r));
    }
    return RUB_OK;
}
