/* A plan for a terminal: headline, a table of decisions, supply against demand, money. 100 columns.
 */
#include "rubato/report.h"

#include "report/parts.h"

#include <math.h>
#include <string.h>

#define WIDTH 100

typedef struct screen {
    rub_text text;
    bool colour;
} screen;

static void heading(screen *s, const char *title) {
    rub_text_add(&s->text, s->colour ? "\n\033[1m%s\033[0m\n" : "\n%s\n", title);
}

/* Wraps words into the width, continuation lines indented. */
static void wrapped(screen *s, const char *first, const char *words, int indent) {
    int column = (int)strlen(first);
    bool begun = false;
    rub_text_add(&s->text, "%s", first);
    while (*words) {
        int n = (int)strcspn(words, " ");
        if (!strncmp(words + n, " %", 2)) /* "64 %" stays together */
            n += 1 + (int)strcspn(words + n + 1, " ");
        if (column + 1 + n > WIDTH && begun) {
            rub_text_add(&s->text, "\n%*s", indent, "");
            column = indent;
        } else if (begun) {
            rub_text_add(&s->text, " ");
            column++;
        }
        begun = true;
        rub_text_add_bytes(&s->text, words, (size_t)n);
        column += n;
        words += n;
        while (*words == ' ')
            words++;
    }
    rub_text_add(&s->text, "\n");
}

static void headline(screen *s, const json_t *document) {
    const json_t *study = rub_part(document, "study");
    rub_text_add(&s->text, s->colour ? "\033[1m%s\033[0m\n" : "%s\n",
                 rub_part_string(study, "title"));
    RUB_PART_EACH(rub_part(study, "what_if"), k, change)
    rub_text_add(&s->text, "  what if %s\n",
                 json_string_value(change) ? json_string_value(change) : "");
    rub_text_add(&s->text, "\n");
    RUB_PART_EACH(rub_part(document, "headline"), i, line)
    wrapped(s, "  - ", json_string_value(line) ? json_string_value(line) : "", 4);
}

/* Why: of the site, or of each group of its blocks that acts otherwise; and what else could be done. */
static void reasons(screen *s, const json_t *site) {
    const json_t *groups = rub_part(site, "groups");
    char price[32];
    if (json_array_size(groups) < 2) {
        wrapped(s, "      why: ", rub_part_string(site, "why"), 11);
        const json_t *other = rub_part(site, "runner_up");
        if (other)
            wrapped(s, "      else: ", rub_part_string(other, "text"), 12);
        return;
    }
    RUB_PART_EACH(groups, g, group) {
        const json_t *other = rub_part(group, "runner_up");
        char first[64];
        snprintf(first, sizeof first, "      %.0f %.30s: ", rub_part_number(group, "blocks"),
                 rub_part_string(group, "action"));
        wrapped(s, first, rub_part_string(group, "why"), 11);
        if (other)
            wrapped(s, "           else: ", rub_part_string(other, "text"), 17);
    }
    rub_text_add(&s->text, "      a MW here is worth %s a quarter over the next two years\n",
                 rub_part_price(site, price));
}

static void sites(screen *s, const json_t *document) {
    heading(s, "Sites: what to do now (rules: loads in MW of today's fleet)");
    rub_text_add(&s->text, "  %-22s %-12s %-9s %6s  %-22s %s\n", "site", "region", "stage", "MW",
                 "action now", "serves in");
    RUB_PART_EACH(rub_part(document, "sites"), i, site) {
        rub_text actions = {0};
        char mw[32];
        rub_part_actions(site, &actions);
        rub_text_add(&s->text, "  %-22.22s %-12.12s %-9.9s %6s  %-22.40s %3.0f %%\n",
                     rub_part_string(site, "site"), rub_part_string(site, "region"),
                     rub_part_string(site, "stage"), rub_text_mw(rub_part_number(site, "mw"), mw),
                     actions.data ? actions.data : "",
                     100.0 * rub_part_number(site, "prob_ever_live"));
        rub_text_clear(&actions);
        reasons(s, site);
        RUB_PART_EACH(rub_part(site, "triggers"), k, trigger)
        wrapped(s, "      rule: ", rub_part_string(trigger, "text"), 12);
    }
}

/* Values by quarter at most twelve a table: every second or fourth when there are more. */
static size_t quarter_step(size_t n) { return n > 24 ? 4 : n > 12 ? 2 : 1; }

static void since(screen *s, const json_t *document) {
    const json_t *old = rub_part(document, "since");
    char title[64];
    if (!old)
        return;
    snprintf(title, sizeof title, "Since the plan of %.12s", rub_part_string(old, "start"));
    heading(s, title);
    RUB_PART_EACH(rub_part(old, "lines"), k, line)
    wrapped(s, "  - ", json_string_value(line) ? json_string_value(line) : "", 4);
}

static double at(const json_t *column, const char *key, size_t t) {
    return json_number_value(json_array_get(json_object_get(column, key), t));
}

/* A class of load that nobody asks for and nothing serves. */
static bool is_empty(const json_t *column) {
    RUB_PART_EACH(rub_part(column, "demand_mw"), t, mw)
    if (json_number_value(mw) > 0 || at(column, "own_mw", t) > 0 ||
        at(column, "rented_out_mw", t) > 0)
        return false;
    return true;
}

static void supply_row(screen *s, const json_t *column, const char *quarter, size_t t) {
    static const char *const key[] = {"live_mw", "own_mw", "rented_in_mw", "short_mw"};
    char demand[32], low[32], high[32], mw[32];
    rub_text_add(&s->text, "    %-8s %8s %8s..%-7s", quarter,
                 rub_text_mw(at(column, "demand_mw", t), demand),
                 rub_text_mw(at(column, "demand_p10_mw", t), low),
                 rub_text_mw(at(column, "demand_p90_mw", t), high));
    for (size_t k = 0; k < sizeof key / sizeof key[0]; k++)
        rub_text_add(&s->text, " %8s", rub_text_mw(at(column, key[k], t), mw));
    rub_text_add(&s->text, " %6.0f %% %6.0f %%\n", 100.0 * at(column, "prob_shortage", t),
                 100.0 * at(column, "prob_surplus", t));
}

static void supply(screen *s, const json_t *document) {
    const json_t *quarters = rub_part(rub_part(document, "study"), "quarters");
    heading(s, "Supply against demand (MW of IT load, means over futures)");
    RUB_PART_EACH(rub_part(document, "supply"), m, column) {
        if (is_empty(column))
            continue;
        rub_text_add(&s->text, "  %s, %s\n", rub_part_string(column, "class"),
                     rub_part_string(column, "region"));
        rub_text_add(&s->text, "    %-8s %8s %17s %8s %8s %8s %8s %8s %8s\n", "quarter", "demand",
                     "p10..p90", "live", "own use", "rent in", "short", "P(short)", "P(surpl)");
        size_t n = json_array_size(quarters), step = n > 12 ? 2 : 1;
        for (size_t t = 0; t < n; t += step) {
            const char *name = json_string_value(json_array_get(quarters, t));
            supply_row(s, column, name ? name : "", t);
        }
    }
}

static void estate(screen *s, const json_t *document) {
    const json_t *quarters = rub_part(rub_part(document, "study"), "quarters");
    const json_t *e = rub_part(document, "estate"), *u = rub_part(document, "utilisation");
    size_t n = json_array_size(quarters);
    if (!e || !u)
        return;
    heading(s, "Estate (MW, means; p10..p90)");
    rub_text_add(&s->text, "  %-8s %-22s  %-22s  %-22s %s\n", "quarter", "contracted", "committed",
                 "live", "in use");
    for (size_t t = 0; t < n; t += quarter_step(n)) {
        static const char *const kind[] = {"contracted", "committed", "live"};
        const char *name = json_string_value(json_array_get(quarters, t));
        rub_text_add(&s->text, "  %-8s", name ? name : "");
        for (size_t k = 0; k < 3; k++) {
            char mean[32], low[32], high[32], a[32], b[32], c[32];
            snprintf(mean, sizeof mean, "%s_mw", kind[k]);
            snprintf(low, sizeof low, "%s_p10_mw", kind[k]);
            snprintf(high, sizeof high, "%s_p90_mw", kind[k]);
            rub_text_add(&s->text, " %7s %6s..%-6s", rub_text_mw(at(e, mean, t), a),
                         rub_text_mw(at(e, low, t), b), rub_text_mw(at(e, high, t), c));
        }
        rub_text_add(&s->text, " %4.0f %%\n", 100.0 * at(u, "utilisation", t));
    }
}

static void returns(screen *s, const json_t *document) {
    const json_t *years = rub_part(document, "returns");
    if (!years)
        return;
    heading(s, "Returns by fiscal year (means over futures, before tax)");
    rub_text_add(&s->text, "  %-7s %10s %10s %13s %10s %7s %9s\n", "year", "revenue", "op. cost",
                 "written down", "invested", "ROIC", "$/Mtok");
    RUB_PART_EACH(years, i, y) {
        char a[32], b[32], c[32], d[32];
        rub_text_add(&s->text, "  %-7s %10s %10s %13s %10s %5.0f %% %9.3f\n",
                     rub_part_string(y, "fiscal_year"),
                     rub_text_usd(rub_part_number(y, "revenue_usd"), a),
                     rub_text_usd(rub_part_number(y, "operating_cost_usd"), b),
                     rub_text_usd(rub_part_number(y, "written_down_usd"), c),
                     rub_text_usd(rub_part_number(y, "invested_usd"), d),
                     100.0 * rub_part_number(y, "roic"), rub_part_number(y, "usd_per_mtok"));
    }
    rub_text broken = {0};
    rub_part_broken_years(document, &broken);
    if (broken.n)
        wrapped(s, "  ", broken.data, 2);
    rub_text_clear(&broken);
}

static void nearby(screen *s, const json_t *document) {
    const json_t *n = rub_part(document, "nearby");
    char a[32], b[32];
    if (!n)
        return;
    heading(s, "Nearly as good");
    rub_text *t = &s->text;
    size_t turned = json_array_size(json_object_get(n, "turned"));
    if (turned == 0)
        rub_text_add(t,
                     "  no other plan was found that acts otherwise now and keeps within %.0f %%\n",
                     100 * rub_part_number(n, "within"));
    else
        rub_text_add(t, "  %zu site%s (%s MW) may act otherwise now for %s in all:\n", turned,
                     turned == 1 ? "" : "s", rub_text_mw(rub_part_number(n, "turned_mw"), b),
                     rub_text_usd(rub_part_number(n, "loses_usd"), a));
    RUB_PART_EACH(rub_part(n, "turned"), i, one)
    rub_text_add(t, "    %-22s %s instead of %s\n", rub_part_string(one, "site"),
                 rub_part_string(one, "to"), rub_part_string(one, "from"));
    RUB_PART_EACH(rub_part(n, "swaps"), k, swap)
    wrapped(s, "  swap: ", rub_part_string(swap, "text"), 8);
}

/* "$1.2B", or "-" where the question is not open. */
static const char *usd_or_dash(const json_t *row, const char *key, char buf[32]) {
    return json_is_number(rub_part(row, key)) ? rub_text_usd(rub_part_number(row, key), buf) : "-";
}

/* What each commitment is worth: sites where nothing else is open are left out. */
static void commitments(screen *s, const json_t *document) {
    const json_t *rows = rub_part(document, "commitments");
    if (json_array_size(rows) == 0)
        return;
    heading(s, "What a commitment is worth (one block, all else standing)");
    rub_text_add(&s->text, "  %-22s %-10s %8s %22s %22s\n", "site", "now", "block MW",
                 "waiting costs", "leaving costs");
    bool more = false;
    RUB_PART_EACH(rows, i, row) {
        char mw[32], a[32], b[32];
        const char *waiting = usd_or_dash(row, "acting_beats_waiting_usd", a);
        const char *leaving = usd_or_dash(row, "keeping_beats_leaving_usd", b);
        if (*waiting == '-' && !waiting[1] && *leaving == '-' && !leaving[1])
            continue;
        rub_text_add(&s->text, "  %-22.22s %-10s %8s %22s %22s\n", rub_part_string(row, "site"),
                     rub_part_string(row, "action"),
                     rub_text_mw(rub_part_number(row, "block_mw"), mw), waiting, leaving);
        more = more || !strncmp(waiting, "-$", 2) || !strncmp(leaving, "-$", 2);
    }
    if (more)
        rub_text_add(&s->text, "  -$: by itself the other would be worth more, within the gap\n");
}

static void capex(screen *s, const json_t *document) {
    heading(s, "Capex by fiscal year, from the study's start");
    rub_text_add(&s->text, "  %-7s %10s %10s %11s %10s %10s %10s  %s\n", "year", "budget", "before",
                 "long-lived", "short-l.", "total", "p90", "at budget");
    RUB_PART_EACH(rub_part(document, "capex"), i, year) {
        char b[32], p[32], l[32], t[32], m[32], h[32];
        bool none = !json_is_number(rub_part(year, "budget_usd"));
        rub_text_add(&s->text, "  %-7s %10s %10s %11s %10s %10s %10s  %5.0f %%\n",
                     rub_part_string(year, "fiscal_year"),
                     none ? "none" : rub_text_usd(rub_part_number(year, "budget_usd"), b),
                     rub_text_usd(rub_part_number(year, "spent_before_start_usd"), p),
                     rub_text_usd(rub_part_number(year, "long_lived_usd"), l),
                     rub_text_usd(rub_part_number(year, "short_lived_usd"), t),
                     rub_text_usd(rub_part_number(year, "mean_usd"), m),
                     rub_text_usd(rub_part_number(year, "p90_usd"), h),
                     100.0 * rub_part_number(year, "prob_at_budget"));
    }
}

static void npv(screen *s, const json_t *document) {
    const json_t *n = rub_part(document, "npv");
    char a[32], b[32], c[32], d[32], e[32];
    heading(s, "Net present value over futures");
    rub_text_add(&s->text, "  mean %s   p5 %s   p50 %s   p95 %s   mean of the worst %.0f %%: %s\n",
                 rub_text_usd(rub_part_number(n, "mean_usd"), a),
                 rub_text_usd(rub_part_number(n, "p05_usd"), b),
                 rub_text_usd(rub_part_number(n, "p50_usd"), c),
                 rub_text_usd(rub_part_number(n, "p95_usd"), d),
                 100.0 * rub_part_number(n, "cvar_alpha"),
                 rub_text_usd(rub_part_number(n, "cvar_usd"), e));
}

static void worth_line(screen *s, const char *name, const json_t *value) {
    char a[32], b[32], c[32];
    if (!json_is_number(rub_part(value, "value_usd"))) {
        rub_text_add(&s->text, "  %-46s %s\n", name, rub_part_string(value, "note"));
        return;
    }
    if (rub_part_is_open(value)) {
        rub_text_add(&s->text, "  %-46s %9s   (proven: at most %s)\n", name, "not told",
                     rub_text_usd(rub_part_number(value, "at_most_usd"), c));
        return;
    }
    rub_text_add(&s->text, "  %-46s %9s   (proven: %s to %s)\n", name,
                 rub_text_usd(rub_part_number(value, "value_usd"), a),
                 rub_text_usd(rub_part_number(value, "at_least_usd"), b),
                 rub_text_usd(rub_part_number(value, "at_most_usd"), c));
}

static void worth(screen *s, const json_t *document) {
    const json_t *w = rub_part(document, "worth");
    if (!w)
        return;
    heading(s, "Value of flexibility and of knowing more");
    if (rub_part(w, "vss"))
        worth_line(s, "many futures instead of the mean (VSS)", rub_part(w, "vss"));
    if (rub_part(w, "evpi"))
        worth_line(s, "perfect information (EVPI)", rub_part(w, "evpi"));
    RUB_PART_EACH(rub_part(w, "options"), i, option) {
        char name[96];
        snprintf(name, sizeof name, "option to %s", rub_part_string(option, "option"));
        if (!strncmp(rub_part_string(option, "option"), "all ", 4))
            snprintf(name, sizeof name, "%s", rub_part_string(option, "option"));
        worth_line(s, name, option);
    }
}

static void out_of_sample(screen *s, const json_t *document) {
    const json_t *o = rub_part(document, "out_of_sample");
    char title[96], a[32], b[32], c[32], d[32], e[32];
    if (!o)
        return;
    snprintf(title, sizeof title,
             "Out of sample: %.0f fresh futures, the same for all (95 %% limits)",
             rub_part_number(o, "paths"));
    heading(s, title);
    rub_text_add(&s->text, "  %-30s %18s %9s  %22s %8s %5s\n", "policy", "mean NPV", "worst",
                 "the plan is worth more", "unserved", "idle");
    RUB_PART_EACH(rub_part(o, "policies"), i, p) {
        char more[80] = "";
        if (i > 0)
            snprintf(more, sizeof more, "%s +- %s",
                     rub_text_usd(rub_part_number(p, "plan_is_worth_more_usd"), d),
                     rub_text_usd(rub_part_number(p, "plan_is_worth_more_ci_usd"), e));
        rub_text_add(&s->text, "  %-30s %8s +- %-6s %9s  %22s %6.1f %% %3.0f %%\n",
                     rub_part_string(p, "policy"), rub_text_usd(rub_part_number(p, "mean_usd"), a),
                     rub_text_usd(rub_part_number(p, "mean_ci_usd"), b),
                     rub_text_usd(rub_part_number(p, "cvar_usd"), c), more,
                     100 * rub_part_number(p, "unserved"), 100 * rub_part_number(p, "idle"));
    }
    RUB_PART_EACH(rub_part(o, "regret"), k, r)
    if (k == 0)
        rub_text_add(&s->text,
                     "  regret of the plan against knowing each future: %s +- %s (at most %s), on "
                     "%.0f futures\n",
                     rub_text_usd(rub_part_number(r, "mean_usd"), a),
                     rub_text_usd(rub_part_number(r, "ci_usd"), b),
                     rub_text_usd(rub_part_number(r, "at_most_usd"), c),
                     rub_part_number(o, "regret_paths"));
}

static void stability(screen *s, const json_t *document) {
    const json_t *o = rub_part(document, "stability");
    static const char *const side[] = {"in_sample", "out_of_sample"};
    if (!o)
        return;
    heading(s, "Stability: other trees from other paths");
    for (size_t i = 0; i < 2; i++) {
        const json_t *x = rub_part(o, side[i]);
        char a[32], b[32], c[32], d[32];
        rub_text_add(
            &s->text, "  %-42s mean %s, deviation %s (%.1f %%), %s to %s, %.0f trees\n",
            i ? "worth of their plans on fresh futures" : "worth on their own tree",
            rub_text_usd(rub_part_number(x, "mean_usd"), a),
            rub_text_usd(rub_part_number(x, "sd_usd"), b), 100 * rub_part_number(x, "sd_frac"),
            rub_text_usd(rub_part_number(x, "least_usd"), c),
            rub_text_usd(rub_part_number(x, "most_usd"), d), rub_part_number(o, "planned"));
    }
}

static void comparisons(screen *s, const json_t *document) {
    RUB_PART_EACH(rub_part(document, "comparisons"), i, comparison) {
        rub_text title = {0};
        rub_text_add(&title, "What if %s", rub_part_string(comparison, "name"));
        heading(s, title.data ? title.data : "What if");
        rub_text_clear(&title);
        RUB_PART_EACH(rub_part(comparison, "lines"), k, line)
        wrapped(s, "  - ", json_string_value(line) ? json_string_value(line) : "", 4);
    }
}

static void proof(screen *s, const json_t *document) {
    const json_t *v = rub_part(document, "solve"), *n = rub_part(document, "npv");
    double weight = rub_part_number(n, "cvar_weight");
    char a[32], b[32], c[32];
    heading(s, "How sure");
    if (weight > 0)
        rub_text_add(
            &s->text,
            "  a plan counts for %.0f %% of its mean (%s) and %.0f %% of the mean of its worst "
            "%.0f %% (%s)\n",
            100 * (1 - weight), rub_text_usd(rub_part_number(n, "mean_usd"), a), 100 * weight,
            100 * rub_part_number(n, "cvar_alpha"),
            rub_text_usd(rub_part_number(n, "cvar_usd"), c));
    rub_text_add(
        &s->text,
        "  plan %s, no plan can exceed %s: gap %.2f %%, %s, %.1f s, %.0f blocks, %.0f nodes, "
        "%.0f leaves\n",
        rub_text_usd(rub_part_number(v, "value_usd"), a),
        rub_text_usd(rub_part_number(v, "bound_usd"), b), 100.0 * rub_part_number(v, "gap"),
        rub_part_string(v, "method"), rub_part_number(v, "seconds"), rub_part_number(v, "blocks"),
        rub_part_number(v, "nodes"), rub_part_number(v, "leaves"));
    rub_text_add(
        &s->text,
        "  tree: a path differs from its node by %.0f %% on average; worst error of a mean "
        "%.1f %%; of a talks' probability %.0f points\n",
        100.0 * rub_part_number(v, "tree_distance"), 100.0 * rub_part_number(v, "tree_mean_error"),
        100.0 * rub_part_number(v, "tree_talks_error"));
}

rub_status rub_report_terminal(const json_t *document, bool colour, char **out, rub_error *err) {
    screen s = {.colour = colour};
    headline(&s, document);
    if (rub_part(document, "infeasible")) {
        heading(&s, "No plan");
        wrapped(&s, "  ", rub_part_string(document, "infeasible"), 2);
        return rub_part_finish(&s.text, out, err);
    }
    since(&s, document);
    sites(&s, document);
    supply(&s, document);
    estate(&s, document);
    capex(&s, document);
    returns(&s, document);
    npv(&s, document);
    worth(&s, document);
    commitments(&s, document);
    nearby(&s, document);
    out_of_sample(&s, document);
    stability(&s, document);
    comparisons(&s, document);
    proof(&s, document);
    return rub_part_finish(&s.text, out, err);
}
