/* A curve cut along one or two of its dimensions, the others held: its logarithmic ratio is then
 * exactly piecewise linear (or bilinear) in the logarithms of these dimensions, so that tables of
 * thousands of points are filled from a few hundred evaluations. */
#ifndef RUB_PERF_CUT_H
#define RUB_PERF_CUT_H

#include "perf/ops.h"

enum { RUB_CUT_KNOTS = 96 };

typedef struct rub_cut {
    rub_op op;               /* a copy */
    int nx, ny;              /* ny 1: one dimension */
    double x[RUB_CUT_KNOTS]; /* log2 of units, or of lengths */
    double y[RUB_CUT_KNOTS]; /* log2 of requests */
    double *value;           /* (ny, nx), owned */
} rub_cut;

/* op->curve must be set. false: out of memory. Clear with rub_cut_clear. */
bool rub_cut_make(const rub_op *op, rub_cut *out);
void rub_cut_clear(rub_cut *cut);

typedef struct rub_cut_place {
    double at; /* units, length or requests, 1 or more */
    int i;     /* knot below */
    double frac;
} rub_cut_place;

rub_cut_place rub_cut_find(const double *knot, int n, double at);
double rub_cut_at(const rub_cut *cut, const rub_cut_place *x, const rub_cut_place *y);

/* Seconds at x units (one dimension), or of y requests of length x (two). Equal to rub_op_on_units and
 * rub_op_on_requests up to rounding. */
double rub_cut_seconds(const rub_cut *cut, double x, double y);

#endif
