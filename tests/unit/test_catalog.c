/* The built-in catalog: complete, sourced, found by many names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rubato/catalog.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static rub_catalog *catalog;

static int load(void **state) {
    (void)state;
    rub_error err = {0};
    char text[900];
    if (rub_catalog_load(&catalog, &err) != RUB_OK) {
        print_error("%s\n", rub_error_format(&err, text, sizeof text));
        return 1;
    }
    return 0;
}

static int unload(void **state) {
    (void)state;
    rub_catalog_free(catalog);
    return 0;
}

static void every_figure_has_source_and_date(void **state) {
    (void)state;
    static const char *const known[] = {"read", "derived", "recall", "assumed"};
    assert_true(catalog->n_accelerator >= 11);
    for (int32_t i = 0; i < catalog->n_accelerator; i++) {
        const rub_accelerator *a = &catalog->accelerator[i];
        assert_true(a->bf16_flops > 1e14 && a->mem_bytes > 2e10 && a->mem_bytes_per_s > 5e11);
        assert_true(a->tdp_w > a->idle_w && a->allin_w > a->tdp_w && a->node_size > 0);
        assert_true(a->scaleup_bytes_per_s > 1e10 && a->scaleup_domain > 0);
        assert_true(a->training_mfu > 0.1 && a->training_mfu < 0.7);
        for (int32_t j = 0; j < a->n_fact; j++) {
            const rub_fact *f = &a->fact[j];
            bool ok = strlen(f->source) > 5 && strlen(f->date) >= 7;
            size_t k = 0;
            while (k < 4 && strcmp(known[k], f->status) != 0)
                k++;
            if (!ok || k == 4)
                fail_msg("%s %s: status '%s', source '%s', date '%s'", a->name, f->key, f->status,
                         f->source, f->date);
        }
    }
}

static void prices_belong_to_accelerators(void **state) {
    (void)state;
    int32_t n = 0;
    for (int32_t i = 0; i < catalog->n_accelerator; i++) {
        const rub_accelerator *a = &catalog->accelerator[i];
        n += a->n_price;
        for (int32_t j = 0; j < a->n_price; j++) {
            assert_string_equal(a->price[j]->accelerator, a->name);
            assert_true(strlen(a->price[j]->source) > 5 && strlen(a->price[j]->date) >= 7);
            if (j > 0)
                assert_true(strcmp(a->price[j - 1]->date, a->price[j]->date) >= 0);
        }
    }
    assert_int_equal(n, catalog->n_price); /* no price of an accelerator that is not there */
    const rub_accelerator *h100 = NULL;
    assert_int_equal(rub_catalog_accelerator(catalog, "h100", &h100, NULL), RUB_OK);
    assert_string_equal(h100->default_price->kind, "rental_3y");
    assert_string_equal(h100->default_price->date, "2026-04"); /* newer than Google's of 2025 */
}

static void names_are_forgiving(void **state) {
    (void)state;
    static const char *const names[] = {"H100", "h100_sxm", "nvidia-h100", "H100-SXM", "h100 SXM5"};
    const rub_accelerator *a = NULL;
    const rub_model *m = NULL;
    rub_error err = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        a = NULL;
        assert_int_equal(rub_catalog_accelerator(catalog, names[i], &a, &err), RUB_OK);
        assert_string_equal(a->name, "H100-SXM");
    }
    assert_int_equal(rub_catalog_accelerator(catalog, "H10O", &a, &err), RUB_NOT_FOUND);
    assert_non_null(strstr(err.message, "did you mean"));
    assert_int_equal(rub_catalog_model(catalog, "meta-llama/Llama-3.3-70B-Instruct", &m, &err),
                     RUB_OK);
    assert_string_equal(m->name, "Llama-3.1-70B");
    assert_int_equal(rub_catalog_model(catalog, "lama-3.1-70b", &m, &err), RUB_NOT_FOUND);
    assert_string_equal(
        err.message,
        "unknown model 'lama-3.1-70b', expected one that 'rubato catalog' lists or the "
        "path of a config.json (did you mean 'Llama-3.1-70B'?)");
}

/* Counted parameters against the figures that the makers publish. */
static void models_are_as_large_as_published(void **state) {
    (void)state;
    for (int32_t i = 0; i < catalog->n_model; i++) {
        const rub_model *m = &catalog->model[i];
        rub_model_counts c = rub_model_count(m);
        double off = fabs(c.params / m->published_params - 1.0);
        double active_off = fabs(c.active_params / m->published_active - 1.0);
        if (off > 0.03 || active_off > 0.11 || strlen(m->source) < 5 || strlen(m->date) < 7)
            fail_msg("%s: %.4g of %.4g, active %.4g of %.4g", m->name, c.params,
                     m->published_params, c.active_params, m->published_active);
    }
}

static void training_yields_follow_peak_and_mfu(void **state) {
    (void)state;
    const rub_accelerator *h100 = NULL, *b200 = NULL;
    rub_catalog_accelerator(catalog, "h100", &h100, NULL);
    rub_catalog_accelerator(catalog, "b200", &b200, NULL);
    assert_true(rub_training_yield(h100, h100) == 1.0);
    double expected = b200->bf16_flops * b200->training_mfu / h100->bf16_flops / h100->training_mfu;
    assert_true(fabs(rub_training_yield(b200, h100) / expected - 1.0) < 1e-12);
    assert_true(expected > 1.5 && expected < 3.0);
}

static void precisions_are_parsed(void **state) {
    (void)state;
    rub_precision p = RUB_PRECISION_AUTO;
    assert_int_equal(rub_precision_parse("BF16", &p, NULL), RUB_OK);
    assert_int_equal(p, RUB_BF16);
    assert_int_equal(rub_precision_parse("fp8_block", &p, NULL), RUB_OK);
    assert_int_equal(p, RUB_FP8);
    assert_int_equal(rub_precision_parse("fp7", &p, NULL), RUB_NOT_FOUND);
    assert_int_equal(p, RUB_FP8);
    for (rub_precision q = RUB_PRECISION_AUTO; q <= RUB_INT4; q++) {
        assert_int_equal(rub_precision_parse(rub_precision_name(q), &p, NULL), RUB_OK);
        assert_int_equal(p, q);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_figure_has_source_and_date),
        cmocka_unit_test(prices_belong_to_accelerators),
        cmocka_unit_test(names_are_forgiving),
        cmocka_unit_test(models_are_as_large_as_published),
        cmocka_unit_test(training_yields_follow_peak_and_mfu),
        cmocka_unit_test(precisions_are_parsed),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
