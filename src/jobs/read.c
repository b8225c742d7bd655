/* Jobs of a CSV, such as Microsoft's Philly trace (t_s, duration_s, gpus, vc). */
#include "rubato/jobs.h"

#include "base/array.h"
#include "base/csvtable.h"
#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct columns {
    size_t submit, work, accel, stage, priority; /* SIZE_MAX: absent */
} columns;

static size_t column(const rub_csv_table *t, const char *a, const char *b) {
    for (size_t c = 0; c < t->n_column; c++)
        if (!strcasecmp(t->header[c].text, a) || !strcasecmp(t->header[c].text, b))
            return c;
    return SIZE_MAX;
}

static rub_status wrong(const char *path, const rub_csv_cell *cell, const char *expected,
                        rub_error *err) {
    rub_error_set(err, RUB_PARSE, "%s:%d:%d: found '%.40s', expected %s", path, cell->line,
                  cell->column, cell->text, expected);
    return RUB_PARSE;
}

static rub_status number(const char *path, const rub_csv_cell *cell, double least, double *out,
                         rub_error *err) {
    char *end;
    *out = strtod(cell->text, &end);
    if (end == cell->text || *end || !(*out >= least) || !(*out < 1e15))
        return wrong(path, cell, least > 0 ? "a number above 0" : "a number of 0 or more", err);
    return RUB_OK;
}

static rub_status stage_of(const char *path, const rub_csv_cell *cell, rub_stage *out,
                           rub_error *err) {
    for (int k = 0; k < RUB_STAGE_INFERENCE; k++)
        if (!strcasecmp(cell->text, rub_stage_name((rub_stage)k))) {
            *out = (rub_stage)k;
            return RUB_OK;
        }
    return wrong(path, cell, "pre-training, post-training or evaluation", err);
}

static rub_status read_row(const char *path, const rub_csv_cell *row, const columns *c,
                           int64_t medium, int64_t large, rub_job *job, rub_error *err) {
    double accel = 0.0, priority = 0.0;
    RUB_TRY(number(path, &row[c->submit], 0.0, &job->submit_s, err));
    RUB_TRY(number(path, &row[c->work], 1e-9, &job->work_s, err));
    RUB_TRY(number(path, &row[c->accel], 1.0, &accel, err));
    if (accel != floor(accel))
        return wrong(path, &row[c->accel], "a whole number of accelerators", err);
    job->n_accel = (int64_t)accel;
    job->stage = job->n_accel >= large    ? RUB_STAGE_PRETRAINING
                 : job->n_accel >= medium ? RUB_STAGE_POSTTRAINING
                                          : RUB_STAGE_EVALUATION;
    if (c->stage != SIZE_MAX)
        RUB_TRY(stage_of(path, &row[c->stage], &job->stage, err));
    if (c->priority != SIZE_MAX)
        RUB_TRY(number(path, &row[c->priority], 0.0, &priority, err));
    job->priority = (int32_t)fmin(priority, 1e9);
    return RUB_OK;
}

typedef struct keyed {
    rub_job job;
    size_t row;
} keyed;

static int earlier(const void *a, const void *b) {
    const keyed *x = a, *y = b;
    if (x->job.submit_s != y->job.submit_s)
        return x->job.submit_s < y->job.submit_s ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static rub_status read_rows(const char *path, const rub_csv_table *t, int64_t medium, int64_t large,
                            rub_job *out, rub_error *err) {
    columns c = {column(t, "submit_s", "t_s"), column(t, "duration_s", "work_s"),
                 column(t, "gpus", "accelerators"), column(t, "stage", "stage"),
                 column(t, "priority", "priority")};
    if (c.submit == SIZE_MAX || c.work == SIZE_MAX || c.accel == SIZE_MAX)
        return rub_error_set(err, RUB_PARSE,
                             "%s:1:1: expected columns submit_s (or t_s), duration_s, gpus", path);
    keyed *order = RUB_NEW(keyed, t->n_row);
    rub_status status = order ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    for (size_t r = 0; r < t->n_row && status == RUB_OK; r++) {
        order[r].row = r;
        status = read_row(path, t->cell + r * t->n_column, &c, medium, large, &order[r].job, err);
    }
    if (status == RUB_OK && t->n_row > 0)
        qsort(order, t->n_row, sizeof *order, earlier);
    for (size_t r = 0; r < t->n_row && status == RUB_OK; r++)
        out[r] = order[r].job;
    free(order);
    return status;
}

rub_status rub_jobs_read(const char *path, int64_t medium, int64_t large, rub_job **out, size_t *n,
                         rub_error *err) {
    rub_file file;
    rub_csv_table t = {0};
    RUB_TRY(rub_file_open(path, &file, err));
    rub_status status = rub_csv_table_read(path, file.data, file.n, &t, err);
    rub_job *job = status == RUB_OK ? RUB_NEW(rub_job, t.n_row + 1) : NULL;
    if (status == RUB_OK && !job)
        status = rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu jobs", t.n_row);
    if (status == RUB_OK)
        status = read_rows(path, &t, medium, large, job, err);
    if (status == RUB_OK && t.n_row == 0)
        status = rub_error_set(err, RUB_PARSE, "%s: expected a job or more, found none", path);
    if (status == RUB_OK) {
        *out = job;
        *n = t.n_row;
    } else
        free(job);
    rub_csv_table_clear(&t);
    rub_file_close(&file);
    return status;
}
