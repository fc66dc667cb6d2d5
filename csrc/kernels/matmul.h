/* The products of a dense layer: forward, gradient of the weight, gradient of the input, and the panels of weights.
 *
 * A weight [K, N] is stored as panels [ceil(N / 16)][K][16], zero beyond column N, and is never repacked: each of the
 * three products reads or writes it as it is. Numerics: each output element is acc = 0; acc = fma(a_k, b_k, acc) for k
 * ascending within a chunk of NNF_CHUNK; the sums of the chunks are added in ascending order. The epilogue follows as
 * separate operations on whole runs of a row. M is the batch, K the inputs and N the outputs of the layer. */
#ifndef NNF_MATMUL_H
#define NNF_MATMUL_H

#include "matmul_tile.h"

#include "matmul_pack.h"
#include "matmul_share.h"

#include "matmul_linear.h"

#include "matmul_input_gradient.h"
#include "matmul_rows.h"

/* w panels = x[K, N]. Buffers: panels, x. Sizes: K, N, row stride of x. Threads divide the panels. */
static void k_pack_panels(const nnf_step *step, int thread, int threads) {
    const int64_t K = step->size[0], N = step->size[1], ldx = step->size[2];
    real *panels = (real *)step->buffer[0];
    const real *x = (const real *)step->buffer[1];
    const range part = part_of(N, NNF_PANEL, thread, threads);
    pack_panels(panels + part.begin * K, x + part.begin, ldx, K, part.end - part.begin);
}

/* w panels = transpose of x[N, K]. Buffers: panels, x. Sizes: K, N, row stride of x. */
static void k_pack_panels_transposed(const nnf_step *step, int thread, int threads) {
    const int64_t K = step->size[0], N = step->size[1], ldx = step->size[2];
    real *panels = (real *)step->buffer[0];
    const real *x = (const real *)step->buffer[1];
    const range part = part_of(N, NNF_PANEL, thread, threads);
    for (int64_t n = part.begin; n < part.end; n += NNF_PANEL)
        pack_transposed(panels + n * K, NNF_PANEL, x + n * ldx, ldx, smaller(NNF_PANEL, N - n), K);
}

/* y[K, N] = w panels. Buffers: y, panels. Sizes: K, N, row stride of y. */
static void k_unpack_panels(const nnf_step *step, int thread, int threads) {
    const int64_t K = step->size[0], N = step->size[1], ldy = step->size[2];
    real *y = (real *)step->buffer[0];
    const real *panels = (const real *)step->buffer[1];
    const range part = part_of(N, NNF_PANEL, thread, threads);
    for (int64_t n = part.begin; n < part.end; n += NNF_PANEL)
        for (int64_t k = 0; k < K; k++)
            for (int64_t v = n; v < smaller(n + NNF_PANEL, N); v += LANES)
                v_store_first(y + k * ldy + v, v_load(panels + n * K + k * NNF_PANEL + v - n), smaller(LANES, N - v));
}

#define NNF_MATMUL_KERNELS(X)                                                                                          \
    X(linear)                                                                                                          \
    X(matmul_rows)                                                                                                     \
    X(linear_weight_gradient)                                                                                          \
    X(linear_input_gradient)                                                                                           \
    X(pack_panels)                                                                                                     \
    X(pack_panels_transposed)                                                                                          \
    X(unpack_panels)

#endif
