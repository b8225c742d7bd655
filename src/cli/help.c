#include "cli/help.h"

#include <string.h>

#define WIDTH 96

/* Words wrapped to the width; blank lines part paragraphs; lines that begin with a space are kept.
 */
static void wrap(FILE *out, const char *text, int indent, int column) {
    while (*text) {
        if (*text == '\n') {
            fprintf(out, "\n");
            column = 0;
            text++;
            continue;
        }
        if (column == 0)
            column = fprintf(out, "%*s", indent, "");
        int n = (int)strcspn(text, " \n");
        if (column + n > WIDTH && column > indent) {
            fprintf(out, "\n");
            column = fprintf(out, "%*s", indent, "");
        }
        fprintf(out, "%.*s", n, text);
        column += n;
        text += n;
        if (*text == ' ') {
            if (column < WIDTH)
                column += fprintf(out, " ");
            text++;
        }
    }
    fprintf(out, "\n");
}

static void option_head(char *buf, size_t size, const rub_option *o) {
    if (o->kind == RUB_OPTION_CHOICE) {
        int n = snprintf(buf, size, "--%s ", o->name);
        for (int i = 0; o->choices[i]; i++)
            n += snprintf(buf + n, n < (int)size ? size - (size_t)n : 0, "%s%s", i ? "|" : "",
                          o->choices[i]);
    } else
        snprintf(buf, size, "--%s%s%s", o->name, o->meta ? " " : "", o->meta ? o->meta : "");
}

void rub_help_command(FILE *out, const rub_command *command) {
    fprintf(out, "rubato %s - %s\n\nusage: rubato %s%s%s [options]\n\n", command->name,
            command->summary, command->name, *command->arguments ? " " : "", command->arguments);
    wrap(out, command->description, 0, 0);
    fprintf(out, "\noptions:\n");
    for (const rub_option *o = command->options; o->name; o++) {
        char head[160];
        option_head(head, sizeof head, o);
        int column = fprintf(out, "  %-26s ", head);
        if (column > 29) {
            fprintf(out, "\n");
            column = 0;
        }
        wrap(out, o->help, 29, column);
    }
    fprintf(out, "  %-26s print this help\n", "--help");
    if (command->examples)
        fprintf(out, "\nexamples:\n%s\n", command->examples);
}

void rub_help_all(FILE *out, const rub_command *const *commands) {
    fprintf(out,
            "rubato %s - paces AI capacity with demand\n\n"
            "usage: rubato COMMAND [arguments] [options]\n\ncommands:\n",
            rub_version());
    for (int i = 0; commands[i]; i++)
        fprintf(out, "  %-14s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out,
            "\nrubato COMMAND --help tells more; every command takes --json.\n"
            "exit status: 0 done, 1 a negative outcome (no fleet meets the targets, no plan keeps "
            "every limit), 2 bad input\n");
}

static void roff(FILE *out, const char *text) {
    for (bool start = true; *text; text++) {
        if (start && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else
            fputc(*text, out);
        start = *text == '\n';
    }
}

void rub_help_man(FILE *out, const rub_command *command) {
    fprintf(out,
            ".TH \"RUBATO %s\" 1 \"\" \"rubato %s\"\n.SH NAME\nrubato %s \\- %s\n.SH SYNOPSIS\n"
            ".B rubato %s\n%s [options]\n.SH DESCRIPTION\n",
            command->name, rub_version(), command->name, command->summary, command->name,
            command->arguments);
    roff(out, command->description);
    fprintf(out, "\n.SH OPTIONS\n");
    for (const rub_option *o = command->options; o->name; o++) {
        char head[160];
        option_head(head, sizeof head, o);
        fprintf(out, ".TP\n.B ");
        roff(out, head);
        fprintf(out, "\n");
        roff(out, o->help);
        fprintf(out, "\n");
    }
    if (command->examples) {
        fprintf(out, ".SH EXAMPLES\n.nf\n");
        roff(out, command->examples);
        fprintf(out, "\n.fi\n");
    }
    fprintf(out, ".SH EXIT STATUS\n0 done; 1 a negative outcome; 2 bad input.\n");
}

void rub_help_markdown(FILE *out, const rub_command *command) {
    fprintf(out,
            "# rubato %s\n\n%s.\n\n    rubato %s%s%s [options]\n\n%s\n\n| option | meaning "
            "|\n|---|---|\n",
            command->name, command->summary, command->name, *command->arguments ? " " : "",
            command->arguments, command->description);
    for (const rub_option *o = command->options; o->name; o++) {
        char head[160];
        option_head(head, sizeof head, o);
        fprintf(out, "| `");
        for (const char *c = head; *c; c++)
            fprintf(out, *c == '|' ? "\\|" : "%c", *c);
        fprintf(out, "` | %s |\n", o->help);
    }
    if (command->examples)
        fprintf(out, "\n## Examples\n\n```\n%s\n```\n", command->examples);
}
