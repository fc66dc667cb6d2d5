/* The microkernel of convolutions: that of matmul_tile.h, but rows of a begin anywhere, and the sum is in runs. */
#ifndef NNF_CONV_TILE_H
#define NNF_CONV_TILE_H

enum { RUNS_AHEAD = 20 }; /* rows of b fetched ahead */

/* What a tile does with its sums while they are in registers: the beginning of a step's program, of this form. */
typedef struct tile_end {
    const real *bias;  /* of the first column, or 0 */
    const real *saved; /* the output of relu or relu6 whose derivative follows, as y lies; or 0 */
    real most;         /* of the activation, 0 for none; of the one whose derivative follows */
} tile_end;

/* Returns how many operations of the program this is. */
static int tile_end_of(const nnf_step *step, int64_t N, tile_end *end) {
    const nnf_operation *op = step->program;
    *end = (tile_end){0};
    if (step->operations == 0 || op->b < 0)
        return 0;
    const real *operand = (const real *)step->buffer[op->b];
    const real infinite = (real)__builtin_inf();
    if (op->function == (nnf_function)f_add && op->c == 0) {
        const nnf_function next = step->operations > 1 ? op[1].function : 0;
        end->bias = operand;
        end->most = next == (nnf_function)f_relu ? infinite : next == (nnf_function)f_relu6 ? 6 : 0;
        return 1 + (end->most > 0);
    }
    if (op->c == N && op->function == (nnf_function)f_relu_gradient)
        end->most = infinite;
    else if (op->c == N && op->function == (nnf_function)f_relu6_gradient)
        end->most = 6;
    else
        return 0;
    end->saved = operand;
    return 1;
}

/* As tile_store, but for the end. */
NNF_INLINE void tile_store_end(vec *acc, const int mr, const int nv, const tile *t) {
    const tile_end *end = t->end;
    const vec most = v_set(end->most);
    const int64_t c_panel = t->c_panel;
    real *c[ROWS];
#pragma GCC unroll 16
    for (int r = 0; r < mr; r++)
        c[r] = t->c + t->to[r];
    if (t->accumulate)
#pragma GCC unroll 16
        for (int r = 0; r < mr; r++)
#pragma GCC unroll 8
            for (int v = 0; v < nv; v++)
                acc[r * nv + v] = v_add(v_load(c[r] + vector_offset(v, c_panel)), acc[r * nv + v]);
    if (end->bias) {
#pragma GCC unroll 8
        for (int v = 0; v < nv; v++) {
            const vec bias = v_load(end->bias + t->column + v * LANES);
#pragma GCC unroll 16
            for (int r = 0; r < mr; r++)
                acc[r * nv + v] = v_add(acc[r * nv + v], bias);
        }
        if (end->most > 0)
#pragma GCC unroll 32
            for (int i = 0; i < mr * nv; i++)
                acc[i] = v_min(most, v_max(v_zero(), acc[i]));
    } else {
        const real *saved = end->saved + t->column;
#pragma GCC unroll 16
        for (int r = 0; r < mr; r++)
#pragma GCC unroll 8
            for (int v = 0; v < nv; v++) {
                const vec y = v_load(saved + t->to[r] + vector_offset(v, c_panel));
                const mask above = v_lt(v_zero(), y);
                acc[r * nv + v] =
                    v_select(end->most == 6 ? m_and(above, v_lt(y, most)) : above, acc[r * nv + v], v_zero());
            }
    }
#pragma GCC unroll 16
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 8
        for (int v = 0; v < nv; v++)
            v_store(c[r] + vector_offset(v, c_panel), acc[r * nv + v]);
}

/* A tile whose rows begin anywhere: (r, k) of run i at a + row[r] + i->offset + k * a_step; row r of c at c + to[r]. */
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
        if (i->gap) /* a sum of few products feels the latency of this */
            b += i->gap * b_step;
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
    if (t->plus_zero)
#pragma GCC unroll 32
        for (int i = 0; i < mr * nv; i++)
            acc[i] = v_add(v_zero(), acc[i]);
    if (t->end)
        tile_store_end(acc, mr, nv, t);
    else
        tile_store(acc, mr, nv, t, 1);
}

/* The same for sums whose terms begin anywhere: term k at a + terms[k].a, its row of b at b + terms[k].b. */
typedef struct term {
    int64_t a, b;
} term;

NNF_INLINE void tile_terms(const tile *t, const int mr, const int nv) {
    vec acc[32];
    int64_t row[ROWS];
    tile_clear(acc, mr * nv);
#pragma GCC unroll 16
    for (int r = 0; r < mr; r++)
        row[r] = t->row[r];
    const int64_t panel = t->b_panel, ahead = RUNS_AHEAD * t->b_step;
    for (const term *k = t->terms; k < t->terms_end; k++) {
        const real *a = t->a + k->a, *b = t->b + k->b;
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
    if (t->plus_zero)
#pragma GCC unroll 32
        for (int i = 0; i < mr * nv; i++)
            acc[i] = v_add(v_zero(), acc[i]);
    tile_store(acc, mr, nv, t, 1);
}

#if LANES * NNF_REAL == 512
#define NNF_RUNS_TILES(X, kind)                                                                                        \
    NNF_WIDTHS_1_TO_4(X, kind)                                                                                         \
    NNF_ROWS_7_TO_14(X, kind, 1) NNF_ROWS_7_TO_14(X, kind, 2)
#define RUNS_WIDE(mr) ((mr) <= 6 ? 4 : 2)
#elif LANES * NNF_REAL == 256
#define NNF_RUNS_TILES(X, kind)                                                                                        \
    NNF_ROWS_1_TO_6(X, kind, 1)                                                                                        \
    NNF_ROWS_1_TO_6(X, kind, 2)                                                                                        \
    X(kind, 1, 4) X(kind, 2, 4) X(kind, 3, 4)
#define RUNS_WIDE(mr) ((mr) <= 3 ? 4 : 2)
#elif defined(__aarch64__)
#define NNF_RUNS_TILES(X, kind) NNF_WIDTHS_1_TO_4(X, kind)
#define RUNS_WIDE(mr) 4
#else
#define NNF_RUNS_TILES(X, kind) NNF_ROWS_1_TO_4(X, kind, 1) NNF_ROWS_1_TO_4(X, kind, 2)
#define RUNS_WIDE(mr) 2
#endif
NNF_RUNS_TILES(NNF_TILE, tile_runs)
NNF_RUNS_TILES(NNF_TILE, tile_terms)
static const tile_function runs_tiles[ROWS + 1][5] = {NNF_RUNS_TILES(NNF_TILE_ENTRY, tile_runs)};
static const tile_function terms_tiles[ROWS + 1][5] = {NNF_RUNS_TILES(NNF_TILE_ENTRY, tile_terms)};

#endif
