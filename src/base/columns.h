/* Tables of measurements as columns of numbers or texts, read from a CSV file (base/csvtable.h) or
 * from a flat Parquet file: one level, columns of booleans, integers, reals or strings, plain or
 * dictionary encoding, pages uncompressed, Snappy or (when built with libzstd) Zstandard. Format:
 * parquet.apache.org/docs/file-format, read 2026-11. */
#ifndef RUB_BASE_COLUMNS_H
#define RUB_BASE_COLUMNS_H

#include "rubato/base.h"

typedef struct rub_column {
    const char *name;
    bool is_text;
    double *number;    /* NaN when absent (n_row); NULL for text */
    const char **text; /* "" when absent (n_row); NULL for numbers; equal texts share a pointer in
                          Parquet's dictionaries only */
} rub_column;

typedef struct rub_columns {
    size_t n_row, n_column;
    rub_column *column;
    int32_t *line; /* of the file, for messages (n_row); NULL: Parquet, the row's number counts */
    char name[256];
    void *memory;
} rub_columns;

#define RUB_COLUMNS_MAX_ROWS 20000000
#define RUB_COLUMNS_MAX 512

/* By its first bytes: Parquet ("PAR1") or CSV, .gz or not. Errors: RUB_IO, RUB_PARSE with the place,
 * RUB_UNSUPPORTED (nested columns, other encodings or compressions), RUB_NO_MEMORY. */
rub_status rub_columns_read(const char *path, rub_columns *out, rub_error *err);
rub_status rub_columns_read_memory(const char *name, const char *bytes, size_t n, rub_columns *out,
                                   rub_error *err);
void rub_columns_clear(rub_columns *columns);

/* NULL when there is none. */
const rub_column *rub_columns_find(const rub_columns *columns, const char *name);

/* Fills *err with file and line (or row) of a row and a printf-style message; returns code. */
rub_status rub_columns_error(const rub_columns *columns, size_t row, rub_error *err,
                             rub_status code, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* ---- between columns.c, parquet.c and parquet_pages.c ---------------------------------------- */

/* A block that lives as long as the table; NULL when memory is out. */
void *rub_columns_keep(rub_columns *columns, size_t n, size_t size);

rub_status rub_parquet_read(const char *name, const char *bytes, size_t n, rub_columns *out,
                            rub_error *err);

/* A page's bytes, inflated into out[n_out]. codec as in Parquet: 0 none, 1 Snappy, 6 Zstandard. */
typedef enum rub_inflate_result {
    RUB_INFLATED,
    RUB_INFLATE_BAD,
    RUB_INFLATE_UNKNOWN
} rub_inflate_result;
rub_inflate_result rub_parquet_inflate(int codec, const uint8_t *in, size_t n, uint8_t *out,
                                       size_t n_out);

#endif
