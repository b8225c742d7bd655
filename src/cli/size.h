/* What the files of `rubato size` share. */
#ifndef RUB_CLI_SIZE_H
#define RUB_CLI_SIZE_H

#include "cli/command.h"
#include "rubato/size.h"

#define SIZE_N_VARIANT 11

typedef struct size_settings {
    const char *trace, *columns, *model, *weights, *kv_dtype;
    rub_option_values accelerators, targets, stock, price;
    const char *target[7];
    const char *tp, *pp, *ep, *attention_dp, *budget, *seqs;
    const char *profile;
    double on_demand_usd, spot_usd, spot_share, startup_s, carbon_g, pue;
    const char *goodput, *launch, *model_path, *svg;
    int objective, router, policy, price_kind;
    double rate, time_scale, headroom;
    int64_t spare, chunk, requests, show, threads, draws;
    double level, model_error, price_error; /* percent; < 0: what is known */
    bool whole_nodes, exhaustive, answers, sure, json;
} size_settings;

typedef struct size_work {
    rub_catalog *catalog;
    rub_model model;
    rub_trace trace;
    rub_trace_report report;
    const rub_accelerator **accel;
    int32_t *stock;
    double *usd_per_h;
    bool *priced; /* by --price (n_accel) */
    rub_size_def def;
    rub_size_result result;
    rub_size_variant variant[SIZE_N_VARIANT]; /* with --answers */
    char *launch;                             /* with --launch */
    rub_size_spread speed, price;             /* how sure, when n_draw > 0 */
    rub_size_sure_def sure_def;
    rub_size_sure sure;
    double *hour_rate; /* with --profile (n_hour) */
    rub_size_hour *hour;
    size_t n_hour;
    struct size_day *day;
} size_work;

/* The search under other conditions, into variant; printed after the fleets. */
rub_status size_answers(size_work *work, const rub_progress *progress, rub_error *err);
void size_print_answers(const size_work *work);
json_t *size_answers_json(const size_work *work);

/* How sure the best fleet is; printed after it. */
rub_status size_sure(const size_settings *settings, size_work *work, const rub_progress *progress,
                     rub_error *err);
void size_print_sure(const size_work *work);
json_t *size_sure_json(const size_work *work);

/* The best deployment by the hour of --profile: replicas, what to reserve, energy, carbon. */
rub_status size_hours(const size_settings *settings, size_work *work, const rub_progress *progress,
                      rub_error *err);
void size_print_hours(const size_settings *settings, const size_work *work);
json_t *size_hours_json(const size_settings *settings, const size_work *work);
void size_clear_hours(size_work *work);

/* The leaders' cost against latency as a picture. */
rub_status size_write_svg(const size_work *work, const char *path, rub_error *err);

/* Both return the exit status. */
int size_print_json(const size_settings *settings, const size_work *work);
int size_print_text(const size_settings *settings, const size_work *work);

/* Every accelerator of the catalog: price, source, best fleet or why there is none. */
void size_print_estate(const size_settings *settings, const size_work *work);
json_t *size_estate_json(const size_settings *settings, const size_work *work);

/* --price-kind; NULL: the catalog's own choice. */
const char *size_price_kind(const size_settings *settings);
const rub_price *size_price_of(const rub_accelerator *accel, const char *kind);

const char *size_fate_text(rub_size_fate fate);

/* "2 x 4 H100-SXM": replicas, accelerators of one, name. */
char *size_fleet_text(const rub_size_candidate *c, char *buf, size_t size);

static inline int32_t size_gpus(const rub_size_candidate *c) {
    return c->tp * c->pp * c->attention_dp;
}

#endif
