/* Run: the story is read, four paths are walked through it, and the document is written. */
#include "replay/document.h"

#include "base/array.h"

#include <stdlib.h>

rub_replay_def rub_replay_default(void) {
    rub_replay_def def = {.solve = rub_solve_default(),
                          .hindsight_gap_frac = 0.01,
                          .hindsight_time_s = 30.0,
                          .seed = -1};
    def.solve.gap_frac = 0.02;
    def.solve.time_limit_s = 30.0;
    return def;
}

enum { PLANNED, REPORTED, EVERYTHING, N_PATH };

static rub_status walk_all(rub_story *s, const rub_replay_def *def, const rub_progress *progress,
                           rub_replan *replan, rub_replay_path path[N_PATH],
                           rub_replay_path *hindsight, double *bound, rub_error *err) {
    RUB_TRY(rub_path_planned(s, def, progress, replan, &path[PLANNED], err));
    RUB_TRY(rub_path_reported(s, def, &path[REPORTED], err));
    RUB_TRY(rub_path_everything(s, def, &path[EVERYTHING], err));
    return rub_path_hindsight(s, def, progress, hindsight, bound, err);
}

rub_status rub_replay_run(const char *file, const rub_replay_def *def, const rub_progress *progress,
                          json_t **document, rub_error *err) {
    rub_story story;
    rub_replay_path path[N_PATH] = {0}, hindsight = {0};
    double bound = 0.0;
    rub_status status = rub_story_read(file, def->what_if, def->n_what_if, def->seed,
                                       def->solve.n_thread, progress, &story, err);
    rub_replan *replan = status == RUB_OK ? RUB_NEW(rub_replan, story.n_replayed) : NULL;
    if (status == RUB_OK && !replan)
        status = rub_error_set(err, RUB_NO_MEMORY, "out of memory for a replay");
    if (status == RUB_OK)
        status = walk_all(&story, def, progress, replan, path, &hindsight, &bound, err);
    if (status == RUB_OK) {
        rub_replay_found found = {.story = &story,
                                  .replan = replan,
                                  .path = path,
                                  .n_path = N_PATH,
                                  .hindsight = &hindsight,
                                  .bound_usd = bound,
                                  .what_if = def->what_if,
                                  .n_what_if = def->n_what_if};
        json_t *made = rub_replay_document(&found);
        if (made)
            *document = made;
        else
            status = rub_error_set(err, RUB_NO_MEMORY, "out of memory for the document");
    }
    for (int i = 0; i < N_PATH; i++)
        rub_replay_path_clear(&path[i]);
    rub_replay_path_clear(&hindsight);
    free(replan);
    rub_story_clear(&story);
    return status;
}
