/* rubato check: reads a study without running it; says what it holds and what is wrong with it. */
#include "cli/commands.h"

#include "base/text.h"
#include "rubato/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct check_settings {
    rub_option_values what_if;
    bool keys, json;
} check_settings;

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *finding_rows(const rub_error *list, size_t n) {
    json_t *rows = json_array();
    for (size_t i = 0; i < n && i < RUB_STUDY_MAX_FINDINGS; i++)
        json_array_append_new(rows, rub_command_error_json(&list[i]));
    return rows;
}

static double stage_mw(const rub_study *s, int stage, int32_t *n_site, int32_t *n_block) {
    double mw = 0.0;
    *n_site = *n_block = 0;
    for (int32_t i = 0; i < s->n_site; i++)
        if ((int)s->site[i].stage == stage) {
            mw += s->site[i].n_block * s->site[i].block_mw;
            *n_block += s->site[i].n_block;
            ++*n_site;
        }
    return mw;
}

static json_t *stage_rows(const rub_study *s) {
    json_t *rows = json_array();
    for (int stage = 0; stage < RUB_N_STAGE; stage++) {
        int32_t n_site, n_block;
        double mw = stage_mw(s, stage, &n_site, &n_block);
        if (n_site)
            json_array_append_new(rows, json_pack("{s:s,s:i,s:i,s:f}", "stage",
                                                  rub_stage_text((rub_stage)stage), "sites", n_site,
                                                  "blocks", n_block, "mw", mw));
    }
    return rows;
}

static const char *class_text(const rub_study_demand *d) {
    return d->load_class == RUB_TRAINING ? "training" : "inference";
}

static json_t *demand_rows(const rub_study *s) {
    json_t *rows = json_array();
    for (int32_t i = 0; i < s->n_demand; i++) {
        const rub_study_demand *d = &s->demand[i];
        json_t *row =
            json_pack("{s:s,s:s,s:f,s:s,s:f}", "name", d->name, "class", class_text(d), "base",
                      d->base, "unit", d->load_class == RUB_TRAINING ? "accel" : "tok/s",
                      "growth_per_year", d->growth_per_year);
        if (d->region >= 0 && d->load_class == RUB_INFERENCE)
            json_object_set_new(row, "region", json_string(s->region[d->region].name));
        if (d->partner >= 0)
            json_object_set_new(row, "partner", json_string(s->partner[d->partner].name));
        json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *budget_rows(const rub_study *s) {
    json_t *rows = json_array();
    for (int32_t i = 0; i < s->n_budget; i++)
        json_array_append_new(rows, json_pack("{s:i,s:f}", "fiscal_year", s->budget[i].fiscal_year,
                                              "capex_usd", s->budget[i].capex_usd));
    return rows;
}

static json_t *input_rows(const rub_study *s) {
    json_t *rows = json_array();
    char hash[24];
    for (int32_t i = 0; i < s->n_input; i++) {
        snprintf(hash, sizeof hash, "%016llx", (unsigned long long)s->input[i].hash);
        json_array_append_new(rows,
                              json_pack("{s:s,s:s}", "path", s->input[i].path, "fnv1a64", hash));
    }
    return rows;
}

static void add_summary(json_t *document, const rub_study *s) {
    char start[16], end[16];
    rub_quarter_text(s->start_q, start, sizeof start);
    rub_quarter_text(s->start_q + s->n_quarter - 1, end, sizeof end);
    json_object_set_new(document, "name", json_string(s->name));
    json_object_set_new(document, "title", json_string(s->title ? s->title : s->name));
    json_object_set_new(document, "start", json_string(start));
    json_object_set_new(document, "end", json_string(end));
    json_object_set_new(document, "quarters", json_integer(s->n_quarter));
    json_object_set_new(document, "nodes", json_integer(rub_study_tree_nodes(s)));
    json_object_set_new(document, "leaves", json_integer(rub_study_tree_leaves(s)));
    json_object_set_new(document, "stages", stage_rows(s));
    json_object_set_new(document, "demand", demand_rows(s));
    json_object_set_new(document, "budgets", budget_rows(s));
    json_object_set_new(document, "figures", json_integer(s->n_figure));
    json_object_set_new(document, "figures_sourced", json_integer(s->n_figure_sourced));
    json_object_set_new(document, "inputs", input_rows(s));
}

static int print_json(const rub_study *study, const rub_study_findings *f) {
    json_t *document = json_object();
    json_object_set_new(document, "valid", json_boolean(study != NULL));
    json_object_set_new(document, "errors", finding_rows(f->error, f->n_error));
    json_object_set_new(document, "warnings", finding_rows(f->warning, f->n_warning));
    if (study)
        add_summary(document, study);
    int rc = rub_command_print_json(document);
    return study ? rc : 2;
}

/* ---- text ----------------------------------------------------------------------------------- */

static void print_findings(const char *kind, const rub_error *list, size_t n) {
    char text[900], line[940];
    for (size_t i = 0; i < n && i < RUB_STUDY_MAX_FINDINGS; i++) {
        snprintf(line, sizeof line, "rubato: %s%s", kind,
                 rub_error_format(&list[i], text, sizeof text));
        rub_command_complain(line);
    }
    if (n > RUB_STUDY_MAX_FINDINGS)
        fprintf(stderr, "rubato: %sand %zu more\n", kind, n - RUB_STUDY_MAX_FINDINGS);
}

static void print_stages(const rub_study *s) {
    printf("\n  %-10s %6s %7s %10s\n", "stage", "sites", "blocks", "MW");
    double all_mw = 0.0;
    int32_t all_blocks = 0;
    for (int stage = 0; stage < RUB_N_STAGE; stage++) {
        int32_t n_site, n_block;
        double mw = stage_mw(s, stage, &n_site, &n_block);
        if (n_site)
            printf("  %-10s %6d %7d %10.6g\n", rub_stage_text((rub_stage)stage), n_site, n_block,
                   mw);
        all_mw += mw;
        all_blocks += n_block;
    }
    printf("  %-10s %6d %7d %10.6g\n", "all", s->n_site, all_blocks, all_mw);
}

static void print_demand(const rub_study *s) {
    char load[32];
    printf("\n  %-24s %-10s %-12s %15s %12s\n", "demand", "class", "region", "at the start",
           "growth");
    for (int32_t i = 0; i < s->n_demand; i++) {
        const rub_study_demand *d = &s->demand[i];
        bool training = d->load_class == RUB_TRAINING;
        char growth[24], with_unit[48];
        snprintf(growth, sizeof growth, "%.4g %%/yr", 100.0 * d->growth_per_year);
        snprintf(with_unit, sizeof with_unit, "%s %s", rub_text_si(d->base, load, sizeof load),
                 training ? "accel" : "tok/s");
        printf("  %-24s %-10s %-12s %15s %12s\n", d->name, class_text(d),
               training ? "anywhere" : s->region[d->region].name, with_unit, growth);
    }
}

static void print_budgets(const rub_study *s) {
    char usd[32];
    if (s->n_budget)
        printf("\n  capex budgets: ");
    for (int32_t i = 0; i < s->n_budget; i++)
        printf("%sFY%d %s", i ? ", " : "", s->budget[i].fiscal_year,
               rub_text_usd(s->budget[i].capex_usd, usd));
    if (s->spent_this_fy_usd > 0)
        printf(" (FY%d: %s spent)", rub_study_fiscal_year(s, s->start_q),
               rub_text_usd(s->spent_this_fy_usd, usd));
    printf(s->n_budget ? "\n" : "\n  no capex budgets\n");
}

static void print_summary(const rub_study *s) {
    char start[16], end[16];
    rub_quarter_text(s->start_q, start, sizeof start);
    rub_quarter_text(s->start_q + s->n_quarter - 1, end, sizeof end);
    printf("%s: %s\n", s->name, s->title ? s->title : "");
    printf("  %d quarters, %s to %s; tree of %lld nodes, %lld futures%s\n", s->n_quarter, start,
           end, (long long)rub_study_tree_nodes(s), (long long)rub_study_tree_leaves(s),
           s->tree.n_node ? " (given in full)" : "");
    printf("  regions: %d; accelerators: %d; workloads: %d; partners: %d\n", s->n_region,
           s->n_generation, s->n_workload, s->n_partner);
    print_stages(s);
    print_demand(s);
    print_budgets(s);
    printf("  figures: %d given, %d with a source, %d assumed\n", s->n_figure, s->n_figure_sourced,
           s->n_figure - s->n_figure_sourced);
    for (int32_t i = 0; i < s->n_input; i++)
        printf("  input: %s (FNV-1a %016llx)\n", s->input[i].path,
               (unsigned long long)s->input[i].hash);
}

static int out_of_memory(void) {
    fprintf(stderr, "rubato: out of memory\n");
    return 2;
}

static int print_keys(bool json) {
    if (json) {
        json_error_t where;
        char *text = rub_study_keys_json();
        json_t *document = text ? json_loads(text, 0, &where) : NULL;
        free(text);
        return document ? rub_command_print_json(document) : out_of_memory();
    }
    char *text = rub_study_keys_markdown();
    if (!text)
        return out_of_memory();
    fputs(text, stdout);
    free(text);
    return 0;
}

static int run(const rub_command *self, const void *settings, int n_args, char **args) {
    const check_settings *set = settings;
    if (set->keys)
        return print_keys(set->json);
    if (n_args < 1) {
        fprintf(stderr,
                "rubato %s: found 0 arguments, expected STUDY.yaml (see rubato %s --help)\n",
                self->name, self->name);
        return 2;
    }
    rub_study *study = NULL;
    rub_study_findings *findings = calloc(1, sizeof *findings);
    rub_error err = {0};
    if (!findings)
        return out_of_memory();
    rub_status status =
        rub_study_check(args[0], set->what_if.values, set->what_if.n, &study, findings, &err);
    if (status == RUB_OK && rub_plan_check(study, findings, &err) != RUB_OK) {
        status = err.code;
        rub_study_free(study);
        study = NULL;
    }
    int rc = status == RUB_OK ? 0 : 2;
    if (status != RUB_OK && findings->n_error == 0) /* nothing could be read */
        findings->error[findings->n_error++] = err;
    print_findings("", findings->error, findings->n_error);
    if (set->json)
        rc = print_json(study, findings);
    else {
        print_findings("warning: ", findings->warning, findings->n_warning);
        if (study)
            print_summary(study);
    }
    rub_study_free(study);
    free(findings);
    return rc;
}

static const rub_option options[] = {
    {"what-if", RUB_OPTION_LIST, offsetof(check_settings, what_if), "KEY=VALUE",
     "changes one value of the study before it is read; may be given several times", 0, 0, NULL},
    {"keys", RUB_OPTION_FLAG, offsetof(check_settings, keys), NULL,
     "print every key of the study file as Markdown (--json: as JSON) and stop", 0, 0, NULL},
    RUB_OPTION_JSON(check_settings),
    {0},
};

const rub_command rub_cmd_check = {
    .name = "check",
    .summary = "read a study without running it: what it holds, what is wrong",
    .arguments = "STUDY.yaml",
    .min_args = 0,
    .max_args = 1,
    .description =
        "Reads the study and the tables it names, checks units, names (accelerators and models "
        "against the catalog), probabilities, and that every site's stages can be reached. Up to "
        "20 errors and 20 warnings go to standard "
        "error, one line each with file, line and column; a summary goes to standard output.\n\n"
        "A KEY is a path of names: partners.anchor.leaves, budget.FY2026, "
        "sites.mount-pleasant.pause. '*' stands for every name, and partner.KEY for the only "
        "partner. A VALUE is what the study file would say, or x1.2 or +20% to multiply what "
        "stands there.\n\n"
        "Exit status: 0 when the study can be planned, 2 when not.",
    .examples = "  rubato check examples/tiny.yaml\n"
                "  rubato check examples/tiny.yaml --what-if demand.chat.base=x2 --json",
    .options = options,
    .settings_size = sizeof(check_settings),
    .run = run,
};
