#include "plan/single.h"

#include "base/array.h"

#include <string.h>

rub_status rub_single_tree(int32_t n_quarter, int32_t n_feature, const double *path, rub_tree *out,
                           rub_error *err) {
    size_t n = (size_t)n_quarter, f = (size_t)n_feature;
    rub_tree t = {.n_node = n_quarter,
                  .n_quarter = n_quarter,
                  .n_leaf = 1,
                  .n_feature = n_feature,
                  .parent = RUB_NEW(int32_t, n),
                  .quarter = RUB_NEW(int32_t, n),
                  .first_child = RUB_NEW(int32_t, n),
                  .n_child = RUB_NEW(int32_t, n),
                  .prob = RUB_NEW(double, n),
                  .feature = RUB_NEW(double, n *f)};
    if (!t.parent || !t.quarter || !t.first_child || !t.n_child || !t.prob || !t.feature) {
        rub_tree_clear(&t);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for a path of %zu quarters", n);
    }
    for (int32_t i = 0; i < n_quarter; i++) {
        t.parent[i] = i - 1;
        t.quarter[i] = i;
        t.first_child[i] = i + 1;
        t.n_child[i] = i + 1 < n_quarter;
        t.prob[i] = 1.0;
    }
    if (path)
        memcpy(t.feature, path, n * f * sizeof(double));
    *out = t;
    return RUB_OK;
}

rub_status rub_single_mean(const rub_study *study, const rub_tree *tree, rub_tree *out,
                           rub_error *err) {
    RUB_TRY(rub_single_tree(tree->n_quarter, tree->n_feature, NULL, out, err));
    rub_features f = rub_features_of(study);
    size_t nf = (size_t)tree->n_feature;
    for (int32_t n = 0; n < tree->n_node; n++)
        for (size_t k = 0; k < nf; k++)
            out->feature[(size_t)tree->quarter[n] * nf + k] +=
                tree->prob[n] * tree->feature[(size_t)n * nf + k];
    for (int32_t t = 0; t < tree->n_quarter; t++) {
        double *known = out->feature + (size_t)t * nf;
        for (int32_t k = f.available; k < f.available + study->n_generation; k++)
            known[k] = known[k] >= 0.5;
        for (int32_t k = f.rofr; k < f.rofr + study->n_partner; k++)
            known[k] = known[k] >= 0.5;
        for (int32_t k = f.talks; k < f.talks + study->n_site; k++)
            known[k] = known[k] >= 0.5;
    }
    return RUB_OK;
}

rub_status rub_single_leaf(const rub_tree *tree, int32_t leaf, rub_tree *out, rub_error *err) {
    RUB_TRY(rub_single_tree(tree->n_quarter, tree->n_feature, NULL, out, err));
    size_t nf = (size_t)tree->n_feature;
    for (int32_t n = leaf; n >= 0; n = tree->parent[n])
        memcpy(out->feature + (size_t)tree->quarter[n] * nf, tree->feature + (size_t)n * nf,
               nf * sizeof(double));
    return RUB_OK;
}
