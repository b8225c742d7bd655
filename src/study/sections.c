/* The sections of a study, one function each: entries by the tables, then what tables cannot say. */
#include "study/fields.h"

#include "base/array.h"
#include "base/text.h"
#include "base/units.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How many entries a section may have: what the planner's automaton and hostile files bear. */
static const size_t limits[RUB_N_SECTION] = {
    [RUB_SECTION_MODELS] = 64,   [RUB_SECTION_WORKLOADS] = 64, [RUB_SECTION_ACCELERATORS] = 32,
    [RUB_SECTION_REGIONS] = 64,  [RUB_SECTION_DEMAND] = 64,    [RUB_SECTION_SITES] = 2000,
    [RUB_SECTION_PARTNERS] = 32, [RUB_SECTION_MARKET] = 65,
};

static const char *const top_keys[] = {
    "study",   "models",  "workloads",     "accelerators", "regions", "demand",
    "process", "tree",    "sites",         "partners",     "market",  "budget",
    "risk",    "sources", "site_defaults", "replay",
};

/* ---- names ---------------------------------------------------------------------------------- */

/* Names stand in paths (what-if, sources) and in file names. */
static bool check_name(rub_reader *r, const rub_yaml_node *key, const char *what) {
    const char *name = key->scalar;
    size_t n = strlen(name);
    const char *bad = NULL;
    for (const char *p = name; *p && !bad; p++)
        if ((unsigned char)*p < 0x20 || strchr("/*=\\", *p))
            bad = p;
    if (n == 0 || n >= RUB_NAME_MAX || name[0] == ' ' || name[n - 1] == ' ') {
        rub_reader_report(r, key, RUB_INVALID,
                          "%s is named '%.60s', expected a name of 1 to %d characters", what, name,
                          RUB_NAME_MAX - 1);
        return false;
    }
    if (bad)
        rub_reader_report(r, key, RUB_INVALID,
                          "%s is named '%.60s', expected a name without '/', '*', '=' or '\\'",
                          what, name);
    return !bad;
}

static void find_section(rub_reader *r, rub_section section) {
    const rub_yaml_node *map = rub_yaml_get(r->root, rub_section_key(section));
    if (!map || rub_yaml_is_null(map))
        return;
    if (map->kind != RUB_YAML_MAPPING) {
        if (map->kind != RUB_YAML_SCALAR || section != RUB_SECTION_SITES)
            rub_reader_report(r, map, RUB_INVALID, "'%s' is %s, expected %ss by name",
                              rub_section_key(section), rub_yaml_kind_text(map),
                              rub_section_entry(section));
        return;
    }
    if (map->n > limits[section]) {
        rub_reader_report(r, map, RUB_INVALID, "'%s' has %zu entries, expected at most %zu",
                          rub_section_key(section), map->n, limits[section]);
        return;
    }
    r->section[section] = map;
}

static void find_sections(rub_reader *r) {
    for (size_t i = 0; i < r->root->n; i++) {
        const char *key = r->root->key[i]->scalar;
        size_t j = 0;
        while (j < RUB_LEN(top_keys) && strcmp(top_keys[j], key) != 0)
            j++;
        if (j < RUB_LEN(top_keys))
            continue;
        const char *near = rub_text_nearest(key, top_keys, RUB_LEN(top_keys));
        rub_reader_report(r, r->root->key[i], RUB_INVALID,
                          near ? "unknown section '%.60s', did you mean '%s'?"
                               : "unknown section '%.60s', expected one that 'rubato check --keys' "
                                 "lists",
                          key, near);
    }
    for (int s = 0; s < RUB_N_SECTION; s++)
        find_section(r, (rub_section)s);
    const rub_yaml_node *defaults = rub_yaml_get(r->root, "site_defaults");
    if (defaults && !rub_yaml_is_null(defaults)) {
        if (defaults->kind == RUB_YAML_MAPPING)
            r->site_defaults = defaults;
        else
            rub_reader_report(r, defaults, RUB_INVALID,
                              "'site_defaults' is %s, expected keys of "
                              "a site",
                              rub_yaml_kind_text(defaults));
    }
}

/* ---- entries -------------------------------------------------------------------------------- */

static const rub_record *const records[RUB_N_SECTION] = {
    [RUB_SECTION_MODELS] = &rub_record_model,
    [RUB_SECTION_WORKLOADS] = &rub_record_workload,
    [RUB_SECTION_ACCELERATORS] = &rub_record_accelerator,
    [RUB_SECTION_REGIONS] = &rub_record_region,
    [RUB_SECTION_DEMAND] = &rub_record_demand,
    [RUB_SECTION_SITES] = &rub_record_site,
    [RUB_SECTION_PARTNERS] = &rub_record_partner,
    [RUB_SECTION_MARKET] = &rub_record_market,
};

/* Entry i of a section; false (and reported) when it is not a mapping. */
static bool entry_of(rub_reader *r, rub_section section, size_t i, rub_entry *out) {
    const rub_yaml_node *map = r->section[section];
    static const rub_yaml_node empty = {.kind = RUB_YAML_MAPPING, .n_nodes = 1, .file = ""};
    const rub_yaml_node *value = rub_yaml_is_null(map->value[i]) ? &empty : map->value[i];
    *out = (rub_entry){.record = records[section],
                       .at = map->key[i],
                       .map = value,
                       .defaults = section == RUB_SECTION_SITES ? r->site_defaults : NULL,
                       .name = map->key[i]->scalar};
    if (!check_name(r, map->key[i], rub_section_entry(section)))
        return false;
    if (value->kind == RUB_YAML_MAPPING)
        return true;
    rub_reader_report(r, value, RUB_INVALID, "%s '%.60s' is %s, expected its keys",
                      rub_section_entry(section), out->name, rub_yaml_kind_text(value));
    return false;
}

typedef void (*read_entry)(rub_reader *r, const rub_entry *entry, void *out, int32_t index);

/* Every struct of a named section begins with its rub_name. */
static void *read_section(rub_reader *r, rub_section section, size_t size, int32_t *n,
                          read_entry more) {
    const rub_yaml_node *map = r->section[section];
    *n = 0;
    if (!map || map->n == 0)
        return NULL;
    char *all = rub_reader_new(r, map->n, size);
    if (!all)
        return NULL;
    *n = (int32_t)map->n;
    for (size_t i = 0; i < map->n && !r->out_of_memory; i++) {
        rub_entry entry;
        void *one = all + i * size;
        if (!entry_of(r, section, i, &entry))
            continue;
        if (section != RUB_SECTION_MARKET)
            snprintf(one, RUB_NAME_MAX, "%s", entry.name);
        more(r, &entry, one, (int32_t)i);
    }
    return all;
}

static void read_model(rub_reader *r, const rub_entry *entry, void *out, int32_t index) {
    rub_study_model *m = out;
    (void)index;
    rub_entry_read(r, entry, m);
    rub_reader_place(r, rub_entry_at(entry, "catalog"), &m->catalog_at);
}

static void read_workload(rub_reader *r, const rub_entry *entry, void *out, int32_t index) {
    rub_study_workload *w = out;
    (void)index;
    w->share_frac = -1.0;
    rub_entry_read(r, entry, w);
    const rub_yaml_node *trace = rub_entry_get(entry, "trace");
    if (trace && w->trace_file && access(w->trace_file, R_OK) != 0)
        rub_reader_report(r, trace, RUB_IO, "cannot open '%.200s': %s", w->trace_file,
                          strerror(errno));
    const rub_yaml_node *preset = rub_entry_get(entry, "preset");
    if (trace && preset)
        rub_reader_report(r, preset, RUB_INVALID,
                          "workload '%s' has both 'trace' and 'preset', expected one of them",
                          w->name);
    else if (!trace && !preset)
        rub_reader_report(r, entry->at, RUB_INVALID,
                          "workload '%s' has neither 'trace' nor 'preset', expected one of them",
                          w->name);
    else if (preset && strcmp(w->preset, "azure-conv") != 0 && strcmp(w->preset, "azure-code") != 0)
        rub_reader_report(r, preset, RUB_INVALID,
                          "'preset' is '%.60s', expected azure-conv or azure-code", w->preset);
}

static void read_accelerator(rub_reader *r, const rub_entry *entry, void *out, int32_t index) {
    rub_study_generation *g = out;
    (void)index;
    rub_entry_read(r, entry, g);
    rub_reader_place(r, rub_entry_at(entry, "catalog"), &g->catalog_at);
    if (g->last_q < g->first_q)
        rub_reader_report(r, rub_entry_at(entry, "orderable_until"), RUB_INVALID,
                          "'orderable_until' is before 'orderable_from', expected it later");
}

/* Links of one region, appended to the study's. */
static void read_links(rub_reader *r, const rub_entry *entry, int32_t from) {
    static const rub_field cost = {"may_serve", RUB_FIELD_NUMBER, 0, "USD/Mtok", NULL, 0,
                                   1e6,         "$0.01/Mtok",     ""};
    const rub_yaml_node *map = rub_entry_get(entry, "may_serve");
    rub_study *study = r->study;
    if (!map)
        return;
    if (map->kind != RUB_YAML_MAPPING) {
        rub_reader_report(r, map, RUB_INVALID,
                          "'may_serve' is %s, expected regions with a cost such as '{us-west: "
                          "$0.01/Mtok}'",
                          rub_yaml_kind_text(map));
        return;
    }
    for (size_t i = 0; i < map->n; i++) {
        rub_study_link link = {.from = from};
        link.to = rub_reader_find(r, RUB_SECTION_REGIONS, map->key[i]->scalar);
        const char *near = rub_reader_near(r->section[RUB_SECTION_REGIONS], map->key[i]->scalar);
        if (link.to == from)
            rub_reader_report(r, map->key[i], RUB_INVALID,
                              "region '%.60s' serves itself anyway, expected others",
                              map->key[i]->scalar);
        else if (link.to < 0)
            rub_reader_unknown(r, RUB_SECTION_REGIONS, map->key[i],
                               near ? "'may_serve' names region '%.60s', which is not among the "
                                      "regions, did you mean '%.60s'?"
                                    : "'may_serve' names region '%.60s', expected one of the "
                                      "regions",
                               map->key[i]->scalar, near);
        else if (rub_field_read(r, &cost, map->value[i], 0, &link.cost_usd_per_mtok)) {
            rub_study_link *grown =
                realloc(study->link, ((size_t)study->n_link + 1) * sizeof *study->link);
            r->out_of_memory = r->out_of_memory || !grown;
            if (!grown)
                return;
            study->link = grown;
            study->link[study->n_link++] = link;
        }
    }
}

static void read_region(rub_reader *r, const rub_entry *entry, void *out, int32_t index) {
    rub_entry_read(r, entry, out);
    read_links(r, entry, index);
}

static void read_demand(rub_reader *r, const rub_entry *entry, void *out, int32_t index) {
    rub_study_demand *d = out;
    rub_entry by_class = *entry;
    (void)index;
    const rub_yaml_node *load_class = rub_entry_get(entry, "class");
    by_class.variant = load_class && load_class->kind == RUB_YAML_SCALAR &&
                       strcmp(load_class->scalar, "training") == 0;
    rub_entry_read(r, &by_class, d);
    const rub_yaml_node *region = rub_entry_get(entry, "region");
    if (d->load_class == RUB_INFERENCE && !region)
        rub_reader_report(r, entry->at, RUB_INVALID,
                          "demand '%s' has no 'region', expected where its users are", d->name);
    if (d->load_class == RUB_TRAINING && region)
        rub_reader_report(r, region, RUB_INVALID,
                          "training demand '%s' has a 'region', expected none: training runs "
                          "anywhere with its fabric",
                          d->name);
    if (d->saturation > 0 && d->saturation < d->base)
        rub_reader_report(r, rub_entry_at(entry, "saturation"), RUB_INVALID,
                          "'saturation' is below 'base', expected it above");
}

/* A contract counts in the unit of the partner's demand. */
static void read_contract(rub_reader *r, const rub_entry *entry, rub_study_partner *p,
                          int32_t index) {
    static const rub_field contract = {"contract", RUB_FIELD_NUMBER,      0, "tok/s|accel", NULL, 0,
                                       1e18,       "10M tok/s|40k accel", ""};
    const rub_yaml_node *value = rub_entry_get(entry, "contract");
    int load_class = -1;
    for (int32_t i = 0; i < r->study->n_demand && load_class < 0; i++)
        if (r->study->demand[i].partner == index)
            load_class = (int)r->study->demand[i].load_class;
    if (value && load_class < 0)
        rub_reader_report(r, value, RUB_INVALID,
                          "partner '%s' has a contract but no demand names it, expected one",
                          p->name);
    else if (value)
        rub_field_read(r, &contract, value, load_class == RUB_TRAINING, &p->contract_units);
    if (p->take_or_pay_frac > 0 && !value)
        rub_reader_report(r, rub_entry_at(entry, "take_or_pay"), RUB_INVALID,
                          "partner '%s' has 'take_or_pay' but no 'contract', expected the "
                          "contracted load",
                          p->name);
}

static void read_partner(rub_reader *r, const rub_entry *entry, void *out, int32_t index) {
    rub_study_partner *p = out;
    rub_entry_read(r, entry, p);
    read_contract(r, entry, p, index);
    if (p->leave_q < r->study->start_q)
        rub_reader_report(r, rub_entry_at(entry, "leaves"), RUB_INVALID,
                          "partner '%s' leaves before the study's start, expected a later quarter "
                          "or never",
                          p->name);
    if (p->rofr_prob > 0 && p->rofr_share_frac <= 0)
        rub_reader_report(r, rub_entry_at(entry, "rofr_probability"), RUB_INVALID,
                          "partner '%s' may exercise a right to nothing, expected 'rofr_share' "
                          "above 0 %%",
                          p->name);
}

static void read_site(rub_reader *r, const rub_entry *entry, void *out, int32_t index) {
    rub_study_site *site = out;
    size_t before = r->findings->n_error;
    site->generation = site->rofr_partner = -1;
    site->line = entry->at->line;
    rub_entry_read(r, entry, site);
    if (r->site_is_read)
        r->site_is_read[index] = r->findings->n_error == before;
}

/* ---- market --------------------------------------------------------------------------------- */

#define MAX_STEPS 16

static rub_market_step *read_steps(rub_reader *r, const rub_entry *market, const char *key,
                                   bool rising, int32_t *n) {
    const rub_yaml_node *list = rub_entry_get(market, key);
    *n = 0;
    if (!list)
        return NULL;
    if (list->kind != RUB_YAML_SEQUENCE || list->n > MAX_STEPS) {
        rub_reader_report(
            r, list, RUB_INVALID,
            "'%s' is %s, expected a list of at most %d steps with depth and price", key,
            list->kind == RUB_YAML_SEQUENCE ? "longer" : rub_yaml_kind_text(list), MAX_STEPS);
        return NULL;
    }
    rub_market_step *steps = rub_reader_new(r, list->n, sizeof *steps);
    for (size_t i = 0; i < list->n && steps; i++) {
        const rub_yaml_node *map = list->value[i];
        if (map->kind != RUB_YAML_MAPPING) {
            rub_reader_report(r, map, RUB_INVALID, "a step of '%s' is %s, expected depth and price",
                              key, rub_yaml_kind_text(map));
            continue;
        }
        rub_entry entry = {.record = &rub_record_step, .at = map, .map = map};
        rub_entry_read(r, &entry, &steps[i]);
        if (i > 0 && (rising ? steps[i].usd < steps[i - 1].usd : steps[i].usd > steps[i - 1].usd))
            rub_reader_report(r, rub_entry_at(&entry, "price"), RUB_INVALID,
                              "'%s' has a price that %s, expected %s prices", key,
                              rising ? "falls" : "rises", rising ? "rising" : "falling");
    }
    *n = steps ? (int32_t)list->n : 0;
    return steps;
}

static void read_market(rub_reader *r, const rub_entry *entry, void *out, int32_t index) {
    rub_study_market *m = out;
    (void)index;
    bool training = strcmp(entry->name, "training") == 0;
    m->region = training ? -1 : rub_reader_find(r, RUB_SECTION_REGIONS, entry->name);
    if (!training && m->region < 0) {
        const char *near = rub_reader_near(r->section[RUB_SECTION_REGIONS], entry->name);
        rub_reader_unknown(r, RUB_SECTION_REGIONS, entry->at,
                           near
                               ? "market '%.60s' is neither training nor a region, did you mean "
                                 "'%.60s'?"
                               : "market '%.60s' is neither training nor a region, expected one of "
                                 "them",
                           entry->name, near);
    }
    rub_entry_read(r, entry, m);
    m->in = read_steps(r, entry, "rent_in", true, &m->n_in);
    m->out = read_steps(r, entry, "rent_out", false, &m->n_out);
    if (m->n_in && m->n_out && m->out[0].usd >= m->in[0].usd && m->out[0].usd > 0)
        rub_reader_report(r, rub_entry_at(entry, "rent_out"), RUB_INVALID,
                          "market '%s' lets at $%.2f and rents at $%.2f for an accelerator-hour: "
                          "money for nothing, expected letting below renting",
                          entry->name, m->out[0].usd, m->in[0].usd);
    if (training && (rub_entry_get(entry, "sublet_price") || rub_entry_get(entry, "sublet_depth")))
        rub_reader_report(r, entry->at, RUB_INVALID,
                          "the training market has a sublet price or depth, expected them in a "
                          "region's market");
}

/* ---- single sections ------------------------------------------------------------------------ */

/* A section that is one entry; absent: its defaults apply. */
static bool single(rub_reader *r, const rub_record *record, rub_entry *out) {
    static const rub_yaml_node empty = {.kind = RUB_YAML_MAPPING, .n_nodes = 1, .file = ""};
    const rub_yaml_node *map = rub_yaml_get(r->root, record->path);
    const rub_yaml_node *key = rub_yaml_key(r->root, record->path);
    if (!map || rub_yaml_is_null(map))
        map = &empty;
    *out = (rub_entry){.record = record, .at = key ? key : r->root, .map = map};
    if (map->kind == RUB_YAML_MAPPING)
        return true;
    rub_reader_report(r, map, RUB_INVALID, "'%s' is %s, expected its keys", record->path,
                      rub_yaml_kind_text(map));
    return false;
}

static void read_study(rub_reader *r) {
    rub_entry entry;
    rub_study *study = r->study;
    if (!single(r, &rub_record_study, &entry))
        return;
    /* the start first: other quarters may be given as "start" */
    const rub_yaml_node *start = rub_entry_get(&entry, "start");
    if (start && start->kind == RUB_YAML_SCALAR)
        rub_quarter_parse(start->scalar, &study->start_q);
    rub_entry_read(r, &entry, study);
    if (study->fiscal_start == 1)
        study->fiscal_shift = 0; /* the fiscal year is the calendar year, whatever it is named by */
    if (study->reference_generation < 0)
        study->reference_generation = 0;
    const rub_yaml_node *name = rub_entry_get(&entry, "name");
    if (name && name->kind == RUB_YAML_SCALAR)
        check_name(r, name, "the study");
}

static void read_budget(rub_reader *r) {
    static const rub_field amount = {"budget", RUB_FIELD_NUMBER, 0, "USD", NULL, 0,
                                     1e13,     "$80B",           ""};
    const rub_yaml_node *map = rub_yaml_get(r->root, "budget");
    rub_study *study = r->study;
    if (!map || rub_yaml_is_null(map))
        return;
    if (map->kind != RUB_YAML_MAPPING || map->n > 200) {
        rub_reader_report(r, map, RUB_INVALID,
                          "'budget' is %s, expected amounts by fiscal year such as '{FY2025: "
                          "$80B}'",
                          rub_yaml_kind_text(map));
        return;
    }
    study->budget = rub_reader_new(r, map->n, sizeof *study->budget);
    for (size_t i = 0; i < map->n && study->budget; i++) {
        const char *key = map->key[i]->scalar;
        rub_field field = amount;
        field.key = key;
        rub_study_budget *b = &study->budget[study->n_budget];
        if (strncmp(key, "FY", 2) != 0 || strlen(key) != 6 || strspn(key + 2, "0123456789") != 4)
            rub_reader_report(r, map->key[i], RUB_INVALID,
                              "'budget' has '%.60s', expected a fiscal year such as 'FY2025'", key);
        else if (rub_field_read(r, &field, map->value[i], 0, &b->capex_usd)) {
            b->fiscal_year = atoi(key + 2);
            study->n_budget++;
        }
    }
}

static void read_risk(rub_reader *r) {
    rub_entry entry;
    if (single(r, &rub_record_risk, &entry))
        rub_entry_read(r, &entry, &r->study->risk);
}

void rub_reader_sections(rub_reader *r) {
    rub_study *s = r->study;
    find_sections(r);
    read_study(r);
    s->model = read_section(r, RUB_SECTION_MODELS, sizeof *s->model, &s->n_model, read_model);
    s->workload =
        read_section(r, RUB_SECTION_WORKLOADS, sizeof *s->workload, &s->n_workload, read_workload);
    s->generation = read_section(r, RUB_SECTION_ACCELERATORS, sizeof *s->generation,
                                 &s->n_generation, read_accelerator);
    s->region = read_section(r, RUB_SECTION_REGIONS, sizeof *s->region, &s->n_region, read_region);
    s->demand = read_section(r, RUB_SECTION_DEMAND, sizeof *s->demand, &s->n_demand, read_demand);
    s->partner =
        read_section(r, RUB_SECTION_PARTNERS, sizeof *s->partner, &s->n_partner, read_partner);
    if (r->section[RUB_SECTION_SITES])
        r->site_is_read = rub_reader_take(r, r->section[RUB_SECTION_SITES]->n);
    s->site = read_section(r, RUB_SECTION_SITES, sizeof *s->site, &s->n_site, read_site);
    s->market = read_section(r, RUB_SECTION_MARKET, sizeof *s->market, &s->n_market, read_market);
    if (r->out_of_memory)
        return;
    read_budget(r);
    read_risk(r);
}
