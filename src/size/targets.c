/* Targets: how they are written, and whether a run meets them.
 *
 * Quantiles are type 7 (linear between order statistics), as rub_serve_measure gives them; a request
 * that never got there counts as infinite. Order statistics come from quickselect (Hoare, 1961). */
#include "size/size.h"

#include "base/array.h"
#include "base/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const measure_name[] = {"ttft", "tpot", "itl", "e2e"};
static const char *const measure_title[] = {"TTFT", "TPOT", "ITL", "E2E"};

/* ---- writing and reading --------------------------------------------------------------------- */

rub_status rub_size_target_add(rub_size_targets *t, rub_size_measure measure, double quantile,
                               double limit_s, rub_error *err) {
    if (!(limit_s > 0))
        return RUB_OK;
    if (t->n >= RUB_SIZE_MAX_TARGET)
        return rub_error_set(err, RUB_INVALID, "more than %d targets", RUB_SIZE_MAX_TARGET);
    t->target[t->n++] = (rub_size_target){measure, quantile, limit_s};
    return RUB_OK;
}

char *rub_size_target_text(const rub_size_target *t, char *buf, size_t size) {
    if (t->quantile >= 1.0)
        snprintf(buf, size, "%s max", measure_title[t->measure]);
    else
        snprintf(buf, size, "%s p%.6g", measure_title[t->measure], 100.0 * t->quantile);
    return buf;
}

/* "250ms", "2 s", "1 min", "0.25" up to the end of the text or a comma. */
static bool read_time(const char **at, double *out_s) {
    char *end;
    double x = strtod(*at, &end), unit = 1.0;
    if (end == *at || !(x > 0) || !isfinite(x))
        return false;
    while (*end == ' ')
        end++;
    size_t n = strcspn(end, ",");
    if (n == 2 && !strncmp(end, "ms", 2))
        unit = 1e-3;
    else if (n == 3 && !strncmp(end, "min", 3))
        unit = 60.0;
    else if (n != 0 && !(n == 1 && *end == 's'))
        return false;
    *out_s = x * unit;
    *at = end + n;
    return true;
}

static rub_status bad(const char *text, rub_error *err) {
    return rub_error_set(err, RUB_INVALID,
                         "target: found '%.80s', expected MEASURE:pN=TIME such as ttft:p95=2s "
                         "(ttft, tpot, itl, e2e; pN or max), or goodput:N%%=ttft<TIME,tpot<TIME",
                         text);
}

static int measure_of(const char *text, size_t n) {
    for (int k = 0; k < 4; k++)
        if (strlen(measure_name[k]) == n && !strncasecmp(text, measure_name[k], n))
            return k;
    return -1;
}

static rub_status read_goodput(const char *text, const char *at, rub_size_targets *into,
                               rub_error *err) {
    char *end;
    double percent = strtod(at, &end);
    rub_serve_targets good = {0};
    if (end == at || strncmp(end, "%=", 2) || !(percent > 0 && percent <= 100))
        return bad(text, err);
    for (at = end + 2; *at; at += *at == ',') {
        size_t n = strcspn(at, "<");
        int k = measure_of(at, n);
        double *limit = k == RUB_SIZE_TTFT   ? &good.ttft_s
                        : k == RUB_SIZE_TPOT ? &good.tpot_s
                        : k == RUB_SIZE_E2E  ? &good.e2e_s
                                             : NULL;
        if (!limit || !at[n])
            return bad(text, err);
        at += n + 1;
        if (!read_time(&at, limit))
            return bad(text, err);
    }
    if (!(good.ttft_s > 0 || good.tpot_s > 0 || good.e2e_s > 0))
        return bad(text, err);
    into->good = good;
    into->goodput_frac = percent / 100.0;
    return RUB_OK;
}

rub_status rub_size_target_parse(const char *text, rub_size_targets *into, rub_error *err) {
    const char *colon = strchr(text, ':');
    if (!colon)
        return bad(text, err);
    if (colon - text == 7 && !strncasecmp(text, "goodput", 7))
        return read_goodput(text, colon + 1, into, err);
    int k = measure_of(text, (size_t)(colon - text));
    const char *at = colon + 1;
    char *end = NULL;
    double quantile = 1.0, limit;
    if (!strncmp(at, "max", 3))
        at += 3;
    else if (tolower((unsigned char)*at) == 'p' && isdigit((unsigned char)at[1])) {
        quantile = strtod(at + 1, &end) / 100.0;
        at = end;
    } else
        k = -1;
    if (k < 0 || *at++ != '=' || !(quantile > 0 && quantile <= 1) || !read_time(&at, &limit) || *at)
        return bad(text, err);
    return rub_size_target_add(into, (rub_size_measure)k, quantile, limit, err);
}

/* ---- judging --------------------------------------------------------------------------------- */

/* Puts the k-th smallest at value[k], none larger before it. */
static double select_kth(double *value, size_t n, size_t k) {
    size_t low = 0, high = n - 1;
    while (low < high) {
        double pivot = value[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (value[i] < pivot)
                i++;
            while (value[j] > pivot)
                j--;
            if (i >= j)
                break;
            double swap = value[i];
            value[i++] = value[j];
            value[j--] = swap;
        }
        size_t split = value[j] > pivot ? j - 1 : j;
        if (k <= split)
            high = split;
        else
            low = split + 1;
    }
    return value[k];
}

static double quantile_of(double *value, size_t n, double q) {
    if (n == 0)
        return NAN;
    double at = q * (double)(n - 1);
    size_t low = (size_t)at;
    double a = select_kth(value, n, low);
    if (low + 1 >= n || at - (double)low == 0.0)
        return a;
    double b = value[low + 1];
    for (size_t i = low + 2; i < n; i++)
        b = value[i] < b ? value[i] : b;
    return a == b ? a : a + (at - (double)low) * (b - a);
}

static double or_never(double s) { return isnan(s) ? HUGE_VAL : s; }

static double value_of(const rub_trace *t, const rub_serve_times *times, size_t i,
                       rub_size_measure measure) {
    double first = or_never(times->first_token_s[i]), finish = or_never(times->finish_s[i]);
    switch (measure) {
    case RUB_SIZE_TTFT:
        return first - t->arrival_s[i];
    case RUB_SIZE_TPOT:
        return isinf(finish) ? HUGE_VAL : (finish - first) / (t->output_tok[i] - 1);
    default:
        return finish - t->arrival_s[i];
    }
}

/* First request of the window. */
static size_t window_start(const rub_trace *t, double from_s) {
    size_t low = 0, high = t->n_req;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->arrival_s[middle] < from_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Fills scratch with a measure over the window; returns how many. */
static size_t gather(const rub_size_bench *b, double from_s, rub_size_measure measure) {
    size_t n = 0;
    for (size_t i = window_start(&b->trace, from_s); i < b->trace.n_req; i++)
        if (measure != RUB_SIZE_TPOT || b->trace.output_tok[i] >= 2)
            b->value[n++] = value_of(&b->trace, &b->times, i, measure);
    return n;
}

static bool is_good(const rub_serve_targets *g, double scale, const rub_trace *t,
                    const rub_serve_times *times, size_t i) {
    return !isnan(times->finish_s[i]) &&
           (g->ttft_s <= 0 || value_of(t, times, i, RUB_SIZE_TTFT) <= g->ttft_s * scale) &&
           (g->tpot_s <= 0 || t->output_tok[i] < 2 ||
            value_of(t, times, i, RUB_SIZE_TPOT) <= g->tpot_s * scale) &&
           (g->e2e_s <= 0 || value_of(t, times, i, RUB_SIZE_E2E) <= g->e2e_s * scale);
}

static void judge_goodput(const rub_size_targets *t, double scale, const rub_size_bench *b,
                          double from_s, rub_size_verdict *v) {
    size_t first = window_start(&b->trace, from_s), n = b->trace.n_req - first, good = 0;
    for (size_t i = first; i < b->trace.n_req; i++)
        good += is_good(&t->good, scale, &b->trace, &b->times, i);
    double share = n ? (double)good / (double)n : 0.0;
    /* stress of a share: requests that miss over those that may */
    double stress = t->goodput_frac >= 1 ? (share >= 1 ? 1.0 : HUGE_VAL)
                                         : (1.0 - share) / (1.0 - t->goodput_frac);
    v->holds = v->holds && share >= t->goodput_frac;
    if (stress > v->stress) {
        v->stress = stress;
        v->worst = t->n;
        v->value_s = share;
    }
}

static rub_quantiles detail_of(const rub_size_bench *b, double from_s, rub_size_measure m,
                               double speed) {
    size_t n = gather(b, from_s, m);
    return (rub_quantiles){.p50 = quantile_of(b->value, n, 0.5) / speed,
                           .p90 = quantile_of(b->value, n, 0.9) / speed,
                           .p95 = quantile_of(b->value, n, 0.95) / speed,
                           .p99 = quantile_of(b->value, n, 0.99) / speed};
}

void rub_size_judge(const rub_size_targets *targets, double target_scale, const rub_size_bench *b,
                    double from_s, double last_s, const rub_size_load *load, double speed,
                    rub_size_verdict *v) {
    *v = (rub_size_verdict){
        .holds = b->totals->n_rejected == 0, .n_rejected = b->totals->n_rejected, .worst = -1};
    double scale = target_scale * speed;
    for (int32_t k = 0; k < targets->n; k++) {
        const rub_size_target *t = &targets->target[k];
        double value = t->measure == RUB_SIZE_ITL
                           ? rub_histogram_quantile(&b->totals->itl, t->quantile)
                           : quantile_of(b->value, gather(b, from_s, t->measure), t->quantile);
        double stress = isnan(value) ? 0.0 : value / (t->limit_s * scale);
        v->holds = v->holds && stress <= 1.0;
        if (stress > v->stress) {
            v->stress = stress;
            v->worst = k;
            v->value_s = value / speed;
        }
    }
    if (targets->goodput_frac > 0)
        judge_goodput(targets, scale, b, from_s, v);
    double slack = RUB_SIZE_BACKLOG_FRAC * last_s + load->patience_s * speed, taken_up = last_s;
    for (size_t i = 0; i < b->trace.n_req; i++)
        taken_up = b->times.scheduled_s[i] > taken_up ? b->times.scheduled_s[i] : taken_up;
    v->keeps_up =
        taken_up - last_s <= slack && b->totals->end_s - last_s <= slack + load->granted_s * speed;
    v->holds = v->holds && v->keeps_up;
    if (v->holds) {
        v->ttft = detail_of(b, from_s, RUB_SIZE_TTFT, speed);
        v->tpot = detail_of(b, from_s, RUB_SIZE_TPOT, speed);
        v->e2e = detail_of(b, from_s, RUB_SIZE_E2E, speed);
    }
}

/* ---- stopping early -------------------------------------------------------------------------- */

/* A request's measure is known to be over the limit by now: it ended over it, or has not got there
 * and is over it already. */
static bool missed(const rub_trace *t, const rub_serve_times *times, size_t i,
                   rub_size_measure measure, double limit_s, double now_s) {
    bool first = measure == RUB_SIZE_TTFT;
    double at = first ? times->first_token_s[i] : times->finish_s[i];
    if (isnan(at))
        return measure != RUB_SIZE_TPOT && now_s - t->arrival_s[i] > limit_s;
    return value_of(t, times, i, measure) > limit_s;
}

int32_t rub_size_lost(const rub_size_targets *targets, double scale, const rub_trace *t,
                      const rub_serve_times *times, double from_s, size_t n_arrived, double now_s) {
    size_t first = window_start(t, from_s);
    for (int32_t k = 0; k < targets->n; k++) {
        const rub_size_target *target = &targets->target[k];
        bool tpot = target->measure == RUB_SIZE_TPOT;
        size_t n = 0, n_missed = 0;
        if (target->measure == RUB_SIZE_ITL)
            continue;
        for (size_t i = first; i < t->n_req; i++) {
            if (tpot && t->output_tok[i] < 2)
                continue;
            n++;
            if (i < n_arrived)
                n_missed += missed(t, times, i, target->measure, target->limit_s * scale, now_s);
        }
        /* the order statistic below the quantile is over the limit, and so is the one above */
        if (n > 0 && n_missed >= n - (size_t)(target->quantile * (double)(n - 1)))
            return k;
    }
    return -1;
}
