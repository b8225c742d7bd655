/* Answers: the search again under other conditions, over the accelerators and layouts that led, and
 * what each accelerator lacks.
 *
 * Every variant is simulated on the same requests. Speed stands for the error of the perf model. */
#include "size/size.h"

#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_LEADERS 4 /* accelerators and layouts that variants are drawn from */

static void add_choice(rub_size_choices *c, int64_t value) {
    for (int32_t i = 0; i < c->n; i++)
        if (c->value[i] == value)
            return;
    if (c->n < (int32_t)RUB_LEN(c->value))
        c->value[c->n++] = value;
}

/* Settings narrowed to what the first leaders use. */
typedef struct narrow {
    rub_size_def def;
    const rub_accelerator *accel[MOST_LEADERS];
    int32_t stock[MOST_LEADERS];
    double usd_per_h[MOST_LEADERS];
    char weights[96], kv_cache[96];
} narrow;

static void add_name(char *list, size_t size, const char *name) {
    if (!strstr(list, name))
        snprintf(list + strlen(list), size - strlen(list), "%s%s", *list ? "," : "", name);
}

static void add_accelerator(narrow *n, const rub_size_def *def, const rub_accelerator *accel) {
    int32_t k = n->def.n_accel;
    for (int32_t i = 0; i < k; i++)
        if (n->accel[i] == accel)
            return;
    n->accel[k] = accel;
    n->stock[k] = -1;
    n->usd_per_h[k] = -1.0;
    for (int32_t a = 0; a < def->n_accel; a++)
        if (def->accel[a] == accel) {
            n->stock[k] = def->stock ? def->stock[a] : -1;
            n->usd_per_h[k] = def->usd_per_h ? def->usd_per_h[a] : -1.0;
        }
    n->def.n_accel++;
}

static void narrow_to(narrow *n, const rub_size_def *def, const rub_size_result *r) {
    *n = (narrow){.def = *def};
    rub_size_choices none = {0};
    n->def.n_accel = 0;
    n->def.tp = n->def.pp = n->def.ep = n->def.attention_dp = none;
    n->def.max_batch_tok = n->def.max_seqs = none;
    for (int32_t i = 0; i < r->n && i < MOST_LEADERS && r->candidate[i].leads; i++) {
        const rub_size_candidate *c = &r->candidate[i];
        add_accelerator(n, def, c->accel);
        add_choice(&n->def.tp, c->tp);
        add_choice(&n->def.tp, 2 * c->tp <= c->accel->node_size ? 2 * c->tp : c->tp);
        add_choice(&n->def.pp, c->pp);
        add_choice(&n->def.ep, c->ep);
        add_choice(&n->def.attention_dp, c->attention_dp);
        add_choice(&n->def.max_batch_tok, c->max_batch_tok);
        add_choice(&n->def.max_seqs, c->max_seqs);
        add_name(n->weights, sizeof n->weights, c->weights);
        add_name(n->kv_cache, sizeof n->kv_cache, c->kv_cache);
    }
    n->def.accel = n->accel;
    n->def.stock = n->stock;
    n->def.usd_per_h = n->usd_per_h;
    n->def.weights = n->weights;
    n->def.kv_cache = n->kv_cache;
}

rub_status rub_size_vary(const rub_model *model, const rub_trace *trace, const rub_size_def *def,
                         const rub_size_result *result, const rub_progress *progress,
                         rub_size_variant *variant, int32_t n, rub_error *err) {
    for (int32_t k = 0; k < n; k++) {
        rub_size_variant *v = &variant[k];
        rub_size_result r = {0};
        narrow to;
        narrow_to(&to, def, result);
        to.def.rate_per_s = result->rate_per_s / (1.0 + def->headroom_frac) * v->rate;
        to.def.output_scale *= v->output;
        to.def.speed_frac *= v->speed;
        to.def.target_scale *= v->targets;
        RUB_TRY(rub_size_search(model, trace, &to.def, progress, &r, err));
        v->met = r.n > 0 && r.candidate[0].leads;
        if (v->met)
            v->best = r.candidate[0];
        rub_size_result_clear(&r);
    }
    return RUB_OK;
}

double rub_size_price_to_win(const rub_size_candidate *best, const rub_size_candidate *c) {
    return best->usd_per_h > 0 && c->accelerators > 0 ? best->usd_per_h / c->accelerators : NAN;
}
