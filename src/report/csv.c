/* CSV tables of a plan document, one row a line, for spreadsheets. */
#include "rubato/report.h"

#include "report/parts.h"

#include <string.h>

const char *const rub_report_tables[] = {
    "sites",      "ahead",       "supply",  "capex",       "npv",   "policies", "estate",
    "oversupply", "utilisation", "returns", "commitments", "rules", "since",    "nearby",
    "stability",  "regret",      "yields",  "sources",     NULL};

/* Quotes a cell where it needs it (RFC 4180). */
static void cell(rub_text *out, const char *s) {
    if (!strpbrk(s, ",\"\n\r")) {
        rub_text_add(out, "%s", s);
        return;
    }
    rub_text_add_bytes(out, "\"", 1);
    for (; *s; s++)
        rub_text_add_bytes(out, *s == '"' ? "\"\"" : s, *s == '"' ? 2 : 1);
    rub_text_add_bytes(out, "\"", 1);
}

/* Rows of an array of flat objects: the named keys in order. */
static void rows(rub_text *out, const json_t *array, const char *const *keys, size_t n) {
    for (size_t k = 0; k < n; k++)
        rub_text_add(out, "%s%s", k ? "," : "", keys[k]);
    rub_text_add(out, "\n");
    RUB_PART_EACH(array, i, row) {
        for (size_t k = 0; k < n; k++) {
            const json_t *value = json_object_get(row, keys[k]);
            rub_text_add(out, "%s", k ? "," : "");
            if (json_is_string(value))
                cell(out, json_string_value(value));
            else if (json_is_integer(value))
                rub_text_add(out, "%lld", (long long)json_integer_value(value));
            else if (json_is_real(value))
                rub_text_add(out, "%.10g", json_real_value(value));
        }
        rub_text_add(out, "\n");
    }
}

#define ROWS(out, array, ...)                                                                      \
    do {                                                                                           \
        static const char *const keys[] = {__VA_ARGS__};                                           \
        rows(out, array, keys, sizeof keys / sizeof keys[0]);                                      \
    } while (0)

static void sites(rub_text *out, const json_t *document) {
    ROWS(out, rub_part(document, "sites"), "site", "region", "tenure", "fabric", "stage", "blocks",
         "mw", "action", "why", "mw_quarter_usd", "own_cash_npv_usd", "prob_ever_live");
}

/* One row for each site, quarter and action. */
static void ahead(rub_text *out, const json_t *document) {
    rub_text_add(out, "site,quarter,action,probability\n");
    RUB_PART_EACH(rub_part(document, "sites"), i, site)
    RUB_PART_EACH(rub_part(site, "ahead"), k, quarter) {
        const char *action;
        json_t *prob;
        json_object_foreach(json_object_get(quarter, "probability"), action, prob) {
            cell(out, rub_part_string(site, "site"));
            rub_text_add(out, ",");
            cell(out, rub_part_string(quarter, "quarter"));
            rub_text_add(out, ",");
            cell(out, action);
            rub_text_add(out, ",%.6g\n", json_number_value(prob));
        }
    }
}

/* An object of arrays by quarter: a row a quarter, a column an array. */
static void by_quarter(rub_text *out, const json_t *document, const json_t *object,
                       const json_t *more) {
    const json_t *quarters = rub_part(rub_part(document, "study"), "quarters");
    const json_t *part[2] = {object, more};
    const char *key;
    json_t *array;
    rub_text_add(out, "quarter");
    for (int i = 0; i < 2; i++)
        json_object_foreach((json_t *)(uintptr_t)part[i], key, array) if (json_is_array(array)) {
            rub_text_add(out, ",");
            cell(out, key);
        }
    rub_text_add(out, "\n");
    RUB_PART_EACH(quarters, t, quarter) {
        rub_text_add(out, "%s", json_string_value(quarter) ? json_string_value(quarter) : "");
        for (int i = 0; i < 2; i++)
            json_object_foreach((json_t *)(uintptr_t)part[i], key, array) if (json_is_array(array))
                rub_text_add(out, ",%.8g", json_number_value(json_array_get(array, t)));
        rub_text_add(out, "\n");
    }
}

/* A row for each column of supply under contract and quarter. */
static void oversupply(rub_text *out, const json_t *document) {
    static const char *const keys[] = {"contracted_mw", "demand_mw", "surplus_mw",   "shortage_mw",
                                       "prob_surplus",  "index",     "planned_index"};
    const json_t *quarters = rub_part(rub_part(document, "study"), "quarters");
    rub_text_add(out, "class,region,quarter");
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
        rub_text_add(out, ",%s", keys[k]);
    rub_text_add(out, "\n");
    RUB_PART_EACH(rub_part(document, "oversupply"), m, row)
    RUB_PART_EACH(quarters, t, quarter) {
        rub_text_add(out, "%s,", rub_part_string(row, "class"));
        cell(out, rub_part_string(row, "region"));
        rub_text_add(out, ",%s", json_string_value(quarter) ? json_string_value(quarter) : "");
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
            rub_text_add(out, ",%.8g",
                         json_number_value(json_array_get(json_object_get(row, keys[k]), t)));
        rub_text_add(out, "\n");
    }
}

/* Columns of arrays by quarter, turned into rows. */
static void supply(rub_text *out, const json_t *document) {
    static const char *const keys[] = {
        "demand_mw",   "demand_p10_mw", "demand_p50_mw", "demand_p90_mw", "live_mw",
        "live_p10_mw", "live_p90_mw",   "own_mw",        "rented_in_mw",  "rented_out_mw",
        "short_mw",    "idle_mw",       "prob_shortage", "prob_surplus"};
    const json_t *quarters = rub_part(rub_part(document, "study"), "quarters");
    rub_text_add(out, "class,region,quarter");
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
        rub_text_add(out, ",%s", keys[k]);
    rub_text_add(out, "\n");
    RUB_PART_EACH(rub_part(document, "supply"), m, column)
    RUB_PART_EACH(quarters, t, quarter) {
        const char *name = json_string_value(quarter);
        cell(out, rub_part_string(column, "class"));
        rub_text_add(out, ",");
        cell(out, rub_part_string(column, "region"));
        rub_text_add(out, ",");
        cell(out, name ? name : "");
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
            rub_text_add(out, ",%.8g",
                         json_number_value(json_array_get(json_object_get(column, keys[k]), t)));
        rub_text_add(out, "\n");
    }
}

/* A row for each leaf of a site's and stage's decision tree. */
static void rule_rows(rub_text *out, const json_t *document) {
    rub_text_add(out, "site,stage,accuracy,if,do,probability,futures\n");
    RUB_PART_EACH(rub_part(document, "rules"), i, stage)
    RUB_PART_EACH(rub_part(stage, "rules"), k, rule) {
        cell(out, rub_part_string(stage, "site"));
        rub_text_add(out, ",%s,%.4g,", rub_part_string(stage, "stage"),
                     rub_part_number(stage, "accuracy"));
        cell(out, rub_part_string(rule, "if"));
        rub_text_add(out, ",");
        cell(out, rub_part_string(rule, "do"));
        rub_text_add(out, ",%.4g,%.4g\n", rub_part_number(rule, "probability"),
                     rub_part_number(rule, "futures"));
    }
}

/* Two rows: on their own trees, on fresh futures. */
static void stability(rub_text *out, const json_t *document) {
    static const char *const side[] = {"in_sample", "out_of_sample"};
    static const char *const keys[] = {"mean_usd", "sd_usd", "sd_frac", "least_usd", "most_usd"};
    const json_t *all = rub_part(document, "stability");
    rub_text_add(out, "worth,trees,mean_usd,sd_usd,sd_frac,least_usd,most_usd\n");
    for (size_t i = 0; all && i < 2; i++) {
        rub_text_add(out, "%s,%.0f", side[i], rub_part_number(all, "planned"));
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
            rub_text_add(out, ",%.10g", rub_part_number(rub_part(all, side[i]), keys[k]));
        rub_text_add(out, "\n");
    }
}

/* Sites that may act otherwise now (together), then swaps. */
static void nearby(rub_text *out, const json_t *document) {
    const json_t *all = rub_part(document, "nearby");
    rub_text_add(out, "kind,site,mw,from,to,loses_usd,text\n");
    RUB_PART_EACH(rub_part(all, "turned"), i, one) {
        rub_text_add(out, "turn,");
        cell(out, rub_part_string(one, "site"));
        rub_text_add(out, ",%.10g,", rub_part_number(one, "mw"));
        cell(out, rub_part_string(one, "from"));
        rub_text_add(out, ",");
        cell(out, rub_part_string(one, "to"));
        rub_text_add(out, ",%.10g,\n", rub_part_number(one, "alone_loses_usd"));
    }
    RUB_PART_EACH(rub_part(all, "swaps"), k, swap) {
        rub_text_add(out, "swap,,,,,%.10g,", rub_part_number(swap, "loses_usd"));
        cell(out, rub_part_string(swap, "text"));
        rub_text_add(out, "\n");
    }
}

rub_status rub_report_csv(const json_t *document, const char *table, char **out, rub_error *err) {
    rub_text text = {0};
    if (!strcmp(table, "sites"))
        sites(&text, document);
    else if (!strcmp(table, "ahead"))
        ahead(&text, document);
    else if (!strcmp(table, "supply"))
        supply(&text, document);
    else if (!strcmp(table, "capex"))
        ROWS(&text, rub_part(document, "capex"), "fiscal_year", "budget_usd",
             "spent_before_start_usd", "long_lived_usd", "short_lived_usd", "mean_usd", "p10_usd",
             "p90_usd", "most_usd", "prob_at_budget", "worth_of_one_more_usd");
    else if (!strcmp(table, "npv"))
        ROWS(&text, rub_part(rub_part(document, "npv"), "futures"), "prob", "npv_usd");
    else if (!strcmp(table, "policies"))
        ROWS(&text, rub_part(rub_part(document, "out_of_sample"), "policies"), "policy", "mean_usd",
             "mean_ci_usd", "cvar_usd", "cvar_ci_usd", "objective_usd", "p05_usd", "p50_usd",
             "p95_usd", "plan_is_worth_more_usd", "plan_is_worth_more_ci_usd",
             "prob_better_than_plan", "unserved", "idle", "audited", "costed_otherwise",
             "rules_broken");
    else if (!strcmp(table, "estate"))
        by_quarter(&text, document, rub_part(document, "estate"),
                   rub_part(rub_part(document, "estate"), "stage_mw"));
    else if (!strcmp(table, "utilisation"))
        by_quarter(&text, document, rub_part(document, "utilisation"),
                   rub_part(rub_part(document, "utilisation"), "by_load_mw"));
    else if (!strcmp(table, "oversupply"))
        oversupply(&text, document);
    else if (!strcmp(table, "returns"))
        ROWS(&text, rub_part(document, "returns"), "fiscal_year", "quarters", "revenue_usd",
             "operating_cost_usd", "operating_profit_usd", "written_down_usd", "invested_usd",
             "roic", "tokens_m", "usd_per_mtok");
    else if (!strcmp(table, "commitments"))
        ROWS(&text, rub_part(document, "commitments"), "site", "action", "blocks", "block_mw",
             "acting_beats_waiting_usd", "keeping_beats_leaving_usd",
             "keeping_beats_leaving_usd_per_mw");
    else if (!strcmp(table, "rules"))
        rule_rows(&text, document);
    else if (!strcmp(table, "since"))
        ROWS(&text, rub_part(rub_part(document, "since"), "sites"), "site", "stage_from",
             "stage_to", "from", "to", "live_from", "live_to", "text");
    else if (!strcmp(table, "nearby"))
        nearby(&text, document);
    else if (!strcmp(table, "stability"))
        stability(&text, document);
    else if (!strcmp(table, "regret"))
        ROWS(&text, rub_part(rub_part(document, "out_of_sample"), "regret"), "policy", "mean_usd",
             "ci_usd", "at_most_usd", "at_most_ci_usd");
    else if (!strcmp(table, "yields"))
        ROWS(&text, rub_part(rub_part(document, "yields"), "by_workload"), "workload", "generation",
             "tok_per_s_per_mw", "usd_per_mtok", "rate_per_s", "tp", "weights", "kv_cache",
             "origin");
    else if (!strcmp(table, "sources"))
        ROWS(&text, rub_part(rub_part(document, "sources"), "listed"), "key", "status", "source",
             "date");
    else
        return rub_error_set(err, RUB_NOT_FOUND, "no table '%s'", table);
    return rub_part_finish(&text, out, err);
}
