/* MIP: the deterministic equivalent solved by Cbc; integer flows read back as plans. */
#include "portfolio/mip.h"

#include "base/array.h"
#include "portfolio/equivalent.h"
#include "portfolio/market.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MILLION 1e6

int64_t rub_mip_size(const rub_compiled *c) {
    int64_t n = 0;
    for (int32_t s = 0; s < c->n_site; s++)
        n += c->site[s].first[c->problem->n_node];
    return n;
}

/* ---- reading the answer ----------------------------------------------------------------------- */

/* Integer flows become paths: each block takes the first entry of its state with flow left. */
static void trace_block(const rub_equivalent *b, int32_t s, double *left, rub_plan *plan,
                        int32_t block, double *cap, int32_t n_cap) {
    const rub_problem *p = b->p;
    const rub_compiled_site *site = &b->c->site[s];
    const rub_automaton *a = &site->automaton;
    for (int32_t n = 0; n < p->n_node; n++) {
        rub_step *step = &plan->step[(size_t)block * (size_t)p->n_node + (size_t)n];
        int32_t parent = p->tree->parent[n], taken = -1;
        const rub_step *before =
            parent >= 0 ? &plan->step[(size_t)block * (size_t)p->n_node + (size_t)parent] : NULL;
        for (int32_t e = site->first[n]; e < site->first[n + 1]; e++) {
            const rub_entry *one = &site->entry[e];
            int32_t to = -1;
            for (int32_t i = 0; before && i < a->n_state && to < 0; i++)
                if (!memcmp(&a->state[i], &before->next, sizeof before->next))
                    to = rub_state_arrive(p, a, i, n);
            if (before && to != one->from)
                continue;
            if (!before && one->from != rub_state_arrive(p, a, a->initial, 0))
                continue;
            if (taken < 0 || left[e] > left[taken])
                taken = e;
        }
        const rub_entry *one = &site->entry[taken];
        left[taken] -= 1.0;
        *step =
            (rub_step){a->state[one->from], a->state[one->to], one->action, a->arc[one->arc].gen};
        if (one->own_mw > 0)
            cap[(size_t)n * (size_t)n_cap + (size_t)((site->region * p->n_gen + one->live_gen) * 2 +
                                                     one->training)] += one->own_mw;
    }
}

static rub_status read_plan(const rub_equivalent *b, const double *x, rub_plan *out,
                            double *unit_price, rub_error *err) {
    const rub_problem *p = b->p;
    rub_plan plan = {0};
    rub_market *market = NULL;
    int32_t n_cap = rub_market_n_cap(p);
    double *cap = RUB_NEW(double, (size_t)p->n_node *(size_t)n_cap);
    rub_status status =
        cap ? rub_plan_init(p, &plan, err) : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    if (status == RUB_OK)
        status = rub_market_create(p, &market, err);
    for (int32_t s = 0; status == RUB_OK && s < b->c->n_site; s++) {
        const rub_compiled_site *site = &b->c->site[s];
        double *left = RUB_NEW(double, site->first[p->n_node]);
        if (!left)
            status = rub_error_set(err, RUB_NO_MEMORY, "out of memory");
        for (int32_t e = 0; left && e < site->first[p->n_node]; e++)
            left[e] = x[b->entry_col[s][e]];
        for (int32_t k = 0; left && k < site->n_block; k++)
            trace_block(b, s, left, &plan, site->first_block + k, cap, n_cap);
        free(left);
    }
    for (int32_t n = 0; status == RUB_OK && n < p->n_node; n++)
        rub_market_clear(market, n, cap + (size_t)n * (size_t)n_cap, &plan,
                         unit_price + (size_t)n * (size_t)(p->n_region + 1));
    rub_market_free(market);
    free(cap);
    if (status != RUB_OK)
        rub_plan_clear(&plan);
    else
        *out = plan;
    return status;
}

static rub_status answer(const rub_equivalent *b, const rub_solve_def *def, const rub_lp_result *r,
                         rub_plan *plan, rub_solve_result *out, rub_error *err) {
    const rub_problem *p = b->p;
    if (r->outcome == RUB_LP_INFEASIBLE) {
        out->outcome = RUB_OUTCOME_INFEASIBLE;
        return RUB_OK;
    }
    out->value_usd = r->value * MILLION + b->constant_usd;
    out->bound_usd = r->bound * MILLION + b->constant_usd;
    out->gap_frac = fmax(0.0, out->bound_usd - out->value_usd) / fmax(1.0, fabs(out->value_usd));
    out->outcome = out->gap_frac <= def->gap_frac + 1e-9 ? RUB_OUTCOME_GAP : RUB_OUTCOME_TIME_LIMIT;
    out->unit_price = RUB_NEW(double, (size_t)p->n_node *(size_t)(p->n_region + 1));
    return out->unit_price ? read_plan(b, r->x, plan, out->unit_price, err)
                           : rub_error_set(err, RUB_NO_MEMORY, "out of memory for prices");
}

rub_status rub_mip_solve(const rub_problem *problem, const rub_solve_def *def, rub_plan *plan,
                         rub_solve_result *result, rub_error *err) {
    rub_compiled c = {0};
    RUB_TRY(rub_compiled_make(problem, &c, err));
    rub_equivalent b = {0};
    rub_lp_result r = {0};
    rub_solve_result made = {.method = RUB_METHOD_MIP, .iterations = 1};
    rub_status status = rub_equivalent_make(&c, def->keep_root ? def->warm : NULL, 0, &b, err);
    if (status == RUB_OK)
        status = rub_lp_solve(&b.lp, def->time_limit_s, def->gap_frac, &r, err);
    if (status == RUB_OK)
        status = answer(&b, def, &r, plan, &made, err);
    free(r.x);
    rub_equivalent_clear(&b);
    rub_compiled_clear(&c);
    if (status == RUB_OK)
        *result = made;
    else
        rub_solve_result_clear(&made);
    return status;
}
