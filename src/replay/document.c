/* The document: rows that became known, each quarter's decisions beside what was reported, and what the
 * paths were worth. */
#include "replay/document.h"

#include "base/array.h"
#include "plan/facts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *text_or_empty(const char *text) { return text ? text : ""; }

static json_t *quarter_json(int32_t q) {
    char text[16];
    return json_string(rub_quarter_text(q, text, sizeof text));
}

/* ---- what was known -------------------------------------------------------------------------- */

static json_t *information_rows(const rub_study *whole) {
    json_t *rows = json_array();
    for (int32_t i = 0; i < whole->replay.n_information; i++) {
        const rub_study_information *info = &whole->replay.information[i];
        json_t *set = json_array();
        for (int32_t k = 0; k < info->n_set; k++)
            json_array_append_new(set, json_string(info->set[k]));
        json_array_append_new(rows,
                              json_pack("{s:s,s:s,s:o,s:s,s:o,s:s,s:s}", "name", info->name,
                                        "known", info->known, "from", quarter_json(info->from_q),
                                        "text", text_or_empty(info->text), "set", set, "status",
                                        rub_study_status_text(info->status), "source",
                                        text_or_empty(info->source)));
    }
    return rows;
}

static json_t *known_in(const rub_study *whole, int32_t q) {
    json_t *names = json_array();
    for (int32_t i = 0; i < whole->replay.n_information; i++)
        if (whole->replay.information[i].from_q == q)
            json_array_append_new(names, json_string(whole->replay.information[i].name));
    return names;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static const rub_step *step_at(const rub_replay_path *path, int32_t block, int32_t t) {
    return &path->plan.step[(size_t)block * (size_t)path->plan.n_node + (size_t)t];
}

static double block_mw(const rub_story *s, int32_t block) {
    return s->study.site[s->problem.block[block].site].block_mw;
}

/* A site that its row has not brought in yet is not there to be decided on. */
static bool is_known(const rub_story *s, int32_t block, int32_t t) {
    return s->problem.block[block].site < s->known[t]->n_site;
}

/* MW by action of the blocks of a site (-1: all) in a quarter. */
static json_t *actions_of(const rub_story *s, const rub_replay_path *path, int32_t site,
                          int32_t t) {
    double mw[RUB_N_ACTION] = {0};
    json_t *row = json_object();
    for (int32_t b = 0; b < s->problem.n_block; b++)
        if ((site < 0 || s->problem.block[b].site == site) && is_known(s, b, t))
            mw[step_at(path, b, t)->action] += block_mw(s, b);
    for (int a = 0; a < RUB_N_ACTION; a++)
        if (a != RUB_ACTION_NONE && mw[a] > 0)
            json_object_set_new(row, rub_action_text((rub_action)a), json_real(mw[a]));
    return row;
}

/* What a site's blocks do, when it is more than to go on as they are. */
static bool is_decision(const rub_step *step) {
    switch ((rub_action)step->action) {
    case RUB_ACTION_NONE:
    case RUB_ACTION_SERVE:
        return false;
    case RUB_ACTION_WAIT:
        return step->state.stage == RUB_STAGE_SIGNED || step->state.stage == RUB_STAGE_SHELL ||
               step->state.stage == RUB_STAGE_OPTION;
    case RUB_ACTION_PROCEED:
        return step->state.stage == RUB_STAGE_SIGNED;
    default:
        return true;
    }
}

static json_t *decision_rows(const rub_story *s, const rub_replay_path *path, int32_t t) {
    json_t *rows = json_array();
    for (int32_t b = 0; b < s->problem.n_block; b++) {
        const rub_step *step = step_at(path, b, t);
        int32_t site = s->problem.block[b].site;
        double mw = 0.0;
        bool first = is_decision(step) && is_known(s, b, t);
        for (int32_t c = b - 1; first && c >= 0 && s->problem.block[c].site == site; c--)
            first = step_at(path, c, t)->action != step->action ||
                    step_at(path, c, t)->state.stage != step->state.stage;
        for (int32_t c = b; first && c < s->problem.n_block && s->problem.block[c].site == site;
             c++)
            if (step_at(path, c, t)->action == step->action &&
                step_at(path, c, t)->state.stage == step->state.stage)
                mw += block_mw(s, c);
        if (first)
            json_array_append_new(
                rows, json_pack("{s:s,s:s,s:s,s:f}", "site", s->study.site[site].name, "stage",
                                rub_stage_text((rub_stage)step->state.stage), "action",
                                rub_action_text((rub_action)step->action), "mw", mw));
    }
    return rows;
}

static json_t *reported_rows(const rub_replay_found *found, int32_t t) {
    const rub_story *s = found->story;
    const rub_study_replay *replay = &s->whole->replay;
    json_t *rows = json_array();
    for (int32_t i = 0; i < replay->n_reported; i++) {
        const rub_study_reported *r = &replay->reported[i];
        if (r->quarter != s->whole->start_q + t)
            continue;
        json_array_append_new(
            rows,
            json_pack("{s:s,s:s,s:s,s:f,s:s,s:s,s:s,s:o,s:o}", "name", r->name, "site",
                      r->site >= 0 ? s->study.site[r->site].name : "all", "action",
                      rub_done_text((rub_done)r->done), "mw", r->mw, "text", text_or_empty(r->text),
                      "status", rub_study_status_text(r->status), "source",
                      text_or_empty(r->source), "plan", actions_of(s, &found->path[0], r->site, t),
                      "done", actions_of(s, &found->path[1], r->site, t)));
    }
    return rows;
}

/* ---- quarters -------------------------------------------------------------------------------- */

static json_t *loads(const rub_story *s, int32_t t, bool expected) {
    json_t *row = json_object();
    double *load = RUB_NEW(double, s->study.n_demand);
    if (load && expected)
        rub_story_expected_loads(s, t, load);
    for (int32_t i = 0; load && i < s->study.n_demand; i++) {
        const rub_study_demand *d = &s->view[t].study.demand[i];
        double season = rub_process_season(d->season_frac, s->whole->start_q + t);
        json_object_set_new(
            row, s->study.demand[i].name,
            json_real(expected ? load[i] * season : s->whole->replay.outcome[t].as.demand[i]));
    }
    free(load);
    return row;
}

static json_t *plan_row(const rub_replan *r) {
    if (!r->made)
        return json_pack("{s:b,s:s}", "made", 0, "reason", r->reason);
    return json_pack("{s:b,s:f,s:f,s:f,s:f,s:i,s:i}", "made", 1, "value_usd", r->value_usd,
                     "bound_usd", r->bound_usd, "gap", r->gap_frac, "mean_npv_usd", r->mean_usd,
                     "nodes", r->n_node, "blocks", r->n_block);
}

static json_t *quarter_rows(const rub_replay_found *found) {
    const rub_story *s = found->story;
    json_t *rows = json_array();
    for (int32_t t = 0; t < s->n_replayed; t++) {
        json_t *row = json_object();
        json_object_set_new(row, "quarter", quarter_json(s->whole->start_q + t));
        json_object_set_new(row, "known", known_in(s->whole, s->whole->start_q + t));
        json_object_set_new(row, "expected", loads(s, t, true));
        json_object_set_new(row, "came", loads(s, t, false));
        json_object_set_new(row, "plan", plan_row(&found->replan[t]));
        json_object_set_new(row, "decisions", decision_rows(s, &found->path[0], t));
        json_object_set_new(row, "actions", actions_of(s, &found->path[0], -1, t));
        json_object_set_new(row, "reported", reported_rows(found, t));
        json_object_set_new(row, "reported_actions", actions_of(s, &found->path[1], -1, t));
        json_array_append_new(rows, row);
    }
    return rows;
}

/* ---- paths ----------------------------------------------------------------------------------- */

enum { LIVE, IDLE, SHORT, RENTED_IN, N_USE };
static const char *const use_name[N_USE] = {"live_mw", "idle_mw", "short_mw", "rented_in_mw"};

/* MW of one quarter: loads at what the fleet that is live gives per MW. */
static void use_at(const rub_facts *f, int32_t t, double use[N_USE]) {
    const rub_problem *p = f->problem;
    double tok = rub_fleet_tok_per_mw(f, t), train = rub_fleet_train_per_mw(f, t), used = 0.0;
    memset(use, 0, N_USE * sizeof *use);
    for (int32_t i = 0; i < p->n_demand; i++) {
        size_t at = (size_t)t * (size_t)p->n_demand + (size_t)i;
        double per_mw = f->study->demand[i].load_class == RUB_TRAINING ? train : tok;
        use[SHORT] += per_mw > 0 ? (p->demand[at] - f->plan->served[at]) / per_mw : 0.0;
    }
    for (int32_t m = 0; m <= p->n_region; m++)
        for (int32_t k = 0; k < p->n_step; k++) {
            size_t at =
                ((size_t)t * (size_t)(p->n_region + 1) + (size_t)m) * (size_t)p->n_step + (size_t)k;
            double per_mw = m == p->n_region ? train : tok;
            use[RENTED_IN] += per_mw > 0 ? f->plan->rent_in[at] / per_mw : 0.0;
        }
    for (int32_t i = 0; i < p->n_region * p->n_gen; i++) {
        size_t at = (size_t)t * (size_t)(p->n_region * p->n_gen) + (size_t)i;
        used += f->plan->train_mw[at] + f->plan->infer_mw[at];
    }
    for (int32_t i = 0; i < p->n_region * 2; i++)
        use[LIVE] += f->evaluation->live_mw[(size_t)t * (size_t)(p->n_region * 2) + (size_t)i];
    use[IDLE] = fmax(0.0, use[LIVE] - used);
}

/* By quarter, and mean over the quarters. */
static void add_use(json_t *row, const rub_facts *facts, int32_t n) {
    json_t *list[N_USE], *mean = json_object();
    double sum[N_USE] = {0}, use[N_USE];
    for (int i = 0; i < N_USE; i++)
        list[i] = json_array();
    for (int32_t t = 0; t < n; t++) {
        use_at(facts, t, use);
        for (int i = 0; i < N_USE; i++) {
            json_array_append_new(list[i], json_real(use[i]));
            sum[i] += use[i] / n;
        }
    }
    for (int i = 0; i < N_USE; i++) {
        json_object_set_new(row, use_name[i], list[i]);
        json_object_set_new(mean, use_name[i], json_real(sum[i]));
    }
    json_object_set_new(row, "mean", mean);
}

static double unserved_share(const rub_problem *p, const rub_plan *plan) {
    double worth = 0.0, lost = 0.0;
    for (size_t i = 0; i < (size_t)p->n_node * (size_t)p->n_demand; i++) {
        worth += p->value_usd[i] * p->demand[i];
        lost += p->value_usd[i] * (p->demand[i] - plan->served[i]);
    }
    return worth > 0 ? lost / worth : 0.0;
}

static json_t *path_row(const rub_replay_found *found, const rub_replay_path *path) {
    const rub_story *s = found->story;
    rub_solve_result none = {0};
    rub_facts facts = {.study = &s->study,
                       .tree = &s->tree,
                       .problem = &s->problem,
                       .yields = &s->yields,
                       .plan = &path->plan,
                       .evaluation = &path->evaluation,
                       .solve = &none};
    double npv = path->evaluation.mean_npv_usd, best = found->hindsight->evaluation.mean_npv_usd;
    json_t *row = json_object();
    json_object_set_new(row, "path", json_string(path->name));
    json_object_set_new(row, "text", json_string(path->text));
    json_object_set_new(row, "npv_usd", json_real(npv));
    json_object_set_new(row, "regret_usd", json_real(best - npv));
    json_object_set_new(row, "regret_at_most_usd", json_real(found->bound_usd - npv));
    json_object_set_new(row, "unserved", json_real(unserved_share(&s->problem, &path->plan)));
    add_use(row, &facts, s->n);
    json_object_set_new(row, "capex", rub_document_capex(&facts));
    json_object_set_new(row, "cash", rub_document_cash(&facts));
    json_object_set_new(row, "limits_broken", json_integer(path->evaluation.n_violation));
    if (path->evaluation.n_violation)
        json_object_set_new(row, "broken", json_string(path->evaluation.violation));
    if (path->rests)
        json_object_set_new(row, "rests",
                            json_string("no plan kept every limit after the last quarter "
                                        "replayed: the contracts went on"));
    return row;
}

/* ---- agreement ------------------------------------------------------------------------------- */

enum { GOES, HOLDS, LEAVES, NEITHER };

static int direction(const rub_step *step) {
    switch ((rub_action)step->action) {
    case RUB_ACTION_NONE:
    case RUB_ACTION_SERVE:
        return step->state.stage == RUB_STAGE_ENDED ? LEAVES : NEITHER;
    case RUB_ACTION_WAIT:
    case RUB_ACTION_PAUSE:
    case RUB_ACTION_DEFER:
        return HOLDS;
    case RUB_ACTION_CANCEL:
    case RUB_ACTION_SUBLET:
    case RUB_ACTION_RETIRE:
        return LEAVES;
    default:
        return GOES;
    }
}

/* Share of MW-quarters in which both paths go on, hold or leave, where either decides. */
static double agreement(const rub_replay_found *found) {
    const rub_story *s = found->story;
    double all = 0.0, same = 0.0;
    for (int32_t t = 0; t < s->n_replayed; t++)
        for (int32_t b = 0; b < s->problem.n_block; b++) {
            int a = direction(step_at(&found->path[0], b, t));
            int o = direction(step_at(&found->path[1], b, t));
            if ((a == NEITHER && o == NEITHER) || (a == LEAVES && o == LEAVES) ||
                !is_known(s, b, t))
                continue;
            all += block_mw(s, b);
            same += a == o ? block_mw(s, b) : 0.0;
        }
    return all > 0 ? same / all : 1.0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static json_t *outcome_rows(const rub_study *whole) {
    json_t *rows = json_array();
    for (int32_t t = 0; t < whole->replay.n_outcome; t++) {
        const rub_study_outcome *o = &whole->replay.outcome[t];
        json_array_append_new(
            rows, json_pack("{s:o,s:s,s:s}", "quarter", quarter_json(whole->start_q + t), "status",
                            rub_study_status_text(o->status), "source", text_or_empty(o->source)));
    }
    return rows;
}

static json_t *replay_row(const rub_replay_found *found) {
    const rub_story *s = found->story;
    return json_pack("{s:o,s:o,s:o,s:i,s:f}", "start", quarter_json(s->whole->start_q), "until",
                     quarter_json(s->whole->replay.until_q), "end",
                     quarter_json(s->whole->start_q + s->n - 1), "horizon_quarters",
                     s->whole->n_quarter, "agreement", agreement(found));
}

json_t *rub_replay_document(const rub_replay_found *found) {
    const rub_story *s = found->story;
    rub_facts facts = {
        .study = &s->study, .tree = &s->tree, .problem = &s->problem, .yields = &s->yields};
    json_t *document = json_object(), *paths = json_array();
    json_object_set_new(
        document, "rubato",
        json_pack("{s:s,s:s,s:i}", "version", rub_version(), "kind", "replay", "schema", 1));
    json_object_set_new(document, "study",
                        rub_document_study(&facts, found->what_if, found->n_what_if));
    json_object_set_new(document, "replay", replay_row(found));
    json_object_set_new(document, "information", information_rows(s->whole));
    json_object_set_new(document, "quarters", quarter_rows(found));
    for (int32_t i = 0; i < found->n_path; i++)
        json_array_append_new(paths, path_row(found, &found->path[i]));
    json_object_set_new(document, "paths", paths);
    json_object_set_new(document, "hindsight", path_row(found, found->hindsight));
    json_object_set_new(document, "outcome", outcome_rows(s->whole));
    json_object_set_new(document, "sources", rub_document_sources(&facts));
    return document;
}
