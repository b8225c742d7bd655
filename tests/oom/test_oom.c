/* Out of memory: the nth allocation of a call fails, for every n until none does. The call gives
 * RUB_NO_MEMORY with a message, leaves its outputs alone, and (under LeakSanitizer) leaks nothing.
 * Allocations of the library are wrapped by the linker (--wrap); those of other libraries are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../random_problem.h"

#include "rubato/catalog.h"
#include "rubato/trace.h"

static long countdown = -1; /* allocations until one fails; below 0: never */
static bool failed;

static bool fails(void) {
    if (countdown < 0 || countdown-- > 0)
        return false;
    failed = true;
    countdown = -1;
    return true;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t n) { return fails() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t n) { return fails() ? NULL : __real_realloc(p, n); }
char *__wrap_strdup(const char *s) { return fails() ? NULL : __real_strdup(s); }

/* Runs call with the nth allocation failing: all of the first 300, then ever wider apart. */
static void every_allocation(const char *what, rub_status (*call)(rub_error *err), long least) {
    long n = 0;
    for (;; n += n < 300 ? 1 : 1 + n / 20) {
        rub_error err = {0};
        countdown = n;
        failed = false;
        rub_status status = call(&err);
        countdown = -1;
        if (!failed) {
            assert_int_equal(status, RUB_OK);
            break;
        }
        if (status != RUB_NO_MEMORY)
            fail_msg("%s: allocation %ld failed: status %d '%s'", what, n, (int)status,
                     err.message);
        assert_true(err.code == RUB_NO_MEMORY && err.message[0]);
    }
    if (n < least)
        fail_msg("%s: %ld allocations were seen, expected %ld or more", what, n, least);
}

static rub_status read_study(rub_error *err) {
    static const char *const what_if[] = {"demand.chat.base=x2"};
    rub_study *study = NULL;
    rub_status status = rub_study_read(RUB_ROOT "/examples/tiny.yaml", what_if, 1, &study, err);
    assert_true((status == RUB_OK) == (study != NULL));
    rub_study_free(study);
    return status;
}

static rub_status read_trace(rub_error *err) {
    static const char csv[] = "arrival_s,input_tok,output_tok\n0,5,6\n2,3,4\n1,7,8\n";
    rub_trace_read_def def = rub_trace_read_default();
    rub_trace trace = {0};
    rub_status status =
        rub_trace_read_memory("t.csv", csv, sizeof csv - 1, &def, &trace, NULL, err);
    assert_true((status == RUB_OK) == (trace.n_req == 3));
    rub_trace_clear(&trace);
    return status;
}

static rub_status load_catalog(rub_error *err) {
    rub_catalog *catalog = NULL;
    rub_status status = rub_catalog_load(&catalog, err);
    assert_true((status == RUB_OK) == (catalog != NULL));
    rub_catalog_free(catalog);
    return status;
}

static rub_method method;

/* One of the random problems with all features. */
static rub_status solve(rub_error *err) {
    long rest = countdown;
    countdown = -1; /* the fixture's own allocations do not count */
    fixture f = random_problem(7, 2, 6);
    const rub_problem *p = fixture_bind(&f);
    rub_solve_def def = rub_solve_default();
    rub_plan plan = {0};
    rub_solve_result result = {0};
    def.method = method;
    def.iterations = 2;
    def.gap_frac = 0.0;
    def.n_thread = 1;
    countdown = rest;
    rub_status status = rub_portfolio_solve(p, &def, NULL, &plan, &result, err);
    countdown = -1;
    assert_true((status == RUB_OK) == (plan.step != NULL));
    rub_plan_clear(&plan);
    rub_solve_result_clear(&result);
    fixture_free(&f);
    return status;
}

static void study(void **state) {
    (void)state;
    every_allocation("study", read_study, 20);
}

static void trace(void **state) {
    (void)state;
    every_allocation("trace", read_trace, 3);
}

static void catalog(void **state) {
    (void)state;
    every_allocation("catalog", load_catalog, 20);
}

static void solve_by_mip(void **state) {
    (void)state;
    method = RUB_METHOD_MIP;
    every_allocation("MIP", solve, 50);
}

static void solve_by_pricing(void **state) {
    (void)state;
    method = RUB_METHOD_PRICING;
    every_allocation("pricing", solve, 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(study), cmocka_unit_test(trace),
                                       cmocka_unit_test(catalog), cmocka_unit_test(solve_by_mip),
                                       cmocka_unit_test(solve_by_pricing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
