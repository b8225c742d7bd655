/* Series: a CSV of time and value to equally spaced values. */
#include "rubato/forecast.h"

#include "base/array.h"
#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text;
    double days;
    int32_t season;
} steps[] = {{"index", 1.0, 1}, {"hour", 1.0 / 24.0, 24}, {"day", 1.0, 7},
             {"week", 7.0, 52}, {"month", 30.44, 12},     {"quarter", 91.31, 4}};

const char *rub_step_text(rub_step_kind step) { return steps[step].text; }

void rub_series_clear(rub_series *s) {
    free(s->value);
    *s = (rub_series){0};
}

typedef struct point {
    double time, value;
} point;

static int earlier(const void *a, const void *b) {
    double x = ((const point *)a)->time, y = ((const point *)b)->time;
    return (x > y) - (x < y);
}

/* Days since 1970-01-01 of a civil date (Hinnant). */
static double day_of(int y, int m, int d) {
    y -= m <= 2;
    int era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097.0 + yoe * 365.0 + yoe / 4 - yoe / 100 + doy - 719468.0;
}

/* A date or a number; *dated tells which. */
static bool parse_time(const char *text, double *out, bool *dated) {
    int y, m = 1, d = 1, h = 0, mi = 0, n = 0;
    *dated = true;
    if (sscanf(text, "%4d-Q%1d%n", &y, &m, &n) == 2 && !text[n] && m >= 1 && m <= 4) {
        *out = day_of(y, 3 * m - 2, 1);
        return true;
    }
    m = 1, n = 0;
    int fields = sscanf(text, "%4d-%2d%n-%2d%n%*1[ T]%2d:%2d", &y, &m, &n, &d, &n, &h, &mi);
    if (fields >= 2 && n >= 6 && m >= 1 && m <= 12 && d >= 1 && d <= 31) {
        *out = day_of(y, m, d) + h / 24.0 + mi / 1440.0;
        return true;
    }
    char *end;
    *dated = false;
    *out = strtod(text, &end);
    return end != text && !*end && isfinite(*out);
}

/* Cell number k (from 0) of a line into buf, quotes and blanks taken off. */
static bool cell(const char *line, const char *end, int k, char *buf, size_t size) {
    for (; k > 0 && line < end; line++)
        k -= *line == ',';
    const char *stop = memchr(line, ',', (size_t)(end - line));
    stop = stop ? stop : end;
    while (line < stop && (*line == ' ' || *line == '"'))
        line++;
    while (stop > line && (stop[-1] == ' ' || stop[-1] == '"' || stop[-1] == '\r'))
        stop--;
    size_t n = (size_t)(stop - line);
    if (k > 0 || n == 0 || n >= size)
        return false;
    memcpy(buf, line, n);
    buf[n] = '\0';
    return true;
}

static int column_named(const char *line, const char *end, const char *name, int otherwise) {
    char buf[128];
    if (!name)
        return otherwise;
    for (int k = 0; k < 256 && cell(line, end, k, buf, sizeof buf); k++)
        if (!strcmp(buf, name))
            return k;
    return -1;
}

static rub_status read_points(const char *name, const char *bytes, size_t n,
                              const char *time_column, const char *value_column, point **out,
                              size_t *count, bool *dated, rub_error *err) {
    const char *p = bytes, *end = bytes + n;
    point *points = NULL;
    size_t n_point = 0, cap = 0;
    int time_at = 0, value_at = 1;
    rub_status status = RUB_OK;
    for (int64_t line = 1; p < end && status == RUB_OK; line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop ? stop : end;
        char time[64], value[64];
        point one;
        if (line == 1) {
            time_at = column_named(p, stop, time_column, 0);
            value_at = column_named(p, stop, value_column, 1);
            if (time_at < 0 || value_at < 0)
                status = rub_error_at(err, RUB_PARSE, name, 1, 1, "has no column '%.60s'",
                                      time_at < 0 ? time_column : value_column);
        } else if (stop > p && *p != '\r') {
            char *tail;
            if (!cell(p, stop, time_at, time, sizeof time) || !parse_time(time, &one.time, dated))
                status = rub_error_at(
                    err, RUB_PARSE, name, line, 1,
                    "column %d: expected a date (2024-03-05, 2024-Q3) or a number", time_at + 1);
            else if (!cell(p, stop, value_at, value, sizeof value) ||
                     (one.value = strtod(value, &tail),
                      *tail || tail == value || !isfinite(one.value)))
                status = rub_error_at(err, RUB_PARSE, name, line, 1, "column %d: expected a number",
                                      value_at + 1);
            else if (RUB_ARRAY_PUSH(points, n_point, cap, one) != RUB_OK)
                status = rub_error_set(err, RUB_NO_MEMORY, "out of memory");
        }
        p = stop < end ? stop + 1 : end;
    }
    if (status == RUB_OK && n_point < 2)
        status = rub_error_at(err, RUB_INVALID, name, 0, 0, "has %zu values, expected 2 or more",
                              n_point);
    if (status != RUB_OK) {
        free(points);
        return status;
    }
    *out = points;
    *count = n_point;
    return RUB_OK;
}

static rub_step_kind step_of(const point *points, size_t n, bool dated) {
    double *gap = RUB_NEW(double, n), median = 1.0;
    if (!dated || !gap) {
        free(gap);
        return RUB_STEP_INDEX;
    }
    point *sorted = RUB_NEW(point, n);
    for (size_t i = 1; i < n && sorted; i++)
        sorted[i - 1].time = points[i].time - points[i - 1].time;
    if (sorted) {
        qsort(sorted, n - 1, sizeof *sorted, earlier);
        median = sorted[(n - 1) / 2].time;
    }
    free(sorted);
    free(gap);
    return median < 0.5  ? RUB_STEP_HOUR
           : median < 4  ? RUB_STEP_DAY
           : median < 15 ? RUB_STEP_WEEK
           : median < 60 ? RUB_STEP_MONTH
                         : RUB_STEP_QUARTER;
}

/* Places points on the grid of the step; holes take the value before. */
static rub_status grid(const char *name, const point *points, size_t n, bool dated, rub_series *out,
                       rub_error *err) {
    rub_series s = {.step = step_of(points, n, dated), .first_day = points[0].time};
    double length = steps[s.step].days;
    double span = (points[n - 1].time - points[0].time) / length;
    if (!(span < 1e6))
        return rub_error_at(err, RUB_INVALID, name, 0, 0, "spans %.3g steps, expected at most 1e6",
                            span);
    s.n = (int32_t)lround(span) + 1;
    s.season = steps[s.step].season;
    s.season = s.n >= 2 * s.season + 2 ? s.season : 1;
    s.value = RUB_NEW(double, s.n);
    uint8_t *known = RUB_NEW(uint8_t, s.n);
    if (!s.value || !known) {
        free(known);
        rub_series_clear(&s);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        int32_t at = (int32_t)lround((points[i].time - points[0].time) / length);
        at = at < s.n ? at : s.n - 1;
        s.value[at] = points[i].value;
        known[at] = 1;
    }
    for (int32_t i = 1; i < s.n; i++)
        if (!known[i]) {
            s.value[i] = s.value[i - 1];
            s.n_filled++;
        }
    free(known);
    *out = s;
    return RUB_OK;
}

rub_status rub_series_read_memory(const char *name, const char *bytes, size_t n,
                                  const char *time_column, const char *value_column,
                                  rub_series *out, rub_error *err) {
    point *points = NULL;
    size_t count = 0;
    bool dated = false;
    RUB_TRY(read_points(name, bytes, n, time_column, value_column, &points, &count, &dated, err));
    qsort(points, count, sizeof *points, earlier);
    rub_status status = grid(name, points, count, dated, out, err);
    free(points);
    return status;
}

rub_status rub_series_read(const char *path, const char *time_column, const char *value_column,
                           rub_series *out, rub_error *err) {
    rub_file file = {0};
    RUB_TRY(rub_file_open(path, &file, err));
    rub_status status =
        rub_series_read_memory(path, file.data, file.n, time_column, value_column, out, err);
    rub_file_close(&file);
    return status;
}
