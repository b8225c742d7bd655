/* Market from an earlier basis. When only capacity has changed, the prices of the earlier optimum are still
 * dual feasible: the bounded dual simplex with an explicit inverse (a dozen rows) needs no step or a few,
 * where starting from nothing needs twenty over the whole tableau. */
#include "portfolio/market_state.h"

#include <math.h>
#include <string.h>

enum { MOST_STEPS = 40 };

/* Basic columns from their ids; false: there are not as many as rows now. */
static bool recall(rub_market *k, const rub_market_basis *from) {
    int32_t n = 0;
    if (from->n == 0)
        return false;
    memset(k->place, 0xff, (size_t)k->max_id * sizeof *k->place);
    memset(k->basic, 0, (size_t)(k->n + k->m) * sizeof *k->basic);
    for (int32_t j = 0; j < k->n; j++)
        k->place[k->col[j].id] = j;
    for (int32_t i = 0; i < k->m; i++)
        k->place[k->row_id[i]] = k->n + i;
    for (int32_t i = 0; i < from->n; i++) {
        int32_t j = k->place[from->id[i]];
        if (j < 0)
            continue;
        if (n == k->m)
            return false;
        k->basis[n++] = j;
        k->basic[j] = true;
    }
    /* a row that is new has its slack basic */
    for (int32_t i = 0; i < k->m; i++)
        if (!k->basic[k->n + i] && !(from->has[k->row_id[i] / 8] >> (k->row_id[i] % 8) & 1)) {
            if (n == k->m)
                return false;
            k->basis[n++] = k->n + i;
            k->basic[k->n + i] = true;
        }
    return n == k->m;
}

/* The basis inverted by elimination; false: singular. */
static bool invert(rub_market *k) {
    int32_t m = k->m, wide = 2 * m;
    double *a = k->work;
    memset(a, 0, (size_t)m * (size_t)wide * sizeof *a);
    for (int32_t c = 0; c < m; c++) {
        int32_t j = k->basis[c];
        a[c * wide + m + c] = 1.0;
        if (j >= k->n)
            a[(j - k->n) * wide + c] = 1.0;
        for (int32_t e = 0; j < k->n && e < k->col[j].n_entry; e++)
            a[k->col[j].row[e] * wide + c] = k->col[j].value[e];
    }
    for (int32_t c = 0; c < m; c++) {
        int32_t best = c;
        for (int32_t i = c + 1; i < m; i++)
            if (fabs(a[i * wide + c]) > fabs(a[best * wide + c]))
                best = i;
        if (fabs(a[best * wide + c]) < 1e-7)
            return false;
        for (int32_t x = c; best != c && x < wide; x++) {
            double swap = a[c * wide + x];
            a[c * wide + x] = a[best * wide + x];
            a[best * wide + x] = swap;
        }
        double one = 1.0 / a[c * wide + c];
        for (int32_t x = c; x < wide; x++)
            a[c * wide + x] *= one;
        for (int32_t i = 0; i < m; i++) {
            double f = a[i * wide + c];
            if (i == c || f == 0.0)
                continue;
            for (int32_t x = c; x < wide; x++)
                a[i * wide + x] -= f * a[c * wide + x];
        }
    }
    for (int32_t i = 0; i < m; i++)
        memcpy(k->inverse + i * m, a + i * wide + m, (size_t)m * sizeof *a);
    return true;
}

static double worth(const rub_market *k, int32_t j) { return j < k->n ? k->col[j].worth : 0.0; }

/* v (m) times column j. */
static double times(const rub_market *k, const double *v, int32_t j) {
    double sum = 0.0;
    if (j >= k->n)
        return v[j - k->n];
    for (int32_t e = 0; e < k->col[j].n_entry; e++)
        sum += v[k->col[j].row[e]] * k->col[j].value[e];
    return sum;
}

/* Prices of rows and reduced worths; nonbasic columns go to the bound that these ask for. false: one has
 * none there. */
static bool price(rub_market *k) {
    for (int32_t i = 0; i < k->m; i++) {
        double sum = 0.0;
        for (int32_t c = 0; c < k->m; c++)
            sum += worth(k, k->basis[c]) * k->inverse[c * k->m + i];
        k->price[i] = sum;
    }
    for (int32_t j = 0; j < k->n + k->m; j++) {
        k->reduced[j] = k->basic[j] ? 0.0 : worth(k, j) - times(k, k->price, j);
        k->at_most[j] = !k->basic[j] && k->reduced[j] > RUB_MARKET_EPS * k->dearest;
        if (k->at_most[j] && !isfinite(k->most[j]))
            return false;
    }
    return true;
}

/* Values of the basic columns. */
static void place_basics(rub_market *k) {
    double *left = k->work;
    memcpy(left, k->limit, (size_t)k->m * sizeof *left);
    for (int32_t j = 0; j < k->n; j++)
        for (int32_t e = 0; k->at_most[j] && e < k->col[j].n_entry; e++)
            left[k->col[j].row[e]] -= k->col[j].value[e] * k->most[j];
    for (int32_t c = 0; c < k->m; c++) {
        double sum = 0.0;
        for (int32_t i = 0; i < k->m; i++)
            sum += k->inverse[c * k->m + i] * left[i];
        k->rhs[c] = sum;
    }
}

/* The basic value that is farthest out of its bounds; -1: none is. */
static int32_t leaving(const rub_market *k, bool *over) {
    int32_t worst = -1;
    double most = 0.0;
    for (int32_t c = 0; c < k->m; c++) {
        double high = k->most[k->basis[c]], x = k->rhs[c];
        double out = x < 0 ? -x : isfinite(high) ? x - high : 0.0;
        double scale = 1.0 + (isfinite(high) ? fabs(high) : fabs(x));
        if (out > 1e-9 * scale && out > most) {
            most = out;
            worst = c;
            *over = x > 0;
        }
    }
    return worst;
}

/* The nonbasic column whose price gives way first; -1: none can. */
static int32_t entering(rub_market *k, int32_t row, bool over) {
    const double *r = k->inverse + row * k->m;
    double least = HUGE_VAL, widest = 0.0;
    int32_t best = -1;
    for (int32_t j = 0; j < k->n + k->m; j++) {
        if (k->basic[j])
            continue;
        double a = times(k, r, j), toward = (over == (k->at_most[j] != 0)) ? -a : a;
        if (!(toward > 1e-9))
            continue;
        double ratio = fabs(k->reduced[j]) / toward;
        if (ratio < least - 1e-12 * k->dearest || (ratio <= least && toward > widest)) {
            least = ratio;
            widest = toward;
            best = j;
        }
    }
    return best;
}

/* Column j becomes basic in row; the inverse follows. false: the pivot is too small. */
static bool exchange(rub_market *k, int32_t row, int32_t j) {
    int32_t m = k->m;
    double *pivot_row = k->inverse + row * m, *alpha = k->work;
    for (int32_t c = 0; c < m; c++)
        alpha[c] = times(k, k->inverse + c * m, j);
    if (fabs(alpha[row]) < 1e-7)
        return false;
    double one = 1.0 / alpha[row];
    for (int32_t i = 0; i < m; i++)
        pivot_row[i] *= one;
    for (int32_t c = 0; c < m; c++)
        for (int32_t i = 0; c != row && alpha[c] != 0.0 && i < m; i++)
            k->inverse[c * m + i] -= alpha[c] * pivot_row[i];
    k->basic[k->basis[row]] = false;
    k->basic[j] = true;
    k->basis[row] = j;
    return true;
}

static bool resolve(rub_market *k) {
    for (int step = 0; step < MOST_STEPS; step++) {
        bool over = false;
        if (!price(k))
            return false;
        place_basics(k);
        int32_t row = leaving(k, &over);
        if (row < 0)
            return true;
        int32_t j = entering(k, row, over);
        if (j < 0 || !exchange(k, row, j))
            return false;
    }
    return false;
}

static void keep(const rub_market *k, rub_market_basis *to) {
    to->n = 0;
    if (k->m > RUB_MARKET_BASIS_ROWS || k->max_id > 8 * (int32_t)sizeof to->has)
        return;
    memset(to->has, 0, sizeof to->has);
    for (int32_t i = 0; i < k->m; i++) {
        int32_t j = k->basis[i];
        to->id[to->n++] = (uint16_t)(j < k->n ? k->col[j].id : k->row_id[j - k->n]);
        to->has[k->row_id[i] / 8] |= (uint8_t)(1u << (k->row_id[i] % 8));
    }
}

double rub_market_reclear(rub_market *k, int32_t node, const double *cap, rub_market_basis *basis,
                          double *unit_price) {
    rub_market_list(k, node, cap);
    if (!recall(k, basis) || !invert(k) || !resolve(k)) {
        double usd = rub_market_clear(k, node, cap, NULL, unit_price);
        keep(k, basis);
        return usd;
    }
    for (int32_t i = 0; i < k->m; i++)
        k->reduced[k->n + i] = -k->price[i];
    keep(k, basis);
    return rub_market_answer(k, node, NULL, unit_price);
}
