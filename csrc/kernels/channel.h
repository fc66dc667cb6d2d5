/* Statistics per channel of x[outer, rows, c]: what batch, group and instance normalisation are made of.
 *
 * | kernel           | buffer                                                                        | size |
 * |------------------|-------------------------------------------------------------------------------|-----------------|
 * | `block_moments`  | 0 mean, 1 squares, both [outer, blocks, c], 2 x                               | outer, rows, c |
 * | `combine_moments`| 0 mean, 1 variance, both [outer, c], 2 mean, 3 squares, both [outer, blocks, c]| outer, rows, c
 * | | `block_products` | 0 sums, 1 products, both [outer, blocks, c], 2 dy, 3 x, 4 mean[outer, c]      | outer, rows, c
 * | | `moving_average` | 0 w[n], 1 x[n]                                                                | n |
 *
 * A block is NNF_ROW_BLOCK rows. block_moments: the mean of a block, and the sum of (x - mean)^2, each one chain in
 * ascending order; the second reads from L1. combine_moments: mean = sum of n mean / rows, variance = sum of
 * (squares + n (mean of the block - mean)^2) / rows, chains of 32 blocks added in ascending order. block_products: sums
 * of dy and, by fused multiply-adds, dy (x - mean). moving_average: w = momentum w + (1 - momentum) x, scalar momentum.
 * Threads divide blocks, or columns. */
#ifndef NNF_KERNELS_CHANNEL_H
#define NNF_KERNELS_CHANNEL_H

#include "../math/polynomial.h"
#include "split.h"

enum { COMBINED_BLOCKS = 32 };

#define NNF_LOAD_LEFT(p) v_load_first(p, left)
#define NNF_STORE_LEFT(p, x) v_store_first(p, x, left)

/* NNF_BY_COLUMNS(columns, BODY): BODY(count, LOAD, STORE) for groups of 8, 4 and 1 vectors of columns from `c` on. */
#define NNF_BY_COLUMNS(columns, BODY)                                                                                  \
    int64_t c = 0;                                                                                                     \
    for (; c + 8 * LANES <= (columns); c += 8 * LANES)                                                                 \
        BODY(8, v_load, v_store)                                                                                       \
    for (; c + 4 * LANES <= (columns); c += 4 * LANES)                                                                 \
        BODY(4, v_load, v_store)                                                                                       \
    for (; c + LANES <= (columns); c += LANES)                                                                         \
        BODY(1, v_load, v_store)                                                                                       \
    if (c < (columns)) {                                                                                               \
        const int64_t left = (columns) - c;                                                                            \
        BODY(1, NNF_LOAD_LEFT, NNF_STORE_LEFT)                                                                         \
    }
#define NNF_EACH(count) _Pragma("GCC unroll 8") for (int v = 0; v < (count); v++)

#define NNF_MOMENTS(count, LOAD, STORE)                                                                                \
    {                                                                                                                  \
        vec mean[count], square[count];                                                                                \
        NNF_EACH(count) mean[v] = square[v] = v_zero();                                                                \
        for (int64_t i = 0; i < rows; i++)                                                                             \
            NNF_EACH(count) mean[v] = v_add(mean[v], LOAD(x + i * stride + c + v * LANES));                            \
        NNF_EACH(count) mean[v] = v_div(mean[v], v_set((real)rows));                                                   \
        for (int64_t i = 0; i < rows; i++)                                                                             \
            NNF_EACH(count) {                                                                                          \
                const vec d = v_sub(LOAD(x + i * stride + c + v * LANES), mean[v]);                                    \
                square[v] = v_fma(d, d, square[v]);                                                                    \
            }                                                                                                          \
        NNF_EACH(count) {                                                                                              \
            STORE(means + c + v * LANES, mean[v]);                                                                     \
            STORE(squares + c + v * LANES, square[v]);                                                                 \
        }                                                                                                              \
    }

static void channel_moments(real *means, real *squares, const real *x, int64_t rows,
                            int64_t stride){NNF_BY_COLUMNS(stride, NNF_MOMENTS)}

#define NNF_PRODUCTS(count, LOAD, STORE)                                                                               \
    {                                                                                                                  \
        vec sum[count], product[count], middle[count];                                                                 \
        NNF_EACH(count) {                                                                                              \
            sum[v] = product[v] = v_zero();                                                                            \
            middle[v] = LOAD(mean + c + v * LANES);                                                                    \
        }                                                                                                              \
        for (int64_t i = 0; i < rows; i++)                                                                             \
            NNF_EACH(count) {                                                                                          \
                const vec d = LOAD(dy + i * stride + c + v * LANES);                                                   \
                sum[v] = v_add(sum[v], d);                                                                             \
                product[v] = v_fma(d, v_sub(LOAD(x + i * stride + c + v * LANES), middle[v]), product[v]);             \
            }                                                                                                          \
        NNF_EACH(count) {                                                                                              \
            STORE(sums + c + v * LANES, sum[v]);                                                                       \
            STORE(products + c + v * LANES, product[v]);                                                               \
        }                                                                                                              \
    }

static void channel_products(real *sums, real *products, const real *dy, const real *x, const real *mean, int64_t rows,
                             int64_t stride) {
    NNF_BY_COLUMNS(stride, NNF_PRODUCTS)
}

/* Block b of all: of which slice of x, from which row on, how many rows. */
typedef struct {
    int64_t outer, first, rows;
} channel_block;

NNF_INLINE channel_block block_of(const nnf_step *step, int64_t b) {
    const int64_t rows = step->size[1], blocks = (rows + NNF_ROW_BLOCK - 1) / NNF_ROW_BLOCK;
    const int64_t first = b % blocks * NNF_ROW_BLOCK;
    return (channel_block){b / blocks, first, rows - first < NNF_ROW_BLOCK ? rows - first : NNF_ROW_BLOCK};
}

NNF_INLINE nnf_range blocks_of(const nnf_step *step, int thread, int threads) {
    return split_range(step, step->size[0] * ((step->size[1] + NNF_ROW_BLOCK - 1) / NNF_ROW_BLOCK), 1, thread, threads);
}

static void k_block_moments(const nnf_step *step, int thread, int threads) {
    const int64_t rows = step->size[1], n = step->size[2];
    const nnf_range range = blocks_of(step, thread, threads);
    for (int64_t b = range.begin; b < range.end; b++) {
        const channel_block block = block_of(step, b);
        channel_moments((real *)step->buffer[0] + b * n, (real *)step->buffer[1] + b * n,
                        (const real *)step->buffer[2] + (block.outer * rows + block.first) * n, block.rows, n);
    }
}

static void k_block_products(const nnf_step *step, int thread, int threads) {
    const int64_t rows = step->size[1], n = step->size[2];
    const nnf_range range = blocks_of(step, thread, threads);
    for (int64_t b = range.begin; b < range.end; b++) {
        const channel_block block = block_of(step, b);
        const int64_t first = (block.outer * rows + block.first) * n;
        channel_products((real *)step->buffer[0] + b * n, (real *)step->buffer[1] + b * n,
                         (const real *)step->buffer[2] + first, (const real *)step->buffer[3] + first,
                         (const real *)step->buffer[4] + block.outer * n, block.rows, n);
    }
}

/* One vector of columns of one slice. */
static void combine_columns(real *mean, real *variance, const real *means, const real *squares, int64_t rows, int64_t n,
                            int64_t left) {
    const int64_t blocks = (rows + NNF_ROW_BLOCK - 1) / NNF_ROW_BLOCK;
    const vec all = v_set((real)rows), whole = v_set(NNF_ROW_BLOCK);
    const vec last = v_set((real)(rows - (blocks - 1) * NNF_ROW_BLOCK));
    vec middle = v_zero(), spread = v_zero();
    for (int64_t b0 = 0; b0 < blocks; b0 += COMBINED_BLOCKS) {
        vec part = v_zero();
        for (int64_t b = b0; b < blocks && b < b0 + COMBINED_BLOCKS; b++)
            part = v_fma(v_load_first(means + b * n, left), b == blocks - 1 ? last : whole, part);
        middle = v_add(middle, part);
    }
    middle = v_div(middle, all);
    for (int64_t b0 = 0; b0 < blocks; b0 += COMBINED_BLOCKS) {
        vec part = v_zero();
        for (int64_t b = b0; b < blocks && b < b0 + COMBINED_BLOCKS; b++) {
            const vec d = v_sub(v_load_first(means + b * n, left), middle);
            part = v_add(part, v_fma(v_mul(d, d), b == blocks - 1 ? last : whole, v_load_first(squares + b * n, left)));
        }
        spread = v_add(spread, part);
    }
    v_store_first(mean, middle, left);
    v_store_first(variance, v_div(spread, all), left);
}

static void k_combine_moments(const nnf_step *step, int thread, int threads) {
    const int64_t outer = step->size[0], rows = step->size[1], n = step->size[2];
    const int64_t blocks = (rows + NNF_ROW_BLOCK - 1) / NNF_ROW_BLOCK;
    const int64_t groups = (n + NNF_LINE - 1) / NNF_LINE;
    const nnf_range range = split_range(step, outer * groups, 1, thread, threads);
    for (int64_t g = range.begin; g < range.end; g++) {
        const int64_t o = g / groups, begin = g % groups * NNF_LINE;
        const int64_t end = n - begin < NNF_LINE ? n : begin + NNF_LINE;
        for (int64_t c = begin; c < end; c += LANES)
            combine_columns((real *)step->buffer[0] + o * n + c, (real *)step->buffer[1] + o * n + c,
                            (const real *)step->buffer[2] + o * blocks * n + c,
                            (const real *)step->buffer[3] + o * blocks * n + c, rows, n,
                            end - c < LANES ? end - c : LANES);
    }
}

static void k_moving_average(const nnf_step *step, int thread, int threads) {
    real *w = (real *)step->buffer[0];
    const real *x = (const real *)step->buffer[1];
    const vec old = v_set((real)step->scalar[0]), new = v_set((real)(1 - step->scalar[0]));
    const nnf_range range = split_range(step, step->size[0], NNF_LINE, thread, threads);
    for (int64_t i = range.begin; i < range.end; i += LANES) {
        const int64_t left = range.end - i < LANES ? range.end - i : LANES;
        v_store_first(w + i, v_add(v_mul(old, v_load_first(w + i, left)), v_mul(new, v_load_first(x + i, left))), left);
    }
}

#define NNF_CHANNEL_KERNELS(X) X(block_moments) X(combine_moments) X(block_products) X(moving_average)

#endif
