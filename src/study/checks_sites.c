/* Sites whose stages cannot be reached, and terms that contradict each other. */
#include "study/fields.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A site being checked. */
typedef struct site_check {
    rub_reader *r;
    const rub_study *study;
    const rub_study_site *site;
    rub_entry entry;
    char start[12]; /* the study's start as text */
} site_check;

static const rub_yaml_node *at(const site_check *c, const char *key) {
    return rub_entry_at(&c->entry, key);
}

static bool given(const site_check *c, const char *key) {
    return rub_entry_get(&c->entry, key) != NULL;
}

static void need(const site_check *c, const char *key, const char *why) {
    if (!given(c, key))
        rub_reader_report(c->r, c->entry.at, RUB_INVALID,
                          "site '%s' %s but has no '%s', expected "
                          "it",
                          c->site->name, why, key);
}

static void check_talks(const site_check *c) {
    const rub_study_site *s = c->site;
    char q[12], expiry[12];
    need(c, "close", "is in talks");
    need(c, "close_probability", "is in talks");
    if (given(c, "close") && s->close_q == RUB_NEVER)
        rub_reader_report(c->r, at(c, "close"), RUB_INVALID,
                          "site '%s' has talks that never close, expected a quarter", s->name);
    else if (given(c, "close") && s->close_q < c->study->start_q)
        rub_reader_report(c->r, at(c, "close"), RUB_INVALID,
                          "talks of site '%s' close in %s, expected not before the study's start "
                          "in %s",
                          s->name, rub_quarter_text(s->close_q, q, sizeof q), c->start);
    if (given(c, "close_probability") && s->close_prob <= 0)
        rub_reader_report(c->r, at(c, "close_probability"), RUB_INVALID,
                          "talks of site '%s' close with probability 0, expected above 0 %% or "
                          "stage ended",
                          s->name);
    if (s->close_q != RUB_NEVER && s->option_expiry_q < s->close_q)
        rub_reader_report(c->r, at(c, "option_until"), RUB_INVALID,
                          "site '%s' may be signed until %s but its talks close in %s, expected a "
                          "later 'option_until'",
                          s->name, rub_quarter_text(s->option_expiry_q, expiry, sizeof expiry),
                          rub_quarter_text(s->close_q, q, sizeof q));
}

static void check_option(const site_check *c) {
    const rub_study_site *s = c->site;
    char q[12];
    need(c, "option_until", s->stage == RUB_STAGE_TALKS ? "is in talks" : "is an option");
    if (s->stage == RUB_STAGE_OPTION && s->option_expiry_q < c->study->start_q)
        rub_reader_report(c->r, at(c, "option_until"), RUB_INVALID,
                          "the option of site '%s' expires in %s, before the study's start in %s, "
                          "expected a later quarter or stage ended",
                          s->name, rub_quarter_text(s->option_expiry_q, q, sizeof q), c->start);
}

static void check_remaining(const site_check *c, int32_t whole, const char *whole_key) {
    const rub_study_site *s = c->site;
    if (s->remaining_q == 0)
        rub_reader_report(c->r, at(c, "remaining"), RUB_INVALID,
                          "site '%s' is in stage %s with nothing remaining, expected 'remaining' "
                          "above 0 or the next stage",
                          s->name, rub_stage_text(s->stage));
    else if (s->remaining_q > whole)
        rub_reader_report(c->r, at(c, "remaining"), RUB_INVALID,
                          "site '%s' has %d quarters remaining of %d, expected at most its '%s'",
                          s->name, s->remaining_q, whole, whole_key);
}

static void check_live(const site_check *c) {
    const rub_study_site *s = c->site;
    char text[64];
    snprintf(text, sizeof text, "is in stage %s", rub_stage_text(s->stage));
    need(c, "generation", text);
    if (s->stage != RUB_STAGE_LIVE || s->generation < 0)
        return;
    const rub_study_generation *g = &c->study->generation[s->generation];
    if (s->age_years > g->life_years)
        rub_reader_report(c->r, at(c, "age"), RUB_INVALID,
                          "accelerators of site '%s' are %.4g years old, expected at most the life "
                          "of %s, %.4g years",
                          s->name, s->age_years, g->name, g->life_years);
}

/* Keys that say nothing in this stage. */
static void check_unused(const site_check *c) {
    static const struct {
        const char *key;
        unsigned stages; /* in which it means something */
    } keys[] = {
        {"remaining", 1u << RUB_STAGE_BUILDING | 1u << RUB_STAGE_PAUSED | 1u << RUB_STAGE_FITTING |
                          1u << RUB_STAGE_SUBLET},
        {"generation", 1u << RUB_STAGE_FITTING | 1u << RUB_STAGE_LIVE},
        {"age", 1u << RUB_STAGE_LIVE},
        {"close", 1u << RUB_STAGE_TALKS},
        {"close_probability", 1u << RUB_STAGE_TALKS},
    };
    for (size_t i = 0; i < RUB_LEN(keys); i++)
        if (rub_yaml_get(c->entry.map, keys[i].key) && given(c, keys[i].key) &&
            !(keys[i].stages >> c->site->stage & 1u))
            rub_reader_warn(c->r, at(c, keys[i].key),
                            "'%s' has no effect: site '%s' is in stage %s", keys[i].key,
                            c->site->name, rub_stage_text(c->site->stage));
}

static void check_lease(const site_check *c) {
    static const char *const keys[] = {"rent",     "commences",    "term",   "escalator",   "ramp",
                                       "deferral", "deferral_fee", "notice", "renewal_rent"};
    const rub_study_site *s = c->site;
    char text[12];
    for (size_t i = 0; i < RUB_LEN(keys) && s->owned; i++)
        if (rub_yaml_get(c->entry.map, keys[i]) && given(c, keys[i]))
            rub_reader_warn(c->r, at(c, keys[i]), "'%s' has no effect: site '%s' is owned", keys[i],
                            s->name);
    if (s->owned)
        return;
    need(c, "rent", "is leased");
    need(c, "commences", "is leased");
    if (given(c, "commences") && s->commence_q == RUB_NEVER)
        rub_reader_report(c->r, at(c, "commences"), RUB_INVALID,
                          "the lease of site '%s' never commences, expected a quarter", s->name);
    else if (given(c, "commences") && s->term_years > 0) {
        int32_t end = s->commence_q + (int32_t)lround(4.0 * s->term_years);
        if (end <= c->study->start_q)
            rub_reader_report(c->r, at(c, "term"), RUB_INVALID,
                              "the lease of site '%s' ends before %s, expected it to run at the "
                              "study's start in %s",
                              s->name, rub_quarter_text(end, text, sizeof text), c->start);
    }
}

/* Earliest quarter in which the site can be a powered shell; -1: it serves or is let already. */
static int32_t earliest_shell(const rub_study *study, const rub_study_site *s) {
    int32_t now = study->start_q, build = s->build_for_q > 0 ? s->build_for_q : 1;
    switch (s->stage) {
    case RUB_STAGE_TALKS:
        return s->close_q + 1 + build;
    case RUB_STAGE_OPTION:
        return now + 1 + build;
    case RUB_STAGE_SIGNED:
        return now + build;
    case RUB_STAGE_BUILDING:
        return now + s->remaining_q;
    case RUB_STAGE_PAUSED:
        return now + s->remaining_q + (s->resume_delay_q > 1 ? s->resume_delay_q : 1);
    case RUB_STAGE_SHELL:
        return now;
    default:
        return -1;
    }
}

static void check_reach(const site_check *c) {
    const rub_study *study = c->study;
    int32_t end = study->start_q + study->n_quarter - 1, shell = earliest_shell(study, c->site);
    char ready[12], last[12];
    if (shell < 0)
        return;
    rub_quarter_text(shell, ready, sizeof ready);
    rub_quarter_text(end, last, sizeof last);
    if (shell + c->site->fit_for_q > end) {
        rub_reader_warn(c->r, c->entry.at,
                        "site '%s' cannot be live by the study's end in %s: its shell stands in %s "
                        "at the earliest",
                        c->site->name, last, ready);
        return;
    }
    for (int32_t g = 0; g < study->n_generation; g++)
        if (study->generation[g].first_q <= end && study->generation[g].last_q >= shell)
            return;
    rub_reader_report(c->r, c->entry.at, RUB_INVALID,
                      "site '%s' has nothing to be fitted out with: its shell stands in %s, and no "
                      "accelerator can be ordered from then to %s, expected one",
                      c->site->name, ready, last);
}

static void check_right(const site_check *c) {
    const rub_study_site *s = c->site;
    if (s->rofr_partner < 0 || c->study->partner[s->rofr_partner].rofr_share_frac > 0)
        return;
    rub_reader_report(c->r, at(c, "rofr"), RUB_INVALID,
                      "site '%s' grants a right to partner '%s', which has none, expected its "
                      "'rofr_share' above 0 %%",
                      s->name, c->study->partner[s->rofr_partner].name);
}

static void check_site(const site_check *c) {
    const rub_study_site *s = c->site;
    size_t before = c->r->findings->n_error;
    if (s->stage == RUB_STAGE_TALKS)
        check_talks(c);
    if (s->stage == RUB_STAGE_TALKS || s->stage == RUB_STAGE_OPTION)
        check_option(c);
    if (s->stage == RUB_STAGE_BUILDING || s->stage == RUB_STAGE_PAUSED)
        check_remaining(c, s->build_for_q, "construction");
    if (s->stage == RUB_STAGE_FITTING)
        check_remaining(c, s->fit_for_q, "fit_out");
    if (s->stage == RUB_STAGE_FITTING || s->stage == RUB_STAGE_LIVE)
        check_live(c);
    check_lease(c);
    check_right(c);
    check_unused(c);
    if (c->r->findings->n_error == before)
        check_reach(c);
}

/* Blocks and their size against the grid: live and building sites that it cannot feed. */
static void check_grid(rub_reader *r) {
    const rub_study *s = r->study;
    char live[32], grid[32];
    for (int32_t k = 0; k < s->n_region; k++) {
        double live_mw = 0.0, grid_mw = rub_schedule_at(&s->region[k].grid, s->start_q, -1.0);
        for (int32_t i = 0; i < s->n_site; i++)
            if (s->site[i].region == k && s->site[i].stage == RUB_STAGE_LIVE)
                live_mw += s->site[i].n_block * s->site[i].block_mw;
        if (grid_mw >= 0 && live_mw > grid_mw * (1 + 1e-9))
            rub_reader_warn(r, r->section[RUB_SECTION_REGIONS]->key[k],
                            "region '%s' has %s MW live but its grid feeds %s MW at the start",
                            s->region[k].name, rub_text_exact(live_mw, 6, live),
                            rub_text_exact(grid_mw, 6, grid));
    }
}

void rub_reader_check_sites(rub_reader *r) {
    const rub_yaml_node *map = r->section[RUB_SECTION_SITES];
    for (int32_t i = 0; i < r->study->n_site; i++) {
        site_check c = {.r = r,
                        .study = r->study,
                        .site = &r->study->site[i],
                        .entry = {.record = &rub_record_site,
                                  .at = map->key[i],
                                  .map = map->value[i],
                                  .defaults = r->site_defaults,
                                  .name = map->key[i]->scalar}};
        rub_quarter_text(r->study->start_q, c.start, sizeof c.start);
        if (r->site_is_read[i])
            check_site(&c);
    }
    if (!r->findings->n_error)
        check_grid(r);
}
