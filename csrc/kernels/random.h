/* Random numbers: a value is a function of seed, stream, iteration and element index, whatever the thread.
 *
 * `random_uniform`   buffer: 0 y[n], 1 counters            size: n, stream   scalar: low, high
 * `random_normal`    buffer: 0 y[n], 1 counters            size: n, stream   scalar: mean, standard deviation
 * `dropout`          buffer: 0 y[n], 1 x[n], 2 counters    size: n, stream   scalar: rate
 *
 * Philox key: seed, low and high word. Counter: block, low and high word; iteration, low word; stream ^ (iteration high
 * word << 16). Float uses one word per element, block i / 4, word i % 4, and its upper 24 bits; double uses words 2i
 * and 2i + 1, the second as the high half, and the upper 53 bits.
 *
 * uniform: low + (high - low) u, fused.
 *
 * normal: elements 2i and 2i + 1 are mean + std r cos(2 pi v) and mean + std r sin(2 pi v), fused, r = sqrt(-2 log(1 -
 * u)), u and v the uniform numbers of these elements (Box and Muller 1958).
 *
 * dropout: one 32-bit word per element for both types; kept if word >= rate 2^32, as x times 1 / (1 - rate). */
#ifndef NNF_KERNELS_RANDOM_H
#define NNF_KERNELS_RANDOM_H

#include "../math/philox.h"
#include "../math/trigonometric.h"
#include "arithmetic.h"
#include "split.h"

enum {
    NNF_WORDS = 4 * NNF_PHILOX_BLOCKS,
    NNF_DRAWS = NNF_WORDS * 32 / NNF_REAL, /* uniform numbers from one call of philox */
};

/* Words first_block * 4 ... of this step's sequence. */
static void random_words(uint32_t *word, const int64_t *counters, int64_t stream, int64_t first_block) {
    const uint64_t seed = (uint64_t)counters[NNF_SEED], iteration = (uint64_t)counters[NNF_ITERATION];
    philox(word, (uint64_t)first_block, (uint32_t)iteration, (uint32_t)stream ^ ((uint32_t)(iteration >> 32) << 16),
           (uint32_t)seed, (uint32_t)(seed >> 32));
}

/* u[0 .. NNF_DRAWS) in [0, 1). */
static void random_units(real *restrict u, const uint32_t *restrict word) {
#if NNF_REAL == 32
    for (int i = 0; i < NNF_DRAWS; i++)
        u[i] = (float)(int32_t)(word[i] >> 8) * 0x1p-24f;
#else
    for (int i = 0; i < NNF_DRAWS; i++) {
        const uint64_t bits = (uint64_t)word[2 * i + 1] << 32 | word[2 * i];
        u[i] = (double)(int64_t)(bits >> 11) * 0x1p-53;
    }
#endif
}

NNF_FUNCTION1(random_spread, const vec low = P(0); const vec width = P(1), v_fma(width, a, low))

static void k_random_uniform(const nnf_step *step, int thread, int threads) {
    _Alignas(64) uint32_t word[NNF_WORDS];
    _Alignas(64) real u[NNF_DRAWS];
    real *y = (real *)step->buffer[0];
    const double p[NNF_PARAMETERS] = {step->scalar[0], step->scalar[1] - step->scalar[0]};
    const nnf_range range = split_range(step, step->size[0], NNF_DRAWS, thread, threads);
    for (int64_t i = range.begin; i < range.end; i += NNF_DRAWS) {
        const int64_t n = range.end - i < NNF_DRAWS ? range.end - i : NNF_DRAWS;
        random_words(word, (const int64_t *)step->buffer[1], step->size[1], i / NNF_DRAWS * NNF_PHILOX_BLOCKS);
        random_units(u, word);
        f_random_spread(y + i, u, 0, 0, p, n);
    }
}

/* NNF_DRAWS normal numbers in place of uniform ones. */
static void random_box_muller(real *z) {
    _Alignas(64) real radius[NNF_DRAWS / 2], turn[NNF_DRAWS / 2];
    for (int i = 0; i < NNF_DRAWS / 2; i++) {
        radius[i] = z[2 * i];
        turn[i] = z[2 * i + 1];
    }
    for (int i = 0; i < NNF_DRAWS / 2; i += LANES) {
        vec cosine;
        const vec sine = sin_turn(v_load(turn + i), &cosine);
        const vec r = v_sqrt(v_mul(v_set(-2), log_positive(v_sub(v_set(1), v_load(radius + i)))));
        v_store(radius + i, v_mul(r, cosine));
        v_store(turn + i, v_mul(r, sine));
    }
    for (int i = 0; i < NNF_DRAWS / 2; i++) {
        z[2 * i] = radius[i];
        z[2 * i + 1] = turn[i];
    }
}

static void k_random_normal(const nnf_step *step, int thread, int threads) {
    _Alignas(64) uint32_t word[NNF_WORDS];
    _Alignas(64) real z[NNF_DRAWS];
    real *y = (real *)step->buffer[0];
    const double p[NNF_PARAMETERS] = {step->scalar[0], step->scalar[1]};
    const nnf_range range = split_range(step, step->size[0], NNF_DRAWS, thread, threads);
    for (int64_t i = range.begin; i < range.end; i += NNF_DRAWS) {
        const int64_t n = range.end - i < NNF_DRAWS ? range.end - i : NNF_DRAWS;
        random_words(word, (const int64_t *)step->buffer[1], step->size[1], i / NNF_DRAWS * NNF_PHILOX_BLOCKS);
        random_units(z, word);
        random_box_muller(z);
        f_random_spread(y + i, z, 0, 0, p, n);
    }
}

static void k_dropout(const nnf_step *step, int thread, int threads) {
    _Alignas(64) uint32_t word[NNF_WORDS];
    real *y = (real *)step->buffer[0];
    const real *x = (const real *)step->buffer[1];
    const double rate = step->scalar[0];
    const real factor = (real)(rate < 1 ? 1 / (1 - rate) : 0);
    const int64_t least = (int64_t)(rate * 0x1p32) + ((double)(int64_t)(rate * 0x1p32) < rate * 0x1p32);
    const nnf_range range = split_range(step, step->size[0], NNF_WORDS, thread, threads);
    for (int64_t i = range.begin; i < range.end; i += NNF_WORDS) {
        const int64_t n = range.end - i < NNF_WORDS ? range.end - i : NNF_WORDS;
        random_words(word, (const int64_t *)step->buffer[2], step->size[1], i / NNF_WORDS * NNF_PHILOX_BLOCKS);
        if (least > UINT32_MAX) { /* rate 1 */
            for (int64_t j = 0; j < n; j++)
                y[i + j] = 0;
            continue;
        }
        const uint32_t first_kept = (uint32_t)least;
        for (int64_t j = 0; j < n; j++) {
            const real kept = x[i + j] * factor;
            y[i + j] = word[j] >= first_kept ? kept : 0;
        }
    }
}

#define NNF_RANDOM_KERNELS(X) X(random_uniform) X(random_normal) X(dropout)

#endif
