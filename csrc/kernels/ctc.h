/* Connectionist temporal classification (Graves et al. 2006) with its gradient. Threads divide the sequences.
 *
 * `ctc`
 *   buffer: 0 loss[B], 1 dp[B, T, C], 2 a[B, T, S] | 3 p[B, T, C], 4 label int32[B, L], 5 frames int32[B],
 *           6 letters int32[B]
 *   size:   B, T, C, L, blank
 *   S = 2 L + 1 places: a blank, a letter, a blank ... p are logarithms of probabilities. loss = -log of the sum over
 * all paths of `frames` steps through the places of `letters` letters; dp = -(probability that step t is in class c). a
 * has the logarithm of the sum of the paths up to step t and place s, less the step's greatest; 0 where there is no
 * such. No path (too few frames, or a probability of 0 on all of them): loss inf, dp 0. frames outside 0..T, letters
 * outside 0..L, a label outside 0..C-1 or that is the blank: loss and dp of the sequence are NaN.
 *
 * Each step's logarithms are kept below 0 by their maximum, which is added up in double; so their rounding does not
 * grow with T. Lanes lie over places; the sum of a step goes by virtual lanes (reduce.h), the rest by places in order.
 */
#ifndef NNF_KERNELS_CTC_H
#define NNF_KERNELS_CTC_H

#include "attention_share.h"
#include "softmax.h"

enum {
    CTC_ROWS = 6,
    CTC_PLACES = NNF_SCRATCH_BYTES / 8 / CTC_ROWS - 64, /* most of S + 4; a letter takes two */
};

/* log(e^a + e^b + e^c), -inf of three -inf. */
NNF_INLINE vec ctc_log_sum(vec a, vec b, vec c) {
    const vec greatest = v_max(c, v_max(b, a));
    const vec top = v_select(v_eq(greatest, v_set(-NNF_INFINITY)), v_zero(), greatest);
    const vec sum = v_add(v_add(exp_of_score(v_sub(a, top)), exp_of_score(v_sub(b, top))), exp_of_score(v_sub(c, top)));
    return v_add(top, v_log(sum));
}

typedef struct {
    int64_t T, C, S, blank, pitch; /* T, S: frames and places of this sequence; pitch: from row to row of a */
    const int32_t *label;
    const real *p;
    real *emitted; /* p of each place */
    real *now;     /* two more in front (forward) or behind (backward), -inf */
    real *next;
    real *skip; /* 0 where the place may be reached from two before, else -inf */
} ctc_sequence;

NNF_INLINE int64_t ctc_class(const ctc_sequence *q, int64_t place) {
    return place & 1 ? q->label[place / 2] : q->blank;
}

static inline void ctc_emit(const ctc_sequence *q, int64_t t) {
    const real *p = q->p + t * q->C;
    for (int64_t s = 0; s < q->S; s++)
        q->emitted[s] = p[ctc_class(q, s)];
}

/* y[s] = log_sum(x[s], x[s - way], x[s - 2 way] + skip of the step) (+ emitted), less their maximum, which is returned.
 */
static inline real ctc_step(const ctc_sequence *q, real *y, const real *x, int64_t way, const real *emitted) {
    const real *skip = way > 0 ? q->skip : q->skip + 2;
    for (int64_t s = 0; s < q->S; s += LANES) {
        const int64_t left = q->S - s < LANES ? q->S - s : LANES;
        const vec third = v_add(v_load_first(x + s - 2 * way, left), v_load_first(skip + s, left));
        vec sum = ctc_log_sum(v_load_first(x + s, left), v_load_first(x + s - way, left), third);
        if (emitted)
            sum = v_add(sum, v_load_first(emitted + s, left));
        v_store_first(y + s, sum, left);
    }
    const real top = row_max(y, q->S);
    if (top != -NNF_INFINITY)
        for (int64_t s = 0; s < q->S; s++)
            y[s] -= top;
    return top;
}

NNF_INLINE void ctc_swap(ctc_sequence *q) {
    real *const other = q->now;
    q->now = q->next;
    q->next = other;
}

/* Fills a; returns log of the sum over all paths. */
static inline double ctc_forward(ctc_sequence *q, real *a) {
    double offset = 0;
    for (int64_t s = -2; s < q->S; s++)
        q->now[s] = q->next[s] = -NNF_INFINITY;
    q->now[-1] = 0; /* before the first frame: from here places 0 and 1 are one step away, place 1 by its skip */
    const real first = q->skip[1];
    q->skip[1] = 0;
    for (int64_t t = 0; t < q->T; t++) {
        ctc_emit(q, t);
        const real top = ctc_step(q, q->next, q->now, 1, q->emitted);
        if (top == -NNF_INFINITY || top != top)
            return top;
        offset += top;
        ctc_swap(q);
        q->now[-1] = q->next[-1] = -NNF_INFINITY;
        q->skip[1] = first;
        __builtin_memcpy(a + t * q->pitch, q->now, (uint64_t)q->S * sizeof(real));
    }
    const vec none = v_set(-NNF_INFINITY), last = v_set(q->now[q->S - 1]);
    if (q->T == 0)
        return q->S == 1 ? 0 : -NNF_INFINITY;
    return offset + ctc_log_sum(last, q->S > 1 ? v_set(q->now[q->S - 2]) : none, none)[0];
}

/* dp from a: the way back makes b, the logarithms of what comes after step t, and a step's probabilities are softmax(a
 * + b). */
static inline void ctc_backward(ctc_sequence *q, real *dp, const real *a) {
    for (int64_t s = 0; s < q->S + 2; s++)
        q->now[s] = q->next[s] = s == q->S - 1 || s == q->S - 2 ? 0 : -NNF_INFINITY;
    for (int64_t t = q->T - 1; t >= 0; t--) {
        real *const share = q->emitted, *const row = dp + t * q->C;
        for (int64_t s = 0; s < q->S; s++)
            share[s] = a[t * q->pitch + s] + q->now[s];
        const vec top = v_set(row_max_of_numbers(share, q->S));
        for (int64_t s = 0; s < q->S; s += LANES) {
            const int64_t left = q->S - s < LANES ? q->S - s : LANES;
            v_store_first(share + s, exp_of_score(v_sub(v_load_first(share + s, left), top)), left);
        }
        const real sum = row_sum(share, q->S);
        for (int64_t s = 0; s < q->S; s++)
            row[ctc_class(q, s)] -= share[s] / sum;
        ctc_emit(q, t);
        for (int64_t s = 0; s < q->S; s++)
            q->now[s] += q->emitted[s];
        ctc_step(q, q->next, q->now, -1, 0);
        q->next[q->S] = q->next[q->S + 1] = -NNF_INFINITY;
        ctc_swap(q);
    }
}

static void k_ctc(const nnf_step *step, int thread, int threads) {
    const int64_t T = step->size[1], C = step->size[2], L = step->size[3], blank = step->size[4], S = 2 * L + 1;
    const nnf_range sequences = split_range(step, step->size[0], 1, thread, threads);
    real *const work = (real *)(step->scratch + thread * NNF_SCRATCH_BYTES);
    for (int64_t b = sequences.begin; b < sequences.end; b++) {
        real *const loss = (real *)step->buffer[0] + b, *const dp = (real *)step->buffer[1] + b * T * C;
        const int32_t *label = (const int32_t *)step->buffer[4] + b * L;
        const int64_t frames = ((const int32_t *)step->buffer[5])[b], letters = ((const int32_t *)step->buffer[6])[b];
        int right = frames >= 0 && frames <= T && letters >= 0 && letters <= L;
        for (int64_t i = 0; right && i < letters; i++)
            right = label[i] >= 0 && label[i] < C && label[i] != blank;
        const double fill[NNF_PARAMETERS] = {right ? 0 : __builtin_nan("")};
        real *const a = (real *)step->buffer[2] + b * T * S;
        f_fill(dp, 0, 0, 0, fill, T * C);
        f_fill(a, 0, 0, 0, (const double[NNF_PARAMETERS]){0}, T * S);
        *loss = NNF_NAN;
        if (!right)
            continue;
        ctc_sequence q = {
            .T = frames,
            .C = C,
            .S = 2 * letters + 1,
            .blank = blank,
            .pitch = S,
            .label = label,
            .p = (const real *)step->buffer[3] + b * T * C,
            .emitted = work,
            .skip = work + (S + 4),
            .now = work + 2 * (S + 4) + 2,
            .next = work + 3 * (S + 4) + 4,
        };
        for (int64_t s = 0; s < q.S + 2; s++)
            q.skip[s] = (s & 1) && s > 1 && s < q.S && label[s / 2] != label[s / 2 - 1] ? 0 : -NNF_INFINITY;
        const double total = ctc_forward(&q, a);
        *loss = (real)-total;
        if (total != total)
            f_fill(dp, 0, 0, 0, (const double[NNF_PARAMETERS]){__builtin_nan("")}, T * C);
        else if (total != -NNF_INFINITY)
            ctc_backward(&q, dp, a);
    }
}

#define NNF_CTC_KERNELS(X) X(ctc)

#endif
