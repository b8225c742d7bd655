/* Fast engine: how long nothing can end. A router that counts unfinished requests need not look at a
 * replica before. */
#include "serve/fast.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Tokens that a request has to come, of which each iteration gives one: the first included. */
static int64_t to_come(const rub_replica *s, int32_t id, int64_t prefill) {
    return (int64_t)s->input_tok[id] + s->output_tok[id] - prefill;
}

/* Iterations from the next one on until the first that can end one of the requests that wait. */
static int64_t of_waiting(const rub_replica *s) {
    const rub_line *l = &s->line;
    int64_t n = INT32_MAX;
    if (l->n_back > 0 || l->n > 8)
        return 1;
    for (uint32_t i = 0; i < l->n; i++)
        n = least(n, s->output_tok[l->ring[(l->head + i) & (l->room - 1)]]);
    return n;
}

/* Iterations after the present one, or from the next one on at a boundary, until the first that can
 * end a request; 0: the present one does. */
static int64_t until_end(const rub_replica *s, bool seats_stay) {
    int64_t n = INT32_MAX;
    if (s->n_decode > 0)
        n = rub_fast_until_marked(s) + (s->busy && s->decodes_run ? 0 : 1);
    for (int32_t e = 0; e < s->n_ending; e++) {
        const rub_slot *slot = &s->slot[s->ending[e]];
        n = least(n, to_come(s, slot->id, slot->prefill) - 1);
    }
    if (s->cur >= 0)
        n = least(n, to_come(s, s->slot[s->cur].id, s->slot[s->cur].prefill));
    /* with every seat taken none comes in before one ends */
    if (rub_line_n(&s->line) > 0 && !(seats_stay && s->n_running >= s->max_seqs))
        n = least(n, of_waiting(s));
    return n;
}

/* Whether blocks suffice for everything that n iterations can let in and decode, so that nobody is
 * sent back and the batch only grows: the budget's tokens in each, one prompt that is cut, and a
 * started block for each seat. */
static bool with_room(const rub_replica *s, int64_t n) {
    double longest = s->run->longest_tok, seats = (double)s->max_seqs, size = (double)s->block_size;
    double in = ((double)n * (double)s->limit_tok + longest) / size + seats;
    return longest > 0 &&
           in + seats * ((double)n / size + 2) <= (double)(s->free_blocks - s->spare);
}

double rub_fast_earliest_end(const rub_replica *s) {
    double due_s = rub_fast_due(s);
    if (isinf(due_s) || !rub_run_bounded(s->run))
        return due_s;
    bool room = true;
    int64_t n = until_end(s, true);
    if (!with_room(s, n)) {
        room = false;
        n = until_end(s, false);
    }
    const rub_perf_linear *l = &s->linear;
    double m = (double)n, decodes = room ? (double)s->n_decode : 0.0, kv = (double)s->kv_decode;
    double each = l->a_s + l->b_s * decodes + (room ? l->c_s * kv : 0.0);
    double sum = m * each + l->c_s * decodes * 0.5 * m * (m - 1.0);
    double from_s = s->busy ? s->end_s : s->now_s;
    double end_s = from_s + sum * RUB_SHORT_OF - m * from_s * 0x1p-50;
    return end_s > due_s ? end_s : due_s;
}
