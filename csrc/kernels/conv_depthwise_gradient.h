/* depthwise_conv_weight_gradient: dw[taps, N] = the sum over output pixels of what each tap finds in x, times dy
 *
 * Buffers: dw, x, dy. Sizes: those of conv_gather.h, with N = groups channels and C = 1.
 *
 * Lanes lie over channels; the sum is a chain of fused multiply-adds over pixels in chunks of NNF_CHUNK. Loops, from
 * the outside: blocks of channels whose window of a chunk fits, chunks, vectors of channels, groups of taps, pixels. */
#ifndef NNF_CONV_DEPTHWISE_GRADIENT_H
#define NNF_CONV_DEPTHWISE_GRADIENT_H

enum { DEPTHWISE_TAPS = 9 };

/* A chunk of pixels for one vector of channels: pixel i of a run finds its first tap at x + run offset + i * step. */
typedef struct depthwise_chunk {
    const real *x, *dy;
    const run *runs;
    int64_t run_count, step, dy_step, left; /* left: channels, where not all lanes have one */
    real *dw;
    int64_t N, first;
} depthwise_chunk;

/* dw[t] = or += the sum for some taps, which find theirs so many elements after the first tap. */
NNF_INLINE void depthwise_sums(const depthwise_chunk *c, const int64_t *offsets, real *dw, const int taps,
                               const int masked) {
    vec acc[DEPTHWISE_TAPS];
    int64_t offset[DEPTHWISE_TAPS];
    tile_clear(acc, taps);
#pragma GCC unroll 9
    for (int t = 0; t < taps; t++)
        offset[t] = offsets[t];
    const int64_t step = c->step, dy_step = c->dy_step, left = c->left;
    const real *dy = c->dy;
    for (const run *r = c->runs; r < c->runs + c->run_count; r++) {
        const real *x = c->x + r->offset;
        for (int64_t i = r->count; i > 0; i--, x += step, dy += dy_step) {
            const vec factor = masked ? v_load_first(dy, left) : v_load(dy);
#pragma GCC unroll 9
            for (int t = 0; t < taps; t++) {
                const vec found = masked ? v_load_first(x + offset[t], left) : v_load(x + offset[t]);
                acc[t] = v_fma(found, factor, acc[t]);
            }
        }
    }
#pragma GCC unroll 9
    for (int t = 0; t < taps; t++) {
        real *to = dw + t * c->N;
        v_store_first(to, c->first ? v_add(v_load_first(to, left), acc[t]) : acc[t], left);
    }
}

static void depthwise_taps(const depthwise_chunk *c, const int64_t *offsets, int64_t taps) {
    for (int64_t t = 0; t < taps;) {
        real *dw = c->dw + t * c->N;
        if (c->left < LANES)
            depthwise_sums(c, offsets + t, dw, 1, 1), t++;
        else if (taps - t >= DEPTHWISE_TAPS)
            depthwise_sums(c, offsets + t, dw, DEPTHWISE_TAPS, 0), t += DEPTHWISE_TAPS;
        else if (taps - t >= 3)
            depthwise_sums(c, offsets + t, dw, 3, 0), t += 3;
        else
            depthwise_sums(c, offsets + t, dw, 1, 0), t++;
    }
}

/* Without a window, which rows of thousands of pixels do not fit into: what a few taps of each pixel find is gathered.
 * At most LANES channels. */
static void gathered_taps(const geometry *g, real *dw, const real *x, const real *dy, range pixels, real *memory) {
    const int64_t taps = g->taps[0] * g->taps[1] * g->taps[2], pitch = DEPTHWISE_TAPS * LANES;
    int64_t offsets[DEPTHWISE_TAPS];
    for (int64_t t = 0; t < DEPTHWISE_TAPS; t++)
        offsets[t] = t * g->C;
    const run all = {.count = pixels.end - pixels.begin};
    for (int64_t t = 0; t < taps; t += DEPTHWISE_TAPS) {
        const int64_t some = smaller(DEPTHWISE_TAPS, taps - t);
        run runs[DEPTHWISE_TAPS];
        const int64_t found = find_runs(g, runs, 0, t * g->C, some * g->C);
        place p = all.count ? place_of(g, pixels.begin) : (place){0, 0, 0, 0};
        for (int64_t i = 0; i < all.count; i++, next_place(g, &p))
            find(g, memory + i * pitch, x, p, runs, found);
        const depthwise_chunk chunk = {
            .x = memory,
            .dy = dy + pixels.begin * g->N,
            .runs = &all,
            .run_count = 1,
            .step = pitch,
            .dy_step = g->N,
            .left = g->C,
            .dw = dw + t * g->N,
            .N = g->N,
            .first = pixels.begin,
        };
        depthwise_taps(&chunk, offsets, some);
    }
}

/* The geometry of blocks of channels as one of groups, so that a window holds one of them. */
static geometry channel_blocks(const geometry *g) {
    geometry blocks = *g;
    blocks.C = (g->N + LANES - 1) / LANES * LANES;
    while (sees_padding(g) && blocks.C > LANES && window_length(&blocks, NNF_CHUNK) > WINDOW_LENGTH)
        blocks.C = (blocks.C / 2 + LANES - 1) / LANES * LANES;
    blocks.pixel = g->N;
    return blocks;
}

static void k_depthwise_conv_weight_gradient(const nnf_step *step, int thread, int threads) {
    const geometry g = geometry_of(step->size);
    const geometry blocks = channel_blocks(&g);
    const int64_t taps = g.taps[0] * g.taps[1] * g.taps[2];
    const real *x = (const real *)step->buffer[1], *dy = (const real *)step->buffer[2];
    real *const memory = own_scratch(step, thread);
    int64_t *const offsets = (int64_t *)(memory + WINDOW_LENGTH);
    const range part = part_of(g.N, LANES, thread, smaller(threads, step->threads));
    for (int64_t begin = part.begin; begin < part.end; begin += blocks.C) {
        const int64_t channels = smaller(blocks.C, part.end - begin);
        geometry own = blocks;
        own.C = channels;
        const int gather = sees_padding(&g) && window_length(&own, NNF_CHUNK) > WINDOW_LENGTH;
        for (int64_t first = 0; first == 0 || first < g.pixels; first += NNF_CHUNK) {
            const range pixels = {first, smaller(first + NNF_CHUNK, g.pixels)};
            if (gather) {
                gathered_taps(&own, (real *)step->buffer[0] + begin, x + begin, dy + begin, pixels, memory);
                continue;
            }
            run runs[NNF_CHUNK];
            window w;
            open_window(&w, &own, x + begin, 0, pixels, memory);
            const int64_t found = window_runs(&w, runs, pixels);
            for (int64_t t = 0; t < taps; t++) {
                const int64_t row = t / g.taps[2], d = row / g.taps[1] * g.tap_step[0],
                              h = row % g.taps[1] * g.tap_step[1], column = t % g.taps[2] * g.tap_step[2];
                offsets[t] = ((d * w.g.in[1] + h) * w.g.in[2] + column) * w.g.pixel;
            }
            for (int64_t c = 0; c < channels; c += LANES) {
                const depthwise_chunk chunk = {
                    .x = w.x + c,
                    .dy = dy + first * g.N + begin + c,
                    .runs = runs,
                    .run_count = found,
                    .step = g.stride[2] * w.g.pixel,
                    .dy_step = g.N,
                    .left = smaller(LANES, channels - c),
                    .dw = (real *)step->buffer[0] + begin + c,
                    .N = g.N,
                    .first = first,
                };
                depthwise_taps(&chunk, offsets, taps);
            }
        }
    }
}

#endif
