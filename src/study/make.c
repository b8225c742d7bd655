/* Make: a realistic random study of a given size, as YAML, for benchmarks and tests.
 *
 * Money and physical terms are of the order of public ones in 2025; every figure is drawn from the seed, so the same definition gives the
 * same bytes. Loads are sized on the sites: what is live covers most of the load of the start, all blocks
 * together about the mean load of the last years, so that neither building all nor building nothing is
 * right. */
#include "rubato/study.h"

#include "base/rng.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { START_YEAR = 2025, MOST_REGION = 6, N_GEN = 5 };

static const char *const region_name[MOST_REGION] = {"us-east", "us-central", "eu-west",
                                                     "us-west", "eu-north",   "ap-east"};

/* Generations: yields grow about 1.4 a year per MW, as the last three did. */
static const struct {
    const char *name, *catalog;
    double price_usd, kw, training, tok_per_s_per_mw;
    int32_t from, until; /* quarters from the start; until -1: never */
} generation[N_GEN] = {{"gen-a", "H100-SXM", 38e3, 1.73, 1.0, 5e5, -8, 4},
                       {"gen-b", "B200-SXM", 62e3, 2.10, 2.2, 1.0e6, 0, 10},
                       {"gen-c", "GB200", 90e3, 2.60, 4.0, 1.7e6, 6, 18},
                       {"gen-d", "GB300", 120e3, 3.20, 7.0, 2.8e6, 14, 28},
                       {"gen-e", "GB300", 160e3, 4.00, 12.0, 4.5e6, 24, -1}};

typedef struct maker {
    const rub_study_make_def *def;
    rub_rng rng;
    rub_text out;
    int32_t n_region;
    double mw, live_mw;          /* of all blocks; of those that are live at the start */
    double live_in[MOST_REGION]; /* the same by region */
    double let_in[MOST_REGION];  /* sublet at the start, by region */
} maker;

/* Draws stand in statements of their own: in an argument list their order would be the compiler's, and so
 * the study. */
static double uniform(maker *m, double low, double high) {
    return low + (high - low) * rub_rng_uniform(&m->rng);
}

static int32_t pick(maker *m, int32_t low, int32_t high) {
    return low + (int32_t)rub_rng_below(&m->rng, (uint64_t)(high - low + 1));
}

static bool chance(maker *m, double p) { return rub_rng_uniform(&m->rng) < p; }

/* "2026-Q3" of a quarter counted from the start. */
static const char *date(int32_t t, char buf[12]) {
    return rub_quarter_text(START_YEAR * 4 + t, buf, 12);
}

/* ---- sites ----------------------------------------------------------------------------------- */

typedef struct site {
    int32_t number, region, build_q;
    rub_stage stage;
    bool owned;
    double block_mw;
} site;

static rub_stage draw_stage(maker *m) {
    static const struct {
        rub_stage stage;
        double share;
    } mix[] = {{RUB_STAGE_LIVE, 0.24},    {RUB_STAGE_BUILDING, 0.18}, {RUB_STAGE_SIGNED, 0.14},
               {RUB_STAGE_OPTION, 0.12},  {RUB_STAGE_TALKS, 0.12},    {RUB_STAGE_SHELL, 0.08},
               {RUB_STAGE_FITTING, 0.06}, {RUB_STAGE_PAUSED, 0.04},   {RUB_STAGE_SUBLET, 0.02}};
    double u = rub_rng_uniform(&m->rng);
    for (size_t i = 0; i < sizeof mix / sizeof *mix; i++)
        if ((u -= mix[i].share) < 0)
            return mix[i].stage;
    return RUB_STAGE_LIVE;
}

static void now_at(maker *m, const site *s) {
    char a[12], b[12];
    int32_t close;
    switch (s->stage) {
    case RUB_STAGE_TALKS:
        close = pick(m, 1, 3);
        int32_t option_until = pick(m, 1, 6);
        int32_t close_probability = pick(m, 3, 8);
        rub_text_add(&m->out, "    close: %s\n    close_probability: %d%%\n    option_until: %s\n",
                     date(close, a), 10 * close_probability, date(close + option_until, b));
        break;
    case RUB_STAGE_OPTION:
        rub_text_add(&m->out, "    option_until: %s\n", date(pick(m, 2, 8), a));
        break;
    case RUB_STAGE_BUILDING:
    case RUB_STAGE_PAUSED:
        rub_text_add(&m->out, "    remaining: %d quarters\n", pick(m, 1, s->build_q));
        break;
    case RUB_STAGE_FITTING:
        rub_text_add(&m->out, "    remaining: 1 quarter\n    generation: gen-b\n");
        break;
    case RUB_STAGE_LIVE:
        rub_text_add(&m->out, "    generation: gen-a\n    age: %.2f years\n",
                     0.25 * pick(m, 0, 10));
        break;
    case RUB_STAGE_SUBLET:
        rub_text_add(&m->out, "    remaining: %d quarters\n", pick(m, 1, 4));
        break;
    default:
        break;
    }
    if (s->stage == RUB_STAGE_TALKS || s->stage == RUB_STAGE_OPTION)
        rub_text_add(&m->out, "    option_fee: $%.2fM/quarter\n",
                     s->block_mw * uniform(m, 0.002, 0.01));
}

static void add_lease(maker *m, const site *s) {
    char a[12], b[12];
    bool runs = s->stage >= RUB_STAGE_SHELL && s->stage != RUB_STAGE_PAUSED;
    int32_t commence = runs ? -pick(m, 1, 8) : s->build_q + pick(m, 1, 4);
    int32_t term = pick(m, 5, 15);
    int32_t lessor = pick(m, 0, 11);
    rub_text_add(&m->out, "    lessor: Lessor %c\n    commences: %s\n    term: %d years\n",
                 'A' + lessor, date(commence, a), term);
    int32_t ramp = pick(m, 0, 4);
    int32_t escalator = pick(m, 2, 4);
    double rent = uniform(m, 110, 170);
    rub_text_add(&m->out,
                 "    rent: $%.0f/kW-month\n    escalator: %d%%/yr\n    ramp: %d quarters\n", rent,
                 escalator, ramp);
    if (!runs) {
        double deferral_fee = uniform(m, 20, 90);
        int32_t deferral = pick(m, 1, 4);
        rub_text_add(&m->out, "    deferral: %d quarters\n    deferral_fee: $%.0fk/MW-quarter\n",
                     deferral, deferral_fee);
    }
    int32_t renewal_rent = pick(m, 0, 4);
    int32_t notice = pick(m, 0, 4);
    double exit_fee_later = uniform(m, 0.1, 0.5);
    double exit_fee = uniform(m, 0.2, 0.8);
    rub_text_add(&m->out,
                 "    exit_fee: {%s: $%.1fM, %s: $%.1fM}\n    notice: %d quarters\n"
                 "    renewal_rent: %d%%\n",
                 date(0, a), s->block_mw * exit_fee, date(8, b), s->block_mw * exit_fee_later,
                 notice, 100 + 5 * renewal_rent);
}

static void add_building(maker *m, const site *s) {
    double shell = s->owned ? uniform(m, 9.0, 14.0) : uniform(m, 0.3, 1.2);
    int32_t resume_delay = pick(m, 1, 2);
    double resume_cost = uniform(m, 150, 500);
    double pause_cost = uniform(m, 30, 80);
    bool pause = chance(m, 0.8);
    rub_text_add(&m->out,
                 "    construction: %d quarters\n    shell_capex: $%.2fM/MW\n    pause: %s\n"
                 "    pause_cost: $%.0fk/MW-quarter\n    resume_cost: $%.0fk/MW\n"
                 "    resume_delay: %d quarters\n",
                 s->build_q, shell, pause ? "yes" : "no", pause_cost, resume_cost, resume_delay);
    double holding_cost = uniform(m, 15, 40);
    double opex = uniform(m, 180, 260);
    double fit_out_capex = uniform(m, 1.5, 3.0);
    int32_t fit_out = pick(m, 1, 2);
    rub_text_add(&m->out,
                 "    fit_out: %d quarters\n    fit_out_capex: $%.2fM/MW\n"
                 "    opex: $%.0fk/MW-quarter\n    holding_cost: $%.0fk/MW-quarter\n",
                 fit_out, fit_out_capex, opex, holding_cost);
    bool before = s->stage <= RUB_STAGE_OPTION;
    if (before)
        rub_text_add(&m->out, "    sign_price: $%.1fM\n",
                     s->block_mw * (s->owned ? uniform(m, 0.3, 1.0) : uniform(m, 0.02, 0.1)));
}

static void add_site(maker *m, int32_t number) {
    site s = {.number = number, .region = number % m->n_region, .stage = draw_stage(m)};
    s.owned = chance(m, 0.45) && s.stage != RUB_STAGE_SUBLET;
    s.block_mw = 5.0 * pick(m, 4, 24);
    s.build_q = pick(m, 3, 8);
    bool training = chance(m, 0.5);
    m->mw += s.block_mw * m->def->blocks_per_site;
    if (s.stage == RUB_STAGE_LIVE || s.stage == RUB_STAGE_FITTING) {
        m->live_mw += s.block_mw * m->def->blocks_per_site;
        m->live_in[s.region] += s.block_mw * m->def->blocks_per_site;
    }
    if (s.stage == RUB_STAGE_SUBLET)
        m->let_in[s.region] += s.block_mw * m->def->blocks_per_site;
    rub_text_add(&m->out,
                 "  site-%04d:\n    tenure: %s\n    region: %s\n    fabric: %s\n    stage: %s\n"
                 "    blocks: %d\n    block: %.0f MW\n",
                 number + 1, s.owned ? "owned" : "leased", region_name[s.region],
                 training ? "training" : "inference", rub_stage_text(s.stage),
                 m->def->blocks_per_site, s.block_mw);
    now_at(m, &s);
    add_building(m, &s);
    if (!training && chance(m, 0.4))
        rub_text_add(&m->out, "    upgrade: $%.1fM/MW\n", uniform(m, 1.5, 4.0));
    if (!s.owned)
        add_lease(m, &s);
    if (chance(m, 0.6) || s.stage == RUB_STAGE_SUBLET) {
        int32_t sublet_min = pick(m, 2, 6);
        int32_t sublet_share = pick(m, 80, 95);
        rub_text_add(&m->out,
                     "    sublet: yes\n    sublet_share: %d%%\n    sublet_min: %d quarters\n",
                     sublet_share, sublet_min);
    }
    if (s.stage <= RUB_STAGE_OPTION && (number % 5 == 0 || chance(m, 0.3)))
        rub_text_add(&m->out, "    rofr: anchor\n");
}

/* ---- everything around the sites ------------------------------------------------------------- */

static void add_head(maker *m) {
    const rub_study_make_def *d = m->def;
    rub_text_add(&m->out,
                 "# Made by: rubato study make --sites %d --blocks-per-site %d --quarters %d "
                 "--leaves %d --seed %llu\n# Random; nothing here is of a real company.\n",
                 d->n_site, d->blocks_per_site, d->n_quarter, d->n_leaf,
                 (unsigned long long)d->seed);
    rub_text_add(
        &m->out,
        "study:\n  name: made-%dx%d-%dq-%d\n  title: %d random sites of %d blocks\n"
        "  start: 2025-Q1\n  quarters: %d\n  discount: 8%%/yr\n  seed: %llu\n  gap: 1%%\n\n",
        d->n_site, d->blocks_per_site, d->n_quarter, d->n_leaf, d->n_site, d->blocks_per_site,
        d->n_quarter, (unsigned long long)d->seed);
}

/* Deliveries of each generation: what would equip about an eighth of all MW in a quarter. */
static void add_accelerators(maker *m) {
    char a[12], b[12];
    rub_text_add(&m->out, "accelerators:\n");
    for (int32_t g = 0; g < N_GEN; g++) {
        double accel = m->mw * 1e3 / generation[g].kw;
        int32_t residual = pick(m, 55, 65);
        int32_t price_trend = pick(m, 0, 6);
        rub_text_add(&m->out,
                     "  %s:\n    catalog: %s\n    price: $%.0fk/accel\n    price_trend: -%d%%/yr\n"
                     "    power: %.2f kW/accel\n    life: %s\n    residual: %d%%\n"
                     "    training_yield: %g\n    tokens_per_s_per_mw: %.0f tok/s/MW\n",
                     generation[g].name, generation[g].catalog, generation[g].price_usd / 1e3,
                     8 + price_trend, generation[g].kw, g % 2 ? "5 years" : "6 years", residual,
                     generation[g].training, generation[g].tok_per_s_per_mw);
        rub_text_add(&m->out, "    orderable_from: %s\n", date(generation[g].from, a));
        if (generation[g].until >= 0)
            rub_text_add(&m->out, "    orderable_until: %s\n", date(generation[g].until, a));
        int32_t from = generation[g].from > 0 ? generation[g].from : 0;
        rub_text_add(&m->out, "    supply: {%s: %.0f accel, %s: %.0f accel}\n", date(from, a),
                     ceil(accel * 0.06 + 120e3 / generation[g].kw), date(from + 4, b),
                     ceil(accel * 0.14 + 120e3 / generation[g].kw));
    }
}

static void add_regions(maker *m) {
    char a[12], b[12];
    rub_text_add(&m->out, "\nregions:\n");
    for (int32_t r = 0; r < m->n_region; r++) {
        double mw = m->mw / m->n_region;
        double pue = uniform(m, 1.1, 1.3);
        int32_t power_trend = pick(m, 1, 3);
        double power_price = uniform(m, 45, 85);
        rub_text_add(&m->out,
                     "  %s:\n    power_price: $%.0f/MWh\n    power_trend: %d%%/yr\n    pue: %.2f\n",
                     region_name[r], power_price, power_trend, pue);
        if (r % 2 == 0)
            rub_text_add(&m->out, "    grid: {%s: %.0f MW, %s: %.0f MW}\n", date(0, a),
                         fmax(0.62 * mw, 1.15 * m->live_in[r]), date(12, b),
                         fmax(0.85 * mw, 1.3 * m->live_in[r]));
        rub_text_add(&m->out, "    may_serve: {%s: $%.3f/Mtok}\n",
                     region_name[(r + 1) % m->n_region], uniform(m, 0.005, 0.02));
    }
}

/* One inference load a region, two trainings, one of them the anchor's. */
static void add_demand(maker *m) {
    double mw = fmax(0.85 * m->live_mw, 0.15 * m->mw), reach = 1.15 * m->mw;
    rub_text_add(&m->out, "\ndemand:\n");
    for (int32_t r = 0; r < m->n_region; r++) {
        double part = 0.6 / m->n_region * uniform(m, 0.8, 1.2);
        double value = uniform(m, 0.75, 1.05);
        int32_t volatility = pick(m, 20, 40);
        int32_t growth = pick(m, 60, 85);
        rub_text_add(&m->out,
                     "  chat-%s:\n    class: inference\n    region: %s\n    base: %.0fk tok/s\n"
                     "    growth: %d%%/yr\n    saturation: %.0fk tok/s\n    volatility: %d%%\n"
                     "    season: 4%%\n    value: $%.2f/Mtok\n    value_trend: -26%%/yr\n"
                     "    penalty: $0.03/Mtok\n",
                     region_name[r], region_name[r], part * mw * 500, growth,
                     part * reach * 4500 * 3.0, volatility, value);
    }
    static const char *const name[] = {"pretraining", "anchor-training"};
    for (int32_t i = 0; i < 2; i++) {
        double part = 0.2 * uniform(m, 0.8, 1.2);
        double value_2 = uniform(m, 2.3, 2.9);
        int32_t volatility_2 = pick(m, 15, 35);
        int32_t growth_2 = pick(m, 32, 45);
        rub_text_add(&m->out,
                     "  %s:\n    class: training\n    base: %.0f accel\n    growth: %d%%/yr\n"
                     "    saturation: %.0f accel\n    volatility: %d%%\n    value: $%.2f/accel-h\n"
                     "    value_trend: -14%%/yr\n",
                     name[i], part * mw * 578, growth_2, part * reach * 3000 * 2.0, volatility_2,
                     value_2);
        if (i == 1)
            rub_text_add(&m->out, "    partner: anchor\n");
    }
    rub_text_add(&m->out,
                 "\npartners:\n  anchor:\n    leave_hazard: 8%%/yr\n    leaving_share: 80%%\n"
                 "    exit_payment: $%.1fM\n    take_or_pay: 50%%\n    contract: %.0f accel\n"
                 "    contract_until: 2029-Q4\n    rofr_share: 40%%\n"
                 "    rofr_price: $2.6M/MW-quarter\n    rofr_probability: 30%%\n"
                 "    rofr_until: 2027-Q4\n",
                 0.1 * m->mw, 0.1 * mw * 578);
}

static void add_process(maker *m) {
    int32_t paths = 4 * m->def->n_leaf;
    paths = paths < 1000 ? 1000 : paths > 40000 ? 40000 : paths;
    paths = paths < m->def->n_leaf ? m->def->n_leaf : paths;
    rub_text_add(
        &m->out,
        "\nprocess:\n  paths: %d\n  correlation: 50%%\n  yield_trend: 15%%/yr\n"
        "  rent_trend: -14%%/yr\n  rent_volatility: 20%%\n  regimes:\n"
        "    boom: {growth: 1.5, initial: 30%%, next: {boom: 92%%, plateau: 8%%}}\n"
        "    plateau: {growth: 1.0, initial: 70%%, next: {boom: 4%%, plateau: 92%%, slump: "
        "4%%}}\n"
        "    slump: {growth: 0.2, next: {plateau: 12%%, slump: 88%%}}\n",
        paths);
    rub_text_add(&m->out,
                 "  shocks:\n    cheaper-model: {kind: efficiency, factor: 1.5, hazard: 10%%/yr}\n"
                 "    gen-c-slips: {kind: slip, target: gen-c, delay: 2 quarters, at: 2026-Q1, "
                 "probability: 40%%}\n"
                 "    rivals-release: {kind: depth, factor: 1.6, hazard: 10%%/yr}\n");
}

/* Branching that ends with exactly n_leaf leaves: its prime factors, largest first, spread over the
 * first part of the horizon. */
static rub_status add_tree(maker *m, rub_error *err) {
    static const int32_t prime[] = {7, 5, 3, 2};
    int32_t factor[32], n = 0, left = m->def->n_leaf, at = 0;
    for (size_t i = 0; i < sizeof prime / sizeof *prime; i++)
        for (; left % prime[i] == 0; left /= prime[i])
            factor[n++] = prime[i];
    int32_t room = m->def->n_quarter - 1;
    if (left != 1 || n > room)
        return rub_error_set(
            err, RUB_INVALID,
            "leaves: found %d, expected a product of 2, 3, 5 and 7 with at most %d "
            "factors (one a quarter)",
            m->def->n_leaf, room);
    double last = fmin(room, fmax(n, 0.6 * m->def->n_quarter));
    rub_text_add(&m->out, "\ntree:\n  branching: [");
    for (int32_t i = 0; i < n; i++) {
        int32_t q = (int32_t)lround(i * (last - 1) / (n > 1 ? n - 1 : 1));
        for (; at < q; at++)
            rub_text_add(&m->out, "1, ");
        rub_text_add(&m->out, "%d%s", factor[i], i + 1 < n ? ", " : "");
        at++;
    }
    rub_text_add(&m->out, "%s]\n", n ? "" : "1");
    return RUB_OK;
}

static void add_market(maker *m) {
    double accel = m->mw * 578 / m->n_region; /* of the reference, at 1.73 kW */
    rub_text_add(&m->out, "\nmarket:\n");
    for (int32_t r = -1; r < m->n_region; r++) {
        double price = uniform(m, 1.1, 1.4);
        double price_2 = uniform(m, 1.6, 1.9);
        double price_3 = uniform(m, 3.0, 3.6);
        double price_4 = uniform(m, 2.5, 2.9);
        rub_text_add(
            &m->out,
            "  %s:\n    rent_in: [{depth: %.0f accel, price: $%.2f/accel-h}, {depth: %.0f "
            "accel, price: $%.2f/accel-h}]\n"
            "    rent_out: [{depth: %.0f accel, price: $%.2f/accel-h}, {depth: %.0f accel, "
            "price: $%.2f/accel-h}]\n",
            r < 0 ? "training" : region_name[r], 0.05 * accel, price_4, 0.10 * accel, price_3,
            0.05 * accel, price_2, 0.10 * accel, price);
        if (r >= 0)
            rub_text_add(&m->out, "    sublet_price: $%.0f/kW-month\n    sublet_depth: %.0f MW\n",
                         uniform(m, 130, 170),
                         fmax(0.06 * m->mw / m->n_region + 120, 1.25 * m->let_in[r]));
    }
}

/* Budgets that a steady build-out of all sites would about use up. */
static void add_budget(maker *m) {
    int32_t years = (m->def->n_quarter + 3) / 4;
    rub_text_add(&m->out, "\nbudget: {");
    for (int32_t y = 0; y < years; y++)
        rub_text_add(&m->out, "%sFY%d: $%.2fB", y ? ", " : "", START_YEAR + y,
                     (m->mw * uniform(m, 5.0, 6.5) * pow(1.03, y) + 2500) / 1e3);
    rub_text_add(&m->out, "}\n\nrisk: {cvar_weight: 20%%, tail: 10%%}\n");
}

rub_study_make_def rub_study_make_default(void) {
    return (rub_study_make_def){
        .n_site = 10, .blocks_per_site = 3, .n_quarter = 24, .n_leaf = 64, .seed = 1};
}

rub_status rub_study_make(const rub_study_make_def *def, char **out, rub_error *err) {
    maker m = {.def = def, .rng = rub_rng_make(def->seed, 77)};
    m.n_region = def->n_site < 20 ? 3 : def->n_site < 60 ? 4 : MOST_REGION;
    rub_text sites = {0};
    for (int32_t s = 0; s < def->n_site; s++) /* first, because loads are sized on them */
        add_site(&m, s);
    sites = m.out;
    m.out = (rub_text){0};
    add_head(&m);
    add_accelerators(&m);
    add_regions(&m);
    add_demand(&m);
    add_process(&m);
    rub_status status = add_tree(&m, err);
    add_market(&m);
    add_budget(&m);
    rub_text_add(&m.out, "\nsites:\n%s", sites.data ? sites.data : "");
    if (status == RUB_OK && (m.out.failed || sites.failed))
        status =
            rub_error_set(err, RUB_NO_MEMORY, "out of memory for a study of %d sites", def->n_site);
    rub_text_clear(&sites);
    if (status != RUB_OK) {
        rub_text_clear(&m.out);
        return status;
    }
    *out = m.out.data;
    return RUB_OK;
}
