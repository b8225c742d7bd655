/* Power and money of a replica.
 *
 * An accelerator draws idle + (TDP - idle) * f(busy). f is concave (busy^0.75): a decode that is
 * bound by memory draws near its limit well before its arithmetic is full (assumed; measured fits
 * come with calibration). Server, network and storage around it are the planned all-in power less
 * TDP, of which 60 % is drawn at idle (fans, processors, switches; assumed). */
#include "rubato/perf.h"

#include "base/array.h"

#include <math.h>

enum { HOURS_PER_YEAR = 8760 };
#define HOURS_PER_MONTH 730.0
#define NODE_IDLE_FRAC 0.6

rub_power rub_power_of(const rub_deployment *deployment) {
    const rub_accelerator *a = deployment->accel;
    double n = (double)deployment->tp * deployment->attention_dp *
               (deployment->pp > 0 ? deployment->pp : 1);
    double node_w = a->allin_w > a->tdp_w ? a->allin_w - a->tdp_w : 0.0;
    return (rub_power){.idle_w = n * (a->idle_w + NODE_IDLE_FRAC * node_w),
                       .peak_w = n * (a->tdp_w + node_w),
                       .planned_w = n * (a->tdp_w + node_w)};
}

double rub_power_at(const rub_power *power, double busy_frac) {
    double busy = busy_frac > 0.0 ? busy_frac < 1.0 ? busy_frac : 1.0 : 0.0;
    return power->idle_w + (power->peak_w - power->idle_w) * pow(busy, 0.75);
}

double rub_joules_per_tok(const rub_power *power, double busy_frac, double tok_per_s) {
    return tok_per_s > 0.0 ? rub_power_at(power, busy_frac) / tok_per_s : INFINITY;
}

double rub_cost_per_h(const rub_deployment *deployment) {
    double n = (double)deployment->tp * deployment->attention_dp *
               (deployment->pp > 0 ? deployment->pp : 1);
    return n * deployment->accel->usd_per_h;
}

/* Five years as Amazon (10-K, 2025-01-01) and Epoch AI (2026-05-14); 70 USD/MWh (Epoch AI: 0.6 B
 * USD for a GW and year); 184 USD/kW-month (CBRE, second half of 2024); PUE 1.15 (AWS, 2023).
 * Residual, cost of capital, staff and spares are assumed. */
rub_ownership rub_ownership_default(const rub_accelerator *accel) {
    return (rub_ownership){.capex_usd = accel->purchase_usd,
                           .life_years = 5.0,
                           .residual_frac = 0.05,
                           .rate_per_year = 0.08,
                           .power_usd_per_mwh = 70.0,
                           .pue = 1.15,
                           .space_usd_per_kw_month = 184.0,
                           .opex_frac_per_year = 0.05};
}

double rub_ownership_usd_per_h(const rub_ownership *o, const rub_accelerator *accel) {
    double kw = accel->allin_w * 1e-3;
    double residual = o->capex_usd * o->residual_frac;
    double write_off = (o->capex_usd - residual) / o->life_years;
    double capital = 0.5 * (o->capex_usd + residual) * o->rate_per_year;
    double staff = o->capex_usd * o->opex_frac_per_year;
    double yearly = write_off + capital + staff;
    return yearly / HOURS_PER_YEAR + kw * o->pue * o->power_usd_per_mwh * 1e-3 +
           kw * o->space_usd_per_kw_month / HOURS_PER_MONTH;
}
