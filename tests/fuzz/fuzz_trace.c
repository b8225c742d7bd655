/* Traces: whatever the bytes, requests in order with lengths in range, or an error with a message. */
#include "rubato/trace.h"

#include "replay.h"

#include <math.h>

static void check(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "fuzz_trace: %s\n", what);
        abort();
    }
}

static void read_one(const uint8_t *data, size_t n, bool skip_bad) {
    rub_trace_read_def def = rub_trace_read_default();
    rub_trace trace = {0};
    rub_trace_report report = {0};
    rub_error err = {0};
    def.skip_bad = skip_bad;
    rub_status status =
        rub_trace_read_memory("fuzz.csv", (const char *)data, n, &def, &trace, &report, &err);
    if (status != RUB_OK) {
        check(err.code == status && err.message[0], "an error without a message");
        check(trace.n_req == 0 && !trace.arrival_s, "output touched on failure");
        return;
    }
    check(trace.n_req > 0 && trace.arrival_s[0] == 0.0, "the first arrival is not 0");
    check(report.n_row == trace.n_req + report.n_bad + report.n_empty, "rows do not add up");
    for (size_t i = 0; i < trace.n_req; i++) {
        check(isfinite(trace.arrival_s[i]) &&
                  (i == 0 || trace.arrival_s[i] >= trace.arrival_s[i - 1]),
              "arrivals");
        check(trace.input_tok[i] >= 1 && trace.input_tok[i] <= RUB_TRACE_MAX_TOK, "input");
        check(trace.output_tok[i] >= 1 && trace.output_tok[i] <= RUB_TRACE_MAX_TOK, "output");
    }
    rub_trace_stats stats;
    check(rub_trace_stats_of(&trace, &stats, &err) == RUB_OK, "statistics");
    rub_trace_clear(&trace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    read_one(data, n, false);
    read_one(data, n, true);
    return 0;
}

#ifndef RUB_LIBFUZZER
int main(void) {
    static const char *const seeds[] = {
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 "
        "18:15:50.9951690,396,109\n",
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log "
        "Type\n5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,1087,0,1087,API log\n",
        "arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,374.0,44.0\n4.314579,396.0,109.0\n",
        "{\"timestamp\":0,\"input_length\":6758,\"output_length\":500,\"hash_ids\":[0,1]}\n{"
        "\"timestamp\":12,\"input_length\":7,\"output_length\":5}\n",
        "arrival_s,input_tok,output_tok\r\n0.5,\"10\",2\r\n0.25,3,4\r\n"};
    return replay(seeds, sizeof seeds / sizeof *seeds);
}
#endif
