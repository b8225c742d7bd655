/* Charts as inline SVG: a frame with axes, and the marks that are drawn in it. */
#ifndef RUB_REPORT_SVG_H
#define RUB_REPORT_SVG_H

#include "base/text.h"

/* A chart's frame: pixels of the plot area and the values that its edges stand for. */
typedef struct rub_chart {
    rub_text *out;
    double width, height;            /* of the whole picture */
    double left, top, right, bottom; /* edges of the plot area */
    double x0, x1, y0, y1;           /* values at the edges */
} rub_chart;

/* Opens a picture with a y axis of about five round ticks; unit stands above the axis. */
rub_chart rub_chart_begin(rub_text *out, double width, double height, double x0, double x1,
                          double y0, double y1, const char *unit, const char *title);
void rub_chart_x_label(const rub_chart *chart, double x, const char *label);
/* A text that begins at (x, y), in values. */
void rub_chart_text(const rub_chart *chart, double x, double y, const char *text,
                    const char *style);
void rub_chart_end(const rub_chart *chart);

/* Marks; style is a CSS class of the brief. x runs 0..n-1 where it is not given. */
void rub_chart_line(const rub_chart *chart, const double *y, size_t n, const char *style);
void rub_chart_band(const rub_chart *chart, const double *low, const double *high, size_t n,
                    const char *style);
void rub_chart_bar(const rub_chart *chart, double x, double half_width, double from, double to,
                   const char *style, const char *hint);
void rub_chart_level(const rub_chart *chart, double x0, double x1, double y, const char *style);

/* Smallest 1, 2, 2.5 or 5 times a power of ten that is at least x; 1 for x <= 0. */
double rub_chart_round_up(double x);

#endif
