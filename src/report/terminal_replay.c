/* A replay for a terminal: quarter by quarter what was known, decided and reported; then what the paths
 * were worth. 100 columns. */
#include "rubato/report.h"

#include "report/parts.h"

#include <math.h>
#include <string.h>

#define WIDTH 100
#define LABEL 12 /* columns of "  reported: " */

typedef struct screen {
    rub_text text;
    bool colour;
} screen;

static void heading(screen *s, const char *title) {
    rub_text_add(&s->text, s->colour ? "\n\033[1m%s\033[0m\n" : "\n%s\n", title);
}

/* Words behind a label, wrapped. */
static void labelled(screen *s, const char *label, const char *words) {
    int column = LABEL;
    rub_text_add(&s->text, "  %-*s", LABEL - 2, label);
    while (*words) {
        int n = (int)strcspn(words, " ");
        if (column + 1 + n > WIDTH && column > LABEL) {
            rub_text_add(&s->text, "\n%*s", LABEL, "");
            column = LABEL;
        } else if (column > LABEL)
            column += (rub_text_add(&s->text, " "), 1);
        rub_text_add_bytes(&s->text, words, (size_t)n);
        column += n;
        words += n;
        while (*words == ' ')
            words++;
    }
    rub_text_add(&s->text, "\n");
}

static const json_t *row_named(const json_t *rows, const char *name) {
    RUB_PART_EACH(rows, i, row)
    if (strcmp(rub_part_string(row, "name"), name) == 0)
        return row;
    return NULL;
}

static void known(screen *s, const json_t *document, const json_t *quarter) {
    RUB_PART_EACH(rub_part(quarter, "known"), i, name) {
        const json_t *row = row_named(rub_part(document, "information"),
                                      json_string_value(name) ? json_string_value(name) : "");
        rub_text line = {0};
        rub_text_add(&line, "%s %s", rub_part_string(row, "known"), rub_part_string(row, "text"));
        const char *between = " --";
        RUB_PART_EACH(rub_part(row, "set"), k, set) {
            rub_text_add(&line, "%s %s", between,
                         json_string_value(set) ? json_string_value(set) : "");
            between = ",";
        }
        rub_text_add(&line, " [%s]", rub_part_string(row, "status"));
        labelled(s, i ? "" : "known:", line.data ? line.data : "");
        rub_text_clear(&line);
    }
}

/* "pause 240, proceed 80" */
static void add_actions(rub_text *out, const json_t *actions) {
    const char *name, *between = "";
    const json_t *mw;
    char buf[32];
    json_object_foreach((json_t *)actions, name, mw) {
        rub_text_add(out, "%s%s %s", between, name, rub_text_mw(json_number_value(mw), buf));
        between = ", ";
    }
    if (!*between)
        rub_text_add(out, "gone by then"); /* ended: a block that stands does something */
}

/* Decisions grouped by action: "pause 240 (a 160, b 80); sign 60 (c 60)". */
static void decisions(screen *s, const json_t *quarter) {
    const json_t *rows = rub_part(quarter, "decisions");
    rub_text line = {0};
    char buf[32];
    const char *action, *between = "";
    const json_t *all;
    json_object_foreach((json_t *)rub_part(quarter, "actions"), action, all) {
        rub_text sites = {0};
        double sum = 0.0;
        RUB_PART_EACH(rows, i, row)
        if (strcmp(rub_part_string(row, "action"), action) == 0) {
            sum += rub_part_number(row, "mw");
            rub_text_add(&sites, "%s%s %s", sites.n ? ", " : "", rub_part_string(row, "site"),
                         rub_text_mw(rub_part_number(row, "mw"), buf));
        }
        if (sites.n) {
            rub_text_add(&line, "%s%s %s MW", between, action, rub_text_mw(sum, buf));
            rub_text_add(&line, " (%s)", sites.data ? sites.data : "");
            between = "; ";
        }
        rub_text_clear(&sites);
    }
    const json_t *plan = rub_part(quarter, "plan");
    if (plan && !json_is_true(rub_part(plan, "made")))
        rub_text_add(&line, "%sno plan: %s", between, rub_part_string(plan, "reason"));
    labelled(s, "decided:", line.n ? line.data : "goes on");
    rub_text_clear(&line);
}

static void reported(screen *s, const json_t *quarter) {
    RUB_PART_EACH(rub_part(quarter, "reported"), i, row) {
        rub_text line = {0};
        char buf[32];
        rub_text_add(&line, "%s %s", rub_part_string(row, "action"), rub_part_string(row, "site"));
        if (rub_part_number(row, "mw") > 0)
            rub_text_add(&line, " %s MW", rub_text_mw(rub_part_number(row, "mw"), buf));
        if (*rub_part_string(row, "text"))
            rub_text_add(&line, ": %s", rub_part_string(row, "text"));
        rub_text_add(&line, " [%s]; planned there: ", rub_part_string(row, "status"));
        add_actions(&line, rub_part(row, "plan"));
        labelled(s, i ? "" : "reported:", line.data ? line.data : "");
        rub_text_clear(&line);
    }
}

/* Loads expected at the start of the quarter against what came, as one ratio each class would hide: by load. */
static void came(screen *s, const json_t *quarter) {
    rub_text line = {0};
    const char *name;
    const json_t *load;
    const json_t *expected = rub_part(quarter, "expected");
    json_object_foreach((json_t *)rub_part(quarter, "came"), name, load) {
        double was = rub_part_number(expected, name), is = json_number_value(load);
        if (was > 0)
            rub_text_add(&line, "%s%s %+.0f %%", line.n ? ", " : "", name,
                         100.0 * (is / was - 1.0));
    }
    labelled(s, "came:", line.n ? line.data : "");
    rub_text_clear(&line);
}

static void quarters(screen *s, const json_t *document) {
    RUB_PART_EACH(rub_part(document, "quarters"), i, quarter) {
        rub_text_add(&s->text, s->colour ? "\n\033[1m%s\033[0m\n" : "\n%s\n",
                     rub_part_string(quarter, "quarter"));
        known(s, document, quarter);
        decisions(s, quarter);
        reported(s, quarter);
        came(s, quarter);
    }
}

static void path(screen *s, const json_t *row) {
    char npv[32], regret[32], most[32], live[32], idle[32], lacks[32], rent[32];
    const json_t *mean = rub_part(row, "mean");
    rub_text_add(&s->text, "  %-18.18s %10s %10s %10s %8s %8s %8s %8s %6.1f %%\n",
                 rub_part_string(row, "path"), rub_text_usd(rub_part_number(row, "npv_usd"), npv),
                 rub_text_usd(rub_part_number(row, "regret_usd"), regret),
                 rub_text_usd(rub_part_number(row, "regret_at_most_usd"), most),
                 rub_text_mw(rub_part_number(mean, "live_mw"), live),
                 rub_text_mw(rub_part_number(mean, "idle_mw"), idle),
                 rub_text_mw(rub_part_number(mean, "short_mw"), lacks),
                 rub_text_mw(rub_part_number(mean, "rented_in_mw"), rent),
                 100.0 * rub_part_number(row, "unserved"));
}

static void notes_on(screen *s, const json_t *row) {
    char line[600];
    const char *key[] = {"broken", "rests"};
    for (size_t k = 0; k < 2; k++) {
        if (!*rub_part_string(row, key[k]))
            continue;
        snprintf(line, sizeof line, "%.40s: %.500s", rub_part_string(row, "path"),
                 rub_part_string(row, key[k]));
        labelled(s, "note:", line);
    }
}

static void worth(screen *s, const json_t *document) {
    const json_t *replay = rub_part(document, "replay");
    char title[128];
    snprintf(title, sizeof title, "What it was worth, %.12s to %.12s (MW: means over the quarters)",
             rub_part_string(replay, "start"), rub_part_string(replay, "end"));
    heading(s, title);
    rub_text_add(&s->text, "  %-18s %10s %10s %10s %8s %8s %8s %8s %8s\n", "path", "NPV", "regret",
                 "at most", "live", "idle", "short", "rent in", "unserved");
    RUB_PART_EACH(rub_part(document, "paths"), i, row)
    path(s, row);
    path(s, rub_part(document, "hindsight"));
    RUB_PART_EACH(rub_part(document, "paths"), k, again)
    notes_on(s, again);
    snprintf(title, sizeof title,
             "  Plan and report went the same way in %.0f %% of the MW-quarters that either "
             "decided.\n",
             100.0 * rub_part_number(replay, "agreement"));
    rub_text_add(&s->text, "%s", title);
}

static void count_assumed(const json_t *rows, size_t *all, size_t *assumed) {
    RUB_PART_EACH(rows, i, row) {
        ++*all;
        *assumed += strcmp(rub_part_string(row, "status"), "assumed") == 0;
    }
}

static void sources(screen *s, const json_t *document) {
    size_t n[3] = {0}, assumed[3] = {0};
    count_assumed(rub_part(document, "information"), &n[0], &assumed[0]);
    RUB_PART_EACH(rub_part(document, "quarters"), i, quarter)
    count_assumed(rub_part(quarter, "reported"), &n[1], &assumed[1]);
    count_assumed(rub_part(document, "outcome"), &n[2], &assumed[2]);
    rub_text_add(&s->text,
                 "  Assumed: %zu of %zu rows of information, %zu of %zu of what was reported, %zu "
                 "of %zu quarters of the outcome.\n",
                 assumed[0], n[0], assumed[1], n[1], assumed[2], n[2]);
}

rub_status rub_report_replay(const json_t *document, bool colour, char **out, rub_error *err) {
    screen s = {.colour = colour};
    const json_t *study = rub_part(document, "study");
    rub_text_add(&s.text, colour ? "\033[1m%s\033[0m\n" : "%s\n", rub_part_string(study, "title"));
    quarters(&s, document);
    worth(&s, document);
    sources(&s, document);
    return rub_part_finish(&s.text, out, err);
}
