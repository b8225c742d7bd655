/* Tables of sites: whatever the bytes of the CSV that a study names, sites or an error with a place. */
#include "rubato/study.h"

#include "replay.h"

#include <sys/mman.h>
#include <unistd.h>

static void check(bool ok, const char *what) {
    if (!ok) {
        fprintf(stderr, "fuzz_sites: %s\n", what);
        abort();
    }
}

/* The hyperscaler's study with its table in memory, which the reader opens by its name in /proc. */
static char study_text[REPLAY_MAX];
static int table = -1;

static bool prepare(void) {
    const char *yaml = replay_file(RUB_ROOT "/examples/hyperscaler-2025.yaml");
    const char *sites = strstr(yaml, "\nsites: "), *after = sites ? strchr(sites + 1, '\n') : NULL;
    table = memfd_create("sites.csv", MFD_CLOEXEC);
    if (!after || table < 0)
        return false;
    snprintf(study_text, sizeof study_text, "%.*s\nsites: /proc/self/fd/%d%s", (int)(sites - yaml),
             yaml, table, after);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    rub_study *study = NULL;
    rub_error err = {0};
    if (table < 0)
        check(prepare(), "no examples/hyperscaler-2025.yaml");
    check(ftruncate(table, 0) == 0 && pwrite(table, data, n, 0) == (ssize_t)n, "memory file");
    rub_status status =
        rub_study_read_memory("fuzz.yaml", study_text, strlen(study_text), NULL, 0, &study, &err);
    if (status != RUB_OK) {
        check(!study && err.code == status && err.message[0], "an error without a message");
        return 0;
    }
    check(study->n_site >= 1, "no sites");
    rub_study_free(study);
    return 0;
}

#ifndef RUB_LIBFUZZER
int main(void) {
    const char *const seeds[] = {replay_file(RUB_ROOT "/examples/hyperscaler-2025-sites.csv")};
    return replay(seeds, sizeof seeds / sizeof *seeds);
}
#endif
