/* rubato size --svg: cost an hour of each leader against its p99 of TPOT; the frontier marked, the best fleet
 * of each accelerator named. */
#include "cli/size.h"

#include "base/file.h"
#include "report/svg.h"

#include <math.h>
#include <string.h>

/* Fleets that cost more than this many times the best would press all others to the floor; they are
 * counted in a line instead. */
#define MOST_COST 4.0

typedef struct picture {
    rub_chart chart;
    double label_x[64], label_y[64]; /* where names stand already */
    int n_label;
} picture;

static bool shown(const rub_size_candidate *a, double most_usd) {
    return a->usd_per_h > 0 && a->usd_per_h <= most_usd; /* no price is known: not at 0 */
}

/* Is it the first, so the best, of its accelerator? */
static bool best_of_its_kind(const rub_size_result *r, int32_t i) {
    for (int32_t k = 0; k < i; k++)
        if (r->candidate[k].accel == r->candidate[i].accel)
            return false;
    return true;
}

/* A name right of its mark, moved up until it stands clear of those that are there. */
static void name(picture *p, double x, double y, const char *text) {
    const rub_chart *c = &p->chart;
    double wide = 0.22 * (c->x1 - c->x0), high = 0.035 * (c->y1 - c->y0);
    for (int i = 0; i < p->n_label; i++)
        if (fabs(x - p->label_x[i]) < wide && fabs(y - p->label_y[i]) < high) {
            y = p->label_y[i] + 1.01 * high; /* more than high, whatever the rounding: it ends */
            i = -1;                          /* look at all again from there */
        }
    if (p->n_label < 64) {
        p->label_x[p->n_label] = x;
        p->label_y[p->n_label++] = y;
    }
    rub_chart_text(c, x + 0.012 * (c->x1 - c->x0), y, text, "name");
}

static void draw(picture *p, const rub_size_result *r, double most_usd) {
    const rub_chart *c = &p->chart;
    double w = (c->x1 - c->x0) / 200, h = (c->y1 - c->y0) / 100;
    for (int32_t i = 0; i < r->n && r->candidate[i].leads; i++) {
        const rub_size_candidate *a = &r->candidate[i];
        char fleet[80], text[112];
        double x = 1e3 * a->tpot_p99_s;
        if (!shown(a, most_usd))
            continue;
        size_fleet_text(a, fleet, sizeof fleet);
        rub_chart_bar(c, x, w, a->usd_per_h - h, a->usd_per_h + h, a->frontier ? "best" : "other",
                      fleet);
        if (a->frontier || best_of_its_kind(r, i)) {
            snprintf(text, sizeof text, "%s $%.2f", fleet, a->usd_per_h);
            name(p, x, a->usd_per_h, text);
        }
    }
}

/* What is not in the picture. */
static void left_out(picture *p, const rub_size_result *r, double most_usd, double at_x) {
    int dear = 0, unpriced = 0;
    char text[160];
    for (int32_t i = 0; i < r->n && r->candidate[i].leads; i++) {
        dear += r->candidate[i].usd_per_h > most_usd;
        unpriced += !(r->candidate[i].usd_per_h > 0);
    }
    if (dear + unpriced == 0)
        return;
    snprintf(text, sizeof text,
             "not shown: %d of more than %.0f times the least cost, %d without a price", dear,
             MOST_COST, unpriced);
    rub_chart_text(&p->chart, at_x, p->chart.y0 + 0.02 * (p->chart.y1 - p->chart.y0), text, "note");
}

/* The picture as a file of its own, which must name its language. */
static rub_status write(const rub_text *out, const char *path, rub_error *err) {
    rub_text file = {0};
    rub_text_add(&file, "<svg xmlns=\"http://www.w3.org/2000/svg\" %s\n",
                 out->data ? out->data + strlen("<svg ") : "");
    rub_status status = out->failed || file.failed
                            ? rub_error_set(err, RUB_NO_MEMORY, "out of memory for a chart")
                            : rub_file_write(path, file.data, file.n, err);
    rub_text_clear(&file);
    return status;
}

rub_status size_write_svg(const size_work *w, const char *path, rub_error *err) {
    const rub_size_result *r = &w->result;
    rub_text out = {0};
    double x1 = 0.0, y1 = 0.0, least = HUGE_VAL;
    for (int32_t i = 0; i < r->n && r->candidate[i].leads; i++)
        if (r->candidate[i].usd_per_h > 0)
            least = fmin(least, r->candidate[i].usd_per_h);
    for (int32_t i = 0; i < r->n && r->candidate[i].leads; i++)
        if (shown(&r->candidate[i], MOST_COST * least)) {
            x1 = fmax(x1, 1e3 * r->candidate[i].tpot_p99_s);
            y1 = fmax(y1, r->candidate[i].usd_per_h);
        }
    x1 = rub_chart_round_up(x1);
    picture p = {.chart = rub_chart_begin(&out, 900, 480, 0, 1.2 * x1, 0, y1,
                                          "USD an hour, against p99 of TPOT [ms]",
                                          "Cost of fleets against time per output token (p99)")};
    for (int k = 0; k <= 4; k++) {
        char label[24];
        snprintf(label, sizeof label, "%g ms", x1 * k / 4);
        rub_chart_x_label(&p.chart, x1 * k / 4, label);
    }
    draw(&p, r, MOST_COST * least);
    left_out(&p, r, MOST_COST * least, 0.01 * x1);
    rub_text_add(&out, "<style>text{font:11px sans-serif}.tick{text-anchor:end}.xtick{text-anchor:"
                       "middle}.grid{stroke:#ddd}.best{fill:#1b7837}.other{fill:#999}"
                       ".note{fill:#666}</style>");
    rub_chart_end(&p.chart);
    rub_status status = write(&out, path, err);
    rub_text_clear(&out);
    return status;
}
