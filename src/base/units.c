/* One table of unit names; a quantity is read by hand so that every message can say what was found.
 * Token, accelerator and request are dimensions of their own: mixing them up is the usual mistake.
 */
#include "base/units.h"

#include "base/array.h"
#include "base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HOUR_S 3600.0
#define YEAR_S (8760.0 * HOUR_S)

typedef struct atom {
    const char *name;
    double scale;
    int8_t power[RUB_N_DIM]; /* USD, W, s, token, accelerator, request */
} atom;

#define USD                                                                                        \
    { 1 }
#define POWER                                                                                      \
    { 0, 1 }
#define TIME                                                                                       \
    { 0, 0, 1 }
#define ENERGY                                                                                     \
    { 0, 1, 1 }
#define TOKEN                                                                                      \
    { 0, 0, 0, 1 }
#define ACCEL                                                                                      \
    { 0, 0, 0, 0, 1 }
#define REQUEST                                                                                    \
    { 0, 0, 0, 0, 0, 1 }
#define NONE                                                                                       \
    { 0 }

static const atom atoms[] = {
    {"$", 1, USD},
    {"USD", 1, USD},
    {"k$", 1e3, USD},
    {"$k", 1e3, USD},
    {"M$", 1e6, USD},
    {"$M", 1e6, USD},
    {"B$", 1e9, USD},
    {"$B", 1e9, USD},
    {"$bn", 1e9, USD},
    {"W", 1, POWER},
    {"kW", 1e3, POWER},
    {"MW", 1e6, POWER},
    {"GW", 1e9, POWER},
    {"Wh", HOUR_S, ENERGY},
    {"kWh", 1e3 * HOUR_S, ENERGY},
    {"MWh", 1e6 * HOUR_S, ENERGY},
    {"GWh", 1e9 * HOUR_S, ENERGY},
    {"ns", 1e-9, TIME},
    {"us", 1e-6, TIME},
    {"ms", 1e-3, TIME},
    {"s", 1, TIME},
    {"sec", 1, TIME},
    {"second", 1, TIME},
    {"seconds", 1, TIME},
    {"min", 60, TIME},
    {"minute", 60, TIME},
    {"minutes", 60, TIME},
    {"h", HOUR_S, TIME},
    {"hr", HOUR_S, TIME},
    {"hour", HOUR_S, TIME},
    {"hours", HOUR_S, TIME},
    {"day", 24 * HOUR_S, TIME},
    {"days", 24 * HOUR_S, TIME},
    {"week", 168 * HOUR_S, TIME},
    {"weeks", 168 * HOUR_S, TIME},
    {"month", YEAR_S / 12, TIME},
    {"months", YEAR_S / 12, TIME},
    {"mo", YEAR_S / 12, TIME},
    {"quarter", YEAR_S / 4, TIME},
    {"quarters", YEAR_S / 4, TIME},
    {"qtr", YEAR_S / 4, TIME},
    {"q", YEAR_S / 4, TIME},
    {"year", YEAR_S, TIME},
    {"years", YEAR_S, TIME},
    {"yr", YEAR_S, TIME},
    {"y", YEAR_S, TIME},
    {"tok", 1, TOKEN},
    {"token", 1, TOKEN},
    {"tokens", 1, TOKEN},
    {"ktok", 1e3, TOKEN},
    {"Mtok", 1e6, TOKEN},
    {"Gtok", 1e9, TOKEN},
    {"Btok", 1e9, TOKEN},
    {"Ttok", 1e12, TOKEN},
    {"accel", 1, ACCEL},
    {"accelerator", 1, ACCEL},
    {"accelerators", 1, ACCEL},
    {"GPU", 1, ACCEL},
    {"GPUs", 1, ACCEL},
    {"req", 1, REQUEST},
    {"request", 1, REQUEST},
    {"requests", 1, REQUEST},
    {"%", 0.01, NONE},
    {"1", 1, NONE},
};

#define LONGEST 24 /* characters of a unit's name that messages show */

static const char *nearest_unit(const char *word) {
    const char *names[RUB_LEN(atoms)];
    for (size_t i = 0; i < RUB_LEN(atoms); i++) {
        names[i] = atoms[i].name;
        if (strcasecmp(word, atoms[i].name) == 0)
            return atoms[i].name;
    }
    return strlen(word) > 3 ? rub_text_nearest(word, names, RUB_LEN(atoms)) : NULL;
}

static rub_status unknown_unit(const char *p, size_t n, rub_error *err) {
    char word[LONGEST + 1];
    snprintf(word, sizeof word, "%.*s", (int)(n < LONGEST ? n : LONGEST), p);
    if (n == 0)
        return rub_error_set(err, RUB_PARSE, "a unit is missing");
    const char *near = nearest_unit(word);
    return rub_error_set(
        err, RUB_PARSE,
        near ? "unit '%s' is not known, did you mean '%s'?" : "unit '%s' is not known", word, near);
}

static rub_status apply(const char *p, size_t n, int sign, rub_unit *unit, rub_error *err) {
    for (size_t i = 0; i < RUB_LEN(atoms); i++) {
        if (strlen(atoms[i].name) != n || memcmp(atoms[i].name, p, n) != 0)
            continue;
        unit->scale = sign > 0 ? unit->scale * atoms[i].scale : unit->scale / atoms[i].scale;
        for (int d = 0; d < RUB_N_DIM; d++) {
            int power = unit->power[d] + sign * atoms[i].power[d];
            if (abs(power) > 9)
                return rub_error_set(err, RUB_PARSE, "a unit is repeated too often");
            unit->power[d] = (int8_t)power;
        }
        return RUB_OK;
    }
    return unknown_unit(p, n, err);
}

/* Multiplies what p says into *unit. */
static rub_status parse_unit(const char *p, rub_unit *unit, rub_error *err) {
    int sign = 1;
    p += strspn(p, " ");
    if (*p == '/') {
        sign = -1;
        p++;
        if (!p[strspn(p, " ")])
            return rub_error_set(err, RUB_PARSE, "unit ends with '/', expected a unit after it");
    }
    while (*p) {
        p += strspn(p, " ");
        size_t n = strcspn(p, " /-*");
        RUB_TRY(apply(p, n, sign, unit, err));
        p += n;
        p += strspn(p, " ");
        if (!*p)
            return RUB_OK;
        if (*p == '/')
            sign = -1;
        else if (*p != '-' && *p != '*')
            return rub_error_set(err, RUB_PARSE, "unit goes on with '%.*s', expected '/' or '-'",
                                 LONGEST, p);
        p++;
        if (!p[strspn(p, " ")])
            return rub_error_set(err, RUB_PARSE, "unit ends with '%c', expected a unit after it",
                                 p[-1]);
    }
    return RUB_OK;
}

rub_status rub_unit_parse(const char *text, rub_unit *out, rub_error *err) {
    rub_unit unit = {.scale = 1.0};
    RUB_TRY(parse_unit(text, &unit, err));
    *out = unit;
    return RUB_OK;
}

/* Length of the decimal number at p: 12, 1.5, .5, 2e-3; 0 when there is none. */
static size_t number_length(const char *p) {
    size_t whole = strspn(p, "0123456789"), n = whole, fraction = 0;
    if (p[n] == '.') {
        fraction = strspn(p + n + 1, "0123456789");
        n += 1 + fraction;
    }
    if (whole + fraction == 0)
        return 0;
    if (p[n] == 'e' || p[n] == 'E') {
        size_t sign = p[n + 1] == '+' || p[n + 1] == '-';
        size_t digits = strspn(p + n + 1 + sign, "0123456789");
        if (digits > 0)
            n += 1 + sign + digits;
    }
    return n;
}

/* k, M, B, ... right after the number and followed by nothing of a word; 1 when there is none. */
static double multiplier(const char **p) {
    static const struct {
        const char *text;
        double scale;
    } table[] = {{"k", 1e3}, {"K", 1e3},  {"M", 1e6}, {"B", 1e9},
                 {"G", 1e9}, {"T", 1e12}, {"bn", 1e9}};
    size_t n = 0;
    while (isalpha((unsigned char)(*p)[n]))
        n++;
    for (size_t i = 0; i < RUB_LEN(table); i++)
        if (strlen(table[i].text) == n && memcmp(table[i].text, *p, n) == 0) {
            *p += n;
            return table[i].scale;
        }
    return 1.0;
}

static rub_status not_a_quantity(const char *text, rub_error *err) {
    return rub_error_set(err, RUB_PARSE, "'%.60s' is not a number", text);
}

rub_status rub_quantity_split(const char *text, double *number, rub_unit *unit, rub_error *err) {
    const char *p = text + strspn(text, " ");
    rub_unit u = {.scale = 1.0};
    double sign = 1.0;
    if (*p == '+' || *p == '-')
        sign = *p++ == '-' ? -1.0 : 1.0;
    if (*p == '$') {
        u.power[RUB_DIM_USD] = 1;
        p++;
        if (sign > 0 && *p == '-') {
            sign = -1.0;
            p++;
        }
    }
    size_t n = number_length(p);
    if (n == 0 || n > 60)
        return not_a_quantity(text, err);
    char digits[64];
    memcpy(digits, p, n);
    digits[n] = '\0';
    double value = sign * strtod(digits, NULL);
    p += n;
    value *= multiplier(&p);
    RUB_TRY(parse_unit(p, &u, err));
    if (!isfinite(value * u.scale))
        return not_a_quantity(text, err);
    *number = value;
    *unit = u;
    return RUB_OK;
}

bool rub_unit_same(const rub_unit *a, const rub_unit *b) {
    return memcmp(a->power, b->power, sizeof a->power) == 0;
}

const char *rub_unit_meaning(const rub_unit *unit) {
    static const struct {
        int8_t power[RUB_N_DIM];
        const char *text;
    } table[] = {
        {{0}, "a plain number"},
        {{1}, "money"},
        {{0, 1}, "a power"},
        {{0, 0, 1}, "a time"},
        {{0, 1, 1}, "an energy"},
        {{0, 0, 0, 1}, "a number of tokens"},
        {{0, 0, 0, 0, 1}, "a number of accelerators"},
        {{0, 0, 0, 0, 0, 1}, "a number of requests"},
        {{0, 0, -1}, "a rate per time"},
        {{0, 0, -1, 1}, "tokens per time"},
        {{0, 0, -1, 0, 0, 1}, "requests per time"},
        {{1, 0, -1}, "money per time"},
        {{1, -1}, "money per power"},
        {{1, -1, -1}, "money per power and time"},
        {{1, 0, 0, -1}, "money per token"},
        {{1, 0, 0, 0, -1}, "money per accelerator"},
        {{1, 0, -1, 0, -1}, "money per accelerator and time"},
        {{0, 1, 0, 0, -1}, "power per accelerator"},
        {{0, -1, -1, 1}, "tokens per time and power"},
    };
    for (size_t i = 0; i < RUB_LEN(table); i++)
        if (memcmp(table[i].power, unit->power, sizeof unit->power) == 0)
            return table[i].text;
    return "a quantity of another kind";
}

rub_status rub_quantity_parse(const char *text, const char *unit, double *out, rub_error *err) {
    double number;
    rub_unit found, wanted;
    RUB_TRY(rub_quantity_split(text, &number, &found, err));
    RUB_TRY(rub_unit_parse(unit, &wanted, err));
    rub_unit none = {.scale = 1.0};
    if (!rub_unit_same(&found, &wanted)) {
        if (number == 0.0 && rub_unit_same(&found, &none)) {
            *out = 0.0;
            return RUB_OK;
        }
        if (rub_unit_same(&found, &none))
            return rub_error_set(err, RUB_INVALID, "'%.60s' has no unit, expected %s in %s", text,
                                 rub_unit_meaning(&wanted), unit);
        return rub_error_set(err, RUB_INVALID, "'%.60s' is %s, expected %s%s%s", text,
                             rub_unit_meaning(&found), rub_unit_meaning(&wanted),
                             *unit ? " in " : "", unit);
    }
    *out = number * (found.scale / wanted.scale); /* exact when the units are the same */
    return RUB_OK;
}
