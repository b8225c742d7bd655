/* Reader: what one call of rub_study_read holds while it works. Internal to the room.
 *
 * Everything found wrong goes through rub_reader_report and reading goes on, so that one run can
 * name many mistakes; only running out of memory ends it at once. */
#ifndef RUB_STUDY_READER_H
#define RUB_STUDY_READER_H

#include "rubato/study.h"

#include "base/yaml.h"

/* Sections whose entries have names that others refer to. */
typedef enum rub_section {
    RUB_SECTION_MODELS,
    RUB_SECTION_WORKLOADS,
    RUB_SECTION_ACCELERATORS,
    RUB_SECTION_REGIONS,
    RUB_SECTION_DEMAND,
    RUB_SECTION_SITES,
    RUB_SECTION_PARTNERS,
    RUB_SECTION_MARKET,
    RUB_N_SECTION,
    RUB_SECTION_REGIMES = RUB_N_SECTION /* of the process: for messages only */
} rub_section;

/* A name that sections refer to and that is not there: one mistake, however many places name it. */
typedef struct rub_unknown {
    rub_section section;
    const char *name;
    size_t finding; /* index among the errors; SIZE_MAX: not kept */
    size_t n_place;
    int64_t line, column; /* of the first place */
} rub_unknown;

typedef struct rub_reader {
    const char *name; /* of the study file, as messages show it */
    char *folder;     /* "" or "path/to/", before what the study names */
    rub_yaml **doc;   /* the study, then values of overrides (n_doc) */
    size_t n_doc, cap_doc;
    void **memory; /* of nodes made here (n_memory) */
    size_t n_memory, cap_memory;
    rub_yaml_node *root;
    const rub_yaml_node *section[RUB_N_SECTION]; /* mappings; NULL when absent */
    const rub_yaml_node *site_defaults;
    uint8_t *site_is_read; /* without errors, so that its terms can be compared (n_site) */
    rub_study *study;
    rub_study_findings *findings;
    rub_unknown *unknown; /* (n_unknown) */
    size_t n_unknown, cap_unknown;
    bool out_of_memory;
    bool replays;    /* the replay section is read */
    int32_t known_q; /* with replays: rows known by the start of this quarter, RUB_NEVER: all */
} rub_reader;

/* Notes an error (warning: a warning) at node's place; at most RUB_STUDY_MAX_FINDINGS are kept. */
void rub_reader_report(rub_reader *r, const rub_yaml_node *node, rub_status code,
                       const char *format, ...) __attribute__((format(printf, 4, 5)));
void rub_reader_warn(rub_reader *r, const rub_yaml_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void rub_reader_add(rub_reader *r, const rub_error *error, bool warning);

/* Zeroed memory that lives as long as the reader; NULL (and out_of_memory) when there is none. */
void *rub_reader_take(rub_reader *r, size_t n);
char *rub_reader_take_text(rub_reader *r, const char *text, size_t n);

/* n zeroed elements for the study (free'd with it); NULL and out_of_memory when there are none. */
void *rub_reader_new(rub_reader *r, size_t n, size_t size);

/* Copy for the study's own keeping. */
char *rub_reader_strdup(rub_reader *r, const char *text);

/* path beside the study (absolute paths as they are), malloc'ed. */
char *rub_reader_beside(rub_reader *r, const char *path);

/* Reads a file that the study names: regular, at most 64 MB; notes it as an input. Returns its
 * bytes, NUL after the last, in the reader's memory; NULL when reported. */
const char *rub_reader_load(rub_reader *r, const rub_yaml_node *at, const char *path, size_t *n);

/* Notes a file and its hash among the study's inputs. */
void rub_reader_note_input(rub_reader *r, const char *path, const void *bytes, size_t n);

/* New nodes, in the reader's memory. */
rub_yaml_node *rub_reader_scalar(rub_reader *r, const char *file, int32_t line, int32_t column,
                                 const char *text);
rub_yaml_node *rub_reader_mapping(rub_reader *r, const rub_yaml_node *like, size_t n);

/* Index of name among the entries of a section, or -1. */
int32_t rub_reader_find(const rub_reader *r, rub_section section, const char *name);

/* "did you mean" for a name of a section; NULL when nothing is near. */
const char *rub_reader_near(const rub_yaml_node *map, const char *name);

/* Notes that node names something that the section lacks; the message is given for the first place,
 * later ones are counted and told at the end by rub_reader_count_unknown. */
void rub_reader_unknown(rub_reader *r, rub_section section, const rub_yaml_node *node,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));
void rub_reader_count_unknown(rub_reader *r);

/* Copies node's place for the study's keeping. */
void rub_reader_place(rub_reader *r, const rub_yaml_node *node, rub_study_place *out);

/* What one entry of a section is called in messages: "site", "region". */
const char *rub_section_entry(rub_section section);
const char *rub_section_key(rub_section section); /* "sites" */

/* ---- the steps, in this order ---------------------------------------------------------------- */

void rub_reader_expand_tables(rub_reader *r); /* CSV tables become mappings */
void rub_reader_expand(rub_reader *r, rub_yaml_node *map, const char *key, const char *name_column,
                       const char *into);
void rub_reader_override(rub_reader *r, const char *override_text);
void rub_reader_information(rub_reader *r); /* dated rows change the document */
void rub_reader_sections(rub_reader *r);
void rub_reader_process(rub_reader *r);
void rub_reader_tree(rub_reader *r);
void rub_reader_market(rub_reader *r, const rub_yaml_node *map);
void rub_reader_sources(rub_reader *r, const char *const *overrides, size_t n);
void rub_reader_replay(rub_reader *r); /* what was reported, and the outcome */
void rub_reader_check(rub_reader *r);
void rub_reader_check_sites(rub_reader *r);

/* true when key (a source's, with '*' for any name) leads to something in the document. */
bool rub_path_exists(const rub_yaml_node *root, const char *key);

/* As an override by path, with a value that stands at `at`. */
void rub_reader_set(rub_reader *r, const rub_yaml_node *at, const char *path, rub_yaml_node *value);

/* 1.2 of "x1.2" and "+20%"; 0 of a value that is set as it is. */
double rub_path_factor(const rub_yaml_node *value);

/* What is left of path below an entry of map ('*': any); "" when path ends there, NULL when no entry
 * fits. */
const char *rub_path_below(const rub_yaml_node *map, const char *path);

/* A table's rows as a mapping by the column `name_column`; NULL when reported. */
rub_yaml_node *rub_reader_table(rub_reader *r, const rub_yaml_node *at, const char *path,
                                const char *name_column);

/* Writes partner.x and the market's short forms out in full; reports and returns NULL when the
 * short form does not apply. In the reader's memory. */
const char *rub_path_in_full(rub_reader *r, const rub_yaml_node *at, const char *key);

#endif
