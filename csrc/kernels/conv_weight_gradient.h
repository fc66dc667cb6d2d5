/* conv_weight_gradient: dw[taps * C, N] = the sum over output pixels of what each tap finds in x, times dy
 *
 * Buffers: dw, x, dy. Sizes: those of conv_gather.h, then panel (1: dw in panels, zero beyond column N; 0: row-major; a
 * group of outputs that ends inside a panel needs 0).
 *
 * The sum is over pixels in ascending order, in chunks. Loops, from the outside: groups, blocks of columns, chunks of
 * pixels (dy packed into panels), blocks of rows of dw (what their taps find is gathered: one row per pixel), then the
 * tiles of matmul_rows.h. */
#ifndef NNF_CONV_WEIGHT_GRADIENT_H
#define NNF_CONV_WEIGHT_GRADIENT_H

enum { GATHER_ROWS = BLOCK_ROWS, GATHER_PITCH = GATHER_ROWS + 16 };

static void weight_gradient_chunk(const geometry *g, rows_product *p, const real *x, real *gathered, int64_t group,
                                  range rows, range columns, int64_t first, int64_t count) {
    pack_panels(p->panels, p->b + first * p->ldb + columns.begin, p->ldb, count, columns.end - columns.begin);
    const strips blocks = strips_of(rows.end - rows.begin, GATHER_ROWS);
    const real *const c = p->c;
    for (int64_t i = 0; i < blocks.count; i++) {
        const int64_t begin = rows.begin + strip_begin(blocks, i), height = strip_rows(blocks, i);
        run runs[MOST_RUNS];
        const int64_t found = find_runs(g, runs, group, begin, height);
        place at = count ? place_of(g, first) : (place){0, 0, 0, 0};
        for (int64_t pixel = 0; pixel < count; pixel++, next_place(g, &at))
            find(g, gathered + pixel * GATHER_PITCH, x, at, runs, found);
        p->a = gathered - first * GATHER_PITCH;
        p->c = (real *)c + begin * p->c_row;
        rows_block(p, (range){0, height}, columns, first, count, 0);
    }
    p->c = (real *)c;
}

static void k_conv_weight_gradient(const nnf_step *step, int thread, int threads) {
    const geometry g = geometry_of(step->size);
    const int in_panels = (int)step->size[GEOMETRY_SIZES];
    real *const scratch = own_scratch(step, thread), *const strips_at = scratch + ROWS_COLUMNS * NNF_CHUNK,
                *const gathered = strips_at + (BLOCK_ROWS + 1) * NNF_CHUNK;
    real *const dw = (real *)step->buffer[0];
    const int64_t N = g.N, per_group = g.groups ? N / g.groups : 0;
    const share s = share_of(g.K, 1, N, per_group % NNF_PANEL && g.groups > 1 ? per_group : NNF_PANEL, 0, thread,
                             (int)smaller(threads, step->threads));
    if (s.columns.end <= s.columns.begin || s.rows.end <= s.rows.begin)
        return;
    for (int64_t group = s.columns.begin / per_group; group * per_group < s.columns.end; group++) {
        const int64_t left = group * per_group;
        rows_product p = {
            .step = step,
            .c = in_panels ? dw + left * g.K : dw + left,
            .b = (const real *)step->buffer[2] + left,
            .sum = g.pixels,
            .columns = per_group,
            .ldb = N,
            .a_row = 1,
            .a_step = GATHER_PITCH,
            .c_row = in_panels ? NNF_PANEL : N,
            .c_panel = in_panels ? g.K * NNF_PANEL : NNF_PANEL,
            .in_panels = in_panels,
            .panels = scratch,
            .strips = strips_at,
        };
        const range columns = {larger(s.columns.begin - left, 0), smaller(s.columns.end - left, per_group)};
        const strips blocks = strips_of(panels_of(columns), ROWS_COLUMNS / NNF_PANEL);
        for (int64_t i = 0; i < blocks.count; i++) {
            const int64_t begin = columns.begin + strip_begin(blocks, i) * NNF_PANEL;
            const range block = {begin, smaller(begin + strip_rows(blocks, i) * NNF_PANEL, columns.end)};
            for (int64_t k = 0; k == 0 || k < g.pixels; k += NNF_CHUNK)
                weight_gradient_chunk(&g, &p, (const real *)step->buffer[1], gathered, group, s.rows, block, k,
                                      smaller(NNF_CHUNK, g.pixels - k));
        }
    }
    if (in_panels && N % NNF_PANEL && s.columns.end == N)
        clear_last_panel(dw, N, g.K, s.rows);
}

#endif
