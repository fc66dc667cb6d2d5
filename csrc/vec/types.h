/* The element types of this translation unit: NNF_REAL (32 or 64) chooses float or double.
 *
 * The vocabulary rests on the vector extensions of gcc and clang: vec, ivec and (where the level has no mask registers)
 * mask are vector types, so that + - * & | work on them. Kernels use the named functions all the same. */
#ifndef NNF_VEC_TYPES_H
#define NNF_VEC_TYPES_H

#include <stdint.h>

#if NNF_REAL == 32
typedef float real;
typedef uint32_t bits;
typedef int32_t sbits;
#define NNF_MANTISSA 23      /* stored bits of the significand */
#define NNF_INTEGRAL 0x1p23f /* reals of this magnitude and above are integers */
#define NNF_MAGIC 0x1.8p23f  /* adding it puts a small integer into the low bits */
#define NNF_BUILTIN(name) __builtin_##name##f
#elif NNF_REAL == 64
typedef double real;
typedef uint64_t bits;
typedef int64_t sbits;
#define NNF_MANTISSA 52
#define NNF_INTEGRAL 0x1p52
#define NNF_MAGIC 0x1.8p52
#define NNF_BUILTIN(name) __builtin_##name
#else
#error "NNF_REAL must be 32 or 64"
#endif

#define NNF_INLINE static inline __attribute__((always_inline))
#define NNF_SIGN ((bits)1 << (NNF_REAL - 1))

#endif
