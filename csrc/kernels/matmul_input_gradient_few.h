/* The input gradient of a few rows: dx[rows, columns] = dy[rows, N] transpose(w), a sum over the columns of w.
 *
 * Lanes over the batch would be mostly idle, so they lie over k here: blocks of LANES x LANES of w are transposed in
 * registers on their way. w is read once, in the order in which it lies. Loops, from the outside: chunks of n, panels,
 * blocks of k, rows. The sums of a chunk wait in the scratch between the panels; same chains, same bits.
 *
 * Transposing costs 45 to 48 cycles per 16 x 16 block in the first-level cache, and w comes from further away. Lines
 * are fetched in the order of the reading, over the end of a panel's part too, and half of them after the shuffles:
 * sixteen at once take all of the core's buffers for misses. One row of 1024 x 1024 on two pinned threads, medians of
 * five runs: 49 to 52 us with whole blocks fetched inside of a panel's part, 40 to 44 so (Intel Xeon, AVX-512). */
#ifndef NNF_MATMUL_INPUT_GRADIENT_FEW_H
#define NNF_MATMUL_INPUT_GRADIENT_FEW_H

/* Up to so many rows. One transposition costs about as much as LANES rows of idle lanes. */
enum { FEW_TURNED = LANES / 2, TURNED_COLUMNS = 1024, LINE = 64 / (NNF_REAL / 8), AHEAD = 1024 /* elements */ };

/* sum[rows, LANES] = or += dy[rows, n] transpose(w[LANES, n]), n <= LANES */
NNF_INLINE void turned_block(real *sum, const real *dy, int64_t lddy, const vec w[LANES], int64_t rows, int64_t n,
                             int first) {
    for (int64_t r = 0; r < rows; r++, sum += TURNED_COLUMNS, dy += lddy) {
        vec acc = first ? v_zero() : v_load(sum);
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            if (i < n)
                acc = v_fma(v_set(dy[i]), w[i], acc);
        v_store(sum, acc);
    }
}

/* Half of the lines that will be read when LANES x LANES more elements of w are through. */
NNF_INLINE void fetch_half(const real *w, int half) {
    for (int i = 0; i < LANES * LANES / 2; i += LINE)
        __builtin_prefetch(w + half * (LANES * LANES / 2) + i, 0, 3);
}

/* sum[rows, columns] = dy[rows, n..n + nc] transpose(w[columns, n..n + nc]) */
static void turned_chunk(const input_gradient *g, range rows, range columns, int64_t n, int64_t nc) {
    const int64_t height = rows.end - rows.begin;
    const int64_t beyond = (g->K - (columns.end - columns.begin)) * NNF_PANEL; /* from one panel to the next */
    for (int64_t end = n + nc, begin = n; n < end; n += NNF_PANEL) {
        const real *dy = g->dy + rows.begin * g->lddy + n;
        const real *w = g->w + n * g->K + columns.begin * NNF_PANEL;
        real *sum = g->panels;
        for (int64_t k = columns.begin; k < columns.end; k += LANES, w += LANES * NNF_PANEL, sum += LANES) {
            const real *ahead = w + AHEAD + (k + AHEAD / NNF_PANEL < columns.end ? 0 : beyond);
            for (int64_t v = 0; v < NNF_PANEL && n + v < end; v += LANES, ahead += LANES * LANES) {
                vec t[LANES];
                fetch_half(ahead, 0);
                if (columns.end - k >= LANES)
                    load_transposed(t, w + v, NNF_PANEL, LANES, LANES);
                else
                    load_transposed(t, w + v, NNF_PANEL, columns.end - k, LANES);
                fetch_half(ahead, 1);
                if (end - n - v >= LANES)
                    turned_block(sum, dy + v, g->lddy, t, height, LANES, n + v == begin);
                else
                    turned_block(sum, dy + v, g->lddy, t, height, end - n - v, n + v == begin);
            }
        }
    }
}

static void input_gradient_few(const input_gradient *g, range rows, range columns) {
    for (int64_t k = columns.begin; k < columns.end; k += TURNED_COLUMNS) {
        const range block = {k, smaller(k + TURNED_COLUMNS, columns.end)};
        for (int64_t n = 0; n == 0 || n < g->N; n += NNF_CHUNK) {
            turned_chunk(g, rows, block, n, smaller(NNF_CHUNK, g->N - n));
            for (int64_t m = rows.begin; m < rows.end; m++)
                for (int64_t v = 0; v < block.end - k; v += LANES) {
                    const int64_t count = smaller(LANES, block.end - k - v);
                    real *p = g->dx + m * g->lddx + k + v;
                    const vec sum = v_load(g->panels + (m - rows.begin) * TURNED_COLUMNS + v);
                    v_store_first(p, n > 0 ? v_add(v_load_first(p, count), sum) : sum, count);
                }
        }
    }
    finish(g->step, g->dx, g->lddx, rows, columns);
}

#endif
