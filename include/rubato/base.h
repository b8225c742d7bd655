/* Base: status codes, errors with a place, progress. Every other header includes this one.
 *
 * Conventions of the whole library:
 *  - A fallible function returns rub_status (0 is success) and takes a nullable rub_error * last;
 *    on failure its outputs are untouched.
 *  - An outcome that is not a failure (infeasible, target missed, time limit) lives in the result.
 *  - The library never prints, exits or keeps global state.
 *  - Units are suffixes: _s _ns _tok _bytes _flops _w _mw _usd _per_s _frac; n_x counts x.
 */
#ifndef RUBATO_BASE_H
#define RUBATO_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUB_STATUS_LIST(X)                                                                         \
    X(OK, 0, "success")                                                                            \
    X(NO_MEMORY, 1, "out of memory")                                                               \
    X(IO, 2, "cannot read or write a file")                                                        \
    X(PARSE, 3, "input is not well-formed")                                                        \
    X(INVALID, 4, "a value is outside what is allowed")                                            \
    X(NOT_FOUND, 5, "a name is not known")                                                         \
    X(UNSUPPORTED, 6, "this combination is not supported")                                         \
    X(INTERRUPTED, 7, "stopped by the caller")                                                     \
    X(SOLVER, 8, "the LP or MIP solver failed")                                                    \
    X(INTERNAL, 9, "an internal invariant does not hold")

typedef enum rub_status {
#define X(name, value, text) RUB_##name = value,
    RUB_STATUS_LIST(X)
#undef X
} rub_status;

/* Where and why a call failed. line and column count from 1; 0 means "not known". */
typedef struct rub_error {
    rub_status code;
    int64_t line;
    int64_t column;
    char file[256];
    char message[512]; /* what was found, and what was expected */
} rub_error;

/* One short text for a status; never NULL. */
const char *rub_status_text(rub_status status);

/* Fills *err (when not NULL) with code and a printf-style message, place unknown; returns code. */
rub_status rub_error_set(rub_error *err, rub_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with a place. file may be NULL. */
rub_status rub_error_at(rub_error *err, rub_status code, const char *file, int64_t line,
                        int64_t column, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* Writes "file:line:column: message" (parts that are not known left out) into buf; returns buf. */
char *rub_error_format(const rub_error *err, char *buf, size_t size);

/* Progress of a long call: done of total units; extra is a short text ("gap 1.2 %") or NULL.
 * Returning false asks the call to stop soon: it then keeps its best result so far. */
typedef struct rub_progress {
    bool (*report)(void *ctx, const char *what, double done, double total, const char *extra);
    void *ctx;
} rub_progress;

/* true when the call may go on; a NULL progress always may. */
bool rub_progress_report(const rub_progress *progress, const char *what, double done, double total,
                         const char *extra);

/* Processes that work on one call together (MPI ranks): every one makes the same calls in the same
 * order with the same data, does its share of the tasks, and then has the results of all. A NULL
 * pointer means alone. Results do not depend on n. */
typedef struct rub_ranks {
    int32_t rank, n;
    /* items of item_bytes each; rank r has filled n_item * r / n up to n_item * (r + 1) / n;
     * afterwards every rank has all of them */
    void (*gather)(void *ctx, void *items, size_t n_item, size_t item_bytes);
    /* every rank gets what rank `from` has */
    void (*share)(void *ctx, void *bytes, size_t n_byte, int32_t from);
    void *ctx;
} rub_ranks;

/* Library version, "0.1.0". Same as rubato --version. */
const char *rub_version(void);

#endif
