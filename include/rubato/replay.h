/* Replay: a study's dated information walked through quarter by quarter. Each quarter is planned anew with
 * what was known by its start; the decisions stand beside what was reported to have been done; at
 * the end every path is costed under what demand turned out to be (docs/replay.md). */
#ifndef RUBATO_REPLAY_H
#define RUBATO_REPLAY_H

#include "rubato/portfolio.h"

#include <jansson.h>

typedef struct rub_replay_def {
    rub_solve_def solve; /* of each quarter's plan; time_limit_s is for one of them */
    double hindsight_gap_frac, hindsight_time_s; /* of the plans that know the outcome */
    const char *const *what_if;                  /* overrides of the study (n_what_if) */
    size_t n_what_if;
    int64_t seed; /* of all plans; -1: the study's */
} rub_replay_def;

rub_replay_def rub_replay_default(void);

/* Replays the study file. *document is a new reference (docs/replay.md has its shape). Errors: those of
 * reading with file, line and column, RUB_INTERRUPTED, RUB_SOLVER, RUB_NO_MEMORY. Deterministic for
 * a seed when no plan meets its time limit. */
rub_status rub_replay_run(const char *path, const rub_replay_def *def, const rub_progress *progress,
                          json_t **document, rub_error *err);

#endif
