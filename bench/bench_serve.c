/* The fast engine: one loaded replica on one core with the linear perf model, by requests and by
 * iterations of the same runs; then a fleet, and memory. --quick: a twentieth of the requests. A name:
 * only conversations that have it in theirs. */
#include "bench.h"

#include "rubato/serve.h"

typedef struct scene {
    rub_trace trace;
    rub_perf perf;
    rub_serve_def def;
    rub_serve_times times;
    rub_serve_totals totals;
} scene;

static double run(void *ctx) {
    scene *s = ctx;
    rub_error err = {0};
    if (rub_serve_run(&s->trace, &s->perf, &s->def, NULL, &s->times, &s->totals, &err) != RUB_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    return (double)s->trace.n_req;
}

static scene *make(size_t n, double rate, rub_lengths input, rub_lengths output) {
    scene *s = calloc(1, sizeof *s);
    rub_trace_make_def def = rub_trace_make_default();
    def.n_req = n;
    def.rate_per_s = rate;
    def.input = input;
    def.output = output;
    s->perf = (rub_perf){.kind = RUB_PERF_LINEAR, .linear = {6e-3, 2.2e-5, 8.2e-8, 3.4e-9}};
    s->def = rub_serve_default();
    s->def.kv_blocks = 60000;
    if (rub_trace_make(&def, &s->trace, NULL) != RUB_OK ||
        rub_serve_times_init(&s->times, n, NULL) != RUB_OK)
        exit(1);
    return s;
}

static void drop(scene *s) {
    rub_trace_clear(&s->trace);
    rub_serve_times_clear(&s->times);
    free(s);
}

static const char *only; /* conversations whose name has this in it; NULL: all scenes */

static void both(const char *name, scene *s) {
    double best_s, median_s, iterations;
    char text[80];
    bench(name, "requests", 1, run, s, &best_s, &median_s);
    iterations = (double)s->totals.n_iteration;
    snprintf(text, sizeof text, "%s: iterations", name);
    bench_tell(text, "iterations", 1, iterations, best_s, median_s);
    printf("  busy %.1f %%, %.1f iterations a request, %.3g tokens decoded, %lld preemptions\n",
           100 * s->totals.busy_s / s->totals.end_s, iterations / (double)s->trace.n_req,
           (double)s->totals.decode_tok, (long long)s->totals.n_restart);
}

/* Azure conversation lengths: at 5.53 requests/s as measured, at 9 near what one replica holds, at
 * 24 in a queue that only grows. */
static void conversations(size_t n, const rub_trace_make_def *conv) {
    static const char *const policy[] = {"vllm", "sarathi", "vllm-v0"};
    static const double rate[] = {5.53, 9, 24};
    for (int p = 0; p < 3; p++)
        for (int r = 0; r < 3; r++) {
            char name[80];
            snprintf(name, sizeof name, "%s conversation %g/s", policy[p], rate[r]);
            if (only && !strstr(name, only))
                continue;
            scene *s = make(n, rate[r], conv->input, conv->output);
            s->def.policy = (rub_policy)p;
            s->def.max_batch_tok = p == 2 ? 16384 : 8192;
            both(name, s);
            drop(s);
        }
}

int main(int argc, char **argv) {
    int quick = argc > 1 && !strcmp(argv[1], "--quick");
    size_t scale = quick ? 20 : 1;
    only = argc > 1 + quick ? argv[1 + quick] : NULL;
    rub_trace_make_def conv = rub_trace_make_default();
    rub_trace_preset("azure-conv", &conv, NULL);
    rub_lengths short_in = {.n = 1, .weight = {1}, .mu = {4.0}, .sigma = {0.3}, .max_tok = 512};
    rub_lengths short_out = {.n = 1, .weight = {1}, .mu = {3.0}, .sigma = {0.3}, .max_tok = 64};
    rub_lengths long_out = {.n = 1, .weight = {1}, .mu = {8.3}, .sigma = {0.3}, .max_tok = 16384};
    double best_s, median_s;
    conversations(1000000 / scale, &conv);
    if (only)
        return 0;
    scene *s = make(2000000 / scale, 400.0, short_in, short_out);
    both("vllm short prompts and answers", s);
    drop(s);
    s = make(20000 / scale, 0.5, conv.input, long_out);
    s->def.kv_blocks = 200000;
    both("vllm long answers", s);
    drop(s);
    s = make(1000000 / scale, 9.0 * 64, conv.input, conv.output);
    s->def.n_replica = 64;
    s->def.n_thread = 4;
    bench("vllm 64 replicas round-robin", "requests", 4, run, s, &best_s, &median_s);
    drop(s);
    s = make(10000000 / scale, 9.0, conv.input, conv.output);
    run(s);
    printf("%.3g requests in memory: trace, times and engine peak at %.0f MB\n",
           (double)s->trace.n_req, bench_peak_mb());
    drop(s);
    return 0;
}
