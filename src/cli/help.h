/* Help and manual pages, written from the command tables. */
#ifndef RUB_CLI_HELP_H
#define RUB_CLI_HELP_H

#include "cli/command.h"

void rub_help_command(FILE *out, const rub_command *command);
void rub_help_all(FILE *out, const rub_command *const *commands);
void rub_help_man(FILE *out, const rub_command *command);             /* roff: rubato-NAME(1) */
void rub_help_man_all(FILE *out, const rub_command *const *commands); /* rubato(1) */
void rub_help_markdown(FILE *out, const rub_command *command);        /* the same as Markdown */

#endif
