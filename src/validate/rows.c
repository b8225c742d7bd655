/* The table of measurements: columns of ai-dynamo/aiconfigurator's silicon_sample.csv. */
#include "validate/validate.h"

#include "base/array.h"
#include "base/csvtable.h"
#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct memory {
    rub_csv_table table;
} memory;

typedef struct reader {
    const char *path;
    const rub_csv_table *table;
    size_t at; /* row being read */
    rub_error *err;
} reader;

static int column(const rub_csv_table *t, const char *name) {
    for (size_t i = 0; i < t->n_column; i++)
        if (strcmp(t->header[i].text, name) == 0)
            return (int)i;
    return -1;
}

static const char *const wanted[] = {"id",
                                     "backend",
                                     "model_path",
                                     "system",
                                     "precision",
                                     "mode",
                                     "isl",
                                     "osl",
                                     "tp_size",
                                     "moe_tp_size",
                                     "moe_ep_size",
                                     "batch_size",
                                     "concurrency",
                                     "silicon_ttft_ms",
                                     "silicon_tpot_ms",
                                     "attention_dp_size"};

static rub_status check_columns(const char *path, const rub_csv_table *t, rub_error *err) {
    for (size_t i = 0; i < RUB_LEN(wanted); i++)
        if (column(t, wanted[i]) < 0)
            return rub_error_at(err, RUB_INVALID, path, 1, 1,
                                "column '%s' is missing, expected a table of measured deployments "
                                "(id, backend, model_path, system, isl, osl, silicon_ttft_ms, ...)",
                                wanted[i]);
    return RUB_OK;
}

static const rub_csv_cell *cell(const reader *r, const char *name) {
    static const rub_csv_cell none = {.text = ""};
    int c = column(r->table, name);
    return c < 0 ? &none : &r->table->cell[r->at * r->table->n_column + (size_t)c];
}

static const char *text(const reader *r, const char *name) { return cell(r, name)->text; }

/* A number of at least `least`; fallback for an empty cell; NaN as fallback makes it an error. */
static rub_status number(const reader *r, const char *name, double least, double fallback,
                         double *out) {
    const rub_csv_cell *c = cell(r, name);
    char *end;
    double x = strtod(c->text, &end);
    if (!*c->text && !isnan(fallback)) {
        *out = fallback;
        return RUB_OK;
    }
    if (end == c->text || *end || !(x >= least) || x > 1e9)
        return rub_error_at(r->err, RUB_INVALID, r->path, c->line, c->column,
                            "column '%s': found '%.40s', expected a number from %g", name, c->text,
                            least);
    *out = x;
    return RUB_OK;
}

static rub_status integer(const reader *r, const char *prefix, const char *name, int32_t *out) {
    char full[48];
    double x = 0.0;
    snprintf(full, sizeof full, "%s%s", prefix, name);
    RUB_TRY(number(r, full, 0.0, 0.0, &x));
    *out = (int32_t)x;
    return RUB_OK;
}

/* Layouts as they stand. The table's tp_size is moe_tp * moe_ep where both were noted as the size of
 * the worker ("8, 8" on eight accelerators), and tp = dp = n stands for n groups of one. */
static void lay_out(int32_t tp, int32_t dp, int32_t moe_tp, int32_t moe_ep,
                    rub_silicon_pool *pool) {
    pool->tp = tp > 0 ? tp : 1;
    pool->dp = dp > 0 ? dp : 1;
    pool->ep = moe_ep > 0 ? moe_ep : 1;
    bool grouped = pool->dp > 1;
    int32_t width = pool->tp * pool->dp;
    if (moe_tp > 1 && moe_tp == moe_ep && width == moe_tp * moe_ep)
        width = pool->ep = moe_ep;
    else if (grouped && pool->tp == pool->dp)
        width = pool->ep = pool->tp;
    else
        return;
    pool->tp = grouped ? 1 : width;
    pool->dp = grouped ? width : 1;
}

static rub_status read_pool(const reader *r, const char *prefix, rub_silicon_pool *pool) {
    int32_t tp = 0, dp = 0, moe_tp = 0, moe_ep = 0;
    RUB_TRY(integer(r, prefix, "tp_size", &tp));
    RUB_TRY(integer(r, prefix, "attention_dp_size", &dp));
    RUB_TRY(integer(r, prefix, "moe_tp_size", &moe_tp));
    RUB_TRY(integer(r, prefix, "moe_ep_size", &moe_ep));
    RUB_TRY(integer(r, prefix, "num_workers", &pool->workers));
    lay_out(tp, dp, moe_tp, moe_ep, pool);
    pool->noted_tp = tp;
    return RUB_OK;
}

static rub_status read_row(const reader *r, rub_silicon_row *row) {
    double isl, osl, concurrency, batch, ttft, tpot;
    *row = (rub_silicon_row){.id = text(r, "id"),
                             .engine = text(r, "backend"),
                             .model = text(r, "model_path"),
                             .system = text(r, "system"),
                             .precision = text(r, "precision"),
                             .quant = text(r, "moe_quant_mode"),
                             .source = text(r, "source"),
                             .line = cell(r, "id")->line,
                             .disagg = strcmp(text(r, "mode"), "disagg") == 0,
                             .ttft_predicted_s = NAN,
                             .tpot_predicted_s = NAN};
    if (!*row->quant)
        row->quant = text(r, "gemm_quant_mode");
    RUB_TRY(number(r, "isl", 1, NAN, &isl));
    RUB_TRY(number(r, "osl", 2, NAN, &osl));
    RUB_TRY(number(r, "batch_size", 1, 0.0, &batch));
    RUB_TRY(number(r, "concurrency", 0, 0.0, &concurrency));
    RUB_TRY(number(r, "silicon_ttft_ms", 1e-6, NAN, &ttft));
    RUB_TRY(number(r, "silicon_tpot_ms", 1e-6, NAN, &tpot));
    RUB_TRY(read_pool(r, row->disagg ? "decode_" : "", &row->pool));
    if (row->disagg)
        RUB_TRY(read_pool(r, "prefill_", &row->prefill));
    row->input_tok = (int32_t)isl;
    row->output_tok = (int32_t)osl;
    row->concurrency = (int32_t)(concurrency > 0 ? concurrency : batch * row->pool.dp);
    row->ttft_s = ttft * 1e-3;
    row->tpot_s = tpot * 1e-3;
    row->recipe = rub_silicon_recipe_of(row, row->source);
    if (rub_silicon_speculates(row, text(r, "backend_version"))) {
        row->drafts = RUB_DRAFTS_YES;
        row->draft_tok = 3; /* of these releases' recipes */
    }
    return RUB_OK;
}

static rub_status read_table(const char *path, rub_csv_table *out, rub_error *err) {
    rub_file file;
    RUB_TRY(rub_file_open(path, &file, err));
    rub_status status = rub_csv_table_read(path, file.data, file.n, out, err);
    rub_file_close(&file);
    return status;
}

static rub_status add_pools(rub_silicon *s, rub_error *err) {
    rub_silicon_pools pools;
    RUB_TRY(rub_silicon_pools_read(&pools, err));
    for (size_t i = 0; i < s->n_row; i++)
        if (s->row[i].disagg)
            rub_silicon_pools_apply(&pools, &s->row[i], -1);
    rub_silicon_pools_settle(&pools, s);
    rub_silicon_pools_clear(&pools);
    return RUB_OK;
}

rub_status rub_silicon_read(const char *path, rub_silicon *out, rub_error *err) {
    rub_silicon s = {0};
    memory *m = RUB_NEW(memory, 1);
    if (!m)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    s.memory = m;
    rub_status status = read_table(path, &m->table, err);
    if (status == RUB_OK)
        status = check_columns(path, &m->table, err);
    if (status == RUB_OK && !(s.row = RUB_NEW(rub_silicon_row, m->table.n_row + 1)))
        status = rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    reader r = {.path = path, .table = &m->table, .err = err};
    for (; status == RUB_OK && r.at < m->table.n_row; r.at++)
        status = read_row(&r, &s.row[s.n_row++]);
    if (status == RUB_OK)
        status = add_pools(&s, err);
    if (status != RUB_OK)
        rub_silicon_clear(&s);
    else
        *out = s;
    return status;
}

void rub_silicon_clear(rub_silicon *s) {
    memory *m = s->memory;
    if (m)
        rub_csv_table_clear(&m->table);
    free(m);
    free(s->row);
    *s = (rub_silicon){0};
}
