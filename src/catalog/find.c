/* Names: canonical names and aliases, forgiving about case and separators, with a suggestion. */
#include "rubato/catalog.h"

#include "base/array.h"
#include "base/text.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

enum { MAX_NAME = 96 };

/* "H100_SXM" -> "h100sxm"; an owner before the last '/' falls away. */
static void plain(const char *name, char out[MAX_NAME]) {
    const char *slash = strrchr(name, '/');
    size_t n = 0;
    for (const char *p = slash ? slash + 1 : name; *p && n + 1 < MAX_NAME; p++)
        if (!strchr("-_ .", *p))
            out[n++] = (char)tolower((unsigned char)*p);
    out[n] = '\0';
}

/* A catalog entry's names: the canonical one and a NULL-terminated list of aliases. */
typedef struct names {
    const char *name;
    const char *const *alias;
} names;

static names accelerator_names(const rub_catalog *catalog, int32_t i) {
    return (names){catalog->accelerator[i].name, catalog->accelerator[i].alias};
}

static names model_names(const rub_catalog *catalog, int32_t i) {
    return (names){catalog->model[i].name, catalog->model_alias[i]};
}

/* Edits to a beginning of `have` about as long as `wanted` ("lama" is one from "llama318b"). */
static int begin_distance(const char *wanted, char *have) {
    int best = 1000;
    size_t n = strlen(wanted), all = strlen(have);
    for (size_t k = n - 1; n > 2 && k <= n + 1 && k < all; k++) {
        char after = have[k];
        have[k] = '\0';
        int d = rub_text_distance(wanted, have);
        have[k] = after;
        best = d < best ? d : best;
    }
    return best;
}

/* 0: one of the names is `wanted` (in plain form); else the smallest edit distance, with what a name
 * goes on by after a beginning like it counting as one edit. */
static int distance(const char *wanted, names entry) {
    int best = 1000;
    char have[MAX_NAME];
    const char *name = entry.name;
    for (const char *const *alias = entry.alias; name; name = *alias++) {
        plain(name, have);
        int d = rub_text_distance(wanted, have), begin = 1 + begin_distance(wanted, have);
        d = begin < d ? begin : d;
        best = d < best ? d : best;
    }
    return best;
}

/* "unknown accelerator 'H10', expected one of A100-40GB, ... (did you mean 'H100-SXM'?)" */
static void say_unknown(const rub_catalog *catalog, const char *what, const char *name,
                        const char *near, rub_error *err) {
    rub_text text = {0};
    rub_text_add(&text, "unknown %s '%.60s', expected one ", what, name);
    if (what[0] == 'a')
        for (int32_t i = 0; i < catalog->n_accelerator; i++)
            rub_text_add(&text, "%s%s", i ? i + 1 < catalog->n_accelerator ? ", " : " or " : "of ",
                         catalog->accelerator[i].name);
    else
        rub_text_add(&text, "that 'rubato catalog' lists or the path of a config.json");
    if (near)
        rub_text_add(&text, " (did you mean '%s'?)", near);
    rub_error_set(err, RUB_NOT_FOUND, "%s", text.data ? text.data : "unknown name");
    rub_text_clear(&text);
}

/* Index of the entry, or -1 with the error filled. */
static int32_t find(const rub_catalog *catalog, const char *what, const char *name, int32_t n,
                    names (*entry)(const rub_catalog *, int32_t), rub_error *err) {
    char wanted[MAX_NAME];
    plain(name, wanted);
    int32_t near = -1;
    int limit = 1 + (int)strlen(wanted) / 3;
    for (int32_t i = 0; i < n; i++) {
        int d = distance(wanted, entry(catalog, i));
        if (d == 0)
            return i;
        if (d <= limit) {
            limit = d - 1;
            near = i;
        }
    }
    say_unknown(catalog, what, name, near >= 0 ? entry(catalog, near).name : NULL, err);
    return -1;
}

rub_status rub_catalog_accelerator(const rub_catalog *catalog, const char *name,
                                   const rub_accelerator **out, rub_error *err) {
    int32_t i = find(catalog, "accelerator", name, catalog->n_accelerator, accelerator_names, err);
    if (i < 0)
        return RUB_NOT_FOUND;
    *out = &catalog->accelerator[i];
    return RUB_OK;
}

rub_status rub_catalog_model(const rub_catalog *catalog, const char *name, const rub_model **out,
                             rub_error *err) {
    int32_t i = find(catalog, "model", name, catalog->n_model, model_names, err);
    if (i < 0)
        return RUB_NOT_FOUND;
    *out = &catalog->model[i];
    return RUB_OK;
}

static bool is_path(const char *s) {
    size_t n = strlen(s);
    return (n > 5 && strcmp(s + n - 5, ".json") == 0) || (strchr(s, '/') && access(s, F_OK) == 0);
}

rub_status rub_catalog_model_find(const rub_catalog *catalog, const char *name_or_path,
                                  rub_model *out, rub_error *err) {
    if (is_path(name_or_path))
        return rub_model_read(name_or_path, out, err);
    const rub_model *model = NULL;
    RUB_TRY(rub_catalog_model(catalog, name_or_path, &model, err));
    *out = *model;
    return RUB_OK;
}
