/* What rubato simulate prints of pools, failures and the autoscaler. */
#include "cli/simulate.h"

static double share(double part, double whole) { return whole > 0 ? part / whole : 0.0; }

double rub_simulation_replicas(const simulation *sim) {
    const rub_serve_totals *t = &sim->totals;
    return t->up_s > 0 && t->end_s > 0 ? t->up_s / t->end_s : sim->def.n_replica;
}

void rub_simulation_add_world(const simulation *sim, json_t *d) {
    const rub_serve_totals *t = &sim->totals;
    const rub_serve_disagg *x = sim->def.disagg;
    if (x)
        json_object_set_new(
            d, "pools",
            json_pack("{s:i,s:i,s:f,s:f,s:f,s:f}", "prefill_replicas", x->n_prefill,
                      "decode_replicas", x->n_decode, "prefill_utilisation",
                      share(t->prefill_busy_s, t->end_s * x->n_prefill), "decode_utilisation",
                      share(t->busy_s - t->prefill_busy_s, t->end_s * x->n_decode),
                      "link_utilisation", share(t->link_busy_s, t->end_s * x->n_prefill),
                      "transfer_bytes", t->transfer_bytes));
    if (sim->def.attention_dp > 1)
        json_object_set_new(d, "attention_dp",
                            json_pack("{s:i,s:f}", "ranks", sim->def.attention_dp, "waiting_share",
                                      share(t->lockstep_s, t->busy_s)));
    if (sim->def.n_failure > 0)
        json_object_set_new(d, "failures",
                            json_pack("{s:I,s:I,s:f}", "failures", (json_int_t)t->n_failure,
                                      "retries", (json_int_t)t->n_retry, "available",
                                      1.0 - share(t->down_s, t->up_s)));
    if (sim->def.scale.scaler != RUB_SCALE_NONE)
        json_object_set_new(d, "autoscaler",
                            json_pack("{s:s,s:I,s:I,s:f,s:f}", "by",
                                      rub_scaler_names[sim->def.scale.scaler], "starts",
                                      (json_int_t)t->n_start, "stops", (json_int_t)t->n_stop,
                                      "replica_hours", t->up_s / 3600, "mean_replicas",
                                      rub_simulation_replicas(sim)));
}

void rub_simulation_print_world(const simulation *sim) {
    const rub_serve_totals *t = &sim->totals;
    const rub_serve_disagg *x = sim->def.disagg;
    if (x)
        printf(
            "pools: %d prefill busy %.1f %%, %d decode busy %.1f %%; links busy %.1f %%, %.3g GB "
            "of KV\n",
            x->n_prefill, 100 * share(t->prefill_busy_s, t->end_s * x->n_prefill), x->n_decode,
            100 * share(t->busy_s - t->prefill_busy_s, t->end_s * x->n_decode),
            100 * share(t->link_busy_s, t->end_s * x->n_prefill), t->transfer_bytes / 1e9);
    if (sim->def.attention_dp > 1)
        printf(
            "attention-DP: %d ranks a replica wait %.1f %% of the iterations' time for the slowest "
            "one\n",
            sim->def.attention_dp, 100 * share(t->lockstep_s, t->busy_s));
    if (sim->def.n_failure > 0)
        printf("failures: %lld of replicas, %lld requests went elsewhere; replicas available "
               "%.2f %% of the time\n",
               (long long)t->n_failure, (long long)t->n_retry,
               100 * (1.0 - share(t->down_s, t->up_s)));
    if (sim->def.scale.scaler != RUB_SCALE_NONE)
        printf("autoscaler (%s): %.2f replicas on average, %.4g replica-hours; %lld starts, %lld "
               "stops\n",
               rub_scaler_names[sim->def.scale.scaler], rub_simulation_replicas(sim),
               t->up_s / 3600, (long long)t->n_start, (long long)t->n_stop);
}
