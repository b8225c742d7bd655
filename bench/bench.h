/* Timing core of the benchmarks: a scene is run several times; the fastest and the median are told.
 * With RUB_BENCH_LOG=FILE a JSON line for each scene is appended, with commit and machine. */
#ifndef RUB_BENCH_BENCH_H
#define RUB_BENCH_BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

#define BENCH_RUNS 5

static inline double bench_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline int bench_ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline double bench_peak_mb(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024.0;
}

/* Runs a scene BENCH_RUNS times after one to warm up; run returns how many items it did. */
static inline void bench(const char *name, const char *item, int threads, double (*run)(void *),
                         void *ctx) {
    double seconds[BENCH_RUNS], items = run(ctx);
    for (int i = 0; i < BENCH_RUNS; i++) {
        double start = bench_now_s();
        items = run(ctx);
        seconds[i] = bench_now_s() - start;
    }
    qsort(seconds, BENCH_RUNS, sizeof *seconds, bench_ascending);
    double least = seconds[0], median = seconds[BENCH_RUNS / 2];
    printf(
        "%-44s %2d thread%s  %9.3g %s/s (best)  %9.3g %s/s (median)  %8.3g ns each  peak %.0f MB\n",
        name, threads, threads == 1 ? " " : "s", items / least, item, items / median, item,
        1e9 * least / items, bench_peak_mb());
    fflush(stdout);
    const char *log = getenv("RUB_BENCH_LOG"), *commit = getenv("RUB_BENCH_COMMIT");
    FILE *file = log ? fopen(log, "a") : NULL;
    struct utsname machine;
    if (!file)
        return;
    uname(&machine);
    fprintf(file,
            "{\"scene\":\"%s\",\"threads\":%d,\"item\":\"%s\",\"items\":%.0f,\"best_s\":%.6g,"
            "\"median_s\":%.6g,\"commit\":\"%s\",\"machine\":\"%s\"}\n",
            name, threads, item, items, least, median, commit ? commit : "", machine.machine);
    fclose(file);
}

#endif
