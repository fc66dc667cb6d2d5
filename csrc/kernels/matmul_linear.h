/* linear: y[M, N] = epilogue(x[M, K] w[K, N])
 *
 * Buffers: y, x, w in panels, operands of the epilogue. Sizes: M, N, K, row stride of y, row stride of x.
 *
 * Loops, from the outside: blocks of rows (their part of x, packed, fills half of the second-level cache), chunks of k,
 * tiles of columns (w is streamed once per block of rows), strips of rows. Where rows or columns are few, x is read
 * where it lies. */
#ifndef NNF_MATMUL_LINEAR_H
#define NNF_MATMUL_LINEAR_H

typedef struct linear {
    const nnf_step *step;
    real *y;
    const real *x, *w;
    int64_t N, K, ldy, ldx;
    int64_t w_begin; /* the column that the first panel of w begins with */
    real *packed;    /* strips of x: [strip][k][rows of the strip] */
} linear;

/* The strips of a tile of columns share out the next tile: strip i fetches line i of each of its rows. */
NNF_INLINE int64_t fetch_ahead(int64_t i, int nv, int64_t K) {
    const int64_t v = i * VECTORS_PER_LINE;
    return v < nv ? vector_offset(nv, NNF_PANEL * K) + vector_offset((int)v, NNF_PANEL * K) : 0;
}

static void linear_chunk(const linear *l, range rows, range columns, int64_t k, int64_t kc, int packed) {
    const int64_t vectors = (columns.end - columns.begin + LANES - 1) / LANES;
    const strips s = strips_of(rows.end - rows.begin, packed ? ROWS : vectors <= 2 ? FEW_ROWS : FEW_ROWS_WIDE);
    const int tallest = (int)(s.height + (s.taller > 0));
    const int widest = packed ? WIDE : FEW_WIDE(tallest);
    const int last = k + kc >= l->K;
    if (packed)
        for (int64_t i = 0; i < s.count; i++) {
            const int64_t m = strip_begin(s, i);
            pack_transposed(l->packed + m * kc, strip_rows(s, i), l->x + (rows.begin + m) * l->ldx + k, l->ldx,
                            strip_rows(s, i), kc);
        }
    int64_t finished = columns.begin;
    int nv;
    for (int64_t j = columns.begin; j < columns.end; j += nv * LANES) {
        nv = tile_width((columns.end - j + LANES - 1) / LANES, widest);
        const int64_t width = smaller(nv * LANES, l->N - j), in_panel = j % NNF_PANEL;
        for (int64_t i = 0; i < s.count; i++) {
            const int64_t m = strip_begin(s, i);
            const int mr = strip_rows(s, i);
            const tile t = {
                .a = packed ? l->packed + m * kc : l->x + (rows.begin + m) * l->ldx + k,
                .a_row = packed ? 1 : l->ldx,
                .a_step = packed ? mr : 1,
                .b = l->w + (j - l->w_begin - in_panel) * l->K + k * NNF_PANEL + in_panel,
                .b_panel = l->K * NNF_PANEL,
                .b_step = NNF_PANEL,
                .c = l->y + (rows.begin + m) * l->ldy + j,
                .c_row = l->ldy,
                .c_panel = NNF_PANEL,
                .ahead = packed ? fetch_ahead(i, nv, l->K) : 0,
                .k = kc,
                .accumulate = k > 0,
                .columns = width < nv * LANES ? width : 0,
            };
            (packed ? packed_tile(mr, nv) : rows_tiles[mr][nv])(&t);
        }
        const int64_t bytes = (rows.end - rows.begin) * (j + width - finished) * (int64_t)sizeof(real);
        if (last && (bytes >= FINISH_BYTES || j + width >= columns.end)) {
            finish(l->step, l->y, l->ldy, rows, (range){finished, j + width});
            finished = j + width;
        }
    }
}

/* y[rows, columns], any number of both */
static void linear_range(const linear *l, range rows, range columns) {
    const int64_t height = rows.end - rows.begin, width = columns.end - columns.begin;
    if (width <= 0)
        return;
    const int packed = !is_narrow(width, l->K) && height > FEW_ROWS_WIDE;
    const strips blocks = strips_of(height, BLOCK_ROWS);
    for (int64_t i = 0; i < blocks.count; i++) {
        const int64_t begin = rows.begin + strip_begin(blocks, i);
        const range block = {begin, begin + strip_rows(blocks, i)};
        for (int64_t k = 0; k == 0 || k < l->K; k += NNF_CHUNK)
            linear_chunk(l, block, columns, k, smaller(NNF_CHUNK, l->K - k), packed);
    }
}

static void k_linear(const nnf_step *step, int thread, int threads) {
    const int64_t M = step->size[0], N = step->size[1], K = step->size[2];
    const linear l = {
        .step = step,
        .y = (real *)step->buffer[0],
        .x = (const real *)step->buffer[1],
        .w = (const real *)step->buffer[2],
        .N = N,
        .K = K,
        .ldy = step->size[3],
        .ldx = step->size[4],
        .packed = own_scratch(step, thread),
    };
    const share s = share_of(M, 1, N, NNF_PANEL, OPERAND_COST, OPERAND_COST, M < FEW_BATCH, thread,
                             (int)smaller(threads, step->threads));
    linear_range(&l, s.rows, s.columns);
}

#endif
