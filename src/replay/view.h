/* View: a study's figures as they stand at the start of a later quarter.
 *
 * Figures that a study gives "at the start" (prices of load, accelerators, power, rent) hold in the
 * quarter in which they were last told; from there they follow their trend as it was then known. */
#ifndef RUB_REPLAY_VIEW_H
#define RUB_REPLAY_VIEW_H

#include "rubato/plan.h"

typedef struct rub_view {
    rub_study study; /* of the quarter: borrows all but what stands below from the study read */
    double yield;    /* tokens/s per MW over that at the replay's start: software's trend */
    rub_study_demand *demand;
    rub_study_generation *generation;
    rub_study_region *region;
    rub_study_market *market;
    rub_market_step *step; /* of all markets */
} rub_view;

/* The study `known` in quarter q (calendar), the replay's first or after the view before. */
rub_status rub_view_make(const rub_study *known, int32_t q, const rub_view *before, rub_view *out,
                         rub_error *err);
void rub_view_clear(rub_view *view);

/* Yields with what the view's quarter adds, for the view's generations. *blended is to be freed. */
rub_status rub_view_yields(const rub_view *view, const rub_yields *at_start, rub_yields *out,
                           double **blended, rub_error *err);

#endif
