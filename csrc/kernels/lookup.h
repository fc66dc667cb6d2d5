/* Rows of a table by number, their gradient, and updates that touch these rows alone.
 *
 * `embedding`           buffer: 0 y[n, D], 1 table[V, D], 2 id int32[n]    size: n, V, D; an id outside gives NaN
 * `embedding_gradient`  buffer: 0 dw[V, D], 1 dy[n, D], 2 id int32[n]      size: n, V, D
 *   dw[id[i]] += dy[i] for ascending i, from +0; an id outside is passed over. Threads divide the columns.
 * `sort_ids`            buffer: 0 order int32[n], 1 id int32[n]            size: n, V
 *   The places of the ids in ascending order of id, equal ones in order of place; ids outside come last. Thread 0.
 * `sparse_sgd`, `sparse_sgd_momentum`, `sparse_adam`, `sparse_rmsprop`, `sparse_adagrad`
 *   buffer: those of `sgd` ... (update.h) with dy[n, D] in place of g; then id int32[n], order int32[n]
 *   size:   n, V, D, buffers of `sgd` ...      scalar: as `sgd` ...
 *   The update of `sgd` ... on the rows that an id names, with g = sum of their dy as above. Rows are brought together,
 *   updated and put back, some at a time. Threads divide the ids; equal ones stay together. */
#ifndef NNF_KERNELS_LOOKUP_H
#define NNF_KERNELS_LOOKUP_H

#include "arithmetic.h"
#include "split.h"
#include "update.h"

enum {
    EMBEDDING_AHEAD = 16, /* rows to fetch: they lie anywhere */
    SORT_BITS = 11,
    SPARSE_BYTES = 1 << 18, /* of the rows that are updated at a time */
};

NNF_INLINE void fetch_row(const real *row, int64_t n) {
    for (int64_t j = 0; j < n && j < 256; j += NNF_LINE)
        __builtin_prefetch(row + j, 0, 3);
}

static void k_embedding(const nnf_step *step, int thread, int threads) {
    const int64_t V = step->size[1], D = step->size[2];
    const real *table = (const real *)step->buffer[1];
    const int32_t *id = (const int32_t *)step->buffer[2];
    const nnf_range rows = split_range(step, step->size[0], 1, thread, threads);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        real *y = (real *)step->buffer[0] + i * D;
        if (i + EMBEDDING_AHEAD < rows.end && (uint32_t)id[i + EMBEDDING_AHEAD] < V)
            fetch_row(table + id[i + EMBEDDING_AHEAD] * D, D);
        if (id[i] >= 0 && id[i] < V)
            __builtin_memcpy(y, table + id[i] * D, (uint64_t)D * sizeof *y);
        else
            for (int64_t j = 0; j < D; j++)
                y[j] = (real)__builtin_nan("");
    }
}

NNF_INLINE void add_row(real *y, const real *x, int64_t n) {
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES)
        v_store(y + j, v_add(v_load(y + j), v_load(x + j)));
    if (j < n)
        v_store_first(y + j, v_add(v_load_first(y + j, n - j), v_load_first(x + j, n - j)), n - j);
}

static void k_embedding_gradient(const nnf_step *step, int thread, int threads) {
    const int64_t n = step->size[0], V = step->size[1], D = step->size[2];
    real *dw = (real *)step->buffer[0];
    const real *dy = (const real *)step->buffer[1];
    const int32_t *id = (const int32_t *)step->buffer[2];
    const nnf_range columns = split_range(step, D, NNF_LINE, thread, threads);
    const int64_t width = columns.end - columns.begin;
    if (width <= 0)
        return;
    for (int64_t v = 0; v < V; v++)
        __builtin_memset(dw + v * D + columns.begin, 0, (uint64_t)width * sizeof *dw);
    for (int64_t i = 0; i < n; i++)
        if (id[i] >= 0 && id[i] < V)
            add_row(dw + id[i] * D + columns.begin, dy + i * D + columns.begin, width);
}

/* Radix sort by digits of SORT_BITS, the lowest first; stable. The scratch holds a second order and the counts. */
static void k_sort_ids(const nnf_step *step, int thread, int threads) {
    (void)threads;
    const int64_t n = step->size[0], V = step->size[1];
    if (thread != 0)
        return;
    const int32_t *id = (const int32_t *)step->buffer[1];
    int32_t *order = (int32_t *)step->buffer[0], *other = (int32_t *)step->scratch;
    int32_t *count = other + n;
    int passes = 1;
    while (V >> (passes * SORT_BITS))
        passes++;
    int32_t *from = passes % 2 ? other : order, *to = passes % 2 ? order : other;
    for (int64_t i = 0; i < n; i++)
        from[i] = (int32_t)i;
    for (int pass = 0; pass < passes; pass++) {
        const int shift = pass * SORT_BITS;
        const int64_t digits = (int64_t)1 << SORT_BITS;
        __builtin_memset(count, 0, (uint64_t)digits * sizeof *count);
#define NNF_DIGIT(i) ((id[i] < 0 || id[i] >= V ? V : id[i]) >> shift & (digits - 1))
        for (int64_t i = 0; i < n; i++)
            count[NNF_DIGIT(i)]++;
        int32_t place = 0;
        for (int64_t d = 0; d < digits; d++) {
            const int32_t here = count[d];
            count[d] = place;
            place += here;
        }
        for (int64_t i = 0; i < n; i++)
            to[count[NNF_DIGIT(from[i])]++] = from[i];
#undef NNF_DIGIT
        int32_t *const swap = from;
        from = to;
        to = swap;
    }
}

NNF_INLINE int same_id(const int32_t *id, const int32_t *order, int64_t i, int64_t n) {
    return i > 0 && i < n && id[order[i]] == id[order[i - 1]];
}

static void sparse_update(const nnf_step *step, int thread, int threads, nnf_kernel update) {
    const int64_t n = step->size[0], V = step->size[1], D = step->size[2];
    const int count = (int)step->size[3], tensors = count - 2;
    const int32_t *id = (const int32_t *)step->buffer[count], *order = (const int32_t *)step->buffer[count + 1];
    const real *dy = (const real *)step->buffer[1];
    const int64_t most = SPARSE_BYTES / (int64_t)sizeof(real) / (D > 0 ? D : 1) / tensors;
    const int64_t rows = most > 1 ? most : 1;
    nnf_range range = split_range(step, n, 1, thread, threads);
    while (same_id(id, order, range.begin, n))
        range.begin++;
    while (same_id(id, order, range.end, n))
        range.end++;
    char *buffer[NNF_MAX_BUFFERS];
    for (int b = 0; b < count; b++)
        buffer[b] = b >= tensors       ? step->buffer[b]
                    : !step->buffer[b] ? 0
                                       : (char *)((real *)(step->scratch + thread * NNF_SCRATCH_BYTES) + b * rows * D);
    int64_t size;
    nnf_step inner = *step;
    inner.buffer = buffer;
    inner.size = &size;
    inner.threads = 1;
    for (int64_t i = range.begin; i < range.end;) {
        const int64_t first = i;
        int64_t taken = 0;
        for (; taken < rows && i < range.end; taken++) {
            const int64_t row = id[order[i]];
            if (row < 0 || row >= V)
                goto rest; /* all that follow lie outside too */
            for (int b = 0; b < tensors; b++) {
                if (i + EMBEDDING_AHEAD < range.end && b != 1 && buffer[b] &&
                    (uint32_t)id[order[i + EMBEDDING_AHEAD]] < V)
                    fetch_row((real *)step->buffer[b] + id[order[i + EMBEDDING_AHEAD]] * D, D);
                if (b != 1 && buffer[b])
                    __builtin_memcpy((real *)buffer[b] + taken * D, (real *)step->buffer[b] + row * D,
                                     (uint64_t)D * sizeof(real));
            }
            real *g = (real *)buffer[1] + taken * D;
            __builtin_memset(g, 0, (uint64_t)D * sizeof *g);
            do
                add_row(g, dy + order[i] * D, D);
            while (++i < range.end && id[order[i]] == row);
        }
    rest:
        size = taken * D;
        update(&inner, 0, 1);
        int64_t back = first;
        for (int64_t t = 0; t < taken; t++) {
            const int64_t row = id[order[back]];
            for (int b = 0; b < tensors; b++)
                if (b != 1 && buffer[b])
                    __builtin_memcpy((real *)step->buffer[b] + row * D, (real *)buffer[b] + t * D,
                                     (uint64_t)D * sizeof(real));
            while (++back < range.end && id[order[back]] == row)
                continue;
        }
        if (taken < rows)
            break;
    }
}

#define NNF_SPARSE_UPDATE(name)                                                                                        \
    static void k_sparse_##name(const nnf_step *step, int thread, int threads) {                                       \
        sparse_update(step, thread, threads, k_##name);                                                                \
    }
NNF_SPARSE_UPDATE(sgd)
NNF_SPARSE_UPDATE(sgd_momentum)
NNF_SPARSE_UPDATE(adam)
NNF_SPARSE_UPDATE(rmsprop)
NNF_SPARSE_UPDATE(adagrad)

#define NNF_LOOKUP_KERNELS(X)                                                                                          \
    X(embedding)                                                                                                       \
    X(embedding_gradient)                                                                                              \
    X(sort_ids) X(sparse_sgd) X(sparse_sgd_momentum) X(sparse_adam) X(sparse_rmsprop) X(sparse_adagrad)

#endif
