/* MIP: the deterministic equivalent, the oracle of everything else. */
#ifndef RUB_PORTFOLIO_MIP_H
#define RUB_PORTFOLIO_MIP_H

#include "portfolio/compiled.h"

/* Solves the whole as one mixed-integer program; see rub_portfolio_solve. An infeasible one has no reason
 * in words yet: infeasible.h. */
rub_status rub_mip_solve(const rub_problem *problem, const rub_solve_def *def, rub_plan *plan,
                         rub_solve_result *result, rub_error *err);

/* Integer columns that it would have. */
int64_t rub_mip_size(const rub_compiled *compiled);

#endif
