/* Perf: how long one iteration (one forward pass of one replica) takes, what fits in memory, what
 * it draws and costs.
 *
 * Everything a duration depends on is an integer aggregate of the batch (rub_batch), so that an
 * engine that updates sums and one that recomputes them agree to the last bit. */
#ifndef RUBATO_PERF_H
#define RUBATO_PERF_H

#include "rubato/base.h"
#include "rubato/catalog.h"

/* Aggregates of one iteration's batch. */
typedef struct rub_batch {
    int64_t n_tokens;  /* tokens processed: prefill chunks + one for each decode */
    int64_t n_decode;  /* decode requests */
    int64_t kv_decode; /* sum over decode requests of tokens already processed */
    int64_t n_prefill; /* prefill requests */
    /* Twice the prefill work: sum over prefill chunks of chunk * (2 * processed + chunk); the half
     * of it is the sum of chunk * (processed + chunk / 2) of design page serving. */
    int64_t prefill_work2;
    int64_t prefill_kv; /* sum over prefill requests of tokens already processed */
} rub_batch;

typedef enum rub_perf_kind {
    RUB_PERF_LINEAR,   /* t = a + b*n_tokens + c*kv_decode + d*prefill_work */
    RUB_PERF_COMPILED, /* piecewise-linear tables over the aggregates, from a deployment */
} rub_perf_kind;

/* Four coefficients; seconds, s/token, s/token, s/token^2. */
typedef struct rub_perf_linear {
    double a_s, b_s, c_s, d_s;
} rub_perf_linear;

typedef struct rub_perf_tables rub_perf_tables; /* owned by the compiled model */

typedef struct rub_calibration rub_calibration; /* below */

/* An evaluator: immutable once made, safe to share between threads. */
typedef struct rub_perf {
    rub_perf_kind kind;
    rub_perf_linear linear;
    const rub_perf_tables *tables; /* RUB_PERF_COMPILED */
} rub_perf;

/* Duration of a compiled deployment's iteration [s]. */
double rub_perf_tables_duration(const rub_perf_tables *tables, const rub_batch *batch);

/* Duration of one iteration [s]. The linear form is evaluated in this order, always. */
static inline double rub_perf_duration(const rub_perf *perf, const rub_batch *batch) {
    if (perf->kind == RUB_PERF_LINEAR) {
        const rub_perf_linear *l = &perf->linear;
        return l->a_s + l->b_s * (double)batch->n_tokens + l->c_s * (double)batch->kv_decode +
               l->d_s * ((double)batch->prefill_work2 * 0.5);
    }
    return rub_perf_tables_duration(perf->tables, batch);
}

/* ---- deployments ----------------------------------------------------------------------------- */

/* The serving engine: whose kernels run, and whose overhead between iterations counts. */
typedef enum rub_backend { RUB_BACKEND_VLLM, RUB_BACKEND_SGLANG, RUB_BACKEND_TRTLLM } rub_backend;

/* "vllm", "sglang", "trtllm". Never NULL. */
const char *rub_backend_name(rub_backend backend);

/* Accepts the names above, tensorrt-llm and trt-llm. Errors: RUB_NOT_FOUND naming them. */
rub_status rub_backend_parse(const char *text, rub_backend *out, rub_error *err);

/* What an engine adds to its operators, fitted from measured deployments (docs/validate.md): one
 * set for each engine, the same for all models and systems. */
typedef struct rub_engine_constants {
    double step_s;    /* each iteration: scheduler, launch, sampling */
    double per_seq_s; /* for each request in it */
    double
        prefill_s;  /* for an iteration with prefill: kernels launched one by one, not by a graph */
    double token_s; /* for each token of it, beyond the operators */
    double request_s;  /* to a request's first token outside iterations: HTTP, tokeniser, queues */
    double wait_steps; /* the same, in iterations: batches queued ahead, results a step behind */
    double poll_frac;  /* the same, as a share of the iterations between looks at new requests */
    /* times of operators relative to the modelled ones: other kernels, fusion, overlap */
    double gemm, attention, moe, collective, small;
} rub_engine_constants;

rub_engine_constants rub_engine_constants_of(rub_backend backend);

/* Where durations of operators come from. */
typedef enum rub_perf_level {
    RUB_LEVEL_AUTO,     /* calibrated where a calibration ships for the accelerator, or carried from
                             the nearest one; rub_perf_source_of says which */
    RUB_LEVEL_ROOFLINE, /* analytic, from the catalog */
    RUB_LEVEL_CALIBRATED, /* RUB_NOT_FOUND where nothing ships */
} rub_perf_level;

/* One replica: a model on tp * pp accelerators with the engine's limits. Borrows model and accel.
 * Start from rub_deployment_default. */
typedef struct rub_deployment {
    const rub_model *model;
    const rub_accelerator *accel;
    int32_t tp;           /* tensor parallel: accelerators that share every layer */
    int32_t pp;           /* pipeline stages; other than 1 is RUB_UNSUPPORTED */
    int32_t attention_dp; /* groups of tp accelerators, each with its own requests' attention; they
                             share the experts. Accelerators in all: tp * attention_dp * pp */
    int32_t ep;           /* over how many whole experts are spread (divides tp * attention_dp) */
    double network_bytes_per_s; /* of each accelerator to other fast-link domains; 0: a replica has
                                   to lie in one */
    rub_backend backend;
    rub_perf_level level;
    rub_precision weights;     /* AUTO: as the model is published, if the accelerator can hold it */
    rub_precision activations; /* AUTO: fp8 with fp8 weights where there is fp8, else bf16 */
    rub_precision kv_cache;    /* AUTO: bf16 */
    double gpu_memory_utilization; /* share of memory that the engine may use, as in vLLM */
    int32_t block_size_tok;
    int64_t max_batch_tok;                 /* tokens in the largest iteration */
    int32_t max_seqs;                      /* requests in the largest iteration */
    const rub_calibration *calibration;    /* NULL: what ships; borrowed */
    const rub_engine_constants *constants; /* NULL: those of backend; borrowed */
} rub_deployment;

/* tp, pp, ep, attention_dp 1; vLLM; level and precisions AUTO; vLLM's defaults elsewhere (docs/perf.md). */
rub_deployment rub_deployment_default(const rub_model *model, const rub_accelerator *accel);

/* Replaces AUTO by what follows from model and accelerator, and checks layout and limits. Errors:
 * RUB_INVALID (tp does not divide, out of range), RUB_UNSUPPORTED (precision, pp > 1). The other
 * functions here call it themselves. */
rub_status rub_deployment_resolve(const rub_deployment *deployment, rub_deployment *out,
                                  rub_error *err);

/* ---- durations from a deployment (roofline; docs/perf.md) --------------------------------------
 */

/* Compiles a deployment into piecewise-linear tables that agree with rub_perf_operators to 0.1 %.
 * Whether it fits in memory is rub_memory_plan's matter. Errors: as rub_deployment_resolve,
 * RUB_NO_MEMORY. Cost: about a millisecond. Clear with rub_perf_clear. */
rub_status rub_perf_compile(const rub_deployment *deployment, rub_perf *out, rub_error *err);

/* Where this deployment's durations come from, as a sentence: "calibrated on H100-SXM (vLLM
 * 0.24.0)", "efficiencies carried from B200-SXM", "roofline". Returns buf. */
char *rub_perf_source_of(const rub_deployment *deployment, char *buf, size_t size);
void rub_perf_clear(rub_perf *perf);

/* Where an iteration's time goes [s]; total_s is their sum. */
typedef struct rub_perf_split {
    double gemm_s;      /* projections, dense FFN, shared experts */
    double attention_s; /* prefill and decode attention, KV writes, linear attention's scan */
    double moe_s;       /* routed experts, router */
    double collective_s;
    double head_s;   /* embedding, final norm, logits, sampling */
    double small_s;  /* norms, rope, residuals, activations */
    double engine_s; /* scheduler, launch, per-request bookkeeping */
    double total_s;
} rub_perf_split;

/* The operator-by-operator sum for one batch: the oracle of the compiled form. Errors: as
 * rub_deployment_resolve. Cost: tens of microseconds. */
rub_status rub_perf_operators(const rub_deployment *deployment, const rub_batch *batch,
                              rub_perf_split *out, rub_error *err);

/* ---- calibration -------------------------------------------------------------------------------
 *
 * Compact forms of an accelerator's operator times, fitted from measured tables. One ships for each
 * accelerator that was measured; `rubato calibrate` makes more. docs/perf.md tells form and errors. */

/* One fitted curve: what it was fitted on and how it predicts what was left out. */
typedef struct rub_calibration_row {
    const char *library; /* whose kernels: "vllm", "trtllm", "nccl" */
    const char *family;  /* "gemm", "prefill", "decode", "mla_prefill", "mla_decode", "moe", ... */
    const char *variant; /* "bf16", "fp8_block", "bf16/fp8" (arithmetic / KV cache), "custom" */
    const char *source;  /* the table's file name */
    const char *note;    /* why compositions do not use it; "" when they do */
    int64_t n_fitted, n_left_out, n_group_left_out;
    double median, p90; /* of |predicted / measured - 1| on the rows left out */
    double bias;        /* median of predicted / measured - 1 there */
    int32_t n_value;    /* fitted numbers */
} rub_calibration_row;

/* The calibration that ships for an accelerator, or, when there is none, that of the nearest measured
 * one (by peaks and bandwidths), whose efficiencies are then carried over. Free with
 * rub_calibration_free. Cost: under a millisecond. Errors: RUB_NO_MEMORY, RUB_INTERNAL. */
rub_status rub_calibration_shipped(const rub_accelerator *accel, rub_calibration **out,
                                   rub_error *err);

/* Fits every table of a folder (ai-dynamo/aiconfigurator's layout, Parquet or CSV) for one
 * accelerator. A fifth of the groups of shapes is left out to judge the fit: (n, k) of products; heads,
 * KV heads, head size and window of attention; heads and batch of latent attention; hidden and
 * expert width, top-k, experts, TP and EP of experts; message size of collectives. progress may be NULL.
 * Errors: RUB_IO, RUB_PARSE, RUB_INVALID with file and line, RUB_INTERRUPTED. */
rub_status rub_calibrate(const char *folder, const rub_accelerator *accel, const char *source,
                         const char *date, const rub_progress *progress, rub_calibration **out,
                         rub_error *err);

/* Table mode: the rows of a folder's tables themselves, to be given to deployments. A shape that was
 * measured takes its row's time (a batch between two measured ones, what lies between them); another one
 * the nearest rows' ratio to the roofline. Compiling a deployment with it takes seconds, not
 * milliseconds. Errors: as rub_calibrate. */
rub_status rub_calibration_from_tables(const char *folder, const rub_accelerator *accel,
                                       rub_calibration **out, rub_error *err);

/* Predicts the rows of a folder's tables that the split leaves out with a calibration, one figure a
 * curve; rows[n_row] of rub_calibration_count. Errors: as rub_calibrate. */
rub_status rub_calibration_judge(const rub_calibration *calibration, const char *folder,
                                 const rub_accelerator *accel, rub_calibration_row *row,
                                 rub_error *err);

/* JSON text; malloc'ed, *n without the terminator. */
rub_status rub_calibration_write(const rub_calibration *calibration, char **out, size_t *n,
                                 rub_error *err);

/* Errors: RUB_PARSE, RUB_INVALID with the place or the key. name appears in them. */
rub_status rub_calibration_read_memory(const char *name, const char *bytes, size_t n,
                                       rub_calibration **out, rub_error *err);
rub_status rub_calibration_read(const char *path, rub_calibration **out, rub_error *err);

void rub_calibration_free(rub_calibration *calibration);

size_t rub_calibration_count(const rub_calibration *calibration); /* curves */
rub_calibration_row rub_calibration_at(const rub_calibration *calibration, size_t i);
const char *rub_calibration_system(const rub_calibration *calibration); /* "H100-SXM" */
const char *rub_calibration_source(const rub_calibration *calibration);
const char *rub_calibration_date(const rub_calibration *calibration);

/* Does it come from another accelerator than the one it was asked for? */
bool rub_calibration_is_carried(const rub_calibration *calibration);

/* ---- memory ------------------------------------------------------------------------------------
 */

/* What one accelerator of the replica holds [bytes], and what remains for requests. */
typedef struct rub_memory {
    bool fits; /* weights, activations and reserve leave room for one KV block or more */
    double capacity_bytes; /* usable by an engine */
    double budget_bytes;   /* gpu_memory_utilization * capacity */
    double weights_bytes;
    double activation_bytes; /* peak of the largest iteration */
    double reserve_bytes;    /* CUDA graphs, communicators, allocator slack */
    double state_bytes;      /* linear attention's state for max_seqs requests */
    double kv_bytes;         /* left for the KV cache; 0 when nothing is left */
    double missing_bytes; /* how much is missing for one request of 2,048 tokens; 0 when it fits */
    double kv_bytes_per_tok;       /* each further token costs, on this accelerator */
    double kv_fixed_bytes_per_seq; /* a request's sliding-window layers when the window is full */
    int64_t kv_blocks; /* blocks of block_size_tok in one group of tp accelerators (times
                                      attention_dp in the replica); windows count as at 4,096 tokens */
    int64_t kv_tokens;
    int64_t max_context_tok; /* longest single request that fits, at most the model's context */
    int64_t max_batch_4k;    /* requests of 4,096 tokens that fit at once */
    char text[640];          /* one or two sentences: what fits or is missing, and what would fit */
} rub_memory;

/* Errors: as rub_deployment_resolve. That it does not fit is an outcome (out->fits, out->text). */
rub_status rub_memory_plan(const rub_deployment *deployment, rub_memory *out, rub_error *err);

/* ---- power and money ---------------------------------------------------------------------------
 */

/* IT power of one replica [W], server and network overhead included, cooling (PUE) not. */
typedef struct rub_power {
    double idle_w, peak_w;
    double planned_w; /* all-in watts that a planner must provide for it */
} rub_power;

rub_power rub_power_of(const rub_deployment *deployment);

/* Mean power at a busy share (0..1, clamped) [W]: idle + (peak - idle) * busy^0.75 (docs/perf.md).
 */
double rub_power_at(const rub_power *power, double busy_frac);

/* Energy of a token [J] for a replica that is busy_frac busy while giving tok_per_s. */
double rub_joules_per_tok(const rub_power *power, double busy_frac, double tok_per_s);

/* USD per hour of one replica at the catalog's default price; 0 when no price is known. */
double rub_cost_per_h(const rub_deployment *deployment);

/* Ownership instead of rental. */
typedef struct rub_ownership {
    double capex_usd;     /* per accelerator, servers and network */
    double life_years;    /* straight line */
    double residual_frac; /* of capex at the end of life */
    double rate_per_year; /* cost of capital on the mean capital bound */
    double power_usd_per_mwh, pue;
    double space_usd_per_kw_month; /* data centre rent per kW of IT load */
    double opex_frac_per_year;     /* staff, spares, insurance as a share of capex */
} rub_ownership;

rub_ownership rub_ownership_default(const rub_accelerator *accel);

/* USD per accelerator-hour of wall time. */
double rub_ownership_usd_per_h(const rub_ownership *ownership, const rub_accelerator *accel);

/* ---- training ----------------------------------------------------------------------------------
 */

/* A training run: the layout, what it trains on, and what fails. Start from rub_training_default.
 * Copies (data parallel): n_accelerator / (tp * pp * cp). */
typedef struct rub_training_def {
    const rub_model *model;
    const rub_accelerator *accel;
    int64_t n_accelerator;
    int32_t tp, pp, cp;     /* tensor, pipeline, context (sequence) parallel */
    int32_t ep;             /* over how many accelerators of the copies experts are spread */
    int32_t virtual_stages; /* interleaved stages on a device; 0: one layer each */
    int64_t sequence_tok;
    int64_t batch_tok;           /* tokens in a step */
    int32_t micro_batch;         /* sequences in a micro-batch */
    rub_precision precision;     /* of products: bf16, fp8 */
    double recompute_frac;       /* share of the forward pass that is computed again */
    double tokens;               /* to train on */
    double network_bytes_per_s;  /* between servers, for each accelerator */
    double storage_bytes_per_s;  /* of checkpoints, all together */
    double failures_per_accel_h; /* interruptions of the run for each accelerator-hour */
    double restart_s;
    double pue;
} rub_training_def;

typedef struct rub_training {
    double step_s;                                  /* sum of the parts below */
    double product_s, attention_s, stream_s;        /* compute */
    double tensor_s, exchange_s, context_s, data_s; /* communication that is not hidden */
    double bubble_s, optimiser_s;
    double n_micro, virtual_stages;
    double model_flops; /* of a step: 6 N tokens and causal attention [FLOP] */
    double flops_per_s; /* of one accelerator */
    double mfu_frac;    /* of its bf16 peak, whatever the precision */
    double tok_per_s;
    double checkpoint_s, interval_s, failure_s; /* writing one; between two; between failures */
    double goodput_frac; /* share of wall time that goes into steps that count */
    double n_step, wall_s, accelerator_hours, accelerator_months; /* months of 730 h */
    double it_w, energy_wh; /* mean IT power; energy with PUE */
} rub_training;

rub_training_def rub_training_default(const rub_model *model, const rub_accelerator *accel);

/* Errors: RUB_INVALID (layout, sizes), RUB_UNSUPPORTED (precision). Pure; microseconds. */
rub_status rub_training_of(const rub_training_def *def, rub_training *out, rub_error *err);

#endif
