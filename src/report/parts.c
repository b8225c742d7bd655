#include "report/parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

double rub_part_number(const json_t *object, const char *key) {
    double x = json_number_value(json_object_get(object, key));
    return isfinite(x) ? x : 0.0;
}

const char *rub_part_string(const json_t *object, const char *key) {
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

const json_t *rub_part(const json_t *object, const char *key) {
    return json_object_get(object, key);
}

const char *rub_part_share(double frac, char buf[32]) {
    snprintf(buf, 32, "%.0f %%", 100.0 * frac);
    return buf;
}

const char *rub_part_price(const json_t *site, char buf[32]) {
    snprintf(buf, 32, "$%.2fM", rub_part_number(site, "mw_quarter_usd") / 1e6);
    return buf;
}

bool rub_part_is_open(const json_t *worth) {
    return rub_part_number(worth, "value_usd") <= 0 && rub_part_number(worth, "at_most_usd") >= 500;
}

void rub_part_actions(const json_t *site, rub_text *out) {
    json_t *now = json_object_get(site, "actions_now");
    const char *action;
    json_t *count;
    bool first = true, several = json_object_size(now) > 1;
    json_object_foreach(now, action, count) {
        rub_text_add(out, "%s%s", first ? "" : ", ", action);
        if (several)
            rub_text_add(out, " %lld", (long long)json_integer_value(count));
        first = false;
    }
}

void rub_part_broken_years(const json_t *document, rub_text *out) {
    int n = 0;
    RUB_PART_EACH(rub_part(document, "returns"), i, year) {
        double quarters = rub_part_number(year, "quarters");
        if (quarters <= 0 || quarters >= 4)
            continue;
        if (n == 0)
            rub_text_add(out, "In the study: %.0f quarter%s of ", quarters,
                         quarters > 1 ? "s" : "");
        else
            rub_text_add(out, ", %.0f of ", quarters);
        rub_text_add(out, "%s", rub_part_string(year, "fiscal_year"));
        n++;
    }
    if (n)
        rub_text_add(out, "; the return is a year's rate.");
}

void rub_part_escape(rub_text *out, const char *s) {
    for (; *s; s++) {
        const char *entity = *s == '&'   ? "&amp;"
                             : *s == '<' ? "&lt;"
                             : *s == '>' ? "&gt;"
                             : *s == '"' ? "&quot;"
                                         : NULL;
        if (entity)
            rub_text_add_bytes(out, entity, strlen(entity));
        else
            rub_text_add_bytes(out, s, 1);
    }
}

rub_status rub_part_finish(rub_text *text, char **out, rub_error *err) {
    rub_text_add_bytes(text, "", 0);
    if (text->failed) {
        rub_text_clear(text);
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory while writing a report");
    }
    *out = text->data;
    return RUB_OK;
}
