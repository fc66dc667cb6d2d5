/* Sequences of whole numbers, where a negative number is none. Threads divide the sequences.
 *
 * `ctc_collapse`
 *   buffer: 0 y int32[B, T], 1 x int32[B, T]
 *   size:   B, T, blank, merge
 *   The numbers of a path without the blank, runs of equal ones once (if merge), those first; -1 behind the last.
 *
 * `edit_distance`
 *   buffer: 0 y int32[B], 1 a int32[B, N], 2 b int32[B, M]
 *   size:   B, N, M
 *   Fewest insertions, deletions and replacements that make one of the other (Levenshtein 1966), negative numbers left
 * out. */
#ifndef NNF_KERNELS_LETTERS_H
#define NNF_KERNELS_LETTERS_H

#include "split.h"

static void k_ctc_collapse(const nnf_step *step, int thread, int threads) {
    const int64_t T = step->size[1], blank = step->size[2], merge = step->size[3];
    const nnf_range sequences = split_range(step, step->size[0], NNF_LINE, thread, threads);
    for (int64_t b = sequences.begin; b < sequences.end; b++) {
        int32_t *y = (int32_t *)step->buffer[0] + b * T;
        const int32_t *x = (const int32_t *)step->buffer[1] + b * T;
        int64_t made = 0;
        for (int64_t t = 0; t < T; t++)
            if (x[t] >= 0 && x[t] != blank && !(merge && t > 0 && x[t] == x[t - 1]))
                y[made++] = x[t];
        while (made < T)
            y[made++] = -1;
    }
}

static void k_edit_distance(const nnf_step *step, int thread, int threads) {
    const int64_t N = step->size[1], M = step->size[2];
    const nnf_range sequences = split_range(step, step->size[0], NNF_LINE, thread, threads);
    int32_t *const row = (int32_t *)(step->scratch + thread * NNF_SCRATCH_BYTES); /* distances to the first j of b */
    for (int64_t s = sequences.begin; s < sequences.end; s++) {
        const int32_t *a = (const int32_t *)step->buffer[1] + s * N, *b = (const int32_t *)step->buffer[2] + s * M;
        int32_t used = 0;
        row[0] = 0;
        for (int64_t j = 0; j < M; j++) {
            row[j + 1] = row[j] + (b[j] >= 0);
        }
        for (int64_t i = 0; i < N; i++) {
            if (a[i] < 0)
                continue;
            int32_t diagonal = row[0];
            row[0] = ++used;
            for (int64_t j = 0; j < M; j++) {
                const int32_t above = row[j + 1];
                const int32_t replaced = diagonal + (a[i] != b[j]);
                const int32_t changed = 1 + (above < row[j] ? above : row[j]);
                row[j + 1] = b[j] < 0 ? row[j] : replaced < changed ? replaced : changed;
                diagonal = above;
            }
        }
        ((int32_t *)step->buffer[0])[s] = row[M];
    }
}

#define NNF_LETTERS_KERNELS(X) X(ctc_collapse) X(edit_distance)

#endif
