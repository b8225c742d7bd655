/* Rollout: policies walked along sampled futures. In each quarter only that quarter's row of the problem
 * is filled, so nothing later can be seen. Paths are simulated in parts, so memory does not grow
 * with their number. */
#include "plan/rollout.h"

#include "base/array.h"
#include "base/tasks.h"
#include "plan/single.h"
#include "plan/walk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PART 500 /* paths simulated at a time */

/* One thread's world: a future as a chain of nodes, and a walk along it. */
typedef struct world {
    rub_tree tree;
    rub_problem problem;
    rub_walk walk;
} world;

/* ---- memory --------------------------------------------------------------------------------- */

static void clear_world(world *w) {
    rub_walk_clear(&w->walk);
    rub_problem_clear(&w->problem);
    rub_tree_clear(&w->tree);
}

/* w stays where it is: its walk points to its problem. */
static rub_status make_world(const rub_study *study, const rub_yields *yields,
                             const rub_automaton *automaton, const double *path, size_t memory_size,
                             world *w, rub_error *err) {
    *w = (world){0};
    RUB_TRY(rub_single_tree(study->n_quarter, rub_features_of(study).n, path, &w->tree, err));
    RUB_TRY(rub_plan_problem(study, &w->tree, yields, &w->problem, err));
    w->problem.tree = &w->tree;
    return rub_walk_make(&w->problem, yields, automaton, memory_size, &w->walk, err);
}

static void begin_path(world *w, const double *path) {
    if (path)
        memcpy(w->tree.feature, path,
               (size_t)w->tree.n_node * (size_t)w->tree.n_feature * sizeof(double));
    rub_walk_begin(&w->walk);
}

/* ---- many paths ----------------------------------------------------------------------------- */

typedef struct job {
    const rub_study *study;
    const rub_policy *policy;
    const rub_rollout_def *def;
    const rub_paths *paths;
    rub_rollout *out;
    world *world; /* (threads) */
    int32_t first, n_year, first_year;
    int32_t stride;     /* every so many paths one is audited */
    uint8_t *verdict;   /* of this part: 0 not audited, 1 fine, +2 costed otherwise, +4 broken */
    rub_status *status; /* (threads) */
} job;

static void use_of_path(const world *w, double *unserved, double *idle) {
    const rub_problem *p = &w->problem;
    double worth = 0.0, lost = 0.0, live = 0.0, used = 0.0;
    for (size_t i = 0; i < (size_t)p->n_node * (size_t)p->n_demand; i++) {
        worth += p->value_usd[i] * p->demand[i];
        lost += p->value_usd[i] * (p->demand[i] - w->walk.plan.served[i]);
    }
    for (size_t i = 0; i < (size_t)p->n_node * (size_t)p->n_region * (size_t)p->n_gen; i++)
        used += w->walk.plan.train_mw[i] + w->walk.plan.infer_mw[i];
    for (int32_t b = 0; b < p->n_block; b++)
        for (int32_t t = 0; t < p->n_quarter; t++) {
            const rub_step *step = &w->walk.plan.step[(size_t)b * (size_t)p->n_quarter + (size_t)t];
            bool serves = step->state.stage == RUB_STAGE_LIVE &&
                          (step->action == RUB_ACTION_SERVE || step->action == RUB_ACTION_RENEW);
            const rub_study_site *site = &p->study->site[p->block[b].site];
            double mine = step->state.held && site->rofr_partner >= 0
                              ? 1.0 - p->study->partner[site->rofr_partner].rofr_share_frac
                              : 1.0;
            live += serves ? mine * site->block_mw : 0.0;
        }
    *unserved = worth > 0 ? lost / worth : 0.0;
    *idle = live > 0 ? fmax(0.0, 1.0 - used / live) : 0.0;
}

static uint8_t audit(const job *j, const world *w, char broken[256]) {
    rub_evaluation e = {0};
    uint8_t verdict = 1;
    if (rub_plan_evaluate(&w->problem, &w->walk.plan, &e, NULL) != RUB_OK)
        return 0;
    if (fabs(e.mean_npv_usd - w->walk.npv) > 1e-6 * fmax(1.0, fabs(w->walk.npv)))
        verdict |= 2;
    bool budget_only = !j->policy->keeps_budget && !strncmp(e.violation, "capex of", 8);
    if (e.n_violation > 0 && !budget_only) {
        verdict |= 4;
        memcpy(broken, e.violation, 256);
    }
    rub_evaluation_clear(&e);
    return verdict;
}

static void run_path(void *ctx, int32_t i, int32_t thread) {
    job *j = ctx;
    world *w = &j->world[thread];
    size_t path = (size_t)(j->first + i), row = (size_t)w->tree.n_node * (size_t)w->tree.n_feature;
    char broken[256];
    begin_path(w, j->paths->value + (size_t)i * row);
    memset(j->out->spend_usd + path * (size_t)j->n_year * 2, 0,
           (size_t)j->n_year * 2 * sizeof(double));
    for (int32_t t = 0; t < w->tree.n_node; t++) {
        rub_status status = rub_walk_quarter(&w->walk, j->policy, t);
        if (status != RUB_OK) {
            j->status[thread] = status;
            return;
        }
        int32_t year = rub_study_fiscal_year(j->study, j->study->start_q + t) - j->first_year;
        double *spend = j->out->spend_usd + (path * (size_t)j->n_year + (size_t)year) * 2;
        spend[0] += w->walk.long_usd;
        spend[1] += w->walk.short_usd;
    }
    j->out->npv_usd[path] = w->walk.npv;
    use_of_path(w, &j->out->unserved[path], &j->out->idle[path]);
    if (path % (size_t)j->stride == 0)
        j->verdict[i] = audit(j, w, broken);
}

static bool allocate(const rub_study *study, int32_t n_path, int32_t n_policy, rub_rollouts *r) {
    r->n_path = n_path;
    r->n_policy = n_policy;
    r->first_year = rub_study_fiscal_year(study, study->start_q);
    r->n_year =
        rub_study_fiscal_year(study, study->start_q + study->n_quarter - 1) - r->first_year + 1;
    r->of = RUB_NEW(rub_rollout, n_policy);
    bool ok = r->of;
    for (int32_t k = 0; ok && k < n_policy; k++) {
        r->of[k].npv_usd = RUB_NEW(double, n_path);
        r->of[k].spend_usd = RUB_NEW(double, (size_t)n_path *(size_t)r->n_year * 2);
        r->of[k].unserved = RUB_NEW(double, n_path);
        r->of[k].idle = RUB_NEW(double, n_path);
        ok = r->of[k].npv_usd && r->of[k].spend_usd && r->of[k].unserved && r->of[k].idle;
    }
    return ok;
}

void rub_rollouts_clear(rub_rollouts *r) {
    for (int32_t k = 0; r->of && k < r->n_policy; k++) {
        free(r->of[k].npv_usd);
        free(r->of[k].spend_usd);
        free(r->of[k].unserved);
        free(r->of[k].idle);
    }
    free(r->of);
    *r = (rub_rollouts){0};
}

/* The audit's words of the first broken path: run again, as tasks share no text. */
static void count_verdicts(job *j, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        j->out->n_audited += j->verdict[i] & 1;
        j->out->n_wrong += (j->verdict[i] & 2) != 0;
        j->out->n_broken += (j->verdict[i] & 4) != 0;
        if ((j->verdict[i] & 4) && !j->out->broken[0]) {
            int32_t stride = j->stride;
            run_path(j, i, 0);
            audit(j, &j->world[0], j->out->broken);
            j->stride = stride;
        }
    }
}

static rub_status run_part(job *j, int32_t n, int32_t n_thread, rub_error *err) {
    memset(j->verdict, 0, (size_t)n);
    memset(j->status, 0, (size_t)n_thread * sizeof *j->status);
    rub_parallel_for(n, n_thread, run_path, j);
    for (int32_t i = 0; i < n_thread; i++)
        if (j->status[i] != RUB_OK)
            return rub_error_set(err, j->status[i], "policy '%s' finds nothing that a block may do",
                                 j->policy->name);
    count_verdicts(j, n);
    return RUB_OK;
}

static rub_status run_parts(job *j, const rub_policy *policy, int32_t n_policy, int32_t n_thread,
                            const rub_progress *progress, rub_rollouts *r, rub_error *err) {
    const rub_rollout_def *def = j->def;
    for (int32_t first = 0; first < def->n_path; first += PART) {
        int32_t n = def->n_path - first < PART ? def->n_path - first : PART;
        rub_paths paths = {0};
        RUB_TRY(rub_process_simulate_from(j->study, first, n, def->seed, &paths, err));
        rub_status status = RUB_OK;
        for (int32_t k = 0; status == RUB_OK && k < n_policy; k++) {
            j->first = first;
            j->paths = &paths;
            j->policy = &policy[k];
            j->out = &r->of[k];
            status = run_part(j, n, n_thread, err);
        }
        rub_paths_clear(&paths);
        RUB_TRY(status);
        if (!rub_progress_report(progress, "out of sample", first + n, def->n_path, NULL))
            return rub_error_set(err, RUB_INTERRUPTED, "stopped");
    }
    return RUB_OK;
}

rub_status rub_rollout_run(const rub_study *study, const rub_yields *yields,
                           const rub_automaton *automaton, const rub_policy *policy,
                           int32_t n_policy, const rub_rollout_def *def,
                           const rub_progress *progress, rub_rollouts *out, rub_error *err) {
    rub_rollouts r = {0};
    int32_t n_thread = rub_thread_count(def->n_thread), made = 0;
    size_t most = 0;
    for (int32_t k = 0; k < n_policy; k++)
        most = policy[k].memory_size > most ? policy[k].memory_size : most;
    world *world_of = rub_calloc((size_t)n_thread, sizeof *world_of);
    job j = {.study = study,
             .def = def,
             .world = world_of,
             .stride =
                 def->n_audit > 0 ? (def->n_path + def->n_audit - 1) / def->n_audit : INT32_MAX,
             .verdict = RUB_NEW(uint8_t, PART),
             .status = RUB_NEW(rub_status, n_thread)};
    bool ok = allocate(study, def->n_path, n_policy, &r) && world_of && j.verdict && j.status;
    rub_status status = ok ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory for paths");
    j.first_year = r.first_year;
    j.n_year = r.n_year;
    for (; status == RUB_OK && made < n_thread; made++)
        status = make_world(study, yields, automaton, NULL, most, &world_of[made], err);
    if (status == RUB_OK)
        status = run_parts(&j, policy, n_policy, n_thread, progress, &r, err);
    for (int32_t i = 0; world_of && i < made; i++)
        clear_world(&world_of[i]);
    free(world_of);
    free(j.verdict);
    free(j.status);
    if (status != RUB_OK) {
        rub_rollouts_clear(&r);
        return rub_error_set(err, status, "%s",
                             err && err->message[0] ? err->message : rub_status_text(status));
    }
    *out = r;
    return RUB_OK;
}

rub_status rub_rollout_one(const rub_study *study, const rub_yields *yields,
                           const rub_automaton *automaton, const rub_policy *policy,
                           const double *path, rub_tree *tree, rub_problem *problem, rub_plan *plan,
                           double *npv_usd, rub_error *err) {
    world w;
    rub_status status = make_world(study, yields, automaton, path, policy->memory_size, &w, err);
    if (status == RUB_OK) {
        begin_path(&w, path);
        for (int32_t t = 0; status == RUB_OK && t < w.tree.n_node; t++)
            status = rub_walk_quarter(&w.walk, policy, t);
    }
    if (status == RUB_OK) {
        *tree = w.tree;
        *problem = w.problem;
        problem->tree = tree;
        *plan = w.walk.plan;
        *npv_usd = w.walk.npv;
        w.tree = (rub_tree){0};
        w.problem = (rub_problem){0};
        w.walk.plan = (rub_plan){0};
    } else
        rub_error_set(err, status, "%s", err && err->message[0] ? err->message : "rollout");
    clear_world(&w);
    return status;
}
