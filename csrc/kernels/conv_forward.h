/* conv: y = epilogue(convolution of x by w), also the gradient of the input, which is one by the turned weight
 *
 * Buffers: y, x, w in panels [taps * C, N], operands of the epilogue. Sizes: those of conv_gather.h, then the element
 * of w with which its panels begin.
 *
 * Loops, from the outside: groups, blocks of columns (a chunk of w stays in the second-level cache), blocks of pixels,
 * chunks of the sum, strips of pixels, tiles of columns. The pixels of a block are in the order of conv_order.h. Those
 * of a strip are read where they lie, wherever that is: in x, where no tap is in the padding; in a padded copy of what
 * the block sees of x; or, where columns are many, the strip's rows are gathered, a chunk at a time. */
#ifndef NNF_CONV_FORWARD_H
#define NNF_CONV_FORWARD_H

enum {
    STRIP_PITCH = NNF_CHUNK + 16, /* rows of a strip: apart in the cache, and with room for what copies spill over */
    CONV_COLUMNS = 2 * BLOCK_ROWS,
    CONV_STRIPS = 24,                /* of a block of pixels */
    CONV_BLOCK = CONV_STRIPS * ROWS, /* most pixels of one */
    WINDOW_COLUMNS = 16 * NNF_PANEL, /* up to so many, a strip's gathering is not worth its while, */
    GATHER_COLUMNS = 4 * NNF_PANEL,  /* but from so many on worth more than a smaller block in order */
    WINDOW_LENGTH = (1 << 20) / (int)sizeof(real),
};

typedef struct conv {
    const nnf_step *step;
    geometry g;
    real *y;
    const real *x, *w;
    real *strip, *memory; /* a gathered strip; a window */
    run *runs, *within;   /* those of a chunk; of a strip */
    int64_t group;
    tile_end end; /* of the program, and how many operations tiles do */
    int done;
    int ordered;   /* strips leave out taps; else pixels are in their own order */
    zones axis[3]; /* if so */
    window window;
    int64_t places[CONV_BLOCK]; /* of the block's pixels: in the window, or their numbers if strips are gathered */
    int64_t to[CONV_BLOCK];     /* and in y */
    int16_t zone[CONV_BLOCK];
} conv;

/* Pixels beside each other in one zone. */
typedef struct stretch {
    int64_t zone, count, place, to;
} stretch;

NNF_INLINE void list_stretch(conv *c, int64_t at, stretch s, int64_t place_step, int64_t to_step) {
    for (int64_t i = 0; i < s.count; i++) {
        c->places[at + i] = s.place + i * place_step;
        c->to[at + i] = s.to + i * to_step;
    }
}

/* Lists the pixels of a block; the window is open, unless they are gathered. */
static void list_pixels(conv *c, range pixels, int gather) {
    const geometry *g = &c->g;
    const int64_t place_step = gather ? 1 : g->stride[2] * c->window.g.pixel, to_step = g->y_stride[2] * g->N;
    stretch stretches[CONV_BLOCK];
    int64_t begins[MOST_ZONES * MOST_ZONES * MOST_ZONES + 1], found = 0;
    const int64_t zones = c->ordered ? c->axis[0].count * c->axis[1].count * c->axis[2].count : 0;
    for (int64_t zone = 0; zone <= zones; zone++)
        begins[zone] = 0;
    if (!gather)
        window_runs(&c->window, c->runs, pixels);
    const run *row = c->runs;
    for (int64_t at = pixels.begin, count; at < pixels.end; at += count, row++) {
        const place p = place_of(g, at);
        stretch s = {.count = smaller(g->out[2] - p.w, pixels.end - at),
                     .place = gather ? at : row->offset,
                     .to = y_place(g, p)};
        count = s.count;
        if (!c->ordered) {
            list_stretch(c, at - pixels.begin, s, place_step, to_step);
            continue;
        }
        const int64_t d = zone_of(&c->axis[0], p.d), h = zone_of(&c->axis[1], p.h);
        int64_t zone = zone_of(&c->axis[2], p.w);
        for (int64_t w = p.w; w < p.w + count; w += s.count, zone++) {
            s.zone = zone_number(c->axis, d, h, zone);
            s.count = smaller(c->axis[2].first[zone + 1], p.w + count) - w;
            begins[s.zone + 1] += s.count;
            stretches[found++] = s;
            s.place += s.count * place_step;
            s.to += s.count * to_step;
        }
    }
    for (int64_t zone = 1; zone < zones; zone++)
        begins[zone] += begins[zone - 1];
    for (const stretch *s = stretches; s < stretches + found; s++) {
        list_stretch(c, begins[s->zone], *s, place_step, to_step);
        for (int64_t i = 0; i < s->count; i++)
            c->zone[begins[s->zone]++] = (int16_t)s->zone;
    }
}

/* Not all columns of the tile are wanted: computed beside. */
static void tile_beside(const conv *c, const tile *t, tile_function compute, int mr, int nv, int64_t first,
                        range wanted) {
    edge_tile edge;
    int64_t to[ROWS];
    tile beside = *t;
    for (int r = 0; r < mr; r++)
        to[r] = r * nv * LANES;
    beside.c = edge.value;
    beside.to = to;
    beside.c_panel = NNF_PANEL;
    beside.accumulate = 0;
    compute(&beside);
    for (int r = 0; r < mr; r++)
        for (int64_t i = wanted.begin; i < wanted.end; i += LANES) {
            const int64_t n = smaller(wanted.end - i, LANES);
            real *p = c->y + t->to[r] + i;
            vec sum = v_load_first(edge.value + to[r] + i - first, n);
            if (t->accumulate)
                sum = v_add(v_load_first(p, n), sum);
            v_store_first(p, sum, n);
        }
}

/* The runs of a strip: its part of a chunk's. */
typedef struct strip_sum {
    int64_t k, kc;
    const run *runs;
    int64_t count;
} strip_sum;

/* Columns of y at the mr pixels from `first` of the block on. */
static void conv_strip(const conv *c, int64_t first, int mr, range columns, strip_sum sum, int gather) {
    const geometry *g = &c->g;
    int64_t row[ROWS];
    run gathered[MOST_RUNS];
    if (gather) {
        for (int r = 0; r < mr; r++) {
            row[r] = r * STRIP_PITCH;
            find(g, c->strip + row[r], c->x, place_of(g, c->places[first + r]), sum.runs, sum.count);
        }
        int64_t found = 0, k = 0;
        for (const run *r = sum.runs; r < sum.runs + sum.count; k += r->count, r++) {
            k += r->gap;
            if (found && r->gap == 0)
                gathered[found - 1].count += r->count;
            else
                gathered[found++] = (run){.offset = k, .gap = r->gap, .count = r->count};
        }
        sum.runs = gathered;
        sum.count = found;
    }
    tile t = {
        .a = gather ? c->strip : c->window.x,
        .row = gather ? row : c->places + first,
        .to = c->to + first,
        .a_step = 1,
        .b_panel = g->K * NNF_PANEL,
        .b_step = NNF_PANEL,
        .c_panel = NNF_PANEL,
        .accumulate = sum.k > 0,
        .plus_zero = sum.k == 0,
        .end = c->done && sum.k + sum.kc == g->K ? &c->end : 0,
        .runs = sum.runs,
        .runs_end = sum.runs + sum.count,
    };
    int nv;
    for (int64_t j = columns.begin / NNF_PANEL * NNF_PANEL; j < columns.end; j += nv * LANES) {
        nv = tile_width((columns.end - j + LANES - 1) / LANES, RUNS_WIDE(mr));
        const int64_t in_panel = j % NNF_PANEL;
        t.b = c->w + (j - in_panel) * g->K + sum.k * NNF_PANEL + in_panel;
        t.c = c->y + j;
        t.column = j;
        const tile_function compute = runs_tiles[mr][nv];
        const range wanted = {larger(j, columns.begin), smaller(j + nv * LANES, columns.end)};
        if (wanted.end - wanted.begin == nv * LANES)
            compute(&t);
        else
            tile_beside(c, &t, compute, mr, nv, j, wanted);
    }
}

/* Is a chunk of w finite, in all panels of some columns? */
static int finite_weight(const conv *c, range columns, int64_t k, int64_t kc) {
    int finite = 1;
    for (int64_t j = columns.begin / NNF_PANEL * NNF_PANEL; j < columns.end && finite; j += NNF_PANEL)
        finite = all_finite(c->w + j * c->g.K + k * NNF_PANEL, 1, 0, kc * NNF_PANEL);
    return finite;
}

/* A chunk of the sum at all pixels of a block. */
static void conv_chunk(const conv *c, strips rows, range columns, int64_t k, int gather) {
    const geometry *g = gather ? &c->g : &c->window.g;
    const int64_t kc = smaller(NNF_CHUNK, g->K - k);
    const strip_sum all = {k, kc, c->runs, find_runs(g, c->runs, gather ? c->group : c->window.group, k, kc)};
    const int leave_out = c->ordered && finite_weight(c, columns, k, kc);
    strip_sum sum = all;
    for (int64_t i = 0, before = -1; i < rows.count; i++) {
        const int64_t first = strip_begin(rows, i);
        const int mr = strip_rows(rows, i);
        const int64_t zones_seen = leave_out ? c->zone[first] << 16 | c->zone[first + mr - 1] : before;
        if (zones_seen != before) {
            const reach taps = reach_of(g, c->axis, c->zone + first, mr);
            sum = all;
            if (!reaches_all(g, &taps)) {
                sum.runs = c->within;
                sum.count = runs_within(g, c->within, all.runs, all.count, &taps);
            }
            before = zones_seen;
        }
        conv_strip(c, first, mr, columns, sum, gather);
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
static int64_t conv_block(const conv *c, range columns, int *gather) {
    const int64_t n = columns.end - columns.begin;
    *gather = 0;
    if (!sees_padding(&c->g))
        return CONV_BLOCK;
    for (int64_t pixels = CONV_BLOCK; pixels >= ROWS && n <= WINDOW_COLUMNS; pixels /= 2) {
        if (window_length(&c->g, pixels) <= WINDOW_LENGTH)
            return pixels;
        if (c->ordered && n >= GATHER_COLUMNS)
            break;
    }
    *gather = 1;
    return CONV_BLOCK;
}

static void conv_range(conv *c, range pixels, range columns) {
    const strips sides = strips_of(columns.end - columns.begin, CONV_COLUMNS);
    for (int64_t s = 0; s < sides.count; s++) {
        const int64_t left = columns.begin + strip_begin(sides, s);
        const range side = {left, left + strip_rows(sides, s)};
        int gather;
        const strips blocks = strips_of(pixels.end - pixels.begin, conv_block(c, side, &gather));
        for (int64_t i = 0; i < blocks.count; i++) {
            const int64_t begin = pixels.begin + strip_begin(blocks, i);
            const int64_t end = begin + strip_rows(blocks, i);
            if (!gather)
                open_window(&c->window, &c->g, c->x, c->group, (range){begin, end}, c->memory);
            list_pixels(c, (range){begin, end}, gather);
            for (int64_t k = 0; k == 0 || k < c->g.K; k += NNF_CHUNK)
                conv_chunk(c, strips_of(end - begin, ROWS), side, k, gather);
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
    c.within = c.runs + MOST_RUNS;
    c.memory = (real *)(c.within + MOST_RUNS);
    c.ordered = c.g.K >= ORDERED_SUM && c.g.pixels >= ORDERED_PIXELS && sees_padding(&c.g);
    for (int i = 0; i < 3 && c.ordered; i++)
        c.axis[i] = zones_of(&c.g, i);
    const int64_t N = c.g.N, per_group = c.g.groups ? N / c.g.groups : 0;
    nnf_step rest = *step;
    if (c.g.plain && c.g.groups == 1 && N % NNF_PANEL == 0) { /* whole tiles only */
        c.done = tile_end_of(step, N, &c.end);
        rest.program += c.done;
        rest.operations -= c.done;
    }
    c.step = &rest;
    const int64_t cost = c.ordered ? ORDERED_COST : OPERAND_COST; /* of a column: many pixels are better put in order */
    const share s = share_of(c.g.pixels, 1, N, NNF_PANEL, OPERAND_COST, cost, c.g.pixels < FEW_BATCH, thread,
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
