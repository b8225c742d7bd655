/* Naive engine: asynchronous scheduling (docs/serve.md). A batch's requests go back into the running
 * list as they will be when it is through; who gets a token of it is noted by name. */
#include "serve/naive.h"

#include "base/array.h"

#include <stdlib.h>

rub_status rub_naive_commit(rub_replica *s) {
    rub_list *batch = rub_naive_forming(s);
    rub_sent *sent = &s->sent[s->n_batch];
    sent->n = 0;
    for (size_t i = 0; i < batch->n; i++) {
        rub_request *r = batch->item[i];
        bool in_vain = r->prefilled && r->done == r->total;
        if (!in_vain)
            r->done += r->take;
        bool ends_prefill = !r->prefilled && r->done == r->prefill;
        if (ends_prefill)
            r->done++;
        if (ends_prefill || (r->prefilled && !in_vain)) {
            RUB_TRY(RUB_ARRAY_PUSH(sent->id, sent->n, sent->cap, r->id));
            r->unseen++;
        }
        r->prefilled = r->prefilled || ends_prefill;
        r->spent = in_vain || (s->run->def->async == RUB_ASYNC_LENGTH && r->done == r->total);
        r->take = 0;
        RUB_TRY(rub_naive_enlist(s, r));
    }
    batch->n = 0;
    return RUB_OK;
}

/* Where the request is: running, or preempted and waiting. */
static rub_list *list_of(rub_replica *s, int32_t id, size_t *at) {
    for (*at = 0; *at < s->running.n; ++*at)
        if (s->running.item[*at]->id == id)
            return &s->running;
    for (*at = 0; *at < s->waiting.n; ++*at)
        if (s->waiting.item[*at]->id == id)
            return &s->waiting;
    return NULL;
}

void rub_naive_deliver(rub_replica *s) {
    rub_sent first = s->sent[0];
    for (size_t k = 0; k < first.n; k++) {
        size_t at;
        rub_list *l = list_of(s, first.id[k], &at);
        rub_request *r = l->item[at];
        rub_naive_token(s, r);
        r->unseen--;
        if ((l == &s->running ? r->done : r->prefill) - r->unseen == r->total)
            rub_naive_finish(s, rub_list_take(l, at));
    }
    first.n = 0;
    s->sent[0] = s->sent[1];
    s->sent[1] = first;
}
