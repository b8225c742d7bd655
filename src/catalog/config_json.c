/* Typed access to a configuration. jansson keeps no places of values, so that a failing key is
 * searched for in the text again: only errors pay for it. */
#include "catalog/config.h"

#include <stdarg.h>
#include <string.h>

/* A cursor over well-formed JSON. */
typedef struct cursor {
    const char *p, *end;
    int64_t line;
    const char *line_start;
} cursor;

static void skip_blank(cursor *c) {
    while (c->p < c->end && strchr(" \t\r\n", *c->p)) {
        if (*c->p == '\n') {
            c->line++;
            c->line_start = c->p + 1;
        }
        c->p++;
    }
}

/* At a '"': moves behind the string; the text between the quotes. */
static const char *skip_string(cursor *c, size_t *n) {
    const char *start = ++c->p;
    while (c->p < c->end && *c->p != '"')
        c->p += *c->p == '\\' && c->p + 1 < c->end ? 2 : 1;
    *n = (size_t)(c->p - start);
    if (c->p < c->end)
        c->p++;
    return start;
}

/* Columns count bytes from 1, as jansson's do for ASCII text. */
bool rub_json_place(const char *bytes, size_t n, const char *parent, const char *key, int64_t *line,
                    int64_t *column) {
    cursor c = {.p = bytes, .end = bytes + n, .line = 1, .line_start = bytes};
    int depth = 0, inside = parent ? 0 : 1; /* depth of the object in which key is looked for */
    while (c.p < c.end) {
        skip_blank(&c);
        if (c.p >= c.end)
            break;
        if (*c.p == '{' || *c.p == '[')
            depth++;
        if (*c.p == '}' || *c.p == ']') {
            if (parent && depth == inside)
                inside = 0;
            depth--;
        }
        if (*c.p != '"') {
            c.p++;
            continue;
        }
        int64_t at_line = c.line, at_column = c.p - c.line_start + 1;
        size_t length = 0;
        const char *name = skip_string(&c, &length);
        skip_blank(&c);
        if (c.p >= c.end || *c.p != ':')
            continue;
        if (depth == inside && length == strlen(key) && memcmp(name, key, length) == 0) {
            *line = at_line;
            *column = at_column;
            return true;
        }
        if (parent && depth == 1 && length == strlen(parent) && memcmp(name, parent, length) == 0)
            inside = 2;
    }
    return false;
}

rub_status rub_config_fail(const config *c, rub_status code, const char *key, const char *format,
                           ...) {
    char message[sizeof c->err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    int64_t line = c->bytes ? 1 : c->line, column = 1;
    bool nested = c->text != c->top;
    if (c->bytes && key &&
        !(nested && rub_json_place(c->bytes, c->n, "text_config", key, &line, &column)))
        rub_json_place(c->bytes, c->n, NULL, key, &line, &column);
    return rub_error_at(c->err, code, c->file, line, column, "%s", message);
}

/* Member of text or else of top of that name. */
static const json_t *lookup(const config *c, const char *name) {
    const json_t *value = json_object_get(c->text, name);
    if (!value || json_is_null(value))
        value = json_object_get(c->top, name);
    return value && !json_is_null(value) ? value : NULL;
}

const json_t *rub_config_get(const config *c, const char *keys, char found[RUB_KEY_MAX]) {
    for (const char *p = keys; *p;) {
        size_t n = strcspn(p, "|");
        snprintf(found, RUB_KEY_MAX, "%.*s", (int)n, p);
        const json_t *value = lookup(c, found);
        if (value)
            return value;
        p += n + (p[n] == '|');
    }
    return NULL;
}

rub_status rub_config_int(const config *c, const char *keys, int64_t min, int64_t max,
                          int64_t fallback, int64_t *out) {
    char key[RUB_KEY_MAX];
    const json_t *value = rub_config_get(c, keys, key);
    if (!value) {
        if (fallback != RUB_REQUIRED) {
            *out = fallback;
            return RUB_OK;
        }
        int n = (int)strcspn(keys, "|");
        return rub_config_fail(c, RUB_INVALID, c->text != c->top ? "text_config" : NULL,
                               "key '%.*s' is missing, expected a whole number", n, keys);
    }
    int64_t x = 0;
    if (json_is_integer(value)) {
        x = json_integer_value(value);
    } else {
        double real = json_number_value(value);
        bool whole =
            json_is_real(value) && real >= -9e15 && real <= 9e15 && real == (double)(int64_t)real;
        if (!whole)
            return rub_config_fail(c, RUB_INVALID, key,
                                   "'%s' is not a whole number, expected %lld to %lld", key,
                                   (long long)min, (long long)max);
        x = (int64_t)real;
    }
    if (x < min || x > max)
        return rub_config_fail(c, RUB_INVALID, key, "'%s' is %lld, expected %lld to %lld", key,
                               (long long)x, (long long)min, (long long)max);
    *out = x;
    return RUB_OK;
}

rub_status rub_config_i32(const config *c, const char *keys, int32_t max, int64_t fallback,
                          int32_t *out) {
    int64_t x = 0;
    rub_status status =
        rub_config_int(c, keys, fallback == RUB_REQUIRED ? 1 : 0, max, fallback, &x);
    if (status == RUB_OK)
        *out = (int32_t)x;
    return status;
}

rub_status rub_config_bool(const config *c, const char *key, bool fallback, bool *out) {
    const json_t *value = lookup(c, key);
    if (value && !json_is_boolean(value))
        return rub_config_fail(c, RUB_INVALID, key, "'%s' is not true or false", key);
    *out = value ? json_is_true(value) : fallback;
    return RUB_OK;
}

const char *rub_config_text(const config *c, const char *key, const char *fallback) {
    const json_t *value = lookup(c, key);
    return value && json_is_string(value) ? json_string_value(value) : fallback;
}
