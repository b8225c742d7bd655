/* Growing arrays: a pointer, a count and a capacity that live in the owner's struct.
 * Growth doubles, so n pushes cost O(n). Memory is malloc's: free() releases it. */
#ifndef RUB_BASE_ARRAY_H
#define RUB_BASE_ARRAY_H

#include "rubato/base.h"

/* Makes room for at least n elements of elem_size in *data, doubling *capacity.
 * Errors: RUB_NO_MEMORY, *data and *capacity untouched. */
rub_status rub_array_reserve(void **data, size_t *capacity, size_t n, size_t elem_size);

/* RUB_ARRAY_PUSH(a.data, a.n, a.cap, value): appends; an expression of rub_status. */
#define RUB_ARRAY_PUSH(data, n, cap, value)                                                        \
    (rub_array_reserve((void **)&(data), &(cap), (size_t)(n) + 1, sizeof *(data)) == RUB_OK        \
         ? ((data)[(n)++] = (value), RUB_OK)                                                       \
         : RUB_NO_MEMORY)

/* calloc with overflow check; NULL when n * size does not fit or memory is out. Never NULL for 0.
 */
void *rub_calloc(size_t n, size_t size);

#define RUB_NEW(type, n) ((type *)rub_calloc((size_t)(n), sizeof(type)))

/* Returns from the enclosing function with the status when it is not RUB_OK. */
#define RUB_TRY(expr)                                                                              \
    do {                                                                                           \
        rub_status rub_try_status_ = (expr);                                                       \
        if (rub_try_status_ != RUB_OK)                                                             \
            return rub_try_status_;                                                                \
    } while (0)

#define RUB_LEN(array) (sizeof(array) / sizeof(array)[0])

#endif
