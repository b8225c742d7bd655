/* What 'trace info' and 'trace make' share. */
#ifndef RUB_CLI_TRACE_H
#define RUB_CLI_TRACE_H

#include "cli/command.h"
#include "rubato/trace.h"

/* Span, rates, lengths and burstiness into a document; null where there is too little to tell. */
void trace_add_stats(json_t *document, const rub_trace_stats *stats);

#endif
