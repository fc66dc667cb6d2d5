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

/* A run of elements that follow each other in x and in the sum: the taps of one row, or one tap. */
typedef struct run {
    int64_t offset;   /* from what the first of all taps finds */
    int64_t d, h, w;  /* of its first tap, from the first of all taps */
    int64_t e, count; /* where it begins in the row of taps (in the tap), and its length */
    int64_t gap;      /* elements of the sum that are left out before it */
} run;

enum { MOST_RUNS = NNF_CHUNK };

/* The runs of elements k to k + n of the sum, n <= NNF_CHUNK; returns how many there are. */
static int64_t find_runs(const geometry *g, run *runs, int64_t group, int64_t k, int64_t n) {
    const int together = g->tap_step[2] == 1 && g->groups == 1;
    const int64_t length = together ? g->row : g->C, per_row = together ? 1 : g->taps[2];
    int64_t found = 0;
    for (int64_t at = k; at < k + n; found++) {
        const int64_t tap = at / length, row = tap / per_row;
        run *r = runs + found;
        r->d = row / g->taps[1] * g->tap_step[0];
        r->h = row % g->taps[1] * g->tap_step[1];
        r->w = tap % per_row * g->tap_step[2];
        r->e = at % length;
        r->gap = 0;
        r->count = smaller(length - r->e, k + n - at);
        r->offset = ((r->d * g->in[1] + r->h) * g->in[2] + r->w) * g->pixel + group * g->C + r->e;
        at += r->count;
    }
    return found;
}

/* y = what the runs find at an output pixel; 0 outside of x. Gaps stay as they are. */
static void find(const geometry *g, real *y, const real *x, place p, const run *runs, int64_t count) {
    const int64_t d0 = p.d * g->stride[0] + g->origin[0], h0 = p.h * g->stride[1] + g->origin[1],
                  w0 = p.w * g->stride[2] + g->origin[2];
    const int64_t first = (((p.b * g->in[0] + d0) * g->in[1] + h0) * g->in[2] + w0) * g->pixel;
    const int inside = d0 >= 0 && d0 + (g->taps[0] - 1) * g->tap_step[0] < g->in[0] && h0 >= 0 &&
                       h0 + (g->taps[1] - 1) * g->tap_step[1] < g->in[1] && w0 >= 0 &&
                       w0 + (g->taps[2] - 1) * g->tap_step[2] < g->in[2];
    if (inside) {
        for (const run *r = runs; r < runs + count; y += r->count, r++) {
            y += r->gap;
            copy_elements(y, x + first + r->offset, r->count);
        }
        return;
    }
    for (const run *r = runs; r < runs + count; y += r->count, r++) {
        y += r->gap;
        const int64_t d = d0 + r->d, h = h0 + r->h, w = w0 + r->w;
        int64_t from = r->count, to = r->count;
        if (d >= 0 && d < g->in[0] && h >= 0 && h < g->in[1]) {
            from = limited(-w * g->C - r->e, 0, r->count);
            to = limited((g->in[2] - w) * g->C - r->e, from, r->count);
        }
        clear_elements(y, from);
        copy_elements(y + from, x + first + r->offset + from, to - from);
        clear_elements(y + to, r->count - to);
    }
}

#endif
