#include "portfolio/compiled.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* reach[t * n_state + s]: state s can be stood in, on arrival, in quarter t. */
static rub_status reachable(const rub_problem *p, const rub_automaton *a, uint8_t **out) {
    size_t n = (size_t)a->n_state;
    uint8_t *reach = RUB_NEW(uint8_t, (size_t)p->n_quarter * n);
    if (!reach)
        return RUB_NO_MEMORY;
    reach[rub_state_arrive(p, a, a->initial, 0)] = 1;
    for (int32_t node = 0; node < p->n_node; node++) {
        int32_t t = p->tree->quarter[node];
        for (int32_t s = 0; s < a->n_state; s++) {
            if (!reach[(size_t)t * n + (size_t)s])
                continue;
            for (int32_t e = a->first_arc[s]; e < a->first_arc[s + 1]; e++) {
                if (!rub_arc_allowed(p, a, e, node))
                    continue;
                for (int32_t c = 0; c < p->tree->n_child[node]; c++) {
                    int32_t child = p->tree->first_child[node] + c;
                    reach[(size_t)(t + 1) * n +
                          (size_t)rub_state_arrive(p, a, a->arc[e].to, child)] = 1;
                }
            }
        }
    }
    *out = reach;
    return RUB_OK;
}

static rub_entry entry_of(const rub_problem *p, const rub_automaton *a, int32_t arc, int32_t node) {
    rub_arc_flow f = rub_arc_flow_at(p, a, arc, node);
    const rub_arc *one = &a->arc[arc];
    rub_entry e = {.cash_usd = f.cash_usd,
                   .capex_usd = f.capex_usd,
                   .own_mw = f.own_mw,
                   .order_mw = f.order_mw,
                   .sublet_mw = f.sublet_mw,
                   .from = one->from,
                   .to = one->to,
                   .arc = arc,
                   .live_gen = f.live_gen,
                   .order_gen = f.order_gen,
                   .training = f.training,
                   .action = one->action};
    if (p->tree->n_child[node] == 0)
        e.cash_usd += rub_state_terminal_usd(p, a, one->to, node);
    return e;
}

static rub_status compile_site(const rub_problem *p, int32_t s, rub_compiled_site *out,
                               rub_error *err) {
    size_t n = 0, cap = 0;
    uint8_t *reach = NULL;
    rub_status status = rub_automaton_make(p, s, &out->automaton, err);
    if (status == RUB_OK && !(out->first = RUB_NEW(int32_t, p->n_node + 1)))
        status = RUB_NO_MEMORY;
    if (status == RUB_OK)
        status = reachable(p, &out->automaton, &reach);
    const rub_automaton *a = &out->automaton;
    for (int32_t node = 0; status == RUB_OK && node < p->n_node; node++) {
        const uint8_t *here = reach + (size_t)p->tree->quarter[node] * (size_t)a->n_state;
        out->first[node] = (int32_t)n;
        for (int32_t i = 0; i < a->n_state && status == RUB_OK; i++)
            for (int32_t e = a->first_arc[i];
                 here[i] && e < a->first_arc[i + 1] && status == RUB_OK; e++)
                if (rub_arc_allowed(p, a, e, node))
                    status = RUB_ARRAY_PUSH(out->entry, n, cap, entry_of(p, a, e, node));
        out->first[node + 1] = (int32_t)n;
    }
    free(reach);
    return status;
}

rub_status rub_compiled_make(const rub_problem *p, rub_compiled *out, rub_error *err) {
    rub_compiled c = {.problem = p,
                      .n_site = p->study->n_site,
                      .site = RUB_NEW(rub_compiled_site, p->study->n_site)};
    rub_status status = c.site ? RUB_OK : RUB_NO_MEMORY;
    int32_t block = 0;
    for (int32_t s = 0; status == RUB_OK && s < c.n_site; s++) {
        c.site[s].n_block = p->study->site[s].n_block;
        c.site[s].first_block = block;
        c.site[s].region = p->study->site[s].region;
        block += c.site[s].n_block;
        status = compile_site(p, s, &c.site[s], err);
        if (c.site[s].automaton.n_state > c.max_state)
            c.max_state = c.site[s].automaton.n_state;
    }
    if (status != RUB_OK) {
        rub_compiled_clear(&c);
        return rub_error_set(err, status, "out of memory while compiling %d sites",
                             p->study->n_site);
    }
    *out = c;
    return RUB_OK;
}

void rub_compiled_clear(rub_compiled *c) {
    for (int32_t s = 0; c->site && s < c->n_site; s++) {
        rub_automaton_clear(&c->site[s].automaton);
        free(c->site[s].first);
        free(c->site[s].entry);
    }
    free(c->site);
    *c = (rub_compiled){0};
}

double rub_compiled_best(const rub_compiled *c, int32_t site, const double *gain, double *value,
                         int32_t *choice) {
    const rub_problem *p = c->problem;
    const rub_compiled_site *s = &c->site[site];
    const rub_automaton *a = &s->automaton;
    const bool talks = a->option >= 0 && p->study->site[site].stage == RUB_STAGE_TALKS;
    for (int32_t node = p->n_node - 1; node >= 0; node--) {
        double *v = value + (size_t)node * (size_t)c->max_state;
        int32_t *take = choice + (size_t)node * (size_t)c->max_state;
        int32_t child = p->tree->first_child[node], n_child = p->tree->n_child[node];
        for (int32_t i = 0; i < a->n_state; i++) {
            v[i] = -HUGE_VAL;
            take[i] = -1;
        }
        for (int32_t e = s->first[node]; e < s->first[node + 1]; e++) {
            const rub_entry *one = &s->entry[e];
            double sum = gain[e];
            for (int32_t k = child; k < child + n_child; k++) {
                int32_t to = talks ? rub_state_arrive(p, a, one->to, k) : one->to;
                sum += value[(size_t)k * (size_t)c->max_state + (size_t)to];
            }
            if (sum > v[one->from]) {
                v[one->from] = sum;
                take[one->from] = e;
            }
        }
    }
    return value[rub_state_arrive(p, a, a->initial, 0)];
}

void rub_compiled_follow(const rub_compiled *c, int32_t site, const int32_t *choice,
                         int32_t *path) {
    const rub_problem *p = c->problem;
    const rub_compiled_site *s = &c->site[site];
    const rub_automaton *a = &s->automaton;
    for (int32_t node = 0; node < p->n_node; node++) {
        int32_t parent = p->tree->parent[node];
        int32_t from = parent < 0 ? a->initial : s->entry[path[parent]].to;
        from = rub_state_arrive(p, a, from, node);
        path[node] = choice[(size_t)node * (size_t)c->max_state + (size_t)from];
    }
}
