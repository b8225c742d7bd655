/* Readable policy: for each site and stage a small decision tree on what can be observed, fitted to what
 * the plan does in that stage over the scenario tree. */
#ifndef RUB_PLAN_READABLE_H
#define RUB_PLAN_READABLE_H

#include "plan/policy.h"

typedef struct rub_readable rub_readable;

/* Borrows facts. depth: questions asked at most (3). */
rub_status rub_readable_fit(const rub_facts *facts, int32_t depth, rub_readable **out,
                            rub_error *err);
void rub_readable_free(rub_readable *readable);

/* Today's actions are the plan's; later ones the trees'. What a tree says that is not open gives way
 * to the plain course of the state. */
rub_policy rub_readable_policy(const rub_readable *readable);

/* The document's "rules": by site and stage, `accuracy`, `share` (mean block-quarters there a future)
 * and `rules[]` (`if`, `do`, `probability` within the stage). Stages with nothing to decide are left
 * out. */
json_t *rub_readable_document(const rub_readable *readable);

/* The document's `triggers` of a site: what its blocks come to do other than go on, in the stages that
 * they stand in after today's actions: the rules of rub_readable_document as sentences, the likeliest
 * three. */
json_t *rub_readable_triggers(const rub_readable *readable, int32_t site);

/* The document's "sites": action now, why, triggers. */
json_t *rub_document_sites(const rub_facts *facts, const rub_readable *readable);

#endif
