/* The keys of a site: the same in YAML and as columns of a planner's table. */
#include "study/fields.h"

#define AT(member) offsetof(rub_study_site, member)
#define NUMBER(member, key, unit, fallback, min, max, example, doc)                                \
    { key, RUB_FIELD_NUMBER, AT(member), unit, fallback, min, max, example, doc }
#define DURATION(member, key, fallback, min, max, example, doc)                                    \
    { key, RUB_FIELD_DURATION, AT(member), NULL, fallback, min, max, example, doc }
#define YES_NO(member, key, fallback, doc)                                                         \
    { key, RUB_FIELD_BOOL, AT(member), NULL, fallback, 0, 0, "yes", doc }
#define QUARTER(member, key, fallback, example, doc)                                               \
    { key, RUB_FIELD_QUARTER, AT(member), "never", fallback, 0, 0, example, doc }

static const rub_field site_fields[] = {
    {"lessor", RUB_FIELD_NAME, AT(lessor), NULL, "", 0, 0, "Lessor A", "Whom it is leased from."},
    {"tenure", RUB_FIELD_BOOL, AT(owned), "leased|owned", NULL, 0, 0, "leased",
     "Leased sites pay rent; owned ones do not and have a value after the last quarter."},
    {"region", RUB_FIELD_REF, AT(region), NULL, NULL, RUB_SECTION_REGIONS, 0, "us-east", "Where."},
    {"fabric", RUB_FIELD_CHOICE, AT(fabric), "inference|training", "inference", 0, 0, "training",
     "Training fabric serves either load, inference fabric inference only."},
    {"stage", RUB_FIELD_CHOICE, AT(stage),
     "talks|option|signed|building|shell|fitting|live|paused|sublet|ended", NULL, 0, 0, "building",
     "Where it stands at the start."},
    {"blocks", RUB_FIELD_COUNT, AT(n_block), NULL, "1", 1, 200, "4",
     "Equal halls or phases, each paced on its own."},
    NUMBER(block_mw, "block", "MW", NULL, 0.001, 1e5, "100 MW", "IT power of one of them."),
    DURATION(remaining_q, "remaining", "", 0, 60, "3 quarters",
             "Building, paused, fitting: time still to go. Sublet: least time still let."),
    {"generation", RUB_FIELD_REF, AT(generation), NULL, "", RUB_SECTION_ACCELERATORS, 0, "h100",
     "Fitting, live: which accelerators stand in it."},
    NUMBER(age_years, "age", "years", "", 0, 30, "1.5 years", "Live: their age."),
    NUMBER(close_prob, "close_probability", "%", "", 0, 1, "60%",
           "Talks: probability that they close."),
    QUARTER(close_q, "close", "never", "2025-Q3", "Talks: quarter in which they conclude."),
    NUMBER(option_fee_usd, "option_fee", "USD/quarter", "", 0, 1e12, "$0.5M/quarter",
           "For each block while an option is held."),
    QUARTER(option_expiry_q, "option_until", "never", "2025-Q4",
            "Talks, option: last quarter in which it may be signed."),
    NUMBER(sign_usd, "sign_price", "USD", "$0", 0, 1e13, "$40M",
           "For each block, on signing: land or lease premium."),
    DURATION(build_for_q, "construction", "0 quarters", 0, 60, "18 months",
             "From start to powered shell."),
    NUMBER(shell_usd_per_mw, "shell_capex", "USD/MW", "$0/MW", 0, 1e10, "$12M/MW",
           "Land, shell and power, spread evenly over construction."),
    YES_NO(may_pause, "pause", "yes", "Whether construction can be stopped and taken up again."),
    NUMBER(pause_usd_per_mw_q, "pause_cost", "USD/MW-quarter", "$0/MW-quarter", 0, 1e9,
           "$60k/MW-quarter", "Holding cost while paused."),
    NUMBER(resume_usd_per_mw, "resume_cost", "USD/MW", "$0/MW", 0, 1e10, "$400k/MW",
           "Once, on taking construction up again."),
    DURATION(resume_delay_q, "resume_delay", "1 quarter", 0, 40, "2 quarters",
             "From that decision until construction goes on."),
    DURATION(fit_for_q, "fit_out", "2 quarters", 1, 40, "2 quarters",
             "From ordering accelerators to live."),
    NUMBER(fit_usd_per_mw, "fit_out_capex", "USD/MW", "$0/MW", 0, 1e10, "$2M/MW",
           "Network and installation, on top of the servers."),
    {"upgrade", RUB_FIELD_NUMBER_OR_NO, AT(upgrade_usd_per_mw), "USD/MW", "no", 0, 1e10, "$3M/MW",
     "Conversion from inference to training fabric, or no."},
    NUMBER(opex_usd_per_mw_q, "opex", "USD/MW-quarter", "$0/MW-quarter", 0, 1e9, "$225k/MW-quarter",
           "Staff and maintenance while live, without power."),
    NUMBER(hold_usd_per_mw_q, "holding_cost", "USD/MW-quarter", "$0/MW-quarter", 0, 1e9,
           "$30k/MW-quarter", "Signed, shell: security, property tax, minimum power."),
    QUARTER(commence_q, "commences", "never", "2026-Q1", "Leased: quarter from which rent runs."),
    NUMBER(term_years, "term", "years", "", 0, 99, "15 years",
           "Leased: from commencement; no end by default."),
    NUMBER(rent_usd_per_kw_month, "rent", "USD/kW-month", "", 0, 10000, "$140/kW-month",
           "Leased: rent of IT power."),
    NUMBER(rent_step_per_year, "escalator", "%/yr", "0%/yr", -0.5, 1, "3%/yr",
           "Yearly step of the rent."),
    DURATION(ramp_for_q, "ramp", "0 quarters", 0, 60, "4 quarters",
             "Rent grows to full over this time."),
    DURATION(defer_max_q, "deferral", "0 quarters", 0, 60, "4 quarters",
             "By how much commencement may be put off in all."),
    NUMBER(defer_usd_per_mw_q, "deferral_fee", "USD/MW-quarter", "$0/MW-quarter", 0, 1e9,
           "$90k/MW-quarter", "For each quarter of it."),
    DURATION(notice_q, "notice", "0 quarters", 0, 60, "2 quarters",
             "Rent still due after cancelling a commenced lease."),
    {"exit_fee", RUB_FIELD_SCHEDULE, AT(exit_fee), "USD", "", -1e13, 1e13,
     "{2025-Q3: $12M, 2026-Q3: $20M}",
     "For each block, when cancelled after signing, by date (in a table cell "
     "`2025-Q3:$12M;2026-Q3:$20M`)."},
    YES_NO(may_renew, "renew", "yes", "Whether the lease can be renewed at its end."),
    NUMBER(renew_rent_factor, "renewal_rent", "%", "100%", 0, 10, "110%",
           "Rent after renewal over rent before."),
    YES_NO(may_sublet, "sublet", "no", "Whether it can be let to another tenant or assigned."),
    NUMBER(sublet_frac, "sublet_share", "%", "100%", 0, 1, "90%",
           "Share of the market's price that reaches us."),
    DURATION(sublet_min_q, "sublet_min", "4 quarters", 0, 60, "4 quarters", "Shortest sublease."),
    {"rofr", RUB_FIELD_REF, AT(rofr_partner), NULL, "", RUB_SECTION_PARTNERS, 0, "anchor",
     "Partner with a right of first refusal when it is signed."},
    {NULL, RUB_FIELD_PART, 0, NULL, NULL, 0, 0, NULL, NULL},
};

const rub_record rub_record_site = {
    "site", "sites.NAME",
    "`sites` may be a mapping, or the name of a CSV table with the same keys as columns "
    "([sites-csv.md](sites-csv.md)). `site_defaults` holds values for keys that a site leaves "
    "out. Durations in months or years are rounded up to quarters.",
    site_fields};
