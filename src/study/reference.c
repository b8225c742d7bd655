/* The study file's reference, written from the tables that read it. */
#include "study/fields.h"

#include "base/text.h"

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

static void add_kind(rub_text *out, const rub_field *f) {
    switch (f->kind) {
    case RUB_FIELD_NUMBER:
    case RUB_FIELD_NUMBER_OR_NO:
    case RUB_FIELD_SCHEDULE:
        if (f->unit && *f->unit)
            add_escaped(out, f->unit);
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
        add_escaped(out, f->unit ? f->unit : "no|yes");
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
    rub_text_add(out, "%.6g to %.6g%s%s", f->min * (percent ? 100 : 1),
                 f->max * (percent ? 100 : 1), percent ? f->unit : "",
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
        add_kind(out, f);
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

char *rub_study_keys_markdown(void) {
    rub_text out = {0};
    for (const rub_record *const *record = rub_records; *record; record++) {
        add_record(&out, *record);
        if (*record == &rub_record_market)
            rub_text_add(&out, "\n");
        if (*record == &rub_record_step)
            rub_text_add(&out, "\n## budget.FYNNNN\n\n"
                               "Capex by fiscal year, `FY2025: $80B`. A year that is left out is "
                               "not limited.\n");
    }
    if (out.failed) {
        rub_text_clear(&out);
        return NULL;
    }
    return out.data;
}
