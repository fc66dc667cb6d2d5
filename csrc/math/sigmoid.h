/* Functions made of e^x and one division: sigmoid, tanh, silu, softplus, mish, and gelu by tanh.
 *
 * With z = e^-|x| <= 1 nothing overflows. Where a product with x may be normal though z is not, 2^n is applied last. */
#ifndef NNF_MATH_SIGMOID_H
#define NNF_MATH_SIGMOID_H

#include "log.h"

/* 1 + z = result + low exactly, 0 <= z <= 1 */
NNF_INLINE vec one_plus(vec z, vec *low) { return fast_two_sum(v_set(1), z, low); }

/* 1 / (1 + e^-x); the rounding errors of 1 + z and of the quotient are corrected. */
NNF_INLINE vec v_sigmoid(vec x) {
    vec low;
    const vec z = exp_minus_abs(x);
    const vec sum = one_plus(z, &low);
    const vec inverse = v_div(v_set(1), sum);
    const vec a = v_select(v_lt(x, v_zero()), z, v_set(1));
    const vec y = v_mul(a, inverse);
    return v_fma(v_fnma(y, low, v_fnma(y, sum, a)), inverse, y);
}

/* p / (1 + p) with p = (e^(2|x|) - 1) / 2, insensitive to p where it is large. The rounding error of 1 + p is
 * corrected; 1 / (1 + p) is 1 - y. */
NNF_INLINE vec v_tanh(vec x) {
    vec n, low;
    const vec limit = v_set(NNF_PAIR(18.1, 38.2)); /* the result is 1 beyond */
    const vec t = v_abs(x), one = v_set(1);
    const vec e = expm1_reduced(exp_reduce_rounded(v_min(limit, v_add(t, t)), &n));
    const vec scale = v_power_of_two(n, -1);
    const vec p = v_fma(scale, e, v_sub(scale, v_set((real)0.5)));
    const vec y = v_div(p, fast_two_sum(v_max(p, one), v_min(p, one), &low));
    return v_copysign(v_fnma(v_fnma(y, y, y), low, y), x);
}

/* x / (1 + e^-(u + low)), where u has the sign of x or is |u|; low belongs to |u|. */
NNF_INLINE vec gated(vec x, vec u, vec low) {
    vec n, sum_low, a_low;
    const mask negative = v_lt(x, v_zero());
    const vec lowest = v_set(NNF_EXP_LOW - 10); /* the result is 0 here and below */
    const vec m = exp_significand(v_max(lowest, v_neg(v_abs(u))), v_neg(low), &n);
    const vec sum = one_plus(v_scale(m, n), &sum_low);
    const vec finite = v_max(lowest, v_min(v_set(NNF_PAIR(0x1p126f, 0x1p1022)), x));
    const vec a = two_product(finite, v_select(negative, m, v_set(1)), &a_low);
    const vec y = quotient(a, a_low, sum, sum_low);
    const vec scaled = v_select(v_eq(sum, v_set(1)), v_select(negative, v_scale(y, n), x),
                                v_scale(y, v_select(negative, n, v_zero())));
    return v_copysign(scaled, x);
}

NNF_INLINE vec v_silu(vec x) { return gated(x, x, v_zero()); }

/* x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)); the argument in two parts, since e^u multiplies its error by u. */
NNF_INLINE vec v_gelu_tanh(vec x) {
    const vec b = v_set(NNF_PAIR(0x1.2444f2p-4f, 0x1.2444f2a4d8b4bp-4));
    const vec b_low = v_set(NNF_PAIR(0x1.49b16ap-29f, -0x1.6c843a29d1c70p-61));
    const vec a = v_set(NNF_PAIR(0x1.988454p+0f, 0x1.9884533d43651p+0));
    const vec a_low = v_set(NNF_PAIR(-0x1.857936p-25f, -0x1.cbc0d30ebfd15p-54));
    const vec limit = v_set(NNF_PAIR(30, 60)); /* beyond it the result is 0 or x */
    const vec t = v_min(limit, v_abs(x));
    vec square_low, term_low, sum_low, low;
    const vec square = two_product(t, t, &square_low);
    const vec term = two_product(b, square, &term_low);
    term_low = v_add(term_low, v_fma(b, square_low, v_mul(b_low, square)));
    const vec sum = two_sum(a, term, &sum_low);
    sum_low = v_add(sum_low, v_add(term_low, a_low));
    const vec u = two_product(t, sum, &low);
    low = v_fma(t, sum_low, low);
    return gated(x, u, low);
}

/* log(1 + e^x) = max(x, 0) + log(1 + z). 1 + z or (1 + z) / 2 is in [sqrt(1/2), sqrt(2)). */
NNF_INLINE vec v_softplus(vec x) {
    const vec z = exp_minus_abs(x);
    const mask near = v_lt(z, v_set((real)0.41421356));
    const vec f = v_select(near, z, v_fma(v_set((real)0.5), z, v_set((real)-0.5)));
    const vec y = v_add(v_max(v_zero(), x), log_sum(f, v_select(near, v_zero(), v_set(1))));
    return v_select(v_lt(x, v_set(NNF_INFINITY)), y, x);
}

/* x tanh(softplus(x)) = x a / (a + c): for x >= 0, a = 1 + 2z and c = 2 z^2; else a = z (2 + z) and c = 2. */
NNF_INLINE vec v_mish(vec x) {
    vec n, a_low, b_low, y_low;
    const mask negative = v_lt(x, v_zero());
    const vec lowest = v_set(NNF_EXP_LOW - 10);
    const vec m = exp_significand(v_max(lowest, v_neg(v_abs(x))), v_zero(), &n);
    const vec z = v_scale(m, n);
    /* x >= 0: 1 + 2z; x < 0: 2 + z, both exact in two parts */
    const vec sum = two_sum(v_select(negative, v_set(2), v_set(1)), v_select(negative, z, v_add(z, z)), &a_low);
    const vec factor = v_select(negative, m, v_set(1)), scaled = v_select(negative, z, v_set(1));
    vec top_low, product_low;
    const vec top = two_product(factor, sum, &top_low); /* the numerator without 2^n */
    top_low = v_fma(factor, a_low, top_low);
    const vec product = two_product(scaled, sum, &product_low);
    product_low = v_fma(scaled, a_low, product_low);
    const vec c = v_select(negative, v_set(2), v_mul(v_add(z, z), z));
    const vec divisor = two_sum(product, c, &b_low);
    const vec finite = v_max(lowest, v_min(v_set(NNF_PAIR(0x1p100f, 0x1p1000)), x));
    const vec a = two_product(finite, top, &y_low);
    const vec y = quotient(a, v_fma(finite, top_low, y_low), divisor, v_add(b_low, product_low));
    const vec gated_x = v_copysign(v_scale(y, v_select(negative, n, v_zero())), x);
    return v_select(v_lt(x, v_set(NNF_PAIR(40, 60))), gated_x, x);
}

/* Derivative of silu: s (1 + x (1 - s)). */
NNF_INLINE vec silu_slope(vec x) {
    const vec z = exp_minus_abs(x);
    const vec inverse = v_div(v_set(1), v_add(v_set(1), z));
    const vec small = v_mul(z, inverse); /* sigmoid(-|x|) */
    const mask negative = v_lt(x, v_zero());
    const vec s = v_select(negative, small, inverse);
    const vec rest = v_select(negative, inverse, small);
    const vec limit = v_set(NNF_PAIR(1000, 10000));
    const vec finite = v_max(v_neg(limit), v_min(limit, x)); /* inf * 0 would be NaN */
    return v_mul(s, v_fma(finite, rest, v_set(1)));
}

/* Derivative of mish: t + x sigmoid(x) (1 - t^2) with t = tanh(softplus(x)) = a / (a + c) as in v_mish; 1 - t = c / (a
 * + c) without cancellation. */
NNF_INLINE vec mish_slope(vec x) {
    const mask negative = v_lt(x, v_zero());
    const vec z = exp_minus_abs(x);
    const vec above = v_fma(v_set(2), z, v_set(1));
    const vec below = v_add(z, v_set(2));
    const vec z_below = v_mul(z, below);
    const vec divisor = v_select(negative, v_add(z_below, v_set(2)), v_fma(v_add(z, z), z, above));
    const vec t = v_div(v_select(negative, z_below, above), divisor);
    const vec rest = v_div(v_select(negative, v_set(2), v_mul(v_add(z, z), z)), divisor);
    const vec s = v_div(v_select(negative, z, v_set(1)), v_add(v_set(1), z));
    const vec limit = v_set(NNF_PAIR(1000, 10000));
    const vec finite = v_max(v_neg(limit), v_min(limit, x));
    return v_fma(v_mul(finite, s), v_mul(rest, v_add(v_set(1), t)), t);
}

/* Derivative of gelu_tanh: s + x u' s (1 - s) with s = sigmoid(u), u = a x + b x^3. */
NNF_INLINE vec gelu_tanh_slope(vec x) {
    const vec limit = v_set(NNF_PAIR(30, 60));
    const vec t = v_max(v_neg(limit), v_min(limit, x));
    const vec square = v_mul(t, t);
    const vec a = v_set(NNF_PAIR(0x1.988454p+0f, 0x1.9884533d43651p+0));
    const vec b = v_set(NNF_PAIR(0x1.2444f2p-4f, 0x1.2444f2a4d8b4bp-4));
    const vec u = v_mul(t, v_fma(b, square, a));
    const vec slope = v_fma(v_mul(v_set(3), b), square, a);
    const vec z = exp_minus_abs(u);
    const vec inverse = v_div(v_set(1), v_add(v_set(1), z));
    const vec small = v_mul(z, inverse);
    const mask negative = v_lt(x, v_zero());
    const vec s = v_select(negative, small, inverse);
    const vec rest = v_select(negative, inverse, small);
    return v_fma(v_mul(v_mul(t, slope), s), rest, s);
}

#endif
