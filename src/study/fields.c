/* Values by their description in the tables: one function a kind, one message a mistake. */
#include "study/fields.h"

#include "base/array.h"
#include "base/text.h"
#include "base/units.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_YEAR 1990
#define LAST_YEAR 2150
#define MAX_POINTS 256 /* of a schedule */

/* The form of "a|b" that variant asks for; buf of at least 64. */
static const char *form(const char *text, int variant, char *buf, size_t size) {
    const char *bar = text ? strchr(text, '|') : NULL;
    if (!bar)
        return text ? text : "";
    if (variant)
        snprintf(buf, size, "%s", bar + 1);
    else
        snprintf(buf, size, "%.*s", (int)(bar - text), text);
    return buf;
}

static const char *quantity_meaning(const char *unit) {
    rub_unit parsed;
    if (strcmp(unit, "%") == 0)
        return "a share";
    if (strcmp(unit, "%/yr") == 0)
        return "a rate per year";
    return rub_unit_parse(unit, &parsed, NULL) == RUB_OK ? rub_unit_meaning(&parsed) : "a number";
}

/* "a|b|c" as "a, b or c". */
static void list_words(const char *words, char *buf, size_t size) {
    size_t n = 0;
    for (const char *p = words; *p && n + 1 < size;) {
        size_t length = strcspn(p, "|");
        bool last = !p[length];
        n += (size_t)snprintf(buf + n, size - n, "%s%.*s",
                              p == words ? ""
                              : last     ? " or "
                                         : ", ",
                              (int)length, p);
        p += length + !last;
    }
}

const char *rub_field_expected(const rub_field *field, int variant, char *buf, size_t size) {
    char unit[64], example[128], words[200];
    const char *such = form(field->example, variant, example, sizeof example);
    switch (field->kind) {
    case RUB_FIELD_NUMBER:
    case RUB_FIELD_NUMBER_OR_NO:
    case RUB_FIELD_SCHEDULE:
        snprintf(buf, size, "%s%s such as '%s'",
                 quantity_meaning(form(field->unit, variant, unit, sizeof unit)),
                 field->kind == RUB_FIELD_NUMBER_OR_NO ? ", or no," : "", such);
        break;
    case RUB_FIELD_COUNT:
    case RUB_FIELD_SEED:
        snprintf(buf, size, "a whole number such as '%s'", such);
        break;
    case RUB_FIELD_BOOL:
    case RUB_FIELD_CHOICE:
        list_words(field->unit ? field->unit : "yes|no", words, sizeof words);
        snprintf(buf, size, "%s", words);
        break;
    case RUB_FIELD_QUARTER:
        snprintf(buf, size, "a quarter such as '%s'%s", such, field->unit ? ", or never" : "");
        break;
    case RUB_FIELD_DURATION:
        snprintf(buf, size, "a duration such as '%s'", such);
        break;
    case RUB_FIELD_REF:
        snprintf(buf, size, "the name of one of the %s",
                 rub_section_key((rub_section)(int)field->min));
        break;
    default:
        snprintf(buf, size, "text such as '%s'", such);
    }
    return buf;
}

static bool refuse(rub_reader *r, const rub_field *field, const rub_yaml_node *value, int variant) {
    char expected[256];
    rub_field_expected(field, variant, expected, sizeof expected);
    if (value->kind == RUB_YAML_SCALAR && *value->scalar)
        rub_reader_report(r, value, RUB_INVALID, "'%s' is '%.60s', expected %s", field->key,
                          value->scalar, expected);
    else
        rub_reader_report(r, value, RUB_INVALID, "'%s' is %s, expected %s", field->key,
                          rub_yaml_kind_text(value), expected);
    return false;
}

const char *rub_bound_text(double x, char buf[32]) {
    static const struct {
        double unit;
        char letter;
    } scale[] = {{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}};
    for (size_t i = 0; i < RUB_LEN(scale); i++)
        if (fabs(x) >= scale[i].unit) {
            char number[32];
            snprintf(buf, 32, "%.29s%c", rub_text_exact(x / scale[i].unit, 6, number),
                     scale[i].letter);
            return buf;
        }
    return rub_text_exact(x, 6, buf);
}

/* min and max in the field's unit, percent as percent. */
static bool out_of_range(rub_reader *r, const rub_field *field, const rub_yaml_node *value,
                         const char *text, const char *unit) {
    double scale = unit[0] == '%' ? 100.0 : 1.0;
    char low[32], high[32];
    rub_reader_report(r, value, RUB_INVALID, "'%s' is '%.60s', expected %s to %s%s%s", field->key,
                      text, rub_bound_text(field->min * scale, low),
                      rub_bound_text(field->max * scale, high), *unit && unit[0] != '%' ? " " : "",
                      unit);
    return false;
}

static bool in_range(const rub_field *field, double x) {
    return (field->min == 0 && field->max == 0) || (x >= field->min && x <= field->max);
}

/* One quantity from text; value is where it stands. */
static bool read_quantity(rub_reader *r, const rub_field *field, const rub_yaml_node *value,
                          const char *text, int variant, double *out) {
    char buf[64], example[128];
    const char *unit = form(field->unit, variant, buf, sizeof buf);
    double x;
    rub_error err = {0};
    rub_status status = rub_quantity_parse(text, unit, &x, &err);
    if (status != RUB_OK) {
        const char *such = form(field->example, variant, example, sizeof example);
        if (status == RUB_PARSE)
            rub_reader_report(r, value, RUB_INVALID, "'%s': %s, expected %s such as '%s'",
                              field->key, err.message, quantity_meaning(unit), such);
        else
            rub_reader_report(r, value, RUB_INVALID, "'%s': %s, such as '%s'", field->key,
                              err.message, such);
        return false;
    }
    if (unit[0] == '%')
        x /= 100.0;
    if (!in_range(field, x))
        return out_of_range(r, field, value, text, unit);
    *out = x;
    return true;
}

static bool read_number(rub_reader *r, const rub_field *field, const rub_yaml_node *value,
                        int variant, void *out) {
    double x;
    if (value->kind != RUB_YAML_SCALAR || !*value->scalar)
        return refuse(r, field, value, variant);
    if (field->kind == RUB_FIELD_NUMBER_OR_NO &&
        (strcmp(value->scalar, "no") == 0 || strcmp(value->scalar, "false") == 0))
        x = -1.0;
    else if (!read_quantity(r, field, value, value->scalar, variant, &x))
        return false;
    memcpy(out, &x, sizeof x);
    return true;
}

bool rub_quarter_parse(const char *text, int32_t *out) {
    if (strlen(text) != 7 || strspn(text, "0123456789") != 4 || text[4] != '-' ||
        (text[5] != 'Q' && text[5] != 'q') || text[6] < '1' || text[6] > '4')
        return false;
    int year = atoi(text);
    if (year < FIRST_YEAR || year > LAST_YEAR)
        return false;
    *out = year * 4 + (text[6] - '1');
    return true;
}

static bool read_quarter(rub_reader *r, const rub_field *field, const rub_yaml_node *value,
                         void *out) {
    int32_t q;
    if (value->kind != RUB_YAML_SCALAR)
        return refuse(r, field, value, 0);
    if (field->unit && strcmp(value->scalar, "never") == 0)
        q = RUB_NEVER;
    else if (strcmp(value->scalar, "start") == 0 && r->study->start_q > 0)
        q = r->study->start_q;
    else if (strcmp(value->scalar, "start") == 0 && strcmp(field->key, "start") != 0)
        return false; /* what is wrong with the start is told where it stands */
    else if (!rub_quarter_parse(value->scalar, &q))
        return refuse(r, field, value, 0);
    memcpy(out, &q, sizeof q);
    return true;
}

/* Quarters, rounded up; a hair over a whole number of them is rounding of the units. */
static bool read_duration(rub_reader *r, const rub_field *field, const rub_yaml_node *value,
                          void *out) {
    double x;
    if (value->kind != RUB_YAML_SCALAR || !*value->scalar)
        return refuse(r, field, value, 0);
    rub_field in_quarters = *field;
    in_quarters.unit = "quarters";
    if (!read_quantity(r, &in_quarters, value, value->scalar, 0, &x))
        return false;
    int32_t q = (int32_t)ceil(x - 1e-6);
    memcpy(out, &q, sizeof q);
    return true;
}

static bool read_integer(rub_reader *r, const rub_field *field, const rub_yaml_node *value,
                         void *out) {
    char *end = NULL;
    errno = 0;
    long long x = value->kind == RUB_YAML_SCALAR ? strtoll(value->scalar, &end, 10) : 0;
    if (!end || end == value->scalar || *end || errno)
        return refuse(r, field, value, 0);
    if (field->kind == RUB_FIELD_SEED) {
        uint64_t seed = (uint64_t)x;
        if (x < 0)
            return refuse(r, field, value, 0);
        memcpy(out, &seed, sizeof seed);
        return true;
    }
    if (!in_range(field, (double)x))
        return out_of_range(r, field, value, value->scalar, "");
    int32_t small = (int32_t)x;
    memcpy(out, &small, sizeof small);
    return true;
}

/* Index of word among "a|b|c", or -1. */
static int32_t index_of_word(const char *words, const char *word) {
    int32_t index = 0;
    size_t n = strlen(word);
    for (const char *p = words; *p; index++) {
        size_t length = strcspn(p, "|");
        if (length == n && memcmp(p, word, n) == 0)
            return index;
        p += length + (p[length] == '|');
    }
    return -1;
}

static bool read_word(rub_reader *r, const rub_field *field, const rub_yaml_node *value,
                      void *out) {
    if (value->kind != RUB_YAML_SCALAR)
        return refuse(r, field, value, 0);
    bool yes_no = field->kind == RUB_FIELD_BOOL && !field->unit;
    int32_t index = index_of_word(yes_no ? "no|yes" : field->unit, value->scalar);
    if (index < 0 && yes_no)
        index = index_of_word("false|true", value->scalar);
    if (index < 0)
        return refuse(r, field, value, 0);
    if (field->kind == RUB_FIELD_BOOL) {
        bool is = index == 1;
        memcpy(out, &is, sizeof is);
    } else {
        index += (int32_t)field->min;
        memcpy(out, &index, sizeof index);
    }
    return true;
}

static bool read_ref(rub_reader *r, const rub_field *field, const rub_yaml_node *value, void *out) {
    rub_section section = (rub_section)(int)field->min;
    if (value->kind != RUB_YAML_SCALAR || !*value->scalar)
        return refuse(r, field, value, 0);
    int32_t index = rub_reader_find(r, section, value->scalar);
    if (index < 0) {
        const char *near = rub_reader_near(r->section[section], value->scalar);
        rub_reader_unknown(r, section, value,
                           near ? "'%s' names %s '%.60s', which is not among the %s, did you mean "
                                  "'%.60s'?"
                                : "'%s' names %s '%.60s', expected one of the %s",
                           field->key, rub_section_entry(section), value->scalar,
                           rub_section_key(section), near);
        return false;
    }
    memcpy(out, &index, sizeof index);
    return true;
}

static bool read_text(rub_reader *r, const rub_field *field, const rub_yaml_node *value,
                      void *out) {
    if (value->kind != RUB_YAML_SCALAR)
        return refuse(r, field, value, 0);
    size_t n = strlen(value->scalar);
    if (field->kind == RUB_FIELD_NAME) {
        if (n >= RUB_NAME_MAX) {
            rub_reader_report(r, value, RUB_INVALID, "'%s' has %zu characters, expected at most %d",
                              field->key, n, RUB_NAME_MAX - 1);
            return false;
        }
        memcpy(out, value->scalar, n + 1);
        return true;
    }
    bool beside = field->kind == RUB_FIELD_PATH || (field->kind == RUB_FIELD_CATALOG && n > 5 &&
                                                    strcmp(value->scalar + n - 5, ".json") == 0);
    char *copy = beside ? rub_reader_beside(r, value->scalar) : rub_reader_strdup(r, value->scalar);
    memcpy(out, &copy, sizeof copy);
    return true;
}

/* ---- schedules ------------------------------------------------------------------------------ */

typedef struct point {
    const char *date, *text;
    const rub_yaml_node *at;
} point;

/* Splits "2025-Q3:$12M;2026-Q3:$20M" into points; false when it is not of this form. */
static bool split_points(rub_reader *r, const rub_yaml_node *value, point *points, size_t *n) {
    char *copy = rub_reader_take_text(r, value->scalar, strlen(value->scalar));
    *n = 0;
    for (char *p = copy; p && *p;) {
        char *end = p + strcspn(p, ";"), *next = *end ? end + 1 : end;
        *end = '\0';
        char *colon = strchr(p, ':');
        if (!colon || *n == MAX_POINTS)
            return false;
        *colon = '\0';
        p += strspn(p, " ");
        for (char *space = p + strlen(p); space > p && space[-1] == ' ';)
            *--space = '\0';
        points[(*n)++] = (point){p, colon + 1, value};
        p = next;
    }
    return *n > 0;
}

static bool gather_points(rub_reader *r, const rub_field *field, const rub_yaml_node *value,
                          int variant, point *points, size_t *n) {
    *n = 0;
    if (value->kind == RUB_YAML_MAPPING) {
        for (size_t i = 0; i < value->n; i++) {
            if (i == MAX_POINTS || value->value[i]->kind != RUB_YAML_SCALAR) {
                refuse(r, field, i == MAX_POINTS ? value : value->value[i], variant);
                return false;
            }
            points[(*n)++] =
                (point){value->key[i]->scalar, value->value[i]->scalar, value->value[i]};
        }
        if (*n == 0)
            refuse(r, field, value, variant);
        return *n > 0;
    }
    if (value->kind != RUB_YAML_SCALAR || !*value->scalar)
        return refuse(r, field, value, variant);
    if (!strchr(value->scalar, ':')) {
        points[(*n)++] = (point){NULL, value->scalar, value};
        return true;
    }
    return split_points(r, value, points, n) || refuse(r, field, value, variant);
}

static bool read_schedule(rub_reader *r, const rub_field *field, const rub_yaml_node *value,
                          int variant, void *out) {
    point points[MAX_POINTS];
    size_t n;
    if (!gather_points(r, field, value, variant, points, &n))
        return false;
    rub_schedule s = {.quarter = rub_reader_new(r, n, sizeof *s.quarter),
                      .value = rub_reader_new(r, n, sizeof *s.value)};
    bool ok = s.quarter && s.value;
    for (size_t i = 0; i < n && ok; i++) {
        s.quarter[i] = r->study->start_q;
        if (points[i].date && !rub_quarter_parse(points[i].date, &s.quarter[i])) {
            rub_reader_report(r, points[i].at, RUB_INVALID,
                              "'%s' has a value for '%.40s', expected a quarter such as '2025-Q3'",
                              field->key, points[i].date);
            ok = false;
        } else if (i > 0 && s.quarter[i] <= s.quarter[i - 1]) {
            rub_reader_report(r, points[i].at, RUB_INVALID,
                              "'%s' has %.20s after %.20s, expected rising dates", field->key,
                              points[i].date, points[i - 1].date);
            ok = false;
        } else
            ok = read_quantity(r, field, points[i].at, points[i].text, variant, &s.value[i]);
    }
    if (!ok) {
        free(s.quarter);
        free(s.value);
        return false;
    }
    s.n = (int32_t)n;
    memcpy(out, &s, sizeof s);
    return true;
}

/* ---- entries -------------------------------------------------------------------------------- */

bool rub_field_read(rub_reader *r, const rub_field *field, const rub_yaml_node *value, int variant,
                    void *out) {
    switch (field->kind) {
    case RUB_FIELD_NUMBER:
    case RUB_FIELD_NUMBER_OR_NO:
        return read_number(r, field, value, variant, out);
    case RUB_FIELD_COUNT:
    case RUB_FIELD_SEED:
        return read_integer(r, field, value, out);
    case RUB_FIELD_BOOL:
    case RUB_FIELD_CHOICE:
        return read_word(r, field, value, out);
    case RUB_FIELD_QUARTER:
        return read_quarter(r, field, value, out);
    case RUB_FIELD_DURATION:
        return read_duration(r, field, value, out);
    case RUB_FIELD_REF:
        return read_ref(r, field, value, out);
    case RUB_FIELD_SCHEDULE:
        return read_schedule(r, field, value, variant, out);
    case RUB_FIELD_PART:
        return true;
    default:
        return read_text(r, field, value, out);
    }
}

const char *rub_entry_text(const rub_entry *entry, char *buf, size_t size) {
    if (entry->name)
        snprintf(buf, size, "%s '%.60s'", entry->record->what, entry->name);
    else
        snprintf(buf, size, "'%s'", entry->record->what);
    return buf;
}

const rub_yaml_node *rub_entry_get(const rub_entry *entry, const char *key) {
    const rub_yaml_node *value = rub_yaml_get(entry->map, key);
    if (value && !rub_yaml_is_null(value))
        return value;
    value = rub_yaml_get(entry->defaults, key);
    return value && !rub_yaml_is_null(value) ? value : NULL;
}

const rub_yaml_node *rub_entry_at(const rub_entry *entry, const char *key) {
    const rub_yaml_node *value = rub_entry_get(entry, key);
    return value ? value : entry->at;
}

#define MAX_KEYS 64

static size_t names_of(const rub_entry *entry, const char **names) {
    size_t n = 0;
    for (const rub_field *f = entry->record->field; f->key && n < MAX_KEYS; f++)
        names[n++] = f->key;
    return n;
}

static bool is_known(const char *key, const char *const *names, size_t n) {
    size_t i = 0;
    while (i < n && strcmp(names[i], key) != 0)
        i++;
    return i < n;
}

static void report_unknown_keys(rub_reader *r, const rub_entry *entry) {
    const char *names[MAX_KEYS];
    size_t n = names_of(entry, names);
    char text[96];
    for (size_t i = 0; i < entry->map->n; i++) {
        const char *key = entry->map->key[i]->scalar;
        if (is_known(key, names, n))
            continue;
        const char *near = rub_text_nearest(key, names, n);
        rub_reader_report(r, entry->map->key[i], RUB_INVALID,
                          near ? "unknown key '%.60s' in %s, did you mean '%s'?"
                               : "unknown key '%.60s' in %s, expected one that 'rubato check "
                                 "--keys' lists",
                          key, rub_entry_text(entry, text, sizeof text), near);
    }
}

/* Was an unknown key reported as a misspelling of this one? Then it is not missing too. */
static bool is_misspelt(const rub_entry *entry, const char *wanted) {
    const char *names[MAX_KEYS];
    size_t n = names_of(entry, names);
    for (size_t i = 0; i < entry->map->n; i++) {
        const char *key = entry->map->key[i]->scalar;
        const char *near = is_known(key, names, n) ? NULL : rub_text_nearest(key, names, n);
        if (near && strcmp(near, wanted) == 0)
            return true;
    }
    return false;
}

static void use_fallback(rub_reader *r, const rub_entry *entry, const rub_field *field, void *out) {
    char text[96], expected[256];
    int32_t none = -1;
    if (!field->fallback) {
        if (is_misspelt(entry, field->key))
            return;
        rub_field_expected(field, entry->variant, expected, sizeof expected);
        rub_reader_report(r, entry->at, RUB_INVALID, "%s has no '%s', expected %s",
                          rub_entry_text(entry, text, sizeof text), field->key, expected);
    } else if (*field->fallback) {
        rub_yaml_node value = {.kind = RUB_YAML_SCALAR,
                               .file = entry->at->file,
                               .line = entry->at->line,
                               .column = entry->at->column,
                               .scalar = field->fallback,
                               .n_nodes = 1};
        rub_field_read(r, field, &value, entry->variant, out);
    } else if (field->kind == RUB_FIELD_REF)
        memcpy(out, &none, sizeof none);
}

void rub_entry_read(rub_reader *r, const rub_entry *entry, void *out) {
    report_unknown_keys(r, entry);
    for (const rub_field *field = entry->record->field; field->key; field++) {
        const rub_yaml_node *value = rub_entry_get(entry, field->key);
        void *slot = (char *)out + field->offset;
        if (field->kind == RUB_FIELD_PART) {
            if (!value)
                use_fallback(r, entry, field, NULL);
        } else if (value)
            rub_field_read(r, field, value, entry->variant, slot);
        else
            use_fallback(r, entry, field, slot);
        if (r->out_of_memory)
            return;
    }
}
