/* A command: one table drives parsing, defaults, range checks, --help and the man page.
 *
 * Each command is one file src/cli/cmd_NAME.c that defines one rub_command; main.c lists them. */
#ifndef RUB_CLI_COMMAND_H
#define RUB_CLI_COMMAND_H

#include "rubato/base.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

typedef enum rub_option_kind {
    RUB_OPTION_FLAG,   /* bool */
    RUB_OPTION_INT,    /* int64_t */
    RUB_OPTION_DOUBLE, /* double */
    RUB_OPTION_STRING, /* const char *, borrowed from argv */
    RUB_OPTION_CHOICE, /* int: index into choices */
    RUB_OPTION_LIST,   /* rub_option_values: the option may be given several times */
} rub_option_kind;

typedef struct rub_option_values {
    const char **values;
    size_t n, cap;
} rub_option_values;

typedef struct rub_option {
    const char *name; /* "max-seqs": --max-seqs N or --max-seqs=N */
    rub_option_kind kind;
    size_t offset;              /* of the field in the command's settings struct */
    const char *meta;           /* "N", "FILE", "SECONDS"; NULL for flags */
    const char *help;           /* one sentence; unit included */
    double min, max;            /* INT, DOUBLE: allowed range, both 0 when any */
    const char *const *choices; /* CHOICE: NULL-terminated */
} rub_option;

typedef struct rub_command rub_command;
struct rub_command {
    const char *name;          /* "simulate", "trace info" */
    const char *summary;       /* one line, no full stop */
    const char *arguments;     /* "FILE", "" */
    int min_args, max_args;    /* positional arguments; max_args -1 = any number */
    const char *description;   /* paragraphs parted by blank lines */
    const char *examples;      /* "command\n    what it does" lines, or NULL */
    const rub_option *options; /* ends with {0} */
    size_t settings_size;
    void (*defaults)(void *settings);
    bool ranks; /* works on several ranks of a job (cli/ranks.h) */
    /* Returns the exit status: 0 done, 1 negative outcome, 2 bad input. */
    int (*run)(const rub_command *self, const void *settings, int n_args, char **args);
};

/* Parses argv (without the command's words) by the table and runs it; returns the exit status. */
int rub_command_run(const rub_command *command, int argc, char **argv);

/* Prints a document (its reference is taken) on standard output; returns the exit status. */
int rub_command_print_json(json_t *document);

/* Prints "rubato: file:line:column: message" to stderr; returns the exit status (2, or 1 for an
 * interruption or a solver failure). With --json also {"errors": [...]} to standard output. */
int rub_command_fail(const rub_error *err);

/* {"file", "line", "column", "message"} of an error; file null and line 0 where they do not matter.
 * What is no printable UTF-8 becomes '?'. */
json_t *rub_command_error_json(const rub_error *err);

/* Prints one line to stderr, whatever bytes it quotes: what is no printable UTF-8 becomes '?'. */
void rub_command_complain(const char *line);

/* true with --json; every command has it as field `bool json`. */
#define RUB_OPTION_JSON(type)                                                                      \
    {                                                                                              \
        "json", RUB_OPTION_FLAG, offsetof(type, json), NULL,                                       \
            "print one JSON document instead of text", 0, 0, NULL                                  \
    }

/* Progress on a terminal (stderr): rate, share done, time left; silent in a pipe. SIGINT makes the
 * report function return false once, so that the call keeps its best result so far. */
rub_progress rub_command_progress(void);

/* Takes the progress line off the terminal, if one stands there. */
void rub_command_progress_end(void);

#endif
