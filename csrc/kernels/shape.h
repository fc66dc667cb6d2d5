/* Moving elements: copies, constants, conversions, selections of rows. Threads divide the destination.
 *
 * `copy`
 *   buffer: 0 y, 1 x
 *   size:   rank, dims[6], y strides[6], x strides[6], y offset, x offset, all in elements
 *   It moves bits, so that any payload survives; int32 tensors use the float32 table's copy, int64 the float64 table's.
 *
 * | kernel            | buffer                                     | size    | meaning                                |
 * |-------------------|--------------------------------------------|---------|----------------------------------------|
 * | `fill`            | 0 y                                        | n       | y = scalar 0                           |
 * | `cast_from_int32` | 0 y, 1 x int32                             | n       |                                        |
 * | `cast_to_int32`   | 0 y int32, 1 x                             | n       | to zero, saturating, NaN to INT32_MIN  |
 * | `cast_from_other` | 0 y, 1 x of the other floating-point type  | n       |                                        |
 * | `one_hot`         | 0 y[rows, n], 1 label int32[rows]          | rows, n | a label outside leaves zeros           |
 *
 * `gather_rows`, `gather_rows_int32`, `record`, `advance`: see gather.h. */
#ifndef NNF_KERNELS_SHAPE_H
#define NNF_KERNELS_SHAPE_H

#include "gather.h"
#include "matmul_pack.h"

enum { COPY_TILE = 64 };

/* y[i * y_row + j] = x[i + j * x_column] element by element. */
static void copy_transposed_rest(bits *y, int64_t y_row, const bits *x, int64_t x_column, int64_t rows,
                                 int64_t columns) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            y[i * y_row + j] = x[i + j * x_column];
}

/* The same in tiles, so that pages and lines are used while they are at hand, of blocks that are transposed in
 * registers: float32 on one thread, 2048 x 2048 12 to 18, 256 x 256 14-20 to 50 GB/s (Intel Xeon, AVX-512, 2026-11). */
static void copy_transposed(bits *y, int64_t y_row, const bits *x, int64_t x_column, int64_t rows, int64_t columns) {
    const int64_t whole_rows = rows - rows % LANES, whole_columns = columns - columns % LANES;
    for (int64_t i0 = 0; i0 < whole_rows; i0 += COPY_TILE) {
        const int64_t i1 = whole_rows - i0 < COPY_TILE ? whole_rows : i0 + COPY_TILE;
        for (int64_t j0 = 0; j0 < whole_columns; j0 += COPY_TILE) {
            const int64_t j1 = whole_columns - j0 < COPY_TILE ? whole_columns : j0 + COPY_TILE;
            for (int64_t i = i0; i < i1; i += LANES)
                for (int64_t j = j0; j < j1; j += LANES) {
                    vec t[LANES];
                    load_transposed(t, (const real *)x + i + j * x_column, x_column, LANES, LANES);
#pragma GCC unroll 16
                    for (int r = 0; r < LANES; r++)
                        v_store((real *)y + (i + r) * y_row + j, t[r]);
                }
        }
    }
    copy_transposed_rest(y + whole_columns, y_row, x + whole_columns * x_column, x_column, whole_rows,
                         columns - whole_columns);
    copy_transposed_rest(y + whole_rows * y_row, y_row, x + whole_rows, x_column, rows - whole_rows, columns);
}

static void copy_run(bits *y, int64_t y_stride, const bits *x, int64_t x_stride, int64_t n) {
    if (y_stride == 1 && x_stride == 1)
        __builtin_memcpy(y, x, (uint64_t)n * sizeof *y);
    else
        for (int64_t i = 0; i < n; i++)
            y[i * y_stride] = x[i * x_stride];
}

typedef struct {
    int rank;
    int64_t dims[NNF_MAX_RANK], y[NNF_MAX_RANK], x[NNF_MAX_RANK];
} copy_shape;

/* Dims of size 1 go; neighbours that both tensors walk in one stride become one. */
static copy_shape copy_merge(const int64_t *size) {
    const int64_t *dims = size + 1, *y = dims + NNF_MAX_RANK, *x = y + NNF_MAX_RANK;
    copy_shape s = {0};
    for (int d = 0; d < size[0]; d++) {
        if (dims[d] == 1)
            continue;
        const int last = s.rank - 1;
        if (last >= 0 && s.y[last] == y[d] * dims[d] && s.x[last] == x[d] * dims[d])
            s.dims[last] *= dims[d];
        else
            s.dims[s.rank++] = dims[d];
        s.y[s.rank - 1] = y[d];
        s.x[s.rank - 1] = x[d];
    }
    while (s.rank < 2) { /* a matrix at least: a leading row of size 1 */
        for (int d = s.rank++; d > 0; d--) {
            s.dims[d] = s.dims[d - 1];
            s.y[d] = s.y[d - 1];
            s.x[d] = s.x[d - 1];
        }
        s.dims[0] = 1;
        s.y[0] = s.x[0] = s.rank == 1;
    }
    return s;
}

/* The last two dims are copied as a matrix. Threads divide the larger of the outer dims and the rows of the matrix. */
static void k_copy(const nnf_step *step, int thread, int threads) {
    const copy_shape s = copy_merge(step->size);
    const int64_t *offset = step->size + 1 + 3 * NNF_MAX_RANK;
    bits *y = (bits *)step->buffer[0] + offset[0];
    const bits *x = (const bits *)step->buffer[1] + offset[1];
    const int r = s.rank - 2, c = s.rank - 1;
    int64_t outer = 1;
    for (int d = 0; d < r; d++)
        outer *= s.dims[d];
    if (outer == 1 && s.dims[r] == 1) { /* one run: divided in itself */
        const nnf_range range = split_range(step, s.dims[c], NNF_LINE, thread, threads);
        if (range.begin < range.end)
            copy_run(y + range.begin * s.y[c], s.y[c], x + range.begin * s.x[c], s.x[c], range.end - range.begin);
        return;
    }
    const int by_rows = outer < s.dims[r];
    const nnf_range range = split_range(step, by_rows ? s.dims[r] : outer, 1, thread, threads);
    const int64_t first_row = by_rows ? range.begin : 0, rows = by_rows ? range.end - range.begin : s.dims[r];
    for (int64_t o = by_rows ? 0 : range.begin; o < (by_rows ? outer : range.end); o++) {
        bits *to = y + first_row * s.y[r];
        const bits *from = x + first_row * s.x[r];
        int64_t rest = o;
        for (int d = r - 1; d >= 0; d--) {
            to += rest % s.dims[d] * s.y[d];
            from += rest % s.dims[d] * s.x[d];
            rest /= s.dims[d];
        }
        if (s.y[c] == 1 && s.x[r] == 1 && s.x[c] != 1)
            copy_transposed(to, s.y[r], from, s.x[c], rows, s.dims[c]);
        else
            for (int64_t i = 0; i < rows; i++)
                copy_run(to + i * s.y[r], s.y[c], from + i * s.x[r], s.x[c], s.dims[c]);
    }
}

static void k_fill(const nnf_step *step, int thread, int threads) {
    real *y = (real *)step->buffer[0];
    const real value = (real)step->scalar[0];
    const nnf_range range = split_range(step, step->size[0], NNF_LINE, thread, threads);
    for (int64_t i = range.begin; i < range.end; i++)
        y[i] = value;
}

static void k_cast_from_int32(const nnf_step *step, int thread, int threads) {
    real *y = (real *)step->buffer[0];
    const int32_t *x = (const int32_t *)step->buffer[1];
    const nnf_range range = split_range(step, step->size[0], NNF_LINE, thread, threads);
    for (int64_t i = range.begin; i < range.end; i++)
        y[i] = (real)x[i];
}

static void k_cast_to_int32(const nnf_step *step, int thread, int threads) {
    int32_t *y = (int32_t *)step->buffer[0];
    const real *x = (const real *)step->buffer[1];
    const nnf_range range = split_range(step, step->size[0], 16, thread, threads);
    for (int64_t i = range.begin; i < range.end; i++)
        y[i] = saturate_int32(x[i]);
}

#if NNF_REAL == 32
typedef double other_real;
#else
typedef float other_real;
#endif

static void k_cast_from_other(const nnf_step *step, int thread, int threads) {
    real *y = (real *)step->buffer[0];
    const other_real *x = (const other_real *)step->buffer[1];
    const nnf_range range = split_range(step, step->size[0], NNF_LINE, thread, threads);
    for (int64_t i = range.begin; i < range.end; i++)
        y[i] = (real)x[i];
}

static void k_one_hot(const nnf_step *step, int thread, int threads) {
    const int32_t *labels = (const int32_t *)step->buffer[1];
    const int64_t n = step->size[1];
    const nnf_range rows = split_range(step, step->size[0], 1, thread, threads);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        real *y = (real *)step->buffer[0] + i * n;
        for (int64_t j = 0; j < n; j++)
            y[j] = 0;
        if (labels[i] >= 0 && labels[i] < n)
            y[labels[i]] = 1;
    }
}

#define NNF_SHAPE_KERNELS(X)                                                                                           \
    X(copy) X(fill) X(cast_from_int32) X(cast_to_int32) X(cast_from_other) X(one_hot) NNF_GATHER_KERNELS(X)

#endif
