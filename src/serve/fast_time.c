/* Fast engine: a replica's time: start, complete, and the loop of iterations that are all alike. */
#include "serve/fast_form.h"

/* ---- completing an iteration ------------------------------------------------------------------ */

/* Times between tokens: with vllm and sarathi every decode's last token came at the iteration's
 * start; with v0 prefill-only iterations may lie between. */
RUB_FLAT void count_gaps(rub_replica *s, rub_policy policy, double started_s) {
    if (policy != RUB_POLICY_VLLM_V0) {
        rub_fast_count_gap(s, s->now_s - started_s, (uint64_t)s->n_decode);
        return;
    }
    if (s->n_old > 0)
        rub_fast_count_gap(s, s->now_s - s->last_decode_s, (uint64_t)s->n_old);
    for (size_t f = 0; f < s->n_fresh; f++)
        if (s->fresh[f].n > 0)
            rub_fast_count_gap(s, s->now_s - s->fresh[f].last_s, (uint64_t)s->fresh[f].n);
    s->n_fresh = 0;
    s->last_decode_s = s->now_s;
}

RUB_FLAT void end_decodes(rub_replica *s, rub_policy policy, double started_s) {
    count_gaps(s, policy, started_s);
    s->kv_decode += s->n_decode;
    s->k++;
    s->phase = rub_fast_next_phase(s, 1);
    rub_fast_finish_decodes(s);
    s->n_old = s->n_decode;
}

/* The prefill of a slot has ended: its first token, then decoding or the end. True: it decodes. */
RUB_FLAT bool end_prefill(rub_replica *s, int32_t i) {
    const rub_slot *slot = &s->slot[i];
    s->totals.prefill_tok += slot->prefill;
    if (isnan(slot->last_s))
        s->first_token_s[slot->id] = s->now_s;
    else {
        rub_fast_count_gap(s, s->now_s - slot->last_s, 1);
        s->totals.n_late++;
    }
    int64_t total = (int64_t)s->input_tok[slot->id] + s->output_tok[slot->id];
    int64_t remaining = total - slot->prefill - 1;
    if (remaining > 0)
        rub_fast_join_decodes(s, i, remaining);
    else
        rub_fast_finish(s, i, rub_fast_blocks(s, slot->prefill));
    return remaining > 0;
}

RUB_FLAT rub_status complete(rub_replica *s, rub_policy policy) {
    double started_s = s->now_s;
    int64_t n_joined = 0;
    s->busy = false;
    s->now_s = s->end_s;
    if (s->decodes_run)
        end_decodes(s, policy, started_s);
    for (int32_t e = 0; e < s->n_ending; e++)
        n_joined += end_prefill(s, s->ending[e]);
    s->n_ending = 0;
    if (policy == RUB_POLICY_VLLM_V0 && n_joined > 0)
        return RUB_ARRAY_PUSH(s->fresh, s->n_fresh, s->fresh_cap,
                              ((rub_fresh){s->now_s, n_joined}));
    return RUB_OK;
}

/* ---- iterations that are all alike ------------------------------------------------------------ */

/* Most of `left` iterations after the present one that find blocks: all where one for each decode
 * in each round of the block size suffices, else counted. */
static int64_t with_blocks(const rub_replica *s, int64_t left) {
    int64_t n = 0, free_blocks = s->free_blocks - s->spare;
    for (int64_t phase = rub_fast_next_phase(s, 1); n < left; n++) {
        free_blocks -= s->growth[phase];
        if (free_blocks < 0)
            break;
        phase = phase + 1 == s->block_size ? 0 : phase + 1;
    }
    return n;
}

/* At least as often as a decode can take a block in so many iterations. */
RUB_FLAT int64_t rounds(const rub_replica *s, int64_t iterations) {
    return 1 + (s->shift >= 0 ? iterations >> s->shift : iterations / s->block_size);
}

/* v0: the first decode iteration after prefills has gaps of several lengths. */
RUB_FLAT bool first_has_old_gaps(const rub_replica *s, rub_policy policy) {
    return policy == RUB_POLICY_VLLM_V0 &&
           (s->n_fresh > 0 || s->n_old != s->n_decode || s->last_decode_s != s->now_s);
}

/* How many iterations like the one just formed must follow it, and whether arrivals change nothing
 * about that. Those end requests, run out of blocks, complete the prefill or let others in only
 * after them; a last one of that kind is never counted, so it is formed and completed as any. */
RUB_FLAT void look_ahead(rub_replica *s, rub_policy policy, const rub_batch *batch) {
    int64_t left = INT32_MAX, prefill = 0;
    s->left = 0;
    s->shut = true;
    if (s->n_ending > 0)
        return;
    if (s->cur >= 0) { /* it was cut by the budget: there is no room beside it */
        const rub_slot *slot = &s->slot[s->cur];
        if (s->take > 0)
            left = (int64_t)((uint32_t)slot->prefill - slot->base - 1) / (uint32_t)s->take;
    } else {
        if (first_has_old_gaps(s, policy))
            return;
        s->shut = rub_line_n(&s->line) > 0 || s->n_running >= s->max_seqs;
        if (batch->n_tokens < s->limit_tok && head_fits(s, &prefill))
            return; /* vllm: none was let in because some were sent back */
    }
    if (s->n_decode > 0) {
        left = least(left, rub_fast_until_marked(s));
        if (left > 0 && s->n_decode * rounds(s, left) > s->free_blocks - s->spare)
            left = with_blocks(s, left);
    }
    s->left = left;
}

/* Tokens of the prefill that the present iteration found processed. */
RUB_FLAT int64_t chunk_base(const rub_replica *s) {
    return s->take > 0 ? (int64_t)s->slot[s->cur].base - s->take : 0;
}

/* As many iterations like the present one have ended, and one more goes on until end_s. */
RUB_FLAT void put_down(rub_replica *s, int64_t turns, double now_s, double end_s) {
    s->now_s = s->last_decode_s = now_s;
    s->end_s = end_s;
    s->left -= turns;
    if (s->take > 0)
        s->slot[s->cur].base += (uint32_t)(turns * s->take);
    if (s->decodes_run) {
        s->k += turns;
        s->phase = rub_fast_next_phase(s, turns);
        s->kv_decode += turns * s->n_decode;
    } else
        s->totals.n_undecoded += turns;
}

/* One more, of any perf model. */
static void repeat_any(rub_replica *s) {
    int64_t base = chunk_base(s) + s->take;
    rub_batch batch = {.n_tokens = s->n_decode + s->take,
                       .n_decode = s->n_decode,
                       .kv_decode = s->kv_decode + s->n_decode,
                       .n_prefill = s->take > 0,
                       .prefill_work2 = s->take * (2 * base + s->take),
                       .prefill_kv = base};
    double duration = rub_perf_duration(s->run->perf, &batch);
    if (s->decodes_run)
        rub_fast_count_gap(s, s->end_s - s->now_s, (uint64_t)s->n_decode);
    put_down(s, 1, s->end_s, s->end_s + duration);
    s->free_blocks -= s->decodes_run ? s->growth[s->phase] : 0;
    s->totals.kv_block_s += duration * (double)(s->kv_blocks - s->free_blocks);
}

/* The linear form of iterations that are all alike, as doubles that hold integers or their halves:
 * the sum from the left, as rub_perf_duration has it. */
typedef struct line {
    double first, c_s, d_s, n, take2; /* first two terms; decodes; square of the chunk */
    double kv, work;                  /* of the present iteration */
    double now_s, end_s;
} line;

RUB_FLAT line line_of(const rub_replica *s) {
    int64_t base = chunk_base(s);
    return (line){.first = s->linear.a_s + s->linear.b_s * (double)(s->n_decode + s->take),
                  .c_s = s->linear.c_s,
                  .d_s = s->linear.d_s,
                  .n = (double)s->n_decode,
                  .take2 = (double)(s->take * s->take),
                  .kv = (double)s->kv_decode,
                  .work = (double)(s->take * (2 * base + s->take)) * 0.5,
                  .now_s = s->now_s,
                  .end_s = s->end_s};
}

/* From the present iteration to the next one; its duration. */
RUB_FLAT double step(line *l) {
    l->kv += l->n;
    l->work += l->take2;
    double duration = l->first + l->c_s * l->kv + l->d_s * l->work;
    l->now_s = l->end_s;
    l->end_s = l->now_s + duration;
    return duration;
}

/* Times between tokens that do not fall into one bin. */
static __attribute__((noinline)) void count_each(rub_replica *s, line l, int64_t turns) {
    for (int64_t i = 0; i < turns; i++) {
        s->gap_count[rub_histogram_bin(l.end_s - l.now_s)] += (uint64_t)s->n_decode;
        step(&l);
    }
}

/* Completes the present iteration and those like it that start before until, a round at most; the
 * last one is left in progress. */
RUB_FLAT void repeat_linear(rub_replica *s, double until_s) {
    const int64_t most = s->left < RUB_ROUND ? s->left : RUB_ROUND;
    const line at_first = line_of(s);
    const int32_t *growth = &s->growth[s->phase + 1]; /* all 0 where nothing decodes */
    int64_t turns = 0, used = s->kv_blocks - s->free_blocks;
    double least_gap = HUGE_VAL, most_gap = 0.0, block_s = s->totals.kv_block_s;
    line l = at_first;
    do {
        double gap = l.end_s - l.now_s;
        least_gap = gap < least_gap ? gap : least_gap;
        most_gap = gap > most_gap ? gap : most_gap;
        used += growth[turns++];
        block_s += step(&l) * (double)used;
    } while (l.end_s < until_s && turns < most);
    put_down(s, turns, l.now_s, l.end_s);
    s->free_blocks = s->kv_blocks - used;
    s->totals.kv_block_s = block_s;
    if (!s->decodes_run)
        return;
    s->totals.gap_max_s = most_gap > s->totals.gap_max_s ? most_gap : s->totals.gap_max_s;
    size_t bin = rub_histogram_bin(least_gap);
    if (bin == rub_histogram_bin(most_gap))
        s->gap_count[bin] += (uint64_t)(turns * s->n_decode);
    else
        count_each(s, at_first, turns);
}

/* ---- time ------------------------------------------------------------------------------------- */

/* Nobody waits and no prefill is unfinished: all decodes, and as many such iterations as there are
 * before one ends. False: blocks are short. */
RUB_FLAT bool start_decodes(rub_replica *s, rub_policy policy, bool linear) {
    const int64_t n = s->n_decode, left_blocks = s->free_blocks - s->growth[s->phase] - s->spare;
    if (__builtin_expect(left_blocks < 0, 0))
        return false;
    rub_batch batch = {.n_tokens = n, .n_decode = n, .kv_decode = s->kv_decode};
    const rub_perf_linear *l = &s->linear;
    double duration = linear ? l->a_s + l->b_s * (double)n + l->c_s * (double)s->kv_decode
                             : rub_perf_tables_duration(s->run->perf->tables, &batch);
    s->free_blocks = left_blocks + s->spare;
    s->decodes_run = s->busy = true;
    s->shut = false;
    s->take = 0;
    s->end_s = s->now_s + duration;
    s->totals.kv_block_s += duration * (double)(s->kv_blocks - s->free_blocks);
    int64_t left = first_has_old_gaps(s, policy) ? 0 : rub_fast_until_marked(s);
    if (__builtin_expect(n * rounds(s, left) > left_blocks, 0))
        left = with_blocks(s, left);
    s->left = left;
    return true;
}

RUB_FLAT rub_status start(rub_replica *s, rub_policy policy, bool linear, bool *formed) {
    rub_batch batch = {0};
    *formed = false;
    if (s->cur < 0 && rub_line_n(&s->line) == 0) {
        *formed = s->n_decode > 0;
        if (!*formed || start_decodes(s, policy, linear))
            return RUB_OK;
    }
    RUB_TRY(form(s, policy, &batch));
    if (__builtin_expect(batch.n_tokens == 0, 0)) {
        if (rub_line_n(&s->line) > 0) /* the only one running sent itself back */
            RUB_TRY(form(s, policy, &batch));
        if (batch.n_tokens == 0)
            return RUB_OK;
    }
    const rub_perf_linear *l = &s->linear;
    double duration = linear ? l->a_s + l->b_s * (double)batch.n_tokens +
                                   l->c_s * (double)batch.kv_decode +
                                   l->d_s * ((double)batch.prefill_work2 * 0.5)
                             : rub_perf_tables_duration(s->run->perf->tables, &batch);
    *formed = s->busy = true;
    s->end_s = s->now_s + duration;
    s->totals.n_undecoded += !s->decodes_run;
    s->totals.kv_block_s += duration * (double)(s->kv_blocks - s->free_blocks);
    look_ahead(s, policy, &batch);
    return RUB_OK;
}

RUB_FLAT rub_status advance(rub_replica *s, rub_policy policy, bool linear, double until_s) {
    for (;;) {
        bool formed;
        if (s->busy) {
            while (s->left > 0 && s->end_s < until_s)
                if (linear)
                    repeat_linear(s, until_s);
                else
                    repeat_any(s);
            if (s->end_s > until_s)
                return RUB_OK;
            RUB_TRY(complete(s, policy));
            if (rub_closed_pauses(s->closed))
                return RUB_OK;
        }
        if (s->now_s >= until_s)
            return RUB_OK;
        RUB_TRY(start(s, policy, linear, &formed));
        if (!formed)
            return RUB_OK;
    }
}

#define OF_KIND(name, policy, linear)                                                              \
    static rub_status advance_##name(rub_replica *s, double until_s) {                             \
        return advance(s, policy, linear, until_s);                                                \
    }                                                                                              \
    static rub_status start_##name(rub_replica *s, bool *formed) {                                 \
        return start(s, policy, linear, formed);                                                   \
    }

OF_KIND(vllm_linear, RUB_POLICY_VLLM, true)
OF_KIND(sarathi_linear, RUB_POLICY_SARATHI, true)
OF_KIND(v0_linear, RUB_POLICY_VLLM_V0, true)
OF_KIND(vllm, RUB_POLICY_VLLM, false)
OF_KIND(sarathi, RUB_POLICY_SARATHI, false)
OF_KIND(v0, RUB_POLICY_VLLM_V0, false)

void rub_fast_choose(rub_replica *s) {
    static const struct {
        rub_status (*advance)(rub_replica *, double);
        rub_status (*start)(rub_replica *, bool *);
    } way[2][3] = {
        {{advance_vllm, start_vllm}, {advance_sarathi, start_sarathi}, {advance_v0, start_v0}},
        {{advance_vllm_linear, start_vllm_linear},
         {advance_sarathi_linear, start_sarathi_linear},
         {advance_v0_linear, start_v0_linear}}};
    bool linear = s->run->perf->kind == RUB_PERF_LINEAR;
    s->advance = way[linear][s->run->def->policy].advance; /* vllm, sarathi, vllm-v0: 0, 1, 2 */
    s->start = way[linear][s->run->def->policy].start;
}
