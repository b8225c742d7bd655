/* Money: capex by fiscal year against budget, NPV's distribution, expected cash by kind. */
#include "plan/facts.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double node_capex(const rub_facts *facts, int32_t node, rub_cash_kind kind) {
    return -facts->evaluation->cash_usd[(size_t)node * RUB_N_CASH + kind];
}

/* Spend of one fiscal year along the path to each leaf. */
static void path_spend(const rub_facts *facts, int32_t year, double *spend, double *long_lived) {
    const rub_tree *tree = facts->tree;
    int32_t leaf = 0;
    for (int32_t n = 0; n < tree->n_node; n++) {
        if (tree->quarter[n] != tree->n_quarter - 1)
            continue;
        spend[leaf] = long_lived[leaf] = 0.0;
        for (int32_t a = n; a >= 0; a = tree->parent[a]) {
            int32_t q = facts->study->start_q + tree->quarter[a];
            if (rub_study_fiscal_year(facts->study, q) != year)
                continue;
            double l = node_capex(facts, a, RUB_CASH_CAPEX_LONG);
            long_lived[leaf] += l;
            spend[leaf] += l + node_capex(facts, a, RUB_CASH_CAPEX_SHORT);
        }
        leaf++;
    }
}

static json_t *year_row(const rub_facts *facts, int32_t year, double *spend, double *long_lived) {
    const rub_evaluation *e = facts->evaluation;
    size_t n = (size_t)e->n_leaf;
    path_spend(facts, year, spend, long_lived);
    double mean = 0.0, mean_long = 0.0, most = 0.0, at_budget = 0.0, limit = HUGE_VAL;
    double before = 0.0;
    int32_t b = -1;
    for (int32_t i = 0; i < facts->problem->n_budget; i++)
        if (facts->study->budget[i].fiscal_year == year)
            b = i;
    if (b >= 0) {
        limit = facts->problem->budget_usd[b];
        before = facts->study->budget[b].capex_usd - limit;
    }
    for (size_t i = 0; i < n; i++) {
        mean += e->leaf_prob[i] * spend[i];
        mean_long += e->leaf_prob[i] * long_lived[i];
        most = fmax(most, spend[i]);
        if (spend[i] >= 0.99 * limit)
            at_budget += e->leaf_prob[i];
    }
    json_t *row = json_object();
    char name[16];
    snprintf(name, sizeof name, "FY%d", year);
    json_object_set_new(row, "fiscal_year", json_string(name));
    json_object_set_new(row, "budget_usd",
                        b >= 0 ? json_real(facts->study->budget[b].capex_usd) : json_null());
    json_object_set_new(row, "spent_before_start_usd", json_real(before));
    json_object_set_new(row, "long_lived_usd", json_real(mean_long));
    json_object_set_new(row, "short_lived_usd", json_real(mean - mean_long));
    json_object_set_new(row, "mean_usd", json_real(mean));
    json_object_set_new(row, "p10_usd",
                        json_real(rub_weighted_quantile(spend, e->leaf_prob, n, 0.1)));
    json_object_set_new(row, "p90_usd",
                        json_real(rub_weighted_quantile(spend, e->leaf_prob, n, 0.9)));
    json_object_set_new(row, "most_usd", json_real(most));
    json_object_set_new(row, "prob_at_budget", json_real(at_budget));
    double price = b >= 0 && facts->solve->budget_price ? facts->solve->budget_price[b] : 0.0;
    json_object_set_new(row, "worth_of_one_more_usd", json_real(price));
    return row;
}

json_t *rub_document_capex(const rub_facts *facts) {
    size_t n = (size_t)facts->evaluation->n_leaf;
    double *spend = RUB_NEW(double, n), *long_lived = RUB_NEW(double, n);
    json_t *years = spend && long_lived ? json_array() : NULL;
    int32_t first = rub_study_fiscal_year(facts->study, facts->study->start_q);
    int32_t last =
        rub_study_fiscal_year(facts->study, facts->study->start_q + facts->tree->n_quarter - 1);
    for (int32_t year = first; years && year <= last; year++)
        json_array_append_new(years, year_row(facts, year, spend, long_lived));
    free(spend);
    free(long_lived);
    return years;
}

json_t *rub_document_npv(const rub_facts *facts) {
    const rub_evaluation *e = facts->evaluation;
    json_t *npv = json_object(), *leaves = json_array();
    size_t n = (size_t)e->n_leaf;
    json_object_set_new(npv, "objective_usd", json_real(e->objective_usd));
    json_object_set_new(npv, "mean_usd", json_real(e->mean_npv_usd));
    json_object_set_new(npv, "cvar_usd", json_real(e->cvar_npv_usd));
    json_object_set_new(npv, "cvar_alpha", json_real(facts->problem->cvar_alpha));
    json_object_set_new(npv, "cvar_weight", json_real(facts->problem->cvar_weight));
    static const struct {
        const char *key;
        double q;
    } quantile[] = {{"p05_usd", 0.05},
                    {"p25_usd", 0.25},
                    {"p50_usd", 0.5},
                    {"p75_usd", 0.75},
                    {"p95_usd", 0.95}};
    for (size_t i = 0; i < RUB_LEN(quantile); i++)
        json_object_set_new(
            npv, quantile[i].key,
            json_real(rub_weighted_quantile(e->leaf_npv_usd, e->leaf_prob, n, quantile[i].q)));
    double loss = 0.0;
    for (size_t i = 0; i < n; i++) {
        loss += e->leaf_npv_usd[i] < 0 ? e->leaf_prob[i] : 0.0;
        json_array_append_new(
            leaves, json_pack("{s:f,s:f}", "prob", e->leaf_prob[i], "npv_usd", e->leaf_npv_usd[i]));
    }
    json_object_set_new(npv, "prob_negative", json_real(loss));
    json_object_set_new(npv, "futures", leaves);
    return npv;
}

json_t *rub_document_cash(const rub_facts *facts) {
    json_t *cash = json_object();
    for (int32_t k = 0; k < RUB_N_CASH; k++) {
        double sum = 0.0;
        for (int32_t n = 0; n < facts->tree->n_node; n++)
            sum += facts->tree->prob[n] * facts->problem->discount[facts->tree->quarter[n]] *
                   facts->evaluation->cash_usd[(size_t)n * RUB_N_CASH + (size_t)k];
        json_object_set_new(cash, rub_cash_text((rub_cash_kind)k), json_real(sum));
    }
    return cash;
}
