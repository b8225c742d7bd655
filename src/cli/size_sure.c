/* rubato size: how sure the best fleet is. */
#include "cli/size.h"

#include "base/array.h"

#include <math.h>
#include <string.h>

static const char *const cause_name[RUB_SIZE_N_CAUSE] = {"all", "speed", "trace", "price"};
static const char *const cause_title[RUB_SIZE_N_CAUSE] = {
    "all together", "error of the predicted speed", "the trace as a sample", "price"};

/* Quantiles of the standard normal at 0.01 .. 0.99 (P. J. Acklam's rational approximation would be
 * closer than needed; this inverts erf by halving). */
static double normal_at(double share) {
    double low = -6.0, high = 6.0;
    for (int k = 0; k < 60; k++) {
        double middle = 0.5 * (low + high);
        if (0.5 * erfc(-middle * M_SQRT1_2) < share)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

/* Lognormal about 1 with that standard deviation of the logarithm, in percent. */
static void lognormal(double percent, rub_size_spread *out) {
    *out = (rub_size_spread){.n = percent > 0 ? 31 : 0};
    for (int32_t k = 0; k < out->n; k++) {
        out->share[k] = (k + 0.5) / out->n;
        out->value[k] = exp(percent / 100.0 * normal_at(out->share[k]));
    }
    snprintf(out->source, sizeof out->source, "given: %g %%", percent);
}

static bool price_is_given(const size_work *w, const rub_accelerator *accel) {
    for (int32_t a = 0; a < w->def.n_accel; a++)
        if (w->accel[a] == accel && w->priced[a])
            return true;
    return false;
}

rub_status size_sure(const size_settings *s, size_work *w, const rub_progress *progress,
                     rub_error *err) {
    const rub_size_candidate *best = &w->result.candidate[0];
    if (s->model_error >= 0)
        lognormal(s->model_error, &w->speed);
    else
        RUB_TRY(rub_size_speed_spread(best->accel, &w->speed, err));
    if (s->price_error >= 0 || price_is_given(w, best->accel))
        lognormal(fmax(s->price_error, 0.0), &w->price);
    else
        rub_size_price_spread(w->catalog, best->accel, &w->price);
    w->sure_def = (rub_size_sure_def){.level = s->level / 100.0,
                                      .n_draw = (int32_t)s->draws,
                                      .n_block = 20,
                                      .causes = s->sure,
                                      .rates = s->sure,
                                      .speed = &w->speed,
                                      .price = &w->price};
    return rub_size_sure_of(&w->trace, &w->def, best, &w->sure_def, progress, &w->sure, err);
}

/* ---- text ------------------------------------------------------------------------------------ */

/* "3 to 5", or "4". */
static char *band_text(const rub_size_band *b, int decimals, char buf[96]) {
    char low[32], high[32];
    snprintf(low, sizeof low, "%.*f", decimals, b->low);
    snprintf(high, sizeof high, "%.*f", decimals, b->high);
    if (isinf(b->low))
        snprintf(buf, 96, "none serves");
    else if (isinf(b->high))
        snprintf(buf, 96, "%s to none that serves", low);
    else if (!strcmp(low, high))
        snprintf(buf, 96, "%s", low);
    else
        snprintf(buf, 96, "%s to %s", low, high);
    return buf;
}

static void print_causes(const size_work *w) {
    const rub_size_sure *s = &w->sure;
    char replicas[96], usd[96];
    for (int c = RUB_SIZE_BY_SPEED; c < RUB_SIZE_N_CAUSE; c++)
        printf("  by %-29s %s replicas, $%s an hour\n", cause_title[c],
               band_text(&s->replicas[c], 0, replicas), band_text(&s->usd_per_h[c], 2, usd));
    printf("  largest rate of this fleet       %s requests/s\n", band_text(&s->rate_per_s, 4, usd));
}

void size_print_sure(const size_work *w) {
    const rub_size_sure *s = &w->sure;
    char replicas[96], usd[96], mw[96];
    printf("how sure (%g %% of %d draws): %s replicas, $%s an hour, %s MW; this fleet is enough in "
           "%.0f %%",
           100 * w->sure_def.level, s->n_draw, band_text(&s->replicas[0], 0, replicas),
           band_text(&s->usd_per_h[0], 2, usd), band_text(&s->mw, 4, mw), 100 * s->holds_frac);
    if (isfinite(s->enough))
        printf(", %.0f replicas in %g %%", s->enough, 100 * w->sure_def.level);
    printf("\n");
    if (w->sure_def.causes)
        print_causes(w);
    printf("  speed: %s\n  trace: stretches of a twentieth of it, resampled\n  price: %s\n",
           w->speed.source, w->price.source);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *band_json(const rub_size_band *b) {
    return json_pack("{s:o,s:o,s:o}", "low", number(b->low), "middle", number(b->middle), "high",
                     number(b->high));
}

json_t *size_sure_json(const size_work *w) {
    const rub_size_sure *s = &w->sure;
    json_t *o = json_pack("{s:f,s:i,s:i,s:f,s:o,s:o,s:o,s:o,s:o}", "level", w->sure_def.level,
                          "draws", s->n_draw, "draws_without_fleet", s->n_none, "enough_frac",
                          s->holds_frac, "enough_replicas", number(s->enough), "replicas",
                          band_json(&s->replicas[0]), "accelerators", band_json(&s->accelerators),
                          "usd_per_h", band_json(&s->usd_per_h[0]), "mw", band_json(&s->mw));
    json_object_set_new(o, "speed_source", json_string(w->speed.source));
    json_object_set_new(o, "price_source", json_string(w->price.source));
    json_object_set_new(o, "simulations", json_integer(s->n_simulation));
    if (!w->sure_def.causes)
        return o;
    json_t *causes = json_object();
    for (int c = RUB_SIZE_BY_SPEED; c < RUB_SIZE_N_CAUSE; c++)
        json_object_set_new(causes, cause_name[c],
                            json_pack("{s:o,s:o}", "replicas", band_json(&s->replicas[c]),
                                      "usd_per_h", band_json(&s->usd_per_h[c])));
    json_object_set_new(o, "causes", causes);
    json_object_set_new(o, "largest_rate_per_s", band_json(&s->rate_per_s));
    return o;
}
