/* Disaggregated rows: how many workers, which attention, and whether they drafted. Four rows of five do
 * not say; the benchmark's configurations do (data/pools.csv: every point of its disaggregated searches
 * until 2026-04-30, the tokens drafted for each step, and the day since when it is there). */
#include "validate/validate.h"

#include "base/array.h"
#include "base/csvtable.h"

#include <stdlib.h>
#include <string.h>

extern const unsigned char rub_data_pools[];
extern const size_t rub_data_pools_n;

enum {
    ENGINE,
    FAMILY,
    SYSTEM,
    PRECISION,
    ISL,
    OSL,
    CLIENTS,
    PREFILL,
    DECODE = 11,
    DRAFT = 15,
    SINCE
};
enum { WORKERS, WIDTH, EP, DP }; /* after PREFILL, DECODE */

typedef struct point {
    const rub_csv_cell *cell;
} point;

static const char *text(const point *p, int column) { return p->cell[column].text; }
static int32_t number(const point *p, int column) { return (int32_t)atol(text(p, column)); }

rub_status rub_silicon_pools_read(rub_silicon_pools *out, rub_error *err) {
    rub_csv_table *t = RUB_NEW(rub_csv_table, 1);
    if (!t)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory");
    rub_status status = rub_csv_table_read("data/pools.csv", (const char *)rub_data_pools,
                                           rub_data_pools_n, t, err);
    if (status != RUB_OK) {
        free(t);
        return status;
    }
    out->table = t;
    return RUB_OK;
}

void rub_silicon_pools_clear(rub_silicon_pools *pools) {
    if (pools->table)
        rub_csv_table_clear(pools->table);
    free(pools->table);
    pools->table = NULL;
}

static bool is_of(const char *model, const char *family) {
    static const char *const names[][2] = {
        {"dsr1", "DeepSeek"}, {"gptoss", "gpt-oss"}, {"kimi", "Kimi"}, {"glm5", "GLM-5"}};
    for (size_t i = 0; i < RUB_LEN(names); i++)
        if (strcmp(family, names[i][0]) == 0)
            return strstr(model, names[i][1]) != NULL;
    return false;
}

/* The table notes a worker's width as tp, as groups, as their product, or as one of the experts' two. */
static bool is_as_wide(const rub_silicon_pool *pool, int32_t width) {
    return width == pool->tp * pool->dp || width == pool->noted_tp ||
           (pool->dp > 1 && width == pool->dp);
}

static bool fits(const point *p, const rub_silicon_row *row, const char *day) {
    size_t n = strlen(text(p, SYSTEM));
    return number(p, CLIENTS) == row->concurrency && number(p, ISL) == row->input_tok &&
           number(p, OSL) == row->output_tok && strcmp(text(p, ENGINE), row->engine) == 0 &&
           strcmp(text(p, PRECISION), row->precision) == 0 &&
           strncmp(row->system, text(p, SYSTEM), n) == 0 &&
           (row->system[n] == '_' || row->system[n] == '\0') &&
           is_of(row->model, text(p, FAMILY)) &&
           is_as_wide(&row->prefill, number(p, PREFILL + WIDTH)) &&
           is_as_wide(&row->pool, number(p, DECODE + WIDTH)) &&
           strncmp(text(p, SINCE), day, 10) <= 0;
}

static int32_t same_workers(const point *p, const rub_silicon_row *row) {
    return (number(p, PREFILL) == row->prefill.workers) + (number(p, DECODE) == row->pool.workers);
}

static void take_pool(const point *p, int first, rub_silicon_pool *pool) {
    int32_t width = number(p, first + WIDTH), ep = number(p, first + EP);
    bool grouped = number(p, first + DP) > 0;
    pool->workers = number(p, first + WORKERS);
    pool->tp = grouped ? 1 : width;
    pool->dp = grouped ? width : 1;
    pool->ep = ep > 0 && width % ep == 0 ? ep : width;
}

/* Of the points that fit: those with the row's own numbers of workers, without drafts, the latest. */
static bool is_better(const point *a, const point *b, const rub_silicon_row *row) {
    int32_t x = same_workers(a, row), y = same_workers(b, row);
    if (x != y)
        return x > y;
    if ((number(a, DRAFT) > 0) != (number(b, DRAFT) > 0))
        return number(a, DRAFT) == 0;
    return strcmp(text(a, SINCE), text(b, SINCE)) > 0;
}

void rub_silicon_pools_apply(const rub_silicon_pools *pools, rub_silicon_row *row, int32_t drafts) {
    const char *day = strstr(row->source, "measured=");
    day = day ? day + strlen("measured=") : "9";
    point best = {NULL};
    bool with = false, without = false;
    for (size_t i = 0; i < pools->table->n_row; i++) {
        point p = {pools->table->cell + i * pools->table->n_column};
        bool drafted = number(&p, DRAFT) > 0;
        if (!fits(&p, row, day) || (drafts >= 0 && drafted != (drafts > 0)))
            continue;
        with = with || drafted;
        without = without || !drafted;
        if (!best.cell || is_better(&p, &best, row))
            best = p;
    }
    if (!best.cell)
        return;
    take_pool(&best, PREFILL, &row->prefill);
    take_pool(&best, DECODE, &row->pool);
    row->draft_tok = number(&best, DRAFT);
    row->told = true;
    row->drafts = with && without ? RUB_DRAFTS_NOT_TOLD : with ? RUB_DRAFTS_YES : RUB_DRAFTS_NO;
}

static bool same_configuration(const char *a, const char *b) {
    a = strstr(a, "config_id=");
    b = strstr(b, "config_id=");
    if (!a || !b)
        return false;
    size_t n = strcspn(a, ";"), m = strcspn(b, ";");
    return n == m && memcmp(a, b, n) == 0;
}

/* What a point does not tell another one of the same configuration may. */
void rub_silicon_pools_settle(const rub_silicon_pools *pools, rub_silicon *s) {
    for (size_t i = 0; i < s->n_row; i++) {
        rub_silicon_row *row = &s->row[i];
        for (size_t j = 0; row->drafts == RUB_DRAFTS_NOT_TOLD && j < s->n_row; j++) {
            const rub_silicon_row *other = &s->row[j];
            if (other->disagg && other->drafts != RUB_DRAFTS_NOT_TOLD && other->told &&
                same_configuration(row->source, other->source))
                rub_silicon_pools_apply(pools, row, other->drafts == RUB_DRAFTS_YES);
        }
    }
}
