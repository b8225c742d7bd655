/* Fast engine of every feature: requests that leave a replica for another: after prefill, to be
 * decoded elsewhere (their blocks stay until they have been pulled), or because it fails. */
#include "serve/wide.h"

#include "base/array.h"

rub_status rub_wide_hand_over(rub_replica *s, int32_t i) {
    rub_outbox *o = s->run->outbox;
    rub_note note = {RUB_NOTE_PREFILLED, s->seat[i].id};
    RUB_TRY(RUB_ARRAY_PUSH(s->parked, s->n_parked, s->parked_cap, s->seat[i]));
    s->free_seat[s->n_free_seat++] = i;
    s->n_held--;
    return RUB_ARRAY_PUSH(o->note, o->n, o->cap, note);
}

static void wake(rub_replica *s, double at_s) {
    s->now_s = s->now_s < at_s ? at_s : s->now_s;
    s->stuck = false;
}

void rub_wide_unpark(rub_replica *s, int32_t id, double at_s) {
    size_t k = 0;
    while (s->parked[k].id != id)
        k++;
    rub_wide_release(s, &s->parked[k]);
    s->parked[k] = s->parked[--s->n_parked];
    wake(s, at_s);
}

rub_status rub_wide_join(rub_replica *s, rub_traveller t, double at_s) {
    rub_waiter w = {.id = t.id, .prefill = t.prefill, .last_s = t.last_s, .pull = t.pull};
    wake(s, at_s);
    return rub_queue_push(&s->waiting, w);
}

rub_status rub_wide_admit_pulling(rub_replica *s) {
    rub_waiter w = rub_queue_pop(&s->waiting);
    rub_outbox *o = s->run->outbox;
    rub_note note = {RUB_NOTE_ADMITTED, w.id};
    const rub_trace *t = s->run->trace;
    int32_t i = s->free_seat[--s->n_free_seat];
    rub_seat *seat = &s->seat[i];
    *seat = (rub_seat){.id = w.id,
                       .prefill = w.prefill,
                       .done = w.prefill + 1,
                       .total = (int64_t)t->input_tok[w.id] + t->output_tok[w.id],
                       .turn = s->n_turn++,
                       .last_s = w.last_s,
                       .prefilled = true,
                       .pulling = true};
    rub_wide_cover(s, seat, w.prefill);
    s->n_held++;
    return RUB_ARRAY_PUSH(o->note, o->n, o->cap, note);
}

void rub_wide_arrived(rub_replica *s, int32_t id, double at_s) {
    for (int32_t i = 0; i < s->run->def->max_seqs; i++)
        if (s->seat[i].pulling && s->seat[i].id == id) {
            s->seat[i].pulling = false;
            rub_wide_enlist(s, i);
        }
    wake(s, at_s);
}

/* ---- failure ---- */

/* static: an answer that is complete but not yet returned gets its last token once more. */
static rub_status travel(const rub_seat *r, rub_travellers *out) {
    rub_traveller t = {.id = r->id,
                       .prefill =
                           r->prefilled ? (int32_t)(r->done - r->over - r->unseen) : r->prefill,
                       .last_s = r->last_s};
    return RUB_ARRAY_PUSH(out->one, out->n, out->cap, t);
}

static rub_status empty_queue(rub_replica *s, rub_travellers *out) {
    while (rub_queue_n(&s->waiting) > 0) {
        rub_waiter w = rub_queue_pop(&s->waiting);
        rub_traveller t = {.id = w.id, .prefill = w.prefill - w.unseen, .last_s = w.last_s};
        RUB_TRY(RUB_ARRAY_PUSH(out->one, out->n, out->cap, t));
    }
    return RUB_OK;
}

rub_status rub_wide_fail(rub_replica *s, double at_s, rub_travellers *out) {
    for (int32_t at = 0; at < s->n_list; at++)
        RUB_TRY(travel(&s->seat[s->list[at]], out));
    for (int32_t k = 0; k < s->n_fetching; k++)
        RUB_TRY(travel(&s->seat[s->fetching[k]], out));
    s->n_fetching = 0;
    s->fetch_free_s = at_s;
    for (; s->n_flight > 0; s->n_flight--) {
        rub_flight *f = &s->flight[s->first_flight];
        for (int32_t b = 0; b < f->n && !rub_wide_is_async(s); b++)
            RUB_TRY(travel(&s->seat[f->seat[b]], out));
        if (s->run->def->pp == 1 && f->to_s > at_s) /* cut short, or never begun */
            s->totals.busy_s -= f->to_s - (f->from_s > at_s ? f->from_s : at_s);
        f->n = 0;
        s->first_flight = (s->first_flight + 1) % s->depth;
    }
    RUB_TRY(empty_queue(s, out));
    int32_t n = s->run->def->max_seqs;
    for (int32_t i = 0; i < n; i++)
        s->free_seat[i] = n - 1 - i;
    s->n_free_seat = n;
    s->n_list = s->n_held = 0;
    s->free_blocks = s->run->def->kv_blocks;
    for (int32_t p = 0; p < s->run->def->pp; p++)
        s->stage_free_s[p] = at_s;
    s->held_back = false;
    s->host_free_s = at_s;
    wake(s, at_s);
    rub_cache_clear(&s->cache);
    rub_cache_clear(&s->host);
    return rub_wide_init_cache(s) && rub_wide_init_host(s) ? RUB_OK : RUB_NO_MEMORY;
}
