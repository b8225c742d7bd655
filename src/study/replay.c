/* The replay section: dated rows that change the document before it is read, what was reported to have
 * been done, and the outcome.
 *
 * A row changes the copy of the document of a read that knows its date, and no other: what a
 * quarter's study holds cannot depend on later rows (docs/replay.md). */
#include "study/fields.h"

#include "base/array.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROWS 2000
#define MAX_SET 64 /* keys of one row */

const char *rub_done_text(rub_done done) {
    static const char *const text[] = {
#define X(name, word) word,
        RUB_DONE_LIST(X)
#undef X
    };
    return (unsigned)done < RUB_N_DONE ? text[done] : "unknown";
}

/* ---- dates ---------------------------------------------------------------------------------- */

/* 2025-02-21, 2025-02 or 2025-Q1: the calendar quarter it lies in, and a number that orders dates (a month
 * stands for its last day, a quarter too). */
static bool read_date(const char *text, int32_t *quarter, int32_t *order) {
    int year, month, day = 31, n = 0;
    if (rub_quarter_parse(text, quarter)) {
        *order = *quarter * 3 * 31 + 3 * 31;
        return true;
    }
    bool whole = sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &n) == 3 && !text[n];
    if (!whole) {
        n = 0;
        day = 31;
        if (sscanf(text, "%4d-%2d%n", &year, &month, &n) != 2 || text[n])
            return false;
    }
    if (year < 1900 || year > 2200 || month < 1 || month > 12 || day < 1 || day > 31)
        return false;
    *quarter = year * 4 + (month - 1) / 3;
    *order = (year * 12 + month - 1) * 31 + day;
    return true;
}

/* ---- what a row may change ------------------------------------------------------------------- */

/* Keys that stand for what can be told anew. Loads come from the outcome; what sites, yields and contracts
 * are is the same for all paths that are compared. NULL: any key. */
static const struct {
    const char *section;
    const char *keys;
    bool adds; /* entries may be set whole while they are not there */
} may_set[] = {
    {"demand", "growth|saturation|volatility|season|value|value_trend|penalty", false},
    {"accelerators", "price|price_trend|orderable_from|orderable_until|supply", true},
    {"regions", "power_price|power_trend|grid", false},
    {"market", "rent_in|rent_out|sublet_price|sublet_depth", false},
    {"partners", "leave_hazard|leaves|leaving_share|exit_payment|rofr_probability|rofr_until",
     false},
    {"sites", "", true},
    {"process", NULL, true},
    {"budget", NULL, true},
    {"risk", NULL, true},
};

static bool is_word_of(const char *words, const char *word) {
    size_t n = strcspn(word, ".");
    for (const char *p = words; *p;) {
        size_t m = strcspn(p, "|");
        if (m == n && strncmp(p, word, n) == 0)
            return true;
        p += m + (p[m] == '|');
    }
    return false;
}

static bool check_key(rub_reader *r, const rub_yaml_node *at, const char *path) {
    size_t i = 0, n = strcspn(path, ".");
    while (i < RUB_LEN(may_set) &&
           (strlen(may_set[i].section) != n || strncmp(may_set[i].section, path, n) != 0))
        i++;
    const char *name = path[n] ? path + n + 1 : "";
    if (i == RUB_LEN(may_set) || !*name) {
        rub_reader_report(r, at, RUB_INVALID,
                          "a dated row sets '%.60s', expected a key of demand, accelerators, "
                          "regions, market, partners, process, budget, risk, or a new site",
                          path);
        return false;
    }
    if (!may_set[i].keys)
        return true;
    const char *below = rub_path_below(rub_yaml_get(r->root, may_set[i].section), name);
    if (!below && may_set[i].adds && !strchr(name, '.'))
        return true;
    if (below && *below && is_word_of(may_set[i].keys, below))
        return true;
    if (!may_set[i].keys[0])
        rub_reader_report(r, at, RUB_INVALID,
                          "a dated row sets '%.60s', expected a site that is not there yet: "
                          "what a site is does not change",
                          path);
    else
        rub_reader_report(r, at, RUB_INVALID,
                          "a dated row sets '%.60s', expected %s.NAME with one of %s", path,
                          may_set[i].section, may_set[i].keys);
    return false;
}

/* ---- information ----------------------------------------------------------------------------- */

typedef struct row {
    const rub_yaml_node *key, *map;
    int32_t from_q, order;
    size_t index;
} row;

static int by_date(const void *a, const void *b) {
    const row *x = a, *y = b;
    if (x->order != y->order)
        return x->order < y->order ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static bool is_named_rows(rub_reader *r, const rub_yaml_node *map, const char *what) {
    if (map->kind == RUB_YAML_MAPPING && map->n <= MAX_ROWS)
        return true;
    rub_reader_report(r, map, RUB_INVALID, "'%s' is %s, expected at most %d rows by name", what,
                      map->kind == RUB_YAML_MAPPING ? "longer" : rub_yaml_kind_text(map), MAX_ROWS);
    return false;
}

static bool is_row(rub_reader *r, const rub_yaml_node *key, const rub_yaml_node *value,
                   const char *what) {
    if (value->kind == RUB_YAML_MAPPING)
        return true;
    rub_reader_report(r, value, RUB_INVALID, "%s '%.60s' is %s, expected its keys", what,
                      key->scalar, rub_yaml_kind_text(value));
    return false;
}

static bool date_row(rub_reader *r, row *out) {
    const rub_yaml_node *known = rub_yaml_get(out->map, "known");
    int32_t quarter;
    if (!known || known->kind != RUB_YAML_SCALAR ||
        !read_date(known->scalar, &quarter, &out->order)) {
        rub_reader_report(r, known ? known : out->key, RUB_INVALID,
                          "information '%.60s' has %s%.40s%s as 'known', expected a day, month or "
                          "quarter such as 2025-02-21, 2025-02 or 2025-Q1",
                          out->key->scalar, known ? "'" : "nothing",
                          known && known->kind == RUB_YAML_SCALAR ? known->scalar : "",
                          known ? "'" : "");
        return false;
    }
    out->from_q = quarter + 1;
    return true;
}

static char *shown(rub_reader *r, const char *key, const rub_yaml_node *value) {
    rub_text text = {0};
    rub_text_add(&text, "%s = %s", key, value->kind == RUB_YAML_SCALAR ? value->scalar : "{...}");
    r->out_of_memory = r->out_of_memory || text.failed;
    return text.data;
}

static void set_one(rub_reader *r, rub_study_information *info, const rub_yaml_node *at,
                    const char *key, rub_yaml_node *value) {
    const char *path = rub_path_in_full(r, at, key);
    if (!path || !check_key(r, at, path))
        return;
    rub_reader_set(r, at, path, value);
    info->set[info->n_set] = shown(r, path, value);
    info->key[info->n_set] = rub_reader_strdup(r, path);
    info->factor[info->n_set] = rub_path_factor(value);
    info->n_set++;
}

static void apply_row(rub_reader *r, const row *one, rub_study_information *info) {
    rub_entry entry = {.record = &rub_record_information,
                       .at = one->key,
                       .map = one->map,
                       .name = one->key->scalar};
    rub_entry_read(r, &entry, info);
    snprintf(info->name, sizeof info->name, "%.47s", entry.name);
    info->from_q = one->from_q;
    info->line = one->key->line;
    info->known = rub_reader_strdup(r, rub_yaml_get(one->map, "known")->scalar);
    const rub_yaml_node *set = rub_entry_get(&entry, "set"), *key = rub_entry_get(&entry, "key");
    rub_yaml_node *value = rub_yaml_get(one->map, "value");
    size_t n = set && set->kind == RUB_YAML_MAPPING ? set->n : 0;
    info->set = rub_reader_new(r, n + 1, sizeof *info->set);
    info->key = rub_reader_new(r, n + 1, sizeof *info->key);
    info->factor = rub_reader_new(r, n + 1, sizeof *info->factor);
    if (r->out_of_memory)
        return;
    if (set && (set->kind != RUB_YAML_MAPPING || n > MAX_SET))
        rub_reader_report(r, set, RUB_INVALID, "'set' is %s, expected at most %d values by key",
                          n > MAX_SET ? "longer" : rub_yaml_kind_text(set), MAX_SET);
    for (size_t i = 0; i < n && n <= MAX_SET && !r->out_of_memory; i++)
        set_one(r, info, set->key[i], set->key[i]->scalar, set->value[i]);
    bool has_key = key && key->kind == RUB_YAML_SCALAR,
         has_value = value && !rub_yaml_is_null(value);
    if (has_key != has_value)
        rub_reader_report(r, has_key ? key : one->key, RUB_INVALID,
                          "information '%.60s' has 'key' or 'value' alone, expected both",
                          entry.name);
    else if (has_key && !r->out_of_memory)
        set_one(r, info, key, key->scalar, value);
}

static void apply_rows(rub_reader *r, const rub_yaml_node *map) {
    rub_study_replay *replay = &r->study->replay;
    row *rows = rub_reader_take(r, map->n * sizeof *rows);
    size_t n = 0;
    for (size_t i = 0; i < map->n && rows; i++) {
        row one = {.key = map->key[i], .map = map->value[i], .index = i};
        if (is_row(r, one.key, one.map, "information") && date_row(r, &one) &&
            one.from_q <= r->known_q)
            rows[n++] = one;
    }
    replay->information = rub_reader_new(r, n, sizeof *replay->information);
    if (r->out_of_memory)
        return;
    qsort(rows, n, sizeof *rows, by_date);
    for (size_t i = 0; i < n && !r->out_of_memory; i++)
        apply_row(r, &rows[i], &replay->information[replay->n_information++]);
}

void rub_reader_information(rub_reader *r) {
    rub_yaml_node *replay = rub_yaml_get(r->root, "replay");
    if (!replay || replay->kind != RUB_YAML_MAPPING) {
        rub_reader_report(r, replay ? replay : r->root, RUB_INVALID,
                          "the study has %s 'replay' section, expected one with 'until' and "
                          "'outcome'",
                          replay ? "no keys in its" : "no");
        return;
    }
    rub_reader_expand(r, replay, "information", "name", "information");
    rub_reader_expand(r, replay, "reported", "name", "reported");
    rub_reader_expand(r, replay, "outcome", "quarter", "outcome");
    const rub_yaml_node *map = rub_yaml_get(replay, "information");
    if (map && !rub_yaml_is_null(map) && !r->findings->n_error &&
        is_named_rows(r, map, "information"))
        apply_rows(r, map);
}

/* A new site may only be talked about until it is known: so no path pays for it or signs it before. */
static void check_new_site(rub_reader *r, const rub_study_information *info, const char *name) {
    int32_t i = rub_reader_find(r, RUB_SECTION_SITES, name);
    const rub_study_site *site = i >= 0 ? &r->study->site[i] : NULL;
    char q[16];
    if (site && (site->stage != RUB_STAGE_TALKS || site->close_q < info->from_q))
        rub_reader_report(r, r->section[RUB_SECTION_SITES]->key[i], RUB_INVALID,
                          "site '%s' comes in by row '%s', expected it in talks that close in %s "
                          "or later",
                          site->name, info->name, rub_quarter_text(info->from_q, q, sizeof q));
}

/* ---- what was reported ----------------------------------------------------------------------- */

static void read_reported(rub_reader *r, const rub_yaml_node *map) {
    static const rub_field by_name = {
        .key = "site", .kind = RUB_FIELD_REF, .min = RUB_SECTION_SITES};
    rub_study_replay *replay = &r->study->replay;
    replay->reported = rub_reader_new(r, map->n, sizeof *replay->reported);
    for (size_t i = 0; i < map->n && !r->out_of_memory; i++) {
        rub_entry entry = {.record = &rub_record_reported,
                           .at = map->key[i],
                           .map = map->value[i],
                           .name = map->key[i]->scalar};
        if (!is_row(r, entry.at, entry.map, "reported row"))
            continue;
        rub_study_reported *one = &replay->reported[replay->n_reported++];
        rub_entry_read(r, &entry, one);
        snprintf(one->name, sizeof one->name, "%.47s", entry.name);
        one->line = entry.at->line;
        one->site = -1;
        const rub_yaml_node *site = rub_entry_get(&entry, "site");
        if (site && (site->kind != RUB_YAML_SCALAR || strcmp(site->scalar, "all") != 0))
            rub_field_read(r, &by_name, site, 0, &one->site);
    }
}

/* ---- the outcome ----------------------------------------------------------------------------- */

static void read_outcome(rub_reader *r, const rub_yaml_node *map) {
    rub_study_replay *replay = &r->study->replay;
    char expected[16];
    replay->outcome = rub_reader_new(r, map->n, sizeof *replay->outcome);
    for (size_t i = 0; i < map->n && !r->out_of_memory; i++) {
        rub_entry entry = {.record = &rub_record_outcome,
                           .at = map->key[i],
                           .map = map->value[i],
                           .name = map->key[i]->scalar};
        int32_t q, want = r->study->start_q + (int32_t)i;
        rub_quarter_text(want, expected, sizeof expected);
        if (!rub_quarter_parse(entry.name, &q) || q != want) {
            rub_reader_report(r, entry.at, RUB_INVALID,
                              "the outcome has '%.40s', expected %s here: quarter after quarter "
                              "from the study's start",
                              entry.name, expected);
            return;
        }
        if (!is_row(r, entry.at, entry.map, "outcome"))
            return;
        rub_study_outcome *one = &replay->outcome[replay->n_outcome++];
        rub_entry_read(r, &entry, one);
        one->line = entry.at->line;
        if (!rub_reader_after(r, &entry, i ? &replay->outcome[i - 1].as : NULL, &one->as))
            return;
    }
}

static void check_span(rub_reader *r, const rub_yaml_node *at) {
    const rub_study *study = r->study;
    int32_t last = study->start_q + study->replay.n_outcome - 1;
    char a[16], b[16];
    if (study->replay.until_q < study->start_q)
        rub_reader_report(r, at, RUB_INVALID, "'until' is %s, expected a quarter from %s on",
                          rub_quarter_text(study->replay.until_q, a, sizeof a),
                          rub_quarter_text(study->start_q, b, sizeof b));
    else if (last < study->replay.until_q)
        rub_reader_report(r, at, RUB_INVALID, "'until' is %s but the outcome ends with %s",
                          rub_quarter_text(study->replay.until_q, a, sizeof a),
                          rub_quarter_text(last, b, sizeof b));
    if (study->replay.n_outcome > 60)
        rub_reader_report(r, at, RUB_INVALID, "the outcome has %d quarters, expected at most 60",
                          study->replay.n_outcome);
}

void rub_reader_replay(rub_reader *r) {
    const rub_yaml_node *map = rub_yaml_get(r->root, "replay");
    rub_entry entry = {
        .record = &rub_record_replay, .at = rub_yaml_key(r->root, "replay"), .map = map};
    rub_entry_read(r, &entry, &r->study->replay);
    const rub_yaml_node *reported = rub_entry_get(&entry, "reported");
    const rub_yaml_node *outcome = rub_entry_get(&entry, "outcome");
    size_t before = r->findings->n_error;
    if (r->known_q != RUB_NEVER || r->study->tree.n_node > 0) {
        if (r->study->tree.n_node > 0)
            rub_reader_report(r, rub_yaml_key(r->root, "tree"), RUB_INVALID,
                              "a replay plans anew each quarter, expected 'branching', not a tree "
                              "given in full");
        return;
    }
    for (int32_t i = 0; i < r->study->replay.n_information; i++) {
        const rub_study_information *info = &r->study->replay.information[i];
        for (int32_t k = 0; k < info->n_set; k++)
            if (strncmp(info->key[k], "sites.", 6) == 0)
                check_new_site(r, info, info->key[k] + 6);
    }
    if (reported && is_named_rows(r, reported, "reported"))
        read_reported(r, reported);
    if (outcome && is_named_rows(r, outcome, "outcome"))
        read_outcome(r, outcome);
    if (r->findings->n_error == before)
        check_span(r, rub_entry_at(&entry, "until"));
}
