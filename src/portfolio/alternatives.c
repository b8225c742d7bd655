/* Alternatives: what each other action now would be worth, the rest of the plan standing. */
#include "rubato/portfolio.h"

#include "base/array.h"
#include "base/tasks.h"
#include "portfolio/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Has an earlier block of the same site the same root step? */
static bool told_already(const rub_problem *p, const rub_plan *plan, int32_t block) {
    const rub_step *mine = &plan->step[(size_t)block * (size_t)plan->n_node];
    for (int32_t b = block - 1; b >= 0 && p->block[b].site == p->block[block].site; b--)
        if (!memcmp(mine, &plan->step[(size_t)b * (size_t)plan->n_node], sizeof *mine))
            return true;
    return false;
}

/* Blocks are asked in parallel, each on a search that stands at the plan. */
typedef struct asker {
    const rub_levels *l;
    const rub_plan *plan;
    rub_search *base, **search; /* by thread */
    int32_t *block;             /* to ask */
    struct answers {
        rub_alternative *one;
        size_t n, cap;
        rub_status status;
    } * answers; /* by place in block */
} asker;

static void ask(void *ctx, int32_t i, int32_t thread) {
    asker *k = ctx;
    struct answers *to = &k->answers[i];
    rub_search *s = k->search[thread];
    int32_t block = k->block[i];
    const rub_problem *p = k->l->problem;
    const rub_level_site *site = &k->l->site[p->block[block].site];
    const rub_automaton *a = &site->automaton;
    const rub_level *level = &site->level[0];
    const rub_step *now = &k->plan->step[(size_t)block * (size_t)k->plan->n_node];
    rub_search_copy(k->base, s);
    for (int32_t e = 0; to->status == RUB_OK && e < level->n_entry; e++) {
        const rub_level_entry *one = &level->entry[e];
        bool same = one->action == now->action && one->gen == now->gen;
        if (memcmp(&a->state[one->from], &now->state, sizeof now->state) != 0 || same ||
            !rub_arc_has(p, a, one->arc, 0))
            continue;
        rub_alternative r = {block, (rub_action)one->action, one->gen,
                             rub_search_value_if(s, block, (rub_action)one->action, one->gen)};
        if (r.value_usd > -HUGE_VAL)
            to->status = RUB_ARRAY_PUSH(to->one, to->n, to->cap, r);
    }
}

static rub_status prepare(asker *k, int32_t n_thread, rub_error *err) {
    const rub_problem *p = k->l->problem;
    k->search = RUB_NEW(rub_search *, n_thread);
    k->block = RUB_NEW(int32_t, p->n_block);
    k->answers = RUB_NEW(struct answers, p->n_block);
    if (!k->search || !k->block || !k->answers)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for alternatives");
    RUB_TRY(rub_search_create(k->l, 1, NULL, &k->base, err));
    if (!rub_search_follow(k->base, k->plan, false))
        return rub_error_set(err, RUB_INTERNAL, "the plan cannot be followed");
    for (int32_t i = 0; i < n_thread; i++)
        RUB_TRY(rub_search_create(k->l, 1, NULL, &k->search[i], err));
    return RUB_OK;
}

static rub_status collect(asker *k, int32_t n_ask, rub_alternative **out, size_t *n,
                          rub_error *err) {
    size_t cap = 0;
    for (int32_t i = 0; i < n_ask; i++) {
        rub_status status = k->answers[i].status;
        for (size_t j = 0; status == RUB_OK && j < k->answers[i].n; j++)
            status = RUB_ARRAY_PUSH(*out, *n, cap, k->answers[i].one[j]);
        if (status != RUB_OK)
            return rub_error_set(err, status, "out of memory for alternatives");
    }
    return RUB_OK;
}

static void clear(asker *k, int32_t n_thread) {
    for (int32_t i = 0; k->search && i < n_thread; i++)
        rub_search_free(k->search[i]);
    for (int32_t i = 0; k->answers && i < k->l->problem->n_block; i++)
        free(k->answers[i].one);
    rub_search_free(k->base);
    free(k->search);
    free(k->block);
    free(k->answers);
}

rub_status rub_plan_alternatives(const rub_problem *p, const rub_plan *plan, int32_t n_thread,
                                 rub_alternative **out, size_t *n, rub_error *err) {
    rub_levels l = {0};
    asker k = {.l = &l, .plan = plan};
    rub_alternative *found = NULL;
    size_t count = 0;
    int32_t n_ask = 0;
    n_thread = rub_thread_count(n_thread);
    RUB_TRY(rub_levels_make(p, n_thread, &l, err));
    rub_status status = prepare(&k, n_thread, err);
    for (int32_t b = 0; status == RUB_OK && b < p->n_block; b++)
        if (!told_already(p, plan, b))
            k.block[n_ask++] = b;
    if (status == RUB_OK) {
        rub_parallel_for(n_ask, n_thread, ask, &k);
        status = collect(&k, n_ask, &found, &count, err);
    }
    clear(&k, n_thread);
    rub_levels_clear(&l);
    if (status != RUB_OK) {
        free(found);
        return status;
    }
    *out = found;
    *n = count;
    return RUB_OK;
}
