/* Validate: measured deployments predicted by the simulator, and how far off the predictions are.
 *
 * The table of measurements has one row for each deployment: engine, model, system, precision,
 * layout, mean lengths, a fixed number of requests in flight, and the mean TTFT and TPOT measured
 * (docs/validate.md gives columns and how rows are read). Each row is simulated as a closed loop. */
#ifndef RUBATO_VALIDATE_H
#define RUBATO_VALIDATE_H

#include "rubato/serve.h"

/* One pool of a deployment, as the accelerators stand: tp * dp accelerators in one worker. */
typedef struct rub_silicon_pool {
    int32_t workers;
    int32_t tp, dp, ep; /* as in rub_deployment */
    int32_t noted_tp;   /* tp as the table has it */
} rub_silicon_pool;

/* How the engine was set and driven, which the table does not say: known from the benchmark's public
 * recipes where the row comes from it, else the engine's defaults (docs/validate.md). */
typedef struct rub_silicon_recipe {
    double least_frac;      /* lengths are uniform in [least_frac, 1] of the nominal ones */
    bool steady;            /* measured once clients are out of step, the first requests left out */
    int64_t budget_tok;     /* most tokens in an iteration */
    rub_precision kv_cache; /* AUTO: as the engine and the accelerator have it */
    bool whole_prompts;     /* prompts are not cut to fill the budget */
    int32_t poll_steps;     /* iterations between two looks at new requests; 0: every one */
    int32_t hold_steps;     /* most iterations that a new prompt waits for others; 0: none */
    int32_t hold_tok;       /* ... or until so many tokens wait */
    int32_t balance_steps;  /* most iterations that it waits for one in every group; 0: none */
} rub_silicon_recipe;

/* Speculative decoding of a row (docs/validate.md). */
typedef enum rub_drafts { RUB_DRAFTS_NO, RUB_DRAFTS_YES, RUB_DRAFTS_NOT_TOLD } rub_drafts;

typedef struct rub_silicon_row {
    const char *id, *engine, *model, *system, *precision; /* borrowed from the table */
    const char *quant; /* of the experts, else of the other products; "" = as precision says */
    int32_t line;
    bool disagg;
    bool told; /* disaggregated: the benchmark's configurations have it */
    rub_drafts drafts;
    int32_t draft_tok; /* tokens drafted for each step; 0: none, or not told */
    const char *source;
    rub_silicon_recipe recipe;
    int32_t input_tok, output_tok; /* nominal: the longest (recipe.least_frac) */
    int32_t concurrency;
    rub_silicon_pool pool, prefill;            /* pool: all of it, or decode when disaggregated */
    double ttft_s, tpot_s;                     /* measured means [s] */
    double ttft_predicted_s, tpot_predicted_s; /* NaN: not modelled */
    char reason[96];                           /* why not; "" when modelled */
} rub_silicon_row;

typedef struct rub_silicon {
    size_t n_row;
    rub_silicon_row *row;
    void *memory;
} rub_silicon;

/* Reads the table (.csv, .csv.gz). A row whose layout cannot be made out keeps its reason. Errors:
 * RUB_IO, RUB_PARSE, RUB_INVALID with file, line and column (missing columns, broken numbers). */
rub_status rub_silicon_read(const char *path, rub_silicon *out, rub_error *err);
void rub_silicon_clear(rub_silicon *silicon);

/* Accelerators of the deployment. */
int32_t rub_silicon_accelerators(const rub_silicon_row *row);

/* Output tokens per second and accelerator that follow from TTFT and TPOT with so many requests in
 * flight (Little's law). */
double rub_silicon_throughput(const rub_silicon_row *row, double ttft_s, double tpot_s);

typedef struct rub_validate_def {
    int32_t n_thread;            /* 0: all cores; results do not depend on it */
    int32_t requests_per_client; /* 10, as the benchmark does */
    uint64_t seed;               /* of the lengths */
    /* constants in place of the shipped ones, one for each engine; NULL: shipped */
    const rub_engine_constants *constants;
} rub_validate_def;

rub_validate_def rub_validate_default(void);

/* Predicts every row, in place. What cannot be modelled gets its reason. Errors: RUB_NO_MEMORY,
 * RUB_INTERRUPTED. Cost: about a millisecond a row. */
rub_status rub_silicon_predict(rub_silicon *silicon, const rub_catalog *catalog,
                               const rub_validate_def *def, const rub_progress *progress,
                               rub_error *err);

/* Fits the engines' constants (out: one for each rub_backend) on the aggregated rows, starting at
 * those of def, and predicts every aggregated row with constants fitted without its fold: pairs of
 * model and system are dealt out to n_fold folds. Errors: RUB_NO_MEMORY, RUB_INTERRUPTED. Cost:
 * some fifty predictions of each row. */
rub_status rub_silicon_fit(rub_silicon *silicon, const rub_catalog *catalog,
                           const rub_validate_def *def, int32_t n_fold,
                           const rub_progress *progress, rub_engine_constants *out, rub_error *err);

/* ---- errors -------------------------------------------------------------------------------- */

typedef enum rub_metric {
    RUB_METRIC_TPOT,
    RUB_METRIC_TTFT,
    RUB_METRIC_THROUGHPUT,
    RUB_N_METRIC
} rub_metric;
extern const char *const rub_metric_names[RUB_N_METRIC]; /* "tpot", "ttft", "throughput" */

/* Of one measure over some rows, as shares: |predicted / measured - 1|. NaN when n is 0. */
typedef struct rub_score {
    size_t n;
    double median_ape, mean_ape, p90_ape;
    double bias;             /* median of predicted / measured - 1 */
    double rank_correlation; /* Spearman's */
    double ordered_frac; /* of pairs with the same model and lengths: which is larger, predicted */
} rub_score;

typedef bool (*rub_row_filter)(const rub_silicon_row *row, const void *ctx);

/* Errors over the modelled rows that pass the filter (NULL: all). Errors: RUB_NO_MEMORY. */
rub_status rub_silicon_score(const rub_silicon *silicon, rub_row_filter filter, const void *ctx,
                             rub_score score[RUB_N_METRIC], rub_error *err);

double rub_silicon_measured(const rub_silicon_row *row, rub_metric metric);
double rub_silicon_predicted(const rub_silicon_row *row, rub_metric metric);

#endif
