/* `resample`: an axis read at other places, y[o, i, :] = sum over t of weight[i, t] x[o, first[i] + t, :].
 *
 *   buffer: 0 y[outer, m, inner], 1 x[outer, n, inner]
 *   size:   outer, n, m, inner, then for each i: first, number of weights, place of its weights among the scalars
 *   scalar: the weights
 *
 * A product, then fused multiply-adds in ascending t; without weights 0. Threads divide the rows of y. */
#ifndef NNF_KERNELS_RESAMPLE_H
#define NNF_KERNELS_RESAMPLE_H

#include "channel.h"

#define NNF_RESAMPLE(count, LOAD, STORE)                                                                               \
    {                                                                                                                  \
        vec sum[count];                                                                                                \
        NNF_EACH(count) sum[v] = taps ? v_mul(v_set((real)weight[0]), LOAD(x + c + v * LANES)) : v_zero();             \
        for (int64_t t = 1; t < taps; t++) {                                                                           \
            const vec factor = v_set((real)weight[t]);                                                                 \
            NNF_EACH(count) sum[v] = v_fma(factor, LOAD(x + t * n + c + v * LANES), sum[v]);                           \
        }                                                                                                              \
        NNF_EACH(count) STORE(y + c + v * LANES, sum[v]);                                                              \
    }

static void resample_row(real *y, const real *x, const double *weight, int64_t taps, int64_t n) {
    NNF_BY_COLUMNS(n, NNF_RESAMPLE)
}

static void k_resample(const nnf_step *step, int thread, int threads) {
    const int64_t n = step->size[1], m = step->size[2], inner = step->size[3];
    const nnf_range range = split_range(step, step->size[0] * m, 1, thread, threads);
    for (int64_t row = range.begin; row < range.end; row++) {
        const int64_t *taps = step->size + 4 + row % m * 3;
        resample_row((real *)step->buffer[0] + row * inner,
                     (const real *)step->buffer[1] + (row / m * n + taps[0]) * inner, step->scalar + taps[2], taps[1],
                     inner);
    }
}

#define NNF_RESAMPLE_KERNELS(X) X(resample)

#endif
