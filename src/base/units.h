/* Quantities with units, as people write them: "48 MW", "$140/kW-month", "18 months", "250 ms",
 * "8%/yr", "$80B", "1.2M tok/s", "30k accel", "$12M/MW", "2.50 $/accel-h".
 *
 * Grammar: [sign] [$] number [k|M|B|G|T|bn] [unit {-unit}] {/ unit {-unit}}. After a slash, units
 * joined by '-' or '*' are all below it: $/kW-month is dollars for each kW and month. A year is
 * 8,760 hours, a quarter 2,190, a month 730 (as everywhere in the planner). Case matters: MW is not
 * mW. Money is in USD. */
#ifndef RUB_BASE_UNITS_H
#define RUB_BASE_UNITS_H

#include "rubato/base.h"

enum {
    RUB_DIM_USD,
    RUB_DIM_POWER,
    RUB_DIM_TIME,
    RUB_DIM_TOKEN,
    RUB_DIM_ACCEL,
    RUB_DIM_REQUEST,
    RUB_N_DIM
};

/* scale * USD^a * W^b * s^c * ...; % is 0.01 without dimension. */
typedef struct rub_unit {
    double scale;
    int8_t power[RUB_N_DIM];
} rub_unit;

/* Parses a unit alone ("$/kW-month", "" = none). Errors: RUB_PARSE, message says which part. */
rub_status rub_unit_parse(const char *text, rub_unit *out, rub_error *err);

/* Parses a quantity into its number (k, M, B applied) and its unit: number * unit->scale is in
 * base units (USD, W, s, tokens, ...).
 * Errors: RUB_PARSE "found ..., expected ...". */
rub_status rub_quantity_split(const char *text, double *number, rub_unit *unit, rub_error *err);

/* Value of text in `unit` ("MW", "USD/MW-quarter"). A zero needs no unit; anything else with a
 * dimension does. Percent: in unit "" or "1/yr" 8% is 0.08; in "%" it is 8.
 * Errors: RUB_PARSE (not a quantity), RUB_INVALID (another dimension): "'48 h' is a time, expected
 * a power in MW". *out untouched. */
rub_status rub_quantity_parse(const char *text, const char *unit, double *out, rub_error *err);

bool rub_unit_same(const rub_unit *a, const rub_unit *b); /* same dimension, any scale */

/* "a power", "money per power and time", ...; "a plain number" without dimension. Never NULL. */
const char *rub_unit_meaning(const rub_unit *unit);

#endif
