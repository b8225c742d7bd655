/* Evaluate: a plan re-costed cash flow by cash flow, every rule checked. Written from docs/portfolio.md
 * alone; nothing here is shared with the solvers (no blocks.h, no terms.h), so that an error in one
 * of the two shows as a difference. */
#include "portfolio/evaluate.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *rub_cash_text(rub_cash_kind kind) {
    static const char *const text[RUB_N_CASH] = {"load served",
                                                 "load not served",
                                                 "rented in",
                                                 "rented out",
                                                 "between regions",
                                                 "capex, long-lived",
                                                 "capex, short-lived",
                                                 "leases and fees",
                                                 "holding",
                                                 "operation",
                                                 "sublet",
                                                 "right of first refusal",
                                                 "resale",
                                                 "take-or-pay",
                                                 "value at the end"};
    return (unsigned)kind < RUB_N_CASH ? text[kind] : "unknown";
}

void rub_violate(rub_audit *a, double excess, const char *format, ...) {
    va_list args;
    if (a->e.n_violation++ == 0) {
        va_start(args, format);
        vsnprintf(a->e.violation, sizeof a->e.violation, format, args);
        va_end(args);
    }
    if (excess > a->e.worst_violation)
        a->e.worst_violation = excess;
}

void rub_pay(rub_audit *a, int32_t node, rub_cash_kind kind, double usd) {
    a->e.cash_usd[(size_t)node * RUB_N_CASH + kind] += usd;
    if (a->block >= 0)
        a->e.block_npv_usd[a->block] +=
            a->p->tree->prob[node] * a->p->discount[a->p->tree->quarter[node]] * usd;
}

/* A sum may pass its limit by rounding only. */
static void at_most(rub_audit *a, double value, double limit, int32_t node, const char *what,
                    const char *who) {
    char quarter[16], found[32], most[32];
    double slack = 1e-6 * fmax(1.0, fabs(limit));
    if (!(value <= limit + slack))
        rub_violate(a, (value - limit) / fmax(1.0, fabs(limit)), "%s %s in %s: %s, at most %s",
                    what, who,
                    rub_quarter_text(a->p->study->start_q + a->p->tree->quarter[node], quarter,
                                     sizeof quarter),
                    rub_text_exact(value, 8, found), rub_text_exact(limit, 8, most));
}

/* ---- market ---------------------------------------------------------------------------------- */

static double load_served(rub_audit *a, int32_t n, int32_t m) {
    const rub_problem *p = a->p;
    double sum = 0.0;
    for (int32_t i = 0; i < p->n_demand; i++) {
        const rub_study_demand *d = &p->study->demand[i];
        size_t at = (size_t)n * (size_t)p->n_demand + (size_t)i;
        double served = a->plan->served[at];
        if ((d->load_class == RUB_TRAINING ? p->n_region : d->region) != m)
            continue;
        at_most(a, served, p->demand[at], n, "served load of", d->name);
        at_most(a, d->must_serve_frac * p->demand[at], served, n, "load that must be served of",
                d->name);
        at_most(a, 0.0, served, n, "negative served load of", d->name);
        rub_pay(a, n, RUB_CASH_VALUE, served * p->value_usd[at]);
        rub_pay(a, n, RUB_CASH_PENALTY, -(p->demand[at] - served) * p->penalty_usd[at]);
        sum += served;
    }
    return sum;
}

static double rented(rub_audit *a, int32_t n, int32_t m) {
    const rub_problem *p = a->p;
    double net = 0.0;
    for (int32_t s = 0; s < p->n_step; s++) {
        size_t at =
            ((size_t)n * (size_t)(p->n_region + 1) + (size_t)m) * (size_t)p->n_step + (size_t)s;
        double in = a->plan->rent_in[at], out = a->plan->rent_out[at];
        bool may_in = p->allow & RUB_ALLOW_RENT_IN, may_out = p->allow & RUB_ALLOW_RENT_OUT;
        at_most(a, in, may_in ? p->rent_in_depth[at] : 0.0, n, "capacity rented in",
                "from the market");
        at_most(a, out, may_out ? p->rent_out_depth[at] : 0.0, n, "capacity rented out",
                "to the market");
        at_most(a, fmax(-in, -out), 0.0, n, "negative rental", "with the market");
        rub_pay(a, n, RUB_CASH_RENT_IN, -in * p->rent_in_usd[at]);
        rub_pay(a, n, RUB_CASH_RENT_OUT, out * p->rent_out_usd[at]);
        net += in - out;
    }
    return net;
}

static double shipped_in(rub_audit *a, int32_t n, int32_t region, bool pay) {
    const rub_problem *p = a->p;
    double net = 0.0;
    for (int32_t l = 0; l < p->n_link; l++) {
        size_t at = (size_t)n * (size_t)p->n_link + (size_t)l;
        double x = a->plan->shipped[at];
        net += p->study->link[l].to == region ? x : 0.0;
        net -= p->study->link[l].from == region ? x : 0.0;
        if (!pay)
            continue;
        at_most(a, (p->allow & RUB_ALLOW_SHIP) ? -x : fabs(x), 0.0, n, "load shipped",
                "over a link");
        rub_pay(a, n, RUB_CASH_SHIP, -x * p->ship_usd[at]);
    }
    return net;
}

/* Uses of the live pools of one region; returns the inference that they give. */
static double use_region(rub_audit *a, int32_t n, int32_t r, double *training) {
    const rub_problem *p = a->p;
    double infer = 0.0, used = 0.0;
    for (int32_t g = 0; g < p->n_gen; g++) {
        size_t ng = (size_t)n * (size_t)p->n_gen + (size_t)g,
               at = ((size_t)n * (size_t)p->n_region + (size_t)r) * (size_t)p->n_gen + (size_t)g;
        double t = a->plan->train_mw[at], i = a->plan->infer_mw[at];
        const double *live = a->own_mw + at * 2;
        at_most(a, t, live[RUB_FABRIC_TRAINING], n, "MW training in", p->study->region[r].name);
        at_most(a, t + i, live[0] + live[1], n, "MW in use in", p->study->region[r].name);
        at_most(a, fmax(-t, -i), 0.0, n, "negative MW in use in", p->study->region[r].name);
        infer += i * p->tok_per_s_per_mw[ng];
        *training += t * p->train_per_mw[ng];
        used += t + i;
    }
    size_t nr = (size_t)n * (size_t)p->n_region + (size_t)r;
    at_most(a, used, p->grid_mw[nr], n, "grid power of", p->study->region[r].name);
    at_most(a, a->let_mw[nr], p->sublet_depth_mw[nr], n, "MW let or assigned in",
            p->study->region[r].name);
    rub_pay(a, n, RUB_CASH_OPEX, -used * p->power_usd_per_mw[nr]);
    return infer;
}

static void clear_market(rub_audit *a, int32_t n) {
    const rub_problem *p = a->p;
    double training = 0.0, needs, gives;
    a->block = -1;
    for (int32_t r = 0; r < p->n_region; r++) {
        gives = use_region(a, n, r, &training) + rented(a, n, r) + shipped_in(a, n, r, r == 0);
        needs = load_served(a, n, r);
        at_most(a, needs, gives + 1e-6 * fabs(needs), n, "inference served against capacity in",
                p->study->region[r].name);
    }
    gives = training + rented(a, n, p->n_region);
    needs = load_served(a, n, p->n_region);
    at_most(a, needs, gives + 1e-6 * fabs(needs), n, "training served against capacity",
            "anywhere");
    for (int32_t g = 0; g < p->n_gen; g++) {
        size_t ng = (size_t)n * (size_t)p->n_gen + (size_t)g;
        at_most(a, a->order_mw[ng], p->supply_mw[ng], n, "MW ordered of",
                p->study->generation[g].name);
    }
    rub_pay(a, n, RUB_CASH_FIXED, p->fixed_cash_usd[n]);
}

/* ---- paths ----------------------------------------------------------------------------------- */

static void check_budgets(rub_audit *a) {
    const rub_problem *p = a->p;
    for (int32_t n = 0; n < p->n_node; n++) {
        int32_t b = p->budget_of_quarter[p->tree->quarter[n]];
        double spent = 0.0;
        char name[24];
        if (b < 0)
            continue;
        for (int32_t m = n; m >= 0 && p->budget_of_quarter[p->tree->quarter[m]] == b;
             m = p->tree->parent[m]) {
            const double *cash = a->e.cash_usd + (size_t)m * RUB_N_CASH;
            spent -= cash[RUB_CASH_CAPEX_LONG] + cash[RUB_CASH_CAPEX_SHORT];
        }
        snprintf(name, sizeof name, "FY%d", p->study->budget[b].fiscal_year);
        at_most(a, spent, p->budget_usd[b], n, "capex of", name);
    }
}

typedef struct leaf {
    double npv, prob;
} leaf;

static int worst_first(const void *x, const void *y) {
    double a = ((const leaf *)x)->npv, b = ((const leaf *)y)->npv;
    return (a > b) - (a < b);
}

static rub_status add_up(rub_audit *a, rub_error *err) {
    const rub_problem *p = a->p;
    leaf *leaves = RUB_NEW(leaf, p->tree->n_leaf);
    if (!leaves)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for leaves");
    int32_t l = 0;
    for (int32_t n = 0; n < p->n_node; n++) {
        if (p->tree->n_child[n] > 0)
            continue;
        double npv = 0.0;
        for (int32_t m = n; m >= 0; m = p->tree->parent[m])
            for (int32_t k = 0; k < RUB_N_CASH; k++)
                npv += p->discount[p->tree->quarter[m]] *
                       a->e.cash_usd[(size_t)m * RUB_N_CASH + (size_t)k];
        a->e.leaf_npv_usd[l] = npv;
        a->e.leaf_prob[l] = p->tree->prob[n];
        a->e.mean_npv_usd += p->tree->prob[n] * npv;
        leaves[l++] = (leaf){npv, p->tree->prob[n]};
    }
    qsort(leaves, (size_t)l, sizeof *leaves, worst_first);
    double left = p->cvar_alpha, tail = 0.0;
    for (int32_t i = 0; i < l && left > 0; i++) {
        double part = leaves[i].prob < left ? leaves[i].prob : left;
        tail += part * leaves[i].npv;
        left -= part;
    }
    a->e.cvar_npv_usd =
        p->cvar_alpha > 0 ? tail / (p->cvar_alpha - (left > 0 ? left : 0.0)) : a->e.mean_npv_usd;
    a->e.objective_usd =
        (1.0 - p->cvar_weight) * a->e.mean_npv_usd + p->cvar_weight * a->e.cvar_npv_usd;
    free(leaves);
    return RUB_OK;
}

static rub_status allocate(rub_audit *a, rub_error *err) {
    const rub_problem *p = a->p;
    size_t n = (size_t)p->n_node, r = (size_t)p->n_region, g = (size_t)p->n_gen;
    a->e.n_node = p->n_node;
    a->e.n_leaf = p->tree->n_leaf;
    bool ok = (a->e.cash_usd = RUB_NEW(double, n *RUB_N_CASH)) &&
              (a->e.block_npv_usd = RUB_NEW(double, p->n_block)) &&
              (a->e.leaf_npv_usd = RUB_NEW(double, p->tree->n_leaf)) &&
              (a->e.leaf_prob = RUB_NEW(double, p->tree->n_leaf)) &&
              (a->e.live_mw = RUB_NEW(double, n *r * 2)) &&
              (a->own_mw = RUB_NEW(double, n *r *g * 2)) && (a->order_mw = RUB_NEW(double, n *g)) &&
              (a->let_mw = RUB_NEW(double, n *r));
    return ok ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory for the evaluation");
}

rub_status rub_plan_evaluate(const rub_problem *problem, const rub_plan *plan, rub_evaluation *out,
                             rub_error *err) {
    rub_audit a = {.p = problem, .plan = plan};
    rub_status status = allocate(&a, err);
    for (int32_t b = 0; status == RUB_OK && b < problem->n_block; b++)
        for (int32_t n = 0; n < problem->n_node; n++) {
            a.block = b;
            rub_audit_step(&a, n);
        }
    for (int32_t n = 0; status == RUB_OK && n < problem->n_node; n++)
        clear_market(&a, n);
    if (status == RUB_OK) {
        check_budgets(&a);
        status = add_up(&a, err);
    }
    free(a.own_mw);
    free(a.order_mw);
    free(a.let_mw);
    if (status == RUB_OK)
        *out = a.e;
    else
        rub_evaluation_clear(&a.e);
    return status;
}

void rub_evaluation_clear(rub_evaluation *e) {
    free(e->cash_usd);
    free(e->block_npv_usd);
    free(e->leaf_npv_usd);
    free(e->leaf_prob);
    free(e->live_mw);
    *e = (rub_evaluation){0};
}
