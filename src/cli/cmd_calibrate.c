/* rubato calibrate: compact operator times from measured tables. */
#include "cli/commands.h"

#include "base/array.h"
#include "base/file.h"
#include "rubato/perf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef struct calibrate_settings {
    const char *system, *out, *source, *date, *against;
    bool json;
} calibrate_settings;

static void defaults(void *settings) {
    calibrate_settings *s = settings;
    s->source = "measured operator tables";
}

/* FOLDER/SYSTEM when there is such a folder, else FOLDER itself. */
static void folder_of(const char *folder, const char *system, char *buf, size_t size) {
    struct stat st;
    snprintf(buf, size, "%s/%s", folder, system);
    if (stat(buf, &st) != 0 || !S_ISDIR(st.st_mode))
        snprintf(buf, size, "%s", folder);
}

static void print_rows(const char *system, const rub_calibration_row *row, size_t n) {
    printf("%s: error on rows of shapes that were left out of the fit\n", system);
    printf("%-8s %-15s %-18s %8s %8s %7s %8s %8s %8s\n", "library", "operator", "format", "fitted",
           "left out", "groups", "median %", "p90 %", "bias %");
    for (size_t i = 0; i < n; i++)
        printf("%-8s %-15s %-18s %8lld %8lld %7lld %8.1f %8.1f %+8.1f%s\n", row[i].library,
               row[i].family, row[i].variant, (long long)row[i].n_fitted,
               (long long)row[i].n_left_out, (long long)row[i].n_group_left_out,
               100.0 * row[i].median, 100.0 * row[i].p90, 100.0 * row[i].bias,
               *row[i].note ? "  (not used)" : "");
}

static json_t *real_or_null(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *rows_json(const rub_calibration_row *row, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:i}",
                            "library", row[i].library, "operator", row[i].family, "format",
                            row[i].variant, "table", row[i].source, "note", row[i].note, "fitted",
                            (json_int_t)row[i].n_fitted, "left_out", (json_int_t)row[i].n_left_out,
                            "groups_left_out", (json_int_t)row[i].n_group_left_out, "median_ape",
                            real_or_null(row[i].median), "p90_ape", real_or_null(row[i].p90),
                            "bias", real_or_null(row[i].bias), "values", row[i].n_value));
    return list;
}

static rub_status write_file(const rub_calibration *c, const char *path, rub_error *err) {
    char *text = NULL;
    size_t n = 0;
    RUB_TRY(rub_calibration_write(c, &text, &n, err));
    rub_status status = rub_file_write(path, text, n, err);
    free(text);
    return status;
}

static rub_status show(const rub_calibration *c, const char *folder, const rub_accelerator *accel,
                       const calibrate_settings *s, rub_error *err) {
    size_t n = rub_calibration_count(c);
    rub_calibration_row *row = RUB_NEW(rub_calibration_row, n);
    rub_status status = row ? RUB_OK : rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    for (size_t i = 0; status == RUB_OK && i < n; i++)
        row[i] = rub_calibration_at(c, i);
    if (status == RUB_OK && s->against)
        status = rub_calibration_judge(c, folder, accel, row, err);
    if (status == RUB_OK && s->json)
        rub_command_print_json(json_pack("{s:s, s:s, s:s, s:o}", "system",
                                         rub_calibration_system(c), "source",
                                         rub_calibration_source(c), "date", rub_calibration_date(c),
                                         "curves", rows_json(row, n)));
    else if (status == RUB_OK)
        print_rows(accel->name, row, n);
    free(row);
    return status;
}

static rub_status make(const char *folder, const rub_accelerator *accel,
                       const calibrate_settings *s, rub_calibration **out, rub_error *err) {
    char today[16];
    time_t now = time(NULL);
    struct tm t;
    strftime(today, sizeof today, "%Y-%m-%d", gmtime_r(&now, &t));
    if (s->against)
        return rub_calibration_read(s->against, out, err);
    rub_progress progress = rub_command_progress();
    return rub_calibrate(folder, accel, s->source, s->date ? s->date : today, &progress, out, err);
}

static int run(const rub_command *self, const void *settings, int n_args, char **args) {
    (void)self, (void)n_args;
    const calibrate_settings *s = settings;
    char folder[4096];
    rub_error err = {0};
    rub_catalog *catalog = NULL;
    const rub_accelerator *accel = NULL;
    rub_calibration *c = NULL;
    rub_status status = RUB_OK;
    if (!s->system)
        status = rub_error_set(&err, RUB_INVALID,
                               "no --system, expected the accelerator that was measured");
    if (status == RUB_OK)
        status = rub_catalog_load(&catalog, &err);
    if (status == RUB_OK)
        status = rub_catalog_accelerator(catalog, s->system, &accel, &err);
    if (status == RUB_OK && s->out)
        status = rub_file_can_write(s->out, &err);
    if (status == RUB_OK) {
        folder_of(args[0], s->system, folder, sizeof folder);
        status = make(folder, accel, s, &c, &err);
    }
    if (status == RUB_OK && s->out)
        status = write_file(c, s->out, &err);
    if (status == RUB_OK)
        status = show(c, folder, accel, s, &err);
    rub_calibration_free(c);
    rub_catalog_free(catalog);
    return status == RUB_OK ? 0 : rub_command_fail(&err);
}

static const rub_option options[] = {
    {"system", RUB_OPTION_STRING, offsetof(calibrate_settings, system), "NAME",
     "accelerator that was measured; its tables lie in FOLDER or FOLDER/NAME", 0, 0, NULL},
    {"out", RUB_OPTION_STRING, offsetof(calibrate_settings, out), "FILE", "write the calibration",
     0, 0, NULL},
    {"source", RUB_OPTION_STRING, offsetof(calibrate_settings, source), "TEXT",
     "where the tables come from, kept in the file", 0, 0, NULL},
    {"date", RUB_OPTION_STRING, offsetof(calibrate_settings, date), "DATE",
     "kept in the file; today when left out", 0, 0, NULL},
    {"against", RUB_OPTION_STRING, offsetof(calibrate_settings, against), "FILE",
     "fit nothing: judge this calibration on the rows that a fit leaves out", 0, 0, NULL},
    RUB_OPTION_JSON(calibrate_settings),
    {0}};

const rub_command rub_cmd_calibrate = {
    .name = "calibrate",
    .summary = "fit compact operator times of an accelerator from measured tables",
    .arguments = "FOLDER",
    .min_args = 1,
    .max_args = 1,
    .description =
        "Reads operator tables (LIBRARY-VERSION.gemm_perf.parquet, .csv or .csv.gz and the like, "
        "in the "
        "columns of ai-dynamo/aiconfigurator), fits a compact form of each operator and format, "
        "and prints "
        "how far it is off on shapes that were left out of the fit: a fifth of the groups, where a "
        "group is all "
        "rows of one (n, k) of products; of one number of heads, KV heads, head size and window of "
        "attention; of one number of heads and requests of latent attention; of one hidden width, "
        "expert width, "
        "top-k, number of experts, TP and EP of experts; of one message size of collectives.",
    .examples = "  rubato calibrate ../shared/data/operators --system h100_sxm\n"
                "  rubato calibrate tables --system l40s --out l40s.json\n"
                "  rubato calibrate tables --system l40s --against l40s.json",
    .options = options,
    .settings_size = sizeof(calibrate_settings),
    .defaults = defaults,
    .run = run};
