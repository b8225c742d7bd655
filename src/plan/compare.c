/* Comparison: how the plan of a what-if differs from the plan of the study as it stands, in figures and
 * in sentences drawn from the two documents alone. */
#include "rubato/plan.h"

#include "plan/reading.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <string.h>

#define TOLD_LIVE_FRAC 0.1 /* a change of the share of futures in which a site is live */

static const json_t *site_named(const json_t *sites, const char *name) {
    size_t i;
    const json_t *site;
    json_array_foreach((json_t *)(uintptr_t)sites, i,
                       site) if (!strcmp(string(site, "site"), name)) return site;
    return NULL;
}

/* "proceed", or "proceed 2, pause 1" when a site's blocks part. */
static void actions_words(const json_t *site, rub_text *out) {
    const json_t *now = json_object_get(site, "actions_now");
    const char *action;
    json_t *count;
    bool first = true, several = json_object_size(now) > 1;
    json_object_foreach((json_t *)(uintptr_t)now, action, count) {
        rub_text_add(out, "%s%s", first ? "" : ", ", action);
        if (several)
            rub_text_add(out, " %d", (int)json_integer_value(count));
        first = false;
    }
}

/* What a site does otherwise; NULL when it does much the same. */
static json_t *change_of(const json_t *site, const json_t *there) {
    double live = number(site, "prob_ever_live"), live_there = number(there, "prob_ever_live");
    bool same =
        json_equal(json_object_get(site, "actions_now"), json_object_get(there, "actions_now"));
    if (!there || (same && fabs(live - live_there) < TOLD_LIVE_FRAC))
        return NULL;
    rub_text from = {0}, to = {0}, text = {0};
    actions_words(site, &from);
    actions_words(there, &to);
    if (same)
        rub_text_add(
            &text,
            "%s: %s now either way, but it is live in %.0f %% of futures instead of %.0f %%.",
            string(site, "site"), from.data, 100.0 * live_there, 100.0 * live);
    else
        rub_text_add(&text, "%s: %s instead of %s now.", string(site, "site"), to.data, from.data);
    json_t *change =
        json_pack("{s:s,s:s,s:s,s:f,s:f,s:s}", "site", string(site, "site"), "from",
                  from.data ? from.data : "", "to", to.data ? to.data : "", "live_from", live,
                  "live_to", live_there, "text", text.data ? text.data : "");
    rub_text_clear(&from);
    rub_text_clear(&to);
    rub_text_clear(&text);
    return change;
}

static const char *const going[] = {"sign", "proceed", "resume", "fit out", NULL};
static const char *const stopping[] = {"pause", "defer", "sublet", "cancel", NULL};

/* MW whose action now is one of the list. */
static double mw_doing(const json_t *document, const char *const *actions) {
    double mw = 0.0;
    size_t i;
    const json_t *site;
    json_array_foreach(json_object_get(document, "sites"), i, site) {
        const json_t *now = json_object_get(site, "actions_now");
        for (size_t k = 0; actions[k]; k++)
            mw += number(site, "mw") * number(now, actions[k]) / fmax(1.0, number(site, "blocks"));
    }
    return mw;
}

/* MW that are ever live, mean over futures. */
static double mw_ever_live(const json_t *document) {
    double mw = 0.0;
    size_t i;
    const json_t *site;
    json_array_foreach(json_object_get(document, "sites"), i, site) mw +=
        number(site, "mw") * number(site, "prob_ever_live");
    return mw;
}

static double capex_of(const json_t *document) {
    double usd = 0.0;
    size_t i;
    const json_t *year;
    json_array_foreach(json_object_get(document, "capex"), i, year) usd += number(year, "mean_usd");
    return usd;
}

static void say(json_t *lines, rub_text *text) {
    if (!text->failed && text->n)
        json_array_append_new(lines, json_string(text->data));
    rub_text_clear(text);
}

/* The pace in megawatts and money, then site by site. */
static void say_pace(const json_t *base, const json_t *other, json_t *lines) {
    char a[32], b[32], c[32], d[32];
    rub_text text = {0};
    rub_text_add(
        &text,
        "It signs, builds or fits out %s MW now instead of %s, and pauses, defers, sublets "
        "or cancels %s MW instead of %s.",
        rub_text_mw(mw_doing(other, going), a), rub_text_mw(mw_doing(base, going), b),
        rub_text_mw(mw_doing(other, stopping), c), rub_text_mw(mw_doing(base, stopping), d));
    say(lines, &text);
    rub_text_add(&text,
                 "In the end %s MW are ever live on average instead of %s; capex over the whole "
                 "plan is %s instead of %s.",
                 rub_text_mw(mw_ever_live(other), a), rub_text_mw(mw_ever_live(base), b),
                 rub_text_usd(capex_of(other), c), rub_text_usd(capex_of(base), d));
    say(lines, &text);
}

json_t *rub_plan_compare(const json_t *base, const json_t *other, const char *name) {
    json_t *changes = json_array(), *lines = json_array();
    const json_t *sites = json_object_get(base, "sites"), *site;
    char a[32], b[32];
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)sites, i, site) {
        json_t *change =
            change_of(site, site_named(json_object_get(other, "sites"), string(site, "site")));
        if (change)
            json_array_append_new(changes, change);
    }
    double value = number(json_object_get(base, "npv"), "mean_usd");
    double value_there = number(json_object_get(other, "npv"), "mean_usd");
    rub_text text = {0};
    rub_text_add(
        &text,
        "With %s the plan is worth %s instead of %s, and %zu of %zu sites are paced otherwise.",
        name, rub_text_usd(value_there, a), rub_text_usd(value, b), json_array_size(changes),
        json_array_size(sites));
    say(lines, &text);
    say_pace(base, other, lines);
    json_array_foreach(changes, i, site) json_array_append(lines, json_object_get(site, "text"));
    return json_pack("{s:s,s:f,s:f,s:o,s:o,s:O,s:O}", "name", name, "mean_usd", value_there,
                     "base_mean_usd", value, "changes", changes, "lines", lines, "capex",
                     json_object_get(other, "capex"), "npv", json_object_get(other, "npv"));
}
