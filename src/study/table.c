/* Tables beside the study become mappings of the document: one entry a row, keys from the header.
 * So cells and YAML values meet the same rules, and --what-if reaches both. */
#include "study/reader.h"

#include "base/array.h"
#include "base/csvtable.h"
#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A column: its key ("rent"), parts of it ("demand", "chat"), and the unit of its numbers. */
typedef struct column {
    char *key;
    const char *unit; /* "" when the header has none */
    char *inner;      /* after a dot: key of a nested mapping; NULL when there is none */
} column;

/* "Option fee [$M/quarter]" -> option_fee, "$M/quarter". */
static bool read_header(rub_reader *r, const char *file, const rub_csv_cell *cell, column *out) {
    char *text = rub_reader_take_text(r, cell->text, strlen(cell->text));
    if (!text)
        return false;
    *out = (column){.key = text, .unit = ""};
    char *open = strchr(text, '[');
    if (open) {
        char *close = strchr(open, ']');
        if (!close || close[1]) {
            rub_yaml_node at = {.file = file, .line = cell->line, .column = cell->column};
            rub_reader_report(r, &at, RUB_PARSE,
                              "column '%.60s' opens a unit that does not end, expected "
                              "'name [unit]'",
                              cell->text);
            return false;
        }
        *open = *close = '\0';
        out->unit = open + 1;
    }
    char *end = text + strlen(text);
    while (end > text && end[-1] == ' ')
        *--end = '\0';
    char *dot = strchr(text, '.');
    for (char *p = text; *p && p != dot; p++)
        *p = *p == ' ' ? '_' : (char)tolower((unsigned char)*p);
    if (dot) {
        *dot = '\0';
        out->inner = dot + 1;
    }
    return true;
}

/* A bare number takes the column's unit. */
static const char *with_unit(rub_reader *r, const char *text, const char *unit) {
    const char *digits = text + (*text == '-' || *text == '+');
    if (!*unit || !*text || digits[strspn(digits, "0123456789.eE+-")])
        return text;
    size_t n = strlen(text) + strlen(unit) + 2;
    char *joined = rub_reader_take(r, n);
    if (joined)
        snprintf(joined, n, "%s %s", text, unit);
    return joined;
}

static void put(rub_yaml_node *map, rub_yaml_node *key, rub_yaml_node *value) {
    map->key[map->n] = key;
    map->value[map->n++] = value;
    map->n_nodes += value->n_nodes;
}

/* The mapping `name` in row, made when it is not there yet. */
static rub_yaml_node *nested(rub_reader *r, rub_yaml_node *row, rub_yaml_node *key, size_t room) {
    rub_yaml_node *map = rub_yaml_get(row, key->scalar);
    if (map)
        return map->kind == RUB_YAML_MAPPING ? map : NULL;
    map = rub_reader_mapping(r, key, room);
    if (map)
        put(row, key, map);
    return map;
}

static rub_yaml_node *make_row(rub_reader *r, const char *file, const column *columns,
                               size_t n_column, size_t name_column, const rub_csv_cell *cells) {
    rub_yaml_node like = {.file = file, .line = cells[0].line, .column = cells[0].column};
    rub_yaml_node *row = rub_reader_mapping(r, &like, n_column);
    for (size_t i = 0; i < n_column && row; i++) {
        const rub_csv_cell *cell = &cells[i];
        if (i == name_column || !*cell->text)
            continue;
        char *copy = rub_reader_take_text(r, cell->text, strlen(cell->text));
        const char *text = copy ? with_unit(r, copy, columns[i].unit) : NULL;
        rub_yaml_node *key = rub_reader_scalar(r, file, cell->line, cell->column, columns[i].key);
        rub_yaml_node *value =
            text ? rub_reader_scalar(r, file, cell->line, cell->column, text) : NULL;
        if (!key || !value)
            return NULL;
        rub_yaml_node *map = row;
        if (columns[i].inner) {
            map = nested(r, row, key, n_column);
            key = rub_reader_scalar(r, file, cell->line, cell->column, columns[i].inner);
        }
        if (map && key)
            put(map, key, value);
    }
    return row;
}

static bool check_header(rub_reader *r, const char *file, const rub_csv_table *t,
                         const column *columns, const char *name_column, size_t *name_at) {
    rub_yaml_node at = {.file = file, .line = t->header[0].line, .column = t->header[0].column};
    *name_at = SIZE_MAX;
    for (size_t i = 0; i < t->n_column; i++) {
        if (!columns[i].inner && strcmp(columns[i].key, name_column) == 0)
            *name_at = i;
        for (size_t j = 0; j < i; j++)
            if (strcmp(columns[i].key, columns[j].key) == 0 &&
                !columns[i].inner == !columns[j].inner &&
                (!columns[i].inner || strcmp(columns[i].inner, columns[j].inner) == 0)) {
                at.column = t->header[i].column;
                rub_reader_report(r, &at, RUB_INVALID,
                                  "column '%.60s' appears twice, expected "
                                  "once",
                                  t->header[i].text);
                return false;
            }
    }
    if (*name_at != SIZE_MAX)
        return true;
    rub_reader_report(r, &at, RUB_INVALID, "the table has no column '%s', expected one",
                      name_column);
    return false;
}

static int by_name(const void *a, const void *b) {
    const rub_csv_cell *x = *(const rub_csv_cell *const *)a, *y = *(const rub_csv_cell *const *)b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static bool check_names(rub_reader *r, const char *file, const rub_csv_table *t, size_t name_at,
                        const char *name_column) {
    const rub_csv_cell **sorted = rub_reader_take(r, t->n_row * sizeof *sorted);
    bool ok = sorted != NULL;
    for (size_t i = 0; i < t->n_row && ok; i++)
        sorted[i] = &t->cell[i * t->n_column + name_at];
    if (ok)
        qsort(sorted, t->n_row, sizeof *sorted, by_name);
    for (size_t i = 0; i < t->n_row && ok; i++) {
        const rub_csv_cell *cell = sorted[i];
        rub_yaml_node at = {.file = file, .line = cell->line, .column = cell->column};
        if (!*cell->text) {
            rub_reader_report(r, &at, RUB_INVALID, "row has no '%s', expected one", name_column);
            ok = false;
        } else if (i > 0 && strcmp(sorted[i - 1]->text, cell->text) == 0) {
            rub_reader_report(r, &at, RUB_INVALID,
                              "'%.60s' appears twice (first at line %d), expected once", cell->text,
                              sorted[i - 1]->line);
            ok = false;
        }
    }
    return ok;
}

static rub_yaml_node *make_map(rub_reader *r, const char *file, const rub_csv_table *t,
                               const char *name_column) {
    column *columns = rub_reader_take(r, t->n_column * sizeof *columns);
    rub_yaml_node like = {.file = file, .line = 1, .column = 1};
    rub_yaml_node *map = rub_reader_mapping(r, &like, t->n_row);
    size_t name_at = 0;
    for (size_t i = 0; i < t->n_column; i++)
        if (!columns || !read_header(r, file, &t->header[i], &columns[i]))
            return NULL;
    if (!map || !check_header(r, file, t, columns, name_column, &name_at) ||
        !check_names(r, file, t, name_at, name_column))
        return NULL;
    for (size_t i = 0; i < t->n_row; i++) {
        const rub_csv_cell *cells = &t->cell[i * t->n_column], *cell = &cells[name_at];
        char *name = rub_reader_take_text(r, cell->text, strlen(cell->text));
        rub_yaml_node *key =
            name ? rub_reader_scalar(r, file, cell->line, cell->column, name) : NULL;
        rub_yaml_node *row = make_row(r, file, columns, t->n_column, name_at, cells);
        if (!key || !row)
            return NULL;
        put(map, key, row);
    }
    return map;
}

rub_yaml_node *rub_reader_table(rub_reader *r, const rub_yaml_node *at, const char *path,
                                const char *name_column) {
    size_t n;
    const char *bytes = rub_reader_load(r, at, path, &n);
    if (!bytes)
        return NULL;
    /* messages show the path as it was opened */
    const char *opened = r->study->input[r->study->n_input - 1].path;
    char *file = rub_reader_take_text(r, opened, strlen(opened));
    rub_csv_table table;
    rub_error err = {0};
    if (!file)
        return NULL;
    if (rub_csv_table_read(file, bytes, n, &table, &err) != RUB_OK) {
        rub_reader_add(r, &err, false);
        return NULL;
    }
    rub_yaml_node *map = make_map(r, file, &table, name_column);
    rub_csv_table_clear(&table);
    return map;
}

/* A section that is one word names a table. */
void rub_reader_expand(rub_reader *r, rub_yaml_node *map, const char *key, const char *name_column,
                       const char *into) {
    for (size_t i = 0; map && map->kind == RUB_YAML_MAPPING && i < map->n; i++) {
        rub_yaml_node *value = map->value[i];
        if (strcmp(map->key[i]->scalar, key) != 0 || value->kind != RUB_YAML_SCALAR ||
            rub_yaml_is_null(value))
            continue;
        rub_yaml_node *table = rub_reader_table(r, value, value->scalar, name_column);
        rub_yaml_node *name =
            rub_reader_scalar(r, map->key[i]->file, map->key[i]->line, map->key[i]->column, into);
        if (!table || !name)
            continue;
        map->key[i] = name;
        map->value[i] = table;
    }
}

void rub_reader_expand_tables(rub_reader *r) {
    rub_reader_expand(r, r->root, "sites", "name", "sites");
    rub_yaml_node *tree = rub_yaml_get(r->root, "tree");
    if (tree && rub_yaml_get(tree, "nodes") && rub_yaml_get(tree, "file"))
        rub_reader_report(r, rub_yaml_key(tree, "file"), RUB_INVALID,
                          "'tree' has both 'nodes' and 'file', expected one of them");
    else
        rub_reader_expand(r, tree, "file", "node", "nodes");
}
