/* The brief: one self-contained HTML page (no script, no outside file) that a board can read. */
#include "rubato/report.h"

#include "report/html_charts.h"
#include "report/html_estate.h"
#include "report/parts.h"

#include <math.h>
#include <string.h>

static const char style[] =
    ":root{--ink:#1b2430;--mute:#5b6675;--line:#dfe4ea;--blue:#2563a8;--teal:#11806a;--amber:#"
    "c77700;"
    "--red:#b3372f;--paper:#fff}"
    "*{box-sizing:border-box}body{font:15px/1.5 system-ui,-apple-system,'Segoe "
    "UI',Roboto,sans-serif;"
    "color:var(--ink);background:#f4f6f8;margin:0}main{max-width:1060px;margin:0 auto;padding:32px "
    "36px;"
    "background:var(--paper)}h1{font-size:25px;line-height:1.25;margin:0 0 4px}h2{font-size:17px;"
    "margin:34px 0 8px;padding-bottom:5px;border-bottom:2px solid "
    "var(--ink)}p.sub{color:var(--mute);"
    "margin:0 0 18px}ul.head{font-size:16px;padding-left:20px}ul.head li{margin:5px 0}"
    "table{border-collapse:collapse;width:100%;font-size:13.5px}th{text-align:left;font-weight:600;"
    "color:var(--mute);border-bottom:1px solid var(--line);padding:4px 8px}td{padding:6px 8px;"
    "border-bottom:1px solid var(--line);vertical-align:top}td.n,th.n{text-align:right;"
    "font-variant-numeric:tabular-nums;white-space:nowrap}td.why{width:58%}td.why "
    "p{margin:0 0 4px}td.why "
    "small{display:block;"
    "color:var(--mute);margin-top:2px}td "
    "small{color:var(--mute)}.tag{display:inline-block;padding:1px 9px;border-radius:10px;"
    "font-weight:600;white-space:nowrap;background:#e7ebf0}.tag.go{background:#d8f0e8;color:#"
    "0b5c4c}"
    ".tag.slow{background:#fdeccb;color:#7d4b00}.tag.stop{background:#f8dcd9;color:#87231c}"
    ".tag.serve{background:#dfe9f6;color:#1c4d83}.grid2{display:grid;grid-template-columns:1fr "
    "1fr;gap:18px}"
    "figure{margin:0}figcaption{color:var(--mute);font-size:13px;text-align:center}svg{width:100%;"
    "height:auto;"
    "font:10.5px "
    "system-ui,sans-serif;fill:var(--mute)}.grid{stroke:var(--line)}.tick{text-anchor:end}"
    ".xtick,.in{text-anchor:middle}.name{text-anchor:end;fill:var(--ink);font-size:11.5px}.fan{"
    "fill:#2563a826}"
    ".demand,.live,.own,.rent{fill:none;stroke-width:2}.demand{stroke:var(--blue)}.live{stroke:var("
    "--teal);"
    "stroke-dasharray:5 3}.own{stroke:var(--teal)}.rent{stroke:var(--amber);stroke-dasharray:2 2}"
    ".short{fill:var(--red)}.surplus{fill:#8aa4bd}.before{fill:#cfd6de}.long{fill:var(--teal)}"
    ".shortl{fill:var(--blue)}.whisker{fill:var(--ink)}.budget{stroke:var(--red);stroke-width:2}"
    ".npv{fill:var(--blue)}.act-go{fill:#7cc7b1}.act-slow{fill:#f2c46d}.act-stop{fill:#dd8f88}"
    ".act-serve{fill:#b9cfe8}.act-hold{fill:#e3e8ed}.in{fill:var(--ink);font-size:10px}"
    ".key span{display:inline-block;margin-right:16px;color:var(--mute);font-size:13px}.key "
    "i{display:inline-block;"
    "width:16px;height:3px;margin-right:6px;vertical-align:middle}footer{margin-top:30px;color:var("
    "--mute);"
    "font-size:12.5px;border-top:1px solid var(--line);padding-top:10px}code{font-size:12px}"
    "@media "
    "print{body{background:#fff}main{padding:0}h2{break-after:avoid}figure,tr{break-inside:avoid}}"
    ".use0{fill:#2563a8;background:#2563a8}.use1{fill:#5b8fc7;background:#5b8fc7}.use2{fill:#"
    "93b8dd;"
    "background:#93b8dd}.use3{fill:#11806a;background:#11806a}.use4{fill:#55ab98;background:#"
    "55ab98}"
    ".use5{fill:#9fd2c6;background:#9fd2c6}.rentout{fill:#e0a64a;background:#e0a64a}.chip{display:"
    "inline-block;width:10px;height:10px;margin-left:4px}.chip.before{background:#cfd6de}"
    ".act-none{fill:#f7f9fa;background:#f7f9fa;border:1px solid "
    "var(--line)}.act-go{background:#7cc7b1}.act-slow{background:#f2c46d}"
    ".act-stop{background:#dd8f88}.act-serve{background:#b9cfe8}.act-hold{background:#e3e8ed}."
    "whole{white-space:nowrap}"
    "figcaption.title{text-align:left;font-weight:600;color:var(--ink);font-size:14px}summary{"
    "cursor:pointer;color:var(--blue)}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(210px,1fr));gap:12px;margin:"
    "0 0 18px}.tile{border:1px solid "
    "var(--line);border-radius:8px;padding:10px 14px}.tile b{display:block;font-size:22px}.tile "
    "small{color:var(--mute)}"
    "@media(max-width:760px){.grid2{grid-template-columns:1fr}main{padding:18px}}";

static void tag(rub_text *out, const char *name, const char *words) {
    rub_text_add(out, "<%s>", name);
    rub_part_escape(out, words);
    rub_text_add(out, "</%.*s>", (int)strcspn(name, " "), name);
}

static void lines(rub_text *out, const json_t *array) {
    rub_text_add(out, "<ul class=\"head\">");
    RUB_PART_EACH(array, i, line)
    tag(out, "li", json_string_value(line) ? json_string_value(line) : "");
    rub_text_add(out, "</ul>");
}

static void number_cell(rub_text *out, const char *words) {
    rub_text_add(out, "<td class=\"n\">");
    rub_part_escape(out, words);
    rub_text_add(out, "</td>");
}

static const char *mood(const char *action) {
    if (!strcmp(action, "cancel") || !strcmp(action, "retire"))
        return "stop";
    if (!strcmp(action, "pause") || !strcmp(action, "defer") || !strcmp(action, "sublet"))
        return "slow";
    if (!strcmp(action, "serve"))
        return "serve";
    return !strcmp(action, "wait") || !strcmp(action, "none") ? "hold" : "go";
}

static void otherwise(rub_text *out, const json_t *of) {
    const json_t *other = rub_part(of, "runner_up");
    if (!other)
        return;
    rub_text_add(out, "<small>Otherwise: ");
    rub_part_escape(out, rub_part_string(other, "text"));
    rub_text_add(out, "</small>");
}

/* Why: of the site, or of each group of its blocks that acts otherwise. */
static void reasons(rub_text *out, const json_t *site) {
    const json_t *groups = rub_part(site, "groups");
    char price[32];
    if (json_array_size(groups) < 2) {
        rub_part_escape(out, rub_part_string(site, "why"));
        otherwise(out, site);
        return;
    }
    RUB_PART_EACH(groups, g, group) {
        double n = rub_part_number(group, "blocks");
        rub_text_add(out, "<p><b>");
        rub_part_escape(out, rub_part_string(group, "action"));
        rub_text_add(out, " %.0f block%s</b>: ", n, n == 1 ? "" : "s");
        rub_part_escape(out, rub_part_string(group, "why"));
        otherwise(out, group);
        rub_text_add(out, "</p>");
    }
    rub_text_add(out, "<small>A MW here is worth %s a quarter over the next two years</small>",
                 rub_part_price(site, price));
}

static void site_row(rub_text *out, const json_t *site) {
    char buf[64];
    rub_text actions = {0};
    rub_part_actions(site, &actions);
    rub_text_add(out, "<tr><td><b>");
    rub_part_escape(out, rub_part_string(site, "site"));
    rub_text_add(out, "</b><br>");
    rub_part_escape(out, rub_part_string(site, "region"));
    rub_text_add(out, "</td>");
    snprintf(buf, sizeof buf, "%s, %s", rub_part_string(site, "stage"),
             rub_part_string(site, "tenure"));
    tag(out, "td", buf);
    number_cell(out, rub_text_mw(rub_part_number(site, "mw"), (char[32]){0}));
    rub_text_add(out, "<td><span class=\"tag %s\">", mood(rub_part_string(site, "action")));
    rub_part_escape(out, actions.data ? actions.data : "");
    rub_text_add(out, "</span></td><td class=\"why\">");
    reasons(out, site);
    RUB_PART_EACH(rub_part(site, "triggers"), k, trigger) {
        rub_text_add(out, "<small>Rule: ");
        rub_part_escape(out, rub_part_string(trigger, "text"));
        rub_text_add(out, "</small>");
    }
    rub_text_add(out, "</td></tr>");
    rub_text_clear(&actions);
}

static void sites(rub_text *out, const json_t *document) {
    rub_text_add(out,
                 "<h2>Site by site</h2><p class=\"sub\">What each does now, why, the best that it "
                 "could do instead, and the rules for later (loads in MW of today's "
                 "fleet).</p><table><tr><th>site</th><th>stage</th><th class=\"n\">MW"
                 "</th><th>action</th><th>why, and what would change it</th></tr>");
    RUB_PART_EACH(rub_part(document, "sites"), i, site)
    site_row(out, site);
    rub_text_add(out, "</table>");
}

static void schedule(rub_text *out, const json_t *document) {
    rub_text_add(out, "<h2>Actions now, and probable ones over the next two years</h2>");
    rub_chart_schedule(out, document);
}

static void tile(rub_text *out, const char *figure, const char *words) {
    rub_text_add(out, "<div class=\"tile\"><b>");
    rub_part_escape(out, figure);
    rub_text_add(out, "</b><small>");
    rub_part_escape(out, words);
    rub_text_add(out, "</small></div>");
}

/* The first year's capex against its budget. */
static void budget_tile(rub_text *out, const json_t *document) {
    const json_t *year = json_array_get(rub_part(document, "capex"), 0);
    char a[32], b[32], words[120];
    bool limited = json_is_number(rub_part(year, "budget_usd"));
    double spent =
        rub_part_number(year, "spent_before_start_usd") + rub_part_number(year, "mean_usd");
    if (!year)
        return;
    snprintf(words, sizeof words, "capex of %.16s on average, %s%s",
             rub_part_string(year, "fiscal_year"), limited ? "budget " : "no budget",
             limited ? rub_text_usd(rub_part_number(year, "budget_usd"), b) : "");
    tile(out, rub_text_usd(spent, a), words);
}

/* MW whose action now is one of a mood. */
static double mw_of(const json_t *document, const char *which) {
    double mw = 0.0;
    RUB_PART_EACH(rub_part(document, "sites"), i, site) {
        const char *action;
        json_t *count;
        json_object_foreach(json_object_get(site, "actions_now"), action,
                            count) if (!strcmp(mood(action), which)) mw +=
            rub_part_number(site, "mw") * json_number_value(count) /
            fmax(1.0, rub_part_number(site, "blocks"));
    }
    return mw;
}

static void tiles(rub_text *out, const json_t *document) {
    const json_t *npv = rub_part(document, "npv");
    char a[32], b[32], c[32], words[160];
    rub_text_add(out, "<div class=\"tiles\">");
    snprintf(words, sizeof words,
             "net present value on average; %s in the worst %.0f %% of futures",
             rub_text_usd(rub_part_number(npv, "cvar_usd"), b),
             100 * rub_part_number(npv, "cvar_alpha"));
    tile(out, rub_text_usd(rub_part_number(npv, "mean_usd"), a), words);
    budget_tile(out, document);
    snprintf(a, sizeof a, "%.20s MW", rub_text_mw(mw_of(document, "go"), b));
    tile(out, a, "signed, built, fitted out or refreshed now");
    snprintf(a, sizeof a, "%.20s MW",
             rub_text_mw(mw_of(document, "slow") + mw_of(document, "stop"), b));
    snprintf(
        words, sizeof words,
        "slowed or left now: %.20s MW paused, deferred or sublet, %.20s MW cancelled or retired",
        rub_text_mw(mw_of(document, "slow"), b), rub_text_mw(mw_of(document, "stop"), c));
    tile(out, a, words);
    rub_text_add(out, "</div>");
}

static void supply(rub_text *out, const json_t *document) {
    rub_text_add(
        out,
        "<h2>Supply against demand</h2><p class=\"key\"><span><i style=\"background:#2563a8\">"
        "</i>demand, median and p10 to p90</span><span><i style=\"background:#11806a\"></i>served "
        "by own capacity</span><span><i style=\"background:#c77700\"></i>with rented capacity"
        "</span><span>dashed green: live capacity of the region</span><span><i "
        "style=\"background:#b3372f\"></i>shortage</span><span><i style=\"background:#8aa4bd\">"
        "</i>surplus</span></p><div class=\"grid2\">");
    rub_chart_supply(out, document);
    rub_text_add(out, "</div>");
}

static void money(rub_text *out, const json_t *document) {
    char a[32], b[32], c[32];
    const json_t *npv = rub_part(document, "npv");
    rub_text_add(out, "<h2>Money</h2><div class=\"grid2\"><figure>");
    rub_chart_capex(out, document);
    rub_text_add(out, "<figcaption>Capex by fiscal year: spent before (grey), long-lived (green), "
                      "short-lived (blue), budget (red)</figcaption></figure><figure>");
    rub_chart_npv(out, document);
    rub_text_add(
        out,
        "<figcaption>Net present value over futures: mean %s, worst %.0f %%: %s, chance of "
        "loss %s</figcaption></figure></div>",
        rub_text_usd(rub_part_number(npv, "mean_usd"), a), 100 * rub_part_number(npv, "cvar_alpha"),
        rub_text_usd(rub_part_number(npv, "cvar_usd"), b),
        rub_part_share(rub_part_number(npv, "prob_negative"), c));
    rub_text_add(out, "<table><tr><th>expected discounted cash</th><th class=\"n\">USD</th></tr>");
    const char *kind;
    json_t *value;
    json_object_foreach(json_object_get(document, "cash"), kind, value) {
        if (json_number_value(value) == 0)
            continue;
        rub_text_add(out, "<tr>");
        tag(out, "td", kind);
        number_cell(out, rub_text_usd(json_number_value(value), a));
        rub_text_add(out, "</tr>");
    }
    rub_text_add(out, "</table>");
}

static void worth_row(rub_text *out, const char *name, const json_t *value) {
    char a[32], b[32], c[32];
    if (!value)
        return;
    rub_text_add(out, "<tr>");
    tag(out, "td", name);
    if (rub_part_is_open(value)) {
        rub_text_add(out, "<td class=\"n\">not told</td><td class=\"n\">at most %s</td></tr>",
                     rub_text_usd(rub_part_number(value, "at_most_usd"), c));
    } else if (json_is_number(rub_part(value, "value_usd"))) {
        number_cell(out, rub_text_usd(rub_part_number(value, "value_usd"), a));
        rub_text_add(out, "<td class=\"n\">%s to %s</td></tr>",
                     rub_text_usd(rub_part_number(value, "at_least_usd"), b),
                     rub_text_usd(rub_part_number(value, "at_most_usd"), c));
    } else {
        rub_text_add(out, "<td colspan=\"2\">");
        rub_part_escape(out, rub_part_string(value, "note"));
        rub_text_add(out, "</td></tr>");
    }
}

static void worth(rub_text *out, const json_t *document) {
    const json_t *w = rub_part(document, "worth");
    if (!w)
        return;
    rub_text_add(out,
                 "<h2>Value of flexibility</h2><table><tr><th>what</th><th class=\"n\">worth</th>"
                 "<th class=\"n\">proven range</th></tr>");
    worth_row(out, "planning for many futures instead of the mean one (VSS)", rub_part(w, "vss"));
    worth_row(out, "knowing the future (EVPI)", rub_part(w, "evpi"));
    RUB_PART_EACH(rub_part(w, "options"), i, option) {
        char name[96];
        const char *what = rub_part_string(option, "option");
        snprintf(name, sizeof name, "%s%s", strncmp(what, "all ", 4) ? "option to " : "", what);
        worth_row(out, name, option);
    }
    rub_text_add(out, "</table>");
}

static void policy_row(rub_text *out, const json_t *p, const json_t *regret, bool plan) {
    char a[32], b[32], text[80];
    rub_text_add(out, "<tr><td><b>");
    rub_part_escape(out, rub_part_string(p, "policy"));
    rub_text_add(out, "</b><br><small>");
    rub_part_escape(out, rub_part_string(p, "text"));
    rub_text_add(out, "</small></td>");
    snprintf(text, sizeof text, "%s \302\261 %s", rub_text_usd(rub_part_number(p, "mean_usd"), a),
             rub_text_usd(rub_part_number(p, "mean_ci_usd"), b));
    number_cell(out, text);
    number_cell(out, rub_text_usd(rub_part_number(p, "cvar_usd"), a));
    snprintf(text, sizeof text, "%s \302\261 %s",
             rub_text_usd(rub_part_number(p, "plan_is_worth_more_usd"), a),
             rub_text_usd(rub_part_number(p, "plan_is_worth_more_ci_usd"), b));
    number_cell(out, plan ? "" : text);
    number_cell(out, regret ? rub_text_usd(rub_part_number(regret, "mean_usd"), a) : "");
    double over = 0.0;
    RUB_PART_EACH(rub_part(p, "capex"), y, year)
    over = fmax(over, rub_part_number(year, "prob_over_budget"));
    number_cell(out, rub_part_share(over, a));
    rub_text_add(out, "</tr>");
}

static void out_of_sample(rub_text *out, const json_t *document) {
    const json_t *o = rub_part(document, "out_of_sample");
    if (!o)
        return;
    rub_text_add(
        out,
        "<h2>On %.0f fresh futures</h2><p class=\"sub\">The plan followed as a policy, and "
        "simpler plans, on the same futures, none of which it was made for; 95 %% confidence "
        "limits. Regret: what knowing each future would add, on %.0f of them.</p><table><tr>"
        "<th>policy</th><th class=\"n\">mean NPV</th><th class=\"n\">worst futures</th><th "
        "class=\"n\">the plan is worth more</th><th class=\"n\">regret</th><th class=\"n\">a "
        "budget is passed</th></tr>",
        rub_part_number(o, "paths"), rub_part_number(o, "regret_paths"));
    RUB_PART_EACH(rub_part(o, "policies"), i, p)
    policy_row(out, p, json_array_get(json_object_get(o, "regret"), i), i == 0);
    rub_text_add(out, "</table>");
}

static void yields(rub_text *out, const json_t *document) {
    char a[32];
    rub_text_add(
        out, "<h2>What a megawatt gives</h2><table><tr><th>workload</th><th>accelerator</th><th "
             "class=\"n\">tokens/s per MW</th><th class=\"n\">$ per Mtok</th><th>origin</th></tr>");
    RUB_PART_EACH(rub_part(rub_part(document, "yields"), "by_workload"), i, row) {
        rub_text_add(out, "<tr>");
        tag(out, "td", rub_part_string(row, "workload"));
        tag(out, "td", rub_part_string(row, "generation"));
        number_cell(out, rub_text_si(rub_part_number(row, "tok_per_s_per_mw"), a, sizeof a));
        rub_text_add(out, "<td class=\"n\">%.3f</td>", rub_part_number(row, "usd_per_mtok"));
        tag(out, "td", rub_part_string(row, "origin"));
        rub_text_add(out, "</tr>");
    }
    rub_text_add(out, "</table>");
}

static void sources(rub_text *out, const json_t *document) {
    const json_t *s = rub_part(document, "sources");
    rub_text_add(out,
                 "<h2>Where the figures come from</h2><table><tr><th>figure</th><th>status</th><th>"
                 "source</th><th>date</th></tr>");
    RUB_PART_EACH(rub_part(s, "listed"), i, row) {
        rub_text_add(out, "<tr>");
        tag(out, "td", rub_part_string(row, "key"));
        tag(out, "td", rub_part_string(row, "status"));
        tag(out, "td", rub_part_string(row, "source"));
        tag(out, "td", rub_part_string(row, "date"));
        rub_text_add(out, "</tr>");
    }
    rub_text_add(out, "</table><p class=\"sub\">");
    rub_part_escape(out, rub_part_string(s, "rest"));
    rub_text_add(out, ".</p>");
}

static void footer(rub_text *out, const json_t *document) {
    const json_t *v = rub_part(document, "solve"), *study = rub_part(document, "study");
    const json_t *n = rub_part(document, "npv");
    double weight = rub_part_number(n, "cvar_weight");
    char a[32], b[32], parts[96] = "";
    if (weight > 0)
        snprintf(parts, sizeof parts, " (%.0f %% of the mean, %.0f %% of the worst %.0f %%)",
                 100 * (1 - weight), 100 * weight, 100 * rub_part_number(n, "cvar_alpha"));
    rub_text_add(out, "<footer>Plan worth %s%s, no plan can exceed %s (gap %.2f %%): ",
                 rub_text_usd(rub_part_number(v, "value_usd"), a), parts,
                 rub_text_usd(rub_part_number(v, "bound_usd"), b), 100 * rub_part_number(v, "gap"));
    rub_part_escape(out, rub_part_string(v, "method"));
    rub_text_add(out, ", %.0f blocks, %.0f nodes, %.0f leaves from %.0f paths, seed %lld, rubato ",
                 rub_part_number(v, "blocks"), rub_part_number(v, "nodes"),
                 rub_part_number(v, "leaves"), rub_part_number(v, "paths"),
                 (long long)json_integer_value(rub_part(study, "seed")));
    rub_part_escape(out, rub_part_string(rub_part(document, "rubato"), "version"));
    rub_text_add(out, ". Inputs:");
    RUB_PART_EACH(rub_part(study, "inputs"), i, input) {
        rub_text_add(out, " <code>");
        rub_part_escape(out, rub_part_string(input, "path"));
        rub_text_add(out, " ");
        rub_part_escape(out, rub_part_string(input, "fnv1a64"));
        rub_text_add(out, "</code>");
    }
    rub_text_add(out, "</footer>");
}

rub_status rub_report_html(const json_t *document, char **out, rub_error *err) {
    const json_t *study = rub_part(document, "study");
    rub_text text = {0};
    rub_text_add(
        &text,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width,initial-scale=1\"><title>");
    rub_part_escape(&text, rub_part_string(study, "title"));
    rub_text_add(&text, "</title><style>");
    rub_text_add_bytes(&text, style, sizeof style - 1);
    rub_text_add(&text, "</style></head><body><main>");
    tag(&text, "h1", rub_part_string(study, "title"));
    rub_text_add(&text, "<p class=\"sub\">");
    rub_part_escape(&text, rub_part_string(study, "notes"));
    rub_text_add(&text, "</p>");
    if (rub_part(document, "infeasible")) {
        rub_text_add(&text, "<h2>No plan</h2>");
        tag(&text, "p", rub_part_string(document, "infeasible"));
    } else {
        tiles(&text, document);
        lines(&text, rub_part(document, "headline"));
        RUB_PART_EACH(rub_part(document, "comparisons"), i, comparison) {
            rub_text_add(&text, "<h2>What if ");
            rub_part_escape(&text, rub_part_string(comparison, "name"));
            rub_text_add(&text, "</h2>");
            lines(&text, rub_part(comparison, "lines"));
        }
        rub_html_since(&text, document);
        schedule(&text, document);
        supply(&text, document);
        rub_html_estate(&text, document);
        money(&text, document);
        worth(&text, document);
        rub_html_nearby(&text, document);
        out_of_sample(&text, document);
        sites(&text, document);
        rub_html_rules(&text, document);
    }
    yields(&text, document);
    sources(&text, document);
    footer(&text, document);
    rub_text_add(&text, "</main></body></html>\n");
    return rub_part_finish(&text, out, err);
}
