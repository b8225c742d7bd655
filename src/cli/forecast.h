/* What the files of 'rubato forecast' share. */
#ifndef RUB_CLI_FORECAST_H
#define RUB_CLI_FORECAST_H

#include "cli/command.h"

typedef struct forecast_settings {
    const char *time, *value;
    rub_option_values where;
    int unit, step, by;
    bool sum;
    int64_t quarters, steps, seed;
    bool json;
} forecast_settings;

/* Forecasts a series and prints it; returns the exit status. */
int forecast_series(const char *path, const forecast_settings *settings);

#endif
