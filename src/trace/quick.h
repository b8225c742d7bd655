/* Quick scanning of plain cells, eight digits at a time. Each returns the place after what it took
 * (a comma or the end of the line if the cell was plain), or NULL where the general scanner
 * (scan.h) must look. Both give the same values: tests/unit/test_trace_read.c compares them. */
#ifndef RUB_TRACE_QUICK_H
#define RUB_TRACE_QUICK_H

#include "trace/scan.h"

#include <string.h>

/* Eight digits in one word, first digit in the lowest byte (Lemire 2018, "Quickly parsing eight
 * digits"); false when one of them is no digit, and on a big-endian machine. */
static inline bool rub_quick_eight(const char *p, uint64_t *out) {
    uint64_t v;
    memcpy(&v, p, 8);
    if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ ||
        ((v & 0xf0f0f0f0f0f0f0f0u) | (((v + 0x0606060606060606u) & 0xf0f0f0f0f0f0f0f0u) >> 4)) !=
            0x3333333333333333u)
        return false;
    v = (v & 0x0f0f0f0f0f0f0f0fu) * 2561 >> 8;
    v = (v & 0x00ff00ff00ff00ffu) * 6553601 >> 16;
    *out = (v & 0x0000ffff0000ffffu) * 42949672960001 >> 32;
    return true;
}

/* Digits from p on, appended to *x; returns the place after them. At most 18 digits keep *x
 * exact; the caller counts. */
static inline const char *rub_quick_digits(const char *p, const char *end, uint64_t *x) {
    uint64_t eight;
    while (end - p >= 8 && rub_quick_eight(p, &eight)) {
        *x = *x * 100000000u + eight;
        p += 8;
    }
    for (; p < end && (unsigned)(*p - '0') < 10u; p++)
        *x = *x * 10u + (uint64_t)(*p - '0');
    return p;
}

/* Up to nine digits, and ".0" after them. */
static inline const char *rub_quick_integer(const char *p, const char *end, int64_t *out) {
    uint64_t x = 0;
    const char *q = rub_quick_digits(p, end, &x);
    *out = (int64_t)x;
    if (q == p || q - p > 9)
        return NULL;
    return end - q >= 2 && q[0] == '.' && q[1] == '0' ? q + 2 : q;
}

/* At most 15 digits, so that they and the power of ten are exact and one division rounds right. */
static inline const char *rub_quick_number(const char *p, const char *end, double *out) {
    static const double power[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    uint64_t x = 0;
    const char *q = rub_quick_digits(p, end, &x), *first = p;
    *out = 0.0;
    if (q == p)
        return NULL;
    long point = 0;
    if (q < end && *q == '.') {
        const char *r = rub_quick_digits(q + 1, end, &x);
        point = r - q - 1;
        q = r;
        first++; /* the point is no digit */
    }
    if (q - first > 15)
        return NULL;
    *out = (double)x / power[point];
    return q;
}

#endif
