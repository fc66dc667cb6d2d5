/* conv_weight_gradient: dw[taps * C, N] = the sum over output pixels of what each tap finds in x, times dy
 *
 * Buffers: dw, x, dy. Sizes: those of conv_gather.h, then panel (1: dw in panels, zero beyond column N; 0: row-major; a
 * group of outputs that ends inside a panel needs 0).
 *
 * The sum is over pixels in ascending order, in chunks. Loops, from the outside: groups, blocks of columns, chunks of
 * pixels, blocks of rows, tiles of columns, strips of rows. What a row's tap finds is read from the window of the
 * chunk. Where much of it is padding, a block of rows has one tap, and the pixels for which that is in the padding are
 * left out; the window is of some channels only, if need be. Otherwise, where the window is too large, what taps find
 * is gathered for blocks of rows, one row per pixel, and the rest is matmul_rows.h. */
#ifndef NNF_CONV_WEIGHT_GRADIENT_H
#define NNF_CONV_WEIGHT_GRADIENT_H

enum { GATHER_ROWS = BLOCK_ROWS, GATHER_PITCH = GATHER_ROWS + 16 };

/* The first chunk's sums are added to +0, as in tile_runs. */
static void rows_plus_zero(const rows_product *p, int64_t rows, range columns) {
    for (int64_t j = columns.begin; j < columns.end; j += LANES) {
        const int64_t n = smaller(columns.end - j, LANES);
        real *c = p->c + j / NNF_PANEL * p->c_panel + j % NNF_PANEL;
        for (int64_t r = 0; r < rows; r++, c += p->c_row)
            v_store_first(c, v_add(v_zero(), v_load_first(c, n)), n);
    }
}

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
        if (first == 0)
            rows_plus_zero(p, height, columns);
    }
    p->c = (real *)c;
}

/* The rows of some runs of the sum: where each begins, from what the first tap of a pixel finds. */
static void place_rows(int64_t *places, const run *runs, int64_t count) {
    for (const run *r = runs; r < runs + count; r++)
        for (int64_t i = 0; i < r->count; i++)
            *places++ = r->offset + i;
}

/* A chunk of pixels, as the tiles of all its rows see it. */
typedef struct pixel_chunk {
    const geometry *g; /* with the channels of the window only */
    const window *w;
    int64_t first, count;
    const run *runs; /* the pixels */
    int64_t run_count, step;
    range columns;
    int64_t whole, end; /* columns up to `whole` are read in place, up to `end` packed */
    int leave_out;
} pixel_chunk;

/* Rows of dy lie ldb apart in place, NNF_PANEL packed. */
static int64_t list_terms(term *terms, const run *runs, int64_t count, int64_t step, int64_t b_step) {
    int64_t found = 0, b = 0;
    for (const run *r = runs; r < runs + count; r++) {
        b += r->gap * b_step;
        for (int64_t i = 0; i < r->count; i++, b += b_step)
            terms[found++] = (term){r->offset + i * step, b};
    }
    return found;
}

/* dw[rows, columns] = or += the sum over a chunk of pixels, for up to NNF_CHUNK rows, of one tap if any are left out;
 * row 0 of them is row k of the window's sum. */
static void chunk_rows(const pixel_chunk *c, const rows_product *p, range rows, int64_t k) {
    const int64_t height = rows.end - rows.begin;
    int64_t places[NNF_CHUNK], to[NNF_CHUNK], found[2] = {0, 0};
    run runs[MOST_RUNS];
    term terms[2][NNF_CHUNK]; /* in place, packed */
    place_rows(places, runs, find_runs(&c->w->g, runs, c->w->group, k, height));
    for (int64_t i = 0; i < height; i++)
        to[i] = (rows.begin + i) * p->c_row;
    if (c->leave_out) {
        const int64_t seen = pixels_within(c->g, runs, c->runs, c->run_count, k / c->g->C, c->step);
        if (c->columns.begin < c->whole)
            found[0] = list_terms(terms[0], runs, seen, c->step, p->ldb);
        if (c->whole < c->end)
            found[1] = list_terms(terms[1], runs, seen, c->step, NNF_PANEL);
    }
    const strips s = strips_of(height, ROWS);
    tile t = {
        .a = c->w->x,
        .a_step = c->step,
        .c_panel = p->c_panel,
        .accumulate = c->first > 0,
        .plus_zero = c->first == 0,
        .runs = c->runs,
        .runs_end = c->runs + c->run_count,
    };
    int nv;
    for (int64_t j = c->columns.begin; j < c->end; j += nv * LANES) {
        const int packed = j >= c->whole;
        nv = tile_width(((packed ? c->end : c->whole) - j + LANES - 1) / LANES, RUNS_WIDE(strip_rows(s, 0)));
        const int64_t in_panel = j % NNF_PANEL;
        t.b = packed ? p->panels + (j - in_panel - c->whole) * c->count + in_panel : p->b + c->first * p->ldb + j;
        t.b_step = packed ? NNF_PANEL : p->ldb;
        t.b_panel = packed ? c->count * NNF_PANEL : NNF_PANEL;
        t.c = p->c + (j - in_panel) / NNF_PANEL * p->c_panel + in_panel;
        t.columns = p->in_panels || j + nv * LANES <= p->columns ? 0 : p->columns - j;
        t.terms = terms[packed];
        t.terms_end = terms[packed] + found[packed];
        for (int64_t i = 0; i < s.count; i++) {
            t.row = places + strip_begin(s, i);
            t.to = to + strip_begin(s, i);
            (c->leave_out ? terms_tiles : runs_tiles)[strip_rows(s, i)][nv](&t);
        }
    }
}

/* dw[rows, columns] = or += the sum over a chunk of pixels, whose windows are of so many channels. */
static void window_chunk(const geometry *g, const rows_product *p, const real *x, int64_t group, range rows,
                         range columns, range pixels, int64_t channels, real *memory) {
    const int64_t count = pixels.end - pixels.begin, ldb = p->ldb;
    const int in_place = rows.end - rows.begin <= (ldb % SAME_SET ? READ_IN_PLACE : 2 * ROWS);
    const int64_t width = columns.end - columns.begin,
                  whole = columns.begin + (in_place ? width / NNF_PANEL * NNF_PANEL : 0);
    const real *dy = p->b + pixels.begin * ldb;
    const int leave_out = leaves_out(g) && all_finite(dy + columns.begin, count, ldb, width);
    pack_panels(p->panels, dy + whole, ldb, count, columns.end - whole);
    for (int64_t c = 0; c < g->C; c += channels) {
        geometry part = *g;
        part.C = smaller(channels, g->C - c);
        part.row = g->taps[2] * part.C;
        window w;
        run runs[NNF_CHUNK];
        if (part.C == g->C)
            open_window(&w, g, x, group, pixels, memory);
        else
            open_window(&w, &part, x + group * g->C + c, 0, pixels, memory);
        const pixel_chunk chunk = {
            .g = &part,
            .w = &w,
            .first = pixels.begin,
            .count = count,
            .runs = runs,
            .run_count = window_runs(&w, runs, pixels),
            .step = w.g.stride[2] * w.g.pixel,
            .columns = columns,
            .whole = whole,
            .end = p->in_panels ? columns.begin + panels_of(columns) * NNF_PANEL : columns.end,
            .leave_out = leave_out,
        };
        int64_t k = rows.begin;
        while (k < rows.end) {
            const int64_t tap = k / g->C, begin = tap * g->C + c, end = begin + part.C;
            const int by_tap = leave_out || part.C < g->C;
            if (by_tap && (k < begin || k >= end)) {
                k = k < begin ? begin : begin + g->C;
                continue;
            }
            const range block = {k, smaller(smaller(k + NNF_CHUNK, rows.end), by_tap ? end : rows.end)};
            chunk_rows(&chunk, p, block, by_tap ? tap * part.C + k - begin : k);
            k = block.end;
        }
    }
}

/* Channels of a window: as many as fit, if it pays to leave out taps; else all. */
static int64_t window_channels(const geometry *g) {
    geometry part = *g;
    while (leaves_out(g) && part.C >= 2 * TAP_ROWS && window_length(&part, NNF_CHUNK) > WINDOW_LENGTH)
        part.C = (part.C / 2 + NNF_PANEL - 1) / NNF_PANEL * NNF_PANEL;
    return part.C;
}

static void k_conv_weight_gradient(const nnf_step *step, int thread, int threads) {
    const geometry g = geometry_of(step->size);
    const int in_panels = (int)step->size[GEOMETRY_SIZES];
    real *const scratch = own_scratch(step, thread), *const strips_at = scratch + ROWS_COLUMNS * NNF_CHUNK,
                *const memory = strips_at + (BLOCK_ROWS + 1) * NNF_CHUNK;
    const real *x = (const real *)step->buffer[1];
    const int64_t channels = window_channels(&g);
    geometry seen = g;
    seen.C = channels;
    const int gather = sees_padding(&g) && window_length(&seen, NNF_CHUNK) > WINDOW_LENGTH;
    real *const dw = (real *)step->buffer[0];
    const int64_t N = g.N, per_group = g.groups ? N / g.groups : 0;
    const share s = share_of(g.K, 1, N, per_group % NNF_PANEL && g.groups > 1 ? per_group : NNF_PANEL, OPERAND_COST,
                             OPERAND_COST, 0, thread, (int)smaller(threads, step->threads));
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
                if (gather)
                    gathered_chunk(&g, &p, x, memory, group, s.rows, block, k, count);
                else
                    window_chunk(&g, &p, x, group, s.rows, block, (range){k, k + count}, channels, memory);
            }
        }
    }
    if (in_panels && N % NNF_PANEL && s.columns.end == N)
        clear_last_panel(dw, N, g.K, s.rows);
}

#endif
