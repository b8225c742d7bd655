/* Fields: one table a kind of entry drives reading, defaults, ranges, messages and docs/study.md. */
#ifndef RUB_STUDY_FIELDS_H
#define RUB_STUDY_FIELDS_H

#include "study/reader.h"

typedef enum rub_field_kind {
    RUB_FIELD_TEXT,         /* char *, malloc'ed */
    RUB_FIELD_NAME,         /* rub_name */
    RUB_FIELD_PATH,         /* char *, malloc'ed, beside the study */
    RUB_FIELD_CATALOG,      /* the same when it names a .json file, else as given */
    RUB_FIELD_NUMBER,       /* double in `unit` (percent: fraction) */
    RUB_FIELD_NUMBER_OR_NO, /* the same; "no" is -1 */
    RUB_FIELD_COUNT,        /* int32_t */
    RUB_FIELD_SEED,         /* uint64_t */
    RUB_FIELD_BOOL,         /* bool; unit: words for false and true, "no|yes" when NULL */
    RUB_FIELD_QUARTER,      /* int32_t calendar quarter; "start"; with unit "never": RUB_NEVER */
    RUB_FIELD_DURATION,     /* int32_t quarters, rounded up */
    RUB_FIELD_CHOICE,       /* int32_t: min + index among `unit` "a|b|c" */
    RUB_FIELD_REF,          /* int32_t: index in the section numbered by min; -1 by default */
    RUB_FIELD_SCHEDULE,     /* rub_schedule in `unit` */
    RUB_FIELD_PART,         /* read by the section's own code */
} rub_field_kind;

/* unit and example may have two forms parted by '|', for inference and for training load. */
typedef struct rub_field {
    const char *key;
    rub_field_kind kind;
    size_t offset;
    const char *unit;
    const char *fallback; /* as it would be written; "" = not given; NULL = required */
    double min, max;      /* allowed, in the canonical unit; both 0 = any */
    const char *example;
    const char *doc;
} rub_field;

typedef struct rub_record {
    const char *what;  /* "site": in messages and as heading */
    const char *path;  /* "sites.NAME": in the docs */
    const char *intro; /* a paragraph for the docs */
    const rub_field *field;
} rub_record;

/* All tables, ended by a record without name. */
extern const rub_record *const rub_records[];
extern const rub_record rub_record_study, rub_record_model, rub_record_workload,
    rub_record_accelerator, rub_record_region, rub_record_demand, rub_record_process,
    rub_record_regime, rub_record_shock, rub_record_tree, rub_record_node, rub_record_site,
    rub_record_partner, rub_record_market, rub_record_step, rub_record_risk, rub_record_source,
    rub_record_replay, rub_record_information, rub_record_reported, rub_record_outcome;

/* What is being read. */
typedef struct rub_entry {
    const rub_record *record;
    const rub_yaml_node *at;       /* where missing keys are reported: the entry's name */
    const rub_yaml_node *map;      /* its keys */
    const rub_yaml_node *defaults; /* used for keys that map lacks, or NULL */
    const char *name;              /* or NULL */
    int variant;                   /* 0 inference, 1 training: which form of unit */
} rub_entry;

/* Reads every field of the entry into *out; reports unknown and missing keys and bad values. */
void rub_entry_read(rub_reader *r, const rub_entry *entry, void *out);

/* The value of a key: the entry's own, else the default's, else NULL. Null counts as absent. */
const rub_yaml_node *rub_entry_get(const rub_entry *entry, const char *key);

/* Where to report about key: its value, or the entry's name. */
const rub_yaml_node *rub_entry_at(const rub_entry *entry, const char *key);

/* "site 'mount-pleasant'", or "study". buf of at least 96. */
const char *rub_entry_text(const rub_entry *entry, char *buf, size_t size);

/* One value by the description of field; true when it was read. */
bool rub_field_read(rub_reader *r, const rub_field *field, const rub_yaml_node *value, int variant,
                    void *out);

/* What a field expects, with an example: "a power such as '48 MW'". */
const char *rub_field_expected(const rub_field *field, int variant, char *buf, size_t size);

/* A bound as people write it: "0.25", "1,000", "10M", "10T". buf of 32. */
const char *rub_bound_text(double x, char buf[32]);

/* Loads and events of a node or quarter that comes after `before` (NULL: the study's start); its arrays
 * are made here. false when out of memory. */
bool rub_reader_after(rub_reader *r, const rub_entry *entry, const rub_study_tree_node *before,
                      rub_study_tree_node *node);

/* 2025-Q3 to a calendar quarter. */
bool rub_quarter_parse(const char *text, int32_t *out);

#endif
