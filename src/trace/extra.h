/* Optional columns of a trace: priority, session, tenant, adapter, model_id, and hashes of token blocks. In a CSV they
 * are columns of those names and hash_ids_N (N tokens in a block; numbers parted by spaces); in
 * Mooncake's JSON lines "hash_ids" (blocks of 512 tokens). */
#ifndef RUB_TRACE_EXTRA_H
#define RUB_TRACE_EXTRA_H

#include "trace/read.h"

typedef enum rub_extra_kind {
    RUB_EXTRA_PRIORITY,
    RUB_EXTRA_SESSION,
    RUB_EXTRA_TENANT,
    RUB_EXTRA_ADAPTER,
    RUB_EXTRA_MODEL,
    RUB_EXTRA_HASHES,
    RUB_N_EXTRA
} rub_extra_kind;

typedef struct rub_extra {
    bool any, jsonl;
    int column[RUB_N_EXTRA]; /* in the CSV, from 0; -1: absent */
    size_t cap[RUB_N_EXTRA], hash_cap;
} rub_extra;

/* What a CSV's header, or a first JSON line, offers. */
void rub_extra_find_csv(const char *header, const char *end, rub_extra *out, rub_trace *trace);
void rub_extra_find_jsonl(const char *line, const char *end, rub_extra *out, rub_trace *trace);

/* Reads those of request i, the trace's last. Errors: RUB_PARSE with *bad filled, RUB_NO_MEMORY. */
rub_status rub_extra_row(rub_extra *extra, rub_trace *trace, const char *line, const char *end,
                         rub_row_error *bad);

/* Columns of `from` in another order, or some of them: request i of `to`, which has n, was order[i]. */
rub_status rub_extra_reorder(const rub_trace *from, const size_t *order, size_t n, rub_trace *to);

#endif
