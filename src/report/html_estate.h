/* The brief's pages on the estate. Each adds nothing when the document lacks its part. */
#ifndef RUB_REPORT_HTML_ESTATE_H
#define RUB_REPORT_HTML_ESTATE_H

#include "base/text.h"

#include <jansson.h>

void rub_html_since(rub_text *out, const json_t *document);
void rub_html_estate(rub_text *out, const json_t *document);
void rub_html_rules(rub_text *out, const json_t *document);
void rub_html_nearby(rub_text *out, const json_t *document);

#endif
