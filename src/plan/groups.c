/* Groups of a site's blocks by what they do now, each with its reason.
 *
 * A reason is chosen by the action and by what the plan goes on to do with the very blocks, and names
 * the shares of futures that it rests on, so that it cannot say otherwise than they do. */
#include "plan/groups.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Blocks of one step at the root. */
typedef struct group {
    const rub_step *step;
    int32_t n, block[256];
} group;

/* "under construction, 3 quarters to go", ...: the block's state at the root. */
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
        rub_text_add(out, "under construction, %d quarter%s to go", state->remaining,
                     state->remaining == 1 ? "" : "s");
        break;
    case RUB_STAGE_PAUSED:
        rub_text_add(out, "paused with %d quarter%s to build", state->remaining,
                     state->remaining == 1 ? "" : "s");
        break;
    case RUB_STAGE_LIVE:
        rub_text_add(out, "live on %s", facts->study->generation[state->gen].name);
        break;
    default:
        rub_text_add(out, "%s", rub_stage_text((rub_stage)state->stage));
    }
}

double rub_block_serves(const rub_facts *facts, int32_t block, double *mean_quarter) {
    const rub_tree *tree = facts->tree;
    double prob = 0.0, when = 0.0;
    for (int32_t n = 0; n < tree->n_node; n++) {
        bool first = rub_block_live_mw(facts, block, n) > 0;
        for (int32_t a = tree->parent[n]; a >= 0 && first; a = tree->parent[a])
            first = !(rub_block_live_mw(facts, block, a) > 0);
        prob += first ? tree->prob[n] : 0.0;
        when += first ? tree->prob[n] * tree->quarter[n] : 0.0;
    }
    *mean_quarter = prob > 0 ? when / prob : NAN;
    return prob;
}

/* ---- what comes next --------------------------------------------------------------------------- */

/* Share of futures in which an action is the first that follows, and the soonest quarter of it. */
typedef struct follow {
    double prob[RUB_N_ACTION];
    int32_t soonest[RUB_N_ACTION];
} follow;

/* Does a later step only go on with what the step now has begun? */
static bool goes_on(rub_action now, const rub_step *later) {
    bool builds =
        later->state.stage == RUB_STAGE_BUILDING || later->state.stage == RUB_STAGE_FITTING;
    return later->action == now || later->action == RUB_ACTION_NONE ||
           later->action == RUB_ACTION_WAIT || later->action == RUB_ACTION_SERVE ||
           (builds && later->action == RUB_ACTION_PROCEED);
}

static void add_follow(const rub_facts *facts, int32_t block, double weight, follow *out) {
    const rub_tree *tree = facts->tree;
    rub_action now = (rub_action)rub_step_of(facts, block, 0)->action;
    for (int32_t n = 1; n < tree->n_node; n++) {
        rub_action action = (rub_action)rub_step_of(facts, block, n)->action;
        bool first = !goes_on(now, rub_step_of(facts, block, n));
        for (int32_t a = tree->parent[n]; a > 0 && first; a = tree->parent[a])
            first = goes_on(now, rub_step_of(facts, block, a));
        if (!first)
            continue;
        if (out->prob[action] <= 0 || tree->quarter[n] < out->soonest[action])
            out->soonest[action] = tree->quarter[n];
        out->prob[action] += weight * tree->prob[n];
    }
}

/* "; then fit out in 64 % of futures (from 2025-Q2), cancel in 36 % (from 2025-Q3)"; the three likeliest. */
static void follow_words(const rub_facts *facts, const follow *f, rub_text *out) {
    bool told[RUB_N_ACTION] = {false};
    char quarter[16];
    for (int k = 0; k < 3; k++) {
        int best = -1;
        for (int a = 0; a < RUB_N_ACTION; a++)
            if (!told[a] && f->prob[a] >= 0.005 && (best < 0 || f->prob[a] > f->prob[best]))
                best = a;
        if (best < 0)
            return;
        told[best] = true;
        rub_quarter_text(facts->study->start_q + f->soonest[best], quarter, sizeof quarter);
        rub_text_add(out, "%s%s in %.0f %%%s (from %s)", k ? ", " : "; then ",
                     rub_action_text((rub_action)best), 100.0 * f->prob[best],
                     k ? "" : " of futures", quarter);
    }
}

static json_t *follow_rows(const rub_facts *facts, const follow *f) {
    json_t *rows = json_array();
    char quarter[16];
    for (int a = 0; a < RUB_N_ACTION; a++)
        if (f->prob[a] > 1e-9) {
            rub_quarter_text(facts->study->start_q + f->soonest[a], quarter, sizeof quarter);
            json_array_append_new(rows, json_pack("{s:s,s:f,s:s}", "action",
                                                  rub_action_text((rub_action)a), "probability",
                                                  f->prob[a], "from", quarter));
        }
    return rows;
}

/* ---- reasons ------------------------------------------------------------------------------------ */

/* How surely the blocks come to serve. */
typedef enum want { NEVER, SELDOM, MOSTLY, SURELY } want;

static want want_of(double prob) {
    return prob < 1e-9 ? NEVER : prob < 0.5 ? SELDOM : prob < 0.95 ? MOSTLY : SURELY;
}

/* What keeps or begins capacity: why when no future uses it, when some do, when nearly all do. */
static const struct {
    rub_action action;
    const char *never, *open, *sure;
} kept[] = {
    {RUB_ACTION_SIGN, "holding it is worth more than letting the right go",
     "; keeping it for them is worth more than letting the right go",
     "; the right to sign is worth less if it waits"},
    {RUB_ACTION_PROCEED, "going on costs less than leaving now",
     "; stopping now costs more than it saves",
     " when it comes; stopping costs more than it saves"},
    {RUB_ACTION_WAIT, "it is kept only until leaving is cheapest",
     "; waiting keeps the choice open", ", but not yet"},
    {RUB_ACTION_PAUSE, "pausing is the cheapest way on",
     "; pausing stops the spend until they show",
     ", but later than it would come; pausing moves the spend and keeps the right to resume"},
    {RUB_ACTION_DEFER, "the deferral fee is less than the rent it saves",
     "; rent would start before they show, and the deferral fee is less than the rent it saves",
     ", but later than rent would start; the deferral fee is less than the rent it saves"},
    {RUB_ACTION_RESUME, "going on costs less than leaving now",
     "; resuming now is in time for them", " by the time it can be ready"}};

static void because_kept(rub_action action, rub_stage stage, want w, rub_text *out) {
    static const char *const wanted[] = {
        "no future of the tree puts it to own use; ", "it is wanted in some futures only",
        "it is wanted in most futures, not in all", "it is wanted"};
    size_t k = 0;
    while (k + 1 < RUB_LEN(kept) && kept[k].action != action)
        k++;
    bool talks = stage == RUB_STAGE_TALKS && w == NEVER;
    rub_text_add(out, "%s%s", wanted[w],
                 talks         ? "talks cost nothing until they close"
                 : w == NEVER  ? kept[k].never
                 : w == SURELY ? kept[k].sure
                               : kept[k].open);
}

/* What ends, lets or uses it, now; NULL: an action of the table above. */
static const char *because(rub_action action, rub_stage stage, want w) {
    switch (action) {
    case RUB_ACTION_CANCEL:
        return stage == RUB_STAGE_LIVE
                   ? "what it earns does not pay for keeping it; leaving now is "
                     "the cheapest exit"
                   : "what it would still cost is more than it would earn; "
                     "leaving now is the cheapest exit";
    case RUB_ACTION_SUBLET:
        return w == NEVER ? "another tenant pays more for it than our own load would earn"
                          : "another tenant pays for it until our own load wants it";
    case RUB_ACTION_FIT_OUT:
        return "the shell stands ready and the load earns more than the servers cost";
    case RUB_ACTION_REFRESH:
        return "new accelerators earn more on the same power than what stands there";
    case RUB_ACTION_UPGRADE:
        return "training pays more than inference here by more than the network costs";
    case RUB_ACTION_RETIRE:
        return "its accelerators have passed their life or cost more to run than they earn";
    case RUB_ACTION_RENEW:
        return "the second term earns more than its rent";
    case RUB_ACTION_SERVE:
        return "its load earns more than it costs to run";
    case RUB_ACTION_NONE:
        return "nothing is left to decide";
    default:
        return NULL;
    }
}

static void serves_words(const rub_facts *facts, double prob, double when, rub_text *out) {
    char quarter[16];
    if (prob < 1e-9) {
        rub_text_add(out, "; it serves in none of the futures");
        return;
    }
    rub_quarter_text(facts->study->start_q + (int32_t)lround(when), quarter, sizeof quarter);
    rub_text_add(out, "; serves in %s%.0f %% of futures, first around %s",
                 prob < 0.005 ? "less than " : "", fmax(1.0, 100.0 * prob), quarter);
}

/* ---- the document's part ------------------------------------------------------------------------ */

/* The best of what a block of the group could do instead, and what that would cost. NULL: nothing is. */
static json_t *runner_up(const rub_facts *facts, const group *g) {
    const rub_alternative *best = NULL;
    for (size_t i = 0; i < facts->n_alternative; i++) {
        const rub_alternative *one = &facts->alternative[i];
        for (int32_t k = 0; k < g->n; k++)
            if (one->block == g->block[k] && (!best || one->value_usd > best->value_usd))
                best = one;
    }
    if (!best)
        return NULL;
    double loses = facts->solve->value_usd - best->value_usd;
    rub_text text = {0};
    char usd[32];
    bool orders = best->action == RUB_ACTION_FIT_OUT || best->action == RUB_ACTION_REFRESH;
    rub_text_add(&text, "%s%s%s", rub_action_text(best->action), orders ? " " : "",
                 orders ? facts->study->generation[best->gen].name : "");
    if (fabs(loses) >= 5e4)
        rub_text_add(&text, ", worth %s %s", rub_text_usd(fabs(loses), usd),
                     loses > 0 ? "less" : "more by itself, which is within the gap");
    else
        rub_text_add(&text, ", worth as much");
    json_t *row = json_pack("{s:s,s:f,s:s}", "action", rub_action_text(best->action), "loses_usd",
                            loses, "text", text.data ? text.data : "");
    rub_text_clear(&text);
    return row;
}

static json_t *group_row(const rub_facts *facts, const rub_study_site *site, const group *g) {
    rub_action action = (rub_action)g->step->action;
    follow next = {0};
    double prob = 0.0, when = 0.0;
    for (int32_t k = 0; k < g->n; k++) {
        double first, one = rub_block_serves(facts, g->block[k], &first);
        add_follow(facts, g->block[k], 1.0 / g->n, &next);
        prob += one / g->n;
        when += one > 0 ? one * first / g->n : 0.0;
    }
    rub_text text = {0};
    stage_words(facts, g->block[0], &text);
    rub_stage stage = (rub_stage)g->step->state.stage;
    const char *plain = because(action, stage, want_of(prob));
    rub_text_add(&text, "; %s", plain ? plain : "");
    if (!plain)
        because_kept(action, stage, want_of(prob), &text);
    follow_words(facts, &next, &text);
    if (action != RUB_ACTION_SERVE && action != RUB_ACTION_NONE && action != RUB_ACTION_CANCEL)
        serves_words(facts, prob, prob > 0 ? when / prob : 0.0, &text);
    json_t *row =
        json_pack("{s:s,s:i,s:f,s:s,s:f}", "action", rub_action_text(action), "blocks", g->n, "mw",
                  g->n * site->block_mw, "why", text.data ? text.data : "", "prob_ever_live", prob);
    rub_text_clear(&text);
    json_object_set_new(row, "next", follow_rows(facts, &next));
    json_t *other = runner_up(facts, g);
    if (other)
        json_object_set_new(row, "runner_up", other);
    return row;
}

static int most_blocks_first(const void *a, const void *b) {
    const group *x = a, *y = b;
    if (x->n != y->n)
        return x->n > y->n ? -1 : 1;
    return x->block[0] - y->block[0];
}

json_t *rub_document_groups(const rub_facts *facts, int32_t site) {
    const rub_study_site *s = &facts->study->site[site];
    int32_t first = rub_first_block(facts, site), n = 0;
    group *all = RUB_NEW(group, s->n_block);
    json_t *rows = json_array();
    for (int32_t b = first; all && b < first + s->n_block; b++) {
        const rub_step *step = rub_step_of(facts, b, 0);
        int32_t k = 0;
        while (k < n && memcmp(all[k].step, step, sizeof *step) != 0)
            k++;
        if (k == n)
            all[n++].step = step;
        all[k].block[all[k].n++] = b;
    }
    if (all)
        qsort(all, (size_t)n, sizeof *all, most_blocks_first);
    for (int32_t k = 0; k < n; k++)
        json_array_append_new(rows, group_row(facts, s, &all[k]));
    free(all);
    return rows;
}
