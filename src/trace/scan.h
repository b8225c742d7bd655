/* Scanning of cells: integers, decimal numbers, dates. No locale, no allocation. */
#ifndef RUB_TRACE_SCAN_H
#define RUB_TRACE_SCAN_H

#include "rubato/base.h"

/* A cell of a line: [from, to). */
typedef struct rub_cell {
    const char *from, *to;
} rub_cell;

/* The cell that starts at p on a line that ends at end; quotes are taken off. Returns the place
 * after its comma, or NULL when the line has ended. A quote that does not close takes the rest. */
const char *rub_scan_cell(const char *p, const char *end, rub_cell *out);

/* Whole number, also written "374.0"; false when it is anything else. Saturates at +-9e18. */
bool rub_scan_integer(rub_cell cell, int64_t *out);

/* Decimal number with optional fraction and exponent; correctly rounded; false when not a number.
 */
bool rub_scan_number(rub_cell cell, double *out);

/* Years that a trace may have. Nanoseconds in 64 bits end in 2262, and so must differences. */
#define RUB_SCAN_FIRST_YEAR 1970
#define RUB_SCAN_LAST_YEAR 2199
#define RUB_SCAN_ABSURD_DATE INT64_MIN

/* "2023-11-16 18:15:46.6805900", "2023-11-16T18:15:46Z", with +hh:mm: nanoseconds since 1970.
 * RUB_SCAN_ABSURD_DATE, still true, when it is a date of a year out of range. */
bool rub_scan_date(rub_cell cell, int64_t *ns);

/* The same without the zone: returns the place after the seconds' fraction, NULL: not a date. */
const char *rub_scan_date_part(const char *p, const char *end, int64_t *ns);

#endif
