/* Fixture: tiny portfolio problems built in C structs, for tests of the portfolio room.
 *
 *     fixture f = fixture_make((fixture_def){.n_node = 3, .parent = (int32_t[]){-1, 0, 1}});
 *     f.site[0].stage = RUB_STAGE_SHELL;
 *     f.problem.demand[2] = 100.0;
 *     ...
 *     fixture_free(&f);
 *
 * Defaults: every array is there and zero; orders are possible everywhere, grid and supply have no
 * limit, discount is 1, no budget, an owned site of one 1 MW block in stage signed that costs
 * nothing, takes no time to build, one quarter to fit out, and whose accelerators last 4 years.
 * Yields are 1 unit per MW; demand, values, prices and market depths are 0. One node after the
 * other when no parents are given; equal probabilities of siblings when no probabilities are. */
#ifndef RUB_TESTS_PORTFOLIO_FIXTURE_H
#define RUB_TESTS_PORTFOLIO_FIXTURE_H

#include "rubato/portfolio.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FIXTURE_START_Q (2025 * 4) /* 2025-Q1 */

typedef struct fixture_def {
    int32_t n_node;        /* 0: 1 */
    const int32_t *parent; /* breadth-first, -1 for the root; NULL: a chain */
    const double *prob;    /* conditional on the parent (n_node); NULL: equal */
    /* 0 means 1, -1 means none, for the next four */
    int32_t n_region, n_gen, n_demand, n_site;
    int32_t n_partner, n_link, n_budget; /* 0: none */
    int32_t n_step;                      /* 0: 1 */
} fixture_def;

typedef struct fixture {
    rub_study study;
    rub_tree tree;
    rub_problem problem;
    /* the study's arrays, writable by a short name */
    rub_study_site *site;
    rub_study_generation *generation;
    rub_study_region *region;
    rub_study_demand *demand;
    rub_study_partner *partner;
    rub_study_link *link;
    void *owned[64];
    int n_owned;
} fixture;

static inline void *fixture_own(fixture *f, size_t n, size_t size) {
    void *memory = rub_calloc(n, size);
    if (!memory || f->n_owned == 64)
        abort();
    return f->owned[f->n_owned++] = memory;
}

static inline double *fixture_doubles(fixture *f, int64_t n, double value) {
    double *array = fixture_own(f, (size_t)n, sizeof *array);
    for (int64_t i = 0; i < n; i++)
        array[i] = value;
    return array;
}

static inline int32_t fixture_count(int32_t wanted) {
    return wanted < 0 ? 0 : wanted == 0 ? 1 : wanted;
}

static inline void fixture_study(fixture *f, const fixture_def *def) {
    rub_study *s = &f->study;
    s->start_q = FIXTURE_START_Q;
    s->fiscal_start = 1;
    s->shell_life_years = 20.0;
    s->n_region = fixture_count(def->n_region);
    s->n_generation = fixture_count(def->n_gen);
    s->n_demand = fixture_count(def->n_demand);
    s->n_site = fixture_count(def->n_site);
    s->n_partner = def->n_partner;
    s->n_link = def->n_link;
    s->n_budget = def->n_budget;
    s->site = f->site = fixture_own(f, (size_t)s->n_site, sizeof *s->site);
    s->generation = f->generation = fixture_own(f, (size_t)s->n_generation, sizeof *f->generation);
    s->region = f->region = fixture_own(f, (size_t)s->n_region, sizeof *s->region);
    s->demand = f->demand = fixture_own(f, (size_t)s->n_demand, sizeof *s->demand);
    s->partner = f->partner = fixture_own(f, (size_t)s->n_partner, sizeof *s->partner);
    s->link = f->link = fixture_own(f, (size_t)s->n_link, sizeof *s->link);
    s->budget = fixture_own(f, (size_t)s->n_budget, sizeof *s->budget);
    for (int32_t i = 0; i < s->n_region; i++) {
        snprintf(s->region[i].name, RUB_NAME_MAX, "region-%d", i);
        s->region[i].pue = 1.0;
    }
    for (int32_t i = 0; i < s->n_generation; i++) {
        snprintf(s->generation[i].name, RUB_NAME_MAX, "gen-%d", i);
        s->generation[i].first_q = 0;
        s->generation[i].last_q = RUB_NEVER;
        s->generation[i].life_years = 4.0;
        s->generation[i].residual_frac_per_year = 0.0;
        s->generation[i].training_yield = 1.0;
    }
    for (int32_t i = 0; i < s->n_demand; i++) {
        snprintf(s->demand[i].name, RUB_NAME_MAX, "demand-%d", i);
        s->demand[i].load_class = RUB_INFERENCE;
        s->demand[i].partner = -1;
    }
    for (int32_t i = 0; i < s->n_partner; i++) {
        snprintf(s->partner[i].name, RUB_NAME_MAX, "partner-%d", i);
        s->partner[i].leave_q = RUB_NEVER;
        s->partner[i].leave_frac = 1.0;
        s->partner[i].contract_end_q = RUB_NEVER;
        s->partner[i].rofr_end_q = RUB_NEVER;
    }
    for (int32_t i = 0; i < s->n_site; i++) {
        rub_study_site *site = &s->site[i];
        snprintf(site->name, RUB_NAME_MAX, "site-%d", i);
        site->owned = true;
        site->fabric = RUB_FABRIC_INFERENCE;
        site->stage = RUB_STAGE_SIGNED;
        site->n_block = 1;
        site->block_mw = 1.0;
        site->generation = -1;
        site->option_expiry_q = RUB_NEVER;
        site->close_q = RUB_NEVER;
        site->fit_for_q = 1;
        site->upgrade_usd_per_mw = -1.0;
        site->commence_q = FIXTURE_START_Q;
        site->renew_rent_factor = 1.0;
        site->sublet_frac = 1.0;
        site->rofr_partner = -1;
    }
}

static inline void fixture_tree(fixture *f, const fixture_def *def) {
    rub_tree *t = &f->tree;
    int32_t n = t->n_node = def->n_node > 0 ? def->n_node : 1;
    t->parent = fixture_own(f, (size_t)n, sizeof *t->parent);
    t->quarter = fixture_own(f, (size_t)n, sizeof *t->quarter);
    t->first_child = fixture_own(f, (size_t)n, sizeof *t->first_child);
    t->n_child = fixture_own(f, (size_t)n, sizeof *t->n_child);
    t->prob = fixture_doubles(f, n, 1.0);
    t->n_feature = rub_features_of(&f->study).n;
    t->feature = fixture_doubles(f, (int64_t)n * t->n_feature, 0.0);
    for (int32_t i = 0; i < n; i++) {
        int32_t parent = t->parent[i] = def->parent ? def->parent[i] : i - 1;
        if (parent < 0)
            continue;
        t->quarter[i] = t->quarter[parent] + 1;
        if (t->n_child[parent]++ == 0)
            t->first_child[parent] = i;
    }
    for (int32_t i = 0; i < n; i++) {
        int32_t parent = t->parent[i];
        if (parent >= 0)
            t->prob[i] = t->prob[parent] * (def->prob ? def->prob[i] : 1.0 / t->n_child[parent]);
        t->n_leaf += t->n_child[i] == 0;
        t->n_quarter = t->quarter[i] + 1 > t->n_quarter ? t->quarter[i] + 1 : t->n_quarter;
    }
    f->study.n_quarter = t->n_quarter;
}

static inline void fixture_problem(fixture *f, const fixture_def *def) {
    rub_problem *p = &f->problem;
    const rub_study *s = &f->study;
    int64_t n = p->n_node = f->tree.n_node;
    int64_t r = p->n_region = s->n_region, g = p->n_gen = s->n_generation;
    int64_t d = p->n_demand = s->n_demand, k = p->n_step = def->n_step > 0 ? def->n_step : 1;
    p->n_quarter = f->tree.n_quarter;
    p->n_link = s->n_link;
    p->n_budget = s->n_budget;
    p->allow = RUB_ALLOW_ALL;
    p->cvar_alpha = 0.1;
    p->discount = fixture_doubles(f, p->n_quarter, 1.0);
    p->demand = fixture_doubles(f, n * d, 0.0);
    p->value_usd = fixture_doubles(f, n * d, 0.0);
    p->penalty_usd = fixture_doubles(f, n * d, 0.0);
    p->may_order = fixture_own(f, (size_t)(n * g), 1);
    for (int64_t i = 0; i < n * g; i++)
        p->may_order[i] = 1;
    p->gen_usd_per_mw = fixture_doubles(f, n * g, 0.0);
    p->accel_per_mw = fixture_doubles(f, g, 1.0);
    p->tok_per_s_per_mw = fixture_doubles(f, n * g, 1.0);
    p->train_per_mw = fixture_doubles(f, n * g, 1.0);
    p->supply_mw = fixture_doubles(f, n * g, HUGE_VAL);
    p->power_usd_per_mw = fixture_doubles(f, n * r, 0.0);
    p->grid_mw = fixture_doubles(f, n * r, HUGE_VAL);
    p->rent_in_depth = fixture_doubles(f, n * (r + 1) * k, 0.0);
    p->rent_in_usd = fixture_doubles(f, n * (r + 1) * k, 0.0);
    p->rent_out_depth = fixture_doubles(f, n * (r + 1) * k, 0.0);
    p->rent_out_usd = fixture_doubles(f, n * (r + 1) * k, 0.0);
    p->sublet_usd_per_mw = fixture_doubles(f, n * r, 0.0);
    p->sublet_depth_mw = fixture_doubles(f, n * r, 0.0);
    p->ship_usd = fixture_doubles(f, n * p->n_link, 0.0);
    p->fixed_cash_usd = fixture_doubles(f, n, 0.0);
    p->rofr = fixture_own(f, (size_t)(n * s->n_partner), 1);
    p->budget_usd = fixture_doubles(f, p->n_budget, HUGE_VAL);
    p->budget_of_quarter = fixture_own(f, (size_t)p->n_quarter, sizeof *p->budget_of_quarter);
    for (int32_t t = 0; t < p->n_quarter; t++)
        p->budget_of_quarter[t] = -1;
}

/* Study and tree of the problem are set by fixture_bind, as they live in the struct itself. */
static inline fixture fixture_make(fixture_def def) {
    fixture f = {0};
    fixture_study(&f, &def);
    fixture_tree(&f, &def);
    fixture_problem(&f, &def);
    return f;
}

/* Call after the last change of sites and of n_block: points the problem at this fixture's study
 * and tree, and lists the blocks. */
static inline const rub_problem *fixture_bind(fixture *f) {
    rub_problem *p = &f->problem;
    p->study = &f->study;
    p->tree = &f->tree;
    p->n_block = 0;
    for (int32_t s = 0; s < f->study.n_site; s++)
        p->n_block += f->site[s].n_block;
    p->block = fixture_own(f, (size_t)p->n_block, sizeof *p->block);
    int32_t b = 0;
    for (int32_t s = 0; s < f->study.n_site; s++)
        for (int32_t i = 0; i < f->site[s].n_block; i++)
            p->block[b++] = (rub_block){.site = s, .number = i};
    return p;
}

/* Outcome of a site's talks at a node (the node's descendants have to be set too). */
static inline double *fixture_talks(fixture *f, int32_t node, int32_t site) {
    return &f->tree.feature[(int64_t)node * f->tree.n_feature + rub_features_of(&f->study).talks +
                            site];
}

static inline void fixture_free(fixture *f) {
    for (int i = 0; i < f->n_owned; i++)
        free(f->owned[i]);
    *f = (fixture){0};
}

#endif
