/* sin and cos of radians, and of whole turns.
 *
 * x = n pi/2 + r, |r| <= pi/4, with pi/2 in three parts; each multiply-add but the last is exact or its error small
 * against r. From NNF_ANGLE_MAX on that no longer holds: integers do it there (angles.h), lane by lane. */
#ifndef NNF_MATH_TRIGONOMETRIC_H
#define NNF_MATH_TRIGONOMETRIC_H

#include "angles.h"
#include "polynomial.h"

#if NNF_REAL == 32
/* Relative error below 2^-28 (sine), 2^-33 (cosine). */
static const real sin_p[] = {-0x1.555546p-3f, 0x1.11077ap-7f, -0x1.9954a4p-13f};
static const real cos_p[] = {0x1.55554ap-5f, -0x1.6c0c1ap-10f, 0x1.99e0e4p-16f};
#else
/* Relative error below 2^-57 (sine), 2^-64 (cosine). */
static const real sin_p[] = {-0x1.5555555555549p-3, 0x1.111111110f893p-7,   -0x1.a01a019c12475p-13,
                             0x1.71de3576e7f78p-19, -0x1.ae5e64caf5b9ap-26, 0x1.5d9267b5fa081p-33};
static const real cos_p[] = {0x1.555555555554cp-5,   -0x1.6c16c16c15210p-10, 0x1.a01a019cbcd81p-16,
                             -0x1.27e4f81043a0dp-22, 0x1.1ee9ef5075ebep-29,  -0x1.8fafffd523ba6p-37};
#endif

NNF_INLINE vec sin_small(vec r) {
    const vec z = v_mul(r, r);
    return v_fma(v_mul(z, r), NNF_POLYNOMIAL(z, sin_p), r);
}

NNF_INLINE vec cos_small(vec r) {
    const vec z = v_mul(r, r);
    const vec half = v_mul(v_set((real)0.5), z);
    const vec top = v_sub(v_set(1), half);
    const vec lost = v_sub(v_sub(v_set(1), top), half); /* exact */
    return v_add(top, v_fma(v_mul(z, z), NNF_POLYNOMIAL(z, cos_p), lost));
}

/* sin(r + quadrant pi/2) */
NNF_INLINE vec sin_quadrant(vec r, ivec quadrant) {
    const ivec odd = i_and(quadrant, i_set(1));
    const vec which = v_from_bits(i_shl(odd, NNF_REAL - 2)); /* 0 or 2 */
    const ivec sign = i_shl(i_and(quadrant, i_set(2)), NNF_REAL - 2);
    const vec y = v_select(v_eq(which, v_zero()), sin_small(r), cos_small(r));
    return v_from_bits(i_xor(v_bits(y), sign));
}

NNF_INLINE vec trigonometric_reduce(vec x, ivec *quadrant) {
    const mask small = v_lt(v_abs(x), v_set(NNF_ANGLE_MAX));
    const vec angle = v_select(small, x, v_zero());
    const vec n = v_round(v_mul(angle, v_set((real)0x1.45f306dc9c883p-1)));
    *quadrant = v_to_int(n);
    vec r = v_fnma(n, v_set(NNF_PAIR(0x1.921fb6p+0f, 0x1.921fb54442d18p+0)), angle);
    r = v_fnma(n, v_set(NNF_PAIR(-0x1.777a5cp-25f, 0x1.1a62633145c07p-54)), r);
    r = v_fnma(n, v_set(NNF_PAIR(-0x1.ee59dap-50f, -0x1.f1976b7ed8fbcp-110)), r);
    if (__builtin_expect(m_any(m_not(small)), 0)) {
        real angles[LANES], rests[LANES];
        bits quadrants[LANES];
        v_store(angles, x);
        v_store(rests, r);
        __builtin_memcpy(quadrants, quadrant, sizeof quadrants);
        reduce_large(LANES, angles, rests, quadrants);
        __builtin_memcpy(quadrant, quadrants, sizeof quadrants);
        r = v_load(rests);
    }
    return r;
}

NNF_INLINE vec v_sin(vec x) {
    ivec quadrant;
    const vec r = trigonometric_reduce(x, &quadrant);
    return v_select(v_eq(x, v_zero()), x, sin_quadrant(r, quadrant));
}

NNF_INLINE vec v_cos(vec x) {
    ivec quadrant;
    const vec r = trigonometric_reduce(x, &quadrant);
    return sin_quadrant(r, i_add(quadrant, i_set(1)));
}

/* sin and cos of 2 pi u, 0 <= u <= 1. */
NNF_INLINE vec sin_turn(vec u, vec *cosine) {
    const vec n = v_round(v_mul(v_set(4), u));
    const vec r = v_mul(v_fma(v_set((real)-0.25), n, u), v_set((real)0x1.921fb54442d18p+2));
    const ivec quadrant = v_to_int(n);
    *cosine = sin_quadrant(r, i_add(quadrant, i_set(1)));
    return sin_quadrant(r, quadrant);
}

#endif
