#include "cli/help.h"

#include <string.h>

#define WIDTH 96

/* Words wrapped to the width, from `column` on; blank lines part paragraphs; lines that begin with a
 * blank are kept as they are. */
static void wrap(FILE *out, const char *text, int indent, int column) {
    while (*text) {
        int n = (int)strcspn(text, " \n");
        if (*text == '\n') {
            fprintf(out, "\n");
            column = 0;
            text++;
        } else if (*text == ' ' && column == 0) {
            n = (int)strcspn(text, "\n");
            column = fprintf(out, "%*s%.*s", indent, "", n, text);
            text += n;
        } else if (*text == ' ') {
            text++;
        } else if (column > indent && column + 1 + n > WIDTH) {
            fprintf(out, "\n");
            column = 0;
        } else {
            column += fprintf(out, "%*s%.*s", column == 0 ? indent : column > indent, "", n, text);
            text += n;
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
        bool beside = strlen(head) <= 26;
        int column = beside ? fprintf(out, "  %-26s ", head) : fprintf(out, "  %s\n", head) * 0;
        wrap(out, o->help, 29, column);
    }
    fprintf(out, "  %-26s print this help\n  %-26s print the manual page (roff)\n", "--help",
            "--man");
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
    fprintf(
        out,
        "\nrubato COMMAND --help tells more; every command takes --json (a failure is then also "
        "told on\nstandard output, as {\"errors\": [{file, line, column, message}]}).\n"
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
        else if (*text == '\n' && text[1] == '\n') {
            fputs("\n.PP", out); /* a blank line parts paragraphs */
            while (text[1] == '\n' && text[2] == '\n')
                text++;
        } else
            fputc(*text, out);
        start = *text == '\n';
    }
}

/* "trace info" -> "trace-info", as its page is called. */
static void page_name(char *buf, size_t size, const rub_command *command) {
    snprintf(buf, size, "%s", command->name);
    for (char *c = buf; *c; c++)
        *c = *c == ' ' ? '-' : *c;
}

static const char exit_status[] =
    ".SH EXIT STATUS\n0: done. 1: a negative outcome, such as no fleet that meets the targets, or "
    "the "
    "work was interrupted. 2: bad input; one line on standard error says where, what was found and "
    "what was expected; with \\-\\-json standard output also holds {\"errors\": [{file, line, "
    "column, "
    "message}]}.\n";

void rub_help_man(FILE *out, const rub_command *command) {
    char page[64];
    page_name(page, sizeof page, command);
    fprintf(out, ".TH \"RUBATO\\-");
    for (const char *c = page; *c; c++)
        fprintf(out, *c == '-' ? "\\-" : "%c", *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    fprintf(out, "\" 1 \"\" \"rubato %s\"\n.SH NAME\n", rub_version());
    fprintf(out, "rubato\\-");
    roff(out, page);
    fprintf(out, " \\- ");
    roff(out, command->summary);
    fprintf(out, "\n.SH SYNOPSIS\n.B rubato %s\n", command->name);
    roff(out, command->arguments);
    fprintf(out, "%s[options]\n.SH DESCRIPTION\n", *command->arguments ? " " : "");
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
    fprintf(out, ".TP\n.B \\-\\-help\nprint the help\n.TP\n.B \\-\\-man\nprint this page as "
                 "roff\n");
    if (command->examples) {
        fprintf(out, ".SH EXAMPLES\n.nf\n");
        roff(out, command->examples);
        fprintf(out, "\n.fi\n");
    }
    fprintf(out, "%s.SH SEE ALSO\n.BR rubato (1)\n", exit_status);
}

void rub_help_man_all(FILE *out, const rub_command *const *commands) {
    fprintf(out,
            ".TH RUBATO 1 \"\" \"rubato %s\"\n.SH NAME\nrubato \\- paces AI capacity with "
            "demand\n.SH SYNOPSIS\n.B rubato\nCOMMAND [arguments] [options]\n.SH DESCRIPTION\n"
            "From request traces to tokens per second, accelerators, megawatts, sites and leases, "
            "and one decision for each site and lease. Every command takes \\-\\-help and "
            "\\-\\-json.\n.SH COMMANDS\n",
            rub_version());
    for (int i = 0; commands[i]; i++) {
        char page[64];
        page_name(page, sizeof page, commands[i]);
        fprintf(out, ".TP\n.BR rubato\\-");
        roff(out, page);
        fprintf(out, " (1)\n");
        roff(out, commands[i]->summary);
        fprintf(out, "\n");
    }
    fprintf(out, "%s", exit_status);
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
