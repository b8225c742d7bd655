/* The roofline's constants: one small set for each kind of operator, none for a model or a system.
 *
 * Chosen on 2026-11-23 from the operator times measured for vLLM 0.24 on H100, H200, B200, GB200,
 * L40S and RTX PRO 6000 (ai-dynamo/aiconfigurator at 095f58a), as the values around which the best
 * fit of each system scatters; docs/perf.md gives each fit and its error. Calibrated systems take
 * their place in a later issue. */
#include "perf/ops.h"

#include "base/array.h"

/* Dense products. bf16: 0.70-0.80 of peak, 0.75-0.90 of bandwidth. fp8 includes quantising the
 * activations: 0.45-0.70 and 0.70-0.90. fp4: 0.40-0.60 and 0.60-0.70. */
static const rub_efficiency dense[] = {
    [RUB_BF16] = {0.75, 0.80, 4e-6},  [RUB_FP8] = {0.50, 0.80, 5e-6},
    [RUB_INT8] = {0.50, 0.80, 5e-6},  [RUB_MXFP4] = {0.45, 0.60, 6e-6},
    [RUB_NVFP4] = {0.45, 0.62, 6e-6}, [RUB_INT4] = {0.50, 0.60, 6e-6},
};

/* Routed experts, both products of a layer with gating and permutation: bf16 0.30-0.45 of peak and
 * 0.7-0.9 of bandwidth; fp8 0.15-0.30 and 0.7-0.8; nvfp4 0.3 and 0.7; 4-bit weights 0.2-0.45 and
 * 0.4-0.8. Launches and routing 20 to 50 us. */
static const rub_efficiency experts[] = {
    [RUB_BF16] = {0.38, 0.80, 30e-6},  [RUB_FP8] = {0.22, 0.70, 30e-6},
    [RUB_INT8] = {0.22, 0.70, 30e-6},  [RUB_MXFP4] = {0.40, 0.70, 25e-6},
    [RUB_NVFP4] = {0.30, 0.70, 25e-6}, [RUB_INT4] = {0.20, 0.60, 40e-6},
};

rub_efficiency rub_efficiency_gemm(rub_precision weights, bool is_experts) {
    const rub_efficiency *table = is_experts ? experts : dense;
    return (size_t)weights < RUB_LEN(dense) ? table[weights] : table[RUB_BF16];
}

/* FlashAttention over prompts of 128 tokens and more: 0.40-0.55 of the bf16 peak, 10-20 us. */
rub_efficiency rub_efficiency_prefill(void) { return (rub_efficiency){0.50, 0.50, 15e-6}; }

/* Decode attention: 0.85-0.90 of bandwidth, 10-13 us; arithmetic as in prefill. */
rub_efficiency rub_efficiency_decode(void) { return (rub_efficiency){0.50, 0.87, 11e-6}; }

/* Norms, rope, activations, residuals: plain streaming; a launch inside a CUDA graph is 1-2 us. */
rub_efficiency rub_efficiency_small(void) { return (rub_efficiency){1.0, 0.60, 1.5e-6}; }

/* Gated delta net's chunked scan; no table was measured: assumed as half of prefill attention. */
rub_efficiency rub_efficiency_scan(void) { return (rub_efficiency){0.25, 0.60, 15e-6}; }

/* A power law of exponent 1.01, as aiconfigurator takes for the load of experts by default. */
double rub_expert_skew(void) { return 1.0; }

/* vLLM's custom all-reduce in a graph: 4.2 to 8 us for a few KB (2 to 8 accelerators); large
 * messages at 0.53 to 0.9 of the ring's ideal over NVLink, more for more accelerators. Without a
 * fast link (under 100 GB/s) accelerators share the bus: 0.6 for two, and in proportion less for
 * more. */
void rub_all_reduce(const rub_accelerator *accel, int32_t tp, double *latency_s,
                    double *s_per_byte) {
    if (tp <= 1) {
        *latency_s = *s_per_byte = 0.0;
        return;
    }
    bool fast = accel->scaleup_bytes_per_s >= 100e9;
    double ring = tp < 8 ? 0.55 + 0.025 * tp : 0.75;
    double efficiency = fast ? ring : 0.60 * 2.0 / tp;
    *latency_s = fast ? (4.0 + 0.5 * tp) * 1e-6 : (2.0 + 3.0 * tp) * 1e-6;
    *s_per_byte = 2.0 * (tp - 1) / tp / (accel->scaleup_bytes_per_s * efficiency);
}
