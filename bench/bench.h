/* Timing core of the benchmarks: a scene is run several times; the fastest and the median are told.
 * One thread is timed by its CPU time, so that a busy machine does not spoil it; more by the clock.
 * With RUB_BENCH_LOG=FILE a CSV row for each scene is appended, with commit and machine
 * (bench/run does that; bench/README.md). */
#ifndef RUB_BENCH_BENCH_H
#define RUB_BENCH_BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define BENCH_RUNS 5

static inline double bench_now_s(int threads) {
    struct timespec t;
    clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
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

/* One row of the log; what stands for the date is the commit. */
static inline void bench_log(const char *name, const char *item, int threads, double items,
                             double best_s, double median_s) {
    const char *path = getenv("RUB_BENCH_LOG"), *commit = getenv("RUB_BENCH_COMMIT");
    const char *machine = getenv("RUB_BENCH_MACHINE");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file)
        return;
    fprintf(file, "%s,\"%s\",\"%s\",%d,%s,%.0f,%.6g,%.6g,%.4g\n", commit ? commit : "",
            machine ? machine : "", name, threads, item, items, best_s, median_s, items / best_s);
    fclose(file);
}

static inline void bench_tell(const char *name, const char *item, int threads, double items,
                              double best_s, double median_s) {
    printf("%-44s %d thread%s %9.3g %s/s (best) %9.3g (median) %8.3g ns each, peak %.0f MB\n", name,
           threads, threads == 1 ? " " : "s", items / best_s, item, items / median_s,
           1e9 * best_s / items, bench_peak_mb());
    fflush(stdout);
    bench_log(name, item, threads, items, best_s, median_s);
}

/* Runs a scene BENCH_RUNS times after one to warm up; run returns how many items it did. Gives the
 * fastest and the median time, for scenes that tell them by another item too. */
static inline void bench(const char *name, const char *item, int threads, double (*run)(void *),
                         void *ctx, double *best_s, double *median_s) {
    double seconds[BENCH_RUNS], items = run(ctx);
    for (int i = 0; i < BENCH_RUNS; i++) {
        double start = bench_now_s(threads);
        items = run(ctx);
        seconds[i] = bench_now_s(threads) - start;
    }
    qsort(seconds, BENCH_RUNS, sizeof *seconds, bench_ascending);
    *best_s = seconds[0];
    *median_s = seconds[BENCH_RUNS / 2];
    bench_tell(name, item, threads, items, *best_s, *median_s);
}

#endif
