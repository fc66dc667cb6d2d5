/* The order in which a block's pixels are summed: those that find the same taps inside the input follow each other, and
 * a strip of them leaves out the taps that lie in the padding for all of it: 4 % of the products of a 3 x 3 convolution
 * of 32 x 32 pixels, 16 % of 8 x 8, 31 % of 4 x 4.
 *
 * What is left out is a zero times w, which changes no sum as long as w is finite, but for the sign of one that is
 * zero. So each result begins by adding its first chunk's sum to +0, and where w is not finite nothing is left out. */
#ifndef NNF_CONV_ORDER_H
#define NNF_CONV_ORDER_H

enum {
    MOST_ZONES = 8,    /* along an axis; the last one takes what is left */
    ORDERED_SUM = 128, /* products of a sum, and pixels, that are worth ordering the pixels for */
    ORDERED_PIXELS = 512,
    ORDERED_COST = 40,
    TAP_ROWS = 32, /* rows of a tap that are enough for strips of their own */
};
/* Of what taps find, at most, for leaving out the rest to pay in a gradient of the weight. */
#define MOST_INSIDE(C) ((C) < 2 * TAP_ROWS ? 7. / 8 : 15. / 16)

/* Outputs of an axis that find the same taps, begin to end, inside the input. */
typedef struct zones {
    int64_t count, first[MOST_ZONES + 1]; /* outputs with which they begin, and where the last one ends */
    int64_t begin[MOST_ZONES], end[MOST_ZONES];
} zones;

typedef struct reach {
    int64_t begin[3], end[3]; /* taps of each axis */
} reach;

static zones zones_of(const geometry *g, int axis) {
    const int64_t taps = g->taps[axis], step = g->tap_step[axis], stride = g->stride[axis], in = g->in[axis];
    const int64_t inside_to = (in - g->origin[axis] - (taps - 1) * step + stride - 1) / stride;
    zones z = {0};
    for (int64_t o = 0; o < g->out[axis];) {
        const int64_t at = o * stride + g->origin[axis];
        const int64_t begin = limited((step - 1 - at) / step, 0, taps);
        const int64_t end = limited((in - at + step - 1) / step, begin, taps);
        const int64_t last = z.count - 1;
        if (z.count == 0 || ((begin != z.begin[last] || end != z.end[last]) && z.count < MOST_ZONES)) {
            z.first[z.count] = o;
            z.begin[z.count] = begin;
            z.end[z.count++] = end;
        } else {
            z.begin[last] = smaller(z.begin[last], begin);
            z.end[last] = larger(z.end[last], end);
        }
        o = begin == 0 && end == taps ? larger(o + 1, inside_to) : o + 1;
    }
    z.first[z.count] = g->out[axis];
    return z;
}

NNF_INLINE int64_t zone_of(const zones *z, int64_t output) {
    int64_t zone = 0;
    while (output >= z->first[zone + 1])
        zone++;
    return zone;
}

/* The number of a pixel's zones along all axes. Neighbours in this order find much the same taps: every second row of
 * zones is numbered from right to left. */
NNF_INLINE int64_t zone_number(const zones *axis, int64_t d, int64_t h, int64_t w) {
    return (d * axis[1].count + h) * axis[2].count + (h % 2 ? axis[2].count - 1 - w : w);
}

static void widen_reach(reach *taps, const zones *axis, int64_t number) {
    const int64_t h = number / axis[2].count % axis[1].count, w = number % axis[2].count;
    const int64_t zone[3] = {number / axis[2].count / axis[1].count, h, h % 2 ? axis[2].count - 1 - w : w};
    for (int i = 0; i < 3; i++) {
        taps->begin[i] = smaller(taps->begin[i], axis[i].begin[zone[i]]);
        taps->end[i] = larger(taps->end[i], axis[i].end[zone[i]]);
    }
}

/* The taps that any pixel of some zones finds inside the input. */
static reach reach_of(const geometry *g, const zones *axis, const int16_t *zone, int count) {
    reach taps = {{g->taps[0], g->taps[1], g->taps[2]}, {0, 0, 0}};
    for (int i = 0; i < count; i++)
        if (i == 0 || zone[i] != zone[i - 1])
            widen_reach(&taps, axis, zone[i]);
    return taps;
}

NNF_INLINE int reaches_all(const geometry *g, const reach *taps) {
    int all = 1;
    for (int i = 0; i < 3; i++)
        all &= taps->begin[i] == 0 && taps->end[i] == g->taps[i];
    return all;
}

/* Of some runs of the sum what lies within the taps; returns how many runs there are. */
static int64_t runs_within(const geometry *g, run *within, const run *runs, int64_t count, const reach *taps) {
    int64_t found = 0, gap = 0;
    for (const run *r = runs; r < runs + count; r++) {
        const int64_t d = r->d / g->tap_step[0], h = r->h / g->tap_step[1], w = r->w / g->tap_step[2];
        if (d < taps->begin[0] || d >= taps->end[0] || h < taps->begin[1] || h >= taps->end[1]) {
            gap += r->count;
            continue;
        }
        const int64_t from = larger(0, (taps->begin[2] - w) * g->C - r->e),
                      to = smaller(r->count, (taps->end[2] - w) * g->C - r->e);
        if (from >= to) {
            gap += r->count;
            continue;
        }
        within[found] = *r;
        within[found].offset += from;
        within[found].e += from;
        within[found].gap = gap + from;
        within[found++].count = to - from;
        gap = r->count - to;
    }
    return found;
}

/* Outputs of an axis that find a tap inside the input. */
static range outputs_within(const geometry *g, int axis, int64_t tap) {
    const int64_t at = g->origin[axis] + tap * g->tap_step[axis], stride = g->stride[axis];
    const int64_t begin = limited((stride - 1 - at) / stride, 0, g->out[axis]);
    return (range){begin, limited((g->in[axis] - at + stride - 1) / stride, begin, g->out[axis])};
}

/* Is enough of what taps find padding, in a gradient of the weight? */
static int leaves_out(const geometry *g) {
    if (g->K < ORDERED_SUM || g->C < TAP_ROWS)
        return 0;
    double inside = 1;
    for (int i = 0; i < 3; i++) {
        int64_t found = 0;
        for (int64_t tap = 0; tap < g->taps[i]; tap++) {
            const range outputs = outputs_within(g, i, tap);
            found += outputs.end - outputs.begin;
        }
        inside *= (double)found / (double)larger(g->taps[i] * g->out[i], 1);
    }
    return inside <= MOST_INSIDE(g->C);
}

/* Of some runs of pixels those that find a tap inside the input, pixels `step` apart; returns how many runs there are.
 */
static int64_t pixels_within(const geometry *g, run *within, const run *runs, int64_t count, int64_t tap,
                             int64_t step) {
    const range d = outputs_within(g, 0, tap / g->taps[2] / g->taps[1]),
                h = outputs_within(g, 1, tap / g->taps[2] % g->taps[1]), w = outputs_within(g, 2, tap % g->taps[2]);
    int64_t found = 0, gap = 0;
    for (const run *r = runs; r < runs + count; r++) {
        const int inside = r->d >= d.begin && r->d < d.end && r->h >= h.begin && r->h < h.end;
        const int64_t from = limited(w.begin - r->w, 0, r->count), to = limited(w.end - r->w, from, r->count);
        if (!inside || from == to) {
            gap += r->count;
            continue;
        }
        within[found++] = (run){.offset = r->offset + from * step, .gap = gap + from, .count = to - from};
        gap = r->count - to;
    }
    return found;
}

/* Is all of a matrix finite? Rows are `row` elements apart. */
static int all_finite(const real *x, int64_t rows, int64_t row, int64_t columns) {
    vec sum = v_zero(), other = v_zero();
    for (int64_t r = 0; r < rows; r++, x += row) {
        int64_t i = 0;
        for (; i + 2 * LANES <= columns; i += 2 * LANES) {
            sum = v_fma(v_load(x + i), v_zero(), sum); /* 0, or not a number */
            other = v_fma(v_load(x + i + LANES), v_zero(), other);
        }
        for (; i < columns; i += LANES)
            sum = v_fma(v_load_first(x + i, smaller(columns - i, LANES)), v_zero(), sum);
    }
    return !m_any(v_ne(v_add(sum, other), v_zero()));
}

#endif
