/* Recurrent nets: a whole sequence, or some steps of it, per call. recurrent_lstm.h, recurrent_gru.h and
 * recurrent_simple.h have the cells; here is what they share: who computes what, and the product with the state.
 *
 * B is the batch, T the length, H the units, G the gates (4, 3, 1). The product x W of all steps is made before
 * (linear); a step adds h w [B, H] x [H, G H] to it and applies the cell. Gates lie behind each other: column g H + u
 * is gate g of unit u.
 *
 * Two divisions. By rows: a thread owns sequences and runs through all steps, without waiting for anybody. By units:
 * for few sequences a thread owns units, so that its part of w stays in its cache; other threads need its states, so
 * each time step is a step of the plan, with a barrier. Bits are the same: an element's chain does not know who
 * computes it.
 *
 * Buffers of a forward kernel (those that it does without are NULL):
 *   0 y[B, T, H]  1 h_last[B, H]  2 c_last[B, H]  3 h_before[B, T, H], what the product reads  4 c_before[B, T, H]
 *   5 gates[B, T, 4 H] | 6 xw[B, T, G H]  7 w[H, G H] in panels  8 h0[B, H]  9 c0[B, H]  10 mask[B, T]
 *   11 dropout[B, H], factors of the state in the product  12 bias[G H] of the product
 * of a gradient:
 *   0 dxw[B, T, G H]  1 dh0[B, H], the running gradient  2 dc0[B, H], likewise  3 dz[B, T, G H], of the product, where
 *   it is not dxw | 4 dy[B, T, H]  5 dh_last[B, H]  6 dc_last[B, H]  7 transposed w[G H, H] in panels
 *   8 gates[B, T, 4 H]  9 c_before  10 y  11 h0  12 mask  13 dropout
 * Sizes: B, T, H, first and last step of this call, backwards in time, by units, activation (0 tanh, 1 relu).
 * A gradient has T + 1 steps, the last of which ends dh0. Where the mask is 0, state and output stay as they were. */
#ifndef NNF_KERNELS_RECURRENT_H
#define NNF_KERNELS_RECURRENT_H

enum {
    FORWARD_BUFFERS = 13,
    GRADIENT_BUFFERS = 14,
    MOST_GATES = 4,
    PRODUCT_BYTES = 1 << 20, /* of sums that wait for the cell: half of the second-level cache */
};

typedef struct recurrence recurrence;
/* One sequence b at step `place` of the time axis, reached from `before` (-1: the first one); own units. sums[g] has
 * the product for gate g, from the first own unit on. */
typedef void (*cell_function)(const recurrence *r, const real *const *sums, int64_t b, int64_t place, int64_t before);

struct recurrence {
    const nnf_step *step;
    int64_t B, T, H, G;
    range rows, units;
    int backwards, relu;
    real *buffer[GRADIENT_BUFFERS];
    real *packed, *sums, *first; /* scratch: for the product, its results, the initial state after dropout */
};

static recurrence recurrence_of(const nnf_step *step, int64_t gates, int buffers, int thread, int threads) {
    const int64_t *size = step->size;
    recurrence r = {
        .step = step,
        .B = size[0],
        .T = size[1],
        .H = size[2],
        .G = gates,
        .rows = {0, size[0]},
        .units = {0, size[2]},
        .backwards = (int)size[5],
        .relu = (int)size[7],
        .packed = own_scratch(step, thread),
        .sums = own_scratch(step, thread) + NNF_SCRATCH_BYTES / 4 / (int64_t)sizeof(real),
        .first = own_scratch(step, thread) + 3 * NNF_SCRATCH_BYTES / 4 / (int64_t)sizeof(real),
    };
    for (int i = 0; i < buffers; i++)
        r.buffer[i] = (real *)step->buffer[i];
    const int team = (int)smaller(threads, step->threads);
    if (size[6])
        r.units = thread < team ? part_of(r.H, NNF_PANEL, thread, team) : (range){0, 0};
    else
        r.rows = thread < team ? part_of(r.B, 1, thread, team) : (range){0, 0};
    return r;
}

/* Where a step lies on the time axis. */
NNF_INLINE int64_t step_place(const recurrence *r, int64_t step) { return r->backwards ? r->T - 1 - step : step; }

NNF_INLINE int is_padding(const real *mask, const recurrence *r, int64_t b, int64_t place) {
    return mask && mask[b * r->T + place] == 0;
}

NNF_INLINE vec load_part(const real *p, int64_t n) { return n >= LANES ? v_load(p) : v_load_first(p, n); }
NNF_INLINE void store_part(real *p, vec x, int64_t n) {
    if (n >= LANES)
        v_store(p, x);
    else
        v_store_first(p, x, n);
}
NNF_INLINE vec load_or_zero(const real *p, int64_t offset, int64_t n) {
    return p ? load_part(p + offset, n) : v_zero();
}

/* The sums of rows [begin, begin + count) of one step: x[row] w, columns [from, to), into y[row - begin, column]. */
static void state_product(const recurrence *r, const real *x, int64_t ldx, int64_t count, const real *w, int64_t K,
                          int64_t N, range columns, real *y, int64_t ldy) {
    const linear l = {
        .step = r->step, .y = y, .x = x, .w = w, .N = N, .K = K, .ldy = ldy, .ldx = ldx, .packed = r->packed};
    linear_range(&l, (range){0, count}, columns);
}

/* Rows whose sums of `width` columns wait in the scratch together. */
static strips recurrent_blocks(const recurrence *r, int64_t width) {
    return strips_of(r->rows.end - r->rows.begin, larger(1, PRODUCT_BYTES / (int64_t)sizeof(real) / larger(1, width)));
}

/* One step forward for `count` rows of x: gate g of own unit u stands at sums[g][row * stride + u - first].
 */
static int64_t forward_sums(const recurrence *r, int64_t count, const real *x, int64_t ldx, const real **sums) {
    const int64_t H = r->H, N = r->G * H, own = r->units.end - r->units.begin;
    const int whole = own == H;
    /* by units, a gate's own columns begin and end within panels, which are computed as wholes */
    const int64_t width = whole ? N : (own + 2 * NNF_PANEL) * r->G;
    for (int64_t g = 0; g < r->G; g++) {
        const int64_t column = g * H + r->units.begin;
        const int64_t from = column / NNF_PANEL * NNF_PANEL;
        const int64_t to = smaller(N, (column + own + NNF_PANEL - 1) / NNF_PANEL * NNF_PANEL);
        real *run = whole ? r->sums : r->sums + g * (own + 2 * NNF_PANEL);
        sums[g] = whole ? run + g * H : run + column - from;
        if (x && !whole)
            state_product(r, x, ldx, count, r->buffer[7], H, N, (range){from, to}, run - from, width);
    }
    if (x && whole)
        state_product(r, x, ldx, count, r->buffer[7], H, N, (range){0, N}, r->sums, width);
    for (int64_t i = 0; !x && i < count * width; i += LANES)
        v_store(r->sums + i, v_zero());
    return width;
}

/* What the first product reads: NULL for zeros. */
static const real *first_state(const recurrence *r, int64_t begin, int64_t count) {
    const real *h0 = r->buffer[8] ? r->buffer[8] + begin * r->H : 0;
    if (!h0 || !r->buffer[11])
        return h0;
    for (int64_t i = 0; i < count * r->H; i++)
        r->first[i] = h0[i] * r->buffer[11][begin * r->H + i];
    return r->first;
}

static void run_forward(const nnf_step *step, int64_t gates, int thread, int threads, cell_function cell) {
    const recurrence r = recurrence_of(step, gates, FORWARD_BUFFERS, thread, threads);
    const int64_t T = r.T, H = r.H, own = r.units.end - r.units.begin;
    if (own <= 0)
        return;
    const real *h_before = r.buffer[3];
    const strips blocks = recurrent_blocks(&r, (own + 2 * NNF_PANEL) * gates);
    for (int64_t i = 0; i < blocks.count; i++) {
        const int64_t begin = r.rows.begin + strip_begin(blocks, i), count = strip_rows(blocks, i);
        for (int64_t s = step->size[3]; s < step->size[4]; s++) {
            const int64_t place = step_place(&r, s), before = s ? step_place(&r, s - 1) : -1;
            const real *x = !s ? first_state(&r, begin, count)
                               : (h_before ? h_before + place * H : r.buffer[0] + before * H) + begin * T * H;
            const real *sums[MOST_GATES], *row[MOST_GATES];
            const int64_t stride = forward_sums(&r, count, x, s ? T * H : H, sums);
            for (int64_t b = 0; b < count; b++) {
                for (int64_t g = 0; g < gates; g++)
                    row[g] = sums[g] + b * stride;
                cell(&r, row, begin + b, place, before);
            }
        }
    }
}

/* What follows a cell's new state h of n units from u on: the output, what the next product reads, the last state. */
NNF_INLINE void keep_state(const recurrence *r, int64_t b, int64_t place, int64_t before, int64_t u, int64_t n, vec h) {
    const int64_t H = r->H, next = r->backwards ? place - 1 : place + 1;
    store_part(r->buffer[0] + (b * r->T + place) * H + u, h, n);
    if (next < 0 || next >= r->T)
        store_part(r->buffer[1] + b * H + u, h, n);
    if (!r->buffer[3])
        return;
    if (before < 0) {
        vec seen = load_or_zero(r->buffer[8], b * H + u, n);
        if (r->buffer[8] && r->buffer[11])
            seen = v_mul(seen, load_part(r->buffer[11] + b * H + u, n));
        store_part(r->buffer[3] + (b * r->T + place) * H + u, seen, n);
    }
    if (next >= 0 && next < r->T) {
        const vec seen = r->buffer[11] ? v_mul(h, load_part(r->buffer[11] + b * H + u, n)) : h;
        store_part(r->buffer[3] + (b * r->T + next) * H + u, seen, n);
    }
}

/* The state that a step starts from, or NULL for zeros. */
NNF_INLINE const real *state_before(const recurrence *r, const real *y, const real *h0, int64_t b, int64_t before) {
    return before >= 0 ? y + (b * r->T + before) * r->H : h0 ? h0 + b * r->H : 0;
}

static void run_gradient(const nnf_step *step, int64_t gates, int thread, int threads, cell_function cell) {
    const recurrence r = recurrence_of(step, gates, GRADIENT_BUFFERS, thread, threads);
    const int64_t T = r.T, H = r.H, N = gates * H, own = r.units.end - r.units.begin;
    if (own <= 0)
        return;
    const real *dz = r.buffer[3] ? r.buffer[3] : r.buffer[0];
    const strips blocks = recurrent_blocks(&r, own);
    for (int64_t i = 0; i < blocks.count; i++) {
        const int64_t begin = r.rows.begin + strip_begin(blocks, i), count = strip_rows(blocks, i);
        for (int64_t s = step->size[3]; s < step->size[4]; s++) { /* s = 0 is the last step in time's order */
            const int64_t after = s ? step_place(&r, T - s) : -1;
            if (s)
                state_product(&r, dz + (begin * T + after) * N, T * N, count, r.buffer[7], N, H, r.units,
                              r.sums - r.units.begin, own);
            for (int64_t b = 0; b < count; b++) {
                const real *sums = r.sums + b * own;
                cell(&r, &sums, begin + b, s < T ? step_place(&r, T - 1 - s) : -1, after);
            }
        }
    }
}

/* Gradients that vanish over time would end in denormal numbers, on which processors are slow: 100 steps of a simple
 * net with small weights took 20 times as long. */
NNF_INLINE vec settled(vec d) { return v_select(v_lt(v_abs(d), v_set(NNF_PAIR(0x1p-100f, 0x1p-960))), v_zero(), d); }

/* The gradient that reaches the state of a step: from the steps after it, then its own output. Place -1: the initial
 * state, which is no output. `carried`: a part of the running gradient that does not pass through the product. */
NNF_INLINE vec state_gradient(const recurrence *r, const real *sums, int64_t b, int64_t place, int64_t after, int64_t u,
                              int64_t n, const int carried) {
    const int64_t at = b * r->H + u;
    vec d;
    if (after < 0)
        d = load_or_zero(r->buffer[5], at, n);
    else {
        d = load_part(sums + u - r->units.begin, n);
        if (r->buffer[13])
            d = v_mul(d, load_part(r->buffer[13] + at, n));
        if (carried)
            d = v_add(d, load_part(r->buffer[1] + at, n));
    }
    if (place >= 0 && r->buffer[4])
        d = v_add(d, load_part(r->buffer[4] + (b * r->T + place) * r->H + u, n));
    return settled(d);
}

/* A padded step: the gradient of the state passes by, that of the gates is zero. */
static void pass_by(const recurrence *r, const real *sums, int64_t b, int64_t place, int64_t after) {
    const int64_t H = r->H, N = r->G * H;
    for (int64_t u = r->units.begin; u < r->units.end; u += LANES) {
        const int64_t n = r->units.end - u;
        store_part(r->buffer[1] + b * H + u, state_gradient(r, sums, b, place, after, u, n, 1), n);
        for (int64_t g = 0; place >= 0 && g < r->G; g++) {
            store_part(r->buffer[0] + (b * r->T + place) * N + g * H + u, v_zero(), n);
            if (r->buffer[3])
                store_part(r->buffer[3] + (b * r->T + place) * N + g * H + u, v_zero(), n);
        }
    }
}

#include "recurrent_gru.h"
#include "recurrent_lstm.h"
#include "recurrent_simple.h"

#define NNF_RECURRENT_KERNELS(X) X(lstm) X(lstm_gradient) X(gru) X(gru_gradient) X(simple_rnn) X(simple_rnn_gradient)

#endif
