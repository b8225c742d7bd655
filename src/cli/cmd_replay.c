/* rubato replay: dated information walked through quarter by quarter. */
#include "cli/commands.h"

#include "base/file.h"
#include "rubato/replay.h"
#include "rubato/report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct replay_settings {
    rub_option_values what_if;
    double gap, time_limit, hindsight_gap, hindsight_time;
    int64_t seed, threads, iterations;
    const char *out;
    bool no_files, json;
} replay_settings;

static void defaults(void *settings) {
    rub_replay_def d = rub_replay_default();
    *(replay_settings *)settings = (replay_settings){.gap = 100 * d.solve.gap_frac,
                                                     .time_limit = d.solve.time_limit_s,
                                                     .hindsight_gap = 100 * d.hindsight_gap_frac,
                                                     .hindsight_time = d.hindsight_time_s,
                                                     .seed = -1,
                                                     .out = "out"};
}

/* out/NAME-replay.json */
static rub_status write_file(const replay_settings *s, const json_t *document, char *path,
                             size_t size, rub_error *err) {
    const char *name =
        json_string_value(json_object_get(json_object_get(document, "study"), "name"));
    char *json = json_dumps(document, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    if (!json)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory while writing JSON");
    snprintf(path, size, "%s/%s-replay.json", s->out, name ? name : "study");
    rub_status status = rub_file_write(path, json, strlen(json), err);
    free(json);
    return status;
}

static rub_status print(const replay_settings *s, json_t *document, rub_error *err) {
    char path[1024], *text = NULL;
    rub_status status = RUB_OK;
    if (!s->no_files)
        status = write_file(s, document, path, sizeof path, err);
    if (status == RUB_OK && s->json) {
        rub_command_print_json(json_incref(document));
        return RUB_OK;
    }
    if (status == RUB_OK)
        status = rub_report_replay(document, isatty(STDOUT_FILENO) != 0, &text, err);
    if (status == RUB_OK)
        fputs(text, stdout);
    if (status == RUB_OK && !s->no_files)
        printf("\nwritten: %s\n", path);
    free(text);
    return status;
}

static int run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args;
    const replay_settings *s = settings;
    rub_progress progress = rub_command_progress();
    rub_error err = {0};
    json_t *document = NULL;
    rub_replay_def def = rub_replay_default();
    def.solve.gap_frac = s->gap / 100.0;
    def.solve.time_limit_s = s->time_limit;
    def.solve.n_thread = (int32_t)s->threads;
    def.solve.iterations = s->iterations;
    def.hindsight_gap_frac = s->hindsight_gap / 100.0;
    def.hindsight_time_s = s->hindsight_time;
    def.seed = s->seed;
    def.what_if = s->what_if.values;
    def.n_what_if = s->what_if.n;
    rub_status status = s->no_files ? RUB_OK : rub_folder_make(s->out, &err);
    if (status == RUB_OK)
        status = rub_replay_run(args[0], &def, &progress, &document, &err);
    rub_command_progress_end();
    if (status == RUB_OK)
        status = print(s, document, &err);
    json_decref(document);
    return status == RUB_OK ? 0 : rub_command_fail(&err);
}

#define OPTION(name, kind, field, meta, help, min, max)                                            \
    { name, RUB_OPTION_##kind, offsetof(replay_settings, field), meta, help, min, max, NULL }

static const rub_option options[] = {
    OPTION("gap", DOUBLE, gap, "PERCENT", "of each quarter's plan (2)", 0, 100),
    OPTION("time-limit", DOUBLE, time_limit, "SECONDS", "for each quarter's plan (30)", 0.01, 1e7),
    OPTION("hindsight-gap", DOUBLE, hindsight_gap, "PERCENT",
           "of the plans that know the outcome (1)", 0, 100),
    OPTION("hindsight-time", DOUBLE, hindsight_time, "SECONDS", "for each of them (30)", 0.01, 1e7),
    OPTION("what-if", LIST, what_if, "KEY=VALUE",
           "changes one value of the study before the dated rows; may be given several times", 0,
           0),
    OPTION("iterations", INT, iterations, "N",
           "a fixed amount of search instead of time: the same replay on any machine", 0, 1e9),
    OPTION("seed", INT, seed, "N", "seed of paths, trees and search (the study's)", 0, 9e15),
    OPTION("threads", INT, threads, "N", "threads; 0 = all cores", 0, 1024),
    OPTION("out", STRING, out, "FOLDER", "where the replay is written (out)", 0, 0),
    OPTION("no-files", FLAG, no_files, NULL, "write no files", 0, 0),
    RUB_OPTION_JSON(replay_settings),
    {0}};

const rub_command rub_cmd_replay = {
    .name = "replay",
    .summary = "walk through dated information: what would have been decided, and its regret",
    .arguments = "STUDY.yaml",
    .min_args = 1,
    .max_args = 1,
    .description =
        "Walks through the study's 'replay' section quarter by quarter. Each quarter is planned "
        "anew with the rows dated before it and no later one; its first decisions are taken and "
        "stand beside what was reported to have been done. Then every path (as planned, as "
        "reported, everything built) is costed under what demand turned out to be, by the "
        "evaluator that shares no code with the planner, and set against the best for who knew it: "
        "the regret.\n\n"
        "docs/replay.md tells what a decision may see, how figures are carried from quarter to "
        "quarter, and how paths are compared. Rows say of themselves whether they are public or "
        "assumed.",
    .examples = "  rubato replay examples/hyperscaler-replay.yaml\n"
                "  rubato replay study.yaml --iterations 20 --json",
    .options = options,
    .settings_size = sizeof(replay_settings),
    .defaults = defaults,
    .run = run};
