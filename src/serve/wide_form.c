/* Fast engine of every feature: sarathi, vllm-v0 (as Vidur has them), orca, static. */
#include "serve/wide.h"

#include "base/array.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t batch_tok(const rub_replica *s, const rub_flight *f) {
    int64_t sum = 0;
    for (int32_t b = 0; b < f->n; b++)
        sum += s->seat[f->seat[b]].take;
    return sum;
}

static bool head_fits(const rub_replica *s) {
    int64_t need = rub_blocks(rub_queue_first(&s->waiting)->prefill, s->run->def->block_size_tok);
    return rub_wide_fits(s, need, s->run->watermark);
}

/* list[at] decodes, or the last of the list is sent back until it can, or itself. *stays tells
 * whether it is still there. */
static rub_status decode_or_evict(rub_replica *s, int32_t at, bool *stays) {
    rub_seat *r = &s->seat[s->list[at]];
    while (s->free_blocks < 1) {
        int32_t last = s->n_list - 1;
        *stays = last > at;
        RUB_TRY(rub_wide_send_back(s, last));
        if (!*stays)
            return RUB_OK;
    }
    *stays = rub_wide_cover(s, r, r->done);
    rub_wide_schedule(s, at, 1);
    return RUB_OK;
}

/* By arrival, kept in order among equals: insertion, since the list is nearly sorted. */
static void sort_by_arrival(rub_replica *s) {
    for (int32_t i = 1; i < s->n_list; i++) {
        int32_t x = s->list[i], j = i;
        for (; j > 0 && s->seat[s->list[j - 1]].id > s->seat[x].id; j--)
            s->list[j] = s->list[j - 1];
        s->list[j] = x;
    }
}

/* Unfinished prefills are set aside before the walk reaches those after them, so that none of
 * them can be sent back once passed: the walk moves them to the list's front. */
static rub_status form_sarathi(rub_replica *s) {
    const rub_serve_def *d = s->run->def;
    const int64_t micro = rub_micro(d);
    rub_flight *f = rub_wide_forming(s);
    int32_t at = 0, aside = 0; /* list[0..aside) are the prefills set aside */
    while (at < s->n_list && f->n < micro) {
        int32_t i = s->list[at];
        bool stays = true;
        if (!s->seat[i].prefilled) {
            for (int32_t j = at; j > aside; j--)
                s->list[j] = s->list[j - 1];
            s->list[aside++] = i;
        } else
            RUB_TRY(decode_or_evict(s, at, &stays));
        at += stays;
    }
    int64_t tok = batch_tok(s, f);
    for (int32_t k = 0; k < aside; k++) {
        const rub_seat *r = &s->seat[s->list[k]];
        int64_t take = least(r->prefill - r->done, d->chunk_tok - tok);
        if (take > 0)
            rub_wide_schedule(s, k, take);
        tok += take > 0 ? take : 0;
    }
    rub_wide_leave_list(s);
    sort_by_arrival(s);
    while (rub_queue_n(&s->waiting) > 0 && s->n_held < d->max_seqs && f->n < micro &&
           head_fits(s)) {
        int64_t prefill = rub_queue_first(&s->waiting)->prefill;
        int64_t take = least(prefill, d->chunk_tok - tok);
        if (take <= 0)
            break;
        rub_wide_admit(s, take, prefill, 0);
        tok += take;
    }
    return RUB_OK;
}

static rub_status form_vllm_v0(rub_replica *s) {
    const rub_serve_def *d = s->run->def;
    const int64_t micro = rub_micro(d);
    rub_flight *f = rub_wide_forming(s);
    int64_t longest = 0;
    while (rub_queue_n(&s->waiting) > 0 && head_fits(s) && s->n_held < d->max_seqs &&
           f->n < micro) {
        int64_t prefill = rub_queue_first(&s->waiting)->prefill;
        int64_t most = prefill > longest ? prefill : longest;
        if (((int64_t)f->n + 1) * most > d->max_batch_tok)
            break;
        rub_wide_admit(s, prefill, prefill, 0);
        longest = most;
    }
    if (f->n > 0)
        return RUB_OK;
    sort_by_arrival(s);
    for (int32_t at = 0; at < s->n_list && f->n < micro;) {
        bool stays = true;
        RUB_TRY(decode_or_evict(s, at, &stays));
        at += stays;
    }
    rub_wide_leave_list(s);
    return RUB_OK;
}

/* Whole requests from the queue's head while seats and blocks for prompt and answer last. */
static void admit_whole(rub_replica *s) {
    const rub_flight *f = rub_wide_forming(s);
    while (rub_queue_n(&s->waiting) > 0 && s->n_held < s->run->def->max_seqs &&
           f->n < rub_micro(s->run->def)) {
        const rub_waiter *w = rub_queue_first(&s->waiting);
        if (!rub_wide_fits(s, rub_whole_blocks(s->run, w->id), 0))
            return;
        rub_wide_admit(s, w->prefill,
                       (int64_t)s->run->trace->input_tok[w->id] + s->run->trace->output_tok[w->id],
                       0);
    }
}

static rub_status form_orca(rub_replica *s) {
    const rub_flight *f = rub_wide_forming(s);
    for (int32_t at = 0; at < s->n_list && f->n < rub_micro(s->run->def); at++)
        rub_wide_schedule(s, at, 1);
    rub_wide_leave_list(s);
    admit_whole(s);
    return RUB_OK;
}

static rub_status form_static(rub_replica *s) {
    for (int32_t at = 0; at < s->n_list; at++)
        rub_wide_schedule(s, at, 1);
    rub_wide_leave_list(s);
    if (s->n_held == 0)
        admit_whole(s);
    return RUB_OK;
}

rub_status rub_wide_form(rub_replica *s) {
    switch (s->run->def->policy) {
    case RUB_POLICY_VLLM:
        return rub_wide_form_vllm(s);
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
