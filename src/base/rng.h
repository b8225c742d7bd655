/* Random numbers: xoshiro256++ (Blackman and Vigna, 2019, ACM TOMS 47:4) seeded by SplitMix64.
 * A stream is (seed, stream number): the same pair gives the same numbers on every machine and
 * thread count, so parallel work gives each item its own stream. */
#ifndef RUB_BASE_RNG_H
#define RUB_BASE_RNG_H

#include <stdint.h>

typedef struct rub_rng {
    uint64_t s[4];
} rub_rng;

rub_rng rub_rng_make(uint64_t seed, uint64_t stream);
uint64_t rub_rng_next(rub_rng *rng);              /* 64 random bits */
double rub_rng_uniform(rub_rng *rng);             /* [0, 1), 53 bits */
uint64_t rub_rng_below(rub_rng *rng, uint64_t n); /* 0..n-1 without bias; n > 0 */
double rub_rng_normal(rub_rng *rng);              /* mean 0, variance 1 (polar method) */
double rub_rng_exponential(rub_rng *rng);         /* mean 1 */
double rub_rng_gamma(rub_rng *rng, double shape); /* mean shape, scale 1 (Marsaglia, Tsang) */

#endif
