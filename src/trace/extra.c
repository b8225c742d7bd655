#include "trace/extra.h"

#include "base/array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MOONCAKE_BLOCK_TOK 512 /* kvcache-ai/Mooncake, FAST'25 traces */

static const char *const names[] = {"priority", "session", "tenant", "adapter", "model_id"};

static int32_t **column_of(rub_trace *t, int kind) {
    int32_t **const column[] = {&t->priority, &t->session, &t->tenant, &t->adapter, &t->model};
    return column[kind];
}

void rub_extra_find_csv(const char *header, const char *end, rub_extra *out, rub_trace *trace) {
    rub_cell cell;
    *out = (rub_extra){.column = {-1, -1, -1, -1, -1, -1}};
    int i = 0;
    for (const char *p = header; p; i++) {
        p = rub_scan_cell(p, end, &cell);
        size_t n = (size_t)(cell.to - cell.from);
        for (int k = 0; k < RUB_EXTRA_HASHES; k++)
            if (strlen(names[k]) == n && !strncasecmp(cell.from, names[k], n)) {
                out->column[k] = i;
                out->any = true;
            }
        int64_t block = 0;
        rub_cell number = {cell.from + 9, cell.to};
        if (n > 9 && !strncasecmp(cell.from, "hash_ids_", 9) && rub_scan_integer(number, &block) &&
            block >= 1 && block <= 1 << 20) {
            out->column[RUB_EXTRA_HASHES] = i;
            trace->hashes.block_tok = (int32_t)block;
            out->any = true;
        }
    }
}

void rub_extra_find_jsonl(const char *line, const char *end, rub_extra *out, rub_trace *trace) {
    *out = (rub_extra){.column = {-1, -1, -1, -1, -1, -1}, .jsonl = true};
    out->any = memmem(line, (size_t)(end - line), "\"hash_ids\"", 10) != NULL;
    if (out->any)
        trace->hashes.block_tok = MOONCAKE_BLOCK_TOK;
}

static rub_status wrong(rub_row_error *bad, rub_cell cell, const char *name, const char *expected) {
    bad->at = cell.from;
    snprintf(bad->text, sizeof bad->text, "column '%s': found '%.*s', expected %s", name,
             (int)(cell.to - cell.from < 40 ? cell.to - cell.from : 40), cell.from, expected);
    return RUB_PARSE;
}

static rub_status integer_column(rub_extra *x, rub_trace *t, int kind, rub_cell cell,
                                 rub_row_error *bad) {
    int64_t value = 0;
    bool negative = cell.from < cell.to && *cell.from == '-';
    rub_cell digits = {cell.from + negative, cell.to};
    if (!rub_scan_integer(digits, &value) || value < 0 || value > INT32_MAX ||
        (negative && kind != RUB_EXTRA_PRIORITY))
        return wrong(bad, cell, names[kind], "a whole number up to 2147483647");
    int32_t **data = column_of(t, kind);
    if (rub_array_reserve((void **)data, &x->cap[kind], t->n_req, sizeof **data) != RUB_OK)
        return RUB_NO_MEMORY;
    (*data)[t->n_req - 1] = (int32_t)(negative ? -value : value);
    return RUB_OK;
}

/* Numbers parted by spaces or commas. */
static rub_status hashes(rub_extra *x, rub_trace *t, rub_cell cell, rub_row_error *bad) {
    rub_trace_hashes *h = &t->hashes;
    if (rub_array_reserve((void **)&h->at, &x->cap[RUB_EXTRA_HASHES], t->n_req + 1,
                          sizeof *h->at) != RUB_OK)
        return RUB_NO_MEMORY;
    if (t->n_req == 1)
        h->at[0] = 0;
    size_t n = h->at[t->n_req - 1];
    for (const char *p = cell.from; p < cell.to;) {
        uint64_t value = 0;
        const char *from = p;
        for (; p < cell.to && (unsigned)(*p - '0') < 10u; p++)
            value = value * 10 + (uint64_t)(*p - '0');
        if (p == from || p - from > 19)
            return wrong(bad, (rub_cell){from, cell.to}, "hash_ids",
                         "numbers of up to 19 digits parted by spaces");
        RUB_TRY(RUB_ARRAY_PUSH(h->hash, n, x->hash_cap, value));
        while (p < cell.to && (*p == ' ' || *p == ','))
            p++;
    }
    h->at[t->n_req] = n;
    return RUB_OK;
}

static rub_status json_row(rub_extra *x, rub_trace *t, const char *line, const char *end,
                           rub_row_error *bad) {
    const char *p = memmem(line, (size_t)(end - line), "\"hash_ids\"", 10);
    const char *open = p ? memchr(p, '[', (size_t)(end - p)) : NULL;
    const char *close = open ? memchr(open, ']', (size_t)(end - open)) : NULL;
    if (!close) {
        bad->at = line;
        snprintf(bad->text, sizeof bad->text,
                 "key \"hash_ids\" is absent or not a list, found in the first line");
        return RUB_PARSE;
    }
    return hashes(x, t, (rub_cell){open + 1, close}, bad);
}

rub_status rub_extra_row(rub_extra *x, rub_trace *t, const char *line, const char *end,
                         rub_row_error *bad) {
    if (x->jsonl)
        return json_row(x, t, line, end, bad);
    rub_cell cell, found[RUB_N_EXTRA];
    for (int k = 0; k < RUB_N_EXTRA; k++)
        found[k] = (rub_cell){end, end};
    int i = 0;
    for (const char *p = line; p; i++) {
        p = rub_scan_cell(p, end, &cell);
        for (int k = 0; k < RUB_N_EXTRA; k++)
            if (x->column[k] == i)
                found[k] = cell;
    }
    for (int k = 0; k < RUB_EXTRA_HASHES; k++)
        if (x->column[k] >= 0)
            RUB_TRY(integer_column(x, t, k, found[k], bad));
    return x->column[RUB_EXTRA_HASHES] >= 0 ? hashes(x, t, found[RUB_EXTRA_HASHES], bad) : RUB_OK;
}

static rub_status reorder_hashes(const rub_trace *from, const size_t *order, size_t n_req,
                                 rub_trace *to) {
    const rub_trace_hashes *h = &from->hashes;
    size_t n = 0, n_hash = 0;
    for (size_t i = 0; i < n_req; i++)
        n_hash += h->at[order[i] + 1] - h->at[order[i]];
    to->hashes.block_tok = h->block_tok;
    to->hashes.at = RUB_NEW(size_t, n_req + 1);
    to->hashes.hash = RUB_NEW(uint64_t, n_hash);
    if (!to->hashes.at || !to->hashes.hash)
        return RUB_NO_MEMORY;
    for (size_t i = 0; i < n_req; i++) {
        for (size_t k = h->at[order[i]]; k < h->at[order[i] + 1]; k++)
            to->hashes.hash[n++] = h->hash[k];
        to->hashes.at[i + 1] = n;
    }
    return RUB_OK;
}

rub_status rub_extra_reorder(const rub_trace *from, const size_t *order, size_t n, rub_trace *to) {
    for (int k = 0; k < RUB_EXTRA_HASHES; k++) {
        rub_trace view = *from;
        const int32_t *old = *column_of(&view, k);
        if (!old)
            continue;
        int32_t *data = RUB_NEW(int32_t, n);
        if (!data)
            return RUB_NO_MEMORY;
        for (size_t i = 0; i < n; i++)
            data[i] = old[order[i]];
        *column_of(to, k) = data;
    }
    return from->hashes.at ? reorder_hashes(from, order, n, to) : RUB_OK;
}

rub_status rub_trace_subset(const rub_trace *from, const size_t *index, size_t n, rub_trace *out,
                            rub_error *err) {
    rub_trace t = {0};
    RUB_TRY(rub_trace_init(&t, n, err));
    for (size_t i = 0; i < n; i++) {
        t.arrival_s[i] = from->arrival_s[index[i]];
        t.input_tok[i] = from->input_tok[index[i]];
        t.output_tok[i] = from->output_tok[index[i]];
    }
    if (rub_extra_reorder(from, index, n, &t) != RUB_OK) {
        rub_trace_clear(&t);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu requests", n);
    }
    *out = t;
    return RUB_OK;
}
