/* Fast engine of every feature. Where the plain fast engine keeps sums only, this one keeps the
 * running requests in an array and walks it when something other than decoding happens: O(running
 * requests) an arrival, admission or completion; stretches of pure decoding between them are
 * stepped over in a tight loop with sums (wide_stretch.c).
 *
 * With pipeline stages several batches are in flight, a request in at most one of them. Stages are
 * first in first out and each is busy for the batch's duration, so a batch's end is known when it
 * is formed. */
#ifndef RUB_SERVE_WIDE_H
#define RUB_SERVE_WIDE_H

#include "serve/cache.h"
#include "serve/queue.h"
#include "serve/replica.h"

#include <math.h>

/* One request that holds blocks. */
typedef struct rub_seat {
    int32_t id;
    int32_t prefill; /* tokens to prefill */
    int64_t done;    /* tokens processed */
    int64_t total;   /* input + output */
    int64_t blocks;  /* of its own */
    int64_t shared;  /* leading blocks of its chain that it holds in the prefix cache */
    int64_t turn;    /* number of its admission */
    int64_t take;    /* tokens in the batch in flight; 0: in none */
    double last_s;   /* time of its last token; NaN before the first */
    bool prefilled;
    bool over;    /* static: its answer is complete, it stays until the batch ends */
    bool pulling; /* in neither list nor batch: its KV is on the way */
    /* asynchronous scheduling: done counts what is scheduled; */
    int32_t unseen; /* tokens in flight */
    bool spent;     /* not scheduled any more */
    double ready_s; /* fetching: its prefix is there */
} rub_seat;

/* A batch in flight. */
typedef struct rub_flight {
    double from_s, to_s; /* in the first stage, out of the last */
    double end_s;        /* its results are seen */
    int32_t *seat;       /* in batch order (max_seqs) */
    int32_t *id; /* asynchronous scheduling: requests that get a token, at seat[] (max_seqs) */
    int32_t n;
} rub_flight;

struct rub_replica {
    const rub_run *run;
    rub_queue waiting;
    rub_seat *seat;     /* (max_seqs) */
    int32_t *free_seat; /* stack */
    int32_t n_free_seat;
    int32_t *list; /* running and not in flight (max_seqs) */
    int32_t n_list, n_held;
    rub_flight flight[RUB_MAX_PP]; /* ring: n_flight from first on */
    int32_t first_flight, n_flight, depth;
    double host_free_s; /* asynchronous scheduling: the scheduler is busy until then */
    bool held_back;     /* the same: what it preempted is still in flight, nothing is formed */
    double stage_free_s[RUB_MAX_PP];
    double now_s;
    bool stuck; /* no batch can be formed until something happens */
    int64_t n_turn;
    int64_t free_blocks; /* in use by nobody, not even the cache */
    bool caching;
    rub_cache cache;
    int64_t cache_blocks; /* KV blocks in one cached block */
    rub_cache host;       /* evicted blocks in host memory; cap 0: none */
    double fetch_free_s;  /* the way from there is busy until then */
    int32_t *fetching;    /* seats, next to be ready first (max_seqs); in neither list nor batch */
    int32_t n_fetching;
    int64_t *growth;    /* scratch of stretches (block_size) */
    rub_waiter *passed; /* scratch: waiting requests passed over */
    size_t n_passed, passed_cap;
    double gap_from_s; /* while a batch is completed: gaps not yet counted began here (n_gap) */
    uint64_t n_gap;
    rub_seat *parked; /* handed over, their blocks still held */
    size_t n_parked, parked_cap;
    rub_batch formed; /* the batch that was formed last, */
    int64_t formed_prefill_tok;
    double formed_s; /* and its duration */
    rub_serve_totals totals;
};

static inline rub_flight *rub_wide_forming(rub_replica *s) {
    int32_t k = s->first_flight + s->n_flight;
    return &s->flight[k < s->depth ? k : k - s->depth];
}

/* ---- memory (wide_blocks.c) ---- */

/* Blocks that can be had: free ones and those that only the cache holds. */
static inline int64_t rub_wide_available(const rub_replica *s) {
    return s->free_blocks + s->cache.n_idle * s->cache_blocks;
}

/* Takes blocks until the seat's hold kv_tok tokens; false (and nothing taken) when there are too
 * few. */
bool rub_wide_cover_more(rub_replica *s, rub_seat *seat, int64_t kv_tok);

static inline bool rub_wide_cover(rub_replica *s, rub_seat *seat, int64_t kv_tok) {
    int64_t held = seat->blocks + seat->shared * s->cache_blocks;
    return kv_tok <= held * s->run->def->block_size_tok || rub_wide_cover_more(s, seat, kv_tok);
}

/* The prefix's blocks that are full with kv_tok tokens go into the cache. */
void rub_wide_share(rub_replica *s, rub_seat *seat, int64_t kv_tok);

/* Leading blocks of request id's chain in the cache, at most those before its last token of
 * prefill; *n_idle: of them held by nobody. */
int64_t rub_wide_match(const rub_replica *s, int32_t id, int64_t prefill, int64_t *n_idle);

void rub_wide_release(rub_replica *s, rub_seat *seat); /* gives all its blocks back */

/* ---- the running list (wide.c) ---- */

/* Whether the queue's head could be admitted with `blocks` blocks, `kept` left over. */
bool rub_wide_fits(const rub_replica *s, int64_t blocks, int64_t kept);

/* The queue's head joins the batch being formed with `take` tokens, `blocks` blocks, and `shared`
 * cached ones. */
void rub_wide_admit(rub_replica *s, int64_t take, int64_t blocks, int64_t shared);

/* The queue's head, which pulls its KV, gets a seat and blocks for it; it may decode once that has
 * arrived. */
rub_status rub_wide_admit_pulling(rub_replica *s);

/* The queue's head gets a seat and blocks for kv_tok; `shared` of them cached ones. */
int32_t rub_wide_seat(rub_replica *s, int64_t kv_tok, int64_t shared);

/* Host memory (wide_offload.c). Blocks of request id's chain after the first `from` that are there,
 * before its last token of prefill. */
bool rub_wide_init_host(rub_replica *s);
int64_t rub_wide_match_host(const rub_replica *s, int32_t id, int64_t prefill, int64_t from);

void rub_wide_touch_host(rub_replica *s, int32_t id, int64_t from, int64_t n);

/* The queue's head gets a seat and blocks and fetches so many cached blocks after `shared`. */
void rub_wide_admit_fetching(rub_replica *s, int64_t kv_tok, int64_t shared, int64_t fetched);
void rub_wide_fetched(rub_replica *s); /* those that are ready join the list */

static inline double rub_wide_ready_s(const rub_replica *s) {
    return s->n_fetching > 0 ? s->seat[s->fetching[0]].ready_s : HUGE_VAL;
}

/* list[at] joins the batch being formed; it stays in the list until rub_wide_leave_list. */
static inline void rub_wide_schedule(rub_replica *s, int32_t at, int64_t take) {
    rub_flight *f = rub_wide_forming(s);
    s->seat[s->list[at]].take = take;
    f->seat[f->n++] = s->list[at];
}
void rub_wide_leave_list(rub_replica *s); /* drops from the list what is in flight */

/* list[at] loses its blocks and its place and waits again. */
rub_status rub_wide_send_back(rub_replica *s, int32_t at);

/* A request has a token now; *last_s: the time of its last one. It ends and leaves its seat. */
void rub_wide_token(rub_replica *s, int32_t id, double *last_s);
void rub_wide_ends(rub_replica *s, int32_t id);
void rub_wide_drop_seat(rub_replica *s, int32_t seat);

/* Asynchronous scheduling (wide_async.c): the batch that was formed counts as done; the tokens of one
 * that is through are seen. */
static inline bool rub_wide_is_async(const rub_replica *s) {
    return s->run->def->async != RUB_ASYNC_NONE;
}
void rub_wide_commit(rub_replica *s);
void rub_wide_deliver(rub_replica *s, rub_flight *flight);

/* Requests between replicas (wide_pools.c). */
rub_status rub_wide_hand_over(rub_replica *s, int32_t seat);
rub_status rub_wide_join(rub_replica *s, rub_traveller traveller, double at_s);
void rub_wide_arrived(rub_replica *s, int32_t id, double at_s);
void rub_wide_unpark(rub_replica *s, int32_t id, double at_s);
rub_status rub_wide_fail(rub_replica *s, double at_s, rub_travellers *out);
void rub_wide_enlist(rub_replica *s, int32_t seat); /* into the running list */
bool rub_wide_init_cache(rub_replica *s);

/* Forms a batch into the next flight; n stays 0 when there is nothing to do. */
rub_status rub_wide_form(rub_replica *s);
rub_status rub_wide_form_vllm(rub_replica *s);

/* Steps over iterations in which every running request decodes and nothing else happens. */
void rub_wide_stretch(rub_replica *s, double until_s);

#endif
