/* Copies into the layouts of the microkernel, and the transposition of LANES x LANES blocks in registers. */
#ifndef NNF_MATMUL_PACK_H
#define NNF_MATMUL_PACK_H

/* Shuffles of two vectors a and b, by the lane of (a, b) that lane i becomes. QUAD numbers make 16 bytes: what stays
 * within them is one instruction on x86, without a table. */
enum { QUAD = 128 / NNF_REAL, HALF = LANES / 2 };
#define NNF_LOW_HALVES(i) ((i) < HALF ? (i) : (i) + HALF)
#define NNF_HIGH_HALVES(i) ((i) < HALF ? (i) + HALF : LANES + (i))
#define NNF_EVEN_QUADS(i) ((i) / QUAD % 2 * 2 * QUAD + (i) / QUAD / 2 * LANES + (i) % QUAD)
#define NNF_ODD_QUADS(i) (NNF_EVEN_QUADS(i) + QUAD)
#define NNF_ZIP_LOW(i) ((i) / QUAD * QUAD + (i) % QUAD / 2 + (i) % 2 * LANES)
#define NNF_ZIP_HIGH(i) (NNF_ZIP_LOW(i) + QUAD / 2)
#define NNF_LOW_PAIRS(i) ((i) & 2 ? LANES + (i) - 2 : (i))
#define NNF_HIGH_PAIRS(i) ((i) & 2 ? LANES + (i) : (i) + 2)
#if LANES == 16
#define NNF_EACH_LANE(F)                                                                                               \
    F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7), F(8), F(9), F(10), F(11), F(12), F(13), F(14), F(15)
#elif LANES == 8
#define NNF_EACH_LANE(F) F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7)
#elif LANES == 4
#define NNF_EACH_LANE(F) F(0), F(1), F(2), F(3)
#else
#define NNF_EACH_LANE(F) F(0), F(1)
#endif
#define NNF_SHUFFLE(a, b, F) __builtin_shufflevector(a, b, NNF_EACH_LANE(F))

/* Half h of the first `columns` <= LANES numbers at `low`, and of those at `high`. */
NNF_INLINE vec load_two_halves(const real *low, const real *high, const int h, int64_t columns) {
    if (columns >= LANES)
        return v_load_halves(low + h * HALF, high + h * HALF);
    const vec a = v_load_first(low, columns), b = v_load_first(high, columns);
    return h ? NNF_SHUFFLE(a, b, NNF_HIGH_HALVES) : NNF_SHUFFLE(a, b, NNF_LOW_HALVES);
}

/* t[i] is column i of the LANES x LANES numbers from row[r] + c on, of which `columns` exist; what is missing is zero.
 * First the 16 bytes at row r, column q QUAD of each block of QUAD rows come together in t[q QUAD + r], then each such
 * block is transposed where it is. Halves of vectors are loaded, as on x86 this does without the one port for shuffles.
 */
NNF_INLINE void load_columns(vec t[LANES], const real *const *row, int64_t c, int64_t columns) {
#pragma GCC unroll 4
    for (int r = 0; r < QUAD; r++) {
#if NNF_REAL * LANES == 512
#pragma GCC unroll 2
        for (int h = 0; h < 2; h++) {
            const vec a = load_two_halves(row[r] + c, row[r + QUAD] + c, h, columns);
            const vec b = load_two_halves(row[r + 2 * QUAD] + c, row[r + 3 * QUAD] + c, h, columns);
            t[2 * h * QUAD + r] = NNF_SHUFFLE(a, b, NNF_EVEN_QUADS);
            t[(2 * h + 1) * QUAD + r] = NNF_SHUFFLE(a, b, NNF_ODD_QUADS);
        }
#elif NNF_REAL * LANES == 256
        t[r] = load_two_halves(row[r] + c, row[r + QUAD] + c, 0, columns);
        t[r + QUAD] = load_two_halves(row[r] + c, row[r + QUAD] + c, 1, columns);
#else
        t[r] = columns >= LANES ? v_load(row[r] + c) : v_load_first(row[r] + c, columns);
#endif
    }
#pragma GCC unroll 8
    for (int q = 0; q < LANES; q += QUAD) {
#pragma GCC unroll 2
        for (int r = q; r < q + QUAD; r += 2) {
            const vec a = t[r], b = t[r + 1];
            t[r] = NNF_SHUFFLE(a, b, NNF_ZIP_LOW);
            t[r + 1] = NNF_SHUFFLE(a, b, NNF_ZIP_HIGH);
        }
#if NNF_REAL == 32
        const vec low[2] = {t[q], t[q + 2]}, high[2] = {t[q + 1], t[q + 3]};
        t[q] = NNF_SHUFFLE(low[0], low[1], NNF_LOW_PAIRS);
        t[q + 1] = NNF_SHUFFLE(low[0], low[1], NNF_HIGH_PAIRS);
        t[q + 2] = NNF_SHUFFLE(high[0], high[1], NNF_LOW_PAIRS);
        t[q + 3] = NNF_SHUFFLE(high[0], high[1], NNF_HIGH_PAIRS);
#endif
    }
}

/* t[c] is column c of x[rows, columns], at most LANES of both; what is missing is zero. */
NNF_INLINE void load_transposed(vec t[LANES], const real *x, int64_t ldx, int64_t rows, int64_t columns) {
    static const real zeros[LANES];
    const real *row[LANES];
#pragma GCC unroll 16
    for (int r = 0; r < LANES; r++)
        row[r] = r < rows ? x + r * ldx : zeros;
    load_columns(t, row, 0, columns);
}

/* y[columns, width] = transpose of x[width, columns], width <= LANES or a multiple of it, columns >= LANES. The last
 * LANES columns are taken whole, though some of them were done before. */
static void pack_whole(real *y, int64_t width, const real *x, int64_t ldx, int64_t columns) {
    for (int64_t g = 0; g < width; g += LANES) {
        const real *row[LANES];
        for (int64_t r = 0; r < LANES; r++)
            row[r] = x + (g + r < width ? g + r : width - 1) * ldx;
        for (int64_t next = 0; next < columns; next += LANES) {
            const int64_t c = next + LANES <= columns ? next : columns - LANES;
            vec t[LANES];
            load_columns(t, row, c, LANES);
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                v_store(y + (c + i) * width + g, t[i]);
        }
    }
}

enum { PACK_GROUPS = (NNF_PANEL + LANES - 1) / LANES };

/* y[columns, width] = transpose of x[rows, columns], rows <= width <= 16, zero where x has no row. Whole vectors are
 * written, in ascending order, so that later ones repair what earlier ones spilled over: y needs LANES spare elements.
 */
static void pack_transposed(real *y, int64_t width, const real *x, int64_t ldx, int64_t rows, int64_t columns) {
    if (rows == width && columns >= LANES && (width <= LANES || width % LANES == 0)) {
        pack_whole(y, width, x, ldx, columns);
        return;
    }
    const int groups = (int)((width + LANES - 1) / LANES);
    for (int64_t c = 0; c < columns; c += LANES) {
        const int64_t count = columns - c < LANES ? columns - c : LANES;
        vec t[PACK_GROUPS][LANES];
        for (int g = 0; g < groups; g++)
            load_transposed(t[g], x + g * LANES * ldx + c, ldx, rows - g * LANES, count);
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
