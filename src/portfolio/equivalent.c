/* Equivalent: building the program. Money in millions, loads in what a MW of the best generation
 * gives, so that coefficients are near one. */
#include "portfolio/equivalent.h"

#include "base/array.h"
#include "portfolio/pricing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MILLION 1e6

typedef rub_equivalent builder;

/* Smallest size that a limit's passing is measured by: 1 MW, a MW's load, a million USD. */
#define LEAST_SIZE 1.0

static bool is_elastic(const builder *b, rub_limit_kind kind) {
    return (b->elastic & 1u << kind) != 0;
}

/* A "<=" row of a limit, with its slack when its kind may be passed. */
static int32_t limit_row(builder *b, rub_limit_kind kind, int32_t which, int32_t node, double most,
                         double unit) {
    int32_t row = rub_lp_row(&b->lp, -HUGE_VAL, most);
    if (!is_elastic(b, kind))
        return row;
    double size = fmax(fabs(most), LEAST_SIZE);
    rub_limit l = {kind, which, node, 0, most, unit};
    l.slack = rub_lp_col(&b->lp, -1.0 / size, 0.0, HUGE_VAL, false);
    rub_lp_put(&b->lp, row, l.slack, -1.0);
    if (RUB_ARRAY_PUSH(b->limit, b->n_limit, b->limit_cap, l) != RUB_OK)
        b->lp.failed = true;
    return row;
}

/* A column's cash at a node: into the objective, or into the node's cash row. */
static void cash(builder *b, int32_t node, int32_t col, double usd) {
    double musd = usd / MILLION;
    if (b->elastic)
        return;
    if (b->cum_row)
        rub_lp_put(&b->lp, b->cum_row[node], col,
                   -b->p->discount[b->p->tree->quarter[node]] * musd);
    else
        b->lp.objective[col] += b->weight[node] * musd;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void add_flows(builder *b) {
    const rub_problem *p = b->p;
    for (int32_t s = 0; s < b->c->n_site; s++) {
        const rub_compiled_site *site = &b->c->site[s];
        for (int32_t n = 0; n < p->n_node; n++)
            for (int32_t e = site->first[n]; e < site->first[n + 1]; e++) {
                b->entry_col[s][e] = rub_lp_col(&b->lp, 0.0, 0.0, site->n_block, true);
                cash(b, n, b->entry_col[s][e], site->entry[e].cash_usd);
            }
    }
}

/* What arrives in a state leaves it by one of its arcs. row_of is scratch (n_state). */
static void conserve_site(builder *b, int32_t s, int32_t *row_of) {
    const rub_problem *p = b->p;
    const rub_compiled_site *site = &b->c->site[s];
    const rub_automaton *a = &site->automaton;
    int32_t initial = rub_state_arrive(p, a, a->initial, 0);
    for (int32_t n = 0; n < p->n_node; n++) {
        int32_t parent = p->tree->parent[n];
        for (int32_t i = 0; i < a->n_state; i++)
            row_of[i] = -1;
        for (int32_t e = site->first[n]; e < site->first[n + 1]; e++) {
            int32_t from = site->entry[e].from;
            if (row_of[from] < 0) {
                double supply = n == 0 && from == initial ? site->n_block : 0.0;
                row_of[from] = rub_lp_row(&b->lp, supply, supply);
            }
            rub_lp_put(&b->lp, row_of[from], b->entry_col[s][e], 1.0);
        }
        for (int32_t e = parent >= 0 ? site->first[parent] : 0;
             parent >= 0 && e < site->first[parent + 1]; e++) {
            int32_t to = rub_state_arrive(p, a, site->entry[e].to, n);
            if (row_of[to] < 0) /* a state without an open arc: it cannot be entered */
                row_of[to] = rub_lp_row(&b->lp, 0.0, 0.0);
            rub_lp_put(&b->lp, row_of[to], b->entry_col[s][e], -1.0);
        }
    }
}

/* ---- market ---------------------------------------------------------------------------------- */

typedef struct node_rows {
    int32_t balance[64], grid[64], order[64], sublet[64];
    int32_t pool[64 * 16], train_pool[64 * 16]; /* by region * n_gen + gen */
    double unit[2];                             /* inference, training: loads that count as one */
} node_rows;

static int32_t balance_index(const rub_problem *p, int32_t i) {
    const rub_study_demand *d = &p->study->demand[i];
    return d->load_class == RUB_TRAINING ? p->n_region : d->region;
}

static void make_rows(builder *b, int32_t n, node_rows *r) {
    const rub_problem *p = b->p;
    r->unit[0] = r->unit[1] = 0.0;
    for (int32_t g = 0; g < p->n_gen; g++) {
        size_t ng = (size_t)n * (size_t)p->n_gen + (size_t)g;
        r->unit[0] = fmax(r->unit[0], p->tok_per_s_per_mw[ng]);
        r->unit[1] = fmax(r->unit[1], p->train_per_mw[ng]);
        r->order[g] = isfinite(p->supply_mw[ng])
                          ? limit_row(b, RUB_LIMIT_SUPPLY, g, n, p->supply_mw[ng], 1.0)
                          : -1;
    }
    for (int i = 0; i < 2; i++)
        r->unit[i] = r->unit[i] > 0 ? r->unit[i] : 1.0;
    for (int32_t m = 0; m <= p->n_region; m++)
        r->balance[m] = rub_lp_row(&b->lp, -HUGE_VAL, 0.0);
    for (int32_t k = 0; k < p->n_region; k++) {
        size_t nr = (size_t)n * (size_t)p->n_region + (size_t)k;
        r->grid[k] =
            isfinite(p->grid_mw[nr]) ? limit_row(b, RUB_LIMIT_GRID, k, n, p->grid_mw[nr], 1.0) : -1;
        r->sublet[k] = limit_row(b, RUB_LIMIT_SUBLET, k, n, p->sublet_depth_mw[nr], 1.0);
        for (int32_t g = 0; g < p->n_gen; g++) {
            r->pool[k * p->n_gen + g] = rub_lp_row(&b->lp, -HUGE_VAL, 0.0);
            r->train_pool[k * p->n_gen + g] = rub_lp_row(&b->lp, -HUGE_VAL, 0.0);
        }
    }
}

static void add_uses(builder *b, int32_t n, const node_rows *r) {
    const rub_problem *p = b->p;
    for (int32_t k = 0; k < p->n_region; k++)
        for (int32_t g = 0; g < p->n_gen; g++) {
            size_t ng = (size_t)n * (size_t)p->n_gen + (size_t)g;
            double power = p->power_usd_per_mw[(size_t)n * (size_t)p->n_region + (size_t)k];
            for (int train = 0; train < 2; train++) {
                int32_t col = rub_lp_col(&b->lp, 0.0, 0.0, HUGE_VAL, false);
                double gives =
                    train ? p->train_per_mw[ng] / r->unit[1] : p->tok_per_s_per_mw[ng] / r->unit[0];
                cash(b, n, col, -power);
                rub_lp_put(&b->lp, r->balance[train ? p->n_region : k], col, -gives);
                rub_lp_put(&b->lp, r->pool[k * p->n_gen + g], col, 1.0);
                if (train)
                    rub_lp_put(&b->lp, r->train_pool[k * p->n_gen + g], col, 1.0);
                if (r->grid[k] >= 0)
                    rub_lp_put(&b->lp, r->grid[k], col, 1.0);
            }
        }
}

static void add_loads(builder *b, int32_t n, const node_rows *r) {
    const rub_problem *p = b->p;
    for (int32_t i = 0; i < p->n_demand; i++) {
        size_t at = (size_t)n * (size_t)p->n_demand + (size_t)i;
        int32_t m = balance_index(p, i);
        double unit = r->unit[m == p->n_region],
               must = p->study->demand[i].must_serve_frac * p->demand[at] / unit;
        bool soft = is_elastic(b, RUB_LIMIT_MUST_SERVE);
        int32_t col = rub_lp_col(&b->lp, 0.0, soft ? 0.0 : must, p->demand[at] / unit, false);
        cash(b, n, col, (p->value_usd[at] + p->penalty_usd[at]) * unit);
        rub_lp_put(&b->lp, r->balance[m], col, 1.0);
        if (soft && must > 0)
            rub_lp_put(&b->lp, limit_row(b, RUB_LIMIT_MUST_SERVE, i, n, -must, unit), col, -1.0);
    }
}

static void add_trade(builder *b, int32_t n, const node_rows *r) {
    const rub_problem *p = b->p;
    for (int32_t m = 0; m <= p->n_region; m++)
        for (int32_t s = 0; s < p->n_step; s++) {
            size_t at =
                ((size_t)n * (size_t)(p->n_region + 1) + (size_t)m) * (size_t)p->n_step + (size_t)s;
            double unit = r->unit[m == p->n_region];
            if ((p->allow & RUB_ALLOW_RENT_IN) && p->rent_in_depth[at] > 0) {
                int32_t in = rub_lp_col(&b->lp, 0.0, 0.0, p->rent_in_depth[at] / unit, false);
                cash(b, n, in, -p->rent_in_usd[at] * unit);
                rub_lp_put(&b->lp, r->balance[m], in, -1.0);
            }
            if ((p->allow & RUB_ALLOW_RENT_OUT) && p->rent_out_depth[at] > 0) {
                int32_t out = rub_lp_col(&b->lp, 0.0, 0.0, p->rent_out_depth[at] / unit, false);
                cash(b, n, out, p->rent_out_usd[at] * unit);
                rub_lp_put(&b->lp, r->balance[m], out, 1.0);
            }
        }
    for (int32_t l = 0; l < p->n_link && (p->allow & RUB_ALLOW_SHIP); l++) {
        int32_t col = rub_lp_col(&b->lp, 0.0, 0.0, HUGE_VAL, false);
        cash(b, n, col, -p->ship_usd[(size_t)n * (size_t)p->n_link + (size_t)l] * r->unit[0]);
        rub_lp_put(&b->lp, r->balance[p->study->link[l].from], col, 1.0);
        rub_lp_put(&b->lp, r->balance[p->study->link[l].to], col, -1.0);
    }
}

/* Blocks' live MW into pools, orders, sublets. */
static void couple(builder *b, int32_t n, const node_rows *r) {
    const rub_problem *p = b->p;
    for (int32_t s = 0; s < b->c->n_site; s++) {
        const rub_compiled_site *site = &b->c->site[s];
        for (int32_t e = site->first[n]; e < site->first[n + 1]; e++) {
            const rub_entry *one = &site->entry[e];
            int32_t col = b->entry_col[s][e], pool = site->region * p->n_gen + one->live_gen;
            rub_lp_put(&b->lp, r->pool[pool], col, -one->own_mw);
            if (one->training)
                rub_lp_put(&b->lp, r->train_pool[pool], col, -one->own_mw);
            if (one->order_mw > 0 && r->order[one->order_gen] >= 0)
                rub_lp_put(&b->lp, r->order[one->order_gen], col, one->order_mw);
            if (one->sublet_mw > 0)
                rub_lp_put(&b->lp, r->sublet[site->region], col, one->sublet_mw);
        }
    }
}

static void add_budgets(builder *b) {
    const rub_problem *p = b->p;
    for (int32_t n = 0; n < p->n_node; n++) {
        if (!rub_is_budget_row(p, n))
            continue;
        int32_t budget = p->budget_of_quarter[p->tree->quarter[n]];
        int32_t row =
            limit_row(b, RUB_LIMIT_BUDGET, budget, n, p->budget_usd[budget] / MILLION, MILLION);
        for (int32_t a = n; a >= 0 && p->budget_of_quarter[p->tree->quarter[a]] == budget;
             a = p->tree->parent[a])
            for (int32_t s = 0; s < b->c->n_site; s++)
                for (int32_t e = b->c->site[s].first[a]; e < b->c->site[s].first[a + 1]; e++)
                    rub_lp_put(&b->lp, row, b->entry_col[s][e],
                               b->c->site[s].entry[e].capex_usd / MILLION);
    }
}

/* Cumulative cash C[n] = C[parent] + discounted cash; CVaR by eta and shortfalls (Rockafellar and
 * Uryasev 2000). Rows are made first, so that cash() finds them. */
static void add_risk(builder *b) {
    const rub_problem *p = b->p;
    if (!b->cum_row)
        return;
    double w = p->cvar_weight;
    int32_t eta = rub_lp_col(&b->lp, w, -HUGE_VAL, HUGE_VAL, false);
    int32_t *cum = RUB_NEW(int32_t, p->n_node);
    if (!cum) {
        b->lp.failed = true;
        return;
    }
    for (int32_t n = 0; n < p->n_node; n++) {
        bool leaf = p->tree->n_child[n] == 0;
        double prob = p->tree->prob[n], disc = p->discount[p->tree->quarter[n]];
        double fixed = p->fixed_cash_usd[n];
        for (int32_t i = 0; i < p->n_demand; i++)
            fixed -= p->penalty_usd[(size_t)n * (size_t)p->n_demand + (size_t)i] *
                     p->demand[(size_t)n * (size_t)p->n_demand + (size_t)i];
        cum[n] = rub_lp_col(&b->lp, leaf ? (1.0 - w) * prob : 0.0, -HUGE_VAL, HUGE_VAL, false);
        b->cum_row[n] = rub_lp_row(&b->lp, disc * fixed / MILLION, disc * fixed / MILLION);
        rub_lp_put(&b->lp, b->cum_row[n], cum[n], 1.0);
        if (p->tree->parent[n] >= 0)
            rub_lp_put(&b->lp, b->cum_row[n], cum[p->tree->parent[n]], -1.0);
        if (leaf) {
            int32_t below = rub_lp_col(&b->lp, -w * prob / p->cvar_alpha, 0.0, HUGE_VAL, false);
            int32_t row = rub_lp_row(&b->lp, 0.0, HUGE_VAL); /* below >= eta - C */
            rub_lp_put(&b->lp, row, below, 1.0);
            rub_lp_put(&b->lp, row, eta, -1.0);
            rub_lp_put(&b->lp, row, cum[n], 1.0);
        }
    }
    free(cum);
}

/* What the objective has without any decision [USD]. */
static double constant(const builder *b) {
    const rub_problem *p = b->p;
    double sum = 0.0;
    for (int32_t n = 0; n < p->n_node && !b->cum_row; n++) {
        double fixed = p->fixed_cash_usd[n];
        for (int32_t i = 0; i < p->n_demand; i++) {
            size_t at = (size_t)n * (size_t)p->n_demand + (size_t)i;
            fixed -= p->penalty_usd[at] * p->demand[at];
        }
        sum += b->weight[n] * fixed;
    }
    return sum;
}

static void keep_root(builder *b, const rub_plan *warm) {
    for (int32_t s = 0; s < b->c->n_site; s++) {
        const rub_compiled_site *site = &b->c->site[s];
        for (int32_t e = site->first[0]; e < site->first[1]; e++) {
            const rub_entry *one = &site->entry[e];
            double n = 0.0;
            for (int32_t k = 0; k < site->n_block; k++) {
                const rub_step *step =
                    &warm->step[(size_t)(site->first_block + k) * (size_t)warm->n_node];
                n += step->action == one->action &&
                     !memcmp(&step->next, &site->automaton.state[one->to], sizeof step->next);
            }
            b->lp.col_low[b->entry_col[s][e]] = b->lp.col_high[b->entry_col[s][e]] = n;
        }
    }
}

static rub_status build(builder *b, const rub_plan *root, rub_error *err) {
    const rub_problem *p = b->p;
    node_rows *rows = malloc(sizeof *rows);
    int32_t *row_of = RUB_NEW(int32_t, b->c->max_state);
    bool ok = rows && row_of && p->n_region < 64 && p->n_gen <= 16;
    b->weight = RUB_NEW(double, p->n_node);
    b->entry_col = RUB_NEW(int32_t *, b->c->n_site);
    ok = ok && b->weight && b->entry_col;
    for (int32_t s = 0; ok && s < b->c->n_site; s++)
        ok = (b->entry_col[s] = RUB_NEW(int32_t, b->c->site[s].first[p->n_node]));
    if (ok && p->cvar_weight > 0 && !b->elastic)
        ok = (b->cum_row = RUB_NEW(int32_t, p->n_node));
    if (ok) {
        for (int32_t n = 0; n < p->n_node; n++)
            b->weight[n] = p->tree->prob[n] * p->discount[p->tree->quarter[n]];
        add_risk(b);
        add_flows(b);
        for (int32_t s = 0; s < b->c->n_site; s++)
            conserve_site(b, s, row_of);
        for (int32_t n = 0; n < p->n_node; n++) {
            make_rows(b, n, rows);
            add_uses(b, n, rows);
            add_loads(b, n, rows);
            add_trade(b, n, rows);
            couple(b, n, rows);
        }
        add_budgets(b);
        if (root)
            keep_root(b, root);
        b->constant_usd = constant(b);
    }
    free(rows);
    free(row_of);
    return ok && !b->lp.failed ? RUB_OK
                               : rub_error_set(err, RUB_NO_MEMORY,
                                               "out of memory for the deterministic equivalent");
}

void rub_equivalent_clear(rub_equivalent *b) {
    for (int32_t s = 0; b->entry_col && s < b->c->n_site; s++)
        free(b->entry_col[s]);
    free(b->entry_col);
    free(b->cum_row);
    free(b->weight);
    free(b->limit);
    rub_lp_clear(&b->lp);
    *b = (rub_equivalent){0};
}

rub_status rub_equivalent_make(const rub_compiled *c, const rub_plan *keep_root, uint32_t elastic,
                               rub_equivalent *out, rub_error *err) {
    rub_equivalent made = {.c = c, .p = c->problem, .elastic = elastic};
    rub_status status = build(&made, keep_root, err);
    if (status == RUB_OK)
        *out = made;
    else
        rub_equivalent_clear(&made);
    return status;
}
