/* What rubato simulate prints and writes. */
#include "cli/simulate.h"

#include "base/file.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- per-request CSV ------------------------------------------------------------------------ */

static char *put_int(char *p, int64_t x) {
    char digit[24];
    int n = 0;
    if (x < 0) {
        *p++ = '-';
        x = -x;
    }
    do
        digit[n++] = (char)('0' + x % 10);
    while (x /= 10);
    while (n > 0)
        *p++ = digit[--n];
    return p;
}

/* Seconds with nine decimals; nothing for what never happened. */
static char *put_seconds(char *p, double s) {
    if (isnan(s))
        return p;
    if (!(s < 9e8))
        return p + sprintf(p, "%.9f", s);
    double whole = floor(s);
    int64_t nano = llrint((s - whole) * 1e9);
    int64_t carry = nano == 1000000000;
    p = put_int(p, (int64_t)whole + carry);
    *p++ = '.';
    nano = carry ? 0 : nano;
    for (int64_t unit = 100000000; unit > 0; unit /= 10)
        *p++ = (char)('0' + nano / unit % 10);
    return p;
}

rub_status rub_simulation_write_requests(const simulation *sim, const char *path, rub_error *err) {
    static const char header[] =
        "id,arrival_s,input_tok,output_tok,scheduled_s,first_token_s,finish_s,restarts\n";
    enum { ROW = 220 };
    rub_file_writer writer;
    rub_status status = rub_file_writer_open(&writer, path, err);
    if (status != RUB_OK)
        return status;
    rub_file_writer_put(&writer, header, sizeof header - 1);
    for (size_t i = 0; i < sim->trace.n_req; i++) {
        char row[ROW], *p = put_int(row, (int64_t)i);
        *p++ = ',';
        p = put_seconds(p, sim->times.arrival_s[i]);
        *p++ = ',';
        p = put_int(p, sim->trace.input_tok[i]);
        *p++ = ',';
        p = put_int(p, sim->trace.output_tok[i]);
        *p++ = ',';
        p = put_seconds(p, sim->times.scheduled_s[i]);
        *p++ = ',';
        p = put_seconds(p, sim->times.first_token_s[i]);
        *p++ = ',';
        p = put_seconds(p, sim->times.finish_s[i]);
        *p++ = ',';
        p = put_int(p, sim->times.restarts[i]);
        *p++ = '\n';
        rub_file_writer_put(&writer, row, (size_t)(p - row));
    }
    return rub_file_writer_close(&writer, err);
}

/* ---- figures both forms share ---------------------------------------------------------------- */

typedef struct figures {
    double busy, kv_mean, kv_most; /* shares */
    double span_s;                 /* of the whole run */
    double watts, wh_per_ktok, usd_per_h, usd_per_mtok, usd_per_mtok_out;
} figures;

static figures figures_of(const simulation *sim) {
    const rub_serve_totals *t = &sim->totals;
    double replicas = rub_simulation_replicas(sim), tokens = 0.0, output = 0.0;
    figures f = {.span_s = t->end_s};
    double wall = t->end_s * replicas;
    f.busy = wall > 0 ? t->busy_s / wall : 0.0;
    f.kv_mean = wall > 0 ? t->kv_block_s / (wall * (double)sim->def.kv_blocks) : 0.0;
    f.kv_most = (double)t->kv_most_blocks / (double)sim->def.kv_blocks;
    if (!sim->deployed)
        return f;
    for (size_t i = 0; i < sim->trace.n_req; i++)
        if (!isnan(sim->times.finish_s[i])) {
            tokens += sim->trace.input_tok[i] + (double)sim->trace.output_tok[i];
            output += sim->trace.output_tok[i];
        }
    rub_power power = rub_power_of(&sim->deployment);
    f.watts = replicas * rub_power_at(&power, f.busy);
    f.usd_per_h = replicas * rub_cost_per_h(&sim->deployment);
    double hours = t->end_s / 3600.0;
    f.wh_per_ktok = tokens > 0 ? f.watts * hours / (tokens / 1e3) : 0.0;
    f.usd_per_mtok = tokens > 0 ? f.usd_per_h * hours / (tokens / 1e6) : 0.0;
    f.usd_per_mtok_out = output > 0 ? f.usd_per_h * hours / (output / 1e6) : 0.0;
    return f;
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *real(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *quantiles(const rub_quantiles *q) {
    json_t *o = json_object();
    json_object_set_new(o, "p50", real(q->p50));
    json_object_set_new(o, "p90", real(q->p90));
    json_object_set_new(o, "p95", real(q->p95));
    json_object_set_new(o, "p99", real(q->p99));
    json_object_set_new(o, "p99.9", real(q->p999));
    json_object_set_new(o, "max", real(q->max));
    json_object_set_new(o, "mean", real(q->mean));
    return o;
}

static json_t *provenance(const simulate_settings *s, const simulation *sim) {
    char hash[24];
    json_t *o = json_object();
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)sim->report.hash);
    json_object_set_new(o, "rubato", json_string(rub_version()));
    if (s->trace) {
        json_object_set_new(o, "trace", json_string(s->trace));
        json_object_set_new(o, "trace_fnv1a64", json_string(hash));
    } else {
        json_object_set_new(o, "random_input_len", json_integer(s->input_len));
        json_object_set_new(o, "random_output_len", json_integer(s->output_len));
        json_object_set_new(o, "random_range_ratio", json_real(s->range_ratio));
    }
    if (sim->def.concurrency > 0) {
        json_object_set_new(o, "max_concurrency", json_integer(sim->def.concurrency));
        json_object_set_new(o, "think_s", json_real(sim->def.think_s));
    }
    json_object_set_new(o, "perf", json_string(sim->deployed ? sim->perf_source : s->perf));
    if (s->model)
        json_object_set_new(o, "model", json_string(s->model));
    json_object_set_new(o, "policy", json_string(rub_policy_names[sim->def.policy]));
    json_object_set_new(o, "router", json_string(rub_router_names[sim->def.router]));
    json_object_set_new(o, "engine", json_string(rub_engine_names[sim->def.engine]));
    json_object_set_new(o, "order", json_string(rub_order_names[sim->def.order]));
    json_object_set_new(o, "reserve", json_string(rub_reserve_names[sim->def.reserve]));
    json_object_set_new(o, "async_scheduling", json_string(rub_async_names[sim->def.async]));
    json_object_set_new(o, "host_s", json_real(sim->def.host_s));
    json_object_set_new(o, "pp", json_integer(sim->def.pp));
    json_object_set_new(o, "replicas", json_integer(sim->def.n_replica));
    json_object_set_new(o, "max_seqs", json_integer(sim->def.max_seqs));
    json_object_set_new(o, "chunk_tok", json_integer(sim->def.chunk_tok));
    json_object_set_new(o, "max_batch_tok", json_integer(sim->def.max_batch_tok));
    json_object_set_new(o, "kv_blocks", json_integer(sim->def.kv_blocks));
    json_object_set_new(o, "block_size_tok", json_integer(sim->def.block_size_tok));
    json_object_set_new(o, "time_scale", json_real(s->time_scale));
    json_object_set_new(o, "seed", json_integer(s->seed));
    return o;
}

/* Hit rate of the prefix cache: all, and tenant by tenant where the trace has them. */
static json_t *prefix_cache(const simulation *sim) {
    json_t *o = json_object(), *tenants = json_array();
    rub_hits all = {0};
    for (int32_t k = 0; k < sim->n_hits; k++) {
        const rub_hits *h = &sim->hits[k];
        all.input_tok += h->input_tok;
        all.cached_tok += h->cached_tok;
        if (sim->trace.tenant)
            json_array_append_new(tenants,
                                  json_pack("{s:i,s:I,s:I,s:f}", "tenant", (int)k, "requests",
                                            (json_int_t)h->n_req, "input_tok",
                                            (json_int_t)h->input_tok, "hit_rate", rub_hit_rate(h)));
    }
    json_object_set_new(o, "hit_rate", json_real(rub_hit_rate(&all)));
    json_object_set_new(o, "cached_tok", json_integer(all.cached_tok));
    json_object_set_new(o, "fetched_tok", json_integer(sim->totals.fetched_tok));
    json_object_set_new(o, "tenants", tenants);
    return o;
}

/* What was offered, what was served: docs/serve.md. The first three keys are of what was offered. */
static void add_rates(json_t *d, const rub_measures *m) {
    json_object_set_new(d, "requests_per_s", real(m->request_per_s));
    json_object_set_new(d, "input_tok_per_s", real(m->input_tok_per_s));
    json_object_set_new(d, "output_tok_per_s", real(m->output_tok_per_s));
    json_object_set_new(d, "offered_rps", real(m->request_per_s));
    json_object_set_new(d, "served_rps", real(m->served_per_s));
    json_object_set_new(d, "offered_output_tok_per_s", real(m->output_tok_per_s));
    json_object_set_new(d, "served_input_tok_per_s", real(m->served_input_tok_per_s));
    json_object_set_new(d, "served_output_tok_per_s", real(m->served_output_tok_per_s));
    json_object_set_new(d, "unfinished_at_last_arrival", json_integer((json_int_t)m->n_unfinished));
    json_object_set_new(d, "backlog_at_last_arrival", json_integer((json_int_t)m->n_waiting));
    json_object_set_new(d, "backlog_taken_up_s", real(m->taken_up_s));
    json_object_set_new(d, "drain_s", real(m->drain_s));
    json_object_set_new(d, "keeps_up", json_boolean(m->keeps_up));
}

static void add_deployment(json_t *d, const simulation *sim, const figures *f) {
    json_t *o = json_object();
    json_object_set_new(o, "model", json_string(sim->model->name));
    json_object_set_new(o, "accelerator", json_string(sim->accel->name));
    json_object_set_new(o, "tp", json_integer(sim->deployment.tp));
    json_object_set_new(o, "weights", json_string(rub_precision_name(sim->deployment.weights)));
    json_object_set_new(o, "kv_cache", json_string(rub_precision_name(sim->deployment.kv_cache)));
    json_object_set_new(o, "memory", json_string(sim->memory.text));
    json_object_set_new(d, "deployment", o);
    json_object_set_new(d, "watts", json_real(f->watts));
    json_object_set_new(d, "wh_per_1k_tok", json_real(f->wh_per_ktok));
    json_object_set_new(d, "usd_per_h", json_real(f->usd_per_h));
    json_object_set_new(d, "usd_per_mtok", json_real(f->usd_per_mtok));
    json_object_set_new(d, "usd_per_mtok_output", json_real(f->usd_per_mtok_out));
}

int rub_simulation_print_json(const simulate_settings *s, const simulation *sim) {
    const rub_measures *m = &sim->measures;
    const rub_serve_totals *t = &sim->totals;
    figures f = figures_of(sim);
    rub_quantiles itl = rub_histogram_quantiles(&t->itl);
    json_t *d = json_object();
    json_object_set_new(d, "requests", json_integer((json_int_t)sim->trace.n_req));
    json_object_set_new(d, "finished", json_integer((json_int_t)m->n_finished));
    json_object_set_new(d, "rejected", json_integer(t->n_rejected));
    json_object_set_new(d, "restarts", json_integer(t->n_restart));
    json_object_set_new(d, "iterations", json_integer(t->n_iteration));
    json_object_set_new(d, "window",
                        json_pack("{s:f,s:f,s:I}", "from_s", m->from_s, "to_s", m->to_s, "requests",
                                  (json_int_t)m->n_req));
    json_object_set_new(d, "end_s", json_real(t->end_s));
    json_object_set_new(d, "ttft_s", quantiles(&m->ttft));
    json_object_set_new(d, "tpot_s", quantiles(&m->tpot));
    json_object_set_new(d, "itl_s", quantiles(&itl));
    json_object_set_new(d, "e2e_s", quantiles(&m->e2e));
    json_object_set_new(d, "waiting_s", quantiles(&m->waiting));
    add_rates(d, m);
    json_object_set_new(d, "goodput_per_s", real(m->goodput_per_s));
    json_object_set_new(d, "good_share",
                        json_real(m->n_req ? (double)m->n_good / (double)m->n_req : 0.0));
    json_object_set_new(d, "utilisation", json_real(f.busy));
    json_object_set_new(d, "kv_occupancy_mean", json_real(f.kv_mean));
    json_object_set_new(d, "kv_occupancy_max", json_real(f.kv_most));
    rub_simulation_add_world(sim, d);
    if (sim->def.prefix_cache)
        json_object_set_new(d, "prefix_cache", prefix_cache(sim));
    if (sim->deployed)
        add_deployment(d, sim, &f);
    json_object_set_new(d, "provenance", provenance(s, sim));
    return rub_command_print_json(d);
}

/* ---- text ----------------------------------------------------------------------------------- */

static void quantile_row(const char *name, const rub_quantiles *q, double unit) {
    double v[] = {q->p50, q->p90, q->p95, q->p99, q->p999, q->max, q->mean};
    char buf[32];
    printf("  %-10s", name);
    for (int i = 0; i < 7; i++) {
        if (isinf(v[i]))
            printf(" %10s", "never");
        else if (isnan(v[i]))
            printf(" %10s", "-");
        else
            printf(" %10s", rub_text_exact(v[i] * unit, 4, buf));
    }
    printf("\n");
}

static void targets_line(const simulation *sim) {
    const rub_serve_targets *g = &sim->targets;
    const rub_measures *m = &sim->measures;
    if (g->ttft_s <= 0 && g->tpot_s <= 0 && g->e2e_s <= 0)
        return;
    printf("\ngoodput %.4g requests/s: %.1f %% of %zu requests met", m->goodput_per_s,
           m->n_req ? 100.0 * (double)m->n_good / (double)m->n_req : 0.0, m->n_req);
    if (g->ttft_s > 0)
        printf(" TTFT %.4g ms", 1e3 * g->ttft_s);
    if (g->tpot_s > 0)
        printf(" TPOT %.4g ms", 1e3 * g->tpot_s);
    if (g->e2e_s > 0)
        printf(" E2E %.4g s", g->e2e_s);
    printf("\n");
}

static void hits_line(const simulation *sim) {
    rub_hits all = {0};
    int32_t n = 0;
    for (int32_t k = 0; k < sim->n_hits; k++) {
        all.input_tok += sim->hits[k].input_tok;
        all.cached_tok += sim->hits[k].cached_tok;
    }
    printf("prefix cache: %.1f %% of prompt tokens found", 100 * rub_hit_rate(&all));
    for (int32_t k = 0; sim->trace.tenant && k < sim->n_hits && n < 8; k++)
        if (sim->hits[k].n_req > 0)
            printf("%s tenant %d %.1f %%", n++ ? "," : ";", k, 100 * rub_hit_rate(&sim->hits[k]));
    printf("%s\n", n == 8 ? ", ..." : "");
    if (sim->def.offload_blocks > 0)
        printf("host memory: %.4g tokens fetched\n", (double)sim->totals.fetched_tok);
}

/* In a closed loop what is offered is what is served, over the whole run. */
static void rates(const simulation *sim) {
    const rub_measures *m = &sim->measures;
    bool closed = sim->def.concurrency > 0;
    char a[32], b[32], c[32];
    printf("\n%s %s requests/s, %s input and %s output tokens/s\n",
           closed ? "throughput" : "offered", rub_text_exact(m->request_per_s, 4, a),
           rub_text_exact(m->input_tok_per_s, 4, b), rub_text_exact(m->output_tok_per_s, 4, c));
    if (closed)
        return;
    printf("served  %s requests/s, %s input and %s output tokens/s in the same time; at the "
           "last arrival %zu requests were unfinished, %zu of them not started\n",
           rub_text_exact(m->served_per_s, 4, a), rub_text_exact(m->served_input_tok_per_s, 4, b),
           rub_text_exact(m->served_output_tok_per_s, 4, c), m->n_unfinished, m->n_waiting);
}

void rub_simulation_print_text(const simulate_settings *s, const simulation *sim) {
    const rub_measures *m = &sim->measures;
    const rub_serve_totals *t = &sim->totals;
    figures f = figures_of(sim);
    rub_quantiles itl = rub_histogram_quantiles(&t->itl);
    printf("%s: %zu requests on %d replica%s, %s, %s\n", s->trace ? s->trace : "given lengths",
           sim->trace.n_req, sim->def.n_replica, sim->def.n_replica == 1 ? "" : "s",
           rub_policy_names[sim->def.policy], rub_router_names[sim->def.router]);
    if (sim->def.concurrency > 0)
        printf("  closed loop: %d clients, %g s between an answer and the next request\n",
               sim->def.concurrency, sim->def.think_s);
    if (sim->deployed)
        printf("  %s on %d x %s, weights %s, KV cache %s\n  %s\n", sim->model->name,
               sim->deployment.tp, sim->accel->name, rub_precision_name(sim->deployment.weights),
               rub_precision_name(sim->deployment.kv_cache), sim->memory.text);
    printf("\n  %-10s %10s %10s %10s %10s %10s %10s %10s\n", "[ms]", "p50", "p90", "p95", "p99",
           "p99.9", "max", "mean");
    quantile_row("TTFT", &m->ttft, 1e3);
    quantile_row("TPOT", &m->tpot, 1e3);
    quantile_row("ITL", &itl, 1e3);
    quantile_row("E2E", &m->e2e, 1e3);
    quantile_row("waiting", &m->waiting, 1e3);
    printf("  over requests that arrived from %.4g s to %.4g s; ITL over the whole run\n",
           m->from_s, m->to_s);
    targets_line(sim);
    rates(sim);
    printf("busy %.1f %%, KV blocks %.1f %% in use on average, %.1f %% at most; %lld iterations, "
           "%lld preemptions\n",
           100 * f.busy, 100 * f.kv_mean, 100 * f.kv_most, (long long)t->n_iteration,
           (long long)t->n_restart);
    rub_simulation_print_world(sim);
    if (sim->def.prefix_cache)
        hits_line(sim);
    if (t->n_rejected > t->n_limited)
        printf("rejected %lld requests that can never fit in %lld KV blocks\n",
               (long long)(t->n_rejected - t->n_limited), (long long)sim->def.kv_blocks);
    if (!m->keeps_up)
        printf(
            "THE FLEET DOES NOT KEEP UP: it serves %.4g of %.4g requests/s; the queue at the last "
            "arrival was taken up %.4g s later, the last request ended %.4g s later\n",
            m->served_per_s, m->request_per_s, m->taken_up_s, m->drain_s);
    if (sim->deployed)
        printf("power %.4g kW IT, %.3g Wh per 1,000 tokens; $%.4g per hour, $%.4g per million "
               "tokens ($%.4g per million "
               "output tokens)\n",
               f.watts / 1e3, f.wh_per_ktok, f.usd_per_h, f.usd_per_mtok, f.usd_per_mtok_out);
}
