/* rubato size --json. */
#include "cli/size.h"

#include "base/array.h"

#include <math.h>

static void put(json_t *o, const char *key, double value) {
    if (isfinite(value))
        json_object_set_new(o, key, json_real(value));
}

static void put_n(json_t *o, const char *key, int64_t value) {
    json_object_set_new(o, key, json_integer(value));
}

static void put_layout(json_t *o, const rub_size_candidate *c) {
    json_object_set_new(o, "accelerator", json_string(c->accel->name));
    put_n(o, "tp", c->tp);
    put_n(o, "pp", c->pp);
    put_n(o, "ep", c->ep);
    put_n(o, "attention_dp", c->attention_dp);
    json_object_set_new(o, "weights", json_string(c->weights));
    json_object_set_new(o, "kv_cache", json_string(c->kv_cache));
    put_n(o, "max_seqs", c->max_seqs);
    put_n(o, "max_batch_tok", c->max_batch_tok);
    put_n(o, "kv_blocks", c->kv_blocks);
}

static void put_fleet(json_t *o, const rub_size_candidate *c) {
    put_n(o, "replicas", c->replicas);
    put_n(o, "accelerators", c->accelerators);
    put(o, "usd_per_h", c->usd_per_h);
    put(o, "mw", c->mw);
    put(o, "mean_watts", c->watts);
    put(o, "busy_frac", c->busy_frac);
    put(o, "stress", c->stress);
    put(o, "ttft_p50_s", c->ttft_p50_s);
    put(o, "ttft_p99_s", c->ttft_p99_s);
    put(o, "tpot_p50_s", c->tpot_p50_s);
    put(o, "tpot_p99_s", c->tpot_p99_s);
    put(o, "e2e_p99_s", c->e2e_p99_s);
}

static json_t *candidate(const rub_size_candidate *c) {
    json_t *o = json_object();
    put_layout(o, c);
    json_object_set_new(o, "fits", json_boolean(c->fits));
    json_object_set_new(o, "meets", json_boolean(c->replicas > 0));
    json_object_set_new(o, "fate", json_string(size_fate_text(c->fate)));
    json_object_set_new(o, "leads", json_boolean(c->leads));
    if (c->reason[0])
        json_object_set_new(o, "reason", json_string(c->reason));
    if (c->bound_replicas > 0)
        put_n(o, "bound_replicas", c->bound_replicas);
    if (c->replicas > 0)
        put_fleet(o, c);
    if (c->rate_per_s > 0) {
        put(o, "replica_rate_per_s", c->rate_per_s);
        put(o, "replica_tok_per_s", c->tok_per_s);
        put(o, "replica_watts", c->replica_watts);
        put(o, "tok_per_s_per_mw", c->tok_per_s_per_mw);
        put(o, "usd_per_mtok", c->usd_per_mtok);
    }
    json_object_set_new(o, "frontier", json_boolean(c->frontier));
    return o;
}

static json_t *work_done(const rub_size_result *r) {
    json_t *o = json_object(), *fates = json_object();
    for (int f = 0; f < 6; f++)
        put_n(fates, size_fate_text((rub_size_fate)f), r->n_fate[f]);
    put_n(o, "candidates", r->n);
    put_n(o, "simulations", r->n_simulation);
    put_n(o, "stopped_early", r->n_stopped);
    put_n(o, "requests", r->n_request);
    json_object_set_new(o, "fates", fates);
    return o;
}

static json_t *provenance(const size_settings *s, const size_work *w) {
    char hash[24], source[160];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)w->report.hash);
    if (w->result.n > 0)
        rub_perf_source_of(&w->result.candidate[0].deployment, source, sizeof source);
    else
        snprintf(source, sizeof source, "none");
    return json_pack("{s:s,s:s,s:s,s:s,s:s}", "rubato", rub_version(), "trace", s->trace,
                     "trace_fnv1a64", hash, "model", w->model.name, "perf", source);
}

int size_print_json(const size_settings *s, const size_work *w) {
    const rub_size_result *r = &w->result;
    json_t *d = json_object(), *all = json_array();
    for (int32_t i = 0; i < r->n; i++)
        json_array_append_new(all, candidate(&r->candidate[i]));
    bool meets = r->n > 0 && r->candidate[0].leads;
    json_object_set_new(d, "outcome", json_string(meets ? "met" : "no fleet meets the targets"));
    put(d, "rate_per_s", r->rate_per_s);
    put(d, "tok_per_s", r->tok_per_s);
    json_object_set_new(d, "window",
                        json_pack("{s:f,s:f,s:I}", "from_s", r->from_s, "to_s", r->to_s, "requests",
                                  (json_int_t)r->n_req));
    if (meets)
        json_object_set_new(d, "best", candidate(&r->candidate[0]));
    json_object_set_new(d, "candidates", all);
    json_object_set_new(d, "accelerators", size_estate_json(s, w));
    if (meets && s->draws > 0)
        json_object_set_new(d, "how_sure", size_sure_json(w));
    if (meets && s->profile)
        json_object_set_new(d, "hours", size_hours_json(s, w));
    if (meets && s->answers)
        json_object_set_new(d, "answers", size_answers_json(w));
    if (w->launch)
        json_object_set_new(d, "launch", json_string(w->launch));
    put_n(d, "simulations", r->n_simulation);
    json_object_set_new(d, "search", work_done(r));
    json_object_set_new(d, "provenance", provenance(s, w));
    int rc = rub_command_print_json(d);
    return rc ? rc : meets ? 0 : 1;
}
