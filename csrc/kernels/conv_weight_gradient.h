/* conv_weight_gradient: dw[taps * C, N] = the sum over output pixels of what each tap finds in x, times dy
 *
 * Buffers: dw, x, dy. Sizes: those of conv_gather.h, then panel (1: dw in panels, zero beyond column N; 0: row-major; a
 * group of outputs that ends inside a panel needs 0).
 *
 * The sum is over pixels in ascending order, in chunks. Loops, from the outside: groups, blocks of columns, chunks of
 * pixels, tiles of columns, strips of rows. What a row's tap finds is read from the window of the chunk; where that is
 * too large, it is gathered for blocks of rows, one row per pixel, and the rest is matmul_rows.h. */
#ifndef NNF_CONV_WEIGHT_GRADIENT_H
#define NNF_CONV_WEIGHT_GRADIENT_H

enum { GATHER_ROWS = BLOCK_ROWS, GATHER_PITCH = GATHER_ROWS + 16 };

static void gathered_chunk(const geometry *g, rows_product *p, const real *x, real *gathered, int64_t group, range rows,
                           range columns, int64_t first, int64_t count) {
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

/* The rows of some runs of the sum: where each begins, from what the first tap of a pixel finds. */
static void place_rows(int64_t *places, const run *runs, int64_t count) {
    for (const run *r = runs; r < runs + count; r++)
        for (int64_t i = 0; i < r->count; i++)
            *places++ = r->offset + i;
}

/* dw[rows, columns] = or += the sum over a chunk of pixels, whose window is open. */
static void window_chunk(const window *w, const rows_product *p, range rows, range columns, int64_t first,
                         const run *pixels, int64_t pixel_runs, int64_t count) {
    const int in_place = rows.end - rows.begin <= (p->ldb % SAME_SET ? READ_IN_PLACE : 2 * ROWS);
    const int64_t whole = columns.begin + (in_place ? (columns.end - columns.begin) / NNF_PANEL * NNF_PANEL : 0);
    const int64_t end = p->in_panels ? columns.begin + panels_of(columns) * NNF_PANEL : columns.end;
    pack_panels(p->panels, p->b + first * p->ldb + whole, p->ldb, count, columns.end - whole);
    for (int64_t k = rows.begin; k < rows.end; k += NNF_CHUNK) {
        const int64_t height = smaller(NNF_CHUNK, rows.end - k);
        int64_t places[NNF_CHUNK], to[NNF_CHUNK];
        run runs[MOST_RUNS];
        place_rows(places, runs, find_runs(&w->g, runs, w->group, k, height));
        for (int64_t i = 0; i < height; i++)
            to[i] = (k + i) * p->c_row;
        const strips s = strips_of(height, ROWS);
        int nv;
        for (int64_t j = columns.begin; j < end; j += nv * LANES) {
            const int there = j < whole;
            nv = tile_width(((there ? whole : end) - j + LANES - 1) / LANES, RUNS_WIDE(strip_rows(s, 0)));
            const int64_t in_panel = j % NNF_PANEL;
            for (int64_t i = 0; i < s.count; i++) {
                const int64_t r = strip_begin(s, i);
                const tile t = {
                    .a = w->x,
                    .row = places + r,
                    .to = to + r,
                    .a_step = w->g.stride[2] * w->g.pixel,
                    .b = there ? p->b + first * p->ldb + j : p->panels + (j - in_panel - whole) * count + in_panel,
                    .b_step = there ? p->ldb : NNF_PANEL,
                    .b_panel = there ? NNF_PANEL : count * NNF_PANEL,
                    .c = p->c + (j - in_panel) / NNF_PANEL * p->c_panel + in_panel,
                    .c_panel = p->c_panel,
                    .accumulate = first > 0,
                    .columns = p->in_panels || j + nv * LANES <= p->columns ? 0 : p->columns - j,
                    .runs = pixels,
                    .runs_end = pixels + pixel_runs,
                };
                runs_tiles[strip_rows(s, i)][nv](&t);
            }
        }
    }
}

static void k_conv_weight_gradient(const nnf_step *step, int thread, int threads) {
    const geometry g = geometry_of(step->size);
    const int in_panels = (int)step->size[GEOMETRY_SIZES];
    real *const scratch = own_scratch(step, thread), *const strips_at = scratch + ROWS_COLUMNS * NNF_CHUNK,
                *const memory = strips_at + (BLOCK_ROWS + 1) * NNF_CHUNK;
    const real *x = (const real *)step->buffer[1];
    const int gather = sees_padding(&g) && window_length(&g, NNF_CHUNK) > WINDOW_LENGTH;
    real *const dw = (real *)step->buffer[0];
    const int64_t N = g.N, per_group = g.groups ? N / g.groups : 0;
    const share s = share_of(g.K, 1, N, per_group % NNF_PANEL && g.groups > 1 ? per_group : NNF_PANEL, COLUMN_COST, 0,
                             thread, (int)smaller(threads, step->threads));
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
            for (int64_t k = 0; k == 0 || k < g.pixels; k += NNF_CHUNK) {
                const int64_t count = smaller(NNF_CHUNK, g.pixels - k);
                if (gather) {
                    gathered_chunk(&g, &p, x, memory, group, s.rows, block, k, count);
                    continue;
                }
                window w;
                run runs[NNF_CHUNK];
                open_window(&w, &g, x, group, (range){k, k + count}, memory);
                const int64_t found = window_runs(&w, runs, (range){k, k + count});
                window_chunk(&w, &p, s.rows, block, k, runs, found, count);
            }
        }
    }
    if (in_panels && N % NNF_PANEL && s.columns.end == N)
        clear_last_panel(dw, N, g.K, s.rows);
}

#endif
