/* Where figures come from: the sources section, what an override makes of it, and how many of the
 * figures given are covered. */
#include "study/fields.h"

#include "base/array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SOURCES 2000
#define MAX_WORK 20000000 /* comparisons while counting figures */

static const char *const statuses[] = {"public", "measured", "calibrated", "derived", "assumed"};

static rub_study_source *new_source(rub_reader *r) {
    rub_study *study = r->study;
    rub_study_source *grown =
        realloc(study->source, ((size_t)study->n_source + 1) * sizeof *study->source);
    if (!grown) {
        r->out_of_memory = true;
        return NULL;
    }
    study->source = grown;
    study->source[study->n_source] = (rub_study_source){0};
    return &study->source[study->n_source++];
}

static void read_source(rub_reader *r, const rub_yaml_node *key, const rub_yaml_node *map) {
    static const rub_field status = {
        "status", RUB_FIELD_CHOICE, 0, "public|measured|calibrated|derived|assumed", NULL, 0, 0, "",
        ""};
    rub_entry entry = {.record = &rub_record_source, .at = key, .map = map, .name = key->scalar};
    int32_t index = RUB_LEN(statuses) - 1;
    if (map->kind != RUB_YAML_MAPPING) {
        rub_reader_report(r, map, RUB_INVALID,
                          "source '%.60s' is %s, expected status, source and date", key->scalar,
                          rub_yaml_kind_text(map));
        return;
    }
    bool there = rub_path_exists(r->root, key->scalar);
    if (!there && r->findings->n_error)
        return; /* a name mistyped where it is defined is told already; its sources follow from it */
    if (!there) {
        rub_reader_report(r, key, RUB_NOT_FOUND,
                          "source for '%.80s', but the study has nothing there, expected the path "
                          "of a key such as 'budget.FY2025'",
                          key->scalar);
        return;
    }
    rub_study_source *source = new_source(r);
    if (!source)
        return;
    source->line = key->line;
    source->key = rub_reader_strdup(r, key->scalar);
    rub_entry_read(r, &entry, source);
    const rub_yaml_node *value = rub_entry_get(&entry, "status");
    if (value)
        rub_field_read(r, &status, value, 0, &index);
    snprintf(source->status, sizeof source->status, "%s", statuses[index]);
}

static bool leads_below(const char *key, const char *path) {
    size_t n = strlen(path);
    return strncmp(key, path, n) == 0 && (key[n] == '\0' || key[n] == '.');
}

/* A figure set by --what-if is assumed, whatever the file's figure was. */
static void note_override(rub_reader *r, const char *override_text) {
    rub_yaml_node at = {.file = "--what-if", .line = 1, .column = 1};
    rub_study *study = r->study;
    size_t n = strcspn(override_text, "=");
    char *key = rub_reader_take_text(r, override_text, n);
    const char *path = key ? rub_path_in_full(r, &at, key) : NULL;
    if (!path)
        return;
    int32_t kept = 0;
    for (int32_t i = 0; i < study->n_source; i++) {
        rub_study_source *s = &study->source[i];
        if (s->key && leads_below(s->key, path)) {
            free(s->key);
            free(s->text);
            free(s->date);
        } else
            study->source[kept++] = *s;
    }
    study->n_source = kept;
    rub_study_source *source = new_source(r);
    if (!source)
        return;
    size_t size = strlen(override_text) + 16;
    source->key = rub_reader_strdup(r, path);
    source->text = rub_reader_new(r, size, 1);
    if (source->text)
        snprintf(source->text, size, "--what-if %s", override_text);
    snprintf(source->status, sizeof source->status, "assumed");
}

/* ---- counting ------------------------------------------------------------------------------- */

/* Sources that still fit on the way down; rest is what is left of each key. */
typedef struct walk {
    const char **rest; /* a stack of pointers: this level's are [first, first + n) */
    size_t n, cap;
    size_t work;
    int32_t n_figure, n_sourced;
    bool failed;
} walk;

static void count(walk *w, const rub_yaml_node *node, size_t first, size_t n, bool covered,
                  int depth);

/* The sources of [first, first + n) that go on through `name` are pushed. */
static void descend(walk *w, const rub_yaml_node *child, const char *name, size_t first, size_t n,
                    bool covered, int depth) {
    size_t begin = w->n;
    for (size_t i = 0; i < n && !w->failed; i++) {
        const char *rest = w->rest[first + i];
        size_t length = rest[0] == '*' ? 1 : strlen(name);
        w->work++;
        if (rest[0] != '*' && strncmp(rest, name, length) != 0)
            continue;
        if (rest[length] == '\0')
            covered = true;
        else if (rest[length] == '.') {
            if (w->n == w->cap)
                w->failed = rub_array_reserve((void **)&w->rest, &w->cap, w->n + 1,
                                              sizeof *w->rest) != RUB_OK;
            if (!w->failed)
                w->rest[w->n++] = rest + length + 1;
        }
    }
    count(w, child, begin, w->n - begin, covered, depth + 1);
    w->n = begin;
}

static void count(walk *w, const rub_yaml_node *node, size_t first, size_t n, bool covered,
                  int depth) {
    char number[24];
    if (w->failed || w->work++ > MAX_WORK || depth > RUB_YAML_MAX_DEPTH)
        return;
    if (node->kind == RUB_YAML_SCALAR) {
        w->n_figure += !rub_yaml_is_null(node);
        w->n_sourced += covered && !rub_yaml_is_null(node);
        return;
    }
    for (size_t i = 0; i < node->n; i++) {
        snprintf(number, sizeof number, "%zu", i);
        descend(w, node->value[i], node->key ? node->key[i]->scalar : number, first, n, covered,
                depth);
    }
}

const char *rub_study_status_text(int32_t status) {
    return status >= 0 && status < (int32_t)RUB_LEN(statuses) ? statuses[status] : "assumed";
}

/* study.name and the like are no figures, nor are the sources themselves; rows of a replay say each for
 * itself where it comes from. */
static bool is_counted(const char *section) {
    return strcmp(section, "sources") != 0 && strcmp(section, "study") != 0 &&
           strcmp(section, "replay") != 0;
}

static void count_figures(rub_reader *r) {
    rub_study *study = r->study;
    walk w = {0};
    for (int32_t i = 0; i < study->n_source && !w.failed; i++)
        if (study->source[i].key && strcmp(study->source[i].status, "assumed") != 0)
            w.failed = RUB_ARRAY_PUSH(w.rest, w.n, w.cap, study->source[i].key) != RUB_OK;
    size_t n = w.n;
    for (size_t i = 0; i < r->root->n; i++)
        if (is_counted(r->root->key[i]->scalar))
            descend(&w, r->root->value[i], r->root->key[i]->scalar, 0, n, false, 0);
    r->out_of_memory = r->out_of_memory || w.failed;
    free(w.rest);
    study->n_figure = w.n_figure;
    study->n_figure_sourced = w.n_sourced;
}

void rub_reader_sources(rub_reader *r, const char *const *overrides, size_t n) {
    const rub_yaml_node *map = rub_yaml_get(r->root, "sources");
    bool given = map && !rub_yaml_is_null(map);
    if (given && (map->kind != RUB_YAML_MAPPING || map->n > MAX_SOURCES)) {
        rub_reader_report(r, map, RUB_INVALID, "'sources' is %s, expected at most %d keys",
                          map->kind == RUB_YAML_MAPPING ? "longer" : rub_yaml_kind_text(map),
                          MAX_SOURCES);
        return;
    }
    for (size_t i = 0; given && i < map->n && !r->out_of_memory; i++)
        read_source(r, map->key[i], map->value[i]);
    for (size_t i = 0; i < n && !r->out_of_memory; i++)
        note_override(r, overrides[i]);
    if (!r->out_of_memory && !r->findings->n_error)
        count_figures(r);
}
