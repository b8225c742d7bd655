/* Checkpoints: the best plan so far and the multipliers of its solve in one file, written whole now and then, so
 * that a job that was killed goes on from there. Layout, little-endian: "RUBCKPT1", blocks and nodes (int32), count
 * of multipliers (uint64), value and bound (double), steps (18 bytes each; n_block, n_node), multipliers (double),
 * FNV-1a 64 of all before it. */
#include "rubato/plan.h"

#include "base/array.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

static const char MAGIC[8] = "RUBCKPT1";

typedef struct head {
    char magic[8];
    int32_t n_block, n_node;
    uint64_t n_multiplier;
    double value_usd, bound_usd;
} head;

_Static_assert(sizeof(head) == 40 && sizeof(rub_step) == 18, "the file's layout");

static uint64_t sum_of(const char *bytes, size_t n) { return rub_hash_bytes(bytes, n); }

rub_status rub_plan_checkpoint_write(const char *path, const rub_solve_state *state,
                                     rub_error *err) {
    head h = {.n_block = state->plan.n_block,
              .n_node = state->plan.n_node,
              .n_multiplier = state->n_multiplier,
              .value_usd = state->value_usd,
              .bound_usd = state->bound_usd};
    memcpy(h.magic, MAGIC, sizeof MAGIC);
    size_t steps = (size_t)h.n_block * (size_t)h.n_node * sizeof(rub_step);
    size_t multipliers = state->n_multiplier * sizeof(double);
    size_t n = sizeof h + steps + multipliers;
    char *bytes = malloc(n + sizeof(uint64_t));
    if (!bytes)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for a checkpoint");
    memcpy(bytes, &h, sizeof h);
    memcpy(bytes + sizeof h, state->plan.step, steps);
    memcpy(bytes + sizeof h + steps, state->multiplier, multipliers);
    uint64_t sum = sum_of(bytes, n);
    memcpy(bytes + n, &sum, sizeof sum);
    rub_status status = rub_file_write(path, bytes, n + sizeof sum, err);
    free(bytes);
    return status;
}

/* Is it a whole checkpoint? */
static rub_status check(const char *path, const rub_file *file, head *h, rub_error *err) {
    uint64_t sum = 0;
    if (file->n < sizeof *h + sizeof sum || memcmp(file->data, MAGIC, sizeof MAGIC) != 0)
        return rub_error_at(
            err, RUB_PARSE, path, 0, 0,
            "is no checkpoint, expected a file that rubato plan --checkpoint wrote");
    memcpy(h, file->data, sizeof *h);
    memcpy(&sum, file->data + file->n - sizeof sum, sizeof sum);
    bool sane = h->n_block > 0 && h->n_node > 0 && h->n_multiplier < file->n;
    size_t n = sane ? sizeof *h + (size_t)h->n_block * (size_t)h->n_node * sizeof(rub_step) +
                          h->n_multiplier * sizeof(double)
                    : 0;
    if (n + sizeof sum != file->n || sum != sum_of(file->data, n))
        return rub_error_at(err, RUB_PARSE, path, 0, 0,
                            "is a damaged checkpoint: its length or checksum is wrong");
    return RUB_OK;
}

rub_status rub_plan_checkpoint_read(const char *path, rub_plan_warm *out, rub_error *err) {
    rub_file file;
    head h;
    RUB_TRY(rub_file_open(path, &file, err));
    rub_status status = check(path, &file, &h, err);
    if (status != RUB_OK) {
        rub_file_close(&file);
        return status;
    }
    size_t steps = (size_t)h.n_block * (size_t)h.n_node;
    rub_plan_warm warm = {.plan = {.n_block = h.n_block, .n_node = h.n_node},
                          .n_multiplier = h.n_multiplier};
    warm.plan.step = RUB_NEW(rub_step, steps);
    warm.multiplier = RUB_NEW(double, h.n_multiplier);
    if (warm.plan.step && warm.multiplier) {
        const char *at = file.data + sizeof h;
        memcpy(warm.plan.step, at, steps * sizeof(rub_step));
        memcpy(warm.multiplier, at + steps * sizeof(rub_step), h.n_multiplier * sizeof(double));
        *out = warm;
    } else {
        rub_plan_warm_clear(&warm);
        status = rub_error_set(err, RUB_NO_MEMORY, "out of memory for a checkpoint");
    }
    rub_file_close(&file);
    return status;
}
