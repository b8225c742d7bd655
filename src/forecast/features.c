/* Features: where each thing that a path or node knows stands in its row. */
#include "rubato/forecast.h"

static int32_t take(int32_t *next, int32_t n) {
    int32_t first = *next;
    *next += n;
    return first;
}

rub_features rub_features_of(const rub_study *study) {
    rub_features f = {0};
    int32_t next = 0;
    f.demand = take(&next, study->n_demand);
    f.price = take(&next, study->n_generation);
    f.available = take(&next, study->n_generation);
    f.yield = take(&next, 1);
    f.rent = take(&next, 1);
    f.depth = take(&next, 1);
    f.grid = take(&next, study->n_region);
    f.left = take(&next, study->n_partner);
    f.rofr = take(&next, study->n_partner);
    f.talks = take(&next, study->n_site);
    f.regime = take(&next, 1);
    f.n = next;
    return f;
}
