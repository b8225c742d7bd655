/* Fleets: static and looking routers against the number of replicas, features of the wide engine,
 * and loads that are never held. */
#include "bench.h"

#include "rubato/serve.h"

typedef struct scene {
    rub_trace trace;
    rub_perf perf;
    rub_serve_def def;
    rub_serve_disagg disagg;
    rub_serve_times times;
    rub_serve_totals totals;
    rub_trace_make_def load;
    rub_stream_result result;
} scene;

static void check(rub_status status, const rub_error *err) {
    if (status == RUB_OK)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static double run(void *ctx) {
    scene *s = ctx;
    rub_error err = {0};
    check(rub_serve_run(&s->trace, &s->perf, &s->def, NULL, &s->times, &s->totals, &err), &err);
    return (double)s->trace.n_req;
}

static double stream(void *ctx) {
    scene *s = ctx;
    rub_error err = {0};
    rub_serve_targets targets = {0};
    check(rub_serve_stream(&s->load, &s->perf, &s->def, &targets, NULL, &s->result, &err), &err);
    return (double)s->result.n_req;
}

/* Conversations of the Azure trace's lengths, 12.75 a second for each replica: three quarters of
 * the 17 that one of them can work off with these durations. */
static scene *make(size_t n, int32_t n_replica) {
    scene *s = calloc(1, sizeof *s);
    rub_error err = {0};
    s->load = rub_trace_make_default();
    check(rub_trace_preset("azure-conv", &s->load, &err), &err);
    s->load.arrivals = RUB_ARRIVALS_POISSON;
    s->load.modulation = (rub_modulation){0}; /* a steady load: no burst that outruns a replica */
    s->load.n_req = n;
    s->load.rate_per_s = 12.75 * n_replica;
    s->perf = (rub_perf){.kind = RUB_PERF_LINEAR, .linear = {6e-3, 2.2e-5, 8.2e-8, 3.4e-9}};
    s->def = rub_serve_default();
    s->def.kv_blocks = 60000;
    s->def.n_replica = n_replica;
    return s;
}

static scene *make_held(size_t n, int32_t n_replica) {
    scene *s = make(n, n_replica);
    rub_error err = {0};
    check(rub_trace_make(&s->load, &s->trace, &err), &err);
    check(rub_serve_times_init(&s->times, n, &err), &err);
    return s;
}

static void drop(scene *s) {
    rub_trace_clear(&s->trace);
    rub_serve_times_clear(&s->times);
    free(s);
}

static const char *only; /* scenes whose name has this in it; NULL: all */

static int skipped(const char *name) { return only && !strstr(name, only); }

static void tell(const char *name, scene *s, int threads, double (*what)(void *)) {
    if (skipped(name))
        return;
    double best_s, median_s;
    s->def.n_thread = threads;
    bench(name, "requests", threads, what, s, &best_s, &median_s);
    if (what == run)
        printf("  busy %.1f %%, %.1f iterations a request\n",
               100 * s->totals.busy_s / s->totals.end_s / s->def.n_replica,
               (double)s->totals.n_iteration / (double)s->trace.n_req);
}

static void routers(size_t n) {
    static const struct {
        const char *name;
        rub_router router;
        int32_t n_replica;
    } row[] = {{"round-robin, 1000 replicas", RUB_ROUTER_ROUND_ROBIN, 1000},
               {"least-outstanding, 10 replicas", RUB_ROUTER_LEAST_OUTSTANDING, 10},
               {"least-outstanding, 100 replicas", RUB_ROUTER_LEAST_OUTSTANDING, 100},
               {"least-outstanding, 1000 replicas", RUB_ROUTER_LEAST_OUTSTANDING, 1000},
               {"least-outstanding, 10000 replicas", RUB_ROUTER_LEAST_OUTSTANDING, 10000},
               {"power-of-two, 1000 replicas", RUB_ROUTER_POWER_OF_TWO, 1000},
               {"least-kv, 1000 replicas", RUB_ROUTER_LEAST_KV, 1000}};
    for (size_t k = 0; k < sizeof row / sizeof row[0]; k++) {
        if (skipped(row[k].name))
            continue;
        scene *s = make_held(n, row[k].n_replica);
        s->def.router = row[k].router;
        tell(row[k].name, s, 1, run);
        drop(s);
    }
}

/* What each feature costs on one loaded replica, or one prefill and two decode replicas. */
static void features(size_t n) {
    scene *s = make_held(n, 1);
    tell("one replica, plain engine", s, 1, run);
    s->def.engine = RUB_ENGINE_WIDE;
    tell("one replica, wide engine", s, 1, run);
    s->def.long_prefill_tok = 1024;
    tell("one replica, long-prefill threshold", s, 1, run);
    s->def.long_prefill_tok = 0;
    s->def.policy = RUB_POLICY_SARATHI;
    s->def.pp = 4;
    tell("sarathi, 4 pipeline stages", s, 1, run);
    drop(s);
    s = make_held(n, 1);
    rub_trace sessions;
    rub_error err = {0};
    rub_sessions d = rub_sessions_default();
    d.system_tok = 512;
    d.n_tenant = 16;
    check(rub_trace_converse(&s->trace, &d, n, &sessions, &err), &err);
    rub_trace_clear(&s->trace);
    s->trace = sessions;
    s->def.prefix_cache = true;
    tell("prefix cache, system prompts of 512 tokens", s, 1, run);
    drop(s);
    s = make_held(n, 1);
    s->disagg = (rub_serve_disagg){.n_prefill = 1,
                                   .n_decode = 2,
                                   .decode_router = RUB_ROUTER_LEAST_OUTSTANDING,
                                   .kv_bytes_per_tok = 160000,
                                   .link_bytes_per_s = 50e9};
    s->def.disagg = &s->disagg;
    s->def.n_replica = 3;
    tell("disaggregated, 1 prefill and 2 decode", s, 1, run);
    drop(s);
}

/* Cost against requests and replicas, one run each. */
static void streams(size_t most) {
    static const int32_t replicas[] = {1, 10, 100, 1000, 10000};
    for (size_t n = 100000; n <= most; n *= 10)
        for (int k = 0; k < 5; k++) {
            char name[80];
            snprintf(name, sizeof name, "streamed, %.0e requests, %d replicas", (double)n,
                     replicas[k]);
            if (skipped(name))
                continue;
            scene *s = make(n, replicas[k]);
            s->load.arrivals = RUB_ARRIVALS_DIURNAL;
            s->def.n_thread = 1;
            double start = bench_now_s(1), items = stream(s);
            double spent = bench_now_s(1) - start;
            bench_tell(name, "requests", 1, items, spent, spent);
            drop(s);
        }
}

int main(int argc, char **argv) {
    int quick = argc > 1 && !strcmp(argv[1], "--quick");
    only = argc > 1 + quick ? argv[1 + quick] : NULL;
    routers(quick ? 100000 : 1000000);
    if (!only)
        features(quick ? 20000 : 200000);
    streams(quick ? 100000 : 10000000);
    return 0;
}
