/* Returns by fiscal year: operating profit, book value, return on invested capital, cost of a million
 * tokens. Means over futures; ratios are of means.
 *
 * Accelerators are written down evenly over their life from what they cost (those that stand at the
 * start: from today's price, less the quarters served); land, shell, power and upgrades over the
 * study's shell life. What is cancelled, retired or replaced is written off less its resale. Return on
 * invested capital is (operating profit - write-downs) / average book value, before tax. */
#include "plan/facts.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct year {
    double revenue, cost, written_down, book_sum, quarters;
    double tokens_m, inference_cost;
} year;

/* Book of one block at the start of each node's quarter. */
typedef struct book {
    double *servers;       /* net (n_node) */
    double *servers_per_q; /* written down each quarter (n_node) */
    double *shell;         /* net (n_node) */
    double *shell_gross;   /* (n_node) */
} book;

static double life_q(const rub_facts *facts, int32_t gen) {
    return fmax(1.0, round(4.0 * facts->study->generation[gen].life_years));
}

static double server_price(const rub_facts *facts, int32_t block, int32_t node, int32_t gen) {
    const rub_problem *p = facts->problem;
    const rub_study_site *site = &facts->study->site[p->block[block].site];
    double mw = p->gen_usd_per_mw[(size_t)node * (size_t)p->n_gen + (size_t)gen];
    return site->block_mw * (mw + site->fit_usd_per_mw);
}

/* What a step adds to the long-lived book. */
static double long_capex(const rub_facts *facts, int32_t block, const rub_step *step) {
    const rub_study_site *site = &facts->study->site[facts->problem->block[block].site];
    double mw = site->block_mw, shell = mw * site->shell_usd_per_mw;
    bool builds = step->state.stage == RUB_STAGE_SIGNED || step->state.stage == RUB_STAGE_BUILDING;
    switch ((rub_action)step->action) {
    case RUB_ACTION_SIGN:
        return site->sign_usd;
    case RUB_ACTION_PROCEED:
    case RUB_ACTION_RENEW:
        return builds &&
                       !(step->action == RUB_ACTION_RENEW && step->state.stage == RUB_STAGE_SIGNED)
                   ? shell / (site->build_for_q > 0 ? site->build_for_q : 1)
                   : 0.0;
    case RUB_ACTION_RESUME:
        return step->state.stage == RUB_STAGE_PAUSED && step->state.age == 0
                   ? mw * site->resume_usd_per_mw
                   : 0.0;
    case RUB_ACTION_UPGRADE:
        return mw * site->upgrade_usd_per_mw;
    default:
        return 0.0;
    }
}

static bool has_servers(const rub_block_state *s) {
    return s->stage == RUB_STAGE_FITTING || s->stage == RUB_STAGE_LIVE;
}

/* Share of construction that is done in a state. */
static double done(const rub_study_site *site, const rub_block_state *s) {
    if (s->stage < RUB_STAGE_BUILDING || s->stage > RUB_STAGE_SUBLET)
        return 0.0;
    if (s->stage == RUB_STAGE_BUILDING || s->stage == RUB_STAGE_PAUSED)
        return site->build_for_q > 0 ? 1.0 - (double)s->remaining / site->build_for_q : 1.0;
    return 1.0;
}

static void open_book(const rub_facts *facts, int32_t block, book *k) {
    const rub_study_site *site = &facts->study->site[facts->problem->block[block].site];
    const rub_block_state *s = &rub_step_of(facts, block, 0)->state;
    k->servers[0] = k->servers_per_q[0] = k->shell[0] = 0.0;
    if (has_servers(s)) {
        double life = life_q(facts, s->gen), cost = server_price(facts, block, 0, s->gen);
        k->servers_per_q[0] = cost / life;
        k->servers[0] = cost * fmax(0.0, 1.0 - s->age / life);
    }
    if (s->stage >= RUB_STAGE_SIGNED && s->stage <= RUB_STAGE_SUBLET)
        k->shell[0] = (site->owned ? site->sign_usd : 0.0) +
                      site->shell_usd_per_mw * site->block_mw * done(site, s);
    k->shell_gross[0] = k->shell[0];
}

/* The quarter of one block at a node: what is written down, and the book at its end. */
static double close_quarter(const rub_facts *facts, int32_t block, int32_t node, const book *k,
                            double end[4]) {
    const rub_step *step = rub_step_of(facts, block, node);
    double shell_life = fmax(1.0, 4.0 * facts->study->shell_life_years), down = 0.0;
    double servers = k->servers[node], per_q = k->servers_per_q[node];
    bool ordered = step->action == RUB_ACTION_FIT_OUT || step->action == RUB_ACTION_REFRESH;
    if (has_servers(&step->state) && (ordered || !has_servers(&step->next))) {
        down += servers; /* written off; its resale is revenue */
        servers = per_q = 0.0;
    }
    if (ordered) {
        servers = server_price(facts, block, node, step->gen);
        per_q = servers / life_q(facts, step->gen);
    } else if (step->state.stage == RUB_STAGE_LIVE) {
        double part = fmin(servers, per_q);
        servers -= part;
        down += part;
    }
    double gross = k->shell_gross[node] + long_capex(facts, block, step);
    double shell = k->shell[node] + long_capex(facts, block, step);
    double part = step->next.stage == RUB_STAGE_ENDED ? shell : fmin(shell, gross / shell_life);
    end[0] = servers;
    end[1] = per_q;
    end[2] = shell - part;
    end[3] = gross;
    return down + part;
}

static void add_block(const rub_facts *facts, int32_t block, book *k, int32_t first_year,
                      year *years, double *node_down) {
    const rub_tree *tree = facts->tree;
    open_book(facts, block, k);
    for (int32_t n = 0; n < tree->n_node; n++) {
        double end[4], down = close_quarter(facts, block, n, k, end);
        year *y =
            &years[rub_study_fiscal_year(facts->study, facts->study->start_q + tree->quarter[n]) -
                   first_year];
        node_down[n] += down;
        y->written_down += tree->prob[n] * down;
        y->book_sum += tree->prob[n] * 0.5 * (k->servers[n] + k->shell[n] + end[0] + end[2]);
        for (int32_t c = tree->first_child[n]; c < tree->first_child[n] + tree->n_child[n]; c++) {
            k->servers[c] = end[0];
            k->servers_per_q[c] = end[1];
            k->shell[c] = end[2];
            k->shell_gross[c] = end[3];
        }
    }
}

/* Of a node's MW in use, the part that serves inference. */
static double inference_share(const rub_facts *facts, int32_t node) {
    size_t pools = (size_t)facts->problem->n_region * (size_t)facts->problem->n_gen;
    double train = 0.0, infer = 0.0;
    for (size_t i = 0; i < pools; i++) {
        train += facts->plan->train_mw[(size_t)node * pools + i];
        infer += facts->plan->infer_mw[(size_t)node * pools + i];
    }
    return train + infer > 0 ? infer / (train + infer) : 0.0;
}

#define QUARTER_S (8760.0 / 4 * 3600)

static void add_node(const rub_facts *facts, int32_t n, const double *node_down, year *y) {
    static const rub_cash_kind in[] = {RUB_CASH_VALUE, RUB_CASH_RENT_OUT, RUB_CASH_SUBLET,
                                       RUB_CASH_ROFR,  RUB_CASH_RESALE,   RUB_CASH_FIXED};
    static const rub_cash_kind out[] = {RUB_CASH_PENALTY, RUB_CASH_RENT_IN, RUB_CASH_SHIP,
                                        RUB_CASH_LEASE,   RUB_CASH_HOLD,    RUB_CASH_OPEX};
    const double *cash = facts->evaluation->cash_usd + (size_t)n * RUB_N_CASH;
    double prob = facts->tree->prob[n], cost = 0.0;
    for (size_t i = 0; i < RUB_LEN(in); i++)
        y->revenue += prob * cash[in[i]];
    for (size_t i = 0; i < RUB_LEN(out); i++)
        y->cost -= prob * cash[out[i]];
    /* what making the tokens costs: all of it but penalties */
    static const rub_cash_kind made[] = {RUB_CASH_RENT_IN, RUB_CASH_SHIP, RUB_CASH_LEASE,
                                         RUB_CASH_HOLD, RUB_CASH_OPEX};
    for (size_t i = 0; i < RUB_LEN(made); i++)
        cost -= cash[made[i]];
    y->inference_cost += prob * inference_share(facts, n) * (cost + node_down[n]);
    for (int32_t i = 0; i < facts->problem->n_demand; i++)
        if (facts->study->demand[i].load_class == RUB_INFERENCE)
            y->tokens_m +=
                prob * QUARTER_S / 1e6 *
                facts->plan->served[(size_t)n * (size_t)facts->problem->n_demand + (size_t)i];
}

static json_t *year_row(const year *y, int32_t number, double quarters) {
    char name[16];
    double profit = y->revenue - y->cost, invested = quarters > 0 ? y->book_sum / quarters : 0.0;
    double a_year = quarters > 0 ? 4.0 / quarters : 0.0;
    snprintf(name, sizeof name, "FY%d", number);
    return json_pack(
        "{s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:o,s:f,s:o}", "fiscal_year", name, "quarters", quarters,
        "revenue_usd", y->revenue, "operating_cost_usd", y->cost, "operating_profit_usd", profit,
        "written_down_usd", y->written_down, "invested_usd", invested, "roic",
        invested > 0 ? json_real(a_year * (profit - y->written_down) / invested) : json_null(),
        "tokens_m", y->tokens_m, "usd_per_mtok",
        y->tokens_m > 0 ? json_real(y->inference_cost / y->tokens_m) : json_null());
}

json_t *rub_document_returns(const rub_facts *facts) {
    const rub_tree *tree = facts->tree;
    size_t n = (size_t)tree->n_node;
    int32_t first = rub_study_fiscal_year(facts->study, facts->study->start_q);
    int32_t last = rub_study_fiscal_year(facts->study, facts->study->start_q + tree->n_quarter - 1);
    book k = {RUB_NEW(double, n), RUB_NEW(double, n), RUB_NEW(double, n), RUB_NEW(double, n)};
    year *years = RUB_NEW(year, last - first + 1);
    double *down = RUB_NEW(double, n);
    json_t *rows = NULL;
    if (k.servers && k.servers_per_q && k.shell && k.shell_gross && years && down) {
        for (int32_t b = 0; b < facts->problem->n_block; b++)
            add_block(facts, b, &k, first, years, down);
        for (int32_t i = 0; i < tree->n_node; i++)
            add_node(facts, i, down,
                     &years[rub_study_fiscal_year(facts->study,
                                                  facts->study->start_q + tree->quarter[i]) -
                            first]);
        for (int32_t t = 0; t < tree->n_quarter; t++)
            years[rub_study_fiscal_year(facts->study, facts->study->start_q + t) - first]
                .quarters += 1.0;
        rows = json_array();
        for (int32_t y = first; y <= last; y++)
            json_array_append_new(rows, year_row(&years[y - first], y, years[y - first].quarters));
    }
    free(k.servers);
    free(k.servers_per_q);
    free(k.shell);
    free(k.shell_gross);
    free(years);
    free(down);
    return rows;
}
