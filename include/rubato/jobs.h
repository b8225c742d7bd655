/* Jobs: training jobs that share an estate of accelerators with inference. Inference holds so many by
 * time of day or by plan; a job-level scheduler gives the others to gangs: first come first served
 * within a priority, EASY backfill, checkpoint and preempt when inference takes accelerators back. */
#ifndef RUBATO_JOBS_H
#define RUBATO_JOBS_H

#include "rubato/base.h"

/* What accelerators are for; inference is what the plan holds. */
typedef enum rub_stage {
    RUB_STAGE_PRETRAINING,
    RUB_STAGE_POSTTRAINING,
    RUB_STAGE_EVALUATION,
    RUB_STAGE_INFERENCE,
    RUB_N_STAGE
} rub_stage;

const char *rub_stage_name(rub_stage stage); /* "pre-training", ... */

typedef struct rub_job {
    double submit_s;
    double work_s;    /* run time of its gang, without interruption [s] */
    int64_t n_accel;  /* gang: all of them or none */
    rub_stage stage;  /* not inference */
    int32_t priority; /* lower goes first */
} rub_job;

/* From from_s on inference holds n_accel. */
typedef struct rub_jobs_step {
    double from_s;
    int64_t n_accel;
} rub_jobs_step;

typedef struct rub_jobs_def {
    int64_t n_accel;           /* of the estate */
    const rub_jobs_step *step; /* inference's, by time, the first at 0 (n_step); none: 0 */
    int32_t n_step;
    double period_s; /* steps repeat after so long; 0: the last one stays */
    bool
        backfill; /* EASY: others may go before the first one that waits if it is not later for it */
    int32_t backfill_depth; /* waiting jobs that are looked at */
    double
        checkpoint_every_s; /* of a job's work: what was done since is lost when it is preempted */
    double checkpoint_s;    /* writing one; the job stands still */
    double restart_s;       /* a preempted job's first seconds when it runs again */
    bool notice;            /* preempted jobs write a checkpoint first: nothing is lost */
} rub_jobs_def;

rub_jobs_def rub_jobs_default(void);

/* Times are NaN where it never happened. */
typedef struct rub_job_result {
    double start_s, end_s; /* first start, end [s] */
    double lost_s;         /* work that was done again */
    int32_t n_preempt;
    bool rejected; /* larger than what inference ever leaves */
} rub_job_result;

/* Accelerator-seconds from 0 to end_s. */
typedef struct rub_jobs_totals {
    double end_s; /* of the last job */
    double estate_s;
    double work_s[RUB_N_STAGE];     /* that counts; inference: held */
    double overhead_s[RUB_N_STAGE]; /* checkpoints and restarts */
    double lost_s[RUB_N_STAGE];     /* done again later */
    double idle_s;
    int64_t n_job[RUB_N_STAGE], n_preempt;
    int64_t n_rejected, n_unfinished;
    double wait_s[RUB_N_STAGE],
        wait_most_s[RUB_N_STAGE]; /* submission to first start: mean, most */
} rub_jobs_totals;

/* Jobs in order of submission; result (n). Errors: RUB_INVALID (settings, jobs; one that is preempted
 * for ever), RUB_NO_MEMORY. Pure. Cost: a microsecond or so a job and each waiting one that is looked
 * at. */
rub_status rub_jobs_run(const rub_job *job, size_t n, const rub_jobs_def *def,
                        rub_job_result *result, rub_jobs_totals *totals, rub_error *err);

/* Reads a CSV with columns submit_s or t_s, duration_s, gpus or accelerators, and optionally stage and
 * priority. Without stages: by gang, at least large is pre-training, at least medium is
 * post-training, less is evaluation. *out is malloc'ed. Errors: RUB_IO, RUB_PARSE, RUB_INVALID with
 * file, line, column. */
rub_status rub_jobs_read(const char *path, int64_t medium, int64_t large, rub_job **out, size_t *n,
                         rub_error *err);

#endif
