/* Kernels that may order sums as they like, for bench/contract_price.py: what the contract forbids and others do.
 *
 * Compiled like csrc/isa/avx512.c, together with the kernels of a changed copy of csrc. */
#include "isa/avx512.c"

#define FREE __attribute__((visibility("default")))
FREE void free_split_k(const nnf_step *step, int thread, int threads);
FREE void free_dot(const nnf_step *step, int thread, int threads);
FREE void free_sum(const nnf_step *step, int thread, int threads);

/* y[M, N] and more[M, N] = the products of the first and second half of K, one for each thread.
 * Buffers: y, more, x, first half of w in panels, second half. Sizes: M, N, K, row stride of y, row stride of x. */
void free_split_k(const nnf_step *step, int thread, int threads) {
    for (int half = thread; half < 2; half += threads) {
        const int64_t K = step->size[2] / 2;
        const int64_t size[] = {step->size[0], step->size[1], K, step->size[3], step->size[4]};
        char *buffer[] = {step->buffer[half], step->buffer[2] + half * K * (int64_t)sizeof(real),
                          step->buffer[3 + half]};
        const nnf_step own = {
            .buffer = buffer, .size = size, .scratch = step->scratch + thread * NNF_SCRATCH_BYTES, .threads = 1};
        k_linear(&own, 0, 1);
    }
}

/* The sum of eight vectors of accumulators. */
static real free_total(const vec *acc) {
    real total = 0, lane[LANES];
    for (int v = 0; v < 8; v++) {
        v_store(lane, acc[v]);
        for (int i = 0; i < LANES; i++)
            total += lane[i];
    }
    return total;
}

/* y[N] = w x, lanes over k. Buffers: y, x[K], w[N, K]. Sizes: N, K, a multiple of 8 vectors. */
void free_dot(const nnf_step *step, int thread, int threads) {
    const int64_t K = step->size[1];
    const real *x = (const real *)step->buffer[1];
    const nnf_range range = split_range(step, step->size[0], NNF_PANEL, thread, threads);
    for (int64_t n = range.begin; n < range.end; n++) {
        const real *w = (const real *)step->buffer[2] + n * K;
        vec acc[8];
        for (int v = 0; v < 8; v++)
            acc[v] = v_zero();
        for (int64_t k = 0; k < K; k += 8 * LANES)
#pragma GCC unroll 8
            for (int v = 0; v < 8; v++)
                acc[v] = v_fma(v_load(x + k + v * LANES), v_load(w + k + v * LANES), acc[v]);
        ((real *)step->buffer[0])[n] = free_total(acc);
    }
}

/* y[rows] = sums of x[rows, n]; eight accumulators, no masks. Buffers: y, x. Sizes: rows, n, a multiple of 8 vectors.
 */
void free_sum(const nnf_step *step, int thread, int threads) {
    const int64_t n = step->size[1];
    const nnf_range range = split_range(step, step->size[0], NNF_PANEL, thread, threads);
    for (int64_t row = range.begin; row < range.end; row++) {
        const real *x = (const real *)step->buffer[1] + row * n;
        vec acc[8];
        for (int v = 0; v < 8; v++)
            acc[v] = v_zero();
        for (int64_t j = 0; j < n; j += 8 * LANES)
#pragma GCC unroll 8
            for (int v = 0; v < 8; v++)
                acc[v] = v_add(acc[v], v_load(x + j + v * LANES));
        ((real *)step->buffer[0])[row] = free_total(acc);
    }
}
