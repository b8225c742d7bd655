/* Problem: study, tree and yields as the node arrays that the planner reads.
 *
 * Everything is brought to unit-quarters: one token/s for a quarter of 7,884,000 s (8,760 h / 4),
 * one accelerator-equivalent for 2,190 hours. */
#include "plan/facts.h"

#include "base/array.h"

#include <math.h>
#include <string.h>

#define HOURS_PER_QUARTER 2190.0
#define MTOK_PER_UNIT_QUARTER (HOURS_PER_QUARTER * 3600.0 / 1e6)
#define MONTHS_PER_QUARTER 3.0

static double grown(double rate_per_year, double quarters) {
    return pow(1.0 + rate_per_year, quarters / 4.0);
}

/* USD of one unit-quarter of a load class, from its quoted price. */
static double per_unit_quarter(rub_load_class load_class, double quoted_usd) {
    return quoted_usd * (load_class == RUB_INFERENCE ? MTOK_PER_UNIT_QUARTER : HOURS_PER_QUARTER);
}

static rub_status allocate(rub_problem *p, rub_error *err) {
    const rub_study *study = p->study;
    size_t n = (size_t)p->n_node, r = (size_t)p->n_region, g = (size_t)p->n_gen;
    size_t d = (size_t)p->n_demand, m = n * (r + 1) * (size_t)p->n_step;
    struct {
        double **array;
        size_t n;
    } const want[] = {
        {&p->discount, (size_t)p->n_quarter},
        {&p->demand, n * d},
        {&p->value_usd, n * d},
        {&p->penalty_usd, n * d},
        {&p->gen_usd_per_mw, n * g},
        {&p->accel_per_mw, g},
        {&p->tok_per_s_per_mw, n * g},
        {&p->train_per_mw, n * g},
        {&p->supply_mw, n * g},
        {&p->power_usd_per_mw, n * r},
        {&p->grid_mw, n * r},
        {&p->rent_in_depth, m},
        {&p->rent_in_usd, m},
        {&p->rent_out_depth, m},
        {&p->rent_out_usd, m},
        {&p->sublet_usd_per_mw, n * r},
        {&p->sublet_depth_mw, n * r},
        {&p->ship_usd, n * (size_t)p->n_link},
        {&p->fixed_cash_usd, n},
        {&p->budget_usd, (size_t)p->n_budget},
    };
    bool ok = true;
    for (size_t i = 0; i < RUB_LEN(want); i++)
        ok = (*want[i].array = RUB_NEW(double, want[i].n)) && ok;
    ok = (p->may_order = RUB_NEW(uint8_t, n * g)) && ok;
    ok = (p->rofr = RUB_NEW(uint8_t, n * (size_t)study->n_partner)) && ok;
    ok = (p->budget_of_quarter = RUB_NEW(int32_t, p->n_quarter)) && ok;
    ok = (p->block = RUB_NEW(rub_block, p->n_block)) && ok;
    return ok ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu nodes", n);
}

static void fill_blocks(rub_problem *p) {
    int32_t b = 0;
    for (int32_t s = 0; s < p->study->n_site; s++)
        for (int32_t i = 0; i < p->study->site[s].n_block; i++)
            p->block[b++] = (rub_block){.site = s, .number = i};
}

/* What was already spent comes off the budget of the fiscal year that the study starts in. */
static void fill_budgets(rub_problem *p) {
    const rub_study *study = p->study;
    int32_t first_year = rub_study_fiscal_year(study, study->start_q);
    for (int32_t i = 0; i < p->n_budget; i++) {
        p->budget_usd[i] = study->budget[i].capex_usd;
        if (study->budget[i].fiscal_year == first_year)
            p->budget_usd[i] -= study->spent_this_fy_usd;
    }
    for (int32_t t = 0; t < p->n_quarter; t++) {
        int32_t year = rub_study_fiscal_year(study, study->start_q + t);
        p->budget_of_quarter[t] = -1;
        for (int32_t i = 0; i < p->n_budget; i++)
            if (study->budget[i].fiscal_year == year)
                p->budget_of_quarter[t] = i;
    }
}

static void fill_demand(rub_problem *p, int32_t node, int32_t t, const double *known,
                        const rub_features *f) {
    for (int32_t i = 0; i < p->n_demand; i++) {
        const rub_study_demand *demand = &p->study->demand[i];
        size_t at = (size_t)node * (size_t)p->n_demand + (size_t)i;
        double trend = grown(demand->value_trend_per_year, t);
        p->demand[at] = known[f->demand + i];
        p->value_usd[at] = per_unit_quarter(demand->load_class, demand->value_usd) * trend;
        p->penalty_usd[at] = per_unit_quarter(demand->load_class, demand->penalty_usd) * trend;
    }
}

static void fill_generations(rub_problem *p, int32_t node, int32_t t, const double *known,
                             const rub_features *f, const rub_yields *yields) {
    const rub_study *study = p->study;
    int32_t q = study->start_q + t;
    for (int32_t g = 0; g < p->n_gen; g++) {
        const rub_study_generation *gen = &study->generation[g];
        size_t at = (size_t)node * (size_t)p->n_gen + (size_t)g;
        double per_mw = yields->accel_per_mw[g];
        int32_t sold_since = gen->first_q > study->start_q ? gen->first_q : study->start_q;
        double age = q > sold_since ? q - sold_since : 0;
        p->accel_per_mw[g] = per_mw;
        p->may_order[at] = known[f->available + g] >= 0.5;
        p->gen_usd_per_mw[at] =
            gen->price_usd * per_mw * grown(gen->price_trend_per_year, age) * known[f->price + g];
        p->tok_per_s_per_mw[at] = yields->blended[g] * known[f->yield];
        p->train_per_mw[at] = per_mw * yields->training_yield[g];
        p->supply_mw[at] = rub_schedule_at(&gen->supply, q, HUGE_VAL) / per_mw;
    }
}

static void fill_regions(rub_problem *p, int32_t node, int32_t t, const double *known,
                         const rub_features *f) {
    const rub_study *study = p->study;
    for (int32_t r = 0; r < p->n_region; r++) {
        const rub_study_region *region = &study->region[r];
        size_t at = (size_t)node * (size_t)p->n_region + (size_t)r;
        p->power_usd_per_mw[at] = region->power_usd_per_mwh * HOURS_PER_QUARTER * region->pue *
                                  grown(region->power_trend_per_year, t);
        p->grid_mw[at] =
            region->grid.n
                ? rub_schedule_at(&region->grid, study->start_q + t, HUGE_VAL) * known[f->grid + r]
                : HUGE_VAL;
    }
}

/* Rental steps are quoted for accelerators of the reference generation; compute units follow. */
static void fill_market(rub_problem *p, int32_t node, int32_t t, const double *known,
                        const rub_features *f, const rub_study_market *market) {
    const rub_study *study = p->study;
    int32_t ref = study->reference_generation;
    size_t gen_at = (size_t)node * (size_t)p->n_gen + (size_t)ref;
    bool training = market->region < 0;
    double unit_per_accel = training ? 1.0 : p->tok_per_s_per_mw[gen_at] / p->accel_per_mw[ref];
    int32_t column = training ? p->n_region : market->region;
    size_t at = ((size_t)node * (size_t)(p->n_region + 1) + (size_t)column) * (size_t)p->n_step;
    double usd = unit_per_accel > 0 ? HOURS_PER_QUARTER * known[f->rent] / unit_per_accel : 0.0;
    double depth = unit_per_accel * known[f->depth];
    for (int32_t s = 0; s < market->n_in; s++) {
        p->rent_in_depth[at + (size_t)s] = market->in[s].depth * depth;
        p->rent_in_usd[at + (size_t)s] = market->in[s].usd * usd;
    }
    for (int32_t s = 0; s < market->n_out; s++) {
        p->rent_out_depth[at + (size_t)s] = market->out[s].depth * depth;
        p->rent_out_usd[at + (size_t)s] = market->out[s].usd * usd;
    }
    if (!training) {
        size_t r = (size_t)node * (size_t)p->n_region + (size_t)market->region;
        p->sublet_usd_per_mw[r] =
            market->sublet_usd_per_kw_month * 1000.0 * MONTHS_PER_QUARTER * known[f->rent];
        p->sublet_depth_mw[r] =
            rub_schedule_at(&market->sublet_depth, study->start_q + t, 0.0) * known[f->depth];
    }
}

/* Take-or-pay on what a partner's load falls short of its contract, and its payment on leaving. */
static double partner_cash(const rub_problem *p, int32_t node, int32_t t, int32_t partner,
                           const rub_features *f) {
    const rub_study *study = p->study;
    const rub_study_partner *who = &study->partner[partner];
    const rub_tree *tree = p->tree;
    const double *known = tree->feature + (size_t)node * (size_t)tree->n_feature;
    double load = 0.0, price_usd = 0.0, cash = 0.0;
    for (int32_t i = 0; i < p->n_demand; i++)
        if (study->demand[i].partner == partner) {
            size_t at = (size_t)node * (size_t)p->n_demand + (size_t)i;
            load += p->demand[at];
            price_usd = price_usd > 0 ? price_usd : p->value_usd[at];
        }
    if (study->start_q + t <= who->contract_end_q)
        cash += fmax(0.0, who->take_or_pay_frac * who->contract_units - load) * price_usd;
    double left_before = 0.0;
    if (tree->parent[node] >= 0)
        left_before =
            tree->feature[(size_t)tree->parent[node] * (size_t)tree->n_feature + f->left + partner];
    return cash + who->exit_usd * fmax(0.0, known[f->left + partner] - left_before);
}

void rub_problem_fill_node(rub_problem *p, int32_t node, const rub_yields *yields) {
    const rub_study *study = p->study;
    rub_features columns = rub_features_of(study);
    const rub_features *f = &columns;
    const double *known = p->tree->feature + (size_t)node * (size_t)p->tree->n_feature;
    int32_t t = p->tree->quarter[node];
    fill_demand(p, node, t, known, f);
    fill_generations(p, node, t, known, f, yields);
    fill_regions(p, node, t, known, f);
    for (int32_t m = 0; m < study->n_market; m++)
        fill_market(p, node, t, known, f, &study->market[m]);
    for (int32_t l = 0; l < p->n_link; l++)
        p->ship_usd[(size_t)node * (size_t)p->n_link + (size_t)l] =
            study->link[l].cost_usd_per_mtok * MTOK_PER_UNIT_QUARTER;
    p->fixed_cash_usd[node] = 0.0;
    for (int32_t k = 0; k < study->n_partner; k++) {
        p->rofr[(size_t)node * (size_t)study->n_partner + (size_t)k] = known[f->rofr + k] >= 0.5;
        p->fixed_cash_usd[node] += partner_cash(p, node, t, k, f);
    }
}

static int32_t most_steps(const rub_study *study) {
    int32_t most = 1;
    for (int32_t m = 0; m < study->n_market; m++) {
        most = study->market[m].n_in > most ? study->market[m].n_in : most;
        most = study->market[m].n_out > most ? study->market[m].n_out : most;
    }
    return most;
}

rub_status rub_plan_problem(const rub_study *study, const rub_tree *tree, const rub_yields *yields,
                            rub_problem *out, rub_error *err) {
    rub_problem p = {.study = study,
                     .tree = tree,
                     .allow = RUB_ALLOW_ALL,
                     .n_node = tree->n_node,
                     .n_quarter = tree->n_quarter,
                     .n_region = study->n_region,
                     .n_gen = study->n_generation,
                     .n_demand = study->n_demand,
                     .n_link = study->n_link,
                     .n_step = most_steps(study),
                     .n_budget = study->n_budget,
                     .cvar_weight = study->risk.cvar_weight,
                     .cvar_alpha = study->risk.cvar_alpha};
    for (int32_t s = 0; s < study->n_site; s++)
        p.n_block += study->site[s].n_block;
    rub_status status = allocate(&p, err);
    if (status != RUB_OK) {
        rub_problem_clear(&p);
        return status;
    }
    fill_blocks(&p);
    fill_budgets(&p);
    for (int32_t t = 0; t < p.n_quarter; t++)
        p.discount[t] = 1.0 / grown(study->discount_per_year, t);
    for (int32_t n = 0; n < p.n_node; n++)
        rub_problem_fill_node(&p, n, yields);
    *out = p;
    return RUB_OK;
}
