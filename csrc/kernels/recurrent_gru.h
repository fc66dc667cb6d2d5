/* GRU (Cho et al. 2014), reset after the product. With s = h_before w + bias, columns z r n:
 *   z = sigmoid(x_z + s_z),  r = sigmoid(x_r + s_r),  n = tanh(x_n + r s_n),  h = n + z (h_before - n)
 * gates keeps z, r, n and s_n. */
#ifndef NNF_RECURRENT_GRU_H
#define NNF_RECURRENT_GRU_H

NNF_INLINE vec gru_sum(const recurrence *r, const real *const *sums, int64_t gate, int64_t u, int64_t n) {
    const vec sum = load_part(sums[gate] + u - r->units.begin, n);
    return r->buffer[12] ? v_add(sum, load_part(r->buffer[12] + gate * r->H + u, n)) : sum;
}

static void gru_cell(const recurrence *r, const real *const *sums, int64_t b, int64_t place, int64_t before) {
    const int64_t H = r->H, at = b * r->T + place;
    const real *x = r->buffer[6] + at * 3 * H;
    real *gates = r->buffer[5] ? r->buffer[5] + at * 4 * H : 0;
    const real *h_before = state_before(r, r->buffer[0], r->buffer[8], b, before);
    const int padding = is_padding(r->buffer[10], r, b, place);
    for (int64_t u = r->units.begin; u < r->units.end; u += LANES) {
        const int64_t n = r->units.end - u;
        const vec h = load_or_zero(h_before, u, n);
        if (padding) {
            keep_state(r, b, place, before, u, n, h);
            for (int64_t g = 0; gates && g < 4; g++)
                store_part(gates + g * H + u, v_zero(), n);
            continue;
        }
        const vec update = v_sigmoid(v_add(load_part(x + u, n), gru_sum(r, sums, 0, u, n)));
        const vec reset = v_sigmoid(v_add(load_part(x + H + u, n), gru_sum(r, sums, 1, u, n)));
        const vec sum = gru_sum(r, sums, 2, u, n);
        const vec new = v_tanh(v_fma(reset, sum, load_part(x + 2 * H + u, n)));
        keep_state(r, b, place, before, u, n, v_fma(update, v_sub(h, new), new));
        if (gates) {
            store_part(gates + u, update, n);
            store_part(gates + H + u, reset, n);
            store_part(gates + 2 * H + u, new, n);
            store_part(gates + 3 * H + u, sum, n);
        }
    }
}

static void gru_cell_gradient(const recurrence *r, const real *const *sums, int64_t b, int64_t place, int64_t after) {
    if (place < 0 || is_padding(r->buffer[12], r, b, place)) {
        pass_by(r, sums[0], b, place, after);
        return;
    }
    const int64_t H = r->H, at = b * r->T + place;
    const int64_t before = r->backwards ? (place + 1 < r->T ? place + 1 : -1) : place - 1;
    const real *gates = r->buffer[8] + at * 4 * H;
    const real *h_before = state_before(r, r->buffer[10], r->buffer[11], b, before);
    real *dx = r->buffer[0] + at * 3 * H, *dz = r->buffer[3] + at * 3 * H;
    const vec one = v_set(1);
    for (int64_t u = r->units.begin; u < r->units.end; u += LANES) {
        const int64_t n = r->units.end - u;
        const vec dh = state_gradient(r, sums[0], b, place, after, u, n, 1);
        const vec update = load_part(gates + u, n), reset = load_part(gates + H + u, n);
        const vec new = load_part(gates + 2 * H + u, n), sum = load_part(gates + 3 * H + u, n);
        const vec kept = v_mul(dh, update);
        const vec d_new = v_mul(v_sub(dh, kept), v_fnma(new, new, one));
        const vec d_update = v_mul(v_mul(kept, v_sub(load_or_zero(h_before, u, n), new)), v_sub(one, update));
        const vec d_sum = v_mul(d_new, reset);
        const vec d_reset = v_mul(v_mul(d_sum, sum), v_sub(one, reset));
        store_part(dx + u, d_update, n);
        store_part(dx + H + u, d_reset, n);
        store_part(dx + 2 * H + u, d_new, n);
        store_part(dz + u, d_update, n);
        store_part(dz + H + u, d_reset, n);
        store_part(dz + 2 * H + u, d_sum, n);
        store_part(r->buffer[1] + b * H + u, kept, n);
    }
}

static void k_gru(const nnf_step *step, int thread, int threads) { run_forward(step, 3, thread, threads, gru_cell); }

static void k_gru_gradient(const nnf_step *step, int thread, int threads) {
    run_gradient(step, 3, thread, threads, gru_cell_gradient);
}

#endif
