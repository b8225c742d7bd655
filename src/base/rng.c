#include "base/rng.h"

#include <math.h>

static uint64_t splitmix(uint64_t *x) {
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

rub_rng rub_rng_make(uint64_t seed, uint64_t stream) {
    uint64_t x = seed;
    uint64_t y = splitmix(&x) ^ (stream * 0xd1342543de82ef95u + 0x2545f4914f6cdd1du);
    rub_rng rng;
    for (int i = 0; i < 4; i++)
        rng.s[i] = splitmix(&y);
    return rng;
}

uint64_t rub_rng_next(rub_rng *rng) {
    uint64_t *s = rng->s;
    uint64_t result = rotl(s[0] + s[3], 23) + s[0];
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

double rub_rng_uniform(rub_rng *rng) { return (double)(rub_rng_next(rng) >> 11) * 0x1.0p-53; }

uint64_t rub_rng_below(rub_rng *rng, uint64_t n) {
    uint64_t limit = -n % n; /* first value that keeps the rest a multiple of n */
    uint64_t x;
    do
        x = rub_rng_next(rng);
    while (x < limit);
    return x % n;
}

double rub_rng_normal(rub_rng *rng) {
    double u, v, s;
    do {
        u = 2.0 * rub_rng_uniform(rng) - 1.0;
        v = 2.0 * rub_rng_uniform(rng) - 1.0;
        s = u * u + v * v;
    } while (s >= 1.0 || s == 0.0);
    return u * sqrt(-2.0 * log(s) / s);
}

double rub_rng_exponential(rub_rng *rng) { return -log(1.0 - rub_rng_uniform(rng)); }

/* Marsaglia and Tsang 2000, "A simple method for generating gamma variables"; shape < 1 by boost.
 */
double rub_rng_gamma(rub_rng *rng, double shape) {
    if (shape < 1.0) {
        double u = 1.0 - rub_rng_uniform(rng);
        return rub_rng_gamma(rng, shape + 1.0) * pow(u, 1.0 / shape);
    }
    double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (;;) {
        double x = rub_rng_normal(rng), v = 1.0 + c * x;
        if (v <= 0.0)
            continue;
        v = v * v * v;
        double u = 1.0 - rub_rng_uniform(rng);
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v;
    }
}
