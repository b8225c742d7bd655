/* Replays: a tiny one worked out by hand; no decision depends on what was told later; a study that goes on
 * from any state is worth what the story is from there; figures carried from quarter to quarter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../small_study.h"
#include "base/rng.h"
#include "plan/single.h"
#include "replay/paths.h"
#include "rubato/replay.h"

#define OK(expr)                                                                                   \
    do {                                                                                           \
        if ((expr) != RUB_OK)                                                                      \
            fail_msg("%s: %s", #expr, err.message);                                                \
    } while (0)

#define NEAR(a, b) assert_true(fabs((a) - (b)) <= 1e-6 * fmax(1.0, fabs(b)))

static double number(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

static rub_replay_def one_thread(void) {
    rub_replay_def def = rub_replay_default();
    def.solve.n_thread = 1;
    def.solve.iterations = 2;
    return def;
}

static json_t *replay_of(const char *path) {
    rub_error err = {0};
    json_t *document = NULL;
    rub_replay_def def = one_thread();
    OK(rub_replay_run(path, &def, NULL, &document, &err));
    return document;
}

/* ---- by hand --------------------------------------------------------------------------------- */

/* examples/tiny-replay.yaml, no discount. A megawatt-quarter in use earns 1M tok/s * 7.884M s * $0.90/Mtok,
 * less $225k of opex and 2190 h * 1.2 * $50/MWh of power. Servers: 10 MW * ($20M + $2M installed), resold at
 * 20M * 0.8^years; the shell: 10 MW * $9M, worth 1 - 1.5/15 of it at the end. */
static void tiny_by_hand(void **state) {
    (void)state;
    double mw_q = 7.884e6 * 0.9 - 225e3 - 2190 * 1.2 * 50;
    double hall = 6 * 10 * mw_q + 200e6 * pow(0.8, 1.5);
    double shell = -90e6 + 0.9 * 90e6, servers = -220e6;
    /* started in the first quarter: live in the fourth, when loads double; in the third: live in the sixth */
    double at_once = 3 * 10 * mw_q + shell + servers + 200e6 * pow(0.8, 0.75);
    double later = 10 * mw_q + shell + servers + 200e6 * pow(0.8, 0.25);
    json_t *d = replay_of(RUB_ROOT "/examples/tiny-replay.yaml");
    const json_t *paths = json_object_get(d, "paths");
    const json_t *planned = json_array_get(paths, 0), *reported = json_array_get(paths, 1);
    NEAR(number(planned, "npv_usd"), hall + later);
    NEAR(number(reported, "npv_usd"), hall);
    NEAR(number(json_array_get(paths, 2), "npv_usd"), hall + at_once);
    NEAR(number(json_object_get(d, "hindsight"), "npv_usd"), hall + at_once);
    NEAR(number(planned, "regret_usd"), at_once - later);
    NEAR(number(reported, "regret_usd"), at_once);
    /* short: 10 of 20 MW in three quarters of six, and in two when the field is live in the last */
    NEAR(number(json_object_get(reported, "mean"), "short_mw"), 5.0);
    NEAR(number(json_object_get(planned, "mean"), "short_mw"), 20.0 / 6);
    NEAR(number(reported, "unserved"), 3 * 10.0 / (3 * 10 + 3 * 20));
    /* the row of May is known to the third quarter, which starts the field */
    const json_t *third = json_array_get(json_object_get(d, "quarters"), 2);
    assert_string_equal(json_string_value(json_array_get(json_object_get(third, "known"), 0)),
                        "doubling");
    NEAR(number(json_object_get(third, "actions"), "proceed"), 10.0);
    NEAR(number(json_object_get(third, "expected"), "chat"), 10e6 * pow(2.0, 0.25));
    /* both wait for two quarters; then the plan builds while the report waits */
    NEAR(number(json_object_get(d, "replay"), "agreement"), 0.5);
    json_decref(d);
}

/* ---- a random replay ------------------------------------------------------------------------- */

enum { QUARTERS = 6 };

/* Rows, outcome and reports drawn one stream a quarter; those of quarter `from` and later from another
 * seed. A row of quarter k is known to k + 1. */
static void write_replay(char *out, size_t size, uint64_t seed, int from, uint64_t later) {
    static const char *const month[] = {"2025-02-10", "2025-05-10", "2025-08-10",
                                        "2025-11-10", "2026-02-10", "2026-05-10"};
    static const char *const done[] = {"pause", "cancel", "proceed", "wait", "defer"};
    static const char *const site[] = {"field", "annex", "all"};
    size_t n =
        (size_t)snprintf(out, size, "%s\nreplay:\n  until: 2026-Q1\n  information:\n", small_study);
    for (int k = 0; k < QUARTERS; k++) {
        rub_rng g = rub_rng_make(k >= from ? later : seed, (uint64_t)k);
        n += (size_t)snprintf(
            out + n, size - n,
            "    row-%d: {known: %s, set: {demand.chat.growth: %d%%/yr, budget.FY2026: $%dM,\n"
            "      market.*.rent_in.*.price: x%.2f, demand.*.value: x%.2f,\n"
            "      sites.new-%d: {tenure: owned, region: west, stage: talks, close: 2026-Q3,\n"
            "        close_probability: 100%%, option_until: 2026-Q4, block: %d MW}}}\n",
            k, month[k], (int)(rub_rng_uniform(&g) * 300), 400 + (int)(rub_rng_uniform(&g) * 900),
            0.7 + rub_rng_uniform(&g), 0.6 + rub_rng_uniform(&g), k,
            5 + (int)(rub_rng_uniform(&g) * 20));
    }
    n += (size_t)snprintf(out + n, size - n, "  reported:\n");
    for (int k = 0; k < QUARTERS; k++) {
        rub_rng g = rub_rng_make(k >= from ? later : seed, 100 + (uint64_t)k);
        n += (size_t)snprintf(out + n, size - n,
                              "    done-%d: {quarter: %d-Q%d, site: %s, action: %s}\n", k,
                              2025 + k / 4, k % 4 + 1, site[(int)(rub_rng_uniform(&g) * 3)],
                              done[(int)(rub_rng_uniform(&g) * 5)]);
    }
    n += (size_t)snprintf(out + n, size - n, "  outcome:\n");
    for (int k = 0; k < QUARTERS; k++) {
        rub_rng g = rub_rng_make(k >= from ? later : seed, 200 + (uint64_t)k);
        double up = 1 + 0.4 * k;
        n += (size_t)snprintf(out + n, size - n,
                              "    %d-Q%d: {demand: {chat: %.2fM tok/s, code: %.2fM tok/s, "
                              "pretraining: %.2fk accel}%s%s}\n",
                              2025 + k / 4, k % 4 + 1, 10 * up * (0.5 + rub_rng_uniform(&g)),
                              5 * up * (0.5 + rub_rng_uniform(&g)), 6 * (0.5 + rub_rng_uniform(&g)),
                              k == 2 && rub_rng_uniform(&g) < 0.6 ? ", closed: deal" : "",
                              rub_rng_uniform(&g) < 0.3 ? ", exercised: anchor" : "");
    }
}

/* A file of its own with the text. */
static void write_text(char path[64], const char *text) {
    snprintf(path, 64, "/tmp/rubato-replay-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static json_t *replay_text(const char *text) {
    char path[64];
    write_text(path, text);
    json_t *document = replay_of(path);
    remove(path);
    return document;
}

/* What quarter t decided and by what plan, as text. */
static char *decided(const json_t *document, int t) {
    const json_t *row = json_array_get(json_object_get(document, "quarters"), (size_t)t);
    json_t *part =
        json_pack("{s:O,s:O,s:O,s:O}", "decisions", json_object_get(row, "decisions"), "actions",
                  json_object_get(row, "actions"), "plan", json_object_get(row, "plan"), "expected",
                  json_object_get(row, "expected"));
    char *text = json_dumps(part, JSON_SORT_KEYS);
    json_decref(part);
    assert_non_null(text);
    return text;
}

/* Rows of quarter k and later are drawn anew: quarters up to k decide as before, to the last bit of their
 * plans' worth; some later quarter does not (else this test could not fail). */
static void no_look_ahead(void **state) {
    (void)state;
    static char before[16384], after[16384];
    int n_seed = getenv("RUB_TEST_LONG") ? 20 : 1, changed = 0;
    for (int seed = 0; seed < n_seed; seed++) {
        write_replay(before, sizeof before, 11 + (uint64_t)seed, QUARTERS, 0);
        json_t *a = replay_text(before);
        for (int k = 0; k < 5; k++) {
            write_replay(after, sizeof after, 11 + (uint64_t)seed, k, 977 + (uint64_t)seed);
            json_t *b = replay_text(after);
            for (int t = 0; t < 5; t++) {
                char *x = decided(a, t), *y = decided(b, t);
                if (t <= k)
                    assert_string_equal(x, y);
                else
                    changed += strcmp(x, y) != 0;
                free(x);
                free(y);
            }
            json_decref(b);
        }
        json_decref(a);
    }
    assert_true(changed >= 5 * n_seed);
}

/* One or three threads: the same bytes. */
static void same_for_any_threads(void **state) {
    (void)state;
    static char text[16384];
    char path[64], *dump[2];
    rub_error err = {0};
    write_replay(text, sizeof text, 3, QUARTERS, 0);
    write_text(path, text);
    for (int i = 0; i < 2; i++) {
        json_t *document = NULL;
        rub_replay_def def = one_thread();
        def.solve.n_thread = i ? 3 : 1;
        OK(rub_replay_run(path, &def, NULL, &document, &err));
        dump[i] = json_dumps(document, JSON_SORT_KEYS);
        json_decref(document);
    }
    remove(path);
    assert_string_equal(dump[0], dump[1]);
    free(dump[0]);
    free(dump[1]);
}

/* A report that asks to stop is heeded, whenever it does. */
static bool stop_later(void *ctx, const char *what, double done, double total, const char *extra) {
    int *left = ctx;
    (void)what, (void)done, (void)total, (void)extra;
    return (*left)-- > 0;
}

static void stops_when_asked(void **state) {
    (void)state;
    static char text[16384];
    char path[64];
    write_replay(text, sizeof text, 3, QUARTERS, 0);
    write_text(path, text);
    for (int after = 0; after < 12; after += 3) {
        int left = after;
        json_t *document = NULL;
        rub_error err = {0};
        rub_replay_def def = one_thread();
        rub_progress progress = {.report = stop_later, .ctx = &left};
        assert_int_equal(rub_replay_run(path, &def, &progress, &document, &err), RUB_INTERRUPTED);
        assert_null(document);
        assert_true(err.message[0]);
    }
    remove(path);
}

/* Regret is against the best: nobody does better than who knows, within that plan's gap. */
static void nobody_beats_hindsight(void **state) {
    (void)state;
    static char text[16384];
    for (uint64_t seed = 1; seed <= 4; seed++) {
        write_replay(text, sizeof text, seed * 31, QUARTERS, 0);
        json_t *d = replay_text(text);
        for (size_t i = 0; i < 3; i++) {
            const json_t *path = json_array_get(json_object_get(d, "paths"), i);
            if (json_integer_value(json_object_get(path, "limits_broken")) == 0)
                assert_true(number(path, "regret_at_most_usd") >= -1.0);
            if (i == 0)
                assert_int_equal(json_integer_value(json_object_get(path, "limits_broken")), 0);
        }
        json_decref(d);
    }
}

/* ---- going on from any state ----------------------------------------------------------------- */

static double random_score(const void *self, const rub_sight *sight, const void *memory,
                           int32_t block, int32_t arc, const rub_arc_flow *flow) {
    const uint64_t *seed = self;
    (void)memory, (void)flow;
    rub_rng g =
        rub_rng_make(*seed, ((uint64_t)sight->t << 32) + ((uint64_t)block << 16) + (uint64_t)arc);
    return rub_rng_uniform(&g);
}

static void look_at_nothing(const void *self, const rub_sight *sight, void *memory) {
    (void)self, (void)sight, (void)memory;
}

/* The rest of a walk as a plan of the study that goes on from quarter t. */
static void copy_rest(const rub_story *s, const rub_plan *from, const rub_onward *o, int32_t t,
                      const rub_problem *p, rub_plan *to) {
    size_t n = (size_t)to->n_node, r = (size_t)p->n_region, at = (size_t)t;
    for (int32_t b = 0; b < to->n_block; b++) {
        const rub_step *step = &from->step[(size_t)o->block_of[b] * (size_t)s->n + at];
        uint8_t put_off = step->state.deferred;
        for (size_t i = 0; i < n; i++) {
            rub_step x = step[i];
            /* what was put off before is in the site's dates; what has ended has no such state */
            if (x.state.deferred >= put_off)
                x.state.deferred = (uint8_t)(x.state.deferred - put_off);
            if (x.next.deferred >= put_off)
                x.next.deferred = (uint8_t)(x.next.deferred - put_off);
            to->step[(size_t)b * n + i] = x;
        }
    }
#define PART(field, width)                                                                         \
    if ((width) > 0)                                                                               \
    memcpy(to->field, from->field + at * (width), n * (width) * sizeof(double))
    size_t gens = r * (size_t)p->n_gen, steps = (r + 1) * (size_t)p->n_step;
    PART(train_mw, gens);
    PART(infer_mw, gens);
    PART(served, (size_t)p->n_demand);
    PART(rent_in, steps);
    PART(rent_out, steps);
    PART(shipped, (size_t)p->n_link);
#undef PART
}

static void compare_rest(rub_story *s, const rub_walk *w, const int32_t *stands, int32_t t,
                         const rub_evaluation *whole) {
    rub_error err = {0};
    rub_onward o;
    rub_tree tree;
    rub_problem p;
    rub_plan plan;
    rub_evaluation e;
    int32_t n = s->n - t;
    double load[8] = {0};
    OK(rub_onward_make(s, &s->study, stands, t, n, 0.0, load, &o, &err));
    o.study.shell_life_years = s->study.shell_life_years * n / s->n;
    rub_features from = rub_features_of(&s->study), f = rub_features_of(&o.study);
    OK(rub_single_tree(n, f.n, NULL, &tree, &err));
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < o.study.n_site; k++)
            tree.feature[i * f.n + f.talks + k] =
                s->tree.feature[(t + i) * from.n + from.talks + o.site_of[k]];
    OK(rub_plan_problem(&o.study, &tree, &s->yields, &p, &err));
    for (int32_t i = 0; i < n; i++)
        rub_story_copy_node(&p, i, &s->problem, t + i);
    OK(rub_plan_init(&p, &plan, &err));
    copy_rest(s, &w->plan, &o, t, &p, &plan);
    OK(rub_plan_evaluate(&p, &plan, &e, &err));
    assert_string_equal(e.violation, "");
    for (int32_t i = 0; i < n; i++)
        for (int k = 0; k < RUB_N_CASH; k++)
            NEAR(e.cash_usd[i * RUB_N_CASH + k], whole->cash_usd[(t + i) * RUB_N_CASH + k]);
    rub_evaluation_clear(&e);
    rub_plan_clear(&plan);
    rub_problem_clear(&p);
    rub_tree_clear(&tree);
    rub_onward_clear(&o);
}

/* A story in which random decisions come to every kind of state: rights exercised, deferrals, long delays of
 * what is resumed. Budgets are lifted: random decisions mind none. */
static void make_story(rub_story *s) {
    static const char *const terms[] = {"sites.field.resume_delay=3 quarters",
                                        "sites.deal.deferral=3 quarters",
                                        "sites.deal.deferral_fee=$50k/MW-quarter",
                                        "sites.deal.commences=2026-Q3", "budget.FY2025=$100B"};
    static char text[8192];
    rub_error err = {0};
    char path[64];
    snprintf(text, sizeof text,
             "%s\nreplay:\n  until: 2026-Q1\n  information:\n"
             "    dearer: {known: 2025-05, set: {accelerators.h100.price: x1.3}}\n"
             "  outcome:\n    2025-Q1: {}\n    2025-Q2: {demand: {chat: 14M tok/s}}\n"
             "    2025-Q3: {closed: deal, exercised: anchor}\n"
             "    2025-Q4: {demand: {code: 9M tok/s}, exercised: anchor}\n    2026-Q1: {}\n"
             "    2026-Q2: {}\n    2026-Q3: {left: anchor}\n    2026-Q4: {}\n",
             small_study);
    write_text(path, text);
    OK(rub_story_read(path, terms, 5, -1, 1, NULL, s, &err));
    remove(path);
    for (int32_t b = 0; b < s->problem.n_budget; b++)
        s->problem.budget_usd[b] = s->study.budget[b].capex_usd = 1e13;
}

enum { HELD, RESUMING, DEFERRED, SUBLET, N_SEEN };

static void count_states(const rub_story *s, const int32_t *stands, int seen[N_SEEN]) {
    for (int32_t b = 0; b < s->problem.n_block; b++) {
        const rub_block_state *x = &s->automaton[s->problem.block[b].site].state[stands[b]];
        seen[HELD] += x->held;
        seen[RESUMING] += x->stage == RUB_STAGE_PAUSED && x->age > 0;
        seen[DEFERRED] += x->deferred > 0;
        seen[SUBLET] += x->stage == RUB_STAGE_SUBLET;
    }
}

/* Random decisions; from each quarter on, the study that goes on from there pays the same cash. */
static void going_on_pays_the_same(void **state) {
    (void)state;
    rub_error err = {0};
    int n_walk = getenv("RUB_TEST_LONG") ? 5000 : 500, seen[N_SEEN] = {0};
    rub_story s;
    make_story(&s);
    int32_t *stands = calloc((size_t)s.problem.n_block, sizeof *stands);
    assert_non_null(stands);
    for (int walk = 0; walk < n_walk; walk++) {
        uint64_t seed = 1000 + (uint64_t)walk;
        rub_policy policy = {
            .name = "random", .look = look_at_nothing, .score = random_score, .self = &seed};
        rub_walk w;
        rub_evaluation whole;
        int32_t at = 1 + walk % (s.n - 1);
        OK(rub_walk_make(&s.problem, NULL, s.automaton, 0, &w, &err));
        rub_walk_begin(&w);
        for (int32_t t = 0; t < s.n; t++) {
            if (t == at)
                memcpy(stands, w.state, (size_t)s.problem.n_block * sizeof *stands);
            OK(rub_walk_quarter(&w, &policy, t));
        }
        OK(rub_plan_evaluate(&s.problem, &w.plan, &whole, &err));
        assert_string_equal(whole.violation, "");
        compare_rest(&s, &w, stands, at, &whole);
        count_states(&s, stands, seen);
        rub_evaluation_clear(&whole);
        rub_walk_clear(&w);
    }
    for (int k = 0; k < N_SEEN; k++)
        assert_true(seen[k] > 0);
    free(stands);
    rub_story_clear(&s);
}

/* ---- figures carried ------------------------------------------------------------------------- */

static rub_study *known_at(const char *text, int32_t q) {
    rub_error err = {0};
    rub_study *study = NULL;
    OK(rub_study_read_known("small.yaml", text, strlen(text), NULL, 0, q, &study, NULL, &err));
    return study;
}

/* h100 at $38k falls 10 % a year; a row of the first quarter changes what holds in the second by a half, one
 * of the third sets it in the fourth. */
static void prices_follow_their_trend(void **state) {
    (void)state;
    static char text[8192];
    snprintf(text, sizeof text,
             "%s\nreplay:\n  until: 2025-Q4\n  information:\n"
             "    half: {known: 2025-03-31, set: {accelerators.h100.price: x0.5}}\n"
             "    told: {known: 2025-Q3, set: {accelerators.h100.price: $30k/accel,\n"
             "      process.rent_trend: -50%%/yr}}\n"
             "  outcome: {2025-Q1: {}, 2025-Q2: {}, 2025-Q3: {}, 2025-Q4: {}, 2026-Q1: {}}\n",
             small_study);
    rub_error err = {0};
    rub_view view[5];
    rub_study *known[5];
    double year = pow(0.9, 0.25);
    double price[5] = {38e3, 38e3 * year * 0.5, 38e3 * year * year * 0.5, 30e3, 30e3 * year};
    for (int t = 0; t < 5; t++) {
        int32_t q = 2025 * 4 + t;
        known[t] = known_at(text, q);
        OK(rub_view_make(known[t], q, t ? &view[t - 1] : NULL, &view[t], &err));
        NEAR(view[t].generation[0].price_usd, price[t]);
        assert_int_equal(known[t]->replay.n_information, t >= 3 ? 2 : t >= 1 ? 1 : 0);
    }
    /* rents stand until a trend is known: that of the fourth quarter works into the fifth */
    NEAR(view[3].market[0].in[0].usd, 2.90);
    NEAR(view[4].market[0].in[0].usd, 2.90 * pow(0.5, 0.25));
    for (int t = 0; t < 5; t++) {
        rub_view_clear(&view[t]);
        rub_study_free(known[t]);
    }
}

/* Later rows are not read at all: even one that could not be. */
static void later_rows_are_not_read(void **state) {
    (void)state;
    static char text[8192];
    rub_error err = {0};
    rub_study *study = NULL;
    snprintf(text, sizeof text,
             "%s\nreplay:\n  until: 2025-Q2\n  information:\n"
             "    bad: {known: 2025-06-30, set: {demand.chat.growth: many}}\n"
             "  outcome: {2025-Q1: {}, 2025-Q2: {}}\n",
             small_study);
    rub_study_free(known_at(text, 2025 * 4 + 1));
    assert_int_equal(rub_study_read_known("small.yaml", text, strlen(text), NULL, 0, 2025 * 4 + 2,
                                          &study, NULL, &err),
                     RUB_INVALID);
    assert_true(err.line > 0 && err.column > 0 && strstr(err.message, "'many'"));
    assert_null(study);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_by_hand),
        cmocka_unit_test(no_look_ahead),
        cmocka_unit_test(same_for_any_threads),
        cmocka_unit_test(stops_when_asked),
        cmocka_unit_test(nobody_beats_hindsight),
        cmocka_unit_test(going_on_pays_the_same),
        cmocka_unit_test(prices_follow_their_trend),
        cmocka_unit_test(later_rows_are_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
