/* LSTM (Hochreiter, Schmidhuber 1997; forget gate: Gers et al. 2000). Gates in Keras' order:
 *   i, f, o = sigmoid(.), g = tanh(.), in the columns i f g o
 *   c = f c_before + i g,  h = o tanh(c)
 * gates keeps i f g o after their functions. */
#ifndef NNF_RECURRENT_LSTM_H
#define NNF_RECURRENT_LSTM_H

NNF_INLINE vec lstm_state(vec i, vec f, vec g, vec c) { return v_fma(f, c, v_mul(i, g)); }

static void lstm_cell(const recurrence *r, const real *const *sums, int64_t b, int64_t place, int64_t before) {
    const int64_t H = r->H, at = b * r->T + place, first = r->units.begin, last = r->units.end;
    const real *x = r->buffer[6] + at * 4 * H;
    const real *c0 = before < 0 ? r->buffer[9] : r->buffer[2];
    real *c_last = r->buffer[2], *gates = r->buffer[5] ? r->buffer[5] + at * 4 * H : 0;
    const real *h_before = state_before(r, r->buffer[0], r->buffer[8], b, before);
    const int padding = is_padding(r->buffer[10], r, b, place);
    for (int64_t u = first; u < last; u += LANES) {
        const int64_t n = last - u, s = u - first;
        const vec c = load_or_zero(c0, b * H + u, n);
        if (r->buffer[4])
            store_part(r->buffer[4] + at * H + u, c, n);
        if (padding) {
            store_part(c_last + b * H + u, c, n);
            keep_state(r, b, place, before, u, n, load_or_zero(h_before, u, n));
            for (int64_t g = 0; gates && g < 4; g++)
                store_part(gates + g * H + u, v_zero(), n);
            continue;
        }
        const vec i = v_sigmoid(v_add(load_part(x + u, n), load_part(sums[0] + s, n)));
        const vec f = v_sigmoid(v_add(load_part(x + H + u, n), load_part(sums[1] + s, n)));
        const vec g = v_tanh(v_add(load_part(x + 2 * H + u, n), load_part(sums[2] + s, n)));
        const vec o = v_sigmoid(v_add(load_part(x + 3 * H + u, n), load_part(sums[3] + s, n)));
        const vec state = lstm_state(i, f, g, c);
        store_part(c_last + b * H + u, state, n);
        keep_state(r, b, place, before, u, n, v_mul(o, v_tanh(state)));
        if (gates) {
            store_part(gates + u, i, n);
            store_part(gates + H + u, f, n);
            store_part(gates + 2 * H + u, g, n);
            store_part(gates + 3 * H + u, o, n);
        }
    }
}

static void lstm_cell_gradient(const recurrence *r, const real *const *sums, int64_t b, int64_t place, int64_t after) {
    const int64_t H = r->H, at = b * r->T + place, first = r->units.begin, last = r->units.end;
    const int masked = r->buffer[12] != 0;
    if (place < 0) {
        for (int64_t u = first; u < last; u += LANES)
            store_part(r->buffer[1] + b * H + u, state_gradient(r, sums[0], b, place, after, u, last - u, masked),
                       last - u);
        return;
    }
    const real *dc0 = after < 0 ? r->buffer[6] : r->buffer[2];
    const real *gates = r->buffer[8] + at * 4 * H;
    real *dz = r->buffer[0] + at * 4 * H;
    const int padding = is_padding(r->buffer[12], r, b, place);
    if (padding && after >= 0) {
        pass_by(r, sums[0], b, place, after);
        return;
    }
    const vec one = v_set(1);
    for (int64_t u = first; u < last; u += LANES) {
        const int64_t n = last - u;
        const vec dh = state_gradient(r, sums[0], b, place, after, u, n, masked);
        const vec dc_after = load_or_zero(dc0, b * H + u, n);
        if (padding) {
            store_part(r->buffer[1] + b * H + u, dh, n);
            store_part(r->buffer[2] + b * H + u, dc_after, n);
            for (int64_t g = 0; g < 4; g++)
                store_part(dz + g * H + u, v_zero(), n);
            continue;
        }
        const vec i = load_part(gates + u, n), f = load_part(gates + H + u, n);
        const vec g = load_part(gates + 2 * H + u, n), o = load_part(gates + 3 * H + u, n);
        const vec c = load_part(r->buffer[9] + at * H + u, n);
        const vec tanh_c = v_tanh(lstm_state(i, f, g, c));
        const vec dh_o = v_mul(dh, o);
        const vec dc = settled(v_add(dc_after, v_fnma(v_mul(dh_o, tanh_c), tanh_c, dh_o)));
        const vec di = v_mul(v_mul(dc, g), v_mul(i, v_sub(one, i)));
        const vec df = v_mul(v_mul(dc, c), v_mul(f, v_sub(one, f)));
        const vec dg = v_mul(v_mul(dc, i), v_fnma(g, g, one));
        const vec d_o = v_mul(v_mul(dh_o, tanh_c), v_sub(one, o));
        store_part(dz + u, di, n);
        store_part(dz + H + u, df, n);
        store_part(dz + 2 * H + u, dg, n);
        store_part(dz + 3 * H + u, d_o, n);
        store_part(r->buffer[2] + b * H + u, v_mul(dc, f), n);
        if (masked)
            store_part(r->buffer[1] + b * H + u, v_zero(), n);
    }
}

static void k_lstm(const nnf_step *step, int thread, int threads) { run_forward(step, 4, thread, threads, lstm_cell); }

static void k_lstm_gradient(const nnf_step *step, int thread, int threads) {
    run_gradient(step, 4, thread, threads, lstm_cell_gradient);
}

#endif
