#include "serve/link.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

void rub_link_clear(rub_link *l) {
    free(l->heap);
    *l = (rub_link){0};
}

static bool sooner(rub_transfer a, rub_transfer b) {
    return a.end_bytes < b.end_bytes || (a.end_bytes == b.end_bytes && a.number < b.number);
}

static void pass_time(rub_link *l, double at_s) {
    if (l->n > 0) {
        l->moved_bytes += (at_s - l->now_s) * l->bytes_per_s / (double)l->n;
        l->busy_s += at_s - l->now_s;
    }
    l->now_s = at_s;
}

rub_status rub_link_start(rub_link *l, int32_t id, double bytes, double at_s) {
    if (rub_array_reserve((void **)&l->heap, &l->cap, l->n + 1, sizeof *l->heap) != RUB_OK)
        return RUB_NO_MEMORY;
    pass_time(l, at_s);
    rub_transfer x = {l->moved_bytes + bytes, l->n_started++, id};
    size_t i = l->n++;
    for (size_t up; i > 0 && sooner(x, l->heap[up = (i - 1) / 2]); i = up)
        l->heap[i] = l->heap[up];
    l->heap[i] = x;
    return RUB_OK;
}

double rub_link_next_end(const rub_link *l) {
    if (l->n == 0)
        return HUGE_VAL;
    double left = l->heap[0].end_bytes - l->moved_bytes;
    return l->now_s + (left > 0 ? left * (double)l->n / l->bytes_per_s : 0.0);
}

int32_t rub_link_end(rub_link *l) {
    rub_transfer first = l->heap[0];
    pass_time(l, rub_link_next_end(l));
    l->moved_bytes = first.end_bytes; /* exactly, whatever the rounding of times */
    rub_transfer last = l->heap[--l->n];
    size_t i = 0;
    for (size_t down; (down = 2 * i + 1) < l->n; i = down) {
        if (down + 1 < l->n && sooner(l->heap[down + 1], l->heap[down]))
            down++;
        if (!sooner(l->heap[down], last))
            break;
        l->heap[i] = l->heap[down];
    }
    l->heap[i] = last;
    if (l->n == 0)
        l->moved_bytes = 0.0; /* keep numbers small */
    return first.id;
}
