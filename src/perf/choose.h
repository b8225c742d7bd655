/* Which curve of a calibration an operator of a deployment takes. */
#ifndef RUB_PERF_CHOOSE_H
#define RUB_PERF_CHOOSE_H

#include "perf/calibration.h"

/* Each returns NULL when the deployment has no calibration (roofline level) or it lacks the
 * operator: the roofline then stands in. */
const rub_curve *rub_choose_gemm(const rub_deployment *resolved, rub_precision weights);
const rub_curve *rub_choose_attention(const rub_deployment *resolved, bool decode);
const rub_curve *rub_choose_mla(const rub_deployment *resolved, bool decode);
const rub_curve *rub_choose_experts(const rub_deployment *resolved);
const rub_curve *rub_choose_collective(const rub_deployment *resolved, rub_family family);

/* The same operator and format as another library has it, or NULL. */
const rub_curve *rub_choose_other(const rub_deployment *resolved, const rub_curve *curve);

/* Peaks for the base of a curve: the calibration's own where it was measured, the accelerator's where
 * it is carried. */
rub_peaks rub_choose_peaks(const rub_deployment *resolved);

#endif
