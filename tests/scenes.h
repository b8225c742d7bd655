/* Small runs of the serving simulator whose answers are worked out by hand, in both engines. Unless
 * said, every iteration takes 1 s and a KV block holds one token. */
#ifndef RUB_TESTS_SCENES_H
#define RUB_TESTS_SCENES_H

#include "rubato/serve.h"

#include <stdlib.h>

typedef struct scene {
    rub_trace trace;
    rub_perf perf;
    rub_serve_def def;
    rub_serve_times times;
    rub_serve_totals *totals;
} scene;

/* n requests: arrival, input, output. */
static inline scene make(size_t n, const double (*request)[3]) {
    scene s = {.def = rub_serve_default(), .totals = malloc(sizeof *s.totals)};
    assert_int_equal(rub_trace_init(&s.trace, n, NULL), RUB_OK);
    for (size_t i = 0; i < n; i++) {
        s.trace.arrival_s[i] = request[i][0];
        s.trace.input_tok[i] = (int32_t)request[i][1];
        s.trace.output_tok[i] = (int32_t)request[i][2];
    }
    s.perf = (rub_perf){.kind = RUB_PERF_LINEAR, .linear = {1, 0, 0, 0}};
    s.def.block_size_tok = 1;
    s.def.kv_blocks = 1000;
    s.def.max_seqs = 4;
    s.def.max_batch_tok = 100;
    assert_int_equal(rub_serve_times_init(&s.times, n, NULL), RUB_OK);
    return s;
}

static inline void clear(scene *s) {
    rub_trace_clear(&s->trace);
    rub_serve_times_clear(&s->times);
    free(s->totals);
}

static inline void play(scene *s, rub_engine engine) {
    rub_error err = {0};
    s->def.engine = engine;
    if (rub_serve_run(&s->trace, &s->perf, &s->def, NULL, &s->times, s->totals, &err) != RUB_OK)
        fail_msg("%s", err.message);
}

/* Both engines: the times at which requests end. */
static inline void ends(scene *s, const double *finish_s) {
    static const rub_engine engines[] = {RUB_ENGINE_NAIVE, RUB_ENGINE_FAST};
    for (int e = 0; e < 2; e++) {
        play(s, engines[e]);
        for (size_t i = 0; i < s->trace.n_req; i++)
            if (s->times.finish_s[i] != finish_s[i])
                fail_msg("engine %d, request %zu ends at %g, expected %g", e, i,
                         s->times.finish_s[i], finish_s[i]);
    }
}

#endif
