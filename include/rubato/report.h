/* Report: a plan document as text for a terminal, as one self-contained HTML page, as CSV tables.
 *
 * Everything is drawn from the JSON document (docs/plan-json.md), so what a person reads and what a
 * machine reads cannot differ. A key that is missing is left out of the report, never invented. */
#ifndef RUBATO_REPORT_H
#define RUBATO_REPORT_H

#include "rubato/base.h"

#include <jansson.h>

/* Reads and checks a plan document. Errors: RUB_IO, RUB_PARSE with line and column, RUB_INVALID when
 * it is not a plan document of a schema that this version knows. *out is a new reference. */
rub_status rub_report_read(const char *path, json_t **out, rub_error *err);

/* The same from memory; name is used in messages. */
rub_status rub_report_read_memory(const char *name, const char *bytes, size_t n, json_t **out,
                                  rub_error *err);

/* Writers: *out is malloc'ed, NUL-terminated. Errors: RUB_NO_MEMORY. */
rub_status rub_report_terminal(const json_t *document, bool colour, char **out, rub_error *err);
/* The same of a replay's document (docs/replay.md). */
rub_status rub_report_replay(const json_t *document, bool colour, char **out, rub_error *err);
rub_status rub_report_html(const json_t *document, char **out, rub_error *err);

/* Tables by name: "sites", "ahead", "supply", "capex", "npv", "policies", "estate", "oversupply",
 * "utilisation", "returns", "commitments", "rules", "since", "nearby", "stability", "regret",
 * "yields", "sources".
 * A table of a part that the document lacks has its heading only. */
extern const char *const rub_report_tables[]; /* NULL-terminated */
rub_status rub_report_csv(const json_t *document, const char *table, char **out, rub_error *err);

#endif
