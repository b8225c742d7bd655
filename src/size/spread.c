/* Spread: what is known of the error of predicted speeds, and how prices differ. */
#include "size/size.h"

#include "base/array.h"
#include "base/yaml.h"
#include "catalog/embedded.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_AGE_MONTHS 24
#define MOST_PRICES 512

double rub_size_spread_at(const rub_size_spread *s, double share) {
    if (s->n == 0)
        return 1.0;
    int32_t k = 1;
    if (share <= s->share[0])
        return s->value[0];
    while (k < s->n && s->share[k] < share)
        k++;
    if (k == s->n)
        return s->value[s->n - 1];
    double step = s->share[k] - s->share[k - 1];
    return s->value[k - 1] + (share - s->share[k - 1]) / step * (s->value[k] - s->value[k - 1]);
}

/* ---- speeds ---------------------------------------------------------------------------------- */

static const rub_yaml_node *row_of(const rub_yaml_node *rows, const char *name) {
    for (size_t i = 0; rows && i < rows->n; i++)
        if (rows->value[i]->n == 3 && rows->value[i]->value[0]->scalar &&
            !strcmp(rows->value[i]->value[0]->scalar, name))
            return rows->value[i];
    return NULL;
}

static rub_status read_spread(const rub_yaml_node *root, const rub_yaml_node *row,
                              rub_size_spread *out, rub_error *err) {
    const rub_yaml_node *shares = rub_yaml_get(root, "shares"), *values = row->value[2];
    int64_t n_row = 0;
    if (!shares || shares->n != values->n || values->n > RUB_SIZE_MAX_SPREAD)
        return rub_yaml_error(row, err, RUB_INTERNAL, "as many speeds as shares expected");
    *out = (rub_size_spread){.n = (int32_t)values->n};
    for (int32_t k = 0; k < out->n; k++) {
        RUB_TRY(rub_yaml_double(shares->value[k], "a share", 0, 1, &out->share[k], err));
        RUB_TRY(rub_yaml_double(values->value[k], "a speed", 0.01, 100, &out->value[k], err));
    }
    return rub_yaml_int(row->value[1], "rows", 1, 1000000, &n_row, err);
}

static rub_status speeds_of(const rub_yaml_node *root, const char *name, rub_size_spread *out,
                            rub_error *err) {
    const rub_yaml_node *rows = rub_yaml_get(root, "speeds"), *row = row_of(rows, name);
    bool own = row != NULL;
    const char *date = "";
    if (!own)
        row = row_of(rows, "carried");
    if (!row)
        return rub_error_set(err, RUB_INTERNAL, "data/errors.yaml: no row 'carried'");
    RUB_TRY(read_spread(root, row, out, err));
    RUB_TRY(rub_yaml_text(rub_yaml_get(root, "date"), "the date", &date, err));
    if (own)
        snprintf(out->source, sizeof out->source,
                 "%s measured deployments on %s, constants fitted without them, %s",
                 row->value[1]->scalar, name, date);
    else
        snprintf(out->source, sizeof out->source,
                 "no deployment on %s was measured: %s on others, predicted without their own "
                 "calibration, %s",
                 name, row->value[1]->scalar, date);
    return RUB_OK;
}

rub_status rub_size_speed_spread(const rub_accelerator *accel, rub_size_spread *out,
                                 rub_error *err) {
    rub_yaml *doc = NULL;
    RUB_TRY(rub_yaml_read("data/errors.yaml", (const char *)rub_data_errors, rub_data_errors_n,
                          &doc, err));
    rub_status status = speeds_of(rub_yaml_root(doc), accel->name, out, err);
    rub_yaml_free(doc);
    return status;
}

/* ---- prices ---------------------------------------------------------------------------------- */

/* "2026-04-12" or "2026-04" to months. */
static int months_of(const char *date) {
    int year = 0, month = 1;
    return sscanf(date, "%d-%d", &year, &month) >= 1 ? 12 * year + month : 0;
}

static bool counts(const rub_price *p, int newest) {
    bool committed = !strcmp(p->kind, "rental_1y") || !strcmp(p->kind, "rental_3y") ||
                     !strncmp(p->kind, "tco", 3);
    return committed && newest - months_of(p->date) <= MOST_AGE_MONTHS;
}

/* Ratios of an accelerator's prices that count to its default. */
static int32_t ratios_of(const rub_accelerator *a, int newest, double *out, int32_t n) {
    for (int32_t i = 0; i < a->n_price && a->usd_per_h > 0 && n < MOST_PRICES; i++)
        if (counts(a->price[i], newest))
            out[n++] = a->price[i]->usd / a->usd_per_h;
    return n;
}

static int by_value(const void *x, const void *y) {
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

/* n equally likely values as at most RUB_SIZE_MAX_SPREAD quantiles. */
static void quantiles_of(double *value, int32_t n, rub_size_spread *out) {
    qsort(value, (size_t)n, sizeof *value, by_value);
    out->n = n < RUB_SIZE_MAX_SPREAD ? n : RUB_SIZE_MAX_SPREAD;
    for (int32_t k = 0; k < out->n; k++) {
        double share = out->n > 1 ? (double)k / (out->n - 1) : 0.5, at = share * (n - 1);
        int32_t low = (int32_t)at < n - 1 ? (int32_t)at : n - 1, high = low + 1 < n ? low + 1 : low;
        out->share[k] = share;
        out->value[k] = value[low] + (at - low) * (value[high] - value[low]);
    }
}

void rub_size_price_spread(const rub_catalog *catalog, const rub_accelerator *accel,
                           rub_size_spread *out) {
    double ratio[MOST_PRICES];
    int newest = 0;
    *out = (rub_size_spread){0};
    for (int32_t i = 0; i < catalog->n_price; i++) {
        int months = months_of(catalog->price[i].date);
        newest = months > newest ? months : newest;
    }
    int32_t n = ratios_of(accel, newest, ratio, 0);
    bool own = n > 1;
    if (!own) {
        n = 0;
        for (int32_t a = 0; a < catalog->n_accelerator; a++)
            n = ratios_of(&catalog->accelerator[a], newest, ratio, n);
    }
    if (n > 0)
        quantiles_of(ratio, n, out);
    snprintf(out->source, sizeof out->source,
             "%d committed prices of %s in the %d months to %d-%02d", n,
             own ? accel->name : "all accelerators, each beside its own", MOST_AGE_MONTHS,
             (newest - 1) / 12, (newest - 1) % 12 + 1);
}
