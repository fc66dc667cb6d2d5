/* Rows x[rows, n] brought to mean 0 and variance 1, or to mean square 1, then gamma x + beta; and the derivatives.
 *
 * | kernel                | buffer                                                            | size    | scalar  |
 * |-----------------------|-------------------------------------------------------------------|---------|---------|
 * | `layer_norm`          | 0 y, 1 mean[rows], 2 inverse[rows], 3 x, 4 gamma[n], 5 beta[n]    | rows, n | epsilon |
 * | `rms_norm`            | 0 y, 1 inverse[rows], 2 x, 3 gamma[n]                             | rows, n | epsilon |
 * | `layer_norm_gradient` | 0 dx, 1 dgamma[blocks, n], 2 dbeta[blocks, n], 3 dy, 4 x, 5 gamma, 6 mean, 7 inverse |
 * rows, n | | | `rms_norm_gradient`   | 0 dx, 1 dgamma[blocks, n], 2 dy, 3 x, 4 gamma, 5 inverse          | rows, n | |
 *
 * layer_norm: z = (x - mean) inverse, inverse = 1 / sqrt(mean of (x - mean)^2 + epsilon); y = fma(z, gamma, beta).
 * rms_norm: z = x inverse, inverse = 1 / sqrt(mean of x^2 + epsilon); y = z gamma. With g = dy gamma:
 * dx = inverse (g - mean(g) - z mean(g z)), rms_norm without mean(g). dgamma and dbeta are sums of dy z and dy over
 * blocks of NNF_ROW_BLOCK rows, in ascending order, by fused multiply-adds. Sums over a row go by virtual lanes as in
 * reduce.h. A row is read twice, the second time from L1; fetching the next row meanwhile makes layer_norm_gradient of
 * 4096 x 512 1.08 times faster. Threads divide the rows, in the derivatives the blocks. */
#ifndef NNF_KERNELS_NORM_H
#define NNF_KERNELS_NORM_H

#include "softmax.h"

NNF_INLINE vec squared(vec x) { return v_mul(x, x); }

NNF_ROW_SUM(row_square_distance, const real *x NNF_COMMA real mean, const vec m = v_set(mean),
            squared(v_sub(load(x + j, left), m)))
NNF_FUNCTION3(norm_terms, const vec mean = P(0); const vec inverse = P(1), v_fma(v_mul(v_sub(a, mean), inverse), b, c))
NNF_FUNCTION2(norm_terms_about_zero, const vec inverse = P(0), v_mul(v_mul(a, inverse), b))

NNF_INLINE real norm_inverse(real square, double epsilon) { return 1 / NNF_BUILTIN(sqrt)(square + (real)epsilon); }

static void k_layer_norm(const nnf_step *step, int thread, int threads) {
    real *means = (real *)step->buffer[1], *inverses = (real *)step->buffer[2];
    const int64_t n = step->size[1];
    const nnf_range rows = split_range(step, step->size[0], NNF_LINE, thread, threads);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        const real *x = (const real *)step->buffer[3] + i * n;
        const real mean = row_sum(x, n) / (real)n;
        NNF_IN_CHUNKS(square, n, row_square_distance_chunk(x, mean, begin, end))
        const real inverse = norm_inverse(square / (real)n, step->scalar[0]);
        const double terms[NNF_PARAMETERS] = {mean, inverse};
        f_norm_terms((real *)step->buffer[0] + i * n, x, step->buffer[4], step->buffer[5], terms, n);
        means[i] = mean;
        inverses[i] = inverse;
    }
}

static void k_rms_norm(const nnf_step *step, int thread, int threads) {
    real *inverses = (real *)step->buffer[1];
    const int64_t n = step->size[1];
    const nnf_range rows = split_range(step, step->size[0], NNF_LINE, thread, threads);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        const real *x = (const real *)step->buffer[2] + i * n;
        inverses[i] = norm_inverse(row_sum_squares(x, n) / (real)n, step->scalar[0]);
        const double terms[NNF_PARAMETERS] = {inverses[i]};
        f_norm_terms_about_zero((real *)step->buffer[0] + i * n, x, step->buffer[3], 0, terms, n);
    }
}

/* Sums of g and of g (x - mean), g = dy gamma, over at most NNF_ROW_CHUNK elements: both in one pass. */
NNF_INLINE void norm_sums(real *sum, real *product, const real *dy, const real *x, const real *gamma, real mean,
                          int64_t n) {
    const vec middle = v_set(mean);
    vec sums[NNF_ACCUMULATORS], products[NNF_ACCUMULATORS];
    for (int v = 0; v < NNF_ACCUMULATORS; v++)
        sums[v] = products[v] = v_zero();
    int64_t j = 0;
    for (; j + NNF_VIRTUAL_LANES <= n; j += NNF_VIRTUAL_LANES)
        _Pragma("GCC unroll 16") for (int v = 0; v < NNF_ACCUMULATORS; v++) {
            const int64_t at = j + v * LANES;
            const vec g = v_mul(v_load(dy + at), v_load(gamma + at));
            sums[v] = v_add(sums[v], g);
            products[v] = v_fma(g, v_sub(v_load(x + at), middle), products[v]);
        }
    for (int v = 0; v < NNF_ACCUMULATORS && j + v * LANES < n; v++) {
        const int64_t at = j + v * LANES, left = n - at < LANES ? n - at : LANES;
        const vec g = v_mul(v_load_first(dy + at, left), v_load_first(gamma + at, left));
        const vec d = v_select(m_first(left), v_sub(v_load_first(x + at, left), middle), v_zero());
        sums[v] = v_add(sums[v], g);
        products[v] = v_fma(g, d, products[v]);
    }
    *sum = sum_lanes(sums, lanes_used(n));
    *product = sum_lanes(products, lanes_used(n));
}

typedef struct {
    real mean, inverse, shift, slope; /* dx = inverse (g - shift - z slope) */
} norm_row;

/* dx of one vector; dgamma and dbeta go on, or begin with the first row of a block. dbeta may be NULL. */
NNF_INLINE void norm_gradient_vector(real *dx, real *dgamma, real *dbeta, const real *dy, const real *x,
                                     const real *gamma, norm_row row, int first, int64_t left,
                                     vec (*const load)(const real *, int64_t),
                                     void (*const store)(real *, vec, int64_t)) {
    const vec d = load(dy, left), z = v_mul(v_sub(load(x, left), v_set(row.mean)), v_set(row.inverse));
    const vec g = v_mul(d, load(gamma, left));
    const vec rest = v_fnma(z, v_set(row.slope), v_sub(g, v_set(row.shift)));
    store(dgamma, v_fma(d, z, first ? v_zero() : load(dgamma, left)), left);
    if (dbeta)
        store(dbeta, v_add(first ? v_zero() : load(dbeta, left), d), left);
    store(dx, v_mul(rest, v_set(row.inverse)), left);
}

NNF_INLINE void norm_gradient(const nnf_step *step, int thread, int threads, int centred) {
    const int64_t count = step->size[0], n = step->size[1];
    char **in = step->buffer + (centred ? 3 : 2);
    const real *gamma = (const real *)in[2];
    const real *means = centred ? (const real *)in[3] : 0, *inverses = (const real *)in[centred ? 4 : 3];
    const nnf_range rows = split_range(step, count, NNF_ROW_BLOCK, thread, threads);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        const int64_t block = i / NNF_ROW_BLOCK;
        const int first = i % NNF_ROW_BLOCK == 0;
        real *dx = (real *)step->buffer[0] + i * n, *dgamma = (real *)step->buffer[1] + block * n;
        real *dbeta = centred ? (real *)step->buffer[2] + block * n : 0;
        const real *dy = (const real *)in[0] + i * n, *x = (const real *)in[1] + i * n;
        norm_row row = {centred ? means[i] : 0, inverses[i], 0, 0};
        real sum = 0, product = 0;
        for (int64_t j = 0; j < n; j += NNF_ROW_CHUNK) {
            real part, part_product;
            norm_sums(&part, &part_product, dy + j, x + j, gamma + j, row.mean,
                      n - j < NNF_ROW_CHUNK ? n - j : NNF_ROW_CHUNK);
            sum += part;
            product += part_product;
        }
        row.shift = centred ? sum / (real)n : 0;
        row.slope = product * row.inverse / (real)n;
        int64_t j = 0;
        for (; j + LANES <= n; j += LANES) {
            __builtin_prefetch(x + n + j);
            __builtin_prefetch(dy + n + j);
            norm_gradient_vector(dx + j, dgamma + j, dbeta ? dbeta + j : 0, dy + j, x + j, gamma + j, row, first, LANES,
                                 nnf_load_whole, store_whole);
        }
        if (j < n)
            norm_gradient_vector(dx + j, dgamma + j, dbeta ? dbeta + j : 0, dy + j, x + j, gamma + j, row, first, n - j,
                                 v_load_first, v_store_first);
    }
}

static void k_layer_norm_gradient(const nnf_step *step, int thread, int threads) {
    norm_gradient(step, thread, threads, 1);
}
static void k_rms_norm_gradient(const nnf_step *step, int thread, int threads) {
    norm_gradient(step, thread, threads, 0);
}

#define NNF_NORM_KERNELS(X) X(layer_norm) X(rms_norm) X(layer_norm_gradient) X(rms_norm_gradient)

#endif
