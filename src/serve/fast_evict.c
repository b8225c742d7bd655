/* Fast engine: an iteration whose decodes may lack blocks, walked in list order as the naive engine
 * does. O(running requests), and only taken when memory is short. */
#include "serve/fast.h"

#include "base/array.h"

#include <math.h>

/* The last request of the list that the walk has not passed: the victim. -1: none. The unfinished
 * prefill stands last unless it was skipped (then it was set aside first and cannot be a victim).
 */
static int32_t last_unpassed(const rub_replica *s, int32_t passed) {
    int32_t i = s->last;
    while (i >= 0 && i != passed && s->cur_in_front && i == s->cur)
        i = s->slot[i].before;
    return i == passed ? -1 : i;
}

/* v0 keeps counts of decodes by the time of their last token; the newest stand last in the list. */
static void forget_gap(rub_replica *s) {
    for (size_t f = s->n_fresh; f-- > 0;)
        if (s->fresh[f].n > 0) {
            s->fresh[f].n--;
            return;
        }
    s->n_old--;
}

static double last_token_s(const rub_replica *s) {
    if (s->run->def->policy != RUB_POLICY_VLLM_V0)
        return s->now_s;
    for (size_t f = s->n_fresh; f-- > 0;)
        if (s->fresh[f].n > 0)
            return s->fresh[f].last_s;
    return s->last_decode_s;
}

static rub_status send_back(rub_replica *s, int32_t i) {
    rub_slot *slot = &s->slot[i];
    const rub_serve_def *def = s->run->def;
    rub_waiter w = {.id = slot->id, .prefill = slot->prefill, .last_s = slot->last_s};
    if (i == s->cur) {
        s->free_blocks += rub_blocks(slot->prefill, def->block_size_tok);
        if (def->policy != RUB_POLICY_VLLM)
            w.prefill = (int32_t)slot->base;
        s->cur = -1;
    } else {
        int64_t processed = slot->base + s->k;
        /* blocks before this iteration's growth: all but the last token have been written */
        s->free_blocks += rub_blocks(processed - 1, def->block_size_tok);
        w.prefill = (int32_t)processed;
        w.last_s = last_token_s(s);
        forget_gap(s);
        rub_fast_leave_decodes(s, i);
    }
    s->run->times->restarts[w.id]++;
    s->totals.n_restart++;
    rub_fast_unlink(s, i);
    return rub_waiting_push_front(&s->waiting, w);
}

rub_status rub_fast_decodes_tight(rub_replica *s, bool *evicted) {
    const int64_t size = s->run->def->block_size_tok;
    const bool wants_spare = s->run->def->policy != RUB_POLICY_VLLM;
    int32_t after;
    for (int32_t i = s->first; i >= 0; i = after) {
        bool out = false;
        if (i == s->cur) { /* set aside */
            after = s->slot[i].after;
            continue;
        }
        bool grows = (s->slot[i].base + s->k - 1) % size == 0;
        while (!out && s->free_blocks < 1 && (grows || wants_spare)) {
            int32_t victim = last_unpassed(s, i);
            *evicted = true;
            out = victim < 0;
            after = s->slot[i].after;
            RUB_TRY(send_back(s, out ? i : victim));
        }
        if (out)
            continue;
        s->free_blocks -= grows;
        after = s->slot[i].after;
    }
    return RUB_OK;
}
