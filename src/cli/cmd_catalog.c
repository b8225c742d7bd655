/* rubato catalog: what the library knows of accelerators, models and prices, and from where. */
#include "cli/commands.h"

#include "base/array.h"
#include "base/text.h"
#include "rubato/perf.h"

#include <string.h>

typedef struct settings {
    bool json;
    int what;
    const char *on, *weights, *kv_cache;
    int64_t tp;
} settings;

enum { ALL, ACCELERATORS, MODELS, PRICES };
static const char *const what_choices[] = {"all", "accelerators", "models", "prices", NULL};

static void defaults(void *s) { ((settings *)s)->tp = 1; }

/* ---- JSON ---------------------------------------------------------------------------------- */

static void set_text(json_t *object, const char *key, const char *text) {
    if (text[0])
        json_object_set_new(object, key, json_string(text));
}

static json_t *price_json(const rub_price *p) {
    json_t *o =
        json_pack("{s:s,s:s,s:f,s:s,s:s,s:s}", "accelerator", p->accelerator, "kind", p->kind,
                  "usd", p->usd, "date", p->date, "status", p->status, "source", p->source);
    set_text(o, "note", p->note);
    return o;
}

static json_t *fact_json(const rub_fact *f) {
    json_t *o = json_pack("{s:f,s:s,s:s,s:s,s:s}", "value", f->value, "unit", f->unit, "status",
                          f->status, "source", f->source, "date", f->date);
    set_text(o, "note", f->note);
    return o;
}

static json_t *accelerator_json(const rub_accelerator *a) {
    json_t *o =
        json_pack("{s:s,s:s,s:s}", "kind", "accelerator", "name", a->name, "title", a->title);
    json_t *figures = json_object(), *prices = json_array(), *aliases = json_array();
    for (int32_t i = 0; i < a->n_fact; i++)
        json_object_set_new(figures, a->fact[i].key, fact_json(&a->fact[i]));
    for (int32_t i = 0; i < a->n_price; i++)
        json_array_append_new(prices, price_json(a->price[i]));
    for (int32_t i = 0; i < a->n_alias; i++)
        json_array_append_new(aliases, json_string(a->alias[i]));
    json_object_set_new(o, "aliases", aliases);
    json_object_set_new(o, "figures", figures);
    json_object_set_new(o, "prices", prices);
    if (a->usd_per_h > 0.0)
        json_object_set_new(o, "usd_per_h", json_real(a->usd_per_h));
    return o;
}

static const char *attention_name(const rub_attention *a) {
    if (a->kind == RUB_ATTENTION_MLA)
        return "mla";
    if (a->kind == RUB_ATTENTION_LINEAR)
        return "linear";
    return a->kv_heads == a->heads ? "mha" : a->kv_heads == 1 ? "mqa" : "gqa";
}

static void set_int(json_t *object, const char *key, int64_t value) {
    if (value > 0)
        json_object_set_new(object, key, json_integer(value));
}

static json_t *group_json(const rub_layer_group *g) {
    const rub_attention *a = &g->attention;
    const rub_ffn *f = &g->ffn;
    json_t *o = json_pack("{s:i,s:s,s:i,s:i,s:i,s:i}", "layers", g->n_layer, "attention",
                          attention_name(a), "heads", a->heads, "kv_heads", a->kv_heads, "head_dim",
                          a->head_dim, "v_head_dim", a->v_head_dim);
    set_int(o, "window_tok", a->window_tok);
    set_int(o, "q_lora_rank", a->q_lora);
    set_int(o, "kv_lora_rank", a->kv_lora);
    set_int(o, "qk_nope_head_dim", a->qk_nope);
    set_int(o, "qk_rope_head_dim", a->qk_rope);
    set_int(o, "index_heads", a->index_heads);
    set_int(o, "index_topk", a->index_topk);
    set_int(o, f->n_expert > 0 ? "shared_inter" : "ffn_inter", f->inter);
    set_int(o, "experts", f->n_expert);
    set_int(o, "experts_per_tok", f->n_active);
    set_int(o, "expert_inter", f->expert_inter);
    return o;
}

static json_t *model_json(const rub_model *m) {
    rub_model_counts c = rub_model_count(m);
    json_t *groups = json_array();
    for (int32_t i = 0; i < m->n_group; i++)
        json_array_append_new(groups, group_json(&m->group[i]));
    const rub_attention *a = &m->group[0].attention;
    json_t *o = json_pack(
        "{s:s,s:s,s:s,s:f,s:f,s:f,s:f,s:f,s:f}", "kind", "model", "name", m->name, "type", m->type,
        "params", c.params, "active_params", c.active_params, "active_params_without_embedding",
        c.active_no_embedding, "embedding_params", c.embedding_params, "kv_bytes_per_tok",
        c.kv_bytes_per_tok, "kv_bytes_per_tok_beyond_windows", c.kv_bytes_per_tok_windowed);
    json_object_update_new(
        o,
        json_pack("{s:i,s:i,s:i,s:i,s:i,s:I,s:I,s:b,s:s,s:b,s:b}", "layers", m->n_layer, "hidden",
                  m->hidden, "heads", a->heads, "kv_heads", a->kv_heads, "head_dim", a->head_dim,
                  "vocab", (json_int_t)m->vocab, "context_tok", (json_int_t)m->context_tok,
                  "tied_embeddings", m->tied_embeddings, "weights", rub_precision_name(m->weights),
                  "weights_experts_only", m->experts_only, "text_part_only", m->text_part_only));
    json_object_set_new(o, "groups", groups);
    if (c.state_bytes_per_seq > 0.0)
        json_object_set_new(o, "state_bytes_per_seq", json_real(c.state_bytes_per_seq));
    if (m->published_params > 0.0)
        json_object_set_new(o, "published",
                            json_pack("{s:f,s:f}", "params", m->published_params, "active_params",
                                      m->published_active));
    set_text(o, "source", m->source);
    set_text(o, "status", m->status);
    set_text(o, "date", m->date);
    set_text(o, "note", m->note);
    return o;
}

static json_t *catalog_json(const rub_catalog *c, int what) {
    json_t *o = json_object(), *accelerators = json_array(), *models = json_array(),
           *prices = json_array();
    for (int32_t i = 0; i < c->n_accelerator; i++)
        json_array_append_new(accelerators, accelerator_json(&c->accelerator[i]));
    for (int32_t i = 0; i < c->n_model; i++)
        json_array_append_new(models, model_json(&c->model[i]));
    for (int32_t i = 0; i < c->n_price; i++)
        json_array_append_new(prices, price_json(&c->price[i]));
    json_t *const part[] = {accelerators, models, prices};
    for (int i = 0; i < 3; i++)
        if (what == ALL || what == i + 1)
            json_object_set_new(o, what_choices[i + 1], part[i]);
        else
            json_decref(part[i]);
    return o;
}

/* ---- text ---------------------------------------------------------------------------------- */

static const char *flag(const char *status) {
    return strcmp(status, "read") == 0 || strcmp(status, "derived") == 0 ? "" : "*";
}

/* Whether any figure of the accelerator is from memory or assumed. */
static const char *accelerator_flag(const rub_accelerator *a) {
    for (int32_t i = 0; i < a->n_fact; i++)
        if (flag(a->fact[i].status)[0])
            return "*";
    return "";
}

static void cell(double value, const char *format, int width) {
    char text[32] = "-";
    if (value > 0.0)
        snprintf(text, sizeof text, format, value);
    printf(" %*s", width, text);
}

static void print_accelerators(const rub_catalog *c) {
    printf("Accelerators (dense TFLOP/s; * some figures from memory or assumed: "
           "'rubato catalog NAME' says which)\n");
    printf("  %-14s %6s %6s %6s %7s %6s %6s %6s %7s  %-27s %s\n", "name", "bf16", "fp8", "fp4",
           "GiB", "TB/s", "TDP W", "kW all", "USD/h", "price", "peaks from");
    for (int32_t i = 0; i < c->n_accelerator; i++) {
        const rub_accelerator *a = &c->accelerator[i];
        printf("  %s%-*s", a->name, 14 - (int)strlen(a->name), accelerator_flag(a));
        cell(a->bf16_flops * 1e-12, "%.0f", 6);
        cell(a->fp8_flops * 1e-12, "%.0f", 6);
        cell(a->fp4_flops * 1e-12, "%.0f", 6);
        cell(a->mem_bytes / 1073741824.0, "%.1f", 7);
        cell(a->mem_bytes_per_s * 1e-12, "%.2f", 6);
        cell(a->tdp_w, "%.0f", 6);
        cell(a->allin_w * 1e-3, "%.2f", 6);
        cell(a->usd_per_h, "%.2f", 7);
        printf("  %-16s %-10s %s %s\n", a->default_price ? a->default_price->kind : "",
               a->default_price ? a->default_price->date : "", a->fact[0].date, a->fact[0].source);
    }
}

static void print_models(const rub_catalog *c) {
    printf("Models (parameters counted from their dimensions; KV in bytes a token at bf16; * "
           "dimensions from memory)\n");
    printf("  %-24s %8s %8s %9s %9s %-6s %-10s %s\n", "name", "params", "active", "KV B/tok",
           "context", "weights", "date", "source");
    for (int32_t i = 0; i < c->n_model; i++) {
        const rub_model *m = &c->model[i];
        rub_model_counts n = rub_model_count(m);
        char params[24], active[24];
        printf("  %s%-*s %8s %8s %9.0f %9lld %-7s %-10s %s\n", m->name, 24 - (int)strlen(m->name),
               flag(m->status), rub_text_si(n.params, params, sizeof params),
               rub_text_si(n.active_params, active, sizeof active), n.kv_bytes_per_tok,
               (long long)m->context_tok, rub_precision_name(m->weights), m->date, m->source);
    }
}

static void print_price(const rub_price *p) {
    printf("  %-14s %-17s %9.2f  %-10s %s%s%s%s\n", p->accelerator, p->kind, p->usd, p->date,
           p->source, p->note[0] ? "; " : "", p->note,
           flag(p->status)[0]             ? " (from memory)"
           : strcmp(p->status, "derived") ? ""
                                          : " (derived)");
}

static void print_prices(const rub_catalog *c) {
    printf("Prices (USD per accelerator-hour; purchase: USD each, server included)\n");
    for (int32_t i = 0; i < c->n_price; i++)
        print_price(&c->price[i]);
}

static void print_accelerator(const rub_accelerator *a) {
    printf("%s: %s\n", a->name, a->title);
    for (int32_t i = 0; i < a->n_fact; i++) {
        const rub_fact *f = &a->fact[i];
        printf("  %-15s %9.6g %-12s %-8s %-10s %s\n", f->key, f->value, f->unit, f->status, f->date,
               f->source);
    }
    for (int32_t i = 0; i < a->n_price; i++)
        print_price(a->price[i]);
}

static void print_group(const rub_layer_group *g) {
    const rub_attention *a = &g->attention;
    const rub_ffn *f = &g->ffn;
    printf("  %d layers: %s, %d heads, %d KV heads, head size %d", g->n_layer, attention_name(a),
           a->heads, a->kv_heads, a->head_dim);
    if (a->kind == RUB_ATTENTION_MLA)
        printf(", latent %d + %d", a->kv_lora, a->qk_rope);
    if (a->window_tok > 0)
        printf(", window %d", a->window_tok);
    if (a->index_topk > 0)
        printf(", indexer of %d heads picks %d", a->index_heads, a->index_topk);
    if (f->n_expert > 0)
        printf("; %d experts of %d, %d a token", f->n_expert, f->expert_inter, f->n_active);
    if (f->inter > 0)
        printf("%s %d wide", f->n_expert > 0 ? ", shared" : "; FFN", f->inter);
    printf("\n");
}

static void print_model(const rub_model *m) {
    rub_model_counts c = rub_model_count(m);
    printf("%s (%s%s)\n", m->name, m->type, m->text_part_only ? ", text part only" : "");
    printf("  parameters     %.5g\n", c.params);
    printf("  active         %.5g a token, input embedding %s; %.5g without it\n", c.active_params,
           m->tied_embeddings || m->active_counts_embedding ? "included" : "left out",
           c.active_no_embedding);
    if (m->published_params > 0.0)
        printf("  published      %.5g and %.5g\n", m->published_params, m->published_active);
    printf("  KV cache       %.0f bytes a token at bf16", c.kv_bytes_per_tok);
    if (c.kv_bytes_per_tok_windowed < c.kv_bytes_per_tok)
        printf(", %.0f beyond the windows", c.kv_bytes_per_tok_windowed);
    if (c.state_bytes_per_seq > 0.0)
        printf("; state %.4g MB a request", c.state_bytes_per_seq * 1e-6);
    printf("\n  layers         %d, hidden %d, vocabulary %lld%s, context %lld\n", m->n_layer,
           m->hidden, (long long)m->vocab, m->tied_embeddings ? " (tied)" : "",
           (long long)m->context_tok);
    printf("  weights        %s%s as published\n", rub_precision_name(m->weights),
           m->experts_only ? " (experts only)" : "");
    for (int32_t i = 0; i < m->n_group; i++)
        print_group(&m->group[i]);
    printf("  source         %s%s%s (%s)%s%s\n", m->source, m->date[0] ? ", " : "", m->date,
           m->status, m->note[0] ? "; " : "", m->note);
}

/* ---- a model on an accelerator --------------------------------------------------------------- */

static json_t *memory_json(const rub_memory *m, const rub_power *power, double usd_per_h) {
    return json_pack("{s:b,s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:I,s:I,s:I,s:I,s:f,s:f,s:f}", "fits",
                     m->fits, "text", m->text, "capacity_bytes", m->capacity_bytes, "weights_bytes",
                     m->weights_bytes, "activation_bytes", m->activation_bytes, "reserve_bytes",
                     m->reserve_bytes, "kv_bytes", m->kv_bytes, "missing_bytes", m->missing_bytes,
                     "kv_bytes_per_tok", m->kv_bytes_per_tok, "kv_blocks", (json_int_t)m->kv_blocks,
                     "kv_tokens", (json_int_t)m->kv_tokens, "max_context_tok",
                     (json_int_t)m->max_context_tok, "max_batch_4k", (json_int_t)m->max_batch_4k,
                     "idle_w", power->idle_w, "peak_w", power->peak_w, "usd_per_h", usd_per_h);
}

static rub_status deployment_of(const settings *s, const rub_catalog *c, const rub_model *m,
                                rub_deployment *out, rub_error *err) {
    const rub_accelerator *accel = NULL;
    RUB_TRY(rub_catalog_accelerator(c, s->on, &accel, err));
    rub_deployment d = rub_deployment_default(m, accel);
    d.tp = (int32_t)s->tp;
    if (s->weights)
        RUB_TRY(rub_precision_parse(s->weights, &d.weights, err));
    if (s->kv_cache)
        RUB_TRY(rub_precision_parse(s->kv_cache, &d.kv_cache, err));
    *out = d;
    return RUB_OK;
}

/* The model, and with --on what a replica needs, gives and costs. */
static int show_model(const settings *s, const rub_catalog *c, const rub_model *m) {
    rub_deployment d = {0};
    rub_memory memory = {.fits = true};
    rub_error err = {0};
    rub_status status = s->on ? deployment_of(s, c, m, &d, &err) : RUB_OK;
    if (status == RUB_OK && s->on)
        status = rub_memory_plan(&d, &memory, &err);
    if (status != RUB_OK)
        return rub_command_fail(&err);
    rub_power power = s->on ? rub_power_of(&d) : (rub_power){0};
    double usd_per_h = s->on ? rub_cost_per_h(&d) : 0.0;
    if (s->json) {
        json_t *document = model_json(m);
        if (s->on)
            json_object_set_new(document, "deployment", memory_json(&memory, &power, usd_per_h));
        rub_command_print_json(document);
        return memory.fits ? 0 : 1;
    }
    print_model(m);
    if (s->on)
        printf("  %s\n  power          %.0f W idle to %.0f W, without cooling; %.2f USD per hour\n",
               memory.text, power.idle_w, power.peak_w, usd_per_h);
    return memory.fits ? 0 : 1;
}

static int show_all(const settings *s, const rub_catalog *c) {
    if (s->json)
        return rub_command_print_json(catalog_json(c, s->what));
    if (s->what == ALL || s->what == ACCELERATORS)
        print_accelerators(c);
    if (s->what == ALL || s->what == MODELS)
        print_models(c);
    if (s->what == ALL || s->what == PRICES)
        print_prices(c);
    return 0;
}

/* An accelerator or else a model; of two failures the one with a suggestion is told. */
static int show_one(const settings *s, const rub_catalog *c, const char *name) {
    const rub_accelerator *accel = NULL;
    rub_model model;
    rub_error first = {0}, second = {0};
    if (rub_catalog_accelerator(c, name, &accel, &first) == RUB_OK) {
        if (s->json)
            return rub_command_print_json(accelerator_json(accel));
        print_accelerator(accel);
        return 0;
    }
    rub_status status = rub_catalog_model_find(c, name, &model, &second);
    if (status == RUB_OK)
        return show_model(s, c, &model);
    bool suggests =
        strstr(first.message, "did you mean") && !strstr(second.message, "did you mean");
    return rub_command_fail(status == RUB_NOT_FOUND && suggests ? &first : &second);
}

static int run(const rub_command *self, const void *settings_, int n_args, char **args) {
    (void)self;
    const settings *s = settings_;
    rub_catalog *catalog = NULL;
    rub_error err = {0};
    if (rub_catalog_load(&catalog, &err) != RUB_OK)
        return rub_command_fail(&err);
    int rc = n_args > 0 ? show_one(s, catalog, args[0]) : show_all(s, catalog);
    rub_catalog_free(catalog);
    return rc;
}

static const rub_option options[] = {
    {"what", RUB_OPTION_CHOICE, offsetof(settings, what), "PART",
     "which part to list: all, accelerators, models, prices", 0, 0, what_choices},
    {"on", RUB_OPTION_STRING, offsetof(settings, on), "ACCELERATOR",
     "for a model: does a replica fit on accelerators of this kind, and what does it draw and cost",
     0, 0, NULL},
    {"tp", RUB_OPTION_INT, offsetof(settings, tp), "N", "with --on: accelerators in the replica", 1,
     1024, NULL},
    {"weights", RUB_OPTION_STRING, offsetof(settings, weights), "PRECISION",
     "with --on: bf16, fp8, int8, mxfp4, nvfp4, int4 (default: as published)", 0, 0, NULL},
    {"kv-cache", RUB_OPTION_STRING, offsetof(settings, kv_cache), "PRECISION",
     "with --on: bf16, fp8 or int8 (default: bf16)", 0, 0, NULL},
    RUB_OPTION_JSON(settings),
    {0}};

const rub_command rub_cmd_catalog = {
    .name = "catalog",
    .summary = "accelerators, models and prices with their sources; any config.json",
    .arguments = "[NAME | CONFIG.json]",
    .min_args = 0,
    .max_args = 1,
    .description =
        "Lists what Rubato knows of accelerators, models and prices, each figure with its source "
        "and date. With a name it tells all of one entry; case, '-', '_' and '.' do not matter "
        "(h100, H100_SXM, nvidia-h100). With the path of a Hugging Face config.json it reads the "
        "model's dimensions from there and counts parameters and KV bytes.\n\n"
        "Figures marked * were written down from memory or assumed and are to be verified. With "
        "--on the command says whether a replica fits; exit status 1 when it does not.",
    .examples = "  rubato catalog h100\n"
                "  rubato catalog path/to/config.json --json\n"
                "  rubato catalog command-a --on h100 --tp 2 --weights fp8",
    .options = options,
    .settings_size = sizeof(settings),
    .defaults = defaults,
    .run = run};
