/* Share: the first rank's answer for all ranks. Time limits are met by each rank at its own place, so
 * their plans could differ. */
#ifndef RUB_PORTFOLIO_SHARE_H
#define RUB_PORTFOLIO_SHARE_H

#include "rubato/portfolio.h"

/* Every rank gets what rank 0 has: its status and error, and its plan and result when it has them.
 * Errors: those of rank 0, RUB_NO_MEMORY. */
rub_status rub_answer_share(const rub_problem *problem, const rub_ranks *ranks, rub_status status,
                            rub_plan *plan, rub_solve_result *result, rub_error *err);

#endif
