/* x86-64 with AVX-512 F, BW, CD, DQ and VL. Masks are in mask registers. */
#include "types.h"
#include <immintrin.h>

#define LANES (512 / NNF_REAL)
#define NNF_MASK_REGISTERS

#if NNF_REAL == 32
typedef __m512 vec;
typedef __mmask16 mask;
#define NNF_X86(name) _mm512_##name##_ps
#define NNF_X86_MASKED(name) _mm512_##name##_ps_mask
#else
typedef __m512d vec;
typedef __mmask8 mask;
#define NNF_X86(name) _mm512_##name##_pd
#define NNF_X86_MASKED(name) _mm512_##name##_pd_mask
#endif
typedef bits ivec __attribute__((vector_size(64)));
typedef uint64_t wide __attribute__((vector_size(64)));

NNF_INLINE mask m_first(int64_t n) { return (mask)_bzhi_u32((1u << LANES) - 1, (unsigned)n); }
NNF_INLINE mask m_and(mask a, mask b) { return a & b; }
NNF_INLINE mask m_or(mask a, mask b) { return a | b; }
NNF_INLINE mask m_not(mask a) { return (mask)~a; }
NNF_INLINE int m_any(mask a) { return a != 0; }

NNF_INLINE vec v_load(const real *p) { return NNF_X86(loadu)(p); }
NNF_INLINE vec v_load_halves(const real *low, const real *high) {
    const __m512d first = _mm512_castpd256_pd512(_mm256_loadu_pd((const double *)low));
    return (vec)_mm512_insertf64x4(first, _mm256_loadu_pd((const double *)high), 1);
}
NNF_INLINE void v_store(real *p, vec x) { NNF_X86(storeu)(p, x); }
NNF_INLINE vec v_load_first(const real *p, int64_t n) { return NNF_X86(maskz_loadu)(m_first(n), p); }
NNF_INLINE void v_store_first(real *p, vec x, int64_t n) { NNF_X86(mask_storeu)(p, m_first(n), x); }

NNF_INLINE vec v_sqrt(vec a) { return NNF_X86(sqrt)(a); }
NNF_INLINE vec v_fma(vec a, vec b, vec c) { return NNF_X86(fmadd)(a, b, c); }
NNF_INLINE vec v_fms(vec a, vec b, vec c) { return NNF_X86(fmsub)(a, b, c); }
NNF_INLINE vec v_fnma(vec a, vec b, vec c) { return NNF_X86(fnmadd)(a, b, c); }
NNF_INLINE vec v_min(vec a, vec b) { return NNF_X86(min)(a, b); }
NNF_INLINE vec v_max(vec a, vec b) { return NNF_X86(max)(a, b); }
NNF_INLINE vec v_round(vec a) { return NNF_X86(roundscale)(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
NNF_INLINE vec v_floor(vec a) { return NNF_X86(roundscale)(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }

/* x 2^n, n integral, rounded once; other levels multiply twice. */
#define NNF_SCALE_INSTRUCTION
NNF_INLINE vec nnf_scale(vec x, vec n) { return NNF_X86(scalef)(x, n); }

NNF_INLINE mask v_lt(vec a, vec b) { return NNF_X86_MASKED(cmp)(a, b, _CMP_LT_OQ); }
NNF_INLINE mask v_le(vec a, vec b) { return NNF_X86_MASKED(cmp)(a, b, _CMP_LE_OQ); }
NNF_INLINE mask v_eq(vec a, vec b) { return NNF_X86_MASKED(cmp)(a, b, _CMP_EQ_OQ); }
NNF_INLINE mask v_ne(vec a, vec b) { return NNF_X86_MASKED(cmp)(a, b, _CMP_NEQ_UQ); }
NNF_INLINE mask v_isnan(vec a) { return NNF_X86_MASKED(cmp)(a, a, _CMP_UNORD_Q); }
NNF_INLINE vec v_select(mask m, vec a, vec b) { return NNF_X86(mask_blend)(m, b, a); }

#if NNF_REAL == 32
NNF_INLINE ivec i_select(mask m, ivec a, ivec b) { return (ivec)_mm512_mask_blend_epi32(m, (__m512i)b, (__m512i)a); }
NNF_INLINE ivec v_to_int(vec a) { return (ivec)_mm512_cvtps_epi32(a); }
NNF_INLINE vec v_from_int(ivec a) { return _mm512_cvtepi32_ps((__m512i)a); }
#else
NNF_INLINE ivec i_select(mask m, ivec a, ivec b) { return (ivec)_mm512_mask_blend_epi64(m, (__m512i)b, (__m512i)a); }
NNF_INLINE ivec v_to_int(vec a) { return (ivec)_mm512_cvtpd_epi64(a); }
NNF_INLINE vec v_from_int(ivec a) { return _mm512_cvtepi64_pd((__m512i)a); }
#endif

NNF_INLINE wide w_mul(wide a, wide b) { return (wide)_mm512_mul_epu32((__m512i)a, (__m512i)b); }

#include "generic.h"
