/* Readable policy: decision trees by weighted Gini impurity (Breiman et al. 1984), depth-limited, leaves
 * of one answer joined. Cases are the plan's steps over the scenario tree's nodes after the first,
 * weighted by probability. */
#include "plan/readable_trees.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_WEIGHT 0.01 /* of a stage's cases, for a leaf */

typedef struct fitter {
    const rub_readable *readable;
    rub_stage_rule *rule;
    rub_instance *at; /* cases, parted in place */
    double *value;    /* of one observable (n) */
    int32_t *order;
} fitter;

/* ---- observables ----------------------------------------------------------------------------- */

static void observe(rub_readable *r, const char *name, const char *unit, int32_t column,
                    double scale) {
    rub_observable *o = &r->observable[r->n_observable++];
    *o = (rub_observable){.unit = unit, .column = column, .scale = scale};
    snprintf(o->name, sizeof o->name, "%s", name);
}

static void set_observables(rub_readable *r) {
    const rub_study *study = r->facts->study;
    rub_features f = rub_features_of(study);
    char name[96];
    for (int32_t i = 0; i < study->n_demand; i++) {
        bool training = study->demand[i].load_class == RUB_TRAINING;
        double per_mw =
            training ? rub_fleet_train_per_mw(r->facts, 0) : rub_fleet_tok_per_mw(r->facts, 0);
        snprintf(name, sizeof name, "load of %s", study->demand[i].name);
        observe(r, name, "MW", f.demand + i, per_mw > 0 ? 1.0 / per_mw : 1.0);
    }
    for (int32_t k = 0; k < study->n_partner; k++) {
        snprintf(name, sizeof name, "share of %s's load that has left", study->partner[k].name);
        observe(r, name, "%", f.left + k, 100.0);
    }
    observe(r, "rental price", "% of today's", f.rent, 100.0);
    observe(r, "tokens per MW", "% of today's", f.yield, 100.0);
    observe(r, "date", "", RUB_READABLE_DATE, 1.0);
    observe(r, "age of its accelerators", "quarters", RUB_READABLE_AGE, 1.0);
    observe(r, "quarters to go", "quarters", RUB_READABLE_LEFT, 1.0);
}

static double observed(const rub_observable *o, const double *known, int32_t t,
                       const rub_block_state *s) {
    switch (o->column) {
    case RUB_READABLE_DATE:
        return t;
    case RUB_READABLE_AGE:
        return s->stage == RUB_STAGE_LIVE ? s->age : 0.0;
    case RUB_READABLE_LEFT:
        return s->remaining;
    default:
        return o->scale * known[o->column];
    }
}

static double value_of(const rub_readable *r, const rub_instance *c, int32_t o) {
    const rub_tree *tree = r->facts->tree;
    return observed(&r->observable[o], tree->feature + (size_t)c->node * (size_t)tree->n_feature,
                    tree->quarter[c->node], &rub_step_of(r->facts, c->block, c->node)->state);
}

/* ---- fitting --------------------------------------------------------------------------------- */

typedef struct tally {
    int32_t n, answer[32];
    double weight[32], all;
} tally;

static void add(tally *t, int32_t answer, double weight) {
    int32_t i = 0;
    while (i < t->n && t->answer[i] != answer)
        i++;
    if (i == t->n && t->n < 32) {
        t->answer[t->n] = answer;
        t->weight[t->n++] = 0.0;
    }
    if (i < t->n) {
        t->weight[i] += weight;
        t->all += weight;
    }
}

/* Weight times Gini impurity. */
static double impurity(const tally *t) {
    double squares = 0.0;
    for (int32_t i = 0; i < t->n; i++)
        squares += t->weight[i] * t->weight[i];
    return t->all > 0 ? t->all - squares / t->all : 0.0;
}

static int32_t commonest(const tally *t, double *weight) {
    int32_t best = 0;
    for (int32_t i = 1; i < t->n; i++)
        if (t->weight[i] > t->weight[best] ||
            (t->weight[i] == t->weight[best] && t->answer[i] < t->answer[best]))
            best = i;
    *weight = t->n ? t->weight[best] : 0.0;
    return t->n ? t->answer[best] : 0;
}

typedef struct keyed {
    double value;
    int32_t index;
} keyed;

static int by_value(const void *a, const void *b) {
    const keyed *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

typedef struct cut {
    int32_t observable;
    double threshold, impurity;
} cut;

/* Best threshold of one observable: a sweep over sorted values. */
static void sweep(const fitter *f, const rub_instance *at, size_t n, int32_t o, const tally *whole,
                  keyed *sorted, cut *best) {
    tally low = {0}, high = *whole;
    for (size_t i = 0; i < n; i++)
        sorted[i] = (keyed){value_of(f->readable, &at[i], o), (int32_t)i};
    qsort(sorted, n, sizeof *sorted, by_value);
    for (size_t i = 0; i + 1 < n; i++) {
        const rub_instance *c = &at[sorted[i].index];
        double here = sorted[i].value, next = sorted[i + 1].value;
        add(&low, c->answer, c->weight);
        add(&high, c->answer, -c->weight);
        if (next <= here + 1e-9 * fmax(1.0, fabs(here)) ||
            low.all < LEAST_WEIGHT * f->rule->weight || high.all < LEAST_WEIGHT * f->rule->weight)
            continue;
        double both = impurity(&low) + impurity(&high);
        if (both < best->impurity - 1e-9 * whole->all)
            *best = (cut){o, 0.5 * (here + next), both};
    }
}

static int32_t leaf(fitter *f, const tally *t) {
    double right;
    int32_t at = f->rule->n++;
    f->rule->ask[at] =
        (rub_question){.observable = -1, .answer = commonest(t, &right), .weight = t->all};
    f->rule->right += right;
    return at;
}

/* Parts cases by the cut; returns how many are under it. */
static size_t part(const fitter *f, rub_instance *at, size_t n, const cut *c) {
    size_t low = 0;
    for (size_t i = 0; i < n; i++)
        if (value_of(f->readable, &at[i], c->observable) < c->threshold) {
            rub_instance x = at[low];
            at[low++] = at[i];
            at[i] = x;
        }
    return low;
}

static int32_t fit(fitter *f, rub_instance *at, size_t n, int32_t depth) {
    tally whole = {0};
    for (size_t i = 0; i < n; i++)
        add(&whole, at[i].answer, at[i].weight);
    cut best = {-1, 0.0, impurity(&whole)};
    keyed *sorted = depth > 0 && best.impurity > 1e-9 ? RUB_NEW(keyed, n) : NULL;
    for (int32_t o = 0; sorted && o < f->readable->n_observable; o++)
        sweep(f, at, n, o, &whole, sorted, &best);
    free(sorted);
    if (best.observable < 0)
        return leaf(f, &whole);
    size_t low = part(f, at, n, &best);
    int32_t mine = f->rule->n++;
    double before = f->rule->right;
    int32_t left = fit(f, at, low, depth - 1), right = fit(f, at + low, n - low, depth - 1);
    const rub_question *l = &f->rule->ask[left], *r = &f->rule->ask[right];
    if (l->observable < 0 && r->observable < 0 && l->answer == r->answer) {
        f->rule->n = mine; /* both say the same: one leaf */
        f->rule->right = before;
        return leaf(f, &whole);
    }
    f->rule->ask[mine] = (rub_question){
        .observable = best.observable, .threshold = best.threshold, .left = left, .right = right};
    return mine;
}

int32_t rub_readable_leaf_of(const rub_readable *r, const rub_stage_rule *rule,
                             const rub_instance *c) {
    int32_t at = 0;
    while (rule->ask[at].observable >= 0)
        at = value_of(r, c, rule->ask[at].observable) < rule->ask[at].threshold
                 ? rule->ask[at].left
                 : rule->ask[at].right;
    return at;
}

int32_t rub_readable_answer_of(const rub_step *step) {
    bool orders = step->action == RUB_ACTION_FIT_OUT || step->action == RUB_ACTION_REFRESH;
    return step->action * 256 + (orders ? step->gen : 0);
}

static rub_status fit_stage(rub_readable *r, int32_t site, int32_t first, int stage,
                            rub_instance *at) {
    const rub_facts *facts = r->facts;
    rub_stage_rule *rule = &r->rule[site * RUB_N_STAGE + stage];
    size_t n = 0;
    for (int32_t node = 1; node < facts->tree->n_node; node++)
        for (int32_t b = first; b < first + facts->study->site[site].n_block; b++) {
            const rub_step *step = rub_step_of(facts, b, node);
            if (step->state.stage != stage)
                continue;
            at[n++] =
                (rub_instance){node, b, rub_readable_answer_of(step), facts->tree->prob[node]};
            rule->weight += facts->tree->prob[node];
        }
    fitter f = {.readable = r, .rule = rule};
    if (n > 0)
        fit(&f, at, n, r->depth);
    return RUB_OK;
}

rub_status rub_readable_fit(const rub_facts *facts, int32_t depth, rub_readable **out,
                            rub_error *err) {
    const rub_study *study = facts->study;
    int32_t most = 1, first = 0;
    for (int32_t s = 0; s < study->n_site; s++)
        most = study->site[s].n_block > most ? study->site[s].n_block : most;
    rub_readable *r = RUB_NEW(rub_readable, 1);
    rub_instance *at = RUB_NEW(rub_instance, (size_t)most * (size_t)facts->tree->n_node);
    if (r) {
        r->facts = facts;
        r->depth = depth < 3 ? depth : 3;
        r->observable = RUB_NEW(rub_observable, study->n_demand + study->n_partner + 5);
        r->rule = RUB_NEW(rub_stage_rule, study->n_site * RUB_N_STAGE);
    }
    if (!r || !at || !r->observable || !r->rule) {
        rub_readable_free(r);
        free(at);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for a readable policy");
    }
    set_observables(r);
    for (int32_t s = 0; s < study->n_site; first += study->site[s++].n_block)
        for (int stage = 0; stage < RUB_STAGE_ENDED; stage++)
            fit_stage(r, s, first, stage, at);
    free(at);
    *out = r;
    return RUB_OK;
}

void rub_readable_free(rub_readable *r) {
    if (!r)
        return;
    free(r->observable);
    free(r->rule);
    free(r);
}

/* ---- as a policy ------------------------------------------------------------------------------ */

static int32_t answer(const rub_readable *r, const rub_sight *sight, int32_t block,
                      const rub_block_state *s) {
    const rub_stage_rule *rule =
        &r->rule[sight->problem->block[block].site * RUB_N_STAGE + s->stage];
    int32_t at = 0;
    if (rule->n == 0)
        return -1;
    while (rule->ask[at].observable >= 0) {
        const rub_question *q = &rule->ask[at];
        double x = observed(&r->observable[q->observable], sight->known, sight->t, s);
        at = x < q->threshold ? q->left : q->right;
    }
    return rule->ask[at].answer;
}

static void look(const void *self, const rub_sight *sight, void *memory) {
    (void)self, (void)sight, (void)memory;
}

static double score(const void *self, const rub_sight *sight, const void *memory, int32_t block,
                    int32_t arc, const rub_arc_flow *flow) {
    const rub_readable *r = self;
    const rub_automaton *a = &sight->automaton[sight->problem->block[block].site];
    const rub_arc *one = &a->arc[arc];
    bool orders = one->action == RUB_ACTION_FIT_OUT || one->action == RUB_ACTION_REFRESH;
    int32_t mine = one->action * 256 + (orders ? one->gen : 0);
    (void)memory, (void)flow;
    int32_t said = sight->t == 0 ? rub_readable_answer_of(rub_step_of(r->facts, block, 0))
                                 : answer(r, sight, block, &a->state[one->from]);
    if (said == mine)
        return 2 * RUB_POLICY_WISH;
    /* another generation when the one named cannot be had; else the plain course */
    double near = said / 256 == one->action ? 50.0 : 0.0;
    return near + rub_rule_rank((rub_action)one->action, false) +
           (orders ? (double)one->gen / 256.0 : 0.0);
}

rub_policy rub_readable_policy(const rub_readable *readable) {
    return (rub_policy){.name = "its readable rules",
                        .text = "today's actions of the plan, then decision trees of at most three "
                                "questions for each site and stage",
                        .keeps_budget = true,
                        .look = look,
                        .score = score,
                        .self = readable};
}
