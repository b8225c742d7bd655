/* Supply against demand by quarter, for training and for each region's inference.
 *
 * Loads and what is rented in are turned into MW by what the fleet that is live in the node gives
 * per MW, so that a load and the capacity that serves it stand in one unit. Own capacity is told in
 * its own MW: what serves loads, what is rented out and what idles add up to what is live. Shortage
 * is load that nothing serves; surplus is live capacity that idles or is rented out. */
#include "plan/facts.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

typedef struct weighted {
    double value, weight;
} weighted;

static int by_value(const void *a, const void *b) {
    double x = ((const weighted *)a)->value, y = ((const weighted *)b)->value;
    return (x > y) - (x < y);
}

double rub_weighted_quantile(const double *value, const double *weight, size_t n, double quantile) {
    weighted *sorted = n ? malloc(n * sizeof *sorted) : NULL;
    if (!sorted)
        return NAN;
    double total = 0.0, sum = 0.0, result = NAN;
    for (size_t i = 0; i < n; i++) {
        sorted[i] = (weighted){value[i], weight[i]};
        total += weight[i];
    }
    qsort(sorted, n, sizeof *sorted, by_value);
    for (size_t i = 0; i < n; i++) {
        sum += sorted[i].weight;
        result = sorted[i].value;
        if (sum >= quantile * total * (1 - 1e-12))
            break;
    }
    free(sorted);
    return result;
}

double rub_block_live_mw(const rub_facts *facts, int32_t block, int32_t node) {
    const rub_step *step = rub_step_of(facts, block, node);
    bool serves = step->state.stage == RUB_STAGE_LIVE &&
                  (step->action == RUB_ACTION_SERVE || step->action == RUB_ACTION_RENEW);
    return serves ? facts->study->site[facts->problem->block[block].site].block_mw : 0.0;
}

static double fleet_per_mw(const rub_facts *facts, int32_t node, const double *per_mw) {
    const rub_problem *p = facts->problem;
    const double *gen = per_mw + (size_t)node * (size_t)p->n_gen;
    double mw = 0.0, units = 0.0;
    for (int32_t b = 0; b < p->n_block; b++) {
        double live = rub_block_live_mw(facts, b, node);
        if (live > 0) {
            mw += live;
            units += live * gen[rub_step_of(facts, b, node)->state.gen];
        }
    }
    return mw > 0 && units > 0 ? units / mw : gen[facts->study->reference_generation];
}

double rub_fleet_tok_per_mw(const rub_facts *facts, int32_t node) {
    return fleet_per_mw(facts, node, facts->problem->tok_per_s_per_mw);
}

double rub_fleet_train_per_mw(const rub_facts *facts, int32_t node) {
    return fleet_per_mw(facts, node, facts->problem->train_per_mw);
}

/* What is rented out comes from own capacity: its share of what that capacity gives. */
double rub_rented_out_mw(const rub_facts *facts, int32_t node, int32_t m) {
    const rub_problem *p = facts->problem;
    bool training = m == p->n_region;
    const double *per_mw = training ? p->train_per_mw : p->tok_per_s_per_mw;
    const double *used = training ? facts->plan->train_mw : facts->plan->infer_mw;
    double mw = 0.0, units = 0.0, out = 0.0;
    for (int32_t r = 0; r < p->n_region; r++)
        for (int32_t g = 0; g < p->n_gen && (training || r == m); g++) {
            size_t n = (size_t)node;
            double here =
                used[(n * (size_t)p->n_region + (size_t)r) * (size_t)p->n_gen + (size_t)g];
            mw += here;
            units += here * per_mw[n * (size_t)p->n_gen + (size_t)g];
        }
    size_t step = ((size_t)node * (size_t)(p->n_region + 1) + (size_t)m) * (size_t)p->n_step;
    for (int32_t s = 0; s < p->n_step; s++)
        out += facts->plan->rent_out[step + (size_t)s];
    return units > 0 ? mw * fmin(1.0, out / units) : 0.0;
}

enum { DEMAND, OWN, RENTED_IN, RENTED_OUT, UNSERVED, LIVE, IDLE, N_ROW };
static const char *const row_name[N_ROW] = {"demand_mw", "own_mw",  "rented_in_mw", "rented_out_mw",
                                            "short_mw",  "live_mw", "idle_mw"};

/* The rows of one node for column m: region m, or training when m == n_region. */
static void node_rows(const rub_facts *facts, int32_t node, int32_t m, double row[N_ROW]) {
    const rub_problem *p = facts->problem;
    bool training = m == p->n_region;
    double per_mw =
        training ? rub_fleet_train_per_mw(facts, node) : rub_fleet_tok_per_mw(facts, node);
    double scale = per_mw > 0 ? 1.0 / per_mw : 0.0;
    for (int32_t i = 0; i < N_ROW; i++)
        row[i] = 0.0;
    for (int32_t i = 0; i < p->n_demand; i++) {
        const rub_study_demand *d = &facts->study->demand[i];
        if (training != (d->load_class == RUB_TRAINING) || (!training && d->region != m))
            continue;
        size_t at = (size_t)node * (size_t)p->n_demand + (size_t)i;
        row[DEMAND] += p->demand[at] * scale;
        row[UNSERVED] += (p->demand[at] - facts->plan->served[at]) * scale;
    }
    size_t step = ((size_t)node * (size_t)(p->n_region + 1) + (size_t)m) * (size_t)p->n_step;
    for (int32_t s = 0; s < p->n_step; s++)
        row[RENTED_IN] += facts->plan->rent_in[step + (size_t)s] * scale;
    double infer = 0.0, train = 0.0;
    for (int32_t r = 0; r < p->n_region; r++)
        for (int32_t g = 0; g < p->n_gen; g++) {
            size_t at =
                ((size_t)node * (size_t)p->n_region + (size_t)r) * (size_t)p->n_gen + (size_t)g;
            train += facts->plan->train_mw[at];
            if (r == m)
                infer += facts->plan->infer_mw[at] + facts->plan->train_mw[at];
            if (r == m)
                row[OWN] += facts->plan->infer_mw[at];
        }
    if (training)
        row[OWN] = train;
    row[RENTED_OUT] = rub_rented_out_mw(facts, node, m);
    row[OWN] -= row[RENTED_OUT];
    for (int32_t b = 0; b < p->n_block; b++) {
        const rub_study_site *site = &facts->study->site[p->block[b].site];
        bool here = training ? rub_step_of(facts, b, node)->state.training : site->region == m;
        row[LIVE] += here ? rub_block_live_mw(facts, b, node) : 0.0;
    }
    row[IDLE] = training ? 0.0 : fmax(0.0, row[LIVE] - infer);
}

/* Share of a load, or of live capacity, under which a shortage or a surplus is not spoken of. */
#define MATERIAL 0.01

/* Values over the nodes of one quarter, with their probabilities. */
typedef struct fan {
    size_t n;
    double *weight, *value[N_ROW];
} fan;

static void collect(const rub_facts *facts, int32_t t, int32_t m, fan *out) {
    out->n = 0;
    for (int32_t n = 0; n < facts->tree->n_node; n++) {
        if (facts->tree->quarter[n] != t)
            continue;
        double row[N_ROW];
        node_rows(facts, n, m, row);
        out->weight[out->n] = facts->tree->prob[n];
        for (int32_t i = 0; i < N_ROW; i++)
            out->value[i][out->n] = row[i];
        out->n++;
    }
}

static void append_quarter(const fan *f, json_t *column) {
    char key[40];
    for (int32_t i = 0; i < N_ROW; i++) {
        double mean = 0.0;
        for (size_t k = 0; k < f->n; k++)
            mean += f->weight[k] * f->value[i][k];
        snprintf(key, sizeof key, "%s", row_name[i]);
        json_array_append_new(json_object_get(column, key), json_real(mean));
    }
    static const struct {
        int row;
        double q;
        const char *key;
    } quantiles[] = {{DEMAND, 0.1, "demand_p10_mw"},
                     {DEMAND, 0.5, "demand_p50_mw"},
                     {DEMAND, 0.9, "demand_p90_mw"},
                     {LIVE, 0.1, "live_p10_mw"},
                     {LIVE, 0.9, "live_p90_mw"}};
    for (size_t i = 0; i < RUB_LEN(quantiles); i++)
        json_array_append_new(json_object_get(column, quantiles[i].key),
                              json_real(rub_weighted_quantile(f->value[quantiles[i].row], f->weight,
                                                              f->n, quantiles[i].q)));
    double p_short = 0.0, p_surplus = 0.0, p_idle = 0.0;
    for (size_t k = 0; k < f->n; k++) {
        double surplus = f->value[IDLE][k] + f->value[RENTED_OUT][k];
        if (f->value[UNSERVED][k] > MATERIAL * f->value[DEMAND][k] && f->value[UNSERVED][k] > 0)
            p_short += f->weight[k];
        if (surplus > MATERIAL * f->value[LIVE][k] && surplus > 0)
            p_surplus += f->weight[k];
        if (f->value[IDLE][k] > MATERIAL * f->value[LIVE][k])
            p_idle += f->weight[k];
    }
    json_array_append_new(json_object_get(column, "prob_shortage"), json_real(p_short));
    json_array_append_new(json_object_get(column, "prob_surplus"), json_real(p_surplus));
    json_array_append_new(json_object_get(column, "prob_idle"), json_real(p_idle));
}

static json_t *new_column(const rub_facts *facts, int32_t m) {
    static const char *const more[] = {"demand_p10_mw", "demand_p50_mw", "demand_p90_mw",
                                       "live_p10_mw",   "live_p90_mw",   "prob_shortage",
                                       "prob_surplus",  "prob_idle"};
    json_t *column = json_object();
    bool training = m == facts->problem->n_region;
    json_object_set_new(column, "class", json_string(training ? "training" : "inference"));
    json_object_set_new(column, "region",
                        json_string(training ? "anywhere" : facts->study->region[m].name));
    for (int32_t i = 0; i < N_ROW; i++)
        json_object_set_new(column, row_name[i], json_array());
    for (size_t i = 0; i < RUB_LEN(more); i++)
        json_object_set_new(column, more[i], json_array());
    return column;
}

json_t *rub_document_supply(const rub_facts *facts) {
    fan f = {0};
    size_t n = (size_t)facts->tree->n_node;
    bool ok = (f.weight = RUB_NEW(double, n));
    for (int32_t i = 0; i < N_ROW; i++)
        ok = (f.value[i] = RUB_NEW(double, n)) && ok;
    json_t *supply = ok ? json_array() : NULL;
    for (int32_t m = 0; supply && m <= facts->problem->n_region; m++) {
        json_t *column = new_column(facts, m);
        for (int32_t t = 0; t < facts->tree->n_quarter; t++) {
            collect(facts, t, m, &f);
            append_quarter(&f, column);
        }
        json_array_append_new(supply, column);
    }
    free(f.weight);
    for (int32_t i = 0; i < N_ROW; i++)
        free(f.value[i]);
    return supply;
}
