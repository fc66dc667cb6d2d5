/* Simple recurrent net (Elman 1990): h = activation(x + h_before w), tanh or relu. The gradient needs the output alone.
 */
#ifndef NNF_RECURRENT_SIMPLE_H
#define NNF_RECURRENT_SIMPLE_H

static void simple_cell(const recurrence *r, const real *const *sums, int64_t b, int64_t place, int64_t before) {
    const int64_t H = r->H, at = b * r->T + place;
    const real *h_before = state_before(r, r->buffer[0], r->buffer[8], b, before);
    const int padding = is_padding(r->buffer[10], r, b, place);
    for (int64_t u = r->units.begin; u < r->units.end; u += LANES) {
        const int64_t n = r->units.end - u;
        if (padding) {
            keep_state(r, b, place, before, u, n, load_or_zero(h_before, u, n));
            continue;
        }
        const vec x = v_add(load_part(r->buffer[6] + at * H + u, n), load_part(sums[0] + u - r->units.begin, n));
        keep_state(r, b, place, before, u, n, r->relu ? v_max(v_zero(), x) : v_tanh(x));
    }
}

static void simple_cell_gradient(const recurrence *r, const real *const *sums, int64_t b, int64_t place,
                                 int64_t after) {
    const int64_t H = r->H, at = b * r->T + place;
    const int masked = r->buffer[12] != 0;
    if ((place < 0 && masked) || (place >= 0 && is_padding(r->buffer[12], r, b, place))) {
        pass_by(r, sums[0], b, place, after);
        return;
    }
    const vec one = v_set(1);
    for (int64_t u = r->units.begin; u < r->units.end; u += LANES) {
        const int64_t n = r->units.end - u;
        const vec dh = state_gradient(r, sums[0], b, place, after, u, n, masked);
        if (place < 0) {
            store_part(r->buffer[1] + b * H + u, dh, n);
            continue;
        }
        const vec y = load_part(r->buffer[10] + at * H + u, n);
        const vec tanh_slope = v_fnma(y, y, one);
        const vec d = r->relu ? v_select(v_lt(v_zero(), y), dh, v_zero()) : v_mul(dh, tanh_slope);
        store_part(r->buffer[0] + at * H + u, d, n);
        if (masked)
            store_part(r->buffer[1] + b * H + u, v_zero(), n);
    }
}

static void k_simple_rnn(const nnf_step *step, int thread, int threads) {
    run_forward(step, 1, thread, threads, simple_cell);
}

static void k_simple_rnn_gradient(const nnf_step *step, int thread, int threads) {
    run_gradient(step, 1, thread, threads, simple_cell_gradient);
}

#endif
