/* One step of an optimizer: all parameters in one flat arena, one sweep. Threads divide it in equal ranges.
 *
 * | kernel         | buffer                             | scalar                                            |
 * |----------------|------------------------------------|---------------------------------------------------|
 * | `sgd`          | w, g, lr, counters                 | weight_decay                                      |
 * | `sgd_momentum` | w, g, velocity, lr, counters       | weight_decay, momentum, nesterov                  |
 * | `adam`         | w, g, m, v, lr, counters           | weight_decay, beta_1, beta_2, epsilon             |
 * | `rmsprop`      | w, g, v, moment, mean, lr, counters| weight_decay, rho, momentum, epsilon, centered    |
 * | `adagrad`      | w, g, accumulator, lr, counters    | weight_decay, epsilon                             |
 *
 * size: n. w, g and the state are real[n]; lr, the learning rates, double[]; counters int64[NNF_COUNTERS]. rmsprop's
 * moment is NULL if momentum = 0, its mean unless centered.
 *
 * The rate of this step is lr[counters[NNF_SLOT]], t = counters[NNF_ITERATION] + 1. Every kernel begins with decoupled
 * weight decay, w -= rate weight_decay w, if weight_decay is not 0. Fused multiply-adds as written below.
 *
 * State below the smallest normal number becomes +0. Without that the state of a unit whose gradient stays 0 decays
 * into the denormal numbers and remains there, where operations cost a hundred cycles: with Adam a step of 4-64-64-2,
 * batch 4, took 31 us after some thousand steps, now 5.9 (Intel Xeon, AVX-512, 2026-11). */
#ifndef NNF_KERNELS_UPDATE_H
#define NNF_KERNELS_UPDATE_H

#include "../math/polynomial.h"
#include "split.h"

NNF_INLINE real update_rate(const nnf_step *step, int learning_rate) {
    const int64_t *counters = (const int64_t *)step->buffer[learning_rate + 1];
    return (real)((const double *)step->buffer[learning_rate])[counters[NNF_SLOT]];
}

/* x^t by repeated squaring. */
static double update_power(double x, int64_t t) {
    double y = 1;
    for (; t > 0; t >>= 1, x *= x)
        if (t & 1)
            y *= x;
    return y;
}

static double update_sqrt(double x) { return __builtin_sqrt(x); }

/* NNF_UPDATE(name, learning_rate, setup, body): the loop over this thread's share. In body, LOAD(i) is a vec of buffer
 * i, STORE(i, x) puts one back, w is the decayed weight. The tail is masked. */
#define NNF_UPDATE(name, learning_rate, setup, body)                                                                   \
    static void k_##name(const nnf_step *step, int thread, int threads) {                                              \
        const nnf_range range = split_range(step, step->size[0], NNF_VIRTUAL_LANES, thread, threads);                  \
        if (range.begin >= range.end)                                                                                  \
            return;                                                                                                    \
        const real rate_of_step = update_rate(step, learning_rate);                                                    \
        const vec rate = v_set(rate_of_step);                                                                          \
        const vec decay = v_set((real)(rate_of_step * (real)step->scalar[0]));                                         \
        real *buffer[NNF_MAX_BUFFERS];                                                                                 \
        for (int b = 0; b < learning_rate; b++)                                                                        \
            buffer[b] = (real *)step->buffer[b];                                                                       \
        const int decays = step->scalar[0] != 0;                                                                       \
        (void)rate;                                                                                                    \
        setup;                                                                                                         \
        int64_t i = range.begin;                                                                                       \
        for (; i + LANES <= range.end; i += LANES) {                                                                   \
            vec (*const load)(const real *, int64_t) = nnf_load_whole;                                                 \
            void (*const store)(real *, vec, int64_t) = update_store_whole;                                            \
            const int64_t left = LANES;                                                                                \
            NNF_UPDATE_BODY(body)                                                                                      \
        }                                                                                                              \
        if (i < range.end) {                                                                                           \
            vec (*const load)(const real *, int64_t) = v_load_first;                                                   \
            void (*const store)(real *, vec, int64_t) = v_store_first;                                                 \
            const int64_t left = range.end - i;                                                                        \
            NNF_UPDATE_BODY(body)                                                                                      \
        }                                                                                                              \
    }
#define NNF_UPDATE_BODY(body)                                                                                          \
    const vec g = LOAD(1);                                                                                             \
    vec w = LOAD(0);                                                                                                   \
    if (decays)                                                                                                        \
        w = v_fnma(decay, w, w);                                                                                       \
    body;                                                                                                              \
    STORE(0, w);
#define LOAD(b) load(buffer[b] + i, left)
#define STORE(b, x) store(buffer[b] + i, x, left)
#define STORE_STATE(b, x) STORE(b, update_normal(x))

NNF_INLINE vec update_normal(vec x) { return v_select(v_lt(v_abs(x), v_set(NNF_SMALLEST_NORMAL)), v_zero(), x); }

NNF_INLINE void update_store_whole(real *p, vec x, int64_t n) {
    (void)n;
    v_store(p, x);
}

/* The statements are arguments of a macro, which clang-format does not understand. */
/* clang-format off */
NNF_UPDATE(sgd, 2, ,
    w = v_fnma(rate, g, w))

/* v = momentum v - rate g; w += v, or momentum v - rate g (Nesterov) */
NNF_UPDATE(sgd_momentum, 3,
    const vec momentum = v_set((real)step->scalar[1]);
    const int nesterov = step->scalar[2] != 0,

    const vec descent = v_mul(rate, g);
    const vec velocity = v_sub(v_mul(momentum, LOAD(2)), descent);
    STORE_STATE(2, velocity);
    w = v_add(w, nesterov ? v_sub(v_mul(momentum, velocity), descent) : velocity))

/* Kingma and Ba (2015): m += (1 - beta_1) (g - m); v += (1 - beta_2) (g^2 - v);
 * w -= rate / (1 - beta_1^t) m / (sqrt(v) / sqrt(1 - beta_2^t) + epsilon) */
NNF_UPDATE(adam, 4,
    const int64_t t = ((const int64_t *)step->buffer[5])[NNF_ITERATION] + 1;
    const double beta_1 = step->scalar[1];
    const double beta_2 = step->scalar[2];
    const vec weight_1 = v_set((real)(1 - beta_1));
    const vec weight_2 = v_set((real)(1 - beta_2));
    const vec size = v_set((real)(rate_of_step / (1 - update_power(beta_1, t))));
    const vec correction = v_set((real)(1 / update_sqrt(1 - update_power(beta_2, t))));
    const vec epsilon = v_set((real)step->scalar[3]),

    const vec m_old = LOAD(2);
    const vec v_old = LOAD(3);
    const vec m = v_fma(weight_1, v_sub(g, m_old), m_old);
    const vec v = v_fma(weight_2, v_fms(g, g, v_old), v_old);
    STORE_STATE(2, m);
    STORE_STATE(3, v);
    const vec divisor = v_fma(v_sqrt(v), correction, epsilon);
    w = v_sub(w, v_div(v_mul(size, m), divisor)))

/* v = rho v + (1 - rho) g^2; d = rate g / (sqrt(v - mean^2 if centered) + epsilon);
 * with momentum d += momentum moment; w -= d */
NNF_UPDATE(rmsprop, 5,
    const vec old = v_set((real)step->scalar[1]);
    const vec new = v_set((real)(1 - step->scalar[1]));
    const vec momentum = v_set((real)step->scalar[2]);
    const int with_momentum = step->scalar[2] != 0;
    const vec epsilon = v_set((real)step->scalar[3]);
    const int centered = step->scalar[4] != 0,

    const vec v = v_fma(new, v_mul(g, g), v_mul(old, LOAD(2)));
    STORE_STATE(2, v);
    vec spread = v;
    if (centered) {
        const vec mean = v_fma(new, g, v_mul(old, LOAD(4)));
        STORE_STATE(4, mean);
        spread = v_max(v_zero(), v_fnma(mean, mean, v)); /* rounding may take it below 0 */
    }
    vec d = v_div(v_mul(rate, g), v_add(v_sqrt(spread), epsilon));
    if (with_momentum) {
        d = v_fma(momentum, LOAD(3), d);
        STORE_STATE(3, d);
    }
    w = v_sub(w, d))

/* Duchi, Hazan and Singer (2011): accumulator += g^2; w -= rate g / (sqrt(accumulator) + epsilon) */
NNF_UPDATE(adagrad, 3,
    const vec epsilon = v_set((real)step->scalar[1]),

    const vec sum = v_fma(g, g, LOAD(2));
    STORE_STATE(2, sum);
    w = v_sub(w, v_div(v_mul(rate, g), v_add(v_sqrt(sum), epsilon))))
/* clang-format on */

#undef LOAD
#undef STORE
#undef STORE_STATE

#define NNF_UPDATE_KERNELS(X) X(sgd) X(sgd_momentum) X(adam) X(rmsprop) X(adagrad)

#endif
