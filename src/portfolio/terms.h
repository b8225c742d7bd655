/* Terms: dates and money of a site's contract, as the solvers read them. */
#ifndef RUB_PORTFOLIO_TERMS_H
#define RUB_PORTFOLIO_TERMS_H

#include "rubato/portfolio.h"

/* State of the site's blocks at the study's start, before talks resolve. */
rub_block_state rub_terms_initial(const rub_study *study, int32_t site);

/* Economic life of a generation in quarters, rounded. */
int32_t rub_terms_life_q(const rub_study *study, int32_t gen);

/* First calendar quarter after the lease's first term; RUB_NEVER when it has no end. */
int32_t rub_terms_end_q(const rub_study_site *site, int32_t deferred);

/* Rent of one block in calendar quarter q [USD]; 0 before commencement and for owned sites. */
double rub_terms_rent_usd(const rub_study_site *site, int32_t q, int32_t deferred, bool renewed);

/* Cost of cancelling from signed on: exit fee by date and rent of the notice [USD]. */
double rub_terms_exit_usd(const rub_study_site *site, int32_t q, int32_t deferred, bool renewed);

#endif
