/* rubato size --answers: the same search under other conditions, what it would take for each
 * accelerator to win, the frontier of cost against latency; --launch. */
#include "cli/size.h"

#include "base/array.h"
#include "base/file.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Speed +-10 %: the perf model's error on time per output token (docs/perf.md). */
static const rub_size_variant variants[SIZE_N_VARIANT] = {
    {.what = "rate -20 %", .rate = 0.8, .output = 1, .speed = 1, .targets = 1},
    {.what = "rate +20 %", .rate = 1.2, .output = 1, .speed = 1, .targets = 1},
    {.what = "outputs -50 %", .rate = 1, .output = 0.5, .speed = 1, .targets = 1},
    {.what = "outputs +50 %", .rate = 1, .output = 1.5, .speed = 1, .targets = 1},
    {.what = "10 % slower than predicted", .rate = 1, .output = 1, .speed = 0.9, .targets = 1},
    {.what = "10 % faster than predicted", .rate = 1, .output = 1, .speed = 1.1, .targets = 1},
    {.what = "limits * 0.5", .rate = 1, .output = 1, .speed = 1, .targets = 0.5},
    {.what = "limits * 0.7", .rate = 1, .output = 1, .speed = 1, .targets = 0.7},
    {.what = "limits * 1", .rate = 1, .output = 1, .speed = 1, .targets = 1},
    {.what = "limits * 1.4", .rate = 1, .output = 1, .speed = 1, .targets = 1.4},
    {.what = "limits * 2", .rate = 1, .output = 1, .speed = 1, .targets = 2},
};
#define FIRST_LIMIT 6

rub_status size_answers(size_work *w, const rub_progress *progress, rub_error *err) {
    memcpy(w->variant, variants, sizeof variants);
    return rub_size_vary(&w->model, &w->trace, &w->def, &w->result, progress, w->variant,
                         SIZE_N_VARIANT, err);
}

static void print_variant(const rub_size_variant *v) {
    char fleet[80];
    if (v->met)
        printf("  %-28s %s (%s), $%.2f an hour, %.4g MW\n", v->what,
               size_fleet_text(&v->best, fleet, sizeof fleet), v->best.weights, v->best.usd_per_h,
               v->best.mw);
    else
        printf("  %-28s none of these meets the targets\n", v->what);
}

/* One row a limit: cost as a bar. */
static void print_frontier(const size_work *w) {
    double most = 0.0;
    for (int k = FIRST_LIMIT; k < SIZE_N_VARIANT; k++)
        if (w->variant[k].met)
            most = fmax(most, w->variant[k].best.usd_per_h);
    printf("\ncost against latency (all limits times a factor):\n");
    for (int k = FIRST_LIMIT; k < SIZE_N_VARIANT; k++) {
        const rub_size_variant *v = &w->variant[k];
        int width = v->met && most > 0 ? (int)lround(40 * v->best.usd_per_h / most) : 0;
        char fleet[80] = "none meets them";
        if (v->met)
            size_fleet_text(&v->best, fleet, sizeof fleet);
        printf("  x %-4g |%.*s %s%.2f, %s\n", v->targets, width,
               "########################################", v->met ? "$" : "",
               v->met ? v->best.usd_per_h : 0.0, fleet);
    }
}

static void print_to_win(const size_work *w) {
    const rub_size_result *r = &w->result;
    bool first = true;
    for (int32_t i = 1; i < r->n && r->candidate[i].leads; i++) {
        const rub_size_candidate *c = &r->candidate[i];
        bool again = false; /* a better fleet of the same accelerator was named */
        for (int32_t k = 0; k < i; k++)
            again = again || r->candidate[k].accel == c->accel;
        double price = rub_size_price_to_win(&r->candidate[0], c);
        if (again || isnan(price))
            continue;
        if (first)
            printf("\nwhat each accelerator would need to win:\n");
        first = false;
        if (c->usd_per_h > 0)
            printf("  %-14s a price under $%.3f an hour (now $%.3f, %.0f %% less)\n",
                   c->accel->name, price, c->usd_per_h / c->accelerators,
                   100 * (1 - r->candidate[0].usd_per_h / c->usd_per_h));
        else
            printf("  %-14s a price under $%.3f an hour (none is known)\n", c->accel->name, price);
    }
}

void size_print_answers(const size_work *w) {
    printf("\nunder other conditions (accelerators and layouts of the four best):\n");
    for (int k = 0; k < FIRST_LIMIT; k++)
        print_variant(&w->variant[k]);
    print_frontier(w);
    print_to_win(w);
}

json_t *size_answers_json(const size_work *w) {
    json_t *all = json_array();
    for (int k = 0; k < SIZE_N_VARIANT; k++) {
        const rub_size_variant *v = &w->variant[k];
        json_t *o = json_pack("{s:s,s:f,s:f,s:f,s:f,s:b}", "what", v->what, "rate_factor", v->rate,
                              "output_factor", v->output, "speed_factor", v->speed, "limit_factor",
                              v->targets, "met", v->met);
        if (v->met)
            json_object_update_new(o, json_pack("{s:s,s:s,s:i,s:i,s:f,s:f}", "accelerator",
                                                v->best.accel->name, "weights", v->best.weights,
                                                "replicas", v->best.replicas, "accelerators",
                                                v->best.accelerators, "usd_per_h",
                                                v->best.usd_per_h, "mw", v->best.mw));
        json_array_append_new(all, o);
    }
    return all;
}
