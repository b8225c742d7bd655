#include "perf/optable.h"

#include "base/array.h"
#include "base/columns.h"
#include "base/file.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names of this table's columns by what they are used for; NULL-terminated. */
enum { MAX_COLUMNS = 16 };

typedef struct table {
    const rub_columns *data;
    const rub_column *column[MAX_COLUMNS];
    size_t row;
    char library[16], source[96];
    rub_optable *out;
    size_t first_set; /* sets of this file begin here */
    rub_error *err;
} table;

typedef struct kind {
    const char *name; /* of the table, as the file's name has it */
    const char
        *columns[MAX_COLUMNS]; /* "latency" first; a leading '?' for one that may be absent */
    rub_status (*read)(table *t);
} kind;

static rub_status bad(const table *t, const char *format, const char *text, double number) {
    return rub_columns_error(t->data, t->row, t->err, RUB_INVALID, format, text, number);
}

static const char *text_of(const table *t, int k, const char *fallback) {
    const rub_column *c = t->column[k];
    return c && c->is_text && *c->text[t->row] ? c->text[t->row] : fallback;
}

/* A number in [min, 1e12]. */
static rub_status number(const table *t, int k, double min, double *out) {
    const rub_column *c = t->column[k];
    if (c->is_text)
        return bad(t, "column '%s' is text, expected a number", c->name, 0.0);
    double v = c->number[t->row];
    if (!(v >= min && v <= 1e12))
        return bad(
            t, v < min ? "%s is %.12g, expected more" : "%s is %.12g, expected a number up to 1e12",
            c->name, v);
    *out = v;
    return RUB_OK;
}

/* Dimensions from column k on, each at least 1. */
static rub_status dimensions(const table *t, int k, double *const *to, int n) {
    for (int i = 0; i < n; i++)
        RUB_TRY(number(t, k + i, 1.0, to[i]));
    return RUB_OK;
}

static uint64_t group_of(const double *key, int n) {
    uint64_t h = 0xcbf29ce484222325ull;
    for (int i = 0; i < n; i++) {
        uint64_t v = (uint64_t)llround(key[i]);
        h = (h ^ v) * 0x9e3779b97f4a7c15ull;
        h ^= h >> 29;
    }
    return h;
}

static rub_status no_memory(const table *t) {
    return rub_error_at(t->err, RUB_NO_MEMORY, t->data->name, 0, 0, "out of memory");
}

static rub_sample_set *set_of(table *t, rub_family family, const char *variant) {
    rub_optable *o = t->out;
    for (size_t i = o->n; i > t->first_set; i--)
        if (o->set[i - 1].family == family && strcmp(o->set[i - 1].variant, variant) == 0)
            return &o->set[i - 1];
    rub_sample_set fresh = {.family = family};
    snprintf(fresh.variant, sizeof fresh.variant, "%s", variant);
    snprintf(fresh.library, sizeof fresh.library, "%s", t->library);
    snprintf(fresh.source, sizeof fresh.source, "%s", t->source);
    return RUB_ARRAY_PUSH(o->set, o->n, o->cap, fresh) == RUB_OK ? &o->set[o->n - 1] : NULL;
}

/* latency_ms is column 0. */
static rub_status put(table *t, rub_family family, const char *variant, const rub_shape *shape,
                      uint64_t group) {
    rub_sample s = {.shape = *shape, .group = group};
    double ms = 0.0;
    RUB_TRY(number(t, 0, 1e-6, &ms));
    s.seconds = ms * 1e-3;
    rub_sample_set *set = set_of(t, family, variant);
    if (!set || RUB_ARRAY_PUSH(set->sample, set->n, set->cap, s) != RUB_OK)
        return no_memory(t);
    return RUB_OK;
}

/* ---- each table ------------------------------------------------------------------------------ */

static const char *format_of(const char *dtype) {
    if (strcmp(dtype, "bfloat16") == 0 || strcmp(dtype, "float16") == 0)
        return "bf16";
    return strcmp(dtype, "sq") == 0 ? "int8"
                                    : dtype; /* SmoothQuant: 8-bit weights and activations */
}

static rub_status read_gemm(table *t) {
    rub_shape s = {0};
    double *const to[] = {&s.m, &s.n, &s.k};
    RUB_TRY(dimensions(t, 2, to, 3));
    double key[] = {s.n, s.k};
    return put(t, RUB_FAMILY_GEMM, format_of(text_of(t, 1, "bfloat16")), &s, group_of(key, 2));
}

static void attention_variant(const table *t, char *buf, size_t size) {
    snprintf(buf, size, "%s/%s", format_of(text_of(t, 1, "bfloat16")),
             format_of(text_of(t, 2, "bfloat16")));
}

/* Pairs of a prompt of n tokens after p others, each looking back at w tokens at most. */
static double pairs_of(double n, double p, double w) {
    if (w <= 0.0 || p + n <= w)
        return n * (p + 0.5 * n);
    double growing = w > p ? w - p : 0.0;
    return growing * (p + 0.5 * growing) + (n - growing) * w;
}

static rub_status read_attention(table *t, bool decode) {
    rub_shape s = {0};
    double step = 0.0, isl = 0.0;
    char variant[32];
    double *const to[] = {&s.batch, &isl, &s.heads, &s.kv_heads, &s.head_dim};
    RUB_TRY(dimensions(t, 3, to, 5));
    RUB_TRY(number(t, 8, 0.0, &step));
    if (t->column[9] && number(t, 9, 0.0, &s.window) != RUB_OK)
        return RUB_INVALID;
    attention_variant(t, variant, sizeof variant);
    s.query = decode ? 1.0 : isl;
    s.context = isl + step;
    s.pairs = s.batch * pairs_of(isl, step, s.window);
    double key[] = {s.heads, s.kv_heads, s.head_dim, s.window};
    return put(t, decode ? RUB_FAMILY_DECODE : RUB_FAMILY_PREFILL, variant, &s, group_of(key, 4));
}

static rub_status read_prefill(table *t) { return read_attention(t, false); }
static rub_status read_decode(table *t) { return read_attention(t, true); }

/* DeepSeek-V3's block (config.json of deepseek-ai/DeepSeek-V3): the only one that was measured. */
static void deepseek_block(rub_shape *s, bool decode, bool projections) {
    const double hidden = 7168, q_lora = 1536, kv_lora = 512, nope = 128, rope = 64, v = 128;
    double h = s->heads;
    s->pair_flops = 2.0 * h * (decode ? 2.0 * kv_lora + rope : nope + rope + v);
    s->kv_values = kv_lora + rope;
    if (!projections)
        return;
    s->weights = hidden * (q_lora + kv_lora + rope) + q_lora * h * (nope + rope) +
                 kv_lora * h * (nope + v) + h * v * hidden;
    s->token_flops = 2.0 * s->weights;
}

static rub_status read_mla(table *t, bool decode, bool projections) {
    rub_shape s = {0};
    double step = 0.0, isl = 0.0;
    char variant[32];
    double *const to[] = {&s.batch, &isl, &s.heads};
    RUB_TRY(dimensions(t, 4, to, 3));
    RUB_TRY(number(t, 7, 0.0, &step));
    const char *kv = format_of(text_of(t, 2, "bfloat16")),
               *arithmetic = format_of(text_of(t, 3, "bfloat16"));
    snprintf(variant, sizeof variant, "%s/%s%s",
             projections ? format_of(text_of(t, 1, "bfloat16")) : "attention", kv,
             strcmp(arithmetic, "fp8") == 0 ? "+fp8" : "");
    s.query = decode ? 1.0 : isl;
    s.context = isl + step;
    s.pairs = s.batch * pairs_of(isl, step, 0.0);
    deepseek_block(&s, decode, projections);
    double key[] = {s.heads, s.batch};
    return put(t, decode ? RUB_FAMILY_MLA_DECODE : RUB_FAMILY_MLA_PREFILL, variant, &s,
               group_of(key, 2));
}

static rub_status read_mla_module_prefill(table *t) { return read_mla(t, false, true); }
static rub_status read_mla_module_decode(table *t) { return read_mla(t, true, true); }
static rub_status read_mla_prefill(table *t) { return read_mla(t, false, false); }
static rub_status read_mla_decode(table *t) { return read_mla(t, true, false); }

static rub_status read_moe(table *t) {
    rub_shape s = {.n_matrix = 3.0};
    double *const to[] = {&s.tokens, &s.hidden, &s.inter, &s.n_active, &s.n_expert, &s.tp, &s.ep};
    RUB_TRY(dimensions(t, 2, to, 7));
    if (s.n_active > s.n_expert || s.ep > s.n_expert)
        return bad(t, "topk or moe_ep_size exceeds num_experts %s%.12g", "", s.n_expert);
    const char *loads = text_of(t, 9, "balanced"), *kernel = text_of(t, 10, "");
    double alpha = 0.0;
    if (strncmp(loads, "power_law_", 10) == 0)
        alpha = atof(loads + 10);
    s.skew = alpha <= 0.0 ? 0.0 : alpha < 1.1 ? 1.0 : 2.0;
    if (strstr(kernel, "nongated"))
        s.n_matrix = 2.0;
    double key[] = {s.hidden, s.inter, s.n_active, s.n_expert, s.tp, s.ep};
    return put(t, RUB_FAMILY_MOE, format_of(text_of(t, 1, "bfloat16")), &s, group_of(key, 6));
}

/* message_size counts values of the data type (536,870,912 halves take twice as long as as many
 * bytes). vLLM's are measured launched one by one and replayed in a graph: the graph's count. */
static rub_status read_custom(table *t) {
    rub_shape s = {0};
    double values = 0.0;
    if (strstr(text_of(t, 3, ""), "eager"))
        return RUB_OK;
    RUB_TRY(number(t, 1, 1.0, &values));
    RUB_TRY(number(t, 2, 2.0, &s.gpus));
    s.bytes = values * 2.0;
    return put(t, RUB_FAMILY_ALL_REDUCE, "custom", &s, group_of(&values, 1));
}

static rub_status read_nccl(table *t) {
    rub_shape s = {0};
    double values = 0.0;
    const char *op = text_of(t, 3, "all_reduce");
    rub_family family = strcmp(op, "alltoall") == 0 ? RUB_FAMILY_ALL_TO_ALL : rub_family_parse(op);
    if (family < RUB_FAMILY_ALL_REDUCE || family >= RUB_N_FAMILY) {
        t->out->n_unknown++;
        return RUB_OK;
    }
    RUB_TRY(number(t, 1, 1.0, &values));
    RUB_TRY(number(t, 2, 2.0, &s.gpus));
    s.bytes = values * (strcmp(text_of(t, 4, "half"), "int8") == 0 ? 1.0 : 2.0);
    return put(t, family, "nccl", &s, group_of(&values, 1));
}

#define ATTENTION_COLUMNS                                                                          \
    {                                                                                              \
        "latency", "?attn_dtype", "?kv_cache_dtype", "batch_size", "isl", "num_heads",             \
            "num_key_value_heads", "head_dim", "step", "?window_size"                              \
    }
#define MLA_COLUMNS(type)                                                                          \
    { "latency", type, "?kv_cache_dtype", "?mla_dtype", "batch_size", "isl", "num_heads", "step" }

static const kind kinds[] = {
    {"gemm_perf", {"latency", "gemm_dtype", "m", "n", "k"}, read_gemm},
    {"context_attention_perf", ATTENTION_COLUMNS, read_prefill},
    {"generation_attention_perf", ATTENTION_COLUMNS, read_decode},
    {"mla_context_module_perf", MLA_COLUMNS("?gemm_type"), read_mla_module_prefill},
    {"mla_generation_module_perf", MLA_COLUMNS("?gemm_type"), read_mla_module_decode},
    {"context_mla_perf", MLA_COLUMNS("?mla_dtype"), read_mla_prefill},
    {"generation_mla_perf", MLA_COLUMNS("?mla_dtype"), read_mla_decode},
    {"moe_perf",
     {"latency", "moe_dtype", "num_tokens", "hidden_size", "inter_size", "topk", "num_experts",
      "moe_tp_size", "moe_ep_size", "?distribution", "?kernel_source"},
     read_moe},
    {"custom_allreduce_perf",
     {"latency", "message_size", "num_gpus", "?kernel_source"},
     read_custom},
    {"nccl_perf", {"latency", "message_size", "num_gpus", "?op_name", "?nccl_dtype"}, read_nccl},
};

/* ---- files ----------------------------------------------------------------------------------- */

/* "vllm-0.24.0.gemm_perf.parquet": kind and library, or NULL. */
static const kind *kind_of(const char *file, char *library, size_t size) {
    const char *dash = strchr(file, '-');
    if (!dash || (size_t)(dash - file) >= size)
        return NULL;
    for (size_t i = 0; i < RUB_LEN(kinds); i++) {
        char middle[64];
        snprintf(middle, sizeof middle, ".%s.", kinds[i].name);
        const char *at = strstr(file, middle);
        const char *ending = at ? at + strlen(middle) : "";
        if (strcmp(ending, "parquet") == 0 || strcmp(ending, "csv") == 0 ||
            strcmp(ending, "csv.gz") == 0) {
            snprintf(library, size, "%.*s", (int)(dash - file), file);
            return &kinds[i];
        }
    }
    return NULL;
}

static rub_status read_rows(table *t, const kind *k) {
    for (int i = 0; i < MAX_COLUMNS && k->columns[i]; i++) {
        const char *name = k->columns[i];
        bool optional = *name == '?';
        t->column[i] = rub_columns_find(t->data, name + optional);
        if (!t->column[i] && !optional)
            return rub_error_at(t->err, RUB_INVALID, t->data->name, 1, 0,
                                "no column '%s', expected in %s", name, k->name);
    }
    for (t->row = 0; t->row < t->data->n_row; t->row++)
        RUB_TRY(k->read(t));
    t->out->n_row += (int64_t)t->data->n_row;
    return RUB_OK;
}

/* Sets of this file replace older ones of the same library, family and variant. */
static void replace_older(rub_optable *o, size_t first) {
    for (size_t i = 0; i < first; i++)
        for (size_t j = first; j < o->n; j++)
            if (o->set[i].family == o->set[j].family &&
                strcmp(o->set[i].library, o->set[j].library) == 0 &&
                strcmp(o->set[i].variant, o->set[j].variant) == 0) {
                free(o->set[i].sample);
                o->set[i] = o->set[j];
                o->n--;
                memmove(&o->set[j], &o->set[j + 1], (o->n - j) * sizeof *o->set);
                break;
            }
}

static rub_status read_file(const char *folder, const char *name, rub_optable *out,
                            rub_error *err) {
    table t = {.out = out, .first_set = out->n, .err = err};
    const kind *k = kind_of(name, t.library, sizeof t.library);
    if (!k)
        return RUB_OK;
    char path[4096];
    rub_columns data;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(t.source, sizeof t.source, "%s", name);
    RUB_TRY(rub_columns_read(path, &data, err));
    t.data = &data;
    rub_status status = read_rows(&t, k);
    rub_columns_clear(&data);
    replace_older(out, t.first_set);
    return status;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

rub_status rub_optable_read(const char *folder, rub_optable *out, rub_error *err) {
    struct dirent **entry = NULL;
    int n = scandir(folder, &entry, NULL, by_name);
    if (n < 0)
        return rub_error_at(err, RUB_IO, folder, 0, 0, "%s, expected a folder of operator tables",
                            strerror(errno));
    rub_optable t = {0};
    rub_status status = RUB_OK;
    for (int i = 0; i < n; i++) {
        if (status == RUB_OK)
            status = read_file(folder, entry[i]->d_name, &t, err);
        free(entry[i]);
    }
    free(entry);
    if (status == RUB_OK && t.n == 0)
        status = rub_error_at(
            err, RUB_IO, folder, 0, 0,
            "no operator table, expected LIBRARY-VERSION.gemm_perf.parquet and the like");
    if (status == RUB_OK)
        *out = t;
    else
        rub_optable_clear(&t);
    return status;
}

void rub_optable_clear(rub_optable *t) {
    for (size_t i = 0; i < t->n; i++)
        free(t->set[i].sample);
    free(t->set);
    *t = (rub_optable){0};
}

const rub_sample_set *rub_optable_find(const rub_optable *t, const char *library, rub_family family,
                                       const char *variant) {
    for (size_t i = 0; i < t->n; i++)
        if (t->set[i].family == family && strcmp(t->set[i].library, library) == 0 &&
            strcmp(t->set[i].variant, variant) == 0)
            return &t->set[i];
    return NULL;
}
