/* What the files of this room share: a search in progress. */
#ifndef RUB_SIZE_SIZE_H
#define RUB_SIZE_SIZE_H

#include "rubato/size.h"

/* One candidate on trial. */
typedef struct rub_size_trial {
    rub_deployment deployment;
    rub_memory memory;
    rub_size_candidate candidate;
    int64_t n_simulation, n_request;
    rub_status status;
} rub_size_trial;

typedef struct rub_size_job {
    const rub_model *model;
    const rub_trace *trace;
    const rub_size_def *def;
    rub_size_trial *trial;
    size_t n_trial, trial_cap;
} rub_size_job;

/* Fills trial with every layout; those that do not fit carry the reason. */
rub_status rub_size_enumerate(rub_size_job *job, rub_error *err);

/* Finds a trial's largest rate within the targets. Sets trial->status. */
void rub_size_measure(const rub_size_job *job, rub_size_trial *trial);

#endif
