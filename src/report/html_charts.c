#include "report/html_charts.h"

#include "report/parts.h"
#include "report/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_T 64

/* Copies a column's array; returns its length (at most MAX_T) and raises *most to its largest. */
static size_t series(const json_t *column, const char *key, double out[MAX_T], double *most) {
    const json_t *array = json_object_get(column, key);
    size_t n = json_array_size(array);
    n = n < MAX_T ? n : MAX_T;
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

static void supply_figure(rub_text *out, const json_t *document, const json_t *column) {
    double p10[MAX_T] = {0}, p50[MAX_T] = {0}, p90[MAX_T] = {0}, live[MAX_T] = {0},
           own[MAX_T] = {0}, with_rent[MAX_T] = {0}, shortage[MAX_T] = {0}, surplus[MAX_T] = {0};
    double most = 0.0, unused = 0.0;
    size_t n = series(column, "demand_p10_mw", p10, &most);
    series(column, "demand_p50_mw", p50, &most);
    series(column, "demand_p90_mw", p90, &most);
    series(column, "live_mw", live, &most);
    series(column, "own_mw", own, &most);
    series(column, "rented_in_mw", with_rent, &unused);
    series(column, "prob_shortage", shortage, &unused);
    series(column, "prob_surplus", surplus, &unused);
    if (n < 2 || most <= 0)
        return;
    for (size_t t = 0; t < n; t++)
        with_rent[t] += own[t];
    rub_text title = {0};
    rub_text_add(&title, "%s, %s", rub_part_string(column, "class"),
                 rub_part_string(column, "region"));
    rub_text_add(out, "<figure><figcaption class=\"title\">");
    rub_part_escape(out, title.data ? title.data : "");
    rub_text_add(out, "</figcaption>");
    rub_chart c = rub_chart_begin(out, 460, 220, 0, (double)n - 1, 0, most, "MW",
                                  title.data ? title.data : "");
    rub_chart_band(&c, p10, p90, n, "fan");
    rub_chart_line(&c, p50, n, "demand");
    rub_chart_line(&c, live, n, "live");
    rub_chart_line(&c, own, n, "own");
    rub_chart_line(&c, with_rent, n, "rent");
    quarter_labels(&c, document, n);
    rub_chart_end(&c);
    c = rub_chart_begin(out, 460, 84, -0.5, (double)n - 0.5, 0, 1,
                        "probability of shortage, surplus", "probability of shortage and surplus");
    for (size_t t = 0; t < n; t++) {
        char hint[96];
        snprintf(hint, sizeof hint, "shortage %.0f %%, surplus %.0f %%", 100 * shortage[t],
                 100 * surplus[t]);
        rub_chart_bar(&c, (double)t - 0.2, 0.18, 0, shortage[t], "short", hint);
        rub_chart_bar(&c, (double)t + 0.2, 0.18, 0, surplus[t], "surplus", hint);
    }
    rub_chart_end(&c);
    rub_text_add(out, "</figure>");
    rub_text_clear(&title);
}

void rub_chart_supply(rub_text *out, const json_t *document) {
    RUB_PART_EACH(rub_part(document, "supply"), m, column)
    supply_figure(out, document, column);
}

void rub_chart_capex(rub_text *out, const json_t *document) {
    const json_t *years = rub_part(document, "capex");
    size_t n = json_array_size(years);
    double most = 0.0;
    RUB_PART_EACH(years, i, year)
    most = fmax(most, fmax(rub_part_number(year, "budget_usd"),
                           rub_part_number(year, "spent_before_start_usd") +
                               rub_part_number(year, "p90_usd")));
    if (n == 0 || most <= 0)
        return;
    double unit = most >= 1e9 ? 1e9 : 1e6;
    rub_chart c = rub_chart_begin(out, 460, 240, -0.6, (double)n - 0.4, 0, most / unit,
                                  unit > 1e8 ? "$ billion" : "$ million", "capex by fiscal year");
    RUB_PART_EACH(years, k, year) {
        double x = (double)k, before = rub_part_number(year, "spent_before_start_usd") / unit;
        double long_lived = rub_part_number(year, "long_lived_usd") / unit;
        double total = rub_part_number(year, "mean_usd") / unit;
        rub_chart_bar(&c, x, 0.3, 0, before, "before", "spent before the study starts");
        rub_chart_bar(&c, x, 0.3, before, before + long_lived, "long",
                      "long-lived: land, shell, power");
        rub_chart_bar(&c, x, 0.3, before + long_lived, before + total, "shortl",
                      "short-lived: accelerators, installation");
        rub_chart_bar(&c, x, 0.02, before + rub_part_number(year, "p10_usd") / unit,
                      before + rub_part_number(year, "p90_usd") / unit, "whisker", "p10 to p90");
        if (json_is_number(rub_part(year, "budget_usd")))
            rub_chart_level(&c, x - 0.42, x + 0.42, rub_part_number(year, "budget_usd") / unit,
                            "budget");
        rub_chart_x_label(&c, x, rub_part_string(year, "fiscal_year"));
    }
    rub_chart_end(&c);
}

/* Histogram of NPV over futures, ten bins between the extremes. */
void rub_chart_npv(rub_text *out, const json_t *document) {
    enum { BINS = 12 };
    const json_t *npv = rub_part(document, "npv"), *futures = rub_part(npv, "futures");
    double low = HUGE_VAL, high = -HUGE_VAL, bin[BINS] = {0}, most = 0.0;
    RUB_PART_EACH(futures, i, one) {
        low = fmin(low, rub_part_number(one, "npv_usd"));
        high = fmax(high, rub_part_number(one, "npv_usd"));
    }
    if (!(low < high))
        return;
    double width = (high - low) / BINS, unit = fmax(fabs(low), fabs(high)) >= 1e9 ? 1e9 : 1e6;
    RUB_PART_EACH(futures, k, one) {
        int at = (int)((rub_part_number(one, "npv_usd") - low) / width);
        at = at < BINS ? at : BINS - 1;
        bin[at] += rub_part_number(one, "prob");
        most = fmax(most, bin[at]);
    }
    rub_chart c = rub_chart_begin(out, 460, 200, low / unit, high / unit, 0, most, "probability",
                                  "net present value over futures");
    for (int b = 0; b < BINS; b++) {
        char hint[96], number[32];
        double middle = (low + (b + 0.5) * width) / unit;
        snprintf(hint, sizeof hint, "around $%s%s: %.0f %%", rub_text_number(middle, number),
                 unit > 1e8 ? "B" : "M", 100 * bin[b]);
        rub_chart_bar(&c, middle, 0.45 * width / unit, 0, bin[b], "npv", hint);
        if (b % 3 == 1) {
            char label[48];
            snprintf(label, sizeof label, "$%s%s", rub_text_number(middle, number),
                     unit > 1e8 ? "B" : "M");
            rub_chart_x_label(&c, middle, label);
        }
    }
    rub_chart_end(&c);
}

static void x_label(rub_text *out, double x, const char *text) {
    rub_text_add(out, "<text class=\"xtick\" x=\"%.1f\" y=\"13\">", x);
    rub_part_escape(out, text);
    rub_text_add(out, "</text>");
}

static const char *action_class(const char *action) {
    static const char *const stop[] = {"cancel", "retire"},
                             *const slow[] = {"pause", "defer", "sublet"}, *const go[] = {"sign",
                                                                                          "proceed",
                                                                                          "resume",
                                                                                          "fit out",
                                                                                          "refresh",
                                                                                          "upgrade",
                                                                                          "renew"};
    for (size_t i = 0; i < 2; i++)
        if (!strcmp(action, stop[i]))
            return "stop";
    for (size_t i = 0; i < 3; i++)
        if (!strcmp(action, slow[i]))
            return "slow";
    for (size_t i = 0; i < sizeof go / sizeof go[0]; i++)
        if (!strcmp(action, go[i]))
            return "go";
    return !strcmp(action, "serve") ? "serve" : !strcmp(action, "none") ? "none" : "hold";
}

static void schedule_key(rub_text *out) {
    static const struct {
        const char *style, *words;
    } key[] = {{"go", "sign, build, fit out, renew"},
               {"serve", "serve"},
               {"hold", "wait"},
               {"slow", "pause, defer, sublet"},
               {"stop", "cancel, retire"},
               {"none", "nothing to decide (ended, or sublet to another)"}};
    rub_text_add(out, "<p class=\"key\">");
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++)
        rub_text_add(out, "<span><b class=\"chip act-%s\"></b> %s</span>", key[i].style,
                     key[i].words);
    rub_text_add(out, "</p>");
}

/* A row a site, a column a quarter; each cell is divided among the actions by probability. */
void rub_chart_schedule(rub_text *out, const json_t *document) {
    const json_t *sites = rub_part(document, "sites");
    size_t n = json_array_size(sites);
    schedule_key(out);
    double row = 18, left = 150, cell = 62, height = 22 + row * (double)n + 4;
    rub_text_add(out,
                 "<svg class=\"schedule\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
                 "aria-label=\"probable actions by quarter\">",
                 left + 9 * cell + 8, height);
    RUB_PART_EACH(sites, i, site) {
        double y = 22 + row * (double)i;
        rub_text_add(out, "<text class=\"name\" x=\"%.0f\" y=\"%.1f\">", left - 8, y + 12);
        rub_part_escape(out, rub_part_string(site, "site"));
        rub_text_add(out, "</text>");
        RUB_PART_EACH(rub_part(site, "ahead"), t, quarter) {
            double x = left + cell * (double)t;
            const char *action;
            json_t *prob;
            if (i == 0)
                x_label(out, x + cell / 2 - 1, rub_part_string(quarter, "quarter"));
            json_object_foreach(json_object_get(quarter, "probability"), action, prob) {
                double w = (cell - 2) * json_number_value(prob);
                rub_text_add(
                    out,
                    "<rect class=\"act-%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\">"
                    "<title>",
                    action_class(action), x, y, w, row - 3);
                rub_part_escape(out, action);
                rub_text_add(out, " %.0f %%</title></rect>", 100 * json_number_value(prob));
                if (w > 6.2 * (double)strlen(action) + 4 && strcmp(action, "none") != 0) {
                    rub_text_add(out, "<text class=\"in\" x=\"%.1f\" y=\"%.1f\">", x + w / 2,
                                 y + 11.5);
                    rub_part_escape(out, action);
                    rub_text_add(out, "</text>");
                }
                x += w;
            }
        }
    }
    rub_text_add(out, "</svg>");
}
