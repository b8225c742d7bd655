/* Fits all tables of a folder. */
#include "perf/calibration.h"
#include "perf/near.h"
#include "perf/optable.h"

#include "base/array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Smallest times that only a host that launches kernels one by one explains: a graph replays a product
 * in 2 to 12 us on every system that was measured, latent attention's ten or so kernels in 25 to 45. */
static const double GEMM_FLOOR_S = 30e-6, MLA_FLOOR_S = 55e-6;

static void judge_use(rub_curve *c) {
    if (strncmp(c->variant, "attention/", 10) == 0)
        snprintf(c->note, sizeof c->note,
                 "attention without its projections: compositions take whole blocks");
    bool mla = c->family == RUB_FAMILY_MLA_PREFILL || c->family == RUB_FAMILY_MLA_DECODE;
    double limit = c->family == RUB_FAMILY_GEMM ? GEMM_FLOOR_S : mla ? MLA_FLOOR_S : 1.0;
    if (c->floor_s > limit)
        snprintf(c->note, sizeof c->note, "launch-bound: the host launched kernels one by one");
}

static rub_status fit_set(const rub_sample_set *set, rub_calibration *c, rub_error *err) {
    rub_curve curve = {.family = set->family};
    snprintf(curve.variant, sizeof curve.variant, "%s", set->variant);
    snprintf(curve.library, sizeof curve.library, "%s", set->library);
    snprintf(curve.source, sizeof curve.source, "%s", set->source);
    rub_status status = rub_curve_fit(&curve, &c->peaks, set->sample, set->n, err);
    judge_use(&curve);
    if (status == RUB_OK && RUB_ARRAY_PUSH(c->curve, c->n, c->cap, curve) != RUB_OK)
        status = rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    if (status != RUB_OK)
        free(curve.value);
    return status;
}

/* Sets of a handful of rows have nothing to say. */
static bool is_enough(const rub_sample_set *set) {
    size_t fitted = 0;
    for (size_t i = 0; i < set->n; i++)
        fitted += !rub_sample_left_out(&set->sample[i]);
    return fitted >= 40 && fitted < set->n;
}

/* Files name systems and sources in JSON: no quotes, backslashes or control characters in them. */
static rub_status copy_plain(const char *what, const char *from, char *to, size_t size,
                             rub_error *err) {
    for (const char *p = from; *p; p++)
        if (*p == '"' || *p == '\\' || (unsigned char)*p < ' ')
            return rub_error_set(err, RUB_INVALID,
                                 "%s '%.80s', expected text without quotes and backslashes", what,
                                 from);
    if (strlen(from) >= size)
        return rub_error_set(err, RUB_INVALID, "%s is longer than %zu characters", what, size - 1);
    snprintf(to, size, "%s", from);
    return RUB_OK;
}

static rub_status fit_all(const rub_optable *table, const rub_progress *progress,
                          rub_calibration *c, rub_error *err) {
    for (size_t i = 0; i < table->n; i++) {
        const rub_sample_set *set = &table->set[i];
        if (!rub_progress_report(progress, "fit", (double)i, (double)table->n, set->source))
            return rub_error_set(err, RUB_INTERRUPTED, "interrupted");
        if (is_enough(set))
            RUB_TRY(fit_set(set, c, err));
    }
    if (c->n == 0)
        return rub_error_set(err, RUB_INVALID, "no table has 50 rows of one operator and format");
    return RUB_OK;
}

rub_status rub_calibrate(const char *folder, const rub_accelerator *accel, const char *source,
                         const char *date, const rub_progress *progress, rub_calibration **out,
                         rub_error *err) {
    rub_optable table;
    rub_calibration *c = RUB_NEW(rub_calibration, 1);
    if (!c)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    rub_status status = copy_plain("system", accel->name, c->system, sizeof c->system, err);
    if (status == RUB_OK)
        status = copy_plain("source", source, c->source, sizeof c->source, err);
    if (status == RUB_OK)
        status = copy_plain("date", date, c->date, sizeof c->date, err);
    if (status == RUB_OK)
        status = rub_optable_read(folder, &table, err);
    if (status == RUB_OK) {
        c->peaks = rub_peaks_of(accel);
        status = fit_all(&table, progress, c, err);
        rub_optable_clear(&table);
    }
    if (status == RUB_OK)
        *out = c;
    else
        rub_calibration_free(c);
    return status;
}

rub_status rub_calibration_judge(const rub_calibration *c, const char *folder,
                                 const rub_accelerator *accel, rub_calibration_row *row,
                                 rub_error *err) {
    rub_optable table;
    rub_peaks peaks = rub_peaks_of(accel);
    RUB_TRY(rub_optable_read(folder, &table, err));
    rub_status status = RUB_OK;
    for (size_t i = 0; i < c->n && status == RUB_OK; i++) {
        const rub_curve *k = &c->curve[i];
        const rub_sample_set *set =
            k->n_grid ? rub_optable_find(&table, k->library, k->family, k->variant) : NULL;
        rub_curve_error e = {0};
        if (set)
            status = rub_curve_judge(k, &peaks, set->sample, set->n, &e, err);
        row[i] = rub_calibration_at(c, i);
        if (k->n_grid == 0) /* its grids were not kept */
            continue;
        row[i].n_fitted = set ? (int64_t)set->n - e.n_left_out : 0;
        row[i].n_left_out = e.n_left_out;
        row[i].n_group_left_out = e.n_group_left_out;
        row[i].median = e.median;
        row[i].p90 = e.p90;
        row[i].bias = e.bias;
    }
    rub_optable_clear(&table);
    return status;
}

/* ---- table mode ------------------------------------------------------------------------------ */

static rub_status keep_set(const rub_sample_set *set, rub_calibration *c, rub_error *err) {
    rub_curve curve = {.family = set->family};
    snprintf(curve.variant, sizeof curve.variant, "%s", set->variant);
    snprintf(curve.library, sizeof curve.library, "%s", set->library);
    snprintf(curve.source, sizeof curve.source, "%s", set->source);
    rub_status status = rub_near_make(&curve, &c->peaks, set->sample, set->n, err);
    if (status == RUB_OK && RUB_ARRAY_PUSH(c->curve, c->n, c->cap, curve) != RUB_OK)
        status = rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    if (status != RUB_OK) {
        free(curve.near_feature);
        free(curve.near_ratio);
    }
    return status;
}

rub_status rub_calibration_from_tables(const char *folder, const rub_accelerator *accel,
                                       rub_calibration **out, rub_error *err) {
    rub_optable table;
    RUB_TRY(rub_optable_read(folder, &table, err));
    rub_calibration *c = RUB_NEW(rub_calibration, 1);
    rub_status status = c ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    if (status == RUB_OK) {
        c->tables = true;
        c->peaks = rub_peaks_of(accel);
        snprintf(c->system, sizeof c->system, "%s", accel->name);
        snprintf(c->source, sizeof c->source, "%s", folder);
    }
    for (size_t i = 0; status == RUB_OK && i < table.n; i++)
        status = keep_set(&table.set[i], c, err);
    rub_optable_clear(&table);
    if (status == RUB_OK)
        *out = c;
    else
        rub_calibration_free(c);
    return status;
}
