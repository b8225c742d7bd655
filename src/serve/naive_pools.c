/* Naive engine: requests that leave a replica for another: after prefill, or because it fails. */
#include "serve/naive.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

static rub_status tell(rub_replica *s, rub_note_kind kind, int32_t id) {
    rub_outbox *o = s->run->outbox;
    return RUB_ARRAY_PUSH(o->note, o->n, o->cap, ((rub_note){kind, id}));
}

static rub_request *take_by_id(rub_list *l, int32_t id) {
    size_t at = 0;
    while (l->item[at]->id != id)
        at++;
    return rub_list_take(l, at);
}

static void wake(rub_replica *s, double at_s) {
    s->now_s = fmax(s->now_s, at_s);
    s->stuck = false;
}

rub_status rub_naive_hand_over(rub_replica *s, rub_request *r) {
    RUB_TRY(rub_list_append(&s->parked, r));
    return tell(s, RUB_NOTE_PREFILLED, r->id);
}

void rub_naive_unpark(rub_replica *s, int32_t id, double at_s) {
    rub_request *r = take_by_id(&s->parked, id);
    rub_naive_release(s, r);
    free(r);
    wake(s, at_s);
}

rub_status rub_naive_join(rub_replica *s, rub_traveller t, double at_s) {
    const rub_trace *trace = s->run->trace;
    rub_request *r = RUB_NEW(rub_request, 1);
    if (!r)
        return RUB_NO_MEMORY;
    *r = (rub_request){.id = t.id,
                       .prefill = t.prefill,
                       .total = (int64_t)trace->input_tok[t.id] + trace->output_tok[t.id],
                       .last_s = t.last_s,
                       .pull = t.pull};
    wake(s, at_s);
    return rub_naive_wait(s, r, false);
}

rub_status rub_naive_admit_pulling(rub_replica *s, size_t at) {
    rub_request *r = rub_list_take(&s->waiting, at);
    r->pull = false;
    r->prefilled = true;
    r->turn = s->n_turn++;
    r->done = r->prefill + 1;
    rub_naive_cover(s, r, r->prefill);
    RUB_TRY(rub_list_append(&s->pulling, r));
    return tell(s, RUB_NOTE_ADMITTED, r->id);
}

void rub_naive_arrived(rub_replica *s, int32_t id, double at_s) {
    (void)rub_naive_enlist(s, take_by_id(&s->pulling, id)); /* there was room for it before */
    wake(s, at_s);
}

/* Every request of the list leaves. */
static rub_status leave(rub_replica *s, rub_list *l, rub_travellers *out) {
    while (l->n > 0) {
        rub_request *r = rub_list_take(l, 0);
        rub_traveller t = {.id = r->id,
                           .prefill = (r->prefilled ? (int32_t)(r->done - r->over) : r->prefill) -
                                      (int32_t)r->unseen,
                           .last_s = r->last_s};
        rub_naive_release(s, r);
        free(r);
        RUB_TRY(RUB_ARRAY_PUSH(out->one, out->n, out->cap, t));
    }
    return RUB_OK;
}

rub_status rub_naive_fail(rub_replica *s, double at_s, rub_travellers *out) {
    RUB_TRY(leave(s, &s->running, out));
    for (size_t k = 0; k < s->n_batch; k++) {
        RUB_TRY(leave(s, &s->batch[k], out));
        if (s->run->def->pp == 1 && s->batch_to_s[k] > at_s) /* cut short, or never begun */
            s->totals.busy_s -= s->batch_to_s[k] - fmax(s->batch_from_s[k], at_s);
    }
    s->n_batch = s->sent[0].n = s->sent[1].n = 0;
    s->held_back = false;
    s->host_free_s = at_s;
    RUB_TRY(leave(s, &s->fetching, out));
    RUB_TRY(leave(s, &s->waiting, out));
    s->n_cached = s->n_host = 0;
    s->fetch_free_s = at_s;
    for (int32_t p = 0; p < s->run->def->pp; p++)
        s->stage_free_s[p] = at_s;
    wake(s, at_s);
    return RUB_OK;
}
