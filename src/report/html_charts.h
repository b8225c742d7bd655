/* The brief's charts, each a figure with a caption, drawn from the plan document. */
#ifndef RUB_REPORT_HTML_CHARTS_H
#define RUB_REPORT_HTML_CHARTS_H

#include "base/text.h"

#include <jansson.h>

void rub_chart_supply(rub_text *out, const json_t *document); /* a figure for each class, region */
void rub_chart_capex(rub_text *out, const json_t *document);  /* bars against budget */
void rub_chart_npv(rub_text *out, const json_t *document);    /* distribution over futures */
void rub_chart_schedule(rub_text *out, const json_t *document); /* what sites will probably do */

#endif
