/* Tasks: the same function over 0..n-1 on several threads. What a task computes may depend on its
 * index only, never on the thread, so results are the same for any number of threads. */
#ifndef RUB_BASE_TASKS_H
#define RUB_BASE_TASKS_H

#include <stdint.h>

/* Cores when wanted is 0, at most 64. */
int32_t rub_thread_count(int32_t wanted);

/* Calls task(ctx, index, thread) for every index; thread is 0..n_thread-1, for scratch. Runs on the
 * caller's thread too, and on it alone when threads cannot be made. */
void rub_parallel_for(int32_t n, int32_t n_thread,
                      void (*task)(void *ctx, int32_t index, int32_t thread), void *ctx);

#endif
