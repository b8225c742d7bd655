/* Study: one YAML file (with CSV tables beside it) as plain data in canonical units.
 *
 * Canonical units: USD, MW (critical IT load), seconds, tokens/s (input + output tokens together),
 * accelerators, fractions (8 % is 0.08), rates per year as fractions, calendar quarters as
 * year * 4 + (quarter - 1). "quarter" fields named *_q that hold a calendar quarter say so; counts
 * of quarters are n_* or *_for_q. RUB_NEVER stands for "no such date".
 *
 * The study knows nothing of the rooms above it: they read this struct. */
#ifndef RUBATO_STUDY_H
#define RUBATO_STUDY_H

#include "rubato/base.h"

#define RUB_NEVER INT32_MAX
#define RUB_STUDY_MAX_NODES 200000 /* of a scenario tree */
#define RUB_NAME_MAX 48

typedef char rub_name[RUB_NAME_MAX];

/* A value that changes at given quarters and holds in between: value of the last point at or
 * before the quarter; before the first point, the first value. n == 0: not given. */
typedef struct rub_schedule {
    int32_t n;
    int32_t *quarter; /* calendar quarters, increasing (n) */
    double *value;    /* (n) */
} rub_schedule;

/* Value at calendar quarter q; fallback when the schedule is not given. */
double rub_schedule_at(const rub_schedule *schedule, int32_t q, double fallback);

typedef enum rub_load_class { RUB_INFERENCE, RUB_TRAINING } rub_load_class;

/* Where something stands in the study's files, for messages of the rooms above. */
typedef struct rub_study_place {
    char *file;
    int32_t line, column; /* 0: a value of --what-if, which has no line */
} rub_study_place;

/* ---- what is served ------------------------------------------------------------------------ */

typedef struct rub_study_model {
    rub_name name;
    char *catalog; /* catalog name, or path to a config.json (resolved beside the study) */
    rub_study_place catalog_at;
    rub_name weights;  /* "bf16", "fp8", ... ; "" = the model's own */
    rub_name kv_cache; /* "", "bf16", "fp8" */
} rub_study_model;

/* Latency targets [s]; 0 = none. */
typedef struct rub_study_targets {
    double ttft_p50_s, ttft_p90_s, ttft_p99_s;
    double tpot_p50_s, tpot_p90_s, tpot_p99_s;
    double e2e_p99_s;
} rub_study_targets;

typedef struct rub_study_workload {
    rub_name name;
    int32_t model;     /* index into models */
    char *trace_file;  /* a trace, or NULL */
    rub_name preset;   /* trace preset when there is no file: "azure-conv", "azure-code" */
    double rate_per_s; /* 0: the trace's own; for a company's absolute load */
    double share_frac; /* of inference tokens demanded that are this workload's (sums to 1) */
    rub_study_targets targets;
} rub_study_workload;

/* An accelerator generation that may be bought. */
typedef struct rub_study_generation {
    rub_name name;
    char *catalog; /* accelerator in the catalog */
    rub_study_place catalog_at;
    double price_usd; /* all-in server capex per accelerator at the study's start [USD] */
    double price_trend_per_year; /* -0.10: falls 10 % a year from first_q on */
    int32_t first_q;             /* first calendar quarter it can be ordered */
    int32_t last_q;              /* last one, or RUB_NEVER */
    rub_schedule supply;         /* accelerators that can be ordered in a quarter [accelerators] */
    double kw_per_accel;         /* all-in IT kW per accelerator; 0 = the catalog's */
    double life_years;           /* economic life; after it the accelerators must go */
    double residual_frac_per_year; /* resale value = price * residual^age_years */
    double training_yield;      /* training accelerator-equivalents per accelerator; 0 = perf's */
    double tokens_per_s_per_mw; /* > 0 overrides the simulated inference yield (tests, what-ifs) */
} rub_study_generation;

/* ---- where --------------------------------------------------------------------------------- */

typedef struct rub_study_region {
    rub_name name;
    double power_usd_per_mwh;
    double power_trend_per_year;
    double pue;
    rub_schedule grid; /* critical IT MW that the grid can feed, all own sites of the region [MW] */
} rub_study_region;

/* Inference of region `to` may be served from region `from`. */
typedef struct rub_study_link {
    int32_t from, to;
    double cost_usd_per_mtok;
} rub_study_link;

/* ---- demand and its process ---------------------------------------------------------------- */

typedef struct rub_study_demand {
    rub_name name;
    rub_load_class load_class;
    int32_t region;             /* inference: where users are; training: -1 (anywhere) */
    int32_t partner;            /* whose load: index into partners, or -1 (own) */
    double base;                /* at the study's start [tokens/s] or [accelerator-equivalents] */
    double growth_per_year;     /* log-linear trend: 1.0 doubles every year */
    double saturation;          /* logistic ceiling in base's unit; 0 = none */
    double volatility_per_year; /* standard deviation of yearly log change */
    double season_frac;         /* amplitude of a yearly season (peak in Q4) */
    double value_usd;           /* earned: [USD per million tokens] or [USD per accelerator-hour] */
    double value_trend_per_year;
    double penalty_usd;     /* paid when not served, same unit, on top of the lost value */
    double must_serve_frac; /* hard share of the load that has to be served; usually 0 */
} rub_study_demand;

typedef struct rub_study_regime {
    rub_name name;
    double growth_factor; /* multiplies log growth of every demand while it holds */
    double initial_prob;
    double *next_prob; /* probability of the regime of the next quarter (n_regime), sums to 1 */
} rub_study_regime;

typedef enum rub_shock_kind {
    RUB_SHOCK_DEMAND,     /* demand (one or all) times factor from then on */
    RUB_SHOCK_EFFICIENCY, /* tokens/s per MW of all generations times factor */
    RUB_SHOCK_SLIP,       /* generation's first_q later by `quarters` */
    RUB_SHOCK_PRICE,      /* accelerator price (one or all) times factor */
    RUB_SHOCK_RENT,       /* rental market price times factor */
    RUB_SHOCK_RENT_DEPTH, /* rental and sublet market depth times factor (rivals release, absorb) */
    RUB_SHOCK_GRID,       /* region's grid limit times factor while it lasts */
    RUB_SHOCK_EXPORT,     /* a generation cannot be ordered while it lasts */
} rub_shock_kind;

typedef struct rub_study_shock {
    rub_name name;
    rub_shock_kind kind;
    int32_t target; /* demand, generation or region index; -1 = all */
    double factor;
    int32_t quarters;       /* RUB_SHOCK_SLIP; RUB_SHOCK_GRID, _EXPORT: how long, 0 = for good */
    int32_t at_q;           /* dated: calendar quarter with probability prob; or RUB_NEVER */
    double prob;            /* dated */
    double hazard_per_year; /* undated: exponential */
} rub_study_shock;

typedef struct rub_study_process {
    int32_t n_path;              /* simulated paths */
    double correlation;          /* of the demands' log innovations (common factor) */
    double class_correlation;    /* on top of it, between loads of one class */
    double region_correlation;   /* on top of it, between loads of one region */
    double yield_trend_per_year; /* software: inference tokens/s per MW grow by this a year */
    double rent_trend_per_year;
    double rent_volatility_per_year;
    int32_t n_regime;
    rub_study_regime *regime;
    int32_t n_shock;
    rub_study_shock *shock;
} rub_study_process;

/* The tree: branching by quarter from simulated paths, or given in full. */
typedef struct rub_study_tree_node {
    int32_t parent;          /* index into nodes, -1 for the root; parents come first */
    double prob;             /* conditional on the parent; children's sum is 1 */
    double *demand;          /* in base's unit (n_demand) */
    double rent_factor;      /* of the rental price at the start */
    double yield_factor;     /* of the inference yield at the start */
    double price_factor;     /* of accelerator prices, on top of their trend */
    uint8_t *partner_left;   /* (n_partner) */
    uint8_t *rofr_exercised; /* (n_partner) */
    uint8_t *talks_ok;       /* (n_site): outcome when the talks conclude in this node's quarter */
} rub_study_tree_node;

typedef struct rub_study_tree {
    int32_t n_branching;
    int32_t *branching; /* children of each node at quarter q -> q+1; 1 after the list ends */
    int32_t n_leaf;     /* of a tree given in full */
    int32_t n_node; /* > 0: the tree is given in full; depth in quarters gives its node's date */
    rub_study_tree_node *node;
} rub_study_tree;

/* ---- sites and leases ---------------------------------------------------------------------- */

typedef enum rub_fabric { RUB_FABRIC_INFERENCE, RUB_FABRIC_TRAINING } rub_fabric;

#define RUB_STAGE_LIST(X)                                                                          \
    X(TALKS, "talks")       /* being negotiated; closes with a probability at a date */            \
    X(OPTION, "option")     /* option or letter of intent held; may be signed */                   \
    X(SIGNED, "signed")     /* lease signed or land bought; nothing built */                       \
    X(BUILDING, "building") /* shell and power under construction */                               \
    X(SHELL, "shell")       /* powered, empty */                                                   \
    X(FITTING, "fitting")   /* accelerators ordered and being installed */                         \
    X(LIVE, "live")         /* serves */                                                           \
    X(PAUSED, "paused")     /* construction stopped, resumable */                                  \
    X(SUBLET, "sublet")     /* another tenant pays the market price */                             \
    X(ENDED, "ended")       /* cancelled, assigned, expired, talks failed or lease over */

typedef enum rub_stage {
#define X(name, text) RUB_STAGE_##name,
    RUB_STAGE_LIST(X)
#undef X
        RUB_N_STAGE
} rub_stage;

const char *rub_stage_text(rub_stage stage);

/* A site or lease with its terms; money per MW is for one MW of critical IT load. */
typedef struct rub_study_site {
    rub_name name;
    rub_name lessor;
    bool owned; /* owned: no rent; leased: rent from commencement */
    int32_t region;
    rub_fabric fabric;
    rub_stage stage; /* at the study's start */
    int32_t n_block; /* equal halls or phases, each paced on its own */
    double block_mw; /* critical IT MW of one */
    /* stage at the start, in detail */
    int32_t remaining_q; /* building, fitting: quarters still to go (a count) */
    int32_t generation;  /* fitting, live: which generation stands in it; else -1 */
    double age_years;    /* live: age of the accelerators */
    /* talks, option */
    double close_prob;       /* talks: probability that they close */
    int32_t close_q;         /* talks: calendar quarter in which they conclude */
    double option_fee_usd;   /* per block and quarter while an option is held */
    int32_t option_expiry_q; /* last calendar quarter in which it may be signed */
    double sign_usd;         /* per block: price of signing or land (long-lived capex) */
    /* construction */
    int32_t build_for_q;       /* quarters from start to powered shell */
    double shell_usd_per_mw;   /* long-lived capex, spread evenly over the build */
    double pause_usd_per_mw_q; /* holding cost per quarter while paused */
    double resume_usd_per_mw;  /* one-time cost of resuming */
    int32_t resume_delay_q;    /* extra quarters of construction after a pause */
    bool may_pause;
    /* fit-out */
    int32_t fit_for_q;         /* quarters from order to live; >= 1 */
    double fit_usd_per_mw;     /* network and installation (short-lived capex), on top of servers */
    double upgrade_usd_per_mw; /* inference -> training fabric, long-lived; < 0: not possible */
    double opex_usd_per_mw_q;  /* staff, maintenance while live, without power */
    double hold_usd_per_mw_q;  /* signed or shell: security, property tax, minimum power */
    /* lease */
    int32_t commence_q; /* calendar quarter from which rent runs (unless deferred) */
    double term_years;  /* from commencement; 0 = no end within the study */
    double rent_usd_per_kw_month;
    double rent_step_per_year; /* escalator */
    int32_t ramp_for_q;        /* rent grows linearly to full over this many quarters */
    int32_t defer_max_q;       /* quarters by which commencement may be put off in all; 0 = none */
    double defer_usd_per_mw_q; /* fee for each quarter of deferral */
    int32_t notice_q;          /* quarters of rent due after cancelling a commenced lease */
    rub_schedule exit_fee;     /* fee for cancelling after signing, by date [USD per block] */
    bool may_renew;            /* at the term's end */
    double renew_rent_factor;  /* rent after renewal / rent before */
    bool may_sublet;
    double sublet_frac;   /* of the sublet market price that reaches us */
    int32_t sublet_min_q; /* shortest sublease */
    /* right of first refusal on newly signed capacity */
    int32_t rofr_partner; /* index into partners, or -1 */
    int32_t line;         /* where the site stands in its file, for messages */
    /* no keys: set by who goes on from a plan's state */
    int32_t resume_in_q; /* paused: taken up again already, quarters of the delay still to go */
    bool held;           /* the partner took its share when it was signed */
} rub_study_site;

typedef struct rub_study_partner {
    rub_name name;
    double leave_hazard_per_year; /* its load may go */
    int32_t leave_q;         /* dated: goes in this calendar quarter for certain; or RUB_NEVER */
    double leave_frac;       /* share of its load that goes; 1 = all */
    double exit_usd;         /* one-time payment when it leaves */
    double take_or_pay_frac; /* of its contracted load, paid whether used or not */
    double contract_units;   /* contracted load in its demand's unit */
    int32_t contract_end_q;  /* last quarter of take-or-pay, or RUB_NEVER */
    /* right of first refusal */
    double rofr_share_frac;   /* of a newly signed block that it takes when it exercises */
    double rofr_usd_per_mw_q; /* what it pays for each MW and live quarter */
    double rofr_prob;         /* probability that it exercises in a given quarter */
    int32_t rofr_end_q;       /* last quarter of the right */
} rub_study_partner;

/* ---- market, budget, risk ------------------------------------------------------------------ */

/* One step of a rental market: at most `depth` at `usd`. */
typedef struct rub_market_step {
    double depth; /* accelerator-equivalents of the reference generation */
    double usd;   /* USD per accelerator-hour at the study's start */
} rub_market_step;

typedef struct rub_study_market {
    int32_t region; /* -1: applies to training (anywhere) */
    int32_t n_in, n_out;
    rub_market_step *in;            /* rent in: rising prices (n_in) */
    rub_market_step *out;           /* rent out: falling prices (n_out) */
    double sublet_usd_per_kw_month; /* market price of a powered shell or lease */
    rub_schedule sublet_depth;      /* MW that the region's market absorbs in all [MW] */
} rub_study_market;

typedef struct rub_study_budget {
    int32_t fiscal_year;
    double capex_usd;
} rub_study_budget;

typedef struct rub_study_risk {
    double cvar_weight; /* w in (1 - w) * E + w * CVaR */
    double cvar_alpha;  /* tail share, e.g. 0.1: mean of the worst tenth */
} rub_study_risk;

/* Where a figure comes from. Keys not listed are assumed. */
typedef struct rub_study_source {
    char *key;       /* "budget.FY2025", "sites.mount-pleasant" */
    rub_name status; /* public, measured, calibrated, derived, assumed */
    char *text;
    char *date;
    int32_t line;
} rub_study_source;

/* ---- replay of dated information (docs/replay.md) -------------------------------------------- */

/* Something that became known after the study's start, and what it set in the study. */
typedef struct rub_study_information {
    rub_name name;
    int32_t
        from_q;  /* calendar quarter after the one in which it was said: the first that knows it */
    char *known; /* date as written */
    char *text, *source;
    char **set; /* "key = value" (n_set) */
    char **key; /* keys alone, for asking what was told anew (n_set) */
    double *
        factor; /* of 'x1.2' and '+20%', which change what holds by then; 0: set as it is (n_set) */
    int32_t n_set, status; /* rub_study_status_text */
    int32_t line;
} rub_study_information;

#define RUB_DONE_LIST(X)                                                                           \
    X(WAIT, "wait")                                                                                \
    X(SIGN, "sign")                                                                                \
    X(PROCEED, "proceed")                                                                          \
    X(PAUSE, "pause")                                                                              \
    X(RESUME, "resume")                                                                            \
    X(DEFER, "defer")                                                                              \
    X(SUBLET, "sublet")                                                                            \
    X(CANCEL, "cancel")

typedef enum rub_done {
#define X(name, text) RUB_DONE_##name,
    RUB_DONE_LIST(X)
#undef X
        RUB_N_DONE
} rub_done;

const char *rub_done_text(rub_done done);

/* What was reported to have been done; it stands for a site until another row of the site. */
typedef struct rub_study_reported {
    rub_name name;
    int32_t quarter, site; /* calendar quarter; index of the site, or -1 for all */
    int32_t done;          /* rub_done */
    double mw;             /* of the site, blocks rounded up; 0 = all of it */
    char *text, *source;
    int32_t status, line;
} rub_study_reported;

/* What a quarter turned out to be. */
typedef struct rub_study_outcome {
    rub_study_tree_node as; /* loads, partners gone, rights exercised, talks closed */
    char *source;
    int32_t status, line;
} rub_study_outcome;

typedef struct rub_study_replay {
    int32_t until_q; /* last calendar quarter whose decisions are replayed */
    int32_t n_information, n_reported, n_outcome;
    rub_study_information *information; /* known in time, in the order of their dates */
    rub_study_reported *reported;
    rub_study_outcome *outcome; /* quarter after quarter from the study's start */
} rub_study_replay;

/* "public", "measured", "calibrated", "derived", "assumed". */
const char *rub_study_status_text(int32_t status);

typedef struct rub_study_input {
    char *path;    /* a file that was read */
    uint64_t hash; /* FNV-1a 64 of its bytes */
} rub_study_input;

typedef struct rub_study {
    rub_name name;
    char *title, *notes;
    int32_t start_q;   /* calendar quarter of quarter 0 */
    int32_t n_quarter; /* 1..60 */
    double discount_per_year;
    int32_t fiscal_start; /* calendar quarter (1..4) in which the fiscal year begins */
    int32_t
        fiscal_shift; /* 1: FY2025 begins in calendar 2024 (named after its end); 0: same year */
    uint64_t seed;
    int32_t reference_generation; /* unit of training load and rental market */
    double shell_life_years;      /* straight-line life of long-lived assets, for residual values */
    double spent_this_fy_usd;     /* capex already spent in the fiscal year of the start */
    double pipeline_gap;          /* optimality gap aimed at, fraction */

    int32_t n_model, n_workload, n_generation, n_region, n_link, n_demand, n_site, n_partner,
        n_market, n_budget, n_source, n_input;
    rub_study_model *model;
    rub_study_workload *workload;
    rub_study_generation *generation;
    rub_study_region *region;
    rub_study_link *link;
    rub_study_demand *demand;
    rub_study_site *site;
    rub_study_partner *partner;
    rub_study_market *market;
    rub_study_budget *budget;
    rub_study_source *source;
    rub_study_input *input;
    rub_study_process process;
    rub_study_tree tree;
    rub_study_risk risk;
    bool has_replay;          /* the file has a replay section */
    char *replay_study;       /* file that holds the replay instead, beside the study; or NULL */
    rub_study_replay replay;  /* filled by rub_study_read_known alone */
    int32_t n_figure;         /* figures given in the file and its tables */
    int32_t n_figure_sourced; /* of them, covered by an entry of sources that is not "assumed" */
} rub_study;

/* Reads and checks a study and the CSV tables it names. overrides: n strings "key.path=value" as
 * given by --what-if, applied before the checks. Errors: RUB_IO, RUB_PARSE, RUB_INVALID,
 * RUB_NOT_FOUND with file, line, column. Free with rub_study_free. */
rub_status rub_study_read(const char *path, const char *const *overrides, size_t n_override,
                          rub_study **out, rub_error *err);

/* The same from memory; name is used in messages and CSV paths are relative to its folder. */
rub_status rub_study_read_memory(const char *name, const char *bytes, size_t n,
                                 const char *const *overrides, size_t n_override, rub_study **out,
                                 rub_error *err);

void rub_study_free(rub_study *study);

/* ---- findings: everything that is wrong or odd, not only the first -------------------------- */

#define RUB_STUDY_MAX_FINDINGS 20 /* errors kept, and warnings kept */

typedef struct rub_study_findings {
    size_t n_error, n_warning; /* found; of each the first RUB_STUDY_MAX_FINDINGS are kept */
    rub_error error[RUB_STUDY_MAX_FINDINGS];
    rub_error warning[RUB_STUDY_MAX_FINDINGS];
} rub_study_findings;

/* As rub_study_read, and lists all findings (findings may be NULL; filled on failure as well). The
 * status and *err are those of the first error. */
rub_status rub_study_check(const char *path, const char *const *overrides, size_t n_override,
                           rub_study **out, rub_study_findings *findings, rub_error *err);

/* From memory, as the study stood at the start of calendar quarter known_q: with the dated rows of its
 * `replay` section that were known by then, and nothing of later ones. RUB_NEVER: with all rows, what
 * was reported, and the outcome. RUB_INVALID when the study has no replay section. */
rub_status rub_study_read_known(const char *name, const char *bytes, size_t n,
                                const char *const *overrides, size_t n_override, int32_t known_q,
                                rub_study **out, rub_study_findings *findings, rub_error *err);

/* The keys of the study file as Markdown (docs/study.md), from the tables that drive the reader.
 * malloc'ed; NULL when out of memory. */
char *rub_study_keys_markdown(void);

/* The same as JSON: {"sections": [{"path", "about", "keys": [{"key", "value", "required", "default",
 * "allowed", "example", "meaning"}]}]}. */
char *rub_study_keys_json(void);

/* Number of nodes of the study's scenario tree: given in full, or by its branching. */
int64_t rub_study_tree_nodes(const rub_study *study);
int64_t rub_study_tree_leaves(const rub_study *study);

/* "2025-Q3" of a calendar quarter; buf of at least 12; returns buf. "never" for RUB_NEVER. */
char *rub_quarter_text(int32_t q, char *buf, size_t size);

/* Does a key with '*' for any names lead to path, or to something that path lies below? */
bool rub_study_key_covers(const char *key, const char *path);

/* Fiscal year that calendar quarter q falls in. */
int32_t rub_study_fiscal_year(const rub_study *study, int32_t q);

/* ---- random studies ------------------------------------------------------------------------- */

/* Size of a random study. n_leaf: a product of 2, 3, 5 and 7 with at most n_quarter - 1 factors. */
typedef struct rub_study_make_def {
    int32_t n_site, blocks_per_site, n_quarter, n_leaf;
    uint64_t seed;
} rub_study_make_def;

rub_study_make_def rub_study_make_default(void);

/* A random study as YAML with every feature of the planner; the same definition gives the same bytes.
 * *out is malloc'ed. Errors: RUB_INVALID (leaves), RUB_NO_MEMORY. */
rub_status rub_study_make(const rub_study_make_def *def, char **out, rub_error *err);

#endif
