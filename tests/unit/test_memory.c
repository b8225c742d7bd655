/* Memory planner: published deployments that fit and that do not, and sums by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rubato/perf.h"

#include <math.h>
#include <string.h>

static rub_catalog *catalog;

static int load(void **state) {
    (void)state;
    return rub_catalog_load(&catalog, NULL) == RUB_OK ? 0 : 1;
}

static int unload(void **state) {
    (void)state;
    rub_catalog_free(catalog);
    return 0;
}

static rub_memory plan(const char *model, const char *accel, int32_t tp, rub_precision weights) {
    const rub_model *m = NULL;
    const rub_accelerator *a = NULL;
    rub_memory memory = {0};
    rub_error err = {0};
    assert_int_equal(rub_catalog_model(catalog, model, &m, NULL), RUB_OK);
    assert_int_equal(rub_catalog_accelerator(catalog, accel, &a, NULL), RUB_OK);
    rub_deployment d = rub_deployment_default(m, a);
    d.tp = tp;
    d.weights = weights;
    if (rub_memory_plan(&d, &memory, &err) != RUB_OK)
        fail_msg("%s", err.message);
    return memory;
}

static void command_a_fits_two_h100_in_fp8(void **state) {
    (void)state;
    rub_memory m = plan("command-a", "h100", 2, RUB_FP8);
    assert_true(m.fits && m.kv_blocks > 1000);
    m = plan("command-a", "h100", 2, RUB_BF16);
    assert_false(m.fits);
    assert_non_null(strstr(m.text, "fp8 weights on 2"));
}

static void llama_405b_bf16_does_not_fit_eight_h100(void **state) {
    (void)state;
    rub_memory m = plan("llama-405b", "h100", 8, RUB_BF16);
    assert_false(m.fits);
    /* 812 GB over eight of 85.5 GB usable at 0.92 */
    assert_true(fabs(m.weights_bytes - 2 * 405.85e9 / 8) < 0.3e9);
    assert_true(m.missing_bytes > 20e9 && m.missing_bytes < 30e9);
    assert_true(m.kv_blocks == 0);
    assert_non_null(strstr(m.text, "GB missing"));
    assert_non_null(strstr(m.text, "would fit: fp8 weights on 8"));
    assert_true(plan("llama-405b", "h100", 8, RUB_FP8).fits);
}

static void missing_bytes_are_what_is_missing(void **state) {
    (void)state;
    const rub_model *m = NULL;
    const rub_accelerator *a = NULL;
    rub_catalog_model(catalog, "llama-70b", &m, NULL);
    rub_catalog_accelerator(catalog, "h100", &a, NULL);
    rub_deployment d = rub_deployment_default(m, a);
    rub_memory memory;
    assert_int_equal(rub_memory_plan(&d, &memory, NULL), RUB_OK);
    assert_false(memory.fits);
    rub_accelerator larger = *a;
    larger.mem_bytes += (memory.missing_bytes + 1.0) / d.gpu_memory_utilization;
    d.accel = &larger;
    assert_int_equal(rub_memory_plan(&d, &memory, NULL), RUB_OK);
    assert_true(memory.fits);
    assert_true(memory.kv_tokens >= 2048 && memory.kv_tokens < 2100);
}

static void parts_add_up(void **state) {
    (void)state;
    rub_memory m = plan("llama-70b", "h100", 4, RUB_BF16);
    assert_true(m.fits);
    double sum =
        m.weights_bytes + m.activation_bytes + m.reserve_bytes + m.state_bytes + m.kv_bytes;
    assert_true(fabs(sum - m.budget_bytes) < 1.0);
    assert_true(m.kv_bytes_per_tok == 327680 / 4);
    assert_true(m.kv_blocks == (int64_t)(m.kv_bytes / (16 * m.kv_bytes_per_tok)));
}

static void kv_heads_are_copied_and_latents_not_divided(void **state) {
    (void)state;
    /* Qwen3.5: 2 KV heads of 256, 15 layers: 8 accelerators hold one head each, not a quarter */
    assert_true(plan("qwen3.5-397b", "b200", 8, RUB_BF16).kv_bytes_per_tok == 15 * 2 * 256 * 2);
    assert_true(plan("deepseek-v3", "h200", 8, RUB_FP8).kv_bytes_per_tok == 70272);
    assert_true(plan("qwen3.5-397b", "b200", 8, RUB_BF16).state_bytes > 1e9);
}

static void windows_make_contexts_longer(void **state) {
    (void)state;
    rub_memory m = plan("gpt-oss-120b", "h100", 1, RUB_PRECISION_AUTO);
    assert_true(m.fits);
    /* 18 full layers of 2 * 8 * 64 values grow; 18 windows of 128 do not */
    assert_true(m.kv_bytes_per_tok == 18 * 1024 * 2);
    assert_true(m.kv_fixed_bytes_per_seq == 18.0 * 1024 * 2 * 128);
    double by_block = m.kv_bytes / (double)m.kv_tokens;
    assert_true(by_block > 18 * 1024 * 2 && by_block < 1.1 * 18 * 1024 * 2);
}

static void power_and_cost_scale_with_accelerators(void **state) {
    (void)state;
    const rub_accelerator *a = NULL;
    rub_catalog_accelerator(catalog, "h100", &a, NULL);
    rub_deployment d = rub_deployment_default(&catalog->model[0], a);
    rub_power one = rub_power_of(&d);
    d.tp = 4;
    rub_power four = rub_power_of(&d);
    assert_true(one.peak_w == a->allin_w && one.idle_w > a->idle_w && one.idle_w < one.peak_w);
    assert_true(fabs(four.peak_w / one.peak_w - 4.0) < 1e-12);
    assert_true(rub_power_at(&one, 0.0) == one.idle_w && rub_power_at(&one, 2.0) == one.peak_w);
    double half = rub_power_at(&one, 0.5);
    assert_true(half > 0.5 * (one.idle_w + one.peak_w) && half < one.peak_w);
    assert_true(fabs(rub_joules_per_tok(&one, 0.5, 1000.0) - half / 1000.0) < 1e-12);
    assert_true(fabs(rub_cost_per_h(&d) - 4 * a->usd_per_h) < 1e-12);
}

/* 10,000 USD over 1 year without interest, power or space: 10,000 / 8,760 an hour. */
static void ownership_by_hand(void **state) {
    (void)state;
    const rub_accelerator *a = NULL;
    rub_catalog_accelerator(catalog, "h100", &a, NULL);
    rub_ownership o = {.capex_usd = 10000, .life_years = 1, .pue = 1.0};
    assert_true(fabs(rub_ownership_usd_per_h(&o, a) - 10000.0 / 8760) < 1e-9);
    o.power_usd_per_mwh = 100; /* 1.73 kW at 0.1 USD/kWh */
    assert_true(fabs(rub_ownership_usd_per_h(&o, a) - 10000.0 / 8760 - 0.173) < 1e-9);
    rub_ownership full = rub_ownership_default(a);
    double usd = rub_ownership_usd_per_h(&full, a);
    assert_true(usd > 1.0 && usd < 3.0); /* the catalog's TCO figures are 1.30 and 1.69 */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_a_fits_two_h100_in_fp8),
        cmocka_unit_test(llama_405b_bf16_does_not_fit_eight_h100),
        cmocka_unit_test(missing_bytes_are_what_is_missing),
        cmocka_unit_test(parts_add_up),
        cmocka_unit_test(kv_heads_are_copied_and_latents_not_divided),
        cmocka_unit_test(windows_make_contexts_longer),
        cmocka_unit_test(power_and_cost_scale_with_accelerators),
        cmocka_unit_test(ownership_by_hand),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
