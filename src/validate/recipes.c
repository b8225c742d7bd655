/* How engines were set: facts from the public recipes of the benchmark that most rows come from
 * (SemiAnalysis InferenceX, benchmarks/ at 2025-10-20, 2025-12-20, 2026-02-15, 2026-04-05 and
 * 2026-04-25), which the table does not hold. None of it is fitted. */
#include "validate/validate.h"

#include <string.h>

/* The benchmark's client draws lengths from [0.8, 1] of the nominal ones (its RANDOM_RANGE_RATIO). */
#define LEAST_FRAC 0.8

typedef struct setting {
    const char *engine, *model, *system, *precision; /* parts of the names; "" is any */
    const char *from;                                /* measured on that day or later; "" is any */
    rub_precision kv_cache;
    int32_t budget_tok; /* 0: the default; -n: n times the nominal prompt */
    int32_t poll_steps; /* SGLang's scheduler-recv-interval; 30: from 16 clients on, 10 below */
} setting;

/* The first that fits a row is its own. vLLM: max-num-batched-tokens; SGLang: chunked-prefill-size;
 * TensorRT-LLM: max_num_tokens. */
static const setting settings[] = {
    {"vllm", "MiniMax", "b200", "", "2026-04-03", RUB_FP8, -2, 0},
    {"vllm", "MiniMax", "b300", "", "", RUB_FP8, -2, 0},
    {"vllm", "MiniMax", "", "", "", RUB_BF16, 0, 0},
    {"vllm", "Kimi", "b200", "fp4", "2026-04-20", RUB_FP8, -2, 0},
    {"vllm", "Kimi", "", "", "", RUB_BF16, 0, 0},
    {"vllm", "Llama-3.1-70B", "", "", "", RUB_FP8, 0, 0},
    {"vllm", "gpt-oss", "b200", "", "", RUB_FP8, 0, 0},
    {"vllm", "gpt-oss", "", "", "", RUB_BF16, 0, 0},
    {"sglang", "DeepSeek", "b", "fp4", "", RUB_FP8, 16384, 30},
    {"sglang", "DeepSeek", "b", "", "", RUB_FP8, 32768, 30},
    {"sglang", "DeepSeek", "h200", "", "", RUB_BF16, 32768, 0},
    {"sglang", "GLM-5", "b", "fp4", "", RUB_FP8, 32768, 10},
    {"sglang", "GLM-5", "b", "", "", RUB_FP8, 32768, 0},
    {"sglang", "Qwen3.5", "b200", "bf16", "", RUB_BF16, 32768, 30},
    {"sglang", "Qwen3.5", "b200", "", "", RUB_FP8, 32768, 30},
    {"sglang", "Qwen3.5", "b300", "bf16", "", RUB_BF16, 32768, 30},
    {"sglang", "Qwen3.5", "b300", "fp4", "", RUB_FP8, 32768, 30},
    {"sglang", "Qwen3.5", "b300", "fp8", "2026-04-17", RUB_FP8, 16384, 10},
    {"sglang", "Qwen3.5", "b300", "", "", RUB_FP8, 32768, 30},
    {"sglang", "Qwen3.5", "h", "", "", RUB_FP8, 16384, 0},
    {"trtllm", "Llama-3.1-70B", "", "", "", RUB_FP8, 16384, 0},
    {"trtllm", "gpt-oss", "", "", "", RUB_FP8, 20000, 0},
};

static const char *measured_on(const char *source) {
    const char *at = strstr(source, "measured=");
    return at ? at + strlen("measured=") : "";
}

static bool fits(const setting *s, const rub_silicon_row *row, const char *day) {
    return strcmp(row->engine, s->engine) == 0 && strstr(row->model, s->model) &&
           strncmp(row->system, s->system, strlen(s->system)) == 0 &&
           strncmp(row->precision, s->precision, strlen(s->precision)) == 0 &&
           strcmp(day, s->from) >= 0;
}

/* Rows of the benchmark: dumps of its database, its tables by day, analyses of its gaps. Others were
 * measured for single models, with prompts and answers of one length: their TTFT does not grow
 * with the number of clients, as it does where ends of answers bunch. */
static bool is_benchmark(const char *source) {
    return !strstr(source, "source_file=") || strstr(source, "source_file=20") ||
           strstr(source, "gap-analysis");
}

/* DeepSeek: room for one prompt and all answers, 8,192 at least from 2026-01-21 on. In fp8 on B200
 * new prompts wait for others when many clients send short ones, from 2026-01-29 on. */
static void set_trtllm(const rub_silicon_row *row, const char *day, rub_silicon_recipe *r) {
    bool square = row->input_tok == 1024 && row->output_tok == 1024;
    if (strstr(row->model, "DeepSeek")) {
        r->budget_tok = (row->concurrency + row->input_tok + 127) / 64 * 64;
        if (strcmp(day, "2026-01-21") >= 0 && r->budget_tok < 8192)
            r->budget_tok = 8192;
        bool holds = strcmp(row->precision, "fp8") == 0 && strcmp(row->system, "b200_sxm") == 0 &&
                     strcmp(day, "2026-01-29") >= 0;
        if (holds && square && row->concurrency >= 64) {
            r->hold_steps = 40;
            r->hold_tok = (int32_t)(0.8 * (double)r->budget_tok);
        }
    }
    if (strstr(row->model, "Llama-3.1-70B") && square && row->pool.tp < 8) {
        r->hold_steps = 20;
        r->hold_tok = (int32_t)(0.9 * (double)r->budget_tok);
    }
    if (row->pool.dp >
        1) /* attention_dp_config: enable_balance; 60 set for DeepSeek, 50 by default */
        r->balance_steps = strstr(row->model, "DeepSeek") ? 60 : 50;
}

static void take(const setting *s, const rub_silicon_row *row, rub_silicon_recipe *r) {
    r->kv_cache = s->kv_cache;
    if (s->budget_tok)
        r->budget_tok =
            s->budget_tok > 0 ? s->budget_tok : -(int64_t)s->budget_tok * row->input_tok;
    r->poll_steps = s->poll_steps == 30 && row->concurrency < 16 ? 10 : s->poll_steps;
    bool half = strstr(row->model, "DeepSeek") && strcmp(row->precision, "fp8") == 0 &&
                row->pool.tp == 4 && s->poll_steps > 0;
    if (half) { /* DeepSeek in fp8 on four accelerators is given less */
        r->budget_tok = 8192;
        r->poll_steps = 10;
    }
}

rub_silicon_recipe rub_silicon_recipe_of(const rub_silicon_row *row, const char *source) {
    bool trtllm = strcmp(row->engine, "trtllm") == 0;
    const char *day = measured_on(source);
    rub_silicon_recipe r = {.least_frac = 1.0,
                            .steady = true,
                            .budget_tok = strcmp(row->engine, "sglang") == 0 ? 16384 : 8192,
                            .kv_cache = RUB_PRECISION_AUTO,
                            .whole_prompts = trtllm};
    if (!is_benchmark(source))
        return r;
    r.least_frac = LEAST_FRAC;
    r.steady = false;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (fits(&settings[i], row, day)) {
            take(&settings[i], row, &r);
            break;
        }
    if (trtllm && !row->disagg)
        set_trtllm(row, day, &r);
    return r;
}

/* One configuration was measured with and without multi-token prediction, at TPOT apart by 1.3 to 2,
 * and the table does not say which is which. These releases and images come with the fast half only:
 * TensorRT-LLM's 1.2.0rc6.post3, its 1.1.0rc2.post2 from January 2026 on (DeepSeek-R1), and SGLang's
 * image v0.5.9-cu130 for Qwen3.5 in fp8. */
bool rub_silicon_speculates(const rub_silicon_row *row, const char *version) {
    static const char image[] = "sglang:v0.5.9-cu130";
    const char *source = row->source;
    size_t n = strlen(source), m = sizeof image - 1;
    if (row->disagg)
        return false;
    if (strcmp(row->engine, "trtllm") == 0 && strstr(row->model, "DeepSeek-R1"))
        return strcmp(version, "1.2.0rc6.post3") == 0 ||
               (strcmp(version, "1.1.0rc2.post2") == 0 && strstr(source, "measured=2026"));
    return strcmp(row->engine, "sglang") == 0 && strstr(row->model, "Qwen3.5") &&
           strcmp(row->precision, "fp8") == 0 && n > m && strcmp(source + n - m, image) == 0;
}

double rub_silicon_tokens_per_step(int32_t draft_tok) {
    double tokens = 1.0, right = 1.0;
    for (int32_t i = 0; i < draft_tok; i++)
        tokens += right *= RUB_DRAFT_ACCEPTANCE;
    return tokens;
}

bool rub_silicon_same_recipe(const rub_silicon_recipe *a, const rub_silicon_recipe *b) {
    return a->least_frac == b->least_frac && a->steady == b->steady &&
           a->budget_tok == b->budget_tok && a->kv_cache == b->kv_cache &&
           a->whole_prompts == b->whole_prompts && a->poll_steps == b->poll_steps &&
           a->hold_steps == b->hold_steps && a->hold_tok == b->hold_tok &&
           a->balance_steps == b->balance_steps;
}
