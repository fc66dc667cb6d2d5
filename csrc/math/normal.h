/* The normal distribution: gelu(x) = x Phi(x) and its slope, and the error function.
 *
 * gelu. Up to |x| = 0.7: x / 2 + x^2 p(x^2). Beyond, with t = |x|: t Phi(-t) = e^(-t^2/2) w(t), where w grows slowly
 * from 0.21 to 1 / sqrt(2 pi); so w = 0.34 + k(t), k a quotient of two polynomials, and the rounding errors of k matter
 * little. With t^2 in two parts and e^r = 1 + e the relative error stays small in the whole tail.
 *
 * erf. Up to 0.85: x + x p(x^2). Beyond: 1 - e^(-u), u = t + t p(t), so that there is no division. */
#ifndef NNF_MATH_NORMAL_H
#define NNF_MATH_NORMAL_H

#include "exp.h"

#if NNF_REAL == 32
/* Error of k below 2^-28.2 of w for t from 0.7 to 14.7. */
static const real normal_top[] = {-0x1.5c01d6p-2f, -0x1.858cd4p-4f, 0x1.a71304p-6f,
                                  0x1.b2b99cp-6f,  0x1.faa0d2p-8f,  0x1.e41c7ep-11f};
static const real normal_bottom[] = {0x1p+0f,        0x1.c05362p+0f, 0x1.537e1ap+0f,
                                     0x1.1bad66p-1f, 0x1.0bec2p-3f,  0x1.fff7bp-7f};
/* Relative error of gelu below 2^-28.6, absolute error of its slope below 2^-28.6. */
static const real gelu_p[] = {0x1.988454p-2f, -0x1.10586ep-4f, 0x1.46d6dp-7f, -0x1.370c7ep-10f, 0x1.c39e6cp-14f};
static const real gelu_slope_p[] = {0x1.988452p-1f, -0x1.1057d6p-2f, 0x1.ea16bep-5f, -0x1.34dd7ep-7f, 0x1.082076p-10f};
#define NNF_NORMAL_MAX 14.6f /* e^(-t^2/2) t is 0 beyond */
/* Relative error of erf below 2^-27.1 and 2^-28.1. */
static const real erf_p[] = {0x1.06eba8p-3f,  -0x1.812726p-2f, 0x1.ce256ap-4f,
                             -0x1.b735eap-6f, 0x1.4b762ep-8f,  -0x1.4cd846p-11f};
static const real erf_u[] = {0x1.073a8p-3f,   0x1.45761p-1f,  0x1.af6f8ep-4f,
                             -0x1.77c334p-6f, 0x1.a73c64p-9f, -0x1.c45e34p-13f};
#else
/* Error of k below 2^-57.4 of w for t from 0.7 to 39.6. */
static const real normal_top[] = {-0x1.5bffffff91416p-2, -0x1.49bb929adfa60p-2, -0x1.da852d2b15b1bp-4,
                                  0x1.6bbd3b534e39cp-8,  0x1.95309991af191p-6,  0x1.a0d8d451cad90p-7,
                                  0x1.f1c5b1fca1441p-9,  0x1.8c0605b41de83p-11, 0x1.a8262cd309045p-14,
                                  0x1.1d70fc6d13949p-17, 0x1.7b83f7c4ee964p-22};
static const real normal_bottom[] = {0x1.0000000000000p+0,  0x1.359a535770b2dp+1, 0x1.5ce1f06124398p+1,
                                     0x1.e3da59ca0c213p+0,  0x1.caf3494cfce5cp-1, 0x1.38805d9791de3p-2,
                                     0x1.3724c4dd69406p-4,  0x1.c2a83514d5bd1p-7, 0x1.cb2513ee097bap-10,
                                     0x1.2ddec4a3ccdfbp-13, 0x1.915bde2a04bfcp-18};
/* Relative error of gelu below 2^-58.4, absolute error of its slope below 2^-58.9. */
static const real gelu_p[] = {0x1.9884533d43650p-2,   -0x1.1058377e2cdf8p-4,  0x1.46d042975aba1p-7,
                              -0x1.37403f650e2d0p-10, 0x1.e42b0a08ff0f2p-14,  -0x1.3ce87e5ccf8c2p-17,
                              0x1.6573be702153cp-21,  -0x1.5fb8be47de4c7p-25, 0x1.1392ccc1d7405p-29};
static const real gelu_slope_p[] = {0x1.9884533d43651p-1,  -0x1.1058377e2cf4dp-2,  0x1.ea3863e32531bp-5,
                                    -0x1.37403f6d84acbp-7, 0x1.2e9ae8d6686c6p-10,  -0x1.db5da19ae1d6dp-14,
                                    0x1.38dcc7460f4ebp-17, -0x1.628fb401c3aacp-21, 0x1.658a3d4b20787p-25,
                                    -0x1.4be2e7a805205p-29};
#define NNF_NORMAL_MAX 39.5
/* Relative error of erf below 2^-56.2 and 2^-56.7. */
static const real erf_p[] = {0x1.06eba8214db68p-3,   -0x1.812746b037995p-2,  0x1.ce2f21a03e75bp-4,
                             -0x1.b82ce3111cd56p-6,  0x1.565bccd013862p-8,   -0x1.c02da77c0f7fep-11,
                             0x1.f9a1944312407p-14,  -0x1.f4b1b2b37ac7bp-17, 0x1.b8300e3148812p-20,
                             -0x1.50f9ab3aea69dp-23, 0x1.6e4c6abf548ddp-27};
static const real erf_u[] = {0x1.06eba8f2287ebp-3,   0x1.45f303477b691p-1,   0x1.a4f5b6a44535ep-4,
                             -0x1.3974e4fa304bap-6,  -0x1.a1c32fd85ea51p-13, 0x1.b72282146286cp-10,
                             -0x1.23de5945509cep-11, -0x1.008e448e7c102p-16, 0x1.b5fd9e1da1036p-14,
                             -0x1.faf673f51951bp-15, 0x1.72032573e6a87p-16,  -0x1.8c135adf19834p-18,
                             0x1.41f7757fffae4p-20,  -0x1.8c6559a35a8a1p-23, 0x1.67a6e78b6b008p-26,
                             -0x1.c6920b8dd62d4p-30, 0x1.659b492db8c00p-34,  -0x1.07a4347573ca6p-39};
#endif
#define NNF_W_MIDDLE NNF_PAIR(0x1.5cp-2f, 0x1.5cp-2) /* 0.34 */
#define NNF_PER_SQRT_2PI 0x1.9884533d43651p-2
#define NNF_2_PER_SQRT_PI 0x1.20dd750429b6dp+0

/* The constant is the first operand, so that NaN stays. */
NNF_INLINE vec normal_clamp(vec t) { return v_min(v_set(NNF_NORMAL_MAX), t); }

/* e^(-t^2/2) = (1 + result) 2^n for 0 <= t <= NNF_NORMAL_MAX or NaN. */
NNF_INLINE vec normal_exp(vec t, vec *n) {
    vec low, r_low;
    const vec exponent = two_product(v_mul(v_set((real)-0.5), t), t, &low);
    const vec r = exp_reduce(exponent, low, n, &r_low);
    return expm1_reduced_short(v_add(r, r_low));
}

NNF_INLINE vec v_gelu(vec x) {
    vec n;
    const vec t = normal_clamp(v_abs(x)), square = v_mul(x, x);
    const vec small = v_fma(square, NNF_POLYNOMIAL(square, gelu_p), v_mul(v_set((real)0.5), x));
    const vec e = normal_exp(t, &n);
    const vec k = v_div(NNF_POLYNOMIAL(t, normal_top), NNF_POLYNOMIAL(t, normal_bottom));
    const vec w = v_add(v_set(NNF_W_MIDDLE), k);
    const vec tail = v_scale(v_fma(w, e, w), n); /* 2^n last: t Phi(-t) may be normal where Phi(-t) is not */
    const vec large = v_sub(v_max(x, v_set((real)-0.0)), tail);
    return v_select(v_lt(t, v_set((real)0.7)), small, large);
}

NNF_INLINE vec v_erf(vec x) {
    vec n;
    const vec t = v_min(v_set(NNF_PAIR(4, 6)), v_abs(x)); /* the result is 1 beyond */
    const vec square = v_mul(t, t);
    const vec small = v_fma(t, NNF_POLYNOMIAL(square, erf_p), t);
    const vec u = v_fma(t, NNF_POLYNOMIAL(t, erf_u), t);
    const vec m = exp_parts(v_neg(u), &n);
    const vec large = v_fnma(v_power_of_two(n, 0), m, v_set(1));
    return v_copysign(v_select(v_lt(t, v_set((real)0.85)), small, large), x);
}

/* Phi(x) + x e^(-x^2/2) / sqrt(2 pi). Up to |x| = 0.7: 1/2 + x p(x^2). Beyond, at x = -t: e^(-t^2/2) (w / t - t c),
 * c = 1 / sqrt(2 pi), and one minus that at t. */
NNF_INLINE vec gelu_slope(vec x) {
    vec n;
    const vec t = normal_clamp(v_abs(x)), square = v_mul(t, t), c = v_set((real)NNF_PER_SQRT_2PI);
    const vec small = v_fma(x, NNF_POLYNOMIAL(square, gelu_slope_p), v_set((real)0.5));
    const vec e = normal_exp(t, &n);
    const vec bottom = NNF_POLYNOMIAL(t, normal_bottom);
    const vec top = v_fma(bottom, v_fnma(square, c, v_set(NNF_W_MIDDLE)), NNF_POLYNOMIAL(t, normal_top));
    const vec quotient = v_div(top, v_mul(t, bottom));
    const vec below = v_scale(v_fma(quotient, e, quotient), n);
    const vec large = v_select(v_lt(v_zero(), x), v_sub(v_set(1), below), below);
    return v_select(v_lt(t, v_set((real)0.7)), small, large);
}

NNF_INLINE vec erf_slope(vec x) {
    vec n, low;
    const vec t = v_min(v_set(NNF_PAIR(10.5, 27.5)), v_abs(x)); /* e^(-t^2) is 0 beyond */
    const vec square = two_product(t, t, &low);
    const vec m = exp_significand(v_neg(square), v_neg(low), &n);
    return v_scale(v_mul(m, v_set((real)NNF_2_PER_SQRT_PI)), n);
}

#endif
