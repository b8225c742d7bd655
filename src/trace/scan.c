#include "trace/scan.h"

#include "trace/quick.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *rub_scan_cell(const char *p, const char *end, rub_cell *out) {
    if (p < end && *p == '"') {
        const char *close = memchr(p + 1, '"', (size_t)(end - p - 1));
        if (close) {
            *out = (rub_cell){p + 1, close};
            const char *comma = memchr(close, ',', (size_t)(end - close));
            return comma ? comma + 1 : NULL;
        }
    }
    const char *q = p;
    while (q < end && *q != ',')
        q++;
    *out = (rub_cell){p, q};
    while (out->from < out->to && (*out->from == ' ' || *out->from == '\t'))
        out->from++;
    while (out->to > out->from &&
           (out->to[-1] == ' ' || out->to[-1] == '\t' || out->to[-1] == '\r'))
        out->to--;
    return q < end ? q + 1 : NULL;
}

bool rub_scan_integer(rub_cell cell, int64_t *out) {
    const char *p = cell.from;
    bool negative = p < cell.to && *p == '-';
    uint64_t x = 0;
    p += negative;
    const char *first = p;
    for (; p < cell.to && (unsigned)(*p - '0') < 10u; p++)
        x = x < 900000000000000000u ? x * 10u + (uint64_t)(*p - '0') : 9000000000000000000u;
    if (p == first)
        return false;
    if (p < cell.to && *p == '.') {
        for (p++; p < cell.to && *p == '0'; p++)
            ;
    }
    if (p != cell.to) {
        double d;
        if (!rub_scan_number(cell, &d) || d != floor(d) || fabs(d) > 9e18)
            return false;
        *out = (int64_t)d;
        return true;
    }
    *out = negative ? -(int64_t)x : (int64_t)x;
    return true;
}

/* strtod on a bounded copy: the slow path for long or odd numbers. */
static bool number_slow(rub_cell cell, double *out) {
    char buf[64], *end;
    size_t n = (size_t)(cell.to - cell.from);
    if (n == 0 || n >= sizeof buf)
        return false;
    memcpy(buf, cell.from, n);
    buf[n] = '\0';
    if (strspn(buf, "0123456789+-.eE") < n)
        return false;
    *out = strtod(buf, &end);
    return end == buf + n && isfinite(*out);
}

bool rub_scan_number(rub_cell cell, double *out) {
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *p = cell.from;
    bool negative = p < cell.to && *p == '-';
    uint64_t x = 0;
    int digits = 0,
        decimals = 0; /* an overflow of x is harmless: over 18 digits take the slow path */
    for (p += negative; p < cell.to && (unsigned)(*p - '0') < 10u; p++, digits++)
        x = x * 10u + (uint64_t)(*p - '0');
    if (p < cell.to && *p == '.')
        for (p++; p < cell.to && (unsigned)(*p - '0') < 10u; p++, digits++, decimals++)
            x = x * 10u + (uint64_t)(*p - '0');
    /* Clinger 1990: both exact in double, so one division rounds correctly. */
    if (p != cell.to || digits == 0 || digits > 18 || x > (1ull << 53) || decimals > 22)
        return number_slow(cell, out);
    double d = (double)x / power[decimals];
    *out = negative ? -d : d;
    return true;
}

static bool two(const char *p, int *out) {
    unsigned a = (unsigned)(p[0] - '0'), b = (unsigned)(p[1] - '0');
    *out = (int)(a * 10 + b);
    return a < 10 && b < 10;
}

/* Days since 1970-01-01 (Hinnant's algorithm for the proleptic Gregorian calendar). */
static int64_t days_since_1970(int64_t y, int m, int d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400, doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool zone(const char *p, const char *end, int64_t *offset_s) {
    int h, m = 0;
    *offset_s = 0;
    if (p == end || (end - p == 1 && *p == 'Z'))
        return true;
    if ((*p != '+' && *p != '-') || end - p < 3 || !two(p + 1, &h))
        return false;
    const char *q = p + 3;
    q += q < end && *q == ':';
    if (end - q == 2 ? !two(q, &m) : q != end)
        return false;
    *offset_s = (*p == '-' ? -1 : 1) * (h * 3600 + m * 60);
    return true;
}

static bool day_exists(int year, int month, int day) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

/* Digits of a fraction of a second as nanoseconds; those after the ninth are dropped. */
static const char *fraction_ns(const char *p, const char *end, int64_t *ns) {
    static const int64_t unit[] = {1000000000, 100000000, 10000000, 1000000, 100000,
                                   10000,      1000,      100,      10,      1};
    uint64_t x = 0;
    const char *nine = end - p > 9 ? p + 9 : end, *q = rub_quick_digits(p, nine, &x);
    *ns = (int64_t)x * unit[q - p];
    while (q < end && (unsigned)(*q - '0') < 10u)
        q++;
    return q;
}

const char *rub_scan_date_part(const char *p, const char *end, int64_t *ns) {
    int c, y, mo, d, h, mi, s;
    if (end - p < 19 || !two(p, &c) || !two(p + 2, &y) || p[4] != '-' || !two(p + 5, &mo) ||
        p[7] != '-' || !two(p + 8, &d) || (p[10] != ' ' && p[10] != 'T') || !two(p + 11, &h) ||
        p[13] != ':' || !two(p + 14, &mi) || p[16] != ':' || !two(p + 17, &s))
        return NULL;
    int year = c * 100 + y;
    if (!day_exists(year, mo, d) || h > 23 || mi > 59 || s > 60)
        return NULL;
    int64_t fraction = 0, seconds = days_since_1970(year, mo, d) * 86400 + h * 3600 + mi * 60 + s;
    p += 19;
    if (p < end && *p == '.')
        p = fraction_ns(p + 1, end, &fraction);
    bool in_range = year >= RUB_SCAN_FIRST_YEAR && year <= RUB_SCAN_LAST_YEAR;
    *ns = in_range ? seconds * 1000000000 + fraction : RUB_SCAN_ABSURD_DATE;
    return p;
}

bool rub_scan_date(rub_cell cell, int64_t *ns) {
    int64_t offset_s;
    const char *p = rub_scan_date_part(cell.from, cell.to, ns);
    if (!p || !zone(p, cell.to, &offset_s))
        return false;
    if (*ns != RUB_SCAN_ABSURD_DATE)
        *ns -= offset_s * 1000000000;
    return true;
}
