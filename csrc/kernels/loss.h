/* Cross-entropy of logits with its gradient, and the top-k test. Threads divide the rows.
 *
 * `sparse_cross_entropy`
 *   buffer: 0 loss[rows], 1 dz[rows, n], 2 z[rows, n], 3 label int32[rows]
 *   size:   rows, n
 *   loss = log sum e^(z - max) - (z[label] - max), dz = softmax(z) - onehot(label). A label outside 0..n-1 makes the
 *   loss and its row of dz NaN. dz may be z.
 *
 * `categorical_cross_entropy`
 *   buffer: 0 loss[rows], 1 dz[rows, n], 2 z[rows, n], 3 t[rows, n]
 *   size:   rows, n
 *   loss = sum t (log sum e^(z - max) - (z - max)), dz = softmax(z) sum(t) - t. Terms with t = 0 are 0. dz may be z.
 *
 * `in_top_k`
 *   buffer: 0 y[rows], 1 z[rows, n], 2 label int32[rows]
 *   size:   rows, n, k
 *   1 if fewer than k entries are greater than z[label], else 0; 0 if the label is outside or its logit NaN. */
#ifndef NNF_KERNELS_LOSS_H
#define NNF_KERNELS_LOSS_H

#include "softmax.h"

NNF_INLINE vec cross_term(vec t, vec z, vec top, vec log_sum) {
    return v_select(v_eq(t, v_zero()), v_zero(), v_mul(t, v_sub(log_sum, v_sub(z, top))));
}

NNF_ROW_SUM(row_cross, const real *t NNF_COMMA const real *z NNF_COMMA real max NNF_COMMA real log_total,
            const vec top = v_set(max);
            const vec log_sum = v_set(log_total), cross_term(load(t + j, left), load(z + j, left), top, log_sum))
NNF_FUNCTION2(softmax_less_target, const vec factor = P(0);
              const vec total = P(1), v_fnma(ONE, b, v_mul(v_mul(a, factor), total)))

/* Lane `place` of a vector; none if place is outside. */
NNF_INLINE mask only_lane(int64_t place) {
    const int64_t begin = place < 0 ? 0 : place < LANES ? place : LANES;
    const int64_t end = place < 0 ? 0 : place < LANES ? place + 1 : LANES;
    return m_and(m_first(end), m_not(m_first(begin)));
}

/* One row: dz, the sum of e^(z - max), and z[label] - max. */
NNF_INLINE real sparse_row_short(real *dz, const real *z, int64_t n, int64_t label, int count, real *chosen) {
    vec e[NNF_ACCUMULATORS];
    real max;
    const real own = z[label], sum = softmax_short(e, z, n, count, &max);
    const vec inverse = v_set(1 / sum);
    for (int v = 0; v < count; v++) {
        const vec p = v_mul(e[v], inverse);
        e[v] = v_select(only_lane(label - v * LANES), v_sub(p, ONE), p);
    }
    store_short(dz, e, n, count);
    *chosen = own - max;
    return sum;
}

static real sparse_row(real *dz, const real *z, int64_t n, int64_t label, real *chosen) {
    if (n <= LANES)
        return sparse_row_short(dz, z, n, label, 1, chosen);
    if (n <= NNF_VIRTUAL_LANES)
        return sparse_row_short(dz, z, n, label, NNF_ACCUMULATORS, chosen);
    const real max = row_max_of_numbers(z, n);
    *chosen = z[label] - max;
    const real sum = softmax_exp(dz, z, n, max);
    const double inverse[NNF_PARAMETERS] = {1 / sum};
    f_softmax_scale(dz, dz, 0, 0, inverse, n);
    dz[label] -= 1;
    return sum;
}

NNF_FUNCTION2(loss_of_sum, , v_sub(v_log(a), b))

/* Rows in blocks, so that the logarithms of a block are taken together. */
static void k_sparse_cross_entropy(const nnf_step *step, int thread, int threads) {
    enum { BLOCK = 64 };
    real sum[BLOCK], chosen[BLOCK];
    const double nan[NNF_PARAMETERS] = {__builtin_nan("")};
    const int32_t *labels = (const int32_t *)step->buffer[3];
    const int64_t n = step->size[1];
    const nnf_range rows = split_range(step, step->size[0], 1, thread, threads);
    for (int64_t first = rows.begin; first < rows.end; first += BLOCK) {
        const int64_t count = rows.end - first < BLOCK ? rows.end - first : BLOCK;
        for (int64_t i = 0; i < count; i++) {
            real *dz = (real *)step->buffer[1] + (first + i) * n;
            const real *z = (const real *)step->buffer[2] + (first + i) * n;
            const int64_t label = labels[first + i];
            if (label >= 0 && label < n) {
                sum[i] = sparse_row(dz, z, n, label, &chosen[i]);
            } else {
                sum[i] = chosen[i] = NNF_NAN;
                f_fill(dz, 0, 0, 0, nan, n);
            }
        }
        f_loss_of_sum((real *)step->buffer[0] + first, sum, chosen, 0, 0, count);
    }
}

static void k_categorical_cross_entropy(const nnf_step *step, int thread, int threads) {
    real *loss = (real *)step->buffer[0];
    const int64_t n = step->size[1];
    const nnf_range rows = split_range(step, step->size[0], 1, thread, threads);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        real *dz = (real *)step->buffer[1] + i * n;
        const real *z = (const real *)step->buffer[2] + i * n, *t = (const real *)step->buffer[3] + i * n;
        const real max = row_max_of_numbers(z, n);
        NNF_IN_CHUNKS(sum, n, row_exp_only_chunk(z, max, begin, end))
        const real log_sum = log_of(sum);
        NNF_IN_CHUNKS(cross, n, row_cross_chunk(t, z, max, log_sum, begin, end))
        loss[i] = cross;
        softmax_exp(dz, z, n, max);
        const double terms[NNF_PARAMETERS] = {1 / sum, row_sum(t, n)};
        f_softmax_less_target(dz, dz, t, 0, terms, n);
    }
}

static void k_in_top_k(const nnf_step *step, int thread, int threads) {
    real *y = (real *)step->buffer[0];
    const int32_t *labels = (const int32_t *)step->buffer[2];
    const int64_t n = step->size[1], k = step->size[2];
    const nnf_range rows = split_range(step, step->size[0], NNF_LINE, thread, threads);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        const real *z = (const real *)step->buffer[1] + i * n;
        const int64_t label = labels[i];
        y[i] = 0;
        if (label < 0 || label >= n || z[label] != z[label])
            continue;
        const real chosen = z[label];
        int64_t greater = 0;
        for (int64_t j = 0; j < n; j++)
            greater += z[j] > chosen;
        y[i] = greater < k;
    }
}

#define NNF_LOSS_KERNELS(X) X(sparse_cross_entropy) X(categorical_cross_entropy) X(in_top_k)

#endif
