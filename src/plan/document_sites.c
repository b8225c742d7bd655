/* Sites: for each, what its blocks do now and why, what they will probably do next, and the rules by
 * which they do it. */
#include "plan/groups.h"
#include "plan/readable.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 8 /* quarters that probabilities are given for */

int32_t rub_first_block(const rub_facts *facts, int32_t site) {
    int32_t b = 0;
    while (facts->problem->block[b].site != site)
        b++;
    return b;
}

/* Probability that a block of the site takes each action in quarter t. */
static void action_probabilities(const rub_facts *facts, int32_t site, int32_t t,
                                 double prob[RUB_N_ACTION]) {
    int32_t first = rub_first_block(facts, site), n = facts->study->site[site].n_block;
    memset(prob, 0, RUB_N_ACTION * sizeof *prob);
    for (int32_t node = 0; node < facts->tree->n_node; node++)
        if (facts->tree->quarter[node] == t)
            for (int32_t b = first; b < first + n; b++)
                prob[rub_step_of(facts, b, node)->action] += facts->tree->prob[node] / n;
}

static json_t *quarters_ahead(const rub_facts *facts, int32_t site) {
    json_t *rows = json_array();
    char quarter[16];
    for (int32_t t = 0; t < facts->tree->n_quarter && t <= AHEAD; t++) {
        double prob[RUB_N_ACTION];
        action_probabilities(facts, site, t, prob);
        json_t *actions = json_object();
        for (int32_t a = 0; a < RUB_N_ACTION; a++)
            if (prob[a] > 1e-9)
                json_object_set_new(actions, rub_action_text((rub_action)a), json_real(prob[a]));
        rub_quarter_text(facts->study->start_q + t, quarter, sizeof quarter);
        json_array_append_new(rows,
                              json_pack("{s:s,s:o}", "quarter", quarter, "probability", actions));
    }
    return rows;
}

/* What the site's blocks do now, most blocks first: {"proceed": 2, "pause": 1}. */
static json_t *actions_now(const rub_facts *facts, int32_t site, rub_action *most) {
    int32_t first = rub_first_block(facts, site), n = facts->study->site[site].n_block;
    int32_t count[RUB_N_ACTION] = {0};
    for (int32_t b = first; b < first + n; b++)
        count[rub_step_of(facts, b, 0)->action]++;
    json_t *now = json_object();
    *most = RUB_ACTION_NONE;
    for (int32_t a = 0; a < RUB_N_ACTION; a++) {
        if (count[a] > 0)
            json_object_set_new(now, rub_action_text((rub_action)a), json_integer(count[a]));
        if (count[a] > count[*most])
            *most = (rub_action)a;
    }
    return now;
}

/* What capacity of the block's kind is worth at a node [USD per MW-quarter]: the better use. */
static double mw_price(const rub_facts *facts, int32_t block, int32_t node, int32_t gen) {
    const rub_problem *p = facts->problem;
    const rub_study_site *site = &facts->study->site[p->block[block].site];
    if (!facts->solve->unit_price)
        return NAN;
    const double *price = facts->solve->unit_price + (size_t)node * (size_t)(p->n_region + 1);
    size_t at = (size_t)node * (size_t)p->n_gen + (size_t)gen;
    double power = p->power_usd_per_mw[(size_t)node * (size_t)p->n_region + (size_t)site->region];
    double worth = fmax(0.0, price[site->region] * p->tok_per_s_per_mw[at] - power);
    if (rub_step_of(facts, block, node)->state.training)
        worth = fmax(worth, price[p->n_region] * p->train_per_mw[at] - power);
    return worth;
}

/* Expected price of a MW-quarter of the newest generation over the quarters of the next two years.
 */
static double price_ahead(const rub_facts *facts, int32_t block) {
    const rub_problem *p = facts->problem;
    double sum = 0.0, weight = 0.0;
    for (int32_t n = 0; n < facts->tree->n_node; n++) {
        if (facts->tree->quarter[n] > AHEAD)
            continue;
        double best = 0.0;
        for (int32_t g = 0; g < p->n_gen; g++)
            if (p->may_order[(size_t)n * (size_t)p->n_gen + (size_t)g])
                best = fmax(best, mw_price(facts, block, n, g));
        sum += facts->tree->prob[n] * best;
        weight += facts->tree->prob[n];
    }
    return weight > 0 ? sum / weight : NAN;
}

/* What capacity of the site is worth, added to what its blocks do. */
static json_t *why(const json_t *groups, double price) {
    rub_text text = {0};
    size_t i, n = json_array_size(groups);
    const json_t *group;
    json_array_foreach((json_t *)(uintptr_t)groups, i, group) {
        const char *action = json_string_value(json_object_get(group, "action"));
        if (n > 1)
            rub_text_add(&text, "%s%s %lld: ", i ? ". " : "", action,
                         (long long)json_integer_value(json_object_get(group, "blocks")));
        rub_text_add(&text, "%s", json_string_value(json_object_get(group, "why")));
    }
    if (isfinite(price))
        rub_text_add(&text, "%sa MW here is worth $%.2fM a quarter over the next two years",
                     n > 1 ? ". " : "; ", price / 1e6);
    json_t *result = text.failed || !text.n ? NULL : json_string(text.data);
    rub_text_clear(&text);
    return result;
}

/* Mean over the site's blocks of the share of futures in which it serves. */
static double ever_live(const rub_facts *facts, int32_t site) {
    int32_t first = rub_first_block(facts, site), n = facts->study->site[site].n_block;
    double sum = 0.0, when;
    for (int32_t b = first; b < first + n; b++)
        sum += rub_block_serves(facts, b, &when);
    return sum / n;
}

static json_t *site_row(const rub_facts *facts, const rub_readable *rules, int32_t s) {
    const rub_study_site *site = &facts->study->site[s];
    int32_t first = rub_first_block(facts, s);
    double npv = 0.0, price = price_ahead(facts, first);
    for (int32_t b = first; b < first + site->n_block; b++)
        npv += facts->evaluation->block_npv_usd[b];
    rub_action most;
    json_t *row = json_object(), *now = actions_now(facts, s, &most);
    json_t *groups = rub_document_groups(facts, s);
    json_object_set_new(row, "site", json_string(site->name));
    json_object_set_new(row, "region", json_string(facts->study->region[site->region].name));
    json_object_set_new(row, "tenure", json_string(site->owned ? "owned" : "leased"));
    json_object_set_new(
        row, "fabric", json_string(site->fabric == RUB_FABRIC_TRAINING ? "training" : "inference"));
    json_object_set_new(row, "stage", json_string(rub_stage_text(site->stage)));
    json_object_set_new(row, "blocks", json_integer(site->n_block));
    json_object_set_new(row, "mw", json_real(site->n_block * site->block_mw));
    json_object_set_new(row, "action", json_string(rub_action_text(most)));
    json_object_set_new(row, "actions_now", now);
    json_object_set_new(row, "why", why(groups, price));
    json_t *other = json_object_get(json_array_get(groups, 0), "runner_up");
    if (other)
        json_object_set(row, "runner_up", other);
    json_object_set_new(row, "groups", groups);
    json_object_set_new(row, "mw_quarter_usd", json_real(price));
    json_object_set_new(row, "own_cash_npv_usd", json_real(npv));
    json_object_set_new(row, "prob_ever_live", json_real(ever_live(facts, s)));
    json_object_set_new(row, "ahead", quarters_ahead(facts, s));
    json_object_set_new(row, "triggers", rub_readable_triggers(rules, s));
    return row;
}

json_t *rub_document_sites(const rub_facts *facts, const rub_readable *rules) {
    json_t *sites = json_array();
    for (int32_t s = 0; s < facts->study->n_site; s++)
        json_array_append_new(sites, site_row(facts, rules, s));
    return sites;
}
