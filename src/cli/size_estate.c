/* rubato size: every accelerator of the catalog with its price (of which kind, date and source), where
 * its speed comes from, and its best fleet or why it has none. */
#include "cli/size.h"

#include "base/array.h"
#include "base/text.h"

#include <math.h>
#include <string.h>

/* One accelerator of the catalog. */
typedef struct entry {
    const rub_accelerator *accel;
    bool tried;
    double usd_per_h;               /* that it was sized with; 0: none is known */
    bool given;                     /* by --price */
    const rub_price *price;         /* of the catalog; NULL: none, or given */
    const rub_size_candidate *best; /* its leader of least rank; NULL: none */
    const rub_size_candidate *why;  /* says why there is none: one that fits, if any does */
} entry;

/* The newest price of the kind asked for; the catalog's own choice without one. */
const rub_price *size_price_of(const rub_accelerator *accel, const char *kind) {
    for (int32_t i = 0; kind && i < accel->n_price; i++)
        if (!strcmp(accel->price[i]->kind, kind))
            return accel->price[i];
    return kind ? NULL : accel->default_price;
}

static entry entry_of(const size_settings *s, const size_work *w, const rub_accelerator *accel) {
    const rub_size_result *r = &w->result;
    entry e = {.accel = accel, .price = size_price_of(accel, size_price_kind(s))};
    e.usd_per_h = e.price ? e.price->usd : 0.0;
    for (int32_t a = 0; a < w->def.n_accel; a++)
        if (w->accel[a] == accel) {
            e.tried = true;
            e.given = w->priced[a];
            e.usd_per_h = w->usd_per_h[a] >= 0 ? w->usd_per_h[a] : accel->usd_per_h;
        }
    e.price = e.given ? NULL : e.price;
    for (int32_t i = r->n - 1; i >= 0; i--) {
        const rub_size_candidate *c = &r->candidate[i];
        if (c->accel != accel)
            continue;
        if (c->leads)
            e.best = c; /* candidates stand best first */
        if (!e.why ||
            (!e.why->fits && c->fits)) /* the last layout is the widest: nearest to fitting */
            e.why = c;
    }
    return e;
}

/* "calibrated on H100", "efficiencies carried from GB200", "roofline" */
static char *speed(const entry *e, char *buf, size_t size) {
    const rub_size_candidate *c = e->best ? e->best : e->why;
    if (!c || !e->tried)
        return snprintf(buf, size, "-"), buf;
    return rub_perf_source_of(&c->deployment, buf, size);
}

/* The same in fewer words. */
static const char *short_speed(const char *text) {
    return !strncmp(text, "efficiencies carried", 20) ? text + 13 : text;
}

static const char *outcome(const entry *e, char *buf, size_t size) {
    char fleet[80];
    if (!e->tried)
        return "not tried: not among --accelerator";
    if (e->best && e->best->usd_per_h > 0)
        snprintf(buf, size, "%s, %s: $%.2f an hour", size_fleet_text(e->best, fleet, sizeof fleet),
                 e->best->weights, e->best->usd_per_h);
    else if (e->best)
        snprintf(buf, size, "%s, %s, but no price is known: ranked last",
                 size_fleet_text(e->best, fleet, sizeof fleet), e->best->weights);
    else if (e->why)
        snprintf(buf, size, "left out: %s, tp %d: %.400s", e->why->weights, e->why->tp,
                 e->why->reason);
    else
        snprintf(buf, size, "left out: no layout can be");
    return buf;
}

static void print_entry(const entry *e, bool *mixed, const char **kind) {
    char text[560], source[160], price[64] = "-";
    if (e->given)
        snprintf(price, sizeof price, "%.2f given", e->usd_per_h);
    else if (e->price) {
        snprintf(price, sizeof price, "%.2f %s %s", e->usd_per_h, e->price->kind, e->price->date);
        *mixed = *mixed || (*kind && strcmp(*kind, e->price->kind) != 0);
        *kind = e->price->kind;
    }
    speed(e, source, sizeof source);
    printf("  %-13s %-34s %-26s %s\n", e->accel->name, price, short_speed(source),
           outcome(e, text, sizeof text));
}

/* Each source once. */
static void print_sources(const size_settings *s, const size_work *w) {
    const char *told[64];
    size_t n = 0;
    printf("  prices are USD for an hour of one accelerator, from:");
    for (int32_t a = 0; a < w->def.n_accel; a++) {
        const rub_price *p = w->priced[a] ? NULL : size_price_of(w->accel[a], size_price_kind(s));
        bool known = !p || n == RUB_LEN(told);
        for (size_t i = 0; i < n && !known; i++)
            known = !strcmp(told[i], p->source);
        if (!known)
            printf("%s %s", n ? ";" : "", told[n] = p->source), n++;
    }
    printf("%s ('rubato catalog --what prices' lists all)\n", n ? "" : " --price");
}

void size_print_estate(const size_settings *s, const size_work *w) {
    bool mixed = false;
    const char *kind = NULL;
    printf("\nevery accelerator of the catalog:\n  %-13s %-34s %-26s %s\n", "", "$/h kind date",
           "speed", "its best fleet");
    int32_t left = w->catalog->n_accelerator;
    for (int32_t i = 0; i < w->catalog->n_accelerator; i++) {
        entry e = entry_of(s, w, &w->catalog->accelerator[i]);
        if (e.tried)
            print_entry(&e, &mixed, &kind);
        left -= e.tried;
    }
    const char *before = "  not tried, as --accelerator names others: ";
    for (int32_t i = 0; left > 0 && i < w->catalog->n_accelerator; i++) {
        const rub_accelerator *accel = &w->catalog->accelerator[i];
        if (entry_of(s, w, accel).tried)
            continue;
        printf("%s%s", before, accel->name);
        before = ", ";
    }
    if (left > 0)
        printf("\n");
    print_sources(s, w);
    if (mixed)
        printf("  THESE PRICES ARE OF DIFFERENT KINDS: --price-kind takes one kind for all, "
               "--price your own\n");
    printf("  speed: calibrated = fitted from operators measured on it; carried = with the "
           "efficiencies of "
           "another that was measured, so less sure; roofline = data sheet only (docs/perf.md)\n");
}

json_t *size_estate_json(const size_settings *s, const size_work *w) {
    json_t *all = json_array();
    for (int32_t i = 0; i < w->catalog->n_accelerator; i++) {
        entry e = entry_of(s, w, &w->catalog->accelerator[i]);
        char text[560], source[160];
        speed(&e, source, sizeof source);
        json_t *o =
            json_pack("{s:s,s:b,s:b,s:s,s:s}", "name", e.accel->name, "tried", e.tried, "serves",
                      e.best != NULL, "outcome", outcome(&e, text, sizeof text), "speed", source);
        json_object_set_new(o, "usd_per_h", e.usd_per_h > 0 ? json_real(e.usd_per_h) : json_null());
        json_object_set_new(o, "price_kind",
                            e.given   ? json_string("given")
                            : e.price ? json_string(e.price->kind)
                                      : json_null());
        json_object_set_new(o, "price_date", e.price ? json_string(e.price->date) : json_null());
        json_object_set_new(o, "price_source",
                            e.price ? json_string(e.price->source) : json_null());
        json_array_append_new(all, o);
    }
    return all;
}
