/* The normal distribution: its tail Phi(-t), the functions made of it, and the error function.
 *
 * Phi(-t) = e^(-t^2/2) p(t) / q(t) for t >= 0, all coefficients positive, so that neither polynomial cancels. The relative
 * error stays small in the whole tail, since e^(-t^2/2) is computed from t^2 in two parts. */
#ifndef NNF_MATH_NORMAL_H
#define NNF_MATH_NORMAL_H

#include "exp.h"

#if NNF_REAL == 32
/* Relative error of p / q below 2^-26 for t <= 14.5. */
static const real normal_p[] = {0x1p-1f, 0x1.c018bep-2f, 0x1.763aa6p-3f, 0x1.4b8056p-5f, 0x1.0c3374p-8f};
static const real normal_q[] = {0x1p+0f, 0x1.ac4e8ep+0f, 0x1.334bacp+0f, 0x1.df5f68p-2f, 0x1.9f80bap-4f, 0x1.5022cep-7f};
#define NNF_NORMAL_MAX 14.5f
/* erf(x) / x - 1 in x^2 for |x| < 0.7; relative error of erf below 2^-30. */
static const real erf_p[] = {0x1.06eba8p-3f,  -0x1.81273ep-2f, 0x1.ce2c14p-4f,
                             -0x1.b7c73cp-6f, 0x1.504feep-8f,  -0x1.695e7p-11f};
#else
/* Relative error of p / q below 2^-54.5 for t <= 39.5. */
static const real normal_p[] = {0x1.0000000000000p-1, 0x1.a7f726c80b015p-1, 0x1.5c103e64baae5p-1,
                                 0x1.6e13e03cd6e3fp-2, 0x1.0e949d297db0ap-3, 0x1.2463adc992c46p-5,
                                 0x1.d32e2cc137c86p-8, 0x1.10cec4b3e77b3p-10, 0x1.bf76fde17be93p-14,
                                 0x1.d4b043117cc03p-18, 0x1.e206d85a0c6b9p-23};
static const real normal_q[] = {0x1.0000000000000p+0, 0x1.3a1ca8335659fp+1, 0x1.68a823afde694p+1,
                                 0x1.0044dd511215bp+1, 0x1.f60926fa4b866p-1, 0x1.64e0caf235a2cp-2,
                                 0x1.78ff439cb1f2fp-4, 0x1.291ff3256b580p-6, 0x1.5835546690c01p-9,
                                 0x1.18ff38aea7454p-12, 0x1.25b4fc6403473p-16, 0x1.2e10c231106f1p-21};
#define NNF_NORMAL_MAX 39.5
/* Relative error of erf below 2^-56. */
static const real erf_p[] = {0x1.06eba8214db69p-3,  -0x1.812746b037a40p-2, 0x1.ce2f21a0487fcp-4,  -0x1.b82ce314d7938p-6,
                             0x1.565bcd86c487ep-8,  -0x1.c02dd02248469p-11, 0x1.f9a724e1dec23p-14, -0x1.f52b85c2da9ffp-17,
                             0x1.be8873bfd1e86p-20, -0x1.80217d7c955e0p-23, 0x1.4ceb8d48b374fp-26};
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

/* Phi(-t) for t >= 0. */
NNF_INLINE vec normal_tail(vec t) {
    vec n;
    const vec limited = normal_clamp(t);
    const vec m = normal_exp(limited, &n);
    const vec p = v_mul(m, NNF_POLYNOMIAL(limited, normal_p));
    return v_scale(v_div(p, NNF_POLYNOMIAL(limited, normal_q)), n);
}

NNF_INLINE vec v_erf(vec x) {
    const vec t = v_abs(x);
    const vec z = v_mul(t, t);
    const vec small = v_fma(t, NNF_POLYNOMIAL(z, erf_p), t);
    const vec tail = normal_tail(v_mul(t, v_set((real)NNF_SQRT_2)));
    const vec large = v_fnma(v_set(2), tail, v_set(1));
    return v_copysign(v_select(v_lt(t, v_set((real)0.7)), small, large), x);
}

/* x Phi(x). 2^n is applied last: t Phi(-t) may be normal where Phi(-t) is not. */
NNF_INLINE vec v_gelu(vec x) {
    vec n;
    const vec t = normal_clamp(v_abs(x));
    const vec m = v_mul(t, normal_exp(t, &n));
    const vec p = v_mul(m, NNF_POLYNOMIAL(t, normal_p));
    const vec tail = v_scale(v_div(p, NNF_POLYNOMIAL(t, normal_q)), n);
    return v_select(v_lt(v_zero(), x), v_sub(x, tail), v_copysign(tail, x));
}

/* Phi(x) + x e^(-x^2/2) / sqrt(2 pi) = e^(-t^2/2) (p - t q / sqrt(2 pi)) / q at x = -t, one minus that at t. */
NNF_INLINE vec gelu_slope(vec x) {
    vec n;
    const vec t = normal_clamp(v_abs(x));
    const vec m = normal_exp(t, &n);
    const vec q = NNF_POLYNOMIAL(t, normal_q);
    const vec p = v_fnma(v_mul(v_set((real)NNF_PER_SQRT_2PI), t), q, NNF_POLYNOMIAL(t, normal_p));
    const vec slope = v_scale(v_div(v_mul(m, p), q), n);
    return v_select(v_lt(v_zero(), x), v_sub(v_set(1), slope), slope);
}

NNF_INLINE vec erf_slope(vec x) {
    vec n, low;
    const vec t = v_min(v_set(NNF_NORMAL_MAX), v_abs(x));
    const vec square = two_product(t, t, &low);
    const vec m = exp_significand(v_neg(square), v_neg(low), &n);
    return v_scale(v_mul(m, v_set((real)NNF_2_PER_SQRT_PI)), n);
}

#endif
