/* Status texts, errors with a place, progress. */
#include "rubato/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *rub_status_text(rub_status status) {
    switch (status) {
#define X(name, value, text)                                                                       \
    case RUB_##name:                                                                               \
        return text;
        RUB_STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}

static void fill(rub_error *err, rub_status code, const char *file, int64_t line, int64_t column,
                 const char *format, va_list args) {
    err->code = code;
    err->line = line;
    err->column = column;
    snprintf(err->file, sizeof err->file, "%s", file ? file : "");
    vsnprintf(err->message, sizeof err->message, format, args);
}

rub_status rub_error_set(rub_error *err, rub_status code, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        fill(err, code, NULL, 0, 0, format, args);
        va_end(args);
    }
    return code;
}

rub_status rub_error_at(rub_error *err, rub_status code, const char *file, int64_t line,
                        int64_t column, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        fill(err, code, file, line, column, format, args);
        va_end(args);
    }
    return code;
}

char *rub_error_format(const rub_error *err, char *buf, size_t size) {
    char place[352] = "";
    if (err->file[0] && err->line > 0 && err->column > 0)
        snprintf(place, sizeof place, "%s:%lld:%lld: ", err->file, (long long)err->line,
                 (long long)err->column);
    else if (err->file[0] && err->line > 0)
        snprintf(place, sizeof place, "%s:%lld: ", err->file, (long long)err->line);
    else if (err->file[0])
        snprintf(place, sizeof place, "%s: ", err->file);
    snprintf(buf, size, "%s%s", place, err->message[0] ? err->message : rub_status_text(err->code));
    return buf;
}

bool rub_progress_report(const rub_progress *progress, const char *what, double done, double total,
                         const char *extra) {
    if (!progress || !progress->report)
        return true;
    return progress->report(progress->ctx, what, done, total, extra);
}

const char *rub_version(void) { return RUB_VERSION; }
