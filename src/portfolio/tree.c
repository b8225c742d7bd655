/* Tree: paths reduced by nested clustering, or a tree given in full by the study.
 *
 * From the root on, the paths of a node are split into as many clusters as the study's branching says
 * for the quarter (k-means on standardised loads, departures, rental price and yield of the coming
 * quarters, from a start that sorts paths by their sum, so nothing depends on chance). A node's values
 * are its paths' means, so means are kept quarter by quarter; what is yes or no in a node (orders,
 * partners' rights, talks) is rounded so that its frequency over the nodes of the quarter stays as near
 * to the paths' as it can. Heitsch and Roemisch 2009 bound what such a reduction loses. */
#include "rubato/portfolio.h"

#include "base/array.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 4   /* quarters that clusters are told apart by */
#define ROUNDS 25 /* of k-means */
#define MOST_NODES 400000

typedef struct grower {
    const rub_study *study;
    const rub_paths *paths;
    rub_features f;
    rub_tree tree;
    size_t cap[6];
    int32_t *node_of; /* node that each path stands in (n_path) */
    double *scale;    /* 1 / standard deviation of a column in a quarter (n_quarter, n_feature) */
} grower;

void rub_tree_clear(rub_tree *tree) {
    free(tree->parent);
    free(tree->quarter);
    free(tree->first_child);
    free(tree->n_child);
    free(tree->prob);
    free(tree->feature);
    *tree = (rub_tree){0};
}

static const double *path_at(const rub_paths *p, int32_t path, int32_t t) {
    return p->value + ((size_t)path * (size_t)p->n_quarter + (size_t)t) * (size_t)p->n_feature;
}

static rub_status new_node(rub_tree *tree, size_t cap[6], int32_t parent, int32_t quarter,
                           double prob) {
    size_t n = (size_t)tree->n_node + 1;
    if (n > MOST_NODES ||
        rub_array_reserve((void **)&tree->parent, &cap[0], n, sizeof(int32_t)) != RUB_OK ||
        rub_array_reserve((void **)&tree->quarter, &cap[1], n, sizeof(int32_t)) != RUB_OK ||
        rub_array_reserve((void **)&tree->first_child, &cap[2], n, sizeof(int32_t)) != RUB_OK ||
        rub_array_reserve((void **)&tree->n_child, &cap[3], n, sizeof(int32_t)) != RUB_OK ||
        rub_array_reserve((void **)&tree->prob, &cap[4], n, sizeof(double)) != RUB_OK ||
        rub_array_reserve((void **)&tree->feature, &cap[5], n,
                          (size_t)tree->n_feature * sizeof(double)) != RUB_OK)
        return RUB_NO_MEMORY;
    int32_t i = tree->n_node++;
    tree->parent[i] = parent;
    tree->quarter[i] = quarter;
    tree->first_child[i] = tree->n_child[i] = 0;
    tree->prob[i] = prob;
    memset(tree->feature + (size_t)i * (size_t)tree->n_feature, 0,
           (size_t)tree->n_feature * sizeof(double));
    if (parent >= 0 && tree->n_child[parent]++ == 0)
        tree->first_child[parent] = i;
    return RUB_OK;
}

/* ---- clustering ------------------------------------------------------------------------------ */

/* Columns by which clusters are told apart. */
static int32_t telling(const grower *g, int32_t *column) {
    int32_t n = 0;
    for (int32_t i = 0; i < g->study->n_demand; i++)
        column[n++] = g->f.demand + i;
    for (int32_t k = 0; k < g->study->n_partner; k++)
        column[n++] = g->f.left + k;
    column[n++] = g->f.rent;
    column[n++] = g->f.yield;
    return n;
}

static rub_status standardise(grower *g) {
    const rub_paths *p = g->paths;
    g->scale = RUB_NEW(double, (size_t)p->n_quarter *(size_t)p->n_feature);
    if (!g->scale)
        return RUB_NO_MEMORY;
    for (int32_t t = 0; t < p->n_quarter; t++)
        for (int32_t c = 0; c < p->n_feature; c++) {
            double sum = 0.0, squares = 0.0;
            for (int32_t i = 0; i < p->n_path; i++) {
                double x = path_at(p, i, t)[c];
                sum += x;
                squares += x * x;
            }
            double mean = sum / p->n_path, variance = squares / p->n_path - mean * mean;
            bool varies = variance > 1e-12 * mean * mean && variance > 0;
            g->scale[(size_t)t * (size_t)p->n_feature + (size_t)c] =
                varies ? 1.0 / sqrt(variance) : 0.0;
        }
    return RUB_OK;
}

/* A path's place: its telling columns over the coming quarters, standardised. */
static int32_t place(const grower *g, int32_t path, int32_t from, const int32_t *column,
                     int32_t n_column, double *out) {
    int32_t n = 0;
    for (int32_t t = from; t < from + AHEAD; t++) {
        int32_t q = t < g->paths->n_quarter ? t : g->paths->n_quarter - 1;
        for (int32_t k = 0; k < n_column; k++)
            out[n++] = path_at(g->paths, path, q)[column[k]] *
                       g->scale[(size_t)q * (size_t)g->paths->n_feature + (size_t)column[k]];
    }
    return n;
}

typedef struct sorted {
    double key;
    int32_t index;
} sorted;

static int ascending(const void *a, const void *b) {
    const sorted *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void means(const double *at, const int32_t *cluster, int32_t n, int32_t dim, int32_t k,
                  double *centre, int32_t *count) {
    memset(centre, 0, (size_t)(k * dim) * sizeof *centre);
    memset(count, 0, (size_t)k * sizeof *count);
    for (int32_t i = 0; i < n; i++) {
        count[cluster[i]]++;
        for (int32_t d = 0; d < dim; d++)
            centre[cluster[i] * dim + d] += at[(size_t)i * (size_t)dim + (size_t)d];
    }
    for (int32_t c = 0; c < k; c++)
        for (int32_t d = 0; d < dim && count[c] > 0; d++)
            centre[c * dim + d] /= count[c];
}

static int32_t nearest(const double *x, const double *centre, const int32_t *count, int32_t dim,
                       int32_t k) {
    int32_t best = 0;
    double least = HUGE_VAL;
    for (int32_t c = 0; c < k; c++) {
        double sum = 0.0;
        for (int32_t d = 0; d < dim; d++)
            sum += (x[d] - centre[c * dim + d]) * (x[d] - centre[c * dim + d]);
        if (count[c] > 0 && sum < least) {
            least = sum;
            best = c;
        }
    }
    return best;
}

/* How far a member is from a centre, squared. */
static double away(const double *x, const double *centre, int32_t dim) {
    double sum = 0.0;
    for (int32_t d = 0; d < dim; d++)
        sum += (x[d] - centre[d]) * (x[d] - centre[d]);
    return sum;
}

/* Clusters of fewer than `least` members take the nearest ones of those that have more, so that all can be
 * split as often as the branching says. */
static void even_out(const double *at, int32_t *cluster, int32_t n, int32_t dim, int32_t k,
                     int32_t least, const double *centre, int32_t *count) {
    for (int32_t c = 0; c < k; c++)
        while (count[c] < least) {
            int32_t best = -1;
            double nearest_by = HUGE_VAL;
            for (int32_t i = 0; i < n; i++) {
                double far = count[cluster[i]] > least && cluster[i] != c
                                 ? away(at + (size_t)i * (size_t)dim, centre + c * dim, dim)
                                 : HUGE_VAL;
                if (far < nearest_by) {
                    nearest_by = far;
                    best = i;
                }
            }
            if (best < 0)
                return;
            count[cluster[best]]--;
            cluster[best] = c;
            count[c]++;
        }
}

/* Splits members into at most k clusters of at least `least`, if there are enough; cluster
 * numbers are dense. Returns how many. */
static int32_t split(const grower *g, const int32_t *member, int32_t n, int32_t from, int32_t k,
                     int32_t least, int32_t *cluster) {
    int32_t *column = RUB_NEW(int32_t, g->study->n_demand + g->study->n_partner + 2);
    int32_t n_column = column ? telling(g, column) : 0, dim = AHEAD * n_column;
    double *at = RUB_NEW(double, (size_t)n *(size_t)dim),
           *centre = RUB_NEW(double, (size_t)k *(size_t)dim);
    int32_t *count = RUB_NEW(int32_t, k);
    sorted *order = RUB_NEW(sorted, n);
    int32_t used = -1;
    if (column && at && centre && count && order) {
        for (int32_t i = 0; i < n; i++) {
            place(g, member[i], from, column, n_column, at + (size_t)i * (size_t)dim);
            order[i] = (sorted){0.0, i};
            for (int32_t d = 0; d < dim; d++)
                order[i].key += at[(size_t)i * (size_t)dim + (size_t)d];
        }
        qsort(order, (size_t)n, sizeof *order, ascending);
        for (int32_t i = 0; i < n; i++)
            cluster[order[i].index] = (int32_t)((int64_t)i * k / n);
        bool moved = true;
        for (int32_t round = 0; round < ROUNDS && moved; round++) {
            means(at, cluster, n, dim, k, centre, count);
            moved = false;
            for (int32_t i = 0; i < n; i++) {
                int32_t c = nearest(at + (size_t)i * (size_t)dim, centre, count, dim, k);
                moved = moved || c != cluster[i];
                cluster[i] = c;
            }
        }
        means(at, cluster, n, dim, k, centre, count);
        even_out(at, cluster, n, dim, k, least < n / k ? least : n / k, centre, count);
        int32_t dense = 0;
        for (int32_t c = 0; c < k; c++)
            count[c] = count[c] > 0 ? dense++ : -1;
        for (int32_t i = 0; i < n; i++)
            cluster[i] = count[cluster[i]];
        used = dense;
    }
    free(column);
    free(at);
    free(centre);
    free(count);
    free(order);
    return used;
}

/* Children of one node: its paths, clustered, each cluster a node of the next quarter. */
static rub_status branch(grower *g, int32_t node, int32_t *member, int32_t *cluster) {
    const rub_study_tree *shape = &g->study->tree;
    int32_t t = g->tree.quarter[node], n = 0, first = g->tree.n_node;
    int32_t k = t < shape->n_branching ? shape->branching[t] : 1;
    for (int32_t i = 0; i < g->paths->n_path; i++)
        if (g->node_of[i] == node)
            member[n++] = i;
    k = k < n ? k : n;
    memset(cluster, 0, (size_t)n * sizeof *cluster);
    int64_t below = 1; /* leaves under a child */
    for (int32_t q = t + 1; q + 1 < g->study->n_quarter && q < shape->n_branching; q++)
        below = below * shape->branching[q] < n ? below * shape->branching[q] : n;
    int32_t used = k > 1 ? split(g, member, n, t + 1, k, (int32_t)below, cluster) : 1;
    if (used < 1)
        return RUB_NO_MEMORY;
    for (int32_t c = 0; c < used; c++) {
        int32_t count = 0;
        for (int32_t i = 0; i < n; i++)
            count += cluster[i] == c;
        RUB_TRY(new_node(&g->tree, g->cap, node, t + 1, (double)count / g->paths->n_path));
    }
    for (int32_t i = 0; i < n; i++)
        g->node_of[member[i]] = first + cluster[i];
    return RUB_OK;
}

/* ---- values ---------------------------------------------------------------------------------- */

static double *feature(rub_tree *tree, int32_t node) {
    return tree->feature + (size_t)node * (size_t)tree->n_feature;
}

static void add_means(grower *g, int32_t t) {
    for (int32_t i = 0; i < g->paths->n_path; i++) {
        double *x = feature(&g->tree, g->node_of[i]),
               share = g->tree.prob[g->node_of[i]] * g->paths->n_path;
        const double *from = path_at(g->paths, i, t);
        for (int32_t c = 0; c < g->tree.n_feature; c++)
            x[c] += from[c] / share;
    }
}

/* Rounds a column of one quarter's nodes (first..last) to 0 or 1 so that its mean is kept as near as it
 * can be: what rounding gives or takes is carried on to the next node. */
static void round_column(rub_tree *tree, int32_t first, int32_t last, int32_t column,
                         uint64_t seed) {
    rub_rng rng = rub_rng_make(seed, (uint64_t)column);
    int32_t n = last - first, start = (int32_t)rub_rng_below(&rng, (uint64_t)n);
    double carried = 0.0;
    for (int32_t i = 0; i < n; i++) {
        int32_t node = first + (start + i) % n;
        double *x = &feature(tree, node)[column], p = tree->prob[node];
        carried += p * *x;
        *x = carried >= 0.5 * p && carried > 0 ? 1.0 : 0.0;
        carried -= p * *x;
    }
}

static void round_events(grower *g, int32_t t, int32_t first, int32_t last) {
    const rub_study *study = g->study;
    rub_tree *tree = &g->tree;
    for (int32_t k = 0; k < study->n_partner; k++)
        round_column(tree, first, last, g->f.rofr + k, study->seed + (uint64_t)t);
    for (int32_t i = 0; i < study->n_generation; i++)
        for (int32_t n = first; n < last; n++) {
            double *x = &feature(tree, n)[g->f.available + i];
            *x = *x >= 0.5;
        }
    for (int32_t s = 0; s < study->n_site; s++) {
        int32_t close = study->site[s].close_q - study->start_q;
        if (study->site[s].stage != RUB_STAGE_TALKS)
            continue;
        if (t == close)
            round_column(tree, first, last, g->f.talks + s, study->seed + 1000003u * (uint64_t)s);
        for (int32_t n = first; n < last && t != close; n++)
            feature(tree, n)[g->f.talks + s] =
                t > close ? feature(tree, tree->parent[n])[g->f.talks + s] : 0.0;
    }
}

static void measure_loss(const grower *g, rub_tree_loss *loss) {
    const rub_tree *tree = &g->tree;
    for (int32_t s = 0; s < g->study->n_site; s++) {
        int32_t close = g->study->site[s].close_q - g->study->start_q;
        double frequency = 0.0;
        if (g->study->site[s].stage != RUB_STAGE_TALKS || close < 0 || close >= tree->n_quarter)
            continue;
        for (int32_t n = 0; n < tree->n_node; n++)
            if (tree->quarter[n] == close)
                frequency +=
                    tree->prob[n] *
                    tree->feature[(size_t)n * (size_t)tree->n_feature + (size_t)(g->f.talks + s)];
        loss->talks_error = fmax(loss->talks_error, fabs(frequency - g->study->site[s].close_prob));
    }
}

/* Mean over paths of |load - node's load| / node's load in quarter t. */
static double distance(const grower *g, int32_t t) {
    double sum = 0.0;
    int32_t n = 0;
    for (int32_t i = 0; i < g->paths->n_path; i++)
        for (int32_t d = 0; d < g->study->n_demand; d++) {
            double node = g->tree.feature[(size_t)g->node_of[i] * (size_t)g->tree.n_feature +
                                          (size_t)(g->f.demand + d)];
            double path = path_at(g->paths, i, t)[g->f.demand + d];
            sum += node > 0 ? fabs(path - node) / node : 0.0;
            n++;
        }
    return n ? sum / n : 0.0;
}

static double node_value(const grower *g, int32_t node, int32_t column) {
    return g->tree.feature[(size_t)node * (size_t)g->tree.n_feature + (size_t)column];
}

/* Error of the mean and share of the variance that quarter t's nodes keep of one load. */
static void compare_load(const grower *g, int32_t t, int32_t column, double *error, double *kept) {
    double mean = 0.0, nodes = 0.0, squares = 0.0, between = 0.0, n = g->paths->n_path;
    for (int32_t i = 0; i < g->paths->n_path; i++) {
        mean += path_at(g->paths, i, t)[column] / n;
        nodes += node_value(g, g->node_of[i], column) / n;
    }
    for (int32_t i = 0; i < g->paths->n_path; i++) {
        double x = path_at(g->paths, i, t)[column] - mean;
        double y = node_value(g, g->node_of[i], column) - mean;
        squares += x * x;
        between += y * y;
    }
    *error = mean != 0 ? fabs(nodes - mean) / fabs(mean) : 0.0;
    *kept = squares > 0 ? fmin(1.0, between / squares) : 1.0;
}

static void measure_quarter(const grower *g, int32_t t, rub_tree_loss *loss) {
    int32_t n = g->study->n_demand * (g->tree.n_quarter - 1);
    for (int32_t d = 0; d < g->study->n_demand; d++) {
        double error, kept;
        compare_load(g, t, g->f.demand + d, &error, &kept);
        loss->mean_error_frac = fmax(loss->mean_error_frac, error);
        loss->spread_frac += t > 0 && n > 0 ? kept / n : 0.0;
    }
    loss->distance_frac += distance(g, t) / g->tree.n_quarter;
}

static rub_status grow(grower *g, rub_tree_loss *loss) {
    int32_t n_path = g->paths->n_path, first = 0;
    int32_t *member = RUB_NEW(int32_t, n_path), *cluster = RUB_NEW(int32_t, n_path);
    g->node_of = RUB_NEW(int32_t, n_path);
    rub_status status = member && cluster && g->node_of ? standardise(g) : RUB_NO_MEMORY;
    if (status == RUB_OK)
        status = new_node(&g->tree, g->cap, -1, 0, 1.0);
    for (int32_t t = 0; status == RUB_OK && t < g->tree.n_quarter; t++) {
        int32_t last = g->tree.n_node;
        add_means(g, t);
        round_events(g, t, first, last);
        measure_quarter(g, t, loss);
        for (int32_t n = first; status == RUB_OK && t + 1 < g->tree.n_quarter && n < last; n++)
            status = branch(g, n, member, cluster);
        if (t + 1 == g->tree.n_quarter)
            g->tree.n_leaf = last - first;
        first = last;
    }
    if (status == RUB_OK)
        measure_loss(g, loss);
    free(member);
    free(cluster);
    free(g->node_of);
    free(g->scale);
    return status;
}

/* ---- given in full --------------------------------------------------------------------------- */

static void given_values(const rub_study *study, const rub_features *f,
                         const rub_study_tree_node *from, int32_t t, const double *parent,
                         double *x) {
    for (int32_t i = 0; i < study->n_demand; i++)
        x[f->demand + i] = from->demand ? from->demand[i] : study->demand[i].base;
    for (int32_t g = 0; g < study->n_generation; g++) {
        int32_t q = study->start_q + t;
        x[f->price + g] = from->price_factor;
        x[f->available + g] = q >= study->generation[g].first_q && q <= study->generation[g].last_q;
    }
    x[f->yield] = from->yield_factor;
    x[f->rent] = from->rent_factor;
    x[f->depth] = 1.0;
    for (int32_t r = 0; r < study->n_region; r++)
        x[f->grid + r] = 1.0;
    for (int32_t k = 0; k < study->n_partner; k++) {
        x[f->left + k] = from->partner_left ? from->partner_left[k] : 0.0;
        x[f->rofr + k] = from->rofr_exercised ? from->rofr_exercised[k] : 0.0;
    }
    for (int32_t s = 0; s < study->n_site; s++) {
        int32_t close = study->site[s].close_q - study->start_q;
        bool decided = study->site[s].stage == RUB_STAGE_TALKS && t >= close;
        if (decided)
            x[f->talks + s] =
                t == close ? (from->talks_ok ? from->talks_ok[s] : 0.0) : parent[f->talks + s];
    }
}

/* Breadth first: quarter by quarter, children of earlier nodes first. */
static rub_status copy_given(const rub_study *study, rub_tree *tree, size_t cap[6],
                             rub_error *err) {
    const rub_study_tree *given = &study->tree;
    rub_features f = rub_features_of(study);
    int32_t *place = RUB_NEW(int32_t, given->n_node), *from = RUB_NEW(int32_t, given->n_node);
    rub_status status = place && from ? RUB_OK : RUB_NO_MEMORY;
    if (status == RUB_OK)
        status = new_node(tree, cap, -1, 0, 1.0);
    for (int32_t at = 0; status == RUB_OK && at < tree->n_node; at++) {
        int32_t source = from[at], t = tree->quarter[at], parent = tree->parent[at];
        given_values(study, &f, &given->node[source], t, parent >= 0 ? feature(tree, parent) : NULL,
                     feature(tree, at));
        for (int32_t i = source + 1; status == RUB_OK && i < given->n_node; i++)
            if (given->node[i].parent == source) {
                from[tree->n_node] = i;
                status = new_node(tree, cap, at, t + 1, tree->prob[at] * given->node[i].prob);
            }
        if (status == RUB_OK && tree->n_child[at] == 0 && t + 1 != study->n_quarter)
            status = rub_error_set(
                err, RUB_INVALID,
                "tree: a branch ends in quarter %d of the study, expected all to end in %d", t + 1,
                study->n_quarter);
        if (status == RUB_OK && t >= study->n_quarter)
            status = rub_error_set(err, RUB_INVALID,
                                   "tree: a branch is longer than the study's %d quarters",
                                   study->n_quarter);
        tree->n_leaf += tree->n_child[at] == 0;
    }
    free(place);
    free(from);
    return status;
}

rub_status rub_tree_reduce(const rub_study *study, const rub_paths *paths, rub_tree *out,
                           rub_tree_loss *loss, rub_error *err) {
    grower g = {.study = study, .paths = paths, .f = rub_features_of(study)};
    rub_tree_loss lost = {0};
    rub_error why = {0};
    g.tree.n_quarter = study->n_quarter;
    g.tree.n_feature = g.f.n;
    rub_status status =
        study->tree.n_node > 0 ? copy_given(study, &g.tree, g.cap, &why)
        : paths                ? grow(&g, &lost)
                : rub_error_set(&why, RUB_INVALID, "neither paths nor a tree are given");
    if (status != RUB_OK) {
        rub_tree_clear(&g.tree);
        return rub_error_set(err, status, "%s", why.code ? why.message : rub_status_text(status));
    }
    *out = g.tree;
    if (loss)
        *loss = lost;
    return RUB_OK;
}
