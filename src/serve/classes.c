/* Measures of interactive and batch requests apart. */
#include "rubato/serve.h"

#include "base/array.h"

#include <stdlib.h>

/* The requests of one class as a trace of their own. */
static rub_status measure_class(const rub_trace *trace, const rub_serve_times *times, bool batch,
                                const rub_serve_targets *targets, double from_s, double to_s,
                                rub_measures *out, rub_error *err) {
    size_t *index = RUB_NEW(size_t, trace->n_req), n = 0;
    rub_trace t = {0};
    rub_serve_times own = {0};
    if (!index)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for measures");
    for (size_t i = 0; i < trace->n_req; i++)
        if ((trace->priority && trace->priority[i] > 0) == batch)
            index[n++] = i;
    rub_status status = rub_trace_subset(trace, index, n, &t, err);
    if (status == RUB_OK)
        status = rub_serve_times_init(&own, n, err);
    for (size_t k = 0; status == RUB_OK && k < n; k++) {
        own.arrival_s[k] = times->arrival_s[index[k]];
        own.scheduled_s[k] = times->scheduled_s[index[k]];
        own.first_token_s[k] = times->first_token_s[index[k]];
        own.finish_s[k] = times->finish_s[index[k]];
    }
    if (status == RUB_OK)
        status = rub_serve_measure(&t, &own, targets, from_s, to_s, out, err);
    rub_trace_clear(&t);
    rub_serve_times_clear(&own);
    free(index);
    return status;
}

rub_status rub_serve_measure_classes(const rub_trace *trace, const rub_serve_times *times,
                                     const rub_serve_targets *targets, double deadline_s,
                                     double from_s, double to_s, rub_class_measures *out,
                                     rub_error *err) {
    rub_serve_targets deadline = {.e2e_s = deadline_s};
    RUB_TRY(measure_class(trace, times, false, targets, from_s, to_s, &out->interactive, err));
    return measure_class(trace, times, true, &deadline, from_s, to_s, &out->batch, err);
}
