/* A calibration's inside. */
#ifndef RUB_PERF_CALIBRATION_H
#define RUB_PERF_CALIBRATION_H

#include "perf/form.h"
#include "rubato/perf.h"

struct rub_calibration {
    char system[RUB_CATALOG_NAME_MAX];
    char source[192], date[16];
    rub_peaks peaks; /* that the curves were fitted with */
    bool carried;    /* asked for another accelerator */
    bool tables;     /* rows of tables instead of fits */
    size_t n, cap;
    rub_curve *curve;
};

/* NULL when there is none. Those with a note are skipped unless noted is true. */
const rub_curve *rub_calibration_find(const rub_calibration *calibration, const char *library,
                                      rub_family family, const char *variant, bool noted);

/* data/calibration as it is compiled in (tools/embed.py). */
typedef struct rub_embedded_file {
    const char *name;
    const unsigned char *bytes; /* NUL-terminated */
    size_t n;
} rub_embedded_file;

extern const rub_embedded_file rub_calibration_file[];
extern const size_t rub_calibration_file_n;

#endif
