/* Ranks of the job that this process is one of, started by mpirun or srun. */
#ifndef RUB_CLI_RANKS_H
#define RUB_CLI_RANKS_H

#include "rubato/base.h"

/* Joins the job; false, with a line on stderr, when this build cannot. Every rank but the first goes
 * quiet: it prints nothing and writes no files. */
bool rub_ranks_start(int *argc, char ***argv);

/* The job's ranks; NULL: alone. */
const rub_ranks *rub_ranks_job(void);

/* Leaves the job. */
void rub_ranks_stop(void);

/* Ends the job on every rank and says why, because this one failed where others wait for it; no return
 * when there are others. */
void rub_ranks_abandon(const char *why, int exit_status);

#endif
