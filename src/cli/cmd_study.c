/* rubato study make: random studies of any size. */
#include "cli/commands.h"

#include "base/file.h"
#include "rubato/study.h"

#include <stdlib.h>
#include <string.h>

typedef struct make_settings {
    int64_t sites, blocks, quarters, leaves, seed;
    const char *out;
    bool json;
} make_settings;

static void defaults(void *settings) {
    rub_study_make_def d = rub_study_make_default();
    *(make_settings *)settings = (make_settings){.sites = d.n_site,
                                                 .blocks = d.blocks_per_site,
                                                 .quarters = d.n_quarter,
                                                 .leaves = d.n_leaf,
                                                 .seed = (int64_t)d.seed};
}

static int run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args, (void)args;
    const make_settings *s = settings;
    rub_study_make_def def = {.n_site = (int32_t)s->sites,
                              .blocks_per_site = (int32_t)s->blocks,
                              .n_quarter = (int32_t)s->quarters,
                              .n_leaf = (int32_t)s->leaves,
                              .seed = (uint64_t)s->seed};
    rub_error err = {0};
    char *text = NULL;
    rub_status status = rub_study_make(&def, &text, &err);
    if (status == RUB_OK && s->out)
        status = rub_file_write(s->out, text, strlen(text), &err);
    if (status == RUB_OK && s->json)
        rub_command_print_json(json_pack("{s:I,s:I,s:I,s:I,s:I,s:s*,s:s*}", "sites", s->sites,
                                         "blocks", s->sites * s->blocks, "quarters", s->quarters,
                                         "leaves", s->leaves, "seed", s->seed, "file", s->out,
                                         "study", s->out ? NULL : text));
    else if (status == RUB_OK && !s->out)
        fputs(text, stdout);
    free(text);
    return status == RUB_OK ? 0 : rub_command_fail(&err);
}

#define OPTION(name, kind, field, meta, help, min, max)                                            \
    { name, RUB_OPTION_##kind, offsetof(make_settings, field), meta, help, min, max, NULL }

static const rub_option options[] = {
    OPTION("sites", INT, sites, "N", "how many sites (10)", 1, 2000),
    OPTION("blocks-per-site", INT, blocks, "N", "equal blocks of each (3)", 1, 200),
    OPTION("quarters", INT, quarters, "N", "quarters planned (24)", 2, 60),
    OPTION("leaves", INT, leaves, "N",
           "leaves of the scenario tree (64): a product of 2, 3, 5 and 7", 1, 20000),
    OPTION("seed", INT, seed, "N", "seed (1): the same seed gives the same bytes", 0, 9e15),
    OPTION("out", STRING, out, "FILE", "write here, whole or not at all (standard output)", 0, 0),
    RUB_OPTION_JSON(make_settings),
    {0}};

const rub_command rub_cmd_study_make = {
    .name = "study make",
    .summary = "generate a random study of a given size",
    .arguments = "",
    .description =
        "Writes a study as YAML with every feature switched on: sites in all stages, leases, "
        "options, talks, an anchor partner with a right of first refusal, regions and links, "
        "rental and sublet markets, budgets, grid and supply limits, risk. Yields are given, so "
        "planning needs no simulation. For benchmarks and tests; no figure is of a real company.",
    .examples =
        "  rubato study make --sites 100 --blocks-per-site 3 --quarters 40 --leaves 1024 --seed 7 "
        "> study.yaml\n"
        "  rubato plan study.yaml --time-limit 60 --no-worth --json",
    .options = options,
    .settings_size = sizeof(make_settings),
    .defaults = defaults,
    .run = run};
