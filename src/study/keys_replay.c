/* The keys of the replay section: dated information, what was reported, the outcome. */
#include "study/fields.h"

#define TEXT(type, member, key, fallback, example, doc)                                            \
    { key, RUB_FIELD_TEXT, offsetof(type, member), NULL, fallback, 0, 0, example, doc }
#define CHOICE(type, member, key, words, fallback, example, doc)                                   \
    { key, RUB_FIELD_CHOICE, offsetof(type, member), words, fallback, 0, 0, example, doc }
#define PART(key, fallback, example, doc)                                                          \
    { key, RUB_FIELD_PART, 0, NULL, fallback, 0, 0, example, doc }
#define END                                                                                        \
    { NULL, RUB_FIELD_PART, 0, NULL, NULL, 0, 0, NULL, NULL }

#define STATUS "public|measured|calibrated|derived|assumed"

static const rub_field replay_fields[] = {
    {"until", RUB_FIELD_QUARTER, offsetof(rub_study_replay, until_q), NULL, NULL, 0, 0, "2026-Q1",
     "Last quarter whose decisions are replayed."},
    PART("information", "", "information.csv", "Dated rows by name, see below, or a CSV table."),
    PART("reported", "", "reported.csv", "What was done, by name, see below, or a CSV table."),
    PART("outcome", NULL, "outcome.csv",
         "What each quarter turned out to be, see below, or a CSV table."),
    END,
};

static const rub_field information_fields[] = {
    PART("known", NULL, "2025-02-21",
         "When it was said: a day, month or quarter. Decisions of later quarters know it."),
    TEXT(rub_study_information, text, "text", "", "Leases cancelled", "What was said."),
    PART("set", "", "{demand.*.growth: 150%/yr, budget.FY2025: $80B}",
         "Keys of the study and the values that they have from then on, 'x1.2' and '+20%' too."),
    PART("key", "", "demand.chat.growth", "One key, for tables; its value stands in `value`."),
    PART("value", "", "150%/yr", "The value of `key`."),
    CHOICE(rub_study_information, status, "status", STATUS, "assumed", "public",
           "How sure it is, as in `sources`: of what was said, or of the figures where it sets "
           "some."),
    TEXT(rub_study_information, source, "source", "", "TD Cowen, by Reuters", "Where it stands."),
    END,
};

static const rub_field reported_fields[] = {
    {"quarter", RUB_FIELD_QUARTER, offsetof(rub_study_reported, quarter), NULL, NULL, 0, 0,
     "2025-Q1", "The quarter in which it was done."},
    PART("site", NULL, "licking-county", "Site, or `all`."),
    CHOICE(rub_study_reported, done, "action", "wait|sign|proceed|pause|resume|defer|sublet|cancel",
           NULL, "pause",
           "What was done; stands for the site until its next row. Where it cannot be done: wait "
           "after wait, pause and defer, else go on."),
    {"power", RUB_FIELD_NUMBER, offsetof(rub_study_reported, mw), "MW", "", 0, 1e5, "200 MW",
     "Of the site, rounded up to blocks; all of it by default."},
    TEXT(rub_study_reported, text, "text", "", "Walked away", "What was said."),
    CHOICE(rub_study_reported, status, "status", STATUS, "assumed", "public",
           "How sure it is that this site and power are meant."),
    TEXT(rub_study_reported, source, "source", "", "TD Cowen, by Reuters", "Where it stands."),
    END,
};

static const rub_field outcome_fields[] = {
    PART("demand", "", "{chat: 1.4M tok/s}",
         "Load by demand; as in the quarter before by default."),
    PART("left", "", "anchor", "Partners whose load has gone; stays so from then on."),
    PART("exercised", "", "anchor", "Partners that exercised their right in this quarter."),
    PART("closed", "", "site-b",
         "Sites whose talks have closed; stays so from then on. Talks that are certain need none; "
         "others that are not listed did not close."),
    CHOICE(rub_study_outcome, status, "status", STATUS, "assumed", "derived", "How sure it is."),
    TEXT(rub_study_outcome, source, "source", "", "Company's results", "Where it stands."),
    END,
};

const rub_record rub_record_replay = {
    "replay", "replay",
    "For `rubato replay` alone (docs/replay.md): what became known after the study's start, what "
    "was reported to have been done, and what came. Or the name of a study that holds the replay: "
    "the same case at an earlier start.",
    replay_fields};
const rub_record rub_record_information = {
    "information", "replay.information.NAME",
    "A table has `name` as first column, and `key` and `value` in place of `set`. New sites may be "
    "set whole (`sites.NAME: {...}`) while their talks are open.",
    information_fields};
const rub_record rub_record_reported = {"reported row", "replay.reported.NAME", "",
                                        reported_fields};
const rub_record rub_record_outcome = {
    "outcome", "replay.outcome.QUARTER",
    "Quarter after quarter from the study's start, at least to `until`; those after it tell what "
    "the decisions were worth. A table has the columns quarter, demand.NAME, left, exercised, "
    "closed.",
    outcome_fields};
