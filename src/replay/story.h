/* Story: what was known in each quarter, and what came, as one chain of nodes. */
#ifndef RUB_REPLAY_STORY_H
#define RUB_REPLAY_STORY_H

#include "portfolio/blocks.h"
#include "replay/view.h"

typedef struct rub_story {
    rub_study *whole;      /* with every row, what was reported, and the outcome */
    int32_t n, n_replayed; /* quarters of the outcome; of them those whose decisions are replayed */
    rub_study **known;     /* as known at the start of each quarter (n) */
    rub_view *view;        /* (n) */
    rub_yields yields;     /* of the whole study's generations at the start */
    rub_study study;       /* the whole, over the outcome's quarters; borrows */
    rub_tree tree;         /* what came, a node a quarter */
    rub_problem problem;   /* at the prices of each quarter's view */
    rub_automaton *automaton; /* (n_site) */
} rub_story;

/* *out is to be cleared on failure too. */
rub_status rub_story_read(const char *path, const char *const *what_if, size_t n_what_if,
                          int64_t seed, int32_t n_thread, const rub_progress *progress,
                          rub_story *out, rub_error *err);
void rub_story_clear(rub_story *story);

/* One node's rows of the problem from another problem of the same regions, loads and partners. What `from`
 * does not know of (generations that came later, rental steps) cannot be had. */
void rub_story_copy_node(rub_problem *to, int32_t to_node, const rub_problem *from,
                         int32_t from_node);

/* The study that goes on from where blocks stand. */
typedef struct rub_onward {
    rub_study study; /* borrows; sites are split by their blocks' states */
    rub_study_site *site;
    rub_study_demand *demand;
    rub_study_partner *partner;
    int32_t *block_of; /* block of the story for each block here (n_block) */
    int32_t *site_of;  /* (n_site) */
} rub_onward;

/* From quarter t on for n_quarter quarters, as `as` (a view's study, or the whole) has it. state: of the
 * story's automata, for each block. spent_usd: this fiscal year's capex so far. loads: what is taken
 * for the loads' base (n_demand). */
rub_status rub_onward_make(const rub_story *story, const rub_study *as, const int32_t *state,
                           int32_t t, int32_t n_quarter, double spent_usd, const double *load,
                           rub_onward *out, rub_error *err);
void rub_onward_clear(rub_onward *onward);

/* What quarter t's planner takes for the loads: the quarter before, grown by a quarter (n_demand). */
void rub_story_expected_loads(const rub_story *story, int32_t t, double *load);

#endif
