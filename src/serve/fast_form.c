/* Fast engine: forming an iteration, one function a policy. */
#include "serve/fast.h"

#include "base/array.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Blocks for this iteration's decodes: at once where they are sure to suffice, else one by one.
 * Vidur's policies want a free block at every decode, taken or not, hence one to spare. */
static rub_status take_decodes(rub_replica *s, rub_batch *batch, bool *evicted) {
    int64_t spare = s->run->def->policy == RUB_POLICY_VLLM ? 0 : 1;
    if (s->n_decode > 0) {
        int64_t need = s->growth[rub_fast_phase(s, s->k)];
        if (s->free_blocks >= need + spare)
            s->free_blocks -= need;
        else
            RUB_TRY(rub_fast_decodes_tight(s, evicted));
    }
    s->decodes_run = s->n_decode > 0;
    batch->n_decode = s->n_decode;
    batch->kv_decode = s->kv_decode;
    batch->n_tokens += s->n_decode;
    return RUB_OK;
}

/* `take` tokens of a slot's prefill join the batch; the slot is ending, or stays as cur. */
static void take_prefill(rub_replica *s, int32_t i, int64_t take, rub_batch *batch) {
    rub_slot *slot = &s->slot[i];
    batch->n_tokens += take;
    batch->n_prefill++;
    batch->prefill_work2 += take * (2 * slot->base + take);
    batch->prefill_kv += slot->base;
    slot->base += take;
    bool ends = slot->base == slot->prefill;
    if (ends)
        s->ending[s->n_ending++] = i;
    s->cur = ends ? -1 : i;
}

static bool head_fits(const rub_replica *s, int64_t kept) {
    int64_t need = rub_fast_blocks(s, rub_waiting_first(&s->waiting)->prefill);
    return s->free_blocks - need >= kept;
}

/* New requests from the queue's head while sequences, blocks and tokens last. */
static void admit_up_to(rub_replica *s, int64_t limit_tok, int64_t kept, rub_batch *batch) {
    while (s->waiting.n > 0 && s->n_running < s->run->def->max_seqs && head_fits(s, kept)) {
        int64_t take = least(rub_waiting_first(&s->waiting)->prefill, limit_tok - batch->n_tokens);
        if (take <= 0)
            break;
        int32_t i = rub_fast_admit(s);
        s->cur_in_front = false;
        take_prefill(s, i, take, batch);
    }
}

static rub_status form_vllm(rub_replica *s, rub_batch *batch) {
    bool evicted = false;
    int64_t limit = s->run->def->max_batch_tok;
    RUB_TRY(take_decodes(s, batch, &evicted));
    if (s->cur >= 0) {
        int32_t i = s->cur;
        take_prefill(s, i, least(s->slot[i].prefill - s->slot[i].base, limit - batch->n_tokens),
                     batch);
    }
    if (!evicted)
        admit_up_to(s, limit, 0, batch);
    return RUB_OK;
}

static rub_status form_sarathi(rub_replica *s, rub_batch *batch) {
    bool evicted = false;
    int64_t limit = s->run->def->chunk_tok;
    RUB_TRY(take_decodes(s, batch, &evicted));
    if (s->cur >= 0) {
        int32_t i = s->cur;
        int64_t take = least(s->slot[i].prefill - s->slot[i].base, limit - batch->n_tokens);
        s->cur_in_front = take <= 0;
        if (take > 0)
            take_prefill(s, i, take, batch);
    }
    admit_up_to(s, limit, s->run->watermark, batch);
    return RUB_OK;
}

static rub_status form_vllm_v0(rub_replica *s, rub_batch *batch) {
    int64_t longest = 0, n = 0;
    s->decodes_run = false;
    while (s->waiting.n > 0 && s->n_running < s->run->def->max_seqs &&
           head_fits(s, s->run->watermark)) {
        int64_t prefill = rub_waiting_first(&s->waiting)->prefill;
        int64_t most = prefill > longest ? prefill : longest;
        if ((n + 1) * most > s->run->def->max_batch_tok)
            break;
        take_prefill(s, rub_fast_admit(s), prefill, batch);
        longest = most;
        n++;
    }
    bool evicted = false;
    return n > 0 ? RUB_OK : take_decodes(s, batch, &evicted);
}

rub_status rub_fast_form(rub_replica *s, rub_batch *batch) {
    switch (s->run->def->policy) {
    case RUB_POLICY_VLLM:
        return form_vllm(s, batch);
    case RUB_POLICY_SARATHI:
        return form_sarathi(s, batch);
    case RUB_POLICY_VLLM_V0:
        return form_vllm_v0(s, batch);
    default: /* the wide engine's */
        break;
    }
    return RUB_INTERNAL;
}
