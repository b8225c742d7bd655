/* Studies: whatever the bytes, a study that keeps what the planner relies on, or an error with a
 * place. */
#include "rubato/study.h"

#include "replay.h"

#include <math.h>

static void check(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "fuzz_study: %s\n", what);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    rub_study *study = NULL;
    rub_error err = {0};
    rub_status status =
        rub_study_read_memory("fuzz.yaml", (const char *)data, n, NULL, 0, &study, &err);
    if (status != RUB_OK) {
        check(!study && err.code == status && err.message[0], "an error without a message");
        return 0;
    }
    check(study->n_quarter >= 1 && study->name[0], "name and quarters");
    int64_t nodes = rub_study_tree_nodes(study), leaves = rub_study_tree_leaves(study);
    check(leaves >= 1 && nodes >= leaves, "tree");
    for (int32_t i = 0; i < study->n_site; i++)
        check(study->site[i].name[0] && study->site[i].region >= 0 &&
                  study->site[i].region < study->n_region,
              "a site's region");
    rub_study_free(study);
    return 0;
}

#ifndef RUB_LIBFUZZER
int main(void) {
    const char *const seeds[] = {replay_file(RUB_ROOT "/examples/tiny.yaml"),
                                 replay_file(RUB_ROOT "/examples/company-2025.yaml")};
    return replay(seeds, sizeof seeds / sizeof *seeds);
}
#endif
