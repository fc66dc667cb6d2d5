/* Convolution of each channel by itself; lanes lie over channels.
 *
 *   depthwise_conv                  y = epilogue(the sum over taps of what they find in x, times w)
 *   depthwise_conv_weight_gradient  dw = the sum over output pixels of what each tap finds in x, times dy
 *
 * depthwise_conv. Buffers: y, x, w [all taps, channels], operands of the epilogue. Sizes: those of conv_gather.h, with
 * N = groups channels and C = 1, then which row of w each tap has.
 * depthwise_conv_weight_gradient. Buffers: dw, x, dy. Sizes: those of conv_gather.h.
 *
 * Sums are chains of fused multiply-adds: over taps in ascending order, over pixels in chunks of NNF_CHUNK. A tap
 * outside the input finds a zero, which is multiplied like any other number. */
#ifndef NNF_CONV_DEPTHWISE_H
#define NNF_CONV_DEPTHWISE_H

enum { DEPTHWISE_PIXELS = 8, DEPTHWISE_WIDE = 2, DEPTHWISE_TAPS = 9 };

static const real depthwise_zeros[DEPTHWISE_WIDE * NNF_PANEL];

/* What a tap finds at output pixel w of a row: x + w * step, for the channels from the first on. */
typedef struct tap {
    const real *x, *w;
    int64_t step;
} tap;

/* The taps of one row of outputs, or of one of its pixels (single >= 0). */
static void find_taps(const geometry *g, tap *taps, const real *x, const real *w, const int64_t *rows, range which,
                      place p, int64_t channel, int64_t single) {
    const int64_t d0 = p.d * g->stride[0] + g->origin[0], h0 = p.h * g->stride[1] + g->origin[1];
    for (int64_t t = which.begin; t < which.end; t++) {
        const int64_t d = d0 + t / (g->taps[2] * g->taps[1]) * g->tap_step[0],
                      h = h0 + t / g->taps[2] % g->taps[1] * g->tap_step[1],
                      at = g->origin[2] + t % g->taps[2] * g->tap_step[2];
        const int64_t column = at + single * g->stride[2];
        tap *found = taps + t - which.begin;
        const int inside =
            d >= 0 && d < g->in[0] && h >= 0 && h < g->in[1] && (single < 0 || (column >= 0 && column < g->in[2]));
        found->x = depthwise_zeros;
        found->step = 0;
        if (inside) {
            found->x = x + (((p.b * g->in[0] + d) * g->in[1] + h) * g->in[2] + at) * g->N + channel;
            found->step = g->stride[2] * g->N;
        }
        if (rows)
            found->w = w + rows[t] * g->N + channel;
    }
}

/* The outputs of a row all of whose taps lie inside along the width. */
static range inner_pixels(const geometry *g) {
    const int64_t first = -g->origin[2], last = g->in[2] - 1 - g->origin[2] - (g->taps[2] - 1) * g->tap_step[2];
    const int64_t begin = first <= 0 ? 0 : (first + g->stride[2] - 1) / g->stride[2];
    range inner = {smaller(begin, g->out[2]), last < 0 ? 0 : smaller(last / g->stride[2] + 1, g->out[2])};
    inner.end = larger(inner.begin, inner.end);
    return inner;
}

/* y of some pixels and channels; left: channels, where not all lanes have one. */
NNF_INLINE void depthwise_tile(real *y, int64_t y_step, const tap *taps, int64_t count, int64_t w, const int pixels,
                               const int nv, const int masked, int64_t left) {
    vec acc[DEPTHWISE_PIXELS * DEPTHWISE_WIDE];
    tile_clear(acc, pixels * nv);
    for (int64_t t = 0; t < count; t++) {
        const real *x = taps[t].x + w * taps[t].step;
        vec factor[DEPTHWISE_WIDE];
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++)
            factor[v] = masked ? v_load_first(taps[t].w, left) : v_load(taps[t].w + v * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < pixels; i++)
#pragma GCC unroll 2
            for (int v = 0; v < nv; v++) {
                const real *from = x + i * taps[t].step + v * LANES;
                acc[i * nv + v] = v_fma(masked ? v_load_first(from, left) : v_load(from), factor[v], acc[i * nv + v]);
            }
    }
#pragma GCC unroll 8
    for (int i = 0; i < pixels; i++)
#pragma GCC unroll 2
        for (int v = 0; v < nv; v++)
            if (masked)
                v_store_first(y + i * y_step, acc[i * nv], left);
            else
                v_store(y + i * y_step + v * LANES, acc[i * nv + v]);
}

static void depthwise_pixels(real *y, int64_t y_step, const tap *taps, int64_t count, range w, int64_t left) {
    int64_t i = w.begin;
    for (; i + DEPTHWISE_PIXELS <= w.end; i += DEPTHWISE_PIXELS) {
        if (left >= 2 * LANES)
            depthwise_tile(y + i * y_step, y_step, taps, count, i, DEPTHWISE_PIXELS, 2, 0, 0);
        else if (left == LANES)
            depthwise_tile(y + i * y_step, y_step, taps, count, i, DEPTHWISE_PIXELS, 1, 0, 0);
        else
            depthwise_tile(y + i * y_step, y_step, taps, count, i, DEPTHWISE_PIXELS, 1, 1, left);
    }
    for (; i < w.end; i++) {
        if (left >= 2 * LANES)
            depthwise_tile(y + i * y_step, y_step, taps, count, i, 1, 2, 0, 0);
        else if (left == LANES)
            depthwise_tile(y + i * y_step, y_step, taps, count, i, 1, 1, 0, 0);
        else
            depthwise_tile(y + i * y_step, y_step, taps, count, i, 1, 1, 1, left);
    }
}

/* Channels from one on that are taken together: two vectors, one, or what is left. */
NNF_INLINE int64_t channels_together(int64_t left) {
    return left >= 2 * LANES ? 2 * LANES : left >= LANES ? LANES : left;
}

static void k_depthwise_conv(const nnf_step *step, int thread, int threads) {
    const geometry g = geometry_of(step->size);
    const int64_t *rows = step->size + GEOMETRY_SIZES;
    const int64_t count = g.taps[0] * g.taps[1] * g.taps[2];
    const real *x = (const real *)step->buffer[1], *w = (const real *)step->buffer[2];
    real *y = (real *)step->buffer[0];
    tap *const taps = (tap *)own_scratch(step, thread);
    const range inner = inner_pixels(&g);
    const range part = part_of(g.out[2] ? g.pixels / g.out[2] : 0, 1, thread, smaller(threads, step->threads));
    const int64_t y_step = g.y_stride[2] * g.N;
    for (int64_t row = part.begin; row < part.end; row++) {
        const place p = place_of(&g, row * g.out[2]);
        const int64_t begin = y_place(&g, p);
        for (int64_t c = 0; c < g.N;) {
            const int64_t together = channels_together(g.N - c);
            find_taps(&g, taps, x, w, rows, (range){0, count}, p, c, -1);
            depthwise_pixels(y + begin + c, y_step, taps, count, inner, together);
            for (int64_t i = 0; i < g.out[2]; i++) {
                if (i == inner.begin)
                    i = inner.end;
                if (i >= g.out[2])
                    break;
                find_taps(&g, taps, x, w, rows, (range){0, count}, p, c, i);
                depthwise_pixels(y + begin + c, y_step, taps, count, (range){i, i + 1}, together);
            }
            c += together;
        }
        if (g.plain)
            finish(step, y, g.N, (range){row * g.out[2], (row + 1) * g.out[2]}, (range){0, g.N});
        else
            for (int64_t i = 0; i < g.out[2]; i++) {
                const int64_t pixel = (begin + i * y_step) / g.N;
                finish(step, y, g.N, (range){pixel, pixel + 1}, (range){0, g.N});
            }
    }
}

/* acc += what up to 9 taps find at pixels w of a row, times dy */
NNF_INLINE void depthwise_sum(vec *acc, const tap *taps, const int count, const real *dy, int64_t dy_step, range w,
                              const int masked, int64_t left) {
    vec sum[DEPTHWISE_TAPS];
#pragma GCC unroll 9
    for (int t = 0; t < count; t++)
        sum[t] = acc[t];
    for (int64_t i = w.begin; i < w.end; i++) {
        const real *at = dy + i * dy_step;
        const vec factor = masked ? v_load_first(at, left) : v_load(at);
#pragma GCC unroll 9
        for (int t = 0; t < count; t++) {
            const real *from = taps[t].x + i * taps[t].step;
            sum[t] = v_fma(masked ? v_load_first(from, left) : v_load(from), factor, sum[t]);
        }
    }
#pragma GCC unroll 9
    for (int t = 0; t < count; t++)
        acc[t] = sum[t];
}

static void depthwise_run(vec *acc, const tap *taps, int64_t count, const real *dy, int64_t dy_step, range w,
                          int64_t left) {
    if (left < LANES) {
        for (int64_t t = 0; t < count; t++)
            depthwise_sum(acc + t, taps + t, 1, dy, dy_step, w, 1, left);
    } else if (count == 9) {
        depthwise_sum(acc, taps, 9, dy, dy_step, w, 0, 0);
    } else {
        int64_t t = 0;
        for (; t + 3 <= count; t += 3)
            depthwise_sum(acc + t, taps + t, 3, dy, dy_step, w, 0, 0);
        for (; t < count; t++)
            depthwise_sum(acc + t, taps + t, 1, dy, dy_step, w, 0, 0);
    }
}

/* Up to 9 taps, up to LANES channels, all pixels. */
static void depthwise_weight(const geometry *g, real *dw, const real *x, const real *dy, range which, int64_t c,
                             int64_t left) {
    const int64_t count = which.end - which.begin;
    const range inner = inner_pixels(g);
    for (int64_t first = 0; first == 0 || first < g->pixels; first += NNF_CHUNK) {
        const int64_t end = smaller(first + NNF_CHUNK, g->pixels);
        vec acc[DEPTHWISE_TAPS];
        tile_clear(acc, (int)count);
        for (int64_t i = first; i < end;) {
            const place p = place_of(g, i);
            const range row = {p.w, smaller(g->out[2], p.w + end - i)};
            const real *at = dy + (i - p.w) * g->N + c;
            tap taps[DEPTHWISE_TAPS];
            for (int64_t w = row.begin; w < row.end;) {
                const int inside = w >= inner.begin && w < inner.end;
                const range run = {w, inside ? smaller(inner.end, row.end) : w + 1};
                find_taps(g, taps, x, 0, 0, which, p, c, inside ? -1 : w);
                depthwise_run(acc, taps, count, at, g->N, run, left);
                w = run.end;
            }
            i += row.end - row.begin;
        }
        for (int64_t t = 0; t < count; t++) {
            real *to = dw + (which.begin + t) * g->N + c;
            v_store_first(to, first ? v_add(v_load_first(to, left), acc[t]) : acc[t], left);
        }
    }
}

static void k_depthwise_conv_weight_gradient(const nnf_step *step, int thread, int threads) {
    const geometry g = geometry_of(step->size);
    const int64_t count = g.taps[0] * g.taps[1] * g.taps[2];
    const range part = part_of(g.N, LANES, thread, smaller(threads, step->threads));
    for (int64_t c = part.begin; c < part.end; c += LANES)
        for (int64_t t = 0; t < count; t += DEPTHWISE_TAPS)
            depthwise_weight(&g, (real *)step->buffer[0], (const real *)step->buffer[1], (const real *)step->buffer[2],
                             (range){t, smaller(t + DEPTHWISE_TAPS, count)}, c, smaller(LANES, part.end - c));
}

#endif
