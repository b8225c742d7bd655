/* Small tables of text, as spreadsheets export them: a header, quoted cells (RFC 4180: "" for a
 * quote, line ends inside quotes), ',' ';' or tab between cells (whichever the header has most of),
 * LF or CRLF, an optional UTF-8 byte order mark. Lines without any text and lines that begin with
 * '#' are skipped. Spaces around unquoted cells are dropped. For the millions of rows of traces
 * there is trace/scan.h. */
#ifndef RUB_BASE_CSVTABLE_H
#define RUB_BASE_CSVTABLE_H

#include "rubato/base.h"

#define RUB_CSV_MAX_COLUMNS 1024
#define RUB_CSV_MAX_CELLS 4000000

typedef struct rub_csv_cell {
    const char *text;     /* NUL-terminated, "" when empty */
    int32_t line, column; /* where it begins in the file, from 1; column in bytes */
} rub_csv_cell;

typedef struct rub_csv_table {
    size_t n_row, n_column;
    rub_csv_cell *header; /* (n_column) */
    rub_csv_cell *cell;   /* (n_row, n_column) */
    void *memory;
} rub_csv_table;

/* name appears in errors. Errors: RUB_PARSE with line and column (a quote that does not end, text
 * after one, a row with another number of cells than the header, a NUL byte, limits, no header). */
rub_status rub_csv_table_read(const char *name, const char *bytes, size_t n, rub_csv_table *out,
                              rub_error *err);
void rub_csv_table_clear(rub_csv_table *table);

#endif
