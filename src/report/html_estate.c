/* The brief's pages on the estate: contracts and live capacity, who uses it, returns, what is nearly as
 * good, what has changed. */
#include "report/html_estate.h"

#include "report/parts.h"
#include "report/svg.h"

#include <math.h>
#include <string.h>

#define MOST_T 64

static size_t series(const json_t *object, const char *key, double out[MOST_T], double *most) {
    const json_t *array = json_object_get(object, key);
    size_t n = json_array_size(array);
    n = n < MOST_T ? n : MOST_T;
    for (size_t i = 0; i < n; i++) {
        out[i] = json_number_value(json_array_get(array, i));
        *most = fmax(*most, out[i]);
    }
    return n;
}

static void quarter_labels(const rub_chart *chart, const json_t *document, size_t n) {
    const json_t *quarters = rub_part(rub_part(document, "study"), "quarters");
    size_t step = n > 16 ? 4 : n > 8 ? 2 : 1;
    for (size_t t = 0; t < n; t += step) {
        const char *name = json_string_value(json_array_get(quarters, t));
        rub_chart_x_label(chart, (double)t, name ? name : "");
    }
}

static void estate_figure(rub_text *out, const json_t *document) {
    const json_t *e = rub_part(document, "estate");
    double contracted[MOST_T], committed[MOST_T], live[MOST_T], low[MOST_T], high[MOST_T];
    double most = 0.0;
    size_t n = series(e, "contracted_mw", contracted, &most);
    series(e, "committed_mw", committed, &most);
    series(e, "live_mw", live, &most);
    series(e, "live_p10_mw", low, &most);
    series(e, "live_p90_mw", high, &most);
    if (n < 2 || most <= 0)
        return;
    rub_text_add(out, "<figure>");
    rub_chart c = rub_chart_begin(out, 460, 220, 0, (double)n - 1, 0, most, "MW",
                                  "contracted, committed and live capacity");
    rub_chart_band(&c, low, high, n, "fan");
    rub_chart_line(&c, contracted, n, "rent");
    rub_chart_line(&c, committed, n, "live");
    rub_chart_line(&c, live, n, "demand");
    quarter_labels(&c, document, n);
    rub_chart_end(&c);
    rub_text_add(out, "<figcaption>Contracted (dotted amber), committed (dashed green) and live "
                      "(blue, p10 to p90) capacity</figcaption></figure>");
}

/* Stacked bars by quarter: each load, rented out, idle. */
static void use_figure(rub_text *out, const json_t *document) {
    static const char *const shade[] = {"use0", "use1", "use2", "use3", "use4", "use5"};
    const json_t *u = rub_part(document, "utilisation"), *loads = rub_part(u, "by_load_mw");
    double live[MOST_T], from[MOST_T] = {0}, part[MOST_T], most = 0.0, unused = 0.0;
    size_t n = series(u, "live_mw", live, &most), k = 0;
    const char *name;
    json_t *array;
    if (n < 2 || most <= 0)
        return;
    rub_text_add(out, "<figure>");
    rub_chart c = rub_chart_begin(out, 460, 220, -0.5, (double)n - 0.5, 0, most, "MW",
                                  "use of live capacity");
    json_object_foreach((json_t *)(uintptr_t)loads, name, array) {
        series(loads, name, part, &unused);
        for (size_t t = 0; t < n; t++) {
            char hint[96];
            snprintf(hint, sizeof hint, "%.60s %.0f MW", name, part[t]);
            rub_chart_bar(&c, (double)t, 0.4, from[t], from[t] + part[t],
                          shade[k % (sizeof shade / sizeof shade[0])], hint);
            from[t] += part[t];
        }
        k++;
    }
    series(u, "rented_out_mw", part, &unused);
    for (size_t t = 0; t < n; t++) {
        char hint[64];
        snprintf(hint, sizeof hint, "rented out %.0f MW", part[t]);
        rub_chart_bar(&c, (double)t, 0.4, from[t], from[t] + part[t], "rentout", hint);
        from[t] += part[t];
        snprintf(hint, sizeof hint, "idle %.0f MW", fmax(0.0, live[t] - from[t]));
        rub_chart_bar(&c, (double)t, 0.4, from[t], fmax(from[t], live[t]), "before", hint);
    }
    quarter_labels(&c, document, n);
    rub_chart_end(&c);
    rub_text_add(out, "<figcaption>Who uses live capacity: ");
    k = 0;
    json_object_foreach((json_t *)(uintptr_t)loads, name, array) {
        rub_text_add(out, "<span class=\"whole\"><span class=\"chip %s\"></span> ", shade[k++ % 6]);
        rub_part_escape(out, name);
        rub_text_add(out, ",</span> ");
    }
    rub_text_add(
        out,
        "<span class=\"whole\"><span class=\"chip rentout\"></span> rented out,</span> <span "
        "class=\"whole\"><span class=\"chip before\"></span> idle</span></figcaption></figure>");
}

static void cell(rub_text *out, const char *words, bool numeric) {
    rub_text_add(out, numeric ? "<td class=\"n\">" : "<td>");
    rub_part_escape(out, words);
    rub_text_add(out, "</td>");
}

static void returns(rub_text *out, const json_t *document) {
    rub_text_add(out, "<table><tr><th>fiscal year</th><th class=\"n\">revenue</th><th "
                      "class=\"n\">operating cost</th><th class=\"n\">written down</th><th "
                      "class=\"n\">invested</th><th class=\"n\">return on it</th><th "
                      "class=\"n\">$ per Mtok</th></tr>");
    RUB_PART_EACH(rub_part(document, "returns"), i, y) {
        char a[32];
        rub_text_add(out, "<tr>");
        cell(out, rub_part_string(y, "fiscal_year"), false);
        cell(out, rub_text_usd(rub_part_number(y, "revenue_usd"), a), true);
        cell(out, rub_text_usd(rub_part_number(y, "operating_cost_usd"), a), true);
        cell(out, rub_text_usd(rub_part_number(y, "written_down_usd"), a), true);
        cell(out, rub_text_usd(rub_part_number(y, "invested_usd"), a), true);
        cell(out, rub_part_share(rub_part_number(y, "roic"), a), true);
        snprintf(a, sizeof a, "%.3f", rub_part_number(y, "usd_per_mtok"));
        cell(out, a, true);
        rub_text_add(out, "</tr>");
    }
    rub_text_add(out, "</table>");
    rub_text broken = {0};
    rub_part_broken_years(document, &broken);
    if (broken.n) {
        rub_text_add(out, "<p class=\"sub\">");
        rub_part_escape(out, broken.data);
        rub_text_add(out, "</p>");
    }
    rub_text_clear(&broken);
}

void rub_html_estate(rub_text *out, const json_t *document) {
    if (!rub_part(document, "estate"))
        return;
    rub_text_add(out, "<h2>The estate</h2><div class=\"grid2\">");
    estate_figure(out, document);
    use_figure(out, document);
    rub_text_add(out, "</div>");
    if (rub_part(document, "returns"))
        returns(out, document);
}

void rub_html_nearby(rub_text *out, const json_t *document) {
    const json_t *n = rub_part(document, "nearby");
    char a[32];
    if (!n)
        return;
    rub_text_add(out, "<h2>Nearly as good</h2>");
    size_t turned = json_array_size(json_object_get(n, "turned"));
    if (turned == 0)
        rub_text_add(
            out, "<p>No other plan was found that acts otherwise now and keeps within %.0f %%.</p>",
            100 * rub_part_number(n, "within"));
    else
        rub_text_add(out, "<p>%zu site%s may act otherwise now%s, for %s:</p>", turned,
                     turned == 1 ? "" : "s", turned == 1 ? "" : ", together",
                     rub_text_usd(rub_part_number(n, "loses_usd"), a));
    rub_text_add(out, "<ul class=\"head\">");
    RUB_PART_EACH(rub_part(n, "turned"), i, one) {
        rub_text_add(out, "<li>");
        rub_part_escape(out, rub_part_string(one, "site"));
        rub_text_add(out, ": ");
        rub_part_escape(out, rub_part_string(one, "to"));
        rub_text_add(out, " instead of ");
        rub_part_escape(out, rub_part_string(one, "from"));
        rub_text_add(out, "</li>");
    }
    RUB_PART_EACH(rub_part(n, "swaps"), k, swap) {
        rub_text_add(out, "<li>Swap: ");
        rub_part_escape(out, rub_part_string(swap, "text"));
        rub_text_add(out, "</li>");
    }
    rub_text_add(out, "</ul>");
}

void rub_html_rules(rub_text *out, const json_t *document) {
    const json_t *rows = rub_part(document, "rules");
    if (json_array_size(rows) == 0)
        return;
    rub_text_add(out,
                 "<h2>Rules in words</h2><p class=\"sub\">What the plan does later, as at most "
                 "three questions for each site and stage, and how much of the plan they "
                 "tell. Loads in MW of today's fleet; shares of the quarters spent in the "
                 "stage.</p><details><summary>All rules of all "
                 "stages</summary><table><tr><th>site</th><th>while</th><th>what to do</th><th "
                 "class=\"n\">tell</th></tr>");
    RUB_PART_EACH(rows, i, stage) {
        char a[32];
        rub_text_add(out, "<tr>");
        cell(out, rub_part_string(stage, "site"), false);
        cell(out, rub_part_string(stage, "stage"), false);
        rub_text_add(out, "<td>");
        RUB_PART_EACH(rub_part(stage, "rules"), k, rule) {
            rub_text_add(out, "<b>");
            rub_part_escape(out, rub_part_string(rule, "do"));
            rub_text_add(out, "</b>");
            if (*rub_part_string(rule, "if")) {
                rub_text_add(out, " if ");
                rub_part_escape(out, rub_part_string(rule, "if"));
            }
            rub_text_add(out, " (%.0f %%)<br>", 100 * rub_part_number(rule, "probability"));
        }
        rub_text_add(out, "</td>");
        cell(out, rub_part_share(rub_part_number(stage, "accuracy"), a), true);
        rub_text_add(out, "</tr>");
    }
    rub_text_add(out, "</table></details>");
}

void rub_html_since(rub_text *out, const json_t *document) {
    const json_t *old = rub_part(document, "since");
    if (!old)
        return;
    rub_text_add(out, "<h2>Since the plan of ");
    rub_part_escape(out, rub_part_string(old, "start"));
    rub_text_add(out, "</h2><ul class=\"head\">");
    RUB_PART_EACH(rub_part(old, "lines"), k, line) {
        rub_text_add(out, "<li>");
        rub_part_escape(out, json_string_value(line) ? json_string_value(line) : "");
        rub_text_add(out, "</li>");
    }
    rub_text_add(out, "</ul>");
}
