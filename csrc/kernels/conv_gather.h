/* Where the taps of an output pixel lie, and the copy of what they find: rows of the matrix that is never made whole.
 *
 * Sizes of a convolution, in this order: B, N, groups, C (inputs of a group), then three each (depth, height, width):
 * out, in, taps, stride, tap step, origin, y size, y stride, y offset. Output pixel o of an axis has its tap t at input
 * o * stride + origin + t * tap step, and lies at o * y stride + y offset of y. */
#ifndef NNF_CONV_GATHER_H
#define NNF_CONV_GATHER_H

typedef struct geometry {
    int64_t B, N, groups, C;
    const int64_t *out, *in, *taps, *stride, *tap_step, *origin, *y_size, *y_stride, *y_offset;
    int64_t pixels, K;  /* outputs of all images; length of the sum */
    int64_t row, pixel; /* elements of the taps that follow each other along the width; of a pixel of x */
    int plain;          /* output pixels fill y in order */
} geometry;

enum { GEOMETRY_SIZES = 31 };

static geometry geometry_of(const int64_t *size) {
    geometry g = {.B = size[0], .N = size[1], .groups = size[2], .C = size[3]};
    const int64_t **axes[] = {&g.out,    &g.in,     &g.taps,     &g.stride,  &g.tap_step,
                              &g.origin, &g.y_size, &g.y_stride, &g.y_offset};
    for (int i = 0; i < 9; i++)
        *axes[i] = size + 4 + 3 * i;
    g.pixels = g.B * g.out[0] * g.out[1] * g.out[2];
    g.row = g.taps[2] * g.C;
    g.K = g.taps[0] * g.taps[1] * g.row;
    g.pixel = g.groups * g.C;
    g.plain = 1;
    for (int i = 0; i < 3; i++)
        g.plain &= g.y_size[i] == g.out[i] && g.y_stride[i] == 1 && g.y_offset[i] == 0;
    return g;
}

/* Place of an output pixel: image, depth, height, width. */
typedef struct place {
    int64_t b, d, h, w;
} place;

static place place_of(const geometry *g, int64_t pixel) {
    const int64_t rows = pixel / g->out[2], planes = rows / g->out[1];
    return (place){planes / g->out[0], planes % g->out[0], rows % g->out[1], pixel % g->out[2]};
}

NNF_INLINE void next_place(const geometry *g, place *p) {
    if (++p->w < g->out[2])
        return;
    p->w = 0;
    if (++p->h < g->out[1])
        return;
    p->h = 0;
    if (++p->d < g->out[0])
        return;
    p->d = 0;
    p->b++;
}

/* Element of y with which the pixel begins. */
NNF_INLINE int64_t y_place(const geometry *g, place p) {
    const int64_t d = p.d * g->y_stride[0] + g->y_offset[0], h = p.h * g->y_stride[1] + g->y_offset[1],
                  w = p.w * g->y_stride[2] + g->y_offset[2];
    return (((p.b * g->y_size[0] + d) * g->y_size[1] + h) * g->y_size[2] + w) * g->N;
}

/* Whole vectors are written, in ascending order, so that later ones repair what earlier ones spilled over: y needs
 * LANES spare elements. */
NNF_INLINE void copy_elements(real *y, const real *x, int64_t n) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_load(x + i));
    if (i < n)
        v_store(y + i, v_load_first(x + i, n - i));
}

NNF_INLINE void clear_elements(real *y, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES)
        v_store(y + i, v_zero());
}

NNF_INLINE int64_t limited(int64_t x, int64_t least, int64_t most) { return x < least ? least : x > most ? most : x; }

/* Elements e to e + n of the taps along one row of x (0 where that lies outside); first: where tap 0 lies. */
static void find_row(const geometry *g, real *y, const real *x, int64_t first, int64_t group, int64_t e, int64_t n) {
    if (x == 0) {
        clear_elements(y, n);
        return;
    }
    if (g->tap_step[2] == 1 && g->groups == 1) {
        const int64_t from = limited(-first * g->C - e, 0, n), to = limited((g->in[2] - first) * g->C - e, from, n);
        if (from > 0)
            clear_elements(y, from);
        copy_elements(y + from, x + first * g->C + e + from, to - from);
        if (to < n)
            clear_elements(y + to, n - to);
        return;
    }
    for (int64_t tap = e / g->C, c = e % g->C; n > 0; tap++, c = 0) {
        const int64_t count = smaller(g->C - c, n), w = first + tap * g->tap_step[2];
        if (w >= 0 && w < g->in[2])
            copy_elements(y, x + w * g->pixel + group * g->C + c, count);
        else
            clear_elements(y, count);
        y += count;
        n -= count;
    }
}

/* y[n] = what elements k to k + n of the sum multiply at an output pixel */
static void find(const geometry *g, real *y, const real *x, place p, int64_t group, int64_t k, int64_t n) {
    const int64_t d0 = p.d * g->stride[0] + g->origin[0], h0 = p.h * g->stride[1] + g->origin[1],
                  w0 = p.w * g->stride[2] + g->origin[2];
    if (n == 0)
        return;
    for (int64_t tap = k / g->row, e = k % g->row; n > 0; tap++, e = 0) {
        const int64_t count = smaller(g->row - e, n);
        const int64_t d = d0 + tap / g->taps[1] * g->tap_step[0], h = h0 + tap % g->taps[1] * g->tap_step[1];
        const int inside = d >= 0 && d < g->in[0] && h >= 0 && h < g->in[1];
        find_row(g, y, inside ? x + ((p.b * g->in[0] + d) * g->in[1] + h) * g->in[2] * g->pixel : 0, w0, group, e,
                 count);
        y += count;
        n -= count;
    }
}

#endif
