#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rubato/base.h"

static void error_at_keeps_place(void **state) {
    (void)state;
    rub_error err = {0};
    char buf[900];
    assert_int_equal(rub_error_at(&err, RUB_PARSE, "a.csv", 3, 7, "found %d", 5), RUB_PARSE);
    assert_string_equal(rub_error_format(&err, buf, sizeof buf), "a.csv:3:7: found 5");
}

static void error_may_be_null(void **state) {
    (void)state;
    assert_int_equal(rub_error_set(NULL, RUB_IO, "x"), RUB_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_at_keeps_place),
        cmocka_unit_test(error_may_be_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
