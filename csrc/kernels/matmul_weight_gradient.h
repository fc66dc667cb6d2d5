/* linear_weight_gradient: dw[K, N] = transpose(x[M, K]) dy[M, N], a sum over the batch
 *
 * Buffers: dw, x, dy. Sizes: M, N, K, panel (1: dw in panels, zero beyond column N; 0: row-major), row strides of x and
 * of dy.
 *
 * Rows of the tile are rows of dw, so that one row of the batch lies in order for both operands. Loops, from the
 * outside: blocks of columns, chunks of the batch (dy packed into panels), blocks of rows (x packed into strips), tiles
 * of columns, strips of rows. */
#ifndef NNF_MATMUL_WEIGHT_GRADIENT_H
#define NNF_MATMUL_WEIGHT_GRADIENT_H

enum { GRADIENT_COLUMNS = 2 * BLOCK_ROWS };

typedef struct weight_gradient {
    real *dw;
    const real *x, *dy;
    int64_t N, K, panel, ldx, lddy;
    real *panels; /* dy: [panel][m][16] */
    real *strips; /* x: [strip][m][rows of the strip] */
} weight_gradient;

/* dw[rows, columns] = or += sum over rows m..m + mc of the batch, x packed or read where it lies. */
static void weight_gradient_block(const weight_gradient *g, range rows, range columns, int64_t m, int64_t mc) {
    const int64_t N = g->N, K = g->K;
    const int64_t end = g->panel ? columns.begin + panels_of(columns) * NNF_PANEL : columns.end;
    const int packed = end - columns.begin > NARROW && mc > FEW_BATCH;
    const strips s =
        strips_of(rows.end - rows.begin, LANES == NNF_PANEL && end - columns.begin <= LANES ? NNF_PANEL : ROWS);
    if (packed)
        for (int64_t i = 0; i < s.count; i++) {
            const int64_t k = strip_begin(s, i);
            pack_rows(g->strips + k * mc, strip_rows(s, i), g->x + m * g->ldx + rows.begin + k, g->ldx, mc);
        }
    int nv;
    for (int64_t j = columns.begin; j < end; j += nv * LANES) {
        nv = tile_width((end - j + LANES - 1) / LANES, WIDE);
        const int64_t in_panel = j % NNF_PANEL;
        for (int64_t i = 0; i < s.count; i++) {
            const int64_t k = rows.begin + strip_begin(s, i);
            const int mr = strip_rows(s, i);
            tile t = {
                .a = packed ? g->strips + (k - rows.begin) * mc : g->x + m * g->ldx + k,
                .a_row = 1,
                .a_step = packed ? mr : g->ldx,
                .b = g->panels + (j - in_panel - columns.begin) * mc + in_panel,
                .b_panel = mc * NNF_PANEL,
                .c = g->panel ? g->dw + (j - in_panel) * K + k * NNF_PANEL + in_panel : g->dw + k * N + j,
                .c_row = g->panel ? NNF_PANEL : N,
                .c_panel = g->panel ? K * NNF_PANEL : NNF_PANEL,
                .k = mc,
                .accumulate = m > 0,
            };
            if (!g->panel && j + nv * LANES > N)
                compute_edge(&t, packed_tile(mr, nv), mr, nv, N - j);
            else
                packed_tile(mr, nv)(&t);
        }
    }
}

/* The sums beyond column N are 0, or NaN where x is not finite: make them 0. */
static void clear_last_panel(const weight_gradient *g, range rows) {
    const int64_t first = g->N / NNF_PANEL * NNF_PANEL;
    for (int64_t k = rows.begin; k < rows.end; k++)
        for (int64_t v = 0; v < NNF_PANEL; v += LANES) {
            real *p = g->dw + first * g->K + k * NNF_PANEL + v;
            v_store(p, v_load_first(p, larger(0, smaller(LANES, g->N - first - v))));
        }
}

static void weight_gradient_chunk(const weight_gradient *g, range rows, range columns, int64_t m, int64_t mc) {
    for (int64_t j = columns.begin; j < columns.end; j += NNF_PANEL)
        pack_panel(g->panels + (j - columns.begin) * mc, g->dy + m * g->lddy + j, g->lddy, mc,
                   smaller(NNF_PANEL, g->N - j));
    const strips blocks = strips_of(rows.end - rows.begin, BLOCK_ROWS);
    for (int64_t i = 0; i < blocks.count; i++) {
        const int64_t begin = rows.begin + strip_begin(blocks, i);
        weight_gradient_block(g, (range){begin, begin + strip_rows(blocks, i)}, columns, m, mc);
    }
}

static void k_linear_weight_gradient(const nnf_step *step, int thread, int threads) {
    const int64_t M = step->size[0], N = step->size[1], K = step->size[2];
    const weight_gradient g = {
        .dw = (real *)step->buffer[0],
        .x = (const real *)step->buffer[1],
        .dy = (const real *)step->buffer[2],
        .N = N,
        .K = K,
        .panel = step->size[3],
        .ldx = step->size[4],
        .lddy = step->size[5],
        .panels = own_scratch(step, thread),
        .strips = own_scratch(step, thread) + GRADIENT_COLUMNS * NNF_CHUNK,
    };
    const share s = share_of(K, NNF_PANEL, N, NNF_PANEL, 0, thread, (int)smaller(threads, step->threads));
    const strips blocks = strips_of(panels_of(s.columns), GRADIENT_COLUMNS / NNF_PANEL);
    for (int64_t i = 0; i < blocks.count; i++) {
        const int64_t begin = s.columns.begin + strip_begin(blocks, i) * NNF_PANEL;
        const range columns = {begin, smaller(begin + strip_rows(blocks, i) * NNF_PANEL, s.columns.end)};
        for (int64_t m = 0; m == 0 || m < M; m += NNF_CHUNK)
            weight_gradient_chunk(&g, s.rows, columns, m, smaller(NNF_CHUNK, M - m));
    }
    if (g.panel && N % NNF_PANEL && s.columns.end == N)
        clear_last_panel(&g, s.rows);
}

#endif
