/* Reader: one pass over the bytes into growing columns, then times are counted from the earliest
 * arrival and, where rows stand out of order, sorted stably. */
#include "trace/extra.h"

#include "base/array.h"
#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *rub_trace_format_text(rub_trace_format format) {
    static const char *const text[] = {"Azure LLM trace CSV", "BurstGPT CSV",
                                       "Vidur CSV",           "Rubato CSV",
                                       "Mooncake JSONL",      "CSV mapped by --columns"};
    return text[format];
}

rub_status rub_trace_init(rub_trace *trace, size_t n_req, rub_error *err) {
    rub_trace t = {.n_req = n_req,
                   .arrival_s = RUB_NEW(double, n_req),
                   .input_tok = RUB_NEW(int32_t, n_req),
                   .output_tok = RUB_NEW(int32_t, n_req)};
    if (!t.arrival_s || !t.input_tok || !t.output_tok) {
        rub_trace_clear(&t);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu requests", n_req);
    }
    *trace = t;
    return RUB_OK;
}

void rub_trace_clear(rub_trace *trace) {
    free(trace->arrival_s);
    free(trace->input_tok);
    free(trace->output_tok);
    free(trace->priority);
    free(trace->session);
    free(trace->tenant);
    free(trace->model);
    free(trace->adapter);
    free(trace->hashes.at);
    free(trace->hashes.hash);
    *trace = (rub_trace){0};
}

rub_trace_read_def rub_trace_read_default(void) { return (rub_trace_read_def){.time_scale = 1.0}; }

/* A read in progress. */
typedef struct reader {
    const char *name;
    const rub_trace_read_def *def;
    rub_mapping mapping;
    rub_trace trace;
    size_t cap;
    int64_t *ns; /* dates; the column arrival_s is filled from it at the end */
    rub_trace_report report;
    rub_extra extra;
} reader;

static void note(reader *r, int64_t line, const char *text) {
    if (r->report.n_issue == RUB_TRACE_MAX_ISSUE)
        return;
    r->report.issue[r->report.n_issue].line = line;
    snprintf(r->report.issue[r->report.n_issue].text, sizeof r->report.issue[0].text, "%.95s",
             text);
    r->report.n_issue++;
}

static rub_status grow(reader *r, rub_error *err) {
    size_t cap[4] = {r->cap, r->cap, r->cap, r->cap}, n = r->trace.n_req + 1;
    if (n <= r->cap)
        return RUB_OK;
    if (rub_array_reserve((void **)&r->trace.arrival_s, &cap[0], n, sizeof(double)) != RUB_OK ||
        rub_array_reserve((void **)&r->trace.input_tok, &cap[1], n, sizeof(int32_t)) != RUB_OK ||
        rub_array_reserve((void **)&r->trace.output_tok, &cap[2], n, sizeof(int32_t)) != RUB_OK ||
        (r->mapping.date &&
         rub_array_reserve((void **)&r->ns, &cap[3], n, sizeof(int64_t)) != RUB_OK))
        return rub_error_at(err, RUB_NO_MEMORY, r->name, 0, 0, "out of memory at %zu requests", n);
    r->cap = cap[0];
    return RUB_OK;
}

static rub_status take(reader *r, const rub_row *row, int64_t line, rub_error *err) {
    if (row->input_tok == 0 || row->output_tok == 0) {
        char text[96];
        snprintf(text, sizeof text, "%lld input and %lld output tokens: left out",
                 (long long)row->input_tok, (long long)row->output_tok);
        r->report.n_empty++;
        note(r, line, text);
        return RUB_OK;
    }
    RUB_TRY(grow(r, err));
    size_t i = r->trace.n_req++;
    r->trace.input_tok[i] = (int32_t)row->input_tok;
    r->trace.output_tok[i] = (int32_t)row->output_tok;
    bool back;
    if (r->mapping.date) {
        r->ns[i] = row->time_ns;
        back = i > 0 && row->time_ns < r->ns[i - 1];
    } else {
        r->trace.arrival_s[i] = row->time_s;
        back = i > 0 && row->time_s < r->trace.arrival_s[i - 1];
    }
    if (back) {
        r->report.n_out_of_order++;
        note(r, line, "arrives before the row above: sorted");
    }
    return RUB_OK;
}

/* The optional columns of the row just taken; a broken one takes the row back. */
static rub_status take_extra(reader *r, const char *line, const char *end, int64_t number,
                             rub_error *err) {
    rub_row_error bad = {0};
    rub_status status = rub_extra_row(&r->extra, &r->trace, line, end, &bad);
    if (status == RUB_PARSE && r->def->skip_bad) {
        r->trace.n_req--;
        r->report.n_bad++;
        note(r, number, bad.text);
        return RUB_OK;
    }
    if (status == RUB_PARSE)
        return rub_error_at(err, RUB_PARSE, r->name, number, (bad.at - line) + 1, "%s", bad.text);
    return status == RUB_OK ? RUB_OK
                            : rub_error_at(err, status, r->name, number, 0, "out of memory");
}

static rub_status scan_line(reader *r, const char *line, const char *end, int64_t number,
                            rub_error *err) {
    rub_row row = {0};
    rub_row_error bad;
    bool ok = r->mapping.format == RUB_TRACE_MOONCAKE
                  ? rub_row_jsonl(line, end, &row, &bad)
                  : rub_row_csv(&r->mapping, line, end, &row, &bad);
    size_t n = r->trace.n_req;
    r->report.n_row++;
    if (ok) {
        RUB_TRY(take(r, &row, number, err));
        return r->extra.any && r->trace.n_req > n ? take_extra(r, line, end, number, err) : RUB_OK;
    }
    if (!r->def->skip_bad)
        return rub_error_at(err, RUB_PARSE, r->name, number, (bad.at - line) + 1, "%s", bad.text);
    r->report.n_bad++;
    note(r, number, bad.text);
    return RUB_OK;
}

static const char *line_end(const char *p, const char *end) {
    const char *q = memchr(p, '\n', (size_t)(end - p));
    return q ? q : end;
}

static const char *trimmed(const char *line, const char *end) {
    while (end > line && (end[-1] == '\r' || end[-1] == ' '))
        end--;
    return end;
}

#define ROWS_A_REPORT 65536 /* about 5 ms of reading */

/* Rows from p on, of bytes that end at end. */
static rub_status scan_rows(reader *r, const char *bytes, const char *p, const char *end,
                            int64_t number, rub_error *err) {
    for (; p < end; number++) {
        const char *stop = line_end(p, end), *last = trimmed(p, stop);
        if (last > p)
            RUB_TRY(scan_line(r, p, last, number, err));
        if (number % ROWS_A_REPORT == 0 &&
            !rub_progress_report(r->def->progress, "reading bytes", (double)(p - bytes),
                                 (double)(end - bytes), NULL))
            return rub_error_set(err, RUB_INTERRUPTED, "interrupted");
        p = stop < end ? stop + 1 : end;
    }
    return RUB_OK;
}

static rub_status scan_all(reader *r, const char *bytes, size_t n, rub_error *err) {
    const char *p = bytes, *end = bytes + n;
    int64_t number = 1;
    if (n >= 3 && !memcmp(p, "\xef\xbb\xbf", 3))
        p += 3;
    const char *first = line_end(p, end), *first_end = trimmed(p, first);
    if (first_end == p)
        return rub_error_at(err, RUB_PARSE, r->name, 1, 1,
                            n ? "first line is blank, expected a header"
                              : "file is empty, expected a trace");
    if (*p == '{') {
        r->mapping.format = RUB_TRACE_MOONCAKE;
        rub_extra_find_jsonl(p, first_end, &r->extra, &r->trace);
    } else {
        const char *second = first < end ? first + 1 : end;
        rub_cell line2 = {second, trimmed(second, line_end(second, end))};
        RUB_TRY(rub_mapping_find(r->name, r->def->columns, p, first_end, line2, &r->mapping, err));
        rub_extra_find_csv(p, first_end, &r->extra, &r->trace);
        p = second;
        number = 2;
    }
    RUB_TRY(scan_rows(r, bytes, p, end, number, err));
    return r->trace.n_req > 0 ? RUB_OK
                              : rub_error_at(err, RUB_INVALID, r->name, 0, 0,
                                             "has no usable requests, expected at least one");
}

typedef struct keyed {
    double arrival_s;
    size_t index;
} keyed;

static int earlier(const void *a, const void *b) {
    const keyed *x = a, *y = b;
    if (x->arrival_s != y->arrival_s)
        return x->arrival_s < y->arrival_s ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static rub_status sort_extra(const reader *r, const keyed *order, rub_trace *sorted,
                             rub_error *err) {
    size_t n = r->trace.n_req, *index = r->extra.any ? RUB_NEW(size_t, n) : NULL;
    if (!r->extra.any)
        return RUB_OK;
    for (size_t i = 0; index && i < n; i++)
        index[i] = order[i].index;
    rub_status status = index ? rub_extra_reorder(&r->trace, index, n, sorted) : RUB_NO_MEMORY;
    free(index);
    return status == RUB_OK ? RUB_OK : rub_error_set(err, status, "out of memory while sorting");
}

static rub_status sort(reader *r, rub_error *err) {
    size_t n = r->trace.n_req;
    keyed *order = RUB_NEW(keyed, n);
    rub_trace sorted = {0};
    rub_status status = order ? rub_trace_init(&sorted, n, err)
                              : rub_error_set(err, RUB_NO_MEMORY, "out of memory while sorting");
    if (status == RUB_OK) {
        for (size_t i = 0; i < n; i++)
            order[i] = (keyed){r->trace.arrival_s[i], i};
        qsort(order, n, sizeof *order, earlier);
        for (size_t i = 0; i < n; i++) {
            sorted.arrival_s[i] = order[i].arrival_s;
            sorted.input_tok[i] = r->trace.input_tok[order[i].index];
            sorted.output_tok[i] = r->trace.output_tok[order[i].index];
        }
        status = sort_extra(r, order, &sorted, err);
    }
    if (status == RUB_OK) {
        rub_trace_clear(&r->trace);
        r->trace = sorted;
    } else
        rub_trace_clear(&sorted);
    free(order);
    return status;
}

/* Times from the earliest arrival; dates rounded to a microsecond; then scaled. */
static rub_status settle_times(reader *r, rub_error *err) {
    double *t = r->trace.arrival_s;
    size_t n = r->trace.n_req;
    if (r->mapping.date) {
        int64_t first = INT64_MAX;
        for (size_t i = 0; i < n; i++)
            first = r->ns[i] < first ? r->ns[i] : first;
        for (size_t i = 0; i < n; i++)
            t[i] = (double)((r->ns[i] - first + 500) / 1000) / 1e6;
    } else {
        double first = HUGE_VAL;
        for (size_t i = 0; i < n; i++)
            first = fmin(first, t[i]);
        for (size_t i = 0; i < n; i++)
            t[i] -= first;
    }
    for (size_t i = 0; i < n; i++)
        t[i] *= r->def->time_scale;
    return r->report.n_out_of_order ? sort(r, err) : RUB_OK;
}

rub_status rub_trace_read_memory(const char *name, const char *bytes, size_t n,
                                 const rub_trace_read_def *def, rub_trace *out,
                                 rub_trace_report *report, rub_error *err) {
    reader r = {.name = name, .def = def};
    rub_status status = RUB_OK;
    if (!(def->time_scale > 0) || !isfinite(def->time_scale))
        return rub_error_set(err, RUB_INVALID, "time scale is %g, expected more than 0",
                             def->time_scale);
    status = scan_all(&r, bytes, n, err);
    if (status == RUB_OK)
        status = settle_times(&r, err);
    free(r.ns);
    if (status != RUB_OK) {
        rub_trace_clear(&r.trace);
        return status;
    }
    r.report.format = r.mapping.format;
    r.report.n_bytes = n;
    *out = r.trace;
    if (report)
        *report = r.report;
    return RUB_OK;
}

rub_status rub_trace_read(const char *path, const rub_trace_read_def *def, rub_trace *out,
                          rub_trace_report *report, rub_error *err) {
    rub_file file = {0};
    RUB_TRY(rub_file_open(path, &file, err));
    rub_status status = rub_trace_read_memory(path, file.data, file.n, def, out, report, err);
    if (status == RUB_OK && report && def->hash)
        report->hash = rub_hash_bytes(file.data, file.n);
    rub_file_close(&file);
    return status;
}
