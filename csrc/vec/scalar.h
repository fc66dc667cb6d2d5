/* Any processor: vectors of 16 bytes, which the compiler maps to whatever the baseline has. fma is the one call into
 * libm; it is defined exactly, so it keeps the bits. */
#include "types.h"

#define LANES (128 / NNF_REAL)

typedef real vec __attribute__((vector_size(16)));
typedef bits ivec __attribute__((vector_size(16)));
typedef uint64_t wide __attribute__((vector_size(16)));
typedef ivec mask;

NNF_INLINE vec v_load(const real *p) {
    vec x;
    __builtin_memcpy(&x, p, sizeof x);
    return x;
}

NNF_INLINE vec v_load_halves(const real *low, const real *high) {
    vec x;
    __builtin_memcpy(&x, low, sizeof x / 2);
    __builtin_memcpy((char *)&x + sizeof x / 2, high, sizeof x / 2);
    return x;
}

NNF_INLINE void v_store(real *p, vec x) { __builtin_memcpy(p, &x, sizeof x); }

NNF_INLINE vec v_load_first(const real *p, int64_t n) {
    vec x = {0};
    for (int64_t i = 0; i < n; i++)
        x[i] = p[i];
    return x;
}

NNF_INLINE void v_store_first(real *p, vec x, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        p[i] = x[i];
}

NNF_INLINE vec v_sqrt(vec a) {
    for (int i = 0; i < LANES; i++)
        a[i] = NNF_BUILTIN(sqrt)(a[i]);
    return a;
}

NNF_INLINE vec v_fma(vec a, vec b, vec c) {
    for (int i = 0; i < LANES; i++)
        c[i] = NNF_BUILTIN(fma)(a[i], b[i], c[i]);
    return c;
}

NNF_INLINE vec v_fms(vec a, vec b, vec c) { return v_fma(a, b, -c); }
NNF_INLINE vec v_fnma(vec a, vec b, vec c) { return v_fma(-a, b, c); }

NNF_INLINE vec v_select(mask m, vec a, vec b) { return (vec)((m & (ivec)a) | (~m & (ivec)b)); }

NNF_INLINE vec v_min(vec a, vec b) { return v_select((mask)(a < b), a, b); }
NNF_INLINE vec v_max(vec a, vec b) { return v_select((mask)(a > b), a, b); }

/* |x| + 2^23 - 2^23 (2^52 for double) rounds to nearest even; larger values, inf and NaN are returned as they are. */
NNF_INLINE vec v_round(vec a) {
    const ivec sign = (ivec)a & NNF_SIGN;
    const vec size = (vec)((ivec)a ^ sign);
    const vec rounded = (size + NNF_INTEGRAL) - NNF_INTEGRAL;
    return v_select((mask)(size < NNF_INTEGRAL), (vec)((ivec)rounded | sign), a);
}

NNF_INLINE vec v_floor(vec a) {
    const vec r = v_round(a);
    return v_select((mask)(r > a), r - 1, r);
}

NNF_INLINE ivec v_to_int(vec a) {
    ivec y;
    for (int i = 0; i < LANES; i++)
        y[i] = (bits)(sbits)a[i];
    return y;
}

NNF_INLINE vec v_from_int(ivec a) {
    vec y;
    for (int i = 0; i < LANES; i++)
        y[i] = (real)(sbits)a[i];
    return y;
}

NNF_INLINE wide w_mul(wide a, wide b) { return (a & 0xffffffff) * (b & 0xffffffff); }

#include "generic.h"
