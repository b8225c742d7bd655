/* rubato: finds the command and runs it. */
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/ranks.h"

#include "base/array.h"
#include "base/text.h"

#include <locale.h>
#include <signal.h>
#include <string.h>

static const rub_command *const commands[] = {
#define X(name) &rub_cmd_##name,
    RUB_COMMAND_LIST(X)
#undef X
        NULL};

/* The command whose words begin argv; *n_words is how many it takes. */
static const rub_command *find(int argc, char **argv, int *n_words) {
    char two[64];
    for (int words = 2; words >= 1; words--) {
        if (argc < words)
            continue;
        snprintf(two, sizeof two, "%.30s%s%.30s", argv[0], words == 2 ? " " : "",
                 words == 2 ? argv[1] : "");
        for (int i = 0; commands[i]; i++)
            if (!strcmp(commands[i]->name, two)) {
                *n_words = words;
                return commands[i];
            }
    }
    return NULL;
}

static int complain_unknown(const char *given, const char *near) {
    char text[256];
    snprintf(text, sizeof text, "rubato: unknown command '%.60s'%s%s%s (see rubato --help)", given,
             near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
    rub_command_complain(text);
    return 2;
}

/* "trace inf": the nearest of the second words; "trace": which there are. */
static int unknown_second(const char *given, const char *first, const char *second) {
    const char *names[RUB_LEN(commands)], *seconds[RUB_LEN(commands)];
    size_t n = 0, length = strlen(first);
    for (int i = 0; commands[i]; i++)
        if (!strncmp(commands[i]->name, first, length) && commands[i]->name[length] == ' ') {
            names[n] = commands[i]->name;
            seconds[n++] = commands[i]->name + length + 1;
        }
    const char *near = second && *second != '-' ? rub_text_nearest(second, seconds, n) : NULL;
    if (near)
        return complain_unknown(given, near - length - 1);
    if (second && (!strcmp(second, "--help") || !strcmp(second, "-h"))) {
        printf("rubato %s takes a second word:\n", first);
        for (int i = 0; commands[i]; i++)
            if (!strncmp(commands[i]->name, first, length) && commands[i]->name[length] == ' ')
                printf("  %-14s %s\n", commands[i]->name, commands[i]->summary);
        return 0;
    }
    fprintf(stderr, "rubato: %s takes a second word:", first);
    for (size_t k = 0; k < n; k++)
        fprintf(stderr, " '%s'", names[k]);
    fprintf(stderr, "\n");
    return 2;
}

static int unknown(int argc, char **argv) {
    const char *names[RUB_LEN(commands)], *near = NULL;
    size_t n = 0;
    char given[80];
    bool two = argc > 1 && argv[1][0] != '-';
    snprintf(given, sizeof given, "%.30s%s%.30s", argv[0], two ? " " : "", two ? argv[1] : "");
    for (int i = 0; commands[i]; i++) {
        size_t first = strcspn(commands[i]->name, " ");
        if (strlen(argv[0]) == first && !strncmp(commands[i]->name, argv[0], first))
            return unknown_second(given, argv[0], argc > 1 ? argv[1] : NULL);
        names[n++] = commands[i]->name;
    }
    if (two && (near = rub_text_nearest(given, names, n)))
        return complain_unknown(given, near);
    return complain_unknown(argv[0], rub_text_nearest(argv[0], names, n));
}

/* --man and --markdown print a command's page. */
static int page(int argc, char **argv, void (*write)(FILE *, const rub_command *)) {
    int n_words;
    const rub_command *command = find(argc, argv, &n_words);
    if (!command)
        return unknown(argc, argv);
    write(stdout, command);
    return 0;
}

static int list_names(void) {
    for (int i = 0; commands[i]; i++)
        printf("%s\n", commands[i]->name);
    return 0;
}

static int dispatch(int argc, char **argv) {
    int n_words;
    if (argc < 1 || !strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
        rub_help_all(argc < 1 ? stderr : stdout, commands);
        return argc < 1 ? 2 : 0;
    }
    if (!strcmp(argv[0], "--version"))
        return printf("rubato %s\n", rub_version()) < 0 ? 2 : 0;
    if (!strcmp(argv[0], "--commands")) /* names, one a line: for tools that go over all of them */
        return list_names();
    if (!strcmp(argv[0], "--man"))
        return argc > 1 ? page(argc - 1, argv + 1, rub_help_man)
                        : (rub_help_man_all(stdout, commands), 0);
    if (argc > 1 && !strcmp(argv[0], "--markdown"))
        return page(argc - 1, argv + 1, rub_help_markdown);
    if (!strcmp(argv[0], "help"))
        return argc > 1 ? page(argc - 1, argv + 1, rub_help_command)
                        : (rub_help_all(stdout, commands), 0);
    const rub_command *command = find(argc, argv, &n_words);
    if (command && rub_ranks_job() && !command->ranks) {
        fprintf(stderr, "rubato: found %d ranks, expected one: only plan works on several\n",
                rub_ranks_job()->n);
        return 2;
    }
    return command ? rub_command_run(command, argc - n_words, argv + n_words) : unknown(argc, argv);
}

int main(int argc, char **argv) {
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    if (!rub_ranks_start(&argc, &argv))
        return 2;
    int rc = dispatch(argc - 1, argv + 1);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "rubato: cannot write to standard output\n");
        rc = rc ? rc : 2;
    }
    rub_ranks_stop();
    return rc;
}
