/* Triggers: what a waiting block is waiting for, read off the plan.
 *
 * From the state that a block stands in after its action now, the plan goes on differently in
 * different nodes. For the soonest quarter in which it does, a stump (one observable, one
 * threshold) is fitted that tells the nodes that act from those that do not, weighted by
 * probability. Its accuracy is stated; a stump no better than always saying the commoner answer is
 * not shown. */
#include "plan/facts.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Nodes in which the block still stands in the stage it was left in, and what it does there. */
typedef struct cases {
    size_t n;
    int32_t *node;
    double *weight;
    bool *acts;
} cases;

static bool same_standing(const rub_block_state *a, const rub_block_state *b) {
    return a->stage == b->stage && a->remaining == b->remaining && a->training == b->training;
}

static bool is_waiting(rub_action action) {
    return action == RUB_ACTION_WAIT || action == RUB_ACTION_DEFER || action == RUB_ACTION_SERVE;
}

/* The commonest action other than waiting among the standing nodes of quarter t. */
static rub_action commonest(const rub_facts *facts, int32_t block, int32_t t,
                            const rub_block_state *standing) {
    double prob[RUB_N_ACTION] = {0};
    for (int32_t n = 1; n < facts->tree->n_node; n++) {
        const rub_step *step = rub_step_of(facts, block, n);
        if (facts->tree->quarter[n] == t && same_standing(&step->state, standing) &&
            !is_waiting((rub_action)step->action))
            prob[step->action] += facts->tree->prob[n];
    }
    rub_action best = RUB_ACTION_NONE;
    for (int32_t a = 0; a < RUB_N_ACTION; a++)
        if (prob[a] > prob[best])
            best = (rub_action)a;
    return best;
}

static void collect(const rub_facts *facts, int32_t block, int32_t t,
                    const rub_block_state *standing, rub_action action, cases *out) {
    out->n = 0;
    for (int32_t n = 1; n < facts->tree->n_node; n++) {
        const rub_step *step = rub_step_of(facts, block, n);
        if (facts->tree->quarter[n] != t || !same_standing(&step->state, standing))
            continue;
        out->node[out->n] = n;
        out->weight[out->n] = facts->tree->prob[n];
        out->acts[out->n] = step->action == action;
        out->n++;
    }
}

/* One observable at a node: loads in MW, partner's leaving, rental price, yield. */
typedef struct observable {
    char name[96];
    const char *unit;
    int32_t column;
    double scale;
} observable;

static size_t observables(const rub_facts *facts, observable *out) {
    const rub_study *study = facts->study;
    rub_features f = rub_features_of(study);
    size_t n = 0;
    double tok = rub_fleet_tok_per_mw(facts, 0), train = rub_fleet_train_per_mw(facts, 0);
    for (int32_t i = 0; i < study->n_demand; i++) {
        bool training = study->demand[i].load_class == RUB_TRAINING;
        double per_mw = training ? train : tok;
        observable *o = &out[n++];
        snprintf(o->name, sizeof o->name, "demand %s", study->demand[i].name);
        o->unit = "MW of today's fleet";
        o->column = f.demand + i;
        o->scale = per_mw > 0 ? 1.0 / per_mw : 1.0;
    }
    for (int32_t k = 0; k < study->n_partner; k++) {
        observable *o = &out[n++];
        snprintf(o->name, sizeof o->name, "share of %s's load that has left",
                 study->partner[k].name);
        *o = (observable){.unit = "%", .column = f.left + k, .scale = 100.0};
        snprintf(o->name, sizeof o->name, "share of %s's load that has left",
                 study->partner[k].name);
    }
    out[n] = (observable){.unit = "% of today's", .column = f.rent, .scale = 100.0};
    snprintf(out[n++].name, sizeof out->name, "the rental price");
    return n;
}

typedef struct stump {
    size_t which;
    double threshold, accuracy;
    bool above; /* acts when the observable is at or above the threshold */
} stump;

static double node_value(const rub_facts *facts, const observable *o, int32_t node) {
    return o->scale *
           facts->tree->feature[(size_t)node * (size_t)facts->tree->n_feature + (size_t)o->column];
}

/* Weighted accuracy of "acts iff value >= threshold" (or <), the better of the two directions. */
static double accuracy(const rub_facts *facts, const cases *c, const observable *o,
                       double threshold, bool *above) {
    double right = 0.0, total = 0.0;
    for (size_t i = 0; i < c->n; i++) {
        bool says = node_value(facts, o, c->node[i]) >= threshold;
        total += c->weight[i];
        right += says == c->acts[i] ? c->weight[i] : 0.0;
    }
    *above = right >= total - right;
    return fmax(right, total - right) / total;
}

/* Thresholds midway between neighbouring values; ties go to the earlier observable. */
static stump best_stump(const rub_facts *facts, const cases *c, const observable *o, size_t n_o) {
    stump best = {.accuracy = 0.0};
    for (size_t k = 0; k < n_o; k++)
        for (size_t i = 0; i < c->n; i++) {
            double here = node_value(facts, &o[k], c->node[i]), below = -HUGE_VAL;
            for (size_t j = 0; j < c->n; j++) {
                double v = node_value(facts, &o[k], c->node[j]);
                if (v < here * (1 - 1e-9) - 1e-12)
                    below = fmax(below, v);
            }
            if (!isfinite(below))
                continue;
            bool above;
            double threshold = 0.5 * (here + below);
            double right = accuracy(facts, c, &o[k], threshold, &above);
            if (right > best.accuracy + 1e-9)
                best = (stump){k, threshold, right, above};
        }
    return best;
}

static json_t *certain(const char *action, const char *quarter, double prob) {
    rub_text text = {0};
    rub_text_add(&text, "%s in %s in every future that is still open then (%.0f %%)", action,
                 quarter, 100.0 * prob);
    json_t *row = json_pack("{s:s,s:s,s:s,s:f,s:f}", "text", text.data ? text.data : "", "action",
                            action, "by", quarter, "probability", prob, "accuracy", 1.0);
    rub_text_clear(&text);
    return row;
}

static json_t *conditional(const char *action, const char *quarter, double prob,
                           const observable *o, const stump *s) {
    rub_text text = {0};
    rub_text_add(&text,
                 "%s in %s if %s is %s %.3g %s: %.0f %% of futures (tells %.0f %% of them apart)",
                 action, quarter, o->name, s->above ? "above" : "below", s->threshold, o->unit,
                 100.0 * prob, 100.0 * s->accuracy);
    json_t *row = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:f,s:s,s:f,s:f}", "text", text.data ? text.data : "", "action",
        action, "by", quarter, "observable", o->name, "direction", s->above ? "above" : "below",
        "threshold", s->threshold, "unit", o->unit, "probability", prob, "accuracy", s->accuracy);
    rub_text_clear(&text);
    return row;
}

static json_t *trigger_at(const rub_facts *facts, int32_t block, int32_t t,
                          const rub_block_state *standing, rub_action action, cases *c) {
    char quarter[16];
    rub_quarter_text(facts->study->start_q + t, quarter, sizeof quarter);
    collect(facts, block, t, standing, action, c);
    double acts = 0.0, total = 0.0;
    for (size_t i = 0; i < c->n; i++) {
        total += c->weight[i];
        acts += c->acts[i] ? c->weight[i] : 0.0;
    }
    if (acts >= total * (1 - 1e-9))
        return certain(rub_action_text(action), quarter, acts);
    size_t most = (size_t)(facts->study->n_demand + facts->study->n_partner + 1);
    observable *o = RUB_NEW(observable, most);
    if (!o)
        return NULL;
    stump s = best_stump(facts, c, o, observables(facts, o));
    json_t *row = NULL;
    if (s.accuracy > fmax(acts, total - acts) / total + 1e-9)
        row = conditional(rub_action_text(action), quarter, acts, &o[s.which], &s);
    free(o);
    return row;
}

json_t *rub_document_triggers(const rub_facts *facts, int32_t block) {
    const rub_step *root = rub_step_of(facts, block, 0);
    json_t *found = json_array();
    size_t n = (size_t)facts->tree->n_node;
    cases c = {.node = RUB_NEW(int32_t, n), .weight = RUB_NEW(double, n), .acts = RUB_NEW(bool, n)};
    bool open = is_waiting((rub_action)root->action) || root->action == RUB_ACTION_PAUSE;
    rub_action seen = RUB_ACTION_NONE;
    for (int32_t t = 1; open && c.node && c.weight && c.acts && t < facts->tree->n_quarter &&
                        json_array_size(found) < 2;
         t++) {
        rub_block_state standing = root->next;
        rub_action action = commonest(facts, block, t, &standing);
        if (action == RUB_ACTION_NONE || action == seen)
            continue;
        json_t *row = trigger_at(facts, block, t, &standing, action, &c);
        if (row) {
            json_array_append_new(found, row);
            seen = action;
        }
    }
    free(c.node);
    free(c.weight);
    free(c.acts);
    return found;
}
