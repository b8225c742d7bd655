#include "replay/story.h"

#include "base/array.h"
#include "base/file.h"
#include "plan/policy.h"
#include "plan/single.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what came, as features ------------------------------------------------------------------ */

/* Talks close when the outcome says so, and those that are certain do. */
static bool talks_closed(const rub_study_site *site, bool listed, int32_t q) {
    return site->stage == RUB_STAGE_TALKS && q >= site->close_q &&
           (listed || site->close_prob >= 1.0);
}

/* One quarter as columns of rub_features. newly: partners count as gone in the quarter of going alone, for
 * a problem of one quarter that would pay their exit again. */
static void fill_features(const rub_study *study, const rub_story *story, int32_t t, bool newly,
                          double *row) {
    rub_features f = rub_features_of(study);
    const rub_study_outcome *outcome = &story->whole->replay.outcome[t];
    int32_t q = story->whole->start_q + t;
    for (int32_t i = 0; i < study->n_demand; i++)
        row[f.demand + i] = outcome->as.demand[i];
    for (int32_t g = 0; g < study->n_generation; g++) {
        row[f.price + g] = 1.0;
        row[f.available + g] =
            q >= study->generation[g].first_q && q <= study->generation[g].last_q;
    }
    row[f.yield] = row[f.rent] = row[f.depth] = 1.0;
    for (int32_t r = 0; r < study->n_region; r++)
        row[f.grid + r] = 1.0;
    for (int32_t k = 0; k < study->n_partner; k++) {
        bool before = t > 0 && outcome[-1].as.partner_left[k];
        bool gone = outcome->as.partner_left[k] && !(newly && before);
        row[f.left + k] = gone ? study->partner[k].leave_frac : 0.0;
        row[f.rofr + k] = outcome->as.rofr_exercised[k];
    }
    for (int32_t i = 0; i < study->n_site; i++)
        row[f.talks + i] = talks_closed(&study->site[i], outcome->as.talks_ok[i], q);
}

/* ---- what came, as a problem ----------------------------------------------------------------- */

static void copy(double *to, int32_t to_node, const double *from, int32_t from_node, int32_t n) {
    memcpy(to + (size_t)to_node * (size_t)n, from + (size_t)from_node * (size_t)n,
           (size_t)n * sizeof(double));
}

static void copy_generations(rub_problem *to, int32_t i, const rub_problem *from, int32_t k) {
    for (int32_t g = 0; g < to->n_gen; g++) {
        size_t a = (size_t)i * (size_t)to->n_gen + (size_t)g;
        size_t b = (size_t)k * (size_t)from->n_gen + (size_t)g;
        bool known = g < from->n_gen;
        to->may_order[a] = known && from->may_order[b];
        if (!known)
            continue;
        to->gen_usd_per_mw[a] = from->gen_usd_per_mw[b];
        to->tok_per_s_per_mw[a] = from->tok_per_s_per_mw[b];
        to->train_per_mw[a] = from->train_per_mw[b];
        to->supply_mw[a] = from->supply_mw[b];
    }
}

static void copy_steps(double *to, int32_t to_n, const double *from, int32_t from_n) {
    for (int32_t s = 0; s < to_n; s++)
        to[s] = s < from_n ? from[s] : 0.0;
}

void rub_story_copy_node(rub_problem *to, int32_t i, const rub_problem *from, int32_t k) {
    int32_t d = to->n_demand, r = to->n_region, partners = to->study->n_partner;
    copy(to->demand, i, from->demand, k, d);
    copy(to->value_usd, i, from->value_usd, k, d);
    copy(to->penalty_usd, i, from->penalty_usd, k, d);
    copy_generations(to, i, from, k);
    copy(to->power_usd_per_mw, i, from->power_usd_per_mw, k, r);
    copy(to->grid_mw, i, from->grid_mw, k, r);
    copy(to->sublet_usd_per_mw, i, from->sublet_usd_per_mw, k, r);
    copy(to->sublet_depth_mw, i, from->sublet_depth_mw, k, r);
    copy(to->ship_usd, i, from->ship_usd, k, to->n_link);
    for (int32_t m = 0; m <= r; m++) {
        size_t a = ((size_t)i * (size_t)(r + 1) + (size_t)m) * (size_t)to->n_step;
        size_t b = ((size_t)k * (size_t)(r + 1) + (size_t)m) * (size_t)from->n_step;
        copy_steps(to->rent_in_depth + a, to->n_step, from->rent_in_depth + b, from->n_step);
        copy_steps(to->rent_in_usd + a, to->n_step, from->rent_in_usd + b, from->n_step);
        copy_steps(to->rent_out_depth + a, to->n_step, from->rent_out_depth + b, from->n_step);
        copy_steps(to->rent_out_usd + a, to->n_step, from->rent_out_usd + b, from->n_step);
    }
    to->fixed_cash_usd[i] = from->fixed_cash_usd[k];
    for (int32_t p = 0; p < partners; p++)
        to->rofr[(size_t)i * (size_t)partners + (size_t)p] =
            from->rofr[(size_t)k * (size_t)partners + (size_t)p];
}

/* Quarter t at its view's prices: a problem of that quarter alone, copied into the story's. */
static rub_status settle_quarter(rub_story *s, int32_t t, rub_error *err) {
    rub_view *view = &s->view[t];
    rub_study now = view->study;
    rub_tree tree = {0};
    rub_problem one = {0};
    rub_yields yields;
    double *blended = NULL;
    now.start_q = s->whole->start_q + t;
    now.n_quarter = 1;
    rub_status status = rub_view_yields(view, &s->yields, &yields, &blended, err);
    if (status == RUB_OK)
        status = rub_single_tree(1, rub_features_of(&now).n, NULL, &tree, err);
    if (status == RUB_OK) {
        fill_features(&now, s, t, true, tree.feature);
        status = rub_plan_problem(&now, &tree, &yields, &one, err);
    }
    if (status == RUB_OK && one.n_step > s->problem.n_step)
        status = rub_error_set(err, RUB_INVALID,
                               "the rental market has more steps in an earlier quarter than at the "
                               "end, expected rows that keep their number");
    if (status == RUB_OK)
        rub_story_copy_node(&s->problem, t, &one, 0);
    rub_problem_clear(&one);
    rub_tree_clear(&tree);
    free(blended);
    return status;
}

static rub_status make_problem(rub_story *s, rub_error *err) {
    s->study = *s->whole;
    s->study.n_quarter = s->n;
    int32_t n_feature = rub_features_of(&s->study).n;
    RUB_TRY(rub_single_tree(s->n, n_feature, NULL, &s->tree, err));
    for (int32_t t = 0; t < s->n; t++)
        fill_features(&s->study, s, t, false, s->tree.feature + (size_t)t * (size_t)n_feature);
    RUB_TRY(rub_plan_problem(&s->study, &s->tree, &s->yields, &s->problem, err));
    for (int32_t t = 0; t < s->n; t++)
        RUB_TRY(settle_quarter(s, t, err));
    return rub_automata_make(&s->problem, &s->automaton, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

static rub_status read_known(const char *path, const rub_file *file, const char *const *what_if,
                             size_t n_what_if, int64_t seed, rub_story *s, rub_error *err) {
    RUB_TRY(rub_study_read_known(path, file->data, file->n, what_if, n_what_if, RUB_NEVER,
                                 &s->whole, NULL, err));
    s->n = s->whole->replay.n_outcome;
    s->n_replayed = s->whole->replay.until_q - s->whole->start_q + 1;
    s->known = RUB_NEW(rub_study *, s->n);
    s->view = RUB_NEW(rub_view, s->n);
    if (!s->known || !s->view)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %d quarters", s->n);
    for (int32_t t = 0; t < s->n; t++) {
        int32_t q = s->whole->start_q + t;
        RUB_TRY(rub_study_read_known(path, file->data, file->n, what_if, n_what_if, q, &s->known[t],
                                     NULL, err));
        if (seed >= 0)
            s->known[t]->seed = (uint64_t)seed;
        RUB_TRY(rub_view_make(s->known[t], q, t ? &s->view[t - 1] : NULL, &s->view[t], err));
    }
    if (seed >= 0)
        s->whole->seed = (uint64_t)seed;
    return RUB_OK;
}

/* The study's own replay, or that of the file that it names. */
static rub_status read_replay(const char *path, const char *const *what_if, size_t n_what_if,
                              int64_t seed, rub_story *out, rub_error *err) {
    rub_file file;
    rub_study *study = NULL;
    RUB_TRY(rub_study_read(path, NULL, 0, &study, err));
    const char *where = study->replay_study ? study->replay_study : path;
    rub_status status = rub_file_open(where, &file, err);
    if (status == RUB_OK) {
        status = read_known(where, &file, what_if, n_what_if, seed, out, err);
        rub_file_close(&file);
    }
    rub_study_free(study);
    return status;
}

rub_status rub_story_read(const char *path, const char *const *what_if, size_t n_what_if,
                          int64_t seed, int32_t n_thread, const rub_progress *progress,
                          rub_story *out, rub_error *err) {
    *out = (rub_story){0};
    RUB_TRY(read_replay(path, what_if, n_what_if, seed, out, err));
    RUB_TRY(rub_yields_make(out->whole, n_thread, progress, &out->yields, err));
    return make_problem(out, err);
}

void rub_story_clear(rub_story *s) {
    if (s->automaton)
        rub_automata_free(s->automaton, s->study.n_site);
    rub_problem_clear(&s->problem);
    rub_tree_clear(&s->tree);
    rub_yields_clear(&s->yields);
    for (int32_t t = 0; s->view && t < s->n; t++)
        rub_view_clear(&s->view[t]);
    for (int32_t t = 0; s->known && t < s->n; t++)
        rub_study_free(s->known[t]);
    free(s->view);
    free(s->known);
    rub_study_free(s->whole);
    *s = (rub_story){0};
}

/* ---- loads ----------------------------------------------------------------------------------- */

void rub_story_expected_loads(const rub_story *s, int32_t t, double *load) {
    const rub_study *as = &s->view[t].study;
    for (int32_t i = 0; i < as->n_demand; i++) {
        const rub_study_demand *d = &as->demand[i];
        load[i] = d->base;
        if (t == 0)
            continue;
        double season = rub_process_season(d->season_frac, s->whole->start_q + t - 1);
        double level = s->whole->replay.outcome[t - 1].as.demand[i] / fmax(season, 1e-9);
        load[i] = level * pow(1.0 + d->growth_per_year, 0.25);
        if (d->saturation > 0)
            load[i] = fmin(load[i], fmax(level, d->saturation));
    }
}
