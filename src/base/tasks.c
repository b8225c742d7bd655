#include "base/tasks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

typedef struct pool {
    atomic_int next;
    int32_t n;
    void (*task)(void *, int32_t, int32_t);
    void *ctx;
} pool;

typedef struct worker {
    pool *pool;
    int32_t thread;
    pthread_t handle;
} worker;

int32_t rub_thread_count(int32_t wanted) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int32_t n = wanted > 0 ? wanted : cores > 0 ? (int32_t)cores : 1;
    return n < 64 ? n : 64;
}

static void *work(void *arg) {
    worker *w = arg;
    for (int32_t i; (i = atomic_fetch_add(&w->pool->next, 1)) < w->pool->n;)
        w->pool->task(w->pool->ctx, i, w->thread);
    return NULL;
}

void rub_parallel_for(int32_t n, int32_t n_thread, void (*task)(void *, int32_t, int32_t),
                      void *ctx) {
    pool p = {.n = n, .task = task, .ctx = ctx};
    worker w[64];
    int32_t want = rub_thread_count(n_thread), started = 1;
    want = want < n ? want : n;
    for (; started < want; started++) {
        w[started] = (worker){.pool = &p, .thread = started};
        if (pthread_create(&w[started].handle, NULL, work, &w[started]) != 0)
            break;
    }
    w[0] = (worker){.pool = &p};
    work(&w[0]);
    for (int32_t i = 1; i < started; i++)
        pthread_join(w[i].handle, NULL);
}
