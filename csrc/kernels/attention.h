/* Scaled dot-product attention without a matrix of all scores.
 *
 * `attention`
 *   buffer: 0 y[B, T, H, E], 1 lse[B, H, T], 2 q[B, T, H, D], 3 k[B, S, G, D], 4 v[B, S, G, E]; or NULL: 5 bias,
 *           6 slopes[H], 7 int32 offset[1], 8 counters
 *   size:   B, T, S, H, G, D, E, causal, strides of bias (batch, head, query), stream
 *   scalar: scale, rate of dropout
 *
 * Scores s = (scale q) k are chains over the head, plus slope and bias. Keys come in blocks of KEY_BLOCK, in ascending
 * order; with the running maximum m, sum l and output o of a query, a block with its own maximum gives
 *   m' = max(m, max s), a = e^(m - m'), p = e^(s - m'), l = fma(l, a, sum p), o = o a + (chain of p v over the block),
 * sums over a row by virtual lanes as in reduce.h. At the end y = o (1 / l), lse = m + log l. A query that sees nothing
 * has y = 0 and lse = inf. So a row of y does not depend on T, on the keys that it does not see, or on the batch
 * (Milakov and Gimelshein 2018; Dao et al. 2022).
 *
 * Threads divide blocks of queries of each head. */
#ifndef NNF_ATTENTION_H
#define NNF_ATTENTION_H

#include "attention_gradient.h"
#include "attention_share.h"

enum { QUERIES = 37 * ROWS, FEW_QUERIES = 4 * ROWS }; /* that share packed keys; 512 on AVX-512 */

/* Scores of one query, `count` vectors of them, -> p, in place; m becomes the new maximum. Returns the sum of p. */
NNF_INLINE real softmax_vectors(real *s, const int count, real *m) {
    vec x[KEY_VECTORS], acc[NNF_ACCUMULATORS];
    const int lanes = count < NNF_ACCUMULATORS ? count : NNF_ACCUMULATORS;
#pragma GCC unroll 64
    for (int v = 0; v < count; v++)
        x[v] = v_load(s + v * LANES);
#pragma GCC unroll 64
    for (int v = 0; v < lanes; v++)
        acc[v] = x[v];
#pragma GCC unroll 64
    for (int v = lanes; v < count; v++)
        acc[v % NNF_ACCUMULATORS] = max_of_numbers(acc[v % NNF_ACCUMULATORS], x[v]);
    const real most = max_of_numbers_lanes(acc, lanes);
    *m = most > *m ? most : *m;
    const vec top = v_set(*m == -NNF_INFINITY ? 0 : *m);
#pragma GCC unroll 64
    for (int v = 0; v < count; v++) {
        x[v] = exp_of_score(v_sub(x[v], top));
        v_store(s + v * LANES, x[v]);
        acc[v % NNF_ACCUMULATORS] = v < NNF_ACCUMULATORS ? x[v] : v_add(acc[v % NNF_ACCUMULATORS], x[v]);
    }
    return sum_lanes(acc, lanes);
}

/* Each number of panels is code of its own, with the scores in registers. */
static real softmax_block(real *s, int64_t keys, real *m) {
#define NNF_SOFTMAX_CASE(panels)                                                                                       \
    case panels:                                                                                                       \
        return softmax_vectors(s, panels * VECTORS_PER_PANEL, m);
    switch (keys / NNF_PANEL) {
        NNF_SOFTMAX_CASE(1)
        NNF_SOFTMAX_CASE(2)
        NNF_SOFTMAX_CASE(3)
        NNF_SOFTMAX_CASE(4)
        NNF_SOFTMAX_CASE(5)
        NNF_SOFTMAX_CASE(6)
        NNF_SOFTMAX_CASE(7)
        NNF_SOFTMAX_CASE(8)
    }
#undef NNF_SOFTMAX_CASE
    return 0;
}

NNF_INLINE void scale_row(real *y, int64_t n, real factor) {
    const vec scale = v_set(factor);
    for (int64_t c = 0; c < n; c += LANES) {
        const int64_t left = smaller(LANES, n - c);
        v_store_first(y + c, v_mul(v_load_first(y + c, left), scale), left);
    }
}

/* The memory of one thread: a block of keys and values, packed queries, the scores of a strip, what each query keeps.
 */
typedef struct attention_memory {
    real *keys, *values, *strips, *scores, *most, *sum;
    kept_words words;
} attention_memory;

/* Queries begin .. begin + rows of one head against the keys j0 .. j0 + count. */
static void attention_block(const attention *p, attention_memory *w, int64_t b, int64_t h, int64_t begin, int64_t rows,
                            int64_t j0, int64_t count, const real *values, int64_t ldv) {
    const strips s = strips_of(rows, ROWS);
    for (int64_t n = 0; n < s.count; n++) {
        const int64_t r = strip_begin(s, n), i = begin + r;
        const int mr = strip_rows(s, n);
        const int64_t keys = smaller(count, visible(p, i + mr - 1) - j0);
        if (keys <= 0 && j0 > 0)
            continue;
        const int64_t whole = padded(larger(keys, 0));
        const tile product = {.a = w->strips + r * p->D,
                              .a_row = 1,
                              .a_step = mr,
                              .b = w->keys,
                              .b_panel = p->D * NNF_PANEL,
                              .b_step = NNF_PANEL,
                              .c = w->scores,
                              .c_row = KEY_BLOCK,
                              .k = p->D,
                              .ahead = WIDE * LANES * p->D,
                              .line = p->D * NNF_PANEL};
        attention_product(&product, 0, mr, whole, 1);
        real changes[ROWS + LANES] = {0}, new_sums[ROWS];
        for (int row = 0; row < mr; row++) {
            real *score = w->scores + row * KEY_BLOCK;
            const int64_t limit = larger(0, smaller(keys, visible(p, i + row) - j0));
            if (limit < whole || p->bias || p->slopes)
                attention_mask(p, score, b, h, i + row, j0, limit, whole);
            const real before = w->most[r + row];
            new_sums[row] = softmax_block(score, whole, &w->most[r + row]);
            changes[row] = w->most[r + row] == before ? 0 : before - w->most[r + row];
            if (p->kept_factor)
                drop_scores(p, &w->words, score, b, h, i + row, j0, whole);
        }
        for (int row = 0; row < mr; row += LANES)
            v_store(changes + row, exp_of_score(v_load(changes + row)));
        real *y = (real *)p->step->buffer[0] + ((b * p->T + i) * p->H + h) * p->E;
        for (int row = 0; row < mr; row++) {
            real *sum = w->sum + r + row;
            *sum = v_fma(v_set(*sum), v_set(changes[row]), v_set(new_sums[row]))[0];
            if (j0 > 0 && changes[row] != 1)
                scale_row(y + row * p->H * p->E, p->E, changes[row]);
        }
        const tile output = {.a = w->scores,
                             .b = values,
                             .b_panel = NNF_PANEL,
                             .b_step = ldv,
                             .c = y,
                             .c_row = p->H * p->E,
                             .k = larger(keys, 0),
                             .accumulate = j0 > 0};
        attention_product(&output, 1, mr, p->E, 0);
    }
}

static void attention_queries(const attention *p, attention_memory *w, int64_t b, int64_t h, int64_t begin,
                              int64_t rows) {
    const int64_t g = h / (p->H / p->G), ldq = p->H * p->D, ldk = p->G * p->D, ldv = p->G * p->E;
    const int copied = p->E % LANES != 0;
    real *first = (real *)p->step->buffer[0] + ((b * p->T + begin) * p->H + h) * p->E;
    real *lse = (real *)p->step->buffer[1] + (b * p->H + h) * p->T + begin;
    const strips s = strips_of(rows, ROWS);
    for (int64_t n = 0; n < s.count; n++) {
        const int64_t r = strip_begin(s, n);
        pack_transposed(w->strips + r * p->D, strip_rows(s, n), p->q + (b * p->T + begin + r) * ldq + h * p->D, ldq,
                        strip_rows(s, n), p->D);
    }
    for (int64_t n = 0; n < rows * p->D; n += LANES)
        v_store(w->strips + n, v_mul(v_load(w->strips + n), v_set(p->scale)));
    for (int64_t r = 0; r < rows; r++) {
        w->most[r] = -NNF_INFINITY;
        w->sum[r] = 0;
    }
    const int64_t seen = visible(p, begin + rows - 1);
    for (int64_t j0 = 0; j0 == 0 || j0 < seen; j0 += KEY_BLOCK) {
        const int64_t count = smaller(KEY_BLOCK, seen - j0);
        const real *values = p->v + (b * p->S + j0) * ldv + g * p->E;
        pack_block(w->keys, p->k + (b * p->S + j0) * ldk + g * p->D, ldk, count, p->D);
        if (copied)
            copy_scaled(w->values, values, ldv, count, p->E, 1);
        attention_block(p, w, b, h, begin, rows, j0, count, copied ? w->values : values, copied ? padded(p->E) : ldv);
    }
    for (int64_t r = 0; r < rows; r++) {
        const int some = w->sum[r] > 0 || w->sum[r] != w->sum[r];
        scale_row(first + r * p->H * p->E, p->E, some ? 1 / w->sum[r] : 0);
        lse[r] = some ? w->most[r] + log_of(w->sum[r]) : NNF_INFINITY;
    }
}

static void k_attention(const nnf_step *step, int thread, int threads) {
    const attention p = attention_of(step, step->buffer + 2);
    const int64_t D = p.D, E = padded(p.E);
    real *memory = own_scratch(step, thread);
    attention_memory w = {.words.pair = -1};
    w.keys = memory;
    w.values = w.keys + KEY_BLOCK * D + LANES;
    w.strips = w.values + KEY_BLOCK * E;
    w.scores = w.strips + QUERIES * D + LANES;
    w.most = w.scores + ROWS * KEY_BLOCK;
    w.sum = w.most + QUERIES;
    const int team = (int)smaller(threads, step->threads);
    int64_t rows = QUERIES;
    while (rows > FEW_QUERIES && p.B * p.H * ((p.T + rows - 1) / rows) < 2 * team)
        rows /= 2;
    const strips blocks = strips_of(p.T, rows);
    if (p.E > 0)
        for (int64_t unit = 0; unit < p.B * p.H * blocks.count; unit++)
            if (owns(unit, thread, team)) {
                const int64_t head = unit / blocks.count, n = unit % blocks.count;
                attention_queries(&p, &w, head / p.H, head % p.H, strip_begin(blocks, n), strip_rows(blocks, n));
            }
}

#define NNF_ATTENTION_KERNELS(X) X(attention) X(attention_delta) X(attention_gradient)

#endif
