/* Pools, failures and autoscaler of rubato simulate. */
#include "cli/simulate.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* KV of a token in a replica: a deployment states it by accelerator, what moves is all of it. */
static rub_status kv_bytes(const simulate_settings *s, const simulation *sim, double *out,
                           rub_error *err) {
    *out = s->kv_bytes > 0 ? s->kv_bytes
           : sim->deployed ? sim->memory.kv_bytes_per_tok * sim->deployment.tp
                           : 0.0;
    return *out > 0 ? RUB_OK
                    : rub_error_set(err, RUB_INVALID,
                                    "--kv-bytes is absent, expected the KV of one token in bytes");
}

static rub_status offload(const simulate_settings *s, simulation *sim, rub_error *err) {
    double kv = 0.0;
    if (!(s->offload_gb > 0))
        return RUB_OK;
    RUB_TRY(kv_bytes(s, sim, &kv, err));
    sim->def.offload_blocks =
        (int64_t)fmin(s->offload_gb * 1e9 / (kv * sim->def.block_size_tok), 1e18);
    sim->def.offload_tok_per_s = s->offload_link_gb * 1e9 / kv;
    return RUB_OK;
}

/* "TENANT:RATE:BURST[:reject|delay]" */
static rub_status limit(const char *text, rub_serve_limit *out, rub_error *err) {
    char tenant[16], how[8] = "reject";
    int n = 0;
    bool ok = sscanf(text, "%15[^:]:%lf:%lf%n:%7s%n", tenant, &out->tok_per_s, &out->burst_tok, &n,
                     how, &n) >= 3 &&
              !text[n];
    char *end = tenant;
    bool every = ok && strcmp(tenant, "*") == 0;
    long number = ok && !every ? strtol(tenant, &end, 10) : -1;
    out->tenant = every ? -1 : (int32_t)number;
    out->delays = strcmp(how, "delay") == 0;
    if (!ok || (!every && (*end || end == tenant || number < 0 || number > INT32_MAX)) ||
        (!out->delays && strcmp(how, "reject") != 0))
        return rub_error_set(
            err, RUB_INVALID,
            "--rate-limit: found '%.60s', expected TENANT:RATE:BURST[:reject|delay] "
            "such as 3:2000:60000 or *:1000:30000:delay",
            text);
    return RUB_OK;
}

static rub_status gateway(const simulate_settings *s, simulation *sim, rub_error *err) {
    if (s->limits.n > SIMULATE_MAX_LIMIT)
        return rub_error_set(err, RUB_INVALID, "--rate-limit: found %zu, expected at most %d",
                             s->limits.n, SIMULATE_MAX_LIMIT);
    for (size_t k = 0; k < s->limits.n; k++)
        RUB_TRY(limit(s->limits.values[k], &sim->limit[k], err));
    sim->def.limit = sim->limit;
    sim->def.n_limit = (int32_t)s->limits.n;
    sim->def.batch_reserve_frac = s->batch_reserve;
    return rub_simulation_seconds("batch-deadline", s->batch_deadline, &sim->deadline_s, err);
}

static rub_status pools(const simulate_settings *s, simulation *sim, rub_error *err) {
    double latency_s = 0.0;
    if (s->prefill_replicas == 0 && s->decode_replicas == 0)
        return RUB_OK;
    if (s->prefill_replicas == 0 || s->decode_replicas == 0)
        return rub_error_set(err, RUB_INVALID,
                             "expected both --prefill-replicas and --decode-replicas");
    RUB_TRY(rub_simulation_seconds("link-latency", s->link_latency, &latency_s, err));
    double kv = 0.0;
    RUB_TRY(kv_bytes(s, sim, &kv, err));
    sim->disagg = (rub_serve_disagg){.n_prefill = (int32_t)s->prefill_replicas,
                                     .n_decode = (int32_t)s->decode_replicas,
                                     .decode_router = (rub_router)s->decode_router,
                                     .kv_bytes_per_tok = kv,
                                     .link_bytes_per_s = s->link_gb * 1e9,
                                     .link_latency_s = latency_s};
    sim->def.disagg = &sim->disagg;
    sim->def.n_replica = sim->disagg.n_prefill + sim->disagg.n_decode;
    return RUB_OK;
}

static rub_status failures(const simulate_settings *s, simulation *sim, rub_error *err) {
    if (s->failures.n > RUB_MAX_FAILURE)
        return rub_error_set(err, RUB_INVALID, "--failures: found %zu, expected at most %d",
                             s->failures.n, RUB_MAX_FAILURE);
    for (size_t k = 0; k < s->failures.n; k++) {
        const char *text = s->failures.values[k];
        rub_serve_failure *x = &sim->def.failure[k];
        int n = 0;
        x->shape = 1.0;
        if (sscanf(text, "%d:%lf:%lf%n:%lf%n", &x->n_replica, &x->mtbf_s, &x->repair_s, &n,
                   &x->shape, &n) < 3 ||
            text[n])
            return rub_error_set(
                err, RUB_INVALID,
                "--failures: found '%.60s', expected N:MTBF:REPAIR[:SHAPE] such as "
                "1:3600:120",
                text);
    }
    sim->def.n_failure = (int32_t)s->failures.n;
    return RUB_OK;
}

static rub_status schedule(const char *text, simulation *sim, rub_error *err) {
    rub_serve_scale *c = &sim->def.scale;
    for (const char *p = text; *p && c->n_step < SIMULATE_MAX_STEP;) {
        rub_scale_step *x = &sim->step[c->n_step++];
        int n = 0;
        if (sscanf(p, "%lf:%d%n", &x->from_s, &x->n_replica, &n) != 2 || (p[n] && p[n] != ',') ||
            (c->n_step > 1 && x->from_s <= (x - 1)->from_s))
            return rub_error_set(err, RUB_INVALID,
                                 "--schedule: found '%.60s', expected T:N,... by time such as "
                                 "0:2,3600:8",
                                 text);
        p += n + (p[n] == ',');
    }
    c->step = sim->step;
    return RUB_OK;
}

static rub_status autoscaler(const simulate_settings *s, simulation *sim, rub_error *err) {
    rub_serve_scale *c = &sim->def.scale;
    if (s->scaler == RUB_SCALE_NONE)
        return RUB_OK;
    if ((s->scaler == RUB_SCALE_SCHEDULE) != (s->schedule != NULL))
        return rub_error_set(err, RUB_INVALID,
                             "--schedule goes with --autoscale schedule, expected both or none");
    if (s->scaler != RUB_SCALE_SCHEDULE && !(s->scale_target > 0))
        return rub_error_set(err, RUB_INVALID,
                             "--scale-target is absent, expected what --autoscale aims at");
    *c = (rub_serve_scale){
        .scaler = (rub_scaler)s->scaler,
        .least = (int32_t)s->min_replicas,
        .most = sim->def.n_replica,
        .start = (int32_t)(s->start_replicas < 0 ? s->min_replicas : s->start_replicas),
        .target = s->scale_target,
        .ttft_s = sim->targets.ttft_s,
        .interval_s = s->scale_interval,
        .startup_s = s->startup,
        .hold_s = s->scale_hold};
    return s->schedule ? schedule(s->schedule, sim, err) : RUB_OK;
}

rub_status rub_simulation_define_world(const simulate_settings *s, simulation *sim,
                                       rub_error *err) {
    RUB_TRY(gateway(s, sim, err));
    RUB_TRY(offload(s, sim, err));
    RUB_TRY(pools(s, sim, err));
    RUB_TRY(failures(s, sim, err));
    return autoscaler(s, sim, err);
}
