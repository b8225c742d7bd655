/* Headline: sentences drawn from a plan document alone, so that they can say nothing that the document
 * does not hold. */
#include "plan/headline.h"

#include "plan/reading.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <string.h>

static void add(json_t *lines, rub_text *text) {
    if (!text->failed && text->n)
        json_array_append_new(lines, json_string(text->data));
    rub_text_clear(text);
}

/* MW by action, in the order of first appearance among the sites. */
static void say_actions(const json_t *sites, json_t *lines) {
    json_t *mw = json_object(), *names = json_object();
    size_t i;
    const json_t *site;
    json_array_foreach((json_t *)(uintptr_t)sites, i, site) {
        const char *action;
        json_t *count;
        char part_text[32], whole_text[32];
        json_object_foreach(json_object_get(site, "actions_now"), action, count) {
            double part = number(site, "mw") * (double)json_integer_value(count) /
                          fmax(1.0, number(site, "blocks"));
            json_object_set_new(mw, action,
                                json_real(json_number_value(json_object_get(mw, action)) + part));
            rub_text all = {0};
            const char *before = json_string_value(json_object_get(names, action));
            rub_text_add(&all, "%s%s%s", before ? before : "", before ? ", " : "",
                         string(site, "site"));
            if (json_object_size(json_object_get(site, "actions_now")) > 1)
                rub_text_add(&all, " (%s of %s MW)", rub_text_mw(part, part_text),
                             rub_text_mw(number(site, "mw"), whole_text));
            json_object_set_new(names, action, json_string(all.data ? all.data : ""));
            rub_text_clear(&all);
        }
    }
    static const char *const told[] = {"cancel", "pause",   "defer",   "sublet",  "sign",
                                       "resume", "proceed", "fit out", "refresh", "upgrade",
                                       "retire", "renew",   "wait"};
    for (size_t k = 0; k < RUB_LEN(told); k++) {
        double here = json_number_value(json_object_get(mw, told[k]));
        rub_text text = {0};
        char mw_text[32];
        if (here > 0)
            rub_text_add(&text, "%c%s %s MW now: %s.", told[k][0] - 'a' + 'A', told[k] + 1,
                         rub_text_mw(here, mw_text),
                         json_string_value(json_object_get(names, told[k])));
        add(lines, &text);
    }
    json_decref(mw);
    json_decref(names);
}

/* Where and when the mean shortage and the mean idle capacity are largest. */
static void say_balance(const json_t *supply, const json_t *quarters, json_t *lines) {
    static const struct {
        const char *prob, *mw, *what;
    } side[] = {{"prob_shortage", "short_mw", "shortage"},
                {"prob_idle", "idle_mw", "idle capacity"}};
    for (size_t k = 0; k < RUB_LEN(side); k++) {
        double most = 0.5; /* MW: less is not worth a line */
        size_t which = 0, when = 0, m, t;
        const json_t *column, *value;
        json_array_foreach((json_t *)(uintptr_t)supply, m, column)
            json_array_foreach(json_object_get(column, side[k].mw), t,
                               value) if (json_number_value(value) > most + 1e-9) {
            most = json_number_value(value);
            which = m;
            when = t;
        }
        const json_t *worst = json_array_get(supply, which);
        rub_text text = {0};
        char mw[32];
        if (most > 0.5)
            rub_text_add(&text,
                         "Largest %s: %s, %s, in %s: %s MW on average (in %.0f %% of futures).",
                         side[k].what, string(worst, "class"), string(worst, "region"),
                         json_string_value(json_array_get(quarters, when)), rub_text_mw(most, mw),
                         100.0 * json_number_value(
                                     json_array_get(json_object_get(worst, side[k].prob), when)));
        add(lines, &text);
    }
}

/* The worst surplus if all that is under contract were built, and the sites behind it. */
static void say_oversupply(const json_t *rows, json_t *lines) {
    const json_t *worst = NULL;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        if (json_array_size(json_object_get(row, "behind")) > 0 &&
            number(row, "worst_surplus_mw") > number(worst, "worst_surplus_mw") &&
            strcmp(string(row, "class"), "all") == 0)
            worst = row;
    }
    rub_text text = {0};
    char mw[32];
    if (worst && number(worst, "worst_prob") >= 0.05) {
        rub_text_add(
            &text,
            "If everything under contract were built, live capacity would pass the load by "
            "%s MW on average in %s (a surplus in %.0f %% of futures)",
            rub_text_mw(number(worst, "worst_surplus_mw"), mw), string(worst, "worst_quarter"),
            100.0 * number(worst, "worst_prob"));
        const json_t *behind = json_object_get(worst, "behind");
        for (size_t i = 0; i < json_array_size(behind) && i < 5; i++)
            rub_text_add(&text, "%s%s %s MW",
                         i ? ", " : "; behind it: ", string(json_array_get(behind, i), "site"),
                         rub_text_mw(number(json_array_get(behind, i), "mw"), mw));
        if (json_array_size(behind) > 5)
            rub_text_add(&text, " and %zu more", json_array_size(behind) - 5);
        rub_text_add(&text, ".");
    }
    add(lines, &text);
}

static void say_capex(const json_t *capex, json_t *lines) {
    size_t i;
    const json_t *year;
    rub_text text = {0};
    json_array_foreach((json_t *)(uintptr_t)capex, i, year) {
        char spend[32], budget[32];
        if (json_is_null(json_object_get(year, "budget_usd")) || i > 1)
            continue;
        double before = number(year, "spent_before_start_usd");
        rub_text_add(&text, "%s%s capex %s%s of %s", text.n ? "; " : "",
                     string(year, "fiscal_year"),
                     rub_text_usd(number(year, "mean_usd") + before, spend),
                     before > 0 ? " (with what was spent before)" : "",
                     rub_text_usd(number(year, "budget_usd"), budget));
        if (number(year, "prob_at_budget") > 0.005)
            rub_text_add(&text, ", at the budget in %.0f %% of futures",
                         100.0 * number(year, "prob_at_budget"));
    }
    if (text.n)
        rub_text_add(&text, ".");
    add(lines, &text);
}

/* What planning for many futures gains, and what knowing the future would: found by plans that are not
 * proven best, so where the plans found cannot tell it, what it is at most. */
static void say_worth(const json_t *worth, json_t *lines) {
    const json_t *vss = json_object_get(worth, "vss"), *evpi = json_object_get(worth, "evpi");
    char a[32], b[32];
    rub_text text = {0};
    if (!json_object_get(vss, "value_usd") || !json_object_get(evpi, "value_usd"))
        return;
    bool at_most = number(evpi, "value_usd") <= 0 && number(evpi, "at_most_usd") >= 500;
    rub_text_add(
        &text,
        "Planning for many futures instead of the mean one is worth %s; knowing the future "
        "would be worth %s%s more.",
        rub_text_usd(number(vss, "value_usd"), a), at_most ? "at most " : "",
        rub_text_usd(number(evpi, at_most ? "at_most_usd" : "value_usd"), b));
    add(lines, &text);
}

static void say_value(const json_t *document, json_t *lines) {
    const json_t *npv = json_object_get(document, "npv");
    double gap = number(json_object_get(document, "solve"), "gap");
    rub_text text = {0};
    char a[32], b[32];
    rub_text_add(
        &text,
        "Net present value %s on average, %s in the worst %.0f %% of futures; no plan can be "
        "worth more than %.2f %% above this one.",
        rub_text_usd(number(npv, "mean_usd"), a), rub_text_usd(number(npv, "cvar_usd"), b),
        100.0 * number(npv, "cvar_alpha"), 100.0 * gap);
    add(lines, &text);
}

json_t *rub_headline(const json_t *document) {
    json_t *lines = json_array();
    say_value(document, lines);
    say_capex(json_object_get(document, "capex"), lines);
    say_actions(json_object_get(document, "sites"), lines);
    say_oversupply(json_object_get(document, "oversupply"), lines);
    say_balance(json_object_get(document, "supply"),
                json_object_get(json_object_get(document, "study"), "quarters"), lines);
    say_worth(json_object_get(document, "worth"), lines);
    return lines;
}
