/* What no single entry can show: sums over entries, what must be there, what would surprise. */
#include "study/fields.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SUM_TOLERANCE 1e-6 /* of shares that have to add up to 1 */

/* Where to report about a section as a whole. */
static const rub_yaml_node *at_section(const rub_reader *r, const char *key) {
    const rub_yaml_node *node = rub_yaml_key(r->root, key);
    return node ? node : r->root;
}

static void check_present(rub_reader *r) {
    static const struct {
        rub_section section;
        const char *why;
    } needed[] = {{RUB_SECTION_ACCELERATORS, "what may be bought"},
                  {RUB_SECTION_REGIONS, "where sites stand"},
                  {RUB_SECTION_DEMAND, "what is to be served"},
                  {RUB_SECTION_SITES, "what is to be decided"}};
    for (size_t i = 0; i < RUB_LEN(needed); i++) {
        const char *key = rub_section_key(needed[i].section);
        const rub_yaml_node *map = r->section[needed[i].section];
        const rub_yaml_node *value = rub_yaml_get(r->root, key);
        bool reported = value && value->kind != RUB_YAML_MAPPING && !rub_yaml_is_null(value);
        if ((!map || map->n == 0) && !reported)
            rub_reader_report(r, at_section(r, key), RUB_INVALID,
                              "the study has no %s, expected a section '%s': %s", key, key,
                              needed[i].why);
    }
}

static void check_shares(rub_reader *r) {
    rub_study *s = r->study;
    int32_t given = 0;
    double sum = 0.0;
    for (int32_t i = 0; i < s->n_workload; i++)
        if (s->workload[i].share_frac >= 0) {
            sum += s->workload[i].share_frac;
            given++;
        }
    if (given && fabs(sum - 1.0) > SUM_TOLERANCE)
        rub_reader_report(r, at_section(r, "workloads"), RUB_INVALID,
                          "shares of the workloads add up to %.6g %%, expected 100 %%",
                          100.0 * sum);
    for (int32_t i = 0; i < s->n_workload; i++)
        if (s->workload[i].share_frac < 0)
            s->workload[i].share_frac = given ? 0.0 : 1.0 / s->n_workload;
}

/* Inference needs a yield: simulated from workloads, or given. */
static void check_yields(rub_reader *r) {
    const rub_study *s = r->study;
    bool inference = false;
    for (int32_t i = 0; i < s->n_demand; i++)
        inference = inference || s->demand[i].load_class == RUB_INFERENCE;
    for (int32_t g = 0; g < s->n_generation && inference && s->n_workload == 0; g++)
        if (s->generation[g].tokens_per_s_per_mw <= 0)
            rub_reader_report(r, r->section[RUB_SECTION_ACCELERATORS]->key[g], RUB_INVALID,
                              "accelerator '%s' has no yield: the study has no workloads to "
                              "simulate, expected them or 'tokens_per_s_per_mw'",
                              s->generation[g].name);
}

static void check_budgets(rub_reader *r) {
    const rub_study *s = r->study;
    int32_t first = rub_study_fiscal_year(s, s->start_q);
    int32_t last = rub_study_fiscal_year(s, s->start_q + s->n_quarter - 1);
    bool current = false;
    char budget[32], spent[32];
    for (int32_t year = first; year <= last; year++) {
        const rub_study_budget *found = NULL;
        for (int32_t i = 0; i < s->n_budget; i++)
            if (s->budget[i].fiscal_year == year)
                found = &s->budget[i];
        if (!found)
            rub_reader_warn(r, at_section(r, "budget"),
                            "no budget for FY%d: its capex is not limited", year);
        else if (year == first && found->capex_usd < s->spent_this_fy_usd)
            rub_reader_report(r, at_section(r, "budget"), RUB_INVALID,
                              "FY%d has a budget of %s but %s is spent already, expected more",
                              year, rub_text_usd(found->capex_usd, budget),
                              rub_text_usd(s->spent_this_fy_usd, spent));
        current = current || (found && year == first);
    }
    if (s->spent_this_fy_usd > 0 && !current)
        rub_reader_warn(r, at_section(r, "budget"),
                        "'spent_this_fiscal_year' has no effect: FY%d has no budget", first);
    for (int32_t i = 0; i < s->n_budget; i++)
        if (s->budget[i].fiscal_year < first || s->budget[i].fiscal_year > last)
            rub_reader_warn(r, at_section(r, "budget"),
                            "the budget of FY%d has no effect: the study covers FY%d to FY%d",
                            s->budget[i].fiscal_year, first, last);
}

static void check_tree(rub_reader *r) {
    const rub_study *s = r->study;
    const rub_study_process *p = &s->process;
    int64_t leaves = rub_study_tree_leaves(s);
    if (s->tree.n_node) {
        if (p->n_regime || p->n_shock)
            rub_reader_warn(r, at_section(r, "process"),
                            "the tree is given in full: the process has no effect on the plan");
        return;
    }
    if (leaves > p->n_path)
        rub_reader_report(r, at_section(r, "tree"), RUB_INVALID,
                          "the tree has %lld leaves but the process only %d paths, expected more "
                          "paths",
                          (long long)leaves, p->n_path);
    if (leaves == 1)
        rub_reader_warn(r, at_section(r, "tree"),
                        "the tree does not branch: the plan knows one future only");
}

/* Partners that no demand names cannot leave; rights that no site grants are never exercised. */
static void check_partners(rub_reader *r) {
    const rub_study *s = r->study;
    for (int32_t k = 0; k < s->n_partner; k++) {
        const rub_study_partner *p = &s->partner[k];
        const rub_yaml_node *at = r->section[RUB_SECTION_PARTNERS]->key[k];
        bool has_load = false, has_site = false;
        for (int32_t i = 0; i < s->n_demand; i++)
            has_load = has_load || s->demand[i].partner == k;
        for (int32_t i = 0; i < s->n_site; i++)
            has_site = has_site || s->site[i].rofr_partner == k;
        if (!has_load && (p->leave_hazard_per_year > 0 || p->leave_q != RUB_NEVER))
            rub_reader_warn(r, at, "partner '%s' may leave but no demand names it", p->name);
        if (!has_site && p->rofr_share_frac > 0)
            rub_reader_warn(r, at,
                            "partner '%s' has a right of first refusal on no site: no site "
                            "names it in 'rofr'",
                            p->name);
    }
}

static void check_markets(rub_reader *r) {
    const rub_study *s = r->study;
    for (int32_t i = 0; i < s->n_site; i++) {
        bool found = false;
        for (int32_t m = 0; m < s->n_market && s->site[i].may_sublet; m++)
            found = found ||
                    (s->market[m].region == s->site[i].region && s->market[m].sublet_depth.n > 0);
        if (s->site[i].may_sublet && !found && s->n_region > s->site[i].region)
            rub_reader_warn(r, r->section[RUB_SECTION_SITES]->key[i],
                            "site '%s' may be sublet but the market of %s has no 'sublet_depth'",
                            s->site[i].name, s->region[s->site[i].region].name);
    }
}

void rub_reader_check(rub_reader *r) {
    check_present(r);
    if (r->study->start_q <= 0 || r->study->n_quarter <= 0)
        return; /* told already; nothing can be dated against it */
    rub_reader_check_sites(r);
    if (r->findings->n_error)
        return;
    check_shares(r);
    check_yields(r);
    check_tree(r);
    check_budgets(r);
    check_partners(r);
    check_markets(r);
}
