/* A contest of replicas by a key: the lowest key wins, ties the lowest index. A binary tree that
 * keeps key and winner of each node; setting a key is a loop of known length without branches, so
 * its loads do not wait for each other. */
#ifndef RUB_SERVE_CONTEST_H
#define RUB_SERVE_CONTEST_H

#include "rubato/base.h"

typedef struct rub_entry {
    int64_t rank; /* orders as the key does */
    int64_t replica;
} rub_entry;

typedef struct rub_contest {
    rub_entry *node; /* winner of each node from 1 (the root) on; leaves from n_leaf on */
    uint32_t n_leaf; /* a power of two; leaves beyond the replicas have infinite keys */
} rub_contest;

rub_status rub_contest_init(rub_contest *contest, size_t n); /* n > 0; all keys infinite */
void rub_contest_clear(rub_contest *contest);

/* The bits of doubles order as integers of sign and magnitude; these as two's complement. */
static inline int64_t rub_rank_of(double key) {
    union {
        double d;
        int64_t i;
    } x = {.d = key};
    return x.i >= 0 ? x.i : INT64_MIN - x.i;
}

static inline double rub_key_of(int64_t rank) {
    union {
        int64_t i;
        double d;
    } x = {.i = rank >= 0 ? rank : INT64_MIN - rank};
    return x.d;
}

static inline void rub_contest_set(rub_contest *c, size_t replica, double key) {
    rub_entry *node = c->node;
    int64_t rank = rub_rank_of(key), winner = (int64_t)replica;
    size_t i = c->n_leaf + replica;
    node[i].rank = rank;
    for (; i > 1; i /= 2) {
        int64_t other = node[i ^ 1].rank, its = node[i ^ 1].replica;
        /* ties: when it stands left; all ones where it wins, because compilers make branches of
         * conditions, and these are not to be foreseen */
        int64_t wins = -(int64_t)(other < rank + (int64_t)(i & 1));
        rank ^= (rank ^ other) & wins;
        winner ^= (winner ^ its) & wins;
        node[i / 2].rank = rank;
        node[i / 2].replica = winner;
    }
}

static inline double rub_contest_key(const rub_contest *c, size_t replica) {
    return rub_key_of(c->node[c->n_leaf + replica].rank);
}

static inline size_t rub_contest_first(const rub_contest *c) { return (size_t)c->node[1].replica; }

static inline double rub_contest_first_key(const rub_contest *c) {
    return rub_key_of(c->node[1].rank);
}

#endif
