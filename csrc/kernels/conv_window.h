/* What a block of output pixels sees of the input, so that its taps are at fixed offsets from each pixel: x itself
 * where no tap is in the padding, else a copy with zeros around, of one group's channels, made once per block.
 *
 * The copy is [planes][depth taps][rows][columns][C]: a plane for each (image, depth) that has pixels of the block. */
#ifndef NNF_CONV_WINDOW_H
#define NNF_CONV_WINDOW_H

typedef struct window {
    const real *x; /* 0: there is none */
    geometry g;    /* of a convolution of x, as find_runs wants it */
    int64_t in[3]; /* its sizes, if x is a copy */
    int64_t group; /* the one to look for in x */
    int64_t plane; /* the first one in the copy, and where its first row is in the output */
    int64_t top;
    int copied;
} window;

NNF_INLINE int64_t window_span(const geometry *g, int axis, int64_t outputs) {
    return (outputs - 1) * g->stride[axis] + (g->taps[axis] - 1) * g->tap_step[axis] + 1;
}

/* Is a tap of some pixel in the padding? */
static int sees_padding(const geometry *g) {
    for (int i = 0; i < 3; i++)
        if (g->origin[i] < 0 || g->origin[i] + window_span(g, i, g->out[i]) > g->in[i])
            return 1;
    return 0;
}

/* Most planes that `pixels` pixels in order touch, and most rows of one of them. */
NNF_INLINE int64_t window_planes(const geometry *g, int64_t pixels) {
    const int64_t plane = g->out[1] * g->out[2];
    return smaller(g->B * g->out[0], (pixels + plane - 2) / plane + 1);
}
NNF_INLINE int64_t window_rows(const geometry *g, int64_t pixels) {
    return window_span(g, 1, smaller(g->out[1], (pixels + g->out[2] - 2) / g->out[2] + 1));
}

/* Elements of the copy for any `pixels` pixels in order, with room for what vectors spill over. */
static int64_t window_length(const geometry *g, int64_t pixels) {
    return window_planes(g, pixels) * g->taps[0] * window_rows(g, pixels) * window_span(g, 2, g->out[2]) * g->C + LANES;
}

/* One row of the copy: columns `first` on of a row of x, a pixel after the other; row 0: zeros. */
static void copy_window_row(const geometry *g, real *to, const real *row, int64_t first, int64_t columns) {
    const int64_t begin = row ? limited(-first, 0, columns) : columns, end = limited(g->in[2] - first, begin, columns);
    clear_elements(to, begin * g->C);
    if (g->pixel == g->C)
        copy_elements(to + begin * g->C, row + (first + begin) * g->C, (end - begin) * g->C);
    else
        for (int64_t i = begin; i < end; i++)
            copy_elements(to + i * g->C, row + (first + i) * g->pixel, g->C);
    clear_elements(to + end * g->C, (columns - end) * g->C);
}

/* The window of some pixels in order; `memory` has room for window_length of them. */
static void open_window(window *w, const geometry *g, const real *x, int64_t group, range pixels, real *memory) {
    w->g = *g;
    w->group = group;
    w->copied = sees_padding(g);
    w->x = w->copied ? memory : x;
    if (!w->copied || pixels.end <= pixels.begin)
        return;
    const place begin = place_of(g, pixels.begin), last = place_of(g, pixels.end - 1);
    const int64_t columns = window_span(g, 2, g->out[2]), rows = window_rows(g, pixels.end - pixels.begin);
    w->in[0] = g->taps[0];
    w->in[1] = rows;
    w->in[2] = columns;
    w->g.in = w->in;
    w->g.groups = 1;
    w->g.pixel = g->C;
    w->group = 0;
    w->plane = begin.b * g->out[0] + begin.d;
    w->top = begin.h;
    const int64_t planes = last.b * g->out[0] + last.d - w->plane + 1;
    for (int64_t i = 0; i < planes; i++) {
        const int64_t b = (w->plane + i) / g->out[0], d = (w->plane + i) % g->out[0];
        const int64_t top = i ? 0 : begin.h, bottom = i == planes - 1 ? last.h : g->out[1] - 1;
        const int64_t count = window_span(g, 1, bottom - top + 1);
        for (int64_t t = 0; t < g->taps[0]; t++) {
            const int64_t z = d * g->stride[0] + g->origin[0] + t * g->tap_step[0];
            for (int64_t r = 0; r < count; r++) {
                const int64_t h = top * g->stride[1] + g->origin[1] + r;
                const int inside = z >= 0 && z < g->in[0] && h >= 0 && h < g->in[1];
                const real *row =
                    inside ? x + ((b * g->in[0] + z) * g->in[1] + h) * g->in[2] * g->pixel + group * g->C : 0;
                copy_window_row(g, memory + ((i * g->taps[0] + t) * rows + r) * columns * g->C, row, g->origin[2],
                                columns);
            }
        }
    }
}

/* The pixels of a block, in order, as runs along the width: the first one's place in the output, the offset of its
 * first tap in w->x, and how many; returns how many runs there are. They are g.stride[2] * g.pixel apart. */
static int64_t window_runs(const window *w, run *runs, range pixels) {
    const geometry *g = &w->g;
    int64_t next = pixels.begin, found = 0;
    while (next < pixels.end) {
        const place p = place_of(g, next);
        const int64_t plane = p.b * g->out[0] + p.d - w->plane, top = plane ? 0 : w->top;
        const int64_t row = w->copied ? plane * g->in[0] * g->in[1] + (p.h - top) * g->stride[1]
                                      : (p.b * g->in[0] + p.d * g->stride[0] + g->origin[0]) * g->in[1] +
                                            p.h * g->stride[1] + g->origin[1];
        const int64_t column = (w->copied ? 0 : g->origin[2]) + p.w * g->stride[2];
        runs[found] = (run){.offset = (row * g->in[2] + column) * g->pixel,
                            .d = p.d,
                            .h = p.h,
                            .w = p.w,
                            .count = smaller(g->out[2] - p.w, pixels.end - next)};
        next += runs[found++].count;
    }
    return found;
}

#endif
