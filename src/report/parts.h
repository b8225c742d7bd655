/* Parts shared by the writers: tolerant access to the document, money and share formats. */
#ifndef RUB_REPORT_PARTS_H
#define RUB_REPORT_PARTS_H

#include "base/text.h"

#include <jansson.h>

/* Value of a key as number or text; 0 and "" when it is not there or of another kind. */
double rub_part_number(const json_t *object, const char *key);
const char *rub_part_string(const json_t *object, const char *key);
const json_t *rub_part(const json_t *object, const char *key);

/* "12 %" */
const char *rub_part_share(double frac, char buf[32]);
/* "$3.59M": what a MW-quarter at the site is worth. */
const char *rub_part_price(const json_t *site, char buf[32]);
/* A worth that the plans found do not tell, only its bound: neither is proven best. */
bool rub_part_is_open(const json_t *worth);
/* "proceed", or "proceed 2, pause 1" when blocks part. */
void rub_part_actions(const json_t *site, rub_text *out);
/* "In the study: 2 quarters of FY2025, 2 of FY2030; the return is a year's rate." Nothing if all are whole. */
void rub_part_broken_years(const json_t *document, rub_text *out);
/* Adds s with &, <, >, " escaped. */
void rub_part_escape(rub_text *out, const char *s);

/* Iterates over an array that the document owns; nothing when it is no array. */
#define RUB_PART_EACH(array, i, item)                                                              \
    for (size_t i = 0; i < json_array_size(array); i++)                                            \
        for (const json_t *item = json_array_get(array, i), *once_##i = item; once_##i;            \
             once_##i = NULL)

/* Hands a finished text over to the caller, or frees it. */
rub_status rub_part_finish(rub_text *text, char **out, rub_error *err);

#endif
