/* Reading a plan document again: a key that is missing or of another kind reads as 0 or "". */
#ifndef RUB_PLAN_READING_H
#define RUB_PLAN_READING_H

#include <jansson.h>

static inline double number(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

static inline const char *string(const json_t *object, const char *key) {
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

#endif
