/* The replay's document (docs/replay.md has its shape). */
#ifndef RUB_REPLAY_DOCUMENT_H
#define RUB_REPLAY_DOCUMENT_H

#include "replay/paths.h"

/* What a replay found. path[0] is Rubato's, path[1] as reported; hindsight apart. */
typedef struct rub_replay_found {
    const rub_story *story;
    const rub_replan *replan;    /* (story->n_replayed) */
    const rub_replay_path *path; /* (n_path) */
    int32_t n_path;
    const rub_replay_path *hindsight;
    double bound_usd;
    const char *const *what_if;
    size_t n_what_if;
} rub_replay_found;

/* New reference; NULL when out of memory. */
json_t *rub_replay_document(const rub_replay_found *found);

#endif
