/* Infeasible: why no plan keeps every limit, in the study's words. */
#ifndef RUB_PORTFOLIO_INFEASIBLE_H
#define RUB_PORTFOLIO_INFEASIBLE_H

#include "portfolio/compiled.h"

/* Writes which limits, where and by how much into reason. Each kind of limit is lifted in turn, at the
 * least passing that lets a plan exist; when none is enough alone, all together. Large problems are
 * asked in their continuous form, and the largest not at all.
 * *possible: an exact check found that a plan exists after all. reason is left as it was when nothing
 * was found out. Errors: RUB_NO_MEMORY. */
rub_status rub_infeasible_explain(const rub_problem *problem, double time_limit_s, char *reason,
                                  size_t size, bool *possible, rub_error *err);

#endif
