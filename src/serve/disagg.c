/* Disaggregated pools: prefilled requests are routed to the decode pool, admitted there, and pull
 * their KV over the link of the replica that prefilled them. */
#include "serve/world.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

rub_status rub_disagg_init(rub_world *w) {
    const rub_serve_disagg *d = w->def->disagg;
    if (!d)
        return RUB_OK;
    size_t n_req = w->fleet->run->trace->n_req;
    w->link = RUB_NEW(rub_link, d->n_prefill);
    w->at_prefill = RUB_NEW(uint32_t, n_req);
    w->at_decode = RUB_NEW(uint32_t, n_req);
    if (!w->link || !w->at_prefill || !w->at_decode)
        return RUB_NO_MEMORY;
    for (int32_t r = 0; r < d->n_prefill; r++)
        w->link[r].bytes_per_s = d->link_bytes_per_s;
    w->n_pool = 2;
    w->pool[1] = w->pool[0];
    w->pool[0].to = w->pool[1].from = (size_t)d->n_prefill;
    w->pool[1].how = d->decode_router;
    return RUB_OK;
}

void rub_disagg_clear(rub_world *w) {
    for (int32_t r = 0; w->link && r < w->def->disagg->n_prefill; r++)
        rub_link_clear(&w->link[r]);
    free(w->link);
    free(w->at_prefill);
    free(w->at_decode);
}

double rub_disagg_next(const rub_world *w) {
    double next = HUGE_VAL;
    for (int32_t r = 0; w->link && r < w->def->disagg->n_prefill; r++)
        next = fmin(next, rub_link_next_end(&w->link[r]));
    return next;
}

rub_status rub_disagg_transfers(rub_world *w) {
    for (int32_t r = 0; w->link && r < w->def->disagg->n_prefill; r++)
        while (rub_link_next_end(&w->link[r]) <= w->now_s)
            RUB_TRY(rub_events_add(&w->events, w->now_s + w->def->disagg->link_latency_s,
                                   RUB_EVENT_KV, rub_link_end(&w->link[r])));
    return RUB_OK;
}

/* Its first token is out: it waits in the decode pool, unless that was its only token. */
static rub_status prefilled(rub_world *w, int32_t id) {
    const rub_run *run = w->fleet->run;
    size_t r = rub_route_among(&w->pool[1], (size_t)id, w->now_s, &w->turn);
    w->at_decode[id] = (uint32_t)r;
    rub_traveller t = {
        .id = id, .prefill = run->trace->input_tok[id], .last_s = w->now_s, .pull = true};
    RUB_TRY(w->fleet->kind->join(w->fleet->replica[r], t, w->now_s));
    rub_world_touch(w, r);
    return RUB_OK;
}

static rub_status admitted(rub_world *w, int32_t id) {
    const rub_serve_disagg *d = w->def->disagg;
    double bytes = d->kv_bytes_per_tok * w->fleet->run->trace->input_tok[id];
    w->totals->transfer_bytes += bytes;
    return rub_link_start(&w->link[w->at_prefill[id]], id, bytes, w->now_s);
}

rub_status rub_disagg_notes(rub_world *w) {
    rub_outbox *o = w->outbox;
    for (size_t k = 0; k < o->n; k++) {
        rub_note note = o->note[k];
        RUB_TRY(note.kind == RUB_NOTE_PREFILLED ? prefilled(w, note.id) : admitted(w, note.id));
    }
    o->n = 0;
    return RUB_OK;
}

rub_status rub_disagg_arrived(rub_world *w, int32_t id) {
    const rub_fleet *f = w->fleet;
    f->kind->release(f->replica[w->at_prefill[id]], id, w->now_s);
    f->kind->arrived(f->replica[w->at_decode[id]], id, w->now_s);
    rub_world_touch(w, w->at_prefill[id]);
    rub_world_touch(w, w->at_decode[id]);
    return RUB_OK;
}
