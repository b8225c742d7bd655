/* Levels: the dynamic program, from the last quarter back, over all nodes of a quarter at once; and the
 * walk along what it found. */
#include "portfolio/levels.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Wide instructions where the machine has them; sums and maxima are the same to the last bit. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

bool rub_level_work_init(const rub_levels *l, rub_level_work *w) {
    w->value = malloc((l->most_value + 1) * sizeof *w->value); /* written before it is read */
    w->sum = malloc((l->most_row + 1) * sizeof *w->sum);
    return w->value && w->sum;
}

void rub_level_work_clear(rub_level_work *w) {
    free(w->value);
    free(w->sum);
    *w = (rub_level_work){0};
}

/* A move's gain at the nodes of a quarter: n values of each column from its quarter's first on. */
typedef struct gain {
    double coef[RUB_MOST_TERMS];
    const double *column[RUB_MOST_TERMS];
    int32_t n_term;
} gain;

static gain gain_of(const rub_level_move *m, const double *const *column, int32_t first) {
    gain g = {.n_term = m->n_term};
    for (int32_t i = 0; i < m->n_term; i++) {
        g.coef[i] = m->coef[i];
        g.column[i] = column[m->column[i]] + first;
    }
    return g;
}

/* out = next + gain, or the larger of that and what stands there. */
WIDE static void take1(double *restrict out, const double *restrict next, const gain *g, int32_t n,
                       bool fresh) {
    double a = g->n_term > 0 ? g->coef[0] : 0.0;
    const double *x = g->n_term > 0 ? g->column[0] : next;
    if (g->n_term == 0 && fresh)
        for (int32_t i = 0; i < n; i++)
            out[i] = next[i];
    else if (g->n_term == 0)
        for (int32_t i = 0; i < n; i++)
            out[i] = next[i] > out[i] ? next[i] : out[i];
    else if (fresh)
        for (int32_t i = 0; i < n; i++)
            out[i] = next[i] + a * x[i];
    else
        for (int32_t i = 0; i < n; i++) {
            double sum = next[i] + a * x[i];
            out[i] = sum > out[i] ? sum : out[i];
        }
}

WIDE static void take2(double *restrict out, const double *restrict next, const gain *g, int32_t n,
                       bool fresh) {
    double a = g->coef[0], b = g->coef[1];
    const double *x = g->column[0], *y = g->column[1];
    if (fresh)
        for (int32_t i = 0; i < n; i++)
            out[i] = next[i] + (a * x[i] + b * y[i]);
    else
        for (int32_t i = 0; i < n; i++) {
            double sum = next[i] + (a * x[i] + b * y[i]);
            out[i] = sum > out[i] ? sum : out[i];
        }
}

WIDE static void take3(double *restrict out, const double *restrict next, const gain *g, int32_t n,
                       bool fresh) {
    double a = g->coef[0], b = g->coef[1], c = g->coef[2];
    const double *x = g->column[0], *y = g->column[1], *z = g->column[2];
    if (fresh)
        for (int32_t i = 0; i < n; i++)
            out[i] = next[i] + ((a * x[i] + b * y[i]) + c * z[i]);
    else
        for (int32_t i = 0; i < n; i++) {
            double sum = next[i] + ((a * x[i] + b * y[i]) + c * z[i]);
            out[i] = sum > out[i] ? sum : out[i];
        }
}

static double gain_at(const gain *g, int32_t i) {
    double sum = 0.0;
    for (int32_t k = 0; k < g->n_term; k++)
        sum = k == 0 ? g->coef[0] * g->column[0][i] : sum + g->coef[k] * g->column[k][i];
    return sum;
}

static void take(double *restrict out, const double *restrict next, const gain *g, int32_t n,
                 bool fresh) {
    if (g->n_term <= 1)
        take1(out, next, g, n, fresh);
    else if (g->n_term == 2)
        take2(out, next, g, n, fresh);
    else if (g->n_term == 3)
        take3(out, next, g, n, fresh);
    else
        for (int32_t i = 0; i < n; i++) {
            double sum = next[i] + gain_at(g, i);
            out[i] = fresh || sum > out[i] ? sum : out[i];
        }
}

WIDE static void add_pairs(double *restrict out, const double *restrict from, int32_t n) {
    for (int32_t i = 0; i < n; i++)
        out[i] = from[2 * i] + from[2 * i + 1];
}

/* Values of the next quarter's rows added up over each node's children. */
static void add_children(const rub_levels *l, int32_t t, const rub_level *next, const double *value,
                         double *sum) {
    const rub_tree *tree = l->problem->tree;
    int32_t first = l->first_node[t], n = l->first_node[t + 1] - first;
    int32_t below = l->first_node[t + 1], m = l->first_node[t + 2] - below;
    bool pairs = m == 2 * n;
    for (int32_t i = 0; pairs && i < n; i++)
        pairs = tree->n_child[first + i] == 2;
    for (int32_t row = 0; row < next->n_state_row; row++) {
        const double *from = value + (size_t)row * (size_t)m;
        double *to = sum + (size_t)row * (size_t)n;
        if (pairs) {
            add_pairs(to, from, n);
            continue;
        }
        for (int32_t i = 0; i < n; i++) {
            int32_t child = tree->first_child[first + i] - below, many = tree->n_child[first + i];
            double all = from[child];
            for (int32_t k = 1; k < many; k++)
                all += from[child + k];
            to[i] = all;
        }
    }
}

/* Talks that conclude in this quarter: the option's value where they closed, else the ended one's. */
static void resolve_talks(const rub_levels *l, int32_t t, const rub_level_site *s, double *value) {
    const rub_level *level = &s->level[t];
    const rub_tree *tree = l->problem->tree;
    int32_t first = l->first_node[t], n = l->first_node[t + 1] - first;
    size_t column = (size_t)(rub_features_of(l->problem->study).talks + s->automaton.site);
    double *talks = value + (size_t)level->talks * (size_t)n;
    const double *option = value + (size_t)level->option * (size_t)n,
                 *ended = value + (size_t)level->ended * (size_t)n;
    for (int32_t i = 0; i < n; i++)
        talks[i] = tree->feature[(size_t)(first + i) * (size_t)tree->n_feature + column] >= 0.5
                       ? option[i]
                       : ended[i];
}

static bool is_kept(const rub_level *l, const rub_level_move *m, const rub_level_entry *only) {
    (void)l;
    return !only || m->same || (m->action == only->action && m->gen == only->gen);
}

static void run_row(const rub_level *l, int32_t row, const double *const *column, int32_t first,
                    int32_t n, const double *next, double *value, const rub_level_entry *only) {
    double *out = value + (size_t)row * (size_t)n;
    bool fresh = true;
    for (int32_t k = l->first_move[row]; k < l->first_move[row + 1]; k++) {
        const rub_level_move *m = &l->move[k];
        if (!is_kept(l, m, only))
            continue;
        gain g = gain_of(m, column, first);
        take(out, (m->same ? value : next) + (size_t)m->to * (size_t)n, &g, n, fresh);
        fresh = false;
    }
    for (int32_t i = 0; fresh && i < n; i++)
        out[i] = -HUGE_VAL;
}

static void run_level(const rub_levels *l, const rub_level_site *s, int32_t t,
                      const double *const *column, const rub_level_entry *only, rub_level_work *w) {
    const rub_level *level = &s->level[t];
    int32_t first = l->first_node[t], n = l->first_node[t + 1] - first;
    double *value = w->value + level->at;
    const double *next = w->value + s->level[t + 1].at;
    if (t + 1 < l->problem->n_quarter && l->branches[t]) {
        add_children(l, t, &s->level[t + 1], next, w->sum);
        next = w->sum;
    }
    for (int32_t row = level->n_state_row; row < level->n_row; row++)
        run_row(level, row, column, first, n, next, value, t == 0 ? only : NULL);
    for (int32_t row = 0; row < level->n_state_row; row++)
        if (row != level->talks)
            run_row(level, row, column, first, n, next, value, t == 0 ? only : NULL);
    if (level->talks >= 0)
        resolve_talks(l, t, s, value);
}

static void run_terminal(const rub_levels *l, const rub_level_site *s, const double *const *column,
                         rub_level_work *w) {
    int32_t t = l->problem->n_quarter, first = l->first_node[t - 1], n = l->first_node[t] - first;
    const rub_level *level = &s->level[t];
    for (int32_t row = 0; row < level->n_row; row++) {
        gain g = gain_of(&level->move[level->first_move[row]], column, first);
        double *out = w->value + level->at + (size_t)row * (size_t)n;
        for (int32_t i = 0; i < n; i++)
            out[i] = gain_at(&g, i);
    }
}

double rub_levels_best(const rub_levels *l, int32_t site, const double *const *column,
                       const rub_level_entry *only, rub_level_work *w) {
    const rub_level_site *s = &l->site[site];
    run_terminal(l, s, column, w);
    for (int32_t t = l->problem->n_quarter - 1; t >= 0; t--)
        run_level(l, s, t, column, only, w);
    return w->value[s->level[0].at + (size_t)s->level[0].row_of[s->automaton.initial]];
}

/* ---- walking --------------------------------------------------------------------------------- */

typedef struct walk {
    const rub_levels *l;
    const rub_level_site *s;
    const double *const *column;
    const rub_level_entry *only;
    const rub_level_work *w;
} walk;

static double value_below(const walk *k, int32_t t, int32_t node, int32_t row) {
    const rub_level *next = &k->s->level[t + 1];
    const rub_tree *tree = k->l->problem->tree;
    const double *value = k->w->value + next->at;
    if (t + 1 == k->l->problem->n_quarter) {
        size_t n = (size_t)(k->l->first_node[t + 1] - k->l->first_node[t]);
        return value[(size_t)row * n + (size_t)(node - k->l->first_node[t])];
    }
    int32_t below = k->l->first_node[t + 1], child = tree->first_child[node] - below;
    size_t m = (size_t)(k->l->first_node[t + 2] - below);
    double sum = value[(size_t)row * m + (size_t)child];
    for (int32_t c = 1; c < tree->n_child[node]; c++)
        sum += value[(size_t)row * m + (size_t)(child + c)];
    return sum;
}

/* The move that a row takes at a node: the first of the best, as the dynamic program has it. */
static const rub_level_move *best_move(const walk *k, int32_t t, int32_t node, int32_t row) {
    const rub_level *level = &k->s->level[t];
    int32_t first = k->l->first_node[t], i = node - first;
    size_t n = (size_t)(k->l->first_node[t + 1] - first);
    const rub_level_move *best = NULL;
    double most = -HUGE_VAL;
    for (int32_t e = level->first_move[row]; e < level->first_move[row + 1]; e++) {
        const rub_level_move *m = &level->move[e];
        if (t == 0 && !is_kept(level, m, k->only))
            continue;
        gain g = gain_of(m, k->column, first);
        double below = m->same ? k->w->value[level->at + (size_t)m->to * n + (size_t)i]
                               : value_below(k, t, node, m->to);
        double sum = below + gain_at(&g, i);
        if (!best || sum > most) {
            best = m;
            most = sum;
        }
    }
    return best;
}

/* Row in which a block that was led to `state` stands at node. */
static int32_t row_at(const walk *k, int32_t t, int32_t node, int32_t state) {
    return k->s->level[t].row_of[rub_state_arrive(k->l->problem, &k->s->automaton, state, node)];
}

void rub_levels_follow(const rub_levels *l, int32_t site, const double *const *column,
                       const rub_level_entry *only, const rub_level_work *work, uint16_t *path) {
    walk k = {l, &l->site[site], column, only, work};
    const rub_tree *tree = l->problem->tree;
    for (int32_t node = 0; node < l->problem->n_node; node++) {
        int32_t t = tree->quarter[node], parent = tree->parent[node];
        const rub_level *level = &k.s->level[t];
        int32_t state =
            parent < 0 ? k.s->automaton.initial : k.s->level[t - 1].entry[path[parent]].to;
        int32_t row = row_at(&k, t, node, state), from = level->state_of[row];
        const rub_level_move *m = best_move(&k, t, node, row);
        if (m->same)
            m = best_move(&k, t, node, m->to);
        int32_t e = level->first_entry[from];
        while (level->entry[e].action != m->action || level->entry[e].gen != m->gen ||
               k.s->level[t + 1].row_of[level->entry[e].to] != m->to)
            e++;
        path[node] = (uint16_t)e;
    }
}
