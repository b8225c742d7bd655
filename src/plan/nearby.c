/* Nearby plans.
 *
 * Sites are turned one after another to their runner-up action now, the cheapest first, and all else
 * is planned anew from the plan that stands; a turn is kept while the whole loses at most the share
 * given. What comes out is the plan that differs most now among those so tried (a greedy
 * modelling-to-generate-alternatives: Brill 1979; Neumann and Brown 2021 for capacity planning). A swap
 * turns two sites of which one does less than planned and the other more. */
#include "plan/nearby.h"

#include "base/array.h"
#include "base/ranks.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_TURNS 12
#define MOST_SWAPS 8

/* A site's cheapest other action now, for its first block. */
typedef struct turn {
    const rub_alternative *to;
    double loses;
    bool more; /* commits more than the plan does */
} turn;

static int cheapest_first(const void *a, const void *b) {
    const turn *x = a, *y = b;
    if (x->loses != y->loses)
        return x->loses < y->loses ? -1 : 1;
    return (x->to->block > y->to->block) - (x->to->block < y->to->block);
}

/* How far an action commits. */
static int commits(rub_action action) {
    switch (action) {
    case RUB_ACTION_SIGN:
    case RUB_ACTION_PROCEED:
    case RUB_ACTION_RESUME:
    case RUB_ACTION_FIT_OUT:
    case RUB_ACTION_REFRESH:
    case RUB_ACTION_UPGRADE:
    case RUB_ACTION_RENEW:
        return 3;
    case RUB_ACTION_SERVE:
        return 2;
    case RUB_ACTION_WAIT:
    case RUB_ACTION_DEFER:
    case RUB_ACTION_PAUSE:
        return 1;
    default:
        return 0;
    }
}

static size_t turns_of(const rub_facts *facts, turn *out) {
    size_t n = 0;
    for (size_t i = 0; i < facts->n_alternative; i++) {
        const rub_alternative *one = &facts->alternative[i];
        double loses = fmax(0.0, facts->solve->value_usd - one->value_usd);
        size_t k = 0;
        while (k < n && out[k].to->block != one->block)
            k++;
        if (k == n)
            out[n++] = (turn){one, HUGE_VAL, false};
        if (loses < out[k].loses) {
            rub_action now = (rub_action)rub_step_of(facts, one->block, 0)->action;
            out[k] = (turn){one, loses, commits(one->action) > commits(now)};
        }
    }
    qsort(out, n, sizeof *out, cheapest_first);
    return n;
}

/* Root steps of the plan with some blocks turned; only the roots are read. */
static rub_status rooted(const rub_facts *facts, rub_plan *out, rub_error *err) {
    size_t n = (size_t)facts->plan->n_block * (size_t)facts->plan->n_node;
    *out = (rub_plan){.n_block = facts->plan->n_block, .n_node = facts->plan->n_node};
    out->step = RUB_NEW(rub_step, n);
    if (!out->step)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for a plan");
    memcpy(out->step, facts->plan->step, n * sizeof *out->step);
    return RUB_OK;
}

static rub_step *root_step(rub_plan *plan, int32_t block) {
    return &plan->step[(size_t)block * (size_t)plan->n_node];
}

/* Turns the block; a root that the solver keeps is told by its action and generation. */
static rub_step set_turn(rub_plan *root, const rub_alternative *to) {
    rub_step *step = root_step(root, to->block), before = *step;
    step->action = (uint8_t)to->action;
    step->gen = (uint8_t)to->gen;
    return before;
}

static rub_status value_of(const rub_worth_job *job, double time_s, rub_plan *root, double *value,
                           rub_error *err) {
    rub_solve_def def = job->solve;
    rub_plan plan = {0};
    rub_solve_result result = {0};
    def.warm = root;
    def.multiplier = job->facts->solve->multiplier;
    def.n_multiplier = job->facts->solve->n_multiplier;
    def.keep_root = true;
    def.explain = false;
    def.time_limit_s = fmax(0.5, time_s);
    def.iterations = def.iterations > 0 ? 1 : 0;
    rub_status status = rub_portfolio_solve(job->facts->problem, &def, NULL, &plan, &result, err);
    *value =
        status == RUB_OK && result.outcome != RUB_OUTCOME_INFEASIBLE ? result.value_usd : -HUGE_VAL;
    rub_plan_clear(&plan);
    rub_solve_result_clear(&result);
    return status == RUB_SOLVER ? RUB_OK : status; /* found none in its time */
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A solve may take longer than its share; with a fixed amount of search the clock does not count. */
static bool in_time(const rub_worth_job *job, double started_s, double time_s) {
    bool go = job->solve.iterations > 0 || now_s() - started_s < time_s;
    rub_ranks_share(job->solve.ranks, &go, sizeof go, 0);
    return go;
}

static const rub_study_site *site_of(const rub_facts *facts, int32_t block) {
    return &facts->study->site[facts->problem->block[block].site];
}

static json_t *turn_row(const rub_facts *facts, const turn *t) {
    const rub_study_site *site = site_of(facts, t->to->block);
    rub_action now = (rub_action)rub_step_of(facts, t->to->block, 0)->action;
    return json_pack("{s:s,s:f,s:s,s:s,s:f}", "site", site->name, "mw", site->block_mw, "from",
                     rub_action_text(now), "to", rub_action_text(t->to->action), "alone_loses_usd",
                     t->loses);
}

/* Sites turned together, cheapest first, while the whole stays within. */
static rub_status farthest(const rub_worth_job *job, const turn *turns, size_t n, double floor_usd,
                           double time_s, json_t *out, rub_error *err) {
    const rub_facts *facts = job->facts;
    rub_plan root = {0};
    json_t *changed = json_array();
    double value = facts->solve->value_usd, mw = 0.0;
    json_object_set_new(out, "turned", changed);
    RUB_TRY(rooted(facts, &root, err));
    rub_status status = RUB_OK;
    size_t tries = n < MOST_TURNS ? n : MOST_TURNS;
    double started_s = now_s();
    for (size_t i = 0; status == RUB_OK && i < tries && in_time(job, started_s, time_s); i++) {
        double here;
        if (facts->solve->value_usd - turns[i].loses < floor_usd)
            break;
        rub_step before = set_turn(&root, turns[i].to);
        status = value_of(job, time_s / (double)tries, &root, &here, err);
        if (status == RUB_OK && json_array_size(changed) == 0)
            here = fmax(here, turns[i].to->value_usd); /* alone: all else as planned */
        if (status == RUB_OK && here >= floor_usd) {
            value = here;
            mw += site_of(facts, turns[i].to->block)->block_mw;
            json_array_append_new(changed, turn_row(facts, &turns[i]));
        } else
            *root_step(&root, turns[i].to->block) = before;
        if (!rub_progress_report(job->progress, "nearby plans", (double)i + 1, (double)tries, NULL))
            status = rub_error_set(err, RUB_INTERRUPTED, "stopped");
        status = rub_ranks_agree(job->solve.ranks, status, err);
    }
    rub_plan_clear(&root);
    json_object_set_new(out, "turned_mw", json_real(mw));
    json_object_set_new(out, "value_usd", json_real(value));
    json_object_set_new(out, "loses_usd", json_real(fmax(0.0, facts->solve->value_usd - value)));
    return status;
}

static json_t *swap_row(const rub_facts *facts, const turn *less, const turn *more, double value) {
    double loses = facts->solve->value_usd - value;
    rub_text text = {0};
    char money[32];
    rub_text_add(&text, "%s %s instead of %s and %s %s instead of %s: ",
                 site_of(facts, less->to->block)->name, rub_action_text(less->to->action),
                 rub_action_text((rub_action)rub_step_of(facts, less->to->block, 0)->action),
                 site_of(facts, more->to->block)->name, rub_action_text(more->to->action),
                 rub_action_text((rub_action)rub_step_of(facts, more->to->block, 0)->action));
    rub_text_add(&text, loses > 5e4 ? "loses %s" : "costs nothing", rub_text_usd(loses, money));
    json_t *row = json_pack("{s:s,s:s,s:f,s:s}", "less", site_of(facts, less->to->block)->name,
                            "more", site_of(facts, more->to->block)->name, "loses_usd",
                            fmax(0.0, loses), "text", text.data ? text.data : "");
    rub_text_clear(&text);
    return row;
}

typedef struct pair {
    size_t less, more;
    double loses; /* of both alone */
} pair;

static int cheapest_pair(const void *a, const void *b) {
    const pair *x = a, *y = b;
    if (x->loses != y->loses)
        return x->loses < y->loses ? -1 : 1;
    return x->less != y->less ? (x->less > y->less) - (x->less < y->less)
                              : (x->more > y->more) - (x->more < y->more);
}

static rub_status swaps(const rub_worth_job *job, const turn *turns, size_t n, double floor_usd,
                        double time_s, json_t *rows, rub_error *err) {
    pair *pairs = RUB_NEW(pair, n * n + 1);
    size_t n_pair = 0;
    rub_status status = pairs ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    for (size_t i = 0; status == RUB_OK && i < n; i++)
        for (size_t k = 0; k < n; k++) {
            int32_t a = job->facts->problem->block[turns[i].to->block].site;
            int32_t b = job->facts->problem->block[turns[k].to->block].site;
            if (!turns[i].more && turns[k].more && a != b)
                pairs[n_pair++] = (pair){i, k, turns[i].loses + turns[k].loses};
        }
    if (status == RUB_OK)
        qsort(pairs, n_pair, sizeof *pairs, cheapest_pair);
    double started_s = now_s();
    for (size_t i = 0;
         status == RUB_OK && i < n_pair && i < MOST_SWAPS && in_time(job, started_s, time_s); i++) {
        rub_plan root = {0};
        double value = 0.0;
        status = rooted(job->facts, &root, err);
        if (status == RUB_OK) {
            set_turn(&root, turns[pairs[i].less].to);
            set_turn(&root, turns[pairs[i].more].to);
            status = value_of(job, time_s / MOST_SWAPS, &root, &value, err);
        }
        if (status == RUB_OK && value >= floor_usd)
            json_array_append_new(
                rows, swap_row(job->facts, &turns[pairs[i].less], &turns[pairs[i].more], value));
        rub_plan_clear(&root);
        if (status == RUB_OK &&
            !rub_progress_report(job->progress, "swaps", (double)i + 1, MOST_SWAPS, NULL))
            status = rub_error_set(err, RUB_INTERRUPTED, "stopped");
        status = rub_ranks_agree(job->solve.ranks, status, err);
    }
    free(pairs);
    return status;
}

rub_status rub_document_nearby(const rub_worth_job *job, double within, json_t **out,
                               rub_error *err) {
    const rub_facts *facts = job->facts;
    double floor_usd = facts->solve->value_usd - within * fabs(facts->solve->value_usd);
    turn *turns = RUB_NEW(turn, facts->n_alternative + 1);
    if (!turns)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    size_t n = turns_of(facts, turns);
    json_t *made = json_object(), *rows = json_array();
    json_object_set_new(made, "within", json_real(within));
    double half = 0.5 * job->solve.time_limit_s;
    rub_status status = farthest(job, turns, n, floor_usd, half, made, err);
    if (status == RUB_OK)
        status = swaps(job, turns, n, floor_usd, half, rows, err);
    json_object_set_new(made, "swaps", rows);
    free(turns);
    if (status != RUB_OK) {
        json_decref(made);
        return status;
    }
    *out = made;
    return RUB_OK;
}

/* ---- commitments ----------------------------------------------------------------------------- */

/* The best of a block's alternatives that commits no further than waiting (leave: that leaves). */
static double best_value(const rub_facts *facts, int32_t block, bool leave) {
    double best = -HUGE_VAL;
    for (size_t i = 0; i < facts->n_alternative; i++) {
        const rub_alternative *one = &facts->alternative[i];
        bool fits = leave ? one->action == RUB_ACTION_CANCEL : commits(one->action) == 1;
        if (one->block == block && fits)
            best = fmax(best, one->value_usd);
    }
    return best;
}

static json_t *against(const rub_facts *facts, double value) {
    return value > -HUGE_VAL ? json_real(facts->solve->value_usd - value) : json_null();
}

static json_t *commitment_row(const rub_facts *facts, int32_t block, int32_t n) {
    const rub_study_site *site = site_of(facts, block);
    rub_action now = (rub_action)rub_step_of(facts, block, 0)->action;
    bool waits = commits(now) == 1;
    json_t *waiting = waits ? json_null() : against(facts, best_value(facts, block, false));
    json_t *leaving = against(facts, best_value(facts, block, true));
    json_t *per_mw = json_is_number(leaving)
                         ? json_real(json_number_value(leaving) / site->block_mw)
                         : json_null();
    return json_pack("{s:s,s:s,s:i,s:f,s:o,s:o,s:o}", "site", site->name, "action",
                     rub_action_text(now), "blocks", n, "block_mw", site->block_mw,
                     "acting_beats_waiting_usd", waiting, "keeping_beats_leaving_usd", leaving,
                     "keeping_beats_leaving_usd_per_mw", per_mw);
}

/* Blocks of the site that take the same step now as `block`; 0 when an earlier one does. */
static int32_t alike(const rub_facts *facts, int32_t first, int32_t block, int32_t end) {
    const rub_step *step = rub_step_of(facts, block, 0);
    int32_t n = 0;
    for (int32_t b = first; b < end; b++) {
        bool same = memcmp(step, rub_step_of(facts, b, 0), sizeof *step) == 0;
        if (same && b < block)
            return 0;
        n += same;
    }
    return n;
}

json_t *rub_document_commitments(const rub_facts *facts) {
    json_t *rows = json_array();
    for (int32_t s = 0, first = 0; s < facts->study->n_site; s++) {
        int32_t end = first + facts->study->site[s].n_block;
        for (int32_t b = first; b < end; b++) {
            int32_t n = alike(facts, first, b, end);
            if (n > 0)
                json_array_append_new(rows, commitment_row(facts, b, n));
        }
        first = end;
    }
    return rows;
}
