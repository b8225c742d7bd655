/* Fast engine of every feature: stretches in which every running request decodes and nothing else
 * can happen are stepped over with sums; the requests are touched at both ends only. */
#include "serve/wide.h"

#include <string.h>

typedef struct stretch {
    int64_t n;    /* requests in every iteration */
    int64_t live; /* of them those that get tokens (static: some are over) */
    int64_t kv;   /* their tokens processed */
    int64_t most; /* iterations that nothing of theirs ends */
} stretch;

/* Whether a waiting request could be admitted before a running one ends. */
static bool may_admit(const rub_replica *s) {
    const rub_serve_def *d = s->run->def;
    return rub_queue_n(&s->waiting) > 0 && s->n_held < d->max_seqs &&
           d->policy != RUB_POLICY_STATIC;
}

/* Iterations that seat r lets pass: none of them ends it or completes a block of its prefix. */
static int64_t patience(const rub_replica *s, const rub_seat *r) {
    int64_t left = r->total - r->done - 1;
    if (s->caching) {
        const rub_trace_hashes *h = &s->run->trace->hashes;
        int64_t chain = (int64_t)(h->at[r->id + 1] - h->at[r->id]);
        int64_t full = (r->shared + 1) * h->block_tok - r->done;
        if (r->shared < chain && full < left)
            left = full;
    }
    return left;
}

/* Looks at every request; most is 0 when this is no stretch. */
static stretch look(rub_replica *s) {
    const int64_t size = s->run->def->block_size_tok;
    stretch x = {.most = INT64_MAX};
    if (s->n_list == 0 || s->n_list > rub_micro(s->run->def) || may_admit(s))
        return (stretch){0};
    memset(s->growth, 0, (size_t)size * sizeof *s->growth);
    for (int32_t at = 0; at < s->n_list; at++) {
        const rub_seat *r = &s->seat[s->list[at]];
        x.kv += r->done;
        x.n++;
        if (r->over)
            continue;
        if (!r->prefilled || r->last_s != s->now_s)
            return (stretch){0};
        int64_t left = patience(s, r);
        x.most = left < x.most ? left : x.most;
        x.live++;
        /* takes a block in iteration j (from 0) when done + j exceeds its blocks */
        int64_t held = (r->blocks + r->shared * s->cache_blocks) * size;
        if (held < r->total) /* orca and static hold all that they need */
            s->growth[(held + 1 - r->done) % size]++;
    }
    return x;
}

static void book(rub_replica *s, const stretch *x, int64_t turns, double now_s, double busy_s) {
    const int64_t size = s->run->def->block_size_tok;
    int64_t used = s->run->def->kv_blocks - rub_wide_available(s);
    for (int32_t at = 0; at < s->n_list; at++) {
        rub_seat *r = &s->seat[s->list[at]];
        if (r->over)
            continue;
        r->done += turns;
        r->last_s = now_s;
        int64_t need = rub_blocks(r->done - 1, size) - r->shared * s->cache_blocks;
        r->blocks = need > r->blocks ? need : r->blocks;
    }
    s->now_s = s->totals.end_s = now_s;
    s->stage_free_s[0] = now_s;
    s->totals.busy_s = busy_s;
    s->totals.n_iteration += turns;
    s->totals.decode_tok += turns * x->n;
    if (used > s->totals.kv_most_blocks)
        s->totals.kv_most_blocks = used;
}

void rub_wide_stretch(rub_replica *s, double until_s) {
    if (s->run->def->pp > 1 || s->run->def->spec_draft > 0 || rub_wide_is_async(s))
        return;
    const rub_serve_def *d = s->run->def;
    const int64_t size = d->block_size_tok;
    const int64_t spare = d->policy == RUB_POLICY_SARATHI || d->policy == RUB_POLICY_VLLM_V0;
    stretch x = look(s);
    rub_batch batch = {.n_tokens = x.n, .n_decode = x.n, .kv_decode = x.kv};
    double now = s->now_s, busy = s->totals.busy_s;
    int64_t turns = 0, phase = 0;
    const int64_t idle = s->cache.n_idle * s->cache_blocks;
    for (; turns < x.most && now < until_s; turns++) {
        if (s->free_blocks < s->growth[phase] || s->free_blocks + idle < s->growth[phase] + spare)
            break;
        double duration = rub_perf_duration(s->run->perf, &batch);
        double end = now + d->host_s + duration;
        if (end > until_s)
            break;
        s->free_blocks -= s->growth[phase];
        rub_histogram_add(&s->totals.itl, end - now, (uint64_t)x.live);
        busy += duration;
        s->totals.kv_block_s += duration * (double)(d->kv_blocks - s->free_blocks - idle);
        now = end;
        batch.kv_decode += x.live;
        phase = phase + 1 == size ? 0 : phase + 1;
    }
    if (turns > 0)
        book(s, &x, turns, now, busy);
}
