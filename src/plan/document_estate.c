/* Estate: what is contracted, committed and live; supply under contract against demand; who uses
 * the live capacity. */
#include "plan/facts.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *column_of(json_t *object, const char *key) {
    json_t *array = json_object_get(object, key);
    if (!array) {
        array = json_array();
        json_object_set_new(object, key, array);
    }
    return array;
}

static void append(json_t *object, const char *key, double x) {
    json_array_append_new(column_of(object, key), json_real(x));
}

static double block_mw(const rub_facts *facts, int32_t block) {
    return facts->study->site[facts->problem->block[block].site].block_mw;
}

/* ---- contracted, committed, live ------------------------------------------------------------- */

enum { CONTRACTED, COMMITTED, LIVE, N_KIND };
static const char *const kind_name[N_KIND] = {"contracted", "committed", "live"};

/* Contracted: signed or further. Committed: money goes into it or has. Live: accelerators stand. */
static bool is_kind(rub_stage stage, int kind) {
    if (stage < RUB_STAGE_SIGNED || stage > RUB_STAGE_SUBLET)
        return false;
    return kind == CONTRACTED || (kind == COMMITTED && stage != RUB_STAGE_SIGNED) ||
           stage == RUB_STAGE_LIVE;
}

/* MW by kind and by stage at each node of a quarter; returns how many nodes. */
static size_t stages_of_quarter(const rub_facts *facts, int32_t t, double *kind[N_KIND],
                                double *weight, double stage[RUB_N_STAGE]) {
    size_t n = 0;
    memset(stage, 0, RUB_N_STAGE * sizeof *stage);
    for (int32_t node = 0; node < facts->tree->n_node; node++) {
        if (facts->tree->quarter[node] != t)
            continue;
        weight[n] = facts->tree->prob[node];
        for (int k = 0; k < N_KIND; k++)
            kind[k][n] = 0.0;
        for (int32_t b = 0; b < facts->problem->n_block; b++) {
            rub_stage at = (rub_stage)rub_step_of(facts, b, node)->state.stage;
            stage[at] += weight[n] * block_mw(facts, b);
            for (int k = 0; k < N_KIND; k++)
                kind[k][n] += is_kind(at, k) ? block_mw(facts, b) : 0.0;
        }
        n++;
    }
    return n;
}

static void append_quarter(const rub_facts *facts, int32_t t, double *kind[N_KIND], double *weight,
                           json_t *estate, json_t *by_stage) {
    double stage[RUB_N_STAGE];
    char key[40];
    size_t n = stages_of_quarter(facts, t, kind, weight, stage);
    for (int k = 0; k < N_KIND; k++) {
        double mean = 0.0;
        for (size_t i = 0; i < n; i++)
            mean += weight[i] * kind[k][i];
        snprintf(key, sizeof key, "%s_mw", kind_name[k]);
        append(estate, key, mean);
        snprintf(key, sizeof key, "%s_p10_mw", kind_name[k]);
        append(estate, key, rub_weighted_quantile(kind[k], weight, n, 0.1));
        snprintf(key, sizeof key, "%s_p90_mw", kind_name[k]);
        append(estate, key, rub_weighted_quantile(kind[k], weight, n, 0.9));
    }
    for (int s = 0; s < RUB_N_STAGE; s++)
        append(by_stage, rub_stage_text((rub_stage)s), stage[s]);
}

json_t *rub_document_estate(const rub_facts *facts) {
    size_t n = (size_t)facts->tree->n_node;
    double *kind[N_KIND] = {RUB_NEW(double, n), RUB_NEW(double, n), RUB_NEW(double, n)},
           *weight = RUB_NEW(double, n);
    json_t *estate = NULL;
    if (kind[0] && kind[1] && kind[2] && weight) {
        estate = json_object();
        json_t *by_stage = json_object();
        for (int32_t t = 0; t < facts->tree->n_quarter; t++)
            append_quarter(facts, t, kind, weight, estate, by_stage);
        json_object_set_new(estate, "stage_mw", by_stage);
    }
    for (int k = 0; k < N_KIND; k++)
        free(kind[k]);
    free(weight);
    return estate;
}

/* ---- supply under contract against demand ----------------------------------------------------- */

/* Quarter in which a block under contract would be live if all went on as contracted; -1: none. */
static int32_t contracted_live_q(const rub_facts *facts, int32_t block) {
    const rub_study_site *site = &facts->study->site[facts->problem->block[block].site];
    const rub_block_state *s = &rub_step_of(facts, block, 0)->state;
    switch ((rub_stage)s->stage) {
    case RUB_STAGE_LIVE:
        return 0;
    case RUB_STAGE_FITTING:
        return s->remaining;
    case RUB_STAGE_SHELL:
        return site->fit_for_q;
    case RUB_STAGE_BUILDING:
        return s->remaining + site->fit_for_q;
    case RUB_STAGE_PAUSED:
        return site->resume_delay_q + s->remaining + site->fit_for_q;
    case RUB_STAGE_SIGNED:
        return site->build_for_q + site->fit_for_q;
    default:
        return -1;
    }
}

/* Columns: regions (inference load against blocks of inference fabric), training (training load against
 * training fabric), all. */
static bool block_in(const rub_facts *facts, int32_t block, int32_t m) {
    const rub_problem *p = facts->problem;
    const rub_study_site *site = &facts->study->site[p->block[block].site];
    bool training = site->fabric == RUB_FABRIC_TRAINING;
    return m > p->n_region || (m == p->n_region ? training : !training && site->region == m);
}

static double load_mw(const rub_facts *facts, int32_t node, int32_t m) {
    const rub_problem *p = facts->problem;
    double tok = rub_fleet_tok_per_mw(facts, node), train = rub_fleet_train_per_mw(facts, node);
    double sum = 0.0;
    for (int32_t i = 0; i < p->n_demand; i++) {
        const rub_study_demand *d = &facts->study->demand[i];
        bool training = d->load_class == RUB_TRAINING;
        double per_mw = training ? train : tok;
        bool counts =
            m > p->n_region || (m == p->n_region ? training : !training && d->region == m);
        if (counts && per_mw > 0)
            sum += p->demand[(size_t)node * (size_t)p->n_demand + (size_t)i] / per_mw;
    }
    return sum;
}

static double contracted_mw(const rub_facts *facts, int32_t t, int32_t m) {
    double mw = 0.0;
    for (int32_t b = 0; b < facts->problem->n_block; b++) {
        int32_t live = contracted_live_q(facts, b);
        mw += live >= 0 && live <= t && block_in(facts, b, m) ? block_mw(facts, b) : 0.0;
    }
    return mw;
}

static double planned_mw(const rub_facts *facts, int32_t node, int32_t m) {
    double mw = 0.0;
    for (int32_t b = 0; b < facts->problem->n_block; b++)
        mw += block_in(facts, b, m) ? rub_block_live_mw(facts, b, node) : 0.0;
    return mw;
}

/* One quarter of one column; returns the mean surplus under contract. */
static double balance(const rub_facts *facts, int32_t t, int32_t m, json_t *row, double *prob) {
    double supply = contracted_mw(facts, t, m), load = 0.0, over = 0.0, lack = 0.0, p_over = 0.0;
    double planned = 0.0, planned_over = 0.0;
    for (int32_t n = 0; n < facts->tree->n_node; n++) {
        if (facts->tree->quarter[n] != t)
            continue;
        double p = facts->tree->prob[n], here = load_mw(facts, n, m),
               live = planned_mw(facts, n, m);
        load += p * here;
        over += p * fmax(0.0, supply - here);
        lack += p * fmax(0.0, here - supply);
        p_over += supply > here ? p : 0.0;
        planned += p * live;
        planned_over += p * fmax(0.0, live - here);
    }
    append(row, "contracted_mw", supply);
    append(row, "demand_mw", load);
    append(row, "surplus_mw", over);
    append(row, "shortage_mw", lack);
    append(row, "prob_surplus", p_over);
    append(row, "index", supply > 0 ? over / supply : 0.0);
    append(row, "planned_index", planned > 0 ? planned_over / planned : 0.0);
    *prob = p_over;
    return over;
}

/* Sites that add to the surplus by quarter t: not live yet, live by then as contracted. */
static json_t *sites_behind(const rub_facts *facts, int32_t t, int32_t m) {
    json_t *sites = json_array();
    for (int32_t s = 0, b = 0; s < facts->study->n_site; s++) {
        double mw = 0.0;
        for (int32_t i = 0; i < facts->study->site[s].n_block; i++, b++) {
            int32_t live = contracted_live_q(facts, b);
            mw += live > 0 && live <= t && block_in(facts, b, m) ? block_mw(facts, b) : 0.0;
        }
        size_t at = 0; /* largest first */
        while (at < json_array_size(sites) &&
               json_number_value(json_object_get(json_array_get(sites, at), "mw")) >= mw)
            at++;
        if (mw > 0)
            json_array_insert_new(
                sites, at, json_pack("{s:s,s:f}", "site", facts->study->site[s].name, "mw", mw));
    }
    return sites;
}

static json_t *oversupply_row(const rub_facts *facts, int32_t m) {
    const rub_problem *p = facts->problem;
    json_t *row = json_object();
    double most = 0.0, prob = 0.0, here;
    int32_t worst = -1;
    char quarter[16];
    json_object_set_new(row, "class",
                        json_string(m > p->n_region    ? "all"
                                    : m == p->n_region ? "training"
                                                       : "inference"));
    json_object_set_new(row, "region",
                        json_string(m < p->n_region ? facts->study->region[m].name : "anywhere"));
    for (int32_t t = 0; t < facts->tree->n_quarter; t++) {
        double over = balance(facts, t, m, row, &here);
        if (over > most + 1e-9) {
            most = over;
            prob = here;
            worst = t;
        }
    }
    if (worst < 0)
        return row;
    rub_quarter_text(facts->study->start_q + worst, quarter, sizeof quarter);
    json_object_set_new(row, "worst_quarter", json_string(quarter));
    json_object_set_new(row, "worst_surplus_mw", json_real(most));
    json_object_set_new(row, "worst_prob", json_real(prob));
    json_object_set_new(row, "behind", sites_behind(facts, worst, m));
    return row;
}

json_t *rub_document_oversupply(const rub_facts *facts) {
    json_t *rows = json_array();
    for (int32_t m = 0; m <= facts->problem->n_region + 1; m++)
        json_array_append_new(rows, oversupply_row(facts, m));
    return rows;
}

/* ---- who uses live capacity ------------------------------------------------------------------- */

/* A node's market, for one region (m < n_region) or training: who takes what its own MW give. */
typedef struct takers {
    double mw;      /* own MW in use */
    double served;  /* units of the loads here */
    double shipped; /* units sent to other regions */
} takers;

static takers takers_of(const rub_facts *facts, int32_t n, int32_t m) {
    const rub_problem *p = facts->problem;
    takers k = {0};
    for (int32_t r = 0; r < p->n_region; r++)
        for (int32_t g = 0; g < p->n_gen; g++) {
            size_t at =
                ((size_t)n * (size_t)p->n_region + (size_t)r) * (size_t)p->n_gen + (size_t)g;
            if (m == p->n_region)
                k.mw += facts->plan->train_mw[at];
            else if (r == m)
                k.mw += facts->plan->infer_mw[at];
        }
    for (int32_t i = 0; i < p->n_demand; i++) {
        const rub_study_demand *d = &facts->study->demand[i];
        if ((d->load_class == RUB_TRAINING ? p->n_region : d->region) == m)
            k.served += facts->plan->served[(size_t)n * (size_t)p->n_demand + (size_t)i];
    }
    for (int32_t l = 0; l < p->n_link && m < p->n_region; l++)
        if (facts->study->link[l].from == m)
            k.shipped += facts->plan->shipped[(size_t)n * (size_t)p->n_link + (size_t)l];
    return k;
}

/* Own MW by load at a node; use[n_demand] gets what is rented out. What a region ships goes to the
 * loads of where it goes, in proportion to what is served there. */
static void use_of_node(const rub_facts *facts, int32_t n, double *use) {
    const rub_problem *p = facts->problem;
    memset(use, 0, (size_t)(p->n_demand + 1) * sizeof *use);
    for (int32_t m = 0; m <= p->n_region; m++) {
        takers k = takers_of(facts, n, m);
        double all = k.served + k.shipped;
        double out = rub_rented_out_mw(facts, n, m), own = k.mw - out;
        use[p->n_demand] += out;
        if (own <= 0 || all <= 0)
            continue;
        for (int32_t i = 0; i < p->n_demand; i++) {
            const rub_study_demand *d = &facts->study->demand[i];
            double served = facts->plan->served[(size_t)n * (size_t)p->n_demand + (size_t)i];
            int32_t column = d->load_class == RUB_TRAINING ? p->n_region : d->region;
            if (column == m)
                use[i] += own * served / all;
            for (int32_t l = 0; l < p->n_link && m < p->n_region; l++) {
                const rub_study_link *link = &facts->study->link[l];
                if (link->from != m || link->to != column)
                    continue;
                double there = takers_of(facts, n, column).served;
                double sent = facts->plan->shipped[(size_t)n * (size_t)p->n_link + (size_t)l];
                use[i] += there > 0 ? own * sent / all * served / there : 0.0;
            }
        }
    }
}

json_t *rub_document_utilisation(const rub_facts *facts) {
    const rub_problem *p = facts->problem;
    size_t n_use = (size_t)p->n_demand + 1;
    double *use = RUB_NEW(double, n_use), *mean = RUB_NEW(double, n_use);
    json_t *out = use && mean ? json_object() : NULL, *loads = json_object();
    for (int32_t t = 0; out && t < facts->tree->n_quarter; t++) {
        double live = 0.0, used = 0.0;
        memset(mean, 0, n_use * sizeof *mean);
        for (int32_t n = 0; n < p->n_node; n++) {
            if (facts->tree->quarter[n] != t)
                continue;
            double prob = facts->tree->prob[n];
            use_of_node(facts, n, use);
            for (size_t i = 0; i < n_use; i++)
                mean[i] += prob * use[i];
            live += prob * planned_mw(facts, n, p->n_region + 1);
        }
        for (int32_t i = 0; i < p->n_demand; i++)
            append(loads, facts->study->demand[i].name, mean[i]);
        for (size_t i = 0; i < n_use; i++)
            used += mean[i];
        append(out, "rented_out_mw", mean[p->n_demand]);
        append(out, "idle_mw", fmax(0.0, live - used));
        append(out, "live_mw", live);
        append(out, "utilisation", live > 0 ? fmin(1.0, used / live) : 0.0);
    }
    if (out)
        json_object_set_new(out, "by_load_mw", loads);
    else
        json_decref(loads);
    free(use);
    free(mean);
    return out;
}
