/* Replay driver of fuzz targets: without libFuzzer it runs a target on seeds and on deterministic
 * mutations of them (2,000 in the short tier, a minute with RUB_TEST_LONG=1), so that every build
 * with sanitizers exercises the parsers. With -DRUB_LIBFUZZER the target is libFuzzer's, and starts
 * from the seeds that the driver writes into the folder RUB_FUZZ_SEEDS (scripts/fuzz). */
#ifndef RUB_TEST_REPLAY_H
#define RUB_TEST_REPLAY_H

#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { REPLAY_MAX = 1 << 16 };

/* A file of the project as a seed, "" when it is not there; four at most. */
static inline const char *replay_file(const char *path) {
    static char kept[4][REPLAY_MAX];
    static int used;
    FILE *file = used < 4 ? fopen(path, "r") : NULL;
    if (!file)
        return "";
    char *text = kept[used++];
    text[fread(text, 1, REPLAY_MAX - 1, file)] = '\0';
    fclose(file);
    return text;
}

#ifndef RUB_LIBFUZZER

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

static int replay_write(const char *folder, const char *const *seeds, size_t n_seed) {
    for (size_t i = 0; i < n_seed; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/seed-%zu", folder, i);
        FILE *file = fopen(path, "w");
        if (!file)
            return 1;
        fputs(seeds[i], file);
        fclose(file);
    }
    return 0;
}

/* Runs seeds[n_seed] and mutations of them; prints TAP. Returns the exit status. */
static int replay(const char *const *seeds, size_t n_seed) {
    static char buf[REPLAY_MAX];
    const char *tier = getenv("RUB_TEST_LONG");
    time_t end = time(NULL) + 60;
    rub_rng rng = rub_rng_make(1, 0);
    if (getenv("RUB_FUZZ_SEEDS"))
        return replay_write(getenv("RUB_FUZZ_SEEDS"), seeds, n_seed);
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
