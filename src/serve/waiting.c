#include "serve/waiting.h"

#include "base/array.h"

#include <stdlib.h>

rub_status rub_waiting_grow(rub_waiting *w) {
    uint32_t room = w->room ? w->room * 2 : 64;
    rub_waiter *ring = room > w->room ? RUB_NEW(rub_waiter, room) : NULL;
    if (!ring)
        return RUB_NO_MEMORY;
    for (uint32_t i = 0; i < w->n; i++)
        ring[i] = w->ring[(w->head + i) & (w->room - 1)];
    free(w->ring);
    w->ring = ring;
    w->room = room;
    w->head = 0;
    return RUB_OK;
}

void rub_waiting_clear(rub_waiting *w) {
    free(w->ring);
    *w = (rub_waiting){0};
}
