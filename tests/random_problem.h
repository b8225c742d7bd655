/* Random small portfolio problems, every feature switched on at random: stages, leases, talks,
 * budgets, supply, sublet depth, rental both ways, links, grid, partner's right, CVaR. */
#ifndef RUB_TESTS_RANDOM_PROBLEM_H
#define RUB_TESTS_RANDOM_PROBLEM_H

#include "portfolio_fixture.h"

#include "base/rng.h"

static inline double uniform(rub_rng *rng, double low, double high) {
    return low + (high - low) * rub_rng_uniform(rng);
}

static inline bool chance(rub_rng *rng, double p) { return rub_rng_uniform(rng) < p; }

static inline int32_t pick(rub_rng *rng, int32_t low, int32_t high) {
    return low + (int32_t)rub_rng_below(rng, (uint64_t)(high - low + 1));
}

/* A tree of up to max_node nodes: 3 to 6 quarters, branching 1 to 3. parent has room for max_node. */
static inline int32_t random_tree(rub_rng *rng, int32_t max_node, int32_t *parent) {
    int32_t quarters = pick(rng, 3, 6), n = 1, level = 0, next;
    parent[0] = -1;
    for (int32_t t = 1; t < quarters; t++) {
        int32_t most = (max_node - n) / (n - level) / (quarters - t);
        next = n;
        for (int32_t i = level; i < next; i++)
            for (int32_t k = pick(rng, 1, most > 3 ? 3 : most > 1 ? most : 1); k > 0; k--)
                parent[n++] = i;
        level = next;
    }
    return n;
}

static inline void random_site(rub_rng *rng, fixture *f, rub_study_site *s) {
    static const rub_stage stages[] = {RUB_STAGE_TALKS,    RUB_STAGE_OPTION, RUB_STAGE_SIGNED,
                                       RUB_STAGE_BUILDING, RUB_STAGE_PAUSED, RUB_STAGE_SHELL,
                                       RUB_STAGE_LIVE,     RUB_STAGE_FITTING};
    s->stage = stages[pick(rng, 0, 7)];
    s->owned = chance(rng, 0.5);
    s->region = pick(rng, 0, f->study.n_region - 1);
    s->fabric = chance(rng, 0.5) ? RUB_FABRIC_TRAINING : RUB_FABRIC_INFERENCE;
    s->n_block = pick(rng, 1, 2);
    s->block_mw = (double)pick(rng, 1, 5);
    s->close_q = FIXTURE_START_Q + pick(rng, 1, 2);
    s->close_prob = 0.5;
    s->option_fee_usd = uniform(rng, 0, 2e5);
    s->option_expiry_q = FIXTURE_START_Q + pick(rng, 1, 4);
    s->sign_usd = uniform(rng, 0, 4e6);
    s->build_for_q = pick(rng, 0, 2);
    s->remaining_q = pick(rng, 1, s->build_for_q > 0 ? s->build_for_q : 1);
    s->shell_usd_per_mw = s->owned ? uniform(rng, 1e6, 8e6) : uniform(rng, 0, 1e6);
    s->may_pause = chance(rng, 0.7);
    s->pause_usd_per_mw_q = uniform(rng, 0, 1e5);
    s->resume_usd_per_mw = uniform(rng, 0, 5e5);
    s->resume_delay_q = pick(rng, 0, 2);
    s->fit_for_q = pick(rng, 1, 2);
    s->fit_usd_per_mw = uniform(rng, 0, 2e6);
    s->upgrade_usd_per_mw = chance(rng, 0.5) ? uniform(rng, 0, 2e6) : -1.0;
    s->opex_usd_per_mw_q = uniform(rng, 0, 3e5);
    s->hold_usd_per_mw_q = uniform(rng, 0, 1e5);
    s->generation = s->stage == RUB_STAGE_LIVE || s->stage == RUB_STAGE_FITTING ? 0 : -1;
    s->age_years = uniform(rng, 0, 1);
    s->commence_q = FIXTURE_START_Q + pick(rng, -4, 3);
    s->term_years = chance(rng, 0.3) ? uniform(rng, 0.5, 2.0) : 0.0;
    s->rent_usd_per_kw_month = uniform(rng, 50, 200);
    s->rent_step_per_year = 0.03;
    s->ramp_for_q = pick(rng, 0, 2);
    s->defer_max_q = pick(rng, 0, 2);
    s->defer_usd_per_mw_q = uniform(rng, 0, 2e5);
    s->notice_q = pick(rng, 0, 2);
    s->may_renew = chance(rng, 0.5);
    s->renew_rent_factor = 1.1;
    s->may_sublet = chance(rng, 0.5);
    s->sublet_frac = 0.9;
    s->sublet_min_q = pick(rng, 0, 2);
    s->rofr_partner = f->study.n_partner > 0 && chance(rng, 0.5) ? 0 : -1;
}

static inline void random_market(rub_rng *rng, fixture *f) {
    rub_problem *p = &f->problem;
    for (int64_t n = 0; n < p->n_node; n++) {
        for (int64_t i = 0; i < p->n_demand; i++) {
            p->demand[n * p->n_demand + i] = uniform(rng, 0, 15);
            p->value_usd[n * p->n_demand + i] = uniform(rng, 1e6, 5e6);
            p->penalty_usd[n * p->n_demand + i] = chance(rng, 0.3) ? 1e6 : 0.0;
        }
        for (int64_t g = 0; g < p->n_gen; g++) {
            p->may_order[n * p->n_gen + g] = chance(rng, 0.8);
            p->gen_usd_per_mw[n * p->n_gen + g] = uniform(rng, 2e6, 1.2e7);
            p->tok_per_s_per_mw[n * p->n_gen + g] = uniform(rng, 0.5, 2);
            p->train_per_mw[n * p->n_gen + g] = uniform(rng, 0.5, 2);
            if (chance(rng, 0.3))
                p->supply_mw[n * p->n_gen + g] = uniform(rng, 2, 8);
        }
        for (int64_t r = 0; r < p->n_region; r++) {
            p->power_usd_per_mw[n * p->n_region + r] = uniform(rng, 1e5, 3e5);
            p->sublet_usd_per_mw[n * p->n_region + r] = uniform(rng, 2e5, 6e5);
            p->sublet_depth_mw[n * p->n_region + r] = uniform(rng, 0, 8);
            if (chance(rng, 0.3))
                p->grid_mw[n * p->n_region + r] = uniform(rng, 3, 12);
        }
        for (int64_t i = 0; i < (p->n_region + 1) * p->n_step; i++) {
            int64_t at = n * (p->n_region + 1) * p->n_step + i;
            p->rent_in_depth[at] = uniform(rng, 0, 4);
            p->rent_in_usd[at] = uniform(rng, 1.5e6, 4e6);
            p->rent_out_depth[at] = uniform(rng, 0, 4);
            p->rent_out_usd[at] = uniform(rng, 2e5, 1.4e6);
        }
        for (int64_t l = 0; l < p->n_link; l++)
            p->ship_usd[n * p->n_link + l] = uniform(rng, 0, 3e5);
        p->fixed_cash_usd[n] = uniform(rng, -1e6, 1e6);
        for (int64_t k = 0; k < f->study.n_partner; k++)
            p->rofr[n * f->study.n_partner + k] = chance(rng, 0.5);
    }
}

/* Talks have one outcome from the quarter of closing on: that of the ancestor there. */
static inline void random_talks(rub_rng *rng, fixture *f) {
    for (int32_t s = 0; s < f->study.n_site; s++)
        for (int32_t n = 0; n < f->tree.n_node; n++) {
            int32_t q = FIXTURE_START_Q + f->tree.quarter[n], parent = f->tree.parent[n];
            double ok = q < f->site[s].close_q    ? 0.0
                        : q == f->site[s].close_q ? (double)chance(rng, 0.5)
                                                  : *fixture_talks(f, parent, s);
            *fixture_talks(f, n, s) = ok;
        }
}

/* Call fixture_bind on the result where it stands, and fixture_free at the end. */
static inline fixture random_problem(uint64_t seed, int32_t max_site, int32_t max_node) {
    rub_rng rng = rub_rng_make(seed, 99);
    int32_t parent[256];
    int32_t n = random_tree(&rng, max_node < 256 ? max_node : 256, parent);
    fixture_def def = {.n_node = n,
                       .parent = parent,
                       .n_region = pick(&rng, 1, 2),
                       .n_gen = pick(&rng, 1, 2),
                       .n_step = 2};
    def.n_demand = def.n_region + 1;
    def.n_site = pick(&rng, 1, max_site);
    def.n_partner = chance(&rng, 0.5);
    def.n_link = def.n_region == 2 ? 2 : 0;
    def.n_budget = chance(&rng, 0.5) ? 2 : 0;
    fixture f = fixture_make(def);
    for (int32_t i = 0; i < def.n_region; i++)
        f.demand[i].region = i;
    f.demand[def.n_region].load_class = RUB_TRAINING;
    f.demand[def.n_region].region = -1;
    for (int32_t l = 0; l < def.n_link; l++) {
        f.link[l].from = l;
        f.link[l].to = 1 - l;
    }
    for (int32_t g = 0; g < def.n_gen; g++) {
        f.generation[g].life_years = uniform(&rng, 0.5, 3.0);
        f.generation[g].residual_frac_per_year = uniform(&rng, 0.2, 0.7);
    }
    for (int32_t k = 0; k < def.n_partner; k++) {
        f.partner[k].rofr_share_frac = uniform(&rng, 0.1, 0.6);
        f.partner[k].rofr_usd_per_mw_q = uniform(&rng, 5e5, 2e6);
    }
    for (int32_t s = 0; s < def.n_site; s++)
        random_site(&rng, &f, &f.site[s]);
    random_market(&rng, &f);
    random_talks(&rng, &f);
    for (int32_t t = 0; t < f.problem.n_quarter; t++) {
        f.problem.discount[t] = pow(0.98, t);
        f.problem.budget_of_quarter[t] = def.n_budget ? (t >= 3) : -1;
    }
    for (int32_t b = 0; b < def.n_budget; b++) {
        f.problem.budget_usd[b] = uniform(&rng, 3e7, 1.5e8);
        f.study.budget[b].fiscal_year = 2025 + b;
    }
    f.problem.cvar_weight = chance(&rng, 0.4) ? uniform(&rng, 0.1, 0.5) : 0.0;
    f.problem.cvar_alpha = uniform(&rng, 0.1, 0.5);
    return f;
}

/* Limits that bind without a choice, in one problem of six: loads that must be served, subleases that run
 * on, construction that may not be cancelled. Some have no plan. */
static inline void random_hard_limits(fixture *f, uint64_t seed) {
    rub_rng rng = rub_rng_make(seed, 17);
    if (!chance(&rng, 1.0 / 6))
        return;
    for (int32_t i = 0; i < f->study.n_demand; i++)
        f->demand[i].must_serve_frac = chance(&rng, 0.3) ? uniform(&rng, 0.0, 0.4) : 0.0;
    for (int32_t s = 0; s < f->study.n_site; s++)
        if (chance(&rng, 0.3)) {
            f->site[s].stage = RUB_STAGE_SUBLET;
            f->site[s].generation = -1;
        }
    if (chance(&rng, 0.5))
        f->problem.allow &= ~(uint32_t)RUB_ALLOW_CANCEL;
}

#endif
