/* What all levels share; included at the end of each level's file.
 *
 * Rules: v_min is a < b ? a : b and v_max is a > b ? a : b in every lane, on every level; if either operand is NaN, or
 * both are zeros, the SECOND is returned. v_round is to nearest, ties to even; v_round and v_floor keep -0 and NaN.
 * v_to_int wants an integral value below 2^31 (float) or 2^51 (double) in magnitude, v_from_int of a double wants the
 * same. Integer arithmetic wraps. w_mul multiplies the low halves of 64-bit lanes, to 64 bits. v_load_first and
 * v_store_first touch the first n elements only, 0 <= n <= LANES. */
#ifndef NNF_VEC_GENERIC_H
#define NNF_VEC_GENERIC_H

#include "../nnfast.h"

NNF_INLINE vec v_zero(void) { return (vec){0}; }

NNF_INLINE vec v_set(real x) {
#if LANES == 16
    return (vec){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
#elif LANES == 8
    return (vec){x, x, x, x, x, x, x, x};
#elif LANES == 4
    return (vec){x, x, x, x};
#else
    return (vec){x, x};
#endif
}

NNF_INLINE ivec i_set(sbits x) { return (ivec){0} + (bits)x; }

NNF_INLINE vec v_add(vec a, vec b) { return a + b; }
NNF_INLINE vec v_sub(vec a, vec b) { return a - b; }
NNF_INLINE vec v_mul(vec a, vec b) { return a * b; }
NNF_INLINE vec v_div(vec a, vec b) { return a / b; }

NNF_INLINE ivec v_bits(vec a) { return (ivec)a; }
NNF_INLINE vec v_from_bits(ivec a) { return (vec)a; }

NNF_INLINE ivec i_add(ivec a, ivec b) { return a + b; }
NNF_INLINE ivec i_sub(ivec a, ivec b) { return a - b; }
NNF_INLINE ivec i_and(ivec a, ivec b) { return a & b; }
NNF_INLINE ivec i_or(ivec a, ivec b) { return a | b; }
NNF_INLINE ivec i_xor(ivec a, ivec b) { return a ^ b; }
NNF_INLINE ivec i_shl(ivec a, const int n) { return a << n; }
NNF_INLINE ivec i_shr(ivec a, const int n) { return a >> n; } /* zeros come in from the left */

NNF_INLINE vec v_neg(vec a) { return (vec)((ivec)a ^ NNF_SIGN); }
NNF_INLINE vec v_abs(vec a) { return (vec)((ivec)a & ~NNF_SIGN); }
NNF_INLINE vec v_copysign(vec magnitude, vec sign) {
    return (vec)(((ivec)magnitude & ~NNF_SIGN) | ((ivec)sign & NNF_SIGN));
}

#ifndef NNF_MASK_REGISTERS
NNF_INLINE mask m_and(mask a, mask b) { return a & b; }
NNF_INLINE mask m_or(mask a, mask b) { return a | b; }
NNF_INLINE mask m_not(mask a) { return ~a; }

NNF_INLINE int m_any(mask a) {
    bits any = 0;
    for (int i = 0; i < LANES; i++)
        any |= a[i];
    return any != 0;
}

NNF_INLINE mask m_first(int64_t n) {
    ivec lane;
    for (int i = 0; i < LANES; i++)
        lane[i] = (bits)i;
    return (mask)(lane < i_set((sbits)n));
}

NNF_INLINE mask v_lt(vec a, vec b) { return (mask)(a < b); }
NNF_INLINE mask v_le(vec a, vec b) { return (mask)(a <= b); }
NNF_INLINE mask v_eq(vec a, vec b) { return (mask)(a == b); }
NNF_INLINE mask v_ne(vec a, vec b) { return (mask)(a != b); }
NNF_INLINE mask v_isnan(vec a) { return (mask)(a != a); }
NNF_INLINE ivec i_select(mask m, ivec a, ivec b) { return (m & a) | (~m & b); }
#endif

/* The 64 virtual lanes of a row reduction. Lane j is lane j % LANES of acc[j / LANES]. The tree is the same on every
 * level: lane i with lane i + 32, then i + 16, ... down to one. */
#define NNF_ACCUMULATORS (NNF_VIRTUAL_LANES / LANES)

#define NNF_TREE(name, combine)                                                                                        \
    NNF_INLINE real name(const vec acc[NNF_ACCUMULATORS]) {                                                            \
        vec part[NNF_ACCUMULATORS];                                                                                    \
        for (int i = 0; i < NNF_ACCUMULATORS; i++)                                                                     \
            part[i] = acc[i];                                                                                          \
        for (int half = NNF_ACCUMULATORS / 2; half > 0; half /= 2)                                                     \
            for (int i = 0; i < half; i++)                                                                             \
                part[i] = v_##combine(part[i], part[i + half]);                                                        \
        vec sum = part[0];                                                                                             \
        _Pragma("GCC unroll 4") for (int half = LANES / 2; half > 0; half /= 2) sum =                                  \
            v_##combine(sum, nnf_rotate(sum, half));                                                                   \
        return sum[0];                                                                                                 \
    }

/* Lane i becomes lane (i + n) % LANES, for n = 1, 2, 4, 8. */
NNF_INLINE vec nnf_rotate(vec x, int n) {
#define NNF_LANE(i, n) (((i) + (n)) % LANES)
#if LANES == 16
#define NNF_LANES(n)                                                                                                   \
    NNF_LANE(0, n), NNF_LANE(1, n), NNF_LANE(2, n), NNF_LANE(3, n), NNF_LANE(4, n), NNF_LANE(5, n), NNF_LANE(6, n),    \
        NNF_LANE(7, n), NNF_LANE(8, n), NNF_LANE(9, n), NNF_LANE(10, n), NNF_LANE(11, n), NNF_LANE(12, n),             \
        NNF_LANE(13, n), NNF_LANE(14, n), NNF_LANE(15, n)
#elif LANES == 8
#define NNF_LANES(n)                                                                                                   \
    NNF_LANE(0, n), NNF_LANE(1, n), NNF_LANE(2, n), NNF_LANE(3, n), NNF_LANE(4, n), NNF_LANE(5, n), NNF_LANE(6, n),    \
        NNF_LANE(7, n)
#elif LANES == 4
#define NNF_LANES(n) NNF_LANE(0, n), NNF_LANE(1, n), NNF_LANE(2, n), NNF_LANE(3, n)
#else
#define NNF_LANES(n) NNF_LANE(0, n), NNF_LANE(1, n)
#endif
    switch (n) {
    case 8:
        return __builtin_shufflevector(x, x, NNF_LANES(8));
    case 4:
        return __builtin_shufflevector(x, x, NNF_LANES(4));
    case 2:
        return __builtin_shufflevector(x, x, NNF_LANES(2));
    default:
        return __builtin_shufflevector(x, x, NNF_LANES(1));
    }
#undef NNF_LANES
#undef NNF_LANE
}

NNF_TREE(v_sum64, add)
NNF_TREE(v_max64, max)
NNF_TREE(v_min64, min)

/* NNF_FUNCTION1(name, setup, expression) defines f_name(y, a, ., ., p, n): y = expression of the vec a. setup declares
 * constants once, as `const vec slope = v_set((real)p[0]);`, or is empty. Whole vectors by four, then singly, then one
 * masked tail through the same expression. NNF_FUNCTION2 has a and b, NNF_FUNCTION3 a, b and c. */
#define NNF_FUNCTION1(name, setup, expression) NNF_FUNCTION(name, setup, expression, NNF_LOAD_A)
#define NNF_FUNCTION2(name, setup, expression) NNF_FUNCTION(name, setup, expression, NNF_LOAD_A NNF_LOAD_B)
#define NNF_FUNCTION3(name, setup, expression) NNF_FUNCTION(name, setup, expression, NNF_LOAD_A NNF_LOAD_B NNF_LOAD_C)

#define NNF_LOAD_A const vec a = load(a_run + i, n - i);
#define NNF_LOAD_B const vec b = load(b_run + i, n - i);
#define NNF_LOAD_C const vec c = load(c_run + i, n - i);

NNF_INLINE vec nnf_load_whole(const real *p, int64_t n) {
    (void)n;
    return v_load(p);
}

#define NNF_FUNCTION(name, setup, expression, loads)                                                                   \
    static void f_##name(void *y_, const void *a_, const void *b_, const void *c_, const double *p, int64_t n) {       \
        real *y_run = y_;                                                                                              \
        const real *a_run = a_, *b_run = b_, *c_run = c_;                                                              \
        (void)a_run, (void)b_run, (void)c_run, (void)p;                                                                \
        setup;                                                                                                         \
        int64_t i = 0;                                                                                                 \
        for (; i + 4 * LANES <= n;)                                                                                    \
            _Pragma("GCC unroll 4") for (int u = 0; u < 4; u++, i += LANES) {                                          \
                NNF_RUN(nnf_load_whole, loads)                                                                         \
                v_store(y_run + i, expression);                                                                        \
            }                                                                                                          \
        for (; i + LANES <= n; i += LANES) {                                                                           \
            NNF_RUN(nnf_load_whole, loads)                                                                             \
            v_store(y_run + i, expression);                                                                            \
        }                                                                                                              \
        if (i < n) {                                                                                                   \
            NNF_RUN(v_load_first, loads)                                                                               \
            v_store_first(y_run + i, expression, n - i);                                                               \
        }                                                                                                              \
    }

#define NNF_RUN(loader, loads)                                                                                         \
    vec (*const load)(const real *, int64_t) = loader;                                                                 \
    loads

#endif
