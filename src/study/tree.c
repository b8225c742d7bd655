/* The scenario tree of a study: branching, or nodes given in full. */
#include "study/fields.h"

#include "base/array.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUM_TOLERANCE 1e-6         /* of probabilities that have to add up to 1 */
#define MAX_TREE_BYTES (256 << 20) /* of what the nodes of a given tree hold together */

/* ---- branching ------------------------------------------------------------------------------ */

static bool add_children(rub_reader *r, const rub_yaml_node *at, const char *text, size_t n) {
    rub_study_tree *tree = &r->study->tree;
    char buf[16], *end;
    snprintf(buf, sizeof buf, "%.*s", (int)(n < 15 ? n : 15), text);
    long children = strtol(buf, &end, 10);
    if (end == buf || *end || children < 1 || children > 1000) {
        rub_reader_report(r, at, RUB_INVALID,
                          "'branching' has '%.*s', expected numbers from 1 to 1000 such as '1-3-2'",
                          (int)(n < 15 ? n : 15), text);
        return false;
    }
    int32_t *grown =
        realloc(tree->branching, ((size_t)tree->n_branching + 1) * sizeof *tree->branching);
    if (!grown) {
        r->out_of_memory = true;
        return false;
    }
    tree->branching = grown;
    tree->branching[tree->n_branching++] = (int32_t)children;
    return true;
}

#define MAX_BRANCHING 60

static void read_branching(rub_reader *r, const rub_yaml_node *value) {
    if (value->kind == RUB_YAML_MAPPING) {
        rub_reader_report(r, value, RUB_INVALID,
                          "'branching' is a mapping, expected numbers such as '1-3-2'");
        return;
    }
    bool ok = true;
    if (value->kind == RUB_YAML_SEQUENCE) {
        for (size_t i = 0; i < value->n && ok && i < MAX_BRANCHING; i++) {
            const rub_yaml_node *item = value->value[i];
            const char *text = item->kind == RUB_YAML_SCALAR ? item->scalar : "a list";
            ok = add_children(r, item, text, strlen(text));
        }
    } else {
        const char *p = value->scalar;
        do {
            size_t n = strcspn(p, "-");
            ok = add_children(r, value, p, n);
            p += n + (p[n] == '-');
        } while (ok && *p && r->study->tree.n_branching < MAX_BRANCHING);
    }
    int32_t steps = r->study->n_quarter - 1;
    if (ok && steps >= 0 && r->study->tree.n_branching > steps)
        rub_reader_report(r, value, RUB_INVALID,
                          "'branching' has %d numbers, expected at most %d for %d quarters",
                          r->study->tree.n_branching, steps, steps + 1);
    int64_t nodes = rub_study_tree_nodes(r->study);
    if (ok && nodes > RUB_STUDY_MAX_NODES)
        rub_reader_report(r, value, RUB_INVALID,
                          "'branching' gives more than %d nodes in %d quarters, expected fewer",
                          RUB_STUDY_MAX_NODES, steps + 1);
}

/* Sum over quarters of the product of the branching so far; stops above the limit. */
static int64_t count(const rub_study *study, bool leaves) {
    int64_t level = 1, nodes = 1;
    for (int32_t t = 1; t < study->n_quarter; t++) {
        if (t - 1 < study->tree.n_branching)
            level *= study->tree.branching[t - 1];
        nodes += level;
        if (nodes > RUB_STUDY_MAX_NODES)
            return (int64_t)RUB_STUDY_MAX_NODES + 1;
    }
    return leaves ? level : nodes;
}

int64_t rub_study_tree_nodes(const rub_study *study) {
    return study->tree.n_node ? study->tree.n_node : count(study, false);
}

int64_t rub_study_tree_leaves(const rub_study *study) {
    if (!study->tree.n_node)
        return count(study, true);
    return study->tree.n_leaf;
}

/* ---- nodes ---------------------------------------------------------------------------------- */

/* A name and its row, for finding parents among many nodes. */
typedef struct known {
    const char *name;
    int32_t index;
} known;

static int by_name(const void *a, const void *b) {
    return strcmp(((const known *)a)->name, ((const known *)b)->name);
}

/* What every node's reading needs. */
typedef struct nodes {
    rub_reader *r;
    const rub_yaml_node *map;
    known *sorted; /* (map->n) */
    int32_t *depth, *n_child;
    double *child_sum;
} nodes;

static int32_t find_node(const nodes *all, const char *name) {
    known key = {.name = name};
    const known *found = bsearch(&key, all->sorted, all->map->n, sizeof key, by_name);
    return found ? found->index : -1;
}

static bool allocate_node(rub_reader *r, rub_study_tree_node *node) {
    const rub_study *study = r->study;
    node->demand = rub_reader_new(r, (size_t)study->n_demand, sizeof *node->demand);
    node->partner_left = rub_reader_new(r, (size_t)study->n_partner, 1);
    node->rofr_exercised = rub_reader_new(r, (size_t)study->n_partner, 1);
    node->talks_ok = rub_reader_new(r, (size_t)study->n_site, 1);
    return node->demand && node->partner_left && node->rofr_exercised && node->talks_ok;
}

/* What a node does not say is as at its parent; the root is as the study. */
static void inherit(const rub_study *study, const rub_study_tree_node *parent,
                    rub_study_tree_node *node) {
    node->rent_factor = parent ? parent->rent_factor : 1.0;
    node->yield_factor = parent ? parent->yield_factor : 1.0;
    node->price_factor = parent ? parent->price_factor : 1.0;
    for (int32_t i = 0; i < study->n_demand; i++)
        node->demand[i] = parent ? parent->demand[i] : study->demand[i].base;
    if (!parent)
        return;
    if (study->n_partner)
        memcpy(node->partner_left, parent->partner_left, (size_t)study->n_partner);
    if (study->n_site)
        memcpy(node->talks_ok, parent->talks_ok, (size_t)study->n_site);
}

/* Sets flags by name: one name, names parted by ';', or a list. */
static void read_flags(rub_reader *r, const rub_entry *entry, const char *key, rub_section section,
                       uint8_t *flags) {
    const rub_yaml_node *value = rub_entry_get(entry, key);
    rub_field field = {.key = key, .kind = RUB_FIELD_REF, .min = section};
    int32_t index;
    if (!value)
        return;
    if (value->kind == RUB_YAML_SEQUENCE) {
        for (size_t i = 0; i < value->n; i++)
            if (rub_field_read(r, &field, value->value[i], 0, &index))
                flags[index] = 1;
        return;
    }
    if (value->kind != RUB_YAML_SCALAR) {
        rub_field_read(r, &field, value, 0, &index);
        return;
    }
    for (const char *p = value->scalar; *p;) {
        size_t n = strcspn(p, ";"), skip = strspn(p, " ");
        char *name = rub_reader_take_text(r, p + (skip < n ? skip : n), n - (skip < n ? skip : n));
        if (!name)
            return;
        rub_yaml_node one = *value;
        one.scalar = name;
        if (rub_field_read(r, &field, &one, 0, &index))
            flags[index] = 1;
        p += n + (p[n] == ';');
    }
}

static void read_loads(rub_reader *r, const rub_entry *entry, double *demand) {
    static const rub_field load = {"demand", RUB_FIELD_NUMBER,       0, "tok/s|accel", NULL, 0,
                                   1e18,     "1.4M tok/s|60k accel", ""};
    const rub_yaml_node *map = rub_entry_get(entry, "demand");
    if (!map)
        return;
    if (map->kind != RUB_YAML_MAPPING) {
        rub_reader_report(r, map, RUB_INVALID,
                          "'demand' is %s, expected loads by name such as '{chat: 1.4M tok/s}'",
                          rub_yaml_kind_text(map));
        return;
    }
    for (size_t i = 0; i < map->n; i++) {
        const char *name = map->key[i]->scalar;
        int32_t index = rub_reader_find(r, RUB_SECTION_DEMAND, name);
        rub_field field = load;
        field.key = name;
        if (index >= 0) {
            bool training = r->study->demand[index].load_class == RUB_TRAINING;
            rub_field_read(r, &field, map->value[i], training, &demand[index]);
            continue;
        }
        const char *near = rub_reader_near(r->section[RUB_SECTION_DEMAND], name);
        rub_reader_unknown(r, RUB_SECTION_DEMAND, map->key[i],
                           near ? "'demand' names '%.60s', which is not among the demands, did you "
                                  "mean '%.60s'?"
                                : "'demand' names '%.60s', expected one of the demands",
                           name, near);
    }
}

static void read_parts(rub_reader *r, const rub_entry *entry, rub_study_tree_node *node) {
    read_loads(r, entry, node->demand);
    read_flags(r, entry, "left", RUB_SECTION_PARTNERS, node->partner_left);
    read_flags(r, entry, "exercised", RUB_SECTION_PARTNERS, node->rofr_exercised);
    read_flags(r, entry, "closed", RUB_SECTION_SITES, node->talks_ok);
}

bool rub_reader_after(rub_reader *r, const rub_entry *entry, const rub_study_tree_node *before,
                      rub_study_tree_node *node) {
    if (!allocate_node(r, node))
        return false;
    inherit(r->study, before, node);
    read_parts(r, entry, node);
    return !r->out_of_memory;
}

/* The parent's index; -1 for the root; -2 when reported. */
static int32_t read_parent(const nodes *all, const rub_entry *entry, size_t i) {
    const rub_yaml_node *value = rub_entry_get(entry, "parent");
    rub_reader *r = all->r;
    if (!value && i == 0)
        return -1;
    if (!value || value->kind != RUB_YAML_SCALAR) {
        rub_reader_report(r, entry->at, RUB_INVALID,
                          "node '%.60s' has no 'parent', expected one: only the first has none",
                          entry->name);
        return -2;
    }
    int32_t parent = find_node(all, value->scalar);
    if (parent >= 0 && (size_t)parent < i)
        return parent;
    rub_reader_report(r, value, parent < 0 ? RUB_NOT_FOUND : RUB_INVALID,
                      "'parent' names node '%.60s', %s, expected one that stands before",
                      value->scalar, parent < 0 ? "which is not there" : "which comes later");
    return -2;
}

static bool read_node(nodes *all, size_t i) {
    rub_reader *r = all->r;
    const rub_yaml_node *map = all->map->value[i];
    static const rub_yaml_node empty = {.kind = RUB_YAML_MAPPING, .n_nodes = 1, .file = ""};
    rub_study_tree *tree = &r->study->tree;
    rub_study_tree_node *node = &tree->node[i];
    rub_entry entry = {.record = &rub_record_node,
                       .at = all->map->key[i],
                       .map = rub_yaml_is_null(map) ? &empty : map,
                       .name = all->map->key[i]->scalar};
    if (entry.map->kind != RUB_YAML_MAPPING) {
        rub_reader_report(r, map, RUB_INVALID, "node '%.60s' is %s, expected its keys", entry.name,
                          rub_yaml_kind_text(map));
        return false;
    }
    node->parent = read_parent(all, &entry, i);
    if (node->parent < -1)
        return false;
    inherit(r->study, node->parent >= 0 ? &tree->node[node->parent] : NULL, node);
    rub_entry_read(r, &entry, node);
    read_parts(r, &entry, node);
    if (node->parent >= 0) {
        all->depth[i] = all->depth[node->parent] + 1;
        all->n_child[node->parent]++;
        all->child_sum[node->parent] += node->prob;
    }
    return !r->out_of_memory;
}

static void check_nodes(const nodes *all) {
    rub_reader *r = all->r;
    char last[16], stands[16];
    int32_t end = r->study->n_quarter - 1;
    for (size_t i = 0; i < all->map->n; i++) {
        const rub_yaml_node *key = all->map->key[i];
        int32_t q = r->study->start_q + all->depth[i];
        rub_quarter_text(r->study->start_q + end, last, sizeof last);
        rub_quarter_text(q, stands, sizeof stands);
        if (all->n_child[i] && fabs(all->child_sum[i] - 1.0) > SUM_TOLERANCE)
            rub_reader_report(r, key, RUB_INVALID,
                              "probabilities of the children of node '%.60s' add up to %.6g %%, "
                              "expected 100 %%",
                              key->scalar, 100.0 * all->child_sum[i]);
        if (!all->n_child[i] && all->depth[i] < end)
            rub_reader_report(r, key, RUB_INVALID,
                              "node '%.60s' has no children but stands in %s, expected paths to go "
                              "on to %s",
                              key->scalar, stands, last);
        if (all->depth[i] > end)
            rub_reader_report(r, key, RUB_INVALID,
                              "node '%.60s' stands in %s, after the last quarter %s", key->scalar,
                              stands, last);
    }
}

static bool fits(rub_reader *r, const rub_yaml_node *map) {
    const rub_study *s = r->study;
    double per_node = (double)sizeof(rub_study_tree_node) + 8.0 * s->n_demand + 2.0 * s->n_partner +
                      1.0 * s->n_site + 128.0;
    if (map->n <= RUB_STUDY_MAX_NODES && per_node * (double)map->n <= MAX_TREE_BYTES)
        return true;
    rub_reader_report(r, map, RUB_INVALID, "'tree' has %zu nodes, expected at most %d", map->n,
                      RUB_STUDY_MAX_NODES);
    return false;
}

static void read_nodes(rub_reader *r, const rub_yaml_node *map) {
    nodes all = {.r = r,
                 .map = map,
                 .sorted = rub_reader_take(r, map->n * sizeof *all.sorted),
                 .depth = rub_reader_take(r, map->n * sizeof *all.depth),
                 .n_child = rub_reader_take(r, map->n * sizeof *all.n_child),
                 .child_sum = rub_reader_take(r, map->n * sizeof *all.child_sum)};
    rub_study_tree *tree = &r->study->tree;
    tree->node = rub_reader_new(r, map->n, sizeof *tree->node);
    if (r->out_of_memory)
        return;
    tree->n_node = (int32_t)map->n;
    for (size_t i = 0; i < map->n; i++) {
        all.sorted[i] = (known){map->key[i]->scalar, (int32_t)i};
        if (!allocate_node(r, &tree->node[i]))
            return;
    }
    qsort(all.sorted, map->n, sizeof *all.sorted, by_name);
    size_t before = r->findings->n_error;
    for (size_t i = 0; i < map->n; i++)
        if (!read_node(&all, i))
            return;
    for (size_t i = 0; i < map->n; i++)
        tree->n_leaf += all.n_child[i] == 0;
    if (r->findings->n_error == before && r->study->n_quarter > 0)
        check_nodes(&all);
}

void rub_reader_tree(rub_reader *r) {
    const rub_yaml_node *map = rub_yaml_get(r->root, "tree");
    const rub_yaml_node *key = rub_yaml_key(r->root, "tree");
    if (!map || rub_yaml_is_null(map))
        return;
    if (map->kind != RUB_YAML_MAPPING) {
        rub_reader_report(r, map, RUB_INVALID, "'tree' is %s, expected 'branching' or 'nodes'",
                          rub_yaml_kind_text(map));
        return;
    }
    rub_entry entry = {.record = &rub_record_tree, .at = key, .map = map};
    rub_entry_read(r, &entry, &r->study->tree);
    const rub_yaml_node *branching = rub_entry_get(&entry, "branching");
    const rub_yaml_node *given = rub_entry_get(&entry, "nodes");
    if (branching && given) {
        rub_reader_report(r, branching, RUB_INVALID,
                          "'tree' has both 'branching' and 'nodes', expected one of them");
        return;
    }
    if (branching)
        read_branching(r, branching);
    if (given && (given->kind != RUB_YAML_MAPPING || given->n == 0))
        rub_reader_report(r, given, RUB_INVALID, "'nodes' is %s, expected nodes by name",
                          given->n ? rub_yaml_kind_text(given) : "empty");
    else if (given && fits(r, given))
        read_nodes(r, given);
}
