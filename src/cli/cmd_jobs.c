/* rubato jobs: training jobs and inference on one estate. */
#include "cli/commands.h"

#include "base/array.h"
#include "base/file.h"
#include "base/text.h"
#include "rubato/jobs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_STEP 512

typedef struct jobs_settings {
    const char *inference, *out;
    int64_t accelerators, medium, large, depth;
    double period, checkpoint_every, checkpoint, restart;
    bool no_backfill, notice, json;
} jobs_settings;

typedef struct jobs_run {
    rub_job *job;
    rub_job_result *result;
    size_t n;
    rub_jobs_step step[MAX_STEP];
    rub_jobs_def def;
    rub_jobs_totals totals;
} jobs_run;

static void defaults(void *settings) {
    rub_jobs_def d = rub_jobs_default();
    *(jobs_settings *)settings = (jobs_settings){.medium = 4,
                                                 .large = 16,
                                                 .depth = d.backfill_depth,
                                                 .checkpoint_every = d.checkpoint_every_s,
                                                 .checkpoint = d.checkpoint_s,
                                                 .restart = d.restart_s};
}

/* "T:N,..." */
static rub_status plan(const char *text, jobs_run *r, rub_error *err) {
    for (const char *p = text; p && *p;) {
        rub_jobs_step *x = &r->step[r->def.n_step];
        long long count = 0;
        int n = 0;
        if (r->def.n_step == MAX_STEP || sscanf(p, "%lf:%lld%n", &x->from_s, &count, &n) != 2 ||
            (p[n] && p[n] != ','))
            return rub_error_set(
                err, RUB_INVALID,
                "--inference: found '%.60s', expected up to %d steps T:N,... by time "
                "such as 0:2000,28800:3000",
                text, MAX_STEP);
        x->n_accel = count;
        r->def.n_step++;
        p += n + (p[n] == ',');
    }
    r->def.step = r->step;
    return RUB_OK;
}

static rub_status define(const jobs_settings *s, jobs_run *r, rub_error *err) {
    if (s->accelerators < 1)
        return rub_error_set(err, RUB_INVALID,
                             "--accelerators is absent, expected the size of the estate");
    r->def = (rub_jobs_def){.n_accel = s->accelerators,
                            .period_s = s->period,
                            .backfill = !s->no_backfill,
                            .backfill_depth = (int32_t)s->depth,
                            .checkpoint_every_s = s->checkpoint_every,
                            .checkpoint_s = s->checkpoint,
                            .restart_s = s->restart,
                            .notice = s->notice};
    return plan(s->inference, r, err);
}

static rub_status write_rows(const jobs_run *r, const char *path, rub_error *err) {
    rub_text text = {0};
    rub_text_add(&text,
                 "job,submit_s,accelerators,stage,work_s,start_s,end_s,preemptions,lost_s\n");
    for (size_t j = 0; j < r->n; j++) {
        const rub_job *x = &r->job[j];
        const rub_job_result *y = &r->result[j];
        rub_text_add(&text, "%zu,%.12g,%lld,%s,%.12g,", j, x->submit_s, (long long)x->n_accel,
                     rub_stage_name(x->stage), x->work_s);
        if (!isnan(y->start_s))
            rub_text_add(&text, "%.12g", y->start_s);
        rub_text_add(&text, ",");
        if (!isnan(y->end_s))
            rub_text_add(&text, "%.12g", y->end_s);
        rub_text_add(&text, ",%d,%.12g\n", y->n_preempt, y->lost_s);
    }
    rub_status status = text.failed ? rub_error_set(err, RUB_NO_MEMORY, "out of memory")
                                    : rub_file_write(path, text.data, text.n, err);
    rub_text_clear(&text);
    return status;
}

static double share(const jobs_run *r, double x) {
    return r->totals.estate_s > 0 ? x / r->totals.estate_s : 0.0;
}

static double used(const rub_jobs_totals *t) {
    double sum = 0.0;
    for (int k = 0; k < RUB_N_STAGE; k++)
        sum += t->work_s[k];
    return sum;
}

static int print_json(const jobs_run *r) {
    const rub_jobs_totals *t = &r->totals;
    json_t *stages = json_array();
    for (int k = 0; k < RUB_N_STAGE; k++)
        json_array_append_new(
            stages,
            json_pack("{s:s,s:I,s:f,s:f,s:f,s:f,s:f}", "stage", rub_stage_name((rub_stage)k),
                      "jobs", (json_int_t)t->n_job[k], "utilisation", share(r, t->work_s[k]),
                      "overhead", share(r, t->overhead_s[k]), "lost", share(r, t->lost_s[k]),
                      "mean_wait_s", t->wait_s[k], "most_wait_s", t->wait_most_s[k]));
    json_t *o =
        json_pack("{s:I,s:I,s:f,s:f,s:f,s:I,s:I,s:I}", "jobs", (json_int_t)r->n, "accelerators",
                  (json_int_t)r->def.n_accel, "end_s", t->end_s, "utilisation", share(r, used(t)),
                  "idle", share(r, t->idle_s), "preemptions", (json_int_t)t->n_preempt, "rejected",
                  (json_int_t)t->n_rejected, "unfinished", (json_int_t)t->n_unfinished);
    json_object_set_new(o, "stages", stages);
    json_object_set_new(o, "provenance", json_pack("{s:s}", "rubato", rub_version()));
    return rub_command_print_json(o);
}

static void print_text(const jobs_run *r) {
    const rub_jobs_totals *t = &r->totals;
    printf(
        "%zu jobs on %lld accelerators over %.4g days: %.1f %% of accelerator time used, %.1f %% "
        "idle\n\n",
        r->n, (long long)r->def.n_accel, t->estate_s / (double)r->def.n_accel / 86400,
        100 * share(r, used(t)), 100 * share(r, t->idle_s));
    printf("  %-14s %9s %9s %10s %7s %14s %14s\n", "stage", "jobs", "used %", "overhead %",
           "lost %", "mean wait [h]", "most wait [h]");
    for (int k = 0; k < RUB_N_STAGE; k++) {
        printf("  %-14s ", rub_stage_name((rub_stage)k));
        if (k == RUB_STAGE_INFERENCE)
            printf("%9s %9.2f\n", "", 100 * share(r, t->work_s[k]));
        else
            printf("%9lld %9.2f %10.2f %7.2f %14.3g %14.3g\n", (long long)t->n_job[k],
                   100 * share(r, t->work_s[k]), 100 * share(r, t->overhead_s[k]),
                   100 * share(r, t->lost_s[k]), t->wait_s[k] / 3600, t->wait_most_s[k] / 3600);
    }
    printf("\n%lld preemptions", (long long)t->n_preempt);
    if (t->n_rejected > 0)
        printf("; %lld jobs larger than what inference ever leaves", (long long)t->n_rejected);
    if (t->n_unfinished > 0)
        printf("; %lld jobs wait for ever", (long long)t->n_unfinished);
    printf("\n");
}

static int run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args;
    const jobs_settings *s = settings;
    jobs_run *r = calloc(1, sizeof *r);
    rub_error err = {0};
    rub_status status =
        r ? define(s, r, &err) : rub_error_set(&err, RUB_NO_MEMORY, "out of memory");
    if (status == RUB_OK && s->out)
        status = rub_file_can_write(s->out, &err);
    if (status == RUB_OK)
        status = rub_jobs_read(args[0], s->medium, s->large, &r->job, &r->n, &err);
    if (status == RUB_OK && !(r->result = RUB_NEW(rub_job_result, r->n)))
        status = rub_error_set(&err, RUB_NO_MEMORY, "out of memory");
    if (status == RUB_OK)
        status = rub_jobs_run(r->job, r->n, &r->def, r->result, &r->totals, &err);
    if (status == RUB_OK && s->out)
        status = write_rows(r, s->out, &err);
    int rc = 0;
    if (status != RUB_OK)
        rc = rub_command_fail(&err);
    else if (s->json)
        rc = print_json(r);
    else
        print_text(r);
    if (r) {
        free(r->job);
        free(r->result);
    }
    free(r);
    return rc;
}

#define OPTION(name, kind, field, meta, help, min, max)                                            \
    { name, RUB_OPTION_##kind, offsetof(jobs_settings, field), meta, help, min, max, NULL }

static const rub_option options[] = {
    OPTION("accelerators", INT, accelerators, "N", "accelerators of the estate", 1, 1e9),
    OPTION("inference", STRING, inference, "T:N,...",
           "inference holds N accelerators from T seconds on (none)", 0, 0),
    OPTION("period", DOUBLE, period, "SECONDS",
           "its steps repeat after so long, such as 86400 (0: the last one stays)", 0, 1e9),
    OPTION("medium", INT, medium, "N",
           "gangs from here on are post-training, where no stage stands (4)", 1, 1e9),
    OPTION("large", INT, large, "N",
           "gangs from here on are pre-training, where no stage stands (16)", 1, 1e9),
    OPTION("checkpoint-every", DOUBLE, checkpoint_every, "SECONDS",
           "of a job's work; what was done since is lost when it is preempted (1800)", 1e-3, 1e9),
    OPTION("checkpoint", DOUBLE, checkpoint, "SECONDS", "writing one, the job stands still (0)", 0,
           1e9),
    OPTION("restart", DOUBLE, restart, "SECONDS", "of a preempted job, before it goes on (300)", 0,
           1e9),
    OPTION("notice", FLAG, notice, NULL, "a job that is to be preempted writes a checkpoint first",
           0, 0),
    OPTION("no-backfill", FLAG, no_backfill, NULL, "strictly first come first served", 0, 0),
    OPTION("backfill-depth", INT, depth, "N", "waiting jobs that backfill looks at (1000)", 0, 1e9),
    OPTION("out", STRING, out, "FILE", "write a row for each job as CSV", 0, 0),
    RUB_OPTION_JSON(jobs_settings),
    {0}};

const rub_command rub_cmd_jobs = {
    .name = "jobs",
    .summary =
        "training jobs and inference on one estate: waits, preemptions, utilisation by stage",
    .arguments = "FILE",
    .min_args = 1,
    .max_args = 1,
    .description = "Schedules the jobs of FILE, a CSV with columns submit_s (or t_s), duration_s "
                   "and gpus, and "
                   "optionally stage (pre-training, post-training, evaluation) and priority (lower "
                   "goes first). A "
                   "job gets all its accelerators or none. Inference takes what --inference says "
                   "first, by time of "
                   "day with --period; when it takes accelerators back the least urgent job that "
                   "started last is "
                   "preempted, goes on from its last checkpoint, and waits in its place. Jobs go "
                   "first come first "
                   "served within a priority, with EASY backfill. docs/jobs.md has the rules.",
    .examples =
        "  rubato jobs philly_jobs.csv.gz --accelerators 2000\n"
        "  rubato jobs jobs.csv --accelerators 4096 --inference 0:1000,28800:2500,72000:1000 "
        "--period 86400 --checkpoint 60 --json",
    .options = options,
    .settings_size = sizeof(jobs_settings),
    .defaults = defaults,
    .run = run};
