/* log x and log(1 + x).
 *
 * x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)). Float: log(1 + f) = f - f^2/2 + f^3 p(f), without a division.
 * Double: with s = f / (2 + f), log(1 + f) = f - (f^2/2 - s (f^2/2 + s^2 p(s^2))), as in FDLIBM's e_log.c. */
#ifndef NNF_MATH_LOG_H
#define NNF_MATH_LOG_H

#include "exp.h"

#if NNF_REAL == 32
/* Relative error of log(1 + f) below 2^-29.1. */
static const real log_p[] = {0x1.555548p-2f,  -0x1.000078p-2f, 0x1.99a54ep-3f,  -0x1.552bd4p-3f, 0x1.22ff62p-3f,
                             -0x1.01375cp-3f, 0x1.f0940cp-4f,  -0x1.bd2c92p-4f, 0x1.ae2ffcp-5f};
#define NNF_SQRT_HALF_BITS 0x3f3504f3
#define NNF_ONE_BITS 0x3f800000
#else
/* Relative error of log(1 + f) below 2^-58. */
static const real log_p[] = {0x1.555555555557cp-1, 0x1.99999999855b0p-2, 0x1.2492493e0562fp-2, 0x1.c71c54badd549p-3,
                             0x1.7465c3b654606p-3, 0x1.39acc37d8925ap-3, 0x1.2ea127bcfd821p-3};
#define NNF_SQRT_HALF_BITS 0x3fe6a09e667f3bcd
#define NNF_ONE_BITS 0x3ff0000000000000
#endif

/* f of a positive normal x, and k as a real. */
NNF_INLINE vec log_reduce(vec x, vec *k) {
    const ivec shifted = i_add(v_bits(x), i_set((sbits)NNF_ONE_BITS - (sbits)NNF_SQRT_HALF_BITS));
    *k = v_from_int(i_sub(i_shr(shifted, NNF_MANTISSA), i_set(NNF_BIAS)));
    const ivec significand = i_and(shifted, i_set(((sbits)1 << NNF_MANTISSA) - 1));
    return v_sub(v_from_bits(i_add(significand, i_set((sbits)NNF_SQRT_HALF_BITS))), v_set(1));
}

/* log((1 + f) 2^k) */
NNF_INLINE vec log_sum(vec f, vec k) {
    const vec square = v_mul(f, f);
#if NNF_REAL == 32
    vec y = v_mul(v_mul(square, f), NNF_POLYNOMIAL(f, log_p));
    y = v_fma(k, v_set(NNF_LN2_LOW), y);
    y = v_fnma(v_set(0.5f), square, y);
    return v_fma(k, v_set(NNF_LN2_HIGH), v_add(f, y));
#else
    const vec half = v_mul(v_set(0.5), square);
    const vec s = v_div(f, v_add(v_set(2), f));
    const vec z = v_mul(s, s);
    const vec rest = v_fma(z, NNF_POLYNOMIAL(z, log_p), half);
    const vec low = v_fma(k, v_set(NNF_LN2_LOW), v_mul(s, rest));
    return v_fma(k, v_set(NNF_LN2_HIGH), v_sub(f, v_sub(half, low)));
#endif
}

/* log x for 0 < x < inf. */
NNF_INLINE vec log_positive(vec x) {
    const mask tiny = v_lt(x, v_set(NNF_SMALLEST_NORMAL));
    vec k;
    const vec f = log_reduce(v_select(tiny, v_mul(x, v_set(NNF_INTEGRAL)), x), &k);
    return log_sum(f, v_select(tiny, v_sub(k, v_set(NNF_MANTISSA)), k));
}

NNF_INLINE vec v_log(vec x) {
    const vec y = v_select(v_lt(x, v_set(NNF_INFINITY)), log_positive(x), x); /* inf and NaN stay */
    const vec below = v_select(v_eq(x, v_zero()), v_set(-NNF_INFINITY), v_set(NNF_NAN));
    return v_select(v_le(x, v_zero()), below, y);
}

/* log(1 + x) for -1 < x < inf. 1 + x = u + error exactly; the error goes into f. */
NNF_INLINE vec log1p_finite(vec x) {
    vec error, k;
    const vec u = two_sum(v_set(1), x, &error);
    const vec f = log_reduce(u, &k);
    return log_sum(v_add(f, v_scale(error, v_neg(k))), k);
}

NNF_INLINE vec v_log1p(vec x) {
    const vec minus_one = v_set(-1);
    const vec y = v_select(v_lt(x, v_set(NNF_INFINITY)), v_copysign(log1p_finite(x), x), x);
    const vec below = v_select(v_eq(x, minus_one), v_set(-NNF_INFINITY), v_set(NNF_NAN));
    return v_select(v_le(x, minus_one), below, y);
}

#endif
