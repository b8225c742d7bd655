/* rubato size: the answer on a terminal. */
#include "cli/size.h"

#include "base/array.h"

#include <math.h>
#include <string.h>

const char *size_fate_text(rub_size_fate fate) {
    static const char *const text[] = {"serves",
                                       "does not fit",
                                       "misses the targets",
                                       "too few accelerators",
                                       "ruled out by throughput",
                                       "ruled out by simulation"};
    return text[fate];
}

char *size_fleet_text(const rub_size_candidate *c, char *buf, size_t size) {
    snprintf(buf, size, "%d x %d %s", c->replicas, size_gpus(c), c->accel->name);
    return buf;
}

/* "tp4 ep4 pp2" */
static char *layout_text(const rub_size_candidate *c, char *buf, size_t size) {
    int n = snprintf(buf, size, "tp%d", c->tp);
    if (c->pp > 1)
        n += snprintf(buf + n, size - (size_t)n, " pp%d", c->pp);
    if (c->attention_dp > 1)
        n += snprintf(buf + n, size - (size_t)n, " dp%d", c->attention_dp);
    if (c->ep > 1)
        snprintf(buf + n, size - (size_t)n, " ep%d", c->ep);
    return buf;
}

static void row(const rub_size_candidate *c) {
    char layout[40];
    printf("%c %-13s %-8s %-6s %-5s %6lld %5d %6d %9.2f %8.4f %8.0f %8.1f %6.2f %8.3f %5.0f %%\n",
           c->frontier ? '*' : ' ', c->accel->name, layout_text(c, layout, sizeof layout),
           c->weights, c->kv_cache, (long long)c->max_batch_tok, c->replicas, c->accelerators,
           c->usd_per_h, c->mw, 1e3 * c->ttft_p99_s, 1e3 * c->tpot_p99_s, c->rate_per_s,
           c->usd_per_mtok, 100 * c->stress);
}

static void head(void) {
    printf("\n  %-13s %-8s %-6s %-5s %6s %5s %6s %9s %8s %8s %8s %6s %8s %7s\n", "accelerator",
           "layout", "weight", "KV", "budget", "repl.", "accel.", "$/h", "MW", "TTFT p99",
           "TPOT p99", "req/s", "$/Mtok", "stress");
}

static void print_targets(const size_work *w) {
    const rub_size_targets *t = &w->def.targets;
    char name[32];
    printf("targets:");
    for (int32_t k = 0; k < t->n; k++)
        printf("%s %s %.6g s", k ? "," : "", rub_size_target_text(&t->target[k], name, sizeof name),
               t->target[k].limit_s);
    if (t->goodput_frac > 0)
        printf("%s %.6g %% of requests within their limits", t->n ? "," : "",
               100 * t->goodput_frac);
    printf("%s; window: requests that arrive from %.0f s to %.0f s of %lld simulated\n",
           t->n || t->goodput_frac > 0 ? "" : " none", w->result.from_s, w->result.to_s,
           (long long)w->result.n_req);
}

static void print_search(const rub_size_result *r) {
    printf("search: %d layouts; %d do not fit, %d ruled out by throughput, %d by simulation, %d "
           "miss, %d lack stock; %lld simulations, %lld stopped early\n",
           r->n, r->n_fate[RUB_SIZE_NO_FIT], r->n_fate[RUB_SIZE_BOUNDED],
           r->n_fate[RUB_SIZE_BEATEN], r->n_fate[RUB_SIZE_MISSES], r->n_fate[RUB_SIZE_STOCK],
           (long long)r->n_simulation, (long long)r->n_stopped);
}

static void print_reasons(const rub_size_result *r, int64_t show) {
    int64_t shown = 0;
    for (int32_t i = 1; i < r->n && r->candidate[i].leads && shown < show; i++) {
        const rub_size_candidate *c = &r->candidate[i];
        char fleet[80];
        if (shown++ == 0)
            printf("\nwhy the others lose:\n");
        printf("  %s, %s: %s\n", size_fleet_text(c, fleet, sizeof fleet), c->weights, c->reason);
    }
}

/* One candidate a group that has no leader. */
static void print_misses(const rub_size_result *r) {
    bool first = true;
    for (int32_t g = 0; g < r->n_group; g++) {
        const rub_size_candidate *worst = NULL;
        bool leads = false;
        for (int32_t i = 0; i < r->n; i++)
            if (r->candidate[i].group == g) {
                leads = leads || r->candidate[i].leads;
                worst = &r->candidate[i];
                if (worst->fits)
                    break; /* what fits says more than what does not */
            }
        if (leads || !worst)
            continue;
        if (first)
            printf("\nnot possible:\n");
        first = false;
        printf("  %s, %s, tp %d: %s\n", worst->accel->name, worst->weights, worst->tp,
               worst->reason);
    }
}

/* A speed that was not measured on the accelerator itself. */
static void print_surety(const rub_size_candidate *b) {
    char source[160];
    rub_perf_source_of(&b->deployment, source, sizeof source);
    if (strncmp(source, "calibrated on", 13) != 0)
        printf(
            "  its speed was not measured: %s; measure before you buy, or compare with the best of "
            "those calibrated\n",
            source);
}

/* Why a fleet stands idle for most of the time: what it was sized for. */
static void print_bursts(const size_work *w, const rub_size_candidate *b) {
    rub_trace_stats t;
    if (b->busy_frac > 0.5 || rub_trace_stats_of(&w->trace, &t, NULL) != RUB_OK)
        return;
    printf("  it is sized for the trace's bursts: CV of arrivals %.3g, variance/mean of counts "
           "%.3g in 1 "
           "s and %.3g in 60 s (steady users: 1); of the sum of many such services a share of the "
           "accelerators would do\n",
           t.arrival_cv, t.dispersion_1s, t.dispersion_60s);
}

int size_print_text(const size_settings *s, const size_work *w) {
    const rub_size_result *r = &w->result;
    int32_t led = 0;
    while (led < r->n && r->candidate[led].leads)
        led++;
    printf("%s for %s at %.4g requests/s\n", w->model.name, s->trace, r->rate_per_s);
    print_targets(w);
    print_search(r);
    if (led) {
        head();
        for (int32_t i = 0; i < led && i < (int32_t)s->show; i++)
            row(&r->candidate[i]);
        printf("  * on the frontier of cost against TPOT; req/s: of one replica; times in ms; "
               "stress: nearest target, share of its limit\n");
        const rub_size_candidate *b = &r->candidate[0];
        char fleet[80];
        printf("\nbest: %s (%s), $%.2f an hour, %.4g MW of IT power, busy %.0f %% of the time\n",
               size_fleet_text(b, fleet, sizeof fleet), b->weights, b->usd_per_h, b->mw,
               100 * b->busy_frac);
        print_surety(b);
        print_bursts(w, b);
        if (s->draws > 0)
            size_print_sure(w);
        if (s->profile)
            size_print_hours(s, w);
        print_reasons(r, s->show);
        if (s->answers)
            size_print_answers(w);
    } else
        printf("\nno fleet meets the targets\n");
    print_misses(r);
    size_print_estate(s, w);
    if (w->launch)
        printf("\n%s", w->launch);
    return led ? 0 : 1;
}
