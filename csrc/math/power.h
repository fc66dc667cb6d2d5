/* a^b = e^(b log a), the logarithm in two parts so that b log a is known to a few bits more than one real.
 *
 * With s = f / (2 + f): log(1 + f) = 2s + (2/3) s^3 + s^5 p(s^2); the first two terms in two parts. */
#ifndef NNF_MATH_POWER_H
#define NNF_MATH_POWER_H

#include "log.h"

#if NNF_REAL == 32
/* 2/5 + 2/7 z + 2/9 z^2 ..., |z| < 0.0295 */
static const real power_p[] = {0x1.99999ap-2f, 0x1.24924ap-2f, 0x1.c71c72p-3f, 0x1.745d18p-3f};
#else
static const real power_p[] = {0x1.999999999999ap-2, 0x1.2492492492492p-2, 0x1.c71c71c71c71cp-3, 0x1.745d1745d1746p-3,
                               0x1.3b13b13b13b14p-3, 0x1.1111111111111p-3, 0x1.e1e1e1e1e1e1ep-4, 0x1.af286bca1af28p-4,
                               0x1.8618618618618p-4, 0x1.642c8590b2164p-4};
#endif
#define NNF_TWO_THIRDS NNF_PAIR(0x1.555556p-1f, 0x1.5555555555555p-1)
#define NNF_TWO_THIRDS_LOW NNF_PAIR(-0x1.555556p-26f, 0x1.5555555555555p-55)

/* log x = result + low for 0 < x < inf */
NNF_INLINE vec log_two_parts(vec x, vec *low) {
    const mask tiny = v_lt(x, v_set(NNF_SMALLEST_NORMAL));
    vec k;
    const vec f = log_reduce(v_select(tiny, v_mul(x, v_set(NNF_INTEGRAL)), x), &k);
    k = v_select(tiny, v_sub(k, v_set(NNF_MANTISSA)), k);

    vec d_low, z_low, c_low, t_low, u_low;
    const vec d = fast_two_sum(v_set(2), f, &d_low);
    const vec inverse = v_div(v_set(1), d);
    const vec s = v_mul(f, inverse);
    const vec s_low = v_mul(v_fnma(s, d_low, v_fnma(s, d, f)), inverse);
    const vec z = two_product(s, s, &z_low);
    z_low = v_fma(v_add(s, s), s_low, z_low);
    /* c = 2/3 + z p(z) */
    const vec zp = v_mul(z, NNF_POLYNOMIAL(z, power_p));
    const vec c = fast_two_sum(v_set(NNF_TWO_THIRDS), zp, &c_low);
    c_low = v_add(c_low, v_set(NNF_TWO_THIRDS_LOW));
    /* t = z c, u = s t */
    const vec t = two_product(z, c, &t_low);
    t_low = v_add(t_low, v_fma(z, c_low, v_mul(z_low, c)));
    const vec u = two_product(s, t, &u_low);
    u_low = v_add(u_low, v_fma(s, t_low, v_mul(s_low, t)));
    /* k ln2 + 2s + u */
    vec e_low, g_low, h_low;
    const vec e = two_product(k, v_set(NNF_LN2_HIGH), &e_low);
    e_low = v_fma(k, v_set(NNF_LN2_LOW), e_low);
    const vec g = two_sum(e, v_add(s, s), &g_low);
    const vec h = two_sum(g, u, &h_low);
    const vec rest = v_add(v_add(g_low, h_low), v_add(e_low, v_add(v_add(s_low, s_low), u_low)));
    return fast_two_sum(h, rest, low);
}

/* |a|^b for 0 < |a| < inf and finite b, without regard to the sign of a */
NNF_INLINE vec power_positive(vec a, vec b) {
    vec log_low, low, n;
    const vec log_high = log_two_parts(v_abs(a), &log_low);
    const vec limit = v_set(NNF_PAIR(150, 1000));
    const vec size = v_mul(b, log_high);
    const vec y = two_product(b, log_high, &low);
    low = v_fma(b, log_low, low);
    const mask inside = v_lt(v_abs(size), limit);
    const vec bounded = v_select(inside, y, v_copysign(limit, size));
    const vec m = exp_significand(bounded, v_select(inside, low, v_zero()), &n);
    return v_scale(m, n);
}

/* a^b with the special cases of IEEE 754 pow. */
NNF_INLINE vec v_power(vec a, vec b) {
    const vec one = v_set(1), zero = v_zero(), infinity = v_set(NNF_INFINITY);
    const vec size = v_abs(a);
    const vec half = v_mul(b, v_set((real)0.5));
    const mask integral = v_eq(v_floor(b), b);
    const mask odd = m_and(m_and(integral, v_ne(v_floor(half), half)), v_lt(v_abs(b), v_set(2 * NNF_INTEGRAL)));
    const vec sign = v_select(odd, a, one);

    vec y = v_copysign(power_positive(a, b), sign);
    y = v_select(m_and(v_lt(a, zero), m_not(integral)), v_set(NNF_NAN), y);
    /* a is 0 or infinite: the result is 0 or infinite */
    const vec extreme_up = v_select(v_lt(zero, b), zero, infinity);   /* for a = 0 */
    const vec extreme_down = v_select(v_lt(zero, b), infinity, zero); /* for a = inf */
    y = v_select(v_eq(size, zero), v_copysign(extreme_up, sign), y);
    y = v_select(v_eq(size, infinity), v_copysign(extreme_down, sign), y);
    /* b is infinite */
    const vec at_infinity = v_select(
        v_eq(size, one), one,
        v_select(v_lt(size, one), v_select(v_lt(b, zero), infinity, zero), v_select(v_lt(b, zero), zero, infinity)));
    y = v_select(v_eq(v_abs(b), infinity), at_infinity, y);
    y = v_select(v_isnan(a), a, v_select(v_isnan(b), b, y));
    return v_select(v_eq(b, zero), one, v_select(v_eq(a, one), one, y));
}

#endif
