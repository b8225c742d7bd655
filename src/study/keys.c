/* The keys of a study, all but the site's: what is read, checked and documented. */
#include "study/fields.h"

#define TEXT(type, member, key, fallback, example, doc)                                            \
    { key, RUB_FIELD_TEXT, offsetof(type, member), NULL, fallback, 0, 0, example, doc }
#define NUMBER(type, member, key, unit, fallback, min, max, example, doc)                          \
    { key, RUB_FIELD_NUMBER, offsetof(type, member), unit, fallback, min, max, example, doc }
#define COUNT(type, member, key, fallback, min, max, example, doc)                                 \
    { key, RUB_FIELD_COUNT, offsetof(type, member), NULL, fallback, min, max, example, doc }
#define QUARTER(type, member, key, never, fallback, example, doc)                                  \
    { key, RUB_FIELD_QUARTER, offsetof(type, member), never, fallback, 0, 0, example, doc }
#define CHOICE(type, member, key, words, first, fallback, example, doc)                            \
    { key, RUB_FIELD_CHOICE, offsetof(type, member), words, fallback, first, 0, example, doc }
#define REF(type, member, key, section, fallback, example, doc)                                    \
    { key, RUB_FIELD_REF, offsetof(type, member), NULL, fallback, section, 0, example, doc }
#define SCHEDULE(type, member, key, unit, min, max, example, doc)                                  \
    { key, RUB_FIELD_SCHEDULE, offsetof(type, member), unit, "", min, max, example, doc }
#define PART(key, fallback, example, doc)                                                          \
    { key, RUB_FIELD_PART, 0, NULL, fallback, 0, 0, example, doc }
#define END                                                                                        \
    { NULL, RUB_FIELD_PART, 0, NULL, NULL, 0, 0, NULL, NULL }

#define USD_MAX 1e13 /* ten times the world's largest capex plans; catches k/M/B slips */

static const rub_field study_fields[] = {
    {"name", RUB_FIELD_NAME, offsetof(rub_study, name), NULL, NULL, 0, 0, "tiny",
     "Short name; output files are named after it."},
    TEXT(rub_study, title, "title", "", "Two sites, four quarters", "One line for reports."),
    TEXT(rub_study, notes, "notes", "", "Restates ...", "What a reader of a report must know."),
    QUARTER(rub_study, start_q, "start", NULL, NULL, "2025-Q1",
            "Quarter 0: the one that is decided now."),
    COUNT(rub_study, n_quarter, "quarters", NULL, 1, 60, "24", "Quarters planned."),
    NUMBER(rub_study, discount_per_year, "discount", "%/yr", NULL, 0, 1, "8%/yr",
           "Rate at which money is discounted."),
    CHOICE(rub_study, fiscal_start, "fiscal_year_start", "Q1|Q2|Q3|Q4", 1, "Q1", "Q3",
           "Calendar quarter in which the fiscal year begins."),
    CHOICE(rub_study, fiscal_shift, "fiscal_year_named", "start|end", 0, "end", "end",
           "Whether a fiscal year bears the calendar year of its start or of its end."),
    {"seed", RUB_FIELD_SEED, offsetof(rub_study, seed), NULL, "1", 0, 0, "7",
     "Seed of the simulated futures and of the search."},
    REF(rub_study, reference_generation, "reference", RUB_SECTION_ACCELERATORS, "", "h100",
        "Accelerator that training load and the rental market are counted in; by default the "
        "first."),
    NUMBER(rub_study, shell_life_years, "shell_life", "years", "15 years", 0.25, 60, "15 years",
           "Straight-line life of land, shell and power, for values after the last quarter."),
    NUMBER(rub_study, spent_this_fy_usd, "spent_this_fiscal_year", "USD", "$0", 0, USD_MAX,
           "$42.6B", "Capex already spent in the fiscal year that the start falls in."),
    NUMBER(rub_study, pipeline_gap, "gap", "%", "2%", 0, 1, "2%", "Optimality gap aimed at."),
    END,
};

static const rub_field model_fields[] = {
    {"catalog", RUB_FIELD_CATALOG, offsetof(rub_study_model, catalog), NULL, NULL, 0, 0,
     "llama-3.1-70b", "Model of the catalog, or path to a config.json beside the study."},
    {"weights", RUB_FIELD_NAME, offsetof(rub_study_model, weights), NULL, "", 0, 0, "fp8",
     "Precision of the weights; by default the model's own."},
    {"kv_cache", RUB_FIELD_NAME, offsetof(rub_study_model, kv_cache), NULL, "", 0, 0, "fp8",
     "Precision of the KV cache; by default what follows from the weights."},
    END,
};

#define TARGET(member, key, doc)                                                                   \
    {                                                                                              \
        key, RUB_FIELD_NUMBER, offsetof(rub_study_workload, targets.member), "s", "", 0, 3600,     \
            "250 ms", doc                                                                          \
    }

static const rub_field workload_fields[] = {
    REF(rub_study_workload, model, "model", RUB_SECTION_MODELS, NULL, "chat-model",
        "Which of the study's models serves it."),
    {"trace", RUB_FIELD_PATH, offsetof(rub_study_workload, trace_file), NULL, "", 0, 0,
     "chat.csv.gz", "Request trace, beside the study. Either this or a preset."},
    {"preset", RUB_FIELD_NAME, offsetof(rub_study_workload, preset), NULL, "", 0, 0, "azure-conv",
     "Synthetic trace fitted to a public one: azure-conv or azure-code."},
    NUMBER(rub_study_workload, rate_per_s, "rate", "req/s", "", 0, 1e9, "200 req/s",
           "Request rate; by default the trace's own."),
    NUMBER(rub_study_workload, share_frac, "share", "%", "", 0, 1, "70%",
           "Of the inference tokens demanded; the shares add up to 100 %, equal by default."),
    TARGET(ttft_p50_s, "ttft_p50", "Target: time to first token, median."),
    TARGET(ttft_p90_s, "ttft_p90", "The same, 90th percentile."),
    TARGET(ttft_p99_s, "ttft_p99", "The same, 99th percentile."),
    TARGET(tpot_p50_s, "tpot_p50", "Target: time per output token, median."),
    TARGET(tpot_p90_s, "tpot_p90", "The same, 90th percentile."),
    TARGET(tpot_p99_s, "tpot_p99", "The same, 99th percentile."),
    TARGET(e2e_p99_s, "e2e_p99", "Target: whole request, 99th percentile."),
    END,
};

static const rub_field accelerator_fields[] = {
    TEXT(rub_study_generation, catalog, "catalog", NULL, "GB200", "Accelerator of the catalog."),
    NUMBER(rub_study_generation, price_usd, "price", "USD/accel", NULL, 0, 1e8, "$62k/accel",
           "All-in server capex for each accelerator at the start (or when first orderable)."),
    NUMBER(rub_study_generation, price_trend_per_year, "price_trend", "%/yr", "0%/yr", -0.95, 5,
           "-10%/yr", "Change of the price from then on."),
    QUARTER(rub_study_generation, first_q, "orderable_from", NULL, "start", "2025-Q3",
            "First quarter in which it can be ordered."),
    QUARTER(rub_study_generation, last_q, "orderable_until", "never", "never", "2027-Q4",
            "Last quarter, or never."),
    SCHEDULE(rub_study_generation, supply, "supply", "accel", 0, 1e9,
             "{2025-Q1: 100k accel, 2026-Q1: 250k accel}",
             "Accelerators that can be ordered in a quarter, all sites; no limit by default."),
    NUMBER(rub_study_generation, kw_per_accel, "power", "kW/accel", "", 0, 1000, "2.1 kW/accel",
           "All-in IT power for each accelerator; by default the catalog's."),
    NUMBER(rub_study_generation, life_years, "life", "years", "5 years", 0.25, 30, "5 years",
           "Economic life; after it the accelerators go."),
    NUMBER(rub_study_generation, residual_frac_per_year, "residual", "%", "60%", 0, 1, "60%",
           "Share of its resale value that an accelerator keeps in each year."),
    NUMBER(rub_study_generation, training_yield, "training_yield", "", "", 0, 1000, "2.5",
           "Training work for each accelerator, the reference's being 1; by default simulated."),
    NUMBER(rub_study_generation, tokens_per_s_per_mw, "tokens_per_s_per_mw", "tok/s-MW", "", 0,
           1e12, "4e5 tok/s/MW",
           "Inference yield; given only to set aside what the simulation finds."),
    END,
};

static const rub_field region_fields[] = {
    NUMBER(rub_study_region, power_usd_per_mwh, "power_price", "USD/MWh", NULL, -1000, 10000,
           "$65/MWh", "Price of electricity at the start."),
    NUMBER(rub_study_region, power_trend_per_year, "power_trend", "%/yr", "0%/yr", -0.9, 5, "3%/yr",
           "Its change."),
    NUMBER(rub_study_region, pue, "pue", "", NULL, 1, 5, "1.15", "Facility power over IT power."),
    SCHEDULE(rub_study_region, grid, "grid", "MW", 0, 1e7, "{2025-Q1: 900 MW, 2027-Q1: 1.5 GW}",
             "IT power that the grid can feed, all own sites of the region; no limit by default."),
    PART("may_serve", "", "{us-west: $0.01/Mtok}",
         "Regions whose users may be served from here, and what a million tokens cost on the way."),
    END,
};

static const rub_field demand_fields[] = {
    CHOICE(rub_study_demand, load_class, "class", "inference|training", 0, NULL, "inference",
           "Kind of load."),
    REF(rub_study_demand, region, "region", RUB_SECTION_REGIONS, "", "us-east",
        "Inference: where its users are (required). Training has none."),
    REF(rub_study_demand, partner, "partner", RUB_SECTION_PARTNERS, "", "anchor",
        "Whose load it is; own by default."),
    NUMBER(rub_study_demand, base, "base", "tok/s|accel", NULL, 0, 1e15, "12M tok/s|60k accel",
           "Load at the start: input and output tokens together, or accelerators of the "
           "reference."),
    NUMBER(rub_study_demand, growth_per_year, "growth", "%/yr", "0%/yr", -0.99, 100, "80%/yr",
           "Trend; 100%/yr doubles every year."),
    NUMBER(rub_study_demand, saturation, "saturation", "tok/s|accel", "", 0, 1e18,
           "200M tok/s|400k accel", "Level at which growth ends (logistic); none by default."),
    NUMBER(rub_study_demand, volatility_per_year, "volatility", "%", "0%", 0, 5, "35%",
           "Standard deviation of the yearly change of its logarithm."),
    NUMBER(rub_study_demand, season_frac, "season", "%", "0%", 0, 0.9, "4%",
           "Amplitude of a yearly season with its peak in Q4."),
    NUMBER(rub_study_demand, value_usd, "value", "USD/Mtok|USD/accel-h", NULL, 0, 1e9,
           "$0.40/Mtok|$2.60/accel-h", "Earned by serving it, at the start."),
    NUMBER(rub_study_demand, value_trend_per_year, "value_trend", "%/yr", "0%/yr", -0.99, 5,
           "-30%/yr", "Its change."),
    NUMBER(rub_study_demand, penalty_usd, "penalty", "USD/Mtok|USD/accel-h", "", 0, 1e9,
           "$0.05/Mtok|$0.50/accel-h", "Paid for what is not served, on top of the lost value."),
    NUMBER(rub_study_demand, must_serve_frac, "must_serve", "%", "0%", 0, 1, "50%",
           "Share that has to be served in every future."),
    END,
};

static const rub_field process_fields[] = {
    COUNT(rub_study_process, n_path, "paths", "2000", 1, 100000, "4000", "Futures simulated."),
    NUMBER(rub_study_process, correlation, "correlation", "%", "50%", 0, 1, "60%",
           "Between the demands' innovations."),
    NUMBER(rub_study_process, class_correlation, "class_correlation", "%", "0%", 0, 1, "20%",
           "On top of it, between loads of one class; the three add up to at most 100 %."),
    NUMBER(rub_study_process, region_correlation, "region_correlation", "%", "0%", 0, 1, "10%",
           "On top of it, between loads of one region."),
    NUMBER(rub_study_process, yield_trend_per_year, "yield_trend", "%/yr", "0%/yr", -0.9, 10,
           "25%/yr", "Software: growth of tokens/s from the same MW."),
    NUMBER(rub_study_process, rent_trend_per_year, "rent_trend", "%/yr", "0%/yr", -0.9, 10,
           "-15%/yr", "Change of rental prices of accelerators and capacity."),
    NUMBER(rub_study_process, rent_volatility_per_year, "rent_volatility", "%", "0%", 0, 5, "25%",
           "Standard deviation of their yearly change in logarithm."),
    PART("regimes", "", "{boom: {...}, slump: {...}}", "Regimes by name, see below."),
    PART("shocks", "", "{next-slips: {...}}", "Shocks by name, see below."),
    END,
};

static const rub_field regime_fields[] = {
    NUMBER(rub_study_regime, growth_factor, "growth", "", NULL, -10, 20, "1.5",
           "Multiplies the growth (of the logarithm) of every demand while the regime holds."),
    NUMBER(rub_study_regime, initial_prob, "initial", "%", "0%", 0, 1, "30%",
           "Probability at the start; the regimes' add up to 100 %."),
    PART("next", NULL, "{boom: 90%, slump: 10%}",
         "Probabilities of the next quarter's regime; they add up to 100 %."),
    END,
};

static const rub_field shock_fields[] = {
    CHOICE(rub_study_shock, kind, "kind", "demand|efficiency|slip|price|rent|depth|grid|export", 0,
           NULL, "slip",
           "What it hits: demand, tokens/s per MW, an accelerator's date or price, rental "
           "prices, rental and sublet depth, a region's grid, orders of an accelerator (export)."),
    PART("target", "", "gb300", "The demand, accelerator or region hit; all by default."),
    NUMBER(rub_study_shock, factor, "factor", "", "1", 0, 1000, "0.6",
           "Multiplies what is hit from then on (not for slip)."),
    {"delay", RUB_FIELD_DURATION, offsetof(rub_study_shock, quarters), NULL, "", 0, 60,
     "2 quarters", "slip: how much later."},
    {"lasts", RUB_FIELD_DURATION, offsetof(rub_study_shock, quarters), NULL, "", 0, 60,
     "8 quarters", "grid: for how long; for good by default."},
    QUARTER(rub_study_shock, at_q, "at", "never", "never", "2025-Q4",
            "Dated shock: its quarter. Either this or a hazard."),
    NUMBER(rub_study_shock, prob, "probability", "%", "100%", 0, 1, "40%",
           "Dated shock: whether it comes."),
    NUMBER(rub_study_shock, hazard_per_year, "hazard", "%/yr", "", 0, 10, "15%/yr",
           "Undated shock: rate at which it strikes."),
    END,
};

static const rub_field tree_fields[] = {
    PART("branching", "", "1-3-2-2",
         "Children of a node, quarter after quarter (list, or joined by '-'); 1 after the end."),
    PART("nodes", "", "{now: {}, up: {parent: now, probability: 40%}}",
         "The tree in full, parents first, see below."),
    PART("file", "", "tree.csv",
         "The same as a table: a row a node, columns node, parent, probability, demand.NAME, "
         "rent, yield, price, left, exercised, closed."),
    END,
};

static const rub_field node_fields[] = {
    PART("parent", "", "now", "Name of the node before; only the first node has none."),
    NUMBER(rub_study_tree_node, prob, "probability", "%", "100%", 0, 1, "40%",
           "Given the parent; siblings' add up to 100 %."),
    PART("demand", "", "{chat: 1.4M tok/s}", "Load by demand; as at the parent by default."),
    NUMBER(rub_study_tree_node, rent_factor, "rent", "", "", 0, 1000, "0.9",
           "Rental price over that at the start; as at the parent by default."),
    NUMBER(rub_study_tree_node, yield_factor, "yield", "", "", 0, 1000, "1.1",
           "Inference yield, likewise."),
    NUMBER(rub_study_tree_node, price_factor, "price", "", "", 0, 1000, "1.0",
           "Accelerator prices on top of their trend, likewise."),
    PART("left", "", "anchor", "Partners whose load has gone; stays so from then on."),
    PART("exercised", "", "anchor", "Partners that exercise their right in this quarter."),
    PART("closed", "", "site-b", "Sites whose talks have closed; stays so from then on."),
    END,
};

static const rub_field partner_fields[] = {
    NUMBER(rub_study_partner, leave_hazard_per_year, "leave_hazard", "%/yr", "0%/yr", 0, 10,
           "20%/yr", "Rate at which its load may go."),
    QUARTER(rub_study_partner, leave_q, "leaves", "never", "never", "2025-Q2",
            "Quarter in which it goes for certain, or never."),
    NUMBER(rub_study_partner, leave_frac, "leaving_share", "%", "100%", 0, 1, "80%",
           "Share of its load that goes."),
    NUMBER(rub_study_partner, exit_usd, "exit_payment", "USD", "$0", 0, USD_MAX, "$500M",
           "Paid to us once when it goes."),
    NUMBER(rub_study_partner, take_or_pay_frac, "take_or_pay", "%", "0%", 0, 1, "60%",
           "Of its contracted load, paid whether used or not."),
    PART("contract", "", "40k accel", "Contracted load, in the unit of its demand."),
    QUARTER(rub_study_partner, contract_end_q, "contract_until", "never", "never", "2029-Q4",
            "Last quarter of take-or-pay."),
    NUMBER(rub_study_partner, rofr_share_frac, "rofr_share", "%", "0%", 0, 1, "50%",
           "Right of first refusal: share of a newly signed block that it takes."),
    NUMBER(rub_study_partner, rofr_usd_per_mw_q, "rofr_price", "USD/MW-quarter", "", 0, 1e8,
           "$3.5M/MW-quarter", "What it pays for that share while it is live."),
    NUMBER(rub_study_partner, rofr_prob, "rofr_probability", "%", "0%", 0, 1, "30%",
           "Probability that it exercises its right in a quarter."),
    QUARTER(rub_study_partner, rofr_end_q, "rofr_until", "never", "never", "2027-Q4",
            "Last quarter of the right."),
    END,
};

static const rub_field market_fields[] = {
    PART("rent_in", "", "[{depth: 5k accel, price: $2.60/accel-h}]",
         "Steps at which capacity can be rented, prices rising."),
    PART("rent_out", "", "[{depth: 5k accel, price: $1.70/accel-h}]",
         "Steps at which own capacity can be let, prices falling."),
    NUMBER(rub_study_market, sublet_usd_per_kw_month, "sublet_price", "USD/kW-month", "", 0, 10000,
           "$150/kW-month", "What another tenant pays for a powered shell (regions only)."),
    SCHEDULE(rub_study_market, sublet_depth, "sublet_depth", "MW", 0, 1e7, "300 MW",
             "How much of it rivals take in all (regions only)."),
    END,
};

static const rub_field step_fields[] = {
    NUMBER(rub_market_step, depth, "depth", "accel", NULL, 0, 1e9, "5k accel",
           "Accelerators of the reference at this price."),
    NUMBER(rub_market_step, usd, "price", "USD/accel-h", NULL, 0, 1e5, "$2.60/accel-h",
           "Price at the start."),
    END,
};

static const rub_field risk_fields[] = {
    NUMBER(rub_study_risk, cvar_weight, "cvar_weight", "%", "0%", 0, 1, "20%",
           "Weight of the tail against the mean."),
    NUMBER(rub_study_risk, cvar_alpha, "tail", "%", "10%", 0.001, 1, "10%",
           "The tail: mean of the worst share of futures."),
    END,
};

static const rub_field source_fields[] = {
    PART("status", NULL, "public",
         "How sure the figure is: public, measured, calibrated, derived or assumed."),
    TEXT(rub_study_source, text, "source", "", "CBRE, 2025-02-26", "Where it stands."),
    TEXT(rub_study_source, date, "date", "", "2025-02-26", "When it was said."),
    END,
};

const rub_record rub_record_study = {"study", "study", "", study_fields};
const rub_record rub_record_model = {"model", "models.NAME",
                                     "Models that are served. Not needed where every accelerator "
                                     "has `tokens_per_s_per_mw`.",
                                     model_fields};
const rub_record rub_record_workload = {
    "workload", "workloads.NAME",
    "What inference load looks like. Each is sized by simulation on each accelerator; the mix "
    "gives tokens/s per MW.",
    workload_fields};
const rub_record rub_record_accelerator = {"accelerator", "accelerators.NAME",
                                           "Generations that may be bought or stand in a site.",
                                           accelerator_fields};
const rub_record rub_record_region = {"region", "regions.NAME", "", region_fields};
const rub_record rub_record_demand = {
    "demand", "demand.NAME",
    "`base`, `saturation` and prices are in tokens for inference and in accelerators of the "
    "reference for training.",
    demand_fields};
const rub_record rub_record_process = {
    "process", "process", "How futures differ. Left out: growth alone.", process_fields};
const rub_record rub_record_regime = {"regime", "process.regimes.NAME",
                                      "A Markov chain by quarters.", regime_fields};
const rub_record rub_record_shock = {"shock", "process.shocks.NAME", "", shock_fields};
const rub_record rub_record_tree = {
    "tree", "tree",
    "The scenario tree: `branching` reduces simulated futures; `nodes` or `file` give it in "
    "full. At most 200,000 nodes. Left out: no branching, one expected future.",
    tree_fields};
const rub_record rub_record_node = {
    "node", "tree.nodes.NAME",
    "The first node is the start; each level is one quarter; every last node stands in the last "
    "quarter.",
    node_fields};
const rub_record rub_record_partner = {"partner", "partners.NAME",
                                       "Anchor customers: their load is the demand that names "
                                       "them.",
                                       partner_fields};
const rub_record rub_record_market = {"market", "market.NAME", "NAME is `training` or a region.",
                                      market_fields};
const rub_record rub_record_step = {"step", "market.NAME.rent_in, market.NAME.rent_out", "",
                                    step_fields};
const rub_record rub_record_risk = {"risk", "risk", "", risk_fields};
const rub_record rub_record_source = {
    "source", "sources.KEY",
    "KEY is the path of a figure or of all below it, such as `budget.FY2025` or "
    "`sites.mount-pleasant`; `*` stands for any name. What is not listed counts as assumed.",
    source_fields};

const rub_record *const rub_records[] = {&rub_record_study,       &rub_record_model,
                                         &rub_record_workload,    &rub_record_accelerator,
                                         &rub_record_region,      &rub_record_demand,
                                         &rub_record_process,     &rub_record_regime,
                                         &rub_record_shock,       &rub_record_tree,
                                         &rub_record_node,        &rub_record_site,
                                         &rub_record_partner,     &rub_record_market,
                                         &rub_record_step,        &rub_record_risk,
                                         &rub_record_source,      &rub_record_replay,
                                         &rub_record_information, &rub_record_reported,
                                         &rub_record_outcome,     NULL};
