/* Stability: does the plan's worth depend on which tree chance drew? (Kaut and Wallace 2007) */
#ifndef RUB_PLAN_STABILITY_H
#define RUB_PLAN_STABILITY_H

#include "plan/facts.h"

typedef struct rub_stability_def {
    int32_t n_tree; /* trees from other paths */
    int32_t n_path; /* fresh futures that each tree's plan is followed on, the same for all */
    int32_t n_thread;
    rub_solve_def solve; /* of each tree; time_limit_s is for all of them */
} rub_stability_def;

/* *out: the document's "stability". Errors: RUB_INTERRUPTED, RUB_NO_MEMORY, RUB_INVALID when the study
 * gives its tree in full. */
rub_status rub_document_stability(const rub_facts *facts, const rub_stability_def *def,
                                  const rub_progress *progress, json_t **out, rub_error *err);

#endif
