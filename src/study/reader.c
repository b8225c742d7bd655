/* The reader's memory, findings, files and names. */
#include "study/reader.h"

#include "base/array.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_TABLE_BYTES (64u << 20)

/* ---- findings ------------------------------------------------------------------------------- */

static bool same(const rub_error *a, const rub_error *b) {
    return a->line == b->line && a->column == b->column && !strcmp(a->file, b->file) &&
           !strcmp(a->message, b->message);
}

/* One mistake in site_defaults or behind an alias is found once for each use: kept once. */
void rub_reader_add(rub_reader *r, const rub_error *error, bool warning) {
    rub_study_findings *f = r->findings;
    size_t *n = warning ? &f->n_warning : &f->n_error;
    rub_error *list = warning ? f->warning : f->error;
    size_t kept = *n < RUB_STUDY_MAX_FINDINGS ? *n : RUB_STUDY_MAX_FINDINGS;
    for (size_t i = 0; i < kept; i++)
        if (same(&list[i], error))
            return;
    if (kept < RUB_STUDY_MAX_FINDINGS)
        list[kept] = *error;
    ++*n;
}

static rub_error error_at(const rub_yaml_node *node, rub_status code) {
    rub_error error = {.code = code, .line = node->line, .column = node->column};
    /* a value of --what-if is the whole text: no line in it to point at */
    if (strncmp(node->file, "--what-if ", 10) == 0)
        error.line = error.column = 0;
    snprintf(error.file, sizeof error.file, "%s", node->file);
    return error;
}

void rub_reader_report(rub_reader *r, const rub_yaml_node *node, rub_status code,
                       const char *format, ...) {
    rub_error error = error_at(node, code);
    va_list args;
    va_start(args, format);
    vsnprintf(error.message, sizeof error.message, format, args);
    va_end(args);
    rub_reader_add(r, &error, false);
}

void rub_reader_warn(rub_reader *r, const rub_yaml_node *node, const char *format, ...) {
    rub_error error = error_at(node, RUB_OK);
    va_list args;
    va_start(args, format);
    vsnprintf(error.message, sizeof error.message, format, args);
    va_end(args);
    rub_reader_add(r, &error, true);
}

static rub_unknown *find_unknown(const rub_reader *r, rub_section section, const char *name) {
    for (size_t i = 0; i < r->n_unknown; i++)
        if (r->unknown[i].section == section && strcmp(r->unknown[i].name, name) == 0)
            return &r->unknown[i];
    return NULL;
}

void rub_reader_unknown(rub_reader *r, rub_section section, const rub_yaml_node *node,
                        const char *format, ...) {
    rub_unknown *before = find_unknown(r, section, node->scalar);
    rub_error error = error_at(node, RUB_NOT_FOUND);
    if (before) { /* site_defaults and aliases come here again and again for one place */
        before->n_place += before->line != error.line || before->column != error.column;
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(error.message, sizeof error.message, format, args);
    va_end(args);
    size_t n = r->findings->n_error;
    rub_reader_add(r, &error, false);
    rub_unknown one = {section, node->scalar, SIZE_MAX, 1, error.line, error.column};
    if (r->findings->n_error > n && n < RUB_STUDY_MAX_FINDINGS)
        one.finding = n;
    if (RUB_ARRAY_PUSH(r->unknown, r->n_unknown, r->cap_unknown, one) != RUB_OK)
        r->out_of_memory = true;
}

void rub_reader_count_unknown(rub_reader *r) {
    for (size_t i = 0; i < r->n_unknown; i++) {
        const rub_unknown *u = &r->unknown[i];
        if (u->n_place < 2 || u->finding == SIZE_MAX)
            continue;
        char *message = r->findings->error[u->finding].message;
        size_t n = strlen(message), size = sizeof r->findings->error[0].message;
        snprintf(message + n, size - n, " (%zu more place%s the same)", u->n_place - 1,
                 u->n_place > 2 ? "s name" : " names");
    }
}

void rub_reader_place(rub_reader *r, const rub_yaml_node *node, rub_study_place *out) {
    rub_error at = error_at(node, RUB_OK);
    *out = (rub_study_place){rub_reader_strdup(r, at.file), (int32_t)at.line, (int32_t)at.column};
}

/* ---- memory --------------------------------------------------------------------------------- */

void *rub_reader_take(rub_reader *r, size_t n) {
    void *memory = rub_calloc(n, 1);
    if (!memory || RUB_ARRAY_PUSH(r->memory, r->n_memory, r->cap_memory, memory) != RUB_OK) {
        free(memory);
        r->out_of_memory = true;
        return NULL;
    }
    return memory;
}

char *rub_reader_take_text(rub_reader *r, const char *text, size_t n) {
    char *copy = rub_reader_take(r, n + 1);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

void *rub_reader_new(rub_reader *r, size_t n, size_t size) {
    void *memory = rub_calloc(n, size);
    if (!memory)
        r->out_of_memory = true;
    return memory;
}

char *rub_reader_strdup(rub_reader *r, const char *text) {
    char *copy = rub_strdup(text);
    if (!copy)
        r->out_of_memory = true;
    return copy;
}

/* ---- files ---------------------------------------------------------------------------------- */

char *rub_reader_beside(rub_reader *r, const char *path) {
    const char *folder = path[0] == '/' ? "" : r->folder;
    size_t n = strlen(folder) + strlen(path) + 1;
    char *joined = rub_reader_new(r, n, 1);
    if (joined)
        snprintf(joined, n, "%s%s", folder, path);
    return joined;
}

void rub_reader_note_input(rub_reader *r, const char *path, const void *bytes, size_t n) {
    rub_study *study = r->study;
    rub_study_input *grown =
        realloc(study->input, ((size_t)study->n_input + 1) * sizeof *study->input);
    if (!grown) {
        r->out_of_memory = true;
        return;
    }
    study->input = grown;
    char *copy = rub_reader_strdup(r, path);
    if (copy)
        study->input[study->n_input++] =
            (rub_study_input){.path = copy, .hash = rub_hash_bytes(bytes, n)};
}

/* A pipe or device could go on for ever: tables are regular files. */
static const char *load(rub_reader *r, const rub_yaml_node *at, const char *path, size_t *n) {
    struct stat st;
    rub_file file;
    rub_error err = {0};
    if (stat(path, &st) != 0) {
        rub_reader_report(r, at, RUB_IO, "cannot open '%.200s': %s", path, strerror(errno));
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > MAX_TABLE_BYTES) {
        rub_reader_report(r, at, RUB_IO, "'%.200s' is not a file of at most 64 MB", path);
        return NULL;
    }
    if (rub_file_open(path, &file, &err) != RUB_OK) {
        rub_reader_add(r, &err, false);
        return NULL;
    }
    char *bytes = rub_reader_take_text(r, file.data, file.n);
    *n = file.n;
    rub_reader_note_input(r, path, file.data, file.n);
    rub_file_close(&file);
    return bytes;
}

const char *rub_reader_load(rub_reader *r, const rub_yaml_node *at, const char *path, size_t *n) {
    char *full = rub_reader_beside(r, path);
    const char *bytes = full ? load(r, at, full, n) : NULL;
    free(full);
    return bytes;
}

/* ---- nodes ---------------------------------------------------------------------------------- */

rub_yaml_node *rub_reader_scalar(rub_reader *r, const char *file, int32_t line, int32_t column,
                                 const char *text) {
    rub_yaml_node *node = rub_reader_take(r, sizeof *node);
    if (node)
        *node = (rub_yaml_node){.kind = RUB_YAML_SCALAR,
                                .line = line,
                                .column = column,
                                .file = file,
                                .scalar = text,
                                .n_nodes = 1};
    return node;
}

rub_yaml_node *rub_reader_mapping(rub_reader *r, const rub_yaml_node *like, size_t n) {
    rub_yaml_node *node = rub_reader_take(r, sizeof *node);
    rub_yaml_node **keys = rub_reader_take(r, n * sizeof(rub_yaml_node *));
    rub_yaml_node **values = rub_reader_take(r, n * sizeof(rub_yaml_node *));
    if (!node || !keys || !values)
        return NULL;
    *node = (rub_yaml_node){.kind = RUB_YAML_MAPPING,
                            .line = like->line,
                            .column = like->column,
                            .file = like->file,
                            .key = keys,
                            .value = values,
                            .n_nodes = 1};
    return node;
}

/* ---- names ---------------------------------------------------------------------------------- */

static const struct {
    const char *key, *entry;
} sections[RUB_N_SECTION] = {
    [RUB_SECTION_MODELS] = {"models", "model"},
    [RUB_SECTION_WORKLOADS] = {"workloads", "workload"},
    [RUB_SECTION_ACCELERATORS] = {"accelerators", "accelerator"},
    [RUB_SECTION_REGIONS] = {"regions", "region"},
    [RUB_SECTION_DEMAND] = {"demand", "demand"},
    [RUB_SECTION_SITES] = {"sites", "site"},
    [RUB_SECTION_PARTNERS] = {"partners", "partner"},
    [RUB_SECTION_MARKET] = {"market", "market"},
};

const char *rub_section_key(rub_section section) { return sections[section].key; }
const char *rub_section_entry(rub_section section) { return sections[section].entry; }

int32_t rub_reader_find(const rub_reader *r, rub_section section, const char *name) {
    const rub_yaml_node *map = r->section[section];
    for (size_t i = 0; map && i < map->n; i++)
        if (strcmp(map->key[i]->scalar, name) == 0)
            return (int32_t)i;
    return -1;
}

#define MAX_NEAR 512 /* names looked at for a suggestion */

const char *rub_reader_near(const rub_yaml_node *map, const char *name) {
    const char *names[MAX_NEAR];
    size_t n = 0;
    for (size_t i = 0; map && map->kind == RUB_YAML_MAPPING && i < map->n && n < MAX_NEAR; i++)
        names[n++] = map->key[i]->scalar;
    return rub_text_nearest(name, names, n);
}
