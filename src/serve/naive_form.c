/* Naive engine: forming an iteration; sarathi and vllm-v0 as Vidur has them, orca, static. */
#include "serve/naive.h"

#include "base/array.h"

#include <stdlib.h>

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Takes one running request of the list's head into the batch as a decode, which wants a free block
 * even where it takes none; while there is none, the last of the list is sent back, and itself when
 * none is left. */
static rub_status decode_or_evict(rub_replica *s, rub_request *r) {
    while (rub_naive_available(s) < 1) {
        if (s->running.n == 0)
            return rub_naive_restart(s, r);
        RUB_TRY(rub_naive_restart(s, rub_list_take(&s->running, s->running.n - 1)));
    }
    rub_naive_cover(s, r, r->done);
    return rub_naive_schedule(s, r, 1);
}

static bool head_fits(const rub_replica *s) {
    int64_t need = rub_blocks(s->waiting.item[0]->prefill, s->run->def->block_size_tok);
    return rub_naive_available(s) - need >= s->run->watermark;
}

static bool room_for_one(rub_replica *s) {
    return s->waiting.n > 0 && rub_naive_held(s) < s->run->def->max_seqs &&
           (int64_t)rub_naive_forming(s)->n < rub_micro(s->run->def);
}

static void sort_by_arrival(rub_list *l) {
    for (size_t i = 1; i < l->n; i++)
        for (size_t j = i; j > 0 && l->item[j - 1]->id > l->item[j]->id; j--) {
            rub_request *x = l->item[j];
            l->item[j] = l->item[j - 1];
            l->item[j - 1] = x;
        }
}

static rub_status form_sarathi(rub_replica *s) {
    rub_list prefills = {0}, skipped = {0}, *batch = rub_naive_forming(s);
    int64_t chunk = s->run->def->chunk_tok;
    rub_status status = RUB_OK;
    while (status == RUB_OK && s->running.n > 0 && (int64_t)batch->n < rub_micro(s->run->def)) {
        rub_request *r = rub_list_take(&s->running, 0);
        status = r->prefilled ? decode_or_evict(s, r) : rub_list_append(&prefills, r);
    }
    for (size_t i = 0; status == RUB_OK && i < prefills.n; i++) {
        rub_request *r = prefills.item[i];
        int64_t tokens = least(r->prefill - r->done, chunk - rub_naive_tokens(batch));
        status = tokens > 0 ? rub_naive_schedule(s, r, tokens) : rub_list_append(&skipped, r);
    }
    for (size_t i = 0; status == RUB_OK && i < skipped.n; i++)
        status = rub_list_insert(&s->running, i, skipped.item[i]);
    sort_by_arrival(&s->running);
    while (status == RUB_OK && room_for_one(s) && head_fits(s)) {
        int64_t prefill = s->waiting.item[0]->prefill;
        int64_t tokens = least(prefill, chunk - rub_naive_tokens(batch));
        if (tokens <= 0)
            break;
        status = rub_naive_admit(s, 0, tokens, prefill, 0);
    }
    free(prefills.item);
    free(skipped.item);
    return status;
}

static rub_status form_vllm_v0(rub_replica *s) {
    int64_t longest = 0;
    rub_list *batch = rub_naive_forming(s);
    while (room_for_one(s) && head_fits(s)) {
        int64_t prefill = s->waiting.item[0]->prefill;
        int64_t most = prefill > longest ? prefill : longest;
        if (((int64_t)batch->n + 1) * most > s->run->def->max_batch_tok)
            break;
        longest = most;
        RUB_TRY(rub_naive_admit(s, 0, prefill, prefill, 0));
    }
    if (longest > 0)
        return RUB_OK;
    sort_by_arrival(&s->running);
    while (s->running.n > 0 && (int64_t)batch->n < rub_micro(s->run->def))
        RUB_TRY(decode_or_evict(s, rub_list_take(&s->running, 0)));
    return RUB_OK;
}

/* Whole requests while blocks for prompt and answer last. */
static rub_status admit_whole(rub_replica *s) {
    while (room_for_one(s)) {
        const rub_request *r = s->waiting.item[0];
        if (rub_naive_available(s) < rub_whole_blocks(s->run, r->id))
            break;
        RUB_TRY(rub_naive_admit(s, 0, r->prefill, r->total, 0));
    }
    return RUB_OK;
}

static rub_status form_orca(rub_replica *s) {
    while (s->running.n > 0 && (int64_t)rub_naive_forming(s)->n < rub_micro(s->run->def))
        RUB_TRY(rub_naive_schedule(s, rub_list_take(&s->running, 0), 1));
    return admit_whole(s);
}

static rub_status form_static(rub_replica *s) {
    while (s->running.n > 0)
        RUB_TRY(rub_naive_schedule(s, rub_list_take(&s->running, 0), 1));
    return rub_naive_held(s) == 0 ? admit_whole(s) : RUB_OK;
}

rub_status rub_naive_form(rub_replica *s) {
    switch (s->run->def->policy) {
    case RUB_POLICY_VLLM:
        return rub_naive_form_vllm(s);
    case RUB_POLICY_SARATHI:
        return form_sarathi(s);
    case RUB_POLICY_VLLM_V0:
        return form_vllm_v0(s);
    case RUB_POLICY_ORCA:
        return form_orca(s);
    case RUB_POLICY_STATIC:
        return form_static(s);
    }
    return RUB_INTERNAL;
}
