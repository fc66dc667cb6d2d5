/* aarch64: NEON is part of the baseline. */
#include "types.h"
#include <arm_neon.h>

#define LANES (128 / NNF_REAL)

#if NNF_REAL == 32
typedef float32x4_t vec;
#define NNF_NEON(name) name##_f32
#else
typedef float64x2_t vec;
#define NNF_NEON(name) name##_f64
#endif
typedef bits ivec __attribute__((vector_size(16)));
typedef uint64_t wide __attribute__((vector_size(16)));
typedef ivec mask;

NNF_INLINE vec v_load(const real *p) { return NNF_NEON(vld1q)(p); }
NNF_INLINE vec v_load_halves(const real *low, const real *high) {
    vec x;
    __builtin_memcpy(&x, low, sizeof x / 2);
    __builtin_memcpy((char *)&x + sizeof x / 2, high, sizeof x / 2);
    return x;
}
NNF_INLINE void v_store(real *p, vec x) { NNF_NEON(vst1q)(p, x); }

NNF_INLINE vec v_load_first(const real *p, int64_t n) {
    real first[LANES] = {0};
    for (int64_t i = 0; i < n; i++)
        first[i] = p[i];
    return v_load(first);
}

NNF_INLINE void v_store_first(real *p, vec x, int64_t n) {
    real first[LANES];
    v_store(first, x);
    for (int64_t i = 0; i < n; i++)
        p[i] = first[i];
}

NNF_INLINE vec v_sqrt(vec a) { return NNF_NEON(vsqrtq)(a); }
NNF_INLINE vec v_fma(vec a, vec b, vec c) { return NNF_NEON(vfmaq)(c, a, b); }
NNF_INLINE vec v_fms(vec a, vec b, vec c) { return NNF_NEON(vfmaq)(-c, a, b); }
NNF_INLINE vec v_fnma(vec a, vec b, vec c) { return NNF_NEON(vfmsq)(c, a, b); }
NNF_INLINE vec v_round(vec a) { return NNF_NEON(vrndnq)(a); }
NNF_INLINE vec v_floor(vec a) { return NNF_NEON(vrndmq)(a); }

/* vminq and vmaxq return NaN if either operand is one, which is not the rule of the vocabulary. */
#if NNF_REAL == 32
NNF_INLINE vec v_select(mask m, vec a, vec b) { return vbslq_f32((uint32x4_t)m, a, b); }
NNF_INLINE ivec v_to_int(vec a) { return (ivec)vcvtq_s32_f32(a); }
NNF_INLINE vec v_from_int(ivec a) { return vcvtq_f32_s32((int32x4_t)a); }
#else
NNF_INLINE vec v_select(mask m, vec a, vec b) { return vbslq_f64((uint64x2_t)m, a, b); }
NNF_INLINE ivec v_to_int(vec a) { return (ivec)vcvtq_s64_f64(a); }
NNF_INLINE vec v_from_int(ivec a) { return vcvtq_f64_s64((int64x2_t)a); }
#endif
NNF_INLINE vec v_min(vec a, vec b) { return v_select((mask)(a < b), a, b); }
NNF_INLINE vec v_max(vec a, vec b) { return v_select((mask)(a > b), a, b); }

NNF_INLINE wide w_mul(wide a, wide b) { return (wide)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b)); }

#include "generic.h"
