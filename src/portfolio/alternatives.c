/* Alternatives: what each other action now would be worth, the rest of the plan standing. */
#include "rubato/portfolio.h"

#include "base/array.h"
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

static rub_status ask(const rub_levels *l, rub_search *s, int32_t block, const rub_plan *plan,
                      rub_alternative **out, size_t *n, size_t *cap) {
    const rub_level_site *site = &l->site[l->problem->block[block].site];
    const rub_automaton *a = &site->automaton;
    const rub_level *level = &site->level[0];
    const rub_step *now = &plan->step[(size_t)block * (size_t)plan->n_node];
    for (int32_t e = 0; e < level->n_entry; e++) {
        const rub_level_entry *one = &level->entry[e];
        bool same = one->action == now->action && one->gen == now->gen;
        if (memcmp(&a->state[one->from], &now->state, sizeof now->state) != 0 || same ||
            !rub_arc_has(l->problem, a, one->arc, 0))
            continue;
        rub_alternative r = {block, (rub_action)one->action, one->gen,
                             rub_search_value_if(s, block, (rub_action)one->action, one->gen)};
        if (r.value_usd > -HUGE_VAL)
            RUB_TRY(RUB_ARRAY_PUSH(*out, *n, *cap, r));
    }
    return RUB_OK;
}

rub_status rub_plan_alternatives(const rub_problem *p, const rub_plan *plan, rub_alternative **out,
                                 size_t *n, rub_error *err) {
    rub_levels l = {0};
    rub_search *s = NULL;
    rub_alternative *found = NULL;
    size_t count = 0, cap = 0;
    rub_status status = rub_levels_make(p, 0, &l, err);
    if (status == RUB_OK)
        status = rub_search_create(&l, 1, NULL, &s, err);
    if (status == RUB_OK && !rub_search_follow(s, plan, false))
        status = rub_error_set(err, RUB_INTERNAL, "the plan cannot be followed");
    for (int32_t b = 0; status == RUB_OK && b < p->n_block; b++)
        if (!told_already(p, plan, b))
            status = ask(&l, s, b, plan, &found, &count, &cap);
    rub_search_free(s);
    rub_levels_clear(&l);
    if (status != RUB_OK) {
        free(found);
        return rub_error_set(err, status, "%s",
                             err && err->message[0] ? err->message : rub_status_text(status));
    }
    *out = found;
    *n = count;
    return RUB_OK;
}
