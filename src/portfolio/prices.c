/* Prices: storage, weights of nodes, and budgets spread over the nodes that spend from them. */
#include "portfolio/pricing.h"

#include "base/array.h"

#include <stdlib.h>
#include <string.h>

rub_status rub_prices_init(const rub_problem *p, rub_prices *prices, rub_error *err) {
    size_t n = (size_t)p->n_node, r = (size_t)p->n_region;
    rub_prices made = {.weight = RUB_NEW(double, n),
                       .unit = RUB_NEW(double, n *(r + 1)),
                       .grid = RUB_NEW(double, n *r),
                       .order = RUB_NEW(double, n *(size_t)p->n_gen),
                       .sublet = RUB_NEW(double, n *r),
                       .budget = RUB_NEW(double, n),
                       .capex = RUB_NEW(double, n)};
    if (!made.weight || !made.unit || !made.grid || !made.order || !made.sublet || !made.budget ||
        !made.capex) {
        rub_prices_clear(&made);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for prices at %zu nodes", n);
    }
    *prices = made;
    return RUB_OK;
}

void rub_prices_clear(rub_prices *prices) {
    double *all[] = {prices->weight, prices->unit,   prices->grid, prices->order,
                     prices->sublet, prices->budget, prices->capex};
    for (size_t i = 0; i < RUB_LEN(all); i++)
        free(all[i]);
    *prices = (rub_prices){0};
}

void rub_prices_set_weights(const rub_problem *p, const double *leaf_weight, rub_prices *prices) {
    const rub_tree *tree = p->tree;
    int32_t leaf = 0;
    memset(prices->weight, 0, (size_t)p->n_node * sizeof(double));
    for (int32_t n = 0; n < p->n_node; n++)
        if (tree->n_child[n] == 0)
            prices->weight[n] = leaf_weight[leaf++];
    for (int32_t n = p->n_node - 1; n > 0; n--)
        prices->weight[tree->parent[n]] += prices->weight[n];
    for (int32_t n = 0; n < p->n_node; n++)
        prices->weight[n] *= p->discount[tree->quarter[n]];
}

bool rub_is_budget_row(const rub_problem *p, int32_t node) {
    int32_t t = p->tree->quarter[node], b = p->budget_of_quarter[t];
    return b >= 0 && (t + 1 == p->n_quarter || p->budget_of_quarter[t + 1] != b);
}

void rub_prices_spread_budget(const rub_problem *p, rub_prices *prices) {
    const rub_tree *tree = p->tree;
    for (int32_t n = p->n_node - 1; n >= 0; n--) {
        int32_t b = p->budget_of_quarter[tree->quarter[n]];
        prices->capex[n] = 0.0;
        if (rub_is_budget_row(p, n))
            prices->capex[n] = prices->budget[n];
        else if (b >= 0)
            for (int32_t c = 0; c < tree->n_child[n]; c++)
                prices->capex[n] += prices->capex[tree->first_child[n] + c];
    }
}
