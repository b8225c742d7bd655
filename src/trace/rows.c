/* Rows: which columns a CSV's header names, and what one line holds. */
#include "trace/read.h"

#include "trace/quick.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
    rub_trace_format format;
    const char *arrival, *input, *output;
} known[] = {
    {RUB_TRACE_AZURE, "TIMESTAMP", "ContextTokens", "GeneratedTokens"},
    {RUB_TRACE_BURSTGPT, "Timestamp", "Request tokens", "Response tokens"},
    {RUB_TRACE_VIDUR, "arrived_at", "num_prefill_tokens", "num_decode_tokens"},
    {RUB_TRACE_RUBATO, "arrival_s", "input_tok", "output_tok"},
};

static bool cell_is(rub_cell cell, const char *name) {
    size_t n = (size_t)(cell.to - cell.from);
    return strlen(name) == n && !strncasecmp(cell.from, name, n);
}

static int column_of(const char *header, const char *end, const char *name) {
    rub_cell cell;
    int i = 0;
    for (const char *p = header; p; i++) {
        p = rub_scan_cell(p, end, &cell);
        if (cell_is(cell, name))
            return i;
    }
    return -1;
}

/* "arrival=a,input=b,output=c,unit=ms" */
static rub_status parse_columns(const char *columns, rub_mapping *m, rub_error *err) {
    struct {
        const char *key;
        char *into;
    } part[] = {{"arrival", m->arrival_name}, {"input", m->input_name}, {"output", m->output_name}};
    char unit[8] = "s";
    for (const char *p = columns; *p;) {
        size_t n = strcspn(p, ","), key = strcspn(p, "=");
        size_t value = key < n ? n - key - 1 : 0;
        char *into = NULL;
        for (size_t i = 0; i < 3; i++)
            if (strlen(part[i].key) == key && !strncmp(p, part[i].key, key))
                into = part[i].into;
        bool is_unit = key == 4 && !strncmp(p, "unit", 4);
        if (value == 0 || value > 60 || (!into && (!is_unit || value >= sizeof unit)))
            return rub_error_set(err, RUB_INVALID,
                                 "--columns: found '%.*s', expected "
                                 "arrival=NAME,input=NAME,output=NAME[,unit=s|ms|us|ns]",
                                 (int)n, p);
        memcpy(into ? into : unit, p + key + 1, value);
        (into ? into : unit)[value] = '\0';
        p += n + (p[n] == ',');
    }
    static const struct {
        const char *name;
        double s;
    } units[] = {{"s", 1.0}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}};
    m->unit_s = 0.0;
    for (size_t i = 0; i < 4; i++)
        if (!strcmp(unit, units[i].name))
            m->unit_s = units[i].s;
    if (m->unit_s == 0.0 || !*m->arrival_name || !*m->input_name || !*m->output_name)
        return rub_error_set(err, RUB_INVALID,
                             "--columns: found '%.80s', expected all of arrival, "
                             "input and output, and unit one of s, ms, us, ns",
                             columns);
    m->format = RUB_TRACE_MAPPED;
    return RUB_OK;
}

static bool find_known(const char *header, const char *end, rub_mapping *m) {
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (column_of(header, end, known[i].arrival) >= 0 &&
            column_of(header, end, known[i].input) >= 0 &&
            column_of(header, end, known[i].output) >= 0) {
            m->format = known[i].format;
            snprintf(m->arrival_name, sizeof m->arrival_name, "%s", known[i].arrival);
            snprintf(m->input_name, sizeof m->input_name, "%s", known[i].input);
            snprintf(m->output_name, sizeof m->output_name, "%s", known[i].output);
            return true;
        }
    return false;
}

rub_status rub_mapping_find(const char *name, const char *columns, const char *header,
                            const char *header_end, rub_cell first_line, rub_mapping *out,
                            rub_error *err) {
    rub_mapping m = {.unit_s = 1.0};
    if (columns) {
        rub_status status = parse_columns(columns, &m, err);
        if (status != RUB_OK)
            return status;
    } else if (!find_known(header, header_end, &m))
        return rub_error_at(
            err, RUB_PARSE, name, 1, 1,
            "found header '%.*s', expected a known trace (Azure, BurstGPT, Mooncake, "
            "Vidur, Rubato); name its columns with --columns",
            (int)(header_end - header < 80 ? header_end - header : 80), header);
    m.arrival = column_of(header, header_end, m.arrival_name);
    m.input = column_of(header, header_end, m.input_name);
    m.output = column_of(header, header_end, m.output_name);
    const char *missing = m.arrival < 0  ? m.arrival_name
                          : m.input < 0  ? m.input_name
                          : m.output < 0 ? m.output_name
                                         : NULL;
    if (missing)
        return rub_error_at(err, RUB_PARSE, name, 1, 1, "has no column '%s', expected one of %.*s",
                            missing, (int)(header_end - header < 160 ? header_end - header : 160),
                            header);
    rub_cell cell = {0};
    int64_t ns;
    const char *p = first_line.from;
    for (int i = 0; p && i <= m.arrival; i++)
        p = rub_scan_cell(p, first_line.to, &cell);
    m.date = cell.from && rub_scan_date(cell, &ns);
    *out = m;
    return RUB_OK;
}

static bool wrong(rub_row_error *error, const char *at, const char *column, rub_cell found,
                  const char *expected) {
    error->at = at;
    if (found.from == found.to)
        snprintf(error->text, sizeof error->text, "column '%s' is absent, expected %s", column,
                 expected);
    else
        snprintf(error->text, sizeof error->text, "column '%s': found '%.*s', expected %s", column,
                 (int)(found.to - found.from < 40 ? found.to - found.from : 40), found.from,
                 expected);
    return false;
}

static bool tokens(const char *column, rub_cell cell, int64_t *out, rub_row_error *error) {
    if (!rub_scan_integer(cell, out))
        return wrong(error, cell.from, column, cell, "a whole number of tokens");
    if (*out < 0 || *out > RUB_TRACE_MAX_TOK)
        return wrong(error, cell.from, column, cell, "0 to 16777216 tokens");
    return true;
}

static bool arrival(const rub_mapping *m, rub_cell cell, rub_row *out, rub_row_error *error) {
    if (m->date)
        return (rub_scan_date(cell, &out->time_ns) && out->time_ns != RUB_SCAN_ABSURD_DATE) ||
               wrong(error, cell.from, m->arrival_name, cell,
                     "a date and time of 1970 to 2199 such as 2023-11-16 18:15:46.68");
    if (!rub_scan_number(cell, &out->time_s))
        return wrong(error, cell.from, m->arrival_name, cell, "a time in seconds");
    out->time_s *= m->unit_s;
    if (out->time_s < 0 || out->time_s > 1e11)
        return wrong(error, cell.from, m->arrival_name, cell, "a time of 0 to 1e11 seconds");
    return true;
}

/* The quick way through a row of plain cells: no quotes, no blanks, no signs, no exponents. False
 * when it is anything else; then the general way below decides, and words what is wrong. */
static bool quick_row(const rub_mapping *m, int last, const char *p, const char *end,
                      rub_row *out) {
    for (int i = 0; i <= last; i++) {
        bool ok = true;
        if (i == m->arrival && m->date) {
            p = rub_scan_date_part(p, end, &out->time_ns);
            ok = p && out->time_ns != RUB_SCAN_ABSURD_DATE;
        } else if (i == m->arrival) {
            p = rub_quick_number(p, end, &out->time_s);
            out->time_s *= m->unit_s;
            ok = out->time_s <= 1e11;
        } else if (i == m->input || i == m->output) {
            int64_t *tok = i == m->input ? &out->input_tok : &out->output_tok;
            p = rub_quick_integer(p, end, tok);
            ok = *tok <= RUB_TRACE_MAX_TOK;
        } else {
            if (p < end && *p == '"')
                return false;
            p = memchr(p, ',', (size_t)(end - p));
        }
        if (!p || !ok || (p < end && *p != ',') || (p == end && i < last))
            return false;
        p += p < end;
    }
    return true;
}

bool rub_row_csv(const rub_mapping *m, const char *line, const char *end, rub_row *out,
                 rub_row_error *error) {
    rub_cell time = {end, end}, input = {end, end}, output = {end, end}, cell;
    int last = m->arrival > m->input ? m->arrival : m->input;
    last = m->output > last ? m->output : last;
    const char *p = line;
    if (quick_row(m, last, line, end, out))
        return true;
    for (int i = 0; p && i <= last; i++) {
        p = rub_scan_cell(p, end, &cell);
        if (i == m->arrival)
            time = cell;
        else if (i == m->input)
            input = cell;
        else if (i == m->output)
            output = cell;
    }
    return arrival(m, time, out, error) && tokens(m->input_name, input, &out->input_tok, error) &&
           tokens(m->output_name, output, &out->output_tok, error);
}

/* ---- JSON lines: the three keys are looked for; the line's shape is checked by jansson when the
 * quick look does not find plain numbers. */

static bool quick_number(const char *line, const char *end, const char *key, rub_cell *out) {
    const char *p = memmem(line, (size_t)(end - line), key, strlen(key));
    if (!p)
        return false;
    p += strlen(key);
    while (p < end && *p == ' ')
        p++;
    if (p == end || *p++ != ':')
        return false;
    while (p < end && *p == ' ')
        p++;
    const char *q = p;
    while (q < end &&
           ((unsigned)(*q - '0') < 10u || *q == '.' || *q == '-' || *q == '+' || *q == 'e'))
        q++;
    *out = (rub_cell){p, q};
    return q > p && q < end && (*q == ',' || *q == '}' || *q == ' ');
}

bool rub_row_jsonl(const char *line, const char *end, rub_row *out, rub_row_error *error) {
    static const char *const keys[] = {"\"timestamp\"", "\"input_length\"", "\"output_length\""};
    rub_cell cell[3];
    if (line == end || *line != '{' || end[-1] != '}') {
        json_error_t where;
        json_t *value = json_loadb(line, (size_t)(end - line), 0, &where);
        error->at = line + (value || where.position < 0 ? 0 : where.position);
        if (error->at > end)
            error->at = end;
        snprintf(error->text, sizeof error->text, "%.120s, expected one JSON object a line",
                 value ? "not an object" : where.text);
        json_decref(value);
        return false;
    }
    for (int k = 0; k < 3; k++)
        if (!quick_number(line, end, keys[k], &cell[k])) {
            error->at = line;
            snprintf(error->text, sizeof error->text, "key %s is absent or not a number", keys[k]);
            return false;
        }
    double ms;
    if (!rub_scan_number(cell[0], &ms) || ms < 0 || ms > 1e14)
        return wrong(error, cell[0].from, "timestamp", cell[0], "a time in milliseconds");
    out->time_s = ms / 1000.0;
    return tokens("input_length", cell[1], &out->input_tok, error) &&
           tokens("output_length", cell[2], &out->output_tok, error);
}
