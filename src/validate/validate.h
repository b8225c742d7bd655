/* Inside of validate: rows to deployments. */
#ifndef RUB_VALIDATE_INTERNAL_H
#define RUB_VALIDATE_INTERNAL_H

#include "rubato/validate.h"

/* What to simulate: a replica and how it is driven. */
typedef struct rub_silicon_job {
    rub_deployment deployment;
    rub_serve_def serve;
    double request_s;  /* to the first token, outside iterations */
    double wait_steps; /* the same, in iterations */
} rub_silicon_job;

/* One pool of the row as a job. Errors (their message is the reason): unknown model or system,
 * layout that the model does not cover, does not fit. */
rub_status rub_silicon_deploy(const rub_silicon_row *row, const rub_silicon_pool *pool,
                              const rub_catalog *catalog, const rub_validate_def *def,
                              rub_silicon_job *out, rub_error *err);

/* Settings of the row's engine, from its names, layout, lengths and notes (recipes.c). */
rub_silicon_recipe rub_silicon_recipe_of(const rub_silicon_row *row, const char *source);
bool rub_silicon_same_recipe(const rub_silicon_recipe *a, const rub_silicon_recipe *b);

/* Mean length of requests as a share of the nominal one. */
static inline double rub_silicon_mean_frac(const rub_silicon_row *row) {
    return 0.5 * (row->recipe.least_frac + 1.0);
}

/* Whether the benchmark's version and notes of the row are those of its runs with speculative
 * decoding, which the table has no column for (recipes.c). */
bool rub_silicon_speculates(const rub_silicon_row *row, const char *version);

/* The benchmark's disaggregated configurations (pools.c). */
typedef struct rub_silicon_pools {
    struct rub_csv_table *table;
} rub_silicon_pools;
rub_status rub_silicon_pools_read(rub_silicon_pools *out, rub_error *err);
void rub_silicon_pools_clear(rub_silicon_pools *pools);
/* Workers, layout and drafts of a disaggregated row. drafts: -1, or only with (1) or without (0). */
void rub_silicon_pools_apply(const rub_silicon_pools *pools, rub_silicon_row *row, int32_t drafts);
/* Whether they drafted, from other rows of the same configuration. */
void rub_silicon_pools_settle(const rub_silicon_pools *pools, rub_silicon *silicon);

/* Each drafted token is right with this probability when those before it are: the one constant of
 * speculation, chosen on the rows with drafts (docs/validate.md). DeepSeek-V3's report (arXiv
 * 2412.19437, 5.4.3) has 0.85 to 0.9 for the first. */
#define RUB_DRAFT_ACCEPTANCE 0.7

/* Tokens that a step of speculative decoding gives in the mean. */
double rub_silicon_tokens_per_step(int32_t draft_tok);

/* For each row the first one that is predicted alike: the same deployment, lengths and clients,
 * measured again. twin: (n_row). */
void rub_silicon_twins(const rub_silicon *silicon, int32_t *twin);
void rub_silicon_copy_prediction(rub_silicon_row *to, const rub_silicon_row *from);

/* Compiled durations of the rows' layouts (and, with folds, of each fold's constants). */
typedef struct rub_silicon_entry {
    const rub_silicon_row *row; /* one that has it; borrowed */
    const rub_silicon_pool *pool;
    int32_t fold;
    rub_perf perf; /* without tables: cannot be deployed */
} rub_silicon_entry;

typedef struct rub_silicon_cache {
    int32_t n;
    rub_silicon_entry *entry;
    int32_t *pool, *prefill; /* entry of each row's pools (n_row); -1: a twin has it, or left out */
} rub_silicon_cache;

/* fold: NULL or of each row. Errors: RUB_NO_MEMORY. */
rub_status rub_silicon_cache_init(rub_silicon_cache *cache, const rub_silicon *silicon,
                                  const int32_t *twin, const int32_t *fold, bool disagg);
void rub_silicon_cache_clear(rub_silicon_cache *cache);

/* (Again) with def's constants, or with constants[fold]. */
void rub_silicon_cache_compile(rub_silicon_cache *cache, const rub_catalog *catalog,
                               const rub_validate_def *def,
                               const rub_engine_constants (*constants)[RUB_BACKEND_TRTLLM + 1]);

/* Drives a replica (or several) by a closed loop of the row's clients and lengths; fills the row's
 * predicted means. */
rub_status rub_silicon_simulate(const rub_silicon_job *job, const rub_perf *perf,
                                const rub_validate_def *def, rub_silicon_row *row, rub_error *err);

/* A disaggregated row with the durations of its pools. */
rub_status rub_silicon_disagg(rub_silicon_row *row, const rub_perf *prefill, const rub_perf *decode,
                              const rub_catalog *catalog, const rub_validate_def *def,
                              rub_error *err);

/* Constants of one engine that are fitted: all of rub_engine_constants. */
#define RUB_N_ENGINE_PARAM 12

/* Predicts row i in place; its reason when it cannot be. Errors: only RUB_NO_MEMORY. */
rub_status rub_silicon_predict_row(rub_silicon *silicon, size_t i, const rub_silicon_cache *cache,
                                   const rub_catalog *catalog, const rub_validate_def *def);

#endif
