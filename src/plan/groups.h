/* Groups: the blocks of a site that do the same now, and why they do it. */
#ifndef RUB_PLAN_GROUPS_H
#define RUB_PLAN_GROUPS_H

#include "plan/facts.h"

/* First block of a site in the problem; a site's blocks stand one after another. */
int32_t rub_first_block(const rub_facts *facts, int32_t site);

/* Share of futures in which the block ever serves, now included; *mean_quarter: of the first quarter in
 * which it does (NaN: it never does). */
double rub_block_serves(const rub_facts *facts, int32_t block, double *mean_quarter);

/* The document's `groups` of a site, most blocks first: `action`, `blocks`, `mw`, `why`, `next`,
 * `prob_ever_live`, `runner_up`. New reference. */
json_t *rub_document_groups(const rub_facts *facts, int32_t site);

#endif
