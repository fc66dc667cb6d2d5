/* Reductions of x[outer, n, inner] to y[outer, inner].
 *
 * `sum`, `mean`, `max`, `min`, `argmax`, `argmin`
 *   buffer: 0 y[outer, inner] (int32 for argmax and argmin), 1 x[outer, n, inner]
 *   size:   outer, n, inner
 * `sum_squares`
 *   buffer: 0 y[1], 1 x[n]
 *   size:   n
 *
 * inner = 1: element j of a row goes to virtual lane j % 64 in ascending j; the lanes are added in a fixed tree; a row
 * longer than NNF_ROW_CHUNK is cut, and the results of the pieces are added in ascending order. inner > 1: a chain in
 * ascending order within chunks of NNF_CHUNK, whose results are added in ascending order. Sums start at +0.
 * n = 0: sum 0, mean NaN, max -inf, min inf, argmax 0. max and min are NaN if an element is; the first of equals wins
 * in argmax and argmin, and the first NaN before all. */
#ifndef NNF_KERNELS_REDUCE_H
#define NNF_KERNELS_REDUCE_H

#include "../math/polynomial.h"
#include "split.h"

/* Sticky NaN: an accumulator that is NaN stays, a NaN in x is returned by v_max as its second operand. */
NNF_INLINE vec max_or_nan(vec acc, vec x) { return v_select(v_isnan(acc), acc, v_max(acc, x)); }
NNF_INLINE vec min_or_nan(vec acc, vec x) { return v_select(v_isnan(acc), acc, v_min(acc, x)); }
NNF_INLINE vec add_square(vec acc, vec x) { return v_fma(x, x, acc); }

/* NNF_LANES_TREE(name, combine): the tree of v_sum64 over the first `used` of its vectors. The others hold the
 * identity, which changes nothing (+0 for sums: a sum that started at +0 is never -0). */
#define NNF_LANES_TREE(name, combine)                                                                                  \
    NNF_INLINE real name(vec *acc, int used) {                                                                         \
        _Pragma("GCC unroll 8") for (int half = NNF_ACCUMULATORS / 2; half > 0; half /= 2)                             \
            _Pragma("GCC unroll 8") for (int i = 0; i < half; i++) if (i + half < used) acc[i] =                       \
                combine(acc[i], acc[i + half]);                                                                        \
        vec all = acc[0];                                                                                              \
        _Pragma("GCC unroll 8") for (int half = LANES / 2; half > 0; half /= 2) all =                                  \
            combine(all, nnf_rotate(all, half));                                                                       \
        return all[0];                                                                                                 \
    }
NNF_LANES_TREE(sum_lanes, v_add)
NNF_LANES_TREE(max_lanes, max_or_nan)
NNF_LANES_TREE(min_lanes, min_or_nan)

/* How many of the vectors of virtual lanes a row of n elements touches. */
NNF_INLINE int lanes_used(int64_t n) {
    return n < NNF_VIRTUAL_LANES ? (int)((n + LANES - 1) / LANES) : NNF_ACCUMULATORS;
}

/* NNF_ROW(name, combine, identity, result) defines name(x, n): one row, with n <= NNF_ROW_CHUNK for sums. */
#define NNF_ROW(name, combine, identity, result)                                                                       \
    static inline real name(const real *x, int64_t n) {                                                                \
        vec acc[NNF_ACCUMULATORS];                                                                                     \
        for (int v = 0; v < NNF_ACCUMULATORS; v++)                                                                     \
            acc[v] = v_set(identity);                                                                                  \
        int64_t j = 0;                                                                                                 \
        for (; j + NNF_VIRTUAL_LANES <= n; j += NNF_VIRTUAL_LANES)                                                     \
            _Pragma("GCC unroll 32") for (int v = 0; v < NNF_ACCUMULATORS; v++) acc[v] =                               \
                combine(acc[v], v_load(x + j + v * LANES));                                                            \
        _Pragma("GCC unroll 32") for (int v = 0; v < NNF_ACCUMULATORS; v++) {                                          \
            const int64_t left = n - j - v * LANES;                                                                    \
            if (left <= 0)                                                                                             \
                break;                                                                                                 \
            if (left >= LANES) {                                                                                       \
                acc[v] = combine(acc[v], v_load(x + j + v * LANES));                                                   \
            } else {                                                                                                   \
                const vec tail = v_load_first(x + j + v * LANES, left);                                                \
                acc[v] = combine(acc[v], v_select(m_first(left), tail, v_set(identity)));                              \
            }                                                                                                          \
        }                                                                                                              \
        return result;                                                                                                 \
    }

NNF_ROW(row_sum_chunk, v_add, 0, sum_lanes(acc, lanes_used(n)))
NNF_ROW(row_square_chunk, add_square, 0, sum_lanes(acc, lanes_used(n)))
NNF_ROW(row_max, max_or_nan, -NNF_INFINITY, max_lanes(acc, lanes_used(n)))
NNF_ROW(row_min, min_or_nan, NNF_INFINITY, min_lanes(acc, lanes_used(n)))

#define NNF_LONG_ROW(name, chunk)                                                                                      \
    static inline real name(const real *x, int64_t n) {                                                                \
        real sum = chunk(x, n < NNF_ROW_CHUNK ? n : NNF_ROW_CHUNK);                                                    \
        for (int64_t j = NNF_ROW_CHUNK; j < n; j += NNF_ROW_CHUNK)                                                     \
            sum += chunk(x + j, n - j < NNF_ROW_CHUNK ? n - j : NNF_ROW_CHUNK);                                        \
        return sum;                                                                                                    \
    }
NNF_LONG_ROW(row_sum, row_sum_chunk)
NNF_LONG_ROW(row_sum_squares, row_square_chunk)

/* NNF_COLUMNS(name, combine, identity, chunk, total) defines name(y, x, n, inner, columns): y[c] over x[i * inner + c]
 * for `columns` columns; 4 vectors at once, then one, then a masked one. A chunk's result begins with identity. */
#define NNF_COLUMNS_OF(count, combine, identity, chunk, total, LOAD, STORE)                                            \
    {                                                                                                                  \
        vec sum[count];                                                                                                \
        for (int v = 0; v < count; v++)                                                                                \
            sum[v] = v_set(identity);                                                                                  \
        for (int64_t i0 = 0; i0 < n; i0 += chunk) {                                                                    \
            const int64_t i1 = n - i0 < chunk ? n : i0 + chunk;                                                        \
            vec acc[count];                                                                                            \
            for (int v = 0; v < count; v++)                                                                            \
                acc[v] = v_set(identity);                                                                              \
            for (int64_t i = i0; i < i1; i++)                                                                          \
                _Pragma("GCC unroll 4") for (int v = 0; v < count; v++) acc[v] =                                       \
                    combine(acc[v], LOAD(x + i * inner + c + v * LANES));                                              \
            for (int v = 0; v < count; v++)                                                                            \
                sum[v] = i0 == 0 ? acc[v] : total(sum[v], acc[v]);                                                     \
        }                                                                                                              \
        for (int v = 0; v < count; v++)                                                                                \
            STORE(y + c + v * LANES, sum[v]);                                                                          \
    }
#define NNF_LOAD_REST(p) v_load_first(p, columns - c)
#define NNF_STORE_REST(p, x) v_store_first(p, x, columns - c)
#define NNF_COLUMNS(name, combine, identity, chunk, total)                                                             \
    static void name(real *y, const real *x, int64_t n, int64_t inner, int64_t columns) {                              \
        int64_t c = 0;                                                                                                 \
        for (; c + 4 * LANES <= columns; c += 4 * LANES)                                                               \
            NNF_COLUMNS_OF(4, combine, identity, chunk, total, v_load, v_store)                                        \
        for (; c + LANES <= columns; c += LANES)                                                                       \
            NNF_COLUMNS_OF(1, combine, identity, chunk, total, v_load, v_store)                                        \
        if (c < columns)                                                                                               \
            NNF_COLUMNS_OF(1, combine, identity, chunk, total, NNF_LOAD_REST, NNF_STORE_REST)                          \
    }

NNF_COLUMNS(columns_sum, v_add, 0, NNF_CHUNK, v_add)
NNF_COLUMNS(columns_max, max_or_nan, -NNF_INFINITY, INT64_MAX, max_or_nan)
NNF_COLUMNS(columns_min, min_or_nan, NNF_INFINITY, INT64_MAX, min_or_nan)

typedef real reduce_row(const real *x, int64_t n);
typedef void reduce_columns(real *y, const real *x, int64_t n, int64_t inner, int64_t columns);

/* Threads divide the rows of y, or, for inner > 1, blocks of one line of columns. */
NNF_INLINE void reduce(const nnf_step *step, int thread, int threads, reduce_row *row, reduce_columns *columns,
                       int mean) {
    real *y = (real *)step->buffer[0];
    const real *x = (const real *)step->buffer[1];
    const int64_t outer = step->size[0], n = step->size[1], inner = step->size[2];
    nnf_range range;
    if (inner == 1) {
        range = split_range(step, outer, NNF_LINE, thread, threads);
        for (int64_t i = range.begin; i < range.end; i++)
            y[i] = row(x + i * n, n);
    } else {
        /* a thread's share is a run of y; it is reduced row of y by row of y */
        range = split_range(step, outer * inner, NNF_LINE, thread, threads);
        for (int64_t i = range.begin; i < range.end;) {
            const int64_t o = i / inner, c = i % inner;
            const int64_t run = inner - c < range.end - i ? inner - c : range.end - i;
            columns(y + i, x + o * n * inner + c, n, inner, run);
            i += run;
        }
    }
    if (mean)
        for (int64_t i = range.begin; i < range.end; i++)
            y[i] /= (real)n;
}

static void k_sum(const nnf_step *step, int thread, int threads) {
    reduce(step, thread, threads, row_sum, columns_sum, 0);
}
static void k_mean(const nnf_step *step, int thread, int threads) {
    reduce(step, thread, threads, row_sum, columns_sum, 1);
}
static void k_max(const nnf_step *step, int thread, int threads) {
    reduce(step, thread, threads, row_max, columns_max, 0);
}
static void k_min(const nnf_step *step, int thread, int threads) {
    reduce(step, thread, threads, row_min, columns_min, 0);
}

/* One thread: the pieces of a long row are added in order. */
static void k_sum_squares(const nnf_step *step, int thread, int threads) {
    (void)threads;
    if (thread == 0)
        *(real *)step->buffer[0] = row_sum_squares((const real *)step->buffer[1], step->size[0]);
}

/* inner = 1: the extreme value first, then the first place where it stands. */
static int32_t first_place(const real *x, int64_t n, real value) {
    for (int64_t j = 0; j < n; j++)
        if (x[j] == value || x[j] != x[j])
            return (int32_t)j;
    return 0;
}

static int32_t row_argmax(const real *x, int64_t n) { return first_place(x, n, row_max(x, n)); }
static int32_t row_argmin(const real *x, int64_t n) { return first_place(x, n, row_min(x, n)); }

/* inner > 1: the index is kept beside the value, in lanes. */
NNF_INLINE void columns_arg(int32_t *y, const real *x, int64_t n, int64_t inner, int64_t columns, int max) {
    for (int64_t c = 0; c < columns; c += LANES) {
        const int64_t width = columns - c < LANES ? columns - c : LANES;
        vec best = v_set(max ? -NNF_INFINITY : NNF_INFINITY);
        ivec place = i_set(0);
        for (int64_t i = 0; i < n; i++) {
            const vec value = v_load_first(x + i * inner + c, width);
            const mask better = max ? v_lt(best, value) : v_lt(value, best);
            const mask take = m_and(m_or(better, v_isnan(value)), m_not(v_isnan(best)));
            best = v_select(take, value, best);
            place = i_select(take, i_set((sbits)i), place);
        }
        for (int64_t j = 0; j < width; j++)
            y[c + j] = (int32_t)place[j];
    }
}

static void columns_argmax(int32_t *y, const real *x, int64_t n, int64_t inner, int64_t columns) {
    columns_arg(y, x, n, inner, columns, 1);
}
static void columns_argmin(int32_t *y, const real *x, int64_t n, int64_t inner, int64_t columns) {
    columns_arg(y, x, n, inner, columns, 0);
}

NNF_INLINE void reduce_arg(const nnf_step *step, int thread, int threads, int32_t (*row)(const real *, int64_t),
                           void (*columns)(int32_t *, const real *, int64_t, int64_t, int64_t)) {
    int32_t *y = (int32_t *)step->buffer[0];
    const real *x = (const real *)step->buffer[1];
    const int64_t outer = step->size[0], n = step->size[1], inner = step->size[2];
    const nnf_range range = split_range(step, outer * inner, 16, thread, threads);
    for (int64_t i = range.begin; i < range.end;) {
        const int64_t o = i / inner, c = i % inner;
        const int64_t run = inner - c < range.end - i ? inner - c : range.end - i;
        if (inner == 1)
            y[i] = row(x + i * n, n);
        else
            columns(y + i, x + o * n * inner + c, n, inner, run);
        i += run;
    }
}

static void k_argmax(const nnf_step *step, int thread, int threads) {
    reduce_arg(step, thread, threads, row_argmax, columns_argmax);
}
static void k_argmin(const nnf_step *step, int thread, int threads) {
    reduce_arg(step, thread, threads, row_argmin, columns_argmin);
}

#define NNF_REDUCE_KERNELS(X) X(sum) X(mean) X(max) X(min) X(argmax) X(argmin) X(sum_squares)

#endif
