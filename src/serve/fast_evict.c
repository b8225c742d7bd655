/* Fast engine: an iteration whose decodes may lack blocks, walked in list order as the naive engine
 * does. O(running requests), and only taken when memory is short. */
#include "serve/fast.h"

#include "base/array.h"

/* The last request of the list that the walk has not passed: the victim. -1: none. The unfinished
 * prefill stands last unless it was skipped (then it was set aside first and cannot be a victim).
 */
static int32_t last_unpassed(rub_replica *s, int32_t passed) {
    while (s->n_order > 0 && s->order[s->n_order - 1] < 0)
        s->n_order--;
    for (int32_t p = s->n_order - 1; p > passed; p--) {
        int32_t i = s->order[p];
        if (i >= 0 && !(s->cur_in_front && i == s->cur))
            return i;
    }
    return -1;
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

/* Out of sums, growth and calendar. */
static void stop_decoding(rub_replica *s, int32_t i) {
    const rub_slot *slot = &s->slot[i];
    uint32_t b = slot->last_k & (RUB_CALENDAR - 1);
    int32_t *at = &s->bucket[b];
    rub_fast_out_of_sums(s, rub_fast_processed(s, slot));
    s->totals.decode_tok -= (int64_t)(uint32_t)(slot->last_k + 1 - (uint32_t)s->k);
    while (*at != i)
        at = &s->slot[*at].after;
    *at = slot->after;
    if (s->bucket[b] < 0)
        s->marked[b >> 6] &= ~((uint64_t)1 << (b & 63));
}

static rub_status send_back(rub_replica *s, int32_t i) {
    rub_slot *slot = &s->slot[i];
    rub_waiter w = {.id = slot->id, .prefill = slot->prefill, .last_s = slot->last_s};
    if (i == s->cur) {
        s->free_blocks += rub_fast_blocks(s, slot->prefill);
        s->totals.prefill_tok += slot->base;
        if (s->run->def->policy != RUB_POLICY_VLLM)
            w.prefill = (int32_t)slot->base;
        s->cur = -1;
    } else {
        int64_t processed = rub_fast_processed(s, slot);
        /* blocks before this iteration's growth: all but the last token have been written */
        s->free_blocks += rub_fast_blocks(s, processed - 1);
        w.prefill = (int32_t)processed;
        w.last_s = last_token_s(s);
        forget_gap(s);
        stop_decoding(s, i);
    }
    s->run->times->restarts[w.id]++;
    s->totals.n_restart++;
    rub_fast_leave(s, i);
    return rub_line_push_back(&s->line, w);
}

rub_status rub_fast_decodes_tight(rub_replica *s, bool *evicted) {
    rub_fast_peak(s);
    for (int32_t p = 0; p < s->n_order; p++) {
        int32_t i = s->order[p];
        bool out = false;
        if (i < 0 || i == s->cur) /* has left; set aside */
            continue;
        bool grows = rub_fast_residue(s, rub_fast_processed(s, &s->slot[i])) == s->phase;
        while (!out && s->free_blocks < 1 && (grows || s->spare > 0)) {
            int32_t victim = last_unpassed(s, p);
            *evicted = true;
            out = victim < 0;
            RUB_TRY(send_back(s, out ? i : victim));
        }
        if (!out)
            s->free_blocks -= grows;
    }
    return RUB_OK;
}
