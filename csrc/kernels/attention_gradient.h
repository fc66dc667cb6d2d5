/* The gradient of attention. Probabilities are computed anew from lse, so none are kept.
 *
 * `attention_delta`
 *   buffer: 0 delta[B, H, T], 1 dy[B, T, H, E], 2 y[B, T, H, E]        size: B, T, H, E
 *   delta = sum of dy y over the last axis, by virtual lanes.
 * `attention_gradient`
 *   buffer: 0 dq, 1 dk, 2 dv, 3 delta, 4 dy, 5 lse, 6 q, 7 k, 8 v; or NULL: 9 bias, 10 slopes, 11 offset, 12 counters
 *   size, scalar: as `attention`
 *
 * For each block of keys and, in it, each head of its group and each block of QUERY_BLOCK queries, in ascending order:
 *   p = e^(s - lse), dp = dy v, ds = p (dp - delta), dv += p dy, dk += ds (scale q), dq += ds (scale k),
 * where a sum over the block is one chain and the blocks' sums are added in order.
 *
 * Threads divide the heads of keys; where these are fewer than threads, blocks of keys (dk, dv) and of queries (dq). */
#ifndef NNF_ATTENTION_GRADIENT_H
#define NNF_ATTENTION_GRADIENT_H

#include "attention_share.h"

static void k_attention_delta(const nnf_step *step, int thread, int threads) {
    const int64_t T = step->size[1], H = step->size[2], E = step->size[3];
    const nnf_range rows = split_range(step, step->size[0] * T * H, 1, thread, threads);
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const real *dy = (const real *)step->buffer[1] + r * E, *y = (const real *)step->buffer[2] + r * E;
        NNF_IN_CHUNKS(dot, E, row_dot_chunk(dy, y, begin, end))
        ((real *)step->buffer[0])[(r / H / T * H + r % H) * T + r / H % T] = dot;
    }
}

typedef struct gradient_memory {
    real *keys, *values;        /* panels of k and v, transposed */
    real *key_rows;             /* scale k */
    real *query_rows, *dy_rows; /* scale q and dy of the block, row by row */
    real *query_strips, *dy_strips;
    real *p, *ds; /* [QUERY_BLOCK][KEY_BLOCK] */
    kept_words words;
} gradient_memory;

/* p and ds of the strip of mr queries from r on, for `keys` keys, whole panels; 0 from there to `whole`. */
static void gradient_scores(const attention *p, gradient_memory *w, int64_t b, int64_t h, int64_t i, int64_t r, int mr,
                            int64_t j0, int64_t count, int64_t keys, int64_t whole) {
    real *scores = w->p + r * KEY_BLOCK, *ds = w->ds + r * KEY_BLOCK;
    const tile score = {.a = w->query_strips + r * p->D,
                        .a_row = 1,
                        .a_step = mr,
                        .b = w->keys,
                        .b_panel = p->D * NNF_PANEL,
                        .b_step = NNF_PANEL,
                        .c = scores,
                        .c_row = KEY_BLOCK,
                        .k = p->D,
                        .ahead = WIDE * LANES * p->D,
                        .line = p->D * NNF_PANEL};
    attention_product(&score, 0, mr, keys, 1);
    const tile change = {.a = w->dy_strips + r * p->E,
                         .a_row = 1,
                         .a_step = mr,
                         .b = w->values,
                         .b_panel = p->E * NNF_PANEL,
                         .b_step = NNF_PANEL,
                         .c = ds,
                         .c_row = KEY_BLOCK,
                         .k = p->E,
                         .ahead = WIDE * LANES * p->E,
                         .line = p->E * NNF_PANEL};
    attention_product(&change, 0, mr, keys, 1);
    const int64_t place = (b * p->H + h) * p->T + i + r;
    for (int row = 0; row < mr; row++, scores += KEY_BLOCK, ds += KEY_BLOCK) {
        const int64_t limit = larger(0, smaller(count, visible(p, i + r + row) - j0));
        if (limit < keys || p->bias || p->slopes)
            attention_mask(p, scores, b, h, i + r + row, j0, limit, keys);
        const vec lse = v_set(((const real *)p->step->buffer[5])[place + row]);
        const vec delta = v_set(((const real *)p->step->buffer[3])[place + row]);
        if (p->kept_factor)
            drop_scores(p, &w->words, ds, b, h, i + r + row, j0, keys);
        for (int64_t j = 0; j < keys; j += LANES) {
            const vec probability = exp_of_score(v_sub(v_load(scores + j), lse));
            v_store(scores + j, probability);
            v_store(ds + j, v_mul(probability, v_sub(v_load(ds + j), delta)));
        }
        if (p->kept_factor)
            drop_scores(p, &w->words, scores, b, h, i + r + row, j0, keys);
        for (int64_t j = keys; j < whole; j += LANES) {
            v_store(scores + j, v_zero());
            v_store(ds + j, v_zero());
        }
    }
}

/* c[keys, columns] = or += transpose of a[queries, keys] b[queries, columns]. Query r sees the keys before r - late +
 * 1: those that come before are passed over, as a chain does not change by zeros. */
static void gradient_of_keys(real *c, int64_t ldc, const real *a, const real *b, int64_t keys, int64_t queries,
                             int64_t late, int64_t columns, int accumulate) {
    const strips s = strips_of(keys, ROWS);
    for (int64_t n = 0; n < s.count; n++) {
        const int64_t r = strip_begin(s, n), from = larger(0, smaller(late + r, queries));
        const tile t = {.a = a + r + from * KEY_BLOCK,
                        .a_row = 1,
                        .a_step = KEY_BLOCK,
                        .b = b + from * padded(columns),
                        .b_panel = NNF_PANEL,
                        .b_step = padded(columns),
                        .c = c + r * ldc,
                        .c_row = ldc,
                        .k = queries - from,
                        .accumulate = accumulate};
        attention_product(&t, 0, strip_rows(s, n), columns, 0);
    }
}

/* Queries i .. i + rows of one head against one block of keys. `wanted`: 1 dk and dv, 2 dq. */
static void gradient_block(const attention *p, gradient_memory *w, int64_t b, int64_t h, int64_t i, int64_t rows,
                           int64_t j0, int64_t count, int first, int wanted) {
    const int64_t g = h / (p->H / p->G);
    const int64_t query = ((b * p->T + i) * p->H + h) * p->D, output = ((b * p->T + i) * p->H + h) * p->E;
    const int64_t keys = larger(0, smaller(count, visible(p, i + rows - 1) - j0));
    const int64_t whole = padded(keys);
    copy_scaled(w->query_rows, p->q + query, p->H * p->D, rows, p->D, p->scale);
    copy_scaled(w->dy_rows, (const real *)p->step->buffer[4] + output, p->H * p->E, rows, p->E, 1);
    const strips s = strips_of(rows, ROWS);
    for (int64_t n = 0; n < s.count; n++) {
        const int64_t r = strip_begin(s, n);
        const int mr = strip_rows(s, n);
        pack_transposed(w->query_strips + r * p->D, mr, w->query_rows + r * padded(p->D), padded(p->D), mr, p->D);
        pack_transposed(w->dy_strips + r * p->E, mr, w->dy_rows + r * padded(p->E), padded(p->E), mr, p->E);
    }
    for (int64_t n = 0; n < s.count; n++) {
        const int64_t r = strip_begin(s, n);
        const int mr = strip_rows(s, n);
        const int64_t own = larger(0, smaller(count, visible(p, i + r + mr - 1) - j0));
        gradient_scores(p, w, b, h, i, r, mr, j0, count, padded(own), whole);
        if (!(wanted & 2))
            continue;
        const tile t = {.a = w->ds + r * KEY_BLOCK,
                        .b = w->key_rows,
                        .b_panel = NNF_PANEL,
                        .b_step = padded(p->D),
                        .c = (real *)p->step->buffer[0] + query + r * p->H * p->D,
                        .c_row = p->H * p->D,
                        .k = own,
                        .accumulate = j0 > 0};
        attention_product(&t, 1, mr, p->D, 0);
    }
    if (!(wanted & 1))
        return;
    const int64_t place = (b * p->S + j0) * p->G + g, ld = p->G;
    const int64_t written = first ? count : keys; /* rows that no query sees become 0 */
    if (written > whole)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = whole; j < written; j++)
                w->p[r * KEY_BLOCK + j] = w->ds[r * KEY_BLOCK + j] = 0;
    const int64_t late = p->causal ? j0 - p->offset - i : -KEY_BLOCK;
    gradient_of_keys((real *)p->step->buffer[2] + place * p->E, ld * p->E, w->p, w->dy_rows, written, rows, late, p->E,
                     !first);
    gradient_of_keys((real *)p->step->buffer[1] + place * p->D, ld * p->D, w->ds, w->query_rows, written, rows, late,
                     p->D, !first);
}

/* One block of keys and the queries begin .. end of all heads in its group. */
static void gradient_keys(const attention *p, gradient_memory *w, int64_t b, int64_t g, int64_t j0, int64_t begin,
                          int64_t end, int wanted) {
    const int64_t group = p->H / p->G, count = smaller(KEY_BLOCK, p->S - j0);
    const real *k = p->k + ((b * p->S + j0) * p->G + g) * p->D, *v = p->v + ((b * p->S + j0) * p->G + g) * p->E;
    pack_block(w->keys, k, p->G * p->D, count, p->D);
    pack_block(w->values, v, p->G * p->E, count, p->E);
    if (wanted & 2)
        copy_scaled(w->key_rows, k, p->G * p->D, count, p->D, p->scale);
    int first = 1;
    for (int64_t h = g * group; h < (g + 1) * group; h++)
        for (int64_t i = begin; i < end; i += QUERY_BLOCK) {
            const int64_t rows = smaller(QUERY_BLOCK, end - i);
            if (visible(p, i + rows - 1) <= j0 && j0 > 0 && !(first && h == (g + 1) * group - 1 && i + rows == end))
                continue;
            gradient_block(p, w, b, h, i, rows, j0, count, first, wanted);
            first = 0;
        }
}

static void k_attention_gradient(const nnf_step *step, int thread, int threads) {
    const attention p = attention_of(step, step->buffer + 6);
    const int64_t D = p.D, E = p.E, blocks = (p.S + KEY_BLOCK - 1) / KEY_BLOCK;
    gradient_memory w = {.words.pair = -1};
    w.keys = own_scratch(step, thread);
    w.values = w.keys + KEY_BLOCK * D + LANES;
    w.key_rows = w.values + KEY_BLOCK * E + LANES;
    w.query_rows = w.key_rows + KEY_BLOCK * padded(D);
    w.dy_rows = w.query_rows + QUERY_BLOCK * padded(D);
    w.query_strips = w.dy_rows + QUERY_BLOCK * padded(E);
    w.dy_strips = w.query_strips + QUERY_BLOCK * D + LANES;
    w.p = w.dy_strips + QUERY_BLOCK * E + LANES;
    w.ds = w.p + QUERY_BLOCK * KEY_BLOCK;
    const int team = (int)smaller(threads, step->threads);
    if (p.B * p.G >= team) {
        for (int64_t unit = 0; unit < p.B * p.G; unit++)
            if (owns(unit, thread, team))
                for (int64_t n = 0; n < blocks; n++)
                    gradient_keys(&p, &w, unit / p.G, unit % p.G, n * KEY_BLOCK, 0, p.T, 3);
        return;
    }
    const strips queries = strips_of((p.T + QUERY_BLOCK - 1) / QUERY_BLOCK, 4); /* four blocks share packed keys */
    for (int64_t unit = 0; unit < p.B * p.G * blocks; unit++)
        if (owns(unit, thread, team))
            gradient_keys(&p, &w, unit / blocks / p.G, unit / blocks % p.G, unit % blocks * KEY_BLOCK, 0, p.T, 1);
    for (int64_t unit = 0; unit < p.B * p.G * queries.count; unit++)
        if (owns(unit, thread, team)) {
            const int64_t head = unit / queries.count, n = unit % queries.count;
            const int64_t begin = strip_begin(queries, n) * QUERY_BLOCK;
            const int64_t end = smaller(p.T, begin + strip_rows(queries, n) * QUERY_BLOCK);
            for (int64_t j0 = 0; j0 < p.S && (j0 == 0 || j0 < visible(&p, end - 1)); j0 += KEY_BLOCK)
                gradient_keys(&p, &w, head / p.G, head % p.G, j0, begin, end, 2);
        }
}

#endif
