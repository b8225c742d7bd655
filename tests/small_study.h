/* A small study with a demand process, read from memory: two regions, an anchor partner, sites at every
 * stage. For tests of what is done with sampled futures. */
#ifndef RUB_TESTS_SMALL_STUDY_H
#define RUB_TESTS_SMALL_STUDY_H

#include "rubato/study.h"

static const char small_study[] =
    "study: {name: small, title: Small, start: 2025-Q1, quarters: 8, discount: 8%/yr, gap: 1%,\n"
    "  seed: 5}\n"
    "accelerators:\n"
    "  h100: {catalog: H100-SXM, price: $38k/accel, price_trend: -10%/yr, power: 1.73 kW/accel,\n"
    "    life: 5 years, residual: 60%, training_yield: 1, tokens_per_s_per_mw: 500k tok/s/MW}\n"
    "  b200: {catalog: B200, price: $60k/accel, price_trend: -10%/yr, power: 2.2 kW/accel,\n"
    "    orderable_from: 2025-Q3, supply: 20k accel, life: 5 years, residual: 60%,\n"
    "    training_yield: 2, tokens_per_s_per_mw: 900k tok/s/MW}\n"
    "regions:\n"
    "  east: {power_price: $65/MWh, pue: 1.2, grid: 90 MW, may_serve: {west: $0.01/Mtok}}\n"
    "  west: {power_price: $50/MWh, pue: 1.2}\n"
    "demand:\n"
    "  chat: {class: inference, region: east, base: 10M tok/s, growth: 60%/yr, volatility: 40%,\n"
    "    season: 5%, value: $0.90/Mtok, penalty: $0.05/Mtok}\n"
    "  code: {class: inference, region: west, base: 5M tok/s, growth: 80%/yr, volatility: 50%,\n"
    "    value: $0.90/Mtok}\n"
    "  pretraining: {class: training, partner: anchor, base: 6k accel, value: $2.60/accel-h,\n"
    "    volatility: 20%}\n"
    "partners:\n"
    "  anchor: {leave_hazard: 40%/yr, leaving_share: 80%, exit_payment: $10M, take_or_pay: 30%,\n"
    "    contract: 4k accel, rofr_share: 40%, rofr_price: $4M/MW-quarter, rofr_probability: 30%}\n"
    "process:\n"
    "  paths: 400\n"
    "  correlation: 50%\n"
    "  rent_volatility: 20%\n"
    "  regimes:\n"
    "    boom: {growth: 1.4, initial: 60%, next: {boom: 90%, slump: 10%}}\n"
    "    slump: {growth: 0.2, initial: 40%, next: {boom: 10%, slump: 90%}}\n"
    "  shocks:\n"
    "    cheap-model: {kind: efficiency, factor: 2, hazard: 15%/yr}\n"
    "    b200-slips: {kind: slip, target: b200, delay: 2 quarters, at: 2025-Q2, probability: 40%}\n"
    "tree: {branching: 3-2-2}\n"
    "sites:\n"
    "  home: {tenure: owned, region: east, fabric: training, stage: live, generation: h100,\n"
    "    age: 1 year, blocks: 2, block: 14 MW, fit_out: 1 quarter, fit_out_capex: $2M/MW,\n"
    "    opex: $225k/MW-quarter}\n"
    "  annex: {tenure: leased, region: east, fabric: inference, stage: shell, block: 8 MW,\n"
    "    fit_out: 1 quarter, fit_out_capex: $2M/MW, opex: $225k/MW-quarter, commences: 2024-Q4,\n"
    "    term: 10 years, rent: $140/kW-month, exit_fee: {2025-Q1: $6M, 2025-Q4: $3M},\n"
    "    notice: 1 quarter, sublet: yes, sublet_share: 90%, sublet_min: 2 quarters}\n"
    "  field: {tenure: owned, region: west, fabric: inference, stage: building, blocks: 3,\n"
    "    block: 10 MW, remaining: 2 quarters, construction: 4 quarters, shell_capex: $9M/MW,\n"
    "    pause: yes, pause_cost: $50k/MW-quarter, resume_cost: $300k/MW, resume_delay: 1 quarter,\n"
    "    fit_out: 1 quarter, fit_out_capex: $2M/MW, opex: $225k/MW-quarter}\n"
    "  deal: {tenure: leased, region: west, fabric: inference, stage: talks, blocks: 2, block: 6 "
    "MW,\n"
    "    close_probability: 60%, close: 2025-Q3, option_until: 2026-Q2, option_fee: "
    "$0.1M/quarter,\n"
    "    sign_price: $1M, construction: 1 quarter, shell_capex: $0.5M/MW, fit_out: 1 quarter,\n"
    "    fit_out_capex: $2M/MW, opex: $225k/MW-quarter, commences: 2025-Q4, term: 8 years,\n"
    "    rent: $130/kW-month, rofr: anchor}\n"
    "market:\n"
    "  training: {rent_in: [{depth: 2k accel, price: $2.90/accel-h}],\n"
    "    rent_out: [{depth: 2k accel, price: $1.80/accel-h}]}\n"
    "  east: {rent_in: [{depth: 2k accel, price: $2.90/accel-h}],\n"
    "    rent_out: [{depth: 3k accel, price: $1.80/accel-h}], sublet_price: $150/kW-month,\n"
    "    sublet_depth: 20 MW}\n"
    "budget: {FY2025: $900M, FY2026: $600M}\n"
    "risk: {cvar_weight: 20%, tail: 25%}\n";

static inline rub_study *small_study_read(const char *const *overrides, size_t n, rub_error *err) {
    rub_study *study = NULL;
    if (rub_study_read_memory("small.yaml", small_study, sizeof small_study - 1, overrides, n,
                              &study, err) != RUB_OK)
        return NULL;
    return study;
}

#endif
