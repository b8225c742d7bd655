/* Ranks over MPI: the only file that knows it. MPI is started only under mpirun or srun, because a start
 * takes a third of a second. */
#include "cli/ranks.h"

#include <fcntl.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static rub_ranks job;
static int loud = -1; /* standard error of a rank that has gone quiet */

#define MOST_BYTES ((size_t)1 << 30) /* MPI counts in int */

static void share(void *ctx, void *bytes, size_t n_byte, int32_t from) {
    (void)ctx;
    for (size_t at = 0; at < n_byte; at += MOST_BYTES) {
        size_t n = n_byte - at < MOST_BYTES ? n_byte - at : MOST_BYTES;
        MPI_Bcast((char *)bytes + at, (int)n, MPI_BYTE, from, MPI_COMM_WORLD);
    }
}

/* Each rank's items in turn from their owner: few ranks, long items. */
static void gather(void *ctx, void *items, size_t n_item, size_t item_bytes) {
    size_t n = (size_t)job.n;
    for (size_t r = 0; r < n; r++) {
        size_t first = n_item * r / n, end = n_item * (r + 1) / n;
        share(ctx, (char *)items + first * item_bytes, (end - first) * item_bytes, (int32_t)r);
    }
}

static void go_quiet(void) {
    int none = open("/dev/null", O_WRONLY);
    if (none < 0)
        return;
    loud = dup(STDERR_FILENO);
    dup2(none, STDOUT_FILENO);
    dup2(none, STDERR_FILENO);
    close(none);
}

bool rub_ranks_start(int *argc, char ***argv) {
    if (!getenv("OMPI_COMM_WORLD_SIZE") && !getenv("PMIX_RANK") && !getenv("PMI_RANK"))
        return true;
    int rank = 0, n = 1;
    MPI_Init(argc, argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n);
    job = (rub_ranks){.rank = rank, .n = n, .gather = gather, .share = share};
    if (rank > 0)
        go_quiet();
    return true;
}

const rub_ranks *rub_ranks_job(void) { return job.n > 1 ? &job : NULL; }

void rub_ranks_stop(void) {
    if (job.n > 0)
        MPI_Finalize();
}

void rub_ranks_abandon(const char *why, int exit_status) {
    if (job.n <= 1)
        return;
    if (loud >= 0)
        dprintf(loud, "rubato: rank %d of %d: %s\n", job.rank, job.n, why);
    MPI_Abort(MPI_COMM_WORLD, exit_status);
}
