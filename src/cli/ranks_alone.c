/* Built without MPI: one process, and a clear word when it was started as one of several. */
#include "cli/ranks.h"

#include <stdio.h>
#include <stdlib.h>

static int number(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

/* Open MPI's mpirun and srun --mpi=pmix say so in the environment. */
bool rub_ranks_start(int *argc, char ***argv) {
    (void)argc, (void)argv;
    int n = number("OMPI_COMM_WORLD_SIZE");
    n = n > 0 || !getenv("PMIX_RANK") ? n : number("SLURM_NTASKS");
    if (n <= 1)
        return true;
    if (number("OMPI_COMM_WORLD_RANK") == 0 && number("PMIX_RANK") == 0)
        fprintf(stderr,
                "rubato: found %d ranks, expected one: this program was built without MPI "
                "(meson setup build -Dmpi=enabled)\n",
                n);
    return false;
}

const rub_ranks *rub_ranks_job(void) { return NULL; }

void rub_ranks_stop(void) {}

void rub_ranks_abandon(const char *why, int exit_status) { (void)why, (void)exit_status; }
