/* What rubato simulate writes over time: the timeline, and requests of a window as trace events for
 * Chrome's and Perfetto's viewers. */
#include "cli/simulate.h"

#include "base/array.h"
#include "base/file.h"
#include "base/text.h"

#include <math.h>

static rub_status put(rub_text *text, const char *path, rub_error *err) {
    rub_status status = text->failed ? rub_error_set(err, RUB_NO_MEMORY, "out of memory")
                                     : rub_file_write(path, text->data, text->n, err);
    rub_text_clear(text);
    return status;
}

rub_status rub_simulation_write_timeline(const simulate_settings *s, const simulation *sim,
                                         rub_error *err) {
    rub_timeline t;
    rub_text text = {0};
    RUB_TRY(rub_serve_timeline(&sim->trace, &sim->times, s->timeline_step, &t, err));
    rub_text_add(&text,
                 "time_s,arrivals_per_s,waiting,prefilling,decoding,kv_tok,output_tok_per_s\n");
    for (size_t k = 0; k < t.n; k++)
        rub_text_add(&text, "%.6g,%.6g,%.0f,%.0f,%.0f,%.0f,%.6g\n", (double)k * t.step_s,
                     t.arrival_per_s[k], t.waiting[k], t.prefilling[k], t.decoding[k], t.kv_tok[k],
                     t.output_tok_per_s[k]);
    rub_timeline_clear(&t);
    return put(&text, s->timeline, err);
}

/* A span of request i; asynchronous events of one id are drawn under each other. */
static void span(rub_text *text, size_t i, const char *name, double from_s, double to_s) {
    for (int end = 0; end < 2; end++)
        rub_text_add(text,
                     ",\n{\"ph\":\"%c\",\"cat\":\"request\",\"id\":%zu,\"name\":\"%s\",\"pid\":1,"
                     "\"tid\":1,\"ts\":%.3f}",
                     end ? 'e' : 'b', i, name, 1e6 * (end ? to_s : from_s));
}

rub_status rub_simulation_write_events(const simulate_settings *s, const simulation *sim,
                                       rub_error *err) {
    double from_s = 0.0, to_s = HUGE_VAL;
    int n = 0;
    rub_text text = {0};
    if (s->window && (sscanf(s->window, "%lf:%lf%n", &from_s, &to_s, &n) != 2 || s->window[n] ||
                      !(from_s < to_s)))
        return rub_error_set(err, RUB_INVALID,
                             "--window: found '%.40s', expected FROM:TO in seconds", s->window);
    rub_text_add(&text, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{\"ph\":\"M\",\"pid\":1,"
                        "\"name\":\"process_name\",\"args\":{\"name\":\"rubato simulate\"}}");
    for (size_t i = 0; i < sim->trace.n_req; i++) {
        const rub_serve_times *t = &sim->times;
        if (isnan(t->finish_s[i]) || t->arrival_s[i] > to_s || t->finish_s[i] < from_s)
            continue;
        span(&text, i, "request", t->arrival_s[i], t->finish_s[i]);
        span(&text, i, "waiting", t->arrival_s[i], t->scheduled_s[i]);
        span(&text, i, "prefill", t->scheduled_s[i], t->first_token_s[i]);
        if (t->finish_s[i] > t->first_token_s[i])
            span(&text, i, "decode", t->first_token_s[i], t->finish_s[i]);
    }
    rub_text_add(&text, "\n]}\n");
    return put(&text, s->events, err);
}
