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
    int64_t line;
} point;

static int earlier(const void *a, const void *b) {
    const point *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return (x->line > y->line) - (x->line < y->line);
}

/* Days since 1970-01-01 of a civil date (Hinnant). */
static double day_of(int y, int m, int d) {
    y -= m <= 2;
    int era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097.0 + yoe * 365.0 + yoe / 4 - yoe / 100 + doy - 719468.0;
}

/* The other way (Hinnant). */
void rub_series_date(double days, int *year, int *month, int *day) {
    int z = (int)floor(days) + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int doe = z - era * 146097, yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = yoe + era * 400 + (*month <= 2);
}

static bool parse_number(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && !*end && isfinite(*out);
}

static bool day_exists(int y, int m, int d) {
    return m >= 1 && m <= 12 && d >= 1 &&
           d <= (int)(m == 12 ? 31 : day_of(y, m + 1, 1) - day_of(y, m, 1));
}

/* What may stand after a day: nothing, or a time of day with seconds and zone, which do not matter. */
static bool parse_clock(const char *text, double *days) {
    int h = 0, mi = 0, n = 0;
    *days = 0.0;
    if (!*text)
        return true;
    if ((*text != ' ' && *text != 'T') || sscanf(text + 1, "%2d:%2d%n", &h, &mi, &n) != 2 ||
        h < 0 || h > 23 || mi < 0 || mi > 59 ||
        text[1 + n + (int)strspn(text + 1 + n, "0123456789:.+-Z")])
        return false;
    *days = h / 24.0 + mi / 1440.0;
    return true;
}

/* "2024-Q3", "2024Q3", "2024 Q3" */
static bool parse_quarter(const char *text, double *out) {
    int y, q, n = 0;
    if (sscanf(text, "%4d%*[- ]Q%1d%n", &y, &q, &n) != 2 &&
        (n = 0, sscanf(text, "%4dQ%1d%n", &y, &q, &n) != 2))
        return false;
    if (n == 0 || text[n] || q < 1 || q > 4)
        return false;
    *out = day_of(y, 3 * q - 2, 1);
    return true;
}

/* "20240305": eight digits that are a date of 1970 to 2199. */
static bool parse_digits(const char *text, double *out) {
    int y, m, d, n = 0;
    if (strspn(text, "0123456789") != 8 || text[8] ||
        sscanf(text, "%4d%2d%2d%n", &y, &m, &d, &n) != 3 || y < 1970 || y > 2199 ||
        !day_exists(y, m, d))
        return false;
    *out = day_of(y, m, d);
    return true;
}

/* A date or a number; *dated tells which. digits: eight of them may be a date. */
static bool parse_time(const char *given, bool digits, double *out, bool *dated) {
    int y, m = 1, d = 1, n = 0;
    double clock;
    char text[128];
    snprintf(text, sizeof text, "%s", given);
    bool slashes = strlen(text) > 7 && text[4] == '/'; /* 2024/03/05, 2024/3/5 */
    for (int i = 4; i < 8 && slashes; i++)
        text[i] = text[i] == '/' ? '-' : text[i];
    *dated = true;
    if (parse_quarter(text, out) || (digits && parse_digits(text, out)))
        return true;
    n = 0;
    if (sscanf(text, "%4d-%2d%n", &y, &m, &n) == 2 && n >= 6 && !text[n] && day_exists(y, m, 1)) {
        *out = day_of(y, m, 1);
        return true;
    }
    n = 0;
    if (sscanf(text, "%4d-%2d-%2d%n", &y, &m, &d, &n) == 3 && n >= 8 && day_exists(y, m, d) &&
        parse_clock(text + n, &clock)) {
        *out = day_of(y, m, d) + clock;
        return true;
    }
    *dated = false;
    return parse_number(text, out);
}

/* A cell of a line, quotes and blanks taken off. */
typedef struct cell {
    char text[128];
    int64_t column; /* where it begins, from 1 */
} cell;

/* Cell number k (from 0); false when there is none, it is empty, or too long to be meant. */
static bool take_cell(const char *line, const char *end, int k, cell *out) {
    const char *p = line;
    for (; k > 0 && p < end; p++)
        k -= *p == ',';
    const char *stop = memchr(p, ',', (size_t)(end - p));
    stop = stop ? stop : end;
    while (p < stop && (*p == ' ' || *p == '"'))
        p++;
    while (stop > p && (stop[-1] == ' ' || stop[-1] == '"' || stop[-1] == '\r'))
        stop--;
    size_t n = (size_t)(stop - p);
    size_t kept = n < sizeof out->text ? n : sizeof out->text - 1;
    memcpy(out->text, p, kept);
    out->text[kept] = '\0';
    out->column = p - line + 1;
    return k == 0 && n > 0 && n < sizeof out->text && !memchr(p, '\0', n);
}

/* ---- which columns, which rows ---------------------------------------------------------------- */

#define MAX_WHERE 8

/* A read in progress. */
typedef struct reader {
    const char *name;
    const rub_series_read_def *def;
    int time_at, value_at;
    int where_at[MAX_WHERE];
    const char *where_value[MAX_WHERE];
    bool dated;
    char time_name[64], value_name[64];
    point *points;
    size_t n, cap;
} reader;

static bool takes_digits(const reader *r) { return !r->def->index && !(r->def->unit_days > 0); }

static int column_named(const char *line, const char *end, const char *name, size_t length) {
    cell c;
    int columns = 1;
    for (const char *p = line; p < end; p++)
        columns += *p == ',';
    for (int k = 0; k < columns && k < 1024; k++)
        if (take_cell(line, end, k, &c) && strlen(c.text) == length &&
            !memcmp(c.text, name, length))
            return k;
    return -1;
}

static rub_status no_column(const reader *r, const char *line, const char *end, const char *name,
                            size_t length, rub_error *err) {
    return rub_error_at(err, RUB_PARSE, r->name, 1, 1, "has no column '%.*s', expected one of %.*s",
                        (int)(length < 60 ? length : 60), name,
                        (int)(end - line < 160 ? end - line : 160), line);
}

/* A first line that already holds a time and a value is no header. */
static bool is_data(const reader *r, const char *line, const char *end) {
    cell time, value;
    double x;
    bool dated;
    return !r->def->time_column && !r->def->value_column && r->def->n_where == 0 &&
           take_cell(line, end, 0, &time) && parse_time(time.text, takes_digits(r), &x, &dated) &&
           take_cell(line, end, 1, &value) && parse_number(value.text, &x);
}

static rub_status read_header(reader *r, const char *line, const char *end, rub_error *err) {
    const rub_series_read_def *d = r->def;
    r->time_at = 0;
    r->value_at = 1;
    if (d->time_column &&
        (r->time_at = column_named(line, end, d->time_column, strlen(d->time_column))) < 0)
        return no_column(r, line, end, d->time_column, strlen(d->time_column), err);
    if (d->value_column &&
        (r->value_at = column_named(line, end, d->value_column, strlen(d->value_column))) < 0)
        return no_column(r, line, end, d->value_column, strlen(d->value_column), err);
    cell c;
    snprintf(r->time_name, sizeof r->time_name, "column %d", r->time_at + 1);
    snprintf(r->value_name, sizeof r->value_name, "column %d", r->value_at + 1);
    if (!is_data(r, line, end)) {
        if (take_cell(line, end, r->time_at, &c))
            snprintf(r->time_name, sizeof r->time_name, "%.63s", c.text);
        if (take_cell(line, end, r->value_at, &c))
            snprintf(r->value_name, sizeof r->value_name, "%.63s", c.text);
    }
    if (d->n_where > MAX_WHERE)
        return rub_error_set(err, RUB_INVALID, "--where: at most %d are possible", MAX_WHERE);
    for (size_t i = 0; i < d->n_where; i++) {
        const char *equals = strchr(d->where[i], '=');
        size_t n = equals ? (size_t)(equals - d->where[i]) : 0;
        if (n == 0)
            return rub_error_set(err, RUB_INVALID, "--where: found '%.60s', expected COLUMN=VALUE",
                                 d->where[i]);
        r->where_value[i] = equals + 1;
        if ((r->where_at[i] = column_named(line, end, d->where[i], n)) < 0)
            return no_column(r, line, end, d->where[i], n, err);
    }
    return RUB_OK;
}

static rub_status wrong(const reader *r, int64_t line, const cell *c, const char *expected,
                        rub_error *err) {
    return rub_error_at(err, RUB_PARSE, r->name, line, c->column, "found '%.40s', expected %s",
                        c->text, expected);
}

static rub_status read_row(reader *r, const char *line, const char *end, int64_t number,
                           rub_error *err) {
    point one = {.line = number};
    cell time, value, other;
    bool dated;
    for (size_t i = 0; i < r->def->n_where; i++)
        if (take_cell(line, end, r->where_at[i], &other),
            strcmp(other.text, r->where_value[i]) != 0)
            return RUB_OK;
    if (!take_cell(line, end, r->time_at, &time) ||
        !parse_time(time.text, takes_digits(r), &one.time, &dated))
        return wrong(r, number, &time, "a date (2024-03-05, 2024-03, 2024-Q3) or a number", err);
    if (r->n > 0 && dated != r->dated)
        return wrong(r, number, &time,
                     r->dated ? "a date, as in the rows above" : "a number, as in the rows above",
                     err);
    if (!take_cell(line, end, r->value_at, &value) || !parse_number(value.text, &one.value))
        return wrong(r, number, &value, "a number", err);
    if (!dated)
        one.time *= r->def->unit_days > 0 ? r->def->unit_days : 1.0;
    if (!(fabs(one.time) < 1e7 || (!dated && !(r->def->unit_days > 0) && fabs(one.time) < 1e19)))
        return wrong(r, number, &time, "a time that a calendar holds", err);
    r->dated = dated;
    return RUB_ARRAY_PUSH(r->points, r->n, r->cap, one) == RUB_OK
               ? RUB_OK
               : rub_error_set(err, RUB_NO_MEMORY, "out of memory at %zu values", r->n);
}

static rub_status read_points(reader *r, const char *bytes, size_t n, rub_error *err) {
    const char *p = bytes, *end = bytes + n;
    if (n >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
        p += 3;
    for (int64_t line = 1; p < end; line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop ? stop : end;
        const char *last = stop > p && stop[-1] == '\r' ? stop - 1 : stop;
        if (line == 1)
            RUB_TRY(read_header(r, p, last, err));
        if (last > p && (line > 1 || is_data(r, p, last)))
            RUB_TRY(read_row(r, p, last, line, err));
        p = stop < end ? stop + 1 : end;
    }
    if (r->n < 2)
        return rub_error_at(err, RUB_INVALID, r->name, 0, 0,
                            "has %zu value%s%s, expected 2 or more", r->n, r->n == 1 ? "" : "s",
                            r->def->n_where > 0 ? " that --where lets through" : "");
    return RUB_OK;
}

/* ---- on a grid ------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median distance of times that differ; 0: there are none. NAN: out of memory. */
static double median_gap(const point *points, size_t n) {
    double *gap = RUB_NEW(double, n), median = 0.0;
    size_t k = 0;
    if (!gap)
        return NAN;
    for (size_t i = 1; i < n; i++)
        if (points[i].time > points[i - 1].time)
            gap[k++] = points[i].time - points[i - 1].time;
    qsort(gap, k, sizeof *gap, ascending);
    if (k > 0)
        median = gap[k / 2];
    free(gap);
    return median;
}

static rub_step_kind step_of(double gap_days) {
    return gap_days < 0.5  ? RUB_STEP_HOUR
           : gap_days < 4  ? RUB_STEP_DAY
           : gap_days < 15 ? RUB_STEP_WEEK
           : gap_days < 60 ? RUB_STEP_MONTH
                           : RUB_STEP_QUARTER;
}

/* Distance of an index's values: the least one where the others are multiples of it, else the
 * median. */
static double index_length(const point *points, size_t n, double median) {
    double least = HUGE_VAL;
    for (size_t i = 1; i < n; i++)
        if (points[i].time > points[i - 1].time)
            least = fmin(least, points[i].time - points[i - 1].time);
    for (size_t i = 1; i < n; i++) {
        double times = (points[i].time - points[i - 1].time) / least;
        if (fabs(times - round(times)) > 1e-6)
            return median;
    }
    return isfinite(least) ? least : 1.0;
}

/* Numbers of the size of a clock's from 1990 to 2100, all of them, are that clock's. */
static const char *take_clock(reader *r) {
    static const struct {
        const char *text;
        double per_s;
    } clocks[] = {{"epoch seconds", 1},
                  {"epoch milliseconds", 1e3},
                  {"epoch microseconds", 1e6},
                  {"epoch nanoseconds", 1e9}};
    double least = r->points[0].time, most = r->points[r->n - 1].time;
    if (r->dated || !takes_digits(r))
        return NULL;
    for (size_t k = 0; k < RUB_LEN(clocks); k++)
        if (least >= 631152000 * clocks[k].per_s && most < 4102444800 * clocks[k].per_s) {
            for (size_t i = 0; i < r->n; i++)
                r->points[i].time /= 86400 * clocks[k].per_s;
            return clocks[k].text;
        }
    return NULL;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int32_t month_of(double days) {
    int y, m, d;
    rub_series_date(days, &y, &m, &d);
    return 12 * y + m - 1;
}

/* How times stand on the grid. Samples closer than half a step fill whole steps: calendar months and
 * quarters, days and weeks from midnight on, hours from the first on; others are taken to be at
 * their step, a little early or late (months are not alike). */
typedef struct raster {
    double first, length;
    bool samples;
    int32_t months; /* in a step of a calendar's; 0: length counts */
} raster;

static raster raster_of(const rub_series *s, double first, double gap) {
    raster r = {.first = first, .length = s->length};
    r.samples = s->step != RUB_STEP_INDEX && gap < 0.5 * s->length;
    if (r.samples && (s->step == RUB_STEP_MONTH || s->step == RUB_STEP_QUARTER))
        r.months = s->step == RUB_STEP_MONTH ? 1 : 3;
    else if (r.samples && s->step != RUB_STEP_HOUR)
        r.first = floor(first);
    return r;
}

static int32_t place(const raster *r, double time) {
    if (r->months)
        return month_of(time) / r->months - month_of(r->first) / r->months;
    double at = (time - r->first) / r->length;
    return (int32_t)(r->samples ? floor(at + 1e-9) : round(at));
}

/* Adds points up on the grid, or averages those of one step; holes take the value before. */
static rub_status fill(const reader *r, const raster *grid, rub_series *s, rub_error *err) {
    s->value = RUB_NEW(double, s->n);
    int32_t *count = RUB_NEW(int32_t, s->n);
    if (!s->value || !count) {
        free(count);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %d steps", s->n);
    }
    for (size_t i = 0; i < r->n; i++) {
        int32_t at = place(grid, r->points[i].time);
        s->value[at] += r->points[i].value;
        s->n_merged += count[at]++ > 0;
    }
    for (int32_t i = 0; i < s->n; i++)
        if (count[i] == 0) {
            s->value[i] = s->value[i - 1]; /* the first step is never empty */
            s->n_filled++;
        } else if (!r->def->sum)
            s->value[i] /= count[i];
    free(count);
    return RUB_OK;
}

/* Step, its length and the season of a series; the points stand in order of time. */
static rub_status define(reader *r, double *gap, rub_series *s, rub_error *err) {
    *s = (rub_series){.clock = take_clock(r)};
    bool timed = r->dated || r->def->unit_days > 0 || s->clock;
    if (isnan(*gap = median_gap(r->points, r->n)))
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    s->step = !timed ? RUB_STEP_INDEX : r->def->step ? r->def->step : step_of(*gap);
    s->first_day = r->points[0].time;
    s->calendar = timed && s->first_day >= 3652.0; /* 1980: clocks do not start earlier */
    s->length = timed ? steps[s->step].days : index_length(r->points, r->n, *gap);
    memcpy(s->time_name, r->time_name, sizeof s->time_name);
    memcpy(s->value_name, r->value_name, sizeof s->value_name);
    if (r->def->step && !timed)
        return rub_error_at(err, RUB_INVALID, r->name, 0, 0,
                            "column '%s' is a plain index, expected dates with --step (--unit says "
                            "what its numbers count)",
                            s->time_name);
    if (timed && s->length < 0.4 * *gap)
        return rub_error_at(err, RUB_INVALID, r->name, 0, 0,
                            "has a value every %.3g days, expected --step no shorter", *gap);
    double span = (r->points[r->n - 1].time - s->first_day) / s->length;
    return span < 1e6 ? RUB_OK
                      : rub_error_at(err, RUB_INVALID, r->name, 0, 0,
                                     "spans %.3g steps, expected at most 1e6%s", span,
                                     timed ? "" : " (are they times? then --unit s)");
}

static rub_status grid(reader *r, rub_series *out, rub_error *err) {
    rub_series s;
    double gap;
    RUB_TRY(define(r, &gap, &s, err));
    raster on = raster_of(&s, r->points[0].time, gap);
    s.first_day = on.first;
    s.n = place(&on, r->points[r->n - 1].time) + 1;
    if (s.n < 2)
        return rub_error_at(err, RUB_INVALID, r->name, 0, 0,
                            "has all its values in one %s, expected 2 steps or more",
                            steps[s.step].text);
    s.season = s.n >= 2 * steps[s.step].season + 2 ? steps[s.step].season : 1;
    rub_status status = fill(r, &on, &s, err);
    for (int32_t i = 0; status == RUB_OK && i < s.n; i++)
        if (!isfinite(s.value[i]))
            status = rub_error_at(err, RUB_INVALID, r->name, 0, 0,
                                  "adds up to more than a number holds");
    if (status != RUB_OK)
        rub_series_clear(&s);
    else
        *out = s;
    return status;
}

rub_status rub_series_read_memory(const char *name, const char *bytes, size_t n,
                                  const rub_series_read_def *def, rub_series *out, rub_error *err) {
    static const rub_series_read_def none = {0};
    reader r = {.name = name, .def = def ? def : &none};
    rub_status status = read_points(&r, bytes, n, err);
    if (status == RUB_OK) {
        qsort(r.points, r.n, sizeof *r.points, earlier);
        status = grid(&r, out, err);
    }
    free(r.points);
    return status;
}

rub_status rub_series_read(const char *path, const rub_series_read_def *def, rub_series *out,
                           rub_error *err) {
    rub_file file = {0};
    RUB_TRY(rub_file_open(path, &file, err));
    rub_status status = rub_series_read_memory(path, file.data, file.n, def, out, err);
    rub_file_close(&file);
    return status;
}
