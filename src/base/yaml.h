/* YAML documents as a tree of nodes, each with its file, line and column, so that whoever reads a
 * value can say where it stands. One document a file; keys are scalars and unique in their mapping.
 *
 * Aliases (*name) share the anchored node. Limits keep hostile input small: RUB_YAML_MAX_DEPTH
 * levels and RUB_YAML_MAX_NODES nodes, both counted as if every alias were written out. */
#ifndef RUB_BASE_YAML_H
#define RUB_BASE_YAML_H

#include "rubato/base.h"

#define RUB_YAML_MAX_DEPTH 64
#define RUB_YAML_MAX_NODES 2000000

typedef enum rub_yaml_kind { RUB_YAML_SCALAR, RUB_YAML_SEQUENCE, RUB_YAML_MAPPING } rub_yaml_kind;

typedef struct rub_yaml_node rub_yaml_node;
struct rub_yaml_node {
    rub_yaml_kind kind;
    bool quoted;           /* scalar written with quotes or as a block: always text */
    int32_t line, column;  /* from 1 */
    const char *file;      /* name given to rub_yaml_read */
    const char *scalar;    /* SCALAR: NUL-terminated text; NULL otherwise */
    size_t n;              /* SEQUENCE: items; MAPPING: pairs; SCALAR: 0 */
    rub_yaml_node **key;   /* MAPPING: scalar nodes (n) */
    rub_yaml_node **value; /* SEQUENCE: items; MAPPING: values (n) */
    size_t n_nodes;        /* of this subtree, aliases written out */
    int32_t n_levels;      /* of this subtree, 1 for a scalar */
};

typedef struct rub_yaml rub_yaml; /* a document; owns its nodes */

/* Parses bytes[n] as one YAML document. name appears in errors. Errors: RUB_PARSE with line and
 * column (syntax, duplicate key, several documents, empty, limits), RUB_NO_MEMORY. */
rub_status rub_yaml_read(const char *name, const char *bytes, size_t n, rub_yaml **out,
                         rub_error *err);
void rub_yaml_free(rub_yaml *doc);

/* The document's top node; never NULL. */
rub_yaml_node *rub_yaml_root(const rub_yaml *doc);

/* Value of key in a mapping; NULL when absent or map is NULL or not a mapping. O(pairs). */
rub_yaml_node *rub_yaml_get(const rub_yaml_node *map, const char *key);

/* The key's own node (for its line and column), or NULL. */
rub_yaml_node *rub_yaml_key(const rub_yaml_node *map, const char *key);

/* true for an unquoted empty scalar, ~ or null. */
bool rub_yaml_is_null(const rub_yaml_node *node);

/* "a mapping", "a list", "text" or "nothing": for messages. */
const char *rub_yaml_kind_text(const rub_yaml_node *node);

/* Fills *err with the node's place and a printf-style message; returns code. */
rub_status rub_yaml_error(const rub_yaml_node *node, rub_error *err, rub_status code,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));

/* node must be of kind; otherwise RUB_INVALID "found X, expected Y". what names the value. */
rub_status rub_yaml_expect(const rub_yaml_node *node, rub_yaml_kind kind, const char *what,
                           rub_error *err);

/* Scalar as text (not null), number (finite, within [min, max]), integer, or true/false. what names
 * the value in messages. Errors: RUB_INVALID with place; *out untouched. */
rub_status rub_yaml_text(const rub_yaml_node *node, const char *what, const char **out,
                         rub_error *err);
rub_status rub_yaml_double(const rub_yaml_node *node, const char *what, double min, double max,
                           double *out, rub_error *err);
rub_status rub_yaml_int(const rub_yaml_node *node, const char *what, int64_t min, int64_t max,
                        int64_t *out, rub_error *err);
rub_status rub_yaml_bool(const rub_yaml_node *node, const char *what, bool *out, rub_error *err);

/* Every key of the mapping must be one of keys[n]; otherwise RUB_INVALID at the key, with a
 * suggestion when one is near. where names the mapping ("a site"). */
rub_status rub_yaml_known_keys(const rub_yaml_node *map, const char *const *keys, size_t n,
                               const char *where, rub_error *err);

/* Sets or replaces key in a mapping of doc by what `text` says as YAML (overrides such as
 * --what-if). name stands for a file in errors about the new value. Errors: as rub_yaml_read. */
rub_status rub_yaml_put(rub_yaml *doc, rub_yaml_node *map, const char *key, const char *name,
                        const char *text, rub_error *err);

#endif
