/* What rubato simulate works on, shared by its files: settings, the simulation, its output. */
#ifndef RUB_CLI_SIMULATE_H
#define RUB_CLI_SIMULATE_H

#include "cli/command.h"
#include "rubato/catalog.h"
#include "rubato/serve.h"

typedef struct simulate_settings {
    const char *trace, *columns, *model, *accelerator, *weights, *kv_dtype, *perf, *ttft, *tpot,
        *e2e, *requests;
    int policy, router, engine;
    int64_t tp, max_concurrency, num_prompts, input_len, output_len, max_seqs, chunk,
        max_batch_tokens, kv_blocks, block_size, replicas, threads, seed;
    double range_ratio, think_s, time_scale, memory_utilization, watermark, warmup;
    bool skip_bad, json;
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
    /* with a model: */
    bool deployed;
    rub_catalog *catalog;
    rub_model *model;
    const rub_accelerator *accel;
    rub_deployment deployment;
    rub_memory memory;
} simulation;

/* Model and accelerator to durations and KV blocks. Errors: unknown names, does not fit. */
rub_status rub_simulation_deploy(const simulate_settings *s, simulation *sim, rub_error *err);
void rub_simulation_undeploy(simulation *sim);

rub_status rub_simulation_write_requests(const simulation *sim, const char *path, rub_error *err);
int rub_simulation_print_json(const simulate_settings *s, const simulation *sim);
void rub_simulation_print_text(const simulate_settings *s, const simulation *sim);

#endif
