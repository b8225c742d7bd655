/* Columns from CSV, and what both formats share. */
#include "base/columns.h"

#include "base/array.h"
#include "base/csvtable.h"
#include "base/file.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct block {
    struct block *next;
} block;

void *rub_columns_keep(rub_columns *c, size_t n, size_t size) {
    if (size > 0 && n > (SIZE_MAX - 64) / size)
        return NULL;
    block *b = rub_calloc(1, sizeof(max_align_t) + n * size);
    if (!b)
        return NULL;
    b->next = c->memory;
    c->memory = b;
    return (char *)b + sizeof(max_align_t);
}

void rub_columns_clear(rub_columns *c) {
    for (block *b = c->memory, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *c = (rub_columns){0};
}

const rub_column *rub_columns_find(const rub_columns *c, const char *name) {
    for (size_t i = 0; i < c->n_column; i++)
        if (strcmp(c->column[i].name, name) == 0)
            return &c->column[i];
    return NULL;
}

rub_status rub_columns_error(const rub_columns *c, size_t row, rub_error *err, rub_status code,
                             const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (c->line)
        return rub_error_at(err, code, c->name, c->line[row], 0, "%s", text);
    return rub_error_at(err, code, c->name, 0, 0, "row %zu: %s", row + 1, text);
}

static bool number_of(const char *text, double *out) {
    char *end = NULL;
    if (*text == '\0') {
        *out = NAN;
        return true;
    }
    *out = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*out);
}

/* A column of numbers when all its cells are numbers or empty and one is not empty. */
static rub_status fill_column(const rub_csv_table *t, size_t k, rub_columns *out) {
    rub_column *c = &out->column[k];
    bool any = false;
    c->number = rub_columns_keep(out, t->n_row, sizeof(double));
    if (!c->number)
        return RUB_NO_MEMORY;
    for (size_t i = 0; i < t->n_row && !c->is_text; i++) {
        const char *text = t->cell[i * t->n_column + k].text;
        c->is_text = !number_of(text, &c->number[i]);
        any |= *text != '\0';
    }
    c->is_text |= !any;
    if (!c->is_text)
        return RUB_OK;
    c->number = NULL;
    c->text = rub_columns_keep(out, t->n_row, sizeof(char *));
    if (!c->text)
        return RUB_NO_MEMORY;
    for (size_t i = 0; i < t->n_row; i++) {
        const char *text = t->cell[i * t->n_column + k].text;
        char *copy = rub_columns_keep(out, strlen(text) + 1, 1);
        if (!copy)
            return RUB_NO_MEMORY;
        c->text[i] = strcpy(copy, text);
    }
    return RUB_OK;
}

static rub_status from_csv(const rub_csv_table *t, rub_columns *out) {
    out->n_row = t->n_row;
    out->n_column = t->n_column;
    out->column = rub_columns_keep(out, t->n_column, sizeof *out->column);
    out->line = rub_columns_keep(out, t->n_row, sizeof *out->line);
    if (!out->column || !out->line)
        return RUB_NO_MEMORY;
    for (size_t i = 0; i < t->n_row; i++)
        out->line[i] = t->cell[i * t->n_column].line;
    for (size_t k = 0; k < t->n_column; k++) {
        char *copy = rub_columns_keep(out, strlen(t->header[k].text) + 1, 1);
        if (!copy)
            return RUB_NO_MEMORY;
        out->column[k].name = strcpy(copy, t->header[k].text);
        RUB_TRY(fill_column(t, k, out));
    }
    return RUB_OK;
}

rub_status rub_columns_read_memory(const char *name, const char *bytes, size_t n, rub_columns *out,
                                   rub_error *err) {
    rub_columns c = {0};
    snprintf(c.name, sizeof c.name, "%s", name);
    rub_status status;
    if (n >= 4 && memcmp(bytes, "PAR1", 4) == 0) {
        status = rub_parquet_read(name, bytes, n, &c, err);
    } else {
        rub_csv_table table = {0};
        RUB_TRY(rub_csv_table_read(name, bytes, n, &table, err));
        status = from_csv(&table, &c);
        rub_csv_table_clear(&table);
        if (status != RUB_OK)
            rub_error_at(err, status, name, 0, 0, "out of memory");
    }
    if (status != RUB_OK)
        rub_columns_clear(&c);
    else
        *out = c;
    return status;
}

rub_status rub_columns_read(const char *path, rub_columns *out, rub_error *err) {
    rub_file file;
    RUB_TRY(rub_file_open(path, &file, err));
    rub_status status = rub_columns_read_memory(path, file.data, file.n, out, err);
    rub_file_close(&file);
    return status;
}
