/* Paths: what was done quarter by quarter under what came, by different ways of deciding, and what each was
 * worth. All are costed alike: their decisions up to the last quarter replayed, then the best that
 * can be made of where they stand, the outcome being known. */
#ifndef RUB_REPLAY_PATHS_H
#define RUB_REPLAY_PATHS_H

#include "plan/walk.h"
#include "replay/story.h"
#include "rubato/replay.h"

/* What a plan asks of a block; not given: it goes on as contracted. */
typedef struct rub_wish {
    uint8_t given, action, gen;
} rub_wish;

/* A quarter's plan, as far as it is told of. */
typedef struct rub_replan {
    bool made; /* false: no plan kept every limit, the contracts went on */
    double value_usd, bound_usd, gap_frac, mean_usd;
    int32_t n_node, n_block;
    char reason[256];
} rub_replan;

typedef struct rub_replay_path {
    const char *name, *text;
    rub_plan plan;
    rub_evaluation evaluation;
    bool rests; /* no plan went on from the last quarter replayed: the contracts did */
} rub_replay_path;

void rub_replay_path_clear(rub_replay_path *path);

/* Rank of a wished step; else of the contracts' course. */
double rub_wish_rank(const rub_wish *wish, const rub_sight *sight, int32_t block, int32_t arc);

/* The steps of an onward plan's node as wishes of the story's blocks. */
void rub_wish_from_plan(const rub_onward *onward, const rub_plan *plan, int32_t node,
                        rub_wish *wish);

/* Re-planned each quarter; replan: (n_replayed). Errors: RUB_INTERRUPTED and those of solving. */
rub_status rub_path_planned(rub_story *story, const rub_replay_def *def,
                            const rub_progress *progress, rub_replan *replan, rub_replay_path *out,
                            rub_error *err);
/* As reported; contracts where nothing was. */
rub_status rub_path_reported(rub_story *story, const rub_replay_def *def, rub_replay_path *out,
                             rub_error *err);
/* Everything, options included, is signed, built and fitted out as soon as it can be. */
rub_status rub_path_everything(rub_story *story, const rub_replay_def *def, rub_replay_path *out,
                               rub_error *err);
/* The best for who knows the outcome, within *bound_usd. */
rub_status rub_path_hindsight(rub_story *story, const rub_replay_def *def,
                              const rub_progress *progress, rub_replay_path *out, double *bound_usd,
                              rub_error *err);

/* For the files of this room: walks a policy over the quarters replayed and goes on to the end. failed: set
 * by the policy's look, or NULL. */
rub_status rub_path_walk(rub_story *story, const rub_replay_def *def, const rub_policy *policy,
                         rub_walk *walk, const rub_status *failed, rub_replay_path *out,
                         rub_error *err);

#endif
