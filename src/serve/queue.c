#include "serve/queue.h"

#include "base/array.h"

#include <stdlib.h>

void rub_queue_clear(rub_queue *q) {
    rub_waiting_clear(&q->fifo);
    free(q->heap);
    *q = (rub_queue){0};
}

static bool sooner(const rub_queue *q, rub_waiter a, rub_waiter b) {
    int64_t x = q->rank[a.id], y = q->rank[b.id];
    return x < y || (x == y && a.id < b.id);
}

static rub_status heap_push(rub_queue *q, rub_waiter one) {
    if (rub_array_reserve((void **)&q->heap, &q->cap, q->n_heap + 1, sizeof one) != RUB_OK)
        return RUB_NO_MEMORY;
    size_t i = q->n_heap++;
    for (size_t up; i > 0 && sooner(q, one, q->heap[up = (i - 1) / 2]); i = up)
        q->heap[i] = q->heap[up];
    q->heap[i] = one;
    return RUB_OK;
}

static rub_waiter heap_pop(rub_queue *q) {
    rub_waiter first = q->heap[0], last = q->heap[--q->n_heap];
    size_t i = 0;
    for (size_t down; (down = 2 * i + 1) < q->n_heap; i = down) {
        if (down + 1 < q->n_heap && sooner(q, q->heap[down + 1], q->heap[down]))
            down++;
        if (!sooner(q, q->heap[down], last))
            break;
        q->heap[i] = q->heap[down];
    }
    q->heap[i] = last;
    return first;
}

rub_status rub_queue_push(rub_queue *q, rub_waiter one) {
    q->tok += one.prefill;
    return q->rank ? heap_push(q, one) : rub_waiting_push(&q->fifo, one);
}

rub_status rub_queue_push_front(rub_queue *q, rub_waiter one) {
    q->tok += one.prefill;
    return q->rank ? heap_push(q, one) : rub_waiting_push_front(&q->fifo, one);
}

rub_waiter rub_queue_pop(rub_queue *q) {
    rub_waiter one = *rub_queue_first(q);
    q->tok -= one.prefill;
    if (q->rank)
        heap_pop(q);
    else
        rub_waiting_pop(&q->fifo);
    return one;
}

rub_waiter *rub_queue_find(rub_queue *q, int32_t id) {
    if (q->rank) {
        size_t i = 0;
        while (q->heap[i].id != id)
            i++;
        return &q->heap[i];
    }
    uint32_t k = 0;
    while (q->fifo.ring[(q->fifo.head + k) & (q->fifo.room - 1)].id != id)
        k++;
    return &q->fifo.ring[(q->fifo.head + k) & (q->fifo.room - 1)];
}

/* The ring closes the gap from its head; the heap moves its last entry there. */
void rub_queue_drop(rub_queue *q, int32_t id) {
    rub_waiter *one = rub_queue_find(q, id);
    if (q->rank) {
        int64_t tok = one->prefill;
        rub_waiter last = q->heap[--q->n_heap];
        if (last.id != id) {
            size_t i = (size_t)(one - q->heap);
            for (size_t up; i > 0 && sooner(q, last, q->heap[up = (i - 1) / 2]); i = up)
                q->heap[i] = q->heap[up];
            for (size_t down; (down = 2 * i + 1) < q->n_heap; i = down) {
                if (down + 1 < q->n_heap && sooner(q, q->heap[down + 1], q->heap[down]))
                    down++;
                if (!sooner(q, q->heap[down], last))
                    break;
                q->heap[i] = q->heap[down];
            }
            q->heap[i] = last;
        }
        q->tok -= tok;
        return;
    }
    q->tok -= one->prefill;
    q->fifo.tok -= one->prefill;
    uint32_t mask = q->fifo.room - 1, at = (uint32_t)(one - q->fifo.ring);
    for (; at != q->fifo.head; at = (at - 1) & mask)
        q->fifo.ring[at] = q->fifo.ring[(at - 1) & mask];
    q->fifo.head = (q->fifo.head + 1) & mask;
    q->fifo.n--;
}
