/* Fast engine: forming an iteration, one function a policy; included by fast_time.c only. */
#ifndef RUB_SERVE_FAST_FORM_H
#define RUB_SERVE_FAST_FORM_H

#include "serve/fast.h"

#include "base/array.h"

/* Blocks for this iteration's decodes: at once where they are sure to suffice, else one by one. */
RUB_FLAT rub_status take_decodes(rub_replica *s, rub_batch *batch, bool *evicted) {
    if (s->n_decode > 0) {
        int64_t need = s->growth[s->phase];
        if (__builtin_expect(s->free_blocks >= need + s->spare, 1))
            s->free_blocks -= need;
        else
            RUB_TRY(rub_fast_decodes_tight(s, evicted));
    }
    s->decodes_run = s->n_decode > 0;
    batch->n_decode = batch->n_tokens = s->n_decode;
    batch->kv_decode = s->kv_decode;
    return RUB_OK;
}

/* `take` tokens of a slot's prefill join the batch; the slot is ending, or stays as cur. */
RUB_FLAT void take_prefill(rub_replica *s, int32_t i, int64_t take, rub_batch *batch) {
    rub_slot *slot = &s->slot[i];
    int64_t done = (int64_t)slot->base;
    batch->n_tokens += take;
    batch->n_prefill++;
    batch->prefill_work2 += take * (2 * done + take);
    batch->prefill_kv += done;
    slot->base = (uint32_t)(done + take);
    s->take = take;
    if (done + take == slot->prefill) {
        s->ending[s->n_ending++] = i;
        s->cur = -1;
    } else
        s->cur = i;
}

RUB_FLAT int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Whether the first one that waits finds a seat and blocks; its tokens to prefill. */
RUB_FLAT bool head_fits(const rub_replica *s, int64_t *prefill) {
    if (rub_line_n(&s->line) == 0 || s->n_running >= s->max_seqs)
        return false;
    *prefill = rub_line_prefill(s);
    return s->free_blocks - rub_fast_blocks(s, *prefill) >= s->kept;
}

/* New requests from the queue's head while sequences, blocks and tokens last. */
RUB_FLAT void admit_up_to(rub_replica *s, rub_batch *batch) {
    int64_t prefill;
    while (batch->n_tokens < s->limit_tok && head_fits(s, &prefill)) {
        int64_t take = least(prefill, s->limit_tok - batch->n_tokens);
        s->cur_in_front = false;
        take_prefill(s, rub_fast_admit(s, prefill), take, batch);
    }
}

/* vllm: decodes and the unfinished prefill, each in its place, then new ones unless some were sent
 * back. sarathi: decodes, the unfinished prefill, new ones, up to the chunk. */
RUB_FLAT rub_status form_chunked(rub_replica *s, rub_policy policy, rub_batch *batch) {
    bool evicted = false;
    RUB_TRY(take_decodes(s, batch, &evicted));
    if (s->cur >= 0) {
        const rub_slot *slot = &s->slot[s->cur];
        int64_t take = least(slot->prefill - (int64_t)slot->base, s->limit_tok - batch->n_tokens);
        if (policy == RUB_POLICY_SARATHI)
            s->cur_in_front = take <= 0;
        if (take > 0)
            take_prefill(s, s->cur, take, batch);
        else
            s->take = 0;
    } else
        s->take = 0;
    if (policy == RUB_POLICY_SARATHI || !evicted)
        admit_up_to(s, batch);
    return RUB_OK;
}

/* vllm-v0: whole prefills while the padded batch allows; otherwise all decodes. */
RUB_FLAT rub_status form_padded(rub_replica *s, rub_batch *batch) {
    int64_t longest = 0, n = 0, prefill;
    bool evicted = false;
    s->decodes_run = false;
    s->take = 0;
    while (head_fits(s, &prefill)) {
        int64_t most = prefill > longest ? prefill : longest;
        if ((n + 1) * most > s->limit_tok)
            break;
        take_prefill(s, rub_fast_admit(s, prefill), prefill, batch);
        longest = most;
        n++;
    }
    return n > 0 ? RUB_OK : take_decodes(s, batch, &evicted);
}

RUB_FLAT rub_status form(rub_replica *s, rub_policy policy, rub_batch *batch) {
    return policy == RUB_POLICY_VLLM_V0 ? form_padded(s, batch) : form_chunked(s, policy, batch);
}

#endif
