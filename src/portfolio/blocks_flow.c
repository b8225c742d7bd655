/* Blocks: when an arc is open, and what it pays, uses and gives (docs/portfolio.md's table). */
#include "portfolio/blocks.h"

#include "portfolio/terms.h"

#include <math.h>

typedef struct view {
    const rub_problem *p;
    const rub_study_site *site;
    const rub_block_state *state; /* before */
    const rub_block_state *next;
    const rub_arc *arc;
    int32_t q;
} view;

static view look(const rub_problem *p, const rub_automaton *a, int32_t arc, int32_t t) {
    const rub_arc *one = &a->arc[arc];
    return (view){.p = p,
                  .site = &p->study->site[a->site],
                  .state = &a->state[one->from],
                  .next = &a->state[one->to],
                  .arc = one,
                  .q = p->study->start_q + t};
}

static bool under_lease(rub_stage stage) {
    return stage >= RUB_STAGE_SIGNED && stage <= RUB_STAGE_SUBLET;
}

/* Signing: a term that is already over decides which arc it is. */
static bool may_sign(const view *v) {
    int32_t end = rub_terms_end_q(v->site, 0);
    bool over = end != RUB_NEVER && v->q + 1 > end;
    return v->q <= v->site->option_expiry_q && v->next->renewed == over;
}

/* At the lease's end only renewing and leaving are open; before it renewing is not. */
static bool at_end(const view *v) {
    rub_stage stage = (rub_stage)v->state->stage;
    return under_lease(stage) && !v->state->renewed &&
           v->q >= rub_terms_end_q(v->site, v->state->deferred);
}

static bool may_cancel(const view *v) {
    switch ((rub_stage)v->state->stage) {
    case RUB_STAGE_TALKS:
    case RUB_STAGE_OPTION:
        return true;
    case RUB_STAGE_FITTING:
    case RUB_STAGE_SUBLET:
        return false;
    case RUB_STAGE_PAUSED:
        return v->state->age == 0 && (v->p->allow & RUB_ALLOW_CANCEL) != 0;
    default:
        return (v->p->allow & RUB_ALLOW_CANCEL) != 0;
    }
}

static bool open_at(const view *v) {
    rub_stage stage = (rub_stage)v->state->stage;
    if (at_end(v))
        return v->arc->action == RUB_ACTION_RENEW || v->arc->action == RUB_ACTION_CANCEL;
    switch ((rub_action)v->arc->action) {
    case RUB_ACTION_RENEW:
        return false;
    case RUB_ACTION_WAIT:
        return stage == RUB_STAGE_TALKS
                   ? v->q < v->site->close_q
                   : stage != RUB_STAGE_OPTION || v->q < v->site->option_expiry_q;
    case RUB_ACTION_SIGN:
        return may_sign(v);
    case RUB_ACTION_DEFER:
        return v->site->commence_q != RUB_NEVER && v->q < v->site->commence_q + v->state->deferred;
    case RUB_ACTION_SUBLET:
        return stage != RUB_STAGE_PAUSED || v->state->age == 0;
    case RUB_ACTION_CANCEL:
        return may_cancel(v);
    default:
        return true;
    }
}

bool rub_arc_open(const rub_problem *problem, const rub_automaton *a, int32_t arc, int32_t t) {
    view v = look(problem, a, arc, t);
    return open_at(&v);
}

bool rub_arc_has(const rub_problem *p, const rub_automaton *a, int32_t arc, int32_t node) {
    const rub_arc *one = &a->arc[arc];
    int32_t k = p->study->site[a->site].rofr_partner;
    if (one->action == RUB_ACTION_FIT_OUT || one->action == RUB_ACTION_REFRESH)
        return p->may_order[(size_t)node * (size_t)p->n_gen + one->gen] != 0;
    if (one->action != RUB_ACTION_SIGN)
        return true;
    bool exercised = k >= 0 && p->rofr[(size_t)node * (size_t)p->study->n_partner + (size_t)k];
    return a->state[one->to].held == exercised;
}

bool rub_arc_allowed(const rub_problem *problem, const rub_automaton *a, int32_t arc,
                     int32_t node) {
    return rub_arc_open(problem, a, arc, problem->tree->quarter[node]) &&
           rub_arc_has(problem, a, arc, node);
}

/* ---- money ---------------------------------------------------------------------------------- */

static void resell(const view *v, rub_arc_terms *f) {
    double kept = v->p->study->generation[v->state->gen].residual_frac_per_year;
    f->resale_mw += v->site->block_mw * pow(kept, v->state->age / 4.0);
    f->resale_gen = v->state->gen;
}

static double shell_share_usd(const view *v) {
    double all = v->site->block_mw * v->site->shell_usd_per_mw;
    return v->site->build_for_q > 0 ? all / v->site->build_for_q : all;
}

static void spend(rub_arc_terms *f, double usd) {
    f->cash_usd -= usd;
    f->capex_usd += usd;
}

static void order(const view *v, rub_arc_terms *f) {
    spend(f, v->site->block_mw * v->site->fit_usd_per_mw);
    f->order_mw = v->site->block_mw;
    f->order_gen = v->arc->gen;
}

static void serve(const view *v, rub_arc_terms *f) {
    double mw = v->site->block_mw, share = 0.0;
    f->cash_usd -= v->site->opex_usd_per_mw_q * mw;
    if (v->state->held) {
        const rub_study_partner *k = &v->p->study->partner[v->site->rofr_partner];
        share = k->rofr_share_frac;
        f->cash_usd += k->rofr_usd_per_mw_q * share * mw;
    }
    f->own_mw = (1.0 - share) * mw;
    f->live_gen = v->state->gen;
    f->training = v->state->training;
}

static void let(const view *v, rub_arc_terms *f) {
    f->let_mw = v->site->sublet_frac * v->site->block_mw;
    f->sublet_mw = v->site->block_mw;
}

/* The quarter of a state that waits (or renews) in it. */
static void hold(const view *v, rub_arc_terms *f) {
    double mw = v->site->block_mw;
    switch ((rub_stage)v->state->stage) {
    case RUB_STAGE_OPTION:
        f->cash_usd -= v->site->option_fee_usd;
        break;
    case RUB_STAGE_SIGNED:
    case RUB_STAGE_SHELL:
        f->cash_usd -= v->site->hold_usd_per_mw_q * mw;
        break;
    case RUB_STAGE_PAUSED:
        f->cash_usd -= v->site->pause_usd_per_mw_q * mw;
        break;
    case RUB_STAGE_SUBLET:
        let(v, f);
        break;
    default:
        break;
    }
}

static void proceed(const view *v, rub_arc_terms *f) {
    if (v->state->stage == RUB_STAGE_SIGNED || v->state->stage == RUB_STAGE_BUILDING)
        spend(f, shell_share_usd(v));
}

static void resume(const view *v, rub_arc_terms *f) {
    if (v->state->stage == RUB_STAGE_SUBLET)
        let(v, f);
    else if (v->state->age > 0)
        f->cash_usd -= v->site->pause_usd_per_mw_q * v->site->block_mw;
    else
        spend(f, v->site->resume_usd_per_mw * v->site->block_mw);
}

static void upgrade(const view *v, rub_arc_terms *f) {
    double mw = v->site->block_mw;
    spend(f, v->site->upgrade_usd_per_mw * mw);
    f->cash_usd -= mw * (v->state->stage == RUB_STAGE_LIVE ? v->site->opex_usd_per_mw_q
                                                           : v->site->hold_usd_per_mw_q);
}

static void renew(const view *v, rub_arc_terms *f) {
    if (v->state->stage == RUB_STAGE_LIVE)
        serve(v, f);
    else if (v->state->stage == RUB_STAGE_BUILDING)
        proceed(v, f);
    else
        hold(v, f);
}

static void leave(const view *v, rub_arc_terms *f) {
    if (v->state->stage == RUB_STAGE_LIVE)
        resell(v, f);
    if (under_lease((rub_stage)v->state->stage) && !at_end(v))
        f->cash_usd -= rub_terms_exit_usd(v->site, v->q, v->state->deferred, v->state->renewed);
}

static void sublet(const view *v, rub_arc_terms *f) {
    if (v->state->stage == RUB_STAGE_SHELL)
        f->cash_usd -= v->site->hold_usd_per_mw_q * v->site->block_mw;
    else
        f->sublet_mw = v->site->block_mw; /* assigned */
}

static void act(const view *v, rub_arc_terms *f) {
    switch ((rub_action)v->arc->action) {
    case RUB_ACTION_WAIT:
        hold(v, f);
        break;
    case RUB_ACTION_SIGN:
        spend(f, v->site->sign_usd);
        break;
    case RUB_ACTION_PROCEED:
        proceed(v, f);
        break;
    case RUB_ACTION_PAUSE:
        f->cash_usd -= v->site->pause_usd_per_mw_q * v->site->block_mw;
        break;
    case RUB_ACTION_RESUME:
        resume(v, f);
        break;
    case RUB_ACTION_DEFER:
        f->cash_usd -=
            (v->site->defer_usd_per_mw_q + v->site->hold_usd_per_mw_q) * v->site->block_mw;
        break;
    case RUB_ACTION_REFRESH:
        resell(v, f);
        order(v, f);
        break;
    case RUB_ACTION_FIT_OUT:
        order(v, f);
        break;
    case RUB_ACTION_SERVE:
        serve(v, f);
        break;
    case RUB_ACTION_UPGRADE:
        upgrade(v, f);
        break;
    case RUB_ACTION_SUBLET:
        sublet(v, f);
        break;
    case RUB_ACTION_RENEW:
        renew(v, f);
        break;
    case RUB_ACTION_CANCEL:
        leave(v, f);
        break;
    case RUB_ACTION_RETIRE:
        resell(v, f);
        break;
    default:
        break;
    }
}

rub_arc_terms rub_arc_terms_at(const rub_problem *problem, const rub_automaton *a, int32_t arc,
                               int32_t t) {
    view v = look(problem, a, arc, t);
    rub_arc_terms f = {0};
    act(&v, &f);
    bool leaves = v.arc->action == RUB_ACTION_CANCEL ||
                  (v.arc->action == RUB_ACTION_SUBLET && v.next->stage == RUB_STAGE_ENDED);
    if (under_lease((rub_stage)v.state->stage) && !leaves) {
        /* the quarter of renewal already has the second term's rent */
        bool renewed = v.state->renewed || v.arc->action == RUB_ACTION_RENEW;
        f.cash_usd -= rub_terms_rent_usd(v.site, v.q, v.state->deferred, renewed);
    }
    return f;
}

double rub_arc_terms_cash(const rub_problem *p, const rub_arc_terms *f, int32_t region,
                          int32_t node) {
    const double *price = p->gen_usd_per_mw + (size_t)node * (size_t)p->n_gen;
    double let = p->sublet_usd_per_mw[(size_t)node * (size_t)p->n_region + (size_t)region];
    return f->cash_usd - f->order_mw * price[f->order_gen] + f->resale_mw * price[f->resale_gen] +
           f->let_mw * let;
}

double rub_arc_terms_capex(const rub_problem *p, const rub_arc_terms *f, int32_t node) {
    return f->capex_usd +
           f->order_mw * p->gen_usd_per_mw[(size_t)node * (size_t)p->n_gen + f->order_gen];
}

rub_arc_flow rub_arc_flow_at(const rub_problem *problem, const rub_automaton *a, int32_t arc,
                             int32_t node) {
    rub_arc_terms f = rub_arc_terms_at(problem, a, arc, problem->tree->quarter[node]);
    int32_t region = problem->study->site[a->site].region;
    return (rub_arc_flow){.cash_usd = rub_arc_terms_cash(problem, &f, region, node),
                          .capex_usd = rub_arc_terms_capex(problem, &f, node),
                          .order_mw = f.order_mw,
                          .own_mw = f.own_mw,
                          .sublet_mw = f.sublet_mw,
                          .order_gen = f.order_gen,
                          .live_gen = f.live_gen,
                          .training = f.training};
}

rub_arc_terms rub_state_terminal_terms(const rub_problem *problem, const rub_automaton *a,
                                       int32_t state) {
    const rub_study *study = problem->study;
    const rub_study_site *site = &study->site[a->site];
    const rub_block_state *s = &a->state[state];
    rub_arc_terms f = {0};
    double done = 0.0;
    if (s->stage == RUB_STAGE_LIVE || s->stage == RUB_STAGE_FITTING) {
        double age = s->stage == RUB_STAGE_LIVE ? s->age : 0.0;
        f.resale_gen = s->gen;
        f.resale_mw =
            site->block_mw * pow(study->generation[s->gen].residual_frac_per_year, age / 4.0);
    }
    if (!site->owned || !under_lease((rub_stage)s->stage))
        return f;
    if (s->stage == RUB_STAGE_BUILDING || s->stage == RUB_STAGE_PAUSED)
        done = site->build_for_q > 0 ? 1.0 - (double)s->remaining / site->build_for_q : 1.0;
    else if (s->stage != RUB_STAGE_SIGNED)
        done = 1.0;
    double kept = study->shell_life_years > 0
                      ? fmax(0.0, 1.0 - problem->n_quarter / 4.0 / study->shell_life_years)
                      : 0.0;
    f.cash_usd = kept * (site->sign_usd + site->shell_usd_per_mw * site->block_mw * done);
    return f;
}

double rub_state_terminal_usd(const rub_problem *problem, const rub_automaton *a, int32_t state,
                              int32_t leaf) {
    rub_arc_terms f = rub_state_terminal_terms(problem, a, state);
    return rub_arc_terms_cash(problem, &f, problem->study->site[a->site].region, leaf);
}
