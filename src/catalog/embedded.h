/* The files of data/ as bytes (tools/embed.py); NUL-terminated, the length without it. */
#ifndef RUB_CATALOG_EMBEDDED_H
#define RUB_CATALOG_EMBEDDED_H

#include <stddef.h>

extern const unsigned char rub_data_accelerators[], rub_data_prices[], rub_data_models[],
    rub_data_errors[];
extern const size_t rub_data_accelerators_n, rub_data_prices_n, rub_data_models_n,
    rub_data_errors_n;

#endif
