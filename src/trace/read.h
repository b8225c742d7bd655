/* Reading: rows as they come from a format's scanner, and the mapping of a CSV's columns. */
#ifndef RUB_TRACE_READ_H
#define RUB_TRACE_READ_H

#include "rubato/trace.h"

#include "trace/scan.h"

/* One row: time as seconds (numbers) or nanoseconds since 1970 (dates). */
typedef struct rub_row {
    double time_s;
    int64_t time_ns;
    int64_t input_tok, output_tok;
} rub_row;

/* Which columns of a CSV hold what, counted from 0. */
typedef struct rub_mapping {
    rub_trace_format format;
    int arrival, input, output;
    bool date;     /* arrival is a date and time */
    double unit_s; /* seconds in one unit of a numeric arrival */
    char arrival_name[64], input_name[64], output_name[64];
} rub_mapping;

/* What is wrong with a row: where, and the words of the message. */
typedef struct rub_row_error {
    const char *at;
    char text[200];
} rub_row_error;

/* Finds the mapping from the header line (and columns, when given) and the first data line. */
rub_status rub_mapping_find(const char *name, const char *columns, const char *header,
                            const char *header_end, rub_cell first_line, rub_mapping *out,
                            rub_error *err);

/* Scans one CSV line or one JSON line. false: *error says what is wrong. */
bool rub_row_csv(const rub_mapping *mapping, const char *line, const char *end, rub_row *out,
                 rub_row_error *error);
bool rub_row_jsonl(const char *line, const char *end, rub_row *out, rub_row_error *error);

#endif
