/* Portfolio: which block (hall or phase of a site) does what in which node of a scenario tree.
 *
 * A problem is a study, a tree and what the nodes know; a plan is one state path per block over the
 * tree plus the market's clearing at each node. Two solvers, one answer: the deterministic
 * equivalent as a MIP (small studies, the oracle) and block pricing with a valid bound (large
 * ones). An independent evaluator re-costs every plan cash flow by cash flow. */
#ifndef RUBATO_PORTFOLIO_H
#define RUBATO_PORTFOLIO_H

#include "rubato/forecast.h"
#include "rubato/study.h"

/* ---- scenario tree ------------------------------------------------------------------------- */

/* Nodes in breadth-first order: node 0 is the root at quarter 0; parents come before children and a
 * node's children are consecutive. Every leaf stands in the last quarter. */
typedef struct rub_tree {
    int32_t n_node, n_quarter, n_leaf, n_feature;
    int32_t *parent;      /* -1 for the root (n_node) */
    int32_t *quarter;     /* 0..n_quarter-1 (n_node) */
    int32_t *first_child; /* (n_node); undefined when n_child is 0 */
    int32_t *n_child;     /* (n_node) */
    double *prob;         /* unconditional; each quarter sums to 1 (n_node) */
    double *feature;      /* what is known, columns of rub_features (n_node, n_feature) */
} rub_tree;

/* How much the reduction lost. */
typedef struct rub_tree_loss {
    double distance_frac;   /* mean relative distance of a path to its node's values */
    double mean_error_frac; /* largest relative error of a demand's mean in any quarter */
    double spread_frac;     /* of the loads' variance over paths, what is between the nodes: mean
                               over loads and quarters after the first */
    double talks_error;     /* largest |frequency - probability| of a site's talks */
} rub_tree_loss;

/* Reduces paths to a tree by nested clustering with the study's branching (or builds the tree that
 * the study gives in full, when paths is NULL). Means of demand are preserved quarter by quarter;
 * availability, exercise and talks outcomes are 0 or 1 in a node. Deterministic for a seed. */
rub_status rub_tree_reduce(const rub_study *study, const rub_paths *paths, rub_tree *out,
                           rub_tree_loss *loss, rub_error *err);
void rub_tree_clear(rub_tree *tree);

/* ---- problem ------------------------------------------------------------------------------- */

/* Options of the planner that can be switched off, to price what each is worth. */
enum {
    RUB_ALLOW_PAUSE = 1,
    RUB_ALLOW_CANCEL = 2,
    RUB_ALLOW_DEFER = 4,
    RUB_ALLOW_SUBLET = 8,
    RUB_ALLOW_RENT_IN = 16,
    RUB_ALLOW_RENT_OUT = 32,
    RUB_ALLOW_REFRESH = 64,
    RUB_ALLOW_UPGRADE = 128,
    RUB_ALLOW_SHIP = 256,
    RUB_ALLOW_WAIT = 512, /* may stay in signed or shell (else: proceed or leave at once) */
    RUB_ALLOW_ALL = 1023,
};

/* One hall or phase. Sites with n_block > 1 have that many equal blocks. */
typedef struct rub_block {
    int32_t site;   /* index into study->site */
    int32_t number; /* 0..n_block-1 within its site */
} rub_block;

/* Everything that a plan is judged by. Money in USD of the quarter it falls in, undiscounted;
 * node arrays are (n_node, ...) row-major. Compute units: tokens/s for inference,
 * accelerator-equivalents for training; "unit-quarter" is one of them for one quarter.
 * Borrowed: study and tree. Owned: the arrays. */
typedef struct rub_problem {
    const rub_study *study;
    const rub_tree *tree;
    int32_t n_block;
    rub_block *block;
    uint32_t allow; /* RUB_ALLOW_* */

    int32_t n_node, n_quarter, n_region, n_gen, n_demand, n_link, n_step;
    double *discount; /* factor to the study's start (n_quarter); quarter 0 is 1 */

    /* demand segments: class, region and partner are the study's */
    double *demand;      /* load [unit] (n_node, n_demand) */
    double *value_usd;   /* earned per unit-quarter served (n_node, n_demand) */
    double *penalty_usd; /* paid per unit-quarter not served (n_node, n_demand) */

    /* generations */
    uint8_t *may_order;       /* (n_node, n_gen) */
    double *gen_usd_per_mw;   /* servers for one MW, at order (n_node, n_gen) */
    double *accel_per_mw;     /* accelerators in one MW (n_gen) */
    double *tok_per_s_per_mw; /* inference yield (n_node, n_gen) */
    double *train_per_mw;     /* training accelerator-equivalents (n_node, n_gen) */
    double *supply_mw;        /* MW of servers orderable in the quarter, all sites (n_node, n_gen);
                                 HUGE_VAL = no limit */
    double
        *power_usd_per_mw; /* power of a live MW for one quarter, PUE included (n_node, n_region) */
    double *grid_mw;       /* limit on MW in use by live capacity (n_node, n_region);
                              HUGE_VAL = no limit */

    /* rental market in compute units: step s of market m; m = region for inference, n_region for
     * training. Prices rise with s for renting in, fall for renting out. */
    double *rent_in_depth, *rent_in_usd;   /* (n_node, n_region + 1, n_step) */
    double *rent_out_depth, *rent_out_usd; /* (n_node, n_region + 1, n_step) */
    double *sublet_usd_per_mw;             /* per MW-quarter (n_node, n_region) */
    double *sublet_depth_mw;               /* (n_node, n_region) */
    double *ship_usd;                      /* per unit-quarter over link l (n_node, n_link) */

    double *fixed_cash_usd; /* take-or-pay, partner's exit payment; no decision (n_node) */
    uint8_t *rofr;          /* partner's right exercised in this node (n_node, n_partner) */

    /* budgets: node n's spend counts to budget fiscal_of_quarter[quarter] */
    int32_t n_budget;
    double *budget_usd;         /* (n_budget); the first has what was already spent taken off */
    int32_t *budget_of_quarter; /* (n_quarter); -1: no budget given for that fiscal year */
    double cvar_weight, cvar_alpha;
} rub_problem;

void rub_problem_clear(rub_problem *problem);

/* ---- plan ---------------------------------------------------------------------------------- */

#define RUB_ACTION_LIST(X)                                                                         \
    X(NONE, "none", "nothing to decide")                                                           \
    X(WAIT, "wait", "hold and decide later")                                                       \
    X(SIGN, "sign", "sign the lease or buy the land")                                              \
    X(PROCEED, "proceed", "start or go on with construction")                                      \
    X(PAUSE, "pause", "stop construction, keep the right to resume")                               \
    X(RESUME, "resume", "take construction up again")                                              \
    X(DEFER, "defer", "put off commencement")                                                      \
    X(FIT_OUT, "fit out", "order accelerators and install them")                                   \
    X(SERVE, "serve", "run what is live")                                                          \
    X(REFRESH, "refresh", "replace accelerators by a newer generation")                            \
    X(UPGRADE, "upgrade", "convert the network to training fabric")                                \
    X(SUBLET, "sublet", "let to another tenant")                                                   \
    X(RENEW, "renew", "renew the lease")                                                           \
    X(CANCEL, "cancel", "terminate, walk away or let expire")                                      \
    X(RETIRE, "retire", "remove accelerators, keep the shell")

typedef enum rub_action {
#define X(name, text, meaning) RUB_ACTION_##name,
    RUB_ACTION_LIST(X)
#undef X
        RUB_N_ACTION
} rub_action;

const char *rub_action_text(rub_action action);

/* Where a block stands at the start of a node's quarter. Fields that a stage does not use are 0. */
typedef struct rub_block_state {
    uint8_t stage;     /* rub_stage */
    uint8_t remaining; /* building, fitting, paused: quarters to go; sublet: least quarters to go */
    uint8_t gen;       /* fitting, live: generation */
    uint8_t age;       /* live: quarters that its accelerators have served */
    uint8_t deferred;  /* quarters by which commencement was put off */
    uint8_t training;  /* fabric serves training (from the start or by upgrade) */
    uint8_t held;      /* a partner took its share by right of first refusal */
    uint8_t renewed;   /* the lease's second term */
} rub_block_state;

/* One decision: in this state at this node the block does action (to generation gen for FIT_OUT and
 * REFRESH) and stands in `next` at every child. */
typedef struct rub_step {
    rub_block_state state, next;
    uint8_t action;
    uint8_t gen;
} rub_step;

/* Market clearing at one node, in compute units for one quarter. */
typedef struct rub_plan {
    int32_t n_block, n_node;
    rub_step *step; /* (n_block, n_node) */
    /* use of live capacity [MW] by (node, region, gen): what serves training, inference */
    double *train_mw; /* (n_node, n_region, n_gen) */
    double *infer_mw; /* (n_node, n_region, n_gen) */
    double *served;   /* (n_node, n_demand) */
    double *rent_in;  /* (n_node, n_region + 1, n_step) */
    double *rent_out; /* (n_node, n_region + 1, n_step) */
    double *shipped;  /* (n_node, n_link) */
} rub_plan;

/* An empty plan of the problem's shape. Errors: RUB_NO_MEMORY. */
rub_status rub_plan_init(const rub_problem *problem, rub_plan *plan, rub_error *err);
void rub_plan_clear(rub_plan *plan);

typedef enum rub_outcome {
    RUB_OUTCOME_GAP,        /* plan within the gap asked for */
    RUB_OUTCOME_TIME_LIMIT, /* best plan so far with its gap */
    RUB_OUTCOME_STOPPED,    /* by the caller; best plan so far */
    RUB_OUTCOME_INFEASIBLE, /* no plan exists; see reason */
} rub_outcome;

typedef enum rub_method { RUB_METHOD_AUTO, RUB_METHOD_MIP, RUB_METHOD_PRICING } rub_method;

/* Where a solve stands: its best plan (only its steps) and the multipliers of its bound. */
typedef struct rub_solve_state {
    rub_plan plan;            /* step (n_block, n_node); nothing else */
    const double *multiplier; /* (n_multiplier) */
    size_t n_multiplier;
    double value_usd, bound_usd;
} rub_solve_state;

/* Told where a solve stands every so often; on the first of several ranks only. Block pricing alone
 * tells. */
typedef struct rub_solve_keep {
    double every_s;
    rub_status (*keep)(void *ctx, const rub_solve_state *state, rub_error *err);
    void *ctx;
} rub_solve_keep;

typedef struct rub_solve_def {
    rub_method method;
    double gap_frac; /* stop at (bound - value) / max(1, |value|) <= this */
    double time_limit_s;
    int32_t n_thread;       /* 0 = all cores; the plan does not depend on it */
    const rub_ranks *ranks; /* processes that solve together, or NULL; nor on how many */
    uint64_t seed;
    int64_t
        iterations; /* > 0: a fixed amount of search instead of time (same plan on any machine) */
    const rub_plan *warm;     /* a plan of the same problem shape to start from, or NULL */
    const double *multiplier; /* with warm: those of its solve (rub_solve_result), or NULL */
    size_t n_multiplier;
    const rub_solve_keep *keep; /* or NULL */
    bool keep_root;             /* the root's steps are those of warm; the rest is planned anew */
    bool
        explain; /* when no plan exists: find out why (some seconds), else only that there is none */
} rub_solve_def;

rub_solve_def rub_solve_default(void);

typedef struct rub_solve_result {
    rub_outcome outcome;
    rub_method method;
    double value_usd; /* objective of the plan as the independent evaluator costs it */
    double bound_usd; /* no plan can be better */
    double gap_frac;
    double seconds;
    int64_t iterations;
    /* prices: what one more unit is worth at a node, probability and discount taken out [USD] */
    double *unit_price; /* per unit-quarter; m as in rent_in (n_node, n_region + 1); may be NULL */
    double *budget_price; /* USD of objective per USD of budget (n_budget); may be NULL */
    double
        *multiplier; /* of all rows that blocks share, to start the next solve from; may be NULL */
    size_t n_multiplier;
    char reason[1024]; /* infeasible: which constraint, where, by how much, in the study's words */
} rub_solve_result;

void rub_solve_result_clear(rub_solve_result *result);

/* Solves. On RUB_OUTCOME_INFEASIBLE *plan is empty. Errors: RUB_NO_MEMORY, RUB_SOLVER. */
rub_status rub_portfolio_solve(const rub_problem *problem, const rub_solve_def *def,
                               const rub_progress *progress, rub_plan *plan,
                               rub_solve_result *result, rub_error *err);

/* What else a block could do now: the objective when only this block plans anew, with that action at
 * the root, and all others keep to the plan. */
typedef struct rub_alternative {
    int32_t block;
    rub_action action;
    int32_t gen; /* of fit out and refresh; else 0 */
    double value_usd;
} rub_alternative;

/* All alternatives of the first block of each behaviour in each site. *out is malloc'ed (*n). Cost: one
 * dynamic program each, and the market of the nodes that it changes. n_thread 0: all cores. */
rub_status rub_plan_alternatives(const rub_problem *problem, const rub_plan *plan, int32_t n_thread,
                                 rub_alternative **out, size_t *n, rub_error *err);

/* ---- evaluation, sharing no code with the solvers ------------------------------------------- */

typedef enum rub_cash_kind {
    RUB_CASH_VALUE,   /* demand served */
    RUB_CASH_PENALTY, /* demand not served */
    RUB_CASH_RENT_IN,
    RUB_CASH_RENT_OUT,
    RUB_CASH_SHIP,
    RUB_CASH_CAPEX_LONG,  /* land, shell, power, upgrade */
    RUB_CASH_CAPEX_SHORT, /* accelerators, installation */
    RUB_CASH_LEASE,       /* rent, option, deferral and exit fees */
    RUB_CASH_HOLD,        /* holding cost, pause, resume */
    RUB_CASH_OPEX,        /* power, staff */
    RUB_CASH_SUBLET,
    RUB_CASH_ROFR,
    RUB_CASH_RESALE,
    RUB_CASH_FIXED,
    RUB_CASH_TERMINAL, /* value of what stands after the last quarter */
    RUB_N_CASH
} rub_cash_kind;

const char *rub_cash_text(rub_cash_kind kind);

typedef struct rub_evaluation {
    int32_t n_node, n_leaf, n_violation;
    double objective_usd, mean_npv_usd, cvar_npv_usd;
    double *cash_usd;      /* undiscounted (n_node, RUB_N_CASH) */
    double *block_npv_usd; /* expected discounted own cash flows, market value left out (n_block) */
    double *leaf_npv_usd;  /* (n_leaf), leaves in node order */
    double *leaf_prob;     /* (n_leaf) */
    double *live_mw;       /* under power and serving (n_node, n_region, 2 fabrics) */
    double worst_violation; /* largest excess over a limit, relative */
    char violation[256];    /* the first constraint that does not hold, "" when all do */
} rub_evaluation;

/* Costs a plan and checks every constraint (reachable steps, budgets, grid, supply, depth, balance,
 * RUB_TALKS outcomes). A violated constraint is not an error: it is counted and named. */
rub_status rub_plan_evaluate(const rub_problem *problem, const rub_plan *plan, rub_evaluation *out,
                             rub_error *err);
void rub_evaluation_clear(rub_evaluation *evaluation);

#endif
