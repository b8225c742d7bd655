/* Tables of measured operators (one file a table, LIBRARY-VERSION.NAME.parquet or .csv, the columns of
 * ai-dynamo/aiconfigurator): which family and variant each row is, and its shape. */
#ifndef RUB_PERF_OPTABLE_H
#define RUB_PERF_OPTABLE_H

#include "perf/formfit.h"

/* Samples of one family, variant and library. */
typedef struct rub_sample_set {
    rub_family family;
    char variant[32];
    char library[16];
    char source[96]; /* file name */
    rub_sample *sample;
    size_t n, cap;
} rub_sample_set;

typedef struct rub_optable {
    rub_sample_set *set; /* in the order of their first row; later files replace earlier ones of the
                            same library, family and variant */
    size_t n, cap;
    int64_t n_row, n_unknown; /* rows read; of them with formats or operators that have no family */
} rub_optable;

/* Reads every table of a folder, in the order of names. Files with other names are skipped.
 * Errors: RUB_IO (no folder, no table in it), RUB_PARSE, RUB_INVALID with file and line. */
rub_status rub_optable_read(const char *folder, rub_optable *out, rub_error *err);
void rub_optable_clear(rub_optable *table);

const rub_sample_set *rub_optable_find(const rub_optable *table, const char *library,
                                       rub_family family, const char *variant);

#endif
