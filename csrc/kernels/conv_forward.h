/* conv: y = epilogue(convolution of x by w), also the gradient of the input, which is one by the turned weight
 *
 * Buffers: y, x, w in panels [taps * C, N], operands of the epilogue. Sizes: those of conv_gather.h, then the element
 * of w with which its panels begin.
 *
 * Loops, from the outside: groups, blocks of columns (a chunk of w stays in the second-level cache), blocks of pixels,
 * chunks of the sum, strips of pixels, tiles of columns. The pixels of a strip are read where they lie, wherever that
 * is: in x, where no tap is in the padding; in a padded copy of what the block sees of x; or, where columns are many,
 * the strip's rows are gathered, a chunk at a time. */
#ifndef NNF_CONV_FORWARD_H
#define NNF_CONV_FORWARD_H

enum {
    STRIP_PITCH = NNF_CHUNK + 16, /* rows of a strip: apart in the cache, and with room for what copies spill over */
    CONV_COLUMNS = 2 * BLOCK_ROWS,
    CONV_STRIPS = 24,                /* of a block of pixels */
    WINDOW_COLUMNS = 16 * NNF_PANEL, /* up to so many, a strip's gathering is not worth its while */
    WINDOW_LENGTH = (1 << 20) / (int)sizeof(real),
};

typedef struct conv {
    const nnf_step *step;
    geometry g;
    real *y;
    const real *x, *w;
    real *strip, *memory; /* a gathered strip; a window */
    run *runs;
    int64_t group;
    tile_end end; /* of the program, and how many operations tiles do */
    int done;
    window window;
    int64_t places[CONV_STRIPS * ROWS]; /* of the block's pixels, in the window */
} conv;

/* The rows of a strip are not beside each other in y, or not all columns of the tile are wanted: computed beside. */
static void tile_beside(const conv *c, const tile *t, tile_function compute, int mr, int nv, const int64_t *y,
                        int64_t first, range wanted) {
    edge_tile edge;
    tile beside = *t;
    beside.c = edge.value;
    beside.c_row = nv * LANES;
    beside.c_panel = NNF_PANEL;
    beside.accumulate = 0;
    compute(&beside);
    for (int r = 0; r < mr; r++)
        for (int64_t i = wanted.begin; i < wanted.end; i += LANES) {
            const int64_t n = smaller(wanted.end - i, LANES);
            real *p = c->y + y[r] + i;
            vec sum = v_load_first(edge.value + r * nv * LANES + i - first, n);
            if (t->accumulate)
                sum = v_add(v_load_first(p, n), sum);
            v_store_first(p, sum, n);
        }
}

/* Columns of y at mr pixels, whose places in the window are given, or 0: they are gathered. */
static void conv_strip(const conv *c, int64_t pixel, int mr, const int64_t *places, range columns, int64_t k,
                       int64_t kc, int64_t runs) {
    const geometry *g = &c->g;
    int64_t y[ROWS], row[ROWS];
    const run gathered = {.count = kc};
    if (g->plain && places)
        for (int r = 0; r < mr; r++)
            y[r] = (pixel + r) * g->N;
    else {
        place p = place_of(g, pixel);
        for (int r = 0; r < mr; r++, next_place(g, &p)) {
            y[r] = y_place(g, p);
            row[r] = r * STRIP_PITCH;
            if (!places)
                find(g, c->strip + row[r], c->x, p, c->runs, runs);
        }
    }
    int nv;
    for (int64_t j = columns.begin / NNF_PANEL * NNF_PANEL; j < columns.end; j += nv * LANES) {
        nv = tile_width((columns.end - j + LANES - 1) / LANES, RUNS_WIDE(mr));
        const int64_t in_panel = j % NNF_PANEL;
        const tile t = {
            .a = places ? c->window.x : c->strip,
            .row = places ? places : row,
            .a_step = 1,
            .b = c->w + (j - in_panel) * g->K + k * NNF_PANEL + in_panel,
            .b_panel = g->K * NNF_PANEL,
            .b_step = NNF_PANEL,
            .c = c->y + y[0] + j,
            .c_row = g->N,
            .c_panel = NNF_PANEL,
            .accumulate = k > 0,
            .end = c->done && k + kc == g->K ? &c->end : 0,
            .column = j,
            .place = y[0] + j,
            .runs = places ? c->runs : &gathered,
            .runs_end = places ? c->runs + runs : &gathered + 1,
        };
        const tile_function compute = runs_tiles[mr][nv];
        const range wanted = {larger(j, columns.begin), smaller(j + nv * LANES, columns.end)};
        if (g->plain && wanted.end - wanted.begin == nv * LANES)
            compute(&t);
        else
            tile_beside(c, &t, compute, mr, nv, y, j, wanted);
    }
}

static void conv_finish(const conv *c, range pixels, range columns) {
    const geometry *g = &c->g;
    if (g->plain || c->step->operations == 0) {
        finish(c->step, c->y, g->N, pixels, columns);
        return;
    }
    place p = place_of(g, pixels.begin);
    for (int64_t i = pixels.begin; i < pixels.end; i++, next_place(g, &p)) {
        const int64_t pixel = y_place(g, p) / g->N;
        finish(c->step, c->y, g->N, (range){pixel, pixel + 1}, columns);
    }
}

/* Pixels of a block. Where strips would be gathered for few columns, what the block sees of x must fit into the window;
 * gathering is then for images that are too large even so. */
static int64_t conv_block(const conv *c, range columns) {
    const int64_t most = CONV_STRIPS * ROWS;
    if (!sees_padding(&c->g) || columns.end - columns.begin > WINDOW_COLUMNS)
        return most;
    for (int64_t pixels = most; pixels >= ROWS; pixels /= 2)
        if (window_length(&c->g, pixels) <= WINDOW_LENGTH)
            return pixels;
    return most;
}

static void conv_range(conv *c, range pixels, range columns) {
    const strips sides = strips_of(columns.end - columns.begin, CONV_COLUMNS);
    for (int64_t s = 0; s < sides.count; s++) {
        const int64_t left = columns.begin + strip_begin(sides, s);
        const range side = {left, left + strip_rows(sides, s)};
        const int64_t block = conv_block(c, side);
        const strips blocks = strips_of(pixels.end - pixels.begin, block);
        const int gather = sees_padding(&c->g) &&
                           (side.end - side.begin > WINDOW_COLUMNS || window_length(&c->g, block) > WINDOW_LENGTH);
        for (int64_t i = 0; i < blocks.count; i++) {
            const int64_t begin = pixels.begin + strip_begin(blocks, i);
            const int64_t end = begin + strip_rows(blocks, i);
            const strips rows = strips_of(end - begin, ROWS);
            if (!gather) {
                open_window(&c->window, &c->g, c->x, c->group, (range){begin, end}, c->memory);
                window_places(&c->window, c->places, c->runs, window_runs(&c->window, c->runs, (range){begin, end}));
            }
            for (int64_t k = 0; k == 0 || k < c->g.K; k += NNF_CHUNK) {
                const int64_t kc = smaller(NNF_CHUNK, c->g.K - k);
                const int64_t runs = gather ? find_runs(&c->g, c->runs, c->group, k, kc)
                                            : find_runs(&c->window.g, c->runs, c->window.group, k, kc);
                for (int64_t r = 0; r < rows.count; r++)
                    conv_strip(c, begin + strip_begin(rows, r), strip_rows(rows, r),
                               gather ? 0 : c->places + strip_begin(rows, r), side, k, kc, runs);
            }
            conv_finish(c, (range){begin, end}, side);
        }
    }
}

static void k_conv(const nnf_step *step, int thread, int threads) {
    conv c = {
        .step = step,
        .g = geometry_of(step->size),
        .y = (real *)step->buffer[0],
        .x = (const real *)step->buffer[1],
        .w = (const real *)step->buffer[2] + step->size[GEOMETRY_SIZES],
        .strip = own_scratch(step, thread),
        .runs = (run *)(own_scratch(step, thread) + (ROWS + 1) * STRIP_PITCH),
        .memory = own_scratch(step, thread) + (ROWS + 1) * STRIP_PITCH + MOST_RUNS * sizeof(run) / sizeof(real),
    };
    const int64_t N = c.g.N, per_group = c.g.groups ? N / c.g.groups : 0;
    nnf_step rest = *step;
    if (c.g.plain && c.g.groups == 1 && N % NNF_PANEL == 0) { /* whole tiles only */
        c.done = tile_end_of(step, N, &c.end);
        rest.program += c.done;
        rest.operations -= c.done;
    }
    c.step = &rest;
    const share s = share_of(c.g.pixels, 1, N, NNF_PANEL, COLUMN_COST, c.g.pixels < FEW_BATCH, thread,
                             (int)smaller(threads, step->threads));
    if (s.columns.end <= s.columns.begin)
        return;
    for (c.group = s.columns.begin / per_group; c.group * per_group < s.columns.end; c.group++) {
        const range columns = {larger(s.columns.begin, c.group * per_group),
                               smaller(s.columns.end, (c.group + 1) * per_group)};
        conv_range(&c, s.rows, columns);
    }
}

#endif
