/* The microkernel of convolutions: that of matmul_tile.h, but rows of a begin anywhere, and the sum is in runs. */
#ifndef NNF_CONV_TILE_H
#define NNF_CONV_TILE_H

enum { RUNS_AHEAD = 20 }; /* rows of b fetched ahead */

/* A tile whose rows begin anywhere: (r, k) of run i at a + row[r] + i->offset + k * a_step. */
NNF_INLINE void tile_runs(const tile *t, const int mr, const int nv) {
    vec acc[32];
    int64_t row[ROWS];
    tile_clear(acc, mr * nv);
#pragma GCC unroll 16
    for (int r = 0; r < mr; r++)
        row[r] = t->row[r];
    const real *b = t->b;
    const int64_t panel = t->b_panel, a_step = t->a_step, b_step = t->b_step, ahead = RUNS_AHEAD * b_step;
    for (const run *i = t->runs; i < t->runs_end; i++) {
        const real *a = t->a + i->offset;
        for (int64_t k = i->count; k > 0; k--, a += a_step, b += b_step) {
#pragma GCC unroll 8
            for (int v = 0; v < nv; v += VECTORS_PER_LINE)
                __builtin_prefetch(b + ahead + v / VECTORS_PER_LINE * panel, 0, 3);
            vec w[8];
#pragma GCC unroll 8
            for (int v = 0; v < nv; v++)
                w[v] = v_load(b + vector_offset(v, panel));
#pragma GCC unroll 16
            for (int r = 0; r < mr; r++) {
                KEEP_LOADS_BEHIND
                const vec factor = v_set(a[row[r]]);
#pragma GCC unroll 8
                for (int v = 0; v < nv; v++)
                    acc[r * nv + v] = v_fma(factor, w[v], acc[r * nv + v]);
            }
        }
    }
    tile_store(acc, mr, nv, t);
}

#if LANES * NNF_REAL == 512
#define NNF_RUNS_TILES(X)                                                                                              \
    NNF_ROWS_1_TO_6(X, tile_runs, 1)                                                                                   \
    NNF_ROWS_1_TO_6(X, tile_runs, 2)                                                                                   \
    NNF_ROWS_1_TO_6(X, tile_runs, 4)                                                                                   \
    NNF_ROWS_7_TO_14(X, tile_runs, 1) NNF_ROWS_7_TO_14(X, tile_runs, 2)
#define RUNS_WIDE(mr) ((mr) <= 6 ? 4 : 2)
#elif LANES * NNF_REAL == 256
#define NNF_RUNS_TILES(X)                                                                                              \
    NNF_ROWS_1_TO_6(X, tile_runs, 1)                                                                                   \
    NNF_ROWS_1_TO_6(X, tile_runs, 2)                                                                                   \
    X(tile_runs, 1, 4) X(tile_runs, 2, 4) X(tile_runs, 3, 4)
#define RUNS_WIDE(mr) ((mr) <= 3 ? 4 : 2)
#elif defined(__aarch64__)
#define NNF_RUNS_TILES(X) NNF_WIDTHS_1_TO_4(X, tile_runs)
#define RUNS_WIDE(mr) 4
#else
#define NNF_RUNS_TILES(X) NNF_ROWS_1_TO_4(X, tile_runs, 1) NNF_ROWS_1_TO_4(X, tile_runs, 2)
#define RUNS_WIDE(mr) 2
#endif
NNF_RUNS_TILES(NNF_TILE)
static const tile_function runs_tiles[ROWS + 1][5] = {NNF_RUNS_TILES(NNF_TILE_ENTRY)};

#endif
