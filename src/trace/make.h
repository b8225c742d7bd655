/* What the files of the generator share: how the rate moves. */
#ifndef RUB_TRACE_MAKE_H
#define RUB_TRACE_MAKE_H

#include "rubato/trace.h"

rub_status rub_modulation_check(const rub_modulation *m, double rate_per_s, rub_error *err);

/* Puts the modulation of source->def at time 0 and finds its mean over the trace to be made. */
void rub_modulation_start(rub_trace_source *source);

/* The time after t, where the source stands, by which the rate has made up for `gap_s` at the mean
 * rate. */
double rub_modulation_after(rub_trace_source *source, double t, double gap_s);

#endif
