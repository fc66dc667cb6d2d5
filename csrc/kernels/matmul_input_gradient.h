/* linear_input_gradient: dx[M, K] = epilogue(dy[M, N] transpose(w[K, N])), a sum over the columns of w
 *
 * Buffers: dx, dy, w in panels, operands of the epilogue. Sizes: M, N, K, row stride of dx, row stride of dy.
 *
 * w is read in its panels, as the operand that is broadcast; lanes lie over the batch. So dy is transposed before, and
 * each tile of dx on its way out. Loops, from the outside: blocks of the batch (dy packed, half of the second-level
 * cache), chunks of n, strips of k (w is streamed once per block), tiles of the batch. */
#ifndef NNF_MATMUL_INPUT_GRADIENT_H
#define NNF_MATMUL_INPUT_GRADIENT_H

typedef struct input_gradient {
    const nnf_step *step;
    real *dx;
    const real *dy, *w;
    int64_t N, K, lddx, lddy;
    real *panels; /* dy: [batch / 16][n][16 rows of the batch] */
} input_gradient;

/* dx[rows, mr] = or += transpose of value[mr, nv * LANES] */
static void store_transposed(real *dx, int64_t lddx, const real *value, int mr, int nv, int64_t rows, int accumulate) {
    for (int v = 0; v < nv; v++)
        for (int first = 0; first < mr; first += LANES) {
            vec t[LANES];
            const int n = mr - first < LANES ? mr - first : LANES;
            load_transposed(t, value + (first * nv + v) * LANES, nv * LANES, n, LANES);
            const int64_t count = smaller(LANES, rows - v * LANES);
            for (int64_t i = 0; i < count; i++) {
                real *p = dx + (v * LANES + i) * lddx + first;
                v_store_first(p, accumulate ? v_add(v_load_first(p, n), t[i]) : t[i], n);
            }
        }
}

static void input_gradient_chunk(const input_gradient *g, range rows, range columns, int64_t n, int64_t nc) {
    const int64_t height = rows.end - rows.begin;
    const int last = n + nc >= g->N;
    for (int64_t m = 0; m < height; m += NNF_PANEL)
        pack_transposed(g->panels + m * nc, NNF_PANEL, g->dy + (rows.begin + m) * g->lddy + n, g->lddy,
                        smaller(NNF_PANEL, height - m), nc);
    const strips s = strips_of(columns.end - columns.begin, ROWS);
    int64_t finished = columns.begin;
    for (int64_t i = 0; i < s.count; i++) {
        const int64_t k = columns.begin + strip_begin(s, i);
        const int mr = strip_rows(s, i);
        int nv;
        for (int64_t m = 0; m < height; m += nv * LANES) {
            nv = tile_width((height - m + LANES - 1) / LANES, WIDE);
            edge_tile edge;
            const tile t = {
                .a = g->w + n * g->K + k * NNF_PANEL,
                .a_step = g->K * NNF_PANEL,
                .b = g->panels + m / NNF_PANEL * NNF_PANEL * nc + m % NNF_PANEL,
                .b_panel = nc * NNF_PANEL,
                .b_step = NNF_PANEL,
                .c = edge.value,
                .c_row = nv * LANES,
                .c_panel = NNF_PANEL,
                .ahead = m + nv * LANES < height ? 0 : mr * NNF_PANEL,
                .k = nc,
                .accumulate = 0,
            };
            for (int64_t r = m; r < smaller(m + nv * LANES, height); r++) {
                const real *p = g->dx + (rows.begin + r) * g->lddx + k;
                __builtin_prefetch(p, 1, 2);
                __builtin_prefetch(p + mr - 1, 1, 2);
            }
            weight_tiles[mr][nv](&t);
            store_transposed(g->dx + (rows.begin + m) * g->lddx + k, g->lddx, edge.value, mr, nv, height - m, n > 0);
        }
        const int64_t bytes = height * (k + mr - finished) * (int64_t)sizeof(real);
        if (last && (bytes >= FINISH_BYTES || k + mr >= columns.end)) {
            finish(g->step, g->dx, g->lddx, rows, (range){finished, k + mr});
            finished = k + mr;
        }
    }
}

/* The other way: transpose w into panels of its rows and multiply as in the forward product. It costs as much as about
 * ten rows of the batch; the transposition of dx costs more where n is short. Same chains, same bits. */
enum { TRANSPOSED_ELEMENTS = 2 * BLOCK_BYTES / (NNF_REAL / 8) };

static int transposing_pays(int64_t rows, int64_t N) { return 2 * N <= rows && N <= NNF_CHUNK; }

static void input_gradient_transposing(const input_gradient *g, range rows, range columns) {
    linear l = {
        .step = g->step,
        .y = g->dx,
        .x = g->dy,
        .w = g->panels,
        .N = g->K,
        .K = g->N,
        .ldy = g->lddx,
        .ldx = g->lddy,
        .packed = g->panels + TRANSPOSED_ELEMENTS,
    };
    const strips blocks = strips_of(panels_of(columns), larger(1, TRANSPOSED_ELEMENTS / NNF_PANEL / larger(1, g->N)));
    for (int64_t i = 0; i < blocks.count; i++) {
        const int64_t begin = columns.begin + strip_begin(blocks, i) * NNF_PANEL;
        const range block = {begin, smaller(begin + strip_rows(blocks, i) * NNF_PANEL, columns.end)};
        for (int64_t k = block.begin; k < block.end; k += NNF_PANEL)
            for (int64_t n = 0; n < g->N; n += NNF_PANEL)
                pack_transposed(g->panels + (k - begin) * g->N + n * NNF_PANEL, NNF_PANEL,
                                g->w + n * g->K + k * NNF_PANEL, NNF_PANEL, smaller(NNF_PANEL, block.end - k),
                                smaller(NNF_PANEL, g->N - n));
        l.w_begin = begin;
        linear_range(&l, rows, block);
    }
}

#include "matmul_input_gradient_few.h"

static void k_linear_input_gradient(const nnf_step *step, int thread, int threads) {
    const int64_t M = step->size[0], N = step->size[1], K = step->size[2];
    const input_gradient g = {
        .step = step,
        .dx = (real *)step->buffer[0],
        .dy = (const real *)step->buffer[1],
        .w = (const real *)step->buffer[2],
        .N = N,
        .K = K,
        .lddx = step->size[3],
        .lddy = step->size[4],
        .panels = own_scratch(step, thread),
    };
    const share s = share_of(M, NNF_PANEL, K, NNF_PANEL, 5 * OPERAND_COST, OPERAND_COST, M < FEW_BATCH, thread,
                             (int)smaller(threads, step->threads));
    if (s.columns.end <= s.columns.begin)
        return;
    if (s.rows.end - s.rows.begin <= FEW_TURNED && N > 0) {
        input_gradient_few(&g, s.rows, s.columns);
        return;
    }
    if (transposing_pays(s.rows.end - s.rows.begin, N)) {
        input_gradient_transposing(&g, s.rows, s.columns);
        return;
    }
    const strips blocks = strips_of(panels_of(s.rows), BLOCK_ROWS / NNF_PANEL);
    for (int64_t i = 0; i < blocks.count; i++) {
        const int64_t begin = s.rows.begin + strip_begin(blocks, i) * NNF_PANEL;
        const range rows = {begin, smaller(begin + strip_rows(blocks, i) * NNF_PANEL, s.rows.end)};
        for (int64_t n = 0; n == 0 || n < N; n += NNF_CHUNK)
            input_gradient_chunk(&g, rows, s.columns, n, smaller(NNF_CHUNK, N - n));
    }
}

#endif
