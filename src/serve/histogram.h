/* Bins of rub_histogram: 64 an octave from 2^-30 s (1 ns) on; bin 0 takes what is shorter. */
#ifndef RUB_SERVE_HISTOGRAM_H
#define RUB_SERVE_HISTOGRAM_H

#include "rubato/serve.h"

/* The upper bits of a double are its octave and the 64th part of it. */
static inline size_t rub_histogram_bin(double s) {
    union {
        double d;
        uint64_t u;
    } x = {.d = s};
    int64_t i = (int64_t)(x.u >> 46) - ((1023 - 30) << 6);
    return i < 0 ? 0 : i >= RUB_HISTOGRAM_N ? RUB_HISTOGRAM_N - 1 : (size_t)i;
}

#endif
