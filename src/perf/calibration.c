/* Calibrations as JSON files: read, written, found. A grid's values are one character each, so that
 * jansson reads a file in well under a millisecond. */
#include "perf/calibration.h"

#include "base/array.h"
#include "base/file.h"
#include "base/text.h"

#include <jansson.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- codes ----------------------------------------------------------------------------------- */

/* '!' to '~' without '"' and '\\'. */
static char char_of(int code) {
    int c = '!' + code;
    c += c >= '"';
    c += c >= '\\';
    return (char)c;
}

static int code_of(char c) {
    int code = c - '!';
    if (c < '!' || c > '~' || c == '"' || c == '\\')
        return -1;
    return code - (c > '"') - (c > '\\');
}

/* ---- writing --------------------------------------------------------------------------------- */

/* {bf16_flops, ...} in the order of rub_peaks. */
static const char *const peak_names[] = {"bf16_flops", "fp8_flops",       "int8_flops",
                                         "fp4_flops",  "mem_bytes_per_s", "link_bytes_per_s"};

static const double *peak_at(const rub_peaks *p, size_t i) {
    const double *const all[] = {&p->bf16_flops, &p->fp8_flops,       &p->int8_flops,
                                 &p->fp4_flops,  &p->mem_bytes_per_s, &p->link_bytes_per_s};
    return all[i];
}

static void write_grid(rub_text *t, const rub_curve *c, const rub_grid *g, bool last) {
    const char *const *feature = rub_family_features(c->family);
    rub_text_add(t, "      {\"axes\": {");
    for (int a = 0; a < g->n_axis; a++) {
        rub_text_add(t, "%s\"%s\": [", a ? ", " : "", feature[g->axis[a].feature]);
        for (int i = 0; i < g->axis[a].n; i++)
            rub_text_add(t, "%s%.6g", i ? ", " : "", g->axis[a].knot[i]);
        rub_text_add(t, "]");
    }
    rub_text_add(t, "}, \"offset\": %.6f, \"step\": %.6f,\n       \"values\": \"", g->offset,
                 g->step);
    for (int i = 0; i < g->n; i++) {
        double code = g->step > 0.0 ? ((double)c->value[g->first + i] - g->offset) / g->step : 0.0;
        char text = char_of((int)lround(code));
        rub_text_add_bytes(t, &text, 1);
    }
    rub_text_add(t, "\"}%s\n", last ? "" : ",");
}

static void write_curve(rub_text *t, const rub_curve *c, bool last) {
    const char *const *feature = rub_family_features(c->family);
    const rub_curve_error *e = &c->error;
    rub_text_add(t, "    {\"library\": \"%s\", \"family\": \"%s\", \"variant\": \"%s\",\n",
                 c->library, rub_family_name(c->family), c->variant);
    rub_text_add(t, "     \"table\": \"%s\", \"note\": \"%s\",\n", c->source, c->note);
    rub_text_add(t, "     \"fitted\": %lld, \"left_out\": %lld, \"groups_left_out\": %lld,\n",
                 (long long)e->n_fitted, (long long)e->n_left_out, (long long)e->n_group_left_out);
    rub_text_add(t, "     \"median\": %.4f, \"p90\": %.4f, \"bias\": %.4f,\n", e->median, e->p90,
                 e->bias);
    rub_text_add(t,
                 "     \"floor_us\": %.4f, \"cache_mb\": %.6g, \"cache_gain\": %.6g, \"domain\": {",
                 c->floor_s * 1e6, c->cache_bytes * 1e-6, c->cache_gain);
    for (int i = 0; feature[i]; i++)
        rub_text_add(t, "%s\"%s\": [%.4g, %.4g]", i ? ", " : "", feature[i], c->domain[i][0],
                     c->domain[i][1]);
    rub_text_add(t, "},\n     \"grids\": [\n");
    for (int g = 0; g < c->n_grid && !*c->note; g++) /* what is not used keeps its errors only */
        write_grid(t, c, &c->grid[g], g == c->n_grid - 1);
    rub_text_add(t, "     ]}%s\n", last ? "" : ",");
}

rub_status rub_calibration_write(const rub_calibration *c, char **out, size_t *n, rub_error *err) {
    rub_text t = {0};
    rub_text_add(&t, "{\"system\": \"%s\",\n \"peaks\": {", c->system);
    for (size_t i = 0; i < RUB_LEN(peak_names); i++)
        rub_text_add(&t, "%s\"%s\": %.6g", i ? ", " : "", peak_names[i], *peak_at(&c->peaks, i));
    rub_text_add(&t, "},\n \"date\": \"%s\",\n \"source\": \"%s\",\n", c->date, c->source);
    rub_text_add(
        &t,
        " \"form\": \"seconds = (floor + roofline) * exp(sum of grids); value = offset + step * "
        "code; codes are the characters ! to ~ without quote and backslash\",\n");
    rub_text_add(&t, " \"curves\": [\n");
    for (size_t i = 0; i < c->n; i++)
        write_curve(&t, &c->curve[i], i == c->n - 1);
    rub_text_add(&t, " ]}\n");
    if (t.failed) {
        rub_text_clear(&t);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    }
    *out = t.data;
    *n = t.n;
    return RUB_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct source {
    const char *name;
    size_t curve; /* being read, from 1; 0: the head */
    rub_error *err;
} source;

static rub_status wrong(const source *s, const char *key, const char *expected) {
    if (s->curve == 0)
        return rub_error_at(s->err, RUB_INVALID, s->name, 0, 0, "'%s': expected %s", key, expected);
    return rub_error_at(s->err, RUB_INVALID, s->name, 0, 0, "curve %zu, '%s': expected %s",
                        s->curve, key, expected);
}

static rub_status text(const source *s, const json_t *o, const char *key, char *out, size_t size) {
    const json_t *v = json_object_get(o, key);
    if (!json_is_string(v) || json_string_length(v) >= size)
        return wrong(s, key, "a short text");
    snprintf(out, size, "%s", json_string_value(v));
    return RUB_OK;
}

static rub_status number(const source *s, const json_t *o, const char *key, double min, double max,
                         double *out) {
    const json_t *v = json_object_get(o, key);
    double x = json_is_number(v) ? json_number_value(v) : (double)NAN;
    if (!(x >= min && x <= max))
        return wrong(s, key, "a number in range");
    *out = x;
    return RUB_OK;
}

static int feature_index(rub_family family, const char *name) {
    const char *const *all = rub_family_features(family);
    for (int i = 0; all[i]; i++)
        if (strcmp(all[i], name) == 0)
            return i;
    return -1;
}

static rub_status read_axes(const source *s, const json_t *axes, rub_family family, rub_grid *g) {
    const char *name;
    json_t *knots;
    g->n = 1;
    json_object_foreach((json_t *)(uintptr_t)axes, name, knots) {
        size_t n = json_array_size(knots);
        int feature = feature_index(family, name);
        if (feature < 0 || n < 2 || n > RUB_MAX_KNOTS || g->n_axis == RUB_MAX_AXES)
            return wrong(s, name, "a known feature with 2 to 20 knots");
        rub_axis *a = &g->axis[g->n_axis++];
        *a = (rub_axis){.feature = feature, .n = (int)n};
        for (size_t i = 0; i < n; i++) {
            a->knot[i] = json_number_value(json_array_get(knots, i));
            if (!isfinite(a->knot[i]) || (i > 0 && a->knot[i] <= a->knot[i - 1]))
                return wrong(s, name, "knots that rise");
        }
        g->n *= a->n;
        if (g->n > RUB_MAX_CURVE_VALUES)
            return wrong(s, name, "fewer values");
    }
    return g->n_axis > 0 ? RUB_OK : wrong(s, "axes", "one axis or more");
}

static rub_status read_grid(const source *s, const json_t *o, rub_curve *c) {
    const json_t *axes = json_object_get(o, "axes"), *values = json_object_get(o, "values");
    rub_grid g = {.first = c->n_value};
    if (!json_is_object(axes) || !json_is_string(values))
        return wrong(s, "grids", "axes and values");
    RUB_TRY(read_axes(s, axes, c->family, &g));
    RUB_TRY(number(s, o, "offset", -20.0, 20.0, &g.offset));
    RUB_TRY(number(s, o, "step", 0.0, 1.0, &g.step));
    if (json_string_length(values) != (size_t)g.n)
        return wrong(s, "values", "as many characters as the axes have knots together");
    float *grown = realloc(c->value, (size_t)(c->n_value + g.n) * sizeof *grown);
    if (!grown)
        return rub_error_set(s->err, RUB_NO_MEMORY, "out of memory");
    c->value = grown;
    for (int i = 0; i < g.n; i++) {
        int code = code_of(json_string_value(values)[i]);
        if (code < 0)
            return wrong(s, "values", "the characters ! to ~ without quote and backslash");
        c->value[c->n_value++] = (float)(g.offset + g.step * code);
    }
    c->grid[c->n_grid++] = g;
    return RUB_OK;
}

static rub_status read_domain(const source *s, const json_t *o, rub_curve *c) {
    const char *const *feature = rub_family_features(c->family);
    const json_t *domain = json_object_get(o, "domain");
    for (int i = 0; feature[i]; i++) {
        const json_t *pair = json_object_get(domain, feature[i]);
        if (json_array_size(pair) != 2)
            return wrong(s, "domain", "the smallest and largest of each feature");
        for (size_t k = 0; k < 2; k++)
            c->domain[i][k] = json_number_value(json_array_get(pair, k));
    }
    return RUB_OK;
}

static rub_status read_curve(const source *s, const json_t *o, rub_curve *c) {
    char family[32];
    double count[3], floor_us = 0.0;
    static const char *const counts[] = {"fitted", "left_out", "groups_left_out"};
    RUB_TRY(text(s, o, "family", family, sizeof family));
    c->family = rub_family_parse(family);
    if (c->family >= RUB_N_FAMILY)
        return wrong(s, "family",
                     "gemm, prefill, decode, mla_prefill, mla_decode, moe or a collective");
    RUB_TRY(text(s, o, "library", c->library, sizeof c->library));
    RUB_TRY(text(s, o, "variant", c->variant, sizeof c->variant));
    rub_curve_prepare(c);
    RUB_TRY(text(s, o, "table", c->source, sizeof c->source));
    RUB_TRY(text(s, o, "note", c->note, sizeof c->note));
    for (size_t i = 0; i < 3; i++)
        RUB_TRY(number(s, o, counts[i], 0.0, 1e12, &count[i]));
    c->error.n_fitted = (int64_t)count[0];
    c->error.n_left_out = (int64_t)count[1];
    c->error.n_group_left_out = (int64_t)count[2];
    RUB_TRY(number(s, o, "median", 0.0, 1e6, &c->error.median));
    RUB_TRY(number(s, o, "p90", 0.0, 1e6, &c->error.p90));
    RUB_TRY(number(s, o, "bias", -1.0, 1e6, &c->error.bias));
    RUB_TRY(number(s, o, "floor_us", 0.0, 1e6, &floor_us));
    c->floor_s = floor_us * 1e-6;
    RUB_TRY(number(s, o, "cache_mb", 0.0, 1e6, &c->cache_bytes));
    RUB_TRY(number(s, o, "cache_gain", 0.0, 1e3, &c->cache_gain));
    c->cache_bytes *= 1e6;
    RUB_TRY(read_domain(s, o, c));
    const json_t *grids = json_object_get(o, "grids");
    size_t n = json_array_size(grids);
    if ((n < 1 && !*c->note) || n > RUB_MAX_GRIDS)
        return wrong(s, "grids", "one to five grids");
    for (size_t i = 0; i < n; i++)
        RUB_TRY(read_grid(s, json_array_get(grids, i), c));
    return RUB_OK;
}

static rub_status read_peaks(const source *s, const json_t *o, rub_peaks *p) {
    double *const all[] = {&p->bf16_flops, &p->fp8_flops,       &p->int8_flops,
                           &p->fp4_flops,  &p->mem_bytes_per_s, &p->link_bytes_per_s};
    for (size_t i = 0; i < RUB_LEN(all); i++) {
        bool needed = i == 0 || i >= 4;
        RUB_TRY(number(s, o, peak_names[i], needed ? 1.0 : 0.0, 1e20, all[i]));
    }
    return RUB_OK;
}

static rub_status read_root(source *s, const json_t *root, rub_calibration *c) {
    RUB_TRY(text(s, root, "system", c->system, sizeof c->system));
    RUB_TRY(text(s, root, "date", c->date, sizeof c->date));
    RUB_TRY(text(s, root, "source", c->source, sizeof c->source));
    RUB_TRY(read_peaks(s, json_object_get(root, "peaks"), &c->peaks));
    const json_t *curves = json_object_get(root, "curves");
    size_t n = json_array_size(curves);
    if (n < 1 || n > 1000)
        return wrong(s, "curves", "one curve or more");
    c->curve = RUB_NEW(rub_curve, n);
    if (!c->curve)
        return rub_error_set(s->err, RUB_NO_MEMORY, "out of memory");
    for (c->n = 0; c->n < n;) {
        s->curve = ++c->n; /* counted first, so that a failure frees it */
        RUB_TRY(read_curve(s, json_array_get(curves, c->n - 1), &c->curve[c->n - 1]));
    }
    return RUB_OK;
}

rub_status rub_calibration_read_memory(const char *name, const char *bytes, size_t n,
                                       rub_calibration **out, rub_error *err) {
    json_error_t place;
    json_t *root = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &place);
    if (!root)
        return rub_error_at(err, RUB_PARSE, name, place.line, place.column, "%s, expected JSON",
                            place.text);
    rub_calibration *c = RUB_NEW(rub_calibration, 1);
    source s = {.name = name, .err = err};
    rub_status status =
        c ? read_root(&s, root, c) : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    json_decref(root);
    if (status == RUB_OK)
        *out = c;
    else
        rub_calibration_free(c);
    return status;
}

rub_status rub_calibration_read(const char *path, rub_calibration **out, rub_error *err) {
    rub_file file;
    RUB_TRY(rub_file_open(path, &file, err));
    rub_status status = rub_calibration_read_memory(path, file.data, file.n, out, err);
    rub_file_close(&file);
    return status;
}

void rub_calibration_free(rub_calibration *c) {
    for (size_t i = 0; c && i < c->n; i++) {
        free(c->curve[i].value);
        free(c->curve[i].near_feature);
        free(c->curve[i].near_ratio);
    }
    if (c)
        free(c->curve);
    free(c);
}

/* ---- finding --------------------------------------------------------------------------------- */

/* A number after "key": in the file's head; 0 when it is not there. */
static double head_number(const char *head, const char *key) {
    const char *at = strstr(head, key);
    at = at ? strchr(at, ':') : NULL;
    return at ? strtod(at + 1, NULL) : 0.0;
}

/* How unlike two accelerators are: logarithms of the ratios of what bounds operators; a precision that
 * only one of them has counts as much as a factor of e. */
static double distance(const rub_peaks *a, const rub_peaks *b) {
    double d = fabs(log(a->bf16_flops / b->bf16_flops)) +
               fabs(log(a->mem_bytes_per_s / b->mem_bytes_per_s)) +
               0.5 * fabs(log(a->link_bytes_per_s / b->link_bytes_per_s));
    d += (a->fp8_flops > 0.0) != (b->fp8_flops > 0.0) ? 1.0 : 0.0;
    return d + ((a->fp4_flops > 0.0) != (b->fp4_flops > 0.0) ? 1.0 : 0.0);
}

rub_status rub_calibration_shipped(const rub_accelerator *accel, rub_calibration **out,
                                   rub_error *err) {
    rub_peaks own = rub_peaks_of(accel);
    const rub_embedded_file *best = NULL;
    double nearest = INFINITY;
    bool exact = false;
    char name[RUB_CATALOG_NAME_MAX + 16];
    snprintf(name, sizeof name, "{\"system\": \"%s\",", accel->name);
    for (size_t i = 0; i < rub_calibration_file_n && !exact; i++) {
        char head[400];
        rub_peaks p = {0};
        double *const all[] = {&p.bf16_flops, &p.fp8_flops,       &p.int8_flops,
                               &p.fp4_flops,  &p.mem_bytes_per_s, &p.link_bytes_per_s};
        snprintf(head, sizeof head, "%.399s", (const char *)rub_calibration_file[i].bytes);
        for (size_t k = 0; k < RUB_LEN(all); k++)
            *all[k] = head_number(head, peak_names[k]);
        exact = strncmp(head, name, strlen(name)) == 0;
        double d = exact ? -1.0 : distance(&own, &p);
        if (d < nearest) {
            nearest = d;
            best = &rub_calibration_file[i];
        }
    }
    if (!best)
        return rub_error_set(err, RUB_INTERNAL, "no calibration is built in");
    RUB_TRY(rub_calibration_read_memory(best->name, (const char *)best->bytes, best->n, out, err));
    (*out)->carried = !exact;
    return RUB_OK;
}

const rub_curve *rub_calibration_find(const rub_calibration *c, const char *library,
                                      rub_family family, const char *variant, bool noted) {
    for (size_t i = 0; c && i < c->n; i++) {
        const rub_curve *k = &c->curve[i];
        if (k->family == family && (noted || !*k->note) && strcmp(k->library, library) == 0 &&
            strcmp(k->variant, variant) == 0)
            return k;
    }
    return NULL;
}

size_t rub_calibration_count(const rub_calibration *c) { return c->n; }

rub_calibration_row rub_calibration_at(const rub_calibration *c, size_t i) {
    const rub_curve *k = &c->curve[i];
    return (rub_calibration_row){.library = k->library,
                                 .family = rub_family_name(k->family),
                                 .variant = k->variant,
                                 .source = k->source,
                                 .note = k->note,
                                 .n_fitted = k->error.n_fitted,
                                 .n_left_out = k->error.n_left_out,
                                 .n_group_left_out = k->error.n_group_left_out,
                                 .median = k->error.median,
                                 .p90 = k->error.p90,
                                 .bias = k->error.bias,
                                 .n_value = k->n_value};
}

const char *rub_calibration_system(const rub_calibration *c) { return c->system; }
const char *rub_calibration_source(const rub_calibration *c) { return c->source; }
const char *rub_calibration_date(const rub_calibration *c) { return c->date; }
bool rub_calibration_is_carried(const rub_calibration *c) { return c->carried; }

char *rub_perf_source_of(const rub_deployment *d, char *buf, size_t size) {
    rub_calibration *shipped = NULL;
    const rub_calibration *c = d->calibration;
    if (!c && d->level != RUB_LEVEL_ROOFLINE &&
        rub_calibration_shipped(d->accel, &shipped, NULL) == RUB_OK)
        c = shipped;
    if (!c)
        snprintf(buf, size, "roofline");
    else if (c->tables)
        snprintf(buf, size, "tables in %s", c->source);
    else if (c->carried)
        snprintf(buf, size, "efficiencies carried from %s", c->system);
    else
        snprintf(buf, size, "calibrated on %s", c->system);
    rub_calibration_free(shipped);
    return buf;
}
