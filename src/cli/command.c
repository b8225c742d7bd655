/* Parsing by table: one list of options drives values, defaults, range checks and --help. */
#include "cli/command.h"

#include "base/array.h"
#include "base/text.h"
#include "cli/help.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --json stands among the arguments: a failure is told as a document too. */
static bool wants_json;

static void fail_in_json(const rub_error *err) {
    if (wants_json)
        rub_command_print_json(json_pack("{s:[o]}", "errors", rub_command_error_json(err)));
}

static int complain(const rub_command *command, const char *text) {
    char line[700];
    rub_error err = {.code = RUB_INVALID};
    snprintf(err.message, sizeof err.message, "%.500s", text);
    fail_in_json(&err);
    snprintf(line, sizeof line, "rubato %s: %.500s (see rubato %s --help)", command->name, text,
             command->name);
    rub_command_complain(line);
    return 2;
}

static const rub_option *find(const rub_command *command, const char *name, size_t n) {
    for (const rub_option *o = command->options; o->name; o++)
        if (strlen(o->name) == n && !strncmp(o->name, name, n))
            return o;
    return NULL;
}

static int unknown(const rub_command *command, const char *given) {
    const char *names[96], *near;
    size_t n = 0;
    for (const rub_option *o = command->options; o->name && n < RUB_LEN(names); o++)
        names[n++] = o->name;
    near = rub_text_nearest(given, names, n);
    char text[256];
    snprintf(text, sizeof text, "unknown option --%.80s%s%s%s", given,
             near ? ", did you mean --" : "", near ? near : "", near ? "?" : "");
    return complain(command, text);
}

static int bad_value(const rub_command *command, const rub_option *o, const char *value,
                     const char *expected) {
    char text[512];
    snprintf(text, sizeof text, "--%s: found '%.80s', expected %.300s", o->name, value, expected);
    return complain(command, text);
}

static int set_number(const rub_command *command, const rub_option *o, const char *value,
                      void *field) {
    char *end = NULL, expected[128];
    bool whole = o->kind == RUB_OPTION_INT, ranged = o->min != 0 || o->max != 0;
    errno = 0;
    long long i = whole ? strtoll(value, &end, 10) : 0;
    double d = whole ? (double)i : strtod(value, &end);
    bool bad = end == value || *end || errno == ERANGE || !(d - d == 0);
    if (bad || (ranged && (d < o->min || d > o->max))) {
        if (ranged)
            snprintf(expected, sizeof expected, "%s from %.15g to %.15g",
                     whole ? "an integer" : "a number", o->min, o->max);
        else
            snprintf(expected, sizeof expected, "%s", whole ? "an integer" : "a number");
        return bad_value(command, o, value, expected);
    }
    if (whole)
        *(int64_t *)field = i;
    else
        *(double *)field = d;
    return 0;
}

static int set_choice(const rub_command *command, const rub_option *o, const char *value,
                      int *field) {
    rub_text names = {0};
    int n = 0;
    for (int i = 0; o->choices[i]; i++, n++) {
        if (!strcmp(o->choices[i], value)) {
            *field = i;
            rub_text_clear(&names);
            return 0;
        }
        rub_text_add(&names, "%s%s", i ? ", " : "one of ", o->choices[i]);
    }
    const char *near = rub_text_nearest(value, o->choices, (size_t)n);
    if (near)
        rub_text_add(&names, ", did you mean '%s'?", near);
    int rc = bad_value(command, o, value, names.data ? names.data : "another value");
    rub_text_clear(&names);
    return rc;
}

static int set_value(const rub_command *command, const rub_option *o, const char *value,
                     void *settings) {
    void *field = (char *)settings + o->offset;
    switch (o->kind) {
    case RUB_OPTION_FLAG:
        *(bool *)field = true;
        return 0;
    case RUB_OPTION_INT:
    case RUB_OPTION_DOUBLE:
        return set_number(command, o, value, field);
    case RUB_OPTION_STRING:
        *(const char **)field = value;
        return 0;
    case RUB_OPTION_CHOICE:
        return set_choice(command, o, value, field);
    case RUB_OPTION_LIST: {
        rub_option_values *list = field;
        return RUB_ARRAY_PUSH(list->values, list->n, list->cap, value) == RUB_OK
                   ? 0
                   : complain(command, "out of memory");
    }
    }
    return 2;
}

/* Handles argv[*i] == "--name[=value]"; moves *i over a separate value. */
static int take_option(const rub_command *command, int argc, char **argv, int *i, void *settings) {
    const char *name = argv[*i] + 2, *equals = strchr(name, '=');
    size_t n = equals ? (size_t)(equals - name) : strlen(name);
    const rub_option *o = find(command, name, n);
    char given[96];
    snprintf(given, sizeof given, "%.*s", (int)(n < 90 ? n : 90), name);
    if (!o)
        return unknown(command, given);
    if (o->kind == RUB_OPTION_FLAG)
        return equals ? bad_value(command, o, equals + 1, "no value: it is a flag")
                      : set_value(command, o, NULL, settings);
    if (!equals && *i + 1 >= argc)
        return bad_value(command, o, "", o->meta ? o->meta : "a value");
    return set_value(command, o, equals ? equals + 1 : argv[++*i], settings);
}

static bool has_json(const rub_command *command, int argc, char **argv) {
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--json"))
            return find(command, "json", 4) != NULL;
    return false;
}

static void free_lists(const rub_command *command, void *settings) {
    for (const rub_option *o = command->options; o->name; o++)
        if (o->kind == RUB_OPTION_LIST)
            free(((rub_option_values *)((char *)settings + o->offset))->values);
}

static int check_count(const rub_command *command, int n) {
    char text[160];
    if (n < command->min_args) {
        snprintf(text, sizeof text, "found %d argument%s, expected %s", n, n == 1 ? "" : "s",
                 command->arguments);
        return complain(command, text);
    }
    if (command->max_args >= 0 && n > command->max_args) {
        snprintf(text, sizeof text, "found %d arguments, expected %s", n,
                 *command->arguments ? command->arguments : "none");
        return complain(command, text);
    }
    return 0;
}

static bool is_page(const char *arg) {
    return !strcmp(arg, "--help") || !strcmp(arg, "-h") || !strcmp(arg, "--man");
}

int rub_command_run(const rub_command *command, int argc, char **argv) {
    wants_json = has_json(command, argc, argv);
    void *settings = rub_calloc(1, command->settings_size);
    char **args = rub_calloc((size_t)argc + 1, sizeof *args);
    int n_args = 0, rc = settings && args ? 0 : complain(command, "out of memory");
    if (rc == 0 && command->defaults)
        command->defaults(settings);
    bool options_end = false;
    for (int i = 0; i < argc && rc == 0; i++) {
        if (!options_end && !strcmp(argv[i], "--"))
            options_end = true;
        else if (!options_end && is_page(argv[i])) {
            if (!strcmp(argv[i], "--man"))
                rub_help_man(stdout, command);
            else
                rub_help_command(stdout, command);
            free(args);
            free_lists(command, settings);
            free(settings);
            return 0;
        } else if (!options_end && !strncmp(argv[i], "--", 2))
            rc = take_option(command, argc, argv, &i, settings);
        else if (!options_end && argv[i][0] == '-' && argv[i][1])
            rc = unknown(command, argv[i] + 1);
        else
            args[n_args++] = argv[i];
    }
    if (rc == 0)
        rc = check_count(command, n_args);
    if (rc == 0)
        rc = command->run(command, settings, n_args, args);
    if (settings)
        free_lists(command, settings);
    free(settings);
    free(args);
    return rc;
}

/* Length of the UTF-8 character at c, or 0: a control character or no UTF-8. */
static size_t character(const unsigned char *c) {
    size_t n = *c < 0x80 ? 1 : *c >= 0xc2 && *c < 0xe0 ? 2 : (*c & 0xf0) == 0xe0 ? 3 : 4;
    if (*c < 0x20 || *c == 0x7f || (*c >= 0x80 && *c < 0xc2) || *c > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    if ((*c == 0xe0 && c[1] < 0xa0) || (*c == 0xed && c[1] > 0x9f) || (*c == 0xf0 && c[1] < 0x90) ||
        (*c == 0xf4 && c[1] > 0x8f))
        return 0; /* longer than it need be, half of a pair, or beyond Unicode */
    return n;
}

/* Copies text with '?' for what is no printable UTF-8; buf has room for all of it. */
static char *printable(const char *text, char *buf) {
    char *out = buf;
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        size_t n = character(c);
        if (n == 0)
            *out++ = '?';
        else
            memcpy(out, c, n);
        out += n;
        c += n ? n : 1;
    }
    *out = '\0';
    return buf;
}

void rub_command_complain(const char *line) {
    char *buf = malloc(strlen(line) + 1);
    rub_command_progress_end();
    fprintf(stderr, "%s\n", buf ? printable(line, buf) : "rubato: out of memory");
    free(buf);
}

json_t *rub_command_error_json(const rub_error *err) {
    char file[sizeof err->file], message[sizeof err->message];
    return json_pack("{s:s?,s:I,s:I,s:s}", "file", *err->file ? printable(err->file, file) : NULL,
                     "line", (json_int_t)err->line, "column", (json_int_t)err->column, "message",
                     printable(err->message, message));
}

int rub_command_fail(const rub_error *err) {
    char text[900], line[920];
    bool stopped = err->code == RUB_INTERRUPTED;
    fail_in_json(stopped ? &(rub_error){.message = "interrupted"} : err);
    snprintf(line, sizeof line, "rubato: %s",
             stopped ? "interrupted" : rub_error_format(err, text, sizeof text));
    rub_command_complain(line);
    return err->code == RUB_INTERRUPTED || err->code == RUB_SOLVER ? 1 : 2;
}

int rub_command_print_json(json_t *document) {
    char *text = json_dumps(document, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    json_decref(document);
    if (!text) {
        fprintf(stderr, "rubato: out of memory while writing JSON\n");
        return 2;
    }
    puts(text);
    free(text);
    return 0;
}

/* ---- progress ------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number) {
    interrupted = 1;
    signal(signal_number, SIG_DFL); /* the second one kills */
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* One line on stderr, rewritten at most ten times a second; only on a terminal. */
typedef struct meter {
    bool tty;
    double started_s, shown_s;
    char what[64];
} meter;

static meter progress_meter;

void rub_command_progress_end(void) {
    if (progress_meter.tty && progress_meter.shown_s > 0)
        fprintf(stderr, "\r\033[K");
    progress_meter.shown_s = 0.0;
}

static bool report(void *ctx, const char *what, double done, double total, const char *extra) {
    meter *m = ctx;
    double now = now_s();
    if (!m->tty)
        return !interrupted;
    if (strncmp(m->what, what, sizeof m->what - 1) != 0) {
        snprintf(m->what, sizeof m->what, "%s", what);
        m->started_s = now;
        m->shown_s = 0.0;
    }
    if (now - m->shown_s > 0.1 || done >= total) {
        double spent = now - m->started_s, rate = spent > 0 ? done / spent : 0.0;
        double left = rate > 0 && total > done ? (total - done) / rate : 0.0;
        char per_s[32];
        fprintf(stderr, "\r\033[K%s: %3.0f %%, %s/s, %.0f s left%s%s", what,
                total > 0 ? 100.0 * done / total : 0.0, rub_text_si(rate, per_s, sizeof per_s),
                left, extra ? ", " : "", extra ? extra : "");
        if (done >= total)
            fprintf(stderr, "\r\033[K");
        fflush(stderr);
        m->shown_s = now;
    }
    return !interrupted;
}

rub_progress rub_command_progress(void) {
    progress_meter = (meter){.tty = isatty(STDERR_FILENO) != 0};
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    return (rub_progress){.report = report, .ctx = &progress_meter};
}
