/* May this processor, under this operating system, run a level? Features decide, never the vendor. */
#include "nnfast.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

typedef struct feature {
    unsigned leaf, output, bit; /* output: 1 ebx, 2 ecx */
    const char *missing;
} feature;

static const feature avx2_features[] = {
    {1, 2, 12, "the processor lacks FMA"}, {1, 2, 29, "the processor lacks F16C"},
    {7, 1, 5, "the processor lacks AVX2"}, {7, 1, 3, "the processor lacks BMI1"},
    {7, 1, 8, "the processor lacks BMI2"},
};
static const feature avx512_features[] = {
    {7, 1, 16, "the processor lacks AVX-512F"},  {7, 1, 30, "the processor lacks AVX-512BW"},
    {7, 1, 28, "the processor lacks AVX-512CD"}, {7, 1, 17, "the processor lacks AVX-512DQ"},
    {7, 1, 31, "the processor lacks AVX-512VL"},
};

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

static const char *first_missing(const feature *features, int count) {
    for (int i = 0; i < count; i++) {
        unsigned r[4] = {0};
        if (!__get_cpuid_count(features[i].leaf, 0, &r[0], &r[1], &r[2], &r[3]))
            return features[i].missing;
        if (!(r[features[i].output] >> features[i].bit & 1))
            return features[i].missing;
    }
    return 0;
}

/* Register sets that the operating system saves, as bits of XCR0; 0 if it does not use XSAVE. */
static unsigned saved_registers(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

static const char *why_not_avx2(void) {
    const unsigned wanted = 0x6; /* xmm, ymm */
    const char *reason = first_missing(avx2_features, COUNT(avx2_features));
    if (reason)
        return reason;
    return (saved_registers() & wanted) == wanted ? 0 : "the operating system does not save AVX registers";
}

static const char *why_not_avx512(void) {
    const unsigned wanted = 0xe6; /* xmm, ymm, opmask, upper halves of zmm0-15, zmm16-31 */
    const char *reason = why_not_avx2();
    if (!reason)
        reason = first_missing(avx512_features, COUNT(avx512_features));
    if (reason)
        return reason;
    return (saved_registers() & wanted) == wanted ? 0 : "the operating system does not save AVX-512 registers";
}
#endif

#if defined(__aarch64__)
#if defined(__linux__)
#include <sys/auxv.h>

static const char *why_not_neon(void) {
    const unsigned long advanced_simd = 1 << 1; /* HWCAP_ASIMD */
    return getauxval(AT_HWCAP) & advanced_simd ? 0 : "the processor lacks Advanced SIMD";
}
#else
static const char *why_not_neon(void) { return 0; } /* part of the baseline of the other systems */
#endif
#endif

const char *nnf_why_not(const char *level) {
    if (!strcmp(level, "scalar"))
        return 0;
#if defined(__x86_64__)
    if (!strcmp(level, "avx2"))
        return why_not_avx2();
    if (!strcmp(level, "avx512"))
        return why_not_avx512();
#endif
#if defined(__aarch64__)
    if (!strcmp(level, "neon"))
        return why_not_neon();
#endif
    return "this build of nnfast does not contain the level";
}
