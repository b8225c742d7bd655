/* Traces: who asked for how many tokens, when. Columns, readers, generators, statistics.
 *
 * A rub_trace is plain columns in arrival order; every reader and generator fills one, and the
 * serving simulator only reads it. */
#ifndef RUBATO_TRACE_H
#define RUBATO_TRACE_H

#include "rubato/base.h"

#define RUB_TRACE_MAX_TOK                                                                          \
    16777216 /* tokens in one prompt or answer; more is taken for an error   \
                                    */

/* Hashes of the token blocks of each request, chained: equal hashes mean that all tokens up to the
 * block's end are equal. Blocks beyond the prompt are those of the answer. */
typedef struct rub_trace_hashes {
    int32_t block_tok; /* tokens in a block; 0: the trace has no hashes */
    size_t *at;        /* request i's hashes are hash[at[i]] to hash[at[i + 1]] (n_req + 1) */
    uint64_t *hash;
} rub_trace_hashes;

/* Requests in arrival order. Times count from the first request (arrival_s[0] == 0). */
typedef struct rub_trace {
    size_t n_req;
    double *arrival_s;   /* arrival time [s], non-decreasing (n_req) */
    int32_t *input_tok;  /* prompt length [tokens], >= 1 (n_req) */
    int32_t *output_tok; /* generated length [tokens], >= 1 (n_req) */
    /* optional columns, NULL where the trace has none (n_req each) */
    int32_t *priority; /* lower is more urgent */
    int32_t *session;  /* conversation that it belongs to */
    int32_t *adapter;  /* LoRA adapter; 0: none */
    int32_t *tenant;   /* index into tenants: who asks */
    int32_t *model;    /* which of several models it asks for (column model_id) */
    rub_trace_hashes hashes;
} rub_trace;

/* Allocates columns of n_req. Errors: RUB_NO_MEMORY. */
rub_status rub_trace_init(rub_trace *trace, size_t n_req, rub_error *err);
void rub_trace_clear(rub_trace *trace);

/* Requests index[0], index[1], ... (n) with all columns; arrival times as they are. Errors:
 * RUB_NO_MEMORY. */
rub_status rub_trace_subset(const rub_trace *from, const size_t *index, size_t n, rub_trace *out,
                            rub_error *err);

/* ---- reading ------------------------------------------------------------------------------- */

typedef enum rub_trace_format {
    RUB_TRACE_AZURE,    /* TIMESTAMP,ContextTokens,GeneratedTokens; TIMESTAMP is a date and time */
    RUB_TRACE_BURSTGPT, /* Timestamp,Model,Request tokens,Response tokens,... ; seconds */
    RUB_TRACE_VIDUR,    /* arrived_at,num_prefill_tokens,num_decode_tokens; seconds */
    RUB_TRACE_RUBATO,   /* arrival_s,input_tok,output_tok; seconds */
    RUB_TRACE_MOONCAKE, /* JSON lines: timestamp [ms], input_length, output_length */
    RUB_TRACE_MAPPED,   /* columns named by the caller */
} rub_trace_format;

const char *rub_trace_format_text(rub_trace_format format);

typedef struct rub_trace_read_def {
    /* "arrival=NAME,input=NAME,output=NAME[,unit=s|ms|us|ns]" for a CSV of another shape, or NULL.
     * A date and time is recognised by itself. */
    const char *columns;
    double time_scale; /* arrival times are multiplied by it; 1 = as they are */
    bool skip_bad;     /* leave broken rows out and count them, instead of failing at the first */
    bool hash;         /* report the hash of the bytes: another 1 ns a byte */
    const rub_progress *progress; /* told bytes every 65,536 rows, or NULL */
} rub_trace_read_def;

rub_trace_read_def rub_trace_read_default(void);

#define RUB_TRACE_MAX_ISSUE 12

/* What was noticed while reading. The first issues are kept with their lines. */
typedef struct rub_trace_report {
    rub_trace_format format;
    size_t n_row;          /* data rows in the file */
    size_t n_bad;          /* broken rows left out (skip_bad) */
    size_t n_empty;        /* rows of zero input or output tokens (failed requests), left out */
    size_t n_out_of_order; /* rows that arrived before the row above; sorted, ties in file order */
    size_t n_issue;        /* kept in issue */
    struct {
        int64_t line;
        char text[96];
    } issue[RUB_TRACE_MAX_ISSUE];
    size_t n_bytes; /* read, after decompression */
    uint64_t hash;  /* FNV-1a 64 of those bytes when asked for, else 0 */
} rub_trace_report;

/* Reads a trace; format by its first line; .gz directly. Times count from the earliest arrival;
 * dates are rounded to 1e-6 s. A broken row is RUB_PARSE or RUB_INVALID with file, line and column.
 * report may be NULL. RUB_INTERRUPTED when progress says so. Cost: one pass, about 1 ns a byte. Clear with rub_trace_clear. */
rub_status rub_trace_read(const char *path, const rub_trace_read_def *def, rub_trace *out,
                          rub_trace_report *report, rub_error *err);

/* The same from memory; name is used in messages. */
rub_status rub_trace_read_memory(const char *name, const char *bytes, size_t n,
                                 const rub_trace_read_def *def, rub_trace *out,
                                 rub_trace_report *report, rub_error *err);

/* ---- statistics ---------------------------------------------------------------------------- */

typedef struct rub_trace_quantiles {
    double p50, p90, p99, max, mean;
} rub_trace_quantiles;

#define RUB_TRACE_N_BIN 60

typedef struct rub_trace_stats {
    size_t n_req;
    double span_s, rate_per_s; /* rate = (n_req - 1) / span */
    double input_tok_per_s, output_tok_per_s;
    rub_trace_quantiles input, output;                    /* tokens */
    double arrival_cv;                                    /* of the times between arrivals */
    double dispersion_1s, dispersion_10s, dispersion_60s; /* variance / mean of counts in windows */
    double peak_to_mean; /* largest of the bins below over their mean */
    double bin_s;
    double rate_bin[RUB_TRACE_N_BIN];       /* requests/s over time */
    size_t input_log2[26], output_log2[26]; /* requests with 2^k <= tokens < 2^(k+1) */
} rub_trace_stats;

rub_status rub_trace_stats_of(const rub_trace *trace, rub_trace_stats *out, rub_error *err);

/* ---- making -------------------------------------------------------------------------------- */

typedef enum rub_arrivals {
    RUB_ARRIVALS_POISSON,
    RUB_ARRIVALS_GAMMA,
    RUB_ARRIVALS_DIURNAL,
    RUB_ARRIVALS_HYPER /* hyperexponential: bursts within bursts, as sessions make them */
} rub_arrivals;

/* Times between arrivals as a mixture of exponentials: with probability weight[k] one of mean
 * mean[k], in units of the mean over all (weights add up to 1, sum weight * mean is 1). */
#define RUB_TRACE_MAX_PHASE 5
typedef struct rub_phases {
    int32_t n;
    double weight[RUB_TRACE_MAX_PHASE], mean[RUB_TRACE_MAX_PHASE];
} rub_phases;

/* How the rate moves beside the arrivals' own burstiness: at every moment it is the mean rate times
 * the product of n slow factors and of a gate, over the product's own mean.
 *   factor: exp(x), x Gaussian with standard deviation sd and correlation exp(-t / tau_s), a
 *           first-order autoregression in steps of tau_s / 10
 *   gate:   open and closed for exponential times of means on_s and off_s; on_s 0: always open
 * The times between arrivals are drawn first, then stretched by the rate, so that within a steady
 * rate they stay what they are. The mean is over the trace to be made, whose mean rate is then what
 * was asked for, however short it is. Rate as a log-normal process: Moller, Syversveen and
 * Waagepetersen 1998; gate: interrupted Poisson, Kuczura 1973. */
#define RUB_TRACE_MAX_FACTOR 3
typedef struct rub_modulation {
    int32_t n;
    double sd[RUB_TRACE_MAX_FACTOR], tau_s[RUB_TRACE_MAX_FACTOR];
    double on_s, off_s;
} rub_modulation;

/* Lengths, cut to [1, max_tok]: a table of quantiles when n_quantile > 0, straight between them
 * (prob rises from 0 to 1, tok does not fall); else a mixture of lognormals: with probability
 * weight[k], exp(N(mu, sigma)). */
#define RUB_TRACE_MAX_QUANTILE 24
typedef struct rub_lengths {
    int32_t n;
    double weight[4], mu[4], sigma[4];
    int32_t n_quantile;
    double prob[RUB_TRACE_MAX_QUANTILE], tok[RUB_TRACE_MAX_QUANTILE];
    int32_t max_tok;
} rub_lengths;

typedef struct rub_trace_make_def {
    rub_arrivals arrivals;
    double cv;           /* gamma: coefficient of variation of the times between arrivals */
    rub_phases phases;   /* hyperexponential */
    double diurnal_frac; /* diurnal: rate * (1 + frac * sin(2 pi t / day)) */
    double day_s;        /* length of its day [s] */
    double rate_per_s;   /* mean */
    rub_modulation modulation;
    size_t n_req;      /* stop after so many; 0: by duration */
    double duration_s; /* stop after so long; 0: by n_req */
    rub_lengths input, output;
    const rub_trace *empirical; /* lengths drawn together from this trace's rows, or NULL */
    uint64_t seed;
} rub_trace_make_def;

rub_trace_make_def rub_trace_make_default(void);

/* A preset ("azure-conv", "azure-code") fitted to a public trace. Errors: RUB_NOT_FOUND. */
rub_status rub_trace_preset(const char *name, rub_trace_make_def *out, rub_error *err);
extern const char *const rub_trace_presets[];        /* names, NULL-terminated */
const char *rub_trace_preset_note(const char *name); /* source and the fit's error; NULL: unknown */

/* The same requests one by one, for loads that are never held. */
typedef struct rub_trace_source {
    const rub_trace_make_def *def;
    uint64_t arrivals[4], lengths[4], modulation[4]; /* states of random streams */
    double next_s;                                   /* arrival of the next one */
    double x[RUB_TRACE_MAX_FACTOR];                  /* logarithms of the modulation's factors */
    double change_s[RUB_TRACE_MAX_FACTOR + 1];       /* when each, and the gate, changes next */
    bool open;
    double mean, factor; /* of the product over the trace; the product now, over its mean */
} rub_trace_source;

/* def is borrowed. Errors: RUB_INVALID. Cost: with a modulation its path is gone through once. */
rub_status rub_trace_source_init(rub_trace_source *source, const rub_trace_make_def *def,
                                 rub_error *err);
void rub_trace_source_next(rub_trace_source *source, double *arrival_s, int32_t *input_tok,
                           int32_t *output_tok);

/* Generates a trace; the same definition gives the same bytes. */
rub_status rub_trace_make(const rub_trace_make_def *def, rub_trace *out, rub_error *err);

/* Conversations of several turns. */
typedef struct rub_sessions {
    double turns;       /* mean turns of a session, geometric; 1 or more */
    double think_s;     /* mean time from a turn's arrival to the next one's, exponential [s] */
    int32_t n_tenant;   /* each session is of one, tenant k with weight 1 / (k + 1) */
    int32_t system_tok; /* system prompt of each tenant, before every session's text; 0: none */
    int32_t max_tok;    /* longest prompt and answer; a session ends before it would exceed it */
    double batch_frac;  /* share of the sessions that have priority 1; the others have 0 */
    int32_t hash_block_tok; /* tokens in a hashed block; 0: no hashes */
    uint64_t seed;
} rub_sessions;

rub_sessions rub_sessions_default(void);

/* Turns each request of `starts` into a session's first turn. Every turn's prompt is the system
 * prompt, all of the session so far, and new text; the new text and answers of later turns have the
 * lengths of random rows of `starts`. The result has sessions, tenants, priorities and, when asked
 * for, hashes of prompts and answers; in order of arrival, at most n_req requests (0: all). */
rub_status rub_trace_converse(const rub_trace *starts, const rub_sessions *def, size_t n_req,
                              rub_trace *out, rub_error *err);

/* A load as the sum of its clients, from files of ServeGen's shape: PREFIX_clients.csv (client, mean
 * requests/s, CV of the times between its requests), PREFIX_rate_10min.csv (time, requests/s of all, at
 * even steps; repeated), PREFIX_input_tokens_pmf.csv and PREFIX_output_tokens_pmf.csv (tokens,
 * probability); .csv.gz as well. Clients become tenants. */
typedef struct rub_client_mix {
    const char *prefix;
    double from_s;     /* where in the curve it begins */
    double rate_per_s; /* mean of all clients over the whole curve; 0: as in the files */
    size_t n_req;      /* stop after so many; 0: by duration */
    double duration_s; /* stop after so long; 0: by n_req */
    uint64_t seed;
} rub_client_mix;

/* Errors: RUB_IO, RUB_PARSE with file, line and column, RUB_INVALID, RUB_NO_MEMORY. */
rub_status rub_trace_clients(const rub_client_mix *def, rub_trace *out, rub_error *err);

/* Requests without arrival times (all 0), for closed loops: input and output lengths uniform in
 * [ceil(least_frac * length), length], each drawn on its own; least_frac 1: all alike. As serving
 * benchmarks draw them. Errors: RUB_INVALID, RUB_NO_MEMORY. */
rub_status rub_trace_make_uniform(size_t n_req, int32_t input_tok, int32_t output_tok,
                                  double least_frac, uint64_t seed, rub_trace *out, rub_error *err);

#endif
