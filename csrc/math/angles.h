/* Large angles: x = n pi/2 + r, |r| <= pi/4, for |x| from NNF_ANGLE_MAX on (Payne and Hanek 1983).
 *
 * x = m 2^s with a whole number m below 2^53. Bits of 2/pi that give multiples of 4 with it do not matter, and those
 * beyond 2^-190 are too small: three words remain, whose product with m is exact. No double is nearer than 2^-62 to a
 * multiple of pi/2, so that 64 bits of the fraction count. */
#ifndef NNF_MATH_ANGLES_H
#define NNF_MATH_ANGLES_H

#include "polynomial.h"

#define NNF_ANGLE_MAX NNF_PAIR(0x1p20f, 0x1p40)

/* 2/pi, after 64 zeros: bit i has the weight 2^(63 - i). */
static const uint64_t two_over_pi[20] = {
    0x0000000000000000, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561,
    0xb7246e3a424dd2e0, 0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484, 0xe99c7026b45f7e41,
    0x3991d639835339f4, 0x9c845f8bbdf9283b, 0x1ff897ffde05980f, 0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7,
    0x4f463f669e5fea2d, 0x7527bac7ebe5f17b, 0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab,
};

/* 64 bits of 2/pi from a place on. */
NNF_INLINE uint64_t bits_of_two_over_pi(int64_t place) {
    const uint64_t *word = two_over_pi + place / 64;
    const int shift = (int)(place % 64);
    return shift ? word[0] << shift | word[1] >> (64 - shift) : word[0];
}

/* The 128 bits of a fraction, 0.5 <= fraction < 1 after a shift, times 2^-halvings pi/2. */
NNF_INLINE real angle_of_fraction(unsigned __int128 fraction, int halvings) {
    const double high = (double)(int64_t)(fraction >> 75), low = (double)((int64_t)(fraction >> 22) & 0x1fffffffffffff);
    const uint64_t power = (uint64_t)(1023 - 53 - halvings) << 52;
    double scale;
    __builtin_memcpy(&scale, &power, sizeof scale);
#if NNF_REAL == 32
    (void)low;
    return (real)(high * 0x1.921fb54442d18p+0 * scale);
#else
    const double top = high * 0x1.921fb54442d18p+0;
    const double lost = __builtin_fma(high, 0x1.921fb54442d18p+0, -top);
    const double rest = low * 0x1.921fb54442d18p-53 + high * 0x1.1a62633145c07p-54;
    return (top + (lost + rest)) * scale;
#endif
}

NNF_INLINE real reduce_one(real x, bits *quadrant) {
    const double wide = (double)x;
    uint64_t pattern;
    __builtin_memcpy(&pattern, &wide, sizeof pattern);
    const int64_t shift = (int64_t)(pattern >> 52 & 2047) - 1075;
    const uint64_t m = (pattern & 0xfffffffffffff) | (uint64_t)1 << 52;
    const int64_t place = shift + 62; /* of the bit whose product has the weight 2 */
    const unsigned __int128 low = (unsigned __int128)m * bits_of_two_over_pi(place + 128);
    const unsigned __int128 middle = (unsigned __int128)m * bits_of_two_over_pi(place + 64) + (low >> 64);
    const uint64_t high = m * bits_of_two_over_pi(place) + (uint64_t)(middle >> 64);
    unsigned __int128 fraction =
        (unsigned __int128)high << 66 | (unsigned __int128)(uint64_t)middle << 2 | (uint64_t)low >> 62;
    uint64_t turns = high >> 62;
    const uint64_t above = high >> 61 & 1; /* the fraction is one half or more */
    turns += above;
    if (above)
        fraction = -fraction;
    const uint64_t top = (uint64_t)(fraction >> 64);
    const int halvings = top ? __builtin_clzll(top) : 64; /* below 2^-64 there is none */
    const real r = angle_of_fraction(fraction << halvings, halvings);
    const uint64_t negative = pattern >> 63;
    *quadrant = (bits)(negative ? 4 - turns : turns);
    return negative != above ? -r : r;
}

/* Lanes of large angles get their rest and quadrant, those without an angle NaN; the others keep theirs. */
static __attribute__((noinline, cold, unused)) void reduce_large(int lanes, const real *x, real *r, bits *quadrant) {
    for (int i = 0; i < lanes; i++) {
        const real size = NNF_BUILTIN(fabs)(x[i]);
        if (size < NNF_ANGLE_MAX)
            continue;
        if (size <= NNF_PAIR(0x1.fffffep127f, 0x1.fffffffffffffp1023))
            r[i] = reduce_one(x[i], quadrant + i);
        else
            r[i] = NNF_NAN;
    }
}

#endif
