/* Market: one node's linear program, solved from doing nothing by the bounded primal simplex. */
#include "portfolio/market_state.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EPS RUB_MARKET_EPS

typedef rub_market_column column;

int32_t rub_market_n_cap(const rub_problem *p) { return p->n_region * p->n_gen * 2; }

rub_status rub_market_create(const rub_problem *p, rub_market **out, rub_error *err) {
    rub_market *k = RUB_NEW(rub_market, 1);
    if (!k)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for the market");
    k->p = p;
    k->max_row = p->n_region * p->n_gen * 2 + 2 * p->n_region + 1;
    k->max_col = p->n_region * p->n_gen * 3 + 2 * p->n_demand + 2 * (p->n_region + 1) * p->n_step +
                 p->n_link;
    k->max_id = k->max_col + p->n_region * (p->n_gen + 2) + 1;
    size_t all = (size_t)(k->max_row + k->max_col), rows = (size_t)k->max_row;
    k->col = RUB_NEW(column, k->max_col);
    k->t = RUB_NEW(double, (size_t)k->max_row *all);
    k->reduced = RUB_NEW(double, all);
    k->rhs = RUB_NEW(double, k->max_row);
    k->most = RUB_NEW(double, all);
    k->basis = RUB_NEW(int32_t, k->max_row);
    k->at_most = RUB_NEW(int8_t, all);
    k->row_id = RUB_NEW(int32_t, k->max_row);
    k->limit = RUB_NEW(double, k->max_row);
    k->place = RUB_NEW(int32_t, k->max_id);
    k->basic = RUB_NEW(bool, all);
    k->inverse = RUB_NEW(double, rows *rows);
    k->work = RUB_NEW(double, rows * 2 * rows);
    k->price = RUB_NEW(double, rows);
    if (!k->col || !k->t || !k->reduced || !k->rhs || !k->most || !k->basis || !k->at_most ||
        !k->row_id || !k->limit || !k->place || !k->basic || !k->inverse || !k->work || !k->price) {
        rub_market_free(k);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for the market");
    }
    *out = k;
    return RUB_OK;
}

void rub_market_free(rub_market *k) {
    if (!k)
        return;
    void *all[] = {k->col,    k->t,     k->reduced, k->rhs,   k->most,    k->basis, k->at_most,
                   k->row_id, k->limit, k->place,   k->basic, k->inverse, k->work,  k->price};
    for (size_t i = 0; i < RUB_LEN(all); i++)
        free(all[i]);
    free(k);
}

/* ---- building ------------------------------------------------------------------------------- */

static void add(rub_market *k, rub_market_use kind, int32_t a, int32_t b, double worth,
                double most) {
    if (most > 0)
        k->col[k->n++] = (column){kind, a, b, worth, most, 0, 0, {0}, {0}};
}

/* What a MW of the best generation gives. */
static void set_units(rub_market *k, int32_t node) {
    const rub_problem *p = k->p;
    k->unit[0] = k->unit[1] = 0.0;
    for (int32_t g = 0; g < p->n_gen; g++) {
        size_t at = (size_t)node * (size_t)p->n_gen + (size_t)g;
        k->unit[0] = fmax(k->unit[0], p->tok_per_s_per_mw[at]);
        k->unit[1] = fmax(k->unit[1], p->train_per_mw[at]);
    }
    for (int i = 0; i < 2; i++)
        k->unit[i] = k->unit[i] > 0 ? k->unit[i] : 1.0;
}

static double unit_of(const rub_market *k, int32_t balance) {
    return k->unit[balance == k->p->n_region];
}

static int32_t balance_of(const rub_problem *p, int32_t demand) {
    const rub_study_demand *d = &p->study->demand[demand];
    return d->load_class == RUB_TRAINING ? p->n_region : d->region;
}

/* What a unit that must be served and is not costs on top. */
static double must_usd(const rub_problem *p, int32_t node) {
    double dearest = 0.0;
    for (int32_t i = 0; i < p->n_demand; i++) {
        size_t at = (size_t)node * (size_t)p->n_demand + (size_t)i;
        dearest = fmax(dearest, p->value_usd[at] + p->penalty_usd[at]);
    }
    return RUB_MARKET_HUGE * (dearest + 1.0);
}

static void add_loads(rub_market *k, int32_t node) {
    const rub_problem *p = k->p;
    double huge = must_usd(p, node);
    const bool in = p->allow & RUB_ALLOW_RENT_IN, out = p->allow & RUB_ALLOW_RENT_OUT;
    for (int32_t i = 0; i < p->n_demand; i++) {
        size_t at = (size_t)node * (size_t)p->n_demand + (size_t)i;
        double worth = p->value_usd[at] + p->penalty_usd[at];
        double must = p->study->demand[i].must_serve_frac * p->demand[at];
        double unit = unit_of(k, balance_of(p, i));
        add(k, MUST, i, 0, (worth + huge) * unit, must / unit);
        add(k, SERVED, i, 0, worth * unit, (p->demand[at] - must) / unit);
    }
    for (int32_t m = 0; m <= p->n_region; m++)
        for (int32_t s = 0; s < p->n_step; s++) {
            size_t at = ((size_t)node * (size_t)(p->n_region + 1) + (size_t)m) * (size_t)p->n_step +
                        (size_t)s;
            double unit = unit_of(k, m);
            add(k, RENT_IN, m, s, -p->rent_in_usd[at] * unit,
                in ? p->rent_in_depth[at] / unit : 0.0);
            add(k, RENT_OUT, m, s, p->rent_out_usd[at] * unit,
                out ? p->rent_out_depth[at] / unit : 0.0);
        }
    for (int32_t l = 0; l < p->n_link && (p->allow & RUB_ALLOW_SHIP); l++)
        add(k, SHIP, l, 0, -p->ship_usd[(size_t)node * (size_t)p->n_link + (size_t)l] * k->unit[0],
            HUGE_VAL);
}

static double *cell(rub_market *k, int32_t row, int32_t col) {
    return &k->t[(size_t)row * (size_t)k->width + (size_t)col];
}

static void put(column *c, int32_t row, double value) {
    c->row[c->n_entry] = row;
    c->value[c->n_entry++] = value;
}

/* Coefficients in the balances, and the id. */
static void describe(const rub_market *k, column *c, int32_t node) {
    const rub_problem *p = k->p;
    int32_t pools = 2 * p->n_region * p->n_gen, loads = pools + 2 * p->n_demand,
            steps = loads + 2 * (p->n_region + 1) * p->n_step;
    size_t gen = (size_t)node * (size_t)p->n_gen + (size_t)c->b;
    switch (c->kind) {
    case TRAIN:
        put(c, p->n_region, -p->train_per_mw[gen] / k->unit[1]);
        c->id = 2 * (c->a * p->n_gen + c->b);
        break;
    case INFER:
        put(c, c->a, -p->tok_per_s_per_mw[gen] / k->unit[0]);
        c->id = 2 * (c->a * p->n_gen + c->b) + 1;
        break;
    case SERVED:
    case MUST:
        put(c, balance_of(p, c->a), 1.0);
        c->id = pools + 2 * c->a + (c->kind == MUST);
        break;
    case RENT_IN:
    case RENT_OUT:
        put(c, c->a, c->kind == RENT_IN ? -1.0 : 1.0);
        c->id = loads + 2 * (c->a * p->n_step + c->b) + (c->kind == RENT_OUT);
        break;
    case SHIP:
        put(c, p->study->link[c->a].from, 1.0);
        put(c, p->study->link[c->a].to, -1.0);
        c->id = steps + c->a;
        break;
    }
}

/* Pools with capacity: a column for inference; on training fabric one for training too. */
static void add_pools(rub_market *k, int32_t node, const double *cap) {
    const rub_problem *p = k->p;
    for (int32_t r = 0; r < p->n_region; r++) {
        double power = p->power_usd_per_mw[(size_t)node * (size_t)p->n_region + (size_t)r];
        for (int32_t g = 0; g < p->n_gen; g++) {
            const double *mw = cap + (r * p->n_gen + g) * 2;
            add(k, TRAIN, r, g, -power, mw[1]);
            add(k, INFER, r, g, -power, mw[0] + mw[1]);
        }
    }
}

static int32_t new_row(rub_market *k, int32_t number, double limit) {
    k->row_id[k->m] = k->max_col + number;
    k->limit[k->m] = limit;
    return k->m++;
}

/* Rows: balances 0..n_region (training last), grids that have a limit, then a row for each pool that has
 * two uses (one of one use is bounded by its column). */
static void add_rows(rub_market *k, int32_t node) {
    const rub_problem *p = k->p;
    for (int32_t i = 0; i <= p->n_region; i++)
        new_row(k, i, 0.0);
    for (int32_t r = 0; r < p->n_region; r++) {
        double grid = p->grid_mw[(size_t)node * (size_t)p->n_region + (size_t)r];
        if (!isfinite(grid))
            continue;
        int32_t row = new_row(k, p->n_region + 1 + r, grid);
        for (int32_t j = 0; j < k->n && k->col[j].kind <= INFER; j++)
            if (k->col[j].a == r)
                put(&k->col[j], row, 1.0);
    }
    for (int32_t j = 0; j + 1 < k->n; j++)
        if (k->col[j].kind == TRAIN) { /* its INFER column follows */
            int32_t pool = k->col[j].a * p->n_gen + k->col[j].b,
                    row = new_row(k, 2 * p->n_region + 1 + pool, k->col[j + 1].most);
            put(&k->col[j], row, 1.0);
            put(&k->col[j + 1], row, 1.0);
        }
}

void rub_market_list(rub_market *k, int32_t node, const double *cap) {
    k->n = k->m = 0;
    k->dearest = 0.0;
    set_units(k, node);
    add_pools(k, node, cap);
    add_loads(k, node);
    for (int32_t j = 0; j < k->n; j++)
        describe(k, &k->col[j], node);
    add_rows(k, node);
    for (int32_t j = 0; j < k->n + k->m; j++) {
        k->most[j] = j < k->n ? k->col[j].most : HUGE_VAL;
        k->dearest = j < k->n ? fmax(k->dearest, fabs(k->col[j].worth)) : k->dearest;
    }
}

/* The tableau of doing nothing. */
static void build(rub_market *k) {
    k->width = k->n + k->m;
    memset(k->t, 0, (size_t)k->m * (size_t)k->width * sizeof *k->t);
    for (int32_t j = 0; j < k->n + k->m; j++) {
        k->at_most[j] = 0;
        k->reduced[j] = j < k->n ? k->col[j].worth : 0.0;
        for (int32_t e = 0; j < k->n && e < k->col[j].n_entry; e++)
            *cell(k, k->col[j].row[e], j) = k->col[j].value[e];
    }
    for (int32_t i = 0; i < k->m; i++) {
        *cell(k, i, k->n + i) = 1.0;
        k->basis[i] = k->n + i;
        k->rhs[i] = k->limit[i];
    }
}

/* ---- bounded primal simplex ----------------------------------------------------------------- */

/* Entering column: largest gain (Dantzig); after many pivots the first with any (Bland). */
static int32_t entering(const rub_market *k, bool bland) {
    int32_t best = -1;
    double most = EPS * k->dearest;
    for (int32_t j = 0; j < k->n + k->m; j++) {
        double gain = k->at_most[j] ? -k->reduced[j] : k->reduced[j];
        if (gain > most && k->most[j] > 0) {
            best = j;
            if (bland)
                return j;
            most = gain;
        }
    }
    return best;
}

/* Smallest step at which a basic value meets a bound; *row -1 when the column meets its own first.
 */
static double ratio(rub_market *k, int32_t j, int32_t *row, bool *upper) {
    double sign = k->at_most[j] ? -1.0 : 1.0, step = k->most[j];
    *row = -1;
    for (int32_t i = 0; i < k->m; i++) {
        double a = sign * *cell(k, i, j), room = HUGE_VAL;
        if (a > EPS)
            room = k->rhs[i] / a;
        else if (a < -EPS && isfinite(k->most[k->basis[i]]))
            room = (k->rhs[i] - k->most[k->basis[i]]) / a;
        room = room > 0 ? room : isnan(room) ? 0.0 : fmax(room, 0.0);
        if (room < step || (room == step && *row >= 0 && k->basis[i] < k->basis[*row])) {
            step = room;
            *row = i;
            *upper = a < 0;
        }
    }
    return step;
}

static void pivot(rub_market *k, int32_t row, int32_t j) {
    int32_t all = k->n + k->m;
    double *r = cell(k, row, 0), inverse = 1.0 / r[j];
    for (int32_t c = 0; c < all; c++)
        r[c] *= inverse;
    for (int32_t i = 0; i < k->m; i++) {
        double *x = cell(k, i, 0), a = x[j];
        if (i == row || a == 0.0)
            continue;
        for (int32_t c = 0; c < all; c++)
            x[c] -= a * r[c];
        x[j] = 0.0;
    }
    double d = k->reduced[j];
    for (int32_t c = 0; c < all; c++)
        k->reduced[c] -= d * r[c];
    k->reduced[j] = 0.0;
}

static void solve(rub_market *k) {
    for (int32_t turn = 0; turn < 2000; turn++) {
        int32_t j = entering(k, turn > 400), row;
        bool upper = false;
        if (j < 0)
            return;
        double step = ratio(k, j, &row, &upper), sign = k->at_most[j] ? -1.0 : 1.0;
        if (!isfinite(step))
            return; /* unbounded: cannot be, every worth is bounded by a load or a depth */
        for (int32_t i = 0; i < k->m; i++)
            k->rhs[i] -= sign * step * *cell(k, i, j);
        if (row < 0) {
            k->at_most[j] = !k->at_most[j];
            continue;
        }
        int32_t out = k->basis[row];
        double value = k->at_most[j] ? k->most[j] - step : step;
        k->at_most[out] = upper;
        k->at_most[j] = 0;
        pivot(k, row, j);
        k->basis[row] = j;
        k->rhs[row] = value;
    }
}

/* ---- answers -------------------------------------------------------------------------------- */

static void store(const rub_market *k, int32_t node, int32_t j, double x, rub_plan *plan) {
    const rub_problem *p = k->p;
    const column *c = &k->col[j];
    if (c->kind == SERVED || c->kind == MUST)
        x *= unit_of(k, balance_of(p, c->a));
    else if (c->kind == RENT_IN || c->kind == RENT_OUT)
        x *= unit_of(k, c->a);
    else if (c->kind == SHIP)
        x *= k->unit[0];
    size_t pool =
        ((size_t)node * (size_t)p->n_region + (size_t)c->a) * (size_t)p->n_gen + (size_t)c->b;
    size_t step = ((size_t)node * (size_t)(p->n_region + 1) + (size_t)c->a) * (size_t)p->n_step +
                  (size_t)c->b;
    switch (c->kind) {
    case TRAIN:
        plan->train_mw[pool] = x;
        break;
    case INFER:
        plan->infer_mw[pool] = x;
        break;
    case SERVED:
    case MUST:
        plan->served[(size_t)node * (size_t)p->n_demand + (size_t)c->a] += x;
        break;
    case RENT_IN:
        plan->rent_in[step] = x;
        break;
    case RENT_OUT:
        plan->rent_out[step] = x;
        break;
    case SHIP:
        plan->shipped[(size_t)node * (size_t)p->n_link + (size_t)c->a] = x;
        break;
    }
}

static void clear_node(const rub_problem *p, int32_t node, rub_plan *plan) {
    size_t n = (size_t)node, pool = (size_t)p->n_region * (size_t)p->n_gen;
    size_t step = (size_t)(p->n_region + 1) * (size_t)p->n_step;
    memset(plan->train_mw + n * pool, 0, pool * sizeof(double));
    memset(plan->infer_mw + n * pool, 0, pool * sizeof(double));
    memset(plan->served + n * (size_t)p->n_demand, 0, (size_t)p->n_demand * sizeof(double));
    memset(plan->rent_in + n * step, 0, step * sizeof(double));
    memset(plan->rent_out + n * step, 0, step * sizeof(double));
    memset(plan->shipped + n * (size_t)p->n_link, 0, (size_t)p->n_link * sizeof(double));
}

/* What region r uses of its inference balance beyond what it has [tokens/s]. */
static double lacks(const rub_problem *p, int32_t node, int32_t r, const rub_plan *plan) {
    size_t n = (size_t)node, step = (n * (size_t)(p->n_region + 1) + (size_t)r) * (size_t)p->n_step;
    double sum = 0.0;
    for (int32_t g = 0; g < p->n_gen; g++)
        sum -=
            plan->infer_mw[(n * (size_t)p->n_region + (size_t)r) * (size_t)p->n_gen + (size_t)g] *
            p->tok_per_s_per_mw[n * (size_t)p->n_gen + (size_t)g];
    for (int32_t s = 0; s < p->n_step; s++)
        sum += plan->rent_out[step + (size_t)s] - plan->rent_in[step + (size_t)s];
    for (int32_t i = 0; i < p->n_demand; i++)
        if (balance_of(p, i) == r)
            sum += plan->served[n * (size_t)p->n_demand + (size_t)i];
    for (int32_t l = 0; l < p->n_link; l++) {
        double x = plan->shipped[n * (size_t)p->n_link + (size_t)l];
        sum += p->study->link[l].from == r ? x : p->study->link[l].to == r ? -x : 0.0;
    }
    return sum;
}

/* Leaves region r a hair of its balance when it sends all of it on, so that no order of adding it up
 * finds more sent than there is. */
static void trim_one(const rub_problem *p, int32_t node, int32_t r, double *sent, rub_plan *plan) {
    double over = *sent > 0 ? lacks(p, node, r, plan) : 0.0, hair = 1e-12 * *sent;
    if (*sent > 0 && over > -hair && over < 1e3 * hair)
        *sent -= over + hair;
}

/* Rounding may have a region ship or rent out a hair more than it has: trimmed to that. */
static void trim(const rub_problem *p, int32_t node, rub_plan *plan) {
    size_t step = (size_t)node * (size_t)(p->n_region + 1) * (size_t)p->n_step;
    for (int32_t pass = 0; pass < p->n_region; pass++)
        for (int32_t l = 0; l < p->n_link; l++)
            trim_one(p, node, p->study->link[l].from,
                     &plan->shipped[(size_t)node * (size_t)p->n_link + (size_t)l], plan);
    for (int32_t i = 0; i < p->n_region * p->n_step; i++)
        trim_one(p, node, i / p->n_step, &plan->rent_out[step + (size_t)i], plan);
}

double rub_market_answer(rub_market *k, int32_t node, rub_plan *plan, double *unit_price) {
    const rub_problem *p = k->p;
    double worth = 0.0;
    if (plan)
        clear_node(p, node, plan);
    for (int32_t j = 0; j < k->n; j++)
        if (k->at_most[j]) {
            worth += k->col[j].worth * k->most[j];
            if (plan)
                store(k, node, j, k->most[j], plan);
        }
    for (int32_t i = 0; i < k->m; i++)
        if (k->basis[i] < k->n) {
            double x = fmax(0.0, fmin(k->rhs[i], k->most[k->basis[i]]));
            worth += k->col[k->basis[i]].worth * x;
            if (plan)
                store(k, node, k->basis[i], x, plan);
        }
    for (int32_t i = 0; i < p->n_demand; i++) {
        size_t at = (size_t)node * (size_t)p->n_demand + (size_t)i;
        double must = p->study->demand[i].must_serve_frac * p->demand[at];
        worth -= p->penalty_usd[at] * p->demand[at] + must_usd(p, node) * must;
    }
    if (plan)
        trim(p, node, plan);
    for (int32_t m = 0; unit_price && m <= p->n_region; m++)
        unit_price[m] = fmax(0.0, -k->reduced[k->n + m]) / unit_of(k, m);
    return worth;
}

double rub_market_clear(rub_market *k, int32_t node, const double *cap, rub_plan *plan,
                        double *unit_price) {
    rub_market_list(k, node, cap);
    build(k);
    solve(k);
    return rub_market_answer(k, node, plan, unit_price);
}

void rub_market_grid_prices(const rub_market *k, int32_t node, double *grid_price) {
    const rub_problem *p = k->p;
    int32_t row = p->n_region + 1; /* limited regions' rows follow the balances */
    for (int32_t r = 0; r < p->n_region; r++) {
        bool limited = isfinite(p->grid_mw[(size_t)node * (size_t)p->n_region + (size_t)r]);
        grid_price[r] = limited ? fmax(0.0, -k->reduced[k->n + row++]) : 0.0;
    }
}

double rub_market_constant(const rub_problem *p, int32_t n, const double *unit,
                           const double *grid) {
    double sum = 0.0, huge = must_usd(p, n);
    size_t steps = (size_t)(p->n_region + 1) * (size_t)p->n_step;
    for (int32_t i = 0; i < p->n_demand; i++) {
        size_t at = (size_t)n * (size_t)p->n_demand + (size_t)i;
        double worth = p->value_usd[at] + p->penalty_usd[at] - unit[balance_of(p, i)];
        double must = p->study->demand[i].must_serve_frac * p->demand[at];
        sum += fmax(0.0, worth) * (p->demand[at] - must) - p->penalty_usd[at] * p->demand[at];
        sum += (fmax(0.0, worth + huge) - huge) * must;
    }
    for (size_t i = 0; i < steps; i++) {
        size_t at = (size_t)n * steps + i;
        double price = unit[i / (size_t)p->n_step];
        if (p->allow & RUB_ALLOW_RENT_IN)
            sum += fmax(0.0, price - p->rent_in_usd[at]) * p->rent_in_depth[at];
        if (p->allow & RUB_ALLOW_RENT_OUT)
            sum += fmax(0.0, p->rent_out_usd[at] - price) * p->rent_out_depth[at];
    }
    for (int32_t r = 0; r < p->n_region; r++)
        if (grid[r] > 0)
            sum += grid[r] * p->grid_mw[(size_t)n * (size_t)p->n_region + (size_t)r];
    return sum;
}
