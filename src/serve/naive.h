/* Naive engine: the test oracle. Lists of requests, one loop for each rule of docs/serve.md, no
 * sums that are kept from one iteration to the next. */
#ifndef RUB_SERVE_NAIVE_H
#define RUB_SERVE_NAIVE_H

#include "serve/replica.h"

typedef struct rub_request {
    int32_t id, prefill; /* tokens to prefill */
    int64_t total;       /* input + output */
    int64_t done;        /* tokens processed */
    bool prefilled;
    bool over;      /* static: complete, stays until the batch ends */
    int64_t blocks; /* of its own */
    int64_t shared; /* leading blocks of its chain that it holds in the prefix cache */
    int64_t turn;   /* number of its admission */
    double last_s;  /* time of its last token */
    int64_t take;   /* tokens in the present batch; 0: in none */
    int64_t unseen; /* asynchronous scheduling: tokens in flight, counted in done (or prefill) */
    bool spent;     /* the same: not scheduled any more */
    double ready_s; /* fetching: its prefix is there */
    bool pull;      /* waiting: its KV comes over a link once it is admitted */
} rub_request;

typedef struct rub_list {
    rub_request **item;
    size_t n, cap;
} rub_list;

/* A cached block; the list stands in order of release, oldest first, held ones anywhere. */
typedef struct rub_cached {
    uint64_t hash;
    int64_t refs;
} rub_cached;

/* Requests that a batch in flight gives a token. */
typedef struct rub_sent {
    int32_t *id;
    size_t n, cap;
} rub_sent;

struct rub_replica {
    const rub_run *run;
    rub_list waiting;
    rub_list running;           /* holding blocks, not in a batch */
    rub_list batch[RUB_MAX_PP]; /* in flight, oldest first */
    double batch_end_s[RUB_MAX_PP];
    double batch_from_s[RUB_MAX_PP], batch_to_s[RUB_MAX_PP]; /* in the stages */
    rub_sent sent[2]; /* asynchronous scheduling: instead of the batches' requests, */
    double host_free_s;
    bool held_back; /* what it preempted is still in flight: nothing is formed */
    size_t n_batch;
    double stage_free_s[RUB_MAX_PP];
    int64_t blocks_used; /* by requests, shared ones not */
    rub_cached *cached;
    size_t n_cached, cached_cap;
    uint64_t *host; /* evicted blocks in host memory, least recently used first */
    size_t n_host, host_cap;
    double fetch_free_s; /* the way from there is busy until then */
    rub_list fetching;   /* in order of becoming ready */
    double now_s;
    bool stuck; /* nothing can be formed until something happens */
    int64_t n_turn;
    rub_list parked;  /* handed over, their blocks still held */
    rub_list pulling; /* admitted, their KV on the way */
    rub_batch formed; /* the batch that was formed last, */
    int64_t formed_prefill_tok;
    double formed_s; /* and its duration */
    rub_serve_totals totals;
};

rub_status rub_list_insert(rub_list *list, size_t at, rub_request *r);
rub_status rub_list_append(rub_list *list, rub_request *r);
rub_request *rub_list_take(rub_list *list, size_t at);

/* ---- memory (naive_blocks.c) ---- */

int64_t rub_naive_available(const rub_replica *s); /* blocks held by no request */
int64_t rub_naive_used(const rub_replica *s);

/* The request's blocks hold kv_tok tokens; false when there are too few. */
bool rub_naive_cover(rub_replica *s, rub_request *r, int64_t kv_tok);
rub_status rub_naive_share(rub_replica *s, rub_request *r, int64_t kv_tok);
int64_t rub_naive_match(const rub_replica *s, int32_t id, int64_t prefill, int64_t *n_idle);
void rub_naive_hold(rub_replica *s, rub_request *r, int64_t n); /* of its chain's first n */
void rub_naive_release(rub_replica *s, rub_request *r);

/* Host memory (naive_offload.c). */
void rub_naive_keep(rub_replica *s, uint64_t hash);
int64_t rub_naive_match_host(const rub_replica *s, int32_t id, int64_t prefill, int64_t from);
rub_status rub_naive_admit_fetching(rub_replica *s, size_t at, int64_t kv_tok, int64_t shared,
                                    int64_t fetched);
rub_status rub_naive_fetched(rub_replica *s);

/* ---- batches ---- */

rub_list *rub_naive_forming(rub_replica *s);
rub_status rub_naive_form(rub_replica *s);
rub_status rub_naive_form_vllm(rub_replica *s);
rub_status rub_naive_restart(rub_replica *s, rub_request *r); /* waits again */
rub_status rub_naive_schedule(rub_replica *s, rub_request *r, int64_t tokens);

/* The waiting request `at` joins the batch with blocks for kv_tok and `shared` cached ones. */
rub_status rub_naive_admit(rub_replica *s, size_t at, int64_t tokens, int64_t kv_tok,
                           int64_t shared);

/* Requests between replicas (naive_pools.c). */
rub_status rub_naive_hand_over(rub_replica *s, rub_request *r);
rub_status rub_naive_join(rub_replica *s, rub_traveller traveller, double at_s);
rub_status rub_naive_admit_pulling(rub_replica *s, size_t at);
void rub_naive_arrived(rub_replica *s, int32_t id, double at_s);
void rub_naive_unpark(rub_replica *s, int32_t id, double at_s);
rub_status rub_naive_fail(rub_replica *s, double at_s, rub_travellers *out);
rub_status rub_naive_enlist(rub_replica *s, rub_request *r); /* into the running list */
rub_status rub_naive_wait(rub_replica *s, rub_request *r, bool again);

/* Asynchronous scheduling (naive_async.c). */
rub_status rub_naive_commit(rub_replica *s);
void rub_naive_deliver(rub_replica *s);
void rub_naive_token(rub_replica *s, rub_request *r);
void rub_naive_finish(rub_replica *s, rub_request *r);

int64_t rub_naive_held(const rub_replica *s); /* requests that hold blocks */
int64_t rub_naive_tokens(const rub_list *batch);

#endif
