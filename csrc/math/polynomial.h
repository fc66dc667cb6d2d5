/* Polynomials on the vector vocabulary, and the constants that all functions share.
 *
 * The functions of this folder return vec from vec, use exactly rounded operations only, and so give the same bits on
 * every level. The coefficients were fitted for this project with the Remez exchange algorithm in 60 digits, weighted
 * for relative error, and rounded one after the other, each time fitting the rest again. A quotient top / bottom was
 * fitted to f as the polynomial top - f bottom, with the weight 1 / bottom of the fit before. */
#ifndef NNF_MATH_POLYNOMIAL_H
#define NNF_MATH_POLYNOMIAL_H

#define NNF_INFINITY ((real)__builtin_inf())
#define NNF_NAN ((real)__builtin_nan(""))

/* A constant given for float and for double. */
#if NNF_REAL == 32
#define NNF_PAIR(single_value, double_value) ((real)(single_value))
#else
#define NNF_PAIR(single_value, double_value) ((real)(double_value))
#endif

#define NNF_SMALLEST_NORMAL NNF_PAIR(0x1p-126f, 0x1p-1022)

/* c[0] + c[1] x + ... + c[degree] x^degree by Horner's rule. */
NNF_INLINE vec polynomial(vec x, const real *c, int degree) {
    vec y = v_set(c[degree]);
#pragma GCC unroll 32
    for (int i = degree - 1; i >= 0; i--)
        y = v_fma(y, x, v_set(c[i]));
    return y;
}
#define NNF_DEGREE(c) ((int)(sizeof(c) / sizeof(c)[0]) - 1)
#define NNF_POLYNOMIAL(x, c) polynomial(x, c, NNF_DEGREE(c))

/* a + b = sum + error exactly (Knuth). */
NNF_INLINE vec two_sum(vec a, vec b, vec *error) {
    const vec sum = v_add(a, b);
    const vec from_b = v_sub(sum, a);
    *error = v_add(v_sub(a, v_sub(sum, from_b)), v_sub(b, from_b));
    return sum;
}

/* a + b = sum + error exactly where |a| >= |b| or a is 0 (Dekker). */
NNF_INLINE vec fast_two_sum(vec a, vec b, vec *error) {
    const vec sum = v_add(a, b);
    *error = v_sub(b, v_sub(sum, a));
    return sum;
}

/* a * b = product + error exactly, unless the error is below the smallest denormal. */
NNF_INLINE vec two_product(vec a, vec b, vec *error) {
    const vec product = v_mul(a, b);
    *error = v_fms(a, b, product);
    return product;
}

/* (a + a_low) / (b + b_low), rounded little more than once: one division and one step of correction. Both finite. */
NNF_INLINE vec quotient(vec a, vec a_low, vec b, vec b_low) {
    const vec inverse = v_div(v_set(1), b);
    const vec q = v_mul(a, inverse);
    const vec rest = v_add(v_fnma(q, b, a), v_fnma(q, b_low, a_low));
    return v_fma(rest, inverse, q);
}

#endif
