/* The one microkernel of all products: a tile of mr rows and nv vectors of the output, in registers, summed over k.
 *
 *   acc[r][v] = fma(a[r, k], b[k, v], acc[r][v])    k ascending, from acc = +0
 *
 * One chain of fused multiply-adds per output element, whatever mr, nv and the level are: this is the numeric contract.
 * Lanes lie over columns of b, never over k. b is in panels of 16 columns; a vector is a panel or a part of one. */
#ifndef NNF_MATMUL_TILE_H
#define NNF_MATMUL_TILE_H

enum { VECTORS_PER_PANEL = NNF_PANEL / LANES, VECTORS_PER_LINE = 64 / (LANES * NNF_REAL / 8) };

/* Tile shapes, by the registers of the level. ROWS x WIDE is the tile of large products. Up to FEW_ROWS rows of a
 * (FEW_ROWS_WIDE where columns are more than two vectors) are read where they lie; with few rows more vectors are
 * needed to keep enough chains in flight: FEW_WIDE(rows) of them. Widths are powers of two, so that no tile straddles a
 * panel; the last may be three where THREE. SHORT_SUM x SHORT_WIDE vectors are kept where a sum is short. */
#if LANES * NNF_REAL == 512
enum { ROWS = 14, WIDE = 2, FEW_ROWS = 8, FEW_ROWS_WIDE = 6, THREE = 1, SHORT_SUM = 8, SHORT_WIDE = 2 };
#define FEW_WIDE(rows) ((rows) <= 3 ? 8 : (rows) <= 6 ? 4 : 2)
#elif LANES * NNF_REAL == 256
enum { ROWS = 6, WIDE = 2, FEW_ROWS = 6, FEW_ROWS_WIDE = 6, THREE = 0, SHORT_SUM = 4, SHORT_WIDE = 2 };
#define FEW_WIDE(rows) ((rows) == 1 ? 8 : (rows) <= 3 ? 4 : 2)
#elif defined(__aarch64__)
enum { ROWS = 6, WIDE = 4, FEW_ROWS = 6, FEW_ROWS_WIDE = 6, THREE = 0, SHORT_SUM = 8, SHORT_WIDE = 2 };
#define FEW_WIDE(rows) ((rows) <= 3 ? 8 : 4)
#else
enum { ROWS = 4, WIDE = 2, FEW_ROWS = 4, FEW_ROWS_WIDE = 4, THREE = 0, SHORT_SUM = 4, SHORT_WIDE = 2 };
#define FEW_WIDE(rows) ((rows) == 1 ? 4 : 2)
#endif

/* On AArch64 gcc would load all rows of a before the first product, and then spill sums. */
#if defined(__aarch64__)
#define KEEP_LOADS_BEHIND __asm__ volatile("" : : : "memory");
#else
#define KEEP_LOADS_BEHIND
#endif

typedef struct tile {
    const real *a;  /* element (r, k) at a[r * a_row + k * a_step] */
    int64_t a_row;  /* used by tile_rows only */
    int64_t a_step; /* in tile_weight: from one panel to the next */
    const real *b;  /* row k of panel j at b[j * b_panel + k * b_step] */
    int64_t b_panel, b_step;
    real *c; /* panel j of row r at c[r * c_row + j * c_panel] */
    int64_t c_row, c_panel;
    int64_t k;
    int64_t ahead;   /* memory to fetch meanwhile, so many elements from b; in tile_weight where the next strip begins,
                        from a */
    int64_t line;    /* how far apart the lines are that are fetched; 0 for one line */
    int accumulate;  /* add the sums to c, or set c */
    int64_t columns; /* of c that exist, where some do not; 0 for all */
    const int64_t *row, *to;           /* used by tile_runs and tile_terms: where each row begins, from a and from c */
    const struct run *runs, *runs_end; /* and the pieces of the sum, each at its offset from there */
    const struct term *terms, *terms_end; /* or its terms, in tile_terms */
    const struct tile_end *end;           /* in tile_runs: what follows the last chunk of the sum; 0 for nothing */
    int64_t column;                       /* for it: the first column */
    int plus_zero;                        /* in these two: the sums are added to +0 */
} tile;

typedef void (*tile_function)(const tile *t);

NNF_INLINE int64_t vector_offset(int v, int64_t panel) {
    return v / VECTORS_PER_PANEL * panel + v % VECTORS_PER_PANEL * LANES;
}

NNF_INLINE void tile_sum(vec *acc, const int mr, const int nv, const real *a, int64_t a_row, int64_t a_step,
                         const real *b, int64_t b_panel, int64_t b_step, int64_t k, const int fetch, int64_t ahead,
                         int64_t line) {
    for (int64_t i = 0; i < k; i++, a += a_step, b += b_step) {
        if (fetch)
#pragma GCC unroll 8
            for (int v = 0; v < nv; v += VECTORS_PER_LINE)
                __builtin_prefetch(b + ahead + v / VECTORS_PER_LINE * line, 0, 3);
        if (mr >= nv) {
            vec row[8];
#pragma GCC unroll 8
            for (int v = 0; v < nv; v++)
                row[v] = v_load(b + vector_offset(v, b_panel));
#pragma GCC unroll 16
            for (int r = 0; r < mr; r++) {
                KEEP_LOADS_BEHIND
                const vec factor = v_set(a[r * a_row]);
#pragma GCC unroll 8
                for (int v = 0; v < nv; v++)
                    acc[r * nv + v] = v_fma(factor, row[v], acc[r * nv + v]);
            }
        } else {
            vec factor[8];
#pragma GCC unroll 8
            for (int r = 0; r < mr; r++)
                factor[r] = v_set(a[r * a_row]);
#pragma GCC unroll 8
            for (int v = 0; v < nv; v++) {
                KEEP_LOADS_BEHIND
                const vec row = v_load(b + vector_offset(v, b_panel));
#pragma GCC unroll 8
                for (int r = 0; r < mr; r++)
                    acc[r * nv + v] = v_fma(factor[r], row, acc[r * nv + v]);
            }
        }
    }
}

NNF_INLINE void tile_clear(vec *acc, const int count) {
#pragma GCC unroll 32
    for (int i = 0; i < count; i++)
        acc[i] = v_zero();
}

NNF_INLINE void tile_store(const vec *acc, const int mr, const int nv, const tile *t, const int listed) {
    real *c = t->c;
    const int64_t c_row = t->c_row, c_panel = t->c_panel;
    int64_t to[NNF_PANEL] = {0}; /* a store could change t, for all that a compiler knows */
    if (listed)
#pragma GCC unroll 16
        for (int r = 0; r < mr; r++)
            to[r] = t->to[r];
    if (t->columns) {
#pragma GCC unroll 8
        for (int v = 0; v < nv; v++) {
            const int64_t left = t->columns - v * LANES, n = left < LANES ? left : LANES;
            if (left > 0)
#pragma GCC unroll 16
                for (int r = 0; r < mr; r++) {
                    real *p = c + (listed ? to[r] : r * c_row) + vector_offset(v, c_panel);
                    v_store_first(p, t->accumulate ? v_add(v_load_first(p, n), acc[r * nv + v]) : acc[r * nv + v], n);
                }
        }
        return;
    }
    if (t->accumulate) {
#pragma GCC unroll 16
        for (int r = 0; r < mr; r++)
#pragma GCC unroll 8
            for (int v = 0; v < nv; v++) {
                real *p = c + (listed ? to[r] : r * c_row) + vector_offset(v, c_panel);
                v_store(p, v_add(v_load(p), acc[r * nv + v]));
            }
        return;
    }
#pragma GCC unroll 16
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 8
        for (int v = 0; v < nv; v++)
            v_store(c + (listed ? to[r] : r * c_row) + vector_offset(v, c_panel), acc[r * nv + v]);
}

/* a is packed, or is read along its rows: (r, k) at a[r + k * a_step]. */
NNF_INLINE void tile_packed(const tile *t, const int mr, const int nv) {
    vec acc[32];
    tile_clear(acc, mr * nv);
    tile_sum(acc, mr, nv, t->a, 1, t->a_step, t->b, t->b_panel, t->b_step, t->k, 1, t->ahead, t->line);
    tile_store(acc, mr, nv, t, 0);
}

/* Any strides of a, few rows. */
NNF_INLINE void tile_rows(const tile *t, const int mr, const int nv) {
    vec acc[32];
    tile_clear(acc, mr * nv);
    tile_sum(acc, mr, nv, t->a, t->a_row, t->a_step, t->b, t->b_panel, t->b_step, t->k, 0, 0, 0);
    tile_store(acc, mr, nv, t, 0);
}

/* a is a strip of rows of a weight in panels, k runs along its columns: (r, k) at a[r * 16 + k] inside a panel. Panels
 * lie far apart, often in the same few sets of the cache, so each is fetched shortly before its use. */
enum { FETCH_PANELS = 4 };

NNF_INLINE void tile_weight(const tile *t, const int mr, const int nv) {
    vec acc[32];
    tile_clear(acc, mr * nv);
    const real *a = t->a, *b = t->b;
    int64_t k = t->k;
    const int64_t wrap = t->ahead - t->k / NNF_PANEL * t->a_step;
    for (; k >= NNF_PANEL; k -= NNF_PANEL, a += t->a_step, b += NNF_PANEL * NNF_PANEL) {
        const real *soon = a + FETCH_PANELS * t->a_step + (k >= (FETCH_PANELS + 1) * NNF_PANEL ? 0 : wrap);
#pragma GCC unroll 32
        for (int line = 0; line < mr * VECTORS_PER_PANEL; line += VECTORS_PER_LINE)
            __builtin_prefetch(soon + line * LANES, 0, 3);
        tile_sum(acc, mr, nv, a, NNF_PANEL, 1, b, t->b_panel, NNF_PANEL, NNF_PANEL, 0, 0, 0);
    }
    tile_sum(acc, mr, nv, a, NNF_PANEL, 1, b, t->b_panel, NNF_PANEL, k, 0, 0, 0);
    tile_store(acc, mr, nv, t, 0);
}

#define NNF_TILE(kind, mr, nv)                                                                                         \
    static void kind##_##mr##_##nv(const tile *t) { kind(t, mr, nv); }
#define NNF_TILE_ENTRY(kind, mr, nv) [mr][nv] = kind##_##mr##_##nv,

/* Every level has the widths that its loops ask for: powers of two up to WIDE, and up to FEW_WIDE for few rows. */
#define NNF_ROWS_1_TO_4(X, kind, nv) X(kind, 1, nv) X(kind, 2, nv) X(kind, 3, nv) X(kind, 4, nv)
#define NNF_ROWS_1_TO_6(X, kind, nv) NNF_ROWS_1_TO_4(X, kind, nv) X(kind, 5, nv) X(kind, 6, nv)
#define NNF_ROWS_7_TO_14(X, kind, nv)                                                                                  \
    X(kind, 7, nv)                                                                                                     \
    X(kind, 8, nv)                                                                                                     \
    X(kind, 9, nv) X(kind, 10, nv) X(kind, 11, nv) X(kind, 12, nv) X(kind, 13, nv) X(kind, 14, nv)
#if LANES * NNF_REAL == 512
#define NNF_WIDTHS_1_TO_4(X, kind)                                                                                     \
    NNF_ROWS_1_TO_6(X, kind, 1)                                                                                        \
    NNF_ROWS_1_TO_6(X, kind, 2)                                                                                        \
    NNF_ROWS_1_TO_6(X, kind, 3)                                                                                        \
    NNF_ROWS_1_TO_6(X, kind, 4)
#define NNF_PACKED_TILES(X)                                                                                            \
    NNF_ROWS_7_TO_14(X, tile_packed, 1)                                                                                \
    NNF_ROWS_7_TO_14(X, tile_packed, 2) X(tile_packed, 15, 1) X(tile_packed, 16, 1)
#define NNF_ROWS_TILES(X)                                                                                              \
    NNF_WIDTHS_1_TO_4(X, tile_rows)                                                                                    \
    X(tile_rows, 1, 8)                                                                                                 \
    X(tile_rows, 2, 8)                                                                                                 \
    X(tile_rows, 3, 8) X(tile_rows, 7, 1) X(tile_rows, 8, 1) X(tile_rows, 7, 2) X(tile_rows, 8, 2)
#define NNF_WEIGHT_TILES(X)                                                                                            \
    NNF_ROWS_1_TO_6(X, tile_weight, 1)                                                                                 \
    NNF_ROWS_1_TO_6(X, tile_weight, 2)                                                                                 \
    NNF_ROWS_7_TO_14(X, tile_weight, 1)                                                                                \
    NNF_ROWS_7_TO_14(X, tile_weight, 2)
#elif LANES * NNF_REAL == 256
#define NNF_PACKED_TILES(X) NNF_ROWS_1_TO_6(X, tile_packed, 1) NNF_ROWS_1_TO_6(X, tile_packed, 2)
#define NNF_ROWS_TILES(X)                                                                                              \
    NNF_ROWS_1_TO_6(X, tile_rows, 1)                                                                                   \
    NNF_ROWS_1_TO_6(X, tile_rows, 2)                                                                                   \
    X(tile_rows, 1, 4) X(tile_rows, 2, 4) X(tile_rows, 3, 4) X(tile_rows, 1, 8)
#define NNF_WEIGHT_TILES(X) NNF_ROWS_1_TO_6(X, tile_weight, 1) NNF_ROWS_1_TO_6(X, tile_weight, 2)
#elif defined(__aarch64__)
#define NNF_WIDTHS_1_TO_4(X, kind)                                                                                     \
    NNF_ROWS_1_TO_6(X, kind, 1)                                                                                        \
    NNF_ROWS_1_TO_6(X, kind, 2)                                                                                        \
    NNF_ROWS_1_TO_6(X, kind, 4)
#define NNF_PACKED_TILES(X) NNF_WIDTHS_1_TO_4(X, tile_packed)
#define NNF_ROWS_TILES(X) NNF_WIDTHS_1_TO_4(X, tile_rows) X(tile_rows, 1, 8) X(tile_rows, 2, 8) X(tile_rows, 3, 8)
#define NNF_WEIGHT_TILES(X) NNF_WIDTHS_1_TO_4(X, tile_weight)
#else
#define NNF_PACKED_TILES(X) NNF_ROWS_1_TO_4(X, tile_packed, 1) NNF_ROWS_1_TO_4(X, tile_packed, 2)
#define NNF_ROWS_TILES(X) NNF_ROWS_1_TO_4(X, tile_rows, 1) NNF_ROWS_1_TO_4(X, tile_rows, 2) X(tile_rows, 1, 4)
#define NNF_WEIGHT_TILES(X) NNF_ROWS_1_TO_4(X, tile_weight, 1) NNF_ROWS_1_TO_4(X, tile_weight, 2)
#endif

NNF_PACKED_TILES(NNF_TILE)
NNF_ROWS_TILES(NNF_TILE)
NNF_WEIGHT_TILES(NNF_TILE)

static const tile_function packed_tiles[NNF_PANEL + 1][9] = {NNF_PACKED_TILES(NNF_TILE_ENTRY)};
static const tile_function rows_tiles[FEW_ROWS + 1][9] = {NNF_ROWS_TILES(NNF_TILE_ENTRY)};
static const tile_function weight_tiles[ROWS + 1][9] = {NNF_WEIGHT_TILES(NNF_TILE_ENTRY)};

static tile_function packed_tile(int mr, int nv) {
    return packed_tiles[mr][nv] ? packed_tiles[mr][nv] : rows_tiles[mr][nv];
}

/* Vectors of the next tile where `left` are left: the widest of widest, widest / 2, ... that fits, or all of three. */
NNF_INLINE int tile_width(int64_t left, int widest) {
    if (THREE && left == 3 && widest > 2)
        return 3;
    while (widest > left)
        widest /= 2;
    return widest;
}

#endif
