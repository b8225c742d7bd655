/* Evaluate, one block at one node: docs/portfolio.md's table, row by row. */
#include "portfolio/evaluate.h"

#include <math.h>
#include <string.h>

/* The step under audit, with what it refers to. */
typedef struct step {
    rub_audit *a;
    const rub_problem *p;
    const rub_study_site *site;
    const rub_step *x;
    int32_t n, q, c0, end; /* node, calendar quarter, commencement, first quarter after the term */
    double mw;
} step;

static int32_t quarters(double years) { return (int32_t)lround(4.0 * years); }

static int32_t life(const step *s, int32_t g) {
    return quarters(s->p->study->generation[g].life_years);
}

static rub_block_state start_state(const rub_problem *p, const rub_study_site *site) {
    rub_block_state b = {.stage = (uint8_t)site->stage,
                         .training = site->fabric == RUB_FABRIC_TRAINING};
    int32_t life_q =
        site->generation >= 0 ? quarters(p->study->generation[site->generation].life_years) : 0;
    switch (site->stage) {
    case RUB_STAGE_BUILDING:
    case RUB_STAGE_PAUSED:
        b.remaining = (uint8_t)site->remaining_q;
        if (site->remaining_q == 0)
            b.stage = RUB_STAGE_SHELL;
        else if (site->stage == RUB_STAGE_PAUSED)
            b.age = (uint8_t)site->resume_in_q;
        break;
    case RUB_STAGE_FITTING:
        b.gen = (uint8_t)site->generation;
        b.remaining = (uint8_t)site->remaining_q;
        if (site->remaining_q == 0)
            b.stage = RUB_STAGE_LIVE;
        break;
    case RUB_STAGE_LIVE:
        b.gen = (uint8_t)site->generation;
        b.age = (uint8_t)(quarters(site->age_years) < life_q ? quarters(site->age_years) : life_q);
        break;
    case RUB_STAGE_SUBLET:
        b.remaining = (uint8_t)site->remaining_q;
        break;
    default:
        break;
    }
    bool held = site->stage >= RUB_STAGE_SIGNED && site->stage <= RUB_STAGE_SUBLET;
    b.held = held && site->held;
    if (held && !site->owned && site->term_years > 0 && site->commence_q != RUB_NEVER)
        b.renewed = p->study->start_q > site->commence_q + quarters(site->term_years);
    return b;
}

/* Talks conclude on arrival. */
static rub_block_state arrived(const rub_problem *p, int32_t site, int32_t node,
                               rub_block_state b) {
    const rub_tree *t = p->tree;
    if (b.stage != RUB_STAGE_TALKS ||
        p->study->start_q + t->quarter[node] < p->study->site[site].close_q)
        return b;
    int32_t column = rub_features_of(p->study).talks + site;
    bool closed = t->feature[(size_t)node * (size_t)t->n_feature + (size_t)column] >= 0.5;
    rub_block_state option = {.stage = RUB_STAGE_OPTION,
                              .training = p->study->site[site].fabric == RUB_FABRIC_TRAINING};
    rub_block_state over = {.stage = RUB_STAGE_ENDED};
    return closed ? option : over;
}

static bool bound(const rub_block_state *b) {
    return b->stage >= RUB_STAGE_SIGNED && b->stage <= RUB_STAGE_SUBLET;
}

static bool lease_is_over(const step *s) {
    return bound(&s->x->state) && !s->x->state.renewed && s->q >= s->end;
}

static double rent(const step *s, bool renewed) {
    if (s->site->owned || s->site->commence_q == RUB_NEVER || s->q < s->c0)
        return 0.0;
    int32_t years = (s->q - s->c0) / 4;
    double usd = s->site->rent_usd_per_kw_month * 3000.0 * s->mw *
                 pow(1.0 + s->site->rent_step_per_year, years);
    if (s->site->ramp_for_q > 0 && s->q - s->c0 + 1 < s->site->ramp_for_q)
        usd *= (double)(s->q - s->c0 + 1) / s->site->ramp_for_q;
    return renewed ? usd * s->site->renew_rent_factor : usd;
}

static double price(const step *s, int32_t g) {
    return s->p->gen_usd_per_mw[(size_t)s->n * (size_t)s->p->n_gen + (size_t)g];
}

static double resale(const step *s, int32_t g, int32_t age) {
    return price(s, g) * s->mw * pow(s->p->study->generation[g].residual_frac_per_year, age / 4.0);
}

static void pay(const step *s, rub_cash_kind kind, double usd) { rub_pay(s->a, s->n, kind, usd); }

static bool may(const step *s, uint32_t right) { return (s->p->allow & right) != 0; }

static bool orderable(const step *s) {
    return s->x->gen < s->p->n_gen &&
           s->p->may_order[(size_t)s->n * (size_t)s->p->n_gen + s->x->gen];
}

/* ---- what actions do: each returns the next state, and pays -------------------------------------- */

static rub_block_state plain(rub_block_state b, rub_stage stage, int32_t remaining) {
    b.stage = (uint8_t)stage;
    b.remaining = (uint8_t)remaining;
    b.gen = b.age = 0;
    return b;
}

static rub_block_state construct(const step *s, rub_block_state b, int32_t left) {
    (void)s;
    return left > 0 ? plain(b, RUB_STAGE_BUILDING, left) : plain(b, RUB_STAGE_SHELL, 0);
}

static void pay_shell(const step *s) {
    double all = s->mw * s->site->shell_usd_per_mw;
    pay(s, RUB_CASH_CAPEX_LONG, -(s->site->build_for_q > 0 ? all / s->site->build_for_q : all));
}

static rub_block_state install(const step *s, rub_block_state b, int32_t left, int32_t g) {
    (void)s;
    b = plain(b, left > 0 ? RUB_STAGE_FITTING : RUB_STAGE_LIVE, left > 0 ? left : 0);
    b.gen = (uint8_t)g;
    return b;
}

static rub_block_state order(const step *s, rub_block_state b) {
    int32_t g = s->x->gen;
    pay(s, RUB_CASH_CAPEX_SHORT, -s->mw * (price(s, g) + s->site->fit_usd_per_mw));
    s->a->order_mw[(size_t)s->n * (size_t)s->p->n_gen + (size_t)g] += s->mw;
    return install(s, b, s->site->fit_for_q - 1, g);
}

static rub_block_state serve(const step *s, rub_block_state b) {
    double share = 0.0;
    pay(s, RUB_CASH_OPEX, -s->site->opex_usd_per_mw_q * s->mw);
    if (b.held) {
        const rub_study_partner *k = &s->p->study->partner[s->site->rofr_partner];
        share = k->rofr_share_frac;
        pay(s, RUB_CASH_ROFR, k->rofr_usd_per_mw_q * share * s->mw);
    }
    size_t pool =
        ((size_t)s->n * (size_t)s->p->n_region + (size_t)s->site->region) * (size_t)s->p->n_gen +
        b.gen;
    s->a->own_mw[pool * 2 + (b.training ? 1 : 0)] += (1.0 - share) * s->mw;
    s->a->e.live_mw[((size_t)s->n * (size_t)s->p->n_region + (size_t)s->site->region) * 2 +
                    (b.training ? 1 : 0)] += s->mw;
    b.age++;
    return b;
}

static rub_block_state sublease(const step *s, rub_block_state b) {
    size_t nr = (size_t)s->n * (size_t)s->p->n_region + (size_t)s->site->region;
    pay(s, RUB_CASH_SUBLET, s->p->sublet_usd_per_mw[nr] * s->site->sublet_frac * s->mw);
    s->a->let_mw[nr] += s->mw;
    b.remaining = (uint8_t)(b.remaining > 0 ? b.remaining - 1 : 0);
    return b;
}

static rub_block_state resume_paused(const step *s, rub_block_state b) {
    if (b.age > 0) {
        pay(s, RUB_CASH_HOLD, -s->site->pause_usd_per_mw_q * s->mw);
        b.age--;
        return b.age == 0 ? construct(s, b, b.remaining) : b;
    }
    pay(s, RUB_CASH_CAPEX_LONG, -s->site->resume_usd_per_mw * s->mw);
    if (s->site->resume_delay_q <= 1)
        return construct(s, b, b.remaining);
    b.age = (uint8_t)(s->site->resume_delay_q - 1);
    return b;
}

static void hold(const step *s, double usd_per_mw) { pay(s, RUB_CASH_HOLD, -usd_per_mw * s->mw); }

/* The row's own course while it waits; renewing takes it too. */
static rub_block_state wait(const step *s, rub_block_state b) {
    switch ((rub_stage)b.stage) {
    case RUB_STAGE_OPTION:
        pay(s, RUB_CASH_LEASE, -s->site->option_fee_usd);
        return b;
    case RUB_STAGE_SIGNED:
    case RUB_STAGE_SHELL:
        hold(s, s->site->hold_usd_per_mw_q);
        return b;
    case RUB_STAGE_PAUSED:
        if (b.age > 0)
            return resume_paused(s, b);
        hold(s, s->site->pause_usd_per_mw_q);
        return b;
    case RUB_STAGE_SUBLET:
        return sublease(s, b);
    default:
        return b;
    }
}

static rub_block_state renew(const step *s, rub_block_state b) {
    if (b.stage == RUB_STAGE_BUILDING) {
        pay_shell(s);
        b = construct(s, b, b.remaining - 1);
    } else if (b.stage == RUB_STAGE_FITTING)
        b = install(s, b, b.remaining - 1, b.gen);
    else if (b.stage == RUB_STAGE_LIVE)
        b = serve(s, b);
    else
        b = wait(s, b);
    b.renewed = 1;
    return b;
}

static rub_block_state leave(const step *s, rub_block_state b) {
    if (b.stage == RUB_STAGE_LIVE)
        pay(s, RUB_CASH_RESALE, resale(s, b.gen, b.age));
    if (bound(&b) && !lease_is_over(s)) {
        double fee = rub_schedule_at(&s->site->exit_fee, s->q, 0.0);
        pay(s, RUB_CASH_LEASE, -fee - s->site->notice_q * rent(s, b.renewed));
    }
    return (rub_block_state){.stage = RUB_STAGE_ENDED};
}

static rub_block_state sign(const step *s, rub_block_state b) {
    int32_t k = s->site->rofr_partner;
    pay(s, RUB_CASH_CAPEX_LONG, -s->site->sign_usd);
    b = plain(b, RUB_STAGE_SIGNED, 0);
    b.held = k >= 0 && s->p->rofr[(size_t)s->n * (size_t)s->p->study->n_partner + (size_t)k];
    b.renewed = s->end != RUB_NEVER && s->q + 1 > s->end;
    return b;
}

static rub_block_state upgrade(const step *s, rub_block_state b) {
    pay(s, RUB_CASH_CAPEX_LONG, -s->site->upgrade_usd_per_mw * s->mw);
    b.training = 1;
    if (b.stage == RUB_STAGE_LIVE) {
        pay(s, RUB_CASH_OPEX, -s->site->opex_usd_per_mw_q * s->mw);
        b.age++;
    } else
        hold(s, s->site->hold_usd_per_mw_q);
    return b;
}

static rub_block_state sublet(const step *s, rub_block_state b) {
    if (b.stage == RUB_STAGE_SHELL) {
        hold(s, s->site->hold_usd_per_mw_q);
        return plain(b, RUB_STAGE_SUBLET, s->site->sublet_min_q);
    }
    s->a->let_mw[(size_t)s->n * (size_t)s->p->n_region + (size_t)s->site->region] +=
        s->mw; /* assigned */
    return (rub_block_state){.stage = RUB_STAGE_ENDED};
}

static rub_block_state proceed(const step *s, rub_block_state b) {
    if (b.stage == RUB_STAGE_FITTING)
        return install(s, b, b.remaining - 1, b.gen);
    pay_shell(s);
    return construct(s, b,
                     b.stage == RUB_STAGE_SIGNED ? s->site->build_for_q - 1 : b.remaining - 1);
}

static rub_block_state act(const step *s, rub_block_state b) {
    switch ((rub_action)s->x->action) {
    case RUB_ACTION_WAIT:
        return wait(s, b);
    case RUB_ACTION_SIGN:
        return sign(s, b);
    case RUB_ACTION_PROCEED:
        return proceed(s, b);
    case RUB_ACTION_PAUSE:
        hold(s, s->site->pause_usd_per_mw_q);
        b.stage = RUB_STAGE_PAUSED;
        return b;
    case RUB_ACTION_RESUME:
        return b.stage == RUB_STAGE_SUBLET ? (sublease(s, b), plain(b, RUB_STAGE_SHELL, 0))
                                           : resume_paused(s, b);
    case RUB_ACTION_DEFER:
        pay(s, RUB_CASH_LEASE, -s->site->defer_usd_per_mw_q * s->mw);
        hold(s, s->site->hold_usd_per_mw_q);
        b.deferred++;
        return b;
    case RUB_ACTION_FIT_OUT:
        return order(s, b);
    case RUB_ACTION_SERVE:
        return serve(s, b);
    case RUB_ACTION_REFRESH:
        pay(s, RUB_CASH_RESALE, resale(s, b.gen, b.age));
        return order(s, b);
    case RUB_ACTION_UPGRADE:
        return upgrade(s, b);
    case RUB_ACTION_SUBLET:
        return sublet(s, b);
    case RUB_ACTION_RENEW:
        return renew(s, b);
    case RUB_ACTION_CANCEL:
        return leave(s, b);
    case RUB_ACTION_RETIRE:
        pay(s, RUB_CASH_RESALE, resale(s, b.gen, b.age));
        return plain(b, RUB_STAGE_SHELL, 0);
    default:
        return b;
    }
}

/* ---- what is allowed ----------------------------------------------------------------------------- */

static bool leasing_out(const step *s) { return may(s, RUB_ALLOW_SUBLET) && s->site->may_sublet; }

static bool upgradable(const step *s) {
    return may(s, RUB_ALLOW_UPGRADE) && s->site->upgrade_usd_per_mw >= 0 && !s->x->state.training;
}

static bool allowed_signed(const step *s, rub_action action) {
    switch (action) {
    case RUB_ACTION_PROCEED:
        return true;
    case RUB_ACTION_WAIT:
        return may(s, RUB_ALLOW_WAIT);
    case RUB_ACTION_DEFER:
        return may(s, RUB_ALLOW_DEFER) && !s->site->owned && s->site->commence_q != RUB_NEVER &&
               s->q < s->c0 && s->x->state.deferred < s->site->defer_max_q;
    case RUB_ACTION_SUBLET:
        return leasing_out(s) && !s->site->owned;
    default:
        return action == RUB_ACTION_CANCEL && may(s, RUB_ALLOW_CANCEL);
    }
}

static bool allowed_paused(const step *s, rub_action action) {
    if (s->x->state.age > 0)
        return action == RUB_ACTION_RESUME;
    return action == RUB_ACTION_WAIT || action == RUB_ACTION_RESUME ||
           (action == RUB_ACTION_SUBLET && leasing_out(s) && !s->site->owned) ||
           (action == RUB_ACTION_CANCEL && may(s, RUB_ALLOW_CANCEL));
}

static bool allowed_shell(const step *s, rub_action action) {
    return action == RUB_ACTION_WAIT || (action == RUB_ACTION_FIT_OUT && orderable(s)) ||
           (action == RUB_ACTION_UPGRADE && upgradable(s)) ||
           (action == RUB_ACTION_SUBLET && leasing_out(s)) ||
           (action == RUB_ACTION_CANCEL && may(s, RUB_ALLOW_CANCEL));
}

static bool allowed_live(const step *s, rub_action action) {
    bool young = s->x->state.age < life(s, s->x->state.gen);
    return (action == RUB_ACTION_SERVE && young) ||
           (action == RUB_ACTION_UPGRADE && young && upgradable(s)) ||
           (action == RUB_ACTION_REFRESH && may(s, RUB_ALLOW_REFRESH) && orderable(s)) ||
           action == RUB_ACTION_RETIRE || (action == RUB_ACTION_CANCEL && may(s, RUB_ALLOW_CANCEL));
}

static bool allowed(const step *s) {
    rub_action action = (rub_action)s->x->action;
    const rub_block_state *b = &s->x->state;
    if (lease_is_over(s))
        return action == RUB_ACTION_CANCEL ||
               (action == RUB_ACTION_RENEW && s->site->may_renew &&
                (b->stage != RUB_STAGE_LIVE || b->age < life(s, b->gen)));
    switch ((rub_stage)b->stage) {
    case RUB_STAGE_TALKS:
        return action == RUB_ACTION_WAIT || action == RUB_ACTION_CANCEL;
    case RUB_STAGE_OPTION:
        return action == RUB_ACTION_CANCEL ||
               (action == RUB_ACTION_WAIT && s->q < s->site->option_expiry_q) ||
               (action == RUB_ACTION_SIGN && s->q <= s->site->option_expiry_q);
    case RUB_STAGE_SIGNED:
        return allowed_signed(s, action);
    case RUB_STAGE_BUILDING:
        return action == RUB_ACTION_PROCEED ||
               (action == RUB_ACTION_PAUSE && may(s, RUB_ALLOW_PAUSE) && s->site->may_pause) ||
               (action == RUB_ACTION_CANCEL && may(s, RUB_ALLOW_CANCEL));
    case RUB_STAGE_PAUSED:
        return allowed_paused(s, action);
    case RUB_STAGE_SHELL:
        return allowed_shell(s, action);
    case RUB_STAGE_FITTING:
        return action == RUB_ACTION_PROCEED;
    case RUB_STAGE_LIVE:
        return allowed_live(s, action);
    case RUB_STAGE_SUBLET:
        return action == RUB_ACTION_WAIT || (action == RUB_ACTION_RESUME && b->remaining == 0);
    default:
        return action == RUB_ACTION_NONE;
    }
}

/* ---- after the last quarter ------------------------------------------------------------------------ */

static void terminal(const step *s) {
    const rub_block_state *b = &s->x->next;
    const rub_study *study = s->p->study;
    if (b->stage == RUB_STAGE_LIVE || b->stage == RUB_STAGE_FITTING)
        pay(s, RUB_CASH_TERMINAL, resale(s, b->gen, b->stage == RUB_STAGE_LIVE ? b->age : 0));
    if (!s->site->owned || !bound(b) || study->shell_life_years <= 0)
        return;
    double done = 1.0;
    if (b->stage == RUB_STAGE_SIGNED)
        done = 0.0;
    else if ((b->stage == RUB_STAGE_BUILDING || b->stage == RUB_STAGE_PAUSED) &&
             s->site->build_for_q > 0)
        done = 1.0 - (double)b->remaining / s->site->build_for_q;
    double left = fmax(0.0, 1.0 - s->p->n_quarter / 4.0 / study->shell_life_years);
    pay(s, RUB_CASH_TERMINAL,
        left * (s->site->sign_usd + s->site->shell_usd_per_mw * s->mw * done));
}

void rub_audit_step(rub_audit *a, int32_t n) {
    const rub_problem *p = a->p;
    const rub_block *block = &p->block[a->block];
    const rub_step *row = a->plan->step + (size_t)a->block * (size_t)p->n_node;
    int32_t parent = p->tree->parent[n];
    char quarter[16];
    step s = {.a = a,
              .p = p,
              .site = &p->study->site[block->site],
              .x = &row[n],
              .n = n,
              .q = p->study->start_q + p->tree->quarter[n]};
    bool dated = s.site->commence_q != RUB_NEVER;
    s.mw = s.site->block_mw;
    s.c0 = dated ? s.site->commence_q + s.x->state.deferred : RUB_NEVER;
    s.end = dated && !s.site->owned && s.site->term_years > 0 ? s.c0 + quarters(s.site->term_years)
                                                              : RUB_NEVER;
    rub_block_state should =
        arrived(p, block->site, n, parent < 0 ? start_state(p, s.site) : row[parent].next);
    rub_quarter_text(s.q, quarter, sizeof quarter);
    if (memcmp(&should, &s.x->state, sizeof should) != 0)
        rub_violate(a, 1.0, "site %s, block %d, %s: stands in %s, expected %s", s.site->name,
                    block->number, quarter, rub_stage_text((rub_stage)s.x->state.stage),
                    rub_stage_text((rub_stage)should.stage));
    if (!allowed(&s))
        rub_violate(a, 1.0, "site %s, block %d, %s: %s is not open in %s", s.site->name,
                    block->number, quarter, rub_action_text((rub_action)s.x->action),
                    rub_stage_text((rub_stage)s.x->state.stage));
    bool renewed = s.x->state.renewed || s.x->action == RUB_ACTION_RENEW;
    rub_block_state next = act(&s, s.x->state);
    bool leaves = next.stage == RUB_STAGE_ENDED;
    if (bound(&s.x->state) && !leaves)
        rub_pay(a, n, RUB_CASH_LEASE, -rent(&s, renewed));
    if (memcmp(&next, &s.x->next, sizeof next) != 0)
        rub_violate(a, 1.0, "site %s, block %d, %s: %s leads to %s, expected %s", s.site->name,
                    block->number, quarter, rub_action_text((rub_action)s.x->action),
                    rub_stage_text((rub_stage)s.x->next.stage),
                    rub_stage_text((rub_stage)next.stage));
    if (p->tree->n_child[n] == 0)
        terminal(&s);
}
