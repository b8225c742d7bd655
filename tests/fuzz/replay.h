/* Replay driver of fuzz targets: without libFuzzer it runs a target on seeds and on deterministic
 * mutations of them (2,000 in the short tier, a minute with RUB_TEST_LONG=1), so that every build
 * with sanitizers exercises the parsers. With -DRUB_LIBFUZZER the target is libFuzzer's. */
#ifndef RUB_TEST_REPLAY_H
#define RUB_TEST_REPLAY_H

#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#ifndef RUB_LIBFUZZER
enum { REPLAY_MAX = 1 << 16 };

/* Flips, removes, doubles or replaces a few stretches of buf[n]; returns the new length. */
static size_t replay_mutate(rub_rng *rng, char *buf, size_t n) {
    static const char *const words[] = {"0",    "-1",      "1e999", "999999999999999999999",
                                        "null", "\"",      "{",     "}",
                                        "[",    "]",       ",",     ":",
                                        "\n",   "\\u0000", "true",  "\xff"};
    int edits = 1 + (int)rub_rng_below(rng, 4);
    for (int e = 0; e < edits && n > 0; e++) {
        size_t at = rub_rng_below(rng, n), length = 1 + rub_rng_below(rng, 12);
        if (length > n - at)
            length = n - at;
        const char *word = words[rub_rng_below(rng, sizeof words / sizeof *words)];
        size_t w = strlen(word);
        switch (rub_rng_below(rng, 4)) {
        case 0: /* one bit */
            buf[at] = (char)(buf[at] ^ (1 << rub_rng_below(rng, 8)));
            break;
        case 1: /* remove */
            memmove(buf + at, buf + at + length, n - at - length);
            n -= length;
            break;
        case 2: /* double */
            if (n + length <= REPLAY_MAX) {
                memmove(buf + at + length, buf + at, n - at);
                n += length;
            }
            break;
        default: /* a word instead */
            if (n - length + w <= REPLAY_MAX) {
                memmove(buf + at + w, buf + at + length, n - at - length);
                memcpy(buf + at, word, w);
                n = n - length + w;
            }
        }
    }
    return n;
}

/* Runs seeds[n_seed] and mutations of them; prints TAP. Returns the exit status. */
static int replay(const char *const *seeds, size_t n_seed) {
    static char buf[REPLAY_MAX];
    const char *tier = getenv("RUB_TEST_LONG");
    time_t end = time(NULL) + 60;
    rub_rng rng = rub_rng_make(1, 0);
    for (size_t i = 0; i < n_seed; i++)
        LLVMFuzzerTestOneInput((const uint8_t *)seeds[i], strlen(seeds[i]));
    for (long i = 0; tier && *tier == '1' ? time(NULL) < end : i < 2000; i++) {
        const char *seed = seeds[rub_rng_below(&rng, n_seed)];
        size_t n = strlen(seed) < REPLAY_MAX ? strlen(seed) : REPLAY_MAX;
        memcpy(buf, seed, n);
        n = replay_mutate(&rng, buf, n);
        char *exact = malloc(n ? n : 1); /* its own block, so that reading past it is seen */
        if (!exact)
            return 1;
        memcpy(exact, buf, n);
        LLVMFuzzerTestOneInput((const uint8_t *)exact, n);
        free(exact);
    }
    puts("1..1\nok 1 - replay");
    return 0;
}
#endif

#endif
