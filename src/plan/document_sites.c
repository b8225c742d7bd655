/* Sites: for each, what its blocks do now, why, what they will probably do next, and the triggers
 * that turn waiting into something else. */
#include "plan/facts.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 8 /* quarters that probabilities are given for */

/* Blocks of one site stand one after another in the problem. */
static int32_t first_block(const rub_facts *facts, int32_t site) {
    int32_t b = 0;
    while (facts->problem->block[b].site != site)
        b++;
    return b;
}

/* "signed, nothing built", "3 of 8 quarters built", ... of the block's state at the root. */
static void stage_words(const rub_facts *facts, int32_t block, rub_text *out) {
    const rub_study_site *site = &facts->study->site[facts->problem->block[block].site];
    const rub_block_state *state = &rub_step_of(facts, block, 0)->state;
    char quarter[16];
    switch ((rub_stage)state->stage) {
    case RUB_STAGE_TALKS:
        rub_text_add(out, "in talks until %s, %.0f %% likely to close",
                     rub_quarter_text(site->close_q, quarter, sizeof quarter),
                     100.0 * site->close_prob);
        break;
    case RUB_STAGE_OPTION:
        rub_text_add(out, "option held, may be signed until %s",
                     rub_quarter_text(site->option_expiry_q, quarter, sizeof quarter));
        break;
    case RUB_STAGE_BUILDING:
        rub_text_add(out, "under construction, %d quarters to go", state->remaining);
        break;
    case RUB_STAGE_PAUSED:
        rub_text_add(out, "paused with %d quarters to build", state->remaining);
        break;
    case RUB_STAGE_LIVE:
        rub_text_add(out, "live on %s", facts->study->generation[state->gen].name);
        break;
    default:
        rub_text_add(out, "%s", rub_stage_text((rub_stage)state->stage));
    }
}

/* Probability that a block of the site takes each action in quarter t. */
static void action_probabilities(const rub_facts *facts, int32_t site, int32_t t,
                                 double prob[RUB_N_ACTION]) {
    int32_t first = first_block(facts, site), n = facts->study->site[site].n_block;
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
    int32_t first = first_block(facts, site), n = facts->study->site[site].n_block;
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

/* Share of futures in which the block ever serves, and the mean first quarter in which it does. */
static double ever_live(const rub_facts *facts, int32_t block, double *mean_quarter) {
    const rub_tree *tree = facts->tree;
    double prob = 0.0, when = 0.0;
    for (int32_t n = 0; n < tree->n_node; n++) {
        bool live = rub_step_of(facts, block, n)->state.stage == RUB_STAGE_LIVE;
        bool before = tree->parent[n] >= 0 &&
                      rub_step_of(facts, block, tree->parent[n])->state.stage == RUB_STAGE_LIVE;
        bool earlier = before;
        for (int32_t a = tree->parent[n]; a >= 0 && !earlier; a = tree->parent[a])
            earlier = rub_step_of(facts, block, a)->state.stage == RUB_STAGE_LIVE;
        if (live && !earlier) {
            prob += tree->prob[n];
            when += tree->prob[n] * tree->quarter[n];
        }
    }
    *mean_quarter = prob > 0 ? when / prob : NAN;
    return prob;
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

static const char *because(rub_action action) {
    switch (action) {
    case RUB_ACTION_SIGN:
        return "capacity here pays for its commitments in most futures and the right to sign is "
               "worth less if it waits";
    case RUB_ACTION_PROCEED:
        return "the capacity is wanted when it comes; stopping costs more than it saves";
    case RUB_ACTION_WAIT:
        return "waiting keeps the choice open at little cost; committing now pays in too few "
               "futures";
    case RUB_ACTION_PAUSE:
        return "capacity is not wanted as early as it would come; pausing moves the spend and "
               "keeps "
               "the right to resume";
    case RUB_ACTION_DEFER:
        return "rent would start before the capacity is wanted; the deferral fee is less than the "
               "rent it saves";
    case RUB_ACTION_CANCEL:
        return "no future pays enough for what it would still cost; leaving now is the cheapest "
               "exit";
    case RUB_ACTION_SUBLET:
        return "another tenant pays more for it than our own load would earn";
    case RUB_ACTION_FIT_OUT:
        return "the shell stands ready and the load earns more than the servers cost";
    case RUB_ACTION_REFRESH:
        return "a newer generation earns more on the same power than what stands there";
    case RUB_ACTION_RESUME:
        return "the capacity is wanted again by the time it can be ready";
    case RUB_ACTION_UPGRADE:
        return "training pays more than inference here by more than the network costs";
    case RUB_ACTION_RETIRE:
        return "its accelerators have passed their life or cost more to run than they earn";
    case RUB_ACTION_RENEW:
        return "the second term earns more than its rent";
    case RUB_ACTION_SERVE:
        return "it is live and its load earns more than it costs to run";
    default:
        return "nothing is left to decide";
    }
}

static json_t *why(const rub_facts *facts, int32_t block, rub_action action) {
    rub_text text = {0};
    char quarter[16];
    double when = NAN, live = ever_live(facts, block, &when), price = price_ahead(facts, block);
    stage_words(facts, block, &text);
    rub_text_add(&text, "; %s", because(action));
    if (action != RUB_ACTION_SERVE && action != RUB_ACTION_NONE && live > 0) {
        rub_quarter_text(facts->study->start_q + (int32_t)lround(when), quarter, sizeof quarter);
        rub_text_add(&text, "; serves in %.0f %% of futures, first around %s", 100.0 * live,
                     quarter);
    } else if (action != RUB_ACTION_SERVE && action != RUB_ACTION_NONE)
        rub_text_add(&text, "; it serves in none of the futures");
    if (isfinite(price))
        rub_text_add(&text, "; a MW here is worth $%.2fM a quarter over the next two years",
                     price / 1e6);
    json_t *result = text.failed ? NULL : json_string(text.data);
    rub_text_clear(&text);
    return result;
}

/* The best of what the block could do instead, and what that would cost. NULL: nothing else is open. */
static json_t *runner_up(const rub_facts *facts, int32_t block) {
    const rub_alternative *best = NULL;
    for (size_t i = 0; i < facts->n_alternative; i++) {
        const rub_alternative *one = &facts->alternative[i];
        if (one->block == block && (!best || one->value_usd > best->value_usd))
            best = one;
    }
    if (!best)
        return NULL;
    double loses = fmax(0.0, facts->solve->value_usd - best->value_usd);
    rub_text text = {0};
    bool orders = best->action == RUB_ACTION_FIT_OUT || best->action == RUB_ACTION_REFRESH;
    rub_text_add(&text, "%s%s%s", rub_action_text(best->action), orders ? " " : "",
                 orders ? facts->study->generation[best->gen].name : "");
    rub_text_add(&text, loses >= 5e4 ? ", worth $%.1fM less" : ", worth as much", loses / 1e6);
    json_t *row = json_pack("{s:s,s:f,s:s}", "action", rub_action_text(best->action), "loses_usd",
                            loses, "text", text.data ? text.data : "");
    rub_text_clear(&text);
    return row;
}

/* Triggers of the first block of each kind of behaviour (equal plans give equal triggers). */
static json_t *triggers_of(const rub_facts *facts, int32_t site) {
    json_t *all = json_array();
    int32_t first = first_block(facts, site), n = facts->study->site[site].n_block;
    for (int32_t b = first; b < first + n; b++) {
        json_t *some = rub_document_triggers(facts, b);
        for (size_t i = 0; some && i < json_array_size(some); i++) {
            json_t *one = json_array_get(some, i);
            bool known = false;
            for (size_t k = 0; k < json_array_size(all); k++)
                known = known || json_equal(json_object_get(json_array_get(all, k), "text"),
                                            json_object_get(one, "text"));
            if (!known)
                json_array_append(all, one);
        }
        json_decref(some);
    }
    return all;
}

static json_t *site_row(const rub_facts *facts, int32_t s) {
    const rub_study_site *site = &facts->study->site[s];
    int32_t first = first_block(facts, s);
    double npv = 0.0, when;
    for (int32_t b = first; b < first + site->n_block; b++)
        npv += facts->evaluation->block_npv_usd[b];
    rub_action most;
    json_t *row = json_object(), *now = actions_now(facts, s, &most);
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
    json_object_set_new(row, "why", why(facts, first, most));
    json_t *other = runner_up(facts, first);
    if (other)
        json_object_set_new(row, "runner_up", other);
    json_object_set_new(row, "mw_quarter_usd", json_real(price_ahead(facts, first)));
    json_object_set_new(row, "own_cash_npv_usd", json_real(npv));
    json_object_set_new(row, "prob_ever_live", json_real(ever_live(facts, first, &when)));
    json_object_set_new(row, "ahead", quarters_ahead(facts, s));
    json_object_set_new(row, "triggers", triggers_of(facts, s));
    return row;
}

json_t *rub_document_sites(const rub_facts *facts) {
    json_t *sites = json_array();
    for (int32_t s = 0; s < facts->study->n_site; s++)
        json_array_append_new(sites, site_row(facts, s));
    return sites;
}
