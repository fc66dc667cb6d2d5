/* The products whose second matrix is row-major:
 *
 *   matmul_rows             y[M, N]  = epilogue(x[M, K] b[K, N])
 *   linear_weight_gradient  dw[K, N] = transpose(x[M, K]) dy[M, N], a sum over the batch
 *
 * matmul_rows. Buffers: y, x, b, operands of the epilogue. Sizes: M, N, K, row strides of y, x and b.
 * linear_weight_gradient. Buffers: dw, x, dy. Sizes: M, N, K, panel (1: dw in panels, zero beyond column N; 0:
 * row-major), row strides of x and of dy.
 *
 * Both are c[rows, columns] = a[rows, sum] b[sum, columns]; in the second a is the transpose of x, so that one row of
 * the batch lies in order for both operands. Loops, from the outside: blocks of columns, chunks of the sum (b packed
 * into panels), blocks of rows (a packed into strips), tiles of columns, strips of rows. Where rows are few, b is read
 * where it lies, but for a last panel that is not full. */
#ifndef NNF_MATMUL_ROWS_H
#define NNF_MATMUL_ROWS_H

enum {
    ROWS_COLUMNS = 2 * BLOCK_ROWS,
    READ_IN_PLACE = 128,            /* rows of c */
    SAME_SET = 4096 / sizeof(real), /* rows of b at multiples of this all meet in one set of the first-level cache */
    AHEAD_IN_PLACE = 8,             /* rows of b */
};

typedef struct rows_product {
    const nnf_step *step;
    real *c;
    const real *a, *b;
    int64_t sum, columns, ldb;
    int64_t a_row, a_step;  /* of a: from row to row and along the sum; one of them is 1 */
    int64_t c_row, c_panel; /* of c: from row to row and from panel to panel */
    int in_panels;          /* c is whole panels */
    real *panels;           /* b: [panel][sum][16] */
    real *strips;           /* a: [strip][sum][rows of the strip] */
} rows_product;

/* Rows of a tile: strips are packed where both columns and sum are long enough to pay for it. */
static int rows_of_tile(const rows_product *p, int packed, int64_t height, int64_t width) {
    if (packed)
        return ROWS;
    if (p->a_row == 1) /* the rows of a strip lie beside each other; a single panel takes a whole line of them */
        return LANES == NNF_PANEL && width <= LANES ? NNF_PANEL : ROWS;
    return width <= 2 * LANES ? FEW_ROWS : FEW_ROWS_WIDE;
}

/* c[rows, columns] = or += a[rows, k..k + kc] b[k..k + kc, columns] */
static void rows_block(const rows_product *p, range rows, range columns, int64_t k, int64_t kc, int in_place) {
    const int64_t end = p->in_panels ? columns.begin + panels_of(columns) * NNF_PANEL : columns.end;
    const int64_t height = rows.end - rows.begin, width = end - columns.begin;
    const int packed = width > NARROW && (p->a_row == 1 ? kc > FEW_BATCH : height > FEW_ROWS_WIDE);
    const strips s = strips_of(height, rows_of_tile(p, packed, height, width));
    const int beside = packed || p->a_row == 1;
    const int widest = beside ? WIDE : FEW_WIDE((int)(s.height + (s.taller > 0)));
    if (packed)
        for (int64_t i = 0; i < s.count; i++) {
            const int64_t r = strip_begin(s, i);
            const real *a = p->a + (rows.begin + r) * p->a_row + k * p->a_step;
            if (p->a_row == 1)
                pack_rows(p->strips + r * kc, strip_rows(s, i), a, p->a_step, kc);
            else
                pack_transposed(p->strips + r * kc, strip_rows(s, i), a, p->a_row, strip_rows(s, i), kc);
        }
    const int64_t whole =
        in_place ? columns.begin + (columns.end - columns.begin) / NNF_PANEL * NNF_PANEL : columns.begin;
    int nv;
    for (int64_t j = columns.begin; j < end; j += nv * LANES) {
        const int there = j < whole;
        nv = tile_width(((there ? whole : end) - j + LANES - 1) / LANES, widest);
        const int64_t in_panel = j % NNF_PANEL;
        for (int64_t i = 0; i < s.count; i++) {
            const int64_t r = strip_begin(s, i);
            const int mr = strip_rows(s, i);
            const tile t = {
                .a = packed ? p->strips + r * kc : p->a + (rows.begin + r) * p->a_row + k * p->a_step,
                .a_row = packed ? 1 : p->a_row,
                .a_step = packed ? mr : p->a_step,
                .b = there ? p->b + k * p->ldb + j : p->panels + (j - in_panel - whole) * kc + in_panel,
                .b_step = there ? p->ldb : NNF_PANEL,
                .b_panel = there ? NNF_PANEL : kc * NNF_PANEL,
                .c = p->c + (rows.begin + r) * p->c_row + (j - in_panel) / NNF_PANEL * p->c_panel + in_panel,
                .c_row = p->c_row,
                .c_panel = p->c_panel,
                .ahead = there ? AHEAD_IN_PLACE * p->ldb : 0,
                .line = (64 / (int)sizeof(real)),
                .k = kc,
                .accumulate = k > 0,
                .columns = p->in_panels || j + nv * LANES <= p->columns ? 0 : p->columns - j,
            };
            (beside ? packed_tile(mr, nv) : rows_tiles[mr][nv])(&t);
        }
    }
}

static void rows_chunk(const rows_product *p, range rows, range columns, int64_t k, int64_t kc) {
    const int in_place = rows.end - rows.begin <= (p->ldb % SAME_SET ? READ_IN_PLACE : 2 * ROWS);
    const int64_t whole = in_place ? (columns.end - columns.begin) / NNF_PANEL * NNF_PANEL : 0;
    const int64_t first = columns.begin + whole;
    pack_panels(p->panels, p->b + k * p->ldb + first, p->ldb, kc, columns.end - first);
    const strips blocks = strips_of(rows.end - rows.begin, BLOCK_ROWS);
    for (int64_t i = 0; i < blocks.count; i++) {
        const int64_t begin = rows.begin + strip_begin(blocks, i);
        rows_block(p, (range){begin, begin + strip_rows(blocks, i)}, columns, k, kc, in_place);
    }
}

static void rows_share(const rows_product *p, share s) {
    const strips blocks = strips_of(panels_of(s.columns), ROWS_COLUMNS / NNF_PANEL);
    for (int64_t i = 0; i < blocks.count; i++) {
        const int64_t begin = s.columns.begin + strip_begin(blocks, i) * NNF_PANEL;
        const range columns = {begin, smaller(begin + strip_rows(blocks, i) * NNF_PANEL, s.columns.end)};
        for (int64_t k = 0; k == 0 || k < p->sum; k += NNF_CHUNK)
            rows_chunk(p, s.rows, columns, k, smaller(NNF_CHUNK, p->sum - k));
        finish(p->step, p->c, p->c_row, s.rows, columns);
    }
}

static void k_matmul_rows(const nnf_step *step, int thread, int threads) {
    const int64_t M = step->size[0], N = step->size[1], K = step->size[2];
    const rows_product p = {
        .step = step,
        .c = (real *)step->buffer[0],
        .a = (const real *)step->buffer[1],
        .b = (const real *)step->buffer[2],
        .sum = K,
        .columns = N,
        .ldb = step->size[5],
        .a_row = step->size[4],
        .a_step = 1,
        .c_row = step->size[3],
        .c_panel = NNF_PANEL,
        .panels = own_scratch(step, thread),
        .strips = own_scratch(step, thread) + ROWS_COLUMNS * NNF_CHUNK,
    };
    rows_share(&p, share_of(M, 1, N, NNF_PANEL, OPERAND_COST, OPERAND_COST, M < FEW_BATCH, thread,
                            (int)smaller(threads, step->threads)));
}

#include "matmul_weight_gradient.h"

#endif
