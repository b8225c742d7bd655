/* rubato simulate: a trace on a fleet. */
#include "cli/commands.h"
#include "cli/simulate.h"

#include "base/array.h"
#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const policies[] = {"vllm", "sarathi", "vllm-v0", NULL};
static const char *const routers[] = {"round-robin", "least-waiting", "least-outstanding", "random",
                                      NULL};
static const char *const engines[] = {"fast", "naive", NULL};

static void defaults(void *settings) {
    rub_serve_def d = rub_serve_default();
    *(simulate_settings *)settings = (simulate_settings){.policy = (int)d.policy,
                                                         .router = (int)d.router,
                                                         .replicas = 1,
                                                         .max_seqs = d.max_seqs,
                                                         .chunk = d.chunk_tok,
                                                         .max_batch_tokens = 0,
                                                         .kv_blocks = 0,
                                                         .block_size = d.block_size_tok,
                                                         .watermark = d.watermark_frac,
                                                         .range_ratio = 1.0,
                                                         .time_scale = 1.0,
                                                         .tp = 1,
                                                         .memory_utilization = 0.0,
                                                         .threads = 0,
                                                         .seed = 1};
}

/* "linear:a,b,c,d" */
static rub_status parse_perf(const char *text, rub_perf *out, rub_error *err) {
    rub_perf_linear l;
    int n = 0;
    if (sscanf(text, "linear:%lf,%lf,%lf,%lf%n", &l.a_s, &l.b_s, &l.c_s, &l.d_s, &n) != 4 ||
        text[n])
        return rub_error_set(
            err, RUB_INVALID,
            "--perf: found '%.80s', expected linear:A,B,C,D (seconds, s/token, s/token, s/token^2)",
            text);
    if (!(l.a_s >= 0 && l.b_s >= 0 && l.c_s >= 0 && l.d_s >= 0 && l.a_s + l.b_s > 0) ||
        !isfinite(l.a_s + l.b_s + l.c_s + l.d_s))
        return rub_error_set(
            err, RUB_INVALID,
            "--perf: found '%.80s', expected coefficients of 0 or more, A + B above 0", text);
    *out = (rub_perf){.kind = RUB_PERF_LINEAR, .linear = l};
    return RUB_OK;
}

/* "0.25", "250ms", "2 s" -> seconds */
static rub_status parse_seconds(const char *option, const char *text, double *out, rub_error *err) {
    char *end;
    if (!text)
        return RUB_OK;
    double x = strtod(text, &end);
    while (*end == ' ')
        end++;
    double unit = !*end || !strcmp(end, "s") ? 1.0 : !strcmp(end, "ms") ? 1e-3 : 0.0;
    if (end == text || unit == 0.0 || !(x > 0) || !isfinite(x))
        return rub_error_set(err, RUB_INVALID,
                             "--%s: found '%.40s', expected a time such as 250ms or 0.25", option,
                             text);
    *out = x * unit;
    return RUB_OK;
}

/* Where requests come from: a trace; or lengths given, in a closed loop. */
static rub_status check_load(const simulate_settings *s, rub_error *err) {
    bool lengths = s->input_len > 0 || s->output_len > 0;
    if (s->trace && lengths)
        return rub_error_set(err, RUB_INVALID,
                             "--trace and --random-input-len are both given, expected one of them");
    if (lengths && !(s->input_len > 0 && s->output_len > 0))
        return rub_error_set(err, RUB_INVALID,
                             "expected both --random-input-len and --random-output-len");
    if (!s->trace && !lengths)
        return rub_error_set(err, RUB_INVALID,
                             "--trace is absent, expected a trace file, or --max-concurrency with "
                             "--random-input-len and --random-output-len");
    if (s->max_concurrency == 0 && (lengths || s->num_prompts > 0 || s->think_s > 0))
        return rub_error_set(err, RUB_INVALID,
                             "--max-concurrency is absent, expected it with given lengths, "
                             "--num-prompts or --think");
    return RUB_OK;
}

/* The benchmark's habit: ten requests for each client. */
static rub_status read_requests(const simulate_settings *s, simulation *sim, rub_error *err) {
    int64_t n = s->num_prompts > 0 ? s->num_prompts : 10 * s->max_concurrency;
    if (!s->trace)
        return rub_trace_make_uniform((size_t)n, (int32_t)s->input_len, (int32_t)s->output_len,
                                      s->range_ratio, (uint64_t)s->seed, &sim->trace, err);
    rub_trace_read_def read = {.columns = s->columns,
                               .time_scale = s->time_scale,
                               .skip_bad = s->skip_bad,
                               .hash = s->json};
    RUB_TRY(rub_trace_read(s->trace, &read, &sim->trace, &sim->report, err));
    if (s->num_prompts > 0 && (size_t)s->num_prompts < sim->trace.n_req)
        sim->trace.n_req = (size_t)s->num_prompts;
    return RUB_OK;
}

static rub_status build(const simulate_settings *s, simulation *sim, rub_error *err) {
    sim->def = (rub_serve_def){.policy = (rub_policy)s->policy,
                               .router = (rub_router)s->router,
                               .engine = (rub_engine)s->engine,
                               .n_replica = (int32_t)s->replicas,
                               .max_seqs = (int32_t)s->max_seqs,
                               .chunk_tok = s->chunk,
                               .max_batch_tok = s->max_batch_tokens,
                               .kv_blocks = s->kv_blocks,
                               .block_size_tok = (int32_t)s->block_size,
                               .watermark_frac = s->watermark,
                               .concurrency = (int32_t)s->max_concurrency,
                               .think_s = s->think_s,
                               .seed = (uint64_t)s->seed,
                               .n_thread = (int32_t)s->threads};
    /* vLLM V1 serves online with a budget of 8,192 tokens on large accelerators; Vidur's v0 pads up
     * to 16,384 */
    if (sim->def.max_batch_tok == 0)
        sim->def.max_batch_tok = s->policy == RUB_POLICY_VLLM_V0 ? 16384 : 8192;
    if (sim->def.policy == RUB_POLICY_VLLM && s->max_batch_tokens == 0 &&
        sim->def.max_batch_tok < sim->def.max_seqs)
        sim->def.max_batch_tok = sim->def.max_seqs;
    RUB_TRY(check_load(s, err));
    if (s->perf && s->model)
        return rub_error_set(err, RUB_INVALID,
                             "--perf and --model are both given, expected one of them");
    if (!s->perf && !s->model)
        return rub_error_set(err, RUB_INVALID,
                             "expected --model and --accelerator, or --perf linear:A,B,C,D");
    if (s->perf) {
        if (sim->def.kv_blocks == 0)
            sim->def.kv_blocks = rub_serve_default().kv_blocks;
        return parse_perf(s->perf, &sim->perf, err);
    }
    return rub_simulation_deploy(s, sim, err);
}

static rub_status simulate(const simulate_settings *s, simulation *sim, rub_error *err) {
    rub_progress progress = rub_command_progress();
    rub_status status = parse_seconds("ttft", s->ttft, &sim->targets.ttft_s, err);
    if (status == RUB_OK)
        status = parse_seconds("tpot", s->tpot, &sim->targets.tpot_s, err);
    if (status == RUB_OK)
        status = parse_seconds("e2e", s->e2e, &sim->targets.e2e_s, err);
    if (status == RUB_OK)
        status = build(s, sim, err);
    if (status == RUB_OK)
        status = read_requests(s, sim, err);
    if (status == RUB_OK)
        status = rub_serve_times_init(&sim->times, sim->trace.n_req, err);
    if (status == RUB_OK)
        status = rub_serve_run(&sim->trace, &sim->perf, &sim->def, &progress, &sim->times,
                               &sim->totals, err);
    if (status != RUB_OK)
        return status;
    bool closed = s->max_concurrency > 0; /* rates over the whole run, as benchmarks state them */
    double last = closed ? sim->totals.end_s : sim->times.arrival_s[sim->trace.n_req - 1];
    double from = s->warmup > 0 ? s->warmup : 0.0;
    if (from > last)
        return rub_error_set(err, RUB_INVALID,
                             "--warmup is %g s, expected less than the trace's span (%g s)", from,
                             last);
    return rub_serve_measure(&sim->trace, &sim->times, &sim->targets, from, last, &sim->measures,
                             err);
}

static int run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args, (void)args;
    const simulate_settings *s = settings;
    simulation *sim = calloc(1, sizeof *sim);
    rub_error err = {0};
    rub_status status =
        sim ? simulate(s, sim, &err) : rub_error_set(&err, RUB_NO_MEMORY, "out of memory");
    if (status == RUB_OK && s->requests)
        status = rub_simulation_write_requests(sim, s->requests, &err);
    int rc = 0;
    if (status != RUB_OK)
        rc = rub_command_fail(&err);
    else if (s->json)
        rc = rub_simulation_print_json(s, sim);
    else
        rub_simulation_print_text(s, sim);
    if (sim) {
        rub_simulation_undeploy(sim);
        rub_trace_clear(&sim->trace);
        rub_serve_times_clear(&sim->times);
    }
    free(sim);
    return rc;
}

#define OPTION(name, kind, field, meta, help, min, max)                                            \
    { name, RUB_OPTION_##kind, offsetof(simulate_settings, field), meta, help, min, max, NULL }

static const rub_option options[] = {
    OPTION("trace", STRING, trace, "FILE", "the trace to serve (any format of 'rubato trace info')",
           0, 0),
    OPTION("columns", STRING, columns, "MAP",
           "columns of a CSV of another shape, as in 'rubato trace info'", 0, 0),
    OPTION("skip-bad", FLAG, skip_bad, NULL, "leave broken rows of the trace out", 0, 0),
    OPTION("time-scale", DOUBLE, time_scale, "X",
           "multiply arrival times by X (0.5 doubles the rate)", 1e-9, 1e9),
    OPTION("max-concurrency", INT, max_concurrency, "N",
           "closed loop: N clients, each sends its next request when its last ends; arrival times "
           "are not looked at",
           0, 1 << 24),
    OPTION("num-prompts", INT, num_prompts, "N",
           "closed loop: requests in all (the whole trace; 10 for each client with given lengths)",
           1, 1e9),
    OPTION("random-input-len", INT, input_len, "TOKENS", "closed loop without a trace: prompts", 1,
           RUB_TRACE_MAX_TOK),
    OPTION("random-output-len", INT, output_len, "TOKENS", "closed loop without a trace: answers",
           1, RUB_TRACE_MAX_TOK),
    OPTION("random-range-ratio", DOUBLE, range_ratio, "X",
           "lengths are uniform from X times the length to the length itself (1: all alike)", 0, 1),
    OPTION("think", DOUBLE, think_s, "SECONDS", "closed loop: pause before the next request (0)", 0,
           1e6),
    OPTION("model", STRING, model, "NAME", "model of the catalog, or a path to its config.json", 0,
           0),
    OPTION("accelerator", STRING, accelerator, "NAME", "accelerator of the catalog", 0, 0),
    OPTION("tp", INT, tp, "N", "tensor parallel: accelerators in one replica (1)", 1, 1024),
    OPTION("weights", STRING, weights, "KIND",
           "precision of weights: bf16, fp8, fp4 (as published)", 0, 0),
    OPTION("kv-dtype", STRING, kv_dtype, "KIND", "precision of the KV cache: bf16, fp8 (bf16)", 0,
           0),
    OPTION("gpu-memory-utilization", DOUBLE, memory_utilization, "X",
           "share of memory that the engine may use", 0.01, 1),
    OPTION("perf", STRING, perf, "KIND",
           "linear:A,B,C,D instead of a model: t = A + B*tokens + C*kv_decode + D*prefill_work", 0,
           0),
    {"policy", RUB_OPTION_CHOICE, offsetof(simulate_settings, policy), NULL, "scheduler (vllm)", 0,
     0, policies},
    OPTION("max-seqs", INT, max_seqs, "N", "requests that may run in one replica (256)", 1,
           1048576),
    OPTION("chunk", INT, chunk, "TOKENS",
           "sarathi: prefill chunks fill an iteration up to this (512)", 1, 1e9),
    OPTION("max-batch-tokens", INT, max_batch_tokens, "TOKENS",
           "vllm: token budget of an iteration (8192); vllm-v0: limit of the padded prefill batch "
           "(16384)",
           1, 1e12),
    OPTION("kv-blocks", INT, kv_blocks, "N",
           "KV blocks in one replica (20000 with --perf; what fits in memory with --model)", 1,
           1e12),
    OPTION("block-size", INT, block_size, "TOKENS", "tokens in a KV block (16)", 1, 65536),
    OPTION("watermark", DOUBLE, watermark, "X",
           "sarathi, vllm-v0: share of blocks kept free at admission (0.01)", 0, 0.99),
    OPTION("replicas", INT, replicas, "N", "copies of the model (1)", 1, 1000000),
    {"router", RUB_OPTION_CHOICE, offsetof(simulate_settings, router), NULL,
     "which replica a request goes to (round-robin)", 0, 0, routers},
    OPTION("ttft", STRING, ttft, "TIME", "target on each request's time to first token, e.g. 500ms",
           0, 0),
    OPTION("tpot", STRING, tpot, "TIME",
           "target on each request's time per output token, e.g. 50ms", 0, 0),
    OPTION("e2e", STRING, e2e, "TIME", "target on each request's end-to-end time", 0, 0),
    OPTION("warmup", DOUBLE, warmup, "SECONDS", "measure requests that arrive after this (0)", 0,
           1e12),
    OPTION("requests", STRING, requests, "FILE",
           "write per-request times as CSV, whole or not at all", 0, 0),
    {"engine", RUB_OPTION_CHOICE, offsetof(simulate_settings, engine), NULL,
     "fast, or the naive one that checks it (fast)", 0, 0, engines},
    OPTION("threads", INT, threads, "N", "threads; 0 = all cores; results are the same", 0, 1024),
    OPTION("seed", INT, seed, "N", "seed of the random router (1)", 0, 9e15),
    RUB_OPTION_JSON(simulate_settings),
    {0}};

const rub_command rub_cmd_simulate = {
    .name = "simulate",
    .summary = "serve a trace on a fleet: latencies, goodput, utilisation, energy, cost",
    .arguments = "",
    .description =
        "Simulates every iteration of every replica and prints quantiles of TTFT, TPOT, ITL and "
        "E2E, goodput against "
        "targets, utilisation and KV occupancy; with a model also power and cost. Latencies are "
        "over all requests that "
        "arrive in the window; a request that can never fit is rejected and counts as one that "
        "misses every target.\n\n"
        "The CSV of --requests has "
        "id,arrival_s,input_tok,output_tok,scheduled_s,first_token_s,finish_s,restarts in "
        "arrival order, times counted from the first arrival; a rejected request has empty times "
        "and -1 restarts.",
    .examples = "  rubato simulate --trace azure_2023_conv.csv.gz --model llama-3.1-70b "
                "--accelerator h100 --tp 4 --weights fp8 "
                "--replicas 2 --ttft 1s --tpot 60ms\n"
                "  rubato simulate --trace conv.csv --perf linear:6e-3,2.2e-5,8.2e-8,3.4e-9 "
                "--policy sarathi --chunk 512 "
                "--kv-blocks 20000 --requests out.csv --json\n"
                "  rubato simulate --max-concurrency 64 --random-input-len 1024 "
                "--random-output-len 1024 --model llama-3.1-8b --accelerator h100",
    .options = options,
    .settings_size = sizeof(simulate_settings),
    .defaults = defaults,
    .run = run};
