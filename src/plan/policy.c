/* Policies: the plan over a tree as a rule for futures that the tree does not hold.
 *
 * Nearest node of the quarter: distance in the columns that a node knows, each over its spread across
 * the nodes of the quarter; loads weigh by what they earn. Today's actions are the plan's. Later a
 * dynamic program decides, at the plan's prices of capacity and budget, over the lattice that
 * simulated paths make of the tree's nodes; a block that stands where the plan's block stands keeps
 * to the plan's step when the program is nearly indifferent. Rolling decisions of this kind are the
 * lookahead policies of approximate dynamic programming (Powell 2011). */
#include "plan/policy.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A block keeps to the plan's step unless the dynamic program finds more than this share of the price
 * of its servers in another: the plan's steps are concerted, the program's are each block's own. On
 * one study (25 sites, 16 quarters, 24 leaves) 0 gave 0.4 % less and always keeping 1.5 % less. */
#define KEEP_FRAC 0.01

/* Values of one site's states: of those in reach in a quarter, for each node. */
typedef struct site_values {
    int32_t
        *slot; /* place of a state among those in reach in a quarter, or -1 (n_quarter, n_state) */
    int32_t *n_slot; /* (n_quarter) */
    size_t *first;   /* of each node in value (n_node) */
    float *value;    /* USD in the node's money */
} site_values;

struct rub_tree_policy {
    const rub_facts *facts;
    const rub_automaton *automaton;
    int32_t n_column;
    int32_t *column;       /* that nodes are told apart by (n_column) */
    double *scale;         /* weight / spread^2 (n_quarter, n_column) */
    int32_t *first_node;   /* of each quarter (n_quarter + 1) */
    int32_t *first_block;  /* (n_site + 1) */
    double *budget_charge; /* on top of a dollar of capex in quarter t (n_quarter) */
    double *keep_usd;      /* per MW, for keeping to the plan's step in quarter t (n_quarter) */
    bool always;           /* keep to it whatever the dynamic program says */
    int32_t *link_first; /* links of node n: link_first[n] .. link_first[n + 1] - 1 (n_node + 1) */
    int32_t *link_node;  /* in the next quarter */
    double *link_prob;   /* given n; a node's links add up to one */
    site_values *site;   /* (n_site) */
};

rub_status rub_automata_make(const rub_problem *p, rub_automaton **out, rub_error *err) {
    int32_t n = p->study->n_site;
    rub_automaton *made = RUB_NEW(rub_automaton, n);
    rub_status status = made ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    for (int32_t s = 0; status == RUB_OK && s < n; s++)
        status = rub_automaton_make(p, s, &made[s], err);
    if (status != RUB_OK) {
        rub_automata_free(made, n);
        return status;
    }
    *out = made;
    return RUB_OK;
}

void rub_automata_free(rub_automaton *automaton, int32_t n_site) {
    for (int32_t s = 0; automaton && s < n_site; s++)
        rub_automaton_clear(&automaton[s]);
    free(automaton);
}

/* ---- nearest node --------------------------------------------------------------------------- */

static double share_of_value(const rub_facts *facts, int32_t t, int32_t demand) {
    const rub_problem *p = facts->problem;
    double all = 0.0, mine = 0.0;
    for (int32_t n = 0; n < p->n_node; n++)
        for (int32_t i = 0; facts->tree->quarter[n] == t && i < p->n_demand; i++) {
            size_t at = (size_t)n * (size_t)p->n_demand + (size_t)i;
            double worth = facts->tree->prob[n] * p->demand[at] * p->value_usd[at];
            all += worth;
            mine += i == demand ? worth : 0.0;
        }
    return all > 0 ? mine / all : 1.0;
}

/* Weight of a column against loads, whose weights add up to one. Yield moves every load's MW; the
 * rest matters at the margin. */
static double column_weight(const rub_tree_policy *y, int32_t t, int32_t column) {
    rub_features f = rub_features_of(y->facts->study);
    if (column < f.price)
        return share_of_value(y->facts, t, column - f.demand);
    return column == f.yield ? 0.5 : column >= f.left && column < f.rofr ? 0.3 : 0.1;
}

static void set_scale(rub_tree_policy *y, int32_t t, int32_t k) {
    const rub_tree *tree = y->facts->tree;
    double sum = 0.0, squares = 0.0, prob = 0.0;
    for (int32_t n = y->first_node[t]; n < y->first_node[t + 1]; n++) {
        double x = tree->feature[(size_t)n * (size_t)tree->n_feature + (size_t)y->column[k]];
        prob += tree->prob[n];
        sum += tree->prob[n] * x;
        squares += tree->prob[n] * x * x;
    }
    double mean = sum / prob, variance = squares / prob - mean * mean;
    bool varies = variance > 1e-9 * mean * mean && variance > 0;
    y->scale[(size_t)t * (size_t)y->n_column + (size_t)k] =
        varies ? column_weight(y, t, y->column[k]) / variance : 0.0;
}

static void set_columns(rub_tree_policy *y) {
    const rub_study *study = y->facts->study;
    rub_features f = rub_features_of(study);
    for (int32_t c = f.demand; c < f.available; c++)
        y->column[y->n_column++] = c;
    for (int32_t c = f.yield; c < f.rofr; c++)
        y->column[y->n_column++] = c;
    for (int32_t t = 0; t < y->facts->tree->n_quarter; t++)
        for (int32_t k = 0; k < y->n_column; k++)
            set_scale(y, t, k);
}

/* Squared, or any number not under `enough` once it is past that. */
static double distance(const rub_tree_policy *y, const double *known, int32_t t, int32_t node,
                       double enough) {
    const rub_tree *tree = y->facts->tree;
    const double *x = tree->feature + (size_t)node * (size_t)tree->n_feature;
    const double *scale = y->scale + (size_t)t * (size_t)y->n_column;
    double sum = 0.0;
    for (int32_t k = 0; k < y->n_column && sum < enough; k++) {
        double d = x[y->column[k]] - known[y->column[k]];
        sum += scale[k] * d * d;
    }
    return sum;
}

int32_t rub_tree_policy_node(const rub_tree_policy *y, const double *known, int32_t t) {
    int32_t best = y->first_node[t];
    double least = HUGE_VAL;
    for (int32_t n = y->first_node[t]; n < y->first_node[t + 1]; n++) {
        double d = distance(y, known, t, n, least);
        if (d < least) {
            least = d;
            best = n;
        }
    }
    return best;
}

/* ---- links ---------------------------------------------------------------------------------- */

typedef struct pair {
    int32_t from, to;
} pair;

static int by_nodes(const void *a, const void *b) {
    const pair *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

/* The node that each path stands in, quarter by quarter, as the policy would find it. */
static size_t transitions(const rub_tree_policy *y, const rub_paths *paths, pair *out) {
    size_t n = 0;
    for (int32_t i = 0; paths && i < paths->n_path; i++) {
        int32_t node = 0;
        for (int32_t t = 1; t < paths->n_quarter; t++) {
            const double *known =
                paths->value +
                ((size_t)i * (size_t)paths->n_quarter + (size_t)t) * (size_t)paths->n_feature;
            int32_t next = rub_tree_policy_node(y, known, t);
            out[n++] = (pair){node, next};
            node = next;
        }
    }
    return n;
}

/* Nodes that no path comes through lead where the tree leads. */
static size_t add_tree_links(const rub_tree_policy *y, int32_t node, size_t n) {
    const rub_tree *tree = y->facts->tree;
    for (int32_t k = 0; k < tree->n_child[node]; k++) {
        int32_t c = tree->first_child[node] + k;
        y->link_node[n] = c;
        y->link_prob[n++] = tree->prob[c] / tree->prob[node];
    }
    return n;
}

/* How often paths go from one node to another: the tree's nodes as points of a lattice, so that what
 * follows stays uncertain where the tree has stopped branching (Pages, Pham and Printems 2004). */
static rub_status make_links(rub_tree_policy *y, const rub_paths *paths) {
    const rub_tree *tree = y->facts->tree;
    size_t most = paths ? (size_t)paths->n_path * (size_t)paths->n_quarter : 0, n = 0, at = 0;
    pair *all = RUB_NEW(pair, most + 1);
    y->link_first = RUB_NEW(int32_t, tree->n_node + 1);
    y->link_node = RUB_NEW(int32_t, most + (size_t)tree->n_node);
    y->link_prob = RUB_NEW(double, most + (size_t)tree->n_node);
    bool ok = all && y->link_first && y->link_node && y->link_prob;
    size_t n_all = ok ? transitions(y, paths, all) : 0;
    if (ok)
        qsort(all, n_all, sizeof *all, by_nodes);
    for (int32_t node = 0; ok && node < tree->n_node; node++) {
        size_t first = at, from = n;
        for (; at < n_all && all[at].from == node; at++) {
            if (n == from || y->link_node[n - 1] != all[at].to) {
                y->link_node[n] = all[at].to;
                y->link_prob[n++] = 0.0;
            }
            y->link_prob[n - 1] += 1.0;
        }
        for (size_t k = from; k < n; k++)
            y->link_prob[k] /= (double)(at - first);
        if (n == from)
            n = add_tree_links(y, node, n);
        y->link_first[node + 1] = (int32_t)n;
    }
    free(all);
    return ok ? RUB_OK : RUB_NO_MEMORY;
}

/* ---- values --------------------------------------------------------------------------------- */

/* States in reach by quarter, over all nodes. */
static rub_status find_reach(rub_tree_policy *y, int32_t s) {
    const rub_problem *p = y->facts->problem;
    const rub_automaton *a = &y->automaton[s];
    site_values *v = &y->site[s];
    size_t n = (size_t)a->n_state;
    v->slot = RUB_NEW(int32_t, (size_t)p->n_quarter * n);
    v->n_slot = RUB_NEW(int32_t, p->n_quarter);
    v->first = RUB_NEW(size_t, p->n_node);
    if (!v->slot || !v->n_slot || !v->first)
        return RUB_NO_MEMORY;
    v->slot[rub_state_arrive(p, a, a->initial, 0)] = 1;
    for (int32_t node = 0; node < p->n_node; node++) {
        const int32_t *here = v->slot + (size_t)p->tree->quarter[node] * n;
        int32_t first = y->link_first[node], last = y->link_first[node + 1];
        for (int32_t i = 0; i < a->n_state; i++)
            for (int32_t e = a->first_arc[i]; here[i] && e < a->first_arc[i + 1]; e++)
                for (int32_t k = first; k < last && rub_arc_allowed(p, a, e, node); k++)
                    v->slot[(size_t)(p->tree->quarter[node] + 1) * n +
                            (size_t)rub_state_arrive(p, a, a->arc[e].to, y->link_node[k])] = 1;
    }
    for (int32_t t = 0; t < p->n_quarter; t++)
        for (size_t i = 0; i < n; i++) {
            int32_t *slot = &v->slot[(size_t)t * n + i];
            *slot = *slot ? v->n_slot[t]++ : -1;
        }
    size_t size = 0;
    for (int32_t node = 0; node < p->n_node; node++) {
        v->first[node] = size;
        size += (size_t)v->n_slot[p->tree->quarter[node]];
    }
    return (v->value = RUB_NEW(float, size)) ? RUB_OK : RUB_NO_MEMORY;
}

/* Worth of the live MW of a flow at a tree node, at the plan's prices of capacity. */
static double worth_of_mw(const rub_tree_policy *y, int32_t node, int32_t region,
                          const rub_arc_flow *flow) {
    const rub_problem *p = y->facts->problem;
    const double *unit = y->facts->solve->unit_price;
    if (flow->own_mw <= 0 || !unit)
        return 0.0;
    unit += (size_t)node * (size_t)(p->n_region + 1);
    size_t gen = (size_t)node * (size_t)p->n_gen + flow->live_gen;
    double power = p->power_usd_per_mw[(size_t)node * (size_t)p->n_region + (size_t)region];
    double worth = fmax(0.0, unit[region] * p->tok_per_s_per_mw[gen] - power);
    if (flow->training)
        worth = fmax(worth, unit[p->n_region] * p->train_per_mw[gen] - power);
    return worth * flow->own_mw;
}

/* Value of what follows an arc at a node, in the node's money; -HUGE_VAL: out of the tree's reach. */
static double value_after(const rub_tree_policy *y, int32_t s, int32_t to, int32_t node) {
    const rub_problem *p = y->facts->problem;
    const rub_tree *tree = p->tree;
    const rub_automaton *a = &y->automaton[s];
    const site_values *v = &y->site[s];
    int32_t t = tree->quarter[node];
    double sum = 0.0;
    if (tree->n_child[node] == 0)
        return rub_state_terminal_usd(p, a, to, node);
    double step = p->discount[t + 1] / p->discount[t];
    for (int32_t k = y->link_first[node]; k < y->link_first[node + 1]; k++) {
        int32_t c = y->link_node[k];
        int32_t slot =
            v->slot[(size_t)(t + 1) * (size_t)a->n_state + (size_t)rub_state_arrive(p, a, to, c)];
        if (slot < 0)
            return -HUGE_VAL;
        sum += y->link_prob[k] * step * (double)v->value[v->first[c] + (size_t)slot];
    }
    return sum;
}

static void fill_values(rub_tree_policy *y, int32_t s) {
    const rub_problem *p = y->facts->problem;
    const rub_automaton *a = &y->automaton[s];
    site_values *v = &y->site[s];
    int32_t region = p->study->site[s].region;
    for (int32_t node = p->n_node - 1; node >= 0; node--) {
        int32_t t = p->tree->quarter[node];
        for (int32_t i = 0; i < a->n_state; i++) {
            int32_t slot = v->slot[(size_t)t * (size_t)a->n_state + (size_t)i];
            double best = -1e18;
            for (int32_t e = a->first_arc[i]; slot >= 0 && e < a->first_arc[i + 1]; e++) {
                if (!rub_arc_allowed(p, a, e, node))
                    continue;
                rub_arc_flow f = rub_arc_flow_at(p, a, e, node);
                best = fmax(best, f.cash_usd - y->budget_charge[t] * f.capex_usd +
                                      worth_of_mw(y, node, region, &f) +
                                      value_after(y, s, a->arc[e].to, node));
            }
            if (slot >= 0)
                v->value[v->first[node] + (size_t)slot] = (float)best;
        }
    }
}

/* ---- as a policy ---------------------------------------------------------------------------- */

typedef struct wish {
    uint8_t action, gen, there; /* there: a block of the plan stands in the same state */
} wish;

typedef struct memory {
    int32_t node;
    wish wish[]; /* (n_block) */
} memory;

/* Each block of the path takes the step of a block of the plan that stands in the same state. */
static void match_site(const rub_tree_policy *y, const rub_sight *sight, int32_t s, memory *m) {
    const rub_facts *facts = y->facts;
    int32_t first = y->first_block[s], last = y->first_block[s + 1];
    for (int32_t b = first; b < last; b++)
        m->wish[b].there = 0;
    for (int32_t from = first; from < last; from++) {
        const rub_step *step = rub_step_of(facts, from, m->node);
        for (int32_t b = first; b < last; b++)
            if (!m->wish[b].there && !memcmp(&y->automaton[s].state[sight->state[b]], &step->state,
                                             sizeof step->state)) {
                m->wish[b] = (wish){step->action, step->gen, 1};
                break;
            }
    }
}

static void look(const void *self, const rub_sight *sight, void *scratch) {
    const rub_tree_policy *y = self;
    memory *m = scratch;
    m->node = rub_tree_policy_node(y, sight->known, sight->t);
    for (int32_t s = 0; s < y->facts->study->n_site; s++)
        match_site(y, sight, s, m);
}

static double score(const void *self, const rub_sight *sight, const void *scratch, int32_t block,
                    int32_t arc, const rub_arc_flow *flow) {
    const rub_tree_policy *y = self;
    const memory *m = scratch;
    int32_t s = sight->problem->block[block].site;
    const rub_arc *one = &y->automaton[s].arc[arc];
    const wish *w = &m->wish[block];
    bool orders = one->action == RUB_ACTION_FIT_OUT || one->action == RUB_ACTION_REFRESH;
    bool as_planned = w->there && one->action == w->action && (!orders || one->gen == w->gen);
    if (as_planned && (sight->t == 0 || y->always))
        return 2 * RUB_POLICY_WISH;
    double after = value_after(y, s, one->to, m->node);
    double keep = as_planned ? y->keep_usd[sight->t] * y->facts->study->site[s].block_mw : 0.0;
    return keep + flow->cash_usd - y->budget_charge[sight->t] * flow->capex_usd +
           worth_of_mw(y, m->node, y->facts->study->site[s].region, flow) + fmax(after, -1e18);
}

rub_policy rub_tree_policy_of(const rub_tree_policy *policy, const char *name, const char *text) {
    return (rub_policy){.name = name,
                        .text = text,
                        .keeps_budget = true,
                        .memory_size =
                            sizeof(memory) + (size_t)policy->facts->problem->n_block * sizeof(wish),
                        .look = look,
                        .score = score,
                        .self = policy};
}

/* ---- memory --------------------------------------------------------------------------------- */

void rub_tree_policy_free(rub_tree_policy *y) {
    if (!y)
        return;
    for (int32_t s = 0; y->site && s < y->facts->study->n_site; s++) {
        free(y->site[s].slot);
        free(y->site[s].n_slot);
        free(y->site[s].first);
        free(y->site[s].value);
    }
    free(y->site);
    free(y->column);
    free(y->scale);
    free(y->first_node);
    free(y->first_block);
    free(y->budget_charge);
    free(y->keep_usd);
    free(y->link_first);
    free(y->link_node);
    free(y->link_prob);
    free(y);
}

/* Of one MW, over the generations, at a node. */
static double mean_server_price(const rub_problem *p, int32_t node) {
    double sum = 0.0;
    for (int32_t g = 0; g < p->n_gen; g++)
        sum += p->gen_usd_per_mw[(size_t)node * (size_t)p->n_gen + (size_t)g];
    return p->n_gen ? sum / p->n_gen : 0.0;
}

static void fill_index(rub_tree_policy *y) {
    const rub_problem *p = y->facts->problem;
    for (int32_t n = p->n_node - 1; n >= 0; n--)
        y->first_node[p->tree->quarter[n]] = n;
    y->first_node[p->n_quarter] = p->n_node;
    for (int32_t s = 0; s < p->study->n_site; s++)
        y->first_block[s + 1] = y->first_block[s] + p->study->site[s].n_block;
    for (int32_t t = 0; t < p->n_quarter; t++) {
        int32_t b = p->budget_of_quarter[t];
        const double *price = y->facts->solve->budget_price;
        y->budget_charge[t] = b >= 0 && price ? price[b] / p->discount[t] : 0.0;
        y->keep_usd[t] = KEEP_FRAC * mean_server_price(p, y->first_node[t]);
    }
}

rub_status rub_tree_policy_make(const rub_facts *facts, const rub_automaton *automaton,
                                const rub_paths *paths, rub_tree_policy **out, rub_error *err) {
    const rub_problem *p = facts->problem;
    size_t q = (size_t)p->n_quarter, f = (size_t)facts->tree->n_feature;
    rub_tree_policy *y = RUB_NEW(rub_tree_policy, 1);
    rub_status status = RUB_NO_MEMORY;
    if (y) {
        *y = (rub_tree_policy){.facts = facts,
                               .automaton = automaton,
                               .column = RUB_NEW(int32_t, f),
                               .scale = RUB_NEW(double, q *f),
                               .first_node = RUB_NEW(int32_t, q + 1),
                               .first_block = RUB_NEW(int32_t, p->study->n_site + 1),
                               .budget_charge = RUB_NEW(double, q),
                               .keep_usd = RUB_NEW(double, q),
                               .always = paths == NULL,
                               .site = RUB_NEW(site_values, p->study->n_site)};
        if (y->column && y->scale && y->first_node && y->first_block && y->budget_charge &&
            y->keep_usd && y->site)
            status = RUB_OK;
    }
    if (status == RUB_OK) {
        fill_index(y);
        set_columns(y);
        status = make_links(y, paths);
    }
    for (int32_t s = 0; status == RUB_OK && s < p->study->n_site; s++)
        if ((status = find_reach(y, s)) == RUB_OK)
            fill_values(y, s);
    if (status != RUB_OK) {
        rub_tree_policy_free(y);
        return rub_error_set(err, status, "out of memory for the plan as a policy");
    }
    *out = y;
    return RUB_OK;
}
