/* Plan: the chain, in one direction. Study -> yields by simulation -> scenario tree -> problem ->
 * plan -> one JSON document that every report is drawn from. */
#ifndef RUBATO_PLAN_H
#define RUBATO_PLAN_H

#include "rubato/portfolio.h"

#include <jansson.h>

/* What one generation gives for one workload, and where the figure comes from. */
typedef struct rub_yield {
    double tok_per_s_per_mw; /* input + output tokens/s per MW of IT load; 0 = cannot serve it */
    double usd_per_mtok;     /* at the catalog's hourly price */
    double rate_per_s;       /* requests/s that one replica holds within the targets */
    double watts;            /* IT power of one replica */
    int32_t tp;              /* accelerators in one replica */
    int32_t max_seqs;
    char weights[16], kv_cache[16];
    char origin[224]; /* "simulated: ...", "given in the study", or why it cannot serve */
} rub_yield;

/* Yields of all (workload, generation) pairs, and what follows for the planner. */
typedef struct rub_yields {
    int32_t n_workload, n_gen;
    rub_yield *yield;       /* (n_workload, n_gen) */
    double *blended;        /* tokens/s per MW of the study's mix of workloads (n_gen) */
    double *accel_per_mw;   /* (n_gen) */
    double *training_yield; /* accelerator-equivalents per accelerator (n_gen) */
} rub_yields;

/* Looks the accelerators and models that a study names up in the catalog, which the study's reader
 * knows nothing of. Each one that is not there is added to findings (may be NULL); the status and *err
 * are those of the first. Errors: RUB_NOT_FOUND at the name's place, RUB_INVALID when nobody says what
 * power an accelerator takes, errors of the config.json that a model is. */
rub_status rub_plan_check(const rub_study *study, rub_study_findings *findings, rub_error *err);

/* Sizes each workload on each generation by simulation. n_thread 0 = all cores. */
rub_status rub_yields_make(const rub_study *study, int32_t n_thread, const rub_progress *progress,
                           rub_yields *out, rub_error *err);
void rub_yields_clear(rub_yields *yields);

/* What the planner decides on: study, tree and yields as node arrays. Borrows study and tree. */
rub_status rub_plan_problem(const rub_study *study, const rub_tree *tree, const rub_yields *yields,
                            rub_problem *out, rub_error *err);

/* A solved plan to start the next solve from: of the same study, or with some of its values changed. */
typedef struct rub_plan_warm {
    rub_plan plan;
    double *multiplier;
    size_t n_multiplier;
    double gap_frac; /* how near that plan is to its bound */
} rub_plan_warm;

void rub_plan_warm_clear(rub_plan_warm *warm);

/* A checkpoint file: where a solve stands, written whole (the old file or the new one), and read back as
 * a start. Errors: RUB_IO, RUB_PARSE (no checkpoint, damaged), RUB_NO_MEMORY. */
rub_status rub_plan_checkpoint_write(const char *path, const rub_solve_state *state,
                                     rub_error *err);
rub_status rub_plan_checkpoint_read(const char *path, rub_plan_warm *out, rub_error *err);

/* Settings of the chain. */
typedef struct rub_plan_def {
    rub_solve_def solve;
    bool worth;             /* also: value of each option, VSS, EVPI (several more solves) */
    double worth_time_s;    /* time for all of them */
    int32_t evaluate;       /* fresh futures to run the plan on, against simpler plans; 0: none */
    int32_t stability;      /* other trees to plan on, for the worth's spread; 0: none */
    double evaluate_time_s; /* time for planning futures as if they were known (regret) */
    const rub_plan_warm *warm;  /* where to start, or NULL */
    const char *warm_from;      /* file that warm is from, which must fit the study; or NULL */
    rub_plan_warm *keep;        /* filled with this run's plan, or NULL */
    const char *const *what_if; /* overrides, for the record (n_what_if) */
    size_t n_what_if;
} rub_plan_def;

rub_plan_def rub_plan_default(void);

/* Runs the whole chain on a study. *document is a new reference; *outcome tells infeasibility. */
rub_status rub_plan_run(const rub_study *study, const rub_plan_def *def,
                        const rub_progress *progress, json_t **document, rub_outcome *outcome,
                        rub_error *err);

/* How `other` (the same study with overrides `name`) differs from `base`: values, sites that are
 * paced otherwise, and sentences that say so. New reference. */
json_t *rub_plan_compare(const json_t *base, const json_t *other, const char *name);

/* What changed from an earlier plan document: inputs, value, capex, sites; with sentences. New
 * reference. */
json_t *rub_plan_since(const json_t *old, const json_t *now);

#endif
