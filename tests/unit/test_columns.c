/* Columns from CSV and Parquet; broken Parquet files give errors, never a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/columns.h"
#include "base/file.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPERATORS RUB_ROOT "/../shared/data/operators/"

static void csv_columns_are_numbers_or_texts(void **state) {
    (void)state;
    static const char text[] = "name,x,y\na,1,2\nb,,3e2\n\"c,d\",-4.5,x\n";
    rub_columns c;
    rub_error err = {0};
    assert_int_equal(rub_columns_read_memory("t.csv", text, sizeof text - 1, &c, &err), RUB_OK);
    assert_int_equal(c.n_row, 3);
    const rub_column *x = rub_columns_find(&c, "x"), *y = rub_columns_find(&c, "y");
    assert_true(!x->is_text && x->number[0] == 1.0 && isnan(x->number[1]) && x->number[2] == -4.5);
    assert_true(y->is_text && strcmp(y->text[1], "3e2") == 0);
    assert_string_equal(rub_columns_find(&c, "name")->text[2], "c,d");
    assert_null(rub_columns_find(&c, "z"));
    rub_columns_error(&c, 2, &err, RUB_INVALID, "here");
    assert_int_equal(err.line, 4);
    rub_columns_clear(&c);
}

/* What pyarrow 26 reads from the same files. */
static void parquet_holds_what_was_written(void **state) {
    (void)state;
    static const struct {
        const char *file, *column, *text;
        size_t n;
        double latency_sum, size_sum;
    } cases[] = {
        {"l40s/nccl-2.27.3.nccl_perf.parquet", "op_name", "all_reduce", 504, 8339.53885,
         19327343616},
        {"l40s/vllm-0.22.0.custom_allreduce_perf.parquet", "kernel_source", "vLLM_custom_eager",
         138, 5820.567116129995, 6442450176},
        {"h100_sxm/nccl-2.29.2.nccl_perf.parquet", "op_name", "all_reduce", 504, 79.31648,
         19327343616},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[300];
        rub_columns c;
        rub_error err = {0};
        snprintf(path, sizeof path, OPERATORS "%s", cases[i].file);
        rub_status status = rub_columns_read(path, &c, &err);
        if (status == RUB_IO || status == RUB_UNSUPPORTED) {
            print_message("# skipped: %s\n",
                          status == RUB_IO ? "no ../shared" : "built without libzstd");
            skip();
        }
        assert_int_equal(status, RUB_OK);
        assert_int_equal(c.n_row, cases[i].n);
        const rub_column *latency = rub_columns_find(&c, "latency");
        const rub_column *size = rub_columns_find(&c, "message_size");
        double latency_sum = 0.0, size_sum = 0.0;
        for (size_t r = 0; r < c.n_row; r++) {
            latency_sum += latency->number[r];
            size_sum += size->number[r];
        }
        assert_true(fabs(latency_sum / cases[i].latency_sum - 1.0) < 1e-12);
        assert_true(size_sum == cases[i].size_sum);
        assert_string_equal(rub_columns_find(&c, cases[i].column)->text[c.n_row - 1],
                            cases[i].text);
        rub_columns_clear(&c);
    }
}

static void mutate(rub_rng *rng, char *bytes, size_t n) {
    int edits = 1 + (int)rub_rng_below(rng, 4);
    for (int e = 0; e < edits; e++) {
        /* half of them in the footer, where the lengths are */
        size_t from = rub_rng_below(rng, 2) ? n - n / 4 : 0;
        bytes[from + rub_rng_below(rng, n - from)] ^= (char)(1 << rub_rng_below(rng, 8));
    }
}

static void broken_parquet_is_an_error(void **state) {
    (void)state;
    rub_file file;
    if (rub_file_open(OPERATORS "l40s/nccl-2.27.3.nccl_perf.parquet", &file, NULL) != RUB_OK) {
        print_message("# skipped: no ../shared\n");
        skip();
    }
    rub_rng rng = rub_rng_make(3, 0);
    char *bytes = malloc(file.n);
    int n_round = getenv("RUB_TEST_LONG") ? 100000 : 1500, n_error = 0;
    assert_non_null(bytes);
    for (int i = 0; i < n_round; i++) {
        memcpy(bytes, file.data, file.n);
        size_t n = file.n;
        mutate(&rng, bytes, n);
        if (i % 5 == 0)
            n = 12 + rub_rng_below(&rng, n - 12);
        rub_columns c = {0};
        rub_error err = {0};
        rub_status status = rub_columns_read_memory("x.parquet", bytes, n, &c, &err);
        assert_true(status == RUB_OK || (err.code == status && err.message[0] && !c.column));
        n_error += status != RUB_OK;
        rub_columns_clear(&c);
    }
    assert_true(n_error > n_round / 10);
    free(bytes);
    rub_file_close(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_columns_are_numbers_or_texts),
        cmocka_unit_test(parquet_holds_what_was_written),
        cmocka_unit_test(broken_parquet_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
