/* The commands, in the order of the help. */
#ifndef RUB_CLI_COMMANDS_H
#define RUB_CLI_COMMANDS_H

#include "cli/command.h"

#define RUB_COMMAND_LIST(X)                                                                        \
    X(trace_info)                                                                                  \
    X(trace_make)                                                                                  \
    X(simulate)                                                                                    \
    X(size)                                                                                        \
    X(forecast)                                                                                    \
    X(plan)                                                                                        \
    X(replay)                                                                                      \
    X(report)                                                                                      \
    X(study_make)                                                                                  \
    X(check)                                                                                       \
    X(train)                                                                                       \
    X(jobs)                                                                                        \
    X(calibrate)                                                                                   \
    X(validate)                                                                                    \
    X(catalog)

#define X(name) extern const rub_command rub_cmd_##name;
RUB_COMMAND_LIST(X)
#undef X

#endif
