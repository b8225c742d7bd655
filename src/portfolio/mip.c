/* MIP: integer flows of equal blocks over (site, node, arc), the market's continuous columns at each
 * node, coupling rows, CVaR by cumulative cash. Money in millions, loads in what a MW of the best
 * generation gives, so that coefficients are near one. With `elastic`, every limit may be passed at a
 * price, and what is passed by most says why there is no plan. */
#include "portfolio/mip.h"

#include "base/array.h"
#include "portfolio/lp.h"
#include "portfolio/market.h"
#include "portfolio/pricing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLION 1e6
#define PENALTY 1e6 /* of passing a limit by all of itself [million USD] */

/* A limit that may be passed: its slack column, its size, and its words. */
typedef struct limit {
    int32_t slack;
    double size, unit;
    char text[120];
} limit;

typedef struct builder {
    const rub_compiled *c;
    const rub_problem *p;
    rub_lp lp;
    int32_t **entry_col; /* per site: column of each entry */
    int32_t *cum_row;    /* cash row of each node; -1 without CVaR */
    double *weight;      /* objective weight of undiscounted cash at a node, without CVaR */
    bool elastic;
    limit *limit;
    size_t n_limit, limit_cap;
} builder;

int64_t rub_mip_size(const rub_compiled *c) {
    int64_t n = 0;
    for (int32_t s = 0; s < c->n_site; s++)
        n += c->site[s].first[c->problem->n_node];
    return n;
}

/* A "<=" row of a limit, with its slack when elastic. */
static int32_t limit_row(builder *b, double most, double unit, const char *what, const char *who,
                         int32_t node) {
    int32_t row = rub_lp_row(&b->lp, -HUGE_VAL, most);
    char quarter[16];
    if (!b->elastic)
        return row;
    double size = fmax(fabs(most), 1e-3);
    limit l = {.slack = rub_lp_col(&b->lp, -PENALTY / size, 0.0, HUGE_VAL, false),
               .size = most,
               .unit = unit};
    rub_quarter_text(b->p->study->start_q + b->p->tree->quarter[node], quarter, sizeof quarter);
    snprintf(l.text, sizeof l.text, "%s %.48s in %s", what, who, quarter);
    rub_lp_put(&b->lp, row, l.slack, -1.0);
    if (RUB_ARRAY_PUSH(b->limit, b->n_limit, b->limit_cap, l) != RUB_OK)
        b->lp.failed = true;
    return row;
}

/* A column's cash at a node: into the objective, or into the node's cash row. */
static void cash(builder *b, int32_t node, int32_t col, double usd) {
    double musd = usd / MILLION;
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
        r->order[g] = isfinite(p->supply_mw[ng]) ? limit_row(b, p->supply_mw[ng], 1.0, "supply of",
                                                             p->study->generation[g].name, n)
                                                 : -1;
    }
    for (int i = 0; i < 2; i++)
        r->unit[i] = r->unit[i] > 0 ? r->unit[i] : 1.0;
    for (int32_t m = 0; m <= p->n_region; m++)
        r->balance[m] = rub_lp_row(&b->lp, -HUGE_VAL, 0.0);
    for (int32_t k = 0; k < p->n_region; k++) {
        size_t nr = (size_t)n * (size_t)p->n_region + (size_t)k;
        r->grid[k] = isfinite(p->grid_mw[nr]) ? rub_lp_row(&b->lp, -HUGE_VAL, p->grid_mw[nr]) : -1;
        r->sublet[k] = limit_row(b, p->sublet_depth_mw[nr], 1.0, "sublet depth of",
                                 p->study->region[k].name, n);
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
        int32_t col = rub_lp_col(&b->lp, 0.0, b->elastic ? 0.0 : must, p->demand[at] / unit, false);
        cash(b, n, col, (p->value_usd[at] + p->penalty_usd[at]) * unit);
        rub_lp_put(&b->lp, r->balance[m], col, 1.0);
        if (b->elastic && must > 0)
            rub_lp_put(&b->lp,
                       limit_row(b, -must, unit, "load that must be served of",
                                 p->study->demand[i].name, n),
                       col, -1.0);
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
        char name[24];
        snprintf(name, sizeof name, "FY%d", p->study->budget[budget].fiscal_year);
        int32_t row = limit_row(b, p->budget_usd[budget] / MILLION, MILLION, "budget of", name, n);
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

/* What the objective has without any decision [million USD]. */
static double constant(const builder *b) {
    const rub_problem *p = b->p;
    double sum = 0.0;
    for (int32_t n = 0; n < p->n_node && !b->cum_row; n++) {
        double fixed = p->fixed_cash_usd[n];
        for (int32_t i = 0; i < p->n_demand; i++) {
            size_t at = (size_t)n * (size_t)p->n_demand + (size_t)i;
            fixed -= p->penalty_usd[at] * p->demand[at];
        }
        sum += b->weight[n] * fixed / MILLION;
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

static rub_status build(builder *b, const rub_solve_def *def, rub_error *err) {
    const rub_problem *p = b->p;
    node_rows *rows = malloc(sizeof *rows);
    int32_t *row_of = RUB_NEW(int32_t, b->c->max_state);
    bool ok = rows && row_of && p->n_region < 64 && p->n_gen <= 16;
    b->weight = RUB_NEW(double, p->n_node);
    b->entry_col = RUB_NEW(int32_t *, b->c->n_site);
    ok = ok && b->weight && b->entry_col;
    for (int32_t s = 0; ok && s < b->c->n_site; s++)
        ok = (b->entry_col[s] = RUB_NEW(int32_t, b->c->site[s].first[p->n_node]));
    if (ok && p->cvar_weight > 0)
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
        if (def->keep_root && def->warm)
            keep_root(b, def->warm);
    }
    free(rows);
    free(row_of);
    return ok && !b->lp.failed ? RUB_OK
                               : rub_error_set(err, RUB_NO_MEMORY,
                                               "out of memory for the deterministic equivalent");
}

static void clear(builder *b) {
    for (int32_t s = 0; b->entry_col && s < b->c->n_site; s++)
        free(b->entry_col[s]);
    free(b->entry_col);
    free(b->cum_row);
    free(b->weight);
    free(b->limit);
    rub_lp_clear(&b->lp);
}

/* ---- reading the answer ----------------------------------------------------------------------- */

/* Integer flows become paths: each block takes the first entry of its state with flow left. */
static void trace_block(const builder *b, int32_t s, double *left, rub_plan *plan, int32_t block,
                        double *cap, int32_t n_cap) {
    const rub_problem *p = b->p;
    const rub_compiled_site *site = &b->c->site[s];
    const rub_automaton *a = &site->automaton;
    for (int32_t n = 0; n < p->n_node; n++) {
        rub_step *step = &plan->step[(size_t)block * (size_t)p->n_node + (size_t)n];
        int32_t parent = p->tree->parent[n], taken = -1;
        const rub_step *before =
            parent >= 0 ? &plan->step[(size_t)block * (size_t)p->n_node + (size_t)parent] : NULL;
        for (int32_t e = site->first[n]; e < site->first[n + 1]; e++) {
            const rub_entry *one = &site->entry[e];
            int32_t to = -1;
            for (int32_t i = 0; before && i < a->n_state && to < 0; i++)
                if (!memcmp(&a->state[i], &before->next, sizeof before->next))
                    to = rub_state_arrive(p, a, i, n);
            if (before && to != one->from)
                continue;
            if (!before && one->from != rub_state_arrive(p, a, a->initial, 0))
                continue;
            if (taken < 0 || left[e] > left[taken])
                taken = e;
        }
        const rub_entry *one = &site->entry[taken];
        left[taken] -= 1.0;
        *step =
            (rub_step){a->state[one->from], a->state[one->to], one->action, a->arc[one->arc].gen};
        if (one->own_mw > 0)
            cap[(size_t)n * (size_t)n_cap + (size_t)((site->region * p->n_gen + one->live_gen) * 2 +
                                                     one->training)] += one->own_mw;
    }
}

static rub_status read_plan(const builder *b, const double *x, rub_plan *out, double *unit_price,
                            rub_error *err) {
    const rub_problem *p = b->p;
    rub_plan plan = {0};
    rub_market *market = NULL;
    int32_t n_cap = rub_market_n_cap(p);
    double *cap = RUB_NEW(double, (size_t)p->n_node *(size_t)n_cap);
    rub_status status =
        cap ? rub_plan_init(p, &plan, err) : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    if (status == RUB_OK)
        status = rub_market_create(p, &market, err);
    for (int32_t s = 0; status == RUB_OK && s < b->c->n_site; s++) {
        const rub_compiled_site *site = &b->c->site[s];
        double *left = RUB_NEW(double, site->first[p->n_node]);
        if (!left)
            status = rub_error_set(err, RUB_NO_MEMORY, "out of memory");
        for (int32_t e = 0; left && e < site->first[p->n_node]; e++)
            left[e] = x[b->entry_col[s][e]];
        for (int32_t k = 0; left && k < site->n_block; k++)
            trace_block(b, s, left, &plan, site->first_block + k, cap, n_cap);
        free(left);
    }
    for (int32_t n = 0; status == RUB_OK && n < p->n_node; n++)
        rub_market_clear(market, n, cap + (size_t)n * (size_t)n_cap, &plan,
                         unit_price + (size_t)n * (size_t)(p->n_region + 1));
    rub_market_free(market);
    free(cap);
    if (status != RUB_OK)
        rub_plan_clear(&plan);
    else
        *out = plan;
    return status;
}

/* What is passed by the largest share of itself, in words. */
static void tell(const builder *b, const double *x, char *reason, size_t size) {
    const limit *worst = NULL;
    double most = 1e-6;
    for (size_t i = 0; i < b->n_limit; i++) {
        double share = x[b->limit[i].slack] / fmax(fabs(b->limit[i].size), 1e-3);
        if (share > most) {
            most = share;
            worst = &b->limit[i];
        }
    }
    if (!worst)
        snprintf(reason, size, "no plan exists, and no single limit explains it");
    else if (worst->size < 0)
        snprintf(reason, size, "%s: %.4g of %.4g cannot be served", worst->text,
                 x[worst->slack] * worst->unit, -worst->size * worst->unit);
    else
        snprintf(reason, size, "%s: at least %.4g more is needed than the %.4g there is",
                 worst->text, x[worst->slack] * worst->unit, worst->size * worst->unit);
}

static rub_status explain(const rub_compiled *c, const rub_solve_def *def, char *reason,
                          size_t size, rub_error *err) {
    builder b = {.c = c, .p = c->problem, .elastic = true};
    rub_lp_result r = {0};
    rub_status status = build(&b, def, err);
    if (status == RUB_OK)
        status = rub_lp_solve(&b.lp, fmax(5.0, def->time_limit_s), 1e-3, &r, err);
    if (status == RUB_OK && r.x)
        tell(&b, r.x, reason, size);
    free(r.x);
    clear(&b);
    return status;
}

rub_status rub_mip_solve(const rub_problem *problem, const rub_solve_def *def, rub_plan *plan,
                         rub_solve_result *result, rub_error *err) {
    rub_compiled c = {0};
    RUB_TRY(rub_compiled_make(problem, &c, err));
    builder b = {.c = &c, .p = problem};
    rub_lp_result r = {0};
    rub_solve_result made = {.method = RUB_METHOD_MIP, .iterations = 1};
    rub_status status = build(&b, def, err);
    if (status == RUB_OK)
        status = rub_lp_solve(&b.lp, def->time_limit_s, def->gap_frac, &r, err);
    if (status == RUB_OK && r.outcome == RUB_LP_INFEASIBLE) {
        made.outcome = RUB_OUTCOME_INFEASIBLE;
        status = explain(&c, def, made.reason, sizeof made.reason, err);
    } else if (status == RUB_OK) {
        made.value_usd = (r.value + constant(&b)) * MILLION;
        made.bound_usd = (r.bound + constant(&b)) * MILLION;
        made.gap_frac =
            fmax(0.0, made.bound_usd - made.value_usd) / fmax(1.0, fabs(made.value_usd));
        made.outcome =
            made.gap_frac <= def->gap_frac + 1e-9 ? RUB_OUTCOME_GAP : RUB_OUTCOME_TIME_LIMIT;
        made.unit_price = RUB_NEW(double, (size_t)problem->n_node *(size_t)(problem->n_region + 1));
        status = made.unit_price ? read_plan(&b, r.x, plan, made.unit_price, err)
                                 : rub_error_set(err, RUB_NO_MEMORY, "out of memory for prices");
    }
    free(r.x);
    clear(&b);
    rub_compiled_clear(&c);
    if (status == RUB_OK)
        *result = made;
    else
        rub_solve_result_clear(&made);
    return status;
}
