/* Onward: sites as they stand in a later quarter, as a study of their own that begins there. */
#include "replay/story.h"

#include "base/array.h"
#include "portfolio/terms.h"

#include <stdlib.h>
#include <string.h>

void rub_onward_clear(rub_onward *o) {
    free(o->site);
    free(o->demand);
    free(o->partner);
    free(o->block_of);
    free(o->site_of);
    *o = (rub_onward){0};
}

/* The site's terms for blocks in a state: what was put off has moved its commencement for good. */
static rub_study_site site_in(const rub_study_site *site, const rub_block_state *state) {
    rub_study_site s = *site;
    s.stage = (rub_stage)state->stage;
    s.n_block = 0;
    s.fabric = state->training ? RUB_FABRIC_TRAINING : RUB_FABRIC_INFERENCE;
    s.remaining_q = state->remaining;
    bool has_servers = s.stage == RUB_STAGE_FITTING || s.stage == RUB_STAGE_LIVE;
    s.generation = has_servers ? state->gen : -1;
    s.age_years = s.stage == RUB_STAGE_LIVE ? state->age / 4.0 : 0.0;
    s.resume_in_q = s.stage == RUB_STAGE_PAUSED ? state->age : 0;
    s.held = state->held;
    if (s.commence_q != RUB_NEVER)
        s.commence_q += state->deferred;
    s.defer_max_q -= state->deferred;
    return s;
}

/* One site here for each state that blocks of a site stand in; what has ended is left out. */
static void split(const rub_story *story, const rub_study *as, const int32_t *state,
                  rub_onward *o) {
    const rub_problem *p = &story->problem;
    int32_t n_site = 0, n_block = 0;
    for (int32_t b = 0; b < p->n_block; b++) {
        int32_t s = p->block[b].site;
        const rub_block_state *stands = &story->automaton[s].state[state[b]];
        if (s >= as->n_site || stands->stage == RUB_STAGE_ENDED)
            continue;
        bool first = true;
        for (int32_t c = b - 1; first && c >= 0 && p->block[c].site == s; c--)
            first = state[c] != state[b];
        if (!first)
            continue;
        o->site[n_site] = site_in(&as->site[s], stands);
        o->site_of[n_site] = s;
        for (int32_t c = b; c < p->n_block && p->block[c].site == s; c++)
            if (state[c] == state[b]) {
                o->site[n_site].n_block++;
                o->block_of[n_block++] = c;
            }
        n_site++;
    }
    o->study.n_site = n_site;
}

/* A partner that has gone does not go again, and its right has gone with it. */
static void settle_partners(const rub_story *story, int32_t t, rub_onward *o) {
    for (int32_t k = 0; t > 0 && k < o->study.n_partner; k++)
        if (story->whole->replay.outcome[t - 1].as.partner_left[k]) {
            o->partner[k].leave_hazard_per_year = 0.0;
            o->partner[k].leave_q = RUB_NEVER;
            o->partner[k].rofr_prob = 0.0;
        }
}

rub_status rub_onward_make(const rub_story *story, const rub_study *as, const int32_t *state,
                           int32_t t, int32_t n_quarter, double spent_usd, const double *load,
                           rub_onward *out, rub_error *err) {
    rub_onward o = {.study = *as};
    o.study.start_q = story->whole->start_q + t;
    o.study.n_quarter = n_quarter;
    o.study.spent_this_fy_usd = spent_usd;
    o.site = RUB_NEW(rub_study_site, story->problem.n_block);
    o.site_of = RUB_NEW(int32_t, story->problem.n_block);
    o.block_of = RUB_NEW(int32_t, story->problem.n_block);
    o.demand = RUB_NEW(rub_study_demand, as->n_demand);
    o.partner = RUB_NEW(rub_study_partner, as->n_partner);
    if (!o.site || !o.site_of || !o.block_of || !o.demand || !o.partner) {
        rub_onward_clear(&o);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for a quarter's study");
    }
    for (int32_t i = 0; i < as->n_demand; i++) {
        o.demand[i] = as->demand[i];
        o.demand[i].base = load[i];
    }
    for (int32_t k = 0; k < as->n_partner; k++)
        o.partner[k] = as->partner[k];
    split(story, as, state, &o);
    settle_partners(story, t, &o);
    o.study.site = o.site;
    o.study.demand = o.demand;
    o.study.partner = o.partner;
    *out = o;
    return RUB_OK;
}
