#include "report/svg.h"

#include "report/parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

double rub_chart_round_up(double x) {
    if (!(x > 0) || !isfinite(x))
        return 1.0;
    double power = pow(10.0, floor(log10(x)));
    static const double step[] = {1.0, 2.0, 2.5, 5.0, 10.0};
    for (size_t i = 0; i < sizeof step / sizeof step[0]; i++)
        if (x <= step[i] * power * (1 + 1e-12))
            return step[i] * power;
    return 10.0 * power;
}

static double px(const rub_chart *c, double x) {
    double span = c->x1 - c->x0;
    return c->left + (c->right - c->left) * (span > 0 ? (x - c->x0) / span : 0.5);
}

static double py(const rub_chart *c, double y) {
    double span = c->y1 - c->y0;
    return c->bottom - (c->bottom - c->top) * (span > 0 ? (y - c->y0) / span : 0.0);
}

/* Shares in percent, other values as people write them. */
static const char *tick_text(double y, const char *unit, char buf[40]) {
    char number[32];
    bool share = !strncmp(unit, "probability", 11);
    snprintf(buf, 40, "%s%s", rub_text_exact(share ? 100.0 * y : y, 4, number), share ? " %" : "");
    return buf;
}

rub_chart rub_chart_begin(rub_text *out, double width, double height, double x0, double x1,
                          double y0, double y1, const char *unit, const char *title) {
    bool low = height < 120; /* a strip: no x labels, three ticks */
    double tick = rub_chart_round_up((y1 - y0) / (low ? 2.0 : 5.0));
    rub_chart c = {.out = out,
                   .width = width,
                   .height = height,
                   .left = 56,
                   .top = 22,
                   .right = width - 10,
                   .bottom = height - (low ? 6 : 24),
                   .x0 = x0,
                   .x1 = x1,
                   .y0 = floor(y0 / tick) * tick,
                   .y1 = ceil(y1 / tick) * tick};
    rub_text_add(out, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", width, height);
    rub_part_escape(out, title);
    rub_text_add(out, "\"><title>");
    rub_part_escape(out, title);
    rub_text_add(out, "</title><text class=\"unit\" x=\"4\" y=\"12\">");
    rub_part_escape(out, unit);
    rub_text_add(out, "</text>");
    for (int k = 0; k <= 12; k++) {
        double y = c.y0 + k * tick;
        char label[40];
        if (y > c.y1 + 0.5 * tick)
            break;
        rub_text_add(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
                     c.left, c.right, py(&c, y), py(&c, y));
        rub_text_add(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\">%s</text>", c.left - 6,
                     py(&c, y) + 3.5, tick_text(fabs(y) < 1e-9 * tick ? 0 : y, unit, label));
    }
    return c;
}

void rub_chart_x_label(const rub_chart *c, double x, const char *label) {
    rub_text_add(c->out, "<text class=\"xtick\" x=\"%.1f\" y=\"%.1f\">", px(c, x), c->height - 6);
    rub_part_escape(c->out, label);
    rub_text_add(c->out, "</text>");
}

void rub_chart_text(const rub_chart *c, double x, double y, const char *text, const char *style) {
    rub_text_add(c->out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", style, px(c, x),
                 py(c, y) + 3.5);
    rub_part_escape(c->out, text);
    rub_text_add(c->out, "</text>");
}

void rub_chart_end(const rub_chart *c) { rub_text_add(c->out, "</svg>"); }

void rub_chart_line(const rub_chart *c, const double *y, size_t n, const char *style) {
    rub_text_add(c->out, "<polyline class=\"%s\" points=\"", style);
    for (size_t i = 0; i < n; i++)
        rub_text_add(c->out, "%.1f,%.1f ", px(c, (double)i), py(c, y[i]));
    rub_text_add(c->out, "\"/>");
}

void rub_chart_band(const rub_chart *c, const double *low, const double *high, size_t n,
                    const char *style) {
    rub_text_add(c->out, "<polygon class=\"%s\" points=\"", style);
    for (size_t i = 0; i < n; i++)
        rub_text_add(c->out, "%.1f,%.1f ", px(c, (double)i), py(c, high[i]));
    for (size_t i = n; i-- > 0;)
        rub_text_add(c->out, "%.1f,%.1f ", px(c, (double)i), py(c, low[i]));
    rub_text_add(c->out, "\"/>");
}

void rub_chart_bar(const rub_chart *c, double x, double half_width, double from, double to,
                   const char *style, const char *hint) {
    double a = py(c, from), b = py(c, to);
    double w = px(c, x + half_width) - px(c, x - half_width);
    rub_text_add(c->out,
                 "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>",
                 style, px(c, x - half_width), fmin(a, b), w, fabs(a - b));
    rub_part_escape(c->out, hint);
    rub_text_add(c->out, "</title></rect>");
}

void rub_chart_level(const rub_chart *c, double x0, double x1, double y, const char *style) {
    rub_text_add(c->out, "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
                 style, px(c, x0), px(c, x1), py(c, y), py(c, y));
}
