/* x86-64 with AVX2, FMA, F16C, BMI1 and BMI2. */
#include "types.h"
#include <immintrin.h>

#define LANES (256 / NNF_REAL)

#if NNF_REAL == 32
typedef __m256 vec;
#define NNF_X86(name) _mm256_##name##_ps
#else
typedef __m256d vec;
#define NNF_X86(name) _mm256_##name##_pd
#endif
typedef bits ivec __attribute__((vector_size(32)));
typedef uint64_t wide __attribute__((vector_size(32)));
typedef ivec mask;

/* Row LANES - n has n lanes set, as the masked moves want it. */
static const sbits nnf_first_lanes[2 * LANES] = {
#if NNF_REAL == 32
    -1, -1, -1, -1,
#endif
    -1, -1, -1, -1,
};

NNF_INLINE vec v_load(const real *p) { return NNF_X86(loadu)(p); }
NNF_INLINE vec v_load_halves(const real *low, const real *high) {
    const __m256d first = _mm256_castpd128_pd256(_mm_loadu_pd((const double *)low));
    return (vec)_mm256_insertf128_pd(first, _mm_loadu_pd((const double *)high), 1);
}
NNF_INLINE void v_store(real *p, vec x) { NNF_X86(storeu)(p, x); }

NNF_INLINE __m256i nnf_first(int64_t n) { return _mm256_loadu_si256((const __m256i *)(nnf_first_lanes + LANES - n)); }
NNF_INLINE vec v_load_first(const real *p, int64_t n) { return NNF_X86(maskload)(p, nnf_first(n)); }
NNF_INLINE void v_store_first(real *p, vec x, int64_t n) { NNF_X86(maskstore)(p, nnf_first(n), x); }

NNF_INLINE vec v_sqrt(vec a) { return NNF_X86(sqrt)(a); }
NNF_INLINE vec v_fma(vec a, vec b, vec c) { return NNF_X86(fmadd)(a, b, c); }
NNF_INLINE vec v_fms(vec a, vec b, vec c) { return NNF_X86(fmsub)(a, b, c); }
NNF_INLINE vec v_fnma(vec a, vec b, vec c) { return NNF_X86(fnmadd)(a, b, c); }
NNF_INLINE vec v_min(vec a, vec b) { return NNF_X86(min)(a, b); }
NNF_INLINE vec v_max(vec a, vec b) { return NNF_X86(max)(a, b); }
NNF_INLINE vec v_round(vec a) { return NNF_X86(round)(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
NNF_INLINE vec v_floor(vec a) { return NNF_X86(round)(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
NNF_INLINE vec v_select(mask m, vec a, vec b) { return NNF_X86(blendv)(b, a, (vec)m); }

#if NNF_REAL == 32
NNF_INLINE ivec v_to_int(vec a) { return (ivec)_mm256_cvtps_epi32(a); }
NNF_INLINE vec v_from_int(ivec a) { return _mm256_cvtepi32_ps((__m256i)a); }
#else
/* AVX2 has no conversion between double and int64: the magic number moves the integer to the low bits. */
NNF_INLINE ivec v_to_int(vec a) { return (ivec)(a + NNF_MAGIC) - (bits)0x4338000000000000; }
NNF_INLINE vec v_from_int(ivec a) { return (vec)(a + (bits)0x4338000000000000) - NNF_MAGIC; }
#endif

NNF_INLINE wide w_mul(wide a, wide b) { return (wide)_mm256_mul_epu32((__m256i)a, (__m256i)b); }

#include "generic.h"
