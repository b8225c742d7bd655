/* Readable policy in words: the document's "rules" by site and stage, and as sentences the triggers that a
 * site is to be watched for. */
#include "plan/readable_trees.h"

#include "plan/groups.h"
#include "plan/reading.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    const rub_observable *o = &r->observable[l->observable];
    bool low = isfinite(l->low), high = isfinite(l->high);
    char from[32], to[32];
    rub_text_add(out, out->n ? " and " : "");
    if (o->column == RUB_READABLE_DATE) {
        rub_quarter_text(r->facts->study->start_q + (low ? (int32_t)ceil(l->low) : 0), from,
                         sizeof from);
        rub_quarter_text(r->facts->study->start_q + (high ? (int32_t)ceil(l->high) : 0), to,
                         sizeof to);
        rub_text_add(out, "%s%s%s%s%s", low ? "from " : "", low ? from : "",
                     low && high ? " and " : "", high ? "before " : "", high ? to : "");
        return;
    }
    bool whole = o->column == RUB_READABLE_AGE || o->column == RUB_READABLE_LEFT;
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
    const rub_stage_rule *rule = &r->rule[site * RUB_N_STAGE + stage];
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
            bool here =
                !before && step->state.stage == stage &&
                rub_readable_answer_of(step) == rule->ask[leaf].answer &&
                rub_readable_leaf_of(r, rule, &(rub_instance){.node = node, .block = b}) == leaf;
            met[node] = before || here;
            prob += here ? tree->prob[node] / (standing ? standing : n) : 0.0;
        }
    free(met);
    return prob;
}

static void leaf_words(const rub_readable *r, int32_t site, int stage, int32_t leaf,
                       const limits *way, int n, json_t *out) {
    const rub_stage_rule *rule = &r->rule[site * RUB_N_STAGE + stage];
    const rub_question *q = &rule->ask[leaf];
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
    const rub_question *q = &r->rule[site * RUB_N_STAGE + stage].ask[at];
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
            const rub_stage_rule *rule = &r->rule[s * RUB_N_STAGE + stage];
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
    const rub_stage_rule *rule = &r->rule[site * RUB_N_STAGE + stage];
    double accuracy = rule->weight > 0 ? rule->right / rule->weight : 1.0;
    const char *when = string(leaf, "if"), *said = string(leaf, "do");
    rub_text text = {0};
    int32_t standing = 0, n = r->facts->study->site[site].n_block;
    for (int32_t b = rub_first_block(r->facts, site), k = 0; k < n; k++)
        standing += stands_in(r, b + k, stage);
    rub_text_add(&text, "%s", while_words((rub_stage)stage));
    if (standing < n)
        rub_text_add(&text, " (%d of %d blocks)", standing, n);
    rub_text_add(&text, ": %s%s%s: %.0f %% of futures", said, *when ? " if " : "", when,
                 100.0 * number(leaf, "futures"));
    if (accuracy < 0.95)
        rub_text_add(&text, " (rules that tell %.0f %% of what the plan does there)",
                     100.0 * accuracy);
    json_t *row = json_pack("{s:s,s:s,s:s,s:s,s:f,s:f}", "text", text.data ? text.data : "",
                            "stage", rub_stage_text((rub_stage)stage), "action", said, "if", when,
                            "probability", number(leaf, "futures"), "accuracy", accuracy);
    rub_text_clear(&text);
    return row;
}

/* Keeps rows in order of falling probability, at most MOST_TRIGGERS. */
static void insert(json_t *rows, json_t *row) {
    size_t at = 0, n = json_array_size(rows);
    while (at < n && number(json_array_get(rows, at), "probability") >= number(row, "probability"))
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
        json_array_foreach(all, i, leaf) if (is_event(string(leaf, "do"), (rub_stage)stage) &&
                                             number(leaf, "futures") >= 0.005)
            insert(rows, trigger_row(r, site, stage, leaf));
        json_decref(all);
    }
    return rows;
}
