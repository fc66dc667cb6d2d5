/* linear_weight_gradient: dw[K, N] = transpose(x[M, K]) dy[M, N], a sum over the batch
 *
 * The loops of matmul_rows.h, and two ways of its own: for few columns, and for few rows of the batch. */
#ifndef NNF_MATMUL_WEIGHT_GRADIENT_H
#define NNF_MATMUL_WEIGHT_GRADIENT_H

enum {
    NARROW_GRADIENT = 12, /* columns of dw */
    NARROW_VECTORS = 48,  /* of sums: so many columns by as many vectors as a tile is wide */
    SHORT_BATCH = 32,     /* rows of the batch */
    SHORT_ROWS = 128,     /* of dw, that stay in the first-level cache while sums are added to */
};

/* The sums beyond column N are 0, or NaN where x is not finite: make them 0. */
static void clear_last_panel(real *dw, int64_t N, int64_t K, range rows) {
    const int64_t first = N / NNF_PANEL * NNF_PANEL;
    for (int64_t k = rows.begin; k < rows.end; k++)
        for (int64_t v = 0; v < NNF_PANEL; v += LANES) {
            real *p = dw + first * K + k * NNF_PANEL + v;
            v_store(p, v_load_first(p, larger(0, smaller(LANES, N - first - v))));
        }
}

/* Few columns: lanes lie over rows of dw instead, and dy's columns are the rows of the tile. x is read where it lies.
 */
static void narrow_weight_gradient(const rows_product *p, range rows) {
    const int64_t N = p->columns;
    const int64_t whole = rows.begin + (rows.end - rows.begin) / NNF_PANEL * NNF_PANEL;
    const strips s = strips_of(N, ROWS);
    const int widest = FEW_WIDE((int)(s.height + (s.taller > 0)));
    int nv;
    for (int64_t j = rows.begin; j < rows.end; j += nv * LANES) {
        const int there = j < whole;
        nv = tile_width(((there ? whole : whole + NNF_PANEL) - j) / LANES, widest);
        const int64_t width = nv * LANES, count = smaller(width, rows.end - j);
        real sums[NARROW_VECTORS * LANES] __attribute__((aligned(64)));
        for (int64_t m = 0; m == 0 || m < p->sum; m += NNF_CHUNK) {
            const int64_t mc = smaller(NNF_CHUNK, p->sum - m);
            if (!there)
                pack_panel(p->panels, p->a + m * p->a_step + j, p->a_step, mc, count);
            for (int64_t i = 0; i < s.count; i++) {
                const tile t = {
                    .a = p->b + m * p->ldb + strip_begin(s, i),
                    .a_row = 1,
                    .a_step = p->ldb,
                    .b = there ? p->a + m * p->a_step + j : p->panels,
                    .b_step = there ? p->a_step : NNF_PANEL,
                    .b_panel = NNF_PANEL,
                    .c = sums + strip_begin(s, i) * width,
                    .c_row = width,
                    .c_panel = NNF_PANEL,
                    .ahead = there ? AHEAD_IN_PLACE * p->a_step : 0,
                    .line = 64 / (int)sizeof(real),
                    .k = mc,
                    .accumulate = m > 0,
                };
                packed_tile(strip_rows(s, i), nv)(&t);
            }
        }
        if (p->in_panels)
            pack_transposed(p->c + j * NNF_PANEL, NNF_PANEL, sums, width, N, count);
        else { /* whole rows of dw, one after the other */
            real turned[NARROW_VECTORS * LANES + NNF_PANEL];
            pack_transposed(turned, N, sums, width, N, count);
            __builtin_memcpy(p->c + j * N, turned, (uint64_t)(count * N) * sizeof(real));
        }
    }
}

/* nv vectors of rows of dw, in the order in which they lie, from `sum` rows of the batch, whose part of dy is kept in
 * registers. Tiles would be stored as soon as they are begun. */
NNF_INLINE void short_block(const rows_product *p, real *c, const real *x, const real *dy, int64_t columns, range rows,
                            int accumulate, const int sum, const int nv) {
    vec b[SHORT_SUM][SHORT_WIDE];
#pragma GCC unroll 8
    for (int m = 0; m < sum; m++)
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++)
            b[m][v] = v_load_first(dy + m * p->ldb + v * LANES, smaller(LANES, larger(0, columns - v * LANES)));
    for (int64_t k = rows.begin; k < rows.end; k++) {
        vec acc[SHORT_WIDE];
        real *to = c + k * NNF_PANEL;
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++)
            acc[v] = accumulate ? v_load(to + vector_offset(v, p->c_panel)) : v_zero();
#pragma GCC unroll 8
        for (int m = 0; m < sum; m++) {
            const vec factor = v_set(x[m * p->a_step + k]);
#pragma GCC unroll 2
            for (int v = 0; v < nv; v++)
                acc[v] = v_fma(factor, b[m][v], acc[v]);
        }
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++)
            v_store(to + vector_offset(v, p->c_panel), acc[v]);
    }
}

#define NNF_SHORT_SUM(n)                                                                                               \
    case n:                                                                                                            \
        short_block(p, c, x, dy, columns, rows, m > 0, n <= SHORT_SUM ? n : SHORT_SUM, nv);                            \
        break;

NNF_INLINE void short_rows(const rows_product *p, real *c, int64_t j, range rows, const int nv) {
    const int64_t columns = p->columns - j;
    for (int64_t m = 0; m < p->sum; m += SHORT_SUM) {
        const real *x = p->a + m * p->a_step, *dy = p->b + m * p->ldb + j;
        switch (smaller(p->sum - m, SHORT_SUM)) {
            NNF_SHORT_SUM(1)
            NNF_SHORT_SUM(2)
            NNF_SHORT_SUM(3)
            NNF_SHORT_SUM(4)
            NNF_SHORT_SUM(5)
            NNF_SHORT_SUM(6)
            NNF_SHORT_SUM(7)
            NNF_SHORT_SUM(8)
        }
    }
}

/* dw in panels, few rows of the batch. The sums of one row of it are one chain, continued from what is stored. */
static void short_weight_gradient(const rows_product *p, share s) {
    const int64_t end = s.columns.begin + panels_of(s.columns) * NNF_PANEL;
    const int64_t height = p->sum <= SHORT_SUM ? s.rows.end - s.rows.begin : SHORT_ROWS;
    for (int64_t k = s.rows.begin; k < s.rows.end; k += height) {
        const range rows = {k, smaller(k + height, s.rows.end)};
        int nv;
        for (int64_t j = s.columns.begin; j < end; j += nv * LANES) {
            const int64_t in_panel = j % NNF_PANEL;
            real *c = p->c + (j - in_panel) / NNF_PANEL * p->c_panel + in_panel;
            nv = end - j >= SHORT_WIDE * LANES ? SHORT_WIDE : 1;
            if (nv == SHORT_WIDE)
                short_rows(p, c, j, rows, SHORT_WIDE);
            else
                short_rows(p, c, j, rows, 1);
        }
    }
}

static void k_linear_weight_gradient(const nnf_step *step, int thread, int threads) {
    const int64_t M = step->size[0], N = step->size[1], K = step->size[2];
    const int in_panels = (int)step->size[3];
    const rows_product p = {
        .step = step,
        .c = (real *)step->buffer[0],
        .a = (const real *)step->buffer[1],
        .b = (const real *)step->buffer[2],
        .sum = M,
        .columns = N,
        .ldb = step->size[5],
        .a_row = 1,
        .a_step = step->size[4],
        .c_row = in_panels ? NNF_PANEL : N,
        .c_panel = in_panels ? K * NNF_PANEL : NNF_PANEL,
        .in_panels = in_panels,
        .panels = own_scratch(step, thread),
        .strips = own_scratch(step, thread) + ROWS_COLUMNS * NNF_CHUNK,
    };
    const share s = share_of(K, NNF_PANEL, N, NNF_PANEL, OPERAND_COST, OPERAND_COST, 0, thread,
                             (int)smaller(threads, step->threads));
    if (N <= NARROW_GRADIENT) {
        if (s.columns.end > 0) {
            narrow_weight_gradient(&p, s.rows);
            finish(p.step, p.c, p.c_row, s.rows, s.columns);
        }
        return;
    }
    if (in_panels && M > 0 && M <= SHORT_BATCH)
        short_weight_gradient(&p, s);
    else
        rows_share(&p, s);
    if (in_panels && N % NNF_PANEL && s.columns.end == N)
        clear_last_panel(p.c, N, K, s.rows);
}

#endif
