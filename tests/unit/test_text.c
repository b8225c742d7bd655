/* Numbers as people write them. */
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void numbers(void **state) {
    static const struct {
        double value;
        const char *text;
    } row[] = {{0, "0"},          {1810.4, "1,810"}, {999.96, "1,000"},      {421.3, "421"},
               {33.54, "33.5"},   {5, "5"},          {1.254, "1.25"},        {0.108, "0.108"},
               {-1810, "-1,810"}, {-0.0, "0"},       {1234567, "1,234,567"}, {0.0012, "0.0012"}};
    char buf[32];
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        assert_string_equal(rub_text_number(row[i].value, buf), row[i].text);
    assert_string_equal(rub_text_exact(99.96, 4, buf), "99.96");
    assert_string_equal(rub_text_exact(12345.678, 6, buf), "12,345.7");
}

static void megawatts(void **state) {
    static const struct {
        double mw;
        const char *text;
    } row[] = {{0, "0"},       {1810.4, "1,810"}, {48.2, "48"},     {7.5, "7.5"},
               {0.18, "0.18"}, {0.0001, "0"},     {-1250, "-1,250"}};
    char buf[32];
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        assert_string_equal(rub_text_mw(row[i].mw, buf), row[i].text);
}

/* A word's nearest among names, and none when nothing is near. */
static void nearest(void **state) {
    static const char *const names[] = {"vllm", "sarathi", "orca"};
    (void)state;
    assert_string_equal(rub_text_nearest("sarathy", names, 3), "sarathi");
    assert_null(rub_text_nearest("sjf", names, 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers), cmocka_unit_test(megawatts),
                                       cmocka_unit_test(nearest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
