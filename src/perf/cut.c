#include "perf/cut.h"

#include "perf/near.h"

#include "base/array.h"

#include <math.h>
#include <stdlib.h>

static bool on_requests(const rub_op *op) {
    return op->kind == RUB_OP_DECODE || op->kind == RUB_OP_PREFILL;
}

/* The shape at x units, or at y requests of length x. */
static rub_shape shape_at(const rub_op *op, double x, double y) {
    if (on_requests(op))
        return rub_op_shape_on_requests(op, y, x);
    return rub_op_shape_on_units(op, x);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorted, without repeats. */
static int unique(double *knot, int n) {
    int kept = 0;
    qsort(knot, (size_t)n, sizeof *knot, by_value);
    for (int i = 0; i < n; i++)
        if (kept == 0 || knot[i] > knot[kept - 1] + 1e-9)
            knot[kept++] = knot[i];
    return kept;
}

static void push(double *knot, int *n, double x) {
    if (x > 0.0 && x < 30.0 && *n < RUB_CUT_KNOTS)
        knot[(*n)++] = x;
}

/* Where the ratio bends along x (or y): at the knots of every feature that moves with it. */
static int bends(const rub_op *op, bool along_y, double *knot) {
    const rub_curve *c = op->curve;
    double f0[RUB_MAX_FEATURES] = {0}, f1[RUB_MAX_FEATURES] = {0};
    rub_shape s0 = shape_at(op, 2.0, 2.0),
              s1 = along_y ? shape_at(op, 2.0, 4.0) : shape_at(op, 4.0, 2.0);
    int n = 2;
    knot[0] = 0.0;
    knot[1] = 30.0;
    rub_shape_features(c->family, &s0, f0);
    rub_shape_features(c->family, &s1, f1);
    if (c->n_near) { /* at the table's own points */
        double own[RUB_CUT_KNOTS - 2];
        int feature = along_y ? 1 : 0, n_own = rub_near_values(c, feature, own, RUB_CUT_KNOTS - 2);
        for (int i = 0; i < n_own; i++)
            push(knot, &n, own[i] - f0[feature] + 1.0);
        return unique(knot, n);
    }
    for (int g = 0; g < c->n_grid; g++)
        for (int a = 0; a < c->grid[g].n_axis; a++) {
            const rub_axis *axis = &c->grid[g].axis[a];
            bool window = c->family <= RUB_FAMILY_DECODE &&
                          axis->feature == RUB_FEATURE_IN_WINDOW && c->family != RUB_FAMILY_GEMM &&
                          op->shape.window > 0.0 && !along_y;
            for (int i = 0; i < axis->n; i++) {
                if (window) /* 2 at the window's length, one more for each doubling */
                    push(knot, &n, log2(op->shape.window) + axis->knot[i] - 2.0);
                else if (f1[axis->feature] != f0[axis->feature])
                    push(knot, &n, axis->knot[i] - f0[axis->feature] + 1.0);
            }
        }
    if (op->shape.window > 0.0 && !along_y)
        push(knot, &n, log2(op->shape.window));
    return unique(knot, n);
}

bool rub_cut_make(const rub_op *op, rub_cut *out) {
    out->op = *op;
    out->op.cut = NULL;
    out->nx = bends(op, false, out->x);
    out->ny = on_requests(op) ? bends(op, true, out->y) : 1;
    if (out->ny == 1)
        out->y[0] = 0.0;
    out->value = RUB_NEW(double, out->nx * out->ny);
    if (!out->value)
        return false;
    for (int j = 0; j < out->ny; j++)
        for (int i = 0; i < out->nx; i++) {
            double feature[RUB_MAX_FEATURES];
            rub_shape s = shape_at(op, exp2(out->x[i]), exp2(out->y[j]));
            rub_shape_features(op->curve->family, &s, feature);
            out->value[j * out->nx + i] = rub_curve_log_ratio(op->curve, feature);
        }
    return true;
}

void rub_cut_clear(rub_cut *cut) {
    free(cut->value);
    cut->value = NULL;
}

rub_cut_place rub_cut_find(const double *knot, int n, double at) {
    rub_cut_place p = {.at = at > 1.0 ? at : 1.0};
    double x = log2(p.at);
    if (n == 1)
        return p;
    while (p.i < n - 2 && x >= knot[p.i + 1])
        p.i++;
    p.frac = (x - knot[p.i]) / (knot[p.i + 1] - knot[p.i]);
    return p;
}

double rub_cut_at(const rub_cut *cut, const rub_cut_place *x, const rub_cut_place *y) {
    const rub_op *op = &cut->op;
    const double *low = cut->value + (ptrdiff_t)y->i * cut->nx + x->i, *high = low + cut->nx;
    double ratio = low[0] + x->frac * (low[1] - low[0]);
    if (cut->ny > 1)
        ratio += y->frac * (high[0] + x->frac * (high[1] - high[0]) - ratio);
    rub_shape s = shape_at(op, x->at, y->at);
    return op->n * op->scale * rub_curve_base(op->curve, &op->peaks, &s) * exp(ratio);
}

double rub_cut_seconds(const rub_cut *cut, double x, double y) {
    rub_cut_place px = rub_cut_find(cut->x, cut->nx, x), py = rub_cut_find(cut->y, cut->ny, y);
    return rub_cut_at(cut, &px, &py);
}
