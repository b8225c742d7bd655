/* Presets: arrivals and lengths fitted to the Azure LLM inference traces of November 2023
 * (Azure/AzurePublicDataset, CC-BY; Patel et al., Splitwise, ISCA 2024), 2026-11-24.
 *
 * Lengths are the traces' own quantiles. Arrivals: the conversation trace is many users whose rate
 * drifts (60-second counts wander between 191 and 507) and trembles for a second or two; its two
 * factors and the gamma's CV make the variance over mean of counts in windows of 0.1 to 300 s what
 * the trace has. The code trace is a few users: 57 silences of 5 to 217 s, mean 43, apart from busy
 * stretches of 17 s; requests come in bursts within those (mixture of exponentials), and a factor of
 * 4 s does the rest. tests/unit/test_trace_make.c holds the errors of the notes against the traces. */
#include "rubato/trace.h"

#include "base/array.h"

#include <string.h>

typedef struct preset {
    const char *name, *note;
    double rate_per_s;
    rub_arrivals arrivals;
    double cv;         /* gamma */
    rub_phases phases; /* hyperexponential */
    rub_modulation modulation;
    rub_lengths input, output;
} preset;

static const preset presets[] = {
    {.name = "azure-conv",
     .note =
         "Azure LLM inference trace 2023, conversation (CC-BY). Error of the fit, mean over traces "
         "as "
         "long as the real one: rate 1 %, CV of arrivals 2 %, variance over mean of counts in 1 s "
         "4 %, "
         "10 s 7 %, 60 s 6 % (one trace strays from that mean by 7, 23 and 32 %); input p50 1 %, "
         "p90 2 %, p99 2 %, p99.9 3 %, mean 1 %, max 8 %; output p50 1 %, p90 1 %, p99 3 %, p99.9 "
         "2 %, "
         "mean 1 %, max 1 %",
     .rate_per_s = 5.5304,
     .arrivals = RUB_ARRIVALS_GAMMA,
     .cv = 1.02,
     .modulation = {.n = 2, .sd = {0.235, 0.14}, .tau_s = {300.0, 1.5}},
     .input = {.n_quantile = 20,
               .prob = {0,    0.001, 0.01, 0.03, 0.1,  0.2,  0.35,  0.45,  0.5,    0.7,
                        0.75, 0.8,   0.85, 0.9,  0.93, 0.99, 0.995, 0.999, 0.9995, 1},
               .tok = {2,    8,    29,   161,  207,  387,  414,  984,  1020, 1130,
                       1189, 1315, 1876, 2734, 4076, 4142, 4831, 6179, 6570, 14050},
               .max_tok = 14050},
     .output = {.n_quantile = 20,
                .prob = {0,   0.001, 0.01, 0.03, 0.05, 0.15, 0.25, 0.4,  0.45,  0.5,
                         0.6, 0.65,  0.7,  0.8,  0.9,  0.93, 0.97, 0.99, 0.999, 1},
                .tok = {7,   12,  16,  32,  41,  67,  85,  103, 113, 129,
                        177, 217, 384, 400, 424, 433, 509, 601, 954, 1000},
                .max_tok = 1000}},
    {.name = "azure-code",
     .note =
         "Azure LLM inference trace 2023, code (CC-BY). Error of the fit, mean over traces as long "
         "as the real one: rate 2 %, CV of arrivals 4 %, variance over mean of counts in 1 s 5 %, "
         "10 s "
         "8 %, 60 s 6 % (one trace strays from that mean by 16, 19 and 24 %); input p50 1 %, p90 1 "
         "%, p99 "
         "1 %, p99.9 1 %, mean 1 %, max 1 %; output p50 1 %, p90 2 %, p99 4 %, p99.9 6 %, mean 4 "
         "%, max 12 %",
     .rate_per_s = 2.5667,
     .arrivals = RUB_ARRIVALS_HYPER,
     .phases = {3, {0.08, 0.22, 0.70}, {0.00128, 0.01708, 1.42306}},
     .modulation = {.n = 1, .sd = {0.65}, .tau_s = {4.0}, .on_s = 17.5, .off_s = 46.0},
     .input = {.n_quantile = 20,
               .prob = {0,    0.001, 0.1, 0.15, 0.2, 0.3,  0.35, 0.4,  0.5,   0.55,
                        0.65, 0.75,  0.8, 0.85, 0.9, 0.93, 0.97, 0.99, 0.999, 1},
               .tok = {3,    7,    147,  232,  386,  770,  939,  1075, 1469, 1690,
                       2164, 2744, 3192, 3920, 5188, 6194, 7435, 7436, 7437, 7437},
               .max_tok = 7437},
     .output = {.n_quantile = 23,
                .prob = {0,    0.05, 0.1,  0.2,  0.3,  0.4,  0.5,  0.55,  0.6,   0.7,    0.75, 0.8,
                         0.85, 0.9,  0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 0.9995, 1},
                .tok = {6,  6,  7,  8,  9,   11,  13,  14,  16,  20,  24,  29,
                        39, 55, 72, 90, 128, 171, 251, 359, 825, 885, 1899},
                .max_tok = 1899}},
};

const char *const rub_trace_presets[] = {"azure-conv", "azure-code", NULL};

static const preset *preset_named(const char *name) {
    for (size_t i = 0; i < RUB_LEN(presets); i++)
        if (!strcmp(presets[i].name, name))
            return &presets[i];
    return NULL;
}

const char *rub_trace_preset_note(const char *name) {
    const preset *p = preset_named(name);
    return p ? p->note : NULL;
}

rub_status rub_trace_preset(const char *name, rub_trace_make_def *out, rub_error *err) {
    const preset *p = preset_named(name);
    if (!p)
        return rub_error_set(err, RUB_NOT_FOUND,
                             "found preset '%.60s', expected one of azure-conv, azure-code", name);
    out->arrivals = p->arrivals;
    out->phases = p->phases;
    out->cv = p->cv;
    out->modulation = p->modulation;
    out->rate_per_s = p->rate_per_s;
    out->input = p->input;
    out->output = p->output;
    return RUB_OK;
}
