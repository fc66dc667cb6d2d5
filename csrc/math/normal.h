/* The normal distribution: its tail Phi(-t), the functions made of it, and the error function.
 *
 * Phi(-t) = e^(-t^2/2) p(t) / (2 t p(t) + s(t)) for t >= 0, all coefficients positive, so that nothing cancels; the
 * term 2 t p is exact but for the error of p, which then mostly divides out. The relative error stays small in the
 * whole tail, since e^(-t^2/2) is computed from t^2 in two parts. */
#ifndef NNF_MATH_NORMAL_H
#define NNF_MATH_NORMAL_H

#include "exp.h"

#if NNF_REAL == 32
/* Relative error of p / (2 t p + s) below 2^-26.5 for t <= 14.5. */
static const real normal_p[] = {0x1p-1f, 0x1.c018cp-2f, 0x1.76218cp-3f, 0x1.4b411ap-5f, 0x1.0ba766p-8f};
static const real normal_s[] = {0x1p+0f,        0x1.589d1cp-1f, 0x1.4ce43cp-2f,
                                0x1.a4667ep-4f, 0x1.4fc0b6p-6f, 0x1.0f2fa8p-9f};
#define NNF_NORMAL_MAX 14.6f /* e^(-t^2/2) t is 0 beyond */
/* erf(x) / x - 1 in x^2 for |x| < 0.7; relative error of erf below 2^-30. */
static const real erf_p[] = {0x1.06eba8p-3f,  -0x1.81273ep-2f, 0x1.ce2c14p-4f,
                             -0x1.b7c73cp-6f, 0x1.504feep-8f,  -0x1.695e7p-11f};
#else
/* Relative error of p / (2 t p + s) below 2^-54.7 for t <= 39.5. */
static const real normal_p[] = {0x1.0000000000000p-1,  0x1.a7f726c80b015p-1,  0x1.5c103e64baae5p-1,
                                0x1.6e13e03cd6e3fp-2,  0x1.0e949d297db0ap-3,  0x1.2463adc992c46p-5,
                                0x1.d32e2cc137c86p-8,  0x1.10cec4b3e77b3p-10, 0x1.bf76fde17be93p-14,
                                0x1.d4b043117cc03p-18, 0x1.e206d85a0c6b9p-23};
static const real normal_s[] = {0x1.0000000000000p+0,  0x1.74395066acb3ep+0,  0x1.29592097b1d14p+0,
                                0x1.48f2f87ad2fa1p-1,  0x1.0fea8d7ae944ep-2,  0x1.5930b722dfc87p-4,
                                0x1.526e574c7cba4p-6,  0x1.fc46e6267b9eap-9,  0x1.1d9a3ecaa5139p-11,
                                0x1.ca1dcdef4a851p-15, 0x1.dae6d6da2738dp-19, 0x1.e86ab02051ca7p-24};
#define NNF_NORMAL_MAX 39.5
/* Relative error of erf below 2^-56. */
static const real erf_p[] = {0x1.06eba8214db69p-3,   -0x1.812746b037a40p-2,  0x1.ce2f21a0487fcp-4,
                             -0x1.b82ce314d7938p-6,  0x1.565bcd86c487ep-8,   -0x1.c02dd02248469p-11,
                             0x1.f9a724e1dec23p-14,  -0x1.f52b85c2da9ffp-17, 0x1.be8873bfd1e86p-20,
                             -0x1.80217d7c955e0p-23, 0x1.4ceb8d48b374fp-26};
#endif
#define NNF_SQRT_2 0x1.6a09e667f3bcdp+0
#define NNF_PER_SQRT_2PI 0x1.9884533d43651p-2
#define NNF_2_PER_SQRT_PI 0x1.20dd750429b6dp+0

/* e^(-t^2/2) = result 2^n for 0 <= t <= NNF_NORMAL_MAX or NaN. */
NNF_INLINE vec normal_exp(vec t, vec *n) {
    vec low;
    const vec square = two_product(t, t, &low);
    return exp_significand(v_mul(v_set((real)-0.5), square), v_mul(v_set((real)-0.5), low), n);
}

/* The constant is the first operand, so that NaN stays. */
NNF_INLINE vec normal_clamp(vec t) { return v_min(v_set(NNF_NORMAL_MAX), t); }

/* 2 t p + s for p = p(t). */
NNF_INLINE vec normal_divisor(vec t, vec p) { return v_fma(v_add(t, t), p, NNF_POLYNOMIAL(t, normal_s)); }

/* Phi(-t) for t >= 0. */
NNF_INLINE vec normal_tail(vec t) {
    vec n;
    const vec limited = normal_clamp(t);
    const vec m = normal_exp(limited, &n);
    const vec p = NNF_POLYNOMIAL(limited, normal_p);
    return v_scale(v_div(v_mul(m, p), normal_divisor(limited, p)), n);
}

NNF_INLINE vec v_erf(vec x) {
    const vec t = v_abs(x);
    const vec z = v_mul(t, t);
    const vec small = v_fma(t, NNF_POLYNOMIAL(z, erf_p), t);
    const vec tail = normal_tail(v_mul(t, v_set((real)NNF_SQRT_2)));
    const vec large = v_fnma(v_set(2), tail, v_set(1));
    return v_copysign(v_select(v_lt(t, v_set((real)0.7)), small, large), x);
}

/* The same polynomial with the rounding error of its last step. That error is exact for positive terms: c[0] - y is a
 * multiple of the last place of y. */
NNF_INLINE vec normal_polynomial(vec t, const real *c, int degree, vec *low) {
    const vec upper = polynomial(t, c + 1, degree - 1);
    const vec y = v_fma(t, upper, v_set(c[0]));
    *low = v_fma(t, upper, v_sub(v_set(c[0]), y));
    return y;
}

/* x Phi(x). 2^n is applied last: t Phi(-t) may be normal where Phi(-t) is not. */
NNF_INLINE vec v_gelu(vec x) {
    vec n, m_low, a_low, p_low, s_low, product_low, q_low;
    const vec t = normal_clamp(v_abs(x)), twice = v_add(t, t);
    const vec p = normal_polynomial(t, normal_p, NNF_DEGREE(normal_p), &p_low);
    const vec s = normal_polynomial(t, normal_s, NNF_DEGREE(normal_s), &s_low);
    const vec product = two_product(twice, p, &product_low);
    const vec q = two_sum(product, s, &q_low);
    q_low = v_add(v_fma(twice, p_low, q_low), v_add(product_low, s_low));
    const vec m = two_product(t, normal_exp(t, &n), &m_low);
    const vec a = two_product(m, p, &a_low);
    a_low = v_fma(m, p_low, v_fma(m_low, p, a_low));
    const vec tail = v_scale(quotient(a, a_low, q, q_low), n);
    return v_select(v_lt(v_zero(), x), v_sub(x, tail), v_copysign(tail, x));
}

/* Phi(x) + x e^(-x^2/2) / sqrt(2 pi) = e^(-t^2/2) (p - t q / sqrt(2 pi)) / q at x = -t with q = 2 t p + s, and one
 * minus that at t. */
NNF_INLINE vec gelu_slope(vec x) {
    vec n;
    const vec t = normal_clamp(v_abs(x));
    const vec m = normal_exp(t, &n);
    const vec p = NNF_POLYNOMIAL(t, normal_p);
    const vec q = normal_divisor(t, p);
    const vec difference = v_fnma(v_mul(v_set((real)NNF_PER_SQRT_2PI), t), q, p);
    const vec slope = v_scale(v_div(v_mul(m, difference), q), n);
    return v_select(v_lt(v_zero(), x), v_sub(v_set(1), slope), slope);
}

NNF_INLINE vec erf_slope(vec x) {
    vec n, low;
    const vec t = v_min(v_set(NNF_PAIR(10.5, 27.5)), v_abs(x)); /* e^(-t^2) is 0 beyond */
    const vec square = two_product(t, t, &low);
    const vec m = exp_significand(v_neg(square), v_neg(low), &n);
    return v_scale(v_mul(m, v_set((real)NNF_2_PER_SQRT_PI)), n);
}

#endif
