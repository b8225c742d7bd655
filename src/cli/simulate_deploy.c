/* Model and accelerator of rubato simulate: names to a deployment, durations and KV blocks. */
#include "cli/simulate.h"

#include <stdlib.h>
#include <string.h>

static rub_status precisions(const simulate_settings *s, rub_deployment *d, rub_error *err) {
    if (s->weights) {
        rub_status status = rub_precision_parse(s->weights, &d->weights, err);
        if (status != RUB_OK)
            return status;
    }
    return s->kv_dtype ? rub_precision_parse(s->kv_dtype, &d->kv_cache, err) : RUB_OK;
}

/* --perf beside a model: where the operators' times come from. */
static rub_status operators(const char *perf, simulation *sim, rub_deployment *d, rub_error *err) {
    if (!perf || strcmp(perf, "calibrated") == 0)
        return RUB_OK;
    rub_status status = RUB_OK;
    if (strcmp(perf, "roofline") == 0)
        d->level = RUB_LEVEL_ROOFLINE;
    else if (strncmp(perf, "table:", 6) == 0)
        status = rub_calibration_from_tables(perf + 6, sim->accel, &sim->calibration, err);
    else if (strncmp(perf, "calibrated:", 11) == 0)
        status = rub_calibration_read(perf + 11, &sim->calibration, err);
    else
        return rub_error_set(
            err, RUB_INVALID,
            "--perf: found '%.80s', expected calibrated, calibrated:FILE, roofline "
            "or table:FOLDER beside --model",
            perf);
    d->calibration = sim->calibration;
    return status;
}

static rub_status place(const simulate_settings *s, simulation *sim, rub_error *err) {
    rub_deployment d = rub_deployment_default(sim->model, sim->accel);
    d.tp = (int32_t)s->tp;
    d.attention_dp = (int32_t)s->attention_dp;
    d.ep = s->ep > 0 ? (int32_t)s->ep : 1;
    d.block_size_tok = (int32_t)s->block_size;
    d.max_batch_tok = s->policy == RUB_POLICY_SARATHI ? s->chunk : sim->def.max_batch_tok;
    d.max_seqs = (int32_t)s->max_seqs;
    if (s->memory_utilization > 0)
        d.gpu_memory_utilization = s->memory_utilization;
    rub_status status = operators(s->perf, sim, &d, err);
    if (status == RUB_OK)
        status = precisions(s, &d, err);
    if (status == RUB_OK)
        status = rub_deployment_resolve(&d, &sim->deployment, err);
    if (status == RUB_OK)
        status = rub_memory_plan(&sim->deployment, &sim->memory, err);
    if (status != RUB_OK)
        return status;
    if (!sim->memory.fits)
        return rub_error_set(err, RUB_INVALID, "%s", sim->memory.text);
    if (sim->def.kv_blocks == 0)
        sim->def.kv_blocks = sim->memory.kv_blocks;
    rub_perf_source_of(&sim->deployment, sim->perf_source, sizeof sim->perf_source);
    return rub_perf_compile(&sim->deployment, &sim->perf, err);
}

rub_status rub_simulation_deploy(const simulate_settings *s, simulation *sim, rub_error *err) {
    if (!s->accelerator)
        return rub_error_set(err, RUB_INVALID,
                             "--accelerator is absent, expected one of 'rubato catalog'");
    rub_status status = rub_catalog_load(&sim->catalog, err);
    sim->model = calloc(1, sizeof *sim->model);
    if (status == RUB_OK && !sim->model)
        status = rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    if (status == RUB_OK)
        status = rub_catalog_model_find(sim->catalog, s->model, sim->model, err);
    if (status == RUB_OK)
        status = rub_catalog_accelerator(sim->catalog, s->accelerator, &sim->accel, err);
    if (status == RUB_OK)
        status = place(s, sim, err);
    sim->deployed = status == RUB_OK;
    return status;
}

void rub_simulation_undeploy(simulation *sim) {
    if (sim->deployed)
        rub_perf_clear(&sim->perf);
    rub_calibration_free(sim->calibration);
    free(sim->model);
    rub_catalog_free(sim->catalog);
}
