#include "portfolio/terms.h"

#include <math.h>

static void settle(rub_block_state *s, const rub_study_site *site, int32_t life_q) {
    bool built =
        (s->stage == RUB_STAGE_BUILDING || s->stage == RUB_STAGE_PAUSED) && s->remaining == 0;
    if (built)
        s->stage = RUB_STAGE_SHELL;
    if (s->stage == RUB_STAGE_FITTING || s->stage == RUB_STAGE_LIVE)
        s->gen = (uint8_t)(site->generation >= 0 ? site->generation : 0);
    if (s->stage == RUB_STAGE_FITTING && s->remaining == 0)
        s->stage = RUB_STAGE_LIVE;
    else if (s->stage == RUB_STAGE_LIVE) {
        long age = lround(4.0 * site->age_years);
        s->age = (uint8_t)(age < life_q ? age : life_q);
    }
}

rub_block_state rub_terms_initial(const rub_study *study, int32_t site) {
    const rub_study_site *s = &study->site[site];
    rub_block_state state = {.stage = (uint8_t)s->stage,
                             .training = s->fabric == RUB_FABRIC_TRAINING};
    if (s->stage == RUB_STAGE_BUILDING || s->stage == RUB_STAGE_FITTING ||
        s->stage == RUB_STAGE_PAUSED || s->stage == RUB_STAGE_SUBLET)
        state.remaining = (uint8_t)s->remaining_q;
    settle(&state, s, rub_terms_life_q(study, s->generation >= 0 ? s->generation : 0));
    int32_t end = rub_terms_end_q(s, 0);
    state.renewed = s->stage >= RUB_STAGE_SIGNED && s->stage <= RUB_STAGE_SUBLET &&
                    end != RUB_NEVER && study->start_q > end;
    state.held = s->held && s->stage >= RUB_STAGE_SIGNED && s->stage <= RUB_STAGE_SUBLET;
    if (state.stage == RUB_STAGE_PAUSED)
        state.age = (uint8_t)s->resume_in_q;
    return state;
}

int32_t rub_terms_life_q(const rub_study *study, int32_t gen) {
    return (int32_t)lround(4.0 * study->generation[gen].life_years);
}

int32_t rub_terms_end_q(const rub_study_site *s, int32_t deferred) {
    if (s->owned || s->term_years <= 0 || s->commence_q == RUB_NEVER)
        return RUB_NEVER;
    return s->commence_q + deferred + (int32_t)lround(4.0 * s->term_years);
}

double rub_terms_rent_usd(const rub_study_site *s, int32_t q, int32_t deferred, bool renewed) {
    if (s->owned || s->commence_q == RUB_NEVER || q < s->commence_q + deferred)
        return 0.0;
    int32_t since = q - s->commence_q - deferred;
    double rent = s->rent_usd_per_kw_month * 3000.0 * s->block_mw *
                  pow(1.0 + s->rent_step_per_year, since / 4);
    if (s->ramp_for_q > 0)
        rent *= fmin(1.0, (since + 1.0) / s->ramp_for_q);
    return renewed ? rent * s->renew_rent_factor : rent;
}

double rub_terms_exit_usd(const rub_study_site *s, int32_t q, int32_t deferred, bool renewed) {
    return rub_schedule_at(&s->exit_fee, q, 0.0) +
           s->notice_q * rub_terms_rent_usd(s, q, deferred, renewed);
}
