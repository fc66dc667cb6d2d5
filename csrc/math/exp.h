/* e^x and e^x - 1.
 *
 * x = n ln 2 + r with |r| <= ln(2) / 2; e^r = 1 + r + r^2 q(r); e^x = e^r 2^n. Callers that multiply by something large
 * before the result may underflow use the two parts themselves. */
#ifndef NNF_MATH_EXP_H
#define NNF_MATH_EXP_H

#include "polynomial.h"

#if NNF_REAL == 32
/* Relative error of e^r below 2^-28.2. */
static const real exp_short_q[] = {0x1.fffffcp-2f, 0x1.55548cp-3f, 0x1.555858p-5f, 0x1.123df6p-7f, 0x1.6ac886p-10f};
/* Relative error of e^r - 1 below 2^-28.1. */
static const real exp_q[] = {0x1p-1f, 0x1.55552cp-3f, 0x1.555502p-5f, 0x1.1155a6p-7f, 0x1.6d2e3cp-10f, 0x1.3b9084p-13f};
#define NNF_EXP_LOW (-104.0f) /* e^x rounds to 0 here and below */
#define NNF_EXP_HIGH 89.0f    /* e^x overflows here and above */
#define NNF_BIAS 127
#define NNF_BIASES 255 /* all bits of the exponent */
#else
/* Relative error of e^r below 2^-57.8. */
static const real exp_short_q[] = {
    0x1.000000000000ap-1,  0x1.5555555555502p-3,  0x1.55555555505ffp-5,  0x1.111111112521fp-7,  0x1.6c16c184b81f7p-10,
    0x1.a01a013b74da3p-13, 0x1.a0199882a1fd7p-16, 0x1.71def887837acp-19, 0x1.28aee6b4c0492p-22, 0x1.add093e34ca52p-26};
/* Relative error of e^r - 1 below 2^-61. */
static const real exp_q[] = {0x1.0000000000000p-1,  0x1.5555555555559p-3,  0x1.5555555555558p-5,  0x1.111111110f731p-7,
                             0x1.6c16c16c178c8p-10, 0x1.a01a01af755e6p-13, 0x1.a01a01959343ap-16, 0x1.71ddf9c10ad43p-19,
                             0x1.27e511333f839p-22, 0x1.af5bf5a6df5a7p-26, 0x1.1f0d2b52078fcp-29};
#define NNF_EXP_LOW (-746.0)
#define NNF_EXP_HIGH 710.0
#define NNF_BIAS 1023
#define NNF_BIASES 2047
#endif
#define NNF_LOG2E 0x1.71547652b82fep+0
#define NNF_LN2_HIGH NNF_PAIR(0x1.62e43p-1f, 0x1.62e42fefa39efp-1)
#define NNF_LN2_LOW NNF_PAIR(-0x1.05c61p-29f, 0x1.abc9e3b39803fp-56)

/* x 2^n for integral n, rounded once. Where there is no instruction, 2 BIAS + 1 > |n| and x 2^(n/2) must be exact:
 * |x| not far from 1, or n small. */
NNF_INLINE vec v_scale(vec x, vec n) {
#ifdef NNF_SCALE_INSTRUCTION
    return nnf_scale(x, n);
#else
    const ivec biased = v_bits(v_add(n, v_set(NNF_MAGIC + 2 * NNF_BIAS))); /* low bits: n + 2 BIAS */
    const ivec first = i_and(i_shl(biased, NNF_MANTISSA - 1), i_set((sbits)NNF_BIASES << NNF_MANTISSA));
    const ivec second = i_sub(i_shl(biased, NNF_MANTISSA), first); /* the exponents add up to n + 2 BIAS */
    return v_mul(v_mul(x, v_from_bits(first)), v_from_bits(second));
#endif
}

/* 2^(n + more) for integral n, -BIAS < n + more <= BIAS. */
NNF_INLINE vec v_power_of_two(vec n, const int more) {
    return v_from_bits(i_shl(v_bits(v_add(n, v_set(NNF_MAGIC + (NNF_BIAS + more)))), NNF_MANTISSA));
}

/* x + low = n ln 2 + r + r_low, |x| up to 2^21; low is a correction, small against x. r is exact. */
NNF_INLINE vec exp_reduce(vec x, vec low, vec *n, vec *r_low) {
    *n = v_sub(v_fma(x, v_set((real)NNF_LOG2E), v_set(NNF_MAGIC)), v_set(NNF_MAGIC));
    *r_low = v_fnma(*n, v_set(NNF_LN2_LOW), low);
    return v_fnma(*n, v_set(NNF_LN2_HIGH), x);
}

/* The same with r rounded, low = 0. */
NNF_INLINE vec exp_reduce_rounded(vec x, vec *n) {
    *n = v_sub(v_fma(x, v_set((real)NNF_LOG2E), v_set(NNF_MAGIC)), v_set(NNF_MAGIC));
    return v_fnma(*n, v_set(NNF_LN2_LOW), v_fnma(*n, v_set(NNF_LN2_HIGH), x));
}

/* e^r - 1 for |r| <= ln(2) / 2, with a small relative error. */
NNF_INLINE vec expm1_reduced(vec r) { return v_fma(v_mul(r, r), NNF_POLYNOMIAL(r, exp_q), r); }

/* e^r - 1 with a small error against e^r only. */
NNF_INLINE vec expm1_reduced_short(vec r) { return v_fma(v_mul(r, r), NNF_POLYNOMIAL(r, exp_short_q), r); }

/* e^x = result 2^n */
NNF_INLINE vec exp_parts(vec x, vec *n) {
    const vec r = exp_reduce_rounded(x, n);
    return v_fma(v_fma(NNF_POLYNOMIAL(r, exp_short_q), r, v_set(1)), r, v_set(1));
}

/* e^(x + low) = result 2^n, the result rounded little more than once. */
NNF_INLINE vec exp_significand(vec x, vec low, vec *n) {
    vec r_low;
    const vec r = exp_reduce(x, low, n, &r_low), one = v_set(1);
    const vec near = v_add(r, r_low);
    const vec rest = v_fma(v_mul(near, near), NNF_POLYNOMIAL(near, exp_q), r_low);
    const vec sum = v_add(one, r);
    return v_add(sum, v_add(v_sub(r, v_sub(sum, one)), rest));
}

/* The constant is the first operand, so that NaN stays. */
NNF_INLINE vec exp_clamp(vec x) { return v_max(v_set(NNF_EXP_LOW), v_min(v_set(NNF_EXP_HIGH), x)); }

NNF_INLINE vec v_exp(vec x) {
    vec n;
    const vec m = exp_parts(exp_clamp(x), &n);
    return v_scale(m, n);
}

/* e^-|x|; a NaN stays. */
NNF_INLINE vec exp_minus_abs(vec x) {
    vec n;
    const vec m = exp_parts(v_max(v_set(NNF_EXP_LOW), v_neg(v_abs(x))), &n);
    return v_scale(m, n);
}

/* 2 (2^(n-1) p + (2^(n-1) - 1/2)): the second term is exact where it matters, and e^x may come close to the overflow.
 * Next to 0 the result is x, whose half may be denormal and lose a bit. */
NNF_INLINE vec v_expm1(vec x) {
    vec n;
    const vec p = expm1_reduced(exp_reduce_rounded(exp_clamp(x), &n));
    const vec scale = v_scale(v_set((real)0.5), n);
    const vec y = v_fma(scale, p, v_sub(scale, v_set((real)0.5)));
    return v_select(v_lt(v_abs(x), v_set(NNF_PAIR(0x1p-25f, 0x1p-54))), x, v_add(y, y));
}

#endif
