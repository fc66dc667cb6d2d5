/* Softmax of rows x[rows, n], and its derivative.
 *
 * `softmax`, `log_softmax`                     buffer: 0 y, 1 x          size: rows, n
 * `softmax_gradient`, `log_softmax_gradient`   buffer: 0 dx, 1 dy, 2 y   size: rows, n   (y is the forward output)
 *
 * With m = max x and s = sum e^(x - m): softmax = e^(x - m) * (1 / s), log_softmax = (x - m) - log s. Sums over a row
 * go by virtual lanes as in reduce.h. y may be x, dx may be dy or y. Threads divide the rows. */
#ifndef NNF_KERNELS_SOFTMAX_H
#define NNF_KERNELS_SOFTMAX_H

#include "../math/log.h"
#include "arithmetic.h"
#include "reduce.h"

/* NaN is passed over here; it reaches the result through the sum. */
NNF_INLINE vec max_of_numbers(vec acc, vec x) { return v_max(x, acc); }

NNF_LANES_TREE(max_of_numbers_lanes, max_of_numbers)
NNF_ROW(row_max_of_numbers, max_of_numbers, -NNF_INFINITY, max_of_numbers_lanes(acc, lanes_used(n)))

/* NNF_ROW_SUM(name, operands, setup, term): the sum over j of the vector expression term, which may use x, j and left,
 * the number of elements of this vector. Terms beyond the row are replaced by zeros. */
#define NNF_ROW_SUM(name, operands, setup, term)                                                                       \
    static inline real name##_chunk(operands, int64_t begin, int64_t end) {                                            \
        setup;                                                                                                         \
        vec acc[NNF_ACCUMULATORS];                                                                                     \
        for (int v = 0; v < NNF_ACCUMULATORS; v++)                                                                     \
            acc[v] = v_zero();                                                                                         \
        int64_t block = begin;                                                                                         \
        for (; block + NNF_VIRTUAL_LANES <= end; block += NNF_VIRTUAL_LANES)                                           \
            _Pragma("GCC unroll 16") for (int v = 0; v < NNF_ACCUMULATORS; v++) {                                      \
                const int64_t j = block + v * LANES, left = LANES;                                                     \
                NNF_TERM(nnf_load_whole, store_whole, term)                                                            \
            }                                                                                                          \
        for (int v = 0; v < NNF_ACCUMULATORS && block + v * LANES < end; v++) {                                        \
            const int64_t j = block + v * LANES, left = end - j;                                                       \
            if (left >= LANES) {                                                                                       \
                NNF_TERM(nnf_load_whole, store_whole, term)                                                            \
            } else {                                                                                                   \
                NNF_TERM(v_load_first, v_store_first, v_select(m_first(left), term, v_zero()))                         \
            }                                                                                                          \
        }                                                                                                              \
        return sum_lanes(acc, lanes_used(end - begin));                                                                \
    }

#define NNF_TERM(loader, storer, expression)                                                                           \
    vec (*const load)(const real *, int64_t) = loader;                                                                 \
    void (*const store)(real *, vec, int64_t) = storer;                                                                \
    (void)store;                                                                                                       \
    acc[v] = v_add(acc[v], expression);

NNF_INLINE void store_whole(real *p, vec x, int64_t n) {
    (void)n;
    v_store(p, x);
}

NNF_INLINE vec exp_and_store(real *y, vec x, int64_t left, void (*const store)(real *, vec, int64_t)) {
    const vec e = v_exp(x);
    store(y, e, left);
    return e;
}

#define NNF_COMMA ,
NNF_ROW_SUM(row_exp, real *y NNF_COMMA const real *x NNF_COMMA real max, const vec top = v_set(max),
            exp_and_store(y + j, v_sub(load(x + j, left), top), left, store))
NNF_ROW_SUM(row_exp_only, const real *x NNF_COMMA real max, const vec top = v_set(max),
            v_exp(v_sub(load(x + j, left), top)))
NNF_ROW_SUM(row_dot, const real *x NNF_COMMA const real *y, , v_mul(load(x + j, left), load(y + j, left)))

/* Pieces of NNF_ROW_CHUNK, added in order. */
#define NNF_IN_CHUNKS(sum, n, call)                                                                                    \
    real sum = 0;                                                                                                      \
    for (int64_t begin = 0; begin < (n); begin += NNF_ROW_CHUNK) {                                                     \
        const int64_t end = (n) - begin < NNF_ROW_CHUNK ? (n) : begin + NNF_ROW_CHUNK;                                 \
        const real part = call;                                                                                        \
        sum = begin == 0 ? part : sum + part;                                                                          \
    }

/* y = e^(x - max) and their sum. */
static inline real softmax_exp(real *y, const real *x, int64_t n, real max) {
    NNF_IN_CHUNKS(sum, n, row_exp_chunk(y, x, max, begin, end))
    return sum;
}

/* A row of at most 64 elements, in `count` vectors: e = e^(x - max), 0 beyond the row. Returns the sum of e. */
NNF_INLINE real softmax_short(vec *e, const real *x, int64_t n, int count, real *max) {
    vec acc[NNF_ACCUMULATORS];
    for (int v = 0; v < count; v++) {
        const int64_t left = n - v * LANES < 0 ? 0 : n - v * LANES < LANES ? n - v * LANES : LANES;
        e[v] = acc[v] = v_select(m_first(left), v_load_first(x + (left ? v * LANES : 0), left), v_set(-NNF_INFINITY));
    }
    *max = max_of_numbers_lanes(acc, count);
    for (int v = 0; v < count; v++)
        acc[v] = e[v] = v_select(m_first(n - v * LANES < 0       ? 0
                                         : n - v * LANES < LANES ? n - v * LANES
                                                                 : LANES),
                                 v_exp(v_sub(e[v], v_set(*max))), v_zero());
    return sum_lanes(acc, count);
}

NNF_INLINE void store_short(real *y, const vec *x, int64_t n, int count) {
    for (int v = 0; v < count && v * LANES < n; v++)
        v_store_first(y + v * LANES, x[v], n - v * LANES < LANES ? n - v * LANES : LANES);
}

NNF_INLINE real log_of(real x) { return v_log(v_set(x))[0]; }

NNF_FUNCTION1(softmax_scale, const vec factor = P(0), v_mul(a, factor))
NNF_FUNCTION1(log_softmax_terms, const vec max = P(0); const vec log_sum = P(1), v_sub(v_sub(a, max), log_sum))
NNF_FUNCTION2(softmax_row_gradient, const vec dot = P(0), v_mul(b, v_sub(a, dot)))
NNF_FUNCTION2(log_softmax_row_gradient, const vec sum = P(0), v_fnma(v_exp(b), sum, a))

NNF_INLINE void softmax_row_short(real *y, const real *x, int64_t n, int count) {
    vec e[NNF_ACCUMULATORS];
    real max;
    const vec inverse = v_set(1 / softmax_short(e, x, n, count, &max));
    for (int v = 0; v < count; v++)
        e[v] = v_mul(e[v], inverse);
    store_short(y, e, n, count);
}

static void softmax_row(real *y, const real *x, int64_t n) {
    if (n <= LANES) {
        softmax_row_short(y, x, n, 1);
    } else if (n <= NNF_VIRTUAL_LANES) {
        softmax_row_short(y, x, n, NNF_ACCUMULATORS);
    } else {
        const double inverse[NNF_PARAMETERS] = {1 / softmax_exp(y, x, n, row_max_of_numbers(x, n))};
        f_softmax_scale(y, y, 0, 0, inverse, n);
    }
}

static void k_softmax(const nnf_step *step, int thread, int threads) {
    const int64_t n = step->size[1];
    const nnf_range rows = split_range(step, step->size[0], 1, thread, threads);
    for (int64_t i = rows.begin; i < rows.end; i++)
        softmax_row((real *)step->buffer[0] + i * n, (const real *)step->buffer[1] + i * n, n);
}

static void log_softmax_row(real *y, const real *x, int64_t n) {
    real max, sum;
    if (n <= LANES) {
        vec e[1];
        sum = softmax_short(e, x, n, 1, &max);
    } else {
        max = row_max_of_numbers(x, n);
        NNF_IN_CHUNKS(total, n, row_exp_only_chunk(x, max, begin, end))
        sum = total;
    }
    const double terms[NNF_PARAMETERS] = {max, log_of(sum)};
    f_log_softmax_terms(y, x, 0, 0, terms, n);
}

static void k_log_softmax(const nnf_step *step, int thread, int threads) {
    const int64_t n = step->size[1];
    const nnf_range rows = split_range(step, step->size[0], 1, thread, threads);
    for (int64_t i = rows.begin; i < rows.end; i++)
        log_softmax_row((real *)step->buffer[0] + i * n, (const real *)step->buffer[1] + i * n, n);
}

static void k_softmax_gradient(const nnf_step *step, int thread, int threads) {
    const int64_t n = step->size[1];
    const nnf_range rows = split_range(step, step->size[0], 1, thread, threads);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        const real *dy = (const real *)step->buffer[1] + i * n, *y = (const real *)step->buffer[2] + i * n;
        NNF_IN_CHUNKS(dot, n, row_dot_chunk(dy, y, begin, end))
        const double terms[NNF_PARAMETERS] = {dot};
        f_softmax_row_gradient((real *)step->buffer[0] + i * n, dy, y, 0, terms, n);
    }
}

static void k_log_softmax_gradient(const nnf_step *step, int thread, int threads) {
    const int64_t n = step->size[1];
    const nnf_range rows = split_range(step, step->size[0], 1, thread, threads);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        const real *dy = (const real *)step->buffer[1] + i * n, *y = (const real *)step->buffer[2] + i * n;
        const double terms[NNF_PARAMETERS] = {row_sum(dy, n)};
        f_log_softmax_row_gradient((real *)step->buffer[0] + i * n, dy, y, 0, terms, n);
    }
}

#define NNF_SOFTMAX_KERNELS(X) X(softmax) X(log_softmax) X(softmax_gradient) X(log_softmax_gradient)

#endif
