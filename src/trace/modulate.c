/* Modulation: a rate that moves by itself over seconds to hours, as the sum of many users does, and
 * that stops and goes, as one user does. It is constant between changes; each factor changes at its
 * own times, the gate at its own. */
#include "trace/make.h"

#include "base/rng.h"

#include <math.h>
#include <string.h>

#define STEPS 10 /* of a factor in its time constant: correlation exp(-1/10) from one to the next */
#define GATE RUB_TRACE_MAX_FACTOR /* the gate's place among the times of change */

rub_status rub_modulation_check(const rub_modulation *m, double rate_per_s, rub_error *err) {
    double least_s = 1e-3 / rate_per_s; /* of shorter ones nothing is left between two requests */
    if (m->n < 0 || m->n > RUB_TRACE_MAX_FACTOR)
        return rub_error_set(err, RUB_INVALID, "modulation has %d factors, expected 0 to %d", m->n,
                             RUB_TRACE_MAX_FACTOR);
    for (int32_t k = 0; k < m->n; k++)
        if (!(m->sd[k] > 0 && m->sd[k] <= 3.0) || !(m->tau_s[k] >= least_s && m->tau_s[k] < 1e9))
            return rub_error_set(err, RUB_INVALID,
                                 "modulation %d has standard deviation %g and time constant %g s, "
                                 "expected more than 0 to 3, and %.3g s or more at this rate",
                                 k + 1, m->sd[k], m->tau_s[k], least_s);
    if (m->on_s != 0 &&
        (!(m->on_s >= least_s && m->on_s < 1e9) || !(m->off_s >= least_s && m->off_s < 1e9)))
        return rub_error_set(
            err, RUB_INVALID,
            "gate is open for %g s and closed for %g s on average, expected %.3g s "
            "or more at this rate",
            m->on_s, m->off_s, least_s);
    return RUB_OK;
}

static double product(const rub_trace_source *s) {
    double sum = 0.0;
    for (int32_t k = 0; k < s->def->modulation.n; k++)
        sum += s->x[k];
    return s->open ? exp(sum) / s->mean : 0.0;
}

/* Which changes next: a factor, or the gate. */
static int32_t next_change(const rub_trace_source *s) {
    int32_t next = GATE;
    for (int32_t k = 0; k < s->def->modulation.n; k++)
        if (s->change_s[k] < s->change_s[next])
            next = k;
    return next;
}

static void change(rub_trace_source *s, int32_t k) {
    const rub_modulation *m = &s->def->modulation;
    rub_rng rng;
    memcpy(rng.s, s->modulation, sizeof rng.s);
    if (k == GATE) {
        s->open = !s->open;
        s->change_s[k] += rub_rng_exponential(&rng) * (s->open ? m->on_s : m->off_s);
    } else {
        double r = exp(-1.0 / STEPS);
        s->x[k] = r * s->x[k] + m->sd[k] * sqrt(1.0 - r * r) * rub_rng_normal(&rng);
        s->change_s[k] += m->tau_s[k] / STEPS;
    }
    memcpy(s->modulation, rng.s, sizeof rng.s);
    s->factor = product(s);
}

/* The path's beginning: every factor from its stationary distribution, the gate as well. */
static void begin(rub_trace_source *s) {
    const rub_modulation *m = &s->def->modulation;
    rub_rng rng = rub_rng_make(s->def->seed, 4);
    s->mean = 1.0;
    s->open = m->on_s <= 0 || rub_rng_uniform(&rng) * (m->on_s + m->off_s) < m->on_s;
    s->change_s[GATE] =
        m->on_s > 0 ? rub_rng_exponential(&rng) * (s->open ? m->on_s : m->off_s) : HUGE_VAL;
    for (int32_t k = 0; k < m->n; k++) {
        s->x[k] = m->sd[k] * rub_rng_normal(&rng);
        s->change_s[k] = m->tau_s[k] / STEPS;
    }
    memcpy(s->modulation, rng.s, sizeof rng.s);
    s->factor = product(s);
}

/* Mean of the product until horizon_s. A gate that never opens leaves nothing to divide by. */
static double mean_of_path(rub_trace_source s, double horizon_s) {
    double sum = 0.0, t = 0.0;
    while (t < horizon_s) {
        int32_t k = next_change(&s);
        double end = fmin(s.change_s[k], horizon_s);
        sum += s.factor * (end - t);
        t = end;
        change(&s, k);
    }
    return sum > 0 ? sum / horizon_s : 1.0;
}

void rub_modulation_start(rub_trace_source *s) {
    const rub_trace_make_def *def = s->def;
    s->factor = 1.0;
    if (def->modulation.n == 0 && def->modulation.on_s <= 0)
        return;
    double n = (double)def->n_req - 1.0;
    double horizon_s = def->n_req == 0 ? def->duration_s : fmax(n, 1.0) / def->rate_per_s;
    begin(s);
    s->mean = mean_of_path(*s, horizon_s);
    s->factor = product(s);
}

double rub_modulation_after(rub_trace_source *s, double t, double gap_s) {
    if (s->def->modulation.n == 0 && s->def->modulation.on_s <= 0)
        return t + gap_s;
    for (;;) {
        int32_t k = next_change(s);
        double room = (s->change_s[k] - t) * s->factor;
        if (s->factor > 0 && gap_s <= room)
            return t + gap_s / s->factor;
        gap_s -= room;
        t = s->change_s[k];
        change(s, k);
    }
}
