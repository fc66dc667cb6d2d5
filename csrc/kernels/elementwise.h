/* Programs of elementwise functions over broadcast operands.
 *
 * `elementwise`
 *   size:   rank, buffers, outputs, temporaries, dims[NNF_MAX_RANK], strides[buffers][NNF_MAX_RANK] in elements
 *   buffer: outputs first, then inputs; outputs are contiguous in the order of dims, inputs have any strides
 *   program: operations on slots: the buffers, then the temporaries; -1 is none
 *
 * The dims are merged where all buffers allow it. Work proceeds in blocks of NNF_BLOCK elements, each operation once
 * per block; a block of an input that is not contiguous is first copied to the stack. Inputs that repeat with each row,
 * such as a bias, are copied once, some rows of them: (x - mean) scale + shift of 1568 x 64 took 77 us row by row.
 * Threads divide the blocks. */
#ifndef NNF_KERNELS_ELEMENTWISE_H
#define NNF_KERNELS_ELEMENTWISE_H

#include "activation_gradient.h"
#include "split.h"

#define NNF_ELEMENTWISE_FUNCTIONS(X)                                                                                   \
    NNF_ARITHMETIC_FUNCTIONS(X) NNF_ACTIVATION_FUNCTIONS(X) NNF_ACTIVATION_GRADIENT_FUNCTIONS(X)

typedef struct {
    int rank, buffers, outputs;
    int64_t dims[NNF_MAX_RANK];
    int64_t strides[NNF_MAX_BUFFERS][NNF_MAX_RANK];
} elementwise_shape;

/* Dims of size 1 go; neighbours that every buffer walks in one stride become one. The rank is at least 1 after that. */
static elementwise_shape elementwise_merge(const int64_t *size) {
    const int64_t *dims = size + 4, *strides = dims + NNF_MAX_RANK;
    elementwise_shape s = {.buffers = (int)size[1], .outputs = (int)size[2]};
    for (int d = 0; d < size[0]; d++) {
        if (dims[d] == 1)
            continue;
        int merge = s.rank > 0;
        for (int b = 0; b < s.buffers && merge; b++)
            merge = s.strides[b][s.rank - 1] == strides[b * NNF_MAX_RANK + d] * dims[d];
        if (!merge)
            s.dims[s.rank++] = 1;
        s.dims[s.rank - 1] *= dims[d];
        for (int b = 0; b < s.buffers; b++)
            s.strides[b][s.rank - 1] = strides[b * NNF_MAX_RANK + d];
    }
    if (s.rank == 0) {
        s.dims[s.rank++] = 1;
        for (int b = 0; b < s.buffers; b++)
            s.strides[b][0] = 1;
    }
    return s;
}

/* y[i] = x[i * stride] */
static void elementwise_spread(real *y, const real *x, int64_t stride, int64_t n) {
    if (stride == 0) {
        const double value[NNF_PARAMETERS] = {(double)*x};
        f_fill(y, 0, 0, 0, value, n);
    } else if (stride == 1) {
        f_linear(y, x, 0, 0, 0, n);
    } else {
        for (int64_t i = 0; i < n; i++)
            y[i] = x[i * stride];
    }
}

/* y = the n elements from flat index begin of a buffer with these strides. */
static void elementwise_gather(real *y, const real *x, const elementwise_shape *s, const int64_t *strides,
                               int64_t begin, int64_t n) {
    const int inner = s->rank - 1;
    int64_t index[NNF_MAX_RANK], offset = 0;
    for (int d = inner; d >= 0; d--) {
        index[d] = begin % s->dims[d];
        begin /= s->dims[d];
        offset += index[d] * strides[d];
    }
    while (n > 0) {
        const int64_t left = s->dims[inner] - index[inner], run = left < n ? left : n;
        elementwise_spread(y, x + offset, strides[inner], run);
        y += run;
        n -= run;
        index[inner] += run;
        offset += run * strides[inner];
        for (int d = inner; d > 0 && index[d] == s->dims[d]; d--) {
            offset += strides[d - 1] - index[d] * strides[d];
            index[d] = 0;
            index[d - 1]++;
        }
    }
}

static void elementwise_block(const nnf_step *step, real **slot, int64_t n) {
    for (int i = 0; i < step->operations; i++) {
        const nnf_operation *o = step->program + i;
        o->function(slot[o->y], o->a < 0 ? 0 : slot[o->a], o->b < 0 ? 0 : slot[o->b], o->c < 0 ? 0 : slot[o->c], o->p,
                    n);
    }
}

/* Where a walk over the rows (the last dim) stands: the index of each dim, and each buffer's offset at the row's start.
 */
typedef struct {
    int64_t index[NNF_MAX_RANK], offset[NNF_MAX_BUFFERS];
} elementwise_place;

static elementwise_place elementwise_seek(const elementwise_shape *s, int64_t flat) {
    elementwise_place place = {0};
    for (int d = s->rank - 1; d >= 0; d--) {
        place.index[d] = flat % s->dims[d];
        flat /= s->dims[d];
        for (int b = 0; b < s->buffers && d < s->rank - 1; b++)
            place.offset[b] += place.index[d] * s->strides[b][d];
    }
    return place;
}

static void elementwise_next_row(const elementwise_shape *s, elementwise_place *place) {
    place->index[s->rank - 1] = 0;
    for (int d = s->rank - 2; d >= 0; d--) {
        for (int b = 0; b < s->buffers; b++)
            place->offset[b] += s->strides[b][d];
        if (++place->index[d] < s->dims[d])
            return;
        for (int b = 0; b < s->buffers; b++)
            place->offset[b] -= s->dims[d] * s->strides[b][d];
        place->index[d] = 0;
    }
}

/* The elements from a multiple of this number on up to the next are rows in all of which the inputs that are not
 * contiguous are the same. */
static int64_t elementwise_slab(const elementwise_shape *s, const int *strided) {
    int64_t slab = s->dims[s->rank - 1];
    for (int d = s->rank - 2; d >= 0; slab *= s->dims[d--])
        for (int b = 0; b < s->buffers; b++)
            if (strided[b] && s->strides[b][d] != 0)
                return slab;
    return slab;
}

static void k_elementwise(const nnf_step *step, int thread, int threads) {
    const elementwise_shape s = elementwise_merge(step->size);
    const int64_t inner = s.dims[s.rank - 1];
    int64_t count = 1;
    for (int d = 0; d < s.rank; d++)
        count *= s.dims[d];
    const nnf_range range = split_range(step, count, NNF_BLOCK, thread, threads);
    if (range.begin >= range.end)
        return;

    _Alignas(64) real gathered[NNF_MAX_BUFFERS][2 * NNF_BLOCK];
    _Alignas(64) real temporary[NNF_MAX_TEMPORARIES][NNF_BLOCK];
    real *slot[NNF_MAX_BUFFERS + NNF_MAX_TEMPORARIES];
    enum { CONTIGUOUS, SCALAR, STRIDED } kind[NNF_MAX_BUFFERS];
    int strided = 0, scalars = 0, is_strided[NNF_MAX_BUFFERS];
    for (int b = 0; b < s.buffers; b++) {
        int zeros = 1, as_output = 1;
        for (int d = 0; d < s.rank; d++) {
            zeros &= s.strides[b][d] == 0;
            as_output &= s.strides[b][d] == s.strides[0][d];
        }
        kind[b] = as_output ? CONTIGUOUS : zeros ? SCALAR : STRIDED;
        strided += is_strided[b] = kind[b] == STRIDED;
        scalars += kind[b] == SCALAR;
        slot[b] = gathered[b];
        if (kind[b] == SCALAR)
            elementwise_spread(gathered[b], (const real *)step->buffer[b], 0, NNF_BLOCK);
    }
    for (int64_t t = 0; t < step->size[3]; t++)
        slot[s.buffers + t] = temporary[t];

    /* A single operation on contiguous operands needs no blocks. Long rows are worked on row by row, so that an operand
     * that is contiguous in a row is used where it lies; short rows are gathered several to a block. */
    const int64_t block = strided || scalars || step->operations > 1 || step->size[3] ? NNF_BLOCK : count;
    const int64_t slab = strided ? elementwise_slab(&s, is_strided) : 0;
    const int repeated = inner <= NNF_BLOCK && slab >= 2 * inner && slab >= NNF_BLOCK;
    const int by_rows = strided && !repeated && inner >= NNF_BLOCK / 4;
    int64_t slab_begin = 0, slab_end = 0;
    elementwise_place place = elementwise_seek(&s, range.begin);
    for (int64_t i = range.begin; i < range.end;) {
        const int64_t column = place.index[s.rank - 1];
        int64_t n = range.end - i < block ? range.end - i : block;
        if (by_rows && inner - column < n)
            n = inner - column;
        if (repeated && i >= slab_end) {
            slab_begin = i - i % slab;
            slab_end = slab_begin + slab;
            for (int b = 0; b < s.buffers; b++)
                if (kind[b] == STRIDED)
                    elementwise_gather(gathered[b], (const real *)step->buffer[b], &s, s.strides[b], slab_begin,
                                       slab < NNF_BLOCK + inner ? slab : NNF_BLOCK + inner);
        }
        if (repeated && slab_end - i < n)
            n = slab_end - i;
        for (int b = 0; b < s.buffers; b++) {
            const real *x = (const real *)step->buffer[b];
            const int64_t stride = s.strides[b][s.rank - 1];
            if (kind[b] == CONTIGUOUS)
                slot[b] = (real *)step->buffer[b] + i;
            else if (kind[b] == STRIDED && repeated)
                slot[b] = gathered[b] + (i - slab_begin) % inner;
            else if (kind[b] == STRIDED && by_rows && stride == 1)
                slot[b] = (real *)step->buffer[b] + place.offset[b] + column;
            else if (kind[b] == STRIDED && by_rows)
                elementwise_spread(gathered[b], x + place.offset[b] + column * stride, stride, n);
            else if (kind[b] == STRIDED)
                elementwise_gather(gathered[b], x, &s, s.strides[b], i, n);
        }
        elementwise_block(step, slot, n);
        i += n;
        place.index[s.rank - 1] += n;
        if (by_rows && place.index[s.rank - 1] == inner)
            elementwise_next_row(&s, &place);
    }
}

#define NNF_ELEMENTWISE_KERNELS(X) X(elementwise)

#endif
