/* Copies into the layouts of the microkernel, and the transposition of LANES x LANES blocks in registers. */
#ifndef NNF_MATMUL_PACK_H
#define NNF_MATMUL_PACK_H

/* Lane i of the first result is b[i - d] where i has the bit d, else a[i]; of the second b[i], else a[i + d]. */
#define NNF_LOW(i, d) ((i) & (d) ? LANES + (i) - (d) : (i))
#define NNF_HIGH(i, d) ((i) & (d) ? LANES + (i) : (i) + (d))
#if LANES == 16
#define NNF_EACH_LANE(F, d)                                                                                            \
    F(0, d), F(1, d), F(2, d), F(3, d), F(4, d), F(5, d), F(6, d), F(7, d), F(8, d), F(9, d), F(10, d), F(11, d),      \
        F(12, d), F(13, d), F(14, d), F(15, d)
#elif LANES == 8
#define NNF_EACH_LANE(F, d) F(0, d), F(1, d), F(2, d), F(3, d), F(4, d), F(5, d), F(6, d), F(7, d)
#elif LANES == 4
#define NNF_EACH_LANE(F, d) F(0, d), F(1, d), F(2, d), F(3, d)
#else
#define NNF_EACH_LANE(F, d) F(0, d), F(1, d)
#endif

#define NNF_EXCHANGE(d)                                                                                                \
    _Pragma("GCC unroll 16") for (int r = 0; r < LANES; r++) if (!(r & (d))) {                                         \
        const vec a = t[r], b = t[r + (d)];                                                                            \
        t[r] = __builtin_shufflevector(a, b, NNF_EACH_LANE(NNF_LOW, d));                                               \
        t[r + (d)] = __builtin_shufflevector(a, b, NNF_EACH_LANE(NNF_HIGH, d));                                        \
    }

/* t[c] is column c of x[rows, columns], at most LANES of both; what is missing is zero. Where rows are whole, the first
 * exchange is two loads of half a vector: on x86 the second does without the one port for shuffles. */
NNF_INLINE void load_transposed(vec t[LANES], const real *x, int64_t ldx, int64_t rows, int64_t columns) {
    enum { HALF = LANES / 2 };
    static const real zeros[LANES];
    if (columns >= LANES) {
#pragma GCC unroll 16
        for (int r = 0; r < HALF; r++) {
            const real *low = r < rows ? x + r * ldx : zeros, *high = r + HALF < rows ? x + (r + HALF) * ldx : zeros;
            t[r] = v_load_halves(low, high);
            t[r + HALF] = v_load_halves(low + HALF, high + HALF);
        }
    } else {
#pragma GCC unroll 16
        for (int r = 0; r < LANES; r++)
            t[r] = r < rows ? v_load_first(x + r * ldx, columns) : v_zero();
        NNF_EXCHANGE(HALF)
    }
#if LANES > 8
    NNF_EXCHANGE(4)
#endif
#if LANES > 4
    NNF_EXCHANGE(2)
#endif
#if LANES > 2
    NNF_EXCHANGE(1)
#endif
}

enum { PACK_GROUPS = (NNF_PANEL + LANES - 1) / LANES };

/* y[columns, width] = transpose of x[rows, columns], rows <= width <= 16, zero where x has no row. Whole vectors are
 * written, in ascending order, so that later ones repair what earlier ones spilled over: y needs LANES spare elements.
 */
static void pack_transposed(real *y, int64_t width, const real *x, int64_t ldx, int64_t rows, int64_t columns) {
    const int groups = (int)((width + LANES - 1) / LANES);
    for (int64_t c = 0; c < columns; c += LANES) {
        const int64_t count = columns - c < LANES ? columns - c : LANES;
        vec t[PACK_GROUPS][LANES];
#pragma GCC unroll 1
        for (int g = 0; g < groups; g++) {
            load_transposed(t[g], x + g * LANES * ldx + c, ldx, rows - g * LANES, count);
        }
        if (groups == 1 && count == LANES) {
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                v_store(y + (c + i) * width, t[0][i]);
            continue;
        }
        for (int64_t i = 0; i < count; i++)
            for (int g = 0; g < groups; g++)
                v_store(y + (c + i) * width + g * LANES, t[g][i]);
    }
}

/* y[rows, 16] = x[rows, columns], columns <= 16, zero beyond. */
static void pack_panel(real *y, const real *x, int64_t ldx, int64_t rows, int64_t columns) {
    if (columns == NNF_PANEL) {
        for (int64_t r = 0; r < rows; r++)
            for (int v = 0; v < NNF_PANEL; v += LANES)
                v_store(y + r * NNF_PANEL + v, v_load(x + r * ldx + v));
        return;
    }
    for (int64_t r = 0; r < rows; r++)
        for (int v = 0; v < NNF_PANEL; v += LANES) {
            const int64_t left = columns - v < 0 ? 0 : columns - v;
            v_store(y + r * NNF_PANEL + v, v_load_first(x + r * ldx + v, left < LANES ? left : LANES));
        }
}

/* y[panel][rows][16] = x[rows, columns], zero beyond. Four panels at a time: a row of x far from the one before is
 * worth more than one line. */
static void pack_panels(real *y, const real *x, int64_t ldx, int64_t rows, int64_t columns) {
    enum { FOUR = 4 * NNF_PANEL, ROWS_AHEAD = 8 };
    int64_t c = 0;
    for (; c + FOUR <= columns; c += FOUR)
        for (int64_t r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int v = 0; v < FOUR; v += LANES) {
                const real *from = x + r * ldx + c + v;
                __builtin_prefetch(from + ROWS_AHEAD * ldx, 0, 3);
                v_store(y + c * rows + r * NNF_PANEL + vector_offset(v / LANES, rows * NNF_PANEL), v_load(from));
            }
    for (; c < columns; c += NNF_PANEL)
        pack_panel(y + c * rows, x + c, ldx, rows, columns - c < NNF_PANEL ? columns - c : NNF_PANEL);
}

/* y[rows, width] = x[rows, width], width <= 16; y needs 16 spare elements. Whole vectors are read where the next row of
 * x lies behind them, and written in ascending order, so that later ones repair what earlier ones spilled over. */
static void pack_rows(real *y, int64_t width, const real *x, int64_t ldx, int64_t rows) {
    const int64_t inside = ldx >= NNF_PANEL ? rows - 1 : 0;
    int64_t r = 0;
    for (; r < inside; r++)
        for (int v = 0; v < NNF_PANEL && v < width; v += LANES)
            v_store(y + r * width + v, v_load(x + r * ldx + v));
    for (; r < rows; r++)
        for (int64_t v = 0; v < width; v += LANES)
            v_store(y + r * width + v, v_load_first(x + r * ldx + v, width - v < LANES ? width - v : LANES));
}

#endif
