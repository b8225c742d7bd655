/* Text: a growing string, and small helpers on C strings. */
#ifndef RUB_BASE_TEXT_H
#define RUB_BASE_TEXT_H

#include "rubato/base.h"

#include <stdarg.h>

/* A growing string; zero-initialise; data is NUL-terminated once anything was added. A failed
 * allocation sets failed and later calls do nothing, so a writer checks once at the end. */
typedef struct rub_text {
    char *data;
    size_t n, cap;
    bool failed;
} rub_text;

void rub_text_add(rub_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void rub_text_add_bytes(rub_text *text, const char *bytes, size_t n);
void rub_text_clear(rub_text *text); /* frees */

/* Levenshtein distance, for "did you mean"; 0 for equal. */
int rub_text_distance(const char *a, const char *b);

/* The nearest of n names to word within distance 1 + strlen(word) / 3, or NULL. */
const char *rub_text_nearest(const char *word, const char *const *names, size_t n);

/* malloc'ed copy; NULL when out of memory or s is NULL. */
char *rub_strdup(const char *s);

/* 1.23e9 -> "1.23 G", with k M G T P; fits 16 characters. Returns buf. */
char *rub_text_si(double value, char *buf, size_t size);

/* "$12.3B", "-$450M", "$80.0k", "$0"; buf of 32; returns buf. */
char *rub_text_usd(double usd, char buf[32]);

/* A number as people write it, about three digits: "1,810", "421", "33.5", "1.25", "0.108", "0";
 * buf of 32; returns buf. */
char *rub_text_number(double value, char buf[32]);

/* The same with at most `digits` (up to 9) significant ones and none that say nothing: "99.9", "5". */
char *rub_text_exact(double value, int digits, char buf[32]);

/* Megawatts: "1,250", "48", "7.5", "0.18", "0". */
char *rub_text_mw(double mw, char buf[32]);

#endif
