/* Nearby plans: what else is nearly as good, and what each commitment costs. */
#ifndef RUB_PLAN_NEARBY_H
#define RUB_PLAN_NEARBY_H

#include "plan/worth.h"

/* Plans that lose at most `within` (0.01: 1 %) and differ most from the plan now, and swaps of two
 * sites. *out: the document's "nearby". */
rub_status rub_document_nearby(const rub_worth_job *job, double within, json_t **out,
                               rub_error *err);

/* What each site's commitment is worth against waiting and against leaving, and the price of its
 * capacity; from facts alone. */
json_t *rub_document_commitments(const rub_facts *facts);

#endif
