/* Paths through the document, "partners.anchor.leaves", and overrides by them.
 *
 * A path is names parted by dots; names may hold dots themselves (llama-3.1-70b), so the longest
 * name that fits is taken. '*' stands for every name, a number for an item of a list. An override
 * changes a copy of the nodes on its way: what an alias shares elsewhere stays as it is. */
#include "study/fields.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- walking -------------------------------------------------------------------------------- */

/* Length of key when path begins with it and ends there or goes on with a dot; 0 otherwise. */
static size_t match(const char *path, const char *key) {
    size_t n = strlen(key);
    return n > 0 && strncmp(path, key, n) == 0 && (path[n] == '\0' || path[n] == '.') ? n : 0;
}

static const char *after(const char *path, size_t n) {
    return path[n] == '.' ? path + n + 1 : path + n;
}

/* Index of the child that path begins with, and how much of path it takes; SIZE_MAX: none. */
static size_t find_child(const rub_yaml_node *node, const char *path, size_t *taken) {
    size_t best = SIZE_MAX;
    *taken = 0;
    if (node->kind == RUB_YAML_SEQUENCE) {
        char *end;
        unsigned long i = strtoul(path, &end, 10);
        if (end == path || (*end && *end != '.') || i >= node->n)
            return SIZE_MAX;
        *taken = (size_t)(end - path);
        return i;
    }
    for (size_t i = 0; node->kind == RUB_YAML_MAPPING && i < node->n; i++) {
        size_t n = match(path, node->key[i]->scalar);
        if (n > *taken) {
            *taken = n;
            best = i;
        }
    }
    return best;
}

/* Nodes looked at by one path, so that '*' after '*' in a hostile file ends. */
#define MAX_VISITS 100000

static bool exists(const rub_yaml_node *node, const char *path, int *visits) {
    size_t taken;
    if (!*path)
        return true;
    if (++*visits > MAX_VISITS)
        return false;
    if (match(path, "*")) {
        for (size_t i = 0; node->kind != RUB_YAML_SCALAR && i < node->n; i++)
            if (exists(node->value[i], after(path, 1), visits))
                return true;
        return false;
    }
    size_t i = find_child(node, path, &taken);
    return i != SIZE_MAX && exists(node->value[i], after(path, taken), visits);
}

bool rub_path_exists(const rub_yaml_node *root, const char *key) {
    int visits = 0;
    return *key && exists(root, key, &visits);
}

/* ---- new values ----------------------------------------------------------------------------- */

/* An override being applied. */
typedef struct override {
    rub_reader *r;
    rub_yaml_node at; /* stands for the override in messages */
    const char *path; /* in full */
    rub_yaml_node *value;
    double factor; /* of "x1.2" and "+20%"; 0 when the value is set as it is */
    bool percent;  /* factor was written as +20% */
    size_t n_done;
    bool failed;
} override;

static void fail(override *o, rub_status code, const char *message, const char *found,
                 const char *near) {
    rub_reader_report(o->r, &o->at, code, message, found, near);
    o->failed = true;
}

/* "$140/kW-month" times 1.2 is "$168/kW-month"; NULL when there is no number in front. */
static char *scaled_text(rub_reader *r, const char *text, double factor) {
    size_t head = strspn(text, " +-$");
    char *end;
    double x = strtod(text + head, &end);
    if (end == text + head || !isfinite(x * factor))
        return NULL;
    size_t n = strlen(text) + 40;
    char *out = rub_reader_take(r, n);
    if (out)
        snprintf(out, n, "%.*s%.12g%s", (int)head, text, x * factor, end);
    return out;
}

/* The same for each value of "2025-Q3:$12M;2026-Q3:$20M". */
static char *scaled_points(rub_reader *r, const char *text, double factor) {
    rub_text out = {0};
    char *copy = NULL;
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, ";"), head = strcspn(p, ":");
        bool dated = head < n;
        char *value =
            rub_reader_take_text(r, p + (dated ? head + 1 : 0), n - (dated ? head + 1 : 0));
        char *scaled = value ? scaled_text(r, value, factor) : NULL;
        if (!scaled) {
            rub_text_clear(&out);
            return NULL;
        }
        rub_text_add(&out, "%s%.*s%s", p == text ? "" : ";", dated ? (int)head + 1 : 0, p, scaled);
        p += n + (p[n] == ';');
    }
    r->out_of_memory = r->out_of_memory || out.failed;
    if (out.data && !out.failed)
        copy = rub_reader_take_text(r, out.data, out.n);
    rub_text_clear(&out);
    return copy;
}

static rub_yaml_node *clone(override *o, const rub_yaml_node *node) {
    rub_yaml_node *copy = rub_reader_take(o->r, sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *node;
    size_t bytes = (node->n + 1) * sizeof(rub_yaml_node *);
    if (node->kind != RUB_YAML_SCALAR) {
        copy->value = rub_reader_take(o->r, bytes);
        copy->key = node->kind == RUB_YAML_MAPPING ? rub_reader_take(o->r, bytes) : NULL;
        if (!copy->value || (node->kind == RUB_YAML_MAPPING && !copy->key))
            return NULL;
        if (node->n)
            memcpy(copy->value, node->value, node->n * sizeof *node->value);
        if (node->n && copy->key)
            memcpy(copy->key, node->key, node->n * sizeof *node->key);
    }
    return copy;
}

/* A copy of node with every number in it multiplied; NULL when failed. */
static rub_yaml_node *scale(override *o, const rub_yaml_node *node, int depth) {
    rub_yaml_node *copy = clone(o, node);
    if (!copy)
        return NULL;
    for (size_t i = 0; node->kind != RUB_YAML_SCALAR && i < node->n && !o->failed; i++)
        copy->value[i] = depth < RUB_YAML_MAX_DEPTH ? scale(o, node->value[i], depth + 1) : NULL;
    if (node->kind != RUB_YAML_SCALAR)
        return copy;
    if (o->percent && strchr(node->scalar, '%')) {
        fail(o, RUB_INVALID,
             "'%.60s' is a share or rate: a change in %% could mean two things, expected 'x1.2' or "
             "the new value",
             node->scalar, "");
        return NULL;
    }
    copy->scalar = scaled_points(o->r, node->scalar, o->factor);
    copy->file = o->at.file;
    if (!copy->scalar) {
        if (!o->r->out_of_memory)
            fail(o, RUB_INVALID, "'%.60s' is not a number that could be multiplied", node->scalar,
                 "");
        return NULL;
    }
    return copy;
}

/* ---- applying ------------------------------------------------------------------------------- */

static rub_yaml_node *replaced(override *o, const rub_yaml_node *old) {
    o->n_done++;
    return o->factor != 0.0 ? scale(o, old, 0) : o->value;
}

/* Adds the last name of the path to a mapping (a copy already). */
static void add_key(override *o, rub_yaml_node *map, const char *name) {
    if (o->factor != 0.0) {
        fail(o, RUB_NOT_FOUND, "nothing stands at '%.80s' that could be multiplied", o->path, "");
        return;
    }
    rub_yaml_node *key = rub_reader_scalar(o->r, o->at.file, o->at.line, o->at.column, name);
    if (!key)
        return;
    map->key[map->n] = key;
    map->value[map->n++] = o->value;
    o->n_done++;
}

static rub_yaml_node *apply(override *o, const rub_yaml_node *node, const char *path, int depth);

static void apply_all(override *o, rub_yaml_node *copy, const char *path, int depth) {
    for (size_t i = 0; i < copy->n && !o->failed; i++) {
        rub_yaml_node *child = copy->value[i];
        /* '*' at a place where some have the rest of the path and some have not */
        int visits = 0;
        const char *rest = after(path, 1);
        if (*rest && !exists(child, rest, &visits) && (strchr(rest, '.') || o->factor != 0.0))
            continue;
        copy->value[i] = *rest ? apply(o, child, rest, depth + 1) : replaced(o, child);
    }
}

/* A copy of node in which what path leads to is replaced; NULL when failed. */
static rub_yaml_node *apply(override *o, const rub_yaml_node *node, const char *path, int depth) {
    rub_yaml_node *copy =
        node->kind == RUB_YAML_SCALAR || depth > RUB_YAML_MAX_DEPTH ? NULL : clone(o, node);
    size_t taken;
    if (!copy) {
        if (!o->r->out_of_memory)
            fail(o, RUB_NOT_FOUND, "'%.80s' leads into a single value, expected the path of a key",
                 o->path, "");
        return NULL;
    }
    if (match(path, "*")) {
        apply_all(o, copy, path, depth);
        return copy;
    }
    size_t i = find_child(copy, path, &taken);
    if (i != SIZE_MAX) {
        const char *rest = after(path, taken);
        copy->value[i] =
            *rest ? apply(o, copy->value[i], rest, depth + 1) : replaced(o, copy->value[i]);
    } else if (strchr(path, '.') || node->kind == RUB_YAML_SEQUENCE) {
        char name[80];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(path, "."), path);
        const char *near = rub_reader_near(node, name);
        fail(o, RUB_NOT_FOUND,
             near ? "'%.60s' is not there, did you mean '%.60s'?"
                  : "'%.60s' is not there, expected a name of the study",
             name, near);
    } else
        add_key(o, copy, path);
    return copy;
}

/* ---- short forms ---------------------------------------------------------------------------- */

const char *rub_path_in_full(rub_reader *r, const rub_yaml_node *at, const char *key) {
    static const struct {
        const char *is, *means;
    } forms[] = {{"market.rent_in_price", "market.*.rent_in.*.price"},
                 {"market.rent_out_price", "market.*.rent_out.*.price"},
                 {"market.sublet_price", "market.*.sublet_price"}};
    for (size_t i = 0; i < RUB_LEN(forms); i++)
        if (strcmp(key, forms[i].is) == 0)
            return forms[i].means;
    if (strncmp(key, "partner.", 8) != 0)
        return key;
    const rub_yaml_node *partners = rub_yaml_get(r->root, "partners");
    size_t n = partners && partners->kind == RUB_YAML_MAPPING ? partners->n : 0;
    if (n != 1) {
        rub_reader_report(r, at, RUB_INVALID,
                          "'partner.' stands for the only partner, found %zu, expected "
                          "'partners.NAME.KEY'",
                          n);
        return NULL;
    }
    size_t size = strlen(key) + strlen(partners->key[0]->scalar) + 16;
    char *full = rub_reader_take(r, size);
    if (full)
        snprintf(full, size, "partners.%s.%s", partners->key[0]->scalar, key + 8);
    return full;
}

/* "x1.2", "*1.2", "+20%", "-20%": *factor; other values are set as they are. */
static void read_factor(const char *text, double *factor, bool *percent) {
    bool times = text[0] == 'x' || text[0] == '*', change = text[0] == '+' || text[0] == '-';
    char *end;
    if (!times && !change)
        return;
    double x = strtod(text + 1, &end);
    if (end == text + 1 || !isfinite(x) || x < 0)
        return;
    if (times && !*end)
        *factor = x;
    else if (change && strcmp(end, "%") == 0) {
        *factor = 1.0 + (text[0] == '-' ? -x : x) / 100.0;
        *percent = true;
    }
}

/* Sections that may be absent and have keys of their own. */
static const char *missing_section(const rub_yaml_node *root, const char *path) {
    static const char *const names[] = {"study",  "process", "tree",         "market",
                                        "budget", "risk",    "site_defaults"};
    for (size_t i = 0; i < RUB_LEN(names); i++)
        if (match(path, names[i]) && !rub_yaml_get(root, names[i]))
            return names[i];
    return NULL;
}

static void add_section(override *o, const char *name) {
    rub_yaml_node *root = clone(o, o->r->root);
    rub_yaml_node *key = rub_reader_scalar(o->r, o->at.file, o->at.line, o->at.column, name);
    rub_yaml_node *map = key ? rub_reader_mapping(o->r, key, 0) : NULL;
    if (!root || !map)
        return;
    root->key[root->n] = key;
    root->value[root->n++] = map;
    o->r->root = root;
}

static bool read_value(override *o, const char *text) {
    rub_reader *r = o->r;
    rub_error err = {0};
    rub_yaml *doc = NULL;
    read_factor(text, &o->factor, &o->percent);
    if (o->factor != 0.0)
        return true;
    if (rub_yaml_read(o->at.file, text, strlen(text), &doc, &err) != RUB_OK) {
        err.line = err.column = 0;
        rub_reader_add(r, &err, false);
        return false;
    }
    if (RUB_ARRAY_PUSH(r->doc, r->n_doc, r->cap_doc, doc) != RUB_OK) {
        rub_yaml_free(doc);
        r->out_of_memory = true;
        return false;
    }
    o->value = rub_yaml_root(doc);
    return true;
}

void rub_reader_set(rub_reader *r, const rub_yaml_node *at, const char *path,
                    rub_yaml_node *value) {
    override o = {.r = r, .at = *at, .path = path, .value = value};
    if (value->kind == RUB_YAML_SCALAR)
        read_factor(value->scalar, &o.factor, &o.percent);
    const char *section = missing_section(r->root, path);
    if (section)
        add_section(&o, section);
    rub_yaml_node *root = apply(&o, r->root, path, 0);
    if (root && !o.failed && o.n_done == 0)
        fail(&o, RUB_NOT_FOUND, "nothing stands at '%.80s'", path, "");
    if (root && !o.failed && !r->out_of_memory)
        r->root = root;
}

double rub_path_factor(const rub_yaml_node *value) {
    double factor = 0.0;
    bool percent = false;
    if (value->kind == RUB_YAML_SCALAR)
        read_factor(value->scalar, &factor, &percent);
    return factor;
}

const char *rub_path_below(const rub_yaml_node *map, const char *path) {
    size_t taken = match(path, "*");
    if (!taken &&
        (!map || map->kind != RUB_YAML_MAPPING || find_child(map, path, &taken) == SIZE_MAX))
        return NULL;
    return after(path, taken);
}

bool rub_study_key_covers(const char *key, const char *path) {
    for (; *key; key++, path++) {
        if (*key == '*') {
            for (const char *p = path; *p; p++)
                if (rub_study_key_covers(key + 1, p))
                    return true;
            return !key[1];
        }
        if (*key != *path)
            return false;
    }
    return !*path || *path == '.';
}

void rub_reader_override(rub_reader *r, const char *text) {
    char name[200];
    snprintf(name, sizeof name, "--what-if %.180s", text);
    char *file = rub_reader_take_text(r, name, strlen(name));
    const char *equals = strchr(text, '=');
    override o = {.r = r, .at = {.file = file, .line = 1, .column = 1}};
    if (!file)
        return;
    if (!equals || equals == text || !equals[1]) {
        fail(&o, RUB_PARSE, "found no '=' with a key before and a value after, expected KEY=VALUE",
             "", "");
        return;
    }
    char *key = rub_reader_take_text(r, text, (size_t)(equals - text));
    o.path = key ? rub_path_in_full(r, &o.at, key) : NULL;
    if (!o.path || !read_value(&o, equals + 1))
        return;
    const char *section = missing_section(r->root, o.path);
    if (section)
        add_section(&o, section);
    rub_yaml_node *root = apply(&o, r->root, o.path, 0);
    if (root && !o.failed && o.n_done == 0)
        fail(&o, RUB_NOT_FOUND, "nothing stands at '%.80s'", o.path, "");
    if (root && !o.failed && !r->out_of_memory)
        r->root = root;
}
