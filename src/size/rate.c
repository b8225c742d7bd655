/* Rate: the largest rate that one replica holds within the targets, by bisection on simulations of
 * the same requests with their arrival times scaled (common random numbers: the same bursts at
 * every rate).
 *
 * Requests that are unfinished or rejected miss every target; the first tenth of the trace is
 * warm-up. A replica that needs much longer than the trace to end it cannot keep up, whatever the
 * quantiles. */
#include "size/size.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_REQUESTS 3000 /* of the trace that are simulated */
#define WARMUP_FRAC 0.1
#define STEPS 7 /* bisection: within 2^(1/128), 0.5 %, of the rate */

/* One replica being tried. */
typedef struct attempt {
    rub_trace trace; /* arrivals of its own, lengths of the job's trace */
    const rub_trace *of;
    size_t n;
    double rate_per_s; /* the trace's own */
    rub_perf perf;
    rub_serve_def def;
    rub_serve_times times;
    rub_serve_totals *totals;
    rub_measures measures;
} attempt;

static rub_status prepare(const rub_size_job *job, rub_size_trial *trial, attempt *a,
                          rub_error *err) {
    a->of = job->trace;
    a->n = job->trace->n_req < MOST_REQUESTS ? job->trace->n_req : MOST_REQUESTS;
    double span = job->trace->arrival_s[a->n - 1];
    a->rate_per_s = span > 0 ? ((double)a->n - 1) / span : 1.0;
    a->def = rub_serve_default();
    a->def.max_seqs = trial->candidate.max_seqs;
    a->def.max_batch_tok = trial->candidate.max_batch_tok;
    a->def.kv_blocks = trial->memory.kv_blocks;
    a->def.block_size_tok = trial->deployment.block_size_tok;
    a->totals = RUB_NEW(rub_serve_totals, 1);
    if (!a->totals)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    RUB_TRY(rub_trace_init(&a->trace, a->n, err));
    memcpy(a->trace.input_tok, job->trace->input_tok, a->n * sizeof(int32_t));
    memcpy(a->trace.output_tok, job->trace->output_tok, a->n * sizeof(int32_t));
    RUB_TRY(rub_serve_times_init(&a->times, a->n, err));
    return rub_perf_compile(&trial->deployment, &a->perf, err);
}

static void release(attempt *a) {
    rub_trace_clear(&a->trace);
    rub_serve_times_clear(&a->times);
    rub_perf_clear(&a->perf);
    free(a->totals);
}

static bool within(double value, double target) { return target <= 0 || value <= target; }

static bool meets(const rub_measures *m, const rub_size_targets *t) {
    return within(m->ttft.p50, t->ttft_p50_s) && within(m->ttft.p90, t->ttft_p90_s) &&
           within(m->ttft.p99, t->ttft_p99_s) && within(m->tpot.p50, t->tpot_p50_s) &&
           within(m->tpot.p90, t->tpot_p90_s) && within(m->tpot.p99, t->tpot_p99_s) &&
           within(m->e2e.p99, t->e2e_p99_s);
}

/* Simulates at a rate; true when targets are met and the replica keeps up. */
static bool holds(const rub_size_job *job, rub_size_trial *trial, attempt *a, double rate_per_s) {
    double scale = a->rate_per_s / rate_per_s;
    rub_serve_targets none = {0};
    for (size_t i = 0; i < a->n; i++)
        a->trace.arrival_s[i] = a->of->arrival_s[i] * scale;
    double last = a->trace.arrival_s[a->n - 1];
    trial->status = rub_serve_run(&a->trace, &a->perf, &a->def, NULL, &a->times, a->totals, NULL);
    if (trial->status == RUB_OK)
        trial->status = rub_serve_measure(&a->trace, &a->times, &none, WARMUP_FRAC * last, last,
                                          &a->measures, NULL);
    trial->n_simulation++;
    trial->n_request += (int64_t)a->n;
    if (trial->status != RUB_OK)
        return false;
    double drain = a->totals->end_s - last, patience = fmax(0.1 * last, 2.0 * a->measures.e2e.p50);
    return meets(&a->measures, &job->def->targets) && drain <= patience &&
           a->totals->n_rejected == 0;
}

static void fail(rub_size_trial *trial, const attempt *a, const rub_size_targets *t) {
    const rub_measures *m = &a->measures;
    char *text = trial->candidate.reason;
    size_t size = sizeof trial->candidate.reason;
    if (a->totals->n_rejected > 0)
        snprintf(text, size, "%lld requests can never fit in its KV cache",
                 (long long)a->totals->n_rejected);
    else if (!within(m->tpot.p99, t->tpot_p99_s) || !within(m->tpot.p90, t->tpot_p90_s) ||
             !within(m->tpot.p50, t->tpot_p50_s))
        snprintf(text, size, "TPOT p99 is %.3g ms even at a trickle", 1e3 * m->tpot.p99);
    else if (!within(m->ttft.p99, t->ttft_p99_s) || !within(m->ttft.p90, t->ttft_p90_s) ||
             !within(m->ttft.p50, t->ttft_p50_s))
        snprintf(text, size, "TTFT p99 is %.3g ms even at a trickle", 1e3 * m->ttft.p99);
    else
        snprintf(text, size, "E2E p99 is %.3g s even at a trickle", m->e2e.p99);
}

/* What the candidate gives at the rate that was simulated last and held. */
static void record(rub_size_trial *trial, const attempt *a, double rate_per_s) {
    rub_size_candidate *c = &trial->candidate;
    double input = 0.0, output = 0.0;
    for (size_t i = 0; i < a->n; i++) {
        input += a->trace.input_tok[i];
        output += a->trace.output_tok[i];
    }
    rub_power power = rub_power_of(&trial->deployment);
    double busy = a->totals->end_s > 0 ? a->totals->busy_s / a->totals->end_s : 0.0;
    c->rate_per_s = rate_per_s;
    c->tok_per_s = rate_per_s * (input + output) / (double)a->n;
    c->watts = rub_power_at(&power, busy);
    c->tok_per_s_per_mw = power.planned_w > 0 ? c->tok_per_s / power.planned_w * 1e6 : 0.0;
    double usd_per_s = rub_cost_per_h(&trial->deployment) / 3600.0;
    c->usd_per_mtok = c->tok_per_s > 0 ? usd_per_s / c->tok_per_s * 1e6 : 0.0;
    c->ttft_p99_s = a->measures.ttft.p99;
    c->tpot_p99_s = a->measures.tpot.p99;
}

/* A rate that holds and the double of it that does not; 0 when even a trickle misses. */
static double bracket(const rub_size_job *job, rub_size_trial *trial, attempt *a) {
    double rate = 1.0;
    if (holds(job, trial, a, rate)) {
        record(trial, a, rate);
        while (trial->status == RUB_OK && rate < 1e5 && holds(job, trial, a, 2.0 * rate)) {
            rate *= 2.0;
            record(trial, a, rate);
        }
        return rate;
    }
    for (rate = 0.5; trial->status == RUB_OK && rate > 0.005; rate *= 0.5)
        if (holds(job, trial, a, rate)) {
            record(trial, a, rate);
            return rate;
        }
    fail(trial, a, &job->def->targets);
    return 0.0;
}

void rub_size_measure(const rub_size_job *job, rub_size_trial *trial) {
    attempt a = {0};
    rub_error err = {0};
    trial->status = prepare(job, trial, &a, &err);
    double low = trial->status == RUB_OK ? bracket(job, trial, &a) : 0.0, high = 2.0 * low;
    for (int step = 0; low > 0 && trial->status == RUB_OK && step < STEPS; step++) {
        double middle = sqrt(low * high);
        if (holds(job, trial, &a, middle)) {
            low = middle;
            record(trial, &a, middle);
        } else
            high = middle;
    }
    release(&a);
}
