/* Out-of-sample evaluation: the plan against simpler plans on fresh futures. */
#ifndef RUB_PLAN_EVALUATION_H
#define RUB_PLAN_EVALUATION_H

#include "plan/facts.h"

typedef struct rub_evaluation_def {
    int32_t n_path;   /* fresh futures */
    int32_t n_regret; /* of them, planned as if known, for the regret */
    int32_t n_thread;
    double time_s; /* for all plans of known futures together */
    rub_solve_def solve;
} rub_evaluation_def;

/* *out: the document's "out_of_sample" (docs/plan-json.md). Errors: RUB_INTERRUPTED, RUB_NO_MEMORY,
 * RUB_INVALID when the study gives its tree in full and so no process to sample. */
rub_status rub_document_out_of_sample(const rub_facts *facts, const rub_evaluation_def *def,
                                      const rub_progress *progress, json_t **out, rub_error *err);

#endif
