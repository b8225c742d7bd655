/* Queueing closed forms: a replica that serves one request at a time, at a constant time an iteration, is a
 * single server whose service takes as many iterations as the answer has tokens; arrivals are Poisson.
 *
 * Mean waits: Pollaczek and Khinchine for M/D/1, M/M/1 and M/G/1 (exact also for geometric answers), the root of
 * the GI/M/1 queue for round-robin (each replica sees every c-th arrival: Erlang interarrivals), Erlang's C for one
 * replica with c places (Kleinrock 1975, Queueing Systems I, chapters 3, 5 and 6). Each is compared with the
 * mean of independent runs within 3.66 standard errors (99.9 % of Student's t with 29 degrees of freedom). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "rubato/serve.h"

enum { RUNS = 30, REQUESTS = 20000, WARM = 2000 };
static const double ITERATION_S = 0.001, T_999 = 3.66;

typedef struct queue_def {
    double rate_per_s;
    double (*service)(rub_rng *rng); /* tokens of an answer, >= 1 */
    rub_router router;
    int32_t n_replica, places; /* places: requests that a replica serves at once */
} queue_def;

static double constant(rub_rng *rng) {
    (void)rng;
    return 200.0;
}

static double geometric(rub_rng *rng) { /* mean 200 */
    return 1.0 + floor(log1p(-rub_rng_uniform(rng)) / log1p(-1.0 / 200.0));
}

static double mixed(rub_rng *rng) { /* 50 three times in four, else 650: mean 200 */
    return rub_rng_uniform(rng) < 0.75 ? 50.0 : 650.0;
}

typedef struct estimate {
    double mean, error; /* error: standard error of the mean */
} estimate;

static rub_trace arrivals(const queue_def *q, uint64_t seed) {
    rub_trace t;
    assert_int_equal(rub_trace_init(&t, REQUESTS, NULL), RUB_OK);
    rub_rng rng = rub_rng_make(seed, 5);
    for (size_t i = 0; i < REQUESTS; i++) {
        double gap = rub_rng_exponential(&rng) / q->rate_per_s;
        t.arrival_s[i] = i ? t.arrival_s[i - 1] + gap : 0.0;
        t.input_tok[i] = 1;
        t.output_tok[i] = (int32_t)q->service(&rng);
    }
    return t;
}

/* Requests in the fleet, averaged over time from the timeline, beside rate x mean time in it: 0 by Little. */
static double little_gap(const rub_trace *t, const rub_serve_times *times) {
    rub_timeline line;
    double last = times->finish_s[0], in_fleet = 0.0, sojourn = 0.0;
    for (size_t i = 0; i < t->n_req; i++) {
        last = fmax(last, times->finish_s[i]);
        sojourn += times->finish_s[i] - t->arrival_s[i];
    }
    assert_int_equal(rub_serve_timeline(t, times, 0.01, &line, NULL), RUB_OK);
    for (size_t k = 0; k < line.n; k++)
        in_fleet += line.waiting[k] + line.prefilling[k] + line.decoding[k];
    double n = (double)line.n;
    rub_timeline_clear(&line);
    return in_fleet / n / (sojourn / last) - 1.0;
}

static double mean_wait(const queue_def *q, uint64_t seed, double *little) {
    rub_trace t = arrivals(q, seed);
    rub_perf perf = {.kind = RUB_PERF_LINEAR, .linear = {ITERATION_S, 0, 0, 0}};
    rub_serve_def def = rub_serve_default();
    def.router = q->router;
    def.n_replica = q->n_replica;
    def.max_seqs = q->places;
    def.kv_blocks = 1000000;
    def.seed = seed;
    rub_serve_times times;
    rub_serve_totals totals;
    assert_int_equal(rub_serve_times_init(&times, t.n_req, NULL), RUB_OK);
    assert_int_equal(rub_serve_run(&t, &perf, &def, NULL, &times, &totals, NULL), RUB_OK);
    double wait = 0.0;
    for (size_t i = WARM; i < REQUESTS; i++)
        wait += times.scheduled_s[i] - t.arrival_s[i];
    if (little)
        *little = little_gap(&t, &times);
    rub_serve_times_clear(&times);
    rub_trace_clear(&t);
    return wait / (REQUESTS - WARM);
}

static estimate estimate_wait(const queue_def *q) {
    double sum = 0.0, square = 0.0;
    for (uint64_t seed = 1; seed <= RUNS; seed++) {
        double w = mean_wait(q, seed, NULL);
        sum += w;
        square += w * w;
    }
    double mean = sum / RUNS, var = (square - RUNS * mean * mean) / (RUNS - 1);
    return (estimate){mean, sqrt(fmax(0.0, var) / RUNS)};
}

/* Expected within the confidence limit, slack_s wider, and the limit narrow enough to say something. */
static void assert_wait(const queue_def *q, double expected_s, double slack_s) {
    estimate e = estimate_wait(q);
    print_message("# wait %.5f s +- %.5f, closed form %.5f\n", e.mean, T_999 * e.error, expected_s);
    assert_true(fabs(e.mean - expected_s) <= T_999 * e.error + slack_s);
    assert_true(T_999 * e.error < 0.1 * expected_s);
}

/* Pollaczek-Khinchine; mean and second moment of the service in iterations. */
static double pollaczek_khinchine(double rate, double mean, double second) {
    double s = mean * ITERATION_S, s2 = second * ITERATION_S * ITERATION_S;
    return rate * s2 / (2.0 * (1.0 - rate * s));
}

static const double GEOMETRIC_SECOND = 2.0 * 200.0 * 200.0 - 200.0;

static void test_md1(void **state) {
    (void)state;
    queue_def q = {4.0, constant, RUB_ROUTER_ROUND_ROBIN, 1, 1};
    assert_wait(&q, pollaczek_khinchine(4.0, 200.0, 200.0 * 200.0), 0.0);
}

static void test_mm1(void **state) {
    (void)state;
    queue_def q = {3.5, geometric, RUB_ROUTER_ROUND_ROBIN, 1, 1};
    assert_wait(&q, pollaczek_khinchine(3.5, 200.0, GEOMETRIC_SECOND), 0.0);
}

static void test_mg1(void **state) {
    (void)state;
    queue_def q = {3.5, mixed, RUB_ROUTER_ROUND_ROBIN, 1, 1};
    double second = 0.75 * 50.0 * 50.0 + 0.25 * 650.0 * 650.0;
    assert_wait(&q, pollaczek_khinchine(3.5, 200.0, second), 0.0);
}

/* A random router splits Poisson arrivals into Poisson arrivals: an M/M/1 queue at each replica. */
static void test_random_router(void **state) {
    (void)state;
    queue_def q = {4 * 3.5, geometric, RUB_ROUTER_RANDOM, 4, 1};
    assert_wait(&q, pollaczek_khinchine(3.5, 200.0, GEOMETRIC_SECOND), 0.0);
}

/* Mean wait of E_c/M/1: s / (mu (1 - s)), where s is the root in (0, 1) of s = A*(mu (1 - s)), A* the transform
 * of c exponential gaps. */
static double every_cth(double rate, double mu, int c) {
    double s = 0.5;
    for (int i = 0; i < 500; i++)
        s = pow(rate / (rate + mu * (1.0 - s)), c);
    return s / (mu * (1.0 - s));
}

static const double MU = 1.0 / (200.0 * 0.001);

static void test_round_robin(void **state) {
    (void)state;
    queue_def q = {4 * 4.0, geometric, RUB_ROUTER_ROUND_ROBIN, 4, 1};
    /* answers are whole tokens: within one iteration of the exponential's */
    assert_wait(&q, every_cth(16.0, MU, 4), ITERATION_S);
}

/* Erlang's C over c mu - rate. */
static double central_queue(double rate, double mu, int c) {
    double load = rate / mu, term = 1.0, sum = 0.0;
    for (int k = 0; k < c; k++) {
        sum += term;
        term *= load / (k + 1);
    }
    double last = term / (1.0 - load / c);
    return last / (sum + last) / (c * mu - rate);
}

/* One replica with 4 places. A request that comes amid an iteration waits for its end: half a one more. */
static void test_central_queue(void **state) {
    (void)state;
    queue_def q = {16.0, geometric, RUB_ROUTER_ROUND_ROBIN, 1, 4};
    assert_wait(&q, central_queue(16.0, MU, 4) + 0.5 * ITERATION_S, ITERATION_S);
}

/* Least-outstanding can't beat one queue for all replicas, and beats sending every c-th. */
static void test_shortest_queue(void **state) {
    (void)state;
    queue_def q = {16.0, geometric, RUB_ROUTER_LEAST_OUTSTANDING, 4, 1};
    estimate e = estimate_wait(&q);
    assert_true(e.mean - T_999 * e.error > central_queue(16.0, MU, 4));
    assert_true(e.mean + T_999 * e.error < every_cth(16.0, MU, 4));
}

static void test_little(void **state) {
    (void)state;
    queue_def q = {14.0, geometric, RUB_ROUTER_LEAST_WAITING, 4, 1};
    for (uint64_t seed = 1; seed <= 5; seed++) {
        double gap;
        (void)mean_wait(&q, seed, &gap);
        assert_true(fabs(gap) < 2e-3); /* the timeline is sampled every 10 ms over 20 minutes */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_md1),
        cmocka_unit_test(test_mm1),
        cmocka_unit_test(test_mg1),
        cmocka_unit_test(test_random_router),
        cmocka_unit_test(test_round_robin),
        cmocka_unit_test(test_central_queue),
        cmocka_unit_test(test_shortest_queue),
        cmocka_unit_test(test_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
