/* Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw (2011): four words from a counter of four
 * words and a key of two. Integers only, so every level gives the same words; the compiler vectorises the loops. */
#ifndef NNF_MATH_PHILOX_H
#define NNF_MATH_PHILOX_H

#include <stdint.h>

enum { NNF_PHILOX_BLOCKS = 64 }; /* blocks that are computed at once */

/* word[4 b + w] = word w of block first + b, for NNF_PHILOX_BLOCKS blocks. */
static void philox(uint32_t *restrict word, uint64_t first, uint32_t counter_2, uint32_t counter_3, uint32_t key_0,
                   uint32_t key_1) {
    uint32_t c0[NNF_PHILOX_BLOCKS], c1[NNF_PHILOX_BLOCKS], c2[NNF_PHILOX_BLOCKS], c3[NNF_PHILOX_BLOCKS];
    for (int b = 0; b < NNF_PHILOX_BLOCKS; b++) {
        c0[b] = (uint32_t)(first + (uint64_t)b);
        c1[b] = (uint32_t)((first + (uint64_t)b) >> 32);
        c2[b] = counter_2;
        c3[b] = counter_3;
    }
    for (int round = 0; round < 10; round++) {
        for (int b = 0; b < NNF_PHILOX_BLOCKS; b++) {
            const uint64_t p0 = (uint64_t)0xD2511F53u * c0[b], p1 = (uint64_t)0xCD9E8D57u * c2[b];
            c0[b] = (uint32_t)(p1 >> 32) ^ c1[b] ^ key_0;
            c2[b] = (uint32_t)(p0 >> 32) ^ c3[b] ^ key_1;
            c1[b] = (uint32_t)p1;
            c3[b] = (uint32_t)p0;
        }
        key_0 += 0x9E3779B9u;
        key_1 += 0xBB67AE85u;
    }
    for (int b = 0; b < NNF_PHILOX_BLOCKS; b++) {
        word[4 * b] = c0[b];
        word[4 * b + 1] = c1[b];
        word[4 * b + 2] = c2[b];
        word[4 * b + 3] = c3[b];
    }
}

#endif
