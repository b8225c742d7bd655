/* The built-in catalog: data/accelerators.yaml, data/prices.yaml and data/models.yaml, compiled in
 * as bytes, read into the structs of rubato/catalog.h. Strings are borrowed from the YAML trees,
 * which live as long as the catalog. */
#include "catalog/config.h"
#include "catalog/embedded.h"

#include "base/array.h"
#include "base/yaml.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Everything that a catalog owns. */
typedef struct store {
    rub_yaml *accelerators, *prices, *models;
    rub_accelerator *accelerator;
    rub_fact *fact;
    rub_price *price;
    const rub_price **price_of; /* prices sorted by accelerator and date (n_price) */
    rub_model *model;
    const char *const **model_alias;
    const char **text; /* alias lists, NULL-terminated each */
    size_t n_text;
} store;

/* A figure of data/accelerators.yaml: key, unit, where it goes and what it is multiplied by. */
typedef struct figure {
    const char *key, *unit;
    size_t offset;
    double scale; /* 0: an int32_t field */
} figure;

#define GIB 1073741824.0
static const figure figures[] = {
    {"bf16_tflops", "TFLOP/s", offsetof(rub_accelerator, bf16_flops), 1e12},
    {"fp8_tflops", "TFLOP/s", offsetof(rub_accelerator, fp8_flops), 1e12},
    {"int8_tops", "TOP/s", offsetof(rub_accelerator, int8_flops), 1e12},
    {"fp4_tflops", "TFLOP/s", offsetof(rub_accelerator, fp4_flops), 1e12},
    {"mem_gib", "GiB", offsetof(rub_accelerator, mem_bytes), GIB},
    {"mem_tb_s", "TB/s", offsetof(rub_accelerator, mem_bytes_per_s), 1e12},
    {"scaleup_gb_s", "GB/s", offsetof(rub_accelerator, scaleup_bytes_per_s), 1e9},
    {"scaleup_domain", "accelerators", offsetof(rub_accelerator, scaleup_domain), 0},
    {"node_size", "accelerators", offsetof(rub_accelerator, node_size), 0},
    {"tdp_w", "W", offsetof(rub_accelerator, tdp_w), 1},
    {"idle_w", "W", offsetof(rub_accelerator, idle_w), 1},
    {"allin_kw", "kW", offsetof(rub_accelerator, allin_w), 1e3},
    {"training_mfu", "fraction", offsetof(rub_accelerator, training_mfu), 1},
};

static const char *text_of(const rub_yaml_node *node) {
    return node && node->kind == RUB_YAML_SCALAR ? node->scalar : "";
}

static const char *item(const rub_yaml_node *list, size_t i) {
    return list && i < list->n ? text_of(list->value[i]) : "";
}

static rub_status out_of_memory(rub_error *err) {
    return rub_error_set(err, RUB_NO_MEMORY, "out of memory while reading the catalog");
}

/* [value, status, source] -> fact and the struct's field. */
static rub_status read_figure(const rub_yaml_node *node, const figure *f,
                              const rub_yaml_node *sources, rub_accelerator *a, rub_fact *fact,
                              rub_error *err) {
    if (node->kind != RUB_YAML_SEQUENCE || node->n < 3)
        return rub_yaml_error(node, err, RUB_INVALID, "'%s' expected [value, status, source]",
                              f->key);
    double value = 0.0;
    RUB_TRY(rub_yaml_double(node->value[0], f->key, 1e-6, 1e9, &value, err));
    const rub_yaml_node *source = rub_yaml_get(sources, item(node, 2));
    if (!source)
        return rub_yaml_error(node, err, RUB_NOT_FOUND, "source '%s' is not listed", item(node, 2));
    *fact = (rub_fact){.key = f->key,
                       .unit = f->unit,
                       .value = value,
                       .status = item(node, 1),
                       .source = text_of(rub_yaml_get(source, "text")),
                       .date = text_of(rub_yaml_get(source, "date")),
                       .note = item(node, 3)};
    char *field = (char *)a + f->offset;
    if (f->scale > 0.0)
        *(double *)(void *)field = value * f->scale;
    else
        *(int32_t *)(void *)field = (int32_t)value;
    return RUB_OK;
}

/* Copies a list of names into the store's texts; returns where it begins. */
static const char *const *read_names(store *s, const rub_yaml_node *list) {
    const char **start = s->text + s->n_text;
    for (size_t i = 0; list && i < list->n; i++)
        s->text[s->n_text++] = item(list, i);
    s->text[s->n_text++] = NULL;
    return start;
}

static rub_status read_accelerator(store *s, const rub_yaml_node *node,
                                   const rub_yaml_node *sources, rub_accelerator *a, rub_fact *fact,
                                   rub_error *err) {
    const rub_yaml_node *alias = rub_yaml_get(node, "aliases");
    *a = (rub_accelerator){.name = text_of(rub_yaml_get(node, "name")),
                           .title = text_of(rub_yaml_get(node, "title")),
                           .alias = read_names(s, alias),
                           .n_alias = alias ? (int32_t)alias->n : 0,
                           .fact = fact};
    for (size_t i = 0; i < node->n; i++) {
        const char *key = node->key[i]->scalar;
        if (strcmp(key, "name") == 0 || strcmp(key, "title") == 0 || strcmp(key, "aliases") == 0)
            continue;
        size_t f = 0;
        while (f < RUB_LEN(figures) && strcmp(figures[f].key, key) != 0)
            f++;
        if (f == RUB_LEN(figures))
            return rub_yaml_error(node->key[i], err, RUB_INVALID, "unknown figure '%s'", key);
        RUB_TRY(read_figure(node->value[i], &figures[f], sources, a, &fact[a->n_fact++], err));
    }
    return RUB_OK;
}

static size_t count_names(const rub_yaml_node *list) {
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        const rub_yaml_node *alias = rub_yaml_get(list->value[i], "aliases");
        n += 1 + (alias ? alias->n : 0);
    }
    return n;
}

static rub_status parse(const char *name, const unsigned char *bytes, size_t n, const char *key,
                        rub_yaml **doc, const rub_yaml_node **list, rub_error *err) {
    RUB_TRY(rub_yaml_read(name, (const char *)bytes, n, doc, err));
    *list = rub_yaml_get(rub_yaml_root(*doc), key);
    return *list && (*list)->kind == RUB_YAML_SEQUENCE
               ? RUB_OK
               : rub_yaml_error(rub_yaml_root(*doc), err, RUB_INVALID, "no list '%s'", key);
}

static rub_status read_accelerators(store *s, rub_catalog *out, const rub_yaml_node *list,
                                    rub_error *err) {
    s->accelerator = RUB_NEW(rub_accelerator, list->n);
    s->fact = RUB_NEW(rub_fact, list->n * RUB_LEN(figures));
    if (!s->accelerator || !s->fact)
        return out_of_memory(err);
    const rub_yaml_node *sources = rub_yaml_get(rub_yaml_root(s->accelerators), "sources");
    for (size_t i = 0; i < list->n; i++)
        RUB_TRY(read_accelerator(s, list->value[i], sources, &s->accelerator[i],
                                 s->fact + i * RUB_LEN(figures), err));
    out->accelerator = s->accelerator;
    out->n_accelerator = (int32_t)list->n;
    return RUB_OK;
}

/* ---- prices -------------------------------------------------------------------------------- */

static rub_status read_price(const rub_yaml_node *node, const rub_yaml_node *sources,
                             rub_price *out, rub_error *err) {
    if (node->kind != RUB_YAML_SEQUENCE || node->n < 6)
        return rub_yaml_error(node, err, RUB_INVALID,
                              "a price expected [accelerator, kind, usd, date, status, source]");
    double usd = 0.0;
    RUB_TRY(rub_yaml_double(node->value[2], "usd", 1e-3, 1e7, &usd, err));
    const rub_yaml_node *source = rub_yaml_get(sources, item(node, 5));
    if (!source)
        return rub_yaml_error(node, err, RUB_NOT_FOUND, "source '%s' is not listed", item(node, 5));
    *out = (rub_price){.accelerator = item(node, 0),
                       .kind = item(node, 1),
                       .usd = usd,
                       .date = item(node, 3),
                       .status = item(node, 4),
                       .source = text_of(source),
                       .note = item(node, 6)};
    return RUB_OK;
}

/* By accelerator, newest first, then as written. */
static int by_age(const void *x, const void *y) {
    const rub_price *a = *(const rub_price *const *)x, *b = *(const rub_price *const *)y;
    int order = strcmp(a->accelerator, b->accelerator);
    if (order == 0)
        order = strcmp(b->date, a->date);
    return order != 0 ? order : (a > b) - (a < b);
}

/* The newest price whose kind begins so; NULL when there is none. */
static const rub_price *newest(const rub_accelerator *a, const char *kind) {
    for (int32_t i = 0; i < a->n_price; i++)
        if (strncmp(a->price[i]->kind, kind, strlen(kind)) == 0)
            return a->price[i];
    return NULL;
}

static void choose_prices(rub_accelerator *a) {
    static const char *const kinds[] = {"rental_3y", "rental", "tco"};
    for (size_t i = 0; i < RUB_LEN(kinds) && !a->default_price; i++)
        a->default_price = newest(a, kinds[i]);
    a->usd_per_h = a->default_price ? a->default_price->usd : 0.0;
    const rub_price *purchase = newest(a, "purchase");
    a->purchase_usd = purchase ? purchase->usd : 0.0;
}

static rub_status read_prices(store *s, rub_catalog *out, const rub_yaml_node *list,
                              rub_error *err) {
    s->price = RUB_NEW(rub_price, list->n);
    s->price_of = RUB_NEW(const rub_price *, list->n);
    if (!s->price || !s->price_of)
        return out_of_memory(err);
    const rub_yaml_node *sources = rub_yaml_get(rub_yaml_root(s->prices), "sources");
    for (size_t i = 0; i < list->n; i++) {
        RUB_TRY(read_price(list->value[i], sources, &s->price[i], err));
        s->price_of[i] = &s->price[i];
    }
    qsort(s->price_of, list->n, sizeof *s->price_of, by_age);
    out->price = s->price;
    out->n_price = (int32_t)list->n;
    for (int32_t k = 0; k < out->n_accelerator; k++) {
        rub_accelerator *a = &s->accelerator[k];
        for (size_t i = 0; i < list->n; i++)
            if (strcmp(s->price_of[i]->accelerator, a->name) == 0) {
                if (a->n_price++ == 0)
                    a->price = &s->price_of[i];
            }
        choose_prices(a);
    }
    return RUB_OK;
}

/* ---- models -------------------------------------------------------------------------------- */

/* A YAML value as JSON, so that the catalog's models pass through the same reader as a user's. */
static json_t *to_json(const rub_yaml_node *node) {
    if (node->kind == RUB_YAML_MAPPING) {
        json_t *object = json_object();
        for (size_t i = 0; i < node->n; i++)
            json_object_set_new(object, node->key[i]->scalar, to_json(node->value[i]));
        return object;
    }
    if (node->kind == RUB_YAML_SEQUENCE) {
        json_t *array = json_array();
        for (size_t i = 0; i < node->n; i++)
            json_array_append_new(array, to_json(node->value[i]));
        return array;
    }
    int64_t integer = 0;
    bool boolean = false;
    if (rub_yaml_int(node, "", INT64_MIN, INT64_MAX, &integer, NULL) == RUB_OK)
        return json_integer(integer);
    if (rub_yaml_bool(node, "", &boolean, NULL) == RUB_OK)
        return json_boolean(boolean);
    return json_string(node->scalar);
}

static rub_status read_model(const rub_yaml_node *node, const rub_yaml_node *sources,
                             rub_model *out, rub_error *err) {
    const rub_yaml_node *config_node = rub_yaml_get(node, "config");
    const rub_yaml_node *from = rub_yaml_get(node, "from");
    if (!config_node || !from)
        return rub_yaml_error(node, err, RUB_INVALID, "a model expected 'config' and 'from'");
    json_t *top = to_json(config_node);
    config c = {.file = node->file, .line = config_node->line, .top = top, .text = top, .err = err};
    rub_model m = {0};
    rub_status status = top ? rub_config_model(&c, &m) : out_of_memory(err);
    json_decref(top);
    RUB_TRY(status);
    const char *note = text_of(rub_yaml_get(node, "note"));
    snprintf(m.name, sizeof m.name, "%s", text_of(rub_yaml_get(node, "name")));
    snprintf(m.source, sizeof m.source, "%s", text_of(rub_yaml_get(sources, item(from, 0))));
    snprintf(m.status, sizeof m.status, "%s", item(from, 1));
    snprintf(m.date, sizeof m.date, "%s", item(from, 2));
    snprintf(m.note, sizeof m.note, "%s", note);
    m.text_part_only = strcmp(note, "text part") == 0;
    const rub_yaml_node *published = rub_yaml_get(node, "published");
    if (published && published->n == 2) {
        RUB_TRY(
            rub_yaml_double(published->value[0], "published", 1, 1e16, &m.published_params, err));
        RUB_TRY(
            rub_yaml_double(published->value[1], "published", 1, 1e16, &m.published_active, err));
    }
    *out = m;
    return RUB_OK;
}

static rub_status read_models(store *s, rub_catalog *out, const rub_yaml_node *list,
                              rub_error *err) {
    s->model = RUB_NEW(rub_model, list->n);
    s->model_alias = RUB_NEW(const char *const *, list->n);
    if (!s->model || !s->model_alias)
        return out_of_memory(err);
    const rub_yaml_node *sources = rub_yaml_get(rub_yaml_root(s->models), "sources");
    for (size_t i = 0; i < list->n; i++) {
        RUB_TRY(read_model(list->value[i], sources, &s->model[i], err));
        s->model_alias[i] = read_names(s, rub_yaml_get(list->value[i], "aliases"));
    }
    out->model = s->model;
    out->n_model = (int32_t)list->n;
    out->model_alias = s->model_alias;
    return RUB_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static rub_status read_all(store *s, rub_catalog *out, rub_error *err) {
    const rub_yaml_node *accelerators, *prices, *models;
    RUB_TRY(parse("data/accelerators.yaml", rub_data_accelerators, rub_data_accelerators_n,
                  "accelerators", &s->accelerators, &accelerators, err));
    RUB_TRY(parse("data/prices.yaml", rub_data_prices, rub_data_prices_n, "prices", &s->prices,
                  &prices, err));
    RUB_TRY(parse("data/models.yaml", rub_data_models, rub_data_models_n, "models", &s->models,
                  &models, err));
    s->text = RUB_NEW(const char *, count_names(accelerators) + count_names(models));
    if (!s->text)
        return out_of_memory(err);
    RUB_TRY(read_accelerators(s, out, accelerators, err));
    RUB_TRY(read_prices(s, out, prices, err));
    return read_models(s, out, models, err);
}

rub_status rub_catalog_load(rub_catalog **out, rub_error *err) {
    rub_catalog *catalog = RUB_NEW(rub_catalog, 1);
    store *s = RUB_NEW(store, 1);
    if (!catalog || !s) {
        free(catalog);
        free(s);
        return out_of_memory(err);
    }
    catalog->memory = s;
    rub_status status = read_all(s, catalog, err);
    if (status != RUB_OK) {
        rub_catalog_free(catalog);
        return status;
    }
    *out = catalog;
    return RUB_OK;
}

void rub_catalog_free(rub_catalog *catalog) {
    if (!catalog)
        return;
    store *s = catalog->memory;
    rub_yaml_free(s->accelerators);
    rub_yaml_free(s->prices);
    rub_yaml_free(s->models);
    free(s->accelerator);
    free(s->fact);
    free(s->price);
    free(s->price_of);
    free(s->model);
    free(s->model_alias);
    free(s->text);
    free(s);
    free(catalog);
}

double rub_training_yield(const rub_accelerator *accel, const rub_accelerator *reference) {
    return accel->bf16_flops * accel->training_mfu /
           (reference->bf16_flops * reference->training_mfu);
}
