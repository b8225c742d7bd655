/* Fast engine of every feature: asynchronous scheduling, as vLLM's AsyncScheduler with its queue of
 * two batches (vllm/v1/core/sched/async_scheduler.py, EngineCore.step_with_batch_queue).
 *
 * While a batch runs the next one is formed as if it were through already: what is scheduled counts
 * as done (rub_seat.done), its tokens come later. A batch's tokens are seen at its end; a request
 * that a later batch preempted meanwhile gets its token where it waits. */
#include "serve/wide.h"

/* The batch yields a token for each decode and each prefill that it completes. */
static bool gains(const rub_seat *r) {
    return r->prefilled ? r->done < r->total : r->done + r->take == r->prefill;
}

void rub_wide_commit(rub_replica *s) {
    rub_flight *f = rub_wide_forming(s);
    int32_t n = 0;
    for (int32_t k = 0; k < f->n; k++) {
        int32_t i = f->seat[k];
        rub_seat *r = &s->seat[i];
        if (gains(r)) {
            r->unseen++;
            f->id[n] = r->id;
            f->seat[n++] = i;
        }
        if (r->done == r->total)
            r->spent = true; /* the decode in vain */
        else
            r->done += r->take;
        r->take = 0;
        if (!r->prefilled && r->done == r->prefill) {
            r->prefilled = true;
            r->done++;
        }
        if (s->run->def->async == RUB_ASYNC_LENGTH && r->done == r->total)
            r->spent = true;
        rub_wide_enlist(s, i);
    }
    f->n = n;
}

static void drop_ended(rub_replica *s) {
    int32_t n = 0;
    for (int32_t at = 0; at < s->n_list; at++)
        if (s->seat[s->list[at]].id >= 0)
            s->list[n++] = s->list[at];
    s->n_list = n;
}

static void deliver_waiting(rub_replica *s, int32_t id) {
    const rub_trace *t = s->run->trace;
    rub_waiter *w = rub_queue_find(&s->waiting, id);
    rub_wide_token(s, id, &w->last_s);
    w->unseen = false;
    if (w->prefill < (int64_t)t->input_tok[id] + t->output_tok[id])
        return;
    rub_wide_ends(s, id);
    rub_queue_drop(&s->waiting, id);
}

void rub_wide_deliver(rub_replica *s, rub_flight *f) {
    bool ended = false;
    for (int32_t k = 0; k < f->n; k++) {
        int32_t i = f->seat[k], id = f->id[k];
        rub_seat *r = &s->seat[i];
        if (r->id != id) { /* preempted: its seat is empty until this batch is through */
            deliver_waiting(s, id);
            continue;
        }
        rub_wide_token(s, id, &r->last_s);
        if (r->done - --r->unseen < r->total)
            continue;
        rub_wide_ends(s, id);
        rub_wide_drop_seat(s, i);
        ended = true;
    }
    if (ended)
        drop_ended(s);
}
