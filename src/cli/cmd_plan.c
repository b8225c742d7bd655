/* rubato plan: the whole chain, from a study to a decision for each site. */
#include "cli/commands.h"
#include "cli/ranks.h"

#include "base/array.h"
#include "base/file.h"
#include "base/ranks.h"
#include "base/text.h"
#include "rubato/plan.h"
#include "rubato/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct plan_settings {
    rub_option_values what_if;
    double gap, time_limit, worth_time;
    int64_t seed, threads, iterations, evaluate, stability;
    const char *out, *since, *checkpoint, *resume;
    double checkpoint_every;
    bool no_worth, no_files, json;
} plan_settings;

static void defaults(void *settings) {
    rub_plan_def d = rub_plan_default();
    *(plan_settings *)settings = (plan_settings){.gap = 100 * d.solve.gap_frac,
                                                 .time_limit = d.solve.time_limit_s,
                                                 .worth_time = d.worth_time_s,
                                                 .seed = -1,
                                                 .checkpoint_every = 30.0,
                                                 .out = "out"};
}

/* A failure to keep a checkpoint would leave the other ranks waiting. */
static rub_status keep(void *ctx, const rub_solve_state *state, rub_error *err) {
    char text[900];
    rub_status status = rub_plan_checkpoint_write(ctx, state, err);
    if (status != RUB_OK && rub_ranks_job())
        rub_ranks_abandon(rub_error_format(err, text, sizeof text), rub_command_fail(err));
    return status;
}

/* One run of the chain: which study, where it starts, what it leaves. */
typedef struct job {
    const char *const *what_if; /* (n) */
    size_t n;
    const rub_ranks *ranks;
    const rub_plan_warm *start; /* or NULL */
    rub_plan_warm *keep;        /* or NULL: a what-if */
} job;

static rub_status run_one(const char *path, const plan_settings *s, const job *j,
                          const rub_progress *progress, json_t **document, rub_outcome *outcome,
                          rub_error *err) {
    const bool main_run = j->keep != NULL;
    rub_study *study = NULL;
    rub_status status = rub_study_read(path, j->what_if, j->n, &study, err);
    status = rub_ranks_agree(j->ranks, status, err);
    if (status != RUB_OK) {
        rub_study_free(study);
        return status;
    }
    const rub_solve_keep how = {s->checkpoint_every, keep, (void *)(uintptr_t)s->checkpoint};
    rub_plan_def def = rub_plan_default();
    def.solve.gap_frac = s->gap / 100.0;
    def.solve.time_limit_s = s->time_limit;
    def.solve.n_thread = (int32_t)s->threads;
    def.solve.ranks = j->ranks;
    def.solve.iterations = s->iterations;
    def.solve.keep = main_run && s->checkpoint ? &how : NULL;
    def.worth = main_run && !s->no_worth;
    def.worth_time_s = s->worth_time;
    def.stability = main_run ? (int32_t)s->stability : 0;
    def.evaluate = main_run ? (int32_t)s->evaluate : 0;
    def.keep = j->keep;
    def.warm = j->start;
    def.warm_from = main_run ? s->resume : NULL;
    if (!main_run) /* as near to its bound as the plan that it is set beside */
        def.solve.gap_frac = fmax(def.solve.gap_frac, j->start->gap_frac);
    def.what_if = j->what_if;
    def.n_what_if = j->n;
    if (s->seed >= 0)
        study->seed = (uint64_t)s->seed;
    def.solve.seed = study->seed;
    status = rub_plan_run(study, &def, progress, document, outcome, err);
    rub_study_free(study);
    return status;
}

/* A mistake in a --what-if is told before the study is planned, not after. */
static rub_status check_what_ifs(const char *path, const plan_settings *s, rub_error *err) {
    for (size_t i = 0; i < s->what_if.n; i++) {
        rub_study *study = NULL;
        RUB_TRY(rub_study_read(path, &s->what_if.values[i], 1, &study, err));
        rub_study_free(study);
    }
    return RUB_OK;
}

/* A --what-if planned from the study's plan on and set beside the plan of the study as it stands. */
static rub_status compare_one(const char *path, const plan_settings *s, const char *what_if,
                              const rub_ranks *ranks, const rub_progress *progress,
                              const rub_plan_warm *warm, json_t *base, json_t **row,
                              rub_error *err) {
    json_t *other = NULL;
    rub_outcome outcome;
    const job j = {&what_if, 1, ranks, warm, NULL};
    RUB_TRY(run_one(path, s, &j, progress, &other, &outcome, err));
    *row = outcome != RUB_OUTCOME_INFEASIBLE
               ? rub_plan_compare(base, other, what_if)
               : json_pack("{s:s,s:[s]}", "name", what_if, "lines",
                           json_string_value(json_object_get(other, "infeasible")));
    json_decref(other);
    return RUB_OK;
}

/* The row of the rank that has it, to all. */
static json_t *share_row(const rub_ranks *ranks, json_t *row, int32_t from) {
    char *text = row ? json_dumps(row, JSON_REAL_PRECISION(17)) : NULL;
    size_t n = text ? strlen(text) + 1 : 0;
    rub_ranks_share(ranks, &n, sizeof n, from);
    if (rub_ranks_rank(ranks) != from)
        text = rub_calloc(n ? n : 1, 1);
    if (text && n)
        rub_ranks_share(ranks, text, n, from);
    json_t *shared = text && n ? json_loads(text, 0, NULL) : NULL;
    free(text);
    json_decref(row);
    return shared;
}

/* One --what-if is planned by all ranks together, several by a rank each. */
static rub_status compare(const char *path, const plan_settings *s, const rub_progress *progress,
                          rub_plan_warm *warm, json_t *base, rub_error *err) {
    const rub_ranks *ranks = rub_ranks_job();
    int32_t n = (int32_t)s->what_if.n;
    bool apart = n > 1 && rub_ranks_n(ranks) > 1;
    json_t **row = RUB_NEW(json_t *, n), *all = json_array();
    rub_status status = row ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    for (int32_t i = 0; status == RUB_OK && i < n; i++)
        if (!apart || rub_ranks_mine(ranks, n, i))
            status = compare_one(path, s, s->what_if.values[i], apart ? NULL : ranks, progress,
                                 warm, base, &row[i], err);
    status = apart ? rub_ranks_agree(ranks, status, err) : status;
    for (int32_t i = 0; status == RUB_OK && i < n; i++) {
        row[i] = apart ? share_row(ranks, row[i], rub_ranks_owner(ranks, n, i)) : row[i];
        json_array_append(all, row[i]);
    }
    for (int32_t i = 0; row && i < n; i++)
        json_decref(row[i]);
    free(row);
    if (status == RUB_OK)
        json_object_set_new(base, "comparisons", all);
    else
        json_decref(all);
    return status;
}

/* out/NAME-plan.json, out/NAME-brief.html */
static rub_status write_files(const plan_settings *s, json_t *document, char *json_path,
                              char *html_path, size_t size, rub_error *err) {
    const char *name =
        json_string_value(json_object_get(json_object_get(document, "study"), "name"));
    char *json = json_dumps(document, JSON_INDENT(1) | JSON_REAL_PRECISION(12)), *html = NULL;
    rub_status status =
        json ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory while writing JSON");
    snprintf(json_path, size, "%s/%s-plan.json", s->out, name ? name : "study");
    snprintf(html_path, size, "%s/%s-brief.html", s->out, name ? name : "study");
    if (status == RUB_OK)
        status = rub_file_write(json_path, json, strlen(json), err);
    if (status == RUB_OK)
        status = rub_report_html(document, &html, err);
    if (status == RUB_OK)
        status = rub_file_write(html_path, html, strlen(html), err);
    free(json);
    free(html);
    return status;
}

static rub_status print(const plan_settings *s, json_t *document, rub_error *err) {
    char json_path[1024], html_path[1024], *text = NULL;
    rub_status status = RUB_OK;
    bool first = !rub_ranks_job() || rub_ranks_job()->rank == 0;
    if (!s->no_files && first)
        status = write_files(s, document, json_path, html_path, sizeof json_path, err);
    if (status == RUB_OK && s->json) {
        rub_command_print_json(json_incref(document));
        return RUB_OK;
    }
    if (status == RUB_OK)
        status = rub_report_terminal(document, isatty(STDOUT_FILENO) != 0, &text, err);
    if (status == RUB_OK)
        fputs(text, stdout);
    if (status == RUB_OK && !s->no_files && first)
        printf("\nwritten: %s, %s\n", json_path, html_path);
    free(text);
    return status;
}

/* Bad input is found by every rank alike; other failures may be of this one only. */
static int fail(const rub_error *err) {
    char text[900];
    int rc = rub_command_fail(err);
    if (err->code == RUB_NO_MEMORY || err->code == RUB_SOLVER || err->code == RUB_INTERNAL)
        rub_ranks_abandon(rub_error_format(err, text, sizeof text), rc);
    return rc;
}

static int run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args;
    const plan_settings *s = settings;
    rub_progress progress = rub_command_progress();
    rub_error err = {0};
    json_t *document = NULL;
    rub_outcome outcome = RUB_OUTCOME_GAP;
    rub_plan_warm warm = {0}, resumed = {0};
    const job first = {NULL, 0, rub_ranks_job(), s->resume ? &resumed : NULL, &warm};
    json_t *old = NULL;
    rub_status status = s->since ? rub_report_read(s->since, &old, &err) : RUB_OK;
    if (status == RUB_OK && !s->no_files)
        status = rub_folder_make(s->out, &err);
    if (status == RUB_OK && s->resume)
        status = rub_plan_checkpoint_read(s->resume, &resumed, &err);
    if (status == RUB_OK && s->checkpoint)
        status = rub_file_can_write(s->checkpoint, &err);
    if (status == RUB_OK)
        status = check_what_ifs(args[0], s, &err);
    status = rub_ranks_agree(rub_ranks_job(), status, &err); /* files may be there on some only */
    if (status == RUB_OK)
        status = run_one(args[0], s, &first, &progress, &document, &outcome, &err);
    if (status == RUB_OK && outcome != RUB_OUTCOME_INFEASIBLE)
        status = compare(args[0], s, &progress, &warm, document, &err);
    rub_plan_warm_clear(&warm);
    rub_plan_warm_clear(&resumed);
    rub_command_progress_end();
    if (status == RUB_OK && old)
        json_object_set_new(document, "since", rub_plan_since(old, document));
    if (status == RUB_OK)
        status = print(s, document, &err);
    json_decref(old);
    json_decref(document);
    if (status != RUB_OK)
        return fail(&err);
    return outcome == RUB_OUTCOME_INFEASIBLE ? 1 : 0;
}

#define OPTION(name, kind, field, meta, help, min, max)                                            \
    { name, RUB_OPTION_##kind, offsetof(plan_settings, field), meta, help, min, max, NULL }

static const rub_option options[] = {
    OPTION(
        "what-if", LIST, what_if, "KEY=VALUE",
        "also plan with this value of the study and say what changes; may be given several times",
        0, 0),
    OPTION("gap", DOUBLE, gap, "PERCENT", "stop when no plan can be better by more than this (1)",
           0, 100),
    OPTION("time-limit", DOUBLE, time_limit, "SECONDS", "stop searching after so long (60)", 0.01,
           1e7),
    OPTION("worth-time", DOUBLE, worth_time, "SECONDS",
           "time for VSS, EVPI and the value of options (20)", 0.01, 1e7),
    OPTION("no-worth", FLAG, no_worth, NULL, "leave VSS, EVPI and the value of options out", 0, 0),
    OPTION(
        "evaluate", INT, evaluate, "PATHS",
        "run the plan on this many fresh futures, against simpler plans (0; 10000 takes seconds)",
        0, 10000000),
    OPTION("stability", INT, stability, "TREES",
           "also plan on this many other trees and say how much the worth varies (0)", 0, 1000),
    OPTION("iterations", INT, iterations, "N",
           "a fixed amount of search instead of time: the same plan on any machine", 0, 1e9),
    OPTION("seed", INT, seed, "N", "seed of paths, tree and search (the study's)", 0, 9e15),
    OPTION("threads", INT, threads, "N", "threads; 0 = all cores", 0, 1024),
    OPTION("since", STRING, since, "PLAN.json",
           "an earlier plan: also say what has changed since then", 0, 0),
    OPTION("checkpoint", STRING, checkpoint, "FILE",
           "keep the best plan so far in this file, for --resume", 0, 0),
    OPTION("checkpoint-every", DOUBLE, checkpoint_every, "SECONDS", "how often (30)", 0, 1e7),
    OPTION("resume", STRING, resume, "FILE", "go on from a checkpoint of the same study", 0, 0),
    OPTION("out", STRING, out, "FOLDER", "where plan and brief are written (out)", 0, 0),
    OPTION("no-files", FLAG, no_files, NULL, "write no files", 0, 0),
    RUB_OPTION_JSON(plan_settings),
    {0}};

const rub_command rub_cmd_plan = {
    .name = "plan",
    .summary = "the whole chain: what to do now with every site and lease, and why",
    .arguments = "STUDY.yaml",
    .min_args = 1,
    .max_args = 1,
    .description = "Sizes each workload on each accelerator generation by simulation, simulates "
                   "the study's futures, reduces them to a "
                   "scenario tree, and finds a plan with a proven gap. Prints for each site the "
                   "action now, why, and the rules for later; supply "
                   "against demand; capex by fiscal year against budget; the distribution of net "
                   "present value; the value of flexibility. "
                   "Writes the plan as JSON and a brief as one HTML page. Ctrl-C keeps the best "
                   "plan so far.\n\n"
                   "Exit status 1 when no plan keeps every limit; the reason names the limit.",
    .examples = "  rubato plan examples/hyperscaler-2025.yaml --what-if partner.leaves=2025-Q2\n"
                "  rubato plan study.yaml --time-limit 30 --no-worth --json",
    .options = options,
    .settings_size = sizeof(plan_settings),
    .defaults = defaults,
    .ranks = true,
    .run = run};
