/* rubato size --profile: the best deployment hour by hour. */
#include "cli/size.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What follows from the hours. */
typedef struct size_day {
    int64_t short_hours; /* no fleet of this deployment serves them */
    bool priced;         /* both prices are known, no hour is short */
    rub_size_prices price;
    rub_size_commitment commit;
    double startup_usd_per_h; /* replicas that start ahead of their hour, on demand */
    double mwh_per_day, carbon_t_per_day;
} size_day;

static double on_demand_of(const size_settings *s, const rub_accelerator *accel) {
    const rub_price *p = size_price_of(accel, "rental_on_demand");
    return s->on_demand_usd > 0 ? s->on_demand_usd : p ? p->usd : 0.0;
}

/* Replicas beyond the reserved ones that start before their hour. */
static double starts_per_hour(const size_work *w, int32_t reserved) {
    double sum = 0.0;
    for (size_t h = 1; h < w->n_hour; h++) {
        int32_t from = w->hour[h - 1].replicas, to = w->hour[h].replicas;
        from = from > reserved ? from : reserved;
        sum += to > from ? to - from : 0;
    }
    return sum / (double)w->n_hour;
}

/* Reserved replicas that an hour does not need stay on and idle. */
static double watts_of(const size_work *w, const rub_power *power, size_t h, int32_t reserved) {
    int32_t idle = reserved - w->hour[h].replicas;
    return w->hour[h].watts + (idle > 0 ? idle * power->idle_w : 0.0);
}

static rub_status summarise(const size_settings *s, size_work *w, rub_error *err) {
    const rub_size_candidate *best = &w->result.candidate[0];
    rub_power power = rub_power_of(&best->deployment);
    size_day *d = w->day;
    int32_t *need = RUB_NEW(int32_t, w->n_hour);
    if (!need)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu hours", w->n_hour);
    for (size_t h = 0; h < w->n_hour; h++) {
        need[h] = w->hour[h].replicas;
        d->short_hours += need[h] == 0;
    }
    double each = best->accelerators > 0 ? best->usd_per_h / best->accelerators : 0.0;
    int32_t gpus = size_gpus(best);
    d->price = (rub_size_prices){.reserved_usd = each * gpus,
                                 .on_demand_usd = on_demand_of(s, best->accel) * gpus,
                                 .spot_usd = s->spot_usd * gpus,
                                 .spot_share = s->spot_share / 100.0};
    d->priced = d->short_hours == 0 && each > 0 && d->price.on_demand_usd > 0;
    rub_status status =
        d->priced ? rub_size_commit(need, w->n_hour, &d->price, &d->commit, err) : RUB_OK;
    free(need);
    if (d->priced)
        d->startup_usd_per_h =
            starts_per_hour(w, d->commit.reserved) * s->startup_s / 3600.0 * d->price.on_demand_usd;
    for (size_t h = 0; h < w->n_hour; h++)
        d->mwh_per_day +=
            24.0 * s->pue * watts_of(w, &power, h, d->commit.reserved) / 1e6 / (double)w->n_hour;
    d->carbon_t_per_day = d->mwh_per_day * s->carbon_g / 1e3; /* g/kWh is kg/MWh */
    return status;
}

rub_status size_hours(const size_settings *s, size_work *w, const rub_progress *progress,
                      rub_error *err) {
    w->hour = RUB_NEW(rub_size_hour, w->n_hour);
    w->day = RUB_NEW(size_day, 1);
    if (!w->hour || !w->day)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for %zu hours", w->n_hour);
    RUB_TRY(rub_size_hours(&w->trace, &w->def, &w->result.candidate[0], w->hour_rate, w->n_hour,
                           progress, w->hour, err));
    return summarise(s, w, err);
}

void size_clear_hours(size_work *w) {
    free(w->hour_rate);
    free(w->hour);
    free(w->day);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void extremes(const size_work *w, int32_t *least, int32_t *most, double *mean) {
    *least = *most = w->hour[0].replicas;
    *mean = 0.0;
    for (size_t h = 0; h < w->n_hour; h++) {
        int32_t n = w->hour[h].replicas;
        *least = n < *least ? n : *least;
        *most = n > *most ? n : *most;
        *mean += (double)n / (double)w->n_hour;
    }
}

static void print_commitment(const size_settings *s, const size_work *w) {
    const size_day *d = w->day;
    const rub_size_candidate *best = &w->result.candidate[0];
    if (d->short_hours > 0) {
        printf("  %lld hours have no fleet of this deployment\n", (long long)d->short_hours);
        return;
    }
    if (!d->priced) {
        printf("  no price on demand is known for %s: --on-demand-price tells what to reserve\n",
               best->accel->name);
        return;
    }
    const rub_size_commitment *c = &d->commit;
    printf(
        "  reserve %d: $%.2f an hour on average with the rest on demand%s, and $%.2f for starting "
        "%g s ahead; all reserved $%.2f, all on demand $%.2f\n",
        c->reserved, c->usd_per_h, s->spot_usd > 0 ? " and spot" : "", d->startup_usd_per_h,
        s->startup_s, c->all_reserved_usd_per_h, c->all_on_demand_usd_per_h);
    printf("  an accelerator-hour: $%.3g reserved, $%.3g on demand",
           d->price.reserved_usd / size_gpus(best), d->price.on_demand_usd / size_gpus(best));
    if (s->spot_usd > 0)
        printf(", $%.3g spot for up to %g %% of the need", s->spot_usd, s->spot_share);
    printf("\n");
}

/* Mean replicas by hour of the day. */
static void print_day(const size_work *w, int32_t most) {
    for (size_t k = 0; k < 24 && w->n_hour >= 24; k++) {
        double sum = 0.0;
        size_t n = 0;
        for (size_t h = k; h < w->n_hour; h += 24, n++)
            sum += w->hour[h].replicas;
        int width = most > 0 ? (int)lround(40 * sum / (double)n / most) : 0;
        printf("  %02zu:00 |%.*s %.1f\n", k, width, "########################################",
               sum / (double)n);
    }
}

void size_print_hours(const size_settings *s, const size_work *w) {
    int32_t least, most;
    double mean;
    extremes(w, &least, &most, &mean);
    printf("\nby the hour (%zu hours of %s): %d to %d replicas, %.2f on average\n", w->n_hour,
           s->profile, least, most, mean);
    print_commitment(s, w);
    printf("  energy %.4g MWh a day at a PUE of %g; %.4g t of CO2 a day at %g g/kWh%s\n",
           w->day->mwh_per_day, s->pue, w->day->carbon_t_per_day, s->carbon_g,
           s->carbon_g == 480 ? " (assumed; --carbon)" : "");
    print_day(w, most);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

json_t *size_hours_json(const size_settings *s, const size_work *w) {
    const size_day *d = w->day;
    json_t *o = json_object(), *hours = json_array();
    for (size_t h = 0; h < w->n_hour; h++)
        json_array_append_new(hours,
                              json_pack("{s:f,s:i,s:f,s:f}", "rate_per_s", w->hour[h].rate_per_s,
                                        "replicas", w->hour[h].replicas, "busy_frac",
                                        w->hour[h].busy_frac, "watts", w->hour[h].watts));
    json_object_set_new(o, "hours_without_fleet", json_integer(d->short_hours));
    if (d->priced)
        json_object_set_new(
            o, "commitment",
            json_pack("{s:i,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "reserved", d->commit.reserved,
                      "mean_replicas", d->commit.mean, "usd_per_h", d->commit.usd_per_h,
                      "startup_usd_per_h", d->startup_usd_per_h, "all_reserved_usd_per_h",
                      d->commit.all_reserved_usd_per_h, "all_on_demand_usd_per_h",
                      d->commit.all_on_demand_usd_per_h, "reserved_usd", d->price.reserved_usd,
                      "on_demand_usd", d->price.on_demand_usd));
    json_object_set_new(o, "energy_mwh_per_day", json_real(d->mwh_per_day));
    json_object_set_new(o, "carbon_t_per_day", json_real(d->carbon_t_per_day));
    json_object_set_new(o, "carbon_g_per_kwh", json_real(s->carbon_g));
    json_object_set_new(o, "pue", json_real(s->pue));
    json_object_set_new(o, "by_hour", hours);
    return o;
}
