#include "portfolio/share.h"

#include "base/array.h"
#include "base/ranks.h"

#include <stdlib.h>

/* An array of rank 0, made on the others when rank 0 has it. */
static rub_status share_array(const rub_ranks *ranks, void **array, size_t n, size_t size,
                              rub_error *err) {
    bool there = *array != NULL;
    rub_ranks_share(ranks, &there, sizeof there, 0);
    if (rub_ranks_rank(ranks) > 0) {
        free(*array);
        *array = there ? rub_calloc(n, size) : NULL;
    }
    if (there && !*array)
        return rub_error_set(err, RUB_NO_MEMORY, "out of memory for the first rank's answer");
    if (there)
        rub_ranks_share(ranks, *array, n * size, 0);
    return RUB_OK;
}

static rub_status share_plan(const rub_problem *p, const rub_ranks *ranks, rub_plan *plan,
                             rub_error *err) {
    size_t n = (size_t)p->n_node, pool = n * (size_t)p->n_region * (size_t)p->n_gen;
    size_t rent = n * (size_t)(p->n_region + 1) * (size_t)p->n_step, d = sizeof(double);
    struct {
        void **array;
        size_t n, size;
    } const part[] = {{(void **)&plan->step, (size_t)p->n_block * n, sizeof *plan->step},
                      {(void **)&plan->train_mw, pool, d},
                      {(void **)&plan->infer_mw, pool, d},
                      {(void **)&plan->served, n * (size_t)p->n_demand, d},
                      {(void **)&plan->rent_in, rent, d},
                      {(void **)&plan->rent_out, rent, d},
                      {(void **)&plan->shipped, n * (size_t)p->n_link, d}};
    rub_ranks_share(ranks, &plan->n_block, sizeof plan->n_block, 0);
    rub_ranks_share(ranks, &plan->n_node, sizeof plan->n_node, 0);
    for (size_t i = 0; i < RUB_LEN(part); i++)
        RUB_TRY(share_array(ranks, part[i].array, part[i].n, part[i].size, err));
    return RUB_OK;
}

static rub_status share_result(const rub_problem *p, const rub_ranks *ranks, rub_solve_result *r,
                               rub_error *err) {
    rub_solve_result first = *r;
    rub_ranks_share(ranks, &first, sizeof first, 0);
    first.unit_price = r->unit_price; /* pointers of this rank again */
    first.budget_price = r->budget_price;
    first.multiplier = r->multiplier;
    *r = first;
    size_t units = (size_t)p->n_node * (size_t)(p->n_region + 1);
    RUB_TRY(share_array(ranks, (void **)&r->unit_price, units, sizeof(double), err));
    RUB_TRY(
        share_array(ranks, (void **)&r->budget_price, (size_t)p->n_budget, sizeof(double), err));
    return share_array(ranks, (void **)&r->multiplier, r->n_multiplier, sizeof(double), err);
}

rub_status rub_answer_share(const rub_problem *problem, const rub_ranks *ranks, rub_status status,
                            rub_plan *plan, rub_solve_result *result, rub_error *err) {
    if (rub_ranks_n(ranks) == 1)
        return status;
    rub_error told = err ? *err : (rub_error){0};
    rub_ranks_share(ranks, &status, sizeof status, 0);
    rub_ranks_share(ranks, &told, sizeof told, 0);
    if (err)
        *err = told;
    if (status != RUB_OK)
        return status;
    RUB_TRY(share_plan(problem, ranks, plan, err));
    return share_result(problem, ranks, result, err);
}
