/* The trace reader: MB/s on one core, from memory and from files, by format. --quick: small ones. */
#include "bench.h"

#include "base/file.h"
#include "base/text.h"
#include "rubato/trace.h"

#include <unistd.h>

typedef struct scene {
    rub_text text;
    const char *path; /* read from here instead of from memory, or NULL */
} scene;

static double run(void *ctx) {
    scene *s = ctx;
    rub_trace_read_def def = rub_trace_read_default();
    rub_trace trace = {0};
    rub_trace_report report;
    rub_error err = {0};
    def.hash = s->path != NULL;
    rub_status status =
        s->path ? rub_trace_read(s->path, &def, &trace, &report, &err)
                : rub_trace_read_memory("bench", s->text.data, s->text.n, &def, &trace, NULL, &err);
    if (status != RUB_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    rub_trace_clear(&trace);
    return (double)s->text.n / 1e6;
}

/* One row of each format; t counts from the first arrival. */
static void azure(rub_text *text, double t, int32_t in, int32_t out) {
    int minute = (int)(t / 60), day = minute / 1440;
    rub_text_add(text, "2023-11-%02d %02d:%02d:%010.7f,%d,%d\n", 1 + day % 28, minute / 60 % 24,
                 minute % 60, t - 60.0 * minute, in, out);
}

static void burstgpt(rub_text *text, double t, int32_t in, int32_t out) {
    rub_text_add(text, "%.0f,ChatGPT,%d,%d,%d,Conversation log\n", t, in, out, in + out);
}

static void plain(rub_text *text, double t, int32_t in, int32_t out) {
    rub_text_add(text, "%.9f,%d,%d\n", t, in, out);
}

static void mooncake(rub_text *text, double t, int32_t in, int32_t out) {
    rub_text_add(text,
                 "{\"timestamp\": %.0f, \"input_length\": %d, \"output_length\": %d, "
                 "\"hash_ids\": [46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57]}\n",
                 1e3 * t, in, out);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name, *header;
        void (*row)(rub_text *, double, int32_t, int32_t);
    } format[] = {
        {"Azure CSV", "TIMESTAMP,ContextTokens,GeneratedTokens\n", azure},
        {"BurstGPT CSV", "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n",
         burstgpt},
        {"Vidur CSV", "arrived_at,num_prefill_tokens,num_decode_tokens\n", plain},
        {"Mooncake JSONL", "", mooncake},
    };
    rub_trace_make_def def = rub_trace_make_default();
    rub_trace trace = {0};
    double best_s, median_s;
    rub_trace_preset("azure-conv", &def, NULL);
    def.n_req = argc > 1 && !strcmp(argv[1], "--quick") ? 100000 : 2000000;
    def.rate_per_s = 10.0;
    if (rub_trace_make(&def, &trace, NULL) != RUB_OK)
        return 1;
    for (size_t f = 0; f < sizeof format / sizeof *format; f++) {
        scene s = {0};
        char path[] = "/tmp/rubato_bench_XXXXXX";
        rub_text_add(&s.text, "%s", format[f].header);
        for (size_t i = 0; i < trace.n_req; i++)
            format[f].row(&s.text, trace.arrival_s[i], trace.input_tok[i], trace.output_tok[i]);
        if (s.text.failed)
            return 1;
        bench(format[f].name, "MB", 1, run, &s, &best_s, &median_s);
        int fd = f == 0 ? mkstemp(path) : -1;
        if (fd >= 0 && write(fd, s.text.data, s.text.n) == (ssize_t)s.text.n) {
            s.path = path;
            bench("Azure CSV from a file, hashed", "MB", 1, run, &s, &best_s, &median_s);
        }
        if (fd >= 0) {
            close(fd);
            unlink(path);
        }
        rub_text_clear(&s.text);
    }
    rub_trace_clear(&trace);
    return 0;
}
