/* Process: simulated futures of a study's demand, market and events.
 *
 * Why simulation: regimes, saturation, a partner's leaving and rights that are exercised at random
 * have no joint distribution in closed form that a tree could be cut from. Every source of chance
 * has its own random stream, numbered by (path, purpose), and draws the same amount in every path:
 * common random numbers. Switching one event on or off thus changes what the event touches and
 * nothing else, so that a what-if compares like with like.
 *
 * A demand is level * season * shocks * (1 - share of its partner that left). The level follows the
 * logistic equation x' = r x (1 - x / saturation), integrated exactly over a quarter (Verhulst
 * 1845; r = ln(1 + growth) / 4 times the regime's factor), times a log-normal innovation of mean 1,
 * so that growth_per_year is the growth of the mean. */
#include "rubato/forecast.h"

#include "base/array.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

#define QUARTERS_PER_YEAR 4
#define STREAMS_PER_PATH 65536 /* purposes numbered below this; more is an error */

/* Purposes: one stream each, then one for each demand, shock, partner (two) and site. */
enum { STREAM_COMMON, STREAM_REGIME, STREAM_RENT, STREAM_FIRST_INDEXED };

typedef struct streams {
    uint64_t seed, path;
    int32_t demand, shock, leave, rofr, talks, group, n;
} streams;

/* What chance decided for one path before its quarters are written. Quarters count from the start;
 * RUB_NEVER: not in this path. */
typedef struct draws {
    double *common;  /* common factor of the demands' innovations (n_quarter) */
    double *group;   /* factors of the two classes, then of the regions (2 + n_region, n_quarter) */
    double *rent;    /* innovation of the rental price (n_quarter) */
    int32_t *regime; /* regime that ends in the quarter (n_quarter) */
    int32_t *shock;  /* quarter of each shock (n_shock) */
    int32_t *leave;  /* quarter in which each partner's load goes (n_partner) */
    uint8_t *rofr;   /* (n_partner, n_quarter) */
    uint8_t *talks;  /* talks close (n_site) */
    double *innovate; /* log innovations of one demand (n_quarter) */
} draws;

static streams streams_of(const rub_study *study, uint64_t seed, int32_t path) {
    streams s = {.seed = seed, .path = (uint64_t)path, .demand = STREAM_FIRST_INDEXED};
    s.shock = s.demand + study->n_demand;
    s.leave = s.shock + study->process.n_shock;
    s.rofr = s.leave + study->n_partner;
    s.talks = s.rofr + study->n_partner;
    s.group = s.talks + study->n_site; /* two classes, then regions */
    s.n = s.group + 2 + study->n_region;
    return s;
}

static rub_rng stream(const streams *s, int32_t purpose) {
    return rub_rng_make(s->seed, s->path * STREAMS_PER_PATH + (uint64_t)purpose);
}

/* ---- events --------------------------------------------------------------------------------- */

/* Quarter in which an event of this hazard falls, never the known first one. */
static int32_t hazard_quarter(rub_rng *rng, double hazard_per_year, int32_t n_quarter) {
    double wait = rub_rng_exponential(rng) * QUARTERS_PER_YEAR; /* drawn even when not used */
    if (hazard_per_year <= 0.0)
        return RUB_NEVER;
    double quarter = ceil(wait / hazard_per_year);
    return quarter >= n_quarter ? RUB_NEVER : quarter < 1.0 ? 1 : (int32_t)quarter;
}

/* Dated shocks happen with a probability. A shock of the past is part of the base; one that is
 * uncertain in the start quarter shows in the next. */
static int32_t shock_quarter(const rub_study *study, const rub_study_shock *shock, rub_rng *rng) {
    double u = rub_rng_uniform(rng);
    if (shock->at_q == RUB_NEVER)
        return hazard_quarter(rng, shock->hazard_per_year, study->n_quarter);
    if (u >= shock->prob || shock->at_q < study->start_q)
        return RUB_NEVER;
    int32_t t = shock->at_q - study->start_q;
    return t == 0 && shock->prob < 1.0 ? 1 : t;
}

static int32_t leave_quarter(const rub_study *study, const rub_study_partner *who, rub_rng *rng) {
    int32_t by_hazard = hazard_quarter(rng, who->leave_hazard_per_year, study->n_quarter);
    if (who->leave_q == RUB_NEVER)
        return by_hazard;
    return who->leave_q <= study->start_q ? 0 : who->leave_q - study->start_q;
}

/* The right is exercised by chance in each quarter while it stands and its holder stays. The start
 * quarter is known: exercised there only when that is certain. */
static void draw_rofr(const rub_study *study, const rub_study_partner *who, int32_t leave,
                      rub_rng *rng, uint8_t *out) {
    for (int32_t t = 0; t < study->n_quarter; t++) {
        double u = rub_rng_uniform(rng);
        bool stands = study->start_q + t <= who->rofr_end_q && t < leave;
        out[t] = stands && (t == 0 ? who->rofr_prob >= 1.0 : u < who->rofr_prob);
    }
}

/* Index of the regime that u in [0, 1) falls on; next_prob of `from`, or the initial ones. */
static int32_t pick_regime(const rub_study_process *process, int32_t from, double u) {
    int32_t last = 0;
    for (int32_t i = 0; i < process->n_regime; i++) {
        double prob =
            from >= 0 ? process->regime[from].next_prob[i] : process->regime[i].initial_prob;
        if (prob > 0.0)
            last = i;
        if (u < prob)
            return i;
        u -= prob;
    }
    return last; /* probabilities that sum to a rounding error below 1 */
}

/* regime[t] holds between quarters t-1 and t. That of the start quarter is not observed: the
 * likeliest stands there in every path. */
static void draw_regimes(const rub_study *study, rub_rng *rng, int32_t *regime) {
    const rub_study_process *process = &study->process;
    regime[0] = 0;
    for (int32_t i = 1; i < process->n_regime; i++)
        if (process->regime[i].initial_prob > process->regime[regime[0]].initial_prob)
            regime[0] = i;
    for (int32_t t = 1; t < study->n_quarter; t++)
        regime[t] = pick_regime(process, t > 1 ? regime[t - 1] : -1, rub_rng_uniform(rng));
}

static void draw_normals(rub_rng rng, int32_t n, double *out) {
    out[0] = 0.0;
    for (int32_t t = 1; t < n; t++)
        out[t] = rub_rng_normal(&rng);
}

static void draw_path(const rub_study *study, const streams *s, draws *d) {
    draw_normals(stream(s, STREAM_COMMON), study->n_quarter, d->common);
    draw_normals(stream(s, STREAM_RENT), study->n_quarter, d->rent);
    for (int32_t i = 0; i < 2 + study->n_region; i++)
        draw_normals(stream(s, s->group + i), study->n_quarter,
                     d->group + (size_t)i * (size_t)study->n_quarter);
    rub_rng rng = stream(s, STREAM_REGIME);
    draw_regimes(study, &rng, d->regime);
    for (int32_t i = 0; i < study->process.n_shock; i++) {
        rng = stream(s, s->shock + i);
        d->shock[i] = shock_quarter(study, &study->process.shock[i], &rng);
    }
    for (int32_t k = 0; k < study->n_partner; k++) {
        rng = stream(s, s->leave + k);
        d->leave[k] = leave_quarter(study, &study->partner[k], &rng);
        rng = stream(s, s->rofr + k);
        draw_rofr(study, &study->partner[k], d->leave[k], &rng,
                  d->rofr + (size_t)k * (size_t)study->n_quarter);
    }
    for (int32_t i = 0; i < study->n_site; i++) {
        const rub_study_site *site = &study->site[i];
        rng = stream(s, s->talks + i);
        double u = rub_rng_uniform(&rng);
        bool known = site->close_q <= study->start_q; /* no chance left: the likelier outcome */
        d->talks[i] = known ? site->close_prob >= 0.5 : u < site->close_prob;
    }
}

/* ---- quarters ------------------------------------------------------------------------------- */

/* Product of the factors of one kind of shock on a target that have happened by quarter t. */
static double shock_factor(const rub_study *study, const draws *d, rub_shock_kind kind,
                           int32_t target, int32_t t) {
    double factor = 1.0;
    for (int32_t i = 0; i < study->process.n_shock; i++) {
        const rub_study_shock *shock = &study->process.shock[i];
        if (shock->kind != kind || t < d->shock[i])
            continue;
        if (target >= 0 && shock->target >= 0 && shock->target != target)
            continue;
        if (kind == RUB_SHOCK_GRID && shock->quarters > 0 && t >= d->shock[i] + shock->quarters)
            continue;
        factor *= shock->factor;
    }
    return factor;
}

/* Orders of a generation stop while an export rule lasts. */
static bool is_banned(const rub_study *study, const draws *d, int32_t g, int32_t t) {
    for (int32_t i = 0; i < study->process.n_shock; i++) {
        const rub_study_shock *shock = &study->process.shock[i];
        bool hits = shock->kind == RUB_SHOCK_EXPORT && t >= d->shock[i] &&
                    (shock->target < 0 || shock->target == g);
        if (hits && (shock->quarters == 0 || t < d->shock[i] + shock->quarters))
            return true;
    }
    return false;
}

/* A slip moves the first quarter only when it comes before the generation could be ordered. */
static bool is_available(const rub_study *study, const draws *d, int32_t g, int32_t t) {
    const rub_study_generation *gen = &study->generation[g];
    int64_t first_q = gen->first_q, q = study->start_q + t;
    for (int32_t at = 0; at <= t; at++)
        for (int32_t i = 0; i < study->process.n_shock; i++) {
            const rub_study_shock *shock = &study->process.shock[i];
            bool hits = shock->kind == RUB_SHOCK_SLIP && d->shock[i] == at &&
                        (shock->target < 0 || shock->target == g);
            if (hits && study->start_q + at < first_q)
                first_q += shock->quarters;
        }
    return q >= first_q && q <= gen->last_q && !is_banned(study, d, g, t);
}

/* Season of a calendar quarter: a cosine with its peak in the fourth. */
double rub_process_season(double amplitude, int32_t q) {
    static const double shape[QUARTERS_PER_YEAR] = {0.0, -1.0, 0.0, 1.0};
    return 1.0 + amplitude * shape[q % QUARTERS_PER_YEAR];
}

/* One quarter of logistic growth at log rate r. A ceiling slows growth; it does not slow decline.
 */
static double grow(double level, double r, double saturation) {
    if (saturation <= 0.0 || level <= 0.0 || r <= 0.0)
        return level * exp(r);
    return saturation / (1.0 + (saturation / level - 1.0) * exp(-r));
}

static void write_demand(const rub_study *study, const streams *s, const draws *d, int32_t index,
                         const rub_features *f, double *rows) {
    const rub_study_demand *demand = &study->demand[index];
    const rub_study_process *process = &study->process;
    double rho = fmin(1.0, fmax(0.0, process->correlation));
    const double *klass = d->group + (size_t)demand->load_class * (size_t)study->n_quarter;
    const double *region = demand->region >= 0
                               ? d->group + (size_t)(2 + demand->region) * (size_t)study->n_quarter
                               : NULL;
    double of_class = process->class_correlation;
    double of_region = region ? process->region_correlation : 0.0; /* else the load's own */
    double own = fmax(0.0, 1.0 - rho - of_class - of_region);
    double sigma = demand->volatility_per_year / sqrt(QUARTERS_PER_YEAR);
    double log_growth = log1p(demand->growth_per_year) / QUARTERS_PER_YEAR;
    double level = demand->base;
    draw_normals(stream(s, s->demand + index), study->n_quarter, d->innovate);
    for (int32_t t = 0; t < study->n_quarter; t++) {
        if (t > 0) {
            double z =
                sqrt(rho) * d->common[t] + sqrt(of_class) * klass[t] + sqrt(own) * d->innovate[t];
            z += region ? sqrt(of_region) * region[t] : 0.0;
            double factor = process->n_regime ? process->regime[d->regime[t]].growth_factor : 1.0;
            level = grow(level, log_growth * factor, demand->saturation) *
                    exp(sigma * z - 0.5 * sigma * sigma);
        }
        double stays = 1.0;
        if (demand->partner >= 0 && t >= d->leave[demand->partner])
            stays = 1.0 - study->partner[demand->partner].leave_frac;
        rows[(size_t)t * (size_t)f->n + (size_t)(f->demand + index)] =
            level * rub_process_season(demand->season_frac, study->start_q + t) *
            shock_factor(study, d, RUB_SHOCK_DEMAND, index, t) * stays;
    }
}

/* Prices, availability, yield, rent, depth and grid in one quarter. */
static void write_market(const rub_study *study, const draws *d, const rub_features *f, int32_t t,
                         double rent_level, double *row) {
    double years = (double)t / QUARTERS_PER_YEAR;
    for (int32_t g = 0; g < study->n_generation; g++) {
        row[f->price + g] = shock_factor(study, d, RUB_SHOCK_PRICE, g, t);
        row[f->available + g] = is_available(study, d, g, t);
    }
    row[f->yield] = pow(1.0 + study->process.yield_trend_per_year, years) *
                    shock_factor(study, d, RUB_SHOCK_EFFICIENCY, -1, t);
    row[f->rent] = rent_level * pow(1.0 + study->process.rent_trend_per_year, years) *
                   shock_factor(study, d, RUB_SHOCK_RENT, -1, t);
    row[f->depth] = shock_factor(study, d, RUB_SHOCK_RENT_DEPTH, -1, t);
    for (int32_t r = 0; r < study->n_region; r++)
        row[f->grid + r] = shock_factor(study, d, RUB_SHOCK_GRID, r, t);
}

static void write_events(const rub_study *study, const draws *d, const rub_features *f, int32_t t,
                         double *row) {
    for (int32_t k = 0; k < study->n_partner; k++) {
        row[f->left + k] = t >= d->leave[k] ? study->partner[k].leave_frac : 0.0;
        row[f->rofr + k] = d->rofr[(size_t)k * (size_t)study->n_quarter + (size_t)t];
    }
    for (int32_t i = 0; i < study->n_site; i++) {
        const rub_study_site *site = &study->site[i];
        bool over = site->stage == RUB_STAGE_TALKS && study->start_q + t >= site->close_q;
        row[f->talks + i] = over && d->talks[i];
    }
    row[f->regime] = d->regime[t];
}

static void write_path(const rub_study *study, const streams *s, draws *d, const rub_features *f,
                       double *rows) {
    double sigma = study->process.rent_volatility_per_year / sqrt(QUARTERS_PER_YEAR), rent = 1.0;
    draw_path(study, s, d);
    for (int32_t i = 0; i < study->n_demand; i++)
        write_demand(study, s, d, i, f, rows);
    for (int32_t t = 0; t < study->n_quarter; t++) {
        double *row = rows + (size_t)t * (size_t)f->n;
        if (t > 0)
            rent *= exp(sigma * d->rent[t] - 0.5 * sigma * sigma);
        write_market(study, d, f, t, rent, row);
        write_events(study, d, f, t, row);
    }
}

/* ---- memory --------------------------------------------------------------------------------- */

static void draws_clear(draws *d) {
    free(d->common);
    free(d->rent);
    free(d->group);
    free(d->regime);
    free(d->shock);
    free(d->leave);
    free(d->rofr);
    free(d->talks);
    free(d->innovate);
}

static bool draws_make(const rub_study *study, draws *out) {
    size_t q = (size_t)study->n_quarter;
    *out = (draws){.common = RUB_NEW(double, q),
                   .rent = RUB_NEW(double, q),
                   .group = RUB_NEW(double, q *(size_t)(2 + study->n_region)),
                   .regime = RUB_NEW(int32_t, q),
                   .shock = RUB_NEW(int32_t, study->process.n_shock),
                   .leave = RUB_NEW(int32_t, study->n_partner),
                   .rofr = RUB_NEW(uint8_t, q * (size_t)study->n_partner),
                   .talks = RUB_NEW(uint8_t, study->n_site),
                   .innovate = RUB_NEW(double, q)};
    return out->common && out->rent && out->group && out->regime && out->shock && out->leave &&
           out->rofr && out->talks && out->innovate;
}

rub_status rub_process_simulate(const rub_study *study, int32_t n_path, uint64_t seed,
                                rub_paths *out, rub_error *err) {
    return rub_process_simulate_from(study, 0, n_path, seed, out, err);
}

rub_status rub_process_simulate_from(const rub_study *study, int32_t first, int32_t n_path,
                                     uint64_t seed, rub_paths *out, rub_error *err) {
    rub_features f = rub_features_of(study);
    if (n_path < 1 || study->n_quarter < 1)
        return rub_error_set(err, RUB_INVALID,
                             "cannot simulate %d paths of %d quarters, expected at least 1", n_path,
                             study->n_quarter);
    if (streams_of(study, seed, 0).n > STREAMS_PER_PATH)
        return rub_error_set(err, RUB_UNSUPPORTED,
                             "%d demands, shocks, partners and sites, expected at most %d",
                             streams_of(study, seed, 0).n, STREAMS_PER_PATH);
    size_t row = (size_t)study->n_quarter * (size_t)f.n;
    draws d;
    bool ok = draws_make(study, &d);
    double *value = ok ? rub_calloc((size_t)n_path, row * sizeof *value) : NULL;
    if (!value) {
        draws_clear(&d);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %d paths", n_path);
    }
    for (int32_t i = 0; i < n_path; i++) {
        streams s = streams_of(study, seed, first + i);
        write_path(study, &s, &d, &f, value + (size_t)i * row);
    }
    draws_clear(&d);
    *out = (rub_paths){
        .n_path = n_path, .n_quarter = study->n_quarter, .n_feature = f.n, .value = value};
    return RUB_OK;
}

void rub_paths_clear(rub_paths *paths) {
    free(paths->value);
    *paths = (rub_paths){0};
}
