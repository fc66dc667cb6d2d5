/* Arithmetic, comparisons and elementary functions of one run: y = f(a, b, c; p). nnfast/ops/elementwise.py has the
 * formulas. Comparisons give 1 and 0. */
#ifndef NNF_KERNELS_ARITHMETIC_H
#define NNF_KERNELS_ARITHMETIC_H

#include "../math/normal.h"
#include "../math/power.h"
#include "../math/trigonometric.h"

#define P(i) v_set((real)p[i])
#define ONE v_set(1)

NNF_INLINE vec truth(mask m) { return v_select(m, ONE, v_zero()); }

/* No operand. */
NNF_FUNCTION(fill, const vec value = P(0), value, (void)load;)

/* One operand. */
NNF_FUNCTION1(linear, , a)
NNF_FUNCTION1(negative, , v_neg(a))
NNF_FUNCTION1(abs, , v_abs(a))
NNF_FUNCTION1(sign, , v_select(v_lt(v_zero(), a), ONE, v_select(v_lt(a, v_zero()), v_set(-1), a)))
NNF_FUNCTION1(square, , v_mul(a, a))
NNF_FUNCTION1(reciprocal, , v_div(ONE, a))
NNF_FUNCTION1(sqrt, , v_sqrt(a))
NNF_FUNCTION1(rsqrt, , v_div(ONE, v_sqrt(a)))
NNF_FUNCTION1(exp, , v_exp(a))
NNF_FUNCTION1(expm1, , v_expm1(a))
NNF_FUNCTION1(log, , v_log(a))
NNF_FUNCTION1(log1p, , v_log1p(a))
NNF_FUNCTION1(erf, , v_erf(a))
NNF_FUNCTION1(sin, , v_sin(a))
NNF_FUNCTION1(cos, , v_cos(a))
NNF_FUNCTION1(floor, , v_floor(a))
NNF_FUNCTION1(round, , v_round(a))
NNF_FUNCTION1(is_nan, , truth(v_isnan(a)))
NNF_FUNCTION1(logical_not, , truth(v_eq(a, v_zero())))
NNF_FUNCTION1(scale, const vec factor = P(0), v_mul(factor, a))
NNF_FUNCTION1(shift, const vec amount = P(0), v_add(a, amount))
/* The limits are first operands, so that NaN stays. */
NNF_FUNCTION1(clip, const vec low = P(0); const vec high = P(1), v_min(high, v_max(low, a)))

NNF_FUNCTION1(cube, , v_mul(v_mul(a, a), a))
NNF_FUNCTION1(power_any, const vec exponent = P(0), v_power(a, exponent))

/* x^p0; exponents with a shorter way take it. */
static void f_power_scalar(void *y, const void *a, const void *b, const void *c, const double *p, int64_t n) {
    static const double one[NNF_PARAMETERS] = {1};
    const double exponent = p[0];
    if (exponent == 0)
        f_fill(y, a, b, c, one, n);
    else if (exponent == 0.5)
        f_sqrt(y, a, b, c, p, n);
    else if (exponent == 1)
        f_linear(y, a, b, c, p, n);
    else if (exponent == 2)
        f_square(y, a, b, c, p, n);
    else if (exponent == 3)
        f_cube(y, a, b, c, p, n);
    else if (exponent == -1)
        f_reciprocal(y, a, b, c, p, n);
    else
        f_power_any(y, a, b, c, p, n);
}

/* Two operands. maximum and minimum are NaN if either operand is. */
NNF_FUNCTION2(add, , v_add(a, b))
NNF_FUNCTION2(subtract, , v_sub(a, b))
NNF_FUNCTION2(multiply, , v_mul(a, b))
NNF_FUNCTION2(divide, , v_div(a, b))
NNF_FUNCTION2(maximum, , v_select(v_isnan(a), a, v_max(a, b)))
NNF_FUNCTION2(minimum, , v_select(v_isnan(a), a, v_min(a, b)))
NNF_FUNCTION2(power, , v_power(a, b))
NNF_FUNCTION2(squared_difference, , v_mul(v_sub(a, b), v_sub(a, b)))
NNF_FUNCTION2(equal, , truth(v_eq(a, b)))
NNF_FUNCTION2(not_equal, , truth(v_ne(a, b)))
NNF_FUNCTION2(less, , truth(v_lt(a, b)))
NNF_FUNCTION2(less_equal, , truth(v_le(a, b)))
NNF_FUNCTION2(greater, , truth(v_lt(b, a)))
NNF_FUNCTION2(greater_equal, , truth(v_le(b, a)))
NNF_FUNCTION2(logical_and, , truth(m_and(v_ne(a, v_zero()), v_ne(b, v_zero()))))
NNF_FUNCTION2(logical_or, , truth(m_or(v_ne(a, v_zero()), v_ne(b, v_zero()))))

/* Three operands. */
NNF_FUNCTION3(where, , v_select(v_ne(a, v_zero()), b, c))
NNF_FUNCTION3(multiply_add, , v_fma(a, b, c))

/* Derivatives times a = dy; b is the input. */
NNF_FUNCTION2(abs_gradient, , v_select(v_lt(v_zero(), b), a, v_select(v_lt(b, v_zero()), v_neg(a), v_mul(a, b))))
NNF_FUNCTION2(erf_gradient, , v_mul(a, erf_slope(b)))
NNF_FUNCTION2(clip_gradient, const vec low = P(0);
              const vec high = P(1), v_select(m_and(v_le(low, b), v_le(b, high)), a, v_zero()))

/* clang-format off */
#define NNF_ARITHMETIC_FUNCTIONS(X)                                                                                    \
    X(fill) X(linear) X(negative) X(abs) X(sign) X(square) X(reciprocal) X(sqrt) X(rsqrt) X(exp) X(expm1) X(log)       \
    X(log1p) X(erf) X(sin) X(cos) X(floor) X(round) X(is_nan) X(logical_not) X(scale) X(shift) X(clip)                 \
    X(power_scalar) X(add) X(subtract) X(multiply) X(divide) X(maximum) X(minimum) X(power) X(squared_difference)      \
    X(equal) X(not_equal) X(less) X(less_equal) X(greater) X(greater_equal) X(logical_and) X(logical_or) X(where)      \
    X(multiply_add) X(abs_gradient) X(erf_gradient) X(clip_gradient)
/* clang-format on */

#endif
