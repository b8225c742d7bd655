/* The study file's reference, written from the tables that read it. */
#include "study/fields.h"

#include "base/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_escaped(rub_text *out, const char *text) {
    for (; *text; text++) {
        if (*text == '|')
            rub_text_add(out, "\\");
        rub_text_add_bytes(out, text, 1);
    }
}

/* Words of a table's cell need '|' escaped, words of JSON not. */
static void add_words(rub_text *out, const char *words, bool cell) {
    if (cell)
        add_escaped(out, words);
    else
        rub_text_add(out, "%s", words);
}

static void add_kind(rub_text *out, const rub_field *f, bool cell) {
    switch (f->kind) {
    case RUB_FIELD_NUMBER:
    case RUB_FIELD_NUMBER_OR_NO:
    case RUB_FIELD_SCHEDULE:
        if (f->unit && *f->unit)
            add_words(out, f->unit, cell);
        else
            rub_text_add(out, "number");
        if (f->kind == RUB_FIELD_SCHEDULE)
            rub_text_add(out, ", by date");
        if (f->kind == RUB_FIELD_NUMBER_OR_NO)
            rub_text_add(out, ", or no");
        break;
    case RUB_FIELD_COUNT:
    case RUB_FIELD_SEED:
        rub_text_add(out, "whole number");
        break;
    case RUB_FIELD_BOOL:
    case RUB_FIELD_CHOICE:
        add_words(out, f->unit ? f->unit : "no|yes", cell);
        break;
    case RUB_FIELD_QUARTER:
        rub_text_add(out, f->unit ? "quarter, or never" : "quarter");
        break;
    case RUB_FIELD_DURATION:
        rub_text_add(out, "duration");
        break;
    case RUB_FIELD_REF:
        rub_text_add(out, "name of %s", rub_section_key((rub_section)(int)f->min));
        break;
    case RUB_FIELD_PATH:
        rub_text_add(out, "path");
        break;
    case RUB_FIELD_PART:
        rub_text_add(out, "see meaning");
        break;
    default:
        rub_text_add(out, "text");
    }
}

static void add_range(rub_text *out, const rub_field *f) {
    bool ranged = f->kind == RUB_FIELD_NUMBER || f->kind == RUB_FIELD_COUNT ||
                  f->kind == RUB_FIELD_SCHEDULE || f->kind == RUB_FIELD_DURATION ||
                  f->kind == RUB_FIELD_NUMBER_OR_NO;
    if (!ranged || (f->min == 0 && f->max == 0))
        return;
    bool percent = f->unit && f->unit[0] == '%';
    char low[32], high[32];
    rub_text_add(out, "%s to %s%s%s", rub_bound_text(f->min * (percent ? 100 : 1), low),
                 rub_bound_text(f->max * (percent ? 100 : 1), high), percent ? f->unit : "",
                 f->kind == RUB_FIELD_DURATION ? " quarters" : "");
}

static void add_record(rub_text *out, const rub_record *record) {
    rub_text_add(out, "\n## %s\n\n", record->path);
    if (*record->intro)
        rub_text_add(out, "%s\n\n", record->intro);
    rub_text_add(out, "| key | value | default | allowed | example | meaning |\n"
                      "|---|---|---|---|---|---|\n");
    for (const rub_field *f = record->field; f->key; f++) {
        rub_text_add(out, "| `%s` | ", f->key);
        add_kind(out, f, true);
        if (f->fallback)
            rub_text_add(out, *f->fallback ? " | `%s` | " : " |%s | ", f->fallback);
        else
            rub_text_add(out, " | required | ");
        add_range(out, f);
        rub_text_add(out, " | `");
        add_escaped(out, f->example);
        rub_text_add(out, "` | %s |\n", f->doc);
    }
}

static const char budget_path[] = "budget.FYNNNN",
                  budget_intro[] = "Capex by fiscal year, `FY2025: $80B`. A year that is left out "
                                   "is not limited.";

char *rub_study_keys_markdown(void) {
    rub_text out = {0};
    for (const rub_record *const *record = rub_records; *record; record++) {
        add_record(&out, *record);
        if (*record == &rub_record_market)
            rub_text_add(&out, "\n");
        if (*record == &rub_record_step)
            rub_text_add(&out, "\n## %s\n\n%s\n", budget_path, budget_intro);
    }
    if (out.failed) {
        rub_text_clear(&out);
        return NULL;
    }
    return out.data;
}

/* ---- the same as JSON ------------------------------------------------------------------------ */

static json_t *key_row(const rub_field *f) {
    rub_text kind = {0}, range = {0};
    add_kind(&kind, f, false);
    add_range(&range, f);
    json_t *row =
        json_pack("{s:s,s:s,s:b,s:s,s:s}", "key", f->key, "value", kind.data ? kind.data : "",
                  "required", !f->fallback, "example", f->example, "meaning", f->doc);
    if (row && f->fallback && *f->fallback)
        json_object_set_new(row, "default", json_string(f->fallback));
    if (row && range.n)
        json_object_set_new(row, "allowed", json_string(range.data));
    rub_text_clear(&kind);
    rub_text_clear(&range);
    return row;
}

char *rub_study_keys_json(void) {
    json_t *sections = json_array();
    for (const rub_record *const *record = rub_records; *record; record++) {
        json_t *keys = json_array();
        for (const rub_field *f = (*record)->field; f->key; f++)
            json_array_append_new(keys, key_row(f));
        json_array_append_new(sections, json_pack("{s:s,s:s,s:o}", "path", (*record)->path, "about",
                                                  (*record)->intro, "keys", keys));
        if (*record == &rub_record_step)
            json_array_append_new(sections, json_pack("{s:s,s:s,s:[]}", "path", budget_path,
                                                      "about", budget_intro, "keys"));
    }
    json_t *document = json_pack("{s:o}", "sections", sections);
    char *text = json_dumps(document, JSON_INDENT(1));
    json_decref(document);
    return text;
}
