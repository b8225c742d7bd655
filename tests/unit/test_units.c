#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/units.h"

#include <string.h>

static void expect(const char *text, const char *unit, double wanted) {
    double value = -1.0;
    rub_error err = {0};
    if (rub_quantity_parse(text, unit, &value, &err) != RUB_OK)
        fail_msg("'%s': %s", text, err.message);
    double tolerance = 1e-12 * (wanted < 0 ? -wanted : wanted);
    if (value < wanted - tolerance || value > wanted + tolerance)
        fail_msg("'%s' in %s: found %.17g, expected %.17g", text, unit, value, wanted);
}

static void refuse(const char *text, const char *unit, const char *message) {
    double value = -1.0;
    rub_error err = {0};
    if (rub_quantity_parse(text, unit, &value, &err) == RUB_OK)
        fail_msg("%s was read", text);
    assert_string_equal(err.message, message);
    assert_true(value == -1.0);
}

static void quantities_are_read(void **state) {
    (void)state;
    expect("48 MW", "MW", 48);
    expect("0.3GW", "MW", 300);
    expect("$140/kW-month", "USD/kW-month", 140);
    expect("140 $/kW-month", "USD/kW-month", 140);
    expect("$1.68M/MW-yr", "USD/kW-month", 140);
    expect("18 months", "quarters", 6);
    expect("2 years", "quarters", 8);
    expect("250 ms", "s", 0.25);
    expect("8%/yr", "1/yr", 0.08);
    expect("120%/yr", "%/yr", 120);
    expect("-10 %/year", "1/yr", -0.1);
    expect("$80B", "USD", 80e9);
    expect("-$12M", "USD", -12e6);
    expect("$-12M", "USD", -12e6);
    expect("3 $M", "USD", 3e6);
    expect("5M$", "USD", 5e6);
    expect("1.2M tok/s", "tok/s", 1.2e6);
    expect("30k accel", "accel", 30e3);
    expect("30k GPUs", "accel", 30e3);
    expect("$12M/MW", "USD/MW", 12e6);
    expect("2.50 $/accel-h", "USD/accel-h", 2.5);
    expect("$0.30/Mtok", "USD/Mtok", 0.3);
    expect("$60/MWh", "USD/MWh", 60);
    expect("$0.06/kWh", "USD/MWh", 60);
    expect("2e5 tok/s/MW", "tok/s-MW", 2e5);
    expect("200 req/s", "req/s", 200);
    expect("12%", "", 0.12);
    expect("1e-3", "", 1e-3);
    expect("0", "MW", 0);
}

static void exact_in_the_unit_asked_for(void **state) {
    (void)state;
    double value;
    assert_int_equal(rub_quantity_parse("$140.1/kW-month", "USD/kW-month", &value, NULL), RUB_OK);
    assert_true(value == 140.1);
    assert_int_equal(rub_quantity_parse("3 quarters", "quarter", &value, NULL), RUB_OK);
    assert_true(value == 3.0);
}

static void others_are_refused(void **state) {
    (void)state;
    refuse("48 hours", "MW", "'48 hours' is a time, expected a power in MW");
    refuse("48", "MW", "'48' has no unit, expected a power in MW");
    refuse("$140/kW", "USD/kW-month",
           "'$140/kW' is money per power, expected money per power and time in USD/kW-month");
    refuse("48 mw", "MW", "unit 'mw' is not known, did you mean 'MW'?");
    refuse("4 qarters", "quarter", "unit 'qarters' is not known, did you mean 'quarters'?");
    refuse("48 ZZZZ", "MW", "unit 'ZZZZ' is not known");
    refuse("$80/", "USD", "unit ends with '/', expected a unit after it");
    refuse("", "MW", "'' is not a number");
    refuse("nan", "MW", "'nan' is not a number");
    refuse("0x10 MW", "MW", "unit 'x10' is not known");
    refuse("1e999 MW", "MW", "'1e999 MW' is not a number");
    refuse("$3/MW//h", "USD/MW", "a unit is missing");
    refuse("5 kW", "", "'5 kW' is a power, expected a plain number");
    refuse("1 s-s-s-s-s-s-s-s-s-s-s", "s", "a unit is repeated too often");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantities_are_read),
        cmocka_unit_test(exact_in_the_unit_asked_for),
        cmocka_unit_test(others_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
