/* Worth: value of the stochastic solution, of perfect information, and of each option. */
#ifndef RUB_PLAN_WORTH_H
#define RUB_PLAN_WORTH_H

#include "plan/facts.h"

typedef struct rub_worth_job {
    const rub_facts *facts;
    rub_solve_def solve; /* time_limit_s is for the whole of one question */
    const rub_progress *progress;
} rub_worth_job;

/* Each gives {"value_usd", "at_least_usd", "at_most_usd"} (or {"note"}); options a list of them
 * with the option's name. *out is a new reference. Errors: as rub_portfolio_solve; RUB_INTERRUPTED.
 */
rub_status rub_worth_vss(const rub_worth_job *job, json_t **out, rub_error *err);
rub_status rub_worth_evpi(const rub_worth_job *job, json_t **out, rub_error *err);
rub_status rub_worth_options(const rub_worth_job *job, json_t **out, rub_error *err);

#endif
