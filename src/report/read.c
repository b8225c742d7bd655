/* Reading a plan document back, with the place of what is wrong. */
#include "rubato/report.h"

#include "base/file.h"

#include <string.h>

#define SCHEMA 1
#define EXPECTED "the JSON that 'rubato plan' writes (NAME-plan.json) or prints with --json"

static bool is_study(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

static rub_status check(const char *name, const json_t *document, rub_error *err) {
    const json_t *head = json_object_get(document, "rubato");
    const char *kind = json_string_value(json_object_get(head, "kind"));
    if (!json_is_object(document) || !json_is_object(head) || !kind)
        return rub_error_at(err, RUB_INVALID, name, 0, 0,
                            "is JSON but no plan, expected " EXPECTED);
    if (strcmp(kind, "plan") != 0)
        return rub_error_at(err, RUB_INVALID, name, 0, 0, "holds a '%.40s', expected a 'plan'",
                            kind);
    json_int_t schema = json_integer_value(json_object_get(head, "schema"));
    if (schema != SCHEMA)
        return rub_error_at(err, RUB_INVALID, name, 0, 0,
                            "has plan schema %lld, expected %d: plan again with this version",
                            (long long)schema, SCHEMA);
    static const struct {
        const char *key;
        json_type type;
        const char *what;
    } part[] = {{"study", JSON_OBJECT, "an object"}, {"solve", JSON_OBJECT, "an object"},
                {"sites", JSON_ARRAY, "a list"},     {"supply", JSON_ARRAY, "a list"},
                {"capex", JSON_ARRAY, "a list"},     {"npv", JSON_OBJECT, "an object"}};
    bool infeasible = json_object_get(document, "infeasible") != NULL;
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) {
        const json_t *value = json_object_get(document, part[i].key);
        if (!value && infeasible)
            continue;
        if (!value || json_typeof(value) != part[i].type)
            return rub_error_at(err, RUB_INVALID, name, 0, 0,
                                "key '%s' is missing or of another "
                                "kind, expected %s",
                                part[i].key, part[i].what);
    }
    return RUB_OK;
}

rub_status rub_report_read_memory(const char *name, const char *bytes, size_t n, json_t **out,
                                  rub_error *err) {
    json_error_t where;
    size_t first = 0;
    while (first < n && strchr(" \t\r\n", bytes[first]))
        first++;
    if (first < n && bytes[first] != '{' && bytes[first] != '[')
        return rub_error_at(err, RUB_PARSE, name, 0, 0, "is not JSON, expected " EXPECTED "%s",
                            is_study(name) ? "; this looks like a study: plan it first" : "");
    json_t *document = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &where);
    if (!document)
        return rub_error_at(err, RUB_PARSE, name, where.line, where.column,
                            "%.200s, expected " EXPECTED, where.text);
    rub_status status = check(name, document, err);
    if (status != RUB_OK) {
        json_decref(document);
        return status;
    }
    *out = document;
    return RUB_OK;
}

rub_status rub_report_read(const char *path, json_t **out, rub_error *err) {
    rub_file file = {0};
    rub_status status = rub_file_open(path, &file, err);
    if (status != RUB_OK)
        return status;
    status = rub_report_read_memory(path, file.data, file.n, out, err);
    rub_file_close(&file);
    return status;
}
