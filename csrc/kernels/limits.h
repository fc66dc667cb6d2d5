/* What the machine can do at most: the measures of `nnfast bench`. No op uses them.
 *
 * | kernel          | buffer           | sizes                                    | work of one thread |
 * |-----------------|------------------|------------------------------------------|---------------------------------------|
 * | `limit_fma`     | y [threads * 64] | rounds                                   | rounds * 48 * LANES fmas  |
 * | `limit_read`    | y [threads * 64], x [n] | n, rounds                         | reads its range of x, rounds times
 * | | `limit_update`  | x [n]            | n, rounds                                | reads and writes its range, as
 * often  | | `limit_nothing` |                  |                                          | none: for the cost of
 * regions and barriers |
 *
 * y takes what must be used somewhere, so that the compiler keeps the work. */
#ifndef NNF_KERNELS_LIMITS_H
#define NNF_KERNELS_LIMITS_H

#include "split.h"

/* Chains in flight: at least latency times ports (4 x 2 on x86, 4 x 4 on the widest AArch64), within the registers. */
#if LANES * NNF_REAL == 512 || defined(__aarch64__)
enum { LIMIT_SUMS = 16 };
#else
enum { LIMIT_SUMS = 12 };
#endif
enum { LIMIT_LOADS = 8, LIMIT_ROUND = 48 }; /* LIMIT_ROUND: fmas of a round, the same on every level */

NNF_INLINE void limit_keep(real *y, const vec *sums, const int count) {
    vec all = v_zero();
    for (int i = 0; i < count; i++)
        all = v_add(all, sums[i]);
    v_store(y, all);
}

static void k_limit_fma(const nnf_step *step, int thread, int threads) {
    (void)threads;
    vec sum[LIMIT_SUMS];
    for (int i = 0; i < LIMIT_SUMS; i++)
        sum[i] = v_set((real)i);
    const vec a = v_set((real)0.5), b = v_set((real)0.25);
    for (int64_t round = 0; round < step->size[0]; round++)
        for (int part = 0; part < LIMIT_ROUND / LIMIT_SUMS; part++)
            for (int i = 0; i < LIMIT_SUMS; i++)
                sum[i] = v_fma(sum[i], a, b);
    limit_keep((real *)step->buffer[0] + thread * NNF_VIRTUAL_LANES, sum, LIMIT_SUMS);
}

static void k_limit_read(const nnf_step *step, int thread, int threads) {
    const nnf_range range = split_range(step, step->size[0], LIMIT_LOADS * LANES, thread, threads);
    const real *x = (const real *)step->buffer[1];
    vec sum[LIMIT_LOADS] = {{0}};
    for (int64_t round = 0; round < step->size[1]; round++) {
        for (int64_t i = range.begin; i + LIMIT_LOADS * LANES <= range.end; i += LIMIT_LOADS * LANES)
            for (int v = 0; v < LIMIT_LOADS; v++)
                sum[v] = v_max(sum[v], v_load(x + i + v * LANES));
        __asm__ volatile("" : : : "memory"); /* read again in each round */
    }
    limit_keep((real *)step->buffer[0] + thread * NNF_VIRTUAL_LANES, sum, LIMIT_LOADS);
}

static void k_limit_update(const nnf_step *step, int thread, int threads) {
    const nnf_range range = split_range(step, step->size[0], LIMIT_LOADS * LANES, thread, threads);
    real *x = (real *)step->buffer[0];
    for (int64_t round = 0; round < step->size[1]; round++) {
        for (int64_t i = range.begin; i + LIMIT_LOADS * LANES <= range.end; i += LIMIT_LOADS * LANES)
            for (int v = 0; v < LIMIT_LOADS; v++)
                v_store(x + i + v * LANES, v_neg(v_load(x + i + v * LANES)));
        __asm__ volatile("" : : : "memory");
    }
}

static void k_limit_nothing(const nnf_step *step, int thread, int threads) {
    (void)step;
    (void)thread;
    (void)threads;
}

#define NNF_LIMITS_KERNELS(X) X(limit_fma) X(limit_read) X(limit_update) X(limit_nothing)

#endif
