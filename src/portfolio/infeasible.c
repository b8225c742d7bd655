/* Infeasible: the elastic form of the deterministic equivalent, asked with one kind of limit lifted
 * after the other, so that the answer names each thing that would help by itself. */
#include "portfolio/infeasible.h"

#include "base/array.h"
#include "base/text.h"
#include "portfolio/equivalent.h"
#include "portfolio/mip.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Integer columns that Cbc is asked with; above, the continuous form; above the second, nothing. */
#define MOST_INTEGER 6000
#define MOST_COLUMNS 60000

/* Share of a limit's size under which its passing is rounding. */
#define ROUNDING 1e-5

static double passed_frac(const rub_limit *l, const double *x) {
    return x[l->slack] / fmax(fabs(l->most), 1.0);
}

/* ---- words ----------------------------------------------------------------------------------- */

/* "3.2M tok/s", "120k accel", "2.5 MW", "$12.3M". */
static const char *amount(const rub_equivalent *b, const rub_limit *l, double value, char *buf,
                          size_t size) {
    char si[24], number[32];
    if (l->kind == RUB_LIMIT_BUDGET) {
        double usd = fabs(value);
        const char *sign = value < 0 ? "-" : "";
        if (usd >= 999.5e6)
            snprintf(buf, size, "%s$%sB", sign, rub_text_exact(usd / 1e9, 4, number));
        else
            snprintf(buf, size, "%s$%sM", sign, rub_text_exact(usd / 1e6, 4, number));
    } else if (l->kind == RUB_LIMIT_MUST_SERVE) {
        bool training = b->p->study->demand[l->which].load_class == RUB_TRAINING;
        snprintf(buf, size, "%s%s", rub_text_si(value, si, sizeof si),
                 training ? " accel" : " tok/s");
        char *gap = strchr(buf, ' '); /* "3.20 M tok/s": as study files write it */
        if (gap && gap[1] && strchr("kMGTP", gap[1]) && gap[2] == ' ')
            memmove(gap, gap + 1, strlen(gap));
    } else
        snprintf(buf, size, "%s MW", rub_text_exact(value, 4, number));
    return buf;
}

/* One limit that is passed: what, where, when, by how much. */
static void sentence(const rub_equivalent *b, const rub_limit *l, double passed, rub_text *out) {
    const rub_study *s = b->p->study;
    char when[16], over[40], most[40];
    rub_quarter_text(s->start_q + b->p->tree->quarter[l->node], when, sizeof when);
    amount(b, l, passed * l->unit, over, sizeof over);
    amount(b, l, fabs(l->most) * l->unit, most, sizeof most);
    switch (l->kind) {
    case RUB_LIMIT_MUST_SERVE:
        rub_text_add(out,
                     "demand '%s': %s of the %s that must be served in %s cannot be; it would take "
                     "a lower must_serve",
                     s->demand[l->which].name, over, most, when);
        break;
    case RUB_LIMIT_GRID:
        rub_text_add(out, "grid of region '%s': %s more needed in %s than the %s there is",
                     s->region[l->which].name, over, when, most);
        break;
    case RUB_LIMIT_SUPPLY:
        rub_text_add(out,
                     "supply of accelerator '%s': %s more needed in %s than the %s (%.0f "
                     "accelerators) that can be ordered",
                     s->generation[l->which].name, over, when, most,
                     l->most * b->p->accel_per_mw[l->which]);
        break;
    case RUB_LIMIT_SUBLET:
        rub_text_add(out, "sublet depth of region '%s': %s more needed in %s than the %s there is",
                     s->region[l->which].name, over, when, most);
        break;
    default:
        amount(b, l, l->most * l->unit, most, sizeof most);
        rub_text_add(out, "budget FY%d: %s more needed than the %s that is left of it",
                     s->budget[l->which].fiscal_year, over, most);
    }
}

/* The limit that is passed by the largest share of its size among those alike (same kind and thing);
 * how many nodes pass it. */
static void worst_of_each(const rub_equivalent *b, const double *x, rub_text *out, int *told) {
    for (size_t i = 0; i < b->n_limit; i++) {
        const rub_limit *worst = &b->limit[i];
        int nodes = 0;
        bool first = true;
        for (size_t k = 0; k < b->n_limit; k++) {
            const rub_limit *l = &b->limit[k];
            if (l->kind != b->limit[i].kind || l->which != b->limit[i].which)
                continue;
            first = first && k >= i;
            nodes += passed_frac(l, x) > ROUNDING;
            if (passed_frac(l, x) > passed_frac(worst, x))
                worst = l;
        }
        if (!first || !nodes)
            continue;
        rub_text_add(out, "%s", (*told)++ ? "; and " : "");
        sentence(b, worst, x[worst->slack], out);
        if (nodes > 1)
            rub_text_add(out, " (and in %d other node%s of the tree)", nodes - 1,
                         nodes > 2 ? "s" : "");
    }
}

/* ---- asking ----------------------------------------------------------------------------------- */

typedef enum verdict { UNKNOWN, NO_HELP, HELPS, POSSIBLE } verdict;

/* Lifts these kinds of limits; on HELPS what is passed is told in *out. */
static verdict lift(const rub_compiled *c, uint32_t kinds, double time_limit_s, rub_text *out) {
    rub_equivalent b = {0};
    rub_lp_result r = {0};
    bool exact = rub_mip_size(c) <= MOST_INTEGER;
    verdict v = UNKNOWN;
    if (rub_equivalent_make(c, NULL, kinds, &b, NULL) != RUB_OK)
        return UNKNOWN;
    if (!exact)
        memset(b.lp.integer, 0, (size_t)b.lp.n_col);
    if (b.lp.n_col <= MOST_COLUMNS && rub_lp_solve(&b.lp, time_limit_s, 1e-6, &r, NULL) == RUB_OK) {
        int told = 0;
        if (r.x)
            worst_of_each(&b, r.x, out, &told);
        v = !r.x ? NO_HELP : told ? HELPS : exact ? POSSIBLE : UNKNOWN;
    }
    free(r.x);
    rub_equivalent_clear(&b);
    return v;
}

/* What is asked in turn: each kind alone; when of the limits that hold supply back none is enough alone,
 * all of those together; when nothing was, all. */
static verdict ask(const rub_compiled *c, double time_limit_s, rub_text *text, int *ways) {
    const uint32_t all = (1u << RUB_N_LIMIT) - 1u, must = 1u << RUB_LIMIT_MUST_SERVE;
    uint32_t helped = 0;
    for (int k = 0; k < RUB_N_LIMIT + 2; k++) {
        uint32_t kinds = k < RUB_N_LIMIT ? 1u << k : k == RUB_N_LIMIT ? all & ~must : all;
        if (k == RUB_N_LIMIT ? (helped & ~must) != 0 : k > RUB_N_LIMIT && helped != 0)
            continue;
        rub_text one = {0};
        verdict v = lift(c, kinds, time_limit_s / (RUB_N_LIMIT + 2), &one);
        if (v == HELPS && one.data) {
            rub_text_add(text, "%s%s", (*ways)++ ? "; or " : "", one.data);
            helped |= kinds;
        }
        text->failed = text->failed || one.failed;
        rub_text_clear(&one);
        if (v == POSSIBLE)
            return POSSIBLE;
    }
    return UNKNOWN;
}

rub_status rub_infeasible_explain(const rub_problem *problem, double time_limit_s, char *reason,
                                  size_t size, bool *possible, rub_error *err) {
    rub_compiled c = {0};
    rub_text text = {0};
    int ways = 0;
    RUB_TRY(rub_compiled_make(problem, &c, err));
    verdict v = ask(&c, time_limit_s, &text, &ways);
    if (v != POSSIBLE && text.data)
        snprintf(reason, size, "No plan keeps every limit: %s%s.", ways > 1 ? "either " : "",
                 text.data);
    *possible = v == POSSIBLE;
    bool failed = text.failed;
    rub_text_clear(&text);
    rub_compiled_clear(&c);
    return failed ? rub_error_set(err, RUB_NO_MEMORY, "out of memory for the reason") : RUB_OK;
}
