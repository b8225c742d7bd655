/* Routers that look at the replicas. */
#include "serve/route.h"

#include "base/rng.h"

#include <math.h>

int64_t rub_route_load(const rub_fleet *f, size_t r) {
    rub_replica_view v;
    f->kind->view(f->replica[r], &v);
    return f->how == RUB_ROUTER_LEAST_WAITING ? v.n_waiting
           : f->how == RUB_ROUTER_LEAST_KV
               ? v.used_blocks * f->run->def->block_size_tok + v.waiting_tok
               : v.n_outstanding;
}

double rub_route_weighed(const rub_fleet *f, size_t r, int64_t load) {
    double x = (double)(load + 1);
    return f->kinds->n > 0 ? x / rub_kinds_weight(f->kinds, r) : x;
}

static double weighed(const rub_fleet *f, size_t r) {
    return rub_route_weighed(f, r, rub_route_load(f, r));
}

static size_t least_loaded(const rub_fleet *f) {
    size_t best = SIZE_MAX;
    double least = HUGE_VAL;
    for (size_t r = f->from; r < f->to; r++) {
        if (!rub_fleet_has(f, r))
            continue;
        double load = weighed(f, r);
        if (load < least) {
            least = load;
            best = r;
        }
    }
    return best;
}

/* Mitzenmacher 2001: two at random, the less loaded takes it. */
void rub_route_pair(const rub_run *run, size_t i, size_t n, size_t pair[2]) {
    rub_rng rng = rub_rng_make(run->def->seed, i);
    pair[0] = (size_t)rub_rng_below(&rng, n);
    pair[1] = n > 1 ? (size_t)rub_rng_below(&rng, n - 1) : 0;
    pair[1] += n > 1 && pair[1] >= pair[0];
    if (pair[1] < pair[0]) {
        size_t x = pair[0];
        pair[0] = pair[1];
        pair[1] = x;
    }
}

size_t rub_fleet_count(const rub_fleet *f) {
    size_t n = 0;
    for (size_t r = f->from; f->up && r < f->to; r++)
        n += f->up[r];
    return f->up ? n : f->to - f->from;
}

size_t rub_fleet_nth(const rub_fleet *f, size_t nth) {
    size_t r = f->from;
    if (!f->up)
        return r + nth;
    for (;; r++)
        if (f->up[r] && nth-- == 0)
            return r;
}

static size_t power_of_two(const rub_fleet *f, size_t i) {
    size_t pair[2], n = rub_fleet_count(f);
    if (n == 0)
        return SIZE_MAX;
    rub_route_pair(f->run, i, n, pair);
    pair[0] = rub_fleet_nth(f, pair[0]);
    pair[1] = rub_fleet_nth(f, pair[1]);
    return weighed(f, pair[1]) < weighed(f, pair[0]) ? pair[1] : pair[0];
}

/* The longest cached prefix, of those the least loaded; but not where it would wait for more than
 * affinity_slack times the least loaded's requests, and 8. */
static size_t prefix(const rub_fleet *f, size_t i) {
    size_t best = SIZE_MAX, idlest = SIZE_MAX;
    int64_t longest = -1;
    double best_load = HUGE_VAL, least = HUGE_VAL;
    for (size_t r = f->from; r < f->to; r++) {
        if (!rub_fleet_has(f, r))
            continue;
        int64_t hit = f->kind->cached(f->replica[r], (int32_t)i);
        double load = weighed(f, r);
        if (hit > longest || (hit == longest && load < best_load)) {
            longest = hit;
            best_load = load;
            best = r;
        }
        if (load < least) {
            least = load;
            idlest = r;
        }
    }
    return best_load > f->run->def->affinity_slack * least + 8.0 ? idlest : best;
}

/* Tokens that an iteration prefills beside its decodes. */
static int64_t prefill_room(const rub_serve_def *d, int64_t left, int64_t n_decode) {
    int64_t limit = d->policy == RUB_POLICY_VLLM      ? d->max_batch_tok
                    : d->policy == RUB_POLICY_SARATHI ? d->chunk_tok
                                                      : left + n_decode;
    int64_t room = limit - n_decode;
    return room < 1 ? 1 : room < left ? room : left;
}

/* Predictions for a request of `input` tokens that joins replica r at at_s: its first token comes
 * after the iteration in progress and as many full iterations as all prompts before it and its own
 * need; its further tokens take an iteration with all decodes. */
static void predict(const rub_fleet *f, size_t r, int64_t input, double at_s, double *ttft_s,
                    double *tpot_s) {
    rub_replica_view v;
    const rub_run *run = rub_kinds_run(f->kinds, r);
    f->kind->view(f->replica[r], &v);
    int64_t left = v.prefill_tok + input, room = prefill_room(run->def, left, v.n_decode);
    rub_batch full = {.n_tokens = room + v.n_decode,
                      .n_decode = v.n_decode,
                      .kv_decode = v.kv_decode,
                      .n_prefill = 1,
                      .prefill_work2 = room * room};
    rub_batch later = {
        .n_tokens = v.n_decode + 1, .n_decode = v.n_decode + 1, .kv_decode = v.kv_decode + input};
    *ttft_s = (v.end_s > at_s ? v.end_s - at_s : 0.0) +
              (double)((left + room - 1) / room) * rub_perf_duration(run->perf, &full);
    *tpot_s = rub_perf_duration(run->perf, &later);
}

/* The earliest predicted first token, among the replicas that are predicted to miss fewest
 * targets. */
static size_t slo(const rub_fleet *f, size_t i, double at_s) {
    const rub_serve_def *d = f->run->def;
    size_t best = SIZE_MAX;
    int fewest = 3;
    double soonest = HUGE_VAL;
    for (size_t r = f->from; r < f->to; r++) {
        double ttft_s, tpot_s;
        if (!rub_fleet_has(f, r))
            continue;
        predict(f, r, f->run->trace->input_tok[i], at_s, &ttft_s, &tpot_s);
        int misses = (d->slo_ttft_s > 0 && ttft_s > d->slo_ttft_s) +
                     (d->slo_tpot_s > 0 && tpot_s > d->slo_tpot_s);
        if (misses < fewest || (misses == fewest && ttft_s < soonest)) {
            fewest = misses;
            soonest = ttft_s;
            best = r;
        }
    }
    return best;
}

size_t rub_route_look(const rub_fleet *f, size_t i, double at_s) {
    switch (f->how) {
    case RUB_ROUTER_POWER_OF_TWO:
        return power_of_two(f, i);
    case RUB_ROUTER_PREFIX:
        return prefix(f, i);
    case RUB_ROUTER_SLO:
        return slo(f, i, at_s);
    default:
        return least_loaded(f);
    }
}

static size_t session(const rub_fleet *f, size_t i) {
    size_t best = SIZE_MAX;
    uint64_t most = 0;
    for (size_t r = f->from; r < f->to; r++) {
        uint64_t x = rub_fleet_has(f, r) ? rub_route_session_hash(f->run, i, r) : 0;
        if (rub_fleet_has(f, r) && (best == SIZE_MAX || x > most)) {
            most = x;
            best = r;
        }
    }
    return best;
}

size_t rub_route_among(const rub_fleet *f, size_t i, double at_s, size_t *turn) {
    size_t n = rub_fleet_count(f);
    rub_rng rng = rub_rng_make(f->run->def->seed, i);
    if (n == 0)
        return SIZE_MAX;
    switch (f->how) {
    case RUB_ROUTER_ROUND_ROBIN: /* the next one that is up */
        for (;; ++*turn) {
            size_t r = f->from + *turn % (f->to - f->from);
            if (rub_fleet_has(f, r))
                return ++*turn, r;
        }
    case RUB_ROUTER_RANDOM:
        return rub_fleet_nth(f, (size_t)rub_rng_below(&rng, n));
    case RUB_ROUTER_SESSION:
        return session(f, i);
    default:
        return rub_route_look(f, i, at_s);
    }
}
