/* Yields: tokens/s per MW of each workload on each generation, by sizing it there. One number, one
 * path: what the planner uses comes from the serving simulator, unless the study overrides it. */
#include "rubato/plan.h"
#include "rubato/size.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A planned fleet has hundreds of replicas behind routers, which share bursts; as many are simulated
 * as the sizing of fleets looks at. More would help a little: this errs on the safe side. */
#define YIELD_REPLICAS 16

void rub_yields_clear(rub_yields *y) {
    free(y->yield);
    free(y->blended);
    free(y->accel_per_mw);
    free(y->training_yield);
    *y = (rub_yields){0};
}

static rub_status allocate(const rub_study *study, rub_yields *y, rub_error *err) {
    size_t g = (size_t)study->n_generation;
    *y = (rub_yields){.n_workload = study->n_workload,
                      .n_gen = study->n_generation,
                      .yield = RUB_NEW(rub_yield, (size_t)study->n_workload * g),
                      .blended = RUB_NEW(double, g),
                      .accel_per_mw = RUB_NEW(double, g),
                      .training_yield = RUB_NEW(double, g)};
    bool ok = y->yield && y->blended && y->accel_per_mw && y->training_yield;
    return ok ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory for yields");
}

/* Accelerators per MW and training equivalents; a generation may be unknown to the catalog when the
 * study gives all its figures. */
static rub_status describe(const rub_study *study, const rub_catalog *catalog, rub_yields *y,
                           rub_error *err) {
    const rub_accelerator *reference = NULL;
    const char *ref_name = study->generation[study->reference_generation].catalog;
    if (ref_name)
        RUB_TRY(rub_catalog_accelerator(catalog, ref_name, &reference, err));
    for (int32_t g = 0; g < study->n_generation; g++) {
        const rub_study_generation *gen = &study->generation[g];
        const rub_accelerator *accel = NULL;
        if (gen->catalog)
            RUB_TRY(rub_catalog_accelerator(catalog, gen->catalog, &accel, err));
        double kw = gen->kw_per_accel > 0 ? gen->kw_per_accel : accel ? accel->allin_w / 1e3 : 0.0;
        if (!(kw > 0)) /* rub_plan_check says where */
            return rub_error_set(err, RUB_INVALID, "accelerators.%s: its power is not known",
                                 gen->name);
        y->accel_per_mw[g] = 1e3 / kw;
        y->training_yield[g] = gen->training_yield > 0 ? gen->training_yield
                               : accel && reference    ? rub_training_yield(accel, reference)
                                                       : 1.0;
    }
    return RUB_OK;
}

static rub_status trace_of(const rub_study_workload *w, uint64_t seed, rub_trace *out,
                           rub_error *err) {
    if (w->trace_file) {
        rub_trace_read_def read = rub_trace_read_default();
        return rub_trace_read(w->trace_file, &read, out, NULL, err);
    }
    rub_trace_make_def def = rub_trace_make_default();
    RUB_TRY(rub_trace_preset(w->preset[0] ? w->preset : "azure-conv", &def, err));
    def.n_req = 750 * YIELD_REPLICAS;
    def.seed = seed;
    /* A plan's load is the sum of many users, whose waves and silences are not each other's: the
     * bursts within a second stay, the modulation of one hour of one service does not. */
    def.modulation = (rub_modulation){0};
    return rub_trace_make(&def, out, err);
}

/* Why no layout serves: of one that fits in memory if any does, whose targets are then to blame. */
static const char *why_none(const rub_size_result *sized) {
    for (int32_t i = 0; i < sized->n; i++)
        if (sized->candidate[i].fits)
            return sized->candidate[i].reason;
    return sized->n ? sized->candidate[0].reason : "";
}

static void take(const rub_size_result *sized, const rub_study_generation *gen,
                 const rub_accelerator *accel, rub_yield *out) {
    const rub_size_candidate *best = NULL;
    for (int32_t i = 0; i < sized->n; i++) {
        const rub_size_candidate *c = &sized->candidate[i];
        if (c->rate_per_s > 0 && (!best || c->tok_per_s_per_mw > best->tok_per_s_per_mw))
            best = c;
    }
    if (!best) {
        snprintf(out->origin, sizeof out->origin, "cannot serve it: %.130s", why_none(sized));
        return;
    }
    *out = (rub_yield){.tok_per_s_per_mw = best->tok_per_s_per_mw,
                       .usd_per_mtok = best->usd_per_mtok,
                       .rate_per_s = best->rate_per_s,
                       .watts = best->replica_watts,
                       .tp = best->tp,
                       .max_seqs = best->max_seqs};
    if (gen->kw_per_accel > 0) /* the study's own power per accelerator */
        out->tok_per_s_per_mw *= accel->allin_w / 1e3 / gen->kw_per_accel;
    snprintf(out->weights, sizeof out->weights, "%s", best->weights);
    snprintf(out->kv_cache, sizeof out->kv_cache, "%s", best->kv_cache);
    char source[96];
    rub_perf_source_of(&best->deployment, source, sizeof source);
    snprintf(out->origin, sizeof out->origin,
             "simulated: %d x %s, %s, %.3g requests/s a replica of %d within the targets (%.70s)",
             best->tp, accel->name, best->weights, best->rate_per_s, YIELD_REPLICAS, source);
}

static rub_status targets_of(const rub_study_targets *t, rub_size_targets *out, rub_error *err) {
    const struct {
        rub_size_measure measure;
        double quantile, limit_s;
    } all[] = {{RUB_SIZE_TTFT, 0.5, t->ttft_p50_s},  {RUB_SIZE_TTFT, 0.9, t->ttft_p90_s},
               {RUB_SIZE_TTFT, 0.99, t->ttft_p99_s}, {RUB_SIZE_TPOT, 0.5, t->tpot_p50_s},
               {RUB_SIZE_TPOT, 0.9, t->tpot_p90_s},  {RUB_SIZE_TPOT, 0.99, t->tpot_p99_s},
               {RUB_SIZE_E2E, 0.99, t->e2e_p99_s}};
    for (size_t i = 0; i < RUB_LEN(all); i++)
        RUB_TRY(rub_size_target_add(out, all[i].measure, all[i].quantile, all[i].limit_s, err));
    return RUB_OK;
}

static rub_status size_pair(const rub_study *study, const rub_catalog *catalog,
                            const rub_trace *trace, int32_t w, int32_t g, int32_t n_thread,
                            rub_yield *out, rub_error *err) {
    const rub_study_workload *load = &study->workload[w];
    const rub_study_model *named = &study->model[load->model];
    const rub_study_generation *gen = &study->generation[g];
    const rub_accelerator *accel = NULL;
    rub_model *model = malloc(sizeof *model);
    rub_size_result sized = {0};
    rub_size_def def = rub_size_default();
    rub_status status = model ? rub_catalog_model_find(catalog, named->catalog, model, err)
                              : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    if (status == RUB_OK)
        status = rub_catalog_accelerator(catalog, gen->catalog, &accel, err);
    if (status == RUB_OK)
        status = targets_of(&load->targets, &def.targets, err);
    def.objective = RUB_SIZE_POWER;
    def.rate_replicas = YIELD_REPLICAS;
    def.accel = &accel;
    def.n_accel = 1;
    def.weights = named->weights[0] ? named->weights : NULL;
    def.kv_cache = named->kv_cache[0] ? named->kv_cache : NULL;
    def.n_thread = n_thread;
    if (status == RUB_OK)
        status = rub_size_rates(model, trace, &def, NULL, &sized, err);
    if (status == RUB_OK)
        take(&sized, gen, accel, out);
    rub_size_result_clear(&sized);
    free(model);
    return status;
}

/* MW per token/s add up over the mix: the blend is a harmonic mean by share. */
static void blend(const rub_study *study, rub_yields *y) {
    for (int32_t g = 0; g < y->n_gen; g++) {
        double mw = 0.0, share = 0.0;
        for (int32_t w = 0; w < y->n_workload; w++) {
            double part = study->workload[w].share_frac;
            double yield = y->yield[(size_t)w * (size_t)y->n_gen + (size_t)g].tok_per_s_per_mw;
            mw += part > 0 ? part / yield : 0.0;
            share += part;
        }
        y->blended[g] = share > 0 && isfinite(mw) && mw > 0 ? share / mw : 0.0;
        if (study->generation[g].tokens_per_s_per_mw > 0)
            y->blended[g] = study->generation[g].tokens_per_s_per_mw;
    }
}

static rub_status size_all(const rub_study *study, const rub_catalog *catalog, int32_t n_thread,
                           const rub_progress *progress, rub_yields *y, rub_error *err) {
    rub_status status = RUB_OK;
    for (int32_t w = 0; w < y->n_workload && status == RUB_OK; w++) {
        rub_trace trace = {0};
        status = trace_of(&study->workload[w], study->seed, &trace, err);
        for (int32_t g = 0; g < y->n_gen && status == RUB_OK; g++) {
            rub_yield *out = &y->yield[(size_t)w * (size_t)y->n_gen + (size_t)g];
            double given = study->generation[g].tokens_per_s_per_mw;
            if (given > 0) {
                out->tok_per_s_per_mw = given;
                snprintf(out->origin, sizeof out->origin, "given in the study");
            } else if (!study->generation[g].catalog)
                snprintf(out->origin, sizeof out->origin, "no catalog entry to simulate");
            else
                status = size_pair(study, catalog, &trace, w, g, n_thread, out, err);
            if (status == RUB_OK &&
                !rub_progress_report(progress, "sizing workloads", w * y->n_gen + g + 1,
                                     (double)y->n_workload * y->n_gen, NULL))
                status = rub_error_set(err, RUB_INTERRUPTED, "stopped while sizing");
        }
        rub_trace_clear(&trace);
    }
    return status;
}

/* Inference load that the reference cannot serve has no MW, and one that nothing serves no plan. */
static rub_status check_served(const rub_study *study, const rub_yields *y, rub_error *err) {
    bool inference = false;
    for (int32_t d = 0; d < study->n_demand; d++)
        inference = inference || study->demand[d].load_class == RUB_INFERENCE;
    int32_t g = study->reference_generation;
    if (!inference || y->blended[g] > 0)
        return RUB_OK;
    for (int32_t w = 0; w < y->n_workload; w++) {
        const rub_yield *yield = &y->yield[(size_t)w * (size_t)y->n_gen + (size_t)g];
        if (!(yield->tok_per_s_per_mw > 0))
            return rub_error_set(err, RUB_INVALID,
                                 "workloads.%s on the reference accelerators.%s: %s; expected "
                                 "targets that it can hold, or another study.reference",
                                 study->workload[w].name, study->generation[g].name, yield->origin);
    }
    return rub_error_set(err, RUB_INVALID,
                         "the study has inference demand but neither workloads nor "
                         "'tokens_per_s_per_mw' of accelerators.%s, expected one of them",
                         study->generation[g].name);
}

rub_status rub_yields_make(const rub_study *study, int32_t n_thread, const rub_progress *progress,
                           rub_yields *out, rub_error *err) {
    rub_catalog *catalog = NULL;
    rub_yields y = {0};
    rub_status status = allocate(study, &y, err);
    if (status == RUB_OK)
        status = rub_catalog_load(&catalog, err);
    if (status == RUB_OK)
        status = describe(study, catalog, &y, err);
    if (status == RUB_OK)
        status = size_all(study, catalog, n_thread, progress, &y, err);
    if (status == RUB_OK)
        blend(study, &y);
    if (status == RUB_OK)
        status = check_served(study, &y, err);
    rub_catalog_free(catalog);
    if (status != RUB_OK) {
        rub_yields_clear(&y);
        return status;
    }
    *out = y;
    return RUB_OK;
}
