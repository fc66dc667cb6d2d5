/* What attention and its gradient share: the arguments, tiles over a block of scores, masks of a row.
 *
 * Sizes B batch, T queries, S keys, H heads, G heads of keys and values (H is a multiple), D head size, E size of a
 * value. A query at place i sees the keys before `visible(i)`. A block of scores has KEY_BLOCK columns, one row per
 * query; KEY_BLOCK and QUERY_BLOCK are part of the numeric contract. */
#ifndef NNF_ATTENTION_SHARE_H
#define NNF_ATTENTION_SHARE_H

#include "matmul.h"
#include "random.h"
#include "softmax.h"

enum {
    KEY_BLOCK = 128,
    QUERY_BLOCK = 64, /* queries that are summed in one chain, in the gradients of keys and values */
    KEY_VECTORS = KEY_BLOCK / LANES,
    HEAD_MOST = 512, /* largest head: a sum of products is one chunk, and a block fits the scratch */
};

typedef struct attention {
    const nnf_step *step;
    int64_t B, T, S, H, G, D, E;
    int causal;
    int64_t offset; /* place of the first query among the keys */
    real scale;
    const real *bias; /* added to scores, or NULL: [b * bias_b + h * bias_h + i * bias_t + key] */
    int64_t bias_b, bias_h, bias_t;
    const real *slopes; /* [H]: scores lose slope times distance, or NULL */
    const int64_t *counters;
    int64_t stream;
    uint32_t first_kept; /* dropout: words from here on keep */
    real kept_factor;    /* 0: no dropout */
    const real *q, *k, *v;
} attention;

/* `buffer` begins with q, k, v, bias, slopes, offset, counters. */
static attention attention_of(const nnf_step *step, char **buffer) {
    const int64_t *size = step->size;
    const double rate = step->scalar[1];
    return (attention){
        .step = step,
        .B = size[0],
        .T = size[1],
        .S = size[2],
        .H = size[3],
        .G = size[4],
        .D = size[5],
        .E = size[6],
        .causal = (int)size[7],
        .bias_b = size[8],
        .bias_h = size[9],
        .bias_t = size[10],
        .stream = size[11],
        .scale = (real)step->scalar[0],
        .first_kept = (uint32_t)(rate * 0x1p32),
        .kept_factor = rate > 0 ? (real)(1 / (1 - rate)) : 0,
        .q = (const real *)buffer[0],
        .k = (const real *)buffer[1],
        .v = (const real *)buffer[2],
        .bias = (const real *)buffer[3],
        .slopes = (const real *)buffer[4],
        .offset = buffer[5] ? *(const int32_t *)buffer[5] : 0,
        .counters = (const int64_t *)buffer[6],
    };
}

/* Keys that query i sees. */
NNF_INLINE int64_t visible(const attention *p, int64_t i) {
    if (!p->causal)
        return p->S;
    const int64_t count = i + p->offset + 1;
    return count < 0 ? 0 : smaller(count, p->S);
}

/* One unit after the other to each thread, there and back: later blocks of queries see more keys. */
NNF_INLINE int owns(int64_t unit, int thread, int threads) {
    const int64_t round = unit / threads, place = unit % threads;
    return thread == (round % 2 ? threads - 1 - place : place);
}

NNF_INLINE int64_t padded(int64_t n) { return (n + NNF_PANEL - 1) / NNF_PANEL * NNF_PANEL; }

/* Rows of a are KEY_BLOCK apart: one address serves all of them. */
NNF_INLINE void tile_keys(const tile *t, const int mr, const int nv) {
    vec acc[32];
    tile_clear(acc, mr * nv);
    tile_sum(acc, mr, nv, t->a, KEY_BLOCK, 1, t->b, t->b_panel, t->b_step, t->k, 0, 0, 0);
    tile_store(acc, mr, nv, t, 0);
}

#if LANES * NNF_REAL == 512
#define NNF_KEYS_TILES(X)                                                                                              \
    NNF_WIDTHS_1_TO_4(X, tile_keys)                                                                                    \
    NNF_ROWS_7_TO_14(X, tile_keys, 1)                                                                                  \
    NNF_ROWS_7_TO_14(X, tile_keys, 2) X(tile_keys, 1, 8) X(tile_keys, 2, 8) X(tile_keys, 3, 8)
#elif LANES * NNF_REAL == 256
#define NNF_KEYS_TILES(X)                                                                                              \
    NNF_ROWS_1_TO_6(X, tile_keys, 1)                                                                                   \
    NNF_ROWS_1_TO_6(X, tile_keys, 2)                                                                                   \
    X(tile_keys, 1, 4) X(tile_keys, 2, 4) X(tile_keys, 3, 4) X(tile_keys, 1, 8)
#elif defined(__aarch64__)
#define NNF_KEYS_TILES(X) NNF_WIDTHS_1_TO_4(X, tile_keys) X(tile_keys, 1, 8) X(tile_keys, 2, 8) X(tile_keys, 3, 8)
#else
#define NNF_KEYS_TILES(X) NNF_ROWS_1_TO_4(X, tile_keys, 1) NNF_ROWS_1_TO_4(X, tile_keys, 2) X(tile_keys, 1, 4)
#endif

NNF_KEYS_TILES(NNF_TILE)
static const tile_function keys_tiles[ROWS + 1][9] = {NNF_KEYS_TILES(NNF_TILE_ENTRY)};

NNF_INLINE int widest_of(int mr) { return mr <= FEW_ROWS_WIDE ? FEW_WIDE(mr) : WIDE; }

/* t->c[mr, columns] = or += t->a t->b, tile by tile; panels of b and c follow each other in t's steps. `keys`: a is a
 * block of scores, else packed. c is whole vectors where `whole`. */
static void attention_product(const tile *about, int keys, int mr, int64_t columns, int whole) {
    const int widest = widest_of(mr);
    int nv;
    for (int64_t j = 0; j < columns; j += nv * LANES) {
        nv = tile_width((columns - j + LANES - 1) / LANES, widest);
        tile t = *about;
        t.b += j / NNF_PANEL * t.b_panel + j % NNF_PANEL;
        t.c += j;
        t.c_panel = NNF_PANEL;
        t.columns = whole || j + nv * LANES <= columns ? 0 : columns - j;
        (keys ? keys_tiles[mr][nv] : packed_tile(mr, nv))(&t);
    }
}

/* y[rows, padded(columns)] = factor x[rows, columns], zero beyond. */
static void copy_scaled(real *y, const real *x, int64_t ldx, int64_t rows, int64_t columns, real factor) {
    const int64_t ldy = padded(columns);
    const vec scale = v_set(factor);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < ldy; c += LANES) {
            const vec value = v_load_first(x + r * ldx + (c < columns ? c : 0), larger(0, smaller(LANES, columns - c)));
            v_store(y + r * ldy + c, v_mul(value, scale));
        }
}

/* panels[ceil(rows / 16)][columns][16] = transpose of x[rows, columns], zero beyond. Needs LANES spare elements. */
static void pack_block(real *panels, const real *x, int64_t ldx, int64_t rows, int64_t columns) {
    for (int64_t r = 0; r < rows; r += NNF_PANEL)
        pack_transposed(panels + r * columns, NNF_PANEL, x + r * ldx, ldx, smaller(NNF_PANEL, rows - r), columns);
}

/* The scores of one query, s[0 .. keys), ready for the maximum: bias and slope added, -inf from the limit on, up to
 * whole vectors. Key 0 of the block stands at j0. */
static void attention_mask(const attention *p, real *s, int64_t b, int64_t h, int64_t i, int64_t j0, int64_t limit,
                           int64_t keys) {
    static const real lane[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const int adds = p->bias || p->slopes;
    const real *bias = p->bias ? p->bias + b * p->bias_b + h * p->bias_h + i * p->bias_t + j0 : 0;
    const vec slope = v_set(p->slopes ? p->slopes[h] : 0), first = v_load(lane);
    for (int64_t j = adds ? 0 : limit / LANES * LANES; j < keys; j += LANES) {
        const int64_t left = larger(0, smaller(LANES, limit - j));
        vec x = v_load(s + j);
        if (p->slopes)
            x = v_fnma(slope, v_abs(v_add(first, v_set((real)(j0 + j - i - p->offset)))), x);
        if (bias && left)
            x = v_add(x, v_load_first(bias + j, left));
        v_store(s + j, v_select(m_first(left), x, v_set(-NNF_INFINITY)));
    }
}

/* e^x for x <= 0 or little more; 0 where the result would come near the denormal numbers, on which scaling by a power
 * of two takes a hundred cycles: a causal block of 64 x 64 scores fell from 13 to 6 us (Xeon, AVX-512, 2026-11). */
NNF_INLINE vec exp_of_score(vec x) {
    const vec least = v_set(NNF_PAIR(-86.0f, -706.0));
    vec n;
    const vec m = exp_parts(v_max(least, x), &n);
    return v_select(v_lt(x, least), v_zero(), v_scale(m, n));
}

/* Words of dropout for query i and key block j0 / KEY_BLOCK: rows of KEY_BLOCK words, two queries at a time. */
typedef struct kept_words {
    _Alignas(64) uint32_t word[NNF_WORDS];
    int64_t pair;
} kept_words;

static const uint32_t *kept(const attention *p, kept_words *w, int64_t b, int64_t h, int64_t i, int64_t j0) {
    const int64_t pairs = (p->T + 1) / 2, blocks = (p->S + KEY_BLOCK - 1) / KEY_BLOCK;
    const int64_t pair = ((b * p->H + h) * blocks + j0 / KEY_BLOCK) * pairs + i / 2;
    if (pair != w->pair)
        random_words(w->word, p->counters, p->stream, pair * NNF_PHILOX_BLOCKS);
    w->pair = pair;
    return w->word + i % 2 * KEY_BLOCK;
}

static void drop_scores(const attention *p, kept_words *w, real *s, int64_t b, int64_t h, int64_t i, int64_t j0,
                        int64_t keys) {
    const uint32_t *word = kept(p, w, b, h, i, j0);
    for (int64_t j = 0; j < keys; j++)
        s[j] = word[j] >= p->first_kept ? s[j] * p->kept_factor : 0;
}

#endif
