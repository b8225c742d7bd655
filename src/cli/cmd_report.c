/* rubato report: a plan document as brief, tables, text. */
#include "cli/commands.h"

#include "base/file.h"
#include "rubato/report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct report_settings {
    const char *html, *csv;
    bool json;
} report_settings;

static rub_status write_html(const json_t *plan, const char *path, rub_error *err) {
    char *html = NULL;
    rub_status status = rub_report_html(plan, &html, err);
    if (status == RUB_OK)
        status = rub_file_write(path, html, strlen(html), err);
    free(html);
    return status;
}

static rub_status write_tables(const json_t *plan, const char *folder, rub_error *err) {
    rub_status status = rub_folder_make(folder, err);
    for (int i = 0; status == RUB_OK && rub_report_tables[i]; i++) {
        char path[1024], *csv = NULL;
        snprintf(path, sizeof path, "%s/%s.csv", folder, rub_report_tables[i]);
        status = rub_report_csv(plan, rub_report_tables[i], &csv, err);
        if (status == RUB_OK)
            status = rub_file_write(path, csv, strlen(csv), err);
        free(csv);
    }
    return status;
}

static int run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args;
    const report_settings *s = settings;
    rub_error err = {0};
    json_t *plan = NULL;
    char *text = NULL;
    rub_status status = rub_report_read(args[0], &plan, &err);
    if (status == RUB_OK && s->html)
        status = write_html(plan, s->html, &err);
    if (status == RUB_OK && s->csv)
        status = write_tables(plan, s->csv, &err);
    if (status == RUB_OK && s->json)
        rub_command_print_json(json_incref(plan));
    else if (status == RUB_OK && !s->html && !s->csv)
        status = rub_report_terminal(plan, isatty(STDOUT_FILENO) != 0, &text, &err);
    if (status == RUB_OK && text)
        fputs(text, stdout);
    free(text);
    json_decref(plan);
    return status == RUB_OK ? 0 : rub_command_fail(&err);
}

static const rub_option options[] = {
    {"html", RUB_OPTION_STRING, offsetof(report_settings, html), "FILE",
     "write the brief: one self-contained page", 0, 0, NULL},
    {"csv", RUB_OPTION_STRING, offsetof(report_settings, csv), "FOLDER",
     "write one table a part of the plan: sites.csv, ahead.csv, supply.csv, ... sources.csv", 0, 0,
     NULL},
    RUB_OPTION_JSON(report_settings),
    {0}};

const rub_command rub_cmd_report = {
    .name = "report",
    .summary = "a plan as a brief (HTML), tables (CSV) or text",
    .arguments = "PLAN.json",
    .min_args = 1,
    .max_args = 1,
    .description = "Draws a plan document, as 'rubato plan' writes it, again: on the terminal, as "
                   "one self-contained HTML page "
                   "with charts, as CSV tables.",
    .examples = "  rubato report out/hyperscaler-2025-plan.json\n"
                "  rubato report out/hyperscaler-2025-plan.json --html brief.html --csv tables",
    .options = options,
    .settings_size = sizeof(report_settings),
    .run = run};
