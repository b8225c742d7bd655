/* Serving engines: what they add to their operators. Fitted on ../shared/data/silicon by
 * `rubato validate --fit` and a coordinate search on half its rows after that (docs/validate.md says on
 * what, with which errors on pairs of model and system that were left out). */
#include "perf/ops.h"

#include "base/array.h"

static const rub_engine_constants constants[RUB_BACKEND_TRTLLM + 1] = {
    [RUB_BACKEND_VLLM] = {0.000593, 1.01e-05, 0.00145, 1.55e-06, 0.006, 3.48, 0, 0.96, 0.604, 1.08,
                          0.717, 2.96},
    [RUB_BACKEND_SGLANG] = {0.00037, 6.21e-07, 0.000121, 0, 0.0688, 6.45, 0.484, 0.912, 0.921,
                            0.823, 1.73, 2.84},
    [RUB_BACKEND_TRTLLM] = {0.000535, 5.07e-06, 0.00839, 1.47e-07, 0.0163, 6.72, 0, 0.944, 1.18,
                            0.873, 0.771, 1.22},
};

rub_engine_constants rub_engine_constants_of(rub_backend backend) {
    return constants[(size_t)backend < RUB_LEN(constants) ? backend : RUB_BACKEND_VLLM];
}

static void scale(rub_op *op, double by) {
    op->compute_s *= by;
    op->stream_s *= by;
    op->fixed_s *= by;
    op->overhead_s *= by;
    op->per_req_s *= by;
    op->scale *= by;
}

void rub_engine_apply(const rub_deployment *d, rub_op_list *list) {
    rub_engine_constants own = rub_engine_constants_of(d->backend);
    const rub_engine_constants *c = d->constants ? d->constants : &own;
    const double by[] = {
        [RUB_CLASS_GEMM] = c->gemm, [RUB_CLASS_ATTENTION] = c->attention,
        [RUB_CLASS_MOE] = c->moe,   [RUB_CLASS_COLLECTIVE] = c->collective,
        [RUB_CLASS_HEAD] = c->gemm, [RUB_CLASS_SMALL] = c->small,
        [RUB_CLASS_ENGINE] = 1.0,
    };
    for (int i = 0; i < list->n; i++)
        scale(&list->op[i], by[list->op[i].class]);
    list->op[list->n++] = (rub_op){.name = "engine",
                                   .kind = RUB_OP_ENGINE,
                                   .class = RUB_CLASS_ENGINE,
                                   .n = 1.0,
                                   .overhead_s = c->step_s,
                                   .per_req_s = c->per_seq_s};
    list->op[list->n++] = (rub_op){.name = "engine, prefill",
                                   .kind = RUB_OP_PREFILL,
                                   .class = RUB_CLASS_ENGINE,
                                   .n = 1.0,
                                   .overhead_s = c->prefill_s};
    list->op[list->n++] = (rub_op){.name = "engine, tokens",
                                   .kind = RUB_OP_TOKENS,
                                   .class = RUB_CLASS_ENGINE,
                                   .all_tokens = true,
                                   .n = 1.0,
                                   .stream_s = c->token_s};
}
