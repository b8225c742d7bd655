/* The process: regimes as a Markov chain, shocks with dates or hazards. */
#include "study/fields.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_REGIMES 16
#define MAX_SHOCKS 64
#define SUM_TOLERANCE 1e-6 /* of probabilities that have to add up to 1 */

static const rub_yaml_node empty = {.kind = RUB_YAML_MAPPING, .n_nodes = 1, .file = ""};

/* Entries by name under process.KEY; NULL when there are none. */
static const rub_yaml_node *named_part(rub_reader *r, const rub_entry *process, const char *key,
                                       size_t limit) {
    const rub_yaml_node *map = rub_entry_get(process, key);
    if (!map)
        return NULL;
    if (map->kind != RUB_YAML_MAPPING || map->n > limit) {
        rub_reader_report(r, map, RUB_INVALID, "'%s' is %s, expected at most %zu by name", key,
                          map->kind == RUB_YAML_MAPPING ? "longer" : rub_yaml_kind_text(map),
                          limit);
        return NULL;
    }
    return map->n ? map : NULL;
}

static bool start_entry(rub_reader *r, const rub_record *record, const rub_yaml_node *map, size_t i,
                        char *name, rub_entry *out) {
    const rub_yaml_node *value = map->value[i];
    const char *key = map->key[i]->scalar;
    *out = (rub_entry){.record = record, .at = map->key[i], .map = value, .name = key};
    if (strlen(key) >= RUB_NAME_MAX || !*key) {
        rub_reader_report(r, map->key[i], RUB_INVALID,
                          "%s is named '%.60s', expected a name of 1 to %d characters",
                          record->what, key, RUB_NAME_MAX - 1);
        return false;
    }
    snprintf(name, RUB_NAME_MAX, "%s", key);
    if (value->kind == RUB_YAML_MAPPING)
        return true;
    rub_reader_report(r, value, RUB_INVALID, "%s '%.60s' is %s, expected its keys", record->what,
                      key, rub_yaml_kind_text(value));
    return false;
}

/* ---- regimes -------------------------------------------------------------------------------- */

static void read_next(rub_reader *r, const rub_entry *entry, const rub_yaml_node *regimes,
                      rub_study_regime *regime) {
    static const rub_field prob = {"next", RUB_FIELD_NUMBER, 0, "%", NULL, 0, 1, "90%", ""};
    const rub_yaml_node *map = rub_entry_get(entry, "next");
    double sum = 0.0;
    if (!map || !regime->next_prob)
        return;
    if (map->kind != RUB_YAML_MAPPING) {
        rub_reader_report(r, map, RUB_INVALID,
                          "'next' is %s, expected probabilities by regime such as '{boom: 90%%, "
                          "slump: 10%%}'",
                          rub_yaml_kind_text(map));
        return;
    }
    for (size_t i = 0; i < map->n; i++) {
        size_t j = 0;
        while (j < regimes->n && strcmp(regimes->key[j]->scalar, map->key[i]->scalar) != 0)
            j++;
        if (j == regimes->n) {
            const char *near = rub_reader_near(regimes, map->key[i]->scalar);
            rub_reader_unknown(r, RUB_SECTION_REGIMES, map->key[i],
                               near ? "'next' names regime '%.60s', which is not among the "
                                      "regimes, did you mean '%.60s'?"
                                    : "'next' names regime '%.60s', expected one of the regimes",
                               map->key[i]->scalar, near);
            return;
        }
        if (!rub_field_read(r, &prob, map->value[i], 0, &regime->next_prob[j]))
            return;
        sum += regime->next_prob[j];
    }
    if (fabs(sum - 1.0) > SUM_TOLERANCE)
        rub_reader_report(r, map, RUB_INVALID,
                          "'next' of regime '%.60s' adds up to %.6g %%, expected 100 %%",
                          regime->name, 100.0 * sum);
}

static void read_regimes(rub_reader *r, const rub_entry *process) {
    const rub_yaml_node *map = named_part(r, process, "regimes", MAX_REGIMES);
    rub_study_process *p = &r->study->process;
    double sum = 0.0;
    size_t before = r->findings->n_error;
    if (!map || !(p->regime = rub_reader_new(r, map->n, sizeof *p->regime)))
        return;
    p->n_regime = (int32_t)map->n;
    for (size_t i = 0; i < map->n; i++) {
        rub_entry entry;
        rub_study_regime *regime = &p->regime[i];
        regime->next_prob = rub_reader_new(r, map->n, sizeof *regime->next_prob);
        if (!start_entry(r, &rub_record_regime, map, i, regime->name, &entry))
            continue;
        rub_entry_read(r, &entry, regime);
        read_next(r, &entry, map, regime);
        sum += regime->initial_prob;
    }
    if (fabs(sum - 1.0) > SUM_TOLERANCE && r->findings->n_error == before)
        rub_reader_report(r, map->key[0], RUB_INVALID,
                          "'initial' of the regimes adds up to %.6g %%, expected 100 %%",
                          100.0 * sum);
}

/* ---- shocks --------------------------------------------------------------------------------- */

/* The section that a shock of this kind aims at; RUB_N_SECTION when at nothing. */
static rub_section target_section(rub_shock_kind kind) {
    if (kind == RUB_SHOCK_DEMAND)
        return RUB_SECTION_DEMAND;
    if (kind == RUB_SHOCK_SLIP || kind == RUB_SHOCK_PRICE || kind == RUB_SHOCK_EXPORT)
        return RUB_SECTION_ACCELERATORS;
    return kind == RUB_SHOCK_GRID ? RUB_SECTION_REGIONS : RUB_N_SECTION;
}

static void read_target(rub_reader *r, const rub_entry *entry, rub_study_shock *shock) {
    const rub_yaml_node *value = rub_entry_get(entry, "target");
    rub_section section = target_section(shock->kind);
    shock->target = -1;
    if (!value || (value->kind == RUB_YAML_SCALAR && strcmp(value->scalar, "all") == 0))
        return;
    if (section == RUB_N_SECTION) {
        rub_reader_report(r, value, RUB_INVALID,
                          "shock '%s' has a 'target', expected none for its kind", shock->name);
        return;
    }
    rub_field field = {.key = "target", .kind = RUB_FIELD_REF, .min = section};
    rub_field_read(r, &field, value, 0, &shock->target);
}

/* delay and lasts share a member of the struct; each belongs to one kind. */
static void check_span(rub_reader *r, const rub_entry *entry, const rub_study_shock *shock) {
    static const struct {
        const char *key, *only;
        rub_shock_kind kind, or ;
    } spans[] = {{"delay", "slip", RUB_SHOCK_SLIP, RUB_SHOCK_SLIP},
                 {"lasts", "grid or export", RUB_SHOCK_GRID, RUB_SHOCK_EXPORT}};
    for (size_t i = 0; i < RUB_LEN(spans); i++) {
        const rub_yaml_node *value = rub_entry_get(entry, spans[i].key);
        if (value && shock->kind != spans[i].kind && shock->kind != spans[i].or)
            rub_reader_report(r, value, RUB_INVALID,
                              "shock '%s' has '%s', expected it only for kind %s", shock->name,
                              spans[i].key, spans[i].only);
    }
    if (shock->kind == RUB_SHOCK_SLIP && shock->quarters == 0)
        rub_reader_report(r, entry->at, RUB_INVALID,
                          "shock '%s' slips by nothing, expected a 'delay' such as '2 quarters'",
                          shock->name);
}

static void read_shock(rub_reader *r, const rub_entry *entry, rub_study_shock *shock) {
    rub_entry_read(r, entry, shock);
    read_target(r, entry, shock);
    check_span(r, entry, shock);
    bool no_factor = shock->kind == RUB_SHOCK_SLIP || shock->kind == RUB_SHOCK_EXPORT;
    if (!no_factor && !rub_entry_get(entry, "factor"))
        rub_reader_report(r, entry->at, RUB_INVALID,
                          "shock '%s' has no 'factor', expected a plain number such as '0.6'",
                          shock->name);
    bool dated = shock->at_q != RUB_NEVER, hazard = shock->hazard_per_year > 0;
    if (dated == hazard)
        rub_reader_report(r, entry->at, RUB_INVALID,
                          "shock '%s' has %s 'at' %s 'hazard', expected one of them", shock->name,
                          dated ? "both" : "neither", dated ? "and" : "nor");
    else if (dated && shock->at_q < r->study->start_q)
        rub_reader_report(r, rub_entry_at(entry, "at"), RUB_INVALID,
                          "shock '%s' comes before the study's start, expected a later quarter",
                          shock->name);
}

static void read_shocks(rub_reader *r, const rub_entry *process) {
    const rub_yaml_node *map = named_part(r, process, "shocks", MAX_SHOCKS);
    rub_study_process *p = &r->study->process;
    if (!map || !(p->shock = rub_reader_new(r, map->n, sizeof *p->shock)))
        return;
    p->n_shock = (int32_t)map->n;
    for (size_t i = 0; i < map->n; i++) {
        rub_entry entry;
        rub_study_shock *shock = &p->shock[i];
        shock->target = -1;
        if (start_entry(r, &rub_record_shock, map, i, shock->name, &entry))
            read_shock(r, &entry, shock);
    }
}

void rub_reader_process(rub_reader *r) {
    const rub_yaml_node *map = rub_yaml_get(r->root, "process");
    const rub_yaml_node *key = rub_yaml_key(r->root, "process");
    if (!map || rub_yaml_is_null(map))
        map = &empty;
    rub_entry entry = {.record = &rub_record_process, .at = key ? key : r->root, .map = map};
    if (map->kind != RUB_YAML_MAPPING) {
        rub_reader_report(r, map, RUB_INVALID, "'process' is %s, expected its keys",
                          rub_yaml_kind_text(map));
        return;
    }
    rub_study_process *p = &r->study->process;
    rub_entry_read(r, &entry, p);
    double all = p->correlation + p->class_correlation + p->region_correlation;
    if (all > 1.0 + SUM_TOLERANCE)
        rub_reader_report(
            r, entry.at, RUB_INVALID,
            "the correlations of the process add up to %.4g %%, expected at most 100 %%",
            100.0 * all);
    read_regimes(r, &entry);
    read_shocks(r, &entry);
}
