/* Readable policy: decision trees by weighted Gini impurity (Breiman et al. 1984), depth-limited, leaves
 * of one answer joined. Cases are the plan's steps over the scenario tree's nodes after the first,
 * weighted by probability. */
#include "plan/readable.h"

#include "plan/groups.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_LEAVES 8
#define MOST_NODES (2 * MOST_LEAVES)
#define LEAST_WEIGHT 0.01 /* of a stage's cases, for a leaf */

enum { COLUMN_DATE = -1, COLUMN_AGE = -2, COLUMN_LEFT = -3 }; /* not columns of rub_features */

typedef struct observable {
    char name[96];
    const char *unit;
    int32_t column;
    double scale;
} observable;

typedef struct question {
    int32_t observable; /* -1: a leaf */
    double threshold;   /* left: under it */
    int32_t left, right;
    int32_t answer; /* of a leaf: action * 256 + generation */
    double weight;  /* of a leaf */
} question;

typedef struct stage_rule {
    int32_t n; /* questions; 0: the stage is not met */
    question ask[MOST_NODES];
    double weight, right; /* of cases, of those answered as the plan does */
} stage_rule;

struct rub_readable {
    const rub_facts *facts;
    int32_t depth, n_observable;
    observable *observable;
    stage_rule *rule; /* (n_site, RUB_N_STAGE) */
};

/* One step of the plan. */
typedef struct instance {
    int32_t node, block, answer;
    double weight;
} instance;

typedef struct fitter {
    const rub_readable *readable;
    stage_rule *rule;
    instance *at;  /* cases, parted in place */
    double *value; /* of one observable (n) */
    int32_t *order;
} fitter;

/* ---- observables ----------------------------------------------------------------------------- */

static void observe(rub_readable *r, const char *name, const char *unit, int32_t column,
                    double scale) {
    observable *o = &r->observable[r->n_observable++];
    *o = (observable){.unit = unit, .column = column, .scale = scale};
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
    observe(r, "date", "", COLUMN_DATE, 1.0);
    observe(r, "age of its accelerators", "quarters", COLUMN_AGE, 1.0);
    observe(r, "quarters to go", "quarters", COLUMN_LEFT, 1.0);
}

static double observed(const observable *o, const double *known, int32_t t,
                       const rub_block_state *s) {
    switch (o->column) {
    case COLUMN_DATE:
        return t;
    case COLUMN_AGE:
        return s->stage == RUB_STAGE_LIVE ? s->age : 0.0;
    case COLUMN_LEFT:
        return s->remaining;
    default:
        return o->scale * known[o->column];
    }
}

static double value_of(const rub_readable *r, const instance *c, int32_t o) {
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
static void sweep(const fitter *f, const instance *at, size_t n, int32_t o, const tally *whole,
                  keyed *sorted, cut *best) {
    tally low = {0}, high = *whole;
    for (size_t i = 0; i < n; i++)
        sorted[i] = (keyed){value_of(f->readable, &at[i], o), (int32_t)i};
    qsort(sorted, n, sizeof *sorted, by_value);
    for (size_t i = 0; i + 1 < n; i++) {
        const instance *c = &at[sorted[i].index];
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
        (question){.observable = -1, .answer = commonest(t, &right), .weight = t->all};
    f->rule->right += right;
    return at;
}

/* Parts cases by the cut; returns how many are under it. */
static size_t part(const fitter *f, instance *at, size_t n, const cut *c) {
    size_t low = 0;
    for (size_t i = 0; i < n; i++)
        if (value_of(f->readable, &at[i], c->observable) < c->threshold) {
            instance x = at[low];
            at[low++] = at[i];
            at[i] = x;
        }
    return low;
}

static int32_t fit(fitter *f, instance *at, size_t n, int32_t depth) {
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
    const question *l = &f->rule->ask[left], *r = &f->rule->ask[right];
    if (l->observable < 0 && r->observable < 0 && l->answer == r->answer) {
        f->rule->n = mine; /* both say the same: one leaf */
        f->rule->right = before;
        return leaf(f, &whole);
    }
    f->rule->ask[mine] = (question){
        .observable = best.observable, .threshold = best.threshold, .left = left, .right = right};
    return mine;
}

/* The leaf that a case falls into. */
static int32_t leaf_of(const rub_readable *r, const stage_rule *rule, const instance *c) {
    int32_t at = 0;
    while (rule->ask[at].observable >= 0)
        at = value_of(r, c, rule->ask[at].observable) < rule->ask[at].threshold
                 ? rule->ask[at].left
                 : rule->ask[at].right;
    return at;
}

static int32_t answer_of(const rub_step *step) {
    bool orders = step->action == RUB_ACTION_FIT_OUT || step->action == RUB_ACTION_REFRESH;
    return step->action * 256 + (orders ? step->gen : 0);
}

static rub_status fit_stage(rub_readable *r, int32_t site, int32_t first, int stage, instance *at) {
    const rub_facts *facts = r->facts;
    stage_rule *rule = &r->rule[site * RUB_N_STAGE + stage];
    size_t n = 0;
    for (int32_t node = 1; node < facts->tree->n_node; node++)
        for (int32_t b = first; b < first + facts->study->site[site].n_block; b++) {
            const rub_step *step = rub_step_of(facts, b, node);
            if (step->state.stage != stage)
                continue;
            at[n++] = (instance){node, b, answer_of(step), facts->tree->prob[node]};
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
    instance *at = RUB_NEW(instance, (size_t)most * (size_t)facts->tree->n_node);
    if (r) {
        r->facts = facts;
        r->depth = depth < 3 ? depth : 3;
        r->observable = RUB_NEW(observable, study->n_demand + study->n_partner + 5);
        r->rule = RUB_NEW(stage_rule, study->n_site * RUB_N_STAGE);
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
    const stage_rule *rule = &r->rule[sight->problem->block[block].site * RUB_N_STAGE + s->stage];
    int32_t at = 0;
    if (rule->n == 0)
        return -1;
    while (rule->ask[at].observable >= 0) {
        const question *q = &rule->ask[at];
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
    int32_t said = sight->t == 0 ? answer_of(rub_step_of(r->facts, block, 0))
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

/* ---- in words --------------------------------------------------------------------------------- */

static void answer_words(const rub_readable *r, int32_t said, rub_text *out) {
    rub_action action = (rub_action)(said / 256);
    bool orders = action == RUB_ACTION_FIT_OUT || action == RUB_ACTION_REFRESH;
    rub_text_add(out, "%s%s%s", rub_action_text(action), orders ? " " : "",
                 orders ? r->facts->study->generation[said % 256].name : "");
}

/* What holds of one observable on the way to a leaf; HUGE_VAL: no such limit. */
typedef struct limits {
    int32_t observable;
    double low, high;
} limits;

static void threshold_text(double x, bool whole, char buf[32]) {
    rub_text_number(whole && isfinite(x) ? ceil(x) : isfinite(x) ? x : 0.0, buf);
}

static void condition(const rub_readable *r, const limits *l, rub_text *out) {
    const observable *o = &r->observable[l->observable];
    bool low = isfinite(l->low), high = isfinite(l->high);
    char from[32], to[32];
    rub_text_add(out, out->n ? " and " : "");
    if (o->column == COLUMN_DATE) {
        rub_quarter_text(r->facts->study->start_q + (low ? (int32_t)ceil(l->low) : 0), from,
                         sizeof from);
        rub_quarter_text(r->facts->study->start_q + (high ? (int32_t)ceil(l->high) : 0), to,
                         sizeof to);
        rub_text_add(out, "%s%s%s%s%s", low ? "from " : "", low ? from : "",
                     low && high ? " and " : "", high ? "before " : "", high ? to : "");
        return;
    }
    bool whole = o->column == COLUMN_AGE || o->column == COLUMN_LEFT;
    threshold_text(l->low, whole, from);
    threshold_text(l->high, whole, to);
    if (low && high)
        rub_text_add(out, "%s from %s to %s %s", o->name, from, to, o->unit);
    else
        rub_text_add(out, "%s %s %s %s", o->name, low ? "at least" : "under", low ? from : to,
                     o->unit);
}

static bool stands_in(const rub_readable *r, int32_t block, int stage) {
    return rub_step_of(r->facts, block, 0)->next.stage == stage;
}

/* Share of futures in which a block of the site comes to this leaf and does as it says; mean of the blocks
 * that stand in the stage after today's actions, or of all when none does. */
static double futures_of(const rub_readable *r, int32_t site, int stage, int32_t leaf) {
    const rub_tree *tree = r->facts->tree;
    const stage_rule *rule = &r->rule[site * RUB_N_STAGE + stage];
    int32_t first = rub_first_block(r->facts, site), n = r->facts->study->site[site].n_block;
    uint8_t *met = RUB_NEW(uint8_t, tree->n_node);
    int32_t standing = 0;
    double prob = 0.0;
    for (int32_t b = first; b < first + n; b++)
        standing += stands_in(r, b, stage);
    for (int32_t b = first; met && b < first + n; b++)
        for (int32_t node = 1; node < tree->n_node && (!standing || stands_in(r, b, stage));
             node++) { /* parents come first */
            const rub_step *step = rub_step_of(r->facts, b, node);
            bool before = tree->parent[node] > 0 && met[tree->parent[node]];
            bool here = !before && step->state.stage == stage &&
                        answer_of(step) == rule->ask[leaf].answer &&
                        leaf_of(r, rule, &(instance){.node = node, .block = b}) == leaf;
            met[node] = before || here;
            prob += here ? tree->prob[node] / (standing ? standing : n) : 0.0;
        }
    free(met);
    return prob;
}

static void leaf_words(const rub_readable *r, int32_t site, int stage, int32_t leaf,
                       const limits *way, int n, json_t *out) {
    const stage_rule *rule = &r->rule[site * RUB_N_STAGE + stage];
    const question *q = &rule->ask[leaf];
    rub_text said = {0}, when = {0};
    answer_words(r, q->answer, &said);
    for (int i = 0; i < n; i++)
        condition(r, &way[i], &when);
    json_array_append_new(out, json_pack("{s:s,s:s,s:f,s:f}", "if", when.data ? when.data : "",
                                         "do", said.data ? said.data : "", "probability",
                                         rule->weight > 0 ? q->weight / rule->weight : 0.0,
                                         "futures", futures_of(r, site, stage, leaf)));
    rub_text_clear(&said);
    rub_text_clear(&when);
}

/* Leaves below a question; way: what holds on the way there. */
static void leaves(const rub_readable *r, int32_t site, int stage, int32_t at, const limits *way,
                   int n, json_t *out) {
    const question *q = &r->rule[site * RUB_N_STAGE + stage].ask[at];
    if (q->observable < 0) {
        leaf_words(r, site, stage, at, way, n, out);
        return;
    }
    for (int above = 1; above >= 0; above--) {
        limits next[8];
        int i = 0;
        for (int k = 0; k < n; k++)
            next[k] = way[k];
        while (i < n && next[i].observable != q->observable)
            i++;
        if (i == n)
            next[i] = (limits){q->observable, -HUGE_VAL, HUGE_VAL};
        *(above ? &next[i].low : &next[i].high) = q->threshold;
        leaves(r, site, stage, above ? q->right : q->left, next, i == n ? n + 1 : n, out);
    }
}

json_t *rub_readable_document(const rub_readable *r) {
    json_t *rows = json_array();
    for (int32_t s = 0; s < r->facts->study->n_site; s++)
        for (int stage = 0; stage < RUB_STAGE_ENDED; stage++) {
            const stage_rule *rule = &r->rule[s * RUB_N_STAGE + stage];
            if (rule->n == 0 || (rule->n == 1 && rule->right >= rule->weight * (1 - 1e-9)))
                continue;
            json_t *rules = json_array();
            leaves(r, s, stage, 0, NULL, 0, rules);
            json_array_append_new(
                rows, json_pack("{s:s,s:s,s:f,s:f,s:o}", "site", r->facts->study->site[s].name,
                                "stage", rub_stage_text((rub_stage)stage), "accuracy",
                                rule->weight > 0 ? rule->right / rule->weight : 1.0, "share",
                                rule->weight / r->facts->study->site[s].n_block, "rules", rules));
        }
    return rows;
}

/* ---- triggers --------------------------------------------------------------------------------- */

#define MOST_TRIGGERS 3

/* Going on as the stage does by itself is no event to watch for. */
static bool is_event(const char *said, rub_stage stage) {
    static const char *const plain[] = {"wait", "serve", "none"};
    for (size_t i = 0; i < RUB_LEN(plain); i++)
        if (!strcmp(said, plain[i]))
            return false;
    bool builds = stage == RUB_STAGE_BUILDING || stage == RUB_STAGE_FITTING;
    return !(builds && !strcmp(said, "proceed"));
}

static const char *part_text(const json_t *row, const char *key) {
    return json_string_value(json_object_get(row, key));
}

static double part_number(const json_t *row, const char *key) {
    return json_number_value(json_object_get(row, key));
}

static const char *while_words(rub_stage stage) {
    switch (stage) {
    case RUB_STAGE_TALKS:
        return "during talks";
    case RUB_STAGE_OPTION:
        return "while the option is held";
    case RUB_STAGE_BUILDING:
        return "during construction";
    case RUB_STAGE_SHELL:
        return "while it stands empty";
    case RUB_STAGE_FITTING:
        return "during fit-out";
    case RUB_STAGE_SIGNED:
        return "while signed";
    case RUB_STAGE_PAUSED:
        return "while paused";
    case RUB_STAGE_SUBLET:
        return "while sublet";
    default:
        return "while live";
    }
}

static json_t *trigger_row(const rub_readable *r, int32_t site, int stage, const json_t *leaf) {
    const stage_rule *rule = &r->rule[site * RUB_N_STAGE + stage];
    double accuracy = rule->weight > 0 ? rule->right / rule->weight : 1.0;
    const char *when = part_text(leaf, "if"), *said = part_text(leaf, "do");
    rub_text text = {0};
    int32_t standing = 0, n = r->facts->study->site[site].n_block;
    for (int32_t b = rub_first_block(r->facts, site), k = 0; k < n; k++)
        standing += stands_in(r, b + k, stage);
    rub_text_add(&text, "%s", while_words((rub_stage)stage));
    if (standing < n)
        rub_text_add(&text, " (%d of %d blocks)", standing, n);
    rub_text_add(&text, ": %s%s%s: %.0f %% of futures", said, *when ? " if " : "", when,
                 100.0 * part_number(leaf, "futures"));
    if (accuracy < 0.95)
        rub_text_add(&text, " (rules that tell %.0f %% of what the plan does there)",
                     100.0 * accuracy);
    json_t *row = json_pack("{s:s,s:s,s:s,s:s,s:f,s:f}", "text", text.data ? text.data : "",
                            "stage", rub_stage_text((rub_stage)stage), "action", said, "if", when,
                            "probability", part_number(leaf, "futures"), "accuracy", accuracy);
    rub_text_clear(&text);
    return row;
}

/* Keeps rows in order of falling probability, at most MOST_TRIGGERS. */
static void insert(json_t *rows, json_t *row) {
    size_t at = 0, n = json_array_size(rows);
    while (at < n &&
           part_number(json_array_get(rows, at), "probability") >= part_number(row, "probability"))
        at++;
    json_array_insert_new(rows, at, row);
    if (n + 1 > MOST_TRIGGERS)
        json_array_remove(rows, MOST_TRIGGERS);
}

json_t *rub_readable_triggers(const rub_readable *r, int32_t site) {
    json_t *rows = json_array();
    int32_t first = rub_first_block(r->facts, site), n = r->facts->study->site[site].n_block;
    for (int stage = 0; stage < RUB_STAGE_ENDED; stage++) {
        bool stands = false;
        for (int32_t b = first; b < first + n; b++)
            stands = stands || stands_in(r, b, stage);
        if (!stands || r->rule[site * RUB_N_STAGE + stage].n == 0)
            continue;
        json_t *all = json_array(), *leaf;
        size_t i;
        leaves(r, site, stage, 0, NULL, 0, all);
        json_array_foreach(all, i, leaf) if (is_event(part_text(leaf, "do"), (rub_stage)stage) &&
                                             part_number(leaf, "futures") >= 0.005)
            insert(rows, trigger_row(r, site, stage, leaf));
        json_decref(all);
    }
    return rows;
}
