/* Parameter counts against the makers' figures, and what the reader says of broken files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rubato/catalog.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MODELS RUB_ROOT "/../shared/data/models/"

static void near_to(const char *what, double found, double expected, double tolerance) {
    if (!(fabs(found / expected - 1.0) <= tolerance))
        fail_msg("%s: found %.6g, expected %.6g to %g %%", what, found, expected, 100 * tolerance);
}

/* Published sizes; active where the maker states it with enough digits. Billions. */
static void published_files_are_counted(void **state) {
    (void)state;
    static const struct {
        const char *file;
        double params, params_tolerance, active, active_tolerance, kv_bytes;
    } t[] = {
        {"meta-llama--Meta-Llama-3.1-8B", 8.03, 0.01, 8.03, 0.01, 131072},
        {"meta-llama--Meta-Llama-3.1-70B", 70.6, 0.01, 70.6, 0.01, 327680},
        {"meta-llama--Meta-Llama-3.1-405B", 405.9, 0.01, 405.9, 0.01, 516096},
        {"mistralai--Mixtral-8x7B-v0.1", 46.7, 0.01, 12.9, 0.01, 131072},
        {"mistralai--Mixtral-8x22B-v0.1", 141, 0.01, 39, 0.01, 229376},
        {"Qwen--Qwen3-8B", 8.2, 0.01, 8.2, 0.01, 147456},
        {"Qwen--Qwen3-32B", 32.8, 0.01, 32.8, 0.01, 262144},
        {"Qwen--Qwen3-30B-A3B", 30.5, 0.01, 3.3, 0.02, 98304},
        {"Qwen--Qwen3-235B-A22B-FP8", 235, 0.01, 22, 0.02, 192512},
        {"Qwen--Qwen3.5-397B-A17B", 397, 0.01, 17, 0.03, 30720},
        {"openai--gpt-oss-20b", 20.9, 0.01, 3.6, 0.01, 49152},
        {"openai--gpt-oss-120b", 116.8, 0.01, 5.1, 0.01, 73728},
        {"deepseek-ai--DeepSeek-V3", 671, 0.01, 36.6, 0.002, 70272},
        {"deepseek-ai--DeepSeek-R1", 671, 0.01, 36.6, 0.002, 70272},
        {"moonshotai--Kimi-K2.5", 1000, 0.03, 32, 0.01, 70272},
        {"MiniMaxAI--MiniMax-M2.5", 230, 0.01, 10, 0.11, 253952},
        {"zai-org--GLM-5", 744, 0.01, 40, 0.03, 78 * (576 * 2 + 132)},
        {"google--gemma-4-26B-A4B", 25.2, 0.01, 3.8, 0.01, 225280},
        {"meta-llama--Llama-4-Maverick-17B-128E-Instruct", 400, 0.01, 17, 0.02, 196608},
    };
    if (access(MODELS, R_OK) != 0) {
        print_message("# skipped: no ../shared\n");
        skip();
    }
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char path[512], text[900];
        rub_model model;
        rub_error err = {0};
        snprintf(path, sizeof path, MODELS "%s.json", t[i].file);
        if (rub_model_read(path, &model, &err) != RUB_OK)
            fail_msg("%s", rub_error_format(&err, text, sizeof text));
        rub_model_counts c = rub_model_count(&model);
        near_to(t[i].file, c.params, t[i].params * 1e9, t[i].params_tolerance);
        near_to(t[i].file, c.active_params, t[i].active * 1e9, t[i].active_tolerance);
        near_to(t[i].file, c.kv_bytes_per_tok, t[i].kv_bytes, 1e-9);
    }
}

static void kinds_of_layers_are_told_apart(void **state) {
    (void)state;
    if (access(MODELS, R_OK) != 0) {
        print_message("# skipped: no ../shared\n");
        skip();
    }
    rub_model m;
    assert_int_equal(rub_model_read(MODELS "Qwen--Qwen3.5-397B-A17B.json", &m, NULL), RUB_OK);
    assert_int_equal(m.n_group, 2);
    assert_int_equal(m.group[0].n_layer, 15);
    assert_int_equal(m.group[1].attention.kind, RUB_ATTENTION_LINEAR);
    assert_int_equal(m.group[1].n_layer, 45);
    assert_true(m.text_part_only);
    assert_string_equal(m.name, "Qwen--Qwen3.5-397B-A17B");
    assert_int_equal(rub_model_read(MODELS "openai--gpt-oss-120b.json", &m, NULL), RUB_OK);
    assert_int_equal(m.group[1].attention.window_tok, 128);
    assert_int_equal(m.group[1].n_layer, 18);
    assert_int_equal(m.weights, RUB_MXFP4);
    assert_true(m.experts_only);
    assert_int_equal(rub_model_read(MODELS "deepseek-ai--DeepSeek-V3.json", &m, NULL), RUB_OK);
    assert_int_equal(m.group[0].n_layer, 3);
    assert_int_equal(m.group[0].ffn.n_expert, 0);
    assert_int_equal(m.group[1].ffn.n_expert, 256);
    assert_int_equal(m.weights, RUB_FP8);
    assert_false(m.experts_only);
    assert_int_equal(m.n_mtp_layer, 1);
    assert_int_equal(rub_model_read(MODELS "moonshotai--Kimi-K2.5.json", &m, NULL), RUB_OK);
    assert_int_equal(m.weights, RUB_INT4);
    assert_true(m.experts_only);
    assert_int_equal(rub_model_read(MODELS "zai-org--GLM-5.json", &m, NULL), RUB_OK);
    assert_int_equal(m.group[1].attention.index_topk, 2048);
}

#define TINY                                                                                       \
    "\"model_type\": \"llama\",\n \"hidden_size\": 8, \"num_attention_heads\": 2,\n"               \
    " \"intermediate_size\": 16, \"vocab_size\": 10, \"max_position_embeddings\": 64"

static void hand_counted_model(void **state) {
    (void)state;
    const char *text = "{" TINY ", \"num_key_value_heads\": 1, \"num_hidden_layers\": 3}";
    rub_model m;
    assert_int_equal(rub_model_read_memory("a/tiny/config.json", text, strlen(text), &m, NULL),
                     RUB_OK);
    assert_string_equal(m.name, "tiny");
    /* a layer: q 64, k 32, v 32, o 64; FFN 3 * 128; norms 16. Outside: 2 * 80 + final norm 8. */
    rub_model_counts c = rub_model_count(&m);
    assert_true(c.params == 3 * (64 + 32 + 32 + 64 + 384 + 16) + 160 + 8);
    assert_true(c.active_no_embedding == c.params - 80);
    assert_true(c.kv_bytes_per_tok == 3 * 2 * 4 * 2);
}

static void expect_error(const char *text, rub_status status, const char *message) {
    rub_model m;
    rub_error err = {0};
    char buf[900];
    assert_int_equal(rub_model_read_memory("m.json", text, strlen(text), &m, &err), status);
    rub_error_format(&err, buf, sizeof buf);
    if (strcmp(buf, message) != 0)
        fail_msg("found '%s', expected '%s'", buf, message);
}

static void broken_files_get_a_place(void **state) {
    (void)state;
    expect_error("{" TINY "}", RUB_INVALID,
                 "m.json:1:1: key 'num_hidden_layers' is missing, expected a whole number");
    expect_error("{" TINY ",\n  \"num_hidden_layers\": 1000000000}", RUB_INVALID,
                 "m.json:4:3: 'num_hidden_layers' is 1000000000, expected 1 to 2000");
    expect_error("{" TINY ",\n  \"num_hidden_layers\": \"x\"}", RUB_INVALID,
                 "m.json:4:3: 'num_hidden_layers' is not a whole number, expected 1 to 2000");
    expect_error("{" TINY ",\n  \"num_hidden_layers\": 2, \"num_key_value_heads\": 3}", RUB_INVALID,
                 "m.json:4:27: 3 key-value heads for 2 heads, expected a divisor");
    expect_error("{" TINY ", \"num_hidden_layers\": 2,\n\"is_encoder_decoder\": true}",
                 RUB_UNSUPPORTED, "m.json:4:1: an encoder-decoder model, expected a decoder");
    expect_error("{" TINY ", \"num_hidden_layers\": 2,\n \"layer_types\": [\"x\", \"y\"]}",
                 RUB_UNSUPPORTED,
                 "m.json:4:2: layer type 'x' is not known, expected full_attention, "
                 "sliding_attention, chunked_attention or linear_attention");
    expect_error("{" TINY ", \"num_hidden_layers\": 2,\n \"num_local_experts\": 4,\n"
                 " \"num_experts_per_tok\": 9}",
                 RUB_INVALID, "m.json:5:2: 9 experts per token of 4 experts, expected no more");
    expect_error("{\"vision_config\": {\"num_hidden_layers\": -1},\n \"text_config\": {" TINY
                 ",\n  \"num_hidden_layers\": -5}}",
                 RUB_INVALID, "m.json:5:3: 'num_hidden_layers' is -5, expected 1 to 2000");
    expect_error("[]", RUB_INVALID, "m.json:1:1: not an object, expected a config.json");
}

static void json_errors_keep_their_line(void **state) {
    (void)state;
    rub_model m = {.n_layer = 5};
    rub_error err = {0};
    const char *text = "{\n \"a\": 1,\n oops}";
    assert_int_equal(rub_model_read_memory("m.json", text, strlen(text), &m, &err), RUB_PARSE);
    assert_int_equal(err.line, 3);
    assert_int_equal(m.n_layer, 5);
    assert_int_equal(rub_model_read("no/such/file.json", &m, &err), RUB_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_files_are_counted),
        cmocka_unit_test(kinds_of_layers_are_told_apart),
        cmocka_unit_test(hand_counted_model),
        cmocka_unit_test(broken_files_get_a_place),
        cmocka_unit_test(json_errors_keep_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
