/* Reading traces: every format, and every kind of broken row with its line and column. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
#include "base/text.h"
#include "rubato/trace.h"

static rub_status read_text(const char *text, const char *columns, rub_trace *out,
                            rub_trace_report *report, rub_error *err) {
    rub_trace_read_def def = rub_trace_read_default();
    def.columns = columns;
    return rub_trace_read_memory("t.csv", text, strlen(text), &def, out, report, err);
}

static void expect(const char *text, const char *columns, rub_trace_format format, double second_s,
                   int input, int output) {
    rub_trace t = {0};
    rub_trace_report report = {0};
    rub_error err = {0};
    if (read_text(text, columns, &t, &report, &err) != RUB_OK)
        fail_msg("%s", err.message);
    assert_int_equal(report.format, format);
    assert_int_equal(t.n_req, 2);
    assert_true(t.arrival_s[0] == 0.0 && t.arrival_s[1] == second_s);
    assert_int_equal(t.input_tok[1], input);
    assert_int_equal(t.output_tok[1], output);
    rub_trace_clear(&t);
}

static void formats_are_told_by_their_first_line(void **state) {
    (void)state;
    /* 18:15:50.9951690 - 18:15:46.6805900 = 4.3145790 s */
    expect("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 "
           "18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n",
           NULL, RUB_TRACE_AZURE, 4.314579, 396, 109);
    expect("Timestamp,Model,Request tokens,Response tokens,Total tokens,Log "
           "Type\n5,ChatGPT,472,18,490,x\n45.5,\"GPT, 4\",1087,230,1317,y",
           NULL, RUB_TRACE_BURSTGPT, 40.5, 1087, 230);
    expect("arrived_at,num_prefill_tokens,num_decode_tokens\r\n1.0,374.0,44.0\r\n1.07864475,396.0,"
           "109.0\r\n",
           NULL, RUB_TRACE_VIDUR, 1.07864475 - 1.0, 396, 109);
    expect("{\"timestamp\":1000,\"input_length\":6758,\"output_length\":500}\n{\"timestamp\": "
           "4500, \"output_length\": 7, \"input_length\": 8}\n",
           NULL, RUB_TRACE_MOONCAKE, 3.5, 8, 7);
    expect("out,ts,in\n5,100,50\n6,350,60\n", "arrival=ts,input=in,output=out,unit=ms",
           RUB_TRACE_MAPPED, 350 * 1e-3 - 100 * 1e-3, 60, 6);
    /* across a zone and a leap day: 2024-02-28T23:59:59Z to 2024-02-29T01:00:00+01:00 is one second */
    expect("TIMESTAMP,ContextTokens,GeneratedTokens\n2024-02-28T23:59:59Z,1,1\n2024-02-29T01:00:00+"
           "01:00,2,3\n",
           NULL, RUB_TRACE_AZURE, 1.0, 2, 3);
}

/* The widest span that dates may have fits in 64-bit nanoseconds. */
static void years_at_the_ends_are_read(void **state) {
    (void)state;
    /* 1970-01-01 to 2199-12-31 is 230 years, 56 of them leap (2000 is, 2100 is not): 84006 - 1 days */
    expect("TIMESTAMP,ContextTokens,GeneratedTokens\n1970-01-01 00:00:00+14:00,1,1\n"
           "2199-12-31 00:00:00-10:00,2,3\n",
           NULL, RUB_TRACE_AZURE, 84005.0 * 86400.0 + 24.0 * 3600.0, 2, 3);
}

static void broken(const char *text, int64_t line, int64_t column, const char *message) {
    rub_trace t = {0};
    rub_error err = {0};
    assert_int_not_equal(read_text(text, NULL, &t, NULL, &err), RUB_OK);
    assert_string_equal(err.message, message);
    assert_int_equal(err.line, line);
    assert_int_equal(err.column, column);
}

#define HEAD "arrival_s,input_tok,output_tok\n"

static void broken_rows_have_line_and_column(void **state) {
    (void)state;
    broken(HEAD "0,1,1\n1,x,2\n", 3, 3,
           "column 'input_tok': found 'x', expected a whole number of tokens");
    broken(HEAD "0,1,1\n1,-4,2\n", 3, 3,
           "column 'input_tok': found '-4', expected 0 to 16777216 tokens");
    broken(HEAD "0,1,1\n1,4\n", 3, 4,
           "column 'output_tok' is absent, expected a whole number of tokens");
    broken(HEAD "soon,1,1\n", 2, 1, "column 'arrival_s': found 'soon', expected a time in seconds");
    broken(HEAD "0,1,1e18\n", 2, 5,
           "column 'output_tok': found '1e18', expected 0 to 16777216 tokens");
    broken("TIMESTAMP,ContextTokens,GeneratedTokens\n9999-01-01 00:00:00,1,1\n", 2, 1,
           "column 'TIMESTAMP': found '9999-01-01 00:00:00', expected a date and time of 1970 to "
           "2199 such as 2023-11-16 18:15:46.68");
    broken("", 1, 1, "file is empty, expected a trace");
    broken(HEAD, 0, 0, "has no usable requests, expected at least one");
    broken("{\"timestamp\":0,\"input_length\":5}\n", 1, 1,
           "key \"output_length\" is absent or not a number");
}

static void out_of_order_and_empty_rows_are_counted(void **state) {
    (void)state;
    rub_trace t = {0};
    rub_trace_report r = {0};
    assert_int_equal(read_text(HEAD "5,1,1\n3,2,2\n9,0,4\n3,3,3\n", NULL, &t, &r, NULL), RUB_OK);
    assert_int_equal(r.n_out_of_order, 1);
    assert_int_equal(r.n_empty, 1);
    assert_int_equal(t.n_req, 3);
    assert_int_equal(t.input_tok[0], 2); /* equal times keep the file's order */
    assert_int_equal(t.input_tok[1], 3);
    assert_true(t.arrival_s[2] == 2.0);
    rub_trace_clear(&t);
}

static void one_broken_line_among_many_is_found(void **state) {
    (void)state;
    rub_text text = {0};
    rub_trace t = {0};
    rub_trace_report r = {0};
    rub_error err = {0};
    rub_trace_read_def def = rub_trace_read_default();
    rub_text_add(&text, HEAD);
    for (int i = 0; i < 1000000; i++)
        rub_text_add(&text, i == 654321 ? "%d.5,seven,8\n" : "%d.5,7,8\n", i);
    assert_int_equal(rub_trace_read_memory("m.csv", text.data, text.n, &def, &t, &r, &err),
                     RUB_PARSE);
    assert_int_equal(err.line, 654323);
    assert_int_equal(err.column, 10);
    def.skip_bad = true;
    assert_int_equal(rub_trace_read_memory("m.csv", text.data, text.n, &def, &t, &r, &err), RUB_OK);
    assert_int_equal(r.n_bad, 1);
    assert_int_equal(t.n_req, 999999);
    rub_trace_clear(&t);
    rub_text_clear(&text);
}

static void numbers_are_read_as_strtod_reads_them(void **state) {
    (void)state;
    static const double values[] = {0.1,      1.07864475,   123456.789012345,
                                    0.000001, 99999999.125, 3501.7219};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[128];
        rub_trace t = {0};
        snprintf(text, sizeof text, HEAD "0,1,1\n%.17g,1,1\n", values[i]);
        assert_int_equal(read_text(text, NULL, &t, NULL, NULL), RUB_OK);
        assert_true(t.arrival_s[1] == values[i]);
        rub_trace_clear(&t);
    }
}

static void real(const char *file, size_t n, double rate, const double in[4], const double out[4],
                 double cv) {
    char path[512];
    rub_trace t = {0};
    rub_trace_read_def def = rub_trace_read_default();
    rub_trace_stats s;
    snprintf(path, sizeof path, RUB_ROOT "/../shared/data/traces/%s", file);
    if (access(path, R_OK) != 0) {
        print_message("skipped: no ../shared\n");
        skip();
    }
    assert_int_equal(rub_trace_read(path, &def, &t, NULL, NULL), RUB_OK);
    assert_int_equal(rub_trace_stats_of(&t, &s, NULL), RUB_OK);
    assert_int_equal(s.n_req, n);
    assert_true(fabs(s.rate_per_s - rate) < 0.005);
    const rub_trace_quantiles *q[] = {&s.input, &s.output};
    const double *want[] = {in, out};
    for (int k = 0; k < 2; k++) {
        assert_true(fabs(q[k]->p50 - want[k][0]) < 0.06 && fabs(q[k]->p90 - want[k][1]) < 0.06);
        assert_true(fabs(q[k]->p99 - want[k][2]) < 0.6 && fabs(q[k]->mean - want[k][3]) < 0.06);
    }
    assert_true(fabs(s.arrival_cv - cv) < 0.006);
    rub_trace_clear(&t);
}

/* Figures of ../shared/data/traces/README.md. */
static void azure_conversation(void **state) {
    (void)state;
    real("azure_2023_conv.csv.gz", 19366, 5.53, (double[]){1020, 2734.5, 4142, 1154.7},
         (double[]){129, 424, 601, 211.1}, 1.09);
}

static void azure_code(void **state) {
    (void)state;
    real("azure_2023_code.csv.gz", 8819, 2.57, (double[]){1469, 5187.6, 7436, 2047.8},
         (double[]){13, 55, 251.5, 27.9}, 13.15);
}

static void mooncake_is_read_whole(void **state) {
    (void)state;
    rub_trace t = {0};
    rub_trace_read_def def = rub_trace_read_default();
    const char *path = RUB_ROOT "/../shared/data/traces/mooncake_conversation.jsonl.gz";
    if (access(path, R_OK) != 0) {
        print_message("skipped: no ../shared\n");
        skip();
    }
    assert_int_equal(rub_trace_read(path, &def, &t, NULL, NULL), RUB_OK);
    assert_int_equal(t.n_req, 12031);
    assert_int_equal(t.input_tok[0], 6758);
    rub_trace_clear(&t);
}

/* Random cells, plain (the quick way through a row) and in quotes (the general way): the same
 * times and lengths to the last bit, or both broken. */
static void quick_and_general_ways_agree(void **state) {
    (void)state;
    static const char *const header[] = {"arrival_s,input_tok,output_tok",
                                         "TIMESTAMP,ContextTokens,GeneratedTokens"};
    static const char *const odd[] = {"",    "1e3",  "-5", "+7", "12.5",
                                      "7.0", "7.00", "x",  "1.", ".5"};
    rub_rng rng = rub_rng_make(5, 0);
    int n_good = 0, n_bad = 0;
    for (int i = 0; i < 20000; i++) {
        char cell[3][64], text[2][400];
        int dated = (int)rub_rng_below(&rng, 2), digits = (int)rub_rng_below(&rng, 12);
        if (dated)
            snprintf(cell[0], sizeof cell[0], "20%02d-%02d-%02d %02d:%02d:%02d.%0*d",
                     (int)rub_rng_below(&rng, 100), (int)rub_rng_below(&rng, 13),
                     (int)rub_rng_below(&rng, 32), (int)rub_rng_below(&rng, 24),
                     (int)rub_rng_below(&rng, 60), (int)rub_rng_below(&rng, 60), digits + 1,
                     (int)rub_rng_below(&rng, 1000000));
        else
            snprintf(cell[0], sizeof cell[0], "%.*f", digits,
                     rub_rng_uniform(&rng) * pow(10, (double)rub_rng_below(&rng, 10)));
        for (int k = 1; k < 3; k++)
            snprintf(cell[k], sizeof cell[k], "%d", (int)rub_rng_below(&rng, 20000000));
        if (rub_rng_below(&rng, 10) == 0)
            snprintf(cell[rub_rng_below(&rng, 3)], sizeof cell[0], "%s",
                     odd[rub_rng_below(&rng, sizeof odd / sizeof *odd)]);
        const char *first = dated ? "2000-01-01 00:00:00" : "0";
        snprintf(text[0], sizeof text[0], "%s\n%s,1,1\n%s,%s,%s\n", header[dated], first, cell[0],
                 cell[1], cell[2]);
        snprintf(text[1], sizeof text[1], "%s\n%s,1,1\n\"%s\",\"%s\",\"%s\"\n", header[dated],
                 first, cell[0], cell[1], cell[2]);
        rub_trace t[2] = {0};
        rub_status plain = read_text(text[0], NULL, &t[0], NULL, NULL);
        rub_status quoted = read_text(text[1], NULL, &t[1], NULL, NULL);
        /* a blank or a sign before digits is trimmed or refused alike; what differs fails here */
        if (plain != quoted || t[0].n_req != t[1].n_req)
            fail_msg("%s: %d and %d", text[0], (int)plain, (int)quoted);
        for (size_t k = 0; k < t[0].n_req; k++)
            if (t[0].arrival_s[k] != t[1].arrival_s[k] || t[0].input_tok[k] != t[1].input_tok[k] ||
                t[0].output_tok[k] != t[1].output_tok[k])
                fail_msg("%s: %.17g and %.17g", text[0], t[0].arrival_s[k], t[1].arrival_s[k]);
        n_good += plain == RUB_OK;
        n_bad += plain != RUB_OK;
        rub_trace_clear(&t[0]);
        rub_trace_clear(&t[1]);
    }
    assert_true(n_good > 5000 && n_bad > 500);
}

/* Told 65,536 rows apart, with a share that grows; false stops the read, and nothing is handed out. */
static bool watch(void *ctx, const char *what, double done, double total, const char *extra) {
    double *share = ctx;
    (void)what, (void)extra;
    assert_true(done / total > share[0] && done <= total);
    share[0] = done / total;
    return --share[1] > 0;
}

static void a_long_read_tells_and_can_be_stopped(void **state) {
    (void)state;
    enum { ROWS = 200000 };
    size_t n = 0, size = 32 + ROWS * 12;
    char *text = malloc(size);
    assert_non_null(text);
    n += (size_t)snprintf(text, size, "arrival_s,input_tok,output_tok\n");
    for (int i = 0; i < ROWS; i++)
        n += (size_t)snprintf(text + n, size - n, "%d,1,1\n", i);
    double share[2] = {0.0, 1e9};
    rub_progress progress = {.report = watch, .ctx = share};
    rub_trace_read_def def = rub_trace_read_default();
    rub_trace t = {0};
    def.progress = &progress;
    assert_int_equal(rub_trace_read_memory("long.csv", text, n, &def, &t, NULL, NULL), RUB_OK);
    assert_true(t.n_req == ROWS && share[1] == 1e9 - 3);
    rub_trace_clear(&t);
    share[0] = 0.0;
    share[1] = 2;
    assert_int_equal(rub_trace_read_memory("long.csv", text, n, &def, &t, NULL, NULL),
                     RUB_INTERRUPTED);
    assert_null(t.arrival_s);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_read_tells_and_can_be_stopped),
        cmocka_unit_test(quick_and_general_ways_agree),
        cmocka_unit_test(formats_are_told_by_their_first_line),
        cmocka_unit_test(years_at_the_ends_are_read),
        cmocka_unit_test(broken_rows_have_line_and_column),
        cmocka_unit_test(out_of_order_and_empty_rows_are_counted),
        cmocka_unit_test(one_broken_line_among_many_is_found),
        cmocka_unit_test(numbers_are_read_as_strtod_reads_them),
        cmocka_unit_test(azure_conversation),
        cmocka_unit_test(azure_code),
        cmocka_unit_test(mooncake_is_read_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
