/* What rubato simulate prints of pools, failures and the autoscaler. */
#include "cli/simulate.h"

static double share(double part, double whole) { return whole > 0 ? part / whole : 0.0; }

double rub_simulation_replicas(const simulation *sim) {
    const rub_serve_totals *t = &sim->totals;
    return t->up_s > 0 && t->end_s > 0 ? t->up_s / t->end_s : sim->def.n_replica;
}

static void add_classes(const simulation *sim, json_t *d) {
    const rub_measures *i = &sim->classes.interactive, *b = &sim->classes.batch;
    if (sim->trace.priority && b->n_req > 0)
        json_object_set_new(d, "classes",
                            json_pack("{s:I,s:I,s:I,s:I,s:I,s:f}", "interactive",
                                      (json_int_t)i->n_req, "interactive_good",
                                      (json_int_t)i->n_good, "batch", (json_int_t)b->n_req,
                                      "batch_finished", (json_int_t)b->n_finished, "batch_in_time",
                                      (json_int_t)b->n_good, "batch_deadline_s", sim->deadline_s));
    if (sim->def.n_limit > 0)
        json_object_set_new(d, "rate_limits",
                            json_pack("{s:I,s:I}", "rejected", (json_int_t)sim->totals.n_limited,
                                      "delayed", (json_int_t)sim->totals.n_delayed));
}

static void print_classes(const simulation *sim) {
    const rub_measures *i = &sim->classes.interactive, *b = &sim->classes.batch;
    if (sim->def.n_limit > 0)
        printf("rate limits: %lld requests rejected, %lld delayed\n",
               (long long)sim->totals.n_limited, (long long)sim->totals.n_delayed);
    if (!sim->trace.priority || b->n_req == 0)
        return;
    if (i->n_req == 0)
        printf("interactive: no requests\n");
    else
        printf("interactive: %zu requests, TTFT p50 %.4g ms, p99 %.4g ms, %.1f %% within targets\n",
               i->n_req, 1e3 * i->ttft.p50, 1e3 * i->ttft.p99,
               100 * share((double)i->n_good, (double)i->n_req));
    printf("batch: %zu requests, E2E p50 %.4g s, p99 %.4g s, %.1f %% ", b->n_req, b->e2e.p50,
           b->e2e.p99, 100 * share((double)b->n_good, (double)b->n_req));
    if (sim->deadline_s > 0)
        printf("within %.4g s\n", sim->deadline_s);
    else
        printf("finished\n");
}

void rub_simulation_add_world(const simulation *sim, json_t *d) {
    const rub_serve_totals *t = &sim->totals;
    const rub_serve_disagg *x = sim->def.disagg;
    add_classes(sim, d);
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
    print_classes(sim);
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
