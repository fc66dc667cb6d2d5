/* Convolution of each channel by itself; lanes lie over channels.
 *
 *   depthwise_conv  y = epilogue(the sum over taps of what they find in x, times w)
 *
 * Buffers: y, x, w [all taps, channels], operands of the epilogue. Sizes: those of conv_gather.h, with N = groups
 * channels and C = 1, then which row of w each tap has.
 *
 * Sums are chains of fused multiply-adds over taps in ascending order. A tap outside the input finds a zero, which is
 * multiplied like any other number. */
#ifndef NNF_CONV_DEPTHWISE_H
#define NNF_CONV_DEPTHWISE_H

enum { DEPTHWISE_PIXELS = 8, DEPTHWISE_WIDE = 2 };

static const real depthwise_zeros[DEPTHWISE_WIDE * NNF_PANEL];

/* What a tap finds in a row of outputs: at pixel w from x + w * step on, column `at` + w * stride of the input; zeros
 * (inside: 0) where its row lies outside. */
typedef struct tap {
    const real *x, *w;
    int64_t at, step, inside; /* inside: all bits, or none */
} tap;

static void find_taps(const geometry *g, tap *taps, const real *x, const real *w, const int64_t *rows, range which,
                      place p) {
    const int64_t d0 = p.d * g->stride[0] + g->origin[0], h0 = p.h * g->stride[1] + g->origin[1];
    const int64_t row = which.begin / g->taps[2];
    int64_t td = row / g->taps[1], th = row % g->taps[1], tw = which.begin % g->taps[2];
    for (int64_t t = which.begin; t < which.end; t++) {
        const int64_t d = d0 + td * g->tap_step[0], h = h0 + th * g->tap_step[1];
        tap *found = taps + t - which.begin;
        found->inside = d >= 0 && d < g->in[0] && h >= 0 && h < g->in[1] ? -1 : 0;
        found->at = g->origin[2] + tw * g->tap_step[2];
        found->x =
            found->inside ? x + (((p.b * g->in[0] + d) * g->in[1] + h) * g->in[2] + found->at) * g->N : depthwise_zeros;
        found->step = g->stride[2] * g->N & found->inside;
        found->w = rows ? w + rows[t] * g->N : 0;
        if (++tw == g->taps[2]) {
            tw = 0;
            if (++th == g->taps[1]) {
                th = 0;
                td++;
            }
        }
    }
}

/* What the tap finds at pixel w for the channels from c on. */
NNF_INLINE const real *found_at(const geometry *g, const tap *t, int64_t w, int64_t c, const int edge) {
    if (edge && (uint64_t)(t->at + w * g->stride[2]) >= (uint64_t)g->in[2])
        return depthwise_zeros;
    return t->x + w * t->step + (c & t->inside);
}

/* The outputs of a row all of whose taps lie inside along the width. */
static range inner_pixels(const geometry *g) {
    const int64_t first = -g->origin[2], last = g->in[2] - 1 - g->origin[2] - (g->taps[2] - 1) * g->tap_step[2];
    const int64_t begin = first <= 0 ? 0 : (first + g->stride[2] - 1) / g->stride[2];
    range inner = {smaller(begin, g->out[2]), last < 0 ? 0 : smaller(last / g->stride[2] + 1, g->out[2])};
    inner.end = larger(inner.begin, inner.end);
    return inner;
}

/* The outputs of one row. */
typedef struct depthwise_row {
    const geometry *g;
    real *y;
    int64_t y_step;
    const tap *taps;
    int64_t count;
} depthwise_row;

/* y at some pixels from w on and channels from c on; left: channels, where not all lanes have one. */
NNF_INLINE void depthwise_tile(const depthwise_row *row, int64_t w, int64_t c, const int pixels, const int nv,
                               const int edge, int64_t left) {
    const int masked = left < LANES;
    vec acc[DEPTHWISE_PIXELS * DEPTHWISE_WIDE];
    tile_clear(acc, pixels * nv);
    for (const tap *t = row->taps; t < row->taps + row->count; t++) {
        const real *x = found_at(row->g, t, w, c, edge);
        vec factor[DEPTHWISE_WIDE];
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++)
            factor[v] = masked ? v_load_first(t->w + c, left) : v_load(t->w + c + v * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < pixels; i++)
#pragma GCC unroll 2
            for (int v = 0; v < nv; v++) {
                const real *from = x + i * t->step + v * LANES;
                acc[i * nv + v] = v_fma(masked ? v_load_first(from, left) : v_load(from), factor[v], acc[i * nv + v]);
            }
    }
    real *y = row->y + w * row->y_step + c;
#pragma GCC unroll 8
    for (int i = 0; i < pixels; i++)
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++)
            if (masked)
                v_store_first(y + i * row->y_step, acc[i], left);
            else
                v_store(y + i * row->y_step + v * LANES, acc[i * nv + v]);
}

NNF_INLINE void depthwise_pixels(const depthwise_row *row, int64_t c, const int nv, int64_t left) {
    const range inner = inner_pixels(row->g);
    int64_t w = 0;
    for (; w < inner.begin; w++)
        depthwise_tile(row, w, c, 1, nv, 1, left);
    for (; w + DEPTHWISE_PIXELS <= inner.end; w += DEPTHWISE_PIXELS)
        depthwise_tile(row, w, c, DEPTHWISE_PIXELS, nv, 0, left);
    for (; w + 2 <= inner.end; w += 2)
        depthwise_tile(row, w, c, 2, nv, 0, left);
    for (; w < inner.end; w++)
        depthwise_tile(row, w, c, 1, nv, 0, left);
    for (; w < row->g->out[2]; w++)
        depthwise_tile(row, w, c, 1, nv, 1, left);
}

static void k_depthwise_conv(const nnf_step *step, int thread, int threads) {
    const geometry g = geometry_of(step->size);
    const int64_t *rows = step->size + GEOMETRY_SIZES;
    const int64_t count = g.taps[0] * g.taps[1] * g.taps[2];
    const real *x = (const real *)step->buffer[1], *w = (const real *)step->buffer[2];
    real *y = (real *)step->buffer[0];
    tap *const taps = (tap *)own_scratch(step, thread);
    const range part = part_of(g.out[2] ? g.pixels / g.out[2] : 0, 1, thread, smaller(threads, step->threads));
    depthwise_row row = {.g = &g, .y_step = g.y_stride[2] * g.N, .taps = taps, .count = count};
    for (int64_t r = part.begin; r < part.end; r++) {
        const place p = place_of(&g, r * g.out[2]);
        const int64_t begin = y_place(&g, p);
        row.y = y + begin;
        find_taps(&g, taps, x, w, rows, (range){0, count}, p);
        int64_t c = 0;
        for (; c + 2 * LANES <= g.N; c += 2 * LANES)
            depthwise_pixels(&row, c, 2, LANES);
        for (; c + LANES <= g.N; c += LANES)
            depthwise_pixels(&row, c, 1, LANES);
        if (c < g.N)
            depthwise_pixels(&row, c, 1, g.N - c);
        if (g.plain)
            finish(step, y, g.N, (range){r * g.out[2], (r + 1) * g.out[2]}, (range){0, g.N});
        else
            for (int64_t i = 0; i < g.out[2]; i++) {
                const int64_t pixel = (begin + i * row.y_step) / g.N;
                finish(step, y, g.N, (range){pixel, pixel + 1}, (range){0, g.N});
            }
    }
}

#endif
