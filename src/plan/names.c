/* Names that a study has from the catalog, checked before anything is planned: the study's reader
 * stands on the catalog's floor and keeps only the places of such names. */
#include "rubato/plan.h"

#include "rubato/catalog.h"

#include <stdlib.h>
#include <string.h>

typedef struct check {
    const rub_catalog *catalog;
    rub_study_findings *findings;
    rub_error *first;
    rub_status status;
} check;

/* Keeps an error; one without a place of its own stands where the study has the name. */
static void keep(check *c, const rub_study_place *at, rub_error *found) {
    if (!found->file[0] && at->file) {
        snprintf(found->file, sizeof found->file, "%s", at->file);
        found->line = at->line;
        found->column = at->column;
    }
    if (c->findings && c->findings->n_error++ < RUB_STUDY_MAX_FINDINGS)
        c->findings->error[c->findings->n_error - 1] = *found;
    if (c->status != RUB_OK)
        return;
    c->status = found->code;
    if (c->first)
        *c->first = *found;
}

static void check_generation(check *c, const rub_study_generation *gen) {
    const rub_accelerator *accel = NULL;
    rub_error found = {0};
    rub_status status =
        gen->catalog ? rub_catalog_accelerator(c->catalog, gen->catalog, &accel, &found) : RUB_OK;
    if (status == RUB_OK && !(gen->kw_per_accel > 0) && !(accel && accel->allin_w > 0))
        status = rub_error_set(&found, RUB_INVALID,
                               "accelerator '%s' has no 'power' and the catalog does not know it "
                               "either, expected a power per accelerator such as '1.7 kW/accel'",
                               gen->name);
    if (status != RUB_OK)
        keep(c, &gen->catalog_at, &found);
}

static void check_model(check *c, const rub_study_model *named) {
    rub_error found = {0};
    rub_model *model = malloc(sizeof *model);
    rub_status status = model ? rub_catalog_model_find(c->catalog, named->catalog, model, &found)
                              : rub_error_set(&found, RUB_NO_MEMORY, "out of memory");
    free(model);
    if (status != RUB_OK)
        keep(c, &named->catalog_at, &found);
}

rub_status rub_plan_check(const rub_study *study, rub_study_findings *findings, rub_error *err) {
    rub_catalog *catalog = NULL;
    rub_status status = rub_catalog_load(&catalog, err);
    if (status != RUB_OK)
        return status;
    check c = {.catalog = catalog, .findings = findings, .first = err};
    for (int32_t m = 0; m < study->n_model; m++)
        check_model(&c, &study->model[m]);
    for (int32_t g = 0; g < study->n_generation; g++)
        check_generation(&c, &study->generation[g]);
    rub_catalog_free(catalog);
    return c.status;
}
