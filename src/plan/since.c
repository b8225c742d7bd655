/* Since: what changed from an earlier plan document to this one, in sentences that hold nothing but
 * what the two documents say. */
#include "plan/reading.h"

#include "rubato/plan.h"

#include "base/text.h"

#include <math.h>
#include <string.h>

#define MATERIAL 0.01 /* changes of money under this share are not told */

/* The object of an array whose `key` is `value`. */
static const json_t *named(const json_t *array, const char *key, const char *value) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *one = json_array_get(array, i);
        if (!strcmp(string(one, key), value))
            return one;
    }
    return NULL;
}

static void say(json_t *lines, rub_text *text) {
    if (!text->failed && text->n)
        json_array_append_new(lines, json_string(text->data));
    rub_text_clear(text);
}

static void say_value(const json_t *old, const json_t *now, json_t *lines) {
    char a[32], b[32];
    rub_text text = {0};
    double before = number(json_object_get(old, "npv"), "mean_usd");
    double after = number(json_object_get(now, "npv"), "mean_usd");
    if (fabs(after - before) > MATERIAL * fabs(before))
        rub_text_add(&text, "Mean net present value %s, was %s.", rub_text_usd(after, a),
                     rub_text_usd(before, b));
    else
        rub_text_add(&text, "Mean net present value %s, as before within 1 %%.",
                     rub_text_usd(after, a));
    say(lines, &text);
}

/* Files that the two plans were made from. */
static void say_inputs(const json_t *old, const json_t *now, json_t *lines) {
    const json_t *before = json_object_get(json_object_get(old, "study"), "inputs");
    const json_t *after = json_object_get(json_object_get(now, "study"), "inputs");
    rub_text text = {0};
    for (size_t i = 0; i < json_array_size(after); i++) {
        const json_t *one = json_array_get(after, i);
        const char *path = string(one, "path");
        const json_t *same = named(before, "path", path);
        if (!same || strcmp(string(same, "fnv1a64"), string(one, "fnv1a64")) != 0)
            rub_text_add(&text, "%s%s%s", text.n ? ", " : "Changed inputs: ", path,
                         same ? "" : " (new)");
    }
    if (text.n)
        rub_text_add(&text, ".");
    else
        rub_text_add(&text, "The same inputs.");
    say(lines, &text);
}

static void actions_words(const json_t *site, rub_text *out) {
    json_t *now = json_object_get(site, "actions_now");
    const char *action;
    json_t *count;
    bool first = true, several = json_object_size(now) > 1;
    json_object_foreach(now, action, count) {
        rub_text_add(out, "%s%s", first ? "" : ", ", action);
        if (several)
            rub_text_add(out, " %d", (int)json_integer_value(count));
        first = false;
    }
    if (first)
        rub_text_add(out, "none");
}

/* One site that is in both: its stage, its action and its likelihood of serving. */
static json_t *site_change(const json_t *before, const json_t *after) {
    bool stage = strcmp(string(before, "stage"), string(after, "stage")) != 0;
    bool action =
        !json_equal(json_object_get(before, "actions_now"), json_object_get(after, "actions_now"));
    double was = number(before, "prob_ever_live"), is = number(after, "prob_ever_live");
    if (!stage && !action && fabs(is - was) < 0.1)
        return NULL;
    rub_text from = {0}, to = {0}, text = {0};
    actions_words(before, &from);
    actions_words(after, &to);
    rub_text_add(&text, "%s: ", string(after, "site"));
    if (stage)
        rub_text_add(&text, "now %s, was %s; ", string(after, "stage"), string(before, "stage"));
    if (action)
        rub_text_add(&text, "%s instead of %s", to.data, from.data);
    else
        rub_text_add(&text, "%s as before", to.data);
    if (fabs(is - was) >= 0.1)
        rub_text_add(&text, "; serves in %.0f %% of futures, was %.0f %%", 100 * is, 100 * was);
    rub_text_add(&text, ".");
    json_t *row =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:f,s:f,s:s}", "site", string(after, "site"), "stage_from",
                  string(before, "stage"), "stage_to", string(after, "stage"), "from",
                  from.data ? from.data : "", "to", to.data ? to.data : "", "live_from", was,
                  "live_to", is, "text", text.data ? text.data : "");
    rub_text_clear(&from);
    rub_text_clear(&to);
    rub_text_clear(&text);
    return row;
}

static json_t *site_changes(const json_t *old, const json_t *now) {
    const json_t *before = json_object_get(old, "sites"), *after = json_object_get(now, "sites");
    json_t *changes = json_array();
    for (size_t i = 0; i < json_array_size(after); i++) {
        const json_t *site = json_array_get(after, i);
        const json_t *was = named(before, "site", string(site, "site"));
        rub_text text = {0};
        json_t *row = was ? site_change(was, site) : NULL;
        if (!was) {
            rub_text_add(&text, "%s: new, %s.", string(site, "site"), string(site, "action"));
            row = json_pack("{s:s,s:s,s:s}", "site", string(site, "site"), "to",
                            string(site, "action"), "text", text.data ? text.data : "");
        }
        rub_text_clear(&text);
        if (row)
            json_array_append_new(changes, row);
    }
    for (size_t i = 0; i < json_array_size(before); i++) {
        const char *name = string(json_array_get(before, i), "site");
        rub_text text = {0};
        if (named(after, "site", name))
            continue;
        rub_text_add(&text, "%s: no longer in the study.", name);
        json_array_append_new(
            changes, json_pack("{s:s,s:s}", "site", name, "text", text.data ? text.data : ""));
        rub_text_clear(&text);
    }
    return changes;
}

static json_t *capex_changes(const json_t *old, const json_t *now, json_t *lines) {
    const json_t *before = json_object_get(old, "capex"), *after = json_object_get(now, "capex");
    json_t *changes = json_array();
    rub_text text = {0};
    for (size_t i = 0; i < json_array_size(after); i++) {
        const json_t *year = json_array_get(after, i);
        const json_t *was = named(before, "fiscal_year", string(year, "fiscal_year"));
        char a[32], b[32];
        if (!was)
            continue;
        double from = number(was, "mean_usd") + number(was, "spent_before_start_usd");
        double to = number(year, "mean_usd") + number(year, "spent_before_start_usd");
        if (fabs(to - from) <= MATERIAL * fmax(fabs(from), fabs(to)) || fabs(to - from) < 1e5)
            continue;
        json_array_append_new(changes,
                              json_pack("{s:s,s:f,s:f}", "fiscal_year", string(year, "fiscal_year"),
                                        "from_usd", from, "to_usd", to));
        rub_text_add(&text, "%s%s %s, was %s", text.n ? "; " : "Capex with what was spent before: ",
                     string(year, "fiscal_year"), rub_text_usd(to, a), rub_text_usd(from, b));
    }
    if (text.n)
        rub_text_add(&text, ".");
    say(lines, &text);
    return changes;
}

json_t *rub_plan_since(const json_t *old, const json_t *now) {
    json_t *lines = json_array();
    const json_t *old_study = json_object_get(old, "study"), *study = json_object_get(now, "study");
    rub_text text = {0};
    if (strcmp(string(old_study, "name"), string(study, "name")) != 0) {
        rub_text_add(&text, "The earlier plan is of another study, '%s'.",
                     string(old_study, "name"));
        say(lines, &text);
    }
    say_inputs(old, now, lines);
    say_value(old, now, lines);
    json_t *sites = site_changes(old, now), *capex = capex_changes(old, now, lines);
    size_t all = json_array_size(json_object_get(now, "sites"));
    rub_text_add(&text, "%zu of %zu sites are paced otherwise.", json_array_size(sites), all);
    say(lines, &text);
    for (size_t i = 0; i < json_array_size(sites); i++)
        json_array_append(lines, json_object_get(json_array_get(sites, i), "text"));
    const json_t *quarters = json_object_get(old_study, "quarters");
    return json_pack("{s:s,s:s,s:f,s:f,s:o,s:o,s:o}", "study", string(old_study, "name"), "start",
                     json_string_value(json_array_get(quarters, 0))
                         ? json_string_value(json_array_get(quarters, 0))
                         : "",
                     "mean_from_usd", number(json_object_get(old, "npv"), "mean_usd"),
                     "mean_to_usd", number(json_object_get(now, "npv"), "mean_usd"), "sites", sites,
                     "capex", capex, "lines", lines);
}
