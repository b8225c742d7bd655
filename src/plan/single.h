/* Single futures as trees: a chain of nodes, one a quarter. */
#ifndef RUB_PLAN_SINGLE_H
#define RUB_PLAN_SINGLE_H

#include "rubato/portfolio.h"

/* Columns of rub_features by quarter from path (n_quarter, n_feature); zeros when it is NULL. */
rub_status rub_single_tree(int32_t n_quarter, int32_t n_feature, const double *path, rub_tree *out,
                           rub_error *err);
/* The mean future of a tree. What is yes or no in a node is what holds in most of the probability. */
rub_status rub_single_mean(const rub_study *study, const rub_tree *tree, rub_tree *out,
                           rub_error *err);
/* The future that leads to a leaf. */
rub_status rub_single_leaf(const rub_tree *tree, int32_t leaf, rub_tree *out, rub_error *err);

#endif
