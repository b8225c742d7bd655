/* What rubato simulate works on, shared by its files: settings, the simulation, its output. */
#ifndef RUB_CLI_SIMULATE_H
#define RUB_CLI_SIMULATE_H

#include "cli/command.h"
#include "rubato/catalog.h"
#include "rubato/serve.h"

#define SIMULATE_MAX_GROUP 16
#define SIMULATE_MAX_STEP 64
#define SIMULATE_MAX_LIMIT 64

extern const rub_option rub_simulate_options[];
extern const char *const rub_policy_names[];
extern const char *const rub_order_names[];
extern const char *const rub_reserve_names[];
extern const char *const rub_async_names[];
extern const char *const rub_rank_router_names[];
extern const char *const rub_router_names[];
extern const char *const rub_engine_names[];
extern const char *const rub_scaler_names[];
void rub_simulate_defaults(void *settings);

typedef struct simulate_settings {
    const char *trace, *columns, *model, *accelerator, *weights, *kv_dtype, *perf, *ttft, *tpot,
        *e2e, *requests;
    int async, rank_router;
    int64_t attention_dp, ep;
    double offload_gb, offload_link_gb, batch_reserve;
    const char *batch_deadline;
    rub_option_values limits;
    double host_s;
    int policy, router, engine, order, reserve, decode_router, scaler;
    rub_option_values groups, failures;
    const char *link_latency, *schedule, *preset, *timeline, *events, *window;
    double timeline_step;
    int64_t stream, spec_draft, max_loras;
    double spec_accept, spec_draft_s;
    double rate, diurnal;
    int64_t prefill_replicas, decode_replicas, min_replicas, start_replicas;
    double kv_bytes, link_gb, scale_target, scale_interval, startup, scale_hold;
    int64_t tp, max_concurrency, num_prompts, input_len, output_len, max_seqs, chunk,
        max_batch_tokens, kv_blocks, block_size, replicas, threads, seed, long_prefill, max_partial,
        max_long_partial, pp;
    double range_ratio, think_s, time_scale, memory_utilization, watermark, warmup, predict_error,
        affinity_slack;
    bool skip_bad, json, whole_prefill, prefix_cache;
} simulate_settings;

typedef struct simulation {
    rub_trace trace;
    rub_trace_report report;
    rub_perf perf;
    rub_serve_def def;
    rub_serve_targets targets;
    rub_serve_times times;
    rub_serve_totals totals;
    rub_measures measures;
    rub_class_measures classes; /* with priorities */
    double deadline_s;          /* of batch; 0: none */
    rub_serve_limit limit[SIMULATE_MAX_LIMIT];
    rub_hits *hits; /* of each tenant, with the prefix cache (n_hits) */
    int32_t n_hits;
    rub_serve_disagg disagg;
    rub_scale_step step[SIMULATE_MAX_STEP];
    rub_serve_group group[SIMULATE_MAX_GROUP];
    rub_perf group_perf[SIMULATE_MAX_GROUP];
    /* with a model: */
    bool deployed;
    rub_catalog *catalog;
    rub_model *model;
    const rub_accelerator *accel;
    rub_deployment deployment;
    rub_memory memory;
    rub_calibration *calibration; /* of --perf table:FOLDER or calibrated:FILE */
    char perf_source[200];        /* where the durations come from */
} simulation;

/* "0.25", "250ms", "2 s" -> seconds; NULL leaves *out alone. */
rub_status rub_simulation_seconds(const char *option, const char *text, double *out,
                                  rub_error *err);

/* Settings to sim->def and sim->perf; targets are known. Errors: what does not go together. */
rub_status rub_simulation_define(const simulate_settings *s, simulation *sim, rub_error *err);

/* Pools, failures, autoscaler (simulate_world.c); after rub_simulation_define. */
rub_status rub_simulation_define_world(const simulate_settings *s, simulation *sim, rub_error *err);

/* Model and accelerator to durations and KV blocks. Errors: unknown names, does not fit. */
rub_status rub_simulation_deploy(const simulate_settings *s, simulation *sim, rub_error *err);
void rub_simulation_undeploy(simulation *sim);

/* Mean number of replicas that were there (autoscaled or not), and what else belongs to worlds. */
double rub_simulation_replicas(const simulation *sim);
void rub_simulation_add_world(const simulation *sim, json_t *document);
void rub_simulation_print_world(const simulation *sim);

/* Runs and prints a load that is never held; returns the exit status. sim is defined. */
int rub_simulation_stream(const simulate_settings *s, simulation *sim);

rub_status rub_simulation_write_requests(const simulation *sim, const char *path, rub_error *err);
/* --timeline, --chrome-trace. */
rub_status rub_simulation_write_timeline(const simulate_settings *s, const simulation *sim,
                                         rub_error *err);
rub_status rub_simulation_write_events(const simulate_settings *s, const simulation *sim,
                                       rub_error *err);
int rub_simulation_print_json(const simulate_settings *s, const simulation *sim);
void rub_simulation_print_text(const simulate_settings *s, const simulation *sim);

#endif
