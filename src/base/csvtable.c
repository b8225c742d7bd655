/* One pass over a copy of the bytes; cells are unquoted in place and point into it. */
#include "base/csvtable.h"

#include "base/array.h"

#include <stdlib.h>
#include <string.h>

typedef struct scanner {
    const char *name;
    char *p, *end;    /* end points at a NUL */
    char *line_start; /* of the line that p is in */
    int32_t line;
    char separator;
    rub_csv_cell *cells; /* header first, then rows */
    size_t n_cell, cap_cell;
    size_t n_column; /* 0 until the header was read */
    rub_error *err;
} scanner;

static rub_status fail(const scanner *s, const char *at, const char *format, size_t a, size_t b) {
    return rub_error_at(s->err, RUB_PARSE, s->name, s->line, at - s->line_start + 1, format, a, b);
}

static rub_status push(scanner *s, char *text, int32_t line, int32_t column) {
    rub_csv_cell cell = {text, line, column};
    if (s->n_cell == RUB_CSV_MAX_CELLS)
        return fail(s, s->p, "more than %zu cells, expected fewer", (size_t)RUB_CSV_MAX_CELLS, 0);
    if (RUB_ARRAY_PUSH(s->cells, s->n_cell, s->cap_cell, cell) != RUB_OK)
        return rub_error_at(s->err, RUB_NO_MEMORY, s->name, 0, 0, "out of memory");
    return RUB_OK;
}

/* p stands at the opening quote; unquotes in place and leaves p after the closing one. */
static rub_status quoted(scanner *s) {
    char *from = s->p, *out = from + 1, *start = out, *line_start = s->line_start;
    int32_t line = s->line, column = (int32_t)(from - line_start) + 1;
    for (s->p = out;; s->p++) {
        if (s->p == s->end) {
            s->line = line;
            s->line_start = line_start;
            return fail(s, from, "a quoted cell begins here and does not end, expected '\"'", 0, 0);
        }
        if (*s->p == '"' && s->p[1] != '"')
            break;
        if (*s->p == '"')
            s->p++;
        if (*s->p == '\n') {
            s->line++;
            s->line_start = s->p + 1;
        }
        *out++ = *s->p;
    }
    s->p++;
    s->p += strspn(s->p, " ");
    bool ends = s->p == s->end || *s->p == s->separator || *s->p == '\n' || *s->p == '\r';
    if (!ends)
        return fail(s, s->p, "text after a quoted cell, expected a separator", 0, 0);
    *out = '\0';
    return push(s, start, line, column);
}

/* An unquoted cell: up to the separator or the line's end; its NUL is set by the caller. */
static rub_status plain(scanner *s, char **trim_end) {
    char *start = s->p;
    while (s->p < s->end && *s->p != s->separator && *s->p != '\n' && *s->p != '\r')
        s->p++;
    char *last = s->p;
    while (last > start && (last[-1] == ' ' || last[-1] == '\t'))
        last--;
    *trim_end = last;
    return push(s, start, s->line, (int32_t)(start - s->line_start) + 1);
}

/* Reads the line at p; cells are added. p is left at the next line. */
static rub_status read_line(scanner *s) {
    for (;;) {
        while (*s->p == ' ' && s->separator != ' ')
            s->p++;
        char *trim = NULL;
        RUB_TRY(*s->p == '"' ? quoted(s) : plain(s, &trim));
        char stop = s->p == s->end ? '\0' : *s->p;
        if (trim)
            *trim = '\0';
        if (stop == s->separator && stop) {
            s->p++;
            continue;
        }
        if (stop == '\r')
            s->p++;
        if (s->p < s->end && (stop == '\n' || *s->p == '\n')) {
            s->p++;
            s->line++;
            s->line_start = s->p;
        } else if (stop == '\r') { /* old line ends: CR alone */
            s->line++;
            s->line_start = s->p;
        }
        return RUB_OK;
    }
}

static bool is_skipped(const scanner *s) {
    const char *p = s->p;
    if (*p == '#')
        return true;
    while (*p == ' ' || *p == '\t' || *p == s->separator)
        p++;
    return p == s->end || *p == '\n' || *p == '\r';
}

static void skip_line(scanner *s) {
    while (s->p < s->end && *s->p != '\n')
        s->p++;
    s->p += s->p < s->end;
    s->line++;
    s->line_start = s->p;
}

/* The header's most frequent candidate; a comma when there is none. */
static char find_separator(const char *p) {
    static const char candidates[] = ",;\t";
    size_t count[3] = {0}, best = 0;
    for (bool inside = false; *p && *p != '\n'; p++) {
        const char *c = strchr(candidates, *p);
        if (*p == '"')
            inside = !inside;
        else if (c && !inside)
            count[c - candidates]++;
    }
    for (size_t i = 1; i < 3; i++)
        if (count[i] > count[best])
            best = i;
    return candidates[best];
}

static rub_status read_rows(scanner *s) {
    while (s->p < s->end) {
        if (s->n_column == 0)
            s->separator = find_separator(s->p);
        if (is_skipped(s)) {
            skip_line(s);
            continue;
        }
        size_t before = s->n_cell;
        int32_t line = s->line;
        RUB_TRY(read_line(s));
        size_t n = s->n_cell - before;
        if (n > RUB_CSV_MAX_COLUMNS)
            return rub_error_at(s->err, RUB_PARSE, s->name, line, 1,
                                "row has %zu cells, expected at most %d", n, RUB_CSV_MAX_COLUMNS);
        if (s->n_column && n != s->n_column)
            return rub_error_at(s->err, RUB_PARSE, s->name, line, 1,
                                "row has %zu cell%s, expected %zu as in the header", n,
                                n == 1 ? "" : "s", s->n_column);
        s->n_column = n;
    }
    return s->n_column ? RUB_OK
                       : rub_error_at(s->err, RUB_PARSE, s->name, 1, 1,
                                      "found nothing, expected a header line");
}

rub_status rub_csv_table_read(const char *name, const char *bytes, size_t n, rub_csv_table *out,
                              rub_error *err) {
    if (n >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        bytes += 3;
        n -= 3;
    }
    char *copy = RUB_NEW(char, n + 2);
    if (!copy)
        return rub_error_at(err, RUB_NO_MEMORY, name, 0, 0, "out of memory");
    if (n > 0)
        memcpy(copy, bytes, n);
    scanner s = {.name = name,
                 .p = copy,
                 .end = copy + n,
                 .line_start = copy,
                 .line = 1,
                 .separator = ',',
                 .err = err};
    rub_status status = RUB_OK;
    if (n > 0 && memchr(copy, 0, n))
        status = rub_error_at(err, RUB_PARSE, name, 0, 0, "the table holds a NUL byte");
    if (status == RUB_OK)
        status = read_rows(&s);
    if (status != RUB_OK) {
        free(copy);
        free(s.cells);
        return status;
    }
    *out = (rub_csv_table){.n_column = s.n_column,
                           .n_row = s.n_cell / s.n_column - 1,
                           .header = s.cells,
                           .cell = s.cells + s.n_column,
                           .memory = copy};
    return RUB_OK;
}

void rub_csv_table_clear(rub_csv_table *table) {
    free(table->header);
    free(table->memory);
    *table = (rub_csv_table){0};
}
