/* turn_weight: w as the gradient of the input multiplies it, inputs and outputs exchanged and taps in another order
 *
 * Buffers: turned, w in panels [taps * C, N]. Sizes: C, N, groups, phases, taps; then for each phase the number of its
 * taps and which they are. A phase is a convolution of its own by panels [its taps * N / groups, groups * C]; they
 * follow each other in turned. With a stride, pixels of the input that see different taps of w are different phases. */
#ifndef NNF_CONV_TURN_H
#define NNF_CONV_TURN_H

/* One panel of a phase: columns are the inputs from c on, rows the taps and, for each, the outputs of the group. */
static void turn_panel(real *to, const real *w, const int64_t *size, const int64_t *taps, int64_t count, int64_t T,
                       int64_t c) {
    const int64_t C = size[0], N = size[1], groups = size[2], outputs = N / groups;
    for (int64_t t = 0; t < count; t++, to += outputs * NNF_PANEL) {
        if (groups == 1) {
            for (int64_t n = 0; n < N; n += NNF_PANEL)
                pack_transposed(to + n * NNF_PANEL, NNF_PANEL, w + n * T * C + (taps[t] * C + c) * NNF_PANEL, NNF_PANEL,
                                smaller(NNF_PANEL, C - c), smaller(NNF_PANEL, N - n));
            continue;
        }
        for (int64_t n = 0; n < outputs; n++)
            for (int64_t i = c; i < c + NNF_PANEL; i++) {
                const int64_t column = i / C * outputs + n, row = taps[t] * C + i % C;
                to[n * NNF_PANEL + i - c] =
                    i < groups * C ? w[column / NNF_PANEL * NNF_PANEL * T * C + row * NNF_PANEL + column % NNF_PANEL]
                                   : (real)0;
            }
    }
}

static void k_turn_weight(const nnf_step *step, int thread, int threads) {
    const int64_t *size = step->size;
    const int64_t C = size[0], N = size[1], groups = size[2], phases = size[3], T = size[4];
    real *turned = (real *)step->buffer[0];
    const range part = part_of(groups * C, NNF_PANEL, thread, threads);
    const int64_t *phase = size + 5;
    for (int64_t i = 0; i < phases; i++, phase += 1 + phase[0]) {
        const int64_t rows = phase[0] * (groups ? N / groups : 0);
        for (int64_t c = part.begin; c < part.end; c += NNF_PANEL)
            turn_panel(turned + c * rows, (const real *)step->buffer[1], size, phase + 1, phase[0], T, c);
        turned += (groups * C + NNF_PANEL - 1) / NNF_PANEL * NNF_PANEL * rows;
    }
}

#endif
