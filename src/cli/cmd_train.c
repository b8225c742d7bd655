/* rubato train: time, utilisation and energy of a training run. */
#include "cli/commands.h"

#include "base/array.h"
#include "base/text.h"
#include "rubato/perf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct train_settings {
    const char *model, *accelerator, *tokens, *batch, *precision;
    int64_t accelerators, tp, pp, cp, ep, virtual_stages, sequence, micro_batch;
    double recompute, network_gb_s, storage_tb_s, failures, restart, pue;
    bool json;
} train_settings;

static void defaults(void *settings) {
    rub_training_def d = rub_training_default(NULL, NULL);
    *(train_settings *)settings = (train_settings){.tp = 1,
                                                   .pp = 1,
                                                   .cp = 1,
                                                   .ep = 1,
                                                   .sequence = d.sequence_tok,
                                                   .micro_batch = d.micro_batch,
                                                   .batch = "4M",
                                                   .tokens = "1T",
                                                   .precision = "bf16",
                                                   .network_gb_s = d.network_bytes_per_s * 1e-9,
                                                   .storage_tb_s = d.storage_bytes_per_s * 1e-12,
                                                   .failures = d.failures_per_accel_h,
                                                   .restart = d.restart_s,
                                                   .pue = d.pue};
}

/* "16M", "15.6T", "4194304" */
static rub_status parse_count(const char *option, const char *text, double *out, rub_error *err) {
    static const char suffix[] = " KMBGT";
    static const double unit[] = {1.0, 1e3, 1e6, 1e9, 1e9, 1e12};
    char *end;
    double x = strtod(text, &end);
    const char *at = *end ? strchr(suffix + 1, *end) : suffix;
    if (end == text || !at || (*end && end[1]) || !(x > 0.0) || x > 1e18)
        return rub_error_set(err, RUB_INVALID,
                             "--%s: found '%.40s', expected a count such as 16M or 15.6T", option,
                             text);
    *out = x * unit[at - suffix];
    return RUB_OK;
}

static rub_status define(const train_settings *s, const rub_model *model,
                         const rub_accelerator *accel, rub_training_def *d, rub_error *err) {
    double batch = 0.0;
    *d = rub_training_default(model, accel);
    RUB_TRY(parse_count("tokens", s->tokens, &d->tokens, err));
    RUB_TRY(parse_count("batch-tokens", s->batch, &batch, err));
    RUB_TRY(rub_precision_parse(s->precision, &d->precision, err));
    d->n_accelerator = s->accelerators > 0 ? s->accelerators : s->tp * s->pp * s->cp;
    d->tp = (int32_t)s->tp;
    d->pp = (int32_t)s->pp;
    d->cp = (int32_t)s->cp;
    d->ep = (int32_t)s->ep;
    d->virtual_stages = (int32_t)s->virtual_stages;
    d->sequence_tok = s->sequence;
    d->batch_tok = (int64_t)batch;
    d->micro_batch = (int32_t)s->micro_batch;
    d->recompute_frac = s->recompute;
    d->network_bytes_per_s = s->network_gb_s * 1e9;
    d->storage_bytes_per_s = s->storage_tb_s * 1e12;
    d->failures_per_accel_h = s->failures;
    d->restart_s = s->restart;
    d->pue = s->pue;
    return RUB_OK;
}

static int print_json(const rub_training_def *d, const rub_training *t) {
    json_t *o = json_object(), *parts = json_object();
    const struct {
        const char *name;
        double value;
    } part[] = {{"products_s", t->product_s},   {"attention_s", t->attention_s},
                {"streaming_s", t->stream_s},   {"tensor_parallel_s", t->tensor_s},
                {"exchange_s", t->exchange_s},  {"context_parallel_s", t->context_s},
                {"data_parallel_s", t->data_s}, {"bubble_s", t->bubble_s},
                {"optimiser_s", t->optimiser_s}},
      whole[] = {{"step_s", t->step_s},
                 {"tflops_per_accelerator", t->flops_per_s * 1e-12},
                 {"mfu", t->mfu_frac},
                 {"tok_per_s", t->tok_per_s},
                 {"checkpoint_s", t->checkpoint_s},
                 {"goodput", t->goodput_frac},
                 {"steps", t->n_step},
                 {"days", t->wall_s / 86400.0},
                 {"accelerator_hours", t->accelerator_hours},
                 {"accelerator_months", t->accelerator_months},
                 {"it_mw", t->it_w * 1e-6},
                 {"energy_mwh", t->energy_wh * 1e-6}};
    json_object_set_new(o, "model", json_string(d->model->name));
    json_object_set_new(o, "accelerator", json_string(d->accel->name));
    json_object_set_new(o, "accelerators", json_integer(d->n_accelerator));
    for (size_t i = 0; i < RUB_LEN(whole); i++)
        json_object_set_new(o, whole[i].name, json_real(whole[i].value));
    for (size_t i = 0; i < RUB_LEN(part); i++)
        json_object_set_new(parts, part[i].name, json_real(part[i].value));
    json_object_set_new(o, "checkpoint_interval_s",
                        isfinite(t->interval_s) ? json_real(t->interval_s) : json_null());
    json_object_set_new(o, "step", parts);
    json_object_set_new(o, "provenance", json_pack("{s:s}", "rubato", rub_version()));
    return rub_command_print_json(o);
}

static void print_text(const rub_training_def *d, const rub_training *t) {
    int64_t copies = d->n_accelerator / ((int64_t)d->tp * d->pp * d->cp);
    printf("%s in %s on %lld x %s: tp %d, pp %d, cp %d, %lld copies; %.4g M tokens a step in "
           "sequences of %lld\n\n",
           d->model->name, rub_precision_name(d->precision), (long long)d->n_accelerator,
           d->accel->name, d->tp, d->pp, d->cp, (long long)copies, (double)d->batch_tok * 1e-6,
           (long long)d->sequence_tok);
    printf("  step %.4g s: products %.3g, attention %.3g, streaming %.3g; not hidden: tensor "
           "parallel %.3g, experts %.3g, context %.3g, data %.3g; bubble %.3g, optimiser %.2g\n",
           t->step_s, t->product_s, t->attention_s, t->stream_s, t->tensor_s, t->exchange_s,
           t->context_s, t->data_s, t->bubble_s, t->optimiser_s);
    printf("  %.4g TFLOP/s an accelerator, MFU %.1f %% of the bf16 peak, %.4g tokens/s\n",
           t->flops_per_s * 1e-12, 100.0 * t->mfu_frac, t->tok_per_s);
    if (isfinite(t->interval_s))
        printf("  a failure every %.3g h; a checkpoint takes %.3g s, best every %.3g min; %.1f %% "
               "of the time counts\n",
               t->failure_s / 3600.0, t->checkpoint_s, t->interval_s / 60.0,
               100.0 * t->goodput_frac);
    printf("  %.4g T tokens: %.4g days, %.4g M accelerator-hours (%.4g accelerator-months)\n",
           d->tokens * 1e-12, t->wall_s / 86400.0, t->accelerator_hours * 1e-6,
           t->accelerator_months);
    printf("  %.4g MW IT, %.4g GWh with a PUE of %.2f\n", t->it_w * 1e-6, t->energy_wh * 1e-9,
           d->pue);
}

static int run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args, (void)args;
    const train_settings *s = settings;
    rub_catalog *catalog = NULL;
    rub_model *model = calloc(1, sizeof *model);
    const rub_accelerator *accel = NULL;
    rub_training_def def;
    rub_training result;
    rub_error err = {0};
    rub_status status = model ? RUB_OK : rub_error_set(&err, RUB_NO_MEMORY, "out of memory");
    if (status == RUB_OK && (!s->model || !s->accelerator))
        status = rub_error_set(&err, RUB_INVALID, "expected --model and --accelerator");
    if (status == RUB_OK)
        status = rub_catalog_load(&catalog, &err);
    if (status == RUB_OK)
        status = rub_catalog_model_find(catalog, s->model, model, &err);
    if (status == RUB_OK)
        status = rub_catalog_accelerator(catalog, s->accelerator, &accel, &err);
    if (status == RUB_OK)
        status = define(s, model, accel, &def, &err);
    if (status == RUB_OK)
        status = rub_training_of(&def, &result, &err);
    int rc = 0;
    if (status != RUB_OK)
        rc = rub_command_fail(&err);
    else if (s->json)
        rc = print_json(&def, &result);
    else
        print_text(&def, &result);
    free(model);
    rub_catalog_free(catalog);
    return rc;
}

#define OPTION(name, kind, field, meta, help, min, max)                                            \
    { name, RUB_OPTION_##kind, offsetof(train_settings, field), meta, help, min, max, NULL }

static const rub_option options[] = {
    OPTION("model", STRING, model, "NAME", "model of the catalog, or a path to its config.json", 0,
           0),
    OPTION("accelerator", STRING, accelerator, "NAME", "accelerator of the catalog", 0, 0),
    OPTION("accelerators", INT, accelerators, "N", "how many (tp * pp * cp)", 1, 1e9),
    OPTION("tp", INT, tp, "N", "tensor parallel (1)", 1, 1024),
    OPTION("pp", INT, pp, "N", "pipeline parallel (1)", 1, 4096),
    OPTION("cp", INT, cp, "N", "context parallel (1)", 1, 4096),
    OPTION("ep", INT, ep, "N", "accelerators that experts are spread over (1)", 1, 1 << 20),
    OPTION("virtual-stages", INT, virtual_stages, "N",
           "interleaved pipeline stages on a device (one layer each)", 1, 1024),
    OPTION("sequence", INT, sequence, "TOKENS", "length of a sequence (8192)", 1, 1e9),
    OPTION("batch-tokens", STRING, batch, "COUNT", "tokens in a step (4M)", 0, 0),
    OPTION("micro-batch", INT, micro_batch, "N", "sequences in a micro-batch (1)", 1, 1e6),
    OPTION("tokens", STRING, tokens, "COUNT", "tokens to train on (1T)", 0, 0),
    OPTION("precision", STRING, precision, "KIND", "of the products: bf16, fp8 (bf16)", 0, 0),
    OPTION("recompute", DOUBLE, recompute, "X", "share of the forward pass computed again (0)", 0,
           1),
    OPTION("network", DOUBLE, network_gb_s, "GB/S",
           "between servers, for each accelerator, one direction (50)", 1e-3, 1e5),
    OPTION("storage", DOUBLE, storage_tb_s, "TB/S", "checkpoints, all together (2)", 1e-6, 1e6),
    OPTION("failures", DOUBLE, failures, "X",
           "interruptions for each accelerator-hour (2e-5, Llama 3)", 0, 1),
    OPTION("restart", DOUBLE, restart, "SECONDS", "from a failure to the next step (600)", 0, 1e6),
    OPTION("pue", DOUBLE, pue, "X", "power usage effectiveness (1.15)", 1, 10),
    RUB_OPTION_JSON(train_settings),
    {0}};

const rub_command rub_cmd_train = {
    .name = "train",
    .summary =
        "step time, utilisation, goodput with failures, accelerator-months of a training run",
    .arguments = "",
    .description =
        "Time of a training step by its parts, model FLOPs utilisation (6 N a token and causal "
        "attention, against the bf16 peak), goodput with failures (checkpoints at Young's and "
        "Daly's interval), and the days, accelerator-hours and energy of the run. Constants and "
        "what they were compared with: docs/training.md.",
    .examples = "  rubato train --model llama-3.1-405b --accelerator h100 --accelerators 16384 "
                "--tp 8 --pp 16 --batch-tokens 16.78M --tokens 15.6T",
    .options = options,
    .settings_size = sizeof(train_settings),
    .defaults = defaults,
    .run = run};
