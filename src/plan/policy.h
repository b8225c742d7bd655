/* Policies: what to do with every block, given what is known in a quarter of one future.
 *
 * A policy ranks the open actions of each block; the rollout takes the best that keeps every limit.
 * A policy is immutable once made and shared by threads; what it remembers along a path stands in
 * memory that the rollout gives to each thread. */
#ifndef RUB_PLAN_POLICY_H
#define RUB_PLAN_POLICY_H

#include "plan/facts.h"
#include "portfolio/blocks.h"

/* What is known when a quarter's decisions are taken: nothing of later quarters. */
typedef struct rub_sight {
    const rub_problem *problem; /* the future as a chain of nodes; rows after t are not filled */
    const rub_automaton *automaton; /* of each site (n_site) */
    const int32_t *first_block;     /* of each site (n_site + 1) */
    const double *known;            /* columns of rub_features in quarter t */
    const int32_t *state;           /* automaton state of each block (n_block) */
    int32_t t;                      /* quarter, and node of the chain */
} rub_sight;

typedef struct rub_policy {
    const char *name; /* "plan" */
    const char *text; /* what it does, in a sentence */
    bool keeps_budget;
    size_t memory_size; /* bytes; zeroed before a path */
    void (*look)(const void *self, const rub_sight *sight, void *memory);
    /* Rank of an open arc for a block; larger is better, above RUB_POLICY_WISH: as wished for. */
    double (*score)(const void *self, const rub_sight *sight, const void *memory, int32_t block,
                    int32_t arc, const rub_arc_flow *flow);
    const void *self;
} rub_policy;

#define RUB_POLICY_WISH 1e30

/* Automata of all sites; freed with rub_automata_free. */
rub_status rub_automata_make(const rub_problem *problem, rub_automaton **out, rub_error *err);
void rub_automata_free(rub_automaton *automaton, int32_t n_site);

/* The plan over a tree as a policy: see policy.c. */
typedef struct rub_tree_policy rub_tree_policy;

/* Borrows everything in facts. paths: how futures move between the tree's nodes. NULL: they keep to
 * the tree, and blocks keep to the plan's steps wherever they stand in its states. Cost: one dynamic
 * program a site. */
rub_status rub_tree_policy_make(const rub_facts *facts, const rub_automaton *automaton,
                                const rub_paths *paths, rub_tree_policy **out, rub_error *err);
void rub_tree_policy_free(rub_tree_policy *policy);
rub_policy rub_tree_policy_of(const rub_tree_policy *policy, const char *name, const char *text);

/* Node that the policy stands in for what is known in quarter t. */
int32_t rub_tree_policy_node(const rub_tree_policy *policy, const double *known, int32_t t);

/* Plans that need no tree. */
typedef enum rub_rule {
    RUB_RULE_CONTRACTED, /* everything under contract is built and fitted out on schedule */
    RUB_RULE_CANCEL,     /* what is not yet under construction is cancelled; the rest goes on */
    RUB_RULE_MYOPIC,     /* commits only while today's load exceeds what is live or coming */
    RUB_N_RULE
} rub_rule;

/* Rank of an action in the plain course of a state; go: the block is wanted. */
double rub_rule_rank(rub_action action, bool go);

rub_policy rub_rule_policy(rub_rule rule, const rub_problem *problem);

#endif
