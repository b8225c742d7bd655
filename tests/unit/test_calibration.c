/* Calibration: tables read, fits judged on rows left out, files written and read back, table mode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/columns.h"
#include "perf/calibration.h"
#include "perf/near.h"
#include "perf/optable.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPERATORS RUB_ROOT "/../shared/data/operators"

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

static const rub_accelerator *accelerator(const char *name) {
    const rub_accelerator *a = NULL;
    assert_int_equal(rub_catalog_accelerator(catalog, name, &a, NULL), RUB_OK);
    return a;
}

/* A folder of its own with one file in it; returns its name. */
static const char *folder_with(const char *file, const char *text) {
    static char folder[64];
    char path[160];
    snprintf(folder, sizeof folder, "/tmp/rub_cal_XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return folder;
}

static void remove_folder(const char *folder, const char *file) {
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    unlink(path);
    rmdir(folder);
}

#define GEMM "vllm-0.24.0.gemm_perf.csv"

static void bad_tables_tell_the_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
        int64_t line;
    } cases[] = {
        {"gemm_dtype,m,n,latency\nbfloat16,1,2,3\n", "no column 'k', expected in gemm_perf", 1},
        {"gemm_dtype,m,n,k,latency\nbfloat16,1,2,3,0.1\nbfloat16,0,2,3,0.1\n",
         "m is 0, expected more", 3},
        {"gemm_dtype,m,n,k,latency\nbfloat16,1,2,3,-4\n", "latency is -4, expected more", 2},
        {"gemm_dtype,m,n,k,latency\nbfloat16,1,2,x,4\n", "column 'k' is text, expected a number",
         2},
        {"gemm_dtype,m,n,k,latency\nbfloat16,1,2,3,\n",
         "column 'latency' is text, expected a number", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *folder = folder_with(GEMM, cases[i].text);
        rub_optable table;
        rub_error err = {0};
        assert_int_equal(rub_optable_read(folder, &table, &err), RUB_INVALID);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(err.line, cases[i].line);
        assert_non_null(strstr(err.file, GEMM));
        remove_folder(folder, GEMM);
    }
    rub_optable table;
    rub_error err = {0};
    assert_int_equal(rub_optable_read("/nowhere", &table, &err), RUB_IO);
    const char *empty = folder_with("readme.txt", "no table");
    assert_int_equal(rub_optable_read(empty, &table, &err), RUB_IO);
    remove_folder(empty, "readme.txt");
}

/* Times that the form can express exactly but for what the grids interpolate. */
static double made_up(double m, double n, double k) {
    double compute = 2 * m * n * k / 600e12, memory = 2 * (n * k + m * k + m * n) / 2.5e12;
    return 3e-6 + compute + memory;
}

static const char *made_up_folder(void) {
    static char text[400000];
    size_t at = (size_t)snprintf(text, sizeof text, "gemm_dtype,m,n,k,latency\n");
    for (double m = 1; m <= 16384; m *= 4)
        for (double n = 512; n <= 32768; n *= 1.5)
            for (double k = 512; k <= 32768; k *= 1.5)
                at +=
                    (size_t)snprintf(text + at, sizeof text - at, "bfloat16,%.0f,%.0f,%.0f,%.9g\n",
                                     m, floor(n), floor(k), 1e3 * made_up(m, floor(n), floor(k)));
    assert_true(at < sizeof text - 200);
    return folder_with(GEMM, text);
}

static void same_curves(const rub_calibration *a, const rub_calibration *b) {
    assert_int_equal(a->n, b->n);
    assert_string_equal(a->system, b->system);
    assert_memory_equal(&a->peaks, &b->peaks, sizeof a->peaks);
    for (size_t i = 0; i < a->n; i++) {
        const rub_curve *x = &a->curve[i], *y = &b->curve[i];
        rub_shape s = {.m = 100,
                       .n = 4096,
                       .k = 7000,
                       .batch = 3,
                       .query = 500,
                       .context = 500,
                       .heads = 8,
                       .kv_heads = 2,
                       .head_dim = 128,
                       .pairs = 3e5,
                       .tokens = 100,
                       .hidden = 4096,
                       .inter = 1024,
                       .n_active = 4,
                       .n_expert = 64,
                       .tp = 1,
                       .ep = 2,
                       .n_matrix = 3,
                       .bytes = 1e6,
                       .gpus = 4};
        assert_string_equal(x->variant, y->variant);
        if (*x->note)
            continue; /* grids are not kept */
        double p = rub_curve_seconds(x, &a->peaks, &s), q = rub_curve_seconds(y, &b->peaks, &s);
        assert_true(fabs(p / q - 1) < 1e-4); /* offsets and floors have six and four decimals */
    }
}

static void a_fit_is_judged_written_and_read_back(void **state) {
    (void)state;
    const char *folder = made_up_folder();
    const rub_accelerator *h100 = accelerator("h100");
    rub_calibration *made = NULL, *read = NULL;
    rub_error err = {0};
    char *text = NULL, *again = NULL;
    size_t n = 0, n_again = 0;
    assert_int_equal(rub_calibrate(folder, h100, "made up", "2026-11-24", NULL, &made, &err),
                     RUB_OK);
    assert_int_equal(rub_calibration_count(made), 1);
    rub_calibration_row row = rub_calibration_at(made, 0);
    assert_true(row.n_left_out > 0 && row.n_fitted > 3 * row.n_left_out / 2);
    if (!(row.median < 0.02 && row.p90 < 0.06))
        fail_msg("smooth times are off by %g, p90 %g", row.median, row.p90);
    assert_int_equal(rub_calibration_write(made, &text, &n, &err), RUB_OK);
    assert_int_equal(rub_calibration_read_memory("x.json", text, n, &read, &err), RUB_OK);
    same_curves(made, read);
    assert_int_equal(rub_calibration_write(read, &again, &n_again, &err), RUB_OK);
    assert_int_equal(n, n_again);
    assert_memory_equal(text, again, n);
    rub_calibration_row judged;
    assert_int_equal(rub_calibration_judge(read, folder, h100, &judged, &err), RUB_OK);
    assert_int_equal(judged.n_left_out, row.n_left_out);
    assert_true(fabs(judged.median - row.median) < 1e-3);
    free(text);
    free(again);
    rub_calibration_free(made);
    rub_calibration_free(read);
    remove_folder(folder, GEMM);
}

static void table_mode_gives_the_rows(void **state) {
    (void)state;
    const char *folder = made_up_folder();
    rub_calibration *c = NULL;
    rub_error err = {0};
    assert_int_equal(rub_calibration_from_tables(folder, accelerator("h100"), &c, &err), RUB_OK);
    const rub_curve *curve = rub_calibration_find(c, "vllm", RUB_FAMILY_GEMM, "bf16", false);
    assert_non_null(curve);
    for (double m = 1; m <= 16384; m *= 16) {
        rub_shape row = {.m = m, .n = 768, .k = 2592}, between = {.m = m, .n = 900, .k = 2300};
        double s = rub_curve_seconds(curve, &c->peaks, &row);
        assert_true(fabs(s / made_up(m, 768, 2592) - 1) < 1e-4);
        s = rub_curve_seconds(curve, &c->peaks, &between);
        assert_true(fabs(s / made_up(m, 900, 2300) - 1) < 0.1);
    }
    /* compiled and summed alike */
    const rub_model *model = NULL;
    rub_perf perf;
    assert_int_equal(rub_catalog_model(catalog, "llama-3.1-8b", &model, NULL), RUB_OK);
    rub_deployment d = rub_deployment_default(model, accelerator("h100"));
    d.calibration = c;
    assert_int_equal(rub_perf_compile(&d, &perf, &err), RUB_OK);
    for (int64_t k = 1; k < 2000; k *= 3) {
        rub_batch b = {.n_tokens = k, .n_decode = k, .kv_decode = 700 * k};
        rub_perf_split split;
        assert_int_equal(rub_perf_operators(&d, &b, &split, &err), RUB_OK);
        assert_true(fabs(rub_perf_duration(&perf, &b) / split.total_s - 1) < 1e-3);
    }
    rub_perf_clear(&perf);
    rub_calibration_free(c);
    remove_folder(folder, GEMM);
}

static void what_ships_is_whole(void **state) {
    (void)state;
    char text[200];
    for (int32_t i = 0; i < catalog->n_accelerator; i++) {
        rub_calibration *c = NULL;
        rub_error err = {0};
        if (rub_calibration_shipped(&catalog->accelerator[i], &c, &err) != RUB_OK)
            fail_msg("%s: %s", catalog->accelerator[i].name, err.message);
        assert_true(rub_calibration_count(c) > 15);
        bool own = strcmp(rub_calibration_system(c), catalog->accelerator[i].name) == 0;
        assert_true(own == !rub_calibration_is_carried(c));
        rub_deployment d = rub_deployment_default(&catalog->model[0], &catalog->accelerator[i]);
        rub_perf_source_of(&d, text, sizeof text);
        assert_non_null(strstr(text, own ? "calibrated on " : "carried from "));
        rub_calibration_free(c);
    }
}

static void broken_files_are_refused(void **state) {
    (void)state;
    rub_calibration *c = NULL;
    rub_error err = {0};
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(rub_calibration_shipped(accelerator("l40s"), &c, &err), RUB_OK);
    assert_int_equal(rub_calibration_write(c, &text, &n, &err), RUB_OK);
    rub_calibration_free(c);
    for (size_t cut = 0; cut < n; cut += 997) {
        c = NULL;
        assert_int_not_equal(rub_calibration_read_memory("cut.json", text, cut, &c, &err), RUB_OK);
        assert_true(err.message[0] && !c);
    }
    char *values = strstr(text, "\"values\": \"") + 11;
    values[3] = ' ';
    assert_int_equal(rub_calibration_read_memory("x.json", text, n, &c, &err), RUB_INVALID);
    assert_string_equal(
        err.message,
        "curve 1, 'values': expected the characters ! to ~ without quote and backslash");
    free(text);
}

/* The errors that a shipped file states are those on the rows that it was not fitted on. */
static void stated_errors_are_reproduced(void **state) {
    (void)state;
    const char *system = getenv("RUB_TEST_LONG") ? "h100_sxm" : "a100_sxm";
    char folder[400];
    snprintf(folder, sizeof folder, OPERATORS "/%s", system);
    if (access(folder, R_OK) != 0) {
        print_message("# skipped: no ../shared\n");
        skip();
    }
    const rub_accelerator *accel = accelerator(strcmp(system, "a100_sxm") == 0 ? "a100" : "h100");
    rub_calibration *c = NULL;
    rub_error err = {0};
    assert_int_equal(rub_calibration_shipped(accel, &c, &err), RUB_OK);
    size_t n = rub_calibration_count(c), n_judged = 0;
    rub_calibration_row *row = calloc(n, sizeof *row);
    assert_non_null(row);
    if (rub_calibration_judge(c, folder, accel, row, &err) == RUB_UNSUPPORTED) {
        print_message("# skipped: built without libzstd\n");
        rub_calibration_free(c);
        free(row);
        skip();
    }
    for (size_t i = 0; i < n; i++) {
        rub_calibration_row stated = rub_calibration_at(c, i);
        if (*stated.note)
            continue;
        assert_int_equal(row[i].n_left_out, stated.n_left_out);
        if (!(fabs(row[i].median - stated.median) < 2e-3 && fabs(row[i].p90 - stated.p90) < 1e-2))
            fail_msg("%s %s %s: median %g, stated %g; p90 %g, stated %g", stated.library,
                     stated.family, stated.variant, row[i].median, stated.median, row[i].p90,
                     stated.p90);
        n_judged++;
    }
    print_message("# %zu curves of %s judged again\n", n_judged, accel->name);
    assert_true(n_judged > 10);
    rub_calibration_free(c);
    free(row);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_tables_tell_the_line),
        cmocka_unit_test(a_fit_is_judged_written_and_read_back),
        cmocka_unit_test(table_mode_gives_the_rows),
        cmocka_unit_test(what_ships_is_whole),
        cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(stated_errors_are_reproduced),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
