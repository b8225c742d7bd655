/* The readable policy's insides, shared by its files. */
#ifndef RUB_PLAN_READABLE_TREES_H
#define RUB_PLAN_READABLE_TREES_H

#include "plan/readable.h"

#define RUB_READABLE_LEAVES 8
#define RUB_READABLE_NODES (2 * RUB_READABLE_LEAVES)

enum {
    RUB_READABLE_DATE = -1,
    RUB_READABLE_AGE = -2,
    RUB_READABLE_LEFT = -3
}; /* not columns of rub_features */

typedef struct rub_observable {
    char name[96];
    const char *unit;
    int32_t column;
    double scale;
} rub_observable;

typedef struct rub_question {
    int32_t observable; /* -1: a leaf */
    double threshold;   /* left: under it */
    int32_t left, right;
    int32_t answer; /* of a leaf: action * 256 + generation */
    double weight;  /* of a leaf */
} rub_question;

typedef struct rub_stage_rule {
    int32_t n; /* questions; 0: the stage is not met */
    rub_question ask[RUB_READABLE_NODES];
    double weight, right; /* of cases, of those answered as the plan does */
} rub_stage_rule;

struct rub_readable {
    const rub_facts *facts;
    int32_t depth, n_observable;
    rub_observable *observable;
    rub_stage_rule *rule; /* (n_site, RUB_N_STAGE) */
};

/* One step of the plan. */
typedef struct rub_instance {
    int32_t node, block, answer;
    double weight;
} rub_instance;

/* The leaf that a case falls into. */
int32_t rub_readable_leaf_of(const rub_readable *r, const rub_stage_rule *rule,
                             const rub_instance *c);
/* What a step answers: action * 256 + generation. */
int32_t rub_readable_answer_of(const rub_step *step);

#endif
