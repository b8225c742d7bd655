/* libyaml's events composed into nodes. All memory of a document comes from one list of chunks and
 * goes with it; children are gathered on a stack and copied out when their parent ends. */
#include "base/yaml.h"

#include "base/array.h"
#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

typedef struct chunk chunk;
struct chunk {
    chunk *next;
    size_t used, size;
    max_align_t bytes[];
};

struct rub_yaml {
    chunk *chunks;
    rub_yaml_node *root;
};

typedef struct anchor {
    const char *name;
    rub_yaml_node *node;
} anchor;

typedef struct composer {
    yaml_parser_t parser;
    rub_yaml *doc;
    const char *file;
    rub_error *err;
    rub_yaml_node **stack; /* children of the open collections (n_stack) */
    size_t n_stack, cap_stack;
    anchor *anchors;
    size_t n_anchor, cap_anchor;
    size_t n_nodes; /* composed so far, aliases written out */
} composer;

static void *take(rub_yaml *doc, size_t n) {
    n = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (!doc->chunks || doc->chunks->size - doc->chunks->used < n) {
        size_t size = n > 16384 ? n : 16384;
        chunk *c = malloc(sizeof *c + size);
        if (!c)
            return NULL;
        *c = (chunk){.next = doc->chunks, .size = size};
        doc->chunks = c;
    }
    void *p = (char *)doc->chunks->bytes + doc->chunks->used;
    doc->chunks->used += n;
    memset(p, 0, n);
    return p;
}

static char *take_text(rub_yaml *doc, const char *s, size_t n) {
    char *copy = take(doc, n + 1);
    if (copy)
        memcpy(copy, s, n);
    return copy;
}

static rub_status no_memory(composer *c) {
    return rub_error_at(c->err, RUB_NO_MEMORY, c->file, 0, 0, "out of memory");
}

static rub_status fail(composer *c, yaml_mark_t mark, const char *message) {
    return rub_error_at(c->err, RUB_PARSE, c->file, (int64_t)mark.line + 1,
                        (int64_t)mark.column + 1, "%s", message);
}

static rub_status fail_parser(composer *c) {
    const yaml_parser_t *p = &c->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(c);
    if (p->error == YAML_READER_ERROR)
        return rub_error_at(c->err, RUB_PARSE, c->file, (int64_t)p->mark.line + 1,
                            (int64_t)p->mark.column + 1, "%s at byte %zu, expected UTF-8 text",
                            p->problem ? p->problem : "broken text", p->problem_offset);
    return rub_error_at(c->err, RUB_PARSE, c->file, (int64_t)p->problem_mark.line + 1,
                        (int64_t)p->problem_mark.column + 1, "%s%s%s",
                        p->problem ? p->problem : "broken YAML", p->context ? ", " : "",
                        p->context ? p->context : "");
}

static rub_status next_event(composer *c, yaml_event_t *event) {
    return yaml_parser_parse(&c->parser, event) ? RUB_OK : fail_parser(c);
}

static rub_yaml_node *new_node(composer *c, rub_yaml_kind kind, yaml_mark_t mark) {
    rub_yaml_node *node = take(c->doc, sizeof *node);
    if (node)
        *node = (rub_yaml_node){.kind = kind,
                                .line = (int32_t)mark.line + 1,
                                .column = (int32_t)mark.column + 1,
                                .file = c->file,
                                .n_nodes = 1,
                                .n_levels = 1};
    return node;
}

static rub_status count_nodes(composer *c, size_t n, yaml_mark_t mark) {
    c->n_nodes += n;
    return c->n_nodes <= RUB_YAML_MAX_NODES
               ? RUB_OK
               : fail(c, mark, "more than 2,000,000 values (aliases written out), expected fewer");
}

static rub_status add_anchor(composer *c, const yaml_char_t *name, rub_yaml_node *node) {
    if (!name)
        return RUB_OK;
    char *copy = take_text(c->doc, (const char *)name, strlen((const char *)name));
    if (!copy ||
        RUB_ARRAY_PUSH(c->anchors, c->n_anchor, c->cap_anchor, ((anchor){copy, node})) != RUB_OK)
        return no_memory(c);
    return RUB_OK;
}

static rub_status compose_alias(composer *c, const yaml_event_t *event, int depth,
                                rub_yaml_node **out) {
    const char *name = (const char *)event->data.alias.anchor;
    for (size_t i = c->n_anchor; i-- > 0;)
        if (strcmp(c->anchors[i].name, name) == 0) {
            *out = c->anchors[i].node;
            if (depth + (*out)->n_levels > RUB_YAML_MAX_DEPTH + 1)
                return fail(c, event->start_mark, "nested deeper than 64 levels, expected fewer");
            return count_nodes(c, (*out)->n_nodes, event->start_mark);
        }
    return fail(c, event->start_mark, "alias of an anchor that is not known or not yet complete");
}

static rub_status compose_scalar(composer *c, const yaml_event_t *event, rub_yaml_node **out) {
    const char *value = (const char *)event->data.scalar.value;
    size_t n = event->data.scalar.length;
    if (memchr(value, 0, n))
        return fail(c, event->start_mark, "text holds a NUL byte, expected none");
    RUB_TRY(count_nodes(c, 1, event->start_mark));
    rub_yaml_node *node = new_node(c, RUB_YAML_SCALAR, event->start_mark);
    char *text = node ? take_text(c->doc, value, n) : NULL;
    if (!text)
        return no_memory(c);
    node->scalar = text;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    *out = node;
    return add_anchor(c, event->data.scalar.anchor, node);
}

/* Small mappings are compared pairwise; large ones through a sorted copy of the keys. */
static int by_text(const void *a, const void *b) {
    const rub_yaml_node *x = *(rub_yaml_node *const *)a, *y = *(rub_yaml_node *const *)b;
    int order = strcmp(x->scalar, y->scalar);
    if (order != 0)
        return order;
    return x->line != y->line ? (x->line < y->line ? -1 : 1)
                              : (x->column > y->column) - (x->column < y->column);
}

static rub_status check_unique(composer *c, const rub_yaml_node *map) {
    if (map->n < 2)
        return RUB_OK;
    rub_yaml_node **sorted = malloc(map->n * sizeof(rub_yaml_node *));
    if (!sorted)
        return no_memory(c);
    memcpy(sorted, map->key, map->n * sizeof(rub_yaml_node *));
    qsort(sorted, map->n, sizeof *sorted, by_text);
    rub_status status = RUB_OK;
    for (size_t i = 1; i < map->n && status == RUB_OK; i++)
        if (strcmp(sorted[i - 1]->scalar, sorted[i]->scalar) == 0)
            status = rub_error_at(c->err, RUB_PARSE, c->file, sorted[i]->line, sorted[i]->column,
                                  "key '%.80s' appears twice (first at line %d), expected once",
                                  sorted[i]->scalar, sorted[i - 1]->line);
    free(sorted);
    return status;
}

static rub_status compose(composer *c, const yaml_event_t *event, int depth, rub_yaml_node **out);

/* Takes the children above base off the stack into node. step 2: key, value, key, ... */
static rub_status close_collection(composer *c, rub_yaml_node *node, size_t base, size_t step) {
    size_t n = (c->n_stack - base) / step;
    node->n = n;
    node->value = take(c->doc, (n ? n : 1) * sizeof(rub_yaml_node *));
    node->key = step == 2 ? take(c->doc, (n ? n : 1) * sizeof(rub_yaml_node *)) : NULL;
    if (!node->value || (step == 2 && !node->key))
        return no_memory(c);
    for (size_t i = 0; i < n; i++) {
        if (step == 2)
            node->key[i] = c->stack[base + 2 * i];
        node->value[i] = c->stack[base + step * i + step - 1];
    }
    for (size_t i = base; i < c->n_stack; i++) {
        node->n_nodes += c->stack[i]->n_nodes;
        if (c->stack[i]->n_levels >= node->n_levels)
            node->n_levels = c->stack[i]->n_levels + 1;
    }
    c->n_stack = base;
    return step == 2 ? check_unique(c, node) : RUB_OK;
}

static rub_status compose_collection(composer *c, const yaml_event_t *start, int depth,
                                     rub_yaml_node **out) {
    bool is_map = start->type == YAML_MAPPING_START_EVENT;
    if (depth >= RUB_YAML_MAX_DEPTH)
        return fail(c, start->start_mark, "nested deeper than 64 levels, expected fewer");
    RUB_TRY(count_nodes(c, 1, start->start_mark));
    rub_yaml_node *node =
        new_node(c, is_map ? RUB_YAML_MAPPING : RUB_YAML_SEQUENCE, start->start_mark);
    if (!node)
        return no_memory(c);
    size_t base = c->n_stack;
    for (;;) {
        yaml_event_t event;
        RUB_TRY(next_event(c, &event));
        if (event.type == YAML_MAPPING_END_EVENT || event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            break;
        }
        rub_yaml_node *child = NULL;
        bool is_key = is_map && (c->n_stack - base) % 2 == 0;
        rub_status status = compose(c, &event, depth + 1, &child);
        if (status == RUB_OK && is_key && child->kind != RUB_YAML_SCALAR)
            status = fail(c, event.start_mark, "a key is a list or mapping, expected plain text");
        if (status == RUB_OK && RUB_ARRAY_PUSH(c->stack, c->n_stack, c->cap_stack, child) != RUB_OK)
            status = no_memory(c);
        yaml_event_delete(&event);
        RUB_TRY(status);
    }
    RUB_TRY(close_collection(c, node, base, is_map ? 2 : 1));
    *out = node;
    return add_anchor(
        c, is_map ? start->data.mapping_start.anchor : start->data.sequence_start.anchor, node);
}

static rub_status compose(composer *c, const yaml_event_t *event, int depth, rub_yaml_node **out) {
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return compose_alias(c, event, depth, out);
    case YAML_SCALAR_EVENT:
        return compose_scalar(c, event, out);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return compose_collection(c, event, depth, out);
    default:
        return fail(c, event->start_mark, "unexpected end of a value");
    }
}

/* Reads up to the one document's end; anything after it is an error. */
static rub_status compose_document(composer *c) {
    bool done = false;
    while (!done) {
        yaml_event_t event;
        RUB_TRY(next_event(c, &event));
        rub_status status = RUB_OK;
        if (event.type == YAML_STREAM_END_EVENT)
            done = true;
        else if (event.type == YAML_DOCUMENT_START_EVENT && c->doc->root)
            status = fail(c, event.start_mark, "a second document begins, expected one");
        else if (event.type == YAML_SCALAR_EVENT || event.type == YAML_SEQUENCE_START_EVENT ||
                 event.type == YAML_MAPPING_START_EVENT || event.type == YAML_ALIAS_EVENT)
            status = compose(c, &event, 0, &c->doc->root);
        yaml_event_delete(&event);
        RUB_TRY(status);
    }
    if (!c->doc->root)
        return rub_error_at(c->err, RUB_PARSE, c->file, 1, 1, "found nothing, expected a document");
    return RUB_OK;
}

/* Parses into doc (its chunks; doc->root is set). */
static rub_status read_into(rub_yaml *doc, const char *name, const char *bytes, size_t n,
                            rub_error *err) {
    composer c = {.doc = doc, .err = err, .file = name};
    c.file = take_text(doc, name ? name : "", name ? strlen(name) : 0);
    if (!c.file)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    if (!yaml_parser_initialize(&c.parser))
        return no_memory(&c);
    yaml_parser_set_input_string(&c.parser, (const unsigned char *)bytes, n);
    yaml_parser_set_encoding(&c.parser, YAML_UTF8_ENCODING);
    rub_status status = compose_document(&c);
    yaml_parser_delete(&c.parser);
    free(c.stack);
    free(c.anchors);
    return status;
}

rub_status rub_yaml_read(const char *name, const char *bytes, size_t n, rub_yaml **out,
                         rub_error *err) {
    rub_yaml *doc = RUB_NEW(rub_yaml, 1);
    if (!doc)
        return rub_error_at(err, RUB_NO_MEMORY, name, 0, 0, "out of memory");
    rub_status status = read_into(doc, name, bytes ? bytes : "", bytes ? n : 0, err);
    if (status != RUB_OK) {
        rub_yaml_free(doc);
        return status;
    }
    *out = doc;
    return RUB_OK;
}

void rub_yaml_free(rub_yaml *doc) {
    if (!doc)
        return;
    for (chunk *c = doc->chunks; c;) {
        chunk *next = c->next;
        free(c);
        c = next;
    }
    free(doc);
}

rub_yaml_node *rub_yaml_root(const rub_yaml *doc) { return doc->root; }

static size_t find(const rub_yaml_node *map, const char *key) {
    if (!map || map->kind != RUB_YAML_MAPPING)
        return SIZE_MAX;
    for (size_t i = 0; i < map->n; i++)
        if (strcmp(map->key[i]->scalar, key) == 0)
            return i;
    return SIZE_MAX;
}

rub_yaml_node *rub_yaml_get(const rub_yaml_node *map, const char *key) {
    size_t i = find(map, key);
    return i == SIZE_MAX ? NULL : map->value[i];
}

rub_yaml_node *rub_yaml_key(const rub_yaml_node *map, const char *key) {
    size_t i = find(map, key);
    return i == SIZE_MAX ? NULL : map->key[i];
}

rub_status rub_yaml_put(rub_yaml *doc, rub_yaml_node *map, const char *key, const char *name,
                        const char *text, rub_error *err) {
    RUB_TRY(rub_yaml_expect(map, RUB_YAML_MAPPING, key, err));
    rub_yaml fresh = {.chunks = doc->chunks};
    rub_status status = read_into(&fresh, name, text, strlen(text), err);
    doc->chunks = fresh.chunks; /* new chunks stand in front of the old ones */
    RUB_TRY(status);
    size_t i = find(map, key);
    if (i != SIZE_MAX) {
        map->value[i] = fresh.root;
        return RUB_OK;
    }
    size_t bytes = (map->n + 1) * sizeof(rub_yaml_node *);
    rub_yaml_node **keys = take(doc, bytes), **values = take(doc, bytes);
    rub_yaml_node *node = take(doc, sizeof *node);
    char *copy = take_text(doc, key, strlen(key));
    if (!keys || !values || !node || !copy)
        return rub_error_at(err, RUB_NO_MEMORY, name, 0, 0, "out of memory");
    *node = (rub_yaml_node){.line = fresh.root->line,
                            .column = fresh.root->column,
                            .file = fresh.root->file,
                            .scalar = copy,
                            .n_nodes = 1,
                            .n_levels = 1};
    if (map->n > 0) {
        memcpy(keys, map->key, map->n * sizeof *keys);
        memcpy(values, map->value, map->n * sizeof *values);
    }
    keys[map->n] = node;
    values[map->n] = fresh.root;
    map->key = keys;
    map->value = values;
    map->n++;
    return RUB_OK;
}

bool rub_yaml_is_null(const rub_yaml_node *node) {
    return node->kind == RUB_YAML_SCALAR && !node->quoted &&
           (!*node->scalar || strcmp(node->scalar, "~") == 0 || strcmp(node->scalar, "null") == 0);
}

const char *rub_yaml_kind_text(const rub_yaml_node *node) {
    if (node->kind == RUB_YAML_MAPPING)
        return "a mapping";
    if (node->kind == RUB_YAML_SEQUENCE)
        return "a list";
    return rub_yaml_is_null(node) ? "nothing" : "text";
}

rub_status rub_yaml_error(const rub_yaml_node *node, rub_error *err, rub_status code,
                          const char *format, ...) {
    char message[sizeof((rub_error *)0)->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return rub_error_at(err, code, node->file, node->line, node->column, "%s", message);
}

rub_status rub_yaml_expect(const rub_yaml_node *node, rub_yaml_kind kind, const char *what,
                           rub_error *err) {
    static const char *const wanted[] = {"a single value", "a list", "a mapping"};
    if (node->kind == kind)
        return RUB_OK;
    return rub_yaml_error(node, err, RUB_INVALID, "'%s' is %s, expected %s", what,
                          rub_yaml_kind_text(node), wanted[kind]);
}

rub_status rub_yaml_text(const rub_yaml_node *node, const char *what, const char **out,
                         rub_error *err) {
    if (node->kind != RUB_YAML_SCALAR || rub_yaml_is_null(node))
        return rub_yaml_error(node, err, RUB_INVALID, "'%s' is %s, expected text", what,
                              rub_yaml_kind_text(node));
    *out = node->scalar;
    return RUB_OK;
}

rub_status rub_yaml_double(const rub_yaml_node *node, const char *what, double min, double max,
                           double *out, rub_error *err) {
    char *end = NULL;
    double x = node->kind == RUB_YAML_SCALAR ? strtod(node->scalar, &end) : 0.0;
    if (!end || end == node->scalar || *end || !isfinite(x))
        return rub_yaml_error(node, err, RUB_INVALID, "'%s' is %.60s, expected a number", what,
                              node->scalar && *node->scalar ? node->scalar
                                                            : rub_yaml_kind_text(node));
    if (x < min || x > max)
        return rub_yaml_error(node, err, RUB_INVALID, "'%s' is %.12g, expected %.12g to %.12g",
                              what, x, min, max);
    *out = x;
    return RUB_OK;
}

rub_status rub_yaml_int(const rub_yaml_node *node, const char *what, int64_t min, int64_t max,
                        int64_t *out, rub_error *err) {
    char *end = NULL;
    errno = 0;
    long long x = node->kind == RUB_YAML_SCALAR ? strtoll(node->scalar, &end, 10) : 0;
    if (!end || end == node->scalar || *end || errno)
        return rub_yaml_error(
            node, err, RUB_INVALID, "'%s' is %.60s, expected a whole number", what,
            node->scalar && *node->scalar ? node->scalar : rub_yaml_kind_text(node));
    if (x < min || x > max)
        return rub_yaml_error(node, err, RUB_INVALID, "'%s' is %lld, expected %lld to %lld", what,
                              x, (long long)min, (long long)max);
    *out = x;
    return RUB_OK;
}

rub_status rub_yaml_bool(const rub_yaml_node *node, const char *what, bool *out, rub_error *err) {
    bool is_true = node->kind == RUB_YAML_SCALAR && strcmp(node->scalar, "true") == 0;
    bool is_false = node->kind == RUB_YAML_SCALAR && strcmp(node->scalar, "false") == 0;
    if (!is_true && !is_false)
        return rub_yaml_error(node, err, RUB_INVALID, "'%s' is %.60s, expected true or false", what,
                              node->scalar ? node->scalar : rub_yaml_kind_text(node));
    *out = is_true;
    return RUB_OK;
}

rub_status rub_yaml_known_keys(const rub_yaml_node *map, const char *const *keys, size_t n,
                               const char *where, rub_error *err) {
    RUB_TRY(rub_yaml_expect(map, RUB_YAML_MAPPING, where, err));
    for (size_t i = 0; i < map->n; i++) {
        const char *key = map->key[i]->scalar;
        size_t j = 0;
        while (j < n && strcmp(keys[j], key) != 0)
            j++;
        if (j < n)
            continue;
        const char *near = rub_text_nearest(key, keys, n);
        return rub_yaml_error(map->key[i], err, RUB_INVALID,
                              near ? "unknown key '%.60s' in %s, did you mean '%s'?"
                                   : "unknown key '%.60s' in %s",
                              key, where, near);
    }
    return RUB_OK;
}
