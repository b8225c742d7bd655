/* Catalog: accelerators, prices and models, each figure with its source and date; and the reader
 * of Hugging Face config.json files.
 *
 * The catalog is compiled into the library from the YAML files in data/: no data folder at run
 * time. Entries are read by rub_catalog_load and then borrowed by everything above. */
#ifndef RUBATO_CATALOG_H
#define RUBATO_CATALOG_H

#include "rubato/base.h"

#define RUB_CATALOG_NAME_MAX 48

/* ---- precisions ---------------------------------------------------------------------------- */

typedef enum rub_precision {
    RUB_PRECISION_AUTO, /* the model's own for weights; what follows from weights elsewhere */
    RUB_BF16,           /* also fp16 */
    RUB_FP8,            /* e4m3, per tensor or in blocks of 128 x 128 */
    RUB_INT8,
    RUB_MXFP4, /* 4 bits + an 8-bit scale for 32 values; experts only in MoE models */
    RUB_NVFP4, /* 4 bits + an 8-bit scale for 16 values */
    RUB_INT4,  /* weight-only, a 16-bit scale for 32 values */
} rub_precision;

/* "bf16", "fp8", ...; "auto". Never NULL. */
const char *rub_precision_name(rub_precision precision);

/* Accepts the names above and bfloat16, fp16, float16, fp8_block, fp8_e4m3, fp4, w4a16, awq, gptq.
 * Errors: RUB_NOT_FOUND naming what is accepted. */
rub_status rub_precision_parse(const char *text, rub_precision *out, rub_error *err);

/* Bytes a value takes, scales included: bf16 2, fp8 1, mxfp4 0.53125, nvfp4 0.5625, int4 0.5625. */
double rub_precision_bytes(rub_precision precision);

/* ---- accelerators and prices --------------------------------------------------------------- */

/* One figure as the catalog has it. status: "read" (from the source named), "derived" (computed
 * from read figures), "recall" (from memory, to be verified), "assumed". */
typedef struct rub_fact {
    const char *key, *unit;
    double value;
    const char *status, *source, *date, *note; /* never NULL, "" when absent */
} rub_fact;

typedef struct rub_price {
    const char *accelerator; /* canonical name */
    const char *kind;        /* rental_on_demand, rental_1y, rental_3y, tco_hyperscaler,
                                tco_neocloud [USD per accelerator-hour], purchase [USD each] */
    double usd;
    const char *status, *source, *date, *note;
} rub_price;

typedef struct rub_accelerator {
    const char *name;  /* canonical: "H100-SXM" */
    const char *title; /* "NVIDIA H100 SXM 80 GB" */
    const char *const *alias;
    int32_t n_alias;
    /* dense peaks [FLOP/s]; 0 = the precision is not there */
    double bf16_flops, fp8_flops, int8_flops, fp4_flops;
    double mem_bytes; /* usable by an engine */
    double mem_bytes_per_s;
    double
        scaleup_bytes_per_s; /* link to the others of the domain, one direction, per accelerator */
    int32_t scaleup_domain;  /* accelerators joined by that link */
    int32_t node_size;       /* accelerators in one server */
    double tdp_w;            /* of the accelerator alone */
    double idle_w;           /* of the accelerator alone */
    double allin_w;          /* planned IT power per accelerator: server, network, storage */
    double usd_per_h;        /* default hourly price (newest 3-year rental, else newest rental, else
                                ownership) [USD per accelerator-hour]; 0 = no price known */
    double purchase_usd;     /* all-in server capex per accelerator; 0 = not known */
    double training_mfu;     /* model-FLOPs utilisation at bf16 in large dense training */
    const rub_fact *fact;    /* every figure with its source (n_fact) */
    int32_t n_fact;
    const rub_price *const *price; /* all prices of this accelerator, newest first (n_price) */
    int32_t n_price;
    const rub_price *default_price; /* what usd_per_h is; NULL when none */
} rub_accelerator;

/* ---- models -------------------------------------------------------------------------------- */

typedef enum rub_attention_kind {
    RUB_ATTENTION_GQA,    /* multi-head (kv_heads == heads), grouped or multi-query */
    RUB_ATTENTION_MLA,    /* multi-head latent attention (DeepSeek-V2, arXiv 2405.04434) */
    RUB_ATTENTION_LINEAR, /* gated delta net (arXiv 2412.06464): a state, no KV cache */
} rub_attention_kind;

typedef struct rub_attention {
    rub_attention_kind kind;
    int32_t heads, kv_heads;
    int32_t head_dim;                           /* of queries and keys */
    int32_t v_head_dim;                         /* of values */
    int32_t window_tok;                         /* tokens that a token looks back at; 0 = all */
    int32_t q_lora, kv_lora, qk_nope, qk_rope;  /* MLA; q_lora 0 = full query projection */
    int32_t index_heads, index_dim, index_topk; /* sparse attention's indexer; 0 = none */
    int32_t key_heads, value_heads, key_dim, value_dim; /* LINEAR */
    int32_t conv_kernel;                                /* LINEAR */
    bool output_gate; /* a gate as wide as the heads beside the query projection */
    bool k_is_v;      /* no value projection: values come from the key projection */
    bool qkv_bias, o_bias, sinks;
    int32_t qk_norm_params; /* of query and key norms in a layer */
} rub_attention;

typedef struct rub_ffn {
    int32_t inter;                            /* width of the dense part or of the shared experts
                                                 together; 0 = none */
    int32_t n_expert, n_active, expert_inter; /* routed experts; n_expert 0 = dense layer */
    int32_t n_matrix;                         /* 3: gated (SwiGLU, GeGLU); 2: plain */
    bool bias;                                /* in experts and router, or in the dense matrices */
    bool shared_gate;                         /* a scalar gate on the shared expert */
    bool router_bias;                         /* a correction per expert */
} rub_ffn;

/* Layers that are alike. Order within the model does not matter to time or memory. */
typedef struct rub_layer_group {
    int32_t n_layer;
    int32_t n_norm; /* hidden-size norms in one layer */
    rub_attention attention;
    rub_ffn ffn;
} rub_layer_group;

#define RUB_MODEL_MAX_GROUPS 8

/* A model's dimensions: a plain value, copied freely. */
typedef struct rub_model {
    char name[96];
    char type[RUB_CATALOG_NAME_MAX]; /* model_type of the configuration */
    int32_t n_layer, hidden;
    int64_t vocab, context_tok;
    bool tied_embeddings;
    bool text_part_only;          /* a multimodal configuration of which the text part was read */
    int32_t n_mtp_layer;          /* multi-token-prediction layers: not counted anywhere */
    rub_precision weights;        /* as published */
    bool experts_only;            /* the published low precision covers routed experts only */
    bool active_counts_embedding; /* the maker counts the input embedding as active */
    int32_t n_group;
    rub_layer_group group[RUB_MODEL_MAX_GROUPS];
    char source[192], status[16], date[16], note[256];
    double published_params, published_active; /* as the maker states; 0 = not stated */
} rub_model;

/* Parameters of one layer of a group, by where they are used. */
typedef struct rub_layer_params {
    double attention; /* projections, norms inside attention, indexer */
    double ffn;       /* dense part or shared experts */
    double router;
    double expert; /* one routed expert; the layer has n_expert of them */
    double norm;
} rub_layer_params;

typedef struct rub_model_counts {
    double params;              /* all; multi-token-prediction and vision parts excluded */
    double active_params;       /* used by one token, by the maker's convention on the embedding */
    double active_no_embedding; /* without the input embedding (a lookup), output head included */
    double embedding_params;    /* input embedding */
    double head_params;         /* output head; 0 when tied */
    double kv_bytes_per_tok; /* bf16, all layers, full context (windows not applied), undivided */
    double kv_bytes_per_tok_windowed; /* bf16, what each further token costs beyond every window */
    double state_bytes_per_seq;       /* of linear attention, per request, whatever its length */
} rub_model_counts;

rub_layer_params rub_layer_params_of(const rub_model *model, const rub_layer_group *group);
rub_model_counts rub_model_count(const rub_model *model);

/* Values (not bytes) that one token adds to the KV cache of one layer: GQA kv_heads * (head_dim +
 * v_head_dim), MLA kv_lora + qk_rope, LINEAR 0. */
double rub_attention_kv_values(const rub_attention *attention);

/* Bytes that a sparse indexer keeps beside them for one token and layer: fp8 keys and one 32-bit
 * scale (as vLLM keeps DeepSeek-V3.2's); 0 without an indexer. */
double rub_attention_index_bytes(const rub_attention *attention);

/* Bytes of state of one request in one layer of linear attention: 32-bit state, 16-bit convolution
 * tail; 0 for other kinds. */
double rub_attention_state_bytes(const rub_attention *attention);

/* Reads a config.json. name appears in errors and becomes the model's name. Nested text_config is
 * read for multimodal models. Errors: RUB_PARSE (JSON), RUB_INVALID (missing, absurd or
 * contradictory values), RUB_UNSUPPORTED (encoder-decoders and the like), with line and column. */
rub_status rub_model_read_memory(const char *name, const char *bytes, size_t n, rub_model *out,
                                 rub_error *err);
rub_status rub_model_read(const char *path, rub_model *out, rub_error *err);

/* ---- the catalog --------------------------------------------------------------------------- */

typedef struct rub_catalog {
    int32_t n_accelerator, n_model, n_price;
    const rub_accelerator *accelerator;
    const rub_model *model;
    const char *const *const *model_alias; /* NULL-terminated lists (n_model) */
    const rub_price *price;
    void *memory; /* owns everything above */
} rub_catalog;

/* Reads the built-in catalog (about a millisecond). Free with rub_catalog_free when nothing borrows
 * from it any more. Errors: RUB_NO_MEMORY. */
rub_status rub_catalog_load(rub_catalog **out, rub_error *err);
void rub_catalog_free(rub_catalog *catalog);

/* By name or alias; case, '-', '_', ' ', '.' do not matter ("h100", "H100_SXM", "nvidia-h100").
 * Errors: RUB_NOT_FOUND with a suggestion. Borrowed from the catalog. */
rub_status rub_catalog_accelerator(const rub_catalog *catalog, const char *name,
                                   const rub_accelerator **out, rub_error *err);
rub_status rub_catalog_model(const rub_catalog *catalog, const char *name, const rub_model **out,
                             rub_error *err);

/* A model by catalog name, or by path when name ends in ".json" or holds a '/' that leads to a
 * file; copied into *out. */
rub_status rub_catalog_model_find(const rub_catalog *catalog, const char *name_or_path,
                                  rub_model *out, rub_error *err);

/* Training accelerator-equivalents of one accelerator: (bf16 peak * MFU) relative to reference.
 * The MFU is the catalog's fact "training_mfu" with its source. */
double rub_training_yield(const rub_accelerator *accel, const rub_accelerator *reference);

#endif
