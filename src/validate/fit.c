/* Engine constants from measured deployments, judged on pairs of model and system that were left
 * out.
 *
 * Gauss-Newton on log(predicted / measured) of TPOT and TTFT, weighted as by a Cauchy loss (a few
 * rows ran with settings that the table does not name), with numeric derivatives by simulation and
 * a normal prior that pulls every constant to its start. Derivatives are taken on every third of the
 * rows; rows with drafts are not fitted, nor is TTFT where clients' phases are not known (steady). Each engine is fitted apart, in the same
 * sweeps over the rows. For a fold of pairs that is left out, the last derivatives give the
 * constants without it (one more step from the solution), and its rows are simulated with those. */
#include "validate/validate.h"

#include "base/array.h"
#include "base/tasks.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { N_PARAM = RUB_N_ENGINE_PARAM, N_ENGINE = RUB_BACKEND_TRTLLM + 1, N_SWEEP = 4, EVERY = 3 };

/* Residuals' scale: what repeats differ by in the middle of their range (docs/validate.md). */
#define TPOT_SCALE 0.08
#define TTFT_SCALE 0.25

/* One constant: its place, the unit that the fit works in, the prior's spread in that unit (of the
 * logarithm for factors). */
static const struct {
    size_t offset;
    double unit, spread;
    bool is_factor;
} param[N_PARAM] = {
    {offsetof(rub_engine_constants, step_s), 1e-3, 2.0, false},
    {offsetof(rub_engine_constants, per_seq_s), 1e-5, 2.0, false},
    {offsetof(rub_engine_constants, prefill_s), 1e-3, 10.0, false},
    {offsetof(rub_engine_constants, token_s), 1e-6, 2.0, false},
    {offsetof(rub_engine_constants, request_s), 1e-2, 5.0, false},
    {offsetof(rub_engine_constants, wait_steps), 1.0, 5.0, false},
    {offsetof(rub_engine_constants, poll_frac), 1.0, 0.5, false},
    {offsetof(rub_engine_constants, gemm), 1.0, 0.15, true},
    {offsetof(rub_engine_constants, attention), 1.0, 0.15, true},
    {offsetof(rub_engine_constants, moe), 1.0, 0.15, true},
    {offsetof(rub_engine_constants, collective), 1.0, 0.3, true},
    {offsetof(rub_engine_constants, small), 1.0, 0.3, true},
};

static double get(const rub_engine_constants *c, int p) {
    double x = *(const double *)(const void *)((const char *)c + param[p].offset);
    return param[p].is_factor ? log(x) : x / param[p].unit;
}

static void set(rub_engine_constants *c, int p, double x) {
    double value = param[p].is_factor ? exp(x) : fmax(0.0, x) * param[p].unit;
    *(double *)(void *)((char *)c + param[p].offset) = value;
}

/* ---- sweeps over the rows -------------------------------------------------------------------- */

typedef struct sweep {
    rub_silicon *silicon;
    const rub_catalog *catalog;
    rub_validate_def def;
    rub_silicon_cache *cache;                    /* of one set, or of the folds */
    rub_engine_constants (*constants)[N_ENGINE]; /* for each fold, or one set */
    const int32_t *fold;                         /* NULL: one set for all rows */
    const int32_t *twin;                         /* rows that are predicted alike */
    int32_t every;                               /* of them, one in so many is predicted */
    double (*residual)[2];                       /* out (n_row); NaN: not used */
    const rub_progress *progress;
    atomic_int done, stop;
} sweep;

static void sweep_row(void *ctx, int32_t i, int32_t thread) {
    sweep *s = ctx;
    rub_silicon_row *row = &s->silicon->row[i];
    if (row->disagg || s->twin[i] != i || atomic_load(&s->stop))
        return;
    row->tpot_predicted_s = row->ttft_predicted_s = NAN;
    if (i % s->every != 0)
        return;
    rub_validate_def def = s->def;
    def.constants = s->constants[s->fold ? s->fold[i] : 0];
    if (rub_silicon_predict_row(s->silicon, (size_t)i, s->cache, s->catalog, &def) != RUB_OK)
        atomic_store(&s->stop, 2);
    int done = atomic_fetch_add(&s->done, 1);
    if (thread == 0 && !rub_progress_report(s->progress, "fitting", (double)done, NAN, NULL))
        atomic_store(&s->stop, 1);
}

/* Twins share a prediction, each with its own measurement. They share a fold too, being of one pair
 * of model and system. */
static void residual_of(const sweep *s, size_t i) {
    rub_silicon_row *row = &s->silicon->row[i];
    s->residual[i][0] = s->residual[i][1] = NAN;
    if (row->disagg)
        return;
    rub_silicon_copy_prediction(row, &s->silicon->row[s->twin[i]]);
    if (row->tpot_predicted_s > 0.0 && row->drafts == RUB_DRAFTS_NO) {
        s->residual[i][0] = log(row->tpot_predicted_s / row->tpot_s) / TPOT_SCALE;
        s->residual[i][1] = log(row->ttft_predicted_s / row->ttft_s) / TTFT_SCALE;
    }
}

static rub_status run_sweep(sweep *s, double (*residual)[2]) {
    s->residual = residual;
    rub_silicon_cache_compile(s->cache, s->catalog, &s->def,
                              (const rub_engine_constants(*)[N_ENGINE])s->constants);
    rub_parallel_for((int32_t)s->silicon->n_row, rub_thread_count(s->def.n_thread), sweep_row, s);
    for (size_t i = 0; i < s->silicon->n_row; i++)
        residual_of(s, i);
    int stop = atomic_load(&s->stop);
    return stop == 1 ? RUB_INTERRUPTED : stop == 2 ? RUB_NO_MEMORY : RUB_OK;
}

/* ---- normal equations ------------------------------------------------------------------------ */

typedef struct fit {
    sweep sweep;
    size_t n_row;
    const int32_t *engine, *fold;  /* of each row */
    double (*residual)[2];         /* at the present constants (n_row) */
    double (*shifted[N_PARAM])[2]; /* with one constant moved by STEP */
    rub_engine_constants start[N_ENGINE], now[N_ENGINE];
} fit;

#define STEP 0.1

/* Solves a x = b in place by Cholesky; a is positive definite thanks to the prior. */
static void solve(double a[N_PARAM][N_PARAM], double b[N_PARAM]) {
    for (int j = 0; j < N_PARAM; j++) {
        for (int k = 0; k < j; k++)
            a[j][j] -= a[j][k] * a[j][k];
        a[j][j] = sqrt(fmax(a[j][j], 1e-12));
        for (int i = j + 1; i < N_PARAM; i++) {
            for (int k = 0; k < j; k++)
                a[i][j] -= a[i][k] * a[j][k];
            a[i][j] /= a[j][j];
        }
    }
    for (int i = 0; i < N_PARAM; i++) {
        for (int k = 0; k < i; k++)
            b[i] -= a[i][k] * b[k];
        b[i] /= a[i][i];
    }
    for (int i = N_PARAM - 1; i >= 0; i--) {
        for (int k = i + 1; k < N_PARAM; k++)
            b[i] -= a[k][i] * b[k];
        b[i] /= a[i][i];
    }
}

static void add_row(const fit *f, size_t i, double a[N_PARAM][N_PARAM], double b[N_PARAM]) {
    for (int m = 0; m < 2; m++) {
        double r = f->residual[i][m], slope[N_PARAM];
        if (m == 1 && f->sweep.silicon->row[i].recipe.steady)
            continue;
        double weight = 1.0 / (1.0 + r * r / 4.0); /* Cauchy */
        for (int p = 0; p < N_PARAM; p++)
            slope[p] = (f->shifted[p][i][m] - r) / STEP;
        for (int p = 0; p < N_PARAM; p++) {
            b[p] -= weight * slope[p] * r;
            for (int q = 0; q <= p; q++)
                a[p][q] += weight * slope[p] * slope[q];
        }
    }
}

/* One step for one engine without a fold's rows (fold -1: with all). */
static void step(const fit *f, int engine, int32_t without, rub_engine_constants *out) {
    double a[N_PARAM][N_PARAM] = {{0}}, b[N_PARAM] = {0};
    rub_engine_constants next = f->now[engine];
    for (size_t i = 0; i < f->n_row; i++)
        if (f->engine[i] == engine && f->fold[i] != without && !isnan(f->residual[i][0]))
            add_row(f, i, a, b);
    for (int p = 0; p < N_PARAM; p++) {
        double precision = 1.0 / (param[p].spread * param[p].spread);
        a[p][p] += precision;
        b[p] -= precision * (get(&f->now[engine], p) - get(&f->start[engine], p));
    }
    solve(a, b);
    for (int p = 0; p < N_PARAM; p++) {
        double most = param[p].is_factor ? 0.25 : param[p].spread;
        set(&next, p, get(&f->now[engine], p) + fmax(-most, fmin(most, b[p])));
    }
    *out = next;
}

/* Residuals and their derivatives at f->now. */
static rub_status differentiate(fit *f) {
    rub_engine_constants moved[1][N_ENGINE];
    f->sweep.fold = NULL;
    f->sweep.constants = moved;
    memcpy(moved[0], f->now, sizeof f->now);
    RUB_TRY(run_sweep(&f->sweep, f->residual));
    for (int p = 0; p < N_PARAM; p++) {
        memcpy(moved[0], f->now, sizeof f->now);
        for (int e = 0; e < N_ENGINE; e++)
            set(&moved[0][e], p, get(&f->now[e], p) + STEP);
        RUB_TRY(run_sweep(&f->sweep, f->shifted[p]));
    }
    return RUB_OK;
}

static rub_status fit_all(fit *f, int32_t n_fold, rub_engine_constants (*folds)[N_ENGINE]) {
    for (int s = 0; s < N_SWEEP; s++) {
        RUB_TRY(differentiate(f));
        for (int e = 0; s + 1 < N_SWEEP && e < N_ENGINE; e++)
            step(f, e, -1, &f->now[e]);
    }
    for (int32_t k = 0; k < n_fold; k++)
        for (int e = 0; e < N_ENGINE; e++)
            step(f, e, k, &folds[k][e]);
    rub_silicon_cache cache;
    RUB_TRY(rub_silicon_cache_init(&cache, f->sweep.silicon, f->sweep.twin, f->fold, false));
    f->sweep.fold = f->fold;
    f->sweep.every = 1;
    f->sweep.constants = folds;
    f->sweep.cache = &cache;
    rub_status status = run_sweep(&f->sweep, f->residual);
    rub_silicon_cache_clear(&cache);
    return status;
}

/* ---- folds ----------------------------------------------------------------------------------- */

/* Pairs of model and system in order of appearance, dealt out to the folds in turn: a pair is never
 * parted. Versions of a model under several names count as several. */
static void deal(const rub_silicon *s, int32_t n_fold, int32_t *fold, int32_t *engine) {
    int32_t n_pair = 0;
    for (size_t i = 0; i < s->n_row; i++) {
        const rub_silicon_row *r = &s->row[i];
        rub_backend backend = RUB_BACKEND_VLLM;
        size_t j = 0;
        while (j < i && (strcmp(s->row[j].model, r->model) || strcmp(s->row[j].system, r->system)))
            j++;
        fold[i] = j < i ? fold[j] : n_pair++ % n_fold;
        engine[i] = rub_backend_parse(r->engine, &backend, NULL) == RUB_OK ? (int32_t)backend : -1;
    }
}

rub_status rub_silicon_fit(rub_silicon *silicon, const rub_catalog *catalog,
                           const rub_validate_def *def, int32_t n_fold,
                           const rub_progress *progress, rub_engine_constants *out,
                           rub_error *err) {
    size_t n = silicon->n_row + 1;
    int32_t *fold = RUB_NEW(int32_t, n), *engine = RUB_NEW(int32_t, n), *twin = RUB_NEW(int32_t, n);
    rub_engine_constants(*folds)[N_ENGINE] = calloc((size_t)n_fold, sizeof *folds);
    double(*memory)[2] = calloc(n * (N_PARAM + 1), sizeof *memory);
    fit *f = RUB_NEW(fit, 1);
    rub_silicon_cache cache = {0};
    rub_status status = fold && engine && twin && folds && memory && f ? RUB_OK : RUB_NO_MEMORY;
    if (status == RUB_OK) {
        deal(silicon, n_fold, fold, engine);
        rub_silicon_twins(silicon, twin);
        *f = (fit){.n_row = silicon->n_row, .engine = engine, .fold = fold, .residual = memory};
        f->sweep = (sweep){.silicon = silicon,
                           .twin = twin,
                           .every = EVERY,
                           .catalog = catalog,
                           .def = *def,
                           .progress = progress};
        for (int p = 0; p < N_PARAM; p++)
            f->shifted[p] = memory + n * (size_t)(p + 1);
        for (int e = 0; e < N_ENGINE; e++)
            f->now[e] = f->start[e] =
                def->constants ? def->constants[e] : rub_engine_constants_of((rub_backend)e);
        status = rub_silicon_cache_init(&cache, silicon, twin, NULL, false);
        f->sweep.cache = &cache;
    }
    if (status == RUB_OK) {
        status = fit_all(f, n_fold, folds);
        memcpy(out, f->now, sizeof f->now);
    }
    rub_silicon_cache_clear(&cache);
    free(fold);
    free(engine);
    free(twin);
    free(folds);
    free(memory);
    free(f);
    return status == RUB_OK ? RUB_OK : rub_error_set(err, status, "%s", rub_status_text(status));
}
