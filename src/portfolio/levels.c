/* Levels: making them. The dynamic program over them is levels_best.c's. */
#include "portfolio/levels.h"

#include "base/array.h"
#include "base/tasks.h"

#include <stdlib.h>
#include <string.h>

/* One site being made. */
typedef struct maker {
    const rub_problem *p;
    const rub_levels *levels;
    rub_level_site *site;
    uint8_t *reach;            /* by quarter and state, on arrival (n_quarter + 1, n_state) */
    int32_t *hub_of;           /* hub row of a live state's class, by state (n_state) */
    bool *any_order;           /* (n_quarter, n_gen) */
    bool *any_free, *any_held; /* by quarter: somewhere no right is exercised, somewhere it is */
    rub_status status;
} maker;

static uint8_t *reach(const maker *m, int32_t t) {
    return m->reach + (size_t)t * (size_t)m->site->automaton.n_state;
}

/* Can the arc be taken somewhere in the quarter? */
static bool open_somewhere(const maker *m, int32_t arc, int32_t t) {
    const rub_automaton *a = &m->site->automaton;
    const rub_arc *one = &a->arc[arc];
    if (!rub_arc_open(m->p, a, arc, t))
        return false;
    if (one->action == RUB_ACTION_FIT_OUT || one->action == RUB_ACTION_REFRESH)
        return m->any_order[t * m->p->n_gen + one->gen];
    if (one->action == RUB_ACTION_SIGN)
        return a->state[one->to].held ? m->any_held[t] : m->any_free[t];
    return true;
}

static void what_nodes_have(maker *m) {
    const rub_problem *p = m->p;
    int32_t k = p->study->site[m->site->automaton.site].rofr_partner;
    for (int32_t n = 0; n < p->n_node; n++) {
        int32_t t = p->tree->quarter[n];
        for (int32_t g = 0; g < p->n_gen; g++)
            m->any_order[t * p->n_gen + g] = m->any_order[t * p->n_gen + g] ||
                                             p->may_order[(size_t)n * (size_t)p->n_gen + (size_t)g];
        bool held = k >= 0 && p->rofr[(size_t)n * (size_t)p->study->n_partner + (size_t)k];
        m->any_free[t] = m->any_free[t] || !held;
        m->any_held[t] = m->any_held[t] || held;
    }
}

static bool resolves(const maker *m, int32_t t) {
    const rub_study_site *s = &m->p->study->site[m->site->automaton.site];
    return s->stage == RUB_STAGE_TALKS && m->p->study->start_q + t >= s->close_q;
}

/* A state reached in quarter t. Talks that conclude lead to both outcomes. */
static void arrive(maker *m, int32_t state, int32_t t) {
    const rub_automaton *a = &m->site->automaton;
    reach(m, t)[state] = 1;
    if (t < m->p->n_quarter && a->state[state].stage == RUB_STAGE_TALKS && resolves(m, t))
        reach(m, t)[a->option] = reach(m, t)[a->ended] = 1;
}

static bool ends_fit_out(uint8_t action) {
    return action == RUB_ACTION_REFRESH || action == RUB_ACTION_RETIRE ||
           action == RUB_ACTION_CANCEL;
}

static bool same_class(const rub_block_state *x, const rub_block_state *y) {
    return x->deferred == y->deferred && x->training == y->training && x->held == y->held &&
           x->renewed == y->renewed;
}

static void term(rub_level_move *m, int32_t column, double coef) {
    if (coef == 0.0)
        return;
    m->column[m->n_term] = (uint8_t)column;
    m->coef[m->n_term++] = coef;
}

/* Terms of an entry but for its resale. */
static void plain_terms(const maker *m, const rub_level_entry *e, rub_level_move *out) {
    const rub_block_state *to = &m->site->automaton.state[e->to];
    const rub_block_state *from = &m->site->automaton.state[e->from];
    term(out, RUB_COLUMN_CASH, e->f.cash_usd);
    term(out, RUB_COLUMN_CAPEX, e->f.capex_usd);
    term(out, rub_column_order(e->f.order_gen), e->f.order_mw);
    term(out, RUB_COLUMN_LET, e->f.let_mw);
    term(out, RUB_COLUMN_DEPTH, e->f.sublet_mw);
    term(out, rub_column_own(e->f.live_gen, e->f.training, from->held), e->f.own_mw);
    if (e->action == RUB_ACTION_SIGN)
        term(out, to->held ? RUB_COLUMN_HELD : RUB_COLUMN_FREE, 1.0);
}

static void *room(maker *m, size_t n, size_t size) {
    void *memory = rub_calloc(n, size);
    if (!memory)
        m->status = RUB_NO_MEMORY;
    return memory;
}

/* Rows of a quarter: its states, then a hub for each class of live states. */
static void make_rows(maker *m, int32_t t) {
    const rub_automaton *a = &m->site->automaton;
    rub_level *l = &m->site->level[t];
    l->state_of = room(m, (size_t)a->n_state, sizeof(int32_t));
    l->row_of = room(m, (size_t)a->n_state, sizeof(int32_t));
    l->talks = l->option = l->ended = -1;
    for (int32_t i = 0; m->status == RUB_OK && i < a->n_state; i++) {
        l->row_of[i] = reach(m, t)[i] ? l->n_state_row : -1;
        if (reach(m, t)[i])
            l->state_of[l->n_state_row++] = i;
        if (reach(m, t)[i] && a->state[i].stage == RUB_STAGE_TALKS && resolves(m, t))
            l->talks = l->row_of[i];
    }
    if (m->status != RUB_OK)
        return;
    l->option = a->option >= 0 ? l->row_of[a->option] : -1;
    l->ended = l->row_of[a->ended];
    l->n_row = l->n_state_row;
}

static void make_hubs(maker *m, int32_t t) {
    const rub_automaton *a = &m->site->automaton;
    rub_level *l = &m->site->level[t];
    for (int32_t i = 0; i < l->n_state_row; i++) {
        int32_t s = l->state_of[i];
        m->hub_of[s] = -1;
        if (a->state[s].stage != RUB_STAGE_LIVE)
            continue;
        for (int32_t k = 0; k < i && m->hub_of[s] < 0; k++)
            if (m->hub_of[l->state_of[k]] >= 0 &&
                same_class(&a->state[s], &a->state[l->state_of[k]]))
                m->hub_of[s] = m->hub_of[l->state_of[k]];
        if (m->hub_of[s] < 0)
            m->hub_of[s] = l->n_row++;
    }
}

/* Entries of a quarter, and the states they lead to marked as reached. */
static void make_entries(maker *m, int32_t t) {
    const rub_automaton *a = &m->site->automaton;
    rub_level *l = &m->site->level[t];
    size_t cap = 0, n = 0;
    l->first_entry = room(m, (size_t)a->n_state + 1, sizeof(int32_t));
    for (int32_t s = 0; m->status == RUB_OK && s < a->n_state; s++) {
        l->first_entry[s] = (int32_t)n;
        bool waits = l->row_of[s] >= 0 && l->row_of[s] != l->talks;
        for (int32_t e = a->first_arc[s]; waits && e < a->first_arc[s + 1]; e++) {
            if (!open_somewhere(m, e, t))
                continue;
            const rub_arc *one = &a->arc[e];
            rub_level_entry entry = {
                rub_arc_terms_at(m->p, a, e, t), s, one->to, e, one->action, one->gen};
            if (RUB_ARRAY_PUSH(l->entry, n, cap, entry) != RUB_OK)
                m->status = RUB_NO_MEMORY;
            arrive(m, one->to, t + 1);
        }
        l->first_entry[s + 1] = (int32_t)n;
    }
    l->n_entry = (int32_t)n;
}

static void push_move(maker *m, rub_level *l, size_t *n, size_t *cap, rub_level_move move) {
    if (RUB_ARRAY_PUSH(l->move, *n, *cap, move) != RUB_OK)
        m->status = RUB_NO_MEMORY;
}

/* Moves of one hub: those of the first live state of its class. */
static void hub_moves(maker *m, int32_t t, int32_t hub, size_t *n, size_t *cap) {
    rub_level *l = &m->site->level[t];
    const rub_level *next = &m->site->level[t + 1];
    int32_t first = 0;
    while (m->hub_of[l->state_of[first]] != hub)
        first++;
    int32_t s = l->state_of[first];
    for (int32_t e = l->first_entry[s]; e < l->first_entry[s + 1]; e++) {
        const rub_level_entry *one = &l->entry[e];
        if (!ends_fit_out(one->action))
            continue;
        rub_level_move move = {
            .from = hub, .to = next->row_of[one->to], .action = one->action, .gen = one->gen};
        plain_terms(m, one, &move);
        push_move(m, l, n, cap, move);
    }
}

static void state_moves(maker *m, int32_t t, int32_t row, size_t *n, size_t *cap) {
    rub_level *l = &m->site->level[t];
    const rub_level *next = &m->site->level[t + 1];
    int32_t s = l->state_of[row];
    bool left = false;
    for (int32_t e = l->first_entry[s]; e < l->first_entry[s + 1]; e++) {
        const rub_level_entry *one = &l->entry[e];
        bool by_hub = m->hub_of[s] >= 0 && ends_fit_out(one->action);
        rub_level_move move = {.from = row, .action = one->action, .gen = one->gen};
        if (by_hub) {
            move.same = true;
            move.to = m->hub_of[s];
            term(&move, rub_column_resale(one->f.resale_gen), one->f.resale_mw);
        } else {
            move.to = next->row_of[one->to];
            plain_terms(m, one, &move);
            term(&move, rub_column_resale(one->f.resale_gen), one->f.resale_mw);
        }
        if (!by_hub || !left)
            push_move(m, l, n, cap, move);
        left = left || by_hub;
    }
}

static void make_moves(maker *m, int32_t t) {
    rub_level *l = &m->site->level[t];
    size_t n = 0, cap = 0;
    l->first_move = room(m, (size_t)l->n_row + 1, sizeof(int32_t));
    for (int32_t row = 0; m->status == RUB_OK && row < l->n_row; row++) {
        l->first_move[row] = (int32_t)n;
        if (row < l->n_state_row)
            state_moves(m, t, row, &n, &cap);
        else
            hub_moves(m, t, row, &n, &cap);
        l->first_move[row + 1] = (int32_t)n;
    }
    l->n_move = (int32_t)n;
}

/* Values after the last quarter: a row a state, with what it is worth as a move from it. */
static void make_terminal(maker *m) {
    rub_level *l = &m->site->level[m->p->n_quarter];
    make_rows(m, m->p->n_quarter);
    size_t n = 0, cap = 0;
    l->first_move = room(m, (size_t)l->n_row + 1, sizeof(int32_t));
    for (int32_t row = 0; m->status == RUB_OK && row < l->n_row; row++) {
        rub_arc_terms f = rub_state_terminal_terms(m->p, &m->site->automaton, l->state_of[row]);
        rub_level_move move = {.from = row};
        term(&move, RUB_COLUMN_CASH, f.cash_usd);
        term(&move, rub_column_resale(f.resale_gen), f.resale_mw);
        push_move(m, l, &n, &cap, move);
        l->first_move[row + 1] = (int32_t)n;
    }
    l->n_move = (int32_t)n;
}

static void place_values(maker *m) {
    int32_t quarters = m->p->n_quarter;
    for (int32_t t = 0; t <= quarters; t++) {
        int32_t like = t < quarters ? t : quarters - 1;
        rub_level *l = &m->site->level[t];
        l->at = m->site->n_value;
        m->site->n_value += (size_t)l->n_row *
                            (size_t)(m->levels->first_node[like + 1] - m->levels->first_node[like]);
    }
}

static void make_site(void *ctx, int32_t s, int32_t thread) {
    const rub_levels *levels = ctx;
    const rub_problem *p = levels->problem;
    (void)thread;
    maker m = {.p = p, .levels = levels, .site = &levels->site[s]};
    size_t quarters = (size_t)p->n_quarter;
    m.status = rub_automaton_make(p, s, &m.site->automaton, NULL);
    if (m.status != RUB_OK)
        return;
    const rub_automaton *a = &m.site->automaton;
    m.site->level = room(&m, quarters + 1, sizeof(rub_level));
    m.reach = room(&m, (quarters + 1) * (size_t)a->n_state, 1);
    m.hub_of = room(&m, (size_t)a->n_state, sizeof(int32_t));
    m.any_order = room(&m, quarters * (size_t)p->n_gen, sizeof(bool));
    m.any_free = room(&m, quarters, sizeof(bool));
    m.any_held = room(&m, quarters, sizeof(bool));
    if (m.status == RUB_OK) {
        what_nodes_have(&m);
        arrive(&m, a->initial, 0);
    }
    for (int32_t t = 0; m.status == RUB_OK && t < p->n_quarter; t++) {
        make_rows(&m, t);
        if (m.status == RUB_OK)
            make_entries(&m, t);
    }
    if (m.status == RUB_OK)
        make_terminal(&m);
    for (int32_t t = 0; m.status == RUB_OK && t < p->n_quarter; t++) {
        make_hubs(&m, t);
        make_moves(&m, t);
    }
    if (m.status == RUB_OK)
        place_values(&m);
    free(m.reach);
    free(m.hub_of);
    free(m.any_order);
    free(m.any_free);
    free(m.any_held);
    if (m.status != RUB_OK)
        m.site->n_block = -1; /* told by rub_levels_make */
}

static bool find_quarters(rub_levels *l) {
    const rub_problem *p = l->problem;
    l->first_node = RUB_NEW(int32_t, p->n_quarter + 1);
    l->branches = RUB_NEW(bool, p->n_quarter);
    if (!l->first_node || !l->branches)
        return false;
    for (int32_t n = 0; n < p->n_node; n++) {
        l->first_node[p->tree->quarter[n] + 1] = n + 1;
        if (p->tree->n_child[n] > 1)
            l->branches[p->tree->quarter[n]] = true;
    }
    return true;
}

rub_status rub_levels_make(const rub_problem *p, int32_t n_thread, rub_levels *out,
                           rub_error *err) {
    rub_levels l = {.problem = p,
                    .n_site = p->study->n_site,
                    .site = RUB_NEW(rub_level_site, p->study->n_site),
                    .n_column = RUB_COLUMN_GEN + 6 * p->n_gen};
    bool ok = l.site && find_quarters(&l);
    int32_t block = 0;
    for (int32_t s = 0; ok && s < l.n_site; s++) {
        const rub_study_site *site = &p->study->site[s];
        l.site[s] = (rub_level_site){
            .n_block = site->n_block, .first_block = block, .region = site->region};
        block += site->n_block;
    }
    if (ok)
        rub_parallel_for(l.n_site, n_thread, make_site, &l);
    for (int32_t s = 0; ok && s < l.n_site; s++) {
        ok = l.site[s].n_block > 0 && l.site[s].level;
        l.most_value = l.site[s].n_value > l.most_value ? l.site[s].n_value : l.most_value;
        for (int32_t t = 0; ok && t <= p->n_quarter; t++) {
            int32_t like = t < p->n_quarter ? t : p->n_quarter - 1;
            size_t rows = (size_t)l.site[s].level[t].n_row *
                          (size_t)(l.first_node[like + 1] - l.first_node[like]);
            l.most_row = rows > l.most_row ? rows : l.most_row;
            ok = l.site[s].level[t].n_entry < UINT16_MAX;
        }
    }
    if (!ok) {
        rub_levels_clear(&l);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for the stages of %d sites",
                             p->study->n_site);
    }
    *out = l;
    return RUB_OK;
}

void rub_levels_clear(rub_levels *l) {
    for (int32_t s = 0; l->site && s < l->n_site; s++) {
        for (int32_t t = 0; l->site[s].level && t <= l->problem->n_quarter; t++) {
            rub_level *one = &l->site[s].level[t];
            free(one->state_of);
            free(one->row_of);
            free(one->move);
            free(one->first_move);
            free(one->entry);
            free(one->first_entry);
        }
        free(l->site[s].level);
        rub_automaton_clear(&l->site[s].automaton);
    }
    free(l->site);
    free(l->first_node);
    free(l->branches);
    *l = (rub_levels){0};
}

int32_t rub_levels_entry(const rub_levels *levels, int32_t site, int32_t t, const rub_step *step) {
    const rub_level_site *s = &levels->site[site];
    const rub_level *l = &s->level[t];
    for (int32_t i = 0; i < l->n_state_row; i++) {
        int32_t state = l->state_of[i];
        if (memcmp(&s->automaton.state[state], &step->state, sizeof step->state) != 0)
            continue;
        for (int32_t e = l->first_entry[state]; e < l->first_entry[state + 1]; e++)
            if (l->entry[e].action == step->action && l->entry[e].gen == step->gen &&
                !memcmp(&s->automaton.state[l->entry[e].to], &step->next, sizeof step->next))
                return e;
    }
    return -1;
}
