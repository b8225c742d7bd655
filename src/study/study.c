/* Reading a study, from bytes to a checked struct; freeing it; small questions about it. */
#include "study/fields.h"

#include "base/array.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OVERRIDES 200

const char *rub_stage_text(rub_stage stage) {
    static const char *const text[] = {
#define X(name, word) word,
        RUB_STAGE_LIST(X)
#undef X
    };
    return (unsigned)stage < RUB_N_STAGE ? text[stage] : "unknown";
}

char *rub_quarter_text(int32_t q, char *buf, size_t size) {
    if (q == RUB_NEVER)
        snprintf(buf, size, "never");
    else
        snprintf(buf, size, "%d-Q%d", q / 4, q % 4 + 1);
    return buf;
}

double rub_schedule_at(const rub_schedule *schedule, int32_t q, double fallback) {
    if (schedule->n <= 0)
        return fallback;
    int32_t i = 0;
    while (i + 1 < schedule->n && schedule->quarter[i + 1] <= q)
        i++;
    return schedule->value[i];
}

int32_t rub_study_fiscal_year(const rub_study *study, int32_t q) {
    int32_t begins = q % 4 + 1 >= study->fiscal_start ? q / 4 : q / 4 - 1;
    return begins + study->fiscal_shift;
}

/* ---- free ----------------------------------------------------------------------------------- */

static void free_schedule(rub_schedule *s) {
    free(s->quarter);
    free(s->value);
}

static void free_catalog(rub_study *s) {
    for (int32_t i = 0; i < s->n_model; i++) {
        free(s->model[i].catalog);
        free(s->model[i].catalog_at.file);
    }
    for (int32_t i = 0; i < s->n_workload; i++)
        free(s->workload[i].trace_file);
    for (int32_t i = 0; i < s->n_generation; i++) {
        free(s->generation[i].catalog);
        free(s->generation[i].catalog_at.file);
        free_schedule(&s->generation[i].supply);
    }
    for (int32_t i = 0; i < s->n_region; i++)
        free_schedule(&s->region[i].grid);
    for (int32_t i = 0; i < s->n_site; i++)
        free_schedule(&s->site[i].exit_fee);
    free(s->model);
    free(s->workload);
    free(s->generation);
    free(s->region);
    free(s->site);
}

static void free_node(rub_study_tree_node *node) {
    free(node->demand);
    free(node->partner_left);
    free(node->rofr_exercised);
    free(node->talks_ok);
}

static void free_replay(rub_study_replay *p) {
    for (int32_t i = 0; i < p->n_information; i++) {
        rub_study_information *info = &p->information[i];
        for (int32_t k = 0; k < info->n_set; k++) {
            free(info->set[k]);
            free(info->key[k]);
        }
        free(info->set);
        free(info->key);
        free(info->factor);
        free(info->known);
        free(info->text);
        free(info->source);
    }
    for (int32_t i = 0; i < p->n_reported; i++) {
        free(p->reported[i].text);
        free(p->reported[i].source);
    }
    for (int32_t i = 0; i < p->n_outcome; i++) {
        free_node(&p->outcome[i].as);
        free(p->outcome[i].source);
    }
    free(p->information);
    free(p->reported);
    free(p->outcome);
}

static void free_process(rub_study *s) {
    for (int32_t i = 0; i < s->process.n_regime; i++)
        free(s->process.regime[i].next_prob);
    free(s->process.regime);
    free(s->process.shock);
    for (int32_t i = 0; i < s->tree.n_node; i++)
        free_node(&s->tree.node[i]);
    free(s->tree.node);
    free(s->tree.branching);
}

static void free_market(rub_study *s) {
    for (int32_t i = 0; i < s->n_market; i++) {
        free(s->market[i].in);
        free(s->market[i].out);
        free_schedule(&s->market[i].sublet_depth);
    }
    for (int32_t i = 0; i < s->n_source; i++) {
        free(s->source[i].key);
        free(s->source[i].text);
        free(s->source[i].date);
    }
    for (int32_t i = 0; i < s->n_input; i++)
        free(s->input[i].path);
    free(s->market);
    free(s->budget);
    free(s->source);
    free(s->input);
}

void rub_study_free(rub_study *study) {
    if (!study)
        return;
    free_catalog(study);
    free_process(study);
    free_market(study);
    free_replay(&study->replay);
    free(study->link);
    free(study->demand);
    free(study->partner);
    free(study->replay_study);
    free(study->title);
    free(study->notes);
    free(study);
}

/* ---- read ----------------------------------------------------------------------------------- */

static void clear(rub_reader *r) {
    for (size_t i = 0; i < r->n_doc; i++)
        rub_yaml_free(r->doc[i]);
    for (size_t i = 0; i < r->n_memory; i++)
        free(r->memory[i]);
    free(r->doc);
    free(r->memory);
    free(r->unknown);
    free(r->folder);
}

static bool start(rub_reader *r, const char *bytes, size_t n) {
    const char *slash = strrchr(r->name, '/');
    size_t folder = slash ? (size_t)(slash - r->name) + 1 : 0;
    r->study = rub_reader_new(r, 1, sizeof *r->study);
    r->folder = rub_reader_new(r, folder + 1, 1);
    if (r->out_of_memory)
        return false;
    memcpy(r->folder, r->name, folder);
    rub_reader_note_input(r, r->name, bytes, n);
    rub_yaml *doc = NULL;
    rub_error err = {0};
    rub_status status = rub_yaml_read(r->name, bytes, n, &doc, &err);
    if (status != RUB_OK) {
        r->out_of_memory = r->out_of_memory || status == RUB_NO_MEMORY;
        rub_reader_add(r, &err, false);
        return false;
    }
    if (RUB_ARRAY_PUSH(r->doc, r->n_doc, r->cap_doc, doc) != RUB_OK) {
        rub_yaml_free(doc);
        r->out_of_memory = true;
        return false;
    }
    r->root = rub_yaml_root(doc);
    if (r->root->kind == RUB_YAML_MAPPING)
        return true;
    rub_reader_report(r, r->root, RUB_INVALID, "the study is %s, expected sections by name",
                      rub_yaml_kind_text(r->root));
    return false;
}

/* An override of a section as a whole ("sites=other.csv") comes before tables are read. */
static void override_all(rub_reader *r, const char *const *overrides, size_t n) {
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n && !r->out_of_memory; i++) {
            size_t key = strcspn(overrides[i], "=");
            bool whole = !memchr(overrides[i], '.', key) ||
                         (key == 9 && memcmp(overrides[i], "tree.file", key) == 0);
            if (whole == (pass == 0))
                rub_reader_override(r, overrides[i]);
        }
        if (pass == 0)
            rub_reader_expand_tables(r);
    }
}

/* The section itself, or the file that it names. */
static void note_replay(rub_reader *r) {
    const rub_yaml_node *replay = rub_yaml_get(r->root, "replay");
    r->study->has_replay = replay != NULL;
    if (replay && replay->kind == RUB_YAML_SCALAR && !rub_yaml_is_null(replay))
        r->study->replay_study = rub_reader_beside(r, replay->scalar);
}

static void read_all(rub_reader *r, const char *bytes, size_t n, const char *const *overrides,
                     size_t n_override) {
    if (!start(r, bytes, n))
        return;
    override_all(r, overrides, n_override);
    note_replay(r);
    if (r->replays && !r->findings->n_error)
        rub_reader_information(r);
    if (r->findings->n_error || r->out_of_memory)
        return;
    rub_reader_sections(r);
    if (!r->out_of_memory)
        rub_reader_process(r);
    if (!r->out_of_memory)
        rub_reader_tree(r);
    if (!r->out_of_memory && r->replays)
        rub_reader_replay(r);
    if (!r->out_of_memory)
        rub_reader_check(r);
    if (!r->out_of_memory)
        rub_reader_sources(r, overrides, n_override);
}

static int by_place(const void *a, const void *b) {
    const rub_error *x = a, *y = b;
    int file = strcmp(x->file, y->file);
    if (file)
        return file;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return strcmp(x->message, y->message);
}

static size_t kept(size_t n) { return n < RUB_STUDY_MAX_FINDINGS ? n : RUB_STUDY_MAX_FINDINGS; }

static rub_status finish(rub_reader *r, rub_study **out, rub_study_findings *findings,
                         rub_error *err) {
    rub_study_findings *found = r->findings;
    rub_reader_count_unknown(r);
    qsort(found->error, kept(found->n_error), sizeof *found->error, by_place);
    qsort(found->warning, kept(found->n_warning), sizeof *found->warning, by_place);
    rub_status status = RUB_OK;
    if (r->out_of_memory)
        status = rub_error_at(err, RUB_NO_MEMORY, r->name, 0, 0, "out of memory");
    else if (found->n_error) {
        status = found->error[0].code;
        if (err)
            *err = found->error[0];
    }
    if (findings)
        *findings = *found;
    if (status == RUB_OK)
        *out = r->study;
    else
        rub_study_free(r->study);
    return status;
}

/* known_q: NULL leaves the replay section alone. */
static rub_status read_study(const char *name, const char *bytes, size_t n,
                             const char *const *overrides, size_t n_override,
                             const int32_t *known_q, rub_study **out, rub_study_findings *findings,
                             rub_error *err) {
    rub_study_findings *found = RUB_NEW(rub_study_findings, 1);
    rub_reader r = {.name = name,
                    .findings = found,
                    .replays = known_q != NULL,
                    .known_q = known_q ? *known_q : RUB_NEVER};
    if (!found)
        return rub_error_at(err, RUB_NO_MEMORY, name, 0, 0, "out of memory");
    if (n_override > MAX_OVERRIDES) {
        free(found);
        return rub_error_set(err, RUB_INVALID, "%zu overrides, expected at most %d", n_override,
                             MAX_OVERRIDES);
    }
    read_all(&r, bytes, n, overrides, n_override);
    rub_status status = finish(&r, out, findings, err);
    clear(&r);
    free(found);
    return status;
}

rub_status rub_study_read_memory(const char *name, const char *bytes, size_t n,
                                 const char *const *overrides, size_t n_override, rub_study **out,
                                 rub_error *err) {
    return read_study(name, bytes, n, overrides, n_override, NULL, out, NULL, err);
}

rub_status rub_study_read_known(const char *name, const char *bytes, size_t n,
                                const char *const *overrides, size_t n_override, int32_t known_q,
                                rub_study **out, rub_study_findings *findings, rub_error *err) {
    return read_study(name, bytes, n, overrides, n_override, &known_q, out, findings, err);
}

/* Reads with every dated row, for what is wrong with them. */
static rub_status check_replay(const char *path, const rub_file *file, const char *const *overrides,
                               size_t n_override, rub_study_findings *findings, rub_error *err) {
    const int32_t all = RUB_NEVER;
    rub_study *whole = NULL;
    rub_status status =
        read_study(path, file->data, file->n, overrides, n_override, &all, &whole, findings, err);
    rub_study_free(whole);
    return status;
}

rub_status rub_study_check(const char *path, const char *const *overrides, size_t n_override,
                           rub_study **out, rub_study_findings *findings, rub_error *err) {
    rub_file file;
    rub_error own = {0};
    rub_status status = rub_file_open(path, &file, &own);
    if (findings)
        *findings = (rub_study_findings){0};
    if (status != RUB_OK) {
        if (err)
            *err = own;
        if (findings) {
            findings->n_error = 1;
            findings->error[0] = own;
        }
        return status;
    }
    status = read_study(path, file.data, file.n, overrides, n_override, NULL, out, findings, err);
    if (status == RUB_OK && findings && (*out)->has_replay && !(*out)->replay_study) {
        status = check_replay(path, &file, overrides, n_override, findings, err);
        if (status != RUB_OK) {
            rub_study_free(*out);
            *out = NULL;
        }
    }
    rub_file_close(&file);
    return status;
}

rub_status rub_study_read(const char *path, const char *const *overrides, size_t n_override,
                          rub_study **out, rub_error *err) {
    return rub_study_check(path, overrides, n_override, out, NULL, err);
}
