#include "base/array.h"

#include <stdlib.h>

rub_status rub_array_reserve(void **data, size_t *capacity, size_t n, size_t elem_size) {
    if (n <= *capacity)
        return RUB_OK;
    size_t cap = *capacity ? *capacity : 8;
    while (cap < n) {
        if (cap > SIZE_MAX / 2)
            return RUB_NO_MEMORY;
        cap *= 2;
    }
    if (cap > SIZE_MAX / elem_size)
        return RUB_NO_MEMORY;
    void *grown = realloc(*data, cap * elem_size);
    if (!grown)
        return RUB_NO_MEMORY;
    *data = grown;
    *capacity = cap;
    return RUB_OK;
}

void *rub_calloc(size_t n, size_t size) { return calloc(n ? n : 1, size ? size : 1); }
