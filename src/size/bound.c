/* Bound: seconds for which a replica is busy with the load, whatever the order of its requests.
 *
 * An iteration of n tokens takes at least a + b n + c kv, where (a, b) is a line that supports the
 * duration from below for every n up to the largest iteration and c the least time for a token of
 * context that a decode reads. Tokens and context reads do not depend on the batching: their sums
 * are the load's. Iterations are at least what the limits on requests, tokens and KV cache force.
 * So time >= a * iterations + b * tokens + c * reads, for every such line; the best of 48 is taken.
 * Preemption and padding only add. Assumed of a perf model: a duration does not fall when an
 * aggregate grows (tests/property/test_size.c checks the bound on random runs). */
#include "size/size.h"

#include "base/array.h"

#include <math.h>

#define N_GRID 160
#define N_SLOPE 48

/* What a load asks of one replica, however it is batched. */
typedef struct demand {
    double tokens;     /* processed: prompts, and each decode's token */
    double decodes;    /* decode tokens */
    double reads;      /* sum over decode tokens of the context before them */
    double iterations; /* at least */
} demand;

static demand demand_of(const rub_size_load *load, const rub_size_trial *t) {
    demand d = {0};
    for (size_t i = 0; i < load->unit.n_req; i++) {
        double in = load->unit.input_tok[i], out = load->unit.output_tok[i] - 1.0;
        d.tokens += in + out;
        d.decodes += out;
        d.reads += out * (in + 1.0) + 0.5 * out * (out - 1.0); /* in + 1, in + 2, ... */
    }
    double kv_tok = (double)t->memory.kv_blocks * t->c.deployment.block_size_tok;
    d.iterations = fmax(d.decodes / t->c.max_seqs, d.tokens / (double)t->c.max_batch_tok);
    d.iterations = fmax(d.iterations, kv_tok > 0 ? d.reads / kv_tok : 0.0);
    return d;
}

/* Least time for a token of context that a decode reads: the smallest of mean slopes from none. */
static double read_slope(const rub_perf *perf, int64_t n_decode, double kv_tok) {
    double least = HUGE_VAL;
    for (int64_t n = 1; n <= n_decode; n *= 4) {
        rub_batch none = {.n_tokens = n, .n_decode = n};
        double base = rub_perf_duration(perf, &none);
        for (double kv = kv_tok; kv >= 4096.0; kv *= 0.25) {
            rub_batch some = none;
            some.kv_decode = (int64_t)kv;
            least = fmin(least, (rub_perf_duration(perf, &some) - base) / kv);
        }
    }
    return isfinite(least) && least > 0 ? least : 0.0;
}

/* Grid of tokens 1..most: dense below 64, then 1.06 apart. */
static int32_t grid_of(int64_t most, int64_t *n) {
    int32_t count = 0;
    for (double x = 1; (int64_t)x < most && count < N_GRID - 1; x = fmax(x + 1, x * 1.06))
        n[count++] = (int64_t)x;
    n[count++] = most;
    return count;
}

double rub_size_work_s(const rub_size_load *load, const rub_size_trial *t) {
    const rub_perf *perf = &t->perf;
    if (t->c.pp > 1)
        return 0.0; /* stages work at the same time: not bounded here */
    int64_t n[N_GRID],
        most = t->c.max_batch_tok > t->c.max_seqs ? t->c.max_batch_tok : t->c.max_seqs;
    double g[N_GRID], steepest = HUGE_VAL, best = 0.0;
    int32_t count = grid_of(most, n);
    for (int32_t k = 0; k < count; k++) {
        g[k] = rub_perf_duration(perf, &(rub_batch){.n_tokens = n[k]});
        /* from n[k] up to the next point the duration is at least g[k] */
        steepest = fmin(steepest, g[k] / (double)(k + 1 < count ? n[k + 1] - 1 : n[k]));
    }
    for (int32_t k = 0; k + 1 < count; k++)
        steepest = fmin(steepest, g[k] / (double)(n[k + 1] - 1));
    demand d = demand_of(load, t);
    double kv_tok = (double)t->memory.kv_blocks * t->c.deployment.block_size_tok;
    double c = read_slope(perf, t->c.max_seqs, kv_tok);
    for (int32_t s = 0; s <= N_SLOPE; s++) {
        double b = steepest * s / N_SLOPE, a = HUGE_VAL;
        for (int32_t k = 0; k < count; k++)
            a = fmin(a, g[k] - b * (double)(k + 1 < count ? n[k + 1] - 1 : n[k]));
        best = fmax(best, a * d.iterations + b * d.tokens);
    }
    return best + c * d.reads;
}

/* Could n replicas do the work within the time that a fleet that keeps up has? */
static bool possible(const rub_size_job *job, const rub_size_trial *t, int32_t n) {
    int32_t n_sim = n < RUB_SIZE_MOST_SIMULATED ? n : RUB_SIZE_MOST_SIMULATED;
    const rub_size_load *load = &job->load;
    double rate = job->rate_per_s * n_sim / n;
    double last = load->unit.arrival_s[load->unit.n_req - 1] / rate;
    double slack = RUB_SIZE_BACKLOG_FRAC * last + load->patience_s + load->granted_s;
    return n_sim * (last + slack) >= t->work_s / job->def->speed_frac;
}

int32_t rub_size_bound_replicas(const rub_size_job *job, const rub_size_trial *t) {
    if (!(t->work_s > 0) || !isfinite(job->load.granted_s))
        return 1;
    int32_t high = 1, low = 0;
    while (!possible(job, t, high) && high < 1 << 20) {
        low = high;
        high *= 2;
    }
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (possible(job, t, middle))
            high = middle;
        else
            low = middle;
    }
    return high;
}
