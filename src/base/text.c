#include "base/text.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rub_text_add_bytes(rub_text *text, const char *bytes, size_t n) {
    if (text->failed)
        return;
    if (rub_array_reserve((void **)&text->data, &text->cap, text->n + n + 1, 1) != RUB_OK) {
        text->failed = true;
        return;
    }
    memcpy(text->data + text->n, bytes, n);
    text->n += n;
    text->data[text->n] = '\0';
}

void rub_text_add(rub_text *text, const char *format, ...) {
    char small[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0)
        return;
    if ((size_t)n < sizeof small) {
        rub_text_add_bytes(text, small, (size_t)n);
        return;
    }
    char *big = malloc((size_t)n + 1);
    if (!big) {
        text->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(big, (size_t)n + 1, format, args);
    va_end(args);
    rub_text_add_bytes(text, big, (size_t)n);
    free(big);
}

void rub_text_clear(rub_text *text) {
    free(text->data);
    *text = (rub_text){0};
}

int rub_text_distance(const char *a, const char *b) {
    enum { MAX = 63 };
    int na = (int)strnlen(a, MAX), nb = (int)strnlen(b, MAX), row[MAX + 1];
    for (int j = 0; j <= nb; j++)
        row[j] = j;
    for (int i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[nb];
}

const char *rub_text_nearest(const char *word, const char *const *names, size_t n) {
    const char *best = NULL;
    int limit = 1 + (int)strlen(word) / 3;
    for (size_t i = 0; i < n; i++) {
        int d = rub_text_distance(word, names[i]);
        if (d <= limit) {
            limit = d - 1;
            best = names[i];
        }
    }
    return best;
}

char *rub_strdup(const char *s) { return s ? strdup(s) : NULL; }

char *rub_text_si(double value, char *buf, size_t size) {
    static const char *const prefix[] = {"", " k", " M", " G", " T", " P"};
    size_t i = 0;
    double x = value;
    while (fabs(x) >= 999.5 && i + 1 < RUB_LEN(prefix)) {
        x /= 1000.0;
        i++;
    }
    int digits = fabs(x) >= 99.95 ? 0 : fabs(x) >= 9.995 ? 1 : 2;
    snprintf(buf, size, "%.*f%s", i || x != floor(x) ? digits : 0, x, prefix[i]);
    return buf;
}

char *rub_text_usd(double usd, char buf[32]) {
    static const struct {
        double unit;
        char letter;
    } scale[] = {{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}, {1e3, 'k'}};
    double size = fabs(usd);
    const char *sign = usd < 0 ? "-" : "";
    for (size_t i = 0; i < sizeof scale / sizeof scale[0]; i++)
        if (size >= 0.9995 * scale[i].unit) {
            double x = size / scale[i].unit;
            snprintf(buf, 32, "%s$%.*f%c", sign, x < 99.95 ? 1 : 0, x, scale[i].letter);
            return buf;
        }
    snprintf(buf, 32, "%s$%.0f", size < 0.5 ? "" : sign, size);
    return buf;
}

/* Commas between thousands of the whole part of a number without sign. */
static void add_commas(const char *plain, char buf[32]) {
    size_t whole = strcspn(plain, "."), n = 0;
    for (size_t i = 0; plain[i] && n + 3 < 32; i++) {
        if (i > 0 && i < whole && (whole - i) % 3 == 0)
            buf[n++] = ',';
        buf[n++] = plain[i];
    }
    buf[n] = '\0';
}

static char *fixed(double value, int places, char buf[32]) {
    char plain[64];
    snprintf(plain, sizeof plain, "%.*f", places, fabs(value));
    bool zero = strspn(plain, "0.") == strlen(plain);
    buf[0] = '-';
    add_commas(plain, buf + (value < 0 && !zero));
    return buf;
}

char *rub_text_exact(double value, int digits, char buf[32]) {
    double size = fabs(value);
    if (!(size < 1e15)) { /* past any figure that people write out */
        snprintf(buf, 32, "%.*g", digits, value);
        return buf;
    }
    int whole = size > 0 ? (int)floor(log10(size)) + 1 : 1;
    int places = digits > whole ? digits - whole : 0;
    fixed(value, places < 12 ? places : 12, buf);
    if (strchr(buf, '.')) {
        size_t n = strlen(buf);
        while (buf[n - 1] == '0')
            buf[--n] = '\0';
        if (buf[n - 1] == '.')
            buf[n - 1] = '\0';
    }
    return buf;
}

char *rub_text_number(double value, char buf[32]) { return rub_text_exact(value, 3, buf); }

char *rub_text_mw(double mw, char buf[32]) {
    double size = fabs(mw);
    int places = size < 0.0005 || size >= 9.95 ? 0 : size < 0.995 ? 2 : 1;
    return fixed(size < 0.0005 ? 0.0 : mw, places, buf);
}
