/* Speculative decoding: how many drafted tokens are right. Independent trials, as in Leviathan et
 * al. 2023 (arXiv:2211.17192): a step gains (1 - a^(d + 1)) / (1 - a) tokens on average. */
#include "serve/replica.h"

static uint64_t mixed(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

int64_t rub_decode_gain(const rub_run *run, int32_t id, int64_t done, int64_t total) {
    const rub_serve_def *d = run->def;
    int64_t gain = 1;
    if (d->spec_draft == 0)
        return 1;
    uint64_t x =
        mixed((d->seed + 1) * 0x9e3779b97f4a7c15u ^ (uint64_t)(uint32_t)id << 32 ^ (uint64_t)done);
    for (int32_t k = 0; k < d->spec_draft; k++) {
        x = mixed(x + 0x9e3779b97f4a7c15u);
        if ((double)(x >> 11) * 0x1p-53 >= d->spec_accept)
            break;
        gain++;
    }
    return gain < total - done ? gain : total - done;
}
