/* Blocks: the states that a site's blocks can reach, and the arcs between them, by forward closure
 * from the state at the start. Which arc is open when is blocks_flow.c's. */
#include "portfolio/blocks.h"

#include "base/array.h"
#include "portfolio/terms.h"

#include <stdlib.h>
#include <string.h>

/* An automaton being made: states by value (few hundred at most, found by a hash), arcs as found.
 */
typedef struct maker {
    const rub_problem *problem;
    const rub_study_site *site;
    rub_automaton a;
    size_t state_cap, arc_cap;
    int32_t *table; /* open addressing on the state's bytes (table_size) */
    uint32_t table_size;
    rub_status status;
} maker;

static uint32_t hash(const rub_block_state *s) {
    uint64_t x;
    memcpy(&x, s, sizeof x);
    x *= 0x9e3779b97f4a7c15u;
    return (uint32_t)(x >> 40);
}

static bool rehash(maker *m, uint32_t size) {
    int32_t *table = malloc(size * sizeof *table);
    if (!table)
        return false;
    memset(table, 0xff, size * sizeof *table);
    for (int32_t i = 0; i < m->a.n_state; i++) {
        uint32_t at = hash(&m->a.state[i]) & (size - 1);
        while (table[at] >= 0)
            at = (at + 1) & (size - 1);
        table[at] = i;
    }
    free(m->table);
    m->table = table;
    m->table_size = size;
    return true;
}

/* Index of a state, added when it is new. */
static int32_t state_of(maker *m, rub_block_state s) {
    uint32_t at = hash(&s) & (m->table_size - 1);
    for (; m->table[at] >= 0; at = (at + 1) & (m->table_size - 1))
        if (!memcmp(&m->a.state[m->table[at]], &s, sizeof s))
            return m->table[at];
    if (rub_array_reserve((void **)&m->a.state, &m->state_cap, (size_t)m->a.n_state + 1,
                          sizeof s) != RUB_OK) {
        m->status = RUB_NO_MEMORY;
        return 0;
    }
    m->a.state[m->a.n_state] = s;
    m->table[at] = m->a.n_state++;
    if ((uint32_t)m->a.n_state * 2 > m->table_size && !rehash(m, m->table_size * 2))
        m->status = RUB_NO_MEMORY;
    return m->a.n_state - 1;
}

static void arc(maker *m, int32_t from, rub_action action, int32_t gen, rub_block_state to) {
    rub_arc one = {
        .from = from, .to = state_of(m, to), .action = (uint8_t)action, .gen = (uint8_t)gen};
    if (m->status == RUB_OK && rub_array_reserve((void **)&m->a.arc, &m->arc_cap,
                                                 (size_t)m->a.n_arc + 1, sizeof one) != RUB_OK)
        m->status = RUB_NO_MEMORY;
    if (m->status == RUB_OK)
        m->a.arc[m->a.n_arc++] = one;
}

static const rub_block_state ended = {.stage = RUB_STAGE_ENDED};

/* What stands after all construction, fitting or pause is over keeps these fields. */
static rub_block_state moved(rub_block_state s, rub_stage stage) {
    s.stage = (uint8_t)stage;
    s.remaining = s.gen = s.age = 0;
    return s;
}

static rub_block_state building(rub_block_state s, int32_t remaining) {
    s = moved(s, remaining > 0 ? RUB_STAGE_BUILDING : RUB_STAGE_SHELL);
    s.remaining = (uint8_t)(remaining > 0 ? remaining : 0);
    return s;
}

static rub_block_state fitting(rub_block_state s, int32_t remaining, int32_t gen) {
    s = moved(s, remaining > 0 ? RUB_STAGE_FITTING : RUB_STAGE_LIVE);
    s.remaining = (uint8_t)(remaining > 0 ? remaining : 0);
    s.gen = (uint8_t)gen;
    return s;
}

static rub_block_state aged(rub_block_state s) {
    s.age++;
    return s;
}

static rub_block_state with_training(rub_block_state s) {
    s.training = 1;
    return s;
}

static bool allows(const maker *m, uint32_t right) { return (m->problem->allow & right) != 0; }

static void leave(maker *m, int32_t from, rub_block_state s) {
    bool assigns = !m->site->owned && m->site->may_sublet && allows(m, RUB_ALLOW_SUBLET) &&
                   (s.stage == RUB_STAGE_SIGNED || s.stage == RUB_STAGE_PAUSED);
    if (assigns)
        arc(m, from, RUB_ACTION_SUBLET, 0, ended);
    /* open at the lease's end even when cancelling is switched off */
    arc(m, from, RUB_ACTION_CANCEL, 0, ended);
}

static void from_signed(maker *m, int32_t from, rub_block_state s) {
    const rub_study_site *site = m->site;
    arc(m, from, RUB_ACTION_PROCEED, 0, building(s, site->build_for_q - 1));
    if (allows(m, RUB_ALLOW_WAIT))
        arc(m, from, RUB_ACTION_WAIT, 0, s);
    if (allows(m, RUB_ALLOW_DEFER) && !site->owned && s.deferred < site->defer_max_q) {
        rub_block_state later = s;
        later.deferred++;
        arc(m, from, RUB_ACTION_DEFER, 0, later);
    }
    leave(m, from, s);
}

static void from_building(maker *m, int32_t from, rub_block_state s) {
    arc(m, from, RUB_ACTION_PROCEED, 0, building(s, s.remaining - 1));
    if (allows(m, RUB_ALLOW_PAUSE) && m->site->may_pause) {
        rub_block_state paused = s;
        paused.stage = RUB_STAGE_PAUSED;
        arc(m, from, RUB_ACTION_PAUSE, 0, paused);
    }
    leave(m, from, s);
}

static void from_paused(maker *m, int32_t from, rub_block_state s) {
    rub_block_state next = s;
    if (s.age > 0) { /* resuming: age counts the quarters of delay left */
        next.age--;
        if (next.age == 0)
            next = building(s, s.remaining);
        arc(m, from, RUB_ACTION_RESUME, 0, next);
    } else {
        arc(m, from, RUB_ACTION_WAIT, 0, s);
        next.age = (uint8_t)(m->site->resume_delay_q - 1);
        arc(m, from, RUB_ACTION_RESUME, 0,
            m->site->resume_delay_q <= 1 ? building(s, s.remaining) : next);
    }
    leave(m, from, s);
}

static void orders(maker *m, int32_t from, rub_block_state s, rub_action action) {
    for (int32_t g = 0; g < m->problem->n_gen; g++)
        arc(m, from, action, g, fitting(s, m->site->fit_for_q - 1, g));
}

static bool upgradable(const maker *m, const rub_block_state *s) {
    return allows(m, RUB_ALLOW_UPGRADE) && m->site->upgrade_usd_per_mw >= 0 && !s->training;
}

static void from_shell(maker *m, int32_t from, rub_block_state s) {
    arc(m, from, RUB_ACTION_WAIT, 0, s);
    orders(m, from, s, RUB_ACTION_FIT_OUT);
    if (upgradable(m, &s))
        arc(m, from, RUB_ACTION_UPGRADE, 0, with_training(s));
    if (allows(m, RUB_ALLOW_SUBLET) && m->site->may_sublet) {
        rub_block_state let = moved(s, RUB_STAGE_SUBLET);
        let.remaining = (uint8_t)m->site->sublet_min_q;
        arc(m, from, RUB_ACTION_SUBLET, 0, let);
    }
    leave(m, from, s);
}

static void from_live(maker *m, int32_t from, rub_block_state s) {
    if (s.age < rub_terms_life_q(m->problem->study, s.gen)) {
        arc(m, from, RUB_ACTION_SERVE, 0, aged(s));
        if (upgradable(m, &s))
            arc(m, from, RUB_ACTION_UPGRADE, 0, with_training(aged(s)));
    }
    if (allows(m, RUB_ALLOW_REFRESH))
        orders(m, from, s, RUB_ACTION_REFRESH);
    arc(m, from, RUB_ACTION_RETIRE, 0, moved(s, RUB_STAGE_SHELL));
    leave(m, from, s);
}

static void from_sublet(maker *m, int32_t from, rub_block_state s) {
    rub_block_state next = s;
    next.remaining = (uint8_t)(s.remaining > 0 ? s.remaining - 1 : 0);
    arc(m, from, RUB_ACTION_WAIT, 0, next);
    if (s.remaining == 0)
        arc(m, from, RUB_ACTION_RESUME, 0, moved(s, RUB_STAGE_SHELL));
    arc(m, from, RUB_ACTION_CANCEL, 0, ended); /* at the lease's end only */
}

/* Renewal, at the lease's end: the quarter passes as by the state's plain course. */
static void renew(maker *m, int32_t from, rub_block_state s) {
    if (!m->site->may_renew || s.renewed || m->site->owned || m->site->term_years <= 0)
        return;
    rub_block_state next = s;
    if (s.stage == RUB_STAGE_BUILDING)
        next = building(s, s.remaining - 1);
    else if (s.stage == RUB_STAGE_FITTING)
        next = fitting(s, s.remaining - 1, s.gen);
    else if (s.stage == RUB_STAGE_LIVE) {
        if (s.age >= rub_terms_life_q(m->problem->study, s.gen))
            return;
        next = aged(s);
    } else if (s.stage == RUB_STAGE_SUBLET)
        next.remaining = (uint8_t)(s.remaining > 0 ? s.remaining - 1 : 0);
    else if (s.stage == RUB_STAGE_PAUSED && s.age > 0) {
        next.age--;
        if (next.age == 0)
            next = building(s, s.remaining);
    }
    next.renewed = 1;
    arc(m, from, RUB_ACTION_RENEW, 0, next);
}

static void from_option(maker *m, int32_t from, rub_block_state s) {
    rub_block_state next = moved(s, RUB_STAGE_SIGNED);
    arc(m, from, RUB_ACTION_WAIT, 0, s);
    /* signed after the first term would have ended: treated as renewed, without a further end */
    for (uint8_t renewed = 0; renewed <= (m->site->term_years > 0 && !m->site->owned); renewed++) {
        next.renewed = renewed;
        next.held = 0;
        arc(m, from, RUB_ACTION_SIGN, 0, next);
        next.held = 1;
        if (m->site->rofr_partner >= 0)
            arc(m, from, RUB_ACTION_SIGN, 0, next);
    }
    arc(m, from, RUB_ACTION_CANCEL, 0, ended);
}

static void expand(maker *m, int32_t i) {
    rub_block_state s = m->a.state[i];
    switch ((rub_stage)s.stage) {
    case RUB_STAGE_TALKS:
        arc(m, i, RUB_ACTION_WAIT, 0, s);
        arc(m, i, RUB_ACTION_CANCEL, 0, ended);
        return;
    case RUB_STAGE_OPTION:
        from_option(m, i, s);
        return;
    case RUB_STAGE_SIGNED:
        from_signed(m, i, s);
        break;
    case RUB_STAGE_BUILDING:
        from_building(m, i, s);
        break;
    case RUB_STAGE_PAUSED:
        from_paused(m, i, s);
        break;
    case RUB_STAGE_SHELL:
        from_shell(m, i, s);
        break;
    case RUB_STAGE_FITTING:
        arc(m, i, RUB_ACTION_PROCEED, 0, fitting(s, s.remaining - 1, s.gen));
        arc(m, i, RUB_ACTION_CANCEL, 0, ended); /* at the lease's end only */
        break;
    case RUB_STAGE_LIVE:
        from_live(m, i, s);
        break;
    case RUB_STAGE_SUBLET:
        from_sublet(m, i, s);
        break;
    default:
        arc(m, i, RUB_ACTION_NONE, 0, ended);
        return;
    }
    renew(m, i, s);
}

rub_status rub_automaton_make(const rub_problem *problem, int32_t site, rub_automaton *out,
                              rub_error *err) {
    maker m = {.problem = problem, .site = &problem->study->site[site], .a = {.site = site}};
    size_t first_cap = 0;
    if (!rehash(&m, 1024))
        m.status = RUB_NO_MEMORY;
    if (m.status == RUB_OK)
        m.a.initial = state_of(&m, rub_terms_initial(problem->study, site));
    bool talks = m.site->stage == RUB_STAGE_TALKS;
    rub_block_state option = {.stage = RUB_STAGE_OPTION,
                              .training = m.site->fabric == RUB_FABRIC_TRAINING};
    m.a.option = -1;
    if (m.status == RUB_OK && talks)
        m.a.option = state_of(&m, option);
    if (m.status == RUB_OK)
        m.a.ended = state_of(&m, ended);
    for (int32_t i = 0; m.status == RUB_OK && i < m.a.n_state; i++) {
        if (rub_array_reserve((void **)&m.a.first_arc, &first_cap, (size_t)i + 2,
                              sizeof(int32_t)) != RUB_OK)
            m.status = RUB_NO_MEMORY;
        else {
            m.a.first_arc[i] = m.a.n_arc;
            expand(&m, i);
            m.a.first_arc[i + 1] = m.a.n_arc;
        }
    }
    free(m.table);
    if (m.status != RUB_OK) {
        rub_automaton_clear(&m.a);
        return rub_error_set(err, m.status, "out of memory for the states of site '%s'",
                             m.site->name);
    }
    *out = m.a;
    return RUB_OK;
}

void rub_automaton_clear(rub_automaton *a) {
    free(a->state);
    free(a->first_arc);
    free(a->arc);
    *a = (rub_automaton){0};
}

int32_t rub_state_arrive(const rub_problem *problem, const rub_automaton *a, int32_t state,
                         int32_t node) {
    if (a->state[state].stage != RUB_STAGE_TALKS)
        return state;
    const rub_tree *tree = problem->tree;
    int32_t q = problem->study->start_q + tree->quarter[node];
    if (q < problem->study->site[a->site].close_q)
        return state;
    rub_features f = rub_features_of(problem->study);
    double closed =
        tree->feature[(size_t)node * (size_t)tree->n_feature + (size_t)(f.talks + a->site)];
    return closed >= 0.5 ? a->option : a->ended;
}
