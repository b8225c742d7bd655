/* Search: whole plans and the moves between them. */
#include "portfolio/search_state.h"

#include <math.h>
#include <string.h>

static size_t path_bytes(const rub_search *s) { return (size_t)s->p->n_node * sizeof(uint16_t); }

static uint16_t *saved(const rub_search *s, int32_t i) {
    return s->saved_path + (size_t)i * (size_t)s->p->n_node;
}

static void take_out(rub_search *s, int32_t block, int32_t i) {
    memcpy(saved(s, i), rub_search_path(s, block), path_bytes(s));
    rub_search_count(s, block, -1.0);
}

/* One block in as cheaply as can be; like the block before it when that is of the same site. */
static bool put_cheaply(rub_search *s, int32_t b, int32_t before) {
    bool like = before >= 0 && s->site_of[b] == s->site_of[before] && s->root_action[b] == 255 &&
                s->root_action[before] == 255 && rub_search_fits(s, b, rub_search_path(s, before));
    if (like)
        memcpy(s->trial, rub_search_path(s, before), path_bytes(s));
    else if (!rub_search_cheapest(s, b))
        return false;
    rub_search_put(s, b, s->trial);
    return true;
}

/* Every block in as cheaply as can be; first those that are let and so must have their depth. */
static void put_cheapest(rub_search *s) {
    rub_search_reset(s);
    rub_search_weigh(s);
    for (int pass = 0; pass < 2; pass++)
        for (int32_t b = 0, before = -1; b < s->p->n_block; b++) {
            bool let = s->p->study->site[s->site_of[b]].stage == RUB_STAGE_SUBLET;
            if (let != (pass == 0))
                continue;
            if (!put_cheaply(s, b, before)) {
                s->value = -HUGE_VAL;
                return;
            }
            before = b;
        }
    rub_search_clear_touched(s);
    rub_search_judge(s);
    rub_search_commit(s);
    rub_search_weigh(s);
}

void rub_search_build(rub_search *s, const rub_prices *prices) {
    put_cheapest(s);
    if (!(s->value > -HUGE_VAL))
        return;
    for (int32_t b = 0; b < s->p->n_block && rub_search_go(s); b++) {
        take_out(s, b, 0);
        bool found = rub_search_best_path(s, b, prices, prices ? 0.5 : 0.0);
        rub_search_put(s, b, found ? s->trial : saved(s, 0));
        rub_search_clear_touched(s);
        rub_search_commit(s);
    }
    rub_search_judge(s);
}

bool rub_search_place(rub_search *s, const uint16_t *(*path_of)(void *, int32_t), void *ctx,
                      const rub_prices *prices) {
    put_cheapest(s);
    if (!(s->value > -HUGE_VAL))
        return false;
    s->budget_share = prices ? 1.0 : 0.0;
    for (int32_t b = 0; path_of && b < s->p->n_block && rub_search_go(s); b++) {
        const uint16_t *path = s->root_action[b] == 255 ? path_of(ctx, b) : NULL;
        take_out(s, b, 0);
        if (path && rub_search_fits(s, b, path))
            rub_search_put(s, b, path);
        else if (rub_search_best_path(s, b, prices, prices ? 1.0 : 0.0))
            rub_search_put(s, b, s->trial);
        else
            rub_search_put(s, b, saved(s, 0));
    }
    rub_search_clear_touched(s);
    rub_search_commit(s);
    rub_search_judge(s);
    s->budget_share = 0.0;
    return s->value > -HUGE_VAL;
}

/* ---- a plan given as steps ------------------------------------------------------------------- */

/* Entry of a state that does what the step does here; -1: none that is open. */
static int32_t entry_for(const rub_search *s, int32_t site, int32_t node, int32_t state,
                         const rub_step *step, bool mend) {
    const rub_level_site *one = &s->l->site[site];
    const rub_automaton *a = &one->automaton;
    const rub_level *level = &one->level[s->p->tree->quarter[node]];
    if (!mend && memcmp(&a->state[state], &step->state, sizeof step->state) != 0)
        return -1;
    for (int32_t e = level->first_entry[state]; e < level->first_entry[state + 1]; e++) {
        const rub_level_entry *x = &level->entry[e];
        bool same = x->action == step->action && x->gen == step->gen &&
                    (mend || !memcmp(&a->state[x->to], &step->next, sizeof step->next));
        if (same && rub_arc_has(s->p, a, x->arc, node))
            return e;
    }
    return -1;
}

static bool walk(const rub_search *s, const rub_plan *plan, int32_t b, bool mend, uint16_t *path) {
    const rub_problem *p = s->p;
    const rub_level_site *site = &s->l->site[s->site_of[b]];
    for (int32_t n = 0; n < p->n_node; n++) {
        int32_t parent = p->tree->parent[n], t = p->tree->quarter[n];
        int32_t state =
            parent < 0 ? site->automaton.initial : site->level[t - 1].entry[path[parent]].to;
        state = rub_state_arrive(p, &site->automaton, state, n);
        int32_t e = entry_for(s, s->site_of[b], n, state,
                              &plan->step[(size_t)b * (size_t)p->n_node + (size_t)n], mend);
        if (e < 0)
            return false;
        path[n] = (uint16_t)e;
    }
    return true;
}

typedef struct follower {
    const rub_search *s;
    const rub_plan *plan;
} follower;

static const uint16_t *mended(void *ctx, int32_t b) {
    const follower *f = ctx;
    return walk(f->s, f->plan, b, true, f->s->trial) ? f->s->trial : NULL;
}

/* The plan as it is; with mend each block that cannot follow it any more is planned anew once all others are
 * in. false: that passes a limit. Without mend it is a solver's plan, whose limits were judged within the
 * solver's tolerance, which is wider than ours. */
static bool follow_all(rub_search *s, const rub_plan *plan, bool mend) {
    rub_search_reset(s);
    bool whole = true;
    for (int32_t b = 0; b < s->p->n_block; b++) {
        bool fits = walk(s, plan, b, mend, s->trial) && (!mend || rub_search_fits(s, b, s->trial));
        if (!fits && !mend)
            return false;
        if (fits)
            rub_search_put(s, b, s->trial);
        whole = whole && fits;
    }
    if (!whole)
        rub_search_weigh(s);
    for (int32_t b = 0; b < s->p->n_block; b++) {
        if (s->in[b])
            continue;
        rub_search_clear_touched(s);
        if (!rub_search_best_path(s, b, NULL, 0.0))
            return false;
        rub_search_put(s, b, s->trial);
    }
    rub_search_clear_touched(s);
    rub_search_commit(s);
    rub_search_judge(s);
    return !mend || s->value > -HUGE_VAL;
}

bool rub_search_follow(rub_search *s, const rub_plan *plan, bool mend) {
    follower f = {s, plan};
    if (follow_all(s, plan, mend))
        return true;
    return mend && rub_search_place(s, mended, &f, NULL);
}

/* ---- moves ----------------------------------------------------------------------------------- */

/* The saved path of the i-th block that was taken out, if those that went in before it left it room. */
static bool put_saved(rub_search *s, int32_t block, int32_t i) {
    bool fits = rub_search_fits(s, block, saved(s, i));
    rub_search_put(s, block, saved(s, i));
    return fits;
}

static void put_back(rub_search *s, const int32_t *out, int32_t n_out) {
    for (int32_t i = 0; i < n_out; i++)
        rub_search_count(s, out[i], -1.0);
    for (int32_t i = 0; i < n_out; i++)
        rub_search_put(s, out[i], saved(s, i));
    rub_search_forget(s);
    rub_search_judge(s);
}

/* Keeps what stands when it is worth more than before; the saved paths else. The estimate is never
 * under the truth, so it may refuse but not accept. */
static bool decide(rub_search *s, double before, const int32_t *out, int32_t n_out) {
    double least = before + 1e-9 * fabs(before);
    rub_search_judge(s);
    if (s->value > least) {
        rub_search_clear_touched(s);
        rub_search_judge(s);
    }
    if (s->value > least) {
        rub_search_commit(s);
        return true;
    }
    put_back(s, out, n_out);
    return false;
}

static bool reinsert(rub_search *s, const int32_t *out, int32_t n_out, const rub_prices *prices,
                     double blend) {
    double before = s->value;
    rub_search_weigh(s);
    for (int32_t i = 0; i < n_out; i++)
        take_out(s, out[i], i);
    bool same = true, fits = true;
    for (int32_t i = 0; i < n_out; i++) {
        if (!rub_search_best_path(s, out[i], prices, blend)) {
            fits = put_saved(s, out[i], i) && fits;
            continue;
        }
        same = same && !memcmp(s->trial, saved(s, i), path_bytes(s));
        rub_search_put(s, out[i], s->trial);
    }
    if (!fits) {
        put_back(s, out, n_out);
        return false;
    }
    if (same) {
        rub_search_forget(s);
        return false;
    }
    return decide(s, before, out, n_out);
}

bool rub_search_reinsert(rub_search *s, int32_t block) { return reinsert(s, &block, 1, NULL, 0.0); }

bool rub_search_move(rub_search *s, const rub_prices *prices, const int32_t *block,
                     int32_t n_block) {
    int32_t out[RUB_SEARCH_MOST_OUT];
    int32_t n_out = 1 + (int32_t)rub_rng_below(&s->rng, RUB_SEARCH_MOST_OUT);
    n_out = n_out < n_block ? n_out : n_block;
    for (int32_t i = 0; i < n_out; i++) {
        bool again = true;
        while (again) {
            out[i] = block[rub_rng_below(&s->rng, (uint64_t)n_block)];
            again = false;
            for (int32_t k = 0; k < i; k++)
                again = again || out[k] == out[i];
        }
    }
    double blend = prices && rub_rng_uniform(&s->rng) < 0.6 ? 0.7 * rub_rng_uniform(&s->rng) : 0.0;
    s->budget_share = blend;
    bool better = reinsert(s, out, n_out, prices, blend);
    s->budget_share = 0.0;
    return better;
}

/* Blocks i..n-1 of a list take the other's paths where these fit; kept when worth more. */
static bool adopt(rub_search *s, const rub_search *other, const int32_t *block, int32_t n) {
    double before = s->value;
    for (int32_t i = 0; i < n; i++)
        take_out(s, block[i], i);
    bool fits = true;
    for (int32_t i = 0; i < n; i++) {
        const uint16_t *path = rub_search_path(other, block[i]);
        if (rub_search_fits(s, block[i], path))
            rub_search_put(s, block[i], path);
        else
            fits = put_saved(s, block[i], i) && fits;
    }
    if (!fits) {
        put_back(s, block, n);
        return false;
    }
    return decide(s, before, block, n);
}

bool rub_search_merge(rub_search *s, const rub_search *base, const rub_search *other) {
    int32_t list[4096], n = 0; /* chains differ in fewer blocks a round */
    for (int32_t b = 0; b < s->p->n_block && n < 4096; b++)
        if (memcmp(rub_search_path(base, b), rub_search_path(other, b), path_bytes(s)) != 0)
            list[n++] = b;
    if (n == 0)
        return false;
    if (adopt(s, other, list, n))
        return true;
    bool any = false;
    for (int32_t i = 0; n > 1 && i < n && rub_search_go(s); i++)
        any = adopt(s, other, &list[i], 1) || any;
    return any;
}

double rub_search_value_if(rub_search *s, int32_t block, rub_action action, int32_t gen) {
    uint8_t was_action = s->root_action[block], was_gen = s->root_gen[block];
    double value = -HUGE_VAL;
    rub_search_weigh(s);
    take_out(s, block, 0);
    s->root_action[block] = (uint8_t)action;
    s->root_gen[block] = (uint8_t)gen;
    bool found = rub_search_best_path(s, block, NULL, 0.0);
    s->root_action[block] = was_action;
    s->root_gen[block] = was_gen;
    rub_search_put(s, block, found ? s->trial : saved(s, 0));
    if (found) {
        rub_search_clear_touched(s);
        rub_search_judge(s);
        value = s->value;
    }
    put_back(s, &block, 1);
    return value;
}
