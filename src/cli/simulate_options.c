/* Options of rubato simulate and the words of its choices. */
#include "cli/simulate.h"

const char *const rub_policy_names[] = {"vllm", "sarathi", "vllm-v0", "orca", "static", NULL};
const char *const rub_order_names[] = {"fcfs", "priority", "sjf", NULL};
const char *const rub_reserve_names[] = {"prompt", "check", "chunk", NULL};
const char *const rub_async_names[] = {"off", "length", "stop", NULL};
const char *const rub_rank_router_names[] = {"waiting", "round-robin", "requests", "tokens", NULL};
const char *const rub_router_names[] = {"round-robin", "least-waiting", "least-outstanding",
                                        "random",      "least-kv",      "power-of-two",
                                        "session",     "prefix",        "slo",
                                        NULL};
const char *const rub_scaler_names[] = {"none",     "utilisation", "queue", "slo",
                                        "schedule", "predictive",  NULL};
const char *const rub_engine_names[] = {"fast", "naive", "wide", NULL};

void rub_simulate_defaults(void *settings) {
    rub_serve_def d = rub_serve_default();
    *(simulate_settings *)settings =
        (simulate_settings){.policy = (int)d.policy,
                            .router = (int)d.router,
                            .replicas = 1,
                            .max_seqs = d.max_seqs,
                            .chunk = d.chunk_tok,
                            .max_batch_tokens = 0,
                            .kv_blocks = 0,
                            .block_size = d.block_size_tok,
                            .watermark = d.watermark_frac,
                            .range_ratio = 1.0,
                            .affinity_slack = d.affinity_slack,
                            .decode_router = RUB_ROUTER_LEAST_OUTSTANDING,
                            .link_gb = 50.0,
                            .timeline_step = 1.0,
                            .spec_accept = 0.7,
                            .start_replicas = -1,
                            .scale_interval = 30.0,
                            .startup = 120.0,
                            .scale_hold = 300.0,
                            .pp = d.pp,
                            .time_scale = 1.0,
                            .tp = 1,
                            .attention_dp = d.attention_dp,
                            .offload_link_gb = 50.0,
                            .memory_utilization = 0.0,
                            .threads = 0,
                            .seed = 1};
}

#define OPTION(name, kind, field, meta, help, min, max)                                            \
    { name, RUB_OPTION_##kind, offsetof(simulate_settings, field), meta, help, min, max, NULL }

const rub_option rub_simulate_options[] = {
    OPTION("trace", STRING, trace, "FILE", "the trace to serve (any format of 'rubato trace info')",
           0, 0),
    OPTION("columns", STRING, columns, "MAP",
           "columns of a CSV of another shape, as in 'rubato trace info'", 0, 0),
    OPTION("skip-bad", FLAG, skip_bad, NULL, "leave broken rows of the trace out", 0, 0),
    OPTION("time-scale", DOUBLE, time_scale, "X",
           "multiply arrival times by X (0.5 doubles the rate)", 1e-9, 1e9),
    OPTION(
        "stream", INT, stream, "N",
        "instead of --trace: N requests that are made as they arrive and never held, an equal part "
        "for each replica; any number in little memory",
        1, 1e12),
    OPTION("preset", STRING, preset, "NAME", "stream: lengths of 'rubato trace make' (azure-conv)",
           0, 0),
    OPTION("rate", DOUBLE, rate, "R", "stream: requests/s of the whole fleet (the preset's)", 1e-9,
           1e9),
    OPTION("diurnal", DOUBLE, diurnal, "SHARE",
           "stream: rate * (1 + SHARE * sin) over a day instead of a constant one (0)", 0, 1),
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
    OPTION(
        "perf", STRING, perf, "KIND",
        "linear:A,B,C,D instead of a model: t = A + B*tokens + C*kv_decode + D*prefill_work; with "
        "a model: calibrated, calibrated:FILE, roofline, or table:FOLDER of measured operators "
        "(calibrated)",
        0, 0),
    {"policy", RUB_OPTION_CHOICE, offsetof(simulate_settings, policy), NULL, "scheduler (vllm)", 0,
     0, rub_policy_names},
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
    {"order", RUB_OPTION_CHOICE, offsetof(simulate_settings, order), NULL,
     "how requests wait: first come first served, by the trace's priority, or shortest predicted "
     "job first (fcfs)",
     0, 0, rub_order_names},
    OPTION("predict-error", DOUBLE, predict_error, "SIGMA",
           "sjf: predicted output = output * exp(SIGMA * normal) (0)", 0, 10),
    {"reserve", RUB_OPTION_CHOICE, offsetof(simulate_settings, reserve), NULL,
     "vllm, at admission: take the prompt's blocks; check that they are free and take the first "
     "chunk's, as vLLM does; or take the first chunk's unchecked (prompt)",
     0, 0, rub_reserve_names},
    OPTION("long-prefill", INT, long_prefill, "TOKENS",
           "vllm: most tokens of one prompt in an iteration (0: what the budget leaves)", 0, 1e12),
    {"async-scheduling", RUB_OPTION_CHOICE, offsetof(simulate_settings, async), NULL,
     "vllm: schedule the next iteration while one runs; requests end by their length, which is "
     "known, or by a stop token, after which one decode is in vain (off)",
     0, 0, rub_async_names},
    OPTION("host-overhead", DOUBLE, host_s, "SECONDS",
           "the scheduler's time before each iteration, beyond what the durations hold; hidden by "
           "--async-scheduling as far as the iteration lasts (0)",
           0, 1e3),
    OPTION("no-chunked-prefill", FLAG, whole_prefill, NULL, "vllm: prompts are not cut", 0, 0),
    OPTION("max-partial-prefills", INT, max_partial, "N",
           "vllm: unfinished prefills at once (0: any)", 0, 1 << 20),
    OPTION("max-long-partial-prefills", INT, max_long_partial, "N",
           "vllm: the same of prompts over --long-prefill; shorter ones overtake (0: any)", 0,
           1 << 20),
    OPTION("prefix-cache", FLAG, prefix_cache, NULL,
           "vllm: reuse the blocks of prompts by the trace's hashes", 0, 0),
    OPTION("kv-offload", DOUBLE, offload_gb, "GB",
           "prefix cache: host memory of each replica for blocks that are evicted (0: none)", 0,
           1e9),
    OPTION("offload-link", DOUBLE, offload_link_gb, "GB/S",
           "kv-offload: bandwidth at which a replica fetches them (50)", 1e-9, 1e9),
    OPTION("spec-draft", INT, spec_draft, "TOKENS",
           "vllm: speculative decoding, tokens drafted for each decode in a step (0: none)", 0, 64),
    OPTION("spec-accept", DOUBLE, spec_accept, "P",
           "vllm: probability that a drafted token is right, each on its own (0.7)", 0, 1),
    OPTION("spec-draft-time", DOUBLE, spec_draft_s, "SECONDS",
           "vllm: time of drafting one token, all decodes together (0)", 0, 1e3),
    OPTION("max-loras", INT, max_loras, "N",
           "vllm: LoRA adapters in one iteration, by the trace's column adapter (0: any)", 0,
           1 << 20),
    OPTION("attention-dp", INT, attention_dp, "N",
           "ranks in one replica, each with queue, seats and KV of its own, in lock-step as MoE "
           "engines have them: an iteration lasts as long as the slowest rank's (1)",
           1, 1024),
    {"rank-router", RUB_OPTION_CHOICE, offsetof(simulate_settings, rank_router), NULL,
     "attention-dp: the rank that a request goes to: least 4 * waiting + running, as vLLM; in "
     "turn; "
     "fewest requests; fewest tokens (waiting)",
     0, 0, rub_rank_router_names},
    OPTION("ep", INT, ep, "N",
           "with --model: over how many accelerators of tp * attention-dp whole experts are spread "
           "(1)",
           1, 1024),
    OPTION("pp", INT, pp, "N", "pipeline stages; --perf gives the time of one (1)", 1, 64),
    OPTION("replicas", INT, replicas, "N", "copies of the model (1)", 1, 1000000),
    {"router", RUB_OPTION_CHOICE, offsetof(simulate_settings, router), NULL,
     "which replica a request goes to (round-robin)", 0, 0, rub_router_names},
    OPTION(
        "affinity-slack", DOUBLE, affinity_slack, "X",
        "prefix router: the replica with the longest prefix may be loaded X times as much as the "
        "least loaded, and 8 requests (1.5)",
        1, 1e9),
    OPTION("group", LIST, groups, "COUNT:SPEED[:BLOCKS[:MODEL]]",
           "with --perf, instead of --replicas: COUNT replicas SPEED times as fast, of so many KV "
           "blocks, weighted by their speed; with MODEL for requests of that model_id only; may be "
           "given several times",
           0, 0),
    OPTION(
        "rate-limit", LIST, limits, "TENANT:RATE:BURST[:reject|delay]",
        "token bucket of a tenant (* for each other one): RATE tokens/s, BURST tokens at once, "
        "prompt and answer counted; what finds too few is rejected or waits (reject); may be given "
        "several times",
        0, 0),
    OPTION(
        "batch-reserve", DOUBLE, batch_reserve, "X",
        "vllm: share of seats and KV blocks that requests of priority above 0 leave free for the "
        "others, who overtake them (0)",
        0, 0.999),
    OPTION("batch-deadline", STRING, batch_deadline, "TIME",
           "tell which share of the requests of priority above 0 ended so soon after they came", 0,
           0),
    OPTION("prefill-replicas", INT, prefill_replicas, "N",
           "disaggregated: replicas that prefill (with --decode-replicas, instead of --replicas)",
           0, 1000000),
    OPTION("decode-replicas", INT, decode_replicas, "N", "disaggregated: replicas that decode", 0,
           1000000),
    {"decode-router", RUB_OPTION_CHOICE, offsetof(simulate_settings, decode_router), NULL,
     "disaggregated: which of those a prefilled request goes to (least-outstanding)", 0, 0,
     rub_router_names},
    OPTION("kv-bytes", DOUBLE, kv_bytes, "BYTES",
           "disaggregated, kv-offload: KV of one token (the model's; needed with --perf)", 0, 1e12),
    OPTION("link", DOUBLE, link_gb, "GB/S",
           "disaggregated: bandwidth out of a prefill replica, shared by its transfers (50)", 1e-9,
           1e9),
    OPTION("link-latency", STRING, link_latency, "TIME",
           "disaggregated: latency of a transfer, e.g. 1ms (0)", 0, 0),
    OPTION("failures", LIST, failures, "N:MTBF:REPAIR[:SHAPE]",
           "N neighbouring replicas fail together, MTBF seconds after a repair on average "
           "(exponential, or Weibull of SHAPE), for REPAIR seconds on average; up to three times, "
           "for replicas, nodes, racks",
           0, 0),
    {"autoscale", RUB_OPTION_CHOICE, offsetof(simulate_settings, scaler), NULL,
     "between --min-replicas and --replicas, by: unfinished requests a replica, waiting requests a "
     "replica, share of first tokens within --ttft, a schedule, or requests/s a replica ahead of "
     "time (none)",
     0, 0, rub_scaler_names},
    OPTION("scale-target", DOUBLE, scale_target, "X", "what --autoscale aims at", 1e-9, 1e9),
    OPTION("min-replicas", INT, min_replicas, "N", "autoscale: fewest; 0 scales to zero (0)", 0,
           1000000),
    OPTION("start-replicas", INT, start_replicas, "N", "autoscale: at first (the fewest)", 0,
           1000000),
    OPTION("scale-interval", DOUBLE, scale_interval, "SECONDS", "autoscale: between decisions (30)",
           1e-3, 1e9),
    OPTION("startup", DOUBLE, startup, "SECONDS",
           "autoscale: from a decision to the new replica's first request (120)", 0, 1e9),
    OPTION("scale-hold", DOUBLE, scale_hold, "SECONDS",
           "autoscale: fewer must have been enough for so long (300)", 0, 1e9),
    OPTION("schedule", STRING, schedule, "T:N,...",
           "autoscale schedule: N replicas from T seconds on", 0, 0),
    OPTION("ttft", STRING, ttft, "TIME", "target on each request's time to first token, e.g. 500ms",
           0, 0),
    OPTION("tpot", STRING, tpot, "TIME",
           "target on each request's time per output token, e.g. 50ms", 0, 0),
    OPTION("e2e", STRING, e2e, "TIME", "target on each request's end-to-end time", 0, 0),
    OPTION("warmup", DOUBLE, warmup, "SECONDS", "measure requests that arrive after this (0)", 0,
           1e12),
    OPTION("requests", STRING, requests, "FILE",
           "write per-request times as CSV, whole or not at all", 0, 0),
    OPTION("timeline", STRING, timeline, "FILE",
           "write arrivals, waiting, prefilling, decoding requests, KV tokens and output rate over "
           "time as CSV",
           0, 0),
    OPTION("timeline-step", DOUBLE, timeline_step, "SECONDS", "step of the timeline (1)", 1e-6,
           1e9),
    OPTION("chrome-trace", STRING, events, "FILE",
           "write the requests' phases as trace events, for chrome://tracing and Perfetto", 0, 0),
    OPTION("window", STRING, window, "FROM:TO",
           "chrome-trace: requests that are there between these seconds (all)", 0, 0),
    {"engine", RUB_OPTION_CHOICE, offsetof(simulate_settings, engine), NULL,
     "fast, or the naive one that checks it (fast)", 0, 0, rub_engine_names},
    OPTION("threads", INT, threads, "N", "threads; 0 = all cores; results are the same", 0, 1024),
    OPTION("seed", INT, seed, "N", "seed of the random router (1)", 0, 9e15),
    RUB_OPTION_JSON(simulate_settings),
    {0}};
