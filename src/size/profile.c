/* Profile: requests/s by the hour from a small table. */
#include "size/size.h"

#include "base/array.h"
#include "base/csvtable.h"
#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_HOURS 100000

static rub_status number(const char *path, const rub_csv_cell *c, double least, double *out,
                         rub_error *err) {
    char *end;
    double x = strtod(c->text, &end);
    if (end == c->text || *end || !(x >= least && x < 1e12))
        return rub_error_set(err, RUB_INVALID,
                             "%s:%d:%d: found '%.40s', expected a number of %g or "
                             "more",
                             path, c->line, c->column, c->text, least);
    *out = x;
    return RUB_OK;
}

static int find(const rub_csv_table *t, const char *name) {
    for (size_t i = 0; i < t->n_column; i++)
        if (!strcmp(t->header[i].text, name))
            return (int)i;
    return -1;
}

static rub_status fill(const char *path, const rub_csv_table *t, double **out, size_t *n,
                       rub_error *err) {
    int time = find(t, "t_s"), rate = find(t, "req_per_s");
    double unit = 3600.0, last = -1.0;
    if (time < 0) {
        time = find(t, "hour");
        unit = 1.0;
    }
    if (time < 0 || rate < 0)
        return rub_error_set(err, RUB_INVALID,
                             "%s: found %zu columns, expected t_s or hour, and req_per_s", path,
                             t->n_column);
    for (size_t i = 0; i < t->n_row; i++) {
        const rub_csv_cell *at = &t->cell[i * t->n_column + (size_t)time];
        double when = 0.0, value = 0.0;
        RUB_TRY(number(path, at, 0.0, &when, err));
        RUB_TRY(number(path, &t->cell[i * t->n_column + (size_t)rate], 1e-9, &value, err));
        double hour = floor(when / unit);
        if (hour < (double)*n - 1 || hour > (double)*n || hour >= MOST_HOURS || when <= last)
            return rub_error_set(err, RUB_INVALID,
                                 "%s:%d:%d: found %s, expected times that go up, with a row in "
                                 "each hour",
                                 path, at->line, at->column, at->text);
        last = when;
        if (hour == (double)*n) {
            double *more = realloc(*out, (*n + 1) * sizeof **out);
            if (!more)
                return rub_error_set(err, RUB_NO_MEMORY, "out of memory for hours");
            *out = more;
            more[(*n)++] = 0.0;
        }
        (*out)[*n - 1] = fmax((*out)[*n - 1], value);
    }
    return *n > 0 ? RUB_OK
                  : rub_error_set(err, RUB_INVALID, "%s: found no rows, expected one in each hour",
                                  path);
}

rub_status rub_size_profile_read(const char *path, double **out, size_t *n, rub_error *err) {
    rub_csv_table t = {0};
    rub_file file;
    *out = NULL;
    *n = 0;
    RUB_TRY(rub_file_open(path, &file, err));
    rub_status status = rub_csv_table_read(path, file.data, file.n, &t, err);
    if (status == RUB_OK)
        status = fill(path, &t, out, n, err);
    rub_csv_table_clear(&t);
    rub_file_close(&file);
    if (status != RUB_OK) {
        free(*out);
        *out = NULL;
        *n = 0;
    }
    return status;
}
