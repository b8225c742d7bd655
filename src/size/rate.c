/* Rate: the largest rate that some replicas hold, on a grid of 2^(k/128) (steps of 0.54 %).
 *
 * Steps double away from a guess until one holds and one does not, then the interval is halved. In a
 * simulation holding a rate does not always mean holding every smaller one, so the answer can hang on
 * the guess by a step or two: the guess is the trial's own, and a least rate only ends the same search
 * early. So pruned and exhaustive searches find the same. */
#include "size/size.h"

#include "base/array.h"

#include <math.h>

#define GRID 128.0
#define LOWEST (-1024) /* 2^-8 requests/s */
#define HIGHEST 3072   /* 2^24 */

typedef struct ladder {
    const rub_size_job *job;
    const rub_size_load *load;
    const rub_size_trial *trial;
    rub_size_bench *bench;
    int32_t n;                /* replicas */
    rub_size_verdict verdict; /* of the last run */
    rub_size_verdict held;    /* of the last run that held: the answer's */
    rub_status status;
    rub_error *err;
} ladder;

static double rate_at(int32_t k) { return exp2(k / GRID); }

static bool holds(ladder *l, int32_t k) {
    l->status = rub_size_simulate(l->job, l->load, l->trial, l->bench, l->n, rate_at(k),
                                  &l->verdict, l->err);
    if (l->status == RUB_OK && l->verdict.holds)
        l->held = l->verdict;
    return l->status == RUB_OK && l->verdict.holds;
}

/* Largest k in [low, high) that holds, low being known to hold and high not to; given up once it is
 * known to be under least. */
static int32_t halve(ladder *l, int32_t low, int32_t high, int32_t least) {
    while (l->status == RUB_OK && high - low > 1 && high > least) {
        int32_t middle = low + (high - low) / 2;
        if (holds(l, middle))
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Largest k that holds; anything under least when it is under that. */
static int32_t climb(ladder *l, int32_t least, int32_t guess) {
    int32_t at = guess < LOWEST ? LOWEST : guess > HIGHEST ? HIGHEST : guess, step = 24;
    if (holds(l, at)) {
        int32_t low = at;
        while (l->status == RUB_OK && low + step < HIGHEST && holds(l, low + step)) {
            low += step;
            step *= 2;
        }
        return halve(l, low, low + step, least);
    }
    int32_t high = at;
    while (l->status == RUB_OK && high > least) {
        int32_t low = high - step < LOWEST ? LOWEST : high - step;
        if (holds(l, low))
            return halve(l, low, high, least);
        high = low;
        step *= 2;
    }
    return LOWEST - 1;
}

rub_status rub_size_largest_rate(const rub_size_job *job, const rub_size_load *load,
                                 const rub_size_trial *trial, rub_size_bench *bench, int32_t n,
                                 double least_per_s, double guess_per_s, double *out,
                                 rub_size_verdict *at, rub_error *err) {
    ladder l = {.job = job, .load = load, .n = n, .trial = trial, .bench = bench, .err = err};
    int32_t least = least_per_s > 0 ? (int32_t)ceil(log2(least_per_s) * GRID - 1e-6) : LOWEST;
    int32_t guess = guess_per_s > 0 ? (int32_t)floor(log2(guess_per_s) * GRID) : 0;
    int32_t k = climb(&l, least > LOWEST ? least : LOWEST, guess);
    if (l.status != RUB_OK)
        return l.status;
    bool found = l.held.holds && k >= least;
    *out = found ? rate_at(k) : 0.0;
    *at = found ? l.held : l.verdict;
    return RUB_OK;
}
