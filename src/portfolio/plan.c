/* Plans, results, problems: their words, their memory. */
#include "rubato/portfolio.h"

#include "base/array.h"

#include <stdlib.h>

const char *rub_action_text(rub_action action) {
    static const char *const text[] = {
#define X(name, word, meaning) word,
        RUB_ACTION_LIST(X)
#undef X
    };
    return (unsigned)action < RUB_N_ACTION ? text[action] : "unknown";
}

rub_solve_def rub_solve_default(void) {
    return (rub_solve_def){.method = RUB_METHOD_AUTO,
                           .gap_frac = 0.01,
                           .time_limit_s = 60.0,
                           .seed = 1,
                           .explain = true};
}

rub_status rub_plan_init(const rub_problem *p, rub_plan *plan, rub_error *err) {
    size_t n = (size_t)p->n_node, pool = n * (size_t)p->n_region * (size_t)p->n_gen;
    size_t step = n * (size_t)(p->n_region + 1) * (size_t)p->n_step;
    rub_plan made = {.n_block = p->n_block,
                     .n_node = p->n_node,
                     .step = RUB_NEW(rub_step, (size_t)p->n_block * n),
                     .train_mw = RUB_NEW(double, pool),
                     .infer_mw = RUB_NEW(double, pool),
                     .served = RUB_NEW(double, n *(size_t)p->n_demand),
                     .rent_in = RUB_NEW(double, step),
                     .rent_out = RUB_NEW(double, step),
                     .shipped = RUB_NEW(double, n *(size_t)p->n_link)};
    if (!made.step || !made.train_mw || !made.infer_mw || !made.served || !made.rent_in ||
        !made.rent_out || !made.shipped) {
        rub_plan_clear(&made);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for a plan of %d blocks",
                             p->n_block);
    }
    *plan = made;
    return RUB_OK;
}

void rub_plan_clear(rub_plan *plan) {
    free(plan->step);
    free(plan->train_mw);
    free(plan->infer_mw);
    free(plan->served);
    free(plan->rent_in);
    free(plan->rent_out);
    free(plan->shipped);
    *plan = (rub_plan){0};
}

void rub_solve_result_clear(rub_solve_result *result) {
    free(result->unit_price);
    free(result->budget_price);
    free(result->multiplier);
    *result = (rub_solve_result){0};
}

void rub_problem_clear(rub_problem *p) {
    void *all[] = {p->block,
                   p->discount,
                   p->demand,
                   p->value_usd,
                   p->penalty_usd,
                   p->may_order,
                   p->gen_usd_per_mw,
                   p->accel_per_mw,
                   p->tok_per_s_per_mw,
                   p->train_per_mw,
                   p->supply_mw,
                   p->power_usd_per_mw,
                   p->grid_mw,
                   p->rent_in_depth,
                   p->rent_in_usd,
                   p->rent_out_depth,
                   p->rent_out_usd,
                   p->sublet_usd_per_mw,
                   p->sublet_depth_mw,
                   p->ship_usd,
                   p->fixed_cash_usd,
                   p->rofr,
                   p->budget_usd,
                   p->budget_of_quarter};
    for (size_t i = 0; i < RUB_LEN(all); i++)
        free(all[i]);
    *p = (rub_problem){0};
}
