/* Random studies: valid for any size and seed, the same bytes for the same definition, the tree's size
 * as asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "rubato/study.h"

static void made_studies_are_valid(void **state) {
    (void)state;
    static const int32_t leaves[] = {1, 2, 12, 35, 64};
    for (uint64_t seed = 1; seed <= 40; seed++) {
        rub_study_make_def def = rub_study_make_default();
        def.n_site = 1 + (int32_t)(seed * 7 % 45);
        def.blocks_per_site = 1 + (int32_t)(seed % 4);
        def.n_quarter = 8 + (int32_t)(seed % 40);
        def.n_leaf = leaves[seed % 5];
        def.seed = seed;
        char *text = NULL, *again = NULL;
        rub_study *study = NULL;
        rub_error err = {0};
        assert_int_equal(rub_study_make(&def, &text, &err), RUB_OK);
        assert_int_equal(rub_study_make(&def, &again, &err), RUB_OK);
        assert_string_equal(text, again);
        if (rub_study_read_memory("made", text, strlen(text), NULL, 0, &study, &err) != RUB_OK)
            fail_msg("seed %d: %s", (int)seed, err.message);
        assert_int_equal(study->n_site, def.n_site);
        assert_int_equal(rub_study_tree_leaves(study), def.n_leaf);
        rub_study_free(study);
        free(text);
        free(again);
    }
}

static void leaves_that_cannot_be_branched_are_refused(void **state) {
    (void)state;
    rub_study_make_def def = rub_study_make_default();
    char *text = NULL;
    rub_error err = {0};
    def.n_leaf = 22;
    assert_int_equal(rub_study_make(&def, &text, &err), RUB_INVALID);
    def.n_leaf = 1024;
    def.n_quarter = 6; /* ten factors, five branchings */
    assert_int_equal(rub_study_make(&def, &text, &err), RUB_INVALID);
    assert_null(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_studies_are_valid),
        cmocka_unit_test(leaves_that_cannot_be_branched_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
