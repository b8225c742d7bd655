/* What the plan was made from: the study, its inputs with hashes, yields and sources. */
#include "plan/facts.h"

#include "base/array.h"

#include <stdio.h>
#include <string.h>

static json_t *hash_text(uint64_t hash) {
    char text[24];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    return json_string(text);
}

json_t *rub_document_study(const rub_facts *facts, const char *const *what_if, size_t n_what_if) {
    const rub_study *study = facts->study;
    char quarter[16];
    json_t *inputs = json_array(), *changes = json_array(), *quarters = json_array();
    for (int32_t i = 0; i < study->n_input; i++)
        json_array_append_new(inputs, json_pack("{s:s,s:o}", "path", study->input[i].path,
                                                "fnv1a64", hash_text(study->input[i].hash)));
    for (size_t i = 0; i < n_what_if; i++)
        json_array_append_new(changes, json_string(what_if[i]));
    for (int32_t t = 0; t < study->n_quarter; t++)
        json_array_append_new(
            quarters, json_string(rub_quarter_text(study->start_q + t, quarter, sizeof quarter)));
    json_t *row = json_object();
    json_object_set_new(row, "name", json_string(study->name));
    json_object_set_new(row, "title", json_string(study->title ? study->title : study->name));
    json_object_set_new(row, "notes", json_string(study->notes ? study->notes : ""));
    json_object_set_new(row, "quarters", quarters);
    json_object_set_new(row, "discount_per_year", json_real(study->discount_per_year));
    json_object_set_new(row, "seed", json_integer((json_int_t)study->seed));
    json_object_set_new(row, "inputs", inputs);
    json_object_set_new(row, "what_if", changes);
    return row;
}

static json_t *yield_row(const rub_facts *facts, int32_t w, int32_t g) {
    const rub_yield *y =
        &facts->yields->yield[(size_t)w * (size_t)facts->yields->n_gen + (size_t)g];
    json_t *row = json_object();
    json_object_set_new(row, "workload", json_string(facts->study->workload[w].name));
    json_object_set_new(row, "generation", json_string(facts->study->generation[g].name));
    json_object_set_new(row, "tok_per_s_per_mw", json_real(y->tok_per_s_per_mw));
    json_object_set_new(row, "usd_per_mtok", json_real(y->usd_per_mtok));
    json_object_set_new(row, "rate_per_s", json_real(y->rate_per_s));
    json_object_set_new(row, "tp", json_integer(y->tp));
    json_object_set_new(row, "weights", json_string(y->weights));
    json_object_set_new(row, "kv_cache", json_string(y->kv_cache));
    json_object_set_new(row, "origin", json_string(y->origin));
    return row;
}

json_t *rub_document_yields(const rub_facts *facts) {
    json_t *pairs = json_array(), *generations = json_array();
    for (int32_t w = 0; w < facts->yields->n_workload; w++)
        for (int32_t g = 0; g < facts->yields->n_gen; g++)
            json_array_append_new(pairs, yield_row(facts, w, g));
    for (int32_t g = 0; g < facts->yields->n_gen; g++)
        json_array_append_new(
            generations,
            json_pack("{s:s,s:f,s:f,s:f}", "generation", facts->study->generation[g].name,
                      "tok_per_s_per_mw", facts->yields->blended[g], "accelerators_per_mw",
                      facts->yields->accel_per_mw[g], "training_equivalents_per_accelerator",
                      facts->yields->training_yield[g]));
    return json_pack("{s:o,s:o}", "by_workload", pairs, "by_generation", generations);
}

json_t *rub_document_sources(const rub_facts *facts) {
    const rub_study *study = facts->study;
    json_t *rows = json_array();
    for (int32_t i = 0; i < study->n_source; i++) {
        const rub_study_source *s = &study->source[i];
        json_array_append_new(rows, json_pack("{s:s,s:s,s:s,s:s}", "key", s->key, "status",
                                              s->status, "source", s->text ? s->text : "", "date",
                                              s->date ? s->date : ""));
    }
    return json_pack("{s:o,s:s}", "listed", rows, "rest",
                     "every figure of the study that is not listed is assumed");
}
