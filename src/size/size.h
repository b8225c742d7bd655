/* What the files of this room share: the load, a bench to simulate on, a search in progress. */
#ifndef RUB_SIZE_SIZE_H
#define RUB_SIZE_SIZE_H

#include "rubato/size.h"

/* Share of the time that is warm-up; share of the time in which the queue that stands at the last
 * arrival must be taken up, beside the wait that targets grant. */
#define RUB_SIZE_WARMUP_FRAC 0.1
#define RUB_SIZE_BACKLOG_FRAC 0.05
/* A fleet of more replicas is judged by so many at their share of the rate. Each then gets more than
 * a thousand of 20,000 requests; pooling beyond 16 only helps, so the answer errs on the safe side. */
#define RUB_SIZE_MOST_SIMULATED 16

/* Requests as they are simulated: arrivals at a mean rate of 1 a second, output lengths scaled. */
typedef struct rub_size_load {
    rub_trace unit;
    double own_rate_per_s;        /* the trace's mean rate */
    double input_tok, output_tok; /* means */
    double granted_s;  /* longest time that the targets grant a request of this load; or infinite */
    double patience_s; /* longest wait that they grant; 1 s when they say nothing of it */
} rub_size_load;

rub_status rub_size_load_init(rub_size_load *load, const rub_trace *trace, const rub_size_def *def,
                              int64_t most, rub_error *err);
void rub_size_load_clear(rub_size_load *load);

/* One candidate on trial. */
typedef struct rub_size_trial {
    rub_size_candidate c;
    rub_memory memory;
    rub_perf perf;  /* while its group is run */
    bool owns_perf; /* else it is that of another with the same layout */
    double work_s;  /* lower bound of a replica's time for the whole load; 0 = not known */
    int32_t gpus;   /* accelerators of one replica */
} rub_size_trial;

/* What a run found. */
typedef struct rub_size_verdict {
    bool holds;
    bool stopped; /* lost before the end: `worst` is a target that was missed, no figures */
    bool keeps_up;
    int64_t n_rejected;
    int32_t worst;  /* target with the largest value / limit; n of targets: goodput; -1: none */
    double stress;  /* that ratio */
    double value_s; /* of that target (goodput: the share) */
    rub_quantiles ttft, tpot, e2e;
    double busy_frac;
} rub_size_verdict;

/* Buffers of one thread. */
typedef struct rub_size_bench {
    rub_trace trace;
    rub_serve_times times;
    rub_serve_totals *totals;
    const rub_progress *progress; /* asked whether to go on, or NULL */
    double *value;                /* scratch */
    int64_t n_simulation, n_request, n_stopped;
} rub_size_bench;

rub_status rub_size_bench_init(rub_size_bench *bench, const rub_size_load *load, rub_error *err);
void rub_size_bench_clear(rub_size_bench *bench);

typedef struct rub_size_job {
    const rub_model *model;
    const rub_size_def *def;
    rub_size_load load;       /* that fleets are judged on */
    rub_size_load short_load; /* its start: largest rates of replicas */
    double rate_per_s;        /* to be held */
    bool rates_only;          /* largest rates of replicas, no fleets */
    bool by_rate;             /* the best of a group has the largest rate per accelerator */
    rub_size_trial *trial;
    size_t n_trial, trial_cap;
    int32_t n_group;
} rub_size_job;

/* Fills trial with every layout; those that do not fit carry the reason. */
rub_status rub_size_enumerate(rub_size_job *job, rub_error *err);

/* Lower bound on the seconds that a replica is busy with the whole load. */
double rub_size_work_s(const rub_size_load *load, const rub_size_trial *trial);

/* Simulates n replicas of the trial at a rate; rate 0: each request alone. A run that is lost is
 * stopped. */
rub_status rub_size_simulate(const rub_size_job *job, const rub_size_load *load,
                             const rub_size_trial *trial, rub_size_bench *bench, int32_t n,
                             double rate_per_s, rub_size_verdict *out, rub_error *err);

/* Judges a finished run. speed: by what times were stretched. */
void rub_size_judge(const rub_size_targets *targets, double target_scale, const rub_size_bench *b,
                    double from_s, double last_s, const rub_size_load *load, double speed,
                    rub_size_verdict *out);

/* A target that requests known to have missed it put out of reach already; -1: none. */
int32_t rub_size_lost(const rub_size_targets *targets, double limit_scale, const rub_trace *trace,
                      const rub_serve_times *times, double from_s, size_t n_arrived, double now_s);

/* Largest rate of n replicas on a grid of 2^(k/128) that is at least least_per_s (0: any), looked
 * for from guess_per_s on; 0: not even that. at: the run there, or the one that says why not. */
rub_status rub_size_largest_rate(const rub_size_job *job, const rub_size_load *load,
                                 const rub_size_trial *trial, rub_size_bench *bench, int32_t n,
                                 double least_per_s, double guess_per_s, double *out,
                                 rub_size_verdict *at, rub_error *err);

/* USD per hour of one accelerator: the definition's, else the catalog's. */
double rub_size_price_of(const rub_size_def *def, const rub_accelerator *accel);

/* Requests of a trace that fleets are judged on. */
size_t rub_size_n_judged(const rub_trace *trace, const rub_size_def *def);

/* Mean rate of a trace [requests/s]. */
double rub_size_own_rate(const rub_trace *trace);

/* Accelerators of the trial's kind that there are; INT32_MAX: no limit. */
int32_t rub_size_stock(const rub_size_job *job, const rub_size_trial *trial);

/* Smallest number of working replicas that hold the rate, with fleets of at most `most`
 * accelerators; sets fate and reason when there is none (0). at: the run there, with figures. */
rub_status rub_size_smallest_fleet(const rub_size_job *job, rub_size_trial *trial,
                                   rub_size_bench *bench, int32_t most, int32_t *replicas,
                                   rub_size_verdict *at, rub_error *err);

/* "TTFT p99 is 3.2 s, the limit 2 s" into the candidate's reason, after a printf-style beginning. */
void rub_size_explain(const rub_size_job *job, rub_size_candidate *c, const rub_size_verdict *v,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Accelerators that n working replicas take: spares and whole nodes included. */
int32_t rub_size_accelerators(const rub_size_def *def, const rub_size_trial *trial, int32_t n);

/* Fewest replicas that the throughput bound allows; 1 when there is no bound. */
int32_t rub_size_bound_replicas(const rub_size_job *job, const rub_size_trial *trial);

/* rub_size_sure_of with a compiled trial whose candidate has a fleet. */
rub_status rub_size_sure_trial(const rub_size_trial *trial, const rub_trace *trace,
                               const rub_size_def *def, const rub_size_sure_def *sure,
                               const rub_progress *progress, rub_size_sure *out, rub_error *err);

/* rub_size_hours with a compiled trial and the power of one replica. */
rub_status rub_size_hours_trial(const rub_size_trial *trial, const rub_power *power,
                                const rub_trace *trace, const rub_size_def *def,
                                const double *rate_per_s, size_t n, const rub_progress *progress,
                                rub_size_hour *out, rub_error *err);

/* Runs a group: its best, why the others are not. */
rub_status rub_size_group(const rub_size_job *job, int32_t group, rub_size_bench *bench,
                          rub_error *err);

#endif
