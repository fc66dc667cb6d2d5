/* conv: y = epilogue(convolution of x by w), also the gradient of the input, which is one by the turned weight
 *
 * Buffers: y, x, w in panels [taps * C, N], operands of the epilogue. Sizes: those of conv_gather.h, then the element
 * of w with which its panels begin.
 *
 * Loops, from the outside: groups, blocks of columns (a chunk of w stays in the second-level cache), blocks of pixels,
 * chunks of the sum, strips of pixels, tiles of columns. A strip's part of x is copied once, or read where it lies if
 * its pixels are in one row and see no padding. */
#ifndef NNF_CONV_FORWARD_H
#define NNF_CONV_FORWARD_H

enum {
    STRIP_PITCH = NNF_CHUNK + 16, /* rows of a strip: apart in the cache, and with room for what copies spill over */
    CONV_COLUMNS = 2 * BLOCK_ROWS,
    CONV_STRIPS = 24,             /* of a block of pixels */
    STRIP_AHEAD = 20 * NNF_PANEL, /* elements of w fetched ahead */
};

/* A tile whose rows lie STRIP_PITCH apart: one base, constant offsets. */
NNF_INLINE void tile_strip(const tile *t, const int mr, const int nv) {
    vec acc[32];
    tile_clear(acc, mr * nv);
    tile_sum(acc, mr, nv, t->a, STRIP_PITCH, 1, t->b, t->b_panel, NNF_PANEL, t->k, 1, STRIP_AHEAD, t->b_panel);
    tile_store(acc, mr, nv, t);
}

/* A tile whose rows are read where x has them, a run at a time. */
NNF_INLINE void tile_runs(const tile *t, const int mr, const int nv) {
    vec acc[32];
    tile_clear(acc, mr * nv);
    const real *b = t->b;
    for (const run *r = t->runs; r < t->runs_end; b += r->count * NNF_PANEL, r++)
        tile_sum(acc, mr, nv, t->a + r->offset, t->a_row, 1, b, t->b_panel, NNF_PANEL, r->count, 1, STRIP_AHEAD,
                 t->b_panel);
    tile_store(acc, mr, nv, t);
}

#if LANES * NNF_REAL == 512
enum { LEAST_IN_PLACE = 7 }; /* rows of a tile from which on it pays */
#define NNF_RUNS_TILES(X) NNF_ROWS_7_TO_14(X, tile_runs, 1) NNF_ROWS_7_TO_14(X, tile_runs, 2)
#elif LANES * NNF_REAL == 256
enum { LEAST_IN_PLACE = 4 };
#define NNF_RUNS_TILES(X) NNF_ROWS_1_TO_6(X, tile_runs, 1) NNF_ROWS_1_TO_6(X, tile_runs, 2)
#elif defined(__aarch64__)
enum { LEAST_IN_PLACE = 4 };
#define NNF_RUNS_TILES(X) NNF_WIDTHS_1_TO_4(X, tile_runs)
#else
enum { LEAST_IN_PLACE = 2 };
#define NNF_RUNS_TILES(X) NNF_ROWS_1_TO_4(X, tile_runs, 1) NNF_ROWS_1_TO_4(X, tile_runs, 2)
#endif
NNF_RUNS_TILES(NNF_TILE)
static const tile_function runs_tiles[ROWS + 1][WIDE + 1] = {NNF_RUNS_TILES(NNF_TILE_ENTRY)};

#if LANES * NNF_REAL == 512
#define NNF_STRIP_TILES(X) NNF_ROWS_7_TO_14(X, tile_strip, 1) NNF_ROWS_7_TO_14(X, tile_strip, 2)
NNF_STRIP_TILES(NNF_TILE)
static const tile_function strip_tiles[ROWS + 1][3] = {NNF_STRIP_TILES(NNF_TILE_ENTRY)};
static tile_function strip_tile(int mr, int nv) { return mr >= 7 ? strip_tiles[mr][nv] : rows_tiles[mr][nv]; }
#define STRIP_WIDE(mr) ((mr) >= 7 ? WIDE : FEW_WIDE(mr))
#else
static tile_function strip_tile(int mr, int nv) { return rows_tiles[mr][nv]; }
#define STRIP_WIDE(mr) smaller(FEW_WIDE(mr), (mr) > 3 ? WIDE : 8)
#endif

typedef struct conv {
    const nnf_step *step;
    geometry g;
    real *y;
    const real *x, *w;
    real *strip;
    run *runs;
    int64_t group;
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

/* Where the first tap of the first pixel lies, if the pixels of a strip are in one row and all of their taps inside x.
 */
static const real *rows_in_place(const conv *c, place p, int mr) {
    const geometry *g = &c->g;
    if (g->groups > 1 || g->tap_step[2] != 1 || p.w + mr > g->out[2])
        return 0;
    const int64_t d = p.d * g->stride[0] + g->origin[0], h = p.h * g->stride[1] + g->origin[1],
                  w = p.w * g->stride[2] + g->origin[2];
    if (d < 0 || d + (g->taps[0] - 1) * g->tap_step[0] >= g->in[0] || h < 0 ||
        h + (g->taps[1] - 1) * g->tap_step[1] >= g->in[1] || w < 0 ||
        w + (mr - 1) * g->stride[2] + g->taps[2] - 1 >= g->in[2])
        return 0;
    return c->x + (((p.b * g->in[0] + d) * g->in[1] + h) * g->in[2] + w) * g->pixel;
}

static void conv_strip(const conv *c, int64_t pixel, int mr, range columns, int64_t k, int64_t kc, int64_t runs) {
    const geometry *g = &c->g;
    int64_t y[ROWS];
    place p = place_of(g, pixel);
    const real *in_place = mr >= LEAST_IN_PLACE ? rows_in_place(c, p, mr) : 0;
    for (int r = 0; r < mr; r++) {
        if (!in_place)
            find(g, c->strip + r * STRIP_PITCH, c->x, p, c->runs, runs);
        y[r] = y_place(g, p);
        next_place(g, &p);
    }
    const int widest = (int)STRIP_WIDE(mr);
    int nv;
    for (int64_t j = columns.begin / NNF_PANEL * NNF_PANEL; j < columns.end; j += nv * LANES) {
        nv = tile_width((columns.end - j + LANES - 1) / LANES, widest);
        const int64_t in_panel = j % NNF_PANEL;
        const tile t = {
            .a = in_place ? in_place : c->strip,
            .a_row = in_place ? g->stride[2] * g->pixel : STRIP_PITCH,
            .a_step = 1,
            .b = c->w + (j - in_panel) * g->K + k * NNF_PANEL + in_panel,
            .b_panel = g->K * NNF_PANEL,
            .b_step = NNF_PANEL,
            .c = c->y + y[0] + j,
            .c_row = g->N,
            .c_panel = NNF_PANEL,
            .k = kc,
            .accumulate = k > 0,
            .runs = c->runs,
            .runs_end = c->runs + runs,
        };
        const tile_function compute = in_place ? runs_tiles[mr][nv] : strip_tile(mr, nv);
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

/* Pixels of the strip that begins at one. Strips that end with a row may be read in place; where most of them would
 * have taps in the padding anyway, they go on into the next row. */
static int pixels_of_strip(const conv *c, int64_t pixel, int64_t end) {
    const int64_t width = c->g.out[2], per_row = (width + ROWS - 1) / ROWS;
    const strips rows = strips_of(end - pixel, ROWS);
    if (per_row < (c->g.origin[2] < 0 ? 3 : 1) || width < 2 * ROWS / 3)
        return strip_rows(rows, 0);
    const int64_t left = width - pixel % width, height = (width + per_row - 1) / per_row;
    return (int)smaller(smaller(left, height), end - pixel);
}

static void conv_range(const conv *c, range pixels, range columns) {
    const strips sides = strips_of(columns.end - columns.begin, CONV_COLUMNS);
    const strips blocks = strips_of(pixels.end - pixels.begin, CONV_STRIPS * ROWS);
    for (int64_t s = 0; s < sides.count; s++) {
        const int64_t left = columns.begin + strip_begin(sides, s);
        const range side = {left, left + strip_rows(sides, s)};
        for (int64_t i = 0; i < blocks.count; i++) {
            const int64_t begin = pixels.begin + strip_begin(blocks, i);
            const int64_t end = begin + strip_rows(blocks, i);
            for (int64_t k = 0; k == 0 || k < c->g.K; k += NNF_CHUNK) {
                const int64_t kc = smaller(NNF_CHUNK, c->g.K - k), runs = find_runs(&c->g, c->runs, c->group, k, kc);
                int mr;
                for (int64_t pixel = begin; pixel < end; pixel += mr) {
                    mr = pixels_of_strip(c, pixel, end);
                    conv_strip(c, pixel, mr, side, k, kc, runs);
                }
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
    };
    const int64_t N = c.g.N, per_group = c.g.groups ? N / c.g.groups : 0;
    const share s =
        share_of(c.g.pixels, 1, N, NNF_PANEL, c.g.pixels < FEW_BATCH, thread, (int)smaller(threads, step->threads));
    if (s.columns.end <= s.columns.begin)
        return;
    for (c.group = s.columns.begin / per_group; c.group * per_group < s.columns.end; c.group++) {
        const range columns = {larger(s.columns.begin, c.group * per_group),
                               smaller(s.columns.end, (c.group + 1) * per_group)};
        conv_range(&c, s.rows, columns);
    }
}

#endif
