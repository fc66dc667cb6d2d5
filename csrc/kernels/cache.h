/* Rows that are kept between steps, for decoding one token after the other.
 *
 * `cache_write`   buffer: 0 cache[B, C, row], 1 x[B, T, row], 2 place int32[1]   size: B, C, T, row
 *   cache[b, place + t] = x[b, t]; rows beyond C are left out. Threads divide B T. */
#ifndef NNF_KERNELS_CACHE_H
#define NNF_KERNELS_CACHE_H

#include "split.h"

static void k_cache_write(const nnf_step *step, int thread, int threads) {
    const int64_t C = step->size[1], T = step->size[2], row = step->size[3];
    const int64_t place = *(const int32_t *)step->buffer[2];
    const nnf_range range = split_range(step, step->size[0] * T, 1, thread, threads);
    for (int64_t i = range.begin; i < range.end; i++) {
        const int64_t to = place + i % T;
        if (to >= 0 && to < C)
            __builtin_memcpy((real *)step->buffer[0] + (i / T * C + to) * row, (const real *)step->buffer[1] + i * row,
                             (uint64_t)row * sizeof(real));
    }
}

#define NNF_CACHE_KERNELS(X) X(cache_write)

#endif
